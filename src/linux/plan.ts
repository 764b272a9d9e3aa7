// Profile to box: joins mounts, Landlock, seccomp and limits into one description of a box, or refuses with every part of
// the profile that no box on this host could hold. Trusts the facts about the host it is given, and nothing in its files.

import { pathPatternsMayMeet } from '../core/path-overlap.ts'
import { defaultPort } from '../core/url.ts'
import type { Feature } from '../enforcer/feature.ts'
import type { Profile } from '../enforcer/profile.ts'
import { EnforcementUnavailableError } from '../enforcer/report.ts'
import type { BoxListener, BoxSetup, BpfObject } from './box.ts'
import {
  type Grants,
  type HiddenPath,
  isWithin,
  resolveGrants,
  treePattern,
  type UnrepresentablePart,
} from './grants.ts'
import { type HostFiles, rememberFiles, resolvePath } from './host-files.ts'
import { type EffectiveLandlock, planBoxLandlock, planFlatLandlock, writeOnlyTargets } from './landlock.ts'
import type { LibraryClosure } from './library-closure.ts'
import { planMounts } from './mount-plan.ts'
import { planRlimits } from './rlimits.ts'
import { compileSeccomp, type SeccompPrograms } from './seccomp/seccomp.ts'
import { kernelMounts, SYSTEM_FILES, TLS_FILES } from './system-files.ts'

/** What has been found out about the host by trying it. */
export interface HostFacts {
  readonly arch: 'x64' | 'arm64'
  /** Ids that processes of the box have. */
  readonly uid: number
  readonly gid: number
  /** How namespaces can be made here: as root, in a user namespace of one's own, or not at all. */
  readonly namespaces: 'root' | 'user' | 'none'
  /** 0 when there is no Landlock. */
  readonly landlockAbi: number
  /** Whether SECCOMP_RET_USER_NOTIF works. */
  readonly seccompNotify: boolean
}

export interface PlanOptions {
  /** Makes a flat box where namespaces could be had. */
  readonly kind?: BoxSetup['kind']
  readonly hostname?: string
  /** Bound of the private /tmp, and of each directory of an ephemeral box; 64 MiB unless told. */
  readonly tmpBytes?: number
  /** Whether a control group holds the memory of the box. */
  readonly memoryHeld?: boolean
  /** For a flat box: port of the proxy on the loopback address of the host. */
  readonly proxyPort?: number
  /** For a flat box: an empty directory of the host that is for this box alone. */
  readonly scratch?: string
  readonly cgroups?: BoxSetup['cgroups']
  readonly bpf?: BpfObject
  /** Absolute paths of the gateway's own files: no grant reaches them. */
  readonly ownPaths?: readonly string[]
}

export interface BoxPlan {
  readonly setup: BoxSetup
  readonly closure: LibraryClosure
  readonly landlock: EffectiveLandlock
  /** What the plan makes of the profile that its text does not say. */
  readonly notes: readonly string[]
}

/** Nothing was started, because a part of the profile cannot be held by any box on this host. */
export class ProfileUnrepresentableError extends EnforcementUnavailableError {
  override readonly name: string = 'ProfileUnrepresentableError'
  readonly parts: readonly UnrepresentablePart[]

  constructor(parts: readonly UnrepresentablePart[]) {
    const missing = parts.map(
      ({ kind, text, rule, reason, fix }) =>
        ({ feature: FEATURE_OF[kind], status: 'absent', reason: `${kind} ${text} (${rule}): ${reason}`, fix }) as const,
    )
    super('linux', missing, 'the profile cannot be enforced as it stands')
    this.parts = Object.freeze(parts.map((part) => Object.freeze({ ...part })))
  }
}

const FEATURE_OF: Readonly<Record<UnrepresentablePart['kind'], Feature>> = {
  read: 'fs_read',
  write: 'fs_write',
  execute: 'fs_execute',
  binary: 'fs_execute',
  library: 'fs_execute',
  egress: 'egress',
  syscall: 'syscalls',
  limit: 'limits',
}

const TMP_BYTES = 64 * 1024 * 1024

/** Where the proxy and the name responder of a box with its own loopback listen. */
export const PROXY_PORT = 3128
export const NAMES_PORT = 53

/** Listeners for clients that know of no proxy. The proxy itself takes any granted port. */
const MAX_PORTS = 32

/** Throws {@link ProfileUnrepresentableError} when any part of the profile cannot be had on this host. */
export function planBox(profile: Profile, facts: HostFacts, host: HostFiles, options: PlanOptions = {}): BoxPlan {
  const files = rememberFiles(host)
  const kind = options.kind ?? (facts.namespaces === 'none' ? 'flat' : 'namespaces')
  if (kind === 'namespaces' && facts.namespaces === 'none') throw new TypeError('this host has no namespaces')
  const seccomp = seccompFor(profile, facts, kind)
  const hidden = hiddenPaths(files, options.ownPaths ?? [])
  const tree = kind === 'namespaces' ? planTree : planFlat
  const { parts, notes, setup, closure, landlock } = tree(profile, facts, files, options, hidden)
  const all = [...parts, ...seccompParts(profile, seccomp)]
  if (all.length > 0) throw new ProfileUnrepresentableError(all)
  return {
    setup: {
      kind,
      userNamespace: kind === 'namespaces' && facts.namespaces === 'user',
      hostname: options.hostname ?? 'box',
      rlimits: planRlimits(profile.limits, { memoryHeld: options.memoryHeld ?? false }),
      ...setup,
      seccomp: seccomp.box,
      notify: seccomp.notify,
      ...(seccomp.command === undefined ? {} : { commandSeccomp: seccomp.command }),
      cgroups: options.cgroups ?? { v1: [] },
      ...(options.bpf === undefined ? {} : { bpf: options.bpf }),
      ...(profile.limits.wallMs === undefined ? {} : { wallMs: profile.limits.wallMs }),
    },
    closure,
    landlock,
    notes,
  }
}

/** What differs between a box of mounts and a flat one. */
interface TreePlan {
  readonly setup: Pick<BoxSetup, 'network' | 'mounts' | 'workdir' | 'listeners' | 'landlock'>
  readonly closure: LibraryClosure
  readonly landlock: EffectiveLandlock
  readonly parts: readonly UnrepresentablePart[]
  readonly notes: readonly string[]
}

function planTree(
  profile: Profile,
  facts: HostFacts,
  files: HostFiles,
  options: PlanOptions,
  hidden: readonly HiddenPath[],
): TreePlan {
  const { arch: machine, uid, gid } = facts
  const mountOptions = { machine, uid, gid, hostname: options.hostname ?? 'box', hidden }
  const plan = planMounts(profile, files, { ...mountOptions, tmpBytes: options.tmpBytes ?? TMP_BYTES })
  const { mounts, grants } = plan
  const { ruleset, effective } = planBoxLandlock(facts.landlockAbi, { profile, ...plan })
  const { listeners, notes } = planListeners(profile)
  return {
    setup: {
      network: profile.egress.length === 0 ? 'none' : 'loopback',
      mounts,
      workdir: workdirOf(grants, '/tmp'),
      listeners,
      ...(ruleset === undefined ? {} : { landlock: ruleset }),
    },
    closure: grants.closure,
    landlock: effective,
    parts: [...plan.unrepresentable, ...unreadableParts(profile, grants, effective.abi)],
    notes: [...plan.notes, ...notes],
  }
}

function planFlat(
  profile: Profile,
  facts: HostFacts,
  files: HostFiles,
  options: PlanOptions,
  hidden: readonly HiddenPath[],
): TreePlan {
  const { scratch, proxyPort } = options
  const grants = resolveGrants(profile, files, { machine: facts.arch, uid: facts.uid, hidden })
  const system = flatSystem(profile, files)
  const { ruleset, effective } = planFlatLandlock(facts.landlockAbi, {
    profile,
    grants,
    system,
    ...(scratch === undefined ? {} : { scratch }),
    ...(proxyPort === undefined || profile.egress.length === 0 ? {} : { proxyPort }),
  })
  return {
    setup: {
      network: 'host',
      mounts: [],
      workdir: workdirOf(grants, scratch ?? '/'),
      listeners: [],
      ...(ruleset === undefined ? {} : { landlock: ruleset }),
    },
    closure: grants.closure,
    landlock: effective,
    parts: [...grants.unrepresentable, ...flatParts(profile, grants, effective, hidden)],
    notes: grants.notes,
  }
}

// Many boxes of one executor need the same few programs.
const PROGRAMS = new Map<string, SeccompPrograms>()
const MAX_PROGRAMS = 64

function seccompFor(profile: Profile, facts: HostFacts, kind: BoxSetup['kind']): SeccompPrograms {
  const needs = seccompNeeds(profile, facts, kind)
  const key = JSON.stringify(needs)
  const known = PROGRAMS.get(key)
  if (known !== undefined) return known
  const programs = compileSeccomp(needs)
  if (PROGRAMS.size >= MAX_PROGRAMS) PROGRAMS.clear()
  PROGRAMS.set(key, programs)
  return programs
}

function seccompNeeds(profile: Profile, facts: HostFacts, kind: BoxSetup['kind']) {
  const has = (right: Profile['rights'][number]['value']): boolean =>
    profile.rights.some(({ value }) => value === right)
  return {
    arch: facts.arch,
    executableMemory: has('executable_memory'),
    listen: has('listen'),
    inet: profile.egress.length > 0,
    // Without a way out, no sockets to go it; with one, datagrams reach no further than the box's own loopback.
    udp: has('udp') && profile.egress.length > 0,
    unixSockets: has('unix_sockets'),
    forbiddenSyscalls: profile.forbiddenSyscalls.map(({ value }) => value),
    notify: facts.seccompNotify,
    namespaces: kind === 'namespaces',
    rootOutside: facts.uid === 0,
  }
}

function seccompParts(profile: Profile, { unrepresentable }: SeccompPrograms): readonly UnrepresentablePart[] {
  return unrepresentable.map(({ syscall, reason }) => ({
    kind: 'syscall',
    text: syscall,
    rule: profile.forbiddenSyscalls.find(({ value }) => value === syscall)?.rule ?? 'manifest',
    reason,
    fix: 'take it out of the forbidden system calls',
  }))
}

function hiddenPaths(files: HostFiles, ownPaths: readonly string[]): readonly HiddenPath[] {
  const own = ownPaths.map((path) => ({ path, reason: 'a file of the gateway itself' }))
  const mountinfo = files.read('/proc/self/mountinfo', (source) => source.read(0, 4 * 1024 * 1024))
  const mounts = mountinfo === undefined ? [] : kernelMounts(new TextDecoder().decode(mountinfo))
  return [...own, ...mounts.map((path) => ({ path, reason: `${path} is a file system of the kernel` }))]
}

function planListeners(profile: Profile): {
  readonly listeners: readonly BoxListener[]
  readonly notes: readonly string[]
} {
  if (profile.egress.length === 0) return { listeners: [], notes: [] }
  const ports = new Set<number>()
  for (const { value } of profile.egress) {
    if (typeof value.port === 'number') ports.add(value.port)
    else if (value.port === 'default') {
      const implied = value.scheme === undefined ? undefined : defaultPort(value.scheme)
      for (const port of implied === undefined ? [80, 443] : [implied]) ports.add(port)
    }
  }
  // The proxy and the responder are there already.
  const wanted = [...ports].filter((port) => port !== PROXY_PORT && port !== NAMES_PORT).sort((a, b) => a - b)
  const left = wanted.slice(MAX_PORTS)
  const byProxy = [...left, ...[...ports].filter((port) => port === PROXY_PORT || port === NAMES_PORT)]
  return {
    listeners: [
      { name: 'proxy', address: '127.0.0.1', port: PROXY_PORT },
      { name: 'dns', address: '127.0.0.1', port: NAMES_PORT },
      ...wanted.slice(0, MAX_PORTS).map((port) => ({ name: `port:${port}`, address: '0.0.0.0', port })),
    ],
    notes: byProxy.length === 0 ? [] : [`only through the proxy: ports ${byProxy.join(', ')}`],
  }
}

function workdirOf({ grants }: Grants, otherwise: string): string {
  return grants.find(({ kind, shape }) => kind === 'write' && shape === 'tree')?.real ?? otherwise
}

// A mount that can be written can be read. Only Landlock tells the two apart, and not below a directory that it lets read.
function unreadableParts(profile: Profile, grants: Grants, abi: number): readonly UnrepresentablePart[] {
  if (profile.executionMode === 'ephemeral') return []
  const targets = writeOnlyTargets(grants).filter((path) => abi === 0 || (path !== '/tmp' && isWithin(path, '/tmp')))
  return grants.grants
    .filter(({ kind, real }) => kind === 'write' && targets.includes(real))
    .map(({ text, rule, real }) => ({
      kind: 'write',
      text,
      rule,
      reason: isWithin(real, '/tmp')
        ? 'what can be written below /tmp can be read'
        : 'without Landlock what can be written can be read',
      fix: `grant reading ${text} too`,
    }))
}

function flatSystem(
  profile: Profile,
  files: HostFiles,
): readonly { readonly path: string; readonly directory: boolean }[] {
  const tables = profile.egress.length === 0 ? SYSTEM_FILES : [...SYSTEM_FILES, ...TLS_FILES]
  return tables.flatMap(({ path }) => {
    const resolved = resolvePath(files, path)
    if (resolved === undefined) return []
    const { real, stat } = resolved
    const usual = stat.uid === 0 && (stat.mode & 0o022) === 0 && (stat.mode & 0o004) !== 0
    if (!usual || profile.denied.read.some(({ value }) => pathPatternsMayMeet(value, treePattern(real)))) return []
    return stat.type === 'file' || stat.type === 'directory'
      ? [{ path: real, directory: stat.type === 'directory' }]
      : []
  })
}

// What Landlock cannot say: anything inside a granted tree that is not granted.
function flatParts(
  profile: Profile,
  { grants }: Grants,
  { abi }: EffectiveLandlock,
  hidden: readonly HiddenPath[],
): readonly UnrepresentablePart[] {
  const parts: UnrepresentablePart[] = []
  const fix = 'allow user namespaces on this host, or narrow the grant'
  for (const kind of ['read', 'write', 'execute'] as const) {
    const trees = grants.filter(
      (grant) => grant.shape === 'tree' && (grant.kind === kind || (kind === 'execute' && grant.kind === 'library')),
    )
    for (const { value, rule } of profile.denied[kind]) {
      const met = trees.find(({ real }) => pathPatternsMayMeet(value, treePattern(real)))
      if (met === undefined) continue
      const reason = `Landlock cannot take it out of ${met.text}`
      parts.push({ kind, text: `forbid ${value.text}`, rule, reason, fix })
    }
  }
  for (const { kind, shape, real, text, rule } of grants) {
    const inside = shape === 'tree' ? hidden.find(({ path }) => isWithin(path, real)) : undefined
    if (inside !== undefined) parts.push({ kind, text, rule, reason: `${inside.path} is in it: ${inside.reason}`, fix })
    if (kind === 'write' && profile.executionMode === 'ephemeral') {
      parts.push({ kind, text, rule, reason: 'what is written on the host outlives the box', fix })
    }
  }
  if (abi === 0) {
    const reason = 'there is neither Landlock nor a namespace to hold it'
    parts.push({ kind: 'read', text: 'nothing but what is granted', rule: 'every profile', reason, fix })
  }
  if (profile.egress.length > 0 && abi < 4) {
    const reason = 'without Landlock for TCP (abi 4) a flat box could connect to anything'
    for (const { value, rule } of profile.egress) parts.push({ kind: 'egress', text: value.text, rule, reason, fix })
  }
  return parts
}
