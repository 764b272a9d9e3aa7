// A candidate beside the active policy: it is evaluated and recorded, and that is all it does.

import { describe, expect, test } from 'vitest'

import { type AgentPortOptions, type ConditionPort, PolicyEngine, systemClock } from '../../src/index.ts'
import { manualClock } from '../../src/testing/index.ts'
import { allowed, ask, type Bank, bankPolicy, openBank, PAY, recordsOf, refusedCall, WatchedStore } from './bank.ts'
import { scriptedEnforcer } from './fixture.ts'

const PING = { tool: 'ping' }
const NOTHING = { file: 'nothing.yaml', text: 'version: 1\nrules: []\n' }

function observing(candidate: AgentPortOptions['policy'], options: Partial<AgentPortOptions> = {}): Promise<Bank> {
  return openBank({ mode: 'observe', candidate, ...options })
}

function digestOf(policy: { file: string; text: string }): string {
  return PolicyEngine.from(policy).digest
}

describe('what is decided', () => {
  const forbids = bankPolicy('', '  - { id: no, effect: forbid, nodes: ["*"], tools: [ping] }')
  const asks = bankPolicy('', '  - { id: agree, effect: require_approval, nodes: ["*"], tools: [ping] }')

  test.each([
    ['permits nothing', NOTHING, 'deny', 'no_matching_permit'],
    ['forbids it', forbids, 'deny', 'forbidden'],
    ['asks people', asks, 'escalate', 'approval_required'],
    ['allows it', bankPolicy(), 'allow', undefined],
  ])('a candidate that %s is recorded, and the active one decides', async (_, candidate, decision, code) => {
    const bank = await observing(candidate)
    expect(await ask(bank.node, PING)).toBe('allow')
    const [record] = recordsOf(bank.audit, 'call.allowed')
    expect(record).toMatchObject({
      mode: 'observe',
      candidate: digestOf(candidate),
      candidate_decision: decision,
      policy: digestOf(bankPolicy()),
    })
    expect(record?.['candidate_code']).toBe(code)
  })

  test('a candidate that allows opens nothing', async () => {
    const bank = await observing(bankPolicy(), { policy: forbids })
    expect(await ask(bank.node, PING)).toBe('forbidden')
    expect(recordsOf(bank.audit, 'call.denied')).toMatchObject([
      { code: 'forbidden', candidate_decision: 'allow', candidate: digestOf(bankPolicy()) },
    ])
    expect(bank.node.signal.aborted).toBe(true)
  })

  test('a candidate that forbids ends no node, however often', async () => {
    const bank = await observing(forbids)
    for (let count = 0; count < 5; count++) expect(await ask(bank.node, PING)).toBe('allow')
    expect(bank.node.signal.aborted).toBe(false)
  })

  test('in strict mode nothing is said of any candidate', async () => {
    const bank = await openBank()
    await allowed(bank.node, PING)
    expect(
      Object.keys(recordsOf(bank.audit, 'call.allowed')[0] ?? {}).filter((key) => key.startsWith('candidate')),
    ).toEqual([])
    await expect(openBank({ candidate: NOTHING })).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' })
    await expect(openBank({ mode: 'observe' })).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' })
  })

  test('a skill that the candidate would reject is not rejected, a process gets what the active one grants', async () => {
    const { enforcer, boxes } = scriptedEnforcer()
    const bank = await observing(NOTHING, { enforcer })
    await bank.node.confine('http_get')
    expect(boxes[0]?.profile.egress.map(({ value }) => value.text)).toEqual(['*.example.com'])
  })

  test('a call the active one makes another of is observed as it was asked for', async () => {
    const policy = bankPolicy(
      'obligations:\n  - { id: o, nodes: ["*"], tools: [http_get], rewrite: { tool: http_head } }',
    )
    const candidate = bankPolicy('', '  - { id: no, effect: forbid, nodes: ["*"], tools: [http_get] }')
    const bank = await observing(candidate, { policy })
    const get = { tool: 'http_get', args: { url: 'https://a.example.com/' } }
    expect((await allowed(bank.node, get)).tool).toBe('http_head')
    expect(recordsOf(bank.audit, 'call.allowed')).toMatchObject([{ tool: 'http_head', candidate_code: 'forbidden' }])
    const note = { tool: 'http_get', args: { ...get.args, note: 'x' } }
    expect(await ask(bank.node, note)).toBe('arguments_invalid')
    expect(recordsOf(bank.audit, 'call.denied')).toMatchObject([{ candidate_code: 'forbidden' }])
  })
})

describe('no effect', () => {
  test('limits of a candidate count nothing', async () => {
    const clock = manualClock()
    const limits = new WatchedStore(clock)
    const candidate = bankPolicy('limits:\n  - { id: l, kind: budget, max: 1, by: [all], nodes: ["*"], tools: ["*"] }')
    const { node } = await observing(candidate, { limits, clock })
    for (let count = 0; count < 3; count++) expect((await allowed(node, PING)).verdict.charges).toBeUndefined()
    expect(limits.told).toEqual([])
  })

  test('approvals of a candidate ask nobody', async () => {
    let told = 0
    const approvals = { name: 'people', ask: () => void told++ }
    const candidate = bankPolicy('', '  - { id: agree, effect: require_approval, nodes: ["*"], tools: ["*"] }')
    const bank = await observing(candidate, { approvals })
    expect(await ask(bank.node, PAY)).toBe('allow')
    expect([told, bank.port.approvals.pending(), recordsOf(bank.audit, 'approval.asked')]).toEqual([0, [], []])
  })

  test('obligations of a candidate change neither arguments nor result nor tool, and ask for no confirmation', async () => {
    const candidate = bankPolicy(`obligations:
  - { id: r, nodes: ["*"], tools: ["*"], redact: { on: [arguments, result], patterns: ["[a-z]+"] } }
  - { id: c, nodes: ["*"], tools: ["*"], confirm: told }
  - { id: p, nodes: ["*"], tools: ["*"], pin_addresses: true }
  - { id: w, nodes: ["*"], tools: [http_get], rewrite: { tool: http_head } }`)
    const { node } = await observing(candidate, {
      resolver: { resolve: () => Promise.reject(new Error('asked')) },
    })
    const call = await allowed(node, { tool: 'http_get', args: { url: 'https://a.example.com/b' } })
    expect(call).toMatchObject({ tool: 'http_get', args: { url: 'https://a.example.com/b' }, confirmations: [] })
    expect(call.verdict.obligations).toBeUndefined()
    expect(await call.settle({ text: 'words' })).toEqual({ accepted: true, value: { text: 'words' } })
  })

  const asking = (extra = '') =>
    bankPolicy(
      '',
      `  - { id: frozen, effect: forbid, nodes: ["*"], tools: [ping], ask: { engine: desk, query: frozen } }\n${extra}`,
    )
  const desk = (answer: ConditionPort['ask']): ConditionPort => ({ name: 'desk', ask: answer })

  test.each([
    ['hangs', () => new Promise<boolean>(() => undefined), 'deny', 'condition_unavailable'],
    ['rejects', () => Promise.reject(new Error('down')), 'deny', 'condition_unavailable'],
    ['says true', () => true, 'deny', 'forbidden'],
    ['says false', () => false, 'allow', undefined],
  ])('an engine that only a candidate asks and that %s denies nothing', async (_, answer, decision, code) => {
    // A clock that goes on: what was waited for is missing from the deadline.
    const bank = await observing(asking(), { conditions: [desk(answer)], timeoutMs: 80, clock: systemClock })
    expect(await ask(bank.node, PING)).toBe('allow')
    const [record] = recordsOf(bank.audit, 'call.allowed')
    expect(record).toMatchObject({ candidate_decision: decision })
    expect(record?.['candidate_code']).toBe(code)
  })

  test('control: the same engine, asked by the active policy, denies', async () => {
    const hanging = desk(() => new Promise<boolean>(() => undefined))
    const { node } = await openBank({ policy: asking(), conditions: [hanging], timeoutMs: 40 })
    expect((await refusedCall(node, PING)).denial.code).toBe('condition_unavailable')
  })

  test('a question of both is asked once, with the whole deadline', async () => {
    const queries: string[] = []
    const both = desk((query) => {
      queries.push(query)
      return query !== 'frozen'
    })
    const candidate = asking(
      '  - { id: odd, effect: forbid, nodes: ["*"], tools: [ping], ask: { engine: desk, query: odd } }',
    )
    const bank = await observing(candidate, { policy: asking(), conditions: [both] })
    expect(await ask(bank.node, PING)).toBe('allow')
    expect(queries.sort()).toEqual(['frozen', 'odd'])
    expect(recordsOf(bank.audit, 'call.allowed')).toMatchObject([{ candidate_code: 'forbidden' }])
  })
})

describe('replacing', () => {
  test('a candidate is recorded, and from then on it is the one observed', async () => {
    const bank = await observing(bankPolicy())
    await allowed(bank.node, PING)
    await bank.port.replaceCandidate(NOTHING)
    await allowed(bank.node, PING)
    expect(recordsOf(bank.audit, 'call.allowed').map((record) => record['candidate_decision'])).toEqual([
      'allow',
      'deny',
    ])
    expect(recordsOf(bank.audit, 'policy.loaded').at(-1)).toMatchObject({
      policy: digestOf(bankPolicy()),
      candidate: digestOf(NOTHING),
      mode: 'observe',
    })
    expect(bank.port.policyDigest).toBe(digestOf(bankPolicy()))
  })

  test('a candidate that does not hold together changes nothing', async () => {
    const bank = await observing(bankPolicy())
    await expect(bank.port.replaceCandidate({ file: 'p.yaml', text: 'version: 1\nrulez: []\n' })).rejects.toMatchObject(
      {
        code: 'ERR_POLICY_INVALID',
      },
    )
    await allowed(bank.node, PING)
    expect(recordsOf(bank.audit, 'call.allowed')).toMatchObject([{ candidate_decision: 'allow' }])
  })

  test('a candidate whose record is lost is not observed', async () => {
    const lines: string[] = []
    let broken = false
    const append = (line: string): void => {
      if (broken) throw new Error('full')
      lines.push(line)
    }
    const bank = await observing(bankPolicy(), { audit: { append } })
    broken = true
    await expect(bank.port.replaceCandidate(NOTHING)).rejects.toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE' })
  })

  test('there is none to replace in strict mode', async () => {
    const { port } = await openBank()
    await expect(port.replaceCandidate(NOTHING)).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
  })

  test('the active policy keeps the candidate, revokes no ticket for it, and the log says so', async () => {
    const bank = await observing(NOTHING)
    await bank.port.replaceCandidate(bankPolicy())
    expect(await ask(bank.node, PING)).toBe('allow')
    const wider = {
      file: 'p.yaml',
      text: `${bankPolicy().text}  - { id: more, effect: permit, nodes: [x], tools: [ping] }\n`,
    }
    await bank.port.replacePolicy(wider)
    expect(recordsOf(bank.audit, 'policy.loaded').at(-1)).toMatchObject({
      policy: digestOf(wider),
      candidate: digestOf(bankPolicy()),
    })
  })
})
