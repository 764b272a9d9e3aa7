// Strict JSON (RFC 8259): a text that two readers could understand differently is refused, not repaired. JSON.parse
// keeps the last of two duplicate keys, rounds large integers and nests without bound; this reader does not.

import { AgentPortError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { LineTable } from './lines.ts'
import { addMember } from './member.ts'
import { FlawList, type Place, type Reading, StopReading } from './places.ts'
import { formatPointer } from './pointer.ts'
import { printable } from './text.ts'
import { firstLoneSurrogate, isWellFormed } from './wellformed.ts'

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject

export interface JsonObject {
  readonly [key: string]: JsonValue
}

/**
 * The value of a JSON text. Refuses, beyond what RFC 8259 calls malformed: duplicate keys, a `__proto__` key, a byte
 * order mark, invalid UTF-8, lone surrogates, numbers that would silently become others, and what is over LIMITS.
 *
 * @throws AgentPortError `ERR_JSON_INVALID`; the message begins with `line:column:`.
 */
export function parseJson(text: string | Uint8Array): JsonValue {
  const source = typeof text === 'string' ? text : decodeUtf8(text)
  const reading = readJson(source, false)
  if (reading.ok) return reading.value
  const [flaw] = reading.flaws
  const { line, column } = new LineTable(source).position(flaw?.offset ?? 0)
  throw new AgentPortError('ERR_JSON_INVALID', `${line}:${column}: ${flaw?.message ?? 'refused'}`)
}

function decodeUtf8(bytes: Uint8Array): string {
  if (!ArrayBuffer.isView(bytes)) throw new TypeError('parseJson takes a string or a Uint8Array')
  // No UTF-8 text has more code units than bytes; three bytes a unit is the most a text within the limit can need.
  if (bytes.byteLength > 3 * LIMITS.documentLength) throw new AgentPortError('ERR_JSON_INVALID', `1:1: ${TOO_LONG}`)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new AgentPortError('ERR_JSON_INVALID', '1:1: the text is not valid UTF-8', { cause })
  }
}

const TOO_LONG = `longer than ${LIMITS.documentLength} characters`

/**
 * Reads `text` and says all that is wrong with its keys and numbers; malformed syntax and limits end it at the first.
 * With `keepPlaces` the reading knows where each value stands, otherwise its `root` is 0.
 */
export function readJson(text: string, keepPlaces: boolean): Reading {
  const flaws = new FlawList()
  try {
    return new JsonReader(text, keepPlaces, flaws).read()
  } catch (error) {
    if (error instanceof StopReading) return flaws.failure()
    throw error
  }
}

class JsonReader {
  readonly #text: string
  readonly #keepPlaces: boolean
  readonly #flaws: FlawList
  /** Keys and indices from the root to the value being read; only `#known` of them are current. */
  readonly #path: (string | number)[] = []
  #known = 0
  #depth = 0
  #at = 0
  #values = 0
  /** Place of the value read last: a second result of `#value` that costs no allocation. */
  #place: Place = 0

  constructor(text: string, keepPlaces: boolean, flaws: FlawList) {
    this.#text = text
    this.#keepPlaces = keepPlaces
    this.#flaws = flaws
  }

  read(): Reading {
    const text = this.#text
    if (text.length > LIMITS.documentLength) this.#stop('too_large', 0, TOO_LONG)
    if (text.charCodeAt(0) === 0xfeff) {
      this.#stop('syntax_error', 0, 'the text begins with a byte order mark', 'save it as UTF-8 without one')
    }
    // Checked once for the whole text, so that only \u escapes have to be looked at again.
    if (!isWellFormed(text)) this.#stop('syntax_error', firstLoneSurrogate(text), LONE_SURROGATE)
    this.#skipSpace()
    const value = this.#value()
    this.#skipSpace()
    if (this.#at < text.length) this.#unexpected('expected the end of the text after the value')
    return this.#flaws.reading(value, this.#place)
  }

  #value(): JsonValue {
    const start = this.#at
    if (++this.#values > LIMITS.documentValues) {
      this.#stop('too_large', start, `more than ${LIMITS.documentValues} values`)
    }
    const code = this.#text.charCodeAt(start)
    let value: JsonValue
    switch (code) {
      case 0x22:
        value = this.#string()
        break
      case 0x7b:
        return this.#object()
      case 0x5b:
        return this.#array()
      case 0x74:
        value = this.#word('true', true)
        break
      case 0x66:
        value = this.#word('false', false)
        break
      case 0x6e:
        value = this.#word('null', null)
        break
      default:
        if (code !== 0x2d && !isDigit(code)) this.#unexpected('expected a value')
        value = this.#number()
    }
    this.#place = start
    return value
  }

  #object(): JsonValue {
    const start = this.#at
    const object: Record<string, JsonValue> = {}
    const place = this.#keepPlaces ? { start, names: [], keys: [], values: [] } : undefined
    this.#enter(start)
    this.#skipSpace()
    if (!this.#take(0x7d)) {
      do {
        this.#skipSpace()
        this.#member(object, place)
        this.#skipSpace()
      } while (this.#take(0x2c))
      if (!this.#take(0x7d)) this.#unexpected('expected , or } after a member')
    }
    this.#known = --this.#depth
    this.#place = place ?? 0
    return object
  }

  #member(
    object: Record<string, JsonValue>,
    place: { names: string[]; keys: number[]; values: Place[] } | undefined,
  ): void {
    const keyAt = this.#at
    this.#known = this.#depth - 1
    if (this.#text.charCodeAt(keyAt) !== 0x22) this.#unexpected('expected a key in double quotes')
    const key = this.#string()
    this.#path[this.#depth - 1] = key
    this.#known = this.#depth
    const forbidden = key === '__proto__'
    const duplicate = Object.hasOwn(object, key)
    if (forbidden) this.#flaw('forbidden_key', keyAt, `the key ${quoteKey(key)} is not allowed`)
    if (duplicate) this.#flaw('duplicate_key', keyAt, `the key ${quoteKey(key)} stands twice in this object`)
    this.#skipSpace()
    if (!this.#take(0x3a)) this.#unexpected('expected : after the key')
    this.#skipSpace()
    const value = this.#value()
    if (forbidden || duplicate) return
    addMember(object, key, value)
    if (place !== undefined) {
      place.names.push(key)
      place.keys.push(keyAt)
      place.values.push(this.#place)
    }
  }

  #array(): JsonValue {
    const start = this.#at
    const array: JsonValue[] = []
    const items: Place[] = []
    this.#enter(start)
    this.#skipSpace()
    if (!this.#take(0x5d)) {
      do {
        this.#skipSpace()
        this.#path[this.#depth - 1] = array.length
        this.#known = this.#depth
        array.push(this.#value())
        if (this.#keepPlaces) items.push(this.#place)
        this.#skipSpace()
      } while (this.#take(0x2c))
      if (!this.#take(0x5d)) this.#unexpected('expected , or ] after an element')
    }
    this.#known = --this.#depth
    this.#place = this.#keepPlaces ? { start, items } : 0
    return array
  }

  #enter(start: number): void {
    this.#at++
    if (++this.#depth > LIMITS.depth) {
      this.#stop('too_deep', start, `nested deeper than ${LIMITS.depth} levels`)
    }
  }

  /** Reads the string that begins at the current quote. */
  #string(): string {
    const text = this.#text
    const start = this.#at
    let at = start + 1
    let from = at
    let result = ''
    let surrogates = false
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === 0x22) break
      if (code === 0x5c) {
        result += text.slice(from, at)
        const letter = text.charCodeAt(at + 1)
        const plain = ESCAPES.get(letter)
        if (plain !== undefined) {
          result += plain
          at += 2
        } else if (letter === 0x75) {
          const unit = hexUnit(text, at + 2)
          if (unit === -1) this.#stop('syntax_error', at, 'expected four hexadecimal digits after \\u')
          if (unit >= 0xd800 && unit <= 0xdfff) surrogates = true
          result += String.fromCharCode(unit)
          at += 6
        } else {
          this.#stop('syntax_error', at, 'this escape is not one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX')
        }
        from = at
      } else if (code >= 0x20) {
        at++
      } else if (at >= text.length) {
        this.#stop('syntax_error', start, 'this string has no closing quote')
      } else {
        this.#stop('syntax_error', at, 'a control character in a string must be written as an escape')
      }
    }
    result = from === start + 1 ? text.slice(from, at) : result + text.slice(from, at)
    // The text has whole pairs only, so a lone surrogate can have come from nothing but an escape.
    if (surrogates && !isWellFormed(result)) this.#flaw('syntax_error', start, LONE_SURROGATE)
    this.#at = at + 1
    return result
  }

  #number(): number {
    const text = this.#text
    const start = this.#at
    let at = start
    if (text.charCodeAt(at) === 0x2d) at++
    const digits = at
    at = this.#digits(at)
    if (at - digits > 1 && text.charCodeAt(digits) === 0x30) {
      this.#stop('syntax_error', start, 'a number must not begin with a zero')
    }
    let integer = true
    if (text.charCodeAt(at) === 0x2e) {
      integer = false
      at = this.#digits(at + 1)
    }
    const exponent = text.charCodeAt(at)
    if (exponent === 0x65 || exponent === 0x45) {
      integer = false
      const sign = text.charCodeAt(at + 1)
      at = this.#digits(sign === 0x2b || sign === 0x2d ? at + 2 : at + 1)
    }
    this.#at = at
    const value = Number(text.slice(start, at))
    const refusal = refuseNumber(value, integer)
    if (refusal !== undefined) this.#flaw('invalid_value', start, refusal, NUMBER_HINT)
    return value
  }

  /** Index after one or more digits at `at`. */
  #digits(at: number): number {
    let end = at
    while (isDigit(this.#text.charCodeAt(end))) end++
    if (end === at) {
      this.#at = at
      this.#unexpected('expected a digit')
    }
    return end
  }

  #word<T extends JsonValue>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#unexpected('expected a value')
    this.#at += word.length
    return value
  }

  #take(code: number): boolean {
    if (this.#text.charCodeAt(this.#at) !== code) return false
    this.#at++
    return true
  }

  #skipSpace(): void {
    const text = this.#text
    for (;;) {
      const code = text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at++
    }
  }

  #pointer(): string {
    return formatPointer(this.#path.slice(0, this.#known))
  }

  #flaw(
    code: 'duplicate_key' | 'forbidden_key' | 'invalid_value' | 'syntax_error',
    offset: number,
    message: string,
    hint?: string,
  ): void {
    this.#flaws.add({ code, offset, pointer: this.#pointer(), message, ...(hint === undefined ? {} : { hint }) })
  }

  #stop(code: 'syntax_error' | 'too_deep' | 'too_large', offset: number, message: string, hint?: string): never {
    return this.#flaws.stop({
      code,
      offset,
      pointer: this.#pointer(),
      message,
      ...(hint === undefined ? {} : { hint }),
    })
  }

  #unexpected(expected: string): never {
    const found = this.#at < this.#text.length ? expected : `${expected}, but the text ends here`
    return this.#stop('syntax_error', this.#at, found)
  }
}

const LONE_SURROGATE = 'half of a surrogate pair stands alone; it has no UTF-8 form'
export const NUMBER_HINT = 'write it as a string if every digit matters'

/** Why a number must not be read, or `undefined`. `integer`: it was written without fraction and exponent. */
export function refuseNumber(value: number, integer: boolean): string | undefined {
  if (!Number.isFinite(value)) return 'this number is outside the range of a 64-bit float'
  // RFC 7493 §2.2: beyond 2^53 a reader with doubles and one with integers see two different numbers.
  if (integer && !Number.isSafeInteger(value)) return 'this integer is beyond ±(2^53-1) and would be rounded'
  return undefined
}

/** A key as it may stand in a message. */
export function quoteKey(key: string): string {
  return `"${printable(key, 80)}"`
}

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x22, '"'],
  [0x5c, '\\'],
  [0x2f, '/'],
  [0x62, '\b'],
  [0x66, '\f'],
  [0x6e, '\n'],
  [0x72, '\r'],
  [0x74, '\t'],
])

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** The code unit that four hexadecimal digits at `at` spell, or -1. */
function hexUnit(text: string, at: number): number {
  let unit = 0
  for (let index = at; index < at + 4; index++) {
    const code = text.charCodeAt(index)
    const lower = code | 0x20
    if (isDigit(code)) unit = unit * 16 + code - 0x30
    else if (lower >= 0x61 && lower <= 0x66) unit = unit * 16 + lower - 0x57
    else return -1
  }
  return unit
}
