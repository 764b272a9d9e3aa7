// A policy set as the comparison sees it: each statement compiled, to be asked, beside its source, to take its constants
// from; and which statements the other set does not have in the same words.

import { canonicalJson } from '../../core/canonical.ts'
import { documentFromValue, parseDocument } from '../../core/document.ts'
import { parseGlob } from '../../core/glob.ts'
import type { JsonObject, JsonValue } from '../../core/json.ts'
import type { Problem } from '../../core/problem.ts'
import { NO_LIMITS } from '../../core/process-limits.ts'
import { substituteVariables } from '../../core/variables.ts'
import type { EgressTable } from '../egress.ts'
import { PolicyEngine } from '../engine.ts'
import { nodeGuard } from '../guard.ts'
import { loadPolicySet, type PolicySet, type PolicySource } from '../load.ts'
import { Regions } from '../regions.ts'
import { makeRule, type Rule } from '../rule.ts'
import { checkPolicyShape, type RawAbout, type RawPolicy } from '../schema.ts'

export type Side = 'old' | 'new'

/** What a statement is about, in its own words; an egress entry is about hosts alone. */
export type RawStatement = Partial<RawAbout> & { readonly id: string; readonly amount?: string | undefined }

export interface Statement {
  readonly side: Side
  readonly rule: Rule
  readonly raw: RawStatement
  /** Its words without its id and its reason: the same text decides the same. */
  readonly words: string
  readonly isEgress: boolean
}

export interface LoadedSide {
  readonly engine: PolicyEngine
  readonly set: PolicySet
  readonly statements: readonly Statement[]
  readonly roles: NonNullable<RawPolicy['roles']>
  readonly regions: NonNullable<RawPolicy['regions']>
}

export type SideLoad =
  | { readonly ok: true; readonly side: LoadedSide }
  | { readonly ok: false; readonly problems: readonly Problem[] }

export function loadSide(
  side: Side,
  sources: readonly PolicySource[],
  variables: Readonly<Record<string, string>>,
): SideLoad {
  const loaded = PolicyEngine.load(sources, { variables })
  if (!loaded.ok) return loaded
  const compiled = loadPolicySet(sources, { variables, tools: undefined, unknownTools: 'warning', engines: undefined })
  if (!compiled.ok) return compiled
  const policies = sources.flatMap((source) => readPolicy(source, variables))
  const { set } = compiled
  const rules = new Map([...set.rules, ...set.constraints].map((rule) => [rule.ref.id, rule]))
  const statements: Statement[] = []
  for (const policy of policies) {
    for (const raw of [...policy.rules, ...(policy.limits ?? []), ...(policy.obligations ?? [])]) {
      const rule = rules.get(raw.id)
      if (rule !== undefined) statements.push({ side, rule, raw, words: wordsOf(raw), isEgress: false })
    }
    for (const raw of policy.egress ?? []) {
      const table = set.egress.find(({ id }) => id === raw.id)
      if (table !== undefined) statements.push({ side, rule: asRule(table), raw, words: wordsOf(raw), isEgress: true })
    }
  }
  const roles = Object.assign({}, ...policies.map(({ roles }) => roles ?? {})) as NonNullable<RawPolicy['roles']>
  const regions = Object.assign({}, ...policies.map((policy) => policy.regions ?? {})) as NonNullable<
    RawPolicy['regions']
  >
  return {
    ok: true,
    side: { engine: loaded.engine, set, statements, roles, regions },
  }
}

function readPolicy(source: PolicySource, variables: Readonly<Record<string, string>>): readonly RawPolicy[] {
  const parsed = 'text' in source ? parseDocument(source) : documentFromValue(source.value, source.name)
  const substituted = parsed.ok ? substituteVariables(parsed.document, variables) : parsed
  const shape = substituted.ok ? checkPolicyShape(substituted.document.value) : undefined
  return shape?.success === true ? [shape.data] : []
}

/** Keys whose lists are sets: order and repetition decide nothing. */
const SETS: ReadonlySet<string> = new Set([
  'roles',
  'nodes',
  'tools',
  'skills',
  'hosts',
  'methods',
  'read',
  'write',
  'execute',
  'binaries',
  'env',
  'oauth_scopes',
  'libraries',
  'process_rights',
  'after',
  'before',
  'forbidden_syscalls',
])

function wordsOf({
  id: _1,
  reason: _2,
  ...words
}: {
  readonly id: string
  readonly reason?: string | undefined
}): string {
  return canonicalJson(sorted(words as unknown as JsonObject))
}

function sorted(value: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => {
        if (SETS.has(key) && Array.isArray(member)) return [key, [...new Set(member as string[])].sort()]
        return [key, key === 'paths' ? sorted(member as JsonObject) : member]
      }),
  )
}

/** An egress entry as a statement that can be asked whether it is about a call. */
function asRule(table: EgressTable): Rule {
  const { id, roles, everyone, nodes, hosts, methods } = table
  const ref = { id, effect: 'permit', file: '', line: 0, column: 0 } as const
  const every = parseGlob('*', 'name')
  const none: readonly never[] = []
  return makeRule({
    ref,
    roles,
    nodes,
    everyone,
    tools: every.ok ? [every.glob] : none,
    skills: undefined,
    resources: {
      hosts,
      reads: none,
      writes: none,
      binaries: none,
      env: none,
      scopes: none,
      executes: none,
      libraries: none,
      rights: none,
    },
    namesResources: true,
    processOnly: false,
    restraint: { limits: NO_LIMITS, forbiddenSyscalls: none, ephemeral: false },
    reach:
      methods === undefined
        ? undefined
        : { methods, inside: undefined, outside: undefined, regions: new Regions(new Map()) },
    guards: nodes !== undefined && roles !== undefined ? [nodeGuard(nodes)] : none,
    certain: false,
    approval: undefined,
    limit: undefined,
    obligation: undefined,
  })
}

export interface Changed {
  /** Statements that have to be looked at: those of one set alone, and those whose names mean something else now. */
  readonly seeds: readonly Statement[]
  readonly roles: ReadonlySet<string>
}

export function changedStatements(before: LoadedSide, after: LoadedSide): Changed {
  const roles = differingKeys(before.roles, after.roles)
  const regions = differingKeys(before.regions, after.regions)
  const alone = [...notIn(before.statements, after.statements), ...notIn(after.statements, before.statements)]
  const all = [...before.statements, ...after.statements]
  const seeds = new Set(alone)
  for (const statement of all) {
    const { raw } = statement
    if (raw.roles?.some((role) => roles.has(role)) === true) seeds.add(statement)
    if (regions.size > 0 && raw.residency !== undefined) seeds.add(statement)
  }
  // Who may have a role, and what lies beyond a ceiling, can be seen at every grant.
  const ceilings = alone.some(({ isEgress }) => isEgress)
  for (const statement of all) {
    const { effect } = statement.rule
    if (statement.isEgress || (effect !== 'permit' && effect !== 'require_approval')) continue
    if (roles.size > 0 || (ceilings && statement.raw.hosts !== undefined)) seeds.add(statement)
  }
  return { seeds: [...seeds], roles }
}

function differingKeys(a: object, b: object): ReadonlySet<string> {
  const text = (of: object, key: string): string | undefined => {
    const value = (of as Readonly<Record<string, JsonValue | undefined>>)[key]
    return value === undefined ? undefined : canonicalJson(isObject(value) ? sorted(value) : value)
  }
  return new Set([...Object.keys(a), ...Object.keys(b)].filter((key) => text(a, key) !== text(b, key)))
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Those without a match in the others; a statement that stands twice needs two. */
function notIn(statements: readonly Statement[], others: readonly Statement[]): readonly Statement[] {
  const kinds = (one: Statement): string => `${one.isEgress ? 'egress' : one.rule.effect} ${one.words}`
  const counts = new Map<string, number>()
  for (const other of others) counts.set(kinds(other), (counts.get(kinds(other)) ?? 0) + 1)
  return statements.filter((one) => {
    const left = counts.get(kinds(one)) ?? 0
    counts.set(kinds(one), left - 1)
    return left <= 0
  })
}
