// Asks Cedar policies inside this process, through the WebAssembly module the caller has. Cedar skips a policy that runs into
// an error, a forbid as well, and reports it beside an allow: here an answer with any error in it is no answer. Trusts
// the module to evaluate, and nothing of a call to be what Cedar would take it for.

import type { ConditionPort } from '../core/condition-port.ts'
import { AgentPortError } from '../core/errors.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { isName, printable } from '../core/text.ts'

/** An entity as Cedar's JSON writes its uid. */
export interface CedarUid {
  readonly type: string
  readonly id: string
}

export interface CedarEntity {
  readonly uid: CedarUid
  readonly attrs: JsonObject
  readonly parents: readonly CedarUid[]
  readonly tags?: JsonObject
}

/** What Cedar is asked: may `principal` do `action` on `resource`. */
export interface CedarRequest {
  readonly principal: CedarUid
  readonly action: CedarUid
  readonly resource: CedarUid
  readonly context: JsonObject
  readonly entities: readonly CedarEntity[]
}

/**
 * The part of `@cedar-policy/cedar-wasm/nodejs` (4.x) that is used. Give the module itself:
 * `import * as cedar from '@cedar-policy/cedar-wasm/nodejs'`. Without the three optional functions, which older versions do
 * not have, the policies are parsed anew for every question.
 */
export interface CedarModule {
  // Method syntax: the module's own types are narrower than unknown.
  isAuthorized(call: never): unknown
  checkParsePolicySet(policies: never): unknown
  policySetTextToParts(text: string): unknown
  validate(call: never): unknown
  preparsePolicySet?(id: string, policies: never): unknown
  preparseSchema?(id: string, schema: never): unknown
  statefulIsAuthorized?(call: never): unknown
}

export interface CedarConditionsOptions {
  /** The engine name that rules use. */
  readonly name: string
  readonly cedar: CedarModule
  /** Policy sets in Cedar's syntax by the names that a rule's `query` uses. */
  readonly policies: Readonly<Record<string, string>>
  /** Cedar schema, as text or JSON. With it policies are checked when they are loaded, and requests when they are asked. */
  readonly schema?: string | JsonObject
  /** How a call becomes a Cedar request. Default: {@link cedarRequest}. What it throws leaves the question unanswered. */
  readonly mapping?: (input: JsonObject) => CedarRequest
}

/** A {@link ConditionPort} that answers at once, on the caller's stack. */
export interface CedarConditions extends ConditionPort {
  ask(query: string, input: JsonObject): boolean
  /** Forgets the policies. Every question after that is unanswered. */
  close(): void
}

/**
 * A condition port for `ask: { engine: <name>, query: payments }`, where the query is the name of a policy set. The answer is
 * Cedar's decision: `true` for allow, `false` for deny.
 *
 * @throws TypeError when an option has the wrong type
 * @throws AgentPortError ERR_POLICY_INVALID: a policy set that does not parse, does not fit the schema, is empty or holds
 *   templates; a schema that does not parse
 */
export function cedarConditions(options: CedarConditionsOptions): CedarConditions {
  const { name, cedar, schema, mapping = cedarRequest } = options
  if (!isName(name)) throw new TypeError('cedarConditions needs the name of an engine')
  for (const member of ['isAuthorized', 'checkParsePolicySet', 'policySetTextToParts', 'validate'] as const) {
    if (typeof cedar?.[member] !== 'function') throw new TypeError(`cedar has no function ${member}`)
  }
  if (typeof mapping !== 'function') throw new TypeError('mapping is a function')
  const sets = readPolicies(options.policies)
  for (const [query, text] of sets) checkPolicies(cedar, query, text, schema)
  const authorizer = isStateful(cedar) ? preparse(cedar, sets, schema) : parseEachTime(cedar, sets, schema)
  let closed = false

  return Object.freeze({
    name,
    ask: (query: string, input: JsonObject): boolean => {
      if (closed) throw new Error('these policies were closed')
      // A misspelt query is no set that permits nothing: a forbid that asks it would fall silent.
      if (!sets.has(query)) throw new Error(`there is no policy set "${printable(query, 80)}"`)
      refuseEscapes(input)
      return decisionOf(authorizer.ask(query, mapping(input)))
    },
    close: () => {
      if (!closed) authorizer.forget()
      closed = true
    },
  })
}

/**
 * The call as Cedar sees it: principal `Agent::"<node>"` in its `Role::"<role>"`s and with its labels as tags, action
 * `Action::"<tool>"`, resource `Skill::"<skill>"`, context `{ args, resources }` where a resource is one text such as
 * `network https://api.example.com:443`. Cedar has no null and no fractions: a call with one cannot be told.
 *
 * @throws Error when `input` has no skill
 */
export function cedarRequest(input: JsonObject): CedarRequest {
  const {
    node,
    roles = [],
    labels = {},
    skill,
    tool,
    args,
    resources,
  } = input as unknown as {
    readonly node: string
    readonly roles?: readonly string[]
    readonly labels?: JsonObject
    readonly skill?: string
    readonly tool: string
    readonly args: JsonObject
    readonly resources: readonly { readonly text: string }[]
  }
  // No skill is not a skill of an empty name, which a policy would have to know of.
  if (skill === undefined) throw new Error('the call is of no skill, and so has no Cedar resource')
  const principal = { type: 'Agent', id: node }
  const parents = roles.map((id) => ({ type: 'Role', id }))
  const tags = Object.keys(labels).length === 0 ? {} : { tags: labels }
  return {
    principal,
    action: { type: 'Action', id: tool },
    resource: { type: 'Skill', id: skill },
    context: { args, resources: resources.map(({ text }) => text) },
    entities: [
      { uid: principal, attrs: {}, parents, ...tags },
      ...parents.map((uid) => ({ uid, attrs: {}, parents: [] })),
    ],
  }
}

type Schema = string | JsonObject | undefined

interface Authorizer {
  ask(query: string, request: CedarRequest): unknown
  forget(): void
}

type StatefulCedar = CedarModule &
  Required<Pick<CedarModule, 'preparsePolicySet' | 'preparseSchema' | 'statefulIsAuthorized'>>

function isStateful(cedar: CedarModule): cedar is StatefulCedar {
  return [cedar.preparsePolicySet, cedar.preparseSchema, cedar.statefulIsAuthorized].every(
    (member) => typeof member === 'function',
  )
}

function preparse(cedar: StatefulCedar, sets: ReadonlyMap<string, string>, schema: Schema): Authorizer {
  // The module keeps sets by name for the whole thread, and a second one replaces the first without a word.
  const unique = globalThis.crypto.randomUUID()
  const idOf = (query: string): string => `${unique} ${query}`
  for (const [query, staticPolicies] of sets) {
    parsed(cedar.preparsePolicySet(idOf(query), { staticPolicies } as never), `policy set "${query}"`)
  }
  if (schema !== undefined) parsed(cedar.preparseSchema(unique, schema as never), 'the schema')
  const checked = schema === undefined ? {} : { preparsedSchemaName: unique, validateRequest: true }
  return {
    ask: (query, request) =>
      cedar.statefulIsAuthorized({ ...partsOf(request), ...checked, preparsedPolicySetId: idOf(query) } as never),
    forget: () => {
      for (const query of sets.keys()) cedar.preparsePolicySet(idOf(query), { staticPolicies: '' } as never)
    },
  }
}

function parseEachTime(cedar: CedarModule, sets: ReadonlyMap<string, string>, schema: Schema): Authorizer {
  const checked = schema === undefined ? {} : { schema, validateRequest: true }
  return {
    ask: (query, request) =>
      cedar.isAuthorized({
        ...partsOf(request),
        ...checked,
        policies: { staticPolicies: sets.get(query) },
      } as never),
    forget: () => undefined,
  }
}

/** Only what a request has: a mapping cannot name another policy set or switch a check off. */
function partsOf({ principal, action, resource, context, entities }: CedarRequest): CedarRequest {
  return { principal, action, resource, context, entities }
}

function readPolicies(policies: unknown): ReadonlyMap<string, string> {
  if (typeof policies !== 'object' || policies === null) throw new TypeError('policies maps names to Cedar text')
  const sets = new Map<string, string>()
  for (const [query, text] of Object.entries(policies as Readonly<Record<string, unknown>>)) {
    if (!isName(query)) throw new TypeError(`"${printable(query, 80)}" cannot name a policy set`)
    if (typeof text !== 'string') throw new TypeError(`policy set "${query}" is not a text`)
    sets.set(query, text)
  }
  if (sets.size === 0) throw new TypeError('policies holds no policy set')
  return sets
}

function checkPolicies(cedar: CedarModule, query: string, text: string, schema: Schema): void {
  const what = `policy set "${query}"`
  const policies = { staticPolicies: text }
  parsed(cedar.checkParsePolicySet(policies as never), what)
  const parts = parsed(cedar.policySetTextToParts(text), what)
  // A template that nothing links decides nothing; a set of nothing denies everything. Neither is what somebody wrote.
  if (!isEmptyList(parts['policy_templates'])) throw invalid(`${what} holds templates, which nothing here fills in`)
  if (isEmptyList(parts['policies'])) throw invalid(`${what} is empty`)
  if (schema === undefined) return
  const found = parsed(cedar.validate({ schema, policies } as never), `${what} under the schema`)
  const { validationErrors } = found
  if (!isEmptyList(validationErrors))
    throw invalid(`${what} does not fit the schema: ${firstMessage(validationErrors)}`)
}

/** The answer of a function of Cedar, unless it is a failure; they throw as well, for what they did not foresee. */
function parsed(answer: unknown, what: string): Readonly<Record<string, unknown>> {
  const { type, errors } = (answer ?? {}) as { readonly type?: unknown; readonly errors?: unknown }
  if (type !== 'success') throw invalid(`${what} does not parse: ${firstMessage(errors)}`)
  return answer as Readonly<Record<string, unknown>>
}

function decisionOf(answer: unknown): boolean {
  const { type, response, errors } = (answer ?? {}) as Readonly<Record<string, unknown>>
  if (type !== 'success') throw new Error(`Cedar could not decide: ${firstMessage(errors)}`)
  const { decision, diagnostics } = (response ?? {}) as Readonly<Record<string, unknown>>
  const skipped = (diagnostics as { readonly errors?: unknown } | undefined)?.errors
  // A policy that errs is skipped: the allow that is left may be what its forbid was there to stop.
  if (!isEmptyList(skipped)) throw new Error(`Cedar skipped a policy: ${firstMessage(skipped)}`)
  if (decision === 'allow') return true
  if (decision === 'deny') return false
  throw new Error('Cedar gave no decision')
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** Members with which Cedar's JSON writes something else than a record. */
const ESCAPES = ['__entity', '__extn', '__expr']

/** Arguments that would reach Cedar as an entity or an address and not as the record they are: a caller must not choose. */
function refuseEscapes(value: JsonValue): void {
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) refuseEscapes(item)
    return
  }
  for (const [key, member] of Object.entries(value)) {
    if (ESCAPES.includes(key)) throw new Error(`the call has a member ${key}, which Cedar reads as more than data`)
    refuseEscapes(member)
  }
}

function firstMessage(errors: unknown): string {
  const [first] = Array.isArray(errors) ? (errors as readonly unknown[]) : []
  const { policyId, error, message } = (first ?? {}) as Readonly<Record<string, unknown>>
  const said = typeof message === 'string' ? message : (error as { readonly message?: unknown } | undefined)?.message
  const where = typeof policyId === 'string' ? `${policyId}: ` : ''
  return printable(typeof said === 'string' ? `${where}${said}` : 'it does not say why')
}

function invalid(message: string): AgentPortError {
  return new AgentPortError('ERR_POLICY_INVALID', `cedarConditions: ${message}`)
}
