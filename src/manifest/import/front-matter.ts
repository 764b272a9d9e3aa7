// The YAML between the `---` lines at the top of a SKILL.md, with the places of the whole file. What stands below belongs
// to the model and is not read. Markers that two readers take differently are refused.

import { type ParsedDocument, parseDocument, type SourceText } from '../../core/document.ts'

const BYTE_ORDER_MARK = 0xfeff
const MARKER = /^---[ \t]*$/

/** Characters of a front matter; what a skill says about itself fits on a page. */
export const FRONT_MATTER_LENGTH = 64 * 1024

export interface FrontMatter {
  readonly parsed: ParsedDocument
  /** The file began with a byte order mark, which was passed over. */
  readonly marked: boolean
}

/**
 * Reads the front matter of a Markdown file as YAML 1.2. Line ends are LF or CRLF.
 *
 * @throws TypeError when `source` is not a {@link SourceText}.
 */
export function readFrontMatter(source: SourceText): FrontMatter {
  const { file, text } = source
  if (typeof file !== 'string' || typeof text !== 'string') throw new TypeError('a SKILL.md is given as { file, text }')
  const marked = text.charCodeAt(0) === BYTE_ORDER_MARK
  const from = marked ? 1 : 0
  const fault = (line: number, message: string, hint: string): FrontMatter => ({
    parsed: refused(file, line, message, hint),
    marked,
  })
  const first = lineAt(text, from)
  if (!MARKER.test(first.text)) {
    return fault(1, 'the file does not begin with a --- line', 'put name and description between two --- lines')
  }
  if (first.next > text.length) return fault(1, NO_END, END_HINT)
  for (let at = first.next, line = 2; ; line++) {
    if (at - from > FRONT_MATTER_LENGTH) {
      return fault(1, `the front matter is longer than ${FRONT_MATTER_LENGTH} characters, or has no end`, END_HINT)
    }
    const current = lineAt(text, at)
    if (MARKER.test(current.text)) {
      // The opening marker becomes an empty line, so that line and column are those of the file.
      const yaml = `\n${text.slice(first.next, at)}`
      return { parsed: parseDocument({ file, text: yaml, format: 'yaml' }), marked }
    }
    // `---x` and `--- x` end the front matter for readers that look for a prefix, and not for those that look for a line.
    if (current.text.startsWith('---')) {
      return fault(line, 'a line that begins with --- and goes on', 'indent it, or end the front matter with --- alone')
    }
    if (current.next > text.length) return fault(1, NO_END, END_HINT)
    at = current.next
  }
}

const NO_END = 'the front matter has no end'
const END_HINT = 'end it with a line that is --- alone'

/** The line at `from` without its end, and where the next one begins; behind the end of the text for the last. */
function lineAt(text: string, from: number): { readonly text: string; readonly next: number } {
  const end = text.indexOf('\n', from)
  if (end === -1) return { text: text.slice(from), next: text.length + 1 }
  return { text: text.slice(from, text.charCodeAt(end - 1) === 0x0d ? end - 1 : end), next: end + 1 }
}

function refused(file: string, line: number, message: string, hint: string): ParsedDocument {
  return {
    ok: false,
    problems: [{ code: 'syntax_error', severity: 'error', message, hint, file, line, column: 1, pointer: '' }],
  }
}
