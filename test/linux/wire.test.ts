// The format between library and launcher: what is written has one reading, however it is cut into pieces, and what is not a
// frame ends the stream.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { BoxSetup } from '../../src/linux/box.ts'
import { encodeSetup, encodeSignal, encodeSpawn, FrameReader, launcherArguments } from '../../src/linux/wire.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const SETUP: BoxSetup = {
  kind: 'namespaces',
  userNamespace: true,
  network: 'loopback',
  hostname: 'box',
  mounts: [
    { type: 'dev' },
    { type: 'proc' },
    { type: 'bind', source: '/usr/bin/true', target: '/usr/bin/true', access: 'execute', recursive: false },
    { type: 'file', target: '/etc/x', content: 'a\0b' },
  ],
  workdir: '/tmp',
  listeners: [{ name: 'proxy', address: '127.0.0.1', port: 3128 }],
  rlimits: [
    { resource: 4, limit: 1n },
    { resource: 7, limit: undefined },
  ],
  seccomp: new Uint8Array(8),
  notify: true,
  cgroups: { v2: '/sys/fs/cgroup/a', v1: ['/sys/fs/cgroup/pids/a'] },
}

function u16(value: number): number[] {
  return [value & 255, value >> 8]
}
function u32(value: number): number[] {
  return [...u16(value & 0xffff), ...u16(value >>> 16)]
}
const record = (tag: number, body: readonly number[]): number[] => [...u16(tag), 0, 0, ...u32(body.length), ...body]
const frame = (type: number, ...records: number[][]): number[] => {
  const body = records.flat()
  return [...u32(body.length + 4), ...u16(1), ...u16(type), ...body]
}
const bytes = (text: string): number[] => [...Buffer.from(text)]

const STARTED = frame(18, record(32, u32(7)), record(40, u32(2)))
const READY = frame(16, record(47, bytes('abc')), record(49, u32(7)))
const FAILED = frame(17, record(42, bytes('mount')), record(43, u32(1)), record(44, bytes('/x')))
const DENIED = frame(21, record(45, [...u32(3), ...u32(0xc000003e), ...u32(101), ...u32(0), ...new Array(48).fill(0)]))

describe('what the launcher says', () => {
  test('each frame has its meaning', () => {
    expect(new FrameReader().push(Uint8Array.from([...READY, ...FAILED, ...STARTED, ...DENIED]))).toEqual([
      { type: 'ready', sourceDigest: 'abc', landlockAbi: 7 },
      { type: 'failed', step: 'mount', errno: 1, subject: '/x' },
      { type: 'started', id: 7, pid: 2 },
      { type: 'denied', pid: 3, arch: 0xc000003e, number: 101, args: [0n, 0n, 0n, 0n, 0n, 0n] },
    ])
  })

  test('wherever the stream is cut', () => {
    const all = [...READY, ...STARTED, ...DENIED, ...FAILED]
    const whole = new FrameReader().push(Uint8Array.from(all))
    fc.assert(
      fc.property(fc.array(fc.nat(all.length), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), all.length]
        const reader = new FrameReader()
        const parts = at.slice(1).flatMap((end, index) => reader.push(Uint8Array.from(all.slice(at[index], end))))
        expect(parts).toEqual(whole)
      }),
      { numRuns: fuzzRuns(200) },
    )
  })

  test.each<[string, number[]]>([
    ['another version', [...u32(4), ...u16(2), ...u16(18)]],
    ['a type nobody sends', frame(99)],
    ['a length that is none', [...u32(3), ...u16(1), ...u16(18)]],
    ['a length beyond every bound', [...u32(0x7fffffff), ...u16(1), ...u16(18)]],
    ['a record that is longer than its frame', [...u32(12), ...u16(1), ...u16(18), ...u16(32), 0, 0, ...u32(4)]],
    ['a record twice', frame(18, record(32, u32(1)), record(32, u32(2)), record(40, u32(2)))],
    ['a record too few', frame(18, record(32, u32(1)))],
    ['a number of the wrong size', frame(18, record(32, [1]), record(40, u32(2)))],
    ['a record with something in its gap', frame(18, [...u16(32), 1, 0, ...u32(4), ...u32(1)], record(40, u32(2)))],
  ])('%s ends the stream', (_, malformed) => {
    expect(() => new FrameReader().push(Uint8Array.from(malformed))).toThrow(RangeError)
  })

  test('random bytes never do anything but that', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        try {
          new FrameReader().push(noise)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
      { numRuns: fuzzRuns(2000) },
    )
  })
})

describe('what the launcher is told', () => {
  test('what it needs before there are namespaces is in its arguments', () => {
    expect(launcherArguments(SETUP)).toEqual(['31', '/sys/fs/cgroup/a', '/sys/fs/cgroup/pids/a'])
    const flat = { ...SETUP, kind: 'flat', userNamespace: false, network: 'host', notify: false } as const
    expect(launcherArguments({ ...flat, cgroups: { v1: [] } })).toEqual(['0', '-'])
  })

  test('frames say how long they are', () => {
    for (const encoded of [encodeSetup(SETUP), encodeSignal(1, 15)]) {
      expect(encoded.readUInt32LE(0)).toBe(encoded.length - 4)
      expect(encoded.readUInt16LE(4)).toBe(1)
    }
  })

  test('a NUL would be the end of a path or an argument, and is refused; in the content of a file it is content', () => {
    const command = {
      id: 1,
      file: '/bin/a',
      args: ['a'],
      env: {},
      cwd: '/',
      stdio: ['null', 'null', 'null'],
      keepSession: false,
    } as const
    expect(() => encodeSpawn(command)).not.toThrow()
    for (const change of [{ file: '/bin/a\0b' }, { args: ['a\0'] }, { cwd: '/\0' }, { env: { A: '\0' } }]) {
      expect(() => encodeSpawn({ ...command, ...change })).toThrow(TypeError)
    }
    for (const mounts of [
      [{ type: 'bind', source: '/a\0b', target: '/a', access: 'read', recursive: false }],
      [{ type: 'symlink', target: '/a\0', to: 'b' }],
      [{ type: 'symlink', target: '/a', to: 'b\0c' }],
    ] as const) {
      expect(() => encodeSetup({ ...SETUP, mounts })).toThrow(TypeError)
    }
  })
})
