import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { type HostName, hostReadings, parseHost } from '../../src/core/host.ts'
import { type HostPattern, hostCovers, hostTouches, parseHostPattern } from '../../src/core/host-pattern.ts'
import { cidrHasIpv4, cidrHasIpv6 } from '../../src/core/ip.ts'
import { type HostEntry, HostIndex } from '../../src/policy/host-index.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function pattern(text: string): HostPattern {
  const parsed = parseHostPattern(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.pattern
}

function host(text: string): HostName {
  const parsed = parseHost(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.host
}

function found<T>(index: HostIndex<T>, name: HostName): HostEntry<T>[] {
  const entries: HostEntry<T>[] = []
  index.find(name, entries)
  return entries
}

const values = <T>(index: HostIndex<T>, text: string): T[] => found(index, host(text)).map((entry) => entry.value)

/** Whether the host part of a pattern matches one reading of a host, label by label and bit by bit. */
function matches({ kind, name = '', cidr }: HostPattern, reading: HostName): boolean {
  if (kind === 'any') return true
  if (reading.kind === 'ipv4') return cidr !== undefined && cidrHasIpv4(cidr, reading.value)
  if (reading.kind === 'ipv6') return cidr !== undefined && cidrHasIpv6(cidr, reading.groups)
  const labels = reading.text.split('.')
  const suffix = name.split('.')
  const ends = suffix.every((label, index) => label === labels[labels.length - suffix.length + index])
  switch (kind) {
    case 'exact':
      return reading.text === name
    case 'one_label':
      return ends && labels.length === suffix.length + 1
    case 'subdomains':
      return ends && labels.length > suffix.length
    case 'cidr':
      return false
  }
}

const label = fc.constantFrom('a', 'b', 'api', 'xa', 'example', 'com', `long${'g'.repeat(40)}`)
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'))
const ipv4 = fc.oneof(
  fc.constantFrom('0.0.0.0', '10.0.0.1', '10.0.0.255', '10.1.0.0', '127.0.0.1', '255.255.255.255', '169.254.169.254'),
  fc.ipV4(),
)
const ipv6 = fc.oneof(
  fc.constantFrom('::', '::1', '64:ff9b::a00:1', '2002:a00:1::', '::ffff:10.0.0.1', '2001:db8::1', 'fe80::5efe:7f00:1'),
  fc.ipV6(),
)
const network = fc.constantFrom(
  ...['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/24', '10.0.0.1', '10.0.0.0/31', '127.0.0.0/8', '128.0.0.0/1', '0.0.0.0'],
  ...[
    '::/0',
    '::1',
    '::',
    '2000::/3',
    '2001:db8::/32',
    '2002::/16',
    '64:ff9b::/96',
    'fe80::/10',
    '::ffff:10.0.0.0/120',
  ],
)
const patterns = fc.oneof(
  fc.constant('*'),
  name,
  name.filter((text) => text.includes('.')).map((text) => `*.${text}`),
  name.filter((text) => text.includes('.')).map((text) => `**.${text}`),
  { weight: 4, arbitrary: fc.oneof(network, ipv4) },
)
const hosts = fc.oneof(name, ipv4, ipv6)
/** A list of patterns: a few, or so many that blocks go into a table. */
const lists = fc.oneof(fc.array(patterns, { maxLength: 6 }), fc.array(patterns, { minLength: 10, maxLength: 60 }))

describe('finds the patterns that match', () => {
  test('as looking at each pattern finds them, while patterns are still added', () => {
    let some = 0
    fc.assert(
      fc.property(lists, lists, fc.array(hosts, { minLength: 1, maxLength: 10 }), (first, second, asked) => {
        const index = new HostIndex<number>()
        const added: HostPattern[] = []
        for (const batch of [first, second]) {
          for (const text of batch) index.add(pattern(text), added.push(pattern(text)) - 1)
          for (const reading of asked.flatMap((text) => hostReadings(host(text)))) {
            const expected = [...added.keys()].filter((at) => matches(added[at] as HostPattern, reading))
            const entries = found(index, reading)
            expect(entries.map((entry) => entry.value).sort((a, b) => a - b)).toEqual(expected)
            for (const entry of entries) expect(entry.pattern).toEqual(added[entry.value])
            if (expected.length > 0) some++
          }
        }
      }),
      { numRuns: fuzzRuns(1_000) },
    )
    expect(some).toBeGreaterThan(500)
  })

  test('so a caller who judges what is found misses no rule', () => {
    fc.assert(
      fc.property(lists, hosts, (list, text) => {
        const index = new HostIndex<string>()
        for (const one of list) index.add(pattern(one), one)
        const resource = { host: host(text) }
        const covering = found(index, resource.host).filter((entry) => hostCovers(entry.pattern, resource))
        expect(covering.map((entry) => entry.value).sort()).toEqual(
          list.filter((one) => hostCovers(pattern(one), resource)).sort(),
        )
        const touching = hostReadings(resource.host)
          .flatMap((reading) => found(index, reading))
          .filter((entry) => hostTouches(entry.pattern, resource))
        expect(new Set(touching.map((entry) => entry.value))).toEqual(
          new Set(list.filter((one) => hostTouches(pattern(one), resource))),
        )
      }),
      { numRuns: fuzzRuns(1_000) },
    )
  })

  test('a suffix is whole labels', () => {
    const index = new HostIndex<string>()
    for (const text of ['**.example.com', '*.example.com', 'example.com']) index.add(pattern(text), text)
    expect(values(index, 'example.com')).toEqual(['example.com'])
    expect(values(index, 'a.example.com').sort()).toEqual(['**.example.com', '*.example.com'])
    expect(values(index, 'b.a.example.com')).toEqual(['**.example.com'])
    expect(values(index, 'evilexample.com')).toEqual([])
    expect(values(index, 'example.com.evil.test')).toEqual([])
  })

  test('ports and schemes are not looked at', () => {
    const index = new HostIndex<string>()
    for (const text of ['https://api.example.com:8443', '10.0.0.0/8:22', '[::1]:443']) index.add(pattern(text), text)
    expect(values(index, 'api.example.com')).toEqual(['https://api.example.com:8443'])
    expect(values(index, '10.1.2.3')).toEqual(['10.0.0.0/8:22'])
    expect(values(index, '::1')).toEqual(['[::1]:443'])
  })
})

describe('many blocks', () => {
  const many = Array.from({ length: 1_000 }, (_, at) => `10.${at >> 8}.${at & 255}.0/24`)

  test('one more after an answer counts at once', () => {
    const index = new HostIndex<string>()
    for (const text of many) index.add(pattern(text), text)
    expect(values(index, '10.1.7.9')).toEqual(['10.1.7.0/24'])
    index.add(pattern('10.0.0.0/8'), 'late')
    expect(values(index, '10.1.7.9')).toEqual(['10.1.7.0/24', 'late'])
    expect(values(index, '10.200.0.1')).toEqual(['late'])
    index.prepare()
    expect(values(index, '10.200.0.1')).toEqual(['late'])
  })

  test('preparing changes no answer, at any number of blocks', () => {
    for (let count = 0; count < 12; count++) {
      const plain = new HostIndex<string>()
      const prepared = new HostIndex<string>()
      for (const text of many.slice(0, count)) {
        plain.add(pattern(text), text)
        prepared.add(pattern(text), text)
      }
      prepared.prepare()
      for (let at = 0; at < 12; at++) {
        const expected = at < count ? [many[at]] : []
        expect(values(plain, `10.0.${at}.1`)).toEqual(expected)
        expect(values(prepared, `10.0.${at}.1`)).toEqual(expected)
      }
      expect(values(prepared, '2001:db8::1')).toEqual([])
    }
  })

  test('a pattern that says cidr and has none is a mistake of the caller', () => {
    const index = new HostIndex<string>()
    expect(() => index.add({ text: '10.0.0.0/8', kind: 'cidr', port: 'any' }, 'x')).toThrow(TypeError)
  })
})
