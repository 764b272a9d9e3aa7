import { isIP } from 'node:net'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { describe, expect, test } from 'vitest'
import {
  type Cidr,
  cidrContains,
  cidrCoversIpv6,
  cidrHasIpv4,
  cidrHasIpv6,
  embeddedIpv4s,
  formatCidr,
  formatIpv4,
  formatIpv6,
  mappedIpv4,
  parseCidr,
  parseIpv4,
  parseIpv6,
} from '../../src/core/ip.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const urlHost = (text: string): string | undefined => {
  try {
    return new URL(`http://${text}/`).hostname
  } catch {
    return undefined
  }
}

const v6 = (text: string): readonly number[] => {
  const groups = parseIpv6(text)
  if (groups === undefined) throw new Error(`not an address: ${text}`)
  return groups
}

const cidr = (text: string): Cidr => {
  const parsed = parseCidr(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.cidr
}

describe('IPv4 has one spelling', () => {
  test.each([
    ['0.0.0.0', 0],
    ['127.0.0.1', 0x7f00_0001],
    ['255.255.255.255', 0xffff_ffff],
    ['8.8.4.4', 0x0808_0404],
  ])('%s', (text, value) => {
    expect(parseIpv4(text)).toBe(value)
    expect(formatIpv4(value)).toBe(text)
  })

  // Every one of these reaches 127.0.0.1 through `new URL`, which fetch and curl's callers use, or through ipaddr.js.
  test.each([
    '127.1',
    '127.0.1',
    '0177.0.0.1',
    '0x7f.0.0.1',
    '0x7f.1',
    '0X7F.0.0.1',
    '2130706433',
    '017700000001',
    '0x7f000001',
    '127.0.0.01',
    '127.000.000.001',
  ])('attack: %s is not an address here', (text) => {
    expect(urlHost(text)).toBe('127.0.0.1')
    expect(ipaddr.process(text).toString()).toBe('127.0.0.1')
    expect(isIP(text)).toBe(0)
    expect(parseIpv4(text)).toBeUndefined()
  })

  test('attack: a leading zero makes another address of it', () => {
    expect(ipaddr.parse('010.8.8.8').toString()).toBe('8.8.8.8')
    expect(parseIpv4('010.8.8.8')).toBeUndefined()
  })

  test.each([
    '',
    '1',
    '1.2.3',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '1.2.3.4.',
    '1.2.3.4.5',
    '256.1.1.1',
    '1.2.3.256',
    '-1.2.3.4',
    '+1.2.3.4',
    '1.2.3.4 ',
    ' 1.2.3.4',
    '1.2.3.4\n',
    '1.2.3.4/32',
    '1.2.3.a',
    '１.2.3.4',
    '1.2.3.4%eth0',
    '00.0.0.0',
  ])('refused: %j', (text) => expect(parseIpv4(text)).toBeUndefined())

  test('agrees with node:net and ipaddr.js on every canonical address', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(isIP(text)).toBe(4)
        expect(formatIpv4(parseIpv4(text) ?? -1)).toBe(ipaddr.IPv4.parse(text).toString())
      }),
      { numRuns: fuzzRuns(2_000) },
    )
  })

  test('accepts exactly what node:net accepts, in text that looks like an address', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'01259.x f'), maxLength: 16 }), (text) => {
        expect(parseIpv4(text) !== undefined).toBe(isIP(text) === 4)
      }),
      { numRuns: fuzzRuns(5_000) },
    )
  })
})

describe('IPv6', () => {
  test.each([
    ['::', '::'],
    ['::1', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['0001::', '1::'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::1.2.3.4', '::102:304'],
    ['64:ff9b::127.0.0.1', '64:ff9b::7f00:1'],
  ])('%s is %s', (text, canonical) => {
    expect(formatIpv6(v6(text))).toBe(canonical)
  })

  test.each([
    '',
    ':',
    ':::',
    '1:',
    ':1',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2:3:4:5:6:7:8:9',
    '1::2:3:4:5:6:7:8',
    '1:2:3:4::5:6:7:8',
    '00001::',
    '::g',
    '1.2.3.4::',
    '::1.2.3',
    '::1.2.3.4.5',
    '1:2:3:4:5:6:7:1.2.3.4',
    '[::1]',
    '::1/128',
    ' ::1',
    '::1\n',
    '::ffff:256.0.0.1',
  ])('refused: %j', (text) => {
    expect(isIP(text)).toBe(0)
    expect(parseIpv6(text)).toBeUndefined()
  })

  test('attack: a zone id makes a destination depend on the host', () => {
    expect(ipaddr.IPv6.isValid('fe80::1%eth0')).toBe(true)
    expect(isIP('fe80::1%eth0')).toBe(6)
    expect(parseIpv6('fe80::1%eth0')).toBeUndefined()
    expect(parseIpv6('fe80::1%25eth0')).toBeUndefined()
  })

  test('attack: an octal quad inside IPv6', () => {
    // ipaddr.js itself reads the same digits as octal outside IPv6 and as decimal inside.
    expect(ipaddr.process('0177.0.0.1').toString()).toBe('127.0.0.1')
    expect(ipaddr.process('::ffff:0177.0.0.1').toString()).toBe('177.0.0.1')
    expect(parseIpv6('::ffff:0177.0.0.1')).toBeUndefined()
  })

  test('ipaddr.js alone reads an IPv4-compatible address as a mapped one', () => {
    expect(ipaddr.IPv6.parse('::1.2.3.4').toRFC5952String()).toBe('::ffff:102:304')
    expect(urlHost('[::1.2.3.4]')).toBe('[::102:304]')
    expect(mappedIpv4(v6('::1.2.3.4'))).toBeUndefined()
  })

  test('accepts exactly what node:net accepts without a zone', () => {
    const parts = fc.constantFrom(
      '0',
      '1',
      'ff',
      'FFFF',
      '00ab',
      '12345',
      ':',
      ':',
      ':',
      '::',
      '1.2.3.4',
      '01.2.3.4',
      '.',
      'g',
    )
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 18 }), (pieces) => {
        const text = pieces.join('')
        expect(parseIpv6(text) !== undefined).toBe(isIP(text) === 6)
      }),
      { numRuns: fuzzRuns(5_000) },
    )
  })

  test('reads every spelling as ipaddr.js does', () => {
    const group = fc.oneof(
      fc.nat(0xffff).map((value) => value.toString(16)),
      fc.nat(0xffff).map((value) => value.toString(16).toUpperCase().padStart(4, '0')),
      fc.constant('0'),
    )
    // `::` in place of none, one or several groups, wherever it may stand.
    const spelling = fc
      .tuple(fc.array(group, { minLength: 8, maxLength: 8 }), fc.nat(8), fc.integer({ min: -1, max: 8 }))
      .map(([groups, from, count]) =>
        count < 0 ? groups.join(':') : `${groups.slice(0, from).join(':')}::${groups.slice(from + count).join(':')}`,
      )
    let read = 0
    fc.assert(
      fc.property(spelling, (text) => {
        const expected = isIP(text) === 6 ? ipaddr.IPv6.parse(text).parts : undefined
        expect(parseIpv6(text)).toEqual(expected)
        if (expected !== undefined) read++
      }),
      { numRuns: fuzzRuns(5_000) },
    )
    expect(read).toBeGreaterThan(1_000)
  })

  test('canonical text is that of the URL standard, and reads back', () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const groups = v6(text)
        expect(`[${formatIpv6(groups)}]`).toBe(urlHost(`[${text}]`))
        expect(v6(formatIpv6(groups))).toEqual(groups)
      }),
      { numRuns: fuzzRuns(3_000) },
    )
  })
})

describe('IPv4 inside IPv6', () => {
  test('mapped addresses are the address itself', () => {
    expect(mappedIpv4(v6('::ffff:127.0.0.1'))).toBe(0x7f00_0001)
    expect(mappedIpv4(v6('::ffff:7f00:1'))).toBe(0x7f00_0001)
    expect(mappedIpv4(v6('::fffe:7f00:1'))).toBeUndefined()
    expect(mappedIpv4(v6('1::ffff:7f00:1'))).toBeUndefined()
  })

  // ipaddr.js labels these ranges at best; a check of the IPv4 list alone lets all of them reach loopback.
  test.each([
    ['NAT64', '64:ff9b::7f00:1'],
    ['NAT64 local use, /96', '64:ff9b:1::7f00:1'],
    ['NAT64 local use, /48', '64:ff9b:1:7f00:0:100::'],
    ['NAT64 local use, /56', '64:ff9b:1:7f:0:1::'],
    ['NAT64 local use, /64', '64:ff9b:1:0:7f:0:100::'],
    ['6to4', '2002:7f00:1::'],
    ['6to4 with an interface', '2002:7f00:1:1::abcd'],
    ['IPv4-compatible', '::7f00:1'],
    ['Teredo', '2001:0:4136:e378:8000:63bf:80ff:fffe'],
    ['ISATAP', 'fe80::5efe:7f00:1'],
    ['ISATAP, global', '2001:db8::200:5efe:7f00:1'],
    ['IPv4-translated', '::ffff:0:7f00:1'],
  ])('attack: %s %s', (_form, text) => {
    expect(ipaddr.process(text).kind()).toBe('ipv6')
    expect(embeddedIpv4s(v6(text))).toContain(0x7f00_0001)
  })

  test.each(['::', '::1', '2001:db8::7f00:1', '64:ff9b:2::7f00:1', 'fe80::1', '2003:7f00:1::'])(
    '%s carries none',
    (text) => {
      expect(embeddedIpv4s(v6(text))).toEqual([])
    },
  )
})

describe('CIDR blocks', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['10.1.2.3', '10.1.2.3'],
    ['10.1.2.3/32', '10.1.2.3'],
    ['::/0', '::/0'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['::1/128', '::1'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
    ['::ffff:0:0/96', '0.0.0.0/0'],
  ])('%s is %s', (text, canonical) => {
    expect(formatCidr(cidr(text))).toBe(canonical)
    expect(cidr(canonical)).toEqual(cidr(text))
  })

  test.each([
    ['10.0.0.1/8', 'a cidr block with host bits set'],
    ['2001:db8::1/32', 'a cidr block with host bits set'],
    ['::ffff:10.0.0.1/104', 'a cidr block with host bits set'],
  ])('attack: host bits, %s', (text, reason) => {
    expect(ipaddr.parseCIDR(text)[1]).toBeGreaterThan(0)
    expect(parseCidr(text)).toEqual({ ok: false, reason })
  })

  test.each([
    '10.0.0.0/08',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/+8',
    '10.0.0.0/8 ',
    '10.0.0.0/8/8',
    '10.0.0.0/255.0.0.0',
    '::/129',
    '::/1e1',
    '10/8',
    '010.0.0.0/8',
    '/8',
    '',
  ])('refused: %j', (text) => expect(parseCidr(text).ok).toBe(false))

  test('the prefix length is a plain decimal number in range', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('0.0.0.0', '::'),
        fc.oneof(
          fc.nat(200).map(String),
          fc.string({ unit: fc.constantFrom(...'0123+-. e/x'), maxLength: 5 }),
          fc.string({ maxLength: 4 }),
        ),
        (address, length) => {
          const expected = /^(?:0|[1-9][0-9]{0,2})$/.test(length) && Number(length) <= (address === '::' ? 128 : 32)
          expect(parseCidr(`${address}/${length}`).ok).toBe(expected)
        },
      ),
      { numRuns: fuzzRuns(3_000) },
    )
  })

  test('host bits are those that the network of ipaddr.js has not', () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 0, max: 128 }), fc.nat(127), (address, prefix, bit) => {
        const network = ipaddr.IPv6.networkAddressFromCIDR(`${formatIpv6(v6(address))}/${prefix}`)
        const groups = [...network.parts]
        groups[bit >> 4] = (groups[bit >> 4] ?? 0) | (0x8000 >> (bit & 15))
        fc.pre(mappedIpv4(network.parts) === undefined && mappedIpv4(groups) === undefined)
        const clean = bit < prefix
        expect(parseCidr(`${formatIpv6(network.parts)}/${prefix}`)).toEqual({
          ok: true,
          cidr: { family: 6, prefix, groups: network.parts },
        })
        expect(parseCidr(`${formatIpv6(groups)}/${prefix}`)).toEqual(
          clean
            ? { ok: true, cidr: { family: 6, prefix, groups } }
            : { ok: false, reason: 'a cidr block with host bits set' },
        )
      }),
      { numRuns: fuzzRuns(2_000) },
    )
  })

  test('holds what ipaddr.js says it holds', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), (address, other, prefix) => {
        const network = ipaddr.IPv4.networkAddressFromCIDR(`${address}/${prefix}`).toString()
        const block = cidr(`${network}/${prefix}`)
        expect(cidrHasIpv4(block, parseIpv4(address) ?? -1)).toBe(true)
        const expected = ipaddr.IPv4.parse(other).match(ipaddr.IPv4.parse(network), prefix)
        expect(cidrHasIpv4(block, parseIpv4(other) ?? -1)).toBe(expected)
      }),
      { numRuns: fuzzRuns(2_000) },
    )
    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 0, max: 128 }), fc.nat(127), (address, prefix, flip) => {
        const network = ipaddr.IPv6.networkAddressFromCIDR(`${formatIpv6(v6(address))}/${prefix}`).toString()
        fc.pre(mappedIpv4(v6(network)) === undefined)
        const block = cidr(`${network}/${prefix}`)
        const groups = [...v6(address)]
        expect(cidrHasIpv6(block, groups)).toBe(true)
        groups[flip >> 4] = (groups[flip >> 4] ?? 0) ^ (0x8000 >> (flip & 15))
        expect(cidrHasIpv6(block, groups)).toBe(flip >= prefix)
      }),
      { numRuns: fuzzRuns(2_000) },
    )
  })

  test('a block covers an address that carries another only when it speaks of that form', () => {
    expect(cidrCoversIpv6(cidr('2000::/3'), v6('2002:7f00:1::'))).toBe(false)
    expect(cidrCoversIpv6(cidr('2002::/16'), v6('2002:7f00:1::'))).toBe(true)
    expect(cidrCoversIpv6(cidr('::/0'), v6('64:ff9b::7f00:1'))).toBe(false)
    expect(cidrCoversIpv6(cidr('2001:db8::/32'), v6('2001:db8::5efe:7f00:1'))).toBe(false)
    expect(cidrCoversIpv6(cidr('2001:db8::5efe:7f00:1'), v6('2001:db8::5efe:7f00:1'))).toBe(true)
    expect(cidrCoversIpv6(cidr('2001:db8::/32'), v6('2001:db8::1'))).toBe(true)
  })

  test.each([
    ['0.0.0.0/0', '10.0.0.0/8', true],
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '0.0.0.0/0', false],
    ['10.0.0.0/8', '11.0.0.0/16', false],
    ['::/0', '10.0.0.0/8', false],
    ['0.0.0.0/0', '::/0', false],
    ['::/0', '2001:db8::/32', true],
    ['::/0', '::1', true],
    ['::/0', '2002::/16', false],
    ['2002::/16', '2002:7f00::/24', true],
    ['2001:db8::/32', '2001:db8::5efe:0:0/96', false],
  ])('%s contains %s: %s', (outer, inner, expected) => {
    expect(cidrContains(cidr(outer), cidr(inner))).toBe(expected)
  })

  test('containment means that whatever the inner block covers, the outer covers', () => {
    const bases = [
      '::',
      '::ffff:0:0:0',
      '2002::',
      '2001::',
      '64:ff9b::',
      '64:ff9b:1::',
      '2001:db8:0:0:0:5efe::',
      '2001:db8::',
      'fe80::5efe:0:0',
    ]
    const block = fc.tuple(fc.constantFrom(...bases), fc.nat(128)).map(([base, prefix]) => {
      const network = ipaddr.IPv6.networkAddressFromCIDR(`${base}/${prefix}`).toString()
      return cidr(`${network}/${prefix}`)
    })
    const low = fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 })
    let contained = 0
    fc.assert(
      fc.property(block, block, low, fc.constantFrom(...bases), (outer, inner, noise, base) => {
        if (!cidrContains(outer, inner)) return
        contained++
        // A random address of the inner block, and one that has the bits of another embedding form behind its prefix.
        for (const tail of [noise, v6(base)]) {
          const groups = (inner.groups ?? []).map((group, index) => {
            const bits = Math.min(16, Math.max(0, inner.prefix - index * 16))
            return group | ((tail[index] ?? 0) & (0xffff >> bits))
          })
          if (cidrCoversIpv6(inner, groups)) expect(cidrCoversIpv6(outer, groups)).toBe(true)
        }
      }),
      { numRuns: fuzzRuns(5_000) },
    )
    expect(contained).toBeGreaterThan(100)
  })
})
