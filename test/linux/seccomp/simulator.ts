// The kernel's view of a seccomp program, slow and obvious: the checks of bpf_check_classic and seccomp_check_filter, one
// run over one struct seccomp_data, and the run with unknown arguments by which the kernel fills its bitmap of calls that
// are always allowed (seccomp_is_const_allow).

export interface SeccompData {
  readonly nr: number
  readonly arch: number
  readonly args: readonly bigint[]
}

export interface Instruction {
  readonly code: number
  readonly jt: number
  readonly jf: number
  readonly k: number
}

export const RET_KILL_PROCESS = 0x8000_0000
export const RET_USER_NOTIF = 0x7fc0_0000
export const RET_ALLOW = 0x7fff_0000
export const RET_ERRNO = 0x0005_0000

const decoded = new WeakMap<Uint8Array, readonly Instruction[]>()

export function instructionsOf(program: Uint8Array): readonly Instruction[] {
  const known = decoded.get(program)
  if (known !== undefined) return known
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength)
  const instructions = Array.from({ length: program.byteLength / 8 }, (_, index) => ({
    code: view.getUint16(index * 8, true),
    jt: view.getUint8(index * 8 + 2),
    jf: view.getUint8(index * 8 + 3),
    k: view.getUint32(index * 8 + 4, true),
  }))
  decoded.set(program, instructions)
  return instructions
}

/** Why the kernel would not take the program, or `undefined`. */
export function rejects(program: Uint8Array): string | undefined {
  if (program.byteLength === 0 || program.byteLength % 8 !== 0) return 'length'
  const instructions = instructionsOf(program)
  if (instructions.length > 4096) return 'too long'
  for (const [index, { code, jt, jf, k }] of instructions.entries()) {
    const ends = instructions.length - index - 1
    if (code === 0x20) {
      if (k % 4 !== 0 || k >= 64) return `load at ${index}`
    } else if (code === 0x05) {
      if (k >= ends) return `jump at ${index}`
    } else if (code === 0x15 || code === 0x35) {
      if (jt >= ends || jf >= ends) return `jump at ${index}`
    } else if (code !== 0x54 && code !== 0x06) return `code at ${index}`
  }
  if (instructions.at(-1)?.code !== 0x06) return 'last'
  return undefined
}

/** The 64 bytes as they lie in memory on a little endian machine. */
function memoryOf({ nr, arch, args }: SeccompData): DataView {
  const view = new DataView(new ArrayBuffer(64))
  view.setUint32(0, nr >>> 0, true)
  view.setUint32(4, arch, true)
  for (let index = 0; index < 6; index++) view.setBigUint64(16 + index * 8, args[index] ?? 0n, true)
  return view
}

/** What the program returns. */
export function run(program: Uint8Array, data: SeccompData): number {
  return step(instructionsOf(program), memoryOf(data), 64) ?? Number.NaN
}

/** Whether the kernel finds out that the call is always allowed, and then does not run the program for it. */
export function isConstantAllow(program: Uint8Array, arch: number, nr: number): boolean {
  return step(instructionsOf(program), memoryOf({ nr, arch, args: [] }), 8) === RET_ALLOW
}

/** `undefined` when something at or above `readable` is loaded. */
function step(instructions: readonly Instruction[], memory: DataView, readable: number): number | undefined {
  let accumulator = 0
  let at = 0
  for (;;) {
    const instruction = instructions[at]
    if (instruction === undefined) throw new Error(`ran out of the program at ${at}`)
    const { code, jt, jf, k } = instruction
    at++
    if (code === 0x20) {
      if (k >= readable) return undefined
      accumulator = memory.getUint32(k, true)
    } else if (code === 0x54) accumulator = (accumulator & k) >>> 0
    else if (code === 0x05) at += k
    else if (code === 0x15) at += accumulator === k ? jt : jf
    else if (code === 0x35) at += accumulator >= k ? jt : jf
    else if (code === 0x06) return k
    else throw new Error(`unknown code ${code}`)
  }
}
