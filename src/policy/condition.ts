// Conditions on arguments, in three values. `undefined` is "cannot be told": the argument is absent or of another type.
// A permit treats it as false, a forbid as true, so a missing argument never opens anything. There is no negation, on
// purpose: "not equal" on absent data is how other engines fail open.

import { type Glob, parseGlob } from '../core/glob.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import type { RawCondition } from './schema.ts'

/** `true`, `false`, or `undefined` when it cannot be told. */
export type Truth = boolean | undefined

type Test = (value: JsonValue) => Truth

export interface Condition {
  readonly pointer: string
  readonly tokens: readonly string[]
  readonly optional: boolean
  readonly test: Test
  /** How the condition reads, for explanations. */
  readonly text: string
}

/** A problem found while compiling: which key of the condition, what, and the mend. */
export interface ConditionFault {
  /** `''` is the condition as a whole. */
  readonly key: string
  /** Where it is wrong: its pointer is, or what it says. */
  readonly on?: 'key'
  readonly code: 'invalid_value' | 'invalid_pattern' | 'contradiction' | 'missing_key'
  readonly message: string
  readonly hint?: string
}

export type CompiledCondition =
  | { readonly ok: true; readonly condition: Condition }
  | { readonly ok: false; readonly faults: readonly ConditionFault[] }

/** `tokens` are those of `pointer`, `undefined` when it is none. */
export function compileCondition(
  pointer: string,
  tokens: readonly string[] | undefined,
  raw: RawCondition,
): CompiledCondition {
  const faults: ConditionFault[] = []
  const tests: Test[] = []
  if (tokens === undefined || tokens.length === 0) {
    faults.push({
      key: '',
      on: 'key',
      code: 'invalid_value',
      message: 'the key of a condition is a JSON Pointer to one argument',
      hint: 'write "/name" for the argument called name',
    })
  }
  if (raw.equals !== undefined) {
    const wanted = raw.equals
    tests.push((value) => (sameType(value, wanted) ? value === wanted : undefined))
  }
  if (raw.one_of !== undefined) {
    const wanted: readonly JsonValue[] = raw.one_of
    tests.push((value) => wanted.includes(value) || (wanted.some((one) => sameType(one, value)) ? false : undefined))
  }
  if (raw.min !== undefined || raw.max !== undefined) {
    const min = raw.min ?? Number.NEGATIVE_INFINITY
    const max = raw.max ?? Number.POSITIVE_INFINITY
    if (min > max) faults.push({ key: 'min', code: 'contradiction', message: 'min is above max, so nothing can match' })
    // NaN is neither above nor below anything, so a forbid from 100 on would not see it.
    tests.push((value) =>
      typeof value === 'number' && !Number.isNaN(value) ? value >= min && value <= max : undefined,
    )
  }
  if (raw.min_length !== undefined || raw.max_length !== undefined) {
    const min = raw.min_length ?? 0
    const max = raw.max_length ?? Number.POSITIVE_INFINITY
    if (min > max) {
      faults.push({
        key: 'min_length',
        code: 'contradiction',
        message: 'min_length is above max_length, so nothing can match',
      })
    }
    tests.push((value) => {
      if (typeof value !== 'string' && !Array.isArray(value)) return undefined
      return value.length >= min && value.length <= max
    })
  }
  if (raw.glob !== undefined) {
    const glob = compileGlob(raw.glob, raw.ignore_case ?? false, faults)
    if (glob !== undefined) tests.push((value) => (typeof value === 'string' ? glob.matches(value) : undefined))
  } else if (raw.ignore_case !== undefined) {
    faults.push({ key: 'ignore_case', code: 'contradiction', message: 'ignore_case has a meaning only beside glob' })
  }
  if (tests.length === 0 && faults.length === 0) {
    const hint = 'equals, one_of, min, max, min_length, max_length or glob'
    faults.push({ key: '', code: 'missing_key', message: 'a condition needs at least one test', hint })
  }
  const test = allOf(tests)
  if (faults.length === 0 && !canHold(raw, test)) {
    faults.push({ key: '', code: 'contradiction', message: 'no value passes all tests of this condition' })
  }
  if (faults.length > 0 || tokens === undefined) return { ok: false, faults }
  const text = `${pointer} ${JSON.stringify(raw)}`
  return { ok: true, condition: { pointer, tokens, optional: raw.optional ?? false, test, text } }
}

/** Whether some value passes. A forbid that nothing can match would look like a protection and be none. */
function canHold(raw: RawCondition, test: Test): boolean {
  const listed = [...(raw.equals === undefined ? [] : [raw.equals]), ...(raw.one_of ?? [])]
  if (listed.length > 0) return listed.some((value) => test(value) === true)
  const wantsNumber = raw.min !== undefined || raw.max !== undefined
  const wantsText = raw.glob !== undefined || raw.min_length !== undefined || raw.max_length !== undefined
  return !(wantsNumber && wantsText)
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

function compileGlob(text: string, ignoreCase: boolean, faults: ConditionFault[]): Glob | undefined {
  const parsed = parseGlob(text, 'text', { ignoreCase })
  if (parsed.ok) return parsed.glob
  faults.push({ key: 'glob', code: 'invalid_pattern', message: parsed.reason })
  return undefined
}

/** Whether all conditions hold, by the same "and" as the tests of one condition. */
export function holds(conditions: readonly Condition[], args: JsonObject): Truth {
  let truth: Truth = true
  for (const condition of conditions) {
    const one = holdsOne(condition, args)
    if (one === false) return false
    if (one === undefined) truth = undefined
  }
  return truth
}

/** {@link holds} for one condition. */
export function holdsOne(condition: Condition, args: JsonObject): Truth {
  let value: JsonValue = args
  for (const token of condition.tokens) {
    const next = child(value, token)
    if (next === undefined) return condition.optional ? false : undefined
    value = next
  }
  return condition.test(value)
}

function child(value: JsonValue, token: string): JsonValue | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value)) {
    // RFC 6901 §4: an array index has no leading zeros.
    return /^(?:0|[1-9][0-9]{0,8})$/.test(token) ? (value as readonly JsonValue[])[Number(token)] : undefined
  }
  return Object.hasOwn(value, token) ? (value as JsonObject)[token] : undefined
}

function sameType(a: JsonValue, b: JsonValue): boolean {
  return typeName(a) === typeName(b)
}

function typeName(value: JsonValue): string {
  return value === null ? 'null' : typeof value
}
