// A sockaddr as a program passed it to the kernel → what it names. Bytes of the observed program: whatever is short or of
// another family is `other`, never a guess.

import { formatIpv4, formatIpv6, mappedIpv4 } from '../../core/ip.ts'

export type SocketAddress =
  /** An IPv4 address inside IPv6 is the IPv4 address: the kernel sends IPv4. */
  | { readonly family: 'inet'; readonly address: string; readonly port: number }
  /** `path` is absent for an abstract or unnamed socket. */
  | { readonly family: 'unix'; readonly path?: Uint8Array }
  | { readonly family: 'other' }

const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10

export function readSocketAddress(bytes: Uint8Array): SocketAddress {
  if (bytes.length < 2) return { family: 'other' }
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // sa_family is in the byte order of the machine, and x86-64 and arm64 Linux are little endian.
  const family = data.getUint16(0, true)
  if (family === AF_UNIX) {
    const rest = bytes.subarray(2)
    const end = rest.indexOf(0)
    const path = end === -1 ? rest : rest.subarray(0, end)
    return path.length === 0 ? { family: 'unix' } : { family: 'unix', path }
  }
  if (family === AF_INET && bytes.length >= 8) {
    return { family: 'inet', address: formatIpv4(data.getUint32(4)), port: data.getUint16(2) }
  }
  // RFC 2553 §3.3: 24 bytes without the scope id, which older programs leave out.
  if (family === AF_INET6 && bytes.length >= 24) {
    const groups = Array.from({ length: 8 }, (_, index) => data.getUint16(8 + 2 * index))
    const ipv4 = mappedIpv4(groups)
    return {
      family: 'inet',
      address: ipv4 === undefined ? formatIpv6(groups) : formatIpv4(ipv4),
      port: data.getUint16(2),
    }
  }
  return { family: 'other' }
}
