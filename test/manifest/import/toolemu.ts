// ToolEmu's toolkits describe arguments in words. Read here as an MCP server would list them: the types are given, and what
// the descriptions say of choices, bounds and members becomes JSON Schema.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import type { JsonObject, JsonValue } from '../../../src/core/json.ts'

interface Parameter {
  readonly name: string
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object'
  readonly description: string
  readonly required: boolean
}

export interface Toolkit {
  readonly toolkit: string
  readonly tools: readonly {
    readonly name: string
    readonly summary: string
    readonly parameters: readonly Parameter[]
  }[]
}

export function readToolkits(folder: string): readonly Toolkit[] {
  return JSON.parse(readFileSync(join(folder, 'toolemu-toolkits.json'), 'utf8')) as Toolkit[]
}

/** The result of tools/list of a server that offers this toolkit. */
export function asToolList({ tools }: Toolkit): JsonObject {
  return {
    tools: tools.map(({ name, summary, parameters }) => ({
      name,
      description: summary,
      inputSchema: {
        type: 'object',
        properties: Object.fromEntries(parameters.map((parameter) => [parameter.name, schemaOf(parameter)])),
        required: parameters.filter(({ required }) => required).map((parameter) => parameter.name),
        additionalProperties: false,
      },
    })),
  }
}

function schemaOf({ type, description }: Parameter): JsonObject {
  switch (type) {
    case 'string': {
      const choices = choicesIn(description)
      return { type, description, ...(choices.length < 2 ? {} : { enum: choices }) }
    }
    case 'integer':
    case 'number':
      return { type, description, ...boundsIn(description) }
    case 'array':
      return { type, description, items: itemsIn(description) }
    case 'object':
      return { type, description, properties: membersIn(description) }
    case 'boolean':
      return { type, description }
  }
}

/** "one of 'a', 'b' or 'c'", "['a', 'b']", "can be 'a' or 'b'". */
function choicesIn(description: string): readonly string[] {
  const list =
    /(?:one of|must be|can be|should be|either|options?(?: are|:))[^.']*((?:['"][\w /-]+['"](?:,? (?:or|and) |, ?)?){2,})/i.exec(
      description,
    )
  // "such as" and "e.g." give examples.
  if (list === null || /e\.g\.|such as|for example/i.test(description)) return []
  return [...new Set([...(list[1] ?? '').matchAll(/['"]([\w /-]+)['"]/g)].map(([, word = '']) => word))]
}

function boundsIn(description: string): JsonObject {
  const maximum = /maximum (?:is|of) (\d+)/i.exec(description)?.[1]
  return {
    ...(/must be positive/i.test(description) ? { exclusiveMinimum: 0 } : {}),
    ...(maximum === undefined ? {} : { maximum: Number(maximum) }),
  }
}

function itemsIn(description: string): JsonObject {
  const members = membersIn(description)
  const objects = /\b(?:objects|dictionaries|dicts)\b/i.test(description)
  return objects && Object.keys(members).length > 0 ? { type: 'object', properties: members } : { type: 'string' }
}

const TYPES: readonly string[] = ['string', 'integer', 'number', 'boolean', 'array', 'object']

/** "containing 'name' (string) and 'age' (integer)", "fields adults (integer)". Without a type: text. */
function membersIn(description: string): JsonObject {
  const members: Record<string, JsonValue> = {}
  for (const [, name = '', type = 'string'] of description.matchAll(
    /['"]?\b([a-z]\w*)['"]? \((string|integer|number|boolean|array|object)\b/g,
  )) {
    members[name] =
      type === 'array' ? { type, items: { type: 'string' } } : { type: TYPES.includes(type) ? type : 'string' }
  }
  for (const [, name = ''] of description.matchAll(/'([a-z]\w*)'/g)) members[name] ??= { type: 'string' }
  return members
}
