// Patterns for network destinations, as policies and manifests write them. Decides which hosts and ports a line of a
// policy means. A grant covers a destination only when every reading of it is inside; a forbid touches one when any is.

import { type HostName, hostReadings, parseHost, parsePort } from './host.ts'
import {
  type Cidr,
  cidrContains,
  cidrCoversIpv4,
  cidrCoversIpv6,
  cidrHasIpv4,
  cidrHasIpv6,
  formatCidr,
  parseCidr,
} from './ip.ts'
import { LIMITS } from './limits.ts'
import { defaultPort } from './url.ts'

/** What stands for a host: any name, one name, the names one label or any number of labels below one, addresses. */
export type HostPatternKind = 'any' | 'exact' | 'one_label' | 'subdomains' | 'cidr'

export interface HostPattern {
  /** Canonical text. */
  readonly text: string
  readonly kind: HostPatternKind
  /** The name of an exact pattern, or the suffix behind `*.` and `**.`. */
  readonly name?: string
  /** A single address is a block of full length. */
  readonly cidr?: Cidr
  readonly scheme?: string
  /** `default` is the port the scheme implies; see {@link hostCovers} and {@link hostTouches}. */
  readonly port: 'default' | 'any' | number
}

export type ParsedHostPattern =
  | { readonly ok: true; readonly pattern: HostPattern }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

/** A destination as far as it is known. */
export interface Network {
  readonly host: HostName
  readonly scheme?: string
  readonly port?: number
}

type Refusal = { readonly ok: false; readonly reason: string; readonly hint?: string }
type HostPart = { readonly ok: true; readonly part: Pick<HostPattern, 'kind' | 'name' | 'cidr'>; readonly text: string }

const refused = (reason: string, hint?: string): Refusal => ({
  ok: false,
  reason,
  ...(hint === undefined ? {} : { hint }),
})

/** Reads `[scheme://]host[:port]`, where host is a name, `*.name`, `**.name`, `*`, an address or a CIDR. Never throws. */
export function parseHostPattern(text: string): ParsedHostPattern {
  if (text === '') return refused('empty pattern')
  if (text.length > LIMITS.patternLength) return refused('a pattern that is too long')
  const mark = text.indexOf('://')
  const scheme = mark === -1 ? undefined : text.slice(0, mark).toLowerCase()
  if (scheme !== undefined && defaultPort(scheme) === undefined) {
    return refused('a scheme other than http, https, ws and wss', 'leave the scheme out')
  }
  const split = splitPort(mark === -1 ? text : text.slice(mark + 3))
  if (!split.ok) return split
  const host = parseHostPart(split.host, split.bracketed)
  if (!host.ok) return host
  const { port } = split
  const prefix = scheme === undefined ? '' : `${scheme}://`
  const suffix = port === 'default' ? '' : `:${port === 'any' ? '*' : port}`
  return {
    ok: true,
    pattern: {
      text: prefix + (suffix !== '' && host.part.cidr?.family === 6 ? `[${host.text}]` : host.text) + suffix,
      ...host.part,
      ...(scheme === undefined ? {} : { scheme }),
      port,
    },
  }
}

type Split =
  | { readonly ok: true; readonly host: string; readonly bracketed: boolean; readonly port: HostPattern['port'] }
  | Refusal

function splitPort(text: string): Split {
  const closing = text.startsWith('[') ? text.indexOf(']') : -1
  const bracketed = closing !== -1
  const colon = text.indexOf(':', bracketed ? closing : 0)
  const bare = !bracketed && colon !== -1 && text.includes(':', colon + 1)
  const end = bare || colon === -1 ? text.length : colon
  if (bracketed && end !== closing + 1) return refused('text between a bracketed address and its port')
  const host = bracketed ? text.slice(1, closing) : text.slice(0, end)
  if (end === text.length) return { ok: true, host, bracketed, port: 'default' }
  const tail = text.slice(end + 1)
  const port = tail === '*' ? 'any' : parsePort(tail)
  if (port === undefined) return refused('a port that is neither * nor a decimal number from 1 to 65535')
  return { ok: true, host, bracketed, port }
}

function parseHostPart(text: string, bracketed: boolean): HostPart | Refusal {
  if (text === '*' && !bracketed) return { ok: true, part: { kind: 'any' }, text }
  const cidr = parseCidr(text)
  if (cidr.ok && (!bracketed || text.includes(':'))) {
    return { ok: true, part: { kind: 'cidr', cidr: cidr.cidr }, text: formatCidr(cidr.cidr) }
  }
  if (cidr.ok) return refused('an ipv4 address in brackets')
  if (bracketed || text.includes(':') || /^[0-9.]+\//.test(text)) return refused(cidr.reason)
  if (text.includes('/')) return refused('a path in a host pattern', 'write the host alone')
  const stars = text.startsWith('**.') ? 3 : text.startsWith('*.') ? 2 : 0
  const name = text.slice(stars)
  if (name.includes('*')) {
    return refused('a * that is not a whole first label', 'write *.name for one more label, **.name for any number')
  }
  const host = parseHost(name)
  if (!host.ok) return refused(host.reason)
  if (host.host.kind !== 'name') return refused('a wildcard before an ip address', 'write a cidr block')
  const canonical = host.host.text
  if (stars === 0) return { ok: true, part: { kind: 'exact', name: canonical }, text: canonical }
  if (!canonical.includes('.')) return refused('a wildcard over a whole top-level domain', 'name at least two labels')
  const kind = stars === 2 ? 'one_label' : 'subdomains'
  return { ok: true, part: { kind, name: canonical }, text: text.slice(0, stars) + canonical }
}

/**
 * For grants: whether every way to read `network` lies inside the pattern. A pattern without port covers the port its
 * scheme implies (80 or 443 when neither side has a scheme); a destination without port or scheme is covered only by a
 * pattern that asks for none. Wildcards never cover an address.
 */
export function hostCovers(pattern: HostPattern, network: Network): boolean {
  if (pattern.scheme !== undefined && pattern.scheme !== network.scheme) return false
  return coversPort(pattern.port, network) && coversHost(pattern, network.host)
}

function coversPort(port: HostPattern['port'], { scheme, port: actual }: Network): boolean {
  if (port === 'any') return true
  if (port !== 'default') return port === actual
  if (scheme === undefined) return actual === undefined || actual === 80 || actual === 443
  const implied = defaultPort(scheme)
  return implied !== undefined && (actual === undefined || actual === implied)
}

function coversHost(pattern: HostPattern, host: HostName): boolean {
  if (host.kind === 'name') return coversName(pattern, host.text)
  if (pattern.cidr === undefined) return false
  return host.kind === 'ipv4' ? cidrCoversIpv4(pattern.cidr, host.value) : cidrCoversIpv6(pattern.cidr, host.groups)
}

function coversName(pattern: HostPattern, text: string): boolean {
  const { name } = pattern
  switch (pattern.kind) {
    case 'any':
      return true
    case 'exact':
      return text === name
    case 'one_label':
      return name !== undefined && isBelow(text, name) && text.indexOf('.') === text.length - name.length - 1
    case 'subdomains':
      return name !== undefined && isBelow(text, name)
    case 'cidr':
      return false
  }
}

function isBelow(text: string, name: string): boolean {
  const dot = text.length - name.length - 1
  return dot > 0 && text.charCodeAt(dot) === 0x2e && text.endsWith(name)
}

/**
 * For forbids: whether any way to read `network` may lie inside the pattern. What is not known may be anything; a
 * pattern without port means every port; `*` means addresses too; http and ws count as one, as do https and wss, since
 * each becomes the other by an Upgrade header. A name is not resolved: forbid addresses where they are dialled.
 */
export function hostTouches(pattern: HostPattern, network: Network): boolean {
  const { scheme, port } = network
  if (pattern.scheme !== undefined && scheme !== undefined && transport(pattern.scheme) !== transport(scheme))
    return false
  if (typeof pattern.port === 'number' && port !== undefined && pattern.port !== port) return false
  return pattern.kind === 'any' || touchesHost(pattern, network.host)
}

function transport(scheme: string): string {
  return scheme === 'ws' ? 'http' : scheme === 'wss' ? 'https' : scheme
}

function touchesHost(pattern: HostPattern, host: HostName): boolean {
  const { cidr } = pattern
  return hostReadings(host).some((reading) => {
    if (reading.kind === 'name') return coversName(pattern, reading.text)
    if (cidr === undefined) return false
    return reading.kind === 'ipv4' ? cidrHasIpv4(cidr, reading.value) : cidrHasIpv6(cidr, reading.groups)
  })
}

/** Whether every destination `inner` covers is covered by `outer`. May say no where the answer is yes, never the reverse. */
export function hostPatternContains(outer: HostPattern, inner: HostPattern): boolean {
  if (outer.scheme !== undefined && outer.scheme !== inner.scheme) return false
  return containsPort(outer, inner) && containsHost(outer, inner)
}

function containsPort(outer: HostPattern, inner: HostPattern): boolean {
  if (outer.port === 'any' || outer.port === inner.port) return true
  // A number inside 'default' is the scheme's own port. A default inside a number is not: it covers an unknown port too.
  return outer.port === 'default' && inner.scheme !== undefined && inner.port === defaultPort(inner.scheme)
}

function containsHost(outer: HostPattern, inner: HostPattern): boolean {
  if (outer.cidr !== undefined || inner.cidr !== undefined) {
    return outer.cidr !== undefined && inner.cidr !== undefined && cidrContains(outer.cidr, inner.cidr)
  }
  if (outer.kind === 'any') return true
  const { name } = inner
  if (name === undefined) return false
  switch (inner.kind) {
    case 'exact':
      return coversName(outer, name)
    case 'one_label':
      return outer.name === name ? outer.kind !== 'exact' : outer.kind === 'subdomains' && coversName(outer, name)
    case 'subdomains':
      return outer.kind === 'subdomains' && (outer.name === name || coversName(outer, name))
    default:
      return false
  }
}
