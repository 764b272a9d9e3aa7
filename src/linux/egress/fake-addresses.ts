// Addresses that stand for names inside a box, so that a program which knows no proxy still says which host it means. They
// are loopback addresses: outside the box they lead nowhere.

import { formatIpv4 } from '../../core/ip.ts'

// 127.64.0.0/10, from its second address on. The box listens on these; nothing else in it is likely to.
const FIRST = 0x7f40_0001
const LAST = 0x7f7f_fffe

/** Gives each name one address for the life of a box. An address never changes its name: a client may hold it for long. */
export class FakeAddresses {
  readonly #limit: number
  readonly #addresses = new Map<string, number>()
  readonly #names = new Map<number, string>()

  constructor(limit: number) {
    this.#limit = Math.min(limit, LAST - FIRST + 1)
  }

  /** The uint32 of the address that stands for a canonical name; `undefined` when there is no room for another. */
  addressOf(name: string): number | undefined {
    const known = this.#addresses.get(name)
    if (known !== undefined) return known
    if (this.#addresses.size >= this.#limit) return undefined
    const address = FIRST + this.#addresses.size
    this.#addresses.set(name, address)
    this.#names.set(address, name)
    return address
  }

  nameOf(address: number): string | undefined {
    return this.#names.get(address)
  }

  /** For a hosts file: every address given so far, with its name. */
  entries(): readonly { readonly address: string; readonly name: string }[] {
    return [...this.#names].map(([address, name]) => ({ address: formatIpv4(address), name }))
  }
}
