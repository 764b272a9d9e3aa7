// Documents that are not what their author meant: a section nobody knows, a bound that is none, a name that is defined
// nowhere or twice. Elsewhere such a line is skipped and protects nothing; here the set is not loaded.

import { describe, expect, test } from 'vitest'

import { PolicyEngine } from '../../src/policy/engine.ts'
import type { PolicySource } from '../../src/policy/load.ts'

type Members = Readonly<Record<string, unknown>>

const EVERYBODY = { roles: ['*'], tools: ['*'] }
const PERMIT = { id: 'may', effect: 'permit', ...EVERYBODY }
const NETWORK = { ...PERMIT, hosts: ['*:*', '0.0.0.0/0:*'] }
const permit = (rest: Members): Members => ({ ...PERMIT, ...rest })
const forbid = (rest: Members): Members => ({ id: 'must-not', effect: 'forbid', ...EVERYBODY, ...rest })
/** With `undefined` a member is left out. */
const limit = (rest: Members): Members => {
  const whole = { id: 'few', ...EVERYBODY, kind: 'rate', max: 5, per: '1m', by: ['all'], ...rest }
  return Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined))
}
const oblige = (rest: Members): Members => ({ id: 'must', ...EVERYBODY, ...rest })
const REGIONS = { eu: { hosts: ['eu.example.com', '192.0.2.0/24'] }, us: { hosts: ['us.example.com'] } }

type Policy = readonly Members[] | Members

/** The codes of the problems of loading. */
function outcome(policy: Policy): string {
  return load({ name: 'policy', value: { version: 1, ...(Array.isArray(policy) ? { rules: policy } : policy) } })
}

function load(source: PolicySource): string {
  const loaded = PolicyEngine.load(source, { engines: ['opa'] })
  return loaded.ok ? 'loaded' : `load error: ${[...new Set(loaded.problems.map(({ code }) => code))].join(', ')}`
}

interface Row {
  readonly name: string
  readonly policy: Policy
  readonly expected: string
}

const unknownKeys: readonly Row[] = [
  { region: REGIONS, rules: [NETWORK] },
  { regions: { eu: { host: ['a.test'] } }, rules: [NETWORK] },
  { egres: [{ id: 'e', roles: ['*'], hosts: ['a.test'] }], rules: [NETWORK] },
  { egress: [{ id: 'e', roles: ['*'], hosts: ['a.test'], tools: ['x'] }], rules: [NETWORK] },
  { limit: [limit({})], rules: [PERMIT] },
  { limits: [limit({ burts: 3 })], rules: [PERMIT] },
  { limits: [limit({ effect: 'permit' })], rules: [PERMIT] },
  { obligation: [oblige({ pin_addresses: true })], rules: [PERMIT] },
  { obligations: [oblige({ redact: { on: ['result'], secrets: true, field: ['/x'] } })], rules: [PERMIT] },
  { obligations: [oblige({ cap: { on: ['result'], maxBytes: 5 } })], rules: [PERMIT] },
  { obligations: [oblige({ rewrite: { tool: 'x', args: {} } })], rules: [PERMIT] },
  { roles: { r: { label: { a: ['b'] } } }, rules: [PERMIT] },
  ...[
    { label: { team: ['blue'] } },
    { fact: { '/age': { min: 1 } } },
    { upstream: ['fetch'] },
    { method: ['GET'], hosts: ['a.test'] },
    { residency: { destinations: ['eu'] }, hosts: ['a.test'] },
    { during: { day: ['mon'] } },
    { ask: { engine: 'opa', query: 'x', negate: true } },
    { scopes: ['mail'] },
    { facts: { '/age': { not: { min: 1 } } } },
    { args: { '/list': { some: { some: { equals: 1 } } } } },
    { args: { '/list': { every: { equals: 1, optional: true } } } },
    { approval: { quorum: 1 }, effect: 'require_approval', approver: 'ana' },
  ].map((rest) => ({ rules: [NETWORK, forbid(rest)] })),
  { rules: [permit({ effect: 'require_approval', approval: { quorums: 2 } })] },
].map((policy) => ({ name: JSON.stringify(policy).slice(0, 150), policy, expected: 'unknown_key' }))

const badDocuments: readonly Row[] = [
  // Limits: one that is not understood is not "no limit".
  ...(
    [
      [{ per: 'abc' }, 'invalid_value'],
      [{ per: '60' }, 'invalid_value'],
      [{ per: '0s' }, 'invalid_value'],
      [{ per: '1m30s' }, 'invalid_value'],
      [{ per: 60 }, 'wrong_type'],
      [{ per: undefined }, 'missing_key'],
      [{ max: 0 }, 'invalid_value'],
      [{ max: -1 }, 'invalid_value'],
      [{ max: 'abc' }, 'wrong_type'],
      [{ max: Number.NaN }, 'wrong_type'],
      [{ max: Number.POSITIVE_INFINITY }, 'wrong_type'],
      [{ max: undefined }, 'missing_key'],
      [{ burst: 0 }, 'invalid_value'],
      [{ burst: 3, kind: 'window' }, 'contradiction'],
      [{ by: [] }, 'invalid_value'],
      [{ by: undefined }, 'missing_key'],
      [{ by: ['user'] }, 'invalid_value'],
      [{ by: ['all', 'node'] }, 'contradiction'],
      [{ by: ['node', 'node'] }, 'contradiction'],
      [{ kind: 'quota' }, 'invalid_value'],
      [{ kind: 'concurrency' }, 'contradiction'],
      [{ kind: 'concurrency', per: undefined, amount: '/n' }, 'contradiction'],
      [{ kind: 'concurrency', per: undefined, max: 1.5 }, 'contradiction'],
      [{ amount: 'cost' }, 'invalid_value'],
      [{ amount: '' }, 'invalid_value'],
      [{ amount: '/a~2' }, 'invalid_value'],
      [{ roles: undefined }, 'missing_key'],
      [{ tools: [] }, 'invalid_value'],
      [{ paths: { execute: ['/usr/bin/**'] } }, 'contradiction'],
    ] as const
  ).map(([rest, expected]) => ({
    name: `a limit with ${JSON.stringify(rest, (_key, value) => (typeof value === 'object' ? value : String(value)))}`,
    policy: { rules: [PERMIT], limits: [limit(rest)] },
    expected,
  })),
  // Obligations
  ...(
    [
      [{}, 'missing_key'],
      [{ pin_addresses: true, confirm: 'x' }, 'contradiction'],
      [{ pin_addresses: false }, 'invalid_value'],
      [{ redact: { on: ['result'] } }, 'missing_key'],
      [{ pin_addresses: true, paths: { execute: ['/usr/bin/**'] } }, 'contradiction'],
      [{ redact: { on: [], secrets: true } }, 'invalid_value'],
      [{ redact: { on: ['results'], secrets: true } }, 'invalid_value'],
      [{ redact: { on: ['result'], patterns: ['(a)\\1'] } }, 'invalid_pattern'],
      [{ redact: { on: ['result'], patterns: ['a*'] } }, 'invalid_pattern'],
      [{ redact: { on: ['result'], fields: ['password'] } }, 'invalid_value'],
      [{ cap: { on: ['result'] } }, 'missing_key'],
      [{ cap: { on: ['result'], max_bytes: 0 } }, 'invalid_value'],
      [{ rewrite: { tool: 'rm -rf' } }, 'invalid_value'],
    ] as const
  ).map(([rest, expected]) => ({
    name: `an obligation ${JSON.stringify(rest)}`,
    policy: { rules: [PERMIT], obligations: [oblige(rest)] },
    expected,
  })),
  // Selectors
  ...(
    [
      [{ labels: {} }, 'missing_key'],
      [{ args: {} }, 'missing_key'],
      [{ facts: {} }, 'missing_key'],
      [{ ask: { engine: 'opa x', query: 'y' } }, 'invalid_value'],
      [{ labels: { team: [] } }, 'invalid_value'],
      [{ labels: { team: 'blue' } }, 'wrong_type'],
      [{ labels: ['blue'] }, 'wrong_type'],
      [{ after: [] }, 'invalid_value'],
      [{ before: [] }, 'invalid_value'],
      [{ after: ['!x'] }, 'invalid_pattern'],
      [{ methods: ['get'], hosts: ['a.test'] }, 'invalid_value'],
      [{ methods: ['*'], hosts: ['a.test'] }, 'invalid_value'],
      [{ methods: [], hosts: ['a.test'] }, 'invalid_value'],
      [{ methods: ['GET'] }, 'missing_key'],
      [{ oauth_scopes: [] }, 'invalid_value'],
      [{ oauth_scopes: ['a b'] }, 'invalid_value'],
      [{ residency: {} }, 'missing_key'],
      [{ residency: { destination: ['eu'] } }, 'missing_key'],
      [{ residency: { outside: ['eu'] } }, 'missing_key'],
      [{ residency: { source: ['EU'] } }, 'unknown_reference'],
      [{ residency: { source: ['__proto__'] } }, 'unknown_reference'],
      [{ residency: { source: [] } }, 'invalid_value'],
      [{ facts: { age: { min: 1 } } }, 'invalid_value'],
      [{ facts: { '/age': {} } }, 'missing_key'],
      [{ facts: { '': { min: 1 } } }, 'invalid_value'],
      [{ ask: { engine: 'opal', query: 'x' } }, 'unknown_reference'],
      [{ ask: { engine: 'opa' } }, 'missing_key'],
      [{ ask: { engine: 'opa', query: '' } }, 'invalid_value'],
      [{ roles: ['nobody'] }, 'unknown_reference'],
      [{ during: {} }, 'missing_key'],
      [{ during: { days: [] } }, 'invalid_value'],
      [{ during: { days: ['Mon'] } }, 'invalid_value'],
      [{ during: { from: '08:00' } }, 'missing_key'],
      [{ during: { from: '8:00', to: '9:00' } }, 'invalid_value'],
      [{ during: { from: '08:00', to: '24:00' } }, 'invalid_value'],
      [{ during: { from: '08:00', to: '08:00' } }, 'contradiction'],
      [{ during: { from: '25:00', to: '26:00' } }, 'invalid_value'],
      [{ during: { days: ['mon'], zone: 'Berlin' } }, 'invalid_value'],
      [{ during: { days: ['mon'], zone: '+02:00' } }, 'invalid_value'],
      [{ during: { not_before: 'soon' } }, 'invalid_value'],
      [{ during: { not_before: '2026-02-30T00:00:00Z' } }, 'invalid_value'],
      [{ during: { not_after: '2026-01-01' } }, 'invalid_value'],
      [{ during: { not_before: '2027-01-01T00:00:00Z', not_after: '2026-01-01T00:00:00Z' } }, 'contradiction'],
      [{ args: { '/to': { pattern: '(' } } }, 'invalid_pattern'],
      [{ args: { '/to': { pattern: 'a)|(b' } } }, 'invalid_pattern'],
      [{ args: { '/to': { pattern: '(a)\\1' } } }, 'invalid_pattern'],
      [{ args: { '/to': { pattern: '(?=a)b' } } }, 'invalid_pattern'],
      [{ args: { '/to': { pattern: '(?:a{1000}){1000}' } } }, 'invalid_pattern'],
      [{ args: { '/to': { pattern: 'x'.repeat(5000) } } }, 'invalid_value'],
      [{ args: { '/to': { schema: { maxLength: 3 } } } }, 'missing_key'],
      [{ args: { '/to': { schema: {} } } }, 'missing_key'],
      [{ args: { '/to': { schema: { type: 'text' } } } }, 'missing_key'],
      [{ args: { '/to': { schema: { type: 'object', proprties: {} } } } }, 'invalid_schema'],
      [{ args: { '/to': { every: {} } } }, 'missing_key'],
      [{ args: { '/to': { every: { equals: 1 }, glob: '*' } } }, 'contradiction'],
      [{ args: { '/to': { contains: ['x'] } } }, 'wrong_type'],
      [{ approval: { quorum: 1 } }, 'contradiction'],
    ] as const
  ).map(([rest, expected]) => ({
    name: `a forbid with ${JSON.stringify(rest).slice(0, 90)}`,
    policy: { regions: REGIONS, rules: [NETWORK, forbid(rest)] },
    expected,
  })),
  ...(
    [
      [{ quorum: 0 }, 'invalid_value'],
      [{ quorum: 1.5 }, 'wrong_type'],
      [{ quorum: 3, approvers: ['ana', 'bo'] }, 'contradiction'],
      [{ approvers: [] }, 'invalid_value'],
      [{ approvers: ['ana', 'ana'] }, 'duplicate_name'],
      [{ expires: 'never' }, 'invalid_value'],
      [{ expires: '1000d' }, 'invalid_value'],
    ] as const
  ).map(([approval, expected]) => ({
    name: `an approval of ${JSON.stringify(approval)}`,
    policy: [permit({ effect: 'require_approval', approval })],
    expected,
  })),
  // Names that two statements have: the second would silently replace the first.
  ...(
    [
      ['rule and limit', { rules: [PERMIT], limits: [limit({ id: 'may' })] }],
      ['limit and limit', { rules: [PERMIT], limits: [limit({}), limit({})] }],
      [
        'limit and obligation',
        { rules: [PERMIT], limits: [limit({})], obligations: [oblige({ id: 'few', confirm: 'x' })] },
      ],
      ['rule and egress', { rules: [PERMIT], egress: [{ id: 'may', roles: ['*'], hosts: ['a.test'] }] }],
    ] as const
  ).map(([what, policy]) => ({ name: `one id for ${what}`, policy, expected: 'duplicate_name' })),
  // Regions, egress tables, roles
  ...(
    [
      [{ regions: { eu: { hosts: [] } } }, 'invalid_value'],
      [{ regions: { eu: {} } }, 'missing_key'],
      [{ regions: { eu: { hosts: ['https://a.test'] } } }, 'invalid_pattern'],
      [{ regions: { eu: { hosts: ['a.test:443'] } } }, 'invalid_pattern'],
      [{ regions: { eu: { hosts: ['*.com'] } } }, 'invalid_pattern'],
      [{ regions: { '*': { hosts: ['a.test'] } } }, 'invalid_value'],
      [{ egress: [] }, 'invalid_value'],
      [{ egress: [{ id: 'e', hosts: ['a.test'] }] }, 'missing_key'],
      [{ egress: [{ id: 'e', roles: ['*'], hosts: [] }] }, 'invalid_value'],
      [{ egress: [{ id: 'e', roles: ['nobody'], hosts: ['a.test'] }] }, 'unknown_reference'],
      [{ egress: [{ id: 'e', roles: ['*'], hosts: ['a.test'], methods: ['get'] }] }, 'invalid_value'],
      [{ roles: { r: { labels: {} } } }, 'missing_key'],
      [{ roles: { r: { nodes: ['x'], labels: {} } } }, 'missing_key'],
      [{ roles: { r: { labels: { team: [] } } } }, 'invalid_value'],
    ] as const
  ).map(([rest, expected]) => ({
    name: `a document with ${JSON.stringify(rest)}`,
    policy: { rules: [NETWORK], ...rest },
    expected,
  })),
]

describe('what is not understood is not loaded', () => {
  test.each([...unknownKeys, ...badDocuments])('$name', ({ policy, expected }) => {
    expect(outcome(policy)).toContain(`load error: `)
    expect(outcome(policy)).toContain(expected)
  })

  test.each([
    ['a key twice', '{"version":1,"rules":[],"limits":[],"limits":[]}', 'duplicate_key'],
    ['a member called __proto__', '{"version":1,"rules":[],"__proto__":{"limits":[]}}', 'forbidden_key'],
    [
      'a fact called __proto__',
      '{"version":1,"rules":[{"id":"r","effect":"forbid","nodes":["*"],"tools":["*"],"facts":{"__proto__":{"min":1}}}]}',
      'forbidden_key',
    ],
    [
      'a number no double can hold',
      '{"version":1,"rules":[],"limits":[{"id":"l","nodes":["*"],"tools":["*"],"kind":"budget","max":1e400,"by":["all"]}]}',
      'invalid_value',
    ],
  ])('%s', (_what, text, expected) => {
    expect(load({ file: 'policy.json', text })).toContain(`load error: ${expected}`)
  })
})
