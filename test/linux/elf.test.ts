import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseProgram } from '../../src/linux/elf.ts'
import { parseLibraryCache } from '../../src/linux/library-closure.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { elf, LD, libraryCache } from './host.ts'

const text = (content: string): Uint8Array => new TextEncoder().encode(content)

describe('ELF files', () => {
  test('everything a loader needs', () => {
    expect(
      parseProgram(
        elf({
          interpreter: LD,
          needed: ['libz.so.1', 'libc.so.6'],
          soname: 'libme.so.1',
          rpath: '$ORIGIN/../lib:/opt/lib',
          runpath: '${ORIGIN}',
          flags1: 0x800n,
        }),
      ),
    ).toEqual({
      kind: 'elf',
      machine: 'x64',
      interpreter: LD,
      needed: ['libz.so.1', 'libc.so.6'],
      soname: 'libme.so.1',
      rpath: ['$ORIGIN/../lib', '/opt/lib'],
      runpath: ['${ORIGIN}'],
      noDefaultDirectories: true,
    })
  })

  test('a static program needs nothing, and aarch64 is known', () => {
    expect(parseProgram(elf({ machine: 183, type: 2 }))).toEqual({
      kind: 'elf',
      machine: 'arm64',
      needed: [],
      noDefaultDirectories: false,
    })
  })

  const edit = (change: (view: DataView, bytes: Uint8Array) => void): Uint8Array => {
    const bytes = elf({ interpreter: LD, needed: ['libc.so.6'] })
    change(new DataView(bytes.buffer), bytes)
    return bytes
  }

  test.each([
    ['32 bits', edit((view) => view.setUint8(4, 1)), /32-bit/],
    ['big endian', edit((view) => view.setUint8(5, 2)), /big-endian/],
    ['another machine', edit((view) => view.setUint16(18, 8, true)), /another machine/],
    ['a core dump', edit((view) => view.setUint16(16, 4, true)), /neither a program/],
    ['headers behind the end', edit((view) => view.setBigUint64(32, 1n << 40n, true)), /ends too early/],
    ['headers at a negative offset', edit((view) => view.setBigUint64(32, 2n ** 64n - 8n, true)), /impossible/],
    ['headers of another size', edit((view) => view.setUint16(54, 32, true)), /another size/],
    ['65535 headers', edit((view) => view.setUint16(56, 0xffff, true)), /too many program headers/],
    ['an interpreter that is relative', elf({ interpreter: 'ld.so' }), /absolute/],
    ['an interpreter without end', edit((view) => view.setBigUint64(64 + 2 * 56 + 32, 4n, true)), /absolute/],
    ['a name that is empty', elf({ needed: [''] }), /empty/],
    ['a file that stops', elf({ needed: ['libc.so.6'] }).subarray(0, 250), /ends too early/],
    ['a head that stops', elf().subarray(0, 20), /bad header/],
  ])('%s is refused', (_, bytes, reason) => {
    expect(parseProgram(bytes)).toEqual({ kind: 'unsupported', reason: expect.stringMatching(reason) })
  })

  test('a library name outside the string table is not read from elsewhere in the file', () => {
    const bytes = elf({ needed: ['libc.so.6'] })
    const view = new DataView(bytes.buffer)
    const dynamic = Number(view.getBigUint64(64 + 56 + 8, true))
    view.setBigUint64(dynamic + 8, 5000n, true)
    expect(parseProgram(bytes)).toEqual({ kind: 'unsupported', reason: expect.stringContaining('outside') })
  })
})

describe('scripts', () => {
  test.each([
    ['#!/bin/sh\n', { kind: 'script', interpreter: '/bin/sh' }],
    [
      '#! \t/usr/bin/env  node --jitless \nrest',
      { kind: 'script', interpreter: '/usr/bin/env', argument: 'node --jitless' },
    ],
    ['#!/bin/sh', { kind: 'script', interpreter: '/bin/sh' }],
    ['#!/bin/sh\0 -x', { kind: 'script', interpreter: '/bin/sh' }],
    ['#!\n', { kind: 'unsupported', reason: 'an empty #! line' }],
    ['#!sh\n', { kind: 'unsupported', reason: expect.stringContaining('relative') }],
    [`#!/${'x'.repeat(300)}\n`, { kind: 'unsupported', reason: expect.stringContaining('too long') }],
    ['#!/bin/sh\r\n', { kind: 'script', interpreter: '/bin/sh\r' }],
    ['echo hello\n', { kind: 'other' }],
    ['', { kind: 'other' }],
  ])('%j', (content, expected) => {
    expect(parseProgram(text(content))).toEqual(expected)
  })
})

describe('the cache of libraries', () => {
  const entries = [
    { name: 'libc.so.6', path: '/lib/libc.so.6' },
    { name: 'libarm.so', path: '/lib/libarm.so', flags: 0xa03 },
    { name: 'lib32.so', path: '/lib32/lib32.so', flags: 0x3 },
    { name: 'relative.so', path: 'lib/relative.so' },
  ]

  test.each([false, true])('entries of one machine (behind the old format: %s)', (old) => {
    const bytes = libraryCache(entries, { old })
    expect(parseLibraryCache(bytes, 'x64')).toEqual([{ name: 'libc.so.6', path: '/lib/libc.so.6' }])
    expect(parseLibraryCache(bytes, 'arm64')).toEqual([{ name: 'libarm.so', path: '/lib/libarm.so' }])
  })

  test('a count that does not fit, and the other byte order, give nothing', () => {
    for (const change of [
      (view: DataView) => view.setUint32(20, 0xffffffff, true),
      (view: DataView) => view.setUint8(28, 3),
    ]) {
      const bytes = libraryCache(entries)
      change(new DataView(bytes.buffer))
      expect(parseLibraryCache(bytes, 'x64')).toEqual([])
    }
  })
})

describe('any bytes at all', () => {
  const damaged = (valid: Uint8Array): fc.Arbitrary<Uint8Array> =>
    fc
      .tuple(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 12 }),
        fc.integer({ min: 0, max: valid.length }),
        fc.boolean(),
      )
      .map(([edits, cut, whole]) => {
        const bytes = valid.slice()
        for (const [at, value] of edits) bytes[at] = value
        return whole ? bytes : bytes.subarray(0, cut)
      })
  const seeds = [
    elf({ interpreter: LD, needed: ['liba.so', 'libb.so'], runpath: '$ORIGIN', soname: 'x' }),
    text('#!/usr/bin/env node\n'),
  ]

  test('parseProgram never throws, and what it finds is text of bounded length', () => {
    const input = fc.oneof(fc.uint8Array({ maxLength: 400 }), ...seeds.map(damaged))
    fc.assert(
      fc.property(input, (bytes) => {
        const parsed = parseProgram(bytes)
        if (parsed.kind !== 'elf') return
        const names = [...parsed.needed, parsed.interpreter ?? 'x', parsed.soname ?? 'x']
        expect(names.every((name) => name.length > 0 && name.length <= 4096 && !name.includes('\0'))).toBe(true)
        expect(parsed.interpreter === undefined || parsed.interpreter.startsWith('/')).toBe(true)
      }),
      { numRuns: fuzzRuns(2000) },
    )
  })

  test('parseLibraryCache never throws, and gives absolute paths only', () => {
    const valid = libraryCache(
      Array.from({ length: 8 }, (_, index) => ({ name: `lib${index}.so`, path: `/lib/lib${index}.so` })),
      { old: true },
    )
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged(valid)), (bytes) => {
        for (const { path, name } of parseLibraryCache(bytes, 'x64')) {
          expect(path.startsWith('/') && !path.includes('\0') && name !== '').toBe(true)
        }
      }),
      { numRuns: fuzzRuns(2000) },
    )
  })
})
