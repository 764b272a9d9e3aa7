import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BoxSetup } from '../../../src/linux/box.ts'
import { encodeBpf } from '../../../src/linux/bpf/wire.ts'
import { type Btf, parseBtf } from '../../../src/linux/lsm/btf.ts'
import { EVENT_BYTES, LSM_HOOKS, LSM_REASONS, readLsmEvent } from '../../../src/linux/lsm/events.ts'
import { listedFiles } from '../../../src/linux/lsm/listed.ts'
import { type LsmFile, lsmPrograms } from '../../../src/linux/lsm/programs.ts'
import { btfFile, kernelTypes } from './btf-file.ts'

function kernel(shape?: Parameters<typeof kernelTypes>[0]): Btf {
  const parsed = parseBtf(btfFile(kernelTypes(shape)))
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.btf
}

const file = (more: Partial<LsmFile> = {}): LsmFile => ({
  major: 8,
  minor: 1,
  ino: 7n,
  execute: true,
  map: false,
  ...more,
})
const unavailable = expect.objectContaining({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })

describe('the object', () => {
  const btf = kernel()

  test('is one program for each hook, bound to it by number, and is taken by the loader', () => {
    const { programs, maps } = lsmPrograms(btf, { cgroup: 5n, files: [file()] })
    expect(
      programs.map(({ name, type, expectedAttachType, attach }) => [name, type, expectedAttachType, attach.to]),
    ).toEqual(LSM_HOOKS.map((hook) => [`ap_lsm_${hook}`, 29, 27, 'lsm']))
    expect(programs.map(({ attachBtfId }) => attachBtfId)).toEqual(
      ['bprm_check_security', 'mmap_file', 'file_mprotect'].map((hook) => btf.functionId(`bpf_lsm_${hook}`)),
    )
    expect(maps.map(({ name, type }) => [name, type])).toEqual([
      ['lsm_files', 1],
      ['lsm_events', 27],
      ['lsm_dropped', 2],
    ])
    expect(encodeBpf({ programs, maps }).length).toBeGreaterThan(0)
  })

  test('asks for the group before anything else', () => {
    const cgroup = 0x1234_5678_9abc_def0n
    for (const { instructions } of lsmPrograms(btf, { cgroup, files: [] }).programs) {
      const view = new DataView(instructions.buffer)
      // mov r6, r1; call 80; r1 = the group; if r0 != r1 leave
      expect([view.getUint8(8), view.getInt32(12, true)]).toEqual([0x85, 80])
      expect([view.getUint8(16), view.getUint32(20, true), view.getUint32(28, true)]).toEqual([
        0x18, 0x9abc_def0, 0x1234_5678,
      ])
      expect(view.getUint8(32)).toBe(0x5d)
      // To the last two instructions: r0 = 0, exit.
      const target = 5 + view.getInt16(34, true)
      expect(target).toBe(instructions.length / 8 - 2)
      expect(view.getInt32(target * 8 + 4, true)).toBe(0)
    }
  })

  test('has no instruction that nothing leads to', () => {
    for (const executableMemory of [false, true]) {
      for (const { instructions, name } of lsmPrograms(btf, { cgroup: 1n, files: [], executableMemory }).programs) {
        const count = instructions.length / 8
        const view = new DataView(instructions.buffer)
        const seen = new Set<number>()
        const walk = [0]
        while (walk.length > 0) {
          const at = walk.pop() ?? 0
          if (seen.has(at) || at >= count) continue
          seen.add(at)
          const opcode = view.getUint8(at * 8)
          const jumps = (opcode & 7) === 5 || (opcode & 7) === 6
          if (opcode === 0x18) seen.add(at + 1)
          if (jumps && opcode !== 0x85 && opcode !== 0x95) walk.push(at + 1 + view.getInt16(at * 8 + 2, true))
          if (opcode !== 0x95 && opcode !== 0x05) walk.push(at + (opcode === 0x18 ? 2 : 1))
        }
        expect([name, seen.size]).toEqual([name, count])
      }
    }
  })

  test('keys are what the kernel makes of a file, and what may be started may be mapped', () => {
    const files = [
      file({ ino: 0x1_0000_0002n }),
      file({ major: 254, minor: 0xfffff, ino: 2n ** 64n - 1n, execute: false, map: true }),
      file({ ino: 9n, execute: false }),
    ]
    const [map] = lsmPrograms(btf, { cgroup: 1n, files }).maps
    const entries = map?.entries.map(({ key, value }) => {
      const view = new DataView(key.buffer)
      return [view.getBigUint64(0, true), view.getUint32(8, true), view.getUint32(12, true), value[0]]
    })
    expect(entries).toEqual([
      [0x1_0000_0002n, (8 << 20) | 1, 0, 3],
      [2n ** 64n - 1n, ((254 << 20) | 0xfffff) >>> 0, 0, 2],
      [9n, (8 << 20) | 1, 0, 0],
    ])
  })

  test('a file that is listed twice has both rights', () => {
    const twice = [file({ execute: false, map: true }), file({ execute: true })]
    const [map] = lsmPrograms(btf, { cgroup: 1n, files: twice }).maps
    expect(map?.entries.map(({ value }) => value[0])).toEqual([3])
    expect(lsmPrograms(btf, { cgroup: 1n, files: [] }).maps[0]?.maxEntries).toBe(1)
  })

  test.each([
    ['a number of 0', { ino: 0n }],
    ['a number of 65 bits', { ino: 2n ** 64n }],
    ['a negative number', { ino: -1n }],
    ['a major of 13 bits', { major: 4096 }],
    ['a minor of 21 bits', { minor: 1 << 20 }],
    ['half a minor', { minor: 0.5 }],
  ])('%s is misuse', (_, more) => {
    expect(() => lsmPrograms(btf, { cgroup: 1n, files: [file(more)] })).toThrow(TypeError)
  })

  test('more files than the map holds', () => {
    const files = new Array(65_537).fill(file())
    expect(() => lsmPrograms(btf, { cgroup: 1n, files })).toThrow(unavailable)
  })
})

describe('a kernel that is another', () => {
  test.each([
    ['one argument less', { mmapParameters: ['file', 'prot', 'flags'] }],
    ['one argument more', { mmapParameters: ['file', 'reqprot', 'prot', 'flags', 'ret'] }],
    ['arguments in another order', { mmapParameters: ['file', 'prot', 'reqprot', 'flags'] }],
    ['an inode number of 4 bytes', { inodeNumberSize: 4 }],
    ['no mmap hook', { without: 'bpf_lsm_mmap_file' }],
    ['no struct file', { without: 'file' }],
  ])('%s is refused', (_, shape) => {
    expect(() => lsmPrograms(kernel(shape), { cgroup: 1n, files: [] })).toThrow(unavailable)
  })

  test('the mark of what may be NULL is no other name', () => {
    const marked = kernel({ mmapParameters: ['file__nullable', 'reqprot', 'prot', 'flags'] })
    expect(lsmPrograms(marked, { cgroup: 1n, files: [] }).programs).toHaveLength(3)
  })
})

describe('events', () => {
  test('are read as they are written', () => {
    const bytes = Buffer.alloc(EVENT_BYTES)
    bytes.writeUInt32LE(1, 0)
    bytes.writeUInt32LE(3, 4)
    bytes.writeUInt32LE(4242, 8)
    bytes.writeUInt32LE(1, 12)
    bytes.writeBigUInt64LE(2n ** 40n, 16)
    bytes.writeUInt32LE((8 << 20) | 1, 24)
    bytes.write('attempt', 32)
    expect(readLsmEvent(bytes)).toEqual({
      hook: 'map',
      reason: 'anonymous',
      pid: 4242,
      errno: 1,
      ino: 2n ** 40n,
      dev: (8 << 20) | 1,
      comm: 'attempt',
    })
  })

  test('any bytes are one or none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 40, maxLength: 56 }), (bytes) => {
        const event = readLsmEvent(bytes)
        if (bytes.length !== EVENT_BYTES) expect(event).toBeUndefined()
        else if (event !== undefined) {
          expect(LSM_HOOKS).toContain(event.hook)
          expect(LSM_REASONS).toContain(event.reason)
        }
      }),
    )
  })
})

describe('the files of a box', () => {
  const bind = (source: string, more: object = {}) =>
    ({
      type: 'bind',
      source,
      target: source,
      access: 'execute',
      recursive: false,
      ...more,
    }) as BoxSetup['mounts'][number]
  const setup = (mounts: BoxSetup['mounts'], more: Partial<BoxSetup> = {}): BoxSetup => ({
    kind: 'namespaces',
    userNamespace: false,
    network: 'none',
    hostname: 'box',
    mounts,
    workdir: '/',
    listeners: [],
    rlimits: [],
    seccomp: new Uint8Array(8),
    notify: false,
    cgroups: { v1: [] },
    ...more,
  })
  const loaded = (real: string, role: 'interpreter' | 'library') => ({ path: real, real, links: [], role, why: '' })
  const closure = { files: [loaded('/ld.so', 'interpreter'), loaded('/libc', 'library')], missing: [] }

  test('programs are started, what they load is mapped, the rest is neither', () => {
    const mounts = [
      bind('/bin/a'),
      bind('/ld.so'),
      bind('/libc'),
      bind('/data', { access: 'read' }),
      { type: 'dev' } as const,
    ]
    expect(listedFiles(setup(mounts), closure)).toEqual({
      ok: true,
      files: [
        { path: '/bin/a', execute: true, map: true },
        { path: '/ld.so', execute: false, map: true },
        { path: '/libc', execute: false, map: true },
      ],
    })
  })

  test('what Landlock does not start is not started here', () => {
    const landlock = {
      handledFs: 1n,
      handledNet: 0n,
      scoped: 0n,
      attributeSize: 8,
      paths: [
        { path: '/bin/a', access: 5n },
        { path: '/plugin.so', access: 4n },
      ],
      ports: [],
    }
    const listing = listedFiles(setup([bind('/bin/a'), bind('/plugin.so'), bind('/other.so')], { landlock }), closure)
    expect(listing.ok && listing.files.map(({ execute }) => execute)).toEqual([true, false, false])
  })

  test('trees and boxes without mounts cannot be listed', () => {
    expect(listedFiles(setup([bind('/opt', { recursive: true })]), closure).ok).toBe(false)
    expect(listedFiles(setup([], { kind: 'flat' }), closure).ok).toBe(false)
  })
})
