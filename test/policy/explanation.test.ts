// What explain() says agrees with what evaluate() decides, and the permission it offers is one: added, it grants.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { resourceOf } from '../../src/core/named-resource.ts'
import type { Resource } from '../../src/core/resource.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import { permissionYaml } from '../../src/policy/missing-permission.ts'
import type { RawRule } from '../../src/policy/schema.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const everyone = { nodes: ['*'], tools: ['*'] }
const BASE = { version: 1, rules: [{ id: 'other', effect: 'permit', nodes: ['other'], tools: ['other'] }] }
const engineOf = (document: object): PolicyEngine => PolicyEngine.from({ name: 'policy', value: document })
const ask = { node: 'n', tool: 't', args: {} }

const part = fc.string({
  unit: fc.constantFrom('a', 'B', '1', '*', '**', '?', '[', ']', '{', '!', '\\', ' ', 'é', '-', '~'),
  minLength: 1,
  maxLength: 6,
})
const path = fc
  .array(part, { minLength: 1, maxLength: 3 })
  .map((parts) => `/${parts.join('/')}`)
  .filter((text) => resourceOk('path', text))
const host = fc.constantFrom(
  'example.com',
  'a.b.example.com',
  'localhost',
  '192.0.2.7',
  '[2001:db8::1]',
  '[64:ff9b::a00:1]',
  '0.0.0.0',
  '127.0.0.1',
  '[::1]',
)
const port = fc.constantFrom('', ':443', ':80', ':8443')
const resource: fc.Arbitrary<Resource> = fc.oneof(
  fc
    .tuple(fc.constantFrom('https', 'http', 'wss', 'ws'), host, port, fc.constantFrom(undefined, 'GET', 'POST'))
    .map(([scheme, name, at, method]) =>
      resourceOf('url', `${scheme}://${name}${at}/`, method === undefined ? {} : { method }),
    ),
  fc.tuple(host, port).map(([name, at]) => resourceOf('host', `${name}${at}`)),
  fc.tuple(path, fc.constantFrom('read', 'write')).map(([text, access]) => resourceOf('path', text, { access })),
  path.map((text) => resourceOf('binary', text)),
  fc.constantFrom('LANG', 'HOME').map((name) => resourceOf('env', name)),
  fc
    .constantFrom('a:b', 'x/"y')
    .filter((name) => resourceOk('scope', name))
    .map((name) => resourceOf('scope', name)),
)

function resourceOk(kind: 'path' | 'scope', text: string): boolean {
  try {
    resourceOf(kind, text)
    return true
  } catch {
    return false
  }
}

describe('the missing permission', () => {
  test('added, it allows what was denied, and nothing beside it', () => {
    fc.assert(
      fc.property(fc.array(resource, { maxLength: 3 }), resource, (resources, stranger) => {
        const request = { ...ask, resources }
        const { verdict, permission } = engineOf(BASE).explain(request)
        if (verdict.decision !== 'deny') throw new Error('nothing permits it')
        if (permission === undefined) throw new Error('no permission is offered')
        if (permission.ungrantable.length > 0) return
        // By way of its text: that is what an operator takes over.
        const wider = PolicyEngine.from([
          { name: 'base', value: BASE },
          { file: 'added.yaml', text: `version: 1\n${permissionYaml(permission)}\n` },
        ])
        expect(wider.evaluate(request).decision).toBe('allow')
        expect(wider.evaluate({ ...request, node: 'm' }).decision).toBe('deny')
        expect(wider.evaluate({ ...request, tool: 'u' }).decision).toBe('deny')
        const named = new Set(resources.map(sameness))
        if (!named.has(sameness(stranger))) {
          expect(wider.evaluate({ ...ask, resources: [stranger] }).decision).toBe('deny')
        }
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  test('of an egress ceiling: an entry, and then perhaps a permit', () => {
    const egress = [{ id: 'e', nodes: ['n'], hosts: ['a.example.com'] }]
    const resources = [resourceOf('url', 'https://b.example.com/', { method: 'GET' })]
    const { verdict, permission, egress: standings } = engineOf({ ...BASE, egress }).explain({ ...ask, resources })
    expect(verdict).toMatchObject({ decision: 'deny', code: 'egress_not_granted' })
    expect(standings).toEqual([{ id: 'e', isAbout: true, resources: [] }])
    expect(permission?.egress).toEqual([
      { id: 'reach-n', nodes: ['n'], hosts: ['https://b.example.com'], methods: ['GET'] },
    ])
    const wider = engineOf({ ...BASE, egress: [...egress, ...(permission?.egress ?? [])] })
    expect(wider.evaluate({ ...ask, resources })).toMatchObject({ decision: 'deny', code: 'no_matching_permit' })
  })

  test('an id that is taken is not taken twice', () => {
    const taken = { ...BASE, rules: [{ ...everyone, nodes: ['z'], id: 'permit-n-t', effect: 'permit' }] }
    expect(engineOf(taken).explain({ ...ask, resources: [] }).permission?.rules[0]?.id).toBe('permit-n-t-2')
  })

  test.each(['forbid', 'require_approval'] as const)('nothing is offered against a %s that decides', (effect) => {
    const rules = [{ ...everyone, id: 'x', effect, args: { '/n': { min: 1 } } }]
    expect(engineOf({ version: 1, rules }).explain({ ...ask, resources: [] }).permission).toBeUndefined()
  })
})

/** A default port says the same as none, an address the same with and without. */
function sameness(one: Resource): string {
  if (one.kind !== 'network') return JSON.stringify({ ...one, from: '' })
  return one.host.text
}

describe('standings', () => {
  const about = (
    rule: Partial<RawRule>,
    resources: readonly Resource[],
    more: object = {},
  ): { standing: string; failed: readonly string[] } => {
    const engine = engineOf({
      version: 1,
      regions: { eu: { hosts: ['**.eu.test'] }, us: { hosts: ['**.us.test'] } },
      rules: [{ id: 'r', effect: 'permit', ...everyone, ...rule }],
    })
    const [standing] = engine.explain({ ...ask, resources, ...more }).statements
    if (standing === undefined) throw new Error('no standing')
    return standing
  }
  const url = (text: string, method?: string): readonly Resource[] => [
    resourceOf('url', text, method === undefined ? {} : { method }),
  ]

  test.each([
    [
      'a method nobody knows',
      { hosts: ['a.test'], methods: ['GET'] },
      url('https://a.test/'),
      'the host fits, the method is not known (it lists GET)',
    ],
    [
      'another method',
      { hosts: ['a.test'], methods: ['GET'] },
      url('https://a.test/', 'POST'),
      'the host fits, the method POST does not (it lists GET)',
    ],
    [
      'another port',
      { hosts: ['a.test'] },
      url('https://a.test:8443/'),
      'the host fits a.test, scheme or port does not',
    ],
    [
      'another region',
      { hosts: ['**.us.test'], residency: { destination: ['eu'] } },
      url('https://a.us.test/'),
      'the host fits, it is in us and has to be in eu',
    ],
    [
      'no region',
      { hosts: ['a.test'], residency: { outside: ['eu'] } },
      url('https://a.test/'),
      'the host fits, it is in no known region and has to be outside eu',
    ],
    [
      'the other access',
      { paths: { read: ['/a'] } },
      [resourceOf('path', '/a', { access: 'write' })],
      'it lists the path for read, not write',
    ],
    ['another host', { hosts: ['b.test'] }, url('https://a.test/'), 'it names none of the resources'],
    ['a role', { roles: ['*'], nodes: ['m'] }, [], 'nodes m'],
    ['a tool', { tools: ['u', 'v*'] }, [], 'tools u, v*'],
    ['processes', { libraries: ['/usr/lib/**'] }, [], 'it is about processes alone'],
  ] as const)('%s', (_, rule, resources, failed) => {
    const { standing, failed: told } = about(rule as unknown as Partial<RawRule>, resources)
    expect(standing).toBe('misses')
    expect(told.join()).toContain(failed)
  })

  test('a standing that applies is one the decision follows: a permit alone allows, a forbid alone forbids', () => {
    fc.assert(
      fc.property(resource, resource, fc.constantFrom('permit', 'forbid'), (listed, asked, effect) => {
        const { permission } = engineOf(BASE).explain({ ...ask, resources: [listed] })
        const [rule] = permission?.rules ?? []
        if (rule === undefined) return
        const engine = engineOf({ version: 1, rules: [{ ...rule, effect }] })
        const { verdict, statements } = engine.explain({ ...ask, resources: [asked] })
        const decides = verdict.decision === 'allow' || (verdict.decision === 'deny' && verdict.code === 'forbidden')
        expect(statements[0]?.standing === 'applies').toBe(decides)
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  test('a request that cannot be read has a verdict and nothing else', () => {
    const explanation = engineOf(BASE).explain({ ...ask, node: '', resources: [] })
    expect(explanation).toMatchObject({ verdict: { code: 'request_invalid' }, statements: [] })
  })
})
