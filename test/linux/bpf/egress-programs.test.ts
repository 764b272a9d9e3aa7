import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  type Cidr,
  cidrCoversIpv4,
  cidrCoversIpv6,
  mappedIpv4,
  parseCidr,
  parseIpv4,
  parseIpv6,
} from '../../../src/core/ip.ts'
import type { BpfObject, BpfProgram } from '../../../src/linux/box.ts'
import { EGRESS_DENIALS, type EgressDenial, egressBpf, readDenials } from '../../../src/linux/bpf/egress-programs.ts'
import type { DirectGrant } from '../../../src/linux/bpf/egress-trie.ts'
import { type Attempt, sock, sockAddr } from './contexts.ts'
import { Machine } from './interpreter.ts'

const CLOSED = { bind: false, unixSockets: false }
const TCP = 6
const UDP = 17
const MPTCP = 262

function cidr(text: string): Cidr {
  const parsed = parseCidr(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.cidr
}

function grant(text: string, port: number | 'any' = 'any', protocol: 'tcp' | 'udp' = 'tcp'): DirectGrant {
  return { cidr: cidr(text), port, protocol }
}

function address(text: string): number | readonly number[] {
  const parsed = parseIpv4(text) ?? parseIpv6(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}

function program(object: BpfObject, denial: EgressDenial): BpfProgram {
  const found = object.programs.find(({ name }) => name === `ap_${denial}`)
  if (found === undefined) throw new Error(`no program ${denial}`)
  return found
}

/** What the kernel would say to a connect and to a sendto; they must be of one mind. */
function allowed(object: BpfObject, attempt: Attempt): boolean {
  const family = typeof attempt.address === 'number' ? '4' : '6'
  const answers = (['connect', 'send'] as const).map((verb) =>
    new Machine(object).run(program(object, `${verb}${family}`), sockAddr(attempt)),
  )
  expect(answers[0]).toBe(answers[1])
  return answers[0] === 1n
}

/** The same question put to the address primitives the rest of the gateway judges by. */
function reference(grants: readonly DirectGrant[], { protocol, port, address }: Attempt): boolean {
  const name = protocol === TCP || protocol === MPTCP ? 'tcp' : protocol === UDP ? 'udp' : undefined
  const value4 = typeof address === 'number' ? address : mappedIpv4(address)
  return grants.some(
    (candidate) =>
      candidate.protocol === name &&
      (candidate.port === 'any' || candidate.port === port) &&
      (value4 !== undefined
        ? cidrCoversIpv4(candidate.cidr, value4)
        : typeof address !== 'number' && cidrCoversIpv6(candidate.cidr, address)),
  )
}

describe('destinations', () => {
  test.each<readonly [grants: readonly DirectGrant[], protocol: number, to: string, port: number, expected: boolean]>([
    [[], TCP, '127.0.0.1', 80, false],
    [[], TCP, '::1', 80, false],
    [[grant('10.0.0.0/8', 443)], TCP, '10.1.2.3', 443, true],
    [[grant('10.0.0.0/8', 443)], TCP, '::ffff:10.1.2.3', 443, true],
    [[grant('10.0.0.0/8', 443)], MPTCP, '10.1.2.3', 443, true],
    [[grant('10.0.0.0/8', 443)], UDP, '10.1.2.3', 443, false],
    [[grant('10.0.0.0/8', 443)], TCP, '10.1.2.3', 444, false],
    [[grant('10.0.0.0/8', 443)], TCP, '10.1.2.3', 0, false],
    // 0xbb01 is 443 with its bytes swapped.
    [[grant('10.0.0.0/8', 443)], TCP, '10.1.2.3', 0xbb01, false],
    [[grant('10.0.0.0/8', 443)], TCP, '11.1.2.3', 443, false],
    [[grant('10.0.0.0/8')], TCP, '10.1.2.3', 1, true],
    [[grant('10.0.0.0/8', 'any', 'udp')], UDP, '10.1.2.3', 53, true],
    [[grant('10.0.0.0/8', 'any', 'udp')], MPTCP, '10.1.2.3', 53, false],
    // 262 and 273 in eight bits are 6 and 17.
    [[grant('10.0.0.0/8', 'any', 'udp')], 273, '10.1.2.3', 53, false],
    [[grant('0.0.0.0/0')], TCP, '1.1.1.1', 80, true],
    [[grant('0.0.0.0/0')], TCP, '2606:4700::1111', 80, false],
    [[grant('::/0')], TCP, '2606:4700::1111', 80, true],
    [[grant('::/0')], TCP, '1.1.1.1', 80, false],
    [[grant('::/0')], TCP, '::ffff:1.1.1.1', 80, false],
    // Dialled as loopback.
    [[grant('0.0.0.0/0')], TCP, '0.0.0.0', 80, false],
    [[grant('0.0.0.0')], TCP, '0.0.0.0', 80, true],
    [[grant('::/0')], TCP, '::', 80, false],
    [[grant('::')], TCP, '::', 80, true],
    [[grant('::/0')], TCP, '::1', 80, true],
    [[grant('::1')], TCP, '::1', 80, true],
    // IPv4 behind a translator: 10.0.0.1 each time.
    [[grant('::/0')], TCP, '64:ff9b::a00:1', 80, false],
    [[grant('64:ff9b::/96')], TCP, '64:ff9b::a00:1', 80, true],
    [[grant('2000::/3')], TCP, '2002:a00:1::1', 80, false],
    [[grant('2000::/3'), grant('2002:a00:1::/48')], TCP, '2002:a00:1::1', 80, true],
    [[grant('2000::/3', 80), grant('2002::/16')], TCP, '2002:a00:1::1', 80, true],
    [[grant('2001:db8::/32')], TCP, '2001:db8::5efe:a00:1', 80, false],
    [[grant('2001:db8::/32')], TCP, '2001:db8::200:5efe:a00:1', 80, false],
    [[grant('2001:db8::/32')], TCP, '2001:db8::100:5efe:a00:1', 80, true],
    [[grant('2001:db8::5efe:a00:0/112')], TCP, '2001:db8::5efe:a00:1', 80, true],
  ])('%#: protocol %i to %s', (grants, protocol, to, port, expected) => {
    const attempt = { protocol, port, address: address(to) }
    expect(reference(grants, attempt)).toBe(expected)
    expect(allowed(egressBpf(grants, CLOSED), attempt)).toBe(expected)
  })

  const FORMS = [
    '64:ff9b::',
    '64:ff9b:1::',
    '2002::',
    '2001::',
    '::ffff:0:0:0',
    '::',
    '::1',
    '2001:db8::',
    'fe80::5efe:0:0',
  ]
  const groups = (text: string) => parseIpv6(text) ?? []
  const word = fc.nat(0xffff)
  const value4 = fc.oneof(
    fc.constantFrom('0.0.0.0', '127.0.0.1', '10.0.0.1', '255.255.255.255').map((text) => parseIpv4(text) ?? 0),
    fc.nat(0xffff_ffff),
  )
  const value6 = fc.oneof(
    fc.array(word, { minLength: 8, maxLength: 8 }),
    fc
      .tuple(fc.constantFrom(...FORMS), fc.array(fc.tuple(fc.nat(7), word), { maxLength: 3 }))
      .map(([form, changes]) =>
        changes.reduce((all, [at, to]) => all.map((group, index) => (index === at ? to : group)), groups(form)),
      ),
    fc
      .tuple(fc.array(word, { minLength: 4, maxLength: 4 }), fc.constantFrom(0, 0x200, 0x100), word, word)
      .map(([net, flag, high, low]) => [...net, flag, 0x5efe, high, low]),
    value4.map((value) => [0, 0, 0, 0, 0, 0xffff, value >>> 16, value & 0xffff]),
  )
  const port = fc.constantFrom(1, 80, 443, 0x5000, 0xffff)
  const block4 = fc.tuple(value4, fc.oneof(fc.constantFrom(0, 8, 31, 32), fc.nat(32))).map(
    ([value, prefix]): Cidr => ({
      family: 4,
      prefix,
      value4: prefix === 0 ? 0 : (value & (-1 << (32 - prefix))) >>> 0,
    }),
  )
  const block6 = fc
    .tuple(value6, fc.oneof(fc.constantFrom(0, 3, 16, 32, 48, 64, 95, 96, 128), fc.nat(128)))
    .map(([value, prefix]): Cidr | undefined => {
      const masked = value.map((group, index) => {
        const bits = Math.min(16, Math.max(0, prefix - index * 16))
        return group & ((0xffff << (16 - bits)) & 0xffff)
      })
      // The parser turns these into blocks of IPv4.
      return prefix >= 96 && mappedIpv4(masked) !== undefined ? undefined : { family: 6, prefix, groups: masked }
    })
    .filter((block) => block !== undefined)
  const grants = fc.array(
    fc.record({
      cidr: fc.oneof(block4, block6),
      port: fc.oneof(fc.constant('any' as const), port),
      protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    }),
    { maxLength: 8 },
  )
  /** An address near one of the grants, or any. */
  const destination = (among: readonly DirectGrant[]) => {
    const near = fc.tuple(fc.constantFrom(...among, grant('::1')), fc.nat(127)).map(([{ cidr: inside }, bit]) => {
      if (inside.groups === undefined) return ((inside.value4 ?? 0) ^ (1 << (bit % 32))) >>> 0
      return inside.groups.map((group, index) => (index === bit >> 4 ? group ^ (1 << (bit & 15)) : group))
    })
    return fc.oneof(value4, value6, near)
  }

  const scenario = grants.chain((all) =>
    fc.tuple(
      fc.constant(all),
      fc.array(
        fc.record({
          protocol: fc.constantFrom(TCP, UDP, MPTCP, 132, 136, 1, 255, 273),
          port,
          address: destination(all),
        }),
        { minLength: 10, maxLength: 10 },
      ),
    ),
  )

  test('the programs and the address primitives agree on everything', () => {
    const seen = { true: 0, false: 0 }
    fc.assert(
      fc.property(scenario, ([all, attempts]) => {
        const object = egressBpf(all, CLOSED)
        for (const attempt of attempts) {
          const expected = reference(all, attempt)
          seen[`${expected}`]++
          expect(allowed(object, attempt)).toBe(expected)
        }
      }),
      { numRuns: 200 },
    )
    expect(seen.true).toBeGreaterThan(20)
    expect(seen.false).toBeGreaterThan(20)
  })
})

describe('sockets', () => {
  const object = egressBpf([grant('0.0.0.0/0')], CLOSED)
  const made = (family: number, type: number, protocol: number) =>
    new Machine(object).run(program(object, 'socket'), sock(family, type, protocol)) === 1n

  test('only TCP streams and UDP datagrams of both families are made', () => {
    const granted: string[] = []
    for (let family = 0; family < 46; family++)
      for (let type = 0; type < 11; type++)
        for (const protocol of [0, 1, 6, 17, 33, 58, 132, 136, 255, 256, 262, 518])
          if (made(family, type, protocol)) granted.push(`${family} ${type} ${protocol}`)
    expect(granted.sort()).toEqual(['10 1 262', '10 1 6', '10 2 17', '2 1 262', '2 1 6', '2 2 17'])
  })
})

describe('the other hooks', () => {
  const names = (bind: boolean, unixSockets: boolean) =>
    egressBpf([], { bind, unixSockets }).programs.map(({ name }) => name.slice(3))

  test('there are nine, and a hook that would always say yes is left out', () => {
    expect(names(false, false)).toEqual([...EGRESS_DENIALS])
    expect(names(true, false)).toEqual(EGRESS_DENIALS.filter((name) => !name.startsWith('bind')))
    expect(names(false, true)).toEqual(EGRESS_DENIALS.filter((name) => !name.startsWith('unix')))
  })

  test('only true opens', () => {
    const loose = { bind: 'yes', unixSockets: 1 } as unknown as typeof CLOSED
    expect(egressBpf([], loose).programs).toHaveLength(9)
  })

  test.each(['bind4', 'bind6', 'unix_connect', 'unix_send'] as const)('%s says no', (name) => {
    const object = egressBpf([grant('0.0.0.0/0'), grant('::/0')], CLOSED)
    const attempt = sockAddr({ protocol: TCP, port: 0, address: 0 })
    expect(new Machine(object).run(program(object, name), attempt)).toBe(0n)
  })

  test('denials are counted by hook, grants are not', () => {
    const object = egressBpf([grant('10.0.0.0/8')], CLOSED)
    const machine = new Machine(object)
    const denied = sockAddr({ protocol: TCP, port: 1, address: address('11.0.0.0') })
    const granted = sockAddr({ protocol: TCP, port: 1, address: address('10.0.0.0') })
    for (const context of [denied, denied, granted]) machine.run(program(object, 'connect4'), context)
    machine.run(program(object, 'bind6'), denied)
    machine.run(program(object, 'socket'), sock(2, 3, 17))
    expect(readDenials(machine.values(1))).toEqual({
      socket: 1n,
      bind4: 0n,
      bind6: 1n,
      connect4: 2n,
      connect6: 0n,
      send4: 0n,
      send6: 0n,
      unix_connect: 0n,
      unix_send: 0n,
    })
    expect(readDenials(new Uint8Array(71))).toBeUndefined()
  })
})

describe('misuse', () => {
  test.each([0, -1, 65_536, 1.5, Number.NaN])('port %s', (port) => {
    expect(() => egressBpf([grant('10.0.0.0/8', port)], CLOSED)).toThrow(TypeError)
  })

  test('a protocol that is none', () => {
    expect(() => egressBpf([grant('10.0.0.0/8', 1, 'sctp' as 'tcp')], CLOSED)).toThrow(TypeError)
  })

  test('a block in the spelling the parser never gives', () => {
    const mapped: Cidr = { family: 6, prefix: 96, groups: [0, 0, 0, 0, 0, 0xffff, 0, 0] }
    expect(() => egressBpf([{ cidr: mapped, port: 1, protocol: 'tcp' }], CLOSED)).toThrow(TypeError)
    expect(() => egressBpf([{ cidr: { family: 4, prefix: 0 }, port: 1, protocol: 'tcp' }], CLOSED)).toThrow(TypeError)
  })

  test('more destinations than a trie may hold', () => {
    const many = Array.from({ length: 16_385 }, (_, index) => ({
      cidr: { family: 4, prefix: 32, value4: index + 1 } as const,
      port: 1,
      protocol: 'tcp' as const,
    }))
    expect(() => egressBpf(many, CLOSED)).toThrow(expect.objectContaining({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' }))
  })
})
