// URLs on their way to the network. Decides which host a URL reaches and what of it may be sent; a URL that two parsers
// split differently is refused, so it does not matter which of them the tool uses.

import { formatHost, type HostName, parseAuthority } from './host.ts'
import { LIMITS } from './limits.ts'
import { decodePercent } from './percent.ts'
import { hasUnprintable } from './text.ts'

export type UrlScheme = 'http' | 'https' | 'ws' | 'wss'

export type ParsedUrl =
  | {
      readonly ok: true
      /** Canonical text without fragment. */
      readonly href: string
      readonly scheme: UrlScheme
      readonly host: HostName
      /** 1–65535; the default of the scheme when the URL says none. */
      readonly port: number
    }
  | { readonly ok: false; readonly reason: string }

const refused = (reason: string): ParsedUrl => ({ ok: false, reason })

/** The port a scheme implies, `undefined` for a scheme that is not one of ours. */
export function defaultPort(scheme: string): number | undefined {
  return scheme === 'https' || scheme === 'wss' ? 443 : scheme === 'http' || scheme === 'ws' ? 80 : undefined
}

/** Reads an absolute http, https, ws or wss URL. Never throws; a refusal says why without repeating the text. */
export function parseUrl(text: string): ParsedUrl {
  if (text.length > LIMITS.urlLength) return refused('a url that is too long')
  const scheme = schemeOf(text)
  const plain = PLAIN.test(text)
  const fault = plain ? undefined : characterFault(text)
  if (fault !== undefined) return refused(fault)
  if (scheme === undefined) return refused(schemeFault(text))

  const start = scheme.length + 3
  if (text.charCodeAt(start) === 0x2f) return refused('more than two slashes after the scheme')
  const end = authorityEnd(text, start)
  const hash = text.indexOf('#', end)
  const limit = hash === -1 ? text.length : hash
  if (hasHiddenUserinfo(text, start, end)) return refused('user information, or an @ that some parsers read as its end')
  const authority = parseAuthority(text.slice(start, end))
  if (authority === undefined) return refused('more than one colon in the host')
  if (!authority.ok) return authority

  const query = text.indexOf('?', end)
  const pathEnd = query === -1 || query > limit ? limit : query
  const pathFault = urlPathFault(text.slice(end, pathEnd))
  if (pathFault !== undefined) return refused(pathFault)

  const implied = defaultPort(scheme) ?? 0
  const port = authority.port ?? implied
  const origin = `${scheme}://${formatHost(authority.host)}${port === implied ? '' : `:${port}`}`
  const href = serialise(origin, text.slice(end, limit), plain)
  if (href === undefined || href.length > LIMITS.urlLength) return refused('a url that is too long')
  return { ok: true, href, scheme, host: authority.host, port }
}

function schemeOf(text: string): UrlScheme | undefined {
  if (text.startsWith('https://')) return 'https'
  if (text.startsWith('http://')) return 'http'
  const colon = text.indexOf(':')
  if (colon < 2 || colon > 5 || !text.startsWith('//', colon + 1)) return undefined
  switch (text.slice(0, colon).toLowerCase()) {
    case 'http':
      return 'http'
    case 'https':
      return 'https'
    case 'ws':
      return 'ws'
    case 'wss':
      return 'wss'
    default:
      return undefined
  }
}

function schemeFault(text: string): string {
  if (/^(?:https?|wss?):/i.test(text)) return 'no // after the scheme'
  return /^[a-z][a-z0-9+.-]*:/i.test(text) ? 'a scheme other than http, https, ws and wss' : 'not an absolute url'
}

// WHATWG parsers drop tabs and newlines anywhere and trim the ends, so that good.com<TAB>.evil.com is one host to them
// and two tokens to others; they read a backslash as a slash, RFC 3986 parsers as part of the user information.
function characterFault(text: string): string | undefined {
  let ascii = true
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code <= 0x20 || code === 0x7f) return 'a white space or control character'
    if (code === 0x5c) return 'a backslash'
    if (code > 0x7f) ascii = false
  }
  return ascii || !(/\s/.test(text) || hasUnprintable(text)) ? undefined : 'a white space, control or format character'
}

function authorityEnd(text: string, start: number): number {
  for (let index = start; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 0x2f || code === 0x3f || code === 0x23) return index
  }
  return text.length
}

// http://good.com#@evil.com/ and http://good.com?@evil.com/ went to evil.com in curl and others (CVE-2016-8624): an @ is
// harmless only behind a slash that ends the authority for everyone.
function hasHiddenUserinfo(text: string, start: number, end: number): boolean {
  const mark = text.indexOf('@', start)
  return mark !== -1 && (mark < end || text.charCodeAt(end) !== 0x2f)
}

/**
 * Why the path could mean another path to a server behind a proxy, or `undefined`. WHATWG resolves `/a/%2e%2e/b`, curl
 * --path-as-is sends it, a second decoder finds `..` in `%252e%252e` and `..%2f`, and Tomcat ignores `;x` after `..`.
 */
function urlPathFault(path: string): string | undefined {
  if (!path.includes('%') && !path.includes('/.')) return undefined
  const decoded = decodePercent(path)
  if (decoded === undefined) return 'percent escapes in the path that decoders read differently'
  for (let index = 0; index < decoded.length; index++) {
    const code = decoded.charCodeAt(index)
    if (code < 0x20 || code === 0x7f) return 'an encoded control character in the path'
  }
  return decoded.split(/[/\\]/).some(isDotSegment) ? 'a dot segment in the path' : undefined
}

function isDotSegment(segment: string): boolean {
  const semicolon = segment.indexOf(';')
  const name = semicolon === -1 ? segment : segment.slice(0, semicolon)
  return name === '.' || name === '..'
}

// Characters the URL standard leaves alone in path and query. Others (quotes, < > ^ ` { | } and non-ASCII) take the
// platform's serialiser.
const PLAIN = /^[!#$%&()*+,\-./0-9:;=?@A-Z[\]_a-z~]*$/

/** Origin, path and query as one text; `rest` is what follows the authority, without the fragment. */
function serialise(origin: string, rest: string, plain: boolean): string | undefined {
  const path = rest.startsWith('/') ? rest : `/${rest}`
  if (plain) return origin + path
  try {
    return new URL(origin + path).href
  } catch {
    return undefined
  }
}
