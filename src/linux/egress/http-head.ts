// The head of an HTTP/1.1 request. Decides what one request is and where it ends; whatever two servers are known to read
// differently (RFC 9112 §11.2, request smuggling) is refused, so that what is judged is what the server will see.

import type { EgressDenialCode } from './facts.ts'

/** Name as it was sent, and value without the white space around it. */
export interface HeaderField {
  readonly name: string
  /** Lower case. */
  readonly key: string
  readonly value: string
}

/** How the end of the body is found. A request without either header has none (RFC 9112 §6.3). */
export type BodyFraming = { readonly kind: 'length'; readonly bytes: number } | { readonly kind: 'chunked' }

export interface RequestHead {
  readonly method: string
  /** As it was sent; not yet read. */
  readonly target: string
  readonly version: '1.0' | '1.1'
  readonly fields: readonly HeaderField[]
  readonly host?: string
  readonly body: BodyFraming
  /** Whether no further request may follow on the connection. */
  readonly close: boolean
}

export type HeadProgress =
  | { readonly state: 'incomplete' }
  /** `used` counts the bytes of the last chunk that belong to the head. */
  | { readonly state: 'head'; readonly head: RequestHead; readonly used: number }
  | { readonly state: 'refused'; readonly reason: EgressDenialCode }

const INCOMPLETE: HeadProgress = { state: 'incomplete' }
const refused = (reason: EgressDenialCode): HeadProgress => ({ state: 'refused', reason })
const MALFORMED = refused('malformed_request')

const HT = 0x09
const LF = 0x0a
const CR = 0x0d

interface RequestLine {
  readonly method: string
  readonly target: string
  readonly version: '1.0' | '1.1'
}

/** Takes the bytes of a connection as they come, in pieces of any size, until the empty line. */
export class HeadReader {
  readonly #maxBytes: number
  readonly #maxFields: number
  readonly #fields: HeaderField[] = []
  #line: number[] = []
  #request: RequestLine | undefined
  #return = false
  #seen = 0
  #result: HeadProgress = INCOMPLETE

  constructor(maxBytes: number, maxFields: number) {
    this.#maxBytes = maxBytes
    this.#maxFields = maxFields
  }

  /** Whether nothing has been taken yet. */
  get fresh(): boolean {
    return this.#seen === 0
  }

  push(chunk: Uint8Array): HeadProgress {
    for (let index = 0; index < chunk.length && this.#result.state === 'incomplete'; index++) {
      this.#result = this.#take(chunk[index] ?? 0, index + 1)
    }
    return this.#result
  }

  #take(byte: number, used: number): HeadProgress {
    if (++this.#seen > this.#maxBytes) return refused('request_too_large')
    if (this.#return) {
      this.#return = false
      return byte === LF ? this.#endLine(used) : MALFORMED
    }
    if (byte === CR) {
      this.#return = true
      return INCOMPLETE
    }
    // A bare LF ends a line for some and not for others; the other controls have no honest use.
    if ((byte < 0x20 && byte !== HT) || byte === 0x7f) return MALFORMED
    this.#line.push(byte)
    return INCOMPLETE
  }

  #endLine(used: number): HeadProgress {
    const text = latin1(this.#line)
    this.#line = []
    if (this.#request === undefined) {
      const line = parseRequestLine(text)
      if (typeof line === 'string') return refused(line)
      this.#request = line
      return INCOMPLETE
    }
    if (text === '') {
      const head = assemble(this.#request, this.#fields)
      return typeof head === 'string' ? refused(head) : { state: 'head', head, used }
    }
    if (this.#fields.length >= this.#maxFields) return refused('request_too_large')
    const field = parseField(text)
    if (field === undefined) return MALFORMED
    this.#fields.push(field)
    return INCOMPLETE
  }
}

function latin1(bytes: readonly number[]): string {
  return Buffer.from(bytes).toString('latin1')
}

const REQUEST_LINE = /^([^ ]+) ([\x21-\x7e]+) HTTP\/([0-9])\.([0-9])$/
const METHOD = /^[A-Z](?:[A-Z-]{0,30}[A-Z])?$/

function parseRequestLine(text: string): RequestLine | EgressDenialCode {
  const match = REQUEST_LINE.exec(text)
  if (match === null) return 'malformed_request'
  const [, method = '', target = '', major, minor] = match
  if (major !== '1' || (minor !== '0' && minor !== '1')) return 'version_not_supported'
  if (!TOKEN.test(method)) return 'malformed_request'
  // Methods are case-sensitive (RFC 9110 §9.1), and some servers take them in any case. TRACE sends back what other
  // parties added to the request.
  if (!METHOD.test(method) || method === 'TRACE' || method === 'TRACK') return 'method_not_allowed'
  return { method, target, version: minor === '0' ? '1.0' : '1.1' }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

function parseField(text: string): HeaderField | undefined {
  const colon = text.indexOf(':')
  if (colon < 1) return undefined
  // A folded line starts with white space and a name may not end with it: neither is a token.
  const name = text.slice(0, colon)
  if (!TOKEN.test(name)) return undefined
  let start = colon + 1
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return { name, key: name.toLowerCase(), value: text.slice(start, end) }
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === HT
}

// A server that heeds one of these runs another method than the one that was sent.
const OVERRIDES = new Set(['x-http-method-override', 'x-http-method', 'x-method-override'])

function assemble(line: RequestLine, fields: readonly HeaderField[]): RequestHead | EgressDenialCode {
  const values = (key: string): readonly string[] =>
    fields.filter((field) => field.key === key).map(({ value }) => value)
  const body = framing(line.version, values('content-length'), values('transfer-encoding'))
  if (body === undefined) return 'malformed_request'
  if (fields.some(({ key }) => OVERRIDES.has(key))) return 'method_not_allowed'
  // Servers that expect no body after these read it as the next request.
  const empty = body.kind === 'length' && body.bytes === 0
  if (!empty && (line.method === 'GET' || line.method === 'HEAD' || line.method === 'CONNECT')) {
    return line.method === 'CONNECT' ? 'malformed_request' : 'method_not_allowed'
  }
  const hosts = values('host')
  if (hosts.length > 1 || (hosts.length === 0 && line.version === '1.1')) return 'malformed_request'
  const [host] = hosts
  const expectations = values('expect')
  if (expectations.length > 1 || expectations.some((value) => value.toLowerCase() !== '100-continue')) {
    return 'malformed_request'
  }
  const options = connectionOptions(fields)
  return {
    ...line,
    fields: Object.freeze([...fields]),
    ...(host === undefined ? {} : { host }),
    body,
    // HTTP/1.0 keep-alive has no proxy that does it right (RFC 9112 §C.2.2).
    close: line.version === '1.0' || options.has('close'),
  }
}

/** The fields that speak of one connection only, by the names the message gives and those that always do. */
export function hopFields(fields: readonly HeaderField[]): ReadonlySet<string> {
  return new Set([...HOP_BY_HOP, ...connectionOptions(fields)])
}

// RFC 9110 §7.6.1. Proxy-* is for this proxy alone, a credential above all.
const HOP_BY_HOP: readonly string[] = [
  'connection',
  'proxy-connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'proxy-authorization',
  'proxy-authenticate',
  'proxy-authentication-info',
]

function connectionOptions(fields: readonly HeaderField[]): ReadonlySet<string> {
  const lists = fields.filter(({ key }) => key === 'connection' || key === 'proxy-connection')
  return new Set(lists.flatMap(({ value }) => value.split(',').map((option) => option.trim().toLowerCase())))
}

// At most 15 digits, which a double holds exactly. `+5`, `0x5`, `5, 5` and `05` are numbers to some readers.
const LENGTH = /^(?:0|[1-9][0-9]{0,14})$/

function framing(
  version: '1.0' | '1.1',
  lengths: readonly string[],
  encodings: readonly string[],
): BodyFraming | undefined {
  if (encodings.length > 0) {
    // RFC 9112 §6.1: with both, or in HTTP/1.0, the two ends of a chain find two ends of the message.
    if (lengths.length > 0 || version === '1.0' || encodings.length > 1) return undefined
    return encodings[0]?.toLowerCase() === 'chunked' ? { kind: 'chunked' } : undefined
  }
  if (lengths.length > 1) return undefined
  const length = lengths[0] ?? '0'
  return LENGTH.test(length) ? { kind: 'length', bytes: Number(length) } : undefined
}
