import fc from 'fast-check'
import { getStaticTOMLValue, parseTOML } from 'toml-eslint-parser'
import { describe, expect, test } from 'vitest'
import { parseDocument } from '../../src/core/document.ts'
import type { JsonValue } from '../../src/core/json.ts'
import { LIMITS } from '../../src/core/limits.ts'
import type { Problem } from '../../src/core/problem.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function problems(text: string): readonly Problem[] {
  const parsed = parseDocument({ file: 'claw.toml', text })
  return parsed.ok ? [] : parsed.problems
}

function value(text: string): JsonValue {
  const parsed = parseDocument({ file: 'claw.toml', text })
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return parsed.document.value
}

const naive = (text: string): unknown => getStaticTOMLValue(parseTOML(text, { tomlVersion: '1.0' }))
const brief = (text: string): string[] =>
  problems(text).map(({ code, line, column, pointer }) => `${line}:${column} ${code} ${pointer}`)

describe('what is read', () => {
  test.each([
    ['nothing', '# nothing\n', {}],
    [
      'scalars',
      'a = 1\nb = "x\\ty"\nc = true\nd = 1.5\ne = \'raw\\\'\nf = 0x1F\ng = 1_000\n',
      { a: 1, b: 'x\ty', c: true, d: 1.5, e: 'raw\\', f: 31, g: 1000 },
    ],
    ['tables', '[a]\nx = 1\n[a.b]\ny = 2\n', { a: { x: 1, b: { y: 2 } } }],
    ['tables out of order', '[a.b]\ny = 2\n[a]\nx = 1\n', { a: { b: { y: 2 }, x: 1 } }],
    [
      'lists of tables',
      '[[t]]\nn = 1\n[[t]]\nn = 2\n[t.sub]\nz = 1\n[[t.list]]\nq = 1\n',
      { t: [{ n: 1 }, { n: 2, sub: { z: 1 }, list: [{ q: 1 }] }] },
    ],
    ['dotted keys', 'a.b.c = 1\na.b.d = 2\n"x.y".z = 3\n', { a: { b: { c: 1, d: 2 } }, 'x.y': { z: 3 } }],
    ['inline tables', 'a = { b = 1, c.d = [ { e = 2 }, {} ] }\n', { a: { b: 1, c: { d: [{ e: 2 }, {}] } } }],
    ['lists over lines', 'a = [\n  1, # one\n  [ "x", """y""", \'\'\'z\'\'\' ],\n]\n', { a: [1, ['x', 'y', 'z']] }],
    ['quotes in long strings', 'a = \'\'\'a\'\'b\'\'\'\'\'\nb = """""x"""""\n', { a: "a''b''", b: '""x""' }],
    [
      'names of Object.prototype',
      'constructor = 1\ntoString.valueOf = 2\n',
      { constructor: 1, toString: { valueOf: 2 } },
    ],
    ['CRLF', 'a = 1\r\nb = """x\r\ny"""\r\n', { a: 1, b: 'x\ny' }],
  ])('%s', (_, text, expected) => {
    expect(value(text)).toStrictEqual(expected)
  })

  test('places', () => {
    const text = 'a = 1\n[tools.search]\nhosts = ["a", "b"]\n[[rule]]\nid = "one"\n[[rule]]\nid = "two"\n'
    const parsed = parseDocument({ file: 'claw.toml', text })
    if (!parsed.ok) throw new Error()
    const at = (pointer: string, on: 'key' | 'value' = 'value') => {
      const { line, column } = parsed.document.locate(pointer, on)
      return `${line}:${column}`
    }
    expect(at('/a')).toBe('1:5')
    expect(at('/a', 'key')).toBe('1:1')
    expect(at('/tools')).toBe('2:2')
    expect(at('/tools/search', 'key')).toBe('2:8')
    expect(at('/tools/search/hosts/1')).toBe('3:15')
    expect(at('/rule/1')).toBe('6:3')
    expect(at('/rule/1/id')).toBe('7:6')
    expect(at('/rule/2/id')).toBe('4:3')
  })
})

describe('what is refused', () => {
  test.each([
    ['duplicate key', 'a = 1\na = 2\n', ['2:1 duplicate_key ']],
    ['duplicate key, differently quoted', 'a = 1\n"a" = 2\n', ['2:1 duplicate_key ']],
    ['duplicate table', '[a]\n[a]\n', ['2:2 duplicate_key ']],
    ['table over a value', 'a = 1\n[a]\n', ['2:2 duplicate_key ']],
    ['table over a list of tables', '[[a]]\n[a]\n', ['2:2 duplicate_key ']],
    ['list of tables over a table', '[a]\n[[a]]\n', ['2:3 duplicate_key ']],
    ['inline table reopened', 'a = { b = 1 }\n[a.c]\n', ['2:2 duplicate_key ']],
    ['list reopened', 'a = [{ b = 1 }]\n[[a]]\n', ['2:3 duplicate_key ']],
    ['dotted key reopened as a table', '[a]\nb.c = 1\n[a.b]\nd = 1\n', ['3:4 duplicate_key ']],
    ['duplicate in an inline table', 'a = { b = 1, b = 2 }\n', ['1:14 duplicate_key ']],
    ['__proto__', '__proto__ = 1\n', ['1:1 forbidden_key /__proto__']],
    ['__proto__ as a table', '["__proto__"]\npolluted = true\n', ['1:2 forbidden_key /__proto__']],
    [
      '__proto__ inside',
      'a.__proto__.b = 1\nc = { __proto__ = 1 }\n',
      ['1:3 forbidden_key /a/__proto__', '2:7 forbidden_key /c/__proto__'],
    ],
    ['date', 'a = 2024-01-01\n', ['1:5 unsupported_syntax /a']],
    [
      'times',
      'a = [07:32:00, 1979-05-27T07:32:00Z, 1979-05-27 07:32:00]\n',
      ['1:6 unsupported_syntax /a/0', '1:16 unsupported_syntax /a/1', '1:38 unsupported_syntax /a/2'],
    ],
    [
      'infinity',
      'a = inf\nb = [nan, -inf]\n',
      ['1:5 invalid_value /a', '2:6 invalid_value /b/0', '2:11 invalid_value /b/1'],
    ],
    ['integer that would be rounded', 'a = 9007199254740993\n', ['1:5 invalid_value /a']],
    ['hexadecimal that would be rounded', 'a = 0xFFFFFFFFFFFFFFFF\n', ['1:5 invalid_value /a']],
    ['float that becomes infinity', 'a = 1e999\n', ['1:5 invalid_value /a']],
    ['leading zero', 'a = 0644\n', ['1:5 syntax_error ']],
    ['lone surrogate by escape', 'a = "\\ud800"\n', ['1:11 syntax_error ']],
    ['lone carriage return ends a comment for one reader only', '# comment\ra = 1\n', ['1:10 syntax_error ']],
    ['NUL', 'a = "\0"\n', ['1:6 syntax_error ']],
    ['bidi override', '# \u202e\n', ['1:3 syntax_error ']],
    ['TOML 1.1 is not TOML 1.0', 'a = { b = 1,\n c = 2 }\n', ['2:2 syntax_error ']],
    ['no value', 'a =\n', ['2:1 syntax_error ']],
    ['two on one line', 'a = 1 b = 2\n', ['1:7 syntax_error ']],
    ['unclosed string', 'a = "x\n', ['1:7 syntax_error ']],
    [
      'all at once',
      'a = inf\n__proto__ = 1\nb = 2024-01-01\n',
      ['1:5 invalid_value /a', '2:1 forbidden_key /__proto__', '3:5 unsupported_syntax /b'],
    ],
  ])('%s', (_, text, expected) => {
    expect(brief(text)).toEqual(expected)
  })

  test('control: the library alone lets it through', () => {
    expect(naive('# comment\ra = 1\n')).toEqual({ a: 1 })
    expect(naive('a = 9007199254740993\n')).toEqual({ a: 9007199254740992 })
    expect(Object.getPrototypeOf(naive('["__proto__"]\npolluted = true\n'))).not.toHaveProperty('a')
    expect(
      (naive('["__proto__"]\npolluted = true\n') as Record<string, unknown>)['polluted'] ??
        ({} as Record<string, unknown>)['polluted'],
    ).toBe(true)
    Reflect.deleteProperty(Object.prototype, 'polluted')
  })
})

describe('bounded time and memory', () => {
  const deep = 10_000
  test.each([
    ['lists', `a = ${'['.repeat(deep)}`, 'too_deep'],
    ['closed lists', `a = ${'['.repeat(deep)}${']'.repeat(deep)}\n`, 'too_deep'],
    ['inline tables', `a = ${'{ b = '.repeat(deep)}`, 'too_deep'],
    ['dotted keys', `${'a.'.repeat(deep)}a = 1\n`, 'too_deep'],
    ['table header', `[${'a.'.repeat(deep)}a]\n`, 'too_deep'],
    ['one level too deep', `a = ${'['.repeat(LIMITS.depth)}${']'.repeat(LIMITS.depth)}\n`, 'too_deep'],
    ['dotted, one level too deep', `${'a.'.repeat(LIMITS.depth)}a = 1\n`, 'too_deep'],
    ['10 MB string', `a = "${'x'.repeat(10_000_000)}"\n`, 'too_large'],
    ['10 MB of a string that never ends', `a = """${'x\n'.repeat(5_000_000)}`, 'too_large'],
    ['10 MB number', `a = ${'9'.repeat(10_000_000)}\n`, 'too_large'],
    ['10 MB key', `${'k'.repeat(10_000_000)} = 1\n`, 'too_large'],
    ['too many tokens', `a = [${'1,'.repeat(LIMITS.tomlTokens)}]\n`, 'too_large'],
    ['too long', `#${'x'.repeat(LIMITS.documentLength)}`, 'too_large'],
    ['long number', `a = ${'9'.repeat(30_000)}\n`, 'invalid_value'],
    ['open brackets', '['.repeat(200_000), 'too_deep'],
    ['quotes', '"'.repeat(200_000), undefined],
    ['comments', '#\n'.repeat(200_000), undefined],
  ])('%s', (_, text, code) => {
    const start = performance.now()
    const found = problems(text)
    expect(performance.now() - start).toBeLessThan(8_000)
    expect(found.length).toBeLessThanOrEqual(LIMITS.problems)
    if (code !== undefined) expect(found[0]?.code).toBe(code)
  })

  test('as deep as allowed', () => {
    expect(value(`a = ${'['.repeat(LIMITS.depth - 1)}${']'.repeat(LIMITS.depth - 1)}\n`)).toBeTypeOf('object')
    expect(value(`${'a.'.repeat(LIMITS.depth - 1)}a = 1\n`)).toBeTypeOf('object')
  })

  test('control: a string of this length makes the library itself throw', () => {
    expect(() => naive(`a = "${'x'.repeat(1_000_000)}"\n`)).toThrow(RangeError)
  })
})

test('noise never throws, and what is read is what the library reads', () => {
  const pieces = fc.constantFrom(
    ...'=.[]{},#"\'\\ \t\n-+_:',
    ...[
      '\n',
      '\n',
      ' = ',
      'a',
      'b',
      'a = 1\n',
      '[a]\n',
      '[[a]]\n',
      '[a.b]\n',
      '"""',
      "'''",
      '1',
      '0x',
      'inf',
      'true',
      '2024-01-01',
      '{ a = 1 }',
      '[1]',
      '\r\n',
      '\r',
      'é',
      '\\u00e9',
      '"a"',
      '__proto__',
      'b.c = 2\n',
    ],
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
      const text = parts.join('')
      const parsed = parseDocument({ file: 'a.toml', text })
      if (parsed.ok) expect(parsed.document.value).toEqual(naive(text))
      else expect(parsed.problems.length).toBeGreaterThan(0)
    }),
    { numRuns: fuzzRuns(1_500) },
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      parseDocument({ file: 'a.toml', text })
    }),
    { numRuns: fuzzRuns(500) },
  )
})
