// One traversal of a graph: admits nodes, ends them, halts, and writes down each of these.

import { NodeAdmission, type NodeEnd, type RunOfNode } from './admission.ts'
import { type AuditEvent, denialFields } from './audit/event.ts'
import { canonicalJson } from './core/canonical.ts'
import { type Denial, type DenialSubject, deny } from './core/denial.ts'
import { DeniedError } from './core/denied-error.ts'
import type { JsonObject } from './core/json.ts'
import { RepeatCounter } from './core/repeats.ts'
import { isName } from './core/text.ts'
import type { HaltRequest } from './halt/cause.ts'
import type { HaltReport, RunSummary } from './halt/report.ts'
import type { HaltScope, Settled } from './halt/scope.ts'
import type { NodeOutcome } from './halt/state.ts'
import { type House, record } from './house.ts'

/** One traversal of a graph. Made by {@link AgentPort.openRun}. */
export class Run implements RunOfNode {
  readonly #house: House
  readonly #scope: HaltScope
  readonly #principal: string
  readonly #onClose: () => void
  readonly #repeats = new RepeatCounter()
  readonly #admissions = new Set<NodeAdmission>()
  #calls = 0
  #haltRecord: Promise<void> | undefined
  #summary: Promise<RunSummary> | undefined

  constructor(house: House, scope: HaltScope, principal: string, onClose: () => void) {
    this.#house = house
    this.#scope = scope
    this.#principal = principal
    this.#onClose = onClose
  }

  get id(): string {
    return this.#scope.id
  }

  get principal(): string {
    return this.#principal
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
    const spec = this.#scope.node(node)
    const skill = spec === undefined ? undefined : this.#house.skills.get(spec.skill)
    if (spec === undefined || skill === undefined) {
      return this.#refuseNode(
        node,
        admitted.attempt,
        deny('skill_unknown', 'the skill of this node was not loaded', { subject: { node } }),
      )
    }
    if (!skill.admitted)
      return this.#refuseNode(node, admitted.attempt, { ...skill.denial, subject: { ...skill.denial.subject, node } })
    const { attestation, manifest } = skill
    const { attempt } = admitted
    const issued = this.#house.verifier.issue(attestation, { run: this.id, node, attempt }, spec.lifetimeMs)
    if (!issued.ok) return this.#refuseNode(node, attempt, issued.denial)
    const ticket = this.#house.tickets.issue(
      {
        run: this.id,
        node,
        attempt,
        skill: skill.name,
        skillDigest: attestation.digest,
        policyDigest: this.#house.policy.digest,
      },
      spec.lifetimeMs,
    )
    const recorded = await record(
      this.#house,
      {
        type: 'node.admitted',
        run: this.id,
        node,
        attempt,
        policy: ticket.policyDigest,
        skill: skill.name,
        digest: attestation.digest,
        manifest: manifest.digest,
        token: issued.token.id,
      },
      this.#house.config.timeoutMs,
    )
    if (typeof recorded !== 'object') {
      this.#house.tickets.revoke(ticket)
      return this.#refuseNode(
        node,
        attempt,
        deny('audit_unavailable', 'the admission could not be recorded', { subject: { node } }),
      )
    }
    return this.#keep(
      new NodeAdmission(this.#house, this, {
        node,
        attempt,
        signal: admitted.signal,
        missing: admitted.missing,
        skill,
        ticket,
        token: issued.token,
        toolScope: spec.toolScope,
        roles: spec.roles,
      }),
    )
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
    if (denial.recoverable === 'never' || denial.recoverable === 'after_wait') return denial
    const fingerprint = `${denial.code}\n${denial.subject.tool ?? ''}\n${args === undefined ? '' : canonicalJson(args)}`
    if (!this.#repeats.add(fingerprint)) return denial
    return deny('denial_repeated', `the same call was refused again with ${denial.code}`, {
      subject: denial.subject,
      rules: denial.rules,
    })
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

  #keep(admission: NodeAdmission): NodeAdmission {
    this.#admissions.add(admission)
    return admission
  }

  async #refuseNode(node: string, attempt: number, denial: Denial): Promise<NodeAdmission> {
    const admission = new NodeAdmission(this.#house, this, {
      node,
      attempt,
      denial,
      signal: AbortSignal.abort(new DeniedError(denial)),
    })
    const at = { run: this.id, node, ...(attempt === 0 ? {} : { attempt }) }
    await record(this.#house, { type: 'node.denied', ...at, ...denialFields(denial) }, this.#house.config.timeoutMs)
    // Attempt 0 never was one: the scope itself refused.
    if (attempt > 0) await admission.fail(denial)
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
    await this.recordHalt()
    await record(this.#house, { type: 'run.closed', run: this.id, state: summary.state })
    this.#onClose()
    return summary
  }
}
