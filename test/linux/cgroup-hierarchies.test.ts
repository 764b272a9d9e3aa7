import { describe, expect, test } from 'vitest'

import { parseHierarchies } from '../../src/linux/cgroup/hierarchies.ts'

const V2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:9 - cgroup2 cgroup2 rw,nsdelegate'
const PIDS = '39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids'
const MEMORY = '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory'
const CPU = '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct'
const SYSTEMD = '40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd'
const UNIFIED = '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw'
const OTHER = ['22 27 0:21 / /proc rw,relatime - proc proc rw', '27 1 254:0 / / rw - ext4 /dev/vda rw,discard', '']

const TABLE: readonly (readonly [
  name: string,
  mountinfo: readonly string[],
  cgroup: readonly string[],
  v2: string | undefined,
  v1: Readonly<Record<string, string>>,
])[] = [
  ['v2', [V2], ['0::/system.slice/agent.service'], '/sys/fs/cgroup/system.slice/agent.service', {}],
  ['v2, in the root group', [V2], ['0::/'], '/sys/fs/cgroup', {}],
  [
    'v1',
    [PIDS, MEMORY, CPU, SYSTEMD],
    ['4:memory:/box', '3:pids:/', '2:cpu,cpuacct:/a:b', '1:name=systemd:/user.slice'],
    undefined,
    {
      pids: '/sys/fs/cgroup/pids',
      memory: '/sys/fs/cgroup/memory/box',
      cpu: '/sys/fs/cgroup/cpu,cpuacct/a:b',
      cpuacct: '/sys/fs/cgroup/cpu,cpuacct/a:b',
      'name=systemd': '/sys/fs/cgroup/systemd/user.slice',
    },
  ],
  [
    'hybrid',
    [PIDS, MEMORY, UNIFIED],
    ['4:memory:/api/1', '3:pids:/', '0::/'],
    '/sys/fs/cgroup/unified',
    { pids: '/sys/fs/cgroup/pids', memory: '/sys/fs/cgroup/memory/api/1' },
  ],
  [
    'a container that sees its own part of v1',
    ['40 30 0:36 /docker/ab /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids'],
    ['3:pids:/docker/ab/inner'],
    undefined,
    { pids: '/sys/fs/cgroup/pids/inner' },
  ],
  [
    'a part that this process is not in',
    ['40 30 0:36 /docker/ab /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids'],
    ['3:pids:/docker/abc'],
    undefined,
    {},
  ],
  ['outside the cgroup namespace', [V2], ['0::/../other'], undefined, {}],
  ['a mount from outside the cgroup namespace', [V2.replace(' / /sys', ' /../.. /sys')], ['0::/'], undefined, {}],
  ['mounted read-only', [V2.replace(' rw,nosuid', ' ro,nosuid')], ['0::/'], undefined, {}],
  ['a read-only file system', [PIDS.replace('rw,pids', 'ro,pids')], ['3:pids:/'], undefined, {}],
  [
    'the first usable one of several mounts',
    [V2.replace(' rw,nosuid', ' ro,nosuid'), V2.replace('/sys/fs/cgroup', '/second'), V2],
    ['0::/a'],
    '/second/a',
    {},
  ],
  ['a group that was removed', [V2], ['0::/gone (deleted)'], undefined, {}],
  ['a place with a space', [V2.replace('/sys/fs/cgroup', '/mnt/a\\040b\\134')], ['0::/x'], '/mnt/a b\\/x', {}],
  ['v2 not mounted', [PIDS], ['3:pids:/', '0::/'], undefined, { pids: '/sys/fs/cgroup/pids' }],
  ['none', [], [], undefined, {}],
  ['lines that are none', ['x', '1 2 3 - cgroup2', '- - -'], ['0:', ':', '0::relative'], undefined, {}],
]

describe('hierarchies', () => {
  test.each(TABLE)('%s', (_, mountinfo, cgroup, v2, v1) => {
    const found = parseHierarchies([...OTHER, ...mountinfo, ''].join('\n'), [...cgroup, ''].join('\n'))
    expect(found.v2?.own).toBe(v2)
    expect(Object.fromEntries([...found.v1].map(([name, { own }]) => [name, own]))).toEqual(v1)
  })
})
