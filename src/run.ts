// One traversal of a graph: admits nodes, ends them, halts, and writes down each of these.

import { NodeAdmission } from './admission.ts'
import type { Granted, NodeEnd, RunOfNode } from './attempt.ts'
import { type AuditEvent, denialFields } from './audit/event.ts'
import { canonicalJson } from './core/canonical.ts'
import { randomHex, sha256Hex } from './core/crypto.ts'
import { Deadline } from './core/deadline.ts'
import { type Denial, type DenialSubject, deny, isDenial, withSubject } from './core/denial.ts'
import { DeniedError } from './core/denied-error.ts'
import type { JsonObject } from './core/json.ts'
import { copyPlain } from './core/plain.ts'
import { RepeatCounter } from './core/repeats.ts'
import { isName } from './core/text.ts'
import type { HaltRequest } from './halt/cause.ts'
import { type Neighbours, neighboursOf } from './halt/neighbours.ts'
import type { HaltReport, RunSummary } from './halt/report.ts'
import type { Admission, HaltScope, Settled } from './halt/scope.ts'
import type { NodeOutcome } from './halt/state.ts'
import { type House, RECORD_TIMEOUT_MS, record } from './house.ts'

// A kill has to prove itself and then to be written down.
const CONFINEMENTS_TIMEOUT_MS = 3 * RECORD_TIMEOUT_MS

/** What the executor says of a run when it opens it: read once, frozen, the same for all its calls. */
export interface Knowledge {
  readonly scopes: ReadonlySet<string>
  readonly facts: JsonObject
  readonly dataRegions: readonly string[] | undefined
}

interface OpenedFor extends Knowledge {
  readonly principal: string
}

/**
 * @throws TypeError for scopes or regions that are no list of texts, and facts that are no plain object.
 */
export function readKnowledge(options: {
  readonly scopes?: unknown
  readonly facts?: unknown
  readonly dataRegions?: unknown
}): Knowledge {
  const copied = copyPlain(options.facts ?? {})
  if (!copied.ok || typeof copied.value !== 'object' || copied.value === null || Array.isArray(copied.value)) {
    throw new TypeError('facts of a run are a plain object')
  }
  const { dataRegions } = options
  return {
    scopes: new Set(readTexts(options.scopes ?? [], 'scopes')),
    facts: copied.value as JsonObject,
    dataRegions: dataRegions === undefined ? undefined : readTexts(dataRegions, 'dataRegions'),
  }
}

function readTexts(list: unknown, name: string): readonly string[] {
  const copied = copyPlain(list)
  const texts = copied.ok && Array.isArray(copied.value) ? (copied.value as readonly unknown[]) : undefined
  if (texts?.every((text): text is string => typeof text === 'string') !== true) {
    throw new TypeError(`${name} of a run is a list of texts`)
  }
  return Object.freeze([...(texts as readonly string[])])
}

/** One traversal of a graph. Made by {@link AgentPort.openRun}. */
export class Run implements RunOfNode {
  readonly #house: House
  readonly #scope: HaltScope
  readonly #opened: OpenedFor
  /** Begins the lease of every call: two runs can have had the same name. */
  readonly #nonce = randomHex(8)
  readonly #neighbours = new Map<string, Neighbours>()
  readonly #onClose: () => void
  readonly #repeats = new RepeatCounter()
  readonly #admissions = new Set<NodeAdmission>()
  readonly #confinements = new Set<Promise<void>>()
  #calls = 0
  #haltRecord: Promise<void> | undefined
  #summary: Promise<RunSummary> | undefined

  constructor(house: House, scope: HaltScope, opened: OpenedFor, onClose: () => void) {
    this.#house = house
    this.#scope = scope
    this.#opened = opened
    this.#onClose = onClose
  }

  get id(): string {
    return this.#scope.id
  }

  get principal(): string {
    return this.#opened.principal
  }

  /** Aborted when the run halts. */
  get signal(): AbortSignal {
    return this.#scope.signal
  }

  get state(): HaltScope['state'] {
    return this.#scope.state
  }

  /** Nodes that may be admitted now. */
  ready(): readonly string[] {
    return this.#scope.ready()
  }

  /** Asks to start a node. The answer is an admission either way; a denied one authorizes nothing. */
  async admit(node: string): Promise<NodeAdmission> {
    const admitted = this.#scope.admit(node)
    if (!admitted.ok) {
      const name = isName(node) ? node : 'unnamed'
      return this.#refuseNode(name, 0, deny(admitted.code, admitted.detail, { subject: { node: name } }))
    }
    const { attempt } = admitted
    let granted: Granted | Denial
    try {
      granted = this.#grant(node, admitted)
    } catch {
      granted = deny('internal_error', 'the gateway failed while admitting this node', { subject: { node } })
    }
    if (isDenial(granted)) return this.#refuseNode(node, attempt, granted)

    const { skill, ticket, token } = granted
    const { timeoutMs } = this.#house.config
    const recorded = await record(
      this.#house,
      {
        type: 'node.admitted',
        run: this.id,
        node,
        attempt,
        policy: ticket.policyDigest,
        skill: skill.name,
        digest: skill.attestation.digest,
        manifest: skill.manifest.digest,
        token: token.id,
      },
      timeoutMs,
    )
    const admission = new NodeAdmission(this.#house, this, granted)
    // While the record was being written the run may have halted or closed, the skill been withdrawn, the policy changed.
    const denial =
      typeof recorded === 'object'
        ? admission.standing()
        : deny('audit_unavailable', 'the admission could not be recorded', { subject: { node } })
    if (denial === undefined) {
      this.#admissions.add(admission)
      return admission
    }
    this.#house.tickets.revoke(ticket)
    return this.#refuseNode(node, attempt, denial)
  }

  /** What the attempt is given: skill, token and ticket; or why it gets none. */
  #grant(node: string, admitted: Extract<Admission, { ok: true }>): Granted | Denial {
    const spec = this.#scope.node(node)
    const skill = spec === undefined ? undefined : this.#house.skills.get(spec.skill)
    if (spec === undefined || skill === undefined) {
      return deny('skill_unknown', 'the skill of this node was not loaded', { subject: { node } })
    }
    if (!skill.admitted) return withSubject(skill.denial, { node })
    const { attempt, signal, missing } = admitted
    const issued = this.#house.verifier.issue(skill.attestation, { run: this.id, node, attempt }, spec.lifetimeMs)
    if (!issued.ok) return issued.denial
    const ticket = this.#house.tickets.issue(
      {
        run: this.id,
        node,
        attempt,
        skill: skill.name,
        skillDigest: skill.attestation.digest,
        policyDigest: this.#house.policy.digest,
      },
      spec.lifetimeMs,
    )
    const { toolScope, roles, labels } = spec
    const { principal, facts: ofRun, scopes, dataRegions } = this.#opened
    const facts = Object.freeze({
      run: ofRun,
      principal,
      scopes: Object.freeze([...scopes]),
      node: Object.freeze({ name: node, attempt, skill: skill.name, labels }),
    })
    return {
      node,
      attempt,
      signal,
      missing,
      skill,
      ticket,
      token: issued.token,
      toolScope,
      roles,
      labels,
      ...this.#around(node),
      facts,
      scopes,
      dataRegions,
    }
  }

  #around(node: string): Neighbours {
    let known = this.#neighbours.get(node)
    if (known === undefined) {
      known = neighboursOf(this.#scope.graph, node)
      this.#neighbours.set(node, known)
    }
    return known
  }

  /** Stops the run for good. The first cause stands; calling again changes nothing. */
  async halt(request: HaltRequest): Promise<HaltReport> {
    const report = this.#scope.halt(request)
    await this.recordHalt()
    return report
  }

  /** Ends the run: what has not ended is cancelled, all tickets are revoked. */
  close(): Promise<RunSummary> {
    this.#summary ??= this.#close()
    return this.#summary
  }

  /** @internal */
  nextCallId(): string {
    this.#calls += 1
    return `${this.id}.${this.#calls}`
  }

  /** @internal */
  leaseOf(call: string): string {
    return `${this.#nonce}.${call}`
  }

  /** @internal Why the run takes no calls any more, if so. */
  ended(subject: DenialSubject): Denial | undefined {
    switch (this.#scope.state) {
      case 'running':
        return undefined
      case 'closed':
        return deny('run_closed', 'the run was closed', { subject })
      default:
        return deny('run_halted', `the run was halted: ${this.#scope.cause?.reason ?? 'no reason was given'}`, {
          subject,
        })
    }
  }

  /** @internal Turns the third same refusal into the end of the node. */
  countRefusal(denial: Denial, args: JsonObject | undefined): Denial {
    // Waiting and asking again is what a call is meant to do that has to wait, for time or for people.
    if (denial.recoverable !== 'narrower') return denial
    // Hashed: the arguments are the model's, and ten thousand large ones would be kept until the run ends.
    const what = `${denial.code}\n${denial.subject.tool ?? ''}\n${args === undefined ? '' : canonicalJson(args)}`
    if (!this.#repeats.add(sha256Hex(what))) return denial
    return deny('denial_repeated', `the same call was refused again with ${denial.code}`, {
      subject: denial.subject,
      rules: denial.rules,
    })
  }

  /** @internal The run is not over before this is. It never rejects. */
  hold(closed: Promise<void>): void {
    this.#confinements.add(closed)
    void closed.then(() => this.#confinements.delete(closed))
  }

  /** @internal Ends a node attempt and records what follows from it. */
  async settle(
    admission: NodeAdmission,
    outcome: NodeOutcome,
    note: { code?: string; detail?: string },
  ): Promise<NodeEnd> {
    this.#admissions.delete(admission)
    const { node, attempt } = admission
    const settled = this.#scope.settle(node, attempt, outcome, note)
    this.#house.verifier.revoke(this.id, node)
    this.#house.approvals.revoke({ run: this.id, node }, 'the node has ended')
    if (settled.accepted) await this.#recordEnd(node, attempt, outcome, note, settled)
    if (this.#scope.state !== 'running') await this.recordHalt()
    return settled.accepted
      ? settled
      : { accepted: false, disposition: 'none', skipped: [], halted: this.#scope.cause !== undefined }
  }

  /** @internal One record per halt, whatever raised it. A halt that cannot be recorded is still a halt. */
  recordHalt(): Promise<void> {
    const report = this.#scope.report
    if (report === undefined) return Promise.resolve()
    this.#house.approvals.revoke({ run: this.id }, 'the run was halted')
    this.#haltRecord ??= (async () => {
      this.#house.notifications.emit('halt', report)
      const { cause } = report
      await record(this.#house, {
        type: 'run.halted',
        run: this.id,
        reason: cause.reason,
        ...(cause.node === undefined ? {} : { node: cause.node }),
        ...(cause.code === undefined ? {} : { code: cause.code }),
        skipped: report.skipped,
      })
    })()
    return this.#haltRecord
  }

  /** @internal Ends the attempts of a skill that was withdrawn, and what they started. */
  async withdraw(skill: string): Promise<void> {
    const ends: Promise<NodeEnd>[] = []
    for (const admission of [...this.#admissions]) {
      if (admission.skill === skill)
        ends.push(
          admission.fail(
            deny('skill_quarantined', 'the skill was withdrawn', { subject: { node: admission.node, skill } }),
          ),
        )
    }
    await Promise.all(ends)
  }

  async #refuseNode(node: string, attempt: number, denial: Denial): Promise<NodeAdmission> {
    const admission = new NodeAdmission(this.#house, this, {
      node,
      attempt,
      denial,
      signal: AbortSignal.abort(new DeniedError(denial)),
    })
    const at = { run: this.id, node, ...(attempt === 0 ? {} : { attempt }) }
    const { timeoutMs } = this.#house.config
    const records: Promise<unknown>[] = [
      record(this.#house, { type: 'node.denied', ...at, ...denialFields(denial) }, timeoutMs),
    ]
    // Attempt 0 never was one: the scope itself refused. The rest ends at once; only the records are waited for.
    if (attempt > 0) records.push(new Deadline(this.#house.clock, timeoutMs).race(admission.fail(denial)))
    await Promise.all(records)
    return admission
  }

  async #recordEnd(
    node: string,
    attempt: number,
    outcome: NodeOutcome,
    note: { code?: string; detail?: string },
    settled: Extract<Settled, { accepted: true }>,
  ): Promise<void> {
    const at = { run: this.id, node, attempt }
    const ended: AuditEvent =
      outcome === 'succeeded'
        ? { type: 'node.completed', ...at }
        : { type: 'node.failed', ...at, ...note, outcome, disposition: settled.disposition, skipped: settled.skipped }
    const reason = settled.halted ? 'run_halted' : outcome === 'denied' ? 'upstream_denied' : 'upstream_failed'
    // Handed over in order and waited for together: a slow log costs one wait, not one a node.
    const records = [record(this.#house, ended)]
    for (const skipped of settled.skipped) {
      records.push(record(this.#house, { type: 'node.skipped', run: this.id, node: skipped, reason, cause: node }))
    }
    await Promise.all(records)
  }

  async #close(): Promise<RunSummary> {
    const summary = this.#scope.close()
    for (const admission of this.#admissions) admission.revoke()
    this.#admissions.clear()
    this.#house.verifier.revoke(this.id)
    this.#house.approvals.revoke({ run: this.id }, 'the run is closed')
    const forgotten = this.#forgetLimits()
    await this.recordHalt()
    // Their attempts have ended, so they are closing; the log must not be closed before it says how that went.
    await new Deadline(this.#house.clock, CONFINEMENTS_TIMEOUT_MS).race(Promise.all(this.#confinements))
    await record(this.#house, { type: 'run.closed', run: this.id, state: summary.state })
    // Before another run can have this name: what it will have taken must not be forgotten with what this one took.
    await new Deadline(this.#house.clock, RECORD_TIMEOUT_MS).race(forgotten)
    this.#onClose()
    return summary
  }

  /** Never rejects: counters that are not dropped now stay until the store drops them. Too much is counted, never too little. */
  async #forgetLimits(): Promise<void> {
    try {
      await this.#house.limits.forgetRun(this.id)
    } catch {
      // As above.
    }
  }
}
