// A limit statement, and what one call takes from it. Counting is somebody else's; here it is only said whose counter and
// how much. An amount that cannot be told is not taken for nothing.

import type { Charge, LimitKind } from '../core/charge.ts'
import { sha256Hex } from '../core/crypto.ts'
import { hostTouches } from '../core/host-pattern.ts'
import type { NetworkResource } from '../core/resource.ts'
import { valueAt } from './condition.ts'
import { reachTouches } from './reach.ts'
import type { Question } from './request.ts'
import type { Rule } from './rule.ts'
import type { COUNTED_BY } from './schema.ts'

export type CountedBy = (typeof COUNTED_BY)[number]

export interface LimitSpec {
  readonly kind: LimitKind
  readonly max: number
  readonly perMs: number | undefined
  readonly burst: number | undefined
  /** Sorted; `['all']` is one counter for everybody. */
  readonly by: readonly CountedBy[]
  /** Tokens of the pointer to the amount; `undefined` is 1 a call. */
  readonly amount: readonly string[] | undefined
}

/** Longer keys are hashed: a destination alone can have 253 characters. */
const KEY_LENGTH = 512

/** What the call takes from the limit of `rule`; a text says what cannot be told. */
export function chargesOf(rule: Rule, spec: LimitSpec, question: Question): readonly Charge[] | string {
  const amount = amountOf(spec, question)
  if (amount === undefined) return 'the amount is absent or not a number from 0 on'
  const values: string[] = []
  for (const by of spec.by) {
    if (by === 'all' || by === 'destination') continue
    const value = question[by]
    if (value === undefined) return `the request does not say its ${by}`
    values.push(`${by}=${value}`)
  }
  if (!spec.by.includes('destination')) return [charge(rule, spec, values, amount, question)]
  const hosts = new Set<string>()
  for (const resource of question.resources) {
    if (resource.kind === 'network' && concernsDestination(rule, resource)) hosts.add(resource.host.text)
  }
  return [...hosts].sort().map((host) => charge(rule, spec, [...values, `destination=${host}`], amount, question))
}

function amountOf({ amount }: LimitSpec, { args }: Question): number | undefined {
  if (amount === undefined) return 1
  const value = valueAt(args, amount)
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined
}

function concernsDestination({ resources, reach }: Rule, network: NetworkResource): boolean {
  if (resources.hosts.length === 0) return true
  if (reach !== undefined && !reachTouches(reach, network)) return false
  return resources.hosts.some((pattern) => hostTouches(pattern, network))
}

function charge(
  { ref }: Rule,
  { kind, max, perMs, burst, by }: LimitSpec,
  values: readonly string[],
  amount: number,
  { run }: Question,
): Charge {
  // JSON, so that no value can be read as two: an id ending in what another begins with is another counter.
  const key = JSON.stringify([ref.id, ...values])
  return Object.freeze({
    limit: ref.id,
    kind,
    key: key.length <= KEY_LENGTH ? key : JSON.stringify([ref.id, `sha256:${sha256Hex(key)}`]),
    ...(run === undefined || !by.includes('run') ? {} : { run }),
    amount,
    max,
    ...(perMs === undefined ? {} : { perMs }),
    ...(burst === undefined ? {} : { burst }),
  })
}
