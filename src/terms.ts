// What an allow costs: what the call takes from limits and what people have to agree to. Both are effects, and both fail
// closed: who cannot count or cannot ask denies.

import type { ApprovalQuestion } from './approval/question.ts'
import type { Charge, Reservation } from './core/charge.ts'
import { type Deadline, LATE } from './core/deadline.ts'
import { type Denial, type DenialCode, type DenialSubject, deny } from './core/denial.ts'
import { given, type House } from './house.ts'

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

/** Takes what the call needs, all of it or nothing; or says why not. A promise only where the store needs one. */
export function reserve(
  house: House,
  lease: Lease,
  leaseMs: number,
  deadline: Deadline,
  subject: DenialSubject,
): Denial | undefined | Promise<Denial | undefined> {
  const { charges, id } = lease
  if (charges.length === 0) return undefined
  try {
    const answer = house.limits.reserve(charges, id, Math.max(1, Math.ceil(leaseMs)))
    return isThenable(answer)
      ? awaitReservation(house, lease, Promise.resolve(answer), deadline, subject)
      : denialOf(house, lease, answer, subject)
  } catch {
    return failed(house, lease, subject)
  }
}

async function awaitReservation(
  house: House,
  lease: Lease,
  asked: Promise<Reservation>,
  deadline: Deadline,
  subject: DenialSubject,
): Promise<Denial | undefined> {
  try {
    const answer = await deadline.race(asked)
    if (answer !== LATE) return denialOf(house, lease, answer, subject)
  } catch {
    return failed(house, lease, subject)
  }
  // It may still be counted after the answer was no: it is given back when it is.
  const undo = (): void => giveBack(house, lease, 'undone')
  asked.then(undo, undo)
  return deny('limit_unavailable', 'counting took longer than the deadline', { subject })
}

/** A store that failed, or answers nonsense, may have counted all the same. */
function failed(house: House, lease: Lease, subject: DenialSubject): Denial {
  giveBack(house, lease, 'undone')
  return deny('limit_unavailable', `the store of limits failed: ${listed(lease.charges)}`, { subject })
}

/** Why the store refuses; nothing where it says exactly that it does not. Throws for an answer that cannot be read. */
function denialOf(house: House, lease: Lease, answer: unknown, subject: DenialSubject): Denial | undefined {
  const {
    ok,
    charge: refused,
    retryAfterMs,
  } = answer as Partial<Record<keyof Extract<Reservation, { ok: false }>, unknown>>
  if (ok === true) return undefined
  // The store says which, and the policy says what that one is.
  const charge = ok === false ? lease.charges.find((one) => isSame(one, refused)) : undefined
  if (charge === undefined) return failed(house, lease, subject)
  const known = typeof retryAfterMs === 'number' && retryAfterMs >= 0 && Number.isFinite(retryAfterMs)
  const waitMs = known ? Math.ceil(retryAfterMs) : undefined
  const wait = waitMs === undefined ? '' : `; may fit after ${waitMs} ms`
  const per = charge.perMs === undefined ? '' : ` per ${charge.perMs} ms`
  const detail = `${charge.limit} allows ${charge.max}${per}, and ${charge.amount} more do not fit${wait}`
  const rule = house.policy.statement(charge.limit)
  return deny(CODES[charge.kind], detail, {
    subject,
    rules: rule === undefined ? [] : [rule],
    ...given('retryAfterMs', waitMs),
  })
}

function isSame(charge: Charge, refused: unknown): boolean {
  if (typeof refused !== 'object' || refused === null) return false
  const { kind, key } = refused as Partial<Charge>
  return charge.kind === kind && charge.key === key
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

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
