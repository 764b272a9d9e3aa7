// Answers name queries inside a box, over TCP (RFC 7766). Decides from the grants alone and asks no other server, so that
// nothing leaves with a name: a granted one gets its stand-in address, every other does not exist.

import { type HostName, parseHost } from '../../core/host.ts'

export interface DnsQuestion {
  readonly id: number
  readonly recursionDesired: boolean
  /** The question section as it was sent; clients check that the letter case comes back. */
  readonly section: Uint8Array
  readonly type: number
  readonly dnsClass: number
  /** Absent when no host can be called so. */
  readonly host?: HostName
}

export type ParsedDns =
  | { readonly ok: true; readonly question: DnsQuestion }
  /** `code` is what a well-formed answer can say; absent when the message is not to be answered at all. */
  | { readonly ok: false; readonly id: number; readonly code?: number }

/** RFC 1035 §4.1.1. */
export const DNS_CODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const
/** A, AAAA, and the two that tell how to reach a service. */
export const DNS_TYPE = { a: 1, ptr: 12, aaaa: 28, svcb: 64, https: 65 } as const

const HEADER = 12
const INTERNET = 1
const OPT = 41
const NAME_BYTES = 255
/** A question is one name of 255 bytes; EDNS options and padding may follow. */
export const DNS_MESSAGE_BYTES = 4096
const TTL_SECONDS = 60

/** Reads one message, without its length prefix. */
export function parseDns(message: Uint8Array): ParsedDns {
  const id = word(message, 0)
  const flags = word(message, 2)
  // Answering an answer would make two servers talk without end.
  if (message.length < HEADER || (flags & 0x8000) !== 0) return { ok: false, id }
  if ((flags & 0x7800) !== 0) return { ok: false, id, code: DNS_CODE.notImplemented }
  const malformed = { ok: false, id, code: DNS_CODE.formatError } as const
  const additional = word(message, 10)
  if (word(message, 4) !== 1 || word(message, 6) !== 0 || word(message, 8) !== 0 || additional > 1) return malformed
  const name = readName(message)
  if (name === undefined || name.end + 4 > message.length) return malformed
  const end = name.end + 4
  if (additional === 0 ? end !== message.length : !isOption(message, end)) return malformed
  const parsed = name.text === undefined ? undefined : parseHost(name.text)
  return {
    ok: true,
    question: {
      id,
      recursionDesired: (flags & 0x0100) !== 0,
      section: message.slice(HEADER, end),
      type: word(message, name.end),
      dnsClass: word(message, name.end + 2),
      ...(parsed?.ok === true && parsed.host.kind === 'name' ? { host: parsed.host } : {}),
    },
  }
}

/** An answer with one A record, or none. */
export function dnsAnswer(question: DnsQuestion, code: number, address?: number): Uint8Array {
  const record = address === undefined ? new Uint8Array(0) : addressRecord(address)
  const answers = address === undefined ? 0 : 1
  const header = dnsHeader(question.id, question.recursionDesired, code, 1, answers)
  return Buffer.concat([header, question.section, record])
}

/** An answer to what could not be read. */
export function dnsFailure(id: number, code: number): Uint8Array {
  return dnsHeader(id, false, code, 0, 0)
}

/** `message` with its length before it (RFC 1035 §4.2.2). */
export function dnsFrame(message: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(message.length >> 8, message.length & 255), message])
}

export type DnsDecision =
  | { readonly code: number; readonly address?: number }
  | { readonly code: number; readonly denied: 'host_not_granted' | 'limit' }

/** What to answer. `granted` judges a name, `addressOf` gives it an address or has none left. */
export function decideDns(
  question: DnsQuestion,
  granted: (host: HostName) => boolean,
  addressOf: (name: string) => number | undefined,
): DnsDecision {
  if (question.dnsClass !== INTERNET) return { code: DNS_CODE.refused }
  // Which name an address has is asked by tools that only want to show it.
  if (question.type === DNS_TYPE.ptr) return { code: DNS_CODE.nameError }
  const { host } = question
  if (host === undefined || !granted(host)) return { code: DNS_CODE.nameError, denied: 'host_not_granted' }
  switch (question.type) {
    case DNS_TYPE.a: {
      const address = addressOf(host.text)
      return address === undefined
        ? { code: DNS_CODE.serverFailure, denied: 'limit' }
        : { code: DNS_CODE.noError, address }
    }
    // The name is there and has none of these. "No such name" would hide its A record as well (RFC 8020), and a service
    // record could bring the keys that hide the name in a client hello.
    case DNS_TYPE.aaaa:
    case DNS_TYPE.svcb:
    case DNS_TYPE.https:
      return { code: DNS_CODE.noError }
    default:
      return { code: DNS_CODE.refused }
  }
}

interface Name {
  readonly text: string | undefined
  /** Where the type follows. */
  readonly end: number
}

function readName(message: Uint8Array): Name | undefined {
  const labels: string[] = []
  let plain = true
  let offset = HEADER
  for (;;) {
    const length = message[offset]
    // A question has nothing before it that a compression pointer could mean.
    if (length === undefined || length > 63 || offset + length + 1 - HEADER > NAME_BYTES) return undefined
    offset++
    if (length === 0) break
    const label = message.subarray(offset, offset + length)
    if (label.length < length) return undefined
    // A dot, NUL or blank inside a label would become another name as text.
    plain &&= label.every((byte) => /[A-Za-z0-9_-]/.test(String.fromCharCode(byte)))
    labels.push(String.fromCharCode(...label))
    offset += length
  }
  return { text: plain && labels.length > 0 ? labels.join('.') : undefined, end: offset }
}

// RFC 6891 §6.1.2: the root as its name, and options to the end of the message.
function isOption(message: Uint8Array, offset: number): boolean {
  if (message.length < offset + 11 || message[offset] !== 0 || word(message, offset + 1) !== OPT) return false
  return offset + 11 + word(message, offset + 9) === message.length
}

function dnsHeader(id: number, recursion: boolean, code: number, questions: number, answers: number): Uint8Array {
  const header = Buffer.alloc(HEADER)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(0x8080 | (recursion ? 0x0100 : 0) | code, 2) // response, recursion available
  header.writeUInt16BE(questions, 4)
  header.writeUInt16BE(answers, 6)
  return header
}

function addressRecord(address: number): Uint8Array {
  const record = Buffer.alloc(16)
  record.writeUInt16BE(0xc000 | HEADER, 0) // the name of the question
  record.writeUInt16BE(DNS_TYPE.a, 2)
  record.writeUInt16BE(INTERNET, 4)
  record.writeUInt32BE(TTL_SECONDS, 6)
  record.writeUInt16BE(4, 10)
  record.writeUInt32BE(address, 12)
  return record
}

function word(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) * 256 + (bytes[offset + 1] ?? 0)
}
