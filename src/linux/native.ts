// The programs in C: where they are, whether they are the ones these sources make, and how to make them. Nothing is fetched
// and nothing is built behind anyone's back: without the launcher every confined start is refused, and the refusal says how.

import { execFile } from 'node:child_process'
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { sha256Hex } from '../core/crypto.ts'
import { AgentPortError } from '../core/errors.ts'

/** Each program and the sources it is made of. Headers count for the digest and are found by the compiler. */
const PROGRAMS = {
  launcher: ['launcher.c', 'tree.c', 'network.c', 'node.c', 'confine.c', 'serve.c', 'wire.c', 'bpf.c'],
  observer: ['observer.c'],
  selftest: ['selftest.c'],
} as const
const HEADERS = ['box.h', 'bpf.h', 'wire.h'] as const

export type NativeProgram = keyof typeof PROGRAMS

const COMPILERS = ['cc', 'gcc', 'clang'] as const
const FLAGS = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-fstack-protector-strong', '-D_FORTIFY_SOURCE=2']

export const BUILD_FIX =
  'run `npx agentport build`, which needs a C compiler: `apt-get install gcc libc6-dev` (Debian, Ubuntu), `dnf install gcc glibc-static` (Fedora), `apk add gcc musl-dev linux-headers` (Alpine)'

export interface NativeFile {
  readonly path: string
  /** Hex SHA-256 over the sources it has to be made of. */
  readonly sourceDigest: string
}

export interface BuiltProgram extends NativeFile {
  readonly program: NativeProgram
  readonly compiler: string
  readonly linked: 'static' | 'dynamic'
}

/** The directory with the sources: the first one upwards from this file that has them. */
function nativeDirectory(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    if (existsSync(join(directory, 'native', 'wire.h'))) return join(directory, 'native')
    const parent = dirname(directory)
    if (parent === directory) throw unavailable('the sources of the launcher are not in this package')
    directory = parent
  }
}

function digestOf(directory: string, program: NativeProgram): string {
  const names = [...PROGRAMS[program], ...HEADERS]
  return sha256Hex(names.map((name) => `${name}\0${readFileSync(join(directory, name), 'utf8')}`).join('\0'))
}

/** Finds a program. Throws ERR_ENFORCEMENT_UNAVAILABLE when it is not built, or when others could have changed it. */
export function nativeFile(program: NativeProgram, path?: string): NativeFile {
  const directory = nativeDirectory()
  const file = path ?? join(directory, 'build', `${program}-${process.arch}`)
  const status = lstatSync(file, { throwIfNoEntry: false })
  if (status === undefined) throw unavailable(`the ${program} is not built: ${BUILD_FIX}`)
  const mine = status.uid === 0 || status.uid === process.geteuid?.()
  // It is started with every right this process has, so nobody else may be able to put another in its place.
  if (!status.isFile() || !mine || (status.mode & 0o022) !== 0) {
    throw unavailable(`${file} is not a plain file that only its owner, you or root, can write`)
  }
  const near = lstatSync(dirname(file))
  if ((near.mode & 0o022) !== 0 && (near.mode & 0o1000) === 0) {
    throw unavailable(`others can write in ${dirname(file)}, and put another ${program} there`)
  }
  return Object.freeze({ path: file, sourceDigest: digestOf(directory, program) })
}

/**
 * Builds every program that is not there or is older than its sources, into `native/build`. Throws
 * ERR_ENFORCEMENT_UNAVAILABLE with the compiler's own words, or with what to install when there is no compiler.
 */
export async function buildNative(options: { readonly compiler?: string } = {}): Promise<readonly BuiltProgram[]> {
  const directory = nativeDirectory()
  const output = join(directory, 'build')
  mkdirSync(output, { recursive: true, mode: 0o755 })
  chmodSync(output, 0o755)
  const compiler = await findCompiler(options.compiler)
  const built: BuiltProgram[] = []
  for (const program of Object.keys(PROGRAMS) as NativeProgram[]) {
    const sourceDigest = digestOf(directory, program)
    const path = join(output, `${program}-${process.arch}`)
    const temporary = `${path}.${process.pid}`
    const sources = PROGRAMS[program].map((name) => join(directory, name))
    const args = [...FLAGS, `-DSOURCE_DIGEST="${sourceDigest}"`, '-o', temporary, ...sources]
    try {
      // Static, so that nothing on the host is mapped into it and it starts without a loader.
      let result = await run(compiler, ['-static', ...args])
      const linked = result.ok ? 'static' : 'dynamic'
      if (!result.ok) result = await run(compiler, args)
      if (!result.ok) throw unavailable(`${compiler} cannot build the ${program}:\n${result.output.slice(0, 4000)}`)
      chmodSync(temporary, 0o755)
      renameSync(temporary, path)
      built.push(Object.freeze({ program, path, sourceDigest, compiler, linked }))
    } finally {
      rmSync(temporary, { force: true })
    }
  }
  return Object.freeze(built)
}

async function findCompiler(wanted: string | undefined): Promise<string> {
  for (const name of wanted === undefined ? COMPILERS : [wanted]) if ((await run(name, ['--version'])).ok) return name
  throw unavailable(`there is no C compiler (${wanted ?? COMPILERS.join(', ')}); ${BUILD_FIX}`)
}

function run(file: string, args: readonly string[]): Promise<{ readonly ok: boolean; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(file, args, { maxBuffer: 4 * 1024 * 1024 }, (error, stdout, stderr) =>
      resolve({ ok: error === null, output: `${stdout}${stderr}` }),
    )
  })
}

function unavailable(detail: string): AgentPortError {
  return new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', detail)
}
