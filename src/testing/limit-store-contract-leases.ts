// What a lease holds, what comes back from it and when; and what ends with a run.

import type { Charge } from '../core/charge.ts'
import { ensure } from './enforcer-contract/case.ts'
import type { LimitCaseDefinition } from './limit-store-contract.ts'

type Terms = Partial<Charge>

const window3 = (terms: Terms = {}): Charge => of({ kind: 'window', perMs: 1000, ...terms })
const rate3 = (terms: Terms = {}): Charge => of({ kind: 'rate', perMs: 3000, ...terms })
const concurrency3 = (terms: Terms = {}): Charge => of({ kind: 'concurrency', ...terms })
const budget3 = (terms: Terms = {}): Charge => of({ kind: 'budget', ...terms })
const each = (): readonly Charge[] => [window3(), rate3(), concurrency3(), budget3(), budget3({ perMs: 5000 })]

function of(terms: Terms): Charge {
  return { limit: 'limit', kind: 'budget', key: 'key', amount: 1, max: 3, ...terms }
}

export const LIMIT_LEASES: readonly LimitCaseDefinition[] = [
  {
    name: 'settled: concurrency comes back, the rest stays taken',
    body: async (trial) => {
      const lease = await trial.fits('a call', each())
      await trial.store.release(each(), lease, 'settled')
      ensure((await trial.count(concurrency3(), 9)) === 3, 'a settled call still holds concurrency')
      for (const one of each().filter(({ kind }) => kind !== 'concurrency'))
        ensure((await trial.count(one, 9)) === 2, `a settled call no longer counts in ${one.kind}`)
    },
  },
  {
    name: 'undone: all of it comes back',
    body: async (trial) => {
      const all = each().map((one) => ({ ...one, amount: 3 }))
      const lease = await trial.fits('a call', all)
      for (const one of each()) await trial.refused(`another ${one.kind}`, [one])
      await trial.store.release(all, lease, 'undone')
      for (const one of each()) ensure((await trial.count(one, 9)) === 3, `${one.kind} did not come back whole`)
    },
  },
  {
    name: 'undone: of several charges with one key, each',
    body: async (trial) => {
      for (const one of each()) {
        const lease = await trial.fits(`2 × 1 (${one.kind})`, [one, { ...one }])
        await trial.fits(`1 more (${one.kind})`, [one])
        await trial.store.release([one, { ...one }], lease, 'undone')
        ensure((await trial.count(one, 9)) === 2, `2 × 1 undone, and not 2 came back (${one.kind})`)
      }
    },
  },
  {
    name: 'undone: what others took stays taken',
    body: async (trial) => {
      const [before, lease, after] = [trial.lease(), trial.lease(), trial.lease()]
      for (const name of [before, lease, after]) {
        await trial.fits(name, [window3(), budget3({ perMs: 5000 })], name)
        await trial.advance(100)
      }
      await trial.store.release([window3(), budget3({ perMs: 5000 })], lease, 'undone')
      await trial.fits('the one in between again', [window3(), budget3({ perMs: 5000 })])
      await trial.refused('another', [window3()], 0, 700)
      await trial.advance(700)
      await trial.fits('after the first has ended', [window3()])
      await trial.refused('another', [window3()], 0, 200)
    },
  },
  {
    name: 'undone: what came back by itself does not come back twice',
    body: async (trial) => {
      const all = (kind: Charge): Charge => ({ ...kind, amount: 3 })
      const first = await trial.fits('the first', [all(rate3())])
      await trial.advance(3000)
      await trial.fits('the second', [all(rate3())])
      await trial.store.release([all(rate3())], first, 'undone')
      await trial.refused('a third at once', [rate3()], 0, 1000)
      const old = await trial.fits('a window', [all(window3())])
      await trial.advance(1000)
      await trial.fits('the next window', [all(window3())])
      await trial.store.release([all(window3())], old, 'undone')
      await trial.refused('a third at once', [window3()], 0, 1000)
    },
  },
  {
    name: 'undone: nothing fits twice that would not have fitted without the call',
    body: async (trial) => {
      const one = rate3({ max: 5, perMs: 5000, burst: 5 })
      const lease = await trial.fits('5 of 5', [{ ...one, amount: 5 }])
      await trial.advance(2000)
      await trial.store.release([{ ...one, amount: 5 }], lease, 'undone')
      ensure((await trial.count(one, 20)) === 5, 'the bucket is not full again, or more than full')
    },
  },
  {
    name: 'lease: asked again for the same, it counts once',
    body: async (trial) => {
      const lease = await trial.fits('a call', each())
      await trial.fits('the same call again', each(), lease)
      await trial.fits('and again', each(), lease)
      for (const one of each())
        ensure((await trial.count(one, 9)) === 2, `a repeated lease counted twice in ${one.kind}`)
      await trial.fits('and again, where nothing is left', each(), lease)
    },
  },
  {
    name: 'lease: asked again at the same time, it counts once',
    body: async (trial) => {
      const lease = trial.lease()
      await Promise.all(Array.from({ length: 20 }, async () => await trial.fits('the call', [budget3()], lease)))
      ensure((await trial.count(budget3(), 9)) === 2, 'a repeated lease counted twice')
    },
  },
  {
    name: 'lease: for other charges it is misuse and takes nothing',
    body: async (trial) => {
      const lease = await trial.fits('a call', [budget3()])
      for (const charges of [
        [budget3({ amount: 2 })],
        [budget3({ key: 'other' })],
        [budget3(), budget3()],
        [window3()],
      ]) {
        await trial.misuse('other charges', () => trial.store.reserve(charges, lease, 1000))
        await trial.misuse('a release of others', () => trial.store.release(charges, lease, 'undone'))
      }
      ensure((await trial.count(budget3(), 9)) === 2, 'misuse took or gave back something')
      ensure((await trial.count(window3(), 9)) === 3, 'misuse took something')
    },
  },
  {
    name: 'lease: a refused call has none',
    body: async (trial) => {
      await trial.fits('all', [budget3({ amount: 3 })])
      const lease = trial.lease()
      ensure(!(await trial.ask([concurrency3(), budget3()], lease)).ok, 'a call for a spent budget fits')
      await trial.store.release([concurrency3(), budget3()], lease, 'settled')
      await trial.refused('another', [budget3()])
      ensure((await trial.count(concurrency3(), 9)) === 3, 'a refused call gave back what it did not take')
    },
  },
  {
    name: 'lease: unknown, or released before, it changes nothing',
    body: async (trial) => {
      const lease = await trial.fits('the first', each())
      await trial.fits('the second', each())
      await trial.fits('the third', each())
      await trial.store.release(each(), 'nobody', 'undone')
      await trial.store.release(each(), 'nobody else', 'settled')
      for (const one of each()) await trial.refused(`another ${one.kind}`, [one])
      await trial.store.release(each(), lease, 'settled')
      await trial.store.release(each(), lease, 'settled')
      await trial.store.release(each(), lease, 'undone')
      ensure((await trial.count(concurrency3(), 9)) === 1, 'a lease released twice came back twice')
      for (const one of each()) await trial.refused(`another ${one.kind}`, [one])
    },
  },
  {
    name: 'lease: it ends by itself, not before its time',
    body: async (trial) => {
      const leases = [300, 100, 200]
      for (const ms of leases) await trial.fits(`for ${ms} ms`, [concurrency3()], trial.lease(), ms)
      await trial.advance(99)
      await trial.refused('a fourth after 99 ms', [concurrency3()], 0, 'none')
      await trial.advance(1)
      ensure((await trial.count(concurrency3(), 9)) === 1, 'after 100 ms not exactly one came back')
      await trial.advance(100)
      ensure((await trial.count(concurrency3(), 9)) === 1, 'after 200 ms not exactly one came back')
    },
  },
  {
    name: 'lease: once it has ended, nothing comes back from it',
    body: async (trial) => {
      const charges = [concurrency3(), budget3()]
      const lease = await trial.fits('for 100 ms', charges, trial.lease(), 100)
      await trial.advance(100)
      ensure((await trial.count(concurrency3(), 9)) === 3, 'an ended lease holds concurrency')
      await trial.store.release(charges, lease, 'undone')
      await trial.refused('a fourth', [concurrency3()], 0, 'none')
      ensure((await trial.count(budget3(), 9)) === 2, 'an ended lease gave back a budget')
    },
  },
  {
    name: 'lease: a charge of nothing holds nothing',
    body: async (trial) => {
      const nothing = each().map((one) => ({ ...one, amount: 0 }))
      const lease = await trial.fits('nothing', nothing)
      await trial.store.release(nothing, lease, 'undone')
      for (const one of each()) ensure((await trial.count(one, 9)) === 3, `nothing took from ${one.kind}`)
      await trial.fits('no charges at all', [])
      await trial.store.release([], 'nobody', 'undone')
    },
  },
  {
    name: 'run: its counters end with it, and no others',
    body: async (trial) => {
      const ofRun = (run: string): readonly Charge[] => each().map((one) => ({ ...one, amount: 3, run }))
      for (const charges of [ofRun('a'), ofRun('b'), each().map((one) => ({ ...one, amount: 3 }))])
        await trial.fits('all', charges)
      await trial.store.forgetRun('a')
      await trial.store.forgetRun('never seen')
      for (const one of each()) await trial.refused(`outside of runs (${one.kind})`, [one])
      for (const one of ofRun('b')) await trial.refused(`run b (${one.kind})`, [one])
      await trial.fits('run a anew', ofRun('a'))
    },
  },
  {
    name: 'run: a late release gives nothing back to a counter made since',
    body: async (trial) => {
      const charges = each().map((one) => ({ ...one, run: 'a' }))
      const lease = await trial.fits('before', charges)
      await trial.store.forgetRun('a')
      for (let index = 0; index < 3; index++) await trial.fits('after', charges)
      await trial.store.release(charges, lease, 'undone')
      for (const one of charges) await trial.refused(`a fourth (${one.kind})`, [one])
    },
  },
  {
    name: 'run: hundreds of its counters end with it',
    body: async (trial) => {
      const counters = Array.from({ length: 1200 }, (_, index) => budget3({ key: `k${index}`, run: 'a', max: 1 }))
      await trial.fits('the first half', counters.slice(0, 600))
      await trial.fits('the second half', counters.slice(600))
      await trial.store.forgetRun('a')
      await trial.fits('all of it again', counters)
    },
  },
]
