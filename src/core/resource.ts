// What a call touches, in the one canonical form every room compares. A Resource is made only by the extraction from
// arguments; hosts, addresses, URLs and paths in it have been canonicalised exactly once.

import type { HostName } from './host.ts'

/** Kinds an argument can be declared as. `text` declares that a value which looks like a URL or path is only text. */
export const RESOURCE_KINDS = ['url', 'host', 'path', 'binary', 'env', 'text'] as const
export type ResourceKind = (typeof RESOURCE_KINDS)[number]

export const PATH_ACCESSES = ['read', 'write'] as const
export type PathAccess = (typeof PATH_ACCESSES)[number]

/** A network destination. `port` is absent when the arguments do not say one (a bare host). */
export interface NetworkResource {
  readonly kind: 'network'
  readonly host: HostName
  readonly scheme?: string
  readonly port?: number
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

export type Resource = NetworkResource | PathResource | BinaryResource | EnvResource

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
  }
}
