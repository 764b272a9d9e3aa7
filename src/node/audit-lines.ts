// Reads a log line by line through an open descriptor, with memory bounded by one line whatever the file holds.

import { read as readCallback } from 'node:fs'
import { promisify } from 'node:util'
import { LIMITS } from '../core/limits.ts'

const read = promisify(readCallback)

const CHUNK = 256 * 1024

/** What follows the last newline. */
export interface Tail {
  readonly offset: number
  readonly length: number
  /** The bytes; at most one more than a record may have. */
  readonly bytes: Uint8Array
}

/**
 * Calls `onLine` with each complete line of the first `size` bytes, without its newline. The bytes are only lent. Of a
 * line longer than a record may be, one byte more than that is given.
 */
export async function readLines(fd: number, size: number, onLine: (line: Uint8Array) => void): Promise<Tail> {
  const chunk = Buffer.alloc(CHUNK)
  const line = new LineBuffer()
  let lineOffset = 0
  let position = 0
  while (position < size) {
    const { bytesRead } = await read(fd, chunk, 0, Math.min(CHUNK, size - position), position)
    if (bytesRead === 0) break
    let from = 0
    for (let to = chunk.indexOf(10, 0); to >= 0 && to < bytesRead; to = chunk.indexOf(10, from)) {
      onLine(line.finish(chunk.subarray(from, to)))
      from = to + 1
      lineOffset = position + from
    }
    line.add(chunk.subarray(from, bytesRead))
    position += bytesRead
  }
  return { offset: lineOffset, length: position - lineOffset, bytes: Uint8Array.from(line.finish(new Uint8Array())) }
}

/** The part of a line that an earlier chunk ended in. */
class LineBuffer {
  readonly #bytes = new Uint8Array(LIMITS.auditRecordBytes + 1)
  #length = 0

  add(part: Uint8Array): void {
    const kept = part.subarray(0, this.#bytes.length - this.#length)
    this.#bytes.set(kept, this.#length)
    this.#length += kept.length
  }

  /** The line that ends with `part`. */
  finish(part: Uint8Array): Uint8Array {
    if (this.#length === 0) return part.subarray(0, this.#bytes.length)
    this.add(part)
    const line = this.#bytes.subarray(0, this.#length)
    this.#length = 0
    return line
  }
}
