import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'

import { parseHost } from '../../../src/core/host.ts'
import { EgressJudge, transparentPorts } from '../../../src/linux/egress/judge.ts'
import { egressLimits } from '../../../src/linux/egress/limits.ts'
import { egressEnvironment } from '../../../src/linux/egress/presets.ts'
import { Dialler } from '../../../src/linux/egress/resolve.ts'
import { entries, rules, startOrigin } from './support.ts'

const host = (text: string) => {
  const parsed = parseHost(text)
  if (!parsed.ok) throw new TypeError(text)
  return parsed.host
}
const TLS = { port: 443, carried: 'tls' } as const
const judge = (allow: readonly string[], deny: readonly string[] = [], own: readonly string[] = []): EgressJudge =>
  new EgressJudge(rules(allow, deny), () => own)

// Every address a name must not lead to, and the block that a grant must name for it.
const SPECIAL: readonly (readonly [string, string])[] = [
  ['0.0.0.0', '0.0.0.0'],
  ['0.1.2.3', '0.0.0.0/8'],
  ['10.1.2.3', '10.0.0.0/8'],
  ['100.64.0.1', '100.64.0.0/10'],
  ['100.100.100.200', '100.64.0.0/10'],
  ['127.0.0.1', '127.0.0.0/8'],
  ['127.255.255.254', '127.0.0.0/8'],
  ['168.63.129.16', '168.63.129.16'],
  ['169.254.169.254', '169.254.0.0/16'],
  ['172.16.0.1', '172.16.0.0/12'],
  ['172.31.255.255', '172.16.0.0/12'],
  ['192.0.0.192', '192.0.0.0/24'],
  ['192.0.2.1', '192.0.2.0/24'],
  ['192.88.99.1', '192.88.99.0/24'],
  ['192.168.1.1', '192.168.0.0/16'],
  ['198.18.0.1', '198.18.0.0/15'],
  ['198.19.255.255', '198.18.0.0/15'],
  ['198.51.100.1', '198.51.100.0/24'],
  ['203.0.113.1', '203.0.113.0/24'],
  ['224.0.0.251', '224.0.0.0/4'],
  ['240.0.0.1', '240.0.0.0/4'],
  ['255.255.255.255', '240.0.0.0/4'],
  ['::', '::'],
  ['::1', '::1'],
  ['::ffff:127.0.0.1', '127.0.0.0/8'],
  ['::ffff:a9fe:a9fe', '169.254.0.0/16'],
  ['100::1', '100::/64'],
  ['2001:2::1', '2001:2::/48'],
  ['2001:db8::1', '2001:db8::/32'],
  ['3fff::1', '3fff::/20'],
  ['5f00::1', '5f00::/16'],
  ['fc00::1', 'fc00::/7'],
  ['fd00:ec2::254', 'fd00::/8'],
  ['fe80::1', 'fe80::/10'],
  ['fec0::1', 'fec0::/10'],
  ['ff02::fb', 'ff00::/8'],
]

describe('vetAddress', () => {
  test.each(SPECIAL)('N08 %s needs a grant such as %s', (address, block) => {
    const at = (allow: readonly string[]) => judge(allow).vetAddress(host(address), TLS)
    const denied = { allowed: false, reason: 'address_not_allowed' }
    expect(at(['*', '**.example.com:*'])).toEqual(denied)
    expect(at(['0.0.0.0/0:*', '[::/0]:*'])).toEqual(denied)
    expect(at([block])).toEqual({ allowed: true, rule: `rule ${block}` })
    expect(at([block.includes(':') ? `[${block}]:22` : `${block}:22`])).toEqual(denied)
    expect(at([`http://${block.includes(':') ? `[${block}]` : block}:443`])).toEqual(denied)
  })

  test.each<[string, string, string]>([
    ['NAT64', '64:ff9b::7f00:1', '64:ff9b::/96'],
    ['NAT64 of local use', '64:ff9b:1::7f00:1', '64:ff9b:1::/48'],
    ['6to4', '2002:7f00:1::', '2002::/16'],
    ['Teredo', '2001:0:1:2:3:4:80ff:fffe', '2001::/32'],
    ['IPv4-compatible', '::7f00:1', '::/96'],
    ['IPv4-translated', '::ffff:0:7f00:1', '::ffff:0:0:0/96'],
  ])('N08 %s needs a grant for its form and one for the address inside', (_name, address, form) => {
    expect(judge(['*:*', '::/0']).vetAddress(host(address), TLS).allowed).toBe(false)
    expect(judge(['127.0.0.0/8']).vetAddress(host(address), TLS).allowed).toBe(false)
    expect(judge([form]).vetAddress(host(address), TLS).allowed).toBe(false)
  })

  test('N08 an ISATAP address is the IPv4 address inside it too', () => {
    expect(judge(['2600::/16']).vetAddress(host('2600::5efe:127.0.0.1'), TLS).allowed).toBe(false)
    expect(judge(['2600::/16']).vetAddress(host('2600::5efe:11.0.0.1'), TLS).allowed).toBe(true)
  })

  test('control: public addresses need no grant of their own', () => {
    for (const address of ['11.0.0.1', '172.32.0.1', '100.128.0.1', '198.20.0.1', '2600::1', '2a00::1']) {
      expect(judge(['api.example.com']).vetAddress(host(address), TLS).allowed, address).toBe(true)
    }
  })

  test('N08 an address of this host needs a grant for the very address', () => {
    const own = ['11.0.0.7', 'fe80::1%eth0']
    expect(judge(['*'], [], own).vetAddress(host('11.0.0.7'), TLS).allowed).toBe(false)
    expect(judge(['11.0.0.0/24'], [], own).vetAddress(host('11.0.0.7'), TLS).allowed).toBe(false)
    expect(judge(['11.0.0.7'], [], own).vetAddress(host('11.0.0.7'), TLS).allowed).toBe(true)
    expect(judge(['fe80::/10'], [], own).vetAddress(host('fe80::1'), TLS).allowed).toBe(false)
    expect(judge(['*'], [], own).vetAddress(host('11.0.0.8'), TLS).allowed).toBe(true)
  })

  test('a forbidden block is not dialled by name either', () => {
    const verdict = judge(['api.example.com'], ['11.0.0.0/8']).vetAddress(host('11.0.0.1'), TLS)
    expect(verdict).toEqual({ allowed: false, reason: 'address_not_allowed', rule: 'rule 11.0.0.0/8' })
  })
})

describe('EgressJudge', () => {
  test.each<[string, string, number, readonly string[]]>([
    ['api.example.com', 'api.example.com', 443, ['tls']],
    ['api.example.com', 'api.example.com', 80, ['http']],
    ['api.example.com', 'api.example.com', 8080, []],
    ['https://api.example.com', 'api.example.com', 443, ['tls']],
    ['https://api.example.com', 'api.example.com', 80, []],
    ['wss://api.example.com', 'api.example.com', 443, ['tls']],
    ['ws://api.example.com', 'api.example.com', 80, []],
    ['http://api.example.com:8080', 'api.example.com', 8080, ['http']],
    ['api.example.com:22', 'api.example.com', 22, ['tls', 'http', 'raw']],
    ['api.example.com:443', 'api.example.com', 443, ['tls']],
    ['api.example.com:*', 'api.example.com', 80, ['tls', 'http']],
    ['*:*', '11.0.0.1', 443, []],
    ['**.example.com:*', '11.0.0.1', 443, []],
    ['11.0.0.0/8', '11.0.0.1', 443, ['tls']],
  ])('N13 %s lets %s:%i carry %j', (grant, name, port, carried) => {
    const opening = judge([grant]).open(host(name), port)
    expect(opening.allowed ? opening.carried : []).toEqual(carried)
  })

  test('N21 no grants deny all', () => {
    expect(judge([]).open(host('api.example.com'), 443)).toEqual({ allowed: false, reason: 'host_not_granted' })
    expect(judge([]).vetAddress(host('10.0.0.1'), TLS).allowed).toBe(false)
  })

  test('narrowing never widens', () => {
    const narrow = judge(['api.example.com']).narrowed(rules(['*:*', '10.0.0.0/8:*']))
    expect(narrow.open(host('other.example.com'), 443).allowed).toBe(false)
    expect(narrow.vetAddress(host('10.0.0.1'), TLS).allowed).toBe(false)
    expect(narrow.open(host('api.example.com'), 443).allowed).toBe(true)
  })

  test('the ports of transparent listeners', () => {
    const texts = ['a.test', 'https://b.test', 'c.test:22', '*.d.test:*', '10.0.0.0/8:5432', 'ws://e.test:81']
    expect(transparentPorts(entries(texts))).toEqual([22, 80, 443])
    expect(transparentPorts([])).toEqual([])
  })
})

describe('Dialler', () => {
  const signal = new AbortController().signal
  const target = { host: host('api.example.com'), port: 443, carried: ['tls'] as const }

  async function dial(
    answers: readonly (readonly string[])[],
    allow: readonly string[] = ['api.example.com'],
    reachable = ['11.0.0.1'],
  ) {
    const origin = await startOrigin(() => {})
    const dialled: string[] = []
    let asked = 0
    const lookup = async (): Promise<readonly string[]> => answers[Math.min(asked++, answers.length - 1)] ?? []
    const dialler = new Dialler(
      lookup,
      (address) => {
        dialled.push(address)
        return connect({ host: '127.0.0.1', port: reachable.includes(address) ? origin.port : 1 })
      },
      egressLimits({ connectMs: 1000, lookupMs: 100 }),
    )
    const result = await dialler.dial(target, judge(allow), signal)
    if (result.ok) result.socket.destroy()
    origin.server.close()
    return { outcome: result.ok ? result.address.text : result.reason, dialled, asked }
  }

  test('N09 a name is asked for once and its first answer is what is dialled', async () => {
    const rebinding = [['11.0.0.1'], ['127.0.0.1']]
    expect(await dial(rebinding)).toEqual({ outcome: '11.0.0.1', dialled: ['11.0.0.1'], asked: 1 })
  })

  test('N09 control: who asks twice gets the second answer', async () => {
    const answers = [['11.0.0.1'], ['127.0.0.1']]
    const lookup = async (): Promise<readonly string[]> => answers.shift() ?? []
    expect([await lookup(), await lookup()]).toEqual([['11.0.0.1'], ['127.0.0.1']])
  })

  test.each<[string, readonly string[], string, readonly string[]]>([
    ['N08 a private address', ['10.0.0.1'], 'address_not_allowed', []],
    ['N08 the metadata service', ['169.254.169.254'], 'address_not_allowed', []],
    ['N09 private and public', ['10.0.0.1', '::1', '11.0.0.1'], '11.0.0.1', ['11.0.0.1']],
    ['N09 a mapped private address', ['::ffff:10.0.0.1'], 'address_not_allowed', []],
    ['a zone id', ['fe80::1%lo'], 'unresolvable', []],
    ['no address', [], 'unresolvable', []],
    ['a name for an address', ['evil.test'], 'unresolvable', []],
    ['the first that answers', ['11.0.0.9', '11.0.0.1'], '11.0.0.1', ['11.0.0.9', '11.0.0.1']],
    ['none that answers', ['11.0.0.9'], 'upstream_failed', ['11.0.0.9']],
    [
      'too many',
      Array.from({ length: 50 }, (_x, index) => `11.0.1.${index}`),
      'upstream_failed',
      ['11.0.1.0', '11.0.1.1', '11.0.1.2', '11.0.1.3'],
    ],
  ])('%s', async (_name, answer, outcome, dialled) => {
    expect(await dial([answer])).toEqual({ outcome, dialled, asked: 1 })
  })

  test('N08 a private address is dialled where a grant names it', async () => {
    const { outcome } = await dial([['10.0.0.1']], ['api.example.com', '10.0.0.0/8'], ['10.0.0.1'])
    expect(outcome).toBe('10.0.0.1')
  })

  test('a resolver that never answers is given up, and holds its place', async () => {
    let running = 0
    const never = (): Promise<readonly string[]> => {
      running++
      return new Promise(() => {})
    }
    const dialler = new Dialler(never, () => connect(1), egressLimits({ lookupMs: 50 }))
    const results = await Promise.all(Array.from({ length: 10 }, () => dialler.dial(target, judge(['*']), signal)))
    expect(results).toEqual(Array(10).fill({ ok: false, reason: 'unresolvable' }))
    expect(running).toBe(2)
  })

  test('a resolver that throws at once is no crash', async () => {
    const dialler = new Dialler(
      () => {
        throw new Error('no')
      },
      () => connect(1),
      egressLimits(),
    )
    expect(await dialler.dial(target, judge(['*']), signal)).toEqual({ ok: false, reason: 'unresolvable' })
  })
})

describe('egressEnvironment', () => {
  test('every program is sent to the proxy, and to nothing without it', () => {
    const env = egressEnvironment('http://127.0.0.1:3128', { credential: { user: 'box', password: 'a/b@c' } })
    expect(env).toMatchObject({
      http_proxy: 'http://box:a%2Fb%40c@127.0.0.1:3128',
      HTTPS_PROXY: 'http://box:a%2Fb%40c@127.0.0.1:3128',
      ALL_PROXY: 'socks5h://box:a%2Fb%40c@127.0.0.1:3128',
      NO_PROXY: '',
      no_proxy: '',
      NODE_USE_ENV_PROXY: '1',
    })
    expect(Object.isFrozen(env)).toBe(true)
  })

  test.each(['127.0.0.1:3128', 'https://127.0.0.1:3128', 'http://127.0.0.1:3128/x', 'http://a@127.0.0.1:3128', ''])(
    '%j is no place of a proxy',
    (url) => {
      expect(() => egressEnvironment(url)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG_INVALID' }))
    },
  )

  test.each(['', 'a:b', 'a b', 'a\nb', 'é', 'x'.repeat(256)])('%j is no credential', (user) => {
    const credential = { user, password: 'x' }
    expect(() => egressEnvironment('http://127.0.0.1:3128', { credential })).toThrow(/credential/)
  })
})
