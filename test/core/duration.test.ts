// Spans of time as documents write them: one spelling each, and no span that is not one.

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { parseDuration } from '../../src/core/duration.ts'
import { fuzzRuns } from '../support/fuzz.ts'

test.each([
  ['1ms', 1],
  ['500ms', 500],
  ['30s', 30_000],
  ['5m', 300_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['366d', 31_622_400_000],
  ['8784h', 31_622_400_000],
  ['31622400000ms', 31_622_400_000],
])('%s', (text, ms) => {
  expect(parseDuration(text)).toEqual({ ok: true, ms })
})

test.each([
  ['', 'not a duration'],
  ['5', 'a duration has a unit'],
  ['0', 'a duration has a unit'],
  ['0s', 'a duration is longer than nothing'],
  ['00m', 'a duration is longer than nothing'],
  ['05m', 'not a duration'],
  ['-5m', 'not a duration'],
  ['+5m', 'not a duration'],
  ['1.5h', 'not a duration'],
  ['1e3s', 'not a duration'],
  ['5 m', 'not a duration'],
  [' 5m', 'not a duration'],
  ['5m\n', 'not a duration'],
  ['5M', 'not a duration'],
  ['5min', 'not a duration'],
  ['1h30m', 'not a duration'],
  ['1w', 'not a duration'],
  ['PT5M', 'not a duration'],
  ['m', 'not a duration'],
  ['٥m', 'not a duration'],
  ['367d', 'a duration is at most 366 days'],
  ['8785h', 'a duration is at most 366 days'],
  ['31622400001ms', 'a duration is at most 366 days'],
  ['99999999999d', 'a duration is at most 366 days'],
  [`${'9'.repeat(400)}ms`, 'a duration is at most 366 days'],
])('%j is refused: %s', (text, reason) => {
  const parsed = parseDuration(text)
  expect(parsed).toMatchObject({ ok: false, reason })
  expect(parsed).toHaveProperty('hint')
})

test('what is accepted is the number times its unit, and what is accepted is bounded', () => {
  const units = { ms: 1n, s: 1000n, m: 60_000n, h: 3_600_000n, d: 86_400_000n }
  const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]))
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 10n ** 13n }), unit, (count, name) => {
      const ms = count * units[name]
      const parsed = parseDuration(`${count}${name}`)
      if (ms <= 366n * 86_400_000n) expect(parsed).toEqual({ ok: true, ms: Number(ms) })
      else expect(parsed.ok).toBe(false)
    }),
    { numRuns: fuzzRuns(500) },
  )
})

test('no other text is a duration', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789mshd .-+e'), maxLength: 8 }), (text) => {
      expect(parseDuration(text).ok).toBe(/^[1-9][0-9]*(?:ms|[smhd])$/.test(text) && parsedWithin(text))
    }),
    { numRuns: fuzzRuns(1000) },
  )
})

function parsedWithin(text: string): boolean {
  const days = { ms: 86_400_000, s: 86_400, m: 1440, h: 24, d: 1 }
  const unit = text.replace(/[0-9]/g, '') as keyof typeof days
  return Number.parseInt(text, 10) <= 366 * days[unit]
}
