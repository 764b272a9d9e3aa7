// The destinations of a box as entries of one longest-prefix trie in the kernel, which must say exactly what
// `cidrCoversIpv4` and `cidrCoversIpv6` say of the same grants. A block with no grant of its own inside a wider one is a
// hole: an entry without rights, which the longest match finds first.

import { type Cidr, cidrCoversIpv6, cidrHasIpv6, mappedIpv4, parseCidr } from '../../core/ip.ts'
import type { BpfMap } from '../box.ts'

/** A destination that is reached without the proxy. */
export interface DirectGrant {
  readonly cidr: Cidr
  readonly port: number | 'any'
  readonly protocol: 'tcp' | 'udp'
}

/** What a key of the trie is made of: u32 bits, u8 protocol, u8 0, u16 port (network order), u8[16] address. */
const KEY_BYTES = 24
const VALUE_BYTES = 4
/** Bits of a key that hold no address: protocol, padding, port. */
const ADDRESS_STARTS = 32
/** Bits of a key that a lookup gives. */
export const LOOKUP_BITS = ADDRESS_STARTS + 128
/** The port of a grant for every port. Port 0 cannot be dialled, so that no exact grant is mistaken for one. */
const ANY_PORT = 0

/** The destination is granted. */
export const GRANTED = 1
/**
 * The destination is granted even if its last 64 bits are an ISATAP identifier (RFC 5214 §6.1), which follows any prefix
 * and so cannot be a hole.
 */
export const GRANTED_ISATAP = 2
/** The shortest block that speaks of the ISATAP addresses in it. */
const ISATAP_PREFIX = 96

export const PROTOCOL = Object.freeze({ tcp: 6, udp: 17 })

/** A grant of more destinations than this is a mistake, and a trie of them memory that nobody accounts for. */
export const MAX_TRIE_ENTRIES = 16_384

const MAP_TYPE_LPM_TRIE = 11
/** The kernel makes no trie without it. */
const F_NO_PREALLOC = 1

/**
 * Blocks that a wider grant says nothing about: IPv4 in IPv6 spelling, which only a grant of IPv4 covers, every form that
 * a router on the way turns into an IPv4 destination, and the two addresses that are dialled as loopback.
 */
const HOLES: readonly Cidr[] = Object.freeze(
  [
    '64:ff9b::/96', // NAT64, RFC 6052 §2.1
    '64:ff9b:1::/48', // NAT64 local use, RFC 8215
    '2002::/16', // 6to4, RFC 3056 §2
    '2001::/32', // Teredo, RFC 4380 §4
    '::ffff:0:0:0/96', // SIIT, RFC 2765 §2.1
    '::/96', // IPv4-compatible, RFC 4291 §2.5.5.1
    '::',
    '0.0.0.0',
  ].map(block),
)
const MAPPED_GROUPS: readonly number[] = Object.freeze([0, 0, 0, 0, 0, 0xffff, 0, 0])
const MAPPED_PREFIX = 96
const LOOPBACK6 = block('::1')

function block(text: string): Cidr {
  const parsed = parseCidr(text)
  if (!parsed.ok) throw new TypeError(`${text}: ${parsed.reason}`)
  return parsed.cidr
}

/** The trie; it holds exactly these entries and has no room for more. Throws `TypeError` for a port that is none. */
export function egressTrie(grants: readonly DirectGrant[]): BpfMap {
  const groups = new Map<string, DirectGrant[]>()
  for (const grant of grants) {
    const { port, protocol } = grant
    if (port !== 'any' && !(Number.isInteger(port) && port >= 1 && port <= 0xffff))
      throw new TypeError(`${port} is not a port`)
    if (!Object.hasOwn(PROTOCOL, protocol)) throw new TypeError(`${protocol} is not a protocol`)
    const key = `${protocol} ${port}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [grant])
    else group.push(grant)
  }
  const entries = [...groups.values()].flatMap(entriesOf)
  return Object.freeze({
    name: 'egress',
    type: MAP_TYPE_LPM_TRIE,
    keySize: KEY_BYTES,
    valueSize: VALUE_BYTES,
    maxEntries: Math.max(1, entries.length),
    flags: F_NO_PREALLOC,
    entries: Object.freeze(entries),
  })
}

/** Entries of grants that have protocol and port in common. */
function entriesOf(grants: readonly DirectGrant[]): BpfMap['entries'] {
  const [first] = grants
  if (first === undefined) return []
  const blocks = grants.map(({ cidr }) => spread(cidr))
  const rights = new Map<string, { address: Spread; value: number }>()
  const put = (address: Spread, value: number) =>
    rights.set(`${address.groups.join(':')}/${address.prefix}`, { address, value })

  const wider = (inner: Spread): boolean =>
    blocks.some((outer) => outer.prefix < inner.prefix && cidrHasIpv6({ family: 6, ...outer }, inner.groups))
  for (const hole of [...HOLES.map(spread), { groups: MAPPED_GROUPS, prefix: MAPPED_PREFIX }]) {
    if (wider(hole)) put(hole, 0)
  }
  // ::1 lies in the IPv4-compatible block and is not of the form.
  const loopback = LOOPBACK6.groups ?? []
  if (grants.some(({ cidr }) => cidrCoversIpv6(cidr, loopback))) put(spread(LOOPBACK6), GRANTED)
  for (const granted of blocks) put(granted, granted.prefix >= ISATAP_PREFIX ? GRANTED | GRANTED_ISATAP : GRANTED)

  const port = first.port === 'any' ? ANY_PORT : first.port
  return [...rights.values()].map(({ address, value }) =>
    Object.freeze({ key: keyOf(PROTOCOL[first.protocol], port, address), value: littleEndian32(value) }),
  )
}

/** A block with its IPv4 addresses in the spelling of RFC 4291 §2.5.5.2, so that one trie holds both families. */
interface Spread {
  readonly groups: readonly number[]
  readonly prefix: number
}

function spread(cidr: Cidr): Spread {
  if (cidr.groups !== undefined) {
    // A block inside ::ffff:0:0/96 is IPv4 and comes out of `parseCidr` as that.
    if (cidr.prefix >= MAPPED_PREFIX && mappedIpv4(cidr.groups) !== undefined)
      throw new TypeError('an IPv4 block in IPv6 spelling')
    return { groups: cidr.groups, prefix: cidr.prefix }
  }
  const value = cidr.value4
  if (value === undefined) throw new TypeError('a block without an address')
  return { groups: [...MAPPED_GROUPS.slice(0, 6), value >>> 16, value & 0xffff], prefix: MAPPED_PREFIX + cidr.prefix }
}

function keyOf(protocol: number, port: number, { groups, prefix }: Spread): Uint8Array {
  const key = new Uint8Array(KEY_BYTES)
  const view = new DataView(key.buffer)
  view.setUint32(0, ADDRESS_STARTS + prefix, true)
  view.setUint8(4, protocol)
  view.setUint16(6, port)
  groups.forEach((group, index) => {
    view.setUint16(8 + index * 2, group)
  })
  return key
}

function littleEndian32(value: number): Uint8Array {
  const bytes = new Uint8Array(VALUE_BYTES)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}
