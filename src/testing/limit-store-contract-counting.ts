// How a store counts: each kind by itself, several together, and what it does with numbers that are none.

import type { Charge, LimitKind } from '../core/charge.ts'
import { ensure } from './enforcer-contract/case.ts'
import type { LimitCaseDefinition } from './limit-store-contract.ts'

type Terms = Partial<Charge>

const charge = (kind: LimitKind, terms: Terms): Charge => ({
  limit: 'limit',
  kind,
  key: 'key',
  amount: 1,
  max: 3,
  ...terms,
})
const windowed = (terms: Terms = {}): Charge => charge('window', { perMs: 1000, ...terms })
const rate = (terms: Terms = {}): Charge => charge('rate', { perMs: 1000, max: 10, ...terms })
const concurrency = (terms: Terms = {}): Charge => charge('concurrency', terms)
const budget = (terms: Terms = {}): Charge => charge('budget', terms)

/** Neither amounts nor bounds. */
const NO_NUMBERS: readonly unknown[] = [Number.NaN, Infinity, -Infinity, -1, -Number.MIN_VALUE, '1', null, {}, 1n]

const MISUSED: readonly (readonly [string, Charge])[] = [
  ...NO_NUMBERS.flatMap((value): (readonly [string, Charge])[] => {
    const wrong = value as number
    return [
      [`an amount of ${String(value)}`, windowed({ amount: wrong })],
      [`a max of ${String(value)}`, windowed({ max: wrong })],
      [`a perMs of ${String(value)}`, windowed({ perMs: wrong })],
      [`a burst of ${String(value)}`, rate({ burst: wrong })],
    ]
  }),
  ['a max of 0', budget({ max: 0 })],
  ['a perMs of 0', rate({ perMs: 0 })],
  ['a burst of 0', rate({ burst: 0 })],
  ['a window without perMs', charge('window', {})],
  ['a rate without perMs', charge('rate', {})],
  ['a concurrency with perMs', concurrency({ perMs: 1000 })],
  ['a window with burst', windowed({ burst: 3 })],
  ['another kind', charge('constructor' as LimitKind, {})],
  ['an empty key', budget({ key: '' })],
  ['a key of 513 characters', budget({ key: 'k'.repeat(513) })],
  ['a key that is not Unicode', budget({ key: 'k\ud800' })],
  ['an empty run', budget({ run: '' })],
]

export const LIMIT_COUNTING: readonly LimitCaseDefinition[] = [
  {
    name: 'window: at most max within any period, not within those that begin on the hour',
    body: async (trial) => {
      await trial.fits('the first', [windowed()])
      await trial.advance(900)
      await trial.fits('the second', [windowed()])
      await trial.fits('the third', [windowed()])
      await trial.refused('a fourth within 1000 ms', [windowed()], 0, 100)
      await trial.advance(99)
      await trial.refused('a fourth after 999 ms', [windowed()], 0, 1)
      await trial.advance(1)
      await trial.fits('the fourth after 1000 ms', [windowed()])
      await trial.refused('a fifth', [windowed()], 0, 900)
    },
  },
  {
    name: 'window: amounts add up, and the wait is for as much as is asked',
    body: async (trial) => {
      await trial.fits('2 of 10', [windowed({ max: 10, amount: 2 })])
      await trial.advance(100)
      await trial.fits('3 more', [windowed({ max: 10, amount: 3 })])
      await trial.advance(100)
      await trial.fits('5 more', [windowed({ max: 10, amount: 5 })])
      await trial.fits('nothing', [windowed({ max: 10, amount: 0 })])
      await trial.refused('1 more', [windowed({ max: 10, amount: 1 })], 0, 800)
      await trial.refused('3 more', [windowed({ max: 10, amount: 3 })], 0, 900)
      await trial.refused('10 more', [windowed({ max: 10, amount: 10 })], 0, 1000)
      await trial.refused('11 at all', [windowed({ max: 10, amount: 11 })], 0, 'none')
      await trial.refused('far too much', [windowed({ max: 10, amount: Number.MAX_VALUE })], 0, 'none')
    },
  },
  {
    name: 'window: thousands of charges are counted; none comes back early, and all of them soon',
    body: async (trial) => {
      const [total, perMs] = [2500, 10_000]
      const one = windowed({ max: total, perMs })
      for (let index = 0; index < total; index++) {
        await trial.fits(`charge ${index}`, [one])
        await trial.advance(2)
      }
      await trial.refused('one more', [one])
      await trial.advance(perMs - 2 * total + 1000)
      const back = await trial.count(one, total)
      ensure(back <= 501, `501 charges have ended, and ${back} came back`)
      ensure(back >= 400, `501 charges have ended, and only ${back} came back`)
    },
  },
  {
    name: 'rate: a full bucket at first, refilled evenly, never above burst',
    body: async (trial) => {
      ensure((await trial.count(rate({ burst: 5 }), 9)) === 5, 'a bucket of 5 does not give 5')
      await trial.refused('a sixth', [rate({ burst: 5 })], 0, 100)
      await trial.advance(99)
      await trial.refused('a sixth after 99 ms', [rate({ burst: 5 })], 0, 1)
      await trial.advance(1)
      await trial.fits('the sixth after 100 ms', [rate({ burst: 5 })])
      await trial.refused('a seventh', [rate({ burst: 5 })], 0, 100)
      await trial.advance(3_600_000)
      ensure((await trial.count(rate({ burst: 5 }), 9)) === 5, 'after an hour a bucket of 5 does not give 5')
    },
  },
  {
    name: 'rate: without burst the bucket holds max',
    body: async (trial) => {
      ensure((await trial.count(rate(), 20)) === 10, 'a bucket of 10 does not give 10')
      await trial.refused('7 at once', [rate({ amount: 7 })], 0, 700)
      await trial.refused('11 at once', [rate({ amount: 11 })], 0, 'none')
      await trial.advance(1000)
      await trial.fits('10 at once', [rate({ amount: 10 })])
    },
  },
  {
    name: 'rate: what is refused costs nothing, however often it is tried',
    body: async (trial) => {
      const one = rate({ max: 3, burst: 1 })
      await trial.fits('the first', [one])
      for (let index = 0; index < 333; index++) {
        await trial.advance(1)
        await trial.refused('a second within 333 ms', [one])
      }
      await trial.advance(1)
      await trial.fits('the second', [one])
    },
  },
  {
    name: 'concurrency: at most max at the same time, with no wait that could be told',
    body: async (trial) => {
      const first = await trial.fits('the first', [concurrency()])
      ensure((await trial.count(concurrency(), 9)) === 2, 'beside one there is not room for exactly 2')
      await trial.advance(1000)
      await trial.refused('a fourth', [concurrency()], 0, 'none')
      await trial.store.release([concurrency()], first, 'settled')
      await trial.fits('the fourth', [concurrency()])
      await trial.refused('a fifth', [concurrency()], 0, 'none')
    },
  },
  {
    name: 'budget: at most max, for good where there is no period',
    body: async (trial) => {
      await trial.fits('2 of 3', [budget({ amount: 2 })])
      await trial.refused('2 more', [budget({ amount: 2 })], 0, 'none')
      await trial.advance(40 * 86_400_000)
      await trial.refused('2 more after 40 days', [budget({ amount: 2 })], 0, 'none')
      await trial.fits('1 more', [budget()])
      await trial.refused('another', [budget()], 0, 'none')
    },
  },
  {
    name: 'budget: with a period it comes back as a window does',
    body: async (trial) => {
      const day = { perMs: 86_400_000 }
      await trial.fits('2 of 3', [budget({ ...day, amount: 2 })])
      await trial.advance(3_600_000)
      await trial.refused('2 more', [budget({ ...day, amount: 2 })], 0, 23 * 3_600_000)
      await trial.refused('4 at all', [budget({ ...day, amount: 4 })], 0, 'none')
      await trial.advance(23 * 3_600_000)
      await trial.fits('3 after a day', [budget({ ...day, amount: 3 })])
    },
  },
  {
    name: 'amounts: fractions count, and where they have all come back nothing is left',
    body: async (trial) => {
      ensure((await trial.count(windowed({ max: 1, amount: 0.25 }), 9)) === 4, 'a quarter does not fit 4 times')
      await trial.refused('a hair more', [windowed({ max: 1, amount: 1e-6 })], 0, 1000)
      const parts = [0.1, 0.7, 0.2].map((amount) => concurrency({ max: 2, amount }))
      const leases: string[] = []
      for (const one of parts) leases.push(await trial.fits('a fraction', [one]))
      for (const [index, lease] of leases.entries())
        await trial.store.release([parts[index] ?? concurrency()], lease, 'settled')
      await trial.fits('all of it', [concurrency({ max: 2, amount: 2 })])
    },
  },
  {
    name: 'together: all charges of a call or none',
    body: async (trial) => {
      await trial.fits('all of b', [budget({ key: 'b', amount: 3 })])
      const charges = [
        windowed(),
        rate({ key: 'r', max: 3 }),
        concurrency({ key: 'c' }),
        budget(),
        budget({ key: 'b' }),
      ]
      for (let tries = 0; tries < 5; tries++) await trial.refused('a call with the full b', charges, 4, 'none')
      for (const one of charges.slice(0, 4))
        ensure((await trial.count(one, 9)) === 3, `a refused call took from ${one.kind}`)
    },
  },
  {
    name: 'together: the first charge that does not fit is named',
    body: async (trial) => {
      await trial.fits('all of b and c', [budget({ key: 'b', amount: 3 }), windowed({ key: 'c', amount: 3 })])
      await trial.refused('c before b', [windowed({ key: 'c' }), budget({ key: 'b' })], 0, 1000)
      await trial.refused('b before c', [budget(), budget({ key: 'b' }), windowed({ key: 'c' })], 1, 'none')
    },
  },
  {
    name: 'together: two charges with one key count both',
    body: async (trial) => {
      for (const one of [windowed(), rate({ max: 3 }), concurrency(), budget()]) {
        await trial.refused(
          `4 × 1 of 3 in one call (${one.kind})`,
          [one, { ...one }, { ...one }, { ...one }],
          3,
          'none',
        )
        await trial.fits(`2 × 1 of 3 (${one.kind})`, [one, { ...one }])
        await trial.refused(`2 more (${one.kind})`, [{ ...one }, one], 1)
        await trial.fits(`1 more (${one.kind})`, [one])
        await trial.refused(`another (${one.kind})`, [one])
      }
    },
  },
  {
    name: 'together: hundreds of counters in one call',
    body: async (trial) => {
      const all = Array.from({ length: 600 }, (_, index) => windowed({ key: `host-${index}`, max: 1 }))
      await trial.fits('all', all)
      await trial.refused(
        'the last again',
        [windowed({ key: 'host-new' }), windowed({ key: 'host-599', max: 1 })],
        1,
        1000,
      )
      await trial.advance(1000)
      await trial.fits('all after the period', all)
    },
  },
  {
    name: 'keys: kind, run and key make the counter, whatever text they hold',
    body: async (trial) => {
      const names: readonly Terms[] = [
        { key: 'a' },
        { key: 'a:b' },
        { key: 'a', run: 'b' },
        { key: 'b', run: 'a' },
        { key: ':a', run: '1' },
        { key: 'a', run: '1:' },
        { key: '1:b:a' },
        { key: 'b:a', run: '1' },
        { key: '{a}' },
        { key: 'a}{' },
        { key: 'a\0' },
        { key: 'A' },
        { key: 'é' },
        { key: 'e\u0301' },
        { key: '__proto__' },
        { key: '\u{1f600}'.repeat(256) },
      ]
      for (const terms of names) {
        for (const one of [windowed(terms), rate(terms), concurrency(terms), budget(terms)])
          await trial.fits(`the first of ${one.kind} ${JSON.stringify(terms)}`, [{ ...one, max: 1 }])
        await trial.fits('a budget with a period', [budget({ ...terms, max: 1, perMs: 1000 })])
      }
      for (const terms of names) await trial.refused('the second', [budget({ ...terms, max: 1 })], 0, 'none')
    },
  },
  {
    name: 'waiting as long as told is enough',
    body: async (trial) => {
      const kinds: readonly ((terms: Terms) => Charge)[] = [windowed, rate, (terms) => budget({ perMs: 777, ...terms })]
      for (const [index, make] of kinds.entries()) {
        const one = (amount: number): Charge => make({ key: `k${index}`, max: 7, amount })
        for (const amount of [3, 4, 0.3, 6.9, 1, 2, 7, 0.1, 5]) {
          const answer = await trial.ask([one(amount)])
          await trial.advance(13)
          if (answer.ok) continue
          ensure(answer.retryAfterMs !== undefined, `${amount} of 7 fits some time, and no wait is told`)
          await trial.advance(Math.max(0, answer.retryAfterMs - 13))
          await trial.fits(`${amount} after ${answer.retryAfterMs} ms`, [one(amount)])
        }
      }
    },
  },
  {
    name: 'parallel: a hundred at once never exceed max',
    body: async (trial) => {
      for (const one of [windowed(), rate({ max: 3 }), concurrency(), budget()]) {
        const answers = await Promise.all(Array.from({ length: 100 }, async () => await trial.ask([one])))
        const through = answers.filter(({ ok }) => ok).length
        ensure(through === 3, `of 100 parallel calls to a ${one.kind} of 3, ${through} got through`)
      }
    },
  },
  {
    name: 'misuse: what is not a charge is a TypeError and takes nothing',
    body: async (trial) => {
      for (const [what, wrong] of MISUSED)
        await trial.misuse(what, () => trial.store.reserve([windowed(), budget(), wrong], trial.lease(), 1000))
      for (const leaseMs of [...NO_NUMBERS, 0])
        await trial.misuse(`a lease of ${String(leaseMs)} ms`, () =>
          trial.store.reserve([windowed()], trial.lease(), leaseMs as number),
        )
      await trial.misuse('an empty lease', () => trial.store.reserve([windowed()], '', 1000))
      await trial.misuse('charges that are no list', () => trial.store.reserve({} as Charge[], trial.lease(), 1000))
      await trial.misuse('another way to release', () => trial.store.release([windowed()], 'lease', 'done' as 'undone'))
      ensure((await trial.count(windowed(), 9)) === 3, 'a misused call took from a window')
      ensure((await trial.count(budget(), 9)) === 3, 'a misused call took from a budget')
    },
  },
]
