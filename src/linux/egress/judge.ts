// What a confinement may connect to. Decides by the canonical name, before anything is resolved, and then by each address
// the name turned out to have. Trusts the profile alone: neither the client nor the resolver can add to it.

import { networkInterfaces } from 'node:os'

import { type HostName, parseHost } from '../../core/host.ts'
import { type HostPattern, hostCovers, hostTouches } from '../../core/host-pattern.ts'
import type { ProfileEntry } from '../../enforcer/profile.ts'
import type { EgressDenialCode } from './facts.ts'
import { specialBlocks } from './special-purpose.ts'

/** The part of a profile that speaks of the network. A Profile fits. */
export interface EgressRules {
  readonly egress: readonly ProfileEntry<HostPattern>[]
  /** Judged by `hostTouches`: what may be meant is forbidden. */
  readonly denied: { readonly egress: readonly ProfileEntry<HostPattern>[] }
}

/** What goes over a connection, as far as the proxy can see: a TLS session, HTTP requests, or bytes of any kind. */
export type Carried = 'tls' | 'http' | 'raw'

export const CARRIED: readonly Carried[] = ['tls', 'http', 'raw']

export interface EgressDestination {
  readonly host: HostName
  readonly port: number
  readonly carried: Carried
}

export type EgressVerdict =
  | { readonly allowed: true; readonly rule: string }
  | { readonly allowed: false; readonly reason: EgressDenialCode; readonly rule?: string }

/** A host and port before it is known what will be spoken: `carried` is what may be. */
export type EgressOpening =
  | { readonly allowed: true; readonly rule: string; readonly carried: readonly Carried[] }
  | { readonly allowed: false; readonly reason: EgressDenialCode; readonly rule?: string }

const NOT_GRANTED: EgressVerdict = { allowed: false, reason: 'host_not_granted' }
const NOT_ALLOWED: EgressVerdict = { allowed: false, reason: 'address_not_allowed' }

// Which schemes of a grant a connection can stand for. What is inside TLS is not seen, so that wss and https are one;
// ws would need an upgrade, which is refused.
const SCHEMES: Readonly<Record<Carried, readonly (string | undefined)[]>> = {
  tls: ['https', 'wss'],
  http: ['http'],
  raw: [undefined],
}

export class EgressJudge {
  readonly #rules: EgressRules
  readonly #parent: EgressJudge | undefined
  readonly #ownAddresses: () => readonly string[]

  constructor(rules: EgressRules, ownAddresses: () => readonly string[] = interfaceAddresses, parent?: EgressJudge) {
    this.#rules = { egress: [...rules.egress], denied: { egress: [...rules.denied.egress] } }
    this.#ownAddresses = ownAddresses
    this.#parent = parent
  }

  /** A judge that allows what both this one and `rules` do. There is no way to widen one. */
  narrowed(rules: EgressRules): EgressJudge {
    return new EgressJudge(rules, this.#ownAddresses, this)
  }

  judge(destination: EgressDestination): EgressVerdict {
    const parent = this.#parent?.judge(destination)
    if (parent?.allowed === false) return parent
    const hole = this.#hole(destination.host, destination)
    if (hole !== undefined) return { allowed: false, reason: 'host_forbidden', rule: hole.rule }
    const grant = this.#grant(destination.host, destination, () => true)
    if (grant === undefined) return NOT_GRANTED
    // What goes over these two ports can be seen to be what it says, so nothing else is let through there.
    const { port, carried } = destination
    const opaque = (port === 443 && carried !== 'tls') || (port === 80 && carried === 'raw')
    return opaque ? { allowed: false, reason: 'protocol_not_granted' } : { allowed: true, rule: grant.rule }
  }

  /** What may be spoken with this host and port. */
  open(host: HostName, port: number): EgressOpening {
    let denied: EgressOpening = { allowed: false, reason: 'host_not_granted' }
    const allowed: { carried: Carried; rule: string }[] = []
    for (const carried of CARRIED) {
      const verdict = this.judge({ host, port, carried })
      if (verdict.allowed) allowed.push({ carried, rule: verdict.rule })
      else if (verdict.reason === 'host_forbidden') denied = verdict
    }
    const [first] = allowed
    if (first === undefined) return denied
    return { allowed: true, rule: first.rule, carried: allowed.map(({ carried }) => carried) }
  }

  /**
   * Whether an address that `destination` resolved to may be dialled. One of special purpose needs a granted address or
   * block of its own: one that lies inside the special block, since `0.0.0.0/0` says nothing about loopback.
   */
  vetAddress(address: HostName, destination: Omit<EgressDestination, 'host'>): EgressVerdict {
    const parent = this.#parent?.vetAddress(address, destination)
    if (parent?.allowed === false) return parent
    if (address.kind === 'name') return NOT_ALLOWED
    const hole = this.#hole(address, destination)
    if (hole !== undefined) return { allowed: false, reason: 'address_not_allowed', rule: hole.rule }
    let rule = ''
    for (const special of specialBlocks(address)) {
      const grant = this.#grant(special.address, destination, (length) => length >= special.block.prefix)
      if (grant === undefined) return NOT_ALLOWED
      rule = grant.rule
    }
    // A service of this host listens on its public addresses as well; only a grant for the one address means it.
    if (this.#ownAddresses().some((own) => isSameAddress(own, address))) {
      const full = address.kind === 'ipv4' ? 32 : 128
      const grant = this.#grant(address, destination, (length) => length === full)
      if (grant === undefined) return NOT_ALLOWED
      rule = grant.rule
    }
    return { allowed: true, rule }
  }

  /** Whether a rule forbids this name at this port, whatever address it is reached at. */
  forbids(destination: EgressDestination): boolean {
    return this.#hole(destination.host, destination) !== undefined || this.#parent?.forbids(destination) === true
  }

  /** Whether any connection to this name can be allowed, so that it may be answered for at all. */
  grantsName(host: HostName): boolean {
    const holes = new Set(this.#rules.denied.egress.map((hole) => hole.value.port))
    let free = 1
    while (holes.has(free) || free === 80 || free === 443) free++
    const ports = new Set([80, 443, free])
    for (const { value } of this.#rules.egress) if (typeof value.port === 'number') ports.add(value.port)
    return [...ports].some((port) => this.open(host, port).allowed)
  }

  #hole(host: HostName, { port, carried }: Omit<EgressDestination, 'host'>): ProfileEntry<HostPattern> | undefined {
    return this.#rules.denied.egress.find(({ value }) =>
      SCHEMES[carried].some((scheme) => hostTouches(value, { host, port, ...schemeOf(scheme) })),
    )
  }

  #grant(
    host: HostName,
    { port, carried }: Omit<EgressDestination, 'host'>,
    long: (prefix: number) => boolean,
  ): ProfileEntry<HostPattern> | undefined {
    return this.#rules.egress.find(
      ({ value }) =>
        long(value.cidr?.prefix ?? -1) &&
        SCHEMES[carried].some((scheme) => hostCovers(value, { host, port, ...schemeOf(scheme) })),
    )
  }
}

/**
 * The ports at which connections by name are to be caught: those the grants for names say, 80 and 443 for one that says
 * none or any.
 */
export function transparentPorts(egress: readonly ProfileEntry<HostPattern>[]): readonly number[] {
  const ports = new Set<number>()
  for (const { value } of egress) {
    if (value.kind === 'cidr' || value.scheme === 'ws') continue
    if (typeof value.port === 'number') ports.add(value.port)
    else for (const port of impliedPorts(value)) ports.add(port)
  }
  return Object.freeze([...ports].sort((a, b) => a - b))
}

function impliedPorts({ scheme }: HostPattern): readonly number[] {
  if (scheme === undefined) return [80, 443]
  return scheme === 'http' ? [80] : [443]
}

function schemeOf(scheme: string | undefined): { readonly scheme?: string } {
  return scheme === undefined ? {} : { scheme }
}

function interfaceAddresses(): readonly string[] {
  // Loopback is a special block already.
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).filter(({ internal }) => !internal).map(({ address }) => address),
  )
}

function isSameAddress(text: string, address: HostName): boolean {
  if (text === address.text) return true
  const parsed = parseHost(text.split('%')[0] ?? '')
  return parsed.ok && parsed.host.text === address.text
}
