// A plugin's file says what it registers. Its tools are taken by name, its servers as far as they are stated, and the rest
// is for the author.

import { describe, expect, test } from 'vitest'
import { bindCall } from '../../../src/manifest/bind.ts'
import type { Imported } from '../../../src/manifest/import/imported.ts'
import { importOpenClawPlugin } from '../../../src/manifest/import/openclaw-plugin.ts'
import { ManifestValidator } from '../../../src/manifest/validator.ts'

const file = 'openclaw.plugin.json'
const read = (value: unknown): Imported => importOpenClawPlugin({ file, text: JSON.stringify(value, undefined, 2) })

function loaded(imported: Imported): Imported & { readonly ok: true } {
  if (!imported.ok) throw new Error(imported.problems.map(({ message }) => message).join('; '))
  return imported
}

const PLUGIN = {
  id: 'ledger',
  name: 'Ledger',
  version: '2.0.1',
  description: 'Keeps books.',
  configSchema: { type: 'object', properties: { apiUrl: { type: 'string', default: 'https://api.ledger.example' } } },
}

describe('what is taken', () => {
  test('identity and the names of tools, which take no arguments until somebody says which', () => {
    const imported = loaded(read({ ...PLUGIN, contracts: { tools: ['ledger_add', 'ledger_list'] } }))
    expect(imported.manifest).toEqual({
      skill: 'ledger',
      version: '2.0.1',
      description: 'Keeps books.',
      tools: [{ name: 'ledger_add' }, { name: 'ledger_list' }],
      file_access: 'none',
      binary_access: 'none',
    })
    const manifest = new ManifestValidator().load({ name: file, value: imported.manifest })
    expect(bindCall(manifest, 'ledger_add', {}).ok).toBe(true)
    expect(bindCall(manifest, 'ledger_add', { to: 'x' })).toMatchObject({
      ok: false,
      denial: { code: 'arguments_invalid' },
    })
    expect(imported.todo.map(({ pointer, line }) => `${line} ${pointer}`)).toEqual([
      '17 /tools/0/input_schema',
      '18 /tools/1/input_schema',
      '11 /allowed_hosts',
    ])
  })

  test('tools listed with schemas', () => {
    const tools = [{ name: 'add', parameters: { type: 'object', properties: { n: { type: 'number' } } } }]
    expect(loaded(read({ ...PLUGIN, tools })).manifest['tools']).toEqual([
      { name: 'add', input_schema: { type: 'object', properties: { n: { type: 'number' } } } },
    ])
  })

  test('what it states of its servers: a URL, an absolute program, names of variables', () => {
    const mcpServers = {
      books: { url: 'https://MCP.ledger.example:443/v1?x=1', headers: { authorization: 'Bearer secret-value' } },
      port: { url: 'http://127.0.0.1:8931/mcp' },
      local: {
        command: '/opt/ledger//bin/server',
        args: ['--stdio'],
        env: { LEDGER_KEY: 'secret-value', LD_PRELOAD: '/x.so' },
      },
      byName: { command: 'npx', args: ['-y', 'ledger-mcp'] },
      wild: { command: '/opt/*/server' },
      odd: { url: 'https://good.example@evil.example/' },
    }
    const imported = loaded(read({ ...PLUGIN, mcpServers }))
    expect(imported.manifest).toMatchObject({
      allowed_hosts: ['https://mcp.ledger.example', 'http://127.0.0.1:8931'],
      binary_access: 'listed',
      allowed_binaries: ['/opt/ledger/bin/server'],
      allowed_env: ['LEDGER_KEY'],
    })
    expect(JSON.stringify(imported)).not.toContain('secret-value')
    expect(JSON.stringify(imported.manifest)).not.toContain('evil')
    const what = imported.todo.map((one) => one.what).join('\n')
    expect(what).toContain('write the absolute path of npx')
    expect(what).toContain('write the absolute path of /opt/*/server')
    expect(what).toContain('write the host of this server')
    expect(what).toContain('leave LD_PRELOAD out')
    expect(what).toContain('import tools/list of the MCP server books')
  })
})

describe('what is not taken', () => {
  test('defaults of options and credentials that may come from variables are suggestions', () => {
    const imported = loaded(
      read({
        ...PLUGIN,
        providerAuthEnvVars: { ledger: ['LEDGER_TOKEN', 'NODE_OPTIONS'] },
        setup: { providers: [{ id: 'ledger', envVars: ['LEDGER_API_KEY'] }] },
        skills: ['./skills'],
        providerEndpoints: [{ endpointClass: 'x', hosts: ['Api.X.example', '*', 7], hostSuffixes: ['x.example'] }, 7],
      }),
    )
    expect(imported.manifest).not.toHaveProperty('allowed_hosts')
    expect(imported.manifest).not.toHaveProperty('allowed_env')
    const suggested = imported.todo.flatMap(({ suggestion }) => (suggestion === undefined ? [] : [suggestion]))
    expect(suggested).toEqual(['LEDGER_TOKEN', 'LEDGER_API_KEY', 'https://api.ledger.example', 'api.x.example'])
  })

  test.each([
    ['comments', '{\n  // no JSON\n  "id": "x"\n}', '2:3 syntax_error'],
    ['a trailing comma', '{ "id": "x", }', '1:14 syntax_error'],
    ['a byte order mark', '\ufeff{ "id": "x" }', '1:1 syntax_error'],
    ['a key twice', '{ "id": "x", "id": "y" }', '1:14 duplicate_key'],
    ['__proto__', '{ "id": "x", "__proto__": {} }', '1:14 forbidden_key'],
    ['a list', '[]', '1:1 wrong_type'],
    ['no id', '{}', '1:1 missing_key'],
    ['an id that is no name', '{ "id": "@scope/x" }', '1:9 invalid_value'],
    ['a tool twice', '{ "id": "x", "contracts": { "tools": ["a", "a"] } }', '1:44 duplicate_name'],
    ['a tool that is a number', '{ "id": "x", "contracts": { "tools": [7] } }', '1:39 wrong_type'],
  ])('%s is refused at its place', (_, text, place) => {
    const imported = importOpenClawPlugin({ file, text })
    if (imported.ok) throw new Error('it was imported')
    expect(imported.problems.map(({ line, column, code }) => `${line}:${column} ${code}`)).toEqual([place])
  })

  test('odd shapes are passed over', () => {
    for (const odd of [7, 'x', [], {}, null, [[]], { a: 7 }]) {
      const plugin = {
        ...PLUGIN,
        mcpServers: odd,
        contracts: odd,
        setup: odd,
        skills: odd,
        providerAuthEnvVars: odd,
        configSchema: odd,
      }
      const imported = loaded(read(plugin))
      expect(Object.keys(imported.manifest)).toEqual([
        'skill',
        'version',
        'description',
        'file_access',
        'binary_access',
      ])
    }
  })

  test('another name, when one is given', () => {
    const text = JSON.stringify({ ...PLUGIN, id: '@scope/ledger' })
    expect(loaded(importOpenClawPlugin({ file, text }, { skill: 'ledger' })).manifest['skill']).toBe('ledger')
    expect(() => importOpenClawPlugin({ file, text }, { skill: '@scope/ledger' })).toThrow(TypeError)
  })
})
