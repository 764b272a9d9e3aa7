// Whether two resource mappings of one tool can stand side by side. One value has one canonical form, and every value has
// exactly the mappings a reader of the manifest would expect; anything else is refused at load.

import type { ProblemCode } from '../core/problem.ts'
import type { ResourceMapping } from './manifest.ts'

export interface MappingAt {
  readonly mapping: ResourceMapping
  readonly tokens: readonly string[]
}

export interface MappingConflict {
  readonly code: ProblemCode
  readonly message: string
  readonly hint: string
}

const INDEX = /^(?:0|[1-9][0-9]*)$/

/** Why `second` cannot stand beside `first`, or `undefined`. */
export function mappingConflict(first: MappingAt, second: MappingAt): MappingConflict | undefined {
  const shorter = first.tokens.length <= second.tokens.length ? first : second
  const longer = shorter === first ? second : first
  for (const [index, token] of shorter.tokens.entries()) {
    const other = longer.tokens[index] ?? ''
    if (token === other) continue
    const mixed = (token === '*' && INDEX.test(other)) || (other === '*' && INDEX.test(token))
    if (!mixed) return undefined
    return {
      code: 'contradiction',
      message: 'one mapping speaks of every element of a list and another of one of them',
      hint: 'map every element with *',
    }
  }
  if (shorter.tokens.length === longer.tokens.length) return sameValue(first.mapping, second.mapping)
  if (shorter.mapping.kind === 'command') {
    return {
      code: 'contradiction',
      message: 'kind: command reads a list of arguments as a whole, and another mapping speaks of a part of it',
      hint: 'remove the other mapping; the command names its programs and files itself',
    }
  }
  if (shorter.mapping.kind !== 'text') return undefined
  return {
    code: 'contradiction',
    message: 'kind: text says that nothing at or below it is a resource, and another mapping names one there',
    hint: 'narrow the text mapping, or remove the other one',
  }
}

// Only "read and write the same file" says two things about one value that are both true.
function sameValue(first: ResourceMapping, second: ResourceMapping): MappingConflict | undefined {
  const samePath = first.kind === 'path' && second.kind === 'path'
  if (samePath && first.access !== second.access && first.base === second.base) return undefined
  if (first.kind === second.kind && first.access === second.access) {
    return { code: 'duplicate_name', message: 'this argument is mapped twice in the same way', hint: 'remove one' }
  }
  const hint = samePath ? 'give both mappings the same base' : 'keep the kind that the tool really uses'
  return { code: 'contradiction', message: 'this argument is mapped in two ways that cannot both hold', hint }
}
