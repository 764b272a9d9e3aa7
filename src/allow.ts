// From a call that the policy lets through to one that may run: people have agreed, addresses are pinned, limits have room,
// the intent is written down, and after all of it the attempt still stands. What was taken on the way is given back
// wherever it ends in a no.

import type { ApprovalQuestion } from './approval/question.ts'
import type { Attempt } from './attempt.ts'
import { commitArguments } from './audit/commit.ts'
import type { AuditReceipt } from './audit/log.ts'
import { type AllowedCall, type AllowedParts, allowedCall, type Call, type CallRequest } from './call.ts'
import { aboutCall, dropWhenWritten, type JudgedCall, recordDropped, verdictOf } from './call-record.ts'
import { canonicalJson } from './core/canonical.ts'
import { Deadline, LATE } from './core/deadline.ts'
import { type Denial, deny, isDenial, sealDenial, withSubject } from './core/denial.ts'
import type { JsonObject } from './core/json.ts'
import { formatRule } from './core/render.ts'
import { describeResource } from './core/resource.ts'
import type { Verdict } from './core/verdict.ts'
import { RECORD_TIMEOUT_MS } from './house.ts'
import type { CallTerms } from './judge.ts'
import { type PinnedAddress, pinAddresses } from './obligation/pin.ts'
import { refuse, refused } from './refuse.ts'
import { giveBack, type Lease, pendingDenial, reserve } from './terms.ts'

/** A call that nothing spoke against so far. */
export interface ClearedCall extends JudgedCall {
  readonly args: JsonObject
  readonly terms: CallTerms
  /** What was asked for, to be asked for again when people have agreed. */
  readonly request: CallRequest
}

/** What is established on the way. */
interface Taken {
  readonly lease: Lease
  readonly approval: ApprovalQuestion | undefined
  readonly addresses: readonly PinnedAddress[] | undefined
}

type Question =
  | { readonly question: ApprovalQuestion }
  | { readonly denial: Denial; readonly pending?: ApprovalQuestion }

export async function allow(attempt: Attempt, call: ClearedCall): Promise<Call> {
  const { house, run, base } = attempt
  const { id, terms, judged } = call
  const lease: Lease = { id: run.leaseOf(id), charges: terms.charges }
  try {
    return await take(attempt, call, lease)
  } catch {
    // INVARIANT (total): whatever fails on the way ends in a denial, and holds nothing of a limit.
    giveBack(house, lease, 'undone')
    const subject = { node: base.node, tool: judged.tool }
    return refuse(attempt, call, deny('internal_error', 'the gateway failed while allowing this call', { subject }))
  }
}

/** Where there is nothing to ask, pin or take, nothing is waited for. */
async function take(attempt: Attempt, call: ClearedCall, lease: Lease): Promise<Call> {
  const { house, run, base } = attempt
  const { judged, args, terms, deadline, request } = call
  const subject = { node: base.node, tool: judged.tool }
  const asked = terms.demands.length === 0 ? undefined : ask(attempt, call)
  if (asked !== undefined && 'denial' in asked) {
    const { denial, pending } = asked
    return refuse(attempt, call, denial, pending === undefined ? undefined : { pending, request })
  }
  const pinning = pin(attempt, call)
  const addresses = pinning === undefined ? undefined : await pinning
  if (isDenial(addresses)) {
    return refuse(attempt, call, run.countRefusal(withSubject(addresses, subject), args))
  }
  const reserving = reserve(house, lease, expiryOf(attempt) - house.clock.monotonic(), deadline, subject)
  const limited = reserving instanceof Promise ? await reserving : reserving
  if (limited !== undefined) return refuse(attempt, call, run.countRefusal(limited, args))
  const answer = await complete(attempt, call, { lease, approval: asked?.question, addresses })
  if (answer.decision !== 'allow') giveBack(house, lease, 'undone')
  return answer
}

function complete(attempt: Attempt, call: ClearedCall, taken: Taken): Promise<Call> {
  const { approval } = taken
  if (approval === undefined) return recordAllowed(attempt, call, taken)
  // Only now: an approval is used once, and not for a call that is refused for another reason.
  const redeemed = attempt.house.approvals.redeem(approval.digest, call.terms.demands)
  if (redeemed.ok) return recordAllowed(attempt, call, taken)
  const subject = { node: attempt.base.node, tool: call.judged.tool }
  return refuse(attempt, call, withSubject(redeemed.denial, subject))
}

/** The end of the ticket: no result is accepted after it, and nothing is held longer. */
function expiryOf({ base }: Attempt): number {
  return 'denial' in base ? 0 : base.ticket.expiresAt
}

/** The question for this very call, when it has been approved; else why not yet, and whom to wait for. */
function ask({ house, run, base }: Attempt, { judged, args, terms }: ClearedCall): Question {
  const subject = { node: base.node, tool: judged.tool }
  if ('denial' in base) return { denial: base.denial }
  const { skill, attempt } = base
  const asked = house.approvals.ask(
    {
      run: run.id,
      node: base.node,
      attempt,
      principal: run.principal,
      skill: skill.name,
      skillDigest: skill.attestation.digest,
      tool: judged.tool,
      args,
      resources: judged.resources.map(describeResource),
      policyDigest: house.policy.digest,
      rules: judged.rules,
    },
    terms.demands,
  )
  if (!asked.ok) return { denial: withSubject(asked.denial, subject) }
  const { question, state } = asked
  if (state === 'approved') return { question }
  if (state === 'refused') {
    const denial = deny('approval_refused', `refused as ${question.id}`, { subject, rules: judged.rules })
    return { denial: run.countRefusal(denial, args) }
  }
  return { denial: pendingDenial(question, subject), pending: question }
}

/** Addresses for a call that has to be pinned; nothing where it has not, or the executor does it by itself. */
function pin(
  { house: { resolver } }: Attempt,
  { judged, terms, deadline }: ClearedCall,
): Promise<readonly PinnedAddress[] | Denial> | undefined {
  if (resolver === undefined || !terms.obliged.confirmations.includes('pin_addresses')) return undefined
  const controller = new AbortController()
  const { signal } = controller
  const pinning = deadline.race(pinAddresses(judged.resources, { resolver, signal }))
  return pinning
    .then((pinned) => {
      if (pinned === LATE) return deny('deadline_exceeded', 'resolving the hosts took longer than the deadline')
      return pinned.ok ? pinned.pinned : pinned.denial
    })
    .finally(() => controller.abort())
}

async function recordAllowed(attempt: Attempt, call: ClearedCall, taken: Taken): Promise<Call> {
  const { house, base } = attempt
  const { id, judged, args, terms, deadline } = call
  const { tool } = judged
  const { lease, approval } = taken
  const subject = { node: base.node, tool }
  const unavailable = (): Denial => deny('audit_unavailable', 'the intent could not be recorded', { subject })
  if (house.auditGap) return refused(attempt, call, unavailable())
  let intent: AuditReceipt
  try {
    const receipt = house.audit.append({
      type: 'call.allowed',
      ...aboutCall(attempt, call),
      attempt: base.attempt,
      args: commitArguments(canonicalJson(args)),
      rules: judged.rules.map(formatRule),
      ...(terms.obligations.length === 0 ? {} : { obligations: terms.obligations.map(({ id: name }) => name) }),
      ...(lease.charges.length === 0 ? {} : { limits: lease.charges.map(({ limit, amount }) => `${amount} ${limit}`) }),
      ...(approval === undefined ? {} : { approval: approval.id }),
      latencyUs: deadline.elapsedMicros,
    })
    const written = receipt instanceof Promise ? await deadline.race(receipt) : receipt
    if (written === LATE) {
      const late = deny('deadline_exceeded', 'recording the intent took longer than the deadline', { subject })
      // The intent may still reach the log after the answer was no. Say so there, so that nobody reads it as a call.
      if (receipt instanceof Promise) dropWhenWritten(attempt, receipt, { id, tool }, late)
      return refused(attempt, call, late)
    }
    intent = written
  } catch {
    return refused(attempt, call, unavailable())
  }
  const verdict = verdictOf(attempt, call, undefined, approval?.id)
  house.notifications.emit('verdict', verdict)
  // While the record was being written, and while observers were told, the run may have halted or the policy changed:
  // judged then is not allowed now. The deadline covers all of it.
  const late = deadline.passed
    ? deny('deadline_exceeded', 'the decision took longer than the deadline', { subject })
    : undefined
  const denial = attempt.standing(subject) ?? late
  if (denial === undefined) return dispatchable(attempt, call, taken, verdict, intent)
  void recordDropped(attempt, intent, { id, tool }, denial)
  return refused(attempt, call, denial)
}

function dispatchable(
  attempt: Attempt,
  { args, terms: { obliged } }: ClearedCall,
  { lease, addresses }: Taken,
  verdict: Verdict,
  intent: AuditReceipt,
): AllowedCall {
  const { house, run, base } = attempt
  const { id, tool } = verdict
  const subject = { node: base.node, tool }
  let settled = false
  const accept: AllowedParts['accept'] = async (outcome, unmet) => {
    const late = settled
      ? deny('verdict_settled', 'a result was already handed back', { subject })
      : house.clock.monotonic() >= verdict.expiresAt
        ? deny('verdict_expired', 'the verdict had expired', { subject })
        : (attempt.standing(subject) ?? (unmet === undefined ? undefined : withSubject(unmet, subject)))
    if (!settled) giveBack(house, lease, 'settled')
    settled = true
    if (late !== undefined) return discard(attempt, intent, verdict, late)
    const at = { run: run.id, node: base.node, attempt: base.attempt, intent: intent.seq, call: id, tool }
    try {
      const receipt = house.audit.append({ type: 'call.outcome', ...at, ...outcome })
      const written =
        receipt instanceof Promise ? await new Deadline(house.clock, RECORD_TIMEOUT_MS).race(receipt) : receipt
      if (written === LATE) {
        const denial = deny('audit_unavailable', 'the outcome took too long to record', { subject, dispatched: true })
        if (receipt instanceof Promise) dropWhenWritten(attempt, receipt, verdict, denial, intent)
        return sealDenial(denial)
      }
    } catch {
      return sealDenial(deny('audit_unavailable', 'the outcome could not be recorded', { subject, dispatched: true }))
    }
    const halted = run.ended(subject)
    return halted === undefined ? undefined : discard(attempt, intent, verdict, halted)
  }
  return allowedCall({ verdict, args, signal: base.signal, obliged, addresses, accept })
}

/** The result is not handed on; the log says why. */
async function discard(attempt: Attempt, intent: AuditReceipt, call: Verdict, why: Denial): Promise<Denial> {
  const denial = sealDenial({ ...why, dispatched: true })
  await recordDropped(attempt, intent, call, denial)
  return denial
}
