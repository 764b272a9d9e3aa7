// Whether a tool input schema may be compiled at all. It comes from a publisher we may not know, and it becomes generated
// code; so it is held to a closed list of keywords, to local references that do not recurse, and to bounds that keep
// compiling and checking it short. Everything found is reported, each with its place.

import type { JsonObject, JsonValue } from '../json.ts'
import { LIMITS } from '../limits.ts'
import { DIALECTS, type Dialect, KEYWORDS, type KeywordOperand, REFUSED } from './schema-keywords.ts'

/** Something wrong with a schema; `at` leads to it from the schema's root. */
export interface SchemaFault {
  readonly at: readonly (string | number)[]
  readonly message: string
  readonly hint?: string
  readonly on?: 'key'
}

export interface SchemaCheck {
  readonly dialect: Dialect
  readonly faults: readonly SchemaFault[]
  /** Values in the schema, each `$ref` counted with what it refers to and each pattern by its size. */
  readonly cost: number
  /** References end, and soon: schema-reach.ts may follow them even when other faults were found. */
  readonly followable: boolean
}

/** What the schema checker asks about words that only the compiler knows. */
export interface SchemaVocabulary {
  readonly hasFormat: (name: string) => boolean
  readonly pattern: (pattern: string) => PatternVerdict
}

/** `size`: instructions of the compiled pattern. */
export type PatternVerdict =
  | { readonly ok: true; readonly size: number }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

export const TYPES: ReadonlySet<string> = new Set(['null', 'boolean', 'object', 'array', 'number', 'integer', 'string'])
const REFERENCE = /^#\/(\$defs|definitions)\/([A-Za-z0-9_.-]+)$/
/** References followed inside one another. */
const REFERENCE_DEPTH = 32

/** The subschema a local `$ref` names, or `undefined`. Own members only: `#/$defs/toString` names nothing by itself. */
export function followReference(root: JsonObject, reference: string): JsonValue | undefined {
  const match = REFERENCE.exec(reference)
  if (match === null) return undefined
  const section = member(root, match[1] ?? '')
  return isObject(section) ? member(section, match[2] ?? '') : undefined
}

export function member(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What a schema describes: the arguments of a call, which are an object, or any value. */
export type SchemaSubject = 'arguments' | 'value'

export function checkSchema(root: JsonObject, vocabulary: SchemaVocabulary, subject: SchemaSubject): SchemaCheck {
  const faults: SchemaFault[] = []
  const named = member(root, '$schema')
  const dialect = named === undefined ? '2020-12' : typeof named === 'string' ? DIALECTS.get(named) : undefined
  if (dialect === undefined) {
    const hint = `leave it out for draft 2020-12, or name draft-07 (${[...DIALECTS.keys()][2]})`
    return {
      dialect: '2020-12',
      faults: [{ at: ['$schema'], message: 'an unsupported JSON Schema dialect', hint }],
      cost: 1,
      followable: false,
    }
  }
  if (subject === 'arguments' && member(root, 'type') !== 'object') {
    faults.push({
      at: Object.hasOwn(root, 'type') ? ['type'] : [],
      message: 'arguments are an object, so the schema must say so',
      hint: 'add type: object',
    })
  }
  const walk = new Walk(root, dialect, vocabulary, faults)
  walk.schema(root, [])
  const tangled: SchemaFault[] = []
  const cost = Math.min(Math.max(walk.work, weigh(root, tangled)), LIMITS.schemaValues + 1)
  if (cost > LIMITS.schemaValues && tangled.length === 0) {
    tangled.push({
      at: [],
      message: `more than ${LIMITS.schemaValues} values, where references count as often as used and patterns by their size`,
    })
  }
  return { dialect, faults: [...faults, ...tangled], cost, followable: tangled.length === 0 }
}

type Place = readonly (string | number)[]

/** What the compiler turns into code nested once for each entry. */
const NESTED: ReadonlySet<KeywordOperand> = new Set([
  'schemas',
  'items',
  'schema_map',
  'pattern_map',
  'dependencies',
  'name_lists',
])

function entries(operand: JsonValue): number {
  return typeof operand === 'object' && operand !== null ? Object.keys(operand).length : 0
}

class Walk {
  readonly #root: JsonObject
  readonly #keywords: ReadonlyMap<string, KeywordOperand>
  readonly #vocabulary: SchemaVocabulary
  readonly #faults: SchemaFault[]
  /** What judging the schema has taken, in values. */
  work = 0

  constructor(root: JsonObject, dialect: Dialect, vocabulary: SchemaVocabulary, faults: SchemaFault[]) {
    this.#root = root
    this.#keywords = KEYWORDS[dialect]
    this.#vocabulary = vocabulary
    this.#faults = faults
  }

  schema(value: JsonValue, at: Place): void {
    if (typeof value === 'boolean') return
    if (!isObject(value)) {
      this.#fault(at, 'a schema is an object, true or false')
      return
    }
    let width = 0
    for (const [keyword, operand] of Object.entries(value)) {
      // Past the bound the schema is refused whatever else is in it; there is no use in reading on.
      if (++this.work > LIMITS.schemaValues) return
      const expected = this.#keywords.get(keyword)
      if (expected === undefined) this.#unknown(keyword, at)
      else this.#operand(expected, keyword, operand, [...at, keyword])
      if (expected !== undefined && NESTED.has(expected)) width += entries(operand)
    }
    if (width > LIMITS.schemaWidth) {
      this.#fault(
        at,
        `more than ${LIMITS.schemaWidth} subschemas directly inside one schema`,
        'move parts into nested objects',
      )
    }
  }

  #fault(at: Place, message: string, hint?: string): void {
    this.#faults.push({ at, message, ...(hint === undefined ? {} : { hint }) })
  }

  #unknown(keyword: string, at: Place): void {
    const hint =
      REFUSED.get(keyword) ?? 'remove it: a keyword that is not evaluated promises a check that does not happen'
    this.#faults.push({
      at: [...at, keyword],
      message: 'not a keyword that is supported in this dialect',
      hint,
      on: 'key',
    })
  }

  #operand(expected: KeywordOperand, keyword: string, operand: JsonValue, at: Place): void {
    switch (expected) {
      case 'annotation':
        break
      case 'dialect':
        if (at.length > 1) this.#fault(at, 'the dialect is named once, at the root of the schema')
        break
      case 'schema':
        // draft 2020-12 gave the list form of `items` another name.
        if (Array.isArray(operand)) this.#fault(at, 'a schema is an object, true or false', REFUSED.get(keyword))
        else this.schema(operand, at)
        break
      case 'schemas':
        this.#schemas(operand, at)
        break
      case 'items':
        if (Array.isArray(operand)) this.#schemas(operand, at)
        else this.schema(operand, at)
        break
      case 'definitions':
        if (at.length > 1) this.#fault(at, 'definitions stand at the root of the schema, where $ref looks for them')
        else this.#members(operand, at, (entry, place) => this.schema(entry, place))
        break
      case 'schema_map':
        this.#members(operand, at, (entry, place) => this.schema(entry, place))
        break
      case 'pattern_map':
        this.#members(operand, at, (entry, place, name) => {
          this.#pattern(name, place, 'key')
          this.schema(entry, place)
        })
        break
      case 'dependencies':
        this.#members(operand, at, (entry, place) =>
          Array.isArray(entry) ? this.#names(entry, place) : this.schema(entry, place),
        )
        break
      case 'name_lists':
        this.#members(operand, at, (entry, place) => this.#names(entry, place))
        break
      default:
        this.#plainOperand(expected, operand, at)
    }
  }

  #plainOperand(expected: KeywordOperand, operand: JsonValue, at: Place): void {
    switch (expected) {
      case 'names':
        this.#names(operand, at)
        break
      case 'values':
        if (!Array.isArray(operand) || operand.length === 0) this.#fault(at, 'not a list of at least one value')
        break
      case 'types':
        this.#types(operand, at)
        break
      case 'count':
        if (!Number.isSafeInteger(operand) || Number(operand) < 0) this.#fault(at, 'not a whole number of 0 or more')
        break
      case 'number':
        if (typeof operand !== 'number') this.#fault(at, 'not a number')
        break
      case 'positive':
        if (typeof operand !== 'number' || !(operand > 0)) this.#fault(at, 'not a number above 0')
        break
      case 'flag':
        if (typeof operand !== 'boolean') this.#fault(at, 'not true or false')
        break
      default:
        if (typeof operand !== 'string') this.#fault(at, 'not text')
        else this.#textOperand(expected, operand, at)
    }
  }

  #textOperand(expected: KeywordOperand, operand: string, at: Place): void {
    if (expected === 'pattern') this.#pattern(operand, at)
    if (expected === 'format' && !this.#vocabulary.hasFormat(operand)) {
      this.#fault(
        at,
        'a format that is not checked here',
        'remove it, or write a pattern; docs/manifest.md lists the formats',
      )
    }
    if (expected === 'reference') {
      if (!REFERENCE.test(operand)) {
        this.#fault(at, 'a reference that is not local', 'write #/$defs/name, with a name of letters, digits and _ . -')
      } else if (followReference(this.#root, operand) === undefined) {
        this.#fault(at, 'a reference to nothing')
      }
    }
  }

  #schemas(operand: JsonValue, at: Place): void {
    if (!Array.isArray(operand) || operand.length === 0) this.#fault(at, 'not a list of at least one schema')
    else for (const [index, entry] of operand.entries()) this.schema(entry, [...at, index])
  }

  #members(operand: JsonValue, at: Place, each: (entry: JsonValue, place: Place, name: string) => void): void {
    if (!isObject(operand)) this.#fault(at, 'not an object')
    else for (const [name, entry] of Object.entries(operand)) each(entry, [...at, name], name)
  }

  #names(operand: JsonValue, at: Place): void {
    if (!Array.isArray(operand) || operand.some((name) => typeof name !== 'string')) {
      this.#fault(at, 'not a list of property names')
    } else if (new Set(operand).size !== operand.length) {
      this.#fault(at, 'a name stands twice')
    }
  }

  #types(operand: JsonValue, at: Place): void {
    const list = Array.isArray(operand) ? operand : [operand]
    const known = list.every((entry) => typeof entry === 'string' && TYPES.has(entry))
    if (!known || list.length === 0) this.#fault(at, 'not a type', `types: ${[...TYPES].join(', ')}`)
    else if (new Set(list).size !== list.length) this.#fault(at, 'a type stands twice')
  }

  #pattern(pattern: string, at: Place, on?: 'key'): void {
    const verdict = this.#vocabulary.pattern(pattern)
    // Compiling a pattern of 2,000 instructions takes as long as compiling 60 values.
    this.work += verdict.ok ? Math.ceil(verdict.size / 32) : 1
    if (verdict.ok) return
    const { reason, hint } = verdict
    this.#faults.push({
      at,
      message: reason,
      ...(hint === undefined ? {} : { hint }),
      ...(on === undefined ? {} : { on }),
    })
  }
}

// A reference counts as often as it is used: twenty definitions that each use the next one twice are a million values.
function weigh(root: JsonObject, faults: SchemaFault[]): number {
  const known = new Map<JsonValue, number>()
  const open = new Set<JsonValue>()

  const size = (value: JsonValue, at: readonly (string | number)[]): number => {
    if (value === null || typeof value !== 'object') return 1
    const before = known.get(value)
    if (before !== undefined) return before
    let sum = 1
    for (const [key, entry] of Object.entries(value)) {
      sum += key === '$ref' && typeof entry === 'string' ? follow(entry, [...at, key]) : size(entry, [...at, key])
      if (!Number.isFinite(sum) || faults.length > 0) return sum
    }
    known.set(value, sum)
    return sum
  }

  const follow = (reference: string, at: readonly (string | number)[]): number => {
    const target = followReference(root, reference)
    // `$ref` as the name of a property, or inside a constant: no reference.
    if (target === undefined || typeof target !== 'object' || target === null) return 1
    if (open.has(target) || open.size >= REFERENCE_DEPTH) {
      faults.push({
        at,
        message: open.has(target) ? 'a reference that leads back to itself' : 'references nested too deep',
        hint: 'write the nesting out to the depth the tool needs',
      })
      return 1
    }
    open.add(target)
    const weight = 1 + size(target, at)
    open.delete(target)
    return weight
  }

  const total = size(root, [])
  return total
}
