// One attempt of a node. It judges the calls of the node, records each before it is answered, and knows when the attempt is
// over: from then on nothing of it is allowed.

import type { ApprovalQuestion } from './approval/question.ts'
import type { AttestationToken } from './attestation/token.ts'
import { commitArguments } from './audit/commit.ts'
import { type AuditEvent, denialFields } from './audit/event.ts'
import type { AuditReceipt } from './audit/log.ts'
import {
  type AllowedCall,
  type AllowedParts,
  allowedCall,
  type Call,
  type CallRequest,
  type PendingApproval,
  type RefusedCall,
} from './call.ts'
import { type ConfinementOwner, openConfinement } from './confine.ts'
import { askConditions } from './core/ask-conditions.ts'
import { canonicalJson } from './core/canonical.ts'
import { type ConditionQuestion, conditionInput } from './core/condition-port.ts'
import { Deadline, LATE } from './core/deadline.ts'
import { type Denial, type DenialSubject, deny, sealDenial, withSubject } from './core/denial.ts'
import { DeniedError, denialOf } from './core/denied-error.ts'
import type { JsonObject } from './core/json.ts'
import { formatRule } from './core/render.ts'
import { describeResource } from './core/resource.ts'
import { describeError, isName } from './core/text.ts'
import type { Ticket } from './core/ticket.ts'
import type { Verdict } from './core/verdict.ts'
import type { Confinement } from './enforcer/enforcer.ts'
import type { Requirements } from './enforcer/feature.ts'
import type { MissingInput, NodeOutcome } from './halt/state.ts'
import { type AdmittedSkill, given, type House, RECORD_TIMEOUT_MS, record } from './house.ts'
import {
  type BoundRequest,
  bindRequest,
  type Caller,
  type CallTerms,
  type Judged,
  judge,
  refusal,
  toolOf,
} from './judge.ts'
import { type PinnedAddress, pinAddresses } from './obligation/pin.ts'
import type { PolicyRequest } from './policy/engine.ts'
import { giveBack, type Lease, pendingDenial, reserve } from './terms.ts'
import { nextTurn } from './watch.ts'

/** How a node ended. */
export interface NodeEnd {
  /** `false`: the node had already ended, or its run was halted; whatever it produced must be discarded. */
  readonly accepted: boolean
  readonly disposition: 'none' | 'retry' | 'halt' | 'skip_downstream' | 'continue'
  /** Nodes that will not start because of it. */
  readonly skipped: readonly string[]
  readonly halted: boolean
}

/** What an admission needs of its run. */
export interface RunOfNode {
  readonly id: string
  readonly principal: string
  nextCallId(): string
  /** A name for what a call holds of limits, like no other anywhere. */
  leaseOf(call: string): string
  /** Why the run takes no calls any more, if so. */
  ended(subject: DenialSubject): Denial | undefined
  /** Turns the third same refusal into the end of the node. */
  countRefusal(denial: Denial, args: JsonObject | undefined): Denial
  /** Ends the attempt and records what follows from it. */
  settle(admission: NodeAdmission, outcome: NodeOutcome, note: { code?: string; detail?: string }): Promise<NodeEnd>
  /** The run is not over before this is. It never rejects. */
  hold(closed: Promise<void>): void
}

interface AdmissionBase {
  readonly node: string
  readonly attempt: number
  readonly signal: AbortSignal
}

export interface Granted extends AdmissionBase {
  readonly missing: readonly MissingInput[]
  readonly skill: AdmittedSkill
  readonly ticket: Ticket
  readonly token: AttestationToken
  readonly toolScope: readonly string[]
  readonly roles: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Names of the nodes around this one, at any distance. */
  readonly upstream: readonly string[]
  readonly downstream: readonly string[]
  readonly facts: JsonObject
  readonly scopes: ReadonlySet<string>
  readonly dataRegions: readonly string[] | undefined
}

export interface Refused extends AdmissionBase {
  readonly denial: Denial
}

/** One attempt of a node, admitted or refused. Made by {@link Run.admit}. */
export class NodeAdmission {
  readonly #house: House
  readonly #run: RunOfNode
  readonly #base: Granted | Refused
  #end: Promise<NodeEnd> | undefined
  #confined = false
  /** Why the attempt was ended for what a process of it did; stands for ever. */
  #stopped: Denial | undefined

  constructor(house: House, run: RunOfNode, base: Granted | Refused) {
    this.#house = house
    this.#run = run
    this.#base = base
  }

  /** Whether `value` is an admission made by the gateway behind `house`. */
  static belongs(value: unknown, house: unknown): value is NodeAdmission {
    return typeof value === 'object' && value !== null && #house in value && value.#house === house
  }

  get node(): string {
    return this.#base.node
  }

  /** Counts from 1; 0 when the node was refused before it became an attempt. */
  get attempt(): number {
    return this.#base.attempt
  }

  get decision(): 'allow' | 'deny' {
    return 'denial' in this.#base ? 'deny' : 'allow'
  }

  /** Why the node was not admitted. */
  get denial(): Denial | undefined {
    return 'denial' in this.#base ? this.#base.denial : undefined
  }

  /** Aborted when the attempt is over: it ended, or its run halted or closed, or it was refused from the start. */
  get signal(): AbortSignal {
    return this.#base.signal
  }

  /** Upstream nodes that delivered nothing and were allowed to (`on_failure: continue`). */
  get missing(): readonly MissingInput[] {
    return 'denial' in this.#base ? [] : this.#base.missing
  }

  /** Judges one tool call. Always answers; never throws for what the request holds. */
  async authorize(request: CallRequest): Promise<Call> {
    const deadline = new Deadline(this.#house.clock, this.#house.config.timeoutMs)
    const id = this.#run.nextCallId()
    let judged: Judged
    try {
      const bound = this.#bind(request)
      if (bound.ok) {
        const { question } = bound
        const asked = this.#unanswered(question)
        if (asked.length === 0) judged = judge(this.#house, this.#caller(), question)
        else judged = await this.#judgeAfterAsking(question, asked, deadline)
      } else judged = bound.judged
      if (judged.denial !== undefined) {
        judged = { ...judged, denial: this.#run.countRefusal(judged.denial, judged.args) }
      }
    } catch {
      // INVARIANT (total): the error stays here; its text may hold what the request carried.
      const subject = { node: this.node }
      judged = refusal(UNNAMED, deny('internal_error', 'the gateway failed while judging this call', { subject }))
    }
    const { args, denial, terms } = judged
    if (denial === undefined && args !== undefined && terms !== undefined) {
      return this.#allow(id, judged, args, terms, request, deadline)
    }
    return this.#refuse(id, judged, denial ?? deny('internal_error', 'a call was judged without arguments'), deadline)
  }

  /** What other engines have to be asked, for the active policy and for the one that is only observed. */
  #unanswered(question: PolicyRequest): readonly ConditionQuestion[] {
    const { policy, candidate } = this.#house
    const asked = policy.unanswered(question)
    return candidate === undefined ? asked : [...asked, ...candidate.unanswered(question)]
  }

  async #judgeAfterAsking(
    question: PolicyRequest & { readonly skill: string },
    asked: readonly ConditionQuestion[],
    deadline: Deadline,
  ): Promise<Judged> {
    const { conditions } = this.#house
    const answers = await askConditions(conditions, asked, conditionInput(question), { signal: this.signal, deadline })
    // While others were asked the run may have halted or the policy changed.
    const standing = this.#standing({ node: this.node, tool: question.tool })
    if (standing !== undefined) return { ...refusal(question.tool, standing), args: question.args }
    return judge(this.#house, this.#caller(), question, answers)
  }

  /**
   * A confinement for a process that `tool` starts: what manifest and policy both give this node, and nothing else. It is
   * killed and closed when the attempt ends, the run halts, or the policy is replaced. What happens in it is recorded; a
   * process that reaches for privilege ends the node (`privilege_escalation`).
   *
   * @throws DeniedError when the node may not call the tool any more, or never might; AgentPortError
   *   ERR_ENFORCEMENT_UNAVAILABLE when the enforcer cannot enforce what is required, which without one is always.
   */
  async confine(tool: string, requirements: Requirements = {}): Promise<Confinement> {
    const subject = { node: this.node, ...(isName(tool) ? { tool } : {}) }
    const standing = this.#standing(subject)
    if (standing !== undefined) throw new DeniedError(standing)
    const owner: ConfinementOwner = {
      run: this.#run.id,
      granted: this.#granted(subject),
      end: (denial) => this.#stop(denial),
      hold: (closed) => this.#run.hold(closed),
    }
    this.#confined = true
    const confinement = await openConfinement(this.#house, owner, tool, requirements)
    // While it was being opened the run may have halted: a box that nobody will close must not be handed out.
    const still = this.#standing(subject)
    if (still === undefined) return confinement
    await confinement.close().catch(() => undefined)
    throw new DeniedError(still)
  }

  /**
   * Ends the node successfully. The output itself stays with the executor. An attempt that lost its standing meanwhile
   * (expired, quarantined, judged by a policy that was replaced) does not succeed: it ends as denied.
   */
  complete(_output?: unknown): Promise<NodeEnd> {
    // What an enforcer has told by now must have been read: the work of a process that was caught does not count.
    return this.#confined ? nextTurn().then(() => this.#complete()) : this.#complete()
  }

  #complete(): Promise<NodeEnd> {
    const standing = this.#end === undefined ? this.#standing({ node: this.node }) : undefined
    if (standing === undefined) return this.#finish('succeeded', {})
    return this.#finish('denied', { code: standing.code, detail: standing.detail }).then((end) => ({
      ...end,
      accepted: false,
    }))
  }

  /**
   * Ends the attempt without success; the answer says what the graph does about it. An attempt that has ended already, a
   * refused one included, is not ended again: the answer is `accepted: false` with what was done about it then.
   */
  fail(cause: unknown): Promise<NodeEnd> {
    const denial = denialOf(cause)
    if (denial !== undefined) return this.#finish('denied', { code: denial.code, detail: denial.detail })
    return this.#finish('failed', { detail: describeError(cause, 'the node failed') })
  }

  /** @internal Name of the skill; `undefined` for a refused node. */
  get skill(): string | undefined {
    return 'denial' in this.#base ? undefined : this.#base.skill.name
  }

  /** @internal Why the attempt may not act any more, if so. */
  standing(): Denial | undefined {
    return this.#standing({ node: this.node })
  }

  /** @internal */
  revoke(): void {
    if (!('denial' in this.#base)) this.#house.tickets.revoke(this.#base.ticket)
  }

  #finish(outcome: NodeOutcome, note: { code?: string; detail?: string }): Promise<NodeEnd> {
    if (this.#end !== undefined) return this.#end.then((end) => ({ ...end, accepted: false }))
    this.revoke()
    this.#end =
      'denial' in this.#base && this.attempt === 0
        ? Promise.resolve(NOT_STARTED)
        : this.#run.settle(this, outcome, note)
    return this.#end
  }

  /** Ends the attempt as a forbidden call does, but for what a process did. The first reason stands. */
  #stop(denial: Denial): void {
    this.#stopped ??= denial
    this.fail(denial).catch(() => undefined)
  }

  #granted(subject: DenialSubject): Granted {
    const base = this.#base
    if (!('denial' in base)) return base
    throw new DeniedError(notAdmitted(base, subject))
  }

  /** Whether this attempt may still act: the cheap checks, made before, after waiting, and when a result comes. */
  #standing(subject: DenialSubject): Denial | undefined {
    const base = this.#base
    if (this.#stopped !== undefined) return withSubject(this.#stopped, subject)
    const ended = this.#run.ended(subject)
    if (ended !== undefined) return ended
    if ('denial' in base) return notAdmitted(base, subject)
    const ticket = this.#house.tickets.check(base.ticket, this.#house.policy.digest)
    if (ticket !== undefined) return withSubject(ticket, subject)
    const { digest, expiresAt } = base.skill.attestation
    // The token lives on the monotonic clock, which stands still while a machine is suspended; the attestation does not.
    if (expiresAt !== undefined && !(this.#house.clock.now() < expiresAt)) {
      return deny('attestation_expired', 'the attestation of the skill has expired', { subject })
    }
    const token = this.#house.verifier.check(base.token, {
      run: this.#run.id,
      node: base.node,
      attempt: base.attempt,
      digest,
    })
    return token === undefined ? undefined : withSubject(token, subject)
  }

  /** The way of a request up to the policy: may the attempt still act, and does the manifest have this? */
  #bind(request: CallRequest): BoundRequest {
    const tool = toolOf(request)
    const subject = { node: this.node, ...given('tool', tool) }
    const refuse = (name: string, denial: Denial): BoundRequest => ({ ok: false, judged: refusal(name, denial) })
    const standing = this.#standing(subject)
    if (standing !== undefined) return refuse(tool ?? UNNAMED, standing)
    if (tool === undefined) return refuse(UNNAMED, deny('request_invalid', 'the request names no tool', { subject }))
    return bindRequest(this.#house, this.#caller(), tool, request)
  }

  #caller(): Caller {
    const { node, roles, labels, toolScope, skill, upstream, downstream, facts, scopes, dataRegions } = this.#granted({
      node: this.node,
    })
    const { id: run, principal } = this.#run
    const { manifest } = skill
    return {
      run,
      principal,
      node,
      roles,
      labels,
      toolScope,
      manifest,
      upstream,
      downstream,
      facts,
      scopes,
      dataRegions,
    }
  }

  async #allow(
    id: string,
    judged: Judged,
    args: JsonObject,
    terms: CallTerms,
    request: CallRequest,
    deadline: Deadline,
  ): Promise<Call> {
    const subject = { node: this.node, tool: judged.tool }
    const question = terms.demands.length === 0 ? undefined : this.#ask(judged, args, terms)
    if (question !== undefined && 'denial' in question) {
      const { denial, pending } = question
      return this.#refuse(id, judged, denial, deadline, pending === undefined ? undefined : { pending, request })
    }
    const addresses = await this.#pin(judged, terms, deadline)
    if (addresses !== undefined && 'code' in addresses) return this.#refuse(id, judged, addresses, deadline)
    const lease: Lease = { id: this.#run.leaseOf(id), charges: terms.charges }
    const lifetime = this.#granted(subject).ticket.expiresAt - this.#house.clock.monotonic()
    const limited = await reserve(this.#house, lease, lifetime, deadline, subject)
    if (limited !== undefined) {
      return this.#refuse(id, judged, this.#run.countRefusal(limited, args), deadline)
    }
    if (question !== undefined) {
      // Only now: an approval is used once, and not for a call that is refused for another reason.
      const redeemed = this.#house.approvals.redeem(question.digest, terms.demands)
      if (!redeemed.ok) {
        giveBack(this.#house, lease, 'undone')
        return this.#refuse(id, judged, withSubject(redeemed.denial, subject), deadline)
      }
    }
    const allowed = await this.#recordAllowed(id, judged, args, terms, deadline, lease, question, addresses)
    if (allowed.decision !== 'allow') giveBack(this.#house, lease, 'undone')
    return allowed
  }

  /** The question for this very call, when it has been approved; else why not yet, and whom to wait for. */
  #ask(
    judged: Judged,
    args: JsonObject,
    terms: CallTerms,
  ): ApprovalQuestion | { readonly denial: Denial; readonly pending?: ApprovalQuestion } {
    const subject = { node: this.node, tool: judged.tool }
    const { skill, attempt } = this.#granted(subject)
    const asked = this.#house.approvals.ask(
      {
        run: this.#run.id,
        node: this.node,
        attempt,
        principal: this.#run.principal,
        skill: skill.name,
        skillDigest: skill.attestation.digest,
        tool: judged.tool,
        args,
        resources: judged.resources.map(describeResource),
        policyDigest: this.#house.policy.digest,
        rules: judged.rules,
      },
      terms.demands,
    )
    if (!asked.ok) return { denial: withSubject(asked.denial, subject) }
    const { question, state } = asked
    if (state === 'approved') return question
    if (state === 'refused') {
      const denial = deny('approval_refused', `refused as ${question.id}`, { subject, rules: judged.rules })
      return { denial: this.#run.countRefusal(denial, args) }
    }
    return { denial: pendingDenial(question, subject), pending: question }
  }

  /** Addresses for a call that has to be pinned; `undefined` where it has not, or the executor does it by itself. */
  async #pin(
    judged: Judged,
    { obliged }: CallTerms,
    deadline: Deadline,
  ): Promise<readonly PinnedAddress[] | Denial | undefined> {
    const { resolver } = this.#house
    if (resolver === undefined || !obliged.confirmations.includes('pin_addresses')) return undefined
    const controller = new AbortController()
    try {
      const { signal } = controller
      const pinned = await deadline.race(pinAddresses(judged.resources, { resolver, signal }))
      if (pinned === LATE) return deny('deadline_exceeded', 'resolving the hosts took longer than the deadline')
      return pinned.ok ? pinned.pinned : pinned.denial
    } finally {
      controller.abort()
    }
  }

  async #recordAllowed(
    id: string,
    judged: Judged,
    args: JsonObject,
    terms: CallTerms,
    deadline: Deadline,
    lease: Lease,
    approval: ApprovalQuestion | undefined,
    addresses: readonly PinnedAddress[] | undefined,
  ): Promise<Call> {
    const subject = { node: this.node, tool: judged.tool }
    const unavailable = (): Denial => deny('audit_unavailable', 'the intent could not be recorded', { subject })
    if (this.#house.auditGap) return this.#refused(id, judged, unavailable(), deadline)
    let intent: AuditReceipt
    try {
      const receipt = this.#house.audit.append({
        type: 'call.allowed',
        ...this.#about(id, judged),
        attempt: this.attempt,
        args: commitArguments(canonicalJson(args)),
        rules: judged.rules.map(formatRule),
        ...(terms.obligations.length === 0 ? {} : { obligations: terms.obligations.map(({ id: name }) => name) }),
        ...(lease.charges.length === 0
          ? {}
          : { limits: lease.charges.map(({ limit, amount }) => `${amount} ${limit}`) }),
        ...(approval === undefined ? {} : { approval: approval.id }),
        latencyUs: deadline.elapsedMicros,
      })
      const written = receipt instanceof Promise ? await deadline.race(receipt) : receipt
      if (written === LATE) {
        const late = deny('deadline_exceeded', 'recording the intent took longer than the deadline', { subject })
        // The intent may still reach the log after the answer was no. Say so there, so that nobody reads it as a call.
        if (receipt instanceof Promise) this.#dropWhenWritten(receipt, id, judged.tool, late)
        return this.#refused(id, judged, late, deadline)
      }
      intent = written
    } catch {
      return this.#refused(id, judged, unavailable(), deadline)
    }
    const verdict = this.#verdict(id, judged, deadline, undefined, approval?.id)
    this.#house.notifications.emit('verdict', verdict)
    // While the record was being written, and while observers were told, the run may have halted or the policy changed:
    // judged then is not allowed now. The deadline covers all of it.
    const late = deadline.passed
      ? deny('deadline_exceeded', 'the decision took longer than the deadline', { subject })
      : undefined
    const denial = this.#standing(subject) ?? late
    if (denial === undefined) return this.#allowedCall(verdict, args, intent, terms, lease, addresses)
    void this.#drop(intent, id, judged.tool, denial)
    return this.#refused(id, judged, denial, deadline)
  }

  #allowedCall(
    verdict: Verdict,
    args: JsonObject,
    intent: AuditReceipt,
    { obliged }: CallTerms,
    lease: Lease,
    addresses: readonly PinnedAddress[] | undefined,
  ): AllowedCall {
    const { id, tool } = verdict
    const subject = { node: this.node, tool }
    let settled = false
    const accept: AllowedParts['accept'] = async (outcome, unmet) => {
      const late = settled
        ? deny('verdict_settled', 'a result was already handed back', { subject })
        : this.#house.clock.monotonic() >= verdict.expiresAt
          ? deny('verdict_expired', 'the verdict had expired', { subject })
          : (this.#standing(subject) ?? (unmet === undefined ? undefined : withSubject(unmet, subject)))
      if (!settled) giveBack(this.#house, lease, 'settled')
      settled = true
      if (late !== undefined) return this.#discard(intent, id, tool, late)
      const at = { run: this.#run.id, node: this.node, attempt: this.attempt, intent: intent.seq, call: id, tool }
      let receipt: AuditReceipt | Promise<AuditReceipt>
      try {
        receipt = this.#house.audit.append({ type: 'call.outcome', ...at, ...outcome })
        const written =
          receipt instanceof Promise ? await new Deadline(this.#house.clock, RECORD_TIMEOUT_MS).race(receipt) : receipt
        if (written === LATE) {
          const denial = deny('audit_unavailable', 'the outcome took too long to record', { subject, dispatched: true })
          if (receipt instanceof Promise) this.#dropWhenWritten(receipt, id, tool, denial, intent)
          return sealDenial(denial)
        }
      } catch {
        return sealDenial(deny('audit_unavailable', 'the outcome could not be recorded', { subject, dispatched: true }))
      }
      const halted = this.#run.ended(subject)
      return halted === undefined ? undefined : this.#discard(intent, id, tool, halted)
    }
    return allowedCall({ verdict, args, signal: this.signal, obliged, addresses, accept })
  }

  /** The result is not handed on; the log says why. */
  async #discard(intent: AuditReceipt, id: string, tool: string, why: Denial): Promise<Denial> {
    const denial = sealDenial({ ...why, dispatched: true })
    await this.#drop(intent, id, tool, denial)
    return denial
  }

  /** Records the refusal and gives it. What ends because of it ends at once; only the records are waited for. */
  async #refuse(
    id: string,
    judged: Judged,
    denial: Denial,
    deadline: Deadline,
    waiting?: Waiting,
  ): Promise<RefusedCall> {
    const event: AuditEvent = {
      type: denial.code === 'approval_required' ? 'call.escalated' : 'call.denied',
      ...this.#about(id, judged),
      ...(this.attempt === 0 ? {} : { attempt: this.attempt }),
      ...(judged.args === undefined ? {} : { args: commitArguments(canonicalJson(judged.args)) }),
      ...denialFields(denial),
      ...(waiting === undefined ? {} : { approval: waiting.pending.id }),
      latencyUs: deadline.elapsedMicros,
    }
    const recorded = record(this.#house, event)
    const answer = this.#refused(id, judged, denial, deadline, waiting)
    await deadline.race(recorded)
    return answer
  }

  /** The answer "no", and the end of the node when nothing can make it a yes. */
  async #refused(
    id: string,
    judged: Judged,
    given: Denial,
    deadline: Deadline,
    waiting?: Waiting,
  ): Promise<RefusedCall> {
    const denial = sealDenial(given)
    const ending =
      denial.recoverable === 'never' && this.decision === 'allow'
        ? this.#finish('denied', { code: denial.code, detail: denial.detail })
        : undefined
    const verdict = this.#verdict(id, judged, deadline, denial, waiting?.pending.id)
    this.#house.notifications.emit('verdict', verdict)
    if (ending !== undefined) await deadline.race(ending)
    const decision = denial.code === 'approval_required' ? 'escalate' : 'deny'
    const refusedCall = { decision, verdict, tool: judged.tool, denial } as const
    if (waiting === undefined) return Object.freeze(refusedCall)
    return Object.freeze({ ...refusedCall, approval: this.#pendingApproval(waiting) })
  }

  #pendingApproval({ pending, request }: Waiting): PendingApproval {
    const answered: PendingApproval['answered'] = (signal) => {
      const signals = signal === undefined ? this.signal : AbortSignal.any([signal, this.signal])
      return this.#house.approvals.settled(pending.id, signals)
    }
    return Object.freeze({
      question: pending,
      answered,
      // The whole way anew: what people agreed to is one check of many, and the others may say no by now.
      resume: async (signal?: AbortSignal): Promise<Call> => {
        await answered(signal)
        return this.authorize(request)
      },
    })
  }

  async #drop(intent: AuditReceipt, id: string, tool: string, denial: Denial): Promise<void> {
    const at = { run: this.#run.id, node: this.node, attempt: this.attempt, intent: intent.seq, call: id, tool }
    await record(this.#house, { type: 'call.dropped', ...at, ...denialFields(denial) })
  }

  /** For a record that came too late to count: when it is in the log after all, the next one takes it back. */
  #dropWhenWritten(
    receipt: Promise<AuditReceipt>,
    id: string,
    tool: string,
    denial: Denial,
    intent?: AuditReceipt,
  ): void {
    receipt.then(
      (written) => this.#drop(intent ?? written, id, tool, denial),
      () => undefined,
    )
  }

  /** What every record of a call says of it. */
  #about(id: string, judged: Judged): CallFields {
    const { observed } = judged
    return {
      run: this.#run.id,
      node: this.node,
      call: id,
      tool: judged.tool,
      policy: this.#house.policy.digest,
      mode: this.#house.config.mode,
      resources: judged.resources.map(describeResource),
      ...('denial' in this.#base ? {} : { skill: this.#base.skill.name }),
      ...(observed === undefined ? {} : { candidateDecision: observed.decision }),
      ...(observed === undefined || observed.decision === 'allow' ? {} : { candidateCode: observed.denial.code }),
    }
  }

  #verdict(
    id: string,
    judged: Judged,
    deadline: Deadline,
    denial: Denial | undefined,
    approval: string | undefined,
  ): Verdict {
    const base = this.#base
    const { terms } = judged
    return Object.freeze({
      id,
      decision: denial === undefined ? 'allow' : denial.code === 'approval_required' ? 'escalate' : 'deny',
      run: this.#run.id,
      node: this.node,
      attempt: this.attempt,
      tool: judged.tool,
      ...(judged.args === undefined ? {} : { args: judged.args }),
      resources: judged.resources,
      rules: denial === undefined ? judged.rules : denial.rules,
      ...(denial === undefined ? {} : { denial }),
      ...(denial === undefined && terms !== undefined && terms.obligations.length > 0
        ? { obligations: terms.obligations }
        : {}),
      ...(denial === undefined && terms !== undefined && terms.charges.length > 0 ? { charges: terms.charges } : {}),
      ...given('approval', approval),
      policyDigest: this.#house.policy.digest,
      ...('denial' in base ? {} : { skillDigest: base.skill.attestation.digest }),
      latencyMicros: deadline.elapsedMicros,
      expiresAt: 'denial' in base ? 0 : base.ticket.expiresAt,
    })
  }
}

/** A refused call that runs when people agree, and the request to repeat then. */
interface Waiting {
  readonly pending: ApprovalQuestion
  readonly request: CallRequest
}

/** Stands in records for a tool that was not named, or not by a name. */
const UNNAMED = 'unnamed'

type CallFields = Pick<
  Extract<AuditEvent, { type: 'call.allowed' }>,
  'run' | 'node' | 'call' | 'tool' | 'policy' | 'mode' | 'resources' | 'skill' | 'candidateDecision' | 'candidateCode'
>

const NOT_STARTED: NodeEnd = { accepted: false, disposition: 'none', skipped: [], halted: false }

function notAdmitted({ denial }: Refused, subject: DenialSubject): Denial {
  return deny('ticket_missing', `the node was not admitted: ${denial.code}: ${denial.detail}`, { subject })
}
