// What a box on this host really has, feature by feature, and in which words it is reported. The one place that says
// `enforced`: each such word stands for something that was tried here and refused.

import { FEATURES, type Feature } from '../enforcer/feature.ts'
import type { Profile } from '../enforcer/profile.ts'
import type { EnforcementReport, EnforcementStatus, FeatureReport, Visibility } from '../enforcer/report.ts'

export const ENFORCER = 'linux'

/** What a box is made with, as far as the report depends on it. */
export interface BoxFacts {
  readonly kind: 'namespaces' | 'flat'
  readonly landlockAbi: number
  /** Whether refused system calls are reported. */
  readonly notify: boolean
  /** Whether processes have uid 0 on the host. */
  readonly rootOutside: boolean
  readonly cgroup: { readonly kill: boolean; readonly processes: boolean; readonly memory: boolean }
  /** `direct`: control group programs on the host's network. */
  readonly egress: 'proxy' | 'direct'
}

const USER_NAMESPACES =
  'allow user namespaces: `sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000`; on Ubuntu 24.04 also `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or give the launcher an AppArmor profile with `userns,`'
const LANDLOCK = 'use a kernel with Landlock: 5.13 or later, started with `lsm=landlock,…` where it is not on by itself'
const CGROUPS =
  'run as root, or in a control group that was delegated to this user (`systemd-run --user -p Delegate=yes`)'

export function reportOf(profile: Profile, box: BoxFacts): EnforcementReport {
  const features = Object.fromEntries(
    FEATURES.map((feature) => [feature, Object.freeze(REPORTS[feature](profile, box))]),
  ) as Record<Feature, FeatureReport>
  return Object.freeze({ enforcer: ENFORCER, enforcement: 'kernel', confined: true, features: Object.freeze(features) })
}

const entry = (
  status: EnforcementStatus,
  mechanism: string,
  visibility: Visibility,
  reason?: string,
  fix?: string,
): FeatureReport => ({
  status,
  mechanism,
  visibility,
  ...(reason === undefined ? {} : { reason }),
  ...(fix === undefined ? {} : { fix }),
})

const landlock = (box: BoxFacts): string => (box.landlockAbi === 0 ? '' : `Landlock ABI ${box.landlockAbi}`)
const also = (first: string, second: string): string => (second === '' ? first : `${first}, ${second}`)
const calls = (box: BoxFacts): Visibility => (box.notify ? 'reported' : 'silent')

const REPORTS: Readonly<Record<Feature, (profile: Profile, box: BoxFacts) => FeatureReport>> = {
  fs_read: (_profile, box) => {
    if (box.kind === 'namespaces') return entry('enforced', 'mount namespace', 'silent')
    if (box.landlockAbi === 0)
      return entry('absent', '', 'silent', 'neither user namespaces nor Landlock', USER_NAMESPACES)
    return entry(
      'partial',
      landlock(box),
      'silent',
      'names, sizes and times of other files can be seen',
      USER_NAMESPACES,
    )
  },
  fs_write: (profile, box) => {
    if (box.kind === 'namespaces') {
      // A mount that is read-only says nothing about writing into a pipe that lies on it.
      return box.landlockAbi > 0 || profile.read.length === 0
        ? entry('enforced', also('mount namespace', landlock(box)), 'silent')
        : entry('partial', 'mount namespace', 'silent', 'named pipes in readable trees can be written', LANDLOCK)
    }
    if (box.landlockAbi === 0)
      return entry('absent', '', 'silent', 'neither user namespaces nor Landlock', USER_NAMESPACES)
    const reason =
      box.landlockAbi < 3
        ? 'owner, mode, times, attributes and length of other files can be changed'
        : 'owner, mode, times and attributes of other files can be changed'
    return entry('partial', landlock(box), 'silent', reason, USER_NAMESPACES)
  },
  fs_execute: (profile, box) => {
    if (box.kind === 'namespaces') {
      return entry('enforced', also('noexec mounts, seccomp', landlock(box)), 'silent')
    }
    if (box.landlockAbi === 0)
      return entry('absent', '', 'silent', 'neither user namespaces nor Landlock', USER_NAMESPACES)
    return entry(
      'partial',
      `${landlock(box)}, seccomp`,
      'silent',
      profile.write.length === 0
        ? 'any readable file can be mapped as code'
        : 'any readable or written file can be mapped as code',
      USER_NAMESPACES,
    )
  },
  syscalls: (_profile, box) => entry('enforced', 'seccomp', calls(box)),
  egress: (profile, box) => {
    if (box.egress === 'direct') return entry('enforced', 'control group BPF', 'counted')
    if (profile.egress.length === 0) {
      return box.kind === 'namespaces'
        ? entry('enforced', 'network namespace, seccomp', calls(box))
        : entry('enforced', 'seccomp: no sockets', calls(box))
    }
    // What the proxy refuses is reported; a connection past it ends in the empty network, where nobody hears of it.
    if (box.kind === 'namespaces') return entry('enforced', 'network namespace, proxy', 'silent')
    if (box.landlockAbi >= 4) {
      return entry(
        'partial',
        `${landlock(box)}, proxy`,
        'silent',
        'any host can be reached on the port of the proxy',
        USER_NAMESPACES,
      )
    }
    return entry('absent', '', 'silent', 'neither a network namespace nor Landlock ABI 4', USER_NAMESPACES)
  },
  env: () => entry('enforced', 'launcher', 'silent'),
  process_tree_kill: (_profile, box) => {
    if (box.kind === 'namespaces') return entry('enforced', 'process namespace', 'silent')
    if (box.cgroup.kill) return entry('enforced', 'cgroup.kill', 'silent')
    return entry(
      'partial',
      'adoption of orphans',
      'silent',
      'processes survive when the launcher itself is killed',
      `${USER_NAMESPACES}; or ${CGROUPS}`,
    )
  },
  limits: (profile, box) => {
    const held: string[] = ['launcher timer']
    const open: string[] = []
    if (profile.limits.memoryBytes !== undefined) {
      if (box.cgroup.memory) held.push('memory control group')
      else open.push('memory is limited for each process and not for all together')
    }
    if (box.cgroup.processes) held.push('pids control group')
    else if (!box.rootOutside && box.kind === 'namespaces') held.push('RLIMIT_NPROC of the user namespace')
    else if (profile.limits.processes !== undefined) open.push('the number of processes is not limited')
    const mechanism = held.join(', ')
    return open.length === 0
      ? entry('enforced', mechanism, 'silent')
      : entry('partial', mechanism, 'silent', open.join('; '), CGROUPS)
  },
  ephemeral: (_profile, box) =>
    box.kind === 'namespaces'
      ? entry('enforced', 'own mounts, network and processes', 'silent')
      : entry('partial', 'own temporary directory', 'silent', 'nothing but the directory is its own', USER_NAMESPACES),
  privilege: (_profile, box) =>
    box.kind === 'namespaces'
      ? entry('enforced', 'no_new_privs, no capabilities, seccomp', calls(box))
      : entry(
          'partial',
          'no_new_privs, no capabilities, seccomp',
          calls(box),
          'priorities and scheduling of other processes of the same user can be changed',
          USER_NAMESPACES,
        ),
}
