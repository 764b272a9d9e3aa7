// Two sockets joined. Nothing is decided here any more, and no JavaScript of ours runs for a chunk.

import type { Socket } from 'node:net'

/** Resolves when both are closed. An end passes through; an error or silence of `idleMs` ends both. Never rejects. */
export function joinSockets(client: Socket, upstream: Socket, idleMs: number): Promise<'ended' | 'timeout'> {
  return new Promise((resolve) => {
    let open = 2
    let cause: 'ended' | 'timeout' = 'ended'
    const couple = (from: Socket, to: Socket): void => {
      from.setTimeout(idleMs, () => {
        cause = 'timeout'
        from.destroy()
        to.destroy()
      })
      const onClose = (hadError: boolean): void => {
        // Closed in good order means that the other has been given everything and only has to send it.
        if (hadError || !from.readableEnded) to.destroy()
        else to.destroySoon()
        if (--open === 0) resolve(cause)
      }
      if (from.closed) onClose(from.errored !== null)
      else from.once('close', onClose)
    }
    couple(client, upstream)
    couple(upstream, client)
    client.pipe(upstream)
    upstream.pipe(client)
  })
}
