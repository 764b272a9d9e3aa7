// Holds the tokens of the parser against the source text: they must tile it, with nothing between them but blanks,
// comments, operators and the few reserved words that are allowed, each where a shell recognises it. By induction over the
// tokens this shows that a shell starts and ends every word where we did, so a fault of the parser becomes a refusal.

import type { ShellToken } from './shell-token.ts'
import { ENDS_WORD } from './shell-word.ts'
import { disagreement, Unresolved } from './unresolved.ts'

/** Where in a command we are: which words a shell would take as what. */
type Place =
  /** A command begins here: reserved words count. */
  | 'start'
  /** After `!`: a command has to follow. */
  | 'negated'
  /** After a redirection in front of the name: reserved words do not count. */
  | 'prefix'
  /** After the name. */
  | 'arguments'
  /** After the end of a compound command. */
  | 'closed'

const OPENING_WORDS: ReadonlySet<string> = new Set(['if', 'then', 'elif', 'else', 'while', 'until', 'do', '{'])
const CLOSING_WORDS: ReadonlySet<string> = new Set(['fi', 'done', '}'])

/** @throws Unresolved when `tokens` are not all that `source` holds. Linear in both. */
export function checkTiling(source: string, tokens: readonly ShellToken[]): void {
  const tiling = new Tiling(source)
  for (const token of [...tokens].sort((a, b) => a.pos - b.pos)) {
    tiling.gap(token.pos)
    tiling.token(token)
  }
  tiling.gap(source.length)
}

class Tiling {
  readonly #source: string
  #at = 0
  #place: Place = 'start'
  /** The token that ends right here, when nothing has come after it. */
  #touching: ShellToken | undefined

  constructor(source: string) {
    this.#source = source
  }

  gap(until: number): void {
    if (until < this.#at) throw disagreement()
    while (this.#at < until) {
      const length = this.#separator(this.#source.charAt(this.#at))
      this.#at += length
      if (this.#at > until) throw disagreement()
      this.#touching = undefined
    }
  }

  token(token: ShellToken): void {
    const { kind, pos, end } = token
    if (kind === 'heredoc') this.#heredoc(pos)
    else if (kind === 'redirection') this.#redirection(pos)
    else this.#word(kind, pos)
    if (end <= pos || !ENDS_WORD.test(this.#source.charAt(end))) throw disagreement()
    this.#at = end
    this.#touching = token
  }

  #word(kind: 'name' | 'word', pos: number): void {
    const before = this.#place === 'arguments' ? 'word' : 'name'
    if (before !== kind || this.#place === 'closed') throw disagreement()
    if (!ENDS_WORD.test(this.#source.charAt(pos - 1)) || this.#touching !== undefined) throw disagreement()
    this.#place = 'arguments'
  }

  #redirection(pos: number): void {
    const first = this.#source.charAt(pos)
    const before = this.#source.charAt(pos - 1)
    // `2>f` is a descriptor only where the digit is a word of its own; `2` in `a2>f` belongs to a.
    if (/[0-9]/.test(first) ? !ENDS_WORD.test(before) : this.#touchesNumber()) {
      throw new Unresolved('a number right before a redirection, which shells read differently')
    }
    // A & that touches what follows is the operator &> to bash and an & to others.
    if (before === '&' || before === '<' || before === '>') throw disagreement()
    if (this.#place === 'start' || this.#place === 'negated') this.#place = 'prefix'
  }

  #touchesNumber(): boolean {
    const touching = this.#touching
    if (touching === undefined) return false
    const text = this.#source.slice(touching.pos, touching.end)
    // `>1>f`: to some the 1 is a file, to others a descriptor.
    return touching.kind === 'redirection' ? /[0-9]$/.test(text) : /^[0-9]+$/.test(text)
  }

  #heredoc(pos: number): void {
    if (this.#place !== 'start' || this.#source.charAt(pos - 1) !== '\n') throw disagreement()
  }

  /** Reads one thing that stands between tokens; its length. */
  #separator(character: string): number {
    const next = this.#source.charAt(this.#at + 1)
    switch (character) {
      case ' ':
      case '\t':
        return 1
      case '\n':
        this.#place = 'start'
        return 1
      case ';':
      case '&':
      case '|':
        return this.#operator(character, next)
      case '(':
        if (this.#place !== 'start' && this.#place !== 'negated') {
          throw new Unresolved('a parenthesis that does not begin a command')
        }
        if (next === '(') throw new Unresolved('two opening parentheses, which can be arithmetic')
        this.#place = 'start'
        return 1
      case ')':
        this.#place = 'closed'
        return 1
      case '#':
        return this.#comment()
      case '\\':
        throw new Unresolved(
          next === '\n' ? 'a line that is continued with a backslash' : 'a backslash outside of a word',
        )
      default:
        return this.#reserved()
    }
  }

  #operator(character: string, next: string): number {
    if (character === '|' && next === '&') throw new Unresolved('the operator |&, which not every shell knows')
    if (character === ';' && (next === ';' || next === '&')) throw disagreement()
    this.#place = 'start'
    return next === character ? 2 : 1
  }

  #comment(): number {
    if (!ENDS_WORD.test(this.#source.charAt(this.#at - 1)) || this.#touching !== undefined) throw disagreement()
    const end = this.#source.indexOf('\n', this.#at)
    return (end === -1 ? this.#source.length : end) - this.#at
  }

  #reserved(): number {
    const word = /[a-z]+|[!{}]/y
    word.lastIndex = this.#at
    const found = word.exec(this.#source)?.[0]
    if (found === undefined || this.#touching !== undefined) throw disagreement()
    const before = this.#source.charAt(this.#at - 1)
    const after = this.#source.charAt(this.#at + found.length)
    if (!ENDS_WORD.test(before) || !ENDS_WORD.test(after)) throw disagreement()
    const second = found === '!' && this.#place !== 'start'
    if (second || this.#place === 'prefix' || this.#place === 'arguments') throw disagreement()
    if (found === '!') this.#place = 'negated'
    else if (OPENING_WORDS.has(found)) this.#place = 'start'
    else if (CLOSING_WORDS.has(found)) this.#place = 'closed'
    else throw disagreement()
    return found.length
  }
}
