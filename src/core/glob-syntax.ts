// The text of a glob turned into tokens. Decides what a pattern says; whatever bash, micromatch or a regular expression
// would read as something more (braces, extglobs, negation, repetition) is refused here instead of taken literally,
// because its author meant the other thing.

import { simpleFold } from './case-fold.ts'
import type { GlobKind } from './glob.ts'
import { LIMITS } from './limits.ts'
import { hasUnprintable } from './text.ts'

/** Code points as pairs of first and last. `?` is the negated empty set. */
export interface CharSet {
  readonly negated: boolean
  readonly ranges: readonly number[]
}

export type GlobToken =
  | { readonly kind: 'char'; readonly text: string }
  | { readonly kind: 'set'; readonly set: CharSet }
  | { readonly kind: 'star' }

/** Tokens of one segment, or `rest` for `**`. Kinds other than path have one segment. */
export type GlobSegment = readonly GlobToken[] | 'rest'

export type ParsedGlobText =
  | { readonly ok: true; readonly segments: readonly GlobSegment[] }
  | { readonly ok: false; readonly reason: string }

/** Stars in one pattern. Nobody reads more, and the cost of a match grows with them. */
const STARS = 32
/** Code points in one range that is compared without case. */
const FOLDED_RANGE = 1024

const ANY: CharSet = { negated: true, ranges: [] }
// The characters of isName(); where they may stand is not a pattern's business.
const NAME_TEXT = /^[A-Za-z0-9_.:-]+$/

/** Whether `text` has only the characters names are made of. */
export function isNameText(text: string): boolean {
  return NAME_TEXT.test(text)
}

/** Whether the set holds the code point. */
export function setHas(set: CharSet, codePoint: number): boolean {
  const { ranges } = set
  for (let index = 0; index < ranges.length; index += 2) {
    if (codePoint >= (ranges[index] ?? 0) && codePoint <= (ranges[index + 1] ?? -1)) return !set.negated
  }
  return set.negated
}

/** Whether `outer` holds every code point of `inner`. May say no where the answer is yes. */
export function setContains(outer: CharSet, inner: CharSet): boolean {
  if (outer.negated && outer.ranges.length === 0) return true
  if (inner.negated)
    return outer.negated && pairs(outer.ranges).every(([first, last]) => withinOne(inner.ranges, first, last))
  return pairs(inner.ranges).every(([first, last]) =>
    outer.negated
      ? pairs(outer.ranges).every(([from, to]) => last < from || first > to)
      : withinOne(outer.ranges, first, last),
  )
}

function withinOne(ranges: readonly number[], first: number, last: number): boolean {
  return pairs(ranges).some(([from, to]) => first >= from && last <= to)
}

function pairs(ranges: readonly number[]): (readonly [number, number])[] {
  const result: (readonly [number, number])[] = []
  for (let index = 0; index < ranges.length; index += 2) result.push([ranges[index] ?? 0, ranges[index + 1] ?? 0])
  return result
}

/** Reads a pattern. Never throws; a refusal says what to change without repeating the text. */
export function parseGlobText(text: string, kind: GlobKind, ignoreCase: boolean): ParsedGlobText {
  if (text === '') return { ok: false, reason: 'empty pattern' }
  if (text.length > LIMITS.patternLength) return { ok: false, reason: 'a pattern that is too long' }
  if (hasUnprintable(text)) return { ok: false, reason: 'a control or format character' }
  if (text.startsWith('!'))
    return { ok: false, reason: 'a leading !, which negates elsewhere: write \\! for the character' }
  if (kind === 'path' && text.normalize('NFC') !== text) return { ok: false, reason: 'text that is not in unicode nfc' }
  const reader = new GlobReader(text, kind, ignoreCase)
  const reason = reader.read()
  return reason === undefined ? { ok: true, segments: reader.segments } : { ok: false, reason }
}

const EXTGLOB_OPENERS = '?*+@!'
const ALPHANUMERIC = /^[A-Za-z0-9]$/

const REASONS = {
  stars: `more than ${STARS} stars`,
  doubleStar: 'more than one * in a row: ** stands alone in a path segment, and nowhere else',
  braces: 'a brace: write two patterns, or \\{ for the character',
  extglob: 'an extended glob: write two patterns, or \\( for the character',
  group: 'a group or alternative: write two patterns, or \\( and \\| for the characters',
  quote: 'a double quote, which disappears elsewhere: write \\" for the character',
  repetition: 'a + after a class, which repeats it elsewhere: write \\+ for the character',
  closing: 'a ] without its [: write \\] for the character',
  unclosed: 'a [ without its ]: write \\[ for the character',
  emptyClass: 'an empty class',
  posixClass: 'a [ inside a class: posix classes are not supported, write \\[ for the character',
  range: 'a range that is backwards or joined to another',
  wideRange: 'a range too wide to compare without case',
  escapeEnd: 'a backslash at the end',
  escape: 'a backslash before a letter, a digit or a slash',
  nameCharacter: 'a character no name has',
  slashes: 'a doubled slash',
  trailingSlash: 'a trailing slash',
  dots: 'a . or .. segment',
  classSlash: 'a slash inside a class',
} as const

class GlobReader {
  readonly segments: GlobSegment[] = []
  readonly #characters: readonly string[]
  readonly #kind: GlobKind
  readonly #ignoreCase: boolean
  #tokens: GlobToken[] = []
  #rest = false
  #stars = 0
  #index = 0

  constructor(text: string, kind: GlobKind, ignoreCase: boolean) {
    this.#characters = Array.from(text)
    this.#kind = kind
    this.#ignoreCase = ignoreCase
  }

  /** Reads everything; the reason when the pattern is refused. */
  read(): string | undefined {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const reason = this.#step(next)
      if (reason !== undefined) return reason
    }
    return this.#endSegment(true)
  }

  #next(): string | undefined {
    return this.#characters[this.#index++]
  }

  #peek(): string | undefined {
    return this.#characters[this.#index]
  }

  #step(character: string): string | undefined {
    const isPath = this.#kind === 'path'
    switch (character) {
      case '*':
        return this.#star()
      case '?':
        this.#tokens.push({ kind: 'set', set: ANY })
        return undefined
      case '[':
        return this.#class()
      case ']':
        return REASONS.closing
      case '{':
      case '}':
        return REASONS.braces
      case '\\':
        return this.#escape()
      case '(':
        if (EXTGLOB_OPENERS.includes(this.#characters[this.#index - 2] ?? ' ')) return REASONS.extglob
        return isPath ? REASONS.group : this.#literal(character)
      case ')':
      case '|':
        return isPath ? REASONS.group : this.#literal(character)
      case '"':
        return isPath ? REASONS.quote : this.#literal(character)
      case '+':
        return isPath && this.#tokens.at(-1)?.kind === 'set' ? REASONS.repetition : this.#literal(character)
      case '/':
        return isPath ? this.#endSegment(false) : this.#literal(character)
      default:
        return this.#literal(character)
    }
  }

  #literal(character: string): string | undefined {
    if (this.#kind === 'name' && !isNameText(character)) return REASONS.nameCharacter
    this.#tokens.push({ kind: 'char', text: this.#ignoreCase ? simpleFold(character) : character })
    return undefined
  }

  #star(): string | undefined {
    if (++this.#stars > STARS) return REASONS.stars
    if (this.#peek() !== '*') {
      this.#tokens.push({ kind: 'star' })
      return undefined
    }
    this.#index++
    const alone = this.#tokens.length === 0 && (this.#peek() ?? '/') === '/'
    if (this.#kind !== 'path' || !alone) return REASONS.doubleStar
    this.#rest = true
    return undefined
  }

  #escape(): string | undefined {
    const character = this.#next()
    if (character === undefined) return REASONS.escapeEnd
    // \d and \b are classes and boundaries to readers that go through a regular expression.
    if (ALPHANUMERIC.test(character) || (this.#kind === 'path' && character === '/')) return REASONS.escape
    return this.#literal(character)
  }

  #class(): string | undefined {
    const negated = this.#peek() === '!' || this.#peek() === '^'
    if (negated) this.#index++
    const ranges: number[] = []
    // The last single member, which a hyphen would make the start of a range; undefined after a finished range.
    let start: number | undefined
    for (;;) {
      const member = this.#next()
      if (member === undefined) return REASONS.unclosed
      if (member === ']') break
      if (member === '-' && ranges.length > 0 && this.#peek() !== ']') {
        const last = this.#member(this.#next())
        if (typeof last !== 'number') return last
        if (start === undefined || last < start) return REASONS.range
        ranges.splice(-2, 2, start, last)
        start = undefined
      } else {
        const codePoint = this.#member(member)
        if (typeof codePoint !== 'number') return codePoint
        ranges.push(codePoint, codePoint)
        start = codePoint
      }
    }
    if (ranges.length === 0) return REASONS.emptyClass
    const folded = this.#ignoreCase ? foldRanges(ranges) : ranges
    if (folded === undefined) return REASONS.wideRange
    this.#tokens.push({ kind: 'set', set: { negated, ranges: folded } })
    return undefined
  }

  /** The code point of one class member, or why it cannot be one. */
  #member(raw: string | undefined): number | string {
    let character = raw
    if (character === '\\') {
      character = this.#next()
      if (character !== undefined && ALPHANUMERIC.test(character)) return REASONS.escape
    } else if (character === '[') {
      return REASONS.posixClass
    }
    if (character === undefined) return REASONS.unclosed
    if (this.#kind === 'path' && character === '/') return REASONS.classSlash
    if (this.#kind === 'name' && !isNameText(character)) return REASONS.nameCharacter
    return character.codePointAt(0) ?? 0
  }

  #endSegment(final: boolean): string | undefined {
    if (this.#kind === 'path' && !this.#rest) {
      const first = this.segments.length === 0
      const root = final && this.segments.length === 1 && this.segments[0]?.length === 0
      if (this.#tokens.length === 0 && !first && !root) return final ? REASONS.trailingSlash : REASONS.slashes
      const literal = literalOf(this.#tokens)
      if (literal === '.' || literal === '..') return REASONS.dots
    }
    this.segments.push(this.#rest ? 'rest' : this.#tokens)
    this.#tokens = []
    this.#rest = false
    return undefined
  }
}

/** The text that tokens without a wildcard stand for. */
export function literalOf(tokens: readonly GlobToken[]): string | undefined {
  let literal = ''
  for (const token of tokens) {
    if (token.kind !== 'char') return undefined
    literal += token.text
  }
  return literal
}

// Each range with the folded form of all its members, so that a folded code point can be looked up in it.
function foldRanges(ranges: readonly number[]): number[] | undefined {
  const folded = [...ranges]
  for (const [first, last] of pairs(ranges)) {
    if (last - first >= FOLDED_RANGE) return undefined
    for (let codePoint = first; codePoint <= last; codePoint++) {
      const other = simpleFold(String.fromCodePoint(codePoint)).codePointAt(0) ?? codePoint
      if (other < first || other > last) folded.push(other, other)
    }
  }
  return folded
}
