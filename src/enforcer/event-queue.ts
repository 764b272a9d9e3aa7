// Events on their way from an enforcer to its one reader. Bounded, because a confined process decides how many there are;
// and honest, because a reader that is not told of a loss takes silence for innocence.

import type { Clock } from '../core/clock.ts'
import type { EnforcerEvent, EnforcerFact } from './enforcer.ts'

const CAPACITY = 1024
/** Room for what ends a node, which a process must not be able to hide behind a flood of anything else. */
const RESERVE = 64

export class EventQueue implements AsyncIterable<EnforcerEvent> {
  readonly #clock: Clock
  readonly #waiting: EnforcerEvent[] = []
  #wake: (() => void) | undefined
  #seq = 0
  #lost = 0
  #ended = false
  #taken = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  push(fact: EnforcerFact): void {
    if (this.#ended) return
    const urgent = fact.type === 'denied' && fact.feature === 'privilege'
    if (this.#waiting.length >= (urgent ? CAPACITY + RESERVE : CAPACITY)) this.#lost += 1
    else {
      this.#flushLost()
      this.#add(fact)
    }
    this.#wake?.()
  }

  /** No more events; the reader gets what is waiting and then the end. */
  end(): void {
    if (this.#ended) return
    this.#flushLost()
    this.#ended = true
    this.#wake?.()
  }

  /** Throws `TypeError` for a second reader: two readers would each see half. */
  async *[Symbol.asyncIterator](): AsyncGenerator<EnforcerEvent, void, undefined> {
    if (this.#taken) throw new TypeError('the events of a confinement have one reader')
    this.#taken = true
    for (;;) {
      const event = this.#waiting.shift()
      if (event !== undefined) yield event
      else if (this.#lost > 0) this.#flushLost()
      else if (this.#ended) return
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = undefined
      }
    }
  }

  #flushLost(): void {
    if (this.#lost === 0) return
    const count = this.#lost
    this.#lost = 0
    this.#add({ type: 'lost', count })
  }

  #add(fact: EnforcerFact): void {
    this.#seq += 1
    this.#waiting.push(Object.freeze({ ...fact, seq: this.#seq, at: this.#clock.now() }))
  }
}
