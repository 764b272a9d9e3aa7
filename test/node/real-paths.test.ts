// Where the paths of a manifest really lie: links, links to links, links to nothing, and what cannot be told.

import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { run } from '../../src/cli/main.ts'
import { type Capabilities, capabilitiesOf } from '../../src/manifest/capabilities.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'
import { type RealPathOptions, type RealPaths, realPaths } from '../../src/node/real-paths.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const capabilities = (lists: Readonly<Record<string, readonly string[]>>): Capabilities =>
  capabilitiesOf(new ManifestValidator().load({ name: 'manifest', value: { skill: 's', ...lists } }))

/** A disk of links alone: every path that is no key is a directory, but what starts with /none is missing. */
const disk = (links: Readonly<Record<string, string>>): RealPathOptions => ({
  readLink: (path) => {
    if (path.startsWith('/none') || path === '/srv/none') throw Object.assign(new Error(path), { code: 'ENOENT' })
    if (path.startsWith('/locked/')) throw Object.assign(new Error(path), { code: 'EACCES' })
    return Object.hasOwn(links, path) ? links[path] : undefined
  },
})

const reads = (found: RealPaths): readonly string[] => found.capabilities.reads.map(({ value }) => value.text)

describe('on a made-up disk', () => {
  const links = {
    '/srv/out': '/etc',
    '/srv/rel': '../var/data',
    '/srv/twice': 'rel/x',
    '/srv/self': 'self',
    '/srv/a': '/srv/b',
    '/srv/b': '/srv/a',
    '/srv/root': '/',
    '/srv/above': '../../../..',
    '/srv/dangling': '/none/x',
    '/srv/hole': '/none/../etc',
    '/srv/odd': '/data/[x] *',
    '/srv/control': '/data/\n',
    '/srv/locked': '/locked/x',
  }

  test.each([
    ['/srv/plain/**', '/srv/plain/**'],
    ['/srv/out/**', '/etc/**'],
    ['/srv/out', '/etc'],
    ['/srv/out/*/x', '/etc/*/x'],
    ['/srv/rel/a', '/var/data/a'],
    ['/srv/twice/**', '/var/data/x/**'],
    ['/srv/root/**', '/**'],
    ['/srv/root', '/'],
    ['/srv/above/etc', '/etc'],
    ['/srv/odd/**', '/data/\\[x\\] \\*/**'],
    ['/**', '/**'],
    ['/', '/'],
    // Below a wildcard nobody looks.
    ['/srv/*/x', '/srv/*/x'],
    ['/*/out', '/*/out'],
  ])('%s lies at %s', (text, real) => {
    const found = realPaths(capabilities({ readable_paths: [text] }), disk(links))
    expect(reads(found)).toEqual([real])
    const moved = { kind: 'read', pointer: '/readable_paths/0', text, real }
    expect(found.moved).toEqual(text === real ? [] : [moved])
    expect([found.missing, found.unresolved]).toEqual([[], []])
  })

  test.each([
    ['/none/a/**', '/none/a/**', '/none'],
    ['/srv/none', '/srv/none', '/srv/none'],
    ['/srv/dangling/**', '/none/x/**', '/none'],
  ])('%s is missing, and would be made at %s', (text, real, path) => {
    const found = realPaths(capabilities({ readable_paths: [text] }), disk(links))
    expect(reads(found)).toEqual([real])
    expect(found.missing).toEqual([{ kind: 'read', pointer: '/readable_paths/0', text, path }])
  })

  test.each([
    ['/srv/self/**', /more than 40 links/],
    ['/srv/a', /more than 40 links/],
    ['/srv/hole/**', /\.\. of what does not exist/],
    ['/srv/control/**', /a control or format character/],
    ['/srv/locked', /EACCES/],
  ])('%s cannot be followed', (text, reason) => {
    const found = realPaths(capabilities({ readable_paths: [text] }), disk(links))
    expect(reads(found)).toEqual([text])
    expect(found.unresolved).toEqual([
      { kind: 'read', pointer: '/readable_paths/0', text, reason: expect.stringMatching(reason) },
    ])
  })

  test('every kind of path is looked at', () => {
    const found = realPaths(
      capabilities({
        readable_paths: ['/l/r'],
        writable_paths: ['/l/w'],
        allowed_binaries: ['/l/(b)'],
        executable_paths: ['/l/x/**'],
        allowed_libraries: ['/l/lib/*'],
        allowed_env: ['HOME'],
      }),
      disk({ '/l': '/m' }),
    )
    expect(found.moved.map(({ kind, real }) => `${kind} ${real}`).sort()).toEqual([
      'binary /m/\\(b\\)',
      'execute /m/x/**',
      'library /m/lib/*',
      'read /m/r',
      'write /m/w',
    ])
    expect(found.capabilities.binaries).toEqual([{ value: '/m/(b)', pointer: '/allowed_binaries/0' }])
    expect(found.capabilities.env).toEqual([{ value: 'HOME', pointer: '/allowed_env/0' }])
  })

  test('whatever links there are, it answers', () => {
    const name = fc.constantFrom('a', 'b', 'c', '..', '.')
    const target = fc
      .tuple(fc.boolean(), fc.array(name, { maxLength: 4 }))
      .map(([up, parts]) => `${up ? '/' : ''}${parts.join('/')}`)
    const place = fc
      .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 })
      .map((parts) => `/${parts.join('/')}`)
    fc.assert(
      fc.property(fc.dictionary(place, target), place, (tree, text) => {
        const found = realPaths(capabilities({ readable_paths: [text] }), {
          readLink: (path) => (Object.hasOwn(tree, path) ? tree[path] : undefined),
        })
        const [real = ''] = reads(found)
        if (found.unresolved.length > 0) return
        // What comes back has no link on its way.
        const parts = real.split('/')
        for (let index = 2; index <= parts.length; index++)
          expect(Object.hasOwn(tree, parts.slice(0, index).join('/'))).toBe(false)
      }),
      { numRuns: fuzzRuns(1_000) },
    )
  })
})

describe('on this disk', () => {
  let directory: string
  beforeEach(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'agentport-real-')))
    for (const name of ['work/in', 'secret']) mkdirSync(join(directory, name), { recursive: true })
    symlinkSync('../secret', join(directory, 'work', 'out'))
  })
  afterEach(() => {
    rmSync(directory, { recursive: true, force: true })
  })

  test('the answers are those of realpath', () => {
    for (const name of ['work/in', 'work/out', 'work', 'secret']) {
      const path = join(directory, name)
      expect(reads(realPaths(capabilities({ readable_paths: [path] })))).toEqual([realpathSync(path)])
    }
    const gone = realPaths(capabilities({ readable_paths: [join(directory, 'work/out/x/y')] }))
    expect(gone.missing).toMatchObject([{ path: join(directory, 'secret/x') }])
  })

  test('agentport check --filesystem finds what a link hides; control: without it, the lists agree', async () => {
    const write = (name: string, text: string): void => {
      mkdirSync(dirname(join(directory, name)), { recursive: true })
      writeFileSync(join(directory, name), text)
    }
    write(
      'docs/policy.yaml',
      `version: 1\nrules: [{ id: p, effect: permit, roles: ["*"], tools: ["*"], paths: { write: ["${directory}/work/**"] } }]\n`,
    )
    write(
      'docs/s/manifest.yaml',
      `skill: s\nwritable_paths:\n  - ${directory}/work/in/**\n  - ${directory}/work/out/**\n  - ${directory}/work/new\n`,
    )
    const check = async (...options: readonly string[]) => {
      const err: string[] = []
      const output = { out: () => undefined, err: (text: string) => err.push(text), color: false }
      const code = await run(['check', join(directory, 'docs'), ...options], output)
      return { code, err: err.join('\n').replaceAll(directory, '.') }
    }
    expect(await check()).toEqual({ code: 0, err: '' })
    const { code, err } = await check('--filesystem')
    expect(code).toBe(1)
    expect(err).toContain(
      'manifest.yaml:4:5: error not_granted: no policy permits skill "s" this write where it really lies: ./work/out/** is ./secret/**',
    )
    expect(err).toContain('manifest.yaml:5:5: warning unknown_reference: there is no ./work/new on this machine')
    expect(err).not.toContain('manifest.yaml:3:')
  })

  test('agentport check says what comes nearest, and what would permit it', async () => {
    writeFileSync(
      join(directory, 'policy.yaml'),
      'version: 1\nrules:\n  - { id: api, effect: permit, roles: ["*"], tools: ["*"], hosts: [api.example.com] }\n',
    )
    writeFileSync(join(directory, 'manifest.yaml'), 'skill: s\nallowed_hosts: ["*.example.com"]\n')
    const err: string[] = []
    const code = await run(['check', directory], { out: () => undefined, err: (text) => err.push(text), color: false })
    expect(code).toBe(1)
    expect(err.join('\n')).toContain('this host: *.example.com (partly granted: api.example.com, by api (permit) ')
    expect(err.join('\n')).toContain(
      'fix: take it out of the manifest, or permit it: rules: [{ id: host-for-s, effect: permit, skills: [s], roles: ["*"], tools: ["*"], hosts: ["*.example.com"] }]',
    )
  })
})
