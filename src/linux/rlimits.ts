// Resource limits of every process in a box. They are a floor under the control groups, which not every host gives us:
// each is per process or per user, so none of them bounds a whole box by itself but the number of processes.

import type { ProfileLimits } from '../enforcer/profile.ts'
import type { Rlimit } from './box.ts'

/** Numbers of setrlimit(2), the same on x86-64 and aarch64 (asm-generic/resource.h). */
export const RLIMIT = {
  DATA: 2,
  CORE: 4,
  NPROC: 6,
  NOFILE: 7,
  MEMLOCK: 8,
  MSGQUEUE: 12,
  NICE: 13,
  RTPRIO: 14,
} as const

/** Processes and threads of a box whose profile does not say. */
export const DEFAULT_PROCESSES = 128

/** `memoryHeld`: a control group holds the memory of the whole box. */
export function planRlimits(limits: ProfileLimits, options: { readonly memoryHeld: boolean }): readonly Rlimit[] {
  const { memoryBytes } = limits
  return [
    // One byte, not none: a core_pattern with a pipe runs its program, as root on the host, whatever the limit is, and only
    // a limit of exactly 1 stops it (do_coredump); for files both are below the smallest dump.
    { resource: RLIMIT.CORE, limit: 1n },
    // git and node ask for some hundreds; what is open is kernel memory of the host.
    { resource: RLIMIT.NOFILE, limit: 4096n },
    // Counted by user: inside a user namespace those of the box (Linux 5.14), else all of the same user on the host. It does
    // not bind root, so a box that runs as root needs a control group.
    { resource: RLIMIT.NPROC, limit: BigInt(limits.processes ?? DEFAULT_PROCESSES) },
    // Enough for a key or two; what is locked cannot be swapped or reclaimed.
    { resource: RLIMIT.MEMLOCK, limit: 65_536n },
    { resource: RLIMIT.MSGQUEUE, limit: 65_536n },
    { resource: RLIMIT.NICE, limit: 0n },
    { resource: RLIMIT.RTPRIO, limit: 0n },
    // DATA and not AS: V8 and Go reserve hundreds of gigabytes of addresses and use little of them. DATA counts private
    // writable memory (Linux 4.7), of one process.
    ...(memoryBytes === undefined || options.memoryHeld ? [] : [{ resource: RLIMIT.DATA, limit: BigInt(memoryBytes) }]),
  ]
}
