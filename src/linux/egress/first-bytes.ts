// What a client speaks, told from its first bytes. Decides which checks a connection gets, so that doubt leads to the one
// that sees more: TLS before HTTP before bytes of any kind.

import type { Carried } from './judge.ts'

const LF = 0x0a
const LINE_BYTES = 8192
const METHODS = [
  'GET ',
  'HEAD ',
  'POST ',
  'PUT ',
  'PATCH ',
  'DELETE ',
  'OPTIONS ',
  'CONNECT ',
  'TRACE ',
  'TRACK ',
  'PRI ',
]
const LINE = /^[\x20-\x7e]*\r?$/
const REQUEST_END = / HTTP\/[0-9.]+\r?$/

/** `undefined` while more bytes could change the answer. */
export function carriedBy(bytes: Uint8Array): Carried | undefined {
  const [first, second] = bytes
  if (first === undefined) return undefined
  if (first === 0x16) return second === undefined ? undefined : second === 3 ? 'tls' : 'raw'
  const end = bytes.indexOf(LF)
  const line = Buffer.from(bytes.subarray(0, Math.min(end === -1 ? bytes.length : end, LINE_BYTES))).toString('latin1')
  if (METHODS.some((method) => line.startsWith(method))) return 'http'
  if (line.length === LINE_BYTES || !LINE.test(line)) return 'raw'
  // Any token may be a method, and its line may be on its way in pieces.
  return end === -1 ? undefined : REQUEST_END.test(line) ? 'http' : 'raw'
}
