// The policy files on disk, read as one set: names and contents as they really lay there at one moment. A reader that takes one
// file after the other can see half of one generation and half of the next; a forbid that is in neither half is gone.

import { createHash } from 'node:crypto'
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, open, readdir, realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import type { SourceText } from '../core/document.ts'
import { AgentPortError } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { printable } from '../core/text.ts'

/** All policy files as they lay on disk at one moment. */
export interface PolicyFileSet {
  /** Sorted by file. */
  readonly sources: readonly SourceText[]
  /** `sha256:` and hex over names and contents. */
  readonly digest: string
}

export interface ReadPolicyFilesOptions {
  /**
   * Files, and directories whose files `*.yaml`, `*.yml`, `*.json` and `*.toml` are policies. Not below subdirectories, no
   * name that begins with a dot, no tests (`*.policy.test.*`).
   */
  readonly paths: readonly string[]
  /** Milliseconds for which all files must have been the same. Default 100. */
  readonly debounceMs?: number
}

const DEFAULT_DEBOUNCE_MS = 100
const MAX_MS = 86_400_000
const MAX_FILES = 1000
const MAX_BYTES = 64 * 1024 * 1024
/** How often files that change while they are read are read anew. */
const ATTEMPTS = 50

/**
 * The policy files, read as one set: twice, `debounceMs` apart, with the same names, contents and identities. So no set is
 * ever half of one directory and half of that which was swapped in its place, nor of a file that is still being written
 * without a pause of `debounceMs`.
 *
 * @throws AgentPortError ERR_CONFIG_INVALID: a path is not there or not readable, a file is empty, not regular, not UTF-8 or
 *   too large, there is no file at all, or they do not hold still
 */
export async function readPolicyFiles(options: ReadPolicyFilesOptions): Promise<PolicyFileSet> {
  const { set } = await readSettled(checkRead(options))
  return set
}

/** {@link ReadPolicyFilesOptions}, checked: absolute paths, each once. */
export interface CheckedPaths {
  readonly paths: readonly string[]
  readonly debounceMs: number
}

/** @throws TypeError when an option has the wrong type */
export function checkRead({ paths, debounceMs = DEFAULT_DEBOUNCE_MS }: ReadPolicyFilesOptions): CheckedPaths {
  if (!Array.isArray(paths) || paths.length === 0 || !paths.every((path) => typeof path === 'string' && path !== '')) {
    throw new TypeError('paths is a list of files and directories')
  }
  // Resolved once: a change of the working directory must not change the policy.
  const own = (paths as readonly string[]).map((path) => resolve(path))
  return { paths: [...new Set(own)], debounceMs: checkMs('debounceMs', debounceMs) }
}

/** @throws TypeError unless `value` is a number of milliseconds a timer can wait */
export function checkMs(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= MAX_MS) return value
  throw new TypeError(`${name} is a whole number of milliseconds from 1 to ${MAX_MS}`)
}

/** Says that the files were changing; they are read again. */
class Unsettled extends Error {}

export interface SettleOptions {
  /** Digest of the set in force. One look that finds it is enough: nothing changes by it. */
  readonly inForce?: string | undefined
  readonly signal?: AbortSignal
  /** Called after every look; true when another has to follow, whatever was found. */
  readonly onLook?: (look: Look) => Promise<boolean>
}

/**
 * A set that two looks in a row agreed on, `debounceMs` apart. What is wrong with the files is believed as well when it was
 * so twice: once may have been between the two steps in which an editor saves.
 */
export async function readSettled({ paths, debounceMs }: CheckedPaths, options: SettleOptions = {}): Promise<Look> {
  const { inForce, signal, onLook } = options
  let before: Look | Error | undefined
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    signal?.throwIfAborted()
    const found = await look(paths).catch((error: unknown) => (error instanceof Error ? error : new Error('unknown')))
    if (found instanceof Error) {
      if (before instanceof Error && before.message === found.message && !(found instanceof Unsettled)) throw found
    } else {
      const again = (await onLook?.(found)) ?? false
      if (found.set.digest === inForce && !again) return found
      if (!(before instanceof Error) && before?.identity === found.identity) return found
    }
    before = found
    await pause(debounceMs, signal)
  }
  throw refused(`the policy files were not the same for ${debounceMs} ms in ${ATTEMPTS} attempts`)
}

export interface Look {
  readonly set: PolicyFileSet
  /** Names, contents, and what the system knows each file and directory by. */
  readonly identity: string
  /** The directories among the paths, and every file, by the places they really are. */
  readonly directories: readonly string[]
  readonly files: readonly string[]
}

/** One reading of all files, checked to be of one moment: nothing was touched from before the first to after the last. */
async function look(paths: readonly string[]): Promise<Look> {
  const before = await list(paths)
  const texts = new Map<string, string>()
  const files: string[] = []
  let left = MAX_BYTES
  const seen: string[] = []
  for (const file of before.files) {
    const { text, bytes, identity, real } = await readFile(file, left)
    left -= bytes
    texts.set(file, text)
    files.push(real)
    seen.push(identity)
  }
  const after = await list(paths)
  const again = await Promise.all(before.files.map((file) => stat(file, { bigint: true }).then(identityOf, () => '')))
  if (before.identity !== after.identity || again.some((identity, index) => identity !== seen[index])) {
    throw new Unsettled('the policy files changed while they were read')
  }
  const sources = [...texts].map(([file, text]) => ({ file, text }))
  const hash = createHash('sha256')
  // Lengths first, so that no name can pass for a part of a text.
  for (const { file, text } of sources) hash.update(`${file.length} ${text.length}\n${file}${text}`)
  const digest = `sha256:${hash.digest('hex')}`
  const identity = [digest, before.identity, ...seen].join('\n')
  return { set: { sources, digest }, identity, directories: before.directories, files }
}

interface Listing {
  readonly files: readonly string[]
  readonly directories: readonly string[]
  readonly identity: string
}

async function list(paths: readonly string[]): Promise<Listing> {
  const files = new Set<string>()
  const directories: string[] = []
  const identity: string[] = []
  for (const path of paths) {
    const real = await named(path, () => realpath(path))
    const stats = await named(path, () => stat(path, { bigint: true }))
    identity.push(real)
    if (!stats.isDirectory()) {
      files.add(path)
      continue
    }
    // Its own times tell that a link in it was replaced, though every name is as before.
    identity.push(identityOf(stats))
    directories.push(real)
    const names = (await named(path, () => readdir(path))).filter(isPolicyName)
    for (const name of names) files.add(join(path, name))
  }
  if (files.size === 0) throw refused(`there is no policy file in ${paths.map((path) => printable(path)).join(', ')}`)
  if (files.size > MAX_FILES) throw refused(`there are more than ${MAX_FILES} policy files`)
  const sorted = [...files].sort()
  return { files: sorted, directories, identity: JSON.stringify([identity, sorted]) }
}

/** Dotfiles are editors' locks and Kubernetes' `..data`; what ends in `~`, `.tmp` or `.bak` is no policy either. */
function isPolicyName(name: string): boolean {
  return !name.startsWith('.') && /\.(?:ya?ml|json|toml)$/i.test(name) && !/\.policy\.test\.[a-z]+$/i.test(name)
}

interface FileRead {
  readonly text: string
  readonly bytes: number
  readonly identity: string
  readonly real: string
}

async function readFile(file: string, left: number): Promise<FileRead> {
  return named(file, async () => {
    const real = await realpath(file)
    // Without blocking: a fifo planted under the name must not hang the watcher.
    const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      const before = await handle.stat({ bigint: true })
      if (!before.isFile()) throw refused('it is not a regular file')
      const bytes = await readBounded(handle, Math.min(left, LIMITS.documentLength))
      const identity = identityOf(await handle.stat({ bigint: true }))
      if (identity !== identityOf(before)) throw new Unsettled('it changed while it was read')
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
      // What a writer leaves that truncates first and then writes, or stops when the disk is full.
      if (text.trim() === '') throw refused('it is empty')
      return { text, bytes: bytes.length, identity, real }
    } finally {
      await handle.close()
    }
  })
}

async function readBounded(handle: FileHandle, bound: number): Promise<Uint8Array> {
  const { size } = await handle.stat()
  if (size > bound) throw refused(`it is larger than ${LIMITS.documentLength} bytes, or all files than ${MAX_BYTES}`)
  const bytes = new Uint8Array(size)
  let length = 0
  while (length < size) {
    const { bytesRead } = await handle.read(bytes, length, size - length, length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return bytes.subarray(0, length)
}

function identityOf(stats: BigIntStats): string {
  const { dev, ino, mode, size, mtimeNs, ctimeNs } = stats
  return `${dev} ${ino} ${mode} ${size} ${mtimeNs} ${ctimeNs}`
}

/** Says in any failure of `action` which file it is about. */
async function named<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    if (cause instanceof Unsettled) throw cause
    const why = cause instanceof Error ? cause.message : 'unknown error'
    throw refused(`cannot read ${printable(path)}: ${printable(why)}`, cause)
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    function done(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done, { once: true })
  })
}

function refused(message: string, cause?: unknown): AgentPortError {
  return new AgentPortError('ERR_CONFIG_INVALID', message, cause === undefined ? {} : { cause })
}
