// The number of wait(2), which packs two different ends of a process into one word.

import { constants } from 'node:os'

import type { ExitStatus } from '../enforcer/enforcer.ts'

const SIGNALS: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name] as const),
)

/** `undefined` is a process that went with its box, which the kernel does by SIGKILL. */
export function exitStatus(status: number | undefined): ExitStatus {
  if (status === undefined) return Object.freeze({ signal: 'SIGKILL' })
  const signal = status & 0x7f
  if (signal === 0) return Object.freeze({ code: (status >> 8) & 0xff })
  return Object.freeze({ signal: SIGNALS.get(signal) ?? `signal ${signal}` })
}

/** The number of a signal, such as 15 for `SIGTERM`. */
export function signalNumber(name: string): number | undefined {
  return Object.hasOwn(constants.signals, name) ? constants.signals[name as NodeJS.Signals] : undefined
}
