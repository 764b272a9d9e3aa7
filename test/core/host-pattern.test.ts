import fc from 'fast-check'
import micromatch from 'micromatch'
import { describe, expect, test } from 'vitest'
import { parseHost } from '../../src/core/host.ts'
import {
  type HostPattern,
  hostCovers,
  hostPatternContains,
  hostTouches,
  type Network,
  parseHostPattern,
} from '../../src/core/host-pattern.ts'
import { formatIpv4, formatIpv6 } from '../../src/core/ip.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { hostileText } from '../support/core-text.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const pattern = (text: string): HostPattern => {
  const parsed = parseHostPattern(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.pattern
}

/** `https://host:443`, with scheme and port left out where they are unknown. */
const network = (text: string): Network => {
  const mark = text.indexOf('://')
  const parsed = parseHost(mark === -1 ? text : text.slice(mark + 3))
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return {
    host: parsed.host,
    ...(mark === -1 ? {} : { scheme: text.slice(0, mark) }),
    ...(parsed.port === undefined ? {} : { port: parsed.port }),
  }
}

describe('reading', () => {
  test.each([
    ['example.com', { text: 'example.com', kind: 'exact', name: 'example.com', port: 'default' }],
    ['EXAMPLE.com.', { text: 'example.com', kind: 'exact', name: 'example.com', port: 'default' }],
    ['*.example.com', { text: '*.example.com', kind: 'one_label', name: 'example.com', port: 'default' }],
    ['**.Example.com:*', { text: '**.example.com:*', kind: 'subdomains', name: 'example.com', port: 'any' }],
    ['*', { text: '*', kind: 'any', port: 'default' }],
    ['HTTPS://*:8443', { text: 'https://*:8443', kind: 'any', scheme: 'https', port: 8443 }],
    ['localhost', { text: 'localhost', kind: 'exact', name: 'localhost', port: 'default' }],
    [
      'bücher.example',
      { text: 'xn--bcher-kva.example', kind: 'exact', name: 'xn--bcher-kva.example', port: 'default' },
    ],
    [
      '10.0.0.0/8:443',
      { text: '10.0.0.0/8:443', kind: 'cidr', cidr: { family: 4, prefix: 8, value4: 0x0a00_0000 }, port: 443 },
    ],
    [
      '127.0.0.1',
      { text: '127.0.0.1', kind: 'cidr', cidr: { family: 4, prefix: 32, value4: 0x7f00_0001 }, port: 'default' },
    ],
    [
      '::1',
      {
        text: '::1',
        kind: 'cidr',
        cidr: { family: 6, prefix: 128, groups: [0, 0, 0, 0, 0, 0, 0, 1] },
        port: 'default',
      },
    ],
    [
      '[::1]:80',
      { text: '[::1]:80', kind: 'cidr', cidr: { family: 6, prefix: 128, groups: [0, 0, 0, 0, 0, 0, 0, 1] }, port: 80 },
    ],
    [
      '2001:DB8::/32',
      {
        text: '2001:db8::/32',
        kind: 'cidr',
        cidr: { family: 6, prefix: 32, groups: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0] },
        port: 'default',
      },
    ],
    [
      'ws://[2001:db8::/32]:*',
      {
        text: 'ws://[2001:db8::/32]:*',
        kind: 'cidr',
        cidr: { family: 6, prefix: 32, groups: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0] },
        scheme: 'ws',
        port: 'any',
      },
    ],
    [
      '::ffff:10.0.0.0/104',
      { text: '10.0.0.0/8', kind: 'cidr', cidr: { family: 4, prefix: 8, value4: 0x0a00_0000 }, port: 'default' },
    ],
  ])('%s', (text, expected) => {
    expect(pattern(text)).toEqual(expected)
    expect(pattern(expected.text)).toEqual(expected)
  })

  test.each([
    ['', 'empty pattern'],
    ['a'.repeat(LIMITS.patternLength + 1), 'a pattern that is too long'],
    ['https://', 'empty host'],
    [':443', 'empty host'],
    ['ftp://example.com', 'a scheme other than http, https, ws and wss'],
    ['constructor://example.com', 'a scheme other than http, https, ws and wss'],
    ['://example.com', 'a scheme other than http, https, ws and wss'],
    ['*.com', 'a wildcard over a whole top-level domain'],
    ['**.com', 'a wildcard over a whole top-level domain'],
    ['*.com.', 'a wildcard over a whole top-level domain'],
    ['*.', 'empty host'],
    ['**', 'a * that is not a whole first label'],
    ['*example.com', 'a * that is not a whole first label'],
    ['a.*.com', 'a * that is not a whole first label'],
    ['*.*.example.com', 'a * that is not a whole first label'],
    ['a*.example.com', 'a * that is not a whole first label'],
    ['***.example.com', 'a * that is not a whole first label'],
    ['example.com/*', 'a path in a host pattern'],
    ['https://example.com/api', 'a path in a host pattern'],
    ['https://example.com/', 'a path in a host pattern'],
    ['user@example.com', 'user information in the host'],
    ['user:secret@example.com', 'a port that is neither * nor a decimal number from 1 to 65535'],
    ['example.com:0', 'a port that is neither * nor a decimal number from 1 to 65535'],
    ['example.com:080', 'a port that is neither * nor a decimal number from 1 to 65535'],
    ['example.com:', 'a port that is neither * nor a decimal number from 1 to 65535'],
    ['example.com:80-90', 'a port that is neither * nor a decimal number from 1 to 65535'],
    ['[::1]x:80', 'text between a bracketed address and its port'],
    ['10.0.0.1/8', 'a cidr block with host bits set'],
    ['[2001:db8::1/32]', 'a cidr block with host bits set'],
    ['2001:db8::1/32', 'a cidr block with host bits set'],
    ['10.0.0.0/33', 'the prefix length of a cidr block is not a decimal number in range'],
    ['0177.0.0.1', 'a number at the end, which other programs read as an ip address'],
    ['0x7f.1', 'a number at the end, which other programs read as an ip address'],
    ['127.1', 'a number at the end, which other programs read as an ip address'],
    ['2130706433', 'a number at the end, which other programs read as an ip address'],
    ['127.1/8', 'not a canonical ip address'],
    ['fe80::1%eth0', 'not a canonical ip address'],
    ['[127.0.0.1]', 'an ipv4 address in brackets'],
    ['[*]', 'not a canonical ip address'],
    ['*.127.0.0.1', 'a wildcard before an ip address'],
    ['*.10', 'a number at the end, which other programs read as an ip address'],
    ['exam ple.com', 'a white space, control or format character in the host'],
    ['ｅxample.com', 'non-ascii characters that stand for ascii ones'],
  ])('refused: %s', (text, reason) => {
    expect(parseHostPattern(text)).toMatchObject({ ok: false, reason })
  })
})

describe('a grant covers', () => {
  test.each([
    ['example.com', 'example.com', true],
    ['example.com', 'a.example.com', false],
    ['example.com', 'notexample.com', false],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'a.b.example.com', false],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'aexample.com', false],
    ['*.example.com', 'a.example.com.evil.io', false],
    ['**.example.com', 'a.b.example.com', true],
    ['**.example.com', 'a.example.com', true],
    ['**.example.com', 'example.com', false],
    ['**.example.com', 'a.notexample.com', false],
    ['*', 'example.com', true],
    ['*', 'localhost', true],
    ['*', '127.0.0.1', false],
    ['*', '::1', false],
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['10.0.0.0/8', '64:ff9b::10.1.2.3', false],
    ['0.0.0.0/0', 'example.com', false],
    ['2000::/3', '2001:db8::1', true],
    ['2000::/3', '2002:7f00:1::', false],
    ['::/0', '127.0.0.1', false],
    ['0.0.0.0', '0.0.0.0', true],
    ['0.0.0.0/0', '0.0.0.0', false],
    ['::', '::', true],
    ['::/0', '::', false],
    // Ports: none written means the one the scheme implies.
    ['example.com', 'https://example.com:443', true],
    ['example.com', 'http://example.com:80', true],
    ['example.com', 'https://example.com:80', false],
    ['example.com', 'https://example.com:8443', false],
    ['example.com', 'example.com:443', true],
    ['example.com', 'example.com:80', true],
    ['example.com', 'example.com:22', false],
    ['example.com', 'https://example.com', true],
    ['example.com', 'postgres://example.com', false],
    ['example.com', 'postgres://example.com:443', false],
    ['example.com:*', 'postgres://example.com:5432', true],
    ['example.com:*', 'example.com', true],
    ['example.com:443', 'example.com:443', true],
    ['example.com:443', 'example.com', false],
    ['example.com:443', 'http://example.com:443', true],
    // Schemes: unknown is not inside.
    ['https://example.com', 'https://example.com:443', true],
    ['https://example.com', 'wss://example.com:443', false],
    ['https://example.com', 'http://example.com:80', false],
    ['https://example.com', 'example.com:443', false],
    ['https://example.com:8443', 'https://example.com:8443', true],
    ['https://example.com:8443', 'https://example.com:443', false],
  ])('%s covers %s: %s', (grant, destination, expected) => {
    expect(hostCovers(pattern(grant), network(destination))).toBe(expected)
  })

  test('attack: path globs as host patterns let a star cross labels and miss the trailing dot', () => {
    expect(micromatch.isMatch('a.b.example.com', '*.example.com')).toBe(true)
    expect(hostCovers(pattern('*.example.com'), network('a.b.example.com'))).toBe(false)
    expect(micromatch.isMatch('API.example.com.', 'api.example.com')).toBe(false)
    expect(hostTouches(pattern('api.example.com'), network('API.example.com.'))).toBe(true)
    expect(micromatch.isMatch('127.0.0.1', '*')).toBe(true)
    expect(hostCovers(pattern('*'), network('127.0.0.1'))).toBe(false)
  })
})

describe('a forbid touches', () => {
  test.each([
    ['example.com', 'example.com', true],
    ['example.com', 'https://example.com:8443', true],
    ['example.com', 'postgres://example.com:5432', true],
    ['example.com:443', 'example.com:443', true],
    ['example.com:443', 'example.com', true],
    ['example.com:443', 'example.com:80', false],
    ['https://example.com', 'https://example.com:8443', true],
    ['https://example.com', 'example.com', true],
    ['https://example.com', 'wss://example.com:443', true],
    ['wss://example.com', 'https://example.com:443', true],
    ['https://example.com', 'http://example.com:80', false],
    ['example.com', 'a.example.com', false],
    ['*', '127.0.0.1', true],
    ['*', '::1', true],
    ['*', 'example.com', true],
    ['*:22', 'example.com:443', false],
    ['127.0.0.0/8', '127.0.0.1', true],
    ['127.0.0.0/8', '::ffff:127.0.0.1', true],
    ['127.0.0.0/8', '64:ff9b::127.0.0.1', true],
    ['127.0.0.0/8', '64:ff9b:1:7f00:0:100::', true],
    ['127.0.0.0/8', '2002:7f00:1::', true],
    ['127.0.0.0/8', '::127.0.0.1', true],
    ['127.0.0.0/8', '2001:0:4136:e378:8000:63bf:80ff:fffe', true],
    ['127.0.0.0/8', 'fe80::5efe:127.0.0.1', true],
    ['127.0.0.0/8', '0.0.0.0', true],
    ['127.0.0.0/8', '::', true],
    ['127.0.0.0/8', 'localhost', true],
    ['::1', 'a.localhost', true],
    ['::1', '127.0.0.1', true],
    ['localhost', '127.0.0.1', true],
    ['localhost', '127.9.9.9', true],
    ['localhost', '[::1]', true],
    ['localhost', '2002:7f00:1::', true],
    ['localhost', '10.0.0.1', false],
    ['127.0.0.1', '0.0.0.0', true],
    ['127.0.0.0/8', 'example.com', false],
    ['127.0.0.0/8', '128.0.0.1', false],
    ['64:ff9b::/96', '64:ff9b::1', true],
    ['::/0', '10.0.0.1', false],
    ['10.0.0.0/8', 'localhost', false],
  ])('%s touches %s: %s', (forbid, destination, expected) => {
    expect(hostTouches(pattern(forbid), network(destination))).toBe(expected)
  })
})

describe('containment', () => {
  test.each([
    ['*', 'example.com', true],
    ['*', '*', true],
    ['*', '*.example.com', true],
    ['*', '**.example.com', true],
    ['*', '10.0.0.1', false],
    ['example.com', '*', false],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'a.b.example.com', false],
    ['*.example.com', 'example.com', false],
    ['*.example.com', '*.example.com', true],
    ['*.example.com', '*.a.example.com', false],
    ['*.example.com', '**.example.com', false],
    ['**.example.com', '*.example.com', true],
    ['**.example.com', '*.a.example.com', true],
    ['**.example.com', '**.a.example.com', true],
    ['**.example.com', '**.example.com', true],
    ['**.example.com', '*.notexample.com', false],
    ['example.com', '*.example.com', false],
    ['10.0.0.0/8', '10.1.0.0/16', true],
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', 'example.com', false],
    ['0.0.0.0/0', '0.0.0.0', false],
    ['0.0.0.0', '0.0.0.0', true],
    ['::/0', '2001:db8::/32', true],
    ['::/0', '2002::/16', false],
    ['example.com', 'https://example.com', true],
    ['https://example.com', 'example.com', false],
    ['https://example.com', 'wss://example.com', false],
    ['example.com:*', 'example.com', true],
    ['example.com:*', 'example.com:22', true],
    ['example.com:*', 'https://example.com:22', true],
    ['example.com', 'example.com:*', false],
    ['example.com', 'https://example.com:443', true],
    ['example.com', 'https://example.com:80', false],
    ['example.com', 'example.com:443', false],
    ['https://example.com:443', 'https://example.com', false],
    ['example.com:443', 'https://example.com:443', true],
  ])('%s contains %s: %s', (outer, inner, expected) => {
    expect(hostPatternContains(pattern(outer), pattern(inner))).toBe(expected)
  })
})

describe('properties', () => {
  const SCHEMES = ['', 'http://', 'https://', 'ws://', 'wss://']
  const NAMES = ['a.b', 'x.a.b', 'y.x.a.b', 'za.b', 'c.d', 'localhost']
  const WILDCARDS = ['*', '*.a.b', '**.a.b', '*.x.a.b', '**.x.a.b', '*.c.d']
  const BLOCKS4 = ['0.0.0.0/0', '127.0.0.0/8', '127.0.0.1', '0.0.0.0', '10.0.0.0/8', '10.128.0.0/9']
  const BLOCKS6 = [
    '[::/0]',
    '[2000::/3]',
    '[2002::/16]',
    '[64:ff9b::/96]',
    '[64:ff9b:1::/48]',
    '[::1]',
    '[::]',
    '[::/96]',
    '[fe80::/10]',
    '[2001::/32]',
  ]
  const PORTS = ['', ':*', ':80', ':443', ':22']
  const patterns = SCHEMES.flatMap((protocol) =>
    [...NAMES, ...WILDCARDS, ...BLOCKS4, ...BLOCKS6].flatMap((host) =>
      PORTS.map((port) => pattern(protocol + host + port)),
    ),
  )
  const containing = new Map(
    patterns.map((inner) => [inner, patterns.filter((outer) => hostPatternContains(outer, inner))]),
  )
  const scheme = fc.constantFrom(...SCHEMES)
  const ports = fc.constantFrom(...PORTS)
  const name = fc.constantFrom(...NAMES)

  const below = (text: string | undefined): fc.Arbitrary<string> =>
    fc.constantFrom('p', 'x', 'p.q').map((label) => `${label}.${text}`)
  const hostIn = (inner: HostPattern): fc.Arbitrary<string> => {
    switch (inner.kind) {
      case 'any':
        return name
      case 'exact':
        return fc.constant(inner.name ?? '')
      case 'one_label':
      case 'subdomains':
        return below(inner.name)
      case 'cidr': {
        const { family, prefix, value4 = 0, groups = [] } = inner.cidr ?? { family: 4, prefix: 0 }
        if (family === 4) {
          return fc.nat(0xffff_ffff).map((bits) => formatIpv4((value4 | (prefix === 32 ? 0 : bits >>> prefix)) >>> 0))
        }
        const special = fc.constantFrom(
          '::',
          '64:ff9b::',
          '2002:7f00:1::',
          '2001:0:0:0:0:0:80ff:fffe',
          '::5efe:7f00:1',
          '::7f00:1',
        )
        return fc.oneof(fc.ipV6(), special).map((text) => {
          const parsed = parseHost(text)
          const noise = parsed.ok && parsed.host.kind === 'ipv6' ? parsed.host.groups : []
          const mixed = groups.map(
            (group, index) =>
              group | ((noise[index] ?? 0) & (0xffff >> Math.min(16, Math.max(0, prefix - index * 16)))),
          )
          return `[${formatIpv6(mixed)}]`
        })
      }
    }
  }
  const networks = (inner: HostPattern): fc.Arbitrary<Network> =>
    fc
      .tuple(
        fc.constantFrom(inner.scheme, undefined, 'https', 'http', 'wss', 'ftp'),
        hostIn(inner),
        fc.constantFrom('', ':80', ':443', ':22'),
      )
      .map(([protocol, host, port]) => network(`${protocol === undefined ? '' : `${protocol}://`}${host}${port}`))

  test('containment means that whatever the inner pattern covers, the outer covers; what covers touches', () => {
    expect([...containing.values()].flat().length).toBeGreaterThan(4 * patterns.length)
    let covered = 0
    const cases = fc
      .constantFrom(...patterns)
      .chain((inner) =>
        fc.tuple(fc.constant(inner), fc.constantFrom(...(containing.get(inner) ?? [])), networks(inner)),
      )
    fc.assert(
      fc.property(cases, ([inner, outer, destination]) => {
        if (!hostCovers(inner, destination)) return
        covered++
        expect(hostCovers(outer, destination)).toBe(true)
        expect(hostTouches(inner, destination)).toBe(true)
      }),
      { numRuns: fuzzRuns(10_000) },
    )
    expect(covered).toBeGreaterThan(fuzzRuns(10_000) / 10)
  })

  test('where containment says no there is a destination that only the inner pattern covers', () => {
    const hosts = [
      ...['a.b', 'x.a.b', 'y.x.a.b', 'p.a.b', 'p.q.a.b', 'p.x.a.b', 'p.q.x.a.b', 'za.b', 'c.d', 'p.c.d', 'localhost'],
      ...['0.0.0.0', '0.0.0.1', '127.0.0.1', '127.0.0.2', '10.0.0.1', '10.128.0.1', '192.0.2.1'],
      ...['[::]', '[::1]', '[::7f00:1]', '[2000::1]', '[2002::1]', '[64:ff9b::1]', '[64:ff9b:1::1]', '[fe80::1]'],
      ...['[2001::1]', '[4000::1]'],
    ]
    const destinations = hosts.flatMap((host) =>
      ['', 'http://', 'https://', 'ws://', 'wss://', 'ftp://'].flatMap((protocol) =>
        ['', ':80', ':443', ':22', ':8443'].map((port) => network(protocol + host + port)),
      ),
    )
    const covered = new Map(
      patterns.map((one) => [one, destinations.map((destination) => hostCovers(one, destination))]),
    )
    const unexplained: string[] = []
    for (const inner of patterns) {
      const inside = covered.get(inner) ?? []
      const contained = new Set(containing.get(inner))
      for (const outer of patterns) {
        if (contained.has(outer)) continue
        const outside = covered.get(outer) ?? []
        if (!inside.some((isInside, index) => isInside && outside[index] !== true)) {
          unexplained.push(`${outer.text} on ${inner.text}`)
        }
      }
    }
    expect(unexplained).toEqual([])
  })

  test('every pattern contains itself', () => {
    for (const inner of patterns) expect(hostPatternContains(inner, inner)).toBe(true)
  })

  test('no text makes the parser throw; canonical text reads back as the same pattern', () => {
    const text = fc.oneof(
      hostileText,
      fc.tuple(scheme, fc.constantFrom('', '*.', '**.', '['), hostileText, ports).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(text, (source) => {
        const parsed = parseHostPattern(source)
        if (parsed.ok) expect(parseHostPattern(parsed.pattern.text)).toEqual(parsed)
        else expect(parsed.reason).toMatch(/^[ -~]+$/)
      }),
      { numRuns: fuzzRuns(20_000) },
    )
  })
})
