// What was taken within the last `perMs`, exactly. The store in src/integrations does the same arithmetic in the same
// order, so that both answer alike.

/**
 * Entries of one window before they are thinned out. Charges of the same instant share one. At this many, those within
 * `perMs` / 512 of each other are joined and counted until the latest of them ends: capacity then comes back late by
 * less than that, and never early.
 */
export const WINDOW_ENTRIES = 1024

interface Entry {
  /** Times of the first and the last charge counted here. */
  readonly first: number
  last: number
  amount: number
}

export class SlidingWindow {
  /** Oldest first; their spans do not overlap. Those before `#head` have ended. */
  #entries: Entry[] = []
  #head = 0
  #sum = 0
  #perMs = 0

  /** Entries kept. */
  get size(): number {
    return this.#entries.length
  }

  get idleAt(): number {
    const newest = this.#entries.at(-1)
    return newest === undefined ? Number.NEGATIVE_INFINITY : newest.last + this.#perMs
  }

  fits(now: number, amount: number, pending: number, max: number, perMs: number): boolean {
    this.#forgetEnded(now, perMs)
    return this.#sum + pending + amount <= max
  }

  /** Milliseconds until it may fit; `undefined` when an empty window would not hold it. */
  wait(now: number, amount: number, pending: number, max: number, perMs: number): number | undefined {
    if (pending + amount > max) return undefined
    let sum = this.#sum
    for (let index = this.#head; index < this.#entries.length; index++) {
      const entry = this.#entries[index]
      if (entry === undefined) break
      sum = index === this.#entries.length - 1 ? 0 : Math.max(0, sum - entry.amount)
      if (sum + pending + amount <= max) return Math.max(1, Math.ceil(entry.last + perMs - now))
    }
    return undefined
  }

  take(now: number, amount: number, perMs: number): void {
    this.#perMs = perMs
    this.#sum += amount
    const newest = this.#entries.at(-1)
    if (newest !== undefined && newest.last === now) newest.amount += amount
    else {
      if (this.#entries.length - this.#head >= WINDOW_ENTRIES) this.#thin(perMs)
      this.#entries.push({ first: now, last: now, amount })
    }
  }

  /** Gives back what was taken at `takenAt`, unless it has ended. */
  giveBack(takenAt: number, amount: number): void {
    let [low, high] = [this.#head, this.#entries.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#entries[middle]?.last ?? 0) < takenAt) low = middle + 1
      else high = middle
    }
    const entry = this.#entries[low]
    if (entry === undefined || entry.first > takenAt) return
    entry.amount -= amount
    if (entry.amount <= 0) this.#entries.splice(low, 1)
    this.#sum = this.#head === this.#entries.length ? 0 : Math.max(0, this.#sum - amount)
    if (this.#head === this.#entries.length) this.#reset()
  }

  #forgetEnded(now: number, perMs: number): void {
    for (;;) {
      const oldest = this.#entries[this.#head]
      if (oldest === undefined || oldest.last + perMs > now) break
      this.#sum = Math.max(0, this.#sum - oldest.amount)
      this.#head++
    }
    if (this.#head === this.#entries.length) this.#reset()
    else if (this.#head > 32 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }

  /** An empty window holds exactly nothing, whatever adding and subtracting fractions has left. */
  #reset(): void {
    if (this.#entries.length > 0) this.#entries = []
    this.#head = 0
    this.#sum = 0
  }

  /** The grid is fixed, so that an entry joined again and again ends with its grain and not ever later. */
  #thin(perMs: number): void {
    const grain = (2 * perMs) / WINDOW_ENTRIES
    const thinned: Entry[] = []
    for (let index = this.#head; index < this.#entries.length; index++) {
      const entry = this.#entries[index]
      if (entry === undefined) continue
      const before = thinned.at(-1)
      if (before !== undefined && Math.floor(before.last / grain) === Math.floor(entry.last / grain)) {
        before.last = entry.last
        before.amount += entry.amount
      } else thinned.push(entry)
    }
    this.#entries = thinned
    this.#head = 0
  }
}
