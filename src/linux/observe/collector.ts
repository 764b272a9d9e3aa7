// Records → what a run tried: counted, sorted, each thing once. Decides what a system call meant. Bounded, because the
// observed program decides how many different things there are; what does not fit counts as lost.

import { parsePath } from '../../core/path.ts'
import { PROCESS_RIGHTS, type ProcessRight } from '../../core/process-right.ts'
import { printable } from '../../core/text.ts'
import { readDnsAnswer } from './dns-answer.ts'
import type {
  BlindSpot,
  FileOperation,
  Observation,
  ObservedEgress,
  ObservedListener,
  ObservedPath,
  ObservedProgram,
  ObservedUnixSocket,
} from './observation.ts'
import type { CallRecord, EndRecord, PathState, RecordPart } from './record.ts'
import { readSocketAddress } from './socket-address.ts'

/** Different paths, destinations and names of one run. */
const ENTRIES = 50_000
const EXAMPLES = 20

// Of asm-generic/fcntl.h; the same on x86-64 and arm64.
const O_ACCMODE = 0o3n
const O_WRONLY = 0o1n
const O_RDWR = 0o2n
const O_CREAT = 0o100n
const O_TRUNC = 0o1000n
const O_PATH = 0o10000000n
const O_TMPFILE = 0o20000000n
const SOCK_STREAM = 1n
const SOCK_DGRAM = 2n
const AF_UNIX = 1n

/** What a call does with its path, when that does not depend on its arguments. */
const OPERATIONS: ReadonlyMap<string, FileOperation> = new Map([
  ...'newfstatat statx stat lstat access faccessat faccessat2 readlink readlinkat statfs chdir'
    .split(' ')
    .map((name) => [name, 'stat'] as const),
  ...'truncate chmod fchmodat fchmodat2 chown lchown fchownat utime utimes futimesat utimensat setxattr lsetxattr removexattr lremovexattr'
    .split(' ')
    .map((name) => [name, 'write'] as const),
  ...['unlink', 'unlinkat', 'rmdir'].map((name) => [name, 'delete'] as const),
  ...'mkdir mkdirat mknod mknodat symlink symlinkat'.split(' ').map((name) => [name, 'create'] as const),
])

/** Calls that no confinement allows, whatever its profile. */
const REFUSED: ReadonlySet<string> = new Set(
  (
    'execveat chroot clone clone3 unshare io_uring_setup ptrace process_vm_readv process_vm_writev pidfd_getfd mount ' +
    'umount2 pivot_root mount_setattr setns bpf perf_event_open userfaultfd keyctl add_key request_key memfd_create ' +
    'memfd_secret open_by_handle_at init_module finit_module'
  ).split(' '),
)
const CHANGES_ROOT: ReadonlySet<string> = new Set(['chroot', 'pivot_root', 'mount', 'setns', 'unshare'])

/** What is found out about a program's file when the run is over. */
export interface ProgramFacts {
  readonly sha256?: string
  /** Of a script that the kernel started an interpreter for. */
  readonly interpreter?: { readonly path: string; readonly named: readonly string[] }
}

export interface CollectorHost {
  readonly arch: string
  readonly kernelRelease: string
  /** Reads the file at a canonical path. */
  program(path: string): ProgramFacts
}

interface Entry<T> {
  readonly what: T
  readonly named: Set<string>
  count: number
}

interface PathArgument {
  readonly path: string
  readonly named: string | undefined
  readonly state: PathState
}

export class Collector {
  readonly #tables = {
    calls: new Map<string, Entry<string>>(),
    programs: new Map<string, Entry<string>>(),
    libraries: new Map<string, Entry<string>>(),
    files: new Map<string, Entry<{ path: string; operation: FileOperation }>>(),
    egress: new Map<string, Entry<Omit<ObservedEgress, 'count'>>>(),
    listeners: new Map<string, Entry<Omit<ObservedListener, 'count'>>>(),
    unixSockets: new Map<string, Entry<Omit<ObservedUnixSocket, 'count'>>>(),
    /** Address to the name it was last given for. */
    names: new Map<string, Entry<{ name: string }>>(),
  }
  readonly #rights = new Set<ProcessRight>()
  readonly #blind = new Set<BlindSpot>()
  readonly #examples: string[] = []
  #unrepresentable = 0
  #entries = 0
  #lost = 0

  add(record: CallRecord): void {
    const { name, a, b } = record
    this.#count(this.#tables.calls, name, name)
    if (CHANGES_ROOT.has(name)) this.#blind.add('other_root')
    switch (name) {
      case 'foreign':
        this.#blind.add('foreign_architecture')
        return
      case 'io_uring_setup':
        this.#blind.add('io_uring')
        return
      case 'mprotect':
      case 'pkey_mprotect':
        this.#rights.add('executable_memory')
        return
      case 'mmap':
        this.#addMapping(record)
        return
      case 'execve':
      case 'execveat':
        for (const { path, named, state } of this.#paths(record)) {
          // Still below /proc when all links were followed, or no longer there: a program that never had a name.
          const nameless = path.startsWith('/proc/') || (name === 'execveat' && path.startsWith('/memfd:'))
          if (nameless) this.#rights.add('executable_memory')
          else if (state === 'file') this.#count(this.#tables.programs, path, path, named)
          else this.#addFile(state === 'absent' ? 'missing' : 'stat', { path, named, state })
        }
        return
      case 'open':
      case 'openat':
      case 'openat2':
        if (name === 'openat2' && b !== 0n) this.#blind.add('unreadable_argument')
        for (const path of this.#paths(record))
          for (const operation of opened(a, path.state)) this.#addFile(operation, path)
        return
      case 'creat':
        for (const path of this.#paths(record)) this.#addFile(path.state === 'absent' ? 'create' : 'write', path)
        return
      case 'rename':
      case 'renameat':
      case 'renameat2':
        this.#addPair(record, 'delete')
        return
      case 'link':
      case 'linkat':
        this.#addPair(record, 'read')
        return
      case 'connect':
      case 'bind':
      case 'listen':
      case 'sendto':
      case 'sendmsg':
      case 'sendmmsg':
        this.#addSocketCall(record)
        return
      case 'recvfrom':
      case 'recvmsg':
        for (const part of record.parts) if (part.role === 'datagram') this.#addAnswer(part.bytes)
        return
    }
    const operation = OPERATIONS.get(name)
    for (const path of this.#paths(record))
      if (operation !== undefined) this.#addFile(effective(operation, path.state), path)
  }

  /** `end` is absent when the stream ended without one, or did not hold to its format. */
  finish(end: EndRecord | undefined, exit: Observation['exit'], host: CollectorHost): Observation {
    if (end === undefined) this.#blind.add('stream')
    const lost = this.#lost + (end?.lost ?? 0)
    const facts = this.#programFacts(host)
    const counted = [...this.#tables.calls.values()].map(({ what, count }) => ({ name: what, count }))
    const calls = sorted(counted, ({ name }) => name)
    const blind = [...this.#blind].sort()
    return Object.freeze({
      arch: host.arch,
      kernelRelease: host.kernelRelease,
      syscalls: 'selected',
      calls,
      refused: Object.freeze(calls.filter(({ name }) => REFUSED.has(name))),
      programs: sorted(
        [...this.#tables.programs.values()].map((entry): ObservedProgram => {
          const sha256 = facts.get(entry.what)?.sha256
          return { ...pathOf(entry.what, entry), ...(sha256 === undefined ? {} : { sha256 }) }
        }),
        ({ path }) => path,
      ),
      libraries: sorted(
        [...this.#tables.libraries.values()].map((entry) => pathOf(entry.what, entry)),
        ({ path }) => path,
      ),
      files: sorted(
        [...this.#tables.files.values()].map((entry) => ({
          ...pathOf(entry.what.path, entry),
          operation: entry.what.operation,
        })),
        ({ path, operation }) => `${path}\0${operation}`,
      ),
      egress: sorted(
        flatten(this.#tables.egress),
        (one) => `${one.host ?? ''}\0${one.address}\0${one.port}\0${one.protocol}`,
      ),
      listeners: sorted(flatten(this.#tables.listeners), (one) => `${one.address}\0${one.port}\0${one.protocol}`),
      unixSockets: sorted(flatten(this.#tables.unixSockets), (one) => `${one.path}\0${one.use}`),
      rights: Object.freeze(PROCESS_RIGHTS.filter((right) => this.#rights.has(right))),
      blind: Object.freeze(blind),
      unrepresentable: Object.freeze({ count: this.#unrepresentable, examples: Object.freeze([...this.#examples]) }),
      lost,
      complete: lost === 0 && blind.length === 0,
      leftBehind: end?.killed === true,
      exit: Object.freeze({ ...exit }),
    })
  }

  /** Adds the interpreters of scripts, which the kernel starts without a call that could be seen. */
  #programFacts(host: CollectorHost): ReadonlyMap<string, ProgramFacts> {
    const facts = new Map<string, ProgramFacts>()
    const waiting = [...this.#tables.programs.keys()]
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      if (facts.has(path)) continue
      const found = host.program(path)
      facts.set(path, found)
      if (found.interpreter === undefined) continue
      const { interpreter } = found
      const times = this.#tables.programs.get(path)?.count ?? 1
      this.#count(this.#tables.programs, interpreter.path, interpreter.path, undefined, times)
      for (const named of interpreter.named) this.#tables.programs.get(interpreter.path)?.named.add(named)
      waiting.push(interpreter.path)
    }
    return facts
  }

  #addMapping(record: CallRecord): void {
    const [part] = record.parts
    // Memory without a file, or with one that has no name (memfd_create, or unlinked): code that no list of files holds.
    if (part === undefined || (part.role === 'named' && part.state === 'absent')) {
      this.#rights.add('executable_memory')
      return
    }
    for (const { path, named } of this.#paths(record)) this.#count(this.#tables.libraries, path, path, named)
  }

  #addPair(record: CallRecord, first: FileOperation): void {
    const [from, to] = this.#paths(record)
    if (from !== undefined) this.#addFile(effective(first, from.state), from)
    if (to !== undefined && from?.state !== 'absent') this.#addFile(to.state === 'absent' ? 'create' : 'write', to)
  }

  #addSocketCall({ name, a, b, parts }: CallRecord): void {
    const [part] = parts
    const address = part?.role === 'address' && part.bytes.length > 0 ? readSocketAddress(part.bytes) : undefined
    if (name === 'listen') this.#rights.add('listen')
    if (address === undefined) this.#blind.add('unreadable_argument')
    if (address?.family === 'unix' || (address === undefined && b === AF_UNIX)) {
      this.#rights.add('unix_sockets')
      if (address?.family !== 'unix') return
      const path = address.path === undefined ? '' : printable(new TextDecoder().decode(address.path))
      const use = name === 'bind' || name === 'listen' ? 'bind' : 'connect'
      if (name !== 'listen') this.#count(this.#tables.unixSockets, `${use}\0${path}`, { path, use })
      return
    }
    if (address?.family !== 'inet') return
    if (a === 0n) this.#blind.add('socket_type')
    const protocol = a === SOCK_STREAM ? 'tcp' : a === SOCK_DGRAM ? 'udp' : 'other'
    const { address: text, port } = address
    if (name === 'bind' || name === 'listen') {
      if (name === 'bind' && protocol === 'tcp') return
      if (protocol === 'udp') this.#rights.add('udp')
      this.#count(this.#tables.listeners, `${text}\0${port}\0${protocol}`, { address: text, port, protocol })
      return
    }
    const sent = protocol !== 'udp' || name !== 'connect'
    // Questions to a name server are not a right of their own: a box answers them itself.
    if (protocol === 'udp' && sent && port !== 53) this.#rights.add('udp')
    const host = this.#tables.names.get(text)?.what.name
    const what = { address: text, ...(host === undefined ? {} : { host }), port, protocol, sent } as const
    const key = `${text}\0${host ?? ''}\0${port}\0${protocol}`
    const before = this.#tables.egress.get(`${key}\0${!sent}`)
    // Seen sending once, a peer is a peer: one entry for both.
    if (before !== undefined && !sent) before.count++
    else {
      if (before !== undefined) this.#tables.egress.delete(`${key}\0false`)
      this.#count(this.#tables.egress, `${key}\0${sent}`, what, undefined, 1 + (before?.count ?? 0))
    }
  }

  #addAnswer(bytes: Uint8Array): void {
    const answer = readDnsAnswer(bytes)
    for (const address of answer?.addresses ?? []) {
      const entry = this.#tables.names.get(address)
      if (entry !== undefined) entry.what.name = answer?.name ?? entry.what.name
      else this.#count(this.#tables.names, address, { name: answer?.name ?? '' })
    }
  }

  #addFile(operation: FileOperation, { path, named }: PathArgument): void {
    this.#count(this.#tables.files, `${path}\0${operation}`, { path, operation }, named)
  }

  #count<T>(table: Map<string, Entry<T>>, key: string, what: T, named?: string, times = 1): void {
    let entry = table.get(key)
    if (entry === undefined) {
      if (this.#entries >= ENTRIES) {
        this.#lost++
        return
      }
      this.#entries++
      entry = { what, named: new Set(), count: 0 }
      table.set(key, entry)
    }
    entry.count += times
    if (named !== undefined && !entry.named.has(named)) {
      // A name counts as an entry: a program may have any number of links to one file.
      if (this.#entries >= ENTRIES) this.#lost++
      else {
        this.#entries++
        entry.named.add(named)
      }
    }
  }

  /** The path arguments of a call, each with its resolved form where it has one. */
  #paths(record: CallRecord): readonly PathArgument[] {
    const found: PathArgument[] = []
    const { parts } = record
    for (let index = 0; index < parts.length; index++) {
      const part = parts[index]
      if (part?.role !== 'named') continue
      const next: RecordPart | undefined = parts[index + 1]
      const real = next?.role === 'real' ? next : undefined
      if (part.state === 'unreadable') {
        this.#blind.add('unreadable_argument')
        continue
      }
      const named = plainPath(part.bytes)
      const path = real === undefined ? named : plainPath(real.bytes)
      if (path !== undefined) found.push({ path, named: named === path ? undefined : named, state: part.state })
      else if (part.state !== 'absent') this.#addUnrepresentable(real?.bytes ?? part.bytes)
    }
    return found
  }

  #addUnrepresentable(bytes: Uint8Array): void {
    this.#unrepresentable++
    const text = printable(new TextDecoder().decode(bytes), 200)
    if (this.#examples.length < EXAMPLES && !this.#examples.includes(text)) this.#examples.push(text)
  }
}

function opened(flags: bigint, state: PathState): readonly FileOperation[] {
  if ((flags & O_PATH) !== 0n) return [state === 'absent' ? 'missing' : 'stat']
  const mode = flags & O_ACCMODE
  const reads = mode !== O_WRONLY
  // O_TMPFILE names the directory in which a file without a name is made.
  if ((flags & O_TMPFILE) === O_TMPFILE) return ['create']
  if (state === 'absent') {
    if ((flags & O_CREAT) === 0n) return ['missing']
    return mode === O_RDWR ? ['create', 'read'] : ['create']
  }
  if (state === 'directory') return ['list']
  const writes = mode === O_WRONLY || mode === O_RDWR || (flags & O_TRUNC) !== 0n
  return [...(reads ? (['read'] as const) : []), ...(writes ? (['write'] as const) : [])]
}

/** What an operation comes to, given what was there before it. */
function effective(operation: FileOperation, state: PathState): FileOperation {
  if (operation === 'create') return state === 'absent' ? 'create' : 'stat'
  return state === 'absent' ? 'missing' : operation
}

function plainPath(bytes: Uint8Array): string | undefined {
  try {
    const parsed = parsePath(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
    return parsed.ok ? parsed.path : undefined
  } catch {
    // Not UTF-8: no document can name it.
    return undefined
  }
}

function pathOf(path: string, entry: Entry<unknown>): ObservedPath {
  return { path, named: Object.freeze([...entry.named].sort()), count: entry.count }
}

function flatten<T extends object>(table: ReadonlyMap<string, Entry<T>>): readonly (T & { readonly count: number })[] {
  return [...table.values()].map(({ what, count }) => ({ ...what, count }))
}

function sorted<T extends object>(items: readonly T[], key: (item: T) => string): readonly T[] {
  const keyed = items.map((item) => [key(item), Object.freeze(item)] as const)
  keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return Object.freeze(keyed.map(([, item]) => item))
}
