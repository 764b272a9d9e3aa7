// From observed runs to a manifest: complete for what was seen, never across a denial, and always one that loads.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { parseDocument } from '../../../src/core/document.ts'
import { type HostPattern, parseHostPattern } from '../../../src/core/host-pattern.ts'
import type { JsonObject, JsonValue } from '../../../src/core/json.ts'
import { type PathPattern, parsePathPattern, pathMatches } from '../../../src/core/path-pattern.ts'
import type { ProposeOptions } from '../../../src/linux/learn/draft.ts'
import { type Proposal, proposeManifest } from '../../../src/linux/learn/propose.ts'
import { isMetadataAddress, isSecretPath } from '../../../src/linux/learn/sensitive.ts'
import { yamlText } from '../../../src/linux/learn/yaml-text.ts'
import type { Observation } from '../../../src/linux/observe/observation.ts'
import { ManifestValidator } from '../../../src/manifest/validator.ts'
import { file, files, observation, peer } from './support/runs.ts'

function propose(run: Partial<Observation> | readonly Partial<Observation>[], options: Partial<ProposeOptions> = {}) {
  const runs = (Array.isArray(run) ? run : [run]) as readonly Partial<Observation>[]
  return proposeManifest(runs.map(observation), { skill: 'demo', closure: new Set(), ...options })
}

/** The manifest of a proposal, which has to load. */
function manifestOf(proposal: Proposal, variables: Readonly<Record<string, string>> = {}): JsonObject {
  if (!proposal.ok) throw new Error(proposal.notes.map(({ text }) => text).join('\n'))
  const parsed = parseDocument({ file: 'manifest.yaml', text: proposal.yaml })
  expect(parsed.ok && parsed.document.value).toEqual(proposal.manifest)
  new ManifestValidator({ variables }).load({ file: 'manifest.yaml', text: proposal.yaml })
  return proposal.manifest
}

const notes = (proposal: Proposal, severity?: string): string =>
  proposal.notes
    .filter((note) => severity === undefined || note.severity === severity)
    .map(({ text }) => text)
    .join('\n')

const pattern = (text: string): PathPattern => {
  const parsed = parsePathPattern(text)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.pattern
}
const host = (text: string): HostPattern => {
  const parsed = parseHostPattern(text)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.pattern
}
const existing = (value: JsonObject) => ({ file: 'manifest.yaml', text: yamlText(value) })
const program = (path: string, ...named: readonly string[]) => ({ path, named, count: 1 })
const range = (directory: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${directory}/f${index}`)

describe('a proposal', () => {
  test('has everything the runs used', () => {
    const proposal = propose([
      {
        programs: [program('/usr/bin/dash', '/bin/sh')],
        libraries: [program('/opt/x/plugin.so')],
        files: [
          file('read', '/srv/in'),
          file('write', '/srv/out'),
          file('missing', '/srv/none'),
          file('stat', '/srv/s'),
        ],
      },
      {
        files: [file('read', '/usr/share/zoneinfo/UTC', '/srv/zone'), file('delete', '/srv/old')],
        egress: [peer('192.0.2.1', 443, { host: 'api.example' }), peer('192.0.2.2', 8443, { host: 'b.example' })],
        rights: ['executable_memory', 'listen'],
        listeners: [{ address: '127.0.0.1', port: 1, protocol: 'tcp', count: 1 }],
      },
    ])
    expect(manifestOf(proposal)).toEqual({
      skill: 'demo',
      allowed_binaries: ['/bin/sh', '/usr/bin/dash'],
      allowed_libraries: ['/opt/x/plugin.so'],
      readable_paths: ['/srv/in', '/srv/zone', '/usr/share/zoneinfo/UTC'],
      writable_paths: ['/srv/old', '/srv/out'],
      allowed_hosts: ['api.example', 'b.example:8443'],
      process_rights: ['executable_memory', 'listen'],
    })
    expect(notes(proposal, 'info')).toContain('environment variables cannot be observed')
    expect(notes(proposal, 'warning')).toContain('interpreters')
  })

  test('leaves out what a box has of its own, and what comes with the programs', () => {
    const run = {
      programs: [program('/usr/bin/cat')],
      libraries: [program('/usr/lib/libc.so.6', '/lib/libc.so.6')],
      files: files(
        'read',
        '/dev/null',
        '/proc/self/stat',
        '/etc/passwd',
        '/etc/ld.so.cache',
        '/usr/bin/cat',
        '/etc/localtime',
      ),
    }
    expect(manifestOf(propose(run, { closure: new Set(['/lib/libc.so.6']) }))).toEqual({
      skill: 'demo',
      allowed_binaries: ['/usr/bin/cat'],
    })
    const unknown = proposeManifest([observation(run)], { skill: 'demo' })
    expect(manifestOf(unknown)['allowed_libraries']).toEqual(['/lib/libc.so.6', '/usr/lib/libc.so.6'])
    expect(notes(unknown, 'info')).toContain('what the programs are linked with')
  })

  test('/tmp is private, unless it was declared', () => {
    const run = { files: [file('read', '/tmp/in'), file('create', '/tmp/out')] }
    const proposal = propose(run)
    expect(manifestOf(proposal)).toEqual({ skill: 'demo' })
    expect(notes(proposal, 'warning')).toMatch(/\/tmp of a box.*: \/tmp\/in$/m)
    expect(manifestOf(propose(run, { roots: ['/tmp'] }))['readable_paths']).toEqual(['/tmp/in'])
  })

  test('every character of a path stands for itself, whatever it is', () => {
    const name = fc
      .string({ unit: fc.constantFrom(...'ab*?[]{}!"()+@|$\\ :#&-\'%é.'.split('')), minLength: 1, maxLength: 12 })
      .map((text) => text.replaceAll('\\', '').replaceAll('%', ''))
      .filter((text) => text !== '' && text !== '.' && text !== '..' && !text.startsWith('~'))
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 4 }), (names) => {
        const paths = names.map((text) => `/srv/${text}`)
        fc.pre(!paths.some(isSecretPath))
        const manifest = manifestOf(propose({ files: files('read', ...paths), programs: [program('/usr/bin/x')] }))
        const patterns = (manifest['readable_paths'] as readonly string[]).map((text) => pattern(text))
        for (const path of paths) expect(patterns.filter((one) => pathMatches(one, path)).length).toBe(1)
        for (const one of patterns) expect(pathMatches(one, '/srv/other')).toBe(false)
      }),
    )
  })

  test('text that looks like a variable is not one', () => {
    const proposal = propose({ files: files('read', '/srv/${HOME}/x') })
    expect(manifestOf(proposal)['readable_paths']).toEqual(['/srv/$\\{HOME\\}/x'])
  })
})

describe('trees', () => {
  const read = (paths: readonly string[], options: Partial<ProposeOptions> = {}, more: Partial<Observation> = {}) =>
    manifestOf(propose({ ...more, files: [...files('read', ...paths), ...(more.files ?? [])] }, options), {
      ...options.variables,
    })['readable_paths']

  test('nowhere but in declared directories and known libraries', () => {
    expect(read(range('/srv/data', 20))).toHaveLength(20)
    expect(read(range('/srv/data', 20), { roots: ['/srv/data'] })).toEqual(['/srv/data/**'])
    expect(read(range('/srv/data', 20), { roots: ['/srv/dat'] })).toHaveLength(20)
    expect(read(range('/usr/lib/python3.11/json', 5))).toEqual(['/usr/lib/python3.11/**'])
    expect(read(range('/home/u/lib/python3.11', 20))).toHaveLength(20)
    expect(read(range('/opt/py/lib/python3.11', 20), {}, { programs: [program('/opt/py/bin/python3.11')] })).toEqual([
      '/opt/py/lib/python3.11/**',
    ])
  })

  test.each([
    [4, 5, 4],
    [5, 5, 1],
    [2, 2, 1],
  ])('%d files where %d are many make %d', (count, siblings, entries) => {
    expect(read(range('/w', count), { roots: ['/w'], siblings })).toHaveLength(entries)
  })

  test('only the directory that has many', () => {
    expect(read([...range('/w/a', 9), '/w/b/x'], { roots: ['/w'] })).toEqual(['/w/a/**', '/w/b/x'])
  })

  test('by the name of a variable', () => {
    const variables = { WORK: '/srv/w', DEEP: '/srv/w/deep' }
    expect(read([...range('/srv/w/a', 5), '/srv/w/deep/x', '/srv/wide'], { variables })).toEqual([
      '${DEEP}/x',
      '${WORK}/a/**',
      '/srv/wide',
    ])
  })

  test('never over a secret that was seen, a denial, or a home', () => {
    const roots = ['/srv/w', '/home/u']
    const secret = propose({ files: [...files('read', ...range('/srv/w', 6)), file('stat', '/srv/w/.env')] }, { roots })
    expect(manifestOf(secret)['readable_paths']).toHaveLength(6)
    expect(read(range('/srv/w', 6), { roots, denied: { reads: [pattern('/srv/w/private/**')] } })).toHaveLength(6)
    expect(read(range('/home/u', 6), { roots })).toHaveLength(6)
    expect(read(range('/home/u/p', 6), { roots })).toEqual(['/home/u/p/**'])
  })

  test('libraries are not written to', () => {
    const proposal = propose({ files: files('create', ...range('/usr/lib/python3.11/__pycache__', 9)) })
    expect(manifestOf(proposal)).toEqual({ skill: 'demo' })
    expect(notes(proposal, 'refused')).toContain('installed libraries were written to')
  })
})

describe('denials', () => {
  test('what a denial covers is left out, under every name it has', () => {
    const proposal = propose(
      {
        files: [file('read', '/srv/secret/a', '/srv/link'), file('read', '/srv/b'), file('write', '/srv/secret/c')],
        programs: [program('/usr/bin/curl', '/srv/fetch')],
        libraries: [program('/usr/lib/evil.so')],
      },
      {
        denied: {
          reads: [pattern('/srv/secret/**')],
          writes: [pattern('/srv/secret/**')],
          executes: [pattern('/usr/bin/curl'), pattern('/usr/lib/evil.so')],
        },
      },
    )
    expect(manifestOf(proposal)).toEqual({ skill: 'demo', readable_paths: ['/srv/b'] })
    for (const path of ['/srv/secret/a', '/srv/link', '/srv/secret/c', '/srv/fetch', '/usr/lib/evil.so']) {
      expect(notes(proposal, 'refused')).toContain(path)
    }
  })

  test('hosts by name, by address, and by the other port a bare name would mean', () => {
    const egress = [
      peer('192.0.2.1', 443, { host: 'a.example' }),
      peer('10.0.0.1', 443, { host: 'b.example' }),
      peer('192.0.2.3', 443, { host: 'c.example' }),
      peer('192.0.2.4', 443, { host: 'd.example' }),
    ]
    const hosts = [host('a.example'), host('10.0.0.0/8'), host('c.example:80')]
    const proposal = propose({ egress }, { denied: { hosts } })
    expect(manifestOf(proposal)['allowed_hosts']).toEqual(['c.example:443', 'd.example'])
    expect(notes(proposal, 'refused')).toMatch(/a\.example[\s\S]*10\.0\.0\.1/)
  })

  test('no denial is ever touched, whatever was seen', () => {
    const segment = fc.constantFrom('a', 'b', 'c', 'd')
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => `/srv/${parts.join('/')}`)
    const denial = fc.tuple(path, fc.constantFrom('', '/**', '/*')).map(([text, end]) => pattern(text + end))
    const operation = fc.constantFrom('read', 'write', 'create', 'delete', 'list')
    fc.assert(
      fc.property(
        fc.array(fc.tuple(operation, path), { maxLength: 30 }),
        fc.array(denial, { minLength: 1, maxLength: 3 }),
        path,
        (uses, denied, probe) => {
          const proposal = propose(
            { files: uses.map(([how, where]) => file(how as 'read', where)) },
            { denied: { reads: denied, writes: denied }, roots: ['/srv'], siblings: 2 },
          )
          const manifest = manifestOf(proposal)
          const granted = [manifest['readable_paths'], manifest['writable_paths']]
            .flatMap((list) => (list ?? []) as readonly string[])
            .map(pattern)
          if (denied.some((one) => pathMatches(one, probe))) {
            expect(granted.some((one) => pathMatches(one, probe))).toBe(false)
          }
        },
      ),
    )
  })

  test.each([
    ['file_access', 'none', {}],
    ['file_access', 'read_only', { readable_paths: ['/srv/a'] }],
  ])('the existing manifest says %s: %s', (key, value, rest) => {
    const run = { files: [file('read', '/srv/a'), file('write', '/srv/b')] }
    const proposal = propose(run, { existing: existing({ skill: 'demo', [key]: value }) })
    expect(manifestOf(proposal)).toEqual({ skill: 'demo', [key]: value, ...rest })
    expect(notes(proposal, 'refused')).toContain(`${key} is ${value}`)
  })

  test('the existing manifest allows no program, and gives up system calls', () => {
    const proposal = propose(
      {
        programs: [program('/usr/bin/cat')],
        calls: [{ name: 'memfd_create', count: 1 }],
        refused: [{ name: 'memfd_create', count: 1 }],
      },
      { existing: existing({ skill: 'demo', binary_access: 'none', forbidden_syscalls: ['memfd_create'] }) },
    )
    expect(manifestOf(proposal)['allowed_binaries']).toBeUndefined()
    expect(notes(proposal, 'warning')).toMatch(/gives up: memfd_create/)
    expect(notes(proposal, 'warning')).toMatch(/no confinement allows were tried: memfd_create/)
  })

  test('what is written is not run, and what is run is not written', () => {
    const proposal = propose(
      {
        files: [file('create', '/srv/w/tool'), file('write', '/srv/bin/cat'), file('create', '/srv/w/x.so')],
        programs: [program('/srv/w/tool'), program('/srv/w2/other')],
        libraries: [program('/srv/w/x.so')],
      },
      {
        existing: existing({
          skill: 'demo',
          writable_paths: ['/srv/w2/**'],
          executable_paths: ['/srv/bin/**'],
        }),
      },
    )
    const manifest = manifestOf(proposal)
    expect(manifest['allowed_binaries']).toBeUndefined()
    expect(manifest['allowed_libraries']).toBeUndefined()
    expect(manifest['writable_paths']).toEqual(['/srv/w2/**', '/srv/w/tool', '/srv/w/x.so'])
    expect(notes(proposal, 'refused')).toContain('cannot be writable too')
  })
})

describe('secrets', () => {
  test.each([
    '/home/u/.ssh/config',
    '/root/.aws/credentials',
    '/srv/app/.env',
    '/srv/app/.env.production',
    '/etc/shadow',
    '/etc/ssl/private/x.pem',
    '/srv/tls/server.key',
    '/home/u/.config/gcloud/x',
    '/home/u/.netrc',
    '/proc/1/environ',
    '/run/secrets/token',
    '/srv/ID_RSA',
    '/var/run/docker.sock',
    '/home/u/.git-credentials',
  ])('%s is never proposed, read or written, and always told', (path) => {
    expect(isSecretPath(path)).toBe(true)
    const proposal = propose({ files: [file('read', path), file('write', path)] }, { roots: ['/srv', '/home/u'] })
    expect(manifestOf(proposal)).toEqual({ skill: 'demo' })
    expect(notes(proposal, 'refused')).toContain(path)
  })

  test.each([
    '/etc/ssl/certs/ca.pem',
    '/srv/environment',
    '/srv/keyboard.json',
    '/srv/ssh/readme',
    '/usr/lib/secretsx',
  ])('%s is nothing special', (path) => {
    expect(isSecretPath(path)).toBe(false)
  })

  test('a secret by another name, and one that was only looked for', () => {
    const proposal = propose({
      files: [file('read', '/home/u/.ssh/id_rsa', '/srv/key'), file('missing', '/root/.aws/config')],
    })
    expect(manifestOf(proposal)).toEqual({ skill: 'demo' })
    expect(notes(proposal, 'refused')).toContain('/srv/key')
    expect(notes(proposal, 'warning')).toContain('secrets were looked for: /root/.aws/config')
  })

  test.each(['169.254.169.254', 'fd00:ec2::254', '100.100.100.200', 'fe80::1', 'metadata.google.internal', 'no host!'])(
    'the address %s is never proposed',
    (address) => {
      expect(isMetadataAddress(address)).toBe(true)
      expect(manifestOf(propose({ egress: [peer(address, 80)] }))).toEqual({ skill: 'demo' })
    },
  )
})

describe('network', () => {
  test.each<[string, Observation['egress'][number], readonly string[] | undefined, string]>([
    ['a name on its port', peer('192.0.2.1', 443, { host: 'a.example' }), ['a.example'], ''],
    ['a name on another', peer('192.0.2.1', 8080, { host: 'a.example' }), ['a.example:8080'], ''],
    ['an address', peer('192.0.2.1', 443), ['192.0.2.1'], 'whose name was not seen'],
    ['an address of IPv6', peer('2001:db8::1', 8443), ['[2001:db8::1]:8443'], 'whose name was not seen'],
    ['this machine', peer('127.0.0.1', 5432), ['127.0.0.1:5432'], 'loopback of a box is its own'],
    ['UDP', peer('192.0.2.1', 123, { protocol: 'udp' }), undefined, 'UDP does not leave a box'],
    ['a name server', peer('192.0.2.53', 53, { protocol: 'udp' }), undefined, 'answers names itself'],
    ['a peer nothing was sent to', peer('192.0.2.1', 443, { protocol: 'udp', sent: false }), undefined, ''],
  ])('%s', (_name, one, hosts, note) => {
    const proposal = propose({ egress: [one] })
    expect(manifestOf(proposal)['allowed_hosts']).toEqual(hosts)
    expect(notes(proposal)).toContain(note)
  })

  test('a peer that is the run itself', () => {
    const listeners = [{ address: '0.0.0.0', port: 8080, protocol: 'tcp', count: 1 }] as const
    expect(manifestOf(propose({ listeners, egress: [peer('127.0.0.1', 8080)] }))).toEqual({ skill: 'demo' })
  })

  test('daemons that C libraries ask by the way are no right', () => {
    const run = (path: string): JsonValue | undefined =>
      manifestOf(propose({ rights: ['unix_sockets'], unixSockets: [{ path, use: 'connect', count: 1 }] }))[
        'process_rights'
      ]
    expect(run('/var/run/nscd/socket')).toBeUndefined()
    expect(run('/run/db.sock')).toEqual(['unix_sockets'])
  })
})

describe('an existing manifest', () => {
  const before: JsonObject = {
    skill: 'demo',
    version: '1.0',
    tools: [
      {
        name: 'get',
        resources: [{ from: '/url', kind: 'url' }],
        input_schema: { type: 'object', properties: { url: { type: 'string' } } },
      },
    ],
    readable_paths: ['${WORK}/**', '/z'],
    allowed_hosts: ['**.example.com:*'],
    allowed_env: ['LANG'],
  }

  test('is kept as it is written; what it covers is not said again', () => {
    const proposal = propose(
      {
        files: files('read', '/srv/w/a', '/a', '/z'),
        egress: [peer('192.0.2.1', 8080, { host: 'x.example.com' }), peer('192.0.2.1', 443, { host: 'example.com' })],
      },
      { existing: existing(before), variables: { WORK: '/srv/w' } },
    )
    expect(manifestOf(proposal, { WORK: '/srv/w' })).toEqual({
      ...before,
      readable_paths: ['${WORK}/**', '/z', '/a'],
      allowed_hosts: ['**.example.com:*', 'example.com'],
    })
  })

  test.each<[string, string]>([
    ['another skill', 'skill: other\n'],
    ['no object', '[]\n'],
    ['no YAML', 'skill: [\n'],
    ['an unknown variable', 'skill: demo\nreadable_paths: ["${X}"]\n'],
    ['a list that is none', 'skill: demo\nreadable_paths: /srv\n'],
  ])('%s: nothing is proposed', (_name, text) => {
    const proposal = propose({}, { existing: { file: 'manifest.yaml', text } })
    expect(proposal.ok).toBe(false)
    expect(notes(proposal, 'refused')).not.toBe('')
  })
})

describe('runs that do not count', () => {
  test.each<[string, Partial<Observation>]>([
    ['lost records', { lost: 3, complete: false }],
    ['a blind spot', { blind: ['io_uring'], complete: false }],
    ['a contradiction', { lost: 1, complete: true }],
  ])('%s: refused, unless it is allowed, and then told', (_name, parts) => {
    const refused = propose([{}, parts])
    expect(refused.ok).toBe(false)
    expect(notes(refused, 'refused')).toContain('run 2 was not observed completely')
    const allowed = propose([{ files: files('read', '/srv/a') }, parts], { allowLoss: true })
    expect(manifestOf(allowed)['readable_paths']).toEqual(['/srv/a'])
    expect(notes(allowed, 'warning')).toContain('run 2 was not observed completely')
  })

  test.each<[Partial<Observation>, string]>([
    [{ exit: { code: 3 } }, 'ended with code 3'],
    [{ exit: { signal: 'SIGSEGV' } }, 'ended by SIGSEGV'],
    [{ leftBehind: true }, 'left processes behind'],
    [{ unrepresentable: { count: 1, examples: ['/a\\u{a}b'] } }, 'no manifest can name'],
  ])('%j is told', (parts, text) => {
    expect(notes(propose(parts), 'warning')).toContain(text)
  })

  test('misuse', () => {
    expect(() => proposeManifest([], { skill: 'demo' })).toThrow(TypeError)
    for (const options of [
      { skill: '../x' },
      { roots: ['/'] },
      { roots: ['w'] },
      { variables: { W: '/w/' } },
      { siblings: 1 },
    ]) {
      expect(() => propose({}, options)).toThrow(TypeError)
    }
  })
})

describe('YAML', () => {
  test('every plain value is read back as it was', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue({ maxDepth: 4 })), (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as JsonValue
        // Only what a document can hold: no number that would be rounded, no half characters.
        fc.pre(parseDocument({ file: 'x.json', text: JSON.stringify(plain) }).ok)
        const parsed = parseDocument({ file: 'x.yaml', text: yamlText(plain) })
        expect(parsed.ok ? parsed.document.value : parsed.problems).toEqual(plain)
      }),
    )
  })

  test.each([
    'yes',
    'null',
    '~',
    '1.0',
    '0x1',
    '2026-01-01',
    '',
    ' a',
    'a: b',
    '- a',
    '#x',
    '*x',
    '&x',
    '!x',
    '"',
    '\u2028',
    '\u0085',
    'a\nb',
  ])('%j is text', (text) => {
    const parsed = parseDocument({ file: 'x.yaml', text: yamlText({ a: [text], b: text }) })
    expect(parsed.ok && parsed.document.value).toEqual({ a: [text], b: text })
  })
})
