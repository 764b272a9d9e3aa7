// The graph as this executor knows it: what runs after what, and what the failure of a node means for the rest.

/** `halt` stops the run, `skip_downstream` (the default) skips what depends on the node, `continue` runs it all the same. */
type OnFailure = 'halt' | 'skip_downstream' | 'continue'

export interface GraphNode {
  readonly skill: string
  readonly after?: readonly string[]
  readonly role?: string
  /** Names of the tools this node may call; the gateway holds it to them. */
  readonly toolScope?: readonly string[]
  readonly onFailure?: OnFailure
  /** How often the node is tried, first try included. Default 1. */
  readonly attempts?: number
}

export interface Graph {
  readonly nodes: Readonly<Record<string, GraphNode>>
}
