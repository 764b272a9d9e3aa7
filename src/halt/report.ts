// What is left of a halt and of a run: plain frozen data, made once, the same object for everyone who asks later.

import { type HaltCause, optional } from './cause.ts'
import type { NodeState, NodeStatus, ScopeState } from './state.ts'

/** How a halt came to a scope: raised in it, come up from a nested one, or down from an outer one. */
export type HaltRoute = 'own' | 'from_child' | 'from_parent'

/** The one record of the halt of one scope. */
export interface HaltReport {
  /** `sha256:` and hex; different for each scope ever opened. */
  readonly id: string
  readonly scope: string
  /** Digest of the scope's graph. */
  readonly graph: string
  /** Wall clock in milliseconds since the epoch; 0 when the clock could not be read. */
  readonly at: number
  /** `false`: the run was already closed and nothing was left to stop. */
  readonly latched: boolean
  readonly route: HaltRoute
  readonly cause: HaltCause
  /**
   * Attempts that were under way. Their signals are aborted right after this report is made. That is a request: whether
   * the work has stopped is for the executor to establish.
   */
  readonly cancelled: readonly { readonly node: string; readonly attempt: number }[]
  /** Nodes that will now never start. */
  readonly skipped: readonly string[]
  /** How many nodes are in which status, after the halt. */
  readonly counts: NodeCounts
}

export type NodeCounts = Readonly<Record<NodeStatus, number>>

/**
 * `succeeded`: every node did. `degraded`: the run went to its end, and some node did not succeed. `halted`: latched.
 * `cancelled`: closed while something was still pending or running.
 */
export type RunOutcome = 'succeeded' | 'degraded' | 'halted' | 'cancelled'

/** How a run ended. */
export interface RunSummary {
  readonly scope: string
  readonly graph: string
  readonly at: number
  readonly state: RunOutcome
  readonly cause?: HaltCause
  /** Causes that came after the first; at most 100 are kept. */
  readonly secondary: readonly HaltCause[]
  readonly counts: NodeCounts
  readonly nodes: readonly NodeSummary[]
}

/** One node at the end, upstreams before what depends on them. */
export type NodeSummary = NodeState & { readonly node: string }

export function countNodes(state: ScopeState): NodeCounts {
  const counts: Record<NodeStatus, number> = {
    pending: 0,
    running: 0,
    succeeded: 0,
    denied: 0,
    failed: 0,
    errored: 0,
    cancelled: 0,
    skipped: 0,
  }
  for (const { status } of state.nodes) counts[status] += 1
  return Object.freeze(counts)
}

/** `closedEarly`: the close itself had to end something. */
export function summarise(state: ScopeState, graph: string, at: number, closedEarly: boolean): RunSummary {
  const counts = countNodes(state)
  const nodes = state.nodes.map((node, number) =>
    Object.freeze({ node: state.plan.nodes[number]?.name ?? '', ...node }),
  )
  return Object.freeze({
    scope: state.scope,
    graph,
    at,
    state: runOutcome(state, counts, closedEarly),
    ...optional('cause', state.cause),
    secondary: Object.freeze([...state.secondary]),
    counts,
    nodes: Object.freeze(nodes),
  })
}

function runOutcome(state: ScopeState, counts: NodeCounts, closedEarly: boolean): RunOutcome {
  if (state.cause !== undefined) return 'halted'
  if (closedEarly) return 'cancelled'
  return counts.succeeded === state.nodes.length ? 'succeeded' : 'degraded'
}
