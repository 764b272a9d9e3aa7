// Random calls to a store and to the model side by side, for the properties that both stores are held to.

import fc from 'fast-check'
import { expect } from 'vitest'

import type { Charge, LimitStore } from '../../src/core/charge.ts'
import { ModelStore } from './model.ts'

const base = { limit: 'limit', amount: 1 }

/**
 * Few counters, small bounds and round times: so that bounds are hit, and instants coincide. Periods of rates are powers of
 * two: nothing is rounded, and the two may be held to the same answers.
 */
const CHARGES: readonly Charge[] = [
  { ...base, kind: 'window', key: 'w', max: 4, perMs: 100 },
  { ...base, kind: 'window', key: 'w', run: 'a', max: 2, perMs: 40 },
  { ...base, kind: 'rate', key: 'r', max: 4, perMs: 128, burst: 3 },
  { ...base, kind: 'rate', key: 'r', run: 'b', max: 1, perMs: 32 },
  { ...base, kind: 'rate', key: 's', max: 3, perMs: 64, burst: 6 },
  { ...base, kind: 'concurrency', key: 'c', max: 3 },
  { ...base, kind: 'concurrency', key: 'c', run: 'a', max: 2 },
  { ...base, kind: 'budget', key: 'b', run: 'a', max: 6 },
  { ...base, kind: 'budget', key: 'b', run: 'b', max: 9 },
  { ...base, kind: 'budget', key: 'b', max: 5, perMs: 200 },
]

export type Step =
  | { readonly do: 'reserve'; readonly charges: readonly Charge[]; readonly leaseMs: number }
  | { readonly do: 'again' | 'settled' | 'undone'; readonly which: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'forget'; readonly run: string }

const charge = fc
  .tuple(fc.constantFrom(...CHARGES), fc.constantFrom(0, 1, 1, 1, 1, 2, 3, 7))
  .map(([one, amount]): Charge => ({ ...one, amount }))

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      charges: fc.array(charge, { minLength: 1, maxLength: 4 }),
      leaseMs: fc.constantFrom(10, 50, 500),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('again', 'settled', 'undone'), which: fc.nat(5) }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(0, 1, 5, 10, 30, 100) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), run: fc.constantFrom('a', 'b') }) },
)

export const steps = (length: number): fc.Arbitrary<readonly Step[]> =>
  fc.array(step, { minLength: 1, maxLength: length, size: 'max' })

/** Takes each step on both and compares every answer; then looks at the list of all that was let through. */
export async function sideBySide(
  store: LimitStore,
  time: () => number,
  advance: (ms: number) => void,
  all: readonly Step[],
): Promise<void> {
  const model = new ModelStore(time)
  const leases: { readonly lease: string; readonly charges: readonly Charge[]; readonly leaseMs: number }[] = []
  for (const [index, one] of all.entries()) {
    const where = `step ${index}: ${JSON.stringify(one)}`
    if (one.do === 'advance') advance(one.ms)
    else if (one.do === 'forget') {
      model.forgetRun(one.run)
      await store.forgetRun(one.run)
    } else if (one.do === 'reserve') {
      const lease = `lease ${index}`
      const answer = await store.reserve(one.charges, lease, one.leaseMs)
      const expected = model.reserve(one.charges, lease, one.leaseMs)
      expect(answer.ok, where).toBe(expected.ok)
      if (answer.ok) leases.push({ lease, ...one })
      else {
        const named = answer.charge
        expect(named, where).toBe(expected.ok ? undefined : expected.charge)
        // Other charges of the call with the same counter make the wait another matter.
        if (answer.retryAfterMs === undefined || one.charges.filter(({ key }) => key === named.key).length > 1) continue
        expect(model.wouldFit(named, answer.retryAfterMs), where).toBe(true)
        if (answer.retryAfterMs > 1) expect(model.wouldFit(named, answer.retryAfterMs - 1), where).toBe(false)
      }
    } else {
      const known = leases.at(-1 - one.which)
      if (known === undefined) continue
      const { lease, charges, leaseMs } = known
      if (one.do !== 'again') {
        model.release(charges, lease, one.do)
        await store.release(charges, lease, one.do)
      } else if (model.holds(lease)) {
        // A lease that is over is no call's any more; one that is held takes nothing a second time.
        expect(await store.reserve(charges, lease, leaseMs), where).toEqual({ ok: true })
      }
    }
  }
  for (const one of CHARGES) noneTooMany(one, model.taken(one))
}

/** No two instants have more between them than the limit says, whatever came in between. */
function noneTooMany(
  { kind, max, perMs = Number.POSITIVE_INFINITY, burst = max }: Charge,
  taken: readonly { readonly at: number; readonly amount: number }[],
): void {
  if (kind === 'concurrency') return
  for (const [from, first] of taken.entries()) {
    let sum = 0
    for (const { at, amount } of taken.slice(from)) {
      sum += amount
      if (kind === 'rate') expect(sum).toBeLessThanOrEqual(burst + ((at - first.at) * max) / perMs + 1e-6)
      else if (at - first.at < perMs) expect(sum).toBeLessThanOrEqual(max)
    }
  }
}
