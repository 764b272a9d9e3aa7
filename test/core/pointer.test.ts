import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonValue } from '../../src/core/json.ts'
import { formatPointer, parsePointer, resolvePointer } from '../../src/core/pointer.ts'
import { fuzzRuns } from '../support/fuzz.ts'

// The document and the pointers of RFC 6901 §5.
const sample: JsonValue = {
  foo: ['bar', 'baz'],
  '': 0,
  'a/b': 1,
  'c%d': 2,
  'e^f': 3,
  'g|h': 4,
  'i\\j': 5,
  'k"l': 6,
  ' ': 7,
  'm~n': 8,
}

test.each([
  ['', sample],
  ['/foo', ['bar', 'baz']],
  ['/foo/0', 'bar'],
  ['/', 0],
  ['/a~1b', 1],
  ['/c%d', 2],
  ['/e^f', 3],
  ['/g|h', 4],
  ['/i\\j', 5],
  ['/k"l', 6],
  ['/ ', 7],
  ['/m~0n', 8],
] as const)('RFC 6901: %j', (pointer, expected) => {
  expect(resolvePointer(sample, parsePointer(pointer) ?? ['?'])).toEqual(expected)
})

test.each(['a', 'foo/bar', '#/foo', '/a~', '/a~2b', '/~', ' /a', '/a/~b'])('%j is no pointer', (text) => {
  expect(parsePointer(text)).toBeUndefined()
})

test('~01 is ~1 and not /', () => {
  expect(parsePointer('/~01')).toEqual(['~1'])
})

describe('own properties only', () => {
  test.each([
    '/constructor',
    '/__proto__',
    '/toString',
    '/foo/length',
    '/foo/constructor',
    '/foo/-',
    '/foo/00',
    '/foo/1e0',
    '/foo/2',
    '/foo/ 0',
    '/foo/0/0',
    '/foo/0/length',
    '/foo/9999999999999',
  ])('%s leads nowhere', (pointer) => {
    expect(resolvePointer(sample, parsePointer(pointer) ?? [])).toBeUndefined()
  })

  test('control: plain property access follows them', () => {
    const naive = parsePointer('/constructor')?.reduce<unknown>(
      (value, key) => (value as Record<string, unknown>)[key],
      sample,
    )
    expect(naive).toBe(Object)
  })

  test('an own member of such a name is found', () => {
    expect(resolvePointer({ constructor: 1 }, ['constructor'])).toBe(1)
  })
})

test('format and parse are inverse', () => {
  const tokens = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('~', '/', '~0', '~1', '', '~01')))
  fc.assert(
    fc.property(tokens, (given) => {
      expect(parsePointer(formatPointer(given))).toEqual(given)
    }),
    { numRuns: fuzzRuns(500) },
  )
  fc.assert(
    fc.property(fc.string(), (text) => {
      const parsed = parsePointer(text)
      if (parsed !== undefined) expect(formatPointer(parsed)).toBe(text)
    }),
    { numRuns: fuzzRuns(500) },
  )
})
