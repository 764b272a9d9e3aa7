import { fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'

import { makeWorld, RawClient } from './support.ts'

// The same kind of handle as a launcher sends: a listening socket that another process made.
const MAKER = `
const { createServer } = require('node:net')
const server = createServer().listen(0, '127.0.0.1', () => process.send(server.address().port, server._handle))
process.on('message', () => process.exit())
`

test('a listening socket made by another process is served, and given up on close', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'agentport-egress-'))
  const file = join(directory, 'maker.cjs')
  await writeFile(file, MAKER)
  const child = fork(file)
  try {
    const [port, handle] = await new Promise<[number, Server | Socket]>((resolve) => {
      child.once('message', (message, sent) => resolve([message as number, sent as Server]))
    })
    const made = makeWorld({ allow: ['api.example.com'] })
    await made.proxy.listen('proxy', 'proxy', 3128, handle)
    expect(() => made.proxy.listen('proxy', 'proxy', 3128, handle)).toThrow(TypeError)
    child.send('go')
    await new Promise((resolve) => child.once('exit', resolve))
    expect(await new RawClient(port).send('TRACE / HTTP/1.1\r\n').end()).toContain('method_not_allowed')
    await made.close()
    expect(await new RawClient(port).send('TRACE / HTTP/1.1\r\n').end()).toBe('')
    expect(() => made.proxy.listen('other', 'dns', 53, handle)).toThrow(TypeError)
  } finally {
    child.kill()
    await rm(directory, { recursive: true, force: true })
  }
})
