// The strict deadline of one decision. Synchronous work cannot be interrupted, so it is checked after; what is awaited is
// raced. Late is denied, never allowed.

import type { Clock } from './clock.ts'

export const LATE: unique symbol = Symbol('late')

export class Deadline {
  readonly #clock: Clock
  readonly #started: number
  readonly #limit: number

  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock
    this.#limit = limitMs
    this.#started = clock.monotonic()
  }

  get passed(): boolean {
    return this.#clock.monotonic() - this.#started > this.#limit
  }

  /** Microseconds since the decision began. */
  get elapsedMicros(): number {
    return Math.round((this.#clock.monotonic() - this.#started) * 1000)
  }

  /** The value of `promise`, or {@link LATE} when it has not settled in time. A late rejection is swallowed here. */
  async race<T>(promise: Promise<T>): Promise<T | typeof LATE> {
    const left = this.#limit - (this.#clock.monotonic() - this.#started)
    if (left <= 0) {
      promise.catch(() => undefined)
      return LATE
    }
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<typeof LATE>((resolve) => {
      timer = setTimeout(() => resolve(LATE), left)
    })
    try {
      return await Promise.race([promise, late])
    } finally {
      clearTimeout(timer)
      promise.catch(() => undefined)
    }
  }
}
