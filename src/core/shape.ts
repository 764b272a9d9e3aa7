// What zod says about a value, told as problems of the document the value came from: at line and column, one unknown key
// each with the key that was probably meant, a union by the branch that was probably meant. Knows the shape of zod's
// issues and schemas, not the package; the words of a message are those of the schema's author.

import { orderProblems, type SourceDocument } from './document.ts'
import type { JsonValue } from './json.ts'
import { LIMITS } from './limits.ts'
import { closestName } from './nearest.ts'
import { formatPointer, resolvePointer } from './pointer.ts'
import { PROBLEM_CODES, type Problem, type ProblemCode } from './problem.ts'
import { knownKeys } from './schema-keys.ts'
import { printable } from './text.ts'

/** A zod 4 issue, as far as it is looked at. */
export interface ShapeIssue {
  readonly code?: string | undefined
  readonly path: readonly PropertyKey[]
  readonly message: string
  /** invalid_type */
  readonly expected?: string | undefined
  /** unrecognized_keys */
  readonly keys?: readonly string[] | undefined
  /** invalid_value */
  readonly values?: readonly unknown[] | undefined
  /** invalid_union: the issues of each branch, or the values of the discriminator. */
  readonly errors?: readonly (readonly ShapeIssue[])[] | undefined
  readonly options?: readonly unknown[] | undefined
  /** invalid_key, invalid_element */
  readonly issues?: readonly ShapeIssue[] | undefined
  /** custom: `code` a {@link ProblemCode}, `hint` a line for people, `on` `'key'` or `'value'`. */
  readonly params?: Readonly<Record<string, unknown>> | undefined
}

/**
 * `issues` as problems, in the order of the text and at most LIMITS.problems.
 *
 * @param schema the zod schema the issues come from; with it an unknown key is answered with the known ones.
 */
export function shapeProblems(document: SourceDocument, issues: readonly ShapeIssue[], schema?: unknown): Problem[] {
  const report = new Report(document, schema)
  for (const issue of issues) report.add(issue, [])
  return orderProblems(report.problems, report.total)
}

class Report {
  readonly problems: Problem[] = []
  total = 0
  readonly #document: SourceDocument
  readonly #schema: unknown

  constructor(document: SourceDocument, schema: unknown) {
    this.#document = document
    this.#schema = schema
  }

  add(issue: ShapeIssue, base: readonly string[]): void {
    const path = [...base, ...issue.path.map(String)]
    switch (issue.code) {
      case 'unrecognized_keys':
        for (const key of issue.keys ?? []) this.#unknownKey(path, key)
        return
      case 'invalid_type':
      case 'invalid_value':
      case 'invalid_union':
        if (this.#isMissing(path)) this.#missingKey(path, issue)
        else if (issue.code === 'invalid_union') this.#union(issue, path)
        else if (issue.code === 'invalid_value') this.#oneOf(issue, path, issue.values ?? [])
        else this.#wrongType(path, tidy(issue.message))
        return
      case 'invalid_key':
        this.#authored(issue.issues?.[0] ?? issue, path, 'key')
        return
      default:
        this.#authored(issue, path, 'value')
    }
  }

  #unknownKey(path: readonly string[], key: string): void {
    // The search for a close name is left out for problems that are only counted.
    if (this.problems.length >= LIMITS.problems) {
      this.total++
      return
    }
    const known = knownKeys(this.#schema, path)
    const present = this.#at(path)
    const free = [...known].filter((name) => !isObject(present) || !Object.hasOwn(present, name))
    const close = closestName(key, free)
    const hint =
      close !== undefined ? didYouMean(close) : known.size === 0 ? undefined : listHint('known keys', [...known])
    this.#push('unknown_key', [...path, key], `unknown key "${printable(key, 80)}"`, hint, 'key')
  }

  #missingKey(path: readonly string[], issue: ShapeIssue): void {
    const key = path.at(-1) ?? ''
    const values = issue.values ?? issue.options ?? []
    const what = values.length > 0 ? listHint('one of', values) : tidy(issue.message)
    this.#push('missing_key', path.slice(0, -1), `the key "${printable(key, 80)}" is missing`, `add "${key}": ${what}`)
  }

  #wrongType(path: readonly string[], message: string): void {
    const nothing = this.#document.format === 'yaml' && this.#at(path) === null
    this.#push('wrong_type', path, message, nothing ? 'nothing is written after the key' : undefined)
  }

  #oneOf(issue: ShapeIssue, path: readonly string[], values: readonly unknown[]): void {
    const found = this.#at(path)
    const names = values.filter((value) => typeof value === 'string')
    const close = typeof found === 'string' ? closestName(found, names) : undefined
    const message = tidy(issue.message)
    const listed = values.length < 2 || message.includes('one of')
    const hint = close !== undefined ? didYouMean(close) : listed ? undefined : listHint('one of', values)
    this.#push('invalid_value', path, message, hint)
  }

  /** Tells the issues of the branch that fits best; when the value is of no branch's type, the types it could have. */
  #union(issue: ShapeIssue, path: readonly string[]): void {
    const branches = (issue.errors ?? []).filter((branch) => branch.length > 0)
    const [best] = [...branches].sort((a, b) => misfit(a) - misfit(b))
    if (best === undefined) {
      this.#oneOf(issue, path, issue.options ?? [])
    } else if (misfit(best) < OTHER_TYPE) {
      for (const inner of best) this.add(inner, path)
    } else {
      const types = branches.flat().flatMap((inner) => inner.expected ?? [])
      const values = branches.flat().flatMap((inner) => inner.values ?? [])
      const words = [...new Set(types), ...(values.length > 0 ? [listHint('one of', values)] : [])]
      const own = tidy(issue.message)
      const message = own === UNSAID && words.length > 0 ? `expected ${joinOr(words)}` : own
      if (values.length > 0) this.#oneOf({ ...issue, message }, path, values)
      else this.#wrongType(path, message)
    }
  }

  /** An issue whose author says what it is: checks with a message, `custom` issues with `params`. */
  #authored(issue: ShapeIssue, path: readonly string[], on: 'key' | 'value'): void {
    const { code, hint, on: place } = issue.params ?? {}
    const known =
      typeof code === 'string' && Object.hasOwn(PROBLEM_CODES, code) ? (code as ProblemCode) : 'invalid_value'
    this.#push(
      known,
      path,
      tidy(issue.message),
      typeof hint === 'string' ? hint : undefined,
      place === 'key' ? 'key' : on,
    )
  }

  #push(
    code: ProblemCode,
    path: readonly string[],
    message: string,
    hint?: string,
    on: 'key' | 'value' = 'value',
  ): void {
    this.total++
    if (this.problems.length >= LIMITS.problems) return
    const options = { on, ...(hint === undefined ? {} : { hint }) }
    this.problems.push(this.#document.problem(code, formatPointer(path), message, options))
  }

  #at(path: readonly string[]): JsonValue | undefined {
    return resolvePointer(this.#document.value, path)
  }

  /** Zod reports a missing member like a wrong one; whether it is there is asked of the document. */
  #isMissing(path: readonly string[]): boolean {
    return path.length > 0 && this.#at(path) === undefined && isObject(this.#at(path.slice(0, -1)))
  }
}

function isObject(value: JsonValue | undefined): value is Readonly<Record<string, JsonValue>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const OTHER_TYPE = 1_000_000
const OTHER_CONSTANT = 1_000

/** How far a value is from a union branch: of another type, else of another constant (a discriminator), else in details. */
function misfit(branch: readonly ShapeIssue[]): number {
  let sum = 0
  for (const issue of branch) {
    if (issue.path.length === 0 && issue.code !== 'unrecognized_keys' && issue.code !== 'custom') sum += OTHER_TYPE
    else if (issue.code === 'invalid_value' && issue.path.length === 1) sum += OTHER_CONSTANT
    else sum += issue.code === 'unrecognized_keys' ? (issue.keys?.length ?? 1) : 1
  }
  return sum
}

const UNSAID = 'not valid here'

/** Zod's own messages without their headline; an author's message as it is. */
function tidy(message: string): string {
  const text = message
    .replace(/^(?:Invalid (?:input|option|string|number|key)|Too (?:small|big)): /, '')
    .replace(/^Invalid discriminator value\. Expected/, 'expected')
  return text === 'Invalid input' ? UNSAID : text
}

function didYouMean(name: string): string {
  return `did you mean "${name}"?`
}

function listHint(title: string, values: readonly unknown[]): string {
  const shown = [...new Set(values)].slice(0, 20).map(String)
  return `${title} ${shown.join(', ')}${shown.length < values.length ? ', …' : ''}`
}

function joinOr(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}
