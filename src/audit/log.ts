// The audit log: one hash chain over what happened, in the order it was said. It decides the place of every record and
// whether the log can still be written. It trusts its clock and its sink to be slow, to fail and to call back, not to be
// right: after the first failure of the sink nothing is ever appended again, because a log with a hole proves nothing.

import { type Clock, systemClock } from '../core/clock.ts'
import { sha256Hex } from '../core/crypto.ts'
import { AgentPortError } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { type AuditHead, EMPTY_HEAD, isHead, LEAF_PREFIX } from './chain.ts'
import type { AuditEvent, LogEvent } from './event.ts'
import { type EncodedBody, encodeBody, encodeLine, RECORD_VERSION, Timestamps } from './record.ts'
import type { AuditSink } from './sink.ts'

/** Place and hash of a record that the sink has. */
export type AuditReceipt = AuditHead

/** Keeps one salt outside the log. Called before the line is handed to the sink; what it throws refuses the record. */
export type KeepSalt = (seq: number, field: 'args' | 'result', salt: string) => void

export interface AuditLogOptions {
  readonly sink: AuditSink
  readonly clock?: Clock
  /** Name of this log for its whole life, e.g. `example.com/agents/7`. */
  readonly origin?: string
  /** With it, salts of commitments are left out of the lines, so that they can be erased and readers cannot guess. */
  readonly keepSalt?: KeepSalt
}

const DEFAULT_ORIGIN = 'agentport'

export class AuditLog {
  readonly #sink: AuditSink
  readonly #clock: Clock
  readonly #keepSalt: KeepSalt | undefined
  readonly #timestamps = new Timestamps()
  /** Last record that has a place. */
  #placed: AuditHead
  /** Last record that the sink has, with all before it. */
  #taken: AuditHead
  /** Receipt of the last record whose sink has not answered yet. */
  #last: Promise<AuditReceipt> | undefined
  #pendingLength = 0
  #handing = false
  #failure: AgentPortError | undefined
  #closing: Promise<AuditHead> | undefined

  private constructor(options: AuditLogOptions, resume: AuditHead) {
    this.#sink = options.sink
    this.#clock = options.clock ?? systemClock
    this.#keepSalt = options.keepSalt
    this.#placed = resume
    this.#taken = resume
  }

  /**
   * Begins a session: records what the sink recovered, then `log.opened`. With an asynchronous sink these records may
   * still be on their way; `await log.flush()` to know that they arrived.
   *
   * @throws TypeError for unusable options; AgentPortError ERR_AUDIT_UNAVAILABLE when the sink refuses at once.
   */
  static open(options: AuditLogOptions): AuditLog {
    const { sink, origin = DEFAULT_ORIGIN } = options
    if (typeof sink?.append !== 'function') throw new TypeError('AuditLog.open needs a sink with an append function')
    if (typeof origin !== 'string' || origin === '') throw new TypeError('origin must be text')
    const resume = sink.resume ?? EMPTY_HEAD
    if (!isHead(resume)) throw new TypeError('sink.resume must be the seq and hash of a record')
    const log = new AuditLog(options, { seq: resume.seq, hash: resume.hash })
    for (const recovery of sink.recovered ?? []) log.#appendOwn({ type: 'log.recovered', ...recovery })
    log.#appendOwn({
      type: 'log.opened',
      origin,
      format: RECORD_VERSION,
      ...(resume.seq < 0 ? {} : { resumedFrom: { seq: resume.seq, hash: resume.hash } }),
    })
    return log
  }

  /**
   * Writes one record. Returns its receipt when the sink took it at once, else a promise of it that settles when the
   * sink has this record and all before it.
   *
   * @throws AgentPortError ERR_AUDIT_UNAVAILABLE, thrown or as rejection: the sink failed, now or earlier; the log is
   *   closed; the event cannot be encoded; too much is waiting for the sink. In the last two cases the record has no
   *   place in the log and later ones may succeed. ERR_STATE_INVALID when called by the sink from inside `append`.
   */
  append(event: AuditEvent): AuditReceipt | Promise<AuditReceipt> {
    // A caller without types could forge the log's own records; they are the only ones that may speak about it.
    if (typeof event !== 'object' || event === null) throw unavailable('An audit event is not an object.')
    const body = encodeBody(event, this.#keepSalt !== undefined)
    if (body.type.startsWith('log.')) throw unavailable('Only the log itself writes log.* records.')
    return this.#write(body, false)
  }

  /** Last record that the sink has, with all before it: what to keep elsewhere as proof of how far the log went. */
  head(): AuditHead {
    return { seq: this.#taken.seq, hash: this.#taken.hash }
  }

  /** Why nothing can be written any more; `undefined` while it can. */
  get failure(): AgentPortError | undefined {
    return this.#failure
  }

  /**
   * Resolves with the head when the sink has everything appended so far and has made it as safe as it can.
   *
   * @throws AgentPortError ERR_AUDIT_UNAVAILABLE when it cannot.
   */
  async flush(): Promise<AuditHead> {
    await this.#last
    if (this.#failure !== undefined) throw this.#failure
    await this.#attempt(() => this.#sink.flush?.())
    return this.head()
  }

  /**
   * Writes `log.closed`, flushes, closes the sink and resolves with the last head. Later calls give the same answer.
   *
   * @throws AgentPortError ERR_AUDIT_UNAVAILABLE when any of it failed, now or earlier; the sink is closed all the same.
   *   ERR_STATE_INVALID when called by the sink from inside `append`.
   */
  close(): Promise<AuditHead> {
    if (this.#handing) return Promise.reject(reentered())
    // One step later, so that `#closing` is set before any foreign code runs and a clock that closes the log closes it once.
    this.#closing ??= Promise.resolve().then(() => this.#close())
    return this.#closing
  }

  async #close(): Promise<AuditHead> {
    try {
      this.#appendOwn({ type: 'log.closed' })
      await this.flush()
    } catch {
      // Not lost: whatever fails here has latched, and is thrown below once the sink has let go of its resources.
    }
    await this.#attempt(() => this.#sink.close?.(), true)
    if (this.#failure !== undefined) throw this.#failure
    return this.head()
  }

  #appendOwn(event: LogEvent): void {
    try {
      void this.#write(encodeBody(event, false), true)
    } catch (cause) {
      throw this.#latch(cause)
    }
  }

  #write(body: EncodedBody, own: boolean): AuditReceipt | Promise<AuditReceipt> {
    const time = this.#time()
    // Getters of the event and the clock are foreign code and may have appended, failed or closed the log meanwhile. From
    // here to the hand-over only the salt keeper and the sink run, and `#handing` keeps them out.
    if (this.#handing) throw reentered()
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closing !== undefined && !own) throw unavailable('The audit log is closed.')
    if (this.#pendingLength > LIMITS.auditPendingLength) throw unavailable('The audit sink does not keep up.')
    const seq = this.#placed.seq + 1
    // Hashing makes one flat string of the leaf; a slice of it costs nothing, the line by itself would be built again.
    const leaf = LEAF_PREFIX + encodeLine(seq, this.#placed.hash, time, body.text)
    const receipt: AuditReceipt = { seq, hash: sha256Hex(leaf) }
    const line = leaf.slice(LEAF_PREFIX.length)
    this.#handing = true
    try {
      if (this.#keepSalt !== undefined) this.#keepSalts(seq, body)
      const answer = this.#hand(line)
      this.#placed = receipt
      if (answer !== undefined || this.#last !== undefined) return this.#await(answer, receipt, line.length)
      this.#taken = receipt
      return { seq, hash: receipt.hash }
    } finally {
      this.#handing = false
    }
  }

  #time(): string {
    try {
      return this.#timestamps.format(this.#clock.now())
    } catch (cause) {
      throw cause instanceof AgentPortError ? cause : unavailable('The clock failed.', cause)
    }
  }

  #keepSalts(seq: number, body: EncodedBody): void {
    try {
      for (const { field, salt } of body.salts) {
        const kept: unknown = this.#keepSalt?.(seq, field, salt)
        // A promise is not a salt that was kept; what becomes of it would be known only after the call.
        if (isThenable(kept)) throw new TypeError('keepSalt must keep the salt before it returns')
      }
    } catch (cause) {
      // Before the line: a commitment that nobody can ever open is not evidence, so the record is refused.
      throw unavailable('The salt of an audit record could not be kept.', cause)
    }
  }

  #hand(line: string): PromiseLike<unknown> | undefined {
    try {
      const answer: unknown = this.#sink.append(line)
      return isThenable(answer) ? answer : undefined
    } catch (cause) {
      throw this.#latch(cause)
    }
  }

  // Receipts settle in order even if the sink answers out of order: a record whose predecessor is lost proves nothing.
  #await(answer: PromiseLike<unknown> | undefined, receipt: AuditReceipt, length: number): Promise<AuditReceipt> {
    this.#pendingLength += length
    const own = Promise.resolve(answer).then(undefined, (cause: unknown) => {
      throw this.#latch(cause)
    })
    // It is awaited only after its predecessor, which may reject first.
    own.catch(() => undefined)
    const settled = this.#settle(this.#last, own, receipt, length)
    this.#last = settled
    // A caller who ignores the receipt learns of the failure from the next append; it must not end the process.
    settled.catch(() => undefined)
    return settled
  }

  async #settle(
    before: Promise<AuditReceipt> | undefined,
    own: Promise<unknown>,
    receipt: AuditReceipt,
    length: number,
  ): Promise<AuditReceipt> {
    try {
      await before
      await own
    } finally {
      this.#pendingLength -= length
    }
    this.#taken = receipt
    if (this.#placed === receipt) this.#last = undefined
    return { seq: receipt.seq, hash: receipt.hash }
  }

  /** Runs one step of the sink; a failure latches and, unless `quiet`, is thrown. */
  async #attempt(step: () => Promise<void> | undefined, quiet = false): Promise<void> {
    try {
      await step()
    } catch (cause) {
      const failure = this.#latch(cause)
      if (!quiet) throw failure
    }
  }

  // INVARIANT (audit-latched): the first failure stays; no append reaches the sink after it.
  #latch(cause: unknown): AgentPortError {
    this.#failure ??=
      cause instanceof AgentPortError && cause.code === 'ERR_AUDIT_UNAVAILABLE'
        ? cause
        : unavailable('The audit log cannot be written.', cause)
    return this.#failure
  }
}

function unavailable(message: string, cause?: unknown): AgentPortError {
  return new AgentPortError('ERR_AUDIT_UNAVAILABLE', message, cause === undefined ? undefined : { cause })
}

function reentered(): AgentPortError {
  return new AgentPortError('ERR_STATE_INVALID', 'The audit log was called by its own sink.')
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
