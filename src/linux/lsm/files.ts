// Files as the security module programs know them. Opens each one, asks the kernel for the numbers it uses itself, and keeps
// it open, so that no other file can get those numbers while they are on a list. A file whose numbers are not the ones that
// stat(2) promises to be unique is refused: on an overlay of several file systems two files can share them.

import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

import { AgentPortError } from '../../core/errors.ts'
import { printable } from '../../core/text.ts'
import type { LsmFile } from './programs.ts'

export interface ListedFile {
  /** Of the host, without symbolic links. */
  readonly path: string
  readonly execute: boolean
  readonly map: boolean
}

/** The files of one box, held until {@link close}. */
export interface LsmFiles {
  readonly files: readonly LsmFile[]
  /** Path of the file with these numbers, `dev` as a record has it. */
  pathOf(dev: number, ino: bigint): string | undefined
  close(): void
}

/** Throws ERR_ENFORCEMENT_UNAVAILABLE, with nothing left open, for a file that cannot be opened or told apart. */
export function openLsmFiles(listed: readonly ListedFile[]): LsmFiles {
  const open: number[] = []
  const close = (): void => {
    for (const fd of open.splice(0)) closeSync(fd)
  }
  try {
    const supers = superBlocks(readFileSync('/proc/self/mountinfo', 'utf8'))
    const names = new Map<string, string>()
    const files = listed.map(({ path, execute, map }) => {
      const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      open.push(fd)
      const { dev, ino } = fstatSync(fd, { bigint: true })
      const told = identityOf(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'), supers)
      if (typeof told === 'string') throw unavailable(path, told)
      const [major, minor] = splitDev(dev)
      if (told.major !== major || told.minor !== minor || told.ino !== ino) {
        throw unavailable(path, 'its file system gives other numbers than the kernel uses, as overlays and btrfs do')
      }
      names.set(`${((major << 20) | minor) >>> 0}:${ino}`, path)
      return Object.freeze({ major, minor, ino, execute, map })
    })
    return Object.freeze({
      files: Object.freeze(files),
      pathOf: (dev: number, ino: bigint) => names.get(`${dev}:${ino}`),
      close,
    })
  } catch (error) {
    close()
    if (error instanceof AgentPortError) throw error
    throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', 'a listed file cannot be opened', { cause: error })
  }
}

interface Device {
  readonly major: number
  readonly minor: number
}

/** Device of the super block of each mount, by the mount's number: fields 1 and 3 of mountinfo, proc_pid_mountinfo(5). */
export function superBlocks(mountinfo: string): ReadonlyMap<number, Device> {
  const found = new Map<number, Device>()
  for (const line of mountinfo.split('\n')) {
    const match = /^(\d+) \d+ (\d+):(\d+) /.exec(line)
    if (match !== null) found.set(Number(match[1]), { major: Number(match[2]), minor: Number(match[3]) })
  }
  return found
}

/** Numbers of an open file inside the kernel, or why they are not known. `ino` is there since Linux 5.14. */
export function identityOf(
  fdinfo: string,
  supers: ReadonlyMap<number, Device>,
): { readonly major: number; readonly minor: number; readonly ino: bigint } | string {
  const mount = /^mnt_id:\s*(\d+)$/m.exec(fdinfo)?.[1]
  const ino = /^ino:\s*(\d+)$/m.exec(fdinfo)?.[1]
  if (mount === undefined || ino === undefined) return 'this kernel does not say which file it is (Linux 5.14 does)'
  const device = supers.get(Number(mount))
  if (device === undefined) return 'it is on no mount of this process'
  return { ...device, ino: BigInt(ino) }
}

/** A device number of stat(2) as its two parts, makedev(3). */
export function splitDev(dev: bigint): readonly [major: number, minor: number] {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xffff_f000n)
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffff_ff00n)
  return [Number(major), Number(minor)]
}

function unavailable(path: string, reason: string): AgentPortError {
  return new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', `${printable(path)} cannot be listed by number: ${reason}`)
}
