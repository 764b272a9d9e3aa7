// Every lint of a manifest speaks where it should and is silent where it should not, and the page lists them all.

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { documentFromValue, parseDocument, type SourceDocument } from '../../src/core/document.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { lintManifest, MANIFEST_LINTS, type ManifestFinding, type ManifestLint } from '../../src/manifest/lint.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function documentOf(value: unknown): SourceDocument {
  const parsed = documentFromValue(value, 'manifest.json')
  if (!parsed.ok) throw new Error('not plain data')
  return parsed.document
}

/** A manifest about which there is nothing to say. */
const QUIET = {
  skill: 'quiet',
  tools: [
    {
      name: 'get',
      description: 'Gets one page.\nOf the shop.',
      effect: 'pure',
      input_schema: {
        type: 'object',
        properties: { url: { type: 'string' } },
        required: ['url'],
        additionalProperties: false,
      },
      resources: [{ from: '/url', kind: 'url' }],
    },
  ],
  allowed_hosts: ['shop.example.com', '*.cdn.example.com:8443', '192.0.2.0/24'],
  file_access: 'read_write',
  readable_paths: [
    '/srv/shop/**',
    '/etc/ssl/certs/**',
    '/usr/share/zoneinfo/**',
    '/home/ana/project/**',
    '/home/ana/.config/shop/**',
    '/srv/shop/mem',
  ],
  writable_paths: ['/srv/shop/out/**', '/tmp/shop/**', '/var/lib/shop/**', '/dev/null'],
  binary_access: 'listed',
  allowed_binaries: ['/usr/bin/jq', '/opt/shop/bin/render'],
  executable_paths: ['/opt/shop/bin/**'],
  allowed_env: ['LANG', 'TZ', 'SHOP_REGION'],
  limits: { wall_ms: 1000, memory_mb: 64 },
}

const lint = (change: object): readonly ManifestFinding[] => lintManifest(documentOf({ ...QUIET, ...change }))
const rules = (change: object): readonly ManifestLint[] => lint(change).map(({ rule }) => rule)

/** What each lint is about, with the pointer it must give. */
const LOUD: readonly (readonly [ManifestLint, string, object])[] = [
  ['any_host', '/allowed_hosts/0', { allowed_hosts: ['*'] }],
  ['any_host', '/allowed_hosts/0', { allowed_hosts: ['https://*'] }],
  ['any_host', '/allowed_hosts/0', { allowed_hosts: ['0.0.0.0/0'] }],
  ['any_host', '/allowed_hosts/0', { allowed_hosts: ['::/0'] }],
  ['wide_host', '/allowed_hosts/0', { allowed_hosts: ['**.co.uk'] }],
  ['wide_host', '/allowed_hosts/0', { allowed_hosts: ['*.github.io'] }],
  ['wide_host', '/allowed_hosts/0', { allowed_hosts: ['**.amazonaws.com'] }],
  ['wide_host', '/allowed_hosts/0', { allowed_hosts: ['8.0.0.0/7'] }],
  ['wide_host', '/allowed_hosts/0', { allowed_hosts: ['2000::/3'] }],
  ['private_host', '/allowed_hosts/0', { allowed_hosts: ['localhost'] }],
  ['private_host', '/allowed_hosts/0', { allowed_hosts: ['wiki.corp'] }],
  ['private_host', '/allowed_hosts/0', { allowed_hosts: ['10.1.0.0/16'] }],
  ['private_host', '/allowed_hosts/0', { allowed_hosts: ['[::1]:8080'] }],
  ['metadata_host', '/allowed_hosts/0', { allowed_hosts: ['169.254.169.254'] }],
  ['metadata_host', '/allowed_hosts/0', { allowed_hosts: ['169.254.0.0/16'] }],
  ['metadata_host', '/allowed_hosts/0', { allowed_hosts: ['metadata.google.internal'] }],
  ['metadata_host', '/allowed_hosts/0', { allowed_hosts: ['fd00:ec2::254'] }],
  ['cleartext_host', '/allowed_hosts/0', { allowed_hosts: ['http://shop.example.com'] }],
  ['any_port', '/allowed_hosts/0', { allowed_hosts: ['shop.example.com:*'] }],
  ['whole_file_system', '/readable_paths/0', { readable_paths: ['/'] }],
  ['whole_file_system', '/readable_paths/0', { readable_paths: ['/**'] }],
  ['whole_file_system', '/readable_paths/0', { readable_paths: ['/*/**'] }],
  ['whole_file_system', '/writable_paths/0', { writable_paths: ['/**/*.txt'] }],
  ['home_directory', '/readable_paths/0', { readable_paths: ['/home/**'] }],
  ['home_directory', '/readable_paths/0', { readable_paths: ['/home/ana/**'] }],
  ['home_directory', '/readable_paths/0', { readable_paths: ['/home/*/*'] }],
  ['home_directory', '/readable_paths/0', { readable_paths: ['/home/**/notes.txt'] }],
  ['home_directory', '/readable_paths/0', { readable_paths: ['/root/**'] }],
  ['home_directory', '/readable_paths/0', { readable_paths: ['/Users/ana/**'] }],
  ['credential_path', '/readable_paths/0', { readable_paths: ['/home/ana/.ssh/**'] }],
  ['credential_path', '/readable_paths/0', { readable_paths: ['/home/*/.aws/credentials'] }],
  ['credential_path', '/readable_paths/0', { readable_paths: ['/etc/shadow'] }],
  ['credential_path', '/readable_paths/0', { readable_paths: ['/srv/app/.env'] }],
  ['credential_path', '/readable_paths/0', { readable_paths: ['/proc/*/environ'] }],
  ['credential_path', '/readable_paths/0', { readable_paths: ['/home/ana/.config/**'] }],
  ['credential_path', '/readable_paths/0', { readable_paths: ['/home/ana/.config/gh/hosts.yml'] }],
  ['credential_path', '/writable_paths/0', { writable_paths: ['/run/docker.sock'] }],
  ['system_path', '/readable_paths/0', { readable_paths: ['/etc/**'] }],
  ['system_path', '/readable_paths/0', { readable_paths: ['/proc/**'] }],
  ['system_path', '/readable_paths/0', { readable_paths: ['/var/*'] }],
  ['writable_system_path', '/writable_paths/0', { writable_paths: ['/etc/cron.d/shop'] }],
  ['writable_system_path', '/writable_paths/0', { writable_paths: ['/usr/local/bin/**'] }],
  ['writable_system_path', '/writable_paths/0', { writable_paths: ['/dev/sda'] }],
  ['any_program', '/executable_paths/0', { executable_paths: ['/usr/bin/**'] }],
  ['any_program', '/executable_paths/0', { executable_paths: ['/opt/**'] }],
  ['interpreter', '/allowed_binaries/0', { allowed_binaries: ['/bin/bash'] }],
  ['interpreter', '/allowed_binaries/0', { allowed_binaries: ['/usr/bin/python3.12'] }],
  ['interpreter', '/allowed_binaries/1', { allowed_binaries: ['/usr/bin/jq', '/usr/bin/env'] }],
  ['interpreter', '/allowed_binaries/0', { allowed_binaries: ['/usr/bin/find'] }],
  ['privilege_program', '/allowed_binaries/0', { allowed_binaries: ['/usr/bin/sudo'] }],
  ['privilege_program', '/allowed_binaries/0', { allowed_binaries: ['/usr/bin/docker'] }],
  ['code_env', '/allowed_env/0', { allowed_env: ['LD_PRELOAD'] }],
  ['code_env', '/allowed_env/0', { allowed_env: ['PATH'] }],
  ['code_env', '/allowed_env/0', { allowed_env: ['NODE_OPTIONS'] }],
  ['secret_env', '/allowed_env/0', { allowed_env: ['GITHUB_TOKEN'] }],
  ['secret_env', '/allowed_env/0', { allowed_env: ['AWS_SECRET_ACCESS_KEY'] }],
  ['secret_env', '/allowed_env/0', { allowed_env: ['DATABASE_URL'] }],
  ['process_right', '/process_rights/0', { process_rights: ['unix_sockets'] }],
  ['file_access_missing', '', { file_access: undefined }],
  ['binary_access_missing', '', { binary_access: undefined }],
  ['limits_missing', '/allowed_binaries', { limits: undefined }],
  ['limits_missing', '/executable_paths', { limits: { wall_ms: 5 }, allowed_binaries: [] }],
  [
    'effect_missing',
    '/tools/0',
    { tools: [{ name: 'a', input_schema: { type: 'object', additionalProperties: false } }] },
  ],
  ['schema_missing', '/tools/0', { tools: [{ name: 'a', effect: 'pure' }] }],
  [
    'open_schema',
    '/tools/0/input_schema',
    { tools: [{ name: 'a', effect: 'pure', input_schema: { type: 'object' } }] },
  ],
  [
    'open_schema',
    '/tools/0/input_schema',
    { tools: [{ name: 'a', effect: 'pure', input_schema: { type: 'object', additionalProperties: true } }] },
  ],
  [
    'open_schema',
    '/tools/0/input_schema/properties/x/items',
    {
      tools: [
        {
          name: 'a',
          effect: 'pure',
          input_schema: {
            type: 'object',
            properties: { x: { type: 'array', items: { type: 'object' } } },
            additionalProperties: false,
          },
        },
      ],
    },
  ],
  ['unmapped_resource', '/tools/0/input_schema/properties/url', { tools: [{ ...QUIET.tools[0], resources: [] }] }],
  [
    'unguarded_resource',
    '/tools/0/input_schema/properties/url',
    { tools: [{ ...QUIET.tools[0], resources: [{ from: '/url', kind: 'text' }] }] },
  ],
  ['hidden_characters', '/tools/0/description', { tools: [{ ...QUIET.tools[0], description: 'a\u{e0041}' }] }],
  ['hidden_characters', '/description', { description: 'a\u202eb' }],
]

const withoutUndefined = (change: object): object =>
  Object.fromEntries(Object.entries({ ...QUIET, ...change }).filter(([, value]) => value !== undefined))

describe('lintManifest', () => {
  test('says nothing of a manifest that is as narrow as it can be', () => {
    expect(lint({})).toEqual([])
    expect(
      new ManifestValidator().validate({ name: 'x', value: { ...QUIET, writable_paths: [], file_access: 'read_only' } })
        .ok,
    ).toBe(true)
  })

  test.each(LOUD)('%s at %s', (rule, pointer, change) => {
    const findings = lintManifest(documentOf(withoutUndefined(change)))
    expect(findings.map((finding) => [finding.rule, finding.pointer])).toEqual([[rule, pointer]])
    expect(findings[0]).toMatchObject({
      severity: MANIFEST_LINTS[rule].severity,
      file: 'manifest.json',
      line: 1,
      column: 1,
    })
    expect(findings[0]?.hint).not.toBe('')
  })

  test('every lint is tried', () => {
    expect([...new Set(LOUD.map(([rule]) => rule))].sort()).toEqual(Object.keys(MANIFEST_LINTS).sort())
  })

  test('an interpreter whose arguments are listed is no finding', () => {
    const tool = (script: object): object => ({
      allowed_binaries: ['/usr/bin/python3'],
      tools: [
        {
          name: 'run',
          effect: 'pure',
          input_schema: { type: 'object', properties: { script }, additionalProperties: false },
        },
      ],
    })
    expect(rules(tool({ enum: ['daily', 'weekly'] }))).toEqual([])
    expect(rules(tool({ const: 'daily' }))).toEqual([])
    expect(rules(tool({ type: 'array', items: { type: 'integer' } }))).toEqual([])
    expect(rules(tool({ type: 'string', maxLength: 9 }))).toContain('interpreter')
    expect(rules(tool({ type: 'array', items: { type: 'string' } }))).toContain('interpreter')
    expect(rules({ allowed_binaries: ['/usr/bin/python3'], tools: [] })).toEqual(['interpreter'])
  })

  test('kind: text covers what is below it', () => {
    const schema = {
      type: 'object',
      properties: { page: { type: 'object', properties: { url: { type: 'string' } }, additionalProperties: false } },
      additionalProperties: false,
    }
    const tool = (resources: readonly object[]): object => ({
      tools: [{ name: 'a', effect: 'pure', input_schema: schema, resources }],
    })
    expect(rules(tool([]))).toEqual(['unmapped_resource'])
    expect(rules(tool([{ from: '/page', kind: 'text' }]))).toEqual(['unguarded_resource'])
    expect(rules(tool([{ from: '/page/url', kind: 'url' }]))).toEqual([])
  })

  test('places are those of the text, in its order', () => {
    const text =
      'skill: x\nfile_access: none\nbinary_access: none\nallowed_env: [PATH]\nallowed_hosts:\n  - api.example.com\n  - "*"\n'
    const parsed = parseDocument({ file: 'manifest.yaml', text })
    if (!parsed.ok) throw new Error('it does not parse')
    expect(lintManifest(parsed.document).map(({ rule, line, column }) => `${line}:${column} ${rule}`)).toEqual([
      '4:15 code_env',
      '7:5 any_host',
    ])
  })

  test('findings are bounded, and the last says how many there are', () => {
    const findings = lint({ allowed_hosts: Array.from({ length: 500 }, () => '*') })
    expect(findings).toHaveLength(LIMITS.problems)
    expect(findings.at(-1)?.message).toContain('and 400 more findings')
  })

  test('whatever the document is, there is an answer', () => {
    const keys = fc.constantFrom(
      'tools',
      'allowed_hosts',
      'readable_paths',
      'allowed_binaries',
      'allowed_env',
      'limits',
      'input_schema',
      'properties',
      'resources',
      'name',
      'from',
      'kind',
      '$ref',
      'type',
      'items',
      '$defs',
    )
    const json = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom('*', '/**', '${X}', 'object', '#/$defs/a', 7, null, true),
        fc.string(),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(keys, tie('value'), { maxKeys: 5, noNullPrototype: true }),
      ),
    }))
    fc.assert(
      fc.property(json.value, (value) => {
        for (const finding of lintManifest(documentOf(value)))
          expect(Object.keys(MANIFEST_LINTS)).toContain(finding.rule)
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  test('docs/import.md lists every id with its severity and meaning', () => {
    const page = readFileSync(new URL('../../docs/import.md', import.meta.url), 'utf8')
    for (const [rule, { severity, meaning }] of Object.entries(MANIFEST_LINTS)) {
      expect(page, rule).toMatch(
        new RegExp(
          `^\\| \`${rule}\` \\| ${severity} \\| [a-z, ]*manifest[a-z, ]* \\| ${meaning.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')} \\|$`,
          'm',
        ),
      )
    }
  })
})
