// Which rules could concern a name at all. Each selector (an exact name, a glob, a set of both) has a number; a name is
// mapped to the numbers that select it, once, and the buckets of the rule index are keyed by those numbers.

import type { Glob } from '../core/glob.ts'

/** More distinct names than this and the memo starts anew: names come from outside and must not fill the memory. */
const MEMO_SIZE = 4096

const NONE: readonly number[] = []

export class Selectors {
  #count = 0
  readonly #exact = new Map<string, number>()
  readonly #patterns = new Map<string, { readonly id: number; readonly globs: readonly Glob[] }>()
  readonly #memo = new Map<string, readonly number[]>()

  /** The number of the selector "any of `globs`"; the same globs give the same number. */
  add(globs: readonly Glob[]): number {
    this.#memo.clear()
    const [first] = globs
    if (globs.length === 1 && first?.literal !== undefined) {
      const known = this.#exact.get(first.literal)
      if (known !== undefined) return known
      const id = this.#count++
      this.#exact.set(first.literal, id)
      return id
    }
    // '\n' stands in no name pattern, so the joined key is unambiguous.
    const key = globs
      .map((glob) => glob.text)
      .sort()
      .join('\n')
    const known = this.#patterns.get(key)
    if (known !== undefined) return known.id
    const id = this.#count++
    this.#patterns.set(key, { id, globs })
    return id
  }

  /** The numbers of all selectors that select `name`. */
  idsFor(name: string): readonly number[] {
    const known = this.#memo.get(name)
    if (known !== undefined) return known
    const ids: number[] = []
    const exact = this.#exact.get(name)
    if (exact !== undefined) ids.push(exact)
    for (const { id, globs } of this.#patterns.values()) if (globs.some((glob) => glob.matches(name))) ids.push(id)
    if (this.#memo.size >= MEMO_SIZE) this.#memo.clear()
    const result = ids.length === 0 ? NONE : ids
    this.#memo.set(name, result)
    return result
  }

  /** One more than the highest number given out. */
  get size(): number {
    return this.#count
  }
}
