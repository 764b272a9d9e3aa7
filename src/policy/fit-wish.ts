// One wish of a manifest in the form it is held against rules, and whether a rule grants it.

import type { HostPattern } from '../core/host-pattern.ts'
import { hostPatternsContain } from '../core/host-union.ts'
import { literalPathPattern } from '../core/path-literal.ts'
import { type PathPattern, parsePathPattern, pathPatternContains } from '../core/path-pattern.ts'
import type { ProcessRight } from '../core/process-right.ts'
import type { EgressTable } from './egress.ts'
import type { Rule, RuleResources } from './rule.ts'

/** What a manifest asks for, each with its RFC 6901 pointer in the manifest. */
export interface Capabilities {
  readonly skill: string
  readonly tools: readonly Asked<string>[]
  readonly hosts: readonly Asked<HostPattern>[]
  readonly reads: readonly Asked<PathPattern>[]
  readonly writes: readonly Asked<PathPattern>[]
  readonly binaries: readonly Asked<string>[]
  readonly env: readonly Asked<string>[]
  readonly executes: readonly Asked<PathPattern>[]
  readonly libraries: readonly Asked<PathPattern>[]
  readonly rights: readonly Asked<ProcessRight>[]
  /** OAuth scopes. */
  readonly scopes?: readonly Asked<string>[]
}

export interface Asked<T> {
  readonly value: T
  readonly pointer: string
}

export type WishKind = 'tool' | 'host' | 'read' | 'write' | 'binary' | 'env' | 'execute' | 'library' | 'right' | 'scope'

/** One wish as it is held against the rules: the value in the form its kind is compared in. */
export type Wish =
  | { readonly kind: 'host'; readonly text: string; readonly host: HostPattern }
  | {
      readonly kind: 'read' | 'write' | 'binary' | 'execute' | 'library'
      readonly text: string
      /** Of a program: the pattern that is its path alone. Absent when no canonical path is meant. */
      readonly path: PathPattern | undefined
    }
  | { readonly kind: 'tool' | 'env' | 'right' | 'scope'; readonly text: string }

/** The rules of a set, as far as they are about one skill. */
export interface Granting {
  readonly skill: string
  /** Names of the tools that the manifest asks for and some rule grants. */
  readonly tools: readonly string[]
  readonly egress: readonly EgressTable[]
  /** All rules of the set. */
  readonly all: readonly Rule[]
  /** Those that give the skill anything. */
  readonly grants: readonly Rule[]
  /** Those of them that give a process anything. */
  readonly processGrants: readonly Rule[]
}

/** The rules that count for a wish of this kind. */
export function grantingRules({ grants, processGrants }: Granting, kind: WishKind): readonly Rule[] {
  return isOfProcesses(kind) ? processGrants : grants
}

export function isOfProcesses(kind: WishKind): boolean {
  return kind === 'execute' || kind === 'library' || kind === 'right'
}

/** Whether the lists of one rule hold the whole of the wish. */
export function ruleGrants({ processOnly, tools, resources }: Rule, wish: Wish): boolean {
  switch (wish.kind) {
    case 'tool':
      return !processOnly && tools.some((glob) => glob.matches(wish.text))
    case 'host':
      return hostPatternsContain(resources.hosts, wish.host)
    case 'env':
      return resources.env.includes(wish.text)
    case 'scope':
      return resources.scopes.includes(wish.text)
    case 'right':
      return resources.rights.some((right) => right === wish.text)
    default: {
      const { path } = wish
      return path !== undefined && pathsOf(resources, wish.kind).some((outer) => pathPatternContains(outer, path))
    }
  }
}

const PATH_LISTS = {
  read: 'reads',
  write: 'writes',
  binary: 'binaries',
  execute: 'executes',
  library: 'libraries',
} as const satisfies Readonly<Record<string, keyof RuleResources>>

export type PathKind = keyof typeof PATH_LISTS
export const PATH_KINDS = Object.keys(PATH_LISTS) as readonly PathKind[]

export function pathsOf(resources: RuleResources, kind: PathKind): readonly PathPattern[] {
  return resources[PATH_LISTS[kind]]
}

/** What is asked for, in the order of its kinds. */
export function wishesOf(asked: Capabilities): readonly { readonly wish: Wish; readonly pointer: string }[] {
  const named = (kind: 'tool' | 'env' | 'right' | 'scope', list: readonly Asked<string>[]) =>
    list.map(({ value, pointer }) => ({ wish: { kind, text: value }, pointer }))
  const paths = (kind: PathKind, list: readonly Asked<PathPattern>[]) =>
    list.map(({ value, pointer }) => ({ wish: { kind, text: value.text, path: value }, pointer }))
  return [
    ...named('tool', asked.tools),
    ...asked.hosts.map(({ value, pointer }) => ({
      wish: { kind: 'host' as const, text: value.text, host: value },
      pointer,
    })),
    ...paths('read', asked.reads),
    ...paths('write', asked.writes),
    ...asked.binaries.map(({ value, pointer }) => {
      const path = parsePathPattern(literalPathPattern(value))
      return { wish: { kind: 'binary' as const, text: value, path: path.ok ? path.pattern : undefined }, pointer }
    }),
    ...named('env', asked.env),
    ...named('scope', asked.scopes ?? []),
    ...paths('execute', asked.executes),
    ...paths('library', asked.libraries),
    ...named('right', asked.rights),
  ]
}
