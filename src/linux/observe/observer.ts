// Runs one command under the observer and reads what it tells. The command is not confined: whoever observes a program must
// be willing to run it. Trusts the observer's binary, and of its stream only what holds to the format.

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs'
import { constants as os, release } from 'node:os'
import type { Readable } from 'node:stream'
import { AgentPortError } from '../../core/errors.ts'
import { parsePath } from '../../core/path.ts'
import { printable } from '../../core/text.ts'
import { type Command, checkCommand } from '../../enforcer/command.ts'
import { Collector, type ProgramFacts } from './collector.ts'
import type { Observation } from './observation.ts'
import { type EndRecord, RecordReader } from './record.ts'

/** Where the program's own streams go: to ours, nowhere, or to an open descriptor. */
export type ProgramStream = 'inherit' | 'ignore' | number

export interface ObserveOptions {
  /** Absolute path of the observer's binary. */
  readonly observer: string
  readonly stdin?: ProgramStream
  readonly stdout?: ProgramStream
  readonly stderr?: ProgramStream
  /** Aborting it asks the program to end (SIGTERM), and ends it two seconds later. */
  readonly signal?: AbortSignal
}

export interface RunningObservation {
  /** Passes a signal on to the program. */
  forward(signal: NodeJS.Signals): void
  /** Rejects with ERR_SPAWN_FAILED when the program could not be started, or nothing of it could be observed. */
  readonly done: Promise<Observation>
}

const GRACE_MS = 2000
/** A program larger than this is not hashed. */
const PROGRAM_BYTES = 1024 * 1024 * 1024
/** As much of a file as the kernel looks at for its interpreter (BINPRM_BUF_SIZE). */
const SHEBANG_BYTES = 256

/** Starts `command` as the current user. Throws `AgentPortError` ERR_COMMAND_INVALID for one that cannot be run. */
export function observe(command: Command, options: ObserveOptions): RunningObservation {
  const { file, args, env, cwd, stdin } = checkCommand(command)
  if (stdin !== undefined) throw new TypeError('an observed command takes its input from options.stdin')
  const path = parsePath(options.observer)
  if (!path.ok || path.path !== options.observer) throw new TypeError('options.observer is not a plain absolute path')
  const child = spawn(options.observer, ['3', file, ...args], {
    env: { ...env },
    ...(cwd === undefined ? {} : { cwd }),
    stdio: [options.stdin ?? 'ignore', options.stdout ?? 'inherit', options.stderr ?? 'inherit', 'pipe'],
  })
  return { forward: (signal) => void child.kill(signal), done: follow(child, options.signal) }
}

async function follow(child: ChildProcess, signal: AbortSignal | undefined): Promise<Observation> {
  let timer: NodeJS.Timeout | undefined
  const stop = (): void => {
    child.kill('SIGTERM')
    timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS)
  }
  if (signal?.aborted === true) stop()
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const exited = new Promise<void>((resolve, reject) => {
      child.once('error', (cause) => reject(failed(`the observer cannot be started: ${cause.message}`, cause)))
      child.once('close', () => resolve())
    })
    const [read] = await Promise.all([readAll(child.stdio[3] as Readable | null), exited])
    return conclude(read)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

interface ReadStream {
  readonly collector: Collector
  readonly end: EndRecord | undefined
  readonly failure: string | undefined
  readonly records: number
}

async function readAll(stream: Readable | null): Promise<ReadStream> {
  const reader = new RecordReader()
  const collector = new Collector()
  let end: EndRecord | undefined
  let failure: string | undefined
  let records = 0
  try {
    // To the end, also when the format is broken: a writer that waits for us would keep the program waiting.
    for await (const chunk of stream ?? []) {
      for (const record of reader.push(chunk as Uint8Array)) {
        records++
        if (record.type === 'call') collector.add(record)
        else if (record.type === 'end') end = record
        else failure = record.text
      }
    }
  } catch {
    // A stream that fails is a stream without its end, and that is told from its missing end record.
    end = undefined
  }
  return { collector, end: reader.sound ? end : undefined, failure, records }
}

function conclude({ collector, end, failure, records }: ReadStream): Observation {
  if (failure !== undefined) throw failed(`nothing can be observed: ${failure}`)
  if (end?.how === 'not_started') throw failed(`the program cannot be started (errno ${end.status})`)
  if (end === undefined && records === 0) throw failed('nothing can be observed: the observer said nothing')
  const exit = end === undefined ? {} : end.how === 'exited' ? { code: end.status } : { signal: signalName(end.status) }
  const arch = process.arch === 'x64' ? 'x86_64' : process.arch === 'arm64' ? 'aarch64' : process.arch
  return collector.finish(end, exit, { arch, kernelRelease: release(), program: readProgram })
}

function failed(detail: string, cause?: unknown): AgentPortError {
  return new AgentPortError('ERR_SPAWN_FAILED', printable(detail), cause === undefined ? {} : { cause })
}

function signalName(number: number): string {
  return Object.entries(os.signals).find(([, value]) => value === number)?.[0] ?? `SIG${number}`
}

/** Hash and interpreter of a program's file, as it is now. */
function readProgram(path: string): ProgramFacts {
  try {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    try {
      const status = fstatSync(descriptor)
      if (!status.isFile() || status.size > PROGRAM_BYTES) return {}
      const hash = createHash('sha256')
      const block = Buffer.alloc(1 << 20)
      let head = ''
      for (let at = 0; ; ) {
        const count = readSync(descriptor, block, 0, block.length, at)
        if (count === 0) break
        if (at === 0) head = block.toString('latin1', 0, Math.min(count, SHEBANG_BYTES))
        hash.update(block.subarray(0, count))
        at += count
        if (at > PROGRAM_BYTES) return {}
      }
      const interpreter = interpreterOf(head)
      return { sha256: hash.digest('hex'), ...(interpreter === undefined ? {} : { interpreter }) }
    } finally {
      closeSync(descriptor)
    }
  } catch {
    // A program that may be run and not read, or that is gone, has no hash; the observation says so by leaving it out.
    return {}
  }
}

function interpreterOf(head: string): ProgramFacts['interpreter'] {
  const text = /^#![ \t]*([^ \t\n]+)/.exec(head)?.[1]
  const named = text === undefined ? undefined : parsePath(text)
  if (named?.ok !== true) return undefined
  try {
    const path = parsePath(realpathSync(named.path))
    return path.ok ? { path: path.path, named: named.path === path.path ? [] : [named.path] } : undefined
  } catch {
    // The script was started all the same, or it was not: either way the interpreter is no longer there to be told.
    return undefined
  }
}
