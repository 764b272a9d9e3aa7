import { describe, expect, test } from 'vitest'

import { readSyscalls, syscallHistogram } from '../../../src/linux/bpf/syscall-histogram.ts'
import { Machine } from './interpreter.ts'

const ID = 0x1_2345_6789n
const object = syscallHistogram(ID)

function run(machine: Machine, number: bigint): void {
  const [program] = object.programs
  if (program === undefined) throw new Error('no program')
  const context = new Uint8Array(16)
  new DataView(context.buffer).setBigUint64(8, BigInt.asUintN(64, number), true)
  machine.run(program, context)
}

describe('the syscall histogram', () => {
  test('counts by number, and everything beyond the table together', () => {
    const machine = new Machine(object)
    machine.cgroup = ID
    for (const number of [0n, 39n, 39n, 511n, 512n, 0x4000_0000n, 2n ** 32n, -1n]) run(machine, number)
    expect(readSyscalls(machine.values(0), 3n)).toEqual({
      counts: [
        [0, 1n],
        [39, 2n],
        [511, 1n],
      ],
      overflow: 4n,
      lost: 3n,
    })
  })

  test.each([0n, ID + 1n, ID & 0xffff_ffffn, ID | (1n << 63n)])('group %s is not this one', (cgroup) => {
    const machine = new Machine(object)
    machine.cgroup = cgroup
    run(machine, 39n)
    expect(readSyscalls(machine.values(0), 0n)).toEqual({ counts: [], overflow: 0n, lost: 0n })
  })

  test('bytes of another size are not the map', () => {
    expect(readSyscalls(new Uint8Array(512 * 8), 0n)).toBeUndefined()
  })
})
