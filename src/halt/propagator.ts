// HaltPropagator: opens scopes, nests them, and is where an operator stops a run by name. It trusts its callers with
// which run to stop, and with nothing about when: any order of calls leaves a halted run halted.

import { type Clock, systemClock } from '../core/clock.ts'
import { AgentPortError } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { isName } from '../core/text.ts'
import type { HaltRequest } from './cause.ts'
import { ChangeFeed, type ChangeListener } from './changes.ts'
import { type Graph, planOf } from './graph.ts'
import type { HaltReport } from './report.ts'
import { HaltScope } from './scope.ts'

export interface HaltPropagatorOptions {
  readonly clock?: Clock
}

export interface OpenScopeOptions {
  /** The scope this one runs inside of. A halt of either is a halt of both. */
  readonly parent?: HaltScope
}

/** Opens a halt scope for each run and carries a halt through nested ones. */
export class HaltPropagator {
  readonly #clock: Clock
  readonly #feed = new ChangeFeed()
  readonly #scopes = new Map<string, HaltScope>()
  #opened = 0

  constructor(options: HaltPropagatorOptions = {}) {
    this.#clock = options.clock ?? systemClock
  }

  /**
   * Opens a scope for one traversal of `graph`. Close it, also after a halt: until then it is kept. Throws `TypeError` for
   * a bad id, graph or parent; `AgentPortError` ERR_STATE_INVALID when the id is open already, the parent is closed or
   * scopes are nested too deep, and ERR_HALTED when the parent is halted.
   */
  open(id: string, graph: Graph, options: OpenScopeOptions = {}): HaltScope {
    if (!isName(id)) throw new TypeError('id must be a name: ASCII letters, digits and _ . : -')
    planOf(graph)
    const { parent } = options
    // A closed parent is no longer kept, so it is told apart from a foreign one by its own word.
    if (parent !== undefined && parent.state === 'closed') {
      throw new AgentPortError('ERR_STATE_INVALID', `run ${id} cannot be opened inside of a closed run`)
    }
    if (parent !== undefined && this.#scopes.get(parent.id) !== parent) {
      throw new TypeError('parent must be an open scope of this propagator')
    }
    if (parent !== undefined && parent.state !== 'running') {
      throw new AgentPortError('ERR_HALTED', `run ${id} cannot be opened inside of a halted run`)
    }
    if (parent !== undefined && parent.depth + 1 >= LIMITS.depth) {
      throw new AgentPortError('ERR_STATE_INVALID', `runs are nested at most ${LIMITS.depth} deep`)
    }
    if (this.#scopes.has(id)) throw new AgentPortError('ERR_STATE_INVALID', `a run ${id} is already open`)
    return this.#feed.during(() => {
      this.#opened += 1
      const scope = new HaltScope({
        id,
        graph,
        clock: this.#clock,
        feed: this.#feed,
        ordinal: this.#opened,
        ...(parent === undefined ? {} : { parent }),
        onClose: () => this.#scopes.delete(id),
      })
      this.#scopes.set(id, scope)
      return scope
    })
  }

  /** The open scope of that id. */
  scope(id: string): HaltScope | undefined {
    return this.#scopes.get(id)
  }

  /** All open scopes, halted ones included, in the order they were opened. */
  scopes(): readonly HaltScope[] {
    return [...this.#scopes.values()]
  }

  /** Halts the run of that id. Throws ERR_STATE_INVALID when none is open: a stop that stops nothing must be noticed. */
  halt(id: string, request: HaltRequest): HaltReport {
    const scope = this.#scopes.get(id)
    if (scope === undefined) throw new AgentPortError('ERR_STATE_INVALID', 'no open run has this id')
    return scope.halt(request)
  }

  /** Halts every open run. Never throws. */
  haltAll(request: HaltRequest): readonly HaltReport[] {
    return this.#feed.during(() => this.scopes().map((scope) => scope.report ?? scope.halt(request)))
  }

  /** Calls `listener` after each change; returns the function that ends it. What the listener throws is discarded. */
  onChange(listener: ChangeListener): () => void {
    return this.#feed.subscribe(listener)
  }
}
