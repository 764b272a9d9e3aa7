// Compiles a rule set to classic BPF over struct seccomp_data (linux/seccomp.h). Decides nothing: the program answers
// exactly what the rules say, and kills whatever enters the kernel as another architecture or as x32.
//
// Numbers are found by a binary tree over ranges. The kernel runs the program once per number with unknown arguments and
// remembers those that are allowed without looking at one, so the tree's depth matters only for inspected calls.

import { type Answer, KILL, type Rule, type RuleSet } from './rules.ts'

/** BPF_MAXINSNS. */
const MOST_INSTRUCTIONS = 4096
const BYTES_PER_INSTRUCTION = 8

/** Offsets in struct seccomp_data. */
const NR = 0
const ARCH = 4
/** Arguments are 64 bits wide, and both our architectures are little endian: the low word comes first. */
const lowWordOf = (argument: number): number => 16 + 8 * argument

const LD_W_ABS = 0x20
const ALU_AND_K = 0x54
const JA = 0x05
const JEQ_K = 0x15
const JGE_K = 0x35
const RET_K = 0x06

const RET_KILL_PROCESS = 0x8000_0000
const RET_ERRNO = 0x0005_0000
const RET_USER_NOTIF = 0x7fc0_0000
const RET_ALLOW = 0x7fff_0000

/** The largest value of the 8-bit displacement of a conditional jump. */
const FARTHEST = 255

/** The x32 bit (__X32_SYSCALL_BIT), and above it everything that is negative as an `int`. */
const X32 = 0x4000_0000

/** Bytes for sock_fprog, eight per instruction, little endian. */
export function compileProgram({ auditArch, rules, otherwise }: RuleSet): Uint8Array {
  const program = new Assembler()
  const kill = program.answer(KILL)
  const fallback = program.answer(otherwise)
  for (const rule of rules.values()) {
    if (rule.kind === 'checked') {
      for (const { answer } of rule.cases) program.answer(answer)
      program.answer(rule.otherwise)
    } else program.answer(rule)
  }

  const ranges: Range[] = []
  const extend = (from: number, label: Label): void => {
    if (ranges.at(-1)?.label !== label) ranges.push({ from, label })
  }
  let next = 0
  for (const [number, rule] of [...rules].sort(([a], [b]) => a - b)) {
    if (!Number.isInteger(number) || number < next || number >= X32) throw new TypeError('not a system call number')
    if (number > next) extend(next, fallback)
    extend(number, program.rule(rule))
    next = number + 1
  }
  extend(next, fallback)

  const tree = program.tree(ranges)
  const ours = program.jump(JGE_K, X32, kill, tree)
  program.load(NR, ours)
  program.jump(JEQ_K, auditArch, program.here(), kill)
  program.load(ARCH, program.here())
  return program.bytes()
}

/** A place in the program, counted from its end: 0 is the last instruction. */
type Label = number

/** All numbers from this one to the next range's. */
interface Range {
  readonly from: number
  readonly label: Label
}

/**
 * Assembles backwards. BPF jumps only forwards, so every target exists before the jump to it, distances never change
 * afterwards, and a jump that does not reach gets its stepping stone at once.
 */
class Assembler {
  /** Last instruction first. */
  readonly #reversed: { readonly code: number; readonly jt: number; readonly jf: number; readonly k: number }[] = []
  readonly #answers = new Map<number, Label>()
  readonly #blocks = new Map<string, Label>()
  readonly #stones = new Map<Label, Label>()

  /** The instruction emitted last, which is the one that runs after the next to be emitted. */
  here(): Label {
    return this.#reversed.length - 1
  }

  answer(answer: Answer): Label {
    const value = returnValue(answer)
    const known = this.#answers.get(value)
    if (known !== undefined) return known
    const label = this.#emit(RET_K, 0, 0, value)
    this.#answers.set(value, label)
    return label
  }

  /** Equal argument checks are one block. */
  rule(rule: Rule): Label {
    if (rule.kind !== 'checked') return this.answer(rule)
    const key = JSON.stringify(rule)
    const known = this.#blocks.get(key)
    if (known !== undefined) return known
    let label = this.answer(rule.otherwise)
    for (const { when, answer } of [...rule.cases].reverse()) {
      const fails = label
      label = this.answer(answer)
      for (const { argument, mask, anyOf } of [...when].reverse()) {
        const holds = label
        label = fails
        for (const value of [...anyOf].reverse()) label = this.jump(JEQ_K, value, holds, label)
        // A test of nothing never holds and emits nothing.
        if (anyOf.length === 0) continue
        if (mask !== 0xffff_ffff) label = this.#emit(ALU_AND_K, 0, 0, mask)
        label = this.load(lowWordOf(argument), label)
      }
    }
    this.#blocks.set(key, label)
    return label
  }

  tree(ranges: readonly Range[]): Label {
    const [first] = ranges
    if (first === undefined) throw new TypeError('no ranges')
    if (ranges.length === 1) return first.label
    const middle = ranges.length >> 1
    const above = this.tree(ranges.slice(middle))
    const below = this.tree(ranges.slice(0, middle))
    return this.jump(JGE_K, ranges[middle]?.from ?? 0, above, below)
  }

  jump(code: number, k: number, yes: Label, no: Label): Label {
    // The second stone would push the first target one farther away.
    const jf = this.#within(no, 1)
    const jt = this.#within(yes, 0)
    const at = this.#reversed.length
    return this.#emit(code, at - jt - 1, at - jf - 1, k)
  }

  /** `then` must run next: loads do not jump. */
  load(offset: number, then: Label): Label {
    if (then !== this.here()) this.#emit(JA, 0, 0, this.#reversed.length - then - 1)
    return this.#emit(LD_W_ABS, 0, 0, offset)
  }

  bytes(): Uint8Array {
    const length = this.#reversed.length
    if (length > MOST_INSTRUCTIONS) throw new RangeError(`${length} instructions are more than the kernel takes`)
    const bytes = new Uint8Array(length * BYTES_PER_INSTRUCTION)
    const view = new DataView(bytes.buffer)
    for (const [index, { code, jt, jf, k }] of this.#reversed.entries()) {
      const offset = (length - 1 - index) * BYTES_PER_INSTRUCTION
      view.setUint16(offset, code, true)
      view.setUint8(offset + 2, jt)
      view.setUint8(offset + 3, jf)
      view.setUint32(offset + 4, k, true)
    }
    return bytes
  }

  /** `label` or a stone on the way to it, reachable by a jump emitted after at most `more` other instructions. */
  #within(label: Label, more: number): Label {
    const reaches = (target: Label): boolean => this.#reversed.length + more - target - 1 <= FARTHEST
    if (reaches(label)) return label
    const stone = this.#stones.get(label)
    if (stone !== undefined && reaches(stone)) return stone
    const fresh = this.#emit(JA, 0, 0, this.#reversed.length - label - 1)
    this.#stones.set(label, fresh)
    return fresh
  }

  #emit(code: number, jt: number, jf: number, k: number): Label {
    return this.#reversed.push({ code, jt, jf, k }) - 1
  }
}

function returnValue(answer: Answer): number {
  switch (answer.kind) {
    case 'allow':
      return RET_ALLOW
    case 'notify':
      return RET_USER_NOTIF
    case 'kill':
      return RET_KILL_PROCESS
    case 'errno':
      // Zero would report success for a call that was not made; the kernel clips at MAX_ERRNO.
      if (!(Number.isInteger(answer.errno) && answer.errno >= 1 && answer.errno <= 4095)) {
        throw new TypeError('errno must be from 1 to 4095')
      }
      return RET_ERRNO + answer.errno
  }
}
