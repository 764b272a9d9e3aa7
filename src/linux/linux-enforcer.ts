// The bundled enforcer: from a profile to a live box on this host. Refuses before anything is started when the host cannot
// hold what is required, and says feature by feature what it does hold.

import { AgentPortError } from '../core/errors.ts'
import type { Capabilities, Capability, Enforcer, OpenConfinementOptions } from '../enforcer/enforcer.ts'
import { FEATURES, type Feature, type Requirements } from '../enforcer/feature.ts'
import { compileProfile, type Profile } from '../enforcer/profile.ts'
import { assertRequirements, type EnforcementReport, type FeatureReport } from '../enforcer/report.ts'
import { sweepCgroups } from './cgroup/cgroups.ts'
import type { LinuxConfinement } from './confinement.ts'
import { grantsAddresses } from './direct-egress.ts'
import { nodeHostFiles } from './host-files.ts'
import type { Btf } from './lsm/btf.ts'
import { kernelBtf, type LsmProbe, probeLsm } from './lsm/probe.ts'
import { type NativeFile, nativeFile } from './native.ts'
import { type OpenBoxOptions, openBox } from './open-box.ts'
import { type BoxPlan, planBox } from './plan.ts'
import { type HostProbe, probeHost } from './probe.ts'
import { ENFORCER, reportOf } from './report.ts'
import { notRefused } from './self-test.ts'

export interface LinuxEnforcerOptions {
  /** Path of the launcher; absent means the one that `agentport build` made. */
  readonly launcher?: string
  /** Path of the self-test that goes with it. */
  readonly selftest?: string
  /** `flat` does without namespaces where they could be had. */
  readonly kind?: 'namespaces' | 'flat'
  /** Bytes of the private /tmp of each confinement; 64 MiB unless told. */
  readonly tmpBytes?: number
  /**
   * How granted addresses are reached. `proxy` (the default): like names, through the proxy, TCP only. `direct`: on the
   * host's network, held by control group programs; needs root and cgroup v2.
   */
  readonly egress?: 'proxy' | 'direct'
  /** Counts the system calls of each confinement. Needs root, and costs every process of the host some time. */
  readonly countSyscalls?: boolean
  /**
   * Security module programs as a second lock on what is executed and mapped, with an event for what they refuse; `off` unless
   * told. Needs root and a kernel that takes them. `preferred` does without them where they cannot be had.
   */
  readonly lsm?: 'off' | 'preferred' | 'required'
  /** Hashes programs and keeps what happened, so that a confinement has `facts` to make a fingerprint of. */
  readonly fingerprint?: boolean
  /** Absolute paths that no grant reaches: policies, audit logs, keys and sockets of the gateway itself. */
  readonly ownPaths?: readonly string[]
}

export interface OpenLinuxOptions extends OpenConfinementOptions {
  /** Gives the box this process's standard input, output and error; see {@link LinuxConfinement.spawnInherited}. */
  readonly inherit?: boolean
}

/** Nothing but limits of every kind: what a probe is asked about is the most that can be asked for. */
const PROBED = compileProfile(
  {
    readablePaths: [],
    writablePaths: [],
    allowedBinaries: [],
    allowedLibraries: [],
    allowedHosts: [],
    allowedEnv: [],
    forbiddenSyscalls: [],
    executionMode: 'shared',
    limits: { wallMs: 1_000, memoryBytes: 64 << 20, processes: 16 },
  },
  { permits: [], forbids: [] },
).profile

export class LinuxEnforcer implements Enforcer {
  readonly name = ENFORCER
  readonly #launcher: NativeFile
  readonly #selftest: NativeFile
  readonly #options: LinuxEnforcerOptions
  readonly #warm = new Map<string, Promise<LinuxConfinement>[]>()
  #probe: Promise<HostProbe> | undefined
  #lsm: Promise<LsmHost> | undefined

  private constructor(launcher: NativeFile, selftest: NativeFile, options: LinuxEnforcerOptions) {
    this.#launcher = launcher
    this.#selftest = selftest
    this.#options = options
  }

  /**
   * Finds the launcher and tries this host. Rejects with ERR_ENFORCEMENT_UNAVAILABLE on any system but Linux, or when the
   * launcher is not built, not ours alone to change, or built from other sources.
   */
  static async open(options: LinuxEnforcerOptions = {}): Promise<LinuxEnforcer> {
    if (process.platform !== 'linux') {
      throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', `the Linux enforcer does not run on ${process.platform}`)
    }
    const enforcer = new LinuxEnforcer(
      nativeFile('launcher', options.launcher),
      nativeFile('selftest', options.selftest),
      Object.freeze({ ...options }),
    )
    sweepCgroups()
    await enforcer.host()
    return enforcer
  }

  /** What was tried on this host, once. */
  host(): Promise<HostProbe> {
    this.#probe ??= probeHost(this.#launcher, this.#selftest, this.#options.kind)
    return this.#probe
  }

  /** What became of the attempt to use security module programs, once. */
  lsm(): Promise<LsmHost> {
    this.#lsm ??= (async () => {
      if ((this.#options.lsm ?? 'off') === 'off')
        return { probe: { supported: false, reason: 'not asked for' } } as const
      const probe = await probeLsm(this.#launcher, this.#selftest)
      return probe.supported ? { probe, btf: kernelBtf() } : { probe }
    })()
    return this.#lsm
  }

  async probe(): Promise<Capabilities> {
    const host = await this.host()
    const report = this.#report(PROBED, host, await this.lsm())
    const features = Object.fromEntries(
      FEATURES.map((feature) => [feature, Object.freeze(capabilityOf(feature, report.features[feature], host))]),
    ) as Record<Feature, Capability>
    return Object.freeze({ enforcer: ENFORCER, features: Object.freeze(features) })
  }

  async open(given: Profile, options: OpenLinuxOptions = {}): Promise<LinuxConfinement> {
    const profile = copyOf(given)
    const host = await this.host()
    const report = this.#report(profile, host, await this.lsm())
    assertRequirements(report, options.requirements)
    if (options.signal?.aborted === true) throw new AgentPortError('ERR_HALTED', 'the run was halted before it began')
    const ready = options.inherit === true ? undefined : this.#warm.get(profile.digest)?.shift()
    const confinement = await (ready ??
      this.#open(profile, report, host, options.inherit === true, options.requirements))
    if (options.signal !== undefined) confinement.endWith(options.signal)
    return confinement
  }

  /** What the box for `profile` would be made of, without making it. Rejects as {@link open} does. */
  async plan(given: Profile): Promise<{ readonly plan: BoxPlan; readonly report: EnforcementReport }> {
    const profile = copyOf(given)
    const host = await this.host()
    const { tmpBytes, ownPaths } = this.#options
    const plan = planBox(profile, host.facts, nodeHostFiles, {
      kind: this.#kind(host),
      ...(tmpBytes === undefined ? {} : { tmpBytes }),
      ...(ownPaths === undefined ? {} : { ownPaths }),
    })
    return { plan, report: this.#report(profile, host, await this.lsm()) }
  }

  /**
   * Makes `count` confinements for `profile` in advance, which the next {@link open}s of the same profile take. What one
   * holds is its own; it has run nothing. Rejects as `open` does. {@link close} ends those that nobody took.
   */
  async prewarm(given: Profile, count: number): Promise<void> {
    const profile = copyOf(given)
    const host = await this.host()
    const report = this.#report(profile, host, await this.lsm())
    assertRequirements(report, {})
    const waiting = this.#warm.get(profile.digest) ?? []
    this.#warm.set(profile.digest, waiting)
    for (let index = 0; index < count; index++) {
      const confinement = await this.#open(profile, report, host, false)
      waiting.push(Promise.resolve(confinement))
    }
  }

  /** Ends the confinements that were made in advance. Idempotent. */
  async close(): Promise<void> {
    const waiting = [...this.#warm.values()].flat()
    this.#warm.clear()
    await Promise.all(waiting.map(async (confinement) => (await confinement).close()))
  }

  async #open(
    profile: Profile,
    report: EnforcementReport,
    host: HostProbe,
    inherit: boolean,
    requirements: Requirements = {},
  ): Promise<LinuxConfinement> {
    const { tmpBytes, countSyscalls, fingerprint, ownPaths } = this.#options
    return openBox({
      profile,
      report,
      host,
      inherit,
      requirements,
      kind: this.#kind(host),
      launcher: this.#launcher,
      direct: this.#isDirect(profile),
      countSyscalls: countSyscalls === true,
      fingerprint: fingerprint === true,
      ownPaths: ownPaths ?? [],
      ...(tmpBytes === undefined ? {} : { tmpBytes }),
      ...(await this.#lsmOf(profile)),
    })
  }

  async #lsmOf(profile: Profile): Promise<Pick<OpenBoxOptions, 'lsm'>> {
    const { btf } = await this.lsm()
    const executableMemory = profile.rights.some(({ value }) => value === 'executable_memory')
    const required = this.#options.lsm === 'required'
    return btf === undefined ? {} : { lsm: { btf, executableMemory, required } }
  }

  #isDirect(profile: Profile): boolean {
    return this.#options.egress === 'direct' && grantsAddresses(profile)
  }

  #kind(host: HostProbe): 'namespaces' | 'flat' {
    return host.facts.namespaces === 'none' ? 'flat' : (this.#options.kind ?? 'namespaces')
  }

  #report(profile: Profile, host: HostProbe, { probe }: LsmHost): EnforcementReport {
    const kind = this.#kind(host)
    const { facts, cgroup } = host
    const report = reportOf(profile, {
      kind,
      landlockAbi: facts.landlockAbi,
      notify: facts.seccompNotify,
      rootOutside: facts.uid === 0,
      cgroup,
      egress: this.#isDirect(profile) ? 'direct' : 'proxy',
    })
    const features = Object.fromEntries(
      FEATURES.map((feature) => {
        const left = notRefused(feature, kind, host.refused)
        if (feature === 'fs_execute' && this.#options.lsm === 'required' && !probe.supported)
          return [feature, withoutLsm(probe.reason)]
        return [feature, left.length === 0 ? report.features[feature] : unproven(left, host)]
      }),
    ) as Record<Feature, FeatureReport>
    return Object.freeze({ ...report, features: Object.freeze(features) })
  }
}

interface LsmHost {
  readonly probe: LsmProbe
  /** There when the programs work. */
  readonly btf?: Btf
}

function withoutLsm(reason: string): FeatureReport {
  return Object.freeze({
    status: 'absent',
    mechanism: '',
    visibility: 'silent',
    reason: `security module programs are required and do not work here: ${reason}`,
    fix: 'boot with `bpf` in the list of `lsm=`, run as root, or ask for them as `preferred`',
  })
}

/** As it is now: what is judged must not change while we wait for anything. */
function copyOf(given: Profile): Profile {
  // Each part is read once: an object may answer differently the second time.
  const profile = { ...given }
  const entries = <T>(list: readonly { readonly value: T; readonly rule: string }[]) =>
    Object.freeze(list.map((entry) => Object.freeze({ ...entry })))
  const denied = { ...profile.denied }
  return Object.freeze({
    ...profile,
    read: entries(profile.read),
    write: entries(profile.write),
    execute: entries(profile.execute),
    binaries: entries(profile.binaries),
    libraries: entries(profile.libraries),
    rights: entries(profile.rights),
    forbiddenSyscalls: entries(profile.forbiddenSyscalls),
    egress: entries(profile.egress),
    env: entries(profile.env),
    denied: Object.freeze({
      read: entries(denied.read),
      write: entries(denied.write),
      execute: entries(denied.execute),
      egress: entries(denied.egress),
    }),
    limits: Object.freeze({ ...profile.limits }),
  })
}

function unproven(left: readonly string[], host: HostProbe): FeatureReport {
  const failed = host.trials.find(({ name, ok }) => name === 'self-test' && !ok)
  return Object.freeze({
    status: 'absent',
    mechanism: '',
    visibility: 'silent',
    reason:
      failed === undefined
        ? `the self-test was not refused: ${left.join(', ')}`
        : `the self-test did not run: ${failed.detail?.split('\n')[0] ?? 'unknown'}`,
    fix: 'run `agentport doctor` and report what it prints',
  })
}

function capabilityOf(
  feature: Feature,
  { status, mechanism, reason, fix }: FeatureReport,
  host: HostProbe,
): Capability {
  const ran = host.trials.some(({ name, ok }) => name === 'self-test' && ok)
  return {
    // Some limits are held and others are not: whether the feature is depends on which of them a profile sets.
    support: status === 'enforced' ? 'supported' : ran && feature !== 'limits' ? 'unsupported' : 'inconclusive',
    mechanism,
    ...(reason === undefined ? {} : { reason }),
    ...(fix === undefined ? {} : { fix }),
  }
}
