// Host names and addresses in one canonical form. Decides what host a text means; a text that a resolver, a URL parser
// and a reader could take for different hosts is refused. Trusts the platform's IDNA tables, and checks their answer.

import { embeddedIpv4s, formatIpv4, formatIpv6, mappedIpv4, parseIpv4, parseIpv6 } from './ip.ts'
import { LIMITS } from './limits.ts'
import { hasUnprintable } from './text.ts'

/** A canonical destination: lower case, punycode, no trailing dot; IPv6 by RFC 5952 without brackets. */
export type HostName =
  | { readonly kind: 'name'; readonly text: string }
  /** `value` is a uint32. `::ffff:a.b.c.d` is this kind too. */
  | { readonly kind: 'ipv4'; readonly text: string; readonly value: number }
  /** `groups` are eight 16-bit numbers; `embedded` is a uint32 that NAT64, 6to4, Teredo … would dial instead. */
  | { readonly kind: 'ipv6'; readonly text: string; readonly groups: readonly number[]; readonly embedded?: number }

export type ParsedHost =
  | { readonly ok: true; readonly host: HostName; readonly port?: number }
  | { readonly ok: false; readonly reason: string }

type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string }

const LABEL_LENGTH = 63 // RFC 1035 §2.3.4
const RAW_LENGTH = LIMITS.hostLength + '.:65535'.length

const refused = (reason: string): { readonly ok: false; readonly reason: string } => ({ ok: false, reason })

/** Reads `host`, `host:443`, `[::1]:80` or `::1`. Never throws; a refusal says why without repeating the text. */
export function parseHost(text: string): ParsedHost {
  return parseAuthority(text) ?? parseBareIpv6(text)
}

/**
 * Reads host and port as a URL writes them, where an IPv6 address needs brackets. `undefined` means that there is more
 * than one colon outside brackets.
 */
export function parseAuthority(text: string): ParsedHost | undefined {
  const colon = text.indexOf(':')
  const end = colon === -1 ? text.length : colon
  const colons = colon !== -1 && text.includes(':', end + 1)
  if (!colons && isPlainName(text, 0, end)) {
    const host: HostName = { kind: 'name', text: colon === -1 ? text : text.slice(0, end) }
    return colon === -1 ? { ok: true, host } : withPort(host, text, colon)
  }
  const fault = characterFault(text)
  if (fault !== undefined) return refused(fault)
  if (text.charCodeAt(0) === 0x5b) return parseBracketed(text)
  if (colons) return undefined
  const name = parseName(text.slice(0, end))
  if (!name.ok) return name
  return colon === -1 ? { ok: true, host: name.value } : withPort(name.value, text, colon)
}

/** `host` as an authority writes it: an IPv6 address in brackets. */
export function formatHost(host: HostName): string {
  return host.kind === 'ipv6' ? `[${host.text}]` : host.text
}

// Three names of one place. Linux also connects the unspecified address to it, and resolvers must answer localhost with
// it (RFC 6761 §6.3): a rule against any of them is a rule against all.
const THIS_HOST: readonly HostName[] = [
  { kind: 'name', text: 'localhost' },
  ipv4Host(0x7f00_0001),
  ipv6Host([0, 0, 0, 0, 0, 0, 0, 1]),
]

/**
 * The host itself and every other that may be reached in its place: the IPv4 address inside a translated or tunnelled
 * one, and this host by its other names.
 */
export function hostReadings(host: HostName): readonly HostName[] {
  switch (host.kind) {
    case 'name':
      return host.text === 'localhost' || host.text.endsWith('.localhost') ? [host, ...THIS_HOST] : [host]
    case 'ipv4':
      return host.value === 0 || host.value >>> 24 === 127 ? [host, ...THIS_HOST] : [host]
    case 'ipv6':
      if (host.text === '::' || host.text === '::1') return [host, ...THIS_HOST]
      if (host.embedded === undefined) return [host]
      return [host, ...embeddedIpv4s(host.groups).flatMap((value) => hostReadings(ipv4Host(value)))]
  }
}

// The common case in one pass: lower-case ASCII labels that no IDNA table changes, and no number at the end. A test
// proves that the long way gives the same answer.
function isPlainName(text: string, start: number, end: number): boolean {
  if (end - start < 1 || end - start > LIMITS.hostLength || text.charCodeAt(start) === 0x2d) return false
  let label = start
  let digits = true
  for (let index = start; index < end; index++) {
    const code = text.charCodeAt(index)
    if (code >= 0x61 && code <= 0x7a) {
      digits = false
    } else if (code === 0x2e) {
      if (index === label || index - label > LABEL_LENGTH) return false
      label = index + 1
      digits = true
    } else if (code === 0x2d || code === 0x5f) {
      digits = false
      // Only a label with a hyphen can be an A-label; looking here keeps the loop short.
      if (index === label + 3 && text.startsWith('xn-', label)) return false
    } else if (code < 0x30 || code > 0x39) {
      return false
    }
  }
  return !digits && end > label && end - label <= LABEL_LENGTH && !text.startsWith('0x', label)
}

const BRACKETED = /^\[([0-9A-Fa-f:.]+)\](:|$)/

function parseBracketed(text: string): ParsedHost {
  const match = BRACKETED.exec(text)
  const groups = match?.[1] === undefined ? undefined : parseIpv6(match[1])
  if (match === null || groups === undefined) return refused('not a canonical ipv6 address in brackets')
  const host = ipv6Host(groups)
  return match[2] === '' ? { ok: true, host } : withPort(host, text, match[0].length - 1)
}

function parseBareIpv6(text: string): ParsedHost {
  const groups = parseIpv6(text)
  return groups === undefined ? refused('not a canonical ipv6 address') : { ok: true, host: ipv6Host(groups) }
}

function ipv6Host(groups: readonly number[]): HostName {
  const mapped = mappedIpv4(groups)
  if (mapped !== undefined) return ipv4Host(mapped)
  const [embedded] = embeddedIpv4s(groups)
  return { kind: 'ipv6', text: formatIpv6(groups), groups, ...(embedded === undefined ? {} : { embedded }) }
}

function ipv4Host(value: number): HostName {
  return { kind: 'ipv4', text: formatIpv4(value), value }
}

function withPort(host: HostName, text: string, colon: number): ParsedHost {
  const port = parsePort(text.slice(colon + 1))
  return port === undefined ? refused('the port is not a decimal number from 1 to 65535') : { ok: true, host, port }
}

const PORT = /^[1-9][0-9]{0,4}$/

/** A canonical decimal port, 1–65535. `0443` and `+443` are 443 to some parsers; 65616 is 80 to those that truncate. */
export function parsePort(text: string): number | undefined {
  if (!PORT.test(text)) return undefined
  const port = Number(text)
  return port <= 65535 ? port : undefined
}

// What URL parsers strip, decode or split on, before any of them has seen the text.
const HOST_ASCII = /^[A-Za-z0-9._:[\]-]*$/
const NON_ASCII = /\P{ASCII}/u
const DELIMITERS: ReadonlyMap<string, string> = new Map([
  ['%', 'a percent escape'],
  ['\\', 'a backslash'],
  ['/', 'a slash'],
  ['@', 'user information'],
  ['?', 'a query'],
  ['#', 'a fragment'],
])

function characterFault(text: string): string | undefined {
  if (text === '') return 'empty host'
  if (text.length > RAW_LENGTH) return 'a host that is too long'
  if (HOST_ASCII.test(text)) return undefined
  if (/\s/.test(text) || hasUnprintable(text)) return 'a white space, control or format character in the host'
  for (const [character, what] of DELIMITERS) if (text.includes(character)) return `${what} in the host`
  return HOST_ASCII.test(text.replace(/\P{ASCII}/gu, '')) ? undefined : 'a character no host name may hold'
}

function parseName(raw: string): Checked<HostName> {
  const dotted = raw.endsWith('.')
  const text = dotted ? raw.slice(0, -1) : raw
  const ipv4 = parseIpv4(text)
  if (ipv4 !== undefined) {
    return dotted ? refused('an ip address with a trailing dot') : { ok: true, value: ipv4Host(ipv4) }
  }
  const ascii = toAscii(text)
  if (!ascii.ok) return ascii
  const fault = nameFault(ascii.value)
  return fault === undefined ? { ok: true, value: { kind: 'name', text: ascii.value } } : refused(fault)
}

// LDH (RFC 1123 §2.1), and the underscore of service labels.
const NAME_ASCII = /^[a-z0-9._-]+$/
// The last label as inet_aton(3) and the WHATWG "ends in a number" check see it: such a name is dialled as an address.
const NUMBER_LABEL = /^(?:[0-9]+|0x[0-9a-f]*)$/

function nameFault(name: string): string | undefined {
  if (name === '') return 'empty host'
  if (name.length > LIMITS.hostLength) return 'a host that is too long'
  // A program that is handed the host as an argument would read an option (CVE-2017-1000117).
  if (name.startsWith('-')) return 'a host that starts with a hyphen'
  const labels = name.split('.')
  if (labels.includes('')) return 'an empty label in the host'
  if (labels.some((label) => label.length > LABEL_LENGTH)) return 'a label longer than 63 characters'
  // IDNA maps full-width punctuation to ASCII inside an xn-- label, and takes it there.
  if (!NAME_ASCII.test(name)) return 'a character no host name may hold'
  if (NUMBER_LABEL.test(labels.at(-1) ?? '')) return 'a number at the end, which other programs read as an ip address'
  return labels.some((label) => label.startsWith('xn--')) ? punycodeFault(name, labels) : undefined
}

// xn--good- decodes to plain "good" and xn--xn--… to another A-label: both pass in some parsers and give one host two
// names. Everything else is left to the platform, made to look by a non-ASCII label: newer WHATWG parsers skip the check
// for a name that is ASCII throughout.
function punycodeFault(name: string, labels: readonly string[]): string | undefined {
  const reason = 'an xn-- label that is not valid punycode'
  if (labels.some((label) => /^xn--(?:xn--|.*-$|$)/.test(label))) return reason
  const suffix = '.xn--9ca' // é
  return hostnameOf(`${name}.\u00e9`) === name + suffix ? undefined : reason
}

// IDNA2003 and IDNA2008 send these to two different hosts (UTS 46 §4, deviation characters); ẞ follows ß in some tables.
const DEVIATION = /[\u00df\u03c2\u1e9e]/

// Labels are compared one by one: a non-ASCII label must become an xn-- label, an ASCII one stay itself. That refuses
// full-width and circled letters, ligatures and ideographic dots, which are plain ASCII hosts in disguise.
function toAscii(text: string): Checked<string> {
  if (!NON_ASCII.test(text)) return { ok: true, value: text.toLowerCase() }
  const lower = text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
  if (DEVIATION.test(lower)) return refused('a letter that two idna versions read as two hosts')
  const ascii = hostnameOf(lower)
  if (ascii === undefined) return refused('a name that idna does not allow')
  const labels = ascii.split('.')
  const raw = lower.split('.')
  const faithful =
    labels.length === raw.length &&
    raw.every((label, index) =>
      NON_ASCII.test(label) ? labels[index]?.startsWith('xn--') === true : labels[index] === label,
    )
  return faithful ? { ok: true, value: ascii } : refused('non-ascii characters that stand for ascii ones')
}

function hostnameOf(host: string): string | undefined {
  try {
    return new URL(`http://${host}/`).hostname
  } catch {
    return undefined
  }
}
