// The part of YAML that policies and manifests are written in, read directly: block maps and lists, scalars and flow
// collections that end on their own line, comments. The library needs a second and several hundred megabytes for ten
// thousand rules, during which no call can be decided; this reader needs a twentieth. It decides nothing that is in any
// doubt: whatever it does not know for certain — every error included — it leaves to the library, which remains the
// authority on what YAML is. That the two agree, on values and on places, is tested with random texts.

import { type JsonValue, refuseNumber } from './json.ts'
import { LIMITS } from './limits.ts'
import { addMember } from './member.ts'
import type { Place, Reading } from './places.ts'

/** The reading of `text`, or `undefined` when the library has to look. */
export function readYamlBlock(text: string): Reading | undefined {
  // Tabs and CRLF have rules of their own.
  if (text.includes('\t') || text.includes('\r')) return undefined
  try {
    return new BlockReader(text).read()
  } catch (error) {
    if (error instanceof Unsure) return undefined
    throw error
  }
}

class Unsure extends Error {}

function unsure(): never {
  throw new Unsure('not for this reader')
}

// Names that are strings in every YAML and cannot be mistaken for a mark. Quoted ones have no escapes.
const KEY = /(?:([A-Za-z_/][A-Za-z0-9_./-]*)|"([^"\\\n]*)"|'([^'\n]*)'):(?=[ \n]|$)/y
const QUOTED = /"([^"\\\n]*)"|'([^'\n]*)'/y
/** What a plain scalar may begin with here; most of the rest means something in YAML. */
const PLAIN_START = /[A-Za-z0-9_/$(~\u00a1-\uffff]|[-+.](?=[A-Za-z0-9.])/y
const REST_OF_LINE = / *(?: #[^\n]*)?(?=\n|$)/y
/** Longer keys on one line are an error in YAML. */
const KEY_LENGTH = 1000

class BlockReader {
  readonly #text: string
  /** The line being read: its indent, and where its content begins. At the end of the text the indent is -1. */
  #indent = -1
  #at = 0
  #values = 0
  /** Place of the value read last: a second result that costs no allocation. */
  #place: Place = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): Reading {
    this.#nextLine(0)
    // Any other `---` or `...` is neither key nor item, and so none of this reader's business.
    const start = /---(?= *(?:\n|$))/y
    start.lastIndex = this.#at
    if (this.#indent === 0 && start.test(this.#text)) this.#nextLine(this.#endOfLine(this.#at + 3))
    if (this.#indent === -1) unsure()
    const value = this.#block(1)
    if (this.#indent !== -1) unsure()
    return { ok: true, value, root: this.#place }
  }

  /** The collection that begins on this line. */
  #block(depth: number): JsonValue {
    return this.#isItem(this.#at) ? this.#list(this.#indent, depth) : this.#map(this.#indent, depth)
  }

  #list(indent: number, depth: number): JsonValue {
    this.#enter(depth)
    const start = this.#at
    const array: JsonValue[] = []
    const items: Place[] = []
    while (this.#indent === indent && this.#isItem(this.#at)) {
      const column = this.#skipSpaces(this.#at + 1)
      if (this.#isEnd(column)) {
        this.#nextLine(this.#endOfLine(column))
        if (this.#indent <= indent) unsure()
        array.push(this.#block(depth + 1))
      } else if (this.#keyAt(column) === undefined) {
        array.push(this.#inline(column, depth + 1))
      } else {
        // A map that begins behind the dash has the column of its first key as indent.
        this.#indent = indent + column - this.#at
        this.#at = column
        array.push(this.#map(this.#indent, depth + 1))
      }
      items.push(this.#place)
    }
    if (this.#indent > indent) unsure()
    this.#place = { start, items }
    return array
  }

  #map(indent: number, depth: number): JsonValue {
    this.#enter(depth)
    const object: Record<string, JsonValue> = {}
    const place = { start: this.#at, names: [] as string[], keys: [] as number[], values: [] as Place[] }
    while (this.#indent === indent && !this.#isItem(this.#at)) {
      const keyAt = this.#at
      const key = this.#keyAt(keyAt) ?? unsure()
      const column = this.#skipSpaces(KEY.lastIndex)
      const value = this.#isEnd(column) ? this.#below(column, indent, depth + 1) : this.#inline(column, depth + 1)
      this.#member(object, place, key, keyAt, value)
    }
    if (this.#indent > indent) unsure()
    this.#place = place
    return object
  }

  #member(
    object: Record<string, JsonValue>,
    place: { readonly names: string[]; readonly keys: number[]; readonly values: Place[] },
    key: string,
    keyAt: number,
    value: JsonValue,
  ): void {
    if (Object.hasOwn(object, key)) unsure()
    addMember(object, key, value)
    place.names.push(key)
    place.keys.push(keyAt)
    place.values.push(this.#place)
  }

  /** The collection on the lines after a key; a list may stand at the indent of the key itself. */
  #below(column: number, indent: number, depth: number): JsonValue {
    this.#nextLine(this.#endOfLine(column))
    if (this.#indent > indent) return this.#block(depth)
    return this.#indent === indent && this.#isItem(this.#at) ? this.#list(indent, depth) : unsure()
  }

  /** The scalar or flow collection from `at` to the end of its line; goes on to the next line. */
  #inline(at: number, depth: number): JsonValue {
    const value = this.#flowValue(at, depth, false)
    const place = this.#place
    REST_OF_LINE.lastIndex = this.#at
    if (!REST_OF_LINE.test(this.#text)) unsure()
    this.#nextLine(REST_OF_LINE.lastIndex)
    this.#place = place
    return value
  }

  /** The value at `at`; `#at` is then behind it. */
  #flowValue(at: number, depth: number, inFlow: boolean): JsonValue {
    if (++this.#values > LIMITS.documentValues) unsure()
    this.#place = at
    const first = this.#text[at]
    if (first === '[') return this.#flowList(at, depth)
    if (first === '{') return this.#flowMap(at, depth)
    const value = first === '"' || first === "'" ? this.#quoted(at) : this.#plain(at, inFlow)
    if (this.#at - at > LIMITS.yamlString) unsure()
    return value
  }

  #quoted(at: number): string {
    QUOTED.lastIndex = at
    const match = QUOTED.exec(this.#text) ?? unsure()
    this.#at = QUOTED.lastIndex
    return match[1] ?? match[2] ?? ''
  }

  #flowList(at: number, depth: number): JsonValue {
    this.#enter(depth)
    const array: JsonValue[] = []
    const items: Place[] = []
    this.#at = this.#skipSpaces(at + 1)
    if (this.#text[this.#at] !== ']') {
      for (;;) {
        array.push(this.#flowValue(this.#at, depth + 1, true))
        items.push(this.#place)
        if (this.#closes(']')) break
      }
    }
    this.#at++
    this.#place = { start: at, items }
    return array
  }

  #flowMap(at: number, depth: number): JsonValue {
    this.#enter(depth)
    const object: Record<string, JsonValue> = {}
    const place = { start: at, names: [] as string[], keys: [] as number[], values: [] as Place[] }
    this.#at = this.#skipSpaces(at + 1)
    if (this.#text[this.#at] !== '}') {
      for (;;) {
        const keyAt = this.#at
        const key = this.#keyAt(keyAt) ?? unsure()
        const value = this.#flowValue(this.#skipSpaces(KEY.lastIndex), depth + 1, true)
        this.#member(object, place, key, keyAt, value)
        if (this.#closes('}')) break
      }
    }
    this.#at++
    this.#place = place
    return object
  }

  /** After an entry: whether the collection ends here. Otherwise goes on to the next entry. */
  #closes(bracket: string): boolean {
    this.#at = this.#skipSpaces(this.#at)
    const mark = this.#text[this.#at]
    if (mark === bracket) return true
    if (mark !== ',') unsure()
    this.#at = this.#skipSpaces(this.#at + 1)
    return false
  }

  #plain(at: number, inFlow: boolean): JsonValue {
    const text = this.#text
    PLAIN_START.lastIndex = at
    if (!PLAIN_START.test(text)) unsure()
    let end = at
    let index = at
    for (; index < text.length; index++) {
      const character = text[index]
      if (character === '\n') break
      if (character === ' ') continue
      if (character === '#' && text[index - 1] === ' ') break
      if (inFlow && isFlowMark(character)) break
      if (character === ':') {
        const next = text[index + 1]
        if (next === undefined || next === ' ' || next === '\n' || (inFlow && isFlowMark(next))) unsure()
      }
      end = index + 1
    }
    this.#at = end
    return resolvePlain(text.slice(at, end))
  }

  /** The key at `at`; KEY.lastIndex is then behind its colon. */
  #keyAt(at: number): string | undefined {
    KEY.lastIndex = at
    const match = KEY.exec(this.#text)
    if (match === null) return undefined
    const [whole, plain, double, single] = match
    // A word that is no string, and a name this reader does not judge.
    if (plain !== undefined && isWord(plain)) unsure()
    const key = plain ?? double ?? single ?? ''
    if (key === '__proto__' || key === '<<' || whole.length > KEY_LENGTH) unsure()
    return key
  }

  #isItem(at: number): boolean {
    const next = this.#text[at + 1]
    return this.#text[at] === '-' && (next === ' ' || next === '\n' || next === undefined)
  }

  /** Whether nothing but a comment follows; `at` is behind at least one space, or at the end of the line. */
  #isEnd(at: number): boolean {
    const character = this.#text[at]
    return character === '\n' || character === '#' || character === undefined
  }

  #skipSpaces(at: number): number {
    let index = at
    while (this.#text[index] === ' ') index++
    return index
  }

  #endOfLine(at: number): number {
    const end = this.#text.indexOf('\n', at)
    return end === -1 ? this.#text.length : end
  }

  /** Goes to the next line with content after `at`, which is 0 or the end of a line. */
  #nextLine(at: number): void {
    const text = this.#text
    let start = at === 0 ? 0 : at + 1
    while (start < text.length) {
      const content = this.#skipSpaces(start)
      const character = text[content]
      if (character !== '\n' && character !== '#' && character !== undefined) {
        this.#indent = content - start
        this.#at = content
        return
      }
      start = this.#endOfLine(content) + 1
    }
    this.#indent = -1
    this.#at = text.length
  }

  #enter(depth: number): void {
    if (depth > LIMITS.depth) unsure()
    this.#values++
  }
}

function isFlowMark(character: string | undefined): boolean {
  switch (character) {
    case ',':
    case '[':
    case ']':
    case '{':
    case '}':
      return true
    default:
      return false
  }
}

const DECIMAL = /^[-+]?(?:0|[1-9][0-9]*)$/
const FLOAT = /^[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+|(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+)$/
/** What else the library might take for a number, an infinity or a null: leading zeros, other bases, `.inf`, `~`. */
const DOUBTFUL = /^(?:[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?|0[ox].*|[-+]?\.[iInN].*|~.*)$/
/** Two points: an address or a version, never a number. */
const DOTTED = /^[0-9]+\.[0-9]+\.[0-9.]*$/

/** YAML 1.2 §10.3.2, core schema. */
function resolvePlain(text: string): JsonValue {
  const letter = text.charCodeAt(0) | 0x20
  if (letter >= 0x61 && letter <= 0x7a) return isWord(text) ? resolveWord(text) : text
  const integer = DECIMAL.test(text)
  if (!integer && !FLOAT.test(text)) return DOUBTFUL.test(text) && !DOTTED.test(text) ? unsure() : text
  const value = Number(text)
  if (refuseNumber(value, integer) !== undefined) unsure()
  return value
}

/** Whether `text` is a null or boolean in some spelling. */
function isWord(text: string): boolean {
  if (text.length > 5) return false
  switch (text.toLowerCase()) {
    case 'null':
    case 'true':
    case 'false':
      return true
    default:
      return false
  }
}

function resolveWord(text: string): JsonValue {
  switch (text) {
    case 'null':
      return null
    case 'true':
      return true
    case 'false':
      return false
    default:
      // True, NULL, tRUE: the library knows which of them count.
      return unsure()
  }
}
