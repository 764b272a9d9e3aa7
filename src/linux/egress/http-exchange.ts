// One judged request and its response. The request is written anew from what was read, so that the server sees what was
// judged and nothing else, on a connection of its own; what a server adds to its response cannot answer a later request.

import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

import type { EgressDenialCode } from './facts.ts'
import { BodyReader } from './http-body.ts'
import { type HeaderField, hopFields, type RequestHead } from './http-head.ts'
import { CONTINUE, DENIED_HEADER } from './http-reply.ts'
import type { RequestTarget } from './http-target.ts'
import type { SocketReader } from './socket-reader.ts'

export interface Exchange {
  readonly head: RequestHead
  readonly target: RequestTarget
  readonly client: Socket
  readonly reader: SocketReader
  readonly upstream: Socket
  readonly maxHeadBytes: number
}

/** `next`: another request may follow. `over`: the connection must end. A code: nothing was answered yet. */
export type ExchangeEnd = 'next' | 'over' | EgressDenialCode

/** Never rejects. */
export function exchange(parts: Exchange): Promise<ExchangeEnd> {
  const { head, target, client, reader, upstream, maxHeadBytes } = parts
  return new Promise((resolve) => {
    const request = httpRequest({
      createConnection: () => upstream,
      method: head.method,
      path: target.path,
      headers: requestHeaders(head, target),
      setHost: false,
      maxHeaderSize: maxHeadBytes,
      insecureHTTPParser: false,
    })
    let answered = false
    let settled = false
    const settle = (end: ExchangeEnd): void => {
      if (settled) return
      settled = true
      client.removeListener('close', onGone)
      request.destroy()
      upstream.destroy()
      resolve(end)
    }
    const fail = (code: EgressDenialCode): void => settle(answered ? 'over' : code)
    const onGone = (): void => settle('over')
    client.once('close', onGone)
    const sent = sendBody(request, head, reader)
    sent.then((state) => {
      if (state === 'malformed') fail('malformed_request')
      else if (state === 'gone') settle('over')
    }, onGone)
    // Once there is a response, its own stream says how it ended; what it still holds is to be passed on first.
    const onBroken = (): void => {
      if (!answered) fail('upstream_failed')
    }
    request.on('error', onBroken)
    request.on('close', onBroken)
    // Without a listener Node would leave the socket to somebody; nothing asked for another protocol.
    request.on('upgrade', () => fail('upstream_failed'))
    request.on('information', ({ statusCode }) => {
      if (statusCode === 100 && head.version === '1.1' && !answered) client.write(CONTINUE)
    })
    request.on('response', (response) => {
      answered = true
      sendResponse(response, head, client).then(
        (kept) => {
          if (!kept || head.close) return settle('over')
          // The body may still be on its way: only what was read to its end has a next request behind it.
          settle(request.writableEnded ? 'next' : 'over')
        },
        () => {
          client.destroy()
          settle('over')
        },
      )
    })
  })
}

function requestHeaders(head: RequestHead, target: RequestTarget): string[] {
  const hop = hopFields(head.fields)
  const headers = ['Host', target.authority]
  for (const { name, key, value } of head.fields) {
    if (!hop.has(key) && key !== 'host' && key !== 'content-length') headers.push(name, value)
  }
  if (head.body.kind === 'chunked') headers.push('Transfer-Encoding', 'chunked')
  else if (head.body.bytes > 0 || !BODILESS.has(head.method)) headers.push('Content-Length', String(head.body.bytes))
  headers.push('Connection', 'close')
  return headers
}

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS'])

async function sendBody(
  request: ReturnType<typeof httpRequest>,
  head: RequestHead,
  reader: SocketReader,
): Promise<'sent' | 'malformed' | 'gone'> {
  const body = new BodyReader(head.body)
  let { state } = body.push(new Uint8Array(0))
  while (state === 'incomplete') {
    const chunk = await reader.read()
    if (chunk === undefined || request.destroyed) return 'gone'
    const progress = body.push(chunk)
    state = progress.state
    for (const content of progress.content) {
      if (!request.write(content)) await drained(request)
    }
    if (state === 'complete') reader.putBack(chunk.subarray(progress.used))
  }
  if (state === 'malformed') return 'malformed'
  request.end()
  return 'sent'
}

/** Whether the response was passed on whole, with an end the client can find. */
async function sendResponse(response: IncomingMessage, head: RequestHead, client: Socket): Promise<boolean> {
  const status = response.statusCode ?? 0
  const fields = fieldsOf(response.rawHeaders)
  const hop = hopFields(fields)
  const bodiless = head.method === 'HEAD' || status === 204 || status === 304
  const encoded = fields.some(({ key }) => key === 'transfer-encoding')
  const sized = !encoded && fields.some(({ key }) => key === 'content-length')
  const chunked = !bodiless && !sized && head.version === '1.1'
  const keep = !head.close && (bodiless || sized || chunked)
  const lines = [`HTTP/1.1 ${status} ${response.statusMessage ?? ''}`]
  for (const { name, key, value } of fields) {
    if (hop.has(key) || key === DENIED_HEADER || (encoded && key === 'content-length')) continue
    // The parser lets none through; a line of our own making would be the price of one.
    if (/[\r\n\0]/.test(name + value)) throw new TypeError('a header field of more than one line')
    lines.push(`${name}: ${value}`)
  }
  if (chunked) lines.push('Transfer-Encoding: chunked')
  if (!keep) lines.push('Connection: close')
  client.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  for await (const content of response) {
    const bytes = content as Uint8Array
    if (bytes.length === 0 || bodiless) continue
    client.cork()
    if (chunked) client.write(`${bytes.length.toString(16)}\r\n`)
    client.write(bytes)
    if (chunked) client.write('\r\n')
    client.uncork()
    if (client.destroyed) return false
    if (client.writableNeedDrain) await drained(client)
  }
  // A response cut short must not look finished.
  if (!response.complete) {
    client.destroy()
    return false
  }
  if (chunked) client.write('0\r\n\r\n')
  return keep
}

function fieldsOf(raw: readonly string[]): readonly HeaderField[] {
  return Array.from({ length: raw.length >> 1 }, (_field, index) => {
    const name = raw[index * 2] ?? ''
    return { name, key: name.toLowerCase(), value: raw[index * 2 + 1] ?? '' }
  })
}

interface Drains {
  once(event: 'drain' | 'close', listener: () => void): unknown
  removeListener(event: 'drain' | 'close', listener: () => void): unknown
  readonly destroyed: boolean
}

function drained(stream: Drains): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.removeListener('drain', done)
      stream.removeListener('close', done)
      resolve()
    }
    stream.once('drain', done)
    stream.once('close', done)
    if (stream.destroyed) done()
  })
}
