// Asks an Open Policy Agent server through its data API (POST /v1/data/{path}). The server is believed only when it says
// exactly true or false in a reply of exactly the documented form; an undefined decision, which OPA reports as success, is
// no answer. Format: openpolicyagent.org/docs/rest-api, "Get a Document (with Input)".

import { untilAborted } from '../core/ask-conditions.ts'
import { canonicalJson } from '../core/canonical.ts'
import type { ConditionPort } from '../core/condition-port.ts'
import { AgentPortError } from '../core/errors.ts'
import type { HostName } from '../core/host.ts'
import { type JsonObject, type JsonValue, parseJson } from '../core/json.ts'
import { isName, printable } from '../core/text.ts'
import { parseUrl } from '../core/url.ts'

/** The part of `fetch` that is used; undici's, a mock, or one that speaks to a unix socket will do. */
export type OpaFetch = (url: string, init: OpaFetchInit) => Promise<Response>

export interface OpaFetchInit {
  readonly method: 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly redirect: 'error'
  readonly signal: AbortSignal
}

export interface OpaConditionsOptions {
  /** The engine name that rules use. */
  readonly name: string
  /** Address of the server, perhaps with a path before `/v1`: `https://opa.example.com`. */
  readonly url: string
  /** Sent as `Authorization: Bearer …`. */
  readonly token?: string
  /** Plain http to another host than this one: whoever is in between answers in OPA's place. Default `false`. */
  readonly allowInsecure?: boolean
  /** Default: the platform's `fetch`. */
  readonly fetch?: OpaFetch
  /** Milliseconds for one question, at most the deadline of the decision. Default 1000. */
  readonly timeoutMs?: number
}

/** A decision is some 15 bytes, with a decision id and provenance perhaps 500. */
const MAX_REPLY_BYTES = 64 * 1024
const MAX_SEGMENTS = 32
const MAX_QUERY = 1024
const DEFAULT_TIMEOUT_MS = 1000
const MAX_TIMEOUT_MS = 600_000

/**
 * A condition port for `ask: { engine: <name>, query: agent/allow }`, where the query is the path of a rule: `agent/allow`
 * is `data.agent.allow`. The rule gets the call as `input`, see `conditionInput`, and has to be defined as true or false for
 * every input (`default allow := false`). Errors of built-in functions are made fatal (`strict-builtin-errors`): without
 * that they leave a rule undefined, and a deny rule that is undefined denies nothing.
 *
 * @throws TypeError when an option has the wrong type
 * @throws AgentPortError ERR_CONFIG_INVALID: the URL is not http(s) or has a query, plain http to another host without
 *   `allowInsecure`, the token cannot stand in a header
 */
export function opaConditions(options: OpaConditionsOptions): ConditionPort {
  const { name, url, token, allowInsecure = false, timeoutMs = DEFAULT_TIMEOUT_MS } = options
  if (!isName(name)) throw new TypeError('opaConditions needs the name of an engine')
  if (typeof allowInsecure !== 'boolean') throw new TypeError('allowInsecure is true or false')
  if (!(Number.isInteger(timeoutMs) && timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)) {
    throw new TypeError(`timeoutMs is a whole number of milliseconds up to ${MAX_TIMEOUT_MS}`)
  }
  // Bound now: what is put on globalThis later does not get to answer.
  const send: unknown = options.fetch ?? globalThis.fetch
  if (typeof send !== 'function') throw new TypeError('there is no fetch here; give one')
  const base = baseOf(url, allowInsecure)
  const headers = headersOf(token)

  const ask = async (query: string, input: JsonObject, signal: AbortSignal): Promise<boolean> => {
    const target = `${base}/v1/data/${dataPath(query)}?strict-builtin-errors=true`
    const ended = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const init: OpaFetchInit = {
      method: 'POST',
      headers,
      body: canonicalJson({ input }),
      // A redirect would take the call, and the token, to whomever the reply names.
      redirect: 'error',
      signal: ended,
    }
    return decisionOf(await untilAborted(readReply((send as OpaFetch)(target, init), ended), ended))
  }
  return Object.freeze({ name, ask })
}

function baseOf(url: unknown, allowInsecure: boolean): string {
  if (typeof url !== 'string') throw new TypeError('opaConditions needs a url')
  const parsed = parseUrl(url)
  if (!parsed.ok) throw invalid(`the url is not usable: ${parsed.reason}`)
  const { href, scheme, host } = parsed
  if (scheme !== 'https' && scheme !== 'http') throw invalid('the url is neither https nor http')
  if (url.includes('?') || url.includes('#')) throw invalid('the url has a query or fragment')
  if (scheme === 'http' && !allowInsecure && !isLoopback(host)) {
    throw invalid('plain http is spoken to this host only: use https, or say allowInsecure')
  }
  return href.replace(/\/+$/, '')
}

function isLoopback(host: HostName): boolean {
  switch (host.kind) {
    case 'name':
      return host.text === 'localhost'
    case 'ipv4':
      return host.value >>> 24 === 127
    case 'ipv6':
      return host.text === '::1'
  }
}

function headersOf(token: unknown): Readonly<Record<string, string>> {
  const headers = { 'content-type': 'application/json', accept: 'application/json' }
  if (token === undefined) return headers
  // RFC 6750 §2.1. The token itself is in no message.
  if (typeof token !== 'string' || !/^[A-Za-z0-9._~+/-]+=*$/.test(token)) throw invalid('the token is no bearer token')
  return { ...headers, authorization: `Bearer ${token}` }
}

/**
 * The query as the end of a URL path. Every segment is encoded whole, so no text of a query can leave `/v1/data`, add a
 * parameter or name another API of the server.
 */
function dataPath(query: string): string {
  if (query.length > MAX_QUERY) throw new TypeError(`the query is longer than ${MAX_QUERY} characters`)
  const segments = query.split('/')
  if (segments.length > MAX_SEGMENTS) throw new TypeError(`the query has more than ${MAX_SEGMENTS} segments`)
  for (const segment of segments) {
    // Dots are not changed by encoding, and URL parsers resolve them; the rest could be read as an end of the path.
    if (segment === '' || /^\.+$/.test(segment) || /[?#%\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(segment)) {
      throw new TypeError(`"${printable(query, 120)}" is not the path of a rule, such as agent/allow`)
    }
  }
  return segments.map(encodeURIComponent).join('/')
}

/** The bytes of a reply that is what the data API sends; stops reading at the bound. */
async function readReply(pending: Promise<Response>, signal: AbortSignal): Promise<Uint8Array> {
  const response = await pending
  try {
    // 200 alone: 204, 206 and 304 have no whole body, and a fetch that followed a redirect asked someone else.
    if (response.redirected || response.type === 'opaqueredirect') throw new Error('the server redirected')
    if (response.status !== 200) throw new Error(`the server replied with status ${response.status}`)
    const type = response.headers.get('content-type') ?? ''
    if (!/^application\/json(?:;[ ]?charset=utf-8)?$/i.test(type)) {
      throw new Error(`the reply is not JSON but "${printable(type, 80)}"`)
    }
    return await readBounded(response, signal)
  } finally {
    // Frees the connection of a reply that was not wanted; of one that was read to its end it is a no-op.
    await response.body?.cancel().catch(() => undefined)
  }
}

async function readBounded(response: Response, signal: AbortSignal): Promise<Uint8Array> {
  if (response.body === null) throw new Error('the reply is empty')
  const reader = response.body.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for (;;) {
      const { done, value } = await untilAborted(reader.read(), signal)
      if (done) break
      length += value.byteLength
      if (length > MAX_REPLY_BYTES) throw new Error(`the reply is longer than ${MAX_REPLY_BYTES} bytes`)
      chunks.push(value)
    }
  } finally {
    await reader.cancel().catch(() => undefined)
    reader.releaseLock()
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}

/** Members that say that something is wrong, beside a result or in its place. */
const COMPLAINTS = ['code', 'message', 'errors', 'error', 'warning']

function decisionOf(bytes: Uint8Array): boolean {
  const reply = parseJson(bytes)
  if (!isObject(reply)) throw new Error('the reply is no object')
  const complaint = COMPLAINTS.find((member) => Object.hasOwn(reply, member))
  if (complaint !== undefined) throw new Error(`the reply complains: it has a member "${complaint}"`)
  // {} is what OPA says, with status 200, of a rule that is not there, misspelt, or undefined for this input.
  if (!Object.hasOwn(reply, 'result')) throw new Error('the decision is undefined')
  const { result } = reply as { readonly result: JsonValue }
  if (typeof result !== 'boolean') throw new Error('the decision is not a boolean')
  return result
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(message: string): AgentPortError {
  return new AgentPortError('ERR_CONFIG_INVALID', `opaConditions: ${message}`)
}
