import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { describe, expect, test } from 'vitest'

import { CidrTable } from '../../src/core/cidr-table.ts'
import {
  type Cidr,
  cidrHasIpv4,
  cidrHasIpv6,
  formatCidr,
  formatIpv4,
  formatIpv6,
  parseCidr,
  parseIpv6,
} from '../../src/core/ip.ts'
import { corpus } from '../support/corpora.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function cidr(text: string): Cidr {
  const parsed = parseCidr(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.cidr
}

function v6(text: string): readonly number[] {
  const groups = parseIpv6(text)
  if (groups === undefined) throw new Error(`not an address: ${text}`)
  return groups
}

const tableOf = (...blocks: readonly string[]): CidrTable<string> =>
  new CidrTable(blocks.map((block) => [cidr(block), block] as const))

function all4<T>(table: CidrTable<T>, address: number): T[] {
  const found: T[] = []
  table.findIpv4(address, found)
  return found
}

function all6<T>(table: CidrTable<T>, groups: readonly number[]): T[] {
  const found: T[] = []
  table.findIpv6(groups, found)
  return found
}

// Addresses as one number of 128 or 32 bits, for the arithmetic that the table does on words.
const groupsOf = (value: bigint): number[] =>
  Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn))
const numberOf = (block: Cidr): bigint =>
  block.groups === undefined
    ? BigInt(block.value4 ?? 0)
    : block.groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n)

/** The addresses where an answer may change: the first and last of a block, and their neighbours around the ring. */
function edges(block: Cidr): bigint[] {
  const bits = block.family === 4 ? 32 : 128
  const first = numberOf(block)
  const last = first + (1n << BigInt(bits - block.prefix)) - 1n
  return [first, last, first - 1n, last + 1n].map((value) => BigInt.asUintN(bits, value))
}

const block4 = (value: number, prefix: number): Cidr => {
  const mask = prefix === 0 ? 0 : -1 << (32 - prefix)
  return { family: 4, prefix, value4: (value & mask) >>> 0 }
}
const block6 = (value: bigint, prefix: number): Cidr => {
  const shift = BigInt(128 - prefix)
  return { family: 6, prefix, groups: groupsOf((value >> shift) << shift) }
}

// Few different bits, so that blocks nest, touch and repeat; and some from anywhere.
const address4 = fc.oneof(
  fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0x0a00_0000, 0x0a00_00ff, 0xffff_fffe, 0xffff_ffff),
  fc.nat(255).map((low) => 0x0a01_0200 + low),
  fc.nat(15).map((high) => (high << 28) >>> 0),
  fc.nat(0xffff_ffff),
)
const address6 = fc.oneof(
  fc.constantFrom(0n, 1n, (1n << 128n) - 1n, 1n << 127n, (1n << 127n) - 1n, (1n << 96n) - 1n, 1n << 64n, 1n << 32n),
  fc.nat(255).map((low) => 0x2001_0db8_0000_0000_0000_0000_0000_0000n + BigInt(low)),
  fc.nat(255).map((middle) => 0x2001_0db8_0000_0000_0000_0000_0000_0000n + (BigInt(middle) << 60n)),
  fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
)
const some4 = fc.tuple(address4, fc.integer({ min: 0, max: 32 })).map(([value, prefix]) => block4(value, prefix))
const some6 = fc.tuple(address6, fc.integer({ min: 0, max: 128 })).map(([value, prefix]) => block6(value, prefix))
const blocks = fc.array(fc.oneof(some4, some6), { maxLength: 60 })

describe('every block that holds an address', () => {
  test('as looking at each block finds them, at the edges of all blocks and elsewhere', () => {
    let several = 0
    fc.assert(
      fc.property(
        blocks,
        fc.array(address4, { maxLength: 5 }),
        fc.array(address6, { maxLength: 5 }),
        (given, a4, a6) => {
          const table = new CidrTable(given.map((block, index) => [block, index] as const))
          expect(table.size).toBe(given.length)
          const longest = (found: readonly number[]): number =>
            Math.max(-1, ...found.map((index) => given[index]?.prefix ?? Number.NaN))
          const check = (found: number[], best: number[], prefix: number, holds: (block: Cidr) => boolean): void => {
            const expected = [...given.keys()].filter((index) => holds(given[index] as Cidr))
            if (expected.length > 1) several++
            expect([...found].sort((a, b) => a - b)).toEqual(expected)
            expect(prefix).toBe(longest(expected))
            expect(best).toEqual(expected.filter((index) => given[index]?.prefix === prefix))
            // Longest first, and within one block as they came.
            expect(found.map((index) => given[index]?.prefix)).toEqual(
              expected.map((index) => given[index]?.prefix ?? 0).sort((a, b) => b - a),
            )
          }
          const of = (family: 4 | 6): Cidr[] => given.filter((block) => block.family === family)
          for (const address of [...a4, ...of(4).flatMap(edges).map(Number)]) {
            const best: number[] = []
            const prefix = table.findLongestIpv4(address, best)
            check(all4(table, address), best, prefix, (block) => cidrHasIpv4(block, address))
          }
          for (const address of [...a6, ...of(6).flatMap(edges)]) {
            const groups = groupsOf(address)
            const best: number[] = []
            const prefix = table.findLongestIpv6(groups, best)
            check(all6(table, groups), best, prefix, (block) => cidrHasIpv6(block, groups))
          }
        },
      ),
      { numRuns: fuzzRuns(600) },
    )
    expect(several).toBeGreaterThan(100)
  })

  test('as ipaddr.js matches them', () => {
    fc.assert(
      fc.property(fc.array(some4, { maxLength: 12 }), fc.array(some6, { maxLength: 12 }), (four, six) => {
        const table = new CidrTable([...four, ...six].map((block) => [block, formatCidr(block)] as const))
        for (const address of four.flatMap(edges).map(Number)) {
          const parsed = ipaddr.IPv4.parse(formatIpv4(address))
          const expected = four.filter((block) =>
            parsed.match(ipaddr.IPv4.parse(formatIpv4(block.value4 ?? 0)), block.prefix),
          )
          expect(all4(table, address).sort()).toEqual(expected.map(formatCidr).sort())
        }
        for (const address of six.flatMap(edges)) {
          const groups = groupsOf(address)
          const parsed = ipaddr.IPv6.parse(formatIpv6(groups))
          const expected = six.filter((block) =>
            parsed.match(ipaddr.IPv6.parse(formatIpv6(block.groups ?? [])), block.prefix),
          )
          expect(all6(table, groups).sort()).toEqual(expected.map(formatCidr).sort())
        }
      }),
      { numRuns: fuzzRuns(200) },
    )
  })

  test('a nest of all 33 and all 129 prefix lengths', () => {
    const nest4 = Array.from({ length: 33 }, (_, prefix) => block4(0xffff_ffff, prefix))
    const nest6 = Array.from({ length: 129 }, (_, prefix) => block6((1n << 128n) - 1n, prefix))
    const table = new CidrTable([...nest4, ...nest6].reverse().map((block) => [block, block.prefix] as const))
    const down = (from: number): number[] => Array.from({ length: from + 1 }, (_, index) => from - index)
    expect(all4(table, 0xffff_ffff)).toEqual(down(32))
    expect(all4(table, 0xffff_fffe)).toEqual(down(31))
    expect(all4(table, 0x7fff_ffff)).toEqual([0])
    expect(all6(table, groupsOf((1n << 128n) - 1n))).toEqual(down(128))
    expect(all6(table, groupsOf((1n << 128n) - 3n))).toEqual(down(126))
    expect(all6(table, groupsOf(0n))).toEqual([0])
  })

  test('the order in which pairs come changes the order of equal blocks alone', () => {
    fc.assert(
      fc.property(
        fc
          .array(some4, { maxLength: 30 })
          .chain((list) =>
            fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length })),
          ),
        ([list, shuffled]) => {
          const one = new CidrTable(list.map((block) => [block, formatCidr(block)] as const))
          const other = new CidrTable(shuffled.map((block) => [block, formatCidr(block)] as const))
          for (const address of list.flatMap(edges).map(Number)) {
            expect(all4(other, address)).toEqual(all4(one, address))
          }
        },
      ),
      { numRuns: fuzzRuns(200) },
    )
  })

  test('one block may have many values, and a value many blocks', () => {
    const table = new CidrTable([
      [cidr('10.0.0.0/8'), 'a'],
      [cidr('10.0.0.0/9'), 'b'],
      [cidr('10.0.0.0/8'), 'c'],
      [cidr('10.0.0.0/8'), 'a'],
    ])
    expect(all4(table, 0x0a00_0001)).toEqual(['b', 'a', 'c', 'a'])
    expect(all4(table, 0x0a80_0001)).toEqual(['a', 'c', 'a'])
    expect(all4(table, 0x0b00_0000)).toEqual([])
  })

  test('adds to what the caller has found already', () => {
    const found = ['before']
    tableOf('10.0.0.0/8').findIpv4(0x0a00_0001, found)
    expect(found).toEqual(['before', '10.0.0.0/8'])
  })

  test('an empty table finds nothing', () => {
    const table = tableOf()
    expect(table.size).toBe(0)
    expect(all4(table, 0)).toEqual([])
    expect(all4(table, 0xffff_ffff)).toEqual([])
    expect(all6(table, v6('::'))).toEqual([])
    expect(all6(table, v6('ffff::'))).toEqual([])
    expect(table.findLongestIpv4(0, [])).toBe(-1)
    expect(table.findLongestIpv6(v6('::1'), [])).toBe(-1)
  })

  test('the families are apart: ::/0 holds no IPv4 address, 0.0.0.0/0 none of IPv6', () => {
    const table = tableOf('0.0.0.0/0', '::/0', '::ffff:10.0.0.0/104')
    expect(all4(table, 0x0a00_0001)).toEqual(['::ffff:10.0.0.0/104', '0.0.0.0/0'])
    expect(all6(table, v6('64:ff9b::a00:1'))).toEqual(['::/0'])
  })

  test('host bits of a block that no parser made mean nothing, as in cidrHasIpv4 and cidrHasIpv6', () => {
    const loose4: Cidr = { family: 4, prefix: 8, value4: 0x0a01_0203 }
    const loose6: Cidr = { family: 6, prefix: 20, groups: v6('2001:dff::1') }
    const table = new CidrTable([
      [loose4, 4],
      [loose6, 6],
    ])
    expect(cidrHasIpv4(loose4, 0x0a00_0000)).toBe(true)
    expect(all4(table, 0x0a00_0000)).toEqual([4])
    expect(cidrHasIpv6(loose6, v6('2001:d00::'))).toBe(true)
    expect(all6(table, v6('2001:d00::'))).toEqual([6])
  })

  test.each([
    { family: 4, prefix: 33, value4: 0 },
    { family: 4, prefix: -1, value4: 0 },
    { family: 4, prefix: 7.5, value4: 0 },
    { family: 4, prefix: Number.NaN, value4: 0 },
    { family: 6, prefix: 129, groups: [0, 0, 0, 0, 0, 0, 0, 0] },
    { family: 6, prefix: 0 },
  ] as const satisfies readonly Cidr[])('not a block: %o', (block) => {
    expect(() => new CidrTable([[block, 1]])).toThrow(TypeError)
  })
})

const folder = corpus('ip')

describe.skipIf(folder === undefined)('the prefixes of the Internet', () => {
  // Every tenth of a million in `npm test`; all of them when AGENTPORT_FUZZ_RUNS asks for ten times as much.
  const step = Math.max(1, Math.round(10 / fuzzRuns(1)))
  const lines = (): string[] =>
    gunzipSync(readFileSync(join(folder as string, 'bgp-prefixes.txt.gz')))
      .toString('latin1')
      .split(/\r?\n/)
      .filter((line, index) => line !== '' && index % step === 0)

  test('as one map for each prefix length finds them', () => {
    const given = lines().map(cidr)
    expect(given.length).toBeGreaterThan(1_000_000 / step)
    const table = new CidrTable(given.map((block, index) => [block, index] as const))
    const maps = { 4: new Map<number, Map<bigint, number>>(), 6: new Map<number, Map<bigint, number>>() }
    for (const [index, block] of given.entries()) {
      const level = maps[block.family].get(block.prefix) ?? new Map<bigint, number>()
      maps[block.family].set(block.prefix, level)
      level.set(numberOf(block) >> BigInt((block.family === 4 ? 32 : 128) - block.prefix), index)
    }
    const expected = (family: 4 | 6, address: bigint): number[] =>
      [...maps[family]]
        .sort(([a], [b]) => b - a)
        .map(([prefix, level]) => level.get(address >> BigInt((family === 4 ? 32 : 128) - prefix)))
        .filter((index) => index !== undefined)

    // The edges of blocks taken from all over the table, and addresses from anywhere. Numbers, not calls of `expect`:
    // there are too many.
    let wrong = 0
    let found = 0
    let asked = 0
    const ask = (family: 4 | 6, address: bigint): void => {
      const should = expected(family, address)
      const answer = family === 4 ? all4(table, Number(address)) : all6(table, groupsOf(address))
      const best: number[] = []
      const prefix =
        family === 4 ? table.findLongestIpv4(Number(address), best) : table.findLongestIpv6(groupsOf(address), best)
      const same = answer.length === should.length && answer.every((index, at) => index === should[at])
      const sameBest = best[0] === should[0] && prefix === (given[should[0] ?? -1]?.prefix ?? -1)
      if (!same || !sameBest) wrong++
      found += answer.length
      asked++
    }
    const every = Math.max(1, Math.floor(given.length / (25_000 / step)))
    for (let index = 0; index < given.length; index += every) {
      const block = given[index] as Cidr
      for (const address of edges(block)) ask(block.family, address)
    }
    for (const address of fc.sample(fc.nat(0xffff_ffff), { numRuns: Math.round(10_000 / step), seed: 7 })) {
      ask(4, BigInt(address))
    }
    expect(asked).toBeGreaterThan(100_000 / step)
    expect(found).toBeGreaterThan(asked / 2)
    expect(wrong).toBe(0)
  })
})
