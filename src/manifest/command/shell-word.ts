// One word of a shell command from its source text to the literal text that a program gets. Trusts the parser for nothing
// but where the word should end; a word that is not literal is refused with the reason, and a character outside quotes
// that is not known to be plain in bash and in dash is refused too.

import { disagreement, Unresolved } from './unresolved.ts'

/** What no shell of the Bourne family gives a meaning outside quotes, wherever in a word it stands. */
const PLAIN = /^[A-Za-z0-9_./:%+,\-@\]]$/

/** Plain, unless the word begins with it: `=ls` is a path to zsh, `^` was a pipe. */
const PLAIN_INSIDE = /^[=^#]$/

/** Before a ~ outside quotes: a ~ after these is never a home directory. */
const BEFORE_TILDE = /^[A-Za-z0-9_./-]$/

/** Ends a word outside quotes (POSIX.1 XCU §2.3); as does the end of the text, which charAt gives as ''. */
export const ENDS_WORD = /^[ \t\n;&|()<>]?$/

/** @throws Unresolved when the word is not literal. */
export function readShellWord(source: string, pos: number, end: number): string {
  if (isWholeWord(source, pos, end)) return source.slice(pos, end)
  let value = ''
  for (let at = pos; at < end; ) {
    const character = source.charAt(at)
    if (character === "'") {
      const quoted = readSingleQuoted(source, at + 1, end)
      value += quoted.value
      at = quoted.end
    } else if (character === '"') {
      const quoted = readDoubleQuoted(source, at + 1, end)
      value += quoted.value
      at = quoted.end
    } else if (character === '\\') {
      value += readEscape(source, at + 1, end)
      at += 2
    } else if (isPlain(source, pos, at)) {
      value += character
      at++
    } else {
      throw special(source, at)
    }
  }
  return value
}

/** Words that are plain as a whole, and not as a part of another: the operators of the test command. */
const WHOLE_WORDS: ReadonlySet<string> = new Set(['[', '=', '!', '!='])

export function isWholeWord(source: string, pos: number, end: number): boolean {
  return end - pos <= 2 && WHOLE_WORDS.has(source.slice(pos, end))
}

/** Whether the character at `at`, in a word that begins at `pos`, is itself in every shell of the family. */
export function isPlain(source: string, pos: number, at: number): boolean {
  const character = source.charAt(at)
  if (PLAIN.test(character)) return true
  if (character === '~') return at > pos && BEFORE_TILDE.test(source.charAt(at - 1))
  return at > pos && PLAIN_INSIDE.test(character)
}

/** The character behind a backslash outside quotes. */
export function readEscape(source: string, at: number, end: number): string {
  const character = source.charAt(at)
  if (at >= end) throw new Unresolved('a backslash at the end of the text')
  if (character === '\n') throw new Unresolved('a line that is continued with a backslash')
  if (!/^[ -~]$/.test(character)) throw new Unresolved('a backslash before a character that is not printable ASCII')
  return character
}

// POSIX.1 XCU §2.2.3: inside double quotes a backslash keeps its place before anything but these and a line end.
const ESCAPED_IN_QUOTES = /^[$`"\\]$/

/** A quoted part of a word: what is in it, and where it ends, its closing quote included. */
export interface Quoted {
  readonly value: string
  readonly end: number
}

export function readSingleQuoted(source: string, from: number, end: number): Quoted {
  const close = source.indexOf("'", from)
  if (close === -1 || close >= end) throw new Unresolved('a quote that is not closed')
  return { value: source.slice(from, close), end: close + 1 }
}

export function readDoubleQuoted(source: string, from: number, end: number): Quoted {
  let value = ''
  for (let at = from; at < end; at++) {
    const character = source.charAt(at)
    if (character === '"') return { value, end: at + 1 }
    if (character === '$' || character === '`') throw special(source, at)
    if (character === '!')
      throw new Unresolved('a ! in double quotes, which a shell can read as history; use single quotes')
    if (character === '\\') {
      const next = source.charAt(at + 1)
      if (next === '\n') throw new Unresolved('a line that is continued with a backslash')
      if (ESCAPED_IN_QUOTES.test(next)) {
        value += next
        at++
        continue
      }
    }
    value += character
  }
  throw new Unresolved('a quote that is not closed')
}

/** Why a character that is not plain makes the word unreadable. */
export function special(source: string, at: number): Unresolved {
  const character = source.charAt(at)
  const next = source.charAt(at + 1)
  switch (character) {
    case '$':
      return new Unresolved(dollar(next, source.charAt(at + 2)))
    case '`':
      return new Unresolved('a command substitution in backticks')
    case '~':
      return new Unresolved('a ~ that stands for a home directory; write the path out')
    case '*':
    case '?':
    case '[':
      return new Unresolved(
        next === '(' ? 'an extended glob' : 'a glob outside quotes: only the disk knows which words it becomes',
      )
    case '{':
    case '}':
      return new Unresolved('a brace outside quotes, which a shell can expand to several words')
    case '!':
      return new Unresolved('a ! outside quotes, which a shell can read as history or as part of a glob')
    case '<':
    case '>':
      return new Unresolved('a process substitution')
    case '(':
    case ')':
      return new Unresolved('a parenthesis inside a word')
    case '=':
    case '^':
    case '#':
      return new Unresolved(`a word that begins with ${character}, which shells read differently`)
    default:
      return character > '~' ? new Unresolved('a character outside ASCII that is not in quotes') : disagreement()
  }
}

function dollar(next: string, afterNext: string): string {
  if (next === '(') return afterNext === '(' ? 'an arithmetic expansion' : 'a command substitution'
  if (next === '[') return 'an arithmetic expansion'
  if (next === "'") return "ANSI-C quoting with $'...'"
  if (next === '"') return 'locale quoting with $"..."'
  return 'an expansion of a variable'
}
