// `${name}` in the strings of a document, filled from values the operator gives at start. A value is data: it cannot
// become a pattern, cannot bring a second reference with it, and never stands in a key.

import { type ParsedDocument, type SourceDocument, withValue } from './document.ts'
import type { JsonValue } from './json.ts'
import { LIMITS } from './limits.ts'
import { addMember } from './member.ts'
import { formatPointer } from './pointer.ts'
import type { Problem } from './problem.ts'
import { hasUnprintable, printable } from './text.ts'
import { isWellFormed } from './wellformed.ts'

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Characters that a host, path or name pattern reads as something else than themselves. */
const PATTERN_CHARACTER = /[*?[\]{}!\\]/

/**
 * `document` with each `${name}` in its string values replaced; `$${` stands for a literal `${`. Places stay those of
 * the text. When nothing is to be replaced the same document comes back. Variables that are not used do no harm.
 *
 * @throws TypeError when `variables` holds something that is not a string.
 */
export function substituteVariables(
  document: SourceDocument,
  variables: Readonly<Record<string, string>>,
): ParsedDocument {
  const known = new Map<string, string>()
  for (const name of Object.keys(variables)) {
    const value: unknown = variables[name]
    if (typeof value !== 'string') throw new TypeError('the value of a variable must be a string')
    known.set(name, value)
  }
  const substitution = new Substitution(document, known)
  const value = substitution.apply(document.value, 0)
  if (substitution.problems.length > 0) return { ok: false, problems: substitution.problems }
  return { ok: true, document: value === document.value ? document : withValue(document, value) }
}

class Substitution {
  readonly problems: Problem[] = []
  readonly #document: SourceDocument
  readonly #variables: ReadonlyMap<string, string>
  readonly #path: (string | number)[] = []

  constructor(document: SourceDocument, variables: ReadonlyMap<string, string>) {
    this.#document = document
    this.#variables = variables
  }

  /** `value` itself when nothing in it changes, so that a document without references costs no copy. */
  apply(value: JsonValue, depth: number): JsonValue {
    if (typeof value === 'string') return value.includes('${') ? this.#text(value, depth) : value
    if (value === null || typeof value !== 'object') return value
    return Array.isArray(value) ? this.#array(value, depth) : this.#object(value as ObjectValue, depth)
  }

  #array(array: readonly JsonValue[], depth: number): JsonValue {
    let copy: JsonValue[] | undefined
    for (let index = 0; index < array.length; index++) {
      const item = array[index] as JsonValue
      this.#path[depth] = index
      const next = this.apply(item, depth + 1)
      if (next === item) continue
      copy ??= array.slice()
      copy[index] = next
    }
    return copy ?? array
  }

  #object(object: ObjectValue, depth: number): JsonValue {
    let changes: Map<string, JsonValue> | undefined
    const names = Object.keys(object)
    for (const name of names) {
      const member = object[name] as JsonValue
      this.#path[depth] = name
      const next = this.apply(member, depth + 1)
      if (next === member) continue
      changes ??= new Map()
      changes.set(name, next)
    }
    if (changes === undefined) return object
    const copy: Record<string, JsonValue> = {}
    for (const name of names) addMember(copy, name, changes.get(name) ?? (object[name] as JsonValue))
    return copy
  }

  #text(text: string, depth: number): string {
    let result = ''
    let from = 0
    for (;;) {
      const at = text.indexOf('${', from)
      if (at === -1) return result + text.slice(from)
      if (at > from && text[at - 1] === '$') {
        result += `${text.slice(from, at - 1)}\${`
        from = at + 2
        continue
      }
      const end = text.indexOf('}', at)
      const name = end === -1 ? '' : text.slice(at + 2, end)
      if (!NAME.test(name)) {
        this.#problem(
          'invalid_value',
          depth,
          'malformed reference to a variable',
          `write \${NAME}, or $\${ for a literal \${`,
        )
        return text
      }
      result += text.slice(from, at) + this.#value(name, depth)
      from = end + 1
      if (result.length > LIMITS.documentLength) {
        this.#problem('too_large', depth, `longer than ${LIMITS.documentLength} characters with its variables`)
        return text
      }
    }
  }

  #value(name: string, depth: number): string {
    const value = this.#variables.get(name)
    if (value === undefined) {
      const names = [...this.#variables.keys()].sort()
      const hint = names.length === 0 ? 'no variables are given' : `variables given: ${names.join(', ')}`
      this.#problem('unknown_reference', depth, `no variable is named ${printable(name, LIMITS.nameLength)}`, hint)
      return ''
    }
    const refusal = refuseVariable(value)
    // The value itself is not shown: variables are where deployments keep what differs, secrets too.
    if (refusal !== undefined) this.#problem('invalid_value', depth, `the value of variable ${name} ${refusal}`)
    return value
  }

  #problem(
    code: 'invalid_value' | 'unknown_reference' | 'too_large',
    depth: number,
    message: string,
    hint?: string,
  ): void {
    // Beyond the bound problems are dropped; the document is refused all the same.
    if (this.problems.length >= LIMITS.problems) return
    const pointer = formatPointer(this.#path.slice(0, depth))
    this.problems.push(this.#document.problem(code, pointer, message, hint === undefined ? {} : { hint }))
  }
}

type ObjectValue = Readonly<Record<string, JsonValue>>

/** Why a value must not be put into a document, or `undefined`. */
function refuseVariable(value: string): string | undefined {
  if (value.includes('${')) return 'holds another reference'
  if (PATTERN_CHARACTER.test(value)) return 'holds a pattern character: * ? [ ] { } ! or \\'
  if (hasUnprintable(value) || !isWellFormed(value)) return 'holds a control or invisible character'
  return undefined
}
