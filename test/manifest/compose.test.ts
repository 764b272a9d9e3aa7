// A skill made of skills: what it asks for, which part asks for it, and what parts cannot stand together.

import { describe, expect, test } from 'vitest'

import { bindCall } from '../../src/manifest/bind.ts'
import { capabilitiesOf } from '../../src/manifest/capabilities.ts'
import { type Composition, composeManifests } from '../../src/manifest/compose.ts'
import type { Manifest } from '../../src/manifest/manifest.ts'
import { narrowManifest } from '../../src/manifest/narrow.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'

const load = (text: string, variables: Readonly<Record<string, string>> = {}): Manifest => {
  const file = `${/skill: (\w+)/.exec(text)?.[1] ?? 'x'}/manifest.yaml`
  return new ManifestValidator({ variables }).load({ file, text })
}

const WEB = load(`skill: web
tools:
  - name: fetch
    effect: pure
    input_schema:
      type: object
      required: [url, verb]
      properties: { url: { type: string, pattern: "^https:" }, verb: { type: string } }
      additionalProperties: false
    resources: [{ from: /url, kind: url, method_from: /verb }]
    oauth_scopes: [web.read]
allowed_hosts: [api.example.com, "10.0.0.0/8:443"]
allowed_env: [LANG]
forbidden_syscalls: [execveat, ptrace]
limits: { wall_ms: 1000, memory_mb: 64 }
on_failure: halt
`)
const FILES = load(`skill: files
tools:
  - name: save
    input_schema:
      type: object
      required: [path]
      properties: { path: { type: string } }
      additionalProperties: false
    resources: [{ from: /path, kind: path, access: write, base: /srv/out }]
  - name: hidden
tool_scope: [save]
allowed_hosts: [api.example.com]
writable_paths: ["/srv/out/**"]
allowed_env: [TZ, LANG]
forbidden_syscalls: [ptrace]
limits: { wall_ms: 5000 }
execution_mode: ephemeral
`)

function composed(...parts: readonly Manifest[]): Extract<Composition, { ok: true }> {
  const composition = composeManifests(parts, { skill: 'both' })
  if (!composition.ok) throw new Error(JSON.stringify(composition.problems))
  return composition
}

describe('a composed skill', () => {
  const { manifest, provenance, warnings } = composed(WEB, FILES)

  test('asks for what its parts ask for, each once', () => {
    expect(warnings).toEqual([])
    expect(manifest).toMatchObject({
      skill: 'both',
      allowedEnv: ['LANG', 'TZ'],
      forbiddenSyscalls: ['ptrace'],
      executionMode: 'ephemeral',
      limits: { wallMs: 5000 },
      onFailure: 'halt',
      toolScope: ['fetch', 'save'],
    })
    expect(manifest.allowedHosts.map(({ text }) => text)).toEqual(['api.example.com', '10.0.0.0/8:443'])
    expect([...manifest.tools.keys()]).toEqual(['fetch', 'save', 'hidden'])
    expect(manifest.limits).toEqual({ wallMs: 5000 })
  })

  test('says of every wish which part has it, with its place', () => {
    const asked = capabilitiesOf(manifest)
    for (const list of [asked.hosts, asked.writes, asked.env]) {
      for (const { pointer } of list) expect(provenance.get(pointer)?.length).toBeGreaterThan(0)
    }
    expect(provenance.get('/allowed_hosts/0')).toEqual([
      { skill: 'web', file: 'web/manifest.yaml', pointer: '/allowed_hosts/0', line: 12, column: 17 },
      { skill: 'files', file: 'files/manifest.yaml', pointer: '/allowed_hosts/0', line: 12, column: 17 },
    ])
    expect(provenance.get('/tools/1')).toMatchObject([{ skill: 'files', pointer: '/tools/0' }])
  })

  test('judges calls as its parts do', () => {
    expect(bindCall(manifest, 'fetch', { url: 'https://api.example.com', verb: 'get' })).toMatchObject({
      ok: true,
      args: { url: 'https://api.example.com/' },
      resources: [{ kind: 'network', method: 'GET' }, { kind: 'scope' }],
    })
    expect(bindCall(manifest, 'save', { path: 'a' })).toMatchObject({ ok: true, resources: [{ path: '/srv/out/a' }] })
    for (const [tool, args, code] of [
      ['fetch', { url: 'http://api.example.com', verb: 'get' }, 'arguments_invalid'],
      ['fetch', { url: 'https://evil.example', verb: 'get' }, 'resource_undeclared'],
      ['save', { path: '/etc/x' }, 'resource_undeclared'],
      ['hidden', {}, 'tool_out_of_scope'],
      ['other', {}, 'tool_undeclared'],
    ] as const) {
      const bound = bindCall(manifest, tool, args)
      expect(bound.ok || bound.denial.code).toBe(code)
    }
  })

  test('is a manifest of its own, the same for the same parts', () => {
    expect(manifest.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(manifest.digest).toBe(composed(WEB, FILES).manifest.digest)
    expect(manifest.digest).not.toBe(WEB.digest)
  })

  test('of one part asks for what that part asks for', () => {
    const { manifest: alone } = composed(WEB)
    expect(narrowManifest(WEB, alone).ok && narrowManifest(alone, WEB).ok).toBe(true)
  })

  test('takes texts of its parts as they are, with what looks like a variable', () => {
    const part = load(
      'skill: odd\ntools:\n  - name: t\n    description: costs $${PRICE}, $$${x}\n    oauth_scopes: ["$${a}"]\nallowed_hosts: ["${H}"]\n',
      { H: 'h.example' },
    )
    const tool = composed(part).manifest.tools.get('t')
    expect(tool).toMatchObject({ description: 'costs ${PRICE}, $${x}', oauthScopes: ['${a}'] })
    expect(tool).toEqual(part.tools.get('t'))
  })
})

describe('parts that cannot stand together', () => {
  test('two tools of one name, even with the same words', () => {
    const other = load('skill: other\ntools:\n  - name: a\n  - name: fetch\n')
    for (const parts of [
      [WEB, other],
      [WEB, FILES, WEB],
    ]) {
      const composition = composeManifests(parts, { skill: 'both' })
      expect(composition.ok).toBe(false)
    }
    const composition = composeManifests([WEB, other], { skill: 'both' })
    expect(composition).toMatchObject({
      problems: [
        {
          code: 'duplicate_name',
          message: 'tool "fetch" is declared by skill "web" and by skill "other"',
          file: 'other/manifest.yaml',
          line: 4,
          pointer: '/tools/1/name',
        },
      ],
    })
  })

  test('one that writes what another runs', () => {
    const runner = load('skill: runner\nexecutable_paths: [/srv/**]\n')
    expect(composeManifests([FILES, runner], { skill: 'both' })).toMatchObject({
      ok: false,
      problems: [{ code: 'contradiction' }],
    })
    expect(composeManifests([WEB, runner], { skill: 'both' }).ok).toBe(true)
  })

  test('none at all, or no name: that is a mistake of the caller', () => {
    expect(() => composeManifests([], { skill: 'both' })).toThrow(TypeError)
    expect(() => composeManifests([WEB], { skill: 'a b' })).toThrow(TypeError)
  })
})
