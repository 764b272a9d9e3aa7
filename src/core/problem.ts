// What is wrong with a document, said once for all formats: where, what, and the mend.

import { AgentPortError, type ErrorCode } from './errors.ts'
import { printable } from './text.ts'

/** Every code a {@link Problem} can carry, with its one-line meaning. `docs/errors.md` lists the same set. */
export const PROBLEM_CODES = {
  syntax_error: 'The text is not well-formed.',
  duplicate_key: 'A key stands twice in one object.',
  forbidden_key: 'A key such as __proto__ that some readers treat specially.',
  unsupported_syntax:
    'A feature of the format that can change meaning behind the reader: anchors, aliases, tags, merges, a second document.',
  too_deep: 'Nested deeper than the limit.',
  too_large: 'Longer than the limit.',
  unknown_key: 'A key the format does not define.',
  missing_key: 'A required key is absent.',
  wrong_type: 'A value of another type than the format defines.',
  invalid_value: 'A value of the right type that is not one of those allowed.',
  invalid_pattern: 'A host, path or name pattern that has no single meaning.',
  invalid_schema: 'A tool input schema that cannot be compiled or evaluated in bounded time.',
  unknown_reference: 'A name that nothing defines.',
  cyclic_reference: 'Names that refer to each other in a circle.',
  duplicate_name: 'A name defined twice.',
  unused_definition: 'A definition nothing refers to.',
  contradiction: 'Two statements that cannot both hold.',
  not_granted: 'A manifest asks for something no policy permits.',
} as const

export type ProblemCode = keyof typeof PROBLEM_CODES

/** A place in a text. `line` and `column` count from 1, `column` in UTF-16 code units; `offset` counts from 0. */
export interface Position {
  readonly line: number
  readonly column: number
  readonly offset: number
}

export interface Problem {
  readonly code: ProblemCode
  readonly severity: 'error' | 'warning'
  /** One line. Never contains text from the document that was not escaped. */
  readonly message: string
  /** What to write instead, when that is known. */
  readonly hint?: string
  readonly file: string
  readonly line: number
  readonly column: number
  /** RFC 6901 pointer to the offending value; `''` is the document. */
  readonly pointer: string
  /** The offending lines with a caret under the place, ready to print. */
  readonly frame?: string
}

/** `file:line:column: message` with frame and hint, one problem after the other. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems
    .map((problem) => {
      // A file name can come with a skill, and must not write escapes to a terminal any more than its text.
      const head = `${printable(problem.file)}:${problem.line}:${problem.column}: ${problem.severity} ${problem.code}: ${problem.message}`
      return [head, problem.frame, problem.hint === undefined ? undefined : `  fix: ${problem.hint}`]
        .filter((part) => part !== undefined)
        .join('\n')
    })
    .join('\n\n')
}

/** A document was refused. `problems` holds all that is wrong with it, not only the first. */
export class DocumentError extends AgentPortError {
  override readonly name: string = 'DocumentError'
  readonly problems: readonly Problem[]

  constructor(code: ErrorCode, problems: readonly Problem[]) {
    super(code, formatProblems(problems))
    this.problems = problems
  }
}
