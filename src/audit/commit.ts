// A commitment to something that must not stand in a log in the clear. It can be checked by whoever has the value and
// the salt, and says nothing to whoever has neither.

import { randomHex, sha256Hex } from '../core/crypto.ts'

/** Stands for a value in a record. */
export interface Commitment {
  /** 32 hex digits. Absent from the record when the log keeps salts apart. */
  readonly salt?: string
  /** SHA-256 over the salt's hex digits followed by the canonical text, 64 lower-case hex digits. */
  readonly digest: string
  /** Length of the canonical text in UTF-8. */
  readonly bytes: number
}

/** A commitment fresh from {@link commitArguments}. */
export interface ArgumentCommitment extends Commitment {
  readonly salt: string
}

// 128 bits: more than anyone can try, so that `{"confirm":true}` cannot be found by hashing the few likely values.
const SALT_BYTES = 16

/**
 * Commits to a canonical text (RFC 8785) under a fresh salt. Equal arguments get different digests.
 *
 * The salt keeps the digest from being guessed only from those who do not have it. A log that is read by people who
 * must not guess, or in which single values must become unreadable later, is opened with `keepSalt`.
 */
export function commitArguments(canonical: string): ArgumentCommitment {
  const salt = randomHex(SALT_BYTES)
  return { salt, digest: digestOf(salt, canonical), bytes: utf8Length(canonical) }
}

/** Whether `commitment`, with its salt, is to this text. */
export function commitmentMatches(commitment: ArgumentCommitment, canonical: string): boolean {
  return commitment.digest === digestOf(commitment.salt, canonical) && commitment.bytes === utf8Length(canonical)
}

// The salt has a fixed length, so that no other salt and text run together to the same bytes.
function digestOf(salt: string, canonical: string): string {
  return sha256Hex(salt + canonical)
}

/** Bytes of `text` in UTF-8; a lone surrogate counts as the three bytes of U+FFFD that encoders put there. */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    bytes += unit < 0x800 ? 1 : 2
    // A surrogate pair is two units and four bytes.
    if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < text.length && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) i++
  }
  return bytes
}
