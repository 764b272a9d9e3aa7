// The keys of a mapping that say which HTTP method a destination is used with: stated, or the text of another argument. A
// pointer to where no text can stand would leave the method unknown in every call, so it refuses the manifest.

import type { JsonObject } from '../core/json.ts'
import { reach } from '../core/json-schema/schema-reach.ts'
import { hasUnprintable, isHttpMethod } from '../core/text.ts'
import { mappingTokens } from './resources.ts'
import type { Section } from './section.ts'

/** The keys of a mapping that say the method; both absent where the manifest says nothing or something wrong. */
export interface MethodKeys {
  readonly method?: string
  readonly methodFrom?: string
}

/** Reads `method` and `method_from` of a mapping whose `from` has the given tokens. Without a schema no place is checked. */
export function readMethod(entry: Section, from: readonly string[], schema: JsonObject | undefined): MethodKeys {
  const method = entry.text('method')
  const methodFrom = entry.text('method_from')
  if (method !== undefined && methodFrom !== undefined) {
    entry.report('contradiction', ['method_from'], 'the method is stated already, by method', { hint: 'remove one' })
    return {}
  }
  if (method !== undefined) {
    if (isHttpMethod(method)) return { method }
    entry.report('invalid_value', ['method'], 'not an HTTP method in upper case letters', { hint: 'write GET' })
    return {}
  }
  if (methodFrom === undefined) return {}
  const tokens = hasUnprintable(methodFrom) ? 'a control or format character' : mappingTokens(methodFrom)
  if (typeof tokens === 'string') {
    entry.report('invalid_value', ['method_from'], tokens, { hint: 'write /method' })
    return {}
  }
  if (!starsFollow(tokens, from)) {
    entry.report('invalid_value', ['method_from'], 'a * that from does not have at the same place', {
      hint: 'write /requests/*/method beside from: /requests/*/url',
    })
    return {}
  }
  if (schema !== undefined && !checkPlace(entry, tokens, schema)) return {}
  return { methodFrom }
}

/** Every `*` has to be the same element as one of `from`, or one call would have many methods for one destination. */
function starsFollow(tokens: readonly string[], from: readonly string[]): boolean {
  const last = tokens.lastIndexOf('*')
  return tokens.slice(0, last + 1).every((token, index) => token === from[index])
}

function checkPlace(entry: Section, tokens: readonly string[], schema: JsonObject): boolean {
  if (reach(schema, tokens, ['string']).possible) return true
  if (reach(schema, tokens, 'any').possible) {
    entry.report('contradiction', ['method_from'], 'the input schema never allows text at this place', {
      hint: 'point to the argument that holds the method, or state it with method',
    })
  } else {
    entry.report('unknown_reference', ['method_from'], 'the input schema leaves no such argument', {
      hint: 'name an argument of input_schema',
    })
  }
  return false
}
