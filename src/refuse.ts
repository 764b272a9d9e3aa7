// The answer "no", recorded: for ever, or until time or people allow it.

import type { ApprovalQuestion } from './approval/question.ts'
import type { Attempt } from './attempt.ts'
import { commitArguments } from './audit/commit.ts'
import { type AuditEvent, denialFields } from './audit/event.ts'
import type { Call, CallRequest, PendingApproval, RefusedCall } from './call.ts'
import { aboutCall, decisionOf, type JudgedCall, verdictOf } from './call-record.ts'
import { canonicalJson } from './core/canonical.ts'
import { type Denial, sealDenial } from './core/denial.ts'
import { record } from './house.ts'

/** A refused call that runs when people agree, and the request to repeat then. */
export interface Waiting {
  readonly pending: ApprovalQuestion
  readonly request: CallRequest
}

/** Records the refusal and gives it. What ends because of it ends at once; only the records are waited for. */
export async function refuse(
  attempt: Attempt,
  call: JudgedCall,
  denial: Denial,
  waiting?: Waiting,
): Promise<RefusedCall> {
  const { base, house } = attempt
  const { judged, deadline } = call
  const event: AuditEvent = {
    type: decisionOf(denial) === 'escalate' ? 'call.escalated' : 'call.denied',
    ...aboutCall(attempt, call),
    ...(base.attempt === 0 ? {} : { attempt: base.attempt }),
    ...(judged.args === undefined ? {} : { args: commitArguments(canonicalJson(judged.args)) }),
    ...denialFields(denial),
    ...(waiting === undefined ? {} : { approval: waiting.pending.id }),
    latencyUs: deadline.elapsedMicros,
  }
  const recorded = record(house, event)
  const answer = refused(attempt, call, denial, waiting)
  await deadline.race(recorded)
  return answer
}

/** The answer "no", and the end of the node when nothing can make it a yes. */
export async function refused(
  attempt: Attempt,
  call: JudgedCall,
  why: Denial,
  waiting?: Waiting,
): Promise<RefusedCall> {
  const { base, house } = attempt
  const { judged, deadline } = call
  const denial = sealDenial(why)
  const ending =
    denial.recoverable === 'never' && !('denial' in base)
      ? attempt.finish('denied', { code: denial.code, detail: denial.detail })
      : undefined
  const verdict = verdictOf(attempt, call, denial, waiting?.pending.id)
  house.notifications.emit('verdict', verdict)
  if (ending !== undefined) await deadline.race(ending)
  const answer = { decision: decisionOf(denial), verdict, tool: judged.tool, denial } as const
  if (waiting === undefined) return Object.freeze(answer)
  return Object.freeze({ ...answer, approval: pendingApproval(attempt, waiting) })
}

function pendingApproval(attempt: Attempt, { pending, request }: Waiting): PendingApproval {
  const ended = attempt.base.signal
  const answered: PendingApproval['answered'] = (signal) => {
    const signals = signal === undefined ? ended : AbortSignal.any([signal, ended])
    return attempt.house.approvals.settled(pending.id, signals)
  }
  return Object.freeze({
    question: pending,
    answered,
    // The whole way anew: what people agreed to is one check of many, and the others may say no by now.
    resume: async (signal?: AbortSignal): Promise<Call> => {
      await answered(signal)
      return attempt.authorize(request)
    },
  })
}
