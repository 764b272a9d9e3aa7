// The words of a denial: what was refused, which grant came nearest, what statement would have allowed it. Decides
// nothing. Its answers follow from rule ids alone, so they do not change with the order of files or rules.

import type { DenialOptions, DenialSubject } from '../core/denial.ts'
import { formatHost } from '../core/host.ts'
import { hostCovers } from '../core/host-pattern.ts'
import { describeResource, type NetworkResource, type Resource } from '../core/resource.ts'
import { printable } from '../core/text.ts'
import { defaultPort } from '../core/url.ts'
import type { Bucket } from './bucket.ts'
import type { EgressTable } from './egress.ts'
import type { Guard } from './guard.ts'
import type { Question } from './request.ts'
import { byId, type Rule } from './rule.ts'

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

/** Names what left the rules untold. */
export function explainUntold(rules: readonly Rule[], question: Question): string {
  const unknown = new Set<string>()
  for (const { guards } of rules) {
    for (const guard of guards) if (guard.test(question) === undefined) unknown.add(describeUnknown(guard))
  }
  return `${listIds(rules)} could not be evaluated: ${[...unknown].slice(0, LISTED).join(', ')}`
}

function describeUnknown(guard: Guard): string {
  const { about, text, condition } = guard
  switch (about) {
    case 'args':
      return `${condition?.pointer ?? ''} absent or of another type`
    case 'facts':
      return `fact ${condition?.pointer ?? ''} absent or of another type`
    case 'ask':
      return `no answer to ${text}`
    default:
      return `the request does not tell ${text}`
  }
}

/** Detail and options of an `egress_not_granted`. */
export function explainEgress(
  tables: readonly EgressTable[],
  network: NetworkResource,
  question: Question,
): { readonly detail: string; readonly options: DenialOptions } {
  const named = describeResource(network)
  const ids = tables.map(({ id }) => id).sort()
  const listed = ids.length === 0 ? 'no egress entry is about this node' : `not in ${ids.slice(0, LISTED).join(', ')}`
  const { host, method } = network
  const sent = method === undefined ? '' : ` and methods: [${method}]`
  return {
    detail: `${named} is outside of what the node may reach: ${listed}`,
    options: {
      subject: subjectOf(question, printable(network.from), named),
      missing: `hosts: ["${formatHost(host)}"]${sent} in an egress entry for node ${question.node}`,
    },
  }
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
    if (rule.effect !== 'permit' || !isFor(rule, question)) return false
    if (best === undefined || byId(rule, best) < 0) best = rule
    return true
  }
  if (uncovered !== undefined) {
    for (const bucket of buckets) for (const rule of naming(bucket, uncovered)) offer(rule)
    if (best !== undefined) return best
  }
  // Each list is sorted by id, so the first of it that is for the question is its smallest.
  for (const { permits } of buckets) permits.some(offer)
  return best
}

/** Statements of which a pattern covers the resource, whatever else they ask. */
export function naming(bucket: Bucket, resource: Resource): readonly Rule[] {
  if (resource.kind !== 'network') return bucket.find(resource)
  return bucket.findHosts(resource).flatMap(({ pattern, value }) => (hostCovers(pattern, resource) ? [value] : []))
}

/** Whether the rule is for this node and skill. */
function isFor({ guards }: Rule, question: Question): boolean {
  return guards.every((guard) => (guard.about !== 'node' && guard.about !== 'skill') || guard.test(question) === true)
}

function describeNear(rule: Rule, question: Question): string {
  const { id, file, line } = rule.ref
  const failed = rule.guards.find((guard) => guard.test(question) !== true)
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
    case 'scope':
      return `oauth_scopes: [${JSON.stringify(resource.name)}] ${permit}`
  }
}

/**
 * The path as a quoted pattern that matches it and nothing else. The path is the model's choice, and an operator may take
 * the line over as it stands: a file named `**` must not become a grant of everything.
 */
function patternOf(path: string): string {
  return JSON.stringify(path.replaceAll(/[^\p{L}\p{N}/._~ -]/gu, '\\$&'))
}
