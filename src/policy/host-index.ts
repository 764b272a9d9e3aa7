// Host patterns by the key a lookup can compute: exact name, suffix after the first dot, any suffix, or network prefix.
// A lookup touches at most one entry list per label or prefix length, whatever the number of rules. It returns a superset
// of what matches by name; scheme and port are judged by the caller through core/host-pattern.

import type { HostName } from '../core/host.ts'
import type { HostPattern } from '../core/host-pattern.ts'

/** One pattern and whose it is; a list linked to the entries with the same key. */
export interface HostEntry<T> {
  readonly pattern: HostPattern
  readonly value: T
  readonly next: HostEntry<T> | undefined
}

type Entries<K, T> = Map<K, HostEntry<T>>

/** The blocks of one prefix length, by their network bits. */
interface Level<T> {
  readonly prefix: number
  readonly networks: Entries<number | string, T>
}

export class HostIndex<T> {
  #any: HostEntry<T> | undefined
  // Each made when first needed: there are many indexes, and most hold one kind of pattern.
  #exact: Entries<string, T> | undefined
  #oneLabel: Entries<string, T> | undefined
  #subdomains: Entries<string, T> | undefined
  /** Levels for the prefix lengths in use. */
  #levels4: Level<T>[] | undefined
  #levels6: Level<T>[] | undefined

  add(pattern: HostPattern, value: T): void {
    const { cidr, name = '' } = pattern
    switch (pattern.kind) {
      case 'any':
        this.#any = { pattern, value, next: this.#any }
        break
      case 'exact':
        this.#exact = added(this.#exact, name, pattern, value)
        break
      case 'one_label':
        this.#oneLabel = added(this.#oneLabel, name, pattern, value)
        break
      case 'subdomains':
        this.#subdomains = added(this.#subdomains, name, pattern, value)
        break
      case 'cidr': {
        if (cidr === undefined) throw new TypeError('a cidr pattern without its network')
        const { prefix, value4, groups = [] } = cidr
        if (value4 !== undefined) {
          this.#levels4 ??= []
          added(networksOf(this.#levels4, prefix), bits4(value4, prefix), pattern, value)
        } else {
          this.#levels6 ??= []
          added(networksOf(this.#levels6, prefix), bits6(groups, prefix), pattern, value)
        }
      }
    }
  }

  /** Adds to `found` every entry whose host part can match this reading of a host. */
  find(host: HostName, found: HostEntry<T>[]): void {
    addList(found, this.#any)
    switch (host.kind) {
      case 'name':
        this.#findName(host.text, found)
        return
      case 'ipv4':
        if (this.#levels4 === undefined) return
        for (const { prefix, networks } of this.#levels4) addList(found, networks.get(bits4(host.value, prefix)))
        return
      case 'ipv6':
        if (this.#levels6 === undefined) return
        for (const { prefix, networks } of this.#levels6) addList(found, networks.get(bits6(host.groups, prefix)))
    }
  }

  #findName(name: string, found: HostEntry<T>[]): void {
    addList(found, this.#exact?.get(name))
    if (this.#oneLabel === undefined && this.#subdomains === undefined) return
    let dot = name.indexOf('.')
    if (dot < 0) return
    addList(found, this.#oneLabel?.get(name.slice(dot + 1)))
    if (this.#subdomains === undefined) return
    for (; dot >= 0; dot = name.indexOf('.', dot + 1)) addList(found, this.#subdomains.get(name.slice(dot + 1)))
  }
}

function bits4(value: number, prefix: number): number {
  // A shift by 32 is a shift by 0 in JavaScript, so the empty prefix is its own case.
  return prefix === 0 ? 0 : value >>> (32 - prefix)
}

function bits6(groups: readonly number[], prefix: number): string {
  const whole = prefix >> 4
  const rest = prefix & 15
  let key = ''
  for (let index = 0; index < whole; index++) key += `${(groups[index] ?? 0).toString(16)}:`
  return rest === 0 ? key : `${key}${((groups[whole] ?? 0) >> (16 - rest)).toString(16)}`
}

function networksOf<T>(levels: Level<T>[], prefix: number): Entries<number | string, T> {
  let level = levels.find((one) => one.prefix === prefix)
  if (level === undefined) {
    level = { prefix, networks: new Map() }
    levels.push(level)
  }
  return level.networks
}

/** `entries`, made when there are none yet, with one more. */
function added<K, T>(entries: Entries<K, T> | undefined, key: K, pattern: HostPattern, value: T): Entries<K, T> {
  const own = entries ?? new Map<K, HostEntry<T>>()
  own.set(key, { pattern, value, next: own.get(key) })
  return own
}

function addList<T>(found: HostEntry<T>[], first: HostEntry<T> | undefined): void {
  for (let entry = first; entry !== undefined; entry = entry.next) found.push(entry)
}
