// Which addresses a host is pinned to, and which answers of a resolver are refused.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { type HostName, parseHost } from '../../src/core/host.ts'
import { formatIpv4, formatIpv6, parseCidr } from '../../src/core/ip.ts'
import { resourceOf } from '../../src/core/named-resource.ts'
import { specialBlocks } from '../../src/linux/egress/special-purpose.ts'
import { nodeResolver } from '../../src/node/resolver.ts'
import { type AddressResolver, pinAddresses } from '../../src/obligation/pin.ts'
import { block, isDialable } from '../../src/obligation/public-address.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const never = new AbortController().signal
const api = resourceOf('url', 'https://api.example.com/x')

/** Answers from a table; a name without an entry cannot be resolved. */
function table(answers: Readonly<Record<string, readonly string[]>>): AddressResolver & { readonly asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    resolve: (name) => {
      asked.push(name)
      const found = answers[name]
      return found === undefined ? Promise.reject(new Error('ENOTFOUND')) : Promise.resolve(found)
    },
  }
}

type Address = Exclude<HostName, { readonly kind: 'name' }>

function address(text: string): Address {
  const parsed = parseHost(text)
  if (!parsed.ok || parsed.host.kind === 'name') throw new Error(text)
  return parsed.host
}

describe('what is pinned', () => {
  test('each host once, each address once, canonical and frozen', async () => {
    const resolver = table({
      'api.example.com': ['93.184.215.14', '2606:2800:021f:CB07::1', '93.184.215.14', '2606:2800:21f:cb07::1'],
      'b.example.com': ['1.1.1.1'],
    })
    const resources = [
      api,
      resourceOf('path', '/srv/x'),
      resourceOf('host', 'b.example.com:8443'),
      resourceOf('url', 'http://API.example.com:8080/y'),
      resourceOf('host', '8.8.8.8'),
    ]
    const done = await pinAddresses(resources, { resolver, signal: never })
    expect(done).toEqual({
      ok: true,
      pinned: [
        { host: 'api.example.com', addresses: ['93.184.215.14', '2606:2800:21f:cb07::1'] },
        { host: 'b.example.com', addresses: ['1.1.1.1'] },
        { host: '8.8.8.8', addresses: ['8.8.8.8'] },
      ],
    })
    expect(resolver.asked).toEqual(['api.example.com', 'b.example.com'])
    if (!done.ok) return
    expect([done.pinned, ...done.pinned, ...done.pinned.map(({ addresses }) => addresses)].every(Object.isFrozen)).toBe(
      true,
    )
  })

  test('nothing to pin', async () => {
    const done = await pinAddresses([resourceOf('path', '/srv/x')], { resolver: table({}), signal: never })
    expect(done).toEqual({ ok: true, pinned: [] })
  })
})

describe('answers that are refused', () => {
  test.each<[string, readonly unknown[]]>([
    ['loopback', ['127.0.0.1']],
    ['all of loopback', ['127.255.1.2']],
    ['this network', ['0.0.0.0']],
    ['private', ['10.1.2.3']],
    ['private', ['172.31.0.1']],
    ['private', ['192.168.1.1']],
    ['carrier-grade NAT', ['100.64.0.1']],
    ['the metadata service', ['169.254.169.254']],
    ['a metadata service elsewhere', ['100.100.100.200']],
    ['a metadata service elsewhere', ['192.0.0.192']],
    ['a host agent on a public address', ['168.63.129.16']],
    ['multicast', ['224.0.0.1']],
    ['broadcast', ['255.255.255.255']],
    ['IPv6 loopback', ['::1']],
    ['unspecified', ['::']],
    ['unique local', ['fd00:ec2::254']],
    ['link-local', ['fe80::1']],
    ['multicast', ['ff02::1']],
    ['mapped loopback', ['::ffff:127.0.0.1']],
    ['mapped private, in hex', ['::ffff:0a00:1']],
    ['loopback through NAT64', ['64:ff9b::7f00:1']],
    ['loopback through 6to4', ['2002:7f00:1::']],
    ['private through Teredo', ['2001:0:4136:e378:8000:63bf:f5ff:fffe']],
    ['private through ISATAP, below a public prefix', ['2606:4700::5efe:10.0.0.1']],
    ['outside what is given out', ['4000::1']],
    ['one bad among good ones', ['93.184.215.14', '1.1.1.1', '10.0.0.1']],
    ['none', []],
    ['too many', Array.from({ length: 65 }, (_, index) => `1.1.1.${index}`)],
    ['a name', ['other.example.com']],
    ['an address with a zone', ['fe80::1%eth0']],
    ['an address with a port', ['1.1.1.1:443']],
    ['octal', ['0177.0.0.1']],
    ['short', ['127.1']],
    ['a number', ['2130706433']],
    ['not a text', [16843009]],
    ['nothing', [undefined]],
  ])('%s %j', async (_, answer) => {
    const resolver = table({ 'api.example.com': answer as readonly string[] })
    const done = await pinAddresses([api], { resolver, signal: never })
    expect(done).toMatchObject({
      ok: false,
      denial: { code: 'obligation_unmet', dispatched: false, subject: { resource: 'network api.example.com' } },
    })
  })

  test('a host that is an address is judged too', async () => {
    const done = await pinAddresses([resourceOf('host', '169.254.169.254')], { resolver: table({}), signal: never })
    expect(done.ok).toBe(false)
  })

  test('attack: the second answer of a name (DNS rebinding)', async () => {
    const answers = [['93.184.215.14'], ['127.0.0.1']]
    let asked = 0
    const rebinding: AddressResolver = { resolve: () => Promise.resolve(answers[Math.min(asked++, 1)] ?? []) }
    // Control: judged by one answer and dialled by the next, it is loopback.
    const [judged] = await rebinding.resolve('api.example.com', never)
    const [dialled] = await rebinding.resolve('api.example.com', never)
    expect([isDialable(address(judged ?? ''), []), dialled]).toEqual([true, '127.0.0.1'])
    asked = 0
    const resources = [api, resourceOf('url', 'http://api.example.com/again')]
    const done = await pinAddresses(resources, { resolver: rebinding, signal: never })
    expect(done).toEqual({ ok: true, pinned: [{ host: 'api.example.com', addresses: ['93.184.215.14'] }] })
    expect(asked).toBe(1)
    // The other way round the first answer is judged as well.
    expect(await pinAddresses([api], { resolver: rebinding, signal: never })).toMatchObject({ ok: false })
  })

  test('attack: an answer that changes after it was judged', async () => {
    const answer = ['93.184.215.14']
    const done = await pinAddresses([api], { resolver: { resolve: () => Promise.resolve(answer) }, signal: never })
    answer[0] = '127.0.0.1'
    expect(done).toMatchObject({ ok: true, pinned: [{ addresses: ['93.184.215.14'] }] })
  })

  test.each<[string, AddressResolver['resolve']]>([
    ['rejects', () => Promise.reject(new Error('SERVFAIL'))],
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['gives no list', () => Promise.resolve('1.1.1.1' as unknown as readonly string[])],
    ['gives nothing', () => Promise.resolve(undefined as unknown as readonly string[])],
  ])('a resolver that %s', async (_, resolve) => {
    expect((await pinAddresses([api], { resolver: { resolve }, signal: never })).ok).toBe(false)
  })
})

describe('a resolver that hangs', () => {
  const hanging: AddressResolver = { resolve: () => new Promise(() => undefined) }

  test('is waited for until the signal', async () => {
    const controller = new AbortController()
    const pending = pinAddresses([api], { resolver: hanging, signal: controller.signal })
    controller.abort()
    expect(await pending).toMatchObject({ ok: false, denial: { code: 'deadline_exceeded', dispatched: false } })
  })

  test('and not asked after it', async () => {
    const resolver = table({ 'api.example.com': ['1.1.1.1'] })
    const done = await pinAddresses([api], { resolver, signal: AbortSignal.abort() })
    expect(done).toMatchObject({ ok: false, denial: { code: 'deadline_exceeded' } })
    expect(resolver.asked).toEqual([])
  })
})

describe('what is allowed all the same', () => {
  test.each<[allow: readonly string[], answer: string, ok: boolean]>([
    [['10.0.8.0/24'], '10.0.8.1', true],
    [['10.0.8.0/24'], '10.0.9.1', false],
    [['10.0.0.0/8'], '10.9.9.9', true],
    // A block that is wider than the special one says nothing about it.
    [['0.0.0.0/0'], '10.0.0.1', false],
    [['8.0.0.0/5'], '10.0.0.1', false],
    [['127.0.0.1'], '127.0.0.1', true],
    [['127.0.0.1'], '127.0.0.2', false],
    [['::/0'], '::1', false],
    [['::1'], '::1', true],
    [['fd00:1::/32'], 'fd00:1::9', true],
    [['10.0.0.0/8'], '::ffff:10.0.0.1', true],
    [['10.0.0.0/8'], '64:ff9b::10.0.0.1', false],
    [['10.0.0.0/8', '64:ff9b::/96'], '64:ff9b::10.0.0.1', true],
    [['10.0.0.0/8'], '127.0.0.1', false],
  ])('%j: %s', async (allow, answer, ok) => {
    const resolver = table({ 'api.example.com': [answer] })
    expect((await pinAddresses([api], { resolver, signal: never, allow })).ok).toBe(ok)
  })

  test('what is no block is misuse', () => {
    for (const text of ['localhost', '10.0.0.1/8', '10.1', '']) {
      expect(() => pinAddresses([api], { resolver: table({}), signal: never, allow: [text] })).toThrow(TypeError)
    }
  })
})

test('the kernel-side egress judges every address alike', () => {
  const edges = [
    '0.0.0.0',
    '1.0.0.0',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '168.63.129.15',
    '168.63.129.17',
    '172.15.255.255',
    '172.32.0.0',
    '192.0.1.0',
    '192.0.3.0',
    '192.88.98.255',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '::2',
    '2000::',
    '2001:1ff::1',
    '2001:200::',
    '2001:db9::',
    '2003::',
    '3fff:1000::',
    '3ffe::',
    '1fff::',
    '4000::',
    '100:0:0:1::',
    'fbff::',
    'fe00::',
  ]
  const groups = fc.array(
    fc.constantFrom(0, 1, 0x64, 0xff9b, 0x2001, 0x2002, 0xdb8, 0x5efe, 0x7f00, 0xffff, 0xfe80, 0x2606),
    {
      minLength: 8,
      maxLength: 8,
    },
  )
  const any = fc.oneof(
    fc.constantFrom(...edges),
    fc.integer({ min: 0, max: 0xffff_ffff }).map(formatIpv4),
    fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }).map(formatIpv6),
    groups.map(formatIpv6),
  )
  const allowed = fc.subarray([
    '10.0.0.0/8',
    '::/0',
    '64:ff9b::/96',
    '127.0.0.1',
    '2002::/16',
    'fe80::/10',
    '0.0.0.0/0',
  ])
  fc.assert(
    fc.property(any, allowed, (text, allow) => {
      const special = specialBlocks(address(text))
      expect(isDialable(address(text), [])).toBe(special.length === 0)
      const inside = allow.filter((one) => {
        const parsed = parseCidr(one)
        return parsed.ok && special.some((found) => parsed.cidr.prefix >= found.block.prefix)
      })
      if (inside.length === 0) expect(isDialable(address(text), allow.map(block))).toBe(special.length === 0)
    }),
    { numRuns: fuzzRuns(1000) },
  )
})

describe('the resolver of the system', () => {
  test('localhost is this host, and is refused', async () => {
    const found = await nodeResolver().resolve('localhost', never)
    expect(found.length).toBeGreaterThan(0)
    expect(found.every((text) => ['127.0.0.1', '::1'].includes(text))).toBe(true)
    const done = await pinAddresses([resourceOf('host', 'localhost')], { resolver: nodeResolver(), signal: never })
    expect(done).toMatchObject({ ok: false, denial: { code: 'obligation_unmet' } })
    const allowed = { resolver: nodeResolver(), signal: never, allow: ['127.0.0.1', '::1'] }
    expect((await pinAddresses([resourceOf('host', 'localhost')], allowed)).ok).toBe(true)
  })

  test('a lookup nobody waits for is not begun', async () => {
    await expect(nodeResolver().resolve('localhost', AbortSignal.abort())).rejects.toThrow()
  })
})
