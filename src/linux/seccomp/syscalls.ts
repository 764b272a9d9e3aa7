// Names and numbers of system calls, by architecture. Decides which names exist at all; the numbers come from generated
// tables that are shipped, because the machines this runs on have no kernel headers.

import { SYSCALLS_ARM64 } from './syscalls-arm64.ts'
import { FOREIGN_SYSCALLS } from './syscalls-foreign.ts'
import { SYSCALLS_X64 } from './syscalls-x64.ts'

/** As `process.arch` spells them. */
export type Arch = 'x64' | 'arm64'

export interface SyscallTable {
  /** AUDIT_ARCH_*, the value of `arch` in struct seccomp_data. */
  readonly auditArch: number
  readonly numbers: ReadonlyMap<string, number>
  readonly names: ReadonlyMap<number, string>
}

const TABLES: Readonly<Record<Arch, SyscallTable>> = Object.freeze({
  x64: tableOf(0xc000_003e, SYSCALLS_X64),
  arm64: tableOf(0xc000_00b7, SYSCALLS_ARM64),
})

/** Every name of every architecture of a kernel that runs one of ours, including names that no box can call. */
export const SYSCALL_NAMES: readonly string[] = Object.freeze([
  ...new Set([...TABLES.x64.numbers.keys(), ...TABLES.arm64.numbers.keys(), ...FOREIGN_SYSCALLS]),
])

export function syscallTable(arch: Arch): SyscallTable {
  if (!Object.hasOwn(TABLES, arch)) throw new TypeError('arch must be x64 or arm64')
  return TABLES[arch]
}

/** For reports: a number without a name is shown as a number. */
export function syscallName(arch: Arch, nr: number): string {
  return syscallTable(arch).names.get(nr) ?? `syscall ${nr}`
}

function tableOf(auditArch: number, table: Readonly<Record<string, number>>): SyscallTable {
  const entries = Object.entries(table)
  return Object.freeze({
    auditArch,
    numbers: new Map(entries),
    names: new Map(entries.map(([name, number]) => [number, name])),
  })
}
