// Texts that patterns match: a few for each way a pattern can be filled, and one that two patterns have in common. What
// comes out is a guess to be asked about; nothing trusts that it matches.

import type { Glob } from '../../core/glob.ts'
import { type CharSet, type GlobToken, parseGlobText, setHas } from '../../core/glob-syntax.ts'

type Segment = readonly GlobToken[] | 'rest'
type Kind = Glob['kind']

/** Characters that are tried for a set, besides the ends of its ranges. */
const CHARACTERS = 'xyzab019_-.XAB '
const FILLS = ['', 'a', 'x', 'xy.z']
const MOST = 24

/** Texts that match the glob, and some that nearly do; `lengths` are those that matter beside it. */
export function globSamples(
  text: string,
  kind: Kind,
  ignoreCase: boolean = false,
  lengths: readonly number[] = [],
): readonly string[] {
  const parsed = parseGlobText(text, kind, ignoreCase)
  if (!parsed.ok) return []
  const [only] = parsed.segments
  if (kind === 'path' || only === undefined || only === 'rest') return []
  const fixed = only.filter(({ kind: of }) => of !== 'star').length
  const fills = [...FILLS, ...lengths.filter((length) => length > fixed).map((length) => 'x'.repeat(length - fixed))]
  const samples = expansions(only, fills)
  return distinct(ignoreCase ? [...samples, ...samples.map((one) => one.toUpperCase())] : samples)
}

/** Absolute paths that match the pattern. */
export function pathSamples(text: string): readonly string[] {
  const segments = segmentsOf(text)
  if (segments === undefined) return []
  const found: string[] = []
  for (const rest of [[], ['x'], ['x', 'y'], ['.x']]) {
    for (const pick of [0, 1, 2]) {
      const parts = segments.flatMap((segment) => {
        if (segment === 'rest') return rest
        const options = expansions(segment, FILLS).filter((part) => part !== '')
        return [options[Math.min(pick, options.length - 1)] ?? 'x']
      })
      found.push(`/${parts.join('/')}`)
    }
  }
  return distinct(found)
}

/** A path both patterns match, where one is found. */
export function commonPath(a: string, b: string): string | undefined {
  const one = segmentsOf(a)
  const other = segmentsOf(b)
  if (one === undefined || other === undefined) return undefined
  const isRun = (segment: Segment): boolean => segment === 'rest'
  const alone = (segment: Segment): string => (segment === 'rest' ? 'x' : (expansions(segment, ['x'])[0] ?? 'x'))
  const both = (x: Segment, y: Segment): string | undefined =>
    x === 'rest' || y === 'rest' ? undefined : commonTokens(x, y)
  const parts = common(one, other, isRun, both, alone)
  return parts === undefined ? undefined : `/${parts.join('/')}`
}

/** A text both globs match, where one is found. */
export function commonText(a: string, b: string, kind: Kind): string | undefined {
  const one = parseGlobText(a, kind, false)
  const other = parseGlobText(b, kind, false)
  const [x] = one.ok ? one.segments : []
  const [y] = other.ok ? other.segments : []
  if (x === undefined || y === undefined || x === 'rest' || y === 'rest') return undefined
  const common = commonTokens(x, y)
  // Patterns that have the empty text in common are nothing but stars; a name is never empty.
  return common === '' && kind !== 'text' ? 'x' : common
}

function segmentsOf(text: string): readonly Segment[] | undefined {
  if (text === '/') return []
  const parsed = parseGlobText(text.slice(1), 'path', false)
  return parsed.ok ? parsed.segments : undefined
}

function expansions(tokens: readonly GlobToken[], fills: readonly string[]): readonly string[] {
  const found: string[] = []
  for (const fill of fills) {
    for (const last of [false, true]) {
      const parts = tokens.map((token) => {
        if (token.kind === 'star') return fill
        if (token.kind === 'char') return token.text
        return charOf([token.set], last) ?? 'x'
      })
      found.push(parts.join(''))
    }
  }
  // Each character of a set by itself: a set that lost or gained one differs there alone.
  tokens.forEach((token, index) => {
    if (token.kind !== 'set') return
    for (const char of endsOf(token.set)) {
      const parts = tokens.map((other, at) =>
        at === index
          ? char
          : other.kind === 'star'
            ? ''
            : other.kind === 'char'
              ? other.text
              : (charOf([other.set], false) ?? 'x'),
      )
      found.push(parts.join(''))
    }
  })
  return distinct(found).slice(0, MOST)
}

function commonTokens(a: readonly GlobToken[], b: readonly GlobToken[]): string | undefined {
  const isRun = (token: GlobToken): boolean => token.kind === 'star'
  const alone = (token: GlobToken): string => charOf(setsOf(token), false) ?? 'x'
  const both = (x: GlobToken, y: GlobToken): string | undefined => charOf([...setsOf(x), ...setsOf(y)], false)
  return common(a, b, isRun, both, alone)?.join('')
}

function setsOf(token: GlobToken): readonly CharSet[] {
  if (token.kind === 'set') return [token.set]
  const codePoint = token.kind === 'char' ? (token.text.codePointAt(0) ?? 0) : 0
  return [{ negated: false, ranges: [codePoint, codePoint] }]
}

/** Characters at the ends of the set, just outside of it, and some that are in it. */
function endsOf({ negated, ranges }: CharSet): readonly string[] {
  const ends = ranges.slice(0, 8).flatMap((point, index) => [point, index % 2 === 0 ? point - 1 : point + 1])
  const chars = ends.filter((point) => point > 0x20 && point < 0x7f).map((point) => String.fromCodePoint(point))
  return negated ? [...chars, ...[...CHARACTERS].filter((char) => !chars.includes(char)).slice(0, 2)] : chars
}

function charOf(sets: readonly CharSet[], last: boolean): string | undefined {
  const tried = [...CHARACTERS, ...sets.flatMap(({ ranges }) => ranges.map((point) => String.fromCodePoint(point)))]
  const fitting = tried.filter((char) => sets.every((set) => setHas(set, char.codePointAt(0) ?? 0)))
  return last ? fitting.at(-1) : fitting[0]
}

/** What two sequences with runs (any number of items) have in common; each state is tried once. */
function common<T>(
  a: readonly T[],
  b: readonly T[],
  isRun: (item: T) => boolean,
  both: (x: T, y: T) => string | undefined,
  alone: (item: T) => string,
): readonly string[] | undefined {
  const failed = new Set<number>()
  const from = (i: number, j: number): readonly string[] | undefined => {
    const x = a[i]
    const y = b[j]
    if (x === undefined && y === undefined) return []
    const key = i * (b.length + 1) + j
    if (failed.has(key)) return undefined
    const found = step(x, y, i, j)
    if (found === undefined) failed.add(key)
    return found
  }
  const step = (x: T | undefined, y: T | undefined, i: number, j: number): readonly string[] | undefined => {
    const runs = x !== undefined && isRun(x)
    const otherRuns = y !== undefined && isRun(y)
    const skipped = (runs ? from(i + 1, j) : undefined) ?? (otherRuns ? from(i, j + 1) : undefined)
    if (skipped !== undefined) return skipped
    if (runs && y !== undefined && !otherRuns) return prepend(alone(y), from(i, j + 1))
    if (otherRuns && x !== undefined && !runs) return prepend(alone(x), from(i + 1, j))
    if (x === undefined || y === undefined || runs || otherRuns) return undefined
    const item = both(x, y)
    return item === undefined ? undefined : prepend(item, from(i + 1, j + 1))
  }
  return from(0, 0)
}

function prepend(item: string, rest: readonly string[] | undefined): readonly string[] | undefined {
  return rest === undefined ? undefined : [item, ...rest]
}

export function distinct<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)]
}
