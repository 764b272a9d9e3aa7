// Bytes of a socket on demand. Decides nothing; it keeps what was read too much, reads no more than is asked for, so that a
// sender is held back by TCP itself, and never rejects: a broken connection is one that has ended.

import type { Socket } from 'node:net'

const ENDINGS = ['readable', 'end', 'close', 'error'] as const

export class SocketReader {
  readonly #socket: Socket
  #rest: Uint8Array | undefined

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** The next bytes, at least one; `undefined` at the end. */
  async read(): Promise<Uint8Array | undefined> {
    const rest = this.takeRest()
    if (rest !== undefined) return rest
    for (;;) {
      const chunk = this.#socket.read() as Uint8Array | null
      if (chunk !== null && chunk.length > 0) return chunk
      if (this.#socket.readableEnded || this.#socket.destroyed || !this.#socket.readable) return undefined
      await this.#change()
    }
  }

  /** Puts bytes back in front of the others. */
  putBack(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#rest = this.#rest === undefined ? bytes : Buffer.concat([bytes, this.#rest])
  }

  /** What was put back, which the socket itself will not give again. */
  takeRest(): Uint8Array | undefined {
    const rest = this.#rest
    this.#rest = undefined
    return rest
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        for (const event of ENDINGS) this.#socket.removeListener(event, done)
        resolve()
      }
      for (const event of ENDINGS) this.#socket.on(event, done)
    })
  }
}
