// One case of the contract, as a test runner sees it, and the two ways in which it does not pass. A case that proves
// nothing on this host must never look like one that passed, so being not applicable is thrown unless someone listens.

import type { Feature } from '../../enforcer/feature.ts'

export interface ContractCase {
  /** `topic: what is expected`; unique in the suite. */
  readonly name: string
  /** The case is about this feature, and not applicable where the enforcer says that it does not have it. */
  readonly feature?: Feature
  /**
   * Rejects with {@link ContractViolationError} when the enforcer does not keep the contract. Where the case cannot prove
   * anything it calls `notApplicable` and resolves; without such a function it rejects with {@link NotApplicableError}.
   */
  run(notApplicable?: (reason: string) => void): Promise<void>
}

/** The enforcer does something else than the contract says. The message says what, and what was expected. */
export class ContractViolationError extends Error {
  override readonly name: string = 'ContractViolationError'
}

/** The case says nothing about this enforcer on this host. */
export class NotApplicableError extends Error {
  override readonly name: string = 'NotApplicableError'
}

export function ensure(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ContractViolationError(message)
}

/** `value` for a message: short, on one line, whatever it is. */
export function shown(value: unknown): string {
  let text: string | undefined
  try {
    text =
      typeof value === 'string' ? JSON.stringify(value) : value instanceof Error ? `${value}` : JSON.stringify(value)
  } catch {
    text = undefined
  }
  text ??= String(typeof value)
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length} characters)` : text
}

/** `promise`, or a violation that names what did not happen in time. */
export async function within<T>(ms: number, what: string, promise: PromiseLike<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new ContractViolationError(`${what} did not settle within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A violation unless `promise` rejects with an error of this code. Resolves to that error. */
export async function rejectsWith(code: string, what: string, promise: Promise<unknown>): Promise<Error> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  ensure('error' in outcome, `${what}: expected a rejection with ${code}, but it was fulfilled`)
  const { error } = outcome
  if (error instanceof ContractViolationError) throw error
  const found = error instanceof Error ? (error as Error & { readonly code?: unknown }).code : undefined
  ensure(
    error instanceof Error && found === code,
    `${what}: expected a rejection with ${code}, but it was rejected with ${shown(found ?? error)} (${shown(error)})`,
  )
  return error
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}
