// Path patterns as a trie by segment. A lookup walks the set of live trie nodes segment by segment (Thompson's
// construction), so that `/**/a/**/a/**` costs the number of segments times the number of live nodes, never a power.

import type { Glob } from '../core/glob.ts'
import type { PathPattern } from '../core/path-pattern.ts'

/** Most nodes have one child and nothing else, and there are as many as segments in all patterns: fields come on demand. */
class TrieNode<T> {
  readonly isRest: boolean
  children: Map<string, TrieNode<T>> | undefined = undefined
  globs: GlobEdge<T>[] | undefined = undefined
  /** The node of a `**`: it stays live over any number of segments. */
  rest: TrieNode<T> | undefined = undefined
  values: T[] | undefined = undefined
  /** The step of the walk that last added this node, so that no node is live twice. */
  step = 0

  constructor(isRest: boolean) {
    this.isRest = isRest
  }
}

interface GlobEdge<T> {
  readonly glob: Glob
  readonly node: TrieNode<T>
}

export class PathIndex<T> {
  readonly #root = new TrieNode<T>(false)
  #step = 0

  add(pattern: PathPattern, value: T): void {
    let node = this.#root
    for (const segment of pattern.segments) {
      switch (segment.kind) {
        case 'literal': {
          node.children ??= new Map()
          let next = node.children.get(segment.text)
          if (next === undefined) {
            next = new TrieNode(false)
            node.children.set(segment.text, next)
          }
          node = next
          break
        }
        case 'glob': {
          node.globs ??= []
          let edge = node.globs.find(({ glob }) => glob.text === segment.glob.text)
          if (edge === undefined) {
            edge = { glob: segment.glob, node: new TrieNode(false) }
            node.globs.push(edge)
          }
          node = edge.node
          break
        }
        case 'rest':
          node.rest ??= new TrieNode(true)
          node = node.rest
      }
    }
    if (node.values === undefined) node.values = [value]
    else node.values.push(value)
  }

  /** Adds to `found` the value of every pattern that matches `path`, a canonical absolute path. */
  find(path: string, found: T[]): void {
    let live: TrieNode<T>[] = []
    this.#step++
    this.#enter(live, this.#root, found)
    // '/' has no segments; every other canonical path starts with '/' and ends without one.
    for (let start = 1; start < path.length && live.length > 0; ) {
      const slash = path.indexOf('/', start)
      const end = slash < 0 ? path.length : slash
      const segment = path.slice(start, end)
      const next: TrieNode<T>[] = []
      this.#step++
      for (const node of live) {
        if (node.isRest) this.#enter(next, node, found)
        const child = node.children?.get(segment)
        if (child !== undefined) this.#enter(next, child, found)
        if (node.globs === undefined) continue
        for (const { glob, node: beyond } of node.globs) if (glob.matches(segment)) this.#enter(next, beyond, found)
      }
      live = next
      start = end + 1
    }
    for (const { values } of live) addAll(found, values)
  }

  /** Makes `node` live, and with it the `**` that may follow and that also matches no segment at all. */
  #enter(live: TrieNode<T>[], node: TrieNode<T>, found: T[]): void {
    for (let current: TrieNode<T> | undefined = node; current !== undefined; current = current.rest) {
      if (current.step === this.#step) return
      current.step = this.#step
      // Nothing can follow a `**` at the end of all its patterns, so they match whatever is left of the path.
      if (
        current.isRest &&
        current.children === undefined &&
        current.globs === undefined &&
        current.rest === undefined
      ) {
        addAll(found, current.values)
      } else live.push(current)
    }
  }
}

function addAll<V>(found: V[], list: readonly V[] | undefined): void {
  if (list === undefined) return
  for (const value of list) found.push(value)
}
