// Ways in which policy engines are known to allow what their author meant to deny. Each row runs the rival that has the
// flaw, where it is installed, to show that the attack works there; then the same rule and request here.

import micromatch from 'micromatch'
import { describe, expect, test } from 'vitest'

import { parseHost } from '../../src/core/host.ts'
import { parsePath } from '../../src/core/path.ts'
import type { Resource } from '../../src/core/resource.ts'
import { PolicyEngine, type PolicyRequest } from '../../src/policy/engine.ts'
import { CEDAR_PERMIT, casbinAllows, caslAllows, cedarAllows } from './rivals.ts'

type Rule = Readonly<Record<string, unknown>>

const PERMIT: Rule = {
  id: 'may',
  effect: 'permit',
  roles: ['*'],
  tools: ['*'],
  hosts: ['*:*', '0.0.0.0/0:*'],
  paths: { read: ['/**'] },
}
const forbid = (rest: Rule): Rule => ({ id: 'must-not', effect: 'forbid', roles: ['*'], tools: ['*'], ...rest })
const permit = (rest: Rule): Rule => ({ id: 'may', effect: 'permit', roles: ['*'], tools: ['*'], ...rest })

interface Attempt {
  readonly tool?: unknown
  readonly args?: unknown
  readonly resources?: readonly unknown[]
}

/** What comes of a call under these rules: a decision's code, `allow`, or the codes of the problems of loading them. */
function outcome(rules: readonly Rule[], { tool = 'http_get', args = {}, resources = [] }: Attempt): string {
  const loaded = PolicyEngine.load({ name: 'policy', value: { version: 1, rules } })
  if (!loaded.ok) return `load error: ${[...new Set(loaded.problems.map((problem) => problem.code))].join(', ')}`
  const verdict = loaded.engine.evaluate({ node: 'fetch', tool, args, resources } as PolicyRequest)
  return verdict.decision === 'allow' ? 'allow' : verdict.denial.code
}

/** The resource as a tool's arguments would name it, or as an attacker would hand it in where no canonical form exists. */
function host(text: string): Resource {
  const parsed = parseHost(text)
  return { kind: 'network', host: parsed.ok ? parsed.host : { kind: 'name', text }, from: '/host' }
}

function path(text: string): Resource {
  const parsed = parsePath(text)
  return { kind: 'path', path: parsed.ok ? parsed.path : text, access: 'read', from: '/path' }
}

interface Row {
  readonly name: string
  /** The rival under attack; true when it allows. */
  readonly rival?: () => boolean | Promise<boolean>
  readonly rules: readonly Rule[]
  readonly attack: Attempt
  readonly expected: string
  /** A call beside the attack that is allowed here, so that the denial is not one of everything. */
  readonly harmless?: Attempt
}

const rows: readonly Row[] = [
  ...[
    { path: { startsWith: '/etc' } },
    { bytes: { '=>': 10 } },
    { env: { and: ['rm', 'prod'] } },
    { region: { not: 'eu' } },
  ].map((args) => ({
    name: `a deny condition nobody understands: ${JSON.stringify(args)}`,
    rules: [
      PERMIT,
      forbid({ args: Object.fromEntries(Object.entries(args).map(([key, value]) => [`/${key}`, value])) }),
    ],
    attack: { args: { path: '/etc/passwd', bytes: 11, env: 'prod', region: 'us' } },
    expected: 'load error: unknown_key',
  })),
  {
    name: 'an unknown operator in a deny',
    rival: () =>
      caslAllows(
        [
          { action: 'call', subject: 'Call' },
          { action: 'call', subject: 'Call', inverted: true, conditions: { path: { $startsWith: '/etc' } } },
        ],
        { path: '/etc/passwd' },
      ),
    rules: [PERMIT, forbid({ args: { '/path': { $startsWith: '/etc' } } })],
    attack: { args: { path: '/etc/passwd' } },
    expected: 'load error: unknown_key',
  },
  {
    name: 'a deny about an argument that is absent',
    rival: () => cedarAllows(`${CEDAR_PERMIT}forbid(principal, action, resource) when { context.region == "eu" };`, {}),
    rules: [PERMIT, forbid({ args: { '/region': { equals: 'eu' } } })],
    attack: { args: {} },
    expected: 'policy_error',
    harmless: { args: { region: 'us' } },
  },
  {
    name: 'a deny whose helper fails on a short address',
    rival: () =>
      cedarAllows(
        `${CEDAR_PERMIT}forbid(principal, action, resource) when { ip(context.host).isInRange(ip("127.0.0.0/8")) };`,
        { host: '127.1' },
      ),
    rules: [PERMIT, forbid({ hosts: ['127.0.0.0/8'] })],
    attack: { resources: [host('127.1')] },
    expected: 'request_invalid',
    harmless: { resources: [host('192.0.2.1')] },
  },
  ...[
    '::ffff:127.0.0.1',
    '[::ffff:7f00:1]',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '0.0.0.0',
    '::',
    'localhost',
    'a.localhost',
  ].map((text) => ({
    name: `another spelling of loopback: ${text}`,
    rival: () =>
      cedarAllows(
        `${CEDAR_PERMIT}forbid(principal, action, resource) when { ip(context.host).isInRange(ip("127.0.0.0/8")) };`,
        { host: text },
      ),
    rules: [
      PERMIT,
      permit({ id: 'may-6', hosts: ['::/0', '64:ff9b::/96', '2002::/16'] }),
      forbid({ hosts: ['127.0.0.0/8'] }),
    ],
    attack: { resources: [host(text)] },
    expected: 'forbidden',
    harmless: { resources: [host('2001:db8::1')] },
  })),
  ...['0177.0.0.1', '0x7f.0.0.1', '2130706433', '127.000.000.001', '017700000001', '0'].map((text) => ({
    name: `a spelling of loopback that has no single reading: ${text}`,
    rival: () =>
      cedarAllows(
        `${CEDAR_PERMIT}forbid(principal, action, resource) when { ip(context.host).isInRange(ip("127.0.0.0/8")) };`,
        { host: text },
      ),
    rules: [PERMIT, forbid({ hosts: ['127.0.0.0/8'] })],
    attack: { resources: [host(text)] },
    expected: 'request_invalid',
  })),
  {
    name: 'a number sent as text',
    rival: () => cedarAllows(`${CEDAR_PERMIT}forbid(principal, action, resource) when { context.n > 5 };`, { n: '10' }),
    rules: [PERMIT, forbid({ args: { '/n': { min: 5 } } })],
    attack: { args: { n: '10' } },
    expected: 'policy_error',
    harmless: { args: { n: 4 } },
  },
  ...['0x5', null, [], '-1', true].map((bytes) => ({
    name: `a permit with a bound and ${JSON.stringify(bytes)}`,
    rules: [permit({ args: { '/bytes': { max: 10 } } })],
    attack: { args: { bytes } },
    expected: 'no_matching_permit',
    harmless: { args: { bytes: 5 } },
  })),
  {
    name: 'a list where a name is compared loosely',
    rival: () => casbinAllows(['p, safe, allow'], [['safe']]),
    rules: [permit({ tools: ['safe'] })],
    attack: { tool: ['safe'] },
    expected: 'request_invalid',
    harmless: { tool: 'safe' },
  },
  {
    name: 'a value in a list where a condition expects the value',
    rules: [PERMIT, forbid({ args: { '/method': { one_of: ['DELETE'] } } })],
    attack: { args: { method: ['DELETE'] } },
    expected: 'policy_error',
    harmless: { args: { method: 'GET' } },
  },
  {
    name: 'a negative condition on absent data',
    rival: () => caslAllows([{ action: 'call', subject: 'Call', conditions: { region: { $ne: 'us' } } }], {}),
    rules: [permit({ args: { '/region': { not_equals: 'us' } } })],
    attack: { args: {} },
    expected: 'load error: unknown_key',
  },
  {
    name: 'a deny that stands before the allow',
    rival: () =>
      caslAllows(
        [
          { action: 'call', subject: 'Call', inverted: true, conditions: { path: '/etc' } },
          { action: 'call', subject: 'Call' },
        ],
        { path: '/etc' },
      ),
    rules: [forbid({ args: { '/path': { equals: '/etc' } } }), PERMIT],
    attack: { args: { path: '/etc' } },
    expected: 'forbidden',
    harmless: { args: { path: '/srv' } },
  },
  {
    name: 'a priority that lifts an allow over a deny',
    rules: [{ ...PERMIT, priority: 10 }, forbid({ priority: 0 })],
    attack: {},
    expected: 'load error: unknown_key',
  },
  {
    name: 'a question about the type instead of the call',
    rival: () => caslAllows([{ action: 'call', subject: 'Call', conditions: { to: 'boss@corp.test' } }], 'Call'),
    rules: [permit({ args: { '/to': { equals: 'boss@corp.test' } } })],
    attack: { args: {} },
    expected: 'no_matching_permit',
    harmless: { args: { to: 'boss@corp.test' } },
  },
  {
    name: 'a misspelt effect',
    rival: () => casbinAllows(['p, rm, allow', 'p, rm, dney'], ['rm']),
    rules: [PERMIT, { ...forbid({ tools: ['rm'] }), effect: 'forbdi' }],
    attack: { tool: 'rm' },
    expected: 'load error: invalid_value',
  },
  {
    name: 'a path that climbs out, past a prefix function',
    rival: () => casbinAllows(['p, /srv/*, allow'], ['/srv/../etc/passwd'], 'keyMatch(r.tool, p.tool)'),
    rules: [permit({ paths: { read: ['/srv/**'] } })],
    attack: { resources: [path('/srv/../etc/passwd')] },
    expected: 'request_invalid',
    harmless: { resources: [path('/srv/a/b')] },
  },
  {
    name: 'a path that climbs out, past a like pattern',
    rival: () =>
      cedarAllows('permit(principal, action, resource) when { context.path like "/srv/p/*" };', {
        path: '/srv/p/../../etc/passwd',
      }),
    rules: [permit({ paths: { read: ['/srv/p/*'] } })],
    attack: { resources: [path('/srv/p/../../etc/passwd')] },
    expected: 'request_invalid',
    harmless: { resources: [path('/srv/p/x')] },
  },
  {
    name: 'a host that ends like the pattern, past a like pattern',
    rival: () =>
      cedarAllows('permit(principal, action, resource) when { context.host like "*.example.com" };', {
        host: 'evil.test/x?.example.com',
      }),
    rules: [permit({ hosts: ['*.example.com'] })],
    attack: { resources: [host('evil.test/x?.example.com')] },
    expected: 'request_invalid',
    harmless: { resources: [host('api.example.com')] },
  },
  {
    name: 'a wildcard that crosses labels',
    rival: () =>
      cedarAllows('permit(principal, action, resource) when { context.host like "*.example.com" };', {
        host: 'a.b.example.com',
      }),
    rules: [permit({ hosts: ['*.example.com'] })],
    attack: { resources: [host('a.b.example.com')] },
    expected: 'no_matching_permit',
    harmless: { resources: [host('b.example.com')] },
  },
  {
    name: 'a dotfile that a forbidden glob leaves out',
    rival: () => !micromatch.isMatch('/srv/p/.env', '/srv/p/**'),
    rules: [PERMIT, forbid({ paths: { read: ['/srv/p/**'] } })],
    attack: { resources: [path('/srv/p/.env')] },
    expected: 'forbidden',
    harmless: { resources: [path('/srv/q/.env')] },
  },
  ...['/srv/p/x\0.txt', '/srv/p/x\n.txt', '/srv/p/%2e%2e/x.txt', '/srv/p/%2E%2E/x.txt'].map((text) => ({
    name: `a path another program reads otherwise: ${JSON.stringify(text)}`,
    rival: () => micromatch.isMatch(text, '/srv/p/**/*.txt'),
    rules: [permit({ paths: { read: ['/srv/p/**/*.txt'] } })],
    attack: { resources: [path(text)] },
    expected: 'request_invalid',
    harmless: { resources: [path('/srv/p/x.txt')] },
  })),
  ...[
    { name: 'a limit that is no number', rest: { limit: 'abc' }, expected: 'load error: unknown_key' },
    { name: 'a bound that is no number', rest: { args: { '/n': { max: 'abc' } } }, expected: 'load error: wrong_type' },
    {
      name: 'a bound that is not finite',
      rest: { args: { '/n': { max: Number.NaN } } },
      expected: 'load error: wrong_type',
    },
    { name: 'an empty list that matches everything', rest: { tools: [] }, expected: 'load error: invalid_value' },
    { name: 'an empty list of hosts', rest: { hosts: [] }, expected: 'load error: invalid_value' },
    { name: 'a misspelt key', rest: { tolls: ['rm'] }, expected: 'load error: unknown_key' },
    { name: 'a rule without anybody', rest: { roles: undefined }, expected: 'load error' },
  ].map(({ name, rest, expected }) => ({ name, rules: [permit(rest)], attack: {}, expected })),
  {
    name: 'a second rule that silently replaces the first of the same name',
    rules: [forbid({ id: 'r', tools: ['rm'] }), permit({ id: 'r' })],
    attack: { tool: 'rm' },
    expected: 'load error: duplicate_name',
  },
  {
    name: 'a constraint that is skipped when the argument is missing',
    rules: [permit({ args: { '/to': { glob: '*@corp.test' } } })],
    attack: { args: { recipient: 'evil@evil.test' } },
    expected: 'no_matching_permit',
    harmless: { args: { to: 'a@corp.test' } },
  },
  {
    name: 'an exception inside a deny',
    rules: [PERMIT, forbid({ args: { '/user': { equals: 'root', optional: true } } })],
    attack: {
      args: Object.defineProperty({}, 'user', {
        get: () => {
          throw new Error('broken')
        },
      }),
    },
    expected: 'internal_error',
    harmless: { args: {} },
  },
  {
    name: 'a pattern that is not anchored',
    rival: () =>
      caslAllows([{ action: 'call', subject: 'Call', conditions: { tool: { $regex: /get_inbox|send/ } } }], {
        tool: 'get_inbox_and_delete',
      }),
    rules: [permit({ tools: ['get_inbox', 'send'] })],
    attack: { tool: 'get_inbox_and_delete' },
    expected: 'no_matching_permit',
    harmless: { tool: 'get_inbox' },
  },
  {
    name: 'a $ that matches at a line break',
    rival: () =>
      caslAllows([{ action: 'call', subject: 'Call', conditions: { to: { $regex: /^[^@]+@corp\.test$/m } } }], {
        to: 'a@corp.test\nb@evil.test',
      }),
    rules: [permit({ args: { '/to': { glob: '*@corp.test' } } })],
    attack: { args: { to: 'a@corp.test\nb@evil.test' } },
    expected: 'no_matching_permit',
    harmless: { args: { to: 'a@corp.test' } },
  },
  {
    name: 'an explicit 0 taken for unset',
    rules: [permit({ args: { '/n': { max: 0 } } })],
    attack: { args: { n: 1 } },
    expected: 'no_matching_permit',
    harmless: { args: { n: 0 } },
  },
  {
    name: 'a name cut at its second separator',
    rules: [permit({ tools: ['a:b'] })],
    attack: { tool: 'a:b:c:d' },
    expected: 'no_matching_permit',
    harmless: { tool: 'a:b' },
  },
  {
    name: 'an underscore in a server name',
    rules: [PERMIT, forbid({ tools: ['mcp_my_server_delete'] })],
    attack: { tool: 'mcp_my_server_delete' },
    expected: 'forbidden',
    harmless: { tool: 'mcp_my_server_list' },
  },
  {
    name: 'another name for a blocked tool',
    rules: [permit({ tools: ['read_file'] }), forbid({ tools: ['web_search'] })],
    attack: { tool: 'bing_search' },
    expected: 'no_matching_permit',
    harmless: { tool: 'read_file' },
  },
  {
    name: 'a number that is not finite',
    rival: () =>
      caslAllows(
        [
          { action: 'call', subject: 'Call' },
          { action: 'call', subject: 'Call', inverted: true, conditions: { cost: { $gt: 100 } } },
        ],
        { cost: Number.NaN },
      ),
    rules: [PERMIT, forbid({ args: { '/cost': { min: 100 } } })],
    attack: { args: { cost: Number.NaN } },
    expected: 'policy_error',
    harmless: { args: { cost: 1 } },
  },
  {
    name: 'a number below zero past an upper bound alone',
    rules: [permit({ args: { '/cost': { min: 0, max: 100 } } })],
    attack: { args: { cost: -1e9 } },
    expected: 'no_matching_permit',
    harmless: { args: { cost: 1 } },
  },
  {
    name: 'an argument that only the prototype has',
    rules: [permit({ args: { '/constructor/name': { equals: 'Object' } } })],
    attack: { args: {} },
    expected: 'no_matching_permit',
  },
  {
    name: 'a tool called like a property of every object',
    rules: [permit({ tools: ['read'] })],
    attack: { tool: 'constructor' },
    expected: 'no_matching_permit',
    harmless: { tool: 'read' },
  },
  {
    name: 'a required approval for some hosts, and a call that names none',
    rules: [{ id: 'ask', effect: 'require_approval', roles: ['*'], tools: ['*'], hosts: ['api.example.com'] }],
    attack: {},
    expected: 'no_matching_permit',
  },
]

describe('rows that other engines allow', () => {
  test.each(rows)('$name', async ({ rival, rules, attack, expected, harmless }) => {
    if (rival !== undefined) expect(await rival(), 'the attack works on the rival').toBe(true)
    expect(outcome(rules, attack)).toContain(expected)
    if (harmless !== undefined) expect(outcome(rules, harmless)).toBe('allow')
  })

  test('a forbid for a role is not dodged by misspelling the role', () => {
    const engine = PolicyEngine.from({
      name: 'policy',
      value: { version: 1, roles: { guest: { asserted: true } }, rules: [PERMIT, forbid({ roles: ['guest'] })] },
    })
    const ask = (role: string): unknown =>
      engine.evaluate({ node: 'fetch', roles: [role], tool: 'x', args: {}, resources: [] })
    expect(ask('guest')).toMatchObject({ denial: { code: 'forbidden' } })
    for (const role of ['Guest', 'guest ', 'toString', '__proto__', ''])
      expect(ask(role)).toMatchObject({ denial: { code: 'role_unknown' } })
  })

  test('no rule at all denies', () => {
    expect(outcome([], {})).toBe('no_matching_permit')
  })
})
