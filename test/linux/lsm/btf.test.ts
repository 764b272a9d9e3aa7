import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { type Btf, parseBtf } from '../../../src/linux/lsm/btf.ts'
import { type BtfType, btfFile, kernelTypes } from './btf-file.ts'

function open(types: readonly BtfType[]): Btf {
  const parsed = parseBtf(btfFile(types))
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.btf
}

const LONG: BtfType = { kind: 'int', name: 'long', size: 8 }
const member = (name: string, type: number, bits: number, width?: number) => ({
  name,
  type,
  bits,
  ...(width === undefined ? {} : { width }),
})

describe('what a BTF file says', () => {
  test('functions by name, with their parameters in order', () => {
    const btf = open([
      { kind: 'prototype', parameters: [member('a', 0, 0), member('', 0, 0), member('prot', 0, 0)] },
      { kind: 'function', name: 'hook', prototype: 1 },
      { kind: 'function', name: 'hook_too', prototype: 1 },
    ])
    expect(btf.functionId('hook')).toBe(2)
    expect(btf.parameters('hook')).toEqual(['a', '', 'prot'])
    expect(btf.functionId('hoo')).toBeUndefined()
    expect(btf.functionId('')).toBeUndefined()
    expect(btf.types).toBe(4)
  })

  test('a name that two functions have is no answer', () => {
    const twice = { kind: 'function', name: 'hook', prototype: 1 } as const
    expect(open([{ kind: 'prototype', parameters: [] }, twice, twice]).functionId('hook')).toBeUndefined()
    expect(open([{ kind: 'prototype', parameters: [] }, twice, twice]).parameters('hook')).toBeUndefined()
  })

  test('a function is not looked for among the structures', () => {
    expect(open([{ kind: 'struct', name: 'hook', size: 8, members: [] }]).functionId('hook')).toBeUndefined()
    expect(open([{ kind: 'function', name: 'hook', prototype: 2 }, LONG]).parameters('hook')).toBeUndefined()
  })

  test('members behind names, qualifiers and parts without a name', () => {
    const btf = open([
      LONG,
      { kind: 'alias', number: 10, name: '', to: 1 },
      { kind: 'alias', number: 8, name: 'ino_t', to: 2 },
      { kind: 'pointer', to: 0 },
      { kind: 'union', name: '', size: 16, members: [member('inner', 3, 0), member('other', 4, 64)] },
      {
        kind: 'struct',
        name: 's',
        size: 32,
        members: [member('first', 1, 0), member('', 5, 128), member('self', 6, 256)],
      },
    ])
    expect(btf.member('s', 'first')).toEqual({ offset: 0, size: 8, pointer: false })
    expect(btf.member('s', 'inner')).toEqual({ offset: 16, size: 8, pointer: false })
    expect(btf.member('s', 'other')).toEqual({ offset: 24, size: 8, pointer: true })
    expect(btf.member('s', 'self')).toEqual({ offset: 32, size: 32, pointer: false })
    expect(btf.member('s', 'missing')).toBeUndefined()
    expect(btf.member('missing', 'first')).toBeUndefined()
  })

  test('bit fields and odd offsets are not members', () => {
    const btf = open([
      LONG,
      { kind: 'struct', name: 's', size: 16, members: [member('flag', 1, 3, 1), member('plain', 1, 64, 0)] },
      { kind: 'struct', name: 'odd', size: 16, members: [member('flag', 1, 3)] },
    ])
    expect(btf.member('s', 'flag')).toBeUndefined()
    expect(btf.member('s', 'plain')).toEqual({ offset: 8, size: 8, pointer: false })
    expect(btf.member('odd', 'flag')).toBeUndefined()
  })

  test('two structures of one name answer together or not at all', () => {
    const struct = (bits: number): BtfType => ({ kind: 'struct', name: 's', size: 16, members: [member('a', 1, bits)] })
    expect(open([LONG, struct(64), struct(64)]).member('s', 'a')).toEqual({ offset: 8, size: 8, pointer: false })
    expect(open([LONG, struct(64), struct(0)]).member('s', 'a')).toBeUndefined()
  })

  test('types that lead back to themselves end', () => {
    const btf = open([
      { kind: 'alias', number: 8, name: 'loop', to: 2 },
      { kind: 'alias', number: 10, name: '', to: 1 },
      { kind: 'struct', name: 's', size: 8, members: [member('a', 1, 0), member('', 3, 0)] },
    ])
    expect(btf.member('s', 'a')).toBeUndefined()
    expect(btf.member('s', 'b')).toBeUndefined()
  })
})

describe('a file that is none', () => {
  const whole = btfFile(kernelTypes())
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = whole.slice()
    new DataView(bytes.buffer).setUint32(at, value, true)
    return bytes
  }

  test.each([
    ['empty', new Uint8Array(0)],
    ['no magic', changed(0, 0)],
    ['another version', changed(0, 0x02eb9f)],
    ['a head that is too short', changed(4, 8)],
    ['a head beyond the end', changed(4, 0xffff_ffff)],
    ['types beyond the end', changed(12, 0xffff_ffff)],
    ['types that end in one', changed(12, 13)],
    ['names beyond the end', changed(20, 0xffff_fff0)],
    ['no names', changed(20, 0)],
    ['names without an end', changed(20, new DataView(whole.buffer).getUint32(20, true) - 1)],
    ['names that do not begin with the empty one', changed(16, 0)],
    ['a name outside', changed(24, 0x00ff_ffff)],
    ['an unknown kind', btfFile([{ kind: 'other', number: 31, tail: 0 }])],
    ['kind 0', btfFile([{ kind: 'other', number: 0, tail: 0 }])],
    ['more members than bytes', btfFile([{ kind: 'other', number: 4, tail: 3, vlen: 0xffff }])],
  ])('%s', (_, bytes) => {
    expect(parseBtf(bytes).ok).toBe(false)
  })

  test('cut anywhere', () => {
    for (let length = 0; length < whole.length; length++) expect(parseBtf(whole.subarray(0, length)).ok).toBe(false)
    expect(parseBtf(whole).ok).toBe(true)
  })
})

describe('any bytes', () => {
  const ask = (bytes: Uint8Array): void => {
    const parsed = parseBtf(bytes)
    if (!parsed.ok) return
    for (const name of ['file', 'inode', 'bpf_lsm_mmap_file', 'x']) {
      parsed.btf.functionId(name)
      parsed.btf.parameters(name)
      const found = parsed.btf.member(name, 'i_ino')
      if (found !== undefined) expect(Number.isInteger(found.offset) && found.offset >= 0).toBe(true)
    }
  }

  test('never throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), ask))
  })

  test('never throw when a real file is damaged', () => {
    const whole = btfFile(kernelTypes())
    const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 8 })
    fc.assert(
      fc.property(damage, (changes) => {
        const bytes = whole.slice()
        for (const [at, value] of changes) bytes[at] = value
        ask(bytes)
      }),
      { numRuns: 1000 },
    )
  })
})

const KERNEL = '/sys/kernel/btf/vmlinux'
// biome-ignore lint/suspicious/noConsole: what was not tested must not look tested
if (!existsSync(KERNEL)) console.warn(`SKIPPED: the BTF of this kernel: no ${KERNEL}`)

describe.skipIf(!existsSync(KERNEL))('the BTF of this kernel', () => {
  test('has what the programs ask for', () => {
    const parsed = parseBtf(readFileSync(KERNEL))
    if (!parsed.ok) throw new Error(parsed.reason)
    const { btf } = parsed
    expect(btf.types).toBeGreaterThan(10_000)
    expect(btf.parameters('vfs_read')).toEqual(['file', 'buf', 'count', 'pos'])
    expect(btf.member('file', 'f_inode')).toMatchObject({ size: 8, pointer: true })
    expect(btf.member('super_block', 's_dev')).toMatchObject({ size: 4, pointer: false })
    // Inside a union without a name.
    expect(btf.member('vm_area_struct', 'vm_flags')).toMatchObject({ size: 8, pointer: false })
  })
})
