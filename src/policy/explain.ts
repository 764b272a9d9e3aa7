// The words of a denial: what was refused, which grant came nearest, what statement would have allowed it. Decides
// nothing. Its answers follow from rule ids alone, so they do not change with the order of files or rules.

import type { DenialOptions, DenialSubject } from '../core/denial.ts'
import { formatHost } from '../core/host.ts'
import { describeResource, type Resource } from '../core/resource.ts'
import { printable } from '../core/text.ts'
import { defaultPort } from '../core/url.ts'
import { holdsOne } from './condition.ts'
import type { Question } from './request.ts'
import { byId, concerns, type Rule } from './rule.ts'
import type { Bucket } from './rule-index.ts'

/** More ids than this are counted, not listed. */
const LISTED = 8

/** Detail and options of a `no_matching_permit`; `uncovered` is the resource no permit covers, if it is about one. */
export function explainNoPermit(
  buckets: readonly Bucket[],
  question: Question,
  uncovered: Resource | undefined,
): { readonly detail: string; readonly options: DenialOptions } {
  const near = nearestGrant(buckets, question, uncovered)
  const named = uncovered === undefined ? undefined : describeResource(uncovered)
  const what = `no permit covers ${named ?? 'this call'}`
  return {
    detail: near === undefined ? what : `${what}; nearest: ${describeNear(near, question)}`,
    options: {
      // A pointer can hold the names of an argument's own members, which are the model's choice.
      subject: subjectOf(question, uncovered === undefined ? undefined : printable(uncovered.from), named),
      missing: uncovered === undefined ? missingPermit(question) : missingGrant(uncovered, question),
    },
  }
}

export function explainForbidden(rules: readonly Rule[]): string {
  return `forbidden by ${listIds(rules)}`
}

export function explainApproval(rules: readonly Rule[]): string {
  return `approval is required by ${listIds(rules)}`
}

/** Names the arguments that left the rules untold. */
export function explainUntold(rules: readonly Rule[], question: Question): string {
  const pointers = new Set<string>()
  for (const { conditions } of rules) {
    for (const condition of conditions) {
      if (holdsOne(condition, question.args) === undefined) pointers.add(condition.pointer)
    }
  }
  return `${listIds(rules)} could not be evaluated: ${[...pointers].slice(0, LISTED).join(', ')} absent or of another type`
}

export function subjectOf(question: Question, argument?: string, resource?: string): DenialSubject {
  const { node, tool, skill } = question
  if (resource === undefined || argument === undefined)
    return skill === undefined ? { node, tool } : { node, tool, skill }
  return skill === undefined ? { node, tool, argument, resource } : { node, tool, skill, argument, resource }
}

function listIds(rules: readonly Rule[]): string {
  const shown = rules.slice(0, LISTED).map((rule) => rule.ref.id)
  const rest = rules.length - shown.length
  return rest > 0 ? `${shown.join(', ')} and ${rest} more` : shown.join(', ')
}

/** A permit for the resource itself that its conditions keep from applying, else any for this node and tool. */
function nearestGrant(
  buckets: readonly Bucket[],
  question: Question,
  uncovered: Resource | undefined,
): Rule | undefined {
  let best: Rule | undefined
  const offer = (rule: Rule): boolean => {
    if (!concerns(rule, question.node, question.skill)) return false
    if (best === undefined || byId(rule, best) < 0) best = rule
    return true
  }
  if (uncovered !== undefined) {
    const covering: Rule[] = []
    for (const { permit } of buckets) permit?.findCovering(uncovered, covering)
    for (const rule of covering) offer(rule)
    if (best !== undefined) return best
  }
  // Each list is sorted by id, so the first of it that concerns the question is its smallest.
  for (const { permit } of buckets) permit?.all.some(offer)
  return best
}

function describeNear(rule: Rule, question: Question): string {
  const { id, file, line } = rule.ref
  const failed = rule.conditions.find((condition) => holdsOne(condition, question.args) !== true)
  return `${id} (${file}:${line})${failed === undefined ? '' : ` but ${failed.text} does not hold`}`
}

function missingPermit({ node, tool }: Question): string {
  return `a permit with tools: [${tool}] for node ${node}`
}

function missingGrant(resource: Resource, { tool }: Question): string {
  const permit = `in a permit with tools: [${tool}]`
  switch (resource.kind) {
    case 'network': {
      const { host, scheme, port } = resource
      const isImplied =
        port === undefined || (scheme === undefined ? port === 80 || port === 443 : port === defaultPort(scheme))
      return `hosts: ["${formatHost(host)}${isImplied ? '' : `:${port}`}"] ${permit}`
    }
    case 'path':
      return `paths: { ${resource.access}: [${patternOf(resource.path)}] } ${permit}`
    case 'binary':
      return `binaries: [${patternOf(resource.path)}] ${permit}`
    case 'env':
      return `env: [${resource.name}] ${permit}`
  }
}

/**
 * The path as a quoted pattern that matches it and nothing else. The path is the model's choice, and an operator may take
 * the line over as it stands: a file named `**` must not become a grant of everything.
 */
function patternOf(path: string): string {
  return JSON.stringify(path.replaceAll(/[^\p{L}\p{N}/._~ -]/gu, '\\$&'))
}
