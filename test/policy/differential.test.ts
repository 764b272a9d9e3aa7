// The compiled engine against the slow reference, on random policies and requests; and how much of the language they met.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { PolicyVerdict } from '../../src/policy/engine.ts'
import type { RawPolicy, RawRule } from '../../src/policy/schema.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { documentsOf, type PolicyDraft, policyDraft } from './arbitraries.ts'
import { engineOf, requestsFor, seed } from './drafts.ts'
import { type ReferenceVerdict, referenceVerdict } from './reference.ts'

const REQUESTS = 250
/** Every so many requests it is found out which keys of the policy made the difference; more often of some. */
const SAMPLE = 32
const RARE_SAMPLE = 8
const RARE: readonly string[] = ['methods', 'residency.destination', 'residency.outside', 'role labels']
/** More runs take more time. */
const patience = { timeout: fuzzRuns(120_000) }

/** A verdict as text, as far as the reference knows it; counters are compared by {@link Counters}. */
function outline({ decision, code, rules, charges, obligations, demands }: ReferenceVerdict): string {
  const taken = charges.map(({ limit, kind, run, amount, max, perMs, burst }) =>
    [limit, kind, run, amount, max, perMs, burst].join(' '),
  )
  const asked = demands.map(({ rule, approvers, quorum, expiresMs }) =>
    [rule, approvers.join('+'), quorum, expiresMs].join(' '),
  )
  const parts = [decision, code, rules, taken.sort(), [...obligations].sort(), asked.sort()]
  return parts.map((part) => (Array.isArray(part) ? part.join(', ') : part)).join(' | ')
}

function asReference(verdict: PolicyVerdict): ReferenceVerdict {
  const rules = verdict.rules.map((rule) => rule.id)
  if (verdict.decision === 'deny') {
    return { decision: 'deny', code: verdict.code, rules, charges: [], obligations: [], demands: [] }
  }
  const charges = verdict.charges.map(({ key, ...charge }) => ({ ...charge, counter: key }))
  const obligations = verdict.obligations.map(({ id }) => id)
  if (verdict.decision === 'allow') return { decision: 'allow', rules, charges, obligations, demands: [] }
  const { demands, denial } = verdict
  return { decision: 'escalate', code: denial.code, rules, charges, obligations, demands }
}

/** Which counter of the engine is which of the reference: always the same, and no two are one. */
class Counters {
  readonly #byKey = new Map<string, string>()
  readonly #byCounter = new Map<string, string>()

  agree(ours: ReferenceVerdict, theirs: ReferenceVerdict): boolean {
    const order = (a: { counter: string; limit: string }, b: { counter: string; limit: string }): number =>
      a.limit < b.limit ? -1 : a.limit > b.limit ? 1 : a.counter < b.counter ? -1 : 1
    const expected = [...theirs.charges].sort(order)
    // By the order of keys the same destinations come in the same order on both sides.
    return [...ours.charges].sort(order).every(({ limit, counter: key }, index) => {
      const counter = `${limit}: ${expected[index]?.counter}`
      return this.#same(this.#byKey, key, counter) && this.#same(this.#byCounter, counter, key)
    })
  }

  #same(known: Map<string, string>, from: string, to: string): boolean {
    const before = known.get(from)
    if (before === undefined) known.set(from, to)
    return before === undefined || before === to
  }
}

type Keys = Readonly<Record<string, unknown>>

/** Policies without one key, to find out whether it made a difference. */
const FACETS: Readonly<Record<string, (policy: RawPolicy) => RawPolicy>> = {
  ...Object.fromEntries(
    ['args', 'facts', 'labels', 'after', 'before', 'skills', 'methods', 'during', 'ask', 'nodes', 'roles'].map(
      (key) => [key, (policy: RawPolicy) => mapStatements(policy, ({ [key]: _dropped, ...rest }) => rest)],
    ),
  ),
  ...Object.fromEntries(
    ['source', 'destination', 'outside'].map((key) => [
      `residency.${key}`,
      (policy: RawPolicy) =>
        mapStatements(policy, ({ residency = {}, ...rest }) => {
          const { [key]: _dropped, ...others } = residency as Keys
          return { ...rest, residency: others }
        }),
    ]),
  ),
  oauth_scopes: (policy) =>
    mapStatements(policy, (rest) => ({
      ...rest,
      ...(rest['oauth_scopes'] === undefined ? {} : { oauth_scopes: ['other'] }),
    })),
  'role labels': ({ roles = {}, ...policy }) => ({
    ...policy,
    roles: Object.fromEntries(Object.entries(roles).map(([name, { labels: _dropped, ...role }]) => [name, role])),
  }),
  egress: ({ egress: _dropped, ...policy }) => policy,
  limits: ({ limits: _dropped, ...policy }) => policy,
  obligations: ({ obligations: _dropped, ...policy }) => policy,
  approval: (policy) => mapStatements(policy, ({ approval: _dropped, ...rest }) => rest),
  contains: (policy) => withoutTest(policy, 'contains'),
  every: (policy) => withoutTest(policy, 'every'),
  some: (policy) => withoutTest(policy, 'some'),
  pattern: (policy) => withoutTest(policy, 'pattern'),
  schema: (policy) => withoutTest(policy, 'schema'),
  optional: (policy) => mapConditions(policy, ({ optional: _dropped, ...tests }) => tests),
}

function mapStatements(policy: RawPolicy, map: (statement: Keys) => Keys): RawPolicy {
  const each = <T>(list: readonly T[]): T[] => list.map((one) => map(one as Keys) as T)
  return {
    ...policy,
    rules: each<RawRule>(policy.rules),
    limits: each(policy.limits ?? []),
    obligations: each(policy.obligations ?? []),
  }
}

function mapConditions(policy: RawPolicy, map: (condition: Keys) => Keys): RawPolicy {
  const all = (conditions: unknown): Keys =>
    Object.fromEntries(Object.entries((conditions ?? {}) as Record<string, Keys>).map(([at, one]) => [at, map(one)]))
  return mapStatements(policy, ({ args, facts, ...rest }) => ({
    ...rest,
    ...(args === undefined ? {} : { args: all(args) }),
    ...(facts === undefined ? {} : { facts: all(facts) }),
  }))
}

/** A condition that is no longer there holds. */
function withoutTest(policy: RawPolicy, test: string): RawPolicy {
  return mapConditions(policy, ({ [test]: _dropped, ...tests }) => tests)
}

class Tally {
  readonly counts = new Map<string, number>()

  add(key: string): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
  }

  of(key: string): number {
    return this.counts.get(key) ?? 0
  }

  get text(): string {
    return JSON.stringify(Object.fromEntries([...this.counts].sort(([, a], [, b]) => b - a)))
  }
}

describe('the engine and the reference', patience, () => {
  test('agree on decision, code, determining rules, charges, obligations and demands', () => {
    const seen = new Tally()
    const decisive = new Tally()
    let total = 0
    const compare = (draft: PolicyDraft, from: number): void => {
      const documents = documentsOf(draft)
      const engine = engineOf(documents)
      const counters = new Counters()
      const without = Object.entries(FACETS).map(([facet, strip]) => ({ facet, documents: documents.map(strip) }))
      for (const request of requestsFor(draft, from, REQUESTS)) {
        const verdict = asReference(engine.evaluate(request))
        const expected = referenceVerdict(documents, request)
        const text = outline(expected)
        if (outline(verdict) !== text || !counters.agree(verdict, expected)) {
          expect({ ...verdict, request }).toEqual({ ...expected, request })
          expect.fail(`counters differ: ${JSON.stringify([verdict.charges, expected.charges])}`)
        }
        seen.add(verdict.code ?? (verdict.rules.length > 1 ? 'allow by several' : 'allow'))
        if (verdict.charges.length > 0) seen.add('charged')
        if (verdict.obligations.length > 0) seen.add('obliged')
        total++
        for (const { facet, documents: stripped } of without) {
          if (total % (RARE.includes(facet) ? RARE_SAMPLE : SAMPLE) !== 0) continue
          if (outline(referenceVerdict(stripped, request)) !== text) decisive.add(facet)
        }
      }
    }
    fc.assert(fc.property(policyDraft(), seed, compare), { numRuns: fuzzRuns(400) })
    // A differential test that only ever sees one verdict proves nothing.
    for (const key of ['allow', 'no_matching_permit', 'forbidden', 'policy_error', 'approval_required', 'charged']) {
      expect(seen.of(key) / total, `${key} in ${seen.text}`).toBeGreaterThan(0.01)
    }
    for (const key of ['condition_unavailable', 'egress_not_granted', 'role_unknown', 'request_invalid', 'obliged']) {
      expect(seen.of(key) / total, `${key} in ${seen.text}`).toBeGreaterThan(0.001)
    }
    expect(seen.of('allow by several')).toBeGreaterThan(0)
    for (const facet of Object.keys(FACETS)) {
      expect(decisive.of(facet), `${facet} in ${decisive.text}`).toBeGreaterThan(0)
    }
  })
})
