// Skills, keys and trust in memory for the tests of this room.

import type { SkillBundle, SkillFile } from '../../src/attestation/bundle.ts'
import { type Envelope, PAYLOAD_TYPE, preAuthEncoding, writeEnvelope } from '../../src/attestation/dsse.ts'
import { listFiles } from '../../src/attestation/file-list.ts'
import { type SkillRelease, writeStatement } from '../../src/attestation/statement.ts'
import { gitTree } from '../../src/attestation/tree.ts'
import { type Trust, trustFromValue } from '../../src/attestation/trust.ts'
import type { Verified } from '../../src/attestation/verifier.ts'
import { AttestationVerifier } from '../../src/attestation/verifier.ts'
import { encodeBase64 } from '../../src/core/base64.ts'
import type { Clock } from '../../src/core/clock.ts'
import { keyId, publicKeyOfSeed, signWithSeed } from '../../src/core/ed25519.ts'
import { formatProblems } from '../../src/core/problem.ts'

export const NOW = Date.parse('2026-03-01T12:00:00Z')

export class TestClock implements Clock {
  wall = NOW
  mono = 1000

  now(): number {
    return this.wall
  }

  monotonic(): number {
    return this.mono
  }

  /** Both clocks. */
  advance(ms: number): void {
    this.wall += ms
    this.mono += ms
  }
}

export interface TestKey {
  readonly seed: Uint8Array
  readonly bytes: Uint8Array
  readonly text: string
  readonly id: string
}

export function testKey(fill: number): TestKey {
  const seed = new Uint8Array(32).fill(fill)
  const bytes = publicKeyOfSeed(seed)
  return { seed, bytes, text: encodeBase64(bytes), id: keyId(bytes) }
}

export const ACME = testKey(1)
export const ACME_SECOND = testKey(2)
export const OTHER = testKey(3)

const utf8 = new TextEncoder()

export function file(path: string, content: string | Uint8Array, executable = false): SkillFile {
  return { path, executable, bytes: typeof content === 'string' ? utf8.encode(content) : content }
}

export const MANIFEST = '{ "skill": "web_search", "allowed_hosts": ["api.duckduckgo.com"] }\n'

export function skillFiles(): SkillFile[] {
  return [
    file('manifest.json', MANIFEST),
    file('index.js', 'export const search = () => "found"\n'),
    file('lib/parse.js', 'export const parse = JSON.parse\n'),
    file('bin/run.sh', '#!/bin/sh\nexec node ../index.js\n', true),
  ]
}

/** A bundle as the directory reader makes it: manifest and name follow from the files. */
export function bundleOf(files: readonly SkillFile[], attestation?: string, name = 'web_search'): SkillBundle {
  const manifest = files.find((one) => /^(manifest\.(json|ya?ml)|claw\.toml)$/.test(one.path))
  return {
    name,
    files,
    manifest: { file: manifest?.path ?? 'manifest.json', text: new TextDecoder().decode(manifest?.bytes) },
    ...(attestation === undefined ? {} : { attestation }),
  }
}

export function releaseOf(files: readonly SkillFile[], changes: Partial<SkillRelease> = {}): SkillRelease {
  const listed = listFiles(files)
  const manifest = listed.find((one) => one.path === 'manifest.json') ?? listed[0]
  return {
    skill: 'web_search',
    version: '1.2.0',
    publisher: 'acme',
    manifest: { path: manifest?.path ?? '', sha256: manifest?.sha256 ?? '' },
    files: listed,
    gitTree: gitTree(files),
    sequence: 3,
    notBefore: NOW - 86_400_000,
    ...changes,
  }
}

export function envelopeOf(
  payload: Uint8Array,
  keys: readonly TestKey[] = [ACME],
  payloadType = PAYLOAD_TYPE,
): Envelope {
  const message = preAuthEncoding(payloadType, payload)
  return { payload, signatures: keys.map((key) => ({ keyId: key.id, signature: signWithSeed(key.seed, message) })) }
}

/** The text of an honest attestation, or of one whose statement was changed before signing. */
export function attest(
  files: readonly SkillFile[],
  changes: Partial<SkillRelease> = {},
  keys: readonly TestKey[] = [ACME],
): string {
  return writeEnvelope(envelopeOf(writeStatement(releaseOf(files, changes)), keys))
}

/** Signs a statement value that no honest signer would write. */
export function attestValue(value: unknown, keys: readonly TestKey[] = [ACME]): string {
  return writeEnvelope(envelopeOf(utf8.encode(typeof value === 'string' ? value : JSON.stringify(value)), keys))
}

export interface TrustChanges {
  readonly publisher?: object
  readonly top?: object
}

export function trustOf(changes: TrustChanges = {}): Trust {
  return mustTrust({
    version: 1,
    publishers: [
      { name: 'acme', keys: [ACME.text], skills: ['web_search'], ...changes.publisher },
      { name: 'other', keys: [OTHER.text], skills: ['calendar'] },
    ],
    ...changes.top,
  })
}

export function mustTrust(value: unknown): Trust {
  const loaded = trustFromValue(value)
  if (!loaded.ok) throw new Error(formatProblems(loaded.problems))
  return loaded.trust
}

const PLAIN = trustOf()

export function verifierOf(changes?: TrustChanges, clock: Clock = new TestClock()): AttestationVerifier {
  return new AttestationVerifier({ trust: changes === undefined ? PLAIN : trustOf(changes), clock })
}

/** `ok`, or the code of the denial. */
export function outcome(verified: Verified): string {
  return verified.ok ? 'ok' : verified.denial.code
}

export function detail(verified: Verified): string {
  return verified.ok ? '' : verified.denial.detail
}
