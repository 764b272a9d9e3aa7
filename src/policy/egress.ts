// Egress tables: what the nodes of a role may reach at most. They grant nothing. As soon as a set has one, a destination that
// no table of the node lists is out of reach, and a node that no table is about reaches nothing.

import type { Glob } from '../core/glob.ts'
import { type HostPattern, hostCovers } from '../core/host-pattern.ts'
import type { NetworkResource } from '../core/resource.ts'
import { type HostEntry, HostIndex } from './host-index.ts'

export interface EgressTable {
  readonly id: string
  /** `undefined` is every role; with `nodes` beside it both must fit. */
  readonly roles: readonly string[] | undefined
  readonly everyone: boolean
  readonly nodes: readonly Glob[] | undefined
  readonly hosts: readonly HostPattern[]
  /** The same hosts, to be found in. */
  readonly index: HostIndex<true>
  /** `undefined` is every method. */
  readonly methods: ReadonlySet<string> | undefined
}

/** Whether the table is about a node with these roles. */
export function isTableOf(table: EgressTable, node: string, roles: ReadonlySet<string>): boolean {
  const byRole = table.roles === undefined || table.everyone || table.roles.some((role) => roles.has(role))
  return byRole && (table.nodes === undefined || table.nodes.some((glob) => glob.matches(node)))
}

export function tableCovers(table: EgressTable, network: NetworkResource): boolean {
  if (table.methods !== undefined && (network.method === undefined || !table.methods.has(network.method))) return false
  const entries: HostEntry<true>[] = []
  table.index.find(network.host, entries)
  return entries.some(({ pattern }) => hostCovers(pattern, network))
}

export function indexHosts(hosts: readonly HostPattern[]): HostIndex<true> {
  const index = new HostIndex<true>()
  for (const pattern of hosts) index.add(pattern, true)
  return index
}
