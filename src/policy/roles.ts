// Roles of nodes. A role is defined by the operator; the graph may assert it for a node only where the definition says so.

import type { Glob } from '../core/glob.ts'

export interface Role {
  readonly name: string
  /** The graph's own `role:` may claim it. */
  readonly asserted: boolean
  readonly nodes: readonly Glob[]
}

/** Names of the roles that the definitions give to `node`. */
export function rolesOfNode(roles: ReadonlyMap<string, Role>, node: string): readonly string[] {
  const found: string[] = []
  for (const role of roles.values()) if (role.nodes.some((glob) => glob.matches(node))) found.push(role.name)
  return found
}
