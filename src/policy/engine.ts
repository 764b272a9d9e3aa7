// PolicyEngine: what the operator grants, asked one call at a time. evaluate() is pure and synchronous and never throws:
// the same policy set and request give the same verdict, and whatever goes wrong inside is a denial.

import { type Denial, type DenialCode, type DenialOptions, deny, type RuleRef } from '../core/denial.ts'
import { DocumentError, type Problem } from '../core/problem.ts'
import type { Resource } from '../core/resource.ts'
import { holds } from './condition.ts'
import { explainApproval, explainForbidden, explainNoPermit, explainUntold, subjectOf } from './explain.ts'
import { type Capabilities, type Excess, findExcess } from './fit.ts'
import { grantsFor, type ProcessOwner, type ResourceGrants } from './grants.ts'
import { loadPolicySet, type PolicyLoad, type PolicySet, type PolicySource } from './load.ts'
import { type PolicyRequest, type Question, readRequest } from './request.ts'
import { rolesOfNode } from './roles.ts'
import { byId, concerns, type Rule } from './rule.ts'
import { type Bucket, type PlacedRule, RuleIndex } from './rule-index.ts'
import { Selectors } from './selectors.ts'

export type PolicyVerdict =
  | { readonly decision: 'allow'; readonly rules: readonly RuleRef[] }
  | { readonly decision: 'deny' | 'escalate'; readonly rules: readonly RuleRef[]; readonly denial: Denial }

export interface PolicyEngineOptions {
  /** Values for `${name}` in the documents' strings. */
  readonly variables?: Readonly<Record<string, string>>
}

/** A rule with a list of several names goes to one bucket per pair of names up to this many pairs, else to one shared. */
const MAX_PAIRS = 16
/** Node names whose who-numbers are remembered. */
const MAX_NODES = 4096
const EVERYONE = 0

export class PolicyEngine {
  readonly #set: PolicySet
  readonly #warnings: readonly Problem[]
  readonly #tools = new Selectors()
  readonly #roleNames = new Selectors()
  readonly #nodeNames = new Selectors()
  readonly #index: RuleIndex
  /** Whether the name of a node makes a difference to any rule. */
  readonly #tellsNodesApart: boolean
  /** The number of "everyone" where a rule is about everyone, else nothing. */
  readonly #everyone: readonly number[]
  readonly #nodeWho = new Map<string, readonly number[]>()
  /** Who-numbers of the roles that a graph may assert, and of no others. */
  readonly #whoOfRole = new Map<string, readonly number[]>()

  private constructor(set: PolicySet, warnings: readonly Problem[]) {
    this.#set = set
    this.#warnings = warnings
    const placed = set.rules.filter((rule) => !rule.processOnly).map((rule) => this.#place(rule))
    this.#index = new RuleIndex(placed, this.#tools.size)
    this.#everyone = placed.some(({ who }) => who.includes(EVERYONE)) ? [EVERYONE] : []
    this.#tellsNodesApart = this.#nodeNames.size > 0 || [...set.roles.values()].some(({ nodes }) => nodes.length > 0)
    for (const { name, asserted } of set.roles.values()) {
      if (asserted) this.#whoOfRole.set(name, this.#roleNames.idsFor(name).map(roleWho))
    }
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
    const loaded: PolicyLoad = loadPolicySet(list, options.variables ?? {})
    return loaded.ok ? { ok: true, engine: new PolicyEngine(loaded.set, loaded.warnings) } : loaded
  }

  /** {@link PolicyEngine.load}, or throws a {@link DocumentError} with code `ERR_POLICY_INVALID`. */
  static from(sources: PolicySource | readonly PolicySource[], options: PolicyEngineOptions = {}): PolicyEngine {
    const loaded = PolicyEngine.load(sources, options)
    if (!loaded.ok) throw new DocumentError('ERR_POLICY_INVALID', loaded.problems)
    return loaded.engine
  }

  /** `sha256:` and hex over all rules and roles, whatever their order and files. Tickets are bound to it. */
  get digest(): string {
    return this.#set.digest
  }

  get files(): readonly string[] {
    return this.#set.files
  }

  get ruleCount(): number {
    return this.#set.rules.length
  }

  /** Problems that do not keep the set from being used, e.g. a role no rule uses. */
  get warnings(): readonly Problem[] {
    return this.#warnings
  }

  /** What `asked` has that no permit covers. Empty means the manifest fits. */
  excess(asked: Capabilities): readonly Excess[] {
    return findExcess(this.#set.rules, asked)
  }

  /** What a process started by a tool on a node may touch; for the profile of its confinement. */
  grantsFor(owner: ProcessOwner): ResourceGrants {
    return grantsFor(this.#set, owner)
  }

  /** The verdict on one request. Never throws. */
  evaluate(request: PolicyRequest): PolicyVerdict {
    try {
      const question = readRequest(request)
      return typeof question === 'string' ? denied('request_invalid', question, {}) : this.#decide(question)
    } catch {
      // INVARIANT (total): the error is not passed on, because its text may hold what the request carried.
      return denied('internal_error', 'the policy engine failed on this request', {})
    }
  }

  #decide(question: Question): PolicyVerdict {
    const buckets: Bucket[] = []
    const tools = this.#tools.idsFor(question.tool)
    for (const who of this.#whoOfNode(question.node)) this.#collect(buckets, who, tools)
    for (const role of question.roles) {
      const asserted = this.#whoOfRole.get(role)
      if (asserted === undefined) {
        // An unknown role is not dropped: a forbid for that role would then be dodged by misspelling it.
        return denied('role_unknown', `role "${role}" is not one the graph may assert`, {
          subject: subjectOf(question),
        })
      }
      for (const who of asserted) this.#collect(buckets, who, tools)
    }

    const forbids = stops(buckets, 'forbid', question)
    if (forbids !== undefined) {
      const { matched, untold } = forbids
      return matched.size > 0 ? refuse('forbidden', matched, question) : refuse('policy_error', untold, question)
    }
    const approvals = stops(buckets, 'require_approval', question)
    if (approvals !== undefined && approvals.untold.size > 0) return refuse('policy_error', approvals.untold, question)

    const granted = grantsOf(buckets, question, approvals !== undefined)
    if (!granted.all) {
      const { detail, options } = explainNoPermit(buckets, question, granted.uncovered)
      return denied('no_matching_permit', detail, options)
    }
    if (approvals !== undefined) {
      const sorted = [...approvals.matched].sort(byId)
      const rules = refsOf(sorted)
      const options = { subject: subjectOf(question), rules }
      return { decision: 'escalate', rules, denial: deny('approval_required', explainApproval(sorted), options) }
    }
    const [only] = granted.rules
    const rules = granted.rules.length === 1 && only !== undefined ? only.refs : refsOf([...granted.rules].sort(byId))
    return { decision: 'allow', rules }
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
    // Names come from outside and must not fill the memory.
    if (this.#nodeWho.size >= MAX_NODES) this.#nodeWho.clear()
    this.#nodeWho.set(node, who)
    return who
  }

  /** The bucket numbers a rule belongs to. */
  #place(rule: Rule): PlacedRule {
    const byRole = rule.roles !== undefined && !rule.everyone
    const names = byRole ? (rule.roles ?? []).map(exactName) : (rule.nodes ?? [])
    const spread = names.length * rule.tools.length <= MAX_PAIRS
    const tools = spread ? rule.tools.map((glob) => this.#tools.add([glob])) : [this.#tools.add(rule.tools)]
    if (names.length === 0) return { rule, who: [EVERYONE], tools }
    const selectors = byRole ? this.#roleNames : this.#nodeNames
    const ids = spread ? names.map((name) => selectors.add([name])) : [selectors.add(names)]
    return { rule, who: ids.map(byRole ? roleWho : nodeWho), tools }
  }
}

/** Forbids or approvals that concern a question: those that match, and those that cannot be told. Never both empty. */
interface Stops {
  readonly matched: Set<Rule>
  readonly untold: Set<Rule>
}

function stops(
  buckets: readonly Bucket[],
  effect: 'forbid' | 'require_approval',
  question: Question,
): Stops | undefined {
  let found: Stops | undefined
  for (const bucket of buckets) {
    const index = bucket[effect]
    if (index === undefined) continue
    const candidates = [...index.bare]
    for (const resource of question.resources) index.findTouching(resource, candidates)
    for (const rule of candidates) {
      if (!concerns(rule, question.node, question.skill)) continue
      const truth = holds(rule.conditions, question.args)
      if (truth === false) continue
      found ??= { matched: new Set(), untold: new Set() }
      if (truth === true) found.matched.add(rule)
      else found.untold.add(rule)
    }
  }
  return found
}

/** The rules that together grant a question, or the first resource none covers (`undefined`: the call as such). */
type Granted =
  | { readonly all: true; readonly rules: readonly Rule[] }
  | { readonly all: false; readonly uncovered: Resource | undefined }

/**
 * Looks for grants among permits and, when the answer will be to ask, among approvals: an approval is a permit that a
 * person has to complete, and must never grant by itself. For a call that names no resource only approvals of such calls
 * count; one for certain hosts asks nobody about it.
 */
function grantsOf(buckets: readonly Bucket[], question: Question, asks: boolean): Granted {
  const { resources } = question
  if (resources.length === 0) {
    let best: Rule | undefined
    for (const { permit, require_approval: approval } of buckets) {
      if (permit !== undefined) best = smallestGrant(permit.all, question, best)
      if (asks && approval !== undefined) best = smallestGrant(approval.bare, question, best)
    }
    return best === undefined ? { all: false, uncovered: undefined } : { all: true, rules: [best] }
  }
  const rules: Rule[] = []
  for (const resource of resources) {
    const covering: Rule[] = []
    for (const { permit, require_approval: approval } of buckets) {
      permit?.findCovering(resource, covering)
      if (asks) approval?.findCovering(resource, covering)
    }
    const best = smallestGrant(covering, question, undefined)
    if (best === undefined) return { all: false, uncovered: resource }
    if (!rules.includes(best)) rules.push(best)
  }
  return { all: true, rules }
}

/** The rule with the smallest id that grants, so that the verdict does not depend on the order of files. */
function smallestGrant(rules: readonly Rule[], question: Question, best: Rule | undefined): Rule | undefined {
  let smallest = best
  for (const rule of rules) {
    if (smallest !== undefined && byId(smallest, rule) <= 0) continue
    if (concerns(rule, question.node, question.skill) && holds(rule.conditions, question.args) === true) smallest = rule
  }
  return smallest
}

function refuse(code: 'forbidden' | 'policy_error', rules: ReadonlySet<Rule>, question: Question): PolicyVerdict {
  const sorted = [...rules].sort(byId)
  const detail = code === 'forbidden' ? explainForbidden(sorted) : explainUntold(sorted, question)
  return denied(code, detail, { subject: subjectOf(question), rules: refsOf(sorted) })
}

function denied(code: DenialCode, detail: string, options: DenialOptions): PolicyVerdict {
  const denial = deny(code, detail, options)
  return { decision: 'deny', rules: denial.rules, denial }
}

function refsOf(sorted: readonly Rule[]): readonly RuleRef[] {
  const [only] = sorted
  return sorted.length === 1 && only !== undefined ? only.refs : sorted.map((rule) => rule.ref)
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

export type { PolicyRequest }
