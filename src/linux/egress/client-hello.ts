// The first message of a TLS client, read before anything of it goes further. Decides which server it names. Trusts
// nothing: it may come in any number of records and reads, and what does not parse to the last byte is malformed.

/** What a client hello says of the server it is for. */
export interface ClientHello {
  /** server_name as it was sent; absent when there is none. */
  readonly serverName?: string
  /** Whether the real name may be hidden in an encrypted_client_hello, which this name is only the cover of. */
  readonly encrypted: boolean
}

export type HelloProgress =
  | { readonly state: 'incomplete' }
  | { readonly state: 'hello'; readonly hello: ClientHello }
  | { readonly state: 'malformed' }

const INCOMPLETE: HelloProgress = { state: 'incomplete' }
const MALFORMED: HelloProgress = { state: 'malformed' }

const HANDSHAKE = 22
const CLIENT_HELLO = 1
const RECORD_BYTES = 1 << 14 // RFC 8446 §5.1
const RECORD_HEADER = 5
const MESSAGE_HEADER = 4
const SERVER_NAME = 0
const ENCRYPTED = new Set([0xfe0d, 0xffce]) // encrypted_client_hello, and encrypted_server_name before it

/** Takes the bytes of a connection as they come, in pieces of any size. Once it has an answer it takes no more. */
export class ClientHelloReader {
  readonly #limit: number
  /** Payload of the records so far. */
  readonly #message: number[] = []
  readonly #header: number[] = []
  #left = 0
  #seen = 0
  #result: HelloProgress = INCOMPLETE

  /** `limit` bounds the bytes read, record headers included. */
  constructor(limit: number) {
    this.#limit = limit
  }

  push(chunk: Uint8Array): HelloProgress {
    for (let index = 0; index < chunk.length && this.#result.state === 'incomplete'; index++) {
      this.#result = this.#take(chunk[index] ?? 0)
    }
    return this.#result
  }

  #take(byte: number): HelloProgress {
    if (++this.#seen > this.#limit) return MALFORMED
    if (this.#left === 0) return this.#takeHeader(byte)
    this.#left--
    this.#message.push(byte)
    const { length } = this.#message
    if (length === 1 && byte !== CLIENT_HELLO) return MALFORMED
    if (length < MESSAGE_HEADER) return INCOMPLETE
    const size = MESSAGE_HEADER + uint(this.#message, 1, 3)
    if (size > this.#limit) return MALFORMED
    if (length < size) return INCOMPLETE
    // The hello ends its record: another message behind it would be sent without having been read.
    if (this.#left > 0) return MALFORMED
    const hello = parseHello(Uint8Array.from(this.#message))
    return hello === undefined ? MALFORMED : { state: 'hello', hello }
  }

  #takeHeader(byte: number): HelloProgress {
    const header = this.#header
    header.push(byte)
    if (header.length === 1 && byte !== HANDSHAKE) return MALFORMED
    if (header.length === 2 && byte !== 3) return MALFORMED
    if (header.length < RECORD_HEADER) return INCOMPLETE
    this.#left = uint(header, 3, 2)
    header.length = 0
    // An empty fragment is forbidden (RFC 8446 §5.1); many of them would be work without end.
    return this.#left === 0 || this.#left > RECORD_BYTES ? MALFORMED : INCOMPLETE
  }
}

/** A cursor over one vector that refuses to read past its end. */
class Fields {
  readonly #bytes: Uint8Array
  #offset = 0
  #broken = false

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Whether every read was inside and, with no more to come, nothing is left over. */
  get complete(): boolean {
    return !this.#broken && this.#offset === this.#bytes.length
  }

  get more(): boolean {
    return !this.#broken && this.#offset < this.#bytes.length
  }

  number(size: number): number {
    return uint(this.take(size), 0, size)
  }

  /** A vector with its length before it. */
  vector(lengthSize: number): Uint8Array {
    return this.take(this.number(lengthSize))
  }

  take(size: number): Uint8Array {
    if (this.#broken || this.#offset + size > this.#bytes.length) {
      this.#broken = true
      return new Uint8Array(size > 4 ? 0 : size)
    }
    this.#offset += size
    return this.#bytes.subarray(this.#offset - size, this.#offset)
  }
}

// RFC 8446 §4.1.2.
function parseHello(message: Uint8Array): ClientHello | undefined {
  const fields = new Fields(message.subarray(MESSAGE_HEADER))
  fields.take(2 + 32) // version, random
  if (fields.vector(1).length > 32) return undefined // session id
  const suites = fields.vector(2)
  const compressions = fields.vector(1)
  if (suites.length < 2 || suites.length % 2 !== 0 || compressions.length === 0) return undefined
  // A hello of TLS 1.2 may end here.
  const extensions = new Fields(fields.more ? fields.vector(2) : new Uint8Array(0))
  if (!fields.complete) return undefined
  const seen = new Set<number>()
  let serverName: string | undefined
  while (extensions.more) {
    const type = extensions.number(2)
    const data = extensions.vector(2)
    // Of two names one server takes the first and another the last; RFC 8446 §4.2 forbids the second.
    if (seen.has(type)) return undefined
    seen.add(type)
    if (type !== SERVER_NAME) continue
    serverName = parseServerName(data)
    if (serverName === undefined) return undefined
  }
  if (!extensions.complete) return undefined
  const encrypted = [...seen].some((type) => ENCRYPTED.has(type))
  return serverName === undefined ? { encrypted } : { serverName, encrypted }
}

// RFC 6066 §3: a list, of which only the form with one host_name means the same to everyone.
function parseServerName(data: Uint8Array): string | undefined {
  const outer = new Fields(data)
  const list = new Fields(outer.vector(2))
  const type = list.number(1)
  const name = list.vector(2)
  if (!outer.complete || !list.complete || type !== 0 || name.length === 0 || name.length > 255) return undefined
  return name.every((byte) => byte > 0x20 && byte < 0x7f) ? String.fromCharCode(...name) : undefined
}

function uint(bytes: ArrayLike<number>, offset: number, size: number): number {
  let value = 0
  for (let index = offset; index < offset + size; index++) value = value * 256 + (bytes[index] ?? 0)
  return value
}
