// The pattern of a JSON Schema (ECMA-262, `u` flag) in the syntax of RE2, with the same meaning. RE2 has no backtracking,
// so no pattern and no argument can make it slow; but the two syntaxes differ in what `.`, `\s`, `[` inside a class and
// several escapes mean, and a pattern that accepts more than its author wrote is a hole. So every token is translated or
// refused here; nothing is passed through.

export type PatternTranslation =
  /** `size`: about how many instructions it compiles to, known before anything is compiled. */
  | { readonly ok: true; readonly text: string; readonly size: number }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

/** ECMA-262 WhiteSpace and LineTerminator: RE2's own `\s` is five ASCII characters only. */
const SPACES: readonly (readonly [number, number])[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]
const SPACE_RANGES = SPACES.map(([low, high]) => range(low, high)).join('')
const NON_SPACE_RANGES = complement(SPACES)
const ANY_BUT_LINE_END = '[^\\n\\r\\x{2028}\\x{2029}]'
const CONTROL_ESCAPES: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 }
/** `\p{L}`, `\p{Lu}`: general categories have the same names in both. */
const CATEGORY = /^(?:(?:General_Category|gc)=)?([A-Z][a-z]?)$/
const SCRIPT = /^(?:Script|sc)=([A-Z][A-Za-z_]*)$/

class Refusal {
  readonly reason: string
  readonly hint: string | undefined

  constructor(reason: string, hint?: string) {
    this.reason = reason
    this.hint = hint
  }
}

/** `source` for RE2, or why it cannot be expressed there. */
export function translatePattern(source: string): PatternTranslation {
  try {
    // Parses and does not run: everything below may then take the ECMA-262 grammar for granted.
    new RegExp(source, 'u')
  } catch {
    return { ok: false, reason: 'not a regular expression of ECMA-262 with the u flag' }
  }
  try {
    const translator = new Translator(source)
    const text = translator.pattern()
    return { ok: true, text, size: translator.size }
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    return { ok: false, reason: cause.reason, ...(cause.hint === undefined ? {} : { hint: cause.hint }) }
  }
}

class Translator {
  readonly #points: readonly string[]
  #at = 0
  /** Instructions so far, of the whole and of each open group. */
  readonly #sizes: number[] = [0]
  /** Instructions of the last atom, which a count repeats. */
  #last = 0

  constructor(source: string) {
    this.#points = Array.from(source)
  }

  pattern(): string {
    let text = ''
    while (this.#at < this.#points.length) text += this.#token()
    return text
  }

  get size(): number {
    return this.#sizes[0] ?? 0
  }

  #grow(size: number): void {
    const innermost = this.#sizes.length - 1
    this.#sizes[innermost] = (this.#sizes[innermost] ?? 0) + size
  }

  #atomEnds(size: number): void {
    this.#last = size
    this.#grow(size)
  }

  #next(): string {
    return this.#points[this.#at++] ?? ''
  }

  #peek(offset = 0): string {
    return this.#points[this.#at + offset] ?? ''
  }

  #token(): string {
    const point = this.#next()
    switch (point) {
      case '(':
        this.#sizes.push(0)
        return this.#group()
      case ')':
        this.#atomEnds((this.#sizes.pop() ?? 0) + 1)
        return point
      case '{':
        return this.#repeat()
      case '|':
      case '*':
      case '+':
      case '?':
        this.#grow(1)
        return point
      default:
        this.#atomEnds(1)
        return this.#single(point)
    }
  }

  #single(point: string): string {
    switch (point) {
      case '\\':
        return this.#escape()
      case '[':
        return this.#class()
      case '.':
        return ANY_BUT_LINE_END
      case '^':
        return '\\A'
      case '$':
        return '\\z'
      default:
        return literal(codePoint(point))
    }
  }

  #group(): string {
    if (this.#peek() !== '?') return '(?:'
    this.#next()
    const kind = this.#next()
    if (kind === ':') return '(?:'
    if (kind === '<' && this.#peek() !== '=' && this.#peek() !== '!') {
      while (this.#next() !== '>');
      return '(?:'
    }
    if (kind === '=' || kind === '!' || kind === '<') {
      throw new Refusal('look-around cannot be matched in linear time', 'say it with not, allOf or a second pattern')
    }
    throw new Refusal('a group with inline flags')
  }

  // RE2 writes a repeated atom out: (?:a…){1000} of a thousand letters would be a million instructions.
  #repeat(): string {
    let counts = ''
    for (let point = this.#next(); point !== '}'; point = this.#next()) counts += point
    const [least = '', most] = counts.split(',')
    const copies = most === undefined ? Number(least) : most === '' ? Number(least) + 1 : Number(most)
    this.#grow(this.#last * (Math.max(copies, 1) - 1))
    this.#last *= Math.max(copies, 1)
    return `{${counts}}`
  }

  #escape(): string {
    switch (this.#peek()) {
      case 'b':
      case 'B':
        return `\\${this.#next()}`
      case 'k':
        throw new Refusal('a back-reference cannot be matched in linear time')
      default:
        break
    }
    if (/[1-9]/.test(this.#peek())) throw new Refusal('a back-reference cannot be matched in linear time')
    const atom = this.#atom()
    return typeof atom === 'number' ? literal(atom) : `[${atom}]`
  }

  /** After a backslash: the code point it stands for, or the inside of a class. */
  #atom(): number | string {
    const point = this.#next()
    const control = Object.hasOwn(CONTROL_ESCAPES, point) ? CONTROL_ESCAPES[point] : undefined
    if (control !== undefined) return control
    switch (point) {
      case 'd':
        return '0-9'
      case 'D':
        return complement([[0x30, 0x39]])
      case 'w':
        return '0-9A-Z_a-z'
      case 'W':
        return complement([
          [0x30, 0x39],
          [0x41, 0x5a],
          [0x5f, 0x5f],
          [0x61, 0x7a],
        ])
      case 's':
        return SPACE_RANGES
      case 'S':
        return NON_SPACE_RANGES
      case 'p':
      case 'P':
        return this.#property(point)
      case '0':
        return 0
      case 'c':
        return codePoint(this.#next()) & 31
      case 'x':
        return Number.parseInt(this.#next() + this.#next(), 16)
      case 'u':
        return this.#unicode()
      default:
        return codePoint(point)
    }
  }

  #unicode(): number {
    if (this.#peek() === '{') {
      this.#next()
      let hex = ''
      for (let point = this.#next(); point !== '}'; point = this.#next()) hex += point
      return whole(Number.parseInt(hex, 16))
    }
    const unit = this.#fourDigits()
    if (unit < 0xd800 || unit > 0xdbff || this.#peek() !== '\\' || this.#peek(1) !== 'u') return whole(unit)
    const mark = this.#at
    this.#at += 2
    const low = this.#peek() === '{' ? 0 : this.#fourDigits()
    if (low >= 0xdc00 && low <= 0xdfff) return (unit - 0xd800) * 0x400 + (low - 0xdc00) + 0x10000
    this.#at = mark
    return whole(unit)
  }

  #fourDigits(): number {
    return Number.parseInt(this.#next() + this.#next() + this.#next() + this.#next(), 16)
  }

  #property(letter: string): string {
    this.#next()
    let name = ''
    for (let point = this.#next(); point !== '}'; point = this.#next()) name += point
    const known = CATEGORY.exec(name)?.[1] ?? SCRIPT.exec(name)?.[1]
    if (known === undefined) {
      throw new Refusal('a Unicode property that RE2 does not have', 'use a short category (\\p{L}) or \\p{Script=…}')
    }
    return `\\${letter}{${known}}`
  }

  #class(): string {
    const negated = this.#peek() === '^'
    if (negated) this.#next()
    let inside = ''
    while (this.#peek() !== ']') {
      const low = this.#classAtom()
      if (typeof low === 'string') {
        inside += low
        continue
      }
      if (this.#peek() !== '-' || this.#peek(1) === ']') {
        inside += range(low, low)
        continue
      }
      this.#next()
      const high = this.#classAtom()
      // The u flag makes a class escape at either end of a range a syntax error, so `high` is a code point.
      inside += typeof high === 'string' ? `${range(low, low)}${range(0x2d, 0x2d)}${high}` : range(low, high)
    }
    this.#next()
    // `[]` matches nothing and `[^]` everything; RE2 has no empty class.
    if (inside === '') return negated ? '[\\x{0}-\\x{10ffff}]' : '[^\\x{0}-\\x{10ffff}]'
    return `[${negated ? '^' : ''}${inside}]`
  }

  #classAtom(): number | string {
    const point = this.#next()
    if (point !== '\\') return whole(codePoint(point))
    if (this.#peek() === 'b') {
      this.#next()
      return 8
    }
    return this.#atom()
  }
}

function codePoint(point: string): number {
  return point.codePointAt(0) ?? 0
}

// Text is read by code points, and arguments with half a pair are refused before they get here.
function whole(point: number): number {
  if (point >= 0xd800 && point <= 0xdfff) throw new Refusal('half of a surrogate pair matches no text')
  return point
}

function literal(point: number): string {
  whole(point)
  const character = String.fromCodePoint(point)
  return /^[A-Za-z0-9]$/.test(character) ? character : `\\x{${point.toString(16)}}`
}

function range(low: number, high: number): string {
  const first = `\\x{${low.toString(16)}}`
  return low === high ? first : `${first}-\\x{${high.toString(16)}}`
}

function complement(ranges: readonly (readonly [number, number])[]): string {
  let text = ''
  let start = 0
  for (const [low, high] of ranges) {
    if (low > start) text += range(start, low - 1)
    start = high + 1
  }
  return text + range(start, 0x10ffff)
}
