// A clock that stands still until it is told to move.

import type { Clock } from '../core/clock.ts'

export interface ManualClock extends Clock {
  /** Moves both clocks forward by `ms`. */
  advance(ms: number): void
  /** Sets the wall clock alone, as an operator or an attacker would. */
  setNow(epochMs: number): void
}

/** Starts at `epochMs` (2026-01-01T00:00:00Z unless said), monotonic 0. */
export function manualClock(epochMs = 1_767_225_600_000): ManualClock {
  let wall = epochMs
  let steady = 0
  return {
    now: () => wall,
    monotonic: () => steady,
    advance: (ms) => {
      if (!(ms >= 0)) throw new TypeError('a clock advances by 0 ms or more')
      wall += ms
      steady += ms
    },
    setNow: (epoch) => {
      wall = epoch
    },
  }
}
