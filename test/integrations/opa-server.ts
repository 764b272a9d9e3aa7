// A real OPA server on a free loopback port, out of .cache/opa (scripts/install-opa.sh).

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const binary = fileURLToPath(new URL('../../.cache/opa/opa', import.meta.url))

/** Whether there is a server to test with; says so loudly when there is none, and throws where there has to be one. */
export function hasOpa(): boolean {
  if (existsSync(binary)) return true
  if (process.env['AGENTPORT_REQUIRE_SERVERS'] === '1') {
    throw new Error('AGENTPORT_REQUIRE_SERVERS=1, and there is no OPA: run scripts/install-opa.sh')
  }
  process.stderr.write('SKIPPED: no OPA in .cache/opa (scripts/install-opa.sh); its suite does not run here\n')
  return false
}

export interface OpaServer {
  readonly url: string
  /** Ends the process, and returns when it is gone. */
  kill(): Promise<void>
}

/** Starts a server with one Rego module. `flags` go to `opa run`. */
export async function startOpa(rego: string, flags: readonly string[] = []): Promise<OpaServer> {
  const home = mkdtempSync(join(tmpdir(), 'agentport-opa-'))
  const file = join(home, 'policy.rego')
  writeFileSync(file, rego)
  // Another process may take the port between here and there; then the next one is tried.
  for (let attempt = 0; attempt < 5; attempt++) {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const args = ['run', '--server', '--addr', `127.0.0.1:${port}`, '--log-level', 'error', '--disable-telemetry']
    const child = spawn(binary, [...args, ...flags, file], { cwd: home, stdio: 'ignore' })
    const gone = once(child, 'exit')
    if (await isUp(url, child)) {
      const kill = async (): Promise<void> => {
        child.kill('SIGKILL')
        await gone
        rmSync(home, { recursive: true, force: true })
      }
      return { url, kill }
    }
    child.kill('SIGKILL')
  }
  rmSync(home, { recursive: true, force: true })
  throw new Error('the OPA server did not start')
}

async function isUp(url: string, child: ChildProcess): Promise<boolean> {
  for (let tries = 0; tries < 300 && child.exitCode === null; tries++) {
    try {
      if ((await fetch(`${url}/health`)).ok) return true
    } catch {
      // Not yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return false
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
