// A module of a skill in a process of its own, in a box, whose only way out is a tool call that the gateway judges. Trusts
// nothing that comes back: the module can write what it likes where this reads, so all it could forge is one more tool call,
// or its own result.

import { AgentPortError } from '../../core/errors.ts'
import type { JsonValue } from '../../core/json.ts'
import { parsePath } from '../../core/path.ts'
import { copyPlain } from '../../core/plain.ts'
import { printable } from '../../core/text.ts'
import type { ConfinedProcess, Confinement, Enforcer, ExitStatus } from '../../enforcer/enforcer.ts'
import type { Requirements } from '../../enforcer/feature.ts'
import type { Profile } from '../../enforcer/profile.ts'
import type { EnforcementReport } from '../../enforcer/report.ts'
import { SkillHostError } from './failure.ts'
import { encodeFrame, FRAME_LIMITS, FrameDecoder } from './frames.ts'
import { type FailedAt, type GatewayMessage, type HostMessage, type LogStream, readHostMessage } from './messages.ts'
import { hostFiles, hostProfile, nodeFlags, type RuntimeOptions, type SkillHostFiles } from './needs.ts'
import { noCalls, refusalOf, TOOL_REFUSALS, type ToolCalls } from './tool-calls.ts'

/** A line that the module printed or logged: text of the skill, to be escaped before it is shown. */
export interface SkillLog {
  readonly stream: LogStream
  readonly text: string
}

/** To whom a host belongs from now on. */
export interface SkillHostOwner {
  /** Runs its tool calls; absent means that every one fails. See `gatewayCalls`. */
  readonly call?: ToolCalls
  /** Aborting it ends the host. */
  readonly signal?: AbortSignal
  readonly onLog?: (line: SkillLog) => void
}

export interface SkillHostProgram extends SkillHostFiles {
  /** The module, relative to the directory, e.g. `main.mjs`. */
  readonly entry: string
  /** Variables for the process; only those the profile passes. */
  readonly env?: Readonly<Record<string, string>>
  /** Milliseconds until the process must have said that it runs; 20 000 unless told. */
  readonly startTimeoutMs?: number
  /** Milliseconds one tool call may take; 30 000 unless told. */
  readonly callTimeoutMs?: number
}

/** A box that the host makes for itself: `profile`, and what {@link hostProfile} adds to it. */
export interface OwnBox {
  readonly enforcer: Enforcer
  readonly profile: Profile
  readonly requirements?: Requirements
}

/** A box made by someone else, for a profile that holds what `skillHostNeeds` lists. It belongs to the host from now on. */
export interface GivenBox extends Partial<RuntimeOptions> {
  readonly confinement: Confinement
  /** `ephemeral` unless told: the host runs one function and ends. */
  readonly executionMode?: Profile['executionMode']
}

export type SkillHostOptions = SkillHostProgram & SkillHostOwner & (OwnBox | GivenBox)

export interface SkillRunOptions {
  /** Aborting it ends the host. */
  readonly signal?: AbortSignal
  /** Milliseconds, after which the host ends; 60 000 unless told. */
  readonly timeoutMs?: number
}

interface Active {
  readonly id: number
  readonly controller: AbortController
  readonly resolve: (value: JsonValue) => void
  readonly reject: (error: Error) => void
  calls: number
  pending: number
  logLines: number
}

const START_MS = 20_000
const CALL_MS = 30_000
const RUN_MS = 60_000
/** For a module that listens to its signal. */
const GRACE_MS = 100
const LAST_WORDS = 2_000

export class SkillHost {
  readonly #confinement: Confinement
  readonly #process: ConfinedProcess
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>
  readonly #once: boolean
  readonly #callMs: number
  #owner: SkillHostOwner = {}
  #wall: NodeJS.Timeout | undefined
  #ready: (() => void) | undefined
  #active: Active | undefined
  #runs = 0
  #lastCall = 0
  /** Since the last function began. */
  #bytes = 0
  #lastWords = ''
  #over: Error | undefined
  #ended: (() => void) | undefined
  #closed: Promise<void> | undefined
  readonly #onAbort = (): void => {
    this.#cancel(halted())
  }
  /** Fulfilled when the host can run nothing any more. */
  readonly over: Promise<void> = new Promise((resolve) => {
    this.#ended = resolve
  })

  private constructor(confinement: Confinement, child: ConfinedProcess, once: boolean, callMs: number) {
    if (child.stdin === undefined) throw new SkillHostError('start', 'the process has no input')
    this.#confinement = confinement
    this.#process = child
    this.#writer = child.stdin.getWriter()
    this.#once = once
    this.#callMs = callMs
    // A process that ended takes no more; that it ended shows elsewhere. Its socket is ours to give back.
    this.#writer.closed.catch(() => undefined)
    void child.exited.then(() => this.#writer.abort()).catch(() => undefined)
    void this.#read(child.stdout)
    void this.#drain(child.stderr)
  }

  /**
   * Starts the process. Nothing of the skill has run when it resolves.
   *
   * @throws SkillHostError `start`; EnforcementUnavailableError when the host cannot make the box; AgentPortError ERR_HALTED;
   *   TypeError for a path that is not plain, or an entry outside of the directory.
   */
  static async open(options: SkillHostOptions): Promise<SkillHost> {
    // A box that was given belongs to the host, also when there is none in the end.
    try {
      const host = await SkillHost.#start(options)
      host.assign(options)
      return host
    } catch (error) {
      if ('confinement' in options) await options.confinement.close().catch(() => undefined)
      throw error
    }
  }

  static async #start(options: SkillHostOptions): Promise<SkillHost> {
    const files = hostFiles(options)
    const entry = entryPath(files.directory, options.entry)
    const callMs = milliseconds(options.callTimeoutMs ?? CALL_MS, 'callTimeoutMs')
    const startMs = milliseconds(options.startTimeoutMs ?? START_MS, 'startTimeoutMs')
    // It would undo the flags.
    if (options.env !== undefined && Object.hasOwn(options.env, 'NODE_OPTIONS')) {
      throw new AgentPortError('ERR_COMMAND_INVALID', 'a skill host takes no NODE_OPTIONS')
    }
    if (options.signal?.aborted === true) throw halted()
    const { confinement, runtime, executionMode } = await boxOf(options, files)
    try {
      const child = await confinement.spawn({
        file: files.node,
        args: [...nodeFlags(runtime), files.program, entry],
        stdin: 'pipe',
        ...(options.env === undefined ? {} : { env: options.env }),
      })
      const host = new SkillHost(confinement, child, executionMode === 'ephemeral', callMs)
      await host.#started(startMs)
      return host
    } catch (error) {
      await confinement.close().catch(() => undefined)
      throw error
    }
  }

  /** What the box really holds. */
  get report(): EnforcementReport {
    return this.#confinement.report
  }

  /** What happens in the box; one reader. */
  get events(): Confinement['events'] {
    return this.#confinement.events
  }

  /** Whether {@link run} may be called. */
  get usable(): boolean {
    return this.#over === undefined && this.#active === undefined && !(this.#once && this.#runs > 0)
  }

  /** @internal Gives the host to its owner, once and for good: what it has run cannot be taken out of it again. */
  assign(owner: SkillHostOwner, wallMs?: number): void {
    const { call, signal, onLog } = owner
    this.#owner = { ...(call === undefined ? {} : { call }), ...(onLog === undefined ? {} : { onLog }) }
    if (wallMs !== undefined) this.#wall = setTimeout(() => this.#cancel(timedOut()), wallMs).unref()
    if (signal === undefined) return
    this.#owner = { ...this.#owner, signal }
    if (signal.aborted) this.#onAbort()
    else signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  /**
   * Runs an exported function with plain data and resolves with the plain data it returns; `undefined` becomes `null`.
   *
   * @throws SkillHostError; AgentPortError ERR_VALUE_UNREADABLE for an input that is not plain data or too large, ERR_HALTED,
   *   ERR_STATE_INVALID while another function runs, when the host is over, or when it was for one function only; TypeError
   *   for a name that is none.
   */
  async run(name: string, input: unknown = null, options: SkillRunOptions = {}): Promise<JsonValue> {
    if (typeof name !== 'string' || !/^[A-Za-z_$][\w$]{0,127}$/.test(name))
      throw new TypeError('run() takes the name of an export')
    const timeoutMs = milliseconds(options.timeoutMs ?? RUN_MS, 'timeoutMs')
    const { signal } = options
    if (this.#over !== undefined) throw this.#over
    if (this.#active !== undefined)
      throw new AgentPortError('ERR_STATE_INVALID', 'the skill host runs a function already')
    if (this.#once && this.#runs > 0)
      throw new AgentPortError('ERR_STATE_INVALID', 'an ephemeral skill host runs one function')
    const id = this.#runs + 1
    const frame = encodeFrame({ type: 'run', id, name, input } as GatewayMessage)
    if (signal?.aborted === true) throw halted()
    this.#runs = id
    this.#bytes = 0
    const onAbort = (): void => this.#cancel(halted())
    const timer = setTimeout(() => this.#cancel(timedOut()), timeoutMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    const controller = new AbortController()
    try {
      return await new Promise<JsonValue>((resolve, reject) => {
        this.#active = { id, controller, resolve, reject, calls: 0, pending: 0, logLines: 0 }
        void this.#write(frame)
      })
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      // Tools that still work for this function work for nobody.
      controller.abort(new AgentPortError('ERR_HALTED', 'the function of the skill has ended'))
      if (this.#once) void this.close().catch(() => undefined)
    }
  }

  /** Ends the process and gives up the box. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#end(new AgentPortError('ERR_STATE_INVALID', 'the skill host was closed'))
      await this.#confinement.close()
    })()
    return this.#closed
  }

  async #started(startMs: number): Promise<void> {
    const ready = new Promise<void>((resolve) => {
      this.#ready = resolve
    })
    const timer = setTimeout(
      () => this.#end(new SkillHostError('start', 'the process did not say that it runs')),
      startMs,
    )
    await Promise.race([ready, this.over])
    clearTimeout(timer)
    if (this.#over === undefined) return
    throw new SkillHostError('start', `the skill host did not start: ${this.#over.message}`, { cause: this.#over })
  }

  async #read(stdout: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new FrameDecoder()
    const reader = stdout.getReader()
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        this.#bytes += part.value.length
        if (this.#bytes > FRAME_LIMITS.runBytes) throw breach('too many bytes')
        for (const message of decoder.push(part.value)) {
          if (this.#over !== undefined) break
          this.#take(readHostMessage(message))
        }
        if (this.#over !== undefined) break
      }
      if (!decoder.isWhole && this.#over === undefined) throw breach('half a frame')
    } catch (error) {
      // One breach is the end: what writes such a frame is not the program that was started, or no longer only that.
      const said = error instanceof AgentPortError ? error.message : 'the frames cannot be read'
      this.#end(new SkillHostError('protocol', `the skill broke the protocol and was ended: ${said}`, { cause: error }))
    }
    if (this.#over === undefined) {
      this.#confinement.kill().catch(() => undefined)
      const status = await this.#process.exited
      this.#end(new SkillHostError('ended', `the skill ended its process (${describeExit(status)})${this.#words()}`))
    }
    reader.cancel().catch(() => undefined)
  }

  #take(message: HostMessage): void {
    if (message.type === 'ready') {
      if (this.#ready === undefined) throw breach('it began twice')
      this.#ready()
      this.#ready = undefined
      return
    }
    const active = this.#active
    if (active === undefined) throw breach('a message when no function runs')
    switch (message.type) {
      case 'log':
        if (++active.logLines > FRAME_LIMITS.logLines) throw breach('too many log lines')
        this.#log({ stream: message.stream, text: message.text })
        break
      case 'call':
        if (message.id !== this.#lastCall + 1) throw breach('a call out of order')
        this.#lastCall = message.id
        if (++active.calls > FRAME_LIMITS.calls) throw breach('too many tool calls')
        if (++active.pending > FRAME_LIMITS.pendingCalls) throw breach('too many tool calls at once')
        void this.#call(active, message.id, message.tool, message.args)
        break
      case 'done':
        if (message.id !== active.id) throw breach('the result of another function')
        this.#active = undefined
        active.resolve(message.value)
        break
      case 'failed':
        if (message.id !== active.id) throw breach('the failure of another function')
        this.#active = undefined
        active.reject(new SkillHostError(REASONS[message.at], `${SAID[message.at]}: ${printable(message.message)}`))
    }
  }

  async #call(active: Active, id: number, tool: string, args: JsonValue): Promise<void> {
    const answer = await this.#answer(active, id, tool, args)
    // A result for a function that is over is nobody's.
    if (this.#active !== active) return
    let frame: Buffer
    try {
      frame = encodeFrame(answer)
    } catch {
      frame = encodeFrame({ type: 'refused', id, error: TOOL_REFUSALS.result_too_large })
    }
    // Counted until it is written: a module that asks and does not read must not make the gateway keep its answers.
    await this.#write(frame)
    active.pending -= 1
  }

  async #answer(active: Active, id: number, tool: string, args: JsonValue): Promise<GatewayMessage> {
    const tooLong = new AbortController()
    const timer = setTimeout(() => tooLong.abort(new Error('the tool call took too long')), this.#callMs)
    const signal = AbortSignal.any([active.controller.signal, tooLong.signal])
    const stopped = new Promise<undefined>((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true })
    })
    try {
      const call = this.#owner.call ?? noCalls
      const result = await Promise.race([call(tool, args, signal).then((value) => ({ value })), stopped])
      if (result === undefined) return { type: 'refused', id, error: TOOL_REFUSALS.tool_timeout }
      const copied = copyPlain(result.value ?? null)
      if (!copied.ok) return { type: 'refused', id, error: TOOL_REFUSALS.result_too_large }
      return { type: 'answer', id, value: copied.value }
    } catch (error) {
      return { type: 'refused', id, error: refusalOf(error) }
    } finally {
      clearTimeout(timer)
    }
  }

  #log(line: SkillLog): void {
    try {
      this.#owner.onLog?.(Object.freeze(line))
    } catch {
      // A listener's to throw is the listener's: no line of the module may end the host by way of it.
    }
  }

  async #write(frame: Uint8Array): Promise<void> {
    await this.#writer.write(frame).catch(() => undefined)
  }

  async #drain(stderr: ReadableStream<Uint8Array>): Promise<void> {
    const reader = stderr.getReader()
    const decoder = new TextDecoder()
    let bytes = 0
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        bytes += part.value.length
        if (bytes > FRAME_LIMITS.errorBytes) {
          this.#end(new SkillHostError('protocol', 'the skill wrote too much to standard error and was ended'))
          break
        }
        this.#lastWords = (this.#lastWords + decoder.decode(part.value.subarray(-LAST_WORDS))).slice(-LAST_WORDS)
      }
    } catch {
      // Of a process that is gone; its other stream says so.
    }
    reader.cancel().catch(() => undefined)
  }

  #words(): string {
    const line = this.#lastWords.split('\n').find((text) => /\S/.test(text))
    return line === undefined ? '' : `: ${printable(line, 200)}`
  }

  /** Over at once for everyone who waits; the module has a moment before it is killed. */
  #cancel(why: Error): void {
    if (this.#over !== undefined) return
    if (this.#active !== undefined) void this.#write(encodeFrame({ type: 'cancel' }))
    const timer = setTimeout(() => void this.#confinement.kill(), GRACE_MS)
    void this.#process.exited.then(() => clearTimeout(timer))
    this.#stop(why)
  }

  #end(why: Error): void {
    if (this.#over !== undefined) return
    this.#stop(why)
    void this.#confinement.kill()
  }

  #stop(why: Error): void {
    // The end of a box that its owner halted is no fault of the skill.
    this.#over = this.#owner.signal?.aborted === true && why instanceof SkillHostError ? halted() : why
    clearTimeout(this.#wall)
    this.#owner.signal?.removeEventListener('abort', this.#onAbort)
    const active = this.#active
    this.#active = undefined
    active?.controller.abort(this.#over)
    active?.reject(this.#over)
    this.#ended?.()
  }
}

const REASONS = { load: 'load', run: 'threw', result: 'result' } as const satisfies Record<
  FailedAt,
  SkillHostError['reason']
>
const SAID: Readonly<Record<FailedAt, string>> = {
  load: 'the module cannot be used',
  run: 'the skill threw',
  result: 'the skill returned no plain data',
}

interface Box {
  readonly confinement: Confinement
  readonly runtime: RuntimeOptions
  readonly executionMode: Profile['executionMode']
}

async function boxOf(options: SkillHostOptions, files: Required<SkillHostFiles>): Promise<Box> {
  if ('confinement' in options) {
    const { confinement, executableMemory = false, memoryBytes, executionMode = 'ephemeral' } = options
    const runtime = { executableMemory, ...(memoryBytes === undefined ? {} : { memoryBytes }) }
    return { confinement, runtime, executionMode }
  }
  const { enforcer, requirements, signal } = options
  const profile = hostProfile(options.profile, files)
  const confinement = await enforcer.open(profile, {
    ...(requirements === undefined ? {} : { requirements }),
    ...(signal === undefined ? {} : { signal }),
  })
  const { memoryBytes } = profile.limits
  return {
    confinement,
    runtime: {
      executableMemory: profile.rights.some(({ value }) => value === 'executable_memory'),
      ...(memoryBytes === undefined ? {} : { memoryBytes }),
    },
    executionMode: profile.executionMode,
  }
}

function entryPath(directory: string, entry: string): string {
  const parsed = typeof entry === 'string' && !entry.startsWith('/') ? parsePath(entry, { base: directory }) : undefined
  if (parsed === undefined || !parsed.ok || parsed.path !== `${directory}/${entry}`) {
    throw new TypeError('the entry is no plain path relative to the skill directory')
  }
  return parsed.path
}

function milliseconds(value: number, name: string): number {
  if (!Number.isSafeInteger(value) || value < 1 || value >= 2 ** 31)
    throw new TypeError(`${name} is no number of milliseconds`)
  return value
}

function describeExit({ code, signal }: ExitStatus): string {
  return code === undefined ? `signal ${signal ?? 'unknown'}` : `code ${code}`
}

function breach(detail: string): AgentPortError {
  return new AgentPortError('ERR_VALUE_UNREADABLE', detail)
}

function timedOut(): SkillHostError {
  return new SkillHostError('timeout', 'the skill took too long and was ended')
}

function halted(): AgentPortError {
  return new AgentPortError('ERR_HALTED', 'the run of the skill was halted')
}
