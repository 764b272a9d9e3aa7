// A bucket of tokens, kept as what is missing from it: a new bucket is full, and one nobody uses becomes full again and
// need not be kept. It is refilled at the rate that held when it was last drawn from.

export class TokenBucket {
  /** Tokens missing at `#at`. */
  #spent = 0
  #at = 0
  #max = 1
  #perMs = 1

  get idleAt(): number {
    return this.#spent === 0 ? Number.NEGATIVE_INFINITY : this.#at + (this.#spent * this.#perMs) / this.#max
  }

  fits(now: number, amount: number, pending: number, burst: number): boolean {
    return this.#spentAt(now) + pending + amount <= burst
  }

  /** Milliseconds until it fits; `undefined` when a full bucket would not hold it, or beyond what can be told. */
  wait(now: number, amount: number, pending: number, burst: number): number | undefined {
    if (pending + amount > burst) return undefined
    const missing = this.#spentAt(now) + pending + amount - burst
    const wait = Math.max(1, Math.ceil((missing * this.#perMs) / this.#max))
    if (!Number.isSafeInteger(wait)) return undefined
    // Dividing has rounded; what counts is what will be answered then.
    if (!this.fits(now + wait, amount, pending, burst)) return wait + 1
    return wait > 1 && this.fits(now + wait - 1, amount, pending, burst) ? wait - 1 : wait
  }

  take(now: number, amount: number, max: number, perMs: number): void {
    this.#spent = this.#spentAt(now) + amount
    this.#at = now
    this.#max = max
    this.#perMs = perMs
  }

  /**
   * Gives back what was taken at `takenAt`, less what can have come back by itself since: giving that back once more
   * would hold more than `burst`.
   */
  giveBack(now: number, takenAt: number, amount: number): void {
    const back = Math.max(0, amount - this.#refill(now - takenAt))
    this.#spent = Math.max(0, this.#spentAt(now) - back)
    this.#at = now
  }

  #spentAt(now: number): number {
    return this.#spent === 0 ? 0 : Math.max(0, this.#spent - this.#refill(now - this.#at))
  }

  #refill(elapsed: number): number {
    return (elapsed * this.#max) / this.#perMs
  }
}
