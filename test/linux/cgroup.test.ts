import { describe, expect, test, vi } from 'vitest'

import { type CgroupLimits, type Cgroups, openCgroups, sweepCgroups } from '../../src/linux/cgroup/cgroups.ts'
import { type Layout, ModelHost } from './cgroup-model.ts'

const V2_MOUNT = '30 23 0:26 / /cg rw - cgroup2 cgroup2 rw'
const v2 = (own: string, more: Partial<Layout> = {}): Layout => ({
  mountinfo: V2_MOUNT,
  cgroup: `0::${own}`,
  v2: { mount: '/cg', controllers: ['cpu', 'memory', 'pids'] },
  ...more,
})
const V1: Layout = {
  mountinfo: '39 31 0:36 / /pids rw - cgroup cgroup rw,pids\n35 31 0:32 / /memory rw - cgroup cgroup rw,memory',
  cgroup: '4:memory:/api\n3:pids:/',
  v1: { pids: '/pids', memory: '/memory' },
  groups: ['/memory/api'],
}
const HYBRID: Layout = {
  ...V1,
  mountinfo: `${V1.mountinfo}\n${V2_MOUNT}`,
  cgroup: `${V1.cgroup}\n0::/`,
  v2: { mount: '/cg', controllers: ['hugetlb'] },
}
const LIMITS: CgroupLimits = { processes: 20, memoryBytes: 1 << 26 }
const NAME = 'agentport-77-500-4026531836-00000001'

function open(layout: Layout, limits: CgroupLimits = LIMITS): { host: ModelHost; cgroups: Cgroups } {
  const host = new ModelHost(layout)
  const opened = openCgroups(limits, host)
  if (!opened.ok) throw new Error(opened.reason)
  return { host, cgroups: opened.cgroups }
}

describe('where the directories are', () => {
  test('hybrid: one in each hierarchy that is needed, limits in v1', () => {
    const { host, cgroups } = open(HYBRID)
    expect(cgroups.paths).toEqual({
      v2: `/cg/agentport/${NAME}`,
      v1: [`/pids/agentport/${NAME}`, `/memory/api/agentport/${NAME}`],
    })
    expect(cgroups.limits).toEqual({
      processes: { state: 'enforced', by: `/pids/agentport/${NAME}/pids.max` },
      memoryBytes: { state: 'enforced', by: `/memory/api/agentport/${NAME}/memory.limit_in_bytes` },
    })
    expect(host.file(`/pids/agentport/${NAME}/pids.max`)).toBe('20')
    expect(host.file(`/memory/api/agentport/${NAME}/memory.memsw.limit_in_bytes`)).toBe(String(1 << 26))
    expect(cgroups.id).toBe(host.inode(`/cg/agentport/${NAME}`))
  })

  test('hybrid without limits: v2 alone', () => {
    expect(open(HYBRID, {}).cgroups.paths).toEqual({ v2: `/cg/agentport/${NAME}`, v1: [] })
  })

  test('v1 alone: pids even without a limit, to know the members by', () => {
    const { cgroups } = open(V1, {})
    expect(cgroups.paths).toEqual({ v1: [`/pids/agentport/${NAME}`] })
    expect(cgroups.id).toBeUndefined()
    expect(cgroups.limits).toEqual({})
  })

  test('one v1 hierarchy with both controllers: one directory', () => {
    const { cgroups } = open({
      mountinfo: '39 31 0:36 / /both rw - cgroup cgroup rw,pids,memory',
      cgroup: '3:pids,memory:/',
      v1: { pids: '/both', memory: '/both' },
    })
    expect(cgroups.paths.v1).toEqual([`/both/agentport/${NAME}`])
    expect(cgroups.limits.memoryBytes?.state).toBe('enforced')
  })

  test('v2 in its root: the controllers are handed down', () => {
    const { host, cgroups } = open(v2('/'))
    const path = `/cg/agentport/${NAME}`
    expect([cgroups.paths, cgroups.leaves]).toEqual([{ v2: path, v1: [] }, undefined])
    expect([host.file(`${path}/pids.max`), host.file(`${path}/memory.max`)]).toEqual(['20', String(1 << 26)])
    expect(host.file(`${path}/memory.swap.max`)).toBe('0')
  })

  // As systemd has it: processes in leaves alone, every group above a leaf hands its controllers down.
  const service = v2('/system/agent', {
    groups: ['/cg/system', '/cg/system/agent'],
    handed: ['/cg', '/cg/system'],
    occupied: { '/cg/system/agent': [77] },
  })

  test('v2 in a service: limits only beside it, and that is said', () => {
    const { cgroups } = open(service)
    expect(cgroups.paths.v2).toBe(`/cg/system/agentport/${NAME}`)
    expect(cgroups.leaves).toBe('/cg/system/agent')
    expect(cgroups.limits.processes?.state).toBe('enforced')
  })

  test('v2 in a service without limits: inside it', () => {
    const { cgroups } = open(service, {})
    expect([cgroups.paths.v2, cgroups.leaves]).toEqual([`/cg/system/agent/agentport/${NAME}`, undefined])
  })

  test('v2 delegated, with a leaf of its own for the processes: inside what was delegated', () => {
    const { cgroups } = open(
      v2('/system/agent/main', {
        groups: ['/cg/system', '/cg/system/agent', '/cg/system/agent/main'],
        handed: ['/cg', '/cg/system'],
        occupied: { '/cg/system/agent/main': [77] },
        forbidden: (path) => !path.startsWith('/cg/system/agent/'),
      }),
    )
    expect(cgroups.paths.v2).toBe(`/cg/system/agent/agentport/${NAME}`)
    expect(cgroups.leaves).toBe('/cg/system/agent/main')
    expect([cgroups.limits.processes?.state, cgroups.limits.memoryBytes?.state]).toEqual(['enforced', 'enforced'])
  })

  test('a container whose root has processes: no limits, said so', () => {
    const { cgroups } = open({
      ...service,
      handed: [],
      forbidden: (path) => path.endsWith('cgroup.subtree_control'),
    })
    expect(cgroups.paths.v2).toBe(`/cg/system/agent/agentport/${NAME}`)
    expect(cgroups.leaves).toBeUndefined()
    expect(cgroups.limits.processes).toMatchObject({ state: 'absent', reason: 'no pids controller' })
  })

  test('nothing may be made', () => {
    const host = new ModelHost({ ...HYBRID, forbidden: () => true })
    const opened = openCgroups(LIMITS, host)
    expect(opened).toMatchObject({ ok: false, reason: expect.stringContaining('EACCES') })
    expect(host.ours()).toEqual([])
  })

  test('no control groups at all', () => {
    expect(openCgroups({}, new ModelHost({ mountinfo: '', cgroup: '' })).ok).toBe(false)
  })
})

describe('limits', () => {
  test.each<readonly [Partial<Layout>, 'enforced' | 'partial']>([
    [{}, 'enforced'],
    [{ memsw: false }, 'enforced'],
    [{ swap: true }, 'enforced'],
    [{ memsw: false, swap: true }, 'partial'],
  ])('swap: %j is %s', (more, state) => {
    expect(open({ ...HYBRID, ...more }).cgroups.limits.memoryBytes?.state).toBe(state)
    expect(open(v2('/', more)).cgroups.limits.memoryBytes?.state).toBe(state)
  })

  test('one that cannot be written is absent', () => {
    const { cgroups } = open({ ...HYBRID, forbidden: (path) => path.endsWith('pids.max') })
    expect(cgroups.limits.processes).toEqual({
      state: 'absent',
      reason: `/pids/agentport/${NAME}/pids.max: EACCES`,
    })
    expect(cgroups.limits.memoryBytes?.state).toBe('enforced')
  })

  test.each([0, -1, 1.5, Number.NaN, 2 ** 53])('%s is misuse', (limit) => {
    expect(() => openCgroups({ processes: limit }, new ModelHost(HYBRID))).toThrow(TypeError)
    expect(() => openCgroups({ memoryBytes: limit }, new ModelHost(HYBRID))).toThrow(TypeError)
  })
})

describe('the end', () => {
  test.each<readonly [string, Layout]>([
    ['cgroup.kill', HYBRID],
    ['one by one', { ...HYBRID, kill: false }],
    ['v1', V1],
  ])('%s', async (_, layout) => {
    const { host, cgroups } = open(layout)
    expect(cgroups.populated()).toBe(false)
    for (const path of [cgroups.paths.v2, ...cgroups.paths.v1])
      if (path !== undefined) for (const pid of [5, 6]) host.join(path, pid)
    expect(cgroups.populated()).toBe(true)
    expect(await cgroups.remove(5)).toBe(false)
    expect(await cgroups.kill()).toBe(true)
    expect([...host.killed].sort()).toEqual([5, 6])
    expect(cgroups.populated()).toBe(false)
    expect(await cgroups.remove()).toBe(true)
    expect(host.ours()).toEqual([])
    expect([cgroups.populated(), await cgroups.kill(), await cgroups.remove()]).toEqual([false, true, true])
  })

  test('one by one: nothing forks meanwhile, and 0 and ourselves are not signalled', async () => {
    const { host, cgroups } = open({ ...HYBRID, kill: false })
    host.join(cgroups.paths.v2 ?? '', 0)
    host.join(cgroups.paths.v2 ?? '', process.pid)
    host.join(cgroups.paths.v2 ?? '', 5)
    expect(await cgroups.kill(20)).toBe(false)
    expect(host.killed).toEqual([5])
    expect(host.file(`/pids/agentport/${NAME}/pids.max`)).toBe('0')
    expect(host.file(`${cgroups.paths.v2}/cgroup.freeze`)).toBe('1')
  })

  test('a process that does not end is not called ended', async () => {
    const { host, cgroups } = open(HYBRID)
    host.join(cgroups.paths.v2 ?? '', 5)
    host.stuck.add(5)
    expect(await cgroups.kill(10)).toBe(false)
    expect(cgroups.populated()).toBe(true)
  })

  test('a directory that cannot be read is populated', () => {
    const { host, cgroups } = open(HYBRID)
    vi.spyOn(host, 'read').mockImplementation(() => {
      throw Object.assign(new Error('EIO'), { code: 'EIO' })
    })
    expect(cgroups.populated()).toBe(true)
  })

  test('removal waits for a process that nobody has waited for', async () => {
    const { host, cgroups } = open(HYBRID)
    host.unreaped.set(cgroups.paths.v2 ?? '', 4)
    expect(await cgroups.remove()).toBe(true)
  })
})

describe('sweeping', () => {
  const layout = HYBRID
  const leftover = (pid: number, start: string, namespace: bigint | string = 4026531836n) =>
    `agentport-${pid}-${start}-${namespace}-0000abcd`

  test.each<readonly [string, string, boolean]>([
    ['an owner that is gone', leftover(4000, '9'), true],
    ['a pid that is used again', leftover(50, '8'), true],
    ['an owner that runs', leftover(50, '9'), false],
    ['ourselves', leftover(77, '500'), false],
    ['a pid of another namespace', leftover(4000, '9', 1n), false],
    ['a name that is not ours', 'other-4000-9-4026531836-0000abcd', false],
    ['a name with more to it', `${leftover(4000, '9')}.scope`, false],
    ['a pid of 0', leftover(0, '9'), false],
  ])('%s', (_, name, removed) => {
    const host = new ModelHost(layout)
    host.running.set(50, '9')
    for (const parent of ['/cg/agentport', '/pids/agentport']) {
      host.mkdir(parent)
      host.mkdir(`${parent}/${name}`)
    }
    expect(sweepCgroups(host)).toBe(removed ? 2 : 0)
    expect(host.ours()).toHaveLength(removed ? 0 : 2)
  })

  test('one with a process in it goes on denying', () => {
    const host = new ModelHost(layout)
    const path = `/cg/agentport/${leftover(4000, '9')}`
    host.mkdir('/cg/agentport')
    host.mkdir(path)
    host.join(path, 4001)
    expect(sweepCgroups(host)).toBe(0)
    expect(host.ours()).toEqual([path])
  })

  test('an owner that /proc hides lives', () => {
    const host = new ModelHost(layout)
    host.mkdir('/cg/agentport')
    host.mkdir(`/cg/agentport/${leftover(50, '9')}`)
    host.running.set(50, '9')
    const read = host.read.bind(host)
    vi.spyOn(host, 'read').mockImplementation((path) => {
      if (path === '/proc/50/stat') throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
      return read(path)
    })
    expect(sweepCgroups(host)).toBe(0)
  })

  test('groups further up, where boxes with limits are', () => {
    const host = new ModelHost(
      v2('/system/agent', { groups: ['/cg/system', '/cg/system/agent', '/cg/system/agentport'] }),
    )
    host.mkdir(`/cg/system/agentport/${leftover(4000, '9')}`)
    expect(sweepCgroups(host)).toBe(1)
  })

  test('no control groups: nothing', () => {
    expect(sweepCgroups(new ModelHost({ mountinfo: '', cgroup: '' }))).toBe(0)
  })
})
