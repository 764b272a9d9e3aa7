// A source file as one program that a plain Node runs: tests of another process's death need another process. It believes to
// stand where its sources are, so that it finds the launcher.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

export interface Bundle {
  readonly path: string
  remove(): Promise<void>
}

/** `source` is relative to the root of the repository. */
export async function bundle(source: string): Promise<Bundle> {
  const directory = await mkdtemp(join(tmpdir(), 'kernel-bundle-'))
  const path = join(directory, 'program.mjs')
  const url = JSON.stringify(pathToFileURL(join(ROOT, source)).href)
  await build({
    entryPoints: [join(ROOT, source)],
    outfile: path,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
    define: { 'import.meta.url': url },
    banner: { js: `import { createRequire } from 'node:module'; const require = createRequire(${url})` },
  })
  return { path, remove: () => rm(directory, { recursive: true, force: true }) }
}
