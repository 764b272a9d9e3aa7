// The AbortSignal handed to work that may have to be stopped. A signal and not an event emitter: it stays aborted, it
// carries a reason, fetch and child_process take it, and one listener that throws does not keep the others from running.
// What it lacks: Node re-raises what a listener throws, or what its promise rejects with, as an uncaught exception, which
// by default ends the process in the middle of a halt. So listeners are wrapped before the platform sees them.

/** An AbortController whose listeners cannot harm whoever aborts it. */
export interface GuardedAbort {
  readonly signal: AbortSignal
  abort(reason: unknown): void
}

type Listener = EventListenerOrEventListenerObject | null

/** `onFailure` is told what a listener threw or rejected with. It must not throw. */
export function guardedAbort(onFailure: (error: unknown) => void): GuardedAbort {
  const controller = new AbortController()
  const { signal } = controller
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  // One wrapper per listener, so that adding twice and removing work as without us.
  const wrappers = new WeakMap<object, Listener>()

  function wrap(listener: Listener): Listener {
    if ((typeof listener !== 'object' && typeof listener !== 'function') || listener === null) return listener
    let wrapper = wrappers.get(listener)
    if (wrapper === undefined) {
      wrapper = (event: Event): void => call(listener, event)
      wrappers.set(listener, wrapper)
    }
    return wrapper
  }

  function call(listener: EventListenerOrEventListenerObject, event: Event): void {
    try {
      const result: unknown =
        typeof listener === 'function' ? listener.call(signal, event) : listener.handleEvent(event)
      if (result !== undefined && result !== null) Promise.resolve(result).then(undefined, onFailure)
    } catch (error) {
      onFailure(error)
    }
  }

  let handler: ((event: Event) => unknown) | null = null
  const runHandler = (event: Event): void => {
    if (handler !== null) call(handler, event)
  }
  const fixed = { writable: false, enumerable: false, configurable: false }
  Object.defineProperties(signal, {
    addEventListener: {
      ...fixed,
      value: (type: string, listener: Listener, options?: AddEventListenerOptions | boolean) =>
        add(type, wrap(listener) as EventListener, options),
    },
    removeEventListener: {
      ...fixed,
      value: (type: string, listener: Listener, options?: EventListenerOptions | boolean) =>
        remove(type, wrap(listener) as EventListener, options),
    },
    onabort: {
      enumerable: true,
      configurable: false,
      get: () => handler,
      set: (value: unknown) => {
        const next = typeof value === 'function' ? (value as (event: Event) => unknown) : null
        if (handler === null && next !== null) add('abort', runHandler)
        if (handler !== null && next === null) remove('abort', runHandler)
        handler = next
      },
    },
  })
  return {
    signal,
    abort(reason) {
      try {
        controller.abort(reason)
      } catch (error) {
        // The DOM standard reports listener errors elsewhere; a runtime that throws them here must not stop a halt.
        onFailure(error)
      }
    },
  }
}
