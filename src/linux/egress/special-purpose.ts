// Addresses that are no place on the public internet. Decides which block of the special-purpose registries an address
// lies in, so that a name cannot lead to a loopback service, a metadata endpoint or the operator's own network.

import type { HostName } from '../../core/host.ts'
import { type Cidr, cidrHasIpv4, cidrHasIpv6, embeddedIpv4s, formatIpv4, parseCidr } from '../../core/ip.ts'

// IANA special-purpose registries (RFC 6890), multicast and reserved space. Outside 2000::/3 nothing is global unicast
// (RFC 4291 §2.4), which the three widest blocks say; a longer one speaks before them.
const BLOCKS: readonly string[] = [
  '0.0.0.0/8', // this network; Linux dials 0.0.0.0 as loopback
  '10.0.0.0/8',
  '100.64.0.0/10', // carrier-grade NAT, RFC 6598; 100.100.100.200 is a metadata service
  '127.0.0.0/8',
  '168.63.129.16', // the host agent of a large cloud, on a public address
  '169.254.0.0/16', // link-local; 169.254.169.254 is the metadata service of most clouds
  '172.16.0.0/12',
  '192.0.0.0/24', // protocol assignments; 192.0.0.192 is a metadata service
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16',
  '198.18.0.0/15', // benchmarking
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
  '::', // unspecified
  '::1', // loopback
  '::/96', // IPv4-compatible
  '::ffff:0:0:0/96', // IPv4-translated
  '64:ff9b::/96', // NAT64
  '64:ff9b:1::/48', // NAT64 of local use
  '100::/64', // discard
  '2001::/23', // protocol assignments: Teredo, ORCHID, benchmarking
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4
  '3fff::/20', // documentation
  'fc00::/7', // unique local; fd00:ec2::254 is a metadata service
  'fe80::/10', // link-local
  'fec0::/10', // site-local
  'ff00::/8', // multicast
  '::/3',
  '4000::/2',
  '8000::/1',
]

// Longest prefix first, so that the first hit is the block that says most about the address.
const SPECIAL: readonly Cidr[] = BLOCKS.map((text) => {
  const parsed = parseCidr(text)
  if (!parsed.ok) throw new TypeError(`${text}: ${parsed.reason}`)
  return parsed.cidr
}).sort((a, b) => b.prefix - a.prefix)

/**
 * The special-purpose block an address lies in, for the address and each IPv4 address that a translator or tunnel may
 * read out of it. Empty for an ordinary public address.
 */
export function specialBlocks(address: HostName): readonly { readonly address: HostName; readonly block: Cidr }[] {
  const readings = address.kind === 'ipv6' ? [address, ...embeddedIpv4s(address.groups).map(ipv4)] : [address]
  return readings.flatMap((reading) => {
    const block = SPECIAL.find((cidr) => blockHas(cidr, reading))
    return block === undefined ? [] : [{ address: reading, block }]
  })
}

function blockHas(cidr: Cidr, address: HostName): boolean {
  switch (address.kind) {
    case 'name':
      return false
    case 'ipv4':
      return cidrHasIpv4(cidr, address.value)
    case 'ipv6':
      return cidrHasIpv6(cidr, address.groups)
  }
}

function ipv4(value: number): HostName {
  return { kind: 'ipv4', text: formatIpv4(value), value }
}
