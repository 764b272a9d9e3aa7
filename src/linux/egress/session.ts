// One connection of a client, from its first byte to its end. Decides with the judge before anything is dialled and again
// by what the client really speaks; until both have said yes not one of its bytes goes further.

import type { Socket } from 'node:net'

import { type HostName, parseHost } from '../../core/host.ts'
import { printable } from '../../core/text.ts'
import { ClientHelloReader } from './client-hello.ts'
import type { EgressDenialCode, EgressFact, EgressProtocol } from './facts.ts'
import type { FakeAddresses } from './fake-addresses.ts'
import { carriedBy } from './first-bytes.ts'
import { exchange } from './http-exchange.ts'
import { HeadReader, type RequestHead } from './http-head.ts'
import { CONNECTED, denialResponse, endWith } from './http-reply.ts'
import { absoluteTarget, connectTarget, originTarget, type RequestTarget } from './http-target.ts'
import type { Carried, EgressJudge } from './judge.ts'
import type { EgressLimits } from './limits.ts'
import type { ProxyCredential } from './proxy-credential.ts'
import type { Dialled, Dialler } from './resolve.ts'
import { SocketReader } from './socket-reader.ts'
import {
  credentialReply,
  greetingReply,
  parseCredential,
  parseGreeting,
  parseRequest,
  SOCKS_REPLY,
  type SocksMessage,
  socksReply,
} from './socks5.ts'
import { joinSockets } from './tunnel.ts'

/** What every session of one box shares. */
export interface SessionHost {
  /** The judge as it is now. */
  readonly judge: EgressJudge
  readonly dialler: Dialler
  readonly fakes: FakeAddresses
  readonly limits: EgressLimits
  readonly credential: ProxyCredential | undefined
  /** Whether the fact was taken; what cannot be recorded is not done. */
  report(fact: EgressFact): boolean
}

interface Place {
  readonly host: HostName
  readonly port: number
}

interface Reached extends Place {
  readonly rule: string
  readonly socket: Socket
  readonly address: HostName
  readonly carried: readonly Carried[]
}

type Answer = (code: EgressDenialCode) => void

const SOCKS5 = 5
const SOCKS4 = 4
const NOWHERE = { text: '', port: 0 }
// A fatal alert, access_denied (RFC 8446 §6.2): the client says so instead of waiting for an answer.
const ALERT = Uint8Array.of(21, 3, 3, 0, 2, 2, 49)

export class Session {
  readonly #host: SessionHost
  readonly #socket: Socket
  readonly #reader: SocketReader
  readonly #abort = new AbortController()
  #protocol: EgressProtocol = 'http'
  /** What the client asked for, as far as it is known; for the facts. */
  #named: { readonly text: string; readonly port: number } = NOWHERE
  #reached: Reached | undefined
  /** Where it cannot be answered in the protocol, the connection is cut. */
  #answer: Answer = () => this.#socket.destroy()
  #timer: NodeJS.Timeout | undefined
  #tunnelling = false
  #cause: 'revoked' | 'timeout' | undefined

  constructor(socket: Socket, host: SessionHost) {
    this.#socket = socket
    this.#host = host
    this.#reader = new SocketReader(socket)
    socket.on('error', () => {})
    socket.once('close', () => this.#abort.abort())
  }

  /** A client that knows it talks to a proxy. Resolves when the connection is over; never rejects. */
  serveProxy(): Promise<void> {
    return this.#run(async () => {
      this.#arm()
      const first = await this.#reader.read()
      if (first === undefined) return
      this.#reader.putBack(first)
      if (first[0] === SOCKS5) return await this.#serveSocks()
      if (first[0] === SOCKS4) {
        this.#protocol = 'socks5'
        return this.#refuse('malformed_request')
      }
      await this.#serveHttp(undefined)
    })
  }

  /** A client that believes to talk to the server itself, at an address that stands for its name. */
  serveTransparent(port: number): Promise<void> {
    return this.#run(async () => {
      this.#protocol = 'transparent'
      const local = parseHost(this.#socket.localAddress ?? '')
      const address = local.ok ? local.host : undefined
      if (address === undefined) return this.#refuse('host_not_granted')
      const place = { host: this.#meant(address), port }
      this.#named = { text: place.host.text, port }
      if (place.host.kind !== 'name') return this.#refuse('host_not_granted')
      const reached = await this.#reach(place, undefined)
      if (reached !== undefined) await this.#tunnel(reached)
    })
  }

  /** Ends the connection now, whatever it is doing. */
  end(cause: 'revoked' | 'timeout'): void {
    if (this.#socket.destroyed) return
    this.#cause ??= cause
    const reached = this.#reached
    // A connection that rests between two requests has asked for nothing.
    const asked = !this.#tunnelling && this.#named !== NOWHERE
    if (cause === 'revoked' && asked) this.#report({ type: 'egress_denied', reason: 'revoked' })
    // Not when the socket has closed, which is a moment later: what is being looked up must not be dialled any more.
    this.#abort.abort()
    this.#socket.destroy()
    reached?.socket.destroy()
  }

  /** Ends the connection unless `judge` allows all of it as well. One that is not there yet has to begin again. */
  recheck(judge: EgressJudge): void {
    const reached = this.#reached
    if (reached === undefined && this.#named === NOWHERE) return
    const kept = reached?.carried.every(
      (carried) =>
        judge.judge({ ...reached, carried }).allowed &&
        judge.vetAddress(reached.address, { ...reached, carried }).allowed,
    )
    if (kept !== true) this.end('revoked')
  }

  async #run(work: () => Promise<void>): Promise<void> {
    this.#socket.setTimeout(this.#host.limits.idleMs, () => this.end('timeout'))
    try {
      await work()
    } catch {
      // Nothing above is meant to throw; if it does, this connection ends and no other is touched.
      this.#socket.destroy()
    } finally {
      clearTimeout(this.#timer)
      this.#reached?.socket.destroy()
      // What was answered may still be on its way.
      if (!this.#socket.destroyed && !this.#socket.writableEnded) this.#socket.destroySoon()
      await closed(this.#socket)
    }
  }

  /** What is to come next has to come in time. */
  #arm(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#refuse('timeout'), this.#host.limits.handshakeMs)
  }

  #disarm(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  get #over(): boolean {
    return this.#socket.destroyed || this.#socket.writableEnded
  }

  // -- HTTP ------------------------------------------------------------------------------------------------------------

  /** `inside`: the connection the requests are tunnelled to; absent when the client speaks to the proxy. */
  async #serveHttp(inside: Reached | undefined): Promise<void> {
    this.#answer = (code) => endWith(this.#socket, denialResponse(code))
    let fresh = inside
    for (;;) {
      if (inside === undefined) this.#named = NOWHERE
      const head = await this.#readHead()
      if (head === undefined) return
      this.#disarm()
      if (inside === undefined && this.#host.credential?.acceptsHeader(head.fields) === false) {
        return this.#refuse('unauthenticated')
      }
      if (head.method === 'CONNECT') {
        if (inside !== undefined) return this.#refuse('method_not_allowed')
        return await this.#serveConnect(head)
      }
      if (!(await this.#serveRequest(head, inside, fresh))) return
      fresh = undefined
    }
  }

  async #readHead(): Promise<RequestHead | undefined> {
    const { limits } = this.#host
    const head = new HeadReader(limits.headBytes, limits.headFields)
    for (;;) {
      const chunk = await this.#reader.read()
      if (this.#over) return undefined
      if (chunk === undefined) {
        if (!head.fresh) this.#refuse('malformed_request')
        return undefined
      }
      // Between two requests a connection may rest; once a head has begun it has to come.
      if (head.fresh) this.#arm()
      const progress = head.push(chunk)
      if (progress.state === 'refused') {
        this.#refuse(progress.reason)
        return undefined
      }
      if (progress.state === 'head') {
        this.#reader.putBack(chunk.subarray(progress.used))
        return progress.head
      }
    }
  }

  /** Whether another request may follow. */
  async #serveRequest(head: RequestHead, inside: Reached | undefined, fresh: Reached | undefined): Promise<boolean> {
    const { method } = head
    const target = inside === undefined ? absoluteTarget(head) : originTarget(head, inside.host, inside.port)
    if (target === undefined || target === 'mismatch') {
      this.#refuse(target === 'mismatch' ? 'host_mismatch' : 'malformed_request', method)
      return false
    }
    const place = { host: this.#meant(target.host), port: target.port }
    this.#named = { text: place.host.text, port: place.port }
    if (head.fields.some(({ key }) => key === 'upgrade')) {
      this.#refuse('upgrade_refused', method)
      return false
    }
    const reached = fresh ?? (await this.#reach(place, 'http', method))
    if (reached === undefined) return false
    if (!this.#report({ type: 'egress_allowed', rule: reached.rule, method })) {
      this.#refuse('unrecorded', method)
      return false
    }
    reached.socket.setTimeout(this.#host.limits.idleMs, () => reached.socket.destroy())
    const end = await exchange({
      head,
      target: sentTarget(target, place),
      client: this.#socket,
      reader: this.#reader,
      upstream: reached.socket,
      maxHeadBytes: this.#host.limits.headBytes,
    })
    this.#reached = undefined
    if (end === 'next') return !this.#over
    if (end === 'over') endWith(this.#socket, '')
    else this.#refuse(end, method)
    return false
  }

  async #serveConnect(head: RequestHead): Promise<void> {
    this.#protocol = 'connect'
    const target = connectTarget(head)
    if (target === undefined) return this.#refuse('malformed_request', 'CONNECT')
    const place = { host: this.#meant(target.host), port: target.port }
    this.#named = { text: place.host.text, port: place.port }
    const reached = await this.#reach(place, undefined, 'CONNECT')
    if (reached === undefined) return
    this.#answer = () => this.#socket.destroy()
    this.#socket.write(CONNECTED)
    await this.#tunnel(reached)
  }

  // -- SOCKS5 ----------------------------------------------------------------------------------------------------------

  async #serveSocks(): Promise<void> {
    this.#protocol = 'socks5'
    const { credential } = this.#host
    const method = await this.#socksMessage((bytes) => parseGreeting(bytes, credential !== undefined), undefined)
    if (method === undefined) return
    this.#socket.write(greetingReply(method))
    if (method === 255) {
      this.#answer = () => this.#socket.destroySoon()
      return this.#refuse(credential === undefined ? 'malformed_request' : 'unauthenticated')
    }
    if (credential !== undefined) {
      const sent = await this.#socksMessage(parseCredential, undefined)
      if (sent === undefined) return
      const accepted = credential.accepts(sent.user, sent.password)
      if (!accepted) {
        this.#answer = () => endWith(this.#socket, credentialReply(false))
        return this.#refuse('unauthenticated')
      }
      this.#socket.write(credentialReply(true))
    }
    const request = await this.#socksMessage(parseRequest, (reply) => endWith(this.#socket, socksReply(reply)))
    if (request === undefined) return
    this.#disarm()
    const place = { host: this.#meant(request.host), port: request.port }
    this.#named = { text: place.host.text, port: place.port }
    this.#answer = (code) => endWith(this.#socket, socksReply(socksCode(code)))
    const reached = await this.#reach(place, undefined)
    if (reached === undefined) return
    this.#answer = () => this.#socket.destroy()
    this.#socket.write(socksReply(SOCKS_REPLY.succeeded))
    await this.#tunnel(reached)
  }

  async #socksMessage<T>(
    parse: (bytes: Uint8Array) => SocksMessage<T>,
    onMalformed: ((reply: number) => void) | undefined,
  ): Promise<T | undefined> {
    let held: Uint8Array = new Uint8Array(0)
    for (;;) {
      const chunk = await this.#reader.read()
      if (chunk === undefined || this.#over) return undefined
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      const message = parse(held)
      if (message.state === 'malformed') {
        if (onMalformed !== undefined) this.#answer = () => onMalformed(message.reply)
        this.#refuse('malformed_request')
        return undefined
      }
      if (message.state === 'message') {
        this.#reader.putBack(held.subarray(message.bytes))
        return message.value
      }
    }
  }

  // -- the way out -----------------------------------------------------------------------------------------------------

  /** An address that stands for a name inside the box means the name; outside it is nothing. */
  #meant(host: HostName): HostName {
    const name = host.kind === 'ipv4' ? this.#host.fakes.nameOf(host.value) : undefined
    const parsed = name === undefined ? undefined : parseHost(name)
    return parsed?.ok === true ? parsed.host : host
  }

  /** Judges, resolves, vets and dials; a refusal has been answered and reported. */
  async #reach(place: Place, carried: Carried | undefined, method?: string): Promise<Reached | undefined> {
    const { judge, dialler } = this.#host
    const opening =
      carried === undefined ? judge.open(place.host, place.port) : single(carried, judge.judge({ ...place, carried }))
    if (!opening.allowed) {
      this.#refuse(opening.reason, method, opening.rule)
      return undefined
    }
    const dialled: Dialled = await dialler.dial({ ...place, carried: opening.carried }, judge, this.#abort.signal)
    if (this.#over) {
      if (dialled.ok) dialled.socket.destroy()
      return undefined
    }
    if (!dialled.ok) {
      this.#refuse(dialled.reason, method)
      return undefined
    }
    const { socket, address } = dialled
    this.#reached = { ...place, rule: opening.rule, socket, address, carried: dialled.carried }
    return this.#reached
  }

  /** The client may speak now. What it speaks decides whether, and how closely watched, it goes on. */
  async #tunnel(reached: Reached): Promise<void> {
    const { socket: upstream } = reached
    const raw = reached.carried.includes('raw')
    if (raw) this.#disarm()
    else this.#arm()
    upstream.once('close', () => {
      if (!this.#tunnelling && this.#reached === reached && !raw) this.#socket.destroySoon()
    })
    const reading = this.#reader.read()
    let serverFirst = false
    if (raw) serverFirst = await speaksFirst(upstream, reading)
    if (serverFirst) {
      if (!this.#begin(reached)) return
      upstream.pipe(this.#socket)
    }
    let held = (await reading) ?? new Uint8Array(0)
    let carried = held.length === 0 ? undefined : carriedBy(held)
    while (carried === undefined) {
      const chunk = serverFirst && held[0] !== 0x16 ? undefined : await this.#reader.read()
      if (this.#over) return
      if (chunk === undefined) break
      held = Buffer.concat([held, chunk])
      carried = carriedBy(held)
    }
    // A client that has said all it will without being TLS or HTTP; and after the server's first word it cannot be HTTP.
    if (carried === undefined || (serverFirst && carried === 'http')) carried = 'raw'
    if (!reached.carried.includes(carried)) {
      return held.length === 0 ? this.#socket.destroySoon() : this.#refuse('protocol_not_granted')
    }
    if (carried === 'http') {
      this.#reader.putBack(held)
      // Only HTTP goes over it from here, so that is all a later judge has to allow.
      this.#reached = { ...reached, carried: ['http'] }
      return await this.#serveHttp(this.#reached)
    }
    this.#reached = { ...reached, carried: [carried] }
    if (carried === 'tls') {
      const hello = await this.#readHello(held, reached)
      if (hello === undefined) return
      held = hello
    }
    if (!serverFirst && !this.#begin(reached)) return
    this.#disarm()
    const rest = this.#reader.takeRest()
    if (serverFirst) upstream.unpipe(this.#socket)
    if (held.length > 0) upstream.write(held)
    if (rest !== undefined) upstream.write(rest)
    const cause = await joinSockets(this.#socket, upstream, this.#host.limits.idleMs)
    this.#closed(this.#cause ?? cause)
  }

  #begin({ rule }: Reached): boolean {
    if (!this.#report({ type: 'egress_allowed', rule })) {
      this.#refuse('unrecorded')
      return false
    }
    this.#tunnelling = true
    return true
  }

  /** All bytes up to the end of the client hello and what came with it, once it names the host that was judged. */
  async #readHello(first: Uint8Array, reached: Reached): Promise<Uint8Array | undefined> {
    this.#answer = () => endWith(this.#socket, ALERT)
    const hello = new ClientHelloReader(this.#host.limits.helloBytes)
    const chunks: Uint8Array[] = [first]
    let progress = hello.push(first)
    while (progress.state === 'incomplete') {
      const chunk = await this.#reader.read()
      if (this.#over) return undefined
      if (chunk === undefined) break
      chunks.push(chunk)
      progress = hello.push(chunk)
    }
    if (progress.state !== 'hello') {
      this.#refuse('malformed_request')
      return undefined
    }
    const { serverName } = progress.hello
    if (!this.#agrees(serverName, reached)) {
      this.#refuse('sni_mismatch')
      return undefined
    }
    return Buffer.concat(chunks)
  }

  // An encrypted hello shows the name of whoever can decrypt it. It passes when that is the judged host itself: what it
  // hides is then a matter between the client and that host, as the Host inside of TLS is. Browsers also send an empty
  // one to every server.
  #agrees(serverName: string | undefined, { host, port }: Reached): boolean {
    const parsed = serverName === undefined ? undefined : parseHost(serverName)
    const name = parsed?.ok === true && parsed.port === undefined ? parsed.host : undefined
    if (host.kind === 'name') return name !== undefined && name.text === host.text
    // A granted address means every name it serves, except one that is forbidden by name.
    if (serverName === undefined) return true
    return name !== undefined && !this.#host.judge.forbids({ host: name, port, carried: 'tls' })
  }

  // -- facts -----------------------------------------------------------------------------------------------------------

  #refuse(reason: EgressDenialCode, method?: string, rule?: string): void {
    if (this.#over) return
    this.#disarm()
    this.#report({
      type: 'egress_denied',
      reason,
      ...(method === undefined ? {} : { method }),
      ...(rule === undefined ? {} : { rule }),
    })
    this.#answer(reason)
  }

  #closed(cause: 'ended' | 'revoked' | 'timeout'): void {
    const { bytesRead: sent, bytesWritten: received } = this.#socket
    this.#report({ type: 'egress_closed', cause, sent, received })
  }

  #report(fact: OwnPart<EgressFact>): boolean {
    const { text, port } = this.#named
    return this.#host.report(Object.freeze({ ...fact, protocol: this.#protocol, host: printable(text), port }))
  }
}

type OwnPart<T> = T extends EgressFact ? Omit<T, 'protocol' | 'host' | 'port'> : never

function single(carried: Carried, verdict: ReturnType<EgressJudge['judge']>): ReturnType<EgressJudge['open']> {
  return verdict.allowed ? { ...verdict, carried: [carried] } : verdict
}

// A request that named the stand-in address is sent with the name it stands for.
function sentTarget(target: RequestTarget, { host, port }: Place): RequestTarget {
  if (target.host.text === host.text) return target
  return { ...target, host, authority: port === 80 ? host.text : `${host.text}:${port}` }
}

function socksCode(code: EgressDenialCode): number {
  if (code === 'unresolvable' || code === 'upstream_failed') return SOCKS_REPLY.hostUnreachable
  return code === 'timeout' || code === 'limit' ? SOCKS_REPLY.failure : SOCKS_REPLY.notAllowed
}

/** Whether the server has something to say before the client has. */
function speaksFirst(upstream: Socket, reading: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (first: boolean): void => {
      upstream.removeListener('readable', onReadable)
      resolve(first)
    }
    const onReadable = (): void => settle(true)
    upstream.on('readable', onReadable)
    reading.then(
      () => settle(false),
      () => settle(false),
    )
  })
}

function closed(socket: Socket): Promise<void> {
  return socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', () => resolve()))
}
