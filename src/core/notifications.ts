// Telling observers. Never a control path: a listener that throws, rejects or hangs changes no verdict and keeps no other
// listener from being told. The only file that knows eventemitter3, whose own emit stops at the first throw.

import { EventEmitter } from 'eventemitter3'

export class Notifications<Events extends Record<string, unknown>> {
  readonly #emitter = new EventEmitter()

  /** Returns the function that unsubscribes. */
  on<Name extends keyof Events & string>(name: Name, listener: (event: Events[Name]) => unknown): () => void {
    const guarded = (event: Events[Name]): void => {
      try {
        const result = listener(event)
        if (result instanceof Promise) result.catch(() => undefined)
      } catch {
        // An observer's failure is the observer's: the verdict stands.
      }
    }
    this.#emitter.on(name, guarded)
    return () => {
      this.#emitter.off(name, guarded)
    }
  }

  emit<Name extends keyof Events & string>(name: Name, event: Events[Name]): void {
    this.#emitter.emit(name, event)
  }
}
