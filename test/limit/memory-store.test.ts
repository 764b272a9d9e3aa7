// What the store in memory must stand: clocks that lie, counters named by others, and what that costs.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { Charge } from '../../src/core/charge.ts'
import { counterName } from '../../src/limit/check-charge.ts'
import { ExpiryQueue } from '../../src/limit/expiry-queue.ts'
import { MemoryLimitStore } from '../../src/limit/memory-store.ts'
import { SlidingWindow, WINDOW_ENTRIES } from '../../src/limit/sliding-window.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const windowed = (key: string, amount = 1): Charge => ({ limit: 'l', kind: 'window', key, amount, max: 2, perMs: 1000 })
const total = (key: string, amount = 1): Charge => ({ limit: 'l', kind: 'budget', key, amount, max: 2 })
const held = (key: string): Charge => ({ limit: 'l', kind: 'concurrency', key, amount: 1, max: 2 })
const rate = (key: string): Charge => ({ limit: 'l', kind: 'rate', key, amount: 1, max: 2, perMs: 1000 })

const UNAVAILABLE: object = expect.objectContaining({ code: 'ERR_LIMIT_UNAVAILABLE' })

let leases = 0
function ask(store: MemoryLimitStore, ...charges: readonly Charge[]): boolean {
  return store.reserve(charges, `lease ${++leases}`, 10_000).ok
}

describe('the clock', () => {
  const steppable = () => {
    let steady = 1_000_000
    const clock = { now: () => 0, monotonic: () => steady }
    return { store: new MemoryLimitStore({ clock }), step: (ms: number) => (steady += ms) }
  }

  test.each([windowed, rate, total, held])('running backwards it gives nothing back (%o)', (of) => {
    const { store, step } = steppable()
    expect([ask(store, of('k')), ask(store, of('k')), ask(store, of('k'))]).toEqual([true, true, false])
    for (const ms of [-1, -999, -1000, -500_000, 999, 1, 400_000]) {
      step(ms)
      expect(ask(store, of('k')), `after ${ms} ms`).toBe(false)
    }
  })

  test('after it ran backwards a window goes on from where it was', () => {
    const { store, step } = steppable()
    expect([ask(store, windowed('k', 2))]).toEqual([true])
    step(-5000)
    expect(ask(store, windowed('k'))).toBe(false)
    step(5999)
    expect(ask(store, windowed('k'))).toBe(false)
    step(1)
    expect(ask(store, windowed('k'))).toBe(true)
  })

  test('what is taken while it runs backwards does not end sooner, nor does what was there', () => {
    const { store, step } = steppable()
    expect(ask(store, windowed('k'))).toBe(true)
    step(-999)
    expect(ask(store, windowed('k'))).toBe(true)
    for (const ms of [999, 1, 998]) {
      step(ms)
      expect(ask(store, windowed('k')), `after ${ms} ms`).toBe(false)
    }
    step(1)
    expect(ask(store, windowed('k', 2))).toBe(true)
  })

  test('setting the wall clock changes nothing', () => {
    const clock = manualClock()
    const store = new MemoryLimitStore({ clock })
    expect(ask(store, windowed('k', 2))).toBe(true)
    for (const now of [0, 4e12, Number.NaN]) {
      clock.setNow(now)
      expect(ask(store, windowed('k'))).toBe(false)
    }
  })

  test.each([Number.NaN, Infinity, -Infinity])('that tells %s is an error', (time) => {
    let steady = 0
    const store = new MemoryLimitStore({ clock: { now: () => 0, monotonic: () => steady } })
    expect(ask(store, windowed('k', 2))).toBe(true)
    steady = time
    expect(() => ask(store, windowed('k'))).toThrow(UNAVAILABLE)
    steady = 1
    expect(ask(store, windowed('k'))).toBe(false)
  })
})

describe('bounded memory', () => {
  /** What many rate limiters do when full: the counter not used for longest is forgotten. */
  class Forgetful {
    readonly #counts = new Map<string, number>()
    ask(key: string): boolean {
      const count = (this.#counts.get(key) ?? 0) + 1
      this.#counts.delete(key)
      if (this.#counts.size >= 100) this.#counts.delete([...this.#counts.keys()][0] ?? '')
      this.#counts.set(key, Math.min(count, 3))
      return count <= 2
    }
  }

  test('naming many destinations does not make it forget one (and does, where the oldest is dropped)', () => {
    const store = new MemoryLimitStore({ clock: manualClock(), maxCounters: 100 })
    const naive = new Forgetful()
    const spend = (ask: (key: string) => boolean): boolean => {
      while (ask('victim'));
      for (let index = 0; index < 500; index++) {
        try {
          ask(`other ${index}`)
        } catch (error) {
          expect(error).toEqual(UNAVAILABLE)
        }
      }
      return ask('victim')
    }
    expect(spend((key) => naive.ask(key))).toBe(true)
    expect(spend((key) => ask(store, windowed(key)))).toBe(false)
    expect(store.size).toBe(100)
  })

  test('a call that finds no room takes nothing, and one that needs none is answered', () => {
    const store = new MemoryLimitStore({ clock: manualClock(), maxCounters: 2 })
    expect(ask(store, total('a'))).toBe(true)
    expect(() => ask(store, total('a'), total('b'), total('c'))).toThrow(UNAVAILABLE)
    expect(ask(store, total('a'), total('b', 2))).toBe(true)
    expect(ask(store, total('a'))).toBe(false)
    expect(() => ask(store, total('c'))).toThrow(UNAVAILABLE)
    // Refused for what is known: nothing new is needed for that.
    expect(ask(store, total('a'), total('c'))).toBe(false)
  })

  test('counters that hold nothing any more make room', () => {
    const clock = manualClock()
    const store = new MemoryLimitStore({ clock, maxCounters: 4 })
    const lease = 'held'
    expect(store.reserve([held('a')], lease, 500).ok).toBe(true)
    expect(ask(store, windowed('a'), rate('a'), total('a'))).toBe(true)
    expect(() => ask(store, windowed('b'))).toThrow(UNAVAILABLE)
    store.release([held('a')], lease, 'settled')
    expect(ask(store, windowed('b'))).toBe(true)
    clock.advance(499)
    expect(() => ask(store, windowed('c'))).toThrow(UNAVAILABLE)
    clock.advance(1)
    expect(ask(store, windowed('c'))).toBe(true)
    clock.advance(500)
    expect(ask(store, windowed('d'), windowed('e'))).toBe(true)
    expect(() => ask(store, windowed('f'))).toThrow(UNAVAILABLE)
    clock.advance(1e9)
    expect(ask(store, windowed('f'), windowed('g'), windowed('h'))).toBe(true)
    expect(ask(store, total('a', 2))).toBe(false)
  })

  test('what was undone or asked for nothing makes room at once', () => {
    const store = new MemoryLimitStore({ clock: manualClock(), maxCounters: 3 })
    const charges = [total('a'), windowed('a'), rate('a')]
    for (let index = 0; index < 50; index++) {
      store.reserve(charges, 'lease', 1000)
      expect(store.size).toBe(3)
      store.release(charges, 'lease', 'undone')
      expect(store.size).toBe(0)
    }
    expect(ask(store, total('b', 0), windowed('c', 0), total('d', 0), total('e', 0))).toBe(true)
    expect(store.size).toBe(0)
  })

  test('calls that never end are bounded too', () => {
    const clock = manualClock()
    const store = new MemoryLimitStore({ clock, maxLeases: 10 })
    for (let index = 0; index < 10; index++) expect(ask(store, windowed(`k${index}`))).toBe(true)
    expect(() => ask(store, windowed('k'))).toThrow(UNAVAILABLE)
    clock.advance(10_000)
    expect(ask(store, windowed('k'))).toBe(true)
  })

  test('a window holds a bounded number of entries, whatever the amounts', () => {
    const window = new SlidingWindow()
    for (let now = 0; now < 50_000; now += 0.5) {
      expect(window.fits(now, 1e-12, 0, 1, 1e9)).toBe(true)
      window.take(now, 1e-12, 1e9)
      expect(window.size).toBeLessThanOrEqual(WINDOW_ENTRIES)
    }
  })

  test('a thinned window gives nothing back early, and all of it soon', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: WINDOW_ENTRIES + 1, maxLength: 4000, size: 'max' }), (gaps) => {
        const perMs = 20_000
        const window = new SlidingWindow()
        const taken: number[] = []
        const within = (now: number, span: number): number => taken.filter((at) => at + span > now).length
        let now = 0
        for (const gap of gaps) {
          now += gap
          window.fits(now, 0, 0, 1, perMs)
          window.take(now, 1, perMs)
          taken.push(now)
        }
        for (const wait of [perMs / 2, perMs / 10, perMs / 10, perMs / 10, perMs / 10, perMs / 10]) {
          now += wait
          const exact = within(now, perMs)
          const late = within(now, perMs + perMs / 512)
          if (exact > 0) expect(window.fits(now, 0, 0, exact - 1, perMs)).toBe(false)
          expect(window.fits(now, 0, 0, Math.max(late, 1), perMs)).toBe(true)
        }
      }),
      { numRuns: fuzzRuns(20) },
    )
  })

  test('too many charges in one call are refused before they are looked at', () => {
    const store = new MemoryLimitStore()
    expect(() => ask(store, ...Array.from({ length: 4097 }, (_, index) => total(`k${index}`)))).toThrow(UNAVAILABLE)
    expect(store.size).toBe(0)
  })
})

test('nothing is awaited', () => {
  const store = new MemoryLimitStore()
  expect(store.reserve([total('k')], 'lease', 1000)).toEqual({ ok: true })
  expect(store.release([total('k')], 'lease', 'settled')).toBeUndefined()
  expect(store.forgetRun('run')).toBeUndefined()
})

test.each([0, -1, 1.5, Number.NaN, Infinity])('bounds of %s are misuse', (bound) => {
  expect(() => new MemoryLimitStore({ maxCounters: bound })).toThrow(TypeError)
  expect(() => new MemoryLimitStore({ maxLeases: bound })).toThrow(TypeError)
})

test('no two counters have one name', () => {
  const text = fc.string({ unit: fc.constantFrom('a', ':', '1', '2', 'r', 'w'), minLength: 1, maxLength: 5 })
  const one = fc.tuple(fc.constantFrom(windowed, rate, held, total), text, fc.option(text, { nil: undefined }))
  fc.assert(
    fc.property(one, one, ([of, key, run], [otherOf, otherKey, otherRun]) => {
      const name = counterName({ ...of(key), ...(run === undefined ? {} : { run }) })
      const other = counterName({ ...otherOf(otherKey), ...(otherRun === undefined ? {} : { run: otherRun }) })
      expect(name === other).toBe(of === otherOf && key === otherKey && run === otherRun)
    }),
    { numRuns: fuzzRuns(5000) },
  )
})

test('the queue gives out what has ended, soonest first', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(50), fc.boolean())), (entries) => {
      const queue = new ExpiryQueue<boolean>()
      for (const [at, keep] of entries) queue.add(at, keep)
      queue.retain(({ value }) => value)
      const out: number[] = []
      for (const now of [10, 25, 25, 50])
        for (let due = queue.takeEnded(now); due !== undefined; due = queue.takeEnded(now)) {
          expect(due.at).toBeLessThanOrEqual(now)
          out.push(due.at)
        }
      const kept = entries.filter(([, keep]) => keep).map(([at]) => at)
      expect(out).toEqual(kept.sort((a, b) => a - b))
      expect(queue.size).toBe(0)
    }),
    { numRuns: fuzzRuns(300) },
  )
})
