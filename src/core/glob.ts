// Patterns for paths, names and texts. Decides whether an input is one the pattern's author meant. Trusts neither: a
// pattern that other glob readers would understand differently is refused, and no input can make matching slow.
//
// Our own matcher, because the usual ones compile to a backtracking RegExp: `*a*a*a*a*a*a*a*ab` against sixty letters a
// keeps picomatch busy for minutes. Here a star remembers one place to retry from and never the ones before it, which is
// enough because everything between two stars has a fixed length: the leftmost fit leaves the most room for the rest.
// Worst case: length of input × length of pattern.

import { simpleFold } from './case-fold.ts'
import {
  type CharSet,
  type GlobSegment,
  type GlobToken,
  isNameText,
  literalOf,
  parseGlobText,
  setContains,
  setHas,
} from './glob-syntax.ts'
import { SequenceSearch } from './sequence-search.ts'

/**
 * What the input is: a `/`-separated `path`, a tool or node `name`, or any `text`.
 *
 * | | `*` | `**` | `?` |
 * |---|---|---|---|
 * | path | within one segment | any segments, also none; alone in its segment | one code point, not `/` |
 * | name | any name characters | refused | one name character |
 * | text | anything, newlines too | refused | one code point |
 *
 * Dotfiles match. A wildcard segment never matches an empty segment, and no path with a `.` or `..` segment matches.
 */
export type GlobKind = 'path' | 'name' | 'text'

export interface Glob {
  /** The pattern as written. */
  readonly text: string
  readonly kind: GlobKind
  /** The only input that matches, when there is no wildcard and case counts. */
  readonly literal?: string
  matches(input: string): boolean
}

export interface GlobOptions {
  /** Compare by Unicode simple case folding. */
  readonly ignoreCase?: boolean
}

export type ParsedGlob = { readonly ok: true; readonly glob: Glob } | { readonly ok: false; readonly reason: string }

/**
 * Reads a pattern: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`, `**` for paths, and a backslash before any character that is not
 * a letter or digit. Never throws; a refusal says what to change without repeating the text.
 */
export function parseGlob(text: string, kind: GlobKind, options: GlobOptions = {}): ParsedGlob {
  const ignoreCase = options.ignoreCase ?? false
  const parsed = parseGlobText(text, kind, ignoreCase)
  return parsed.ok ? { ok: true, glob: new CompiledGlob(text, kind, ignoreCase, parsed.segments) } : parsed
}

/** Whether every input that matches `inner` matches `outer`. May say no where the answer is yes. */
export function globContains(outer: Glob, inner: Glob): boolean {
  return outer instanceof CompiledGlob && inner instanceof CompiledGlob && outer.contains(inner)
}

/**
 * Whether every sequence that `inner` describes is described by `outer`. A run item stands for any number of items, none
 * too; any other stands for one. Sound for every `covers` that is; not complete.
 */
export function sequenceContains<T>(
  outer: readonly T[],
  inner: readonly T[],
  isRun: (item: T) => boolean,
  covers: (outer: T, inner: T) => boolean,
): boolean {
  // row[j]: outer from the current item on contains inner from j on. Filled from the end of outer to its start.
  let row = [...inner.map(() => false), true]
  for (let at = outer.length - 1; at >= 0; at--) {
    const item = outer[at] as T
    const run = isRun(item)
    const next = [...inner.map(() => false), run && row[inner.length] === true]
    for (let index = inner.length - 1; index >= 0; index--) {
      const other = inner[index] as T
      next[index] = run
        ? row[index] === true || next[index + 1] === true
        : row[index + 1] === true && !isRun(other) && covers(item, other)
    }
    row = next
  }
  return row[0] === true
}

/** Texts and sets beside a star, `width` code points in all. */
interface Piece {
  readonly parts: readonly (string | CharSet)[]
  readonly width: number
}

/** What stands between two stars: a text short enough for indexOf, or anything else. */
type Inner = string | SequenceSearch

/** One segment of a path, or the whole of a name or text. */
interface Matcher {
  readonly literal?: string
  readonly head: Piece
  readonly inner: readonly Inner[]
  /** Absent when there is no star, and `head` is all. */
  readonly tail?: Piece
}

class CompiledGlob implements Glob {
  readonly text: string
  readonly kind: GlobKind
  declare readonly literal?: string
  readonly #ignoreCase: boolean
  readonly #segments: readonly GlobSegment[]
  readonly #matchers: readonly (Matcher | 'rest')[]

  constructor(text: string, kind: GlobKind, ignoreCase: boolean, segments: readonly GlobSegment[]) {
    this.text = text
    this.kind = kind
    this.#ignoreCase = ignoreCase
    this.#segments = segments
    this.#matchers = segments.map((segment) => (segment === 'rest' ? segment : compile(segment)))
    if (ignoreCase) return
    const literals = this.#matchers.map((matcher) => (matcher === 'rest' ? undefined : matcher.literal))
    if (literals.every((literal) => literal !== undefined)) this.literal = literals.join('/')
  }

  matches(input: string): boolean {
    if (this.literal !== undefined) return input === this.literal
    // Before folding: the Kelvin sign folds to k and is no name character.
    if (this.kind === 'name' && !isNameText(input)) return false
    const text = this.#ignoreCase ? simpleFold(input) : input
    const [only] = this.#matchers
    if (this.kind === 'path') {
      if (text === '') return false
      if (this.#matchers.length === 1 && !text.includes('/')) return matchesSegment(only ?? 'rest', text)
      return matchesSegments(this.#matchers, text.split('/'))
    }
    return only !== undefined && only !== 'rest' && matchesText(only, text)
  }

  contains(inner: CompiledGlob): boolean {
    if (this.kind !== inner.kind || this.#ignoreCase !== inner.#ignoreCase) return false
    return sequenceContains(this.#segments, inner.#segments, (segment) => segment === 'rest', segmentContains)
  }
}

function segmentContains(outer: GlobSegment, inner: GlobSegment): boolean {
  if (outer === 'rest' || inner === 'rest') return false
  // The empty segment before a leading slash is one that no wildcard matches.
  if (inner.length === 0) return outer.length === 0
  return sequenceContains(outer, inner, (token) => token.kind === 'star', tokenContains)
}

function tokenContains(outer: GlobToken, inner: GlobToken): boolean {
  if (outer.kind === 'char') return inner.kind === 'char' && inner.text === outer.text
  if (outer.kind === 'star' || inner.kind === 'star') return false
  return inner.kind === 'char' ? setHas(outer.set, inner.text.codePointAt(0) ?? 0) : setContains(outer.set, inner.set)
}

function compile(tokens: readonly GlobToken[]): Matcher {
  const pieces: GlobToken[][] = [[]]
  for (const token of tokens) {
    if (token.kind === 'star') pieces.push([])
    else pieces.at(-1)?.push(token)
  }
  const literal = literalOf(tokens)
  const tail = pieces.length > 1 ? pieces.pop() : undefined
  return {
    ...(literal === undefined ? {} : { literal }),
    head: piece(pieces[0] ?? []),
    inner: pieces.slice(1).map(innerPiece),
    ...(tail === undefined ? {} : { tail: piece(tail) }),
  }
}

function piece(tokens: readonly GlobToken[]): Piece {
  const parts: (string | CharSet)[] = []
  for (const token of tokens) {
    const last = parts.at(-1)
    if (token.kind === 'set') parts.push(token.set)
    else if (token.kind === 'char' && typeof last === 'string') parts[parts.length - 1] = last + token.text
    else if (token.kind === 'char') parts.push(token.text)
  }
  return { parts, width: tokens.length }
}

// indexOf is by far the fastest on texts as they are, and quadratic on a long text made of one letter.
const INDEX_OF_LENGTH = 32

function innerPiece(tokens: readonly GlobToken[]): Inner {
  const literal = literalOf(tokens)
  if (literal !== undefined && literal.length <= INDEX_OF_LENGTH) return literal
  return new SequenceSearch(tokens.flatMap(tokenSet))
}

function tokenSet(token: GlobToken): CharSet[] {
  if (token.kind === 'star') return []
  if (token.kind === 'set') return [token.set]
  const codePoint = token.text.codePointAt(0) ?? 0
  return [{ negated: false, ranges: [codePoint, codePoint] }]
}

// A path with dot segments is not canonical: what it names depends on links, so it matches nothing.
const isDotSegment = (segment: string): boolean => segment === '.' || segment === '..'

function matchesSegment(matcher: Matcher | 'rest', segment: string): boolean {
  if (isDotSegment(segment)) return false
  if (matcher === 'rest') return true
  if (matcher.literal !== undefined) return segment === matcher.literal
  return segment !== '' && matchesText(matcher, segment)
}

// Only the last ** is ever retried; the longer it gets, the fewer segments are left for what follows it.
function matchesSegments(matchers: readonly (Matcher | 'rest')[], segments: readonly string[]): boolean {
  if (segments.some(isDotSegment)) return false
  let index = 0
  let at = 0
  let rest = -1
  let retry = 0
  while (at < segments.length) {
    const matcher = matchers[index]
    if (matcher === 'rest') {
      rest = index++
      retry = at
    } else if (matcher !== undefined && matchesSegment(matcher, segments[at] ?? '')) {
      index++
      at++
    } else if (rest === -1) {
      return false
    } else {
      index = rest + 1
      at = ++retry
    }
  }
  return matchers.slice(index).every((matcher) => matcher === 'rest')
}

function matchesText({ head, inner, tail }: Matcher, input: string): boolean {
  let position = pieceEnd(head, input, 0)
  if (tail === undefined) return position === input.length
  const end = stepBack(input, input.length, tail.width)
  if (position < 0 || end < position || pieceEnd(tail, input, end) !== input.length) return false
  for (const search of inner) {
    if (typeof search === 'string') {
      const found = input.indexOf(search, position)
      position = found < 0 || found + search.length > end ? -1 : found + search.length
    } else {
      position = search.end(input, position, end)
    }
    if (position < 0) return false
  }
  return true
}

/** Where a piece that starts at `start` ends, or -1 when it does not fit there. */
function pieceEnd(piece: Piece, input: string, start: number): number {
  let position = start
  for (const part of piece.parts) {
    if (typeof part === 'string') {
      if (!input.startsWith(part, position)) return -1
      position += part.length
    } else {
      const codePoint = input.codePointAt(position)
      if (codePoint === undefined || !setHas(part, codePoint)) return -1
      position += codePoint > 0xffff ? 2 : 1
    }
  }
  return position
}

/** The position `count` code points before `end`, or -1. */
function stepBack(input: string, end: number, count: number): number {
  let position = end
  for (let left = count; left > 0; left--) {
    if (position <= 0) return -1
    position -= position > 1 && isPair(input, position - 2) ? 2 : 1
  }
  return position
}

function isPair(input: string, index: number): boolean {
  return (input.codePointAt(index) ?? 0) > 0xffff
}
