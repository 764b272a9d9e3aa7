// The rules of docs/halt.md said as slowly and plainly as possible, for comparison: no numbers, no incremental state. All
// that is remembered is the list of what was accepted; everything else is worked out from it again each time.

import type { Graph } from '../../src/halt/graph.ts'
import type { NodeOutcome } from '../../src/halt/state.ts'

export type Entry =
  | { readonly kind: 'admitted'; readonly node: string }
  | { readonly kind: 'settled'; readonly node: string; readonly outcome: NodeOutcome }
  | { readonly kind: 'halted' }
  | { readonly kind: 'closed' }

export class ReferenceRun {
  readonly log: Entry[] = []
  readonly #graph: Graph

  constructor(graph: Graph) {
    this.#graph = graph
  }

  attempts(node: string): number {
    return this.log.filter((entry) => entry.kind === 'admitted' && entry.node === node).length
  }

  get over(): 'run_halted' | 'run_closed' | undefined {
    if (this.log.some((entry) => entry.kind === 'closed')) return 'run_closed'
    return this.log.some((entry) => entry.kind === 'halted') ? 'run_halted' : undefined
  }

  /** Everything that depends on `node`, near and far, and not `node` itself. */
  cone(node: string): Set<string> {
    const direct = [...this.#graph.nodes.values()].filter(({ after }) => after.includes(node)).map(({ name }) => name)
    return new Set(direct.flatMap((name) => [name, ...this.cone(name)]))
  }

  /** How the node stands, by reading the log from the start. */
  status(node: string): string {
    let status = 'pending'
    for (const entry of this.log) {
      const ended = status !== 'pending' && status !== 'running'
      if (ended) continue
      if (entry.kind === 'admitted' && entry.node === node) status = 'running'
      if (entry.kind === 'settled' && entry.node === node) status = entry.outcome
      if (entry.kind === 'settled' && entry.node === node && this.#retried(entry)) status = 'pending'
      if (entry.kind === 'settled' && entry.node !== node && this.#skips(entry) && this.cone(entry.node).has(node)) {
        status = entry.outcome === 'denied' ? 'skipped:upstream_denied' : 'skipped:upstream_failed'
      }
      if (entry.kind === 'halted' || entry.kind === 'closed') {
        const started = this.log
          .slice(0, this.log.indexOf(entry))
          .some((one) => one.kind === 'admitted' && one.node === node)
        status = started ? 'cancelled' : `skipped:${entry.kind === 'halted' ? 'run_halted' : 'run_closed'}`
      }
    }
    return status
  }

  admissible(node: string): boolean {
    const spec = this.#graph.nodes.get(node)
    if (spec === undefined || this.over !== undefined || this.status(node) !== 'pending') return false
    return spec.after.every((upstream) => {
      const status = this.status(upstream)
      if (status === 'succeeded') return true
      const failed = ['denied', 'failed', 'errored', 'cancelled'].includes(status)
      return failed && this.#graph.nodes.get(upstream)?.onFailure === 'continue'
    })
  }

  disposition(node: string, outcome: NodeOutcome): string {
    const spec = this.#graph.nodes.get(node)
    if (spec === undefined || outcome === 'succeeded') return 'none'
    if ((outcome === 'failed' || outcome === 'errored') && this.attempts(node) < spec.attempts) return 'retry'
    return spec.critical ? 'halt' : spec.onFailure
  }

  // Which attempt an entry ended is the number of admissions of the node before it.
  #retried(entry: Extract<Entry, { kind: 'settled' }>): boolean {
    return this.#dispositionThen(entry) === 'retry'
  }

  #skips(entry: Extract<Entry, { kind: 'settled' }>): boolean {
    return this.#dispositionThen(entry) === 'skip_downstream'
  }

  #dispositionThen(entry: Extract<Entry, { kind: 'settled' }>): string {
    const then = new ReferenceRun(this.#graph)
    then.log.push(...this.log.slice(0, this.log.indexOf(entry)))
    return then.disposition(entry.node, entry.outcome)
  }
}
