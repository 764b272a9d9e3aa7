// How every statement about a request stands to it, for people who ask "why" and "why not". Reads what the decision read and
// decides nothing.

import type { RuleRef } from '../core/denial.ts'
import { hostCovers, hostTouches } from '../core/host-pattern.ts'
import { pathMatches } from '../core/path-pattern.ts'
import { describeResource, type Resource } from '../core/resource.ts'
import type { Bucket } from './bucket.ts'
import type { PolicyVerdict } from './decide.ts'
import { reachCovers, reachTouches } from './reach.ts'
import type { Question } from './request.ts'
import { byId, type Rule } from './rule.ts'

/** How one statement stands to a request. */
export interface StatementStanding {
  readonly rule: RuleRef
  /**
   * `applies`: it is about the call and everything it asks for holds. `cannot_be_told`: something it asks for is absent or of
   * another type. `misses`: a condition does not hold, or it names none of the resources.
   */
  readonly standing: 'applies' | 'cannot_be_told' | 'misses'
  /** Resources of the call that it covers (a permit) or touches (anything else). */
  readonly resources: readonly string[]
  /** What does not hold, in the words of the policy. */
  readonly failed: readonly string[]
  /** What cannot be told. */
  readonly unknown: readonly string[]
}

export interface Explanation {
  readonly verdict: PolicyVerdict
  /** Every statement about node, role and tool, by id: those that apply first, then the nearest misses. */
  readonly statements: readonly StatementStanding[]
  /** The smallest statement that would have allowed it, as in the denial. */
  readonly missing?: string
}

const ORDER = { applies: 0, cannot_be_told: 1, misses: 2 } as const

export function explainQuestion(
  verdict: PolicyVerdict,
  question: Question | undefined,
  buckets: readonly Bucket[],
): Explanation {
  const rules = new Set(buckets.flatMap((bucket) => bucket.rules))
  const standings = question === undefined ? [] : [...rules].sort(byId).map((rule) => standingOf(rule, question))
  standings.sort((a, b) => ORDER[a.standing] - ORDER[b.standing] || a.failed.length - b.failed.length)
  const missing = verdict.decision === 'deny' ? verdict.denial.missing : undefined
  return { verdict, statements: standings, ...(missing === undefined ? {} : { missing }) }
}

function standingOf(rule: Rule, question: Question): StatementStanding {
  const failed: string[] = []
  const unknown: string[] = []
  for (const guard of rule.guards) {
    const truth = guard.test(question)
    if (truth === false) failed.push(guard.text)
    else if (truth === undefined) unknown.push(guard.text)
  }
  const named = question.resources.filter((resource) => names(rule, resource))
  if (rule.namesResources && question.resources.length > 0 && named.length === 0) {
    failed.push('it names none of the resources')
  } else if (rule.namesResources && question.resources.length === 0 && rule.effect !== 'permit') {
    failed.push('the call names no resource')
  } else if (!rule.namesResources && question.resources.length > 0 && rule.effect === 'permit') {
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

function names(rule: Rule, resource: Resource): boolean {
  const { resources, reach } = rule
  switch (resource.kind) {
    case 'network': {
      const isPermit = rule.effect === 'permit'
      const meets = isPermit ? hostCovers : hostTouches
      const reaches = isPermit ? reachCovers : reachTouches
      if (reach !== undefined && !reaches(reach, resource)) return false
      return resources.hosts.some((pattern) => meets(pattern, resource))
    }
    case 'path':
      return (resource.access === 'read' ? resources.reads : resources.writes).some((pattern) =>
        pathMatches(pattern, resource.path),
      )
    case 'binary':
      return resources.binaries.some((pattern) => pathMatches(pattern, resource.path))
    case 'env':
      return resources.env.includes(resource.name)
    case 'scope':
      return resources.scopes.includes(resource.name)
  }
}
