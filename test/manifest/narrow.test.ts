// A child has at most what its parent has: every way to have more, the greatest manifest inside two, and calls under it.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { bindCall } from '../../src/manifest/bind.ts'
import type { Manifest } from '../../src/manifest/manifest.ts'
import { intersectManifests, narrowManifest } from '../../src/manifest/narrow.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const validator = new ManifestValidator()
const load = (text: string, skill?: string): Manifest =>
  validator.load({ file: 'child.yaml', text }, skill === undefined ? {} : { skill })

const PARENT = `skill: s
tools:
  - name: fetch
    effect: idempotent
    input_schema: { type: object, required: [url], properties: { url: { type: string } }, additionalProperties: false }
    resources: [{ from: /url, kind: url, method: GET }]
    oauth_scopes: [a, b]
  - name: hidden
tool_scope: [fetch]
allowed_hosts: ["*.example.com", 10.0.0.0/9, 10.128.0.0/9]
readable_paths: [/srv/in/**]
writable_paths: [/srv/out/**]
allowed_binaries: [/usr/bin/git]
executable_paths: [/opt/bin/**]
allowed_libraries: [/opt/lib/*]
allowed_env: [LANG]
process_rights: [listen]
forbidden_syscalls: [ptrace]
limits: { wall_ms: 1000, memory_mb: 64, processes: 8 }
execution_mode: ephemeral
on_failure: halt
`
const parent = load(PARENT)
const TOOL = PARENT.slice(PARENT.indexOf('tools:'), PARENT.indexOf('  - name: hidden'))
const KEPT = `forbidden_syscalls: [ptrace, execveat]
limits: { wall_ms: 1000, memory_mb: 32, processes: 1 }
execution_mode: ephemeral
on_failure: halt
`

describe('a child inside its parent', () => {
  test.each([
    ['the parent itself', PARENT],
    ['nothing but its promises', `skill: child\n${KEPT}`],
    [
      'part of everything',
      `skill: child\n${TOOL}allowed_hosts: [https://a.example.com, 10.0.0.0/8, 10.1.2.3]\nreadable_paths: [/srv/in/a*, /srv/in]\nwritable_paths: [/srv/out/**/x]\nallowed_binaries: [/usr/bin/git]\nexecutable_paths: [/opt/bin/a]\nallowed_libraries: [/opt/lib/*.so]\nallowed_env: [LANG]\nprocess_rights: [listen]\n${KEPT}`,
    ],
    ['a tool that says it is less safe to repeat', `skill: child\n${TOOL.replace('idempotent', 'unsafe')}${KEPT}`],
    ['a tool that is out of its own scope', `skill: child\ntools: [{ name: more }]\ntool_scope: []\n${KEPT}`],
  ])('%s', (_name, text) => {
    const child = load(text)
    const narrowing = narrowManifest(parent, child)
    expect(narrowing).toEqual({ ok: true, manifest: child })
  })
})

describe('a child that has more', () => {
  const base = `skill: child\n${TOOL}${KEPT}`
  const PLACE = '▶'
  test.each<readonly [string, string, string, string]>([
    ['a host', `${base}allowed_hosts: [a.example.com, ▶"**.example.com"]\n`, 'allowed_hosts', '**.example.com'],
    ['a port', `${base}allowed_hosts: [▶"a.example.com:*"]\n`, 'allowed_hosts', 'a.example.com:*'],
    ['a block', `${base}allowed_hosts: [10.0.0.0/8, ▶11.0.0.0/8]\n`, 'allowed_hosts', '11.0.0.0/8'],
    ['a tree', `${base}readable_paths: [▶/srv/**]\n`, 'readable_paths', '/srv/**'],
    ['writing where the parent reads', `${base}writable_paths: [▶/srv/in/a]\n`, 'writable_paths', '/srv/in/a'],
    ['a program', `${base}allowed_binaries: [▶/bin/sh]\n`, 'allowed_binaries', '/bin/sh'],
    [
      'a program of a tree, as one that calls may name',
      `${base}allowed_binaries: [▶/opt/bin/a]\n`,
      'allowed_binaries',
      '/opt/bin/a',
    ],
    ['a tree of programs', `${base}executable_paths: [▶/opt/**]\n`, 'executable_paths', '/opt/**'],
    ['libraries', `${base}allowed_libraries: [▶"/opt/lib/**"]\n`, 'allowed_libraries', '/opt/lib/**'],
    ['a variable', `${base}allowed_env: [LANG, ▶HOME]\n`, 'allowed_env', 'HOME'],
    ['a right', `${base}process_rights: [▶udp]\n`, 'process_rights', 'udp'],
    ['a tool', `skill: child\ntools:\n  - ▶name: more\n${KEPT}`, 'tools', 'more'],
    ['a tool out of the scope of the parent', `skill: child\ntools:\n  - ▶name: hidden\n${KEPT}`, 'tools', 'hidden'],
    [
      'a tool that is safe to repeat',
      base.replace('- name', '- ▶name').replace('idempotent', 'pure'),
      'tools',
      'fetch',
    ],
    [
      'a tool with another schema',
      base.replace('- name', '- ▶name').replace('additionalProperties: false', 'additionalProperties: true'),
      'tools',
      'fetch',
    ],
    [
      'a tool that calls its URL text',
      base.replace('- name', '- ▶name').replace('kind: url, method: GET', 'kind: text'),
      'tools',
      'fetch',
    ],
    [
      'a tool that says nothing of the method',
      base.replace('- name', '- ▶name').replace(', method: GET', ''),
      'tools',
      'fetch',
    ],
    [
      'a tool with a scope less to be judged',
      base.replace('- name', '- ▶name').replace('[a, b]', '[a]'),
      'tools',
      'fetch',
    ],
    ['no limit', base.replace('limits: { wall_ms: 1000, ', 'limits: ▶{ '), 'limits', 'wall_ms'],
    ['a higher limit', base.replace('memory_mb: 32', 'memory_mb: ▶65'), 'limits', 'memory_mb'],
    ['a system call', base.replace('[ptrace, execveat]', '▶[execveat]'), 'forbidden_syscalls', 'ptrace'],
    [
      'a shared confinement',
      base.replace('execution_mode: ephemeral', 'execution_mode: ▶shared'),
      'execution_mode',
      'shared',
    ],
    [
      'a softer failure',
      base.replace('on_failure: halt', 'on_failure: ▶skip_downstream'),
      'on_failure',
      'skip_downstream',
    ],
    ['no word on failure', base.replace('on_failure: halt\n', '').replace('skill', '▶skill'), 'on_failure', 'absent'],
  ])('%s', (_name, marked, key, text) => {
    const before = marked.slice(0, marked.indexOf(PLACE)).split('\n')
    const child = load(marked.replace(PLACE, ''))
    const narrowing = narrowManifest(parent, child)
    if (narrowing.ok) throw new Error('it was taken')
    expect(narrowing.excess).toHaveLength(1)
    expect(narrowing.excess[0]).toMatchObject({
      key,
      text,
      file: 'child.yaml',
      line: before.length,
      column: (before.at(-1) ?? '').length + 1,
    })
    // What is left of it fits.
    expect(narrowManifest(parent, intersectManifests(parent, child)).ok).toBe(true)
  })

  test('all of it is listed', () => {
    const narrowing = narrowManifest(parent, load('skill: child\nallowed_hosts: [x.test]\nallowed_env: [A, LANG, B]\n'))
    expect(narrowing.ok ? [] : narrowing.excess.map(({ key, text }) => `${key} ${text}`)).toEqual([
      'allowed_hosts x.test',
      'allowed_env A',
      'allowed_env B',
      'forbidden_syscalls ptrace',
      'limits wall_ms',
      'limits memory_mb',
      'limits processes',
      'execution_mode shared',
      'on_failure absent',
    ])
  })

  test('attack: a child that renames its URL to free text is not judged by the hosts of its parent; control', () => {
    const evil = load(`skill: child\n${TOOL.replace('kind: url, method: GET', 'kind: text')}${KEPT}`)
    expect(bindCall(evil, 'fetch', { url: 'https://evil.example/' }).ok).toBe(true)
    expect(narrowManifest(parent, evil).ok).toBe(false)
    const bound = bindCall(intersectManifests(parent, evil), 'fetch', { url: 'https://evil.example/' })
    expect(bound.ok || bound.denial.code).toBe('tool_undeclared')
  })

  test('lists too long to compare are refused, not skipped', () => {
    const names = (prefix: string) => Array.from({ length: 1_100 }, (_, index) => `${prefix}${index}.example.com`)
    const long = (prefix: string) => validator.load({ name: 'm', value: { skill: 's', allowed_hosts: names(prefix) } })
    expect(() => narrowManifest(long('a'), long('b'))).toThrow('too many entries of allowed_hosts')
    expect(() => intersectManifests(long('a'), long('b'))).toThrow('too many entries of allowed_hosts')
  })
})

describe('the greatest manifest inside both', () => {
  test('keeps what both have and promises what either promises', () => {
    const child = load(`skill: child
version: "2"
${TOOL.replace('idempotent', 'keyed')}allowed_hosts: [https://**.example.com, 10.0.0.0/8, 192.0.2.0/24]
readable_paths: [/srv/*/x, /srv/in/a/**, /etc/**]
writable_paths: [/**]
allowed_env: [HOME, LANG]
process_rights: [udp, listen]
forbidden_syscalls: [execveat]
limits: { wall_ms: 2000, memory_mb: 32 }
on_failure: continue
`)
    const both = intersectManifests(parent, child)
    expect(both).toMatchObject({
      skill: 'child',
      version: '2',
      allowedEnv: ['LANG'],
      processRights: ['listen'],
      forbiddenSyscalls: ['execveat', 'ptrace'],
      limits: { wallMs: 1000, memoryBytes: 32 * 1024 * 1024, processes: 8 },
      executionMode: 'ephemeral',
      onFailure: 'halt',
    })
    const texts = (list: readonly { readonly text: string }[]) => list.map(({ text }) => text)
    expect(texts(both.allowedHosts)).toEqual(['https://*.example.com', '10.0.0.0/8'])
    expect(texts(both.readablePaths)).toEqual(['/srv/in/x', '/srv/in/a/**'])
    expect(texts(both.writablePaths)).toEqual(['/srv/out/**'])
    expect([...both.tools.values()].map(({ name, effect }) => `${name} ${effect}`)).toEqual(['fetch keyed'])
    expect(bindCall(both, 'fetch', { url: 'https://a.example.com' })).toMatchObject({
      ok: true,
      resources: [{ method: 'GET' }, {}, {}],
    })
  })

  const list = (from: readonly string[]) => fc.subarray([...from], { maxLength: Math.min(3, from.length) })
  const HOSTS = [
    '*',
    'api.example.com',
    '*.example.com',
    '**.example.com',
    'https://api.example.com',
    'https://*:*',
    '*.example.com:8443',
    '10.0.0.0/8',
    '10.0.0.0/9',
    '10.128.0.0/9',
    '10.1.2.3',
  ]
  const PATHS = ['/**', '/srv/**', '/srv/*', '/srv/a', '/srv/a/**', '/srv/*/x', '/*/a/**', '/srv/**/x']
  const tool = fc
    .record({
      name: fc.constantFrom('t', 'u'),
      effect: fc.constantFrom('pure', 'unsafe'),
      scopes: fc.constantFrom([], [], [], ['a']),
      text: fc.constantFrom(false, false, false, false, true),
    })
    .map(({ name, effect, scopes, text }) => ({
      name,
      effect,
      input_schema: {
        type: 'object',
        properties: {
          url: { type: 'string' },
          path: { type: 'string' },
          out: { type: 'string' },
          run: { type: 'string' },
          env: { type: 'string' },
        },
        additionalProperties: false,
      },
      resources: [
        text ? { from: '/url', kind: 'text' } : { from: '/url', kind: 'url', optional: true },
        { from: '/path', kind: 'path', access: 'read', optional: true },
        { from: '/out', kind: 'path', access: 'write', optional: true },
        { from: '/run', kind: 'binary', optional: true },
        { from: '/env', kind: 'env', optional: true },
      ],
      oauth_scopes: scopes,
    }))
  const manifest = fc
    .record({
      tools: fc.uniqueArray(tool, { selector: ({ name }) => name, minLength: 1, maxLength: 2 }),
      tool_scope: fc.constantFrom(['*'], ['t']),
      allowed_hosts: list(HOSTS),
      readable_paths: list(PATHS),
      writable_paths: list(PATHS),
      allowed_binaries: list(['/bin/sh', '/bin/ls']),
      allowed_env: list(['A', 'B']),
      forbidden_syscalls: list(['ptrace', 'execveat']),
      execution_mode: fc.constantFrom('shared', 'ephemeral'),
      limits: fc.constantFrom({}, { wall_ms: 5 }, { wall_ms: 9, memory_mb: 1 }),
      on_failure: fc.constantFrom('halt', 'continue'),
    })
    .map((value): unknown => ({ skill: 's', ...value }))
    // A manifest may not write what it runs.
    .filter((value) => validator.validate({ name: 'm', value }).ok)
    .map((value) => validator.load({ name: 'm', value }))
  const ARGS = [
    ...[
      'http://api.example.com/',
      'https://api.example.com/',
      'https://a.b.example.com/',
      'https://api.example.com:8443/',
      'https://other.test/',
      'https://10.1.2.3/',
      'https://10.200.0.1/',
    ].map((url) => ({ url })),
    ...['/', '/srv', '/srv/a', '/srv/a/x', '/srv/b/x', '/srv/a/b/x', '/x/a/y'].flatMap((path) => [
      { path },
      { out: path },
    ]),
    { run: '/bin/sh' },
    { run: '/bin/ls' },
    { env: 'A' },
    { env: 'B' },
    {},
  ]
  const judge = (one: Manifest, name: string, args: object): readonly string[] | undefined => {
    const bound = bindCall(one, name, args)
    return bound.ok ? bound.resources.map((resource) => JSON.stringify(resource)).sort() : undefined
  }

  test('grants no call that either refuses, reads it alike, and narrows both', () => {
    let allowed = 0
    fc.assert(
      fc.property(manifest, manifest, (a, b) => {
        const both = intersectManifests(a, b)
        expect([narrowManifest(a, both), narrowManifest(b, both)]).toMatchObject([{ ok: true }, { ok: true }])
        for (const name of ['t', 'u']) {
          for (const args of ARGS) {
            const resources = judge(both, name, args)
            if (resources === undefined) continue
            allowed++
            expect([judge(a, name, args), judge(b, name, args)]).toEqual([resources, resources])
          }
        }
      }),
      { numRuns: fuzzRuns(300) },
    )
    expect(allowed).toBeGreaterThan(fuzzRuns(300) / 5)
  })

  test('leaves out no call that both allow, where the tool is the same and no ** stands inside', () => {
    const plain = manifest.filter((one) =>
      [...one.readablePaths, ...one.writablePaths].every(({ text }) => !text.slice(0, -2).includes('**')),
    )
    let allowed = 0
    fc.assert(
      fc.property(plain, plain, (a, b) => {
        const both = intersectManifests(a, b)
        for (const name of both.tools.keys()) {
          for (const args of ARGS) {
            if (judge(a, name, args) === undefined || judge(b, name, args) === undefined) continue
            allowed++
            expect([a.tools.get(name)?.name, args, judge(both, name, args) !== undefined]).toEqual([name, args, true])
          }
        }
      }),
      { numRuns: fuzzRuns(300) },
    )
    expect(allowed).toBeGreaterThan(fuzzRuns(300) / 5)
  })

  test('narrowing that says yes is right, call by call; a greater parent allows no less', () => {
    fc.assert(
      fc.property(manifest, manifest, manifest, (a, b, c) => {
        const isInside = narrowManifest(a, b).ok
        const small = intersectManifests(intersectManifests(a, b), c)
        const great = intersectManifests(a, c)
        for (const name of ['t', 'u']) {
          for (const args of ARGS) {
            if (isInside && judge(b, name, args) !== undefined)
              expect(judge(a, name, args)).toEqual(judge(b, name, args))
            if (judge(small, name, args) !== undefined) expect(judge(a, name, args)).toBeDefined()
          }
        }
        expect(narrowManifest(a, great).ok && narrowManifest(a, small).ok).toBe(true)
      }),
      { numRuns: fuzzRuns(200) },
    )
  })
})
