// What must hold of every policy and request, whatever they say: what adding, dropping or leaving out may never open.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { conditionKey } from '../../src/core/condition-port.ts'
import type { PolicyRequest, PolicyVerdict } from '../../src/policy/engine.ts'
import type { RawPolicy, RawRule } from '../../src/policy/schema.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import {
  documentsOf,
  extraEgress,
  extraLimit,
  extraObligation,
  extraRule,
  extraSelector,
  type PolicyDraft,
  policyDraft,
} from './arbitraries.ts'
import { engineOf, requestsFor, seed } from './drafts.ts'
import { isOfProcessesAlone } from './reference.ts'

const REQUESTS = 40
/** More runs take more time. */
const patience = { timeout: fuzzRuns(60_000) }

/** 0 for allow, 1 for what a person may still allow, 2 for deny. */
function strictness({ decision }: PolicyVerdict): number {
  return decision === 'allow' ? 0 : decision === 'escalate' ? 1 : 2
}

/** What is asked of `draft` is answered at least as strictly by `narrower`. */
function expectNarrower(
  draft: PolicyDraft,
  narrower: PolicyDraft,
  from: number,
  {
    near = narrower,
    isNarrower = (before, after) => strictness(after) >= strictness(before),
  }: {
    readonly near?: PolicyDraft
    readonly isNarrower?: (before: PolicyVerdict, after: PolicyVerdict) => boolean
  } = {},
): void {
  const before = engineOf(documentsOf(draft))
  const after = engineOf(documentsOf(narrower))
  for (const request of requestsFor(near, from, REQUESTS)) {
    const verdicts = [before.evaluate(request), after.evaluate(request)] as const
    if (!isNarrower(...verdicts)) expect.fail(JSON.stringify([request, ...verdicts]))
  }
}

describe('one more statement', patience, () => {
  test('that forbids never makes anything more allowed', () => {
    fc.assert(
      fc.property(policyDraft(), extraRule(['forbid']), seed, (draft, forbid, from) => {
        expectNarrower(draft, { ...draft, rules: [...draft.rules, forbid] }, from)
      }),
      { numRuns: fuzzRuns(100) },
    )
  })

  test('that requires approval never opens what was denied by itself, and never quietens what was asked', () => {
    fc.assert(
      fc.property(policyDraft(), extraRule(['require_approval']), seed, (draft, approval, from) => {
        expectNarrower(draft, { ...draft, rules: [...draft.rules, approval] }, from, {
          near: { ...draft, rules: [approval] },
          isNarrower: (before, after) => after.decision !== 'allow' || before.decision === 'allow',
        })
      }),
      { numRuns: fuzzRuns(100) },
    )
  })

  test('that limits never makes anything more allowed, nor takes less from the other limits', () => {
    fc.assert(
      fc.property(policyDraft(), extraLimit, seed, (draft, limit, from) => {
        expectNarrower(draft, { ...draft, limits: [...draft.limits, limit] }, from, { isNarrower: costsMore })
      }),
      { numRuns: fuzzRuns(100) },
    )
  })

  test('that obliges never makes anything more allowed, nor lifts another obligation', () => {
    fc.assert(
      fc.property(policyDraft(), extraObligation, seed, (draft, obligation, from) => {
        const narrower = { ...draft, obligations: [...draft.obligations, obligation] }
        expectNarrower(draft, narrower, from, { isNarrower: costsMore })
      }),
      { numRuns: fuzzRuns(100) },
    )
  })

  test('of egress never makes more allowed than there is without any', () => {
    fc.assert(
      fc.property(policyDraft(), extraEgress, seed, (draft, table, from) => {
        expectNarrower({ ...draft, egress: [] }, { ...draft, egress: [...draft.egress, table] }, from)
      }),
      { numRuns: fuzzRuns(100) },
    )
  })

  test('that permits and is dropped never makes anything more allowed', () => {
    fc.assert(
      fc.property(policyDraft(), fc.nat(), seed, (draft, which, from) => {
        const dropped = pickPermit(draft, which)
        const rules = draft.rules.filter((rule) => rule !== dropped)
        expectNarrower(draft, { ...draft, rules }, from, { near: draft })
      }),
      { numRuns: fuzzRuns(100) },
    )
  })

  test('of a permit that is narrowed by one more key never makes anything more allowed', () => {
    fc.assert(
      fc.property(policyDraft(), extraSelector, fc.nat(), seed, (draft, extra, which, from) => {
        const permit = pickPermit(draft, which)
        const [key = ''] = Object.keys(extra)
        fc.pre((permit as Keys)[key] === undefined)
        fc.pre(permit.hosts !== undefined || !(key === 'methods' || key === 'residency'))
        const rules = draft.rules.map((rule) => (rule === permit ? { ...rule, ...extra } : rule))
        expectNarrower(draft, { ...draft, rules }, from, { near: draft })
      }),
      { numRuns: fuzzRuns(250) },
    )
  })
})

type Keys = Readonly<Record<string, unknown>>

function pickPermit({ rules }: PolicyDraft, which: number): RawRule {
  const permits = rules.filter((rule) => rule.effect === 'permit')
  const permit = permits[which % permits.length]
  fc.pre(permit !== undefined)
  return permit as RawRule
}

/** At least as strict; and where it is still not denied, everything that was taken and obliged still is. */
function costsMore(before: PolicyVerdict, after: PolicyVerdict): boolean {
  if (strictness(after) < strictness(before)) return false
  if (before.decision === 'deny' || after.decision === 'deny') return true
  const taken = new Set(after.charges.map((charge) => JSON.stringify(charge)))
  const obliged = new Set(after.obligations.map(({ id }) => id))
  return (
    before.charges.every((charge) => taken.has(JSON.stringify(charge))) &&
    before.obligations.every(({ id }) => obliged.has(id))
  )
}

describe('a request that tells less', patience, () => {
  const FIELDS = [
    'labels',
    'skill',
    'upstream',
    'downstream',
    'facts',
    'dataRegions',
    'now',
    'run',
    'principal',
    'answers',
  ] as const satisfies readonly (keyof PolicyRequest)[]

  /** `roles` are claims, and a role that is not claimed is not held: the one field that is no knowledge. */
  const withoutField = (request: PolicyRequest, field: (typeof FIELDS)[number]): PolicyRequest => {
    const { [field]: _dropped, ...rest } = request
    return rest as PolicyRequest
  }

  test('is never allowed more, nor charged or obliged to less, whichever field it leaves out', () => {
    let changed = 0
    fc.assert(
      fc.property(policyDraft(), seed, (draft, from) => {
        const engine = engineOf(documentsOf(draft))
        for (const request of requestsFor(draft, from, 20)) {
          const before = engine.evaluate(request)
          for (const field of FIELDS) {
            if (request[field] === undefined) continue
            const after = engine.evaluate(withoutField(request, field))
            if (!costsMore(before, after)) expect.fail(JSON.stringify([field, request, before, after]))
            if (after.decision !== before.decision) changed++
          }
        }
      }),
      { numRuns: fuzzRuns(150) },
    )
    expect(changed).toBeGreaterThan(fuzzRuns(20))
  })

  test('nor which method, which argument or fact, where no condition calls their absence harmless', () => {
    let changed = 0
    fc.assert(
      fc.property(policyDraft(), seed, (draft, from) => {
        const documents = documentsOf(draft).map(withoutOptional)
        const engine = engineOf(documents)
        for (const request of requestsFor(draft, from, 20)) {
          const before = engine.evaluate(request)
          for (const [what, less] of lesser(request)) {
            const after = engine.evaluate(less)
            if (strictness(after) < strictness(before)) expect.fail(JSON.stringify([what, request, before, after]))
            if (after.decision !== before.decision) changed++
          }
        }
      }),
      { numRuns: fuzzRuns(100) },
    )
    expect(changed).toBeGreaterThan(fuzzRuns(20))
  })

  function withoutOptional(policy: RawPolicy): RawPolicy {
    return JSON.parse(JSON.stringify(policy).replaceAll(/,"optional":true/g, '')) as RawPolicy
  }

  function* lesser(request: PolicyRequest): Generator<readonly [string, PolicyRequest]> {
    for (const name of ['args', 'facts', 'answers'] as const) {
      for (const key of Object.keys(request[name] ?? {})) {
        const { [key]: _dropped, ...rest } = request[name] as Keys
        yield [`${name} ${key}`, { ...request, [name]: rest } as PolicyRequest]
      }
    }
    const resources = request.resources.map((resource) => {
      if (resource.kind !== 'network') return resource
      const { method: _dropped, ...rest } = resource
      return rest
    })
    yield ['methods', { ...request, resources }]
  }
})

describe('whatever the policy says', patience, () => {
  test('the order of statements, files and what stands in their lists changes neither verdict nor digest', () => {
    fc.assert(
      fc.property(
        policyDraft(),
        fc.infiniteStream(fc.nat()),
        fc.integer({ min: 1, max: 3 }),
        seed,
        (draft, order, files, from) => {
          const shuffled = <T>(list: readonly T[]): T[] =>
            list
              .map((value) => ({ value, at: order.next().value as number }))
              .sort((a, b) => a.at - b.at)
              .map(({ value }) => value)
          const { rules, limits, obligations, egress } = draft
          const other: PolicyDraft = {
            ...draft,
            files,
            rules: shuffled(rules),
            limits: shuffled(limits),
            obligations: shuffled(obligations),
            egress: shuffled(egress),
          }
          const engine = engineOf(documentsOf(draft))
          const moved = engineOf(documentsOf(other).reverse())
          expect(moved.digest).toBe(engine.digest)
          const turned = engineOf(documentsOf(draft).map(withListsTurned))
          for (const request of requestsFor(draft, from, REQUESTS)) {
            const verdict = withoutPlaces(engine.evaluate(request))
            const resources = [...request.resources].reverse()
            if (withoutPlaces(moved.evaluate(request)) !== verdict) expect.fail(JSON.stringify(request))
            if (withoutPlaces(turned.evaluate(request)) !== verdict) expect.fail(JSON.stringify(request))
            const swapped = engine.evaluate({ ...request, resources })
            if (swapped.decision !== engine.evaluate(request).decision) expect.fail(JSON.stringify(request))
          }
        },
      ),
      { numRuns: fuzzRuns(100) },
    )
  })

  test('the same question has the same answer, whatever was asked, explained or looked up in between', () => {
    fc.assert(
      fc.property(policyDraft(), seed, (draft, from) => {
        const engine = engineOf(documentsOf(draft))
        const requests = requestsFor(draft, from, REQUESTS)
        const first = requests.map((request) => JSON.stringify(engine.evaluate(request)))
        for (const request of [...requests].reverse()) {
          engine.unanswered(request)
          engine.explain(request)
        }
        const again = [...requests].reverse().map((request) => JSON.stringify(engine.evaluate(request)))
        expect(again.reverse()).toEqual(first)
      }),
      { numRuns: fuzzRuns(60) },
    )
  })

  test('what only processes can have changes no verdict on a call', () => {
    let ofProcesses = 0
    fc.assert(
      fc.property(policyDraft(), seed, (draft, from) => {
        const rules = draft.rules.filter((rule) => !isOfProcessesAlone(rule))
        ofProcesses += draft.rules.length - rules.length
        const engine = engineOf(documentsOf(draft))
        const without = engineOf(documentsOf({ ...draft, rules: rules.map(ofCalls) }))
        for (const request of requestsFor(draft, from, REQUESTS)) {
          const [verdict, expected] = [
            withoutPlaces(engine.evaluate(request)),
            withoutPlaces(without.evaluate(request)),
          ]
          if (verdict !== expected) expect(verdict, JSON.stringify(request)).toBe(expected)
        }
      }),
      { numRuns: fuzzRuns(100) },
    )
    expect(ofProcesses).toBeGreaterThan(fuzzRuns(20))
  })

  test('nothing granted, nothing allowed', () => {
    let decisions = 0
    fc.assert(
      fc.property(policyDraft(['forbid', 'require_approval']), seed, (draft, from) => {
        const engine = engineOf(documentsOf(draft))
        for (const request of requestsFor(draft, from, 400)) {
          decisions++
          if (engine.evaluate(request).decision === 'allow') expect.fail(JSON.stringify(request))
        }
      }),
      { numRuns: fuzzRuns(250) },
    )
    expect(decisions).toBeGreaterThanOrEqual(fuzzRuns(100_000))
  })

  test('what explains says the same as what decides', () => {
    fc.assert(
      fc.property(policyDraft(), seed, (draft, from) => {
        const engine = engineOf(documentsOf(draft))
        for (const request of requestsFor(draft, from, REQUESTS)) {
          const verdict = engine.evaluate(request)
          const { verdict: again, statements } = engine.explain(request)
          expect(JSON.stringify(again)).toBe(JSON.stringify(verdict))
          const ids = (effect: string, standing: string): readonly string[] =>
            statements
              .filter((one) => one.rule.effect === effect && one.standing === standing)
              .map(({ rule }) => rule.id)
              .sort()
          const decided = verdict.rules.map(({ id }) => id)
          const code = verdict.decision === 'deny' ? verdict.code : verdict.decision
          if (code === 'role_unknown' || code === 'request_invalid') {
            expect(statements).toEqual([])
            continue
          }
          expect(ids('forbid', 'applies')).toEqual(code === 'forbidden' ? decided : [])
          if (code === 'policy_error' || code === 'condition_unavailable') {
            const standing = verdict.rules[0]?.effect === 'limit' ? /^(cannot_be_told|applies)$/ : /^cannot_be_told$/
            for (const { rule, standing: at } of statements) if (decided.includes(rule.id)) expect(at).toMatch(standing)
          }
          if (verdict.decision === 'escalate') expect(ids('require_approval', 'applies')).toEqual(decided)
          if (verdict.decision !== 'allow') continue
          expect(ids('require_approval', 'applies')).toEqual([])
          expect(ids('permit', 'applies')).toEqual(expect.arrayContaining(decided))
          expect(ids('oblige', 'applies')).toEqual(verdict.obligations.map(({ id }) => id).sort())
          for (const effect of ['forbid', 'require_approval', 'limit', 'oblige']) {
            expect(ids(effect, 'cannot_be_told')).toEqual([])
          }
        }
      }),
      { numRuns: fuzzRuns(80) },
    )
  })

  test('one round of answers is enough, and what was not asked for changes nothing', () => {
    let asked = 0
    fc.assert(
      fc.property(policyDraft(), seed, fc.infiniteStream(fc.boolean()), (draft, from, say) => {
        const engine = engineOf(documentsOf(draft))
        for (const { answers: _known, ...request } of requestsFor(draft, from, REQUESTS)) {
          const keys = engine.unanswered(request).map(conditionKey)
          const answers = Object.fromEntries(keys.map((key) => [key, say.next().value as boolean]))
          if (keys.length > 0) asked++
          expect(engine.unanswered({ ...request, answers })).toEqual([])
          const verdict = engine.evaluate({ ...request, answers })
          expect(verdict.decision === 'deny' && verdict.code).not.toBe('condition_unavailable')
          for (const also of [true, false]) {
            const others = { 'opa allow': also, 'opa allow more': also, 'cedar permit(x)': also, ...answers }
            const other = engine.evaluate({ ...request, answers: others })
            expect(withoutPlaces(other)).toBe(withoutPlaces(verdict))
          }
        }
      }),
      { numRuns: fuzzRuns(60) },
    )
    expect(asked).toBeGreaterThan(fuzzRuns(100))
  })
})

/** A rule less what a call cannot touch. */
function ofCalls({ paths, libraries: _1, process_rights: _2, limits: _3, ...rest }: RawRule): RawRule {
  const { forbidden_syscalls: _4, execution_mode: _5, ...rule } = rest
  if (paths === undefined) return rule
  const { execute: _6, ...accesses } = paths
  return Object.keys(accesses).length === 0 ? rule : { ...rule, paths: accesses }
}

/** A document whose every list goes from back to front. */
function withListsTurned(policy: RawPolicy): RawPolicy {
  const turned = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(turned).reverse()
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, turned(member)]))
  }
  return turned(policy) as RawPolicy
}

/** A verdict as text, less what must follow the files (names, lines) and the words for people. */
function withoutPlaces(verdict: PolicyVerdict): string {
  const rules = verdict.rules.map(({ id }) => id)
  if (verdict.decision === 'deny') return JSON.stringify(['deny', verdict.code, rules])
  const { decision, charges, obligations } = verdict
  const demands = verdict.decision === 'escalate' ? verdict.demands.map(({ rule }) => rule) : []
  return JSON.stringify([decision, rules, charges, obligations.map(({ id }) => id), demands])
}
