// The seccomp part of a box: from what a box needs to programs the launcher installs, and from what a listener was told
// to a line of a report. Everything else under this folder is reached through here.

import { floorOf, type SeccompNeeds, type UnrepresentableSyscall } from './floor.ts'
import { compileProgram } from './program.ts'

export type { SeccompNeeds, UnrepresentableSyscall } from './floor.ts'
export { describeNotified, type NotifiedSyscall } from './notified.ts'
export { type Arch, syscallName } from './syscalls.ts'

export interface SeccompPrograms {
  /** Taken by the first process of the box and so by all. */
  readonly box: Uint8Array
  /** Taken by each command just before execve, on top of `box`. */
  readonly command?: Uint8Array
  /** Whether `box` has answers for a listener, and must be installed with one. */
  readonly notify: boolean
  /** Not empty: the programs do less than was asked for, and no box may be opened with them. */
  readonly unrepresentable: readonly UnrepresentableSyscall[]
}

/** Throws `TypeError` for an architecture that there is no table of. */
export function compileSeccomp(needs: SeccompNeeds): SeccompPrograms {
  const { box, command, unrepresentable } = floorOf(needs)
  return Object.freeze({
    box: compileProgram(box),
    ...(command === undefined ? {} : { command: compileProgram(command) }),
    notify: needs.notify,
    unrepresentable,
  })
}
