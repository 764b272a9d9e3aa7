// The statements for one pair of who and tool, laid out so that a decision looks only at those that could concern a
// resource. A short list is walked as it is; a long one gets an index. All effects share one, so that one look-up finds
// the permits and what stands against them.

import { hostReadings } from '../core/host.ts'
import type { PathPattern } from '../core/path-pattern.ts'
import { pathMatches } from '../core/path-pattern.ts'
import type { NetworkResource, Resource } from '../core/resource.ts'
import { type HostEntry, HostIndex } from './host-index.ts'
import { PathIndex } from './path-index.ts'
import { byId, type Rule } from './rule.ts'

/** Up to this many patterns of a kind are walked: a few comparisons cost less than one hash. */
const SHORT = 6

const NONE: readonly never[] = []

/** One path pattern and its rule; a list linked to the others of a short list. */
interface PathEntry {
  /** Of a pattern that is a literal path, or one with `**` behind it: the path. */
  readonly literal: string | undefined
  /** Whether `**` stands behind the literal. */
  readonly tree: boolean
  readonly pattern: PathPattern
  readonly rule: Rule
  readonly next: PathEntry | undefined
}

class PathList {
  #first: PathEntry | undefined
  #count = 0
  #index: PathIndex<Rule> | undefined

  add(pattern: PathPattern, rule: Rule): void {
    this.#count++
    if (this.#index !== undefined) this.#index.add(pattern, rule)
    else if (this.#count <= SHORT) this.#first = pathEntry(pattern, rule, this.#first)
    else {
      this.#index = new PathIndex()
      for (let entry = this.#first; entry !== undefined; entry = entry.next) this.#index.add(entry.pattern, entry.rule)
      this.#index.add(pattern, rule)
      this.#first = undefined
    }
  }

  find(path: string): readonly Rule[] {
    const found: Rule[] = []
    if (this.#index !== undefined) {
      this.#index.find(path, found)
      return found
    }
    for (let entry = this.#first; entry !== undefined; entry = entry.next) {
      if (entryMatches(entry, path)) found.push(entry.rule)
    }
    return found
  }
}

function pathEntry(pattern: PathPattern, rule: Rule, next: PathEntry | undefined): PathEntry {
  const { segments } = pattern
  const tree = segments.at(-1)?.kind === 'rest'
  const parts = (tree ? segments.slice(0, -1) : segments).map((segment) =>
    segment.kind === 'literal' ? segment.text : undefined,
  )
  // The root by itself is a literal without segments, and matches no other path; below it there is everything.
  const literal = parts.includes(undefined) || parts.length === 0 ? undefined : `/${parts.join('/')}`
  return { literal, tree, pattern, rule, next }
}

function entryMatches({ literal, tree, pattern }: PathEntry, path: string): boolean {
  if (literal === undefined) return pathMatches(pattern, path)
  if (!path.startsWith(literal)) return false
  return path.length === literal.length || (tree && path.charCodeAt(literal.length) === 0x2f)
}

export class Bucket {
  /** All of them, for explanations. */
  readonly rules: readonly Rule[]
  /** Every permit, by id: what a call that names no resource is granted by. */
  readonly permits: readonly Rule[]
  /** Statements of other effects that name no resource: they are about the call as such. */
  readonly bare: readonly Rule[]
  /** Whether hosts are found by {@link findHosts} instead of walking {@link hosts}. */
  readonly isLong: boolean
  // Made when first needed: most pairs of who and tool name one kind of resource, and there are many pairs.
  /** Host patterns of a short list, one linked to the next. */
  hosts: HostEntry<Rule> | undefined
  #hostIndex: HostIndex<Rule> | undefined
  #reads: PathList | undefined
  #writes: PathList | undefined
  #binaries: PathList | undefined
  #env: Map<string, Rule[]> | undefined
  #scopes: Map<string, Rule[]> | undefined

  constructor(rules: readonly Rule[]) {
    this.rules = rules
    const permits = rules.filter((rule) => rule.effect === 'permit')
    const bare = rules.filter((rule) => rule.effect !== 'permit' && !rule.namesResources)
    this.permits = permits.length === 0 ? NONE : permits.sort(byId)
    this.bare = bare.length === 0 ? NONE : bare.sort(byId)
    for (const rule of rules) this.#add(rule)
    let count = 0
    for (let entry = this.hosts; entry !== undefined; entry = entry.next) count++
    this.isLong = count > SHORT
    if (!this.isLong) return
    this.#hostIndex = new HostIndex()
    for (let entry = this.hosts; entry !== undefined; entry = entry.next)
      this.#hostIndex.add(entry.pattern, entry.value)
    // A table of many networks takes a while to build, which must not be the first decision's.
    this.#hostIndex.prepare()
    this.hosts = undefined
  }

  #add(rule: Rule): void {
    const { hosts, reads, writes, binaries, env, scopes } = rule.resources
    for (const pattern of hosts) {
      this.hosts = { pattern, value: rule, next: this.hosts }
    }
    for (const pattern of reads) {
      this.#reads ??= new PathList()
      this.#reads.add(pattern, rule)
    }
    for (const pattern of writes) {
      this.#writes ??= new PathList()
      this.#writes.add(pattern, rule)
    }
    for (const pattern of binaries) {
      this.#binaries ??= new PathList()
      this.#binaries.add(pattern, rule)
    }
    for (const name of env) {
      this.#env ??= new Map()
      addTo(this.#env, name, rule)
    }
    for (const name of scopes) {
      this.#scopes ??= new Map()
      addTo(this.#scopes, name, rule)
    }
  }

  /**
   * Statements whose host pattern may meet the destination in some reading: for the caller to judge by `hostCovers` or
   * `hostTouches`. One can come twice.
   */
  findHosts(network: NetworkResource): readonly HostEntry<Rule>[] {
    const found: HostEntry<Rule>[] = []
    if (this.#hostIndex !== undefined) {
      for (const reading of hostReadings(network.host)) this.#hostIndex.find(reading, found)
    } else for (let entry = this.hosts; entry !== undefined; entry = entry.next) found.push(entry)
    return found
  }

  /** Statements that list a resource of another kind, which has one reading only. One can come twice. */
  find(resource: Exclude<Resource, NetworkResource>): readonly Rule[] {
    switch (resource.kind) {
      case 'path':
        return (resource.access === 'read' ? this.#reads : this.#writes)?.find(resource.path) ?? NONE
      case 'binary':
        return this.#binaries?.find(resource.path) ?? NONE
      case 'env':
        return this.#env?.get(resource.name) ?? NONE
      case 'scope':
        return this.#scopes?.get(resource.name) ?? NONE
    }
  }
}

function addTo(lists: Map<string, Rule[]>, name: string, rule: Rule): void {
  const list = lists.get(name)
  if (list === undefined) lists.set(name, [rule])
  else list.push(rule)
}
