import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isWellFormed } from '../../src/core/wellformed.ts'
import { readYamlWithLibrary } from '../../src/core/yaml.ts'
import { readYamlBlock } from '../../src/core/yaml-block.ts'
import { fuzzRuns } from '../support/fuzz.ts'

/** Whether the short cut reads `text`; when it does, value and places must be those of the library. */
function agrees(text: string): boolean {
  // Texts that are not Unicode never get to a reader.
  if (!isWellFormed(text)) return false
  const direct = readYamlBlock(text)
  if (direct === undefined) return false
  expect(direct, text).toStrictEqual(readYamlWithLibrary(text))
  return true
}

describe('is read directly, as the library reads it', () => {
  test.each([
    'a: 1\n',
    'a: 1',
    '---\na: 1\n',
    '# head\n---  \n\n# more\na: b # c\n  # odd\n',
    'a:\n- 1\n- 2\nb:\n  - x\n\n  - y\n',
    'a:\n  - id: one\n    list:\n    - x\n    - y\n  -   id: two\n      list: []\n',
    '-\n  a: 1\n-\n  - 2\n',
    '- a:\n  - b\n- c\n',
    '  a: 1\n  b:\n      c: 2\n',
    'a: [x, "y, z", \'w\', [1, {b: c, "d": [ ]}], { }]\nb: {}\n',
    'a: [api.example.com:443, https://x.y/z?q=1#f, 10.0.0.0/8, 127.0.0.1]\n',
    'a: "x # y: z" # comment\nb: \'it is\'   \nc: plain "with" \'quotes\' [and] {more} & * !\n',
    'n: [0, -1, +2, 1.5, 1e3, -2.5E-3, .5, 6., 9007199254740991]\n',
    's: [1_000, 12:30, 2024-01-01, 1.2.3, v1, 5m, yes, no, on, off, nullable, truely, -x, -.a, 1a, 0b1]\n',
    'w: [null, true, false]\nx: null\ny: true # z\n',
    'constructor: 1\ntoString: {valueOf: 2}\n"": x\n"quoted key": y\n\'k\': z\na.b/c-d_e: w\n',
    'a: http://x:80/y\nb: c#d\nc: e:f\nd: /srv/**\ne: $HOME/x\nf: (x)\ng: a,b]\n',
    'b: значение 😀 # комментарий\n',
  ])('%j', (text) => {
    expect(agrees(text)).toBe(true)
  })
})

describe('is left to the library', () => {
  test.each([
    '',
    '# x\n',
    'text\n',
    '"text"\n',
    '[1]\n',
    '{a: 1}\n',
    'a:\n',
    'a:\nb: 1\n',
    '-\n',
    '- \n- x\n',
    '- - x\n',
    '- ? x\n',
    '? a\n: b\n',
    'a: 1\na: 2\n',
    '__proto__: 1\n',
    '<<: {}\n',
    '1: x\n',
    'true: x\n',
    'NULL: x\n',
    '{}: x\n',
    'a : 1\n',
    '"a" : 1\n',
    '"a":1\n',
    'a:1\n',
    'a: &x 1\n',
    'a: *x\n',
    'a: !t x\n',
    'a: |\n  x\n',
    'a: >\n  x\n',
    'a: x\n  y\n',
    'a: "x\n  y"\n',
    'a: [1,\n  2]\n',
    'a: "\\n"\n',
    "a: 'it''s'\n",
    'a: b: c\n',
    'a: b:\n',
    'a: [b: c]\n',
    'a: [b:]\n',
    'a: {b}\n',
    'a: {b: }\n',
    'a: {b: 1, b: 2}\n',
    'a: {"b":1}\n',
    'a: [1, ]\n',
    'a: [,]\n',
    'a: [1 # x\n]\n',
    'a: - b\n',
    'a: -\n',
    'a: @x\n',
    'a: `x\n',
    'a: %x\n',
    'a: ,x\n',
    'a: ]\n',
    'a: # x\n',
    'a: "x" y\n',
    'a: "x"#y\n',
    'a: [1]x\n',
    'a: [1]#x\n',
    'a: ~\n',
    'a: True\n',
    'a: .inf\n',
    'a: 0x1F\n',
    'a: 0644\n',
    'a: 00.5\n',
    'a: 1e999\n',
    'a: 9007199254740993\n',
    'a: 1\n b: 2\n',
    ' a: 1\nb: 2\n',
    'a:\n    b: 1\n  c: 2\n',
    'a: 1\n  # x\n  b: 2\n',
    '- a: 1\n   b: 2\n',
    '- a: 1\n b: 2\n',
    'a: 1\n- b\n',
    '- a\nb: 1\n',
    'a:\n  b\n',
    'a:\n  [b]\n',
    'a: 1\n---\nb: 2\n',
    'a: 1\n...\n',
    '--- a\n',
    '---a: 1\n',
    '...\n',
    '--- # x\na: 1\n',
    '---\n---\na: 1\n',
    '%YAML 1.2\n---\na: 1\n',
    'a: 1\r\n',
    'a:\t1\n',
    '@: 1\n',
    'é: 1\n',
    `${'k'.repeat(1100)}: 1\n`,
    `a: ${'['.repeat(70)}${']'.repeat(70)}\n`,
    'a: [[]\n',
    'a: {b: {}\n',
  ])('%j', (text) => {
    expect(readYamlBlock(text)).toBeUndefined()
  })
})

const easy = fc.constantFrom(
  'permit',
  'a.example',
  '/srv/data/**',
  'two words',
  'web_search',
  'v1.2',
  '10.0.0.0/8',
  'https://x.example/y',
)
const easyNames = fc.constantFrom('id', 'hosts', 'tools', 'read_only', 'reason', 'a.b')
const hard = fc.constantFrom(
  'permit',
  'a.example:443',
  '/srv/**',
  'x y',
  "it's",
  'a #b',
  'c: d',
  '',
  'null',
  'True',
  '10.0.0.1',
  '-',
  '*',
  '[x]',
  'é😀',
  '# no',
  'k:',
)
const hardNames = fc.constantFrom('id', 'hosts', 'a.b', 'read_only', 'x y', 'no', 'Null', '1a', 'k#', '', 'toString')
type Value = null | boolean | number | string | Value[] | { [key: string]: Value }
const values = (words: fc.Arbitrary<string>, names: fc.Arbitrary<string>): fc.Arbitrary<Value> =>
  fc.letrec<{ value: Value }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      words,
      words,
      fc.constantFrom(null, true, false),
      fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(names, tie('value'), { maxKeys: 4 }),
    ),
  })).value
const value = fc.oneof(
  { weight: 3, arbitrary: fc.dictionary(easyNames, values(easy, easyNames), { minKeys: 1, maxKeys: 5 }) },
  { weight: 2, arbitrary: fc.array(values(easy, easyNames), { minLength: 1, maxLength: 4 }) },
  { weight: 1, arbitrary: values(hard, fc.oneof(easyNames, hardNames)) },
)

/** YAML in the styles people write, chosen by `choose`. Not always right: rightness is the library's to say. */
function render(input: Value, indent: number, choose: (n: number) => number): string {
  const pad = ' '.repeat(indent)
  const comment = choose(8) === 0 ? ' # note' : ''
  if (Array.isArray(input) && input.length > 0 && choose(3) > 0) {
    return `${comment}\n${input.map((item) => `${pad}-${' '.repeat(1 + choose(2))}${member(item, indent + 2 + choose(2), choose)}`).join('')}`
  }
  if (
    typeof input === 'object' &&
    input !== null &&
    !Array.isArray(input) &&
    Object.keys(input).length > 0 &&
    choose(4) > 0
  ) {
    return `${comment}\n${Object.entries(input)
      .map(([key, item]) => `${pad}${quote(key, choose)}:${gap(render(item, indent + choose(4), choose))}`)
      .join('')}`
  }
  return `${flow(input, choose)}${comment}\n${choose(10) === 0 ? '\n' : ''}${choose(10) === 0 ? `${' '.repeat(choose(6))}# note\n` : ''}`
}

const gap = (text: string): string => (text.startsWith('\n') || text.startsWith(' #') ? text : ` ${text}`)

function member(input: Value, indent: number, choose: (n: number) => number): string {
  if (typeof input === 'object' && input !== null && !Array.isArray(input) && Object.keys(input).length > 0) {
    return render(input, indent, choose).replace(/^(?: # note)?\n */, '')
  }
  return render(input, indent, choose).trimStart()
}

function quote(text: string, choose: (n: number) => number): string {
  const style = choose(4)
  return style === 0 ? JSON.stringify(text) : style === 1 ? `'${text.replaceAll("'", "''")}'` : text
}

function flow(input: Value, choose: (n: number) => number): string {
  if (typeof input === 'string') return quote(input, choose)
  if (input === null || typeof input !== 'object') return String(input)
  if (Array.isArray(input)) return `[${input.map((item) => flow(item, choose)).join(choose(3) === 0 ? ' , ' : ', ')}]`
  return `{${Object.entries(input)
    .map(([key, item]) => `${quote(key, choose)}: ${flow(item, choose)}`)
    .join(', ')}}`
}

const rendered = fc.tuple(value, fc.infiniteStream(fc.nat(1_000))).map(([input, stream]) => {
  const choose = (n: number): number => Number(stream.next().value) % n
  return render(input, 0, choose).replace(/^\n/, '')
})

describe('differential', () => {
  test('texts as people write them', () => {
    let direct = 0
    let all = 0
    fc.assert(
      fc.property(rendered, (text) => {
        all++
        if (agrees(text)) direct++
      }),
      { numRuns: fuzzRuns(1_000) },
    )
    // The comparison means nothing if the short cut is never taken.
    expect(direct / all).toBeGreaterThan(0.2)
  })

  test('the same with a few characters changed', () => {
    const edit = fc.tuple(
      fc.nat(),
      fc.nat(2),
      fc.constantFrom(
        ...' \n:-#[]{},"\'?|>&*!%@`~.0a',
        '  ',
        '\n ',
        '\n  ',
        ': ',
        '- ',
        ' #',
        '\n- ',
        '---\n',
        '...',
        'null',
        '<<: ',
        '1e5',
        '0x',
        '😀',
      ),
    )
    fc.assert(
      fc.property(rendered, fc.array(edit, { minLength: 1, maxLength: 3 }), (text, edits) => {
        let changed = text
        for (const [at, drop, piece] of edits) {
          const index = at % (changed.length + 1)
          changed = changed.slice(0, index) + piece + changed.slice(index + drop)
        }
        agrees(changed)
      }),
      { numRuns: fuzzRuns(1_500) },
    )
  })

  test('pieces put together at random', () => {
    const piece = fc.constantFrom(
      'a',
      'b: ',
      'c:',
      '- ',
      '-',
      ' ',
      '  ',
      '\n',
      '\n',
      '\n  ',
      '\n- ',
      '#',
      ' # x',
      '"q"',
      "'s'",
      '[',
      ']',
      '{',
      '}',
      ',',
      ': ',
      '1',
      '-1',
      '.5',
      'e3',
      '~',
      'true',
      'é',
      '.',
      '/',
      '---',
      '...',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (parts) => {
        agrees(parts.join(''))
      }),
      { numRuns: fuzzRuns(3_000) },
    )
  })

  test('scalars', () => {
    const scalar = fc
      .array(fc.constantFrom(...'0123456789.+-eExXoO_abfinIN~tTrRuUlL /:#'), { minLength: 1, maxLength: 6 })
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(scalar, (text) => {
        agrees(`a: ${text}\n`)
        agrees(`- [${text}]\n`)
        agrees(`${text}: x\n`)
      }),
      { numRuns: fuzzRuns(2_000) },
    )
  })
})
