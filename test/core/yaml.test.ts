import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parse as parseNaively } from 'yaml'
import { parseDocument } from '../../src/core/document.ts'
import type { JsonValue } from '../../src/core/json.ts'
import { LIMITS } from '../../src/core/limits.ts'
import type { Problem } from '../../src/core/problem.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function problems(text: string): readonly Problem[] {
  const parsed = parseDocument({ file: 'a.yaml', text })
  return parsed.ok ? [] : parsed.problems
}

function value(text: string): JsonValue {
  const parsed = parseDocument({ file: 'a.yaml', text })
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return parsed.document.value
}

const brief = (text: string): string[] =>
  problems(text).map(({ code, line, column, pointer }) => `${line}:${column} ${code} ${pointer}`)

describe('what is read', () => {
  test.each([
    ['block', 'a: 1\nb:\n  - x\n  - y: true\n    z: ~\nc: [p, "q", {r: 1.5}]\n'],
    ['seed manifest', 'allowed_binaries: [/usr/bin/python3, /bin/bash]\nforbidden_syscalls: [execveat]\n'],
    ['sequence at the indent of its key', 'a:\n- 1\n- 2\n'],
    ['quotes and folding', "a: \"x\\ty\n  z\"\nb: 'it''s'\nc: plain\n  goes on\n"],
    ['block scalars', 'a: |\n  one\n  two\nb: >-\n  folded\n  text\n\n'],
    ['comments', '# head\na: 1 # tail\n\n# between\nb: "#no" # yes\n# end\n'],
    ['document start and end', '---\na: 1\n...\n'],
    ['numbers', '[0, -1, 0x1F, 0o17, 1e3, .5, 6., 1_000, 9007199254740991]'],
    ['words of YAML 1.1 stay strings', '[yes, no, on, off, y, n, 12:30:45, 1:20]'],
    ['null in all spellings', '[null, Null, NULL, ~, ]'],
    ['names of Object.prototype', 'constructor: 1\ntoString: 2\nhasOwnProperty: 3\n'],
    ['CRLF', 'a: 1\r\nb: |\r\n  x\r\n  y\r\n'],
    ['explicit key', '? a\n: 1\n'],
    ['pair in a list', '[a: 1, b]'],
    ['nothing after a key', 'a:\nb:\n'],
    ['one scalar', 'just text\n'],
  ])('%s: as the library reads it', (_, text) => {
    expect(value(text)).toStrictEqual(parseNaively(text))
  })

  test('a text with nothing in it is null', () => {
    expect(value('')).toBeNull()
    expect(value('# only a comment\n')).toBeNull()
    expect(value('---\n')).toBeNull()
  })

  test('JSON is YAML', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (input) => {
        const text = JSON.stringify(input, undefined, 1)
        const parsed = parseDocument({ file: 'a.yaml', text })
        const json = parseDocument({ file: 'a.json', text })
        // What the two refuse differs in one thing: YAML has bounds on keys and tokens. What they read does not.
        if (parsed.ok && json.ok) expect(parsed.document.value).toStrictEqual(JSON.parse(text))
      }),
      { numRuns: fuzzRuns(200) },
    )
  })

  test('places', () => {
    const text = 'rules:\n  - id: one\n    hosts: [a.example, b.example]\n  - id: two\n'
    const parsed = parseDocument({ file: 'a.yaml', text })
    if (!parsed.ok) throw new Error()
    const at = (pointer: string, on: 'key' | 'value' = 'value') => {
      const { line, column } = parsed.document.locate(pointer, on)
      return `${line}:${column}`
    }
    expect(at('/rules', 'key')).toBe('1:1')
    expect(at('/rules')).toBe('2:3')
    expect(at('/rules/0')).toBe('2:5')
    expect(at('/rules/0/id', 'key')).toBe('2:5')
    expect(at('/rules/0/id')).toBe('2:9')
    expect(at('/rules/0/hosts/1')).toBe('3:24')
    expect(at('/rules/1/id')).toBe('4:9')
    expect(at('/rules/1/nothing/below')).toBe('4:5')
    expect(at('/rules/9')).toBe('2:3')
  })
})

describe('what is refused', () => {
  test.each([
    ['anchor', 'a: &x 1\n', ['1:7 unsupported_syntax /a']],
    ['alias', 'a: &x [1]\nb: *x\n', ['1:7 unsupported_syntax /a', '2:4 unsupported_syntax /b']],
    ['anchor on a key', '&x a: 1\n', ['1:4 unsupported_syntax ']],
    ['tag', 'a: !!str 1\n', ['1:10 unsupported_syntax /a']],
    ['private tag', 'a: !secret x\n', ['1:12 unsupported_syntax /a']],
    ['non-specific tag', 'a: ! 12\n', ['1:6 unsupported_syntax /a']],
    ['tag on a map', '!!map\na: 1\n', ['2:1 unsupported_syntax ']],
    ['binary', 'a: !!binary aGk=\n', ['1:13 unsupported_syntax /a']],
    ['merge key', 'a: 1\n<<: {b: 2}\n', ['2:1 unsupported_syntax /<<']],
    ['second document', 'a: 1\n---\nb: 2\n', ['2:1 unsupported_syntax ']],
    ['second document after an end mark', 'a: 1\n...\nb: 2\n', ['3:1 unsupported_syntax ']],
    ['directive', '%YAML 1.1\n---\na: yes\n', ['1:1 unsupported_syntax ']],
    ['tag directive', '%TAG ! tag:evil,2000:\n---\na: 1\n', ['1:1 unsupported_syntax ']],
    ['number as key', 'a: {1: x}\n', ['1:5 unsupported_syntax /a']],
    ['boolean as key', 'true: x\n', ['1:1 unsupported_syntax ']],
    ['null as key', '? \n: x\n', ['1:3 unsupported_syntax ']],
    ['list as key', '? [a]\n: x\n', ['1:3 unsupported_syntax ']],
    ['duplicate key', 'a: 1\nb: 2\n"a": 3\n', ['3:1 duplicate_key /a']],
    ['duplicate key in flow', '{a: 1, a: 2}\n', ['1:8 duplicate_key /a']],
    ['__proto__', '__proto__: {x: 1}\n', ['1:1 forbidden_key /__proto__']],
    ['infinity', 'a: .inf\n', ['1:4 invalid_value /a']],
    ['not a number', 'a: [.nan, -.Inf]\n', ['1:5 invalid_value /a/0', '1:11 invalid_value /a/1']],
    ['number that becomes infinity', 'a: 1e999\n', ['1:4 invalid_value /a']],
    ['integer that would be rounded', 'a: 9007199254740993\n', ['1:4 invalid_value /a']],
    ['hexadecimal that would be rounded', 'a: 0xFFFFFFFFFFFFFFFF\n', ['1:4 invalid_value /a']],
    ['leading zero', 'mode: 0644\n', ['1:7 invalid_value /mode']],
    ['lone surrogate by escape', 'a: "\\ud800"\n', ['1:4 syntax_error /a']],
    ['lone surrogate in a key', '"\\udc00": 1\n', ['1:1 syntax_error ']],
    ['NUL', 'a: "x\0y"\n', ['1:6 syntax_error ']],
    ['lone carriage return', '# comment\ra: 1\n', ['1:10 syntax_error ']],
    ['bidi override', 'a: x # \u202e ylno daer\n', ['1:8 syntax_error ']],
    ['line separator', '# a\u2028b: 1\n', ['1:4 syntax_error ']],
    ['byte order mark', '\ufeffa: 1\n', ['1:1 syntax_error ']],
    ['tab as indent', 'a:\n\tb: 1\n', ['2:1 syntax_error ']],
    ['wrong indent', 'a:\n  b: 1\n c: 2\n', ['3:1 syntax_error ']],
    ['unclosed list', 'a: [1, 2\n', ['2:1 syntax_error ']],
    ['unclosed quote', 'a: "x\n', ['2:1 syntax_error ']],
    ['escaped quote in place of the closing one', 'a: "x\\"', ['1:4 syntax_error /a']],
    ['doubled quote in place of the closing one', "a: 'x''", ['1:4 syntax_error /a']],
    ['the same in a key', "'x''", ['1:1 syntax_error ']],
    [
      'two things wrong at once',
      'a: 1\na: 2\nb: *x\nc: {__proto__: 1}\n',
      ['2:1 duplicate_key /a', '3:4 unsupported_syntax /b', '4:5 forbidden_key /c/__proto__'],
    ],
  ])('%s', (_, text, expected) => {
    expect(brief(text)).toEqual(expected)
  })

  test('control: the library alone lets most of it through', () => {
    expect(parseNaively('a: &x [1]\nb: *x\n')).toEqual({ a: [1], b: [1] })
    expect(parseNaively('%YAML 1.1\n---\na: yes\n')).toEqual({ a: true })
    expect(parseNaively('1: x\n')).toEqual({ 1: 'x' })
    expect(parseNaively('a: 9007199254740993\n')).toEqual({ a: 9007199254740992 })
    expect(Object.keys(parseNaively('__proto__: {x: 1}\n') as object)).toEqual(['__proto__'])
    expect(parseNaively('a: "x\\"')).toEqual({ a: 'x"' })
    expect(parseNaively('# read_only: true\u2028forbid: all\na: 1\n')).toEqual({ a: 1 })
  })

  test('a message cannot write to a terminal', () => {
    for (const text of ['"\\e[2J": 1\n"\\e[2J": 2\n', 'a: "\\e[31m\\q"\n', '{"a\u009b": ']) {
      for (const problem of problems(text)) {
        expect(JSON.stringify([problem.message, problem.hint])).not.toMatch(/[\x00-\x1f\x7f-\x9f]/)
        expect(problem.frame ?? '').not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/)
      }
    }
  })
})

describe('bounded time and memory', () => {
  const deep = 10_000
  test.each([
    ['flow lists', '['.repeat(deep), 'too_deep'],
    ['closed flow lists', '['.repeat(deep) + ']'.repeat(deep), 'too_deep'],
    ['flow maps', '{a: '.repeat(deep), 'too_deep'],
    ['pairs in lists', '[a: '.repeat(deep), 'too_deep'],
    ['lists on one line', '- '.repeat(deep), 'too_deep'],
    ['explicit keys', '? '.repeat(deep), 'too_deep'],
    ['indented maps', Array.from({ length: 1_000 }, (_, depth) => `${' '.repeat(depth)}k:\n`).join(''), 'too_deep'],
    ['one level too deep', '['.repeat(LIMITS.depth + 1) + ']'.repeat(LIMITS.depth + 1), 'too_deep'],
    [
      'alias bomb',
      `a: &a [x]\n${'bcdefghij'.replace(/./g, (c) => `${c}: &${c} [${`*${String.fromCharCode(c.charCodeAt(0) - 1)},`.repeat(9)}]\n`)}`,
      'unsupported_syntax',
    ],
    ['commas', `[${','.repeat(300_000)}`, 'syntax_error'],
    ['a million errors', '@\n'.repeat(200_000), 'syntax_error'],
    ['unclosed quotes', `"${'\\"'.repeat(200_000)}`, 'syntax_error'],
    ['colons', ':'.repeat(200_000), undefined],
    ['colons and spaces', ': '.repeat(50_000), undefined],
    ['blank lines', `a:${'\n'.repeat(100_000)}  b`, undefined],
    ['comments', `a: 1\n${'  # x\n'.repeat(50_000)}`, undefined],
    ['blank lines and comments', `a:\n${'\n\n\n  # x\n'.repeat(20_000)}`, undefined],
    ['spaces', `a:${' '.repeat(500_000)}b`, undefined],
    ['too many tokens', `[${'1,'.repeat(LIMITS.yamlTokens / 3)}1]`, 'too_large'],
    ['too long', `a: ${'x'.repeat(LIMITS.documentLength)}`, 'too_large'],
  ])('%s', (_, text, code) => {
    const start = performance.now()
    const found = problems(text)
    expect(performance.now() - start).toBeLessThan(8_000)
    expect(found.length).toBeLessThanOrEqual(LIMITS.problems)
    if (code !== undefined) expect(found[0]?.code).toBe(code)
  })

  test('as deep as allowed', () => {
    expect(value('['.repeat(LIMITS.depth) + ']'.repeat(LIMITS.depth))).toBeInstanceOf(Array)
    expect(value(Array.from({ length: LIMITS.depth }, (_, depth) => `${' '.repeat(depth)}k:\n`).join(''))).toBeTypeOf(
      'object',
    )
  })

  test('a string of a megabyte is read, one of ten is refused', () => {
    expect(value(`a: "${'x'.repeat(1_000_000)}"`)).toHaveProperty('a')
    expect(brief(`a: "${'x'.repeat(10_000_000)}"`)).toEqual(['1:4 too_large '])
  })
})

test('noise never throws, and what is read is what the library reads', () => {
  const pieces = fc.constantFrom(
    ...':-?[]{},#&*!|>\'"%@`~ \t\n',
    ...[
      '  ',
      '\n  ',
      '\n- ',
      ': ',
      'a',
      '/b',
      'b: ',
      '<<',
      '---\n',
      '...\n',
      '&x ',
      '*x',
      '!!str ',
      '0o7',
      '.inf',
      'null',
      'é',
      '\\',
      '\r\n',
      '"a"',
      "'b'",
      '1',
      '# c',
      '|\n',
      '\u0085',
      '__proto__',
    ],
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
      const text = parts.join('')
      const parsed = parseDocument({ file: 'a.yaml', text })
      if (parsed.ok) expect(parsed.document.value).toStrictEqual(parseNaively(text, { logLevel: 'silent' }))
      else expect(parsed.problems.length).toBeGreaterThan(0)
    }),
    { numRuns: fuzzRuns(1_000) },
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      parseDocument({ file: 'a.yaml', text })
    }),
    { numRuns: fuzzRuns(500) },
  )
})
