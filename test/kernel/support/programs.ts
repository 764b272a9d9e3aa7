// Programs that a host may have or not, and the manifests with which they work in a box.

import { execFile } from 'node:child_process'
import { accessSync, constants, readFileSync, realpathSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { Profile } from '../../../src/enforcer/profile.ts'
import { profileOf } from './linux-supervised.ts'
import { kernelSuite, leaveOut } from './suite.ts'

const MANIFESTS = fileURLToPath(new URL('../programs/', import.meta.url))
const PACKAGES = 'install what test/kernel/packages.txt lists'

/** On the host, with no box around it. */
export const outside = promisify(execFile)

/** A suite that needs programs of the host, by absolute path; left out aloud where one is missing. */
export async function programSuite(name: string, files: readonly string[], define: () => void): Promise<void> {
  const missing = files.filter((file) => !isThere(file))
  if (missing.length === 0) await kernelSuite(name, define)
  else leaveOut(name, `${missing.join(', ')} missing; ${PACKAGES}`, define)
}

function isThere(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** One of the manifests beside these tests. */
export function profileFrom(name: string, variables: Readonly<Record<string, string>> = {}): Profile {
  return profileOf(readFileSync(join(MANIFESTS, `${name}.yaml`), 'utf8'), variables)
}

/** What a program says of itself, without the line end: where it keeps its library, for one. */
export async function ask(file: string, ...args: readonly string[]): Promise<string> {
  return (await outside(file, [...args])).stdout.trim()
}

/** The same, as a path without links. */
export async function askPath(file: string, ...args: readonly string[]): Promise<string> {
  return realpathSync(await ask(file, ...args))
}

export interface Origin {
  readonly port: number
  /** As a manifest names it. */
  readonly url: string
  /** `host path` of each request that came. */
  readonly requests: string[]
  close(): Promise<void>
}

/** A web server of the host that serves the files of a directory. */
export async function serveFiles(directory: string): Promise<Origin> {
  const requests: string[] = []
  const server: Server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://origin').pathname
    requests.push(`${request.headers.host ?? ''} ${path}`)
    try {
      response.end(readFileSync(join(directory, path)))
    } catch {
      response.statusCode = 404
      response.end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
