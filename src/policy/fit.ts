// Whether what a manifest asks for is inside what some rule permits. Conservative: what cannot be shown to be inside is
// reported. A rule counts whatever its role or node, because the manifest says nothing about graph positions; the
// decision at run time does. One rule has to hold a whole name or path pattern; blocks of addresses may add up.

import type { HostPattern } from '../core/host-pattern.ts'
import { hostPatternsContain } from '../core/host-union.ts'
import type { EgressTable } from './egress.ts'
import { grantingStatements } from './fit-missing.ts'
import { type NearGrant, nearestGrants } from './fit-nearest.ts'
import {
  type Asked,
  type Capabilities,
  type Granting,
  grantingRules,
  ruleGrants,
  type Wish,
  type WishKind,
  wishesOf,
} from './fit-wish.ts'
import { appliesToSkill, byId, type Rule } from './rule.ts'

/** One thing a manifest asks for and no rule grants. */
export interface Excess {
  readonly kind: WishKind
  readonly text: string
  readonly pointer: string
  /** What is granted and comes nearest to it, the most telling first; at most three. */
  readonly nearest: readonly NearGrant[]
  /** The least that a policy document has to say besides, as one line of YAML with its own keys. */
  readonly missing: string
}

export function findExcess(
  rules: readonly Rule[],
  egress: readonly EgressTable[],
  asked: Capabilities,
): readonly Excess[] {
  const grants = rules.filter((rule) => rule.ref.effect !== 'forbid' && appliesToSkill(rule, asked.skill))
  // Of what only a process can use. A profile is fixed before there are arguments or approvals, so that a grant that
  // depends on them is none.
  const processGrants = grants.filter(({ effect, certain }) => effect === 'permit' && certain)
  const tools = asked.tools.map(({ value }) => value).filter((tool) => grantsTool(grants, tool))
  const granting: Granting = { skill: asked.skill, tools, egress, all: [...rules].sort(byId), grants, processGrants }
  const hosts = grants.flatMap(({ resources }) => resources.hosts)
  const reachable = egress.flatMap((table) => table.hosts)
  const excess: Excess[] = []
  for (const { wish, pointer } of wishesOf(asked)) {
    const granted =
      wish.kind === 'host'
        ? hostPatternsContain(hosts, wish.host) && isReachable(granting, reachable, wish.host)
        : grantingRules(granting, wish.kind).some((rule) => ruleGrants(rule, wish))
    if (!granted) excess.push(new Finding(wish, pointer, granting))
  }
  return excess
}

/** Whatever a permit says: what no egress table lists is out of everybody's reach. */
function isReachable({ egress }: Granting, reachable: readonly HostPattern[], host: HostPattern): boolean {
  return egress.length === 0 || hostPatternsContain(reachable, host)
}

function grantsTool(rules: readonly Rule[], tool: string): boolean {
  return rules.some((rule) => ruleGrants(rule, { kind: 'tool', text: tool }))
}

/**
 * `nearest` and `missing` are found out when they are asked for: a set has thousands of rules to search again. They are
 * getters, so a copy by spreading does not have them.
 */
class Finding implements Excess {
  readonly kind: WishKind
  readonly text: string
  readonly pointer: string
  readonly #wish: Wish
  readonly #granting: Granting

  constructor(wish: Wish, pointer: string, granting: Granting) {
    this.kind = wish.kind
    this.text = wish.text
    this.pointer = pointer
    this.#wish = wish
    this.#granting = granting
  }

  get nearest(): readonly NearGrant[] {
    return nearestGrants(this.#wish, this.#granting)
  }

  get missing(): string {
    return grantingStatements(this.#wish, this.#granting)
  }
}

export type { Asked, Capabilities }
