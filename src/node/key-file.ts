// Private keys on disk: a 32-byte Ed25519 seed in JSON, readable by its owner alone. Only seeds are kept; the public key
// is computed from it, so the two cannot disagree.

import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, writeFileSync } from 'node:fs'

import { decodeBase64, encodeBase64 } from '../core/base64.ts'
import { publicKeyOfSeed, SEED_BYTES } from '../core/ed25519.ts'
import { AgentPortError } from '../core/errors.ts'
import { parseJson } from '../core/json.ts'
import { printable } from '../core/text.ts'

const KIND = 'agentport-ed25519-seed'
const MAX_BYTES = 4096n

export interface KeyPair {
  /** The private key: 32 bytes. */
  readonly seed: Uint8Array
  /** Base64 of 32 bytes, as it stands in a trust document. */
  readonly publicKey: string
}

export function generateKeyPair(): KeyPair {
  return keyPairOf(globalThis.crypto.getRandomValues(new Uint8Array(SEED_BYTES)))
}

/** @throws AgentPortError ERR_KEY_INVALID unless `seed` is 32 bytes */
export function keyPairOf(seed: Uint8Array): KeyPair {
  return { seed, publicKey: encodeBase64(publicKeyOfSeed(seed)) }
}

/** Writes a new key file with mode 0600. An existing file is never overwritten: it may be the only copy of a key. */
export function writeKey(path: string, seed: Uint8Array): void {
  keyPairOf(seed)
  const fd = openSync(path, 'wx', 0o600)
  try {
    writeFileSync(fd, `${JSON.stringify({ kind: KIND, seed: encodeBase64(seed) }, undefined, 2)}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Reads a key file. Nothing of its contents gets into an error.
 *
 * @throws AgentPortError ERR_KEY_INVALID when it is a link, not the caller's own, open to group or others, or no key
 */
export function loadKey(path: string): KeyPair {
  return keyPairOf(readSeed(path))
}

function readSeed(path: string): Uint8Array {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    throw refuse(path, 'it cannot be opened', cause)
  }
  try {
    // Of the open file, not of the path: between two looks at a path it can become another file.
    const stats = fstatSync(fd, { bigint: true })
    if (!stats.isFile() || stats.size > MAX_BYTES) throw refuse(path, 'it is not a key file')
    const uid = process.getuid?.()
    if (uid !== undefined && stats.uid !== BigInt(uid) && stats.uid !== 0n) {
      throw refuse(path, 'it belongs to another user')
    }
    if (process.platform !== 'win32' && (stats.mode & 0o077n) !== 0n) {
      throw refuse(path, 'group or others can reach it: chmod 600 it, and think about making a new key')
    }
    return parseKey(path, readFileSync(fd))
  } finally {
    closeSync(fd)
  }
}

function parseKey(path: string, bytes: Uint8Array): Uint8Array {
  let value: unknown
  try {
    value = parseJson(bytes)
  } catch {
    // Without its cause: a parser's message can quote the text, and the text is the key.
    throw refuse(path, 'it is not a key file')
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw refuse(path, 'it is not a key file')
  const members = value as Readonly<Record<string, unknown>>
  const known = Object.keys(members).sort().join()
  const text = members['seed']
  if (known !== 'kind,seed' || members['kind'] !== KIND || typeof text !== 'string') {
    throw refuse(path, 'it is not a key file')
  }
  const seed = decodeBase64(text)
  if (seed?.length !== SEED_BYTES) throw refuse(path, `its seed is not the base64 of ${SEED_BYTES} bytes`)
  return seed
}

function refuse(path: string, reason: string, cause?: unknown): AgentPortError {
  return new AgentPortError('ERR_KEY_INVALID', printable(`${path}: ${reason}`), cause === undefined ? {} : { cause })
}
