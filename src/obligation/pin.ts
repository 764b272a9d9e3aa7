// From the hosts a call names to the addresses that may be dialled for them. Each name is resolved once and every answer
// is judged; the executor connects to these addresses and never asks again, so that a second answer (DNS rebinding) has
// nothing to change. The resolver is not trusted: what it says is data.

import { type Denial, deny } from '../core/denial.ts'
import { type HostName, parseHost } from '../core/host.ts'
import type { Cidr } from '../core/ip.ts'
import type { Resource } from '../core/resource.ts'
import { block, isDialable } from './public-address.ts'

/** How names are resolved. */
export interface AddressResolver {
  /** All addresses of a canonical name, as text. May reject; is not waited for once `signal` is aborted. */
  resolve(name: string, signal: AbortSignal): Promise<readonly string[]>
}

/** The addresses a host may be reached at; all of it canonical and frozen. */
export interface PinnedAddress {
  readonly host: string
  /** At least one; IPv6 without brackets. */
  readonly addresses: readonly string[]
}

export interface PinOptions {
  readonly resolver: AddressResolver
  /** Ends the waiting. A decision has a deadline; this is how it is told. */
  readonly signal: AbortSignal
  /** Canonical addresses and CIDR blocks of special purpose that may be dialled all the same: `10.0.8.0/24`. */
  readonly allow?: readonly string[]
}

export type PinnedAddresses =
  /** One entry a host, in the order of the resources. */
  { readonly ok: true; readonly pinned: readonly PinnedAddress[] } | { readonly ok: false; readonly denial: Denial }

/** Answers with more addresses than this are refused. */
const ADDRESSES = 64

/**
 * The addresses of every host that `resources` name; a host that is an address stands for itself, and is judged as well.
 * One that cannot be resolved, or has a single address that is not public and not in `allow`, is a denial
 * `obligation_unmet` (`deadline_exceeded` when `signal` ended it). Never rejects.
 *
 * @throws TypeError when `allow` has something that is not a canonical address or CIDR block.
 */
export function pinAddresses(resources: readonly Resource[], options: PinOptions): Promise<PinnedAddresses> {
  const { resolver, signal, allow = [] } = options
  const allowed = allow.map(block)
  const hosts = new Map<string, HostName>()
  for (const resource of resources) if (resource.kind === 'network') hosts.set(resource.host.text, resource.host)
  return pinAll([...hosts.values()], (host) => pinHost(host, resolver, signal, allowed))
}

async function pinAll(
  hosts: readonly HostName[],
  pin: (host: HostName) => Promise<PinnedAddress | Denial>,
): Promise<PinnedAddresses> {
  const pinned: PinnedAddress[] = []
  for (const answer of await Promise.all(hosts.map(pin))) {
    if ('code' in answer) return { ok: false, denial: answer }
    pinned.push(answer)
  }
  return { ok: true, pinned: Object.freeze(pinned) }
}

async function pinHost(
  host: HostName,
  resolver: AddressResolver,
  signal: AbortSignal,
  allowed: readonly Cidr[],
): Promise<PinnedAddress | Denial> {
  const refuse = (detail: string): Denial =>
    deny('obligation_unmet', `${host.text}: ${detail}`, { subject: { resource: `network ${host.text}` } })
  try {
    const texts = host.kind === 'name' ? await answerOf(host.text, resolver, signal) : [host.text]
    if (texts === undefined) return deny('deadline_exceeded', `${host.text}: the name was not resolved in time`)
    if (!Array.isArray(texts) || texts.length === 0) return refuse('no address')
    if (texts.length > ADDRESSES) return refuse(`more than ${ADDRESSES} addresses`)
    const addresses = new Set<string>()
    // Each element is read once, and what was read is what is pinned.
    for (const text of texts as readonly unknown[]) {
      const parsed = typeof text === 'string' ? parseHost(text) : undefined
      if (parsed?.ok !== true || parsed.port !== undefined || parsed.host.kind === 'name') {
        return refuse('the resolver gave what is not an address')
      }
      // One bad address spoils the answer: which of them is dialled would be left to chance.
      if (!isDialable(parsed.host, allowed)) return refuse(`${parsed.host.text} is not a public address`)
      addresses.add(parsed.host.text)
    }
    return Object.freeze({ host: host.text, addresses: Object.freeze([...addresses]) })
  } catch {
    return refuse('the name cannot be resolved')
  }
}

/** What the resolver says, or `undefined` when `signal` is aborted first: a resolver that hangs must not hold a decision. */
function answerOf(
  name: string,
  resolver: AddressResolver,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(undefined)
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    // Inside a promise, so that a resolver that throws is one that rejects.
    Promise.resolve()
      .then(() => resolver.resolve(name, signal))
      .then(resolve, (error: unknown) => (signal.aborted ? stop() : reject(error)))
      .finally(() => signal.removeEventListener('abort', stop))
  })
}
