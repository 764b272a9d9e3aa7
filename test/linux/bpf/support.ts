// What the tests on a real kernel need: root, a C compiler, a place in cgroup v2. Where one is missing the tests are
// skipped, and say so.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { BpfObject } from '../../../src/linux/box.ts'
import { encodeBpf } from '../../../src/linux/bpf/wire.ts'
import { parseHierarchies } from '../../../src/linux/cgroup/hierarchies.ts'

const native = fileURLToPath(new URL('../../../native', import.meta.url))

/** Why the tests on a real kernel cannot run here, or `undefined`. */
export function missing(): string | undefined {
  if (process.platform !== 'linux') return 'not Linux'
  if (process.getuid?.() !== 0) return 'not root'
  if (spawnSync('cc', ['--version']).status !== 0) return 'no C compiler'
  const { v2 } = parseHierarchies(
    readFileSync('/proc/self/mountinfo', 'utf8'),
    readFileSync('/proc/self/cgroup', 'utf8'),
  )
  return v2 === undefined ? 'no cgroup v2 file system' : undefined
}

/** To `describe.skipIf`. */
export function skipLoudly(subject: string): boolean {
  const reason = missing()
  // biome-ignore lint/suspicious/noConsole: a protection that was not tested must not look tested
  if (reason !== undefined) console.warn(`SKIPPED: ${subject}: ${reason}`)
  return reason !== undefined
}

export interface Driver {
  /** The built driver of native/test/bpf-load.c. */
  readonly path: string
  /** Writes the record of an object to a file. */
  record(object: BpfObject): string
  /** Writes bytes to a file. */
  file(bytes: Uint8Array): string
  /** Programs in the kernel whose name starts so. */
  programs(prefix: string): readonly string[]
  dispose(): void
}

const FLAGS = ['-Wall', '-Wextra', '-Werror', '-O2', '-std=gnu11', '-static']

export function buildDriver(): Driver {
  const directory = mkdtempSync(join(tmpdir(), 'agentport-bpf-'))
  const path = join(directory, 'bpf-load')
  execFileSync('cc', [...FLAGS, '-o', path, join(native, 'bpf.c'), join(native, 'test/bpf-load.c')])
  let files = 0
  const file = (bytes: Uint8Array): string => {
    const name = join(directory, `record-${files++}`)
    writeFileSync(name, bytes)
    return name
  }
  return {
    path,
    file,
    record: (object) => file(encodeBpf(object)),
    programs: (prefix) =>
      execFileSync(path, ['programs'], { encoding: 'utf8' })
        .split('\n')
        .map((line) => line.split(' ')[1] ?? '')
        .filter((name) => name.startsWith(prefix)),
    dispose: () => rmSync(directory, { recursive: true, force: true }),
  }
}

/** The same object under names of its own, so that programs of others on this machine are not taken for ours. */
export function renamed(object: BpfObject, prefix: string): BpfObject {
  return {
    maps: object.maps,
    programs: object.programs.map((program, index) => ({ ...program, name: `${prefix}_${index}` })),
  }
}
