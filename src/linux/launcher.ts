// One running launcher: the process that holds a box, and the commands in it. Everything that crosses to native code crosses
// here. When the launcher ends, for whatever reason, the kernel has ended everything in the box.

import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { type Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { AgentPortError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { BoxSetup } from './box.ts'
import { encodeBpf } from './bpf/wire.ts'
import { errnoName } from './errno.ts'
import {
  encodeSetup,
  encodeSignal,
  encodeSpawn,
  FrameReader,
  type LauncherFrame,
  launcherArguments,
  type SpawnRequest,
} from './wire.ts'
import { within } from './within.ts'

/** A socket of the box, as Node hands it over: for `Server.listen` and for `new Socket`. */
export type Handle = Parameters<Server['listen']>[0]

export interface LauncherOptions {
  /** Path of the binary. */
  readonly file: string
  /** What it must say it was built from. */
  readonly sourceDigest: string
  /** Which of the three descriptors of this process the launcher gets, for commands that say `own`. */
  readonly inherit?: readonly [boolean, boolean, boolean]
  /** Each listener of the setup, before the box counts as made. */
  readonly onListener: (name: string, handle: Handle) => Promise<void>
  readonly onFact: (fact: LauncherFact) => void
}

/** What happens in a box besides commands. */
export type LauncherFact = Extract<LauncherFrame, { type: 'denied' | 'expired' | 'counters' | 'event' }>

export interface LaunchedCommand {
  /** As the box counts. */
  readonly pid: number
  /** One for each `channel` of the request. */
  readonly channels: readonly [Socket | undefined, Socket | undefined, Socket | undefined]
  /** As wait(2) gives it; `undefined` when the box ended first. Never rejects. */
  readonly status: Promise<number | undefined>
}

interface Pending {
  readonly file: string
  readonly wanted: number
  readonly channels: [Socket | undefined, Socket | undefined, Socket | undefined]
  pid: number | undefined
  readonly settle: (command: LaunchedCommand) => void
  readonly fail: (error: AgentPortError) => void
  readonly status: Promise<number | undefined>
}

/** The box could not be made. `step` is the launcher's word for what failed. */
export class LaunchError extends AgentPortError {
  override readonly name = 'LaunchError'
  readonly step: string
  /** Such as `EPERM`. */
  readonly errno: string
  readonly subject: string

  constructor(step: string, errno: string, subject: string) {
    const about = subject === '' ? '' : ` (${printable(subject)})`
    super('ERR_ENFORCEMENT_UNAVAILABLE', `the box could not be made: ${printable(step)}${about}: ${errno}`)
    this.step = step
    this.errno = errno
    this.subject = subject
  }
}

/** A command was not started; the box is as it was. */
export class SpawnError extends AgentPortError {
  override readonly name = 'SpawnError'
  /** Which step of starting it failed; `exec` is the program's own. */
  readonly step: string
  /** Such as `ENOENT`. */
  readonly errno: string

  constructor(file: string, step: string, errno: string) {
    super('ERR_SPAWN_FAILED', `${printable(file)}: ${printable(step)}: ${errno}${HINTS[`${step} ${errno}`] ?? ''}`)
    this.step = step
    this.errno = errno
  }
}

const HINTS: Readonly<Record<string, string>> = {
  'exec ENOENT': '; it, or the interpreter it names, is not in the box',
  'exec EACCES': '; it is in the box, and not as a program: list it in allowed_binaries',
  'directory ENOENT': '; the directory to start in is not in the box',
}

/** A launcher that could not make its box has nothing to wait for. */
const GONE_MS = 2_000

export class Launcher {
  readonly #child: ChildProcess
  readonly #control: Duplex
  readonly #onFact: (fact: LauncherFact) => void
  readonly #pending = new Map<number, Pending>()
  readonly #live = new Map<number, (status: number | undefined) => void>()
  #landlockAbi = 0
  #nextId = 1
  #gone = false
  /** Fulfilled when the launcher is gone; `true` when it had waited for its box, so that nothing of that is left. */
  readonly ended: Promise<boolean>

  private constructor(child: ChildProcess, control: Duplex, onFact: (fact: LauncherFact) => void) {
    this.#child = child
    this.#control = control
    this.#onFact = onFact
    this.ended = new Promise((resolve) => {
      // `close` and not `exit`: what was counted is said last, and the socket it comes over is read to its end.
      child.once('close', (code) => {
        this.#end()
        resolve(code !== null)
      })
      // Never started: there is no box.
      child.once('error', () => {
        if (child.pid === undefined) {
          this.#end()
          resolve(true)
        }
      })
    })
  }

  /** Makes a box. Rejects with {@link LaunchError} when a step fails and with ERR_ENFORCEMENT_UNAVAILABLE otherwise. */
  static async start(setup: BoxSetup, options: LauncherOptions): Promise<Launcher> {
    const own = (options.inherit ?? [false, false, false]).map((yes) => (yes ? 'inherit' : 'ignore'))
    const stdio: StdioOptions = [...own, 'pipe', 'ipc']
    const bpf = setup.bpf === undefined ? undefined : encodeBpf(setup.bpf)
    const encoded = encodeSetup(setup, bpf)
    let child: ChildProcess
    try {
      // Nothing of our environment: the first process of the box would hold it in its memory.
      child = spawn(options.file, launcherArguments(setup), { stdio, env: {}, cwd: '/', detached: false })
    } catch (error) {
      throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', 'the launcher cannot be started', { cause: error })
    }
    const control = child.stdio[3] as Duplex | null | undefined
    if (control === null || control === undefined) {
      throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', 'the launcher cannot be started')
    }
    // At once: the launcher is already at work, and everything below only listens.
    control.on('error', () => undefined)
    control.write(encoded)
    const launcher = new Launcher(child, control, options.onFact)
    try {
      await launcher.#open(setup, options)
    } catch (error) {
      launcher.kill()
      await within(launcher.ended, GONE_MS)
      throw error
    }
    return launcher
  }

  async #open(setup: BoxSetup, options: LauncherOptions): Promise<void> {
    const reader = new FrameReader()
    const listening: Promise<void>[] = []
    let allListeners = (): void => undefined
    // They come over another channel than the word that the box stands.
    const listeners = new Promise<void>((resolve) => {
      if (setup.listeners.length === 0) resolve()
      else allListeners = resolve
    })
    await new Promise<void>((resolve, reject) => {
      const fail = (error: AgentPortError): void => {
        this.kill()
        reject(error)
      }
      const unusable = (detail: string, cause?: unknown): AgentPortError =>
        new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', detail, cause === undefined ? {} : { cause })
      this.#child.once('error', (error) => fail(unusable('the launcher cannot be started', error)))
      this.#child.on('message', (message: unknown, handle: unknown) => {
        this.#receive(message, handle, (name, socket) => {
          const served = options.onListener(name, socket)
          served.catch(() => undefined)
          if (listening.push(served) === setup.listeners.length) allListeners()
        })
      })
      this.#control.on('error', () => this.kill())
      this.#control.on('data', (chunk: Buffer) => {
        try {
          for (const frame of reader.push(chunk)) {
            if (frame.type === 'ready') {
              this.#landlockAbi = frame.landlockAbi
              if (frame.sourceDigest === options.sourceDigest) void listeners.then(resolve)
              else fail(unusable('the launcher was built from other sources; build it again'))
            } else if (frame.type === 'failed') {
              fail(new LaunchError(frame.step, errnoName(frame.errno), frame.subject))
            } else this.#take(frame)
          }
        } catch (error) {
          fail(unusable('the launcher does not keep to the format', error))
        }
      })
      void this.ended.then(() => reject(unusable('the launcher ended before the box was made')))
    })
    await Promise.all(listening)
  }

  /** Starts a command. Rejects with ERR_SPAWN_FAILED, or ERR_STATE_INVALID when the box is gone. */
  command(request: Omit<SpawnRequest, 'id'>): Promise<LaunchedCommand> {
    if (this.#gone) return Promise.reject(boxGone())
    const id = this.#nextId++
    const status = new Promise<number | undefined>((resolve) => {
      this.#live.set(id, resolve)
    })
    return new Promise((settle, fail) => {
      const wanted = request.stdio.filter((mode) => mode === 'channel').length
      this.#pending.set(id, {
        file: request.file,
        wanted,
        channels: [undefined, undefined, undefined],
        pid: undefined,
        settle,
        fail,
        status,
      })
      this.#control.write(encodeSpawn({ ...request, id }))
    })
  }

  /** Sends a signal to every live command. */
  signal(number: number): void {
    if (this.#gone) return
    for (const id of this.#live.keys()) this.#control.write(encodeSignal(id, number))
  }

  /** Ends the box; {@link ended} is then the proof that nothing of it is left. */
  kill(): void {
    this.#child.kill('SIGTERM')
  }

  /** Ends the launcher itself: its box goes with it, but nobody waits for that. */
  abandon(): void {
    this.#child.kill('SIGKILL')
  }

  /** 0 when the kernel has no Landlock. */
  get landlockAbi(): number {
    return this.#landlockAbi
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  #take(frame: LauncherFrame): void {
    switch (frame.type) {
      case 'started': {
        const pending = this.#pending.get(frame.id)
        if (pending === undefined) return
        pending.pid = frame.pid
        this.#settle(frame.id, pending)
        break
      }
      case 'refused': {
        const pending = this.#pending.get(frame.id)
        this.#pending.delete(frame.id)
        this.#live.delete(frame.id)
        for (const channel of pending?.channels ?? []) channel?.destroy()
        pending?.fail(new SpawnError(pending.file, frame.step, errnoName(frame.errno)))
        break
      }
      case 'exited': {
        const exited = this.#live.get(frame.id)
        this.#live.delete(frame.id)
        exited?.(frame.status)
        break
      }
      case 'ready':
      case 'failed':
        break
      default:
        this.#onFact(frame)
    }
  }

  #receive(message: unknown, handle: unknown, onListener: (name: string, handle: Handle) => void): void {
    const { listener, command, fd } = message as { listener?: unknown; command?: unknown; fd?: unknown }
    if (typeof listener === 'string') onListener(listener, handle as Handle)
    else if (typeof command === 'number' && (fd === 0 || fd === 1 || fd === 2)) {
      const pending = this.#pending.get(command)
      // Sockets that this process cannot place would stay open for ever.
      const socket = new Socket({ handle, readable: fd !== 0, writable: fd === 0 } as ConstructorParameters<
        typeof Socket
      >[0])
      if (pending === undefined) {
        socket.destroy()
        return
      }
      pending.channels[fd] = socket
      this.#settle(command, pending)
    }
  }

  // The sockets come over one channel and the word that the command runs over another, in any order.
  #settle(id: number, pending: Pending): void {
    const { pid, channels, wanted, status } = pending
    if (pid === undefined || channels.filter((channel) => channel !== undefined).length < wanted) return
    this.#pending.delete(id)
    pending.settle(Object.freeze({ pid, channels, status }))
  }

  #end(): void {
    this.#gone = true
    this.#control.destroy()
    for (const pending of this.#pending.values()) pending.fail(boxGone())
    this.#pending.clear()
    for (const exited of this.#live.values()) exited(undefined)
    this.#live.clear()
  }
}

function boxGone(): AgentPortError {
  return new AgentPortError('ERR_STATE_INVALID', 'the confinement was killed or closed')
}
