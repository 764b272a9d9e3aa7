// Mode and deadline: options win over the environment, the environment wins over the defaults, and a value that is not
// understood is an error. A typo must never select a weaker mode.

import { AgentPortError } from './errors.ts'

export const MODES = ['strict', 'observe'] as const

/** `strict` decides and enforces. `observe` also records what a candidate policy would have decided; it enforces too. */
export type Mode = (typeof MODES)[number]

export interface Config {
  readonly mode: Mode
  /** Milliseconds one decision may take, 1 to 100. */
  readonly timeoutMs: number
}

export type Environment = Readonly<Record<string, string | undefined>>

/** A decision slower than this is not worth waiting for: the tool call it delays is denied instead. */
export const MAX_TIMEOUT_MS = 100
export const DEFAULT_TIMEOUT_MS = 50

export function resolveConfig(options: {
  mode?: string | undefined
  timeoutMs?: number | undefined
  env?: Environment | undefined
}): Config {
  const env = options.env ?? processEnvironment()
  const mode = options.mode ?? env['AGENTPORT_ENFORCEMENT_MODE'] ?? 'strict'
  if (!MODES.includes(mode as Mode)) {
    throw new AgentPortError(
      'ERR_CONFIG_INVALID',
      `AGENTPORT_ENFORCEMENT_MODE (option "mode") must be one of ${MODES.join(', ')}; there is no mode that lets a denied call through`,
    )
  }
  const timeoutMs = options.timeoutMs ?? parseTimeout(env['AGENTPORT_TIMEOUT_MS']) ?? DEFAULT_TIMEOUT_MS
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS) {
    throw new AgentPortError(
      'ERR_CONFIG_INVALID',
      `AGENTPORT_TIMEOUT_MS (option "timeoutMs") must be a whole number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`,
    )
  }
  return Object.freeze({ mode: mode as Mode, timeoutMs })
}

function parseTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  // Number('') is 0 and Number('0x32') is 50: only plain decimal is what an operator meant.
  return /^[0-9]{1,4}$/.test(text) ? Number(text) : Number.NaN
}

function processEnvironment(): Environment {
  const host = globalThis as { process?: { env?: Environment } }
  return host.process?.env ?? {}
}
