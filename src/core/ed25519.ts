// Strict Ed25519 (RFC 8032): one verdict whatever does the arithmetic. Runtimes and tweetnacl agree on honest signatures
// and differ on crafted ones (tweetnacl takes S ≥ L; OpenSSL before 3.5.x and tweetnacl take keys of small order, for
// which one signature fits every message), so everything on which they differ is refused before they are asked.
// Decides whether bytes are a usable key and whether a signature holds. Trusts the provider for the curve equation only.

import { decodeBase64 } from './base64.ts'
import { type Ed25519Provider, portableEd25519, runtimeEd25519, sha256Hex } from './crypto.ts'
import { AgentPortError } from './errors.ts'

export const SEED_BYTES: number = 32
export const PUBLIC_KEY_BYTES: number = 32
export const SIGNATURE_BYTES: number = 64

/** The runtime's own Ed25519 where it has one, else the portable one. */
export const defaultEd25519: Ed25519Provider = runtimeEd25519 ?? portableEd25519

// The order of the base point and the prime of the field (RFC 8032 §5.1), little-endian as they stand in signatures.
const ORDER = fromHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010')
const PRIME = fromHex('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')

// The y coordinates of the eight points whose order divides 8. As a key, such a point makes forgeries that verify for
// every message or for one in eight; as R, it makes one signature fit several messages.
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map(fromHex)

/**
 * Whether `signature` (64 bytes) is by `publicKey` (32 bytes) over `message`. Cofactorless, with canonical A and R, S
 * below the group order and no point of small order: what libsodium and dalek's `verify_strict` accept. Never throws:
 * whatever goes wrong, the signature does not hold.
 */
export function verifyStrict(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  provider: Ed25519Provider = defaultEd25519,
): boolean {
  try {
    // Copies: the provider sees the very bytes that were checked, whatever backs or overrides the caller's arrays.
    const key = copyOf(publicKey)
    const copy = copyOf(signature)
    if (key?.length !== PUBLIC_KEY_BYTES || copy?.length !== SIGNATURE_BYTES) return false
    // Runtimes also take text here and decode it in their own way.
    if (!(message instanceof Uint8Array)) return false
    if (!isBelow(copy.subarray(32), ORDER)) return false
    if (pointFault(key) !== undefined || pointFault(copy.subarray(0, 32)) !== undefined) return false
    return provider.verify(key, message, copy) === true
  } catch {
    return false
  }
}

/**
 * A public key from its 32 bytes, or from their base64. Small-order, non-canonical and off-curve keys are refused here
 * already, so that trust given to an unusable key is told when it is given.
 *
 * @throws AgentPortError ERR_KEY_INVALID
 */
export function importPublicKey(key: string | Uint8Array): Uint8Array {
  const bytes = typeof key === 'string' ? decodeBase64(key) : copyOf(key)
  if (bytes === undefined) throw invalidKey('it is not canonical base64')
  if (bytes.length !== PUBLIC_KEY_BYTES) throw invalidKey(`it has ${bytes.length} bytes instead of ${PUBLIC_KEY_BYTES}`)
  const fault = pointFault(bytes)
  if (fault !== undefined) throw invalidKey(fault)
  if (!isOnCurve(bytes)) throw invalidKey('it is not a point of the curve')
  return bytes
}

/** Names a public key: SHA-256 of its 32 bytes, as 64 hex digits. */
export function keyId(publicKey: Uint8Array): string {
  return sha256Hex(publicKey)
}

/**
 * The 64-byte signature over `message`. Only seeds are taken: a 64-byte secret whose public half does not belong to it
 * would give two signatures with one R, from which the private key follows.
 *
 * @throws AgentPortError ERR_KEY_INVALID unless `seed` is 32 bytes
 */
export function signWithSeed(
  seed: Uint8Array,
  message: Uint8Array,
  provider: Ed25519Provider = defaultEd25519,
): Uint8Array {
  return provider.sign(checkedSeed(seed), message)
}

/** The public key of a 32-byte seed. @throws AgentPortError ERR_KEY_INVALID */
export function publicKeyOfSeed(seed: Uint8Array, provider: Ed25519Provider = defaultEd25519): Uint8Array {
  return provider.publicKey(checkedSeed(seed))
}

function checkedSeed(seed: Uint8Array): Uint8Array {
  const copy = copyOf(seed)
  if (copy?.length !== SEED_BYTES) throw new AgentPortError('ERR_KEY_INVALID', `a private key is ${SEED_BYTES} bytes`)
  return copy
}

function invalidKey(reason: string): AgentPortError {
  return new AgentPortError('ERR_KEY_INVALID', `not a usable Ed25519 public key: ${reason}`)
}

function copyOf(bytes: unknown): Uint8Array | undefined {
  return bytes instanceof Uint8Array ? new Uint8Array(bytes) : undefined
}

// What makes 32 bytes an encoding that implementations read differently, or a point that signs too much.
function pointFault(encoded: Uint8Array): string | undefined {
  const y = new Uint8Array(encoded)
  y[31] = (y[31] as number) & 0x7f
  if (!isBelow(y, PRIME)) return 'its encoding is not canonical'
  if (SMALL_ORDER.some((low) => low.every((byte, index) => byte === y[index]))) return 'its order is small'
  return undefined
}

// Both are public values: nothing here needs constant time.
function isBelow(value: Uint8Array, bound: Uint8Array): boolean {
  for (let index = 31; index >= 0; index--) {
    const difference = (value[index] as number) - (bound[index] as number)
    if (difference !== 0) return difference < 0
  }
  return false
}

const P = 2n ** 255n - 19n
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n

// RFC 8032 §5.1.3: x² = (y² - 1) / (d y² + 1) has a root, told by Euler's criterion on the product of both parts.
function isOnCurve(encoded: Uint8Array): boolean {
  let y = 0n
  for (let index = 31; index >= 0; index--) y = (y << 8n) | BigInt(encoded[index] as number)
  y &= (1n << 255n) - 1n
  const y2 = (y * y) % P
  let base = ((y2 - 1n + P) * (D * y2 + 1n)) % P
  let power = 1n
  for (let exponent = (P - 1n) / 2n; exponent > 0n; exponent >>= 1n) {
    if ((exponent & 1n) === 1n) power = (power * base) % P
    base = (base * base) % P
  }
  return power === 1n
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
