// Reaching out: whatever a program tries, a listener that was not granted hears nothing. Everything stays on this machine.

import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

import { resists } from './attack.ts'
import { NotApplicableError, pause } from './case.ts'
import type { CaseDefinition } from './definition.ts'
import type { Ground } from './ground.ts'

interface Listener {
  readonly port: number
  /** How often it was reached since it was last asked. */
  readonly reached: () => Promise<number>
}

const ADDRESS = '127.0.0.1'
/** What was sent over loopback has arrived by then. */
const ARRIVAL_MS = 100

function counter(): { readonly hit: () => void; readonly reached: Listener['reached'] } {
  let count = 0
  return {
    hit: () => {
      count += 1
    },
    reached: async () => {
      await pause(ARRIVAL_MS)
      const found = count
      count = 0
      return found
    },
  }
}

async function tcpListener(ground: Ground): Promise<Listener> {
  const { hit, reached } = counter()
  const server = createServer((socket) => {
    hit()
    socket.on('error', () => undefined)
    socket.destroy()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, ADDRESS, resolve)
  })
  ground.later(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a listener without a port')
  return { port: address.port, reached }
}

async function udpListener(ground: Ground): Promise<Listener> {
  const { hit, reached } = counter()
  const socket = createSocket('udp4', hit)
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(0, ADDRESS, resolve)
  })
  ground.later(() => new Promise<void>((resolve) => void socket.close(() => resolve())))
  return { port: socket.address().port, reached }
}

function attempt(
  what: string,
  kind: 'tcp' | 'udp',
  listener: (ground: Ground) => Promise<Listener>,
  hosts: readonly string[],
): CaseDefinition {
  return {
    name: `egress: ${what}`,
    feature: 'egress',
    body: async (ground) => {
      const program = ground.fixture[kind]
      if (program === undefined) throw new NotApplicableError(`the fixture names no program for ${kind}`)
      const { port, reached } = await listener(ground)
      const command = program(ADDRESS, port)
      const box = await ground.open(ground.profile({ hosts, binaries: [ground.fixture.sh, command.file] }))
      await resists(ground, box, {
        what: `reaching ${kind} ${ADDRESS}:${port}`,
        command,
        succeeded: async () => (await reached()) > 0,
      })
    },
  }
}

/** A reserved name (RFC 2606): nothing is ever asked for it. */
const ELSEWHERE = ['granted.example:443']

export const EGRESS: readonly CaseDefinition[] = [
  attempt('with nothing granted, a TCP listener of the host is not reached', 'tcp', tcpListener, []),
  attempt('with nothing granted, a UDP socket of the host is not reached', 'udp', udpListener, []),
  attempt('with another host granted, a TCP listener of the host is not reached', 'tcp', tcpListener, ELSEWHERE),
  attempt('with another host granted, a UDP socket of the host is not reached', 'udp', udpListener, ELSEWHERE),
]
