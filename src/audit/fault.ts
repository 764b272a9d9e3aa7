// What verification says is wrong with a log, and a list of it that a hostile log cannot make grow without bound.

import { LIMITS } from '../core/limits.ts'

/** Every kind of fault and what it says. `docs/audit-format.md` lists the same set. */
export const AUDIT_FAULTS = {
  altered: 'The record is not the one its successor, or the expected head, names.',
  dropped: 'Records are missing.',
  inserted: 'The record does not belong: its place is taken by another.',
  reordered: 'The record belongs elsewhere.',
  torn: 'The last line is not a whole record.',
  truncated: 'The log ends before the expected head.',
  malformed: 'The line is not a record.',
  unpaired: 'The record answers a call that no earlier record allowed, or that was already answered.',
} as const

export type AuditFaultKind = keyof typeof AUDIT_FAULTS

export interface AuditFault {
  /** From 1. For what is missing: the line before which it is missing. */
  readonly line: number
  readonly seq?: number
  readonly kind: AuditFaultKind
  readonly detail: string
}

/** The first LIMITS.problems faults in the order of their lines, and how many more there were. */
export class FaultList {
  readonly #faults: AuditFault[] = []
  #omitted = 0

  get omitted(): number {
    return this.#omitted
  }

  get empty(): boolean {
    return this.#faults.length === 0
  }

  add(fault: AuditFault): void {
    if (this.#faults.length < LIMITS.problems) this.#faults.push(fault)
    else this.#omitted++
  }

  sorted(): readonly AuditFault[] {
    return this.#faults.slice().sort((a, b) => a.line - b.line)
  }
}
