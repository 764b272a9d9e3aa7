// One object of a document while its meaning is checked, and the list of what is wrong with the document. A section reads
// only what has the type the shape asks for: everything else was reported by the shape check and is passed over here, so
// that one mistake is one problem.

import { orderProblems, type ProblemOptions, type SourceDocument } from '../core/document.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { LIMITS } from '../core/limits.ts'
import { formatPointer } from '../core/pointer.ts'
import type { Problem, ProblemCode } from '../core/problem.ts'

export type Reading<T> =
  | { readonly ok: true; readonly pattern: T }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

/** An element of a list, and where in the list it stands. */
export interface Placed<T> {
  readonly value: T
  readonly index: number
}

type Place = readonly (string | number)[]

/** What is wrong with one document. Beyond LIMITS.problems they are counted and not built: each has a code frame. */
export class ProblemLog {
  readonly #document: SourceDocument
  readonly #problems: Problem[]
  #total: number
  #refused: boolean

  constructor(document: SourceDocument, problems: readonly Problem[]) {
    this.#document = document
    this.#problems = [...problems]
    this.#total = problems.length
    this.#refused = problems.some((problem) => problem.severity === 'error')
  }

  /** Whether one of them is an error; also one that was only counted. */
  get refused(): boolean {
    return this.#refused
  }

  ordered(): readonly Problem[] {
    return orderProblems(this.#problems, this.#total)
  }

  add(code: ProblemCode, pointer: string, message: string, options: ProblemOptions): void {
    this.#total++
    if (options.severity !== 'warning') this.#refused = true
    if (this.#problems.length >= 2 * LIMITS.problems) return
    this.#problems.push(this.#document.problem(code, pointer, message, options))
  }
}

export class Section {
  readonly #log: ProblemLog
  readonly #at: Place
  readonly #value: JsonObject | undefined

  constructor(log: ProblemLog, at: Place, value: JsonValue) {
    this.#log = log
    this.#at = at
    this.#value = isObject(value) ? value : undefined
  }

  get isObject(): boolean {
    return this.#value !== undefined
  }

  has(key: string): boolean {
    return this.#value !== undefined && Object.hasOwn(this.#value, key)
  }

  get(key: string): JsonValue | undefined {
    return this.has(key) ? this.#value?.[key] : undefined
  }

  text(key: string): string | undefined {
    const value = this.get(key)
    return typeof value === 'string' ? value : undefined
  }

  object(key: string): JsonObject | undefined {
    const value = this.get(key)
    return isObject(value) ? value : undefined
  }

  /** Those of the keys that hold text. */
  texts<K extends string>(...keys: readonly K[]): { readonly [key in K]?: string } {
    const found: { [key in K]?: string } = {}
    for (const key of keys) {
      const text = this.text(key)
      if (text !== undefined) found[key] = text
    }
    return found
  }

  /** The elements of a list, with their own sections. */
  sections(key: string): readonly Section[] {
    return this.#list(key).map((value, index) => new Section(this.#log, [...this.#at, key, index], value))
  }

  /** Every text of a list, as `read` understands it; what it does not understand is a problem. */
  readAll<T>(key: string, read: (text: string) => Reading<T>): T[] {
    return this.readPlaced(key, read).map(({ value }) => value)
  }

  /** {@link readAll} with the index of each. */
  readPlaced<T>(key: string, read: (text: string) => Reading<T>): Placed<T>[] {
    const found: Placed<T>[] = []
    this.#list(key).forEach((entry, index) => {
      if (typeof entry !== 'string') return
      const reading = read(entry)
      if (reading.ok) found.push({ value: reading.pattern, index })
      else
        this.report(
          'invalid_pattern',
          [key, index],
          reading.reason,
          reading.hint === undefined ? {} : { hint: reading.hint },
        )
    })
    return found
  }

  report(code: ProblemCode, below: Place, message: string, options: ProblemOptions = {}): void {
    this.#log.add(code, formatPointer([...this.#at, ...below]), message, options)
  }

  /** Reports each of the lists that has an entry, because `statement` says that there are none. */
  contradicts(lists: readonly string[], statement: string): void {
    for (const list of lists) {
      if (this.#list(list).length === 0) continue
      this.report('contradiction', [list], `${statement}, and this list is not empty`, {
        on: 'key',
        hint: 'empty the list, or change the statement',
      })
    }
  }

  #list(key: string): readonly JsonValue[] {
    const value = this.get(key)
    return Array.isArray(value) ? value : []
  }
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
