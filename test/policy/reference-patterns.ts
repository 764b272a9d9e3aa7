// Hosts, addresses, paths and names the slow way: patterns are taken apart by a regular expression and matched by
// recursion, addresses are numbers of 32 or 128 bits. Part of the second reading of the policy language.

import type { Resource } from '../../src/core/resource.ts'

export type Network = Extract<Resource, { kind: 'network' }>

interface HostParts {
  readonly scheme: string | undefined
  readonly host: string
  readonly port: string | undefined
}

/** Each question is asked for thousands of requests, and there are few different ones. */
function remembered<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    if (!known.has(text)) known.set(text, read(text))
    return known.get(text) as T
  }
}

/** The same for two texts; neither has a line break. */
function rememberedPair(read: (a: string, b: string) => boolean): (a: string, b: string) => boolean {
  const known = new Map<string, boolean>()
  return (a, b) => {
    const key = `${a}\n${b}`
    const before = known.get(key)
    if (before !== undefined) return before
    const answer = read(a, b)
    known.set(key, answer)
    return answer
  }
}

const splitHost = remembered((pattern: string): HostParts => {
  const [, scheme, bracketed, plain, port] =
    /^(?:([a-z]+):\/\/)?(?:\[([^\]]+)\]|([^:]+|[0-9a-f:/]+:[0-9a-f:/]*))(?::(\d+|\*))?$/.exec(pattern) ?? []
  return { scheme, host: bracketed ?? plain ?? '', port }
})

/** A grant reaches a destination only when scheme, port and host are all known to be meant. */
export function hostCovers(pattern: string, network: Network): boolean {
  const { scheme, host, port } = splitHost(pattern)
  if (scheme !== undefined && scheme !== network.scheme) return false
  if (!portCovers(port, scheme ?? network.scheme, network.port)) return false
  const address = addressOf(network)
  if (address === undefined) return host === '*' || hostNameMatches(host, network.host.text)
  const block = blockOf(host)
  if (block === undefined || !inBlock(block, address)) return false
  // A grant for many addresses does not speak of the unspecified one, which is dialled as loopback.
  return block.prefix >= (address.value === 0n ? address.bits : tunnelPrefix(address))
}

function portCovers(written: string | undefined, scheme: string | undefined, port: number | undefined): boolean {
  if (written === '*') return true
  if (written !== undefined) return port === Number(written)
  if (port === undefined) return true
  if (scheme === undefined) return port === 80 || port === 443
  return port === (scheme === 'http' || scheme === 'ws' ? 80 : 443)
}

/** A forbid reaches a destination when nothing that is known excludes it. */
export function hostTouches(pattern: string, network: Network): boolean {
  const { scheme, host, port } = splitHost(pattern)
  // An Upgrade header turns http into ws and https into wss.
  const plain = (one: string): boolean => one === 'http' || one === 'ws'
  if (scheme !== undefined && network.scheme !== undefined && plain(scheme) !== plain(network.scheme)) return false
  if (port !== undefined && port !== '*' && network.port !== undefined && Number(port) !== network.port) return false
  if (host === '*') return true
  const { names, addresses } = readings(network)
  const block = blockOf(host)
  if (block === undefined) return names.some((name) => hostNameMatches(host, name))
  return addresses.some((address) => inBlock(block, address))
}

/** Every name and address that may be dialled when the call says this host. */
function readings(network: Network): { readonly names: readonly string[]; readonly addresses: readonly Address[] } {
  const { text } = network.host
  const address = addressOf(network)
  const names = address === undefined ? [text] : []
  const addresses = address === undefined ? [] : [address, ...tunnelled(address)]
  // Unspecified is dialled as loopback, and localhost is loopback by RFC 6761 §6.3: three names of this machine.
  const isThisMachine =
    names.some((name) => name === 'localhost' || name.endsWith('.localhost')) ||
    addresses.some((one) => THIS_MACHINE.some((block) => inBlock(block, one)))
  if (!isThisMachine) return { names, addresses }
  return { names: [...names, 'localhost'], addresses: [...addresses, ...LOOPBACK] }
}

function hostNameMatches(pattern: string, name: string): boolean {
  const labels = name.split('.')
  if (pattern.startsWith('**.'))
    return labels.some((_, index) => index > 0 && labels.slice(index).join('.') === pattern.slice(3))
  if (pattern.startsWith('*.')) return labels.slice(1).join('.') === pattern.slice(2)
  return name === pattern
}

// Addresses, as numbers of 32 or 128 bits

interface Address {
  readonly bits: 32 | 128
  readonly value: bigint
}

interface Block extends Address {
  readonly prefix: number
}

function addressOf(network: Network): Address | undefined {
  return network.host.kind === 'name' ? undefined : parseAddress(network.host.text)
}

const blockOf = remembered((text: string): Block | undefined => {
  const [address = '', prefix] = text.split('/')
  const parsed = parseAddress(address)
  return parsed === undefined ? undefined : { ...parsed, prefix: prefix === undefined ? parsed.bits : Number(prefix) }
})

function inBlock(block: Block, address: Address): boolean {
  const rest = BigInt(block.bits - block.prefix)
  return block.bits === address.bits && block.value >> rest === address.value >> rest
}

function parseAddress(text: string): Address | undefined {
  if (/^[0-9]+(?:\.[0-9]+){3}$/.test(text)) return { bits: 32, value: digits(text.split('.'), 10, 256n) }
  if (!text.includes(':')) return undefined
  const [head = '', tail] = text.split('::')
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const before = groups(head)
  const after = tail === undefined ? [] : groups(tail)
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return { bits: 128, value: digits([...before, ...zeros, ...after], 16, 0x1_0000n) }
}

function digits(parts: readonly string[], radix: number, base: bigint): bigint {
  return parts.reduce((sum, part) => sum * base + BigInt(Number.parseInt(part, radix)), 0n)
}

// Two forms of IPv6 address that something on the way turns into an IPv4 destination: NAT64 (RFC 6052) and 6to4 (RFC 3056).
const TUNNELS = [
  { block: blockOf('64:ff9b::/96'), shift: 0n },
  { block: blockOf('2002::/16'), shift: 80n },
]

const THIS_MACHINE = ['0.0.0.0', '127.0.0.0/8', '::', '::1'].flatMap((text) => blockOf(text) ?? [])
const LOOPBACK = ['127.0.0.1', '::1'].flatMap((text) => parseAddress(text) ?? [])

function tunnelled(address: Address): Address[] {
  return TUNNELS.filter(({ block }) => block !== undefined && inBlock(block, address)).map(({ shift }) => ({
    bits: 32,
    value: (address.value >> shift) & 0xffff_ffffn,
  }))
}

/** A grant for half of the IPv6 space does not speak of the tunnel that lies in it. */
function tunnelPrefix(address: Address): number {
  return Math.max(0, ...TUNNELS.map(({ block }) => (block !== undefined && inBlock(block, address) ? block.prefix : 0)))
}

// Globs

export const pathMatches = rememberedPair((pattern, path) => {
  const segments = (text: string): string[] => text.split('/').filter((segment) => segment !== '')
  return segmentsMatch(segments(pattern), segments(path))
})

function segmentsMatch(pattern: readonly string[], path: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return path.length === 0
  if (first === '**') return segmentsMatch(rest, path) || (path.length > 0 && segmentsMatch(pattern, path.slice(1)))
  return path[0] !== undefined && globMatches([...first], [...path[0]]) && segmentsMatch(rest, path.slice(1))
}

export const nameMatches = rememberedPair(
  (pattern, name) => /^[A-Za-z0-9_.:-]+$/.test(name) && globMatches([...pattern], [...name]),
)

export function textMatches(pattern: string, text: string): boolean {
  return globMatches([...pattern], [...text])
}

function globMatches(pattern: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return text.length === 0
  if (first === '*') return globMatches(rest, text) || (text.length > 0 && globMatches(pattern, text.slice(1)))
  const [character, ...others] = text
  if (character === undefined) return false
  if (first === '[') {
    const end = pattern.indexOf(']')
    const members = pattern.slice(1, end)
    const negated = members[0] === '!'
    return members.includes(character) !== negated && globMatches(pattern.slice(end + 1), others)
  }
  return (first === '?' || first === character) && globMatches(rest, others)
}
