// Names, numbers and offsets of the running kernel, out of its BPF Type Format (Documentation/bpf/btf.rst): which function a
// hook is, and where in a structure a field lies. It trusts no length and no reference: bytes that do not hold together are
// no answer, and a name that means two things means nothing.

/** One field of a structure. */
export interface BtfMember {
  /** Bytes from the start of the structure. */
  readonly offset: number
  readonly size: number
  readonly pointer: boolean
}

export type ParsedBtf = { readonly ok: true; readonly btf: Btf } | { readonly ok: false; readonly reason: string }

const MAGIC = 0xeb9f
const VERSION = 1
const HEADER_BYTES = 24
const TYPE_BYTES = 12
/** Ten times what distributions ship. */
const MAX_BYTES = 64 << 20
const MAX_DEPTH = 32

const KIND = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enumeration: 6,
  forward: 7,
  typedef: 8,
  volatile: 9,
  constant: 10,
  restrict: 11,
  function: 12,
  prototype: 13,
  variable: 14,
  section: 15,
  float: 16,
  declarationTag: 17,
  typeTag: 18,
  enumeration64: 19,
} as const

/** Bytes after the common head: so many, and so many for each of `vlen`. A kind that is not here has no known length. */
const TAIL: Readonly<Record<number, readonly [fixed: number, each: number]>> = Object.freeze({
  [KIND.int]: [4, 0],
  [KIND.pointer]: [0, 0],
  [KIND.array]: [12, 0],
  [KIND.struct]: [0, 12],
  [KIND.union]: [0, 12],
  [KIND.enumeration]: [0, 8],
  [KIND.forward]: [0, 0],
  [KIND.typedef]: [0, 0],
  [KIND.volatile]: [0, 0],
  [KIND.constant]: [0, 0],
  [KIND.restrict]: [0, 0],
  [KIND.function]: [0, 0],
  [KIND.prototype]: [0, 8],
  [KIND.variable]: [4, 0],
  [KIND.section]: [0, 12],
  [KIND.float]: [0, 0],
  [KIND.declarationTag]: [4, 0],
  [KIND.typeTag]: [0, 0],
  [KIND.enumeration64]: [0, 12],
})

/** Types that stand for another one. */
const ALIASES: ReadonlySet<number> = new Set([KIND.typedef, KIND.volatile, KIND.constant, KIND.restrict, KIND.typeTag])

/** The file /sys/kernel/btf/vmlinux. */
export function parseBtf(bytes: Uint8Array): ParsedBtf {
  const refuse = (reason: string): ParsedBtf => ({ ok: false, reason })
  if (bytes.byteLength < HEADER_BYTES || bytes.byteLength > MAX_BYTES) return refuse('not a BTF file: its size')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint16(0, true) !== MAGIC || view.getUint8(2) !== VERSION) return refuse('not a BTF file: its head')
  const header = view.getUint32(4, true)
  if (header < HEADER_BYTES || header > bytes.byteLength) return refuse('the BTF head has a wrong length')
  const section = (at: number): Uint8Array | undefined => {
    const start = header + view.getUint32(at, true)
    const end = start + view.getUint32(at + 4, true)
    return end > bytes.byteLength ? undefined : bytes.subarray(start, end)
  }
  const types = section(8)
  const strings = section(16)
  if (types === undefined || strings === undefined) return refuse('a BTF section lies outside the file')
  // The empty name is the first, and the last name ends: nothing read as a name can leave the section.
  if (strings[0] !== 0 || strings[strings.length - 1] !== 0) return refuse('the BTF names have no end')
  const positions = positionsOf(types, strings.length)
  return typeof positions === 'string' ? refuse(positions) : { ok: true, btf: new Btf(types, strings, positions) }
}

/** Where each type starts, by its id; 0 is `void` and starts nowhere. Text when the section is not a row of types. */
function positionsOf(types: Uint8Array, names: number): Uint32Array | string {
  const view = new DataView(types.buffer, types.byteOffset, types.byteLength)
  const positions = new Uint32Array(Math.floor(types.byteLength / TYPE_BYTES) + 1)
  let count = 1
  for (let at = 0; at < types.byteLength; count++) {
    if (types.byteLength - at < TYPE_BYTES) return 'a BTF type is cut short'
    const info = view.getUint32(at + 4, true)
    const tail = TAIL[(info >>> 24) & 0x1f]
    if (tail === undefined) return `a BTF type is of the unknown kind ${(info >>> 24) & 0x1f}`
    if (view.getUint32(at, true) >= names) return 'a BTF type has its name outside the names'
    positions[count] = at
    at += TYPE_BYTES + tail[0] + tail[1] * (info & 0xffff)
    if (at > types.byteLength) return 'a BTF type is cut short'
  }
  return positions.subarray(0, count)
}

interface Type {
  readonly kind: number
  readonly vlen: number
  readonly kindFlag: boolean
  /** A size or the id of another type, by kind. */
  readonly value: number
  readonly nameAt: number
  /** Of what follows the head. */
  readonly tail: number
}

/** Made by {@link parseBtf}. Every answer is `undefined` when the kernel has none or more than one. */
export class Btf {
  readonly #view: DataView
  readonly #strings: Uint8Array
  readonly #positions: Uint32Array

  constructor(types: Uint8Array, strings: Uint8Array, positions: Uint32Array) {
    this.#view = new DataView(types.buffer, types.byteOffset, types.byteLength)
    this.#strings = strings
    this.#positions = positions
  }

  /** Number of types, `void` counted. */
  get types(): number {
    return this.#positions.length
  }

  /** Id of a function of the kernel: what `attach_btf_id` wants. */
  functionId(name: string): number | undefined {
    const found = this.#named(name, KIND.function)
    return found.length === 1 ? found[0] : undefined
  }

  /** Names of a function's parameters, in order; a parameter may have the empty one. */
  parameters(name: string): readonly string[] | undefined {
    const id = this.functionId(name)
    const prototype = this.#type(id === undefined ? 0 : (this.#type(id)?.value ?? 0))
    if (prototype === undefined || prototype.kind !== KIND.prototype) return undefined
    return Array.from({ length: prototype.vlen }, (_, index) => {
      return this.#text(this.#view.getUint32(prototype.tail + 8 * index, true))
    })
  }

  /** A field by name, also one inside a part that has no name. Not a bit field. */
  member(structure: string, field: string): BtfMember | undefined {
    let answer: BtfMember | undefined
    for (const id of this.#named(structure, KIND.struct)) {
      const found = this.#memberOf(id, field, 0)
      // Two structures of one name: only what they agree about can be relied on.
      if (found === undefined || (answer !== undefined && !same(answer, found))) return undefined
      answer = found
    }
    return answer
  }

  #memberOf(id: number, field: string, depth: number): BtfMember | undefined {
    const type = this.#type(id)
    if (type === undefined || depth > MAX_DEPTH) return undefined
    for (let index = 0; index < type.vlen; index++) {
      const at = type.tail + 12 * index
      const nameAt = this.#view.getUint32(at, true)
      const of = this.#view.getUint32(at + 4, true)
      const packed = this.#view.getUint32(at + 8, true)
      // With the flag the upper byte is the width of a bit field, without it all 32 bits are the offset.
      const width = type.kindFlag ? packed >>> 24 : 0
      const bits = type.kindFlag ? packed & 0xff_ffff : packed
      if (nameAt === 0) {
        const inner = this.#resolve(of)
        const kind = inner === undefined ? 0 : (this.#type(inner)?.kind ?? 0)
        if (inner === undefined || (kind !== KIND.struct && kind !== KIND.union) || bits % 8 !== 0) continue
        const found = this.#memberOf(inner, field, depth + 1)
        if (found !== undefined) return Object.freeze({ ...found, offset: found.offset + bits / 8 })
      } else if (this.#is(nameAt, field)) {
        const resolved = this.#resolve(of)
        const target = resolved === undefined ? undefined : this.#type(resolved)
        if (target === undefined || width !== 0 || bits % 8 !== 0) return undefined
        const pointer = target.kind === KIND.pointer
        const sized = [KIND.int, KIND.struct, KIND.union, KIND.enumeration, KIND.enumeration64].some(
          (kind) => kind === target.kind,
        )
        if (!pointer && !sized) return undefined
        return Object.freeze({ offset: bits / 8, size: pointer ? 8 : target.value, pointer })
      }
    }
    return undefined
  }

  /** Through names and qualifiers to the type itself. */
  #resolve(id: number): number | undefined {
    let at = id
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      const type = this.#type(at)
      if (type === undefined) return undefined
      if (!ALIASES.has(type.kind)) return at
      at = type.value
    }
    return undefined
  }

  #named(name: string, kind: number): readonly number[] {
    const found: number[] = []
    if (name === '') return found
    for (let id = 1; id < this.#positions.length; id++) {
      const at = this.#positions[id] ?? 0
      if (((this.#view.getUint32(at + 4, true) >>> 24) & 0x1f) !== kind) continue
      if (this.#is(this.#view.getUint32(at, true), name)) found.push(id)
    }
    return found
  }

  #type(id: number): Type | undefined {
    const at = id === 0 ? undefined : this.#positions[id]
    if (at === undefined) return undefined
    const info = this.#view.getUint32(at + 4, true)
    return {
      nameAt: this.#view.getUint32(at, true),
      kind: (info >>> 24) & 0x1f,
      vlen: info & 0xffff,
      kindFlag: info >>> 31 === 1,
      value: this.#view.getUint32(at + 8, true),
      tail: at + TYPE_BYTES,
    }
  }

  /** Names are compared as bytes where they lie: a kernel has a hundred thousand of them and three are wanted. */
  #is(at: number, name: string): boolean {
    for (let index = 0; index < name.length; index++) {
      if (this.#strings[at + index] !== name.charCodeAt(index)) return false
    }
    return this.#strings[at + name.length] === 0
  }

  #text(at: number): string {
    const end = at < this.#strings.length ? this.#strings.indexOf(0, at) : at
    return String.fromCharCode(...this.#strings.subarray(at, Math.min(end, at + 256)))
  }
}

function same(first: BtfMember, second: BtfMember): boolean {
  return first.offset === second.offset && first.size === second.size && first.pointer === second.pointer
}
