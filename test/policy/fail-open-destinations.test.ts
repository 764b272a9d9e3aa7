// Destinations, paths and documents that programs read in more than one way, as they come from a model and as an attacker
// would hand them in. What a URL parser, a glob or a JSON parser makes of each stands beside it, as the positive control.

import { posix } from 'node:path'
import micromatch from 'micromatch'
import { describe, expect, test } from 'vitest'

import { resourceOf } from '../../src/core/named-resource.ts'
import { PolicyEngine, type PolicyRequest } from '../../src/policy/engine.ts'
import type { PolicySource } from '../../src/policy/load.ts'

type Members = Readonly<Record<string, unknown>>

const EVERYBODY = { id: 'r', roles: ['*'], tools: ['*'] }

function engineOf(...rules: readonly Members[]): PolicyEngine {
  return PolicyEngine.from({ name: 'policy', value: { version: 1, rules } })
}

function judge(engine: PolicyEngine, resource: unknown): string {
  const request = { node: 'n', tool: 't', args: {}, resources: [resource] } as unknown as PolicyRequest
  const verdict = engine.evaluate(request)
  return verdict.decision === 'allow' ? 'allow' : verdict.denial.code
}

/** The code of a call that names `text`, or that nobody can tell what it names. */
function named(engine: PolicyEngine, kind: 'url' | 'host' | 'path', text: string): string {
  let resource: unknown
  try {
    resource = resourceOf(kind, text)
  } catch {
    return 'ambiguous'
  }
  return judge(engine, resource)
}

const host = (text: string): unknown => ({ kind: 'network', host: { kind: 'name', text }, from: '/host' })
const path = (text: string): unknown => ({ kind: 'path', path: text, access: 'read', from: '/path' })

describe('a URL', () => {
  const good = engineOf({ ...EVERYBODY, effect: 'permit', hosts: ['good.com', 'api.example.com'] })

  test('that is plain is allowed', () => {
    expect(named(good, 'url', 'https://good.com/')).toBe('allow')
    expect(named(good, 'url', 'https://GOOD.com./a/b?c#d')).toBe('allow')
  })

  test.each<[string, string | undefined]>([
    ['http://good.com\\@evil.com/', 'good.com'],
    ['http://evil.com\\.good.com/', 'evil.com'],
    ['http://good.com@evil.com/', 'evil.com'],
    ['http://good.com#@evil.com/', 'good.com'],
    ['http://evil.com#@good.com/', 'evil.com'],
    ['http://good.com\t.evil.com/', 'good.com.evil.com'],
    ['http://good\n.com/', 'good.com'],
    [' http://good.com/', 'good.com'],
    ['http:good.com', 'good.com'],
    ['http:///good.com', 'good.com'],
    ['http://api.example.com%2eevil.com/', 'api.example.com.evil.com'],
    ['http://good.com%00.evil.com/', undefined],
    ['http://good.com:80:80/', undefined],
    ['javascript://good.com/%0aalert(1)', 'good.com'],
    ['file://good.com/etc/passwd', 'good.com'],
    ['//good.com/', undefined],
    ['http://①②⑦.⓪.⓪.①/', '127.0.0.1'],
    ['http://127。0。0。1/', '127.0.0.1'],
    ['http://0/', '0.0.0.0'],
    ['http://xn--a/', undefined],
    ['http://[fe80::1%25eth0]/', undefined],
    ['http://[::ffff:127.0.0.1]/', '[::ffff:7f00:1]'],
  ])('that could be read as another host is not allowed, whatever the platform makes of it: %j', (text, hostname) => {
    expect(URL.canParse(text) ? new URL(text).hostname : undefined).toBe(hostname)
    expect(named(good, 'url', text)).not.toBe('allow')
  })
})

describe('an address', () => {
  const loopback = engineOf(
    { ...EVERYBODY, id: 'may', effect: 'permit', hosts: ['*:*', '0.0.0.0/0:*', '[::/0]:*'] },
    { ...EVERYBODY, id: 'must-not', effect: 'forbid', hosts: ['127.0.0.0/8', '10.0.0.0/8'] },
  )

  test('of another net is allowed', () => {
    expect(named(loopback, 'host', '192.0.2.1')).toBe('allow')
  })

  test.each([
    '127.0.0.1',
    '127.1',
    '0177.0.0.1',
    '0x7f.0.0.1',
    '2130706433',
    '017700000001',
    '127.000.000.001',
    '0',
    '010.0.0.1',
    '127.0.0.1\n',
    ' 127.0.0.1',
    '127.0.0.1%eth0',
    '10.0.0.256',
    '1.2.3',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '::1',
    '0:0:0:0:0:0:0:1',
    '2002:7f00:1::',
    'localhost',
    'LOCALHOST.',
    '①②⑦.⓪.⓪.①',
  ])('in whatever spelling is not allowed past a forbid: %j', (text) => {
    expect(named(loopback, 'host', text)).not.toBe('allow')
    expect(named(loopback, 'url', `http://${text.includes(':') ? `[${text}]` : text}/`)).not.toBe('allow')
    expect(judge(loopback, host(text))).not.toBe('allow')
  })
})

describe('a path', () => {
  const project = engineOf({ ...EVERYBODY, effect: 'permit', paths: { read: ['/srv/p/**'] } })

  test('inside is allowed, the tree itself and its dotfiles too', () => {
    for (const text of ['/srv/p', '/srv/p/x', '/srv/p/.env']) expect(named(project, 'path', text), text).toBe('allow')
  })

  test.each([
    '/srv/p/../../etc/passwd',
    '/srv/p//x',
    '/srv/p/x\0.txt',
    '/srv/p/x\n',
    '/srv/p/%2e%2e/etc',
    '/srv/p/..%2fetc',
    '/srv/p\\..\\..\\etc',
    '/srv/p\\x',
    '/srv/pevil/x',
    '/srv/p-evil',
    '/SRV/p/x',
    '/srv/p/./x',
    '/srv/p/..',
    'srv/p/x',
    '~/p',
    '',
    'file:///srv/p/x',
    '/srv/p/\u202etxt',
  ])('that leads or could lead elsewhere is not allowed as it stands: %j', (text) => {
    expect(judge(project, path(text))).not.toBe('allow')
    const outcome = named(project, 'path', text)
    // Where it is made canonical first, what is allowed is inside.
    if (outcome === 'allow') expect(posix.normalize(text).startsWith('/srv/p')).toBe(true)
  })

  test('is where a glob of the usual library lets a NUL, a line break and an encoded dot through', () => {
    expect(micromatch.isMatch('/srv/p/x\0.txt', '/srv/p/*.txt')).toBe(true)
    expect(micromatch.isMatch('/srv/p/x\n', '/srv/p/*')).toBe(true)
    expect(micromatch.isMatch('/srv/p/%2e%2e/etc', '/srv/p/**')).toBe(true)
    expect(micromatch.isMatch('/srv/p/.env', '/srv/p/**')).toBe(false)
  })
})

describe('a document', () => {
  const problems = (source: PolicySource): string => {
    const loaded = PolicyEngine.load(source)
    return loaded.ok ? 'loaded' : loaded.problems.map(({ code }) => code).join(', ')
  }
  const rule = '{"id":"r","effect":"forbid","nodes":["*"],"tools":["*"]'

  test.each([
    [
      'a key twice: the last one wins elsewhere',
      'json',
      `{"version":1,"rules":[${rule},"tools":["x"]}]}`,
      'duplicate_key',
    ],
    ['a key twice, escaped', 'json', `{"version":1,"rules":[${rule},"\\u0074ools":["x"]}]}`, 'duplicate_key'],
    ['a prototype', 'json', `{"version":1,"__proto__":{"rules":[]}}`, 'forbidden_key'],
    [
      'a number that becomes another',
      'json',
      `{"version":1,"rules":[${rule},"args":{"/n":{"max":9007199254740993}}}]}`,
      'invalid_value',
    ],
    [
      'a number that becomes infinite',
      'json',
      `{"version":1,"rules":[${rule},"args":{"/n":{"max":1e400}}}]}`,
      'invalid_value',
    ],
    ['a lone surrogate', 'json', `{"version":1,"rules":[${rule},"args":{"/n":{"equals":"\\ud800"}}}]}`, 'syntax_error'],
    ['a comment', 'json', `{"version":1,/* */"rules":[]}`, 'syntax_error'],
    ['a merge key', 'yaml', 'version: 1\nrules:\n  - <<: { effect: forbid }\n    id: r\n', 'unsupported_syntax'],
    [
      'an octal number',
      'yaml',
      'version: 1\nrules:\n  - { id: r, effect: forbid, nodes: ["*"], tools: ["*"], args: { /n: { max: 017 } } }\n',
      'invalid_value',
    ],
    ['an alias', 'yaml', 'version: 1\nrules: &r []\nlimits: *r\n', 'unsupported_syntax'],
    [
      'a time of day that YAML 1.1 takes for a number',
      'yaml',
      'version: 1\nrules:\n  - { id: r, effect: forbid, nodes: ["*"], tools: ["*"], during: { from: 8, to: 18 } }\n',
      'wrong_type',
    ],
    ['a second document', 'yaml', 'version: 1\nrules: []\n---\nversion: 1\nrules: []\n', 'unsupported_syntax'],
  ])('with %s is not loaded', (_what, ending, text, expected) => {
    expect(problems({ file: `policy.${ending}`, text })).toContain(expected)
  })

  test('does not replace another one of the same name', () => {
    const named = (id: string, effect: string): PolicySource => ({
      name: 'policy',
      value: { version: 1, name: 'main', rules: [{ ...EVERYBODY, id, effect }] },
    })
    for (const sources of [
      [named('a', 'forbid'), named('b', 'permit')],
      [named('b', 'permit'), named('a', 'forbid')],
    ]) {
      const verdict = PolicyEngine.from(sources).evaluate({ node: 'n', tool: 't', args: {}, resources: [] })
      expect(verdict).toMatchObject({ decision: 'deny', code: 'forbidden' })
    }
  })
})
