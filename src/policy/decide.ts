// The decision itself: one walk over what a call names, and the order of precedence. forbid beats require_approval beats
// permit; what cannot be told denies; the order of statements never matters.

import type { ApprovalDemand } from '../core/approval.ts'
import type { Charge } from '../core/charge.ts'
import { type Denial, type DenialCode, type DenialOptions, deny, type RuleRef } from '../core/denial.ts'
import { hostCovers, hostTouches } from '../core/host-pattern.ts'
import type { Obligation } from '../core/obligation.ts'
import type { NetworkResource, Resource } from '../core/resource.ts'
import type { Bucket } from './bucket.ts'
import { type EgressTable, tableCovers } from './egress.ts'
import {
  explainApproval,
  explainEgress,
  explainForbidden,
  explainNoPermit,
  explainUntold,
  subjectOf,
} from './explain.ts'
import { type Guard, holds } from './guard.ts'
import type { HostEntry } from './host-index.ts'
import { chargesOf } from './limit.ts'
import { reachCovers, reachTouches } from './reach.ts'
import type { Question } from './request.ts'
import { byId, type Rule } from './rule.ts'

/** What an allow costs and obliges to; also of an escalate, for the time when it is approved. */
export interface Terms {
  /** What the call takes from limits, to be taken together or not at all. */
  readonly charges: readonly Charge[]
  readonly obligations: readonly Obligation[]
}

export interface AllowVerdict extends Terms {
  readonly decision: 'allow'
  readonly rules: readonly RuleRef[]
}

export interface EscalateVerdict extends Terms {
  readonly decision: 'escalate'
  readonly rules: readonly RuleRef[]
  readonly denial: Denial
  /** What people have to agree to, one for each rule. */
  readonly demands: readonly ApprovalDemand[]
}

/**
 * Its denial is put into words when it is first asked for: a refused call is answered by its code, and most of the time that
 * refusing takes would go into a text that nobody reads.
 */
export class DenyVerdict {
  readonly decision = 'deny'
  readonly code: DenialCode
  readonly rules: readonly RuleRef[]
  #explain: (() => Denial) | undefined
  #denial: Denial | undefined

  constructor(code: DenialCode, rules: readonly RuleRef[], explain: () => Denial) {
    this.code = code
    this.rules = rules
    this.#explain = explain
  }

  get denial(): Denial {
    if (this.#denial === undefined) {
      this.#denial = this.#explain?.() ?? deny('internal_error', 'the denial cannot be explained')
      this.#explain = undefined
    }
    return this.#denial
  }

  toJSON(): { readonly decision: 'deny'; readonly rules: readonly RuleRef[]; readonly denial: Denial } {
    const { decision, rules, denial } = this
    return { decision, rules, denial }
  }
}

export type PolicyVerdict = AllowVerdict | EscalateVerdict | DenyVerdict

/** What a node with its roles is judged by for one tool. */
export interface Plan {
  readonly buckets: readonly Bucket[]
  /** Tables about the node; `undefined` when the set has no egress tables at all. */
  readonly egress: readonly EgressTable[] | undefined
}

const NO_CHARGES: readonly Charge[] = Object.freeze([])
const NO_OBLIGATIONS: readonly Obligation[] = Object.freeze([])

export function decide(question: Question, { buckets, egress }: Plan): PolicyVerdict {
  const stops = new Stops(question)
  for (const { bare } of buckets) for (const rule of bare) stops.consider(rule)
  const grants = question.resources.length === 0 ? grantOfCall(buckets, stops) : grantsOf(buckets, stops)

  const forbids = stops.refusal('forbid')
  if (forbids !== undefined) return forbids
  const { matched } = stops
  const untold = stops.refusal('require_approval') ?? stops.refusal('limit') ?? stops.refusal('oblige')
  if (untold !== undefined) return untold
  if (egress !== undefined) {
    const outside = question.resources.find((resource) => isOutside(egress, resource))
    if (outside !== undefined) {
      return denied('egress_not_granted', NO_REFS, () => explainEgress(egress, outside as NetworkResource, question))
    }
  }
  const approvals = matched.filter(({ effect }) => effect === 'require_approval')
  const granted = approvals.length === 0 ? grants.byPermits : grants.withApprovals
  if (!granted.all) {
    const { uncovered } = granted
    return denied('no_matching_permit', NO_REFS, () => explainNoPermit(buckets, question, uncovered))
  }
  const terms = matched.length === approvals.length ? NO_TERMS : termsOf(matched, question)
  if ('decision' in terms) return terms
  const { charges, obligations } = terms
  if (approvals.length > 0) {
    approvals.sort(byId)
    const rules = refsOf(approvals)
    const denial = deny('approval_required', explainApproval(approvals), { subject: subjectOf(question), rules })
    const demands = approvals.flatMap(({ approval }) => (approval === undefined ? [] : [approval]))
    return { decision: 'escalate', rules, denial, demands, charges, obligations }
  }
  return { decision: 'allow', rules: refsOf(granted.rules), charges, obligations }
}

const NO_TERMS: Terms = Object.freeze({ charges: NO_CHARGES, obligations: NO_OBLIGATIONS })
const NO_RULES: Rule[] = []
const NO_REFS: readonly RuleRef[] = Object.freeze([])

/** Everything but permits that is about the call: what matches, and what cannot be told. */
class Stops {
  readonly question: Question
  #matched: Rule[] = NO_RULES
  #untold: Rule[] = NO_RULES

  constructor(question: Question) {
    this.question = question
  }

  /** Matching statements of every effect but permit, each once. */
  get matched(): readonly Rule[] {
    return this.#matched
  }

  /** Puts the rule where it belongs; whether it holds. */
  consider(rule: Rule): boolean {
    const truth = holds(rule, this.question)
    if (truth === true) this.#matched = added(this.#matched, rule)
    else if (truth === undefined) this.#untold = added(this.#untold, rule)
    return truth === true
  }

  /** The denial by statements of this effect; of all but a forbid only one that cannot be told denies. */
  refusal(effect: Rule['effect']): DenyVerdict | undefined {
    if (this.#untold === NO_RULES && this.#matched === NO_RULES) return undefined
    const { question } = this
    const matched = effect === 'forbid' ? this.#matched.filter((rule) => rule.effect === effect) : NO_RULES
    if (matched.length > 0) {
      matched.sort(byId)
      const rules = refsOf(matched)
      return denied('forbidden', rules, () => explained(explainForbidden(matched), question, rules))
    }
    const untold = this.#untold.filter((rule) => rule.effect === effect)
    if (untold.length === 0) return undefined
    untold.sort(byId)
    const code = untold.every((rule) => wantsAnswerOnly(rule, question)) ? 'condition_unavailable' : 'policy_error'
    const rules = refsOf(untold)
    return denied(code, rules, () => explained(explainUntold(untold, question), question, rules))
  }
}

function added(list: Rule[], rule: Rule): Rule[] {
  if (list === NO_RULES) return [rule]
  if (!list.includes(rule)) list.push(rule)
  return list
}

/** Whether nothing but another engine's answer is missing. */
function wantsAnswerOnly({ guards }: Rule, question: Question): boolean {
  return guards.every((guard: Guard) => guard.about === 'ask' || guard.test(question) !== undefined)
}

/** The rules that together grant a question, or the first resource none covers (`undefined`: the call as such). */
type Granted =
  | { readonly all: true; readonly rules: readonly Rule[] }
  | { readonly all: false; readonly uncovered: Resource | undefined }

/**
 * What grants by permits alone, and with the approvals that match: an approval is a permit that a person has to complete,
 * and must never grant by itself. For a call that names no resource only approvals of such calls count; one for certain
 * hosts asks nobody about it.
 */
interface Grants {
  readonly byPermits: Granted
  readonly withApprovals: Granted
}

function grantOfCall(buckets: readonly Bucket[], { question, matched }: Stops): Grants {
  let permit: Rule | undefined
  for (const { permits } of buckets) {
    // Sorted by id: the first that holds is the smallest of its bucket.
    const first = permits.find((rule) => holds(rule, question) === true)
    if (first !== undefined) permit = smaller(permit, first)
  }
  let either = permit
  for (const rule of matched) if (rule.effect === 'require_approval') either = smaller(either, rule)
  return { byPermits: grantOf(permit), withApprovals: grantOf(either) }
}

function grantOf(rule: Rule | undefined): Granted {
  return rule === undefined ? { all: false, uncovered: undefined } : { all: true, rules: [rule] }
}

function grantsOf(buckets: readonly Bucket[], stops: Stops): Grants {
  const { resources } = stops.question
  const permits: Rule[] = []
  let withApprovals: Rule[] = permits
  let uncovered: Resource | undefined
  let uncoveredByAll: Resource | undefined
  for (const resource of resources) {
    const found = resource.kind === 'network' ? ofNetwork(buckets, resource, stops) : ofNamed(buckets, resource, stops)
    const { permit, approval } = found
    if (permit === undefined) uncovered ??= resource
    const either = approval === undefined ? permit : smaller(permit, approval)
    if (either === undefined) uncoveredByAll ??= resource
    if (either !== permit && withApprovals === permits) withApprovals = [...permits]
    if (withApprovals !== permits && either !== undefined) added(withApprovals, either)
    if (permit !== undefined && !permits.includes(permit)) permits.push(permit)
  }
  const byPermits: Granted = uncovered === undefined ? { all: true, rules: permits } : { all: false, uncovered }
  if (withApprovals === permits && uncovered === uncoveredByAll) return { byPermits, withApprovals: byPermits }
  return {
    byPermits,
    withApprovals:
      uncoveredByAll === undefined ? { all: true, rules: withApprovals } : { all: false, uncovered: uncoveredByAll },
  }
}

/** Of those that grant a resource the permit and the approval with the smallest id, so that order decides nothing. */
interface Best {
  permit: Rule | undefined
  approval: Rule | undefined
}

function ofNetwork(buckets: readonly Bucket[], network: NetworkResource, stops: Stops): Best {
  const best: Best = { permit: undefined, approval: undefined }
  for (const bucket of buckets) {
    if (bucket.isLong) for (const entry of bucket.findHosts(network)) weighHost(entry, network, stops, best)
    else for (let entry = bucket.hosts; entry !== undefined; entry = entry.next) weighHost(entry, network, stops, best)
  }
  return best
}

function weighHost(
  { pattern, value: rule }: HostEntry<Rule>,
  network: NetworkResource,
  stops: Stops,
  best: Best,
): void {
  const { effect, reach } = rule
  if (effect !== 'permit') {
    if (!hostTouches(pattern, network) || (reach !== undefined && !reachTouches(reach, network))) return
    if (!stops.consider(rule) || effect !== 'require_approval') return
  }
  if (!hostCovers(pattern, network) || (reach !== undefined && !reachCovers(reach, network))) return
  offer(best, rule, stops.question)
}

function ofNamed(buckets: readonly Bucket[], resource: Exclude<Resource, NetworkResource>, stops: Stops): Best {
  const best: Best = { permit: undefined, approval: undefined }
  for (const bucket of buckets) {
    for (const rule of bucket.find(resource)) {
      if (rule.effect === 'permit') offer(best, rule, stops.question)
      else if (stops.consider(rule) && rule.effect === 'require_approval') offer(best, rule, stops.question)
    }
  }
  return best
}

function offer(best: Best, rule: Rule, question: Question): void {
  if (rule.effect === 'permit') {
    const { permit } = best
    if (permit !== undefined && byId(permit, rule) <= 0) return
    if (holds(rule, question) === true) best.permit = rule
  } else best.approval = smaller(best.approval, rule)
}

function smaller(best: Rule | undefined, rule: Rule): Rule {
  return best === undefined || byId(rule, best) < 0 ? rule : best
}

function isOutside(egress: readonly EgressTable[], resource: Resource): boolean {
  return resource.kind === 'network' && !egress.some((table) => tableCovers(table, resource))
}

/** The charges and obligations of the matching statements; a denial when it cannot be told what one takes. */
function termsOf(matched: readonly Rule[], question: Question): Terms | DenyVerdict {
  const charges: Charge[] = []
  const obligations: Obligation[] = []
  for (const rule of [...matched].sort(byId)) {
    if (rule.obligation !== undefined) obligations.push(rule.obligation)
    if (rule.limit === undefined) continue
    const taken = chargesOf(rule, rule.limit, question)
    if (typeof taken === 'string') {
      const detail = `${rule.ref.id} could not be evaluated: ${taken}`
      return denied('policy_error', rule.refs, () => explained(detail, question, rule.refs))
    }
    charges.push(...taken)
  }
  return {
    charges: charges.length === 0 ? NO_CHARGES : Object.freeze(charges),
    obligations: obligations.length === 0 ? NO_OBLIGATIONS : Object.freeze(obligations),
  }
}

interface Words {
  readonly detail: string
  readonly options: DenialOptions
}

export function denied(code: DenialCode, rules: readonly RuleRef[], words: () => Words): DenyVerdict {
  return new DenyVerdict(code, rules, () => {
    const { detail, options } = words()
    return deny(code, detail, options)
  })
}

function explained(detail: string, question: Question, rules: readonly RuleRef[]): Words {
  return { detail, options: { subject: subjectOf(question), rules } }
}

function refsOf(rules: readonly Rule[]): readonly RuleRef[] {
  const [only] = rules
  if (rules.length === 1 && only !== undefined) return only.refs
  return [...rules].sort(byId).map((rule) => rule.ref)
}
