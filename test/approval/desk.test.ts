// What the desk does besides deciding: waiting, telling, and refusing to be misused.

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ApprovalDesk } from '../../src/approval/desk.ts'
import type { ApprovalPort } from '../../src/approval/port.ts'
import { approvalDigest } from '../../src/approval/subject.ts'
import { systemClock } from '../../src/core/clock.ts'
import { bench, demand, questionOf, subject, turns } from './support.ts'

const one = [demand()]

function approval(question: { readonly id: string; readonly digest: string }, approver = 'alice') {
  return { question: question.id, digest: question.digest, approver, decision: 'approve' as const }
}

describe('waiting', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test.each([
    ['approved', (desk: ApprovalDesk, id: string) => desk.answer(approval({ id, digest: approvalDigest(subject()) }))],
    [
      'refused',
      (desk: ApprovalDesk, id: string) =>
        desk.answer({ ...approval({ id, digest: approvalDigest(subject()) }), decision: 'refuse' }),
    ],
    ['revoked', (desk: ApprovalDesk) => desk.revoke({ run: 'run-1' }, 'halted')],
  ] as const)('ends when the question is %s', async (state, act) => {
    const { desk } = bench()
    const { id } = questionOf(desk.ask(subject(), one))
    const waiting = desk.settled(id)
    expect(vi.getTimerCount()).toBe(1)
    act(desk, id)
    expect(await waiting).toBe(state)
    expect(await desk.settled(id)).toBe(state)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('ends by itself when the question expires, however early timers are', async () => {
    const { desk, clock } = bench()
    const { id } = questionOf(desk.ask(subject(), one))
    const waiting = desk.settled(id)
    clock.advance(599_999)
    await vi.advanceTimersByTimeAsync(600_000)
    expect(vi.getTimerCount()).toBe(1)
    clock.advance(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(await waiting).toBe('expired')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a time longer than timers can be is waited for without a hurry', async () => {
    let reads = 0
    const monotonic = (): number => {
      reads++
      return 0
    }
    const { desk } = bench({ clock: { now: () => 0, monotonic } })
    const { id } = questionOf(desk.ask(subject(), [demand({ expiresMs: 2 ** 40 })]))
    void desk.settled(id)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(desk.state(id)).toBe('pending')
    expect(reads).toBeLessThan(10)
    desk.revoke({}, 'over')
  })

  test('can be given up, which leaves nothing behind and the question open', async () => {
    const { desk } = bench()
    const { id } = questionOf(desk.ask(subject(), one))
    const controller = new AbortController()
    const waiting = desk.settled(id, controller.signal)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    expect(vi.getTimerCount()).toBe(0)
    await expect(desk.settled(id, controller.signal)).rejects.toThrow('enough')
    expect(desk.state(id)).toBe('pending')
  })

  test('for what is not known is over at once', async () => {
    expect(await bench().desk.settled('approval-0')).toBe('forgotten')
  })

  test('the port hears that the question has expired, and no timer stays', async () => {
    let heard: AbortSignal | undefined
    const ask: ApprovalPort = {
      name: 'x',
      ask: (_, signal) => {
        heard = signal
      },
    }
    const { desk, clock } = bench({ ask })
    desk.ask(subject(), one)
    await turns()
    expect(heard?.aborted).toBe(false)
    clock.advance(600_000)
    await vi.advanceTimersByTimeAsync(600_000)
    expect(heard?.aborted).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })
})

test('an open question keeps no process alive; somebody who waits does', async () => {
  const source = `
    import { ApprovalDesk } from './src/approval/desk.ts'
    import { systemClock } from './src/core/clock.ts'
    import { demand, subject } from './test/approval/support.ts'
    const desk = new ApprovalDesk({ clock: systemClock, ask: { name: 'hangs', ask: () => new Promise(() => undefined) } })
    desk.ask(subject(), [demand({ expiresMs: 3_600_000 })])
    const brief = desk.ask(subject({ run: 'brief' }), [demand({ expiresMs: 20 })])
    console.log(await desk.settled(brief.question.id))
  `
  const resolveDir = fileURLToPath(new URL('../..', import.meta.url))
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire('/')" },
    logLevel: 'silent',
  })
  const args = ['--input-type=module', '-e', outputFiles[0]?.text ?? '']
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 })
  expect(stdout).toBe('expired\n')
})

describe('observers', () => {
  test('are told every change, in order, as plain data without the arguments', () => {
    const { desk, clock, changes } = bench()
    const two = [demand({ approvers: ['alice', 'bob'], quorum: 2 })]
    const question = questionOf(desk.ask(subject(), two))
    desk.ask(subject(), two)
    desk.answer(approval(question, 'mallory\n'))
    desk.answer({ ...approval(question), reason: 'looks\nright' })
    desk.answer(approval(question, 'bob'))
    desk.redeem(question.digest, two)
    desk.redeem(question.digest, two)
    const other = questionOf(desk.ask(subject({ run: 'run-2' }), one))
    desk.revoke({ run: 'run-2' }, 'halted')
    const late = questionOf(desk.ask(subject({ run: 'run-3' }), one))
    clock.advance(600_000)
    desk.pending()
    const base = {
      node: 'checkout',
      attempt: 1,
      principal: 'shop-bot',
      skill: 'payments',
      tool: 'pay',
      at: 1_767_225_600_000,
    }
    const of = ({ id, digest, run }: typeof question) => ({ ...base, question: id, digest, run })
    expect(changes).toEqual([
      { ...of(question), type: 'asked', demands: two },
      { ...of(question), type: 'rejected', code: 'not_an_approver', approver: 'mallory\\u{a}' },
      {
        ...of(question),
        type: 'answered',
        approver: 'alice',
        decision: 'approve',
        state: 'pending',
        reason: 'looks\\u{a}right',
      },
      { ...of(question), type: 'answered', approver: 'bob', decision: 'approve', state: 'approved' },
      { ...of(question), type: 'redeemed', approvers: ['alice', 'bob'] },
      { ...of(other), type: 'asked', demands: one },
      { ...of(other), type: 'revoked', reason: 'halted' },
      { ...of(late), type: 'asked', demands: one },
      { ...of(late), type: 'expired', at: 1_767_225_600_000 + 600_000 },
    ])
    expect(JSON.parse(JSON.stringify(changes))).toEqual(changes)
    expect(JSON.stringify(changes)).not.toContain('bob@example.com')
  })

  test('that throw, reject or call the desk change nothing and miss nothing', async () => {
    const seen: string[] = []
    let reentered = false
    const { desk } = bench({
      onChange: (change) => {
        seen.push(`${change.run} ${change.type}`)
        if (change.type === 'revoked' && !reentered) {
          reentered = true
          // Finds what the step that is being told of has left: the question asked anew, and not a third.
          desk.ask(subject(), one)
          desk.revoke({}, 'and everything else')
        }
        if (change.type === 'asked') return Promise.reject(new Error('async')) as never
        throw new Error('sync')
      },
    })
    const first = questionOf(desk.ask(subject(), one))
    const other = questionOf(desk.ask(subject({ run: 'run-2' }), one))
    const again = questionOf(desk.ask(subject(), [...one, demand({ rule: 'b' })]))
    await turns()
    expect([first, other, again].map(({ id }) => desk.state(id))).toEqual(['revoked', 'revoked', 'revoked'])
    const revoked = ['run-1 revoked', 'run-1 asked', 'run-2 revoked', 'run-1 revoked']
    expect(seen).toEqual(['run-1 asked', 'run-2 asked', ...revoked])
  })
})

describe('misuse', () => {
  test.each<[string, () => unknown]>([
    ['no clock', () => new ApprovalDesk({} as never)],
    ['a port that cannot ask', () => new ApprovalDesk({ clock: systemClock, ask: { name: 'x' } as never })],
    ['room for nothing', () => new ApprovalDesk({ clock: systemClock, maxOpen: 0 })],
    ['no demands', () => bench().desk.ask(subject(), [])],
    ['a quorum of nobody', () => bench().desk.ask(subject(), [demand({ quorum: 0 })])],
    ['no time', () => bench().desk.ask(subject(), [demand({ expiresMs: 0 })])],
    ['for ever', () => bench().desk.ask(subject(), [demand({ expiresMs: Number.POSITIVE_INFINITY })])],
    ['no list of approvers', () => bench().desk.ask(subject(), [demand({ approvers: 'alice' as never })])],
    ['no principal', () => bench().desk.ask(subject({ principal: '' }), one)],
    ['no attempt', () => bench().desk.ask(subject({ attempt: 0 }), one)],
    ['too many resources', () => bench().desk.ask(subject({ resources: new Array(1_000).fill('x') }), one)],
    ['redeeming without demands', () => bench().desk.redeem('sha256:0', [])],
  ])('%s', (_, act) => {
    expect(act).toThrow(TypeError)
  })

  test('a name that is not Unicode has no digest', () => {
    expect(() => bench().desk.ask(subject({ principal: '\ud800' }), one)).toThrow(
      expect.objectContaining({ code: 'ERR_VALUE_UNREADABLE' }),
    )
  })

  test.each([
    undefined,
    null,
    1,
    'approve',
    [],
    {},
    { question: 'x' },
    { question: 1, digest: 2, approver: 3, decision: 4 },
  ])('an answer that is %j', (answer) => {
    expect(bench().desk.answer(answer as never)).toEqual({ accepted: false, code: 'malformed' })
  })

  test('an answer to a question nobody asked', () => {
    expect(bench().desk.answer(approval({ id: '__proto__', digest: '' }))).toEqual({
      accepted: false,
      code: 'unknown_question',
    })
  })
})

test('pending lists what waits, the oldest first', () => {
  const { desk } = bench()
  const [a, b, c] = ['a', 'b', 'c'].map((run) => questionOf(desk.ask(subject({ run }), one)))
  if (a === undefined || b === undefined || c === undefined) throw new Error('unreachable')
  desk.answer(approval(b))
  expect(desk.pending()).toEqual([a, c])
})
