// The compiled engine against the slow reference, on random policies and requests; and what must hold of any policy.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { PolicyEngine, type PolicyRequest, type PolicyVerdict } from '../../src/policy/engine.ts'
import type { RawPolicy, RawRule } from '../../src/policy/schema.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { Dice, documentsOf, extraRule, nearRequest, type PolicyDraft, policyDraft } from './arbitraries.ts'
import { isOfProcessesAlone, type ReferenceRequest, type ReferenceVerdict, referenceVerdict } from './reference.ts'

const REQUESTS = 100
const seed = fc.integer()
/** More runs take more time. */
const patience = { timeout: fuzzRuns(60_000) }

function engineOf(documents: readonly RawPolicy[]): PolicyEngine {
  return PolicyEngine.from(documents.map((value, index) => ({ name: `policy-${index}.json`, value })))
}

function requestsFor(draft: PolicyDraft, from: number, count: number = REQUESTS): ReferenceRequest[] {
  const dice = new Dice(from)
  return Array.from({ length: count }, () => nearRequest(draft, dice))
}

/** The part of a verdict that the reference also knows. */
function outline(verdict: PolicyVerdict): ReferenceVerdict {
  const rules = verdict.rules.map((rule) => rule.id)
  return verdict.decision === 'allow'
    ? { decision: 'allow', rules }
    : { decision: verdict.decision, code: verdict.denial.code, rules }
}

/** Much cheaper than an assertion, of which there would be 10⁵. */
function same(a: ReferenceVerdict, b: ReferenceVerdict): boolean {
  return a.decision === b.decision && a.code === b.code && a.rules.join() === b.rules.join()
}

/** 0 for allow, 1 for what a person may still allow, 2 for deny. */
function strictness({ decision }: { readonly decision: string }): number {
  return decision === 'allow' ? 0 : decision === 'escalate' ? 1 : 2
}

describe('the engine and the reference', patience, () => {
  test('agree on decision, code and determining rules', () => {
    const seen = new Map<string, number>()
    fc.assert(
      fc.property(policyDraft(), seed, (draft, from) => {
        const documents = documentsOf(draft)
        const engine = engineOf(documents)
        for (const request of requestsFor(draft, from)) {
          const verdict = outline(engine.evaluate(request))
          const expected = referenceVerdict(documents, request)
          if (!same(verdict, expected)) expect(verdict, JSON.stringify(request)).toEqual(expected)
          const key = verdict.code ?? (verdict.rules.length > 1 ? 'allow by several' : 'allow')
          seen.set(key, (seen.get(key) ?? 0) + 1)
        }
      }),
      { numRuns: fuzzRuns(1000) },
    )
    // A differential test that only ever sees one verdict proves nothing.
    const total = [...seen.values()].reduce((sum, count) => sum + count, 0)
    for (const key of ['allow', 'no_matching_permit', 'forbidden', 'policy_error', 'approval_required']) {
      expect((seen.get(key) ?? 0) / total, `${key} in ${JSON.stringify([...seen])}`).toBeGreaterThan(0.02)
    }
    expect(seen.get('allow by several')).toBeGreaterThan(0)
    expect(seen.get('role_unknown')).toBeGreaterThan(0)
  })
})

describe('whatever the policy says', patience, () => {
  test('one more forbid never makes anything more allowed', () => {
    fc.assert(
      fc.property(policyDraft(), extraRule(['forbid']), seed, (draft, forbid, from) => {
        const before = engineOf(documentsOf(draft))
        const after = engineOf(documentsOf(withRules(draft, [...draft.rules, forbid])))
        for (const request of requestsFor(draft, from, 40)) {
          if (strictness(after.evaluate(request)) < strictness(before.evaluate(request)))
            expect.fail(JSON.stringify(request))
        }
      }),
      { numRuns: fuzzRuns(250) },
    )
  })

  test('one more required approval never makes a denied call allowed, nor an allowed one quietly allowed by itself', () => {
    fc.assert(
      fc.property(policyDraft(), extraRule(['require_approval']), seed, (draft, approval, from) => {
        const before = engineOf(documentsOf(draft))
        const after = engineOf(documentsOf(withRules(draft, [...draft.rules, approval])))
        for (const request of requestsFor(withRules(draft, [approval]), from, 40)) {
          const isOpened = after.evaluate(request).decision === 'allow' && before.evaluate(request).decision !== 'allow'
          if (isOpened) expect.fail(JSON.stringify(request))
        }
      }),
      { numRuns: fuzzRuns(250) },
    )
  })

  test('one permit less never makes anything more allowed', () => {
    fc.assert(
      fc.property(policyDraft(), fc.nat(), seed, (draft, which, from) => {
        const permits = draft.rules.filter((rule) => rule.effect === 'permit')
        fc.pre(permits.length > 0)
        const dropped = permits[which % permits.length]
        const before = engineOf(documentsOf(draft))
        const after = engineOf(
          documentsOf(
            withRules(
              draft,
              draft.rules.filter((rule) => rule !== dropped),
            ),
          ),
        )
        for (const request of requestsFor(draft, from, 40)) {
          if (strictness(after.evaluate(request)) < strictness(before.evaluate(request)))
            expect.fail(JSON.stringify(request))
        }
      }),
      { numRuns: fuzzRuns(250) },
    )
  })

  test('the order of rules and files changes neither verdict nor digest', () => {
    fc.assert(
      fc.property(
        policyDraft(),
        fc.infiniteStream(fc.nat()),
        fc.integer({ min: 1, max: 3 }),
        seed,
        (draft, order, files, from) => {
          const shuffled = [...draft.rules]
            .map((rule) => ({ rule, at: order.next().value as number }))
            .sort((a, b) => a.at - b.at)
          const engine = engineOf(documentsOf(draft))
          const other = engineOf(documentsOf({ ...draft, files, rules: shuffled.map(({ rule }) => rule) }).reverse())
          expect(other.digest).toBe(engine.digest)
          for (const request of requestsFor(draft, from, 40)) {
            expect(withoutPlaces(other.evaluate(request))).toEqual(withoutPlaces(engine.evaluate(request)))
          }
        },
      ),
      { numRuns: fuzzRuns(250) },
    )
  })

  test('the same question has the same answer, however often and in whatever order it is asked', () => {
    fc.assert(
      fc.property(policyDraft(), seed, (draft, from) => {
        const engine = engineOf(documentsOf(draft))
        const requests = requestsFor(draft, from, 40)
        const first = requests.map((request) => engine.evaluate(request))
        expect(
          [...requests]
            .reverse()
            .map((request) => engine.evaluate(request))
            .reverse(),
        ).toEqual(first)
      }),
      { numRuns: fuzzRuns(100) },
    )
  })

  test('what only processes can have changes no verdict on a call', () => {
    let ofProcesses = 0
    fc.assert(
      fc.property(policyDraft(), seed, (draft, from) => {
        const rules = draft.rules.filter((rule) => !isOfProcessesAlone(rule))
        ofProcesses += draft.rules.length - rules.length
        const engine = engineOf(documentsOf(draft))
        const without = engineOf(documentsOf(withRules(draft, rules.map(ofCalls))))
        for (const request of requestsFor(draft, from, 40)) {
          const [verdict, expected] = [outline(engine.evaluate(request)), outline(without.evaluate(request))]
          if (!same(verdict, expected)) expect(verdict, JSON.stringify(request)).toEqual(expected)
        }
      }),
      { numRuns: fuzzRuns(250) },
    )
    expect(ofProcesses).toBeGreaterThan(fuzzRuns(100))
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
})

describe('a request of any shape', patience, () => {
  const names = fc.constantFrom(
    'fetch',
    'http_get',
    'web',
    'reader',
    '__proto__',
    'constructor',
    '',
    '*',
    'x'.repeat(500),
  )
  const junk = fc.oneof(
    names,
    fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withSet: true,
      withSparseArray: true,
    }),
  )
  const request = fc.record(
    { node: junk, roles: junk, skill: junk, tool: junk, args: junk, resources: fc.oneof(junk, fc.array(junk)) },
    { requiredKeys: [] },
  )
  const generous: RawPolicy = {
    version: 1,
    roles: { reader: { asserted: true } },
    rules: [
      {
        id: 'all',
        effect: 'permit',
        roles: ['*'],
        tools: ['*'],
        hosts: ['*:*', '0.0.0.0/0:*'],
        paths: { read: ['/**'], write: ['/**'] },
        binaries: ['/**'],
        env: ['HOME'],
      },
      { id: 'not-etc', effect: 'forbid', roles: ['*'], tools: ['*'], paths: { read: ['/etc/**'] } },
      {
        id: 'not-root',
        effect: 'forbid',
        roles: ['*'],
        tools: ['*'],
        args: { '/user': { equals: 'root', optional: true } },
      },
    ],
  }

  test('is answered, never thrown at, and only allowed when it is a request', () => {
    const engine = engineOf([generous])
    fc.assert(
      fc.property(request, (value) => {
        const verdict = engine.evaluate(value as unknown as PolicyRequest)
        if (verdict.decision !== 'allow') return
        expect(value.node).toMatch(/^[A-Za-z0-9_.:-]+$/)
        expect(value.tool).toMatch(/^[A-Za-z0-9_.:-]+$/)
        expect(Array.isArray(value.resources)).toBe(true)
        expect(referenceVerdict([generous], value as unknown as ReferenceRequest).decision).toBe('allow')
      }),
      { numRuns: fuzzRuns(3000) },
    )
  })

  const good: PolicyRequest = {
    node: 'fetch',
    tool: 'fs.read',
    args: {},
    resources: [{ kind: 'path', path: '/srv/a', access: 'read', from: '/p' }],
  }
  const etc = { kind: 'path', path: '/etc/passwd', access: 'read', from: '/p' }
  const fail = (): never => {
    throw new Error('secret')
  }
  const throwing = new Proxy(
    {},
    { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail, getOwnPropertyDescriptor: fail },
  )
  const hostile: readonly (readonly [string, unknown])[] = [
    ['null', null],
    ['undefined', undefined],
    ['a string', 'allow'],
    ['a function', () => good],
    ['a proxy that throws', throwing],
    ['args that throw', { ...good, args: throwing }],
    ['resources that throw', { ...good, resources: throwing }],
    ['a resource that throws', { ...good, resources: [throwing] }],
    ['resources like an empty list', { ...good, resources: { length: 0 } }],
    ['resources as a set', { ...good, resources: new Set() }],
    ['no resources at all', { node: 'fetch', tool: 'fs.read', args: {} }],
    [
      'a list whose iterator hides its items',
      { ...good, resources: Object.assign([etc], { *[Symbol.iterator]() {} }) },
    ],
    ['a hole in the list', { ...good, resources: Object.assign([good.resources[0]], { 2: etc }) }],
    [
      'a list that lies about its length',
      {
        ...good,
        resources: new Proxy([etc], { get: (list, key) => (key === 'length' ? 0.5 : Reflect.get(list, key)) }),
      },
    ],
    [
      'an endless list',
      {
        ...good,
        resources: new Proxy([], { get: (list, key) => (key === 'length' ? 2 ** 40 : Reflect.get(list, key)) }),
      },
    ],
    ['a tool as a list (array coercion)', { ...good, tool: ['fs.read'] }],
    ['a tool as an object with toString', { ...good, tool: { toString: () => 'fs.read' } }],
    ['a role as a list', { ...good, roles: 'reader' }],
    ['a role that is no name', { ...good, roles: [['reader']] }],
    ['a node with a line break', { ...good, node: 'fetch\n' }],
    ['args as a list', { ...good, args: [] }],
    ['args as null', { ...good, args: null }],
    ['a resource of an unknown kind', { ...good, resources: [{ kind: 'socket', path: '/srv/a', from: '' }] }],
    ['a resource with an inherited kind', { ...good, resources: [Object.create({ kind: 'path' })] }],
    ['a relative path', { ...good, resources: [{ ...etc, path: 'xetc/passwd' }] }],
    ['a path that climbs', { ...good, resources: [{ ...etc, path: '/srv/../etc/passwd' }] }],
    ['a doubled slash', { ...good, resources: [{ ...etc, path: '//etc/passwd' }] }],
    ['a NUL in a path', { ...good, resources: [{ ...etc, path: '/srv/a\0' }] }],
    ['an access that does not exist', { ...good, resources: [{ ...etc, path: '/srv/a', access: 'READ' }] }],
    [
      'a host in capitals',
      { ...good, resources: [{ kind: 'network', host: { kind: 'name', text: 'EVIL.test' }, from: '' }] },
    ],
    ['a short address', { ...good, resources: [{ kind: 'network', host: { kind: 'name', text: '127.1' }, from: '' }] }],
    ['a variable that is no name', { ...good, resources: [{ kind: 'env', name: 'A=B\u202e', from: '' }] }],
    [
      'a scheme of its own',
      { ...good, resources: [{ kind: 'network', host: { kind: 'name', text: 'a.test' }, scheme: 'HTTPS', from: '' }] },
    ],
    [
      'a port as text',
      { ...good, resources: [{ kind: 'network', host: { kind: 'name', text: 'a.test' }, port: '443', from: '' }] },
    ],
  ]

  test.each(hostile)('%s is denied', (_what, value) => {
    const engine = engineOf([generous])
    const verdict = engine.evaluate(value as PolicyRequest)
    expect(verdict.decision).toBe('deny')
    if (verdict.decision === 'allow') return
    expect(['request_invalid', 'internal_error', 'forbidden', 'policy_error']).toContain(verdict.denial.code)
    expect(JSON.stringify(verdict)).not.toContain('secret')
    expect(engine.evaluate(good).decision).toBe('allow')
  })

  test('a field that changes between two reads is read once', () => {
    const engine = engineOf([generous])
    let reads = 0
    const shifty = {
      ...good,
      get resources() {
        reads++
        return reads === 1 ? [etc] : good.resources
      },
    } as unknown as PolicyRequest
    expect(engine.evaluate(shifty).decision).toBe('deny')
    expect(reads).toBe(1)
    let paths = 0
    const resource = {
      ...etc,
      get path() {
        return paths++ === 0 ? '/etc/passwd' : '/srv/a'
      },
    }
    expect(engine.evaluate({ ...good, resources: [resource] } as unknown as PolicyRequest)).toMatchObject({
      denial: { code: 'forbidden' },
    })
    expect(paths).toBe(1)
  })

  test('numbers beside the text of a host are not believed', () => {
    const engine = engineOf([
      {
        version: 1,
        rules: [
          { id: 'net', effect: 'permit', roles: ['*'], tools: ['*'], hosts: ['0.0.0.0/0'] },
          { id: 'no-loopback', effect: 'forbid', roles: ['*'], tools: ['*'], hosts: ['127.0.0.0/8'] },
        ],
      },
    ])
    const host = { kind: 'ipv4', text: '127.0.0.1', value: 0x0808_0808 } as const
    expect(engine.evaluate({ ...good, resources: [{ kind: 'network', host, from: '' }] }).decision).toBe('deny')
  })

  test('an engine that breaks denies', () => {
    const engine = engineOf([generous])
    const args = {
      get user(): never {
        throw new Error('secret')
      },
    }
    const verdict = engine.evaluate({ ...good, args: args as unknown as PolicyRequest['args'] })
    expect(verdict).toMatchObject({ decision: 'deny', denial: { code: 'internal_error', recoverable: 'never' } })
    expect(JSON.stringify(verdict)).not.toContain('secret')
  })
})

function withRules(draft: PolicyDraft, rules: readonly RawRule[]): PolicyDraft {
  return { ...draft, rules }
}

/** A rule less what a call cannot touch. */
function ofCalls({ paths, libraries: _1, process_rights: _2, limits: _3, ...rest }: RawRule): RawRule {
  const { forbidden_syscalls: _4, execution_mode: _5, ...rule } = rest
  if (paths === undefined) return rule
  const { execute: _6, ...accesses } = paths
  return Object.keys(accesses).length === 0 ? rule : { ...rule, paths: accesses }
}

/** A verdict less what must follow the files: names and lines. */
function withoutPlaces(verdict: PolicyVerdict): unknown {
  return JSON.parse(JSON.stringify(verdict).replaceAll(/policy-\d\.json/g, 'FILE'))
}
