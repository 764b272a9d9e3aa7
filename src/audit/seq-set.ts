// A set of sequence numbers: one bit each where they are dense, as in an honest log, and no more than a small page for
// each where they are not, so that a log cannot make its verifier use much more memory than its own size.

const PAGE_BITS = 1024

export class SeqSet {
  readonly #pages = new Map<number, Uint8Array>()

  /** Whether it was new. */
  add(seq: number): boolean {
    const key = Math.floor(seq / PAGE_BITS)
    let page = this.#pages.get(key)
    if (page === undefined) {
      page = new Uint8Array(PAGE_BITS / 8)
      this.#pages.set(key, page)
    }
    const bit = seq % PAGE_BITS
    const byte = page[bit >> 3] ?? 0
    const mask = 1 << (bit & 7)
    page[bit >> 3] = byte | mask
    return (byte & mask) === 0
  }

  has(seq: number): boolean {
    const bit = seq % PAGE_BITS
    const byte = this.#pages.get(Math.floor(seq / PAGE_BITS))?.[bit >> 3] ?? 0
    return (byte & (1 << (bit & 7))) !== 0
  }

  *[Symbol.iterator](): Generator<number> {
    for (const [key, page] of this.#pages) {
      for (let bit = 0; bit < PAGE_BITS; bit++) {
        if (((page[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0) yield key * PAGE_BITS + bit
      }
    }
  }
}
