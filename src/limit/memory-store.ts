// Counts limits in this process. Nothing is awaited, so two calls cannot come between each other's looking and taking.
// It trusts its clock to be honest, not to be monotonic: a time before the last one is taken for the last one.

import type { Charge, LimitStore, Reservation } from '../core/charge.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { checkLease, checkReserve, checkRun, counterName, meterOf } from './check-charge.ts'
import { ExpiryQueue } from './expiry-queue.ts'
import { fits, giveBack, idleAt, newState, type State, take, wait } from './meters.ts'
import { limitUnavailable } from './unavailable.ts'

export interface MemoryLimitStoreOptions {
  /** Its monotonic time is used, for all kinds: setting the wall clock gives nothing back and takes nothing. */
  readonly clock?: Clock
  /**
   * Counters that hold something at the same time; 10,000 unless said. Beyond it a call that needs a new one is refused
   * with `ERR_LIMIT_UNAVAILABLE`: forgetting one would give it back whole to whoever names enough others.
   */
  readonly maxCounters?: number
  /** Calls that are neither settled nor expired; 100,000 unless said. Beyond it likewise. */
  readonly maxLeases?: number
}

interface Counter {
  readonly name: string
  readonly run: string | undefined
  readonly state: State
  /** When the queue looks at it next. */
  queuedAt: number
  /** Taken by charges of the call being looked at, if `pendingOf` is that call. */
  pending: number
  pendingOf: number
  gone: boolean
}

interface Take {
  readonly counter: Counter
  readonly charge: Charge
}

interface Lease {
  readonly charges: readonly Charge[]
  readonly takes: readonly Take[]
  readonly takenAt: number
  readonly endsAt: number
}

/** Ended leases and idle counters looked at by one call; what is left is left to the next, unless room is needed. */
const SWEEP = 16

export class MemoryLimitStore implements LimitStore {
  readonly #clock: Clock
  readonly #maxCounters: number
  readonly #maxLeases: number
  readonly #counters = new Map<string, Counter>()
  readonly #runs = new Map<string, Set<Counter>>()
  readonly #leases = new Map<string, Lease>()
  readonly #idle = new ExpiryQueue<Counter>()
  readonly #endings = new ExpiryQueue<readonly [lease: string, is: Lease]>()
  #last = Number.NEGATIVE_INFINITY
  #calls = 0

  constructor({ clock = systemClock, maxCounters = 10_000, maxLeases = 100_000 }: MemoryLimitStoreOptions = {}) {
    for (const [name, value] of Object.entries({ maxCounters, maxLeases }))
      if (!Number.isSafeInteger(value) || value < 1) throw new TypeError(`${name} is not a whole number from 1 on`)
    this.#clock = clock
    this.#maxCounters = maxCounters
    this.#maxLeases = maxLeases
  }

  /** Counters kept now; some may have become idle. */
  get size(): number {
    return this.#counters.size
  }

  /**
   * A lease that is still held takes nothing a second time. Throws TypeError for charges that cannot be counted and for
   * a lease that holds other charges, `ERR_LIMIT_UNAVAILABLE` when there is no room or no time.
   */
  reserve(charges: readonly Charge[], lease: string, leaseMs: number): Reservation {
    checkReserve(charges, lease, leaseMs)
    const now = this.#now()
    this.#endLeases(now)
    const held = this.#leases.get(lease)
    if (held !== undefined) {
      mustBeThoseOf(held, charges)
      return OK
    }
    if (charges.length === 0) return OK
    // Before any counter is looked up: what is dropped here is not what this call is about to take from.
    this.#dropIdle(now, charges.length)
    const fresh = new Map<string, Counter>()
    const takes: Take[] = []
    const call = ++this.#calls
    for (const charge of charges) {
      const counter = this.#counterOf(charge, fresh)
      if (counter.pendingOf !== call) {
        counter.pendingOf = call
        counter.pending = 0
      }
      if (!fits(counter.state, charge, counter.pending, now)) {
        const retryAfterMs = wait(counter.state, charge, counter.pending, now)
        return { ok: false, charge, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
      }
      counter.pending += charge.amount
      if (charge.amount > 0) takes.push({ counter, charge })
      else if (counter.pending === 0) fresh.delete(counter.name)
    }
    this.#mustHaveRoom(fresh.size)
    for (const counter of fresh.values()) this.#keep(counter)
    for (const { counter, charge } of takes) take(counter.state, charge, now)
    for (const { counter } of takes) this.#queue(counter)
    const is = { charges: [...charges], takes, takenAt: now, endsAt: now + leaseMs }
    this.#leases.set(lease, is)
    this.#endings.add(is.endsAt, [lease, is])
    return OK
  }

  /** Throws TypeError for a lease that holds other charges. */
  release(charges: readonly Charge[], lease: string, how: 'settled' | 'undone'): void {
    checkLease(charges, lease)
    if (how !== 'settled' && how !== 'undone') throw new TypeError('a lease is released settled or undone')
    const now = this.#now()
    this.#endLeases(now)
    const held = this.#leases.get(lease)
    if (held === undefined) return
    mustBeThoseOf(held, charges)
    this.#end(lease, held, how, now)
  }

  forgetRun(run: string): void {
    checkRun(run)
    for (const counter of this.#runs.get(run) ?? []) this.#drop(counter)
  }

  /** Never before the last time: a clock that runs backwards must not let a window or a lease begin anew. */
  #now(): number {
    const now = this.#clock.monotonic()
    if (!Number.isFinite(now)) throw limitUnavailable('the clock does not tell the time')
    if (now > this.#last) this.#last = now
    return this.#last
  }

  #counterOf(charge: Charge, fresh: Map<string, Counter>): Counter {
    const name = counterName(charge)
    const known = this.#counters.get(name) ?? fresh.get(name)
    if (known !== undefined) return known
    const { run } = charge
    const state = newState(meterOf(charge))
    const counter = { name, run, state, queuedAt: Number.POSITIVE_INFINITY, pending: 0, pendingOf: 0, gone: false }
    fresh.set(name, counter)
    return counter
  }

  #keep(counter: Counter): void {
    this.#counters.set(counter.name, counter)
    if (counter.run === undefined) return
    const ofRun = this.#runs.get(counter.run)
    if (ofRun === undefined) this.#runs.set(counter.run, new Set([counter]))
    else ofRun.add(counter)
  }

  #drop(counter: Counter): void {
    counter.gone = true
    this.#counters.delete(counter.name)
    if (counter.run === undefined) return
    const ofRun = this.#runs.get(counter.run)
    ofRun?.delete(counter)
    if (ofRun?.size === 0) this.#runs.delete(counter.run)
  }

  /** An entry in the queue that is too early is put right when it comes up; one that is too late is not waited for. */
  #queue(counter: Counter): void {
    const at = idleAt(counter.state)
    if (at === Number.POSITIVE_INFINITY || at >= counter.queuedAt) return
    counter.queuedAt = at
    this.#idle.add(at, counter)
  }

  /** Drops counters that hold nothing by now: a few, or all of them where room for `wanted` more needs it. */
  #dropIdle(now: number, wanted: number): void {
    for (let looked = 0; looked < SWEEP || this.#counters.size + wanted > this.#maxCounters; looked++) {
      const due = this.#idle.takeEnded(now)
      if (due === undefined) break
      const counter = due.value
      if (counter.gone || due.at !== counter.queuedAt) continue
      counter.queuedAt = Number.POSITIVE_INFINITY
      if (idleAt(counter.state) <= now) this.#drop(counter)
      else this.#queue(counter)
    }
    // Counters dropped with their run wait for their time in the queue; long ones must not pile up there.
    if (this.#idle.size > 2 * this.#counters.size + SWEEP)
      this.#idle.retain(({ at, value }) => !value.gone && at === value.queuedAt)
  }

  #mustHaveRoom(wanted: number): void {
    if (this.#counters.size + wanted > this.#maxCounters)
      throw limitUnavailable(`${this.#maxCounters} counters hold something; there is no room for another`)
    if (this.#leases.size >= this.#maxLeases) throw limitUnavailable(`${this.#maxLeases} calls are open`)
  }

  #endLeases(now: number): void {
    for (;;) {
      const due = this.#endings.takeEnded(now)
      if (due === undefined) break
      const [lease, is] = due.value
      if (this.#leases.get(lease) === is) this.#end(lease, is, 'settled', now)
    }
    // Released leases wait for their time in the queue; long ones must not pile up there.
    if (this.#endings.size > 2 * this.#leases.size + SWEEP)
      this.#endings.retain(({ value: [lease, is] }) => this.#leases.get(lease) === is)
  }

  #end(lease: string, { takes, takenAt }: Lease, how: 'settled' | 'undone', now: number): void {
    this.#leases.delete(lease)
    for (const { counter, charge } of takes) {
      // A counter dropped with its run is not the one that may have its name now.
      if (counter.gone || (how === 'settled' && counter.state.meter !== 'concurrency')) continue
      giveBack(counter.state, charge.amount, takenAt, now)
      if (idleAt(counter.state) <= now) this.#drop(counter)
      else this.#queue(counter)
    }
  }
}

const OK: Reservation = Object.freeze({ ok: true })

function mustBeThoseOf({ charges: held }: Lease, charges: readonly Charge[]): void {
  const same =
    held.length === charges.length &&
    held.every((one, index) => {
      const other = charges[index]
      return other !== undefined && one.amount === other.amount && counterName(one) === counterName(other)
    })
  if (!same) throw new TypeError('the lease holds other charges')
}
