// One live box as the port wants it: commands in, events out, and an end that is proved. Holds everything that has to be
// given back (launcher, proxy, control groups, directories) and gives it back once, whatever happened.

import { fstatSync } from 'node:fs'
import type { Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'

import { AgentPortError } from '../core/errors.ts'
import { type Command, checkCommand } from '../enforcer/command.ts'
import type {
  ConfinedProcess,
  Confinement,
  EnforcerEvent,
  EnforcerFact,
  ExitStatus,
  KillReport,
} from '../enforcer/enforcer.ts'
import type { EventQueue } from '../enforcer/event-queue.ts'
import type { Profile } from '../enforcer/profile.ts'
import type { EnforcementReport } from '../enforcer/report.ts'
import { exitStatus } from './exit-status.ts'
import type { ConfinementFacts } from './fingerprint.ts'
import type { LaunchedCommand, Launcher } from './launcher.ts'
import type { StdioMode } from './wire.ts'
import { within } from './within.ts'

const KILL_WAIT_MS = 5_000
const COPY_WAIT_MS = 2_000

/** What a box holds besides its processes; `release` gives it back and says what would not go. */
export interface Holding {
  readonly name: string
  /** Called at the beginning of the end, while processes may still run. */
  readonly stop?: () => void
  /** Called when no process is left. Rejects when something stays behind. */
  readonly release: () => Promise<void>
}

export interface ConfinementParts {
  readonly launcher: Launcher
  readonly profile: Profile
  readonly report: EnforcementReport
  readonly queue: EventQueue
  /** Puts a fact where everyone who is to know of it reads. */
  readonly tell: (fact: EnforcerFact) => void
  /** What the plan made of the profile that its text does not say. */
  readonly notes: readonly string[]
  /** How the end of every process is known, e.g. `process namespace`. */
  readonly killedBy: string
  /** Whether the end of the launcher proves the end of every process. */
  readonly proven: boolean
  /** What every command gets; what the command names itself wins. */
  readonly environment: Readonly<Record<string, string>>
  readonly workdir: string
  /** Which standard descriptors of this process the box has; absent when it was not opened to have any. */
  readonly own?: readonly [boolean, boolean, boolean]
  /** Whether a command on them stays in the session of this process. */
  readonly keepSession: boolean
  /** Ends what the end of the launcher does not, and says whether all of it is gone. */
  readonly alsoKill?: () => Promise<boolean>
  readonly holdings: readonly Holding[]
  /** Counts by number, once the box has ended and when counting was asked for. */
  readonly syscalls?: () => ReadonlyMap<number, bigint> | undefined
  readonly facts?: () => ConfinementFacts
}

export class LinuxConfinement implements Confinement {
  readonly #parts: ConfinementParts
  #signal: AbortSignal | undefined
  readonly #onAbort = (): void => {
    void this.kill()
  }
  #killed: Promise<KillReport> | undefined
  #closed: Promise<void> | undefined
  #commands = 0

  constructor(parts: ConfinementParts) {
    this.#parts = parts
    // The end of the launcher is the end of the confinement, also when nobody asked for it.
    void parts.launcher.ended.then(() => this.kill())
  }

  get report(): EnforcementReport {
    return this.#parts.report
  }

  get events(): AsyncIterable<EnforcerEvent> {
    return this.#parts.queue
  }

  /** How often each system call was made, by its number. `undefined` while it runs, or when nothing was counted. */
  get syscalls(): ReadonlyMap<number, bigint> | undefined {
    return this.#parts.syscalls?.()
  }

  /**
   * What happened until now, for `fingerprintConfinement`. `undefined` unless the enforcer was opened with `fingerprint`;
   * complete when the confinement is closed.
   */
  get facts(): ConfinementFacts | undefined {
    return this.#parts.facts?.()
  }

  /** What the box makes of the profile that its text does not say, for people. */
  get notes(): readonly string[] {
    return this.#parts.notes
  }

  /** From now on the confinement ends when `signal` is aborted, at once if it is already. */
  endWith(signal: AbortSignal): void {
    this.#signal = signal
    if (signal.aborted) void this.kill()
    else signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  async spawn(command: Command): Promise<ConfinedProcess> {
    const checked = checkCommand(command)
    const stdin: StdioMode = checked.stdin === undefined ? 'null' : 'channel'
    const launched = await this.#launch(checked, [stdin, 'channel', 'channel'], false)
    const [input, output, errors] = launched.channels
    if (output === undefined || errors === undefined) {
      throw new AgentPortError('ERR_SPAWN_FAILED', 'the program has no output')
    }
    for (const channel of launched.channels) {
      // A program that ends without reading its input, or a reader that went away, is no error of ours.
      channel?.on('error', () => undefined)
    }
    if (checked.stdin instanceof Uint8Array) input?.end(checked.stdin)
    return Object.freeze({
      pid: launched.pid,
      ...(checked.stdin === 'pipe' && input !== undefined
        ? { stdin: Writable.toWeb(input) as WritableStream<Uint8Array> }
        : {}),
      stdout: Readable.toWeb(output) as ReadableStream<Uint8Array>,
      stderr: Readable.toWeb(errors) as ReadableStream<Uint8Array>,
      exited: this.#exited(launched),
    })
  }

  /**
   * Starts a command with the standard input, output and error of this process, and on its terminal. Only in a confinement
   * that was opened with `inherit`. Files and sockets are copied through and not handed in; a directory is refused with
   * ERR_COMMAND_INVALID.
   */
  async spawnInherited(command: Omit<Command, 'stdin'>): Promise<{ readonly exited: Promise<ExitStatus> }> {
    const { own, keepSession } = this.#parts
    if (own === undefined) throw new AgentPortError('ERR_STATE_INVALID', 'the confinement was not opened with inherit')
    const modes = own.map((yes): StdioMode => (yes ? 'own' : 'channel'))
    const [input = 'null', output = 'null', errors = 'null'] = modes.map((mode, fd) => (isOpen(fd) ? mode : 'null'))
    const launched = await this.#launch(checkCommand(command), [input, output, errors], keepSession)
    const copied = copyThrough(launched.channels)
    // What is left running may hold an output open for as long as it likes.
    return { exited: this.#exited(launched).then((exit) => within(copied, COPY_WAIT_MS).then(() => exit)) }
  }

  /** Whether the terminal itself signals the command, as it does every process of its foreground. */
  get keepsTerminal(): boolean {
    return this.#parts.keepSession && this.#parts.own?.[0] === true
  }

  /** Sends a signal, by its number, to every command. */
  signal(number: number): void {
    this.#parts.launcher.signal(number)
  }

  async #launch(
    command: Command,
    stdio: readonly [StdioMode, StdioMode, StdioMode],
    keepSession: boolean,
  ): Promise<LaunchedCommand> {
    if (this.#killed !== undefined) throw gone()
    const { profile, launcher, environment, workdir, tell } = this.#parts
    // One command and no more: the next one gets a box that nothing was written in.
    if (profile.executionMode === 'ephemeral' && this.#commands > 0) {
      throw new AgentPortError('ERR_STATE_INVALID', 'an ephemeral confinement runs one command')
    }
    this.#commands += 1
    const env = { ...environment, ...this.#permitted(command.env ?? {}) }
    const launched = await launcher.command({
      file: command.file,
      args: [command.file, ...command.args],
      env,
      cwd: command.cwd ?? workdir,
      stdio,
      keepSession,
    })
    tell({ type: 'started', pid: launched.pid, file: command.file })
    return launched
  }

  #permitted(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    const names = new Set(this.#parts.profile.env.map(({ value }) => value))
    for (const name of Object.keys(env)) {
      if (!names.has(name)) {
        throw new AgentPortError(
          'ERR_COMMAND_INVALID',
          `the profile does not pass the variable ${name}; declare it in allowed_env and grant it, or leave it out`,
        )
      }
    }
    return env
  }

  async #exited({ pid, status, channels }: LaunchedCommand): Promise<ExitStatus> {
    const exit = exitStatus(await status)
    // Nobody is left to read it, and a writer that nobody closes would hold the descriptor for ever.
    channels[0]?.destroy()
    this.#parts.tell({ type: 'exited', pid, ...exit })
    if (this.#parts.profile.executionMode === 'ephemeral') void this.kill()
    return exit
  }

  kill(): Promise<KillReport> {
    this.#killed ??= this.#kill()
    return this.#killed
  }

  async #kill(): Promise<KillReport> {
    const { launcher, holdings, killedBy, proven } = this.#parts
    this.#signal?.removeEventListener('abort', this.#onAbort)
    for (const holding of holdings) holding.stop?.()
    launcher.kill()
    const waited = await within(launcher.ended, KILL_WAIT_MS)
    if (waited === undefined) launcher.abandon()
    const also = (await this.#parts.alsoKill?.()) ?? true
    const unreaped = waited === undefined && launcher.pid !== undefined ? [launcher.pid] : []
    return Object.freeze({
      enforcement: 'kernel',
      outcome: unreaped.length > 0 ? 'unreaped' : waited === true && proven && also ? 'clean' : 'unproven',
      mechanism: killedBy,
      unreaped: Object.freeze(unreaped),
    })
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.kill()
    const left: string[] = []
    for (const holding of this.#parts.holdings) {
      try {
        await holding.release()
      } catch {
        left.push(holding.name)
      }
    }
    this.#parts.queue.end()
    if (left.length > 0) {
      throw new AgentPortError('ERR_STATE_INVALID', `the confinement left something behind: ${left.join(', ')}`)
    }
  }
}

/** Refuses what is neither closed nor something to read or write, one way only. */
function isOpen(fd: number): boolean {
  try {
    const stats = fstatSync(fd)
    if (!stats.isDirectory() && !stats.isBlockDevice()) return true
  } catch {
    return false
  }
  throw new AgentPortError('ERR_COMMAND_INVALID', `descriptor ${fd} is a directory or a disk`)
}

/** Fulfilled when everything the command wrote has been passed on. */
async function copyThrough([input, output, errors]: LaunchedCommand['channels']): Promise<void> {
  for (const channel of [input, output, errors]) channel?.on('error', () => undefined)
  if (input !== undefined) process.stdin.on('error', () => input.end()).pipe(input)
  await Promise.all([passOn(output, process.stdout), passOn(errors, process.stderr)])
  if (input !== undefined) process.stdin.unpipe(input).pause()
}

function passOn(from: Socket | undefined, to: NodeJS.WriteStream): Promise<void> {
  if (from === undefined) return Promise.resolve()
  return new Promise((resolve) => {
    from.once('close', () => resolve())
    from.pipe(to, { end: false })
  })
}

function gone(): AgentPortError {
  return new AgentPortError('ERR_STATE_INVALID', 'the confinement was killed or closed')
}
