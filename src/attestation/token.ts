// Attestation tokens: proof, for minutes, that the skill which runs is the one that was verified. In one process a token
// needs no signature: it is an object nobody else can make, and all it stands for is kept here, so that it can be
// withdrawn at once. Decides in constant time whether a token still holds for what it is shown for.

import type { Clock } from '../core/clock.ts'
import { randomHex } from '../core/crypto.ts'
import { type Denial, type DenialCode, deny } from '../core/denial.ts'

/** Opaque. Valid is only the very object that was issued: a copy with the same `id` is nothing. */
export interface AttestationToken {
  /** For records. Knowing it grants nothing. */
  readonly id: string
}

/** What a token is for. All of it is compared when the token is checked. */
export interface TokenBinding {
  readonly run: string
  readonly node: string
  readonly attempt: number
}

/** What a token is checked against: the binding, and the digest of the skill that is about to act. */
export interface TokenUse extends TokenBinding {
  readonly digest: string
}

export type IssuedToken =
  | { readonly ok: true; readonly token: AttestationToken }
  | { readonly ok: false; readonly denial: Denial }

/** Live tokens one verifier keeps. Beyond it none is issued until one ends. */
export const MAX_LIVE_TOKENS = 100_000

type Ending = 'expired' | 'revoked' | 'quarantined'

interface TokenState extends TokenUse {
  readonly skill: string
  /** On the monotonic clock, so that stepping the wall clock extends nothing. */
  readonly expires: number
  /** The quarantine epoch this token was last found clear in. */
  epoch: number
  ended?: Ending
}

const ENDINGS: Record<Ending, { readonly code: DenialCode; readonly detail: string }> = {
  expired: { code: 'attestation_expired', detail: 'the attestation token has expired' },
  revoked: { code: 'attestation_expired', detail: 'the attestation token was revoked' },
  quarantined: { code: 'skill_quarantined', detail: 'the skill was quarantined while it ran' },
}

/** The tokens of one verifier. */
export class TokenStore {
  readonly #clock: Clock
  readonly #limit: number
  /** Weak: a token that its holder dropped needs no answer. Keyed by identity: forging an object forges no key. */
  readonly #states = new WeakMap<object, TokenState>()
  /** In the order of issue. */
  readonly #live = new Set<TokenState>()
  readonly #byRun = new Map<string, Set<TokenState>>()
  /** By skill name or digest, why. */
  readonly #quarantined = new Map<string, string>()
  #epoch = 0
  /** Before this monotonic time a full store holds nothing expired, and is not searched again. */
  #sweepAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, limit: number = MAX_LIVE_TOKENS) {
    this.#clock = clock
    this.#limit = limit
  }

  /** Live tokens, expired ones that were not met yet included. */
  get size(): number {
    return this.#live.size
  }

  /** `ttlMs` is taken as it is: the verifier has bounded it. */
  issue(skill: string, use: TokenUse, ttlMs: number): IssuedToken {
    const now = this.#clock.monotonic()
    this.#buryOldest(now)
    if (this.#live.size >= this.#limit) this.#sweep(now)
    if (this.#live.size >= this.#limit) {
      return {
        ok: false,
        denial: deny('internal_error', `more than ${this.#limit} attestation tokens are live`, {
          subject: { node: use.node, skill },
        }),
      }
    }
    const { run, node, attempt, digest } = use
    const state: TokenState = { run, node, attempt, digest, skill, expires: now + ttlMs, epoch: this.#epoch }
    const token: AttestationToken = Object.freeze({ id: randomHex(16) })
    this.#states.set(token, state)
    this.#live.add(state)
    const ofRun = this.#byRun.get(run)
    if (ofRun === undefined) this.#byRun.set(run, new Set([state]))
    else ofRun.add(state)
    return { ok: true, token }
  }

  /** `undefined` when the token holds for exactly this use now. */
  check(token: AttestationToken | undefined, use: TokenUse): Denial | undefined {
    if (token === undefined) return deny('attestation_missing', 'no attestation token was shown')
    const state = this.#states.get(token)
    if (state === undefined) return deny('attestation_invalid', 'the attestation token was not issued here')
    const subject = { node: state.node, skill: state.skill }
    if (state.ended === undefined && state.epoch !== this.#epoch) {
      if (this.quarantineOf(state.skill, state.digest) === undefined) state.epoch = this.#epoch
      else this.#end(state, 'quarantined')
    }
    // Written so that a clock that answers NaN expires the token instead of keeping it.
    if (state.ended === undefined && !(this.#clock.monotonic() < state.expires)) this.#end(state, 'expired')
    if (state.ended !== undefined) {
      const { code, detail } = ENDINGS[state.ended]
      return deny(code, detail, { subject })
    }
    for (const part of ['run', 'node', 'attempt', 'digest'] as const) {
      if (state[part] !== use[part]) {
        return deny('attestation_mismatch', `the attestation token was issued for another ${part}`, { subject })
      }
    }
    return undefined
  }

  /** Ends the tokens of a run, or of one node of it. */
  revoke(run: string, node?: string): void {
    for (const state of [...(this.#byRun.get(run) ?? [])]) {
      if (node === undefined || state.node === node) this.#end(state, 'revoked')
    }
  }

  revokeAll(): void {
    for (const state of [...this.#live]) this.#end(state, 'revoked')
  }

  /** From now on every check of a token for this skill name or digest fails; no token is visited. */
  quarantine(target: string, reason: string): void {
    this.#quarantined.set(target, reason)
    this.#epoch += 1
  }

  /** Why this skill or this digest is quarantined. */
  quarantineOf(skill: string, digest: string): string | undefined {
    return this.#quarantined.get(skill) ?? this.#quarantined.get(digest)
  }

  #end(state: TokenState, ending: Ending): void {
    state.ended = ending
    this.#live.delete(state)
    const ofRun = this.#byRun.get(state.run)
    ofRun?.delete(state)
    if (ofRun?.size === 0) this.#byRun.delete(state.run)
  }

  // Two for each one issued: dropped tokens never pile up, and no call pays for many.
  #buryOldest(now: number): void {
    let budget = 2
    for (const state of this.#live) {
      if (budget === 0 || now < state.expires) return
      this.#end(state, 'expired')
      budget -= 1
    }
  }

  #sweep(now: number): void {
    if (now < this.#sweepAt) return
    let next = Number.POSITIVE_INFINITY
    for (const state of [...this.#live]) {
      if (now < state.expires) next = Math.min(next, state.expires)
      else this.#end(state, 'expired')
    }
    this.#sweepAt = next
  }
}
