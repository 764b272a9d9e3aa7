// Every bound of the egress proxy. A caller may lower them for a test or a small host, and cannot take one away.

export interface EgressLimits {
  /** Connections of one box at the same time. */
  readonly connections: number
  /** Bytes of a request line and its header fields. */
  readonly headBytes: number
  readonly headFields: number
  /** Bytes of a TLS client hello, record headers included. */
  readonly helloBytes: number
  /** Names that have an address of their own. */
  readonly names: number
  /** Name lookups at the same time: each blocks a thread of the pool that file access shares. */
  readonly lookups: number
  /** Addresses of one name that are tried. */
  readonly addresses: number
  /** Milliseconds for a handshake: a request head, a SOCKS exchange, the first bytes in a tunnel. */
  readonly handshakeMs: number
  readonly lookupMs: number
  /** Milliseconds for one address to answer. */
  readonly connectMs: number
  /** Milliseconds without a byte in either direction. */
  readonly idleMs: number
}

export const EGRESS_LIMITS: EgressLimits = Object.freeze({
  connections: 256,
  headBytes: 32 * 1024,
  headFields: 100,
  helloBytes: 32 * 1024,
  names: 4096,
  lookups: 2,
  addresses: 4,
  handshakeMs: 10_000,
  lookupMs: 10_000,
  connectMs: 10_000,
  idleMs: 300_000,
})

/** Throws `TypeError` for a bound that is not a positive whole number, or is higher than the one of the platform. */
export function egressLimits(lower: Partial<EgressLimits> = {}): EgressLimits {
  const limits: { -readonly [K in keyof EgressLimits]: EgressLimits[K] } = { ...EGRESS_LIMITS }
  for (const [key, value] of Object.entries(lower)) {
    if (!Object.hasOwn(EGRESS_LIMITS, key)) throw new TypeError(`there is no egress limit ${key}`)
    const name = key as keyof EgressLimits
    if (!(Number.isSafeInteger(value) && value > 0 && value <= EGRESS_LIMITS[name])) {
      throw new TypeError(`egress limit ${name} must be a whole number from 1 to ${EGRESS_LIMITS[name]}`)
    }
    limits[name] = value
  }
  return Object.freeze(limits)
}
