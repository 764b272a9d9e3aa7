// The contract of the port `LimitStore`, as cases that any test runner can run. Whoever writes a store runs them; what the
// gateway relies on is here.

import type { Charge, LimitStore, Reservation } from '../core/charge.ts'
import {
  type ContractCase,
  ContractViolationError,
  ensure,
  NotApplicableError,
  shown,
} from './enforcer-contract/case.ts'
import { LIMIT_COUNTING } from './limit-store-contract-counting.ts'
import { LIMIT_LEASES } from './limit-store-contract-leases.ts'

/** A store that holds nothing yet, and its time. */
export interface LimitStoreFixture {
  readonly store: LimitStore
  /** Moves the time of the store forward by `ms`, 0 or more. It stands still otherwise. */
  advance(ms: number): void | Promise<void>
  /** After the case, also when it failed. */
  close?(): void | Promise<void>
}

export interface LimitStoreSubject {
  /** Called once for each case. */
  open(): LimitStoreFixture | Promise<LimitStoreFixture>
}

export interface LimitCaseDefinition {
  readonly name: string
  readonly body: (trial: LimitTrial) => Promise<void>
}

/** The cases; each stands alone, with a store of its own. */
export function limitStoreContract(subject: LimitStoreSubject): readonly ContractCase[] {
  return Object.freeze(
    [...LIMIT_COUNTING, ...LIMIT_LEASES].map(
      ({ name, body }): ContractCase =>
        Object.freeze({
          name,
          run: async (notApplicable?: (reason: string) => void): Promise<void> => {
            const fixture = await subject.open()
            try {
              await body(new LimitTrial(fixture))
            } catch (error) {
              if (!(error instanceof NotApplicableError) || notApplicable === undefined) throw error
              notApplicable(error.message)
            } finally {
              await fixture.close?.()
            }
          },
        }),
    ),
  )
}

/** Longer than any case takes. */
const LONG = 86_400_000

/** One store being tried: says what it should answer, and what it answered instead. */
export class LimitTrial {
  readonly #fixture: LimitStoreFixture
  #leases = 0

  constructor(fixture: LimitStoreFixture) {
    this.#fixture = fixture
  }

  get store(): LimitStore {
    return this.#fixture.store
  }

  async advance(ms: number): Promise<void> {
    await this.#fixture.advance(ms)
  }

  /** A lease no other call has. */
  lease(): string {
    this.#leases++
    return `lease-${this.#leases}`
  }

  async ask(charges: readonly Charge[], lease: string = this.lease(), leaseMs: number = LONG): Promise<Reservation> {
    const answer = await this.store.reserve(charges, lease, leaseMs)
    ensure(typeof answer === 'object' && answer !== null, `reserve answered ${shown(answer)}`)
    ensure(answer.ok === true || answer.ok === false, `reserve answered ${shown(answer)}`)
    return answer
  }

  /** The charges must fit. Resolves to the lease. */
  async fits(what: string, charges: readonly Charge[], lease = this.lease(), leaseMs = LONG): Promise<string> {
    const answer = await this.ask(charges, lease, leaseMs)
    ensure(answer.ok, `${what} must fit, and was refused: ${shown(answer)}`)
    return lease
  }

  /** The charges must be refused for the one at `index`, with this wait: `none` for none, absent for any or none. */
  async refused(what: string, charges: readonly Charge[], index = 0, wait?: number | 'none'): Promise<void> {
    const answer = await this.ask(charges)
    if (answer.ok) throw new ContractViolationError(`${what} must be refused, and was let through`)
    const { charge, retryAfterMs } = answer
    ensure(charge === charges[index], `${what} does not fit for charge ${index}, but ${shown(charge)} was named`)
    ensure(
      retryAfterMs === undefined || (Number.isFinite(retryAfterMs) && retryAfterMs > 0),
      `${what} is to be tried again after ${shown(retryAfterMs)} ms`,
    )
    if (wait !== undefined)
      ensure(
        retryAfterMs === (wait === 'none' ? undefined : wait),
        `${what} must be refused with a wait of ${wait}, and it is ${shown(retryAfterMs)}`,
      )
  }

  /** How often the charge fits, tried up to `most` times. */
  async count(one: Charge, most: number): Promise<number> {
    for (let times = 0; times < most; times++) if (!(await this.ask([one])).ok) return times
    return most
  }

  /** Must throw or reject with TypeError. */
  async misuse(what: string, act: () => unknown): Promise<void> {
    let outcome: unknown
    try {
      outcome = await act()
    } catch (error) {
      ensure(error instanceof TypeError, `${what} must be a TypeError, and it is ${shown(error)}`)
      return
    }
    throw new ContractViolationError(`${what} must be a TypeError, and was answered with ${shown(outcome)}`)
  }
}
