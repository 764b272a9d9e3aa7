// One compiled statement of a policy: a rule, a limit or an obligation. Immutable; the indexes point at it.

import type { ApprovalDemand } from '../core/approval.ts'
import type { RuleRef } from '../core/denial.ts'
import type { Glob } from '../core/glob.ts'
import type { HostPattern } from '../core/host-pattern.ts'
import type { Obligation } from '../core/obligation.ts'
import type { PathPattern } from '../core/path-pattern.ts'
import type { ProcessLimits } from '../core/process-limits.ts'
import type { ProcessRight } from '../core/process-right.ts'
import type { Guard } from './guard.ts'
import type { LimitSpec } from './limit.ts'
import type { Reach } from './reach.ts'

export type Effect = RuleRef['effect']

/** What a rule may name. An absent list names nothing. The first six a call can touch, the rest only a process. */
export interface RuleResources {
  readonly hosts: readonly HostPattern[]
  readonly reads: readonly PathPattern[]
  readonly writes: readonly PathPattern[]
  readonly binaries: readonly PathPattern[]
  readonly env: readonly string[]
  readonly scopes: readonly string[]
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
  readonly effect: Effect
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
  /** What `hosts` is narrowed by; `undefined` is by nothing. */
  readonly reach: Reach | undefined
  /** Besides roles, tools and resources; what asks another engine comes last. */
  readonly guards: readonly Guard[]
  /** The first two of {@link guards}, and whether there are more: most rules have no more, and need not fetch the list. */
  readonly first: Guard | undefined
  readonly second: Guard | undefined
  readonly third: boolean
  /** Whether everything it depends on is known before there is a call. Only such a permit gives a process anything. */
  readonly certain: boolean
  readonly approval: ApprovalDemand | undefined
  readonly limit: LimitSpec | undefined
  readonly obligation: Obligation | undefined
}

/**
 * The rule, as one literal. Joined by spreading, every rule would have a hidden class of its own, and each look at one
 * would cost what a look-up by name costs: with thousands of rules most of the time of a decision.
 */
export function makeRule(part: Omit<Rule, 'refs' | 'effect' | 'first' | 'second' | 'third'>): Rule {
  return {
    first: part.guards[0],
    second: part.guards[1],
    third: part.guards.length > 2,
    guards: part.guards,
    reach: part.reach,
    effect: part.ref.effect,
    refs: Object.freeze([part.ref]),
    ref: part.ref,
    namesResources: part.namesResources,
    processOnly: part.processOnly,
    certain: part.certain,
    everyone: part.everyone,
    roles: part.roles,
    nodes: part.nodes,
    tools: part.tools,
    skills: part.skills,
    resources: part.resources,
    restraint: part.restraint,
    approval: part.approval,
    limit: part.limit,
    obligation: part.obligation,
  }
}

/** Rules in the one order that does not depend on files or lines. */
export function byId(a: Rule, b: Rule): number {
  return a.ref.id < b.ref.id ? -1 : a.ref.id > b.ref.id ? 1 : 0
}

export function appliesToSkill(rule: Rule, skill: string): boolean {
  return rule.skills === undefined || rule.skills.some((glob) => glob.matches(skill))
}
