// Limits through the gateway: what is taken, by whom, when it comes back, and that a store which cannot be relied on is
// a no. What the kinds mean exactly is tested on the stores.

import { describe, expect, test } from 'vitest'

import {
  type CallRequest,
  type LimitStore,
  MemoryLimitStore,
  type NodeAdmission,
  type Reservation,
} from '../../src/index.ts'
import { manualClock } from '../../src/testing/index.ts'
import {
  allowed,
  answerOf,
  ask,
  BANK_GRAPH,
  type Bank,
  bankPolicy,
  openBank,
  PAY,
  recordsOf,
  refusedCall,
  thenable,
  turn,
  WatchedStore,
} from './bank.ts'

const PING = { tool: 'ping' }

function limit(text: string): { file: string; text: string } {
  return bankPolicy(`limits:\n  - { id: l, ${text}, nodes: ["*"], tools: ["*"] }`)
}

describe('each kind', () => {
  const kinds = [
    ['rate', 'kind: rate, max: 2, per: 1m, by: [run]', 'rate_limited', 'after_wait', 30_000],
    ['window', 'kind: window, max: 2, per: 1m, by: [run]', 'rate_limited', 'after_wait', 60_000],
    ['budget with a period', 'kind: budget, max: 2, per: 1m, by: [run]', 'budget_exhausted', 'narrower', 60_000],
  ] as const

  test.each(kinds)(
    '%s: full, refused, and free again when its time is over',
    async (_, text, code, recoverable, ms) => {
      const { node, clock } = await openBank({ policy: limit(text) })
      expect([await ask(node, PING), await ask(node, PING)]).toEqual(['allow', 'allow'])
      clock.advance(ms - 1)
      const call = await refusedCall(node, PING)
      expect(call).toMatchObject({
        decision: 'deny',
        denial: { code, recoverable, dispatched: false, retryAfterMs: 1, rules: [{ id: 'l', effect: 'limit' }] },
      })
      clock.advance(1)
      expect(await ask(node, PING)).toBe('allow')
    },
  )

  test('budget without a period: never again, and the third same refusal ends the node', async () => {
    const { node, clock } = await openBank({ policy: limit('kind: budget, max: 1, by: [run]') })
    expect(await ask(node, PING)).toBe('allow')
    clock.advance(100_000)
    expect([await ask(node, PING), await ask(node, PING), await ask(node, PING)]).toEqual([
      'budget_exhausted',
      'budget_exhausted',
      'denial_repeated',
    ])
    expect(await ask(node, PING)).toBe('ticket_revoked')
  })

  test('waiting for a rate is no repeated refusal: ten polls end nothing', async () => {
    const { node, clock } = await openBank({ policy: limit('kind: rate, max: 1, per: 1s, by: [run]') })
    await allowed(node, PING)
    for (let poll = 0; poll < 10; poll++) expect(await ask(node, PING)).toBe('rate_limited')
    clock.advance(1000)
    expect(await ask(node, PING)).toBe('allow')
  })

  test('concurrency: what is not settled is held', async () => {
    const { node } = await openBank({ policy: limit('kind: concurrency, max: 1, by: [run]') })
    const call = await allowed(node, PING)
    expect(await refusedCall(node, PING)).toMatchObject({
      denial: { code: 'concurrency_limited', recoverable: 'after_wait' },
    })
    await call.settle('pong')
    expect(await ask(node, PING)).toBe('allow')
  })

  test('without a limit none of it is refused', async () => {
    const { node } = await openBank({ policy: bankPolicy() })
    for (let count = 0; count < 20; count++) expect(await ask(node, PING)).toBe('allow')
  })
})

describe('whose counter', () => {
  const other = (host: string): CallRequest => ({ tool: 'http_get', args: { url: `https://${host}.example.com/` } })
  /** What has a counter of its own, a call that shares it, and one that does not. */
  const cases = [
    ['run', PING, (bank: Bank) => [bank.node, other('a')], async ({ port }: Bank) => [await second(port), PING]],
    ['node', PING, ({ node }: Bank) => [node, other('a')], async ({ run }: Bank) => [await run.admit('teller'), PING]],
    ['tool', PING, ({ node }: Bank) => [node, PING], async ({ node }: Bank) => [node, other('a')]],
    [
      'principal',
      PING,
      async ({ port }: Bank) => [await second(port, 'ann'), PING],
      async ({ port }: Bank) => [await second(port, 'bob'), PING],
    ],
    ['destination', other('a'), ({ node }: Bank) => [node, PAY_AT_A], ({ node }: Bank) => [node, other('b')]],
    ['all', PING, async ({ port }: Bank) => [await second(port, 'bob'), other('a')], undefined],
  ] as const
  const PAY_AT_A = { tool: 'pay', args: { url: 'https://a.example.com/' } }

  async function second(port: Bank['port'], principal = 'ann'): Promise<NodeAdmission> {
    const run = await port.openRun({ graph: BANK_GRAPH, principal })
    return run.admit('clerk')
  }

  test.each(cases)('by %s', async (by, first, shared, apart) => {
    const bank = await openBank({ policy: limit(`kind: window, max: 1, per: 1m, by: [${by}]`) })
    expect(await ask(bank.node, first)).toBe('allow')
    const [sharing, request] = (await shared(bank)) as [NodeAdmission, CallRequest]
    expect(await ask(sharing, request)).toBe('rate_limited')
    if (apart === undefined) return
    const [free, another] = (await apart(bank)) as [NodeAdmission, CallRequest]
    expect(await ask(free, another)).toBe('allow')
  })

  test('two spellings of one host are one destination', async () => {
    const { node } = await openBank({ policy: limit('kind: window, max: 1, per: 1m, by: [destination]') })
    expect(await ask(node, other('a'))).toBe('allow')
    expect(await ask(node, { tool: 'http_get', args: { url: 'HTTPS://A.Example.COM.:443/x' } })).toBe('rate_limited')
  })
})

describe('amounts', () => {
  const budget = bankPolicy(
    'limits:\n  - { id: spend, kind: budget, max: 100, amount: /amount, by: [run], nodes: ["*"], tools: [pay] }',
  )
  const pay = (amount?: unknown): CallRequest => ({
    tool: 'pay',
    args: { url: 'https://bank.example.com/', ...(amount === undefined ? {} : { amount }) },
  })

  test('are added up, and what does not fit takes nothing', async () => {
    const { node } = await openBank({ policy: budget })
    expect([
      await ask(node, pay(60)),
      await ask(node, pay(60)),
      await ask(node, pay(40)),
      await ask(node, pay(0.01)),
    ]).toEqual(['allow', 'budget_exhausted', 'allow', 'budget_exhausted'])
  })

  test.each([
    ['negative', -1, 'policy_error'],
    ['absent', undefined, 'policy_error'],
    ['NaN', Number.NaN, 'arguments_unreadable'],
    ['endless', Number.POSITIVE_INFINITY, 'arguments_unreadable'],
    ['text', '1', 'arguments_invalid'],
    ['a getter that says another number later', undefined, 'arguments_unreadable'],
  ])('%s: refused, and nothing is taken or given back', async (name, amount, code) => {
    const { node } = await openBank({ policy: budget })
    const request = pay(amount)
    let reads = 0
    if (name.startsWith('a getter')) {
      Object.defineProperty(request.args, 'amount', { enumerable: true, get: () => (reads++ === 0 ? 1 : 1e9) })
    }
    expect(await ask(node, request)).toBe(code)
    expect([await ask(node, pay(100)), await ask(node, pay(1))]).toEqual(['allow', 'budget_exhausted'])
  })
})

describe('giving back', () => {
  const policy = limit('kind: concurrency, max: 1, by: [principal]')

  async function held(): Promise<Bank & { store: WatchedStore }> {
    const clock = manualClock()
    const store = new WatchedStore(clock)
    return { ...(await openBank({ policy, limits: store, clock })), clock, store }
  }

  test.each(['settle', 'fail', 'settle after a halt', 'settle after its time'] as const)('%s, once', async (how) => {
    const bank = await held()
    const call = await allowed(bank.node, PING)
    if (how === 'settle after a halt') await bank.run.halt({ reason: 'stop' })
    if (how === 'settle after its time') bank.clock.advance(300_000)
    if (how === 'fail') await call.fail(new Error('no'))
    else await call.settle(1)
    await call.settle(2)
    await call.fail(new Error('again'))
    expect(bank.store.told).toEqual(['taken', 'settled'])
    const next = await bank.port.openRun({ graph: BANK_GRAPH, principal: 'ann', id: 'run-2' })
    expect(await ask(await next.admit('clerk'), PING)).toBe('allow')
  })

  test('settling twice frees one place and not two', async () => {
    const { node } = await openBank({ policy: limit('kind: concurrency, max: 2, by: [run]') })
    const [first] = [await allowed(node, PING), await allowed(node, PING)]
    await Promise.all([first?.settle(1), first?.settle(2), first?.fail(new Error('x'))])
    expect([await ask(node, PING), await ask(node, PING)]).toEqual(['allow', 'concurrency_limited'])
  })

  test('a call that is never settled holds its place as long as its ticket lives', async () => {
    const graph = { nodes: { clerk: { ...BANK_GRAPH.nodes.clerk, lifetimeMs: 60_000 } } }
    const clock = manualClock()
    const limits = new WatchedStore(clock)
    const { node, port } = await openBank({ policy, clock, limits }, { graph })
    clock.advance(20_000)
    await allowed(node, PING)
    expect(limits.lifetimes).toEqual([40_000])
    const next = await port.openRun({ graph, principal: 'ann', id: 'run-2' })
    const other = await next.admit('clerk')
    clock.advance(39_999)
    expect(await ask(other, PING)).toBe('concurrency_limited')
    clock.advance(1)
    expect(await ask(other, PING)).toBe('allow')
  })

  test.each(['throws', 'rejects', 'hangs'])('a call whose record %s took nothing', async (how) => {
    const lines: string[] = []
    let broken = false
    const clock = manualClock()
    const limits = new WatchedStore(clock)
    const append = (line: string): void | Promise<void> => {
      if (!broken || !line.includes('"call.allowed"')) return void lines.push(line)
      if (how === 'throws') throw new Error('full')
      return how === 'rejects' ? Promise.reject(new Error('full')) : new Promise(() => undefined)
    }
    const { node } = await openBank({ policy, clock, limits, timeoutMs: 20, audit: { append } })
    broken = true
    expect(await ask(node, PING)).toBe(how === 'hangs' ? 'deadline_exceeded' : 'audit_unavailable')
    expect(limits.told).toEqual(['taken', 'undone'])
  })

  test('a call that is halted while its record is written took nothing', async () => {
    const clock = manualClock()
    const limits = new WatchedStore(clock)
    const audit = { append: (_: string) => turn() }
    const { node, run } = await openBank({ policy, clock, limits, audit, timeoutMs: 100 })
    const pending = node.authorize(PING)
    void run.halt({ reason: 'stop' })
    expect(answerOf(await pending)).toBe('run_halted')
    expect(limits.told).toEqual(['taken', 'undone'])
  })

  test('what is refused before it is counted takes nothing', async () => {
    const clock = manualClock()
    const limits = new WatchedStore(clock)
    const rules = '  - { id: no, effect: forbid, nodes: ["*"], tools: [pay] }'
    const { node } = await openBank({
      clock,
      limits,
      policy: bankPolicy(
        'limits:\n  - { id: l, kind: budget, max: 9, by: [run], nodes: ["*"], tools: ["*"] }',
        `${rules}\n  - { id: ask, effect: require_approval, nodes: ["*"], tools: [note] }`,
      ),
    })
    expect(await ask(node, { tool: 'http_get', args: { url: 'https://evil.test/' } })).toBe('resource_undeclared')
    expect(await ask(node, { tool: 'note', args: { text: 'x' } })).toBe('approval_required')
    expect(limits.told).toEqual([])
    expect(await ask(node, PAY)).toBe('forbidden')
    expect(limits.told).toEqual([])
  })
})

describe('a store that cannot be relied on', () => {
  const policy = limit('kind: window, max: 3, per: 1m, by: [run]')
  const garbage = (answer: unknown) => () => answer as Reservation
  const evil = Proxy.revocable({}, {})
  evil.revoke()
  const stores: readonly (readonly [string, LimitStore['reserve']])[] = [
    [
      'throws',
      () => {
        throw new Error('down')
      },
    ],
    ['rejects', () => Promise.reject(new Error('down'))],
    ['hangs', () => new Promise(() => undefined)],
    ['answers undefined', garbage(undefined)],
    ['answers null', garbage(null)],
    ['answers true', garbage(true)],
    ['answers "ok"', garbage('ok')],
    ['answers { ok: "true" }', garbage({ ok: 'true' })],
    ['answers { ok: 1 }', garbage({ ok: 1 })],
    ['answers {}', garbage({})],
    ['answers { ok: false } alone', garbage({ ok: false })],
    ['refuses for a charge that is none', garbage({ ok: false, charge: { kind: 'constructor', key: 'x' } })],
    ['refuses for __proto__', garbage({ ok: false, charge: { kind: '__proto__', limit: {} } })],
    ['answers what throws when it is read', garbage(evil.proxy)],
    ['promises garbage', () => Promise.resolve('ok') as unknown as Promise<Reservation>],
    [
      'promises what throws when it is read',
      () => thenable((done) => done(Object.defineProperty({}, 'ok', { get: () => thrown() }))),
    ],
    ['has a then that throws', garbage(Object.defineProperty({ ok: true }, 'then', { get: () => thrown() }))],
    ['is a thenable that rejects', () => thenable((_, failed) => failed(1))],
  ]

  function thrown(): never {
    throw new Error('no')
  }

  test.each(stores)('%s: denied, undone, and the node goes on', async (_, reserve) => {
    const released: string[] = []
    const limits: LimitStore = {
      reserve,
      release: (_charges, _lease, how) => void released.push(how),
      forgetRun: () => undefined,
    }
    const { node, audit } = await openBank({ policy, limits, timeoutMs: 20 })
    expect(await refusedCall(node, PING)).toMatchObject({
      decision: 'deny',
      denial: { code: 'limit_unavailable', recoverable: 'after_wait' },
    })
    expect(recordsOf(audit, 'call.allowed')).toEqual([])
    expect(released.every((how) => how === 'undone')).toBe(true)
    expect(node.signal.aborted).toBe(false)
  })

  test('control: the same call with a store that answers is allowed, at once or later, and by a thenable', async () => {
    const answers = [
      (): Reservation => ({ ok: true }),
      () => Promise.resolve<Reservation>({ ok: true }),
      (): Promise<Reservation> => thenable((done) => done({ ok: true })),
    ]
    for (const reserve of answers) {
      const { node } = await openBank({
        policy,
        limits: { reserve, release: () => undefined, forgetRun: () => undefined },
      })
      expect(await ask(node, PING)).toBe('allow')
    }
  })

  test('a refusal that comes as a copy of the charge is heard', async () => {
    const limits: LimitStore = {
      reserve: (charges) =>
        Promise.resolve({ ok: false, charge: JSON.parse(JSON.stringify(charges[0])), retryAfterMs: 7 }),
      release: () => undefined,
      forgetRun: () => undefined,
    }
    const { node } = await openBank({ policy, limits })
    const { denial } = await refusedCall(node, PING)
    expect(denial).toMatchObject({ code: 'rate_limited', recoverable: 'after_wait', retryAfterMs: 7 })
    expect(denial.detail).toContain('after 7 ms')
  })

  test('a reservation that comes after the answer was no is undone', async () => {
    const clock = manualClock()
    const store = new MemoryLimitStore({ clock })
    let arrive: (() => void) | undefined
    let late = true
    const limits: LimitStore = {
      reserve: (charges, lease, ms) => {
        if (!late) return store.reserve(charges, lease, ms)
        return new Promise((resolve) => {
          arrive = () => resolve(store.reserve(charges, lease, ms))
        })
      },
      release: (charges, lease, how) => store.release(charges, lease, how),
      forgetRun: (run) => store.forgetRun(run),
    }
    const { node } = await openBank({ policy: limit('kind: budget, max: 1, by: [run]'), limits, clock, timeoutMs: 20 })
    expect(await ask(node, PING)).toBe('limit_unavailable')
    arrive?.()
    await turn()
    late = false
    expect([await ask(node, PING), await ask(node, PING)]).toEqual(['allow', 'budget_exhausted'])
  })

  test('a store that keeps the thread past the deadline: denied, and what it took is undone', async () => {
    const clock = manualClock()
    const store = new WatchedStore(clock)
    const limits: LimitStore = {
      reserve: (charges, lease, ms) => {
        const answer = store.reserve(charges, lease, ms)
        clock.advance(60)
        return answer
      },
      release: store.release,
      forgetRun: store.forgetRun,
    }
    const { node } = await openBank({ policy, limits, clock, timeoutMs: 50 })
    expect(await ask(node, PING)).toBe('deadline_exceeded')
    expect(store.told).toEqual(['taken', 'undone'])
  })

  test.each(['release throws', 'release rejects', 'release hangs'])(
    '%s: the result is handed on all the same',
    async (how) => {
      const limits: LimitStore = {
        reserve: () => ({ ok: true }),
        release: () => {
          if (how === 'release throws') throw new Error('down')
          return how === 'release rejects' ? Promise.reject(new Error('down')) : new Promise(() => undefined)
        },
        forgetRun: () => {
          throw new Error('down')
        },
      }
      const { node, run } = await openBank({ policy, limits })
      const call = await allowed(node, PING)
      expect(await call.settle('pong')).toEqual({ accepted: true, value: 'pong' })
      expect((await run.close()).state).toBe('cancelled')
    },
  )

  test.each([
    ['limits', {}],
    ['limits', { reserve: () => ({ ok: true }) }],
    ['limits', null],
    ['resolver', {}],
  ])('%s: %j is refused when the gateway opens', async (name, value) => {
    await expect(openBank({ [name]: value })).rejects.toThrow(TypeError)
  })
})

describe('many at once', () => {
  const inOneStep = (clock: ReturnType<typeof manualClock>) => new WatchedStore(clock)
  const awaited = (clock: ReturnType<typeof manualClock>): LimitStore => {
    const store = new MemoryLimitStore({ clock })
    return {
      reserve: async (...all) => {
        await turn()
        return store.reserve(...all)
      },
      release: async (...all) => store.release(...all),
      forgetRun: (run) => store.forgetRun(run),
    }
  }
  const kinds = ['rate, per: 1m', 'window, per: 1m', 'concurrency', 'budget']
  const stores = { inOneStep, awaited }
  const cases = kinds.flatMap((kind) => (['inOneStep', 'awaited'] as const).map((store) => [kind, store] as const))

  test.each(cases)('%s, %s: of fifty calls ten are allowed', async (kind, store) => {
    const clock = manualClock()
    const { node } = await openBank({
      clock,
      limits: stores[store](clock),
      timeoutMs: 100,
      policy: limit(`kind: ${kind}, max: 10, by: [run]`),
    })
    const calls = Array.from({ length: 50 }, (_, index) => node.authorize({ tool: 'note', args: { text: `${index}` } }))
    const answers = (await Promise.all(calls)).map(answerOf)
    expect(answers.filter((answer) => answer === 'allow')).toHaveLength(10)
  })

  test('control: without the limit all fifty are', async () => {
    const { node } = await openBank({ policy: bankPolicy(), timeoutMs: 100 })
    const answers = (await Promise.all(Array.from({ length: 50 }, () => node.authorize(PING)))).map(answerOf)
    expect(new Set(answers)).toEqual(new Set(['allow']))
  })
})

describe('runs', () => {
  test('of the same name, one after the other, share no lease and no counter of the run', async () => {
    const clock = manualClock()
    const limits = new WatchedStore(clock)
    const { node, run, port } = await openBank({
      clock,
      limits,
      policy: bankPolicy(`limits:
  - { id: mine, kind: budget, max: 1, by: [run], nodes: ["*"], tools: ["*"] }
  - { id: hers, kind: concurrency, max: 1, by: [principal], nodes: ["*"], tools: ["*"] }`),
    })
    const old = await allowed(node, PING)
    await run.close()
    const again = await port.openRun({ graph: BANK_GRAPH, principal: 'ann', id: 'run-1' })
    const clerk = await again.admit('clerk')
    // The old call may still be running: its place is not free. The name of its lease is the first of the new run, too.
    expect(await ask(clerk, PING)).toBe('concurrency_limited')
    await old.settle(1)
    const next = await allowed(clerk, PING)
    await old.settle(2)
    expect(await ask(clerk, { tool: 'note' })).not.toBe('allow')
    await next.settle(1)
    expect(new Set(limits.leases).size).toBe(limits.leases.length)
    expect(limits.told).toContain('forget run-1')
  })

  test('a name is free again only when what the run took is forgotten', async () => {
    let forgotten: (() => void) | undefined
    const limits: LimitStore = {
      reserve: () => ({ ok: true }),
      release: () => undefined,
      forgetRun: () => new Promise((resolve) => (forgotten = resolve)),
    }
    const { run, port } = await openBank({ policy: limit('kind: budget, max: 1, by: [run]'), limits })
    const closing = run.close()
    await turn()
    await expect(port.openRun({ graph: BANK_GRAPH, principal: 'ann', id: 'run-1' })).rejects.toMatchObject({
      code: 'ERR_STATE_INVALID',
    })
    forgotten?.()
    await closing
    await expect(port.openRun({ graph: BANK_GRAPH, principal: 'ann', id: 'run-1' })).resolves.toBeDefined()
  })

  test('a principal that is no Unicode, and so would be two counters or none, opens no run', async () => {
    await expect(openBank({}, { principal: 'ann\ud800' })).rejects.toThrow(TypeError)
  })
})

test('what was taken stands in the verdict and in the log', async () => {
  const { node, audit } = await openBank({
    policy: bankPolicy(`limits:
  - { id: spend, kind: budget, max: 100, amount: /amount, by: [principal], nodes: ["*"], tools: [pay] }
  - { id: pace, kind: rate, max: 9, per: 1s, by: [run], nodes: ["*"], tools: [pay] }`),
  })
  const call = await allowed(node, PAY)
  expect(call.verdict.charges?.map(({ limit: id, amount }) => [id, amount])).toEqual([
    ['pace', 1],
    ['spend', 10],
  ])
  expect(recordsOf(audit, 'call.allowed')).toMatchObject([{ limits: ['1 pace', '10 spend'] }])
})

test('a call without limits asks the store nothing', async () => {
  const limits: LimitStore = {
    reserve: () => {
      throw new Error('asked')
    },
    release: () => {
      throw new Error('asked')
    },
    forgetRun: () => undefined,
  }
  const { node } = await openBank({ limits, policy: bankPolicy() })
  expect((await (await allowed(node, PING)).settle(1)).accepted).toBe(true)
})
