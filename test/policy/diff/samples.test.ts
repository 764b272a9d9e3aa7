// Samples are guesses, but a guess that never fits is none: of every pattern some sample has to match.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { parseGlob } from '../../../src/core/glob.ts'
import { hostCovers, parseHostPattern } from '../../../src/core/host-pattern.ts'
import { compileRegExp } from '../../../src/core/linear-regexp.ts'
import { parsePathPattern, pathMatches } from '../../../src/core/path-pattern.ts'
import { hostSamples } from '../../../src/policy/diff/host-samples.ts'
import { momentSamples } from '../../../src/policy/diff/moment-samples.ts'
import { regexpSamples } from '../../../src/policy/diff/regexp-samples.ts'
import { commonPath, commonText, globSamples, pathSamples } from '../../../src/policy/diff/samples.ts'
import { compileTimeWindow } from '../../../src/policy/time-window.ts'
import { fuzzRuns } from '../../support/fuzz.ts'

const token = fc.constantFrom('a', 'b', 'x', '.', '*', '?', '[ab]', '[!x]', '[a-c]')
const name = fc
  .array(token, { minLength: 1, maxLength: 6 })
  .map((tokens) => tokens.join(''))
  .filter((text) => parseGlob(text, 'name').ok)
const segments = fc.array(fc.oneof(name, fc.constant('**')), { minLength: 1, maxLength: 4 })
const path = segments.map((parts) => `/${parts.join('/')}`).filter((text) => parsePathPattern(text).ok)

function matches(text: string, sample: string): boolean {
  const parsed = parseGlob(text, 'name')
  return parsed.ok && parsed.glob.matches(sample)
}

function covers(text: string, sample: string): boolean {
  const parsed = parsePathPattern(text)
  return parsed.ok && pathMatches(parsed.pattern, sample)
}

describe('patterns', () => {
  test('a name glob, a path pattern', () => {
    fc.assert(
      fc.property(name, path, (glob, pattern) => {
        expect(globSamples(glob, 'name').some((sample) => matches(glob, sample))).toBe(true)
        expect(pathSamples(pattern).some((sample) => covers(pattern, sample))).toBe(true)
      }),
      { numRuns: fuzzRuns(500) },
    )
  })

  test('two stars have a name in common', () => {
    expect(commonText('*', '*', 'name')).toBe('x')
  })

  test('what two have in common is matched by both, and found where a sample of one shows that there is some', () => {
    fc.assert(
      fc.property(name, name, path, path, (a, b, c, d) => {
        const text = commonText(a, b, 'name')
        if (text !== undefined) expect([matches(a, text), matches(b, text)]).toEqual([true, true])
        else expect(globSamples(a, 'name').filter((one) => matches(a, one) && matches(b, one))).toEqual([])
        const found = commonPath(c, d)
        if (found === undefined) expect(pathSamples(c).filter((one) => covers(c, one) && covers(d, one))).toEqual([])
      }),
      { numRuns: fuzzRuns(500) },
    )
  })

  test.each([
    'a.example.com',
    '*.example.com',
    '**.example.com:8443',
    '*',
    'https://x.test',
    '10.0.0.0/8',
    '2001:db8::/32',
    '0.0.0.0/0',
    '::1',
  ])('destinations in and out of %s', (text) => {
    const parsed = parseHostPattern(text)
    if (!parsed.ok) throw new Error(parsed.reason)
    const inside = hostSamples(text).map((sample) => hostCovers(parsed.pattern, sample))
    expect(inside).toContain(true)
    expect(inside).toContain(false)
  })

  test.each([
    'GET|POST',
    '[A-Z]{2}-\\d+',
    '(?:a|bc)*x?',
    '[^a-z]+',
    '\\w+@[a-z.]+',
    'x{3,5}',
    '.*',
    '(a(b(c|d))){2}',
    '\\/v[12]\\/',
  ])('texts of /%s/', (source) => {
    const compiled = compileRegExp(`^(?:${source})$`)
    if (!compiled.ok) throw new Error(compiled.reason)
    expect(regexpSamples(source).some((sample) => compiled.regexp.test(sample))).toBe(true)
  })

  test.each(['(', '[', '{', '\\', '((((', 'a{9999}{9999}', '(?<n>x)\\k<n>', '(?=x)', '[z-a]', '*', '\u{1F600}+'])(
    'a text that is no expression it knows does no harm: %s',
    (source) => {
      for (const sample of regexpSamples(source)) expect(sample.length).toBeLessThanOrEqual(256)
    },
  )

  test.each([
    { days: ['mon'], from: '08:00', to: '18:00', zone: 'America/New_York' },
    { days: ['sat', 'sun'], from: '22:00', to: '06:00', zone: 'Asia/Kathmandu' },
    { not_before: '2030-01-01T00:00:00Z', not_after: '2030-01-08T00:00:00Z', days: ['wed'] },
    { not_before: '2019-01-01T00:00:00Z' },
  ] as const)('moments in and out of a window: %j', (during) => {
    const compiled = compileTimeWindow(during)
    if (!compiled.ok) throw new Error('no window')
    const inside = momentSamples({ ...during, ...('days' in during ? { days: [...during.days] } : {}) } as Parameters<
      typeof momentSamples
    >[0]).map((now) => compiled.window.holds(now))
    expect(inside).toContain(true)
    expect(inside).toContain(false)
  })
})
