// Values at the edges of a condition: what it names, what is just outside of it, and what is of another type.

import type { JsonObject, JsonValue } from '../../core/json.ts'
import type { RawCondition } from '../schema.ts'
import { regexpSamples } from './regexp-samples.ts'
import { distinct, globSamples } from './samples.ts'

/** Longer values are not made: a bound that far out is not looked at from above. */
const LONGEST = 4096
const MOST = 96
/** Of each part of a schema: what is joined of parts would grow with their product. */
const FEW = 16
const STRANGERS: readonly JsonValue[] = ['zz', 0, null]

export function valueSamples(raw: RawCondition): readonly JsonValue[] {
  const values: JsonValue[] = []
  const { equals, one_of: oneOf, min, max, glob, pattern, contains, every, some, schema } = raw
  for (const scalar of [...(equals === undefined ? [] : [equals]), ...(oneOf ?? [])])
    values.push(scalar, beside(scalar))
  values.push(...numbersAround(min, max))
  const lengths = lengthsOf(raw)
  if (glob !== undefined) values.push(...globSamples(glob, 'text', raw.ignore_case === true, lengths))
  if (pattern !== undefined) values.push(...regexpSamples(pattern))
  for (const length of lengths)
    values.push(
      'x'.repeat(length),
      Array.from({ length }, () => 'x'),
    )
  if (contains !== undefined) values.push([], [contains], ['zz', contains], ['zz'])
  for (const item of [every, some]) if (item !== undefined) values.push(...listsOf(valueSamples(item)))
  if (schema !== undefined) values.push(...schemaSamples(schema as JsonObject, 0))
  return distinct([...values, ...STRANGERS]).slice(0, MOST)
}

function beside(scalar: string | number | boolean | null): JsonValue {
  if (typeof scalar === 'number') return scalar + 1
  if (typeof scalar === 'boolean') return !scalar
  return scalar === null ? 'zz' : `${scalar}z`
}

function numbersAround(min: number | undefined, max: number | undefined): readonly number[] {
  const ends = [min, max].flatMap((end) => (end === undefined ? [] : [end - 1, end, end + 1]))
  return min === undefined || max === undefined ? ends : [...ends, (min + max) / 2]
}

function lengthsOf({ min_length: min, max_length: max }: RawCondition): readonly number[] {
  const ends = [min, max].flatMap((end) => (end === undefined ? [] : [end - 1, end, end + 1]))
  return distinct(ends).filter((length) => length >= 0 && length <= LONGEST)
}

function listsOf(items: readonly JsonValue[]): readonly JsonValue[] {
  return [[], ...items.map((item) => [item]), ...items.slice(1).map((item) => [items[0] ?? null, item]), 'zz']
}

/** Guesses at a schema's edges; keywords it does not know are left to chance. */
function schemaSamples(schema: JsonObject, depth: number): readonly JsonValue[] {
  if (depth > 3) return []
  const named = [...listAt(schema, 'enum'), ...(schema['const'] === undefined ? [] : [schema['const']])]
  const types = typeof schema['type'] === 'string' ? [schema['type']] : listAt(schema, 'type')
  const values: JsonValue[] = [...named]
  for (const type of types) {
    if (type === 'string') values.push(...textSamples(schema))
    else if (type === 'number' || type === 'integer') {
      const ends = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'].flatMap((key) =>
        numberAt(schema, key),
      )
      values.push(...ends.flatMap((end) => [end - 1, end, end + 1]), 0, 1, 1.5)
    } else if (type === 'boolean') values.push(true, false)
    else if (type === 'null') values.push(null)
    else if (type === 'array') values.push(...arraySamples(schema, depth))
    else if (type === 'object') values.push(...objectSamples(schema, depth))
  }
  return distinct(values)
}

function textSamples(schema: JsonObject): readonly string[] {
  const lengths = ['minLength', 'maxLength']
    .flatMap((key) => numberAt(schema, key))
    .flatMap((end) => [end - 1, end, end + 1])
  const { pattern } = schema
  return [
    ...(typeof pattern === 'string' ? regexpSamples(pattern) : []),
    ...lengths.filter((length) => length >= 0 && length <= LONGEST).map((length) => 'x'.repeat(length)),
    '',
    'x',
  ]
}

function arraySamples(schema: JsonObject, depth: number): readonly JsonValue[] {
  const items = isObject(schema['items']) ? schemaSamples(schema['items'], depth + 1).slice(0, FEW) : ['x']
  const [first = 'x'] = items
  const lengths = ['minItems', 'maxItems']
    .flatMap((key) => numberAt(schema, key))
    .flatMap((end) => [end - 1, end, end + 1])
  const sized = lengths
    .filter((length) => length >= 0 && length <= LONGEST)
    .map((length) => Array.from({ length }, () => first))
  return [...sized, ...listsOf(items).filter(Array.isArray)]
}

function objectSamples(schema: JsonObject, depth: number): readonly JsonValue[] {
  const properties = isObject(schema['properties']) ? schema['properties'] : {}
  const samples = Object.entries(properties)
    .slice(0, FEW)
    .map(([key, of]) => [key, isObject(of) ? schemaSamples(of, depth + 1).slice(0, FEW) : ['x']] as const)
  const whole = Object.fromEntries(samples.flatMap(([key, [first]]) => (first === undefined ? [] : [[key, first]])))
  const varied = samples.flatMap(([key, values]) => values.map((value) => ({ ...whole, [key]: value })))
  const lacking = Object.keys(whole).map((key) =>
    Object.fromEntries(Object.entries(whole).filter(([other]) => other !== key)),
  )
  return [whole, ...varied, ...lacking, { ...whole, zz: 'zz' }, {}]
}

function listAt(object: JsonObject, key: string): readonly JsonValue[] {
  const value = object[key]
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

function numberAt(object: JsonObject, key: string): readonly number[] {
  const value = object[key]
  return typeof value === 'number' ? [value] : []
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
