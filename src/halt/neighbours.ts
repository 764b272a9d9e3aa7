// The nodes around a node, at any distance: what a policy means by a place in the graph.

import { type Graph, planOf } from './graph.ts'

export interface Neighbours {
  /** Names of all nodes this one waits for, directly or through others; sorted. */
  readonly upstream: readonly string[]
  /** Names of all nodes that wait for this one. */
  readonly downstream: readonly string[]
}

/**
 * @throws TypeError for a graph that parseGraph did not make, or a node it does not have.
 */
export function neighboursOf(graph: Graph, node: string): Neighbours {
  const { nodes, index, after, dependents } = planOf(graph)
  const start = index.get(node)
  if (start === undefined) throw new TypeError('the graph has no such node')
  const names = (edges: readonly (readonly number[])[]): readonly string[] => {
    const seen = new Set<number>()
    const waiting = [...(edges[start] ?? [])]
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (seen.has(next)) continue
      seen.add(next)
      waiting.push(...(edges[next] ?? []))
    }
    return Object.freeze([...seen].flatMap((number) => nodes[number]?.name ?? []).sort())
  }
  return Object.freeze({ upstream: names(after), downstream: names(dependents) })
}
