// Kernels that lack something, made of this one: a program in front of another takes system calls away from it.

import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { syscallTable } from '../../../src/linux/seccomp/syscalls.ts'

const run = promisify(execFile)
const SOURCE = fileURLToPath(new URL('hide.c', import.meta.url))

export interface Hidden {
  readonly syscall: string
  readonly errno: keyof typeof constants.errno
  /** Only where this argument, counted from 0, is `value` under the mask; absent, the mask is all of 32 bits. */
  readonly when?: { readonly argument: number; readonly value: number; readonly mask?: number }
}

export interface Hider {
  /** Words to put in front of a program. */
  before(hidden: readonly Hidden[]): readonly string[]
  /** A program that is `file` on such a kernel. */
  program(file: string, hidden: readonly Hidden[]): Promise<string>
  remove(): Promise<void>
}

export async function buildHider(): Promise<Hider> {
  const directory = await mkdtemp(join(tmpdir(), 'kernel-hide-'))
  await chmod(directory, 0o755)
  const path = join(directory, 'hide')
  await run(process.env['CC'] ?? 'cc', ['-O1', '-Wall', '-Wextra', '-Werror', '-static', '-o', path, SOURCE])
  let programs = 0
  const before = (hidden: readonly Hidden[]): readonly string[] => [path, ...hidden.map(ruleOf), '--']
  return {
    before,
    program: async (file, hidden) => {
      const wrapper = join(directory, `program-${++programs}`)
      await writeFile(wrapper, `#!/bin/sh\nexec ${before(hidden).join(' ')} ${file} "$@"\n`, { mode: 0o755 })
      return wrapper
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}

function ruleOf({ syscall, errno, when }: Hidden): string {
  const number = syscallTable(process.arch === 'arm64' ? 'arm64' : 'x64').numbers.get(syscall)
  if (number === undefined) throw new Error(`no number for ${syscall}`)
  const condition = when === undefined ? '' : `:${when.argument}:${when.mask ?? 0xffff_ffff}:${when.value}`
  return `${number}:${constants.errno[errno]}${condition}`
}
