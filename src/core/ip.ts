// Textual IP addresses and CIDR blocks, each read in exactly one way or not at all. Decides what an address is; trusts
// no spelling: a form that two programs read as two addresses (octal, hex, short, zone id) is not an address here.

import ipaddr from 'ipaddr.js'

/** A CIDR block; a single address is a block of full length. Host bits are zero. */
export interface Cidr {
  readonly family: 4 | 6
  /** 0–32 or 0–128. */
  readonly prefix: number
  /** Network address of a family 4 block, uint32. */
  readonly value4?: number
  /** Network address of a family 6 block, eight 16-bit groups. */
  readonly groups?: readonly number[]
}

export type ParsedCidr = { readonly ok: true; readonly cidr: Cidr } | { readonly ok: false; readonly reason: string }

const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39

/**
 * The uint32 of a canonical four-part decimal address, otherwise `undefined`. `0177.0.0.1`, `0x7f.1`, `127.1` and
 * `2130706433` are loopback to inet_aton(3), to WHATWG URL and to ipaddr.js, and a name or an error to others.
 */
export function parseIpv4(text: string): number | undefined {
  const length = text.length
  if (length < 7 || length > 15) return undefined
  let value = 0
  let octet = -1
  let dots = 0
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index)
    if (code === DOT) {
      if (octet < 0 || ++dots > 3) return undefined
      value = value * 256 + octet
      octet = -1
    } else if (code >= ZERO && code <= NINE) {
      // A leading zero is octal to some readers and decimal to others (CVE-2021-28918, CVE-2021-29923).
      if (octet === 0) return undefined
      octet = (octet < 0 ? 0 : octet * 10) + (code - ZERO)
      if (octet > 255) return undefined
    } else {
      return undefined
    }
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : undefined
}

export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}

const IPV6_LENGTH = 45 // eight groups of four digits, or six of them and a dotted quad
const COLON = 0x3a

/**
 * The eight groups of an RFC 4291 §2.2 address, otherwise `undefined`. No zone id (it names an interface of this host, not
 * a destination); a dotted quad at the end must be canonical.
 */
export function parseIpv6(text: string): readonly number[] | undefined {
  if (text.length < 2 || text.length > IPV6_LENGTH) return undefined
  if (!text.includes('.')) return parseGroups(text)
  // ipaddr.js takes an octal quad, and reads ::1.2.3.4 as ::ffff:1.2.3.4: here both are read as hexadecimal groups.
  const cut = text.lastIndexOf(':') + 1
  const quad = parseIpv4(text.slice(cut))
  if (quad === undefined) return undefined
  return parseGroups(`${text.slice(0, cut)}${(quad >>> 16).toString(16)}:${(quad & 0xffff).toString(16)}`)
}

// By hand, since block lists have a million lines: several times as fast as ipaddr.js, which the tests hold it against.
function parseGroups(text: string): readonly number[] | undefined {
  const { length } = text
  const groups = [0, 0, 0, 0, 0, 0, 0, 0]
  let count = 0
  /** Where `::` stands, as the number of groups before it. */
  let gap = -1
  let index = 0
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return undefined
    gap = 0
    index = 2
  }
  while (index < length) {
    const end = Math.min(length, index + 4)
    const start = index
    let group = 0
    for (; index < end; index++) {
      const digit = hexDigit(text.charCodeAt(index))
      if (digit < 0) break
      group = group * 16 + digit
    }
    if (index === start || count === 8) return undefined
    groups[count++] = group
    if (index === length) break
    if (text.charCodeAt(index++) !== COLON || index === length) return undefined
    if (text.charCodeAt(index) === COLON) {
      if (gap >= 0) return undefined
      gap = count
      index++
    }
  }
  if (gap < 0) return count === 8 ? groups : undefined
  // `::` stands for one group at least.
  if (count === 8) return undefined
  for (let to = 7, from = count - 1; from >= gap; to--, from--) {
    groups[to] = at(groups, from)
    groups[from] = 0
  }
  return groups
}

function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

/** RFC 5952 text, without brackets. */
export function formatIpv6(groups: readonly number[]): string {
  return new ipaddr.IPv6([...groups]).toRFC5952String()
}

/** The address inside `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2), which is that IPv4 address in another spelling. */
export function mappedIpv4(groups: readonly number[]): number | undefined {
  return prefixed(groups, MAPPED_GROUPS, 96) ? word(groups, 6) : undefined
}

const MAPPED_GROUPS: readonly number[] = [0, 0, 0, 0, 0, 0xffff, 0, 0]

/** A form of IPv6 address that a translator or tunnel turns into an IPv4 destination. */
interface Embedding {
  readonly groups: readonly number[]
  readonly prefix: number
  /** Every IPv4 address a reader of this form may find, the usual one first. */
  readonly read: (groups: readonly number[]) => readonly number[]
}

const lowWord = (groups: readonly number[]): readonly number[] => [word(groups, 6)]

const EMBEDDINGS: readonly Embedding[] = [
  // NAT64 well-known prefix, RFC 6052 §2.1.
  { groups: [0x64, 0xff9b, 0, 0, 0, 0, 0, 0], prefix: 96, read: lowWord },
  // NAT64 local-use block, RFC 8215: an operator may place any prefix length of RFC 6052 §2.2 in it.
  {
    groups: [0x64, 0xff9b, 1, 0, 0, 0, 0, 0],
    prefix: 48,
    read: (groups) => [
      word(groups, 6),
      byteWord(groups, 6, 7, 9, 10),
      byteWord(groups, 7, 9, 10, 11),
      byteWord(groups, 9, 10, 11, 12),
    ],
  },
  // 6to4, RFC 3056 §2.
  { groups: [0x2002, 0, 0, 0, 0, 0, 0, 0], prefix: 16, read: (groups) => [word(groups, 1)] },
  // Teredo, RFC 4380 §4: the client address is stored inverted.
  { groups: [0x2001, 0, 0, 0, 0, 0, 0, 0], prefix: 32, read: (groups) => [~word(groups, 6) >>> 0] },
  // IPv4-translated (SIIT), RFC 2765 §2.1.
  { groups: [0, 0, 0, 0, 0xffff, 0, 0, 0], prefix: 96, read: lowWord },
  // IPv4-compatible, RFC 4291 §2.5.5.1. :: and ::1 lie in the block and are not of the form.
  { groups: [0, 0, 0, 0, 0, 0, 0, 0], prefix: 96, read: (groups) => (word(groups, 6) <= 1 ? [] : lowWord(groups)) },
]

// ISATAP, RFC 5214 §6.1: an interface identifier, so it can follow any /64.
const ISATAP_PREFIX = 96
function isIsatap(groups: readonly number[]): boolean {
  return (at(groups, 4) & 0xfdff) === 0 && at(groups, 5) === 0x5efe
}

/** Every IPv4 address that something on the way may read out of an IPv6 address; empty for an ordinary one. */
export function embeddedIpv4s(groups: readonly number[]): readonly number[] {
  const values = EMBEDDINGS.filter((form) => prefixed(groups, form.groups, form.prefix)).flatMap((form) =>
    form.read(groups),
  )
  return isIsatap(groups) ? [...values, word(groups, 6)] : values
}

/**
 * How long a prefix must be to speak of every embedding form that all of `groups`/`prefix` has, 0 for none. A grant for
 * `2000::/3` says nothing about `2002:7f00:1::`, which a 6to4 router hands to 127.0.0.1; a grant inside `2002::/16` does.
 */
function embeddingPrefix(groups: readonly number[], prefix: number): number {
  let needed = isIsatap(groups) && prefix >= ISATAP_PREFIX ? ISATAP_PREFIX : 0
  for (const form of EMBEDDINGS) {
    if (form.prefix > needed && prefix >= form.prefix && prefixed(groups, form.groups, form.prefix))
      needed = form.prefix
  }
  return needed
}

/** A canonical address or CIDR block. Host bits are refused: `10.0.0.1/8` may mean the host or the net. */
export function parseCidr(text: string): ParsedCidr {
  const slash = text.indexOf('/')
  const address = slash === -1 ? text : text.slice(0, slash)
  const length = slash === -1 ? undefined : text.slice(slash + 1)
  const value4 = parseIpv4(address)
  if (value4 !== undefined) {
    const prefix = parsePrefix(length, 32)
    return prefix === undefined ? BAD_PREFIX : ipv4Block(value4, prefix)
  }
  const groups = parseIpv6(address)
  if (groups === undefined) return { ok: false, reason: 'not a canonical ip address' }
  const prefix = parsePrefix(length, 128)
  if (prefix === undefined) return BAD_PREFIX
  const mapped = mappedIpv4(groups)
  if (mapped !== undefined && prefix >= 96) return ipv4Block(mapped, prefix - 96)
  if (hasHostBits(groups, prefix)) return HOST_BITS
  return { ok: true, cidr: { family: 6, prefix, groups } }
}

const BAD_PREFIX: ParsedCidr = {
  ok: false,
  reason: 'the prefix length of a cidr block is not a decimal number in range',
}
const HOST_BITS: ParsedCidr = { ok: false, reason: 'a cidr block with host bits set' }

function hasHostBits(groups: readonly number[], prefix: number): boolean {
  for (let index = prefix >> 4; index < 8; index++) {
    if ((at(groups, index) & ~mask16(prefix, index)) !== 0) return true
  }
  return false
}

function ipv4Block(value4: number, prefix: number): ParsedCidr {
  return (value4 & ~mask32(prefix)) === 0 ? { ok: true, cidr: { family: 4, prefix, value4 } } : HOST_BITS
}

function parsePrefix(text: string | undefined, bits: number): number | undefined {
  if (text === undefined) return bits
  const { length } = text
  // A leading zero is octal to some readers; three digits are enough for 128.
  if (length === 0 || length > 3 || (length > 1 && text.charCodeAt(0) === ZERO)) return undefined
  let prefix = 0
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index)
    if (code < ZERO || code > NINE) return undefined
    prefix = prefix * 10 + (code - ZERO)
  }
  return prefix <= bits ? prefix : undefined
}

/** `10.0.0.0/8`, `::1`: a block of full length is written without its prefix. */
export function formatCidr(cidr: Cidr): string {
  const address = cidr.groups === undefined ? formatIpv4(cidr.value4 ?? 0) : formatIpv6(cidr.groups)
  return cidr.prefix === (cidr.family === 4 ? 32 : 128) ? address : `${address}/${cidr.prefix}`
}

/** Whether `value` (uint32) lies in the block. */
export function cidrHasIpv4(cidr: Cidr, value: number): boolean {
  return cidr.value4 !== undefined && ((cidr.value4 ^ value) & mask32(cidr.prefix)) === 0
}

/** Whether the address lies in the block, as bits. See {@link cidrCoversIpv6} for what a grant needs. */
export function cidrHasIpv6(cidr: Cidr, groups: readonly number[]): boolean {
  return cidr.groups !== undefined && prefixed(groups, cidr.groups, cidr.prefix)
}

/**
 * Whether the block speaks of the address, as a grant must: 0.0.0.0 is dialled as loopback, so that only its own pattern
 * covers it.
 */
export function cidrCoversIpv4(cidr: Cidr, value: number): boolean {
  return cidrHasIpv4(cidr, value) && (value !== 0 || cidr.prefix === 32)
}

/**
 * Whether the block speaks of the address: it holds it, and the embedding form of the address too where it has
 * one. `::` is covered by its own pattern alone, as 0.0.0.0 is.
 */
export function cidrCoversIpv6(cidr: Cidr, groups: readonly number[]): boolean {
  if (!cidrHasIpv6(cidr, groups)) return false
  if (embeddedIpv4s(groups).length > 0) return cidr.prefix >= embeddingPrefix(groups, 128)
  return cidr.prefix === 128 || groups.some((group) => group !== 0)
}

/** Whether every address `inner` covers is covered by `outer`. */
export function cidrContains(outer: Cidr, inner: Cidr): boolean {
  if (inner.prefix < outer.prefix) return false
  if (inner.groups === undefined) {
    const { value4 = 0 } = inner
    return inner.prefix === 32 ? cidrCoversIpv4(outer, value4) : cidrHasIpv4(outer, value4)
  }
  if (inner.prefix === 128) return cidrCoversIpv6(outer, inner.groups)
  return cidrHasIpv6(outer, inner.groups) && outer.prefix >= embeddingPrefix(inner.groups, inner.prefix)
}

function prefixed(groups: readonly number[], base: readonly number[], prefix: number): boolean {
  for (let index = 0; index * 16 < prefix; index++) {
    if (((at(groups, index) ^ at(base, index)) & mask16(prefix, index)) !== 0) return false
  }
  return true
}

function mask32(prefix: number): number {
  return prefix === 0 ? 0 : -1 << (32 - prefix)
}

function mask16(prefix: number, index: number): number {
  const bits = Math.min(16, Math.max(0, prefix - index * 16))
  return (0xffff << (16 - bits)) & 0xffff
}

function at(groups: readonly number[], index: number): number {
  return groups[index] ?? 0
}

/** Groups `index` and `index + 1` as a uint32. */
function word(groups: readonly number[], index: number): number {
  return at(groups, index) * 0x1_0000 + at(groups, index + 1)
}

/** Four bytes of the address, by their position from 0 to 15, as a uint32. */
function byteWord(groups: readonly number[], ...positions: readonly number[]): number {
  return positions.reduce((value, position) => {
    const group = at(groups, position >> 1)
    return value * 256 + (position % 2 === 0 ? group >> 8 : group & 255)
  }, 0)
}
