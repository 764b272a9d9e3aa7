import { describe, expect, test } from 'vitest'
import { compileProfile, type Profile, type ProfileNeed } from '../../src/enforcer/profile.ts'
import type { LandlockRuleset } from '../../src/linux/box.ts'
import { resolveGrants } from '../../src/linux/grants.ts'
import {
  LANDLOCK_ABI,
  LANDLOCK_FILE_RIGHTS,
  LANDLOCK_FS,
  type LandlockPlan,
  planBoxLandlock,
  planFlatLandlock,
} from '../../src/linux/landlock.ts'
import { planMounts } from '../../src/linux/mount-plan.ts'
import { hosts, NOTHING, paths } from '../enforcer/helpers.ts'
import { DEBIAN, host } from './host.ts'

const FS = LANDLOCK_FS
const debian = host(DEBIAN)

function profile(need: Partial<ProfileNeed>): Profile {
  const all = paths('/**')
  const rights = need.processRights ?? []
  return compileProfile(
    { ...NOTHING, ...need },
    {
      permits: [
        {
          rule: 'permit',
          reads: all,
          writes: all,
          executes: all,
          binaries: all,
          libraries: all,
          hosts: hosts('*:*'),
          rights,
        },
      ],
      forbids: [],
    },
  ).profile
}

function box(abi: number, need: Partial<ProfileNeed>): LandlockPlan {
  const made = profile(need)
  const options = { machine: 'x64', uid: 1001, gid: 1001, hostname: 'box', tmpBytes: 1 } as const
  const plan = planMounts(made, debian, options)
  expect(plan.unrepresentable).toEqual([])
  return planBoxLandlock(abi, { profile: made, ...plan })
}

function flat(
  abi: number,
  need: Partial<ProfileNeed>,
  more: { scratch?: string; proxyPort?: number } = {},
): LandlockPlan {
  const made = profile(need)
  const grants = resolveGrants(made, debian, { machine: 'x64', uid: 1001 })
  const system = [
    { path: '/etc/ld.so.cache', directory: false },
    { path: '/etc/ssl/certs', directory: true },
  ]
  return planFlatLandlock(abi, { profile: made, grants, system, ...more })
}

function rules(plan: LandlockPlan): LandlockRuleset {
  if (plan.ruleset === undefined) throw new Error('no ruleset')
  return plan.ruleset
}

const access = (plan: LandlockPlan, path: string): bigint =>
  rules(plan).paths.find((rule) => rule.path === path)?.access ?? 0n

const NEED: Partial<ProfileNeed> = {
  readablePaths: paths('/srv/data/**', '/srv/out/**'),
  writablePaths: paths('/srv/out/**', '/home/bob/project/src/a.ts'),
  allowedBinaries: ['/usr/bin/tool'],
  allowedLibraries: paths('/opt/app/lib/**'),
}
const READABLE = { ...NEED, readablePaths: paths('/srv/data/**', '/srv/out/**', '/home/bob/project/src/a.ts') }

describe('a box of mounts', () => {
  const plan = box(7, READABLE)

  test('reading and truncating are not handled, so that opening a file for reading asks nothing', () => {
    expect(rules(plan).handledFs & (FS.READ_FILE | FS.READ_DIR | FS.TRUNCATE)).toBe(0n)
    expect(rules(plan).handledFs & (FS.EXECUTE | FS.WRITE_FILE | FS.REFER)).toBe(FS.EXECUTE | FS.WRITE_FILE | FS.REFER)
  })

  test('only programs and their interpreter run; libraries are mapped, which Landlock never asks about', () => {
    const running = rules(plan).paths.filter((rule) => (rule.access & FS.EXECUTE) !== 0n)
    expect(running.map(({ path }) => path)).toEqual(['/usr/bin/tool', '/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2'])
  })

  test('writing where it is granted, in scratch space and on device nodes', () => {
    const writing = rules(plan).paths.filter((rule) => (rule.access & FS.WRITE_FILE) !== 0n)
    expect(writing.map(({ path }) => path).sort()).toEqual([
      '/dev',
      '/dev/shm',
      '/home/bob/project/src/a.ts',
      '/srv/out',
      '/tmp',
    ])
    expect(access(plan, '/srv/out') & FS.REFER).toBe(FS.REFER)
    expect(access(plan, '/srv/out') & (FS.MAKE_CHAR | FS.MAKE_BLOCK | FS.MAKE_FIFO | FS.MAKE_SOCK)).toBe(0n)
    expect(access(plan, '/tmp') & FS.MAKE_FIFO).toBe(FS.MAKE_FIFO)
    expect(access(plan, '/proc')).toBe(0n)
  })

  test('a rule on a file has rights of files only (else EINVAL), and no rule is empty (else ENOMSG)', () => {
    expect(access(plan, '/home/bob/project/src/a.ts')).toBe(FS.WRITE_FILE)
    for (const abi of [1, 2, 3, 4, 5, 6, 7]) {
      for (const made of [box(abi, NEED), flat(abi, NEED)]) {
        const { handledFs, paths: list } = rules(made)
        for (const rule of list) {
          expect(rule.access).not.toBe(0n)
          expect(rule.access & ~handledFs).toBe(0n)
          const stat = debian.lstat(rule.path)
          if (stat?.type === 'file') expect(rule.access & ~LANDLOCK_FILE_RIGHTS).toBe(0n)
        }
      }
    }
  })

  test('a place to write and not to read makes reading handled', () => {
    const made = box(7, NEED)
    expect(rules(made).handledFs & FS.READ_FILE).toBe(FS.READ_FILE)
    expect(access(made, '/home/bob/project/src/a.ts')).toBe(FS.WRITE_FILE)
    const readable = [
      '/srv/data',
      '/srv/out',
      '/usr/bin/tool',
      '/etc/passwd',
      '/etc/ld.so.cache',
      '/proc',
      '/dev',
      '/tmp',
    ]
    for (const path of readable) {
      const given = rules(made).paths.some((rule) => rule.path === path && (rule.access & FS.READ_FILE) !== 0n)
      expect(given, path).toBe(true)
    }
  })

  test.each<[ProfileNeed['processRights'], bigint, bigint]>([
    [[], 1n, 0n],
    [['listen'], 0n, 0n],
    [['unix_sockets'], 1n, FS.MAKE_SOCK],
  ])('rights %j', (processRights, net, socket) => {
    const made = box(7, { ...READABLE, processRights: processRights ?? [] })
    expect(rules(made).handledNet).toBe(net)
    expect(rules(made).ports).toEqual([])
    expect(access(made, '/tmp') & FS.MAKE_SOCK).toBe(socket)
  })
})

describe('by ABI', () => {
  test.each([
    [1, 0x1fffn, 0n, 0n, 8, 7],
    [2, 0x3fffn, 0n, 0n, 8, 6],
    [3, 0x7fffn, 0n, 0n, 8, 5],
    [4, 0x7fffn, 3n, 0n, 16, 3],
    [5, 0xffffn, 3n, 0n, 16, 2],
    [6, 0xffffn, 3n, 3n, 24, 0],
    [7, 0xffffn, 3n, 3n, 24, 0],
    [8, 0xffffn, 3n, 3n, 24, 0],
    [99, 0xffffn, 3n, 3n, 24, 0],
  ])('%i', (abi, fs, net, scoped, attributeSize, dropped) => {
    const { ruleset, effective } = flat(abi, NEED)
    expect(ruleset).toMatchObject({ handledFs: fs, handledNet: net, scoped, attributeSize })
    expect(effective.abi).toBe(Math.min(abi, LANDLOCK_ABI))
    expect(effective.dropped.length).toBe(dropped)
  })

  test.each([0, -1, Number.NaN])('none: %d', (abi) => {
    expect(flat(abi, NEED)).toEqual({ effective: { abi: 0, dropped: ['all of landlock (abi 1)'] } })
  })

  test('what is lost is said', () => {
    expect(flat(2, NEED).effective.dropped).toEqual([
      'truncate (abi 3)',
      'tcp bind (abi 4)',
      'tcp connect (abi 4)',
      'device ioctl (abi 5)',
      'abstract unix sockets (abi 6)',
      'signals (abi 6)',
    ])
    // Nothing is lost that was not wanted.
    expect(box(4, { ...READABLE, processRights: ['listen'] }).effective.dropped).toEqual([
      'device ioctl (abi 5)',
      'abstract unix sockets (abi 6)',
      'signals (abi 6)',
    ])
  })
})

describe('a flat box', () => {
  const plan = flat(
    7,
    { ...NEED, readablePaths: paths('/srv/data/**', '/home/bob/project') },
    { scratch: '/run/box-1' },
  )

  test('only what the profile and the system table name', () => {
    const { files } = resolveGrants(profile(NEED), debian, { machine: 'x64', uid: 1001 }).closure
    expect(
      rules(plan)
        .paths.map(({ path }) => path)
        .sort(),
    ).toEqual(
      [
        ...new Set(files.map(({ real }) => real)),
        '/dev/full',
        '/dev/null',
        '/dev/random',
        '/dev/tty',
        '/dev/urandom',
        '/dev/zero',
        '/etc/ld.so.cache',
        '/etc/ssl/certs',
        '/home/bob/project/src/a.ts',
        '/opt/app/lib',
        '/run/box-1',
        '/srv/data',
        '/srv/out',
        '/usr/bin/tool',
      ].sort(),
    )
  })

  test('reading, writing and running are each their own', () => {
    expect(access(plan, '/srv/data')).toBe(FS.READ_FILE | FS.READ_DIR)
    expect(access(plan, '/srv/out') & (FS.READ_FILE | FS.EXECUTE)).toBe(0n)
    expect(access(plan, '/srv/out') & FS.TRUNCATE).toBe(FS.TRUNCATE)
    expect(access(plan, '/usr/bin/tool')).toBe(FS.READ_FILE | FS.EXECUTE)
    expect(access(plan, '/opt/app/lib')).toBe(FS.READ_FILE | FS.READ_DIR)
  })

  test('one TCP port, when there is a proxy', () => {
    expect(rules(plan).ports).toEqual([])
    expect(rules(flat(7, NEED, { proxyPort: 40000 })).ports).toEqual([{ port: 40000, access: 2n }])
    expect(rules(flat(7, { ...NEED, processRights: ['listen'] })).handledNet).toBe(2n)
  })
})
