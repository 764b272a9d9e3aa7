// Whether an address is a place on the public internet. Decides by the IANA special-purpose registries, so that a name
// cannot lead to a loopback service, a metadata endpoint or the operator's own network.

import type { HostName } from '../core/host.ts'
import {
  type Cidr,
  cidrCoversIpv4,
  cidrCoversIpv6,
  cidrHasIpv4,
  cidrHasIpv6,
  embeddedIpv4s,
  formatIpv4,
  parseCidr,
} from '../core/ip.ts'

type Address = Exclude<HostName, { readonly kind: 'name' }>

/** iana.org/assignments/iana-ipv4-special-registry, multicast (RFC 5771), reserved (RFC 1112 §4), and cloud host agents. */
const SPECIAL_4 = blocks(
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24',
  '192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
)

/** iana.org/assignments/iana-ipv6-special-registry. Outside 2000::/3 nothing is global unicast (RFC 4291 §2.4). */
const SPECIAL_6 = blocks(
  ':: ::1 ::/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20',
  'fc00::/7 fe80::/10 fec0::/10 ff00::/8 ::/3 4000::/2 8000::/1',
)

function blocks(...lines: readonly string[]): readonly Cidr[] {
  // The longest first: it says most about the address.
  return lines.flatMap((line) => line.split(' ').map(block)).sort((a, b) => b.prefix - a.prefix)
}

/** @throws TypeError when `text` is not a canonical address or CIDR block. */
export function block(text: string): Cidr {
  const parsed = parseCidr(text)
  if (!parsed.ok) throw new TypeError(`${text}: ${parsed.reason}`)
  return parsed.cidr
}

/**
 * Whether `address`, and each IPv4 address that a translator or tunnel may read out of it, is public or lies in a block
 * of `allowed` that speaks of its special-purpose block: `0.0.0.0/0` says nothing about loopback.
 */
export function isDialable(address: Address, allowed: readonly Cidr[]): boolean {
  const inner = address.kind === 'ipv6' ? embeddedIpv4s(address.groups).map(ipv4) : []
  return [address, ...inner].every((reading) => {
    const special = specialBlock(reading)
    return special === undefined || allowed.some((cidr) => cidr.prefix >= special.prefix && covers(cidr, reading))
  })
}

/** The special-purpose block that `address` itself lies in. */
function specialBlock(address: Address): Cidr | undefined {
  return address.kind === 'ipv4'
    ? SPECIAL_4.find((cidr) => cidrHasIpv4(cidr, address.value))
    : SPECIAL_6.find((cidr) => cidrHasIpv6(cidr, address.groups))
}

function covers(cidr: Cidr, address: Address): boolean {
  return address.kind === 'ipv4' ? cidrCoversIpv4(cidr, address.value) : cidrCoversIpv6(cidr, address.groups)
}

function ipv4(value: number): Address {
  return { kind: 'ipv4', text: formatIpv4(value), value }
}
