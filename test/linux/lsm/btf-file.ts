// BTF files made by hand: the shapes a compiler writes, and any that it would not.

export type BtfType =
  | { readonly kind: 'int'; readonly name: string; readonly size: number }
  | { readonly kind: 'pointer'; readonly to: number }
  | { readonly kind: 'alias'; readonly number: 8 | 9 | 10 | 11 | 18; readonly name: string; readonly to: number }
  | {
      readonly kind: 'struct' | 'union'
      readonly name: string
      readonly size: number
      /** `width` makes it a bit field. */
      readonly members: readonly {
        readonly name: string
        readonly type: number
        readonly bits: number
        readonly width?: number
      }[]
    }
  | { readonly kind: 'function'; readonly name: string; readonly prototype: number }
  | { readonly kind: 'prototype'; readonly parameters: readonly { readonly name: string; readonly type: number }[] }
  | { readonly kind: 'other'; readonly number: number; readonly tail: number; readonly vlen?: number }

const NUMBER = { int: 1, pointer: 2, struct: 4, union: 5, function: 12, prototype: 13 } as const

/** The first type gets id 1. */
export function btfFile(types: readonly BtfType[]): Uint8Array {
  const names = [0]
  const places = new Map<string, number>([['', 0]])
  const name = (text: string): number => {
    const known = places.get(text)
    if (known !== undefined) return known
    const at = names.length
    places.set(text, at)
    names.push(...Buffer.from(text), 0)
    return at
  }
  const words: number[] = []
  for (const type of types) {
    switch (type.kind) {
      case 'int':
        words.push(name(type.name), NUMBER.int << 24, type.size, type.size * 8)
        break
      case 'pointer':
        words.push(0, NUMBER.pointer << 24, type.to)
        break
      case 'alias':
        words.push(name(type.name), type.number << 24, type.to)
        break
      case 'struct':
      case 'union': {
        const packed = type.members.some(({ width }) => width !== undefined)
        words.push(
          name(type.name),
          ((packed ? 0x80 : 0) << 24) | (NUMBER[type.kind] << 24) | type.members.length,
          type.size,
        )
        for (const member of type.members)
          words.push(name(member.name), member.type, ((member.width ?? 0) << 24) | member.bits)
        break
      }
      case 'function':
        words.push(name(type.name), NUMBER.function << 24, type.prototype)
        break
      case 'prototype':
        words.push(0, (NUMBER.prototype << 24) | type.parameters.length, 0)
        for (const parameter of type.parameters) words.push(name(parameter.name), parameter.type)
        break
      case 'other':
        words.push(0, (type.number << 24) | (type.vlen ?? 0), 0, ...new Array(type.tail).fill(0))
        break
    }
  }
  const header = Buffer.alloc(24)
  header.writeUInt16LE(0xeb9f, 0)
  header.writeUInt8(1, 2)
  header.writeUInt32LE(24, 4)
  header.writeUInt32LE(0, 8)
  header.writeUInt32LE(words.length * 4, 12)
  header.writeUInt32LE(words.length * 4, 16)
  header.writeUInt32LE(names.length, 20)
  return new Uint8Array(Buffer.concat([header, Buffer.from(Uint32Array.from(words).buffer), Buffer.from(names)]))
}

interface KernelShape {
  readonly mmapParameters?: readonly string[]
  readonly inodeNumberSize?: number
  readonly without?: string
}

/** The part of a kernel that the programs ask for. */
export function kernelTypes(shape: KernelShape = {}): readonly BtfType[] {
  const types: BtfType[] = [
    { kind: 'int', name: 'unsigned long', size: shape.inodeNumberSize ?? 8 },
    { kind: 'int', name: 'unsigned int', size: 4 },
    { kind: 'pointer', to: 0 },
    { kind: 'alias', number: 8, name: 'dev_t', to: 2 },
  ]
  const struct = (name: string, members: readonly (readonly [string, number, number])[]): void => {
    types.push({
      kind: 'struct',
      name,
      size: 512,
      members: members.map(([member, type, offset]) => ({ name: member, type, bits: offset * 8 })),
    })
  }
  struct('linux_binprm', [['file', 3, 64]])
  struct('file', [['f_inode', 3, 32]])
  struct('inode', [
    ['i_sb', 3, 40],
    ['i_ino', 1, 72],
  ])
  struct('super_block', [['s_dev', 4, 16]])
  struct('vm_area_struct', [
    ['vm_file', 3, 88],
    ['anon_vma', 3, 96],
  ])
  const hook = (name: string, parameters: readonly string[]): void => {
    types.push({ kind: 'prototype', parameters: parameters.map((parameter) => ({ name: parameter, type: 3 })) })
    types.push({ kind: 'function', name, prototype: types.length })
  }
  hook('bpf_lsm_bprm_check_security', ['bprm'])
  hook('bpf_lsm_mmap_file', shape.mmapParameters ?? ['file', 'reqprot', 'prot', 'flags'])
  hook('bpf_lsm_file_mprotect', ['vma', 'reqprot', 'prot'])
  return types.map((type) => ('name' in type && type.name === shape.without ? { ...type, name: 'gone' } : type))
}
