// What redaction takes out and what it leaves. Each attack is shown to work on the plain way of doing it.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import { compileRegExp, type LinearRegExp } from '../../src/core/linear-regexp.ts'
import { copyPlain } from '../../src/core/plain.ts'
import { parsePointer } from '../../src/core/pointer.ts'
import { type Redaction, redact, TooMuchWork } from '../../src/obligation/redact.ts'
import { REDACTED as R } from '../../src/obligation/spans.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { ALL_TOKENS } from './synthetic.ts'

function linear(source: string): LinearRegExp {
  const compiled = compileRegExp(source)
  if (!compiled.ok) throw new Error(compiled.reason)
  return compiled.regexp
}

function redaction(parts: { fields?: readonly string[]; patterns?: readonly string[]; secrets?: boolean }): Redaction {
  return {
    fields: (parts.fields ?? []).map((field) => parsePointer(field) ?? []),
    patterns: (parts.patterns ?? []).map(linear),
    secrets: parts.secrets ?? false,
  }
}

describe('fields', () => {
  const value = { a: { b: 1, c: [{ d: 'x', e: 2 }, { d: 'y' }] }, '*': 3, 'k/~': 4 }

  test.each<[fields: string[], expected: JsonValue]>([
    [['/a/b'], { ...value, a: { ...value.a, b: R } }],
    [['/a'], { ...value, a: R }],
    [['/a/c/0'], { ...value, a: { b: 1, c: [R, { d: 'y' }] } }],
    [['/a/c/*/d'], { ...value, a: { b: 1, c: [{ d: R, e: 2 }, { d: R }] } }],
    [['/a/*'], { ...value, a: { b: R, c: R } }],
    [['/*'], { a: R, '*': R, 'k/~': R }],
    [['/*/b', '/a/c/1/d'], { ...value, a: { b: R, c: [{ d: 'x', e: 2 }, { d: R }] } }],
    [['/k~1~0'], { ...value, 'k/~': R }],
    [['/a', '/a/b'], { ...value, a: R }],
    [[''], R],
    [['/x', '/a/c/2', '/a/c/-', '/a/c/00', '/a/b/x', '/constructor', '/a/c/length'], value],
  ])('%j', (fields, expected) => expect(redact(value, redaction({ fields }))).toEqual(expected))

  test('whatever stands there becomes the same text', () => {
    for (const member of [null, true, 0, '', 'text', [], {}, [[1]], { a: 1 }]) {
      expect(redact({ member }, redaction({ fields: ['/member'] }))).toEqual({ member: R })
    }
  })
})

describe('patterns', () => {
  test.each<[patterns: string[], value: JsonValue, expected: JsonValue]>([
    [['\\d+'], 'a1b22', `a${R}b${R}`],
    [['\\d'], 'a12b', `a${R}b`],
    [['x'], [{ a: 'x' }, 'y', 1], [{ a: R }, 'y', 1]],
    [['[a-z]+'], 'hello World', `${R} W${R}`],
    [['^secret$'], { a: 'secret', b: 'no secret' }, { a: R, b: 'no secret' }],
    [['\\$&'], 'a$&b', `a${R}b`],
    [['.'], 'ab', R],
    [['x*'], 'axb', `a${R}b`],
    [[''], 'abc', 'abc'],
    // Each round makes another: in the end the text goes whole.
    [['\\](?:e|f)', 'X'], `Xefefefefefefefefefef`, R],
  ])('%j in %j', (patterns, value, expected) => {
    expect(redact(value, redaction({ patterns }))).toEqual(expected)
  })

  test('numbers, true, false and null are no texts', () => {
    const value = { a: 4111111111111111, b: true, c: null }
    expect(redact(value, redaction({ patterns: ['.*'], fields: [] }))).toEqual({
      [R]: R,
      [`${R.slice(0, -1)} 2]`]: R,
      [`${R.slice(0, -1)} 3]`]: R,
    })
    expect(redact([4111111111111111, true, null], redaction({ patterns: ['4111'] }))).toEqual([
      4111111111111111,
      true,
      null,
    ])
  })

  test('attack: of two matches that overlap, one after the other leaves the rest of the second', () => {
    const patterns = ['[a-z]+-[0-9]+', '[0-9]+@[a-z.]+']
    const text = 'account-4711@bank.example'
    const [first, second] = patterns.map(linear)
    // Control: one after the other, the mail address behind the number is left standing.
    expect(second?.replaceAll(first?.replaceAll(text, R) ?? '', R)).toBe(`${R}@bank.example`)
    expect(redact(text, redaction({ patterns }))).toBe(R)
    expect(redact(text, redaction({ patterns: patterns.reverse() }))).toBe(R)
  })

  test('attack: what is left of one match is another', () => {
    const pattern = linear('\\bfoo')
    // Control: once over the text leaves a match in it.
    expect(pattern.test(pattern.replaceAll('foofoo', R))).toBe(true)
    expect(redact('foofoo', redaction({ patterns: ['\\bfoo'] }))).toBe(R + R)
  })

  test('attack: a marker in the text is no cover for what is around it', () => {
    expect(redact(`BEGIN${R}END`, redaction({ patterns: ['BEGIN[^]*END'] }))).toBe(R)
    expect(redact(`x${R}y`, redaction({ patterns: ['x[^]*y'] }))).toBe(R)
  })
})

describe('keys', () => {
  test('a secret in a key takes its member with it', () => {
    expect(redact({ 'a@b': 1, c: 2 }, redaction({ patterns: ['@'] }))).toEqual({ [R]: R, c: 2 })
  })

  test('attack: as many members as before, whatever they are called', () => {
    const value: JsonObject = { '[redacted]': 1, '@1': 2, '[redacted 2]': 3, '@2': 4, '@3': 5 }
    expect(redact(value, redaction({ patterns: ['@'] }))).toEqual({
      '[redacted]': 1,
      '[redacted 2]': 3,
      '[redacted 3]': R,
      '[redacted 4]': R,
      '[redacted 5]': R,
    })
  })

  test('attack: names of Object.prototype', () => {
    const value = JSON.parse('{"constructor":"@","toString":{"hasOwnProperty":"@"}}') as JsonObject
    expect(JSON.stringify(redact(value, redaction({ patterns: ['@'] })))).toBe(
      `{"constructor":"${R}","toString":{"hasOwnProperty":"${R}"}}`,
    )
  })

  test('many keys at once', () => {
    const value = Object.fromEntries(Array.from({ length: 9_000 }, (_, index) => [`@${index}`, index]))
    expect(Object.keys(redact(value, redaction({ patterns: ['@'] })) as JsonObject)).toHaveLength(9_000)
  })
})

test('too much work is refused', () => {
  const pattern = '(?:a|b|c|d|e|f|g|h){0,40}z'
  const { size } = linear(pattern)
  const length = Math.ceil(64_000_000 / size)
  expect(redact('x'.repeat(length - 2), redaction({ patterns: [pattern] }))).toHaveLength(length - 2)
  expect(() => redact('x'.repeat(length), redaction({ patterns: [pattern] }))).toThrow(TooMuchWork)
  // The texts of one value together.
  const halves = ['x'.repeat(length / 2), 'x'.repeat(length / 2), 'x']
  expect(() => redact(halves, redaction({ patterns: [pattern] }))).toThrow(TooMuchWork)
})

const PATTERNS = ['a', '[a-z]+', '\\d{2,}', '\\bfoo', '@[^ ]*', '^x', 'x$', '[^]b', 'red', '\\]', '', 'a|ab|abc']
const FIELDS = ['/a', '/*/b', '/a/0', '/*', '/x/*/y', '/a~1b']

const word = fc.constantFrom('a', 'b', 'ab', 'foo', 'x', ' ', '12', '@', '[redacted]', '[', ']', '💥', 'é', 'Z')
const text = fc.array(word, { maxLength: 8 }).map((words) => words.join(''))
const key = fc.oneof(text, fc.constantFrom('a', 'b', 'x', '0', 'password', '[redacted 2]', 'constructor'))
const { value: anyValue } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'json' },
    text,
    fc.constantFrom(null, true, 1, -2.5),
    fc.constantFrom(...ALL_TOKENS),
    fc.array(tie('value'), { maxLength: 4, depthIdentifier: 'json' }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, depthIdentifier: 'json', noNullPrototype: true }),
  ),
}))
const anyRedaction = fc.record({
  fields: fc.uniqueArray(fc.constantFrom(...FIELDS), { maxLength: 3 }),
  patterns: fc.uniqueArray(fc.constantFrom(...PATTERNS), { maxLength: 3 }),
  secrets: fc.boolean(),
})

function plain(value: JsonValue): JsonValue {
  const copy = copyPlain(value)
  if (!copy.ok) throw new Error(copy.detail)
  return copy.value
}

/** Every text and key of a value. */
function textsOf(value: JsonValue): readonly string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return [
    ...(Array.isArray(value) ? [] : Object.keys(value)),
    ...Object.values(value).flatMap((one) => textsOf(one as JsonValue)),
  ]
}

function isDeepFrozen(value: unknown): boolean {
  return (
    typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(isDeepFrozen))
  )
}

describe('whatever the value and the redaction', () => {
  const runs = { numRuns: fuzzRuns(300) }

  test('no pattern matches anything that is left', () => {
    fc.assert(
      fc.property(anyValue, anyRedaction, (value, parts) => {
        for (const left of textsOf(redact(plain(value), redaction(parts)))) {
          for (const source of parts.patterns) {
            const marks = [...left.matchAll(/\[redacted(?: \d+)?\]/g)]
            for (const match of left.matchAll(new RegExp(source, 'gu'))) {
              // But the markers themselves, which `[a-z]+` matches.
              const end = match.index + match[0].length
              const units = Array.from({ length: match[0].length }, (_, index) => match.index + index)
              expect([
                left,
                source,
                end,
                units.every((at) => marks.some((m) => m.index <= at && at < m.index + m[0].length)),
              ]).toEqual([left, source, end, true])
            }
          }
        }
      }),
      runs,
    )
  })

  test('a second time changes nothing, and the order of the parts is of no account', () => {
    fc.assert(
      fc.property(anyValue, anyRedaction, (value, parts) => {
        const once = redact(plain(value), redaction(parts))
        expect(redact(once, redaction(parts))).toEqual(once)
        const reversed = { ...parts, patterns: [...parts.patterns].reverse(), fields: [...parts.fields].reverse() }
        expect(redact(plain(value), redaction(reversed))).toEqual(once)
      }),
      runs,
    )
  })

  test('the value that came in is as it was; what comes out is frozen, and the same where there was nothing', () => {
    fc.assert(
      fc.property(anyValue, anyRedaction, (value, parts) => {
        const copy = plain(value)
        const before = JSON.stringify(copy)
        const after = redact(copy, redaction(parts))
        expect(JSON.stringify(copy)).toBe(before)
        expect(isDeepFrozen(after)).toBe(true)
        if (JSON.stringify(after) === before) expect(after).toBe(copy)
        expect(redact(copy, redaction({}))).toBe(copy)
      }),
      runs,
    )
  })

  test('what no pattern matches stays as it is, member by member', () => {
    const sources = ['\\d{2,}', '@[^ ]*']
    const untouched = (before: JsonValue, after: JsonValue): void => {
      if (typeof before === 'string') {
        if (!sources.some((source) => new RegExp(source, 'u').test(before))) expect(after).toBe(before)
      } else if (typeof before === 'object' && before !== null) {
        const names = Object.keys(before)
        expect(Object.keys(after as object)).toHaveLength(names.length)
        for (const name of names) {
          if (sources.some((source) => new RegExp(source, 'u').test(name))) continue
          untouched((before as JsonObject)[name] as JsonValue, (after as JsonObject)[name] as JsonValue)
        }
      } else {
        expect(after).toBe(before)
      }
    }
    fc.assert(
      fc.property(anyValue, (value) => untouched(value, redact(plain(value), redaction({ patterns: sources })))),
      runs,
    )
  })
})
