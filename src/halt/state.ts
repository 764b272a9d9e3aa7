// The whole behaviour of one scope as a pure function: (state, event) → (state, effects). It decides who may start, what
// an outcome does to the rest, and that a halt is never undone. It trusts nothing about the order events arrive in: each
// attempt ends once, and whatever comes later changes nothing.

import { type HaltCause, optional } from './cause.ts'
import type { GraphNode, Plan } from './graph.ts'

/** How one attempt ended. `denied`: policy or enforcer said no; `failed`: the work said no; `errored`: machinery broke. */
export const NODE_OUTCOMES = ['succeeded', 'denied', 'failed', 'errored', 'cancelled'] as const
export type NodeOutcome = (typeof NODE_OUTCOMES)[number]

/** Why a node was never started. `upstream_failed` covers every upstream that did not succeed and was not denied. */
export type SkipReason = 'upstream_denied' | 'upstream_failed' | 'run_halted' | 'run_closed'

export type NodeState =
  /** `attempt` counts the attempts already spent. */
  | { readonly status: 'pending'; readonly attempt: number }
  | { readonly status: 'running'; readonly attempt: number }
  | {
      readonly status: NodeOutcome
      readonly attempt: number
      readonly code?: string
      readonly detail?: string
      /** Cancelled by a halt or the close of the run, and not by its own executor. */
      readonly by?: 'halt' | 'close'
    }
  /** Never started. `because` is the upstream whose outcome caused it. */
  | { readonly status: 'skipped'; readonly attempt: 0; readonly reason: SkipReason; readonly because?: string }

export type NodeStatus = NodeState['status']

/** `retry`: the node is pending again. The others are the node's `onFailure`, applied. */
export type Disposition = 'none' | 'retry' | 'halt' | 'skip_downstream' | 'continue'

/** An upstream that will deliver nothing. There is no other stand-in: never an empty text, never an older result. */
export interface MissingInput {
  readonly status: 'missing'
  readonly node: string
  readonly reason: Exclude<NodeOutcome, 'succeeded'>
}

/** What a caller may add to an outcome. */
export interface OutcomeNote {
  /** A machine-readable word, such as a denial code. */
  readonly code?: string
  /** One line for people. */
  readonly detail?: string
  /** true: no further attempt, whatever the graph allows. For work that must not happen twice. */
  readonly final?: boolean
}

export type ScopePhase = 'running' | 'halting' | 'halted' | 'closed'

export interface ScopeState {
  /** Name of the scope, for causes. */
  readonly scope: string
  readonly plan: Plan
  readonly phase: ScopePhase
  /** By number in the plan. */
  readonly nodes: readonly NodeState[]
  /** Latched: the first cause, for ever. */
  readonly cause?: HaltCause
  /** Causes that came after the first. */
  readonly secondary: readonly HaltCause[]
}

export type ScopeEvent =
  | { readonly type: 'admit'; readonly node: string }
  | {
      readonly type: 'settle'
      readonly node: string
      readonly attempt: number
      readonly outcome: NodeOutcome
      readonly note: OutcomeNote
    }
  | { readonly type: 'halt'; readonly cause: HaltCause }
  /** Every signal of the halt has been delivered. */
  | { readonly type: 'delivered' }
  | { readonly type: 'close' }

type SettleEvent = Extract<ScopeEvent, { type: 'settle' }>

export type AdmitRefusal = 'run_halted' | 'run_closed' | 'node_unknown' | 'node_not_ready'
export type SettleRefusal = 'late_result' | 'run_closed' | 'node_unknown' | 'attempt_unknown'

export type ScopeEffect =
  | {
      readonly type: 'admitted'
      readonly node: string
      readonly attempt: number
      readonly missing: readonly MissingInput[]
    }
  | { readonly type: 'not_admitted'; readonly code: AdmitRefusal; readonly detail: string }
  | { readonly type: 'ended'; readonly node: string; readonly attempt: number; readonly disposition: Disposition }
  | { readonly type: 'dropped'; readonly reason: SettleRefusal }
  | { readonly type: 'skipped'; readonly nodes: readonly string[]; readonly reason: SkipReason }
  | { readonly type: 'cancelled'; readonly attempts: readonly { readonly node: string; readonly attempt: number }[] }
  | { readonly type: 'halted'; readonly cause: HaltCause }
  | { readonly type: 'secondary'; readonly cause: HaltCause }
  | { readonly type: 'closed' }

export interface Transition {
  readonly state: ScopeState
  readonly effects: readonly ScopeEffect[]
}

// A caller that halts in a loop must not grow a latched scope without end.
const SECONDARY_KEPT = 100

const PENDING: NodeState = Object.freeze({ status: 'pending', attempt: 0 })

export function initialState(scope: string, plan: Plan): ScopeState {
  return { scope, plan, phase: 'running', nodes: plan.nodes.map(() => PENDING), secondary: [] }
}

export function transition(state: ScopeState, event: ScopeEvent): Transition {
  switch (event.type) {
    case 'admit':
      return admit(state, event.node)
    case 'settle':
      return settle(state, event)
    case 'halt':
      return halt(state, event.cause)
    case 'delivered':
      return { state: state.phase === 'halting' ? { ...state, phase: 'halted' } : state, effects: [] }
    case 'close':
      return close(state)
  }
}

/** Names of the nodes that {@link transition} would admit now, upstreams first. */
export function readyNodes(state: ScopeState): readonly string[] {
  if (state.phase !== 'running') return []
  return state.plan.nodes.filter((_, number) => obstacle(state, number) === undefined).map((node) => node.name)
}

function admit(state: ScopeState, name: string): Transition {
  const refuse = (code: AdmitRefusal, detail: string): Transition => ({
    state,
    effects: [{ type: 'not_admitted', code, detail }],
  })
  if (state.phase === 'closed') return refuse('run_closed', 'the run is closed')
  if (state.phase !== 'running') return refuse('run_halted', `the run was halted: ${state.cause?.reason ?? ''}`)
  const number = state.plan.index.get(name)
  if (number === undefined) return refuse('node_unknown', 'the graph has no such node')
  const blocked = obstacle(state, number)
  if (blocked !== undefined) return refuse('node_not_ready', blocked)
  const attempt = stateOf(state, number).attempt + 1
  const missing = (state.plan.after[number] ?? []).flatMap((upstream) => missingInput(state, upstream))
  return {
    state: { ...state, nodes: replaced(state, [[number, { status: 'running', attempt }]]) },
    effects: [{ type: 'admitted', node: name, attempt, missing }],
  }
}

// Why the node may not start, or undefined. Everything that is not plainly a success, or a failure its own node was told
// to tolerate, is an obstacle: an upstream in a state nobody thought of holds the node back.
function obstacle(state: ScopeState, number: number): string | undefined {
  const own = stateOf(state, number)
  if (own.status === 'running') return `attempt ${own.attempt} is running`
  if (own.status === 'skipped')
    return `it was skipped (${own.reason}${own.because === undefined ? '' : `: ${own.because}`})`
  if (own.status !== 'pending') return `it has already ended (${own.status})`
  for (const upstream of state.plan.after[number] ?? []) {
    const { status } = stateOf(state, upstream)
    if (status === 'succeeded' || missingInput(state, upstream).length > 0) continue
    return `it waits for ${nodeOf(state, upstream).name} (${status})`
  }
  return undefined
}

function missingInput(state: ScopeState, upstream: number): readonly MissingInput[] {
  const { status } = stateOf(state, upstream)
  const node = nodeOf(state, upstream)
  if (node.onFailure !== 'continue') return []
  if (status !== 'denied' && status !== 'failed' && status !== 'errored' && status !== 'cancelled') return []
  return [{ status: 'missing', node: node.name, reason: status }]
}

function settle(state: ScopeState, event: SettleEvent): Transition {
  const { node: name, attempt, outcome, note } = event
  const drop = (reason: SettleRefusal): ScopeEffect => ({ type: 'dropped', reason })
  const number = state.plan.index.get(name)
  if (state.phase === 'closed') return { state, effects: [drop('run_closed')] }
  if (number === undefined) return { state, effects: [drop('node_unknown')] }
  const own = stateOf(state, number)
  if (own.status !== 'running' || own.attempt !== attempt) {
    // Compare-and-set on the attempt: the second result of an attempt, or one that comes after a halt, ends nothing.
    if (!(Number.isInteger(attempt) && attempt >= 1 && attempt <= own.attempt))
      return { state, effects: [drop('attempt_unknown')] }
    const late: Transition = { state, effects: [drop('late_result')] }
    return wouldHaveHalted(state, number, own, event) ? addSecondary(late, causeOf(state.scope, event)) : late
  }
  const node = nodeOf(state, number)
  const disposition = dispose(node, attempt, outcome, note)
  const ended: ScopeEffect = { type: 'ended', node: name, attempt, disposition }
  if (disposition === 'retry') {
    return { state: { ...state, nodes: replaced(state, [[number, { status: 'pending', attempt }]]) }, effects: [ended] }
  }
  const terminal: NodeState = {
    status: outcome,
    attempt,
    ...optional('code', note.code),
    ...optional('detail', note.detail),
  }
  const next: ScopeState = { ...state, nodes: replaced(state, [[number, terminal]]) }
  if (disposition === 'skip_downstream')
    return skipCone(next, number, outcome === 'denied' ? 'upstream_denied' : 'upstream_failed', ended)
  if (disposition !== 'halt') return { state: next, effects: [ended] }
  const halted = halt(next, causeOf(state.scope, event))
  return { state: halted.state, effects: [ended, ...halted.effects] }
}

function dispose(node: GraphNode, attempt: number, outcome: NodeOutcome, note: OutcomeNote): Disposition {
  if (outcome === 'succeeded') return 'none'
  // A denial is final: asking again is how an agent wears a policy down. A cancelled node starts no recovery either.
  const retryable = (outcome === 'failed' || outcome === 'errored') && note.final !== true
  return retryable && attempt < node.attempts ? 'retry' : node.onFailure
}

// Two critical nodes fail in the same tick: the first halts and thereby cancels the second, whose own failure then
// arrives late. It is no longer an outcome, but it is worth knowing as a cause.
function wouldHaveHalted(state: ScopeState, number: number, own: NodeState, event: SettleEvent): boolean {
  if (own.status !== 'cancelled' || own.by !== 'halt' || own.attempt !== event.attempt) return false
  if (state.secondary.some((cause) => cause.node === event.node && cause.attempt === event.attempt)) return false
  if (event.outcome === 'cancelled') return false
  return dispose(nodeOf(state, number), event.attempt, event.outcome, event.note) === 'halt'
}

function causeOf(scope: string, { node, attempt, outcome, note }: SettleEvent): HaltCause {
  const reason = `node ${node} ${outcome === 'cancelled' ? 'was cancelled' : outcome === 'denied' ? 'was denied' : outcome}`
  return Object.freeze({
    reason: note.detail === undefined ? reason : `${reason}: ${note.detail}`,
    node,
    attempt,
    ...optional('code', note.code),
    scope,
  })
}

// The whole cone, before any of it can be admitted. All of it is pending: a node starts only after everything above it
// has ended, so nothing below a node that was still running can have started.
function skipCone(state: ScopeState, from: number, reason: SkipReason, ended: ScopeEffect): Transition {
  const because = nodeOf(state, from).name
  const cone = new Set<number>()
  const open = [from]
  for (let number = open.pop(); number !== undefined; number = open.pop()) {
    for (const dependent of state.plan.dependents[number] ?? []) {
      if (cone.has(dependent) || stateOf(state, dependent).status !== 'pending') continue
      cone.add(dependent)
      open.push(dependent)
    }
  }
  if (cone.size === 0) return { state, effects: [ended] }
  const numbers = [...cone].sort((a, b) => a - b)
  const nodes = replaced(
    state,
    numbers.map((number) => [number, { status: 'skipped', attempt: 0, reason, because }]),
  )
  const skipped = numbers.map((number) => nodeOf(state, number).name)
  return { state: { ...state, nodes }, effects: [ended, { type: 'skipped', nodes: skipped, reason }] }
}

function halt(state: ScopeState, cause: HaltCause): Transition {
  if (state.phase === 'closed') return { state, effects: [] }
  if (state.phase !== 'running') return addSecondary({ state, effects: [] }, cause)
  const ended = endAll(state, 'run_halted', 'halt')
  return {
    state: { ...ended.state, phase: 'halting', cause },
    effects: [{ type: 'halted', cause }, ...ended.effects],
  }
}

function close(state: ScopeState): Transition {
  if (state.phase === 'closed') return { state, effects: [] }
  const ended = endAll(state, 'run_closed', 'close')
  return { state: { ...ended.state, phase: 'closed' }, effects: [...ended.effects, { type: 'closed' }] }
}

function endAll(state: ScopeState, reason: SkipReason, by: 'halt' | 'close'): Transition {
  const changes: [number, NodeState][] = []
  const cancelled: { node: string; attempt: number }[] = []
  const skipped: string[] = []
  state.nodes.forEach(({ status, attempt }, number) => {
    const node = nodeOf(state, number).name
    // A node that waits for another attempt did start, and may have had effects: cancelled, not skipped.
    if (status === 'running' || (status === 'pending' && attempt > 0)) {
      changes.push([number, { status: 'cancelled', attempt, by }])
      cancelled.push({ node, attempt })
    } else if (status === 'pending') {
      changes.push([number, { status: 'skipped', attempt: 0, reason }])
      skipped.push(node)
    }
  })
  const effects: ScopeEffect[] = []
  if (skipped.length > 0) effects.push({ type: 'skipped', nodes: skipped, reason })
  if (cancelled.length > 0) effects.push({ type: 'cancelled', attempts: cancelled })
  return { state: changes.length === 0 ? state : { ...state, nodes: replaced(state, changes) }, effects }
}

function addSecondary({ state, effects }: Transition, cause: HaltCause): Transition {
  if (state.secondary.length >= SECONDARY_KEPT) return { state, effects }
  return {
    state: { ...state, secondary: [...state.secondary, cause] },
    effects: [...effects, { type: 'secondary', cause }],
  }
}

function replaced(state: ScopeState, changes: readonly (readonly [number, NodeState])[]): readonly NodeState[] {
  const nodes = state.nodes.slice()
  for (const [number, next] of changes) nodes[number] = Object.freeze(next)
  return nodes
}

// Numbers come from the plan itself, so these always find something.
function stateOf(state: ScopeState, number: number): NodeState {
  return state.nodes[number] as NodeState
}

function nodeOf(state: ScopeState, number: number): GraphNode {
  return state.plan.nodes[number] as GraphNode
}
