// What a call touches, in the one canonical form every room compares. A Resource is made only by the extraction from
// arguments; hosts, addresses, URLs and paths in it have been canonicalised exactly once.

import type { HostName } from './host.ts'

/**
 * Kinds an argument can be declared as. `command` is a shell text or an argument vector and names many resources; `text`
 * declares that a value which looks like a URL or path is only text.
 */
export const RESOURCE_KINDS = ['url', 'host', 'path', 'binary', 'env', 'command', 'text'] as const
export type ResourceKind = (typeof RESOURCE_KINDS)[number]

export const PATH_ACCESSES = ['read', 'write'] as const
export type PathAccess = (typeof PATH_ACCESSES)[number]

/** A network destination. `port` is absent when the arguments do not say one (a bare host). */
export interface NetworkResource {
  readonly kind: 'network'
  readonly host: HostName
  readonly scheme?: string
  readonly port?: number
  /** HTTP method, upper case, where the call says which. */
  readonly method?: string
  /** JSON Pointer into the arguments. */
  readonly from: string
}

export interface PathResource {
  readonly kind: 'path'
  readonly path: string
  readonly access: PathAccess
  readonly from: string
}

export interface BinaryResource {
  readonly kind: 'binary'
  /** Absolute canonical path of the program. */
  readonly path: string
  readonly from: string
}

export interface EnvResource {
  readonly kind: 'env'
  readonly name: string
  readonly from: string
}

/** An OAuth scope that the tool makes use of. */
export interface ScopeResource {
  readonly kind: 'scope'
  /** Exact, as RFC 6749 §3.3 writes one. */
  readonly name: string
  /** `''`: the tool as such uses it, whatever the arguments are. */
  readonly from: string
}

export type Resource = NetworkResource | PathResource | BinaryResource | EnvResource | ScopeResource

/** Puts a private field on the object it is given: nothing outside of this file can make one or take it away. */
class Canonical extends class {
  constructor(object: object) {
    // biome-ignore lint/correctness/noConstructorReturn: a derived class adds its fields to what its base returns.
    return object
  }
} {
  readonly #made = true

  static has(object: object): boolean {
    return #made in object
  }
}

/**
 * Freezes a resource whose parts have been made canonical by the parser of its kind, and remembers that it was. Only for
 * the files that parse: what is marked is not looked at again by anybody.
 */
export function canonicalResource<R extends Resource>(resource: R): R {
  if (resource.kind === 'network') {
    if ('groups' in resource.host) Object.freeze(resource.host.groups)
    Object.freeze(resource.host)
  }
  return Object.freeze(new Canonical(resource) as unknown as R)
}

/** Whether `resource` is one that {@link canonicalResource} made; a copy of one is not. */
export function isCanonicalResource(resource: object): resource is Resource {
  return Canonical.has(resource)
}

/** One line for people and logs, e.g. `network https://api.example.com:443` or `write /srv/out/a.txt`. */
export function describeResource(resource: Resource): string {
  switch (resource.kind) {
    case 'network': {
      const scheme = resource.scheme === undefined ? '' : `${resource.scheme}://`
      const host = resource.host.kind === 'ipv6' ? `[${resource.host.text}]` : resource.host.text
      return `network ${scheme}${host}${resource.port === undefined ? '' : `:${resource.port}`}`
    }
    case 'path':
      return `${resource.access} ${resource.path}`
    case 'binary':
      return `run ${resource.path}`
    case 'env':
      return `env ${resource.name}`
    case 'scope':
      return `scope ${resource.name}`
  }
}
