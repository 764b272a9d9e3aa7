// What a tool input schema says about a place in the arguments: can a value of this type stand there, and must it? A
// resource mapping to a place that can never be filled is a typing error that would leave the real argument unwatched.
// Unsure is "can" and "need not".

import type { JsonObject, JsonValue } from '../json.ts'
import { followReference, isObject, member, TYPES } from './schema-check.ts'

export interface Reach {
  readonly possible: boolean
  readonly required: boolean
}

const OPEN: Reach = { possible: true, required: false }
const NEVER: Reach = { possible: false, required: false }
const HERE: Reach = { possible: true, required: true }

/** Types one of which the value at the end has to have, as JSON Schema names them; `any` is every one. */
export type Leaf = 'any' | readonly string[]

/** `root` was found followable by checkSchema. `*` is every array element. */
export function reach(root: JsonObject, tokens: readonly string[], leaf: Leaf): Reach {
  return visit(root, root, tokens, leaf)
}

function visit(root: JsonObject, schema: JsonValue, tokens: readonly string[], leaf: Leaf): Reach {
  if (schema === false) return NEVER
  if (!isObject(schema)) return tokens.length === 0 ? HERE : OPEN
  const own = tokens.length === 0 ? leafReach(schema, leaf) : stepReach(root, schema, tokens, leaf)
  const all: Reach[] = [own]
  const reference = member(schema, '$ref')
  if (typeof reference === 'string') all.push(visit(root, followReference(root, reference) ?? true, tokens, leaf))
  for (const branch of branches(schema, 'allOf')) all.push(visit(root, branch, tokens, leaf))
  for (const keyword of ['anyOf', 'oneOf']) {
    const some = branches(schema, keyword).map((branch) => visit(root, branch, tokens, leaf))
    if (some.length === 0) continue
    const open = some.filter((one) => one.possible)
    all.push({ possible: open.length > 0, required: open.length > 0 && open.every((one) => one.required) })
  }
  return { possible: all.every((one) => one.possible), required: all.some((one) => one.required) }
}

function leafReach(schema: JsonObject, leaf: Leaf): Reach {
  if (leaf === 'any') return HERE
  return leaf.some((type) => admits(schema, type) || (type === 'number' && admits(schema, 'integer'))) ? HERE : NEVER
}

function stepReach(root: JsonObject, schema: JsonObject, tokens: readonly string[], leaf: Leaf): Reach {
  const [token = '', ...rest] = tokens
  const below = (child: JsonValue): Reach => visit(root, child, rest, leaf)
  const asArray = admits(schema, 'array') ? elementReach(schema, token, below) : NEVER
  const asObject = token !== '*' && admits(schema, 'object') ? memberReach(schema, token, below) : NEVER
  return { possible: asArray.possible || asObject.possible, required: asArray.required || asObject.required }
}

function memberReach(schema: JsonObject, token: string, below: (child: JsonValue) => Reach): Reach {
  const listed = member(schema, 'required')
  const required = Array.isArray(listed) && listed.includes(token)
  const properties = member(schema, 'properties')
  const child = isObject(properties) ? member(properties, token) : undefined
  if (child !== undefined) {
    const found = below(child)
    return { possible: found.possible, required: required && found.required }
  }
  const other = member(schema, 'patternProperties')
  if (isObject(other) && Object.keys(other).length > 0) return { possible: true, required }
  const additional = member(schema, 'additionalProperties')
  if (additional === undefined) return { possible: !closed(schema, 'unevaluatedProperties'), required }
  const found = below(additional)
  return { possible: found.possible, required: required && found.required }
}

// An array may be empty, and then there is nothing to require: `*` passes on what its elements say.
function elementReach(schema: JsonObject, token: string, below: (child: JsonValue) => Reach): Reach {
  if (token !== '*' && !/^(?:0|[1-9][0-9]*)$/.test(token)) return NEVER
  const items = member(schema, 'items')
  const ordered = member(schema, 'prefixItems') ?? (Array.isArray(items) ? items : undefined)
  if (ordered !== undefined) return OPEN
  if (items === undefined) return { possible: !closed(schema, 'unevaluatedItems'), required: token === '*' }
  const found = below(items)
  return { possible: found.possible, required: token === '*' && found.required }
}

/** `unevaluated…: false` where nothing beside it could evaluate the place. */
function closed(schema: JsonObject, keyword: string): boolean {
  const beside = ['$ref', 'allOf', 'anyOf', 'oneOf', 'if', 'then', 'else', 'not', 'contains', 'dependentSchemas']
  return member(schema, keyword) === false && !beside.some((name) => Object.hasOwn(schema, name))
}

function admits(schema: JsonObject, type: string): boolean {
  const declared = member(schema, 'type')
  if (declared === undefined) return true
  const list = Array.isArray(declared) ? declared : [declared]
  // A misspelt type is its own problem, and says nothing about this one.
  return list.includes(type) || !list.every((name) => TYPES.has(name as string))
}

function branches(schema: JsonObject, keyword: string): readonly JsonValue[] {
  const list = member(schema, keyword)
  return Array.isArray(list) ? list : []
}
