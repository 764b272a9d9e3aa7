// What a call takes from the limits it falls under, and the port to who counts. The policy says which limits those are;
// counting is an effect and happens elsewhere: in this process, or in a store that many machines share.

/** How a limit counts. */
export type LimitKind =
  /** Token bucket: holds at most `burst`, refilled evenly at `max` per `perMs`. */
  | 'rate'
  /** Sliding window: at most `max` within any `perMs`. */
  | 'window'
  /** At most `max` at the same time; given back when the call is settled or its lease ends. */
  | 'concurrency'
  /** At most `max` in all: within any `perMs` where that is given, else for as long as the counter lives. */
  | 'budget'

export interface Charge {
  /** Id of the limit statement. */
  readonly limit: string
  readonly kind: LimitKind
  /** Whose counter: the limit's id and what it counts by, unambiguous and at most 512 characters. */
  readonly key: string
  /** The run the counter ends with; absent when it outlives runs. */
  readonly run?: string
  /** What this call takes: finite, not negative; 1 unless the limit names an argument. */
  readonly amount: number
  /** Finite, positive. */
  readonly max: number
  /** Milliseconds. Of `rate` and `window` always, of `budget` perhaps, of `concurrency` never. */
  readonly perMs?: number
  /** Of `rate`: what the bucket holds; `max` when absent. */
  readonly burst?: number
}

export type Reservation =
  | { readonly ok: true }
  | {
      readonly ok: false
      /** The first of the charges, in their order, that does not fit. */
      readonly charge: Charge
      /** Milliseconds after which it may fit; absent when waiting does not help or the time is not known. */
      readonly retryAfterMs?: number
    }

/**
 * Who counts. All charges of one call are taken together or none is. An amount that no state of the counter could hold is
 * refused without `retryAfterMs`. A store that cannot say throws or rejects; the call is then denied.
 */
export interface LimitStore {
  /** `lease` names the call, unique among calls; what it holds of concurrency ends after `leaseMs` at the latest. */
  reserve(charges: readonly Charge[], lease: string, leaseMs: number): Reservation | Promise<Reservation>
  /**
   * `settled`: concurrency is given back, the rest stays taken. `undone`: the call was certainly never dispatched, all of
   * it is given back. A lease that is unknown, or was released, changes nothing.
   */
  release(charges: readonly Charge[], lease: string, how: 'settled' | 'undone'): void | Promise<void>
  /** Drops the counters of a run that is over. */
  forgetRun(run: string): void | Promise<void>
  close?(): void | Promise<void>
}
