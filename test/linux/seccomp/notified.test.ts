// Reports name what was attempted, from the call alone.

import fc from 'fast-check'
import { expect, test } from 'vitest'

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
])('%s(%j) is told as %s: %s', (name, args, feature, subject) => {
  for (const arch of ARCHES) {
    const nr = syscallTable(arch).numbers.get(name)
    if (nr === undefined) throw new Error(name)
    const dirty = args.map((value) => BigInt(value) | 0xdead_beef_0000_0000n)
    expect(describeNotified(arch, nr, dirty)).toEqual({ feature, subject })
  }
})

test('any call gives a short line of plain text', () => {
  const call = fc.tuple(
    fc.constantFrom(...ARCHES),
    fc.integer({ min: -2, max: 600 }),
    fc.array(fc.bigInt(), { maxLength: 7 }),
  )
  fc.assert(
    fc.property(call, ([arch, nr, args]) => {
      const { feature, subject } = describeNotified(arch, nr, args)
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
