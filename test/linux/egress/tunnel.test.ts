import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, createServer as createTlsServer, type Server } from 'node:tls'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'

import { formatIpv4 } from '../../../src/core/ip.ts'
import {
  clientHello,
  eventually,
  httpAnswer,
  makeWorld,
  OK,
  type Origin,
  RawClient,
  rules,
  serverName,
  startOrigin,
  u16,
  type World,
  type WorldOptions,
} from './support.ts'

const PUBLIC = '11.0.0.1'
const open: (World | Origin)[] = []

afterEach(async () => {
  for (const one of open.splice(0)) {
    if ('proxy' in one) await one.close()
    else one.server.close()
  }
})

const echo = (socket: Socket): void => {
  socket.pipe(socket)
}

async function world(
  options: Partial<WorldOptions> = {},
  answer: (socket: Socket, received: () => string) => void = echo,
): Promise<{ world: World; origin: Origin }> {
  const origin = await startOrigin(answer)
  const routes: Record<string, number> = {}
  for (const port of [22, 80, 443, 8080, 8443, 9000]) routes[`${PUBLIC}:${port}`] = origin.port
  const made = makeWorld({
    allow: ['api.example.com', 'api.example.com:22', 'https://api.example.com:8443', 'http://api.example.com:8080'],
    names: { 'api.example.com': [PUBLIC], 'evil.test': [PUBLIC] },
    routes,
    ...options,
  })
  open.push(made, origin)
  return { world: made, origin }
}

const connectTo = (authority: string): string => `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`
const socksTo = (name: string, port: number): Uint8Array =>
  Buffer.concat([Buffer.from([5, 1, 0, 5, 1, 0, 3, name.length]), Buffer.from(name, 'latin1'), u16(port)])
const hello = (name?: string): Buffer => clientHello(name === undefined ? [] : [serverName(name)])
const ech: readonly [number, Uint8Array] = [0xfe0d, Buffer.alloc(40)]

/** One way into a tunnel; resolves once the proxy says that it is open. */
type Enter = (made: World, host: string, port: number) => Promise<RawClient>

const enterConnect: Enter = async (made, host, port) => {
  const client = new RawClient(await made.listen('proxy')).send(connectTo(`${host}:${port}`))
  await client.until('200 Connection established\r\n\r\n')
  return client
}

const enterSocks: Enter = async (made, host, port) => {
  const client = new RawClient(await made.listen('proxy')).send(socksTo(host, port))
  await client.until('\x05\0\x05\0\0\x01\0\0\0\0\0\0')
  return client
}

const enterTransparent: Enter = async (made, host, port) => {
  const address = (await queryDns(made, host)).slice(-4)
  const listening = await made.listen('transparent', port)
  return new RawClient(listening, [...Buffer.from(address, 'latin1')].join('.'))
}

function question(name: string, type: number): Buffer {
  const labels = name
    .split('.')
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]))
  const message = Buffer.concat([
    Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ...labels,
    Buffer.from([0]),
    u16(type),
    u16(1),
  ])
  return Buffer.concat([u16(message.length), message])
}

async function queryDns(made: World, name: string, type = 1): Promise<string> {
  const client = new RawClient(await made.listen('dns', 53)).send(question(name, type))
  await eventually(() => (client.text.length >= 2 && client.text.length >= 14 ? true : undefined))
  client.socket.end()
  return await client.end()
}

// Only Linux has all of 127.0.0.0/8 as its own without being told.
const linux = process.platform === 'linux'
if (!linux) process.stderr.write('NOT RUN: connections by stand-in address need Linux\n')
const ways: readonly (readonly [string, Enter])[] = [
  ['connect', enterConnect],
  ['socks5', enterSocks],
  ...(linux ? ([['transparent', enterTransparent]] as const) : []),
]

describe.each(ways)('a tunnel by %s', (protocol, enter) => {
  test('control: TLS to the granted name passes, byte for byte', async () => {
    const { world: made, origin } = await world()
    const client = await enter(made, 'api.example.com', 443)
    const bytes = clientHello([serverName('API.example.com'), ech], 7).toString('latin1')
    for (const piece of bytes.match(/[\s\S]{1,11}/g) ?? []) client.send(piece)
    client.send('and more')
    await client.until('and more')
    expect(origin.received).toEqual([`${bytes}and more`])
    client.socket.destroy()
    await eventually(() => made.facts.find((fact) => fact.type === 'egress_closed'))
    expect(made.facts.map((fact) => fact.type)).toEqual(['egress_allowed', 'egress_closed'])
    expect(made.facts[0]).toMatchObject({ protocol, host: 'api.example.com', port: 443, rule: 'rule api.example.com' })
  })

  test.each<[string, number, Uint8Array | string, string]>([
    ['N11 another name', 443, hello('evil.test'), 'sni_mismatch'],
    ['N11 a name above', 443, hello('example.com'), 'sni_mismatch'],
    ['N11 no name', 443, hello(), 'sni_mismatch'],
    ['N11 an address for a name', 443, hello('11.0.0.1'), 'sni_mismatch'],
    [
      'N11 a hidden name under an outer one that is not granted',
      443,
      clientHello([serverName('cdn.test'), ech]),
      'sni_mismatch',
    ],
    ['N11 a hidden name alone', 443, clientHello([ech]), 'sni_mismatch'],
    ['N11 two names', 443, clientHello([serverName('api.example.com'), serverName('evil.test')]), 'malformed_request'],
    ['N11 a NUL in the name', 443, hello('api.example.com\0.evil.test'), 'malformed_request'],
    ['a hello without end', 443, clientHello([[0xff, Buffer.alloc(60_000)]]), 'malformed_request'],
    ['plain HTTP at 443', 443, 'GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n', 'protocol_not_granted'],
    ['any bytes at 443', 443, 'SSH-2.0-x\r\n', 'protocol_not_granted'],
    ['bytes above ASCII at 443', 443, '\x80\x2e\x01\0\x02', 'protocol_not_granted'],
    ['any bytes where https is granted', 8443, 'SSH-2.0-x\r\n', 'protocol_not_granted'],
    [
      'plain HTTP where https is granted',
      8443,
      'GET / HTTP/1.1\r\nHost: api.example.com:8443\r\n\r\n',
      'protocol_not_granted',
    ],
    ['any bytes at 80', 80, 'SSH-2.0-x\r\n', 'protocol_not_granted'],
    ['TLS at 80', 80, hello('api.example.com'), 'protocol_not_granted'],
    ['TLS where http is granted', 8080, hello('api.example.com'), 'protocol_not_granted'],
    ['TLS to another name where any bytes are granted', 22, hello('evil.test'), 'sni_mismatch'],
    ['N12 Host of another host', 80, 'GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n', 'host_mismatch'],
    ['N12 Host of another port', 8080, 'GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n', 'host_mismatch'],
    ['N14 a relayed CONNECT', 80, connectTo('evil.test:443'), 'method_not_allowed'],
    ['N14 a proxy request', 80, 'GET http://evil.test/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n', 'malformed_request'],
    [
      'N15 an upgrade',
      80,
      'GET / HTTP/1.1\r\nHost: api.example.com\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n',
      'upgrade_refused',
    ],
    ['N15 HTTP/2 with prior knowledge', 80, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'version_not_supported'],
    [
      'N16 a smuggled length',
      80,
      'POST / HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      'malformed_request',
    ],
  ])('%s at %i ends before a byte reaches the server', async (_name, port, bytes, reason) => {
    const { world: made, origin } = await world()
    const client = (await enter(made, 'api.example.com', port)).send(bytes)
    await client.end()
    await eventually(() => made.facts[0])
    expect(made.facts).toEqual([expect.objectContaining({ type: 'egress_denied', protocol, reason, port })])
    expect(origin.received.join('')).toBe('')
  })

  test('N17 requests inside are judged one by one', async () => {
    const { world: made, origin } = await world({}, httpAnswer(OK))
    const client = await enter(made, 'api.example.com', 80)
    const request = 'GET /a HTTP/1.1\r\nHost: api.example.com\r\n\r\n'
    const answer = await client.send(request + request + request.replace('api', 'evil')).end()
    expect(answer.match(/HTTP\/1\.1 (200 OK|421)/g)).toEqual(['HTTP/1.1 200 OK', 'HTTP/1.1 200 OK', 'HTTP/1.1 421'])
    expect(origin.received.length).toBe(2)
  })

  test('HTTP is judged request by request where any bytes are granted as well', async () => {
    const { world: made, origin } = await world({}, httpAnswer(OK))
    const client = await enter(made, 'api.example.com', 22)
    const request = 'GET /a HTTP/1.1\r\nHost: api.example.com:22\r\n\r\n'
    const answer = await client.send(request + request.replace('GET', 'QUERY') + request.replace('api', 'evil')).end()
    expect(answer.match(/HTTP\/1\.1 (200 OK|421)/g)).toEqual(['HTTP/1.1 200 OK', 'HTTP/1.1 200 OK', 'HTTP/1.1 421'])
    expect(origin.received.length).toBe(2)
  })

  test('any bytes pass where the grant names the port and no scheme, whoever speaks first', async () => {
    const { world: made, origin } = await world({}, (socket) => {
      socket.write('SSH-2.0-server\r\n')
      socket.pipe(socket)
    })
    const client = await enter(made, 'api.example.com', 22)
    await client.until('SSH-2.0-server')
    await client.send('SSH-2.0-client\r\n').until('SSH-2.0-client')
    client.socket.end()
    await client.end()
    expect(origin.received).toEqual(['SSH-2.0-client\r\n'])
    await eventually(() => made.facts.find((fact) => fact.type === 'egress_closed'))
    expect(made.facts.map((fact) => fact.type)).toEqual(['egress_allowed', 'egress_closed'])
  })

  test('a server that speaks first does not open the way for TLS to another name', async () => {
    const { world: made, origin } = await world({}, (socket) => {
      socket.write('hi')
    })
    const client = await enter(made, 'api.example.com', 22)
    await client.until('hi')
    await client.send(hello('evil.test')).end()
    expect(origin.received.join('')).toBe('')
    expect(made.facts.map((fact) => (fact.type === 'egress_denied' ? fact.reason : fact.type))).toContain(
      'sni_mismatch',
    )
  })

  test('N20 a tunnel ends when it is revoked or no longer granted, and stays when it is', async () => {
    const { world: made } = await world()
    const client = (await enter(made, 'api.example.com', 443)).send(hello('api.example.com'))
    await eventually(() => made.facts.find((fact) => fact.type === 'egress_allowed'))
    made.proxy.narrow(rules(['api.example.com']))
    await client.send('still').until('still')
    made.proxy.narrow(rules(['other.example.com', '*']))
    await client.send('more').until('more')
    made.proxy.narrow(rules(['other.example.com']))
    await client.end()
    await eventually(() => made.facts.find((fact) => fact.type === 'egress_closed'))
    expect(made.facts.at(-1)).toMatchObject({ type: 'egress_closed', cause: 'revoked', host: 'api.example.com' })
    expect(made.proxy.connections).toBe(0)
  })

  test('N24 a tunnel nobody speaks in is given up', async () => {
    const { world: made } = await world({ limits: { handshakeMs: 100 } })
    const client = await enter(made, 'api.example.com', 443)
    await client.end()
    expect(made.facts).toEqual([expect.objectContaining({ reason: 'timeout' })])
  })
})

test('a client that has said all it will still gets all of a long answer', async () => {
  const body = 'x'.repeat(8 * 1024 * 1024)
  const { world: made } = await world(
    {},
    httpAnswer(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
  )
  const client = new RawClient(await made.listen('proxy'))
  client.socket.end('GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n')
  client.socket.pause()
  await eventually(() => made.facts[0])
  setTimeout(() => client.socket.resume(), 100)
  expect((await client.end()).length).toBeGreaterThan(body.length)
})

test('so it does through a tunnel', async () => {
  const size = 8 * 1024 * 1024
  const { world: made } = await world({}, (socket) => {
    socket.once('data', () => socket.end(Buffer.alloc(size, 'x')))
  })
  const client = await enterConnect(made, 'api.example.com', 443)
  const before = client.text.length
  client.socket.end(hello('api.example.com'))
  client.socket.pause()
  await eventually(() => made.facts[0])
  setTimeout(() => client.socket.resume(), 300)
  expect((await client.end()).length - before).toBe(size)
})

test('N20 what is revoked while its name is looked up is not dialled', async () => {
  let answer: ((addresses: readonly string[]) => void) | undefined
  const lookup = (): Promise<readonly string[]> =>
    new Promise((resolve) => {
      answer = resolve
    })
  const { world: made } = await world({ lookup })
  const client = new RawClient(await made.listen('proxy')).send(connectTo('api.example.com:443'))
  const resolve = await eventually(() => answer)
  made.proxy.narrow(rules(['other.example.com']))
  resolve([PUBLIC])
  expect(await client.end()).toBe('')
  await new Promise((done) => setTimeout(done, 50))
  expect(made.dialled).toEqual([])
  expect(made.facts).toEqual([expect.objectContaining({ type: 'egress_denied', reason: 'revoked' })])
})

describe('CONNECT', () => {
  test.each<[string, string, string]>([
    ['N13 a port with letters', 'api.example.com:443abc', '400'],
    ['N13 a port over 65535', 'api.example.com:65537', '400'],
    ['N13 port 0', 'api.example.com:0', '400'],
    ['N13 a negative port', 'api.example.com:-1', '400'],
    ['N13 a port with a zero before it', 'api.example.com:0443', '400'],
    ['N13 no port', 'api.example.com', '400'],
    ['user information', 'a@api.example.com:443', '400'],
    ['a path', 'api.example.com:443/', '400'],
    ['a URL', 'https://api.example.com:443', '400'],
    ['N05 an escape', 'api.example.com%00:443', '400'],
    ['N04 127.1', '127.1:443', '400'],
    ['N04 ::1', '[::1]:443', '403'],
    ['N04 ::1 without brackets', '::1:443', '400'],
    ['N13 a port that is not granted', 'api.example.com:25', '403'],
    ['a host that is not granted', 'evil.test:443', '403'],
  ])('%s: %s is %s', async (_name, authority, status) => {
    const { world: made } = await world()
    const client = new RawClient(await made.listen('proxy')).send(connectTo(authority))
    expect(await client.end()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(made.dialled).toEqual([])
  })

  test('Host of another host is refused; without a port it agrees', async () => {
    const { world: made } = await world()
    const port = await made.listen('proxy')
    const text = connectTo('api.example.com:443')
    expect(await new RawClient(port).send(text.replace('Host: api', 'Host: evil')).end()).toContain(' 400 ')
    expect(await new RawClient(port).send(text.replace(/(Host: .*):443/, '$1')).until('\r\n\r\n')).toContain(' 200 ')
  })

  test('a granted address needs no name, and takes none that is forbidden', async () => {
    const { world: made, origin } = await world({ allow: ['11.0.0.0/24:9000'], deny: ['evil.test'] })
    const client = await enterConnect(made, PUBLIC, 9000)
    await client.send(hello()).until(hello().toString('latin1').slice(0, 20))
    await (await enterConnect(made, PUBLIC, 9000)).send(hello('evil.test')).end()
    expect(origin.received).toEqual([hello().toString('latin1'), ''])
    expect(made.lookups).toEqual([])
  })

  test('what is sent together with the request waits for the same checks', async () => {
    const { world: made, origin } = await world()
    const port = await made.listen('proxy')
    const head = Buffer.from(connectTo('api.example.com:443'))
    await new RawClient(port).send(Buffer.concat([head, hello('evil.test')])).end()
    expect(origin.received.join('')).toBe('')
    await new RawClient(port).send(Buffer.concat([head, hello('api.example.com')])).until('api.example.com')
    expect(origin.received.at(-1)).toBe(hello('api.example.com').toString('latin1'))
  })
})

describe('SOCKS', () => {
  const named = (name: string, port = 443): Uint8Array => socksTo(name, port)
  const reply = (code: number): string => `\x05\0\x05${String.fromCharCode(code)}\0\x01\0\0\0\0\0\0`

  test.each<[string, Uint8Array, string]>([
    ['a host that is not granted', named('evil.test'), reply(2)],
    ['a port that is not granted', named('api.example.com', 25), reply(2)],
    ['port 0', named('api.example.com', 0), reply(2)],
    ['N05 a NUL', named('api.example.com\0.evil.test'), reply(2)],
    ['N05 a line break', named('api.example.com\r\n'), reply(2)],
    ['N05 a blank', named('api.example.com '), reply(2)],
    ['N05 a percent sign', named('api.example.com%00'), reply(2)],
    ['N05 a port in the name', named('api.example.com:443'), reply(2)],
    ['N05 an empty name', named(''), reply(2)],
    ['N04 127.1', named('127.1'), reply(2)],
    ['N04 an address as a name', named('127.0.0.1'), reply(2)],
    ['N04 brackets', named('[::1]'), reply(2)],
    ['N04 an address', Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 1, 187]), reply(2)],
    [
      'N04 a mapped address',
      Buffer.from([5, 1, 0, 5, 1, 0, 4, ...Array(10).fill(0), 255, 255, 127, 0, 0, 1, 1, 187]),
      reply(2),
    ],
    ['BIND', Buffer.from([5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 1, 187]), reply(7)],
    ['UDP ASSOCIATE', Buffer.from([5, 1, 0, 5, 3, 0, 1, 127, 0, 0, 1, 1, 187]), reply(7)],
    ['an unknown kind of address', Buffer.from([5, 1, 0, 5, 1, 0, 2, 0, 0, 0, 0, 0, 0]), reply(8)],
    ['no method we know', Buffer.from([5, 1, 1]), '\x05\xff'],
    ['SOCKS4', Buffer.from([4, 1, 1, 187, 11, 0, 0, 1, 0]), ''],
  ])('%s is refused', async (_name, bytes, expected) => {
    const { world: made } = await world()
    expect(await new RawClient(await made.listen('proxy')).send(bytes).end()).toBe(expected)
    expect(made.dialled).toEqual([])
    expect(made.facts).toEqual([expect.objectContaining({ type: 'egress_denied', protocol: 'socks5' })])
  })

  test('N22 with a credential: its own is served, none and another are not', async () => {
    const { world: made } = await world({ credential: { user: 'box', password: 'secret' } })
    const port = await made.listen('proxy')
    const login = (user: string, password: string): Uint8Array =>
      Buffer.from(
        `\x05\x01\x02\x01${String.fromCharCode(user.length)}${user}${String.fromCharCode(password.length)}${password}`,
        'latin1',
      )
    expect(await new RawClient(port).send(named('api.example.com')).end()).toBe('\x05\xff')
    expect(await new RawClient(port).send(login('box', 'other')).end()).toBe('\x05\x02\x01\x01')
    const request = Buffer.from(named('api.example.com')).subarray(3)
    const client = new RawClient(port).send(Buffer.concat([login('box', 'secret'), request]))
    await client.until(`\x05\x02\x01\0${reply(0).slice(2)}`)
    expect(made.facts.map((fact) => ('reason' in fact ? [fact.reason, fact.host] : []))).toEqual([
      ['unauthenticated', ''],
      ['unauthenticated', ''],
    ])
  })
})

describe('names inside the box', () => {
  const code = (answer: string): number => answer.charCodeAt(5) & 15
  const answers = (answer: string): number => answer.charCodeAt(9)

  test.each<[string, string, number, number, number]>([
    ['a granted name', 'api.example.com', 1, 0, 1],
    ['its case', 'aPi.ExAmPlE.cOm', 1, 0, 1],
    ['its IPv6 address', 'api.example.com', 28, 0, 0],
    ['its service record', 'api.example.com', 65, 0, 0],
    ['its text', 'api.example.com', 16, 5, 0],
    ['another name', 'evil.test', 1, 3, 0],
    ['N02 data in a label', 'c2VjcmV0.evil.test', 1, 3, 0],
    ['N02 data below a granted name', 'c2VjcmV0.api.example.com', 1, 3, 0],
    ['a name with a dot in a label', 'api\0.example.com', 1, 3, 0],
    ['localhost', 'localhost', 1, 3, 0],
    ['an address as a name', '127.0.0.1', 1, 3, 0],
    ['the name of an address', '1.0.64.127.in-addr.arpa', 12, 3, 0],
  ])('%s: %s type %i is answered with %i and %i records', async (_name, name, type, expected, count) => {
    const { world: made } = await world()
    const answer = await queryDns(made, name, type)
    expect([code(answer), answers(answer)]).toEqual([expected, count])
    if (count === 1) expect(answer.slice(-4)).toBe('\x7f\x40\0\x01')
    expect(answer).toContain(question(name, type).subarray(14).toString('latin1'))
    expect(made.lookups).toEqual([])
  })

  test('a name with a hole over all of it does not exist; with a hole at one port it does', async () => {
    const { world: made } = await world({ deny: ['api.example.com'] })
    expect(code(await queryDns(made, 'api.example.com'))).toBe(3)
    const { world: other } = await world({ deny: ['api.example.com:443'] })
    expect(code(await queryDns(other, 'api.example.com'))).toBe(0)
  })

  test('addresses are stable, distinct and bounded', async () => {
    const { world: made } = await world({ allow: ['*.example.com'], limits: { names: 2 } })
    const address = async (name: string): Promise<string> => (await queryDns(made, name)).slice(-4)
    expect(await address('a.example.com')).toBe('\x7f\x40\0\x01')
    expect(await address('b.example.com')).toBe('\x7f\x40\0\x02')
    expect(await address('a.example.com')).toBe('\x7f\x40\0\x01')
    expect(code(await queryDns(made, 'c.example.com'))).toBe(2)
    expect(made.facts).toEqual([expect.objectContaining({ protocol: 'dns', reason: 'limit', host: 'c.example.com' })])
  })

  test.skipIf(!linux)('an address that stands for no name leads nowhere', async () => {
    const { world: made } = await world({ allow: ['*', '127.0.0.0/8', '127.64.0.1'] })
    for (const host of ['127.0.0.1', '127.64.0.1']) {
      expect(
        await new RawClient(await made.listen('transparent', 443), host).send(hello('api.example.com')).end(),
      ).toBe('')
    }
    expect(made.dialled).toEqual([])
    expect(made.facts.map((fact) => fact.host)).toEqual(['127.0.0.1', '127.64.0.1'])
  })

  test('the stand-in address means the name to the proxy as well', async () => {
    const { world: made, origin } = await world({}, httpAnswer(OK))
    const address = [...Buffer.from((await queryDns(made, 'api.example.com')).slice(-4), 'latin1')].join('.')
    expect(address).toBe(formatIpv4(0x7f400001))
    const request = `GET http://${address}/ HTTP/1.1\r\nHost: ${address}\r\n\r\n`
    await new RawClient(await made.listen('proxy')).send(request).until('hello')
    expect(origin.received[0]).toContain('Host: api.example.com\r\n')
  })
})

describe('the end of a box', () => {
  test('revoke and close end connections in every state, and let none begin', async () => {
    const { world: made } = await world({}, () => {})
    const port = await made.listen('proxy')
    const clients = [
      new RawClient(port).send('GET htt'),
      new RawClient(port).send('GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n'),
      new RawClient(port).send(connectTo('api.example.com:443')),
      new RawClient(port).send(
        Buffer.concat([Buffer.from(connectTo('api.example.com:443')), hello('api.example.com')]),
      ),
      new RawClient(await made.listen('dns', 53)).send('\0'),
    ]
    await eventually(() => (made.proxy.connections === 5 && made.dialled.length === 3 ? true : undefined))
    await clients[3]?.until('200')
    await eventually(() => (made.facts.length === 2 ? true : undefined))
    made.proxy.revoke()
    await Promise.all(clients.map((client) => client.end()))
    expect(made.proxy.connections).toBe(0)
    const request = 'GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n'
    expect(await new RawClient(port).send(request).end()).toContain('x-agentport-denied: host_not_granted')
    await made.proxy.close()
    await made.proxy.close()
    expect(await new RawClient(port).send(request).end()).toBe('')
    expect(made.dialled.length).toBe(3)
  })
})

const openssl = await promisify(execFile)('openssl', ['version']).then(
  () => true,
  () => false,
)
if (!openssl) process.stderr.write('NOT RUN: TLS through the proxy needs openssl to make a certificate\n')

describe.skipIf(!openssl)('TLS for real', () => {
  test('node:tls through CONNECT reaches the granted name, and no other under it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'agentport-egress-'))
    let server: Server | undefined
    try {
      const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
      await promisify(execFile)('openssl', [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
        ...['-subj', '/CN=api.example.com', '-addext', 'subjectAltName=DNS:api.example.com,DNS:evil.test'],
        ...['-keyout', key, '-out', cert],
      ])
      const ca = await readFile(cert)
      const names: unknown[] = []
      server = createTlsServer({ key: await readFile(key), cert: ca }, (socket) => {
        names.push(socket.servername)
        socket.on('error', () => {})
        socket.end('hello')
      })
      await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      const { world: made } = await world({ routes: { [`${PUBLIC}:443`]: port } })
      const attempt = async (servername: string): Promise<string> => {
        const tunnel = await enterConnect(made, 'api.example.com', 443)
        tunnel.socket.removeAllListeners('data')
        return await new Promise((resolve) => {
          let text = ''
          const tls = connectTls({ socket: tunnel.socket, servername, ca })
          tls.on('data', (chunk: Buffer) => {
            text += chunk.toString()
          })
          tls.on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? 'failed'))
          tls.on('end', () => {
            tls.destroy()
            resolve(text)
          })
        })
      }
      expect(await attempt('api.example.com')).toBe('hello')
      expect(await attempt('evil.test')).toMatch(/ALERT_ACCESS_DENIED|ACCESS_DENIED/)
      expect(names).toEqual(['api.example.com'])
    } finally {
      server?.close()
      await rm(directory, { recursive: true, force: true })
    }
  })
})
