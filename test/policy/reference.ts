// A second reading of the policy language, slow and obvious: every statement is looked at, nothing is indexed or compiled
// ahead. Written from the format, not from the engine, so that the two can disagree. It takes well-formed documents; what
// makes a document ill-formed is the loader's business.

import { hostReadings } from '../../src/core/host.ts'
import type { Resource } from '../../src/core/resource.ts'
import type { PolicyRequest } from '../../src/policy/request.ts'
import type { RawEgress, RawLimit, RawPolicy, RawRule } from '../../src/policy/schema.ts'
import { type Answer, all, conditionsHold, isOpen, valueAt, yesIf } from './reference-conditions.ts'
import { hostCovers, hostTouches, type Network, nameMatches, pathMatches, textMatches } from './reference-patterns.ts'

export type ReferenceRequest = PolicyRequest

/** A charge, with whose counter it is instead of the key of the counter. */
export interface ReferenceCharge {
  readonly limit: string
  readonly kind: string
  /** What the limit counts by and what the call says of it, in one fixed order. */
  readonly counter: string
  readonly run?: string | undefined
  readonly amount: number
  readonly max: number
  readonly perMs?: number | undefined
  readonly burst?: number | undefined
}

export interface ReferenceDemand {
  readonly rule: string
  readonly approvers: readonly string[]
  readonly quorum: number
  readonly expiresMs: number
}

export interface ReferenceVerdict {
  readonly decision: 'allow' | 'deny' | 'escalate'
  readonly code?: string
  /** Ids of the determining rules, sorted. */
  readonly rules: readonly string[]
  /** Of an allow or escalate, in any order. */
  readonly charges: readonly ReferenceCharge[]
  /** Ids, sorted. */
  readonly obligations: readonly string[]
  /** Of an escalate, by rule. */
  readonly demands: readonly ReferenceDemand[]
}

type Effect = 'permit' | 'forbid' | 'require_approval' | 'limit' | 'oblige'
type Selector = Omit<RawRule, 'effect' | 'limits'>

interface Statement {
  readonly effect: Effect
  readonly id: string
  readonly about: Selector
  readonly rule?: RawRule
  readonly limit?: RawLimit
}

/** What is asked, and everything it is asked of. */
interface Case extends Everything {
  readonly request: ReferenceRequest
}

export function referenceVerdict(policies: readonly RawPolicy[], request: ReferenceRequest): ReferenceVerdict {
  const one: Case = { ...everythingIn(policies), request }
  const { statements, roles, tables } = one
  if ((request.roles ?? []).some((role) => !roles.some(([name, is]) => name === role && is.asserted))) {
    return denied('role_unknown')
  }
  // A role that labels give could be anybody's when there are none to look at.
  if (request.labels === undefined && roles.some(([, { labels }]) => labels !== undefined)) {
    return denied('request_invalid')
  }
  const concerned = statements
    .filter((statement) => isAbout(one, statement))
    .map((statement) => ({ statement, ...conditionsOf(one, statement) }))
    .filter(({ statement }) => statement.effect === 'permit' || isTouched(one, statement))
  const idsOf = (effect: Effect, truth: Answer): string[] =>
    concerned
      .filter((each) => each.statement.effect === effect && all([each.conditions, each.ask]) === truth)
      .map(({ statement }) => statement.id)
      .sort()

  const forbids = idsOf('forbid', 'yes')
  if (forbids.length > 0) return denied('forbidden', forbids)
  for (const effect of ['forbid', 'require_approval', 'limit', 'oblige'] as const) {
    const untold = idsOf(effect, 'untold')
    const wantAnswers = concerned.every(
      ({ statement, conditions }) => !untold.includes(statement.id) || conditions === 'yes',
    )
    if (untold.length > 0) return denied(wantAnswers ? 'condition_unavailable' : 'policy_error', untold)
  }
  if (tables.length > 0 && request.resources.some((resource) => !isInTables(one, resource))) {
    return denied('egress_not_granted')
  }

  const approvals = idsOf('require_approval', 'yes')
  const granting = concerned
    .filter(({ statement, conditions, ask }) =>
      statement.effect === 'permit' ? all([conditions, ask]) === 'yes' : approvals.includes(statement.id),
    )
    .map(({ statement }) => statement)
  const chosen: string[] = []
  if (request.resources.length === 0) {
    const first = granting.map(({ id }) => id).sort()[0]
    if (first === undefined) return denied('no_matching_permit')
    chosen.push(first)
  }
  for (const resource of request.resources) {
    const covering = granting.filter(({ about }) => covers(one, about, resource)).map(({ id }) => id)
    const first = covering.sort()[0]
    if (first === undefined) return denied('no_matching_permit')
    if (!chosen.includes(first)) chosen.push(first)
  }

  const limiting = idsOf('limit', 'yes')
  const charges: ReferenceCharge[] = []
  for (const id of limiting) {
    const limit = statements.find((each) => each.id === id)?.limit
    const taken = limit === undefined ? undefined : chargesOf(one, limit)
    if (taken === undefined) return denied('policy_error', [id])
    charges.push(...taken)
  }
  const terms = { charges, obligations: idsOf('oblige', 'yes') }
  if (approvals.length > 0) {
    const demands = approvals.map((id) => demandOf(one, id))
    return { decision: 'escalate', code: 'approval_required', rules: approvals, demands, ...terms }
  }
  return { decision: 'allow', rules: chosen.sort(), demands: [], ...terms }
}

function denied(code: string, rules: readonly string[] = []): ReferenceVerdict {
  return { decision: 'deny', code, rules, charges: [], obligations: [], demands: [] }
}

/** What stands in all documents together. */
interface Everything {
  readonly statements: readonly Statement[]
  readonly roles: readonly (readonly [string, Role])[]
  readonly regions: readonly (readonly [string, { readonly hosts: readonly string[] }])[]
  readonly tables: readonly RawEgress[]
}

type Role = NonNullable<RawPolicy['roles']>[string]

/** Gathered once: the same documents are asked many times. */
const gathered = new WeakMap<readonly RawPolicy[], Everything>()

function everythingIn(policies: readonly RawPolicy[]): Everything {
  const known = gathered.get(policies)
  if (known !== undefined) return known
  const statements = policies.flatMap(({ rules, limits = [], obligations = [] }): Statement[] => [
    ...rules.map((rule) => ({ effect: rule.effect, id: rule.id, about: rule, rule })),
    ...limits.map((limit) => ({ effect: 'limit' as const, id: limit.id, about: limit, limit })),
    ...obligations.map((each) => ({ effect: 'oblige' as const, id: each.id, about: each })),
  ])
  const everything: Everything = {
    statements: statements.filter(({ about }) => !isOfProcessesAlone(about)),
    roles: policies.flatMap(({ roles = {} }) => Object.entries(roles)),
    regions: policies.flatMap(({ regions = {} }) => Object.entries(regions)),
    tables: policies.flatMap(({ egress = [] }) => egress),
  }
  gathered.set(policies, everything)
  return everything
}

/** A rule that lists something, and nothing of what a call can name, is not about calls. */
export function isOfProcessesAlone(about: Omit<Selector, 'id'>): boolean {
  const { hosts, paths, binaries, env, oauth_scopes, libraries, process_rights } = about
  const ofProcesses = paths?.execute ?? libraries ?? process_rights
  const ofCalls = hosts ?? paths?.read ?? paths?.write ?? binaries ?? env ?? oauth_scopes
  return ofProcesses !== undefined && ofCalls === undefined
}

// Whom, which skill, which tool

function isAbout(one: Case, { about, effect }: Statement): boolean {
  const { tool, node, skill } = one.request
  if (!about.tools.some((pattern) => nameMatches(pattern, tool))) return false
  if (about.nodes !== undefined && !about.nodes.some((pattern) => nameMatches(pattern, node))) return false
  if (about.roles !== undefined && !about.roles.some((role) => role === '*' || hasRole(one, role))) return false
  if (about.skills === undefined) return true
  // No known skill: a grant for certain skills is not for this call, and a forbid for certain skills might be. An approval
  // is both, so it cannot be told.
  if (skill === undefined) return effect !== 'permit'
  return about.skills.some((pattern) => nameMatches(pattern, skill))
}

function hasRole({ roles, request }: Case, role: string): boolean {
  if (request.roles?.includes(role) === true) return true
  return roles.some(
    ([name, { nodes, labels }]) =>
      name === role &&
      (nodes?.some((pattern) => nameMatches(pattern, request.node)) === true ||
        (labels !== undefined && labelsMatch(labels, request.labels) === 'yes')),
  )
}

function labelsMatch(wanted: Readonly<Record<string, readonly string[]>>, labels: ReferenceRequest['labels']): Answer {
  if (labels === undefined) return 'untold'
  return all(
    Object.entries(wanted).map(([key, globs]) => {
      const value = Object.entries(labels).find(([name]) => name === key)?.[1]
      return yesIf(value !== undefined && globs.some((glob) => textMatches(glob, value)))
    }),
  )
}

// Conditions: all that is neither whom nor what

/** What another engine says stands apart: a call that waits for nothing else is refused with a code of its own. */
function conditionsOf(one: Case, { about, effect }: Statement): { readonly conditions: Answer; readonly ask: Answer } {
  const { request } = one
  const answers: Answer[] = [conditionsHold(about.args, request.args), conditionsHold(about.facts, request.facts)]
  if (about.skills !== undefined && request.skill === undefined && effect === 'require_approval') answers.push('untold')
  if (about.labels !== undefined) answers.push(labelsMatch(about.labels, request.labels))
  if (about.after !== undefined) answers.push(isAmong(about.after, request.upstream))
  if (about.before !== undefined) answers.push(isAmong(about.before, request.downstream))
  if (about.during !== undefined) {
    answers.push(request.now === undefined ? 'untold' : yesIf(isOpen(about.during, request.now)))
  }
  if (about.residency?.source !== undefined) answers.push(sourceOf(one, about.residency.source, effect))
  const conditions = all(answers)
  if (about.ask === undefined) return { conditions, ask: 'yes' }
  const key = `${about.ask.engine} ${about.ask.query}`
  const said: unknown = Object.entries(request.answers ?? {}).find(([name]) => name === key)?.[1]
  return { conditions, ask: said === true ? 'yes' : said === false ? 'no' : 'untold' }
}

function isAmong(globs: readonly string[], names: readonly string[] | undefined): Answer {
  if (names === undefined) return 'untold'
  return yesIf(names.some((name) => globs.some((glob) => nameMatches(glob, name))))
}

/** A grant wants all data to be from the regions, anything else some; of a region nobody defined nothing is known. */
function sourceOf({ regions, request }: Case, wanted: readonly string[], effect: Effect): Answer {
  const from = request.dataRegions
  if (from === undefined) return 'untold'
  if (effect === 'permit') return yesIf(from.every((region) => wanted.includes(region)))
  if (from.some((region) => wanted.includes(region))) return 'yes'
  const known = regions.map(([name]) => name)
  return from.every((region) => known.includes(region)) ? 'no' : 'untold'
}

// Resources: a permit must cover each, anything else is touched by one

function covers(one: Case, about: Selector, resource: Resource): boolean {
  switch (resource.kind) {
    case 'network': {
      const { methods, residency } = about
      if (methods !== undefined && !methods.some((method) => method === resource.method)) return false
      const { destination, outside } = residency ?? {}
      const regions = regionsOf(one, resource)
      if (destination !== undefined && !regions.some((region) => destination.includes(region))) return false
      if (outside !== undefined && (regions.length === 0 || regions.some((region) => outside.includes(region))))
        return false
      return (about.hosts ?? []).some((pattern) => hostCovers(pattern, resource))
    }
    case 'path':
      return (about.paths?.[resource.access] ?? []).some((pattern) => pathMatches(pattern, resource.path))
    case 'binary':
      return (about.binaries ?? []).some((pattern) => pathMatches(pattern, resource.path))
    case 'env':
      return (about.env ?? []).includes(resource.name)
    case 'scope':
      return (about.oauth_scopes ?? []).includes(resource.name)
  }
}

function touches(one: Case, about: Selector, resource: Resource): boolean {
  if (resource.kind !== 'network') return covers(one, about, resource)
  const { methods, residency } = about
  if (methods !== undefined && resource.method !== undefined && !methods.includes(resource.method)) return false
  const { destination, outside } = residency ?? {}
  // One of the things it may be dialled as is enough.
  const isConcerned = hostReadings(resource.host).some((host) => {
    const regions = regionsOf(one, { ...resource, host })
    const isInside = destination === undefined || regions.some((region) => destination.includes(region))
    const isOutside = outside === undefined || !regions.some((region) => outside.includes(region))
    return (isInside || regions.length === 0) && isOutside
  })
  if (!isConcerned) return false
  return (about.hosts ?? []).some((pattern) => hostTouches(pattern, resource))
}

function isTouched(one: Case, { about }: Statement): boolean {
  const { hosts, paths, binaries, env, oauth_scopes } = about
  const lists = [hosts, paths?.read, paths?.write, binaries, env, oauth_scopes]
  if (lists.every((list) => list === undefined)) return true
  return one.request.resources.some((resource) => touches(one, about, resource))
}

function regionsOf({ regions }: Case, { host, from }: Network): readonly string[] {
  return regions
    .filter(([, { hosts }]) => hosts.some((pattern) => hostCovers(pattern, { kind: 'network', host, from })))
    .map(([name]) => name)
}

function isInTables(one: Case, resource: Resource): boolean {
  if (resource.kind !== 'network') return true
  return one.tables.some(
    ({ roles, nodes, methods, hosts }) =>
      (roles === undefined || roles.some((role) => role === '*' || hasRole(one, role))) &&
      (nodes === undefined || nodes.some((pattern) => nameMatches(pattern, one.request.node))) &&
      (methods === undefined || methods.some((method) => method === resource.method)) &&
      hosts.some((pattern) => hostCovers(pattern, resource)),
  )
}

// Terms

/** What the call takes from the limit; nothing when that cannot be told. */
function chargesOf(one: Case, limit: RawLimit): ReferenceCharge[] | undefined {
  const { request } = one
  const amount = limit.amount === undefined ? 1 : valueAt(request.args, limit.amount)
  if (typeof amount !== 'number' || !(amount >= 0) || amount === Number.POSITIVE_INFINITY) return undefined
  const counter: string[] = []
  for (const by of ['node', 'principal', 'run', 'skill', 'tool'] as const) {
    if (!limit.by.includes(by)) continue
    const value = request[by]
    if (value === undefined) return undefined
    counter.push(`${by} ${JSON.stringify(value)}`)
  }
  const charge = (whose: readonly string[]): ReferenceCharge => ({
    limit: limit.id,
    kind: limit.kind,
    counter: whose.join(', '),
    run: limit.by.includes('run') ? request.run : undefined,
    amount,
    max: limit.max,
    perMs: limit.per === undefined ? undefined : milliseconds(limit.per),
    burst: limit.burst,
  })
  if (!limit.by.includes('destination')) return [charge(counter)]
  const isConcerned = (resource: Resource): resource is Network =>
    resource.kind === 'network' && (limit.hosts === undefined || touches(one, limit, resource))
  const hosts = new Set(request.resources.filter(isConcerned).map(({ host }) => host.text))
  return [...hosts].map((host) => charge([...counter, `destination ${host}`]))
}

function demandOf({ statements }: Case, id: string): ReferenceDemand {
  const {
    approvers = [],
    quorum = 1,
    expires = '10m',
  } = statements.find((each) => each.id === id)?.rule?.approval ?? {}
  return { rule: id, approvers, quorum, expiresMs: milliseconds(expires) }
}

function milliseconds(duration: string): number {
  const [, count, unit = ''] = /^([0-9]+)([a-z]+)$/.exec(duration) ?? []
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 24 * 3600e3 }
  return Number(count) * (units[unit] ?? Number.NaN)
}
