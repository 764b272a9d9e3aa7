// Every parser of the proxy under random input: none throws, and none depends on where the input was cut into pieces.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { ClientHelloReader } from '../../../src/linux/egress/client-hello.ts'
import { decideDns, dnsAnswer, parseDns } from '../../../src/linux/egress/dns.ts'
import { carriedBy } from '../../../src/linux/egress/first-bytes.ts'
import { BodyReader } from '../../../src/linux/egress/http-body.ts'
import { HeadReader } from '../../../src/linux/egress/http-head.ts'
import { absoluteTarget, connectTarget, originTarget } from '../../../src/linux/egress/http-target.ts'
import { parseCredential, parseGreeting, parseRequest } from '../../../src/linux/egress/socks5.ts'
import { fuzzRuns } from '../../support/fuzz.ts'
import { clientHello, serverName } from './support.ts'

const runs = { numRuns: fuzzRuns(300) }

/** Input that is nearly right: pieces of the grammar in any order, with bytes changed here and there. */
function nearly(pieces: readonly (string | Uint8Array)[], maxLength = 12): fc.Arbitrary<Buffer> {
  const piece = fc.constantFrom(...pieces).map((one) => (typeof one === 'string' ? Buffer.from(one, 'latin1') : one))
  const change = fc.tuple(fc.nat(400), fc.nat(255))
  return fc.tuple(fc.array(piece, { maxLength }), fc.array(change, { maxLength: 3 })).map(([parts, changes]) => {
    const bytes = Buffer.concat(parts)
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
    return bytes
  })
}

const cuts = fc.array(fc.nat(600), { maxLength: 8 })

function split(bytes: Uint8Array, at: readonly number[]): readonly Uint8Array[] {
  const points = [0, ...at.filter((cut) => cut <= bytes.length).sort((a, b) => a - b), bytes.length]
  return points.slice(1).map((end, index) => bytes.subarray(points[index], end))
}

const HEADS = [
  'GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n',
  'POST / HTTP/1.1\r\n',
  'CONNECT api.example.com:443 HTTP/1.1\r\n',
  'Host: api.example.com\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Connection: close, x\r\n',
  'X: \t y \t\r\n',
  '\r\n',
  '\n',
  '\r',
  ' ',
  ':',
  '\0',
  '\xff',
]

/** State, what was understood, and the bytes that were not part of it. */
function readHead(pieces: readonly Uint8Array[], size: number): unknown {
  const reader = new HeadReader(300, 5)
  let before = 0
  for (const piece of pieces) {
    const progress = reader.push(piece)
    if (progress.state === 'head') return { head: progress.head, rest: size - before - progress.used }
    if (progress.state === 'refused') return progress
    before += piece.length
  }
  return 'incomplete'
}

function readBody(chunked: boolean, pieces: readonly Uint8Array[]): unknown {
  const reader = new BodyReader(chunked ? { kind: 'chunked' } : { kind: 'length', bytes: 20 })
  const content: Uint8Array[] = []
  let used = 0
  let state = 'incomplete'
  for (const piece of pieces) {
    const progress = reader.push(piece)
    content.push(...progress.content)
    used += progress.used
    state = progress.state
    if (state !== 'incomplete') break
  }
  return { content: Buffer.concat(content).toString('latin1'), used, state }
}

function readHello(pieces: readonly Uint8Array[]): unknown {
  const reader = new ClientHelloReader(400)
  let progress: unknown = 'none'
  for (const piece of pieces) progress = reader.push(piece)
  return progress
}

describe('cut anywhere, the answer is the same', () => {
  test('a request head', () => {
    let heads = 0
    fc.assert(
      fc.property(nearly(HEADS), cuts, (bytes, at) => {
        const whole = readHead([bytes], bytes.length)
        if (typeof whole === 'object' && whole !== null && 'head' in whole) heads++
        expect(readHead(split(bytes, at), bytes.length)).toEqual(whole)
        expect(readHead(split(bytes, [...bytes.keys()]), bytes.length)).toEqual(whole)
      }),
      runs,
    )
    // Neither vacuous nor fed with correct heads alone.
    const right = Buffer.from(`${HEADS[0]}\r\nrest`)
    expect(readHead([right], right.length)).toMatchObject({ rest: 4, head: { method: 'GET' } })
    expect(heads).toBeLessThan(runs.numRuns)
  })

  test('a body', () => {
    const pieces = [
      '5\r\nhello\r\n',
      'a\r\n0123456789\r\n',
      '0\r\n\r\n',
      '0\r\n',
      '5;x\r\n',
      'ffffffff\r\n',
      '\r\n',
      '0',
      'x',
    ]
    fc.assert(
      fc.property(nearly(pieces), cuts, fc.boolean(), (bytes, at, chunked) => {
        const whole = readBody(chunked, [bytes])
        expect(readBody(chunked, split(bytes, at))).toEqual(whole)
        expect(readBody(chunked, split(bytes, [...bytes.keys()]))).toEqual(whole)
      }),
      runs,
    )
    expect(readBody(true, [Buffer.from('5\r\nhello\r\n0\r\n\r\nrest')])).toEqual({
      content: 'hello',
      used: 15,
      state: 'complete',
    })
  })

  test('a body comes out as it went in, and what follows is left alone', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 5 }), cuts, (parts, at) => {
        const frames = parts.map((part) =>
          Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]),
        )
        const framed = Buffer.concat([...frames, Buffer.from('0\r\n\r\n')])
        const content = Buffer.concat(parts).toString('latin1')
        const read = readBody(true, split(Buffer.concat([framed, Buffer.from('GET /')]), at))
        expect(read).toEqual({ content, used: framed.length, state: 'complete' })
      }),
      runs,
    )
  })

  test('a client hello', () => {
    const good = clientHello([serverName('api.example.com'), [0xfe0d, Buffer.alloc(9)]])
    const extension = fc.tuple(fc.constantFrom(0, 0, 16, 0xfe0d), fc.uint8Array({ maxLength: 20 }))
    const made = fc
      .tuple(fc.array(extension, { maxLength: 4 }), fc.integer({ min: 1, max: 100 }))
      .map(([extensions, size]) => clientHello(extensions, size))
    const input = fc.oneof(
      nearly([good], 2),
      made,
      nearly([good.subarray(0, 60), good.subarray(60), Buffer.from([22, 3, 1, 0, 0])]),
    )
    fc.assert(
      fc.property(input, cuts, (bytes, at) => {
        const whole = readHello([bytes])
        expect(readHello([Buffer.alloc(0), ...split(bytes, at)])).toEqual(whole)
        expect(readHello([Buffer.alloc(0), ...split(bytes, [...bytes.keys()])])).toEqual(whole)
      }),
      runs,
    )
    for (const size of [1, 2, 5, 100]) {
      const bytes = clientHello([serverName('api.example.com'), [0xfe0d, Buffer.alloc(9)]], size)
      expect(new ClientHelloReader(4096).push(bytes)).toEqual({
        state: 'hello',
        hello: { serverName: 'api.example.com', encrypted: true },
      })
    }
  })

  test('no part of a client hello is enough, and no length inside it may lie', () => {
    const good = clientHello([serverName('api.example.com'), [16, Buffer.from([0, 3, 2, 0x68, 0x32])]])
    for (let end = 0; end < good.length; end++) {
      expect(new ClientHelloReader(4096).push(good.subarray(0, end))).toEqual({ state: 'incomplete' })
    }
    // Lengths: record, message, session id, suites, compressions, extensions, and the three of the server name.
    for (const at of [4, 8, 43, 45, 48, 51, 55, 57, 60]) {
      for (const change of [-1, 1]) {
        const bytes = Buffer.from(good)
        bytes[at] = (bytes[at] ?? 0) + change
        const progress = new ClientHelloReader(4096).push(bytes)
        expect(progress.state, `${at} ${change}`).not.toBe('hello')
      }
    }
  })

  test('what the first bytes say does not change once it is said', () => {
    const pieces = ['GET ', 'P', 'SSH-2.0', ' HTTP/1.1', '\r\n', '\x16', '\x03', '\xff', 'x', ' ']
    fc.assert(
      fc.property(nearly(pieces), (bytes) => {
        let said: string | undefined
        for (let end = 0; end <= bytes.length; end++) {
          const now = carriedBy(bytes.subarray(0, end))
          if (said !== undefined) expect(now).toBe(said)
          said = now
        }
      }),
      runs,
    )
  })
})

describe('SOCKS messages', () => {
  const pieces = [
    Buffer.from([5, 1, 0]),
    Buffer.from([5, 2, 0, 2]),
    Buffer.from([1, 3, 98, 111, 120, 1, 120]),
    Buffer.from([5, 1, 0, 1, 11, 0, 0, 1, 1, 187]),
    Buffer.from([5, 1, 0, 3, 5, 97, 46, 98, 46, 99, 1, 187]),
    Buffer.from([5, 1, 0, 4, ...Array(16).fill(9), 1, 187]),
    Buffer.from([0]),
    Buffer.from([255]),
  ]
  const parsers = [
    (bytes: Uint8Array) => parseGreeting(bytes, false),
    (bytes: Uint8Array) => parseGreeting(bytes, true),
    parseCredential,
    parseRequest,
  ]

  test('more bytes never change an answer', () => {
    fc.assert(
      fc.property(nearly(pieces, 4), fc.constantFrom(...parsers), (bytes, parse) => {
        let said: unknown
        for (let end = 0; end <= bytes.length; end++) {
          const now = parse(bytes.subarray(0, end))
          if (said !== undefined) expect(now).toEqual(said)
          if (now.state !== 'incomplete') said = now
        }
      }),
      runs,
    )
  })
})

describe('DNS messages', () => {
  test('any bytes are a question, a fault or not to be answered', () => {
    const pieces = [
      Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]),
      Buffer.from([3, 97, 112, 105, 4, 116, 101, 115, 116, 0]),
      Buffer.from([0, 1, 0, 1]),
      Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]),
      Buffer.from([0xc0, 12]),
      Buffer.from([63]),
    ]
    let questions = 0
    const check = (bytes: Uint8Array): void => {
      const parsed = parseDns(bytes)
      if (!parsed.ok) return
      questions++
      const decision = decideDns(
        parsed.question,
        () => true,
        () => 0x7f400001,
      )
      const answer = dnsAnswer(parsed.question, decision.code, 'address' in decision ? decision.address : undefined)
      expect(answer.length).toBeLessThan(512)
      expect(parseDns(answer).ok).toBe(false)
    }
    fc.assert(fc.property(nearly(pieces, 5), check), runs)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), check), runs)
    const plain = Buffer.concat([pieces[0], pieces[2], pieces[3]].map((piece) => piece ?? Buffer.alloc(0)))
    check(plain)
    check(Buffer.concat([pieces[1] ?? plain, pieces[2] ?? plain, pieces[3] ?? plain, pieces[4] ?? plain]))
    expect(questions).toBeGreaterThanOrEqual(2)
    expect(parseDns(Buffer.concat([plain, Buffer.from([0])])).ok).toBe(false)
  })
})

describe('targets', () => {
  test('none throws, and each is what a URL parser makes of it too', () => {
    const text = fc
      .array(
        fc.constantFrom(
          'http://',
          'HTTP://',
          'api.example.com',
          'evil.test',
          '@',
          ':',
          '80',
          '443',
          '/',
          '//',
          '..',
          '%2e',
          '%',
          '#',
          '?',
          '\\',
          '[::1]',
          '127.1',
          ';',
          ',',
        ),
        { maxLength: 7 },
      )
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(text, text, (target, host) => {
        const head = {
          method: 'GET',
          target,
          version: '1.1',
          fields: [],
          host,
          body: { kind: 'length', bytes: 0 },
          close: false,
        } as const
        const absolute = absoluteTarget(head)
        if (absolute !== undefined) {
          const [asTarget, asHost] = [new URL(target), new URL(`http://${host}/`)]
          for (const url of [asTarget, asHost]) {
            expect(url.hostname.replace(/^\[|\]$|\.$/g, '')).toBe(absolute.host.text)
            expect(Number(url.port || 80)).toBe(absolute.port)
          }
        }
        connectTarget(head)
        const origin = originTarget(head, { kind: 'name', text: 'api.example.com' }, 80)
        if (typeof origin === 'object') expect(origin.host.text).toBe('api.example.com')
      }),
      { numRuns: fuzzRuns(2000) },
    )
  })
})
