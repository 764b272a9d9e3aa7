// One attempt of a node. It judges the calls of the node, records each before it is answered, and knows when the attempt is
// over: from then on nothing of it is allowed.

import { allow } from './allow.ts'
import { type Attempt, type Granted, type NodeEnd, notAdmitted, type Refused, type RunOfNode } from './attempt.ts'
import type { Call, CallRequest } from './call.ts'
import { type ConfinementOwner, openConfinement } from './confine.ts'
import { askConditions } from './core/ask-conditions.ts'
import { type ConditionQuestion, conditionInput, conditionKey } from './core/condition-port.ts'
import { Deadline } from './core/deadline.ts'
import { type Denial, type DenialSubject, deny, withSubject } from './core/denial.ts'
import { DeniedError, denialOf } from './core/denied-error.ts'
import { describeError, isName } from './core/text.ts'
import type { Confinement } from './enforcer/enforcer.ts'
import type { Requirements } from './enforcer/feature.ts'
import type { MissingInput, NodeOutcome } from './halt/state.ts'
import { given, type House } from './house.ts'
import {
  type Answered,
  type BoundRequest,
  bindRequest,
  type Caller,
  type CallQuestion,
  type Judged,
  judge,
  refusal,
  toolOf,
} from './judge.ts'
import { refuse } from './refuse.ts'
import { nextTurn } from './watch.ts'

/** One attempt of a node, admitted or refused. Made by {@link Run.admit}. */
export class NodeAdmission {
  readonly #house: House
  readonly #run: RunOfNode
  readonly #base: Granted | Refused
  /** What those see of it who answer its calls. */
  readonly #attempt: Attempt
  #caller: Caller | undefined
  #end: Promise<NodeEnd> | undefined
  #confined = false
  /** Why the attempt was ended for what a process of it did; stands for ever. */
  #stopped: Denial | undefined

  constructor(house: House, run: RunOfNode, base: Granted | Refused) {
    this.#house = house
    this.#run = run
    this.#base = base
    this.#attempt = {
      house,
      run,
      base,
      standing: (subject) => this.#standing(subject),
      finish: (outcome, note) => this.#finish(outcome, note),
      authorize: (request) => this.authorize(request),
    }
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
    // As it was read, where it could be: the caller's own object can change while people are asked.
    let read = request
    try {
      const bound = this.#bind(request)
      if (bound.ok) {
        read = bound.request
        const answer = judge(this.#house, this.#callerOf(), bound.question, (question, ofActive, ofCandidate) =>
          this.#askOthers(question, ofActive, ofCandidate, deadline),
        )
        judged = answer instanceof Promise ? await answer : answer
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
    const call = { id, judged, deadline }
    if (denial === undefined && args !== undefined && terms !== undefined) {
      return allow(this.#attempt, { ...call, args, terms, request: read })
    }
    return refuse(this.#attempt, call, denial ?? deny('internal_error', 'a call was judged without arguments'))
  }

  async #askOthers(
    question: CallQuestion,
    ofActive: readonly ConditionQuestion[],
    ofCandidate: readonly ConditionQuestion[],
    deadline: Deadline,
  ): Promise<Answered | Denial> {
    const { clock, conditions, config } = this.#house
    const { signal } = this
    const input = conditionInput(question)
    const both = new Set(ofActive.map(conditionKey))
    const only = ofCandidate.filter((asked) => !both.has(conditionKey(asked)))
    const [active, more] = await Promise.all([
      askConditions(conditions, ofActive, input, { signal, deadline }),
      // Half of the time: an engine that only the candidate asks and that hangs must not deny what is in force.
      askConditions(conditions, only, input, {
        signal,
        deadline: new Deadline(clock, config.timeoutMs * CANDIDATE_SHARE),
      }),
    ])
    // While others were asked the run may have halted or the policy changed.
    return this.#standing({ node: this.node, tool: question.tool }) ?? { active, candidate: { ...more, ...active } }
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
    return bindRequest(this.#house, this.#callerOf(), tool, request)
  }

  /** The same for every call of the attempt. */
  #callerOf(): Caller {
    if (this.#caller === undefined) {
      const { id: run, principal } = this.#run
      const { node, roles, labels, toolScope, skill, upstream, downstream, facts, scopes, dataRegions } = this.#granted(
        {
          node: this.node,
        },
      )
      const { manifest } = skill
      const about = { node, roles, labels, toolScope, upstream, downstream, facts, scopes, dataRegions }
      this.#caller = { run, principal, manifest, ...about }
    }
    return this.#caller
  }
}

/** Stands in records for a tool that was not named, or not by a name. */
const UNNAMED = 'unnamed'

/** Of the deadline of a decision, for what is only observed. */
const CANDIDATE_SHARE = 0.5

const NOT_STARTED: NodeEnd = { accepted: false, disposition: 'none', skipped: [], halted: false }
