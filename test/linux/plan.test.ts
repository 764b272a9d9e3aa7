import { describe, expect, test } from 'vitest'
import { compileProfile, type Profile, type ProfileNeed } from '../../src/enforcer/profile.ts'
import { EnforcementUnavailableError } from '../../src/enforcer/report.ts'
import {
  type BoxPlan,
  type HostFacts,
  type PlanOptions,
  ProfileUnrepresentableError,
  planBox,
} from '../../src/linux/plan.ts'
import { DEFAULT_PROCESSES, planRlimits, RLIMIT } from '../../src/linux/rlimits.ts'
import { hosts, NOTHING, paths } from '../enforcer/helpers.ts'
import { DEBIAN, host } from './host.ts'

const debian = host(DEBIAN)
const FACTS: HostFacts = { arch: 'x64', uid: 1001, gid: 1001, namespaces: 'user', landlockAbi: 7, seccompNotify: true }

function profile(need: Partial<ProfileNeed>, forbid: object = {}): Profile {
  const all = paths('/**')
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
          hosts: [...(need.allowedHosts ?? [])],
          rights: need.processRights ?? [],
        },
      ],
      forbids: [{ rule: 'forbid', ...forbid }],
    },
  ).profile
}

function plan(need: Partial<ProfileNeed>, facts: Partial<HostFacts> = {}, options: PlanOptions = {}): BoxPlan {
  return planBox(profile(need), { ...FACTS, ...facts }, debian, options)
}

function refused(action: () => unknown): ProfileUnrepresentableError {
  try {
    action()
  } catch (error) {
    if (error instanceof ProfileUnrepresentableError) return error
    throw error
  }
  throw new Error('not refused')
}

const BOTH = { readablePaths: paths('/srv/out/**'), writablePaths: paths('/srv/out/**') }

describe('a whole box', () => {
  test('nothing granted: no network, no right, a private /tmp to start in', () => {
    const { setup, notes, landlock } = plan({})
    expect(setup).toMatchObject({
      kind: 'namespaces',
      userNamespace: true,
      network: 'none',
      hostname: 'box',
      workdir: '/tmp',
      listeners: [],
      notify: true,
      cgroups: { v1: [] },
    })
    expect(setup.seccomp.length % 8).toBe(0)
    expect(setup.landlock?.handledNet).toBe(1n)
    expect(setup).not.toHaveProperty('wallMs')
    expect(setup).not.toHaveProperty('bpf')
    expect(notes).toEqual([])
    expect(landlock).toEqual({ abi: 7, dropped: [] })
  })

  test('root needs no user namespace', () => {
    expect(plan({}, { namespaces: 'root', uid: 0 }).setup.userNamespace).toBe(false)
  })

  test('what the caller decides is passed on', () => {
    const bpf = { maps: [], programs: [] }
    const cgroups = { v2: '/sys/fs/cgroup/box', v1: ['/sys/fs/cgroup/pids/box'] }
    const { setup } = plan(
      { ...BOTH, limits: { wallMs: 5000, processes: 3 } },
      { seccompNotify: false },
      { bpf, cgroups, hostname: 'inside', tmpBytes: 4096 },
    )
    expect(setup).toMatchObject({ bpf, cgroups, hostname: 'inside', wallMs: 5000, notify: false, workdir: '/srv/out' })
    expect(setup.mounts).toContainEqual({ type: 'tmpfs', target: '/tmp', bytes: 4096, mode: 0o1777, readonly: false })
    expect(setup.rlimits).toContainEqual({ resource: RLIMIT.NPROC, limit: 3n })
  })

  test('sockets only where there is somewhere to go', () => {
    const seccomp = (need: Partial<ProfileNeed>): Uint8Array => plan(need).setup.seccomp
    const allowedHosts = hosts('example.com')
    expect(seccomp({ processRights: ['udp'] })).toEqual(seccomp({}))
    expect(seccomp({ allowedHosts })).not.toEqual(seccomp({}))
    expect(seccomp({ allowedHosts, processRights: ['udp'] })).not.toEqual(seccomp({ allowedHosts }))
    for (const right of ['executable_memory', 'listen', 'unix_sockets'] as const) {
      expect(seccomp({ processRights: [right] }), right).not.toEqual(seccomp({}))
    }
  })

  test.each<[readonly string[], readonly number[]]>([
    [['example.com'], [80, 443]],
    [['https://example.com'], [443]],
    [['ws://example.com'], [80]],
    [
      ['example.com:8443', '10.0.0.0/8:5432'],
      [5432, 8443],
    ],
    [['example.com:*'], []],
    [['example.com:3128', 'example.com:53', 'example.com:8080'], [8080]],
  ])('listeners for %j', (egress, ports) => {
    const { setup } = plan({ allowedHosts: hosts(...egress) })
    expect(setup.network).toBe('loopback')
    expect(setup.listeners).toEqual([
      { name: 'proxy', address: '127.0.0.1', port: 3128 },
      { name: 'dns', address: '127.0.0.1', port: 53 },
      ...ports.map((port) => ({ name: `port:${port}`, address: '0.0.0.0', port })),
    ])
  })

  test('many ports: the rest goes by the proxy, and it is said', () => {
    const egress = Array.from({ length: 40 }, (_, index) => `example.com:${1000 + index}`)
    const { setup, notes } = plan({ allowedHosts: hosts(...egress) })
    expect(setup.listeners.length).toBe(34)
    expect(notes.join()).toContain('only through the proxy: ports 1032')
  })

  test('the same profile on the same host is the same box', () => {
    const need = { ...BOTH, allowedBinaries: ['/usr/bin/tool', '/bin/sh'], allowedHosts: hosts('example.com') }
    expect(plan(need)).toEqual(plan(need))
  })
})

describe('refusals', () => {
  test('all of them at once, each with its rule and what to do', () => {
    const error = refused(() =>
      planBox(
        profile(
          { readablePaths: paths('/srv/*', '/srv/data/**'), allowedBinaries: ['/usr/bin/none'] },
          { reads: paths('/srv/data/**/x') },
        ),
        FACTS,
        debian,
      ),
    )
    expect(error).toBeInstanceOf(EnforcementUnavailableError)
    expect(error.code).toBe('ERR_ENFORCEMENT_UNAVAILABLE')
    expect(error.parts.map(({ kind, text, rule }) => [kind, text, rule])).toEqual([
      ['read', '/srv/*', 'permit'],
      ['binary', '/usr/bin/none', 'permit'],
      ['read', 'forbid /srv/data/**/x', 'forbid'],
    ])
    expect(error.missing.map(({ feature }) => feature)).toEqual(['fs_read', 'fs_execute', 'fs_read'])
    expect(error.message).toContain('read /srv/* (permit)')
    expect(error.message).toContain('fix: write it as /srv/** or list the files')
  })

  test('a system call that cannot be forbidden', () => {
    const error = refused(() => plan({ forbiddenSyscalls: ['no_such_call'] }))
    expect(error.parts).toEqual([expect.objectContaining({ kind: 'syscall', text: 'no_such_call', rule: 'manifest' })])
  })

  test('a place to write and not to read, where nothing tells the two apart', () => {
    const need = { writablePaths: paths('/srv/out/**') }
    expect(plan(need).setup.landlock?.handledFs).toBeDefined()
    expect(refused(() => plan(need, { landlockAbi: 0 })).parts.map(({ text }) => text)).toEqual(['/srv/out/**'])
    expect(plan(BOTH, { landlockAbi: 0 }).setup.landlock).toBeUndefined()
    const files = host({ ...DEBIAN, '/tmp/out/': '' })
    const below = (more: Partial<ProfileNeed>) =>
      planBox(profile({ writablePaths: paths('/tmp/out/**'), ...more }), FACTS, files)
    expect(refused(() => below({})).parts.map(({ fix }) => fix)).toEqual(['grant reading /tmp/out/** too'])
    expect(below({ readablePaths: paths('/tmp/out/**') }).setup.workdir).toBe('/tmp/out')
  })

  test('the files of the gateway, granted by name', () => {
    const need = { readablePaths: paths('/home/bob/.ssh/**') }
    expect(plan(need).setup.mounts.length).toBeGreaterThan(0)
    expect(refused(() => plan(need, {}, { ownPaths: ['/home/bob/.ssh'] })).parts[0]?.reason).toContain('gateway')
  })

  test('asking for namespaces where there are none is a mistake of the caller', () => {
    expect(() => plan({}, { namespaces: 'none' }, { kind: 'namespaces' })).toThrow(TypeError)
  })
})

describe('a flat box', () => {
  const none = { namespaces: 'none' } as const

  test('the tree of the host, with Landlock alone', () => {
    const { setup } = plan(BOTH, none, { scratch: '/run/box-1' })
    expect(setup).toMatchObject({ kind: 'flat', userNamespace: false, network: 'host', mounts: [], listeners: [] })
    expect(setup.workdir).toBe('/srv/out')
    expect(plan({}, none, { scratch: '/run/box-1' }).setup.workdir).toBe('/run/box-1')
    expect(setup.landlock?.handledFs).toBe(0xffffn)
  })

  test.each<[string, () => unknown, RegExp]>([
    ['no Landlock', () => plan({}, { ...none, landlockAbi: 0 }), /neither Landlock nor/],
    [
      'a hole',
      () =>
        planBox(
          profile({ readablePaths: paths('/srv/data/**') }, { reads: paths('/srv/data/sub/**') }),
          { ...FACTS, ...none },
          debian,
        ),
      /cannot take it out/,
    ],
    [
      'hosts without TCP rules',
      () => plan({ allowedHosts: hosts('example.com') }, { ...none, landlockAbi: 3 }),
      /abi 4/,
    ],
    ['an ephemeral write', () => plan({ ...BOTH, executionMode: 'ephemeral' }, none), /outlives/],
    [
      'a tree with files of the gateway',
      () => plan(BOTH, none, { ownPaths: ['/srv/out/policy'] }),
      /\/srv\/out\/policy/,
    ],
  ])('%s is refused', (_, action, reason) => {
    for (const part of refused(action).parts) expect(part.reason).toMatch(reason)
  })

  test('hosts by the port of the proxy', () => {
    const need = { allowedHosts: hosts('example.com') }
    expect(plan(need, none, { proxyPort: 4000 }).setup.landlock?.ports).toEqual([{ port: 4000, access: 2n }])
    expect(plan(need, none).setup.landlock?.ports).toEqual([])
    expect(plan({}, none, { proxyPort: 4000 }).setup.landlock?.ports).toEqual([])
  })
})

describe('limits', () => {
  const limitOf = (resource: number, limits: object, memoryHeld = false) =>
    planRlimits(limits, { memoryHeld }).find((limit) => limit.resource === resource)?.limit

  test('no dump goes anywhere, and processes are counted', () => {
    expect(limitOf(RLIMIT.CORE, {})).toBe(1n)
    expect(limitOf(RLIMIT.NPROC, {})).toBe(BigInt(DEFAULT_PROCESSES))
    expect(limitOf(RLIMIT.NPROC, { processes: 7 })).toBe(7n)
  })

  test('memory by rlimit only where no control group holds it', () => {
    expect(limitOf(RLIMIT.DATA, { memoryBytes: 1 << 20 })).toBe(1n << 20n)
    expect(limitOf(RLIMIT.DATA, { memoryBytes: 1 << 20 }, true)).toBeUndefined()
    expect(limitOf(RLIMIT.DATA, {})).toBeUndefined()
  })

  test('each resource once', () => {
    const resources = planRlimits({ memoryBytes: 1 }, { memoryHeld: false }).map(({ resource }) => resource)
    expect(new Set(resources).size).toBe(resources.length)
  })
})
