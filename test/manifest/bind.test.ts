// bindCall: one call against its manifest. What it lets through, what it refuses and why, and that nothing in the
// arguments reaches a tool that was not judged.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { Denial, DenialCode } from '../../src/core/denial.ts'
import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { copyPlain } from '../../src/core/plain.ts'
import { describeResource, type Resource } from '../../src/core/resource.ts'
import { type BoundCall, bindCall, bindCopied } from '../../src/manifest/bind.ts'
import type { Manifest } from '../../src/manifest/manifest.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const MANIFEST = `skill: worker
tools:
  - name: fetch
    input_schema:
      type: object
      properties: { url: { type: string }, note: { type: string } }
      required: [url]
    resources: [{ from: /url, kind: url }]
  - name: dial
    input_schema: { type: object, properties: { host: { type: string } }, required: [host] }
    resources: [{ from: /host, kind: host }]
  - name: edit
    input_schema:
      type: object
      properties: { path: { type: string }, content: { type: string } }
      required: [path]
      additionalProperties: false
    resources:
      - { from: /path, kind: path, access: read, base: /srv/work }
      - { from: /path, kind: path, access: write, base: /srv/work }
      - { from: /content, kind: text }
  - name: copy
    input_schema:
      type: object
      properties:
        files: { type: array, items: { type: object, properties: { from: { type: string }, to: { type: string } }, required: [from, to] } }
        note: { type: [string, "null"] }
      required: [files]
    resources:
      - { from: /files/*/from, kind: path, access: read }
      - { from: /files/*/to, kind: path, access: write }
  - name: run
    input_schema:
      type: object
      properties: { program: { type: string }, env: { type: array, items: { type: string } } }
      required: [program]
    resources:
      - { from: /program, kind: binary }
      - { from: /env/*, kind: env, optional: true }
  - name: loose
    input_schema: { type: object }
    resources:
      - { from: /url, kind: url, optional: true }
      - { from: /nested/list/*, kind: path, access: read, optional: true }
      - { from: /free, kind: text }
  - name: ping
  - name: hidden
    input_schema: { type: object }
tool_scope: [fetch, dial, edit, copy, run, loose, ping]
allowed_hosts: [api.example.com, "*.cdn.example.com", "127.0.0.0/8:*", "[2001:db8::1]"]
readable_paths: [/srv/work/**, /srv/in/**]
writable_paths: [/srv/work/**]
allowed_binaries: [/usr/bin/python3]
allowed_env: [LANG]
`

const validator = new ManifestValidator()
const manifest = validator.load({ file: 'manifest.yaml', text: MANIFEST })

function bind(tool: string, args: unknown, on: Manifest = manifest): BoundCall {
  const copy = copyPlain(args)
  return bindCall(on, tool, copy.ok ? copy.value : args)
}

function allowed(tool: string, args: unknown): { readonly args: JsonObject; readonly resources: readonly string[] } {
  const bound = bind(tool, args)
  if (!bound.ok) throw new Error(`${bound.denial.code}: ${bound.denial.detail}`)
  return {
    args: bound.args,
    resources: bound.resources.map((resource) => `${describeResource(resource)} ${resource.from}`),
  }
}

function denied(tool: string, args: unknown): Denial {
  const bound = bind(tool, args)
  if (bound.ok) throw new Error('allowed')
  return bound.denial
}

describe('what is declared goes through, in canonical form', () => {
  test.each<[string, JsonObject, JsonObject, string[]]>([
    [
      'fetch',
      { url: 'HTTPS://API.Example.com:443/a?b=c#d', note: 'x' },
      { url: 'https://api.example.com/a?b=c', note: 'x' },
      ['network https://api.example.com:443 /url'],
    ],
    [
      'fetch',
      { url: 'https://x.cdn.example.com' },
      { url: 'https://x.cdn.example.com/' },
      ['network https://x.cdn.example.com:443 /url'],
    ],
    [
      'fetch',
      { url: 'http://127.0.0.1:8080/' },
      { url: 'http://127.0.0.1:8080/' },
      ['network http://127.0.0.1:8080 /url'],
    ],
    ['dial', { host: 'API.example.com.' }, { host: 'api.example.com' }, ['network api.example.com /host']],
    ['dial', { host: 'API.example.com:443' }, { host: 'api.example.com:443' }, ['network api.example.com:443 /host']],
    ['dial', { host: '2001:DB8::1' }, { host: '2001:db8::1' }, ['network [2001:db8::1] /host']],
    ['dial', { host: '[2001:DB8::1]' }, { host: '[2001:db8::1]' }, ['network [2001:db8::1] /host']],
    ['dial', { host: '[2001:DB8::1]:443' }, { host: '[2001:db8::1]:443' }, ['network [2001:db8::1]:443 /host']],
    [
      'edit',
      { path: 'a//b/./c.txt', content: '/** https://anything */' },
      { path: '/srv/work/a/b/c.txt', content: '/** https://anything */' },
      ['read /srv/work/a/b/c.txt /path', 'write /srv/work/a/b/c.txt /path'],
    ],
    [
      'copy',
      {
        files: [
          { from: '/srv/in/a', to: '/srv/work//a' },
          { from: '/srv/in/b', to: '/srv/work/b' },
        ],
        note: null,
      },
      {
        files: [
          { from: '/srv/in/a', to: '/srv/work/a' },
          { from: '/srv/in/b', to: '/srv/work/b' },
        ],
        note: null,
      },
      [
        'read /srv/in/a /files/0/from',
        'write /srv/work/a /files/0/to',
        'read /srv/in/b /files/1/from',
        'write /srv/work/b /files/1/to',
      ],
    ],
    ['copy', { files: [] }, { files: [] }, []],
    [
      'run',
      { program: '/usr/bin/python3', env: ['LANG'] },
      { program: '/usr/bin/python3', env: ['LANG'] },
      ['run /usr/bin/python3 /program', 'env LANG /env/0'],
    ],
    ['run', { program: '/usr/bin/python3' }, { program: '/usr/bin/python3' }, ['run /usr/bin/python3 /program']],
    ['loose', { url: null, nested: null, n: 1, ok: true }, { url: null, nested: null, n: 1, ok: true }, []],
    [
      'loose',
      { nested: { list: ['/srv/in/x'] } },
      { nested: { list: ['/srv/in/x'] } },
      ['read /srv/in/x /nested/list/0'],
    ],
    ['loose', { free: { '/a': ['https://b', '../c'] } }, { free: { '/a': ['https://b', '../c'] } }, []],
    ['ping', {}, {}, []],
  ])('%s %j', (tool, args, canonical, resources) => {
    expect(allowed(tool, args)).toEqual({ args: canonical, resources })
  })

  test('what did not change is shared; all of it is frozen', () => {
    const copy = copyPlain({ url: 'https://API.example.com/', extra: { a: [1] } })
    if (!copy.ok) throw new Error('no copy')
    const bound = bindCopied(manifest, 'fetch', copy.value as JsonObject)
    if (!bound.ok) throw new Error(bound.denial.detail)
    expect(bound.args['extra']).toBe((copy.value as JsonObject)['extra'])
    expect([bound.args, bound.args['extra'], bound.resources, bound.resources[0]].every(Object.isFrozen)).toBe(true)
    const again = bindCopied(manifest, 'fetch', bound.args)
    expect(again.ok && again.args).toBe(bound.args)
  })

  test('a frozen object is not taken for a deep frozen copy', () => {
    const nested = { path: 'a' }
    const bound = bindCall(manifest, 'fetch', Object.freeze({ url: 'https://api.example.com/', nested }))
    nested.path = '/etc/passwd'
    expect(bound.ok && bound.args).toEqual({ url: 'https://api.example.com/', nested: { path: 'a' } })
  })

  test('changing the arguments after the call changes nothing', () => {
    const args = { url: 'https://api.example.com/', nested: { path: 'a' } }
    for (const bound of [bind('fetch', args), bindCall(manifest, 'fetch', args)]) {
      args.url = 'https://evil.example/'
      args.nested.path = '/etc/passwd'
      expect(bound.ok && bound.args).toEqual({ url: 'https://api.example.com/', nested: { path: 'a' } })
      args.url = 'https://api.example.com/'
      args.nested.path = 'a'
    }
  })
})

describe('refusals', () => {
  test.each<[DenialCode, string, unknown, string | undefined, RegExp]>([
    ['tool_undeclared', 'delete', {}, undefined, /no such tool/],
    ['tool_undeclared', 'toString', {}, undefined, /no such tool/],
    ['tool_undeclared', '__proto__', {}, undefined, /not the name/],
    ['tool_undeclared', 'a b\n', {}, undefined, /not the name/],
    ['tool_out_of_scope', 'hidden', {}, undefined, /tool_scope/],
    ['arguments_invalid', 'ping', { a: 1 }, '', /additionalProperties/],
    ['arguments_invalid', 'fetch', {}, '', /required: "url" is absent/],
    ['arguments_invalid', 'fetch', { url: 7 }, '/url', /type/],
    ['arguments_invalid', 'fetch', null, undefined, /not an object/],
    ['arguments_invalid', 'fetch', ['https://api.example.com/'], undefined, /not an object/],
    ['arguments_unreadable', 'fetch', { url: Number.NaN }, '/url', /finite/],
    ['arguments_unreadable', 'fetch', undefined, '', /undefined/],
    ['resource_invalid', 'fetch', { url: 'not a url' }, '/url', /url|white space/],
    ['resource_invalid', 'fetch', { url: 'ftp://api.example.com/' }, '/url', /scheme/],
    ['resource_invalid', 'fetch', { url: '//api.example.com/' }, '/url', /url/],
    ['resource_invalid', 'dial', { host: 'a b' }, '/host', /./],
    ['resource_invalid', 'copy', { files: [{ from: 'rel', to: '/srv/work/x' }] }, '/files/0/from', /relative/],
    ['resource_invalid', 'run', { program: 'python3' }, '/program', /relative/],
    ['resource_invalid', 'run', { program: '/usr/bin/python3', env: ['A=B'] }, '/env/0', /variable/],
    ['resource_invalid', 'loose', { url: 7 }, '/url', /number/],
    ['resource_invalid', 'loose', { url: { href: 'https://evil.example' } }, '/url', /object/],
    ['resource_invalid', 'loose', { url: ['https://evil.example'] }, '/url', /list/],
    ['resource_invalid', 'loose', { nested: 'srv/x' }, '/nested', /text/],
    ['resource_invalid', 'loose', { nested: { list: 'srv/x' } }, '/nested/list', /text/],
    ['resource_invalid', 'loose', { nested: { list: { 0: 'srv/x' } } }, '/nested/list', /object/],
    ['resource_invalid', 'loose', { nested: { list: [['srv/x']] } }, '/nested/list/0', /list/],
    ['resource_undeclared', 'fetch', { url: 'https://evil.example/' }, '/url', /network https:\/\/evil\.example:443/],
    ['resource_undeclared', 'fetch', { url: 'https://api.example.com:8443/' }, '/url', /8443/],
    ['resource_undeclared', 'dial', { host: 'api.example.com.evil.example' }, '/host', /evil/],
    ['resource_undeclared', 'edit', { path: '/etc/passwd' }, '/path', /read \/etc\/passwd/],
    [
      'resource_undeclared',
      'copy',
      { files: [{ from: '/srv/in/a', to: '/srv/in/a' }] },
      '/files/0/to',
      /write \/srv\/in\/a/,
    ],
    ['resource_undeclared', 'run', { program: '/usr/bin/python3.12' }, '/program', /run/],
    ['resource_undeclared', 'run', { program: '/usr/bin/python3', env: ['LD_PRELOAD'] }, '/env/0', /LD_PRELOAD/],
  ])('%s: %s %j', (code, tool, args, argument, detail) => {
    const denial = denied(tool, args)
    expect(denial).toMatchObject({ code, dispatched: false })
    expect(denial.detail).toMatch(detail)
    expect(denial.subject.argument).toBe(argument)
    expect(denial.subject.skill).toBe('worker')
  })

  test('more resources than one call may name', () => {
    const files = Array.from({ length: LIMITS.resources / 2 + 1 }, () => ({ from: '/srv/in/a', to: '/srv/work/a' }))
    expect(denied('copy', { files })).toMatchObject({ code: 'arguments_too_large' })
    expect(allowed('copy', { files: files.slice(1) }).resources).toHaveLength(LIMITS.resources)
  })

  test('writing does not imply reading, nor reading writing', () => {
    const text = (list: string): string =>
      `skill: s\ntools:\n  - name: t\n    input_schema: { type: object, properties: { p: { type: string } }, required: [p] }\n    resources: [{ from: /p, kind: path, access: ${list === 'readable_paths' ? 'write' : 'read'} }]\n${list}: [/srv/**]\n`
    for (const list of ['readable_paths', 'writable_paths']) {
      const bound = bind('t', { p: '/srv/a' }, validator.load({ file: 'm.yaml', text: text(list) }))
      expect(!bound.ok && bound.denial.code).toBe('resource_undeclared')
    }
  })

  test('no value of the arguments gets into a denial; names are made printable', () => {
    const secret = 'sk-do-not-log'
    for (const denial of [
      denied('fetch', { url: `https://${secret}@api.example.com/` }),
      denied('fetch', { url: secret }),
      denied('loose', { url: [secret] }),
      denied('loose', { a: `/home/${secret}` }),
    ]) {
      expect(JSON.stringify(denial)).not.toContain(secret)
    }
    const spoof = denied('loose', { 'a\u202eb\n': 'https://evil.example' })
    expect(spoof.subject.argument).toBe('/a\\u{202e}b\\u{a}')
    expect(spoof.missing).not.toMatch(/[\u202e\n]/)
  })
})

describe('attacks on the way from text to resource', () => {
  test.each([
    'http://api.example.com@evil.example/',
    'http://api.example.com\\@evil.example/',
    'http://evil.example#@api.example.com/',
    'http://api.example.com\t.evil.example/',
    'http:api.example.com',
    'https:///api.example.com/',
    'https://api.example.com%2eevil.example/',
    'https://api.example.com/..%2f..%2fadmin',
    'https://api.example.com/%252e%252e/admin',
    'https://0x7f.1/',
    'http://2130706433/',
    'http://127.1/',
    'http://0177.0.0.1/',
    'https://ａpi.example.com:99999/',
    'javascript:fetch("https://evil.example")',
    'file:///etc/passwd',
    'data:text/html,x',
  ])('url %j', (url) => {
    expect(denied('fetch', { url }).code).toBe('resource_invalid')
  })

  test('a mapped IPv6 address is the IPv4 address it is', () => {
    expect(allowed('fetch', { url: 'http://[::ffff:127.0.0.1]:1/' }).resources).toEqual([
      'network http://127.0.0.1:1 /url',
    ])
    expect(denied('fetch', { url: 'http://[::ffff:10.0.0.1]/' })).toMatchObject({
      code: 'resource_undeclared',
      subject: { resource: 'network http://10.0.0.1:80' },
    })
  })

  test.each([
    '/srv/work/../../etc/passwd',
    '../etc/passwd',
    'a/../../../etc/passwd',
    '..%2f..%2fetc/passwd',
    '/srv/work/%2e%2e/x',
    '~/x',
    'file:///etc/passwd',
    '/srv/work/x\u0000.txt',
    '/srv/work/x\n',
    '\\\\server\\share',
    'C:\\x',
    '',
  ])('path %j', (path) => {
    expect(denied('edit', { path }).code).toBe('resource_invalid')
  })

  test('a neighbour with the same beginning is not inside', () => {
    expect(denied('edit', { path: '/srv/work-evil/x' }).code).toBe('resource_undeclared')
  })
})

describe('the guard over what is not mapped', () => {
  test('a URL in another argument does not pass; control: without the guard the policy hears of no host', () => {
    const call = { url: 'https://api.example.com/', note: 'https://evil.example/collect' }
    expect(denied('fetch', call)).toMatchObject({
      code: 'resource_unmapped',
      subject: { argument: '/note' },
      missing: 'resources: [{ from: "/note", kind: url }], or kind: text if it is only text',
    })
    const unguarded = validator.load({
      file: 'm.yaml',
      text: MANIFEST.replace(
        'resources: [{ from: /url, kind: url }]',
        'resources: [{ from: /url, kind: url }, { from: /note, kind: text }]',
      ),
    })
    const bound = bind('fetch', call, unguarded)
    expect(bound.ok && bound.resources.map(describeResource)).toEqual(['network https://api.example.com:443'])
  })

  test.each<[JsonObject, string, RegExp]>([
    [
      { extra: { deep: [{ callback: 'http:evil.example' }] } },
      '/extra/deep/0/callback',
      /"\/extra\/deep\/\*\/callback", kind: url/,
    ],
    [{ list: ['a', '/etc/passwd'] }, '/list/1', /kind: path/],
    [{ a: '../x' }, '/a', /kind: path/],
    [{ 'https://evil.example/': 'x' }, '/https:~1~1evil.example~1', /./],
    [{ headers: { '/etc/passwd': 1 } }, '/headers/~1etc~1passwd', /./],
    [{ nested: { other: '~/x' } }, '/nested/other', /./],
  ])('%j', (args, argument, missing) => {
    const denial = denied('loose', args)
    expect(denial).toMatchObject({ code: 'resource_unmapped', subject: { argument } })
    expect(denial.missing).toMatch(missing)
  })

  test('a schema without arguments lets nothing through to hide in', () => {
    expect(denied('ping', { x: 'https://evil.example' }).code).toBe('arguments_invalid')
  })
})

describe('the hint says what would allow the call', () => {
  test.each([
    ['fetch', { url: 'https://new.example/' }],
    ['fetch', { url: 'http://new.example:8080/' }],
    ['fetch', { url: 'https://[2001:db8::2]/' }],
    ['fetch', { url: 'https://[2001:db8::2]:8443/' }],
    ['fetch', { url: 'wss://10.0.0.1/' }],
    ['dial', { host: 'new.example' }],
    ['dial', { host: 'new.example:80' }],
    ['dial', { host: '[2001:db8::2]:22' }],
    ['edit', { path: '/etc/a*b?[c]{d}(e)|+@!"' }],
    ['run', { program: '/bin/x y' }],
    ['run', { program: '/usr/bin/python3', env: ['HOME'] }],
  ])('%s %j', (tool, args) => {
    let text = MANIFEST
    for (let step = 0; step < 3; step++) {
      const bound = bind(tool, args, validator.load({ file: 'm.yaml', text }))
      if (bound.ok) {
        expect(step).toBeGreaterThan(0)
        return
      }
      const [, section = '', entry = ''] = /^(\w+): \[(.*)\]$/.exec(bound.denial.missing ?? '') ?? []
      expect(text).toContain(`${section}: [`)
      text = text.replace(`${section}: [`, () => `${section}: [${entry}, `)
    }
    throw new Error('still denied')
  })
})

describe('caller misuse and mishaps', () => {
  test('a manifest that no validator made', () => {
    expect(() => bindCall({ ...manifest }, 'ping', {})).toThrow(TypeError)
  })

  test('tampering with a manifest does not change its judgement', () => {
    const own = validator.load({ file: 'manifest.yaml', text: MANIFEST })
    const tools = own.tools as Map<string, unknown>
    tools.set('delete', tools.get('ping'))
    tools.delete('fetch')
    expect(bindCall(own, 'delete', {})).toMatchObject({ ok: false, denial: { code: 'tool_undeclared' } })
    expect(bind('fetch', { url: 'https://evil.example/' }, own)).toMatchObject({
      denial: { code: 'resource_undeclared' },
    })
  })

  test('an exception on the way is a denial without its message', () => {
    const frozen = Object.freeze({
      get url(): string {
        throw new RangeError('secret')
      },
    })
    const bound = bindCopied(manifest, 'loose', frozen)
    expect(bound).toMatchObject({ ok: false, denial: { code: 'internal_error' } })
    expect(JSON.stringify(bound)).not.toContain('secret')
  })

  test('a caller with no stack left gets a denial, not a crash', () => {
    const outcomes = new Set<string>()
    const dive = (depth: number): void => {
      try {
        const bound = bindCall(manifest, 'fetch', { url: 'https://api.example.com/', deep: [[[['x']]]] })
        outcomes.add(bound.ok ? 'ok' : bound.denial.code)
      } catch (error) {
        outcomes.add(String((error as Error).name))
        return
      }
      if (depth < 100_000) dive(depth + 1)
    }
    try {
      dive(0)
    } catch {
      // The dive itself ran out.
    }
    for (const outcome of outcomes)
      expect(['ok', 'internal_error', 'arguments_unreadable', 'RangeError']).toContain(outcome)
  })
})

// A second opinion, as slow and plain as it can be: every text in the arguments that went through is at a mapped place and
// inside the lists, or is nothing.
describe('random calls', () => {
  const HOSTS = ['api.example.com']
  const text = fc.oneof(
    fc.constantFrom(
      'https://api.example.com/a',
      'https://evil.example/',
      'http://127.0.0.1:1/',
      'HTTPS://X.cdn.example.com/',
      'http://a@b/',
    ),
    fc.constantFrom('/srv/work/a', '/srv/in/a', '/etc/passwd', 'a/b', '../x', '/srv/work/../x', '~', 'x y', ''),
    fc.constantFrom('/usr/bin/python3', 'python3', 'LANG', 'PATH', 'api.example.com', '[::1]', 'evil.example:1'),
    fc.string(),
  )
  const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      text,
      fc.oneof(fc.integer(), fc.boolean(), fc.constant(null)),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(
        fc.oneof(fc.constantFrom('url', 'files', 'from', 'to', 'list', 'nested', 'free', 'path'), text),
        tie('value'),
        { maxKeys: 3 },
      ),
    ),
  }))
  const call = fc.oneof(
    fc.tuple(fc.constant('fetch'), fc.record({ url: text, note: text }, { requiredKeys: ['url'] })),
    fc.tuple(fc.constant('dial'), fc.record({ host: text })),
    fc.tuple(fc.constant('edit'), fc.record({ path: text, content: text }, { requiredKeys: ['path'] })),
    fc.tuple(
      fc.constant('copy'),
      fc.record(
        { files: fc.array(fc.record({ from: text, to: text }), { maxLength: 2 }), other: value },
        { requiredKeys: ['files'] },
      ),
    ),
    fc.tuple(
      fc.constant('run'),
      fc.record({ program: text, env: fc.array(text, { maxLength: 2 }) }, { requiredKeys: ['program'] }),
    ),
    fc.tuple(
      fc.constant('loose'),
      fc.record(
        { url: value, nested: fc.oneof(value, fc.record({ list: value })), free: value, x: value },
        { requiredKeys: [] },
      ),
    ),
    fc.tuple(fc.string(), value),
  )

  const PLACES: Readonly<Record<string, readonly [RegExp, (text: string) => boolean][]>> = {
    fetch: [[/^\/url$/, insideHosts]],
    dial: [
      [
        /^\/host$/,
        (host) =>
          insideHosts(
            `https://${host.includes(':') && !host.startsWith('[') && host.split(':').length > 2 ? `[${host}]` : host}/`,
          ),
      ],
    ],
    edit: [
      [/^\/path$/, (path) => path.startsWith('/srv/work/') || path === '/srv/work'],
      [/^\/content$/, () => true],
    ],
    copy: [
      [/^\/files\/\d+\/from$/, (path) => /^\/srv\/(?:work|in)(?:\/|$)/.test(path)],
      [/^\/files\/\d+\/to$/, (path) => /^\/srv\/work(?:\/|$)/.test(path)],
    ],
    run: [
      [/^\/program$/, (path) => path === '/usr/bin/python3'],
      [/^\/env\/\d+$/, (name) => name === 'LANG'],
    ],
    loose: [
      [/^\/url$/, insideHosts],
      [/^\/nested\/list\/\d+$/, (path) => /^\/srv\/(?:work|in)(?:\/|$)/.test(path)],
      [/^\/free(?:\/|$)/, () => true],
    ],
    ping: [],
  }

  function insideHosts(url: string): boolean {
    const { hostname, port, username, protocol } = new URL(url)
    if (username !== '' || !/^(?:https?|wss?):$/.test(protocol)) return false
    if (/^127\.\d+\.\d+\.\d+$/.test(hostname)) return true
    return (
      (HOSTS.includes(hostname) || /^[^.]+\.cdn\.example\.com$/.test(hostname) || hostname === '[2001:db8::1]') &&
      (port === '' || port === '80' || port === '443')
    )
  }

  function* texts(value: JsonValue, at: string): Generator<readonly [string, string]> {
    if (typeof value === 'string') yield [at, value]
    else if (value !== null && typeof value === 'object') {
      for (const [key, member] of Object.entries(value))
        yield* texts(member as JsonValue, `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`)
    }
  }

  test('never throw, and an allow means that every resource is inside', () => {
    const outcomes = new Map<string, number>()
    fc.assert(
      fc.property(call, ([tool, args]) => {
        const bound = bind(tool, args)
        const outcome = bound.ok ? 'allow' : bound.denial.code
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if (!bound.ok) return
        let named = 0
        for (const [at, found] of texts(bound.args, '')) {
          const place = PLACES[tool]?.find(([pattern]) => pattern.test(at))
          if (place === undefined)
            expect([at, found, /^\s*(?:[\w+.-]+:[/\\]|\/|~\/|\.\.(?:\/|$))/.test(found)]).toEqual([at, found, false])
          else {
            expect([at, found, place[1](found)]).toEqual([at, found, true])
            if (!at.startsWith('/free') && at !== '/content') named += tool === 'edit' ? 2 : 1
          }
        }
        expect(bound.resources.length).toBe(named)
        // Judging the canonical arguments again gives the same answer and changes nothing.
        const again = bind(tool, bound.args)
        expect(again).toEqual(bound)
      }),
      { numRuns: fuzzRuns(4000) },
    )
    for (const outcome of [
      'allow',
      'resource_invalid',
      'resource_undeclared',
      'resource_unmapped',
      'tool_undeclared',
    ]) {
      expect([outcome, outcomes.get(outcome) ?? 0]).toEqual([outcome, expect.any(Number)])
      expect(outcomes.get(outcome) ?? 0).toBeGreaterThan(5)
    }
    expect(outcomes.get('internal_error')).toBeUndefined()
  })

  test('an unreadable anything never throws', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...manifest.tools.keys()),
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withNullPrototype: true,
          withObjectString: true,
          withSparseArray: true,
          withTypedArray: true,
        }),
        (tool, args) => {
          const bound = bindCall(manifest, tool, args)
          expect(bound.ok || bound.denial.code !== 'internal_error').toBe(true)
        },
      ),
      { numRuns: fuzzRuns(2000) },
    )
  })
})

test('a resource list is a list of what the arguments say, in their order', () => {
  const bound = bind('copy', { files: [{ to: '/srv/work/1', from: '/srv/in/1' }] })
  const list: readonly Resource[] = bound.ok ? bound.resources : []
  expect(list).toEqual([
    { kind: 'path', path: '/srv/work/1', access: 'write', from: '/files/0/to' },
    { kind: 'path', path: '/srv/in/1', access: 'read', from: '/files/0/from' },
  ])
})
