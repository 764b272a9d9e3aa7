// The card an approver reads. Left of the bar stands what we say, right of it what comes from outside, on every line: no
// argument can imitate a field, a line or the end of the card. What is not shown is said to be missing, at the top.

import { canonicalJson } from '../core/canonical.ts'
import { sha256Hex } from '../core/crypto.ts'
import type { JsonValue } from '../core/json.ts'
import { formatPointer } from '../core/pointer.ts'
import type { ApprovalQuestion } from './question.ts'
import { shortQuoted, shownName, wrap } from './visible.ts'

/** Arguments and resources shown, each; a person reads no more. */
const MAX_SHOWN = 60

const LABEL = 11
const LEAST_WIDTH = 40
const MOST_WIDTH = 1_000

/**
 * `question` as plain text lines of at most `width` columns (80 unless said; 40 to 1,000). Everything in it that comes
 * from a call, a skill or a policy is escaped; long values are cut, with their length and hash.
 */
export function renderApproval(question: ApprovalQuestion, options: { readonly width?: number } = {}): string {
  const width = Math.min(Math.max(Math.floor(options.width ?? 80), LEAST_WIDTH), MOST_WIDTH)
  const args = argumentLines(question.args)
  const resources = question.resources.slice(0, MAX_SHOWN).map(shownResource)
  const missing = [
    ...(args.hidden === 0 ? [] : [`${args.hidden} more arguments`]),
    ...(question.resources.length <= MAX_SHOWN ? [] : [`${question.resources.length - MAX_SHOWN} more resources`]),
  ].map((what) => `${what} NOT SHOWN (all of them: sha256 ${digestOf(question).slice(0, 16)})`)
  const fields: readonly (readonly [string, readonly string[]])[] = [
    ['INCOMPLETE', missing],
    ['tool', [shownName(question.tool)]],
    ['arguments', args.lines],
    ['touches', resources],
    ['skill', [`${shownName(question.skill)} ${shownName(question.skillDigest)}`]],
    ['node', [`${shownName(question.node)}, attempt ${question.attempt}, run ${shownName(question.run)}`]],
    ['for', [shownName(question.principal)]],
    ['asked by', question.demands.map(({ rule, reason }) => shownName(rule) + because(reason))],
    [
      'rules',
      question.rules.slice(0, MAX_SHOWN).map(({ id, file, line }) => `${shownName(id)} ${shownName(file)}:${line}`),
    ],
    ['approvers', question.demands.map(approversOf)],
    ['expires', [`${instant(question.expiresAt)}, asked ${instant(question.askedAt)}`]],
    ['policy', [shownName(question.policyDigest)]],
    ['digest', [shownName(question.digest)]],
  ]
  const card = fields
    .filter(([, values]) => values.length > 0)
    .flatMap(([label, values]) => field(label, values, width))
  return ['APPROVAL NEEDED', ...card].join('\n')
}

function field(label: string, values: readonly string[], width: number): readonly string[] {
  const lines = values.flatMap((value) =>
    wrap(value, width - LABEL - 5).map((line, index) => (index === 0 ? `| ${line}` : `|   ${line}`)),
  )
  return lines.map((line, index) => (index === 0 ? label : '').padEnd(LABEL) + line)
}

/** One line a scalar, with its JSON Pointer: nesting is no place to hide. */
function argumentLines(args: JsonValue | undefined): { readonly lines: readonly string[]; readonly hidden: number } {
  if (args === undefined) return { lines: ['none'], hidden: 0 }
  const lines: string[] = []
  let hidden = 0
  const walk = (value: JsonValue, path: readonly (string | number)[]): void => {
    if (typeof value === 'object' && value !== null) {
      const members = Object.entries(value as Readonly<Record<string, JsonValue>>)
      if (members.length > 0) {
        for (const [key, member] of members) walk(member, [...path, key])
        return
      }
    }
    if (lines.length === MAX_SHOWN) hidden++
    else lines.push(`${path.length === 0 ? '(all)' : shownName(formatPointer(path))}  ${scalar(value)}`)
  }
  walk(args, [])
  return { lines, hidden }
}

function scalar(value: JsonValue): string {
  if (typeof value === 'string') return shortQuoted(value)
  if (Array.isArray(value)) return '[]'
  return typeof value === 'object' && value !== null ? '{}' : `${value}`
}

/** `kind rest`: the kind is ours, the rest is not. */
function shownResource(resource: string): string {
  const space = resource.indexOf(' ')
  return space === -1
    ? shownName(resource)
    : `${shownName(resource.slice(0, space))} ${shownName(resource.slice(space + 1))}`
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${shortQuoted(reason)}`
}

function approversOf({ rule, quorum, approvers }: ApprovalQuestion['demands'][number]): string {
  const names = approvers.slice(0, MAX_SHOWN).map(shownName).join(', ')
  const rest = approvers.length > MAX_SHOWN ? ` and ${approvers.length - MAX_SHOWN} more` : ''
  return `${quorum} of ${approvers.length === 0 ? 'anybody' : names + rest} for ${shownName(rule)}`
}

function digestOf({ args, resources }: ApprovalQuestion): string {
  return sha256Hex(canonicalJson(args === undefined ? { resources } : { args, resources }))
}

function instant(epochMs: number): string {
  const date = new Date(epochMs)
  return Number.isNaN(date.getTime()) ? 'at an unknown time' : date.toISOString()
}
