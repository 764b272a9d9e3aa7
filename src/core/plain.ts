// What was judged is what runs: arguments come from a host that can change them, or hand over an object that answers
// differently the second time it is asked. They are copied once, through their property descriptors, into frozen plain
// data; every later step sees only the copy. Nothing of the original is trusted, and no code of it is run that can be
// avoided: no getter, no toJSON, no iterator. A Proxy's traps do run; they yield a consistent copy or a refusal.

import type { JsonValue } from './json.ts'
import { LIMITS } from './limits.ts'
import { addMember } from './member.ts'
import { formatPointer } from './pointer.ts'
import { hasUnprintable } from './text.ts'
import { isWellFormed } from './wellformed.ts'

export type PlainCopy =
  | {
      readonly ok: true
      /** Deep frozen; objects are ordinary, `-0` is `0`. */
      readonly value: JsonValue
      /** UTF-16 code units of all strings and keys. */
      readonly length: number
    }
  | {
      readonly ok: false
      readonly code: 'arguments_unreadable' | 'arguments_too_large'
      /** Where in the value, as a JSON Pointer; it ends before a key that is too long or unfit to be shown. */
      readonly pointer: string
      /** One line that names what is wrong and quotes nothing. */
      readonly detail: string
    }

/**
 * A deep frozen copy of plain data, or why there is none. Refused: accessors, functions, symbols, `undefined`, BigInt,
 * numbers that are not finite, integers beyond ±(2^53-1), class instances and objects of another realm, hidden
 * (non-enumerable) properties, sparse arrays and arrays with other properties, a `__proto__` key, lone surrogates,
 * cycles, and what is over LIMITS.argument*. Never throws.
 */
export function copyPlain(value: unknown): PlainCopy {
  return copyWithin(value, LIMITS.argumentValues, LIMITS.argumentLength)
}

/** {@link copyPlain} with other bounds on the number of values and the length of their text. */
export function copyWithin(value: unknown, maxValues: number, maxLength: number): PlainCopy {
  const copier = new Copier(maxValues, maxLength)
  try {
    const copy = copier.copy(value, 0)
    return { ok: true, value: copy, length: copier.length }
  } catch (error) {
    // Anything else than our own refusal was thrown by a Proxy trap, or is the stack of a caller who had none left.
    const { code, detail } = error instanceof Refusal ? error : UNREADABLE
    return { ok: false, code, pointer: copier.pointer(), detail }
  }
}

/** The pointer goes into denials and audit records; a key of megabytes or with a terminal escape must not. */
function isPresentable(key: string): boolean {
  return key.length <= LIMITS.nameLength && !hasUnprintable(key)
}

class Refusal {
  readonly code: 'arguments_unreadable' | 'arguments_too_large'
  readonly detail: string

  constructor(code: 'arguments_unreadable' | 'arguments_too_large', detail: string) {
    this.code = code
    this.detail = detail
  }
}

const UNREADABLE = new Refusal('arguments_unreadable', 'reading the value threw an error')

class Copier {
  length = 0
  #values = 0
  readonly #maxValues: number
  readonly #maxLength: number
  /** Keys and containers from the root to the value being copied; entries from `#depth` on are stale. */
  readonly #path: (string | number)[] = []
  readonly #ancestors: object[] = []
  #depth = 0

  constructor(maxValues: number, maxLength: number) {
    this.#maxValues = maxValues
    this.#maxLength = maxLength
  }

  pointer(): string {
    const path = this.#path.slice(0, this.#depth)
    const unfit = path.findIndex((key) => typeof key === 'string' && !isPresentable(key))
    return formatPointer(unfit === -1 ? path : path.slice(0, unfit))
  }

  copy(value: unknown, depth: number): JsonValue {
    if (++this.#values > this.#maxValues) tooLarge(`more than ${this.#maxValues} values`)
    switch (typeof value) {
      case 'string':
        this.#text(value)
        return value
      case 'number':
        return readableNumber(value)
      case 'boolean':
        return value
      case 'object':
        if (value === null) return null
        return Array.isArray(value) ? this.#array(value, depth) : this.#object(value, depth)
      default:
        return unreadable(`a value of type ${typeof value}`)
    }
  }

  #text(text: string): void {
    this.length += text.length
    if (this.length > this.#maxLength) tooLarge(`more than ${this.#maxLength} characters of text`)
    if (!isWellFormed(text)) unreadable('text with half of a surrogate pair')
  }

  #object(source: object, depth: number): JsonValue {
    const prototype: unknown = Object.getPrototypeOf(source)
    if (prototype !== Object.prototype && prototype !== null) {
      unreadable('an object that is not plain (a class instance, or an object of another realm)')
    }
    // Names and symbols apart: Reflect.ownKeys does the same ten times slower.
    if (Object.getOwnPropertySymbols(source).length > 0) unreadable('a property whose key is a symbol')
    const keys = Object.getOwnPropertyNames(source)
    if (keys.length > this.#maxValues - this.#values) tooLarge(`more than ${this.#maxValues} values`)
    this.#enter(source, depth)
    const target: Record<string, JsonValue> = {}
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index] as string
      this.#path[depth] = key
      this.#depth = depth + 1
      this.#text(key)
      if (key === '__proto__') unreadable('a property named __proto__')
      const member = this.copy(dataOf(Object.getOwnPropertyDescriptor(source, key)), depth + 1)
      addMember(target, key, member)
    }
    this.#depth = depth
    return Object.freeze(target)
  }

  #array(source: readonly unknown[], depth: number): JsonValue {
    if (Object.getPrototypeOf(source) !== Array.prototype) {
      unreadable('an array that is not plain (a subclass, or an array of another realm)')
    }
    // By descriptor, because `source.length` would be a second way in for a Proxy.
    const length: unknown = Object.getOwnPropertyDescriptor(source, 'length')?.value
    if (typeof length !== 'number') return unreadable('an array without a length')
    if (length > this.#maxValues - this.#values) tooLarge(`more than ${this.#maxValues} values`)
    if (Object.keys(source).length !== length || Object.getOwnPropertySymbols(source).length > 0) {
      unreadable('an array with holes or with other properties')
    }
    this.#enter(source, depth)
    this.#depth = depth + 1
    const target: JsonValue[] = []
    for (let index = 0; index < length; index++) {
      this.#path[depth] = index
      target.push(this.copy(dataOf(Object.getOwnPropertyDescriptor(source, index)), depth + 1))
      this.#depth = depth + 1
    }
    this.#depth = depth
    return Object.freeze(target)
  }

  #enter(source: object, depth: number): void {
    for (let index = 0; index < depth; index++) {
      if (this.#ancestors[index] === source) unreadable('an object that contains itself')
    }
    if (depth >= LIMITS.depth) tooLarge(`nested deeper than ${LIMITS.depth} levels`)
    this.#ancestors[depth] = source
  }
}

/** Numbers from here on print with an exponent, so that no reader takes them for an exact integer. */
const EXPONENT_FROM = 1e21

function readableNumber(value: number): number {
  // -0 has no canonical JSON of its own (RFC 8785 §3.2.2.3): judged as 0, it must run as 0.
  if (Number.isSafeInteger(value)) return value === 0 ? 0 : value
  if (!Number.isFinite(value)) unreadable('a number that is not finite')
  // Most likely already another number than the one that was meant (an id of 64 bits), and its JSON is refused by
  // parseJson: it could be judged and recorded, but the record never read back.
  if (Number.isInteger(value) && Math.abs(value) < EXPONENT_FROM) unreadable('an integer beyond ±(2^53-1)')
  return value
}

/** The value of a data property that is there to be seen. */
function dataOf(descriptor: PropertyDescriptor | undefined): unknown {
  if (descriptor === undefined) return unreadable('an array with holes, or a property that comes and goes')
  // A getter can answer the check with one value and the call with another.
  if (descriptor.get !== undefined || descriptor.set !== undefined)
    return unreadable('a property with a getter or setter')
  if (descriptor.enumerable !== true) return unreadable('a hidden property')
  return descriptor.value
}

function unreadable(detail: string): never {
  throw new Refusal('arguments_unreadable', detail)
}

function tooLarge(detail: string): never {
  throw new Refusal('arguments_too_large', detail)
}
