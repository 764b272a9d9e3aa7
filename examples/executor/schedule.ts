// Which node may start now. Pure bookkeeping: no node is run here.

import type { Graph } from './graph.ts'

export type NodeState = 'pending' | 'running' | 'succeeded' | 'denied' | 'failed' | 'cancelled' | 'skipped'

export class Schedule {
  readonly #graph: Graph
  readonly #states = new Map<string, NodeState>()
  readonly #tolerated = new Set<string>()

  constructor(graph: Graph) {
    this.#graph = graph
    for (const name of Object.keys(graph.nodes)) this.#states.set(name, 'pending')
  }

  get states(): ReadonlyMap<string, NodeState> {
    return this.#states
  }

  /** Pending nodes whose upstreams have all succeeded or failed without mattering. */
  ready(): string[] {
    const settled = (name: string): boolean => this.#states.get(name) === 'succeeded' || this.#tolerated.has(name)
    return [...this.#states.keys()].filter(
      (name) => this.#states.get(name) === 'pending' && (this.#graph.nodes[name]?.after ?? []).every(settled),
    )
  }

  set(name: string, state: NodeState): void {
    this.#states.set(name, state)
  }

  /** Lets dependents run although `name` failed. */
  tolerate(name: string): void {
    this.#tolerated.add(name)
  }

  /** Skips all that is still pending, or only what depends on `failed`. Returns the names. */
  skip(failed?: string): string[] {
    const lost = new Set(failed === undefined ? [] : [failed])
    const skipped: string[] = []
    for (let before = -1; before !== skipped.length; ) {
      before = skipped.length
      for (const [name, state] of this.#states) {
        if (state !== 'pending') continue
        if (failed !== undefined && !this.#graph.nodes[name]?.after?.some((upstream) => lost.has(upstream))) continue
        this.#states.set(name, 'skipped')
        lost.add(name)
        skipped.push(name)
      }
    }
    return skipped
  }
}
