// Whether security module programs work on this host, found out by loading them, attaching them and seeing one denial. Neither
// the list of security modules nor the kernel's configuration is asked: there are hosts on which both say yes and every such
// program is refused before the verifier looks at it.

import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { AgentPortError } from '../../core/errors.ts'
import { printable } from '../../core/text.ts'
import type { BoxSetup, BpfObject } from '../box.ts'
import { openCgroups } from '../cgroup/cgroups.ts'
import { nodeHostFiles } from '../host-files.ts'
import { LaunchError, Launcher } from '../launcher.ts'
import { libraryClosure } from '../library-closure.ts'
import type { NativeFile } from '../native.ts'
import { type Btf, parseBtf } from './btf.ts'
import { openLsmFiles } from './files.ts'
import { lsmPrograms } from './programs.ts'

export const BTF_FILE = '/sys/kernel/btf/vmlinux'

export type LsmProbe =
  | { readonly supported: true }
  | {
      readonly supported: false
      readonly reason: string
      /** Of bpf(2), when that is what failed. */
      readonly errno?: string
      /** Whether the kernel refused without asking the verifier, which is a host that takes no such program at all. */
      readonly emptyLog?: boolean
    }

// `return SECCOMP_RET_ALLOW`: nothing but the programs may refuse anything here.
const ALLOW_ALL = Uint8Array.of(0x06, 0, 0, 0, 0, 0, 0xff, 0x7f)

/** Throws ERR_ENFORCEMENT_UNAVAILABLE when this kernel shows no BTF, or none that can be read. */
export function kernelBtf(): Btf {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(BTF_FILE)
  } catch (error) {
    throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', `this kernel has no ${BTF_FILE}`, { cause: error })
  }
  const parsed = parseBtf(bytes)
  if (!parsed.ok) throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', `${BTF_FILE}: ${parsed.reason}`)
  return parsed.btf
}

/** Makes three short boxes that hold nothing but the programs, as root. Rejects only when the launcher cannot be used. */
export async function probeLsm(launcher: NativeFile, selftest: NativeFile): Promise<LsmProbe> {
  if (process.geteuid?.() !== 0) return { supported: false, reason: 'it needs root' }
  const opened = openCgroups()
  if (!opened.ok) return { supported: false, reason: `no control group can be made: ${opened.reason}` }
  const { cgroups } = opened
  const directory = mkdtempSync(join(tmpdir(), 'agentport-lsm-'))
  let close = (): void => undefined
  try {
    const { id } = cgroups
    if (id === undefined) return { supported: false, reason: 'there is no cgroup v2' }
    const unlisted = join(directory, 'unlisted')
    copyFileSync(selftest.path, unlisted)
    chmodSync(unlisted, 0o700)
    const machine = process.arch === 'arm64' ? 'arm64' : 'x64'
    const libraries = libraryClosure(nodeHostFiles, [selftest.path], { machine })
    const listed = openLsmFiles([
      { path: selftest.path, execute: true, map: true },
      ...libraries.files.map(({ real }) => ({ path: real, execute: false, map: true })),
    ])
    close = listed.close
    const object = lsmPrograms(kernelBtf(), { cgroup: id, files: listed.files })
    const setup: BoxSetup = {
      kind: 'flat',
      userNamespace: false,
      network: 'host',
      hostname: 'box',
      mounts: [],
      workdir: '/',
      listeners: [],
      rlimits: [],
      seccomp: ALLOW_ALL,
      notify: false,
      cgroups: cgroups.paths,
    }
    const without = await tryFile(launcher, setup, unlisted)
    if (without !== 'ran') return { supported: false, reason: `a program cannot be started here at all: ${without}` }
    const allowed = await tryFile(launcher, setup, selftest.path, object)
    if (allowed !== 'ran') return { supported: false, reason: `a listed program was not started: ${allowed}` }
    const denied = await tryFile(launcher, setup, unlisted, object)
    // Only the errno of these programs: any other is the word of another layer.
    if (!denied.endsWith(': EPERM')) return { supported: false, reason: `an unlisted program: ${denied}` }
    return { supported: true }
  } catch (error) {
    if (error instanceof LaunchError && error.step === 'bpf') return refusal(error)
    if (error instanceof LaunchError) return { supported: false, reason: error.message }
    if (error instanceof AgentPortError && error.code === 'ERR_ENFORCEMENT_UNAVAILABLE') {
      return { supported: false, reason: error.message }
    }
    throw error
  } finally {
    close()
    rmSync(directory, { recursive: true, force: true })
    await cgroups.kill()
    await cgroups.remove()
  }
}

/** The subject is `<step> <name> <end of the verifier's log>`. */
function refusal({ subject, errno }: LaunchError): LsmProbe {
  const [step = '', name = '', ...log] = subject.split(' ')
  const words = log.join(' ').trim()
  const reason = `${printable(`${step} ${name}`)}: ${errno}${words === '' ? '' : `: ${printable(words)}`}`
  return { supported: false, reason, errno, emptyLog: words === '' }
}

/** `ran`, or what became of the command. */
async function tryFile(launcher: NativeFile, setup: BoxSetup, file: string, object?: BpfObject): Promise<string> {
  const box = await Launcher.start(object === undefined ? setup : { ...setup, bpf: object }, {
    file: launcher.path,
    sourceDigest: launcher.sourceDigest,
    onListener: () => Promise.resolve(),
    onFact: () => undefined,
  })
  try {
    const command = await box.command({
      file,
      args: [file, 'nothing'],
      env: {},
      cwd: '/',
      stdio: ['null', 'null', 'null'],
      keepSession: false,
    })
    const status = await command.status
    return status === 0 ? 'ran' : `status ${status}`
  } catch (error) {
    if (error instanceof AgentPortError && error.code === 'ERR_SPAWN_FAILED') return error.message
    throw error
  } finally {
    box.kill()
    await box.ended
  }
}
