// Names resolved by the system: hosts file, DNS and whatever else it is set up to ask.

import { lookup } from 'node:dns/promises'

import type { AddressResolver } from '../obligation/pin.ts'

/**
 * A resolver for `pinAddresses`: every address that getaddrinfo(3) gives, IPv4 and IPv6. A lookup that has begun cannot be
 * stopped; one whose signal is aborted before it begins is not made. Rejects for a name without an address.
 */
export function nodeResolver(): AddressResolver {
  return {
    async resolve(name, signal) {
      signal.throwIfAborted()
      const found = await lookup(name, { all: true, order: 'verbatim' })
      return found.map(({ address }) => address)
    },
  }
}
