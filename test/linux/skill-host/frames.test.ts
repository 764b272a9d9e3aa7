import fc from 'fast-check'
import { expect, test } from 'vitest'

import { AgentPortError } from '../../../src/core/errors.ts'
import type { JsonObject } from '../../../src/core/json.ts'
import { encodeFrame, FRAME_LIMITS, FrameDecoder } from '../../../src/linux/skill-host/frames.ts'
import { readHostMessage } from '../../../src/linux/skill-host/messages.ts'

function decode(chunks: readonly Uint8Array[]): readonly JsonObject[] {
  const decoder = new FrameDecoder()
  const found = chunks.flatMap((chunk) => [...decoder.push(chunk)])
  expect(decoder.isWhole).toBe(true)
  return found
}

/** `bytes` in pieces that end at these places. */
function cut(bytes: Uint8Array, places: readonly number[]): readonly Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length))
}

function framed(text: string | Uint8Array): Buffer {
  const body = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text)
  const head = Buffer.alloc(4)
  head.writeUInt32LE(body.length)
  return Buffer.concat([head, body])
}

const message = fc.dictionary(
  fc.string({ unit: 'grapheme' }).filter((key) => key !== '__proto__'),
  fc.jsonValue({ depthSize: 'medium' }).map((value) => JSON.parse(JSON.stringify(value)) as never),
)

/** Whether the same codec takes it; some numbers of JSON have no exact meaning and are refused. */
function plain(value: object): boolean {
  try {
    encodeFrame(value)
    return true
  } catch {
    return false
  }
}

test('what is encoded is decoded, however it is cut', () => {
  fc.assert(
    fc.property(fc.array(message.filter(plain), { maxLength: 5 }), fc.array(fc.nat()), (messages, places) => {
      const bytes = Buffer.concat(messages.map((one) => encodeFrame(one)))
      // As text: parsed objects keep -0 and prototypes apart in ways that JSON does not.
      expect(decode(cut(bytes, places)).map((one) => JSON.stringify(one))).toEqual(
        messages.map((one) => JSON.stringify(one)),
      )
    }),
  )
})

test('any bytes are frames or a coded error, and what is kept stays within one frame', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
      const decoder = new FrameDecoder()
      try {
        for (const chunk of chunks) for (const one of decoder.push(chunk)) readHostMessage(one)
      } catch (error) {
        expect(error).toBeInstanceOf(AgentPortError)
      }
    }),
    { numRuns: 2000 },
  )
})

test('any frame of JSON is a message or a coded error', () => {
  fc.assert(
    fc.property(
      fc.record(
        {
          type: fc.constantFrom('ready', 'log', 'call', 'done', 'failed', 'x', 1),
          id: fc.oneof(fc.integer({ min: -1, max: 3 }), fc.double(), fc.string()),
          tool: fc.oneof(fc.string(), fc.constant('a_tool')),
          args: fc.jsonValue(),
          value: fc.jsonValue(),
          stream: fc.constantFrom('stdout', 'stderr', 'log', 'stdin'),
          text: fc.oneof(fc.string(), fc.integer()),
          at: fc.constantFrom('load', 'run', 'result', 'x'),
          message: fc.string(),
        },
        { requiredKeys: ['type'] },
      ),
      (value) => {
        try {
          const [parsed] = decode([framed(JSON.stringify(value))])
          const read = readHostMessage(parsed as JsonObject)
          // Every member is there, and no other.
          expect(Object.keys(read).sort()).toEqual(Object.keys(value).sort())
        } catch (error) {
          expect(error).toBeInstanceOf(AgentPortError)
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test.each<readonly [string, Uint8Array]>([
  ['an empty frame', framed('')],
  ['one byte', framed('1')],
  ['a list', framed('[]')],
  ['null', framed('null')],
  ['bytes that are no UTF-8', framed(new Uint8Array([0x7b, 0xff, 0x7d]))],
  ['duplicate keys', framed('{"a":1,"a":2}')],
  ['__proto__', framed('{"__proto__":{}}')],
  ['two values', framed('{}{}')],
  ['too deep', framed(`{"a":${'['.repeat(64)}${']'.repeat(64)}}`)],
  ['too many values', framed(`{"a":[${'0,'.repeat(20_000)}0]}`)],
  ['a length beyond the bound', framed('{}').fill(0xff, 0, 4)],
])('%s is refused', (_, bytes) => {
  expect(() => [...new FrameDecoder().push(bytes)]).toThrow(AgentPortError)
})

test('a length beyond the bound is refused before its bytes come', () => {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(FRAME_LIMITS.frameBytes + 1)
  expect(() => [...new FrameDecoder().push(head)]).toThrow('impossible length')
})

test('a frame that comes byte by byte takes no more than its length', () => {
  const bytes = encodeFrame({ text: 'x'.repeat(200_000) })
  const decoder = new FrameDecoder()
  const from = performance.now()
  let found = 0
  for (let at = 0; at < bytes.length; at++) for (const _ of decoder.push(bytes.subarray(at, at + 1))) found += 1
  expect(found).toBe(1)
  expect(performance.now() - from).toBeLessThan(5_000)
})

test.each<readonly [string, unknown]>([
  ['a Date', { at: new Date() }],
  ['undefined', { at: undefined }],
  ['a function', { at: () => 1 }],
  ['a bigint', { at: 1n }],
  ['NaN', { at: Number.NaN }],
  ['half a surrogate pair', { at: '\ud800' }],
  ['too much text', { at: 'x'.repeat(5_000_000) }],
  ['text that is too much as bytes', { at: '\u0001'.repeat(1_000_000) }],
])('%s does not get out', (_, value) => {
  expect(() => encodeFrame(value)).toThrow(expect.objectContaining({ code: 'ERR_VALUE_UNREADABLE' }))
})
