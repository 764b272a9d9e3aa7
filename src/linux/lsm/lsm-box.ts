// The security module programs of one planned box, with the files they stand on, and what they say in words.

import { EnforcementUnavailableError } from '../../enforcer/report.ts'
import type { BoxSetup, BpfObject } from '../box.ts'
import type { LibraryClosure } from '../library-closure.ts'
import type { Btf } from './btf.ts'
import { readLsmEvent } from './events.ts'
import { type LsmFiles, openLsmFiles } from './files.ts'
import { listedFiles } from './listed.ts'
import { lsmPrograms } from './programs.ts'

export interface LsmBoxOptions {
  readonly btf: Btf
  /** Id of the box's control group. */
  readonly cgroup: bigint
  readonly executableMemory: boolean
}

export interface LsmBox {
  readonly object: BpfObject
  /** The subject of a record of the ring buffer; a record that cannot be read is still a denial. */
  describe(record: Uint8Array): string
  /** When the box has ended: until then its files keep their numbers. */
  close(): void
}

/** Throws {@link EnforcementUnavailableError} for a box whose files cannot be listed, with nothing left open. */
export function lsmBox(setup: BoxSetup, closure: LibraryClosure, options: LsmBoxOptions): LsmBox {
  const listing = listedFiles(setup, closure)
  if (!listing.ok) {
    throw new EnforcementUnavailableError('linux', [
      { feature: 'fs_execute', status: 'absent', reason: `no list for the security module: ${listing.reason}` },
    ])
  }
  const held = openLsmFiles(listing.files)
  try {
    const { cgroup, executableMemory } = options
    const object = lsmPrograms(options.btf, { cgroup, executableMemory, files: held.files })
    return Object.freeze({ object, describe: (record: Uint8Array) => subjectOf(record, held), close: held.close })
  } catch (error) {
    held.close()
    throw error
  }
}

const VERBS = { exec: 'execute', map: 'map as code', protect: 'turn into code' } as const

function subjectOf(record: Uint8Array, held: LsmFiles): string {
  const event = readLsmEvent(record)
  if (event === undefined) return 'code'
  const { hook, reason, dev, ino } = event
  if (reason === 'anonymous') return `${VERBS[hook]}: memory`
  const path = held.pathOf(dev, ino)
  // The name of an unlisted file is not known here, and a name that its owner chose would prove nothing.
  return `${VERBS[hook]}: ${path ?? `file ${ino} on device ${dev >>> 20}:${dev & 0xfffff}`}`
}
