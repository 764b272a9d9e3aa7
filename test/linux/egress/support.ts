// A world on loopback for the egress proxy: names with public addresses that exist on paper only, servers that write down
// what reaches them, and a client that sends bytes as they are.

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

import { type HostPattern, parseHostPattern } from '../../../src/core/host-pattern.ts'
import type { ProfileEntry } from '../../../src/enforcer/profile.ts'
import type { EgressFact } from '../../../src/linux/egress/facts.ts'
import type { EgressRules } from '../../../src/linux/egress/judge.ts'
import { EgressProxy, type EgressProxyOptions, type ListenerKind } from '../../../src/linux/egress/proxy.ts'

export function pattern(text: string): HostPattern {
  const parsed = parseHostPattern(text)
  if (!parsed.ok) throw new TypeError(`${text}: ${parsed.reason}`)
  return parsed.pattern
}

export function entries(texts: readonly string[]): readonly ProfileEntry<HostPattern>[] {
  return texts.map((text) => ({ value: pattern(text), rule: `rule ${text}` }))
}

export function rules(allow: readonly string[], deny: readonly string[] = []): EgressRules {
  return { egress: entries(allow), denied: { egress: entries(deny) } }
}

export interface Origin {
  readonly port: number
  /** Everything each connection sent, in order of arrival. */
  readonly received: string[]
  readonly server: Server
}

/** Answers each connection by `answer`, which may write what it likes; keeps what came in. */
export async function startOrigin(answer: (socket: Socket, received: () => string) => void): Promise<Origin> {
  const received: string[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const index = received.push('') - 1
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received[index] += chunk.toString('latin1')
    })
    answer(socket, () => received[index] ?? '')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, received, server }
}

/** One plain HTTP response to each connection, once a head is there. */
export function httpAnswer(response: string): (socket: Socket, received: () => string) => void {
  return (socket, received) => {
    let done = false
    socket.on('data', () => {
      if (done || !received().includes('\r\n\r\n')) return
      done = true
      socket.end(response)
    })
  }
}

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'

export interface WorldOptions extends Partial<Omit<EgressProxyOptions, 'profile'>> {
  readonly allow: readonly string[]
  readonly deny?: readonly string[]
  /** Name → addresses. */
  readonly names?: Readonly<Record<string, readonly string[]>>
  /** `address:port` → port on loopback. */
  readonly routes?: Readonly<Record<string, number>>
}

export interface World {
  readonly proxy: EgressProxy
  readonly facts: EgressFact[]
  readonly dialled: string[]
  readonly lookups: string[]
  /** Port on loopback of a listener of this kind, which believes to listen on `port`. */
  listen(kind: ListenerKind, port?: number): Promise<number>
  close(): Promise<void>
}

export function makeWorld(options: WorldOptions): World {
  const { allow, deny, names = {}, routes = {}, ...rest } = options
  const facts: EgressFact[] = []
  const dialled: string[] = []
  const lookups: string[] = []
  const servers: Server[] = []
  const proxy = new EgressProxy({
    report: (fact) => {
      facts.push(fact)
    },
    ownAddresses: () => [],
    lookup: async (name) => {
      lookups.push(name)
      const found = Object.hasOwn(names, name) ? names[name] : undefined
      if (found === undefined) throw new Error(`ENOTFOUND ${name}`)
      return found
    },
    connect: (address, port) => {
      const key = `${address}:${port}`
      dialled.push(key)
      return connect({ host: '127.0.0.1', port: routes[key] ?? 1, allowHalfOpen: true })
    },
    ...rest,
    profile: rules(allow, deny),
  })
  return {
    proxy,
    facts,
    dialled,
    lookups,
    async listen(kind, port = 3128) {
      const server = createServer({ allowHalfOpen: true }, (socket) => proxy.acceptConnection(socket, kind, port))
      servers.push(server)
      server.listen(0, '0.0.0.0')
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    },
    async close() {
      await proxy.close()
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    },
  }
}

/** A client that says what it is told to. */
export class RawClient {
  readonly socket: Socket
  #text = ''
  #ended = false

  constructor(port: number, host = '127.0.0.1') {
    this.socket = connect({ host, port, allowHalfOpen: true })
    this.socket.on('data', (chunk) => {
      this.#text += chunk.toString('latin1')
    })
    this.socket.on('error', () => {})
    for (const event of ['end', 'close']) {
      this.socket.on(event, () => {
        this.#ended = true
      })
    }
  }

  get text(): string {
    return this.#text
  }

  send(bytes: string | Uint8Array): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    return this
  }

  /** All that came until `enough` is in it. Rejects when the connection ends before. */
  async until(enough: string, ms = 5000): Promise<string> {
    await this.#wait(() => this.#text.includes(enough) || this.#ended, ms)
    if (!this.#text.includes(enough)) throw new Error(`ended with ${JSON.stringify(this.#text)}`)
    return this.#text
  }

  /** All that came until the other side ended. */
  async end(ms = 5000): Promise<string> {
    await this.#wait(() => this.#ended, ms)
    this.socket.destroy()
    return this.#text
  }

  async #wait(done: () => boolean, ms: number): Promise<void> {
    const deadline = Date.now() + ms
    while (!done()) {
      if (Date.now() > deadline) throw new Error(`nothing more after ${JSON.stringify(this.#text)}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
}

/** Waits until `found` gives something. */
export async function eventually<T>(found: () => T | undefined, ms = 5000): Promise<T> {
  const deadline = Date.now() + ms
  for (;;) {
    const value = found()
    if (value !== undefined) return value
    if (Date.now() > deadline) throw new Error('it did not happen')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** The extensions of a client hello, by type. */
export function serverName(name: string): readonly [number, Uint8Array] {
  const bytes = Buffer.from(name, 'latin1')
  return [0, Buffer.concat([u16(bytes.length + 3), Buffer.from([0]), u16(bytes.length), bytes])]
}

export function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255)
}

/** A client hello in records of at most `recordBytes`. */
export function clientHello(extensions: readonly (readonly [number, Uint8Array])[], recordBytes = 16384): Buffer {
  const list = Buffer.concat(extensions.map(([type, data]) => Buffer.concat([u16(type), u16(data.length), data])))
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    Buffer.from([0]),
    u16(2),
    u16(0x1301),
    Buffer.from([1, 0]),
    u16(list.length),
    list,
  ])
  const message = Buffer.concat([Buffer.from([1, 0]), u16(body.length), body])
  const records: Buffer[] = []
  for (let offset = 0; offset < message.length; offset += recordBytes) {
    const part = message.subarray(offset, offset + recordBytes)
    records.push(Buffer.concat([Buffer.from([22, 3, 1]), u16(part.length), part]))
  }
  return Buffer.concat(records)
}
