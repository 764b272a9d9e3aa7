// A child gets at most what its parent has: a sub-agent, a nested run, a skill started by another. Says exactly what a
// child's manifest has beyond its parent's, or makes the greatest one that has nothing beyond either.

import { canonicalJson } from '../core/canonical.ts'
import { hostPatternsContain } from '../core/host-union.ts'
import { pathPatternContains } from '../core/path-pattern.ts'
import { hostPatternsMeet, pathPatternsMeet } from '../core/pattern-meet.ts'
import { formatPointer } from '../core/pointer.ts'
import { DocumentError, type Problem } from '../core/problem.ts'
import { lowerLimits, type ProcessLimits } from '../core/process-limits.ts'
import { careOf, moreCareful, moreCarefulEffect } from './careful.ts'
import type { Manifest, ToolBinding } from './manifest.ts'
import { LIST_KEYS, type ListKey, listsOf, manifestFromDraft, toolOf } from './rewrite.ts'

/** One thing a child's manifest has beyond its parent's. */
export interface NarrowingExcess {
  /** The key of the manifest that says too much, or of what the child leaves out of its parent's promises. */
  readonly key: ListKey | 'tools' | 'limits' | 'execution_mode' | 'on_failure'
  /** The entry: a pattern, a name, `wall_ms`. */
  readonly text: string
  /** RFC 6901 pointer in the child's document; of what it leaves out, where it would stand. */
  readonly pointer: string
  readonly file: string
  readonly line: number
  readonly column: number
  /** One line: what the parent has instead. */
  readonly reason: string
}

export type Narrowing =
  | { readonly ok: true; readonly manifest: Manifest }
  | { readonly ok: false; readonly excess: readonly NarrowingExcess[] }

/** Comparisons of one list; more would let two long documents take minutes. */
const PAIRS = 1_000_000

/**
 * Whether `child` asks for nothing that `parent` does not ask for, and keeps all that it gives up. `manifest` is `child`.
 *
 * A tool of the child has to be one the parent can call, with the same input schema, the same mappings and the same OAuth
 * scopes: with others the same call would be judged by other resources. Blocks of addresses may add up; any other host
 * or path has to lie inside one entry of the parent.
 *
 * @throws DocumentError ERR_MANIFEST_INVALID when two lists are too long to be compared.
 */
export function narrowManifest(parent: Manifest, child: Manifest): Narrowing {
  const excess: NarrowingExcess[] = []
  const report = (key: NarrowingExcess['key'], text: string, pointer: string, reason: string): void => {
    const { line, column } = child.locate(pointer)
    excess.push({ key, text, pointer, file: child.file, line, column, reason })
  }
  ;[...child.tools.values()].forEach((tool, index) => {
    const reason = tool.inScope ? toolExcess(parent.tools.get(tool.name), tool) : undefined
    if (reason !== undefined) report('tools', tool.name, formatPointer(['tools', index]), reason)
  })
  const lists = listsOf(child)
  for (const key of LIST_KEYS) {
    if (key === 'forbidden_syscalls') continue
    const has = containment(parent, child, key)
    lists[key].forEach((text, index) => {
      if (!has(index)) report(key, text, formatPointer([key, index]), 'the parent has nothing that holds it')
    })
  }
  const given = new Set(child.forbiddenSyscalls)
  for (const name of parent.forbiddenSyscalls) {
    if (given.has(name)) continue
    report('forbidden_syscalls', name, '/forbidden_syscalls', 'the parent gives it up, and the child does not')
  }
  for (const [key, written, unit] of LIMIT_KEYS) {
    const [most, asked] = [parent.limits[key], child.limits[key]]
    if (most === undefined || (asked !== undefined && asked <= most)) continue
    report('limits', written, `/limits/${written}`, `the parent has at most ${most / unit}`)
  }
  if (parent.executionMode === 'ephemeral' && child.executionMode !== 'ephemeral') {
    report('execution_mode', child.executionMode, '/execution_mode', 'the parent is ephemeral')
  }
  if (careOf(child.onFailure) < careOf(parent.onFailure)) {
    report('on_failure', child.onFailure ?? 'absent', '/on_failure', `the parent has ${parent.onFailure}`)
  }
  return excess.length === 0 ? { ok: true, manifest: child } : { ok: false, excess }
}

const LIMIT_KEYS: readonly (readonly [keyof ProcessLimits, string, number])[] = [
  ['wallMs', 'wall_ms', 1],
  ['memoryBytes', 'memory_mb', 1024 * 1024],
  ['processes', 'processes', 1],
]

/** Why the child may not have the tool as it declares it, or `undefined`. */
function toolExcess(has: ToolBinding | undefined, asks: ToolBinding): string | undefined {
  if (has === undefined) return 'the parent has no such tool'
  if (!has.inScope) return 'the tool is out of the scope of the parent'
  if (!sameReading(has, asks)) return 'the parent declares it with another input schema, other mappings or other scopes'
  return moreCarefulEffect(asks.effect, has.effect) === asks.effect
    ? undefined
    : `the parent says that a repeated call is ${has.effect}`
}

/** Whether every call is read in the same way. */
function sameReading(a: ToolBinding, b: ToolBinding): boolean {
  return readingOf(a) === readingOf(b)
}

function readingOf(tool: ToolBinding): string {
  const { input_schema = null, resources = [], oauth_scopes = [] } = toolOf(tool)
  // Neither list has an order: each mapping is a statement of its own, and scopes are names.
  const sorted = (list: unknown): readonly string[] =>
    (list as readonly unknown[]).map((one) => canonicalJson(one as Parameters<typeof canonicalJson>[0])).sort()
  return canonicalJson([input_schema, sorted(resources), [...new Set(sorted(oauth_scopes))]])
}

/** Whether the parent holds the entry of the child's list at an index. */
function containment(parent: Manifest, child: Manifest, key: ListKey): (index: number) => boolean {
  switch (key) {
    case 'allowed_hosts': {
      checkPairs(key, parent.allowedHosts, child.allowedHosts)
      return (index) => held(child.allowedHosts[index], (host) => hostPatternsContain(parent.allowedHosts, host))
    }
    case 'readable_paths':
    case 'writable_paths':
    case 'executable_paths':
    case 'allowed_libraries': {
      const [has, asks] = [parent[PATHS[key]], child[PATHS[key]]]
      checkPairs(key, has, asks)
      return (index) => held(asks[index], (path) => has.some((outer) => pathPatternContains(outer, path)))
    }
    default: {
      const has = new Set(listsOf(parent)[key])
      const asks = listsOf(child)[key]
      return (index) => held(asks[index], (name) => has.has(name))
    }
  }
}

const PATHS = {
  readable_paths: 'readablePaths',
  writable_paths: 'writablePaths',
  executable_paths: 'executablePaths',
  allowed_libraries: 'allowedLibraries',
} as const

function held<T>(value: T | undefined, test: (value: T) => boolean): boolean {
  return value !== undefined && test(value)
}

function checkPairs(key: ListKey, a: readonly unknown[], b: readonly unknown[]): void {
  if (a.length * b.length <= PAIRS) return
  const problem: Problem = {
    code: 'too_large',
    severity: 'error',
    message: `too many entries of ${key} to compare those of parent and child`,
    file: 'narrowed',
    line: 1,
    column: 1,
    pointer: formatPointer([key]),
  }
  throw new DocumentError('ERR_MANIFEST_INVALID', [problem])
}

/**
 * The greatest manifest inside both, under the child's name: what is allowed under it is allowed under each. What has no
 * expression of ours in common is left out: a tool the two declare differently, a pair of path patterns that overlap
 * without one text for their common part. Every promise of either is kept.
 *
 * @throws DocumentError ERR_MANIFEST_INVALID when two lists are too long to be compared.
 */
export function intersectManifests(parent: Manifest, child: Manifest): Manifest {
  const lists = Object.fromEntries(LIST_KEYS.map((key) => [key, common(parent, child, key)])) as Record<
    ListKey,
    readonly string[]
  >
  const tools = [...child.tools.values()].flatMap((tool) => {
    const has = parent.tools.get(tool.name)
    if (!tool.inScope || has === undefined || !has.inScope || !sameReading(has, tool)) return []
    return [{ ...tool, effect: moreCarefulEffect(has.effect, tool.effect) }]
  })
  const { skill, version, publisher, description } = child
  const validation = manifestFromDraft(
    {
      skill,
      ...(version === undefined ? {} : { version }),
      ...(publisher === undefined ? {} : { publisher }),
      ...(description === undefined ? {} : { description }),
      tools,
      lists,
      executionMode: [parent, child].some((one) => one.executionMode === 'ephemeral') ? 'ephemeral' : 'shared',
      limits: lowerLimits(parent.limits, child.limits),
      onFailure: moreCareful(parent.onFailure, child.onFailure),
    },
    `${child.skill} within ${parent.skill}`,
  )
  if (!validation.ok) throw new DocumentError('ERR_MANIFEST_INVALID', validation.problems)
  return validation.manifest
}

function common(parent: Manifest, child: Manifest, key: ListKey): readonly string[] {
  switch (key) {
    case 'allowed_hosts': {
      checkPairs(key, parent.allowedHosts, child.allowedHosts)
      // Whole entries first: a block of the child can lie in several of the parent's together.
      return inCommon(
        child.allowedHosts,
        parent.allowedHosts,
        (host, outers) => hostPatternsContain(outers, host),
        hostPatternsMeet,
      )
    }
    case 'readable_paths':
    case 'writable_paths':
    case 'executable_paths':
    case 'allowed_libraries':
      checkPairs(key, parent[PATHS[key]], child[PATHS[key]])
      return inCommon(
        child[PATHS[key]],
        parent[PATHS[key]],
        (path, outers) => outers.some((outer) => pathPatternContains(outer, path)),
        (a, b) => {
          const meet = pathPatternsMeet(a, b)
          return meet === undefined ? [] : [meet]
        },
      )
    case 'forbidden_syscalls':
      return [...new Set([...child.forbiddenSyscalls, ...parent.forbiddenSyscalls])]
    default: {
      const has = new Set(listsOf(parent)[key])
      return listsOf(child)[key].filter((name) => has.has(name))
    }
  }
}

function inCommon<T extends { readonly text: string }>(
  child: readonly T[],
  parent: readonly T[],
  within: (pattern: T, outers: readonly T[]) => boolean,
  meet: (a: T, b: T) => readonly T[],
): readonly string[] {
  const found = new Set<string>()
  for (const asked of child) {
    if (within(asked, parent)) found.add(asked.text)
    else for (const outer of parent) for (const pattern of meet(outer, asked)) found.add(pattern.text)
  }
  return [...found]
}
