import { describe, expect, test } from 'vitest'

import type { BpfMap, BpfObject, BpfProgram } from '../../../src/linux/box.ts'
import { encodeBpf } from '../../../src/linux/bpf/wire.ts'

const MAP: BpfMap = { name: 'm', type: 2, keySize: 4, valueSize: 2, maxEntries: 3, flags: 1, entries: [] }
const PROGRAM: BpfProgram = {
  name: 'p',
  type: 18,
  expectedAttachType: 10,
  attachBtfId: 0,
  instructions: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  relocations: [],
  attach: { to: 'cgroup' },
}
const of = (map: Partial<BpfMap>, program: Partial<BpfProgram> = {}): BpfObject => ({
  maps: [{ ...MAP, ...map }],
  programs: [{ ...PROGRAM, ...program }],
})

describe('the record', () => {
  test('is laid out as the header says', () => {
    const object = of(
      { entries: [{ key: Uint8Array.of(9, 8, 7, 6), value: Uint8Array.of(5, 4) }] },
      { relocations: [{ instruction: 0, map: 0 }], attach: { to: 'raw_tracepoint', tracepoint: 'sys_enter' } },
    )
    const u32 = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24]
    expect([...encodeBpf(object)]).toEqual([
      ...[1, 1, 1],
      ...[1, 0x6d, ...u32(2), ...u32(4), ...u32(2), ...u32(3), ...u32(1), ...u32(1), 9, 8, 7, 6, 5, 4],
      ...[1, 0x70, ...u32(18), ...u32(10), ...u32(0), 2, 9, ...Buffer.from('sys_enter')],
      ...[...u32(1), 1, 2, 3, 4, 5, 6, 7, 8, ...u32(1), ...u32(0), 0],
    ])
  })

  test.each([
    ['cgroup', { to: 'cgroup' }, 1],
    ['lsm', { to: 'lsm' }, 3],
  ] as const)('attach %s', (_, attach, number) => {
    const bytes = encodeBpf({ maps: [], programs: [{ ...PROGRAM, attach }] })
    expect([...bytes.subarray(3 + 2 + 12, 3 + 2 + 14)]).toEqual([number, 0])
  })

  test.each<readonly [string, BpfObject]>([
    ['a name of 16', of({ name: 'x'.repeat(16) })],
    ['a name that is not plain', of({ name: 'é' })],
    ['a name with a NUL', of({}, { name: 'a\0b' })],
    ['a number of 33 bits', of({ maxEntries: 2 ** 32 })],
    ['a negative number', of({ flags: -1 })],
    ['an entry of another size', of({ entries: [{ key: new Uint8Array(3), value: new Uint8Array(2) }] })],
    ['half an instruction', of({}, { instructions: new Uint8Array(12) })],
    ['no instruction', of({}, { instructions: new Uint8Array(0) })],
    ['a map that is not there', of({}, { relocations: [{ instruction: 0, map: 1 }] })],
    ['nine maps', { maps: new Array(9).fill(MAP), programs: [] }],
    ['sixty-five programs', { maps: [], programs: new Array(65).fill(PROGRAM) }],
    ['a tracepoint of 64', of({}, { attach: { to: 'raw_tracepoint', tracepoint: 'x'.repeat(64) } })],
  ])('%s is misuse', (_, object) => {
    expect(() => encodeBpf(object)).toThrow(TypeError)
  })
})
