// Stretches of a text: all matches are inside, and what is kept was matched by nothing.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { compileRegExp, type LinearRegExp } from '../../src/core/linear-regexp.ts'
import { matchSpans, mergeSpans, REDACTED, type Span, spansBeyondMarkers } from '../../src/obligation/spans.ts'
import { fuzzRuns } from '../support/fuzz.ts'

export function linear(source: string): LinearRegExp {
  const compiled = compileRegExp(source)
  if (!compiled.ok) throw new Error(`${source}: ${compiled.reason}`)
  return compiled.regexp
}

const span = (start: number, end: number): Span => ({ start, end })

/** What ECMA-262 says: the places of all matches that are not empty. */
function reference(source: string, text: string): readonly Span[] {
  return mergeSpans([...text.matchAll(new RegExp(source, 'gu'))].map((m) => span(m.index, m.index + m[0].length)))
}

describe('the places of matches', () => {
  test.each<[string, string]>([
    ['a', 'banana'],
    ['[a-z]+@[a-z]+', 'me@home, you@work and nobody'],
    ['\\d{3}-\\d{4}', 'call 555-1234 or 555-9876.'],
    ['x*', 'axxb'],
    ['^b', 'bb'],
    ['b$', 'bb'],
    ['\\bfoo', 'foofoo foo'],
    ['.', 'a💥b'],
    ['💥', '💥💥 💥'],
    ['nothing', 'at all'],
    ['[^]*', 'all of it'],
    ['\\ue000', 'a\ue000b'],
    ['b', 'a\ue000b\ue001b'],
    ['', 'abc'],
  ])('%s in %s', (source, text) => {
    expect(matchSpans(linear(source), text)).toEqual(reference(source, text))
  })

  test('where the place of a piece is not certain, too much goes and never too little', () => {
    // One `b` is kept between the matches. It could be the one in `xbx` as well: neither is left.
    expect(reference('xbx|x', 'xbxbx')).toEqual([span(0, 3), span(4, 5)])
    expect(matchSpans(linear('xbx|x'), 'xbxbx')).toEqual([span(0, 5)])
  })

  test('a text with every character of the private use area goes whole', () => {
    const text = Array.from({ length: 6400 }, (_, index) => String.fromCharCode(0xe000 + index)).join('')
    expect(matchSpans(linear('a'), text)).toEqual([])
    expect(matchSpans(linear('a'), `${text}a`)).toEqual([span(0, 6401)])
  })

  test('long pieces between matches, made to be found slowly', () => {
    const text = `<${'a'.repeat(300_000)}>b${'a'.repeat(299_000)}<>`
    expect(matchSpans(linear('<[^>]*>'), text)).toEqual([span(0, 300_002), span(599_003, 599_005)])
  })

  const sources = ['a', 'ab', 'a+', '[ab]c?', '\\bb', 'a.b', '(?:ab)+|c', '[^a]', 'a*b', '^.', 'c$', '💥|a']

  test('every match is inside, whatever the text is', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...sources),
        fc.array(fc.constantFrom('a', 'b', 'c', ' ', '💥', 'abcabcabcabcabcabcabc'), { maxLength: 24 }),
        (source, parts) => {
          const text = parts.join('')
          const spans = matchSpans(linear(source), text)
          for (const match of reference(source, text)) {
            expect(spans.some(({ start, end }) => start <= match.start && match.end <= end)).toBe(true)
          }
          expect(mergeSpans(spans)).toEqual(spans)
        },
      ),
      { numRuns: fuzzRuns(600) },
    )
  })

  test('and nothing else is, when no match has in it what stands between two', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('me@home', 'x', ', ', ' and ', '\n', 'you@work.'), { maxLength: 20 }),
        (parts) => {
          const text = parts.join(' ')
          expect(matchSpans(linear('[a-z]+@[a-z]+'), text)).toEqual(reference('[a-z]+@[a-z]+', text))
        },
      ),
      { numRuns: fuzzRuns(300) },
    )
  })
})

test('merging', () => {
  expect(mergeSpans([span(5, 7), span(0, 2), span(3, 3), span(1, 3), span(7, 8)])).toEqual([span(0, 3), span(5, 8)])
})

describe('beside the markers', () => {
  const at = REDACTED.length
  const text = `ab${REDACTED}cd${REDACTED}`

  test.each<[string, Span[], Span[]]>([
    ['in one', [span(3, 5)], []],
    ['all of one', [span(2, 2 + at)], []],
    ['before', [span(0, 2)], [span(0, 2)]],
    ['into one', [span(0, 3)], [span(0, 2 + at)]],
    ['out of one', [span(4, 3 + at)], [span(2, 3 + at)]],
    ['from one to the next', [span(4, 5 + at)], [span(2, 4 + 2 * at)]],
    ['several', [span(1, 2), span(3, 4), span(2 + at, 3 + at)], [span(1, 2), span(2 + at, 3 + at)]],
  ])('%s', (_, spans, expected) => expect(spansBeyondMarkers(text, spans)).toEqual(expected))

  test('two markers side by side are one', () => {
    expect(spansBeyondMarkers(REDACTED + REDACTED, [span(at - 1, at + 1)])).toEqual([])
  })
})
