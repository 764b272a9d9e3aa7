// What every store asks of a charge before it counts, and what a counter is called. A NaN in an amount or a bound would
// make each comparison false and the limit none; a name that two counters share would let one caller spend for another.

import type { Charge, LimitKind } from '../core/charge.ts'
import { isWellFormed } from '../core/wellformed.ts'
import { limitUnavailable } from './unavailable.ts'

/** Longest period and longest lease: 100 years. Times stay exact in a double, in microseconds too. */
export const MAX_PERIOD_MS = 3_155_760_000_000

/** Charges of one call. Each destination a call names may be one. */
export const MAX_CHARGES = 4096

/** Longest key, lease and run, in UTF-16 code units. */
const MAX_NAME = 512

/** How a counter works: `budget` is two kinds, one that forgets with time and one that does not. */
export type Meter = 'rate' | 'window' | 'concurrency' | 'total'

const METERS: Readonly<Record<LimitKind, true>> = { rate: true, window: true, concurrency: true, budget: true }

/** Throws TypeError unless `charge` is one that can be counted as src/core/charge.ts says. */
export function checkCharge(charge: Charge): void {
  const { limit, kind, key, run, amount, max, perMs, burst } = charge
  if (typeof limit !== 'string') fault('limit is not text')
  if (typeof kind !== 'string' || !Object.hasOwn(METERS, kind)) fault('kind is none of the four')
  checkName('key', key)
  if (run !== undefined) checkName('run', run)
  if (!Number.isFinite(amount) || amount < 0) fault('amount is not a finite number from 0 on')
  if (!isPositive(max)) fault('max is not a finite number above 0')
  if (perMs === undefined) {
    if (kind === 'rate' || kind === 'window') fault(`a ${kind} has perMs`)
  } else {
    if (kind === 'concurrency') fault('concurrency has no perMs')
    if (!isPositive(perMs) || perMs > MAX_PERIOD_MS) fault('perMs is not above 0 and at most 100 years')
  }
  if (burst !== undefined && kind !== 'rate') fault('only a rate has burst')
  if (burst !== undefined && !isPositive(burst)) fault('burst is not a finite number above 0')
}

/**
 * All that is asked of the arguments of `reserve`. Throws TypeError, or `ERR_LIMIT_UNAVAILABLE` for more than
 * {@link MAX_CHARGES}: how many there are may be for an agent to choose.
 */
export function checkReserve(charges: readonly Charge[], lease: string, leaseMs: number): void {
  checkLease(charges, lease)
  if (!isPositive(leaseMs) || leaseMs > MAX_PERIOD_MS) fault('leaseMs is not above 0 and at most 100 years')
}

/** The same without a length: what `release` is given. */
export function checkLease(charges: readonly Charge[], lease: string): void {
  checkName('lease', lease)
  if (!Array.isArray(charges)) fault('charges are not a list')
  if (charges.length > MAX_CHARGES) throw limitUnavailable(`one call takes from more than ${MAX_CHARGES} counters`)
  for (const charge of charges) checkCharge(charge)
}

/** `run`, or TypeError. */
export function checkRun(run: string): void {
  checkName('run', run)
}

export function meterOf({ kind, perMs }: Charge): Meter {
  if (kind === 'budget') return perMs === undefined ? 'total' : 'window'
  return kind
}

const LETTER: Readonly<Record<Meter, string>> = { rate: 'r', window: 'w', concurrency: 'c', total: 't' }

/**
 * Name of the counter. Charges with the same kind, run and key share one; the length before the run keeps the two texts
 * apart, whatever they hold.
 */
export function counterName(charge: Charge): string {
  const { key, run } = charge
  // A budget with a period and a window count alike, and are still two counters.
  const letter = charge.kind === 'budget' && charge.perMs !== undefined ? 'b' : LETTER[meterOf(charge)]
  return run === undefined ? `${letter}:${key}` : `${letter}${run.length}:${run}:${key}`
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0
}

function checkName(what: string, value: string): void {
  if (typeof value !== 'string' || value === '' || value.length > MAX_NAME)
    fault(`${what} is not text of 1 to ${MAX_NAME} characters`)
  // Sent to a server, a lone surrogate is replaced, and two names become one.
  if (!isWellFormed(value)) fault(`${what} is not Unicode`)
}

function fault(message: string): never {
  throw new TypeError(`a charge cannot be counted: ${message}`)
}
