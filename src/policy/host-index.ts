// Host patterns by the key a lookup can compute: exact name, suffix after the first dot, any suffix, or the bits of an
// address. A lookup follows what nearly matches, whatever the number of rules. It returns a superset of what matches by
// name and address; scheme and port, and what a block speaks of, are judged by the caller through core/host-pattern.

import { CidrTable } from '../core/cidr-table.ts'
import type { HostName } from '../core/host.ts'
import type { HostPattern } from '../core/host-pattern.ts'
import { type Cidr, cidrHasIpv4, cidrHasIpv6 } from '../core/ip.ts'

/** One pattern and whose it is; a list linked to the entries with the same name. */
export interface HostEntry<T> {
  readonly pattern: HostPattern
  readonly value: T
  readonly next: HostEntry<T> | undefined
}

/** Blocks that are looked at one by one: a table answers more of them faster, and is larger than so few. */
const FEW_BLOCKS = 4

export class HostIndex<T> {
  #any: HostEntry<T> | undefined
  // Each made when first needed: there are many indexes, and most hold one kind of pattern.
  #exact: Names<T> | undefined
  #oneLabel: Names<T> | undefined
  #subdomains: Names<T> | undefined
  #blocks: Block<T>[] | undefined
  /** Of all blocks when there are many; `undefined` when one has been added since. */
  #table: CidrTable<HostEntry<T>> | undefined

  add(pattern: HostPattern, value: T): void {
    const { cidr, name = '' } = pattern
    switch (pattern.kind) {
      case 'any':
        this.#any = { pattern, value, next: this.#any }
        break
      case 'exact':
        this.#exact ??= new Names()
        this.#exact.add(name, pattern, value)
        break
      case 'one_label':
        this.#oneLabel ??= new Names()
        this.#oneLabel.add(name, pattern, value)
        break
      case 'subdomains':
        this.#subdomains ??= new Names()
        this.#subdomains.add(name, pattern, value)
        break
      case 'cidr':
        if (cidr === undefined) throw new TypeError('a cidr pattern without its network')
        this.#blocks ??= []
        this.#blocks.push([cidr, { pattern, value, next: undefined }])
        this.#table = undefined
    }
  }

  /** Makes now what the first {@link find} after an {@link add} would make: about a second for a million blocks. */
  prepare(): void {
    if (this.#blocks !== undefined && this.#blocks.length > FEW_BLOCKS) this.#table ??= new CidrTable(this.#blocks)
  }

  /** Adds to `found` every entry whose host part can match this reading of a host. */
  find(host: HostName, found: HostEntry<T>[]): void {
    addList(found, this.#any)
    if (host.kind === 'name') {
      this.#findName(host.text, found)
      return
    }
    const blocks = this.#blocks
    if (blocks === undefined) return
    this.prepare()
    const table = this.#table
    if (host.kind === 'ipv4') {
      if (table !== undefined) table.findIpv4(host.value, found)
      else for (const block of blocks) if (cidrHasIpv4(block[0], host.value)) found.push(block[1])
    } else {
      if (table !== undefined) table.findIpv6(host.groups, found)
      else for (const block of blocks) if (cidrHasIpv6(block[0], host.groups)) found.push(block[1])
    }
  }

  #findName(name: string, found: HostEntry<T>[]): void {
    this.#exact?.find(name, 0, found)
    if (this.#oneLabel === undefined && this.#subdomains === undefined) return
    let dot = name.indexOf('.')
    if (dot < 0) return
    this.#oneLabel?.find(name, dot + 1, found)
    if (this.#subdomains === undefined) return
    for (; dot >= 0; dot = name.indexOf('.', dot + 1)) this.#subdomains.find(name, dot + 1, found)
  }
}

type Block<T> = readonly [Cidr, HostEntry<T>]

class Names<T> {
  readonly #entries = new Map<string, HostEntry<T>>()
  /** The lengths of all names, modulo 32, as bits: most suffixes of a host need not be cut out to be missed. */
  #lengths = 0

  add(name: string, pattern: HostPattern, value: T): void {
    this.#entries.set(name, { pattern, value, next: this.#entries.get(name) })
    this.#lengths |= 1 << (name.length & 31)
  }

  /** Adds to `found` the entries of the name that `host` has from `start` on. */
  find(host: string, start: number, found: HostEntry<T>[]): void {
    if ((this.#lengths & (1 << ((host.length - start) & 31))) === 0) return
    addList(found, this.#entries.get(start === 0 ? host : host.slice(start)))
  }
}

function addList<T>(found: HostEntry<T>[], first: HostEntry<T> | undefined): void {
  for (let entry = first; entry !== undefined; entry = entry.next) found.push(entry)
}
