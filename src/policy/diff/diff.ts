// The difference between two policy sets in what they decide, not in how they are written. Every difference reported has a
// request that both engines were asked, so none is invented; requests are tried, not all of them, so one can be missed.

import type { DenialCode, RuleRef } from '../../core/denial.ts'
import type { Problem } from '../../core/problem.ts'
import type { PolicyVerdict } from '../decide.ts'
import type { PolicySource } from '../load.ts'
import type { PolicyRequest } from '../request.ts'
import { compareVerdicts, type DifferenceKind, type Direction } from './compare.ts'
import { compareGrants } from './process.ts'
import { type RecordedCall, rebuildRequest } from './replay.ts'
import { type Hit, keyOf, Search } from './search.ts'
import { changedStatements, type LoadedSide, loadSide } from './statements.ts'
import { type RequestText, smallest, writeRequest } from './witness.ts'

export interface DiffOptions {
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
  /** `decision`: another decision. `process`: what is started for it gets other rights. Otherwise the same, on other terms. */
  readonly kind: DifferenceKind
  /** Whether more can happen with the new set. `changed`: some of both, or it cannot be said. */
  readonly direction: Direction
  /** One line, e.g. `deny → allow`. */
  readonly summary: string
  /** Absent of `process`. */
  readonly old?: DiffVerdict
  readonly new?: DiffVerdict
  /** Requests that show it, in the form that policy tests have. At least one, at most three. */
  readonly witnesses: readonly RequestText[]
}

export interface PolicyDiff {
  readonly oldDigest: string
  readonly newDigest: string
  /** What widens first. */
  readonly differences: readonly PolicyDifference[]
  /** Requests that were put to both sets. */
  readonly asked: number
  /** Whether a bound was reached: there was more to try. */
  readonly isPartial: boolean
}

export interface Replay {
  readonly differences: readonly (PolicyDifference & { readonly count: number })[]
  /** Requests that were put to both sets. */
  readonly replayed: number
  /** Reason → how many could not be. */
  readonly notReplayable: Readonly<Record<string, number>>
}

export type ComparisonLoad =
  | { readonly ok: true; readonly comparison: PolicyComparison }
  | { readonly ok: false; readonly problems: readonly Problem[] }

const MAX_REQUESTS = 200_000
const WITNESSES = 3

export class PolicyComparison {
  readonly #before: LoadedSide
  readonly #after: LoadedSide

  private constructor(before: LoadedSide, after: LoadedSide) {
    this.#before = before
    this.#after = after
  }

  /** Loads both sets; `variables` are those of the documents of both. */
  static load(
    oldSources: readonly PolicySource[],
    newSources: readonly PolicySource[],
    variables: Readonly<Record<string, string>> = {},
  ): ComparisonLoad {
    const before = loadSide('old', oldSources, variables)
    if (!before.ok) return before
    const after = loadSide('new', newSources, variables)
    if (!after.ok) return after
    return { ok: true, comparison: new PolicyComparison(before.side, after.side) }
  }

  /** Looks for requests that are decided differently. */
  diff(options: DiffOptions = {}): PolicyDiff {
    const { maxRequests = MAX_REQUESTS, onProgress } = options
    if (!(maxRequests >= 1)) throw new TypeError('maxRequests is not a positive number')
    const head = { oldDigest: this.#before.engine.digest, newDigest: this.#after.engine.digest }
    if (head.oldDigest === head.newDigest) return { ...head, differences: [], asked: 0, isPartial: false }
    const changed = changedStatements(this.#before, this.#after)
    const search = new Search(this.#before, this.#after, changed, maxRequests)
    changed.seeds.forEach((seed, index) => {
      search.around(seed, changed.seeds.length - index)
      onProgress?.(index + 1, changed.seeds.length)
    })
    const differences = [...search.groups.values()].map(({ hits }) => this.#difference(hits, true))
    return { ...head, differences: inOrder(differences), asked: search.asked, isPartial: search.cut }
  }

  /** Puts requests to both sets, as they are. */
  replay(requests: Iterable<PolicyRequest>): Replay {
    const groups = new Map<string, { readonly hits: Hit[]; count: number }>()
    let replayed = 0
    for (const request of requests) {
      replayed++
      for (const hit of this.#hits(request)) {
        const group = groups.get(keyOf(hit)) ?? { hits: [], count: 0 }
        groups.set(keyOf(hit), group)
        group.count++
        if (group.hits.length < WITNESSES) group.hits.push(hit)
      }
    }
    const differences = [...groups.values()].map(({ hits, count }) => ({ ...this.#difference(hits, false), count }))
    return { differences: inOrder(differences), replayed, notReplayable: {} }
  }

  /** Puts recorded calls to both sets, those whose verdict follows from what a record says. */
  replayRecords(records: Iterable<RecordedCall>): Replay {
    const requests: PolicyRequest[] = []
    const reasons = new Map<string, number>()
    for (const record of records) {
      const rebuilt = rebuildRequest(record, this.#before, this.#after)
      if (typeof rebuilt === 'string') reasons.set(rebuilt, (reasons.get(rebuilt) ?? 0) + 1)
      else requests.push(rebuilt)
    }
    return { ...this.replay(requests), notReplayable: Object.fromEntries([...reasons].sort()) }
  }

  #difference(hits: readonly Hit[], isShrunk: boolean): PolicyDifference {
    const [first] = hits
    if (first === undefined) throw new TypeError('a difference without a request that shows it')
    const key = keyOf(first)
    const shown = (request: PolicyRequest): Hit | undefined => this.#hits(request).find((hit) => keyOf(hit) === key)
    const witnesses = new Map<string, PolicyRequest>()
    for (const { request } of hits) {
      const small = isShrunk ? smallest(request, (smaller) => shown(smaller) !== undefined) : request
      const known = witnesses.get(likenessOf(small))
      if (known === undefined || rankOf(small) < rankOf(known)) witnesses.set(likenessOf(small), small)
    }
    const ordered = [...witnesses.values()].sort((a, b) => compareTexts(rankOf(a), rankOf(b))).slice(0, WITNESSES)
    const { shift, verdicts } = shown(ordered[0] ?? first.request) ?? first
    return {
      ...shift,
      ...(verdicts === undefined ? {} : { old: verdictOf(verdicts.before), new: verdictOf(verdicts.after) }),
      witnesses: ordered.map(writeRequest),
    }
  }

  #hits(request: PolicyRequest): readonly Hit[] {
    const [before, after] = [this.#before.engine, this.#after.engine]
    const verdicts = { before: before.evaluate(request), after: after.evaluate(request) }
    const process = compareGrants(before.grantsFor(request), after.grantsFor(request))
    const shifts = compareVerdicts(verdicts.before, verdicts.after).map((shift): Hit => ({ request, shift, verdicts }))
    return process === undefined ? shifts : [...shifts, { request, shift: process }]
  }
}

function verdictOf(verdict: PolicyVerdict): DiffVerdict {
  const { decision, rules } = verdict
  return decision === 'deny' ? { decision, code: verdict.code, rules } : { decision, rules }
}

/** What a reader would call the same request: a host that is reached by another scheme or port. */
function likenessOf(request: PolicyRequest): string {
  const resources = request.resources.map((one) => (one.kind === 'network' ? one.host.text : one))
  return JSON.stringify({ ...request, resources })
}

/** The shortest first, and what most calls look like before what few do. */
function rankOf(request: PolicyRequest): string {
  const text = JSON.stringify(writeRequest(request))
  const isPlain = request.resources.every((one) => one.kind !== 'network' || one.scheme === 'https')
  return `${isPlain ? 0 : 1}${String(text.length).padStart(9, '0')}${text}`
}

const DIRECTIONS = ['widened', 'changed', 'narrowed'] as const

function inOrder<D extends PolicyDifference>(differences: readonly D[]): readonly D[] {
  const keyed = differences.map((difference) => [orderOf(difference), difference] as const)
  return keyed.sort(([a], [b]) => compareTexts(a, b)).map(([, difference]) => difference)
}

function orderOf({ direction, kind, summary, old, new: now, witnesses }: PolicyDifference): string {
  const ids = [...(old?.rules ?? []), ...(now?.rules ?? [])].map(({ id }) => id)
  return JSON.stringify([DIRECTIONS.indexOf(direction), kind, ids, summary, witnesses])
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
