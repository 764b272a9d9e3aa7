// One question while the desk keeps it, and the pure rule by which answers become a state. Everything is synchronous:
// no other code runs between reading a state and the state that follows from it.

import type { ApprovalDemand } from '../core/approval.ts'
import { canonicalJson } from '../core/canonical.ts'
import type { DenialOptions } from '../core/denial.ts'
import { isApproverName, mayAnswer, personKey, requesterKeys } from './approver.ts'
import type { AnswerRejection, ApprovalDecision, ApprovalQuestion, ApprovalState } from './question.ts'

export interface Entry {
  readonly question: ApprovalQuestion
  /** {@link demandKey} of each demand. */
  readonly demandKeys: ReadonlySet<string>
  readonly requesters: ReadonlySet<string>
  /** Text that is held for this question, in UTF-16 code units. */
  readonly length: number
  readonly lifetimeMs: number
  /** Monotonic milliseconds. */
  readonly expiresAt: number
  /** Monotonic milliseconds after which nothing is known of it; changes when the question closes. */
  forgetAt: number
  state: ApprovalState
  /** Names of those who approved, by {@link personKey}, in the order of their answers. */
  readonly approvals: Map<string, string>
  approvedAt: number
  /** Why it was refused or revoked. */
  note: string
  /** Called when the question leaves `pending`. */
  readonly waiting: Set<(state: Exclude<ApprovalState, 'pending'>) => void>
  /** Ends the asking. */
  hangUp: (() => void) | undefined
}

export function isOpen(entry: Entry): boolean {
  return entry.state === 'pending' || entry.state === 'approved'
}

export function newEntry(question: ApprovalQuestion, length: number, lifetimeMs: number, now: number): Entry {
  return {
    question,
    demandKeys: new Set(question.demands.map(demandKey)),
    requesters: requesterKeys(question),
    length,
    lifetimeMs,
    expiresAt: now + lifetimeMs,
    forgetAt: Number.POSITIVE_INFINITY,
    state: 'pending',
    approvals: new Map(),
    approvedAt: 0,
    note: '',
    waiting: new Set(),
    hangUp: undefined,
  }
}

/** What a demand means: everything but the author's words. */
function demandKey(demand: ApprovalDemand): string {
  const { rule, approvers, quorum, expiresMs } = demand
  return canonicalJson({ rule, approvers: [...new Set(approvers)].sort(), quorum, expires_ms: expiresMs })
}

/** Whether each of `demands` was asked for, so that whoever met the question has met all of them. */
export function asksAll(entry: Entry, demands: readonly ApprovalDemand[]): boolean {
  return demands.every((demand) => entry.demandKeys.has(demandKey(demand)))
}

/** Why an answer does not count, or `undefined`. */
export function rejectAnswer(
  entry: Entry,
  digest: string,
  approver: string,
  decision: ApprovalDecision,
): AnswerRejection | undefined {
  // Somebody who saw another call has said nothing about this one, whatever the id says.
  if (digest !== entry.question.digest) return 'digest_mismatch'
  if (!isApproverName(approver)) return 'not_an_approver'
  if (entry.requesters.has(personKey(approver))) return 'requester'
  if (!entry.question.demands.some((demand) => mayAnswer(approver, demand))) return 'not_an_approver'
  if (!isOpen(entry)) return 'closed'
  // A refusal still counts when the quorum is full, and from somebody who has approved: it only takes away.
  if (decision === 'refuse') return undefined
  if (entry.approvals.has(personKey(approver))) return 'already_answered'
  return entry.state === 'pending' ? undefined : 'closed'
}

/** Whether every demand has its quorum of different people. One person may count towards several demands. */
export function isMet(entry: Entry): boolean {
  const names = [...entry.approvals.values()]
  return entry.question.demands.every(
    (demand) => names.filter((name) => mayAnswer(name, demand)).length >= demand.quorum,
  )
}

/** What a denial about this question says besides its code. */
export function denialOptions({ question }: Entry): DenialOptions {
  const { node, skill, tool, rules } = question
  return { subject: { node, skill, tool }, rules }
}

/**
 * Deep frozen copies.
 *
 * @throws TypeError for demands no loaded policy has, or none at all.
 */
export function copyDemands(demands: readonly ApprovalDemand[]): readonly ApprovalDemand[] {
  if (!Array.isArray(demands) || demands.length === 0) throw new TypeError('a question needs at least one demand')
  return Object.freeze((demands as readonly ApprovalDemand[]).map(copyDemand))
}

function copyDemand({ rule, approvers, quorum, expiresMs, reason }: ApprovalDemand): ApprovalDemand {
  if (typeof rule !== 'string' || rule === '') throw new TypeError('a demand names its rule')
  if (!Array.isArray(approvers) || !approvers.every((name) => typeof name === 'string')) {
    throw new TypeError('a demand lists the names of approvers')
  }
  if (!Number.isSafeInteger(quorum) || quorum < 1) throw new TypeError('a demand has a quorum of at least 1')
  if (!(Number.isFinite(expiresMs) && expiresMs > 0)) throw new TypeError('a demand expires after more than 0 ms')
  const copy = { rule, approvers: Object.freeze([...(approvers as readonly string[])]), quorum, expiresMs }
  return Object.freeze(reason === undefined ? copy : { ...copy, reason })
}
