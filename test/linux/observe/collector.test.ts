// What the calls of a run amount to.

import { describe, expect, test } from 'vitest'

import { Collector, type CollectorHost } from '../../../src/linux/observe/collector.ts'
import type { Observation } from '../../../src/linux/observe/observation.ts'
import type { CallRecord, EndRecord } from '../../../src/linux/observe/record.ts'
import { dnsAnswer, ipv4, onPath, onSocket } from './support/records.ts'

const HOST: CollectorHost = { arch: 'x86_64', kernelRelease: '6.1.0', program: () => ({}) }
const END: EndRecord = { type: 'end', lost: 0, how: 'exited', status: 0, killed: false }

function collect(
  calls: readonly CallRecord[],
  host: CollectorHost = HOST,
  end: EndRecord | undefined = END,
): Observation {
  const collector = new Collector()
  for (const call of calls) collector.add(call)
  return collector.finish(end, { code: 0 }, host)
}

const plain = (name: string, a = 0n): CallRecord => ({ type: 'call', thread: 1, name, a, b: 0n, parts: [] })

describe('files', () => {
  test.each([
    ['read', onPath('openat', '/a', 'file', { a: 0n }), ['read']],
    ['write', onPath('openat', '/a', 'file', { a: 1n }), ['write']],
    ['both', onPath('openat', '/a', 'file', { a: 2n }), ['read', 'write']],
    ['O_TRUNC while reading', onPath('openat', '/a', 'file', { a: 0o1000n }), ['read', 'write']],
    ['O_CREAT of what is there', onPath('openat', '/a', 'file', { a: 0o101n }), ['write']],
    ['O_CREAT of what is not', onPath('openat', '/a', 'absent', { a: 0o101n }), ['create']],
    ['O_CREAT and O_RDWR', onPath('openat', '/a', 'absent', { a: 0o102n }), ['create', 'read']],
    ['what is not there', onPath('openat', '/a', 'absent'), ['missing']],
    ['a directory', onPath('openat', '/a', 'directory'), ['list']],
    ['O_PATH', onPath('openat', '/a', 'file', { a: 0o10000000n }), ['stat']],
    ['O_TMPFILE', onPath('openat', '/a', 'directory', { a: 0o20200002n }), ['create']],
    ['stat', onPath('newfstatat', '/a', 'file'), ['stat']],
    ['stat of nothing', onPath('statx', '/a', 'absent'), ['missing']],
    ['unlink', onPath('unlink', '/a', 'file'), ['delete']],
    ['mkdir', onPath('mkdir', '/a', 'absent'), ['create']],
    ['mkdir of what is there', onPath('mkdirat', '/a', 'directory'), ['stat']],
    ['chmod', onPath('chmod', '/a', 'file'), ['write']],
    // creat(2) truncates what is there.
    ['creat over a file', onPath('creat', '/a', 'file'), ['write']],
    ['creat', onPath('creat', '/a', 'absent'), ['create']],
  ])('%s', (_name, call, operations) => {
    expect(collect([call]).files.map(({ operation }) => operation)).toEqual(operations)
  })

  test('a rename takes one file away and makes another', () => {
    const call: CallRecord = {
      ...plain('renameat2'),
      parts: [
        { role: 'named', state: 'file', bytes: Buffer.from('/w/a') },
        { role: 'named', state: 'absent', bytes: Buffer.from('/w/link/b') },
        { role: 'real', state: 'absent', bytes: Buffer.from('/w/dir/b') },
      ],
    }
    expect(collect([call]).files).toEqual([
      { path: '/w/a', named: [], operation: 'delete', count: 1 },
      { path: '/w/dir/b', named: ['/w/link/b'], operation: 'create', count: 1 },
    ])
  })

  test('the resolved path counts, and the names that led to it', () => {
    const calls = [
      onPath('openat', '/etc/localtime', 'file', { real: '/usr/share/zoneinfo/UTC' }),
      onPath('openat', '/usr/share/zoneinfo/UTC', 'file'),
      onPath('openat', '/w/../x/./UTC', 'file', { real: '/usr/share/zoneinfo/UTC' }),
    ]
    expect(collect(calls).files).toEqual([
      { path: '/usr/share/zoneinfo/UTC', named: ['/etc/localtime'], operation: 'read', count: 3 },
    ])
  })

  test('what no manifest can name is counted and shown visibly', () => {
    const { unrepresentable, files } = collect([
      onPath('openat', '/w/\u202egnp.exe', 'file'),
      onPath('openat', '/w/a\nb', 'file'),
      { ...plain('openat'), parts: [{ role: 'named', state: 'file', bytes: Uint8Array.of(0x2f, 0xff) }] },
    ])
    expect(files).toEqual([])
    expect(unrepresentable.count).toBe(3)
    expect(unrepresentable.examples.join('')).not.toMatch(/[\n\u202e]/)
  })
})

describe('programs and code', () => {
  test('a program, its hash, and the interpreter the kernel started for it', () => {
    const host: CollectorHost = {
      ...HOST,
      program: (path) =>
        path === '/w/tool'
          ? { sha256: 'aa', interpreter: { path: '/usr/bin/dash', named: ['/bin/sh'] } }
          : { sha256: 'bb' },
    }
    const { programs, files } = collect(
      [onPath('execve', '/opt/tool', 'absent'), onPath('execve', '/w/tool', 'file')],
      host,
    )
    expect(programs).toEqual([
      { path: '/usr/bin/dash', named: ['/bin/sh'], count: 1, sha256: 'bb' },
      { path: '/w/tool', named: [], count: 1, sha256: 'aa' },
    ])
    expect(files).toEqual([{ path: '/opt/tool', named: [], operation: 'missing', count: 1 }])
  })

  test('scripts that interpret each other end', () => {
    const host: CollectorHost = {
      ...HOST,
      program: (path) => ({ interpreter: { path: path === '/a' ? '/b' : '/a', named: [] } }),
    }
    expect(collect([onPath('execve', '/a', 'file')], host).programs.map(({ path }) => path)).toEqual(['/a', '/b'])
  })

  test.each([
    ['memory without a file', plain('mmap', 7n)],
    ['a file without a name', onPath('mmap', '/memfd:x (deleted)', 'absent')],
    ['memory made executable', plain('mprotect', 5n)],
  ])('%s is executable_memory', (_name, call) => {
    expect(collect([call]).rights).toEqual(['executable_memory'])
  })

  test('a mapped file is a library', () => {
    const observation = collect([onPath('mmap', '/usr/lib/x.so', 'file')])
    expect(observation.libraries).toEqual([{ path: '/usr/lib/x.so', named: [], count: 1 }])
    expect(observation.rights).toEqual([])
  })

  test('calls that no box allows are told apart', () => {
    const { refused } = collect([plain('ptrace'), plain('bpf'), plain('socket'), plain('ptrace')])
    expect(refused).toEqual([
      { name: 'bpf', count: 1 },
      { name: 'ptrace', count: 2 },
    ])
  })
})

describe('network', () => {
  test('an address has the name it was last given for', () => {
    const answer = (name: string): CallRecord => ({
      ...plain('recvfrom'),
      parts: [{ role: 'datagram', bytes: dnsAnswer(name, ['192.0.2.1']) }],
    })
    const connect = onSocket('connect', 1, ipv4('192.0.2.1', 443))
    const { egress } = collect([connect, answer('a.example'), connect, connect, answer('b.example'), connect])
    expect(egress.map(({ host, count }) => [host, count])).toEqual([
      [undefined, 1],
      ['a.example', 2],
      ['b.example', 1],
    ])
  })

  test('a UDP peer that nothing was seen going to is marked, until something is', () => {
    const peer = ipv4('192.0.2.1', 123)
    const connect = onSocket('connect', 2, peer)
    const only = collect([connect])
    expect([only.egress[0]?.sent, only.rights]).toEqual([false, []])
    for (const calls of [
      [connect, onSocket('sendto', 2, peer)],
      [onSocket('sendto', 2, peer), connect],
    ]) {
      const both = collect(calls)
      expect(both.egress).toEqual([{ address: '192.0.2.1', port: 123, protocol: 'udp', sent: true, count: 2 }])
      expect(both.rights).toEqual(['udp'])
    }
  })

  test('asking a name server is no right to UDP', () => {
    expect(collect([onSocket('sendto', 2, ipv4('192.0.2.53', 53))]).rights).toEqual([])
  })

  test('listening, and sockets of this machine', () => {
    const unix = Buffer.concat([Buffer.from([1, 0]), Buffer.from('/run/x.sock\0')])
    const { listeners, unixSockets, rights } = collect([
      onSocket('bind', 1, ipv4('127.0.0.1', 0)),
      onSocket('listen', 1, ipv4('127.0.0.1', 8080)),
      onSocket('connect', 1, unix),
    ])
    expect(listeners).toEqual([{ address: '127.0.0.1', port: 8080, protocol: 'tcp', count: 1 }])
    expect(unixSockets).toEqual([{ path: '/run/x.sock', use: 'connect', count: 1 }])
    expect(rights).toEqual(['listen', 'unix_sockets'])
  })
})

describe('what is out of sight', () => {
  test.each([
    ['foreign_architecture', [plain('foreign')]],
    ['io_uring', [plain('io_uring_setup')]],
    ['other_root', [onPath('chroot', '/w', 'directory')]],
    ['unreadable_argument', [onPath('openat', '', 'unreadable')]],
    ['socket_type', [{ ...onSocket('connect', 1, ipv4('192.0.2.1', 1)), a: 0n }]],
  ])('%s makes a run incomplete', (blind, calls) => {
    const observation = collect(calls)
    expect(observation.blind).toEqual([blind])
    expect(observation.complete).toBe(false)
  })

  test('a stream without an end, and records that were lost', () => {
    expect(new Collector().finish(undefined, {}, HOST)).toMatchObject({ blind: ['stream'], complete: false })
    expect(collect([], HOST, { ...END, lost: 2 })).toMatchObject({ lost: 2, complete: false })
    expect(collect([])).toMatchObject({ lost: 0, complete: true, syscalls: 'selected' })
  })

  test('a program cannot make the collection grow without end', () => {
    const collector = new Collector()
    for (let index = 0; index < 60_000; index++) collector.add(onPath('openat', `/w/${index}`, 'absent'))
    const { files, lost, complete } = collector.finish(END, { code: 0 }, HOST)
    expect(files.length).toBeLessThanOrEqual(50_000)
    expect(files.length + lost).toBe(60_000)
    expect(complete).toBe(false)
  })
})
