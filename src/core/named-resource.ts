// A text that names something a call touches → the resource and the text in canonical form. The one place where what a
// text means is decided: the manifest reads arguments by it, and whoever asks the policy engine directly can too.

import { formatHost, parseHost } from './host.ts'
import { parsePath } from './path.ts'
import { canonicalResource, type PathAccess, type Resource, type ResourceKind } from './resource.ts'
import { isEnvName, isHttpMethod, isScopeToken } from './text.ts'
import { parseUrl } from './url.ts'

export interface NamedResourceOptions {
  /** Of a path. Default `read`. */
  readonly access?: PathAccess
  /** Of a path: canonical absolute directory that a relative one is resolved against. */
  readonly base?: string
  /** Of a url or host: the HTTP method, upper case, where it is known. */
  readonly method?: string
  /** JSON Pointer into the arguments. Default `''`. */
  readonly from?: string
}

/** Kinds of which one text names one resource. */
export type NamedResourceKind = Exclude<ResourceKind, 'text' | 'command'> | 'scope'

export type NamedResource =
  /** `text` is what the call runs with. */
  | { readonly ok: true; readonly resource: Resource; readonly text: string }
  | { readonly ok: false; readonly reason: string }

export function readNamedResource(
  kind: NamedResourceKind,
  text: string,
  options: NamedResourceOptions = {},
): NamedResource {
  const { from = '', method } = options
  if (method !== undefined && !isHttpMethod(method)) return { ok: false, reason: 'a method that is not upper case' }
  const sent = method === undefined ? {} : { method }
  switch (kind) {
    case 'url': {
      const url = parseUrl(text)
      if (!url.ok) return url
      return named({ kind: 'network', host: url.host, scheme: url.scheme, port: url.port, ...sent, from }, url.href)
    }
    case 'host': {
      const parsed = parseHost(text)
      if (!parsed.ok) return parsed
      const { host, port } = parsed
      if (port !== undefined)
        return named({ kind: 'network', host, port, ...sent, from }, `${formatHost(host)}:${port}`)
      return named({ kind: 'network', host, ...sent, from }, text.startsWith('[') ? formatHost(host) : host.text)
    }
    case 'path': {
      const parsed = parsePath(text, options.base === undefined ? {} : { base: options.base })
      return parsed.ok
        ? named({ kind: 'path', path: parsed.path, access: options.access ?? 'read', from }, parsed.path)
        : parsed
    }
    case 'binary': {
      const parsed = parsePath(text)
      return parsed.ok ? named({ kind: 'binary', path: parsed.path, from }, parsed.path) : parsed
    }
    case 'env':
      if (!isEnvName(text)) return { ok: false, reason: 'not the name of an environment variable' }
      return named({ kind: 'env', name: text, from }, text)
    case 'scope':
      if (!isScopeToken(text)) return { ok: false, reason: 'not a scope of RFC 6749' }
      return named({ kind: 'scope', name: text, from }, text)
  }
}

function named(resource: Resource, text: string): NamedResource {
  return { ok: true, resource: canonicalResource(resource), text }
}

/**
 * The resource a text names, for a request to the policy engine: `resourceOf('url', 'https://api.example.com/')`.
 *
 * @throws TypeError when the text is ambiguous or not canonical in its kind; the message says why.
 */
export function resourceOf(kind: NamedResourceKind, text: string, options: NamedResourceOptions = {}): Resource {
  const read = readNamedResource(kind, text, options)
  if (!read.ok) throw new TypeError(`not a ${kind}: ${read.reason}`)
  return read.resource
}
