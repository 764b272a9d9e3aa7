// Runs extended BPF programs as the kernel does (RFC 9669), as far as ours go: enough to compare them with a reference on
// any operating system. Stricter than a processor: reading a register, a byte of stack or a place outside a region that
// nothing was written to throws, as the verifier would refuse it.

import type { BpfMap, BpfObject, BpfProgram } from '../../../src/linux/box.ts'

interface Region {
  readonly bytes: Uint8Array
  readonly writable: boolean
  /** Which bytes hold something; `undefined` for all. */
  readonly written?: Uint8Array
}

/** A map of the kernel: its values live in one array that programs point into. */
class LiveMap {
  readonly map: BpfMap
  readonly #values: { readonly key: Uint8Array; readonly value: Uint8Array }[]

  constructor(map: BpfMap) {
    this.map = map
    this.#values =
      map.type === 2
        ? Array.from({ length: map.maxEntries }, (_, index) => ({
            key: u32(index),
            value: new Uint8Array(map.valueSize),
          }))
        : map.entries.map(({ key, value }) => ({ key, value: value.slice() }))
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    if (this.map.type === 2) return this.#values.find((entry) => same(entry.key, key))?.value
    if (this.map.type !== 11) throw new Error(`map type ${this.map.type}`)
    const bits = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
    let best: { readonly key: Uint8Array; readonly value: Uint8Array } | undefined
    for (const entry of this.#values) {
      const length = bits(entry.key)
      if (length > bits(key) || !samePrefix(entry.key, key, length)) continue
      if (best === undefined || length > bits(best.key)) best = entry
    }
    return best?.value
  }

  values(): Uint8Array {
    return Uint8Array.from(this.#values.flatMap(({ value }) => [...value]))
  }
}

export class Machine {
  readonly #maps: readonly LiveMap[]
  /** What bpf_get_current_cgroup_id answers. */
  cgroup = 0n

  constructor(object: BpfObject) {
    this.#maps = object.maps.map((map) => new LiveMap(map))
  }

  /** All values of the map of that index, one after the other. */
  values(map: number): Uint8Array {
    return this.#maps[map]?.values() ?? new Uint8Array()
  }

  /** r0 of the program over this context. */
  run(program: BpfProgram, context: Uint8Array): bigint {
    const stack = { bytes: new Uint8Array(512), writable: true, written: new Uint8Array(512) }
    const regions: Region[] = [{ bytes: context, writable: false }, stack]
    const point = (region: number, offset: number) => (BigInt(region + 1) << 40n) + BigInt(offset)
    const registers: (bigint | undefined)[] = new Array(11).fill(undefined)
    registers[1] = point(0, 0)
    registers[10] = point(1, 512)
    const read = (register: number): bigint => {
      const value = registers[register]
      if (value === undefined) throw new Error(`r${register} is read before it is written`)
      return value
    }
    const place = (pointer: bigint, width: number): { region: Region; offset: number } => {
      const region = regions[Number(pointer >> 40n) - 1]
      const offset = Number(pointer & 0xff_ffff_ffffn)
      if (region === undefined || offset + width > region.bytes.length) throw new Error(`bad pointer ${pointer}`)
      if (offset % width !== 0) throw new Error(`misaligned access of ${width} bytes at ${offset}`)
      return { region, offset }
    }
    const load = (pointer: bigint, width: number): bigint => {
      const { region, offset } = place(pointer, width)
      let value = 0n
      for (let index = width - 1; index >= 0; index--) {
        if (region.written !== undefined && region.written[offset + index] === 0) throw new Error('unwritten stack')
        value = (value << 8n) | BigInt(region.bytes[offset + index] ?? 0)
      }
      return value
    }
    const store = (pointer: bigint, width: number, value: bigint): void => {
      const { region, offset } = place(pointer, width)
      if (!region.writable) throw new Error('the context is read-only')
      for (let index = 0; index < width; index++) {
        region.bytes[offset + index] = Number((value >> BigInt(8 * index)) & 0xffn)
        if (region.written !== undefined) region.written[offset + index] = 1
      }
    }
    const slice = (pointer: bigint, length: number): Uint8Array =>
      Uint8Array.from({ length }, (_, index) => Number(load(pointer + BigInt(index), 1)))

    const code = program.instructions
    const view = new DataView(code.buffer, code.byteOffset, code.byteLength)
    const mapAt = new Map(program.relocations.map(({ instruction, map }) => [instruction, map]))
    const mapPointer = (map: number) => -1n - BigInt(map)
    let at = 0
    for (let steps = 0; steps < 10_000; steps++) {
      if (at < 0 || (at + 1) * 8 > code.length) throw new Error('ran off the program')
      const opcode = view.getUint8(at * 8)
      const dst = view.getUint8(at * 8 + 1) & 15
      const src = view.getUint8(at * 8 + 1) >> 4
      const offset = view.getInt16(at * 8 + 2, true)
      const immediate = BigInt(view.getInt32(at * 8 + 4, true))
      const width = [4, 2, 1, 8][(opcode >> 3) & 3] ?? 0
      const operand = () => ((opcode & 8) === 0 ? BigInt.asUintN(64, immediate) : read(src))
      at++
      switch (opcode & 7) {
        case 0: {
          if (opcode !== 0x18) throw new Error(`opcode ${opcode}`)
          const map = mapAt.get(at - 1)
          const high = BigInt(view.getUint32(at * 8 + 4, true))
          registers[dst] = map === undefined ? (high << 32n) | BigInt.asUintN(32, immediate) : mapPointer(map)
          at++
          break
        }
        case 1:
          registers[dst] = load(read(src) + BigInt(offset), width)
          break
        case 2:
          store(read(dst) + BigInt(offset), width, immediate)
          break
        case 3: {
          const target = read(dst) + BigInt(offset)
          if (opcode >> 5 === 6) store(target, width, BigInt.asUintN(width * 8, load(target, width) + read(src)))
          else store(target, width, read(src))
          break
        }
        case 4:
        case 7: {
          const bits = (opcode & 7) === 4 ? 32 : 64
          const left = opcode >> 4 === 11 ? 0n : BigInt.asUintN(bits, read(dst))
          registers[dst] = BigInt.asUintN(bits, arithmetic(opcode >> 4, left, BigInt.asUintN(bits, operand()), bits))
          break
        }
        case 5:
        case 6: {
          const bits = (opcode & 7) === 6 ? 32 : 64
          const operation = opcode >> 4
          if (operation === 9) return read(0)
          if (operation === 8) {
            registers[0] = this.#call(Number(immediate), read, slice, (bytes) => {
              regions.push({ bytes, writable: true })
              return point(regions.length - 1, 0)
            })
            for (let register = 1; register <= 5; register++) registers[register] = undefined
          } else if (
            operation === 0 ||
            compare(operation, BigInt.asUintN(bits, read(dst)), BigInt.asUintN(bits, operand()))
          ) {
            at += offset
          }
          break
        }
      }
    }
    throw new Error('the program does not end')
  }

  #call(
    helper: number,
    read: (register: number) => bigint,
    slice: (pointer: bigint, length: number) => Uint8Array,
    expose: (bytes: Uint8Array) => bigint,
  ): bigint {
    if (helper === 80) return this.cgroup
    if (helper !== 1) throw new Error(`helper ${helper}`)
    const map = this.#maps[Number(-1n - read(1))]
    if (map === undefined) throw new Error('not a map')
    const value = map.lookup(slice(read(2), map.map.keySize))
    return value === undefined ? 0n : expose(value)
  }
}

function arithmetic(operation: number, left: bigint, right: bigint, bits: number): bigint {
  const shift = right & BigInt(bits - 1)
  if (operation === 0) return left + right
  if (operation === 1) return left - right
  if (operation === 4) return left | right
  if (operation === 5) return left & right
  if (operation === 6) return left << shift
  if (operation === 7) return left >> shift
  if (operation === 10) return left ^ right
  if (operation === 11) return right
  throw new Error(`arithmetic ${operation}`)
}

function compare(operation: number, left: bigint, right: bigint): boolean {
  if (operation === 1) return left === right
  if (operation === 2) return left > right
  if (operation === 3) return left >= right
  if (operation === 4) return (left & right) !== 0n
  if (operation === 5) return left !== right
  if (operation === 10) return left < right
  if (operation === 11) return left <= right
  throw new Error(`comparison ${operation}`)
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

/** Whether the first `bits` bits after the length of two trie keys agree. */
function samePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  for (let bit = 0; bit < bits; bit++) {
    const index = 4 + (bit >> 3)
    const mask = 0x80 >> (bit & 7)
    if (((a[index] ?? 0) & mask) !== ((b[index] ?? 0) & mask)) return false
  }
  return true
}
