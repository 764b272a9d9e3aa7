// A real HTTP server on the loopback interface that remembers what it was sent.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

interface ReceivedRequest {
  readonly method: string
  readonly path: string
  readonly body: string
}

export interface LocalServer {
  /** `127.0.0.1:port` */
  readonly host: string
  /** `http://127.0.0.1:port` */
  readonly origin: string
  /** Every request since the last `forget`, oldest first. */
  readonly received: readonly ReceivedRequest[]
  forget(): void
  close(): Promise<void>
}

/** Serves `pages` by path; a POST to any path is taken and answered with `thanks`. */
export async function serve(pages: ReadonlyMap<string, () => string>): Promise<LocalServer> {
  const received: ReceivedRequest[] = []
  const server = createServer((request, response) => {
    text(request).then(
      (body) => {
        const { method = '', url = '' } = request
        received.push({ method, path: url, body })
        const page = method === 'POST' ? () => 'thanks' : pages.get(url)
        response.writeHead(page === undefined ? 404 : 200, { 'content-type': 'text/plain; charset=utf-8' })
        response.end(page?.() ?? 'not found')
      },
      () => response.destroy(),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host,
    origin: `http://${host}`,
    received,
    forget: () => received.splice(0),
    close: () =>
      new Promise((resolve, reject) => {
        server.closeAllConnections()
        server.close((error) => (error ? reject(error) : resolve()))
      }),
  }
}
