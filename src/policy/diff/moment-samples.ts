// Moments at the edges of a time window: each day and each end of the hours in a winter and a summer week, and where it
// begins and ends.

import type { RawDuring } from '../schema.ts'
import { parseMoment } from '../time-window.ts'

const DAY = 86_400_000
const MINUTE = 60_000
/** Mondays: one for each half of the year, since a zone can differ in one of them alone. */
const WEEKS = [Date.UTC(2027, 0, 11), Date.UTC(2027, 6, 12)]

export function momentSamples(during: RawDuring): readonly number[] {
  const ends = [during.not_before, during.not_after].flatMap((text) => {
    const moment = text === undefined ? undefined : parseMoment(text)
    return moment === undefined ? [] : [moment]
  })
  const found = ends.flatMap((moment) => [moment - 1, moment, moment + 1])
  if (during.days === undefined && during.from === undefined) return found.length === 0 ? WEEKS : found
  const minutes = [during.from, during.to].flatMap((text) => minutesOf(text))
  const times = minutes.length === 0 ? [0, 720] : minutes.flatMap((minute) => [minute - 1, minute, minute + 60])
  // Within not_before and not_after there may be no week of those above.
  for (const monday of [...WEEKS, ...ends.flatMap((moment) => [moment, moment - 7 * DAY])]) {
    for (let day = 0; day < 7; day++) {
      for (const minute of times) found.push(atClock(monday + day * DAY, minute, during.zone ?? 'UTC'))
    }
  }
  return [...new Set(found)]
}

function minutesOf(text: string | undefined): readonly number[] {
  const match = /^([0-9]{2}):([0-9]{2})$/.exec(text ?? '')
  return match === null ? [] : [Number(match[1]) * 60 + Number(match[2])]
}

/** When the clock of the zone shows that many minutes after midnight, on the day of `moment` by UTC; about, at a change of time. */
function atClock(moment: number, minute: number, zone: string): number {
  const guess = Math.floor(moment / DAY) * DAY + minute * MINUTE
  return guess - offsetAt(guess, zone)
}

/** Making one costs more than all else here; a process meets few zones, and those it has loaded are known to the platform. */
const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  formats.set(zone, format)
  return format
}

function offsetAt(moment: number, zone: string): number {
  try {
    const format = formatOf(zone)
    const parts = Object.fromEntries(format.formatToParts(moment).map(({ type, value }) => [type, Number(value)]))
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute) - Math.floor(moment / MINUTE) * MINUTE
  } catch {
    return 0
  }
}
