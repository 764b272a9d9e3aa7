// What two patterns have in common, held against the destinations and paths themselves.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { parseHost } from '../../src/core/host.ts'
import { type HostPattern, hostCovers, type Network, parseHostPattern } from '../../src/core/host-pattern.ts'
import { type PathPattern, parsePathPattern, pathMatches, pathPatternContains } from '../../src/core/path-pattern.ts'
import { hostPatternsMeet, pathPatternsMeet } from '../../src/core/pattern-meet.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const host = (text: string): HostPattern => {
  const parsed = parseHostPattern(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.pattern
}
const path = (text: string): PathPattern => {
  const parsed = parsePathPattern(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.pattern
}

describe('hosts', () => {
  test.each([
    ['api.example.com', '*.example.com', 'api.example.com'],
    ['https://*.example.com', 'api.example.com:*', 'https://api.example.com'],
    ['https://api.example.com:*', '*.example.com:8443', 'https://api.example.com:8443'],
    ['api.example.com:443', 'api.example.com', 'https://api.example.com:443 wss://api.example.com:443'],
    ['http://api.example.com:*', 'api.example.com', 'http://api.example.com'],
    ['api.example.com:8443', 'api.example.com', ''],
    ['https://api.example.com', 'http://api.example.com', ''],
    ['*.example.com', '**.a.example.com', ''],
    ['*.example.com', '**.example.com:*', '*.example.com'],
    ['*', '**.example.com', '**.example.com'],
    ['*', '10.0.0.0/8', ''],
    ['10.0.0.0/8:443', '10.1.0.0/16:*', '10.1.0.0/16:443'],
    ['https://[2001:db8::/32]:*', '[2001:db8::1]:8443', 'https://[2001:db8::1]:8443'],
    ['2000::/3', '2002::/16', ''],
  ])('%s and %s: %s', (a, b, expected) => {
    const texts = expected.split(' ').filter((text) => text !== '')
    expect(hostPatternsMeet(host(a), host(b)).map(({ text }) => text)).toEqual(texts)
    expect(hostPatternsMeet(host(b), host(a)).map(({ text }) => text)).toEqual(texts)
  })

  test('what they have in common is what both cover, wherever the scheme is known', () => {
    const schemes = ['', 'http://', 'https://', 'wss://']
    const ports = ['', ':80', ':443', ':8443', ':*']
    const hosts = [
      'example.com',
      'a.example.com',
      '*.example.com',
      '**.example.com',
      '*',
      '10.0.0.0/8',
      '10.1.2.3',
      '[2001:db8::/32]',
      '[2001:db8::1]',
      '[2002::/16]',
      '[2000::/3]',
    ]
    const pattern = fc
      .tuple(fc.constantFrom(...schemes), fc.constantFrom(...hosts), fc.constantFrom(...ports))
      .map((parts) => host(parts.join('')))
    const networks = [
      'example.com',
      'a.example.com',
      'b.a.example.com',
      'x.test',
      '10.1.2.3',
      '10.9.9.9',
      '[2001:db8::1]',
      '[2002:7f00:1::1]',
    ].flatMap((text) =>
      [undefined, 'http', 'https', 'ws', 'wss'].flatMap((scheme) =>
        [undefined, 80, 443, 8443].map((port): Network => {
          const parsed = parseHost(text)
          if (!parsed.ok) throw new Error(text)
          return {
            host: parsed.host,
            ...(scheme === undefined ? {} : { scheme }),
            ...(port === undefined ? {} : { port }),
          }
        }),
      ),
    )
    let common = 0
    fc.assert(
      fc.property(pattern, pattern, (a, b) => {
        const meet = hostPatternsMeet(a, b)
        for (const network of networks) {
          const both = hostCovers(a, network) && hostCovers(b, network)
          const covered = meet.some((one) => hostCovers(one, network))
          if (covered) common++
          // Without a scheme there is no pattern for "443 and a scheme of which it is the port".
          if (covered !== both)
            expect([a.text, b.text, network, covered, network.scheme]).toEqual([
              a.text,
              b.text,
              network,
              false,
              undefined,
            ])
        }
      }),
      { numRuns: fuzzRuns(3_000) },
    )
    expect(common).toBeGreaterThan(fuzzRuns(3_000) / 10)
  })
})

describe('paths', () => {
  test.each([
    ['/srv/**', '/srv/a', '/srv/a'],
    ['/srv/*/x', '/srv/a/**', '/srv/a/x'],
    ['/srv/*/x/**', '/srv/a/**', '/srv/a/x/**'],
    ['/*/a/**', '/srv/**', '/srv/a/**'],
    ['/srv/a*/**', '/srv/*b/**', undefined],
    ['/srv/a*', '/srv/ab*/**', '/srv/ab*'],
    ['/srv/**/x', '/srv/a/**', undefined],
    ['/srv', '/srv/**', '/srv'],
    ['/srv/*', '/srv', undefined],
    ['/', '/**', '/'],
    ['/srv/\\*/*', '/srv/*/\\?', '/srv/\\*/\\?'],
    ['/a', '/b', undefined],
  ])('%s and %s: %s', (a, b, expected) => {
    expect(pathPatternsMeet(path(a), path(b))?.text).toBe(expected)
    expect(pathPatternsMeet(path(b), path(a))?.text).toBe(expected)
  })

  test('it never covers more than either, and all of it where no ** stands in front', () => {
    const segment = fc.constantFrom('a', 'b', 'ab', '*', '?', '**')
    const pattern = fc
      .array(segment, { maxLength: 4 })
      .map((parts) => path(`/${parts.filter((part, index) => part !== '**' || parts[index - 1] !== '**').join('/')}`))
    const names = ['a', 'b', 'ab', 'c']
    const paths = [
      '/',
      ...names.flatMap((one) => [
        `/${one}`,
        ...names.flatMap((two) => [`/${one}/${two}`, ...names.map((three) => `/${one}/${two}/${three}`)]),
      ]),
    ]
    const isPlain = ({ text }: PathPattern) => !text.slice(0, -2).includes('**')
    let common = 0
    fc.assert(
      fc.property(pattern, pattern, (a, b) => {
        const meet = pathPatternsMeet(a, b)
        if (meet !== undefined) expect(pathPatternContains(a, meet) && pathPatternContains(b, meet)).toBe(true)
        for (const one of paths) {
          const both = pathMatches(a, one) && pathMatches(b, one)
          const covered = meet !== undefined && pathMatches(meet, one)
          if (covered) common++
          if (covered || (isPlain(a) && isPlain(b)))
            expect([a.text, b.text, one, covered]).toEqual([a.text, b.text, one, both])
        }
      }),
      { numRuns: fuzzRuns(3_000) },
    )
    expect(common).toBeGreaterThan(fuzzRuns(3_000) / 2)
  })
})
