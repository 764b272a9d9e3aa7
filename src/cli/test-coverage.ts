// Which statements of a policy its tests have reached, and which none has. Statements about processes alone are never asked
// about a call, and are left out.

import { resolve } from 'node:path'

import type { SourceDocument } from '../core/document.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { formatPointer } from '../core/pointer.ts'
import type { TestVerdict } from '../policy/test-run.ts'

export interface CoveredRule {
  readonly id: string
  /** `limit` and `oblige` for those, else the rule's effect. */
  readonly effect: string
  readonly file: string
  readonly line: number
  readonly column: number
  /** How many tests have it in their verdict. */
  readonly decided: number
  /** How many tests it applies to, whatever decided them. */
  readonly matched: number
}

export interface Coverage {
  readonly rules: readonly CoveredRule[]
  /** Those that decided or matched. */
  readonly covered: number
  /** 0 to 100; 100 where there is no rule. */
  readonly percent: number
}

type Statement = Omit<CoveredRule, 'decided' | 'matched'>

/** Collects over all sets of one run; a policy that stands in several sets counts once. */
export class CoverageCounter {
  readonly #statements = new Map<string, Statement>()
  readonly #decided = new Map<string, number>()
  readonly #matched = new Map<string, number>()

  /** The statements of a document that was loaded into a set. */
  addPolicy(document: SourceDocument): void {
    for (const statement of statementsOf(document)) this.#statements.set(keyOf(document.file, statement.id), statement)
  }

  /**
   * One test of a set made of `files`.
   *
   * @param matched ids of the statements that apply to its request
   */
  addTest(verdict: TestVerdict, matched: readonly string[], files: readonly string[]): void {
    const decided = [
      ...verdict.rules.map(({ id }) => id),
      ...(verdict.charges ?? []).map(({ limit }) => limit),
      ...(verdict.obligations ?? []).map(({ id }) => id),
    ]
    this.#count(this.#decided, decided, files)
    // What decided did match, also where the two are told in different words.
    this.#count(this.#matched, [...matched, ...decided], files)
  }

  #count(counts: Map<string, number>, ids: readonly string[], files: readonly string[]): void {
    for (const id of new Set(ids)) {
      for (const file of files) {
        const key = keyOf(file, id)
        if (this.#statements.has(key)) counts.set(key, (counts.get(key) ?? 0) + 1)
      }
    }
  }

  result(): Coverage {
    const rules = [...this.#statements].map(([key, statement]) => {
      return { ...statement, decided: this.#decided.get(key) ?? 0, matched: this.#matched.get(key) ?? 0 }
    })
    const covered = rules.filter(({ matched }) => matched > 0).length
    return { rules, covered, percent: rules.length === 0 ? 100 : (covered / rules.length) * 100 }
  }
}

/** A rule id is unique in its set only, and one file can be named in several ways. */
function keyOf(file: string, id: string): string {
  return JSON.stringify([resolve(file), id])
}

function statementsOf(document: SourceDocument): readonly Statement[] {
  const found: Statement[] = []
  const collect = (key: string, effectOf: (raw: JsonObject) => string): void => {
    const list = objectOf(document.value)?.[key]
    if (!Array.isArray(list)) return
    ;(list as readonly JsonValue[]).forEach((value, index) => {
      const raw = objectOf(value)
      if (raw === undefined || typeof raw['id'] !== 'string' || isAboutProcesses(raw)) return
      const { line, column } = document.locate(formatPointer([key, index]))
      found.push({ id: raw['id'], effect: effectOf(raw), file: document.file, line, column })
    })
  }
  collect('rules', (raw) => String(raw['effect']))
  collect('limits', () => 'limit')
  collect('obligations', () => 'oblige')
  return found
}

/** Lists what only a process can touch, and nothing a call can name. */
function isAboutProcesses(raw: JsonObject): boolean {
  const paths = objectOf(raw['paths'])
  const ofCalls = [raw['hosts'], paths?.['read'], paths?.['write'], raw['binaries'], raw['env'], raw['oauth_scopes']]
  const ofProcesses = [paths?.['execute'], raw['libraries'], raw['process_rights']]
  return ofCalls.every((list) => list === undefined) && ofProcesses.some((list) => list !== undefined)
}

function objectOf(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined
}
