// A moment as it stands in signed and trusted files: UTC, one spelling, no guessing of zones.

const INSTANT = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{3})?Z$/

/** RFC 3339 in UTC with whole seconds or milliseconds, e.g. `2027-01-31T00:00:00Z`. */
export const INSTANT_PATTERN: RegExp = INSTANT

/** Milliseconds since the Unix epoch, or `undefined`: also for days and hours that do not exist. */
export function parseInstant(text: string): number | undefined {
  if (!INSTANT.test(text)) return undefined
  const time = Date.parse(text)
  // Date.parse turns 30 February into 1 March; only what comes back as it went in is a date.
  return Number.isNaN(time) || new Date(time).toISOString() !== withMilliseconds(text) ? undefined : time
}

/** The text {@link parseInstant} reads. */
export function formatInstant(time: number): string {
  return new Date(time).toISOString().replace('.000Z', 'Z')
}

function withMilliseconds(text: string): string {
  return text.includes('.') ? text : text.replace('Z', '.000Z')
}
