// From an offset in a text to the line and column a person counts, and back to the text of a line.

import type { Position } from './problem.ts'

/** Lines end at LF, CRLF or a lone CR, as editors count them. The table is built on first use. */
export class LineTable {
  readonly #text: string
  #starts: readonly number[] | undefined

  constructor(text: string) {
    this.#text = text
  }

  /** `offset` is clamped to the text. */
  position(offset: number): Position {
    const starts = this.#lineStarts()
    const at = Math.max(0, Math.min(offset, this.#text.length))
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((starts[middle] ?? 0) <= at) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: at - (starts[low] ?? 0) + 1, offset: at }
  }

  /** Bounds of line `line` (from 1) without its line end. */
  bounds(line: number): { readonly start: number; readonly end: number } {
    const starts = this.#lineStarts()
    const start = starts[line - 1] ?? this.#text.length
    let end = starts[line] ?? this.#text.length
    while (end > start && isLineEnd(this.#text.charCodeAt(end - 1))) end--
    return { start, end }
  }

  #lineStarts(): readonly number[] {
    if (this.#starts !== undefined) return this.#starts
    const starts = [0]
    const text = this.#text
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index)
      if (code === 0x0a || (code === 0x0d && text.charCodeAt(index + 1) !== 0x0a)) starts.push(index + 1)
    }
    this.#starts = starts
    return starts
  }
}

function isLineEnd(code: number): boolean {
  return code === 0x0a || code === 0x0d
}
