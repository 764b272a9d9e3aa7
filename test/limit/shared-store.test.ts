// The store on a server, under attack and with a server that fails it: a limit that many machines share holds for all of
// them together, and where the server does not answer as it should, nothing is let through.

import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import type { Charge, LimitKind, LimitStore } from '../../src/core/charge.ts'
import { fromIoredis, fromNodeRedis, type RedisScripting } from '../../src/integrations/redis-client.ts'
import { type RedisLimitStoreOptions, redisLimitStore } from '../../src/integrations/redis-limit-store.ts'
import { freePort, noServer, pause, SERVERS, type Server, startServer, until } from './server.ts'

const UNAVAILABLE: object = expect.objectContaining({ code: 'ERR_LIMIT_UNAVAILABLE' })
const MINUTE = 60_000

const of = (kind: LimitKind, terms: Partial<Charge> = {}): Charge => ({
  limit: 'l',
  kind,
  key: 'k',
  amount: 1,
  max: 10,
  ...(kind === 'window' || kind === 'rate' ? { perMs: MINUTE * 60 } : {}),
  ...terms,
})
const KINDS: readonly LimitKind[] = ['rate', 'window', 'concurrency', 'budget']

const missing = noServer()
if (missing !== undefined) test.skip(`on a server: ${missing}`)

describe.each(missing === undefined ? SERVERS : [])('on %s', (program) => {
  const started: Server[] = []
  let shared: Server
  let prefixes = 0
  let leases = 0

  beforeAll(async () => {
    shared = await startServer(program)
  })
  afterEach(async () => {
    for (const server of started.splice(0)) await server.stop()
  })
  afterAll(async () => {
    await shared.stop()
  })

  async function own(...args: readonly string[]): Promise<Server> {
    const server = await startServer(program, args)
    started.push(server)
    return server
  }

  function storeOf(client: RedisScripting, options: Partial<RedisLimitStoreOptions> = {}): LimitStore {
    return redisLimitStore({ client, prefix: `p${++prefixes}`, timeoutMs: 5000, ...options })
  }

  async function connected(options: Partial<RedisLimitStoreOptions> = {}): Promise<readonly [LimitStore, Redis]> {
    const client = await shared.connect()
    return [storeOf(fromIoredis(client), options), client]
  }

  const lease = (): string => `lease ${++leases}`

  async function ask(store: LimitStore, ...charges: readonly Charge[]): Promise<boolean> {
    return (await store.reserve(charges, lease(), MINUTE)).ok
  }

  describe('shared by many', () => {
    test.each(KINDS)('eight connections, a hundred calls each at once: never above a %s', async (kind) => {
      const prefix = `many-${kind}`
      const clients = await Promise.all(Array.from({ length: 8 }, () => shared.connect()))
      const stores = clients.map((client) => storeOf(fromIoredis(client), { prefix }))
      const asked = stores.flatMap((store) => Array.from({ length: 100 }, () => ask(store, of(kind))))
      expect((await Promise.all(asked)).filter(Boolean)).toHaveLength(10)
    })

    test('looking first and taking then lets too many through', async () => {
      const clients = await Promise.all(Array.from({ length: 8 }, () => shared.connect()))
      const naive = async (client: Redis): Promise<boolean> => {
        if (Number((await client.get('naive')) ?? 0) >= 10) return false
        await client.incr('naive')
        return true
      }
      const asked = clients.flatMap((client) => Array.from({ length: 100 }, () => naive(client)))
      expect((await Promise.all(asked)).filter(Boolean).length).toBeGreaterThan(10)
    })

    test('calls that come and go never hold more than max together', async () => {
      const prefix = 'come-and-go'
      let holding = 0
      let most = 0
      let through = 0
      const worker = async (): Promise<void> => {
        const store = storeOf(fromIoredis(await shared.connect()), { prefix })
        for (let index = 0; index < 60; index++) {
          const name = lease()
          const charges = [of('concurrency', { max: 3 })]
          if (!(await store.reserve(charges, name, MINUTE)).ok) continue
          through++
          holding++
          most = Math.max(most, holding)
          await pause(1)
          holding--
          await store.release(charges, name, 'settled')
        }
      }
      await Promise.all(Array.from({ length: 8 }, worker))
      expect(most).toBeLessThanOrEqual(3)
      expect(through).toBeGreaterThan(10)
    })

    test('calls over several limits in any order neither wait for each other nor take by half', async () => {
      const prefix = 'several'
      const clients = await Promise.all(Array.from({ length: 4 }, () => shared.connect()))
      const stores = clients.map((client) => storeOf(fromIoredis(client), { prefix }))
      const pairs = [
        [of('budget', { key: 'a' }), of('budget', { key: 'b', max: 20 })],
        [of('budget', { key: 'b', max: 20 }), of('budget', { key: 'a' })],
      ]
      const asked = stores.flatMap((store) =>
        pairs.flatMap((pair) => Array.from({ length: 50 }, () => ask(store, ...pair))),
      )
      expect((await Promise.all(asked)).filter(Boolean)).toHaveLength(10)
      const rest = Array.from({ length: 50 }, () => ask(stores[0] as LimitStore, of('budget', { key: 'b', max: 20 })))
      expect((await Promise.all(rest)).filter(Boolean)).toHaveLength(10)
    })

    test('the clocks of the machines do not matter: the server has one', async () => {
      const [store] = await connected()
      expect(await ask(store, of('window', { amount: 10 }))).toBe(true)
      const real = Date.now
      try {
        Date.now = () => real() + 100 * MINUTE * 60
        expect(await ask(store, of('window'))).toBe(false)
      } finally {
        Date.now = real
      }
    })

    test.each(KINDS)('a clock that is set back gives nothing of a %s back', async (kind) => {
      let now = 1_767_225_600_000
      const [store] = await connected({ time: () => now })
      const all = of(kind, { amount: 10, ...(kind === 'concurrency' ? {} : { perMs: 1000 }) })
      expect(await ask(store, all)).toBe(true)
      for (const ms of [-1, -3_600_000, 999, 3_599_000, 1]) {
        now += ms
        expect(await ask(store, { ...all, amount: 1 }), `after ${ms}`).toBe(false)
      }
    })

    test('what is taken while the clock is set back does not end sooner', async () => {
      let now = 1_767_225_600_000
      const [store] = await connected({ time: () => now })
      const one = of('window', { max: 2, perMs: 1000 })
      expect(await ask(store, one)).toBe(true)
      now -= 999
      expect(await ask(store, one)).toBe(true)
      for (const ms of [999, 1, 998]) {
        now += ms
        expect(await ask(store, one), `after ${ms} ms`).toBe(false)
      }
      now += 1
      expect(await ask(store, { ...one, amount: 2 })).toBe(true)
    })

    test.each([Number.NaN, Infinity, -1])('a clock that tells %s is an error', async (time) => {
      const [store] = await connected({ time: () => time })
      await expect(ask(store, of('window'))).rejects.toEqual(UNAVAILABLE)
    })

    test('another prefix is another set of counters', async () => {
      const [one] = await connected()
      const [other] = await connected()
      expect(await ask(one, of('budget', { amount: 10 }))).toBe(true)
      expect(await ask(other, of('budget', { amount: 10 }))).toBe(true)
      expect(await ask(one, of('budget'))).toBe(false)
    })
  })

  describe('keys', () => {
    test('all are in one hash slot of a cluster, have the prefix, and end', async () => {
      const server = await own('--cluster-enabled', 'yes')
      const client = await server.connect()
      await client.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
      await until(
        'the cluster is there',
        async () => (await client.call('CLUSTER', 'INFO'))?.toString().includes('state:ok') === true,
      )
      const store = storeOf(fromIoredis(client), { prefix: 'tag' })
      const charges = KINDS.flatMap((kind) => [of(kind), of(kind, { key: '{other}', run: '{run}' })])
      const name = lease()
      expect((await store.reserve(charges, name, MINUTE)).ok).toBe(true)
      const keys = await client.keys('*')
      expect(keys.length).toBeGreaterThan(8)
      for (const key of keys) {
        expect(key).toMatch(/^\{tag\}:limit:/)
        expect(await client.pttl(key)).toBeGreaterThan(0)
      }
      await store.release(charges, name, 'undone')
      await store.forgetRun('{run}')
      expect((await client.keys('*')).filter((key) => !key.includes(':lease:'))).toEqual([])
    })

    test('a client that puts a prefix before keys by itself fits', async () => {
      const client = await shared.connect({ keyPrefix: 'mine:' })
      const store = storeOf(fromIoredis(client), { prefix: 'prefixed' })
      const charge = of('budget', { run: 'run', amount: 10 })
      expect(await ask(store, charge)).toBe(true)
      expect(await ask(store, charge)).toBe(false)
      await store.forgetRun('run')
      expect(await ask(store, charge)).toBe(true)
      const keys = await (await shared.connect()).keys('*{prefixed}*')
      expect(keys.every((key) => key.startsWith('mine:{prefixed}:'))).toBe(true)
    })

    test('an idle budget without a period lives as long as said, and is not let go while it is asked for', async () => {
      const [store, client] = await connected({ prefix: 'idle', budgetLifeMs: 3 * MINUTE })
      expect(await ask(store, of('budget', { amount: 10 }))).toBe(true)
      const [key = ''] = await client.keys('{idle}:limit:counter:*')
      expect(await client.pttl(key)).toBeGreaterThan(2 * MINUTE)
      await client.pexpire(key, 1000)
      expect(await ask(store, of('budget'))).toBe(false)
      expect(await client.pttl(key)).toBeGreaterThan(2 * MINUTE)
    })
  })

  describe('clients', () => {
    test('node-redis fits', async () => {
      const client = await shared.connect()
      const store = storeOf(
        fromNodeRedis({
          eval: (script, { keys, arguments: args }) => client.eval(script, keys.length, ...keys, ...args),
          evalSha: (sha1, { keys, arguments: args }) => client.evalsha(sha1, keys.length, ...keys, ...args),
        }),
      )
      expect(await ask(store, of('budget', { amount: 10 }))).toBe(true)
      expect(await ask(store, of('budget'))).toBe(false)
    })

    test.each([
      ['no client', { client: undefined }],
      ['a client without evalsha', { client: { eval: async () => ['ok'] } }],
      ['a prefix with braces', { prefix: 'a{b' }],
      ['an empty prefix', { prefix: '' }],
      ['a timeout of 0', { timeoutMs: 0 }],
      ['an endless timeout', { timeoutMs: Infinity }],
      ['a life of NaN', { budgetLifeMs: Number.NaN }],
    ])('%s is misuse', (_, wrong) => {
      const right = { client: { eval: async () => ['ok'], evalsha: async () => ['ok'] } }
      expect(() => redisLimitStore({ ...right, ...wrong } as unknown as RedisLimitStoreOptions)).toThrow(TypeError)
    })

    test('a script that the server has lost is sent again', async () => {
      const [store, client] = await connected()
      for (let index = 0; index < 3; index++) {
        expect(await ask(store, of('budget'))).toBe(true)
        await client.script('FLUSH')
      }
      await store.forgetRun('run')
    })
  })

  describe('a server that fails', () => {
    const quick = { timeoutMs: 200 }
    const noWaiting = { maxRetriesPerRequest: 0, enableOfflineQueue: false, retryStrategy: () => null }

    test('is not there', async () => {
      const client = new Redis({ port: await freePort(), host: '127.0.0.1', lazyConnect: true, ...noWaiting })
      client.on('error', () => undefined)
      const store = storeOf(fromIoredis(client), quick)
      await expect(ask(store, of('budget'))).rejects.toEqual(UNAVAILABLE)
      await expect(store.release([of('budget')], 'lease', 'settled')).rejects.toEqual(UNAVAILABLE)
      await expect(store.forgetRun('run')).rejects.toEqual(UNAVAILABLE)
      client.disconnect()
    })

    test('is not there, and the client waits for it', async () => {
      const client = new Redis({ port: await freePort(), host: '127.0.0.1' })
      client.on('error', () => undefined)
      await expect(ask(storeOf(fromIoredis(client), { timeoutMs: 20 }), of('budget'))).rejects.toEqual(UNAVAILABLE)
      client.disconnect()
    })

    test('has stopped: refused in time, and what it takes when it goes on is given back', async () => {
      const server = await own()
      const store = storeOf(fromIoredis(await server.connect()), quick)
      const all = KINDS.map((kind) => of(kind, { amount: 10 }))
      // The script is there: what is asked next is done in one go.
      await ask(store, of('budget', { key: 'first' }))
      server.signal('SIGSTOP')
      await expect(ask(store, ...all)).rejects.toEqual(UNAVAILABLE)
      server.signal('SIGCONT')
      const other = storeOf(fromIoredis(await server.connect()), { prefix: `p${prefixes}` })
      await until('it is given back', () => ask(other, ...all))
    })

    test('is killed midway: no call is let through afterwards, and none hangs', async () => {
      const server = await own()
      const store = storeOf(fromIoredis(await server.connect(noWaiting)))
      const asked = Array.from({ length: 300 }, () => ask(store, of('budget', { max: 1000 })))
      const settled = Promise.allSettled(asked)
      await asked[0]
      server.signal('SIGKILL')
      for (const outcome of await settled)
        if (outcome.status === 'rejected') expect(outcome.reason).toEqual(UNAVAILABLE)
      for (let index = 0; index < 5; index++) await expect(ask(store, of('budget'))).rejects.toEqual(UNAVAILABLE)
    })

    test('has no memory left: nothing is taken, and what is held can be given back', async () => {
      const server = await own()
      const client = await server.connect()
      const store = storeOf(fromIoredis(client), { prefix: 'full' })
      const charges = KINDS.map((kind) => of(kind))
      const name = lease()
      expect((await store.reserve(charges, name, MINUTE)).ok).toBe(true)
      expect(await ask(store, ...charges)).toBe(true)
      await client.config('SET', 'maxmemory-policy', 'noeviction')
      await client.config('SET', 'maxmemory', '1')
      for (const kind of KINDS) await expect(ask(store, of(kind, { key: 'new' }))).rejects.toEqual(UNAVAILABLE)
      await expect(ask(store, ...charges)).rejects.toEqual(UNAVAILABLE)
      await store.release(charges, name, 'undone')
      await client.config('SET', 'maxmemory', '0')
      await pause(100)
      expect(await ask(store, ...KINDS.map((kind) => of(kind, { amount: 9 })))).toBe(true)
      expect(await client.keys('*new*')).toEqual([])
    })

    test('is a replica that must not be written to', async () => {
      const main = await own()
      const replica = await own()
      const client = await replica.connect()
      await client.replicaof('127.0.0.1', main.port)
      await until('it follows', async () => (await client.info('replication')).includes('master_link_status:up'))
      const store = storeOf(fromIoredis(client))
      for (const kind of KINDS) await expect(ask(store, of(kind))).rejects.toEqual(UNAVAILABLE)
      await expect(ask(store, of('budget', { amount: 0 }))).rejects.toEqual(UNAVAILABLE)
    })

    test('has evicted a part of a counter', async () => {
      const [store, client] = await connected({ prefix: 'evicted' })
      for (const kind of ['window', 'concurrency'] as const) {
        for (const part of ['counter', 'part']) {
          const charge = of(kind, { key: part })
          expect(await ask(store, charge)).toBe(true)
          for (const key of await client.keys(`{evicted}:limit:${part}:${kind[0]}:${part}`)) await client.del(key)
          await expect(ask(store, charge)).rejects.toEqual(UNAVAILABLE)
        }
      }
    })

    test('has something else under the name: all of the call is refused and none taken', async () => {
      const [store, client] = await connected({ prefix: 'typed' })
      await client.set('{typed}:limit:counter:t:bad', 'text')
      await client.set('{typed}:limit:part:w:bad', 'text')
      for (const kind of ['budget', 'window'] as const) {
        await expect(ask(store, of('budget', { amount: 10 }), of(kind, { key: 'bad' }))).rejects.toEqual(UNAVAILABLE)
        await pause(50)
      }
      expect(await ask(store, of('budget', { amount: 10 }))).toBe(true)
    })
  })

  describe('leases that go wrong', () => {
    /** Hands every command on at once, and every answer `ms` late. */
    const slow = (client: RedisScripting, ms: number): RedisScripting => {
      const late = async (answer: Promise<unknown>): Promise<unknown> => {
        const came = await answer
        await pause(ms)
        return came
      }
      return {
        eval: (script, keys, args) => late(client.eval(script, keys, args)),
        evalsha: (sha1, keys, args) => late(client.evalsha(sha1, keys, args)),
      }
    }

    test('taken, but told too late: refused, and given back', async () => {
      const client = fromIoredis(await shared.connect())
      const prefix = 'late'
      const charges = KINDS.map((kind) => of(kind, { amount: 10 }))
      const other = storeOf(client, { prefix })
      await expect(ask(storeOf(slow(client, 150), { prefix, timeoutMs: 20 }), ...charges)).rejects.toEqual(UNAVAILABLE)
      await until('it is given back', () => ask(other, ...charges))
    })

    test('a lease that failed is not used again, not even before it is undone', async () => {
      const client = fromIoredis(await shared.connect())
      let delay = 300
      const store = storeOf(
        {
          eval: (script, keys, args) => slow(client, delay).eval(script, keys, args),
          evalsha: (sha1, keys, args) => slow(client, delay).evalsha(sha1, keys, args),
        },
        { timeoutMs: 100 },
      )
      const name = lease()
      await expect(store.reserve([of('budget')], name, MINUTE)).rejects.toEqual(UNAVAILABLE)
      delay = 0
      // It is held now, and will not be in a moment.
      for (let index = 0; index < 20; index++) {
        await expect(store.reserve([of('budget')], name, MINUTE)).rejects.toEqual(UNAVAILABLE)
        await pause(20)
      }
    })

    test('undone before it arrived: it takes nothing when it does', async () => {
      const [store] = await connected()
      const name = lease()
      const charges = [of('budget', { amount: 10 })]
      await store.release(charges, name, 'undone')
      await expect(store.reserve(charges, name, MINUTE)).rejects.toEqual(UNAVAILABLE)
      expect(await ask(store, ...charges)).toBe(true)
    })

    test('sent twice by a client that lost its connection: counted once, also after it was released', async () => {
      const client = fromIoredis(await shared.connect())
      const sent: (() => Promise<unknown>)[] = []
      const store = storeOf({
        eval: (script, keys, args) => {
          sent.push(() => client.eval(script, keys, args))
          return client.eval(script, keys, args)
        },
        evalsha: async () => {
          throw new Error('NOSCRIPT No matching script.')
        },
      })
      const name = lease()
      expect((await store.reserve([of('budget')], name, MINUTE)).ok).toBe(true)
      await Promise.all(sent.map((again) => again()))
      await store.release([of('budget')], name, 'settled')
      await Promise.all(sent.map((again) => again()))
      expect(await ask(store, of('budget', { amount: 9 }))).toBe(true)
    })
  })
})

describe('answers that are none', () => {
  const answering = (answer: () => unknown): LimitStore => {
    const run = answer as () => Promise<unknown>
    return redisLimitStore({ client: { eval: run, evalsha: run }, timeoutMs: 50 })
  }

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['OK', 'OK'],
    ['1', 1],
    ['true', true],
    ['an empty list', []],
    ['a list of a list', [['ok']]],
    ['another word', ['fine']],
    ['the word in capitals', ['OK']],
    ['an object', { 0: 'ok' }],
    ['bytes', [Buffer.from('ok')]],
    ['a refusal of nothing', ['refused']],
    ['a refusal of another charge', ['refused', '2', '']],
    ['a refusal of no charge', ['refused', '0', '']],
    ['a refusal with a wait of NaN', ['refused', '1', 'soon']],
    ['a refusal with a wait of 0', ['refused', '1', '0']],
    ['a refusal with a wait that is no text', ['refused', '1', 5]],
    ['a lease released', ['released']],
    ['a damaged counter', ['damaged']],
  ])('%s', async (_, answer) => {
    await expect(answering(async () => answer).reserve([of('budget')], 'lease', 1000)).rejects.toEqual(UNAVAILABLE)
  })

  test.each([
    [
      'a client that throws',
      () => {
        throw new TypeError('x is not a function')
      },
    ],
    ['a client that rejects', () => Promise.reject(new Error('READONLY'))],
    ['a client that rejects with no error', () => Promise.reject('NOSCRIPT')],
    ['a server that never has the script', () => Promise.reject(new Error('NOSCRIPT'))],
    ['a client that never answers', () => new Promise(() => undefined)],
  ])('%s', async (_, answer) => {
    const store = answering(answer)
    await expect(store.reserve([of('budget')], 'lease', 1000)).rejects.toEqual(UNAVAILABLE)
    await expect(store.release([of('budget')], 'other', 'settled')).rejects.toEqual(UNAVAILABLE)
    await expect(store.forgetRun('run')).rejects.toEqual(UNAVAILABLE)
  })

  test('a run that never ends', async () => {
    await expect(answering(async () => ['again']).forgetRun('run')).rejects.toEqual(UNAVAILABLE)
  })

  test('an answer that is right', async () => {
    const charge = of('budget')
    expect(await answering(async () => ['ok']).reserve([charge], 'lease', 1000)).toEqual({ ok: true })
    const refused = await answering(async () => ['refused', '1', '7']).reserve([charge], 'lease', 1000)
    expect(refused).toEqual({ ok: false, charge, retryAfterMs: 7 })
  })
})
