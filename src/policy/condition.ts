// Conditions on values, in three values. `undefined` is "cannot be told": the value is absent or of another type. A permit
// treats it as false, a forbid as true, so a missing value never opens anything. There is no negation, on purpose: "not
// equal" on absent data is how other engines fail open.

import type { JsonObject, JsonValue } from '../core/json.ts'
import type { RawCondition } from './schema.ts'
import type { ConditionFault, JsonType, Range, Test, Truth, ValueTests } from './value-test.ts'

export interface Condition {
  readonly pointer: string
  readonly tokens: readonly string[]
  readonly optional: boolean
  readonly test: Test
  /** Types of values for which it can hold; what a tool's input schema is held against. */
  readonly types: readonly JsonType[]
  /** Where the condition is a bound and nothing else: what {@link test} asks. */
  readonly range: Range | undefined
  /** How the condition reads, for explanations. */
  readonly text: string
}

export type CompiledCondition =
  | { readonly ok: true; readonly condition: Condition }
  | { readonly ok: false; readonly faults: readonly ConditionFault[] }

/** `tokens` are those of `pointer`, `undefined` when it is none. */
export function compileCondition(
  pointer: string,
  tokens: readonly string[] | undefined,
  raw: RawCondition,
  tests: ValueTests,
): CompiledCondition {
  const { optional, ...rest } = raw
  const compiled = tests.compile(rest)
  const faults = [...compiled.faults]
  if (tokens === undefined || tokens.length === 0) {
    faults.unshift({
      key: [],
      on: 'key',
      code: 'invalid_value',
      message: 'the key of a condition is a JSON Pointer to one value',
      hint: 'write "/name" for the argument called name',
    })
  }
  if (faults.length > 0 || tokens === undefined) return { ok: false, faults }
  const { test, types, range } = compiled
  const text = `${pointer} ${JSON.stringify(raw)}`
  return { ok: true, condition: { pointer, tokens, optional: optional ?? false, test, types, range, text } }
}

/** Whether the condition holds for the value at its pointer. */
export function holdsOne(condition: Condition, root: JsonObject): Truth {
  const value = valueAt(root, condition.tokens)
  if (value === undefined) return condition.optional ? false : undefined
  return condition.test(value)
}

/** The value a pointer's tokens lead to; only own members count. */
export function valueAt(root: JsonObject, tokens: readonly string[]): JsonValue | undefined {
  let value: JsonValue = root
  for (const token of tokens) {
    const next = child(value, token)
    if (next === undefined) return undefined
    value = next
  }
  return value
}

function child(value: JsonValue, token: string): JsonValue | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value)) {
    // RFC 6901 §4: an array index has no leading zeros.
    return /^(?:0|[1-9][0-9]{0,8})$/.test(token) ? (value as readonly JsonValue[])[Number(token)] : undefined
  }
  return Object.hasOwn(value, token) ? (value as JsonObject)[token] : undefined
}
