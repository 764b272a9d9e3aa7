// What a condition can ask of one value: equality, ranges, lengths, globs, expressions, lists, schemas. Each test answers in
// three values and takes time in proportion to the value, whatever pattern an operator wrote.

import { type Glob, parseGlob } from '../core/glob.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { InputSchemaCompiler } from '../core/json-schema/input-schema.ts'
import { LIMITS } from '../core/limits.ts'
import { compileRegExp } from '../core/linear-regexp.ts'
import type { RawCondition, RawItemCondition } from './schema.ts'

/** `true`, `false`, or `undefined` when it cannot be told. */
export type Truth = boolean | undefined

/** The types of JSON values, as JSON Schema names them; every number is `number`. */
export type JsonType = 'string' | 'number' | 'boolean' | 'null' | 'array' | 'object'

export type Test = (value: JsonValue) => Truth

/** A problem found while compiling: which keys below the condition, what, and the mend. */
export interface ConditionFault {
  /** `[]` is the condition as a whole. */
  readonly key: readonly string[]
  /** Where it is wrong: its pointer is, or what it says. */
  readonly on?: 'key'
  readonly code: 'invalid_value' | 'invalid_pattern' | 'invalid_schema' | 'contradiction' | 'missing_key'
  readonly message: string
  readonly hint?: string
}

export interface Range {
  readonly min: number
  readonly max: number
}

export interface CompiledTest {
  readonly test: Test
  /** Where there is one test, and it is a bound. */
  readonly range: Range | undefined
  readonly types: readonly JsonType[]
  readonly faults: readonly ConditionFault[]
}

type RawTests = Omit<RawCondition, 'optional'>

const NUMBERS: readonly JsonType[] = ['number']
const TEXTS: readonly JsonType[] = ['string']
const LISTS: readonly JsonType[] = ['array']
const LONG: readonly JsonType[] = ['string', 'array']
const ALL_TYPES: readonly JsonType[] = ['string', 'number', 'boolean', 'null', 'array', 'object']

const KNOWN_TESTS = 'equals, one_of, min, max, min_length, max_length, glob, pattern, contains, every, some or schema'

/** Compiles tests; keeps compiled schemas, so that the same schema in many rules is compiled once. */
export class ValueTests {
  readonly #schemas = new InputSchemaCompiler(256, 'value')

  compile(raw: RawTests): CompiledTest {
    const part = new Parts()
    equality(raw, part)
    ranges(raw, part)
    texts(raw, part)
    this.#lists(raw, part)
    this.#schema(raw, part)
    const { tests, faults } = part
    if (tests.length === 0 && faults.length === 0) {
      part.fault([], 'missing_key', 'a condition needs at least one test', KNOWN_TESTS)
    }
    const test = allOf(tests)
    if (faults.length === 0 && !canHold(raw, test, part.types)) {
      part.fault([], 'contradiction', 'no value passes all tests of this condition')
    }
    return { test, range: tests.length === 1 ? part.range : undefined, types: part.types, faults }
  }

  #lists(raw: RawTests, part: Parts): void {
    const { contains, every, some } = raw
    if (contains !== undefined) {
      const type = typeOf(contains)
      const item: Test = (one) => (typeOf(one) === type ? one === contains : undefined)
      part.add(LISTS, (value) => (Array.isArray(value) ? someItem(value, item) : undefined))
    }
    if (every !== undefined) {
      const item = this.#item('every', every, part)
      part.add(LISTS, (value) => (Array.isArray(value) ? everyItem(value, item) : undefined))
    }
    if (some !== undefined) {
      const item = this.#item('some', some, part)
      part.add(LISTS, (value) => (Array.isArray(value) ? someItem(value, item) : undefined))
    }
  }

  #item(key: string, raw: RawItemCondition, part: Parts): Test {
    const { test, faults } = this.compile(raw)
    for (const fault of faults) part.faults.push({ ...fault, key: [key, ...fault.key] })
    return test
  }

  #schema({ schema }: RawTests, part: Parts): void {
    if (schema === undefined) return
    const types = declaredTypes(schema['type'])
    if (types === undefined) {
      const hint = 'add type:, so that a value of another type is told from one that does not fit'
      part.fault(['schema'], 'missing_key', 'the schema does not say its type', hint)
      return
    }
    const compiled = this.#schemas.compile(schema as JsonObject)
    if (!compiled.ok) {
      for (const { at, message, hint } of compiled.faults) {
        part.fault(['schema', ...at.map(String)], 'invalid_schema', message, hint)
      }
      return
    }
    const { check } = compiled
    const named = [schema['type']].flat()
    // 100.5 is of another type than integer: a forbid of whole numbers from 100 on must not be dodged by it.
    const wholeOnly = named.includes('integer') && !named.includes('number')
    part.add(types, (value) => {
      if (!types.includes(typeOf(value))) return undefined
      if (wholeOnly && typeof value === 'number' && !Number.isInteger(value)) return undefined
      const fault = check(value as JsonObject)
      return fault === undefined ? true : fault.kind === 'mismatch' ? false : undefined
    })
  }
}

/** What has been compiled of one condition. */
class Parts {
  readonly tests: Test[] = []
  readonly faults: ConditionFault[] = []
  types: readonly JsonType[] = ALL_TYPES
  range: Range | undefined

  add(types: readonly JsonType[], test: Test): void {
    this.tests.push(test)
    const both = types.filter((type) => this.types.includes(type))
    // The list of the test itself where nothing narrows it: thousands of conditions share it then.
    this.types = both.length === types.length ? types : both
  }

  fault(key: readonly string[], code: ConditionFault['code'], message: string, hint?: string): void {
    this.faults.push(hint === undefined ? { key, code, message } : { key, code, message, hint })
  }
}

function equality(raw: RawTests, part: Parts): void {
  if (raw.equals !== undefined) {
    const wanted = raw.equals
    const type = typeOf(wanted)
    part.add([type], (value) => (typeOf(value) === type ? value === wanted : undefined))
  }
  if (raw.one_of !== undefined) {
    const wanted: readonly JsonValue[] = raw.one_of
    const types = [...new Set(wanted.map(typeOf))]
    part.add(types, (value) => wanted.includes(value) || (types.includes(typeOf(value)) ? false : undefined))
  }
}

function ranges(raw: RawTests, part: Parts): void {
  if (raw.min !== undefined || raw.max !== undefined) {
    const min = raw.min ?? Number.NEGATIVE_INFINITY
    const max = raw.max ?? Number.POSITIVE_INFINITY
    if (min > max) part.fault(['min'], 'contradiction', 'min is above max, so nothing can match')
    part.range = { min, max }
    // NaN is neither above nor below anything, so a forbid from 100 on would not see it.
    part.add(NUMBERS, (value) =>
      typeof value === 'number' && !Number.isNaN(value) ? value >= min && value <= max : undefined,
    )
  }
  if (raw.min_length !== undefined || raw.max_length !== undefined) {
    const min = raw.min_length ?? 0
    const max = raw.max_length ?? Number.POSITIVE_INFINITY
    if (min > max) part.fault(['min_length'], 'contradiction', 'min_length is above max_length, so nothing can match')
    part.add(LONG, (value) => {
      if (typeof value !== 'string' && !Array.isArray(value)) return undefined
      return value.length >= min && value.length <= max
    })
  }
}

function texts(raw: RawTests, part: Parts): void {
  if (raw.glob !== undefined) {
    const glob = compileGlob(raw.glob, raw.ignore_case ?? false, part)
    if (glob !== undefined) part.add(TEXTS, (value) => (typeof value === 'string' ? glob.matches(value) : undefined))
  } else if (raw.ignore_case !== undefined) {
    part.fault(['ignore_case'], 'contradiction', 'ignore_case has a meaning only beside glob')
  }
  if (raw.pattern !== undefined) compilePattern(raw.pattern, part)
}

function compileGlob(text: string, ignoreCase: boolean, part: Parts): Glob | undefined {
  const parsed = parseGlob(text, 'text', { ignoreCase })
  if (parsed.ok) return parsed.glob
  part.fault(['glob'], 'invalid_pattern', parsed.reason)
  return undefined
}

/** Matches the whole text: an expression that is only searched for lets "get_inbox_and_delete" pass for "get_inbox". */
function compilePattern(source: string, part: Parts): void {
  // By itself first: `a)|(b` is not an expression, and inside a group it would become another one.
  const alone = compileRegExp(source)
  const whole = alone.ok ? compileRegExp(`^(?:${source})$`) : alone
  if (!whole.ok) {
    part.fault(['pattern'], 'invalid_pattern', whole.reason, whole.hint)
    return
  }
  const { regexp } = whole
  part.add(TEXTS, (value) => {
    if (typeof value !== 'string' || regexp.size * (value.length + 1) > LIMITS.patternSteps) return undefined
    return regexp.test(value)
  })
}

function declaredTypes(type: unknown): readonly JsonType[] | undefined {
  const list: readonly unknown[] = Array.isArray(type) ? type : [type]
  const types = list.map((name) => (name === 'integer' ? 'number' : ALL_TYPES.find((known) => known === name)))
  return types.every((name) => name !== undefined) && types.length > 0 ? types : undefined
}

/** Whether some value passes. A forbid that nothing can match would look like a protection and be none. */
function canHold(raw: RawTests, test: Test, types: readonly JsonType[]): boolean {
  const listed = [...(raw.equals === undefined ? [] : [raw.equals]), ...(raw.one_of ?? [])]
  if (listed.length > 0) return listed.some((value) => test(value) === true)
  return types.length > 0
}

/** Kleene's "and": one `false` settles it; otherwise one `undefined` leaves it untold. */
function allOf(tests: readonly Test[]): Test {
  const [only] = tests
  if (tests.length === 1 && only !== undefined) return only
  return (value) => {
    let truth: Truth = true
    for (const test of tests) {
      const one = test(value)
      if (one === false) return false
      if (one === undefined) truth = undefined
    }
    return truth
  }
}

function everyItem(list: readonly JsonValue[], item: Test): Truth {
  let truth: Truth = true
  for (const value of list) {
    const one = item(value)
    if (one === false) return false
    if (one === undefined) truth = undefined
  }
  return truth
}

/** Kleene's "or". */
function someItem(list: readonly JsonValue[], item: Test): Truth {
  let truth: Truth = false
  for (const value of list) {
    const one = item(value)
    if (one === true) return true
    if (one === undefined) truth = undefined
  }
  return truth
}

function typeOf(value: JsonValue): JsonType {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return typeof value as 'string' | 'number' | 'boolean' | 'object'
}
