// The stream of the observer: every byte of it may have been chosen by the observed program, so nothing but the exact format
// is read, and nothing makes the reader throw.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { readDnsAnswer } from '../../../src/linux/observe/dns-answer.ts'
import { type CallRecord, type ObserverRecord, RecordReader } from '../../../src/linux/observe/record.ts'
import { readSocketAddress } from '../../../src/linux/observe/socket-address.ts'
import { callBytes, dnsAnswer, endBytes, framed, ipv4, MAGIC } from './support/records.ts'

function readAll(bytes: Uint8Array, cuts: readonly number[] = []): { records: ObserverRecord[]; reader: RecordReader } {
  const reader = new RecordReader()
  const records: ObserverRecord[] = []
  let from = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    const to = Math.min(cut, bytes.length)
    records.push(...reader.push(bytes.subarray(from, Math.max(from, to))))
    from = Math.max(from, to)
  }
  records.push(...reader.push(bytes.subarray(from)))
  return { records, reader }
}

const path = fc.uint8Array({ maxLength: 300 })
const part: fc.Arbitrary<CallRecord['parts'][number]> = fc.oneof(
  fc.record({
    role: fc.constantFrom('named', 'real'),
    state: fc.constantFrom('unreadable', 'absent', 'file', 'directory', 'other'),
    bytes: path,
  }),
  fc.record({ role: fc.constantFrom('address', 'datagram'), bytes: path }),
)
const call: fc.Arbitrary<CallRecord> = fc.record({
  type: fc.constant('call'),
  thread: fc.nat(),
  name: fc.constantFrom('openat', 'execve', 'connect', 'x'),
  a: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  b: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  parts: fc.array(part, { maxLength: 4 }),
})

describe('records', () => {
  test('what was written is read, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(call, { maxLength: 8 }), fc.array(fc.nat(4000), { maxLength: 8 }), (calls, cuts) => {
        const stream = Buffer.concat([MAGIC, ...calls.map(callBytes), endBytes(3, 1, 15, 1)])
        const { records, reader } = readAll(stream, cuts)
        const plain = records.map((one) =>
          one.type === 'call'
            ? { ...one, parts: one.parts.map((p) => ({ ...p, bytes: new Uint8Array(p.bytes) })) }
            : one,
        )
        expect(plain).toEqual([...calls, { type: 'end', lost: 3, how: 'signal', status: 15, killed: true }])
        expect([reader.sound, reader.ended]).toEqual([true, true])
      }),
    )
  })

  test('no bytes make the reader throw, and a broken stream stays broken', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 })), fc.boolean(), (chunks, magic) => {
        const reader = new RecordReader()
        if (magic) reader.push(MAGIC)
        for (const chunk of chunks) reader.push(chunk)
        if (!reader.sound) expect(reader.push(endBytes(0, 0, 0))).toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  test('one changed byte never makes a record of another kind out of a call', () => {
    const one = callBytes({
      thread: 7,
      name: 'openat',
      a: 1n,
      b: 2n,
      parts: [{ role: 'address', bytes: ipv4('10.0.0.1', 80) }],
    })
    fc.assert(
      fc.property(fc.nat(one.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = Buffer.concat([MAGIC, one, endBytes(0, 0, 0)])
        bytes[MAGIC.length + at] = (bytes[MAGIC.length + at] ?? 0) ^ change
        const { records, reader } = readAll(bytes)
        if (!reader.sound || !reader.ended) return
        expect(records.at(-1)?.type).not.toBe('call')
        expect(records.length).toBeLessThanOrEqual(2)
      }),
    )
  })

  const good = callBytes({ thread: 1, name: 'openat', a: 0n, b: 0n, parts: [] })
  test.each([
    ['another version', Buffer.concat([Buffer.from('APOBSRV2'), good])],
    ['a record without a type', Buffer.concat([MAGIC, framed(new Uint8Array(0))])],
    ['an unknown type', Buffer.concat([MAGIC, framed(Uint8Array.of(9))])],
    ['a length beyond any record', Buffer.concat([MAGIC, Buffer.from([0, 0, 0, 1])])],
    ['bytes after the end', Buffer.concat([MAGIC, endBytes(0, 0, 0), good])],
    ['a call with bytes left over', Buffer.concat([MAGIC, framed(Buffer.concat([good.subarray(4), Buffer.of(0)]))])],
    ['a call with bytes missing', Buffer.concat([MAGIC, framed(good.subarray(4, good.length - 1))])],
    ['a name that is none', Buffer.concat([MAGIC, callBytes({ thread: 1, name: 'Open At', a: 0n, b: 0n, parts: [] })])],
    ['an end of an unknown kind', Buffer.concat([MAGIC, endBytes(0, 3 as 0, 0)])],
  ])('%s is refused', (_name, bytes) => {
    const { records, reader } = readAll(bytes)
    expect(reader.sound).toBe(false)
    expect(records.filter(({ type }) => type === 'call')).toEqual([])
  })

  test('a stream that just stops has not ended', () => {
    const { reader } = readAll(Buffer.concat([MAGIC, good]))
    expect([reader.sound, reader.ended]).toEqual([true, false])
  })
})

describe('addresses', () => {
  const v6 = (groups: readonly number[], port: number): Uint8Array => {
    const bytes = Buffer.alloc(28)
    bytes.writeUInt16LE(10)
    bytes.writeUInt16BE(port, 2)
    groups.forEach((group, index) => void bytes.writeUInt16BE(group, 8 + 2 * index))
    return bytes
  }

  test.each([
    ['ipv4', ipv4('192.0.2.7', 443), { family: 'inet', address: '192.0.2.7', port: 443 }],
    ['ipv6', v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 8443), { family: 'inet', address: '2001:db8::1', port: 8443 }],
    ['mapped', v6([0, 0, 0, 0, 0, 0xffff, 0x0a00, 1], 80), { family: 'inet', address: '10.0.0.1', port: 80 }],
    ['short ipv4', ipv4('192.0.2.7', 443).subarray(0, 7), { family: 'other' }],
    ['AF_UNSPEC', Buffer.alloc(16), { family: 'other' }],
    ['nothing', Buffer.alloc(0), { family: 'other' }],
    ['abstract', Buffer.from([1, 0, 0, 65]), { family: 'unix' }],
  ])('%s', (_name, bytes, address) => {
    expect(readSocketAddress(bytes)).toEqual(address)
  })

  test('no bytes make it throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 130 }), (bytes) => void readSocketAddress(bytes)))
  })
})

describe('answers of name servers', () => {
  test('the name asked for and its addresses', () => {
    expect(readDnsAnswer(dnsAnswer('API.Example.com', ['192.0.2.1', '192.0.2.2']))).toEqual({
      name: 'api.example.com',
      addresses: ['192.0.2.1', '192.0.2.2'],
    })
  })

  const answer = dnsAnswer('a.example', ['192.0.2.1'])
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = Buffer.from(answer)
    bytes[at] = value
    return bytes
  }
  test.each([
    ['a question', changed(2, 0x01)],
    ['an error', changed(3, 0x83)],
    ['a truncated answer', changed(2, 0x83)],
    ['two questions', changed(5, 2)],
    ['more records than there are', changed(7, 2)],
    ['a name that points at itself', changed(answer.length - 15, answer.length - 16)],
    ['a cut answer', answer.subarray(0, answer.length - 1)],
  ])('%s is not read', (_name, bytes) => {
    expect(readDnsAnswer(bytes)).toBeUndefined()
  })

  test('no bytes make it throw or run long', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void readDnsAnswer(bytes)))
    const loop = Buffer.concat([answer.subarray(0, 12), Buffer.from([0xc0, 12]), Buffer.alloc(20)])
    expect(readDnsAnswer(loop)).toBeUndefined()
  })
})
