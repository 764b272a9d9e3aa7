// unsafeNullEnforcer: starts programs and confines nothing. For tests of code that needs some enforcer. It refuses unless
// every single feature was declared preferred, and everything it reports says `enforcement: 'none'`.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { Readable, Writable } from 'node:stream'

import { systemClock } from '../core/clock.ts'
import { AgentPortError } from '../core/errors.ts'
import { type Command, checkCommand } from '../enforcer/command.ts'
import type {
  Capabilities,
  Capability,
  ConfinedProcess,
  Confinement,
  Enforcer,
  EnforcerEvent,
  ExitStatus,
  KillReport,
  OpenConfinementOptions,
} from '../enforcer/enforcer.ts'
import { EventQueue } from '../enforcer/event-queue.ts'
import { FEATURES, type Feature } from '../enforcer/feature.ts'
import type { Profile } from '../enforcer/profile.ts'
import { assertRequirements, type EnforcementReport, type FeatureReport } from '../enforcer/report.ts'

const NAME = 'unsafe_null'
const REASON = 'this enforcer confines nothing'
const FIX = 'use an enforcer for this operating system'
const KILL_WAIT_MS = 2_000

const REPORT: EnforcementReport = Object.freeze({
  enforcer: NAME,
  enforcement: 'none',
  confined: false,
  features: everyFeature<FeatureReport>({
    status: 'absent',
    mechanism: '',
    visibility: 'silent',
    reason: REASON,
    fix: FIX,
  }),
})

/** Runs programs with the rights of this process. Never for code that is not trusted completely. */
export const unsafeNullEnforcer: Enforcer = Object.freeze({
  name: NAME,

  probe(): Promise<Capabilities> {
    const features = everyFeature<Capability>({ support: 'unsupported', mechanism: '', reason: REASON, fix: FIX })
    return Promise.resolve(Object.freeze({ enforcer: NAME, features }))
  },

  async open(_profile: Profile, options: OpenConfinementOptions = {}): Promise<Confinement> {
    assertRequirements(REPORT, options.requirements)
    if (options.signal?.aborted === true) throw new AgentPortError('ERR_HALTED', 'the run was halted before it began')
    return new NullConfinement(options.signal)
  },
})

function everyFeature<T extends object>(value: T): Readonly<Record<Feature, T>> {
  Object.freeze(value)
  return Object.freeze(Object.fromEntries(FEATURES.map((feature) => [feature, value])) as Record<Feature, T>)
}

class NullConfinement implements Confinement {
  readonly report: EnforcementReport = REPORT
  readonly #queue = new EventQueue(systemClock)
  readonly #live = new Map<ChildProcess, Promise<ExitStatus>>()
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = (): void => {
    void this.kill()
  }
  #stopped = false

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  get events(): AsyncIterable<EnforcerEvent> {
    return this.#queue
  }

  async spawn(command: Command): Promise<ConfinedProcess> {
    const { file, args, env, cwd, stdin } = checkCommand(command)
    if (this.#stopped) throw new AgentPortError('ERR_STATE_INVALID', 'the confinement was killed or closed')
    const child = launch(file, args, {
      // Of its own process group, so that a kill reaches at least the children that stay in it.
      detached: true,
      shell: false,
      env: { ...env },
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
    })
    // Known to a kill from the moment it exists, which is before it is known to have started well.
    const exited = this.#watch(child)
    const pid = await started(child)
    this.#queue.push({ type: 'started', pid, file })
    void exited.then((status) => this.#queue.push({ type: 'exited', pid, ...status }))
    // A program that ends without reading its input is not an error of ours.
    child.stdin?.on('error', () => undefined)
    if (stdin instanceof Uint8Array) child.stdin?.end(stdin)
    if (child.stdout === null || child.stderr === null) {
      throw new AgentPortError('ERR_SPAWN_FAILED', 'the program has no output')
    }
    return {
      pid,
      ...(stdin === 'pipe' && child.stdin !== null
        ? { stdin: Writable.toWeb(child.stdin) as WritableStream<Uint8Array> }
        : {}),
      stdout: Readable.toWeb(child.stdout) as ReadableStream<Uint8Array>,
      stderr: Readable.toWeb(child.stderr) as ReadableStream<Uint8Array>,
      exited,
    }
  }

  #watch(child: ChildProcess): Promise<ExitStatus> {
    const exited = new Promise<ExitStatus>((resolve) => {
      child.once('exit', (code, signal) => {
        this.#live.delete(child)
        resolve(Object.freeze({ ...(code === null ? {} : { code }), ...(signal === null ? {} : { signal }) }))
      })
    })
    if (child.pid !== undefined) this.#live.set(child, exited)
    return exited
  }

  async kill(): Promise<KillReport> {
    this.#stopped = true
    for (const child of this.#live.keys()) killGroup(child)
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, KILL_WAIT_MS)
    })
    await Promise.race([Promise.all(this.#live.values()), patience])
    clearTimeout(timer)
    const unreaped = [...this.#live.keys()].flatMap(({ pid }) => (pid === undefined ? [] : [pid]))
    return Object.freeze({
      enforcement: 'none',
      // A descendant that left the group is not known here, so a clean end can never be claimed.
      outcome: unreaped.length > 0 ? 'unreaped' : 'unproven',
      mechanism: 'SIGKILL to the process group',
      unreaped: Object.freeze(unreaped),
    })
  }

  async close(): Promise<void> {
    await this.kill()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#queue.end()
  }
}

// Some failures of execve are thrown (arguments too long), others are an event (no such file).
function launch(file: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  try {
    return spawn(file, [...args], options)
  } catch (error) {
    throw new AgentPortError('ERR_SPAWN_FAILED', 'the program could not be started', { cause: error })
  }
}

async function started(child: ChildProcess): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) =>
      reject(new AgentPortError('ERR_SPAWN_FAILED', 'the program could not be started', { cause: error })),
    )
  })
  // From here on an error only says that a signal could not be sent, which the exit event tells better.
  child.on('error', () => undefined)
  if (child.pid === undefined) throw new AgentPortError('ERR_SPAWN_FAILED', 'the program has no process id')
  return child.pid
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // The group is gone already, or never was; the exit event decides whether the child is.
    child.kill('SIGKILL')
  }
}
