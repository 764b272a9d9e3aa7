// Each way to run what nobody approved, beside the honest way that works: a desk that approves nothing would pass, too.

import { describe, expect, test } from 'vitest'
import type { ApprovalDesk } from '../../src/approval/desk.ts'
import { type ApprovalPort, type CallbackAnswer, callbackApprovals } from '../../src/approval/port.ts'
import type { AnswerRejection, ApprovalAnswer, ApprovalQuestion } from '../../src/approval/question.ts'
import { type ApprovalSubject, approvalDigest } from '../../src/approval/subject.ts'
import type { DenialCode } from '../../src/core/denial.ts'
import { type Bench, bench, demand, questionOf, subject, turns, withoutArgs } from './support.ts'

const one = [demand()]

function approve(desk: ApprovalDesk, question: ApprovalQuestion, approver = 'alice'): void {
  const result = desk.answer({ question: question.id, digest: question.digest, approver, decision: 'approve' })
  if (!result.accepted) throw new Error(result.code)
}

function outcome(desk: ApprovalDesk, call: ApprovalSubject, demands = one): 'ok' | DenialCode {
  const redeemed = desk.redeem(approvalDigest(call), demands)
  return redeemed.ok ? 'ok' : redeemed.denial.code
}

describe('replay: an approved call is not another one', () => {
  const args = { to: 'bob@example.com', amount: 250 }
  test.each<[string, ApprovalSubject]>([
    ['another recipient', subject({ args: { ...args, to: 'eve@example.com' } })],
    ['another amount', subject({ args: { ...args, amount: 251 } })],
    ['an amount that is text', subject({ args: { ...args, amount: '250' } })],
    ['a member more', subject({ args: { ...args, cc: null } })],
    ['a member less', subject({ args: { to: args.to } })],
    ['arguments null', subject({ args: null })],
    ['no arguments', withoutArgs()],
    ['empty arguments', subject({ args: {} })],
    ['another node', subject({ node: 'refund' })],
    ['another run', subject({ run: 'run-2' })],
    ['another principal', subject({ principal: 'other-bot' })],
    ['another tool', subject({ tool: 'pay_all' })],
    ['a changed skill', subject({ skillDigest: `sha256:${'c'.repeat(64)}` })],
    ['another policy', subject({ policyDigest: `sha256:${'d'.repeat(64)}` })],
  ])('%s', (_, other) => {
    const { desk } = bench()
    approve(desk, questionOf(desk.ask(subject(), one)))
    expect(outcome(desk, other)).toBe('approval_required')
    // The attempt took nothing from the honest call.
    expect(outcome(desk, subject())).toBe('ok')
  })

  test('control: what is only shown, and the order of keys, is no other call', () => {
    const same = subject({ resources: [], rules: [], attempt: 2, args: { amount: 250, to: 'bob@example.com' } })
    expect(approvalDigest(same)).toBe(approvalDigest(subject()))
  })

  test('absent, null and empty arguments are three calls', () => {
    const digests = [withoutArgs(), subject({ args: null }), subject({ args: {} })].map(approvalDigest)
    expect(new Set(digests).size).toBe(3)
  })

  test('members do not run into each other, and no digest of another purpose is one', () => {
    expect(approvalDigest(subject({ run: 'a', node: 'bc' }))).not.toBe(
      approvalDigest(subject({ run: 'ab', node: 'c' })),
    )
    expect(approvalDigest(subject())).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  test('the format stays: a digest of version 1', () => {
    const call = subject({ skillDigest: 'sha256:s', policyDigest: 'sha256:p' })
    // printf 'agentport approval v1\n{"args":{"amount":250,…},"node":…,"tool":"pay"}' | sha256sum
    expect(approvalDigest(call)).toBe('sha256:9eb51f71e8a1bc6983a46b9d282a1f21799cab06869954813e33473541551e95')
  })

  test('changing the arguments after asking changes nothing', () => {
    const { desk } = bench()
    const mine = { to: 'bob@example.com', amount: 250 }
    const question = questionOf(desk.ask(subject({ args: mine }), one))
    mine.to = 'eve@example.com'
    expect(question.args).toEqual(args)
    expect(Object.isFrozen(question.args)).toBe(true)
    approve(desk, question)
    expect(outcome(desk, subject({ args: mine }))).toBe('approval_required')
    expect(outcome(desk, subject())).toBe('ok')
  })
})

describe('an approval is used once', () => {
  test('the second use is refused, also when asked for from within the first', () => {
    const inner: (string | undefined)[] = []
    const { desk }: Bench = bench({
      onChange: (change) => {
        if (change.type === 'redeemed') inner.push(outcome(desk, subject()))
      },
    })
    approve(desk, questionOf(desk.ask(subject(), one)))
    expect(outcome(desk, subject())).toBe('ok')
    expect(inner).toEqual(['approval_invalid'])
    expect(outcome(desk, subject())).toBe('approval_invalid')
  })

  test('the next call of the same kind is a new question', () => {
    const { desk } = bench()
    const first = questionOf(desk.ask(subject(), one))
    approve(desk, first)
    expect(outcome(desk, subject())).toBe('ok')
    const second = questionOf(desk.ask(subject(), one))
    expect(second.id).not.toBe(first.id)
    expect(desk.answer({ question: first.id, digest: first.digest, approver: 'bob', decision: 'approve' })).toEqual({
      accepted: false,
      code: 'closed',
    })
    expect(outcome(desk, subject())).toBe('approval_required')
  })
})

describe('who may answer', () => {
  const listed = [demand({ approvers: ['alice', 'bob', 'shop-bot', 'Payments', '__proto__'] })]
  test.each<[string, string, AnswerRejection | undefined]>([
    ['control: one who is listed', 'alice', undefined],
    ['the principal, though listed', 'shop-bot', 'requester'],
    ['the principal in capitals', 'Shop-Bot', 'requester'],
    ['the skill, though listed in capitals', 'Payments', 'requester'],
    ['the node', 'checkout', 'requester'],
    ['the run', 'run-1', 'requester'],
    ['somebody else', 'mallory', 'not_an_approver'],
    ['another case', 'Alice', 'not_an_approver'],
    ['a Cyrillic a', 'аlice', 'not_an_approver'],
    ['full-width letters', 'ａlice', 'not_an_approver'],
    ['a zero-width space', 'alice\u200b', 'not_an_approver'],
    ['a space behind', 'alice ', 'not_an_approver'],
    ['two names', 'alice,bob', 'not_an_approver'],
    ['nobody', '', 'not_an_approver'],
    ['a very long name', 'a'.repeat(1_000_000), 'not_an_approver'],
    ['a member every object has', 'toString', 'not_an_approver'],
    ['control: a listed name every object has', '__proto__', undefined],
  ])('%s', (_, approver, code) => {
    const { desk, changes } = bench()
    const { id, digest } = questionOf(desk.ask(subject(), listed))
    const result = desk.answer({ question: id, digest, approver, decision: 'approve' })
    expect(result).toEqual(code === undefined ? { accepted: true, state: 'approved' } : { accepted: false, code })
    expect(outcome(desk, subject(), listed)).toBe(code === undefined ? 'ok' : 'approval_required')
    if (code !== undefined) expect(changes.at(-1)).toMatchObject({ type: 'rejected', code })
  })

  test.each(['shop-bot', 'SHOP-BOT', 'ｓhop-bot', '\u200b'])('anybody is not whoever asked: %s', (approver) => {
    const { desk } = bench()
    const { id, digest } = questionOf(desk.ask(subject(), one))
    expect(desk.answer({ question: id, digest, approver, decision: 'approve' }).accepted).toBe(false)
    expect(desk.answer({ question: id, digest, approver: 'anybody else', decision: 'approve' }).accepted).toBe(true)
  })

  test.each(['ｓｈｏｐ-ｂｏｔ', 'shop\u200b-bot', 'SHOP-BOT '])(
    'a principal written %j is still the one who asks',
    (principal) => {
      const { desk } = bench()
      const { id, digest } = questionOf(desk.ask(subject({ principal }), one))
      expect(desk.answer({ question: id, digest, approver: 'shop-bot', decision: 'approve' })).toEqual({
        accepted: false,
        code: 'requester',
      })
    },
  )

  test('one person counts once, in whatever case', () => {
    const two = [demand({ quorum: 2 })]
    const { desk } = bench()
    const question = questionOf(desk.ask(subject(), two))
    approve(desk, question, 'alice')
    for (const approver of ['alice', 'ALICE']) {
      const again = { question: question.id, digest: question.digest, approver, decision: 'approve' as const }
      expect(desk.answer(again)).toEqual({ accepted: false, code: 'already_answered' })
    }
    expect(outcome(desk, subject(), two)).toBe('approval_required')
    approve(desk, question, 'bob')
    expect(outcome(desk, subject(), two)).toBe('ok')
  })

  test('every demand has to be met', () => {
    const both = [demand({ rule: 'ops', approvers: ['alice'] }), demand({ rule: 'law', approvers: ['bob', 'carol'] })]
    const { desk } = bench()
    const question = questionOf(desk.ask(subject(), both))
    approve(desk, question, 'bob')
    expect(outcome(desk, subject(), both)).toBe('approval_required')
    approve(desk, question, 'alice')
    expect(outcome(desk, subject(), both)).toBe('ok')
  })

  test('one refusal is enough, also after the quorum, also from who has approved, and stands', () => {
    for (const approver of ['alice', 'bob']) {
      const { desk } = bench()
      const question = questionOf(desk.ask(subject(), one))
      approve(desk, question, 'alice')
      const refusal = { question: question.id, digest: question.digest, approver, decision: 'refuse' as const }
      expect(desk.answer(refusal)).toEqual({ accepted: true, state: 'refused' })
      expect(outcome(desk, subject())).toBe('approval_refused')
      expect(desk.ask(subject(), one)).toMatchObject({ ok: true, state: 'refused', repeated: true })
      expect(desk.answer({ ...refusal, approver: 'carol', decision: 'approve' })).toEqual({
        accepted: false,
        code: 'closed',
      })
    }
  })

  test('a stranger does not refuse, either', () => {
    const { desk } = bench()
    const demands = [demand({ approvers: ['alice'] })]
    const { id, digest } = questionOf(desk.ask(subject(), demands))
    for (const approver of ['mallory', 'shop-bot']) {
      expect(desk.answer({ question: id, digest, approver, decision: 'refuse' }).accepted).toBe(false)
    }
    expect(desk.state(id)).toBe('pending')
  })
})

describe('what was seen is what is approved', () => {
  test('an answer to another digest does not count, whatever the id says', () => {
    const { desk } = bench()
    const shown = questionOf(desk.ask(subject({ args: { amount: 1 } }), one))
    const real = questionOf(desk.ask(subject({ args: { amount: 1_000_000 } }), one))
    const answer = { question: real.id, digest: shown.digest, approver: 'alice', decision: 'approve' as const }
    expect(desk.answer(answer)).toEqual({ accepted: false, code: 'digest_mismatch' })
    for (const digest of ['', real.digest.slice(0, 20), real.digest.toUpperCase(), `${real.digest} `]) {
      expect(desk.answer({ ...answer, digest })).toEqual({ accepted: false, code: 'digest_mismatch' })
    }
    expect(desk.answer({ ...answer, digest: real.digest })).toEqual({ accepted: true, state: 'approved' })
    expect(outcome(desk, subject({ args: { amount: 1 } }))).toBe('approval_required')
  })

  test('an approval under fewer demands is not one under more', () => {
    const evening = [...one, demand({ rule: 'at-night', approvers: ['guard'] })]
    const { desk, changes } = bench()
    const asked = questionOf(desk.ask(subject(), one))
    approve(desk, asked)
    expect(outcome(desk, subject(), evening)).toBe('approval_invalid')
    const again = questionOf(desk.ask(subject(), evening))
    expect(again.id).not.toBe(asked.id)
    expect(changes.filter(({ type }) => type === 'revoked')).toHaveLength(1)
    approve(desk, again, 'alice')
    expect(outcome(desk, subject(), evening)).toBe('approval_required')
    approve(desk, again, 'guard')
    // Met under more, it is met under fewer; another wording of the reason is no other demand.
    expect(outcome(desk, subject(), [demand({ reason: 'reworded' })])).toBe('ok')
  })
})

describe('time', () => {
  const demands = [demand({ expiresMs: 60_000 }), demand({ rule: 'b', expiresMs: 90_000 })]
  test.each<[string, number, boolean]>([
    ['control: in time', 59_999, true],
    ['the shortest demand counts', 60_000, false],
    ['late', 61_000, false],
  ])('an answer %s', (_, after, counts) => {
    const { desk, clock } = bench()
    const { id, digest } = questionOf(desk.ask(subject(), demands))
    clock.advance(after)
    const result = desk.answer({ question: id, digest, approver: 'alice', decision: 'approve' })
    expect(result).toEqual(counts ? { accepted: true, state: 'approved' } : { accepted: false, code: 'closed' })
    expect(outcome(desk, subject(), demands)).toBe(counts ? 'ok' : 'approval_expired')
  })

  test('an approval that is not used in time expires', () => {
    const { desk, clock } = bench()
    approve(desk, questionOf(desk.ask(subject(), demands)))
    clock.advance(60_000)
    expect(outcome(desk, subject(), demands)).toBe('approval_expired')
  })

  test('asking again extends nothing', () => {
    const { desk, clock } = bench()
    const { id } = questionOf(desk.ask(subject(), demands))
    clock.advance(59_000)
    expect(desk.ask(subject(), demands)).toMatchObject({ repeated: true, question: { id } })
    clock.advance(1_000)
    expect(outcome(desk, subject(), demands)).toBe('approval_expired')
    expect(desk.ask(subject(), demands)).toMatchObject({ repeated: false, state: 'pending' })
  })

  test('stepping the wall clock back extends nothing', () => {
    const { desk, clock } = bench()
    approve(desk, questionOf(desk.ask(subject(), demands)))
    clock.advance(60_000)
    clock.setNow(0)
    expect(outcome(desk, subject(), demands)).toBe('approval_expired')
  })

  const throws = (): number => {
    throw new Error('no clock')
  }
  test.each<[string, () => number, DenialCode]>([
    ['runs backwards', () => 59_999, 'approval_required'],
    ['is not a number', () => Number.NaN, 'approval_required'],
    ['says nothing', () => undefined as never, 'approval_required'],
    ['throws', throws, 'approval_required'],
  ])('a monotonic clock that %s extends nothing', (_, broken, code) => {
    let read = (): number => 0
    const { desk } = bench({ clock: { now: () => 0, monotonic: () => read() } })
    approve(desk, questionOf(desk.ask(subject(), demands)))
    read = () => 59_999
    const other = questionOf(desk.ask(subject({ run: 'run-2' }), demands))
    approve(desk, other)
    read = () => 60_000
    expect(desk.state(other.id)).toBe('approved')
    read = broken
    expect(outcome(desk, subject({ run: 'run-2' }), demands)).toBe(code)
    read = () => 60_001
    expect(outcome(desk, subject({ run: 'run-2' }), demands)).toBe(code)
  })

  test('nothing is asked by a clock that cannot be read, for it would never expire', () => {
    let read = Number.NaN
    const { desk } = bench({ clock: { now: () => 0, monotonic: () => read } })
    expect(desk.ask(subject(), demands)).toMatchObject({ ok: false, denial: { code: 'internal_error' } })
    read = 0
    expect(desk.pending()).toEqual([])
    expect(desk.ask(subject(), demands).ok).toBe(true)
  })
})

describe('what the approval was given under is over', () => {
  test.each<[string, (desk: ApprovalDesk) => number, 'ok' | DenialCode]>([
    ['control: another run', (desk) => desk.revoke({ run: 'run-2' }, 'halted'), 'ok'],
    ['control: another attempt', (desk) => desk.revoke({ node: 'checkout', attempt: 2 }, 'over'), 'ok'],
    ['halt', (desk) => desk.revoke({ run: 'run-1' }, 'halted'), 'approval_invalid'],
    ['end of the node', (desk) => desk.revoke({ run: 'run-1', node: 'checkout' }, 'ended'), 'approval_invalid'],
    ['policy change', (desk) => desk.revoke({ policyDigest: subject().policyDigest }, 'reload'), 'approval_invalid'],
    ['quarantine', (desk) => desk.revoke({ skillDigest: subject().skillDigest }, 'quarantined'), 'approval_invalid'],
    ['everything', (desk) => desk.revoke({}, 'closed'), 'approval_invalid'],
  ])('%s', (_, revoke, expected) => {
    const { desk } = bench()
    approve(desk, questionOf(desk.ask(subject(), one)))
    expect(revoke(desk)).toBe(expected === 'ok' ? 0 : 1)
    expect(outcome(desk, subject())).toBe(expected)
  })

  test('what is revoked cannot be answered, only asked anew', () => {
    const { desk } = bench()
    const { id, digest } = questionOf(desk.ask(subject(), one))
    desk.revoke({ question: id }, 'mistake')
    expect(desk.answer({ question: id, digest, approver: 'alice', decision: 'approve' })).toEqual({
      accepted: false,
      code: 'closed',
    })
    expect(desk.ask(subject(), one)).toMatchObject({ repeated: false, state: 'pending' })
  })

  test('a filter that says nothing is a mistake', () => {
    const { desk } = bench()
    expect(() => desk.revoke({ run: undefined } as never, 'x')).toThrow(TypeError)
    expect(() => desk.revoke({ rum: 'run-1' } as never, 'x')).toThrow(TypeError)
  })
})

describe('a port decides nothing', () => {
  const yes: CallbackAnswer = { approver: 'alice', decision: 'approve' }
  const answering = (answer: (question: ApprovalQuestion) => unknown): ApprovalPort => ({
    name: 'liar',
    ask: async (question) => [answer(question)] as ApprovalAnswer[],
  })
  const throwing = {
    get approver(): string {
      throw new Error('gotcha')
    },
  }
  const fine = ({ id, digest }: ApprovalQuestion) => ({ question: id, digest, approver: 'alice', decision: 'approve' })
  const ports: readonly (readonly [string, ApprovalPort, boolean])[] = [
    ['control: a callback that approves', callbackApprovals(() => yes), true],
    ['control: several answers', callbackApprovals(() => [{ approver: 'shop-bot', decision: 'refuse' }, yes]), true],
    ['control: a port that approves', answering(fine), true],
    [
      'throws',
      {
        name: 'x',
        ask: () => {
          throw new Error('down')
        },
      },
      false,
    ],
    [
      'throws no error',
      {
        name: 'x',
        ask: () => {
          throw undefined
        },
      },
      false,
    ],
    ['rejects', { name: 'x', ask: async () => Promise.reject(new Error('down')) }, false],
    ['hangs', { name: 'x', ask: () => new Promise(() => undefined) }, false],
    ['says nothing', { name: 'x', ask: () => undefined }, false],
    ['returns true', { name: 'x', ask: () => true as never }, false],
    ['returns a text', { name: 'x', ask: async () => 'approve' as never }, false],
    ['returns an object', { name: 'x', ask: async () => ({ length: 1, 0: 'x' }) as never }, false],
    ['returns too much', { name: 'x', ask: async () => new Array(1_001).fill({}) as never }, false],
    ['answers with nothing', answering(() => null), false],
    ['answers with a getter that throws', answering(() => throwing), false],
    [
      'answers with a decision nobody knows',
      answering((question) => ({ ...fine(question), decision: 'APPROVE' })),
      false,
    ],
    ['answers with true', answering((question) => ({ ...fine(question), decision: true })), false],
    ['answers without a digest', answering((question) => ({ ...fine(question), digest: undefined })), false],
    [
      'answers with another digest',
      answering((question) => ({ ...fine(question), digest: `sha256:${'0'.repeat(64)}` })),
      false,
    ],
    [
      'answers with an approver who is a list',
      answering((question) => ({ ...fine(question), approver: ['alice'] })),
      false,
    ],
    ['answers as the principal', answering((question) => ({ ...fine(question), approver: 'shop-bot' })), false],
    ['callback returns garbage', callbackApprovals(() => 'yes' as never), false],
    ['callback returns null', callbackApprovals(() => null as never), false],
  ]
  test.each(ports)('%s', async (_, ask, approves) => {
    const { desk, clock } = bench({ ask })
    const question = questionOf(desk.ask(subject(), one))
    await turns()
    expect(desk.state(question.id)).toBe(approves ? 'approved' : 'pending')
    expect(outcome(desk, subject())).toBe(approves ? 'ok' : 'approval_required')
    if (approves) return
    clock.advance(600_000)
    expect(outcome(desk, subject())).toBe('approval_expired')
  })

  test('an answer to another question does not count when it is returned', async () => {
    const asked: ApprovalQuestion[] = []
    const { desk, changes } = bench({
      ask: {
        name: 'mixed-up',
        ask: async (question) => {
          asked.push(question)
          const [first] = asked
          if (asked.length === 1 || first === undefined) return undefined
          return [{ question: first.id, digest: first.digest, approver: 'alice', decision: 'approve' }]
        },
      },
    })
    const first = questionOf(desk.ask(subject(), one))
    await turns()
    const second = questionOf(desk.ask(subject({ run: 'run-2' }), one))
    await turns()
    expect([desk.state(first.id), desk.state(second.id)]).toEqual(['pending', 'pending'])
    expect(changes.at(-1)).toMatchObject({ type: 'rejected', code: 'unknown_question', question: second.id })
    // Control: the same answer counts when it is handed in.
    approve(desk, first)
    expect(outcome(desk, subject())).toBe('ok')
  })

  test('what it returns after the question is closed does not count', async () => {
    let reply: (answers: readonly ApprovalAnswer[]) => void = () => undefined
    let heard: AbortSignal | undefined
    const ask: ApprovalPort = {
      name: 'slow',
      ask: (_, signal) => {
        heard = signal
        return new Promise((resolve) => {
          reply = resolve
        })
      },
    }
    const { desk } = bench({ ask })
    const question = questionOf(desk.ask(subject(), one))
    await turns()
    expect(heard?.aborted).toBe(false)
    desk.revoke({ run: 'run-1' }, 'halted')
    expect(heard?.aborted).toBe(true)
    reply([{ question: question.id, digest: question.digest, approver: 'alice', decision: 'approve' }])
    await turns()
    expect(outcome(desk, subject())).toBe('approval_invalid')
  })

  test('it is shown frozen data', async () => {
    const seen: ApprovalQuestion[] = []
    const { desk } = bench({ ask: callbackApprovals((question) => void seen.push(question) as undefined) })
    desk.ask(subject(), [demand({ approvers: ['alice'] })])
    await turns()
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(frozen))
    expect(seen).toHaveLength(1)
    expect(frozen(seen[0])).toBe(true)
  })
})

describe('too many questions', () => {
  test('beyond the bound nobody is asked, and nothing is allowed', () => {
    const { desk } = bench({ maxOpen: 3 })
    const asked = [1, 2, 3].map((run) => questionOf(desk.ask(subject({ run: `r${run}` }), one)))
    const refused = desk.ask(subject({ run: 'r4' }), one)
    expect(refused).toMatchObject({ ok: false, denial: { code: 'approval_required', subject: { tool: 'pay' } } })
    expect(refused.ok ? '' : refused.denial.detail).toMatch(/3 questions are open/)
    // The same call is no further question, and an answer makes room.
    expect(desk.ask(subject({ run: 'r1' }), one)).toMatchObject({ ok: true, repeated: true })
    const [first] = asked
    if (first === undefined) throw new Error('unreachable')
    desk.answer({ question: first.id, digest: first.digest, approver: 'alice', decision: 'refuse' })
    expect(desk.ask(subject({ run: 'r4' }), one).ok).toBe(true)
  })

  test('text is bounded, too, and closed questions are forgotten', () => {
    const { desk } = bench()
    const big = (run: number) => subject({ run: `r${run}`, args: { text: 'x'.repeat(4_000_000) } })
    const results = Array.from({ length: 18 }, (_, run) => desk.ask(big(run), one).ok)
    expect(results.filter(Boolean)).toHaveLength(16)
    const many = bench({ maxOpen: 2 }).desk
    const ids = Array.from({ length: 5 }, (_, run) => {
      const { id } = questionOf(many.ask(subject({ run: `r${run}` }), one))
      many.revoke({ question: id }, 'over')
      return id
    })
    expect(ids.map((id) => many.state(id))).toEqual([undefined, undefined, undefined, 'revoked', 'revoked'])
  })

  test('arguments that are no data are not asked about', () => {
    const { desk } = bench()
    const denied = desk.ask(subject({ args: { when: new Date(0) } as never }), one)
    expect(denied).toMatchObject({ ok: false, denial: { code: 'arguments_unreadable' } })
  })
})
