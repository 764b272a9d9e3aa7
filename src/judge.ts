// The way of a call through the rooms: manifest → arguments → resources → policy → what the policy obliges to. Each step hands
// on what is established so far; the first refusal is the answer. That the run, the ticket and the token still hold was
// checked by the caller, and will be again before the answer is given.

import type { ApprovalDemand } from './core/approval.ts'
import type { Charge } from './core/charge.ts'
import { type Denial, deny, type RuleRef } from './core/denial.ts'
import type { JsonObject } from './core/json.ts'
import type { Obligation } from './core/obligation.ts'
import { copyPlain } from './core/plain.ts'
import type { Resource } from './core/resource.ts'
import { isName } from './core/text.ts'
import { given, type House } from './house.ts'
import { bindCopied } from './manifest/bind.ts'
import type { Manifest } from './manifest/manifest.ts'
import { type CompiledObligations, compileObligations } from './obligation/compile.ts'
import type { PolicyEngine, PolicyRequest, PolicyVerdict } from './policy/engine.ts'

/** What is established about a call when judging ends: as much as was reached, and the refusal if there was one. */
export interface Judged {
  readonly tool: string
  readonly args?: JsonObject
  readonly resources: readonly Resource[]
  readonly rules: readonly RuleRef[]
  readonly denial?: Denial
  readonly observed?: PolicyVerdict
  /** Of a call that was not refused: what it takes, obliges to, and people have to agree to. */
  readonly terms?: CallTerms
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

/** A call that the manifest has: what the policy is to be asked. */
export type BoundRequest =
  | { readonly ok: true; readonly question: PolicyRequest & { readonly skill: string } }
  | { readonly ok: false; readonly judged: Judged }

type Answers = Readonly<Record<string, boolean>>

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
  const regions = readRegions(caller.dataRegions, ownValue(request, 'dataRegions'))
  if (regions === null) {
    const malformed = deny('request_invalid', 'dataRegions is not a list of texts', { subject })
    return { ok: false, judged: refusal(tool, malformed) }
  }
  return bindArguments(house, caller, tool, copied.value, regions)
}

function bindArguments(
  house: House,
  caller: Caller,
  tool: string,
  copied: JsonObject,
  dataRegions: readonly string[] | undefined,
): BoundRequest {
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
export function judge(
  house: House,
  caller: Caller,
  question: PolicyRequest & { readonly skill: string },
  answers?: Answers,
): Judged {
  const first = evaluate(house, answers === undefined ? question : { ...question, answers })
  const { terms, args } = first
  if (terms === undefined || args === undefined || terms.obligations.length === 0) return first
  const { obliged } = terms
  const obligedArgs = obliged.onArguments(args)
  if (!obligedArgs.ok) return refused(first, obligedArgs.denial)
  const tool = obliged.rewriteTo ?? first.tool
  if (!obligedArgs.changed && tool === first.tool) return first
  return judgeRewritten(house, caller, question, first, terms, tool, obligedArgs.args, answers)
}

/**
 * What runs is judged, and not only what was asked for: other arguments or another tool go the whole way again. What the
 * first judgement took, obliged to and asked people for stays.
 */
function judgeRewritten(
  house: House,
  caller: Caller,
  { dataRegions }: PolicyRequest,
  first: Judged,
  before: CallTerms,
  tool: string,
  args: JsonObject,
  answers: Answers | undefined,
): Judged {
  const missing = undeclared(caller, tool)
  if (missing !== undefined) return refused(first, missing)
  const bound = bindArguments(house, caller, tool, args, dataRegions)
  if (!bound.ok) return bound.judged
  const second = evaluate(house, answers === undefined ? bound.question : { ...bound.question, answers })
  const { terms } = second
  if (terms === undefined || second.args === undefined) return second
  const again = terms.obliged.onArguments(second.args)
  const isStable = again.ok && !again.changed && (terms.obliged.rewriteTo ?? tool) === tool
  if (!isStable) {
    const detail = 'what the obligations make of this call is obliged to be yet another one'
    return refused(second, deny('obligation_unmet', detail, { subject: { node: caller.node, tool } }))
  }
  const obligations = union(before.obligations, terms.obligations, ({ id }) => id)
  return {
    ...second,
    ...given('observed', first.observed),
    terms: {
      charges: union(before.charges, terms.charges, ({ key, kind }) => `${kind} ${key}`),
      obligations,
      obliged: compiled(house.policy, obligations),
      demands: union(before.demands, terms.demands, ({ rule }) => rule),
    },
  }
}

function evaluate(house: House, question: PolicyRequest): Judged {
  const { tool, args, resources } = question
  const verdict = house.policy.evaluate(question)
  const judged = {
    tool,
    args,
    resources,
    rules: verdict.rules,
    ...given('observed', house.candidate?.evaluate(question)),
  }
  if (verdict.decision === 'deny') return { ...judged, denial: verdict.denial }
  const { charges, obligations } = verdict
  const demands = verdict.decision === 'escalate' ? verdict.demands : NO_DEMANDS
  return { ...judged, terms: { charges, obligations, obliged: compiled(house.policy, obligations), demands } }
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
function readRegions(ofRun: readonly string[] | undefined, ofCall: unknown): readonly string[] | undefined | null {
  if (ofCall === undefined) return ofRun
  const copied = copyPlain(ofCall)
  if (!copied.ok || !Array.isArray(copied.value)) return null
  const regions = copied.value as readonly unknown[]
  if (!regions.every((region): region is string => typeof region === 'string')) return null
  return Object.freeze([...new Set([...(ofRun ?? []), ...regions])])
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function ownValue(object: unknown, key: string): unknown {
  if (typeof object !== 'object' || object === null) return undefined
  return Object.getOwnPropertyDescriptor(object, key)?.value
}
