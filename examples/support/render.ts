// The demo's text. Fits 100 columns; colour only on a terminal that wants it.

import { basename } from 'node:path'
import { styleText } from 'node:util'
import type { JsonObject, JsonValue, RuleRef } from '@agentport/gateway'
import type { TimelineEvent } from '../executor/timeline.ts'
import type { World } from './example.ts'
import type { ExampleRun } from './run-both.ts'

const WIDTH = 100
const COLOUR = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined

export function paint(style: Parameters<typeof styleText>[0], text: string): string {
  return COLOUR ? styleText(style, text) : text
}

/** What became true without the gateway and with it, side by side. */
export function renderFacts(runs: readonly ExampleRun[]): string {
  const lines = [
    paint('dim', `${'what really happened'.padEnd(54)}${'without gateway'.padStart(21)}${'with gateway'.padStart(22)}`),
  ]
  for (const { example, off, on } of runs) {
    lines.push(`${paint('bold', example.name.padEnd(10))}${example.attack}`)
    for (const { fact, says, kind } of example.expectations.facts) {
      const [before, after] = [say(off.facts[fact]), say(on.facts[fact])]
      const columns = [before.padStart(21), after.padStart(22)] as const
      lines.push(
        `  ${says.padEnd(52)}${paint(kind === 'harm' ? 'red' : 'green', columns[0])}${paint('green', columns[1])}`,
      )
    }
  }
  return lines.join('\n')
}

function say(value: JsonValue | undefined): string {
  return value === true ? 'yes' : value === false ? 'no' : String(value)
}

/** Every call the agents made with the gateway on, what it answered, and why. */
export function renderCalls({ example, variables, on }: ExampleRun): string {
  const lines = [
    paint('bold', example.name),
    paint('dim', row('node', 'tool', 'asked for', 'verdict', 'rule or code', 'µs')),
    ...on.report.timeline.flatMap((event) => eventLines(event, variables)),
  ]
  return lines.join('\n')
}

function eventLines(event: TimelineEvent, variables: World['variables']): string[] {
  if (event.type === 'run_halted')
    return [paint('red', `  ■ the run is halted: ${event.node} tried what is never allowed`)]
  if (event.type === 'node_finished' && event.state !== 'succeeded')
    return [paint('yellow', `  ■ ${event.node} ${event.state}`)]
  if (event.type !== 'call' || event.verdict === undefined) return []
  const { node, tool, args, verdict } = event
  const { denial } = verdict
  const why = denial?.code ?? verdict.rules.map(place).join(', ')
  const line = row(
    node,
    tool,
    withNames(asText(args), variables),
    denial === undefined ? 'allow' : 'DENY',
    why,
    `${Math.round(verdict.latencyMicros)}`,
  )
  if (denial === undefined) return [line]
  const reason = denial.rules.map((rule) => `${place(rule)}: ${rule.reason ?? rule.effect}`).join(', ') || denial.detail
  return [paint('red', line), ...wrap(withNames(reason, variables), 26).map((part) => paint('dim', part))]
}

function row(node: string, tool: string, asked: string, verdict: string, why: string, micros: string): string {
  const cells = [
    node.padEnd(12),
    tool.padEnd(12),
    clip(asked, 26).padEnd(26),
    verdict.padEnd(7),
    clip(why, 30).padEnd(30),
  ]
  return `  ${cells.join(' ')} ${micros.padStart(5)}`
}

/** `id file:line` */
function place(rule: RuleRef): string {
  return `${rule.id} ${basename(rule.file)}:${rule.line}`
}

/** The values of the arguments, one after the other. */
function asText(args: JsonObject): string {
  return Object.values(args)
    .map((value) => (Array.isArray(value) ? value.join(' ') : String(value)))
    .join(' ')
}

/** Puts `${name}` where the value of a variable stands: temporary paths and ports say nothing to a reader. */
function withNames(text: string, variables: World['variables']): string {
  const longestFirst = Object.entries(variables).sort(([, a], [, b]) => b.length - a.length)
  return longestFirst.reduce((result, [name, value]) => result.replaceAll(value, `\${${name}}`), text)
}

/** One line of at most `width` characters, nothing in it that a terminal would obey. */
function clip(text: string, width: number): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`
}

/** Indented lines, broken between words. */
function wrap(text: string, indent: number): string[] {
  const lines: string[] = []
  for (const word of clip(text, 2 * WIDTH).split(' ')) {
    const longer = `${lines.at(-1)} ${word}`
    if (lines.length === 0 || longer.length > WIDTH) lines.push(clip(' '.repeat(indent + 2) + word, WIDTH))
    else lines[lines.length - 1] = longer
  }
  return lines
}

/** One line an agent, and one for each expectation that did not come true. */
export function renderChecks(runs: readonly ExampleRun[]): string {
  return runs
    .flatMap(({ example, off, on }) => {
      const checks = [...off.checks, ...on.checks]
      const failed = checks.filter((check) => !check.ok)
      const mark = failed.length === 0 ? paint('green', '✓') : paint('red', '✗')
      const head = `${mark} ${example.name.padEnd(10)}${checks.length - failed.length} of ${checks.length} expectations came true`
      return [head, ...failed.map((check) => paint('red', `  ✗ ${check.says}`))]
    })
    .join('\n')
}
