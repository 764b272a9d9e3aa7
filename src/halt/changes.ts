// Notifications for observers. Never a control path: they are handed out after the fact, and an observer that throws,
// rejects or calls back changes nothing.

import type { HaltCause } from './cause.ts'
import type { HaltReport, RunSummary } from './report.ts'
import type { Disposition, MissingInput, NodeOutcome, SettleRefusal } from './state.ts'

/** What happened in a scope. `at` is wall clock in milliseconds since the epoch. */
export type HaltChange = { readonly scope: string; readonly at: number } & (
  | { readonly type: 'opened'; readonly graph: string; readonly parent?: string }
  | {
      readonly type: 'admitted'
      readonly node: string
      readonly attempt: number
      readonly missing: readonly MissingInput[]
    }
  | {
      readonly type: 'settled'
      readonly node: string
      readonly attempt: number
      readonly outcome: NodeOutcome
      readonly disposition: Disposition
      /** Nodes this outcome skipped. */
      readonly skipped: readonly string[]
      readonly code?: string
      readonly detail?: string
    }
  /** A result that ended nothing and was dropped. `node` and `attempt` are as the caller gave them, escaped. */
  | {
      readonly type: 'result_dropped'
      readonly node: string
      readonly attempt: number
      readonly outcome: NodeOutcome
      readonly reason: SettleRefusal
    }
  | { readonly type: 'halted'; readonly report: HaltReport }
  | { readonly type: 'secondary'; readonly cause: HaltCause }
  /** A listener on one of the scope's signals threw. */
  | { readonly type: 'listener_failed'; readonly message: string }
  | { readonly type: 'closed'; readonly summary: RunSummary }
)

export type ChangeListener = (change: HaltChange) => unknown

/** Queues changes and hands them out once the outermost operation is done, so that observers see them in order. */
export class ChangeFeed {
  readonly #listeners = new Set<{ readonly listener: ChangeListener }>()
  readonly #queue: HaltChange[] = []
  #depth = 0

  /** Returns the function that ends the subscription. */
  subscribe(listener: ChangeListener): () => void {
    if (typeof listener !== 'function') throw new TypeError('listener must be a function')
    const entry = { listener }
    this.#listeners.add(entry)
    return () => {
      this.#listeners.delete(entry)
    }
  }

  publish(change: HaltChange): void {
    if (this.#listeners.size > 0) this.#queue.push(Object.freeze(change))
    if (this.#depth === 0) this.#drain()
  }

  /** Runs `operation`; what it publishes is handed out after it, also when it throws. */
  during<T>(operation: () => T): T {
    this.#depth += 1
    try {
      return operation()
    } finally {
      this.#depth -= 1
      if (this.#depth === 0) this.#drain()
    }
  }

  #drain(): void {
    // Counted as an operation, so that changes an observer causes queue up behind the ones it has yet to see.
    this.#depth += 1
    try {
      for (let change = this.#queue.shift(); change !== undefined; change = this.#queue.shift()) {
        for (const { listener } of [...this.#listeners]) tell(listener, change)
      }
    } finally {
      this.#depth -= 1
    }
  }
}

function tell(listener: ChangeListener, change: HaltChange): void {
  try {
    const result = listener(change)
    if (result !== undefined && result !== null) Promise.resolve(result).then(undefined, ignore)
  } catch {
    // The observer's own trouble. There is nobody to tell: telling the observers is what failed.
  }
}

function ignore(): void {}
