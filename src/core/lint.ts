// Findings about a document that holds together and still says more than its author may have meant. A finding never
// refuses anything: what loads is decided by the validators, what is wise by whoever reads this.

import type { SourceDocument } from './document.ts'
import type { JsonObject, JsonValue } from './json.ts'
import { LIMITS } from './limits.ts'
import { formatPointer } from './pointer.ts'
import { printable } from './text.ts'

export type LintSeverity = 'warning' | 'info'

/** What a lint looks for, in one line. Documentation lists the same set. */
export interface LintRule {
  readonly severity: LintSeverity
  readonly meaning: string
}

export interface LintFinding<Rule extends string = string> {
  readonly rule: Rule
  readonly severity: LintSeverity
  /** One line; text of the document in it is escaped. */
  readonly message: string
  /** What to write instead. */
  readonly hint: string
  readonly file: string
  readonly line: number
  readonly column: number
  /** RFC 6901 pointer to the value it is about. */
  readonly pointer: string
}

/** What a lint says of one value, before it has a place. */
export interface LintRemark<Rule extends string> {
  readonly rule: Rule
  readonly message: string
  readonly hint: string
}

/** Findings of one document. From LIMITS.problems on they are counted, and the last one says so. */
export class LintLog<Rule extends string> {
  readonly #document: SourceDocument
  readonly #rules: Readonly<Record<Rule, LintRule>>
  readonly #findings: LintFinding<Rule>[] = []
  #total = 0

  constructor(document: SourceDocument, rules: Readonly<Record<Rule, LintRule>>) {
    this.#document = document
    this.#rules = rules
  }

  add(rule: Rule, at: readonly (string | number)[], message: string, hint: string, on?: 'key'): void {
    this.#total++
    if (this.#findings.length >= 2 * LIMITS.problems) return
    const pointer = formatPointer(at)
    const { line, column } = this.#document.locate(pointer, on ?? 'value')
    const { severity } = this.#rules[rule]
    this.#findings.push({
      rule,
      severity,
      message: printable(message),
      hint: printable(hint),
      file: this.#document.file,
      line,
      column,
      pointer,
    })
  }

  remark(remark: LintRemark<Rule> | undefined, at: readonly (string | number)[]): void {
    if (remark !== undefined) this.add(remark.rule, at, remark.message, remark.hint)
  }

  /** In the order of the text. */
  ordered(): readonly LintFinding<Rule>[] {
    const ordered = [...this.#findings].sort((a, b) => a.line - b.line || a.column - b.column)
    const last = ordered[LIMITS.problems - 1]
    const rest = this.#total - LIMITS.problems
    if (rest <= 0 || last === undefined) return ordered
    return [
      ...ordered.slice(0, LIMITS.problems - 1),
      { ...last, message: `${last.message} (and ${rest} more findings)` },
    ]
  }
}

/** An own member of what may be an object. */
export function memberOf(value: JsonValue | undefined, key: string): JsonValue | undefined {
  return isJsonObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The elements of what may be a list. */
export function itemsOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

/** The texts of what may be a list of them, each with its index. */
export function textsOf(value: JsonValue | undefined): readonly { readonly text: string; readonly index: number }[] {
  return itemsOf(value).flatMap((text, index) => (typeof text === 'string' ? [{ text, index }] : []))
}
