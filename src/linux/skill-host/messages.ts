// What a skill host and the gateway say to each other. The gateway reads here what came from a process that runs the skill's
// own code, and takes every member for what an attacker wrote: a shape that is not exactly one of these is no message.

import { AgentPortError } from '../../core/errors.ts'
import type { JsonObject, JsonValue } from '../../core/json.ts'
import { isName } from '../../core/text.ts'
import { FRAME_LIMITS } from './frames.ts'

export type LogStream = 'stdout' | 'stderr' | 'log'

/** From the skill host. */
export type HostMessage =
  /** Once, before anything of the skill was loaded. */
  | { readonly type: 'ready' }
  | { readonly type: 'log'; readonly stream: LogStream; readonly text: string }
  /** `id` counts from 1 over the life of the host. */
  | { readonly type: 'call'; readonly id: number; readonly tool: string; readonly args: JsonValue }
  | { readonly type: 'done'; readonly id: number; readonly value: JsonValue }
  | { readonly type: 'failed'; readonly id: number; readonly at: FailedAt; readonly message: string }

/** `load`: the module does not load, or has no such function. `run`: the function threw. `result`: it gave no plain data. */
export type FailedAt = 'load' | 'run' | 'result'

/** From the gateway. */
export type GatewayMessage =
  | { readonly type: 'run'; readonly id: number; readonly name: string; readonly input: JsonValue }
  | { readonly type: 'answer'; readonly id: number; readonly value: JsonValue }
  | { readonly type: 'refused'; readonly id: number; readonly error: ToolRefusal }
  /** The function has a moment to tidy up. */
  | { readonly type: 'cancel' }

/** Why a tool call gave no result, as the module may know it. */
export interface ToolRefusal {
  /** A code of docs/denials.md, or `tool_failed`, `tool_timeout`, `calls_exhausted`, `run_ended`. */
  readonly code: string
  /** Safe to show to a model. */
  readonly message: string
  readonly recoverable: 'never' | 'narrower' | 'after_approval' | 'after_wait'
}

/** Throws ERR_VALUE_UNREADABLE for anything else than a message. */
export function readHostMessage(message: JsonObject): HostMessage {
  switch (message['type']) {
    case 'ready':
      return members(message, 1, { type: 'ready' })
    case 'log':
      return members(message, 3, { type: 'log', stream: stream(message['stream']), text: logText(message['text']) })
    case 'call': {
      const { id, tool, args } = message
      if (!isName(tool)) throw strange('a call of something that is no tool')
      return members(message, 4, { type: 'call', id: number(id), tool, args: value(args) })
    }
    case 'done':
      return members(message, 3, { type: 'done', id: number(message['id']), value: value(message['value']) })
    case 'failed': {
      const { id, at } = message
      if (at !== 'load' && at !== 'run' && at !== 'result') throw strange('a failure at no known place')
      return members(message, 4, { type: 'failed', id: number(id), at, message: logText(message['message']) })
    }
    default:
      throw strange('a message of no known type')
  }
}

function members<T>(message: JsonObject, count: number, read: T): T {
  if (Object.keys(message).length !== count) throw strange('a message with a member too many')
  return read
}

function number(value: JsonValue | undefined): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) throw strange('an id that is none')
  return value
}

function value(given: JsonValue | undefined): JsonValue {
  if (given === undefined) throw strange('a message without its value')
  return given
}

function stream(given: JsonValue | undefined): LogStream {
  if (given === 'stdout' || given === 'stderr' || given === 'log') return given
  throw strange('a log line of no known stream')
}

function logText(given: JsonValue | undefined): string {
  if (typeof given !== 'string' || given.length > FRAME_LIMITS.logLength)
    throw strange('a text that is none or too long')
  return given
}

function strange(detail: string): AgentPortError {
  return new AgentPortError('ERR_VALUE_UNREADABLE', detail)
}
