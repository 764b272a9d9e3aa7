// The contract, on both stores; and on stores that break it, for a suite that nothing fails shows nothing.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { Charge, LimitStore, Reservation } from '../../src/core/charge.ts'
import { fromIoredis } from '../../src/integrations/redis-client.ts'
import { redisLimitStore } from '../../src/integrations/redis-limit-store.ts'
import { MemoryLimitStore } from '../../src/limit/memory-store.ts'
import { type LimitStoreFixture, limitStoreContract } from '../../src/testing/limit-store-contract.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { noServer, SERVERS, type Server, startServer } from './server.ts'

function inMemory(): LimitStoreFixture {
  const clock = manualClock()
  return { store: new MemoryLimitStore({ clock }), advance: (ms) => clock.advance(ms) }
}

describe('in memory', () => {
  test.each(limitStoreContract({ open: inMemory }).map((one) => [one.name, one] as const))('%s', async (_, one) => {
    await one.run()
  })
})

const missing = noServer()

describe.each(missing === undefined ? SERVERS : [])('on %s', (program) => {
  let server: Server
  let opened = 0

  beforeAll(async () => {
    server = await startServer(program)
  })
  afterAll(async () => {
    await server.stop()
  })

  async function open(): Promise<LimitStoreFixture> {
    let now = 1_767_225_600_000
    const client = await server.connect()
    const store = redisLimitStore({
      client: fromIoredis(client),
      prefix: `case-${++opened}`,
      timeoutMs: 10_000,
      time: () => now,
    })
    return {
      store,
      advance: (ms) => {
        now += ms
      },
      close: () => client.disconnect(),
    }
  }

  test.each(limitStoreContract({ open }).map((one) => [one.name, one] as const))('%s', async (_, one) => {
    await one.run()
  })
})

if (missing !== undefined) test.skip(`on a server: ${missing}`)

type Lie = (store: LimitStore) => Partial<LimitStore>

/** A store that is right but for one thing. */
const LIARS: Readonly<Record<string, Lie>> = {
  'lets everything through': () => ({ reserve: () => ({ ok: true }) }),
  'refuses everything': () => ({ reserve: ([charge]) => ({ ok: false, charge: charge as Charge }) }),
  'never gives back': () => ({ release: () => undefined }),
  'gives back all when a call is settled': (store) => ({
    release: (charges, lease) => store.release(charges, lease, 'undone'),
  }),
  'takes undone for settled': (store) => ({ release: (charges, lease) => store.release(charges, lease, 'settled') }),
  'forgets no run': () => ({ forgetRun: () => undefined }),
  'forgets all runs': (store) => ({ forgetRun: () => ['a', 'b'].forEach((run) => void store.forgetRun(run)) }),
  'counts a repeated lease again': (store) => {
    let count = 0
    return { reserve: (charges, lease, ms) => store.reserve(charges, `${lease} ${++count}`, ms) }
  },
  'keeps leases for good': (store) => ({ reserve: (charges, lease) => store.reserve(charges, lease, 1e12) }),
  'takes one charge after the other': (store) => ({
    reserve: (charges, lease, ms) => {
      for (const [index, charge] of charges.entries()) {
        const answer = store.reserve([charge], `${lease} ${index}`, ms) as Reservation
        if (!answer.ok) return answer
      }
      return { ok: true }
    },
  }),
  'looks at the first charge only': (store) => ({
    reserve: (charges, lease, ms) => store.reserve(charges.slice(0, 1), lease, ms),
  }),
  'names the last charge': (store) => ({
    reserve: (charges, lease, ms) => {
      const answer = store.reserve(charges, lease, ms) as Reservation
      return answer.ok ? answer : { ...answer, charge: charges.at(-1) ?? answer.charge }
    },
  }),
  'tells a wait that is too short': (store) => ({
    reserve: (charges, lease, ms) => {
      const answer = store.reserve(charges, lease, ms) as Reservation
      return answer.ok || answer.retryAfterMs === undefined
        ? answer
        : { ...answer, retryAfterMs: Math.max(1, answer.retryAfterMs - 1) }
    },
  }),
  'tells a wait for what never fits': (store) => ({
    reserve: (charges, lease, ms) => {
      const answer = store.reserve(charges, lease, ms) as Reservation
      return answer.ok ? answer : { retryAfterMs: 1000, ...answer }
    },
  }),
  'counts calls, not amounts': (store) => {
    const ones = (charges: readonly Charge[]): readonly Charge[] => charges.map((one) => ({ ...one, amount: 1 }))
    return {
      reserve: (charges, lease, ms) => store.reserve(ones(charges), lease, ms),
      release: (charges, lease, how) => store.release(ones(charges), lease, how),
    }
  },
  'has one counter for all keys of a kind': (store) => ({
    reserve: (charges, lease, ms) =>
      store.reserve(
        charges.map(({ run: _, ...one }) => ({ ...one, key: 'k' })),
        lease,
        ms,
      ),
  }),
  'looks, waits, and then takes': (store) => ({
    reserve: async (charges, lease, ms) => {
      const answer = await store.reserve(charges, `${lease} look`, ms)
      await store.release(charges, `${lease} look`, 'undone')
      if (!answer.ok) return answer
      await new Promise((resolve) => setTimeout(resolve, 1))
      await store.reserve(
        charges.map((one) => ({ ...one, max: 1e9, ...(one.kind === 'rate' ? { burst: 1e9 } : {}) })),
        lease,
        ms,
      )
      return answer
    },
  }),
}

describe('a store that', () => {
  test.each(Object.keys(LIARS))('%s does not keep the contract', async (name) => {
    const cases = limitStoreContract({
      open: () => {
        const { store, advance } = inMemory()
        const honest: LimitStore = {
          reserve: (charges, lease, ms) => store.reserve(charges, lease, ms),
          release: (charges, lease, how) => store.release(charges, lease, how),
          forgetRun: (run) => store.forgetRun(run),
        }
        return { store: { ...honest, ...LIARS[name]?.(honest) }, advance }
      },
    })
    const failed: string[] = []
    for (const one of cases) {
      try {
        await one.run()
      } catch {
        failed.push(one.name)
      }
    }
    expect(failed).not.toEqual([])
  })

  test('that the contract has names that differ', () => {
    const names = limitStoreContract({ open: inMemory }).map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(names.length).toBeGreaterThan(25)
  })
})
