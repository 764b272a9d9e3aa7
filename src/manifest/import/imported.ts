// What an importer hands back, and the notes it takes on the way. An importer reads what somebody else wrote for another
// program: it grants only what the source states in so many words, and whatever it cannot say becomes a todo.

import type { ProblemOptions, SourceDocument } from '../../core/document.ts'
import { orderProblems } from '../../core/document.ts'
import type { JsonObject, JsonValue } from '../../core/json.ts'
import { LIMITS } from '../../core/limits.ts'
import { addMember } from '../../core/member.ts'
import { formatPointer } from '../../core/pointer.ts'
import type { Problem, ProblemCode } from '../../core/problem.ts'
import { hasUnprintable, printable } from '../../core/text.ts'
import { ManifestValidator } from '../validator.ts'

/** One thing an author still has to declare. */
export interface ImportTodo {
  /** RFC 6901 pointer into the manifest: where it is declared. */
  readonly pointer: string
  /** What to write, in one line. */
  readonly what: string
  /** Why the importer did not write it, in one line. */
  readonly why: string
  /** A value that may be right. Guessed from names and untrusted hints: read it before you take it. */
  readonly suggestion?: JsonValue
  /** Where the source speaks of it. */
  readonly file: string
  readonly line: number
  readonly column: number
}

export type Imported =
  /** `manifest` has the snake_case keys of a document, and ManifestValidator loads it. */
  | {
      readonly ok: true
      readonly manifest: JsonObject
      readonly todo: readonly ImportTodo[]
      readonly warnings: readonly Problem[]
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

export type Place = readonly (string | number)[]

export interface TodoOptions {
  /** Where in the source. */
  readonly at: Place
  readonly suggestion?: JsonValue
}

/** More than anybody reads; the last one counts the rest. */
export const MOST_TODOS = 1_000
/** What the schema allows a description to have. */
const DESCRIPTION_LENGTH = 8192

// Control and format characters, separators, half surrogates, but not line feed and tab: in a description they hide
// instructions from whoever reviews it (tag characters U+E0000…) or show them in another order.
const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** Notes on one source. Beyond their bounds they are counted and not kept. */
export class ImportNotes {
  readonly #document: SourceDocument
  readonly #todo: ImportTodo[] = []
  readonly #problems: Problem[] = []
  #todos = 0
  #total = 0
  #refused = false

  constructor(document: SourceDocument) {
    this.#document = document
  }

  todo(below: Place, what: string, why: string, options: TodoOptions): void {
    this.#todos++
    if (this.#todo.length >= MOST_TODOS) return
    const { line, column } = this.#document.locate(formatPointer(options.at))
    this.#todo.push({
      pointer: formatPointer(below),
      what: printable(what),
      why: printable(why),
      ...(options.suggestion === undefined ? {} : { suggestion: options.suggestion }),
      file: this.#document.file,
      line,
      column,
    })
  }

  /** Something of the source is left out, or not what it seems. */
  warn(code: ProblemCode, at: Place, message: string, options: ProblemOptions = {}): void {
    this.#add(code, at, message, { ...options, severity: 'warning' })
  }

  /** No manifest comes of this source. */
  refuse(code: ProblemCode, at: Place, message: string, options: ProblemOptions = {}): void {
    this.#refused = true
    this.#add(code, at, message, options)
  }

  /** `text` as it may stand in a manifest: without hidden characters, at most as long as allowed. Undefined for none. */
  description(value: JsonValue | undefined, at: Place): string | undefined {
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'string') {
      this.warn('wrong_type', at, 'a description that is not text is left out')
      return undefined
    }
    const seen = value.replace(HIDDEN, '')
    if (seen.length < value.length) {
      this.warn('invalid_value', at, `${value.length - seen.length} hidden characters of this text are left out`)
    }
    if (seen.length <= DESCRIPTION_LENGTH) return seen.trim() === '' ? undefined : seen
    this.warn('too_large', at, `only the first ${DESCRIPTION_LENGTH} characters of this text are kept`)
    const cut = seen.slice(0, DESCRIPTION_LENGTH)
    return isHighSurrogate(cut.charCodeAt(cut.length - 1)) ? cut.slice(0, -1) : cut
  }

  /** A short text of one line, such as a version; with a todo where it cannot be one. */
  label(key: string, value: JsonValue | undefined, at: Place): string | undefined {
    if (value === undefined || value === null) return undefined
    const fits = typeof value === 'string' && value !== '' && value.length <= LIMITS.nameLength
    if (fits && !hasUnprintable(value)) return value
    const numeric = typeof value === 'number' ? ': a number that lost its last zero is another version' : ''
    this.todo([key], `write ${key} as text`, `the source has one that is not a short text${numeric}`, { at })
    return undefined
  }

  /** The result, with `manifest` as it was read: references to variables in it are made literal here. */
  finish(manifest: JsonObject): Imported {
    if (this.#refused) return { ok: false, problems: orderProblems(this.#problems, this.#total) }
    const literal = withoutReferences(manifest) as JsonObject
    // What slipped through is told now, and not by whoever loads the file.
    const validated = new ManifestValidator().validate({ name: this.#document.file, value: literal })
    if (!validated.ok) return validated
    return {
      ok: true,
      manifest: literal,
      todo: this.#finishedTodo(),
      warnings: orderProblems(this.#problems, this.#total),
    }
  }

  #finishedTodo(): readonly ImportTodo[] {
    const last = this.#todo.at(-1)
    const rest = this.#todos - this.#todo.length
    if (rest === 0 || last === undefined) return this.#todo
    return [...this.#todo.slice(0, -1), { ...last, what: `${last.what} (and ${rest} more)` }]
  }

  #add(code: ProblemCode, at: Place, message: string, options: ProblemOptions): void {
    this.#total++
    if (this.#problems.length < 2 * LIMITS.problems) {
      this.#problems.push(this.#document.problem(code, formatPointer(at), message, options))
    }
  }
}

/**
 * `${` in a text of the source is that text, and never a reference: a description that says `${API_TOKEN}` would
 * otherwise be filled in from the operator's variables.
 */
function withoutReferences(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.replaceAll('${', () => '$${')
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(withoutReferences)
  const copy: Record<string, JsonValue> = {}
  for (const [key, entry] of Object.entries(value)) addMember(copy, key, withoutReferences(entry as JsonValue))
  return copy
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** An own member; a name such as `constructor` finds nothing that was not written. */
export function member(value: JsonValue | undefined, key: string): JsonValue | undefined {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
}
