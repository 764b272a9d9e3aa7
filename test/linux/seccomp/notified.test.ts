// Reports name what was attempted, from the call alone.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { FEATURES } from '../../../src/enforcer/feature.ts'
import { describeNotified, syscallName } from '../../../src/linux/seccomp/seccomp.ts'
import { syscallTable } from '../../../src/linux/seccomp/syscalls.ts'
import { ARCHES } from './needs.ts'

test.each<[string, readonly number[], string, string]>([
  ['ptrace', [16], 'privilege', 'ptrace'],
  ['mount', [], 'privilege', 'mount'],
  ['bpf', [], 'privilege', 'bpf'],
  ['keyctl', [], 'privilege', 'keyctl'],
  ['unshare', [0x1002_0000], 'privilege', 'unshare(CLONE_NEWNS|CLONE_NEWUSER)'],
  ['unshare', [0x80], 'privilege', 'unshare(CLONE_NEWTIME)'],
  ['clone', [0x1000_0080], 'privilege', 'clone(CLONE_NEWUSER)'],
  ['ioctl', [0, 0x5412], 'privilege', 'ioctl(TIOCSTI)'],
  ['prctl', [35], 'privilege', 'prctl(PR_SET_MM)'],
  ['personality', [0x40_0000], 'privilege', 'personality(0x400000)'],
  ['seccomp', [1, 8], 'privilege', 'seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)'],
  ['prlimit64', [1], 'privilege', 'prlimit64(pid 1)'],
  ['mknodat', [0, 0, 0o060600], 'privilege', 'mknodat(S_IFBLK)'],
  ['setsockopt', [3, 1, 26], 'privilege', 'setsockopt(SOL_SOCKET, 26)'],
  ['msgget', [], 'privilege', 'msgget'],
  ['socket', [17, 0x80003, 768], 'egress', 'socket(AF_PACKET, SOCK_RAW, 768)'],
  ['socket', [2, 1, 0], 'egress', 'socket(AF_INET, SOCK_STREAM, 0)'],
  ['socket', [99, 9, 0], 'egress', 'socket(99, 9, 0)'],
  ['listen', [3, 1], 'egress', 'listen'],
  ['sendto', [3, 0, 0, 0x2000_0000], 'egress', 'sendto(MSG_FASTOPEN)'],
  ['memfd_create', [], 'fs_execute', 'memfd_create'],
  ['execveat', [], 'fs_execute', 'execveat'],
  ['mmap', [0, 4096, 7, 0x22], 'fs_execute', 'mmap(PROT_WRITE|PROT_EXEC, MAP_ANONYMOUS)'],
  ['mprotect', [0, 4096, 5], 'fs_execute', 'mprotect(PROT_EXEC)'],
  ['shmat', [0, 0, 0x8000], 'fs_execute', 'shmat(SHM_EXEC)'],
  ['inotify_init1', [], 'syscalls', 'inotify_init1'],
  ['mknodat', [0, 0, 0o010600], 'syscalls', 'mknodat'],
  ['mknodat', [0, 0, 0o104755], 'privilege', 'mknodat(S_ISUID)'],
  ['mknodat', [0, 0, 0o026600], 'privilege', 'mknodat(S_IFCHR|S_ISUID|S_ISGID)'],
  ['fchmod', [3, 0o4755], 'privilege', 'fchmod(S_ISUID)'],
  ['fchmod', [3, 0o2755], 'privilege', 'fchmod(S_ISGID)'],
  ['fchmod', [3, 0o755], 'syscalls', 'fchmod'],
  // The type is part of the mode only where a file is made.
  ['fchmodat', [3, 0, 0o26755], 'privilege', 'fchmodat(S_ISUID|S_ISGID)'],
  ['fchmodat2', [3, 0, 0o4755, 0], 'privilege', 'fchmodat2(S_ISUID)'],
  ['openat', [3, 0, 0o101, 0o4755], 'privilege', 'openat(S_ISUID)'],
  ['openat', [3, 0, 0o2020_0002, 0o2755], 'privilege', 'openat(S_ISGID)'],
  ['openat', [3, 0, 0o20_0000, 0o6755], 'syscalls', 'openat'],
])('%s(%j) is told as %s: %s', (name, args, feature, subject) => {
  for (const arch of ARCHES) {
    const nr = syscallTable(arch).numbers.get(name)
    if (nr === undefined) throw new Error(name)
    const dirty = args.map((value) => BigInt(value) | 0xdead_beef_0000_0000n)
    expect(describeNotified(arch, nr, dirty)).toEqual({ feature, subject })
  }
})

test.each<[string, readonly number[], string, string]>([
  ['chmod', [0, 0o4755], 'privilege', 'chmod(S_ISUID)'],
  ['creat', [0, 0o4755], 'privilege', 'creat(S_ISUID)'],
  ['mknod', [0, 0o60644], 'privilege', 'mknod(S_IFBLK)'],
  ['open', [0, 0o101, 0o6755], 'privilege', 'open(S_ISUID|S_ISGID)'],
  ['open', [0, 0, 0o6755], 'syscalls', 'open'],
])('%s(%j), which only x64 has, is told as %s: %s', (name, args, feature, subject) => {
  const nr = syscallTable('x64').numbers.get(name) ?? -1
  expect(describeNotified('x64', nr, args.map(BigInt))).toEqual({ feature, subject })
})

describe('when the profile forbids the name', () => {
  test.each<[string, readonly number[], string | undefined]>([
    // Some box may do this, so this one may not because of the profile.
    ['msgget', [], undefined],
    ['shmat', [0, 0, 0], undefined],
    ['mq_open', [], undefined],
    ['listen', [3, 1], undefined],
    ['socket', [2, 1, 6], undefined],
    ['socket', [1, 1, 0], undefined],
    ['socket', [16, 3, 0], undefined],
    ['personality', [0], undefined],
    ['personality', [0xffff_ffff], undefined],
    ['pkey_mprotect', [0, 4096, 5], undefined],
    ['fchmodat', [3, 0, 0o755], undefined],
    ['fchmodat', [3, 0, 0o2755], undefined],
    ['inotify_init1', [], undefined],
    ['unshare', [0x200], undefined],
    ['prlimit64', [0, 7], undefined],
    // No box may.
    ['ptrace', [16], 'privilege'],
    ['mount', [], 'privilege'],
    ['memfd_create', [], 'fs_execute'],
    ['shmat', [0, 0, 0x8000], 'fs_execute'],
    ['socket', [17, 3, 768], 'egress'],
    ['socket', [2, 3, 6], 'egress'],
    ['socket', [16, 3, 12], 'egress'],
    ['personality', [0x40_0000], 'privilege'],
    ['fchmodat', [3, 0, 0o4755], 'privilege'],
    ['mknodat', [0, 0, 0o20600], 'privilege'],
    ['unshare', [0x1000_0000], 'privilege'],
    ['prlimit64', [1, 7], 'privilege'],
    // Forbidden to commands in silence: if it is told, it was for something else.
    ['mprotect', [0, 4096, 5], 'fs_execute'],
    ['openat', [3, 0, 0o101, 0o4755], 'privilege'],
    ['clone', [0x1000_0000], 'privilege'],
  ])('%s(%j)', (name, args, attack) => {
    for (const arch of ARCHES) {
      const nr = syscallTable(arch).numbers.get(name)
      // Not everything is a call of both.
      if (nr === undefined) continue
      const dirty = args.map((value) => BigInt(value) | 0xdead_beef_0000_0000n)
      const told = describeNotified(arch, nr, dirty, new Set([name]))
      expect(told).toEqual(
        attack === undefined ? { feature: 'syscalls', subject: name } : describeNotified(arch, nr, dirty),
      )
      if (attack !== undefined) expect(told.feature).toBe(attack)
      // Another name changes nothing.
      const plain = describeNotified(arch, nr, dirty)
      expect(describeNotified(arch, nr, dirty, new Set(['sync', 'x']))).toEqual(plain)
      expect(describeNotified(arch, nr, dirty, new Set())).toEqual(plain)
    }
  })
})

test('any call gives a short line of plain text', () => {
  const call = fc.tuple(
    fc.constantFrom(...ARCHES),
    fc.integer({ min: -2, max: 600 }),
    fc.array(fc.bigInt(), { maxLength: 7 }),
    fc.boolean(),
  )
  fc.assert(
    fc.property(call, ([arch, nr, args, forbids]) => {
      const forbidden = forbids ? new Set([syscallName(arch, nr)]) : undefined
      const { feature, subject } = describeNotified(arch, nr, args, forbidden)
      expect(FEATURES).toContain(feature)
      expect(subject).toMatch(/^[A-Za-z0-9_(),| -]{2,120}$/)
    }),
    { numRuns: 2000 },
  )
})

test('a number without a name is shown as one', () => {
  expect(syscallName('x64', 0)).toBe('read')
  expect(syscallName('arm64', 63)).toBe('read')
  expect(syscallName('x64', 9999)).toBe('syscall 9999')
})
