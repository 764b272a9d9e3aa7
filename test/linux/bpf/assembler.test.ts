import { describe, expect, test } from 'vitest'

import { Assembler } from '../../../src/linux/bpf/assembler.ts'

const hex = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .replaceAll(/.{16}(?=.)/g, '$& ')

// Encodings of RFC 9669, as `llvm-mc -arch=bpfel` writes them.
const ENCODINGS: readonly (readonly [name: string, build: (asm: Assembler) => Assembler, bytes: string])[] = [
  ['r0 = 1', (asm) => asm.mov('r0', 1), 'b700000001000000'],
  ['r6 = r1', (asm) => asm.mov('r6', 'r1'), 'bf16000000000000'],
  ['w1 = 7', (asm) => asm.alu32('mov', 'r1', 7), 'b401000007000000'],
  ['r2 += -4', (asm) => asm.alu('add', 'r2', -4), '07020000fcffffff'],
  ['r2 -= r3', (asm) => asm.alu('sub', 'r2', 'r3'), '1f32000000000000'],
  ['r1 |= r2', (asm) => asm.alu('or', 'r1', 'r2'), '4f21000000000000'],
  ['w1 &= -3', (asm) => asm.alu32('and', 'r1', -3), '54010000fdffffff'],
  ['r1 <<= 32', (asm) => asm.alu('lsh', 'r1', 32), '6701000020000000'],
  ['r1 >>= 32', (asm) => asm.alu('rsh', 'r1', 32), '7701000020000000'],
  ['w3 ^= w4', (asm) => asm.alu32('xor', 'r3', 'r4'), 'ac43000000000000'],
  ['r1 = *(u8 *)(r6 + 4)', (asm) => asm.load(8, 'r1', 'r6', 4), '7161040000000000'],
  ['r1 = *(u16 *)(r6 + 4)', (asm) => asm.load(16, 'r1', 'r6', 4), '6961040000000000'],
  ['r1 = *(u32 *)(r6 + 24)', (asm) => asm.load(32, 'r1', 'r6', 24), '6161180000000000'],
  ['r1 = *(u64 *)(r6 + 8)', (asm) => asm.load(64, 'r1', 'r6', 8), '7961080000000000'],
  ['*(u8 *)(r10 - 20) = r1', (asm) => asm.store(8, 'r10', -20, 'r1'), '731aecff00000000'],
  ['*(u16 *)(r10 - 18) = r1', (asm) => asm.store(16, 'r10', -18, 'r1'), '6b1aeeff00000000'],
  ['*(u32 *)(r10 - 4) = r1', (asm) => asm.store(32, 'r10', -4, 'r1'), '631afcff00000000'],
  ['*(u64 *)(r10 - 8) = r1', (asm) => asm.store(64, 'r10', -8, 'r1'), '7b1af8ff00000000'],
  ['*(u32 *)(r10 - 24) = 160', (asm) => asm.store(32, 'r10', -24, 160), '620ae8ffa0000000'],
  ['*(u64 *)(r10 - 16) = 0', (asm) => asm.store(64, 'r10', -16, 0), '7a0af0ff00000000'],
  ['lock *(u64 *)(r0 + 0) += r1', (asm) => asm.atomicAdd(64, 'r0', 0, 'r1'), 'db10000000000000'],
  ['lock *(u32 *)(r0 + 8) += r1', (asm) => asm.atomicAdd(32, 'r0', 8, 'r1'), 'c310080000000000'],
  ['call 1', (asm) => asm.call(1), '8500000001000000'],
  ['exit', (asm) => asm.exit(), '9500000000000000'],
  ['r1 = 0x1122334455667788 ll', (asm) => asm.load64('r1', 0x1122334455667788n), '1801000088776655 0000000044332211'],
  ['r1 = 0xffffffffffffffff ll', (asm) => asm.load64('r1', 2n ** 64n - 1n), '18010000ffffffff 00000000ffffffff'],
  ['r1 = map', (asm) => asm.loadMap('r1', 3), '1801000000000000 0000000000000000'],
  ['goto -1', (asm) => asm.label('x').jump('x'), '0500ffff00000000'],
  ['if r1 == 2 goto +0', (asm) => asm.jumpIf('eq', 'r1', 2, 'x').label('x'), '1501000002000000'],
  ['if r1 != r2 goto +0', (asm) => asm.jumpIf('ne', 'r1', 'r2', 'x').label('x'), '5d21000000000000'],
  ['if r1 > 255 goto +0', (asm) => asm.jumpIf('gt', 'r1', 255, 'x').label('x'), '25010000ff000000'],
  ['if r1 >= 1 goto +0', (asm) => asm.jumpIf('ge', 'r1', 1, 'x').label('x'), '3501000001000000'],
  ['if r1 < 512 goto +0', (asm) => asm.jumpIf('lt', 'r1', 512, 'x').label('x'), 'a501000000020000'],
  ['if r1 <= 1 goto +0', (asm) => asm.jumpIf('le', 'r1', 1, 'x').label('x'), 'b501000001000000'],
  ['if r1 & 2 goto +0', (asm) => asm.jumpIf('set', 'r1', 2, 'x').label('x'), '4501000002000000'],
  ['if w1 == -1 goto +0', (asm) => asm.jumpIf32('eq', 'r1', -1, 'x').label('x'), '16010000ffffffff'],
  ['if w1 != w2 goto +0', (asm) => asm.jumpIf32('ne', 'r1', 'r2', 'x').label('x'), '5e21000000000000'],
]

describe('the assembler', () => {
  test.each(ENCODINGS)('%s', (_, build, bytes) => {
    expect(hex(build(new Assembler()).assemble().instructions)).toBe(bytes)
  })

  test('jumps count slots, and a wide constant has two', () => {
    const { instructions } = new Assembler()
      .jumpIf('eq', 'r1', 0, 'end')
      .load64('r1', 1n)
      .label('middle')
      .mov('r0', 0)
      .jump('middle')
      .label('end')
      .exit()
      .assemble()
    const offset = (index: number) => new DataView(instructions.buffer).getInt16(index * 8 + 2, true)
    expect([offset(0), offset(4)]).toEqual([4, -2])
  })

  test('a relocation names the first slot', () => {
    const { relocations } = new Assembler().mov('r0', 0).loadMap('r1', 0).loadMap('r2', 1).assemble()
    expect(relocations).toEqual([
      { instruction: 1, map: 0 },
      { instruction: 3, map: 1 },
    ])
  })

  test.each<readonly [string, (asm: Assembler) => unknown]>([
    ['an unknown label', (asm) => asm.jump('nowhere').assemble()],
    ['a label twice', (asm) => asm.label('x').label('x')],
    ['an immediate of 33 bits', (asm) => asm.mov('r0', 2 ** 31)],
    ['a fraction', (asm) => asm.mov('r0', 0.5)],
    ['an offset of 17 bits', (asm) => asm.load(32, 'r1', 'r2', 0x8000)],
    ['a negative constant of 64 bits', (asm) => asm.load64('r1', -1n)],
    ['a constant of 65 bits', (asm) => asm.load64('r1', 2n ** 64n)],
    ['a map before the first', (asm) => asm.loadMap('r1', -1)],
    ['a register that is none', (asm) => asm.mov('r11' as 'r10', 1)],
    [
      'a jump too far',
      (asm) => {
        asm.jump('end')
        for (let index = 0; index <= 0x7fff; index++) asm.exit()
        asm.label('end').assemble()
      },
    ],
  ])('%s is misuse', (_, build) => {
    expect(() => build(new Assembler())).toThrow(TypeError)
  })
})
