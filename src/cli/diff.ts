// `agentport diff`: what do the new policies decide otherwise than the old ones?

import type { AuditRecord } from '../audit/record.ts'
import type { JsonObject } from '../core/json.ts'
import { formatProblems } from '../core/problem.ts'
import { formatRule } from '../core/render.ts'
import { verifyAuditFile } from '../node/audit-file.ts'
import { readSource } from '../node/source.ts'
import {
  type DiffVerdict,
  PolicyComparison,
  type PolicyDiff,
  type PolicyDifference,
  type Replay,
} from '../policy/diff/diff.ts'
import type { RecordedCall } from '../policy/diff/replay.ts'
import type { PolicyRequest } from '../policy/request.ts'
import { type Command, type Output, readOptions, readPairs, UsageError } from './command.ts'
import { policySources, readRequestText } from './policy-set.ts'

const HELP = `Usage: agentport diff <old> <new> [options]

Says what two policy sets decide differently, each difference with requests that show it: what is newly allowed, newly denied,
newly left to people, and where limits, obligations, approvers or the rights of processes are others. How policies are
written makes no difference. Both are files or directories. Requests are tried, not all there are: what is reported is so,
and what is not reported may have been missed.

  --fail-on what     exit with 1 when something is widened (widen), narrowed (narrow), or either (any)
  --requests file    also ask these requests: JSON Lines, each as policy tests write a request
  --audit log        also ask the calls of an audit log, where a record says all that matters; the log is verified first
  --max-requests n   requests that are tried at most; default 200000
  --var name=value   value of \${name} in the policies; repeatable
  --json             print the result as JSON

Exit codes: 0 done, 1 a difference that --fail-on names, or a log that does not verify, 2 it could not be done.`

const FAILURES = ['widen', 'narrow', 'any'] as const
type Failure = (typeof FAILURES)[number]
/** What is neither wholly wider nor wholly narrower is both. */
const COUNTED: Readonly<Record<Failure, readonly PolicyDifference['direction'][]>> = {
  widen: ['widened', 'changed'],
  narrow: ['narrowed', 'changed'],
  any: ['widened', 'narrowed', 'changed'],
}
const PROGRESS_MS = 2000

export const diff: Command = {
  name: 'diff',
  summary: 'what two policy sets decide differently, with requests that show it',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, {
      'fail-on': { type: 'string' },
      requests: { type: 'string' },
      audit: { type: 'string' },
      'max-requests': { type: 'string' },
      var: { type: 'string', multiple: true },
      json: { type: 'boolean' },
    })
    const [before, after, ...more] = positionals
    if (before === undefined || after === undefined || more.length > 0)
      throw new UsageError('name the old and the new policies')
    const failOn = FAILURES.find((known) => known === values['fail-on'])
    if (failOn === undefined && values['fail-on'] !== undefined)
      throw new UsageError(`--fail-on is one of ${FAILURES.join(', ')}`)
    const maxRequests = readCount(values['max-requests'])
    const requests = values['requests'] === undefined ? undefined : readRequests(String(values['requests']))
    const variables = readPairs(values['var'], 'var')
    const loaded = PolicyComparison.load(policySources([before]), policySources([after]), variables)
    if (!loaded.ok) {
      output.err(formatProblems(loaded.problems))
      return 2
    }
    const { comparison } = loaded
    const records = values['audit'] === undefined ? undefined : await readCalls(String(values['audit']), output)
    if (records === 'broken') return 1
    const found = comparison.diff({
      onProgress: progress(output),
      ...(maxRequests === undefined ? {} : { maxRequests }),
    })
    const asked = requests === undefined ? undefined : comparison.replay(requests)
    const replayed = records === undefined ? undefined : comparison.replayRecords(records)
    const all = [...found.differences, ...(asked?.differences ?? []), ...(replayed?.differences ?? [])]
    const failed = failOn !== undefined && all.some(({ direction }) => COUNTED[failOn].includes(direction))
    if (values['json'] === true) {
      const rest = {
        ...(asked === undefined ? {} : { requests: asked }),
        ...(replayed === undefined ? {} : { audit: replayed }),
      }
      output.out(JSON.stringify({ ok: !failed, ...found, ...rest }, undefined, 2))
    } else report(found, asked, replayed, failed, output)
    return failed ? 1 : 0
  },
}

function readCount(value: unknown): number | undefined {
  if (value === undefined) return undefined
  const count = Number(value)
  if (!Number.isSafeInteger(count) || count < 1) throw new UsageError('--max-requests is a number from 1 on')
  return count
}

function readRequests(path: string): readonly PolicyRequest[] {
  const { file, text } = readSource(path)
  return text
    .split('\n')
    .flatMap((line, index) =>
      line.trim() === '' ? [] : [readRequestText({ file: `${file} (line ${index + 1})`, text: line, format: 'json' })],
    )
}

const CALLS = { 'call.allowed': 'allow', 'call.denied': 'deny', 'call.escalated': 'escalate' } as const

async function readCalls(path: string, output: Output): Promise<readonly RecordedCall[] | 'broken'> {
  const calls: RecordedCall[] = []
  const result = await verifyAuditFile(path, {
    onRecord: (record) => {
      const call = callOf(record)
      if (call !== undefined) calls.push(call)
    },
  })
  if (result.ok) return calls
  for (const fault of result.faults) output.err(`${path}:${fault.line}: ${fault.kind}: ${fault.detail}`)
  output.err(`agentport diff: ${path} does not verify; what it says of calls is not used`)
  return 'broken'
}

function callOf({ type, ts, value }: AuditRecord): RecordedCall | undefined {
  if (!Object.hasOwn(CALLS, type)) return undefined
  const text = (key: string): string | undefined => {
    const found = (value as JsonObject)[key]
    return typeof found === 'string' ? found : undefined
  }
  const { resources } = value
  const listed = Array.isArray(resources) ? resources.filter((one): one is string => typeof one === 'string') : []
  const optional = Object.fromEntries(
    ['skill', 'run', 'principal', 'policy', 'layer'].flatMap((key) => {
      const found = text(key)
      return found === undefined ? [] : [[key, found]]
    }),
  )
  return {
    node: text('node') ?? '',
    tool: text('tool') ?? '',
    resources: listed,
    now: Date.parse(ts),
    decision: CALLS[type as keyof typeof CALLS],
    ...optional,
  }
}

/** Says how far it is, once it has taken a while. */
function progress(output: Output): (done: number, total: number) => void {
  let last = Date.now()
  return (done, total) => {
    if (Date.now() - last < PROGRESS_MS) return
    last = Date.now()
    output.err(`agentport diff: ${done} of ${total} statements`)
  }
}

function report(
  found: PolicyDiff,
  asked: Replay | undefined,
  replayed: Replay | undefined,
  failed: boolean,
  output: Output,
): void {
  const { differences, oldDigest, newDigest } = found
  for (const one of differences) output.out(differenceText(one))
  const mark = failed ? '✗' : '✓'
  if (oldDigest === newDigest) output.out(`${mark} no difference: the same statements`)
  else output.out(`${mark} ${countsOf(differences)}; ${found.asked} requests asked`)
  if (found.isPartial) output.out('  a bound was reached: there was more to ask (--max-requests)')
  for (const [name, replay] of [
    ['requests', asked],
    ['audit log', replayed],
  ] as const) {
    if (replay === undefined) continue
    for (const one of replay.differences) output.out(`${name}, ${one.count} times: ${differenceText(one)}`)
    const not = Object.entries(replay.notReplayable)
    const left = not.reduce((sum, [, count]) => sum + count, 0)
    output.out(`${mark} ${name}: ${replay.replayed} replayed, ${left} not; ${countsOf(replay.differences)}`)
    for (const [reason, count] of not) output.out(`  not replayable: ${count} (${reason})`)
  }
}

function countsOf(differences: readonly PolicyDifference[]): string {
  if (differences.length === 0) return 'no difference found'
  const count = (direction: PolicyDifference['direction']): string =>
    `${differences.filter((one) => one.direction === direction).length} ${direction}`
  return `${count('widened')}, ${count('narrowed')}, ${count('changed')}`
}

function differenceText({ kind, direction, summary, old, new: now, witnesses }: PolicyDifference): string {
  return [
    `${direction}: ${kind === 'decision' ? '' : `${kind}: `}${summary}`,
    ...verdictLines('old', old),
    ...verdictLines('new', now),
    ...witnesses.map((request) => `  e.g. ${asciiJson(request)}`),
  ].join('\n')
}

function verdictLines(side: string, verdict: DiffVerdict | undefined): readonly string[] {
  if (verdict === undefined) return []
  const { decision, code, rules } = verdict
  const [first = 'no rule', ...others] = rules.map(formatRule)
  const head = `${decision}${code === undefined ? '' : ` ${code}`}`
  return [`  ${side}: ${head}, ${first}`, ...others.map((rule) => `       ${rule}`)]
}

/** A request file may hold anything; a terminal gets none of it as it is. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
