// Policy files that change while the gateway runs. Hands over whole sets, and keeps the one in force when the next cannot be
// read or does not load. Trusts no notification of the system: they only make it faster than the slow look it takes anyway.

import type { SourceText } from '../core/document.ts'
import { AgentPortError } from '../core/errors.ts'
import { DirectoryWatches } from './directory-watches.ts'
import {
  type CheckedPaths,
  checkMs,
  checkRead,
  type PolicyFileSet,
  type ReadPolicyFilesOptions,
  readSettled,
} from './policy-file-set.ts'

export interface WatchPolicyFilesOptions extends ReadPolicyFilesOptions {
  /** Puts the set in force, whole or not at all; throws or rejects when it does not, a `DocumentError` for a bad one. */
  readonly load: (sources: readonly SourceText[]) => Promise<void> | void
  /** Told each time the files are found to be something else than what is in force and cannot be put in force. */
  readonly onProblem: (error: Error) => void
  readonly onLoaded?: (set: PolicyFileSet) => void
  /** Digest of the set that is in force already. Without it the first set that is read is loaded. */
  readonly current?: string
  /** Milliseconds between two looks at the files whether or not the system reported a change. Default 30 000. */
  readonly pollMs?: number
}

/** `loaded`: a new set is in force. `unchanged`: the files are what is in force. `refused`: they are not, and cannot be. */
export type PolicyReload =
  | { readonly outcome: 'loaded' | 'unchanged'; readonly digest: string }
  | { readonly outcome: 'refused'; readonly error: Error }

export interface PolicyFileWatcher {
  /** Looks at the files now. What was on disk before the call is seen by it. Rejects with ERR_STATE_INVALID after close. */
  reload(): Promise<PolicyReload>
  /** Stops watching. When it returns no `load` is running, and none will. */
  close(): Promise<void>
}

const DEFAULT_POLL_MS = 30_000

/**
 * Keeps what is in force equal to the files. Looks at once, then at every change the system reports and every `pollMs`. Does
 * not keep the process alive.
 *
 * @throws TypeError when an option has the wrong type
 */
export function watchPolicyFiles(options: WatchPolicyFilesOptions): PolicyFileWatcher {
  const { load, onProblem, onLoaded, current, pollMs = DEFAULT_POLL_MS } = options
  if (typeof load !== 'function' || typeof onProblem !== 'function') {
    throw new TypeError('watchPolicyFiles needs load and onProblem')
  }
  if (current !== undefined && typeof current !== 'string') throw new TypeError('current is a digest')
  return new Watcher({ ...checkRead(options), load, onProblem, onLoaded, pollMs: checkMs('pollMs', pollMs) }, current)
}

interface Plan extends CheckedPaths {
  readonly load: WatchPolicyFilesOptions['load']
  readonly onProblem: WatchPolicyFilesOptions['onProblem']
  readonly onLoaded: WatchPolicyFilesOptions['onLoaded'] | undefined
  readonly pollMs: number
}

class Watcher implements PolicyFileWatcher {
  readonly #plan: Plan
  readonly #closing = new AbortController()
  readonly #watches: DirectoryWatches
  readonly #poll: ReturnType<typeof setInterval>
  #soon: ReturnType<typeof setTimeout> | undefined
  #inForce: string | undefined
  #running: Promise<PolicyReload> | undefined
  /** The look after the running one; whoever asks meanwhile shares it. */
  #next: Promise<PolicyReload> | undefined

  constructor(plan: Plan, current: string | undefined) {
    this.#plan = plan
    this.#inForce = current
    this.#watches = new DirectoryWatches(() => this.#lookSoon())
    this.#poll = setInterval(() => this.#look(), plan.pollMs)
    this.#poll.unref()
    this.#look()
  }

  reload(): Promise<PolicyReload> {
    if (this.#closing.signal.aborted) return Promise.reject(closed())
    if (this.#next !== undefined) return this.#next
    if (this.#running === undefined) return this.#start()
    // The running look may have read a file before its last change.
    this.#next = this.#running.then(() => {
      this.#next = undefined
      return this.#start()
    })
    return this.#next
  }

  async close(): Promise<void> {
    this.#closing.abort(closed())
    clearInterval(this.#poll)
    clearTimeout(this.#soon)
    this.#watches.close()
    while (this.#running !== undefined) await this.#running
    await this.#next?.catch(() => undefined)
  }

  /** A look nobody waits for; what it finds out is told by the callbacks. */
  #look(): void {
    if (!this.#closing.signal.aborted) this.reload().catch(() => undefined)
  }

  /** One look for all that is reported within the time in which files have to hold still anyway. */
  #lookSoon(): void {
    if (this.#soon !== undefined || this.#closing.signal.aborted) return
    this.#soon = setTimeout(() => {
      this.#soon = undefined
      this.#look()
    }, this.#plan.debounceMs)
    this.#soon.unref()
  }

  async #start(): Promise<PolicyReload> {
    if (this.#closing.signal.aborted) throw closed()
    const running = this.#check()
    this.#running = running
    try {
      return await running
    } finally {
      this.#running = undefined
    }
  }

  /** Never rejects. */
  async #check(): Promise<PolicyReload> {
    const { paths, load, onProblem, onLoaded } = this.#plan
    const { signal } = this.#closing
    try {
      // Watched before the last look: what changes after it is reported, what changed before it is seen.
      const { keys } = await this.#watches.add(paths, paths)
      const { set } = await readSettled(this.#plan, {
        inForce: this.#inForce,
        signal,
        onLook: async ({ files, directories }) => {
          const real = await this.#watches.add(files, directories)
          this.#watches.keepOnly([...keys, ...real.keys])
          return real.added
        },
      })
      const { digest } = set
      if (digest === this.#inForce) return { outcome: 'unchanged', digest }
      signal.throwIfAborted()
      await load(set.sources)
      this.#inForce = digest
      quietly(() => onLoaded?.(set))
      return { outcome: 'loaded', digest }
    } catch (cause) {
      const error =
        cause instanceof Error
          ? cause
          : new AgentPortError('ERR_POLICY_INVALID', 'loading the policy failed', { cause })
      // That it was closed meanwhile is no fault of the files.
      if (!signal.aborted) quietly(() => onProblem(error))
      return { outcome: 'refused', error }
    }
  }
}

/** An observer's failure is the observer's: it must not turn a loaded set into a refused one. */
function quietly(tell: () => void): void {
  try {
    tell()
  } catch {
    // Nobody is left to tell.
  }
}

function closed(): AgentPortError {
  return new AgentPortError('ERR_STATE_INVALID', 'the policy files are not watched any more')
}
