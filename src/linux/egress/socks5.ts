// The server's side of SOCKS5 (RFC 1928, RFC 1929). Decides what a client asks for, byte by byte; a name is refused unless
// it is one canonical host, so that no NUL or blank in it can end it early for somebody further on.

import { type HostName, parseHost } from '../../core/host.ts'
import { formatIpv4, formatIpv6 } from '../../core/ip.ts'

/** `bytes` is how many of the input the message took. */
export type SocksMessage<T> =
  | { readonly state: 'incomplete' }
  | { readonly state: 'malformed'; readonly reply: number }
  | { readonly state: 'message'; readonly value: T; readonly bytes: number }

/** RFC 1928 §6. */
export const SOCKS_REPLY = {
  succeeded: 0,
  failure: 1,
  notAllowed: 2,
  hostUnreachable: 4,
  commandNotSupported: 7,
  addressNotSupported: 8,
} as const

const VERSION = 5
const NO_AUTHENTICATION = 0
const USER_PASSWORD = 2
const NO_METHOD = 0xff
const CONNECT = 1

const INCOMPLETE = { state: 'incomplete' } as const
const malformed = (reply: number): { readonly state: 'malformed'; readonly reply: number } => ({
  state: 'malformed',
  reply,
})

/** The method to answer with, 255 when none will do. */
export function parseGreeting(bytes: Uint8Array, credential: boolean): SocksMessage<number> {
  if (bytes.length > 0 && bytes[0] !== VERSION) return malformed(SOCKS_REPLY.failure)
  const count = bytes[1]
  if (count === undefined) return INCOMPLETE
  if (count === 0) return malformed(SOCKS_REPLY.failure)
  if (bytes.length < 2 + count) return INCOMPLETE
  const wanted = credential ? USER_PASSWORD : NO_AUTHENTICATION
  const value = bytes.subarray(2, 2 + count).includes(wanted) ? wanted : NO_METHOD
  return { state: 'message', value, bytes: 2 + count }
}

export interface SocksCredential {
  readonly user: Uint8Array
  readonly password: Uint8Array
}

export function parseCredential(bytes: Uint8Array): SocksMessage<SocksCredential> {
  if (bytes.length > 0 && bytes[0] !== 1) return malformed(SOCKS_REPLY.failure)
  const userLength = bytes[1]
  if (userLength === undefined) return INCOMPLETE
  const passwordLength = bytes[2 + userLength]
  if (passwordLength === undefined) return INCOMPLETE
  const end = 3 + userLength + passwordLength
  if (bytes.length < end) return INCOMPLETE
  const value = { user: bytes.slice(2, 2 + userLength), password: bytes.slice(3 + userLength, end) }
  return { state: 'message', value, bytes: end }
}

export interface SocksRequest {
  readonly host: HostName
  readonly port: number
}

export function parseRequest(bytes: Uint8Array): SocksMessage<SocksRequest> {
  if (bytes.length > 0 && bytes[0] !== VERSION) return malformed(SOCKS_REPLY.failure)
  // BIND and UDP ASSOCIATE open the box to connections and to a protocol that is not judged.
  if (bytes.length > 1 && bytes[1] !== CONNECT) return malformed(SOCKS_REPLY.commandNotSupported)
  if (bytes.length > 2 && bytes[2] !== 0) return malformed(SOCKS_REPLY.failure)
  const type = bytes[3]
  if (type === undefined) return INCOMPLETE
  const start = type === 3 ? 5 : 4
  const length = type === 1 ? 4 : type === 4 ? 16 : type === 3 ? bytes[4] : -1
  if (length === undefined) return INCOMPLETE
  if (length === -1) return malformed(SOCKS_REPLY.addressNotSupported)
  const end = start + length + 2
  if (bytes.length < end) return INCOMPLETE
  const host = hostOf(type, bytes.subarray(start, start + length))
  const port = word(bytes, end - 2)
  if (host === undefined || port === 0) return malformed(SOCKS_REPLY.notAllowed)
  return { state: 'message', value: { host, port }, bytes: end }
}

/** With no bound address told: which of this host's addresses is used is no business of the client. */
export function socksReply(code: number): Uint8Array {
  return Uint8Array.of(VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0)
}

export function greetingReply(method: number): Uint8Array {
  return Uint8Array.of(VERSION, method)
}

export function credentialReply(accepted: boolean): Uint8Array {
  return Uint8Array.of(1, accepted ? 0 : 1)
}

function hostOf(type: number, bytes: Uint8Array): HostName | undefined {
  const text =
    type === 1 ? formatIpv4(word(bytes, 0) * 0x1_0000 + word(bytes, 2)) : type === 4 ? ipv6(bytes) : name(bytes)
  const parsed = text === undefined ? undefined : parseHost(text)
  return parsed?.ok === true && parsed.port === undefined ? parsed.host : undefined
}

function ipv6(bytes: Uint8Array): string {
  return formatIpv6(Array.from({ length: 8 }, (_group, index) => word(bytes, index * 2)))
}

// Clients send an address as a name too; in brackets it would be a URL and is not known here.
function name(bytes: Uint8Array): string | undefined {
  return bytes.every((byte) => byte > 0x20 && byte < 0x7f && byte !== 0x5b) ? String.fromCharCode(...bytes) : undefined
}

function word(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) * 256 + (bytes[offset + 1] ?? 0)
}
