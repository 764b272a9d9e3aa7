// Bounds on what goes into a call and what comes out of it. A result is cut where that leaves it readable, and says so;
// an argument never is: the tool would run with another text than the one that was meant.

import { canonicalJson } from '../core/canonical.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { addMember } from '../core/member.ts'
import { formatPointer } from '../core/pointer.ts'

/** The smallest of all caps on one side of a call. */
export interface Cap {
  readonly maxBytes?: number
  readonly maxText?: number
  readonly maxItems?: number
}

export type Capped =
  | { readonly ok: true; readonly value: JsonValue }
  | {
      readonly ok: false
      /** Quotes nothing of the value. */
      readonly detail: string
      /** JSON Pointer to what is too large. */
      readonly pointer: string
    }

/** `value` if it is within `cap`. */
export function checkCap(value: JsonValue, cap: Cap): Capped {
  const excess = firstExcess(value, cap, [])
  return excess ?? checkBytes(value, cap)
}

/** `value` with its texts and lists cut to `cap`. What is cut says how much is missing, if there is room to say it. */
export function cutToCap(value: JsonValue, cap: Cap): Capped {
  const { maxText, maxItems } = cap
  return checkBytes(maxText === undefined && maxItems === undefined ? value : cut(value, cap), cap)
}

function firstExcess(value: JsonValue, cap: Cap, path: (string | number)[]): Capped | undefined {
  const { maxText = Number.POSITIVE_INFINITY, maxItems = Number.POSITIVE_INFINITY } = cap
  if (typeof value === 'string') {
    return value.length <= maxText ? undefined : excess(`a text of ${value.length} characters`, `${maxText}`, path)
  }
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value) && value.length > maxItems) {
    return excess(`a list of ${value.length} items`, `${maxItems}`, path)
  }
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value)
  for (const key of keys) {
    path.push(key)
    const found = firstExcess((value as Readonly<Record<string | number, JsonValue>>)[key] as JsonValue, cap, path)
    if (found !== undefined) return found
    path.pop()
  }
  return undefined
}

function excess(what: string, allowed: string, path: readonly (string | number)[]): Capped {
  return { ok: false, detail: `${what}, ${allowed} allowed`, pointer: formatPointer(path) }
}

function checkBytes(value: JsonValue, { maxBytes }: Cap): Capped {
  if (maxBytes === undefined) return { ok: true, value }
  const bytes = utf8Length(canonicalJson(value))
  return bytes <= maxBytes ? { ok: true, value } : excess(`${bytes} bytes of JSON`, `${maxBytes}`, [])
}

function utf8Length(text: string): number {
  let bytes = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    // Well-formed text: each half of a surrogate pair is half of four bytes.
    bytes += code < 0x80 ? 1 : code < 0x800 || (code >= 0xd800 && code <= 0xdfff) ? 2 : 3
  }
  return bytes
}

function cut(value: JsonValue, cap: Cap): JsonValue {
  if (typeof value === 'string') return cutText(value, cap.maxText)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return cutList(value as readonly JsonValue[], cap)
  const object = value as JsonObject
  const copy: Record<string, JsonValue> = {}
  let changed = false
  for (const name of Object.keys(object)) {
    const member = object[name] as JsonValue
    const kept = cut(member, cap)
    if (kept !== member) changed = true
    addMember(copy, name, kept)
  }
  return changed ? Object.freeze(copy) : object
}

function cutList(items: readonly JsonValue[], cap: Cap): JsonValue {
  const { maxItems = Number.POSITIVE_INFINITY } = cap
  const over = items.length > maxItems
  // The last place says what is missing, so that a cut list is not taken for a whole one.
  const count = over ? Math.max(0, maxItems - 1) : items.length
  let changed = over
  const copy: JsonValue[] = []
  for (let index = 0; index < count; index++) {
    const item = items[index] as JsonValue
    const kept = cut(item, cap)
    if (kept !== item) changed = true
    copy.push(kept)
  }
  if (over && maxItems > 0) copy.push(cutText(mark(items.length - count), cap.maxText))
  return changed ? Object.freeze(copy) : items
}

function mark(missing: number): string {
  return `…[cut: ${missing} more]`
}

function cutText(text: string, maxText: number | undefined): string {
  if (maxText === undefined || text.length <= maxText) return text
  // The mark counts too, and its own length depends on the number in it.
  let kept = maxText - mark(text.length).length
  if (kept < 0) return text.slice(0, wholePairs(text, maxText))
  kept = wholePairs(text, kept)
  return text.slice(0, kept) + mark(text.length - kept)
}

/** `length`, or one less where that would cut a surrogate pair in two. */
function wholePairs(text: string, length: number): number {
  const code = length === 0 ? 0 : text.charCodeAt(length - 1)
  return code >= 0xd800 && code <= 0xdbff ? length - 1 : length
}
