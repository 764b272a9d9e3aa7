// What a process may touch, as lists of resources. A profile is fixed before any arguments are known, so it is careful with
// whatever depends on them: a permit with conditions grants nothing, a forbid counts whatever its conditions, and what
// needs an approval is held back like what is forbidden. What narrows a permit counts whatever its conditions, too.

import { lowerLimits, NO_LIMITS, type ProcessLimits } from '../core/process-limits.ts'
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
  /** Of all permits about the process; each once, with one rule that says so. */
  readonly forbiddenSyscalls: readonly { readonly value: string; readonly rule: string }[]
  /** `ephemeral` when one permit says so; `shared` decides nothing. */
  readonly executionMode: 'shared' | 'ephemeral'
  /** Of each kind the lowest of all permits about the process. */
  readonly limits: ProcessLimits
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
  const roles = new Set([...rolesOfNode(set.roles, owner.node), ...asserted])
  for (const rule of set.rules) {
    if (!isAbout(rule, owner, roles)) continue
    const { ref, resources, restraint } = rule
    const named = formatRule(ref)
    if (ref.effect !== 'permit') {
      // The call as such is held back: there is no call for which the process could be started.
      if (!rule.namesResources && rule.conditions.length === 0) return NOTHING
      forbids.push({ rule: named, ...resources })
      continue
    }
    isCallable ||= !rule.processOnly
    if (rule.conditions.length === 0) permits.push({ rule: named, ...resources })
    for (const name of restraint.forbiddenSyscalls) if (!syscalls.has(name)) syscalls.set(name, named)
    if (restraint.ephemeral) executionMode = 'ephemeral'
    limits = lowerLimits(limits, restraint.limits)
  }
  // Again no call: rules about processes alone say what a process may have, not that there is one.
  if (!isCallable) return NOTHING
  const forbiddenSyscalls = [...syscalls].map(([value, rule]) => ({ value, rule }))
  return { permits, forbids, forbiddenSyscalls, executionMode, limits }
}

function isAbout(rule: Rule, owner: ProcessOwner, roles: ReadonlySet<string>): boolean {
  const byRole = rule.roles === undefined || rule.everyone || rule.roles.some((role) => roles.has(role))
  const byNode = rule.nodes === undefined || rule.nodes.some((glob) => glob.matches(owner.node))
  return (
    byRole && byNode && rule.tools.some((glob) => glob.matches(owner.tool)) && concerns(rule, owner.node, owner.skill)
  )
}
