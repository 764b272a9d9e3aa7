// Approvals through the gateway: people agree to one call, once, and to nothing like it. The desk itself is tested in
// test/approval; here is what an executor, an agent or a port can try around it.

import { describe, expect, test } from 'vitest'

import {
  type AgentPortOptions,
  type ApprovalPort,
  callbackApprovals,
  type PendingApproval,
  verifyAuditLog,
} from '../../src/index.ts'
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
} from './bank.ts'

const RULE =
  '  - { id: agree, effect: require_approval, nodes: ["*"], tools: [pay], approval: { approvers: [lea, max] } }'
const POLICY = bankPolicy('', RULE)

function openAsking(options: Partial<AgentPortOptions> = {}): Promise<Bank> {
  return openBank({ policy: POLICY, ...options })
}

/** The question of a call that waits. */
async function waiting(bank: Bank, request = PAY): Promise<PendingApproval> {
  const call = await refusedCall(bank.node, request)
  if (call.approval === undefined) throw new Error(`not asked: ${call.denial.code}`)
  return call.approval
}

function say(bank: Bank, { question }: PendingApproval, decision: 'approve' | 'refuse' = 'approve', approver = 'lea') {
  return bank.port.approvals.answer({ question: question.id, digest: question.digest, approver, decision })
}

async function approved(bank: Bank, request = PAY): Promise<PendingApproval> {
  const approval = await waiting(bank, request)
  expect(say(bank, approval)).toEqual({ accepted: true, state: 'approved' })
  return approval
}

describe('asking and answering', () => {
  test('a call waits, people agree, resume runs it', async () => {
    const bank = await openAsking()
    const call = await refusedCall(bank.node, PAY)
    expect(call).toMatchObject({
      decision: 'escalate',
      denial: { code: 'approval_required', recoverable: 'after_approval', dispatched: false, rules: [{ id: 'agree' }] },
      verdict: { decision: 'escalate', approval: call.approval?.question.id },
    })
    expect(bank.port.approvals.pending()).toEqual([call.approval?.question])
    const resumed = call.approval?.resume()
    await turn()
    if (call.approval !== undefined) say(bank, call.approval)
    expect(await resumed).toMatchObject({ decision: 'allow', args: PAY.args, verdict: { rules: [{ id: 'agree' }] } })
    expect(bank.port.approvals.pending()).toEqual([])
  })

  test('answered() says how it went, and an allow only comes of judging again', async () => {
    const bank = await openAsking()
    const approval = await waiting(bank)
    const answer = approval.answered()
    say(bank, approval)
    expect(await answer).toBe('approved')
    expect(await ask(bank.node, PAY)).toBe('allow')
  })

  test('a port that answers is enough, and is told once', async () => {
    let told = 0
    const approvals = callbackApprovals(({ tool }) => {
      told++
      return { approver: 'lea', decision: tool === 'pay' ? 'approve' : 'refuse' }
    })
    const bank = await openAsking({ approvals })
    const [first, second] = await Promise.all([waiting(bank), waiting(bank)])
    expect(second.question.id).toBe(first.question.id)
    expect(answerOf(await first.resume())).toBe('allow')
    expect(told).toBe(1)
  })

  test('waiting ends with the node, and with the signal that is given', async () => {
    const bank = await openAsking()
    const approval = await waiting(bank)
    const stop = new AbortController()
    const [ended, stopped] = [approval.resume(), approval.answered(stop.signal)]
    stop.abort(new Error('enough'))
    await expect(stopped).rejects.toThrow('enough')
    await bank.node.complete()
    expect(await ended.then(answerOf, () => 'rejected')).not.toBe('allow')
  })

  test('polling while people think ends nothing and asks nobody again', async () => {
    const bank = await openAsking()
    const { question } = await waiting(bank)
    for (let poll = 0; poll < 10; poll++) expect((await waiting(bank)).question.id).toBe(question.id)
    expect(bank.node.signal.aborted).toBe(false)
    expect(recordsOf(bank.audit, 'approval.asked')).toHaveLength(1)
  })
})

describe('an approval is for one call', () => {
  test('used once: the same call a second time asks anew', async () => {
    const bank = await openAsking()
    const { question } = await approved(bank)
    expect(await ask(bank.node, PAY)).toBe('allow')
    expect((await waiting(bank)).question.id).not.toBe(question.id)
  })

  test('of two same calls at the same time one runs', async () => {
    const bank = await openAsking()
    await approved(bank)
    const calls = await Promise.all([bank.node.authorize(PAY), bank.node.authorize(PAY), bank.node.authorize(PAY)])
    expect(calls.map(answerOf).filter((code) => code === 'allow')).toHaveLength(1)
  })

  test('other arguments, another tool: asked anew', async () => {
    const bank = await openAsking({
      policy: bankPolicy('', RULE.replace('[pay]', '[pay, http_get]')),
    })
    await approved(bank)
    const others = [
      { tool: 'pay', args: { ...PAY.args, amount: 11 } },
      { tool: 'pay', args: { ...PAY.args, note: 'x' } },
      { tool: 'pay', args: { url: PAY.args.url } },
      { tool: 'http_get', args: { url: PAY.args.url } },
    ]
    for (const other of others) expect(await ask(bank.node, other)).toBe('approval_required')
    expect(await ask(bank.node, PAY)).toBe('allow')
  })

  test('resume repeats what was asked, not what the caller has made of it since', async () => {
    const bank = await openAsking()
    const args: Record<string, unknown> = { ...PAY.args }
    const request = { tool: 'pay', args }
    const approval = await waiting(bank, request as typeof PAY)
    args['amount'] = 1_000_000
    request.tool = 'ping'
    say(bank, approval)
    const call = await approval.resume()
    expect(call).toMatchObject({ decision: 'allow', tool: 'pay', args: PAY.args })
  })

  test('another node, another run: asked anew', async () => {
    const bank = await openAsking()
    await approved(bank)
    expect(await ask(await bank.run.admit('teller'), PAY)).toBe('approval_required')
    const run = await bank.port.openRun({ graph: BANK_GRAPH, principal: 'ann', id: 'run-2' })
    expect(await ask(await run.admit('clerk'), PAY)).toBe('approval_required')
    expect(await ask(bank.node, PAY)).toBe('allow')
  })

  const wider = `${POLICY.text}  - { id: more, effect: permit, nodes: [x], tools: [ping] }\n`
  const ends: readonly (readonly [string, (bank: Bank) => Promise<unknown>])[] = [
    ['the node has ended', ({ node }) => node.complete()],
    ['the node has failed', ({ node }) => node.fail(new Error('x'))],
    ['the run is halted', ({ run }) => run.halt({ reason: 'stop' })],
    ['the run is closed', ({ run }) => run.close()],
    ['the skill is withdrawn', ({ port }) => port.quarantine('bank', 'reported')],
    ['the policy is replaced', ({ port }) => port.replacePolicy({ file: 'p.yaml', text: wider })],
    ['the policy is replaced by the same', ({ port }) => port.replacePolicy(POLICY)],
    ['the gateway is closed', ({ port }) => port.close()],
  ]

  test.each(ends)('%s: what was approved is so no more, and what is answered then does not count', async (_, end) => {
    const bank = await openAsking()
    const given = await approved(bank)
    const open = await waiting(bank, { tool: 'pay', args: { ...PAY.args, amount: 20 } })
    await end(bank)
    expect([bank.port.approvals.state(given.question.id), bank.port.approvals.state(open.question.id)]).toEqual([
      'revoked',
      'revoked',
    ])
    expect(say(bank, open)).toEqual({ accepted: false, code: 'closed' })
    expect(await ask(bank.node, PAY)).not.toBe('allow')
    expect(await open.resume().then(answerOf, () => 'rejected')).not.toBe('allow')
  })

  test('a run of the same name, later, has approved nothing', async () => {
    const bank = await openAsking()
    const given = await approved(bank)
    await bank.run.close()
    const run = await bank.port.openRun({ graph: BANK_GRAPH, principal: 'ann', id: 'run-1' })
    const node = await run.admit('clerk')
    const call = await refusedCall(node, PAY)
    expect(call.denial.code).toBe('approval_required')
    expect(call.approval?.question.digest).toBe(given.question.digest)
    expect(call.approval?.question.id).not.toBe(given.question.id)
  })

  test('a second attempt of the node asks anew', async () => {
    const graph = { nodes: { ...BANK_GRAPH.nodes, clerk: { ...BANK_GRAPH.nodes.clerk, attempts: 2 } } }
    const bank = await openBank({ policy: POLICY }, { graph })
    await approved(bank)
    expect((await bank.node.fail(new Error('once'))).disposition).toBe('retry')
    const again = await bank.run.admit('clerk')
    expect([again.attempt, await ask(again, PAY)]).toEqual([2, 'approval_required'])
  })

  test('its time is over: asked anew, and the late answer does not count', async () => {
    const bank = await openAsking({ policy: bankPolicy('', RULE.replace('max] }', 'max], expires: 1m }')) })
    await approved(bank)
    bank.clock.advance(59_999)
    bank.clock.setNow(0)
    expect(bank.port.approvals.pending()).toEqual([])
    bank.clock.advance(1)
    const late = await waiting(bank)
    bank.clock.advance(60_000)
    expect(say(bank, late)).toEqual({ accepted: false, code: 'closed' })
    expect(await ask(bank.node, PAY)).toBe('approval_required')
  })
})

describe('who answers', () => {
  test('a quorum is so many different people', async () => {
    const bank = await openAsking({ policy: bankPolicy('', RULE.replace('max] }', 'max], quorum: 2 }')) })
    const approval = await waiting(bank)
    expect(say(bank, approval)).toEqual({ accepted: true, state: 'pending' })
    expect(say(bank, approval)).toEqual({ accepted: false, code: 'already_answered' })
    expect(await ask(bank.node, PAY)).toBe('approval_required')
    expect(say(bank, approval, 'approve', 'max')).toEqual({ accepted: true, state: 'approved' })
    expect(await ask(bank.node, PAY)).toBe('allow')
  })

  const anybody = bankPolicy('', '  - { id: agree, effect: require_approval, nodes: ["*"], tools: [pay] }')

  test.each(['ann', 'ANN', 'clerk', 'bank', 'run-1', 'Run-1'])('%s asks, and does not answer', async (approver) => {
    const bank = await openBank({ policy: anybody })
    const approval = await waiting(bank)
    expect(say(bank, approval, 'approve', approver)).toEqual({ accepted: false, code: 'requester' })
    expect(await ask(bank.node, PAY)).toBe('approval_required')
    expect(say(bank, approval, 'approve', 'somebody')).toMatchObject({ accepted: true })
    expect(await ask(bank.node, PAY)).toBe('allow')
  })

  test('nobody who is not named, and nobody who was shown another call', async () => {
    const bank = await openAsking()
    const [approval, other] = [
      await waiting(bank),
      await waiting(bank, { tool: 'pay', args: { ...PAY.args, amount: 1 } }),
    ]
    expect(say(bank, approval, 'approve', 'eve')).toEqual({ accepted: false, code: 'not_an_approver' })
    const { id } = approval.question
    const { digest } = other.question
    expect(bank.port.approvals.answer({ question: id, digest, approver: 'lea', decision: 'approve' })).toEqual({
      accepted: false,
      code: 'digest_mismatch',
    })
    expect(await ask(bank.node, PAY)).toBe('approval_required')
  })

  test('a refusal stands, asks nobody again, and the third same try ends the node', async () => {
    const bank = await openAsking()
    const approval = await waiting(bank)
    const resumed = approval.resume()
    say(bank, approval, 'refuse')
    expect(answerOf(await resumed)).toBe('approval_refused')
    expect(say(bank, approval)).toEqual({ accepted: false, code: 'closed' })
    expect([await ask(bank.node, PAY), await ask(bank.node, PAY)]).toEqual(['approval_refused', 'denial_repeated'])
    expect(bank.node.signal.aborted).toBe(true)
    expect(recordsOf(bank.audit, 'approval.asked')).toHaveLength(1)
  })

  test('a refusal after the approval takes it back', async () => {
    const bank = await openAsking()
    const approval = await approved(bank)
    say(bank, approval, 'refuse', 'max')
    expect(await ask(bank.node, PAY)).toBe('approval_refused')
  })
})

describe('an approval lifts no other no', () => {
  test('a forbid that begins after it', async () => {
    const rules = `${RULE}\n  - { id: night, effect: forbid, nodes: ["*"], tools: [pay], during: { from: "00:30", to: "06:00" } }`
    const bank = await openAsking({ policy: bankPolicy('', rules) })
    const approval = await approved(bank)
    bank.clock.setNow(bank.clock.now() + 45 * 60_000)
    expect(answerOf(await approval.resume())).toBe('forbidden')
  })

  test('control: a minute before it begins', async () => {
    const rules = `${RULE}\n  - { id: night, effect: forbid, nodes: ["*"], tools: [pay], during: { from: "00:30", to: "06:00" } }`
    const bank = await openAsking({ policy: bankPolicy('', rules) })
    const approval = await approved(bank)
    bank.clock.setNow(bank.clock.now() + 29 * 60_000)
    expect(answerOf(await approval.resume())).toBe('allow')
  })

  test('another rule that asks as well, by then', async () => {
    const rules = `${RULE}\n  - { id: late, effect: require_approval, nodes: ["*"], tools: [pay], during: { from: "00:30", to: "06:00" } }`
    const bank = await openAsking({ policy: bankPolicy('', rules) })
    const approval = await approved(bank)
    bank.clock.setNow(bank.clock.now() + 45 * 60_000)
    const call = await approval.resume()
    expect(answerOf(call)).toBe('approval_required')
    expect(bank.port.approvals.state(approval.question.id)).toBe('revoked')
  })

  test('a limit: and the approval is there for when there is room again', async () => {
    const bank = await openAsking({
      policy: bankPolicy(
        'limits:\n  - { id: l, kind: window, max: 1, per: 1m, by: [run], nodes: ["*"], tools: ["*"] }',
        RULE,
      ),
    })
    await approved(bank)
    await allowed(bank.node, { tool: 'ping' })
    expect(await ask(bank.node, PAY)).toBe('rate_limited')
    bank.clock.advance(60_000)
    expect(await ask(bank.node, PAY)).toBe('allow')
  })

  test('a record that cannot be written, and no second use of it either', async () => {
    const lines: string[] = []
    let broken = false
    const append = (line: string): void => {
      if (broken && line.includes('"call.allowed"')) throw new Error('full')
      lines.push(line)
    }
    const bank = await openAsking({ audit: { append } })
    await approved(bank)
    broken = true
    expect(await ask(bank.node, PAY)).toBe('audit_unavailable')
    broken = false
    expect(await ask(bank.node, PAY)).not.toBe('allow')
  })
})

describe('a port that cannot be relied on', () => {
  const yes = (decision: unknown) => [{ approver: 'lea', decision }]
  const ports: readonly (readonly [string, ApprovalPort['ask']])[] = [
    [
      'throws',
      () => {
        throw new Error('down')
      },
    ],
    ['rejects', () => Promise.reject(new Error('down'))],
    ['hangs', () => new Promise(() => undefined)],
    ['answers true', () => true as never],
    ['promises true', () => Promise.resolve(true as never)],
    ['promises "approve"', () => Promise.resolve('approve' as never)],
    ['promises an answer to nothing', () => Promise.resolve(yes('approve') as never)],
    [
      'promises an answer with another digest',
      ({ id }) => Promise.resolve([{ ...yes('approve')[0], question: id, digest: 'x' }] as never),
    ],
    [
      'approves as the principal',
      ({ id, digest }) => Promise.resolve([{ question: id, digest, approver: 'ann', decision: 'approve' as const }]),
    ],
    [
      'approves with a decision that is none',
      ({ id, digest }) => Promise.resolve([{ question: id, digest, approver: 'lea', decision: true as never }]),
    ],
  ]

  test.each(ports)('%s: the call waits, nothing is allowed', async (_, ask_) => {
    const bank = await openAsking({ approvals: { name: 'port', ask: ask_ } })
    const approval = await waiting(bank)
    await turn()
    expect(await ask(bank.node, PAY)).toBe('approval_required')
    // People can still answer elsewhere.
    expect(say(bank, approval)).toMatchObject({ accepted: true })
    expect(await ask(bank.node, PAY)).toBe('allow')
  })
})

describe('the log', () => {
  test('says who was asked, who answered and what became of it, in one chain', async () => {
    const bank = await openAsking({ approvals: { name: 'desk', ask: () => undefined } })
    const approval = await waiting(bank)
    say(bank, approval, 'approve', 'eve')
    say(bank, approval)
    const call = await approval.resume()
    if (call.decision !== 'allow') throw new Error('not allowed')
    await call.settle('paid')
    const again = await waiting(bank)
    await bank.node.complete()
    await bank.run.close()
    const head = await bank.port.close()
    const about = { run: 'run-1', node: 'clerk', tool: 'pay', skill: 'bank', principal: 'ann' }
    const { id } = approval.question
    const last = again.question.id
    expect(
      recordsOf(
        bank.audit,
        'approval.asked',
        'approval.rejected',
        'approval.answered',
        'approval.ended',
        'call.escalated',
        'call.allowed',
      ),
    ).toMatchObject([
      { type: 'approval.asked', approval: id, rules: ['agree'], ...about },
      { type: 'call.escalated', approval: id, code: 'approval_required' },
      { type: 'approval.rejected', approval: id, approver: 'eve', reason: 'not_an_approver' },
      { type: 'approval.answered', approval: id, approver: 'lea', answer: 'approve', detail: 'approved' },
      { type: 'approval.ended', approval: id, reason: 'used', approver: 'lea' },
      { type: 'call.allowed', approval: id },
      { type: 'approval.asked', approval: last },
      { type: 'call.escalated', approval: last },
      { type: 'approval.ended', approval: last, reason: 'revoked', detail: 'the node has ended' },
    ])
    expect(verifyAuditLog(bank.audit.lines, { expectHead: head })).toMatchObject({ ok: true, faults: [] })
  })

  test('an answer that cannot be recorded allows nothing', async () => {
    const lines: string[] = []
    const append = (line: string): void => {
      if (line.includes('"approval.answered"')) throw new Error('full')
      lines.push(line)
    }
    const bank = await openAsking({ audit: { append } })
    await approved(bank)
    expect(await ask(bank.node, PAY)).toBe('audit_unavailable')
  })

  test('a hundred approvers with long names fit into a record', async () => {
    const names = Array.from({ length: 100 }, (_, index) => `${'n'.repeat(120)}${index}`)
    const bank = await openAsking({
      policy: bankPolicy(
        '',
        `  - { id: all, effect: require_approval, nodes: ["*"], tools: [pay], approval: { quorum: 100, approvers: ${JSON.stringify(names)} } }`,
      ),
    })
    const approval = await waiting(bank)
    for (const name of names) say(bank, approval, 'approve', name)
    expect(await ask(bank.node, PAY)).toBe('allow')
    expect(verifyAuditLog(bank.audit.lines)).toMatchObject({ faults: [] })
  })
})
