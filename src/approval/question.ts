// The words of asking: a question as it is shown, an answer as it comes back, and what is told about both. Data only.

import type { ApprovalDemand } from '../core/approval.ts'
import type { Denial } from '../core/denial.ts'
import type { ApprovalSubject } from './subject.ts'

export type ApprovalState =
  /** Not every demand is met. */
  | 'pending'
  /** Every demand is met; may be redeemed, once. */
  | 'approved'
  | 'refused'
  /** The shortest time a demand gives ran out before the approval was used. */
  | 'expired'
  /** Withdrawn: the policy, run or node it was asked under is over. */
  | 'revoked'
  /** Redeemed. */
  | 'used'

/** What an approver is shown. Deep frozen; text in it comes from outside: show it by `renderApproval`. */
export interface ApprovalQuestion extends ApprovalSubject {
  /** Cannot be guessed. */
  readonly id: string
  /** What exactly is approved; an answer repeats it. See `approvalDigest`. */
  readonly digest: string
  readonly demands: readonly ApprovalDemand[]
  /** Wall clock, milliseconds since the epoch. For people: time is kept by a clock nobody can set. */
  readonly askedAt: number
  /** As `askedAt`. */
  readonly expiresAt: number
}

export type ApprovalDecision = 'approve' | 'refuse'

export interface ApprovalAnswer {
  /** Id of the question. */
  readonly question: string
  /** The digest the approver was shown. */
  readonly digest: string
  /** Name of the person, as whoever hands in the answer has identified them. */
  readonly approver: string
  readonly decision: ApprovalDecision
  /** The approver's own words; cut at 500 characters. */
  readonly reason?: string
}

export type AnswerRejection =
  /** Not an answer at all. */
  | 'malformed'
  /** Never asked, or asked so long ago that it is forgotten. */
  | 'unknown_question'
  /** The approver was shown another call. */
  | 'digest_mismatch'
  /** Nobody the demands name, or not a name at all. */
  | 'not_an_approver'
  /** Who asks does not answer: the principal, or a name of the run, node or skill. */
  | 'requester'
  /** This person has approved already, and counts once. */
  | 'already_answered'
  /** Refused, expired, revoked or used; or approved, which only a refusal still changes. */
  | 'closed'

export type AnswerResult =
  | { readonly accepted: true /** After this answer. */; readonly state: ApprovalState }
  | { readonly accepted: false; readonly code: AnswerRejection }

/** The answer to asking. */
export type Asked =
  | {
      readonly ok: true
      readonly question: ApprovalQuestion
      /** `refused` when this very call was refused a while ago: nobody is asked again. */
      readonly state: 'pending' | 'approved' | 'refused'
      /** The question was there before; nobody was told again. */
      readonly repeated: boolean
    }
  | { readonly ok: false; readonly denial: Denial }

/** One call that may run, once. */
export interface Approval {
  /** Id of the question. */
  readonly id: string
  readonly digest: string
  /** Who approved, in the order of their answers. */
  readonly approvers: readonly string[]
  /** When the last of them did: wall clock, milliseconds since the epoch. */
  readonly at: number
}

export type Redeemed =
  | { readonly ok: true; readonly approval: Approval }
  | { readonly ok: false; readonly denial: Denial }

/** What every {@link ApprovalChange} says. */
export interface ChangeBase {
  /** Id of the question. */
  readonly question: string
  readonly digest: string
  readonly run: string
  readonly node: string
  readonly attempt: number
  readonly principal: string
  readonly skill: string
  readonly tool: string
  /** Wall clock, milliseconds since the epoch. */
  readonly at: number
}

export type ChangeKind =
  /** `port` was told; absent when there is none. */
  | { readonly type: 'asked'; readonly demands: readonly ApprovalDemand[]; readonly port?: string }
  | {
      readonly type: 'answered'
      readonly approver: string
      readonly decision: ApprovalDecision
      readonly reason?: string
      /** After this answer. */
      readonly state: ApprovalState
    }
  /** An answer to this question that did not count. `approver` is escaped, and absent when it was no text. */
  | { readonly type: 'rejected'; readonly code: AnswerRejection; readonly approver?: string }
  | { readonly type: 'redeemed'; readonly approvers: readonly string[] }
  | { readonly type: 'revoked'; readonly reason: string }
  | { readonly type: 'expired' }
  /** The port threw, or answered with what is no list of answers. The question stays open. */
  | { readonly type: 'port_failed'; readonly port: string; readonly detail: string }

/** What happened to a question, as plain data without the arguments. */
export type ApprovalChange = ChangeBase & ChangeKind

/** Questions to revoke: those that have all of what is given. */
export interface RevokeFilter {
  readonly question?: string
  readonly run?: string
  readonly node?: string
  readonly attempt?: number
  readonly principal?: string
  readonly skill?: string
  readonly skillDigest?: string
  readonly policyDigest?: string
}
