// Reads a skill from disk into memory, once: what is returned is what was on disk under exactly those names, and it is
// what has to be hashed and run. Refuses everything that has no single meaning (links, devices, odd names), so that no
// two readers of the directory see two skills. Trusts nothing in the directory to hold still while it is read.

import {
  type BigIntStats,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  opendirSync,
  openSync,
  readSync,
  realpathSync,
} from 'node:fs'

import {
  decodeUtf8,
  ENVELOPE_FILE,
  findManifest,
  readIdentity,
  type SkillBundle,
  type SkillFile,
} from '../attestation/bundle.ts'
import { nameFault, nameFaults } from '../attestation/names.ts'
import type { SourceText } from '../core/document.ts'
import { AgentPortError } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { DocumentError } from '../core/problem.ts'
import { printable } from '../core/text.ts'

export interface ReadSkillOptions {
  /** The name the skill is expected to have. Without it, the one its manifest says; verification compares the two. */
  readonly name?: string
}

// Windows has none of the three; there links are told by lstat alone.
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0
const OPEN_FILE = constants.O_RDONLY | NO_FOLLOW | (constants.O_NONBLOCK ?? 0)
const OPEN_DIRECTORY = constants.O_RDONLY | NO_FOLLOW | (constants.O_DIRECTORY ?? 0)
const SET_ID = 0o6000n

/**
 * Every file below `directory`, dotfiles and node_modules included: nothing is ignored, because nothing that lies there
 * is out of the skill's reach. Only `skill.attestation.json` at the root is kept apart, as text.
 *
 * @throws AgentPortError ERR_SKILL_UNREADABLE: a link, hard link, device, FIFO, socket, set-id bit, empty directory,
 *   unusable name, no or two manifests, over LIMITS.skillFiles or skillBytes, or changed while it was read
 * @throws DocumentError ERR_MANIFEST_INVALID: the manifest does not parse or does not say which skill it is for
 */
export function readSkillDirectory(directory: string, options: ReadSkillOptions = {}): SkillBundle {
  if (typeof directory !== 'string' || directory === '') throw new TypeError('readSkillDirectory takes a path')
  const reader = new TreeReader(directory)
  const { envelope, files } = reader.read()
  const faults = nameFaults([ENVELOPE_FILE, ...files.map((file) => file.path)])
  const [fault] = faults
  if (fault !== undefined) throw unreadable(directory, fault.path, fault.reason)

  const attestation = envelope === undefined ? undefined : decodeUtf8(envelope.bytes)
  if (envelope !== undefined && attestation === undefined) throw unreadable(directory, ENVELOPE_FILE, 'it is not UTF-8')
  const manifest = readManifest(directory, files)
  const read = readIdentity(manifest)
  if (!read.ok) throw new DocumentError('ERR_MANIFEST_INVALID', read.problems)
  return {
    name: options.name ?? read.identity.skill,
    files,
    manifest,
    directory,
    ...(attestation === undefined ? {} : { attestation }),
  }
}

// From the bytes already read, never from the path again: what is judged as manifest is what was hashed.
function readManifest(directory: string, files: readonly SkillFile[]): SourceText {
  const found = findManifest(files.map((file) => file.path))
  if (!found.ok) throw unreadable(directory, '', `it ${found.reason}`)
  const text = decodeUtf8(files.find((file) => file.path === found.path)?.bytes ?? new Uint8Array())
  if (text === undefined) throw unreadable(directory, found.path, 'it is not UTF-8')
  return { file: join(directory, found.path), text }
}

interface OpenDirectory {
  readonly fd: number
  /** What opens children: the descriptor itself where the kernel lends it a name, so that no swapped path is walked. */
  readonly base: string
  /** Relative to the skill, with a slash at the end unless it is the root. */
  readonly prefix: string
}

class TreeReader {
  readonly #directory: string
  readonly #files: SkillFile[] = []
  readonly #byDescriptor = process.platform === 'linux' && existsSync('/proc/self/fd')
  #envelope: SkillFile | undefined
  #size = 0

  constructor(directory: string) {
    this.#directory = directory
  }

  read(): { readonly files: readonly SkillFile[]; readonly envelope: SkillFile | undefined } {
    // The operator may keep the whole skill behind a link; inside it none is followed.
    const root = this.#try('', () => realpathSync(this.#directory))
    this.#enter(root, '', 0)
    this.#files.sort((a, b) => (a.path < b.path ? -1 : 1))
    return { files: this.#files, envelope: this.#envelope }
  }

  #enter(path: string, prefix: string, depth: number): void {
    const shown = prefix.slice(0, -1)
    if (depth >= LIMITS.depth) throw this.#refuse(shown, `it lies deeper than ${LIMITS.depth} directories`)
    const fd = this.#try(shown, () => openSync(path, OPEN_DIRECTORY))
    try {
      const opened = this.#try(shown, () => fstatSync(fd, { bigint: true }))
      this.#walk({ fd, base: this.#byDescriptor ? `/proc/self/fd/${fd}` : path, prefix }, depth)
      // Without descriptors to walk by, at least the directory that was listed must still be the one at this path.
      const after = this.#byDescriptor ? opened : this.#try(shown, () => lstatSync(path, { bigint: true }))
      if (after.ino !== opened.ino || after.dev !== opened.dev) {
        throw this.#refuse(shown, 'it was replaced while it was read')
      }
    } finally {
      closeSync(fd)
    }
  }

  #walk(directory: OpenDirectory, depth: number): void {
    const names = this.#list(directory)
    // A git tree cannot hold an empty directory, so its digest could not tell that one came or went.
    if (names.length === 0) throw this.#refuse(directory.prefix.slice(0, -1), 'the directory is empty')
    for (const name of names) {
      const path = `${directory.prefix}${name}`
      const fault = nameFault(path)
      if (fault !== undefined) throw this.#refuse(path, fault)
      const at = `${directory.base}/${name}`
      // Told by lstat before anything is opened: opening a device can already do something.
      const stats = this.#try(path, () => lstatSync(at, { bigint: true }))
      if (stats.isDirectory()) {
        this.#enter(at, `${path}/`, depth + 1)
        continue
      }
      const kind = kindFault(stats)
      if (kind !== undefined) throw this.#refuse(path, kind)
      this.#add(this.#readFile(at, path))
    }
  }

  #list(directory: OpenDirectory): readonly string[] {
    const shown = directory.prefix.slice(0, -1)
    // As bytes: decoded, a name of byte FF and one of U+FFFD are the same string, and one file would be read twice.
    const listing = this.#try(shown, () => opendirSync(directory.base, { encoding: 'buffer' as BufferEncoding }))
    const names: string[] = []
    try {
      for (;;) {
        const entry = this.#try(shown, () => listing.readSync())
        if (entry === null) break
        const name = decodeUtf8(entry.name as unknown as Uint8Array)
        if (name === undefined) throw this.#refuse(shown, 'a name in it is not UTF-8')
        names.push(name)
        if (names.length > LIMITS.skillFiles + 1) {
          throw this.#refuse(shown, `it has more than ${LIMITS.skillFiles} files`)
        }
      }
    } finally {
      listing.closeSync()
    }
    return names
  }

  #readFile(at: string, path: string): SkillFile {
    const fd = this.#try(path, () => openSync(at, OPEN_FILE))
    try {
      const before = this.#try(path, () => fstatSync(fd, { bigint: true }))
      const kind = kindFault(before)
      if (kind !== undefined) throw this.#refuse(path, kind)
      if (before.size > BigInt(LIMITS.skillBytes - this.#size)) {
        throw this.#refuse(path, `with it the skill is larger than ${LIMITS.skillBytes} bytes`)
      }
      const bytes = new Uint8Array(Number(before.size))
      let length = 0
      while (length < bytes.length) {
        const read = this.#try(path, () => readSync(fd, bytes, length, bytes.length - length, null))
        if (read === 0) break
        length += read
      }
      const after = this.#try(path, () => fstatSync(fd, { bigint: true }))
      if (length !== bytes.length || !sameState(before, after)) throw this.#refuse(path, 'it changed while it was read')
      return { path, executable: (before.mode & 0o100n) !== 0n, bytes }
    } finally {
      closeSync(fd)
    }
  }

  #add(file: SkillFile): void {
    if (file.path === ENVELOPE_FILE) {
      if (file.bytes.length > LIMITS.envelopeLength) {
        throw this.#refuse(file.path, `it is larger than ${LIMITS.envelopeLength} bytes`)
      }
      this.#envelope = file
      return
    }
    if (this.#files.length >= LIMITS.skillFiles) throw this.#refuse('', `it has more than ${LIMITS.skillFiles} files`)
    this.#size += file.bytes.length
    this.#files.push(file)
  }

  #try<T>(path: string, action: () => T): T {
    try {
      return action()
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'it cannot be read'
      // What O_NOFOLLOW and O_DIRECTORY say when the entry became a link after it was looked at.
      const reason = code === 'ELOOP' || code === 'ENOTDIR' ? `it is a link or was replaced (${code})` : code
      throw unreadable(this.#directory, path, reason, cause)
    }
  }

  #refuse(path: string, reason: string): AgentPortError {
    return unreadable(this.#directory, path, reason)
  }
}

function kindFault(stats: BigIntStats): string | undefined {
  if (stats.isSymbolicLink()) return 'it is a symbolic link'
  if (stats.isFIFO()) return 'it is a FIFO'
  if (stats.isSocket()) return 'it is a socket'
  if (!stats.isFile()) return 'it is not a regular file'
  // Another name elsewhere can change the bytes after they were verified, past every check on this directory.
  if (stats.nlink !== 1n) return 'it has a hard link'
  if ((stats.mode & SET_ID) !== 0n) return 'it has a set-user-id or set-group-id bit'
  return undefined
}

function sameState(before: BigIntStats, after: BigIntStats): boolean {
  const parts = ['dev', 'ino', 'mode', 'nlink', 'size', 'mtimeNs', 'ctimeNs'] as const
  return parts.every((part) => before[part] === after[part])
}

function unreadable(directory: string, path: string, reason: string, cause?: unknown): AgentPortError {
  const where = path === '' ? directory : join(directory, path)
  return new AgentPortError(
    'ERR_SKILL_UNREADABLE',
    printable(`${where}: ${reason}`),
    cause === undefined ? {} : { cause },
  )
}

function join(directory: string, path: string): string {
  return directory.endsWith('/') ? `${directory}${path}` : `${directory}/${path}`
}
