// Every step of making a box, failing. Whatever it is, there is no box, no command has run, the error names the step, and
// nothing is left behind: half a box is no box.

import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'

import type { BoxSetup, MountItem } from '../../src/linux/box.ts'
import { nodeHostFiles } from '../../src/linux/host-files.ts'
import { LaunchError, Launcher } from '../../src/linux/launcher.ts'
import { type NativeFile, nativeFile } from '../../src/linux/native.ts'
import { type HostFacts, planBox } from '../../src/linux/plan.ts'
import { buildHider, type Hidden, type Hider } from './support/hide.ts'
import { ownDirectory, removeDirectories } from './support/linux-box.ts'
import { mountTargets } from './support/linux-host.ts'
import { linuxEnforcer, profileOf } from './support/linux-supervised.ts'
import { kernelSuite } from './support/suite.ts'

/** `return SECCOMP_RET_ALLOW`. */
const ALLOW_ALL = Uint8Array.of(0x06, 0, 0, 0, 0, 0, 0xff, 0x7f)

removeDirectories()

let facts: HostFacts
let launcher: NativeFile
let work: string

async function prepare(): Promise<void> {
  facts = (await (await linuxEnforcer()).host()).facts
  launcher = nativeFile('launcher')
}

/** The setup of a box for `manifest`, as it is made on this host. */
function plan(manifest: string, change: Partial<BoxSetup> = {}): BoxSetup {
  const { setup } = planBox(profileOf(manifest, { WORK: work }), facts, nodeHostFiles)
  return { ...setup, ...change }
}

const TRUE = 'skill: faults\nallowed_binaries: [/usr/bin/true]\n'
const GRANTED = `${TRUE}readable_paths: ["\${WORK}/given/**"]\n`
const REACHING = `${TRUE}allowed_hosts: ["http://127.0.0.1:8080"]\n`

// Kept open until the test is over, as a proxy would.
const handles: { close(): void }[] = []
afterEach(() => {
  for (const handle of handles.splice(0)) handle.close()
})

function begin(setup: BoxSetup, file = launcher.path): Promise<Launcher> {
  return Launcher.start(setup, {
    file,
    sourceDigest: launcher.sourceDigest,
    onListener: (_name, handle) => {
      handles.push(handle as { close(): void })
      return Promise.resolve()
    },
    onFact: () => undefined,
  })
}

async function runTrue(box: Launcher): Promise<number | undefined> {
  const file = '/usr/bin/true'
  const stdio = ['null', 'null', 'null'] as const
  const { status } = await box.command({ file, args: [file], env: {}, cwd: '/', stdio, keepSession: false })
  return status
}

async function works(setup: BoxSetup, file?: string): Promise<void> {
  const box = await begin(setup, file)
  expect(await runTrue(box)).toBe(0)
  box.kill()
  expect(await box.ended).toBe(true)
}

/** What refused the box; a box that was made all the same is ended, and says so. */
async function failure(setup: BoxSetup, file?: string): Promise<unknown> {
  const mounts = mountTargets()
  try {
    const box = await begin(setup, file)
    box.kill()
    return await box.ended
  } catch (error) {
    expect(mountTargets()).toEqual(mounts)
    expect(error).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
    return error
  }
}

function expectStep(error: unknown, step: string | RegExp, errno?: string): void {
  expect(error).toBeInstanceOf(LaunchError)
  const found = error as LaunchError
  expect(found.step).toMatch(step instanceof RegExp ? step : new RegExp(`^${step}$`))
  if (errno !== undefined) expect(found.errno).toBe(errno)
  expect(found.message).toContain(found.step)
}

await kernelSuite('a system call that fails while a box is made', () => {
  let hider: Hider
  beforeAll(async () => {
    ;[hider] = await Promise.all([buildHider(), prepare()])
    work = await ownDirectory()
    mkdirSync(join(work, 'given'))
  }, 60_000)
  afterAll(() => hider?.remove())

  test('none: the box works', async () => {
    await works(plan(GRANTED), await hider.program(launcher.path, [{ syscall: 'mknod', errno: 'EPERM' }]))
    await works(plan(REACHING))
  })

  const one = (syscall: string, ...value: readonly number[]): Hidden => ({
    syscall,
    errno: 'EPERM',
    ...(value[0] === undefined ? {} : { when: { argument: 0, value: value[0] } }),
  })

  // Numbers are those of prctl(2).
  test.each([
    ['the clone', one('clone3'), 'clone'],
    ['the host name', one('sethostname'), 'host name'],
    ['the first mount', one('mount'), 'private mounts'],
    ['opening what is bound', one('openat2'), 'open'],
    ['copying what is bound', one('open_tree'), 'open_tree'],
    ['restricting what is bound', one('mount_setattr'), 'mount_setattr'],
    ['moving what is bound', one('move_mount'), 'move_mount'],
    ['making a mount point', one('mknodat'), 'mount point'],
    ['making a directory', one('mkdirat'), /mkdir|mount point/],
    ['making a link', one('symlinkat'), 'symlink'],
    ['changing the root', one('pivot_root'), 'pivot_root'],
    ['leaving the old root', one('umount2'), 'old root'],
    ['entering the new root', one('chdir'), 'new root'],
    ['dying with the parent', one('prctl', 1), undefined],
    ['giving up capabilities', one('capset'), 'capabilities'],
    ['not being dumped', one('prctl', 4), 'not dumpable'],
    ['gaining nothing by exec', one('prctl', 38), 'no_new_privs'],
    ['limits', one('prlimit64'), 'limit'],
    ['the rules of Landlock', one('landlock_create_ruleset'), 'landlock'],
    ['a rule of Landlock', one('landlock_add_rule'), 'landlock path'],
    ['taking Landlock', one('landlock_restrict_self'), 'landlock'],
    ['taking seccomp', one('seccomp'), 'seccomp'],
    ['watching children', one('signalfd4'), 'serve'],
  ] satisfies readonly (readonly [string, Hidden, string | RegExp | undefined])[])(
    '%s',
    async (_title, hidden, step) => {
      const error = await failure(plan(GRANTED), await hider.program(launcher.path, [hidden]))
      if (hidden.syscall.startsWith('landlock') && facts.landlockAbi === 0) return
      // Before the launcher knows anything, it can only go away; that is a refusal too.
      if (step === undefined) expect(error).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
      else expectStep(error, step)
    },
  )

  test.each([
    ['a socket', one('socket'), 'loopback'],
    ['the loopback interface', one('ioctl'), 'loopback'],
    ['an address', one('bind'), 'listener'],
    ['listening', one('listen'), 'listener'],
    ['handing it over', one('sendmsg'), undefined],
  ] satisfies readonly (readonly [string, Hidden, string | undefined])[])(
    'of its network: %s',
    async (_title, hidden, step) => {
      const error = await failure(plan(REACHING), await hider.program(launcher.path, [hidden]))
      if (step === undefined) expect(error).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
      else expectStep(error, step)
    },
  )

  test.each([
    ['the pipe for its report', [one('pipe2')], 'pipe'],
    ['a session of its own', [one('setsid')], 'session'],
    ['its descriptors', [one('close_range')], 'descriptors'],
    ['the process itself', [one('clone'), one('fork')], 'fork'],
  ] satisfies readonly (readonly [string, readonly Hidden[], string])[])(
    'for a command: %s, and the next is refused as well',
    async (_title, hidden, step) => {
      const box = await begin(plan(TRUE), await hider.program(launcher.path, hidden))
      try {
        for (let round = 0; round < 2; round++) {
          await expect(runTrue(box)).rejects.toMatchObject({
            code: 'ERR_SPAWN_FAILED',
            message: expect.stringContaining(step),
          })
        }
      } finally {
        box.kill()
        await box.ended
      }
    },
  )
})

await kernelSuite('a setup that cannot be carried out', () => {
  beforeAll(prepare, 60_000)
  beforeEach(async () => {
    work = await ownDirectory()
    mkdirSync(join(work, 'given'))
    writeFileSync(join(work, 'given', 'file'), 'text')
  })

  const item = (change: MountItem): Partial<BoxSetup> => ({ mounts: [...plan(TRUE).mounts, change] })
  const bind = (source: string, target: string): MountItem => ({
    type: 'bind',
    source,
    target,
    access: 'read',
    recursive: true,
  })

  test.each([
    ['a source that is not there', () => item(bind('/none', '/none')), 'open', 'ENOENT'],
    ['a device', () => item(bind('/dev/null', '/x')), 'bind of a special file', 'EINVAL'],
    ['a link', () => item(bind('/proc/self', '/x')), 'open', 'ELOOP'],
    ['a mount point in what is read-only', () => item(bind('/usr', '/usr/bin/true/x')), /mount point|mkdir/, undefined],
    ['a target that climbs out', () => item(bind(work, '/tmp/../../x')), 'mount point', undefined],
    ['a link twice', () => ({ mounts: [...plan(TRUE).mounts, link('/l'), link('/l')] }), 'symlink', 'EEXIST'],
    ['a host name that is too long', () => ({ hostname: 'x'.repeat(100) }), 'host name', 'EINVAL'],
    ['a working directory that is not there', () => ({ workdir: '/none' }), 'working directory', 'ENOENT'],
    ['a control group that is not there', () => ({ cgroups: { v1: ['/none'] } }), 'control group', 'ENOENT'],
    ['another one', () => ({ cgroups: { v2: '/none', v1: [] } }), 'control group', 'ENOENT'],
    ['a limit that is none', () => ({ rlimits: [{ resource: 99, limit: 1n }] }), 'limit', 'EINVAL'],
    ['a filter without an end', () => ({ seccomp: Uint8Array.of(0x20, 0, 0, 0, 0, 0, 0, 0) }), 'seccomp', 'EINVAL'],
    ['a filter that is cut off', () => ({ seccomp: ALLOW_ALL.slice(0, 7) }), 'seccomp', 'EINVAL'],
    ['no filter', () => ({ seccomp: new Uint8Array(0) }), 'setup', 'EINVAL'],
    ['a listener twice', () => listening(twice), 'listener', 'EADDRINUSE'],
    ['a listener by a wrong name', () => listening([{ ...listener, name: 'a"b' }]), 'listener', 'EINVAL'],
    ['a bit that Landlock does not know', () => landlock(1n << 60n), 'landlock', 'EINVAL'],
  ] satisfies readonly (readonly [string, () => Partial<BoxSetup>, string | RegExp, string | undefined])[])(
    '%s',
    async (title, change, step, errno) => {
      if (title.includes('Landlock') && facts.landlockAbi === 0) return
      expectStep(await failure(plan(TRUE, change())), step, errno)
      await works(plan(TRUE))
    },
  )

  const link = (target: string): MountItem => ({ type: 'symlink', target, to: '/tmp' })
  const listener = { name: 'one', address: '127.0.0.1', port: 8080 }
  const twice = [listener, { ...listener, name: 'two' }]
  const listening = (listeners: BoxSetup['listeners']): Partial<BoxSetup> => ({ network: 'loopback', listeners })
  const landlock = (handledFs: bigint): Partial<BoxSetup> => ({
    landlock: { handledFs, handledNet: 0n, scoped: 0n, attributeSize: 8, paths: [], ports: [] },
  })
})

await kernelSuite('a host that changes between the plan and the box', () => {
  beforeAll(prepare, 60_000)
  beforeEach(async () => {
    work = await ownDirectory()
    mkdirSync(join(work, 'given'))
    writeFileSync(join(work, 'given', 'file'), 'text')
    mkdirSync(join(work, 'secret'))
  })

  test('a granted directory is removed', async () => {
    const setup = plan(GRANTED)
    await works(setup)
    rmSync(join(work, 'given'), { recursive: true })
    expectStep(await failure(setup), 'open', 'ENOENT')
  })

  test.each([
    ['the granted directory', 'given', (name: string) => `${name}/**`],
    ['a directory above it', 'above', (name: string) => `${name}/given/**`],
  ])('%s becomes a link to another: nobody gets the other', async (_title, name, pattern) => {
    mkdirSync(join(work, name, 'given'), { recursive: true })
    mkdirSync(join(work, 'secret', 'given'))
    const setup = plan(`${TRUE}readable_paths: ["\${WORK}/${pattern(name)}"]\n`)
    await works(setup)
    renameSync(join(work, name), join(work, 'moved'))
    symlinkSync(join(work, 'secret'), join(work, name))
    expectStep(await failure(setup), 'open', 'ELOOP')
  })

  test('a granted file becomes a pipe, a directory a file', async () => {
    const file = join(work, 'given', 'file')
    const setup = plan(`${TRUE}readable_paths: ["\${WORK}/given/file"]\n`)
    await works(setup)
    rmSync(file)
    execFileSync('mkfifo', [file])
    expectStep(await failure(setup), 'bind of a special file', 'EINVAL')
    rmSync(file)
    writeFileSync(file, 'another')
    await works(setup)
  })

  test('a listed program is removed', async () => {
    const program = join(work, 'program')
    execFileSync('cp', ['/usr/bin/true', program])
    const setup = plan(`skill: faults\nallowed_binaries: ["${program}", /usr/bin/true]\n`)
    await works(setup)
    rmSync(program)
    expectStep(await failure(setup), 'open', 'ENOENT')
  })
})

await kernelSuite('a launcher with too little', () => {
  beforeAll(async () => {
    await prepare()
    work = await ownDirectory()
    mkdirSync(join(work, 'given'))
  }, 60_000)

  async function limited(limits: string): Promise<string> {
    const path = join(work, `limited-${limits.replaceAll(/\W/g, '')}`)
    writeFileSync(path, `#!/bin/sh\n${limits}\nexec ${launcher.path} "$@"\n`, { mode: 0o755 })
    return path
  }

  test('descriptors', async () => {
    expectStep(await failure(plan(GRANTED), await limited('ulimit -n 12')), /./, 'EMFILE')
  })

  test('size of files', async () => {
    const error = await failure(plan(GRANTED), await limited('ulimit -f 0'))
    expect(error).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
  })

  test('memory', async () => {
    const error = await failure(plan(GRANTED), await limited('ulimit -v 64'))
    expect(error).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
  })

  test('processes', async () => {
    // Root has as many as it likes.
    if (process.geteuid?.() === 0) return
    expectStep(await failure(plan(GRANTED), await limited('ulimit -u 0 2>/dev/null || ulimit -p 0')), 'clone', 'EAGAIN')
  })

  test('and one that is no launcher', async () => {
    for (const script of ['exit 0', 'echo not a frame >&3; sleep 1', 'exec 3>&- 4>&-; sleep 1', 'kill -KILL $$']) {
      const path = join(work, 'other')
      writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
      const began = performance.now()
      expect(await failure(plan(TRUE), path), script).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
      expect(performance.now() - began).toBeLessThan(5_000)
    }
    expect(await failure(plan(TRUE), join(work, 'none'))).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
  })

  test('a launcher that another program was put in the place of is refused', async () => {
    const { LinuxEnforcer } = await import('../../src/linux/linux-enforcer.ts')
    const path = join(work, 'replaced')
    writeFileSync(path, '#!/bin/sh\nexit 0\n', { mode: 0o777 })
    execFileSync('chmod', ['777', path])
    await expect(LinuxEnforcer.open({ launcher: path })).rejects.toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
  })
})
