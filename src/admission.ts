// One attempt of a node. It judges the calls of the node, records each before it is answered, and knows when the attempt is
// over: from then on nothing of it is allowed.

import type { AttestationToken } from './attestation/token.ts'
import { commitArguments } from './audit/commit.ts'
import { type AuditEvent, denialFields } from './audit/event.ts'
import type { AuditReceipt } from './audit/log.ts'
import { type AllowedCall, allowedCall, type Call, type CallRequest, type RefusedCall } from './call.ts'
import { canonicalJson } from './core/canonical.ts'
import { Deadline, LATE } from './core/deadline.ts'
import { type Denial, type DenialSubject, deny } from './core/denial.ts'
import { DeniedError } from './core/denied-error.ts'
import type { JsonObject } from './core/json.ts'
import { formatRule } from './core/render.ts'
import { describeResource } from './core/resource.ts'
import { isName, printable } from './core/text.ts'
import type { Ticket } from './core/ticket.ts'
import type { Verdict } from './core/verdict.ts'
import type { Confinement } from './enforcer/enforcer.ts'
import type { Requirements } from './enforcer/feature.ts'
import { compileProfile } from './enforcer/profile.ts'
import type { MissingInput, NodeOutcome } from './halt/state.ts'
import { type AdmittedSkill, given, type House, record } from './house.ts'
import { type Judged, judge, refusal, toolOf } from './judge.ts'

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
  nextCallId(): string
  /** Why the run takes no calls any more, if so. */
  ended(subject: DenialSubject): Denial | undefined
  /** Turns the third same refusal into the end of the node. */
  countRefusal(denial: Denial, args: JsonObject | undefined): Denial
  /** Ends the attempt and records what follows from it. */
  settle(admission: NodeAdmission, outcome: NodeOutcome, note: { code?: string; detail?: string }): Promise<NodeEnd>
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

  /** Aborted when the run halts or closes; already aborted when the node was refused. */
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
      judged = this.#judge(request)
      if (judged.denial === undefined && deadline.passed) {
        judged = {
          ...judged,
          denial: deny('deadline_exceeded', 'judging took longer than the deadline', {
            subject: { node: this.node, tool: judged.tool },
          }),
        }
      }
      if (judged.denial !== undefined)
        judged = { ...judged, denial: this.#run.countRefusal(judged.denial, judged.args) }
    } catch {
      // INVARIANT (total): the error stays here; its text may hold what the request carried.
      judged = refusal(
        'unknown',
        deny('internal_error', 'the gateway failed while judging this call', { subject: { node: this.node } }),
      )
    }
    const { args, denial } = judged
    if (denial === undefined && args !== undefined) return this.#allow(id, judged, args, deadline)
    return this.#refuse(id, judged, denial ?? deny('internal_error', 'a call was judged without arguments'), deadline)
  }

  /**
   * A confinement for a process that `tool` starts: what manifest and policy both give this node, and nothing else. It is
   * killed when the run halts.
   *
   * @throws DeniedError when the node may not call the tool any more, or never might; AgentPortError
   *   ERR_ENFORCEMENT_UNAVAILABLE when the enforcer cannot enforce what is required, which without one is always.
   */
  async confine(tool: string, requirements: Requirements = {}): Promise<Confinement> {
    const subject = { node: this.node, ...(isName(tool) ? { tool } : {}) }
    const standing = this.#standing(subject)
    if (standing !== undefined) throw new DeniedError(standing)
    const base = this.#granted(subject)
    if (!base.toolScope.includes(tool))
      throw new DeniedError(deny('tool_out_of_scope', 'the tool is not in the tool_scope of this node', { subject }))
    const grants = this.#house.policy.grantsFor({ node: base.node, roles: base.roles, skill: base.skill.name, tool })
    const { profile } = compileProfile(base.skill.manifest, grants)
    return this.#house.enforcer.open(profile, { requirements, signal: base.signal })
  }

  /** Ends the node successfully. The output itself stays with the executor. */
  complete(_output?: unknown): Promise<NodeEnd> {
    return this.#finish('succeeded', {})
  }

  /**
   * Ends the attempt without success; the answer says what the graph does about it. An attempt that has ended already, a
   * refused one included, is not ended again: the answer is `accepted: false` with what was done about it then.
   */
  fail(cause: unknown): Promise<NodeEnd> {
    const denial = cause instanceof DeniedError ? cause.denial : isDenial(cause) ? cause : undefined
    if (denial !== undefined) return this.#finish('denied', { code: denial.code, detail: denial.detail })
    return this.#finish('failed', { detail: printable(cause instanceof Error ? cause.message : 'the node failed') })
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

  #granted(subject: DenialSubject): Granted {
    const base = this.#base
    if (!('denial' in base)) return base
    throw new DeniedError(
      deny('ticket_missing', `the node was not admitted: ${base.denial.code}: ${base.denial.detail}`, { subject }),
    )
  }

  /** Whether this attempt may still act: the cheap checks, made before, after waiting, and when a result comes. */
  #standing(subject: DenialSubject): Denial | undefined {
    const base = this.#base
    const ended = this.#run.ended(subject)
    if (ended !== undefined) return ended
    if ('denial' in base)
      return deny('ticket_missing', `the node was not admitted: ${base.denial.code}: ${base.denial.detail}`, {
        subject,
      })
    const ticket = this.#house.tickets.check(base.ticket, this.#house.policy.digest)
    if (ticket !== undefined) return { ...ticket, subject }
    const { digest } = base.skill.attestation
    const token = this.#house.verifier.check(base.token, {
      run: this.#run.id,
      node: base.node,
      attempt: base.attempt,
      digest,
    })
    return token === undefined ? undefined : { ...token, subject }
  }

  /** The whole way of a request: may the attempt still act, and may it do this? */
  #judge(request: CallRequest): Judged {
    const tool = toolOf(request)
    const subject = { node: this.node, ...given('tool', tool) }
    const standing = this.#standing(subject)
    if (standing !== undefined) return refusal(tool ?? UNNAMED, standing)
    if (tool === undefined) return refusal(UNNAMED, deny('request_invalid', 'the request names no tool', { subject }))
    const { node, roles, toolScope, skill } = this.#granted(subject)
    return judge(this.#house, { node, roles, toolScope, manifest: skill.manifest }, tool, request)
  }

  async #allow(id: string, judged: Judged, args: JsonObject, deadline: Deadline): Promise<Call> {
    const subject = { node: this.node, tool: judged.tool }
    let intent: AuditReceipt
    try {
      const receipt = this.#house.audit.append({
        type: 'call.allowed',
        ...this.#about(judged),
        attempt: this.attempt,
        args: commitArguments(canonicalJson(args)),
        rules: judged.rules.map(formatRule),
        latencyUs: deadline.elapsedMicros,
      })
      const written = receipt instanceof Promise ? await deadline.race(receipt) : receipt
      if (written === LATE) {
        const late = deny('deadline_exceeded', 'recording the intent took longer than the deadline', { subject })
        // The intent may still reach the log after the answer was no. Say so there, so that nobody reads it as a call.
        if (receipt instanceof Promise)
          receipt.then(
            (reached) => this.#drop(reached, judged.tool, late),
            () => undefined,
          )
        return this.#refused(id, judged, late, deadline)
      }
      intent = written
    } catch {
      return this.#refused(
        id,
        judged,
        deny('audit_unavailable', 'the intent could not be recorded', { subject }),
        deadline,
      )
    }
    // While the record was being written the run may have halted or the policy changed: judged then is not allowed now.
    const standing = this.#standing(subject)
    if (standing !== undefined) {
      await deadline.race(this.#drop(intent, judged.tool, standing))
      return this.#refused(id, judged, standing, deadline)
    }
    const verdict = this.#verdict(id, judged, deadline, undefined)
    this.#house.notifications.emit('verdict', verdict)
    return this.#allowedCall(verdict, args, intent)
  }

  #allowedCall(verdict: Verdict, args: JsonObject, intent: AuditReceipt): AllowedCall {
    const { tool } = verdict
    const subject = { node: this.node, tool }
    let settled = false
    return allowedCall(verdict, args, this.signal, async (outcome) => {
      const late = settled
        ? deny('verdict_settled', 'a result was already handed back', { subject })
        : this.#house.clock.monotonic() >= verdict.expiresAt
          ? deny('verdict_expired', 'the verdict had expired', { subject })
          : this.#standing(subject)
      settled = true
      if (late !== undefined) {
        const denial = { ...late, dispatched: true }
        await this.#drop(intent, tool, denial)
        return denial
      }
      const at = { run: this.#run.id, node: this.node, attempt: this.attempt, intent: intent.seq, tool }
      const receipt = await record(this.#house, { type: 'call.outcome', ...at, ...outcome })
      if (typeof receipt === 'object') return undefined
      return deny('audit_unavailable', 'the outcome could not be recorded', { subject, dispatched: true })
    })
  }

  /** Records the refusal and gives it. */
  async #refuse(id: string, judged: Judged, denial: Denial, deadline: Deadline): Promise<RefusedCall> {
    const event: AuditEvent = {
      type: denial.code === 'approval_required' ? 'call.escalated' : 'call.denied',
      ...this.#about(judged),
      ...(this.attempt === 0 ? {} : { attempt: this.attempt }),
      ...(judged.args === undefined ? {} : { args: commitArguments(canonicalJson(judged.args)) }),
      ...denialFields(denial),
      latencyUs: deadline.elapsedMicros,
    }
    await deadline.race(record(this.#house, event))
    return this.#refused(id, judged, denial, deadline)
  }

  /** The answer "no", and the end of the node when nothing can make it a yes. The end waits for no record. */
  async #refused(id: string, judged: Judged, denial: Denial, deadline: Deadline): Promise<RefusedCall> {
    const verdict = this.#verdict(id, judged, deadline, denial)
    this.#house.notifications.emit('verdict', verdict)
    if (denial.recoverable === 'never' && this.decision === 'allow') {
      await deadline.race(this.#finish('denied', { code: denial.code, detail: denial.detail }))
    }
    return Object.freeze({
      decision: verdict.decision === 'escalate' ? 'escalate' : 'deny',
      verdict,
      tool: judged.tool,
      denial,
    })
  }

  async #drop(intent: AuditReceipt, tool: string, denial: Denial): Promise<void> {
    const at = { run: this.#run.id, node: this.node, attempt: this.attempt, intent: intent.seq, tool }
    await record(this.#house, { type: 'call.dropped', ...at, ...denialFields(denial) })
  }

  /** What every record of a call says of it. */
  #about(judged: Judged): CallFields {
    const { observed } = judged
    return {
      run: this.#run.id,
      node: this.node,
      tool: judged.tool,
      policy: this.#house.policy.digest,
      mode: this.#house.config.mode,
      resources: judged.resources.map(describeResource),
      ...('denial' in this.#base ? {} : { skill: this.#base.skill.name }),
      ...(observed === undefined ? {} : { candidateDecision: observed.decision }),
      ...(observed === undefined || observed.decision === 'allow' ? {} : { candidateCode: observed.denial.code }),
    }
  }

  #verdict(id: string, judged: Judged, deadline: Deadline, denial: Denial | undefined): Verdict {
    const base = this.#base
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
      policyDigest: this.#house.policy.digest,
      ...('denial' in base ? {} : { skillDigest: base.skill.attestation.digest }),
      latencyMicros: deadline.elapsedMicros,
      expiresAt: 'denial' in base ? 0 : base.ticket.expiresAt,
    })
  }
}

/** Stands in records for a tool that was not named, or not by a name. */
const UNNAMED = 'unnamed'

type CallFields = Pick<
  Extract<AuditEvent, { type: 'call.allowed' }>,
  'run' | 'node' | 'tool' | 'policy' | 'mode' | 'resources' | 'skill' | 'candidateDecision' | 'candidateCode'
>

const NOT_STARTED: NodeEnd = { accepted: false, disposition: 'none', skipped: [], halted: false }

function isDenial(value: unknown): value is Denial {
  return typeof value === 'object' && value !== null && 'code' in value && 'recoverable' in value && 'detail' in value
}
