// The stream of the observer (native/observer.c, version 1) → records. Strict and bounded: the observed program decides how
// many records there are and every byte of the paths in them, so what does not fit the format ends the reading for good.

const MAGIC = 'APOBSRV1'
/** Four paths of PATH_MAX and what surrounds them. */
const RECORD_BYTES = 20_480
const CALL_NAME = /^[a-z][a-z0-9_]{0,31}$/

/** State of a path just before the call. */
export type PathState = 'unreadable' | 'absent' | 'file' | 'directory' | 'other'

export type RecordPart =
  /** `real`: with every symbolic link followed that the call follows. `named`: absolute, else as the program wrote it. */
  | { readonly role: 'named' | 'real'; readonly state: PathState; readonly bytes: Uint8Array }
  | { readonly role: 'address' | 'datagram'; readonly bytes: Uint8Array }

/** What a call means is for the reader to know; `a` and `b` are raw argument words, or type and domain of a socket. */
export interface CallRecord {
  readonly type: 'call'
  readonly thread: number
  readonly name: string
  readonly a: bigint
  readonly b: bigint
  readonly parts: readonly RecordPart[]
}

export interface EndRecord {
  readonly type: 'end'
  readonly lost: number
  readonly how: 'exited' | 'signal' | 'not_started'
  /** Exit code, number of the signal, or errno. */
  readonly status: number
  /** Whether processes were left behind by the command, and ended. */
  readonly killed: boolean
}

export type ObserverRecord = CallRecord | EndRecord | { readonly type: 'failure'; readonly text: string }

const STATES: readonly PathState[] = ['unreadable', 'absent', 'file', 'directory', 'other']
const ENDS: readonly EndRecord['how'][] = ['exited', 'signal', 'not_started']

/** Cuts the stream into records, however the bytes arrive. Never throws. */
export class RecordReader {
  #waiting: Uint8Array = new Uint8Array(0)
  #state: 'magic' | 'records' | 'ended' | 'broken' = 'magic'

  /** The stream held to its format so far. Once false, nothing more is read. */
  get sound(): boolean {
    return this.#state !== 'broken'
  }

  /** The last record was there, and nothing after it. */
  get ended(): boolean {
    return this.#state === 'ended'
  }

  /** The records that `chunk` completes. */
  push(chunk: Uint8Array): readonly ObserverRecord[] {
    const found: ObserverRecord[] = []
    if (this.#state === 'broken' || chunk.length === 0) return found
    const bytes = this.#waiting.length === 0 ? chunk : join(this.#waiting, chunk)
    let at = 0
    if (this.#state === 'magic') {
      if (bytes.length < MAGIC.length) {
        this.#waiting = bytes.slice()
        return found
      }
      at = MAGIC.length
      this.#state = latin1(bytes.subarray(0, at)) === MAGIC ? 'records' : 'broken'
    }
    while (this.#state === 'records' && bytes.length - at >= 4) {
      const length = view(bytes).getUint32(at, true)
      if (length === 0 || length > RECORD_BYTES) {
        this.#state = 'broken'
        break
      }
      if (bytes.length - at - 4 < length) break
      const record = readRecord(bytes.subarray(at + 4, at + 4 + length))
      at += 4 + length
      if (record === undefined) this.#state = 'broken'
      else {
        found.push(record)
        if (record.type !== 'call') this.#state = 'ended'
      }
    }
    if (this.#state === 'ended' && at < bytes.length) this.#state = 'broken'
    this.#waiting = this.#state === 'records' ? bytes.slice(at) : new Uint8Array(0)
    return found
  }
}

function readRecord(bytes: Uint8Array): ObserverRecord | undefined {
  const data = view(bytes)
  switch (bytes[0]) {
    case 1:
      return readCall(bytes, data)
    case 2: {
      const how = ENDS[bytes[5] ?? ENDS.length]
      const killed = bytes[10]
      if (bytes.length !== 11 || how === undefined || (killed !== 0 && killed !== 1)) return undefined
      return { type: 'end', lost: data.getUint32(1, true), how, status: data.getUint32(6, true), killed: killed === 1 }
    }
    case 3:
      return { type: 'failure', text: latin1(bytes.subarray(1, 513)) }
    default:
      return undefined
  }
}

function readCall(bytes: Uint8Array, data: DataView): CallRecord | undefined {
  if (bytes.length < 23) return undefined
  const nameEnd = 22 + (bytes[21] ?? 0)
  const name = latin1(bytes.subarray(22, nameEnd))
  const count = bytes[nameEnd]
  if (!CALL_NAME.test(name) || count === undefined || count > 4) return undefined
  const parts: RecordPart[] = []
  let at = nameEnd + 1
  for (let index = 0; index < count; index++) {
    if (bytes.length - at < 4) return undefined
    const end = at + 4 + data.getUint16(at + 2, true)
    if (end > bytes.length) return undefined
    const part = readPart(bytes[at], bytes[at + 1], bytes.slice(at + 4, end))
    if (part === undefined) return undefined
    parts.push(part)
    at = end
  }
  if (at !== bytes.length) return undefined
  const thread = data.getUint32(1, true)
  return { type: 'call', thread, name, a: data.getBigUint64(5, true), b: data.getBigUint64(13, true), parts }
}

function readPart(role: number | undefined, number: number | undefined, bytes: Uint8Array): RecordPart | undefined {
  if (role === 3 || role === 4) return { role: role === 3 ? 'address' : 'datagram', bytes }
  const state = STATES[number ?? STATES.length]
  if ((role !== 1 && role !== 2) || state === undefined) return undefined
  return { role: role === 1 ? 'named' : 'real', state, bytes }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
