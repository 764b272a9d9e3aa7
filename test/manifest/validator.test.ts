// ManifestValidator: what loads, what it becomes, and that everything wrong is said at once.

import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'

import type { SourceText } from '../../src/core/document.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { DocumentError, type Problem } from '../../src/core/problem.ts'
import { capabilitiesOf } from '../../src/manifest/capabilities.ts'
import { manifestJsonSchema } from '../../src/manifest/schema.ts'
import { type ManifestSource, ManifestValidator } from '../../src/manifest/validator.ts'

const validator = new ManifestValidator()

function problemsOf(source: ManifestSource, options?: { skill?: string }): readonly Problem[] {
  const result = validator.validate(source, options)
  return result.ok ? [] : result.problems
}

describe('the seed vocabulary loads as it is written', () => {
  const SEED = {
    skill: 'web_search',
    allowed_hosts: ['api.duckduckgo.com'],
    file_access: 'none',
    binary_access: 'none',
  }

  test.each<[string, SourceText]>([
    ['manifest.json', { file: 'manifest.json', text: JSON.stringify(SEED) }],
    [
      'claw.toml',
      {
        file: 'claw.toml',
        text: 'skill = "web_search"\nallowed_hosts = ["api.duckduckgo.com"]\nfile_access = "none"\nbinary_access = "none"\n',
      },
    ],
    [
      'manifest.yaml',
      {
        file: 'manifest.yaml',
        text: 'skill: web_search\nallowed_hosts: [api.duckduckgo.com]\nfile_access: none\nbinary_access: none\n',
      },
    ],
  ])('%s', (file, source) => {
    const manifest = validator.load(source)
    expect(manifest.skill).toBe('web_search')
    expect(manifest.file).toBe(file)
    expect(manifest.allowedHosts.map(({ text }) => text)).toEqual(['api.duckduckgo.com'])
    expect(manifest.allowedBinaries).toEqual([])
    // The same content has the same digest, whatever it is written in.
    expect(manifest.digest).toBe(validator.load({ name: 'in code', value: SEED }).digest)
    expect(manifest.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  const fragment = (text: string): ReturnType<ManifestValidator['load']> =>
    validator.load({ file: 'manifest.yaml', text }, { skill: 'pg_reader' })

  test('fragments that leave the name to the caller', () => {
    const binaries = fragment('allowed_binaries: [/usr/bin/python3, /bin/bash]\nforbidden_syscalls: [execveat]\n')
    expect(binaries.skill).toBe('pg_reader')
    expect(binaries.allowedBinaries).toEqual(['/usr/bin/python3', '/bin/bash'])
    expect(binaries.forbiddenSyscalls).toEqual(['execveat'])
    expect(fragment('execution_mode: ephemeral').executionMode).toBe('ephemeral')
    expect(fragment('tool_scope: ["pg_readonly"]').toolScope).toEqual(['pg_readonly'])
    expect(fragment('writable_paths: [/srv/out/**]').writablePaths.map(({ text }) => text)).toEqual(['/srv/out/**'])
    expect(fragment('on_failure: halt').onFailure).toBe('halt')
  })

  test('an absent section means none', () => {
    const manifest = fragment('{}')
    expect({ ...manifest, digest: '', locate: undefined }).toEqual({
      skill: 'pg_reader',
      tools: new Map(),
      allowedHosts: [],
      readablePaths: [],
      writablePaths: [],
      allowedBinaries: [],
      executablePaths: [],
      allowedLibraries: [],
      allowedEnv: [],
      processRights: [],
      forbiddenSyscalls: [],
      executionMode: 'shared',
      limits: {},
      digest: '',
      file: 'manifest.yaml',
      locate: undefined,
    })
  })
})

describe('the name of the skill', () => {
  test.each([
    ['in the file alone', 'skill: a\n', undefined, 'a'],
    ['from the caller alone', '{}', 'a', 'a'],
    ['both, equal', 'skill: a\n', 'a', 'a'],
  ])('%s', (_title, text, skill, expected) => {
    expect(validator.load({ file: 'm.yaml', text }, skill === undefined ? {} : { skill }).skill).toBe(expected)
  })

  test('both, different: a skill cannot call itself by the name of another', () => {
    expect(problemsOf({ file: 'm.yaml', text: 'skill: trusted_skill\n' }, { skill: 'evil' })).toMatchObject([
      { code: 'contradiction', line: 1, column: 8, hint: 'write skill: evil' },
    ])
  })

  test('a bad name from the caller (a directory, say) is a problem, not an exception', () => {
    expect(problemsOf({ file: 'm.yaml', text: 'skill: a\n' }, { skill: '../a' })).toMatchObject([
      { code: 'invalid_value' },
    ])
  })
})

describe('a whole manifest', () => {
  const TEXT = `skill: price_fetcher
version: 1.4.0
publisher: acme
description: Reads prices.
tools:
  - name: fetch_price
    description: One price.
    effect: pure
    input_schema:
      type: object
      properties:
        url: { type: string, maxLength: 2000 }
        save_to: { type: string }
      required: [url]
      additionalProperties: false
    resources:
      - { from: /url, kind: url }
      - { from: /save_to, kind: path, access: write, base: /srv/out, optional: true }
  - name: drop_all
allowed_hosts: ["*.example.com", "10.0.0.0/8:*"]
file_access: read_write
readable_paths: [/srv/in/**]
writable_paths: [/srv/out/**]
binary_access: listed
allowed_binaries: [/usr/bin/python3]
executable_paths: [/opt/prices/bin/**]
allowed_libraries: [/usr/lib/**]
allowed_env: [LANG]
process_rights: [executable_memory, unix_sockets]
forbidden_syscalls: [execveat, ptrace]
limits: { wall_ms: 5000, memory_mb: 256, processes: 8 }
execution_mode: ephemeral
tool_scope: ["fetch_*"]
on_failure: skip_downstream
`
  const manifest = validator.load({ file: 'skills/price/manifest.yaml', text: TEXT })

  test('becomes a frozen value with nothing left to interpret', () => {
    expect(manifest).toMatchObject({
      skill: 'price_fetcher',
      version: '1.4.0',
      publisher: 'acme',
      executablePaths: [{ text: '/opt/prices/bin/**' }],
      allowedLibraries: [{ text: '/usr/lib/**' }],
      processRights: ['executable_memory', 'unix_sockets'],
      limits: { wallMs: 5000, memoryBytes: 256 * 1024 * 1024, processes: 8 },
      allowedEnv: ['LANG'],
      forbiddenSyscalls: ['execveat', 'ptrace'],
      executionMode: 'ephemeral',
      toolScope: ['fetch_*'],
      onFailure: 'skip_downstream',
    })
    expect(manifest.tools.get('fetch_price')).toMatchObject({
      effect: 'pure',
      inScope: true,
      resources: [
        { from: '/url', kind: 'url', optional: false },
        { from: '/save_to', kind: 'path', access: 'write', base: '/srv/out', optional: true },
      ],
    })
    expect(manifest.tools.get('drop_all')).toMatchObject({ effect: 'unsafe', inScope: false })
    expect([manifest, manifest.allowedHosts, manifest.tools.get('fetch_price')].every(Object.isFrozen)).toBe(true)
  })

  test('capabilities say what it asks for, each with its place', () => {
    const asked = capabilitiesOf(manifest)
    expect(asked.skill).toBe('price_fetcher')
    // drop_all is out of the manifest's own scope and so not asked for.
    expect(asked.tools).toEqual([{ value: 'fetch_price', pointer: '/tools/0/name' }])
    expect(asked.hosts.map(({ value, pointer }) => [value.text, pointer])).toEqual([
      ['*.example.com', '/allowed_hosts/0'],
      ['10.0.0.0/8:*', '/allowed_hosts/1'],
    ])
    expect(asked.writes.map(({ value, pointer }) => [value.text, pointer])).toEqual([
      ['/srv/out/**', '/writable_paths/0'],
    ])
    expect(asked.binaries).toEqual([{ value: '/usr/bin/python3', pointer: '/allowed_binaries/0' }])
    expect(asked.env).toEqual([{ value: 'LANG', pointer: '/allowed_env/0' }])
    expect(asked.executes).toMatchObject([{ value: { text: '/opt/prices/bin/**' }, pointer: '/executable_paths/0' }])
    expect(asked.libraries).toMatchObject([{ value: { text: '/usr/lib/**' }, pointer: '/allowed_libraries/0' }])
    expect(asked.rights).toEqual([
      { value: 'executable_memory', pointer: '/process_rights/0' },
      { value: 'unix_sockets', pointer: '/process_rights/1' },
    ])
    const place = manifest.locate(asked.hosts[1]?.pointer ?? '')
    expect([place.line, TEXT.split('\n')[place.line - 1]?.slice(place.column - 1, place.column + 11)]).toEqual([
      20,
      '"10.0.0.0/8:',
    ])
  })
})

test('a program in the writable part of the tree beside its own is none', () => {
  const value = {
    skill: 's',
    writable_paths: ['/srv/work/**', '/**/cache'],
    executable_paths: ['/srv/bin/**/run', '/opt/tool'],
    allowed_libraries: ['/srv/lib/*.so'],
    allowed_binaries: ['/bin/sh'],
  }
  expect(problemsOf({ name: 'm', value })).toEqual([])
  const [problem] = problemsOf({ name: 'm', value: { ...value, executable_paths: ['/opt/tool', '/srv/**'] } })
  expect(problem).toMatchObject({
    code: 'contradiction',
    pointer: '/executable_paths/1',
    message: expect.stringContaining('writable_paths[0]'),
    hint: expect.stringContaining('take it out of writable_paths'),
  })
})

test('a misspelt right is answered with the one that was meant', () => {
  const [problem] = problemsOf({ name: 'm', value: { skill: 's', process_rights: ['executable-memory'] } })
  expect(problem).toMatchObject({ code: 'invalid_value', hint: 'did you mean "executable_memory"?' })
})

test('lists too long to compare are refused, not compared', () => {
  const list = (under: string) => Array.from({ length: 1_001 }, (_, index) => `/${under}/${index}`)
  expect(
    problemsOf({ name: 'm', value: { skill: 's', writable_paths: list('w'), executable_paths: list('x') } }),
  ).toMatchObject([{ code: 'too_large', pointer: '/writable_paths' }])
})

describe('all problems of a file at once', () => {
  const TEXT = `skil: web
allowed_hosts: [api.example.com, "*.com", 7]
file_access: none
readable_paths: [/srv/../etc]
execution_mode: fast
tools:
  - name: a b
  - name: fetch
    effect: sometimes
    input_schema:
      type: object
      properties:
        url: { type: string, patern: x }
        when: { type: string, format: phone }
      additionalProperties: false
    resources:
      - { from: /ulr, kind: url }
      - { from: /url, kind: path }
  - name: fetch
`

  test('shape, meaning and schemas, in the order of the text', () => {
    expect(problemsOf({ file: 'm.yaml', text: TEXT }).map(({ code, line, column }) => [code, line, column])).toEqual([
      ['unknown_key', 1, 1],
      ['missing_key', 1, 1],
      ['invalid_pattern', 2, 34],
      ['wrong_type', 2, 43],
      ['contradiction', 4, 1],
      ['invalid_pattern', 4, 18],
      ['invalid_value', 5, 17],
      ['invalid_value', 7, 11],
      ['invalid_value', 9, 13],
      ['invalid_schema', 13, 30],
      ['invalid_schema', 14, 39],
      ['unknown_reference', 17, 17],
      ['missing_key', 18, 9],
      ['duplicate_name', 19, 11],
    ])
  })

  test('hints name what was meant', () => {
    const hints = problemsOf({ file: 'm.yaml', text: TEXT }).map(({ hint }) => hint)
    expect(hints[0]).toBe('did you mean "skill"?')
    expect(hints.filter((hint) => hint === undefined).length).toBeLessThan(hints.length / 2)
  })

  test('load throws them all', () => {
    const attempt = (): unknown => validator.load({ file: 'm.yaml', text: TEXT })
    expect(attempt).toThrow(DocumentError)
    expect(attempt).toThrow(/m\.yaml:13:30.*m\.yaml:19:11/s)
  })

  test('a file with more than can be read is counted', () => {
    const hosts = Array.from({ length: 300 }, () => '"*.com"').join(', ')
    const problems = problemsOf({ file: 'm.yaml', text: `skill: s\nallowed_hosts: [${hosts}]\n` })
    expect(problems).toHaveLength(LIMITS.problems)
    expect(problems.at(-1)?.message).toMatch(/200 more/)
  })
})

test('the schemas of one manifest are bounded together, not only one by one', () => {
  const codes = Array.from({ length: 7000 }, (_, index) => `c${index}`)
  const tools = ['a', 'b', 'c'].map((name) => ({
    name,
    input_schema: { type: 'object', title: name, properties: { code: { enum: codes } } },
  }))
  expect(problemsOf({ name: 'm', value: { skill: 's', tools: tools.slice(1) } })).toEqual([])
  expect(problemsOf({ name: 'm', value: { skill: 's', tools } })).toMatchObject([
    { code: 'invalid_schema', pointer: '/tools/2/input_schema' },
  ])
})

describe('warnings do not refuse', () => {
  const optionalUrl = (mapping: string, required = ''): string =>
    `skill: s\ntools:\n  - name: t\n    input_schema: { type: object, properties: { url: { type: string } }${required} }\n    resources:\n      - ${mapping}\n`

  test.each([
    ['an argument that may be absent, unsaid', optionalUrl('{ from: /url, kind: url }'), ['contradiction']],
    ['said', optionalUrl('{ from: /url, kind: url, optional: true }'), []],
    ['required', optionalUrl('{ from: /url, kind: url }', ', required: [url]'), []],
    ['text', optionalUrl('{ from: /url, kind: text }'), []],
  ])('%s', (_title, text, expected) => {
    const result = validator.validate({ file: 'm.yaml', text })
    expect(result.ok && result.warnings.map(({ code }) => code)).toEqual(expected)
  })
})

describe('sources', () => {
  test('variables fill in strings, before anything is checked', () => {
    const withData = new ManifestValidator({ variables: { DATA: '/srv/data', HOST: 'api.example.com' } })
    const source = { file: 'm.yaml', text: `skill: s\nreadable_paths: ["\${DATA}/**"]\nallowed_hosts: ["\${HOST}"]\n` }
    const manifest = withData.load(source)
    expect(manifest.readablePaths[0]?.text).toBe('/srv/data/**')
    expect(manifest.digest).toBe(
      validator.load({
        name: 'v',
        value: { skill: 's', readable_paths: ['/srv/data/**'], allowed_hosts: ['api.example.com'] },
      }).digest,
    )
  })

  const trap = (): never => {
    throw new Error('trapped')
  }
  test.each<[string, unknown]>([
    [
      'a getter',
      {
        get skill() {
          return 's'
        },
      },
    ],
    [
      'a getter that throws',
      {
        get skill() {
          return trap()
        },
      },
    ],
    [
      'a getter inside',
      {
        skill: 's',
        tools: [
          {
            get name() {
              return 't'
            },
          },
        ],
      },
    ],
    ['a Proxy that throws', new Proxy({}, { ownKeys: trap, getPrototypeOf: trap })],
    [
      'a class instance',
      new (class {
        skill = 's'
      })(),
    ],
    ['a Map', new Map([['skill', 's']])],
    ['a function', () => ({ skill: 's' })],
    ['undefined', undefined],
    [
      'a cycle',
      (() => {
        const value: Record<string, unknown> = { skill: 's' }
        value['tools'] = [value]
        return value
      })(),
    ],
    ['__proto__ as an own key', JSON.parse('{"skill":"s","__proto__":{"file_access":"read_write"}}')],
    ['a symbol key', { skill: 's', [Symbol('x')]: 1 }],
    ['a toJSON', { skill: 's', toJSON: () => ({ skill: 't' }) }],
  ])('hostile value: %s', (_title, value) => {
    const result = validator.validate({ name: 'code', value })
    expect(result.ok).toBe(false)
    expect(!result.ok && result.problems[0]).toMatchObject({ file: 'code', severity: 'error' })
  })

  test('a value is copied: changing it later changes nothing', () => {
    const value = { skill: 's', allowed_env: ['A'] }
    const manifest = validator.load({ name: 'code', value })
    value.allowed_env.push('LD_PRELOAD')
    expect(manifest.allowedEnv).toEqual(['A'])
  })

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['text alone', 'skill: s'],
    ['a text that is none', { file: 'm.yaml', text: 7 }],
    ['a value without a name', { value: {} }],
  ])('caller misuse is a TypeError: %s', (_title, source) => {
    expect(() => validator.validate(source as ManifestSource)).toThrow(TypeError)
  })

  test('prototype names are only names', () => {
    const value = {
      skill: 'constructor',
      tools: [{ name: 'toString' }, { name: 'hasOwnProperty' }],
      allowed_env: ['constructor'],
    }
    const manifest = validator.load({ name: 'code', value })
    expect([...manifest.tools.keys()]).toEqual(['toString', 'hasOwnProperty'])
    expect(manifest.tools.get('valueOf')).toBeUndefined()
  })
})

describe('the published JSON Schema', () => {
  const schema = manifestJsonSchema()
  const check = new Ajv2020({ strict: false }).compile(schema)

  test('names itself and describes every key', () => {
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: 'https://agentport.dev/schemas/manifest.schema.json',
      title: expect.any(String),
      description: expect.any(String),
      additionalProperties: false,
    })
    const undescribed = Object.entries(schema['properties'] as Record<string, { description?: string }>)
      .filter(([, property]) => property.description === undefined)
      .map(([key]) => key)
    expect(undescribed).toEqual([])
  })

  test('its own examples hold, for it and for us', () => {
    for (const value of schema['examples'] as unknown[]) {
      expect(check(value), JSON.stringify(check.errors)).toBe(true)
      expect(problemsOf({ name: 'example', value })).toEqual([])
    }
  })

  test.each([
    ['an unknown key', { skill: 's', extra: 1 }],
    ['access missing', { tools: [{ name: 't', resources: [{ from: '/a', kind: 'path' }] }] }],
    ['an empty name', { skill: '' }],
    ['a bare program', { allowed_binaries: ['python3'] }],
  ])('refuses %s', (_title, value) => {
    expect(check(value)).toBe(false)
  })
})
