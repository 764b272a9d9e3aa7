// The body of an HTTP/1.1 request, taken out of its framing. Decides where the next request begins; a chunk has one
// spelling here, since extensions and trailers are where parsers part (RFC 9112 §7.1).

import type { BodyFraming } from './http-head.ts'

export interface BodyProgress {
  readonly state: 'incomplete' | 'complete' | 'malformed'
  /** Content that the chunk brought, as views of it. */
  readonly content: readonly Uint8Array[]
  /** Bytes of the chunk that belong to the body. */
  readonly used: number
}

const LF = 0x0a
const CR = 0x0d
const SIZE = /^(?:0|[1-9a-fA-F][0-9a-fA-F]{0,7})$/
const SIZE_DIGITS = 8

/** Takes the bytes after a request head as they come, in pieces of any size, until the body ends. */
export class BodyReader {
  /** What is expected next; a body of known length is one chunk without a frame. */
  #step: 'data' | 'size' | 'size_lf' | 'data_cr' | 'data_lf' | 'end_cr' | 'end_lf' | 'complete' | 'malformed'
  #left: number
  #size = ''
  readonly #chunked: boolean

  constructor(framing: BodyFraming) {
    this.#chunked = framing.kind === 'chunked'
    this.#left = framing.kind === 'length' ? framing.bytes : 0
    this.#step = this.#chunked ? 'size' : this.#left === 0 ? 'complete' : 'data'
  }

  push(chunk: Uint8Array): BodyProgress {
    const content: Uint8Array[] = []
    let used = 0
    while (used < chunk.length && this.#step !== 'complete' && this.#step !== 'malformed') {
      if (this.#step !== 'data') {
        this.#takeFrame(chunk[used++] ?? 0)
        continue
      }
      const end = Math.min(chunk.length, used + this.#left)
      content.push(chunk.subarray(used, end))
      this.#left -= end - used
      used = end
      if (this.#left === 0) this.#step = this.#chunked ? 'data_cr' : 'complete'
    }
    const state = this.#step === 'complete' || this.#step === 'malformed' ? this.#step : 'incomplete'
    return { state, content, used }
  }

  #takeFrame(byte: number): void {
    switch (this.#step) {
      case 'size':
        if (byte === CR && SIZE.test(this.#size)) this.#step = 'size_lf'
        else if (byte === CR || this.#size.length === SIZE_DIGITS) this.#step = 'malformed'
        else this.#size += String.fromCharCode(byte)
        break
      case 'size_lf':
        this.#left = Number.parseInt(this.#size, 16)
        this.#size = ''
        this.#step = byte !== LF ? 'malformed' : this.#left === 0 ? 'end_cr' : 'data'
        break
      case 'data_cr':
        this.#step = byte === CR ? 'data_lf' : 'malformed'
        break
      case 'data_lf':
        this.#step = byte === LF ? 'size' : 'malformed'
        break
      case 'end_cr':
        this.#step = byte === CR ? 'end_lf' : 'malformed'
        break
      default:
        this.#step = byte === LF ? 'complete' : 'malformed'
    }
  }
}
