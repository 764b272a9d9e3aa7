// The JSON Schema keywords a tool input schema may use, by dialect, and what stands under each. The list is closed: a
// keyword that nobody evaluates promises a check that does not happen, and one that renames or relocates schemas ($id,
// $anchor, $dynamicRef) would let a reader and the compiler follow a reference to different places.

export type Dialect = '2020-12' | 'draft-07'

/** What `$schema` may say. */
export const DIALECTS: ReadonlyMap<string, Dialect> = new Map([
  ['https://json-schema.org/draft/2020-12/schema', '2020-12'],
  ['https://json-schema.org/draft/2020-12/schema#', '2020-12'],
  ['http://json-schema.org/draft-07/schema', 'draft-07'],
  ['http://json-schema.org/draft-07/schema#', 'draft-07'],
  ['https://json-schema.org/draft-07/schema', 'draft-07'],
  ['https://json-schema.org/draft-07/schema#', 'draft-07'],
])

/** What stands under a keyword. */
export type KeywordOperand =
  | 'annotation' // any value
  | 'dialect'
  | 'schema'
  | 'schemas'
  | 'schema_map'
  | 'pattern_map'
  | 'definitions'
  | 'items'
  | 'dependencies'
  | 'names'
  | 'name_lists'
  | 'values'
  | 'types'
  | 'count'
  | 'number'
  | 'positive'
  | 'flag'
  | 'text'
  | 'format'
  | 'pattern'
  | 'reference'

const BOTH: readonly (readonly [string, KeywordOperand])[] = [
  ['$schema', 'dialect'],
  ['$ref', 'reference'],
  ['$comment', 'text'],
  ['$defs', 'definitions'],
  ['definitions', 'definitions'],
  ['title', 'text'],
  ['description', 'text'],
  ['default', 'annotation'],
  ['examples', 'annotation'],
  ['readOnly', 'flag'],
  ['writeOnly', 'flag'],
  ['deprecated', 'flag'],
  ['contentEncoding', 'text'],
  ['contentMediaType', 'text'],
  ['type', 'types'],
  ['enum', 'values'],
  ['const', 'annotation'],
  ['multipleOf', 'positive'],
  ['maximum', 'number'],
  ['exclusiveMaximum', 'number'],
  ['minimum', 'number'],
  ['exclusiveMinimum', 'number'],
  ['maxLength', 'count'],
  ['minLength', 'count'],
  ['pattern', 'pattern'],
  ['format', 'format'],
  ['maxItems', 'count'],
  ['minItems', 'count'],
  ['uniqueItems', 'flag'],
  ['contains', 'schema'],
  ['maxProperties', 'count'],
  ['minProperties', 'count'],
  ['required', 'names'],
  ['properties', 'schema_map'],
  ['patternProperties', 'pattern_map'],
  ['additionalProperties', 'schema'],
  ['propertyNames', 'schema'],
  ['allOf', 'schemas'],
  ['anyOf', 'schemas'],
  ['oneOf', 'schemas'],
  ['not', 'schema'],
  ['if', 'schema'],
  ['then', 'schema'],
  ['else', 'schema'],
]

export const KEYWORDS: Readonly<Record<Dialect, ReadonlyMap<string, KeywordOperand>>> = {
  '2020-12': new Map([
    ...BOTH,
    ['prefixItems', 'schemas'],
    ['items', 'schema'],
    ['minContains', 'count'],
    ['maxContains', 'count'],
    ['dependentRequired', 'name_lists'],
    ['dependentSchemas', 'schema_map'],
    ['unevaluatedItems', 'schema'],
    ['unevaluatedProperties', 'schema'],
  ]),
  'draft-07': new Map([...BOTH, ['items', 'items'], ['additionalItems', 'schema'], ['dependencies', 'dependencies']]),
}

/** What to write instead of keywords that are often met and not supported. */
export const REFUSED: ReadonlyMap<string, string> = new Map([
  ['$id', 'a schema here has no name of its own; refer to #/$defs/…'],
  ['id', 'a schema here has no name of its own; refer to #/$defs/…'],
  ['$anchor', 'refer to #/$defs/…'],
  ['$dynamicRef', 'only $ref to #/$defs/… is followed'],
  ['$dynamicAnchor', 'only $ref to #/$defs/… is followed'],
  ['$recursiveRef', 'only $ref to #/$defs/… is followed'],
  ['$recursiveAnchor', 'only $ref to #/$defs/… is followed'],
  ['nullable', 'write type: [string, "null"]'],
  ['items', 'write prefixItems for a tuple in draft 2020-12'],
  ['additionalItems', 'in draft 2020-12 items: false closes a tuple'],
  ['dependencies', 'write dependentRequired or dependentSchemas'],
  ['prefixItems', 'this needs "$schema": "https://json-schema.org/draft/2020-12/schema"'],
])
