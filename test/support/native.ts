// Builds the native programs once before any test, so that no two test files build them at the same time and none of them
// tests a launcher that is older than its sources. Where they cannot be built, tests of the kernel say so and are left out.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { buildNative, nativeFile } from '../../src/linux/native.ts'

const SOURCES = fileURLToPath(new URL('../../native/', import.meta.url))

export async function setup(): Promise<void> {
  const reason = await reasonAgainst()
  if (reason === undefined) return
  if (process.env['AGENTPORT_REQUIRE_KERNEL'] === '1') throw new Error(`AGENTPORT_REQUIRE_KERNEL=1: ${reason}`)
  process.stderr.write(`\nkernel tests: NOT RUN: ${reason}\n\n`)
}

async function reasonAgainst(): Promise<string | undefined> {
  if (process.platform !== 'linux') return `this is ${process.platform} and not Linux`
  if (fresh()) return undefined
  try {
    await buildNative()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Whether all of them are there and none is older than a source. */
function fresh(): boolean {
  try {
    const sources = readdirSync(SOURCES).filter((name) => /\.[ch]$/.test(name))
    const newest = Math.max(...sources.map((name) => statSync(join(SOURCES, name)).mtimeMs))
    return (['launcher', 'observer', 'selftest'] as const).every((program) => {
      const { path, sourceDigest } = nativeFile(program)
      // What the launcher was made of is written in it; times alone are wrong after a checkout.
      if (program === 'launcher' && !readFileSync(path).includes(sourceDigest)) return false
      return statSync(path).mtimeMs >= newest
    })
  } catch {
    return false
  }
}
