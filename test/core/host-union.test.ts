// Several blocks of addresses against one, held against the addresses themselves.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { type HostPattern, hostPatternContains, parseHostPattern } from '../../src/core/host-pattern.ts'
import { cidrsContain, hostPatternsContain } from '../../src/core/host-union.ts'
import { type Cidr, cidrCoversIpv4, cidrCoversIpv6, formatCidr, parseCidr, parseIpv6 } from '../../src/core/ip.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const pattern = (text: string): HostPattern => {
  const parsed = parseHostPattern(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.pattern
}
const block = (text: string): Cidr => {
  const parsed = parseCidr(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.cidr
}

describe('together they cover', () => {
  test.each([
    ['10.0.0.0/9 10.128.0.0/9', '10.0.0.0/8', true],
    ['10.0.0.0/9 10.128.0.0/10 10.192.0.0/11 10.224.0.0/11', '10.0.0.0/8', true],
    ['10.0.0.0/9 10.128.0.0/10 10.192.0.0/11', '10.0.0.0/8', false],
    ['10.0.0.0/9 10.128.0.0/9', '10.0.0.0/7', false],
    ['10.0.0.0/9 11.0.0.0/9', '10.0.0.0/8', false],
    ['10.0.0.0/9:* 10.128.0.0/9', '10.0.0.0/8', true],
    ['10.0.0.0/9:443 10.128.0.0/9:443', '10.0.0.0/8:443', true],
    ['10.0.0.0/9:443 10.128.0.0/9:80', '10.0.0.0/8:443', false],
    ['https://10.0.0.0/9 10.128.0.0/9', 'https://10.0.0.0/8', true],
    ['https://10.0.0.0/9 10.128.0.0/9', '10.0.0.0/8', false],
    ['0.0.0.0/1 128.0.0.0/1', '0.0.0.0/0', true],
    ['0.0.0.0/1 128.0.0.0/1', '0.0.0.0', false],
    ['192.0.2.6 192.0.2.7', '192.0.2.6/31', true],
    ['2001:db8::/33 2001:db8:8000::/33', '2001:db8::/32', true],
    ['2001:db8::/33', '2001:db8::/32', false],
    ['[2001:db8::/33]:443 [2001:db8:8000::/33]:*', '[2001:db8::/32]:443', true],
    // What embeds IPv4 addresses is not meant by a block that is wider than the form, so it is no hole in it.
    ['2000::/15 2003::/16 2004::/14 2008::/13 2010::/12 2020::/11 2040::/10 2080::/9 2100::/8', '2000::/7', true],
    ['2000::/15 2004::/14 2008::/13 2010::/12 2020::/11 2040::/10 2080::/9 2100::/8', '2000::/7', false],
    ['2002::/17 2002:8000::/17', '2002::/16', true],
    ['2000::/4 3000::/4', '2002::/16', false],
    // ::1 lies among addresses that embed others and embeds none.
    ['::2/127 ::4/126 ::8/125', '::/124', false],
    ['api.example.com www.example.com', '*.example.com', false],
    ['10.0.0.0/9 10.128.0.0/9', '*', false],
    ['*', '10.0.0.0/8', false],
    ['', '10.0.0.0/8', false],
  ])('%s on %s: %s', (outers, inner, expected) => {
    const list = outers.split(' ').filter((text) => text !== '')
    expect(hostPatternsContain(list.map(pattern), pattern(inner))).toBe(expected)
  })

  test('control: no single one of them does', () => {
    const halves = ['10.0.0.0/9', '10.128.0.0/9'].map(pattern)
    expect(halves.some((half) => hostPatternContains(half, pattern('10.0.0.0/8')))).toBe(false)
  })
})

test('IPv4: exactly when every address is covered', () => {
  const cidr = fc
    .tuple(fc.integer({ min: 24, max: 32 }), fc.nat(255))
    .map(([prefix, low]): Cidr => ({ family: 4, prefix, value4: low & (-1 << (32 - prefix)) & 0xff }))
  const seen = { yes: 0, no: 0 }
  fc.assert(
    fc.property(fc.array(cidr, { maxLength: 12 }), cidr, (outers, inner) => {
      const answer = cidrsContain(outers, inner)
      seen[answer ? 'yes' : 'no']++
      const hole = Array.from({ length: 256 }, (_, value) => value).find(
        (value) => cidrCoversIpv4(inner, value) && !outers.some((outer) => cidrCoversIpv4(outer, value)),
      )
      expect([answer, hole === undefined]).toEqual([answer, answer])
    }),
    { numRuns: fuzzRuns(5_000) },
  )
  expect(Math.min(seen.yes, seen.no)).toBeGreaterThan(fuzzRuns(5_000) / 20)
})

test('IPv6: exactly when the addresses at every edge are covered', () => {
  // The places where something begins or ends: forms with an IPv4 address inside, loopback, a documentation block.
  const places = [
    '::',
    '::1',
    '::ffff:0:0:0',
    '64:ff9b::',
    '64:ff9b:1::',
    '2001::',
    '2002::',
    '2001:db8::',
    '2001:db8::5efe:0:0',
  ].map((text) => toBits(parseIpv6(text) ?? []))
  const cidr = fc
    .tuple(fc.constantFrom(...places), fc.integer({ min: 0, max: 128 }), fc.integer({ min: 0, max: 127 }), fc.boolean())
    .map(([place, prefix, bit, flip]): Cidr => {
      const bits = flip ? place ^ (1n << BigInt(127 - bit)) : place
      return cidrOf(bits, prefix)
    })
  /** A block, often cut into pieces of which one may be left out. */
  const cut = fc
    .tuple(cidr, fc.array(fc.nat(1_000), { maxLength: 12 }), fc.option(fc.nat(20)))
    .map(([inner, dice, drop]) => {
      let pieces = [inner]
      for (const die of dice) {
        const at = die % pieces.length
        const { prefix, groups = [] } = pieces[at] as Cidr
        if (prefix > 127) continue
        const base = toBits(groups)
        const halves = [cidrOf(base, prefix + 1), cidrOf(base | (1n << BigInt(127 - prefix)), prefix + 1)]
        pieces = [...pieces.slice(0, at), ...halves, ...pieces.slice(at + 1)]
      }
      return { inner, outers: drop === null ? pieces : pieces.filter((_, index) => index !== drop % pieces.length) }
    })
  const free = fc.record({ inner: cidr, outers: fc.array(cidr, { maxLength: 6 }) })
  const seen = { yes: 0, no: 0 }
  fc.assert(
    fc.property(fc.oneof(cut, free), ({ inner, outers }) => {
      const answer = cidrsContain(outers, inner)
      seen[answer ? 'yes' : 'no']++
      const edges = [inner, ...outers]
        .flatMap(edgesOf)
        .concat(places.flatMap((place) => [16, 32, 48, 96, 128].flatMap((prefix) => edgesOf(cidrOf(place, prefix)))))
      const hole = edges.find((bits) => {
        const groups = toGroups(bits)
        return cidrCoversIpv6(inner, groups) && !outers.some((outer) => cidrCoversIpv6(outer, groups))
      })
      const shown = [formatCidr(inner), outers.map(formatCidr), hole?.toString(16)]
      expect([shown, hole === undefined]).toEqual([shown, answer])
    }),
    { numRuns: fuzzRuns(5_000) },
  )
  expect(Math.min(seen.yes, seen.no)).toBeGreaterThan(fuzzRuns(5_000) / 20)
})

test('many blocks are answered', () => {
  const all = Array.from({ length: 4_096 }, (_, index) => block(`10.${index >> 4}.${(index & 15) << 4}.0/20`))
  expect(cidrsContain(all, block('10.0.0.0/8'))).toBe(true)
  expect(cidrsContain(all.slice(1), block('10.0.0.0/8'))).toBe(false)
  const wide = Array.from({ length: 64 }, (_, index) => cidrOf(0n, index))
  expect(cidrsContain(wide, block('2002::/16'))).toBe(false)
})

const FULL = (1n << 128n) - 1n

function toBits(groups: readonly number[]): bigint {
  return groups.reduce((bits, group) => (bits << 16n) | BigInt(group), 0n)
}

function toGroups(bits: bigint): number[] {
  return Array.from({ length: 8 }, (_, index) => Number((bits >> BigInt(16 * (7 - index))) & 0xffffn))
}

function cidrOf(bits: bigint, prefix: number): Cidr {
  const mask = FULL ^ ((1n << BigInt(128 - prefix)) - 1n)
  return { family: 6, prefix, groups: toGroups(bits & mask) }
}

/** First and last address of a block, and those around it. */
function edgesOf({ prefix, groups = [] }: Cidr): bigint[] {
  const first = toBits(groups)
  const last = first | ((1n << BigInt(128 - prefix)) - 1n)
  return [first - 1n, first, first + 1n, last - 1n, last, last + 1n].filter((bits) => bits >= 0n && bits <= FULL)
}
