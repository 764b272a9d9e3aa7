// What this host can enforce, found out by doing it: a box is made, and a program inside it tries what must be refused. A
// version number, a list of security modules or a configuration file is never asked: each of them is wrong somewhere.

import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { arch, tmpdir } from 'node:os'
import { join } from 'node:path'

import { AgentPortError } from '../core/errors.ts'
import { parsePathPattern } from '../core/path-pattern.ts'
import { compileProfile, type Profile } from '../enforcer/profile.ts'
import type { BoxSetup } from './box.ts'
import { openCgroups } from './cgroup/cgroups.ts'
import { nodeHostFiles } from './host-files.ts'
import { LaunchError, Launcher } from './launcher.ts'
import type { NativeFile } from './native.ts'
import { type HostFacts, planBox } from './plan.ts'

/** One thing that was tried. */
export interface Trial {
  readonly name: string
  readonly ok: boolean
  /** Step and errno of a failure, or what was let through. */
  readonly detail?: string
}

export interface HostProbe {
  readonly facts: HostFacts
  readonly trials: readonly Trial[]
  /** What the program inside was refused; a name that is missing was not tried. */
  readonly refused: ReadonlySet<string>
  readonly allowed: ReadonlySet<string>
  /** What control groups this process can make are good for. */
  readonly cgroup: { readonly kill: boolean; readonly processes: boolean; readonly memory: boolean }
}

// `return SECCOMP_RET_ALLOW`: to find out whether a box can be made at all.
const ALLOW_ALL = Uint8Array.of(0x06, 0, 0, 0, 0, 0, 0xff, 0x7f)

const EMPTY_BOX: BoxSetup = Object.freeze({
  kind: 'namespaces',
  userNamespace: true,
  network: 'loopback',
  hostname: 'box',
  mounts: Object.freeze([
    { type: 'dev' },
    { type: 'proc' },
    { type: 'tmpfs', target: '/tmp', bytes: 1 << 20, mode: 0o1777, readonly: false },
  ] as const),
  workdir: '/tmp',
  listeners: [],
  rlimits: [],
  seccomp: ALLOW_ALL,
  notify: false,
  cgroups: { v1: [] },
})

/** Throws ERR_ENFORCEMENT_UNAVAILABLE when the launcher itself cannot be used. */
export async function probeHost(
  launcher: NativeFile,
  selftest: NativeFile,
  kind?: 'namespaces' | 'flat',
): Promise<HostProbe> {
  const trials: Trial[] = []
  let landlockAbi = 0
  const attempt = async (name: string, setup: BoxSetup): Promise<boolean> => {
    try {
      const box = await Launcher.start(setup, {
        file: launcher.path,
        sourceDigest: launcher.sourceDigest,
        onListener: () => Promise.resolve(),
        onFact: () => undefined,
      })
      landlockAbi = box.landlockAbi
      box.kill()
      await box.ended
      trials.push({ name, ok: true })
      return true
    } catch (error) {
      // A step that failed is an answer; a launcher that cannot be used is not.
      if (!(error instanceof LaunchError)) throw error
      trials.push({ name, ok: false, detail: `${error.step}: ${error.errno}` })
      return false
    }
  }
  const flat: BoxSetup = { ...EMPTY_BOX, kind: 'flat', userNamespace: false, network: 'host', mounts: [], workdir: '/' }
  const byUser = await attempt('user namespace', EMPTY_BOX)
  const byRoot =
    !byUser &&
    process.geteuid?.() === 0 &&
    (await attempt('namespaces as root', { ...EMPTY_BOX, userNamespace: false }))
  if (!byUser && !byRoot) await attempt('flat', flat)
  const facts: HostFacts = Object.freeze({
    arch: architecture(),
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    namespaces: byUser ? 'user' : byRoot ? 'root' : 'none',
    landlockAbi,
    seccompNotify: await attempt('seccomp notification', {
      ...(byUser ? EMPTY_BOX : byRoot ? { ...EMPTY_BOX, userNamespace: false } : flat),
      notify: true,
    }),
  })
  const { refused, allowed } = await selfTest(launcher, selftest, facts, trials, kind)
  const cgroup = await tryCgroups(trials)
  return Object.freeze({ facts, trials: Object.freeze(trials), refused, allowed, cgroup })
}

async function tryCgroups(trials: Trial[]): Promise<HostProbe['cgroup']> {
  const opened = openCgroups({ processes: 16, memoryBytes: 64 << 20 })
  if (!opened.ok) {
    trials.push({ name: 'control groups', ok: false, detail: opened.reason })
    return Object.freeze({ kill: false, processes: false, memory: false })
  }
  const { limits, paths } = opened.cgroups
  await opened.cgroups.remove()
  trials.push({ name: 'control groups', ok: true })
  return Object.freeze({
    kill: paths.v2 !== undefined || paths.v1.length > 0,
    processes: limits.processes?.state === 'enforced',
    memory: limits.memoryBytes?.state === 'enforced',
  })
}

async function selfTest(
  launcher: NativeFile,
  selftest: NativeFile,
  facts: HostFacts,
  trials: Trial[],
  kind: 'namespaces' | 'flat' | undefined,
): Promise<Pick<HostProbe, 'refused' | 'allowed'>> {
  const refused = new Set<string>()
  const allowed = new Set<string>()
  const directory = await mkdtemp(join(tmpdir(), 'agentport-probe-'))
  // Something that would answer if the box were let out.
  const server = createServer((socket) => socket.destroy())
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const { setup } = planBox(
      selfTestProfile(selftest.path, directory),
      facts,
      nodeHostFiles,
      kind === undefined ? {} : { kind },
    )
    const box = await Launcher.start(setup, {
      file: launcher.path,
      sourceDigest: launcher.sourceDigest,
      onListener: () => Promise.resolve(),
      onFact: () => undefined,
    })
    try {
      const command = await box.command({
        file: selftest.path,
        args: [selftest.path, directory, '/etc/shadow', String(port)],
        env: {},
        cwd: directory,
        stdio: ['null', 'channel', 'null'],
        keepSession: false,
      })
      let output = ''
      const [, stdout] = command.channels
      const done = new Promise<void>((resolve) => stdout?.once('close', () => resolve()))
      stdout?.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
      await command.status
      await done
      for (const line of output.split('\n')) {
        const [name, result] = line.split(' ')
        if (name === undefined || name === '') continue
        if (result === 'refused') refused.add(name)
        else allowed.add(name)
      }
      trials.push({ name: 'self-test', ok: true })
    } finally {
      box.kill()
      await box.ended
    }
  } catch (error) {
    // Nothing was shown to be refused, so nothing will be reported as enforced.
    trials.push({ name: 'self-test', ok: false, detail: error instanceof Error ? error.message : String(error) })
  } finally {
    server.close()
    await rm(directory, { recursive: true, force: true })
  }
  return { refused, allowed }
}

function selfTestProfile(program: string, directory: string): Profile {
  const parsed = parsePathPattern(`${directory}/**`)
  if (!parsed.ok)
    throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', 'the temporary directory has an unusable name')
  const grant = { rule: 'self-test', writes: [parsed.pattern], reads: [parsed.pattern], binaries: [exact(program)] }
  return compileProfile(
    {
      readablePaths: [parsed.pattern],
      writablePaths: [parsed.pattern],
      allowedBinaries: [program],
      allowedLibraries: [],
      allowedHosts: [],
      allowedEnv: [],
      forbiddenSyscalls: [],
      executionMode: 'shared',
    },
    { permits: [grant], forbids: [] },
  ).profile
}

function exact(path: string): Profile['read'][number]['value'] {
  const parsed = parsePathPattern(path)
  if (!parsed.ok) throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', 'the self-test has an unusable name')
  return parsed.pattern
}

function architecture(): HostFacts['arch'] {
  const name = arch()
  if (name === 'x64' || name === 'arm64') return name
  throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', `no system call table for ${name}; x64 and arm64 have one`)
}
