// A first look at a command text, before a parser is given it: outside of quotes and here-documents with quoted marks
// there may be nothing that a shell would expand. Whatever is refused here would be refused later too; but a text made to
// keep a parser busy (thousands of open substitutions or here-documents) never reaches it. Linear.

import {
  ENDS_WORD,
  isPlain,
  isWholeWord,
  readDoubleQuoted,
  readEscape,
  readSingleQuoted,
  special,
} from './shell-word.ts'
import { Unresolved } from './unresolved.ts'

interface Heredoc {
  readonly end: string
  readonly quoted: boolean
}

/** @throws Unresolved when something in `source` is not literal, or cannot be the text of a command. */
export function checkLiteralText(source: string): void {
  let word = -1
  let heredoc: Heredoc | undefined
  for (let at = 0; at < source.length; ) {
    const character = source.charAt(at)
    if (character === '#' && word === -1) {
      const end = source.indexOf('\n', at)
      at = end === -1 ? source.length : end
    } else if (ENDS_WORD.test(character)) {
      word = -1
      if (source.charAt(at + 1) === '(' && /[<>(]/.test(character)) throw openingParenthesis(character)
      if (character === '\n') {
        at = heredoc === undefined ? at + 1 : endOfHeredoc(source, at + 1, heredoc)
        heredoc = undefined
      } else if (source.startsWith('<<<', at)) {
        at += 3
      } else if (source.startsWith('<<', at)) {
        if (heredoc !== undefined) throw new Unresolved('two here-documents that begin on one line')
        const mark = readMark(source, at)
        heredoc = mark.heredoc
        at = mark.at
      } else {
        at++
      }
    } else {
      if (word === -1) word = at
      at = endOfPiece(source, word, at)
    }
  }
  if (heredoc !== undefined) throw new Unresolved('a here-document without its end')
}

/** Where the quoted part, escape or single character that begins at `at` ends. */
function endOfPiece(source: string, word: number, at: number): number {
  const character = source.charAt(at)
  if (character === "'") return readSingleQuoted(source, at + 1, source.length).end
  if (character === '"') return readDoubleQuoted(source, at + 1, source.length).end
  if (character === '\\') {
    readEscape(source, at + 1, source.length)
    return at + 2
  }
  if (isPlain(source, word, at)) return at + 1
  const next = source.charAt(at + 1)
  if (at === word) {
    const end = ENDS_WORD.test(next) ? at + 1 : at + 2
    const whole = isWholeWord(source, at, end) || '{}'.includes(source.slice(at, end))
    if (whole && ENDS_WORD.test(source.charAt(end))) return end
    if (character === '[' && next === '[') throw new Unresolved('a test in [[ ]], which evaluates its words; use [ ]')
  }
  throw special(source, at)
}

function openingParenthesis(before: string): Unresolved {
  return new Unresolved(before === '(' ? 'two opening parentheses, which can be arithmetic' : 'a process substitution')
}

const MARK = /<<[ \t]*(['"]?)([A-Za-z0-9_]+)\1(?=[ \t\n;&|()<>]|$)/y

function readMark(source: string, at: number): { readonly heredoc: Heredoc; readonly at: number } {
  MARK.lastIndex = at
  const [whole = '', quote, end = ''] = MARK.exec(source) ?? []
  if (quote === undefined) {
    throw new Unresolved(
      source.charAt(at + 2) === '-'
        ? 'a here-document with <<-; use <<'
        : 'a here-document whose end is not marked with one plain word',
    )
  }
  return { heredoc: { end, quoted: quote !== '' }, at: at + whole.length }
}

/** Where the closing line ends: at its line feed or the end of the text. */
function endOfHeredoc(source: string, from: number, heredoc: Heredoc): number {
  for (let at = from; at < source.length; ) {
    const found = source.indexOf('\n', at)
    const end = found === -1 ? source.length : found
    const line = source.slice(at, end)
    if (line === heredoc.end) return end
    if (!heredoc.quoted && /[$`\\]/.test(line)) {
      throw new Unresolved("an expansion or backslash in a here-document; quote its mark: <<'EOF'")
    }
    at = end + 1
  }
  throw new Unresolved('a here-document without its end')
}
