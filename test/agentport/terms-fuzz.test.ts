// Any order of calls, results, answers, halts and reloads, several at a time, on a store and a log that take their time: never
// more at once than the limit, never more payments than approvals, and nothing held when all is over.

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { type AllowedCall, type LimitStore, MemoryLimitStore, type Run } from '../../src/index.ts'
import { manualClock } from '../../src/testing/index.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { BANK_GRAPH, bankPolicy, openBank, PAY, turn } from './bank.ts'

const MOST = 2

const POLICY = bankPolicy(
  `limits:\n  - { id: few, kind: concurrency, max: ${MOST}, by: [all], nodes: ["*"], tools: ["*"] }`,
  '  - { id: agree, effect: require_approval, nodes: ["*"], tools: [pay] }',
)
const OTHER = { file: 'p.yaml', text: POLICY.text.replace('- { id: mail', '- { id: letters') }

const STEPS = ['ping', 'pay', 'settle', 'fail', 'answer', 'refuse', 'end', 'halt', 'close', 'reload', 'twice'] as const
const batches = fc.array(
  fc.array(fc.record({ step: fc.constantFrom(...STEPS), node: fc.constantFrom('clerk', 'teller') }), {
    minLength: 1,
    maxLength: 5,
  }),
  { maxLength: 12 },
)

interface Step {
  readonly step: (typeof STEPS)[number]
  readonly node: string
}

/** How many payments there were. */
async function play(played: readonly (readonly Step[])[], policy = POLICY): Promise<number> {
  const clock = manualClock()
  const store = new MemoryLimitStore({ clock })
  const limits: LimitStore = {
    reserve: async (...all) => {
      await turn()
      return store.reserve(...all)
    },
    release: (...all) => store.release(...all),
    forgetRun: (id) => store.forgetRun(id),
  }
  const bank = await openBank({ policy, clock, limits, timeoutMs: 100, audit: { append: () => turn() } })
  const { port } = bank
  const nodes = new Map([['clerk', bank.node]])
  const held = new Set<AllowedCall>()
  let { run }: { run: Run } = bank
  let reloads = 0
  let approvals = 0
  let payments = 0

  const act = async ({ step, node: name }: Step): Promise<void> => {
    if (run.state !== 'running') {
      run = await port.openRun({ graph: BANK_GRAPH, principal: 'ann' })
      nodes.clear()
    }
    const node = nodes.get(name)
    if (node === undefined || node.signal.aborted) {
      const admitted = await run.admit(name)
      nodes.set(name, admitted)
      return
    }
    const [oldest] = held
    switch (step) {
      case 'ping':
      case 'pay': {
        const call = await node.authorize(step === 'ping' ? { tool: 'ping' } : PAY)
        if (call.decision !== 'allow') return
        held.add(call)
        expect(held.size).toBeLessThanOrEqual(MOST)
        if (step === 'pay') payments += 1
        return
      }
      case 'settle':
      case 'fail':
      case 'twice':
        if (oldest === undefined) return
        held.delete(oldest)
        if (step === 'fail') return oldest.fail(new Error('x'))
        await Promise.all([oldest.settle(1), ...(step === 'twice' ? [oldest.settle(2)] : [])])
        return
      case 'answer':
      case 'refuse':
        for (const { id, digest } of port.approvals.pending()) {
          const decision = step === 'answer' ? 'approve' : 'refuse'
          const { accepted } = port.approvals.answer({ question: id, digest, approver: 'lea', decision })
          if (accepted && step === 'answer') approvals += 1
        }
        return
      case 'end':
        return void (await node.complete())
      case 'halt':
        return void (await run.halt({ reason: 'stop' }))
      case 'close':
        return void (await run.close())
      case 'reload':
        reloads += 1
        return void (await port.replacePolicy(reloads % 2 === 1 ? OTHER : POLICY))
    }
  }

  for (const batch of played) {
    await Promise.all(batch.map(act))
    expect(payments).toBeLessThanOrEqual(approvals)
  }
  for (const call of held) await call.settle(1)
  const last = await port.openRun({ graph: BANK_GRAPH, principal: 'ann' })
  const clerk = await last.admit('clerk')
  const answers = await Promise.all([1, 2, 3].map(() => clerk.authorize({ tool: 'ping' })))
  expect(answers.filter(({ decision }) => decision === 'allow')).toHaveLength(MOST)
  await port.close()
  return payments
}

test('limits and approvals hold in any order', async () => {
  await fc.assert(
    fc.asyncProperty(batches, async (played) => void (await play(played))),
    { numRuns: fuzzRuns(60) },
  )
}, 120_000)

const at = (step: Step['step']): readonly Step[] => [{ step, node: 'clerk' }]

test('control: the steps do pay, and once for each approval', async () => {
  const asked = [at('ping'), at('pay'), at('answer'), at('pay'), at('settle'), at('twice'), at('pay')]
  expect(await play(asked)).toBe(1)
})

test('control: without the rules the same steps break them', async () => {
  const ping = { step: 'ping', node: 'clerk' } as const
  await expect(play([[ping, ping, ping]], bankPolicy())).rejects.toThrow(/less than or equal/)
  await expect(play([at('pay')], bankPolicy())).rejects.toThrow(/less than or equal/)
})
