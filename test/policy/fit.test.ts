// What a manifest asks for and no rule grants: exactly what, what comes nearest, and the least that would grant it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { run } from '../../src/cli/main.ts'
import { parseDocument } from '../../src/core/document.ts'
import { parseHost } from '../../src/core/host.ts'
import { type HostPattern, hostCovers, parseHostPattern } from '../../src/core/host-pattern.ts'
import { type PathPattern, parsePathPattern, pathMatches } from '../../src/core/path-pattern.ts'
import { bindCall } from '../../src/manifest/bind.ts'
import { capabilitiesOf } from '../../src/manifest/capabilities.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import type { Capabilities, Excess } from '../../src/policy/fit.ts'
import { describeNearGrant } from '../../src/policy/fit-nearest.ts'
import { fuzzRuns } from '../support/fuzz.ts'

type Json = Readonly<Record<string, unknown>>

const about = { roles: ['*'], tools: ['*'] }
const permit = (id: string, rest: Json): Json => ({ id, effect: 'permit', ...about, ...rest })
const approval = (id: string, rest: Json): Json => ({ id, effect: 'require_approval', ...about, ...rest })

const engineOf = (rules: readonly Json[], rest: Json = {}): PolicyEngine =>
  PolicyEngine.from({ name: 'policy', value: { version: 1, rules, ...rest } })

const host = (text: string): HostPattern => {
  const parsed = parseHostPattern(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.pattern
}
const path = (text: string): PathPattern => {
  const parsed = parsePathPattern(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.pattern
}
const NOTHING = {
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
  scopes: [],
}
const at = <T>(value: T, index = 0) => ({ value, pointer: `/p/${index}` })
const asking = (rest: Partial<Capabilities>): Capabilities => ({ ...NOTHING, ...rest })

const excessOf = (engine: PolicyEngine, rest: Partial<Capabilities>): readonly Excess[] => engine.excess(asking(rest))
const near = (engine: PolicyEngine, rest: Partial<Capabilities>): readonly (readonly [string, string, string])[] =>
  excessOf(engine, rest).flatMap(({ nearest }) => nearest.map(({ how, text, rule }) => [how, text, rule.id] as const))

describe('what is granted by several rules together', () => {
  const halves = [permit('low', { hosts: ['10.0.0.0/9'] }), permit('high', { hosts: ['10.128.0.0/9'] })]

  test('blocks of addresses add up to a block, over rules', () => {
    expect(excessOf(engineOf(halves), { hosts: [at(host('10.0.0.0/8'))] })).toEqual([])
    expect(excessOf(engineOf(halves.slice(1)), { hosts: [at(host('10.0.0.0/8'))] })).toHaveLength(1)
  })

  test('and over egress tables', () => {
    const egress = [
      { id: 'a', roles: ['*'], hosts: ['10.0.0.0/9'] },
      { id: 'b', roles: ['*'], hosts: ['10.128.0.0/9'] },
    ]
    expect(excessOf(engineOf(halves, { egress }), { hosts: [at(host('10.0.0.0/8'))] })).toEqual([])
    expect(excessOf(engineOf(halves, { egress: egress.slice(1) }), { hosts: [at(host('10.0.0.0/8'))] })).toHaveLength(1)
  })

  test('names and paths need one rule that holds them', () => {
    const engine = engineOf([
      permit('a', { paths: { read: ['/srv/a/**', '/srv/b/**'] }, hosts: ['a.example.com', 'b.example.com'] }),
    ])
    expect(excessOf(engine, { reads: [at(path('/srv/*'))], hosts: [at(host('*.example.com'))] })).toHaveLength(2)
    expect(excessOf(engine, { reads: [at(path('/srv/a/*'))], hosts: [at(host('b.example.com'))] })).toEqual([])
  })
})

describe('what comes nearest', () => {
  const engine = engineOf([
    permit('api', { hosts: ['api.example.com', 'https://www.example.com:8443'] }),
    permit('files', { paths: { read: ['/srv/data/**'], write: ['/srv/out/**'] }, binaries: ['/usr/bin/*'] }),
    permit('others', { skills: ['mail'], hosts: ['mail.example.com'], env: ['MAIL_TOKEN'] }),
    permit('names', { env: ['AWS_REGION'], oauth_scopes: ['mail.read'], tools: ['fetch_page'] }),
    permit('late', { paths: { execute: ['/opt/**'] }, args: { '/n': { equals: 1 } } }),
    approval('asked', { process_rights: ['listen'] }),
  ])

  test.each<readonly [string, Partial<Capabilities>, readonly (readonly [string, string, string])[]]>([
    [
      'a name below a wildcard',
      { hosts: [at(host('*.example.com'))] },
      [
        ['part', 'api.example.com', 'api'],
        ['otherwise', 'https://www.example.com:8443', 'api'],
      ],
    ],
    ['another port', { hosts: [at(host('api.example.com:8443'))] }, [['otherwise', 'api.example.com', 'api']]],
    ['every port', { hosts: [at(host('api.example.com:*'))] }, [['part', 'api.example.com', 'api']]],
    [
      'another scheme',
      { hosts: [at(host('http://www.example.com:8443'))] },
      [['otherwise', 'https://www.example.com:8443', 'api']],
    ],
    ['a tree above', { reads: [at(path('/srv/**'))] }, [['part', '/srv/data/**', 'files']]],
    ['the other access', { writes: [at(path('/srv/data/x'))] }, [['otherwise', 'read /srv/data/**', 'files']]],
    ['a program as a file', { reads: [at(path('/usr/bin/git'))] }, [['otherwise', 'binary /usr/bin/*', 'files']]],
    [
      'a host of another skill',
      { hosts: [at(host('mail.example.com'))] },
      [['other_skill', 'mail.example.com', 'others']],
    ],
    ['a misspelt variable', { env: [at('AWS_REGON')] }, [['similar', 'AWS_REGION', 'names']]],
    ['a misspelt scope', { scopes: [at('mail.reed')] }, [['similar', 'mail.read', 'names']]],
    [
      'a tree of programs under conditions',
      { executes: [at(path('/opt/x/**'))] },
      [['uncertain', '/opt/x/**', 'late']],
    ],
    ['a right that waits for a person', { rights: [at('listen')] }, [['uncertain', 'listen', 'asked']]],
    ['nothing', { hosts: [at(host('**.invalid.test'))], env: [at('HOME')] }, []],
  ])('%s', (_name, asked, expected) => {
    expect(excessOf(engine, asked).length).toBeGreaterThan(0)
    expect(near(engine, asked)).toEqual(expected)
  })

  test('what no egress table lists', () => {
    const walled = engineOf([permit('api', { hosts: ['api.example.com'] })], {
      egress: [{ id: 'e', roles: ['*'], hosts: ['other.example.com'] }],
    })
    expect(near(walled, { hosts: [at(host('api.example.com'))] })).toEqual([['unreachable', 'api.example.com', 'api']])
  })

  test('at most three, and in words', () => {
    const many = engineOf(['a', 'b', 'c', 'd'].map((id) => permit(id, { hosts: [`${id}.example.com`] })))
    const [excess] = excessOf(many, { hosts: [at(host('*.example.com'))] })
    expect(excess?.nearest.map(describeNearGrant)).toEqual([
      'partly granted: a.example.com, by a (permit) policy:1:1',
      'partly granted: b.example.com, by b (permit) policy:1:1',
      'partly granted: c.example.com, by c (permit) policy:1:1',
    ])
  })
})

describe('what would grant it', () => {
  const HOSTS = [
    '*',
    'api.example.com',
    '*.example.com',
    '**.example.com',
    'https://example.com',
    'example.com:*',
    'api.example.com:8443',
    '10.0.0.0/8',
    '10.128.0.0/9',
    '10.1.2.3',
    '2001:db8::/32',
  ]
  const PATHS = ['/', '/**', '/srv/**', '/srv/*', '/srv/a', '/srv/a/**', '/srv/**/x', '/srv/[ab]*', '/srv/\\*']
  const list = (from: readonly string[]) => fc.subarray([...from], { maxLength: Math.min(3, from.length) })
  const some = <T>(key: string, values: readonly T[]) => (values.length === 0 ? {} : { [key]: values })
  const rule = fc
    .record({
      effect: fc.constantFrom('permit', 'permit', 'forbid', 'require_approval'),
      skills: fc.constantFrom(undefined, undefined, ['web'], ['mail']),
      tools: fc.constantFrom(['*'], ['a'], ['b*']),
      hosts: list(HOSTS),
      read: list(PATHS),
      write: list(PATHS),
      execute: list(PATHS),
      binaries: list(['/usr/bin/*', '/bin/sh']),
      env: list(['HOME', 'LANG']),
      scopes: list(['mail.read', '${x}']),
      libraries: list(PATHS),
      rights: list(['listen', 'udp']),
    })
    .map(
      ({ effect, skills, tools, hosts, read, write, execute, binaries, env, scopes, libraries, rights }): Json => ({
        effect,
        roles: ['*'],
        tools,
        ...(skills === undefined ? {} : { skills }),
        ...some('hosts', hosts),
        ...(read.length + write.length + execute.length === 0
          ? {}
          : { paths: { ...some('read', read), ...some('write', write), ...some('execute', execute) } }),
        ...some('binaries', binaries),
        ...some('env', env),
        ...some(
          'oauth_scopes',
          scopes.map((scope) => scope.replace('${', () => '$${')),
        ),
        ...some('libraries', libraries),
        ...some('process_rights', rights),
      }),
    )
  const policy = fc.record({
    rules: fc.array(rule, { maxLength: 4 }).map((rules) => rules.map((one, index) => ({ id: `r${index}`, ...one }))),
    egress: fc.option(
      fc.subarray(HOSTS, { minLength: 1, maxLength: 2 }).map((hosts) => [{ id: 'e', roles: ['*'], hosts }]),
      { nil: undefined },
    ),
  })
  const asked = fc
    .record({
      tools: list(['a', 'b1', 'c']),
      hosts: list(HOSTS),
      reads: list(PATHS),
      writes: list(PATHS),
      executes: list(PATHS),
      libraries: list(PATHS),
      binaries: list(['/usr/bin/git', '/bin/sh', '/opt/a b/[x]']),
      env: list(['HOME', 'TERM']),
      rights: fc.subarray(['listen', 'udp', 'executable_memory'] as const),
      scopes: list(['mail.read', '${x}', 'a:b/*']),
    })
    .map(
      (all): Capabilities => ({
        skill: 'web',
        tools: all.tools.map(at),
        hosts: all.hosts.map((text, index) => at(host(text), index)),
        reads: all.reads.map((text, index) => at(path(text), index)),
        writes: all.writes.map((text, index) => at(path(text), index)),
        executes: all.executes.map((text, index) => at(path(text), index)),
        libraries: all.libraries.map((text, index) => at(path(text), index)),
        binaries: all.binaries.map(at),
        env: all.env.map(at),
        rights: all.rights.map(at),
        scopes: all.scopes.map(at),
      }),
    )
  const key = ({ kind, text }: Excess): string => `${kind} ${text}`

  test('added to the policy it grants that wish, and loads', () => {
    let mended = 0
    fc.assert(
      fc.property(policy, asked, ({ rules, egress }, capabilities) => {
        const value = { version: 1, rules, ...(egress === undefined ? {} : { egress }) }
        const loaded = PolicyEngine.load({ name: 'policy', value })
        if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
        const before = loaded.engine.excess(capabilities)
        for (const one of before) {
          const parsed = parseDocument({ file: 'missing.yaml', text: one.missing })
          if (!parsed.ok) throw new Error(one.missing)
          const more = parsed.document.value as { readonly rules?: readonly Json[]; readonly egress?: readonly Json[] }
          const grown = {
            ...value,
            rules: [...rules, ...(more.rules ?? [])],
            ...(egress === undefined ? {} : { egress: [...egress, ...(more.egress ?? [])] }),
          }
          const after = PolicyEngine.from({ name: 'policy', value: grown }).excess(capabilities)
          expect(after.map(key)).not.toContain(key(one))
          expect(before.map(key)).toEqual(expect.arrayContaining(after.map(key)))
          for (const { rule: ref } of one.nearest) expect(rules.map(({ id }) => id)).toContain(ref.id)
          mended++
        }
      }),
      { numRuns: fuzzRuns(300) },
    )
    expect(mended).toBeGreaterThan(fuzzRuns(300))
  })

  test('and what is no excess is granted, member by member', () => {
    const destinations = [
      'http://api.example.com',
      'https://api.example.com',
      'https://a.b.example.com',
      'https://example.com',
      'wss://example.com',
      'https://10.0.0.1',
      'https://10.200.0.1',
      'https://10.1.2.3',
      'https://[2001:db8::1]',
      'https://other.test',
    ]
      .flatMap((text) => ['', ':80', ':443', ':8443'].map((port) => text + port))
      .map((text) => {
        const mark = text.indexOf('://')
        const parsed = parseHost(text.slice(mark + 3))
        if (!parsed.ok) throw new Error(text)
        return {
          host: parsed.host,
          scheme: text.slice(0, mark),
          ...(parsed.port === undefined ? {} : { port: parsed.port }),
        }
      })
    const files = ['/', '/srv', '/srv/a', '/srv/b', '/srv/a/x', '/srv/a/b/x', '/srv/abc', '/srv/*', '/etc/x']
    let granted = 0
    fc.assert(
      fc.property(
        fc.array(fc.subarray(HOSTS, { minLength: 1 }), { minLength: 1, maxLength: 3 }),
        fc.subarray(PATHS, { minLength: 1 }),
        asked,
        (hostLists, paths, capabilities) => {
          const rules = hostLists.map((hosts, index) => permit(`r${index}`, { hosts, paths: { read: paths } }))
          const excess = new Set(engineOf(rules).excess(capabilities).map(key))
          for (const { value } of capabilities.hosts) {
            if (excess.has(`host ${value.text}`)) continue
            granted++
            for (const destination of destinations) {
              if (!hostCovers(value, destination)) continue
              expect(hostLists.flat().some((text) => hostCovers(host(text), destination))).toBe(true)
            }
          }
          for (const { value } of capabilities.reads) {
            const isGranted = !excess.has(`read ${value.text}`)
            if (isGranted) granted++
            for (const file of files) {
              if (isGranted && pathMatches(value, file)) {
                expect(paths.some((text) => pathMatches(path(text), file))).toBe(true)
              }
            }
          }
        },
      ),
      { numRuns: fuzzRuns(500) },
    )
    expect(granted).toBeGreaterThan(fuzzRuns(500) / 2)
  })
})

describe('a skill that compiles', () => {
  const MANIFEST = `skill: compiler
tools:
  - name: compile
    effect: idempotent
    input_schema:
      type: object
      properties:
        program: { type: string }
        source: { type: string }
        output: { type: string }
      required: [program, source, output]
      additionalProperties: false
    resources:
      - { from: /program, kind: binary }
      - { from: /source, kind: path, access: read, base: /srv/build/src }
      - { from: /output, kind: path, access: write, base: /srv/build/out }
readable_paths: [/srv/build/src/**, /usr/include/**]
writable_paths: [/srv/build/out/**]
allowed_binaries: [/usr/bin/gcc]
limits: { wall_ms: 60000, memory_mb: 1024, processes: 32 }
execution_mode: ephemeral
`
  const POLICY = `version: 1
rules:
  - id: compile
    effect: permit
    roles: ["*"]
    skills: [compiler]
    tools: [compile]
    binaries: [/usr/bin/gcc]
    paths:
      read: [/srv/build/src/**, /usr/include/**]
      write: [/srv/build/out/**]
`
  const engine = PolicyEngine.from({ file: 'policy.yaml', text: POLICY })
  const load = (text: string) => new ManifestValidator().load({ file: 'manifest.yaml', text })
  const manifest = load(MANIFEST)
  const judge = (args: Json): string => {
    const bound = bindCall(manifest, 'compile', { program: '/usr/bin/gcc', source: 'a.c', output: 'a.o', ...args })
    if (!bound.ok) return bound.denial.code
    const { resources } = bound
    const verdict = engine.evaluate({ node: 'build', skill: 'compiler', tool: 'compile', args: bound.args, resources })
    return verdict.decision === 'allow' ? 'allow' : verdict.denial.code
  }

  test('fits, and compiles', () => {
    expect(engine.excess(capabilitiesOf(manifest))).toEqual([])
    expect(judge({})).toBe('allow')
    expect(judge({ source: '/usr/include/stdio.h', output: '/srv/build/out/x/a.o' })).toBe('allow')
  })

  test.each<readonly [string, Json, string]>([
    ['another program', { program: '/usr/bin/ld' }, 'resource_undeclared'],
    ['a shell', { program: '/bin/sh' }, 'resource_undeclared'],
    ['a program by a bare name', { program: 'gcc' }, 'resource_invalid'],
    ['output over the source', { output: '/srv/build/src/a.c' }, 'resource_undeclared'],
    ['output over the compiler', { output: '/usr/bin/gcc' }, 'resource_undeclared'],
    ['output outside by ..', { output: '../../../etc/cron.d/x' }, 'resource_invalid'],
    ['secrets as source', { source: '/etc/shadow' }, 'resource_undeclared'],
    ['an argument that is not declared', { plugin: '/srv/build/out/evil.so' }, 'arguments_invalid'],
  ])('%s is refused', (_name, args, code) => {
    expect(judge(args)).toBe(code)
  })

  test.each([
    ['/usr/bin/gcc]', '/usr/bin/gcc, /usr/bin/ld]', 'binary', '/usr/bin/ld', '/allowed_binaries/1', []],
    [
      '/srv/build/out/**]',
      '/srv/build/**]',
      'write',
      '/srv/build/**',
      '/writable_paths/0',
      ['partly granted: /srv/build/out/**, by compile (permit) policy.yaml:3:5'],
    ],
    ['/usr/include/**]', '/etc/**]', 'read', '/etc/**', '/readable_paths/1', []],
  ])('a manifest with %s for %s is refused as a whole', (from, to, kind, text, pointer, nearest) => {
    const [excess, ...more] = engine.excess(capabilitiesOf(load(MANIFEST.replace(from, to))))
    expect(more).toEqual([])
    expect(excess).toMatchObject({ kind, text, pointer })
    expect(excess?.nearest.map(describeNearGrant)).toEqual(nearest)
  })

  test('agentport check says all of it at once; control: without it there is nothing to say', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'agentport-fit-'))
    try {
      const check = async (text: string) => {
        writeFileSync(join(directory, 'policy.yaml'), POLICY)
        writeFileSync(join(directory, 'manifest.yaml'), text)
        const err: string[] = []
        const output = { out: () => undefined, err: (line: string) => err.push(line), color: false }
        const code = await run(['check', directory], output)
        return { code, err: err.join('\n').replaceAll(directory, '.') }
      }
      expect(await check(MANIFEST)).toEqual({ code: 0, err: '' })
      const { code, err } = await check(
        MANIFEST.replace('/usr/bin/gcc]', '/usr/bin/gcc, /usr/bin/ld]').replace('/srv/build/out/**]', '/srv/build/**]'),
      )
      expect(code).toBe(1)
      expect(err.split('\n').filter((line) => line.includes(' error '))).toEqual([
        './manifest.yaml:18:18: error not_granted: no policy permits skill "compiler" this write: /srv/build/** (partly granted: /srv/build/out/**, by compile (permit) ./policy.yaml:3:5)',
        './manifest.yaml:19:34: error not_granted: no policy permits skill "compiler" this binary: /usr/bin/ld',
      ])
      expect(err).toContain(
        'rules: [{ id: binary-for-compiler, effect: permit, skills: [compiler], roles: ["*"], tools: [compile], binaries: ["/usr/bin/ld"] }]',
      )
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })

  test('a program that it writes itself is refused by the manifest alone', () => {
    const text = MANIFEST.replace('/usr/bin/gcc]', '/usr/bin/gcc, /srv/build/out/a.out]')
    expect(() => load(text)).toThrow('what may be run or loaded may not be writable')
  })
})
