// A policy that changes under a running gateway: whole or not at all, and what was decided under the old one is over.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'

import { DocumentError } from '../../src/index.ts'
import { readPolicyFiles, watchPolicyFiles } from '../../src/node/index.ts'
import { manualClock } from '../../src/testing/index.ts'
import { allowed, answerOf, ask, type Bank, bankPolicy, openBank, PAY, recordsOf, turn, WatchedStore } from './bank.ts'
import { scriptedEnforcer } from './fixture.ts'

const PING = { tool: 'ping' }
const FORBIDS = bankPolicy('', '  - { id: no, effect: forbid, nodes: ["*"], tools: [pay] }')
const NARROW = {
  file: 'p.yaml',
  text: 'version: 1\nrules:\n  - { id: ping, effect: permit, nodes: ["*"], tools: [ping] }\n',
}

describe('a set that does not hold together', () => {
  const bad: readonly (readonly [string, string])[] = [
    ['a misspelt key', 'version: 1\nrulez: []\n'],
    ['no YAML', 'version: 1\nrules: [\n'],
    ['nothing', ''],
    [
      'a limit without a period',
      bankPolicy('limits:\n  - { id: l, kind: rate, max: 1, by: [run], nodes: ["*"], tools: [ping] }').text,
    ],
    [
      'an engine nobody gave',
      bankPolicy('', '  - { id: x, effect: forbid, nodes: ["*"], tools: [pay], ask: { engine: opa, query: q } }').text,
    ],
    [
      'an argument that the tool does not have',
      bankPolicy('', '  - { id: x, effect: forbid, nodes: ["*"], tools: [pay], args: { /amuont: { min: 5 } } }').text,
    ],
  ]

  test.each(bad)('%s: the old one stays, with its tickets and its approvals', async (_, text) => {
    const policy = bankPolicy('', '  - { id: agree, effect: require_approval, nodes: ["*"], tools: [pay] }')
    const bank = await openBank({ policy })
    await ask(bank.node, PAY)
    const before = bank.port.policyDigest
    const loaded = recordsOf(bank.audit, 'policy.loaded').length
    await expect(bank.port.replacePolicy({ file: 'new.yaml', text })).rejects.toMatchObject({
      code: 'ERR_POLICY_INVALID',
    })
    expect(bank.port.policyDigest).toBe(before)
    expect(bank.port.approvals.pending()).toHaveLength(1)
    expect(recordsOf(bank.audit, 'policy.loaded')).toHaveLength(loaded)
    expect(await ask(bank.node, PING)).toBe('allow')
  })

  test('a change that cannot be recorded is none', async () => {
    let broken = false
    const append = (line: string): void => {
      if (broken && line.includes('policy.loaded')) throw new Error('full')
    }
    const bank = await openBank({ audit: { append } })
    const before = bank.port.policyDigest
    broken = true
    await expect(bank.port.replacePolicy(FORBIDS)).rejects.toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE' })
    expect(bank.port.policyDigest).toBe(before)
  })
})

describe('a new set', () => {
  test('revokes every ticket; what is admitted then is judged by it', async () => {
    const { port, node, run } = await openBank()
    expect(await ask(node, PAY)).toBe('allow')
    expect(await port.replacePolicy(FORBIDS)).toEqual([])
    expect(await ask(node, PING)).toBe('ticket_revoked')
    const teller = await run.admit('teller')
    expect([await ask(teller, PING), await ask(teller, PAY)]).toEqual(['allow', 'forbidden'])
  })

  test('drops the results of calls that were allowed under the old, and gives their places back', async () => {
    const clock = manualClock()
    const limits = new WatchedStore(clock)
    const beside = 'limits:\n  - { id: l, kind: concurrency, max: 1, by: [run], nodes: ["*"], tools: [ping] }'
    const bank = await openBank({ policy: bankPolicy(beside), limits, clock })
    const call = await allowed(bank.node, PING)
    await bank.port.replacePolicy({ file: 'p.yaml', text: FORBIDS.text + beside })
    expect(await call.settle('pong')).toMatchObject({
      accepted: false,
      denial: { code: 'ticket_revoked', dispatched: true },
    })
    expect(limits.told).toEqual(['taken', 'settled'])
    expect(await ask(await bank.run.admit('teller'), PING)).toBe('allow')
  })

  test('kills what was confined under the old', async () => {
    const { enforcer, boxes } = scriptedEnforcer()
    const bank = await openBank({ enforcer })
    await bank.node.confine('http_get')
    await bank.port.replacePolicy(FORBIDS)
    expect(boxes[0]?.signal?.aborted).toBe(true)
    const teller = await bank.run.admit('teller')
    await teller.confine('http_get')
    expect(boxes[1]?.signal?.aborted).toBe(false)
  })

  test('rejects a skill that asks for more than it grants, for good', async () => {
    const bank = await openBank()
    expect(await bank.port.replacePolicy(NARROW)).toMatchObject([
      { name: 'bank', admitted: false, denial: { code: 'manifest_excess' } },
    ])
    expect((await bank.run.admit('teller')).denial?.code).toBe('manifest_excess')
    expect(recordsOf(bank.audit, 'skill.rejected')).toMatchObject([{ skill: 'bank', code: 'manifest_excess' }])
    await bank.port.replacePolicy(bankPolicy())
    expect((await bank.run.admit('auditor')).decision).toBe('deny')
  })

  test('while a call is judged, it counts already', async () => {
    const audit = { append: (_: string) => turn() }
    const bank = await openBank({ audit, timeoutMs: 100 })
    const pending = bank.node.authorize(PAY)
    const replaced = bank.port.replacePolicy(FORBIDS)
    const [answer] = await Promise.all([pending, replaced])
    expect(['allow', 'ticket_revoked']).toContain(answerOf(answer))
    if (answer.decision === 'allow') expect((await answer.settle(1)).accepted).toBe(false)
    expect(await ask(bank.node, PAY)).toBe('ticket_revoked')
  })

  test('of two at the same time the later one stays, and the log says so', async () => {
    const bank = await openBank({ timeoutMs: 100 })
    const wider = {
      file: 'p.yaml',
      text: `${FORBIDS.text}  - { id: more, effect: permit, nodes: [x], tools: [ping] }\n`,
    }
    await Promise.all([bank.port.replacePolicy(wider), bank.port.replacePolicy(FORBIDS)])
    expect(recordsOf(bank.audit, 'policy.loaded').at(-1)).toMatchObject({ policy: bank.port.policyDigest })
    expect(await ask(await bank.run.admit('teller'), PAY)).toBe('forbidden')
  })

  test('fills in what the first was filled in with, unless it is given anew', async () => {
    const text = bankPolicy(
      '',
      '  - { id: no, effect: forbid, nodes: ["*"], tools: [pay], hosts: ["${blocked}"] }',
    ).text
    const policy = { file: 'p.yaml', text }
    const bank = await openBank({ policy, variables: { blocked: 'bank.example.com' } })
    const before = bank.port.policyDigest
    await bank.port.replacePolicy(policy)
    expect(bank.port.policyDigest).toBe(before)
    await bank.port.replacePolicy(policy, { blocked: 'other.example.com' })
    expect(await ask(await bank.run.admit('teller'), PAY)).toBe('allow')
    await expect(bank.port.replacePolicy(policy, {})).rejects.toMatchObject({ code: 'ERR_POLICY_INVALID' })
  })

  test('keeps counting: a reload is no new budget', async () => {
    const beside = 'limits:\n  - { id: l, kind: budget, max: 2, by: [principal], nodes: ["*"], tools: [ping] }'
    const bank = await openBank({ policy: bankPolicy(beside) })
    await allowed(bank.node, PING)
    await bank.port.replacePolicy({ file: 'p.yaml', text: FORBIDS.text + beside })
    const teller = await bank.run.admit('teller')
    expect([await ask(teller, PING), await ask(teller, PING)]).toEqual(['allow', 'budget_exhausted'])
  })
})

describe('from files', () => {
  const made: string[] = []
  afterEach(async () => {
    for (const directory of made.splice(0)) await rm(directory, { recursive: true, force: true })
  })

  async function watched(): Promise<
    Bank & { write(text: string): Promise<void>; look(): Promise<string>; close(): Promise<void>; problems: Error[] }
  > {
    const directory = await mkdtemp(join(tmpdir(), 'agentport-reload-'))
    made.push(directory)
    await mkdir(join(directory, 'policies'))
    const write = (text: string) => writeFile(join(directory, 'policies', 'bank.yaml'), text)
    await write(bankPolicy().text)
    const paths = [join(directory, 'policies')]
    const first = await readPolicyFiles({ paths, debounceMs: 1 })
    const bank = await openBank({ policy: first.sources })
    const problems: Error[] = []
    const watcher = watchPolicyFiles({
      paths,
      debounceMs: 1,
      current: first.digest,
      load: async (sources) => void (await bank.port.replacePolicy(sources)),
      onProblem: (error) => problems.push(error),
    })
    return {
      ...bank,
      write,
      problems,
      look: async () => (await watcher.reload()).outcome,
      close: () => watcher.close(),
    }
  }

  test('a new file is in force, a broken one is not, and the old one stays', async () => {
    const bank = await watched()
    try {
      expect(await bank.look()).toBe('unchanged')
      expect(await ask(bank.node, PAY)).toBe('allow')
      await bank.write(FORBIDS.text)
      await bank.look()
      const forbidding = bank.port.policyDigest
      expect(await ask(bank.node, PING)).toBe('ticket_revoked')
      const teller = await bank.run.admit('teller')
      expect(await ask(teller, PING)).toBe('allow')
      await bank.write(
        FORBIDS.text.replace('tools: [pay]', 'tools: [pya]').replace('effect: forbid', 'effect: forbids'),
      )
      expect(await bank.look()).toBe('refused')
      expect(bank.problems.at(-1)).toMatchObject({ code: 'ERR_POLICY_INVALID' })
      await bank.write('')
      expect(await bank.look()).toBe('refused')
      expect(bank.port.policyDigest).toBe(forbidding)
      expect(await ask(teller, PING)).toBe('allow')
      expect(await ask(teller, PAY)).toBe('forbidden')
    } finally {
      await bank.close()
    }
  })
})

describe('a policy is held against the tools that are loaded', () => {
  const misspelt = bankPolicy(
    '',
    '  - { id: big, effect: forbid, nodes: ["*"], tools: [pay], args: { /amuont: { min: 5 } } }',
  )

  test.each([
    ['a rule', misspelt.text, 7, /no such argument/],
    [
      'a limit',
      bankPolicy('limits:\n  - { id: l, kind: budget, max: 5, amount: /amuont, by: [run], nodes: ["*"], tools: [pay] }')
        .text,
      7,
      /no such argument/,
    ],
    [
      'a condition of another type',
      bankPolicy('', '  - { id: big, effect: forbid, nodes: ["*"], tools: [pay], args: { /amount: { glob: "5*" } } }')
        .text,
      6,
      /never of type/,
    ],
  ])('%s that would never apply keeps it from opening, with its place', async (_, text, line, message) => {
    const error = await openBank({ policy: { file: 'bank.yaml', text } }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(DocumentError)
    expect(error).toMatchObject({ code: 'ERR_POLICY_INVALID' })
    const { problems } = error as DocumentError
    expect(problems).toMatchObject([{ file: 'bank.yaml', severity: 'error' }])
    expect(problems[0]?.line).toBeGreaterThanOrEqual(line - 1)
    expect(problems[0]?.message).toMatch(message)
    expect(problems[0]?.hint ?? '').toMatch(/amount|^$/)
  })

  test('control: spelled right it opens and forbids', async () => {
    const { node } = await openBank({
      policy: { file: 'bank.yaml', text: misspelt.text.replace('/amuont', '/amount') },
    })
    expect(await ask(node, PAY)).toBe('forbidden')
  })

  test('and so is a candidate', async () => {
    await expect(openBank({ mode: 'observe', candidate: misspelt })).rejects.toMatchObject({
      code: 'ERR_POLICY_INVALID',
    })
    const { port } = await openBank({ mode: 'observe', candidate: bankPolicy() })
    await expect(port.replaceCandidate(misspelt)).rejects.toMatchObject({ code: 'ERR_POLICY_INVALID' })
  })
})
