// A document of the operator or a publisher: its text, the value it stands for, and the way back from a place in the
// value to line and column. Whatever format it is written in, it has exactly one reading or none.

import { canonicalJson } from './canonical.ts'
import { codeFrame } from './frame.ts'
import { type JsonValue, readJson } from './json.ts'
import { LIMITS } from './limits.ts'
import { LineTable } from './lines.ts'
import { type Flaw, findOffset, type Place, type Reading } from './places.ts'
import { copyWithin } from './plain.ts'
import { parsePointer } from './pointer.ts'
import type { Position, Problem, ProblemCode } from './problem.ts'
import { printable } from './text.ts'
import { readToml } from './toml.ts'
import { firstLoneSurrogate, isWellFormed } from './wellformed.ts'
import { readYaml } from './yaml.ts'

export type DocumentFormat = 'json' | 'yaml' | 'toml'

/** A text on its way in. Without `format` the extension of `file` decides: .json, .yaml, .yml, .toml. */
export interface SourceText {
  readonly file: string
  readonly text: string
  readonly format?: DocumentFormat
}

export interface ProblemOptions {
  readonly hint?: string
  /** Point at the key of the member instead of at its value. */
  readonly on?: 'key' | 'value'
  readonly severity?: 'error' | 'warning'
}

export interface SourceDocument {
  readonly file: string
  /** The text as it was read; variables are not substituted in it. */
  readonly text: string
  readonly format: DocumentFormat
  readonly value: JsonValue
  /** Where `pointer` stands; where it leads nowhere, its nearest ancestor that exists. */
  locate(pointer: string, on?: 'key' | 'value'): Position
  /** A problem at `pointer`, with line, column and code frame. */
  problem(code: ProblemCode, pointer: string, message: string, options?: ProblemOptions): Problem
}

export type ParsedDocument =
  | { readonly ok: true; readonly document: SourceDocument }
  | { readonly ok: false; readonly problems: readonly Problem[] }

const READERS: Readonly<Record<DocumentFormat, (text: string) => Reading>> = {
  json: (text) => readJson(text, true),
  yaml: readYaml,
  toml: readToml,
}

const EXTENSIONS: ReadonlyMap<string, DocumentFormat> = new Map([
  ['json', 'json'],
  ['yaml', 'yaml'],
  ['yml', 'yaml'],
  ['toml', 'toml'],
])

/**
 * Reads one document. Bad text is never thrown: it comes back as problems, as many at once as can be told apart.
 *
 * @throws TypeError when `source` is not a {@link SourceText}.
 */
export function parseDocument(source: SourceText): ParsedDocument {
  const { file, text } = source
  if (typeof file !== 'string' || typeof text !== 'string') throw new TypeError('parseDocument takes { file, text }')
  const format = source.format ?? EXTENSIONS.get(/\.([a-z]+)$/i.exec(file)?.[1]?.toLowerCase() ?? '')
  if (format !== undefined && !Object.hasOwn(READERS, format)) throw new TypeError('format must be json, yaml or toml')
  const origin = new Origin(file, text)
  if (format === undefined) {
    const hint = 'name it .json, .yaml, .yml or .toml, or give its format'
    return refuse(origin, [
      { code: 'invalid_value', offset: 0, pointer: '', message: 'the file type is not known', hint },
    ])
  }
  const flaw = unreadableText(text, format)
  if (flaw !== undefined) return refuse(origin, [flaw])
  const reading = READERS[format](text)
  if (!reading.ok) return refuse(origin, reading.flaws, reading.total)
  return { ok: true, document: new TextDocument(origin, format, reading.value, reading.root) }
}

/**
 * The same for a value given in code: it is copied once, deep and frozen, under the rules of a document. Every place in
 * it is line 1, column 1 of the file `name`; its text is its canonical JSON.
 */
export function documentFromValue(value: unknown, name: string): ParsedDocument {
  const copy = copyWithin(value, LIMITS.documentValues, LIMITS.documentLength)
  if (!copy.ok) {
    const code = copy.code === 'arguments_too_large' ? 'too_large' : 'wrong_type'
    const flaw = { code, offset: 0, pointer: copy.pointer, message: copy.detail } as const
    return refuse(new Origin(name, ''), [flaw])
  }
  // Canonical JSON is one line; without a place tree every pointer leads to its begin.
  return {
    ok: true,
    document: new TextDocument(new Origin(name, canonicalJson(copy.value), false), 'json', copy.value, 0),
  }
}

/** `document` with another value of the same shape: places and frames stay those of the text. */
export function withValue(document: SourceDocument, value: JsonValue): SourceDocument {
  if (!(document instanceof TextDocument)) throw new TypeError('not a document of parseDocument or documentFromValue')
  return document.withValue(value)
}

/** Problems of one document in the order of the text; from LIMITS.problems on, the last one counts the rest. */
export function orderProblems(problems: readonly Problem[], total: number = problems.length): Problem[] {
  const ordered = [...problems].sort((a, b) => a.line - b.line || a.column - b.column)
  const rest = total - LIMITS.problems
  const next = ordered[LIMITS.problems - 1]
  if (rest <= 0 || next === undefined) return ordered
  return [...ordered.slice(0, LIMITS.problems - 1), { ...next, message: `${next.message} (and ${rest} more problems)` }]
}

// Characters that show a reader another text than the parser sees (Trojan Source, CVE-2021-42574): controls, line breaks
// that only some programs honour, marks that reorder a line. Inside a string every format has an escape for them.
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const DECEPTIVE = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/

/** What makes a text unfit for any reader, before one looks at it. */
function unreadableText(text: string, format: DocumentFormat): Flaw | undefined {
  if (text.length > LIMITS.documentLength) {
    return { code: 'too_large', offset: 0, pointer: '', message: `longer than ${LIMITS.documentLength} characters` }
  }
  const code = 'syntax_error'
  if (!isWellFormed(text)) {
    return { code, offset: firstLoneSurrogate(text), pointer: '', message: 'the text is not valid Unicode' }
  }
  if (text.charCodeAt(0) === 0xfeff) {
    const hint = 'save it as UTF-8 without one'
    return { code, offset: 0, pointer: '', message: 'the text begins with a byte order mark', hint }
  }
  const offset = text.search(DECEPTIVE)
  if (offset !== -1) {
    const message = `the character ${printable(text.charAt(offset))} must be written as an escape`
    return {
      code,
      offset,
      pointer: '',
      message,
      hint: 'some programs show it as nothing, as a line break or in another order',
    }
  }
  // One editor shows a lone CR as a new line, another does not; a comment may end there or not.
  const lone = format === 'json' ? -1 : text.search(/\r(?!\n)/)
  if (lone === -1) return undefined
  return { code, offset: lone, pointer: '', message: 'a carriage return stands without a line feed' }
}

function refuse(origin: Origin, flaws: readonly Flaw[], total: number = flaws.length): ParsedDocument {
  const problems = flaws.map(({ code, offset, pointer, message, hint }) =>
    origin.problemAt(offset, code, pointer, message, hint === undefined ? {} : { hint }),
  )
  return { ok: false, problems: orderProblems(problems, total) }
}

/** A text and its file name: all that a problem needs. */
class Origin {
  readonly file: string
  readonly text: string
  readonly #lines: LineTable
  readonly #framed: boolean

  constructor(file: string, text: string, framed = true) {
    this.file = file
    this.text = text
    this.#lines = new LineTable(text)
    this.#framed = framed
  }

  position(offset: number): Position {
    return this.#framed ? this.#lines.position(offset) : { line: 1, column: 1, offset: 0 }
  }

  problemAt(offset: number, code: ProblemCode, pointer: string, message: string, options: ProblemOptions): Problem {
    const position = this.position(offset)
    return {
      code,
      severity: options.severity ?? 'error',
      message: printable(message),
      ...(options.hint === undefined ? {} : { hint: printable(options.hint) }),
      file: this.file,
      line: position.line,
      column: position.column,
      pointer,
      ...(this.#framed && this.text !== '' ? { frame: codeFrame(this.text, this.#lines, position) } : {}),
    }
  }
}

class TextDocument implements SourceDocument {
  readonly format: DocumentFormat
  readonly value: JsonValue
  readonly #origin: Origin
  readonly #root: Place

  constructor(origin: Origin, format: DocumentFormat, value: JsonValue, root: Place) {
    this.#origin = origin
    this.format = format
    this.value = value
    this.#root = root
  }

  get file(): string {
    return this.#origin.file
  }

  get text(): string {
    return this.#origin.text
  }

  locate(pointer: string, on: 'key' | 'value' = 'value'): Position {
    return this.#origin.position(this.#offset(pointer, on))
  }

  problem(code: ProblemCode, pointer: string, message: string, options: ProblemOptions = {}): Problem {
    return this.#origin.problemAt(this.#offset(pointer, options.on ?? 'value'), code, pointer, message, options)
  }

  withValue(value: JsonValue): TextDocument {
    return new TextDocument(this.#origin, this.format, value, this.#root)
  }

  #offset(pointer: string, on: 'key' | 'value'): number {
    return findOffset(this.#root, parsePointer(pointer) ?? [], on)
  }
}
