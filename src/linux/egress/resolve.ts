// From a judged destination to a connected socket. A name is resolved once, each answer is vetted, and what is dialled is
// a vetted address and never the name: a second answer of the resolver (DNS rebinding) is never asked for.

import { lookup as systemLookup } from 'node:dns/promises'
import { type Socket, connect as systemConnect } from 'node:net'

import { type HostName, parseHost } from '../../core/host.ts'
import type { Carried, EgressJudge } from './judge.ts'
import type { EgressLimits } from './limits.ts'

/** All addresses of a name, as text. May reject. */
export type EgressLookup = (name: string) => Promise<readonly string[]>
/** Starts a connection to an address, which is never a name. */
export type EgressConnect = (address: string, port: number) => Socket

export interface DialTarget {
  readonly host: HostName
  readonly port: number
  /** What may be spoken with the host by name; see {@link EgressJudge.open}. */
  readonly carried: readonly Carried[]
}

export type Dialled =
  | {
      readonly ok: true
      readonly socket: Socket
      readonly address: HostName
      /** What may be spoken with the address that was reached. */
      readonly carried: readonly Carried[]
    }
  | { readonly ok: false; readonly reason: 'unresolvable' | 'address_not_allowed' | 'upstream_failed' }

export const lookupAddresses: EgressLookup = async (name) => {
  const found = await systemLookup(name, { all: true, verbatim: true })
  return found.map(({ address }) => address)
}

export const connectAddress: EgressConnect = (host, port) =>
  systemConnect({ host, port, allowHalfOpen: true, noDelay: true, autoSelectFamily: false })

export class Dialler {
  readonly #lookup: EgressLookup
  readonly #connect: EgressConnect
  readonly #limits: EgressLimits
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(lookup: EgressLookup, connect: EgressConnect, limits: EgressLimits) {
    this.#lookup = lookup
    this.#connect = connect
    this.#limits = limits
  }

  /** Never rejects. Aborting `signal` ends what is under way. */
  async dial(target: DialTarget, judge: EgressJudge, signal: AbortSignal): Promise<Dialled> {
    const addresses = target.host.kind === 'name' ? await this.#addressesOf(target.host.text, signal) : [target.host]
    if (addresses === undefined || addresses.length === 0) return { ok: false, reason: 'unresolvable' }
    const vetted = addresses.flatMap((address) => {
      const carried = target.carried.filter(
        (kind) => judge.vetAddress(address, { port: target.port, carried: kind }).allowed,
      )
      return carried.length === 0 ? [] : [{ address, carried }]
    })
    if (vetted.length === 0) return { ok: false, reason: 'address_not_allowed' }
    for (const { address, carried } of vetted.slice(0, this.#limits.addresses)) {
      if (signal.aborted) break
      const socket = await this.#reach(address.text, target.port, signal)
      if (socket !== undefined) return { ok: true, socket, address, carried }
    }
    return { ok: false, reason: 'upstream_failed' }
  }

  async #addressesOf(name: string, signal: AbortSignal): Promise<readonly HostName[] | undefined> {
    const found = await bounded(this.#queued(name, signal), this.#limits.lookupMs, signal)
    if (found === undefined) return undefined
    const seen = new Map<string, HostName>()
    // An address with a zone id names an interface of this host and does not parse.
    for (const text of found.slice(0, 64)) {
      const parsed = parseHost(String(text))
      if (parsed.ok && parsed.port === undefined && parsed.host.kind !== 'name') seen.set(parsed.host.text, parsed.host)
    }
    return [...seen.values()]
  }

  // A lookup that has begun cannot be stopped, so its place is taken until it really ends.
  async #queued(name: string, signal: AbortSignal): Promise<readonly string[] | undefined> {
    while (this.#running >= this.#limits.lookups) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (signal.aborted) {
      this.#waiting.shift()?.()
      return undefined
    }
    this.#running++
    try {
      return await this.#lookup(name)
    } catch {
      return undefined
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  #reach(address: string, port: number, signal: AbortSignal): Promise<Socket | undefined> {
    return new Promise((resolve) => {
      let socket: Socket
      try {
        socket = this.#connect(address, port)
      } catch {
        resolve(undefined)
        return
      }
      const settle = (connected: boolean): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        socket.removeListener('connect', onConnect)
        socket.removeListener('close', onAbort)
        if (!connected) socket.destroy()
        resolve(connected ? socket : undefined)
      }
      const onConnect = (): void => settle(true)
      const onAbort = (): void => settle(false)
      const timer = setTimeout(onAbort, this.#limits.connectMs)
      // Stays for the life of the socket: an error without a listener would end the process.
      socket.on('error', () => {})
      socket.once('connect', onConnect)
      socket.once('close', onAbort)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      else if (socket.readyState === 'open') onConnect()
    })
  }
}

/** `undefined` when `work` gives nothing in time, fails, or is no longer wanted. Never rejects. */
function bounded<T>(work: Promise<T | undefined>, ms: number, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve) => {
    const settle = (value: T | undefined): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      resolve(value)
    }
    const onAbort = (): void => settle(undefined)
    const timer = setTimeout(onAbort, ms)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    work.then(settle, onAbort)
  })
}
