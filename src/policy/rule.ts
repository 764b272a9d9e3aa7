// One compiled statement of a policy. Immutable; the indexes point at it.

import type { RuleRef } from '../core/denial.ts'
import type { Glob } from '../core/glob.ts'
import type { HostPattern } from '../core/host-pattern.ts'
import type { PathPattern } from '../core/path-pattern.ts'
import type { ProcessLimits } from '../core/process-limits.ts'
import type { ProcessRight } from '../core/process-right.ts'
import type { Condition } from './condition.ts'

export type Effect = RuleRef['effect']

/** What a rule may name. An absent list names nothing. The first five a call can touch, the rest only a process. */
export interface RuleResources {
  readonly hosts: readonly HostPattern[]
  readonly reads: readonly PathPattern[]
  readonly writes: readonly PathPattern[]
  readonly binaries: readonly PathPattern[]
  readonly env: readonly string[]
  readonly executes: readonly PathPattern[]
  readonly libraries: readonly PathPattern[]
  readonly rights: readonly ProcessRight[]
}

/** How a permit narrows what is started under it. */
export interface Restraint {
  readonly limits: ProcessLimits
  readonly forbiddenSyscalls: readonly string[]
  readonly ephemeral: boolean
}

export interface Rule {
  /** What verdicts carry; also holds id and effect. */
  readonly ref: RuleRef
  /** `[ref]`, made once, so that the common verdict allocates nothing. */
  readonly refs: readonly RuleRef[]
  /** `undefined` is every node. */
  readonly roles: readonly string[] | undefined
  readonly nodes: readonly Glob[] | undefined
  readonly everyone: boolean
  readonly tools: readonly Glob[]
  readonly skills: readonly Glob[] | undefined
  readonly resources: RuleResources
  /** Whether any resource list was written. */
  readonly namesResources: boolean
  /**
   * Whether only lists were written that no call can touch. Such a rule is about processes: in the decision on a call it
   * is not there. Otherwise a forbid of one right would forbid every call, and a grant of one would permit every call that
   * names no resource.
   */
  readonly processOnly: boolean
  readonly restraint: Restraint
  readonly conditions: readonly Condition[]
}

/** Rules in the one order that does not depend on files or lines. */
export function byId(a: Rule, b: Rule): number {
  return a.ref.id < b.ref.id ? -1 : a.ref.id > b.ref.id ? 1 : 0
}

/** The facets the index does not decide: the node where roles did, and the skill. */
export function concerns(rule: Rule, node: string, skill: string | undefined): boolean {
  if (rule.nodes !== undefined && rule.roles !== undefined && !rule.nodes.some((glob) => glob.matches(node)))
    return false
  return appliesToSkill(rule, skill)
}

export function appliesToSkill(rule: Rule, skill: string | undefined): boolean {
  if (rule.skills === undefined) return true
  // A rule for named skills and a call of no known skill: a grant must not apply, and a forbid must not be dodged. The
  // facade always knows the skill; an engine used alone that leaves it out gets the careful answer for each effect.
  if (skill === undefined) return rule.ref.effect !== 'permit'
  return rule.skills.some((glob) => glob.matches(skill))
}
