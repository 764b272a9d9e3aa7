// The programs of the attack corpus, compiled once a run by the machine's own compiler: what attacks, what is smuggled in,
// and what is to be reached. Nothing of it is ever installed or kept.

import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const SOURCES = fileURLToPath(new URL('../attacks/', import.meta.url))
const COMPILER = process.env['CC'] ?? 'cc'

export interface Arsenal {
  readonly directory: string
  /** All attacks in one program. */
  readonly attacks: string
  /** Unlisted code: needs nothing but the kernel. */
  readonly payload: string
  /** The same, for the loader. */
  readonly dynamicPayload: string
  /** Unlisted code in a shared library. */
  readonly library: string
  readonly outsider: string
  remove(): Promise<void>
}

/** Where every tree of the corpus is made. Not in /tmp: a box has a /tmp of its own, and that is an attack of its own. */
export async function corpusDirectory(): Promise<string> {
  return realpath(await mkdtemp('/var/tmp/attack-'))
}

export async function hasCompiler(): Promise<boolean> {
  return (
    process.platform === 'linux' &&
    (await run(COMPILER, ['--version']).then(
      () => true,
      () => false,
    ))
  )
}

export async function buildArsenal(): Promise<Arsenal> {
  const directory = await corpusDirectory()
  const built = (name: string): string => join(directory, name)
  const sources = (await readdir(SOURCES)).filter((name) => name.endsWith('.c'))
  await mkdir(built('objects'))
  const compile = (output: string, ...args: readonly string[]): Promise<unknown> =>
    run(COMPILER, ['-O1', '-Wall', '-Wextra', '-Werror', '-o', built(output), ...args])
  const fixture = (name: string): string => join(SOURCES, 'fixtures', name)
  await Promise.all([
    ...sources.map((name) => compile(`objects/${basename(name, '.c')}.o`, '-c', join(SOURCES, name))),
    compile('payload', '-static', fixture('payload.c')),
    compile('payload-dynamic', fixture('payload.c')),
    compile('evil.so', '-shared', '-fPIC', fixture('evil.c')),
    compile('outsider', fixture('outsider.c')),
  ])
  const objects = sources.map((name) => built(`objects/${basename(name, '.c')}.o`))
  await compile('attacks', ...objects, '-lpthread', '-ldl', '-lutil')
  await chmod(directory, 0o755)
  return {
    directory,
    attacks: built('attacks'),
    payload: built('payload'),
    dynamicPayload: built('payload-dynamic'),
    library: built('evil.so'),
    outsider: built('outsider'),
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}

/** Puts `source` at `target`, executable. */
export async function place(source: string, target: string): Promise<void> {
  await copyFile(source, target)
  await chmod(target, 0o755)
}

/** Raw instructions that return 42, as attack.h has them. */
export async function placeCode(target: string): Promise<void> {
  const bytes = process.arch === 'arm64' ? '40058052c0035fd6' : 'b82a000000c3'
  await writeFile(target, Buffer.concat([Buffer.from(bytes, 'hex'), Buffer.alloc(4096)]))
}
