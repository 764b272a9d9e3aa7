// The hash chain. A record is one line of bytes; its hash is the RFC 6962 §2.1 leaf hash of exactly those bytes, so that
// the same lines can later be the leaves of a Merkle tree and nothing has to be hashed or written a second way.

import { sha256Hex } from '../core/crypto.ts'

/** Where a log stands: `seq` and hash of its last record. An empty log is at {@link EMPTY_HEAD}. */
export interface AuditHead {
  /** From 0; -1 when there is no record. */
  readonly seq: number
  /** 64 lower-case hex digits. */
  readonly hash: string
}

/** `prev` of the first record. */
export const GENESIS: string = '0'.repeat(64)

export const EMPTY_HEAD: AuditHead = { seq: -1, hash: GENESIS }

/** What stands before a line when it is hashed. In UTF-8 it is the one byte 00 of RFC 6962, so that text can be hashed as text. */
export const LEAF_PREFIX = '\u0000'

/**
 * SHA-256(0x00 ‖ line), 64 lower-case hex digits. `line` is without its newline; text is taken as UTF-8.
 */
export function hashRecord(line: string | Uint8Array): string {
  if (typeof line === 'string') return sha256Hex(LEAF_PREFIX + line)
  const leaf = new Uint8Array(line.length + 1)
  leaf.set(line, 1)
  return sha256Hex(leaf)
}

const HASH = /^[0-9a-f]{64}$/

export function isHash(value: unknown): value is string {
  return typeof value === 'string' && HASH.test(value)
}

export function isHead(value: unknown): value is AuditHead {
  if (typeof value !== 'object' || value === null) return false
  const { seq, hash } = value as Partial<Record<keyof AuditHead, unknown>>
  if (!Number.isSafeInteger(seq) || !isHash(hash)) return false
  return seq === -1 ? hash === GENESIS : (seq as number) >= 0
}
