// What is remembered of a confinement for its fingerprint, beside the events that its reader gets. Bounded: a process that
// makes more of it than fits has made the fingerprint incomplete, which is said, and then the run counts for nothing.

import { release } from 'node:os'

import type { EnforcerEvent, EnforcerFact } from '../enforcer/enforcer.ts'
import type { EgressFact } from './egress/facts.ts'
import type { ConfinementFacts } from './fingerprint.ts'
import { syscallName } from './seccomp/seccomp.ts'

const CAPACITY = 10_000

export class FactLog {
  readonly #arch: 'x64' | 'arm64'
  readonly #hashes: ReadonlyMap<string, string>
  readonly #events: EnforcerEvent[] = []
  readonly #egress: { readonly host: string; readonly port: number; readonly protocol: string }[] = []
  #lost = 0

  /** `hashes`: SHA-256 of programs by path, of the time the box was made. */
  constructor(arch: 'x64' | 'arm64', hashes: ReadonlyMap<string, string>) {
    this.#arch = arch
    this.#hashes = hashes
  }

  event(fact: EnforcerFact): void {
    if (fact.type === 'lost') this.#lost += fact.count
    else if (this.#events.length >= CAPACITY) this.#lost += 1
    else this.#events.push(Object.freeze({ ...fact, seq: this.#events.length + 1, at: 0 }))
  }

  connection(fact: EgressFact): void {
    if (fact.type !== 'egress_allowed') return
    const { host, port, protocol } = fact
    if (this.#egress.length >= CAPACITY) this.#lost += 1
    else this.#egress.push({ host, port, protocol })
  }

  /** Calls that were not counted though counting was on. */
  lose(count: number): void {
    this.#lost += count
  }

  /** `calls`: counts by number, when they were counted. */
  facts(calls: ReadonlyMap<number, bigint> | undefined): ConfinementFacts {
    const lost: readonly EnforcerEvent[] =
      this.#lost === 0 ? [] : [{ type: 'lost', count: this.#lost, seq: this.#events.length + 1, at: 0 }]
    return Object.freeze({
      kernelRelease: release(),
      arch: this.#arch,
      events: Object.freeze([...this.#events, ...lost]),
      programHashes: this.#hashes,
      egress: Object.freeze([...this.#egress]),
      ...(calls === undefined
        ? {}
        : {
            syscalls: [...calls].map(([number, count]) => ({
              name: syscallName(this.#arch, number),
              count: Number(count),
            })),
          }),
    })
  }
}
