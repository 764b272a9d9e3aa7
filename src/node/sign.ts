// The publisher's side: signs what is in a skill directory now. Everything written is verified first by the verifier
// that will meet it later, so a signature that nobody could accept is never left behind.

import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { ENVELOPE_FILE, type SkillBundle } from '../attestation/bundle.ts'
import {
  type Envelope,
  PAYLOAD_TYPE,
  preAuthEncoding,
  readEnvelope,
  signers,
  writeEnvelope,
} from '../attestation/dsse.ts'
import { examineBundle } from '../attestation/examine.ts'
import { formatInstant, parseInstant } from '../attestation/instant.ts'
import { readStatement, type SkillRelease, writeStatement } from '../attestation/statement.ts'
import { trustFromValue } from '../attestation/trust.ts'
import { AttestationVerifier } from '../attestation/verifier.ts'
import { encodeBase64 } from '../core/base64.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { keyId, publicKeyOfSeed, signWithSeed } from '../core/ed25519.ts'
import { AgentPortError } from '../core/errors.ts'
import { isName } from '../core/text.ts'
import { readSkillDirectory } from './skill-directory.ts'

export interface SignSkillOptions {
  /** The private key: 32 bytes. */
  readonly seed: Uint8Array
  readonly publisher: string
  /** Higher than that of every earlier release of the skill. */
  readonly sequence: number
  /** Needed when the manifest says none; otherwise it must be the same. */
  readonly version?: string
  /** RFC 3339 in UTC. Now when absent. */
  readonly notBefore?: string
  /** RFC 3339 in UTC. Never when absent. */
  readonly expires?: string
  readonly clock?: Clock
}

export interface SignedSkill {
  /** The file that was written. */
  readonly path: string
  readonly skill: string
  readonly version: string
  readonly publisher: string
  readonly sequence: number
  /** `sha256:` and the git tree id. */
  readonly digest: string
  /** The ids the signatures of the file name; of these only the last, just made, is known to be true. */
  readonly keyIds: readonly string[]
}

/**
 * Signs the skill in `directory` and writes `skill.attestation.json` there, in place of one that may be there already.
 *
 * @throws AgentPortError ERR_SKILL_UNREADABLE, ERR_KEY_INVALID; ERR_ATTESTATION_FAILED when the result would not verify
 * @throws DocumentError ERR_MANIFEST_INVALID
 * @throws TypeError for an unusable option
 */
export function signSkill(directory: string, options: SignSkillOptions): SignedSkill {
  const { seed, publisher, sequence } = options
  if (!isName(publisher)) throw new TypeError('publisher is not a name')
  if (!Number.isSafeInteger(sequence) || sequence < 0) throw new TypeError('sequence is a whole number from 0')
  const notBefore = moment(options.notBefore, 'notBefore')
  const expires = moment(options.expires, 'expires')
  const bundle = readSkillDirectory(directory)
  const examined = examineBundle(bundle)
  if (!examined.ok) throw new AgentPortError('ERR_SKILL_UNREADABLE', `${directory}: ${examined.reason}`)
  const { skill } = examined
  const manifest = skill.files.find((file) => file.path === skill.manifestPath)
  const version = options.version ?? skill.identity.version
  if (typeof version !== 'string') throw new TypeError('give a version: the manifest does not say one')
  const release: SkillRelease = {
    skill: skill.identity.skill,
    version,
    publisher,
    manifest: { path: skill.manifestPath, sha256: manifest?.sha256 ?? '' },
    files: skill.files,
    gitTree: skill.gitTree,
    sequence,
    notBefore: notBefore ?? Math.floor((options.clock ?? systemClock).now() / 1000) * 1000,
    ...(expires === undefined ? {} : { expires }),
  }
  const payload = writeStatement(release)
  return publish(directory, bundle, { payload, signatures: [] }, release, seed)
}

export interface CosignSkillOptions {
  /** The private key: 32 bytes. */
  readonly seed: Uint8Array
  /** What the signer means to sign. The statement was written by someone else and must say the same. */
  readonly publisher: string
  readonly sequence: number
}

/**
 * Adds one more signature to the release that is signed already, for publishers whose threshold is above 1. The
 * directory must still hold exactly what was signed.
 *
 * @throws AgentPortError as {@link signSkill}; ERR_ATTESTATION_FAILED when there is nothing to add to, or the statement
 *   is of another publisher or sequence
 */
export function cosignSkill(directory: string, options: CosignSkillOptions): SignedSkill {
  const bundle = readSkillDirectory(directory)
  if (bundle.attestation === undefined) throw failed(directory, `there is no ${ENVELOPE_FILE} to add a signature to`)
  const read = readEnvelope(bundle.attestation)
  if (!read.ok) throw failed(directory, read.reason)
  const statement = readStatement(read.envelope.payload)
  if (!statement.ok) throw failed(directory, statement.reason)
  // Blindly signing what lies there would lend the key to whoever put it there: a sequence near the end of all numbers,
  // once accepted, would make every later release a rollback.
  const { publisher, sequence } = statement.release
  if (publisher !== options.publisher || sequence !== options.sequence) {
    throw failed(directory, `the statement is of publisher ${publisher}, sequence ${sequence}`)
  }
  return publish(directory, bundle, read.envelope, statement.release, options.seed)
}

function publish(
  directory: string,
  bundle: SkillBundle,
  envelope: Envelope,
  release: SkillRelease,
  seed: Uint8Array,
): SignedSkill {
  const publicKey = publicKeyOfSeed(seed)
  const id = keyId(publicKey)
  if (signers(envelope, new Map([[id, publicKey]])).size > 0) {
    throw failed(directory, 'this key has signed the release already')
  }
  const signature = signWithSeed(seed, preAuthEncoding(PAYLOAD_TYPE, envelope.payload))
  const signed: Envelope = { payload: envelope.payload, signatures: [...envelope.signatures, { keyId: id, signature }] }
  const text = writeEnvelope(signed)
  checkVerifies(directory, { ...bundle, attestation: text }, release, publicKey)
  const path = join(directory, ENVELOPE_FILE)
  writeAtomically(path, text)
  const { skill, version, publisher, sequence, gitTree } = release
  const keyIds = signed.signatures.map((one) => one.keyId)
  return { path, skill, version, publisher, sequence, digest: `sha256:${gitTree}`, keyIds }
}

// With this key alone, at the moment the release becomes valid: whatever is refused then no operator can accept.
function checkVerifies(directory: string, bundle: SkillBundle, release: SkillRelease, publicKey: Uint8Array): void {
  const loaded = trustFromValue({
    version: 1,
    publishers: [{ name: release.publisher, keys: [encodeBase64(publicKey)], skills: [release.skill] }],
  })
  if (!loaded.ok) throw failed(directory, loaded.problems[0]?.message ?? 'the key cannot be trusted')
  const clock: Clock = { now: () => release.notBefore, monotonic: () => 0 }
  const verified = new AttestationVerifier({ trust: loaded.trust, clock }).verify(bundle)
  if (!verified.ok) throw failed(directory, verified.denial.detail)
}

/** Whole or not at all, and on disk before it is there: a reader never meets half an attestation. */
function writeAtomically(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`
  try {
    const fd = openSync(temporary, 'wx', 0o644)
    try {
      writeFileSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

function moment(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined
  const time = parseInstant(text)
  if (time === undefined) throw new TypeError(`${name} is a moment in UTC such as ${formatInstant(0)}`)
  return time
}

function failed(directory: string, reason: string): AgentPortError {
  return new AgentPortError('ERR_ATTESTATION_FAILED', `${directory}: ${reason}`)
}
