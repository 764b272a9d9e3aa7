// The slow and obvious store: a list of everything that ever happened, gone through again for each question.

import type { Charge, LimitStore, Reservation } from '../../src/core/charge.ts'

interface Taken {
  readonly charge: Charge
  readonly lease: string
  readonly at: number
  readonly endsAt: number
  /** When it was given back, and how much of it. */
  back?: { readonly at: number; readonly amount: number }
  forgotten: boolean
}

const sameCounter = (one: Charge, other: Charge): boolean =>
  one.kind === other.kind &&
  one.key === other.key &&
  one.run === other.run &&
  (one.perMs === undefined) === (other.perMs === undefined)

export class ModelStore implements LimitStore {
  readonly #time: () => number
  readonly #events: Taken[] = []
  readonly #leases = new Map<string, { charges: readonly Charge[]; endsAt: number }>()

  constructor(time: () => number) {
    this.#time = time
  }

  reserve(charges: readonly Charge[], lease: string, leaseMs: number): Reservation {
    const now = this.#time()
    const held = this.#leases.get(lease)
    if (held !== undefined && held.endsAt > now) return { ok: true }
    for (const [index, charge] of charges.entries()) {
      const before = charges
        .slice(0, index)
        .filter((one) => sameCounter(one, charge))
        .reduce((sum, { amount }) => sum + amount, 0)
      if (this.#fits(charge, before, now)) continue
      return { ok: false, charge }
    }
    for (const charge of charges)
      if (charge.amount > 0) this.#events.push({ charge, lease, at: now, endsAt: now + leaseMs, forgotten: false })
    if (charges.length > 0) this.#leases.set(lease, { charges, endsAt: now + leaseMs })
    return { ok: true }
  }

  release(_charges: readonly Charge[], lease: string, how: 'settled' | 'undone'): void {
    const now = this.#time()
    const held = this.#leases.get(lease)
    if (held === undefined || held.endsAt <= now) return
    this.#leases.delete(lease)
    for (const event of this.#events) {
      const { kind, amount, max, perMs = 1 } = event.charge
      if (event.lease !== lease || event.endsAt <= now || event.back !== undefined) continue
      if (how === 'settled' && kind !== 'concurrency') continue
      const refilled = kind === 'rate' ? ((now - event.at) * max) / perMs : 0
      event.back = { at: now, amount: Math.max(0, amount - refilled) }
    }
  }

  forgetRun(run: string): void {
    for (const event of this.#events) if (event.charge.run === run) event.forgotten = true
  }

  holds(lease: string): boolean {
    return (this.#leases.get(lease)?.endsAt ?? 0) > this.#time()
  }

  /** Whether a refused charge, alone, would fit `ms` later. */
  wouldFit(charge: Charge, ms: number): boolean {
    return this.#fits(charge, 0, this.#time() + ms)
  }

  /** What was let through and not undone, of one counter. */
  taken(charge: Charge): readonly { readonly at: number; readonly amount: number }[] {
    return this.#of(charge)
      .filter(({ back }) => back === undefined)
      .map(({ at, charge: { amount } }) => ({ at, amount }))
  }

  #of(charge: Charge): readonly Taken[] {
    return this.#events.filter((event) => !event.forgotten && sameCounter(event.charge, charge))
  }

  #fits(charge: Charge, before: number, now: number): boolean {
    const { kind, amount, max, perMs = 0, burst = max } = charge
    const events = this.#of(charge)
    if (kind === 'rate') return this.#missing(events, now) + before + amount <= burst
    let sum = 0
    for (const { charge: taken, at, endsAt, back } of events) {
      if (back !== undefined) continue
      if (kind === 'concurrency' ? endsAt > now : perMs === 0 || at + perMs > now) sum += taken.amount
    }
    return sum + before + amount <= max
  }

  #missing(events: readonly Taken[], now: number): number {
    const steps = events.flatMap(({ charge, at, back }) => [
      { charge, at, change: charge.amount },
      ...(back === undefined ? [] : [{ charge, at: back.at, change: -back.amount }]),
    ])
    // Stable: what happened at the same instant stays in order of the list, which the sums do not depend on.
    steps.sort((one, other) => one.at - other.at)
    let missing = 0
    let since = 0
    for (const { charge, at, change } of steps) {
      missing = Math.max(0, missing - ((at - since) * charge.max) / (charge.perMs ?? 1))
      missing = Math.max(0, missing + change)
      since = at
    }
    const { max = 1, perMs = 1 } = events[0]?.charge ?? {}
    return Math.max(0, missing - ((now - since) * max) / perMs)
  }
}
