// A first look at a TOML text, before a parser spends memory or stack on it: how deep do brackets nest, how many words
// and marks are there, how long is the longest. It knows strings and comments and nothing else of the grammar; what is
// malformed it leaves to the parser.

import { LIMITS } from './limits.ts'
import type { FlawList } from './places.ts'
import type { ProblemCode } from './problem.ts'

/** The parser hands the characters of a word to one function call, which has room for so many arguments. */
const WORD_LENGTH = 32_768

/** @throws StopReading with one flaw when a bound is exceeded. */
export function scanToml(text: string, flaws: FlawList): void {
  const stop = (code: ProblemCode, offset: number, message: string): never =>
    flaws.stop({ code, offset, pointer: '', message })
  let depth = 0
  let tokens = 0
  let at = 0
  while (at < text.length) {
    const start = at
    const character = text.charAt(at)
    switch (character) {
      case ' ':
      case '\t':
      case '\r':
      case '\n':
        at++
        continue
      case '#':
        at = endOfLine(text, at)
        continue
      case '"':
      case "'":
        at = endOfString(text, at, character)
        break
      case '[':
      case '{':
        // Twice, because a table header `[[a]]` is no nesting; the builder counts exactly.
        if (++depth > LIMITS.depth * 2) stop('too_deep', at, `nested deeper than ${LIMITS.depth} levels`)
        at++
        break
      case ']':
      case '}':
        depth = Math.max(0, depth - 1)
        at++
        break
      case ',':
      case '=':
      case '.':
        at++
        break
      default:
        at = endOfWord(text, at)
    }
    if (at - start > WORD_LENGTH) stop('too_large', start, `a word or string longer than ${WORD_LENGTH} characters`)
    if (++tokens > LIMITS.tomlTokens) {
      stop('too_large', start, `more than ${LIMITS.tomlTokens} words and marks; JSON has no such limit`)
    }
  }
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf('\n', at)
  return end === -1 ? text.length : end
}

function endOfWord(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && !' \t\r\n#"\'[]{},=.'.includes(text.charAt(end))) end++
  return end
}

/** Index after the string that opens at `at`; an unterminated one ends with its line, or with the text. */
function endOfString(text: string, at: number, quote: string): number {
  const long = quote.repeat(3)
  const multiline = text.startsWith(long, at)
  let end = at + (multiline ? 3 : 1)
  for (; end < text.length; end++) {
    const character = text.charAt(end)
    if (character === '\\' && quote === '"') end++
    else if (multiline ? text.startsWith(long, end) : character === quote) {
      if (!multiline) return end + 1
      // Up to two more quotes belong to the string, directly before its end.
      end += 3
      for (let more = 0; more < 2 && text.charAt(end) === quote; more++) end++
      return end
    } else if (!multiline && character === '\n') return end
  }
  return text.length
}
