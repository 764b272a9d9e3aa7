// AttestationVerifier: is this skill the code somebody the operator trusts vouched for, and is what runs still that code?
// Decides from the bytes of a bundle and the trust it was given. Trusts no name, path, digest or time that comes with
// the skill before a threshold of the publisher's keys has signed it.

import { type Clock, systemClock } from '../core/clock.ts'
import type { Ed25519Provider } from '../core/crypto.ts'
import { type Denial, type DenialCode, deny } from '../core/denial.ts'
import { defaultEd25519 } from '../core/ed25519.ts'
import { isName } from '../core/text.ts'
import type { SkillBundle } from './bundle.ts'
import { type Envelope, readEnvelope, signers } from './dsse.ts'
import { type ExaminedSkill, examineBundle } from './examine.ts'
import { compareFiles, describeDifferences } from './file-list.ts'
import { formatInstant } from './instant.ts'
import { readStatement, type SkillRelease } from './statement.ts'
import { type AttestationToken, type IssuedToken, type TokenBinding, TokenStore, type TokenUse } from './token.ts'
import type { Trust, TrustedPublisher } from './trust.ts'

/** That a skill is vouched for: by whom, how, and for which bytes. Only a verifier makes one that counts. */
export interface Attestation {
  readonly skill: string
  readonly version?: string
  readonly publisher?: string
  readonly method: 'signature' | 'pinned_digest'
  /** `sha256:` and the git tree id of the files. */
  readonly digest: string
  /** Ids of the keys that signed. Empty for a pinned digest. */
  readonly keyIds: readonly string[]
  readonly sequence?: number
  /** Milliseconds since the Unix epoch. */
  readonly verifiedAt: number
  /** Milliseconds since the Unix epoch; absent when neither release nor trust ends. */
  readonly expiresAt?: number
}

export type Verified =
  | { readonly ok: true; readonly attestation: Attestation }
  | { readonly ok: false; readonly denial: Denial }

export interface AttestationVerifierOptions {
  readonly trust: Trust
  readonly clock?: Clock
  readonly ed25519?: Ed25519Provider
}

/** Lifetime of a token in milliseconds: what it is unless said, and the most it can be. */
export const DEFAULT_TOKEN_TTL_MS: number = 5 * 60_000
export const MAX_TOKEN_TTL_MS: number = 60 * 60_000

const DIGEST = /^sha256:[0-9a-f]{64}$/

interface Seen {
  readonly sequence: number
  readonly digest: string
}

export class AttestationVerifier {
  #trust: Trust
  readonly #clock: Clock
  readonly #ed25519: Ed25519Provider
  readonly #tokens: TokenStore
  /** Attestations of this verifier under the present trust. */
  #made = new WeakSet<Attestation>()
  /** By `publisher/skill`, the newest release verified. In memory; across restarts `min_sequence` of the trust speaks. */
  readonly #seen = new Map<string, Seen>()

  /** @throws TypeError without trust: a verifier that was given none would look like one that found nothing wrong. */
  constructor(options: AttestationVerifierOptions) {
    this.#trust = checkedTrust(options.trust)
    this.#clock = options.clock ?? systemClock
    this.#ed25519 = options.ed25519 ?? defaultEd25519
    this.#tokens = new TokenStore(this.#clock)
  }

  /** Judges a bundle. Never throws for anything inside it. */
  verify(bundle: SkillBundle): Verified {
    if (bundle === null || typeof bundle !== 'object') throw new TypeError('verify() takes a skill bundle')
    try {
      return this.#verify(bundle)
    } catch (error) {
      // Fail closed: a getter that throws, a broken clock or a mistake of ours vouches for nothing.
      return refuse(
        'internal_error',
        `verification failed: ${error instanceof Error ? error.message : 'unknown error'}`,
      )
    }
  }

  /**
   * A token for one attempt of one node, for `ttlMs` or {@link MAX_TOKEN_TTL_MS}, whichever is less; it never outlives
   * the attestation. Denied when the attestation is not of this verifier, expired, or quarantined.
   *
   * @throws TypeError for a binding or lifetime that cannot be one
   */
  issue(attestation: Attestation, binding: TokenBinding, ttlMs: number = DEFAULT_TOKEN_TTL_MS): IssuedToken {
    const { run, node, attempt } = binding
    if (!isName(run) || !isName(node)) throw new TypeError('a token is bound to the names of a run and a node')
    if (!Number.isSafeInteger(attempt) || attempt < 1) throw new TypeError('an attempt counts from 1')
    if (!(ttlMs > 0)) throw new TypeError('the lifetime of a token is more than 0 ms')
    const ttl = Math.min(ttlMs, MAX_TOKEN_TTL_MS)
    if (!this.#made.has(attestation)) {
      return refuse('attestation_invalid', 'the attestation was not made by this verifier', { node })
    }
    const { skill, digest, expiresAt } = attestation
    const quarantine = this.#tokens.quarantineOf(skill, digest)
    if (quarantine !== undefined) return refuse('skill_quarantined', `quarantined: ${quarantine}`, { node, skill })
    if (expiresAt === undefined) return this.#tokens.issue(skill, { run, node, attempt, digest }, ttl)
    const left = expiresAt - wallTime(this.#clock)
    if (!(left > 0)) {
      return refuse('attestation_expired', `the attestation expired at ${formatInstant(expiresAt)}`, { node, skill })
    }
    return this.#tokens.issue(skill, { run, node, attempt, digest }, Math.min(ttl, left))
  }

  /** `undefined` when `token` was issued for exactly this use and still holds. Constant time; never throws. */
  check(token: AttestationToken | undefined, use: TokenUse): Denial | undefined {
    try {
      return this.#tokens.check(token, use)
    } catch {
      return deny('internal_error', 'the attestation token could not be checked')
    }
  }

  /** Ends the tokens of a run, or of one node of it. */
  revoke(run: string, node?: string): void {
    this.#tokens.revoke(run, node)
  }

  /**
   * Withdraws a skill by name, or exact bytes by digest, for as long as this verifier lives: from now on nothing of it
   * verifies, no token is issued for it, and every check of one that was issued fails.
   */
  quarantine(target: string, reason: string): void {
    if (!isName(target) && !DIGEST.test(target)) {
      throw new TypeError('quarantine() takes a skill name or a sha256: digest')
    }
    // Without a reason the entry would read as no entry.
    if (typeof reason !== 'string' || reason === '') throw new TypeError('quarantine() needs a reason')
    this.#tokens.quarantine(target, reason)
  }

  /** Puts a new trust in place: all tokens and attestations end, quarantine and seen sequences stay. */
  replaceTrust(trust: Trust): void {
    this.#trust = checkedTrust(trust)
    this.#made = new WeakSet()
    this.#tokens.revokeAll()
  }

  #verify(bundle: SkillBundle): Verified {
    // One time for all checks: between two readings of the clock nothing may become valid.
    const now = this.#clock.now()
    const trust = this.#trust
    const examined = examineBundle(bundle)
    if (!examined.ok) return refuse('attestation_invalid', examined.reason)
    const { skill } = examined
    const name = skill.identity.skill
    const subject = { skill: name }

    const quarantine = this.#tokens.quarantineOf(name, skill.digest)
    if (quarantine !== undefined) return refuse('skill_quarantined', `quarantined: ${quarantine}`, subject)
    if (trust.revokedDigests.has(skill.digest)) {
      return refuse('skill_quarantined', `${skill.digest} is revoked`, subject)
    }

    const pinned = trust.pinned.get(name)
    if (pinned?.has(skill.digest) === true) {
      return this.#accept({
        skill: name,
        method: 'pinned_digest',
        digest: skill.digest,
        keyIds: Object.freeze([]),
        verifiedAt: now,
      })
    }
    if (skill.envelope === undefined) {
      if (pinned === undefined) {
        return refuse('attestation_missing', 'the skill has no attestation and its digest is not pinned', subject)
      }
      return refuse('attestation_mismatch', `${skill.digest} is not a pinned digest of the skill`, subject)
    }
    const read = readEnvelope(skill.envelope)
    if (!read.ok) return refuse('attestation_invalid', `the attestation cannot be read: ${read.reason}`, subject)
    return this.#verifySigned(skill, read.envelope, now)
  }

  #verifySigned(skill: ExaminedSkill, envelope: Envelope, now: number): Verified {
    const subject = { skill: skill.identity.skill }
    const read = readStatement(envelope.payload)
    if (!read.ok) return refuse('attestation_invalid', `the statement cannot be read: ${read.reason}`, subject)
    const { release } = read
    // Unsigned as yet, the publisher's name only chooses whose keys have to have signed it.
    const publisher = this.#trust.publishers.get(release.publisher)
    if (publisher === undefined) {
      return refuse('attestation_untrusted', `publisher ${release.publisher} is not trusted`, subject)
    }
    const counted = this.#countSigners(envelope, publisher)
    if (!counted.ok) return refuse(counted.code, counted.detail, subject)

    const fault = releaseFault(release, skill, publisher, now) ?? this.#rollback(release, skill, publisher)
    if (fault !== undefined) return refuse(fault.code, fault.detail, subject)

    this.#seen.set(`${release.publisher}/${release.skill}`, { sequence: release.sequence, digest: skill.digest })
    const ends = [release.expires, publisher.expires].filter((end) => end !== undefined)
    return this.#accept({
      skill: release.skill,
      version: release.version,
      publisher: release.publisher,
      method: 'signature',
      digest: skill.digest,
      keyIds: Object.freeze(counted.keyIds),
      sequence: release.sequence,
      verifiedAt: now,
      ...(ends.length === 0 ? {} : { expiresAt: Math.min(...ends) }),
    })
  }

  #countSigners(
    envelope: Envelope,
    publisher: TrustedPublisher,
  ): { readonly ok: true; readonly keyIds: readonly string[] } | ({ readonly ok: false } & Fault) {
    const signed = [...signers(envelope, publisher.keys, this.#ed25519)]
    const keyIds = signed.filter((id) => !this.#trust.revokedKeys.has(id))
    if (keyIds.length >= publisher.threshold) return { ok: true, keyIds }
    const revoked = signed.length - keyIds.length
    const detail = `${keyIds.length} of ${publisher.threshold} required keys of ${publisher.name} signed${revoked > 0 ? `, not counting ${revoked} revoked` : ''}`
    return { ok: false, code: revoked > 0 ? 'attestation_untrusted' : 'attestation_invalid', detail }
  }

  // An old release is signed as well as a new one: replaying it would bring back what the new one mended.
  #rollback(release: SkillRelease, skill: ExaminedSkill, publisher: TrustedPublisher): Fault | undefined {
    const { sequence } = release
    const least = publisher.minSequence.get(release.skill) ?? 0
    if (sequence < least) {
      return { code: 'attestation_expired', detail: `sequence ${sequence} is below min_sequence ${least}` }
    }
    const seen = this.#seen.get(`${release.publisher}/${release.skill}`)
    if (seen === undefined) return undefined
    if (sequence < seen.sequence) {
      return {
        code: 'attestation_expired',
        detail: `sequence ${sequence} is older than ${seen.sequence}, which was verified before`,
      }
    }
    if (sequence === seen.sequence && skill.digest !== seen.digest) {
      return { code: 'attestation_invalid', detail: `sequence ${sequence} was signed for two different contents` }
    }
    return undefined
  }

  #accept(attestation: Attestation): Verified {
    Object.freeze(attestation)
    this.#made.add(attestation)
    return { ok: true, attestation }
  }
}

interface Fault {
  readonly code: DenialCode
  readonly detail: string
}

// What a signed release must say to be this skill, from this publisher, now.
function releaseFault(
  release: SkillRelease,
  skill: ExaminedSkill,
  publisher: TrustedPublisher,
  now: number,
): Fault | undefined {
  const { identity } = skill
  if (release.skill !== identity.skill) {
    return { code: 'attestation_mismatch', detail: `the attestation is of skill ${release.skill}` }
  }
  if (!publisher.skills.some((glob) => glob.matches(release.skill))) {
    return {
      code: 'attestation_untrusted',
      detail: `publisher ${publisher.name} is not trusted for skill ${release.skill}`,
    }
  }
  const differences = describeDifferences(compareFiles(release.files, skill.files))
  if (differences !== undefined) {
    return { code: 'attestation_mismatch', detail: `files differ from the signed list: ${differences}` }
  }
  if (release.gitTree !== skill.gitTree) {
    return { code: 'attestation_mismatch', detail: 'the signed tree digest is not that of the files' }
  }
  if (release.manifest.path !== skill.manifestPath) {
    return { code: 'attestation_mismatch', detail: `the signed manifest is ${release.manifest.path}` }
  }
  if (Object.hasOwn(identity, 'version') && identity.version !== release.version) {
    return {
      code: 'attestation_mismatch',
      detail: `the manifest says another version than the signed ${release.version}`,
    }
  }
  if (Object.hasOwn(identity, 'publisher') && identity.publisher !== release.publisher) {
    return { code: 'attestation_mismatch', detail: `the manifest says another publisher than ${release.publisher}` }
  }
  // Each comparison is written so that a clock that answers NaN refuses.
  if (!(now >= release.notBefore)) {
    return {
      code: 'attestation_invalid',
      detail: `the release is not valid before ${formatInstant(release.notBefore)}`,
    }
  }
  if (release.expires !== undefined && !(now < release.expires)) {
    return { code: 'attestation_expired', detail: `the release expired at ${formatInstant(release.expires)}` }
  }
  if (publisher.expires !== undefined && !(now < publisher.expires)) {
    return {
      code: 'attestation_expired',
      detail: `trust in ${publisher.name} ended at ${formatInstant(publisher.expires)}`,
    }
  }
  return undefined
}

// A clock that throws is a clock without an answer, and NaN fails every comparison it is put into.
function wallTime(clock: Clock): number {
  try {
    return clock.now()
  } catch {
    return Number.NaN
  }
}

function checkedTrust(trust: Trust): Trust {
  if (!(trust?.publishers instanceof Map) || !(trust.pinned instanceof Map)) {
    throw new TypeError('trust is what loadTrust() gives')
  }
  return trust
}

function refuse(
  code: DenialCode,
  detail: string,
  subject: { node?: string; skill?: string } = {},
): { ok: false; denial: Denial } {
  return { ok: false, denial: deny(code, detail, { subject }) }
}
