// The hash and signature primitives, synchronous everywhere. The runtime's own implementation is used where it can be
// had without an import (Node 20.16+, Bun, Deno: process.getBuiltinModule); elsewhere portable ones give the same bytes.
// The only file that knows @noble/hashes and tweetnacl.

import { sha256 as portableSha256 } from '@noble/hashes/sha2.js'
import nacl from 'tweetnacl'

interface RuntimeHash {
  update(data: string | Uint8Array): RuntimeHash
  digest(): Uint8Array
  digest(encoding: 'hex'): string
}

interface RuntimeCrypto {
  createHash(algorithm: 'sha256'): RuntimeHash
  hash?(algorithm: 'sha256', data: string | Uint8Array, encoding?: 'hex'): string
  createPublicKey(key: { key: Uint8Array; format: 'der'; type: 'spki' }): object
  createPrivateKey(key: { key: Uint8Array; format: 'der'; type: 'pkcs8' }): object
  verify(algorithm: null, data: Uint8Array, key: object, signature: Uint8Array): boolean
  sign(algorithm: null, data: Uint8Array, key: object): Uint8Array
}

function findRuntimeCrypto(): RuntimeCrypto | undefined {
  const host = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } }
  try {
    return host.process?.getBuiltinModule?.('crypto') as RuntimeCrypto | undefined
  } catch {
    // A runtime that refuses the look-up has no fast path; the portable primitives below decide the same.
    return undefined
  }
}

const runtime = findRuntimeCrypto()
const utf8 = new TextEncoder()

/** SHA-256 as 64 lower-case hex digits. Text is hashed as UTF-8. */
export function sha256Hex(data: string | Uint8Array): string {
  if (runtime?.hash !== undefined) return runtime.hash('sha256', data, 'hex')
  if (runtime !== undefined) return runtime.createHash('sha256').update(data).digest('hex')
  return portableSha256Hex(data)
}

/** {@link sha256Hex} by the portable implementation, whatever the runtime offers. */
export function portableSha256Hex(data: string | Uint8Array): string {
  return toHex(portableSha256(typeof data === 'string' ? utf8.encode(data) : data))
}

/** SHA-256 as 32 bytes. */
export function sha256(data: string | Uint8Array): Uint8Array {
  if (runtime !== undefined) return new Uint8Array(runtime.createHash('sha256').update(data).digest())
  return portableSha256(typeof data === 'string' ? utf8.encode(data) : data)
}

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

/** Cryptographically random bytes as lower-case hex. */
export function randomHex(byteLength: number): string {
  return toHex(globalThis.crypto.getRandomValues(new Uint8Array(byteLength)))
}

/** One Ed25519 implementation (RFC 8032). Verification here is cofactorless; strictness is added in ed25519.ts. */
export interface Ed25519Provider {
  readonly name: string
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean
  sign(seed: Uint8Array, message: Uint8Array): Uint8Array
  publicKey(seed: Uint8Array): Uint8Array
}

/** tweetnacl: everywhere, and 40 to 90 times slower. */
export const portableEd25519: Ed25519Provider = {
  name: 'tweetnacl',
  verify: (publicKey, message, signature) => nacl.sign.detached.verify(message, signature, publicKey),
  sign: (seed, message) => nacl.sign.detached(message, nacl.sign.keyPair.fromSeed(seed).secretKey),
  publicKey: (seed) => nacl.sign.keyPair.fromSeed(seed).publicKey,
}

// DER prefixes of RFC 8410: SubjectPublicKeyInfo and PKCS#8 for Ed25519. Rebuilding the container around the 32 raw
// bytes is what keeps RSA, EC or Ed448 keys from arriving under an Ed25519 label.
const SPKI_PREFIX = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]
const PKCS8_PREFIX = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]

/** The runtime's own Ed25519, or `undefined` where it has none. */
export const runtimeEd25519: Ed25519Provider | undefined =
  runtime === undefined
    ? undefined
    : {
        name: 'runtime',
        verify: (publicKey, message, signature) =>
          runtime.verify(
            null,
            message,
            runtime.createPublicKey({ key: Uint8Array.of(...SPKI_PREFIX, ...publicKey), format: 'der', type: 'spki' }),
            signature,
          ),
        sign: (seed, message) =>
          new Uint8Array(
            runtime.sign(
              null,
              message,
              runtime.createPrivateKey({ key: Uint8Array.of(...PKCS8_PREFIX, ...seed), format: 'der', type: 'pkcs8' }),
            ),
          ),
        publicKey: portableEd25519.publicKey,
      }
