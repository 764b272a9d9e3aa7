// Puts lines at the end of one open file, as safely as was asked for. Trusts nothing the file system answers: writes may
// be short, may fail, and the file may be taken away meanwhile. After the first failure the descriptor is closed and
// never used again: a failed fsync may have thrown away the pages it could not write, and a second one would succeed.

import { AgentPortError } from '../core/errors.ts'

/** The open file, as far as a writer needs it. All of it may throw. */
export interface AuditFileIo {
  /** Writes at the end; returns how many bytes were taken, which may be fewer. */
  write(bytes: Uint8Array): Promise<number>
  writeSync(bytes: Uint8Array): number
  /** fdatasync(2). */
  sync(): Promise<void>
  /** Throws unless the log is still this file, and still as long as we left it. */
  check(size: number): void
  close(): void
}

/** `fdatasync`: a line counts as written when the disk has it. `os`: when the kernel has it, which outlives this process
 * but not a power failure. */
export type Durability = 'fdatasync' | 'os'

export interface AuditWriter {
  append(line: string): void | Promise<void>
  /** Resolves when everything appended so far is on the disk. */
  flush(): Promise<void>
  close(): Promise<void>
}

export function openWriter(io: AuditFileIo, size: number, durability: Durability): AuditWriter {
  return durability === 'os' ? new DirectWriter(io, size) : new GroupWriter(io, size)
}

/** What both writers share: the end of the file, and the latch. */
class WriterState {
  readonly io: AuditFileIo
  size: number
  failure: AgentPortError | undefined

  constructor(io: AuditFileIo, size: number) {
    this.io = io
    this.size = size
  }

  refuseIfFailed(): void {
    if (this.failure !== undefined) throw this.failure
  }

  fail(cause: unknown): AgentPortError {
    if (this.failure === undefined) {
      const message = cause instanceof AgentPortError ? cause.message : 'The audit file could not be written.'
      this.failure = new AgentPortError('ERR_AUDIT_UNAVAILABLE', message, { cause })
      try {
        this.io.close()
      } catch {
        // The descriptor is given up either way; the failure that matters is the first.
      }
    }
    return this.failure
  }

  close(): void {
    if (this.failure !== undefined) return
    this.failure = new AgentPortError('ERR_AUDIT_UNAVAILABLE', 'The audit file is closed.')
    this.io.close()
  }
}

function advance(rest: Uint8Array, taken: number): Uint8Array {
  // Nothing taken and no error would be a loop without end.
  if (!(taken > 0 && taken <= rest.length)) throw new Error('a write took nothing')
  return rest.subarray(taken)
}

class DirectWriter implements AuditWriter {
  readonly #state: WriterState
  #syncing: Promise<void> = Promise.resolve()

  constructor(io: AuditFileIo, size: number) {
    this.#state = new WriterState(io, size)
  }

  append(line: string): void {
    const state = this.#state
    state.refuseIfFailed()
    try {
      state.io.check(state.size)
      const bytes = Buffer.from(`${line}\n`)
      for (let rest: Uint8Array = bytes; rest.length > 0; ) rest = advance(rest, state.io.writeSync(rest))
      state.size += bytes.length
    } catch (cause) {
      throw state.fail(cause)
    }
  }

  // One at a time, and close waits for all: a descriptor closed under a running sync may be another file by then.
  flush(): Promise<void> {
    const flushed = this.#syncing.then(() => this.#sync())
    this.#syncing = flushed.catch(() => undefined)
    return flushed
  }

  async #sync(): Promise<void> {
    this.#state.refuseIfFailed()
    try {
      await this.#state.io.sync()
    } catch (cause) {
      throw this.#state.fail(cause)
    }
    this.#state.refuseIfFailed()
  }

  async close(): Promise<void> {
    await this.#syncing
    if (this.#state.failure === undefined) await this.flush()
    this.#state.close()
  }
}

interface Waiting {
  readonly line: string
  readonly resolve: () => void
  readonly reject: (reason: AgentPortError) => void
}

/** Group commit: while one group is on its way to the disk the next one gathers; each costs one write and one sync. */
class GroupWriter implements AuditWriter {
  readonly #state: WriterState
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined

  constructor(io: AuditFileIo, size: number) {
    this.#state = new WriterState(io, size)
  }

  append(line: string): Promise<void> {
    if (this.#state.failure !== undefined) return Promise.reject(this.#state.failure)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ line, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  async flush(): Promise<void> {
    await this.#running
    this.#state.refuseIfFailed()
  }

  async close(): Promise<void> {
    await this.#running
    this.#state.close()
  }

  async #run(): Promise<void> {
    // What is appended in the same step goes into the same group.
    await undefined
    while (this.#waiting.length > 0 && this.#state.failure === undefined) {
      const group = this.#waiting
      this.#waiting = []
      try {
        await this.#commit(group)
      } catch (cause) {
        const failure = this.#state.fail(cause)
        for (const { reject } of group) reject(failure)
      }
    }
    const { failure } = this.#state
    if (failure !== undefined) for (const { reject } of this.#waiting.splice(0)) reject(failure)
    this.#running = undefined
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const state = this.#state
    const bytes = Buffer.from(group.map(({ line }) => `${line}\n`).join(''))
    state.io.check(state.size)
    for (let rest: Uint8Array = bytes; rest.length > 0; ) rest = advance(rest, await state.io.write(rest))
    await state.io.sync()
    state.size += bytes.length
    for (const { resolve } of group) resolve()
  }
}
