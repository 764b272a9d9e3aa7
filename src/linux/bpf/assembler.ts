// Extended BPF instructions out of method calls: RFC 9669, as far as the programs here need it. Decides the bytes and
// nothing about what they do; the kernel's verifier judges that. A wrong operand is the caller's mistake and throws.

import type { BpfProgram } from '../box.ts'

/** `r1` is the context at entry and the first argument of a call, `r10` the read-only frame pointer. */
export type Register = 'r0' | 'r1' | 'r2' | 'r3' | 'r4' | 'r5' | 'r6' | 'r7' | 'r8' | 'r9' | 'r10'
/** Bits of a load or store. */
export type Width = 8 | 16 | 32 | 64
export type Arithmetic = 'add' | 'sub' | 'or' | 'and' | 'lsh' | 'rsh' | 'xor' | 'mov'
/** `gt` and its kin are unsigned. `set`: any bit of the mask. */
export type Comparison = 'eq' | 'ne' | 'gt' | 'ge' | 'lt' | 'le' | 'set'

/** Numbers of `enum bpf_func_id` (linux/bpf.h). */
export const HELPER = Object.freeze({ mapLookupElem: 1, getCurrentCgroupId: 80 })

export type Assembled = Pick<BpfProgram, 'instructions' | 'relocations'>

const NUMBER: Readonly<Record<Register, number>> = Object.freeze({
  r0: 0,
  r1: 1,
  r2: 2,
  r3: 3,
  r4: 4,
  r5: 5,
  r6: 6,
  r7: 7,
  r8: 8,
  r9: 9,
  r10: 10,
})

// Classes and fields of the opcode byte, RFC 9669 §3 and §4.
const LD = 0x00
const LDX = 0x01
const ST = 0x02
const STX = 0x03
const ALU32 = 0x04
const JMP = 0x05
const JMP32 = 0x06
const ALU64 = 0x07
const FROM_REGISTER = 0x08
const MEM = 0x60
const ATOMIC = 0xc0
const ATOMIC_ADD = 0x00
const CALL = 0x80
const EXIT = 0x90

const WIDTH: Readonly<Record<Width, number>> = Object.freeze({ 32: 0x00, 16: 0x08, 8: 0x10, 64: 0x18 })
const ARITHMETIC: Readonly<Record<Arithmetic, number>> = Object.freeze({
  add: 0x00,
  sub: 0x10,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  xor: 0xa0,
  mov: 0xb0,
})
const ALWAYS = 0x00
const COMPARISON: Readonly<Record<Comparison, number>> = Object.freeze({
  eq: 0x10,
  gt: 0x20,
  ge: 0x30,
  set: 0x40,
  ne: 0x50,
  lt: 0xa0,
  le: 0xb0,
})

interface Instruction {
  readonly opcode: number
  readonly dst: number
  readonly src: number
  readonly offset: number
  readonly immediate: number
  /** Where to jump; replaces `offset`. */
  readonly label?: string
}

const BYTES = 8

/** Collects instructions in order; `assemble` resolves the labels. Jumps go forward or back; the verifier sees to loops. */
export class Assembler {
  readonly #instructions: Instruction[] = []
  readonly #labels = new Map<string, number>()
  readonly #relocations: { instruction: number; map: number }[] = []

  /** Names the next instruction. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new TypeError(`the label ${name} is there twice`)
    this.#labels.set(name, this.#instructions.length)
    return this
  }

  mov(dst: Register, from: Register | number): this {
    return this.alu('mov', dst, from)
  }

  /** On all 64 bits. An immediate is sign-extended. */
  alu(operation: Arithmetic, dst: Register, from: Register | number): this {
    return this.#operate(ALU64 | ARITHMETIC[operation], dst, 0, from)
  }

  /** On the low 32 bits; the upper ones become zero. */
  alu32(operation: Arithmetic, dst: Register, from: Register | number): this {
    return this.#operate(ALU32 | ARITHMETIC[operation], dst, 0, from)
  }

  load(width: Width, dst: Register, base: Register, offset: number): this {
    return this.#push({ opcode: LDX | MEM | WIDTH[width], dst: NUMBER[dst], src: NUMBER[base], offset, immediate: 0 })
  }

  store(width: Width, base: Register, offset: number, from: Register | number): this {
    const shape = { dst: NUMBER[base], offset }
    if (typeof from === 'number')
      return this.#push({ ...shape, opcode: ST | MEM | WIDTH[width], src: 0, immediate: from })
    return this.#push({ ...shape, opcode: STX | MEM | WIDTH[width], src: NUMBER[from], immediate: 0 })
  }

  /** Adds to memory in one step, so that two processors never lose a count. */
  atomicAdd(width: 32 | 64, base: Register, offset: number, from: Register): this {
    const opcode = STX | ATOMIC | WIDTH[width]
    return this.#push({ opcode, dst: NUMBER[base], src: NUMBER[from], offset, immediate: ATOMIC_ADD })
  }

  /** A constant of 64 bits; two slots. */
  load64(dst: Register, value: bigint): this {
    if (BigInt.asUintN(64, value) !== value) throw new TypeError(`${value} is not an unsigned number of 64 bits`)
    return this.#wide(dst, Number(value & 0xffff_ffffn), Number(value >> 32n))
  }

  /** The map at this index of {@link BpfObject.maps}; two slots, the first of which the loader fills in. */
  loadMap(dst: Register, map: number): this {
    if (!Number.isInteger(map) || map < 0) throw new TypeError(`${map} is not the index of a map`)
    this.#relocations.push({ instruction: this.#instructions.length, map })
    return this.#wide(dst, 0, 0)
  }

  jump(label: string): this {
    return this.#push({ opcode: JMP | ALWAYS, dst: 0, src: 0, offset: 0, immediate: 0, label })
  }

  jumpIf(comparison: Comparison, left: Register, right: Register | number, label: string): this {
    return this.#operate(JMP | COMPARISON[comparison], left, 0, right, label)
  }

  /** Compares the low 32 bits only. */
  jumpIf32(comparison: Comparison, left: Register, right: Register | number, label: string): this {
    return this.#operate(JMP32 | COMPARISON[comparison], left, 0, right, label)
  }

  /** A helper function of the kernel. */
  call(helper: number): this {
    return this.#push({ opcode: JMP | CALL, dst: 0, src: 0, offset: 0, immediate: helper })
  }

  exit(): this {
    return this.#push({ opcode: JMP | EXIT, dst: 0, src: 0, offset: 0, immediate: 0 })
  }

  assemble(): Assembled {
    const instructions = new Uint8Array(this.#instructions.length * BYTES)
    const view = new DataView(instructions.buffer)
    this.#instructions.forEach((instruction, index) => {
      const at = index * BYTES
      view.setUint8(at, instruction.opcode)
      view.setUint8(at + 1, instruction.dst | (instruction.src << 4))
      view.setInt16(at + 2, this.#offsetOf(instruction, index), true)
      view.setInt32(at + 4, instruction.immediate, true)
    })
    return Object.freeze({ instructions, relocations: Object.freeze([...this.#relocations]) })
  }

  #operate(opcode: number, dst: Register, offset: number, from: Register | number, label?: string): this {
    const target = label === undefined ? {} : { label }
    const operands =
      typeof from === 'number'
        ? { opcode, src: 0, immediate: from }
        : { opcode: opcode | FROM_REGISTER, src: NUMBER[from], immediate: 0 }
    return this.#push({ ...operands, dst: NUMBER[dst], offset, ...target })
  }

  #wide(dst: Register, low: number, high: number): this {
    this.#push({ opcode: LD | WIDTH[64], dst: NUMBER[dst], src: 0, offset: 0, immediate: low | 0 })
    return this.#push({ opcode: 0, dst: 0, src: 0, offset: 0, immediate: high | 0 })
  }

  #push(instruction: Instruction): this {
    const { dst, src, offset, immediate } = instruction
    if (dst === undefined || src === undefined) throw new TypeError('not a register')
    if (!Number.isInteger(offset) || offset < -0x8000 || offset > 0x7fff)
      throw new TypeError(`the offset ${offset} does not fit in 16 bits`)
    if (!Number.isInteger(immediate) || immediate < -0x8000_0000 || immediate > 0x7fff_ffff)
      throw new TypeError(`the immediate ${immediate} does not fit in 32 bits`)
    this.#instructions.push(instruction)
    return this
  }

  #offsetOf({ label, offset }: Instruction, index: number): number {
    if (label === undefined) return offset
    const target = this.#labels.get(label)
    if (target === undefined) throw new TypeError(`no label ${label}`)
    const distance = target - index - 1
    if (distance < -0x8000 || distance > 0x7fff) throw new TypeError(`the label ${label} is too far away`)
    return distance
  }
}
