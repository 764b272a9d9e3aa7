// Why something was stopped, and the error that work under an aborted signal receives. A halt that is asked for wrongly
// still halts: nothing in here throws.

import { AgentPortError } from '../core/errors.ts'
import { printable } from '../core/text.ts'

/** What a caller says when it halts. */
export interface HaltRequest {
  /** One line for people. */
  readonly reason: string
  /** The node it is about. */
  readonly node?: string
  /** A machine-readable word, such as a denial code. */
  readonly code?: string
}

/** A request as it is kept: escaped, bounded, and with the scope it was first raised in. */
export interface HaltCause extends HaltRequest {
  readonly scope: string
  readonly attempt?: number
}

/** The reason of every AbortSignal that a halt or the close of a run aborts. */
export class HaltError extends AgentPortError {
  override readonly name: string = 'HaltError'
  readonly halt: HaltCause

  constructor(cause: HaltCause) {
    super('ERR_HALTED', cause.reason)
    this.halt = cause
  }
}

/** Reads a request that may be anything. */
export function readCause(request: unknown, scope: string): HaltCause {
  try {
    const { reason, node, code } = Object(request) as Readonly<Record<string, unknown>>
    return Object.freeze({
      reason: text(typeof request === 'string' ? request : reason) ?? 'no reason was given',
      ...optional('node', text(node)),
      ...optional('code', text(code)),
      scope,
    })
  } catch {
    // A getter or proxy that throws must not be a way to prevent a halt.
    return Object.freeze({ reason: 'the reason could not be read', scope })
  }
}

/** `{ [key]: value }`, or `{}` when there is no value: the shape exactOptionalPropertyTypes asks for. */
export function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V })
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? printable(value) : undefined
}
