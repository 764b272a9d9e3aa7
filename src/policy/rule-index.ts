// All rules, laid out so that a decision looks only at those that could concern it: first by who and which tool, then by
// the resource named. The cost of a decision follows the rules that nearly match, not the rules there are.

import { hostReadings } from '../core/host.ts'
import { hostCovers, hostTouches } from '../core/host-pattern.ts'
import type { NetworkResource, Resource } from '../core/resource.ts'
import { type HostEntry, HostIndex } from './host-index.ts'
import { PathIndex } from './path-index.ts'
import { byId, type Effect, type Rule } from './rule.ts'

/** The rules of one effect for one pair of who and tool. */
export class EffectIndex {
  /** Every rule, by id: what a call that names no resource is judged by. */
  readonly all: readonly Rule[]
  /** Rules that name no resource. */
  readonly bare: readonly Rule[]
  // Made when first needed: most pairs of who and tool name one kind of resource, and there are many pairs.
  #hosts: HostIndex<Rule> | undefined
  #reads: PathIndex<Rule> | undefined
  #writes: PathIndex<Rule> | undefined
  #binaries: PathIndex<Rule> | undefined
  #env: Map<string, Rule[]> | undefined

  constructor(rules: readonly Rule[]) {
    this.all = [...rules].sort(byId)
    this.bare = this.all.filter((rule) => !rule.namesResources)
    for (const rule of rules) this.#add(rule)
  }

  #add(rule: Rule): void {
    const { hosts, reads, writes, binaries, env } = rule.resources
    for (const pattern of hosts) {
      this.#hosts ??= new HostIndex()
      this.#hosts.add(pattern, rule)
    }
    for (const pattern of reads) {
      this.#reads ??= new PathIndex()
      this.#reads.add(pattern, rule)
    }
    for (const pattern of writes) {
      this.#writes ??= new PathIndex()
      this.#writes.add(pattern, rule)
    }
    for (const pattern of binaries) {
      this.#binaries ??= new PathIndex()
      this.#binaries.add(pattern, rule)
    }
    for (const name of env) {
      this.#env ??= new Map()
      const list = this.#env.get(name)
      if (list === undefined) this.#env.set(name, [rule])
      else list.push(rule)
    }
  }

  /** Adds to `found` the rules that cover `resource` in every reading: what a grant needs. A rule can come twice. */
  findCovering(resource: Resource, found: Rule[]): void {
    if (resource.kind !== 'network') this.#findNamed(resource, found)
    else if (this.#hosts !== undefined) {
      const entries: HostEntry<Rule>[] = []
      this.#hosts.find(resource.host, entries)
      for (const { pattern, value } of entries) if (hostCovers(pattern, resource)) found.push(value)
    }
  }

  /** Adds to `found` the rules that any reading of `resource` may fall under: what a forbid needs. A rule can come twice. */
  findTouching(resource: Resource, found: Rule[]): void {
    if (resource.kind !== 'network') this.#findNamed(resource, found)
    else if (this.#hosts !== undefined) {
      const entries: HostEntry<Rule>[] = []
      for (const reading of hostReadings(resource.host)) this.#hosts.find(reading, entries)
      for (const { pattern, value } of entries) if (hostTouches(pattern, resource)) found.push(value)
    }
  }

  /** Resources with one reading only. */
  #findNamed(resource: Exclude<Resource, NetworkResource>, found: Rule[]): void {
    switch (resource.kind) {
      case 'path':
        if (resource.access === 'read') this.#reads?.find(resource.path, found)
        else this.#writes?.find(resource.path, found)
        return
      case 'binary':
        this.#binaries?.find(resource.path, found)
        return
      case 'env':
        for (const rule of this.#env?.get(resource.name) ?? []) found.push(rule)
    }
  }
}

/** The rules for one pair of who and tool. */
export type Bucket = { readonly [effect in Effect]: EffectIndex | undefined }

/** A rule and the numbers of whom and which tools it is about. */
export interface PlacedRule {
  readonly rule: Rule
  readonly who: readonly number[]
  readonly tools: readonly number[]
}

export class RuleIndex {
  readonly #buckets = new Map<number, Bucket>()
  readonly #toolCount: number

  /** `toolCount` is the number of tool selectors; pairs are packed into one number by it. */
  constructor(placed: readonly PlacedRule[], toolCount: number) {
    this.#toolCount = toolCount
    const pairs = new Map<number, Rule[]>()
    for (const { rule, who, tools } of placed) {
      for (const whoId of who) {
        for (const toolId of tools) {
          const key = whoId * toolCount + toolId
          const rules = pairs.get(key)
          if (rules === undefined) pairs.set(key, [rule])
          else rules.push(rule)
        }
      }
    }
    for (const [key, rules] of pairs) {
      this.#buckets.set(key, {
        permit: indexOf('permit', rules),
        forbid: indexOf('forbid', rules),
        require_approval: indexOf('require_approval', rules),
      })
    }
  }

  get(who: number, tool: number): Bucket | undefined {
    return this.#buckets.get(who * this.#toolCount + tool)
  }
}

function indexOf(effect: Effect, rules: readonly Rule[]): EffectIndex | undefined {
  const own = rules.filter((rule) => rule.ref.effect === effect)
  return own.length === 0 ? undefined : new EffectIndex(own)
}
