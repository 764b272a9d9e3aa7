// What a process may touch, as lists of resources. A profile is fixed before any arguments are known, so it is careful with
// whatever depends on them: a permit with conditions grants nothing, a forbid counts whatever its conditions, and what
// needs an approval is held back like what is forbidden.

import { formatRule } from '../core/render.ts'
import type { PolicySet } from './load.ts'
import type { PolicyRequest } from './request.ts'
import { rolesOfNode } from './roles.ts'
import { concerns, type Rule, type RuleResources } from './rule.ts'

/** On whose behalf the process is started. */
export type ProcessOwner = Pick<PolicyRequest, 'node' | 'roles' | 'skill' | 'tool'>

/** The resources one rule names, and how the rule is found again. */
export interface ResourceGrant extends RuleResources {
  readonly rule: string
}

export interface ResourceGrants {
  readonly permits: readonly ResourceGrant[]
  readonly forbids: readonly ResourceGrant[]
}

const NOTHING: ResourceGrants = { permits: [], forbids: [] }

export function grantsFor(set: PolicySet, owner: ProcessOwner): ResourceGrants {
  const permits: ResourceGrant[] = []
  const forbids: ResourceGrant[] = []
  const asserted = owner.roles ?? []
  // A role the graph may not assert takes everything, as it does in a decision.
  if (asserted.some((role) => set.roles.get(role)?.asserted !== true)) return NOTHING
  const roles = new Set([...rolesOfNode(set.roles, owner.node), ...asserted])
  for (const rule of set.rules) {
    if (!isAbout(rule, owner, roles)) continue
    // A forbid of the call as such: there is no call for which the process could be started.
    if (rule.ref.effect === 'forbid' && !rule.namesResources && rule.conditions.length === 0) return NOTHING
    if (rule.ref.effect !== 'permit') forbids.push({ rule: formatRule(rule.ref), ...rule.resources })
    else if (rule.conditions.length === 0) permits.push({ rule: formatRule(rule.ref), ...rule.resources })
  }
  return { permits, forbids }
}

function isAbout(rule: Rule, owner: ProcessOwner, roles: ReadonlySet<string>): boolean {
  const byRole = rule.roles === undefined || rule.everyone || rule.roles.some((role) => roles.has(role))
  const byNode = rule.nodes === undefined || rule.nodes.some((glob) => glob.matches(owner.node))
  return (
    byRole && byNode && rule.tools.some((glob) => glob.matches(owner.tool)) && concerns(rule, owner.node, owner.skill)
  )
}
