import { afterEach, describe, expect, test } from 'vitest'

import {
  httpAnswer,
  makeWorld,
  OK,
  type Origin,
  RawClient,
  startOrigin,
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

async function world(
  options: Partial<WorldOptions> = {},
  response = OK,
): Promise<{ world: World; origin: Origin; port: number }> {
  const origin = await startOrigin(httpAnswer(response))
  const made = makeWorld({
    allow: ['api.example.com', 'other.example.com', 'api.example.com:8080'],
    names: {
      'api.example.com': [PUBLIC],
      'other.example.com': [PUBLIC],
      'evil.test': [PUBLIC],
      'a.wild.example': [PUBLIC],
      'a.b.wild.example': [PUBLIC],
      'wild.example': [PUBLIC],
    },
    routes: { [`${PUBLIC}:80`]: origin.port, [`${PUBLIC}:8080`]: origin.port, [`${PUBLIC}:443`]: origin.port },
    ...options,
  })
  open.push(made, origin)
  return { world: made, origin, port: await made.listen('proxy') }
}

const get = (url: string, headers = ''): string =>
  `GET ${url} HTTP/1.1\r\nHost: ${url.replace(/^http:\/\//, '').split(/[/?]/)[0]}\r\n${headers}\r\n`

describe('plain HTTP through the proxy', () => {
  test('control: a granted host is reached, with the request written anew', async () => {
    const { world: made, origin, port } = await world()
    const answer = await new RawClient(port)
      .send(
        get(
          'http://API.example.com/a?b=1',
          'Proxy-Connection: keep-alive\r\nTE: trailers\r\nX-A: 1\r\nConnection: x-a\r\nProxy-Authorization: Basic YTpi\r\nX-B: 2\r\n',
        ),
      )
      .until('hello')
    expect(answer).toBe('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello')
    expect(origin.received[0]).toBe(
      'GET /a?b=1 HTTP/1.1\r\nHost: api.example.com\r\nX-B: 2\r\nConnection: close\r\n\r\n',
    )
    expect(made.facts).toEqual([
      {
        type: 'egress_allowed',
        protocol: 'http',
        host: 'api.example.com',
        port: 80,
        method: 'GET',
        rule: 'rule api.example.com',
      },
    ])
    expect(made.dialled).toEqual([`${PUBLIC}:80`])
  })

  test.each<[string, string, string, string]>([
    ['N01 a host that is not granted', get('http://evil.test/'), '403', 'host_not_granted'],
    ['N13 a granted host at another port', get('http://api.example.com:22/'), '403', 'host_not_granted'],
    ['N13 plain HTTP at 443', get('http://api.example.com:443/'), '403', 'host_not_granted'],
    ['N13 port 0', get('http://api.example.com:0/'), '400', 'malformed_request'],
    ['N13 port 65616', get('http://api.example.com:65616/'), '400', 'malformed_request'],
    ['N04 127.1', get('http://127.1/'), '400', 'malformed_request'],
    ['N04 decimal loopback', get('http://2130706433/'), '400', 'malformed_request'],
    ['N04 hexadecimal loopback', get('http://0x7f000001/'), '400', 'malformed_request'],
    ['N04 octal loopback', get('http://0177.0.0.1/'), '400', 'malformed_request'],
    ['N04 zero', get('http://0/'), '400', 'malformed_request'],
    ['N04 ::1', get('http://[::1]/'), '403', 'host_not_granted'],
    ['N04 mapped loopback', get('http://[::ffff:127.0.0.1]/'), '403', 'host_not_granted'],
    ['N04 mapped loopback in hex', get('http://[::ffff:7f00:1]/'), '403', 'host_not_granted'],
    ['N04 localhost.', get('http://localhost./'), '403', 'host_not_granted'],
    ['N04 LOCALHOST', get('http://LOCALHOST/'), '403', 'host_not_granted'],
    ['N04 a name under localhost', get('http://a.localhost/'), '403', 'host_not_granted'],
    ['N04 user information', get('http://api.example.com@evil.test/'), '400', 'malformed_request'],
    ['N04 a fragment before an @', get('http://evil.test#@api.example.com/'), '400', 'malformed_request'],
    ['N05 an escape in the host', get('http://api.example.com%00.evil.test/'), '400', 'malformed_request'],
    ['N05 an empty label', get('http://api..example.com/'), '400', 'malformed_request'],
    ['N05 a host that is too long', get(`http://${'a.'.repeat(130)}com/`), '400', 'malformed_request'],
    ['N05 no host', get('http:///x'), '400', 'malformed_request'],
    ['N05 a zone id', get('http://[fe80::1%25eth0]/'), '400', 'malformed_request'],
    ['N06 bad punycode', get('http://xn--api-.example.com/'), '400', 'malformed_request'],
    [
      'N12 Host of another host',
      'GET http://api.example.com/ HTTP/1.1\r\nHost: evil.test\r\n\r\n',
      '400',
      'malformed_request',
    ],
    [
      'N12 Host of another port',
      'GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n',
      '400',
      'malformed_request',
    ],
    [
      'N12 Host with a path',
      'GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com/x\r\n\r\n',
      '400',
      'malformed_request',
    ],
    [
      'N15 an upgrade to h2c',
      get('http://api.example.com/', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n'),
      '403',
      'upgrade_refused',
    ],
    [
      'N15 an upgrade to websocket',
      get('http://api.example.com/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'),
      '403',
      'upgrade_refused',
    ],
    ['N15 HTTP/2 with prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '505', 'version_not_supported'],
    ['N16 HTTP/0.9', 'GET http://api.example.com/\r\n\r\n', '400', 'malformed_request'],
    [
      'N16 HTTP/1.2',
      'GET http://api.example.com/ HTTP/1.2\r\nHost: api.example.com\r\n\r\n',
      '505',
      'version_not_supported',
    ],
    ['N16 a bare LF', 'GET http://api.example.com/ HTTP/1.1\nHost: api.example.com\n\n', '400', 'malformed_request'],
    ['N16 an https URL', get('https://api.example.com/'), '400', 'malformed_request'],
    ['N18 origin form to the proxy', 'GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n', '400', 'malformed_request'],
    ['N18 dot segments', get('http://api.example.com/public/../secret'), '400', 'malformed_request'],
    ['N18 encoded dot segments', get('http://api.example.com/%2e%2e/secret'), '400', 'malformed_request'],
    ['N18 twice encoded dot segments', get('http://api.example.com/%252e%252e/secret'), '400', 'malformed_request'],
    ['N18 dot segments behind a parameter', get('http://api.example.com/..;a/secret'), '400', 'malformed_request'],
    ['N18 an encoded slash before dots', get('http://api.example.com/..%2fsecret'), '400', 'malformed_request'],
    ['N18 a backslash', get('http://api.example.com\\@evil.test/'), '400', 'malformed_request'],
    ['N18 a fragment', get('http://api.example.com/#x'), '400', 'malformed_request'],
    ['N19 TRACE', get('http://api.example.com/').replace('GET', 'TRACE'), '405', 'method_not_allowed'],
    ['N19 TRACK', get('http://api.example.com/').replace('GET', 'TRACK'), '405', 'method_not_allowed'],
    ['N19 a method in lower case', get('http://api.example.com/').replace('GET', 'get'), '405', 'method_not_allowed'],
    [
      'N19 a method override',
      get('http://api.example.com/', 'X-HTTP-Method-Override: DELETE\r\n'),
      '405',
      'method_not_allowed',
    ],
    ['N19 GET with a body', get('http://api.example.com/', 'Content-Length: 5\r\n'), '405', 'method_not_allowed'],
    ['N24 too many fields', get('http://api.example.com/', 'A: 1\r\n'.repeat(200)), '431', 'request_too_large'],
    [
      'N24 a head that is too large',
      get('http://api.example.com/', `A: ${'x'.repeat(40_000)}\r\n`),
      '431',
      'request_too_large',
    ],
  ])('%s', async (_name, request, status, code) => {
    const { world: made, origin, port } = await world()
    const answer = await new RawClient(port).send(request).end()
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).toContain(`x-agentport-denied: ${code}\r\n`)
    expect(answer).toContain('Connection: close\r\n')
    expect([made.dialled, origin.received]).toEqual([[], []])
    expect(made.facts).toEqual([expect.objectContaining({ type: 'egress_denied', reason: code })])
  })

  test.each<[string, string]>([
    ['N06 a trailing dot', 'http://api.example.com./'],
    ['N06 upper case', 'http://API.EXAMPLE.COM/'],
    ['the default port', 'http://api.example.com:80/'],
    ['N18 a doubled slash is a path like others', 'http://api.example.com//evil.test/'],
    ['N18 a ? in the query', 'http://api.example.com/a?b=c?d'],
    ['a granted port', 'http://api.example.com:8080/'],
  ])('control: %s is the granted host', async (_name, url) => {
    const { world: made, origin, port } = await world()
    expect(await new RawClient(port).send(get(url)).until('hello')).toContain(' 200 OK')
    expect(origin.received[0]).toMatch(/\r\nHost: api\.example\.com(:8080)?\r\n/)
    expect(made.facts).toEqual([expect.objectContaining({ type: 'egress_allowed', host: 'api.example.com' })])
  })

  test.each<[string, string]>([
    ['a.wild.example', '200'],
    ['wild.example', '403'],
    ['a.b.wild.example', '403'],
    ['evilwild.example', '403'],
    ['a.wild.example.evil.test', '403'],
  ])('N07 *.wild.example and %s: %s', async (host, status) => {
    const { port } = await world({ allow: ['*.wild.example'] })
    expect(await new RawClient(port).send(get(`http://${host}/`)).until('\r\n\r\n')).toContain(` ${status} `)
  })

  test('a rule that forbids beats one that grants, and is named', async () => {
    const { world: made, port } = await world({ allow: ['**.example.com'], deny: ['api.example.com'] })
    expect(await new RawClient(port).send(get('http://api.example.com/')).end()).toContain('host_forbidden')
    expect(await new RawClient(port).send(get('http://other.example.com/')).until('hello')).toContain(' 200 ')
    expect(made.facts[0]).toMatchObject({ reason: 'host_forbidden', rule: 'rule api.example.com' })
  })
})

describe('framing', () => {
  const post = (headers: string, body = ''): string =>
    `POST http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n${headers}\r\n${body}`

  test.each<[string, string]>([
    ['Content-Length and Transfer-Encoding', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    ['two lengths that differ', post('Content-Length: 5\r\nContent-Length: 6\r\n', 'hello')],
    ['two lengths that agree', post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello')],
    ['a list of lengths', post('Content-Length: 5, 5\r\n', 'hello')],
    ['+5', post('Content-Length: +5\r\n', 'hello')],
    ['0x5', post('Content-Length: 0x5\r\n', 'hello')],
    ['05', post('Content-Length: 05\r\n', 'hello')],
    ['-5', post('Content-Length: -5\r\n', 'hello')],
    ['an empty length', post('Content-Length:\r\n', 'hello')],
    ['chunked, identity', post('Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n')],
    ['gzip, chunked', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')],
    ['xchunked', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
    ['chunked with a tab', post('Transfer-Encoding:\x0bchunked\r\n', '0\r\n\r\n')],
    ['two encodings', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    ['chunked in HTTP/1.0', post('Transfer-Encoding: chunked\r\n', '0\r\n\r\n').replace('1.1', '1.0')],
    ['a folded field', post('X-A: 1\r\n Content-Length: 5\r\n', 'hello')],
    ['a blank before the colon', post('Content-Length : 5\r\n', 'hello')],
    ['a field without a name', post(': 5\r\n')],
    ['a line without a colon', post('Content-Length\r\n')],
    ['a bare LF between fields', post('X-A: 1\nContent-Length: 5\r\n', 'hello')],
    ['a bare CR', post('X-A: 1\rContent-Length: 5\r\n', 'hello')],
    ['a NUL', post('X-A: 1\0\r\n')],
    ['no Host', 'POST http://api.example.com/ HTTP/1.1\r\n\r\n'],
    ['two Hosts', post('Host: api.example.com\r\n')],
    ['an unknown expectation', post('Expect: the-moon\r\n')],
  ])('N16 %s is refused', async (_name, request) => {
    const { origin, port } = await world()
    expect(await new RawClient(port).send(request).end()).toMatch(/^HTTP\/1\.1 400 /)
    expect(origin.received).toEqual([])
  })

  test.each<[string, string, string]>([
    ['an extension', '5;a=b\r\nhello\r\n0\r\n\r\n', ''],
    ['a quoted extension with a line break', '5;a="\r\n"\r\nhello\r\n0\r\n\r\n', ''],
    ['a size with 0x', '0x5\r\nhello\r\n0\r\n\r\n', ''],
    ['a size with a leading zero', '05\r\nhello\r\n0\r\n\r\n', ''],
    ['a blank after the size', '5 \r\nhello\r\n0\r\n\r\n', ''],
    ['a size over 32 bits', '100000005\r\nhello\r\n0\r\n\r\n', ''],
    ['a negative size', '-5\r\nhello\r\n0\r\n\r\n', ''],
    ['a bare LF after the size', '5\nhello\r\n0\r\n\r\n', ''],
    ['more than the size says', '5\r\nhello!\r\n0\r\n\r\n', 'hello'],
    ['a trailer', '5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n', 'hello'],
  ])('N16 a chunk with %s: nothing after it is passed on', async (_name, body, passed) => {
    const { world: made, origin, port } = await world({}, OK)
    const client = new RawClient(port).send(post('Transfer-Encoding: chunked\r\n', body + get('http://evil.test/')))
    await client.end()
    const seen = origin.received.join('')
    expect(seen).not.toContain('evil')
    expect(seen.includes('hello') ? 'hello' : '').toBe(seen === '' ? '' : passed)
    expect(seen).not.toContain('\r\n0\r\n\r\n')
    expect(made.lookups).not.toContain('evil.test')
  })

  test('control: a body of either framing arrives whole', async () => {
    const { origin, port } = await world()
    const echo = (text: string): Promise<string> => new RawClient(port).send(text).until('hello')
    await echo(post('Content-Length: 5\r\n', 'abcde'))
    await echo(post('Transfer-Encoding: chunked\r\n', '5\r\nabcde\r\n0\r\n\r\n'))
    expect(origin.received[0]).toMatch(/Content-Length: 5\r\n.*\r\n\r\nabcde$/s)
    expect(origin.received[1]).toMatch(/Transfer-Encoding: chunked\r\n.*\r\n\r\n5\r\nabcde\r\n/s)
  })

  test('N17 requests in a row are judged one by one, on connections of their own', async () => {
    const { world: made, origin, port } = await world()
    const answer = await new RawClient(port)
      .send(
        get('http://api.example.com/1') +
          post('Content-Length: 3\r\n', 'abc') +
          get('http://other.example.com/3') +
          get('http://evil.test/4') +
          get('http://api.example.com/5'),
      )
      .end()
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 403'])
    expect(origin.received.map((text) => text.split(' ', 2).join(' '))).toEqual(['GET /1', 'POST /', 'GET /3'])
    expect(made.facts.map((fact) => [fact.type, fact.host])).toEqual([
      ['egress_allowed', 'api.example.com'],
      ['egress_allowed', 'api.example.com'],
      ['egress_allowed', 'other.example.com'],
      ['egress_denied', 'evil.test'],
    ])
  })

  test('N16 HTTP/1.0 with keep-alive ends after one request', async () => {
    const { origin, port } = await world()
    const request = 'GET http://api.example.com/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'
    expect(await new RawClient(port).send(request + request).end()).toContain('Connection: close')
    expect(origin.received.length).toBe(1)
  })

  test('a response without a length is chunked for HTTP/1.1 and ends the connection for HTTP/1.0', async () => {
    const { port } = await world({}, 'HTTP/1.1 200 OK\r\n\r\nhello')
    const client = new RawClient(port).send(get('http://api.example.com/') + get('http://api.example.com/'))
    await client.until('0\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n')
    client.socket.destroy()
    const old = await new RawClient(port).send('GET http://api.example.com/ HTTP/1.0\r\n\r\n').end()
    expect(old).toBe('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello')
  })

  test('a response that is cut short does not look finished', async () => {
    const { port } = await world({}, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    expect(await new RawClient(port).send(get('http://api.example.com/')).end()).not.toContain('\r\n0\r\n')
  })

  test.each<[string, string]>([
    ['a second response behind the first', `${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`],
    ['an answer that looks like a denial', OK.replace('Content-Length', 'X-AgentPort-Denied: limit\r\nContent-Length')],
  ])('%s does not reach the client', async (_name, response) => {
    const { port } = await world({}, response)
    const answer = await new RawClient(port).send(get('http://api.example.com/') + get('http://evil.test/')).end()
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 403'])
    expect(answer.match(/x-agentport-denied/gi)?.length).toBe(1)
  })

  test.each<[string, string]>([
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello'],
    ['no HTTP', 'hello\r\n\r\n'],
    ['nothing', ''],
  ])('a server that answers with %s is a failed server', async (_name, response) => {
    const { port } = await world({}, response)
    expect(await new RawClient(port).send(get('http://api.example.com/')).end()).toContain('denied: upstream_failed')
  })

  test('N10 a redirect is passed on and its target judged when it is asked for', async () => {
    const { port } = await world(
      {},
      'HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n',
    )
    const client = new RawClient(port).send(get('http://api.example.com/'))
    await client.until('Location: http://169.254.169.254/')
    client.send(get('http://169.254.169.254/'))
    expect(await client.end()).toContain('x-agentport-denied: host_not_granted')
  })
})

describe('bounds and credentials', () => {
  test('N24 a head that dribbles is given up', async () => {
    const { world: made, port } = await world({ limits: { handshakeMs: 100 } })
    expect(await new RawClient(port).send('GET http://api.exa').end()).toMatch(/^HTTP\/1\.1 408 /)
    expect(made.facts).toEqual([expect.objectContaining({ reason: 'timeout' })])
  })

  test('N24 connections of one box are bounded; the next gets a place when one ends', async () => {
    const { world: made, port } = await world({ limits: { connections: 2 } })
    const [first, second] = [new RawClient(port), new RawClient(port)]
    first.send('G')
    second.send('G')
    await expect.poll(() => made.proxy.connections).toBe(2)
    expect(await new RawClient(port).send(get('http://api.example.com/')).end()).toBe('')
    expect(made.facts).toEqual([expect.objectContaining({ reason: 'limit' })])
    first.socket.destroy()
    await expect.poll(() => made.proxy.connections).toBe(1)
    expect(await new RawClient(port).send(get('http://api.example.com/')).until('hello')).toContain(' 200 ')
    second.socket.destroy()
  })

  test('a limit cannot be raised or taken away', () => {
    for (const connections of [0, -1, 1.5, 257, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => makeWorld({ allow: [], limits: { connections } })).toThrow(TypeError)
    }
    expect(() => makeWorld({ allow: [], limits: { nonsense: 1 } as never })).toThrow(TypeError)
  })

  const basic = (text: string): string => `Proxy-Authorization: Basic ${Buffer.from(text).toString('base64')}\r\n`
  test.each<[string, string]>([
    ['no credential', ''],
    ['that of another box', basic('box:other')],
    ['a prefix of it', basic('box:secre')],
    ['another scheme', basic('box:secret').replace('Basic', 'Bearer')],
    ['two of them', basic('box:secret') + basic('box:secret')],
  ])('N22 %s: 407 for granted and other hosts alike', async (_name, header) => {
    const { world: made, origin, port } = await world({ credential: { user: 'box', password: 'secret' } })
    const answers = await Promise.all(
      ['http://api.example.com/', 'http://evil.test/'].map((url) => new RawClient(port).send(get(url, header)).end()),
    )
    expect(answers[0]).toMatch(/^HTTP\/1\.1 407 .*\r\nProxy-Authenticate: Basic /s)
    expect(answers[1]).toBe(answers[0])
    expect(origin.received).toEqual([])
    expect(made.facts.map((fact) => fact.host)).toEqual(['', ''])
  })

  test('N22 control: with its own credential it is served, and the server does not see it', async () => {
    const { origin, port } = await world({ credential: { user: 'box', password: 'secret' } })
    await new RawClient(port).send(get('http://api.example.com/', basic('box:secret'))).until('hello')
    expect(origin.received[0]).not.toMatch(/authorization/i)
  })

  test('what cannot be recorded is not done', async () => {
    const { origin, port } = await world({
      report: () => {
        throw new Error('disk full')
      },
    })
    expect(await new RawClient(port).send(get('http://api.example.com/')).end()).toContain('denied: unrecorded')
    expect(origin.received.join('')).toBe('')
  })
})
