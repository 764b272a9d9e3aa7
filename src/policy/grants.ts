// What a process may touch, as lists of resources. A profile is fixed before any arguments are known, so it is careful with
// whatever depends on them: a permit with conditions grants nothing, a forbid counts whatever its conditions, and what
// needs an approval is held back like what is forbidden. What narrows a permit counts whatever its conditions, too.

import type { HostPattern } from '../core/host-pattern.ts'
import { lowerLimits, NO_LIMITS, type ProcessLimits } from '../core/process-limits.ts'
import { formatRule } from '../core/render.ts'
import { isTableOf } from './egress.ts'
import type { PolicySet } from './load.ts'
import type { PolicyRequest, Question } from './request.ts'
import { rolesOfLabels, rolesOfNode } from './roles.ts'
import type { Rule, RuleResources } from './rule.ts'

/** On whose behalf the process is started. */
export type ProcessOwner = Pick<
  PolicyRequest,
  'node' | 'roles' | 'labels' | 'skill' | 'tool' | 'upstream' | 'downstream'
>

/** The resources one rule names, and how the rule is found again. */
export interface ResourceGrant extends RuleResources {
  readonly rule: string
}

export interface ResourceGrants {
  readonly permits: readonly ResourceGrant[]
  readonly forbids: readonly ResourceGrant[]
  /** Of all permits about the process; each once, with one rule that says so. */
  readonly forbiddenSyscalls: readonly { readonly value: string; readonly rule: string }[]
  /** `ephemeral` when one permit says so; `shared` decides nothing. */
  readonly executionMode: 'shared' | 'ephemeral'
  /** Of each kind the lowest of all permits about the process. */
  readonly limits: ProcessLimits
  /** What egress tables let the node reach at most; absent when the set has none. */
  readonly egressCeiling?: readonly HostPattern[]
}

const NOTHING: ResourceGrants = {
  permits: [],
  forbids: [],
  forbiddenSyscalls: [],
  executionMode: 'shared',
  limits: NO_LIMITS,
}

export function grantsFor(set: PolicySet, owner: ProcessOwner): ResourceGrants {
  const permits: ResourceGrant[] = []
  const forbids: ResourceGrant[] = []
  const syscalls = new Map<string, string>()
  let executionMode: ResourceGrants['executionMode'] = 'shared'
  let limits = NO_LIMITS
  let isCallable = false
  const asserted = owner.roles ?? []
  // A role the graph may not assert takes everything, as it does in a decision.
  if (asserted.some((role) => set.roles.get(role)?.asserted !== true)) return NOTHING
  if (set.labelRoles.length > 0 && owner.labels === undefined) return NOTHING
  const roles = new Set([
    ...rolesOfNode(set.roles, owner.node),
    ...rolesOfLabels(set.labelRoles, owner.labels),
    ...asserted,
  ])
  for (const rule of set.rules) {
    if (!isAbout(rule, owner, roles)) continue
    const { ref, resources, restraint } = rule
    const named = formatRule(ref)
    if (ref.effect !== 'permit') {
      // The call as such is held back: there is no call for which the process could be started.
      if (!rule.namesResources && rule.certain) return NOTHING
      forbids.push({ rule: named, ...resources })
      continue
    }
    isCallable ||= !rule.processOnly
    if (rule.certain) permits.push({ rule: named, ...resources })
    for (const name of restraint.forbiddenSyscalls) if (!syscalls.has(name)) syscalls.set(name, named)
    if (restraint.ephemeral) executionMode = 'ephemeral'
    limits = lowerLimits(limits, restraint.limits)
  }
  // Again no call: rules about processes alone say what a process may have, not that there is one.
  if (!isCallable) return NOTHING
  const forbiddenSyscalls = [...syscalls].map(([value, rule]) => ({ value, rule }))
  const grants = { permits, forbids, forbiddenSyscalls, executionMode, limits }
  if (set.egress.length === 0) return grants
  // A table for some methods alone cannot be kept by who sees addresses: it lets a process reach nothing.
  const tables = set.egress.filter((table) => table.methods === undefined && isTableOf(table, owner.node, roles))
  return { ...grants, egressCeiling: tables.flatMap(({ hosts }) => hosts) }
}

/**
 * Whether the rule is about the process, as far as that is known before there is a call. A permit has to be; anything else
 * counts unless it is known not to be.
 */
function isAbout(rule: Rule, owner: ProcessOwner, roles: ReadonlySet<string>): boolean {
  const byRole = rule.roles === undefined || rule.everyone || rule.roles.some((role) => roles.has(role))
  const byNode = rule.nodes === undefined || rule.nodes.some((glob) => glob.matches(owner.node))
  if (!byRole || !byNode || !rule.tools.some((glob) => glob.matches(owner.tool))) return false
  const question = asQuestion(owner)
  return rule.guards.every((guard) => {
    const { about } = guard
    if (about !== 'node' && about !== 'skill' && about !== 'labels' && about !== 'position') return true
    const truth = guard.test(question)
    return rule.effect === 'permit' ? truth === true : truth !== false
  })
}

function asQuestion({ node, roles, labels, skill, tool, upstream, downstream }: ProcessOwner): Question {
  return {
    node,
    roles: roles ?? [],
    labels,
    skill,
    tool,
    args: {},
    resources: [],
    upstream,
    downstream,
    facts: undefined,
    dataRegions: undefined,
    now: undefined,
    run: undefined,
    principal: undefined,
    answers: undefined,
    unanswered: undefined,
  }
}
