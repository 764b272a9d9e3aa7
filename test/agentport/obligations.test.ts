// Obligations through the gateway: what runs is what was obliged, judged again where it changed, and a result that was not
// treated as the policy says is not handed on. How redacting and capping work in detail is tested in test/obligation.

import { describe, expect, test } from 'vitest'

import {
  type AddressResolver,
  type AgentPortOptions,
  type Commitment,
  commitmentMatches,
  DeniedError,
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
  turn,
  WatchedStore,
} from './bank.ts'

const TOKEN = `ghp_${'a1B2'.repeat(9)}`
const GET = { tool: 'http_get', args: { url: 'https://api.example.com/a' } }
const HEAD = { tool: 'http_head', args: GET.args }

function obliged(text: string, tools = '["*"]'): { file: string; text: string } {
  return bankPolicy(`obligations:\n  - { id: o, nodes: ["*"], tools: ${tools}, ${text} }`)
}

function opening(text: string, options: Partial<AgentPortOptions> = {}): Promise<Bank> {
  return openBank({ policy: obliged(text), ...options })
}

/** Whether the only record of this type commits to `value` in `field`. */
function commits({ audit }: Bank, type: string, field: 'args' | 'result', value: string): boolean {
  const [record] = recordsOf(audit, type)
  return commitmentMatches(record?.[field] as Commitment & { salt: string }, value)
}

describe('arguments', () => {
  test('are redacted before the call, and the log commits to what runs', async () => {
    const bank = await opening('redact: { on: [arguments], secrets: true }')
    const call = await allowed(bank.node, { tool: 'note', args: { text: `use ${TOKEN} now` } })
    expect(call.args).toEqual({ text: 'use [redacted] now' })
    expect(call.verdict).toMatchObject({ args: call.args, obligations: [{ id: 'o', kind: 'redact' }] })
    expect(commits(bank, 'call.allowed', 'args', '{"text":"use [redacted] now"}')).toBe(true)
    expect(JSON.stringify(bank.audit.lines)).not.toContain(TOKEN)
    expect(recordsOf(bank.audit, 'call.allowed')).toMatchObject([{ obligations: ['o'] }])
  })

  test('control: without the obligation the secret goes out', async () => {
    const { node } = await openBank()
    expect((await allowed(node, { tool: 'note', args: { text: TOKEN } })).args).toEqual({ text: TOKEN })
  })

  const elsewhere = `redact: { on: [arguments], patterns: ["safe\\\\."] }`

  test('a redaction that makes another address of the URL is judged at that address', async () => {
    const policy = bankPolicy(
      `obligations:\n  - { id: o, nodes: ["*"], tools: ["*"], redact: { on: [arguments], fields: [/url] } }`,
    )
    const { node } = await openBank({ policy })
    expect(await ask(node, GET)).toBe('resource_invalid')
    const other = await opening(elsewhere)
    // `https://[redacted]example.com/` is no address at all, and none that was judged.
    expect(await ask(other.node, { tool: 'http_get', args: { url: 'https://safe.example.com/' } })).toBe(
      'resource_invalid',
    )
    expect(await ask(other.node, GET)).toBe('allow')
  })

  test('a rule about arguments sees them as they run', async () => {
    const rules = `  - { id: no-marks, effect: forbid, nodes: ["*"], tools: [note], args: { /text: { pattern: ".*redacted.*", optional: true } } }`
    const policy = bankPolicy(
      'obligations:\n  - { id: o, nodes: ["*"], tools: [note], redact: { on: [arguments], secrets: true } }',
      rules,
    )
    const { node } = await openBank({ policy })
    expect(await ask(node, { tool: 'note', args: { text: 'hello' } })).toBe('allow')
    expect(await ask(node, { tool: 'note', args: { text: TOKEN } })).toBe('forbidden')
  })

  test('over a cap they are refused and not cut; the third same one ends the node', async () => {
    const { node } = await opening('cap: { on: [arguments], max_text: 5 }')
    expect(await ask(node, { tool: 'note', args: { text: '12345' } })).toBe('allow')
    const long = { tool: 'note', args: { text: '123456' } }
    expect(await refusedCall(node, long)).toMatchObject({
      denial: {
        code: 'obligation_unmet',
        dispatched: false,
        subject: { node: 'clerk', tool: 'note', argument: '/text' },
      },
    })
    expect([await ask(node, long), await ask(node, long)]).toEqual(['obligation_unmet', 'denial_repeated'])
  })

  test('what people agree to is what runs', async () => {
    const rules = '  - { id: agree, effect: require_approval, nodes: ["*"], tools: [note] }'
    const policy = bankPolicy(
      'obligations:\n  - { id: o, nodes: ["*"], tools: ["*"], redact: { on: [arguments], secrets: true } }',
      rules,
    )
    const { node, port } = await openBank({ policy })
    const { approval } = await refusedCall(node, { tool: 'note', args: { text: TOKEN } })
    if (approval === undefined) throw new Error('not asked')
    expect(approval.question.args).toEqual({ text: '[redacted]' })
    const { id, digest } = approval.question
    port.approvals.answer({ question: id, digest, approver: 'lea', decision: 'approve' })
    expect(await approval.resume()).toMatchObject({ decision: 'allow', args: { text: '[redacted]' } })
  })
})

describe('results', () => {
  test('are redacted in what settle gives back, and the log commits to that', async () => {
    const bank = await opening('redact: { on: [result], secrets: true, fields: [/user/*/mail] }')
    const call = await allowed(bank.node, GET)
    const result = { text: `key ${TOKEN}`, user: [{ mail: 'a@b.example', name: 'a' }] }
    const clean = { text: 'key [redacted]', user: [{ mail: '[redacted]', name: 'a' }] }
    expect(await call.settle(result)).toEqual({ accepted: true, value: clean })
    expect(result.text).toContain(TOKEN)
    expect(commits(bank, 'call.outcome', 'result', JSON.stringify(clean))).toBe(true)
    expect(JSON.stringify(bank.audit.lines)).not.toContain(TOKEN)
  })

  test('control: without the obligation they pass as they are', async () => {
    const { node } = await openBank()
    const result = { text: TOKEN }
    expect(await (await allowed(node, GET)).settle(result)).toEqual({ accepted: true, value: result })
  })

  const hostile: readonly (readonly [string, () => unknown])[] = [
    ['a class instance', () => new (class Box {})()],
    ['a function', () => () => TOKEN],
    ['a getter', () => Object.defineProperty({}, 'x', { enumerable: true, get: () => TOKEN })],
    ['bytes', () => new TextEncoder().encode(TOKEN)],
    ['a map', () => new Map([['x', TOKEN]])],
    ['an error', () => new Error(TOKEN)],
    ['a promise', () => Promise.resolve(TOKEN)],
    [
      'a proxy that throws',
      () =>
        new Proxy(
          {},
          {
            ownKeys: () => {
              throw new Error('no')
            },
          },
        ),
    ],
    ['what has a toJSON', () => ({ toJSON: () => TOKEN })],
    [
      'a cycle',
      () => {
        const o: Record<string, unknown> = {}
        o['o'] = o
        return o
      },
    ],
  ]

  test.each(hostile)('%s is not handed on: nobody can tell what is in it', async (_, make) => {
    const bank = await opening('redact: { on: [result], secrets: true }')
    const call = await allowed(bank.node, GET)
    const settled = await call.settle(make())
    expect(settled).toMatchObject({ accepted: false, denial: { code: 'obligation_unmet', dispatched: true } })
    expect('value' in settled).toBe(false)
    expect(recordsOf(bank.audit, 'call.dropped', 'call.outcome')).toMatchObject([
      { type: 'call.dropped', code: 'obligation_unmet' },
    ])
    expect((await call.settle('again')).accepted).toBe(false)
  })

  test('are cut, and too large ones are dropped', async () => {
    const cut = await opening('cap: { on: [result], max_items: 2, max_bytes: 200 }')
    const call = await allowed(cut.node, GET)
    expect(await call.settle([1, 2, 3])).toEqual({ accepted: true, value: [1, '…[cut: 2 more]'] })
    const big = await (await allowed(cut.node, GET)).settle('x'.repeat(300))
    expect(big).toMatchObject({ accepted: false, denial: { code: 'obligation_unmet' } })
  })

  test('what a tool throws goes redacted into the log', async () => {
    const bank = await opening('redact: { on: [result], secrets: true }')
    await (await allowed(bank.node, GET)).fail(new Error(`401 for ${TOKEN}`))
    expect(recordsOf(bank.audit, 'call.outcome')).toMatchObject([
      { outcome: 'failed', detail: 'Error: 401 for [redacted]' },
    ])
    const control = await openBank()
    await (await allowed(control.node, GET)).fail(new Error(`401 for ${TOKEN}`))
    expect(JSON.stringify(control.audit.lines)).toContain(TOKEN)
  })

  test('a guarded tool returns the redacted one', async () => {
    const { port, node } = await opening('redact: { on: [result], secrets: true }')
    const get = port.guard('http_get', async () => ({ token: TOKEN }))
    expect(await get(node, GET.args)).toEqual({ token: '[redacted]' })
  })
})

describe('confirming', () => {
  test('a result without the confirmation is dropped, recorded, and said to have run', async () => {
    const bank = await opening('confirm: told_customer')
    const call = await allowed(bank.node, GET)
    expect(call.confirmations).toEqual(['confirm:told_customer'])
    expect(await call.settle('body')).toMatchObject({
      accepted: false,
      denial: { code: 'obligation_unmet', dispatched: true, subject: { tool: 'http_get' } },
    })
    expect(recordsOf(bank.audit, 'call.dropped')).toMatchObject([{ code: 'obligation_unmet', dispatched: true }])
    expect(await call.settle('body', { confirmed: ['confirm:told_customer'] })).toMatchObject({
      accepted: false,
      denial: { code: 'verdict_settled' },
    })
  })

  const forged: readonly (readonly [string, unknown])[] = [
    ['nothing', undefined],
    ['null', null],
    ['true', true],
    ['another name', ['told_customer']],
    ['another case', ['confirm:Told_customer']],
    ['a set', new Set(['confirm:told_customer'])],
    ['an object with indices', { 0: 'confirm:told_customer', length: 1 }],
    ['a text that holds it', 'confirm:told_customer'],
    ['a list of lists', [['confirm:told_customer']]],
  ]

  test.each(forged)('%s confirms nothing', async (_, confirmed) => {
    const { node } = await opening('confirm: told_customer')
    const settled = await (await allowed(node, GET)).settle('x', { confirmed } as never)
    expect(settled).toMatchObject({ accepted: false, denial: { code: 'obligation_unmet' } })
  })

  test('control: confirmed, it is handed on, in a guarded tool as well', async () => {
    const { port, node } = await opening('confirm: told_customer')
    const call = await allowed(node, GET)
    expect(await call.settle('body', { confirmed: ['x', 'confirm:told_customer'] })).toEqual({
      accepted: true,
      value: 'body',
    })
    const get = port.guard('http_get', async (_, { confirm, confirmations }) => {
      for (const name of confirmations) confirm(name)
      return 'body'
    })
    expect(await get(node, GET.args)).toBe('body')
    await expect(port.guard('http_get', async () => 'body')(node, GET.args)).rejects.toMatchObject({
      denial: { code: 'obligation_unmet', dispatched: true },
    })
  })
})

describe('rewriting', () => {
  const rewrite = '  - { id: narrow, nodes: ["*"], tools: [http_get], rewrite: { tool: http_head } }'
  const narrowing = (more = '', rules = '') => bankPolicy(`${more}obligations:\n${rewrite}`, rules)

  test('the call runs as the other tool, and verdict and log say so', async () => {
    const bank = await openBank({ policy: narrowing() })
    const call = await allowed(bank.node, GET)
    expect(call).toMatchObject({
      tool: 'http_head',
      args: GET.args,
      verdict: { tool: 'http_head', rules: [{ id: 'web' }] },
    })
    expect(recordsOf(bank.audit, 'call.allowed')).toMatchObject([{ tool: 'http_head', obligations: ['narrow'] }])
    await call.settle(1)
    expect(recordsOf(bank.audit, 'call.outcome')).toMatchObject([{ tool: 'http_head' }])
  })

  const cases: readonly (readonly [string, string, string, object, object])[] = [
    [
      'out of the scope of the node',
      'tool_out_of_scope',
      '',
      { nodes: { clerk: { skill: 'bank', toolScope: ['http_get'] } } },
      GET,
    ],
    ['forbidden', 'forbidden', '  - { id: no, effect: forbid, nodes: ["*"], tools: [http_head] }', BANK_GRAPH, GET],
    [
      'with another schema',
      'arguments_invalid',
      '',
      BANK_GRAPH,
      { tool: 'http_get', args: { ...GET.args, note: 'not in its schema' } },
    ],
    [
      'one that people have to agree to',
      'approval_required',
      '  - { id: agree, effect: require_approval, nodes: ["*"], tools: [http_head] }',
      BANK_GRAPH,
      GET,
    ],
    [
      'when people have to agree to the first',
      'approval_required',
      '  - { id: agree, effect: require_approval, nodes: ["*"], tools: [http_get] }',
      BANK_GRAPH,
      GET,
    ],
  ]

  test.each(cases)('to a tool that is %s: %s', async (_, code, rules, graph, request) => {
    const bank = await openBank({ policy: narrowing('', rules) }, { graph })
    const call = await bank.node.authorize(request as typeof GET)
    expect(answerOf(call)).toBe(code)
    if (code === 'approval_required') {
      expect(call).toMatchObject({
        denial: { rules: [{ id: 'agree' }] },
        approval: { question: { tool: 'http_head' } },
      })
    }
  })

  test('to a tool that the manifest does not have', async () => {
    const policy = narrowing().text.replace('tool: http_head', 'tool: shell')
    const { node } = await openBank({ policy: { file: 'p.yaml', text: policy } })
    expect(await ask(node, GET)).toBe('tool_undeclared')
  })

  test('to a tool that nothing permits', async () => {
    const policy = narrowing().text.replace('pay, http_get, http_head]', 'pay, http_get]')
    const rules = '  - { id: head, effect: permit, nodes: [auditor], tools: [http_head], hosts: ["*.example.com"] }'
    const { node } = await openBank({
      policy: { file: 'p.yaml', text: policy.replace('\nobligations', `${rules}\nobligations`) },
    })
    expect(await ask(node, GET)).toBe('no_matching_permit')
  })

  test('takes from the limits of both', async () => {
    const clock = manualClock()
    const limits = `limits:
  - { id: gets, kind: window, max: 2, per: 1m, by: [run], nodes: ["*"], tools: [http_get] }
  - { id: heads, kind: window, max: 1, per: 1m, by: [run], nodes: ["*"], tools: [http_head] }
`
    const { node } = await openBank({ clock, policy: narrowing(limits) })
    const call = await allowed(node, GET)
    expect(call.verdict.charges?.map(({ limit }) => limit).sort()).toEqual(['gets', 'heads'])
    expect(await ask(node, HEAD)).toBe('rate_limited')
    clock.advance(60_000)
    expect(await ask(node, HEAD)).toBe('allow')
    expect(await ask(node, GET)).toBe('rate_limited')
  })

  test.each([
    ['a cycle', '[http_get]', '[http_head]', 'http_get'],
    ['a chain', '[http_get]', '[http_head]', 'pay'],
  ])('%s is denied', async (_, first, second, to) => {
    const policy = bankPolicy(`obligations:
  - { id: a, nodes: ["*"], tools: ${first}, rewrite: { tool: http_head } }
  - { id: b, nodes: ["*"], tools: ${second}, rewrite: { tool: ${to} } }`)
    const { node } = await openBank({ policy })
    expect(await ask(node, GET)).toBe('obligation_unmet')
  })

  test('a guarded tool runs as itself or not at all', async () => {
    const bank = await openBank({ policy: narrowing() })
    let ran = 0
    const get = bank.port.guard('http_get', async () => ++ran)
    await expect(get(bank.node, GET.args)).rejects.toThrow(DeniedError)
    expect(ran).toBe(0)
    const head = bank.port.guard('http_head', async () => ++ran)
    expect(await head(bank.node, GET.args)).toBe(1)
  })
})

describe('pinned addresses', () => {
  const pinning = (resolver: AddressResolver | undefined, more: Partial<AgentPortOptions> = {}) =>
    opening('pin_addresses: true', { timeoutMs: 30, ...(resolver === undefined ? {} : { resolver }), ...more })
  const answering = (...addresses: readonly string[]): AddressResolver => ({
    resolve: () => Promise.resolve(addresses),
  })

  test('public ones are handed out, and dialling them has to be confirmed', async () => {
    const { node } = await pinning(answering('93.184.215.14', '2606:2800:21f:cb07:6820:80da:af6b:8b2c'))
    const call = await allowed(node, GET)
    expect(call.addresses).toEqual([
      { host: 'api.example.com', addresses: ['93.184.215.14', '2606:2800:21f:cb07:6820:80da:af6b:8b2c'] },
    ])
    expect((await call.settle('x')).accepted).toBe(false)
    expect((await (await allowed(node, GET)).settle('x', { confirmed: ['pin_addresses'] })).accepted).toBe(true)
  })

  test.each([
    ['loopback', ['127.0.0.1']],
    ['private', ['10.0.0.8']],
    ['metadata', ['169.254.169.254']],
    ['one private among public', ['93.184.215.14', '192.168.0.1']],
    ['mapped', ['::ffff:127.0.0.1']],
    ['NAT64', ['64:ff9b::7f00:1']],
    ['no address', ['localhost']],
    ['nothing', []],
  ])('%s: denied', async (_, addresses) => {
    const { node } = await pinning(answering(...addresses))
    expect(await refusedCall(node, GET)).toMatchObject({
      denial: { code: 'obligation_unmet', dispatched: false, subject: { node: 'clerk', tool: 'http_get' } },
    })
  })

  test('control: without the obligation nobody resolves and nobody is refused', async () => {
    const { node } = await openBank({ resolver: answering('127.0.0.1') })
    const call = await allowed(node, GET)
    expect([call.addresses, call.confirmations]).toEqual([undefined, []])
  })

  test('a second answer changes nothing: the host is resolved once for one call', async () => {
    let asked = 0
    const rebinding: AddressResolver = { resolve: async () => (asked++ === 0 ? ['93.184.215.14'] : ['127.0.0.1']) }
    const { node } = await pinning(rebinding)
    const call = await allowed(node, GET)
    expect([asked, call.addresses?.[0]?.addresses]).toEqual([1, ['93.184.215.14']])
    expect(await ask(node, GET)).toBe('obligation_unmet')
  })

  test.each([
    ['hangs', () => new Promise<readonly string[]>(() => undefined), 'deadline_exceeded'],
    ['rejects', () => Promise.reject(new Error('NXDOMAIN')), 'obligation_unmet'],
    [
      'throws',
      () => {
        throw new Error('down')
      },
      'obligation_unmet',
    ],
    ['answers with text', () => Promise.resolve('93.184.215.14' as never), 'obligation_unmet'],
    ['answers with null', () => Promise.resolve(null as never), 'obligation_unmet'],
  ])('a resolver that %s: denied, and nothing is taken', async (_, resolve, code) => {
    const clock = manualClock()
    const limits = new WatchedStore(clock)
    const policy = bankPolicy(`limits:
  - { id: l, kind: concurrency, max: 1, by: [run], nodes: ["*"], tools: ["*"] }
obligations:
  - { id: o, nodes: ["*"], tools: ["*"], pin_addresses: true }`)
    const { node } = await openBank({ policy, clock, limits, timeoutMs: 20, resolver: { resolve } })
    expect(await ask(node, GET)).toBe(code)
    expect(limits.told).toEqual([])
  })

  test('the same host that cannot be pinned, three times, ends the node', async () => {
    const { node } = await pinning(answering('127.0.0.1'))
    expect([await ask(node, GET), await ask(node, GET), await ask(node, GET)]).toEqual([
      'obligation_unmet',
      'obligation_unmet',
      'denial_repeated',
    ])
  })

  test('a run that is halted while a name is resolved', async () => {
    const { node, run } = await pinning({ resolve: () => turn().then(() => ['93.184.215.14']) })
    const pending = node.authorize(GET)
    void run.halt({ reason: 'stop' })
    expect(answerOf(await pending)).toBe('run_halted')
  })

  test('without a resolver the executor pins and confirms', async () => {
    const { node } = await pinning(undefined)
    const call = await allowed(node, GET)
    expect([call.addresses, call.confirmations]).toEqual([undefined, ['pin_addresses']])
    expect((await call.settle('x')).accepted).toBe(false)
    expect((await (await allowed(node, GET)).settle('x', { confirmed: ['pin_addresses'] })).accepted).toBe(true)
  })
})

test('a call with no obligations has none in its verdict and its record', async () => {
  const bank = await openBank()
  const call = await allowed(bank.node, PAY)
  expect(['obligations' in call.verdict, 'obligations' in (recordsOf(bank.audit, 'call.allowed')[0] ?? {})]).toEqual([
    false,
    false,
  ])
})
