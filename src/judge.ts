// The way of a call through the rooms: manifest → arguments → resources → policy → what the policy obliges to. Each step hands
// on what is established so far; the first refusal is the answer. That the run, the ticket and the token still hold was
// checked by the caller, and will be again before the answer is given. Nothing is waited for unless a rule asks another engine.

import type { CallRequest } from './call.ts'
import type { ApprovalDemand } from './core/approval.ts'
import type { Charge } from './core/charge.ts'
import type { ConditionQuestion } from './core/condition-port.ts'
import { type Denial, type DenialCode, deny, type RuleRef, withSubject } from './core/denial.ts'
import type { JsonObject } from './core/json.ts'
import type { Obligation } from './core/obligation.ts'
import { copyPlain } from './core/plain.ts'
import type { Resource } from './core/resource.ts'
import { isName } from './core/text.ts'
import type { Decision } from './core/verdict.ts'
import { given, type House } from './house.ts'
import { bindCopied } from './manifest/bind.ts'
import type { Manifest } from './manifest/manifest.ts'
import { type CompiledObligations, compileObligations } from './obligation/compile.ts'
import type { PolicyEngine, PolicyRequest } from './policy/engine.ts'

/** What is established about a call when judging ends: as much as was reached, and the refusal if there was one. */
export interface Judged {
  readonly tool: string
  readonly args?: JsonObject
  readonly resources: readonly Resource[]
  readonly rules: readonly RuleRef[]
  readonly denial?: Denial
  readonly observed?: Observed
  /** Of a call that was not refused: what it takes, obliges to, and people have to agree to. */
  readonly terms?: CallTerms
}

/** What the candidate policy says of what was asked for. */
export interface Observed {
  /** Digest of the candidate. */
  readonly candidate: string
  readonly decision: Decision
  readonly code?: DenialCode
}

export interface CallTerms {
  readonly charges: readonly Charge[]
  readonly obligations: readonly Obligation[]
  readonly obliged: CompiledObligations
  /** Empty: nobody has to agree. */
  readonly demands: readonly ApprovalDemand[]
}

/** On whose behalf a call is judged. */
export interface Caller {
  readonly run: string
  readonly principal: string
  readonly node: string
  readonly roles: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly toolScope: readonly string[]
  readonly manifest: Manifest
  readonly upstream: readonly string[]
  readonly downstream: readonly string[]
  readonly facts: JsonObject
  /** OAuth scopes the run holds. */
  readonly scopes: ReadonlySet<string>
  /** `undefined`: nobody said where the data of the run come from. */
  readonly dataRegions: readonly string[] | undefined
}

/** What the policy is asked about a call that the manifest has. */
export type CallQuestion = PolicyRequest & { readonly skill: string }

export type BoundRequest =
  | {
      readonly ok: true
      readonly question: CallQuestion
      /** The request as it was read, for asking once more: the caller's own object can change meanwhile. */
      readonly request: CallRequest
    }
  | BindingRefused

interface BindingRefused {
  readonly ok: false
  readonly judged: Judged
}

type Answers = Readonly<Record<string, boolean>>

/** What other engines said, to the active policy and to the candidate: the questions of one must not serve the other. */
export interface Answered {
  readonly active: Answers
  readonly candidate: Answers
}

/** Asks other engines about a call. A denial: while they were asked the attempt lost its standing. */
export type AskOthers = (
  question: CallQuestion,
  ofActive: readonly ConditionQuestion[],
  ofCandidate: readonly ConditionQuestion[],
) => Promise<Answered | Denial>

/** The tool a request names, read once and without running a getter; `undefined` when it names none. */
export function toolOf(request: unknown): string | undefined {
  const tool = ownValue(request, 'tool')
  return isName(tool) ? tool : undefined
}

/** Manifest, arguments and resources of a request. */
export function bindRequest(house: House, caller: Caller, tool: string, request: unknown): BoundRequest {
  const denial = undeclared(caller, tool)
  if (denial !== undefined) return { ok: false, judged: refusal(tool, denial) }
  const subject = { node: caller.node, tool }
  const copied = copyPlain(ownValue(request, 'args') ?? {})
  if (!copied.ok) {
    const about = { subject: { ...subject, argument: copied.pointer } }
    return { ok: false, judged: refusal(tool, deny(copied.code, copied.detail, about)) }
  }
  if (!isObject(copied.value)) {
    const notObject = deny('arguments_invalid', 'the arguments are not an object', { subject })
    return { ok: false, judged: refusal(tool, notObject) }
  }
  const regions = readRegions(caller.dataRegions, request)
  if (regions === null) {
    const malformed = deny('request_invalid', 'dataRegions is not a list of texts', { subject })
    return { ok: false, judged: refusal(tool, malformed) }
  }
  const bound = bindArguments(house, caller, tool, copied.value, regions)
  if (!bound.ok) return bound
  const asked = { tool, args: copied.value }
  return { ...bound, request: Object.freeze(regions === undefined ? asked : { ...asked, dataRegions: regions }) }
}

function bindArguments(
  house: House,
  caller: Caller,
  tool: string,
  copied: JsonObject,
  dataRegions: readonly string[] | undefined,
): { readonly ok: true; readonly question: CallQuestion } | BindingRefused {
  const { node, manifest, scopes } = caller
  const subject = { node, tool }
  const bound = bindCopied(manifest, tool, copied)
  if (!bound.ok) {
    const denial = { ...bound.denial, subject: { ...subject, ...bound.denial.subject } }
    return { ok: false, judged: { ...refusal(tool, denial), args: copied } }
  }
  const { args, resources } = bound
  for (const resource of resources) {
    if (resource.kind !== 'scope' || scopes.has(resource.name)) continue
    const denial = deny('scope_not_held', `the run does not hold the scope ${resource.name}`, {
      subject,
      missing: `scopes: ['${resource.name}'] in openRun()`,
    })
    return { ok: false, judged: { ...refusal(tool, denial), args, resources } }
  }
  const { run, principal, roles, labels, upstream, downstream, facts } = caller
  const now = house.clock.now()
  const skill = manifest.skill
  const about = { node, roles, labels, skill, tool, args, resources, upstream, downstream, facts, now, run, principal }
  return { ok: true, question: dataRegions === undefined ? about : { ...about, dataRegions } }
}

/** The policy's answer, and what follows from it for the arguments. */
export function judge(house: House, caller: Caller, question: CallQuestion, ask: AskOthers): Judged | Promise<Judged> {
  return next(evaluate(house, question, house.candidate, ask), (first) => {
    const { terms, args } = first
    if (terms === undefined || args === undefined || terms.obligations.length === 0) return first
    const obligedArgs = terms.obliged.onArguments(args)
    if (!obligedArgs.ok) {
      return refused(first, withSubject(obligedArgs.denial, { node: caller.node, tool: first.tool }))
    }
    const tool = terms.obliged.rewriteTo ?? first.tool
    if (!obligedArgs.changed && tool === first.tool) return first
    return judgeRewritten(house, caller, question, { first, terms, tool, args: obligedArgs.args }, ask)
  })
}

interface Rewritten {
  readonly first: Judged
  readonly terms: CallTerms
  readonly tool: string
  readonly args: JsonObject
}

/**
 * What runs is judged, and not only what was asked for: other arguments or another tool go the whole way again, with
 * answers of their own where a rule asks. What the first judgement took, obliged to and asked people for stays.
 */
function judgeRewritten(
  house: House,
  caller: Caller,
  { dataRegions }: CallQuestion,
  rewritten: Rewritten,
  ask: AskOthers,
): Judged | Promise<Judged> {
  const { first, tool, args } = rewritten
  const missing = undeclared(caller, tool)
  if (missing !== undefined) return refused(first, missing)
  const bound = bindArguments(house, caller, tool, args, dataRegions)
  if (!bound.ok) return { ...bound.judged, ...given('observed', first.observed) }
  // The candidate was told of what was asked for; what it would have made of it is its own.
  return next(evaluate(house, bound.question, undefined, ask), (second) => joined(house, caller, rewritten, second))
}

function joined(house: House, caller: Caller, { first, terms: before, tool }: Rewritten, judged: Judged): Judged {
  const second = { ...judged, ...given('observed', first.observed) }
  const { terms, args } = second
  if (terms === undefined || args === undefined) return second
  const obligations = union(before.obligations, terms.obligations, ({ id }) => id)
  const obliged = compiled(house.policy, obligations)
  // All of them together: canonical form can bring back what the first had taken out.
  const again = obliged.onArguments(args)
  if (!again.ok || again.changed || (obliged.rewriteTo ?? tool) !== tool) {
    const detail = 'what the obligations make of this call is obliged to be yet another one'
    return refused(second, deny('obligation_unmet', detail, { subject: { node: caller.node, tool } }))
  }
  const demands = union(before.demands, terms.demands, ({ rule }) => rule)
  return {
    ...second,
    // Those who ask people, where anybody has to be asked.
    rules:
      before.demands.length === 0
        ? second.rules
        : union(first.rules, terms.demands.length === 0 ? [] : second.rules, ({ id }) => id),
    terms: {
      charges: union(before.charges, terms.charges, ({ key, kind }) => `${kind} ${key}`),
      obligations,
      obliged,
      demands,
    },
  }
}

/** The verdicts on one question, after other engines were asked where a rule asks them. */
function evaluate(
  house: House,
  question: CallQuestion,
  candidate: PolicyEngine | undefined,
  ask: AskOthers,
): Judged | Promise<Judged> {
  const ofActive = house.policy.unanswered(question)
  const ofCandidate = candidate?.unanswered(question) ?? NO_QUESTIONS
  if (ofActive.length === 0 && ofCandidate.length === 0) {
    return decided(house.policy, question, observe(candidate, question))
  }
  return ask(question, ofActive, ofCandidate).then((answered) => {
    if ('code' in answered) return { ...refusal(question.tool, answered), args: question.args }
    const { active, candidate: observed } = answered
    return decided(
      house.policy,
      { ...question, answers: active },
      observe(candidate, { ...question, answers: observed }),
    )
  })
}

function decided(policy: PolicyEngine, question: CallQuestion, observed: Observed | undefined): Judged {
  const { tool, args, resources } = question
  const verdict = policy.evaluate(question)
  const judged = { tool, args, resources, rules: verdict.rules, ...given('observed', observed) }
  if (verdict.decision === 'deny') return { ...judged, denial: verdict.denial }
  const { charges, obligations } = verdict
  const demands = verdict.decision === 'escalate' ? verdict.demands : NO_DEMANDS
  return { ...judged, terms: { charges, obligations, obliged: compiled(policy, obligations), demands } }
}

/** Evaluated and nothing else: what it would take, oblige to or ask people for has no effect. */
function observe(candidate: PolicyEngine | undefined, question: CallQuestion): Observed | undefined {
  if (candidate === undefined) return undefined
  const verdict = candidate.evaluate(question)
  const { decision } = verdict
  const code = verdict.decision === 'deny' ? verdict.code : decision === 'escalate' ? 'approval_required' : undefined
  return { candidate: candidate.digest, decision, ...given('code', code) }
}

/** Without a promise where there is none: most calls wait for nobody. */
function next<T, U>(value: T | Promise<T>, then: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value)
}

// Compiling takes expressions apart, and the same few lists come back with every call of a tool.
const compiledLists = new WeakMap<PolicyEngine, Map<string, CompiledObligations>>()
const MOST_LISTS = 1024

function compiled(policy: PolicyEngine, obligations: readonly Obligation[]): CompiledObligations {
  let lists = compiledLists.get(policy)
  if (lists === undefined) {
    lists = new Map()
    compiledLists.set(policy, lists)
  }
  const ids = obligations.map(({ id }) => id).join('\n')
  let list = lists.get(ids)
  if (list === undefined) {
    list = compileObligations(obligations)
    if (lists.size >= MOST_LISTS) lists.clear()
    lists.set(ids, list)
  }
  return list
}

/** Why the tool is not one of this caller, if so. */
function undeclared(caller: Caller, tool: string): Denial | undefined {
  const { node, manifest } = caller
  const subject = { node, tool }
  if (!manifest.tools.has(tool)) {
    const missing = `tools: [{ name: ${tool} }] in ${manifest.file}`
    return deny('tool_undeclared', `skill "${manifest.skill}" does not declare this tool`, {
      subject: { ...subject, skill: manifest.skill },
      missing,
    })
  }
  if (caller.toolScope.includes(tool)) return undefined
  const missing = `tool_scope: [${tool}] on node ${node}`
  return deny('tool_out_of_scope', 'the tool is not in the tool_scope of this node', { subject, missing })
}

const NO_RESOURCES: readonly Resource[] = Object.freeze([])
const NO_QUESTIONS: readonly ConditionQuestion[] = Object.freeze([])
const NO_DEMANDS: readonly ApprovalDemand[] = Object.freeze([])

/** What is established when judging ends before there are resources. */
export function refusal(tool: string, denial: Denial): Judged {
  return { tool, resources: NO_RESOURCES, rules: denial.rules, denial }
}

/** The same call, refused after all. */
export function refused({ terms: _terms, ...judged }: Judged, denial: Denial): Judged {
  return { ...judged, rules: denial.rules, denial }
}

function union<T>(first: readonly T[], second: readonly T[], key: (item: T) => string): readonly T[] {
  const all = new Map<string, T>()
  for (const item of [...first, ...second]) all.set(key(item), item)
  return Object.freeze([...all.values()])
}

/** The regions of the run and of the call together; `null` when the call's are no list of texts. */
function readRegions(ofRun: readonly string[] | undefined, request: unknown): readonly string[] | undefined | null {
  const given = typeof request === 'object' && request !== null && 'dataRegions' in request
  if (!given) return ofRun
  const ofCall = ownValue(request, 'dataRegions')
  // Said, but not so that it can be read once (inherited, or by a getter): not the same as not said.
  if (ofCall === undefined) return isOwnData(request, 'dataRegions') ? ofRun : null
  const copied = copyPlain(ofCall)
  if (!copied.ok || !Array.isArray(copied.value)) return null
  const regions = copied.value as readonly unknown[]
  if (!regions.every((region): region is string => typeof region === 'string')) return null
  return Object.freeze([...new Set([...(ofRun ?? []), ...regions])])
}

function isOwnData(object: object, key: string): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(object, key)
  return descriptor !== undefined && 'value' in descriptor
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function ownValue(object: unknown, key: string): unknown {
  if (typeof object !== 'object' || object === null) return undefined
  return Object.getOwnPropertyDescriptor(object, key)?.value
}
