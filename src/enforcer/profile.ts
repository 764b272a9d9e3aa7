// The confinement a process is to get, in words no operating system owns: manifest ∩ policy, compiled once. The manifest
// can only ask and the policy can only grant, so an entry is in the profile when both have it; a policy that grants more
// than was asked for adds nothing.

import { canonicalJson } from '../core/canonical.ts'
import { sha256Hex } from '../core/crypto.ts'
import { type HostPattern, hostPatternContains } from '../core/host-pattern.ts'
import { hostPatternsContain } from '../core/host-union.ts'
import { type PathPattern, pathMatches, pathPatternContains } from '../core/path-pattern.ts'
import { lowerLimits, NO_LIMITS, type ProcessLimits } from '../core/process-limits.ts'
import type { ProcessRight } from '../core/process-right.ts'

/** One thing the profile allows or denies, and the rule that it comes from. */
export interface ProfileEntry<T> {
  readonly value: T
  readonly rule: string
}

export type ProfileLimits = ProcessLimits

export interface Profile {
  /** `sha256:` and hex over everything below. */
  readonly digest: string
  readonly read: readonly ProfileEntry<PathPattern>[]
  readonly write: readonly ProfileEntry<PathPattern>[]
  /** Trees in which any file may be run, besides `binaries`. */
  readonly execute: readonly ProfileEntry<PathPattern>[]
  /** Absolute paths of programs that may be run. */
  readonly binaries: readonly ProfileEntry<string>[]
  /** Files that may be mapped as code, besides `binaries`, `execute`, and what those need to start. */
  readonly libraries: readonly ProfileEntry<PathPattern>[]
  readonly rights: readonly ProfileEntry<ProcessRight>[]
  readonly forbiddenSyscalls: readonly ProfileEntry<string>[]
  readonly egress: readonly ProfileEntry<HostPattern>[]
  /** Names of environment variables that are passed on. */
  readonly env: readonly ProfileEntry<string>[]
  /** Holes in the above. An enforcer that cannot make a hole refuses the profile; it never leaves the hole out. */
  readonly denied: ProfileHoles
  readonly executionMode: 'shared' | 'ephemeral'
  readonly limits: ProfileLimits
}

export interface ProfileHoles {
  readonly read: readonly ProfileEntry<PathPattern>[]
  readonly write: readonly ProfileEntry<PathPattern>[]
  /**
   * Of `execute`, `binaries` and `libraries` alike: what matches is neither run nor mapped as code. Also those that meet
   * none of the three, for the libraries that nobody lists and a program needs to start.
   */
  readonly execute: readonly ProfileEntry<PathPattern>[]
  /** To be judged by `hostTouches`, not by `hostCovers`: in doubt it is denied. */
  readonly egress: readonly ProfileEntry<HostPattern>[]
}

/** What a manifest asks for; a manifest itself fits. Paths of programs are canonical, as parsePath gives them. */
export interface ProfileNeed {
  readonly readablePaths: readonly PathPattern[]
  readonly writablePaths: readonly PathPattern[]
  readonly executablePaths?: readonly PathPattern[]
  readonly allowedBinaries: readonly string[]
  readonly allowedLibraries: readonly PathPattern[]
  readonly allowedHosts: readonly HostPattern[]
  readonly allowedEnv: readonly string[]
  readonly processRights?: readonly ProcessRight[]
  readonly forbiddenSyscalls: readonly string[]
  readonly executionMode: 'shared' | 'ephemeral'
  readonly limits?: ProfileLimits
}

/** The resources one policy rule names. An absent list names nothing. */
export interface GrantRule {
  /** How the rule is found again, e.g. `prices (permit) policy.yaml:3:5`. */
  readonly rule: string
  readonly reads?: readonly PathPattern[]
  readonly writes?: readonly PathPattern[]
  readonly executes?: readonly PathPattern[]
  readonly binaries?: readonly PathPattern[]
  readonly libraries?: readonly PathPattern[]
  readonly hosts?: readonly HostPattern[]
  readonly env?: readonly string[]
  readonly rights?: readonly ProcessRight[]
}

/** What the policy says about this process. */
export interface ProfileGrant {
  readonly permits: readonly GrantRule[]
  readonly forbids: readonly GrantRule[]
  readonly forbiddenSyscalls?: readonly ProfileEntry<string>[]
  /** `ephemeral` makes the profile ephemeral whatever the manifest says. */
  readonly executionMode?: 'shared' | 'ephemeral'
  readonly limits?: ProfileLimits
  /** What may be reached at most, whatever the permits say; absent is no such bound. */
  readonly egressCeiling?: readonly HostPattern[]
}

/** Something the manifest asks for and the profile does not have. */
export interface ProfileExcess {
  readonly kind: 'read' | 'write' | 'execute' | 'binary' | 'library' | 'host' | 'env' | 'right'
  readonly text: string
  readonly reason: 'not_granted' | 'forbidden'
  /** The rule that forbids it. */
  readonly rule?: string
}

export interface CompiledProfile {
  readonly profile: Profile
  readonly excess: readonly ProfileExcess[]
}

/**
 * manifest ∩ policy. An entry is kept only when one permit contains all of it, and dropped when one forbid does; a forbid
 * that contains none becomes a hole. Throws `TypeError` for a limit that is not a positive whole number.
 */
export function compileProfile(need: ProfileNeed, grant: ProfileGrant): CompiledProfile {
  const excess: ProfileExcess[] = []
  const reads = sides(grant, 'reads')
  const writes = sides(grant, 'writes')
  const hosts = sides(grant, 'hosts')
  // One forbid for all code: a library in a tree where nothing may be run, or a program in one where nothing may be mapped,
  // would be run all the same, the one through the other (ld.so takes any file that may be mapped for a program).
  const noCode = [
    ...sides(grant, 'executes').forbids,
    ...sides(grant, 'binaries').forbids,
    ...sides(grant, 'libraries').forbids,
  ]
  const code = <K extends 'executes' | 'binaries' | 'libraries'>(key: K) => ({ ...sides(grant, key), forbids: noCode })
  const read = keep('read', need.readablePaths, reads, pathPatternContains, textOf, excess)
  const write = keep('write', need.writablePaths, writes, pathPatternContains, textOf, excess)
  const execute = keep('execute', need.executablePaths ?? [], code('executes'), pathPatternContains, textOf, excess)
  const binaries = keep('binary', need.allowedBinaries, code('binaries'), pathMatches, String, excess)
  const libraries = keep('library', need.allowedLibraries, code('libraries'), pathPatternContains, textOf, excess)
  const egress = keep(
    'host',
    need.allowedHosts,
    withUnions(hosts, need.allowedHosts),
    hostPatternContains,
    textOf,
    excess,
  ).filter(({ value }) => {
    const { egressCeiling } = grant
    if (egressCeiling === undefined || hostPatternsContain(egressCeiling, value)) return true
    excess.push(Object.freeze({ kind: 'host', text: textOf(value), reason: 'not_granted' }))
    return false
  })
  const env = keep('env', need.allowedEnv, sides(grant, 'env'), Object.is, String, excess)
  const rights = keep('right', need.processRights ?? [], sides(grant, 'rights'), Object.is, String, excess)
  const ownSyscalls = need.forbiddenSyscalls.map((value) => ({ value, rule: 'manifest' }))
  const content = {
    read,
    write,
    execute,
    binaries,
    libraries,
    rights,
    forbiddenSyscalls: unique([...(grant.forbiddenSyscalls ?? []), ...ownSyscalls], String),
    egress,
    env,
    denied: Object.freeze({
      read: holes(reads.forbids, read),
      write: holes(writes.forbids, write),
      execute: execute.length + binaries.length + libraries.length === 0 ? Object.freeze([]) : unique(noCode, textOf),
      // Whether two host patterns can meet is not decided here; an enforcer judges hosts one by one and can take them all.
      egress: egress.length === 0 ? Object.freeze([]) : unique(hosts.forbids, textOf),
    }),
    executionMode: grant.executionMode === 'ephemeral' ? 'ephemeral' : need.executionMode,
    limits: lowerLimits(need.limits ?? NO_LIMITS, grant.limits ?? NO_LIMITS),
  } as const
  return Object.freeze({
    profile: Object.freeze({ digest: digestOf(content), ...content }),
    excess: Object.freeze(excess),
  })
}

type ListKey = Exclude<keyof GrantRule, 'rule'>
type ItemOf<K extends ListKey> = NonNullable<GrantRule[K]>[number]

interface Sides<G> {
  readonly permits: readonly ProfileEntry<G>[]
  readonly forbids: readonly ProfileEntry<G>[]
}

function sides<K extends ListKey>(grant: ProfileGrant, key: K): Sides<ItemOf<K>> {
  const entries = (rules: readonly GrantRule[]): readonly ProfileEntry<ItemOf<K>>[] =>
    rules.flatMap((rule) => (rule[key] ?? []).map((value) => ({ value: value as ItemOf<K>, rule: rule.rule })))
  return { permits: entries(grant.permits), forbids: entries(grant.forbids) }
}

/** Besides the permits themselves what several of them cover together: half a network by one rule and half by another. */
function withUnions(hosts: Sides<HostPattern>, asked: readonly HostPattern[]): Sides<HostPattern> {
  const all = hosts.permits.map(({ value }) => value)
  const unions = asked.flatMap((value): readonly ProfileEntry<HostPattern>[] => {
    if (all.some((outer) => hostPatternContains(outer, value)) || !hostPatternsContain(all, value)) return []
    const parts = hosts.permits.filter((permit) => hostPatternContains(value, permit.value))
    return [{ value, rule: [...new Set(parts.map(({ rule }) => rule))].join(', ') }]
  })
  return { permits: [...hosts.permits, ...unions], forbids: hosts.forbids }
}

function keep<G, T>(
  kind: ProfileExcess['kind'],
  asked: readonly T[],
  { permits, forbids }: Sides<G>,
  contains: (outer: G, inner: T) => boolean,
  text: (value: T) => string,
  excess: ProfileExcess[],
): readonly ProfileEntry<T>[] {
  const kept: ProfileEntry<T>[] = []
  for (const value of asked) {
    const forbid = forbids.find((rule) => contains(rule.value, value))
    const permit = permits.find((rule) => contains(rule.value, value))
    if (forbid !== undefined) {
      excess.push(Object.freeze({ kind, text: text(value), reason: 'forbidden', rule: forbid.rule }))
    } else if (permit === undefined) {
      excess.push(Object.freeze({ kind, text: text(value), reason: 'not_granted' }))
    } else kept.push({ value, rule: permit.rule })
  }
  return unique(kept, text)
}

// Also those that meet nothing that was kept as it is written: the same file may have another name on the host, and only an
// enforcer knows where links lead.
function holes(
  forbids: readonly ProfileEntry<PathPattern>[],
  kept: readonly ProfileEntry<PathPattern>[],
): readonly ProfileEntry<PathPattern>[] {
  return kept.length === 0 ? Object.freeze([]) : unique(forbids, textOf)
}

function unique<T>(entries: readonly ProfileEntry<T>[], text: (value: T) => string): readonly ProfileEntry<T>[] {
  const found = new Map<string, ProfileEntry<T>>()
  for (const entry of entries) {
    const key = text(entry.value)
    if (!found.has(key)) found.set(key, Object.freeze({ value: entry.value, rule: entry.rule }))
  }
  return Object.freeze([...found.values()])
}

function textOf(value: { readonly text: string }): string {
  return value.text
}

function digestOf(content: Omit<Profile, 'digest'>): string {
  const texts = <T>(entries: readonly ProfileEntry<T>[], text: (value: T) => string): readonly string[] =>
    entries.map((entry) => text(entry.value)).sort()
  return `sha256:${sha256Hex(
    canonicalJson({
      read: texts(content.read, textOf),
      write: texts(content.write, textOf),
      execute: texts(content.execute, textOf),
      binaries: texts(content.binaries, String),
      libraries: texts(content.libraries, textOf),
      rights: texts(content.rights, String),
      forbidden_syscalls: texts(content.forbiddenSyscalls, String),
      egress: texts(content.egress, textOf),
      env: texts(content.env, String),
      denied: {
        read: texts(content.denied.read, textOf),
        write: texts(content.denied.write, textOf),
        execute: texts(content.denied.execute, textOf),
        egress: texts(content.denied.egress, textOf),
      },
      execution_mode: content.executionMode,
      limits: { ...content.limits },
    }),
  )}`
}
