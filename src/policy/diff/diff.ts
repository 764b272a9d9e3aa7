// The difference between two policy sets in what they decide, not in how they are written. Every difference reported has a
// request that both engines were asked, so none is invented; requests are tried, not all of them, so one can be missed.

import type { DenialCode, RuleRef } from '../../core/denial.ts'
import type { Problem } from '../../core/problem.ts'
import type { PolicyVerdict } from '../decide.ts'
import type { PolicySource } from '../load.ts'
import type { PolicyRequest } from '../request.ts'
import { compareVerdicts, type DifferenceKind, type Direction } from './compare.ts'
import { compareGrants } from './process.ts'
import { type Hit, keyOf, Search } from './search.ts'
import { changedStatements, type LoadedSide, loadSide } from './statements.ts'
import { type RequestText, smallest, writeRequest } from './witness.ts'

export interface DiffOptions {
  /** Values for `${name}` in the documents of both sets. */
  readonly variables?: Readonly<Record<string, string>>
  /** Requests that are tried at most. Default 200000. */
  readonly maxRequests?: number
  /** Called after each statement that was looked around. */
  readonly onProgress?: (done: number, total: number) => void
}

export interface DiffVerdict {
  readonly decision: 'allow' | 'deny' | 'escalate'
  readonly code?: DenialCode
  readonly rules: readonly RuleRef[]
}

export interface PolicyDifference {
  /** `decision`: another decision. Otherwise the same, with other terms. `process`: what is started for it gets other rights. */
  readonly kind: DifferenceKind
  /** Whether more can happen with the new set. `changed`: some of both, or it cannot be said. */
  readonly direction: Direction
  readonly summary: string
  /** Absent of `process`. */
  readonly old?: DiffVerdict
  readonly new?: DiffVerdict
  /** Requests that show it, each as small as it got, in the form that policy tests have. At least one. */
  readonly witnesses: readonly RequestText[]
}

export interface PolicyDiff {
  readonly oldDigest: string
  readonly newDigest: string
  readonly differences: readonly PolicyDifference[]
  /** Requests that were put to both sets. */
  readonly asked: number
  /** Whether a bound was reached: there was more to try. */
  readonly isPartial: boolean
}

export type PolicyDiffResult =
  | { readonly ok: true; readonly diff: PolicyDiff }
  | { readonly ok: false; readonly problems: readonly Problem[] }

const MAX_REQUESTS = 200_000
const WITNESSES = 5

/** Compares two policy sets; `problems` when one of them does not load. */
export function diffPolicies(
  oldSources: readonly PolicySource[],
  newSources: readonly PolicySource[],
  options: DiffOptions = {},
): PolicyDiffResult {
  const { variables = {}, maxRequests = MAX_REQUESTS } = options
  if (!(maxRequests >= 1)) throw new TypeError('maxRequests is not a positive number')
  const before = loadSide('old', oldSources, variables)
  if (!before.ok) return before
  const after = loadSide('new', newSources, variables)
  if (!after.ok) return after
  return { ok: true, diff: diffSides(before.side, after.side, maxRequests, options.onProgress) }
}

function diffSides(
  before: LoadedSide,
  after: LoadedSide,
  maxRequests: number,
  onProgress: DiffOptions['onProgress'],
): PolicyDiff {
  const head = { oldDigest: before.engine.digest, newDigest: after.engine.digest }
  if (head.oldDigest === head.newDigest) return { ...head, differences: [], asked: 0, isPartial: false }
  const changed = changedStatements(before, after)
  const search = new Search(before, after, changed, maxRequests)
  changed.seeds.forEach((seed, index) => {
    search.around(seed, changed.seeds.length - index)
    onProgress?.(index + 1, changed.seeds.length)
  })
  const differences = [...search.groups.values()].map(({ hits }) => differenceOf(hits, before, after))
  differences.sort((a, b) => compareTexts(orderOf(a), orderOf(b)))
  return { ...head, differences, asked: search.asked, isPartial: search.cut }
}

const DIRECTIONS = ['widened', 'changed', 'narrowed'] as const

function orderOf({ direction, kind, summary, old, new: now, witnesses }: PolicyDifference): string {
  const ids = [...(old?.rules ?? []), ...(now?.rules ?? [])].map(({ id }) => id)
  return JSON.stringify([DIRECTIONS.indexOf(direction), kind, ids, summary, witnesses])
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function differenceOf(hits: readonly Hit[], before: LoadedSide, after: LoadedSide): PolicyDifference {
  const [first] = hits
  if (first === undefined) throw new TypeError('a difference without a request that shows it')
  const key = keyOf(first)
  const shows = (request: PolicyRequest): boolean => hitsOf(request, before, after).some((hit) => keyOf(hit) === key)
  const witnesses = new Map<string, PolicyRequest>()
  for (const { request } of hits) {
    if (witnesses.size >= WITNESSES) break
    const small = smallest(request, shows)
    witnesses.set(JSON.stringify(writeRequest(small)), small)
  }
  const ordered = [...witnesses].sort(([a], [b]) => a.length - b.length || compareTexts(a, b)).map(([, one]) => one)
  const told = hitsOf(ordered[0] ?? first.request, before, after).find((hit) => keyOf(hit) === key) ?? first
  const { kind, direction, summary } = told.shift
  return {
    kind,
    direction,
    summary,
    ...(told.verdicts === undefined
      ? {}
      : { old: verdictOf(told.verdicts.before), new: verdictOf(told.verdicts.after) }),
    witnesses: ordered.map(writeRequest),
  }
}

function verdictOf(verdict: PolicyVerdict): DiffVerdict {
  const { decision, rules } = verdict
  return decision === 'deny' ? { decision, code: verdict.code, rules } : { decision, rules }
}

function hitsOf(request: PolicyRequest, { engine: before }: LoadedSide, { engine: after }: LoadedSide): readonly Hit[] {
  const verdicts = { before: before.evaluate(request), after: after.evaluate(request) }
  const process = compareGrants(before.grantsFor(request), after.grantsFor(request))
  const shifts = compareVerdicts(verdicts.before, verdicts.after).map((shift): Hit => ({ request, shift, verdicts }))
  return process === undefined ? shifts : [...shifts, { request, shift: process }]
}
