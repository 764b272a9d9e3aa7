// Finds the first place where a sequence of character sets fits into a text. Bit-parallel (Shift-And, Baeza-Yates and
// Gonnet, CACM 35(10), 1992): one step per code point and 32 sets, whatever the text is. Trying the sequence at every
// position, and String.indexOf too, multiply their lengths on inputs made for it.

import { type CharSet, setHas } from './glob-syntax.ts'

const BITS = 32
const ASCII = 128

export class SequenceSearch {
  readonly #words: number
  readonly #last: number
  /** First code points of the intervals within which no set of the sequence tells two characters apart. */
  readonly #starts: readonly number[]
  /** For each interval, which sets of the sequence hold it: `#words` numbers. */
  readonly #masks: Int32Array
  readonly #ascii: Uint16Array = new Uint16Array(ASCII)

  constructor(sequence: readonly CharSet[]) {
    this.#words = Math.ceil(sequence.length / BITS)
    this.#last = 1 << ((sequence.length - 1) % BITS)
    const bounds = new Set([0])
    for (const { ranges } of sequence) {
      ranges.forEach((codePoint, index) => {
        bounds.add(index % 2 === 0 ? codePoint : codePoint + 1)
      })
    }
    this.#starts = [...bounds].sort((a, b) => a - b)
    this.#masks = new Int32Array(this.#starts.length * this.#words)
    this.#starts.forEach((codePoint, interval) => {
      sequence.forEach((set, index) => {
        if (!setHas(set, codePoint)) return
        const word = interval * this.#words + Math.floor(index / BITS)
        this.#masks[word] = (this.#masks[word] ?? 0) | (1 << (index % BITS))
      })
    })
    for (let codePoint = 0; codePoint < ASCII; codePoint++) this.#ascii[codePoint] = this.#interval(codePoint)
  }

  /** Where the leftmost fit within `input[from, to)` ends, or -1. */
  end(input: string, from: number, to: number): number {
    const masks = this.#masks
    const words = this.#words
    const final = words - 1
    // Bit i says that the sets up to i fit the characters just read.
    const state = new Int32Array(words)
    let position = from
    while (position < to) {
      const codePoint = input.codePointAt(position) ?? 0
      position += codePoint > 0xffff ? 2 : 1
      const offset = (codePoint < ASCII ? (this.#ascii[codePoint] ?? 0) : this.#interval(codePoint)) * words
      let carry = 1
      for (let word = 0; word < words; word++) {
        const before = state[word] ?? 0
        state[word] = ((before << 1) | carry) & (masks[offset + word] ?? 0)
        carry = before >>> (BITS - 1)
      }
      if (((state[final] ?? 0) & this.#last) !== 0) return position <= to ? position : -1
    }
    return -1
  }

  #interval(codePoint: number): number {
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#starts[middle] ?? 0) <= codePoint) low = middle
      else high = middle - 1
    }
    return low
  }
}
