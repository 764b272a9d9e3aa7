// What happened to a question, as a record of the audit log.

import type { ApprovalChange } from './approval/question.ts'
import type { AuditEvent } from './audit/event.ts'
import { printable } from './core/text.ts'
import { given } from './house.ts'

export function approvalRecord(change: ApprovalChange): AuditEvent {
  const { run, node, attempt, tool, skill, principal } = change
  const about = { run, node, attempt, tool, skill, principal: printable(principal), approval: change.question }
  switch (change.type) {
    case 'asked':
      return {
        type: 'approval.asked',
        ...about,
        rules: change.demands.map(({ rule }) => rule),
        detail: `${change.digest} ${change.port === undefined ? 'nobody was told' : `asked by ${printable(change.port)}`}`,
      }
    case 'answered': {
      const { approver, decision, reason, state } = change
      return {
        type: 'approval.answered',
        ...about,
        approver,
        answer: decision,
        detail: state,
        ...given('reason', reason === undefined ? undefined : printable(reason)),
      }
    }
    case 'rejected':
      return { type: 'approval.rejected', ...about, reason: change.code, ...given('approver', change.approver) }
    case 'port_failed':
      return {
        type: 'approval.rejected',
        ...about,
        reason: 'port_failed',
        detail: `${printable(change.port)}: ${printable(change.detail)}`,
      }
    case 'redeemed':
      return { type: 'approval.ended', ...about, reason: 'used', approver: change.approvers.join(', ') }
    case 'revoked':
      return { type: 'approval.ended', ...about, reason: 'revoked', detail: printable(change.reason) }
    case 'expired':
      return { type: 'approval.ended', ...about, reason: 'expired' }
  }
}
