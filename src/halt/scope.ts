// One run's graph as it executes: a thin driver around the pure transition in state.ts. It holds what a pure function
// cannot: the AbortControllers, the scopes around and inside this one, and the reports made so far. Everything here is
// synchronous, so that no other code runs between a decision and the state that records it.

import { canonicalJson } from '../core/canonical.ts'
import type { Clock } from '../core/clock.ts'
import { sha256Hex } from '../core/crypto.ts'
import { printable } from '../core/text.ts'
import { type HaltCause, HaltError, type HaltRequest, optional, readCause } from './cause.ts'
import type { ChangeFeed, HaltChange } from './changes.ts'
import { type Graph, type GraphNode, type Plan, planOf } from './graph.ts'
import { countNodes, type HaltReport, type HaltRoute, type RunSummary, summarise } from './report.ts'
import { type GuardedAbort, guardedAbort } from './signal.ts'
import {
  type AdmitRefusal,
  type Disposition,
  initialState,
  type MissingInput,
  NODE_OUTCOMES,
  type NodeOutcome,
  type NodeState,
  type OutcomeNote,
  readyNodes,
  type ScopeEffect,
  type ScopeEvent,
  type ScopePhase,
  type ScopeState,
  type SettleRefusal,
  transition,
} from './state.ts'

/** The answer to {@link HaltScope.admit}. */
export type Admission =
  | {
      readonly ok: true
      /** Counts from 1. {@link HaltScope.settle} takes it back. */
      readonly attempt: number
      /** Aborted when the attempt is over, however it ended: what it started must not outlive it. */
      readonly signal: AbortSignal
      /** Upstreams that delivered nothing and were allowed to. */
      readonly missing: readonly MissingInput[]
    }
  | { readonly ok: false; readonly code: AdmitRefusal; readonly detail: string }

/** The answer to {@link HaltScope.settle}. */
export type Settled =
  | {
      readonly accepted: true
      readonly disposition: Disposition
      /** Nodes that will not start because of this outcome. */
      readonly skipped: readonly string[]
      /** Whether this outcome halted the run. */
      readonly halted: boolean
    }
  /** The result changed nothing and must be discarded. */
  | { readonly accepted: false; readonly reason: SettleRefusal }

/** What {@link HaltPropagator.open} gives a scope. */
export interface ScopeOptions {
  readonly id: string
  readonly graph: Graph
  readonly clock: Clock
  readonly feed: ChangeFeed
  /** Different for each scope its propagator opens. */
  readonly ordinal: number
  readonly parent?: HaltScope
  readonly onClose: () => void
}

/** The execution of one graph. Opened by {@link HaltPropagator.open}. */
export class HaltScope {
  readonly id: string
  readonly graph: Graph
  /** How many scopes this one is nested in. */
  readonly depth: number

  readonly #plan: Plan
  readonly #clock: Clock
  readonly #feed: ChangeFeed
  readonly #onClose: () => void
  readonly #haltId: string
  readonly #own: GuardedAbort
  // The signals of attempts under way. They are aborted from this table and not by listening to the scope's signal: a
  // listener there could be outrun by stopImmediatePropagation, and would have to be taken off again.
  readonly #attempts = new Map<string, GuardedAbort>()
  readonly #parent: HaltScope | undefined
  readonly #children = new Set<HaltScope>()
  #state: ScopeState
  #report: HaltReport | undefined
  #summary: RunSummary | undefined

  constructor(options: ScopeOptions) {
    this.id = options.id
    this.graph = options.graph
    this.#plan = planOf(options.graph)
    this.#clock = options.clock
    this.#feed = options.feed
    this.#onClose = options.onClose
    this.#parent = options.parent
    this.depth = options.parent === undefined ? 0 : options.parent.depth + 1
    this.#own = this.#newAbort()
    this.#state = initialState(options.id, this.#plan)
    const opened = this.#now()
    this.#haltId = `sha256:${sha256Hex(canonicalJson([options.id, options.graph.digest, opened, options.ordinal]))}`
    if (options.parent !== undefined) options.parent.#children.add(this)
    this.#publish({ type: 'opened', graph: options.graph.digest, ...optional('parent', options.parent?.id) })
  }

  /** Aborted when the run halts, and when its close cut something off. */
  get signal(): AbortSignal {
    return this.#own.signal
  }

  get state(): ScopePhase {
    return this.#state.phase
  }

  /** Why the run was halted; the first cause, for ever. */
  get cause(): HaltCause | undefined {
    return this.#state.cause
  }

  /** Causes that came after the first; at most 100 are kept. */
  get secondary(): readonly HaltCause[] {
    return this.#state.secondary
  }

  /** The report of the halt, when there was one. */
  get report(): HaltReport | undefined {
    return this.#report
  }

  /** The node as the graph defines it. Unlike `graph.nodes` this cannot be altered from outside. */
  node(name: string): GraphNode | undefined {
    const number = this.#plan.index.get(name)
    return number === undefined ? undefined : this.#plan.nodes[number]
  }

  nodeState(name: string): NodeState | undefined {
    const number = this.#plan.index.get(name)
    return number === undefined ? undefined : this.#state.nodes[number]
  }

  /** Names of the nodes that would be admitted now, upstreams first. */
  ready(): readonly string[] {
    return readyNodes(this.#state)
  }

  /** Asks to start a node. Never throws; a refusal says why. */
  admit(name: string): Admission {
    return this.#feed.during(() => {
      const effects = this.#apply({ type: 'admit', node: name })
      const admitted = first(effects, 'admitted')
      if (admitted === undefined) {
        const refusal = first(effects, 'not_admitted')
        const code = refusal?.code ?? 'node_not_ready'
        return Object.freeze({ ok: false, code, detail: refusal?.detail ?? 'no decision was reached' })
      }
      const { node, attempt } = admitted
      const missing = Object.freeze(admitted.missing.map((input) => Object.freeze(input)))
      const abort = this.#newAbort()
      this.#attempts.set(node, abort)
      this.#publish({ type: 'admitted', node, attempt, missing })
      return Object.freeze({ ok: true, attempt, signal: abort.signal, missing })
    })
  }

  /**
   * Reports how an attempt ended. The first report of a running attempt counts; every other one is answered with
   * `accepted: false` and changes nothing. Throws `TypeError` for an outcome that is none.
   */
  settle(name: string, attempt: number, outcome: NodeOutcome, note: OutcomeNote = {}): Settled {
    if (typeof name !== 'string') throw new TypeError('node must be a string')
    if (typeof attempt !== 'number') throw new TypeError('attempt must be a number')
    if (!NODE_OUTCOMES.includes(outcome)) throw new TypeError(`outcome must be one of ${NODE_OUTCOMES.join(', ')}`)
    const read = readNote(note)
    return this.#feed.during(() => {
      const effects = this.#apply({ type: 'settle', node: name, attempt, outcome, note: read })
      const ended = first(effects, 'ended')
      if (ended === undefined) {
        const reason = first(effects, 'dropped')?.reason ?? 'late_result'
        this.#publish({ type: 'result_dropped', node: printable(name), attempt, outcome, reason })
        this.#publishSecondary(effects)
        return Object.freeze({ accepted: false, reason })
      }
      const abort = this.#attempts.get(name)
      this.#attempts.delete(name)
      // What the attempt started must not outlive it: a later halt no longer knows of this signal.
      abort?.abort(new HaltError({ reason: 'the attempt has ended', node: name, scope: this.id }))
      const { disposition } = ended
      const skipped = Object.freeze(effects.flatMap((effect) => (effect.type === 'skipped' ? effect.nodes : [])))
      const { code, detail } = read
      this.#publish({
        type: 'settled',
        node: name,
        attempt,
        outcome,
        disposition,
        skipped,
        ...optional('code', code),
        ...optional('detail', detail),
      })
      const halted = first(effects, 'halted') !== undefined
      if (halted) this.#haltTree(effects)
      return Object.freeze({ accepted: true, disposition, skipped, halted })
    })
  }

  /**
   * Stops the run, every run it is nested in and every run nested in those. Never throws and is never undone. Later calls
   * return the same report; what they say is kept in {@link secondary}.
   */
  halt(request: HaltRequest): HaltReport {
    const cause = readCause(request, this.id)
    return this.#feed.during(() => {
      const effects = this.#apply({ type: 'halt', cause })
      this.#publishSecondary(effects)
      if (first(effects, 'halted') !== undefined) this.#haltTree(effects)
      this.#report ??= this.#newReport(cause, 'own', [], false)
      return this.#report
    })
  }

  /** Ends the run and every run nested in it. What is pending is skipped, what is running is cancelled. Idempotent. */
  close(): RunSummary {
    return this.#feed.during(() => {
      if (this.#summary !== undefined) return this.#summary
      const effects = this.#apply({ type: 'close' })
      const closedEarly = effects.some((effect) => effect.type === 'cancelled' || effect.type === 'skipped')
      // Made before anyone is told, so that a listener that closes again gets this very summary.
      const summary = summarise(this.#state, this.graph.digest, this.#now(), closedEarly)
      this.#summary = summary
      for (const child of [...this.#children]) child.close()
      if (closedEarly) {
        this.#abortAll(Object.freeze({ reason: 'the run was closed', code: 'run_closed', scope: this.id }))
      }
      if (this.#parent !== undefined) this.#parent.#children.delete(this)
      this.#onClose()
      this.#publish({ type: 'closed', summary })
      return summary
    })
  }

  #haltTree(effects: readonly ScopeEffect[]): void {
    const cause = this.#latched(effects, 'own')
    if (cause === undefined) return
    // First every scope is latched, then any signal is delivered: a listener in one scope finds no other one open.
    const halted: HaltScope[] = [this]
    for (const [scope, route] of this.#relatives()) {
      if (scope.#latched(scope.#apply({ type: 'halt', cause }), route) !== undefined) halted.push(scope)
    }
    for (const scope of halted) {
      scope.#abortAll(cause)
      scope.#apply({ type: 'delivered' })
    }
  }

  #latched(effects: readonly ScopeEffect[], route: HaltRoute): HaltCause | undefined {
    const halted = first(effects, 'halted')
    if (halted === undefined) return undefined
    this.#report = this.#newReport(halted.cause, route, effects, true)
    this.#publish({ type: 'halted', report: this.#report })
    return halted.cause
  }

  // The scopes around this one, inner first; then all others of the same tree, outer first.
  #relatives(): readonly (readonly [HaltScope, HaltRoute])[] {
    const found = new Map<HaltScope, HaltRoute>()
    let root: HaltScope = this
    for (let outer = this.#parent; outer !== undefined; outer = outer.#parent) {
      found.set(outer, 'from_child')
      root = outer
    }
    const open = [root]
    for (let scope = open.pop(); scope !== undefined; scope = open.pop()) {
      if (scope !== this && !found.has(scope)) found.set(scope, 'from_parent')
      open.push(...[...scope.#children].reverse())
    }
    return [...found]
  }

  #newReport(cause: HaltCause, route: HaltRoute, effects: readonly ScopeEffect[], latched: boolean): HaltReport {
    const cancelled = effects.flatMap((effect) => (effect.type === 'cancelled' ? effect.attempts : []))
    const skipped = effects.flatMap((effect) =>
      effect.type === 'skipped' && effect.reason === 'run_halted' ? effect.nodes : [],
    )
    return Object.freeze({
      id: this.#haltId,
      scope: this.id,
      graph: this.graph.digest,
      at: this.#now(),
      latched,
      route,
      cause,
      cancelled: Object.freeze(cancelled.map((attempt) => Object.freeze({ ...attempt }))),
      skipped: Object.freeze(skipped),
      counts: countNodes(this.#state),
    })
  }

  #abortAll(cause: HaltCause): void {
    const reason = new HaltError(cause)
    const attempts = [...this.#attempts.values()]
    this.#attempts.clear()
    for (const attempt of attempts) attempt.abort(reason)
    this.#own.abort(reason)
  }

  #newAbort(): GuardedAbort {
    return guardedAbort((error) => this.#publish({ type: 'listener_failed', message: describe(error) }))
  }

  #publishSecondary(effects: readonly ScopeEffect[]): void {
    const secondary = first(effects, 'secondary')
    if (secondary !== undefined) this.#publish({ type: 'secondary', cause: secondary.cause })
  }

  #apply(event: ScopeEvent): readonly ScopeEffect[] {
    const { state, effects } = transition(this.#state, event)
    this.#state = state
    return effects
  }

  #publish(change: ChangeOf): void {
    this.#feed.publish({ ...change, scope: this.id, at: this.#now() } as HaltChange)
  }

  #now(): number {
    try {
      return this.#clock.now()
    } catch {
      // A time is for the record only; a clock that fails must not be a way to prevent a halt.
      return 0
    }
  }
}

// Omit over each member of the union, which the built-in Omit would merge into one.
type ChangeOf = HaltChange extends infer C ? (C extends HaltChange ? Omit<C, 'scope' | 'at'> : never) : never

type EffectOf<T extends ScopeEffect['type']> = Extract<ScopeEffect, { readonly type: T }>

function first<T extends ScopeEffect['type']>(effects: readonly ScopeEffect[], type: T): EffectOf<T> | undefined {
  return effects.find((effect): effect is EffectOf<T> => effect.type === type)
}

function readNote(note: OutcomeNote): OutcomeNote {
  const { code, detail, final } = note
  return {
    ...(typeof code === 'string' ? { code: printable(code) } : {}),
    ...(typeof detail === 'string' ? { detail: printable(detail) } : {}),
    final: final === true,
  }
}

function describe(error: unknown): string {
  try {
    return printable(error instanceof Error ? `${error.name}: ${error.message}` : String(error))
  } catch {
    return 'an error that cannot be read'
  }
}
