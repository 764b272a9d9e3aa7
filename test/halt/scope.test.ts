// What an outcome does to the rest: the tables of docs/halt.md.

import { describe, expect, test } from 'vitest'

import type { HaltChange } from '../../src/halt/changes.ts'
import { HaltPropagator } from '../../src/halt/propagator.ts'
import type { NodeOutcome } from '../../src/halt/state.ts'
import { type NodeSpec, pass, scopeOf, start, statusOf } from './helpers.ts'

// up → x → down → far, with side independent of all and running when x ends.
const DIAMOND = (x: NodeSpec): Record<string, NodeSpec> => ({
  up: {},
  x: { ...x, after: ['up'] },
  down: { after: ['x'] },
  far: { after: ['down'] },
  side: {},
})

describe('dispositions', () => {
  test.each<[NodeOutcome, NodeSpec, string, string, string, string, string]>([
    // outcome, node, disposition, x, down, side, run
    ['succeeded', {}, 'none', 'succeeded', 'pending', 'running', 'running'],
    ['succeeded', { critical: true }, 'none', 'succeeded', 'pending', 'running', 'running'],
    ['denied', {}, 'skip_downstream', 'denied', 'skipped:upstream_denied', 'running', 'running'],
    ['denied', { attempts: 3 }, 'skip_downstream', 'denied', 'skipped:upstream_denied', 'running', 'running'],
    ['denied', { critical: true, attempts: 3 }, 'halt', 'denied', 'skipped:run_halted', 'cancelled', 'halted'],
    ['denied', { onFailure: 'continue', attempts: 3 }, 'continue', 'denied', 'pending', 'running', 'running'],
    ['failed', {}, 'skip_downstream', 'failed', 'skipped:upstream_failed', 'running', 'running'],
    ['failed', { attempts: 2 }, 'retry', 'pending', 'pending', 'running', 'running'],
    ['failed', { attempts: 2, critical: true }, 'retry', 'pending', 'pending', 'running', 'running'],
    ['failed', { onFailure: 'halt' }, 'halt', 'failed', 'skipped:run_halted', 'cancelled', 'halted'],
    ['failed', { onFailure: 'continue' }, 'continue', 'failed', 'pending', 'running', 'running'],
    ['errored', {}, 'skip_downstream', 'errored', 'skipped:upstream_failed', 'running', 'running'],
    ['errored', { attempts: 2 }, 'retry', 'pending', 'pending', 'running', 'running'],
    ['errored', { critical: true }, 'halt', 'errored', 'skipped:run_halted', 'cancelled', 'halted'],
    ['cancelled', { attempts: 3 }, 'skip_downstream', 'cancelled', 'skipped:upstream_failed', 'running', 'running'],
    ['cancelled', { critical: true }, 'halt', 'cancelled', 'skipped:run_halted', 'cancelled', 'halted'],
    ['cancelled', { onFailure: 'continue' }, 'continue', 'cancelled', 'pending', 'running', 'running'],
  ])('%s with %j: %s', (outcome, node, disposition, x, down, side, run) => {
    const scope = scopeOf(DIAMOND(node))
    pass(scope, 'up')
    start(scope, 'side', 'x')
    const settled = scope.settle('x', 1, outcome)
    expect(settled).toMatchObject({ accepted: true, disposition, halted: run === 'halted' })
    expect(statusOf(scope)).toMatchObject({ up: 'succeeded', x, down, side, far: down })
    expect(scope.state).toBe(run)
  })

  test('a whole cone is skipped before anything in it can start; what is beside it goes on', () => {
    const scope = scopeOf({ a: {}, b: {}, c: { after: ['a'] }, d: { after: ['c', 'b'] }, e: { after: ['b'] } })
    start(scope, 'a')
    pass(scope, 'b')
    expect(scope.settle('a', 1, 'denied')).toEqual({
      accepted: true,
      disposition: 'skip_downstream',
      skipped: ['c', 'd'],
      halted: false,
    })
    expect(scope.nodeState('d')).toEqual({ status: 'skipped', attempt: 0, reason: 'upstream_denied', because: 'a' })
    expect(scope.admit('d')).toMatchObject({ ok: false, code: 'node_not_ready' })
    expect(scope.ready()).toEqual(['e'])
    pass(scope, 'e')
    expect(scope.close()).toMatchObject({ state: 'degraded', counts: { denied: 1, skipped: 2, succeeded: 2 } })
  })

  test('a retry is a new attempt with a new signal, and the last attempt decides', () => {
    const scope = scopeOf({ a: { attempts: 2 }, b: { after: ['a'] } })
    const first = scope.admit('a')
    scope.settle('a', 1, 'failed')
    expect(scope.nodeState('a')).toEqual({ status: 'pending', attempt: 1 })
    expect(scope.admit('b')).toMatchObject({ ok: false, code: 'node_not_ready' })
    const second = scope.admit('a')
    if (!first.ok || !second.ok) throw new Error('refused')
    expect(second.attempt).toBe(2)
    expect(second.signal).not.toBe(first.signal)
    // The first attempt is over: its late success is not the second one's.
    expect(scope.settle('a', 1, 'succeeded')).toEqual({ accepted: false, reason: 'late_result' })
    expect(scope.settle('a', 2, 'failed')).toMatchObject({ disposition: 'skip_downstream', skipped: ['b'] })
    expect(scope.admit('a')).toMatchObject({ ok: false, code: 'node_not_ready' })
  })

  test('work that must not happen twice vetoes its retry', () => {
    const scope = scopeOf({ a: { attempts: 3 } })
    start(scope, 'a')
    expect(scope.settle('a', 1, 'failed', { final: true })).toMatchObject({ disposition: 'skip_downstream' })
  })

  test('a node that waits for its retry when the run halts was started, so it is cancelled and not skipped', () => {
    const scope = scopeOf({ a: { attempts: 3 }, b: { after: ['a'] } })
    start(scope, 'a')
    scope.settle('a', 1, 'failed')
    expect(scope.halt({ reason: 'stop' })).toMatchObject({ cancelled: [{ node: 'a', attempt: 1 }], skipped: ['b'] })
    expect(scope.admit('a')).toMatchObject({ ok: false, code: 'run_halted' })
  })
})

describe('admission', () => {
  test.each<[string, string, string, string]>([
    ['a node that waits', 'b', 'node_not_ready', 'it waits for a (running)'],
    ['a node that runs', 'a', 'node_not_ready', 'attempt 1 is running'],
    ['a node that has ended', 'c', 'node_not_ready', 'it has already ended (succeeded)'],
    ['a node that was skipped', 'e', 'node_not_ready', 'it was skipped (upstream_denied: d)'],
    ['a node nobody knows', 'zz', 'node_unknown', 'the graph has no such node'],
  ])('%s', (_name, node, code, detail) => {
    const scope = scopeOf({ a: {}, b: { after: ['a'] }, c: {}, d: {}, e: { after: ['d'] } })
    start(scope, 'a', 'd')
    pass(scope, 'c')
    scope.settle('d', 1, 'denied')
    expect(scope.admit(node)).toEqual({ ok: false, code, detail })
  })

  test('names that are no text are unknown', () => {
    const scope = scopeOf({ a: {} })
    for (const name of [undefined, null, 0, {}, ['a'], Symbol('a')]) {
      expect(scope.admit(name as string)).toMatchObject({ ok: false, code: 'node_unknown' })
    }
  })

  test.each<[NodeOutcome]>([['denied'], ['failed'], ['errored'], ['cancelled']])(
    'H09: behind a node that %s and may, the next one gets a typed missing',
    (outcome) => {
      const scope = scopeOf({ a: { onFailure: 'continue' }, ok: {}, b: { after: ['ok', 'a'] } })
      pass(scope, 'ok')
      start(scope, 'a')
      expect(scope.admit('b').ok).toBe(false)
      scope.settle('a', 1, outcome)
      const admitted = scope.admit('b')
      expect(admitted.ok && admitted.missing).toEqual([{ status: 'missing', node: 'a', reason: outcome }])
    },
  )

  test('H09: behind a skipped node nothing runs, so nothing can be read', () => {
    const scope = scopeOf({ a: {}, b: { after: ['a'], onFailure: 'continue' }, c: { after: ['b'] } })
    start(scope, 'a')
    scope.settle('a', 1, 'failed')
    // That b tolerates its own failure says nothing about b never having run.
    expect(statusOf(scope)).toMatchObject({ b: 'skipped:upstream_failed', c: 'skipped:upstream_failed' })
  })

  test('H17: a join below a tolerated failure runs, and the run is degraded', () => {
    const scope = scopeOf({ a: { onFailure: 'continue' }, b: {}, join: { after: ['a', 'b'] } })
    start(scope, 'a')
    pass(scope, 'b')
    scope.settle('a', 1, 'failed')
    pass(scope, 'join')
    expect(scope.close().state).toBe('degraded')
  })

  test('control: a scheduler that hands on an empty text lets the report be written from nothing', () => {
    // As workflow engines do whose outputs of a skipped or failed step are the empty string.
    const outputs: Record<string, string | undefined> = { prices: undefined }
    const naive = (name: string): string => outputs[name] ?? ''
    expect(`buy ${naive('prices')} shares`).toBe('buy  shares')
    const scope = scopeOf({ prices: {}, buy: { after: ['prices'] } })
    start(scope, 'prices')
    scope.settle('prices', 1, 'failed')
    expect(scope.admit('buy').ok).toBe(false)
  })
})

describe('one end per attempt', () => {
  test.each<[string, number, string]>([
    ['of an attempt that is over', 1, 'late_result'],
    ['of an attempt never admitted', 2, 'attempt_unknown'],
    ['of attempt 0', 0, 'attempt_unknown'],
    ['of attempt -1', -1, 'attempt_unknown'],
    ['of attempt 0.5', 0.5, 'attempt_unknown'],
    ['of attempt NaN', Number.NaN, 'attempt_unknown'],
    ['of attempt Infinity', Number.POSITIVE_INFINITY, 'attempt_unknown'],
  ])('a result %s changes nothing', (_name, attempt, reason) => {
    const scope = scopeOf({ a: { critical: true } })
    pass(scope, 'a')
    expect(scope.settle('a', attempt, 'denied')).toEqual({ accepted: false, reason })
    expect(scope.nodeState('a')).toEqual({ status: 'succeeded', attempt: 1 })
    expect(scope.state).toBe('running')
  })

  test('a node that was never admitted cannot succeed', () => {
    const scope = scopeOf({ a: {} })
    expect(scope.settle('a', 1, 'succeeded')).toEqual({ accepted: false, reason: 'attempt_unknown' })
    expect(scope.settle('a', 0, 'succeeded')).toEqual({ accepted: false, reason: 'attempt_unknown' })
    expect(scope.nodeState('a')).toEqual({ status: 'pending', attempt: 0 })
  })

  test.each([undefined, null, 'success', 'pending', 'skipped', 'running', 0, {}])('outcome %j is misuse', (outcome) => {
    const scope = scopeOf({ a: {} })
    start(scope, 'a')
    expect(() => scope.settle('a', 1, outcome as NodeOutcome)).toThrow(TypeError)
    expect(scope.nodeState('a')?.status).toBe('running')
  })

  test('H03: a late success after a halt is dropped and recorded', () => {
    const propagator = new HaltPropagator()
    const changes: HaltChange[] = []
    propagator.onChange((change) => changes.push(change))
    const scope = scopeOf({ a: {}, b: {} }, propagator)
    start(scope, 'a')
    scope.halt({ reason: 'stop' })
    expect(scope.settle('a', 1, 'succeeded')).toEqual({ accepted: false, reason: 'late_result' })
    expect(scope.nodeState('a')).toEqual({ status: 'cancelled', attempt: 1, by: 'halt' })
    expect(changes.at(-1)).toMatchObject({
      type: 'result_dropped',
      node: 'a',
      attempt: 1,
      outcome: 'succeeded',
      reason: 'late_result',
    })
  })

  test('H04: a denial is not retried, whatever the graph allows', () => {
    const scope = scopeOf({ a: { attempts: 10 } })
    start(scope, 'a')
    expect(scope.settle('a', 1, 'denied', { code: 'forbidden' })).toMatchObject({ disposition: 'skip_downstream' })
    expect(scope.admit('a')).toMatchObject({ ok: false, code: 'node_not_ready' })
    expect(scope.nodeState('a')).toEqual({ status: 'denied', attempt: 1, code: 'forbidden' })
  })
})

describe('halt', () => {
  test('H05: two critical nodes denied in one tick: one cause, the other secondary, one report', () => {
    const propagator = new HaltPropagator()
    const reports: string[] = []
    propagator.onChange((change) => change.type === 'halted' && reports.push(change.report.id))
    const scope = scopeOf({ a: { critical: true }, b: { critical: true }, c: { after: ['a'] } }, propagator)
    start(scope, 'a', 'b')
    expect(scope.settle('a', 1, 'denied', { code: 'forbidden', detail: 'no' })).toMatchObject({
      disposition: 'halt',
      halted: true,
    })
    expect(scope.settle('b', 1, 'denied')).toEqual({ accepted: false, reason: 'late_result' })
    expect(scope.settle('b', 1, 'denied')).toEqual({ accepted: false, reason: 'late_result' })
    expect(scope.cause).toEqual({
      reason: 'node a was denied: no',
      node: 'a',
      attempt: 1,
      code: 'forbidden',
      scope: 'run',
    })
    expect(scope.secondary).toEqual([{ reason: 'node b was denied', node: 'b', attempt: 1, scope: 'run' }])
    expect(reports).toHaveLength(1)
    expect(statusOf(scope)).toEqual({ a: 'denied', b: 'cancelled', c: 'skipped:run_halted' })
  })

  test('a late result that would not have halted is no cause', () => {
    const scope = scopeOf({ a: {}, b: { critical: true }, c: { critical: true }, d: { critical: true, attempts: 2 } })
    start(scope, 'a', 'b', 'c', 'd')
    scope.halt({ reason: 'stop' })
    scope.settle('a', 1, 'denied')
    scope.settle('b', 1, 'succeeded')
    scope.settle('c', 1, 'cancelled')
    scope.settle('d', 1, 'failed')
    expect(scope.secondary).toEqual([])
  })

  test('the report is made once and is the same object for ever', () => {
    const scope = scopeOf({ a: {}, b: { after: ['a'] } })
    start(scope, 'a')
    const report = scope.halt({ reason: 'first', code: 'operator' })
    expect(report).toMatchObject({
      scope: 'run',
      latched: true,
      route: 'own',
      cause: { reason: 'first', code: 'operator', scope: 'run' },
      cancelled: [{ node: 'a', attempt: 1 }],
      skipped: ['b'],
      counts: { cancelled: 1, skipped: 1, running: 0, pending: 0 },
    })
    expect(scope.halt({ reason: 'second' })).toBe(report)
    expect(scope.report).toBe(report)
    expect(scope.cause?.reason).toBe('first')
    expect(scope.secondary.map(({ reason }) => reason)).toEqual(['second'])
    expect(Object.isFrozen(report)).toBe(true)
    const summary = scope.close()
    expect(summary).toMatchObject({ state: 'halted', cause: report.cause })
    expect(scope.halt({ reason: 'third' })).toBe(report)
    expect(scope.close()).toBe(summary)
  })

  test('H12: after a halt nothing is admitted; after a close everything is run_closed', () => {
    const scope = scopeOf({ a: {}, b: {} })
    scope.halt({ reason: 'stop' })
    for (const name of ['a', 'b', 'unknown']) expect(scope.admit(name)).toMatchObject({ ok: false, code: 'run_halted' })
    expect(scope.ready()).toEqual([])
    scope.close()
    for (const name of ['a', 'b', 'unknown']) expect(scope.admit(name)).toMatchObject({ ok: false, code: 'run_closed' })
    expect(scope.settle('a', 1, 'succeeded')).toEqual({ accepted: false, reason: 'run_closed' })
    expect(scope.settle('unknown', 1, 'succeeded')).toEqual({ accepted: false, reason: 'run_closed' })
    expect(scope.state).toBe('closed')
  })

  test('H11: whoever waits on the signal of an attempt is woken at once', async () => {
    const scope = scopeOf({ a: {} })
    const admitted = scope.admit('a')
    if (!admitted.ok) throw new Error('refused')
    const approval = new Promise((_resolve, reject) => {
      admitted.signal.addEventListener('abort', () => reject(admitted.signal.reason as Error))
    })
    scope.halt({ reason: 'operator stop', code: 'operator' })
    await expect(approval).rejects.toMatchObject({
      code: 'ERR_HALTED',
      halt: { reason: 'operator stop', scope: 'run' },
    })
    expect(scope.signal.aborted).toBe(true)
    // An approval that arrives afterwards finds nothing to approve.
    expect(scope.settle('a', 1, 'succeeded')).toMatchObject({ accepted: false })
  })

  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'no reason was given'],
    ['null', null, 'no reason was given'],
    ['a text', 'why', 'why'],
    ['an empty reason', { reason: '' }, 'no reason was given'],
    ['a reason that is no text', { reason: 7, node: {}, code: [] }, 'no reason was given'],
    ['a reason that reorders the line', { reason: 'a\u202eb\n' }, 'a\\u{202e}b\\u{a}'],
    [
      'a getter that throws',
      {
        get reason(): string {
          throw new Error('boo')
        },
      },
      'the reason could not be read',
    ],
  ])('a halt that is asked for wrongly still halts: %s', (_name, request, reason) => {
    const scope = scopeOf({ a: {} })
    start(scope, 'a')
    expect(scope.halt(request as { reason: string })).toMatchObject({ latched: true, cause: { reason } })
    expect(scope.state).toBe('halted')
  })

  test('a clock that fails does not keep a run from being halted', () => {
    const clock = {
      now: (): number => {
        throw new Error('no clock')
      },
      monotonic: () => 0,
    }
    const scope = scopeOf({ a: {} }, new HaltPropagator({ clock }))
    expect(scope.halt({ reason: 'stop' })).toMatchObject({ latched: true, at: 0 })
  })

  test('causes that come later are kept up to a bound', () => {
    const scope = scopeOf({ a: {} })
    for (let index = 0; index < 1_000; index++) scope.halt({ reason: `cause ${index}` })
    expect(scope.cause?.reason).toBe('cause 0')
    expect(scope.secondary).toHaveLength(100)
  })

  test('a halt of a closed run stops nothing and says so', () => {
    const scope = scopeOf({ a: {} })
    pass(scope, 'a')
    const summary = scope.close()
    const report = scope.halt({ reason: 'too late' })
    expect(report).toMatchObject({ latched: false, cancelled: [], skipped: [] })
    expect(scope.halt({ reason: 'again' })).toBe(report)
    expect(scope.state).toBe('closed')
    expect(scope.close()).toBe(summary)
    expect(summary.state).toBe('succeeded')
  })
})

describe('close', () => {
  test.each<[string, (scope: ReturnType<typeof scopeOf>) => void, string]>([
    ['all succeeded', (scope) => pass(scope, 'a', 'b'), 'succeeded'],
    ['nothing ran', () => undefined, 'cancelled'],
    ['one was running', (scope) => start(scope, 'a'), 'cancelled'],
    [
      'one was denied and the rest skipped',
      (scope) => {
        start(scope, 'a')
        scope.settle('a', 1, 'denied')
      },
      'degraded',
    ],
    ['it was halted', (scope) => scope.halt({ reason: 'stop' }), 'halted'],
  ])('%s', (_name, act, state) => {
    const scope = scopeOf({ a: {}, b: { after: ['a'] } })
    act(scope)
    expect(scope.close().state).toBe(state)
  })

  test('what is cut off is cancelled or skipped, and its signal says why', () => {
    const scope = scopeOf({ a: {}, b: {} })
    const admitted = scope.admit('a')
    if (!admitted.ok) throw new Error('refused')
    const summary = scope.close()
    expect(summary.nodes).toEqual([
      { node: 'a', status: 'cancelled', attempt: 1, by: 'close' },
      { node: 'b', status: 'skipped', attempt: 0, reason: 'run_closed' },
    ])
    expect(admitted.signal.reason).toMatchObject({ code: 'ERR_HALTED', halt: { code: 'run_closed' } })
  })

  test('a run that went to its end is not aborted', () => {
    const scope = scopeOf({ a: {} })
    const admitted = scope.admit('a')
    if (!admitted.ok) throw new Error('refused')
    scope.settle('a', 1, 'succeeded')
    scope.close()
    expect(scope.signal.aborted).toBe(false)
  })

  test('an empty graph succeeds', () => {
    expect(scopeOf({}).close().state).toBe('succeeded')
  })
})
