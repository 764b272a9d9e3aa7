// Frames between the gateway and a skill host: a length, then strict JSON. Each side refuses what is over the bounds before
// it is sent and after it came, so that neither has to trust that the other one did.

import { AgentPortError } from '../../core/errors.ts'
import { type JsonObject, type JsonValue, parseJson } from '../../core/json.ts'
import { LIMITS } from '../../core/limits.ts'
import { copyWithin } from '../../core/plain.ts'

/** The bounds of everything that crosses. None is an option: a bound that can be switched off is not a bound. */
export const FRAME_LIMITS = {
  /** One frame, without its length. */
  frameBytes: 4 * 1024 * 1024,
  /** Everything a skill host sends while one function runs. */
  runBytes: 64 * 1024 * 1024,
  /** Tool calls of one function. */
  calls: 1_000,
  /** Tool calls that have no answer yet. */
  pendingCalls: 16,
  /** Log lines of one function. */
  logLines: 1_000,
  /** Text of one log line. */
  logLength: 4_096,
  /** Bytes on standard error: what the module prints goes elsewhere, so these are the last words of the runtime. */
  errorBytes: 1024 * 1024,
} as const

const HEADER = 4

/** Throws ERR_VALUE_UNREADABLE when the message holds something that is no plain data, or is too large. */
export function encodeFrame(message: unknown): Buffer {
  // The whole message and not its parts: the reader counts depth and values from the outermost brace.
  const copied = copyWithin(message, LIMITS.argumentValues, LIMITS.argumentLength)
  if (!copied.ok) throw new AgentPortError('ERR_VALUE_UNREADABLE', copied.detail)
  const body = Buffer.from(JSON.stringify(copied.value), 'utf8')
  if (body.length > FRAME_LIMITS.frameBytes) {
    throw new AgentPortError('ERR_VALUE_UNREADABLE', `more than ${FRAME_LIMITS.frameBytes} bytes of JSON`)
  }
  const frame = Buffer.allocUnsafe(HEADER + body.length)
  frame.writeUInt32LE(body.length, 0)
  body.copy(frame, HEADER)
  return frame
}

/** Takes bytes as they come. */
export class FrameDecoder {
  #parts: Uint8Array[] = []
  #length = 0

  /** Whether the stream may end here. */
  get isWhole(): boolean {
    return this.#length === 0
  }

  /**
   * The messages that are complete with `chunk`, one by one: what a later frame holds is not read when an earlier one was
   * the end. Throws ERR_VALUE_UNREADABLE or ERR_JSON_INVALID for what is not a frame; the stream is then over.
   */
  *push(chunk: Uint8Array): Generator<JsonObject, void, undefined> {
    this.#parts.push(chunk)
    this.#length += chunk.length
    for (;;) {
      const header = this.#peek(HEADER)
      if (header === undefined) return
      const length = header.readUInt32LE(0)
      // Before a byte of it is kept: a length is four bytes that cost the sender nothing.
      if (length < 2 || length > FRAME_LIMITS.frameBytes) throw malformed('a frame of an impossible length')
      const frame = this.#peek(HEADER + length)
      if (frame === undefined) return
      this.#drop(frame)
      yield messageOf(parseJson(frame.subarray(HEADER)))
    }
  }

  // Joined only when there is enough: a frame that comes byte by byte must not be copied once for each.
  #peek(wanted: number): Buffer | undefined {
    if (this.#length < wanted) return undefined
    const [first] = this.#parts
    if (this.#parts.length > 1 && (first === undefined || first.length < wanted))
      this.#parts = [Buffer.concat(this.#parts)]
    const joined = this.#parts[0] ?? new Uint8Array()
    return Buffer.from(joined.buffer, joined.byteOffset, wanted)
  }

  #drop(frame: Buffer): void {
    const [first = new Uint8Array(), ...others] = this.#parts
    this.#length -= frame.length
    this.#parts = first.length === frame.length ? others : [first.subarray(frame.length), ...others]
  }
}

function messageOf(value: JsonValue): JsonObject {
  const copied = copyWithin(value, LIMITS.argumentValues, LIMITS.argumentLength)
  if (!copied.ok) throw malformed(copied.detail)
  const message = copied.value
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    throw malformed('a frame without an object')
  return message as JsonObject
}

function malformed(detail: string): AgentPortError {
  return new AgentPortError('ERR_VALUE_UNREADABLE', detail)
}
