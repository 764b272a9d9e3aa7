// Boxes to try things on.

import type { SeccompNeeds } from '../../../src/linux/seccomp/floor.ts'
import type { Arch } from '../../../src/linux/seccomp/syscalls.ts'

export const STRICTEST: SeccompNeeds = Object.freeze({
  arch: 'x64',
  executableMemory: false,
  listen: false,
  inet: false,
  udp: false,
  unixSockets: false,
  forbiddenSyscalls: [],
  notify: false,
  namespaces: true,
  rootOutside: false,
})

export const ARCHES: readonly Arch[] = ['x64', 'arm64']

const RIGHTS = [
  'executableMemory',
  'listen',
  'inet',
  'udp',
  'unixSockets',
  'notify',
  'namespaces',
  'rootOutside',
] as const

/** All 512 of them. */
export function everyNeed(): readonly SeccompNeeds[] {
  return ARCHES.flatMap((arch) =>
    Array.from({ length: 1 << RIGHTS.length }, (_, bits) => ({
      ...STRICTEST,
      arch,
      ...(Object.fromEntries(RIGHTS.map((right, index) => [right, (bits >> index) % 2 === 1])) as Pick<
        SeccompNeeds,
        (typeof RIGHTS)[number]
      >),
    })),
  )
}
