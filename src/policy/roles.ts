// Roles of nodes. A role is defined by the operator; the graph may assert it for a node only where the definition says so.

import type { Glob } from '../core/glob.ts'
import { labelsMatch } from './guard.ts'

export interface Role {
  readonly name: string
  /** The graph's own `role:` may claim it. */
  readonly asserted: boolean
  readonly nodes: readonly Glob[]
  /** A node whose labels all match has it, too. */
  readonly labels: ReadonlyMap<string, readonly Glob[]> | undefined
}

/** Names of the roles that the definitions give to a node of this name. */
export function rolesOfNode(roles: ReadonlyMap<string, Role>, node: string): readonly string[] {
  const found: string[] = []
  for (const role of roles.values()) if (role.nodes.some((glob) => glob.matches(node))) found.push(role.name)
  return found
}

/** Names of the roles that the definitions give to a node with these labels. */
export function rolesOfLabels(
  roles: Iterable<Role>,
  labels: Readonly<Record<string, string>> | undefined,
): readonly string[] {
  const found: string[] = []
  if (labels === undefined) return found
  for (const role of roles) {
    if (role.labels !== undefined && labelsMatch(role.labels, labels)) found.push(role.name)
  }
  return found
}
