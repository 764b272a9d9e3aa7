// A datagram from a name server → the name that was asked for and the addresses it was told. Only for writing down which
// name a program took an address for: anybody can send such a datagram, and nothing is granted for one.

import { parseHost } from '../../core/host.ts'
import { formatIpv4, formatIpv6 } from '../../core/ip.ts'

export interface DnsAnswer {
  /** Canonical. */
  readonly name: string
  readonly addresses: readonly string[]
}

const TYPE_A = 1
const TYPE_AAAA = 28
/** More records than any honest answer has. */
const RECORDS = 64

/** RFC 1035 §4; `undefined` for anything but one plain answer to one question for addresses. */
export function readDnsAnswer(bytes: Uint8Array): DnsAnswer | undefined {
  if (bytes.length < 12) return undefined
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const flags = data.getUint16(2)
  const count = data.getUint16(6)
  // A response (QR) of the standard kind (OPCODE 0) without error (RCODE 0), not truncated.
  if ((flags & 0xfa0f) !== 0x8000 || data.getUint16(4) !== 1 || count > RECORDS) return undefined
  const question = readName(bytes, 12)
  if (question === undefined || question.end + 4 > bytes.length) return undefined
  const host = parseHost(question.text)
  if (!host.ok || host.host.kind !== 'name') return undefined
  const addresses: string[] = []
  let at = question.end + 4
  for (let index = 0; index < count; index++) {
    // The owner of an address record may be the end of a chain of aliases; what was asked for is what the program means.
    const owner = readName(bytes, at)
    if (owner === undefined || owner.end + 10 > bytes.length) return undefined
    const type = data.getUint16(owner.end)
    const start = owner.end + 10
    const length = data.getUint16(owner.end + 8)
    at = start + length
    if (at > bytes.length) return undefined
    if (type === TYPE_A && length === 4) addresses.push(formatIpv4(data.getUint32(start)))
    if (type === TYPE_AAAA && length === 16) {
      addresses.push(formatIpv6(Array.from({ length: 8 }, (_, group) => data.getUint16(start + 2 * group))))
    }
  }
  return { name: host.host.text, addresses }
}

/** Follows pointers backwards only (RFC 1035 §4.1.4: a prior occurrence), so that no loop is possible. */
function readName(bytes: Uint8Array, start: number): { readonly text: string; readonly end: number } | undefined {
  const labels: string[] = []
  let at = start
  let end: number | undefined
  let limit = start
  for (let length = 0; length <= 255; ) {
    const size = bytes[at]
    if (size === undefined) return undefined
    if (size === 0) return { text: labels.join('.'), end: end ?? at + 1 }
    if ((size & 0xc0) === 0xc0) {
      const target = ((size & 0x3f) << 8) | (bytes[at + 1] ?? 0)
      if (at + 1 >= bytes.length || target >= limit) return undefined
      end ??= at + 2
      limit = target
      at = target
      continue
    }
    if (size > 63 || at + 1 + size > bytes.length) return undefined
    labels.push(String.fromCharCode(...bytes.subarray(at + 1, at + 1 + size)))
    length += size + 1
    at += size + 1
  }
  return undefined
}
