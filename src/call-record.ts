// What the log and the verdict say of a call. Nothing is decided here.

import type { Attempt } from './attempt.ts'
import { type AuditEvent, denialFields } from './audit/event.ts'
import type { AuditReceipt } from './audit/log.ts'
import type { Deadline } from './core/deadline.ts'
import type { Denial } from './core/denial.ts'
import { describeResource } from './core/resource.ts'
import type { Verdict } from './core/verdict.ts'
import { given, record } from './house.ts'
import type { Judged } from './judge.ts'

/** A call on its way to an answer. */
export interface JudgedCall {
  readonly id: string
  readonly judged: Judged
  readonly deadline: Deadline
}

type CallFields = Pick<
  Extract<AuditEvent, { type: 'call.allowed' }>,
  | 'run'
  | 'node'
  | 'call'
  | 'tool'
  | 'policy'
  | 'mode'
  | 'resources'
  | 'skill'
  | 'candidate'
  | 'candidateDecision'
  | 'candidateCode'
>

/** What every record of a call says of it. */
export function aboutCall({ house, run, base }: Attempt, { id, judged }: JudgedCall): CallFields {
  const { observed } = judged
  return {
    run: run.id,
    node: base.node,
    call: id,
    tool: judged.tool,
    policy: house.policy.digest,
    mode: house.config.mode,
    resources: judged.resources.map(describeResource),
    ...('denial' in base ? {} : { skill: base.skill.name }),
    ...(observed === undefined ? {} : { candidate: observed.candidate, candidateDecision: observed.decision }),
    ...given('candidateCode', observed?.code),
  }
}

/** `approval`: id of the question that was asked, or of the approval that was used. */
export function verdictOf(
  { house, run, base }: Attempt,
  { id, judged, deadline }: JudgedCall,
  denial: Denial | undefined,
  approval: string | undefined,
): Verdict {
  const { terms } = judged
  const allowed = denial === undefined ? terms : undefined
  return Object.freeze({
    id,
    decision: denial === undefined ? 'allow' : decisionOf(denial),
    run: run.id,
    node: base.node,
    attempt: base.attempt,
    tool: judged.tool,
    ...(judged.args === undefined ? {} : { args: judged.args }),
    resources: judged.resources,
    rules: denial === undefined ? judged.rules : denial.rules,
    ...(denial === undefined ? {} : { denial }),
    ...(allowed === undefined || allowed.obligations.length === 0 ? {} : { obligations: allowed.obligations }),
    ...(allowed === undefined || allowed.charges.length === 0 ? {} : { charges: allowed.charges }),
    ...given('approval', approval),
    policyDigest: house.policy.digest,
    ...('denial' in base ? {} : { skillDigest: base.skill.attestation.digest }),
    latencyMicros: deadline.elapsedMicros,
    expiresAt: 'denial' in base ? 0 : base.ticket.expiresAt,
  })
}

export function decisionOf({ code }: Denial): 'deny' | 'escalate' {
  return code === 'approval_required' ? 'escalate' : 'deny'
}

/** Takes an intent back: what was written as allowed was not, or its result is not handed on. */
export async function recordDropped(
  { house, run, base }: Attempt,
  intent: AuditReceipt,
  { id, tool }: Pick<Verdict, 'id' | 'tool'>,
  denial: Denial,
): Promise<void> {
  const at = { run: run.id, node: base.node, attempt: base.attempt, intent: intent.seq, call: id, tool }
  await record(house, { type: 'call.dropped', ...at, ...denialFields(denial) })
}

/** For a record that came too late to count: when it is in the log after all, the next one takes it back. */
export function dropWhenWritten(
  attempt: Attempt,
  receipt: Promise<AuditReceipt>,
  call: Pick<Verdict, 'id' | 'tool'>,
  denial: Denial,
  intent?: AuditReceipt,
): void {
  receipt.then(
    (written) => recordDropped(attempt, intent ?? written, call, denial),
    () => undefined,
  )
}
