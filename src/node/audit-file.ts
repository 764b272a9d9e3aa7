// An audit log in a file, one record a line. Decides whether a file may be appended to: it is ours alone, it verifies, and
// what a crash left half-written at its end is set aside and recorded, never glued to the next record and never dropped.
// Trusts the directory: whoever may write there may replace the log, which only a head kept elsewhere shows.

import {
  closeSync,
  constants,
  fdatasync as fdatasyncCallback,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  type Stats,
  write as writeCallback,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { AuditHead } from '../audit/chain.ts'
import type { AuditRecovery, AuditSink } from '../audit/sink.ts'
import { type AuditVerification, AuditVerifier, type AuditVerifyOptions } from '../audit/verify.ts'
import { sha256Hex } from '../core/crypto.ts'
import { AgentPortError } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { readLines, type Tail } from './audit-lines.ts'
import { type AuditLock, acquireLock, type ForeignLock } from './audit-lock.ts'
import { type AuditFileIo, type Durability, openWriter } from './audit-writer.ts'

const write = promisify(writeCallback)
const fdatasync = promisify(fdatasyncCallback)

export interface AuditFileOptions {
  /** When a record counts as written. Default `fdatasync`: when the disk has it. */
  readonly durability?: Durability
  /**
   * A lock left by a process of another PID namespace, as after the restart of a container. Default `refuse`. With
   * `take_over` something else must see to it that only one container writes this log.
   */
  readonly foreignLock?: ForeignLock
}

export interface AuditFileSink extends AuditSink {
  /** The log, with the links in its directory resolved. */
  readonly path: string
  readonly recovered: readonly AuditRecovery[]
  flush(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens a log for appending, and makes it when there is none. Reads and verifies all of it first.
 *
 * @throws AgentPortError ERR_AUDIT_LOCKED: another writer has it open. ERR_AUDIT_CORRUPT: it does not verify.
 *   ERR_AUDIT_UNAVAILABLE: it cannot be read or written, or is not a regular file that only its owner can write.
 */
export async function openAuditFile(path: string, options: AuditFileOptions = {}): Promise<AuditFileSink> {
  const { durability = 'fdatasync', foreignLock = 'refuse' } = options
  if (typeof path !== 'string' || path === '') throw new TypeError('openAuditFile needs a path')
  if (durability !== 'fdatasync' && durability !== 'os') throw new TypeError("durability is 'fdatasync' or 'os'")
  if (foreignLock !== 'refuse' && foreignLock !== 'take_over') {
    throw new TypeError("foreignLock is 'refuse' or 'take_over'")
  }
  const place = guardIo('The directory of the audit log cannot be found.', () => placeOf(path))
  const lock = acquireLock(`${place.path}.lock`, foreignLock)
  let fd: number | undefined
  try {
    fd = openLog(place.path)
    const opened = fd
    const found = await readLog(opened)
    const recovered = guardIo('The end of the audit log cannot be repaired.', () => recover(place, opened, found))
    // The name as well as the bytes must outlive a power failure.
    guardIo('The directory of the audit log cannot be written.', () => syncDirectory(place.directory))
    return makeSink(place, opened, lock, durability, {
      size: found.tail.offset,
      resume: found.verification.head,
      recovered: [...(lock.recovery === undefined ? [] : [lock.recovery]), ...recovered],
    })
  } catch (error) {
    if (fd !== undefined) closeSync(fd)
    try {
      lock.release()
    } catch {
      // The lock stays and is taken over once this process is gone; what went wrong first is what the caller must know.
    }
    throw error
  }
}

/**
 * Verifies a log file, streaming. A line that its writer has not finished yet is reported as torn.
 *
 * @throws AgentPortError ERR_AUDIT_UNAVAILABLE when it cannot be read; TypeError when `expectHead` is not a head.
 */
export async function verifyAuditFile(path: string, options: AuditVerifyOptions = {}): Promise<AuditVerification> {
  const verifier = new AuditVerifier(options)
  // O_NONBLOCK: a named pipe would hold the caller until somebody writes to it.
  const fd = guardIo('The audit log cannot be read.', () => openSync(path, constants.O_RDONLY | flag('O_NONBLOCK')))
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw unavailable('The audit log is not a regular file.')
    const tail = await readAll(fd, stats.size, verifier)
    if (tail.length > 0) verifier.tear()
    return verifier.end()
  } finally {
    closeSync(fd)
  }
}

interface Place {
  readonly directory: string
  readonly name: string
  readonly path: string
}

// Two names of one directory must lead to one lock. The last component is not resolved: a link there is refused.
function placeOf(path: string): Place {
  const directory = realpathSync(dirname(path))
  const name = basename(path)
  return { directory, name, path: join(directory, name) }
}

function openLog(path: string): number {
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | flag('O_NOFOLLOW') | flag('O_NONBLOCK')
  const fd = guardIo('The audit log cannot be opened.', () => openSync(path, flags, 0o600))
  try {
    refuseUnfit(fstatSync(fd))
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Checked on the open descriptor, so that nothing can be swapped between the look and the use. */
function refuseUnfit(stats: Stats): void {
  if (!stats.isFile()) throw unavailable('The audit log is not a regular file.')
  // A second name would let the log be written, or another file be filled with records, where nobody looks.
  if (stats.nlink !== 1) throw unavailable('The audit log has more than one name (hard link).')
  const owner = process.geteuid?.()
  if (owner === undefined) return
  if (stats.uid !== owner) throw unavailable('The audit log belongs to another user.')
  if ((stats.mode & 0o022) !== 0) throw unavailable('The audit log can be written by others; chmod go-w it.')
}

interface Found {
  readonly verification: AuditVerification
  readonly tail: Tail
  /** Names of the set-aside files that the log knows of. */
  readonly recorded: ReadonlySet<string>
}

async function readLog(fd: number): Promise<Found> {
  const recorded = new Set<string>()
  const verifier = new AuditVerifier({
    onRecord: ({ type, value }) => {
      const file = type === 'log.recovered' ? value['file'] : undefined
      if (typeof file === 'string') recorded.add(file)
    },
  })
  const tail = await readAll(fd, fstatSync(fd).size, verifier)
  const verification = verifier.end()
  // An unpaired outcome is an error of whoever wrote it; the chain holds, and to refuse it would end the log for good.
  const [fault] = verification.faults.filter(({ kind }) => kind !== 'unpaired')
  if (fault !== undefined) {
    const why = `line ${fault.line}: ${fault.kind}: ${fault.detail}`
    throw new AgentPortError('ERR_AUDIT_CORRUPT', `The audit log does not verify and is not appended to: ${why}.`)
  }
  // A writer of ours tears at most one record. More than that without a newline was never a log.
  if (tail.length > LIMITS.auditRecordBytes) {
    throw new AgentPortError('ERR_AUDIT_CORRUPT', 'The audit log ends in something that is not a record.')
  }
  return { verification, tail, recorded }
}

async function readAll(fd: number, size: number, verifier: AuditVerifier): Promise<Tail> {
  try {
    return await readLines(fd, size, (line) => verifier.push(line))
  } catch (cause) {
    throw unavailable('The audit log cannot be read.', cause)
  }
}

/**
 * Sets the torn tail aside and cuts it off. Each step may be the last one before a crash, so the file that is set aside
 * is on the disk before the log is cut, and one that the log does not know of yet is reported again until it does.
 */
function recover(place: Place, fd: number, { tail, recorded }: Found): AuditRecovery[] {
  const { offset, bytes } = tail
  const kept = tornFiles(place).filter(({ name }) => !recorded.has(name))
  if (bytes.length > 0) {
    const digest = sha256Hex(bytes)
    if (!kept.some((one) => one.sha256 === digest)) kept.push(setAside(place, bytes))
    syncDirectory(place.directory)
    ftruncateSync(fd, offset)
    fsyncSync(fd)
  }
  return kept.map(({ name, length, sha256 }) => ({ reason: 'torn_tail', file: name, offset, length, sha256 }))
}

interface TornFile {
  readonly name: string
  readonly length: number
  readonly sha256: string
}

const TORN_NUMBER = /^[1-9][0-9]{0,8}$/

function tornNumbers({ directory, name }: Place): number[] {
  const prefix = `${name}.torn-`
  return readdirSync(directory)
    .filter((entry) => entry.startsWith(prefix) && TORN_NUMBER.test(entry.slice(prefix.length)))
    .map((entry) => Number(entry.slice(prefix.length)))
    .sort((a, b) => a - b)
}

function tornFiles(place: Place): TornFile[] {
  return tornNumbers(place).map((number) => {
    const name = `${place.name}.torn-${number}`
    const flags = constants.O_RDONLY | flag('O_NOFOLLOW') | flag('O_NONBLOCK')
    const fd = openSync(join(place.directory, name), flags)
    try {
      const stats = fstatSync(fd)
      if (!stats.isFile() || stats.size > LIMITS.auditRecordBytes) {
        throw unavailable(`${name} was not set aside by this library; move it away.`)
      }
      const bytes = readFileSync(fd)
      // It may be what a crash between setting aside and cutting off left behind, not on the disk yet.
      fsyncSync(fd)
      return { name, length: bytes.length, sha256: sha256Hex(bytes) }
    } finally {
      closeSync(fd)
    }
  })
}

function setAside(place: Place, bytes: Uint8Array): TornFile {
  const name = `${place.name}.torn-${(tornNumbers(place).at(-1) ?? 0) + 1}`
  const fd = openSync(join(place.directory, name), 'wx', 0o600)
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  return { name, length: bytes.length, sha256: sha256Hex(bytes) }
}

interface Start {
  readonly size: number
  readonly resume: AuditHead
  readonly recovered: readonly AuditRecovery[]
}

function makeSink(place: Place, fd: number, lock: AuditLock, durability: Durability, start: Start): AuditFileSink {
  const writer = openWriter(fileIo(place.path, fd), start.size, durability)
  let closing: Promise<void> | undefined
  return {
    path: place.path,
    resume: start.resume,
    recovered: start.recovered,
    append: (line) => writer.append(line),
    flush: () => writer.flush(),
    close: () => {
      closing ??= writer.close().finally(() => lock.release())
      return closing
    },
  }
}

function fileIo(path: string, fd: number): AuditFileIo {
  const { dev, ino } = fstatSync(fd)
  return {
    write: async (bytes) => (await write(fd, bytes)).bytesWritten,
    writeSync: (bytes) => writeSync(fd, bytes),
    sync: () => fdatasync(fd),
    check: (size) => {
      const now = lstatSync(path)
      // logrotate, rm, an editor that saves by renaming: records would go where nobody reads them.
      if (now.dev !== dev || now.ino !== ino) throw unavailable('The audit log was moved or replaced.')
      if (now.nlink !== 1) throw unavailable('The audit log got a second name (hard link).')
      // A writer that ignores the lock forks the chain; whatever it is, our next record does not follow it.
      if (now.size !== size) throw unavailable('The audit log was changed by somebody else.')
    },
    close: () => closeSync(fd),
  }
}

function syncDirectory(directory: string): void {
  // Windows opens no directories; its file systems journal names on their own.
  if (process.platform === 'win32') return
  const fd = openSync(directory, constants.O_RDONLY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** A flag of open(2) where the platform has it. */
function flag(name: 'O_NOFOLLOW' | 'O_NONBLOCK'): number {
  return constants[name] ?? 0
}

function guardIo<T>(message: string, action: () => T): T {
  try {
    return action()
  } catch (cause) {
    throw cause instanceof AgentPortError ? cause : unavailable(message, cause)
  }
}

function unavailable(message: string, cause?: unknown): AgentPortError {
  return new AgentPortError('ERR_AUDIT_UNAVAILABLE', message, cause === undefined ? undefined : { cause })
}
