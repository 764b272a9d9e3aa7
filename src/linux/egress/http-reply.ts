// What the proxy itself says to an HTTP client. Every byte is ours: nothing of the request comes back in it.

import type { Socket } from 'node:net'

import { EGRESS_DENIALS, type EgressDenialCode } from './facts.ts'

export const CONNECTED = 'HTTP/1.1 200 Connection established\r\n\r\n'
export const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

/** The header that tells a denial of the proxy from an answer of the server; a server cannot send it through here. */
export const DENIED_HEADER = 'x-agentport-denied'

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  405: 'Method Not Allowed',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  421: 'Misdirected Request',
  431: 'Request Header Fields Too Large',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  505: 'HTTP Version Not Supported',
}

export function denialResponse(code: EgressDenialCode): string {
  const { status, text } = EGRESS_DENIALS[code]
  const body = `agentport: ${code}: ${text}\n`
  return [
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}`,
    `${DENIED_HEADER}: ${code}`,
    ...(code === 'unauthenticated' ? ['Proxy-Authenticate: Basic realm="agentport"'] : []),
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    'Cache-Control: no-store',
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}

const LINGER_MS = 1000

/**
 * Sends the last bytes and closes. What the client still sends is thrown away for a moment: closing over unread bytes
 * resets the connection, and the client would see the reset and not the answer.
 */
export function endWith(socket: Socket, bytes: string | Uint8Array): void {
  if (socket.destroyed) return
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
  socket.once('end', () => socket.destroySoon())
  socket.end(bytes)
  socket.on('data', () => {})
  socket.resume()
}
