// Short ways to make graphs and scopes for the tests of this room.

import { type Graph, parseGraph } from '../../src/halt/graph.ts'
import { HaltPropagator } from '../../src/halt/propagator.ts'
import type { OnFailure } from '../../src/halt/schema.ts'
import type { HaltScope } from '../../src/halt/scope.ts'

export interface NodeSpec {
  readonly after?: readonly string[]
  readonly onFailure?: OnFailure
  readonly critical?: boolean
  readonly attempts?: number
}

/** A graph whose nodes all run the same skill; throws with the problems when it is refused. */
export function graphOf(nodes: Readonly<Record<string, NodeSpec>> | ReadonlyMap<string, NodeSpec>): Graph {
  const entries = nodes instanceof Map ? [...nodes] : Object.entries(nodes)
  const parsed = parseGraph({
    nodes: Object.fromEntries(entries.map(([name, node]) => [name, { skill: 's', ...node }])),
  })
  if (!parsed.ok) throw new Error(parsed.problems.map((problem) => problem.message).join('\n'))
  return parsed.graph
}

/** A scope named `run` over such a graph. */
export function scopeOf(
  nodes: Readonly<Record<string, NodeSpec>>,
  propagator: HaltPropagator = new HaltPropagator(),
): HaltScope {
  return propagator.open('run', graphOf(nodes))
}

/** Admits the nodes one after the other; throws when one is refused. */
export function start(scope: HaltScope, ...names: readonly string[]): void {
  for (const name of names) {
    const admitted = scope.admit(name)
    if (!admitted.ok) throw new Error(`${name}: ${admitted.code} ${admitted.detail}`)
  }
}

/** Admits and succeeds. */
export function pass(scope: HaltScope, ...names: readonly string[]): void {
  for (const name of names) {
    start(scope, name)
    scope.settle(name, scope.nodeState(name)?.attempt ?? 0, 'succeeded')
  }
}

export function statusOf(scope: HaltScope): Record<string, string> {
  return Object.fromEntries(
    [...scope.graph.nodes.keys()].map((name) => {
      const state = scope.nodeState(name)
      return [name, state?.status === 'skipped' ? `skipped:${state.reason}` : (state?.status ?? 'unknown')]
    }),
  )
}
