// What the engine says beside the decision: the rules with their places, the denial in words, what would have allowed it,
// and the rights it hands to manifests and processes.

import { describe, expect, test } from 'vitest'

import { parseHost } from '../../src/core/host.ts'
import { parseHostPattern } from '../../src/core/host-pattern.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { parsePathPattern } from '../../src/core/path-pattern.ts'
import type { Resource } from '../../src/core/resource.ts'
import { PolicyEngine, type PolicyRequest, type PolicyVerdict } from '../../src/policy/engine.ts'
import type { Capabilities } from '../../src/policy/fit.ts'

const POLICY = `version: 1
roles:
  researcher: { nodes: [fetch, "search_*"] }
  clerk: { asserted: true }
rules:
  - id: read-shop
    effect: permit
    roles: [researcher]
    tools: [http_get]
    hosts: [shop.example.com, "*.cdn.example.com:8443"]
    args:
      /method: { one_of: [GET, HEAD] }
  - id: read-files
    effect: permit
    roles: ["*"]
    tools: [http_get, read_file]
    paths: { read: ["/srv/data/**"] }
  - id: ask-payroll
    effect: require_approval
    nodes: ["*"]
    tools: [read_file]
    paths: { read: ["/srv/payroll/**"] }
    reason: personal data
  - id: no-keys
    effect: forbid
    roles: ["*"]
    tools: ["*"]
    paths: { read: ["/**/.ssh/**"], write: ["/**/.ssh/**"] }
    reason: keys stay where they are
  - id: no-loopback
    effect: forbid
    roles: ["*"]
    tools: ["*"]
    hosts: ["127.0.0.0/8", "::1"]
  - id: clerks-do-not-run
    effect: forbid
    roles: [clerk]
    tools: [run]
  - id: run-git
    effect: permit
    roles: ["*"]
    tools: [run]
    binaries: [/usr/bin/git]
    env: [LANG, HOME]
  - id: small-only
    effect: forbid
    roles: [researcher]
    tools: [upload]
    args:
      /bytes: { min: 1000 }
`

const engine = PolicyEngine.from({ file: 'agents/policy.yaml', text: POLICY })

function ask(request: Partial<PolicyRequest>): PolicyVerdict {
  return engine.evaluate({ node: 'fetch', tool: 'http_get', args: { method: 'GET' }, resources: [], ...request })
}

function site(text: string, scheme?: string, port?: number): Resource {
  const parsed = parseHost(text)
  if (!parsed.ok) throw new Error(parsed.reason)
  return {
    kind: 'network',
    host: parsed.host,
    from: '/url',
    ...(scheme === undefined ? {} : { scheme }),
    ...(port === undefined ? {} : { port }),
  }
}

function file(path: string, access: 'read' | 'write' = 'read'): Resource {
  return { kind: 'path', path, access, from: '/path' }
}

function denialOf(verdict: PolicyVerdict) {
  if (verdict.decision === 'allow') throw new Error('allowed')
  return verdict.denial
}

describe('a verdict', () => {
  test('names the rules that allow, with their places', () => {
    const verdict = ask({ resources: [site('shop.example.com', 'https', 443), file('/srv/data/a')] })
    expect(verdict).toEqual({
      decision: 'allow',
      rules: [
        { id: 'read-files', effect: 'permit', file: 'agents/policy.yaml', line: 13, column: 5 },
        { id: 'read-shop', effect: 'permit', file: 'agents/policy.yaml', line: 6, column: 5 },
      ],
      charges: [],
      obligations: [],
    })
  })

  test('cannot be changed: rules in it are frozen, and the next verdict is the same', () => {
    const verdict = ask({ resources: [file('/srv/data/a')] })
    expect(Object.isFrozen(verdict.rules)).toBe(true)
    expect(Object.isFrozen(verdict.rules[0])).toBe(true)
    expect(() => (verdict.rules as unknown[]).push('x')).toThrow(TypeError)
  })

  test('of a forbid ends the matter, and says whose words it follows', () => {
    const denial = denialOf(ask({ tool: 'read_file', resources: [file('/srv/data/.ssh/id_ed25519')] }))
    expect(denial).toMatchObject({
      code: 'forbidden',
      layer: 'policy',
      recoverable: 'never',
      detail: 'forbidden by no-keys',
      subject: { node: 'fetch', tool: 'read_file' },
      rules: [{ id: 'no-keys', reason: 'keys stay where they are', line: 24 }],
      dispatched: false,
    })
  })

  test('of an approval carries the rule that asks, and only when all else is granted', () => {
    const asked = ask({ tool: 'read_file', resources: [file('/srv/payroll/may')] })
    expect(asked).toMatchObject({ decision: 'escalate', rules: [{ id: 'ask-payroll', reason: 'personal data' }] })
    expect(denialOf(asked)).toMatchObject({ code: 'approval_required', recoverable: 'after_approval' })
    const more = ask({ tool: 'read_file', resources: [file('/srv/payroll/may'), file('/etc/passwd')] })
    expect(denialOf(more)).toMatchObject({ code: 'no_matching_permit', subject: { resource: 'read /etc/passwd' } })
  })

  test('of a rule that cannot be told names the argument', () => {
    const denial = denialOf(ask({ tool: 'upload', args: { bytes: '1e9' } }))
    expect(denial).toMatchObject({ code: 'policy_error', recoverable: 'narrower', rules: [{ id: 'small-only' }] })
    expect(denial.detail).toBe('small-only could not be evaluated: /bytes absent or of another type')
  })

  test.each([
    [
      'a host',
      { resources: [site('other.example.com', 'https', 443)] },
      'hosts: ["other.example.com"] in a permit with tools: [http_get]',
    ],
    [
      'a host at a port',
      { resources: [site('shop.example.com', 'https', 8443)] },
      'hosts: ["shop.example.com:8443"] in a permit with tools: [http_get]',
    ],
    [
      'plain http at the port of https',
      { resources: [site('shop.example.com', 'http', 443)] },
      'hosts: ["shop.example.com:443"] in a permit with tools: [http_get]',
    ],
    [
      'an IPv6 address',
      { resources: [site('2001:db8::1', 'https', 444)] },
      'hosts: ["[2001:db8::1]:444"] in a permit with tools: [http_get]',
    ],
    [
      'a file to write',
      { resources: [file('/srv/data/a', 'write')] },
      'paths: { write: ["/srv/data/a"] } in a permit with tools: [http_get]',
    ],
    [
      'a program',
      { tool: 'run', resources: [{ kind: 'binary', path: '/bin/sh', from: '/argv/0' }] },
      'binaries: ["/bin/sh"] in a permit with tools: [run]',
    ],
    [
      'a variable',
      { tool: 'run', resources: [{ kind: 'env', name: 'AWS_SECRET', from: '/env' }] },
      'env: [AWS_SECRET] in a permit with tools: [run]',
    ],
    ['a tool', { tool: 'other', node: 'plan' }, 'a permit with tools: [other] for node plan'],
  ] as const)('says what would have allowed %s, and what it says does', (_what, request, missing) => {
    const denial = denialOf(ask(request))
    expect(denial).toMatchObject({ code: 'no_matching_permit', recoverable: 'narrower', missing, rules: [] })
    const statement = /^(?:a permit with )?(.*?)(?: in a permit with (tools: .*)| for node (.*))$/.exec(missing)
    const [, first, tools = '', node = 'fetch'] = statement ?? []
    const mended = `${POLICY}  - { id: mend, effect: permit, nodes: [${node}], ${[first, tools].filter((part) => part !== '').join(', ')} }\n`
    const again = PolicyEngine.from({ file: 'p.yaml', text: mended })
    expect(
      again.evaluate({ node: 'fetch', tool: 'http_get', args: { method: 'GET' }, resources: [], ...request }).decision,
    ).toBe('allow')
  })

  test('points at the permit that came nearest, whatever order the files come in', () => {
    const wrongMethod = denialOf(ask({ args: { method: 'POST' }, resources: [site('shop.example.com')] }))
    expect(wrongMethod.detail).toBe(
      'no permit covers network shop.example.com; nearest: read-shop (agents/policy.yaml:6) but /method {"one_of":["GET","HEAD"]} does not hold',
    )
    const wrongHost = denialOf(ask({ resources: [site('evil.test')] }))
    expect(wrongHost.detail).toBe('no permit covers network evil.test; nearest: read-files (agents/policy.yaml:13)')
  })

  test.each(['/srv/**', '/srv/[a]*{b}?(c|d)+!"e', '/srv/${workspace}', '/srv/naïve ~file'])(
    'offers a grant of %s itself and of nothing more',
    (path) => {
      for (const kind of ['path', 'binary'] as const) {
        const resource: Resource = kind === 'path' ? file(path) : { kind, path, from: '/argv/0' }
        const { missing = '' } = denialOf(ask({ tool: 'other', resources: [resource] }))
        const grant = /^(.*) in a permit/.exec(missing)?.[1]
        const text = `version: 1\nrules:\n  - { id: mend, effect: permit, nodes: [fetch], tools: [other], ${grant} }\n`
        const mended = PolicyEngine.from({ file: 'p.yaml', text })
        const decide = (one: Resource): string =>
          mended.evaluate({ node: 'fetch', tool: 'other', args: {}, resources: [one] }).decision
        expect(decide(resource)).toBe('allow')
        for (const other of ['/srv', '/srv/x', '/srv/a', '/srv/a/b', '/srv/axbyd']) {
          expect(decide(kind === 'path' ? file(other) : { kind, path: other, from: '' })).toBe('deny')
        }
      }
    },
  )

  test('shows what a request carried only escaped', () => {
    const from = '/a\u202eb\n'
    const denial = denialOf(ask({ resources: [{ ...site('evil.test'), from }] }))
    expect(denial.subject.argument).toBe('/a\\u{202e}b\\u{a}')
    expect(denialOf(ask({ roles: ['A\u202eB'] })).detail).toContain('A\\u{202e}B')
  })

  test('lists a few rules by name and counts the rest', () => {
    const rules = Array.from({ length: 30 }, (_, index) => ({
      id: `f${index}`,
      effect: 'forbid',
      roles: ['*'],
      tools: ['*'],
    }))
    const many = PolicyEngine.from({ name: 'p', value: { version: 1, rules } })
    const verdict = many.evaluate({ node: 'n', tool: 't', args: {}, resources: [] })
    expect(verdict.rules).toHaveLength(30)
    expect(denialOf(verdict).detail).toBe('forbidden by f0, f1, f10, f11, f12, f13, f14, f15 and 22 more')
  })

  test('is given for as many resources as a call may name, and for no more', () => {
    const resources = Array.from({ length: LIMITS.resources }, (_, index) => file(`/srv/data/${index}`))
    expect(ask({ resources }).decision).toBe('allow')
    expect(denialOf(ask({ resources: [...resources, file('/srv/data/x')] })).code).toBe('request_invalid')
  })
})

describe('rights without a call', () => {
  const host = (text: string) => {
    const parsed = parseHostPattern(text)
    if (!parsed.ok) throw new Error(parsed.reason)
    return parsed.pattern
  }
  const path = (text: string) => {
    const parsed = parsePathPattern(text)
    if (!parsed.ok) throw new Error(parsed.reason)
    return parsed.pattern
  }
  const asking = (rest: Partial<Capabilities>): Capabilities => ({
    skill: 'web',
    tools: [],
    hosts: [],
    reads: [],
    writes: [],
    binaries: [],
    env: [],
    executes: [],
    libraries: [],
    rights: [],
    ...rest,
  })
  const at = <T>(value: T) => ({ value, pointer: '/p' })

  test('a manifest that asks for what is granted fits', () => {
    const fits = asking({
      tools: [at('http_get')],
      hosts: [at(host('shop.example.com')), at(host('a.cdn.example.com:8443'))],
      reads: [at(path('/srv/data/x/**')), at(path('/srv/payroll/**'))],
      binaries: [at('/usr/bin/git')],
      env: [at('LANG')],
    })
    expect(engine.excess(fits)).toEqual([])
  })

  test.each([
    ['tool', { tools: [at('delete')] }, 'delete'],
    ['host', { hosts: [at(host('**.example.com'))] }, '**.example.com'],
    ['host', { hosts: [at(host('shop.example.com:*'))] }, 'shop.example.com:*'],
    ['read', { reads: [at(path('/srv/**'))] }, '/srv/**'],
    ['write', { writes: [at(path('/srv/data/x'))] }, '/srv/data/x'],
    ['binary', { binaries: [at('/usr/bin/../bin/git')] }, '/usr/bin/../bin/git'],
    ['binary', { binaries: [at('/bin/sh')] }, '/bin/sh'],
    ['env', { env: [at('AWS_SECRET')] }, 'AWS_SECRET'],
    ['execute', { executes: [at(path('/opt/**'))] }, '/opt/**'],
    ['library', { libraries: [at(path('/usr/lib/*'))] }, '/usr/lib/*'],
    ['right', { rights: [at('listen' as const)] }, 'listen'],
  ] as const)('a %s that no rule grants is excess', (kind, asked, text) => {
    expect(engine.excess(asking(asked))).toEqual([{ kind, text, pointer: '/p' }])
  })

  const texts = (list: readonly { readonly text: string }[]): readonly string[] => list.map(({ text }) => text)

  test('a process gets what permits without conditions name, less what forbids and approvals name', () => {
    const { permits, forbids } = engine.grantsFor({ node: 'fetch', tool: 'read_file' })
    expect(permits.map((grant) => grant.rule)).toEqual([
      expect.stringContaining('read-files (permit) agents/policy.yaml:13'),
    ])
    expect(permits.flatMap((grant) => texts(grant.reads))).toEqual(['/srv/data/**'])
    expect(forbids.flatMap((grant) => texts(grant.reads))).toEqual(['/srv/payroll/**', '/**/.ssh/**'])
    expect(forbids.flatMap((grant) => texts(grant.hosts))).toEqual(['127.0.0.0/8', '::1'])
  })

  test('a permit that depends on arguments gives a process nothing', () => {
    const { permits } = engine.grantsFor({ node: 'fetch', tool: 'http_get' })
    expect(permits.flatMap((grant) => grant.hosts)).toEqual([])
  })

  test('a process of a forbidden tool, or of a role nobody may assert, gets nothing', () => {
    const nothing = { permits: [], forbids: [], forbiddenSyscalls: [], executionMode: 'shared', limits: {} }
    expect(engine.grantsFor({ node: 'plan', tool: 'run' }).permits).toHaveLength(1)
    expect(engine.grantsFor({ node: 'plan', tool: 'run', roles: ['clerk'] })).toEqual(nothing)
    expect(engine.grantsFor({ node: 'plan', tool: 'run', roles: ['nobody'] })).toEqual(nothing)
    expect(engine.grantsFor({ node: 'plan', tool: 'run', roles: ['researcher'] })).toEqual(nothing)
  })
})
