// Patterns of tool input schemas run on RE2. It must accept exactly what ECMA-262 accepts, and never take long.

import fc from 'fast-check'
import { RE2JS } from 're2js'
import { describe, expect, test } from 'vitest'

import { translatePattern } from '../../src/core/ecma-pattern.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function linear(source: string): RE2JS {
  const translated = translatePattern(source)
  if (!translated.ok) throw new Error(`${source}: ${translated.reason}`)
  return RE2JS.compile(translated.text)
}

describe('the same texts match as in ECMA-262 with the u flag', () => {
  test.each<[pattern: string, texts: string[]]>([
    ['^[a-z]+$', ['abc', 'abc\n', 'ABC', '']],
    ['^.$', ['a', '\n', '\r', '\u2028', '\u2029', '\u0085', '💥', 'ab']],
    ['^\\s$', [' ', '\t', '\v', '\u00a0', '\ufeff', '\u3000', '\u200b', '\u0085', 'x']],
    ['^\\S$', [' ', '\u00a0', '\ufeff', 'x', '💥']],
    ['^[\\s\\d]+$', ['1 2', '1\u00a02', 'x']],
    ['^[^\\s]$', ['\u00a0', 'x', '\n']],
    ['^[\\S]$', ['\u00a0', 'x', '\n']],
    ['^\\w+\\W\\D$', ['ab-c', 'é--', '1 1']],
    ['\\bab\\b', ['ab', 'cab', 'x ab y', 'éab']],
    ['\\Bab', ['cab', 'ab']],
    ['^[\\b]$', ['\b', 'b']],
    ['^\\u0041\\u{1f4a5}\\ud83d\\udca5\\x42$', ['A💥💥B', 'A💥B']],
    ['^[\\u{1f4a0}-\\u{1f4af}]$', ['💥', 'x']],
    ['^\\cA\\0\\t\\n\\v\\f\\r$', ['\u0001\0\t\n\v\f\r', 'A']],
    ['^[[:alpha:]$', ['[', ':', 'a', 'b', '']],
    ['^[a\\-z]$', ['a', '-', 'm', 'z']],
    ['^[a-]$', ['a', '-', 'b']],
    ['^[-a]$', ['a', '-', 'b']],
    ['^[\\]\\\\^]$', [']', '\\', '^', 'a']],
    ['[]', ['', 'a']],
    ['^[^]$', ['', 'a', '\n']],
    ['^(?<year>\\d{4})-(?:\\d\\d)$', ['2025-01', '2025-1']],
    ['^a{2,3}b{2}c{0,}$', ['aabb', 'aaabbccc', 'abb']],
    ['^a+?b*?c??$', ['aab', 'ac', 'b']],
    ['^\\p{Lu}\\P{L}\\p{Script=Greek}$', ['A1α', 'a1α', 'AAα']],
    ['^[\\p{L}\\d_]+$', ['é1_', '-']],
    ['a|^b$|', ['x', 'b', '']],
    ['^\\/\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\^\\$\\\\$', ['/.*+?()[]{}|^$\\']],
    ['^#& ~@"\'<>%,;=`!-$', ['#& ~@"\'<>%,;=`!-']],
  ])('%s', (pattern, texts) => {
    const ours = linear(pattern)
    for (const text of texts) expect([text, ours.test(text)]).toEqual([text, new RegExp(pattern, 'u').test(text)])
  })

  test('RE2 alone reads some of them otherwise', () => {
    expect(RE2JS.compile('^.$').test('\r')).toBe(true)
    expect(/^.$/u.test('\r')).toBe(false)
    expect(RE2JS.compile('^\\S$').test('\u00a0')).toBe(true)
    expect(/^\S$/u.test('\u00a0')).toBe(false)
  })

  const character = fc.constantFrom('a', 'b', 'Z', '0', '_', '-', ' ', '\n', '\r', '\u00a0', 'é', '💥', ']', '^', '\\')
  const literal = fc.constantFrom('a', 'b', '0', '_', ' ', 'é', '💥', '\\-'.slice(1), '\\.', '\\\\', '\\]', '\\^')
  const escaped = fc.constantFrom(
    '\\d',
    '\\D',
    '\\w',
    '\\W',
    '\\s',
    '\\S',
    '\\n',
    '\\x61',
    '\\u0062',
    '\\u{1f4a5}',
    '\\p{L}',
  )
  const classItem = fc.oneof(
    literal.filter((text) => text !== '-'),
    escaped,
    fc.constantFrom('a-z', '0-9', '\\t-\\r', '[', '.'),
  )
  const charClass = fc
    .tuple(fc.boolean(), fc.array(classItem, { maxLength: 3 }))
    .map(([negated, items]) => `[${negated ? '^' : ''}${items.join('')}]`)
  const { pattern } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
    piece: fc.oneof(
      { maxDepth: 4 },
      literal,
      escaped,
      charClass,
      fc.constantFrom('.', '^', '$', '\\b', '\\B'),
      tie('pattern').map((inner) => `(${inner})`),
      tie('pattern').map((inner) => `(?:${inner})*`),
      tie('pattern').map((inner) => `(?:${inner})+?`),
      tie('pattern').map((inner) => `(?<g>${inner.replaceAll('?<g>', '?:')}){0,2}`),
    ),
    pattern: fc.oneof(
      fc.array(tie('piece'), { maxLength: 4 }).map((pieces) => pieces.join('')),
      fc.tuple(tie('piece'), tie('piece')).map(([a, b]) => `${a}|${b}`),
    ),
  }))

  test('for random patterns and texts', () => {
    let compared = 0
    fc.assert(
      fc.property(
        pattern,
        fc.array(fc.string({ unit: character, maxLength: 6 }), { maxLength: 6 }),
        (source, texts) => {
          let wanted: RegExp
          try {
            wanted = new RegExp(source, 'u')
          } catch {
            expect(translatePattern(source).ok).toBe(false)
            return
          }
          const ours = linear(source)
          for (const text of texts) {
            // V8 also tries \B between the halves of a surrogate pair, which ECMA-262 §22.2.7.2 does not.
            if (source.includes('\\B') && text.includes('💥')) continue
            compared++
            expect([source, text, ours.test(text)]).toEqual([source, text, wanted.test(text)])
          }
        },
      ),
      { numRuns: fuzzRuns(1500) },
    )
    expect(compared).toBeGreaterThan(500)
  })
})

test('the size is known beforehand, half as much to four times as much', () => {
  for (const pattern of [
    'a',
    '^[a-z]+$',
    'a{7}',
    '(?:ab){10}',
    '(?:(?:a|b){3}c?){5,}',
    '(a{0,9}){2,9}',
    'x{3,}',
    '(?<n>\\d{4})-[^a]{2}',
  ]) {
    const translated = translatePattern(pattern)
    const size = translated.ok ? translated.size : 0
    const actual = linear(pattern).programSize()
    expect([pattern, size >= actual / 2 - 4, size <= actual * 4 + 4]).toEqual([pattern, true, true])
  }
})

describe('what cannot be linear or cannot be expressed is refused', () => {
  test.each([
    ['(?=a)', /look-around/],
    ['(?!a)', /look-around/],
    ['(?<=a)b', /look-around/],
    ['(?<!a)b', /look-around/],
    ['(a)\\1', /back-reference/],
    ['(?<n>a)\\k<n>', /back-reference/],
    ['\\ud800', /surrogate/],
    ['[\\udc00-\\udfff]', /surrogate/],
    ['\\p{Emoji}', /property/],
    ['\\p{Script_Extensions=Greek}', /property/],
    ['(', /ECMA-262/],
    ['a**', /ECMA-262/],
    ['[z-a]', /ECMA-262/],
    ['\\Q.*\\E', /ECMA-262/],
    ['{', /ECMA-262/],
    ['(?i)a', /ECMA-262/],
    ['\\z', /ECMA-262/],
  ])('%s', (source, reason) => {
    const translated = translatePattern(source)
    expect(translated.ok ? '' : translated.reason).toMatch(reason)
  })

  test('any text at all: an answer, no exception', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'\\()[]{}?*+|^$.-:<=!>pPuxckbBdDsSwWk01aZ,'), maxLength: 12 }),
        (source) => {
          const translated = translatePattern(source)
          if (translated.ok) {
            // The syntax is right; RE2 may still bound repetition or not know a script.
            try {
              RE2JS.compile(translated.text)
            } catch (error) {
              expect(String(error)).toMatch(/repeat|range|group/)
            }
          }
        },
      ),
      { numRuns: fuzzRuns(3000) },
    )
  })
})
