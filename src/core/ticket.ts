// Tickets: the admission of one node attempt. Without a live one nothing is dispatched. A ticket is an object this office
// made and remembers; a copy or a forgery is not in its table, so there is nothing to guess and nothing to sign.

import type { Clock } from './clock.ts'
import { type Denial, deny } from './denial.ts'

export interface TicketBinding {
  readonly run: string
  readonly node: string
  readonly attempt: number
  readonly skill: string
  readonly skillDigest: string
  readonly policyDigest: string
}

export interface Ticket extends TicketBinding {
  /** Monotonic milliseconds; stepping the wall clock extends nothing. */
  readonly expiresAt: number
}

export class TicketOffice {
  readonly #clock: Clock
  readonly #live = new Set<Ticket>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  issue(binding: TicketBinding, lifetimeMs: number): Ticket {
    const ticket = Object.freeze({ ...binding, expiresAt: this.#clock.monotonic() + lifetimeMs })
    this.#live.add(ticket)
    return ticket
  }

  /** Why `ticket` does not admit a call under the policy with `policyDigest`, or `undefined` when it does. */
  check(ticket: Ticket | undefined, policyDigest: string): Denial | undefined {
    if (ticket === undefined) return deny('ticket_missing', 'no ticket was issued for this call')
    const subject = { node: ticket.node, skill: ticket.skill }
    if (!this.#live.has(ticket)) return deny('ticket_revoked', 'the ticket is not live', { subject })
    if (this.#clock.monotonic() >= ticket.expiresAt)
      return deny('ticket_expired', 'the lifetime of the node is over', { subject })
    if (ticket.policyDigest !== policyDigest) {
      return deny('ticket_revoked', 'the policy changed after the node was admitted', { subject })
    }
    return undefined
  }

  revoke(ticket: Ticket | undefined): void {
    if (ticket !== undefined) this.#live.delete(ticket)
  }

  /** Number of tickets not revoked: what a leak would show in. */
  get size(): number {
    return this.#live.size
  }
}
