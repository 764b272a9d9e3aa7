// The desk against a model that keeps everything in one list and computes each state anew from the answers.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { approvalDigest } from '../../src/approval/subject.ts'
import type { ApprovalDemand } from '../../src/core/approval.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { bench, demand, subject } from './support.ts'

const CALLS = ['run-1', 'run-2', 'run-3'].map((run) => subject({ run }))
const DEMANDS: readonly (readonly ApprovalDemand[])[] = [
  [demand({ expiresMs: 50 })],
  [demand({ approvers: ['alice', 'bob', 'shop-bot'], quorum: 2, expiresMs: 80 })],
  [
    demand({ approvers: ['alice'], expiresMs: 50 }),
    demand({ rule: 'law', approvers: ['bob', 'Carol'], expiresMs: 30 }),
  ],
]
const PEOPLE = ['alice', 'bob', 'Carol', 'carol', 'shop-bot', 'toString']

interface Asked {
  readonly id: string
  readonly call: number
  readonly demands: readonly ApprovalDemand[]
  readonly at: number
  readonly log: { readonly who: string; readonly approves: boolean }[]
  revoked: boolean
  used: boolean
}

class Model {
  now = 0
  readonly asked: Asked[] = []

  lifetime(one: Asked): number {
    return Math.min(...one.demands.map(({ expiresMs }) => expiresMs))
  }

  met(one: Asked): boolean {
    const yes = one.log.filter(({ approves }) => approves).map(({ who }) => who)
    return one.demands.every(({ approvers, quorum }) => {
      const counted = yes.filter((who) => approvers.length === 0 || approvers.includes(who))
      return new Set(counted.map((who) => who.toLowerCase())).size >= quorum
    })
  }

  state(one: Asked): string {
    if (one.used) return 'used'
    if (one.revoked) return 'revoked'
    if (one.log.some(({ approves }) => !approves)) return 'refused'
    if (this.now >= one.at + this.lifetime(one)) return 'expired'
    return this.met(one) ? 'approved' : 'pending'
  }

  /** Undefined once it is forgotten. */
  known(one: Asked): string | undefined {
    const state = this.state(one)
    const lifetime = this.lifetime(one)
    return this.now >= one.at + (state === 'expired' ? 2 * lifetime : lifetime) ? undefined : state
  }

  latest(call: number): Asked | undefined {
    const last = this.asked.filter((one) => one.call === call).at(-1)
    return last !== undefined && this.known(last) !== undefined ? last : undefined
  }

  covers(one: Asked, demands: readonly ApprovalDemand[]): boolean {
    return demands.every((wanted) => one.demands.includes(wanted))
  }

  /** Whether asking finds a question instead of opening one. */
  finds(call: number, demands: readonly ApprovalDemand[]): Asked | undefined {
    const last = this.latest(call)
    const state = last === undefined ? undefined : this.state(last)
    if (last === undefined || state === undefined) return undefined
    if (state === 'refused') return last
    if (state !== 'pending' && state !== 'approved') return undefined
    if (this.covers(last, demands)) return last
    last.revoked = true
    return undefined
  }

  answer(one: Asked, who: string, approves: boolean): string {
    const state = this.known(one)
    if (state === undefined) return 'unknown_question'
    if (who === 'shop-bot') return 'requester'
    if (!one.demands.some(({ approvers }) => approvers.length === 0 || approvers.includes(who)))
      return 'not_an_approver'
    if (state !== 'pending' && state !== 'approved') return 'closed'
    if (approves && one.log.some((vote) => vote.who.toLowerCase() === who.toLowerCase())) return 'already_answered'
    if (approves && state === 'approved') return 'closed'
    one.log.push({ who, approves })
    return this.state(one)
  }

  redeem(call: number, demands: readonly ApprovalDemand[]): string {
    const last = this.latest(call)
    if (last === undefined) return 'approval_required'
    const state = this.state(last)
    if (state === 'pending') return 'approval_required'
    if (state === 'refused' || state === 'expired') return `approval_${state}`
    if (state !== 'approved' || !this.covers(last, demands)) return 'approval_invalid'
    last.used = true
    return 'ok'
  }
}

const index = (length: number) => fc.nat({ max: length - 1 })
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('ask' as const), call: index(3), demands: index(3) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      which: fc.nat({ max: 30 }),
      who: fc.constantFrom(...PEOPLE),
      approves: fc.integer({ min: 0, max: 5 }).map((dice) => dice > 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('redeem' as const), call: index(3), demands: index(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke' as const), call: index(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 40 }) }) },
)

test('every state, answer and redemption is the one the model gives', () => {
  const seen = new Set<string>()
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { desk, clock } = bench()
      const model = new Model()
      for (const one of steps) {
        switch (one.do) {
          case 'ask': {
            const call = CALLS[one.call] ?? subject()
            const demands = DEMANDS[one.demands] ?? []
            const found = model.finds(one.call, demands)
            const asked = desk.ask(call, demands)
            if (!asked.ok) throw new Error(asked.denial.detail)
            expect(asked.repeated).toBe(found !== undefined)
            if (found !== undefined) {
              expect([asked.question.id, asked.state]).toEqual([found.id, model.state(found)])
            } else {
              const fresh = { call: one.call, demands, at: model.now, log: [], revoked: false, used: false }
              model.asked.push({ id: asked.question.id, ...fresh })
            }
            break
          }
          case 'answer': {
            const about = model.asked[one.which % Math.max(model.asked.length, 1)]
            if (about === undefined) break
            const digest = approvalDigest(CALLS[about.call] ?? subject())
            const decision = one.approves ? 'approve' : 'refuse'
            const result = desk.answer({ question: about.id, digest, approver: one.who, decision })
            const said = result.accepted ? result.state : result.code
            expect(said).toBe(model.answer(about, one.who, one.approves))
            seen.add(`answer ${said}`)
            break
          }
          case 'redeem': {
            const demands = DEMANDS[one.demands] ?? []
            const redeemed = desk.redeem(approvalDigest(CALLS[one.call] ?? subject()), demands)
            const said = redeemed.ok ? 'ok' : redeemed.denial.code
            expect(said).toBe(model.redeem(one.call, demands))
            seen.add(`redeem ${said}`)
            break
          }
          case 'revoke':
            for (const asked of model.asked.filter(({ call }) => call === one.call)) {
              if (['pending', 'approved'].includes(model.state(asked))) asked.revoked = true
            }
            desk.revoke({ run: CALLS[one.call]?.run ?? '' }, 'over')
            break
          case 'wait':
            model.now += one.ms
            clock.advance(one.ms)
        }
        for (const asked of model.asked) expect(desk.state(asked.id)).toBe(model.known(asked))
      }
    }),
    { numRuns: fuzzRuns(1_500) },
  )
  // The property has been everywhere, or it has shown nothing.
  expect([...seen].sort()).toEqual([
    'answer already_answered',
    'answer approved',
    'answer closed',
    'answer not_an_approver',
    'answer pending',
    'answer refused',
    'answer requester',
    'answer unknown_question',
    'redeem approval_expired',
    'redeem approval_invalid',
    'redeem approval_refused',
    'redeem approval_required',
    'redeem ok',
  ])
})
