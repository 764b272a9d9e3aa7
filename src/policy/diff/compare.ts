// What is different between two verdicts on one request, and which way: whether more can happen now, or less. Ids and reasons
// of statements are no difference. What is neither wholly wider nor wholly narrower is called changed, and counts as both.

import type { ApprovalDemand } from '../../core/approval.ts'
import { canonicalJson } from '../../core/canonical.ts'
import type { Charge } from '../../core/charge.ts'
import type { JsonValue } from '../../core/json.ts'
import type { Obligation } from '../../core/obligation.ts'
import type { PolicyVerdict } from '../decide.ts'

export type Direction = 'widened' | 'narrowed' | 'changed'
export type DifferenceKind = 'decision' | 'limits' | 'obligations' | 'approval' | 'process'

export interface Shift {
  readonly kind: DifferenceKind
  readonly direction: Direction
  /** One line, e.g. `deny → allow`. */
  readonly summary: string
}

const RANK = { deny: 0, escalate: 1, allow: 2 } as const

export function compareVerdicts(before: PolicyVerdict, after: PolicyVerdict): readonly Shift[] {
  if (before.decision !== after.decision) {
    const direction = RANK[after.decision] > RANK[before.decision] ? 'widened' : 'narrowed'
    return [{ kind: 'decision', direction, summary: `${before.decision} → ${after.decision}` }]
  }
  if (before.decision === 'deny' || after.decision === 'deny') return []
  const shifts: Shift[] = []
  const add = (kind: DifferenceKind, shift: Omit<Shift, 'kind'> | undefined): void => {
    if (shift !== undefined) shifts.push({ kind, ...shift })
  }
  add('limits', shiftOf(before.charges.map(limitOf), after.charges.map(limitOf), compareLimits))
  add('obligations', shiftOf(before.obligations.map(obligedOf), after.obligations.map(obligedOf), compareObligations))
  if (before.decision === 'escalate' && after.decision === 'escalate') {
    add('approval', shiftOf(before.demands.map(demandOf), after.demands.map(demandOf), compareDemands))
  }
  return shifts
}

/** Something a call is bound by. */
interface Bound<T> {
  readonly value: T
  /** Two bounds of different groups cannot be held against each other. */
  readonly group: string
  readonly words: string
  readonly text: string
}

/**
 * How the second list stands to the first. What both have is left out; of the rest, those of one group are held against each
 * other, what is gone has loosened and what has come has tightened.
 */
function shiftOf<T>(
  before: readonly Bound<T>[],
  after: readonly Bound<T>[],
  compare: (a: T, b: T) => Direction,
): Omit<Shift, 'kind'> | undefined {
  const gone = withoutShared(before, after)
  const come = withoutShared(after, before)
  if (gone.length === 0 && come.length === 0) return undefined
  const directions = new Set<Direction>()
  const texts: string[] = []
  for (const one of gone) {
    const index = come.findIndex(({ group }) => group === one.group)
    const [other] = index < 0 ? [] : come.splice(index, 1)
    directions.add(other === undefined ? 'widened' : compare(one.value, other.value))
    texts.push(other === undefined ? `no longer ${one.text}` : `${one.text} → ${other.text}`)
  }
  for (const one of come) {
    directions.add('narrowed')
    texts.push(`now ${one.text}`)
  }
  const [only] = directions
  return { direction: directions.size === 1 && only !== undefined ? only : 'changed', summary: texts.sort().join('; ') }
}

function withoutShared<T>(list: readonly Bound<T>[], others: readonly Bound<T>[]): Bound<T>[] {
  const left = others.map(({ words }) => words)
  return list.filter(({ words }) => {
    const index = left.indexOf(words)
    if (index >= 0) left.splice(index, 1)
    return index < 0
  })
}

/** Of several comparisons of one bound: -1 is tighter, 1 looser. */
function overall(signs: readonly number[]): Direction {
  const looser = signs.some((sign) => sign > 0)
  const tighter = signs.some((sign) => sign < 0)
  return looser && !tighter ? 'widened' : tighter && !looser ? 'narrowed' : 'changed'
}

function limitOf(charge: Charge): Bound<Charge> {
  const { kind, key, amount, max, perMs, burst } = charge
  // The id stands first in the key, and a statement by another id counts the same.
  const counted = (JSON.parse(key) as string[]).slice(1)
  const words = canonicalJson([kind, counted, amount, max, perMs ?? null, burst ?? null])
  const per = perMs === undefined ? '' : ` per ${perMs} ms`
  const by = counted.length === 0 ? 'all' : counted.map((one) => one.slice(0, one.indexOf('='))).join(', ')
  const text = `${kind} ${max}${per}${burst === undefined ? '' : ` burst ${burst}`}${amount === 1 ? '' : ` taking ${amount}`} by ${by}`
  return { value: charge, group: canonicalJson([kind, counted]), words, text }
}

function compareLimits(a: Charge, b: Charge): Direction {
  const sign = (before: number, after: number): number => Math.sign(after - before) || 0
  const span = (charge: Charge): number => charge.perMs ?? Number.POSITIVE_INFINITY
  const spans = span(a) === span(b) ? 0 : -Math.sign(span(b) - span(a))
  const bursts = a.kind === 'rate' ? sign(a.burst ?? a.max, b.burst ?? b.max) : 0
  const rates = a.kind === 'rate' ? sign(a.max / span(a), b.max / span(b)) : sign(a.max, b.max)
  return overall([rates, a.kind === 'rate' ? 0 : spans, bursts, -sign(a.amount, b.amount)])
}

function obligedOf(obligation: Obligation): Bound<Obligation> {
  const { id: _, ...rest } = obligation
  const words = canonicalJson(sortedLists(rest))
  const { kind, ...what } = rest
  return { value: obligation, group: kind, words, text: `${kind} ${canonicalJson(what as unknown as JsonValue)}` }
}

function sortedLists(value: object): JsonValue {
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      Array.isArray(member) ? [...new Set(member as string[])].sort() : (member as JsonValue),
    ]),
  )
}

function compareObligations(a: Obligation, b: Obligation): Direction {
  if (a.kind === 'cap' && b.kind === 'cap') {
    const keys = ['maxBytes', 'maxText', 'maxItems'] as const
    const bounds = keys.map((key) => signOf(a[key] ?? Number.POSITIVE_INFINITY, b[key] ?? Number.POSITIVE_INFINITY))
    return overall([...bounds, -moreOf(a.on, b.on)])
  }
  if (a.kind === 'redact' && b.kind === 'redact') {
    const more = [moreOf(a.on, b.on), moreOf(a.fields, b.fields), moreOf(a.patterns, b.patterns)]
    return overall([...more, Number(b.secrets) - Number(a.secrets)].map((sign) => -sign))
  }
  return 'changed'
}

function signOf(before: number, after: number): number {
  return before === after ? 0 : after > before ? 1 : -1
}

/** 1 where the second has all of the first and more, -1 the other way round; NaN-free: 0 when equal, and both when mixed. */
function moreOf(a: readonly string[], b: readonly string[]): number {
  const gained = b.some((one) => !a.includes(one))
  const lost = a.some((one) => !b.includes(one))
  // Mixed counts as less: what is gone is what a reader has to see.
  return lost ? -1 : gained ? 1 : 0
}

function demandOf({ rule: _1, reason: _2, ...demand }: ApprovalDemand): Bound<Omit<ApprovalDemand, 'rule' | 'reason'>> {
  const approvers = [...demand.approvers].sort()
  const words = canonicalJson({ ...demand, approvers })
  const who = approvers.length === 0 ? 'anybody' : approvers.join(', ')
  return { value: demand, group: 'demand', words, text: `${demand.quorum} of ${who} within ${demand.expiresMs} ms` }
}

type Demand = Omit<ApprovalDemand, 'rule' | 'reason'>

function compareDemands(a: Demand, b: Demand): Direction {
  // No names at all is anybody.
  const anybody = Number(b.approvers.length === 0) - Number(a.approvers.length === 0)
  const lost = anybody === 0 && a.approvers.some((one) => !b.approvers.includes(one))
  const gained = anybody === 0 && b.approvers.some((one) => !a.approvers.includes(one))
  const people = [anybody, lost ? -1 : 0, gained ? 1 : 0]
  return overall([...people, -signOf(a.quorum, b.quorum), signOf(a.expiresMs, b.expiresMs)])
}
