// A server of Redis or Valkey for one test file: its own port on loopback, its own directory, nothing kept, ended by pid.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

/** Programs of this host that speak the protocol. */
export const SERVERS: readonly string[] = ['redis-server', 'valkey-server'].filter((program) => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})

/** Why tests against a server are skipped here; fails where AGENTPORT_REQUIRE_SERVERS says that they must run. */
export function noServer(): string | undefined {
  if (SERVERS.length > 0) return undefined
  const reason = 'neither redis-server nor valkey-server is installed (see test/limit/packages.txt)'
  if (process.env['AGENTPORT_REQUIRE_SERVERS'] === '1') throw new Error(reason)
  process.stderr.write(`SKIPPED, limits on a server: ${reason}\n`)
  return reason
}

export interface ConnectOptions {
  readonly keyPrefix?: string
  readonly maxRetriesPerRequest?: number
  readonly enableOfflineQueue?: boolean
  readonly retryStrategy?: () => null
}

export interface Server {
  readonly port: number
  readonly pid: number
  /** A connection of its own, which fails at once where it cannot connect. */
  connect(options?: ConnectOptions): Promise<Redis>
  signal(name: NodeJS.Signals): void
  /** Ends the server and waits for it, and closes the connections. */
  stop(): Promise<void>
}

export async function startServer(program: string, args: readonly string[] = []): Promise<Server> {
  const directory = mkdtempSync(join(tmpdir(), 'agentport-limit-'))
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    const child = spawn(
      program,
      // biome-ignore format: an option and its value on one line
      ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--daemonize', 'no', '--dir', directory, ...args],
      { stdio: 'ignore' },
    )
    const server = running(child, port, directory)
    try {
      await answering(child, port)
      return server
    } catch (error) {
      await server.stop()
      // Somebody else may have taken the port in between.
      if (tries === 5) throw error
    }
  }
}

function running(child: ChildProcess, port: number, directory: string): Server {
  const { pid } = child
  if (pid === undefined) throw new Error('the server was not started')
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const clients: Redis[] = []
  return {
    port,
    pid,
    connect: async (options = {}) => {
      const client = new Redis({ port, host: '127.0.0.1', lazyConnect: true, ...options })
      // Told to whoever asks; unheard it would be printed.
      client.on('error', () => undefined)
      clients.push(client)
      await client.connect()
      return client
    },
    signal: (name) => {
      child.kill(name)
    },
    stop: async () => {
      for (const client of clients) client.disconnect()
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await gone
      }
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function answering(child: ChildProcess, port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    const client = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: () => null })
    client.on('error', () => undefined)
    try {
      await client.connect()
      // The server of another test may have the port: this one must be the child.
      if ((await client.info('server')).includes(`process_id:${child.pid}`)) return
      throw new Error('another server has the port')
    } catch {
      await pause(25)
    } finally {
      client.disconnect()
    }
  }
  throw new Error('the server does not answer')
}

export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}

/** Waits until `holds`, or gives up loudly. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (await holds()) return
    await pause(25)
  }
  throw new Error(`it did not happen: ${what}`)
}
