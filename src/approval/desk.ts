// Keeps questions and answers. An approval is for one call, by people who may give it, within its time, and is used once;
// anything else is a denial. It never lifts a `forbid`: who redeems has judged the call again, just before. Trusts the
// clock, and the caller to have identified approvers; trusts neither what answers say nor what the port does.

import type { ApprovalDemand } from '../core/approval.ts'
import type { Clock } from '../core/clock.ts'
import { randomHex } from '../core/crypto.ts'
import { type Denial, deny } from '../core/denial.ts'
import { printable } from '../core/text.ts'
import { askPort, readAnswer } from './answer.ts'
import { personKey } from './approver.ts'
import { asksAll, copyDemands, denialOptions, type Entry, isMet, isOpen, newEntry, rejectAnswer } from './entry.ts'
import type { ApprovalPort } from './port.ts'
import type {
  AnswerRejection,
  AnswerResult,
  ApprovalAnswer,
  ApprovalChange,
  ApprovalQuestion,
  ApprovalState,
  Asked,
  ChangeBase,
  ChangeKind,
  Redeemed,
  RevokeFilter,
} from './question.ts'
import { QuestionStore } from './store.ts'
import { type ApprovalSubject, approvalDigest, copySubject } from './subject.ts'
import { startTimer } from './timer.ts'

export interface ApprovalDeskOptions {
  readonly clock: Clock
  /** Told of every new question. Without one, questions wait for {@link ApprovalDesk.answer}. */
  readonly ask?: ApprovalPort
  /** Questions that may be open at a time; 1,000 unless said. */
  readonly maxOpen?: number
  /** Told of every change, in order, after it took place. Not a control path: what it throws changes nothing. */
  readonly onChange?: (change: ApprovalChange) => void
}

export class ApprovalDesk {
  readonly #clock: Clock
  readonly #port: ApprovalPort | undefined
  readonly #onChange: ((change: ApprovalChange) => void) | undefined
  readonly #store: QuestionStore
  /** Calls of foreign code that wait until the desk is done with what it is doing. */
  readonly #after: (() => void)[] = []
  #busy = false
  #latest = Number.NEGATIVE_INFINITY

  /** @throws TypeError for options that cannot be used. */
  constructor(options: ApprovalDeskOptions) {
    const { clock, ask, maxOpen = 1_000, onChange } = options
    if (typeof clock?.monotonic !== 'function') throw new TypeError('an approval desk needs a clock')
    if (ask !== undefined && (typeof ask.ask !== 'function' || typeof ask.name !== 'string')) {
      throw new TypeError('an approval port has a name and a function ask')
    }
    if (!Number.isSafeInteger(maxOpen) || maxOpen < 1) throw new TypeError('maxOpen is a whole number of at least 1')
    this.#clock = clock
    this.#port = ask
    this.#store = new QuestionStore(maxOpen)
    this.#onChange = onChange
  }

  /**
   * Opens a question, or finds the one that is open: the same call asked again is the same question, and nobody is told
   * again. The port is called after this has returned. A question whose call now falls under more demands is revoked
   * and asked anew; a refused one stands until it expires.
   *
   * @throws TypeError for a subject or demands no gateway makes; AgentPortError `ERR_VALUE_UNREADABLE` for a name that
   *   is not Unicode.
   */
  ask(subject: ApprovalSubject, demands: readonly ApprovalDemand[]): Asked {
    return this.#step(() => {
      const copied = copySubject(subject)
      const asked = copyDemands(demands)
      if (!copied.ok) {
        const detail = `${copied.pointer === '' ? 'the arguments' : copied.pointer}: ${copied.detail}`
        return { ok: false, denial: deny(copied.code, detail) }
      }
      const digest = approvalDigest(copied.subject)
      const now = this.#sweep()
      if (!Number.isFinite(now)) return { ok: false, denial: deny('internal_error', 'the clock cannot be relied on') }
      const known = this.#store.latest(digest)
      if (known !== undefined) {
        const { state, question } = known
        if (state === 'refused') return { ok: true, question, state, repeated: true }
        if (state === 'pending' || state === 'approved') {
          if (asksAll(known, asked)) return { ok: true, question, state, repeated: true }
          this.#revoke(known, 'the call is asked for under other demands')
        }
      }
      const full = this.#store.noRoom(copied.length)
      if (full !== undefined) {
        const { node, skill, tool, rules } = copied.subject
        return { ok: false, denial: deny('approval_required', full, { subject: { node, skill, tool }, rules }) }
      }
      const question = this.#newQuestion(copied.subject, digest, asked, copied.length, now)
      return { ok: true, question, state: 'pending', repeated: false }
    })
  }

  /** Takes one answer. Never throws, whatever it is given; what does not count says why. */
  answer(answer: ApprovalAnswer): AnswerResult {
    return this.#step(() => this.#answer(answer, undefined))
  }

  /**
   * Takes the approval of the call with this digest, once. The caller has just judged the call again and passes the
   * demands that came of it: what was approved under fewer or others is not redeemed. This says nothing about any other
   * check, and lifts no `forbid`.
   *
   * @throws TypeError when `demands` are none.
   */
  redeem(digest: string, demands: readonly ApprovalDemand[]): Redeemed {
    return this.#step(() => {
      const wanted = copyDemands(demands)
      this.#sweep()
      const entry = this.#store.latest(digest)
      const denial = refuseRedemption(entry, wanted)
      if (entry === undefined || denial !== undefined) {
        return { ok: false, denial: denial ?? deny('approval_required', NEVER_ASKED) }
      }
      const { id } = entry.question
      const approvers = Object.freeze([...entry.approvals.values()])
      this.#close(entry, 'used', '')
      this.#tell(entry, { type: 'redeemed', approvers })
      return { ok: true, approval: Object.freeze({ id, digest, approvers, at: entry.approvedAt }) }
    })
  }

  /**
   * Withdraws what is pending or approved and has all of `filter`; with an empty filter, everything. Returns how many.
   *
   * @throws TypeError for a key that is unknown or `undefined`: it would withdraw more than was meant.
   */
  revoke(filter: RevokeFilter, reason: string): number {
    return this.#step(() => {
      const wanted = Object.entries(filter)
      for (const [key, value] of wanted) {
        if (!FILTER_KEYS.has(key) || value === undefined) throw new TypeError(`questions are not revoked by ${key}`)
      }
      this.#sweep()
      const meant = this.#store.open().filter((entry) => fits(entry.question, wanted))
      for (const entry of meant) this.#revoke(entry, reason)
      return meant.length
    })
  }

  /** State of a question, or `undefined` when it was never asked or is forgotten. */
  state(id: string): ApprovalState | undefined {
    return this.#step(() => {
      this.#sweep()
      return this.#store.find(id)?.state
    })
  }

  /** Questions that wait for an answer, the oldest first. */
  pending(): readonly ApprovalQuestion[] {
    return this.#step(() => {
      this.#sweep()
      const waiting = this.#store.open().filter(({ state }) => state === 'pending')
      return waiting.map(({ question }) => question)
    })
  }

  /**
   * Waits until the question is no longer `pending` and resolves with its state then; `forgotten` for one that is not
   * known. What was `approved` may be over by the time it is redeemed. While somebody waits a timer runs.
   *
   * Rejects with the reason of `signal` when that is aborted first.
   */
  settled(id: string, signal?: AbortSignal): Promise<Exclude<ApprovalState, 'pending'> | 'forgotten'> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const state = this.state(id)
      const entry = this.#store.find(id)
      if (state === undefined || entry === undefined) return resolve('forgotten')
      if (state !== 'pending') return resolve(state)
      const end = (): void => {
        stopTimer()
        entry.waiting.delete(done)
        signal?.removeEventListener('abort', aborted)
      }
      const done = (closed: Exclude<ApprovalState, 'pending'>): void => {
        end()
        resolve(closed)
      }
      const aborted = (): void => {
        end()
        reject(signal?.reason)
      }
      const stopTimer = this.#lookWhenOver(entry, true)
      entry.waiting.add(done)
      signal?.addEventListener('abort', aborted)
    })
  }

  #newQuestion(
    subject: ApprovalSubject,
    digest: string,
    demands: readonly ApprovalDemand[],
    length: number,
    now: number,
  ): ApprovalQuestion {
    const lifetimeMs = demands.reduce((least, { expiresMs }) => Math.min(least, expiresMs), Number.POSITIVE_INFINITY)
    const askedAt = this.#wall()
    const id = `approval-${randomHex(12)}`
    const question = Object.freeze({ ...subject, id, digest, demands, askedAt, expiresAt: askedAt + lifetimeMs })
    const entry = newEntry(question, length, lifetimeMs, now)
    this.#store.add(entry)
    const port = this.#port
    this.#tell(entry, { type: 'asked', demands, ...(port === undefined ? {} : { port: printable(port.name) }) })
    if (port !== undefined) this.#call(port, entry)
    return question
  }

  #call(port: ApprovalPort, entry: Entry): void {
    const controller = new AbortController()
    const stopTimer = this.#lookWhenOver(entry, false)
    entry.hangUp = () => {
      stopTimer()
      // Listeners are the port's: they run when the desk is done.
      this.#after.push(() => controller.abort())
    }
    const reply = askPort(port, entry.question, controller.signal)
    void reply.then((reply) =>
      this.#step(() => {
        this.#sweep()
        if (reply.ok) for (const answer of reply.answers) this.#answer(answer, entry)
        else this.#tell(entry, { type: 'port_failed', port: printable(port.name), detail: reply.detail })
      }),
    )
  }

  /** `asked`: the question to which a port returned this answer. */
  #answer(answer: unknown, asked: Entry | undefined): AnswerResult {
    const read = readAnswer(answer)
    if (read === undefined) return this.#reject(asked, 'malformed')
    const { approver, decision, reason } = read
    this.#sweep()
    const entry = this.#store.find(read.question)
    // What a port returns is about the question it was asked; the id of another one it can only have from elsewhere.
    if (entry === undefined || (asked !== undefined && entry !== asked)) {
      return this.#reject(asked, 'unknown_question', approver)
    }
    const rejection = rejectAnswer(entry, read.digest, approver, decision)
    if (rejection !== undefined) return this.#reject(entry, rejection, approver)
    if (decision === 'refuse') {
      this.#close(entry, 'refused', `${approver} refused${reason === undefined ? '' : `: ${reason}`}`)
    } else {
      entry.approvals.set(personKey(approver), approver)
      if (isMet(entry)) {
        entry.state = 'approved'
        entry.approvedAt = this.#wall()
        this.#leavePending(entry, 'approved')
      }
    }
    const { state } = entry
    this.#tell(entry, { type: 'answered', approver, decision, state, ...(reason === undefined ? {} : { reason }) })
    return { accepted: true, state }
  }

  #reject(entry: Entry | undefined, code: AnswerRejection, approver?: string): AnswerResult {
    const named = approver === undefined ? {} : { approver: printable(approver) }
    if (entry !== undefined) this.#tell(entry, { type: 'rejected', code, ...named })
    return { accepted: false, code }
  }

  #revoke(entry: Entry, reason: string): void {
    const note = printable(reason)
    this.#close(entry, 'revoked', note)
    this.#tell(entry, { type: 'revoked', reason: note })
  }

  #close(entry: Entry, state: 'refused' | 'expired' | 'revoked' | 'used', note: string): void {
    this.#store.close(entry, state)
    entry.note = note
    this.#leavePending(entry, state)
  }

  #leavePending(entry: Entry, state: Exclude<ApprovalState, 'pending'>): void {
    for (const done of [...entry.waiting]) done(state)
    entry.hangUp?.()
    entry.hangUp = undefined
  }

  /** Expires what is over and returns the time it is. */
  #sweep(): number {
    const now = this.#now()
    const overdue = this.#store.overdue(now)
    for (const entry of overdue) {
      this.#close(entry, 'expired', '')
      this.#tell(entry, { type: 'expired' })
    }
    // What expired so long ago that it is forgotten by now, too: what is known must not depend on who looked when.
    if (overdue.length > 0) this.#store.overdue(now)
    return now
  }

  /** A clock that fails, or runs backwards, cannot say how old a question is: everything expires. */
  #now(): number {
    try {
      const now = this.#clock.monotonic()
      if (now >= this.#latest) {
        this.#latest = now
        return now
      }
      if (now < this.#latest) this.#latest = now
    } catch {
      // As below.
    }
    return Number.POSITIVE_INFINITY
  }

  /** For people to read; decides nothing, so that one that fails says nothing. */
  #wall(): number {
    try {
      return this.#clock.now()
    } catch {
      return Number.NaN
    }
  }

  #lookWhenOver(entry: Entry, holdsProcess: boolean): () => void {
    const look = (): number => {
      const now = this.#step(() => this.#sweep())
      return isOpen(entry) ? entry.expiresAt - now : 0
    }
    return startTimer(entry.expiresAt - this.#latest, look, holdsProcess)
  }

  /**
   * One thing the desk does. Foreign code (observers, listeners of a port) is called when it is done, so that it finds
   * every state final and can call the desk itself.
   */
  #step<T>(work: () => T): T {
    if (this.#busy) return work()
    this.#busy = true
    try {
      return work()
    } finally {
      this.#busy = false
      for (let call = this.#after.shift(); call !== undefined; call = this.#after.shift()) call()
    }
  }

  #tell(entry: Entry, change: ChangeKind): void {
    const onChange = this.#onChange
    if (onChange === undefined) return
    const { id, digest, run, node, attempt, principal, skill, tool } = entry.question
    const base: ChangeBase = { question: id, digest, run, node, attempt, principal, skill, tool, at: this.#wall() }
    this.#after.push(() => {
      try {
        const result: unknown = onChange(Object.freeze({ ...base, ...change }))
        if (result instanceof Promise) result.catch(() => undefined)
      } catch {
        // An observer's failure is the observer's: what happened has happened, and nothing is allowed by it.
      }
    })
  }
}

const NEVER_ASKED = 'nobody has been asked about exactly this call'

function refuseRedemption(entry: Entry | undefined, demands: readonly ApprovalDemand[]): Denial | undefined {
  if (entry === undefined) return deny('approval_required', NEVER_ASKED)
  const options = denialOptions(entry)
  const { id } = entry.question
  switch (entry.state) {
    case 'approved':
      if (asksAll(entry, demands)) return undefined
      return deny('approval_invalid', `${id} was given under other demands than the call has now`, options)
    case 'pending':
      return deny('approval_required', `${id} waits for an answer`, options)
    case 'refused':
      return deny('approval_refused', `${id}: ${entry.note}`, options)
    case 'expired':
      return deny('approval_expired', `${id} has expired`, options)
    case 'revoked':
      return deny('approval_invalid', `${id} was revoked: ${entry.note}`, options)
    case 'used':
      return deny('approval_invalid', `${id} was used already`, options)
  }
}

const FILTER_KEYS: ReadonlySet<string> = new Set<keyof RevokeFilter>([
  'question',
  'run',
  'node',
  'attempt',
  'principal',
  'skill',
  'skillDigest',
  'policyDigest',
])

function fits(question: ApprovalQuestion, wanted: readonly (readonly [string, unknown])[]): boolean {
  const { id, run, node, attempt, principal, skill, skillDigest, policyDigest } = question
  const has = { question: id, run, node, attempt, principal, skill, skillDigest, policyDigest }
  return wanted.every(([key, value]) => has[key as keyof RevokeFilter] === value)
}
