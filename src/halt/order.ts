// Topological order by Kahn's algorithm (CACM 5(11), 1962), iterative because a graph of 10,000 nodes may be one chain.
// Works on numbers only, so that no name from outside is ever a property.

export type Ordering =
  | { readonly ok: true; readonly order: readonly number[] }
  /** At least one cycle, each as the nodes in the order they wait for one another, starting at its smallest number. */
  | { readonly ok: false; readonly cycles: readonly (readonly number[])[] }

/** Orders `0 … after.length - 1` so that each comes after all of `after[i]`; ties keep their numbers' order of discovery. */
export function topologicalOrder(
  after: readonly (readonly number[])[],
  dependents: readonly (readonly number[])[],
): Ordering {
  const waiting = after.map((list) => list.length)
  const order: number[] = []
  waiting.forEach((count, node) => {
    if (count === 0) order.push(node)
  })
  for (let head = 0; head < order.length; head++) {
    for (const next of dependents[order[head] as number] ?? []) {
      const left = (waiting[next] ?? 0) - 1
      waiting[next] = left
      if (left === 0) order.push(next)
    }
  }
  if (order.length === after.length) return { ok: true, order }
  return { ok: false, cycles: findCycles(after, waiting) }
}

// What Kahn leaves over is on a cycle or behind one, so each such node waits for another such node: walking from any of
// them towards what it waits for must come round. Each node is walked once.
function findCycles(after: readonly (readonly number[])[], waiting: readonly number[]): readonly (readonly number[])[] {
  const walkOf = new Map<number, number>()
  const cycles: number[][] = []
  for (let start = 0; start < after.length; start++) {
    if ((waiting[start] ?? 0) === 0) continue
    const path: number[] = []
    let at: number | undefined = start
    while (at !== undefined && !walkOf.has(at)) {
      walkOf.set(at, start)
      path.push(at)
      at = after[at]?.find((upstream) => (waiting[upstream] ?? 0) > 0)
    }
    if (at !== undefined && walkOf.get(at) === start) cycles.push(smallestFirst(path.slice(path.indexOf(at))))
  }
  return cycles
}

function smallestFirst(cycle: readonly number[]): number[] {
  let start = 0
  cycle.forEach((node, index) => {
    if (node < (cycle[start] as number)) start = index
  })
  return [...cycle.slice(start), ...cycle.slice(0, start)]
}
