// Everything one box holds, put together in order and given back in full when any step fails: control groups, proxy, scratch
// directory, launcher.

import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, fstatSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { systemClock } from '../core/clock.ts'
import { AgentPortError } from '../core/errors.ts'
import type { EnforcerFact } from '../enforcer/enforcer.ts'
import { EventQueue } from '../enforcer/event-queue.ts'
import type { Requirements } from '../enforcer/feature.ts'
import type { Profile } from '../enforcer/profile.ts'
import {
  assertRequirements,
  type EnforcementReport,
  EnforcementUnavailableError,
  type FeatureReport,
} from '../enforcer/report.ts'
import type { BoxSetup, BpfObject } from './box.ts'
import { DENIALS_MAP, readDenials } from './bpf/egress-programs.ts'
import { mergeBpf } from './bpf/merge.ts'
import { SYSCALLS_MAP, syscallHistogram } from './bpf/syscall-histogram.ts'
import { type Cgroups, openCgroups } from './cgroup/cgroups.ts'
import { type Holding, LinuxConfinement } from './confinement.ts'
import { directEgress } from './direct-egress.ts'
import { egressEnvironment } from './egress/presets.ts'
import { EgressProxy, type ListenerKind } from './egress/proxy.ts'
import { FactLog } from './fact-log.ts'
import { nodeHostFiles } from './host-files.ts'
import { Launcher, type LauncherFact } from './launcher.ts'
import type { LibraryClosure } from './library-closure.ts'
import type { Btf } from './lsm/btf.ts'
import { type LsmBox, lsmBox } from './lsm/lsm-box.ts'
import { LSM_DROPPED_MAP } from './lsm/programs.ts'
import type { NativeFile } from './native.ts'
import { PROXY_PORT, planBox } from './plan.ts'
import type { HostProbe } from './probe.ts'
import { DEFAULT_PROCESSES } from './rlimits.ts'
import { describeNotified } from './seccomp/seccomp.ts'

export interface OpenBoxOptions {
  readonly profile: Profile
  readonly report: EnforcementReport
  readonly requirements: Requirements
  readonly host: HostProbe
  readonly kind: BoxSetup['kind']
  readonly launcher: NativeFile
  readonly direct: boolean
  readonly countSyscalls: boolean
  readonly inherit: boolean
  readonly tmpBytes?: number
  /** Hashes programs and remembers what happened, for {@link LinuxConfinement.facts}. */
  readonly fingerprint: boolean
  readonly ownPaths: readonly string[]
  /** Security module programs on top; unless `required`, only where the files of the box can be listed. */
  readonly lsm?: { readonly btf: Btf; readonly executableMemory: boolean; readonly required: boolean }
}

/** The launcher's word for what programs missed. */
const MISSED = 0xffff_ffff

const BASE_ENVIRONMENT: Readonly<Record<string, string>> = Object.freeze({ PATH: '/usr/local/bin:/usr/bin:/bin' })

/** Rejects with ERR_ENFORCEMENT_UNAVAILABLE, having given back whatever was made by then. */
export async function openBox(options: OpenBoxOptions): Promise<LinuxConfinement> {
  const holdings: Holding[] = []
  try {
    return await assemble(options, holdings)
  } catch (error) {
    for (const holding of holdings) holding.stop?.()
    for (const holding of holdings) await holding.release().catch(() => undefined)
    throw error
  }
}

async function assemble(options: OpenBoxOptions, holdings: Holding[]): Promise<LinuxConfinement> {
  const { profile, host, kind } = options
  const queue = new EventQueue(systemClock)
  const log = options.fingerprint ? new FactLog(host.facts.arch, await hashPrograms(profile)) : undefined
  const tell = (fact: EnforcerFact): void => {
    log?.event(fact)
    queue.push(fact)
  }
  const cgroups = needCgroups(options) ? takeCgroups(options, holdings) : undefined
  const scratch = kind === 'flat' ? await takeScratch(holdings) : undefined

  // Without a network of its own the box reaches the proxy like any other port of the host, so it has to say who it is.
  const shared = kind === 'flat' || options.direct
  const credential = shared ? { user: 'box', password: randomBytes(18).toString('base64url') } : undefined
  const proxy = profile.egress.length === 0 ? undefined : takeProxy(profile, credential, tell, log, holdings)
  const proxyPort = proxy !== undefined && shared ? await listenOnHost(proxy, holdings) : undefined

  const {
    setup: planned,
    closure,
    notes,
  } = planBox(profile, host.facts, nodeHostFiles, {
    kind,
    ownPaths: options.ownPaths,
    memoryHeld: cgroups?.limits.memoryBytes?.state === 'enforced',
    ...(options.tmpBytes === undefined ? {} : { tmpBytes: options.tmpBytes }),
    ...(cgroups === undefined ? {} : { cgroups: cgroups.paths }),
    ...(kind === 'flat' && proxyPort !== undefined ? { proxyPort } : {}),
    ...(scratch === undefined ? {} : { scratch }),
  })
  const report = withHoles(options.report, profile, planned)
  assertRequirements(report, options.requirements)
  const lsm = takeLsm(options, planned, closure, cgroups, holdings)
  const bpf = merged([...bpfOf(options, cgroups, proxyPort), ...(lsm === undefined ? [] : [lsm.object])])
  const setup: BoxSetup = {
    ...planned,
    ...(options.direct ? { network: 'host', listeners: [] } : {}),
    ...(bpf === undefined ? {} : { bpf }),
  }
  const counts = new Map<number, bigint[]>()
  const own = options.inherit ? inheritable() : undefined
  const forbidden = new Set(profile.forbiddenSyscalls.map(({ value }) => value))
  const launcher = await Launcher.start(setup, {
    file: options.launcher.path,
    sourceDigest: options.launcher.sourceDigest,
    ...(own === undefined ? {} : { inherit: own }),
    onListener: (name, handle) => {
      const listener = setup.listeners.find((one) => one.name === name)
      if (proxy === undefined || listener === undefined) return Promise.reject(new TypeError('no such listener'))
      return proxy.listen(name, kindOf(name), listener.port, handle as object)
    },
    onFact: (fact) => take(tell, fact, { arch: host.facts.arch, forbidden, lsm }, counts),
  })
  void launcher.ended.then(() => {
    tellCounts(tell, bpf, counts)
    log?.lose(Number(counts.get(MISSED)?.[0] ?? 0n))
  })
  const temporary = scratch ?? '/tmp'
  return new LinuxConfinement({
    launcher,
    profile,
    report: lsm === undefined ? report : withLsm(report),
    queue,
    tell,
    notes,
    killedBy:
      kind === 'namespaces' ? 'process namespace' : cgroups === undefined ? 'adoption of orphans' : 'cgroup.kill',
    proven: kind === 'namespaces' || cgroups !== undefined,
    environment: {
      ...BASE_ENVIRONMENT,
      HOME: temporary,
      TMPDIR: temporary,
      ...(proxy === undefined
        ? {}
        : egressEnvironment(
            `http://127.0.0.1:${proxyPort ?? PROXY_PORT}`,
            credential === undefined ? {} : { credential },
          )),
    },
    workdir: setup.workdir,
    ...(own === undefined ? {} : { own }),
    // Without Landlock's scope a signal to the process group would reach what shares it on the host.
    keepSession: host.facts.landlockAbi >= 6,
    ...(kind === 'flat' && cgroups !== undefined ? { alsoKill: () => cgroups.kill() } : {}),
    holdings,
    syscalls: () => syscallCounts(bpf, counts),
    ...(log === undefined ? {} : { facts: () => log.facts(syscallCounts(bpf, counts)) }),
  })
}

/**
 * Which standard descriptors a box may have as they are: terminals, pipes and other character devices. A regular file could
 * be mapped as code from the mount it is on, a directory walked from, a socket connected elsewhere.
 */
function inheritable(): readonly [boolean, boolean, boolean] {
  const plain = (fd: number): boolean => {
    try {
      const stats = fstatSync(fd)
      return stats.isFIFO() || stats.isCharacterDevice()
    } catch {
      return false
    }
  }
  return [plain(0), plain(1), plain(2)]
}

/**
 * A mount over a single file lies on a name. When the host puts another file there by rename(2), as editors do, the mount goes
 * with the old one, and the box sees the new.
 */
function withHoles(report: EnforcementReport, profile: Profile, { mounts }: BoxSetup): EnforcementReport {
  const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true
  const hidden = mounts.some((item) => item.type === 'mask')
  const kept = mounts.some(
    (item) =>
      item.type === 'bind' &&
      item.access === 'read' &&
      !item.recursive &&
      isFile(item.source) &&
      mounts.some(
        (tree) => tree.type === 'bind' && tree.access === 'write' && item.target.startsWith(`${tree.target}/`),
      ),
  )
  if (!hidden && !kept) return report
  const partial = (feature: 'fs_read' | 'fs_write', holes: Profile['denied']['read'], verb: string): FeatureReport => {
    const named = holes.map(({ value, rule }) => `${value.text} (${rule})`).join(', ')
    return {
      ...report.features[feature],
      status: report.features[feature].status === 'absent' ? 'absent' : 'partial',
      reason: `a file that may not be ${verb} can be once the host replaces it: ${named}`,
      fix: 'forbid the directory it is in, with /**, instead of the file',
    }
  }
  return Object.freeze({
    ...report,
    features: Object.freeze({
      ...report.features,
      ...(hidden ? { fs_read: Object.freeze(partial('fs_read', profile.denied.read, 'read')) } : {}),
      ...(kept ? { fs_write: Object.freeze(partial('fs_write', profile.denied.write, 'written')) } : {}),
    }),
  })
}

async function hashPrograms(profile: Profile): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>()
  for (const { value } of profile.binaries) {
    const hash = createHash('sha256')
    try {
      for await (const chunk of createReadStream(value)) hash.update(chunk as Uint8Array)
    } catch (error) {
      throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', `${value} cannot be read to be hashed`, { cause: error })
    }
    hashes.set(value, hash.digest('hex'))
  }
  return hashes
}

/** For limits over all processes, for programs, and where nothing else ends what a process left behind. */
function needCgroups({ profile, host, kind, direct, countSyscalls, lsm }: OpenBoxOptions): boolean {
  const { processes, memoryBytes } = profile.limits
  // RLIMIT_NPROC does not bind uid 0, so a box that runs as root has no other bound on its number of processes.
  const counted = host.cgroup.processes && (processes !== undefined || host.facts.uid === 0)
  const limits = counted || (memoryBytes !== undefined && host.cgroup.memory)
  return limits || direct || countSyscalls || lsm !== undefined || (kind === 'flat' && host.cgroup.kill)
}

/** The launcher and the first process of the box, which count like any other. */
const OWN_PROCESSES = 2

function takeCgroups({ profile, host, direct, countSyscalls }: OpenBoxOptions, holdings: Holding[]): Cgroups {
  const { memoryBytes } = profile.limits
  const processes = (profile.limits.processes ?? DEFAULT_PROCESSES) + OWN_PROCESSES
  const opened = openCgroups({
    ...(host.cgroup.processes ? { processes } : {}),
    ...(memoryBytes === undefined || !host.cgroup.memory ? {} : { memoryBytes }),
  })
  if (!opened.ok) throw unavailable('limits', `no control group can be made: ${opened.reason}`)
  const { cgroups } = opened
  holdings.push({
    name: 'control groups',
    release: async () => {
      // Without a process namespace this is what ends the processes, so it comes before the directory is removed.
      if (!(await cgroups.kill()) || !(await cgroups.remove()))
        throw new AgentPortError('ERR_STATE_INVALID', 'populated')
    },
  })
  for (const state of [cgroups.limits.processes, cgroups.limits.memoryBytes]) {
    if (state !== undefined && state.state !== 'enforced') throw unavailable('limits', state.reason)
  }
  if ((direct || countSyscalls) && cgroups.paths.v2 === undefined) throw unavailable('egress', 'there is no cgroup v2')
  return cgroups
}

async function takeScratch(holdings: Holding[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'agentport-box-'))
  holdings.push({ name: directory, release: () => rm(directory, { recursive: true, force: true }) })
  return directory
}

function takeProxy(
  profile: Profile,
  credential: { readonly user: string; readonly password: string } | undefined,
  tell: (fact: EnforcerFact) => void,
  log: FactLog | undefined,
  holdings: Holding[],
): EgressProxy {
  const proxy = new EgressProxy({
    profile,
    ...(credential === undefined ? {} : { credential }),
    report: (fact) => {
      log?.connection(fact)
      if (fact.type !== 'egress_denied') return
      const subject = `${fact.host === '' ? 'a host that cannot be read' : fact.host}:${fact.port} ${fact.reason}`
      const rule = fact.rule === undefined ? {} : { rule: fact.rule }
      tell({ type: 'denied', feature: 'egress', subject, evidence: 'enforced', ...rule })
    },
  })
  holdings.push({ name: 'proxy', stop: () => proxy.revoke(), release: () => proxy.close() })
  return proxy
}

async function listenOnHost(proxy: EgressProxy, holdings: Holding[]): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    proxy.acceptConnection(socket, 'proxy', 0)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  holdings.push({
    name: 'proxy port',
    release: () => new Promise<void>((resolve) => server.close(() => resolve())),
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw unavailable('egress', 'the proxy has no port')
  return address.port
}

function bpfOf(
  options: OpenBoxOptions,
  cgroups: Cgroups | undefined,
  proxyPort: number | undefined,
): readonly BpfObject[] {
  const egress = options.direct ? [directEgress(options.profile, proxyPort)] : []
  if (!options.countSyscalls) return egress
  if (cgroups?.id === undefined) throw unavailable('syscalls', 'there is no cgroup v2 to count in')
  return [...egress, syscallHistogram(cgroups.id)]
}

function merged(objects: readonly BpfObject[]): BpfObject | undefined {
  const [first, ...rest] = objects
  return first === undefined ? undefined : rest.reduce(mergeBpf, first)
}

function takeLsm(
  { lsm }: OpenBoxOptions,
  setup: BoxSetup,
  closure: LibraryClosure,
  cgroups: Cgroups | undefined,
  holdings: Holding[],
): LsmBox | undefined {
  if (lsm === undefined) return undefined
  try {
    if (cgroups?.id === undefined) throw unavailable('fs_execute', 'there is no cgroup v2')
    const box = lsmBox(setup, closure, { ...lsm, cgroup: cgroups.id })
    holdings.push({ name: 'listed files', release: async () => box.close() })
    return box
  } catch (error) {
    if (lsm.required || !(error instanceof AgentPortError)) throw error
    return undefined
  }
}

/** Visibility stays: a mount refuses an `execve` before the programs are asked, and tells nobody. */
function withLsm(report: EnforcementReport): EnforcementReport {
  const { fs_execute } = report.features
  const mechanism = `${fs_execute.mechanism}, BPF LSM`
  const features = Object.freeze({ ...report.features, fs_execute: Object.freeze({ ...fs_execute, mechanism }) })
  return Object.freeze({ ...report, features })
}

function kindOf(listener: string): ListenerKind {
  return listener === 'proxy' || listener === 'dns' ? listener : 'transparent'
}

function take(
  tell: (fact: EnforcerFact) => void,
  fact: LauncherFact,
  {
    arch,
    forbidden,
    lsm,
  }: { readonly arch: 'x64' | 'arm64'; readonly forbidden: ReadonlySet<string>; lsm: LsmBox | undefined },
  counts: Map<number, bigint[]>,
): void {
  switch (fact.type) {
    case 'denied': {
      const { feature, subject } = describeNotified(arch, fact.number, fact.args, forbidden)
      tell({ type: 'denied', feature, subject, evidence: 'enforced', pid: fact.pid })
      break
    }
    case 'event':
      // Without a pid: the kernel counts as the host does here, and every other event as the box does.
      tell({
        type: 'denied',
        feature: 'fs_execute',
        subject: lsm?.describe(fact.record) ?? 'code',
        evidence: 'enforced',
      })
      break
    case 'expired':
      tell({ type: 'denied', feature: 'limits', subject: 'wall time', evidence: 'enforced' })
      break
    case 'counters': {
      const values = counts.get(fact.map) ?? []
      fact.values.forEach((value, index) => {
        values[fact.from + index] = value
      })
      counts.set(fact.map, values)
      break
    }
  }
}

/** What was counted in the map of that name, as bytes of u64. */
function counted(
  bpf: BpfObject | undefined,
  counts: ReadonlyMap<number, bigint[]>,
  name: string,
): Uint8Array | undefined {
  const values = counts.get(bpf?.maps.findIndex((map) => map.name === name) ?? -1)
  return values === undefined ? undefined : new Uint8Array(BigUint64Array.from(values).buffer)
}

function tellCounts(
  tell: (fact: EnforcerFact) => void,
  bpf: BpfObject | undefined,
  counts: ReadonlyMap<number, bigint[]>,
): void {
  const dropped = counted(bpf, counts, LSM_DROPPED_MAP)
  const lost = dropped === undefined ? 0n : (new BigUint64Array(dropped.buffer)[0] ?? 0n)
  if (lost > 0n) tell({ type: 'lost', count: Number(lost) })
  const bytes = counted(bpf, counts, DENIALS_MAP)
  const denials = bytes === undefined ? undefined : readDenials(bytes)
  for (const [subject, count] of Object.entries(denials ?? {})) {
    if (count > 0n) tell({ type: 'counted', feature: 'egress', subject, count: Number(count) })
  }
}

function syscallCounts(
  bpf: BpfObject | undefined,
  counts: ReadonlyMap<number, bigint[]>,
): ReadonlyMap<number, bigint> | undefined {
  const bytes = counted(bpf, counts, SYSCALLS_MAP)
  if (bytes === undefined) return undefined
  const values = new BigUint64Array(bytes.buffer)
  return new Map([...values].flatMap((value, number) => (value > 0n ? [[number, value] as const] : [])))
}

function unavailable(
  feature: 'limits' | 'egress' | 'syscalls' | 'fs_execute',
  reason: string,
): EnforcementUnavailableError {
  return new EnforcementUnavailableError('linux', [
    { feature, status: 'absent', reason, fix: 'run as root on a host with cgroup v2, or in a delegated control group' },
  ])
}
