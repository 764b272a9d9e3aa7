// The questions a desk keeps: the open ones, bounded by refusing more, and the closed ones, bounded by forgetting the
// oldest. Forgetting is safe: a closed question allows nothing, it only lets a denial say more than "never asked".

import { type Entry, isOpen } from './entry.ts'
import type { ApprovalState } from './question.ts'

/** Text held for open questions, and again for closed ones: a thousand calls of megabytes would be gigabytes. */
const MAX_TEXT = 64 * 1024 * 1024

export class QuestionStore {
  readonly #maxOpen: number
  readonly #open = new Map<string, Entry>()
  /** The first closed first. */
  readonly #closed = new Map<string, Entry>()
  /** The latest question of each call. */
  readonly #byDigest = new Map<string, Entry>()
  #openText = 0
  #closedText = 0
  /** Nothing expires or is forgotten before this. */
  #due = Number.POSITIVE_INFINITY

  constructor(maxOpen: number) {
    this.#maxOpen = maxOpen
  }

  open(): readonly Entry[] {
    return [...this.#open.values()]
  }

  find(id: string): Entry | undefined {
    return this.#open.get(id) ?? this.#closed.get(id)
  }

  latest(digest: string): Entry | undefined {
    return this.#byDigest.get(digest)
  }

  /** Why a question with `length` of text cannot be opened now, or `undefined`. */
  noRoom(length: number): string | undefined {
    if (this.#open.size >= this.#maxOpen) return `${this.#open.size} questions are open already, and no more may be`
    if (this.#openText + length > MAX_TEXT) return 'the questions that are open already hold too much text'
    return undefined
  }

  add(entry: Entry): void {
    this.#open.set(entry.question.id, entry)
    this.#byDigest.set(entry.question.digest, entry)
    this.#openText += entry.length
    this.#due = Math.min(this.#due, entry.expiresAt)
  }

  /** An open question closes, for good. */
  close(entry: Entry, state: Exclude<ApprovalState, 'pending' | 'approved'>): void {
    const { id } = entry.question
    if (!this.#open.delete(id)) return
    this.#openText -= entry.length
    entry.state = state
    // That it expired has to be known after it has, or it would look as if nobody had been asked.
    entry.forgetAt = state === 'expired' ? entry.expiresAt + entry.lifetimeMs : entry.expiresAt
    this.#due = Math.min(this.#due, entry.forgetAt)
    this.#closed.set(id, entry)
    this.#closedText += entry.length
    for (const oldest of this.#closed.values()) {
      if (this.#closed.size <= this.#maxOpen && this.#closedText <= MAX_TEXT) break
      this.#forget(oldest)
    }
  }

  /** Forgets what is old, and returns the open questions whose time is over at `now`. */
  overdue(now: number): readonly Entry[] {
    if (now < this.#due) return []
    const overdue: Entry[] = []
    let due = Number.POSITIVE_INFINITY
    for (const entry of this.#closed.values()) {
      if (now >= entry.forgetAt) this.#forget(entry)
      else due = Math.min(due, entry.forgetAt)
    }
    for (const entry of this.#open.values()) {
      if (now >= entry.expiresAt) overdue.push(entry)
      else due = Math.min(due, entry.expiresAt)
    }
    this.#due = due
    return overdue
  }

  #forget(entry: Entry): void {
    const { id, digest } = entry.question
    if (isOpen(entry) || !this.#closed.delete(id)) return
    this.#closedText -= entry.length
    if (this.#byDigest.get(digest) === entry) this.#byDigest.delete(digest)
  }
}
