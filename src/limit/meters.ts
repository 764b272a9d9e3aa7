// The four ways to count behind one set of methods, so that a store need not know which it holds.

import type { Charge } from '../core/charge.ts'
import type { Meter } from './check-charge.ts'
import { SlidingWindow } from './sliding-window.ts'
import { Tally } from './tally.ts'
import { TokenBucket } from './token-bucket.ts'

export type State =
  | { readonly meter: 'rate'; readonly bucket: TokenBucket }
  | { readonly meter: 'window'; readonly window: SlidingWindow }
  | { readonly meter: 'concurrency' | 'total'; readonly tally: Tally }

export function newState(meter: Meter): State {
  if (meter === 'rate') return { meter, bucket: new TokenBucket() }
  if (meter === 'window') return { meter, window: new SlidingWindow() }
  return { meter, tally: new Tally() }
}

/** From when on the counter holds nothing, if nothing more happens. */
export function idleAt(state: State): number {
  if (state.meter === 'rate') return state.bucket.idleAt
  return state.meter === 'window' ? state.window.idleAt : state.tally.idleAt
}

/** Whether the charge fits beside what is there and `pending`, which other charges of the same call are about to take. */
export function fits(state: State, charge: Charge, pending: number, now: number): boolean {
  const { amount, max, perMs = 0, burst = max } = charge
  if (state.meter === 'rate') return state.bucket.fits(now, amount, pending, burst)
  if (state.meter === 'window') return state.window.fits(now, amount, pending, max, perMs)
  return state.tally.fits(amount, pending, max)
}

/** For a charge that does not fit: milliseconds until it may. */
export function wait(state: State, charge: Charge, pending: number, now: number): number | undefined {
  const { amount, max, perMs = 0, burst = max } = charge
  if (state.meter === 'rate') return state.bucket.wait(now, amount, pending, burst)
  if (state.meter === 'window') return state.window.wait(now, amount, pending, max, perMs)
  return undefined
}

export function take(state: State, { amount, max, perMs = 0 }: Charge, now: number): void {
  if (state.meter === 'rate') state.bucket.take(now, amount, max, perMs)
  else if (state.meter === 'window') state.window.take(now, amount, perMs)
  else state.tally.take(amount)
}

/** Undoes a `take` made at `takenAt`. */
export function giveBack(state: State, amount: number, takenAt: number, now: number): void {
  if (state.meter === 'rate') state.bucket.giveBack(now, takenAt, amount)
  else if (state.meter === 'window') state.window.giveBack(takenAt, amount)
  else state.tally.giveBack(amount)
}
