// One writer a log. The lock is a file beside the log that says who holds it; a second writer fails at once. A lock whose
// holder is certainly gone is taken over, and that is recorded; when its life cannot be told, it counts as alive.
// Trusts the file system to make link and rename atomic, which local ones do.

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import type { AuditRecovery } from '../audit/sink.ts'
import { randomHex } from '../core/crypto.ts'
import { AgentPortError } from '../core/errors.ts'
import { parseJson } from '../core/json.ts'
import { printable } from '../core/text.ts'

/** Who holds a lock. What the platform cannot tell is `''`. */
export interface LockHolder {
  /** 32 hex digits, new for each lock. */
  readonly id: string
  readonly pid: number
  /** Boot of the machine: after a reboot no process of before is left. */
  readonly boot: string
  /** PID namespace: only inside it does `pid` mean anything. */
  readonly namespace: string
  /** Start of the process in ticks since boot: a later process with the same pid is another one. */
  readonly started: string
}

export interface AuditLock {
  /** Set when the lock of a writer that is gone was taken over. */
  readonly recovery: AuditRecovery | undefined
  /** Gives the lock up, if it is still ours. */
  release(): void
}

/** What to do about a lock from another PID namespace (a container), whose holder cannot be seen from here. */
export type ForeignLock = 'refuse' | 'take_over'

// A take-over has a lock of its own, and that one may have been left behind too.
const NESTING = 3
const ATTEMPTS = 3

/**
 * Takes the lock file at `path`.
 *
 * @throws AgentPortError ERR_AUDIT_LOCKED when it is held, ERR_AUDIT_UNAVAILABLE when it cannot be written.
 */
export function acquireLock(path: string, foreign: ForeignLock): AuditLock {
  const holder = thisProcess()
  const recovery = guardIo(() => take(path, holder, foreign, NESTING))
  return { recovery, release: () => guardIo(() => release(path, holder)) }
}

function take(path: string, me: LockHolder, foreign: ForeignLock, nesting: number): AuditRecovery | undefined {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (place(path, me)) return undefined
    const holder = readHolder(path)
    if (holder === 'none') continue
    if (holder === 'unreadable')
      throw locked(`${path} is not a lock of this library; remove it if nobody writes the log`)
    refuseIfHeld(path, holder, foreign)
    return takeOver(path, holder, me, foreign, nesting)
  }
  throw locked(`${path} changes hands too quickly`)
}

function refuseIfHeld(path: string, holder: LockHolder, foreign: ForeignLock): void {
  const life = lifeOf(holder)
  if (life === 'alive') throw locked(`process ${holder.pid} holds ${path}`)
  if (life === 'unseen' && foreign === 'refuse') {
    throw locked(
      `${path} was made in another PID namespace; remove it, or open with foreignLock, if its writer is gone`,
    )
  }
}

// Two processes may find the same dead holder. Whoever links the claim named after that very lock may replace it, and
// only while it still is that lock: without the second look the slower one would replace the faster one's new lock.
function takeOver(
  path: string,
  holder: LockHolder,
  me: LockHolder,
  foreign: ForeignLock,
  nesting: number,
): AuditRecovery {
  if (nesting === 0) throw locked(`${path} has too many claims on it`)
  const claim = `${path}.${holder.id}`
  take(claim, me, foreign, nesting - 1)
  const still = readHolder(path)
  if (typeof still === 'string' || still.id !== holder.id) {
    unlinkSync(claim)
    throw locked(`${path} was taken by another process`)
  }
  renameSync(claim, path)
  return { reason: 'stale_lock', pid: holder.pid, detail: `the process that held ${path} is gone` }
}

/** Makes the lock file, complete from its first moment on; `false` when there is one. */
function place(path: string, holder: LockHolder): boolean {
  const draft = `${path}.${holder.id}.new`
  const fd = openSync(draft, 'wx', 0o600)
  try {
    try {
      writeSync(fd, JSON.stringify(holder))
      // After a power failure an empty lock would be one that nobody can judge.
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    linkSync(draft, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(draft)
  }
}

function release(path: string, me: LockHolder): void {
  const holder = readHolder(path)
  if (typeof holder !== 'string' && holder.id === me.id) unlinkSync(path)
}

const MAX_BYTES = 4096
const ID = /^[0-9a-f]{32}$/

function readHolder(path: string): LockHolder | 'none' | 'unreadable' {
  let text: string
  try {
    const fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
    try {
      const stats = fstatSync(fd)
      if (!stats.isFile() || stats.size > MAX_BYTES) return 'unreadable'
      text = readFileSync(fd, 'utf8')
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'none'
    return 'unreadable'
  }
  try {
    const value = parseJson(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'unreadable'
    const { id, pid, boot, namespace, started } = value as Readonly<Record<string, unknown>>
    // The id becomes part of a file name.
    if (typeof id !== 'string' || !ID.test(id)) return 'unreadable'
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return 'unreadable'
    if (typeof boot !== 'string' || typeof namespace !== 'string' || typeof started !== 'string') return 'unreadable'
    return { id, pid, boot, namespace, started }
  } catch {
    // A lock that cannot be judged is held: the caller refuses.
    return 'unreadable'
  }
}

/** `unseen`: the pid belongs to another namespace. */
function lifeOf(holder: LockHolder): 'alive' | 'dead' | 'unseen' {
  const { boot, namespace } = thisMachine()
  if (boot !== '' && holder.boot !== '' && boot !== holder.boot) return 'dead'
  if (namespace !== holder.namespace) return 'unseen'
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return 'dead'
  }
  const stat = processStat(holder.pid)
  if (stat === undefined) return 'alive'
  // A zombie runs no more; in a container without init it may stay one for ever.
  if (stat.state === 'Z' || stat.state === 'X') return 'dead'
  return holder.started !== '' && stat.started !== holder.started ? 'dead' : 'alive'
}

function thisProcess(): LockHolder {
  const started = processStat(process.pid)?.started ?? ''
  return { id: randomHex(16), pid: process.pid, ...thisMachine(), started }
}

function thisMachine(): { readonly boot: string; readonly namespace: string } {
  return {
    boot: attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()) ?? '',
    namespace: attempt(() => readlinkSync('/proc/self/ns/pid')) ?? '',
  }
}

/** proc(5): the name in parentheses may hold anything, so the fields are counted from the last parenthesis. */
function processStat(pid: number): { readonly state: string; readonly started: string } | undefined {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields?.[0]
  const started = fields?.[19]
  return state === undefined || started === undefined ? undefined : { state, started }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    // Not Linux, or /proc is hidden: what cannot be told makes a lock count as alive.
    return undefined
  }
}

function guardIo<T>(action: () => T): T {
  try {
    return action()
  } catch (cause) {
    if (cause instanceof AgentPortError) throw cause
    throw new AgentPortError('ERR_AUDIT_UNAVAILABLE', 'The lock of the audit log cannot be written.', { cause })
  }
}

function locked(why: string): AgentPortError {
  return new AgentPortError('ERR_AUDIT_LOCKED', printable(`Another writer has the audit log open: ${why}.`))
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | undefined)?.code
}
