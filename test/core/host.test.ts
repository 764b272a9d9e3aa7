import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatHost, type HostName, hostReadings, parseAuthority, parseHost } from '../../src/core/host.ts'
import { hostileText } from '../support/core-text.ts'
import { corpus } from '../support/corpora.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const whatwg = (host: string): string | undefined => {
  try {
    return new URL(`http://${host}/`).hostname
  } catch {
    return undefined
  }
}

/** Canonical `host` or `host:port`, or the reason. */
const read = (text: string): string => {
  const parsed = parseHost(text)
  if (!parsed.ok) return parsed.reason
  return formatHost(parsed.host) + (parsed.port === undefined ? '' : `:${parsed.port}`)
}

describe('what a host text means', () => {
  test.each([
    ['example.com', 'example.com'],
    ['EXAMPLE.Com', 'example.com'],
    ['example.com.', 'example.com'],
    ['localhost', 'localhost'],
    ['a_b.example-1.com', 'a_b.example-1.com'],
    ['r3---sn-abc.example.com', 'r3---sn-abc.example.com'],
    ['1.example.com', '1.example.com'],
    ['4.example', '4.example'],
    ['0xg', '0xg'],
    ['example.com:443', 'example.com:443'],
    ['EXAMPLE.com.:8080', 'example.com:8080'],
    ['example.com:65535', 'example.com:65535'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['bu\u0308cher.example', 'xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'xn--bcher-kva.example'],
    ['例え.テスト', 'xn--r8jz45g.xn--zckzah'],
    ['127.0.0.1', '127.0.0.1'],
    ['127.0.0.1:80', '127.0.0.1:80'],
    ['::1', '[::1]'],
    ['[::1]', '[::1]'],
    ['[::1]:80', '[::1]:80'],
    ['fe80::1', '[fe80::1]'],
    ['abcd::', '[abcd::]'],
    ['fd00:80', 'fd00:80'],
    ['[2001:DB8:0::1]', '[2001:db8::1]'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['[::ffff:7f00:1]:80', '127.0.0.1:80'],
  ])('%s is %s', (text, canonical) => {
    expect(read(text)).toBe(canonical)
    expect(read(canonical)).toBe(canonical)
  })

  test('kinds carry what patterns compare', () => {
    expect(parseHost('10.0.0.1')).toEqual({ ok: true, host: { kind: 'ipv4', text: '10.0.0.1', value: 0x0a00_0001 } })
    expect(parseHost('::1')).toEqual({
      ok: true,
      host: { kind: 'ipv6', text: '::1', groups: [0, 0, 0, 0, 0, 0, 0, 1] },
    })
    expect(parseHost('64:ff9b::10.0.0.1')).toMatchObject({ host: { kind: 'ipv6', embedded: 0x0a00_0001 } })
  })
})

describe('attack: a host that is another host to someone else', () => {
  const ADDRESS = 'a number at the end, which other programs read as an ip address'
  const ASCII = 'non-ascii characters that stand for ascii ones'
  const INVISIBLE = 'a white space, control or format character in the host'

  // Third column: what `new URL`, and so fetch, makes of it.
  test.each([
    ['octal address', '0177.0.0.1', '127.0.0.1', ADDRESS],
    ['hex address', '0x7f.1', '127.0.0.1', ADDRESS],
    ['one number', '2130706433', '127.0.0.1', ADDRESS],
    ['octal number', '017700000001', '127.0.0.1', ADDRESS],
    ['short address', '127.1', '127.0.0.1', ADDRESS],
    ['zero', '0', '0.0.0.0', ADDRESS],
    ['bare 0x', 'a.0x', undefined, ADDRESS],
    ['number behind a name', 'example.com.1', undefined, ADDRESS],
    ['five parts', '1.2.3.4.5', undefined, ADDRESS],
    ['address with a trailing dot', '127.0.0.1.', '127.0.0.1', 'an ip address with a trailing dot'],
    ['circled digits', '①②⑦.⓪.⓪.①', '127.0.0.1', ASCII],
    ['full-width letters', 'ＬＯＣＡＬＨＯＳＴ', 'localhost', ASCII],
    ['full-width name', 'ｅｘａｍｐｌｅ.com', 'example.com', ASCII],
    ['ligature', 'ﬀ.com', 'ff.com', ASCII],
    ['full-width label beside a real one', 'ｇood.bücher.de', 'good.xn--bcher-kva.de', ASCII],
    ['ideographic dots', '127。0。0。1', '127.0.0.1', ASCII],
    ['ideographic dot in a name', 'evil.com。good.com', 'evil.com.good.com', ASCII],
    ['ideographic dot beside a real label', 'bücher。de', 'xn--bcher-kva.de', ASCII],
    ['combining grapheme joiner', 'exam\u034fple.com', 'example.com', ASCII],
    ['soft hyphen', 'exam\u00adple.com', 'example.com', INVISIBLE],
    ['zero width joiner', 'exam\u200dple.com', undefined, INVISIBLE],
    ['byte order mark', '\ufeffexample.com', 'example.com', INVISIBLE],
    ['right-to-left override', '\u202emoc.elpmaxe', undefined, INVISIBLE],
    ['tab', 'good.com\t.evil.com', 'good.com.evil.com', INVISIBLE],
    ['newline', 'good\n.com', 'good.com', INVISIBLE],
    ['leading space', ' good.com', undefined, INVISIBLE],
    ['NUL', 'good.com\0.evil.com', undefined, INVISIBLE],
    ['no-break space', 'good.com\u00a0', undefined, INVISIBLE],
    ['sharp s: fass.de to IDNA2003', 'faß.de', 'xn--fa-hia.de', 'a letter that two idna versions read as two hosts'],
    ['final sigma', 'βόλος.com', 'xn--nxasmm1c.com', 'a letter that two idna versions read as two hosts'],
    ['percent escape', 'example.com%2eevil.com', 'example.com.evil.com', 'a percent escape in the host'],
    ['user information', 'good.com@evil.com', 'evil.com', 'user information in the host'],
    ['backslash', 'evil.com\\.good.com', 'evil.com', 'a backslash in the host'],
    ['path', 'evil.com/.good.com', 'evil.com', 'a slash in the host'],
    ['query', 'evil.com?.good.com', 'evil.com', 'a query in the host'],
    ['fragment', 'evil.com#.good.com', 'evil.com', 'a fragment in the host'],
    ['punycode of plain ASCII', 'xn--good-.com', 'xn--good-.com', 'an xn-- label that is not valid punycode'],
    ['invalid punycode', 'xn--a', undefined, 'an xn-- label that is not valid punycode'],
    ['empty punycode', 'xn--.com', undefined, 'an xn-- label that is not valid punycode'],
    ['option in place of a host', '-oProxyCommand', '-oproxycommand', 'a host that starts with a hyphen'],
    ['characters shells and logs split on', 'a;b,c', 'a;b,c', 'a character no host name may hold'],
    ['zone id', 'fe80::1%eth0', undefined, 'a percent escape in the host'],
    ['full-width = in an xn-- label', '＝à.com', 'xn--=-sfa.com', 'a character no host name may hold'],
    ['the same in punycode', 'xn--=-sfa.com', 'xn--=-sfa.com', 'a character no host name may hold'],
    ['IPv4 in brackets', '[127.0.0.1]', undefined, 'not a canonical ipv6 address in brackets'],
  ])('%s', (_what, text, url, expected) => {
    expect(whatwg(text)).toBe(url)
    expect(read(text)).toBe(expected)
  })

  test('a Cyrillic look-alike is a host of its own, never the ASCII one', () => {
    expect(read('ex\u0430mple.com')).toBe('xn--exmple-4nf.com')
    expect(read('ex\u0430mple.com')).not.toBe(read('example.com'))
  })

  test('an address that NAT64 turns into loopback says so', () => {
    expect(whatwg('[64:ff9b::7f00:1]')).toBe('[64:ff9b::7f00:1]')
    const parsed = parseHost('[64:ff9b::7f00:1]')
    expect(parsed).toMatchObject({ ok: true, host: { embedded: 0x7f00_0001 } })
  })
})

describe('shape', () => {
  const label = 'a'.repeat(63)
  test.each([
    ['', 'empty host'],
    ['.', 'empty host'],
    ['..', 'an empty label in the host'],
    ['a..b', 'an empty label in the host'],
    ['.a', 'an empty label in the host'],
    ['a..', 'an empty label in the host'],
    [`${label}a.com`, 'a label longer than 63 characters'],
    [`${label}.com`, `${label}.com`],
    [`${'a.'.repeat(127)}b`, 'a host that is too long'],
    [`${'a.'.repeat(126)}b`, `${'a.'.repeat(126)}b`],
    ['a'.repeat(1_000_000), 'a host that is too long'],
    ['a]b', 'a character no host name may hold'],
    ['a:b:c', 'not a canonical ipv6 address'],
    ['[::1', 'not a canonical ipv6 address in brackets'],
    ['[::1]80', 'not a canonical ipv6 address in brackets'],
    ['[::1]]', 'not a canonical ipv6 address in brackets'],
  ])('%#', (text, expected) => {
    expect(read(text)).toBe(expected)
  })

  test.each(['', '0', '00', '080', '+80', '-1', '65536', '65616', '4294967376', '80 ', '8O', '0x50', '８０'])(
    'port %j',
    (port) => {
      for (const host of ['a.b', '127.0.0.1', '[::1]', 'A.B']) expect(parseHost(`${host}:${port}`).ok).toBe(false)
    },
  )

  test('a bare IPv6 address is for callers who write hosts, not for URLs', () => {
    expect(parseHost('::1').ok).toBe(true)
    expect(parseAuthority('::1')).toBeUndefined()
  })
})

describe('readings: what may be dialled for a host', () => {
  const here = ['localhost', '127.0.0.1', '::1']
  const readings = (text: string): string[] => {
    const parsed = parseHost(text)
    return parsed.ok ? hostReadings(parsed.host).map((host: HostName) => host.text) : []
  }
  test.each([
    ['example.com', ['example.com']],
    ['10.0.0.1', ['10.0.0.1']],
    ['2001:db8::1', ['2001:db8::1']],
    ['localhost', ['localhost', ...here]],
    ['a.localhost', ['a.localhost', ...here]],
    ['notlocalhost', ['notlocalhost']],
    ['127.1.2.3', ['127.1.2.3', ...here]],
    ['0.0.0.0', ['0.0.0.0', ...here]],
    ['0.0.0.1', ['0.0.0.1']],
    ['::1', ['::1', ...here]],
    ['::', ['::', ...here]],
    ['64:ff9b::7f00:1', ['64:ff9b::7f00:1', '127.0.0.1', ...here]],
    ['2002:a00:1::', ['2002:a00:1::', '10.0.0.1']],
  ])('%s', (text, expected) => {
    expect(readings(text)).toEqual(expected)
  })
})

describe('properties', () => {
  const name = fc
    .array(fc.string({ unit: fc.constantFrom(...'ab09-_xn'), minLength: 1, maxLength: 8 }), {
      minLength: 1,
      maxLength: 4,
    })
    .map((labels) => labels.join('.'))

  test('the fast way for plain names gives what the long way gives, and what the URL standard gives', () => {
    let accepted = 0
    fc.assert(
      fc.property(name, fc.nat(), (text, at) => {
        const fast = parseHost(text)
        // A capital letter or a trailing dot is enough to take the long way.
        const letter = at % text.length
        expect(
          parseHost(`${text.slice(0, letter)}${text.charAt(letter).toUpperCase()}${text.slice(letter + 1)}`),
        ).toEqual(fast)
        expect(parseHost(`${text}.`)).toEqual(fast)
        if (!fast.ok) return
        accepted++
        expect(fast.host).toEqual({ kind: 'name', text })
        expect(whatwg(text)).toBe(text)
      }),
      { numRuns: fuzzRuns(10_000) },
    )
    expect(accepted).toBeGreaterThan(fuzzRuns(10_000) / 4)
  })

  test('no text makes it throw; what is accepted reads back as itself and is what the URL standard reads', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const parsed = parseHost(text)
        if (!parsed.ok) {
          expect(parsed.reason).toMatch(/^[ -~]+$/)
          return
        }
        const canonical = read(text)
        expect(canonical).toMatch(/^[0-9a-z._:[\]-]+$/)
        expect(parseHost(canonical)).toEqual(parsed)
        if (parsed.host.kind === 'name') {
          const bare = text.replace(/:\d+$/, '')
          expect(whatwg(bare)?.replace(/\.$/, '')).toBe(parsed.host.text)
        }
      }),
      { numRuns: fuzzRuns(20_000) },
    )
  })

  test('names in other scripts: what is accepted is what the URL standard reads', () => {
    const unit = fc.oneof(
      fc.constantFrom(...'ab.-'),
      fc.integer({ min: 0xc0, max: 0x24f }).map((code) => String.fromCodePoint(code)),
      fc.integer({ min: 0x370, max: 0x52f }).map((code) => String.fromCodePoint(code)),
      fc.integer({ min: 0x2100, max: 0x218f }).map((code) => String.fromCodePoint(code)),
      fc.integer({ min: 0xff00, max: 0xff65 }).map((code) => String.fromCodePoint(code)),
    )
    let accepted = 0
    fc.assert(
      fc.property(fc.string({ unit, minLength: 1, maxLength: 5 }), (text) => {
        const parsed = parseHost(text)
        if (!parsed.ok || parsed.host.kind !== 'name') return
        accepted++
        expect(whatwg(text.replace(/\.$/, ''))).toBe(parsed.host.text)
        expect(parseHost(parsed.host.text)).toEqual(parsed)
        if (/\P{ASCII}/u.test(text)) expect(parsed.host.text).toContain('xn--')
      }),
      { numRuns: fuzzRuns(5_000) },
    )
    expect(accepted).toBeGreaterThan(100)
  })
})

interface ToAsciiCase {
  readonly input: string
  readonly output: string | null
}

const folder = corpus('url')
describe.skipIf(folder === undefined)('web-platform-tests toascii.json', () => {
  test('the same answer, or a refusal for a known reason', () => {
    const cases = (JSON.parse(readFileSync(join(folder ?? '', 'toascii.json'), 'utf8')) as unknown[]).filter(
      (entry): entry is ToAsciiCase => typeof entry === 'object',
    )
    const outcomes = new Map<string, number>()
    for (const { input, output } of cases) {
      const result = read(input)
      const parsed = parseHost(input)
      if (parsed.ok) expect([input, result]).toEqual([input, output])
      const outcome = parsed.ok ? 'same answer' : output === null ? 'refused by both' : result
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
    expect(Object.fromEntries(outcomes)).toEqual({
      'same answer': 22,
      'refused by both': 19,
      // Stricter than the URL standard on purpose: DNS limits, LDH characters, RFC 5891 labels.
      'a character no host name may hold': 4,
      'a host that is too long': 2,
      'a host that starts with a hyphen': 3,
      'a label longer than 63 characters': 3,
      'an empty label in the host': 1,
      'an xn-- label that is not valid punycode': 6,
      'a name that idna does not allow': 3,
      // One text, two hosts: see the table of attacks.
      'a letter that two idna versions read as two hosts': 11,
      'a white space, control or format character in the host': 12,
      'non-ascii characters that stand for ascii ones': 1,
    })
  })
})
