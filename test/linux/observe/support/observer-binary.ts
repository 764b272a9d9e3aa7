// The observer, built for one test file from its source. Where it cannot be built or cannot work, tests that need it are
// skipped, and say so.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface BuiltObserver {
  readonly path: string
  remove(): void
}

const SOURCE = fileURLToPath(new URL('../../../../native/observer.c', import.meta.url))
const FLAGS = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-D_FORTIFY_SOURCE=2']

/** `undefined` on another system, or without a compiler. A compiler that refuses the source is an error. */
export function buildObserver(): BuiltObserver | undefined {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) return skip('not Linux')
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' })
  } catch {
    return skip('there is no C compiler (cc)')
  }
  const directory = mkdtempSync(join(tmpdir(), 'agentport-observer-'))
  const path = join(directory, 'observer')
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  try {
    execFileSync('cc', ['-static', ...FLAGS, '-o', path, SOURCE], { stdio: 'pipe' })
  } catch {
    // No static C library on this host; what it says without -static counts.
    execFileSync('cc', [...FLAGS, '-o', path, SOURCE], { stdio: 'pipe' })
  }
  try {
    execFileSync(path, ['3', '/bin/true'], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
  } catch (error) {
    remove()
    const { stderr } = error as { stderr?: Buffer }
    return skip(`the observer cannot work here: ${stderr?.toString() ?? String(error)}`)
  }
  return { path, remove }
}

function skip(reason: string): undefined {
  process.stderr.write(`\n*** SKIPPED: tests of the observer: ${reason}\n\n`)
  return undefined
}
