import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { trustFromValue } from '../../src/attestation/trust.ts'
import { AttestationVerifier } from '../../src/attestation/verifier.ts'
import { encodeBase64 } from '../../src/core/base64.ts'
import type { Clock } from '../../src/core/clock.ts'
import { AgentPortError } from '../../src/core/errors.ts'
import { generateKeyPair, type KeyPair, keyPairOf, loadKey, writeKey } from '../../src/node/key-file.ts'
import { cosignSkill, signSkill } from '../../src/node/sign.ts'
import { readSkillDirectory } from '../../src/node/skill-directory.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const clock: Clock = { now: () => NOW, monotonic: () => 0 }

let home: string
let skill: string
let pair: KeyPair

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'agentport-sign-'))
  skill = join(home, 'skill')
  mkdirSync(join(skill, 'lib'), { recursive: true })
  writeFileSync(join(skill, 'manifest.json'), '{"skill":"web_search"}')
  writeFileSync(join(skill, 'lib/index.js'), 'export {}')
  pair = generateKeyPair()
})

afterEach(() => {
  rmSync(home, { recursive: true, force: true })
})

function verifierFor(keys: readonly string[], threshold = 1): AttestationVerifier {
  const loaded = trustFromValue({ version: 1, publishers: [{ name: 'acme', keys, threshold, skills: ['web_search'] }] })
  if (!loaded.ok) throw new Error('trust')
  return new AttestationVerifier({ trust: loaded.trust, clock })
}

function code(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    return error instanceof AgentPortError ? error.code : (error as Error).name
  }
  return 'ok'
}

const options = () => ({ seed: pair.seed, publisher: 'acme', sequence: 1, version: '1.0.0', clock })

describe('signing a directory', () => {
  test('makes what the verifier takes', () => {
    const signed = signSkill(skill, { ...options(), expires: '2026-04-01T00:00:00Z' })
    expect(signed).toMatchObject({
      path: join(skill, 'skill.attestation.json'),
      skill: 'web_search',
      publisher: 'acme',
      version: '1.0.0',
      sequence: 1,
    })
    const verified = verifierFor([pair.publicKey]).verify(readSkillDirectory(skill))
    expect(verified).toMatchObject({
      ok: true,
      attestation: { digest: signed.digest, keyIds: signed.keyIds, expiresAt: Date.UTC(2026, 3, 1) },
    })
    expect(readdirSync(skill).sort()).toEqual(['lib', 'manifest.json', 'skill.attestation.json'])
  })

  test('again replaces the old attestation, and the same release gives the same bytes', () => {
    signSkill(skill, options())
    const first = readFileSync(join(skill, 'skill.attestation.json'), 'utf8')
    signSkill(skill, options())
    expect(readFileSync(join(skill, 'skill.attestation.json'), 'utf8')).toBe(first)
    writeFileSync(join(skill, 'lib/more.js'), '1')
    expect(verifierFor([pair.publicKey]).verify(readSkillDirectory(skill))).toMatchObject({
      ok: false,
      denial: { code: 'attestation_mismatch' },
    })
    signSkill(skill, { ...options(), sequence: 2 })
    expect(verifierFor([pair.publicKey]).verify(readSkillDirectory(skill)).ok).toBe(true)
  })

  test('takes the version from the manifest, and no other than it says', () => {
    writeFileSync(join(skill, 'manifest.json'), '{"skill":"web_search","version":"2.1.0"}')
    const { version: _none, ...rest } = options()
    expect(signSkill(skill, rest).version).toBe('2.1.0')
    expect(code(() => signSkill(skill, options()))).toBe('ERR_ATTESTATION_FAILED')
  })

  test.each([
    ['no version anywhere', { version: undefined }, 'TypeError'],
    ['an odd version', { version: '1@2' }, 'ERR_ATTESTATION_FAILED'],
    ['an odd publisher', { publisher: 'a/b' }, 'TypeError'],
    ['a fractional sequence', { sequence: 1.5 }, 'TypeError'],
    ['a negative sequence', { sequence: -1 }, 'TypeError'],
    ['a seed of 64 bytes', { seed: new Uint8Array(64) }, 'ERR_KEY_INVALID'],
    ['an end that does not exist', { expires: '2026-02-30T00:00:00Z' }, 'TypeError'],
    ['an end before the beginning', { expires: '2026-02-01T00:00:00Z' }, 'ERR_ATTESTATION_FAILED'],
  ])('%s writes nothing', (_name, change, expected) => {
    expect(code(() => signSkill(skill, { ...options(), ...change } as Parameters<typeof signSkill>[1]))).toBe(expected)
    expect(readdirSync(skill).sort()).toEqual(['lib', 'manifest.json'])
  })

  test('a directory that cannot be read is not signed', () => {
    symlinkSync('/etc/passwd', join(skill, 'x'))
    expect(code(() => signSkill(skill, options()))).toBe('ERR_SKILL_UNREADABLE')
  })

  test('a release for later can be signed today', () => {
    signSkill(skill, { ...options(), notBefore: '2026-06-01T00:00:00Z' })
    expect(verifierFor([pair.publicKey]).verify(readSkillDirectory(skill))).toMatchObject({
      ok: false,
      denial: { code: 'attestation_invalid' },
    })
  })
})

describe('a second signature', () => {
  const cosigner = (one: KeyPair) => ({ seed: one.seed, publisher: 'acme', sequence: 1 })

  test('is not lent to a statement of someone else', () => {
    signSkill(skill, { ...options(), sequence: Number.MAX_SAFE_INTEGER })
    expect(code(() => cosignSkill(skill, cosigner(generateKeyPair())))).toBe('ERR_ATTESTATION_FAILED')
    signSkill(skill, { ...options(), publisher: 'mallory' })
    expect(code(() => cosignSkill(skill, cosigner(generateKeyPair())))).toBe('ERR_ATTESTATION_FAILED')
  })

  test('reaches a threshold of two', () => {
    const second = generateKeyPair()
    const verifier = verifierFor([pair.publicKey, second.publicKey], 2)
    signSkill(skill, options())
    expect(verifier.verify(readSkillDirectory(skill)).ok).toBe(false)
    expect(cosignSkill(skill, cosigner(second)).keyIds).toHaveLength(2)
    expect(verifier.verify(readSkillDirectory(skill)).ok).toBe(true)
  })

  test('is not made twice, nor over what changed, nor over nothing', () => {
    expect(code(() => cosignSkill(skill, cosigner(pair)))).toBe('ERR_ATTESTATION_FAILED')
    signSkill(skill, options())
    expect(code(() => cosignSkill(skill, cosigner(pair)))).toBe('ERR_ATTESTATION_FAILED')
    writeFileSync(join(skill, 'lib/index.js'), 'evil')
    expect(code(() => cosignSkill(skill, cosigner(generateKeyPair())))).toBe('ERR_ATTESTATION_FAILED')
    writeFileSync(join(skill, 'skill.attestation.json'), '{}')
    expect(code(() => cosignSkill(skill, cosigner(generateKeyPair())))).toBe('ERR_ATTESTATION_FAILED')
  })
})

describe('key files', () => {
  const path = (): string => join(home, 'publisher.key')

  test('are made for their owner alone and read back', () => {
    writeKey(path(), pair.seed)
    expect(statSync(path()).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(path(), 'utf8'))).toEqual({
      kind: 'agentport-ed25519-seed',
      seed: encodeBase64(pair.seed),
    })
    expect(loadKey(path())).toEqual(pair)
    expect(keyPairOf(pair.seed)).toEqual(pair)
  })

  test('two keys are two', () => {
    expect(generateKeyPair().publicKey).not.toBe(generateKeyPair().publicKey)
  })

  test('are never overwritten', () => {
    writeKey(path(), pair.seed)
    expect(() => writeKey(path(), generateKeyPair().seed)).toThrow('EEXIST')
    expect(loadKey(path())).toEqual(pair)
    expect(code(() => writeKey(join(home, 'short.key'), new Uint8Array(31)))).toBe('ERR_KEY_INVALID')
    expect(existsSync(join(home, 'short.key'))).toBe(false)
  })

  test.each([0o640, 0o604, 0o660, 0o666, 0o620, 0o601])('open to others (%o) are refused', (mode) => {
    writeKey(path(), pair.seed)
    chmodSync(path(), mode)
    expect(code(() => loadKey(path()))).toBe('ERR_KEY_INVALID')
    // Positive control: the key is there to be read.
    expect(readFileSync(path(), 'utf8')).toContain(encodeBase64(pair.seed))
  })

  test('behind a link are refused', () => {
    writeKey(path(), pair.seed)
    symlinkSync(path(), join(home, 'link.key'))
    expect(code(() => loadKey(join(home, 'link.key')))).toBe('ERR_KEY_INVALID')
    linkSync(path(), join(home, 'hard.key'))
    expect(loadKey(join(home, 'hard.key'))).toEqual(pair)
  })

  const SEED = encodeBase64(new Uint8Array(32).fill(7))
  test.each([
    ['nothing', ''],
    ['text', 'secret words'],
    ['an array', '[]'],
    ['another kind', JSON.stringify({ kind: 'pem', seed: SEED })],
    ['no kind', JSON.stringify({ seed: SEED })],
    ['one key more', JSON.stringify({ kind: 'agentport-ed25519-seed', seed: SEED, publicKey: 'x' })],
    ['a seed of 31 bytes', JSON.stringify({ kind: 'agentport-ed25519-seed', seed: encodeBase64(new Uint8Array(31)) })],
    ['a seed of 64 bytes', JSON.stringify({ kind: 'agentport-ed25519-seed', seed: encodeBase64(new Uint8Array(64)) })],
    ['url-safe base64', JSON.stringify({ kind: 'agentport-ed25519-seed', seed: SEED.replace('=', '') })],
    ['two seeds', `{"kind":"agentport-ed25519-seed","seed":"${SEED}","seed":"${SEED}"}`],
    ['5 KB', JSON.stringify({ kind: 'agentport-ed25519-seed', seed: 'A'.repeat(5000) })],
  ])('with %s are refused, and their contents are not told', (_name, text) => {
    writeFileSync(path(), text, { mode: 0o600 })
    let message = ''
    try {
      loadKey(path())
    } catch (error) {
      expect((error as AgentPortError).code).toBe('ERR_KEY_INVALID')
      message = `${(error as Error).message} ${String((error as Error).cause ?? '')}`
    }
    expect(message).not.toBe('')
    if (text.length > 4) expect(message).not.toContain(text.slice(2, 12))
    expect(message).not.toContain(SEED.slice(0, 12))
  })

  test('that are no files are refused', () => {
    expect(code(() => loadKey(home))).toBe('ERR_KEY_INVALID')
    expect(code(() => loadKey(join(home, 'nowhere')))).toBe('ERR_KEY_INVALID')
  })
})
