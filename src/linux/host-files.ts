// What planning a box needs to know of the host's files, so that a plan can be made and tested from a table of files on any
// operating system. Trusts nothing it reads: whoever may write a directory may have put anything there.

import type { Dirent, Stats } from 'node:fs'
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs'

export type FileType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'character_device'
  | 'block_device'
  | 'fifo'
  | 'socket'
  | 'unknown'

export interface FileStat {
  readonly type: FileType
  /** Permission bits, setuid, setgid and sticky: the low twelve bits of st_mode. */
  readonly mode: number
  readonly uid: number
  /** Names of the inode. */
  readonly links: number
  readonly dev: number
  readonly ino: number
}

export interface DirectoryEntry {
  readonly name: string
  readonly type: FileType
}

/** Bytes that are asked for piece by piece: programs of a hundred megabytes keep what matters at their end. */
export interface ByteSource {
  readonly size: number
  /** The bytes from `offset` on, at most `length`; fewer at the end. Never throws. */
  read(offset: number, length: number): Uint8Array
}

/** Every method takes a canonical absolute path and gives `undefined` for what cannot be had. None of them throws. */
export interface HostFiles {
  /** Of the last segment itself; the segments before it are followed. */
  lstat(path: string): FileStat | undefined
  readlink(path: string): string | undefined
  /** What is in a directory, sorted by name, without `.` and `..`. */
  readdir(path: string): readonly DirectoryEntry[] | undefined
  /** Opens a regular file, which `path` must name without a symbolic link at its end, for as long as `use` runs. */
  read<T>(path: string, use: (source: ByteSource) => T): T | undefined
}

/** The files of this host. */
export const nodeHostFiles: HostFiles = Object.freeze({
  lstat(path: string): FileStat | undefined {
    return attempt(() => toStat(lstatSync(path)))
  },
  readlink(path: string): string | undefined {
    return attempt(() => readlinkSync(path))
  },
  readdir(path: string): readonly DirectoryEntry[] | undefined {
    const entries = attempt(() => readdirSync(path, { withFileTypes: true }))
    return entries
      ?.map((entry) => ({ name: entry.name, type: typeOf(entry) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  },
  read<T>(path: string, use: (source: ByteSource) => T): T | undefined {
    return PURE.has(use) ? readOnce(path, use) : readNow(path, use)
  },
})

// Without this a plan would read and parse the same libraries for every box.
const PURE = new WeakSet<object>()
const KNOWN = new WeakMap<object, Map<string, { readonly identity: string; readonly value: unknown }>>()
const KNOWN_FILES = 1024
/** A file that was changed so lately may be changed again without its times showing it. */
const SETTLED_MS = 1000

/**
 * Says that what `use` gives depends on the bytes alone and is never changed, so that it may be kept for as long as the file
 * is the same: device, inode, size and both times.
 */
export function pureReader<T>(use: (source: ByteSource) => T): (source: ByteSource) => T {
  PURE.add(use)
  return use
}

function readOnce<T>(path: string, use: (source: ByteSource) => T): T | undefined {
  const identity = identityOf(path)
  const known = KNOWN.get(use) ?? new Map<string, { readonly identity: string; readonly value: unknown }>()
  const before = known.get(path)
  if (identity !== undefined && before?.identity === identity) return before.value as T
  const value = readNow(path, use)
  if (value === undefined || identity === undefined || identityOf(path) !== identity) return value
  if (known.size >= KNOWN_FILES) known.clear()
  known.set(path, { identity, value })
  KNOWN.set(use, known)
  return value
}

function identityOf(path: string): string | undefined {
  const stats = attempt(() => lstatSync(path, { bigint: true }))
  if (stats?.isFile() !== true || Date.now() - Number(stats.ctimeMs) < SETTLED_MS) return undefined
  return `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`
}

function readNow<T>(path: string, use: (source: ByteSource) => T): T | undefined {
  // Without O_NONBLOCK opening a fifo that was put there instead would wait for a writer for ever.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const fd = attempt(() => openSync(path, flags))
  if (fd === undefined) return undefined
  try {
    const stats = attempt(() => fstatSync(fd))
    if (stats?.isFile() !== true) return undefined
    return use({ size: stats.size, read: (offset, length) => readAt(fd, offset, length) })
  } finally {
    closeSync(fd)
  }
}

/** `files` as they were when each was first looked at: one plan must not see a path change under it, nor ask twice. */
export function rememberFiles(files: HostFiles): HostFiles {
  const stats = new Map<string, FileStat | undefined>()
  const links = new Map<string, string | undefined>()
  return {
    lstat: (path) => remember(stats, path, () => files.lstat(path)),
    readlink: (path) => remember(links, path, () => files.readlink(path)),
    readdir: (path) => files.readdir(path),
    read: (path, use) => files.read(path, use),
  }
}

function remember<T>(known: Map<string, T>, path: string, find: () => T): T {
  const before = known.get(path)
  if (before !== undefined || known.has(path)) return before as T
  const found = find()
  known.set(path, found)
  return found
}

function readAt(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let filled = 0
  while (filled < length) {
    const got = attempt(() => readSync(fd, bytes, filled, length - filled, offset + filled)) ?? 0
    if (got === 0) break
    filled += got
  }
  return bytes.subarray(0, filled)
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch {
    return undefined
  }
}

function toStat(stats: Stats): FileStat {
  return {
    type: typeOf(stats),
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    links: stats.nlink,
    dev: stats.dev,
    ino: stats.ino,
  }
}

function typeOf(stats: Stats | Dirent): FileType {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'directory'
  if (stats.isSymbolicLink()) return 'symlink'
  if (stats.isCharacterDevice()) return 'character_device'
  if (stats.isBlockDevice()) return 'block_device'
  if (stats.isFIFO()) return 'fifo'
  return stats.isSocket() ? 'socket' : 'unknown'
}

/** A symbolic link, at a path that has no other link before it. */
export interface PathLink {
  readonly path: string
  readonly to: string
  readonly stat: FileStat
}

/** Where a path leads, one symbolic link at a time. */
export interface ResolvedPath {
  /** The path without a symbolic link in it. */
  readonly real: string
  readonly stat: FileStat
  /** The links on the way, in the order the kernel follows them. */
  readonly links: readonly PathLink[]
}

// MAXSYMLINKS of the kernel (path_resolution(7)).
const MAX_LINKS = 40

/** Follows `path` as the kernel does. `undefined` when it leads nowhere, in circles, or to a name that is not canonical text. */
export function resolvePath(files: HostFiles, path: string): ResolvedPath | undefined {
  const links: PathLink[] = []
  const pending = path
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.')
    .reverse()
  let real = ''
  let stat = files.lstat('/')
  for (let segment = pending.pop(); segment !== undefined; segment = pending.pop()) {
    if (stat?.type !== 'directory') return undefined
    if (segment === '..') {
      real = real.slice(0, Math.max(0, real.lastIndexOf('/')))
      stat = files.lstat(real === '' ? '/' : real)
      continue
    }
    const next = `${real}/${segment}`
    const found = files.lstat(next)
    if (found === undefined) return undefined
    if (found.type !== 'symlink') {
      real = next
      stat = found
      continue
    }
    const to = files.readlink(next)
    if (to === undefined || to === '' || links.length === MAX_LINKS) return undefined
    links.push({ path: next, to, stat: found })
    if (to.startsWith('/')) {
      real = ''
      stat = files.lstat('/')
    }
    pending.push(
      ...to
        .split('/')
        .filter((part) => part !== '' && part !== '.')
        .reverse(),
    )
  }
  return stat === undefined ? undefined : { real: real === '' ? '/' : real, stat, links }
}
