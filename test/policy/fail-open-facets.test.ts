// The ways to fail open that come with more language: labels, places, times, regions, facts, limits, obligations, egress
// tables and questions to other engines. Each row: a policy, an attack that must end in a denial or a load error, and
// where there is one a harmless call beside it, so that the denial is not one of everything.

import { describe, expect, test } from 'vitest'

import { resourceOf } from '../../src/core/named-resource.ts'
import { PolicyEngine, type PolicyRequest } from '../../src/policy/engine.ts'
import type { PolicySource } from '../../src/policy/load.ts'
import { CEDAR_PERMIT, caslAllows, cedarAllows } from './rivals.ts'

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
const url = (text: string): unknown => resourceOf('url', text)
const sent = (method: string, text = 'https://eu.example.com/'): Members => ({ ...resourceOf('url', text), method })

type Policy = readonly Members[] | Members

/** What comes of a call: a code, `allow`, or the codes of the problems of loading. */
function outcome(policy: Policy, request: Members = {}): string {
  const value = { version: 1, ...(Array.isArray(policy) ? { rules: policy } : policy) }
  return ask({ name: 'policy', value }, request)
}

function ask(source: PolicySource, request: Members): string {
  const loaded = PolicyEngine.load(source, { engines: ['opa'] })
  if (!loaded.ok) return `load error: ${[...new Set(loaded.problems.map(({ code }) => code))].join(', ')}`
  const whole = { node: 'fetch', tool: 'http_get', args: {}, resources: [], ...request }
  const verdict = loaded.engine.evaluate(whole as unknown as PolicyRequest)
  return verdict.decision === 'allow' ? 'allow' : verdict.denial.code
}

interface Row {
  readonly name: string
  /** The rival under attack; true when it allows. */
  readonly rival?: () => boolean
  readonly policy: Policy
  readonly attack?: Members
  readonly expected: string
  readonly harmless?: Members
}

/** An own member that a literal would take for the prototype. */
const proto = (value: unknown): Members => JSON.parse(`{"__proto__":${JSON.stringify(value)}}`) as Members

const NOON = Date.parse('2026-03-04T12:00:00Z')
const asks = (effect: string): Members => ({ id: 'asks', effect, ...EVERYBODY, ask: { engine: 'opa', query: 'ok' } })

const rows: readonly Row[] = [
  {
    name: 'a deny about labels, and a node whose labels nobody tells',
    policy: [PERMIT, forbid({ labels: { team: ['red'] } })],
    attack: {},
    expected: 'policy_error',
    harmless: { labels: { team: 'blue' } },
  },
  {
    name: 'a permit about labels, and a node without any',
    policy: [permit({ labels: { team: ['*'] } })],
    attack: { labels: {} },
    expected: 'no_matching_permit',
    harmless: { labels: { team: 'blue' } },
  },
  ...['__proto__', 'constructor', 'toString'].map((key) => ({
    name: `a label that every object has: ${key}`,
    policy: [permit({ labels: { [key === '__proto__' ? 'valueOf' : key]: ['*'] } })],
    attack: { labels: {} },
    expected: 'no_matching_permit',
  })),
  {
    name: 'labels that are inherited',
    policy: [permit({ labels: { team: ['blue'] } })],
    attack: { labels: Object.create({ team: 'blue' }) },
    expected: 'no_matching_permit',
  },
  {
    name: 'a label that is a list',
    policy: [permit({ labels: { team: ['blue'] } })],
    attack: { labels: { team: ['blue'] } },
    expected: 'request_invalid',
  },
  {
    name: 'a deny for a role that labels give, and a node that says no labels',
    policy: { roles: { intern: { labels: { level: ['intern'] } } }, rules: [PERMIT, forbid({ roles: ['intern'] })] },
    attack: {},
    expected: 'request_invalid',
    harmless: { labels: { level: 'senior' } },
  },
  {
    name: 'a deny after a node, and a graph nobody tells',
    policy: [PERMIT, forbid({ after: ['read_mail'] })],
    attack: {},
    expected: 'policy_error',
    harmless: { upstream: [] },
  },
  {
    name: 'a deny before a node, and a graph nobody tells',
    policy: [PERMIT, forbid({ before: ['publish'] })],
    attack: { upstream: [] },
    expected: 'policy_error',
    harmless: { downstream: ['x'] },
  },
  {
    name: 'a place in the graph that is only far away',
    policy: [PERMIT, forbid({ after: ['read_mail'] })],
    attack: { upstream: ['a', 'b', 'read_mail'] },
    expected: 'forbidden',
  },
  {
    name: 'a deny of a method, and a destination of no known method',
    policy: [NETWORK, forbid({ hosts: ['*:*'], methods: ['DELETE'] })],
    attack: { resources: [url('https://eu.example.com/')] },
    expected: 'forbidden',
    harmless: { resources: [sent('GET')] },
  },
  {
    name: 'a permit of a method, and a destination of no known method',
    policy: [{ ...NETWORK, methods: ['GET'] }],
    attack: { resources: [url('https://eu.example.com/')] },
    expected: 'no_matching_permit',
    harmless: { resources: [sent('GET')] },
  },
  ...['get', 'GET ', 'DELETE\n', ['GET'], 1].map((method) => ({
    name: `a method that is not written as methods are: ${JSON.stringify(method)}`,
    policy: [NETWORK, forbid({ hosts: ['*:*'], methods: ['DELETE'] })],
    attack: { resources: [{ ...sent('GET'), method }] },
    expected: 'request_invalid',
    harmless: { resources: [sent('GET')] },
  })),
  {
    name: 'a deny of a region, and a destination in no known one',
    rival: () => cedarAllows(`${CEDAR_PERMIT}forbid(principal, action, resource) when { context.region == "us" };`, {}),
    policy: { regions: REGIONS, rules: [NETWORK, forbid({ hosts: ['*:*'], residency: { destination: ['us'] } })] },
    attack: { resources: [url('https://elsewhere.test/')] },
    expected: 'forbidden',
    harmless: { resources: [url('https://eu.example.com/')] },
  },
  {
    name: 'a deny of all outside a region, and a destination in no known one',
    policy: { regions: REGIONS, rules: [NETWORK, forbid({ hosts: ['*:*'], residency: { outside: ['eu'] } })] },
    attack: { resources: [url('https://elsewhere.test/')] },
    expected: 'forbidden',
    harmless: { resources: [url('https://eu.example.com/')] },
  },
  {
    name: 'a permit outside a region, and a destination in no known one',
    rival: () => caslAllows([{ action: 'call', subject: 'Call', conditions: { region: { $ne: 'us' } } }], {}),
    policy: { regions: REGIONS, rules: [{ ...NETWORK, residency: { outside: ['us'] } }] },
    attack: { resources: [url('https://elsewhere.test/')] },
    expected: 'no_matching_permit',
    harmless: { resources: [url('https://eu.example.com/')] },
  },
  {
    name: 'a permit for data of a region, and data from nobody knows where',
    policy: { regions: REGIONS, rules: [permit({ residency: { source: ['eu'] } })] },
    attack: {},
    expected: 'no_matching_permit',
    harmless: { dataRegions: ['eu'] },
  },
  {
    name: 'a permit for data of a region, and data that come from another, too',
    policy: { regions: REGIONS, rules: [permit({ residency: { source: ['eu'] } })] },
    attack: { dataRegions: ['eu', 'us'] },
    expected: 'no_matching_permit',
    harmless: { dataRegions: ['eu', 'eu'] },
  },
  ...[{}, { dataRegions: ['US'] }, { dataRegions: ['eu', '__proto__'] }].map((attack) => ({
    name: `a deny for data of a region, and ${JSON.stringify(attack)}`,
    policy: { regions: REGIONS, rules: [PERMIT, forbid({ residency: { source: ['us'] } })] },
    attack,
    expected: 'policy_error',
    harmless: { dataRegions: ['eu'] },
  })),
  {
    name: 'a deny about a fact that is absent',
    rival: () =>
      caslAllows(
        [
          { action: 'call', subject: 'Call' },
          { action: 'call', subject: 'Call', inverted: true, conditions: { age: { $gt: 5 } } },
        ],
        {},
      ),
    policy: [PERMIT, forbid({ facts: { '/age': { min: 5 } } })],
    attack: { facts: {} },
    expected: 'policy_error',
    harmless: { facts: { age: 1 } },
  },
  {
    name: 'a deny about facts nobody gave, though an absent one would be harmless',
    policy: [PERMIT, forbid({ facts: { '/age': { min: 5, optional: true } } })],
    attack: {},
    expected: 'policy_error',
    harmless: { facts: {} },
  },
  ...['/constructor/name', '/toString', '/__proto__', '/valueOf', '/tags/length', '/tags/-', '/tags/00', '/tags/map']
    .map((pointer) => ({
      name: `a fact that only the prototype has: ${pointer}`,
      policy: [permit({ facts: { [pointer]: { max_length: 100 } } })],
      attack: { facts: { tags: ['x'] } },
      expected: pointer === '/__proto__' ? 'load error' : 'no_matching_permit',
    }))
    .filter(({ name }) => !name.endsWith('/__proto__')),
  {
    name: 'a deny by the clock, without a clock',
    policy: [PERMIT, forbid({ during: { from: '00:00', to: '06:00' } })],
    attack: {},
    expected: 'policy_error',
    harmless: { now: NOON },
  },
  ...[Number.NaN, Number.POSITIVE_INFINITY, '2026-03-04', new Date(NOON), null].map((now) => ({
    name: `a deny by a clock that shows ${String(now)}`,
    policy: [PERMIT, forbid({ during: { from: '00:00', to: '06:00' } })],
    attack: { now },
    expected: 'request_invalid',
    harmless: { now: NOON },
  })),
  {
    name: 'a deny by a clock beyond all calendars',
    policy: [PERMIT, forbid({ during: { from: '00:00', to: '06:00' } })],
    attack: { now: 9e15 },
    expected: 'request_invalid',
    harmless: { now: NOON },
  },
  {
    name: 'a permit until a moment, at that moment',
    policy: [permit({ during: { not_after: '2026-03-04T12:00:00Z' } })],
    attack: { now: NOON },
    expected: 'no_matching_permit',
    harmless: { now: NOON - 1 },
  },
  ...[undefined, 1, 'true', {}, null, [true], 'false', 0].map((answer) => ({
    name: `another engine that answers ${JSON.stringify(answer)} about a deny`,
    policy: [PERMIT, asks('forbid')],
    attack: { answers: { 'opa ok': answer } },
    expected: 'condition_unavailable',
    harmless: { answers: { 'opa ok': false } },
  })),
  ...[undefined, 1, 'true', {}, [true]].map((answer) => ({
    name: `another engine that answers ${JSON.stringify(answer)} about a permit`,
    policy: [asks('permit')],
    attack: { answers: { 'opa ok': answer } },
    expected: 'no_matching_permit',
    harmless: { answers: { 'opa ok': true } },
  })),
  {
    name: 'an answer that is inherited',
    policy: [asks('permit')],
    attack: { answers: Object.create({ 'opa ok': true }) },
    expected: 'no_matching_permit',
    harmless: { answers: { 'opa ok': true } },
  },
  {
    name: 'an answer to another question',
    policy: [asks('permit')],
    attack: { answers: { opa: true, 'opa ok ': true, 'OPA ok': true, ok: true } },
    expected: 'no_matching_permit',
  },
  {
    name: 'an answer that cannot be had for a limit',
    policy: { rules: [PERMIT], limits: [limit({ ask: { engine: 'opa', query: 'ok' } })] },
    attack: {},
    expected: 'condition_unavailable',
    harmless: { answers: { 'opa ok': false } },
  },
  {
    name: 'an answer that is missing beside something else that is',
    policy: [PERMIT, { ...asks('forbid'), facts: { '/age': { min: 5 } } }],
    attack: { facts: {} },
    expected: 'policy_error',
    harmless: { facts: { age: 1 } },
  },
  ...['run', 'principal', 'skill'].map((by) => ({
    name: `a limit by ${by}, and a call that does not say its ${by}`,
    policy: { rules: [PERMIT], limits: [limit({ by: [by] })] },
    attack: {},
    expected: 'policy_error',
    harmless: { [by]: 'x' },
  })),
  ...[undefined, null, '5', -1, -0.001, Number.NaN, Number.POSITIVE_INFINITY, [5], { n: 5 }, true].map((cost) => ({
    name: `a budget and a call that costs ${JSON.stringify(cost) ?? String(cost)}`,
    policy: { rules: [PERMIT], limits: [limit({ kind: 'budget', amount: '/cost' })] },
    attack: { args: { ...(cost === undefined ? {} : { cost }) } },
    expected: 'policy_error',
    harmless: { args: { cost: 0 } },
  })),
  {
    name: 'a budget and a cost that only the prototype has',
    policy: { rules: [PERMIT], limits: [limit({ kind: 'budget', amount: '/f/length' })] },
    attack: { args: { f: 'text' } },
    expected: 'policy_error',
    harmless: { args: { f: { length: 3 } } },
  },
  {
    name: 'a limit with a condition that cannot be told',
    policy: { rules: [PERMIT], limits: [limit({ args: { '/n': { min: 5 } } })] },
    attack: { args: { n: '7' } },
    expected: 'policy_error',
    harmless: { args: { n: 4 } },
  },
  {
    name: 'an obligation with a condition that cannot be told',
    policy: { rules: [PERMIT], obligations: [oblige({ pin_addresses: true, facts: { '/prod': { equals: true } } })] },
    attack: { facts: { prod: 'true' } },
    expected: 'policy_error',
    harmless: { facts: { prod: false } },
  },
  {
    name: 'an egress table, and a node it is not about',
    policy: { rules: [NETWORK], egress: [{ id: 'e', nodes: ['other'], hosts: ['*:*'] }] },
    attack: { resources: [url('https://eu.example.com/')] },
    expected: 'egress_not_granted',
    harmless: { node: 'other', resources: [url('https://eu.example.com/')] },
  },
  {
    name: 'an egress table for names, and an address',
    policy: { rules: [NETWORK], egress: [{ id: 'e', nodes: ['*'], hosts: ['*:*'] }] },
    attack: { resources: [url('http://169.254.169.254/')] },
    expected: 'egress_not_granted',
    harmless: { resources: [url('https://eu.example.com/')] },
  },
  {
    name: 'an egress table alone, which grants nothing',
    policy: { rules: [], egress: [{ id: 'e', nodes: ['*'], hosts: ['*:*'] }] },
    attack: { resources: [url('https://eu.example.com/')] },
    expected: 'no_matching_permit',
  },
  {
    name: 'an egress table of methods, and a destination of no known method',
    policy: { rules: [NETWORK], egress: [{ id: 'e', nodes: ['*'], hosts: ['*:*'], methods: ['GET'] }] },
    attack: { resources: [url('https://eu.example.com/')] },
    expected: 'egress_not_granted',
    harmless: { resources: [sent('GET')] },
  },
  {
    name: 'a scope that no permit names',
    policy: [permit({ oauth_scopes: ['mail.read'] })],
    attack: { resources: [{ kind: 'scope', name: 'mail.send', from: '' }] },
    expected: 'no_matching_permit',
    harmless: { resources: [{ kind: 'scope', name: 'mail.read', from: '' }] },
  },
  {
    name: 'a scope and a permit of everything but scopes',
    policy: [{ ...NETWORK, paths: { read: ['/**'] } }],
    attack: { resources: [{ kind: 'scope', name: 'mail.read', from: '' }] },
    expected: 'no_matching_permit',
  },
  ...['mail.read ', 'mail.read mail.send', 'mail"', '', 'mäil', ['mail.read']].map((name) => ({
    name: `a scope that is none: ${JSON.stringify(name)}`,
    policy: [permit({ oauth_scopes: ['mail.read'] })],
    attack: { resources: [{ kind: 'scope', name, from: '' }] },
    expected: 'request_invalid',
  })),
  ...['get_inbox_and_delete', 'xsend', 'send\n', '\nsend', 'get_inbox\nsend'].map((op) => ({
    name: `a pattern that has to fit as a whole, and ${JSON.stringify(op)}`,
    rival: () =>
      caslAllows([{ action: 'call', subject: 'Call', conditions: { op: { $regex: /get_inbox|send/ } } }], { op }),
    policy: [permit({ args: { '/op': { pattern: 'get_inbox|send' } } })],
    attack: { args: { op } },
    expected: 'no_matching_permit',
    harmless: { args: { op: 'send' } },
  })),
  {
    name: 'a deny by a pattern that a line break would hide from',
    policy: [PERMIT, forbid({ args: { '/op': { pattern: '[^]*delete[^]*' } } })],
    attack: { args: { op: 'list\ndelete\n' } },
    expected: 'forbidden',
    harmless: { args: { op: 'list' } },
  },
  {
    name: 'a deny by a pattern, and a text that is too long for it to be tried',
    policy: [PERMIT, forbid({ args: { '/op': { pattern: '(?:[a-y]{20}){30}z' } } })],
    attack: { args: { op: 'a'.repeat(4_000_000) } },
    expected: 'policy_error',
    harmless: { args: { op: 'list' } },
  },
  {
    name: 'a deny about the items of a list, and one item',
    policy: [PERMIT, forbid({ args: { '/to': { some: { glob: '*@evil.test' } } } })],
    attack: { args: { to: 'a@evil.test' } },
    expected: 'policy_error',
    harmless: { args: { to: ['a@corp.test'] } },
  },
  {
    name: 'a deny about the items of a list, and a list in the list',
    policy: [PERMIT, forbid({ args: { '/to': { some: { glob: '*@evil.test' } } } })],
    attack: { args: { to: ['a@corp.test', ['a@evil.test']] } },
    expected: 'policy_error',
    harmless: { args: { to: [] } },
  },
  {
    name: 'a permit for lists of which every item fits, and one that cannot be told',
    policy: [permit({ args: { '/to': { every: { glob: '*@corp.test' } } } })],
    attack: { args: { to: ['a@corp.test', { toString: 'a@corp.test' }] } },
    expected: 'no_matching_permit',
    harmless: { args: { to: ['a@corp.test'] } },
  },
  ...[[['rm']], ['5'], [null]].map((list) => ({
    name: `a deny for lists that contain a number, and ${JSON.stringify(list)}`,
    policy: [PERMIT, forbid({ args: { '/list': { contains: 5 } } })],
    attack: { args: { list } },
    expected: 'policy_error',
    harmless: { args: { list: [4] } },
  })),
  {
    name: 'a deny of whole numbers by schema, and one between two',
    policy: [PERMIT, forbid({ args: { '/n': { schema: { type: 'integer', minimum: 100 } } } })],
    attack: { args: { n: 100.5 } },
    expected: 'policy_error',
    harmless: { args: { n: 99 } },
  },
  {
    name: 'a deny after any node, and a node that has no name',
    policy: [PERMIT, forbid({ after: ['*'] })],
    attack: { upstream: ['fetch\n'] },
    expected: 'request_invalid',
    harmless: { upstream: [] },
  },
  {
    name: 'an approval for certain skills, and a call that does not say its skill',
    policy: [{ id: 'ask', effect: 'require_approval', ...EVERYBODY, skills: ['web'] }],
    attack: {},
    expected: 'policy_error',
  },
  {
    name: 'a deny of a region, and a name that is dialled as an address there',
    policy: {
      regions: { named: { hosts: ['localhost'] }, loopback: { hosts: ['127.0.0.0/8'] } },
      rules: [NETWORK, forbid({ hosts: ['*:*'], residency: { destination: ['loopback'] } })],
    },
    attack: { resources: [url('https://localhost/')] },
    expected: 'forbidden',
  },
  {
    name: 'a deny for lists that contain something, and a text that does',
    policy: [PERMIT, forbid({ args: { '/flags': { contains: '--force' } } })],
    attack: { args: { flags: '--force' } },
    expected: 'policy_error',
    harmless: { args: { flags: ['-v'] } },
  },
  {
    name: 'a schema that a member of every object would satisfy',
    policy: [permit({ args: { '/o': { schema: { type: 'object', required: ['toString'] } } } })],
    attack: { args: { o: {} } },
    expected: 'no_matching_permit',
    harmless: { args: { o: { toString: 'x' } } },
  },
  {
    name: 'a deny by schema, and a value of another type',
    policy: [PERMIT, forbid({ args: { '/o': { schema: { type: 'object', required: ['admin'] } } } })],
    attack: { args: { o: ['admin'] } },
    expected: 'policy_error',
    harmless: { args: { o: { user: 1 } } },
  },
  {
    name: 'an argument that is an own member called __proto__',
    policy: [PERMIT, forbid({ args: { '/o': { schema: { type: 'object', maxProperties: 0 } } } })],
    attack: { args: { o: {} } },
    expected: 'forbidden',
    harmless: { args: { o: proto({ admin: true }) } },
  },
  {
    name: 'a required approval that cannot be told',
    policy: [PERMIT, { id: 'ask', effect: 'require_approval', ...EVERYBODY, labels: { env: ['prod'] } }],
    attack: {},
    expected: 'policy_error',
    harmless: { labels: { env: 'test' } },
  },
]

describe('what is not known never helps', () => {
  test.each(rows)('$name', ({ rival, policy, attack, expected, harmless }) => {
    if (rival !== undefined) expect(rival(), 'the attack works on the rival').toBe(true)
    expect(outcome(policy, attack)).toContain(expected)
    if (harmless !== undefined) expect(outcome(policy, harmless)).toBe('allow')
  })

  test('a limit for each node is not one that all nodes share, and the other way round', () => {
    const keys = (by: readonly string[]): readonly (string | undefined)[] => {
      const value = { version: 1, rules: [PERMIT], limits: [limit({ by })] }
      const engine = PolicyEngine.from({ name: 'policy', value })
      return ['a', 'b', 'a'].map((node) => {
        const verdict = engine.evaluate({ node, tool: 't', args: {}, resources: [] })
        return verdict.decision === 'allow' ? verdict.charges[0]?.key : undefined
      })
    }
    expect(new Set(keys(['node'])).size).toBe(2)
    expect(new Set(keys(['all'])).size).toBe(1)
  })

  test('no two callers share a counter by what they are called', () => {
    const value = { version: 1, rules: [PERMIT], limits: [limit({ by: ['node', 'principal', 'skill'] })] }
    const engine = PolicyEngine.from({ name: 'policy', value })
    const texts = [
      'a',
      'b',
      'a","b',
      'principal=a',
      'a"',
      '\\',
      'a,principal=a',
      '__proto__',
      'x'.repeat(600),
      'y'.repeat(600),
    ]
    const keys = new Set<string>()
    let asked = 0
    for (const node of ['a', 'b', 'a.principal', 'a:b']) {
      for (const principal of texts) {
        for (const skill of ['a', 'b']) {
          const verdict = engine.evaluate({ node, principal, skill, tool: 't', args: {}, resources: [] })
          if (verdict.decision !== 'allow') continue
          asked++
          for (const { key } of verdict.charges) {
            expect(key.length).toBeLessThanOrEqual(512)
            keys.add(key)
          }
        }
      }
    }
    expect(keys.size).toBe(asked)
  })

  test('another policy has another digest, whichever section it differs in', () => {
    const base = { version: 1, roles: { r: { asserted: true } }, regions: REGIONS, rules: [PERMIT] }
    const others = [
      { ...base, limits: [limit({})] },
      { ...base, limits: [limit({ max: 6 })] },
      { ...base, obligations: [oblige({ pin_addresses: true })] },
      { ...base, egress: [{ id: 'e', nodes: ['*'], hosts: ['a.test'] }] },
      { ...base, regions: { ...REGIONS, eu: { hosts: ['a.test'] } } },
      { ...base, roles: { r: { labels: { a: ['b'] } } } },
      { ...base, rules: [permit({ ask: { engine: 'opa', query: 'x' } })] },
      { ...base, rules: [permit({ during: { days: ['mon'] } })] },
    ]
    const digests = [base, ...others].map((value) => PolicyEngine.from({ name: 'policy', value }).digest)
    expect(new Set(digests).size).toBe(digests.length)
  })
})
