// Destinations at the edges of a host pattern: at it, below it, beside it; the first, last and next address of a block; the
// ports and schemes that make a difference.

import { parseHost } from '../../core/host.ts'
import { type HostPattern, parseHostPattern } from '../../core/host-pattern.ts'
import { type Cidr, formatIpv4, formatIpv6 } from '../../core/ip.ts'
import { readNamedResource } from '../../core/named-resource.ts'
import type { NetworkResource } from '../../core/resource.ts'

const STRANGER = 'stranger.test'

/** The destinations, without method. */
export function hostSamples(text: string): readonly NetworkResource[] {
  const parsed = parseHostPattern(text)
  if (!parsed.ok) return []
  const { pattern } = parsed
  return namesOf(pattern).flatMap((name, index) => networksOf(name, pattern, index === 0))
}

function namesOf({ kind, name = '', cidr }: HostPattern): readonly string[] {
  switch (kind) {
    case 'any':
      return [STRANGER, 'localhost', '198.51.100.7', '[2001:db8:ffff::7]']
    case 'exact':
      return [name, `x.${name}`, `x${name}`]
    case 'one_label':
      return [`x.${name}`, name, `y.x.${name}`, `x${name}`]
    case 'subdomains':
      return [`x.${name}`, `y.x.${name}`, name, `x${name}`]
    case 'cidr':
      return cidr === undefined ? [] : addressesOf(cidr)
  }
}

function addressesOf({ family, prefix, value4 = 0, groups = [] }: Cidr): readonly string[] {
  if (family === 4) {
    const last = value4 + 2 ** (32 - prefix) - 1
    const all = [value4, last, value4 + Math.floor((last - value4) / 2), value4 - 1, last + 1]
    return all.filter((value) => value >= 0 && value <= 0xffff_ffff).map((value) => formatIpv4(value))
  }
  const first = groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n)
  const last = first + (1n << BigInt(128 - prefix)) - 1n
  const all = [first, last, first + 1n, first - 1n, last + 1n].filter((value) => value >= 0n && value < 1n << 128n)
  return all.map((value) => {
    const own = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn))
    return `[${formatIpv6(own)}]`
  })
}

/** The first name with every port and scheme, the others as most calls write them. */
function networksOf(name: string, { scheme, port }: HostPattern, all: boolean): readonly NetworkResource[] {
  const own = typeof port === 'number' ? [port] : port === 'any' ? [8443, 9999] : []
  const urls = (schemes: readonly string[], ports: readonly (number | undefined)[]): readonly string[] =>
    schemes.flatMap((one) => ports.map((at) => `${one}://${name}${at === undefined ? '' : `:${at}`}/`))
  const few = [
    ...urls([scheme ?? 'https'], [own[0]]),
    ...(own.length === 0 ? [] : urls([scheme ?? 'https'], [undefined])),
  ]
  const many = all ? [...few, ...urls(['https', 'http', 'wss', 'ws'], [undefined, ...own, 8443])] : few
  const bare = all ? [name, ...own.map((at) => `${name}:${at}`), `${name}:8443`, `${name}:443`] : [name]
  return [...many.flatMap((text) => networkOf('url', text)), ...bare.flatMap((text) => networkOf('host', text))]
}

function networkOf(kind: 'url' | 'host', text: string): readonly NetworkResource[] {
  if (kind === 'host' && !parseHost(text).ok) return []
  const read = readNamedResource(kind, text)
  return read.ok && read.resource.kind === 'network' ? [read.resource] : []
}
