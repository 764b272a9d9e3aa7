// Time comes in through this port, so that a decision is repeatable and a test can hold the clock still.

export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. Used for what people read and for lifetimes of signed things. */
  now(): number
  /** Milliseconds that never run backwards. Used for deadlines and tickets: stepping the wall clock extends nothing. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
