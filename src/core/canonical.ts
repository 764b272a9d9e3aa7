// The one text of a value that is hashed and signed: JSON Canonicalization Scheme, RFC 8785. Two equal values have the
// same text whatever order and spelling they came in.

import { AgentPortError } from './errors.ts'
import type { JsonValue } from './json.ts'
import { LIMITS } from './limits.ts'
import { isWellFormed } from './wellformed.ts'

/**
 * `value` as RFC 8785 writes it: no white space, keys sorted by UTF-16 code units, numbers as ECMAScript prints them.
 *
 * @throws AgentPortError `ERR_VALUE_UNREADABLE` for what is not a {@link JsonValue} (undefined, functions, NaN, class
 *   instances, holes, lone surrogates) or is nested deeper than LIMITS.depth.
 */
export function canonicalJson(value: JsonValue): string {
  try {
    return write(value, 0)
  } catch (error) {
    if (error instanceof AgentPortError) throw error
    // A getter or Proxy trap threw: what cannot be read has no canonical text.
    throw new AgentPortError('ERR_VALUE_UNREADABLE', 'the value cannot be read', { cause: error })
  }
}

function write(value: JsonValue, depth: number): string {
  switch (typeof value) {
    case 'string':
      return writeString(value)
    case 'number':
      // RFC 8785 §3.2.2.3: ECMAScript's own formatting is the canonical one; -0 prints as 0.
      return Number.isFinite(value) ? `${value}` : refuse('a number is not finite')
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (depth >= LIMITS.depth) refuse(`nested deeper than ${LIMITS.depth} levels`)
      return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value, depth + 1)
    default:
      return refuse(`a value has the type ${typeof value}`)
  }
}

function writeArray(array: readonly JsonValue[], depth: number): string {
  let text = '['
  for (let index = 0; index < array.length; index++) {
    // A hole reads as undefined, which is refused: JSON.stringify would write null for it.
    text += (index === 0 ? '' : ',') + write(array[index] as JsonValue, depth)
  }
  return `${text}]`
}

function writeObject(object: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(object)
  // A Date, Map or class instance has no JSON of its own: it would be signed as {} or as whatever its toJSON returns.
  if (prototype !== Object.prototype && prototype !== null) refuse('an object is not plain')
  // §3.2.3: by UTF-16 code units, which is how ECMAScript compares strings.
  const keys = sortKeys(Object.keys(object))
  let text = '{'
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string
    const member = (object as Readonly<Record<string, JsonValue>>)[key] as JsonValue
    text += `${(index === 0 ? '' : ',') + writeString(key)}:${write(member, depth)}`
  }
  return `${text}}`
}

/** Below this length insertion is several times faster than Array.prototype.sort, and most objects are. */
const FEW = 16

function sortKeys(keys: string[]): string[] {
  if (keys.length > FEW) return keys.sort()
  for (let index = 1; index < keys.length; index++) {
    const key = keys[index] as string
    let at = index - 1
    while (at >= 0 && (keys[at] as string) > key) {
      keys[at + 1] = keys[at] as string
      at--
    }
    keys[at + 1] = key
  }
  return keys
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what JSON escapes
const NEEDS_CARE = /["\\\x00-\x1f\ud800-\udfff]/

function writeString(text: string): string {
  if (!NEEDS_CARE.test(text)) return `"${text}"`
  if (!isWellFormed(text)) refuse('text has half of a surrogate pair')
  // §3.2.2.2: JSON.stringify escapes exactly what the RFC asks for.
  return JSON.stringify(text)
}

function refuse(reason: string): never {
  throw new AgentPortError('ERR_VALUE_UNREADABLE', reason)
}
