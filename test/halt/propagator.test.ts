import { describe, expect, test } from 'vitest'

import type { HaltChange } from '../../src/halt/changes.ts'
import { HaltPropagator } from '../../src/halt/propagator.ts'
import type { HaltScope } from '../../src/halt/scope.ts'
import { graphOf, pass, scopeOf, start } from './helpers.ts'

const GRAPH = graphOf({ a: { critical: true }, b: { after: ['a'] } })

/** root ─ left ─ leaf, root ─ right; and a run beside them. */
function tree(propagator: HaltPropagator): Record<'root' | 'left' | 'leaf' | 'right' | 'beside', HaltScope> {
  const root = propagator.open('root', GRAPH)
  const left = propagator.open('left', GRAPH, { parent: root })
  const leaf = propagator.open('leaf', GRAPH, { parent: left })
  const right = propagator.open('right', GRAPH, { parent: root })
  return { root, left, leaf, right, beside: propagator.open('beside', GRAPH) }
}

function haltsOf(propagator: HaltPropagator): string[] {
  const halts: string[] = []
  propagator.onChange((change) => change.type === 'halted' && halts.push(`${change.scope} ${change.report.route}`))
  return halts
}

describe('nested runs', () => {
  test.each<['root' | 'left' | 'leaf' | 'right', string[]]>([
    ['leaf', ['leaf own', 'left from_child', 'root from_child', 'right from_parent']],
    ['left', ['left own', 'root from_child', 'leaf from_parent', 'right from_parent']],
    ['right', ['right own', 'root from_child', 'left from_parent', 'leaf from_parent']],
    ['root', ['root own', 'left from_parent', 'leaf from_parent', 'right from_parent']],
  ])(
    'H16: a halt in %s goes up to the root, inner first, and then to all others, one record each',
    (origin, expected) => {
      const propagator = new HaltPropagator()
      const scopes = tree(propagator)
      for (const scope of Object.values(scopes)) start(scope, 'a')
      const halts = haltsOf(propagator)
      expect(scopes[origin].settle('a', 1, 'denied')).toMatchObject({ halted: true })
      expect(halts).toEqual(expected)
      for (const name of ['root', 'left', 'leaf', 'right'] as const) {
        expect(scopes[name].state).toBe('halted')
        expect(scopes[name].signal.aborted).toBe(true)
        expect(scopes[name].cause).toMatchObject({ scope: origin, node: 'a' })
        expect(scopes[name].admit('b')).toMatchObject({ code: 'run_halted' })
      }
      expect(scopes.beside.state).toBe('running')
      const ids = Object.values(scopes).flatMap((scope) => scope.report?.id ?? [])
      expect(new Set(ids).size).toBe(4)
      // A second halt anywhere in the tree changes nothing and makes no second record.
      scopes.root.halt({ reason: 'again' })
      scopes.leaf.halt({ reason: 'again' })
      expect(halts).toEqual(expected)
    },
  )

  test('a closed inner run carries nothing either way', () => {
    const propagator = new HaltPropagator()
    const { root, left, leaf, right } = tree(propagator)
    left.close()
    expect([left.state, leaf.state, root.state]).toEqual(['closed', 'closed', 'running'])
    leaf.halt({ reason: 'too late' })
    expect(root.state).toBe('running')
    right.halt({ reason: 'stop' })
    expect(root.state).toBe('halted')
    expect([left.cause, leaf.cause]).toEqual([undefined, undefined])
  })

  test('a run does not close before the runs inside of it', () => {
    const propagator = new HaltPropagator()
    const closed: string[] = []
    propagator.onChange((change) => change.type === 'closed' && closed.push(`${change.scope} ${change.summary.state}`))
    const { root, beside } = tree(propagator)
    root.close()
    expect(closed).toEqual(['leaf cancelled', 'left cancelled', 'right cancelled', 'root cancelled'])
    expect(propagator.scopes()).toEqual([beside])
  })

  test('a listener that opens a run inside of a closing one is refused, so closing ends', () => {
    const propagator = new HaltPropagator()
    const root = propagator.open('root', GRAPH)
    const inner = propagator.open('inner', GRAPH, { parent: root })
    let refused: unknown
    inner.signal.addEventListener('abort', () => {
      try {
        propagator.open('more', GRAPH, { parent: root })
      } catch (error) {
        refused = error
      }
    })
    root.close()
    expect(refused).toMatchObject({ code: 'ERR_STATE_INVALID' })
  })

  test.each<[string, (propagator: HaltPropagator, parent: HaltScope) => void, object]>([
    ['a halted run', (_propagator, parent) => parent.halt({ reason: 'x' }), { code: 'ERR_HALTED' }],
    ['a closed run', (_propagator, parent) => parent.close(), { code: 'ERR_STATE_INVALID' }],
  ])('nothing is opened inside of %s', (_name, act, error) => {
    const propagator = new HaltPropagator()
    const parent = propagator.open('parent', GRAPH)
    act(propagator, parent)
    expect(() => propagator.open('inner', GRAPH, { parent })).toThrow(expect.objectContaining(error))
    expect(propagator.scope('inner')).toBeUndefined()
  })

  test('nesting is bounded', () => {
    const propagator = new HaltPropagator()
    let parent = propagator.open('d0', GRAPH)
    for (let depth = 1; depth < 64; depth++) parent = propagator.open(`d${depth}`, GRAPH, { parent })
    expect(() => propagator.open('d64', GRAPH, { parent })).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_INVALID' }),
    )
    parent.halt({ reason: 'stop' })
    expect(propagator.scope('d0')?.state).toBe('halted')
  })
})

describe('runs by name', () => {
  test('one run of an id at a time; after its close the id is free', () => {
    const propagator = new HaltPropagator()
    const first = scopeOf({ a: {} }, propagator)
    expect(() => scopeOf({ a: {} }, propagator)).toThrow(expect.objectContaining({ code: 'ERR_STATE_INVALID' }))
    const report = first.halt({ reason: 'x' })
    // Halted is not closed: the id stays taken until the executor is done with it.
    expect(propagator.scope('run')).toBe(first)
    first.close()
    const second = scopeOf({ a: {} }, propagator)
    expect(second.halt({ reason: 'x' }).id).not.toBe(report.id)
  })

  test('halt by id; a stop that stops nothing is noticed', () => {
    const propagator = new HaltPropagator()
    const scope = scopeOf({ a: {} }, propagator)
    expect(propagator.halt('run', { reason: 'operator' })).toBe(scope.report)
    for (const id of ['rnu', '__proto__', 'constructor']) {
      expect(() => propagator.halt(id, { reason: 'x' })).toThrow(expect.objectContaining({ code: 'ERR_STATE_INVALID' }))
    }
  })

  test('haltAll stops every tree, each run once', () => {
    const propagator = new HaltPropagator()
    const scopes = tree(propagator)
    const halts = haltsOf(propagator)
    const reports = propagator.haltAll({ reason: 'emergency' })
    expect(reports).toHaveLength(5)
    expect(halts).toHaveLength(5)
    for (const scope of Object.values(scopes)) {
      expect(scope.state).toBe('halted')
      expect(scope.secondary).toEqual([])
      expect(reports).toContain(scope.report)
    }
  })

  test.each<[string, () => unknown]>([
    ['an id that is no name', () => new HaltPropagator().open('a b', GRAPH)],
    ['no id', () => new HaltPropagator().open(undefined as unknown as string, GRAPH)],
    ['no graph', () => new HaltPropagator().open('run', undefined as unknown as typeof GRAPH)],
    [
      'a parent of another propagator',
      () => new HaltPropagator().open('run', GRAPH, { parent: new HaltPropagator().open('p', GRAPH) }),
    ],
    ['a listener that is none', () => new HaltPropagator().onChange(7 as unknown as () => void)],
  ])('%s is misuse', (_name, act) => {
    expect(act).toThrow(TypeError)
  })
})

describe('observers', () => {
  test('one that throws, rejects or calls back affects nothing and nobody', async () => {
    const propagator = new HaltPropagator()
    const seen: string[] = []
    propagator.onChange(() => {
      throw new Error('observer bug')
    })
    propagator.onChange(() => Promise.reject(new Error('observer bug')))
    const thenable = new Proxy(
      {},
      {
        get: () => {
          throw new Error('thenable bug')
        },
      },
    )
    propagator.onChange(() => thenable)
    propagator.onChange((change) => {
      seen.push(`${change.scope} ${change.type}`)
      propagator.scope('run')?.halt({ reason: 'from an observer' })
    })
    propagator.onChange((change) => seen.push(`second ${change.type}`))
    const scope = scopeOf({ a: {} }, propagator)
    // The first observer of `opened` halts; every observer still sees the changes in the order they happened.
    expect(seen.slice(0, 4)).toEqual(['run opened', 'second opened', 'run halted', 'second halted'])
    expect(seen.filter((entry) => entry === 'second secondary')).toHaveLength(100)
    expect(scope.cause?.reason).toBe('from an observer')
    await new Promise((resolve) => setTimeout(resolve, 5))
  })

  test('what an observer is told has already happened', () => {
    const propagator = new HaltPropagator()
    const states: unknown[] = []
    propagator.onChange((change) => {
      const scope = propagator.scope('run')
      if (change.type === 'halted') states.push(scope?.state, scope?.signal.aborted, scope?.nodeState('a')?.status)
      if (change.type === 'admitted') states.push(scope?.nodeState('a')?.status)
    })
    const scope = scopeOf({ a: {} }, propagator)
    start(scope, 'a')
    scope.halt({ reason: 'x' })
    expect(states).toEqual(['running', 'halted', true, 'cancelled'])
  })

  test('the story of a run', () => {
    const propagator = new HaltPropagator({ clock: { now: () => 42, monotonic: () => 0 } })
    const story: HaltChange[] = []
    const stop = propagator.onChange((change) => story.push(change))
    const scope = scopeOf({ a: {}, b: { attempts: 2, onFailure: 'continue' }, c: { after: ['b'] } }, propagator)
    pass(scope, 'a')
    start(scope, 'b')
    scope.settle('b', 1, 'failed', { code: 'exit_1', detail: 'it\nbroke' })
    start(scope, 'b')
    scope.settle('b', 2, 'failed')
    start(scope, 'c')
    const summary = scope.close()
    const at = { scope: 'run', at: 42 }
    expect(story).toEqual([
      { type: 'opened', graph: scope.graph.digest, ...at },
      { type: 'admitted', node: 'a', attempt: 1, missing: [], ...at },
      { type: 'settled', node: 'a', attempt: 1, outcome: 'succeeded', disposition: 'none', skipped: [], ...at },
      { type: 'admitted', node: 'b', attempt: 1, missing: [], ...at },
      {
        type: 'settled',
        node: 'b',
        attempt: 1,
        outcome: 'failed',
        disposition: 'retry',
        skipped: [],
        code: 'exit_1',
        detail: 'it\\u{a}broke',
        ...at,
      },
      { type: 'admitted', node: 'b', attempt: 2, missing: [], ...at },
      { type: 'settled', node: 'b', attempt: 2, outcome: 'failed', disposition: 'continue', skipped: [], ...at },
      { type: 'admitted', node: 'c', attempt: 1, missing: [{ status: 'missing', node: 'b', reason: 'failed' }], ...at },
      { type: 'closed', summary, ...at },
    ])
    stop()
    scopeOf({ a: {} }, propagator)
    expect(story).toHaveLength(9)
  })
})
