// The job of the guest: security module programs in a kernel that takes them. Everything that must be refused is first tried
// by the same program in the same group without programs, where it gets through; each refusal must come with its event.
//
//   node guest.mjs DIRECTORY     with the test driver, `attempt`, the launcher and a scratch directory in DIRECTORY

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parsePathPattern } from '../../src/core/path-pattern.ts'
import { compileProfile } from '../../src/enforcer/profile.ts'
import type { BoxSetup, BpfObject } from '../../src/linux/box.ts'
import { encodeBpf } from '../../src/linux/bpf/wire.ts'
import { type Cgroups, openCgroups } from '../../src/linux/cgroup/cgroups.ts'
import { nodeHostFiles } from '../../src/linux/host-files.ts'
import { Launcher } from '../../src/linux/launcher.ts'
import { libraryClosure } from '../../src/linux/library-closure.ts'
import { LinuxEnforcer } from '../../src/linux/linux-enforcer.ts'
import { type LsmDenial, readLsmEvent } from '../../src/linux/lsm/events.ts'
import { type ListedFile, openLsmFiles } from '../../src/linux/lsm/files.ts'
import { kernelBtf, probeLsm } from '../../src/linux/lsm/probe.ts'
import { LSM_DROPPED_MAP, LSM_EVENTS_MAP, lsmPrograms } from '../../src/linux/lsm/programs.ts'
import { nativeFile } from '../../src/linux/native.ts'
import { check, expectSame, failures } from './report.ts'

const [, , directory = '/opt/agentport'] = process.argv
const driver = join(directory, 'bpf-load')
const attempt = join(directory, 'attempt')
const scratch = join(directory, 'scratch')
const machine = process.arch === 'arm64' ? 'arm64' : 'x64'

const program = realpathSync('/usr/bin/true')
const unlisted = join(scratch, 'unlisted')
const original = join(scratch, 'original')
const closure = libraryClosure(nodeHostFiles, [attempt, program], { machine })
const loader = closure.files.find(({ role }) => role === 'interpreter')?.real ?? ''
const libc = closure.files.find(({ real }) => real.includes('libc.so'))?.real ?? ''
const library = realpathSync('/opt/agentport/listed.so')
const otherLibrary = realpathSync('/opt/agentport/unlisted.so')

const LISTED: readonly ListedFile[] = [
  { path: attempt, execute: true, map: true },
  { path: program, execute: true, map: false },
  { path: original, execute: true, map: false },
  { path: library, execute: false, map: true },
  ...closure.files.map(({ real }) => ({ path: real, execute: false, map: true })),
]

type Expected = readonly [line: string, hook: LsmDenial['hook'], reason: LsmDenial['reason']]

/** Must get through with the programs as without. */
const ALLOWED: readonly string[] = [
  `exec ${program}`,
  `exec ${join(scratch, 'link')}`,
  `exec ${join(scratch, 'symlink')}`,
  `dlopen ${library}`,
  `map ${library}`,
  `protect ${library}`,
]

/** Must be refused with EPERM and one event, and get through without the programs. */
const DENIED: readonly Expected[] = [
  [`exec ${unlisted}`, 'exec', 'unlisted'],
  [`exec ${join(scratch, 'dropped')}`, 'exec', 'unlisted'],
  [`exec ${join(scratch, 'script')}`, 'exec', 'unlisted'],
  [`exec ${loader} ${program}`, 'exec', 'not-executable'],
  [`exec ${libc}`, 'exec', 'not-executable'],
  [`memfd-exec ${program}`, 'exec', 'unlisted'],
  [`memfd-map ${program}`, 'map', 'unlisted'],
  [`dlopen ${otherLibrary}`, 'map', 'unlisted'],
  [`map ${unlisted}`, 'map', 'unlisted'],
  [`map-shared ${unlisted}`, 'map', 'unlisted'],
  [`map-implied ${unlisted}`, 'map', 'unlisted'],
  [`map-writable ${library}`, 'map', 'anonymous'],
  [`protect ${unlisted}`, 'protect', 'unlisted'],
  [`protect-writable ${library}`, 'protect', 'anonymous'],
  [`protect-written ${library}`, 'protect', 'anonymous'],
  ['anonymous -', 'map', 'anonymous'],
  ['anonymous-shared -', 'map', 'anonymous'],
  ['anonymous-protect -', 'protect', 'anonymous'],
  ['shm -', 'map', 'anonymous'],
  ['shm-read -', 'map', 'unlisted'],
]

function prepare(): void {
  mkdirSync(scratch, { recursive: true })
  const copy = (from: string, to: string): void => {
    copyFileSync(from, to)
    chmodSync(to, 0o755)
  }
  copy(program, unlisted)
  copy(program, join(scratch, 'dropped'))
  copy(program, original)
  linkSync(original, join(scratch, 'link'))
  symlinkSync(program, join(scratch, 'symlink'))
  writeFileSync(join(scratch, 'script'), `#!${program}\n`, { mode: 0o755 })
}

interface Outcome {
  readonly status: number | null
  readonly answers: readonly string[]
  readonly events: readonly LsmDenial[]
  readonly dropped: bigint
  readonly stderr: string
}

let records = 0

function recordOf(object: BpfObject | undefined): string {
  if (object === undefined) return '-'
  const path = join(scratch, `record-${records++}`)
  writeFileSync(path, encodeBpf(object))
  return path
}

/** Runs `command` as a member of the group under the programs. */
function under(object: BpfObject | undefined, group: string, command: readonly string[], input = ''): Outcome {
  const { status, stdout, stderr } = spawnSync(driver, ['run', recordOf(object), group, ...command], {
    encoding: 'utf8',
    input,
    timeout: 60_000,
    maxBuffer: 1 << 26,
  })
  const events: LsmDenial[] = []
  for (const [, hex = ''] of stderr.matchAll(new RegExp(`^event ${LSM_EVENTS_MAP} ([0-9a-f]+)$`, 'gm'))) {
    const event = readLsmEvent(Buffer.from(hex, 'hex'))
    if (event === undefined) throw new Error(`not an event: ${hex}`)
    events.push(event)
  }
  const dropped = new RegExp(`^map ${LSM_DROPPED_MAP} ([0-9a-f]{16})$`, 'm').exec(stderr)?.[1]
  return {
    status,
    answers: stdout.trimEnd().split('\n'),
    events,
    dropped: dropped === undefined ? 0n : Buffer.from(dropped, 'hex').readBigUInt64LE(),
    stderr: stderr.replaceAll(/^(event|map|lost) .*\n/gm, ''),
  }
}

async function withGroup(use: (group: string, id: bigint, cgroups: Cgroups) => unknown): Promise<unknown> {
  const opened = openCgroups()
  if (!opened.ok) throw new Error(opened.reason)
  const { cgroups } = opened
  try {
    if (cgroups.paths.v2 === undefined || cgroups.id === undefined) throw new Error('no cgroup v2')
    return await use(cgroups.paths.v2, cgroups.id, cgroups)
  } finally {
    await cgroups.kill()
    await cgroups.remove()
  }
}

function lines(list: readonly string[]): string {
  return `${list.join('\n')}\n`
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

prepare()
const btf = kernelBtf()
const held = openLsmFiles(LISTED)
const { files } = held

await check('probe: the programs load, attach and refuse', async () => {
  const probe = await probeLsm(nativeFile('launcher'), nativeFile('selftest'))
  if (!probe.supported) throw new Error(JSON.stringify(probe))
})

await check('without the programs every attempt gets through', () =>
  withGroup((group) => {
    const attempts = [...ALLOWED, ...DENIED.map(([line]) => line)]
    const { answers, stderr } = under(undefined, group, [attempt], lines(attempts))
    expectSame(
      attempts.map((line, index) => `${line}: ${answers[index]}`).filter((text) => !text.endsWith(': ok')),
      [],
    )
    expectSame(stderr, '')
    return `${attempts.length} attempts`
  }),
)

await check('listed files run and are mapped', () =>
  withGroup((group, cgroup) => {
    const { answers, events, stderr } = under(lsmPrograms(btf, { cgroup, files }), group, [attempt], lines(ALLOWED))
    expectSame(stderr, '')
    expectSame(
      ALLOWED.map((line, index) => `${line}: ${answers[index]}`).filter((text) => !text.endsWith(': ok')),
      [],
    )
    expectSame(events, [])
    return `${ALLOWED.length} attempts`
  }),
)

for (const [line, hook, reason] of DENIED) {
  const [kind = '', path = ''] = line.split(' ')
  await check(`refused with an event: ${kind} ${path.replace(directory, '').replace(/^.*\//, '')}`.trim(), () =>
    withGroup((group, cgroup) => {
      const { answers, events, dropped, stderr } = under(
        lsmPrograms(btf, { cgroup, files }),
        group,
        [attempt],
        lines([line]),
      )
      expectSame(stderr, '')
      expectSame(answers, ['EPERM'])
      expectSame(
        events.map((event) => [event.hook, event.reason, event.errno]),
        [[hook, reason, 1]],
      )
      expectSame(String(dropped), '0')
      const [event] = events
      return `${hook} ${reason} pid ${event?.pid} ${event?.comm} ${(event?.dev ?? 0) >>> 20}:${(event?.dev ?? 0) & 0xfffff} ${event?.ino}`
    }),
  )
}

await check('events that do not fit are counted', () =>
  withGroup((group, cgroup) => {
    const many = 6_000
    const { answers, events, dropped } = under(
      lsmPrograms(btf, { cgroup, files }),
      group,
      [attempt],
      lines([`map-often ${unlisted} ${many}`]),
    )
    expectSame(answers, ['EPERM'])
    expectSame(events.length + Number(dropped), many)
    if (dropped === 0n) throw new Error('none was dropped')
    return `${events.length} events, ${dropped} dropped`
  }),
)

await check('others on the host are not looked at', () =>
  withGroup(async (group, cgroup) => {
    const record = recordOf(lsmPrograms(btf, { cgroup, files }))
    const member = spawn(driver, ['run', record, group, attempt], { stdio: ['pipe', 'pipe', 'ignore'] })
    const { stdin, stdout } = member
    if (stdin === null || stdout === null) throw new Error('no pipes')
    stdin.write(`exec ${unlisted}\n`)
    const [first] = (await once(stdout, 'data')) as [Buffer]
    expectSame(first.toString(), 'EPERM\n')
    const attempts = DENIED.map(([line]) => line)
    const outside = spawnSync(attempt, { encoding: 'utf8', input: lines(attempts) })
    expectSame(
      outside.stdout.trimEnd().split('\n'),
      attempts.map(() => 'ok'),
    )
    stdin.end()
    await exited(member)
    return `${attempts.length} attempts beside a live box`
  }),
)

await check('a group without any listed file runs nothing', () =>
  withGroup((group, cgroup) => {
    const { status, stderr } = under(lsmPrograms(btf, { cgroup, files: [] }), group, [program])
    expectSame([status, /Operation not permitted/.test(stderr)], [125, true])
  }),
)

await check('executable memory is a right: Node runs with it and not without', () =>
  withGroup((group, cgroup) => {
    const node = realpathSync(process.execPath)
    const libraries = libraryClosure(nodeHostFiles, [node], { machine }).files
    const mine = openLsmFiles([
      { path: node, execute: true, map: false },
      ...libraries.map(({ real }) => ({ path: real, execute: false, map: true })),
    ])
    try {
      const command = [node, '-e', 'let n = 0; for (let i = 0; i < 1e6; i++) n += i; process.exit(n > 0 ? 7 : 1)']
      const granted = { cgroup, files: mine.files, executableMemory: true }
      const { status, events } = under(lsmPrograms(btf, granted), group, command)
      expectSame([status, events], [7, []])
      const without = under(lsmPrograms(btf, { cgroup, files: mine.files }), group, command)
      if (without.status === 7) throw new Error('it ran without the right')
      expectSame([...new Set(without.events.map(({ reason }) => reason))], ['anonymous'])
      // The right is for memory: files that are not listed stay closed.
      const other = under(lsmPrograms(btf, granted), group, [
        node,
        '-e',
        `try { require('node:child_process').execFileSync(${JSON.stringify(unlisted)}) } catch (e) { process.exit(e.code === 'EPERM' ? 9 : 1) }`,
      ])
      expectSame([other.status, other.events.map(({ hook, reason }) => `${hook} ${reason}`)], [9, ['exec unlisted']])
    } finally {
      mine.close()
    }
  }),
)

await check('the box ends with its launcher', () =>
  withGroup(async (group, cgroup, cgroups) => {
    const setup: BoxSetup = {
      kind: 'namespaces',
      userNamespace: false,
      network: 'none',
      hostname: 'box',
      mounts: [
        { type: 'dev' },
        { type: 'proc' },
        ...[attempt, program, ...closure.files.map(({ path }) => path)].map(
          (path) =>
            ({ type: 'bind', source: realpathSync(path), target: path, access: 'execute', recursive: false }) as const,
        ),
        { type: 'bind', source: scratch, target: scratch, access: 'read', recursive: false },
      ],
      workdir: '/',
      listeners: [],
      rlimits: [],
      seccomp: Uint8Array.of(0x06, 0, 0, 0, 0, 0, 0xff, 0x7f),
      notify: false,
      cgroups: cgroups.paths,
      bpf: lsmPrograms(btf, { cgroup, files }),
    }
    const launcher = nativeFile('launcher')
    const box = await Launcher.start(setup, {
      file: launcher.path,
      sourceDigest: launcher.sourceDigest,
      onListener: () => Promise.resolve(),
      onFact: () => undefined,
    })
    const command = await box.command({
      file: attempt,
      args: [attempt],
      env: {},
      cwd: '/',
      stdio: ['channel', 'channel', 'null'],
      keepSession: false,
    })
    const [input, output] = command.channels
    if (input === undefined || output === undefined) throw new Error('no channels')
    const ask = async (line: string): Promise<string> => {
      input.write(`${line}\n`)
      const [data] = (await once(output, 'data')) as [Buffer]
      return data.toString().trim()
    }
    expectSame(await ask(`exec ${program}`), 'ok')
    expectSame(await ask('anonymous -'), 'EPERM')
    const members = readFileSync(join(group, 'cgroup.procs'), 'utf8').trim().split('\n').length
    if (members < 2) throw new Error(`${members} members`)
    box.abandon()
    await box.ended
    // The programs go with the launcher, so nothing of the box may outlive it.
    for (let tries = 0; tries < 100 && readFileSync(join(group, 'cgroup.procs'), 'utf8') !== ''; tries++)
      await sleep(20)
    expectSame(readFileSync(join(group, 'cgroup.procs'), 'utf8'), '')
    return `${members} members, none left`
  }),
)

await check('a file that an overlay could confuse with another is refused', () => {
  const base = '/run/overlay-test'
  const sh = (command: string): void => {
    const { status, stderr } = spawnSync('/bin/busybox', ['sh', '-c', command], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }
  sh(`mkdir -p ${base} && mount -t tmpfs t ${base} && mkdir ${base}/up ${base}/work ${base}/both`)
  sh(`mount -t overlay o -o lowerdir=/usr/bin,upperdir=${base}/up,workdir=${base}/work ${base}/both`)
  try {
    let said = 'listed'
    try {
      openLsmFiles([{ path: `${base}/both/true`, execute: true, map: true }]).close()
    } catch (error) {
      said = error instanceof Error ? error.message : String(error)
    }
    if (!/other numbers than the kernel uses/.test(said)) throw new Error(said)
    return said
  } finally {
    sh(`umount ${base}/both; umount ${base}`)
  }
})

await check('a box of the enforcer: what reaches the programs is reported', async () => {
  const pattern = (text: string) => {
    const parsed = parsePathPattern(text)
    if (!parsed.ok) throw new Error(text)
    return parsed.pattern
  }
  const tree = pattern(`${scratch}/**`)
  const grant = { rule: 'test', writes: [tree], reads: [tree], binaries: [attempt, program].map(pattern) }
  const { profile } = compileProfile(
    {
      readablePaths: [tree],
      writablePaths: [tree],
      allowedBinaries: [attempt, program],
      allowedLibraries: [],
      allowedHosts: [],
      allowedEnv: [],
      forbiddenSyscalls: [],
      executionMode: 'shared',
    },
    { permits: [grant], forbids: [] },
  )
  const enforcer = await LinuxEnforcer.open({ lsm: 'required' })
  const box = await enforcer.open(profile)
  expectSame(/BPF LSM/.test(box.report.features.fs_execute.mechanism), true)
  const denied: string[] = []
  const reading = (async () => {
    for await (const event of box.events) if (event.type === 'denied') denied.push(`${event.feature} ${event.subject}`)
  })()
  const attempts = [`exec ${program}`, `exec ${unlisted}`, `map ${unlisted}`, `map ${libc}`]
  const command = await box.spawn({ file: attempt, args: [], cwd: scratch, env: {}, stdin: 'pipe' })
  const writer = command.stdin?.getWriter()
  await writer?.write(new TextEncoder().encode(lines(attempts)))
  await writer?.close()
  const output = await new Response(command.stdout).text()
  await command.exited
  await box.close()
  await reading
  // The mount refuses an execve before any security module is asked, and tells nobody.
  expectSame(output.trimEnd().split('\n'), ['ok', 'EACCES', 'EPERM', 'ok'])
  expectSame(
    denied.map((text) => text.replaceAll(/\d+/g, 'N')),
    ['fs_execute map as code: file N on device N:N'],
  )
  return denied.join(', ')
})

held.close()

const doctor = join(directory, 'dist/cli/bin.mjs')
if (existsSync(doctor)) {
  await check('agentport doctor: the self-test of a box on this kernel', () => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [doctor, 'doctor', '--json'], {
      encoding: 'utf8',
      timeout: 120_000,
    })
    type Doctor = {
      readonly features?: Readonly<Record<string, { readonly support: string; readonly reason?: string }>>
      readonly facts?: { readonly landlockAbi: number }
    }
    if (stdout.trim() === '') throw new Error(`status ${status}: ${stderr}`)
    const { features, facts } = JSON.parse(stdout) as Doctor
    if (features === undefined) throw new Error(stdout)
    const bad = Object.entries(features).filter(([, { support }]) => support !== 'supported')
    if (bad.length > 0)
      throw new Error(bad.map(([name, { support, reason }]) => `${name} ${support}: ${reason}`).join('; '))
    return `${Object.keys(features).length} features, Landlock ABI ${facts?.landlockAbi}`
  })
}

process.exitCode = failures() === 0 ? 0 : 1
