// A span of time as it stands in a document: a whole number and one unit, nothing else. Compound forms (`1h30m`), fractions
// and bare numbers are refused, because two readers could take them for different spans.

/** The longest span a document may name: a leap year. */
const MAX_DAYS = 366
const MAX_MS = MAX_DAYS * 86_400_000

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
// Eleven digits hold the longest span in milliseconds; more could lose precision before they are compared with it.
const DURATION = /^([1-9][0-9]{0,10})(ms|s|m|h|d)$/
const HINT = 'write a whole number and one unit: 500ms, 30s, 5m, 2h, 1d'

export type ParsedDuration =
  | { readonly ok: true; readonly ms: number }
  | { readonly ok: false; readonly reason: string; readonly hint: string }

/** Milliseconds of `500ms`, `30s`, `5m`, `2h` or `1d`: positive, at most 366 days. A day is 24 hours. */
export function parseDuration(text: string): ParsedDuration {
  const match = DURATION.exec(text)
  if (match === null) return { ok: false, reason: faultOf(text), hint: HINT }
  const ms = Number(match[1]) * (UNITS[match[2] ?? ''] ?? Number.NaN)
  if (!(ms <= MAX_MS)) return { ok: false, reason: TOO_LONG, hint: `write at most ${MAX_DAYS}d` }
  return { ok: true, ms }
}

const TOO_LONG = `a duration is at most ${MAX_DAYS} days`

function faultOf(text: string): string {
  if (/^[1-9][0-9]{11,}(?:ms|s|m|h|d)$/.test(text)) return TOO_LONG
  if (/^0+(?:ms|s|m|h|d)$/.test(text)) return 'a duration is longer than nothing'
  if (/^[0-9]+$/.test(text)) return 'a duration has a unit'
  return 'not a duration'
}
