// Which destination a request names. Decides by the request-target and Host together: both must be readable in one way
// and mean the same place, whichever of them the server goes by.

import { formatHost, type HostName, parseAuthority } from '../../core/host.ts'
import { parseUrl } from '../../core/url.ts'
import type { RequestHead } from './http-head.ts'

export interface RequestTarget {
  readonly host: HostName
  readonly port: number
  /** In origin form, canonical. Empty for CONNECT. */
  readonly path: string
  /** Host as it is to be sent. */
  readonly authority: string
}

/** The target of a request to a proxy: an absolute http URL. */
export function absoluteTarget(head: RequestHead): RequestTarget | undefined {
  if (!/^http:\/\//i.test(head.target)) return undefined
  const target = readUrl(head.target)
  // RFC 9112 §3.2.2 lets the URL win; a server behind this one may see it otherwise.
  if (target === undefined || head.host === undefined) return target
  const named = readUrl(`http://${head.host}/`)
  return named !== undefined && named.authority === target.authority && named.path === '/' ? target : undefined
}

/** The target of a request inside a connection to `host`:`port`; `mismatch` when Host names another place. */
export function originTarget(head: RequestHead, host: HostName, port: number): RequestTarget | 'mismatch' | undefined {
  if (!head.target.startsWith('/') || head.host === undefined) return undefined
  const target = readUrl(`http://${head.host}${head.target}`)
  const named = readUrl(`http://${head.host}/`)
  if (target === undefined || named === undefined || named.path !== '/') return undefined
  return target.host.text === host.text && target.port === port ? target : 'mismatch'
}

/** The target of CONNECT: host and port, nothing else, and both there. */
export function connectTarget(head: RequestHead): RequestTarget | undefined {
  const authority = parseAuthority(head.target)
  if (authority?.ok !== true || authority.port === undefined) return undefined
  const { host, port } = authority
  const text = `${formatHost(host)}:${port}`
  if (head.host !== undefined) {
    // Clients send Host with and without the port.
    const named = parseAuthority(head.host)
    if (named?.ok !== true || named.host.text !== host.text || (named.port ?? port) !== port) return undefined
  }
  return { host, port, path: '', authority: text }
}

function readUrl(text: string): RequestTarget | undefined {
  if (text.includes('#')) return undefined
  const url = parseUrl(text)
  if (!url.ok) return undefined
  const authority = `${formatHost(url.host)}${url.port === 80 ? '' : `:${url.port}`}`
  const path = url.href.slice(`http://${authority}`.length)
  return path.startsWith('/') ? { host: url.host, port: url.port, path, authority } : undefined
}
