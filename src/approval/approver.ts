// Who may answer: the names of approvers, and when two names are one person. Trusts whoever hands in an answer to have
// identified the person behind the name; everything else about a name is decided here.

import type { ApprovalDemand } from '../core/approval.ts'
import { simpleFold } from '../core/case-fold.ts'

const MAX_LENGTH = 256
const APPROVER = /^[!-~]+(?: [!-~]+)*$/

/**
 * Whether `text` can name an approver: 1 to 256 visible ASCII characters, with single spaces inside. Letters that only
 * look like ASCII ones, invisible ones and padding cannot be spelled, so no two names look alike and differ.
 */
export function isApproverName(text: unknown): text is string {
  return typeof text === 'string' && text.length <= MAX_LENGTH && APPROVER.test(text)
}

/** Whether `approver` may answer this demand: listed exactly so, case included, or nobody is listed. */
export function mayAnswer(approver: string, demand: ApprovalDemand): boolean {
  return demand.approvers.length === 0 || demand.approvers.includes(approver)
}

const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}]/gu

/**
 * Names with the same key are taken for one person, who counts once and cannot approve what was asked on their behalf.
 * Coarser than {@link mayAnswer} on purpose: `Bot` in full-width letters or another case is still `bot`.
 */
export function personKey(name: string): string {
  return simpleFold(name.normalize('NFKC').replace(INVISIBLE, '').trim())
}

/** Keys of those who ask. What runs must not approve itself, under none of the names it is known by. */
export function requesterKeys(subject: {
  readonly principal: string
  readonly run: string
  readonly node: string
  readonly skill: string
}): ReadonlySet<string> {
  return new Set([subject.principal, subject.run, subject.node, subject.skill].map(personKey))
}
