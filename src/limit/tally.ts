// A plain sum: of what is in use at the same time, or of all there ever was.

export class Tally {
  #sum = 0
  #parts = 0

  /** Never by waiting alone: somebody gives it back, or nobody does. */
  get idleAt(): number {
    return this.#parts === 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  }

  fits(amount: number, pending: number, max: number): boolean {
    return this.#sum + pending + amount <= max
  }

  take(amount: number): void {
    this.#sum += amount
    this.#parts++
  }

  giveBack(amount: number): void {
    this.#parts--
    // Nothing in it is exactly nothing, whatever adding and subtracting fractions has left.
    this.#sum = this.#parts === 0 ? 0 : Math.max(0, this.#sum - amount)
  }
}
