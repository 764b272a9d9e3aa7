// Random graphs, random failures, random order (halt.md §8: P1, P2, P4, P5, P8; H18), against reference.ts.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { HaltChange } from '../../src/halt/changes.ts'
import type { Graph } from '../../src/halt/graph.ts'
import { HaltPropagator } from '../../src/halt/propagator.ts'
import { ON_FAILURE } from '../../src/halt/schema.ts'
import type { HaltScope } from '../../src/halt/scope.ts'
import { NODE_OUTCOMES, type NodeOutcome } from '../../src/halt/state.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { graphOf, type NodeSpec } from './helpers.ts'
import { ReferenceRun } from './reference.ts'

const NAMES = ['n0', 'constructor', 'toString', 'n3', 'valueOf', 'n5', 'hasOwnProperty', 'n7', 'n8'] as const

function graphs(dispositions: readonly NodeSpec['onFailure'][]): fc.Arbitrary<Graph> {
  return fc.integer({ min: 1, max: NAMES.length }).chain((size) =>
    fc
      .tuple(
        ...Array.from({ length: size }, (_, number) =>
          fc.record({
            after: fc.subarray([...NAMES.slice(0, number)]),
            onFailure: fc.constantFrom(...dispositions),
            attempts: fc.constantFrom(1, 1, 2, 3),
          }),
        ),
      )
      .chain((specs) =>
        // The order nodes are written in must not matter.
        fc
          .shuffledSubarray(
            specs.map((_, number) => number),
            { minLength: size },
          )
          .map((order) =>
            graphOf(new Map(order.map((number) => [NAMES[number] as string, specs[number] as NodeSpec]))),
          ),
      ),
  )
}

type Step =
  | { readonly type: 'admit'; readonly node: string }
  | { readonly type: 'settle'; readonly node: string; readonly back: number; readonly outcome: NodeOutcome }
  | { readonly type: 'halt' | 'close' }

const anyNode = fc.constantFrom(...NAMES, 'nobody')
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: fc.record({ type: fc.constant('admit' as const), node: anyNode }) },
    {
      weight: 10,
      arbitrary: fc.record({
        type: fc.constant('settle' as const),
        node: anyNode,
        back: fc.constantFrom(0, 0, 0, 0, 1, -1),
        outcome: fc.constantFrom('succeeded' as const, 'succeeded' as const, ...NODE_OUTCOMES),
      }),
    },
    { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('halt' as const, 'close' as const) }) },
  ),
  { maxLength: 60 },
)

function statusOf(scope: HaltScope, node: string): string {
  const state = scope.nodeState(node)
  return state?.status === 'skipped' ? `skipped:${state.reason}` : (state?.status ?? 'unknown')
}

function play(scope: HaltScope, model: ReferenceRun, step: Step): void {
  if (step.type === 'admit') {
    const expected = model.admissible(step.node)
    const answer = scope.admit(step.node)
    expect(answer.ok).toBe(expected)
    if (expected) model.log.push({ kind: 'admitted', node: step.node })
    if (answer.ok) expect(answer.attempt).toBe(model.attempts(step.node))
    else if (model.over !== undefined) expect(answer.code).toBe(model.over)
  } else if (step.type === 'settle') {
    const attempt = model.attempts(step.node) - step.back
    const live = step.back === 0 && model.over === undefined && model.status(step.node) === 'running'
    const disposition = model.disposition(step.node, step.outcome)
    const answer = scope.settle(step.node, attempt, step.outcome)
    expect(answer.accepted).toBe(live)
    if (!answer.accepted) return
    expect(answer.disposition).toBe(disposition)
    model.log.push({ kind: 'settled', node: step.node, outcome: step.outcome })
    if (disposition === 'halt') model.log.push({ kind: 'halted' })
  } else if (step.type === 'halt') {
    scope.halt({ reason: 'stop' })
    if (model.over === undefined) model.log.push({ kind: 'halted' })
  } else {
    scope.close()
    if (model.over !== 'run_closed') model.log.push({ kind: 'closed' })
  }
}

describe('random runs', () => {
  test('every step agrees with the reference, and nothing that has ended changes', () => {
    fc.assert(
      fc.property(graphs(ON_FAILURE), steps, (graph, script) => {
        const propagator = new HaltPropagator()
        const changes: HaltChange[] = []
        propagator.onChange((change) => changes.push(change))
        const scope = propagator.open('run', graph)
        const model = new ReferenceRun(graph)
        const ended = new Map<string, unknown>()
        for (const step of script) {
          play(scope, model, step)
          const ready = new Set(scope.ready())
          for (const node of graph.nodes.keys()) {
            expect(`${node} ${statusOf(scope, node)}`).toBe(`${node} ${model.status(node)}`)
            expect(ready.has(node)).toBe(model.admissible(node))
            const state = scope.nodeState(node)
            // P1: one terminal state; once there, the very same object for ever.
            if (ended.has(node)) expect(state).toBe(ended.get(node))
            else if (state?.status !== 'pending' && state?.status !== 'running') ended.set(node, state)
          }
        }
        // P4: one report.
        expect(changes.filter(({ type }) => type === 'halted').length).toBe(
          model.log.some(({ kind }) => kind === 'halted') ? 1 : 0,
        )
        scope.close()
        for (const node of graph.nodes.keys()) expect(['pending', 'running']).not.toContain(statusOf(scope, node))
      }),
      { numRuns: fuzzRuns(400) },
    )
  })
})

/** What each attempt of each node will come to, whenever it is started. */
type Fate = (node: string, attempt: number) => NodeOutcome

const fates: fc.Arbitrary<Fate> = fc
  .infiniteStream(fc.constantFrom<NodeOutcome>('succeeded', 'succeeded', ...NODE_OUTCOMES))
  .map((stream) => {
    const drawn = NAMES.map(() => [0, 1, 2].map(() => stream.next().value as NodeOutcome))
    return (node, attempt) => drawn[NAMES.indexOf(node as (typeof NAMES)[number])]?.[attempt - 1] ?? 'succeeded'
  })

/** Runs to the end; `choose` picks among all that could happen next. */
function schedule(
  graph: Graph,
  fate: Fate,
  choose: (count: number) => number,
): { scope: HaltScope; started: string[]; changes: HaltChange[] } {
  const propagator = new HaltPropagator()
  const changes: HaltChange[] = []
  propagator.onChange((change) => changes.push(change))
  const scope = propagator.open('run', graph)
  const running = new Map<string, number>()
  const started: string[] = []
  for (;;) {
    const ready = scope.ready()
    const moves = [
      ...ready.map((node) => ['start', node] as const),
      ...[...running.keys()].map((node) => ['end', node] as const),
    ]
    const move = moves[moves.length === 0 ? 0 : choose(moves.length)]
    if (move === undefined) return { scope, started, changes }
    const [kind, node] = move
    if (kind === 'start') {
      const admitted = scope.admit(node)
      if (!admitted.ok) throw new Error(`${node} was ready and is refused: ${admitted.detail}`)
      started.push(`${node} ${admitted.attempt}`)
      running.set(node, admitted.attempt)
    } else {
      const attempt = running.get(node) as number
      running.delete(node)
      scope.settle(node, attempt, fate(node, attempt))
    }
  }
}

/** A small deterministic sequence of choices. */
function chooser(seed: number): (count: number) => number {
  let state = seed >>> 0
  return (count) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * count)
  }
}

describe('random schedules', () => {
  test('P8: without halts every schedule comes to the same end', () => {
    fc.assert(
      fc.property(graphs(['skip_downstream', 'continue']), fates, fc.nat(), fc.nat(), (graph, fate, one, other) => {
        const first = schedule(graph, fate, chooser(one))
        const second = schedule(graph, fate, chooser(other))
        // Which of several failed upstreams is named as the reason may differ; that it is skipped may not.
        const end = (scope: HaltScope): unknown => [...graph.nodes.keys()].map((node) => scope.nodeState(node)?.status)
        expect(end(second.scope)).toEqual(end(first.scope))
        expect([...second.started].sort()).toEqual([...first.started].sort())
        expect(second.scope.close().state).toBe(first.scope.close().state)
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  test('P2, P5, H18: nothing starts below a failure that was not tolerated, or again after a denial; one report at most', () => {
    fc.assert(
      fc.property(graphs(ON_FAILURE), fates, fc.nat(), (graph, fate, seed) => {
        const { scope, started, changes } = schedule(graph, fate, chooser(seed))
        for (const entry of started) {
          const [name = '', attempt = ''] = entry.split(' ')
          for (const upstream of graph.nodes.get(name)?.after ?? []) {
            const status = scope.nodeState(upstream)?.status
            const tolerated = graph.nodes.get(upstream)?.onFailure === 'continue' && status !== 'skipped'
            expect(status === 'succeeded' || tolerated).toBe(true)
          }
          for (let earlier = 1; earlier < Number(attempt); earlier++) {
            expect(['failed', 'errored']).toContain(fate(name, earlier))
          }
        }
        const summary = scope.close()
        expect(summary.counts.pending + summary.counts.running).toBe(0)
        expect(changes.filter(({ type }) => type === 'halted').length).toBe(summary.state === 'halted' ? 1 : 0)
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  test('control: a scheduler that goes on after any end starts what depends on a denied node', () => {
    // continueOn-style: a dependent runs as soon as its upstreams have ended, however they ended.
    const after: Record<string, readonly string[]> = { check: [], pay: ['check'] }
    const ends: Record<string, string> = { check: 'denied' }
    const started = Object.keys(after).filter(
      (node) => ends[node] === undefined && (after[node] ?? []).every((one) => ends[one] !== undefined),
    )
    expect(started).toEqual(['pay'])
    const scope = new HaltPropagator().open('run', graphOf({ check: {}, pay: { after: ['check'] } }))
    scope.admit('check')
    scope.settle('check', 1, 'denied')
    expect(scope.ready()).toEqual([])
  })
})

describe('P7: time to halt', () => {
  test('a halt of 10,000 running nodes is done when it returns, and soon', () => {
    const nodes = new Map(Array.from({ length: 10_000 }, (_, number) => [`n${number}`, {}]))
    const scope = new HaltPropagator().open('run', graphOf(nodes))
    let told = 0
    for (const name of nodes.keys()) {
      const admitted = scope.admit(name)
      if (admitted.ok) {
        admitted.signal.addEventListener('abort', () => {
          told += 1
        })
      }
    }
    const begin = performance.now()
    const report = scope.halt({ reason: 'stop' })
    expect(performance.now() - begin).toBeLessThan(10_000)
    expect(report.cancelled).toHaveLength(10_000)
    expect(told).toBe(10_000)
  })
})
