// What an allow costs: what the call takes from limits and what people have to agree to. Both are effects, and both fail
// closed: who cannot count or cannot ask denies.

import type { ApprovalQuestion } from './approval/question.ts'
import type { Charge, Reservation } from './core/charge.ts'
import { type Deadline, LATE } from './core/deadline.ts'
import { type Denial, type DenialCode, type DenialSubject, deny } from './core/denial.ts'
import type { House } from './house.ts'

/** What a call holds of limits until it is settled. */
export interface Lease {
  readonly id: string
  readonly charges: readonly Charge[]
}

const CODES: Readonly<Record<Charge['kind'], DenialCode>> = {
  rate: 'rate_limited',
  window: 'rate_limited',
  concurrency: 'concurrency_limited',
  budget: 'budget_exhausted',
}

/** Takes what the call needs, all of it or nothing; or says why not. */
export async function reserve(
  house: House,
  lease: Lease,
  leaseMs: number,
  deadline: Deadline,
  subject: DenialSubject,
): Promise<Denial | undefined> {
  const { charges, id } = lease
  if (charges.length === 0) return undefined
  let reservation: Reservation | typeof LATE
  try {
    const asked = house.limits.reserve(charges, id, Math.max(1, Math.ceil(leaseMs)))
    reservation = isPromise(asked) ? await deadline.race(asked) : asked
    if (reservation === LATE) {
      // It may still be counted after the answer was no: it is given back when it is.
      if (isPromise(asked)) asked.then(() => giveBack(house, lease, 'undone')).catch(() => undefined)
      return deny('limit_unavailable', 'counting took longer than the deadline', { subject })
    }
  } catch {
    return deny('limit_unavailable', `the store of limits failed: ${listed(charges)}`, { subject })
  }
  if (typeof reservation !== 'object' || reservation === null) {
    return deny('limit_unavailable', 'the store of limits gave no answer', { subject })
  }
  if (reservation.ok === true) return undefined
  const { charge, retryAfterMs } = reservation
  const code: DenialCode | undefined = CODES[charge?.kind]
  if (code === undefined) return deny('limit_unavailable', 'the store of limits gave no answer', { subject })
  const wait = retryAfterMs === undefined ? '' : `; may fit after ${Math.ceil(retryAfterMs)} ms`
  const per = charge.perMs === undefined ? '' : ` per ${charge.perMs} ms`
  return deny(code, `${charge.limit} allows ${charge.max}${per}, and ${charge.amount} more do not fit${wait}`, {
    subject,
  })
}

/** Never fails: what cannot be given back ends with its lease. */
export function giveBack(house: House, { charges, id }: Lease, how: 'settled' | 'undone'): void {
  if (charges.length === 0) return
  try {
    Promise.resolve(house.limits.release(charges, id, how)).catch(() => undefined)
  } catch {
    // The store is gone; the lease ends by itself.
  }
}

/** What a pending question tells the operator. */
export function pendingDenial(question: ApprovalQuestion, subject: DenialSubject): Denial {
  const rules = question.rules.map(({ id }) => id).join(', ')
  return deny('approval_required', `approval is required by ${rules}; asked as ${question.id}`, {
    subject,
    rules: question.rules,
  })
}

function listed(charges: readonly Charge[]): string {
  return [...new Set(charges.map(({ limit }) => limit))].sort().join(', ')
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as { then?: unknown } | null)?.then === 'function'
}
