// How every statement of a set stands to a request, for people who ask "why" and "why not". Reads what the decision read and
// decides nothing.

import type { RuleRef } from '../core/denial.ts'
import { type HostPattern, hostCovers, hostTouches } from '../core/host-pattern.ts'
import { pathMatches } from '../core/path-pattern.ts'
import { describeResource, type NetworkResource, type Resource } from '../core/resource.ts'
import type { PolicyVerdict } from './decide.ts'
import { type EgressTable, isTableOf, tableCovers } from './egress.ts'
import type { PolicySet } from './load.ts'
import { type MissingPermission, missingPermission } from './missing-permission.ts'
import { type Reach, reachCovers, reachTouches } from './reach.ts'
import type { Question } from './request.ts'
import { rolesOfLabels, rolesOfNode } from './roles.ts'
import { byId, type Rule } from './rule.ts'

/** How one statement stands to a request. */
export interface StatementStanding {
  readonly rule: RuleRef
  /**
   * `applies`: it is about the call and everything it asks for holds. `cannot_be_told`: something it asks for is absent or of
   * another type. `misses`: it is about another node or tool, a condition does not hold, or it names none of the resources.
   */
  readonly standing: 'applies' | 'cannot_be_told' | 'misses'
  /** Resources of the call that it covers (a permit) or touches (anything else). */
  readonly resources: readonly string[]
  /** What does not hold, in the words of the policy. */
  readonly failed: readonly string[]
  /** What cannot be told. */
  readonly unknown: readonly string[]
}

/** How one egress entry stands to the destinations of a request. */
export interface EgressStanding {
  readonly id: string
  /** Whether it is about the node. */
  readonly isAbout: boolean
  /** Destinations it lists. */
  readonly resources: readonly string[]
}

export interface Explanation {
  readonly verdict: PolicyVerdict
  /** Every statement of the set: those that apply first, then what cannot be told, then the nearest misses. */
  readonly statements: readonly StatementStanding[]
  /** Every egress entry, by id; absent when the set has none or the call names no destination. */
  readonly egress?: readonly EgressStanding[]
  /** The smallest statement that would have allowed it, as in the denial. */
  readonly missing?: string
  /** The same as statements that can be added to a policy; absent where adding something does not help. */
  readonly permission?: MissingPermission
}

const ORDER = { applies: 0, cannot_be_told: 1, misses: 2 } as const

/** `question` is undefined where there is no reading, or none that statements were asked about. */
export function explainQuestion(verdict: PolicyVerdict, question: Question | undefined, set: PolicySet): Explanation {
  const missing = verdict.decision === 'deny' ? verdict.denial.missing : undefined
  const base = { verdict, ...(missing === undefined ? {} : { missing }) }
  if (question === undefined) return { ...base, statements: [] }
  const { node, labels } = question
  const roles = new Set([...question.roles, ...rolesOfNode(set.roles, node), ...rolesOfLabels(set.labelRoles, labels)])
  const judged = [...set.rules, ...set.constraints]
    .sort(byId)
    .map((rule) => ({ rule, standing: standingOf(rule, question, roles) }))
  const statements = judged.map(({ standing }) => standing)
  statements.sort(
    (a, b) =>
      ORDER[a.standing] - ORDER[b.standing] || a.failed.length - b.failed.length || a.unknown.length - b.unknown.length,
  )
  const networks = question.resources.filter((resource) => resource.kind === 'network')
  const egress = set.egress.map((table) => egressStanding(table, node, roles, networks))
  const applying = judged.flatMap(({ rule, standing }) => (standing.standing === 'applies' ? [rule] : []))
  const permission = permissionFor(verdict, question, applying, set, roles)
  return {
    ...base,
    statements,
    ...(egress.length === 0 || networks.length === 0 ? {} : { egress: egress.sort((a, b) => (a.id < b.id ? -1 : 1)) }),
    ...(permission === undefined ? {} : { permission }),
  }
}

function egressStanding(
  table: EgressTable,
  node: string,
  roles: ReadonlySet<string>,
  networks: readonly NetworkResource[],
): EgressStanding {
  return {
    id: table.id,
    isAbout: isTableOf(table, node, roles),
    resources: networks.filter((network) => tableCovers(table, network)).map(describeResource),
  }
}

function permissionFor(
  verdict: PolicyVerdict,
  question: Question,
  applying: readonly Rule[],
  set: PolicySet,
  roles: ReadonlySet<string>,
): MissingPermission | undefined {
  if (verdict.decision !== 'deny') return undefined
  const taken = new Set(
    [...set.rules, ...set.constraints].map(({ ref }) => ref.id).concat(set.egress.map(({ id }) => id)),
  )
  if (verdict.code === 'no_matching_permit') {
    const uncovered = question.resources.filter((resource) => !applying.some((rule) => grants(rule, resource)))
    return missingPermission(question, { rules: uncovered }, taken)
  }
  if (verdict.code !== 'egress_not_granted') return undefined
  const tables = set.egress.filter((table) => isTableOf(table, question.node, roles))
  const outside = question.resources.filter(
    (resource) => resource.kind === 'network' && !tables.some((table) => tableCovers(table, resource)),
  )
  return missingPermission(question, { egress: outside }, taken)
}

/** Whether the rule, which applies, covers the resource: an approval grants what it covers, not what it touches. */
function grants(rule: Rule, resource: Resource): boolean {
  return (rule.effect === 'permit' || rule.effect === 'require_approval') && names(rule, resource, true)
}

function standingOf(rule: Rule, question: Question, roles: ReadonlySet<string>): StatementStanding {
  const { node, tool, resources } = question
  const isPermit = rule.effect === 'permit'
  const failed: string[] = []
  const unknown: string[] = []
  if (rule.roles !== undefined && !rule.everyone && !rule.roles.some((role) => roles.has(role))) {
    failed.push(`roles ${rule.roles.join(', ')}`)
  }
  // Beside roles the nodes are a guard.
  if (rule.roles === undefined && rule.nodes?.some((glob) => glob.matches(node)) === false) {
    failed.push(`nodes ${rule.nodes.map(({ text }) => text).join(', ')}`)
  }
  if (!rule.tools.some((glob) => glob.matches(tool))) {
    failed.push(`tools ${rule.tools.map(({ text }) => text).join(', ')}`)
  }
  for (const guard of rule.guards) {
    const truth = guard.test(question)
    if (truth === false) failed.push(guard.text)
    else if (truth === undefined) unknown.push(guard.text)
  }
  const named = rule.processOnly ? [] : resources.filter((resource) => names(rule, resource, isPermit))
  if (rule.processOnly) failed.push('it is about processes alone')
  else if (rule.namesResources && resources.length > 0 && named.length === 0) failed.push(shortfall(rule, resources))
  else if (rule.namesResources && resources.length === 0 && !isPermit) failed.push('the call names no resource')
  else if (!rule.namesResources && resources.length > 0 && isPermit) {
    failed.push('it names no resources, and the call does')
  }
  return {
    rule: rule.ref,
    standing: failed.length > 0 ? 'misses' : unknown.length > 0 ? 'cannot_be_told' : 'applies',
    resources: named.map(describeResource),
    failed,
    unknown,
  }
}

/** Whether the statement covers the resource, or else touches it. */
export function names(rule: Rule, resource: Resource, covering: boolean): boolean {
  const { resources, reach } = rule
  switch (resource.kind) {
    case 'network': {
      if (reach !== undefined && !(covering ? reachCovers : reachTouches)(reach, resource)) return false
      return resources.hosts.some((pattern) => (covering ? hostCovers : hostTouches)(pattern, resource))
    }
    case 'path':
      return listOf(rule, resource.access).some((pattern) => pathMatches(pattern, resource.path))
    case 'binary':
      return resources.binaries.some((pattern) => pathMatches(pattern, resource.path))
    case 'env':
      return resources.env.includes(resource.name)
    case 'scope':
      return resources.scopes.includes(resource.name)
  }
}

function listOf({ resources }: Rule, access: 'read' | 'write'): Rule['resources']['reads'] {
  return access === 'read' ? resources.reads : resources.writes
}

/** Why the statement names none of the resources: what it lacks of the one it comes nearest to. */
function shortfall(rule: Rule, resources: readonly Resource[]): string {
  for (const resource of resources) {
    const lacks =
      resource.kind === 'network'
        ? networkShortfall(rule, resource)
        : resource.kind === 'path' && otherAccess(rule, resource)
    if (typeof lacks === 'string') return `${describeResource(resource)}: ${lacks}`
  }
  return 'it names none of the resources'
}

function otherAccess(rule: Rule, { access, path }: Extract<Resource, { kind: 'path' }>): string | false {
  const other = access === 'read' ? 'write' : 'read'
  return (
    listOf(rule, other).some((pattern) => pathMatches(pattern, path)) && `it lists the path for ${other}, not ${access}`
  )
}

function networkShortfall(rule: Rule, network: NetworkResource): string | undefined {
  const covering = rule.effect === 'permit'
  const meets = covering ? hostCovers : hostTouches
  const { host } = network
  const byHost = rule.resources.hosts.filter((pattern) => meets(anyPort(pattern), { host }))
  const [first] = byHost
  if (first === undefined) return undefined
  if (!byHost.some((pattern) => meets(pattern, network))) return `the host fits ${first.text}, scheme or port does not`
  return rule.reach === undefined ? undefined : reachShortfall(rule.reach, network, covering)
}

function anyPort({ scheme: _, ...pattern }: HostPattern): HostPattern {
  return { ...pattern, port: 'any' }
}

function reachShortfall(reach: Reach, { method, host }: NetworkResource, covering: boolean): string {
  const { methods, inside, outside } = reach
  if (methods !== undefined && (method === undefined ? covering : !methods.has(method))) {
    const listed = [...methods].join(', ')
    return method === undefined
      ? `the host fits, the method is not known (it lists ${listed})`
      : `the host fits, the method ${method} does not (it lists ${listed})`
  }
  const regions = [...reach.regions.of(host)]
  const wanted = [
    ...(inside === undefined ? [] : [`in ${[...inside].join(', ')}`]),
    ...(outside === undefined ? [] : [`outside ${[...outside].join(', ')}`]),
  ].join(' and ')
  const found = regions.length === 0 ? 'in no known region' : `in ${regions.join(', ')}`
  return `the host fits, it is ${found} and has to be ${wanted}`
}
