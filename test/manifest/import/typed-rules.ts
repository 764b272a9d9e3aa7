// From the input schema of a tool: conditions that speak of its arguments alone, each in the terms of the argument's type,
// and arguments that fulfil them. What a policy author who has the manifest at hand would write.

import type { JsonObject, JsonValue } from '../../../src/core/json.ts'
import { formatPointer } from '../../../src/core/pointer.ts'

export interface TypedConditions {
  /** JSON Pointer → condition, for every argument whose type a condition can speak of. */
  readonly conditions: Readonly<Record<string, JsonObject>>
  /** Arguments for which all of them hold. */
  readonly args: JsonObject
}

export function typedConditions(schema: JsonObject): TypedConditions {
  const conditions: Record<string, JsonObject> = {}
  const args = visit(schema, [], conditions) as JsonObject
  return { conditions, args }
}

function visit(
  schema: JsonObject,
  path: readonly (string | number)[],
  conditions: Record<string, JsonObject>,
): JsonValue {
  const [value, condition] = typed(schema, path, conditions)
  if (condition !== undefined) conditions[formatPointer(path)] = condition
  return value
}

function typed(
  schema: JsonObject,
  path: readonly (string | number)[],
  conditions: Record<string, JsonObject>,
): readonly [JsonValue, JsonObject | undefined] {
  const { enum: choices, minimum, exclusiveMinimum, maximum } = schema as Readonly<Record<string, JsonValue>>
  switch (schema['type']) {
    case 'string':
      if (Array.isArray(choices)) return [choices[0] as string, { one_of: choices }]
      return ['some text', { glob: '*', max_length: 4096 }]
    case 'integer':
    case 'number': {
      const least = Number(minimum ?? exclusiveMinimum ?? 0)
      const most = Number(maximum ?? 1_000_000)
      return [Math.min(least + 1, most), { min: least, max: most }]
    }
    case 'boolean':
      return [true, { one_of: [true, false] }]
    case 'array':
      return [
        [visit((schema['items'] ?? { type: 'string' }) as JsonObject, [...path, 0], conditions)],
        { min_length: 1, max_length: 100 },
      ]
    default: {
      const members = Object.entries((schema['properties'] ?? {}) as Readonly<Record<string, JsonObject>>)
      return [
        Object.fromEntries(members.map(([name, member]) => [name, visit(member, [...path, name], conditions)])),
        undefined,
      ]
    }
  }
}

/** A value of another type than the one the condition at `pointer` speaks of. */
export function otherType(value: JsonValue): JsonValue {
  return typeof value === 'string' ? 7 : 'seven'
}
