// Regions: which part of the world a destination is in, by the operator's own table. A destination no entry covers is in no
// known region, and that is never taken for "elsewhere".

import type { HostName } from '../core/host.ts'
import type { HostPattern } from '../core/host-pattern.ts'
import { hostCovers } from '../core/host-pattern.ts'
import { type HostEntry, HostIndex } from './host-index.ts'

export class Regions {
  readonly #names: ReadonlySet<string>
  readonly #index = new HostIndex<string>()

  constructor(regions: ReadonlyMap<string, readonly HostPattern[]>) {
    this.#names = new Set(regions.keys())
    for (const [name, patterns] of regions) for (const pattern of patterns) this.#index.add(pattern, name)
  }

  get names(): ReadonlySet<string> {
    return this.#names
  }

  /** Names of the regions that cover the host. */
  of(host: HostName): ReadonlySet<string> {
    const entries: HostEntry<string>[] = []
    this.#index.find(host, entries)
    const found = new Set<string>()
    for (const { pattern, value } of entries) if (hostCovers(pattern, { host })) found.add(value)
    return found
  }
}
