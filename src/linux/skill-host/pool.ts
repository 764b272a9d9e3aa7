// Skill hosts that wait: box made, runtime started, and nothing of the skill loaded, because a module that is loaded has run
// before anyone was admitted. Each is handed out once and never comes back, so no two owners share what a module left behind.

import { AgentPortError } from '../../core/errors.ts'
import type { Profile } from '../../enforcer/profile.ts'
import { type OwnBox, SkillHost, type SkillHostOwner, type SkillHostProgram } from './skill-host.ts'

export interface SkillHostPoolOptions extends SkillHostProgram, OwnBox {
  /** Hosts that wait, 1 to 64. */
  readonly size: number
  /** Milliseconds one of them waits at the most, 1000 or more; then it is replaced. 300 000 unless told. */
  readonly idleMs?: number
}

interface Waiting {
  readonly host: SkillHost
  readonly idle: NodeJS.Timeout
}

const IDLE_MS = 300_000
const MOST = 64
const RETRY_MS = 500
const LONGEST_RETRY_MS = 30_000

export class SkillHostPool {
  readonly #options: SkillHostPoolOptions
  readonly #profile: Profile
  readonly #idleMs: number
  readonly #waiting: Waiting[] = []
  #filling: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  #closed = false

  private constructor(options: SkillHostPoolOptions) {
    this.#options = options
    this.#idleMs = options.idleMs ?? IDLE_MS
    const { profile } = options
    const { wallMs } = profile.limits
    // The box counts from its first process, which waits for its owner; the owner's time is counted when there is one.
    this.#profile =
      wallMs === undefined
        ? profile
        : { ...profile, limits: { ...profile.limits, wallMs: Math.min(wallMs + this.#idleMs, 2 ** 31 - 1) } }
  }

  /** Rejects as {@link SkillHost.open} does when the first host cannot be made; the others are made afterwards. */
  static async open(options: SkillHostPoolOptions): Promise<SkillHostPool> {
    const { size, idleMs = IDLE_MS } = options
    if (!Number.isSafeInteger(size) || size < 1 || size > MOST) throw new TypeError(`a pool has 1 to ${MOST} hosts`)
    // Shorter, and the pool would do nothing but make hosts.
    if (!Number.isSafeInteger(idleMs) || idleMs < 1_000 || idleMs >= 2 ** 31) {
      throw new TypeError('idleMs is a number of milliseconds, 1000 at the least')
    }
    const pool = new SkillHostPool(options)
    pool.#keep(await pool.#start())
    pool.#fill()
    return pool
  }

  /** Hosts that wait. */
  get ready(): number {
    return this.#waiting.length
  }

  /**
   * A host that nobody had before and nobody gets afterwards, to be closed by whoever took it. Made now when none waits.
   * Rejects as {@link SkillHost.open} does, and with ERR_STATE_INVALID when the pool is closed.
   */
  async take(owner: SkillHostOwner): Promise<SkillHost> {
    if (this.#closed) throw new AgentPortError('ERR_STATE_INVALID', 'the pool is closed')
    if (owner.signal?.aborted === true) throw new AgentPortError('ERR_HALTED', 'the run was halted before it began')
    const kept = this.#next()
    this.#fill()
    const host = kept ?? (await this.#start())
    if (this.#closed && kept === undefined) {
      await host.close()
      throw new AgentPortError('ERR_STATE_INVALID', 'the pool is closed')
    }
    host.assign(owner, this.#options.profile.limits.wallMs)
    return host
  }

  /** One that lives: the end of a host is known a moment before the pool has heard of it. */
  #next(): SkillHost | undefined {
    for (let kept = this.#waiting.shift(); kept !== undefined; kept = this.#waiting.shift()) {
      clearTimeout(kept.idle)
      if (kept.host.usable) return kept.host
      void kept.host.close().catch(() => undefined)
    }
    return undefined
  }

  /** Ends the hosts that wait, not those that were taken. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    await this.#filling
    await Promise.all(
      this.#waiting.splice(0).map(({ host, idle }) => {
        clearTimeout(idle)
        return host.close()
      }),
    )
  }

  #start(): Promise<SkillHost> {
    const { size: _size, idleMs: _idleMs, ...options } = this.#options
    return SkillHost.open({ ...options, profile: this.#profile })
  }

  #fill(): void {
    if (this.#closed || this.#retry !== undefined || this.#filling !== undefined) return
    this.#filling = this.#fillUp().finally(() => {
      this.#filling = undefined
      // One may have ended after the last look.
      if (this.#waiting.length < this.#options.size) this.#fill()
    })
  }

  // One after the other: a pool in the background must not take the machine from those who work.
  async #fillUp(): Promise<void> {
    while (!this.#closed && this.#waiting.length < this.#options.size) {
      try {
        this.#keep(await this.#start())
        this.#failures = 0
      } catch {
        this.#failures += 1
        const wait = Math.min(RETRY_MS * 2 ** (this.#failures - 1), LONGEST_RETRY_MS)
        this.#retry = setTimeout(() => {
          this.#retry = undefined
          this.#fill()
        }, wait).unref()
        return
      }
    }
  }

  #keep(host: SkillHost): void {
    const idle = setTimeout(() => {
      void host.close().catch(() => undefined)
    }, this.#idleMs).unref()
    const waiting = { host, idle }
    this.#waiting.push(waiting)
    // One that ends while it waits, for whatever reason, is replaced.
    void host.over.then(() => {
      clearTimeout(idle)
      const index = this.#waiting.indexOf(waiting)
      if (index === -1) return
      this.#waiting.splice(index, 1)
      void host.close().catch(() => undefined)
      this.#fill()
    })
  }
}
