// When a window is open, by the wall clock of its zone: through gaps and doubled hours, over midnight, on leap days. The
// reference asks the platform anew for every moment and compares calendar days.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { compileTimeWindow, parseMoment, type RawTimeWindow, WEEKDAYS } from '../../src/policy/time-window.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function open(raw: RawTimeWindow, moment: string | number): boolean {
  const compiled = compileTimeWindow(raw)
  if (!compiled.ok) throw new Error(compiled.faults.map(({ message }) => message).join('; '))
  const now = typeof moment === 'number' ? moment : Date.parse(moment)
  expect(Number.isNaN(now)).toBe(false)
  return compiled.window.holds(now)
}

function faults(raw: RawTimeWindow): readonly string[] {
  const compiled = compileTimeWindow(raw)
  return compiled.ok ? [] : compiled.faults.map(({ key, code }) => `${key} ${code}`)
}

const BERLIN = { zone: 'Europe/Berlin' } as const
const OFFICE = { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '18:00', ...BERLIN }
/** Friday and Saturday night. */
const NIGHT = { days: ['fri', 'sat'], from: '22:00', to: '06:00', ...BERLIN }

describe('open', () => {
  test.each<[string, RawTimeWindow, string, boolean]>([
    ['hours begin with from', OFFICE, '2026-01-05T08:00:00+01:00', true],
    ['not before it', OFFICE, '2026-01-05T07:59:59.999+01:00', false],
    ['and end before to', OFFICE, '2026-01-05T17:59:59.999+01:00', true],
    ['to is excluded', OFFICE, '2026-01-05T18:00:00+01:00', false],
    ['not on Saturday', OFFICE, '2026-01-10T12:00:00+01:00', false],
    ['the same wall clock in summer is another hour of UTC', OFFICE, '2026-07-06T06:00:00Z', true],
    ['and not so in winter', OFFICE, '2026-01-05T06:00:00Z', false],
    ['UTC where no zone is said', { from: '08:00', to: '18:00' }, '2026-07-06T08:00:00Z', true],
    ['UTC where no zone is said, also for days', { days: ['mon'] }, '2026-01-05T23:59:59.999Z', true],
    ['a day ends at midnight of its zone', { days: ['mon'], ...BERLIN }, '2026-01-05T23:00:00Z', false],
    ['and begins there', { days: ['mon'], ...BERLIN }, '2026-01-04T23:00:00Z', true],
    ['and not earlier', { days: ['mon'], ...BERLIN }, '2026-01-04T22:59:59.999Z', false],
    ['a zone a day ahead', { days: ['tue'], zone: 'Pacific/Kiritimati' }, '2026-01-05T10:00:00Z', true],
    ['a zone behind', { days: ['sun'], zone: 'Pacific/Pago_Pago' }, '2026-01-05T10:59:00Z', true],

    ['over midnight: the evening of a listed day', NIGHT, '2026-01-09T22:00:00+01:00', true],
    ['over midnight: the morning after', NIGHT, '2026-01-10T05:59:59.999+01:00', true],
    ['over midnight: to is excluded', NIGHT, '2026-01-10T06:00:00+01:00', false],
    ['over midnight: the morning belongs to the day before, listed', NIGHT, '2026-01-11T03:00:00+01:00', true],
    ['over midnight: the morning of a listed day whose eve is not', NIGHT, '2026-01-09T03:00:00+01:00', false],
    ['over midnight: the evening after the last', NIGHT, '2026-01-11T22:00:00+01:00', false],
    ['over midnight and over the week', { ...NIGHT, days: ['sun'] }, '2026-01-12T05:00:00+01:00', true],
    ['until midnight', { days: ['fri'], from: '22:00', to: '00:00' }, '2026-01-09T23:59:59.999Z', true],
    ['until midnight, not after', { days: ['fri'], from: '22:00', to: '00:00' }, '2026-01-10T00:00:00Z', false],
    ['from midnight', { days: ['fri'], from: '00:00', to: '06:00' }, '2026-01-09T00:00:00Z', true],

    ['spring: 01:59 is before the gap', { ...BERLIN, from: '01:30', to: '03:00' }, '2026-03-29T00:59:59Z', true],
    ['spring: a second later it is 03:00', { ...BERLIN, from: '01:30', to: '03:00' }, '2026-03-29T01:00:00Z', false],
    [
      'spring: a window inside the gap never opens',
      { ...BERLIN, from: '02:15', to: '02:45' },
      '2026-03-29T00:30:00Z',
      false,
    ],
    ['spring: nor an hour later', { ...BERLIN, from: '02:15', to: '02:45' }, '2026-03-29T01:30:00Z', false],
    ['control: the day before it does', { ...BERLIN, from: '02:15', to: '02:45' }, '2026-03-28T01:30:00Z', true],
    ['autumn: 02:30 the first time', { ...BERLIN, from: '02:15', to: '02:45' }, '2026-10-25T00:30:00Z', true],
    ['autumn: 02:30 the second time', { ...BERLIN, from: '02:15', to: '02:45' }, '2026-10-25T01:30:00Z', true],
    ['autumn: closed between the two', { ...BERLIN, from: '02:15', to: '02:45' }, '2026-10-25T00:50:00Z', false],
    ['autumn: a night is an hour longer', { ...NIGHT, days: ['sat'] }, '2026-10-25T04:59:59Z', true],
    ['autumn: and then over', { ...NIGHT, days: ['sat'] }, '2026-10-25T05:00:00Z', false],
    [
      'half an hour of summer time',
      { zone: 'Australia/Lord_Howe', from: '02:00', to: '02:30' },
      '2026-10-03T15:30:00Z',
      false,
    ],
    [
      'half an hour of summer time, a day before',
      { zone: 'Australia/Lord_Howe', from: '02:00', to: '02:30' },
      '2026-10-02T15:30:00Z',
      true,
    ],
    ['a zone of half hours', { zone: 'Asia/Kolkata', from: '08:00', to: '09:00' }, '2026-01-05T02:30:00Z', true],
    [
      'a zone of half hours, a minute early',
      { zone: 'Asia/Kolkata', from: '08:00', to: '09:00' },
      '2026-01-05T02:29:59Z',
      false,
    ],
    ['a zone of quarter hours', { zone: 'Asia/Kathmandu', from: '08:00', to: '09:00' }, '2026-01-05T02:15:00Z', true],
    ['midnight itself is skipped', { zone: 'Africa/Cairo', from: '00:00', to: '01:00' }, '2026-04-23T22:00:00Z', false],

    ['29 February has its own weekday', { days: ['thu'] }, '2024-02-29T12:00:00Z', true],
    ['and so has the day after', { days: ['fri'] }, '2024-03-01T00:00:00Z', true],
    ['over midnight of a leap day', { days: ['thu'], from: '22:00', to: '06:00' }, '2024-03-01T05:00:00Z', true],
    ['a year without one', { days: ['wed'], from: '22:00', to: '06:00' }, '2023-03-01T05:00:00Z', false],

    ['not_before is in it', { not_before: '2026-01-05T08:00:00+01:00' }, '2026-01-05T07:00:00Z', true],
    ['and nothing earlier', { not_before: '2026-01-05T08:00:00+01:00' }, '2026-01-05T06:59:59.999Z', false],
    ['not_after is excluded', { not_after: '2026-01-05T08:00:00.5Z' }, '2026-01-05T08:00:00.500Z', false],
    ['until then', { not_after: '2026-01-05T08:00:00.5Z' }, '2026-01-05T08:00:00.499Z', true],
    ['all parts must hold', { ...OFFICE, not_after: '2026-01-31T00:00:00Z' }, '2026-02-02T12:00:00Z', false],
    ['before the epoch', { days: ['wed'] }, '1969-12-31T23:59:59.999Z', true],
    ['offsets of seconds, once', { zone: 'Africa/Monrovia', from: '00:00', to: '12:00' }, '1971-06-01T00:44:30Z', true],
    [
      'offsets of seconds, a moment before',
      { zone: 'Africa/Monrovia', from: '00:00', to: '12:00' },
      '1971-06-01T00:44:29Z',
      false,
    ],
  ])('%s', (_, raw, moment, expected) => {
    expect(open(raw, moment)).toBe(expected)
  })

  test('both sides of a minute that has two readings, whichever is asked first', () => {
    const compiled = compileTimeWindow({ zone: 'Africa/Monrovia', from: '00:00', to: '12:00' })
    if (!compiled.ok) throw new Error('refused')
    const before = Date.parse('1971-06-01T00:44:29Z')
    expect([before, before + 1000, before].map((now) => compiled.window.holds(now))).toEqual([false, true, false])
  })

  test.each([Number.NaN, Infinity, -Infinity, 8.64e15 + 1])('%d is no moment', (now) => {
    expect(() => open({ days: ['mon'] }, now)).toThrow()
    const compiled = compileTimeWindow({ not_before: '2026-01-05T08:00:00Z' })
    expect(compiled.ok && (() => compiled.window.holds(now))).toThrow(TypeError)
  })
})

describe('refused', () => {
  test.each<[string, RawTimeWindow, readonly string[]]>([
    ['nothing', {}, [' missing_key']],
    ['a zone alone', { zone: 'UTC' }, [' missing_key']],
    ['a zone that nothing needs', { ...BERLIN, not_after: '2026-01-05T08:00:00Z' }, ['zone contradiction']],
    ['from alone', { from: '08:00' }, [' missing_key']],
    ['to alone', { to: '08:00', days: ['mon'] }, [' missing_key']],
    ['from that is to', { from: '08:00', to: '08:00' }, ['to contradiction']],
    ['no days', { days: [] }, ['days invalid_value']],
    ['another spelling of a day', { days: ['Mon'] }, ['days invalid_value']],
    ['a long day', { days: ['monday'] }, ['days invalid_value']],
    ['a day twice', { days: ['mon', 'tue', 'mon'] }, ['days invalid_value']],
    ['one digit', { from: '8:00', to: '18:00' }, ['from invalid_value']],
    ['hour 24', { from: '08:00', to: '24:00' }, ['to invalid_value']],
    ['minute 60', { from: '08:60', to: '18:00' }, ['from invalid_value']],
    ['seconds', { from: '08:00:00', to: '18:00' }, ['from invalid_value']],
    ['a line break behind it', { from: '08:00\n', to: '18:00' }, ['from invalid_value']],
    ['an unknown zone', { days: ['mon'], zone: 'Mars/Olympus' }, ['zone invalid_value']],
    ['an abbreviation', { days: ['mon'], zone: 'EST' }, ['zone invalid_value']],
    ['an offset', { days: ['mon'], zone: '+01:00' }, ['zone invalid_value']],
    ['an empty zone', { days: ['mon'], zone: '' }, ['zone invalid_value']],
    [
      'a window that ends before it begins',
      { not_before: '2026-01-05T08:00:00Z', not_after: '2026-01-05T08:00:00Z' },
      ['not_after contradiction'],
    ],
    [
      'the same through an offset',
      { not_before: '2026-01-05T08:00:00Z', not_after: '2026-01-05T09:00:00+02:00' },
      ['not_after contradiction'],
    ],
    [
      'everything at once',
      { days: ['x'], from: '9', to: '10', zone: 'Nowhere', not_before: 'now', not_after: 'later' },
      [
        'days invalid_value',
        'from invalid_value',
        'to invalid_value',
        'zone invalid_value',
        'not_before invalid_value',
        'not_after invalid_value',
      ],
    ],
  ])('%s', (_, raw, expected) => {
    expect(faults(raw)).toEqual(expected)
  })

  test('a misspelt zone is answered with the one that was meant', () => {
    const compiled = compileTimeWindow({ days: ['mon'], zone: 'Europe/Berlni' })
    expect(compiled.ok || compiled.faults[0]?.hint).toBe('did you mean "Europe/Berlin"?')
  })
})

test('the text is canonical', () => {
  const text = (raw: RawTimeWindow): string => {
    const compiled = compileTimeWindow(raw)
    return compiled.ok ? compiled.window.text : ''
  }
  expect(text({ ...OFFICE, days: ['fri', 'mon'], zone: 'europe/berlin' })).toBe('mon,fri 08:00-18:00 Europe/Berlin')
  expect(text({ days: ['sun'], not_after: '2026-01-05T09:00:00+01:00' })).toBe(
    'sun UTC, not after 2026-01-05T08:00:00.000Z',
  )
  expect(text({ not_before: '2026-01-05T08:00:00Z' })).toBe('not before 2026-01-05T08:00:00.000Z')
})

describe('moments', () => {
  test.each([
    // The examples of RFC 3339 §5.8, but for the leap seconds.
    ['1985-04-12T23:20:50.52Z', 482_196_050_520],
    ['1996-12-19T16:39:57-08:00', 851_042_397_000],
    ['1937-01-01T12:00:27.87+00:20', -1_041_337_172_130],
    ['2024-02-29T00:00:00Z', 1_709_164_800_000],
    ['1970-01-01T00:00:00+00:00', 0],
    ['2000-02-29T23:59:59+23:59', Date.UTC(2000, 1, 29, 0, 0, 59)],
  ])('%s', (text, time) => {
    expect(parseMoment(text)).toBe(time)
  })

  test.each([
    '2026-01-05',
    '2026-01-05T08:00:00',
    '2026-01-05T08:00Z',
    '2026-01-05 08:00:00Z',
    '2026-01-05t08:00:00z',
    '2026-1-5T08:00:00Z',
    '2026-02-29T08:00:00Z',
    '2026-02-30T08:00:00+01:00',
    '2026-13-01T08:00:00Z',
    '2026-01-05T24:00:00Z',
    '1990-12-31T23:59:60Z',
    '1990-12-31T15:59:60-08:00',
    '2026-01-05T08:00:00.Z',
    '2026-01-05T08:00:00.1234Z',
    '2026-01-05T08:00:00+1:00',
    '2026-01-05T08:00:00+0100',
    '2026-01-05T08:00:00+24:00',
    '2026-01-05T08:00:00-00:00',
    '+02026-01-05T08:00:00Z',
    '2026-01-05T08:00:00Z\n',
    '1767600000000',
    '',
  ])('%j is refused', (text) => {
    expect(parseMoment(text)).toBeUndefined()
  })
})

// The reference.

const LONG_DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const formats = new Map<string, Intl.DateTimeFormat>()

function wallOf(zone: string, now: number): { date: number; minute: number; weekday: string } {
  let format = formats.get(zone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      weekday: 'long',
      hour: 'numeric',
      minute: 'numeric',
      hour12: false,
    })
    formats.set(zone, format)
  }
  const parts = Object.fromEntries(format.formatToParts(now).map(({ type, value }) => [type, value]))
  const date = Date.UTC(Number(parts['year']), Number(parts['month']) - 1, Number(parts['day']))
  return {
    date,
    minute: (Number(parts['hour']) % 24) * 60 + Number(parts['minute']),
    weekday: parts['weekday']?.toLowerCase() ?? '',
  }
}

function reference({ days, from, to, zone = 'UTC', not_before, not_after }: RawTimeWindow, now: number): boolean {
  if (not_before !== undefined && now < Date.parse(not_before)) return false
  if (not_after !== undefined && now >= Date.parse(not_after)) return false
  const { date, minute, weekday } = wallOf(zone, now)
  expect(LONG_DAYS[new Date(date).getUTCDay()]).toBe(weekday)
  const listed = (daysBack: number): boolean =>
    days === undefined ||
    days.includes(LONG_DAYS[new Date(date - daysBack * 86_400_000).getUTCDay()]?.slice(0, 3) ?? '')
  if (from === undefined || to === undefined) return listed(0)
  const minutes = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))
  const start = minutes(from)
  const length = (minutes(to) - start + 1440) % 1440
  // Minutes on the clock since it began today, or yesterday.
  return (minute >= start && minute < start + length && listed(0)) || (minute + 1440 < start + length && listed(1))
}

const zone = fc.constantFrom(
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Pacific/Chatham',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Antarctica/Troll',
  'America/Nuuk',
  'Asia/Pyongyang',
  'Europe/Dublin',
  'Africa/Monrovia',
  'Europe/Amsterdam',
)
const time = fc
  .tuple(fc.nat({ max: 23 }), fc.constantFrom(0, 1, 15, 30, 44, 45, 59))
  .map((parts) => parts.map((part) => String(part).padStart(2, '0')).join(':'))
const days = fc.subarray([...WEEKDAYS], { minLength: 1 })
const window = fc
  .record({ days, hours: fc.tuple(time, time), zone }, { requiredKeys: ['zone'] })
  .filter(
    ({ days, hours }) => (days !== undefined || hours !== undefined) && (hours === undefined || hours[0] !== hours[1]),
  )
  .map(({ hours, ...rest }): RawTimeWindow => (hours === undefined ? rest : { ...rest, from: hours[0], to: hours[1] }))
/** Around the changes of clocks, and anywhere. */
const moment = fc.oneof(
  fc.integer({ min: Date.UTC(1900, 0, 1), max: Date.UTC(2040, 0, 1) }),
  fc
    .tuple(
      fc
        .constantFrom(
          '2026-03-29T01:00:00Z',
          '2026-10-25T01:00:00Z',
          '2026-03-08T07:00:00Z',
          '2026-11-01T06:00:00Z',
          '2026-04-23T22:00:00Z',
          '2026-10-03T15:30:00Z',
          '2026-04-04T15:00:00Z',
          '2011-12-30T10:00:00Z',
          '2024-02-29T00:00:00Z',
          '2024-03-01T00:00:00Z',
          '1972-01-07T00:44:30Z',
          '2018-05-04T15:00:00Z',
          '1970-01-01T00:00:00Z',
        )
        .map(Date.parse),
      fc.integer({ min: -2 * 86_400_000, max: 2 * 86_400_000 }),
    )
    .map(([at, by]) => at + by),
)

test('agrees with the reference, in whatever order moments are asked', () => {
  fc.assert(
    fc.property(window, fc.array(moment, { minLength: 1, maxLength: 8 }), (raw, moments) => {
      const compiled = compileTimeWindow(raw)
      if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
      for (const now of moments)
        expect(compiled.window.holds(now), new Date(now).toISOString()).toBe(reference(raw, now))
    }),
    { numRuns: fuzzRuns(400) },
  )
})

test('a window and the same with from and to exchanged share no moment and leave none', () => {
  fc.assert(
    fc.property(time, time, zone, moment, (from, to, where, now) => {
      fc.pre(from !== to)
      expect(open({ from, to, zone: where }, now)).toBe(!open({ from: to, to: from, zone: where }, now))
    }),
    { numRuns: fuzzRuns(300) },
  )
})
