// The Landlock ruleset of a box. In a box of mounts it is the second lock on running and writing; in a flat box it is the
// only lock on files. Masked to what the kernel has, and what is lost by that is said.

import type { Profile } from '../enforcer/profile.ts'
import type { LandlockRuleset, MountItem } from './box.ts'
import { type Grant, type Grants, isWithin } from './grants.ts'

/** Access rights of landlock(7), LANDLOCK_ACCESS_FS_*. */
export const LANDLOCK_FS = {
  EXECUTE: 1n << 0n,
  WRITE_FILE: 1n << 1n,
  READ_FILE: 1n << 2n,
  READ_DIR: 1n << 3n,
  REMOVE_DIR: 1n << 4n,
  REMOVE_FILE: 1n << 5n,
  MAKE_CHAR: 1n << 6n,
  MAKE_DIR: 1n << 7n,
  MAKE_REG: 1n << 8n,
  MAKE_SOCK: 1n << 9n,
  MAKE_FIFO: 1n << 10n,
  MAKE_BLOCK: 1n << 11n,
  MAKE_SYM: 1n << 12n,
  REFER: 1n << 13n,
  TRUNCATE: 1n << 14n,
  IOCTL_DEV: 1n << 15n,
} as const

export const LANDLOCK_NET = { BIND_TCP: 1n << 0n, CONNECT_TCP: 1n << 1n } as const
export const LANDLOCK_SCOPE = { ABSTRACT_UNIX_SOCKET: 1n << 0n, SIGNAL: 1n << 1n } as const

const FS = LANDLOCK_FS

/** Rights that a rule on anything but a directory may have; any other is EINVAL. */
export const LANDLOCK_FILE_RIGHTS: bigint = FS.EXECUTE | FS.WRITE_FILE | FS.READ_FILE | FS.TRUNCATE | FS.IOCTL_DEV

interface Abi {
  readonly fs: bigint
  readonly net: bigint
  readonly scoped: bigint
  /** sizeof(struct landlock_ruleset_attr) of that time. A longer one with a tail that is not zero is E2BIG. */
  readonly size: number
}

const NET = LANDLOCK_NET.BIND_TCP | LANDLOCK_NET.CONNECT_TCP
const SCOPES = LANDLOCK_SCOPE.ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE.SIGNAL

// ABI 1 (Linux 5.13), 2 (5.19), 3 (6.2), 4 (6.7), 5 (6.10), 6 (6.12), 7 (6.15).
const ABIS: readonly Abi[] = Object.freeze([
  { fs: 0x1fffn, net: 0n, scoped: 0n, size: 8 },
  { fs: 0x3fffn, net: 0n, scoped: 0n, size: 8 },
  { fs: 0x7fffn, net: 0n, scoped: 0n, size: 8 },
  { fs: 0x7fffn, net: NET, scoped: 0n, size: 16 },
  { fs: 0xffffn, net: NET, scoped: 0n, size: 16 },
  { fs: 0xffffn, net: NET, scoped: SCOPES, size: 24 },
  { fs: 0xffffn, net: NET, scoped: SCOPES, size: 24 },
])

/** The highest ABI this table knows. A kernel of a later one is asked for nothing else. */
export const LANDLOCK_ABI: number = ABIS.length

/** What of the wanted ruleset the kernel's ABI has. */
export interface EffectiveLandlock {
  /** 0 when there is no Landlock; never more than {@link LANDLOCK_ABI}. */
  readonly abi: number
  /** What was wanted and is not there, e.g. `truncate (abi 3)`. */
  readonly dropped: readonly string[]
}

export interface LandlockPlan {
  /** Absent when there is no Landlock. */
  readonly ruleset?: LandlockRuleset
  readonly effective: EffectiveLandlock
}

export interface BoxLandlockInput {
  readonly profile: Profile
  readonly grants: Grants
  readonly mounts: readonly MountItem[]
  readonly system: readonly string[]
}

export interface FlatLandlockInput {
  readonly profile: Profile
  readonly grants: Grants
  /** System files, with whether each is a directory. */
  readonly system: readonly { readonly path: string; readonly directory: boolean }[]
  /** A directory of the host that is this box's alone. */
  readonly scratch?: string
  /** The one TCP port that may be connected to, on whatever address. */
  readonly proxyPort?: number
}

/** Rights to change what is below a directory. Devices are made by nobody; a fifo in a shared tree would hang its readers. */
const CHANGE =
  FS.WRITE_FILE | FS.REMOVE_DIR | FS.REMOVE_FILE | FS.MAKE_DIR | FS.MAKE_REG | FS.MAKE_SYM | FS.REFER | FS.TRUNCATE
const CHANGE_PRIVATE = CHANGE | FS.MAKE_FIFO

/**
 * For a box of mounts. Reading is not handled: what is not granted is not in the tree, and a right that is not handled
 * costs nothing when a file is opened. TRUNCATE is one of those that do cost, even when a file is opened for reading
 * (hook_file_open asks for it in advance), so it is left to the mounts: nothing can be truncated on a read-only one.
 */
export function planBoxLandlock(abi: number, input: BoxLandlockInput): LandlockPlan {
  const { profile, grants, mounts, system } = input
  // What an ephemeral box writes is its own, and in memory.
  const writeOnly = profile.executionMode === 'ephemeral' ? [] : writeOnlyTargets(grants)
  const reading = writeOnly.length === 0 ? 0n : FS.READ_FILE
  const rules = new RuleList()
  for (const item of mounts) {
    if (item.type === 'bind' && item.access === 'write')
      rules.add(item.target, changeRights(profile, false), item.recursive)
    if (item.type === 'tmpfs' && !item.readonly) {
      rules.add(item.target, changeRights(profile, true) | reading, true)
    }
    if (item.type === 'file') rules.add(item.target, reading, false)
  }
  for (const grant of grants.grants) {
    if (grant.kind === 'write' || grant.shape === 'directory') continue
    const run = grant.kind === 'binary' || grant.kind === 'execute' ? FS.EXECUTE : 0n
    rules.add(grant.real, run | reading, grant.shape === 'tree')
  }
  for (const { real, role } of grants.closure.files) {
    rules.add(real, (role === 'interpreter' ? FS.EXECUTE : 0n) | reading, false)
  }
  for (const path of system) rules.add(path, reading, false)
  rules.add('/proc', reading, true)
  rules.add('/dev', FS.WRITE_FILE | FS.IOCTL_DEV | reading, true)
  rules.add('/dev/shm', changeRights(profile, true), true)
  return mask(abi, {
    fs: ((ABIS.at(-1)?.fs ?? 0n) & ~(FS.READ_FILE | FS.READ_DIR | FS.TRUNCATE)) | reading,
    net: hasRight(profile, 'listen') ? 0n : LANDLOCK_NET.BIND_TCP,
    rules: rules.list(),
    ports: [],
  })
}

/**
 * For a flat box: everything is handled, and only what the profile and the table of system files name is opened. /proc is
 * not: that of the host shows every process on it.
 */
export function planFlatLandlock(abi: number, input: FlatLandlockInput): LandlockPlan {
  const { profile, grants, system, scratch, proxyPort } = input
  const rules = new RuleList()
  for (const grant of grants.grants) {
    // The right to list a directory would be one to list all below it.
    if (grant.shape === 'directory') continue
    rules.add(grant.real, flatRights(profile, grant), grant.shape === 'tree')
  }
  for (const { real, role } of grants.closure.files) {
    rules.add(real, FS.READ_FILE | (role === 'interpreter' ? FS.EXECUTE : 0n), false)
  }
  for (const { path, directory } of system) rules.add(path, FS.READ_FILE | FS.READ_DIR, directory)
  if (scratch !== undefined) rules.add(scratch, changeRights(profile, true) | FS.READ_FILE | FS.READ_DIR, true)
  for (const name of ['null', 'zero', 'full', 'tty']) {
    rules.add(`/dev/${name}`, FS.READ_FILE | FS.WRITE_FILE | FS.TRUNCATE | FS.IOCTL_DEV, false)
  }
  for (const name of ['random', 'urandom']) rules.add(`/dev/${name}`, FS.READ_FILE, false)
  return mask(abi, {
    fs: ABIS.at(-1)?.fs ?? 0n,
    net: hasRight(profile, 'listen') ? LANDLOCK_NET.CONNECT_TCP : NET,
    rules: rules.list(),
    ports: proxyPort === undefined ? [] : [{ port: proxyPort, access: LANDLOCK_NET.CONNECT_TCP }],
  })
}

/** Write grants that no other grant lets the box read. A mount cannot be writable and unreadable. */
export function writeOnlyTargets(grants: Grants): readonly string[] {
  const readable = grants.grants.filter(({ kind }) => kind !== 'write')
  return grants.grants.flatMap(({ kind, shape, real }) => {
    if (kind !== 'write') return []
    const read = readable.some((other) =>
      other.shape === 'tree' ? isWithin(real, other.real) : shape === 'file' && other.real === real,
    )
    return read ? [] : [real]
  })
}

function flatRights(profile: Profile, { kind }: Grant): bigint {
  if (kind === 'write') return changeRights(profile, false)
  const run = kind === 'binary' || kind === 'execute' ? FS.EXECUTE : 0n
  return FS.READ_FILE | FS.READ_DIR | run
}

function changeRights(profile: Profile, isPrivate: boolean): bigint {
  const rights = isPrivate ? CHANGE_PRIVATE : CHANGE
  return hasRight(profile, 'unix_sockets') ? rights | FS.MAKE_SOCK : rights
}

function hasRight(profile: Profile, right: Profile['rights'][number]['value']): boolean {
  return profile.rights.some(({ value }) => value === right)
}

/** One rule a path, with all that was asked for it. */
class RuleList {
  readonly #rules = new Map<string, bigint>()

  add(path: string, access: bigint, directory: boolean): void {
    const masked = directory ? access : access & LANDLOCK_FILE_RIGHTS
    if (masked !== 0n) this.#rules.set(path, (this.#rules.get(path) ?? 0n) | masked)
  }

  list(): LandlockRuleset['paths'] {
    return [...this.#rules].map(([path, access]) => ({ path, access }))
  }
}

interface Wanted {
  readonly fs: bigint
  readonly net: bigint
  readonly rules: LandlockRuleset['paths']
  readonly ports: LandlockRuleset['ports']
}

// What each ABI brought, in the words of the report.
const ADDED: readonly { readonly abi: number; readonly name: string; readonly lost: (wanted: Wanted) => boolean }[] = [
  { abi: 2, name: 'moving between directories', lost: ({ fs }) => (fs & FS.REFER) !== 0n },
  { abi: 3, name: 'truncate', lost: ({ fs }) => (fs & FS.TRUNCATE) !== 0n },
  { abi: 4, name: 'tcp bind', lost: ({ net }) => (net & LANDLOCK_NET.BIND_TCP) !== 0n },
  { abi: 4, name: 'tcp connect', lost: ({ net }) => (net & LANDLOCK_NET.CONNECT_TCP) !== 0n },
  { abi: 5, name: 'device ioctl', lost: ({ fs }) => (fs & FS.IOCTL_DEV) !== 0n },
  { abi: 6, name: 'abstract unix sockets', lost: () => true },
  { abi: 6, name: 'signals', lost: () => true },
]

function mask(version: number, wanted: Wanted): LandlockPlan {
  const abi = Math.max(0, Math.min(Math.trunc(version) || 0, LANDLOCK_ABI))
  const known = ABIS[abi - 1]
  if (known === undefined) return { effective: { abi: 0, dropped: ['all of landlock (abi 1)'] } }
  const dropped = ADDED.filter((added) => added.abi > abi && added.lost(wanted)).map(
    (added) => `${added.name} (abi ${added.abi})`,
  )
  const handledFs = wanted.fs & known.fs
  const handledNet = wanted.net & known.net
  return {
    ruleset: {
      handledFs,
      handledNet,
      scoped: known.scoped,
      attributeSize: known.size,
      // A right that is not handled may not be in a rule, and a rule without a right is ENOMSG.
      paths: wanted.rules.flatMap(({ path, access }) =>
        (access & handledFs) === 0n ? [] : [{ path, access: access & handledFs }],
      ),
      ports: wanted.ports.filter(({ access }) => (access & handledNet) !== 0n),
    },
    effective: { abi, dropped },
  }
}
