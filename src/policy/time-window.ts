// When a statement is in force: days and hours by the wall clock of a zone, and a first and a last moment. Everything that
// can be wrong is found at load; what is left to ask is one number. Trusts the time zone data of the platform (Intl).

import { closestName } from '../core/nearest.ts'
import { printable } from '../core/text.ts'

/** `during` as a document has it; see docs/policy.md. */
export interface RawTimeWindow {
  readonly days?: readonly string[] | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly zone?: string | undefined
  readonly not_before?: string | undefined
  readonly not_after?: string | undefined
}

export interface TimeWindow {
  /**
   * Whether the window is open at `now`, milliseconds since the Unix epoch. What it begins with (`from`, `not_before`) is
   * in it, what it ends with (`to`, `not_after`) is not.
   *
   * @throws TypeError when `now` is no moment that a Date can hold
   */
  holds(now: number): boolean
  /** One line for people, in canonical form. */
  readonly text: string
}

export interface TimeWindowFault {
  /** The key it is about; `''` is the window itself. */
  readonly key: string
  readonly code: 'invalid_value' | 'contradiction' | 'missing_key'
  readonly message: string
  readonly hint?: string
}

export type CompiledTimeWindow =
  | { readonly ok: true; readonly window: TimeWindow }
  | { readonly ok: false; readonly faults: readonly TimeWindowFault[] }

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

const CLOCK = /^([01][0-9]|2[0-3]):([0-5][0-9])$/
const CLOCK_HINT = 'two digits each, quoted: "08:00"'
/** An area and a place, as IANA names zones. `EST`, `IST` and the like are left out: they mean several zones or none. */
const ZONE = /^(?:UTC|[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)+)$/
const ZONE_HINT = 'an IANA name such as Europe/Berlin, or UTC'
/** What a Date can hold (ECMA-262 §21.4.1.1). */
const MAX_TIME = 8.64e15

/** Compiles `during`; all that is wrong with it is told at once. Unknown keys are left to whoever checked its shape. */
export function compileTimeWindow(raw: RawTimeWindow): CompiledTimeWindow {
  const faults: TimeWindowFault[] = []
  const days = raw.days === undefined ? undefined : readDays(raw.days, faults)
  const from = raw.from === undefined ? undefined : readClock('from', raw.from, faults)
  const to = raw.to === undefined ? undefined : readClock('to', raw.to, faults)
  const zone = raw.zone === undefined ? 'UTC' : readZone(raw.zone, faults)
  const notBefore = raw.not_before === undefined ? undefined : readMoment('not_before', raw.not_before, faults)
  const notAfter = raw.not_after === undefined ? undefined : readMoment('not_after', raw.not_after, faults)

  if ((raw.from === undefined) !== (raw.to === undefined)) {
    const [there, missing] = raw.from === undefined ? ['to', 'from'] : ['from', 'to']
    faults.push({ key: '', code: 'missing_key', message: `"${there}" stands without "${missing}"` })
  }
  if (from !== undefined && from === to) {
    const hint = 'leave both out to mean the whole day'
    faults.push({ key: 'to', code: 'contradiction', message: 'from and to are the same: no time or all of it', hint })
  }
  if (notBefore !== undefined && notAfter !== undefined && notBefore >= notAfter) {
    faults.push({ key: 'not_after', code: 'contradiction', message: 'not_after is not later than not_before' })
  }
  const byClock = raw.days !== undefined || raw.from !== undefined || raw.to !== undefined
  if (!byClock && raw.not_before === undefined && raw.not_after === undefined) {
    const hint = 'days, from and to, not_before, not_after'
    faults.push({ key: '', code: 'missing_key', message: 'this window names no time, so it is always open', hint })
  } else if (!byClock && raw.zone !== undefined) {
    const hint = 'a moment has its own offset; zone is for days, from and to'
    faults.push({ key: 'zone', code: 'contradiction', message: 'zone stands without days or hours', hint })
  }
  if (faults.length > 0) return { ok: false, faults }

  const hours = from === undefined || to === undefined ? undefined : { from, to }
  const clock = byClock ? clockOf(zone) : undefined
  const isOpen = (day: number, minute: number): boolean => {
    if (hours === undefined) return days?.has(day) ?? true
    if (hours.from < hours.to) return minute >= hours.from && minute < hours.to && (days?.has(day) ?? true)
    // Over midnight: what comes before `to` belongs to the day before, on which it began.
    if (minute >= hours.from) return days?.has(day) ?? true
    return minute < hours.to && (days?.has((day + 6) % 7) ?? true)
  }
  const window: TimeWindow = {
    holds: (now) => {
      if (!(Math.abs(now) <= MAX_TIME)) throw new TypeError('now is not milliseconds since the Unix epoch')
      if (notBefore !== undefined && now < notBefore) return false
      if (notAfter !== undefined && now >= notAfter) return false
      if (clock === undefined) return true
      const { day, minute } = clock(now)
      return isOpen(day, minute)
    },
    text: describe(days, raw, byClock ? zone : undefined, notBefore, notAfter),
  }
  return { ok: true, window: Object.freeze(window) }
}

function readDays(names: readonly string[], faults: TimeWindowFault[]): ReadonlySet<number> {
  const days = new Set<number>()
  const fault = (message: string): void => {
    faults.push({ key: 'days', code: 'invalid_value', message, hint: `one or more of ${WEEKDAYS.join(', ')}` })
  }
  if (names.length === 0) fault('no day is listed')
  for (const name of names) {
    const day = (WEEKDAYS as readonly string[]).indexOf(name)
    if (day === -1) fault(`"${printable(name, 40)}" is not a day`)
    else if (days.has(day)) fault(`"${name}" stands twice`)
    days.add(day)
  }
  return days
}

/** Minutes since midnight. */
function readClock(key: 'from' | 'to', text: string, faults: TimeWindowFault[]): number | undefined {
  const match = CLOCK.exec(text)
  if (match !== null) return Number(match[1]) * 60 + Number(match[2])
  const hint = text === '24:00' ? 'midnight is "00:00"; as the end of a window it is the end of the day' : CLOCK_HINT
  faults.push({ key, code: 'invalid_value', message: 'not a time of day', hint })
  return undefined
}

function readZone(text: string, faults: TimeWindowFault[]): string {
  const canonical = canonicalZone(text)
  if (canonical !== undefined) return canonical
  const close = closestName(text, Intl.supportedValuesOf('timeZone'))
  const hint = close === undefined ? ZONE_HINT : `did you mean "${close}"?`
  faults.push({ key: 'zone', code: 'invalid_value', message: 'not a time zone this platform knows', hint })
  return 'UTC'
}

function canonicalZone(text: string): string | undefined {
  // Some platforms take offsets and abbreviations for zones and others do not; a policy must not depend on which.
  if (text.length > 64 || !ZONE.test(text)) return undefined
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: text }).resolvedOptions().timeZone
  } catch {
    return undefined
  }
}

function readMoment(key: string, text: string, faults: TimeWindowFault[]): number | undefined {
  const time = parseMoment(text)
  if (time !== undefined) return time
  const hint = 'date, time and offset: 2027-01-31T08:00:00+01:00, or with Z for UTC'
  faults.push({ key, code: 'invalid_value', message: 'not a moment as RFC 3339 writes it', hint })
  return undefined
}

const MOMENT =
  /^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,3}))?(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))$/

/**
 * Milliseconds since the Unix epoch of an RFC 3339 date-time with offset, at most milliseconds fine; `undefined` for all
 * else: other spellings, days and hours that do not exist, leap seconds, and `-00:00`, which says that nobody knows.
 */
export function parseMoment(text: string): number | undefined {
  const match = MOMENT.exec(text)
  if (match === null) return undefined
  const [, local = '', fraction = '', sign, hours, minutes] = match
  const utc = `${local}.${fraction.padEnd(3, '0')}Z`
  const time = Date.parse(utc)
  // Date.parse turns 30 February into 1 March and 24:00 into the next day; only what comes back as it went in is one.
  if (Number.isNaN(time) || new Date(time).toISOString() !== utc) return undefined
  if (sign === undefined) return time
  const offset = (Number(hours) * 60 + Number(minutes)) * 60_000
  if (offset === 0 && sign === '-') return undefined
  return sign === '+' ? time - offset : time + offset
}

/** What the clock on the wall shows: the day (0 is Monday) and minutes since midnight. */
interface WallTime {
  readonly day: number
  readonly minute: number
}

/** One per zone and process: platforms have some 600 zones, and making a formatter is what costs most. */
const clocks = new Map<string, (now: number) => WallTime>()

function clockOf(zone: string): (now: number) => WallTime {
  const known = clocks.get(zone)
  if (known !== undefined) return known
  const clock = makeClock(zone)
  clocks.set(zone, clock)
  return clock
}

/** Since then the offset of every zone is whole minutes (Africa/Monrovia was the last), so a minute has one reading. */
const WHOLE_MINUTES_SINCE = Date.UTC(1972, 0, 8)

function makeClock(zone: string): (now: number) => WallTime {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
  })
  let lastMinute = Number.NaN
  let last: WallTime = { day: 0, minute: 0 }
  return (now) => {
    const minute = now >= WHOLE_MINUTES_SINCE ? Math.floor(now / 60_000) : Number.NaN
    if (minute === lastMinute) return last
    const wall = readWall(format.formatToParts(now))
    // Nothing is remembered of a reading that failed.
    lastMinute = minute
    last = wall
    return wall
  }
}

function readWall(parts: readonly Intl.DateTimeFormatPart[]): WallTime {
  let day = -1
  let hour = Number.NaN
  let minute = Number.NaN
  for (const { type, value } of parts) {
    if (type === 'weekday') day = (WEEKDAYS as readonly string[]).indexOf(value.toLowerCase())
    else if (type === 'hour') hour = Number(value)
    else if (type === 'minute') minute = Number(value)
  }
  const sum = hour * 60 + minute
  if (day < 0 || !(sum >= 0 && sum < 1440)) throw new TypeError('the platform cannot tell the time in this zone')
  return { day, minute: sum }
}

function describe(
  days: ReadonlySet<number> | undefined,
  { from, to }: RawTimeWindow,
  zone: string | undefined,
  notBefore: number | undefined,
  notAfter: number | undefined,
): string {
  const clock = [
    days === undefined ? undefined : WEEKDAYS.filter((_, day) => days.has(day)).join(','),
    from === undefined ? undefined : `${from}-${to}`,
    zone,
  ].filter((part) => part !== undefined)
  return [
    clock.join(' '),
    notBefore === undefined ? '' : `not before ${new Date(notBefore).toISOString()}`,
    notAfter === undefined ? '' : `not after ${new Date(notAfter).toISOString()}`,
  ]
    .filter((part) => part !== '')
    .join(', ')
}
