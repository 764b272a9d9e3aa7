// PolicyEngine: what the operator grants, asked one call at a time. evaluate() is pure and synchronous and never throws:
// the same policy set and request give the same verdict, and whatever goes wrong inside is a denial.

import type { ConditionQuestion } from '../core/condition-port.ts'
import { DocumentError, type Problem } from '../core/problem.ts'
import type { Bucket } from './bucket.ts'
import { decide, denied, type Plan, type PolicyVerdict } from './decide.ts'
import { isTableOf } from './egress.ts'
import { subjectOf } from './explain.ts'
import { type Explanation, explainQuestion } from './explanation.ts'
import { type Capabilities, type Excess, findExcess } from './fit.ts'
import { grantsFor, type ProcessOwner, type ResourceGrants } from './grants.ts'
import { loadPolicySet, type PolicyLoad, type PolicySet, type PolicySource } from './load.ts'
import { type PolicyRequest, type Question, readRequest } from './request.ts'
import { rolesOfLabels, rolesOfNode } from './roles.ts'
import type { Rule } from './rule.ts'
import { type PlacedRule, RuleIndex } from './rule-index.ts'
import { Selectors } from './selectors.ts'
import { checkTools, type ToolShape, type UnknownTools } from './typing.ts'

export interface PolicyEngineOptions {
  /** Values for `${name}` in the documents' strings. */
  readonly variables?: Readonly<Record<string, string>>
  /** Tools the policy speaks of: statements are typed against their input schemas. Left out, nothing is. */
  readonly tools?: readonly ToolShape[]
  /**
   * What a statement is that names a tool in full which is not among `tools`; of a permit it is a warning in any case.
   * Default `error`: a forbid of a misspelt tool protects nothing. `warning` where the list is not complete.
   */
  readonly unknownTools?: UnknownTools
  /** Names of the condition ports there are. Left out, a rule may `ask` any. */
  readonly engines?: readonly string[]
}

/** A rule with a list of several names goes to one bucket per pair of names up to this many pairs, else to one shared. */
const MAX_PAIRS = 16
/** Node names whose who-numbers are remembered, and plans. */
const MAX_NODES = 4096
const MAX_PLANS = 16_384
const MAX_NAMES = 65_536
const EVERYONE = 0
const NO_ROLES: readonly string[] = []

export class PolicyEngine {
  readonly #set: PolicySet
  readonly #warnings: readonly Problem[]
  readonly #tools = new Selectors()
  readonly #roleNames = new Selectors()
  readonly #nodeNames = new Selectors()
  readonly #index: RuleIndex
  /** Whether the name of a node makes a difference to any statement. */
  readonly #tellsNodesApart: boolean
  /** Whether any statement asks another engine. */
  readonly #asks: boolean
  /** The number of "everyone" where a statement is about everyone, else nothing. */
  readonly #everyone: readonly number[]
  readonly #nodeWho = new Map<string, readonly number[]>()
  /** Made when first asked for. */
  #statements: Map<string, Rule['ref']> | undefined
  /** Plans by the number of the tool and the number of node and roles; two small tables that stay in the cache. */
  readonly #plans = new Map<number, Plan>()
  readonly #toolNumbers = new Map<string, number>()
  readonly #callerNumbers = new Map<string, number>()

  private constructor(set: PolicySet, warnings: readonly Problem[]) {
    this.#set = set
    this.#warnings = warnings
    const all = [...set.rules, ...set.constraints]
    const placed = all.filter((rule) => !rule.processOnly).map((rule) => this.#place(rule))
    this.#index = new RuleIndex(placed, this.#tools.size)
    this.#asks = all.some(({ guards }) => guards.some(({ about }) => about === 'ask'))
    this.#everyone = placed.some(({ who }) => who.includes(EVERYONE)) ? [EVERYONE] : []
    this.#tellsNodesApart =
      this.#nodeNames.size > 0 ||
      set.egress.some(({ nodes }) => nodes !== undefined) ||
      [...set.roles.values()].some(({ nodes }) => nodes.length > 0)
  }

  /** Reads and compiles a policy set. `problems` lists all that is wrong, each at its file, line and column. */
  static load(
    sources: PolicySource | readonly PolicySource[],
    options: PolicyEngineOptions = {},
  ):
    | { readonly ok: true; readonly engine: PolicyEngine }
    | { readonly ok: false; readonly problems: readonly Problem[] } {
    const list = Array.isArray(sources) ? (sources as readonly PolicySource[]) : [sources as PolicySource]
    if (list.length === 0) throw new TypeError('a policy set needs at least one document')
    const { variables = {}, tools, engines, unknownTools = 'error' } = options
    if (tools !== undefined) checkTools(tools)
    const loaded: PolicyLoad = loadPolicySet(list, {
      variables,
      tools,
      unknownTools,
      engines: engines === undefined ? undefined : new Set(engines),
    })
    return loaded.ok ? { ok: true, engine: new PolicyEngine(loaded.set, loaded.warnings) } : loaded
  }

  /** {@link PolicyEngine.load}, or throws a {@link DocumentError} with code `ERR_POLICY_INVALID`. */
  static from(sources: PolicySource | readonly PolicySource[], options: PolicyEngineOptions = {}): PolicyEngine {
    const loaded = PolicyEngine.load(sources, options)
    if (!loaded.ok) throw new DocumentError('ERR_POLICY_INVALID', loaded.problems)
    return loaded.engine
  }

  /** `sha256:` and hex over all statements, roles and regions, whatever their order and files. Tickets are bound to it. */
  get digest(): string {
    return this.#set.digest
  }

  get files(): readonly string[] {
    return this.#set.files
  }

  get ruleCount(): number {
    return this.#set.rules.length
  }

  /** Every rule, limit and obligation as verdicts name it, by id: what a coverage is measured against. */
  get statements(): readonly Rule['ref'][] {
    const refs = [...this.#set.rules, ...this.#set.constraints].map(({ ref }) => ref)
    return refs.sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** The rule, limit or obligation with this id, as verdicts name it. */
  statement(id: string): Rule['ref'] | undefined {
    this.#statements ??= new Map(this.statements.map((ref) => [ref.id, ref]))
    return this.#statements.get(id)
  }

  /** Problems that do not keep the set from being used, e.g. a role no rule uses. */
  get warnings(): readonly Problem[] {
    return this.#warnings
  }

  /** What `asked` has that no permit covers. Empty means the manifest fits. */
  excess(asked: Capabilities): readonly Excess[] {
    return findExcess(this.#set.rules, this.#set.egress, asked)
  }

  /** What a process started by a tool on a node may touch; for the profile of its confinement. */
  grantsFor(owner: ProcessOwner): ResourceGrants {
    return grantsFor(this.#set, owner)
  }

  /** The verdict on one request. Never throws. */
  evaluate(request: PolicyRequest): PolicyVerdict {
    return this.#evaluate(request, undefined)
  }

  /**
   * What condition ports have to be asked before the request can be judged: put the answers into its `answers`. An empty
   * list means that no rule that matters asks anybody. Never throws.
   */
  unanswered(request: PolicyRequest): readonly ConditionQuestion[] {
    if (!this.#asks) return []
    const questions = new Map<string, ConditionQuestion>()
    this.#evaluate(request, questions)
    return [...questions.values()]
  }

  /** Every statement and how it stands to the request, near misses among them. Decides as evaluate() does. */
  explain(request: PolicyRequest): Explanation {
    const verdict = this.evaluate(request)
    try {
      const question = readRequest(request)
      if (typeof question === 'string' || 'decision' in this.#planOf(question)) {
        return explainQuestion(verdict, undefined, this.#set)
      }
      return explainQuestion(verdict, question, this.#set)
    } catch {
      // What explains must not say more than what decides: without a reading there is the verdict alone.
      return explainQuestion(verdict, undefined, this.#set)
    }
  }

  #evaluate(request: PolicyRequest, unanswered: Map<string, ConditionQuestion> | undefined): PolicyVerdict {
    try {
      const question = readRequest(request, unanswered)
      if (typeof question === 'string') return denied('request_invalid', [], () => ({ detail: question, options: {} }))
      const plan = this.#planOf(question)
      return 'decision' in plan ? plan : decide(question, plan)
    } catch {
      // INVARIANT (total): the error is not passed on, because its text may hold what the request carried.
      return denied('internal_error', [], () => ({ detail: 'the policy engine failed on this request', options: {} }))
    }
  }

  /** What judges the question, or the denial of one whose roles do not hold. */
  #planOf(question: Question): Plan | PolicyVerdict {
    const { node, tool } = question
    let { roles } = question
    for (const role of roles) {
      // An unknown role is not dropped: a forbid for that role would then be dodged by misspelling it.
      if (this.#set.roles.get(role)?.asserted === true) continue
      return denied('role_unknown', [], () => ({
        detail: `role "${role}" is not one the graph may assert`,
        options: { subject: subjectOf(question) },
      }))
    }
    if (this.#set.labelRoles.length > 0) {
      if (question.labels === undefined) {
        // Without them a rule for such a role would be dodged by saying nothing.
        return denied('request_invalid', [], () => ({
          detail: 'labels are needed: a role of this policy set is given by them',
          options: { subject: subjectOf(question) },
        }))
      }
      roles = [...roles, ...rolesOfLabels(this.#set.labelRoles, question.labels)]
    }
    const toolNumber = numberOf(this.#toolNumbers, tool)
    const callerNumber = numberOf(this.#callerNumbers, callerKey(this.#tellsNodesApart ? node : '', roles))
    const key = callerNumber * MAX_NAMES + toolNumber
    return this.#plans.get(key) ?? this.#makePlan(node, tool, roles, key)
  }

  #makePlan(node: string, tool: string, roles: readonly string[], key: number): Plan {
    const buckets: Bucket[] = []
    const tools = this.#tools.idsFor(tool)
    for (const who of this.#whoOfNode(node)) this.#collect(buckets, who, tools)
    for (const role of roles) {
      for (const id of this.#roleNames.idsFor(role)) this.#collect(buckets, roleWho(id), tools)
    }
    const { egress } = this.#set
    const all = new Set([...roles, ...rolesOfNode(this.#set.roles, node)])
    const plan: Plan = {
      buckets,
      egress: egress.length === 0 ? undefined : egress.filter((table) => isTableOf(table, node, all)),
    }
    // Names come from outside and must not fill the memory. The numbers of the names go with what they number.
    if (this.#plans.size >= MAX_PLANS || this.#toolNumbers.size >= MAX_NAMES || this.#callerNumbers.size >= MAX_NAMES) {
      this.#plans.clear()
      this.#toolNumbers.clear()
      this.#callerNumbers.clear()
    } else this.#plans.set(key, plan)
    return plan
  }

  #collect(buckets: Bucket[], who: number, tools: readonly number[]): void {
    for (const tool of tools) {
      const bucket = this.#index.get(who, tool)
      if (bucket !== undefined && !buckets.includes(bucket)) buckets.push(bucket)
    }
  }

  /** Who-numbers a node has by its name alone: everyone, its node selectors, its defined roles. */
  #whoOfNode(node: string): readonly number[] {
    if (!this.#tellsNodesApart) return this.#everyone
    const known = this.#nodeWho.get(node)
    if (known !== undefined) return known
    const own = this.#nodeNames.idsFor(node).map(nodeWho)
    for (const role of rolesOfNode(this.#set.roles, node)) own.push(...this.#roleNames.idsFor(role).map(roleWho))
    const who = own.length === 0 ? this.#everyone : [...this.#everyone, ...own]
    if (this.#nodeWho.size >= MAX_NODES) this.#nodeWho.clear()
    this.#nodeWho.set(node, who)
    return who
  }

  /** The bucket numbers a rule belongs to. */
  #place(rule: Rule): PlacedRule {
    const byRole = rule.roles !== undefined && !rule.everyone
    const names = byRole ? (rule.roles ?? NO_ROLES).map(exactName) : (rule.nodes ?? [])
    const spread = names.length * rule.tools.length <= MAX_PAIRS
    const tools = spread ? rule.tools.map((glob) => this.#tools.add([glob])) : [this.#tools.add(rule.tools)]
    if (names.length === 0) return { rule, who: [EVERYONE], tools }
    const selectors = byRole ? this.#roleNames : this.#nodeNames
    const ids = spread ? names.map((name) => selectors.add([name])) : [selectors.add(names)]
    return { rule, who: ids.map(byRole ? roleWho : nodeWho), tools }
  }
}

function numberOf(numbers: Map<string, number>, name: string): number {
  const known = numbers.get(name)
  if (known !== undefined) return known
  const number = numbers.size
  numbers.set(name, number)
  return number
}

/** Names have no line breaks, so joined ones cannot run into each other; and no name starts with one. */
function callerKey(node: string, roles: readonly string[]): string {
  const [role = ''] = roles
  if (roles.length === 0) return node
  const all = roles.length === 1 ? role : roles.join('\n')
  return node === '' ? `${all}` : `${node}\n${all}`
}

/** Role and node selectors share one number space with "everyone" at 0. */
function roleWho(id: number): number {
  return 1 + 2 * id
}

function nodeWho(id: number): number {
  return 2 + 2 * id
}

/** A role name as a selector: roles are defined by exact name, so the literal is all there is. */
function exactName(name: string): { text: string; kind: 'name'; literal: string; matches(input: string): boolean } {
  return { text: name, kind: 'name', literal: name, matches: (input) => input === name }
}

export type { PolicyRequest, PolicyVerdict, ToolShape }
