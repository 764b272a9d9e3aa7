import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type PathPattern, pathMatches } from '../../src/core/path-pattern.ts'
import { compileProfile, type Profile, type ProfileNeed } from '../../src/enforcer/profile.ts'
import type { MountItem } from '../../src/linux/box.ts'
import { isWithin, parentOf } from '../../src/linux/grants.ts'
import { type HostFiles, rememberFiles, resolvePath } from '../../src/linux/host-files.ts'
import { type MountPlan, planMounts } from '../../src/linux/mount-plan.ts'
import { kernelMounts } from '../../src/linux/system-files.ts'
import { hosts, NOTHING, paths } from '../enforcer/helpers.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { DEBIAN, elf, host, LD, type Node } from './host.ts'

const OPTIONS = { machine: 'x64', uid: 1001, gid: 1001, hostname: 'box', tmpBytes: 1 << 20 } as const
const debian = rememberFiles(host(DEBIAN))

interface Forbidden {
  readonly reads?: readonly PathPattern[]
  readonly writes?: readonly PathPattern[]
  readonly executes?: readonly PathPattern[]
}

function profile(need: Partial<ProfileNeed>, forbid: Forbidden = {}): Profile {
  const all = paths('/**')
  return compileProfile(
    { ...NOTHING, ...need },
    {
      permits: [
        { rule: 'permit', reads: all, writes: all, executes: all, binaries: all, libraries: all, hosts: hosts('*:*') },
      ],
      forbids: [{ rule: 'forbid', ...forbid }],
    },
  ).profile
}

function plan(
  need: Partial<ProfileNeed>,
  forbid: Forbidden = {},
  files: HostFiles = debian,
  more: object = {},
): MountPlan {
  return planMounts(profile(need, forbid), files, { ...OPTIONS, ...more })
}

const withFiles = (table: Readonly<Record<string, Node>>): HostFiles => host({ ...DEBIAN, ...table })
const targets = (mounts: readonly MountItem[]): string[] =>
  mounts.map((item) => ('target' in item ? item.target : `/${item.type}`))
const at = (tree: MountPlan, target: string): MountItem | undefined =>
  tree.mounts.find((item) => 'target' in item && item.target === target)
const refusals = (tree: MountPlan): string[] => tree.unrepresentable.map(({ kind, text }) => `${kind} ${text}`)

describe('grants', () => {
  test('nothing granted is nothing of the host but the table of system files', () => {
    const tree = plan({})
    expect(tree.unrepresentable).toEqual([])
    expect(targets(tree.mounts)).toEqual([
      '/dev',
      '/proc',
      '/etc/group',
      '/etc/hostname',
      '/etc/hosts',
      '/etc/ld.so.cache',
      '/etc/localtime',
      '/etc/nsswitch.conf',
      '/etc/passwd',
      '/tmp',
      '/usr/share/zoneinfo/UTC',
    ])
    expect(at(tree, '/tmp')).toEqual({ type: 'tmpfs', target: '/tmp', bytes: 1 << 20, mode: 0o1777, readonly: false })
  })

  test('certificates and a name server only where some host is granted', () => {
    const tree = plan({ allowedHosts: hosts('api.example.com') })
    expect(at(tree, '/etc/ssl/certs')).toMatchObject({ type: 'bind', access: 'read', recursive: true })
    expect(at(tree, '/etc/resolv.conf')).toMatchObject({ content: expect.stringContaining('use-vc') })
    expect(at(plan({}), '/etc/ssl/certs')).toBeUndefined()
    expect(at(plan({}), '/etc/resolv.conf')).toBeUndefined()
  })

  test('system files only as root keeps them for everybody, and not where they are forbidden', () => {
    for (const node of [
      { content: 'x', uid: 1001 },
      { content: 'x', mode: 0o666 },
      { content: 'x', mode: 0o600 },
    ]) {
      expect(at(plan({}, {}, withFiles({ '/etc/ld.so.cache': node })), '/etc/ld.so.cache')).toBeUndefined()
    }
    const made = profile({ allowedHosts: hosts('example.com') })
    expect(at(planMounts(made, debian, OPTIONS), '/etc/ssl/certs')).toBeDefined()
    const denied = { ...made.denied, read: paths('/etc/ssl/**').map((value) => ({ value, rule: 'forbid' })) }
    const tree = planMounts({ ...made, denied }, debian, OPTIONS)
    expect(tree.unrepresentable).toEqual([])
    expect(at(tree, '/etc/ssl/certs')).toBeUndefined()
    expect(tree.notes).toContain('/etc/ssl/certs is left out of the box: it is forbidden')
  })

  test('trees, files, and a directory alone', () => {
    const tree = plan({
      readablePaths: paths('/srv/data/**', '/home/bob/.ssh/id', '/home/bob/project/src'),
      writablePaths: paths('/srv/out/**'),
    })
    const bind = (path: string, access: string, recursive: boolean) => ({
      type: 'bind',
      source: path,
      target: path,
      access,
      recursive,
    })
    expect(at(tree, '/srv/data')).toEqual(bind('/srv/data', 'read', true))
    expect(at(tree, '/srv/out')).toEqual(bind('/srv/out', 'write', true))
    expect(at(tree, '/home/bob/.ssh/id')).toEqual(bind('/home/bob/.ssh/id', 'read', false))
    expect(at(tree, '/home/bob/project/src')).toEqual({ type: 'directory', target: '/home/bob/project/src' })
    expect(tree.notes.join()).toContain('appears empty')
  })

  test('a program comes with its interpreter, its libraries and every link to them', () => {
    const tree = plan({ allowedBinaries: ['/usr/bin/python3', '/bin/sh'] })
    expect(tree.unrepresentable).toEqual([])
    for (const path of ['/usr/bin/python3.11', '/usr/bin/dash', '/usr/lib/x86_64-linux-gnu/libc.so.6']) {
      expect(at(tree, path)).toEqual({ type: 'bind', source: path, target: path, access: 'execute', recursive: false })
    }
    expect(at(tree, '/bin')).toEqual({ type: 'symlink', target: '/bin', to: 'usr/bin' })
    expect(at(tree, '/lib64')).toEqual({ type: 'symlink', target: '/lib64', to: 'usr/lib64' })
    expect(at(tree, '/usr/bin/python3')).toEqual({ type: 'symlink', target: '/usr/bin/python3', to: 'python3.11' })
    expect(at(tree, '/usr/bin/tool')).toBeUndefined()
  })

  test('a glob of library names stands for the files that are there', () => {
    const tree = plan({ allowedLibraries: paths('/lib/x86_64-linux-gnu/libssl.so*') })
    expect(at(tree, '/usr/lib/x86_64-linux-gnu/libssl.so.3')).toMatchObject({ access: 'execute', recursive: false })
    expect(at(tree, '/usr/lib/x86_64-linux-gnu/libc.so.6')).toMatchObject({ access: 'execute' })
  })

  test('what the programs of a tree need is found too', () => {
    const tree = plan({ executablePaths: paths('/opt/app/**') })
    expect(at(tree, '/opt/app')).toMatchObject({ access: 'execute', recursive: true })
    expect(at(tree, '/usr/lib/x86_64-linux-gnu/libc.so.6')).toMatchObject({ access: 'execute' })
    expect(at(tree, '/opt/app/lib/libapp.so')).toBeUndefined()
  })

  test('a link whose text steps back through a directory leads straight to its end', () => {
    const files = withFiles({
      '/usr/bin/odd': { link: '../share/../bin/dash' },
      '/usr/share/x/': '',
    })
    expect(at(plan({ allowedBinaries: ['/usr/bin/odd'] }, {}, files), '/usr/bin/odd')).toMatchObject({
      to: '/usr/bin/dash',
    })
  })

  test('synthetic files give way to a granted tree, and say so', () => {
    const tree = plan({ readablePaths: paths('/etc/**') })
    expect(at(tree, '/etc/passwd')).toBeUndefined()
    expect(tree.notes.join()).toContain('/etc/passwd')
  })

  test('an ephemeral box writes to memory', () => {
    const tree = plan({ writablePaths: paths('/srv/out/**'), executionMode: 'ephemeral' })
    expect(at(tree, '/srv/out')).toMatchObject({ type: 'tmpfs', readonly: false })
    expect(
      refusals(
        plan({
          readablePaths: paths('/srv/out/**'),
          writablePaths: paths('/srv/out/**', '/home/bob/project/src/a.ts'),
          executionMode: 'ephemeral',
        }),
      ),
    ).toEqual(['write /srv/out/**', 'write /home/bob/project/src/a.ts'])
  })
})

describe('what no mount tree can hold is refused by name', () => {
  test.each<[string, Partial<ProfileNeed>, RegExp]>([
    ['everything', { readablePaths: paths('/**') }, /whole file system/],
    ['a glob', { readablePaths: paths('/srv/data/*') }, /files of a pattern/],
    ['a glob inside', { readablePaths: paths('/srv/*/sub/**') }, /files of a pattern/],
    ['a tree in every directory', { writablePaths: paths('/home/**/src') }, /files of a pattern/],
    ['a missing path', { readablePaths: paths('/srv/none/**') }, /does not exist/],
    ['a missing directory to write', { writablePaths: paths('/srv/none/**') }, /does not exist/],
    ['a directory without its content', { writablePaths: paths('/srv/out') }, /covers nothing in it/],
    ['a device', { writablePaths: paths('/dev/sda') }, /never enters a box/],
    ['/proc', { readablePaths: paths('/proc/self/status') }, /never enters a box/],
    ['/sys', { readablePaths: paths('/sys/**') }, /never enters a box/],
    ['a fifo', { readablePaths: paths('/srv/fifo') }, /is a fifo/],
    ['a socket', { writablePaths: paths('/srv/socket') }, /is a socket/],
    ['a link of the user', { readablePaths: paths('/home/bob/shortcut/**') }, /symbolic link to \/home\/bob\/project/],
    ['a link of the user, to write', { writablePaths: paths('/home/bob/project/link/**') }, /symbolic link to \/etc/],
    ['a link of root to data', { readablePaths: paths('/srv/root-link/**') }, /symbolic link to \/home\/bob\/.ssh/],
    ['no such program', { allowedBinaries: ['/usr/bin/none'] }, /does not exist/],
    ['a directory for a program', { allowedBinaries: ['/usr/bin'] }, /is a directory/],
    ['a program that is not executable', { allowedBinaries: ['/usr/bin/text'] }, /not executable/],
    ['a 32-bit program', { allowedBinaries: ['/usr/bin/old'] }, /32-bit/],
    ['a program for another machine', { allowedBinaries: ['/usr/bin/arm'] }, /another machine/],
    [
      'a script without its interpreter',
      { allowedBinaries: ['/usr/bin/script'] },
      /interpreter \/bin\/sh is not granted/,
    ],
    ['libraries that are not there', { allowedLibraries: paths('/usr/lib/none*') }, /no file matches/],
    [
      'an executable tree in a writable one',
      { writablePaths: paths('/home/bob/**'), executablePaths: paths('/home/bob/project/bin/**') },
      /makes it writable/,
    ],
    [
      'a writable tree in one of libraries',
      { writablePaths: paths('/opt/app/lib/**'), allowedLibraries: paths('/opt/app/**') },
      /makes it writable/,
    ],
    [
      'a program that is itself writable',
      { writablePaths: paths('/home/bob/project/bin/own'), allowedBinaries: ['/home/bob/project/bin/own'] },
      /makes it writable/,
    ],
  ])('%s', (_, need, reason) => {
    const { unrepresentable } = plan(need)
    expect(unrepresentable).toEqual([
      expect.objectContaining({
        rule: 'permit',
        reason: expect.stringMatching(reason),
        fix: expect.stringMatching(/./),
      }),
    ])
  })

  test('and each of them is fine when what its fix says is done', () => {
    expect(plan({ readablePaths: paths('/home/bob/shortcut/**', '/home/bob/project/**') }).unrepresentable).toEqual([])
    expect(plan({ allowedBinaries: ['/usr/bin/script', '/bin/sh'] }).unrepresentable).toEqual([])
    expect(plan({ readablePaths: paths('/srv/data/**') }).unrepresentable).toEqual([])
  })

  test('a link that a user could replace does not lead to a program', () => {
    const files = withFiles({
      '/opt/tool': { link: '/usr/bin/tool', uid: 1001 },
      '/var/x/': { mode: 0o1777 },
      '/var/x/tool': { link: '/usr/bin/tool' },
    })
    expect(refusals(plan({ allowedBinaries: ['/opt/tool', '/var/x/tool'] }, {}, files))).toEqual([
      'binary /opt/tool',
      'binary /var/x/tool',
    ])
  })

  test('a link into a file system of the kernel is not followed, whatever is granted', () => {
    const files = withFiles({ '/srv/status': { link: '/proc/self/status' } })
    const need = { readablePaths: paths('/srv/status', '/proc/self/**') }
    expect(refusals(plan(need, {}, files))).toEqual(['read /srv/status', 'read /proc/self/**'])
  })

  test('a program that is forbidden by its real name is not run by another', () => {
    const tree = plan({ allowedBinaries: ['/usr/bin/python3'] }, { executes: paths('/usr/bin/python3.*') })
    expect(refusals(tree)).toEqual(['binary /usr/bin/python3'])
    expect(refusals(plan({ allowedBinaries: ['/usr/bin/tool'] }, { executes: paths('/**/liba.*') }))).toEqual([
      'library /lib/x86_64-linux-gnu/liba.so.1',
    ])
  })

  test('a program with a second name that may be writable (3.3: replace the listed file)', () => {
    const need = { writablePaths: paths('/home/bob/project/**'), allowedBinaries: ['/home/bob/project/bin/own'] }
    expect(plan(need).unrepresentable).toEqual([])
    const own = { content: elf({ interpreter: LD }), uid: 1001, mode: 0o755, links: 2 }
    expect(refusals(plan(need, {}, withFiles({ '/home/bob/project/bin/own': own })))).toEqual([
      'binary /home/bob/project/bin/own',
    ])
    // Outside the tree, on the same file system, and owned by who will be inside.
    const outside = { ...need, allowedBinaries: ['/opt/own'] }
    expect(refusals(plan(outside, {}, withFiles({ '/opt/own': own })))).toEqual(['binary /opt/own'])
    for (const change of [{ links: 1 }, { uid: 0 }, { dev: 2 }]) {
      expect(plan(outside, {}, withFiles({ '/opt/own': { ...own, ...change } })).unrepresentable).toEqual([])
    }
    // Both names in one directory: neither is writable.
    const twins = withFiles({ '/opt/own': { ...own, ino: 9999 }, '/opt/twin': { ...own, ino: 9999 } })
    expect(plan(outside, {}, twins).unrepresentable).toEqual([])
  })
})

describe('holes', () => {
  const project = paths('/home/bob/project/**')

  test('of reading: an empty directory nobody can write to, or a mask', () => {
    const tree = plan(
      { readablePaths: project },
      { reads: paths('/home/bob/project/.git/**', '/home/bob/project/.env') },
    )
    expect(tree.unrepresentable).toEqual([])
    expect(at(tree, '/home/bob/project/.git')).toMatchObject({ type: 'tmpfs', readonly: true })
    expect(at(tree, '/home/bob/project/.env')).toEqual({ type: 'mask', target: '/home/bob/project/.env' })
  })

  test('of writing: read-only over itself, and its parents cannot be renamed from under it', () => {
    const tree = plan({ writablePaths: project }, { writes: paths('/home/bob/project/.git/hooks/**') })
    expect(tree.unrepresentable).toEqual([])
    expect(targets(tree.mounts).filter((target) => target.startsWith('/home'))).toEqual([
      '/home/bob/project',
      '/home/bob/project/.git',
      '/home/bob/project/.git/hooks',
    ])
    expect(at(tree, '/home/bob/project/.git')).toMatchObject({ type: 'bind', access: 'write' })
    expect(at(tree, '/home/bob/project/.git/hooks')).toMatchObject({ type: 'bind', access: 'read', recursive: true })
  })

  test('of running: the same tree without its right to run', () => {
    const tree = plan({ executablePaths: paths('/opt/app/**') }, { executes: paths('/opt/app/bin/**') })
    expect(at(tree, '/opt/app/bin')).toMatchObject({ type: 'bind', access: 'read', recursive: true })
  })

  test('the parents of a program in a writable tree stay where they are', () => {
    const tree = plan({ writablePaths: project, allowedBinaries: ['/home/bob/project/bin/own'] })
    expect(at(tree, '/home/bob/project/bin')).toMatchObject({ type: 'bind', access: 'write' })
    expect(at(tree, '/home/bob/project/bin/own')).toMatchObject({ type: 'bind', access: 'execute' })
  })

  test.each<[string, Partial<ProfileNeed>, Forbidden, string]>([
    [
      'a pattern',
      { readablePaths: project },
      { reads: paths('/home/bob/project/**/.env') },
      'read forbid /home/bob/project/**/.env',
    ],
    [
      'what does not exist yet',
      { writablePaths: project },
      { writes: paths('/home/bob/project/.npmrc') },
      'write forbid /home/bob/project/.npmrc',
    ],
    [
      'a directory alone',
      { readablePaths: project },
      { reads: paths('/home/bob/project/src') },
      'read forbid /home/bob/project/src',
    ],
    [
      'what is behind a link that could be replaced',
      { writablePaths: project, readablePaths: project },
      { writes: paths('/home/bob/project/link/**') },
      'write forbid /home/bob/project/link/**',
    ],
    [
      'what another grant needs',
      { readablePaths: project, allowedBinaries: ['/home/bob/project/bin/own'] },
      { reads: paths('/home/bob/project/bin/**') },
      'read forbid /home/bob/project/bin/**',
    ],
  ])('%s cannot be covered', (_, need, forbid, expected) => {
    expect(refusals(plan(need, forbid))).toEqual([expected])
  })

  test('in an ephemeral directory a hole brings in nothing of the host', () => {
    const files = withFiles({ '/srv/out/keep/secret': 's' })
    const need = { writablePaths: paths('/srv/out/**'), executionMode: 'ephemeral' } as const
    const tree = plan(need, { writes: paths('/srv/out/keep/**') }, files)
    expect(tree.unrepresentable).toEqual([])
    expect(at(tree, '/srv/out/keep')).toMatchObject({ type: 'tmpfs', readonly: true })
    expect(refusals(plan(need, { writes: paths('/srv/out/keep/secret') }, files))).toEqual([
      'write forbid /srv/out/keep/secret',
    ])
  })

  test('what does not exist in a tree that cannot be written is said', () => {
    const tree = plan({ readablePaths: project }, { reads: paths('/home/bob/project/later/**') })
    expect(tree.unrepresentable).toEqual([])
    expect(tree.notes.join()).toContain('/home/bob/project/later/** does not exist')
  })

  test('the files of the gateway and of the kernel are holes in everything', () => {
    const hidden = [
      { path: '/srv/data/sub', reason: 'own' },
      { path: '/srv/data/none', reason: 'own' },
    ]
    const tree = plan({ readablePaths: paths('/srv/data/**') }, {}, debian, { hidden })
    expect(tree.unrepresentable).toEqual([])
    expect(at(tree, '/srv/data/sub')).toMatchObject({ type: 'tmpfs', readonly: true })
    expect(refusals(plan({ readablePaths: paths('/srv/data/sub/deep/**') }, {}, debian, { hidden }))).toEqual([
      'read /srv/data/sub/deep/**',
    ])
    // FS09: settings that do not exist must not be created.
    expect(refusals(plan({ writablePaths: paths('/srv/data/**') }, {}, debian, { hidden }))).toEqual([
      'read forbid /srv/data/none',
    ])
  })

  test('mount points of kernel file systems are read from mountinfo', () => {
    const lines = [
      '22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw',
      '23 1 8:1 / /srv/my\\040disk rw - ext4 /dev/sda1 rw',
      '24 1 0:30 / /srv/a\\040b/cg rw - cgroup2 cgroup rw',
      'garbage',
    ]
    expect(kernelMounts(lines.join('\n'))).toEqual(['/proc', '/srv/a b/cg'])
  })
})

/** What a process sees of one file of the host: the mounts that are over it, last first. */
function seen(mounts: readonly MountItem[], path: string): 'nothing' | 'read' | 'write' | 'execute' {
  let access: 'nothing' | 'read' | 'write' | 'execute' = 'nothing'
  for (const item of mounts) {
    if (!('target' in item)) continue
    const covers = item.type === 'bind' && !item.recursive ? path === item.target : isWithin(path, item.target)
    if (!covers) continue
    if (item.type === 'bind') access = item.access
    else if (item.type === 'tmpfs' || item.type === 'mask') access = 'nothing'
  }
  return access
}

describe('every tree', () => {
  const reads = [
    '/srv/data/**',
    '/srv/data/sub/**',
    '/srv/data/one',
    '/home/bob/project/**',
    '/home/bob/**',
    '/opt/**',
    '/etc/**',
    '/bin/**',
  ]
  const writes = [
    '/srv/out/**',
    '/home/bob/project/**',
    '/home/bob/project/src/**',
    '/home/bob/project/src/a.ts',
    '/srv/**',
    '/tmp/**',
  ]
  const executes = ['/opt/app/**', '/opt/app/bin/app', '/usr/bin/**', '/home/bob/project/bin/**']
  const programs = [
    '/usr/bin/tool',
    '/usr/bin/python3',
    '/bin/sh',
    '/usr/bin/script',
    '/home/bob/project/bin/own',
    '/opt/app/bin/app',
  ]
  const libraries = ['/opt/app/lib/**', '/lib/x86_64-linux-gnu/libssl*', '/usr/lib/**']
  const forbids = [
    '/srv/data/sub/**',
    '/srv/data/sub/deep/**',
    '/srv/data/one',
    '/home/bob/.ssh/**',
    '/home/bob/project/.git/hooks/**',
    '/home/bob/project/.git/**',
    '/home/bob/project/.env',
    '/home/bob/project/src/deep/b.ts',
    '/opt/app/lib/**',
    '/opt/app/bin/app',
    '/usr/bin/dash',
    '/etc/shadow',
    '/**/*.pem',
  ]
  const some = (list: readonly string[], most = 3): fc.Arbitrary<PathPattern[]> =>
    fc.subarray([...list], { maxLength: most }).map((texts) => paths(...texts))
  const input = fc.record({
    read: some(reads),
    write: some(writes, 2),
    execute: some(executes, 1),
    programs: fc.subarray(programs, { maxLength: 3 }),
    libraries: some(libraries, 1),
    online: fc.boolean(),
    noRead: some(forbids),
    noWrite: some(forbids),
    noExecute: some(forbids, 2),
  })
  const files = (function list(directory: string): string[] {
    return (debian.readdir(directory) ?? []).flatMap(({ name, type }) => {
      const path = `${directory === '/' ? '' : directory}/${name}`
      return type === 'directory' ? list(path) : type === 'file' ? [path] : []
    })
  })('/')

  const run = (value: typeof input extends fc.Arbitrary<infer T> ? T : never): { tree: MountPlan; made: Profile } => {
    const made = profile(
      {
        readablePaths: value.read,
        writablePaths: value.write,
        executablePaths: value.execute,
        allowedBinaries: value.programs,
        allowedLibraries: value.libraries,
        allowedHosts: value.online ? hosts('example.com') : [],
      },
      { reads: value.noRead, writes: value.noWrite, executes: value.noExecute },
    )
    return { made, tree: planMounts(made, debian, OPTIONS) }
  }

  test('is in order, without a mount through a link, and never both writable and executable', () => {
    fc.assert(
      fc.property(input, (value) => {
        const { mounts } = run(value).tree
        const order = targets(mounts)
        expect(new Set(order).size).toBe(order.length)
        for (const [index, target] of order.entries()) {
          expect(target).toMatch(/^(?:\/[^/]+)+$/)
          for (let parent = parentOf(target); parent !== '/'; parent = parentOf(parent)) {
            expect(order.indexOf(parent)).toBeLessThan(index)
            expect(mounts[order.indexOf(parent)]?.type).not.toBe('symlink')
          }
        }
        for (const item of mounts) {
          if (item.type !== 'bind') continue
          expect(item.source).toBe(item.target)
          expect(resolvePath(debian, item.source)?.real).toBe(item.source)
          for (const tree of ['/proc', '/sys', '/dev']) expect(isWithin(item.source, tree)).toBe(false)
          for (const other of mounts) {
            if (item.access !== 'execute' || other.type !== 'bind' || other.access !== 'write') continue
            expect(item.recursive && isWithin(other.target, item.target)).toBe(false)
          }
        }
      }),
      { numRuns: fuzzRuns(200) },
    )
  })

  test('shows of the host what profile and system table name and no hole takes, and nothing else', () => {
    let held = 0
    fc.assert(
      fc.property(input, (value) => {
        const { tree, made } = run(value)
        if (tree.unrepresentable.length > 0) return
        held++
        const matches = (list: Profile['read'], path: string): boolean =>
          list.some(({ value: pattern }) => pathMatches(pattern, path))
        const runs = new Set([
          ...tree.grants.closure.files.map(({ real }) => real),
          ...tree.grants.grants.filter(({ kind }) => kind !== 'read' && kind !== 'write').map(({ real }) => real),
        ])
        for (const path of files) {
          const access = seen(tree.mounts, path)
          // The names by which a pattern may have meant this file.
          const names = [path, ...(path.startsWith('/usr/') ? [path.slice(4)] : [])]
          const any = (list: Profile['read']): boolean => names.some((name) => matches(list, name))
          const code = runs.has(path) || any(made.execute) || any(made.libraries)
          const system = tree.system.some((root) => isWithin(path, root))
          if (access !== 'nothing') {
            expect(any(made.read) || any(made.write) || code || system, `${path} is seen`).toBe(true)
            expect(matches(made.denied.read, path), `${path} is a hole`).toBe(false)
          } else {
            expect(matches(made.read, path) && !matches(made.denied.read, path), `${path} is missing`).toBe(false)
          }
          if (access === 'write') {
            expect(matches(made.write, path) && !matches(made.denied.write, path), `${path} is written`).toBe(true)
          }
          if (access === 'execute') {
            expect(code && !matches(made.denied.execute, path), `${path} is run`).toBe(true)
          }
        }
      }),
      { numRuns: fuzzRuns(400) },
    )
    // A property about plans that are all refused would say nothing.
    expect(held).toBeGreaterThan(50)
  })

  test('keeps every parent of a hole in a writable tree where it is', () => {
    fc.assert(
      fc.property(input, (value) => {
        const { mounts } = run(value).tree
        const order = new Set(targets(mounts))
        const writable = mounts.flatMap((item) =>
          item.type === 'bind' && item.access === 'write' ? [item.target] : [],
        )
        for (const target of order) {
          const root = writable.find((tree) => isWithin(target, tree))
          if (root === undefined) continue
          for (let at = target; at !== root; at = parentOf(at)) expect(order.has(at)).toBe(true)
        }
      }),
      { numRuns: fuzzRuns(200) },
    )
  })
})
