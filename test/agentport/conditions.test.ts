// Other engines through the gateway: what counts as an answer, for which call, and what may happen while they are asked.
// The ports of OPA and Cedar are tested in test/integrations.

import { describe, expect, test } from 'vitest'

import { type ConditionPort, type JsonObject, systemClock } from '../../src/index.ts'
import { allowed, answerOf, ask, bankPolicy, openBank, PAY, refusedCall, thenable, turn, WatchedStore } from './bank.ts'

/** Notes that an engine permits, pings that it forbids: each beside what needs no engine. */
const POLICY = {
  file: 'asking.yaml',
  text: bankPolicy().text.replace('tools: [note, ping] }', 'tools: [ping] }').concat(''),
}
const NOTE = { tool: 'note', args: { text: 'x' } }
const PING = { tool: 'ping' }

const RULES = `
  - { id: noted, effect: permit, nodes: ["*"], tools: [note], ask: { engine: desk, query: may } }
  - { id: frozen, effect: forbid, nodes: ["*"], tools: [ping], ask: { engine: desk, query: frozen } }
`
const ASKING = { file: 'asking.yaml', text: `${POLICY.text}${RULES}` }

function port(answer: ConditionPort['ask'], name = 'desk'): ConditionPort {
  return { name, ask: answer }
}

describe('answers', () => {
  const thrown = (): never => {
    throw new Error('down')
  }
  /** What the port does; what it means for a permit and for a forbid. */
  const answers: readonly (readonly [string, ConditionPort['ask'], string, string])[] = [
    ['true', () => true, 'allow', 'forbidden'],
    ['a promise of true', () => Promise.resolve(true), 'allow', 'forbidden'],
    ['false', () => false, 'no_matching_permit', 'allow'],
    ['a promise of false', () => Promise.resolve(false), 'no_matching_permit', 'allow'],
    ['an error', thrown, 'no_matching_permit', 'condition_unavailable'],
    ['a rejection', () => Promise.reject(new Error('down')), 'no_matching_permit', 'condition_unavailable'],
    ['nothing', () => undefined as never, 'no_matching_permit', 'condition_unavailable'],
    ['null', () => null as never, 'no_matching_permit', 'condition_unavailable'],
    ['"true"', () => 'true' as never, 'no_matching_permit', 'condition_unavailable'],
    ['"false"', () => 'false' as never, 'no_matching_permit', 'condition_unavailable'],
    ['1', () => 1 as never, 'no_matching_permit', 'condition_unavailable'],
    ['0', () => Promise.resolve(0 as never), 'no_matching_permit', 'condition_unavailable'],
    ['new Boolean(true)', () => Object(true) as never, 'no_matching_permit', 'condition_unavailable'],
    ['{ result: true }', () => ({ result: true }) as never, 'no_matching_permit', 'condition_unavailable'],
    ['a thenable that throws', () => thenable(thrown), 'no_matching_permit', 'condition_unavailable'],
  ]

  test.each(answers)('%s', async (_, answer, permit, forbid) => {
    const { node } = await openBank({ policy: ASKING, conditions: [port(answer)] })
    expect([await ask(node, NOTE), await ask(node, PING)]).toEqual([permit, forbid])
  })

  test('none at all is no answer: the call is denied within the deadline', async () => {
    const signals: AbortSignal[] = []
    const hanging = port((_query, _input, signal) => {
      signals.push(signal)
      return new Promise(() => undefined)
    })
    const { node } = await openBank({ policy: ASKING, conditions: [hanging], timeoutMs: 20 })
    expect([await ask(node, NOTE), await ask(node, PING)]).not.toContain('allow')
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
    expect((await refusedCall(node, PING)).denial.recoverable).toBe('after_wait')
  })

  test('an answer that comes too late is not heard', async () => {
    let say: ((answer: boolean) => void) | undefined
    const slow = port(() => new Promise((resolve) => (say = resolve)))
    const { node } = await openBank({ policy: ASKING, conditions: [slow], timeoutMs: 20 })
    const answer = await ask(node, PING)
    say?.(false)
    await turn()
    expect(answer).not.toBe('allow')
  })

  test('an engine that hangs takes no answer from another', async () => {
    const rules = `${RULES}  - { id: slow, effect: permit, nodes: ["*"], tools: [note], ask: { engine: stuck, query: x } }\n`
    const { node } = await openBank({
      policy: { file: 'p.yaml', text: `${POLICY.text}${rules}` },
      conditions: [port(() => true), port(() => new Promise(() => undefined), 'stuck')],
      timeoutMs: 20,
    })
    expect(await ask(node, NOTE)).toBe('allow')
  })

  test('an engine that hangs and that only a permit asks is not asked for what another permits', async () => {
    let asked = 0
    const rules = '  - { id: slow, effect: permit, nodes: ["*"], tools: [note], ask: { engine: stuck, query: x } }\n'
    const { node } = await openBank({
      policy: bankPolicy('', rules),
      conditions: [port(() => new Promise(() => void asked++), 'stuck')],
      timeoutMs: 20,
      clock: systemClock,
    })
    expect([await ask(node, NOTE), asked]).toEqual(['allow', 0])
  })

  test('a call that no rule asks about asks nobody', async () => {
    let asked = 0
    const { node } = await openBank({ policy: ASKING, conditions: [port(() => ++asked > 0)] })
    expect(await ask(node, PAY)).toBe('allow')
    expect(asked).toBe(0)
  })

  test('an answer is for one call: the next one is asked again', async () => {
    let asked = 0
    const { node } = await openBank({ policy: ASKING, conditions: [port(() => asked++ === 0)] })
    expect([await ask(node, NOTE), await ask(node, NOTE)]).toEqual(['allow', 'no_matching_permit'])
  })

  test('the engine is told what was read, and can change none of it', async () => {
    const told: JsonObject[] = []
    const meddling = port((_query, input) => {
      told.push(input)
      ;(input['args'] as Record<string, unknown>)['text'] = 'changed'
      return true
    })
    const { node } = await openBank({ policy: ASKING, conditions: [meddling] }, { facts: { risk: 3 } })
    expect(await ask(node, NOTE)).toBe('no_matching_permit')
    expect(told).toMatchObject([
      {
        node: 'clerk',
        skill: 'bank',
        tool: 'note',
        args: { text: 'x' },
        principal: 'ann',
        facts: { run: { risk: 3 } },
      },
    ])
  })

  test('an engine nobody gave is found out when the gateway opens', async () => {
    await expect(openBank({ policy: ASKING })).rejects.toMatchObject({ code: 'ERR_POLICY_INVALID' })
    await expect(openBank({ policy: ASKING, conditions: [port(() => true), port(() => true)] })).rejects.toThrow(
      TypeError,
    )
    await expect(openBank({ policy: ASKING, conditions: [{ name: 'desk' } as ConditionPort] })).rejects.toThrow(
      TypeError,
    )
  })
})

describe('while others are asked', () => {
  const slow = port(() => turn().then(() => true))
  const wider = { file: 'p.yaml', text: `${ASKING.text}  - { id: more, effect: permit, nodes: [x], tools: [ping] }\n` }

  test.each([
    ['the policy is replaced', 'ticket_revoked'],
    ['the run is halted', 'run_halted'],
    ['the run is closed', 'run_closed'],
    ['the node ends', 'ticket_revoked'],
    ['the skill is withdrawn', 'ticket_revoked'],
  ])('%s: denied, whatever they say', async (what, code) => {
    const bank = await openBank({ policy: ASKING, conditions: [slow], timeoutMs: 100 })
    const pending = bank.node.authorize(NOTE)
    if (what === 'the policy is replaced') void bank.port.replacePolicy(wider)
    else if (what === 'the run is halted') void bank.run.halt({ reason: 'stop' })
    else if (what === 'the run is closed') void bank.run.close()
    else if (what === 'the node ends') void bank.node.complete()
    else void bank.port.quarantine('bank', 'reported')
    expect(answerOf(await pending)).toBe(code)
  })

  test('control: nothing happens, and it is allowed', async () => {
    const { node } = await openBank({ policy: ASKING, conditions: [slow], timeoutMs: 100 })
    expect(await ask(node, NOTE)).toBe('allow')
  })

  test('arguments that change are not the ones that run', async () => {
    const { node } = await openBank({ policy: ASKING, conditions: [slow], timeoutMs: 100 })
    const args = { text: 'x' }
    const pending = node.authorize({ tool: 'note', args })
    args.text = 'y'
    expect(await pending).toMatchObject({ decision: 'allow', args: { text: 'x' } })
  })
})

describe('a call that the policy makes another one of', () => {
  const rewriting = bankPolicy(
    'obligations:\n  - { id: narrow, nodes: ["*"], tools: [http_get], rewrite: { tool: http_head } }',
    '  - { id: frozen, effect: forbid, nodes: ["*"], tools: [http_get, http_head], ask: { engine: desk, query: frozen } }',
  )
  const GET = { tool: 'http_get', args: { url: 'https://api.example.com/' } }

  test('is asked about anew: what was said of the first is not said of what runs', async () => {
    const told: unknown[] = []
    const desk = port((_query, { tool }) => {
      told.push(tool)
      return tool === 'http_head'
    })
    const { node } = await openBank({ policy: rewriting, conditions: [desk] })
    expect(await ask(node, GET)).toBe('forbidden')
    expect(told).toEqual(['http_get', 'http_head'])
  })

  test('control: where nothing is frozen it runs', async () => {
    const { node } = await openBank({ policy: rewriting, conditions: [port(() => false)] })
    expect((await allowed(node, GET)).tool).toBe('http_head')
  })

  test('with redacted arguments, the engine sees those', async () => {
    const told: unknown[] = []
    const desk = port((_query, { args }) => {
      told.push((args as JsonObject)['text'])
      return true
    })
    const policy = {
      file: 'p.yaml',
      text: `${ASKING.text}obligations:\n  - { id: o, nodes: ["*"], tools: [note], redact: { on: [arguments], patterns: ["secret"] } }\n`,
    }
    const { node } = await openBank({ policy, conditions: [desk] })
    expect((await allowed(node, { tool: 'note', args: { text: 'a secret' } })).args).toEqual({ text: 'a [redacted]' })
    expect(told).toEqual(['a secret', 'a [redacted]'])
  })
})

test('limits are taken when the answer is there, and not before', async () => {
  const { clock } = await openBank()
  const limits = new WatchedStore(clock)
  const policy = {
    file: 'p.yaml',
    text: `${ASKING.text}limits:\n  - { id: l, kind: budget, max: 5, by: [run], nodes: ["*"], tools: ["*"] }\n`,
  }
  const { node } = await openBank({ policy, limits, conditions: [port((query) => query === 'frozen')] })
  expect([await ask(node, NOTE), await ask(node, PING)]).toEqual(['no_matching_permit', 'forbidden'])
  expect(limits.told).toEqual([])
})

describe('facts and regions', () => {
  const facts = bankPolicy(
    '',
    '  - { id: risky, effect: forbid, nodes: ["*"], tools: [pay], facts: { /run/risk: { min: 5 } } }',
  )

  test.each([
    ['low', { risk: 4 }, 'allow'],
    ['high', { risk: 5 }, 'forbidden'],
    ['not said', {}, 'policy_error'],
    ['said as text', { risk: '4' }, 'policy_error'],
  ])('a fact that is %s', async (_, given, answer) => {
    const { node } = await openBank({ policy: facts }, { facts: given })
    expect(await ask(node, PAY)).toBe(answer)
  })

  test('facts are read once, when the run opens', async () => {
    const given = { risk: 9 }
    const { node } = await openBank({ policy: facts }, { facts: given })
    given.risk = 0
    expect(await ask(node, PAY)).toBe('forbidden')
  })

  const regions = bankPolicy(
    'regions: { eu: { hosts: ["bank.example.com"] }, us: { hosts: ["us.example.com"] } }',
    '  - { id: stays, effect: forbid, nodes: ["*"], tools: [pay], hosts: ["*.example.com"], residency: { source: [eu], outside: [eu] } }',
  )
  const us = { tool: 'pay', args: { url: 'https://us.example.com/' } }
  const getter = Object.defineProperty({ ...us }, 'dataRegions', { enumerable: true, get: () => ['eu'] })
  const inherited = Object.assign(Object.create({ dataRegions: ['eu'] }), us)

  test.each([
    ['of the run', ['eu'], us, 'forbidden'],
    ['of the call', ['us'], { ...us, dataRegions: ['eu'] }, 'forbidden'],
    ['of neither', ['us'], us, 'allow'],
    ['that stay', ['eu'], PAY, 'allow'],
    ['not said', undefined, us, 'policy_error'],
    ['of the call as text', ['us'], { ...us, dataRegions: 'eu' as never }, 'request_invalid'],
    ['of the call as null', ['us'], { ...us, dataRegions: null as never }, 'request_invalid'],
    ['of the call behind a getter', ['us'], getter, 'request_invalid'],
    ['of the call inherited', ['us'], inherited, 'request_invalid'],
  ])('data %s', async (_, ofRun, request, answer) => {
    const { node } = await openBank({ policy: regions }, ofRun === undefined ? {} : { dataRegions: ofRun })
    expect(await ask(node, request)).toBe(answer)
  })
})
