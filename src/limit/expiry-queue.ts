// What ends when, soonest first: a binary heap. Entries are not moved when their time changes; whoever takes one out looks
// whether it still holds.

export interface Expiring<T> {
  readonly at: number
  readonly value: T
}

export class ExpiryQueue<T> {
  readonly #heap: Expiring<T>[] = []

  get size(): number {
    return this.#heap.length
  }

  add(at: number, value: T): void {
    const heap = this.#heap
    const entry = { at, value }
    let index = heap.length
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = heap[parent]
      if (above === undefined || above.at <= at) break
      heap[index] = above
      index = parent
    }
    heap[index] = entry
  }

  /** The entry that ends first, taken out, if it has ended by `now`. */
  takeEnded(now: number): Expiring<T> | undefined {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined || first.at > now) return undefined
    const last = heap.pop()
    if (last !== undefined && heap.length > 0) this.#sink(last)
    return first
  }

  /** Drops the entries for which `keep` is false. Linear. */
  retain(keep: (entry: Expiring<T>) => boolean): void {
    const kept = this.#heap.filter(keep)
    this.#heap.length = 0
    for (const { at, value } of kept) this.add(at, value)
  }

  #sink(entry: Expiring<T>): void {
    const heap = this.#heap
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      const [left, right] = [heap[child], heap[child + 1]]
      if (left === undefined) break
      let least = left
      if (right !== undefined && right.at < left.at) {
        least = right
        child++
      }
      if (least.at >= entry.at) break
      heap[index] = least
      index = child
    }
    heap[index] = entry
  }
}
