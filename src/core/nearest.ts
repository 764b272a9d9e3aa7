// "Did you mean": the known name that a misspelt one probably stands for.

/** Longer names are not compared: nobody mistypes a name of this length, and the work grows with its square. */
const LONGEST = 64

/** The name of `known` closest to `name`, or `undefined` when none is close. */
export function closestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > LONGEST) return undefined
  let best: string | undefined
  // A third of the letters may differ; less, and `to` would be taken for `id`.
  let bestDistance = Math.floor(name.length / 3) + 1
  for (const candidate of known) {
    if (candidate.length > LONGEST) continue
    // camelCase, kebab-case and capitals are no misspelling but another habit.
    if (bare(candidate) === bare(name)) return candidate
    const distance = editDistance(name, candidate)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function bare(name: string): string {
  return name.toLowerCase().replaceAll('_', '').replaceAll('-', '')
}

/** Damerau's distance restricted to adjacent letters (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      )
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, (beforePrevious[column - 2] ?? 0) + 1)
      }
      current.push(cost)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.length] ?? 0
}
