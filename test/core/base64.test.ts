import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { decodeBase64, encodeBase64 } from '../../src/core/base64.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const utf8 = new TextEncoder()

describe('RFC 4648 §10', () => {
  test.each([
    ['', ''],
    ['f', 'Zg=='],
    ['fo', 'Zm8='],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg=='],
    ['fooba', 'Zm9vYmE='],
    ['foobar', 'Zm9vYmFy'],
  ])('%j is %j', (text, encoded) => {
    expect(encodeBase64(utf8.encode(text))).toBe(encoded)
    expect(decodeBase64(encoded)).toEqual(utf8.encode(text))
  })
})

// Each text is decoded by Buffer.from to something: that is what makes a signature or key malleable.
describe('one byte string has one text', () => {
  test.each([
    ['whitespace', 'Zm9v\nYmFy'],
    ['leading space', ' Zm9v'],
    ['trailing line end', 'Zm9vYmFy\n'],
    ['junk', 'Zm9v!mFy'],
    ['url-safe alphabet', '_-8_'],
    ['mixed alphabets', '+_8/'],
    ['missing padding', 'Zg'],
    ['short padding', 'Zg='],
    ['long padding', 'Zg==='],
    ['padding only', '===='],
    ['padding twice', 'Zg==Zg=='],
    ['padding inside', 'Z=9v'],
    ['leftover bits after one byte', 'Zh=='],
    ['leftover bits after two bytes', 'Zm9='],
    ['one digit', 'Zm9vY'],
    ['non-ASCII digit', 'Zm9\u{1d7d8}'],
    ['NUL', 'Zm9\0'],
    ['full-width letter', 'Zm9ｖ'],
  ])('%s is refused', (_name, text) => {
    expect(Buffer.from(text, 'base64')).toBeInstanceOf(Uint8Array)
    expect(decodeBase64(text)).toBeUndefined()
  })

  test('positive control: the lenient decoder reads two texts as one value', () => {
    expect(Buffer.from('Zh==', 'base64')).toEqual(Buffer.from('Zg==', 'base64'))
    expect(Buffer.from('Zm9v\n!YmFy', 'base64')).toEqual(Buffer.from('Zm9vYmFy', 'base64'))
  })
})

test('agrees with Buffer on every byte string', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const text = encodeBase64(bytes)
      expect(text).toBe(Buffer.from(bytes).toString('base64'))
      expect(decodeBase64(text)).toEqual(bytes)
    }),
    { numRuns: fuzzRuns(300) },
  )
})

test('what is decoded is spelt exactly so', () => {
  const digit = fc.constantFrom(...'ABgh0189+/=-_ \n')
  fc.assert(
    fc.property(fc.string({ unit: digit, maxLength: 12 }), (text) => {
      const bytes = decodeBase64(text)
      if (bytes !== undefined) expect(encodeBase64(bytes)).toBe(text)
      else expect(Buffer.from(text, 'base64').toString('base64')).not.toBe(text)
    }),
    { numRuns: fuzzRuns(2000) },
  )
})
