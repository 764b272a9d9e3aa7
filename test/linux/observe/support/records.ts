// Records of the observer's stream, written by hand.

import type { CallRecord, PathState } from '../../../../src/linux/observe/record.ts'

const STATES: readonly PathState[] = ['unreadable', 'absent', 'file', 'directory', 'other']

export function framed(body: Uint8Array): Uint8Array {
  const size = Buffer.alloc(4)
  size.writeUInt32LE(body.length)
  return Buffer.concat([size, body])
}

export function endBytes(lost: number, how: 0 | 1 | 2, status: number, killed: 0 | 1 = 0): Uint8Array {
  const body = Buffer.alloc(11)
  body[0] = 2
  body.writeUInt32LE(lost, 1)
  body[5] = how
  body.writeUInt32LE(status, 6)
  body[10] = killed
  return framed(body)
}

export function callBytes(record: Omit<CallRecord, 'type'>): Uint8Array {
  const head = Buffer.alloc(22)
  head[0] = 1
  head.writeUInt32LE(record.thread, 1)
  head.writeBigUInt64LE(record.a, 5)
  head.writeBigUInt64LE(record.b, 13)
  head[21] = record.name.length
  const parts = record.parts.map((part) => {
    const size = Buffer.alloc(4)
    size[0] = { named: 1, real: 2, address: 3, datagram: 4 }[part.role]
    size[1] = part.role === 'named' || part.role === 'real' ? STATES.indexOf(part.state) : 0
    size.writeUInt16LE(part.bytes.length, 2)
    return Buffer.concat([size, part.bytes])
  })
  return framed(Buffer.concat([head, Buffer.from(record.name), Buffer.of(parts.length), ...parts]))
}

export const MAGIC: Uint8Array = Buffer.from('APOBSRV1')

/** A call on a path: `named`, and what it resolves to where that differs. */
export function onPath(
  name: string,
  named: string,
  state: PathState,
  options: { readonly a?: bigint; readonly real?: string } = {},
): CallRecord {
  const { a = 0n, real } = options
  return {
    type: 'call',
    thread: 1,
    name,
    a,
    b: 0n,
    parts: [
      { role: 'named', state, bytes: Buffer.from(named) },
      ...(real === undefined ? [] : [{ role: 'real', state, bytes: Buffer.from(real) } as const]),
    ],
  }
}

/** A sockaddr_in in network byte order. */
export function ipv4(address: string, port: number): Uint8Array {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(2)
  bytes.writeUInt16BE(port, 2)
  address.split('.').forEach((byte, index) => {
    bytes[4 + index] = Number(byte)
  })
  return bytes
}

export function onSocket(name: string, type: 1 | 2, address: Uint8Array): CallRecord {
  const a = BigInt(type)
  return { type: 'call', thread: 1, name, a, b: 2n, parts: [{ role: 'address', bytes: address }] }
}

/** A name server's answer: one question, and its A records behind a pointer to it. */
export function dnsAnswer(name: string, addresses: readonly string[]): Uint8Array {
  const head = Buffer.from([0x12, 0x34, 0x81, 0x80, 0, 1, 0, addresses.length, 0, 0, 0, 0])
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]))
  const question = Buffer.concat([...labels, Buffer.from([0, 0, 1, 0, 1])])
  const answers = addresses.map((address) =>
    Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split('.').map(Number)]),
  )
  return Buffer.concat([head, question, ...answers])
}
