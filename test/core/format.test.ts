// One layout for each document, and never another document: what a policy means, says in comments and is signed as stays.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { canonicalJson } from '../../src/core/canonical.ts'
import { type DocumentFormat, parseDocument, type SourceDocument } from '../../src/core/document.ts'
import { formatDocument } from '../../src/core/format.ts'
import { graphJsonSchema } from '../../src/halt/schema.ts'
import { manifestJsonSchema } from '../../src/manifest/schema.ts'
import { policyJsonSchema } from '../../src/policy/schema.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function read(text: string, format: DocumentFormat): SourceDocument {
  const parsed = parseDocument({ file: `x.${format}`, text })
  if (!parsed.ok) throw new Error(`${parsed.problems[0]?.message}\n${text}`)
  return parsed.document
}

function layOut(text: string, schema?: Record<string, unknown>, format: DocumentFormat = 'yaml'): string {
  const formatted = formatDocument(read(text, format), schema)
  if (!formatted.ok) throw new Error(`${formatted.reason}\n${text}`)
  return formatted.text
}

const POLICY = policyJsonSchema()

describe('the layout', () => {
  test('a policy', () => {
    const text = `# who may read
rules:
    # the shop
    -   effect:   permit     # a grant
        # pages only
        id: "read-the-shop"
        hosts: [ "shop.example.com",'*.cdn.example.com',  "a b" ]
        nodes:
        - 'fetch'
        tools:  ["http_get" ,http_head]

        args: {/method: {optional: true, one_of: ["GET","HEAD"]}}
        reason:   "it's public"
        # end of the rule


    - {effect: forbid, id: never, roles: ["*"], tools: ["*"], hosts: ["**.admin.example.com", "**.internal.example.com", "**.intranet.example.com"]}

version: 1 # the first
name:   shop
`
    const expected = `version: 1 # the first
name: shop
# who may read
rules:
  # the shop
  # pages only
  - id: read-the-shop
    effect: permit # a grant
    nodes:
      - fetch
    tools: [http_get, http_head]
    hosts: [shop.example.com, "*.cdn.example.com", a b]

    args: { /method: { one_of: [GET, HEAD], optional: true } }
    reason: "it's public"
    # end of the rule

  - id: never
    effect: forbid
    roles: ["*"]
    tools: ["*"]
    hosts: ["**.admin.example.com", "**.internal.example.com", "**.intranet.example.com"]
`
    expect(layOut(text, POLICY)).toBe(expected)
    expect(layOut(expected, POLICY)).toBe(expected)
  })

  test.each([
    ['"yes"', '"yes"'],
    ["'no'", '"no"'],
    ['"true"', '"true"'],
    ['"null"', '"null"'],
    ['"~"', '"~"'],
    ['"12"', '"12"'],
    ['"1e3"', '"1e3"'],
    ['"08:00"', '"08:00"'],
    ["'08:00'", '"08:00"'],
    ['"2026-01-05"', '"2026-01-05"'],
    ['"192.0.2.0/24"', '"192.0.2.0/24"'],
    ['"=x"', '"=x"'],
    ['""', '""'],
    ['"*"', '"*"'],
    ['"!x"', '"!x"'],
    ['"&x"', '"&x"'],
    ['"- x"', '"- x"'],
    ['"a: b"', '"a: b"'],
    ['"a #b"', '"a #b"'],
    ['" a"', '" a"'],
    ['"a "', '"a "'],
    ['"a  b"', '"a  b"'],
    ['"a:"', '"a:"'],
    ['"${workspace}/x"', '"${workspace}/x"'],
    [`'say "x"'`, `'say "x"'`],
    ["'a\\b'", "'a\\b'"],
    [`"it's \\"x\\""`, `'it''s "x"'`],
    ['"a\\nb"', '"a\\nb"'],
    ['"\\u202e"', '"\\u202e"'],
    ['"\\u00a0"', '"\u00a0"'],
    ['"grün"', '"grün"'],
    ['"a"', 'a'],
    ["'a'", 'a'],
    ['"http_get"', 'http_get'],
    ['"mcp__*"', 'mcp__*'],
    ['"/srv/**"', '/srv/**'],
    ['"a b"', 'a b'],
    ['0x1F', '0x1f'],
    ['1.50', '1.50'],
    ['1e3', '1e+3'],
    ['~', '~'],
    ['NULL', 'NULL'],
    ['True', 'True'],
  ])('%s becomes %s', (text, expected) => {
    expect(layOut(`a: ${text}\nb: [${text}]\n`)).toBe(`a: ${expected}\nb: [${expected}]\n`)
  })

  test('a colon needs quotes inside of brackets, where older readers stumble over it', () => {
    const text = 'a: "https://example.com:8443"\nb: ["https://example.com"]\nc: { "x:y": 1 }\n'
    expect(layOut(text)).toBe('a: https://example.com:8443\nb: ["https://example.com"]\nc: { "x:y": 1 }\n')
    expect(layOut('b: [https://example.com]\n')).toBe('b: [https://example.com]\n')
  })

  test('texts of several lines keep their kind', () => {
    const text = 'a: |\n  one\n   two\n\n  three\nb: >-\n  one\n  two\nc: |+\n  x\n\nd: 1\n'
    expect(layOut(text)).toBe('a: |\n  one\n   two\n\n  three\nb: >-\n  one two\nc: |+\n  x\n\nd: 1\n')
  })

  test('comments inside of brackets take the brackets away', () => {
    expect(layOut('hosts: [\n  # first\n  a.test, # a\n  b.test\n] # c\nx: { a: [1, # b\n 2] }\n')).toBe(
      'hosts:\n  # first\n  - a.test # a\n  - b.test\n  # c\nx:\n  a:\n    - 1 # b\n    - 2\n',
    )
  })

  test.each(['', '# nothing\n', 'null\n', '---\n'])('nothing to lay out: %j', (text) => {
    const parsed = parseDocument({ file: 'x.yaml', text })
    if (parsed.ok) expect(formatDocument(parsed.document)).toEqual({ ok: true, text })
  })

  test('a line break is a line feed', () => {
    expect(layOut('a: 1 # x\r\n# y\r\nb:\r\n- 2\r\n')).toBe('a: 1 # x\n# y\nb:\n  - 2\n')
  })

  test('what a schema leaves free stays in its order', () => {
    const manifest = 'tools:\n  - input_schema: { type: object, properties: { z: {}, a: {} } }\n    name: t\nskill: s\n'
    expect(layOut(manifest, manifestJsonSchema())).toBe(
      'skill: s\ntools:\n  - name: t\n    input_schema: { type: object, properties: { z: {}, a: {} } }\n',
    )
  })

  test('the keys of a union and of named members', () => {
    const manifest = 'skill: s\ntools: [{ name: t, resources: [{ access: read, kind: path, from: /p }] }]\n'
    expect(layOut(manifest, manifestJsonSchema())).toContain('{ from: /p, kind: path, access: read }')
    expect(layOut('nodes: { b: { after: [a], skill: s }, a: { skill: s } }\n', graphJsonSchema())).toBe(
      'nodes: { b: { skill: s, after: [a] }, a: { skill: s } }\n',
    )
  })

  test('JSON', () => {
    const text = '{"rules":[],"version":1,"name":"a\\u202eb"}'
    const expected = '{\n  "version": 1,\n  "name": "a\\u202eb",\n  "rules": []\n}\n'
    expect(layOut(text, POLICY, 'json')).toBe(expected)
  })

  test('TOML is refused', () => {
    expect(formatDocument(read('version = 1\n', 'toml'), POLICY)).toMatchObject({ ok: false })
  })
})

test('of several blank lines one stays, none before the first', () => {
  expect(layOut('\n\n# a\n\n\n# b\nx:\n\n\n  - 1\n\n\n\n  - 2\n  # c\n\n\ny: 1\n\n\n# d\n\n')).toBe(
    '# a\n\n# b\nx:\n  - 1\n\n  - 2\n  # c\n\ny: 1\n\n# d\n',
  )
})

describe('what may not change', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
  const blocks = pages.flatMap((page) =>
    [...readFileSync(join(root, 'docs', page), 'utf8').matchAll(/^```(yaml|json) (\w+).*\n([^]*?)^```$/gm)].map(
      ([, format, kind, text]) => [`${page} ${kind}`, format as DocumentFormat, kind ?? '', text ?? ''] as const,
    ),
  )
  const schemas: Readonly<Record<string, Record<string, unknown>>> = {
    policy: POLICY,
    manifest: manifestJsonSchema(),
    graph: graphJsonSchema(),
  }

  test.each(blocks.filter(([, , kind]) => kind !== 'record'))('%s', (_, format, kind, text) => {
    const formatted = layOut(text, schemas[kind], format)
    expect(canonicalJson(read(formatted, format).value)).toBe(canonicalJson(read(text, format).value))
    expect(layOut(formatted, schemas[kind], format)).toBe(formatted)
    expect(commentsOf(formatted)).toEqual(commentsOf(text))
  })

  // Keys of the schema in any order beside others, texts of every kind.
  const key = fc.oneof(
    fc.constantFrom(
      'version',
      'name',
      'rules',
      'id',
      'effect',
      'tools',
      'hosts',
      'args',
      'equals',
      '/a',
      'x y',
      '1',
      '#',
      '- a',
    ),
    fc.string({ maxLength: 6 }).filter((text) => text !== '__proto__' && text !== '<<'),
  )
  const text = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.string({ unit: fc.constantFrom(...' \n:#-,[]{}\'"|>*&!?%@~\\ab1.0eyn_=\t/'), maxLength: 10 }),
    fc.constantFrom(
      'yes',
      'no',
      '0x1',
      '1_000',
      '08:00',
      'a\n',
      '\na',
      'a\n\nb',
      ' a\n b',
      'x'.repeat(150),
      'word '.repeat(40),
      '\u202e',
      '\u2028',
      '\x7f',
      '#a',
      '---',
      '...',
    ),
    fc.string({ unit: 'grapheme', maxLength: 6 }),
  )
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
      fc.boolean(),
      fc.constant(null),
      tie('list'),
      tie('map'),
    ),
    list: fc.array(tie('value'), { maxLength: 4 }),
    map: fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  })).map
  const options = fc.record({
    indent: fc.constantFrom(2, 4, 1),
    collectionStyle: fc.constantFrom('any' as const, 'block' as const, 'flow' as const),
    defaultStringType: fc.constantFrom(
      'PLAIN' as const,
      'QUOTE_DOUBLE' as const,
      'QUOTE_SINGLE' as const,
      'BLOCK_FOLDED' as const,
      'BLOCK_LITERAL' as const,
    ),
    defaultKeyType: fc.constantFrom('PLAIN' as const, 'QUOTE_DOUBLE' as const, 'QUOTE_SINGLE' as const),
    indentSeq: fc.boolean(),
    lineWidth: fc.constantFrom(0, 20, 80),
  })

  test('any YAML: the value stays, the layout is stable; or it is refused', () => {
    let accepted = 0
    let readable = 0
    const nested = fc.record({ version: fc.constant(1), rules: fc.array(value, { maxLength: 3 }), x: value })
    fc.assert(
      fc.property(fc.oneof(value, nested), options, (data, style) => {
        const written = stringify(data, style)
        const parsed = parseDocument({ file: 'x.yaml', text: written })
        if (!parsed.ok) return
        readable++
        const formatted = formatDocument(parsed.document, POLICY)
        if (!formatted.ok) return
        accepted++
        expect(canonicalJson(read(formatted.text, 'yaml').value)).toBe(canonicalJson(parsed.document.value))
        expect(layOut(formatted.text, POLICY)).toBe(formatted.text)
      }),
      { numRuns: fuzzRuns(300) },
    )
    // Refusing is for the odd text.
    expect(accepted / readable).toBeGreaterThan(0.97)
  })

  test('comments and blank lines anywhere between lines: all stay, the layout is stable', () => {
    const lines = `version: 1
name: x
roles:
  reader:
    nodes: [a, b]
  writer: { asserted: true }
rules:
  - effect: permit
    id: one
    tools:
      - t
      - u
    args:
      /a: { max: 1, min: 0 }
      /b:
        glob: "x*"
  - id: two
    roles: ["*"]
    effect: forbid
    reason: >
      folded
      text
    tools: ["*"]
    hosts: [
      a.example.com,
      b.example.com
    ]
description: |
  literal
`.split('\n')
    let accepted = 0
    const spot = fc.record({
      line: fc.nat({ max: lines.length - 1 }),
      indent: fc.constantFrom(0, 2, 4, 6),
      what: fc.constantFrom('above', 'behind', 'blank'),
    })
    const runs = fuzzRuns(200)
    fc.assert(
      fc.property(fc.array(spot, { maxLength: 6 }), (spots) => {
        const out = [...lines]
        spots.forEach(({ line, indent, what }, index) => {
          const old = out[line] ?? ''
          // Inside of a text of several lines there are no comments.
          if (/^ {2}literal|^ {6}(?:folded|text)|[|>]$/.test(old.split('\n').at(-1) ?? '')) return
          if (what === 'above') out[line] = `${' '.repeat(indent)}# c${index}\n${old}`
          else if (what === 'blank') out[line] = `\n${old}`
          else if (old !== '' && !old.includes('#')) out[line] = `${old} # c${index}`
        })
        const written = out.join('\n')
        const parsed = parseDocument({ file: 'x.yaml', text: written })
        if (!parsed.ok) return
        const formatted = formatDocument(parsed.document, POLICY)
        if (!formatted.ok) return
        accepted++
        expect(canonicalJson(read(formatted.text, 'yaml').value)).toBe(canonicalJson(parsed.document.value))
        expect(commentsOf(formatted.text)).toEqual(commentsOf(written))
        expect(layOut(formatted.text, POLICY)).toBe(formatted.text)
      }),
      { numRuns: runs },
    )
    expect(accepted / runs).toBeGreaterThan(0.9)
  })

  test('any JSON', () => {
    fc.assert(
      fc.property(value, (data) => {
        const written = JSON.stringify(data)
        const parsed = parseDocument({ file: 'x.json', text: written })
        if (!parsed.ok) return
        const formatted = layOut(written, POLICY, 'json')
        expect(canonicalJson(read(formatted, 'json').value)).toBe(canonicalJson(parsed.document.value))
        expect(layOut(formatted, POLICY, 'json')).toBe(formatted)
      }),
      { numRuns: fuzzRuns(150) },
    )
  })
})

/** Simple on purpose: for texts that have # in comments alone. */
function commentsOf(text: string): readonly string[] {
  return [...text.matchAll(/#.*$/gm)].map(([comment]) => comment).sort()
}
