// Both stores against the list of all events, on random calls; and against each other.

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { fromIoredis } from '../../src/integrations/redis-client.ts'
import { redisLimitStore } from '../../src/integrations/redis-limit-store.ts'
import { MemoryLimitStore } from '../../src/limit/memory-store.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { sideBySide, steps } from './random.ts'
import { noServer, SERVERS, type Server, startServer } from './server.ts'

test('in memory: answers as the list of all events does', async () => {
  await fc.assert(
    fc.asyncProperty(steps(400), async (all) => {
      const clock = manualClock()
      const store = new MemoryLimitStore({ clock })
      await sideBySide(store, clock.monotonic, clock.advance, all)
      // What holds nothing any more is not kept: budgets without a period are.
      clock.advance(1000)
      store.forgetRun('a')
      store.forgetRun('b')
      store.reserve([{ limit: 'l', kind: 'window', key: 'new', amount: 1, max: 1, perMs: 1 }], 'last', 1)
      expect(store.size).toBe(1)
    }),
    { numRuns: fuzzRuns(150) },
  )
}, 120_000)

const missing = noServer()
if (missing !== undefined) test.skip(`on a server: ${missing}`)

describe.each(missing === undefined ? SERVERS : [])('on %s', (program) => {
  let server: Server
  beforeAll(async () => {
    server = await startServer(program)
  })
  afterAll(async () => {
    await server.stop()
  })

  test('answers as the list of all events does', async () => {
    const client = await server.connect()
    let opened = 0
    await fc.assert(
      fc.asyncProperty(steps(200), async (all) => {
        let now = 1_767_225_600_000
        const store = redisLimitStore({
          client: fromIoredis(client),
          prefix: `run-${++opened}`,
          timeoutMs: 10_000,
          time: () => now,
        })
        await sideBySide(
          store,
          () => now,
          (ms) => {
            now += ms
          },
          all,
        )
      }),
      { numRuns: fuzzRuns(20) },
    )
  }, 120_000)

  test('every key it ever wrote has a time to live', async () => {
    const client = await server.connect()
    const keys = await client.keys('*')
    expect(keys.length).toBeGreaterThan(20)
    const without: string[] = []
    for (const key of keys) if ((await client.pttl(key)) < 0) without.push(key)
    expect(without).toEqual([])
  })

  test('answers as the store in memory does, to the last bit of a fraction', async () => {
    const client = await server.connect()
    let opened = 0
    const amount = fc.double({ min: 0, max: 3, noNaN: true })
    const kind = fc.constantFrom('window' as const, 'rate' as const, 'budget' as const, 'concurrency' as const)
    const call = fc.record({ amount, kind, ms: fc.nat(40), undo: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 100, size: 'max' }), async (calls) => {
        const clock = manualClock()
        const memory = new MemoryLimitStore({ clock })
        const shared = redisLimitStore({
          client: fromIoredis(client),
          prefix: `bits-${++opened}`,
          timeoutMs: 10_000,
          time: clock.now,
        })
        for (const [index, { ms, undo, ...one }] of calls.entries()) {
          const timed = one.kind === 'window' || one.kind === 'rate' ? { perMs: 100 } : {}
          const charge = { limit: 'l', key: 'k', max: 5.5, ...timed, ...one }
          const lease = `lease ${index}`
          expect(await shared.reserve([charge], lease, 200)).toEqual(memory.reserve([charge], lease, 200))
          clock.advance(ms)
          if (!undo) continue
          await shared.release([charge], lease, 'undone')
          memory.release([charge], lease, 'undone')
        }
      }),
      { numRuns: fuzzRuns(15) },
    )
  }, 120_000)
})
