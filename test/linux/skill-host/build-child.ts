// The program of the skill host as the package ships it: one file, made from the sources as they are now.

import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export interface BuiltChild {
  readonly program: string
  remove(): void
}

export async function buildChild(): Promise<BuiltChild> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'skill-host-')))
  const program = join(directory, 'child.mjs')
  await build({
    entryPoints: [fileURLToPath(new URL('../../../src/linux/skill-host/child.ts', import.meta.url))],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'es2022',
    logLevel: 'silent',
  })
  return { program, remove: () => rmSync(directory, { recursive: true, force: true }) }
}
