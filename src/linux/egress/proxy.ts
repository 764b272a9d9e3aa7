// The only way out of a box. Decides who is served where, and ends all of it at once: each listener was made inside the
// box's own network and handed over, so that what comes in through it is from this box and no other.

import { createServer, type Server, type Socket } from 'node:net'

import { DNS_MESSAGE_BYTES, decideDns, dnsAnswer, dnsFailure, dnsFrame, parseDns } from './dns.ts'
import type { EgressFact } from './facts.ts'
import { FakeAddresses } from './fake-addresses.ts'
import { EgressJudge, type EgressRules } from './judge.ts'
import { type EgressLimits, egressLimits } from './limits.ts'
import { ProxyCredential } from './proxy-credential.ts'
import { connectAddress, Dialler, type EgressConnect, type EgressLookup, lookupAddresses } from './resolve.ts'
import { Session, type SessionHost } from './session.ts'
import { SocketReader } from './socket-reader.ts'

/** `proxy`: HTTP and SOCKS5 on one port. `dns`: name queries over TCP. `transparent`: whatever is spoken at that port. */
export type ListenerKind = 'proxy' | 'dns' | 'transparent'

export interface EgressProxyOptions {
  /** A Profile fits. */
  readonly profile: EgressRules
  /** Called with every decision before it takes effect. What it throws denies. */
  readonly report: (fact: EgressFact) => void
  /** What clients of the proxy port have to show. The listener itself is the identity of the box; this is one more. */
  readonly credential?: { readonly user: string; readonly password: string }
  readonly lookup?: EgressLookup
  readonly connect?: EgressConnect
  readonly limits?: Partial<EgressLimits>
  /** Addresses of this host, that only a grant for the very address reaches. Default: those of its interfaces. */
  readonly ownAddresses?: () => readonly string[]
}

/** The egress of one box: one set of rules, listeners, stand-in addresses and connections, shared with no other. */
export class EgressProxy {
  readonly #host: SessionHost & { judge: EgressJudge }
  readonly #servers = new Map<string, Server>()
  readonly #sessions = new Map<Socket, Session | undefined>()
  #closed = false

  constructor(options: EgressProxyOptions) {
    const limits = egressLimits(options.limits)
    const { report } = options
    this.#host = {
      judge: new EgressJudge(options.profile, options.ownAddresses),
      dialler: new Dialler(options.lookup ?? lookupAddresses, options.connect ?? connectAddress, limits),
      fakes: new FakeAddresses(limits.names),
      limits,
      credential: options.credential === undefined ? undefined : new ProxyCredential(options.credential),
      report: (fact) => {
        try {
          report(fact)
          return true
        } catch {
          return false
        }
      },
    }
  }

  /** Connections there are at the moment. */
  get connections(): number {
    return this.#sessions.size
  }

  /**
   * Serves a listening socket that came from elsewhere: a handle, or an object with its `fd`. `port` is the one it listens
   * on inside the box. Rejects when it cannot be listened on, with `TypeError` when the name is taken.
   */
  listen(name: string, kind: ListenerKind, port: number, handle: object): Promise<void> {
    if (this.#closed || this.#servers.has(name)) throw new TypeError(`no listener ${name} can be added`)
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.acceptConnection(socket, kind, port),
    )
    this.#servers.set(name, server)
    return new Promise((resolve, reject) => {
      server.on('error', (error) => {
        this.#servers.delete(name)
        reject(error)
      })
      server.listen(handle, () => resolve())
    })
  }

  /** Takes over a connected socket, which must have been made with `allowHalfOpen`. */
  acceptConnection(socket: Socket, kind: ListenerKind, port: number): void {
    socket.on('error', () => {})
    if (this.#closed || this.#sessions.size >= this.#host.limits.connections) {
      const protocol = kind === 'proxy' ? 'http' : kind
      this.#host.report({ type: 'egress_denied', protocol, host: '', port, reason: this.#closed ? 'revoked' : 'limit' })
      socket.destroy()
      return
    }
    const session = kind === 'dns' ? undefined : new Session(socket, this.#host)
    this.#sessions.set(socket, session)
    socket.once('close', () => this.#sessions.delete(socket))
    if (session === undefined) void this.#serveDns(socket)
    else void (kind === 'proxy' ? session.serveProxy() : session.serveTransparent(port))
  }

  /** From now on only what `rules` allow as well. Connections they do not allow end at once, each with a fact. */
  narrow(rules: EgressRules): void {
    this.#host.judge = this.#host.judge.narrowed(rules)
    for (const session of this.#sessions.values()) session?.recheck(this.#host.judge)
  }

  /** From now on nothing. Every connection ends at once, each with a fact. There is no way back. */
  revoke(): void {
    this.#host.judge = this.#host.judge.narrowed({ egress: [], denied: { egress: [] } })
    for (const [socket, session] of [...this.#sessions]) {
      session?.end('revoked')
      socket.destroy()
    }
  }

  /** Revokes, and gives up every listener. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    this.revoke()
    const servers = [...this.#servers.values()]
    this.#servers.clear()
    await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))))
  }

  async #serveDns(socket: Socket): Promise<void> {
    const { limits } = this.#host
    const reader = new SocketReader(socket)
    // Resolvers keep a connection for a short while only; one that dribbles is not waited for.
    socket.setTimeout(limits.handshakeMs, () => socket.destroy())
    let held: Uint8Array = new Uint8Array(0)
    try {
      for (;;) {
        const chunk = await reader.read()
        if (chunk === undefined) break
        held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
        while (held.length >= 2) {
          const length = (held[0] ?? 0) * 256 + (held[1] ?? 0)
          if (length > DNS_MESSAGE_BYTES) return void socket.destroy()
          if (held.length < 2 + length) break
          const answer = this.#answerDns(held.subarray(2, 2 + length))
          if (answer === undefined) return void socket.destroy()
          socket.write(dnsFrame(answer))
          held = held.subarray(2 + length)
        }
        if (socket.writableNeedDrain) return void socket.destroy() // it asks and does not listen
      }
      socket.end()
    } catch {
      socket.destroy()
    }
  }

  #answerDns(message: Uint8Array): Uint8Array | undefined {
    const { judge, fakes } = this.#host
    const parsed = parseDns(message)
    if (!parsed.ok) return parsed.code === undefined ? undefined : dnsFailure(parsed.id, parsed.code)
    const { question } = parsed
    const decision = decideDns(
      question,
      (host) => judge.grantsName(host),
      (name) => fakes.addressOf(name),
    )
    if ('denied' in decision) {
      const host = question.host?.text ?? ''
      this.#host.report({ type: 'egress_denied', protocol: 'dns', host, port: 0, reason: decision.denied })
      return dnsAnswer(question, decision.code)
    }
    return dnsAnswer(question, decision.code, decision.address)
  }
}
