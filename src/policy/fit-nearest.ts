// What a policy does grant that comes nearest to something it does not: for the person who has to decide whether the policy
// says too little or the manifest too much. Decides nothing.

import type { RuleRef } from '../core/denial.ts'
import { type HostPattern, hostPatternContains } from '../core/host-pattern.ts'
import { closestName } from '../core/nearest.ts'
import { pathPatternContains } from '../core/path-pattern.ts'
import { formatRule } from '../core/render.ts'
import { defaultPort } from '../core/url.ts'
import {
  type Granting,
  grantingRules,
  isOfProcesses,
  PATH_KINDS,
  type PathKind,
  pathsOf,
  ruleGrants,
  type Wish,
} from './fit-wish.ts'
import { appliesToSkill, type Rule } from './rule.ts'

/**
 * How a grant comes near what is asked for:
 *
 * | | |
 * |---|---|
 * | `unreachable` | it grants all of it, and no egress table lists it |
 * | `uncertain` | it grants all of it to calls; a process gets nothing from a rule with conditions or an approval |
 * | `part` | it grants a part of it |
 * | `otherwise` | it grants the same on other ports, by another scheme, or for another access |
 * | `other_skill` | it grants all of it to other skills |
 * | `similar` | it grants a name that this one may be a misspelling of |
 */
export type Nearness = (typeof NEARNESSES)[number]
const NEARNESSES = ['unreachable', 'uncertain', 'part', 'otherwise', 'other_skill', 'similar'] as const

export interface NearGrant {
  readonly how: Nearness
  /** What the rule grants, as it writes it. */
  readonly text: string
  readonly rule: RuleRef
}

const MOST = 3

/** At most three, the most telling first; of equal ones in the order of the ids of their rules. */
export function nearestGrants(wish: Wish, granting: Granting): readonly NearGrant[] {
  const found: NearGrant[] = []
  for (const rule of granting.all) {
    if (rule.ref.effect === 'forbid') continue
    for (const { how, text } of nearIn(rule, wish, granting)) found.push({ how, text, rule: rule.ref })
  }
  const similar = found.some(({ how }) => how !== 'similar') ? undefined : similarName(wish, granting)
  if (similar !== undefined) found.push(similar)
  return NEARNESSES.flatMap((how) => found.filter((one) => one.how === how)).slice(0, MOST)
}

type Near = Omit<NearGrant, 'rule'>

function nearIn(rule: Rule, wish: Wish, granting: Granting): readonly Near[] {
  if (!appliesToSkill(rule, granting.skill)) {
    return ruleGrants(rule, wish) ? [{ how: 'other_skill', text: wish.text }] : []
  }
  if (ruleGrants(rule, wish)) {
    // Here although it is granted: so something else keeps it out of reach.
    if (wish.kind === 'host') return [{ how: 'unreachable', text: wish.text }]
    return isOfProcesses(wish.kind) ? [{ how: 'uncertain', text: wish.text }] : []
  }
  if (wish.kind === 'host') return rule.resources.hosts.flatMap((host) => nearHost(host, wish.host))
  if ('path' in wish) return nearPaths(rule, wish)
  return []
}

function nearHost(granted: HostPattern, asked: HostPattern): readonly Near[] {
  const [outer, inner] = [everyPort(granted), everyPort(asked)]
  if (!hostPatternContains(outer, inner) && !hostPatternContains(inner, outer)) return []
  const how = schemesMeet(granted, asked) && portsMeet(granted, asked) ? 'part' : 'otherwise'
  return [{ how, text: granted.text }]
}

/** The same hosts on every port, by every scheme. */
function everyPort({ scheme: _, ...pattern }: HostPattern): HostPattern {
  return { ...pattern, port: 'any' }
}

function schemesMeet(a: HostPattern, b: HostPattern): boolean {
  return a.scheme === undefined || b.scheme === undefined || a.scheme === b.scheme
}

function portsMeet(a: HostPattern, b: HostPattern): boolean {
  if (a.port === b.port || a.port === 'any' || b.port === 'any') return true
  const scheme = a.scheme ?? b.scheme
  const number = typeof a.port === 'number' ? a.port : b.port
  if (a.port !== 'default' && b.port !== 'default') return false
  return scheme === undefined ? number === 80 || number === 443 : number === defaultPort(scheme)
}

function nearPaths(rule: Rule, wish: Extract<Wish, { readonly kind: PathKind }>): readonly Near[] {
  const { kind, path } = wish
  if (path === undefined) return []
  return PATH_KINDS.flatMap((list) =>
    pathsOf(rule.resources, list).flatMap((granted): readonly Near[] => {
      if (list === kind) return pathPatternContains(path, granted) ? [{ how: 'part', text: granted.text }] : []
      return pathPatternContains(granted, path) ? [{ how: 'otherwise', text: `${list} ${granted.text}` }] : []
    }),
  )
}

function similarName(wish: Wish, granting: Granting): NearGrant | undefined {
  const byName = new Map<string, RuleRef>()
  for (const rule of grantingRules(granting, wish.kind)) {
    for (const name of namesIn(rule, wish.kind)) if (!byName.has(name)) byName.set(name, rule.ref)
  }
  const text = closestName(wish.text, [...byName.keys()])
  const rule = text === undefined ? undefined : byName.get(text)
  return text === undefined || rule === undefined ? undefined : { how: 'similar', text, rule }
}

function namesIn({ tools, resources, processOnly }: Rule, kind: Wish['kind']): readonly string[] {
  switch (kind) {
    case 'tool':
      return processOnly ? [] : tools.flatMap(({ literal }) => (literal === undefined ? [] : [literal]))
    case 'host':
      return resources.hosts.flatMap(({ kind: form, text }) => (form === 'exact' ? [text] : []))
    case 'env':
      return resources.env
    case 'scope':
      return resources.scopes
    case 'right':
      return resources.rights
    default:
      // Two paths of the same length are soon alike, and mean nothing alike.
      return []
  }
}

const SAID: Readonly<Record<Nearness, (text: string) => string>> = {
  unreachable: () => 'no egress table lists it, though it is permitted',
  uncertain: () => 'granted to calls, but not to a process, since it depends on conditions or an approval',
  part: (text) => `partly granted: ${text}`,
  otherwise: (text) => `granted is ${text}`,
  other_skill: () => 'granted to other skills',
  similar: (text) => `granted is ${text}`,
}

/** One line: `partly granted: api.example.com, by web (permit) policy.yaml:5:3`. */
export function describeNearGrant({ how, text, rule }: NearGrant): string {
  return `${SAID[how](text)}, by ${formatRule(rule)}`
}
