// The program inside the box: loads one module and runs one function of it at a time, whose only way out is a tool call. It
// shares its process with the module, which can therefore do and send all that this file can; the box and the other end of
// the frames confine the module, and this file merely serves it.

import { writeSync } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { pathToFileURL } from 'node:url'

import type { JsonObject, JsonValue } from '../../core/json.ts'
import { describeError, isName } from '../../core/text.ts'
import { encodeFrame, FRAME_LIMITS, FrameDecoder } from './frames.ts'
import type { FailedAt, GatewayMessage, HostMessage, LogStream, ToolRefusal } from './messages.ts'

/** What a function of a skill gets beside its input. */
interface SkillContext {
  readonly tools: { call(tool: string, args?: unknown): Promise<JsonValue> }
  /** Aborted a moment before the process is killed. */
  readonly signal: AbortSignal
  log(text: string): void
}

type SkillFunction = (input: JsonValue, context: SkillContext) => unknown

/** What a tool call of the module is rejected with. */
class ToolCallError extends Error {
  override readonly name = 'ToolCallError'
  readonly code: string
  readonly recoverable: ToolRefusal['recoverable']

  constructor({ code, message, recoverable }: ToolRefusal) {
    super(message)
    this.code = code
    this.recoverable = recoverable
  }
}

interface PendingCall {
  readonly resolve: (value: JsonValue) => void
  readonly reject: (error: Error) => void
}

interface CurrentRun {
  readonly id: number
  readonly controller: AbortController
  readonly calls: Map<number, PendingCall>
  /** Calls that wait until one of those above has its answer. */
  readonly waiting: (() => void)[]
  made: number
}

const FRAMES_OUT = 1
const SLEEP = new Int32Array(new SharedArrayBuffer(4))

const [, , entry = ''] = process.argv
let current: CurrentRun | undefined
let lastCall = 0
let logLines = 0

// In order and at once: a frame that waits in a queue is lost when the module ends the process.
function send(message: HostMessage): void {
  const frame = encodeFrame(message)
  for (let at = 0; at < frame.length; ) {
    try {
      at += writeSync(FRAMES_OUT, frame, at)
    } catch (error) {
      // The module may have made the descriptor a non-blocking one.
      if ((error as { code?: unknown }).code !== 'EAGAIN') throw error
      Atomics.wait(SLEEP, 0, 0, 1)
    }
  }
}

function log(stream: LogStream, text: string): void {
  // Timers of a module outlive its function; what they print is for nobody.
  if (current === undefined || logLines === FRAME_LIMITS.logLines) return
  logLines += 1
  const rest = logLines === FRAME_LIMITS.logLines
  // Through bytes, which makes half of a surrogate pair, as a cut leaves them, a replacement character.
  const line = Buffer.from(text.slice(0, FRAME_LIMITS.logLength - 1), 'utf8').toString('utf8')
  send({ type: 'log', stream, text: rest ? 'what follows is not logged' : line })
}

function diverted(stream: 'stdout' | 'stderr'): Writable {
  return new Writable({
    decodeStrings: false,
    write(chunk: unknown, _encoding, callback) {
      log(stream, typeof chunk === 'string' ? chunk : Buffer.from(chunk as Uint8Array).toString('utf8'))
      callback()
    },
  })
}

function callTool(tool: string, args: unknown): Promise<JsonValue> {
  const run = current
  if (run === undefined) return Promise.reject(refused('run_ended', 'The function that could call tools has ended.'))
  // Here already: to the gateway a call of no tool is a breach of the protocol.
  if (!isName(tool)) return Promise.reject(new TypeError('a tool call takes the name of a tool'))
  if (++run.made > FRAME_LIMITS.calls) return Promise.reject(refused('calls_exhausted', 'Too many tool calls.'))
  return new Promise((resolve, reject) => {
    const start = (): void => {
      const id = lastCall + 1
      try {
        send({ type: 'call', id, tool, args: args as JsonValue })
      } catch (error) {
        reject(new ToolCallError({ code: 'arguments_unreadable', message: told(error), recoverable: 'narrower' }))
        run.waiting.shift()?.()
        return
      }
      lastCall = id
      run.calls.set(id, { resolve, reject })
    }
    if (run.calls.size < FRAME_LIMITS.pendingCalls) start()
    else run.waiting.push(start)
  })
}

function settle(id: number, how: (call: PendingCall) => void): void {
  const call = current?.calls.get(id)
  if (call === undefined) return
  current?.calls.delete(id)
  how(call)
  current?.waiting.shift()?.()
}

async function run(id: number, name: string, input: JsonValue): Promise<void> {
  const controller = new AbortController()
  current = { id, controller, calls: new Map(), waiting: [], made: 0 }
  logLines = 0
  let work: SkillFunction
  try {
    const module = (await import(pathToFileURL(entry).href)) as Readonly<Record<string, unknown>>
    const found = Object.hasOwn(module, name) ? module[name] : undefined
    if (typeof found !== 'function') throw new TypeError(`the module exports no function ${name}`)
    work = found as SkillFunction
  } catch (error) {
    fail(id, 'load', error)
    return
  }
  let value: unknown
  try {
    const tools = Object.freeze({ call: (tool: string, args: unknown = {}) => callTool(tool, args) })
    const context = { tools, signal: controller.signal, log: (text: string) => log('log', String(text)) }
    value = await work(input, Object.freeze(context))
  } catch (error) {
    fail(id, 'run', error)
    return
  }
  if (current?.id !== id) return
  try {
    send({ type: 'done', id, value: (value ?? null) as JsonValue })
  } catch (error) {
    fail(id, 'result', error)
    return
  }
  finish()
}

function fail(id: number, at: FailedAt, error: unknown): void {
  if (current?.id !== id) return
  send({ type: 'failed', id, at, message: told(error) })
  finish()
}

function finish(): void {
  const ended = current
  current = undefined
  for (const { reject } of ended?.calls.values() ?? []) reject(refused('run_ended', 'The function has ended.'))
}

function refused(code: string, message: string): ToolCallError {
  return new ToolCallError({ code, message, recoverable: 'never' })
}

function told(error: unknown): string {
  return describeError(error, 'something that is no error was thrown')
}

function take(message: JsonObject): void {
  const given = message as unknown as GatewayMessage
  switch (given.type) {
    case 'run':
      void run(given.id, given.name, given.input)
      break
    case 'answer':
      settle(given.id, ({ resolve }) => resolve(given.value))
      break
    case 'refused':
      settle(given.id, ({ reject }) => reject(new ToolCallError(given.error)))
      break
    case 'cancel':
      current?.controller.abort(new Error('the run was ended'))
  }
}

const decoder = new FrameDecoder()
const input = process.stdin
input.on('data', (chunk: Buffer) => {
  for (const message of decoder.push(chunk)) take(message)
})
// Nobody is left who could want anything.
input.on('end', () => process.exit(0))
input.on('error', () => process.exit(0))

const fixed = { configurable: false, enumerable: true } as const
Object.defineProperty(process, 'stdin', { ...fixed, value: Readable.from([]) })
Object.defineProperty(process, 'stdout', { ...fixed, value: diverted('stdout') })
Object.defineProperty(process, 'stderr', { ...fixed, value: diverted('stderr') })

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    if (current !== undefined) fail(current.id, 'run', error)
  })
}

send({ type: 'ready' })
