// AgentPort: the gateway an executor calls from its node lifecycle hooks. This file and those beside it join the rooms, and
// nothing else does: agentport opens them, skills lets skills in, run and admission follow a graph, judge, allow and refuse
// are the way of a call, call is what the executor holds, confine is the way of a process, house is what they share.

import { NodeAdmission } from './admission.ts'
import { ApprovalDesk } from './approval/desk.ts'
import type { ApprovalPort } from './approval/port.ts'
import { approvalRecord } from './approval-record.ts'
import type { SkillBundle } from './attestation/bundle.ts'
import { loadTrust, type Trust, trustFromValue } from './attestation/trust.ts'
import { AttestationVerifier } from './attestation/verifier.ts'
import type { AuditEvent } from './audit/event.ts'
import { AuditLog, type AuditReceipt, type KeepSalt } from './audit/log.ts'
import type { AuditSink } from './audit/sink.ts'
import type { AllowedCall } from './call.ts'
import type { LimitStore } from './core/charge.ts'
import { type Clock, systemClock } from './core/clock.ts'
import type { ConditionPort } from './core/condition-port.ts'
import { type Config, type Environment, type Mode, resolveConfig } from './core/config.ts'
import { randomHex } from './core/crypto.ts'
import { deny } from './core/denial.ts'
import { DeniedError } from './core/denied-error.ts'
import type { SourceText } from './core/document.ts'
import { AgentPortError } from './core/errors.ts'
import type { JsonObject } from './core/json.ts'
import { Notifications } from './core/notifications.ts'
import { DocumentError } from './core/problem.ts'
import { isName, printable } from './core/text.ts'
import { TicketOffice } from './core/ticket.ts'
import type { Verdict } from './core/verdict.ts'
import { isWellFormed } from './core/wellformed.ts'
import type { Enforcer } from './enforcer/enforcer.ts'
import { refusingEnforcer } from './enforcer/refusing.ts'
import { type Graph, loadGraph, parseGraph, withHaltingSkills } from './halt/graph.ts'
import { HaltPropagator } from './halt/propagator.ts'
import { type AgentPortEvents, given, type House, record, type SkillStatus } from './house.ts'
import { MemoryLimitStore } from './limit/memory-store.ts'
import { ManifestValidator } from './manifest/validator.ts'
import type { AddressResolver } from './obligation/pin.ts'
import { PolicyEngine } from './policy/engine.ts'
import type { PolicySource } from './policy/load.ts'
import { Run, readKnowledge } from './run.ts'
import {
  describeRejection,
  excessDenial,
  fitSkill,
  rejectedSkill,
  skillRecord,
  toolsOf,
  validateSkill,
  warmUp,
} from './skills.ts'

export interface AgentPortOptions {
  /** What the operator grants: one or more documents, or an engine made from them. */
  readonly policy: PolicyEngine | PolicySource | readonly PolicySource[]
  /** Skills that nodes may run. */
  readonly skills: readonly SkillBundle[]
  /**
   * What becomes of a skill that does not verify, is malformed or asks for too much. `throw` (default): nothing opens.
   * `report`: the gateway opens without it; it is listed in {@link AgentPort.skills} and its nodes are denied.
   */
  readonly rejectedSkills?: 'throw' | 'report'
  /** Whose signatures count. Text with its file name, or a plain object with the keys of the file format. */
  readonly trust: SourceText | object
  /** Where records go. Without a working audit log nothing is allowed. */
  readonly audit: AuditSink
  /** Confines processes. Without one every confined spawn is refused. */
  readonly enforcer?: Enforcer
  /** Values of `${name}` in policies and manifests, e.g. the workspace directory. */
  readonly variables?: Readonly<Record<string, string>>
  readonly mode?: Mode
  /** `observe` only: a policy that is evaluated and recorded beside the active one and decides nothing. */
  readonly candidate?: PolicyEngine | PolicySource | readonly PolicySource[]
  /** Milliseconds one decision may take, 1 to 100; default 50. Over it the call is denied. */
  readonly timeoutMs?: number
  readonly clock?: Clock
  /** Read for AGENTPORT_ENFORCEMENT_MODE and AGENTPORT_TIMEOUT_MS; options win. Default: the process environment. */
  readonly env?: Environment
  /** Name of the audit log for its whole life, e.g. `example.com/agents/7`. */
  readonly origin?: string
  /** Who counts what limits allow. Default: in memory, for this gateway alone; a shared one for many machines. */
  readonly limits?: LimitStore
  /** Who asks people when a rule requires approval. Without one questions wait for {@link AgentPort.approvals}. */
  readonly approvals?: ApprovalPort
  /** Other policy engines that rules may ask by name. */
  readonly conditions?: readonly ConditionPort[]
  /** Resolves hosts of calls that have to be pinned. Without one the executor resolves and judges by itself. */
  readonly resolver?: AddressResolver
  /** Keeps the salts of argument and result commitments outside of the log, so that they can be erased. */
  readonly keepSalt?: KeepSalt
}

export interface RunOptions {
  /** A graph as a camelCase object, the text of a graph file, or a parsed one. */
  readonly graph: Graph | SourceText | object
  /** On whose behalf the run acts; stands in its `run.opened` record. */
  readonly principal: string
  /** Unique among open runs; generated when absent. */
  readonly id?: string
  /** OAuth scopes the run holds; a tool that uses another one is denied. Default: none. */
  readonly scopes?: readonly string[]
  /** What is known about the run, for `facts` conditions under `/run`. Plain data, read once. */
  readonly facts?: object
  /** Names of the regions the data of the run come from. Left out, rules about it cannot be told. */
  readonly dataRegions?: readonly string[]
}

/** What an approver's side of the gateway can do. */
export type Approvals = Pick<ApprovalDesk, 'answer' | 'pending' | 'state'>

/** A tool that runs only through the gateway. Throws {@link DeniedError} when the call is not allowed. */
export type GuardedTool<T> = (node: NodeAdmission, args: unknown) => Promise<T>

export interface ToolContext {
  readonly signal: AbortSignal
  readonly verdict: Verdict
  /** What the function has to do and to {@link confirm}. */
  readonly confirmations: AllowedCall['confirmations']
  /** Of a call that is pinned: dial these and no others. */
  readonly addresses: AllowedCall['addresses']
  confirm(name: string): void
}

export class AgentPort {
  readonly #house: House
  readonly #variables: Readonly<Record<string, string>>
  readonly #halts: HaltPropagator
  readonly #runs = new Map<string, Run>()
  #closed = false

  private constructor(house: House, variables: Readonly<Record<string, string>>) {
    this.#house = house
    this.#variables = variables
    this.#halts = new HaltPropagator({ clock: house.clock })
  }

  /**
   * Opens the gateway: compiles policies, verifies and checks every skill, opens the audit log.
   *
   * @throws DocumentError ERR_POLICY_INVALID, ERR_TRUST_INVALID with all problems and their places; AgentPortError
   *   ERR_SKILL_REJECTED naming every rejected skill, ERR_CONFIG_INVALID, ERR_AUDIT_UNAVAILABLE; TypeError for a missing
   *   policy, skills, trust or audit.
   */
  static async open(options: AgentPortOptions): Promise<AgentPort> {
    checkOptions(options)
    const config = resolveConfig(options)
    const clock = options.clock ?? systemClock
    const variables = Object.freeze({ ...options.variables })
    if ((config.mode === 'observe') !== (options.candidate !== undefined)) {
      throw new AgentPortError(
        'ERR_CONFIG_INVALID',
        'mode "observe" and option "candidate" need each other: what is observed is a candidate policy',
      )
    }
    const conditions = asConditions(options.conditions)
    const verifier = new AttestationVerifier({ trust: asTrust(options.trust), clock })
    const validator = new ManifestValidator({ variables })
    const validated = options.skills.map((bundle) => validateSkill(bundle, verifier, validator))
    const context = { variables, conditions, skills: validated }
    const policy = asEngine(options.policy, context)
    const candidate = options.candidate === undefined ? undefined : asEngine(options.candidate, context)
    const audit = AuditLog.open({
      sink: options.audit,
      clock,
      ...given('origin', options.origin),
      ...given('keepSalt', options.keepSalt),
    })
    const house: House = {
      config,
      clock,
      audit,
      verifier,
      tickets: new TicketOffice(clock),
      enforcer: options.enforcer ?? refusingEnforcer,
      skills: new Map(),
      notifications: new Notifications(),
      policy,
      policyInForce: new AbortController(),
      auditGap: false,
      candidate,
      limits: options.limits ?? new MemoryLimitStore({ clock }),
      approvals: new ApprovalDesk({
        clock,
        ...given('ask', options.approvals),
        onChange: (change) => void record(house, approvalRecord(change)),
      }),
      conditions,
      resolver: options.resolver,
    }
    try {
      await audit.append({
        type: 'policy.loaded',
        policy: policy.digest,
        files: policy.files,
        mode: config.mode,
        ...given('candidate', candidate?.digest),
      })
      await admitSkills(house, options, validated)
    } catch (error) {
      // Closed, so that the log can be opened again. What closing says is less than why there is no gateway.
      await audit.close().catch(() => undefined)
      throw error
    }
    warmUp(policy, house.skills.values())
    return new AgentPort(house, variables)
  }

  /** Every skill given to `open`, admitted or rejected with the reason. */
  get skills(): readonly SkillStatus[] {
    return [...this.#house.skills.values()]
  }

  /** Questions that wait for people, and where their answers go. */
  get approvals(): Approvals {
    const { approvals } = this.#house
    return {
      answer: (answer) => approvals.answer(answer),
      pending: () => approvals.pending(),
      state: (id) => approvals.state(id),
    }
  }

  get policyDigest(): string {
    return this.#house.policy.digest
  }

  /** The mode and deadline in force. */
  get config(): Config {
    return this.#house.config
  }

  /**
   * Opens a run over a graph.
   *
   * @throws DocumentError ERR_GRAPH_INVALID with all problems; AgentPortError ERR_STATE_INVALID, ERR_AUDIT_UNAVAILABLE.
   */
  async openRun(options: RunOptions): Promise<Run> {
    if (this.#closed) throw new AgentPortError('ERR_STATE_INVALID', 'the gateway is closed')
    const id = options.id ?? `run-${randomHex(8)}`
    if (!isName(id)) throw new TypeError('a run id is made of ASCII letters, digits and _ . : -')
    const { principal } = options
    if (typeof principal !== 'string' || principal === '') throw new TypeError('a run needs a principal')
    // Approvals and counters go by it: what has no canonical form is nobody.
    if (!isWellFormed(principal)) throw new TypeError('the principal of a run is Unicode text')
    const knowledge = readKnowledge(options)
    if (this.#runs.has(id)) throw new AgentPortError('ERR_STATE_INVALID', `run "${id}" is already open`)
    const graph = asGraph(options.graph)
    for (const node of graph.nodes.values()) {
      if (this.#house.skills.has(node.skill)) continue
      throw new AgentPortError(
        'ERR_GRAPH_INVALID',
        `node "${node.name}" runs skill "${node.skill}", which was not given to AgentPort.open()`,
      )
    }
    const scope = this.#halts.open(
      id,
      withHaltingSkills(graph, (skill) => this.#asksForHalt(skill)),
    )
    const run = new Run(this.#house, scope, { principal, ...knowledge }, () => this.#runs.delete(id))
    this.#runs.set(id, run)
    try {
      await this.#record({
        type: 'run.opened',
        run: id,
        graph: scope.graph.digest,
        principal: printable(principal),
        mode: this.#house.config.mode,
        enforcement: this.#house.enforcer.name,
        policy: this.#house.policy.digest,
      })
    } catch (error) {
      this.#runs.delete(id)
      scope.close()
      throw error
    }
    return run
  }

  #asksForHalt(name: string): boolean {
    const skill = this.#house.skills.get(name)
    return skill?.admitted === true && skill.manifest.onFailure === 'halt'
  }

  /**
   * Wraps a tool so that it runs only inside an admitted node and only with judged arguments.
   *
   * @throws TypeError when `tool` is not a name or `execute` not a function.
   */
  guard<T>(tool: string, execute: (args: JsonObject, context: ToolContext) => Promise<T>): GuardedTool<T> {
    if (!isName(tool)) throw new TypeError('guard() takes the name of a tool')
    if (typeof execute !== 'function') throw new TypeError('guard() takes the function that runs the tool')
    const house = this.#house
    return async (node, args) => {
      // Only an admission of this very gateway opens the tool: an object that merely has the methods could answer
      // "allow" to everything.
      if (!NodeAdmission.belongs(node, house)) {
        throw new DeniedError(
          deny('ticket_missing', 'a guarded tool was called outside an admitted node', { subject: { tool } }),
        )
      }
      const call = await node.authorize({ tool, args })
      if (call.decision !== 'allow') throw new DeniedError(call.denial)
      // Between the answer and this line the run may have halted: the result would be dropped, so the tool does not run.
      if (call.signal.aborted) {
        const dropped = await call.settle(undefined)
        throw new DeniedError(
          dropped.accepted ? deny('run_halted', 'the run was halted', { subject: { tool } }) : dropped.denial,
        )
      }
      // The policy can have narrowed the call to another tool, and this function runs one tool only.
      if (call.tool !== tool) {
        const other = deny('obligation_unmet', `the policy has the call run as ${call.tool}`, { subject: { tool } })
        await call.fail(new DeniedError(other))
        throw new DeniedError(other)
      }
      const confirmed = new Set<string>()
      let result: T
      try {
        const { signal, verdict, confirmations, addresses } = call
        const confirm = (name: string): void => void confirmed.add(name)
        result = await execute(call.args, { signal, verdict, confirmations, addresses, confirm })
      } catch (error) {
        await call.fail(error)
        throw error
      }
      const settled = await call.settle(result, { confirmed: [...confirmed] })
      if (!settled.accepted) throw new DeniedError(settled.denial)
      return settled.value
    }
  }

  /**
   * Puts another policy set in force. Every ticket issued under the old one is revoked, and what was confined under it is
   * killed. A skill that asks for more than the new set grants is rejected: its nodes are denied from now on.
   *
   * @param variables values of `${name}` in the documents; those given to {@link AgentPort.open} unless said
   * @returns the skills that no longer fit
   * @throws DocumentError ERR_POLICY_INVALID when the new set does not hold together, ERR_AUDIT_UNAVAILABLE when the change
   *   cannot be recorded; the old set then stays in force.
   */
  async replacePolicy(
    source: PolicyEngine | PolicySource | readonly PolicySource[],
    variables: Readonly<Record<string, string>> = this.#variables,
  ): Promise<readonly SkillStatus[]> {
    const house = this.#house
    const policy = asEngine(source, { variables, conditions: house.conditions, skills: house.skills.values() })
    await this.#record({
      type: 'policy.loaded',
      policy: policy.digest,
      files: policy.files,
      mode: house.config.mode,
      ...given('candidate', house.candidate?.digest),
    })
    // What people agreed to was agreed under the old set.
    house.approvals.revoke({}, 'the policy was replaced')
    house.policy = policy
    house.policyInForce.abort(new AgentPortError('ERR_HALTED', 'the policy was replaced'))
    house.policyInForce = new AbortController()
    const rejected: SkillStatus[] = []
    for (const skill of house.skills.values()) {
      if (!skill.admitted) continue
      const denial = excessDenial(policy, skill.manifest)
      if (denial !== undefined) rejected.push(rejectedSkill(skill.name, denial))
    }
    for (const skill of rejected) {
      house.skills.set(skill.name, skill)
      await record(house, skillRecord(skill))
    }
    return rejected
  }

  /**
   * Puts another candidate beside the active policy: from now on it is the one that is evaluated and recorded.
   *
   * @param variables as in {@link replacePolicy}
   * @throws DocumentError ERR_POLICY_INVALID, ERR_AUDIT_UNAVAILABLE; the old candidate then stays. AgentPortError
   *   ERR_STATE_INVALID outside of mode "observe".
   */
  async replaceCandidate(
    source: PolicyEngine | PolicySource | readonly PolicySource[],
    variables: Readonly<Record<string, string>> = this.#variables,
  ): Promise<void> {
    const house = this.#house
    if (house.config.mode !== 'observe') {
      throw new AgentPortError('ERR_STATE_INVALID', 'a candidate is observed in mode "observe" only')
    }
    const candidate = asEngine(source, { variables, conditions: house.conditions, skills: house.skills.values() })
    const { policy } = house
    await this.#record({
      type: 'policy.loaded',
      policy: policy.digest,
      files: policy.files,
      mode: house.config.mode,
      candidate: candidate.digest,
    })
    house.candidate = candidate
  }

  /**
   * Withdraws a skill by name, or exact bytes by digest: its running nodes end, and none of it is admitted any more.
   *
   * @throws TypeError when no loaded skill has that name or digest, or no reason is given
   */
  async quarantine(target: string, reason: string): Promise<void> {
    if (typeof reason !== 'string' || reason === '') throw new TypeError('quarantine() needs a reason')
    const hit = [...this.#house.skills.values()].filter(
      (skill) => skill.name === target || (skill.admitted && skill.attestation.digest === target),
    )
    if (hit.length === 0) throw new TypeError(`no loaded skill has the name or digest "${printable(target)}"`)
    this.#house.verifier.quarantine(target, reason)
    for (const skill of hit) this.#house.approvals.revoke({ skill: skill.name }, 'the skill was withdrawn')
    const ends = hit.flatMap((skill) => [...this.#runs.values()].map((run) => run.withdraw(skill.name)))
    await Promise.all([
      ...ends,
      ...hit.map((skill) => this.#record({ type: 'skill.quarantined', skill: skill.name, reason: printable(reason) })),
    ])
  }

  /** Tells about verdicts and halts. Listeners cannot change anything, and theirs to throw is theirs. */
  on<Name extends 'verdict' | 'halt'>(name: Name, listener: (event: AgentPortEvents[Name]) => unknown): () => void {
    return this.#house.notifications.on(name, listener)
  }

  /** Closes all open runs and the audit log; resolves with the log's last record, to be kept outside of it. */
  async close(): Promise<AuditReceipt> {
    this.#closed = true
    // All at once: the first run's log must not keep the second one running.
    await Promise.all([...this.#runs.values()].map((run) => run.close()))
    this.#house.approvals.revoke({}, 'the gateway is closed')
    return this.#house.audit.close()
  }

  /** A record that something depends on. */
  async #record(event: AuditEvent): Promise<void> {
    if (typeof (await record(this.#house, event)) === 'object') return
    throw new AgentPortError('ERR_AUDIT_UNAVAILABLE', `${event.type} could not be recorded`)
  }
}

const REQUIRED = ['policy', 'skills', 'trust', 'audit'] as const
const OPTIONS: ReadonlySet<string> = new Set<keyof AgentPortOptions>([
  ...REQUIRED,
  'rejectedSkills',
  'enforcer',
  'variables',
  'mode',
  'candidate',
  'timeoutMs',
  'clock',
  'env',
  'origin',
  'keepSalt',
  'limits',
  'approvals',
  'conditions',
  'resolver',
])

/** A misspelt option is not an option that was left out. */
function checkOptions(options: AgentPortOptions): void {
  if (typeof options !== 'object' || options === null) throw new TypeError('AgentPort.open() takes an options object')
  for (const name of REQUIRED) {
    if (options[name] !== undefined && options[name] !== null) continue
    throw new TypeError(`AgentPort.open() needs "${name}": absent means none, and nothing can be decided without it`)
  }
  for (const name of Object.keys(options)) {
    if (!OPTIONS.has(name)) throw new TypeError(`AgentPort.open() has no option "${printable(name)}"`)
  }
  const { rejectedSkills = 'throw', limits, resolver } = options
  // Found out here, and not as a gateway that denies everything.
  for (const name of ['reserve', 'release', 'forgetRun'] as const) {
    if (limits !== undefined && typeof limits?.[name] !== 'function') {
      throw new TypeError('limits is a store with reserve, release and forgetRun')
    }
  }
  if (resolver !== undefined && typeof resolver?.resolve !== 'function') {
    throw new TypeError('resolver has a function resolve')
  }
  if (rejectedSkills !== 'throw' && rejectedSkills !== 'report')
    throw new TypeError("rejectedSkills is 'throw' or 'report'")
}

async function admitSkills(house: House, options: AgentPortOptions, validated: readonly SkillStatus[]): Promise<void> {
  const { skills } = house
  for (const attested of validated) {
    const skill = fitSkill(attested, house.policy)
    if (skills.has(skill.name)) throw new TypeError(`two skills are named "${printable(skill.name)}"`)
    skills.set(skill.name, skill)
    await house.audit.append(skillRecord(skill))
  }
  const rejected = [...skills.values()].filter((skill) => !skill.admitted)
  if (rejected.length === 0 || options.rejectedSkills === 'report') return
  throw new AgentPortError('ERR_SKILL_REJECTED', rejected.map(describeRejection).join('\n'))
}

/** What a policy is read with. */
interface PolicyContext {
  readonly variables: Readonly<Record<string, string>>
  readonly conditions: ReadonlyMap<string, ConditionPort>
  readonly skills: Iterable<SkillStatus>
}

function asEngine(policy: AgentPortOptions['policy'], context: PolicyContext): PolicyEngine {
  if (policy instanceof PolicyEngine) return policy
  const { variables, conditions, skills } = context
  return PolicyEngine.from(policy, {
    variables,
    engines: [...conditions.keys()],
    tools: toolsOf(skills),
    // A policy may speak of tools that other gateways have, and of skills that were rejected here.
    unknownTools: 'warning',
  })
}

function asConditions(ports: readonly ConditionPort[] = []): ReadonlyMap<string, ConditionPort> {
  const byName = new Map<string, ConditionPort>()
  for (const port of ports) {
    if (!isName(port?.name) || typeof port.ask !== 'function') {
      throw new TypeError('a condition port has a name and a function ask')
    }
    if (byName.has(port.name)) throw new TypeError(`two condition ports are named "${port.name}"`)
    byName.set(port.name, port)
  }
  return byName
}

function asTrust(trust: SourceText | object): Trust {
  const loaded = 'text' in trust && 'file' in trust ? loadTrust(trust as SourceText) : trustFromValue(trust)
  if (!loaded.ok) throw new DocumentError('ERR_TRUST_INVALID', loaded.problems)
  return loaded.trust
}

function asGraph(graph: RunOptions['graph']): Graph {
  if ('digest' in graph && 'locate' in graph) return graph as Graph
  const parsed = 'text' in graph && 'file' in graph ? loadGraph(graph as SourceText) : parseGraph(graph)
  if (!parsed.ok) throw new DocumentError('ERR_GRAPH_INVALID', parsed.problems)
  return parsed.graph
}
