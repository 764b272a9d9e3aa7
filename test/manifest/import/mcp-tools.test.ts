// A server's list of tools becomes what a call is held against. The server is not trusted: it cannot grant itself hosts or
// files, shadow a tool, promise that a call is harmless, or make the import slow.

import { describe, expect, test } from 'vitest'

import type { JsonObject } from '../../../src/core/json.ts'
import { LIMITS } from '../../../src/core/limits.ts'
import { bindCall } from '../../../src/manifest/bind.ts'
import { type Imported, MOST_TODOS } from '../../../src/manifest/import/imported.ts'
import { importMcpTools } from '../../../src/manifest/import/mcp-tools.ts'
import { ManifestValidator } from '../../../src/manifest/validator.ts'

const options = { skill: 'files' }
const read = (value: unknown): Imported => importMcpTools({ name: 'tools.json', value }, options)
const closed = (properties: JsonObject, required: readonly string[] = []): JsonObject => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})

function loaded(imported: Imported): Imported & { readonly ok: true } {
  if (!imported.ok) throw new Error(imported.problems.map(({ message }) => message).join('; '))
  return imported
}

const toolsOf = (imported: Imported): readonly JsonObject[] =>
  loaded(imported).manifest['tools'] as readonly JsonObject[]

describe('forms of the list', () => {
  const tools = [{ name: 'ping', description: 'Pings.', inputSchema: closed({}) }]
  test.each([
    ['the result', { tools }],
    ['the response', { jsonrpc: '2.0', id: 1, result: { tools } }],
    ['the list', tools],
  ])('%s', (_, value) => {
    expect(toolsOf(read(value))).toEqual([{ name: 'ping', description: 'Pings.', input_schema: closed({}) }])
  })

  test('text, with places', () => {
    const text =
      '{\n  "tools": [\n    { "name": "a b" },\n    { "name": "ok", "title": "Fine", "inputSchema": { "type": "object" } }\n  ]\n}'
    const imported = loaded(importMcpTools({ file: 'tools.json', text }, options))
    expect(toolsOf(imported)).toEqual([{ name: 'ok', description: 'Fine', input_schema: { type: 'object' } }])
    expect(imported.warnings).toMatchObject([{ code: 'invalid_value', line: 3, column: 15, pointer: '/tools/0/name' }])
  })

  test('a first page is told from the whole', () => {
    expect(loaded(read({ tools, nextCursor: 'page-2' })).warnings).toMatchObject([
      { message: expect.stringContaining('goes on') },
    ])
    expect(loaded(read({ tools, nextCursor: null })).warnings).toEqual([])
  })

  test.each([[null], [7], ['x'], [{}], [{ tools: {} }], [{ result: [] }], [{ error: { code: -32601 } }]])(
    '%j is none',
    (value) => {
      expect(read(value)).toMatchObject({ ok: false, problems: [{ code: 'wrong_type' }] })
    },
  )

  test('misuse', () => {
    expect(() => importMcpTools({ name: 'x', value: [] }, { skill: 'a b' })).toThrow(TypeError)
    expect(() => importMcpTools(null as unknown as { name: string; value: unknown }, options)).toThrow(TypeError)
    expect(() =>
      importMcpTools({ name: 7, value: [] } as unknown as { name: string; value: unknown }, options),
    ).toThrow(TypeError)
  })
})

describe('an untrusted server', () => {
  test('gets nothing it did not have before', () => {
    const grabbing = {
      name: 'read',
      description: 'Reads.',
      inputSchema: closed({ path: { type: 'string' } }),
      resources: [{ from: '/path', kind: 'text' }],
      effect: 'pure',
      allowed_hosts: ['*'],
      readable_paths: ['/**'],
    }
    const imported = loaded(read({ tools: [grabbing], allowed_hosts: ['*'], tool_scope: ['*'] }))
    expect(Object.keys(imported.manifest)).toEqual(['skill', 'tools', 'file_access', 'binary_access'])
    expect(Object.keys(toolsOf(imported)[0] ?? {})).toEqual(['name', 'description', 'input_schema'])
  })

  test('hints are never taken for what they say', () => {
    const annotations = { readOnlyHint: true, idempotentHint: true, destructiveHint: true, openWorldHint: true }
    const imported = loaded(read({ tools: [{ name: 'wipe', inputSchema: closed({}), annotations }] }))
    const manifest = new ManifestValidator().load({ name: 'x', value: imported.manifest })
    expect(manifest.tools.get('wipe')?.effect).toBe('unsafe')
    expect(imported.todo.map(({ pointer, suggestion }) => [pointer, suggestion])).toEqual([
      ['/tools/0/effect', 'pure'],
      ['/tools/0', undefined],
      ['/allowed_hosts', undefined],
      ['/allowed_hosts', undefined],
    ])
    const idempotent = loaded(read({ tools: [{ name: 'put', annotations: { idempotentHint: true } }] }))
    expect(idempotent.todo).toContainEqual(expect.objectContaining({ suggestion: 'idempotent' }))
    const silent = loaded(
      read({ tools: [{ name: 'put', inputSchema: closed({}), annotations: { readOnlyHint: 'yes' } }] }),
    )
    expect(silent.todo.map(({ pointer }) => pointer)).toEqual(['/allowed_hosts'])
  })

  test('cannot shadow a tool of its own list', () => {
    const twice = { tools: [{ name: 'send' }, { name: 'ping' }, { name: 'send' }] }
    expect(read(twice)).toMatchObject({ ok: false, problems: [{ code: 'duplicate_name', pointer: '/tools/2/name' }] })
  })

  test.each([['a/b'], ['a b'], [''], ['a.'], ['ａ'], ['x'.repeat(129)], ['a\u202eb'], ['*']])(
    '%j is left out',
    (name) => {
      const imported = loaded(read({ tools: [{ name }, { name: 'ok', inputSchema: closed({}) }] }))
      expect(toolsOf(imported).map((tool) => tool['name'])).toEqual(['ok'])
      expect(imported.warnings).toMatchObject([{ code: 'invalid_value', pointer: '/tools/0/name' }])
    },
  )

  test.each(['constructor', 'toString', 'valueOf'])('a tool called %s is one like any other', (name) => {
    expect(toolsOf(read({ tools: [{ name, inputSchema: closed({}) }] }))).toEqual([{ name, input_schema: closed({}) }])
  })

  test.each([
    [[7], 'wrong_type'],
    [[null], 'wrong_type'],
    [[{}], 'missing_key'],
    [[{ name: 7 }], 'missing_key'],
  ])('%j is refused', (tools, code) => {
    expect(read({ tools })).toMatchObject({ ok: false, problems: [{ code }] })
  })

  test('references in its texts stay text, in schemas too', () => {
    const schema = closed({ path: { type: 'string', enum: ['${HOME}', '$${x}'], description: '${TOKEN}' } })
    const imported = loaded(read({ tools: [{ name: 'a', description: '${TOKEN}', inputSchema: schema }] }))
    const manifest = new ManifestValidator({ variables: { TOKEN: 'secret', HOME: 'h' } }).load({
      name: 'x',
      value: imported.manifest,
    })
    expect(manifest.tools.get('a')?.inputSchema).toEqual(schema)
    expect(manifest.tools.get('a')?.description).toBe('${TOKEN}')
  })
})

describe('schemas', () => {
  test.each<readonly [string, JsonObject]>([
    ['a format nobody checks', closed({ u: { type: 'string', format: 'url' } })],
    ['look-behind', closed({ u: { type: 'string', pattern: '(?<=a)b' } })],
    ['a foreign reference', { type: 'object', properties: { u: { $ref: 'https://evil.example/x' } } }],
    [
      'a reference to itself',
      {
        type: 'object',
        properties: { u: { $ref: '#/$defs/u' } },
        $defs: { u: { type: 'object', properties: { u: { $ref: '#/$defs/u' } } } },
      },
    ],
    ['a name of its own', { ...closed({}), $id: 'https://x.example' }],
    ['an unknown keyword', { ...closed({}), 'x-trusted': true }],
    ['another root', { type: 'array' }],
    ['no root', {}],
    ['an unknown dialect', { ...closed({}), $schema: 'https://x.example' }],
  ])('%s: the tool stays, and takes no arguments', (_, inputSchema) => {
    const imported = loaded(read({ tools: [{ name: 'a', inputSchema }] }))
    expect(toolsOf(imported)).toEqual([{ name: 'a' }])
    expect(imported.todo[0]).toMatchObject({ pointer: '/tools/0/input_schema' })
    expect(imported.warnings[0]).toMatchObject({ code: 'invalid_schema', severity: 'warning' })
    expect(imported.warnings[0]?.pointer).toMatch(/^\/tools\/0\/inputSchema/)
    const manifest = new ManifestValidator().load({ name: 'x', value: imported.manifest })
    expect(bindCall(manifest, 'a', { u: 'x' }).ok).toBe(false)
    expect(bindCall(manifest, 'a', {}).ok).toBe(true)
  })

  test.each([[7], ['x'], [[]], [null], [true]])('%j is no schema', (inputSchema) => {
    expect(toolsOf(read({ tools: [{ name: 'a', inputSchema }] }))).toEqual([{ name: 'a' }])
  })

  test('the values of all together are bounded, and so is the work', () => {
    const many = closed(
      Object.fromEntries(
        Array.from({ length: 300 }, (_, index) => [`p${index}`, { type: 'string', maxLength: index }]),
      ),
    )
    const tools = Array.from({ length: 100 }, (_, index) => ({
      name: `t${index}`,
      inputSchema: { ...many, title: `${index}` },
    }))
    const imported = loaded(read({ tools }))
    const kept = toolsOf(imported).filter((tool) => Object.hasOwn(tool, 'input_schema'))
    expect(toolsOf(imported)).toHaveLength(100)
    expect(kept.length).toBeGreaterThan(10)
    expect(kept.length).toBeLessThan(100)
    expect(imported.todo.filter(({ pointer }) => pointer.endsWith('/input_schema'))).toHaveLength(100 - kept.length)
  })

  test('10,000 tools are refused, 1,000 are not', () => {
    const tools = (count: number): JsonObject => ({
      tools: Array.from({ length: count }, (_, index) => ({ name: `t${index}` })),
    })
    expect(read(tools(10_000))).toMatchObject({ ok: false, problems: [{ code: 'too_large', pointer: '/tools' }] })
    expect(toolsOf(read(tools(LIMITS.manifestTools)))).toHaveLength(LIMITS.manifestTools)
  })

  test('todos and problems are bounded, and say how many there are', () => {
    const properties = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`url${index}`, { type: 'string' }]))
    const tools = Array.from({ length: 500 }, (_, index) => ({ name: `t${index}`, inputSchema: closed(properties) }))
    const imported = loaded(read({ tools }))
    expect(imported.todo).toHaveLength(MOST_TODOS)
    expect(imported.todo.at(-1)?.what).toMatch(/\(and \d{4} more\)$/)
    const bad = loaded(read({ tools: Array.from({ length: 900 }, () => ({ name: 'a b' })) }))
    expect(bad.warnings).toHaveLength(LIMITS.problems)
    expect(bad.warnings.at(-1)?.message).toContain('and 800 more')
  })
})

describe('arguments that look like resources', () => {
  const suggested = (properties: JsonObject, required: readonly string[] = []): readonly unknown[] =>
    loaded(read({ tools: [{ name: 'a', inputSchema: closed(properties, required) }] })).todo.flatMap(
      ({ suggestion }) => (suggestion === undefined ? [] : [suggestion]),
    )

  test.each<readonly [string, JsonObject, unknown]>([
    ['a name', { url: { type: 'string' } }, { from: '/url', kind: 'url', optional: true }],
    ['camel case', { webhookUrl: { type: 'string' } }, { from: '/webhookUrl', kind: 'url', optional: true }],
    ['a format', { target: { type: 'string', format: 'uri' } }, { from: '/target', kind: 'url', optional: true }],
    ['an address', { peer: { type: 'string', format: 'ipv4' } }, { from: '/peer', kind: 'host', optional: true }],
    [
      'a host',
      { host_name: { type: 'string' }, hostname: { type: 'string' } },
      { from: '/host_name', kind: 'host', optional: true },
    ],
    ['a path', { cwd: { type: 'string' } }, { from: '/cwd', kind: 'path', access: 'read', optional: true }],
    [
      'a path to write',
      { output_file: { type: 'string' } },
      { from: '/output_file', kind: 'path', access: 'write', optional: true },
    ],
    [
      'a list',
      { paths: { type: 'array', items: { type: 'string' } } },
      { from: '/paths/*', kind: 'path', access: 'read', optional: true },
    ],
    [
      'an object',
      { to: { type: 'object', properties: { uri: { type: 'string' } } } },
      { from: '/to/uri', kind: 'url', optional: true },
    ],
    [
      'a choice of types',
      { file: { anyOf: [{ type: 'string' }, { type: 'null' }] } },
      { from: '/file', kind: 'path', access: 'read', optional: true },
    ],
    [
      'a description',
      { place: { type: 'string', description: 'Absolute path of the log.' } },
      { from: '/place', kind: 'path', access: 'read', optional: true },
    ],
    ['a command', { command: { type: 'string' } }, { from: '/command', kind: 'binary', optional: true }],
    ['a variable', { env_var: { type: 'string' } }, { from: '/env_var', kind: 'env', optional: true }],
    ['free text', { body: { type: 'string' } }, { from: '/body', kind: 'text', optional: true }],
    [
      'an odd name',
      { 'a/url~x': { type: 'string', format: 'uri' } },
      { from: '/a~1url~0x', kind: 'url', optional: true },
    ],
  ])('%s', (_, properties, suggestion) => {
    expect(suggested(properties)[0]).toEqual(suggestion)
  })

  test('required ones are not optional', () => {
    expect(suggested({ url: { type: 'string' } }, ['url'])).toEqual([{ from: '/url', kind: 'url' }])
  })

  test.each<readonly [string, JsonObject]>([
    ['numbers', { port: { type: 'integer' }, file: { type: 'number' } }],
    ['one of a list', { url: { type: 'string', enum: ['https://a.example/'] } }],
    [
      'about a thing, and not its name',
      { file_id: { type: 'string' }, url_count: { type: 'string' }, host_type: { type: 'string' } },
    ],
    ['every member of an object', { '*': { type: 'string', format: 'uri' } }],
    ['a member called *', { to: { properties: { '*': { type: 'string', format: 'uri' } } } }],
    ['what nobody can see', { '\u200burl': { type: 'string' } }],
  ])('no suggestion for %s', (_, properties) => {
    expect(suggested(properties)).toEqual([])
  })

  test('leaving them out is safe: the call is refused until somebody maps them', () => {
    const tools = [{ name: 'get', inputSchema: closed({ url: { type: 'string' } }, ['url']) }]
    const imported = loaded(read({ tools }))
    const call = { url: 'https://evil.example/' }
    const bare = new ManifestValidator().load({ name: 'x', value: imported.manifest })
    expect(bindCall(bare, 'get', call)).toMatchObject({ ok: false, denial: { code: 'resource_unmapped' } })
    // Control: what a suggestion taken unread would do, with kind: text.
    const careless = {
      ...imported.manifest,
      tools: [{ ...toolsOf(imported)[0], resources: [{ from: '/url', kind: 'text' }] }],
    }
    expect(bindCall(new ManifestValidator().load({ name: 'x', value: careless }), 'get', call).ok).toBe(true)
  })

  test('every suggestion can be taken', () => {
    const properties: JsonObject = {
      url: { type: 'string' },
      files: { type: 'array', items: { type: 'object', properties: { path: { type: 'string' } } } },
      env_name: { type: 'string' },
      host: { type: ['string', 'null'] },
      program: { type: 'string' },
      query: { type: 'string' },
    }
    const imported = loaded(read({ tools: [{ name: 'a', inputSchema: closed(properties) }] }))
    const resources = suggested(properties)
    expect(resources).toHaveLength(6)
    const value = { ...imported.manifest, tools: [{ ...toolsOf(imported)[0], resources }] }
    expect(new ManifestValidator().validate({ name: 'x', value })).toMatchObject({ ok: true, warnings: [] })
  })
})
