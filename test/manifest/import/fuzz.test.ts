// Whatever the text is, an importer answers: a manifest that loads and grants nothing that is not written in the source, or
// problems with places.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { LIMITS } from '../../../src/core/limits.ts'
import type { Imported } from '../../../src/manifest/import/imported.ts'
import { importMcpTools } from '../../../src/manifest/import/mcp-tools.ts'
import { importOpenClawPlugin } from '../../../src/manifest/import/openclaw-plugin.ts'
import { importSkillMarkdown } from '../../../src/manifest/import/skill-markdown.ts'
import { ManifestValidator } from '../../../src/manifest/validator.ts'
import { fuzzRuns } from '../../support/fuzz.ts'

const variables = { TOKEN: 'operator-secret', HOME: 'operator-home' }

function holds(imported: Imported, text: string): void {
  if (!imported.ok) {
    expect(imported.problems.length).toBeGreaterThan(0)
    expect(imported.problems.length).toBeLessThanOrEqual(LIMITS.problems)
    for (const { line, column } of imported.problems) expect(Math.min(line, column)).toBeGreaterThan(0)
    return
  }
  const manifest = new ManifestValidator({ variables }).load({ name: 'x', value: imported.manifest })
  expect([
    ...manifest.readablePaths,
    ...manifest.writablePaths,
    ...manifest.executablePaths,
    ...manifest.processRights,
  ]).toEqual([])
  for (const name of [...manifest.tools.keys(), ...manifest.allowedEnv]) expect(text).toContain(name)
  for (const tool of manifest.tools.values()) expect([tool.resources, tool.effect]).toEqual([[], 'unsafe'])
  expect(JSON.stringify([...manifest.tools.values(), manifest.description])).not.toContain('operator-')
  for (const { line, column, what } of imported.todo) {
    expect(Math.min(line, column)).toBeGreaterThan(0)
    expect(what).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  }
}

const line = fc.oneof(
  fc.constantFrom(
    'name: a',
    'name: [x]',
    'name: "a b"',
    'description: x',
    'description: "${TOKEN}"',
    'description: |',
    '  text',
    'version: 1.0',
    'metadata: {"openclaw":{"requires":{"env":["A","LD_PRELOAD","B C"],"bins":["sh"]}}}',
    'metadata: \'{"openclaw": 7}\'',
    'metadata:',
    '  openclaw:',
    '    requires: { env: A }',
    '    primaryEnv: KEY',
    '---',
    '---x',
    '...',
    '- a',
    '{',
    '}',
    '#',
    '\u202e',
    '\r',
    '&a',
    '*a',
    '%TAG',
  ),
  fc.string({ maxLength: 20 }),
)
const ends = fc.constantFrom('\n', '\r\n')

describe('any text', () => {
  test('SKILL.md', () => {
    const text = fc
      .tuple(
        fc.constantFrom('', '\ufeff', ' '),
        fc.array(line, { maxLength: 12 }),
        fc.array(line, { maxLength: 3 }),
        ends,
      )
      .map(([mark, front, body, end]) => `${mark}${['---', ...front, '---', ...body].join(end)}`)
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ unit: 'binary', maxLength: 200 })), (source) => {
        holds(importSkillMarkdown({ file: 'SKILL.md', text: source }), source)
      }),
      { numRuns: fuzzRuns(400) },
    )
  })

  const word = fc.oneof(
    fc.constantFrom(
      'a',
      'tool_x',
      'A_KEY',
      'LD_PRELOAD',
      '${TOKEN}',
      '$${HOME}',
      'https://a.example/',
      'http://[::1]:1/',
      '/bin/sh',
      'a b',
      '__x',
      'constructor',
      '\u200b',
    ),
    fc.string({ maxLength: 10 }),
  )
  const json = fc.letrec<{ value: unknown; object: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      word,
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      tie('object'),
      fc.array(tie('value'), { maxLength: 4 }),
    ),
    object: fc.dictionary(
      fc.oneof(
        fc.constantFrom(
          'name',
          'title',
          'description',
          'inputSchema',
          'parameters',
          'annotations',
          'readOnlyHint',
          'type',
          'properties',
          'items',
          'required',
          'anyOf',
          'enum',
          'format',
          'pattern',
          '$ref',
          '$defs',
          'additionalProperties',
          'url',
          'path',
          'command',
          'env',
          'default',
        ),
        word.filter((key) => key !== '__proto__'),
      ),
      tie('value'),
      { maxKeys: 6, noNullPrototype: true },
    ),
  }))
  const schema = fc.record({
    type: fc.constantFrom('object', 'array', 7),
    properties: fc.dictionary(
      word.filter((key) => key !== '__proto__'),
      json.object,
      { noNullPrototype: true },
    ),
  })
  const tool = fc.oneof(
    json.value,
    fc.record({ name: word, description: word, inputSchema: fc.oneof(schema, json.object), annotations: json.object }),
  )

  test('tools/list', () => {
    fc.assert(
      fc.property(fc.oneof(json.value, fc.record({ tools: fc.array(tool, { maxLength: 5 }) })), (value) => {
        const text = JSON.stringify(value)
        holds(importMcpTools({ file: 'tools.json', text }, { skill: 'x' }), text)
      }),
      { numRuns: fuzzRuns(400) },
    )
  })

  test('openclaw.plugin.json', () => {
    const server = fc.record({ url: word, command: word, env: json.object })
    const plugin = fc.record({
      id: word,
      version: json.value,
      description: json.value,
      contracts: fc.oneof(json.value, fc.record({ tools: fc.array(tool, { maxLength: 3 }) })),
      mcpServers: fc.oneof(
        json.value,
        fc.dictionary(
          word.filter((key) => key !== '__proto__'),
          server,
          { noNullPrototype: true },
        ),
      ),
      configSchema: json.value,
      setup: json.value,
      skills: json.value,
    })
    fc.assert(
      fc.property(plugin, (value) => {
        const text = JSON.stringify(value)
        holds(importOpenClawPlugin({ file: 'openclaw.plugin.json', text }), text)
      }),
      { numRuns: fuzzRuns(300) },
    )
  })
})
