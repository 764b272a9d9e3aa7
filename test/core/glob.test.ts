import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import micromatch from 'micromatch'
import { describe, expect, test } from 'vitest'
import { simpleFold } from '../../src/core/case-fold.ts'
import { type Glob, type GlobKind, type GlobOptions, globContains, parseGlob } from '../../src/core/glob.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { hostileText } from '../support/core-text.ts'
import { corpus } from '../support/corpora.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import {
  type ModelToken,
  modelExample,
  modelMatches,
  modelMatchesPath,
  modelSegments,
  modelTokens,
  renderSegment,
} from '../support/glob-model.ts'

const glob = (text: string, kind: GlobKind, options?: GlobOptions): Glob => {
  const parsed = parseGlob(text, kind, options)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.glob
}

const matches = (text: string, kind: GlobKind, input: string): boolean => glob(text, kind).matches(input)

describe('paths', () => {
  test.each([
    ['/srv/a', '/srv/a', true],
    ['/srv/a', '/srv/A', false],
    ['/srv/*', '/srv/a', true],
    ['/srv/*', '/srv/.env', true],
    ['/srv/*', '/srv/a/b', false],
    ['/srv/*', '/srv/', false],
    ['/srv/*', '/srv', false],
    ['/srv/**', '/srv/a/b', true],
    ['/srv/**', '/srv/.git/x', true],
    ['/srv/**', '/srv', true],
    ['/srv/**', '/srvx', false],
    ['/srv/**', '/srv/../etc', false],
    ['/srv/**', '/srv/./a', false],
    ['/srv/*/x', '/srv/../x', false],
    ['**/*.ts', 'a.ts', true],
    ['**/*.ts', 'a/b/c.ts', true],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['a/**/b/**/c', 'a/b/x/b/c', true],
    ['a/**/b/**/c', 'a/b/x/b/d', false],
    ['**', 'a/b', true],
    ['**', '', false],
    ['/', '/', true],
    ['/**', '/', true],
    ['a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['a?c', 'a\u{1f600}c', true],
    ['a[b-d]e', 'ace', true],
    ['a[!b-d]e', 'ace', false],
    ['a[^b-d]e', 'axe', true],
    ['a[!b]c', 'a/c', false],
    ['a[+-9]c', 'a/c', false],
    ['a[+-9]c', 'a5c', true],
    ['a[-b]c', 'a-c', true],
    ['a[b-]c', 'a-c', true],
    ['a[\\]]c', 'a]c', true],
    ['a[a\\-c]', 'ab', false],
    ['a[*?]', 'a*', true],
    ['a[*?]', 'ab', false],
    ['a\\*', 'a*', true],
    ['a\\*', 'ab', false],
    ['\\!a', '!a', true],
    ['\\(1\\)', '(1)', true],
    ['a.c', 'abc', false],
    ['a$', 'a$', true],
    ['a+', 'a+', true],
    ['a\nb', 'a\nb', undefined],
    ['*', 'a\nb', true],
  ])('%s on %j: %s', (text, input, expected) => {
    const parsed = parseGlob(text, 'path')
    expect(parsed.ok ? parsed.glob.matches(input) : undefined).toBe(expected)
  })
})

describe('names and texts', () => {
  test.each<[string, GlobKind, string, boolean]>([
    ['read_*', 'name', 'read_file', true],
    ['read_*', 'name', 'read_', true],
    ['read_*', 'name', 'read_.hidden:x', true],
    ['*', 'name', 'mcp__a.b:c-d', true],
    ['*', 'name', '', false],
    ['*', 'name', 'a/b', false],
    ['*', 'name', 'a\nb', false],
    ['*', 'name', 'а', false],
    ['?', 'name', 'a', true],
    ['[!a]', 'name', '/', false],
    ['*rm -rf*', 'text', 'x; rm -rf /\n', true],
    ['*', 'text', '', true],
    ['a*b', 'text', 'a/\n\u2028b', true],
    ['?', 'text', '\u{1f600}', true],
    ['??', 'text', '\u{1f600}', false],
    ['*[!a]?', 'text', '\u{1f600}', false],
    ['*[!a]?', 'text', 'x\u{1f600}', true],
    ['[\u{1f600}-\u{1f610}]', 'text', '\u{1f605}', true],
    ['*eval(*|*"*)', 'text', 'eval(1|"2")', true],
    ['a/b', 'text', 'a/b', true],
  ])('%s as %s on %j: %s', (text, kind, input, expected) => {
    expect(matches(text, kind, input)).toBe(expected)
  })

  test.each<[string, string, boolean]>([
    ['*DROP TABLE*', 'drop Table x', true],
    ['stra\u00dfe', 'STRA\u1e9eE', true],
    ['strasse', 'stra\u00dfe', false],
    ['\u03c3', '\u03c2', true],
    ['k', '\u212a', true],
    ['i', '\u0131', false],
    ['i', '\u0130', false],
    ['[a-z]*', 'ABC', true],
    ['[A-Z]', 'b', true],
    ['[!a-z]', 'B', false],
    ['[\u212a]', 'K', true],
    ['\u{10400}', '\u{10428}', true],
  ])('without case: %s on %s: %s', (text, input, expected) => {
    expect(glob(text, 'text', { ignoreCase: true }).matches(input)).toBe(expected)
    expect(expected && input !== text ? matches(text, 'text', input) : false).toBe(false)
  })

  test('folding makes no name of what is none', () => {
    expect(glob('k', 'name', { ignoreCase: true }).matches('K')).toBe(true)
    expect(glob('k', 'name', { ignoreCase: true }).matches('\u212a')).toBe(false)
  })

  test('literal is the only input that matches, when there is one', () => {
    expect(glob('/srv/\\*', 'path').literal).toBe('/srv/*')
    expect(glob('read_file', 'name').literal).toBe('read_file')
    expect(glob('read_*', 'name').literal).toBeUndefined()
    expect(glob('read_[f]ile', 'name').literal).toBeUndefined()
    expect(glob('/srv/**', 'path').literal).toBeUndefined()
    expect(glob('read', 'text', { ignoreCase: true }).literal).toBeUndefined()
  })

  test('folds case as regular expressions with the flags i and u do, for every code point', () => {
    const differing: string[] = []
    for (let code = 0; code < 0x1_f000; code++) {
      if (code >= 0xd800 && code <= 0xdfff) continue
      const character = String.fromCodePoint(code)
      const folded = simpleFold(character)
      if (folded === character) {
        // A character that stays as it is must not be the upper or lower form of one that goes elsewhere.
        for (const other of [character.toLowerCase(), character.toUpperCase()]) {
          if (Array.from(other).length !== 1 || simpleFold(other) === folded) continue
          if (new RegExp(`^\\u{${code.toString(16)}}$`, 'iu').test(other)) differing.push(code.toString(16))
        }
      } else if (!new RegExp(`^\\u{${code.toString(16)}}$`, 'iu').test(folded)) differing.push(code.toString(16))
    }
    expect(differing).toEqual([])
  })
})

describe('refused: what other readers would take for something else', () => {
  const micro = (pattern: string, input: string): boolean => micromatch.isMatch(input, pattern)

  // An input that micromatch matches although it is not the text of the pattern.
  test.each([
    ['{a,b}', 'b', 'a brace: write two patterns, or \\{ for the character'],
    ['a{1..3}', 'a2', 'a brace: write two patterns, or \\{ for the character'],
    ['@(a|b)', 'b', 'an extended glob: write two patterns, or \\( for the character'],
    ['+(a)', 'aaa', 'an extended glob: write two patterns, or \\( for the character'],
    ['*(a)', 'aaa', 'an extended glob: write two patterns, or \\( for the character'],
    ['?(a)b', 'b', 'an extended glob: write two patterns, or \\( for the character'],
    ['!(a)', 'b', 'a leading !, which negates elsewhere: write \\! for the character'],
    ['x!(a)', 'xb', 'an extended glob: write two patterns, or \\( for the character'],
    ['!a', 'b', 'a leading !, which negates elsewhere: write \\! for the character'],
    ['(a|b)', 'b', 'a group or alternative: write two patterns, or \\( and \\| for the characters'],
    ['"ab"', 'ab', 'a double quote, which disappears elsewhere: write \\" for the character'],
    ['[a]+', 'aaa', 'a + after a class, which repeats it elsewhere: write \\+ for the character'],
    ['[[:alpha:]]x', 'ax', 'a [ inside a class: posix classes are not supported, write \\[ for the character'],
    ['a\\d', 'a1', 'a backslash before a letter, a digit or a slash'],
    ['[\\d]', '1', 'a backslash before a letter, a digit or a slash'],
  ])('%s, which micromatch matches to %s', (pattern, input, reason) => {
    const posix = pattern.includes('[:') ? micromatch.isMatch(input, pattern, { posix: true }) : micro(pattern, input)
    expect(posix).toBe(true)
    expect(parseGlob(pattern, 'path')).toEqual({ ok: false, reason })
  })

  test.each<[string, GlobKind, string]>([
    ['', 'path', 'empty pattern'],
    ['', 'name', 'empty pattern'],
    ['', 'text', 'empty pattern'],
    ['a'.repeat(LIMITS.patternLength + 1), 'text', 'a pattern that is too long'],
    ['*a'.repeat(33), 'text', 'more than 32 stars'],
    ['**/'.repeat(32).concat('*'), 'path', 'more than 32 stars'],
    ['a\0', 'text', 'a control or format character'],
    ['a\u200b', 'path', 'a control or format character'],
    ['a\ud800', 'text', 'a control or format character'],
    ['cafe\u0301', 'path', 'text that is not in unicode nfc'],
    ['a[', 'path', 'a [ without its ]: write \\[ for the character'],
    ['a[b', 'text', 'a [ without its ]: write \\[ for the character'],
    ['a[b-', 'text', 'a [ without its ]: write \\[ for the character'],
    ['a[b\\', 'text', 'a [ without its ]: write \\[ for the character'],
    ['a]', 'path', 'a ] without its [: write \\] for the character'],
    ['[]', 'text', 'an empty class'],
    ['[!]', 'text', 'an empty class'],
    ['[]a]', 'text', 'an empty class'],
    ['[z-a]', 'text', 'a range that is backwards or joined to another'],
    ['[a-c-e]', 'text', 'a range that is backwards or joined to another'],
    ['[a/b]', 'path', 'a slash inside a class'],
    ['a\\', 'text', 'a backslash at the end'],
    ['a\\/b', 'path', 'a backslash before a letter, a digit or a slash'],
    ['a**', 'path', 'more than one * in a row: ** stands alone in a path segment, and nowhere else'],
    ['**a', 'path', 'more than one * in a row: ** stands alone in a path segment, and nowhere else'],
    ['***', 'path', 'more than one * in a row: ** stands alone in a path segment, and nowhere else'],
    ['**', 'name', 'more than one * in a row: ** stands alone in a path segment, and nowhere else'],
    ['a**', 'text', 'more than one * in a row: ** stands alone in a path segment, and nowhere else'],
    ['a//b', 'path', 'a doubled slash'],
    ['//', 'path', 'a doubled slash'],
    ['a/', 'path', 'a trailing slash'],
    ['./a', 'path', 'a . or .. segment'],
    ['a/../b', 'path', 'a . or .. segment'],
    ['a/..', 'path', 'a . or .. segment'],
    ['\\.\\.', 'path', 'a . or .. segment'],
    ['a/b', 'name', 'a character no name has'],
    ['a b', 'name', 'a character no name has'],
    ['а', 'name', 'a character no name has'],
    ['[а]', 'name', 'a character no name has'],
    ['(a)', 'name', 'a character no name has'],
    ['{a}', 'text', 'a brace: write two patterns, or \\{ for the character'],
    ['*(a)', 'text', 'an extended glob: write two patterns, or \\( for the character'],
  ])('%j as %s', (pattern, kind, reason) => {
    expect(parseGlob(pattern, kind)).toEqual({ ok: false, reason })
  })

  test('a range too wide to fold', () => {
    expect(parseGlob('[a-\u{10ffff}]', 'text', { ignoreCase: true })).toEqual({
      ok: false,
      reason: 'a range too wide to compare without case',
    })
    expect(parseGlob('[a-\uffef]', 'text').ok).toBe(true)
    expect(parseGlob('[a-\uffef]', 'text', { ignoreCase: true })).toEqual({
      ok: false,
      reason: 'a range too wide to compare without case',
    })
  })
})

const LONG: readonly ModelToken[] = [
  { kind: 'char', text: 'a' },
  { kind: 'char', text: 'b' },
  { kind: 'char', text: '\u{1f600}' },
  { kind: 'any' },
  { kind: 'class', negated: true, from: 'b', to: 'c' },
  { kind: 'class', negated: false, from: 'a', to: 'b' },
]

describe('against the definition', () => {
  test('names and texts', () => {
    const cases = modelTokens(['a', 'b', '.'], 7).chain((tokens) =>
      fc.tuple(
        fc.constant(tokens),
        fc.oneof(
          fc.string({ unit: fc.constantFrom('a', 'b', 'c', '.'), maxLength: 9 }),
          fc.constant(modelExample(tokens, ['a', 'b'])),
        ),
      ),
    )
    let matched = 0
    fc.assert(
      fc.property(cases, ([tokens, input]) => {
        const text = renderSegment(tokens)
        const expected = modelMatches(tokens, Array.from(input))
        if (expected) matched++
        expect(matches(text, 'text', input)).toBe(expected)
        expect(matches(text, 'name', input)).toBe(expected && input !== '')
      }),
      { numRuns: fuzzRuns(6_000) },
    )
    expect(matched).toBeGreaterThan(fuzzRuns(6_000) / 5)
  })

  test('long pieces between stars, found as trying every position finds them', () => {
    const unit = fc.constantFrom('a', 'b', 'A', '\u{1f600}')
    const piece = fc.array(fc.constantFrom<ModelToken>(...LONG), { minLength: 1, maxLength: 70 })
    let found = 0
    fc.assert(
      fc.property(piece, fc.array(unit, { maxLength: 120 }), fc.nat(120), fc.boolean(), (tokens, noise, at, plant) => {
        const planted = Array.from(modelExample(tokens, ['a', 'b']))
        const characters = plant ? [...noise.slice(0, at), ...planted, ...noise.slice(at)] : noise
        const expected = characters.some((_, start) =>
          modelMatches(tokens, characters.slice(start, start + tokens.length)),
        )
        if (expected) found++
        expect(matches(`*${renderSegment(tokens)}*`, 'text', characters.join(''))).toBe(expected)
      }),
      { numRuns: fuzzRuns(2_000) },
    )
    expect(found).toBeGreaterThan(fuzzRuns(2_000) / 4)
  })

  test('texts with characters outside the basic plane', () => {
    const letters = ['a', '\u{1f600}', '\u{1f601}', '\ud83d', '\ude00']
    fc.assert(
      fc.property(
        modelTokens(['a', '\u{1f600}'], 6),
        fc.array(fc.constantFrom(...letters), { maxLength: 7 }),
        (tokens, parts) => {
          const input = parts.join('')
          expect(matches(renderSegment(tokens), 'text', input)).toBe(modelMatches(tokens, Array.from(input)))
        },
      ),
      { numRuns: fuzzRuns(3_000) },
    )
  })

  test('paths', () => {
    const part = fc.constantFrom('a', 'b', 'ab', 'ba', '.a', 'a.b', '.', '..', '', 'abc')
    fc.assert(
      fc.property(
        modelSegments(['a', 'b', '.'], 5),
        fc.array(part, { minLength: 1, maxLength: 6 }),
        (segments, parts) => {
          const input = parts.join('/')
          fc.pre(input !== '')
          expect(matches(segments.map(renderSegment).join('/'), 'path', input)).toBe(modelMatchesPath(segments, parts))
        },
      ),
      { numRuns: fuzzRuns(6_000) },
    )
  })
})

describe('against micromatch', () => {
  const options = { dot: true, nonegate: true, noextglob: true, nobrace: true }

  test('the same verdict, apart from two readings we do not share', () => {
    const part = fc.constantFrom('a', 'b', 'ab', 'ba', '.a', 'a.b', 'abc', 'c')
    let compared = 0
    fc.assert(
      fc.property(
        modelSegments(['a', 'b', '.'], 4),
        fc.array(part, { minLength: 1, maxLength: 5 }),
        (segments, parts) => {
          // micromatch negates a class by ^ alone; POSIX shells by ! first of all.
          const pattern = segments.map(renderSegment).join('/').replaceAll('[!', '[^')
          const input = parts.join('/')
          // After a wildcard segment a final /** must take a segment there (`*/**` is not `a`, `a/**` is); here it need not.
          if (segments.at(-1) === 'rest' && modelMatchesPath(segments.slice(0, -1), parts)) return
          compared++
          expect([pattern, input, micromatch.isMatch(input, pattern, options)]).toEqual([
            pattern,
            input,
            matches(pattern, 'path', input),
          ])
        },
      ),
      { numRuns: fuzzRuns(6_000) },
    )
    expect(compared).toBeGreaterThan(fuzzRuns(6_000) / 2)
  })

  test('[!a] is not a, as in every shell', () => {
    expect(micromatch.isMatch('a', '[!a]', options)).toBe(true)
    expect(matches('[!a]', 'path', 'a')).toBe(false)
    expect(matches('[!a]', 'path', 'b')).toBe(true)
  })

  test('a class is not its own text too', () => {
    expect(micromatch.isMatch('[b]', '[b]', options)).toBe(true)
    expect(matches('[b]', 'path', '[b]')).toBe(false)
  })

  test('dotfiles slip past micromatch by default, and past a forbid built on it', () => {
    expect(micromatch.isMatch('/home/a/.ssh/id_rsa', '/home/a/**')).toBe(false)
    expect(matches('/home/a/**', 'path', '/home/a/.ssh/id_rsa')).toBe(true)
  })
})

interface PicomatchCase {
  readonly input: string
  readonly pattern: string | readonly string[]
  readonly options: Readonly<Record<string, boolean | number>>
  readonly expected: boolean
}

const folder = corpus('glob')
describe.skipIf(folder === undefined)('picomatch cases', () => {
  // Options under which a pattern of ours means the same to picomatch: they switch off syntax that we refuse anyway, or
  // decide about dotfiles, trailing slashes and Windows separators, which the classes below account for.
  const SAME = new Set([
    'dot',
    'windows',
    'strictSlashes',
    'relaxSlashes',
    'posix',
    'nobrace',
    'noextglob',
    'noext',
    'keepQuotes',
    'maxExtglobRecursion',
    'nocase',
  ])

  const classOf = ({ input, pattern, options, expected }: PicomatchCase): string => {
    const dots = (text: string): boolean => text.split('/').some((part) => part.startsWith('.'))
    const withDot = (): boolean => micromatch.isMatch(input, pattern, { ...options, dot: true })
    if (!expected && options['dot'] !== true && dots(input) && withDot()) return 'dotfiles match'
    if (expected && input === pattern) return 'the text of a pattern is not an input'
    if (expected && typeof pattern === 'string' && /\[[^\]]*\]/.test(pattern) && input.includes('['))
      return 'a class is not its own text'
    if (expected && input.length > 1 && input.endsWith('/')) return 'a trailing slash is not ignored'
    if (expected && /^\/|\/\//.test(input)) return 'a wildcard needs a segment that is not empty'
    if (!expected && typeof pattern === 'string' && pattern.endsWith('/**')) return '** takes no segment too'
    return `unexplained: ${JSON.stringify([pattern, input, options, expected])}`
  }

  test('the same verdict, or a difference we mean', () => {
    const outcomes = new Map<string, number>()
    const count = (outcome: string): void => {
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
    for (const line of readFileSync(join(folder ?? '', 'picomatch-cases.jsonl'), 'utf8')
      .trim()
      .split('\n')) {
      const entry = JSON.parse(line) as PicomatchCase
      const patterns = typeof entry.pattern === 'string' ? [entry.pattern] : entry.pattern
      const parsed = patterns.map((text) => parseGlob(text, 'path', { ignoreCase: entry.options['nocase'] === true }))
      if (parsed.some((result) => !result.ok)) {
        count('pattern refused')
      } else if (!Object.keys(entry.options).every((option) => SAME.has(option))) {
        count('options mean something else')
      } else if (entry.options['windows'] === true && `${entry.input}${patterns.join('')}`.includes('\\')) {
        count('windows separators')
      } else {
        const verdict = parsed.some((result) => result.ok && result.glob.matches(entry.input))
        count(verdict === entry.expected ? 'same verdict' : classOf(entry))
      }
    }
    expect(Object.fromEntries(outcomes)).toEqual({
      'same verdict': 2684,
      'pattern refused': 4386,
      'options mean something else': 188,
      'windows separators': 189,
      // A forbid must see /home/a/.ssh; whoever wants dotfiles out writes [!.]*.
      'dotfiles match': 61,
      // Canonical paths have neither, so nothing may be read into them.
      'a trailing slash is not ignored': 7,
      'a wildcard needs a segment that is not empty': 5,
      'a class is not its own text': 2,
      'the text of a pattern is not an input': 3,
      // `*/**` is a directory and all below it, as `a/**` is.
      '** takes no segment too': 1,
    })
  })
})

describe('hostile patterns and inputs', () => {
  test('positive control: backtracking takes steps without end', () => {
    // What a RegExp made from '*a*a*a*a*a*ab' does, with its steps counted.
    let steps = 0
    const backtrack = (tokens: readonly ModelToken[], input: string): boolean => {
      if (++steps > 1_000_000) return false
      const [token, ...others] = tokens
      if (token === undefined) return input === ''
      if (token.kind !== 'star')
        return (
          input !== '' && token.kind === 'char' && input.startsWith(token.text) && backtrack(others, input.slice(1))
        )
      for (let taken = 0; taken <= input.length; taken++) if (backtrack(others, input.slice(taken))) return true
      return false
    }
    const tokens = Array.from(
      `${'*a'.repeat(6)}b`,
      (text): ModelToken => (text === '*' ? { kind: 'star' } : { kind: 'char', text }),
    )
    expect(backtrack(tokens, 'a'.repeat(60))).toBe(false)
    expect(steps).toBeGreaterThan(1_000_000)
    expect(micromatch.makeRe(`${'*a'.repeat(2)}b`).source).toContain('[^/]*?a[^/]*?ab')
    expect(matches(`${'*a'.repeat(6)}b`, 'path', 'a'.repeat(60))).toBe(false)
  })

  test('2,000 hostile patterns on 4 KB each are answered', () => {
    const size = 4_000
    const shapes: readonly ((stars: number) => readonly [string, GlobKind, string])[] = [
      (stars) => [`${'*a'.repeat(stars)}b`, 'path', 'a'.repeat(size)],
      (stars) => [`${'*?a'.repeat(stars)}b`, 'text', 'a'.repeat(size)],
      (stars) => [`${'*[ab]a'.repeat(stars)}c`, 'text', 'ab'.repeat(size / 2)],
      (stars) => [`${'*-'.repeat(stars)}.example.com`, 'name', `${'-'.repeat(size)}.evil.com`],
      (stars) => [`${'**/a/'.repeat(stars)}b`, 'path', `${'a/'.repeat(size / 2)}c`],
      (stars) => [`/${'**/*a*/'.repeat(stars / 3)}b`, 'path', '/aa'.repeat(size / 3)],
      (stars) => [`*${'a'.repeat(stars * 20)}?b*`, 'text', 'a'.repeat(size)],
      (stars) => [`*${'[!b]'.repeat(stars * 6)}b*`, 'text', 'a'.repeat(size)],
      (stars) => [`${'*\u{1f600}?'.repeat(stars)}b`, 'text', '\u{1f600}'.repeat(size / 2)],
      (stars) => [`*${'A?'.repeat(stars)}b`, 'text', 'aA'.repeat(size / 2)],
    ]
    let answered = 0
    for (let round = 0; round < 200; round++) {
      for (const shape of shapes) {
        const [pattern, kind, input] = shape(3 + (round % 28))
        expect(glob(pattern, kind, { ignoreCase: kind === 'text' && round % 2 === 0 }).matches(input)).toBe(false)
        answered++
      }
    }
    expect(answered).toBe(2_000)
  })

  test('no text makes the parser throw', () => {
    const piece = fc.constantFrom(
      'a',
      'b',
      '*',
      '**',
      '?',
      '[',
      ']',
      '!',
      '^',
      '-',
      '\\',
      '/',
      '{',
      '}',
      '(',
      ')',
      '|',
      '+',
      '.',
      'ü',
      '😀',
    )
    const text = fc.oneof(
      hostileText,
      fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
    )
    let accepted = 0
    fc.assert(
      fc.property(
        text,
        fc.constantFrom<GlobKind>('path', 'name', 'text'),
        fc.boolean(),
        hostileText,
        (source, kind, ignoreCase, input) => {
          const parsed = parseGlob(source, kind, { ignoreCase })
          if (!parsed.ok) {
            expect(parsed.reason).toMatch(/^[ -~]+$/)
            return
          }
          accepted++
          expect(typeof parsed.glob.matches(input)).toBe('boolean')
          if (parsed.glob.literal !== undefined) expect(parsed.glob.matches(parsed.glob.literal)).toBe(true)
        },
      ),
      { numRuns: fuzzRuns(20_000) },
    )
    expect(accepted).toBeGreaterThan(100)
  })
})

describe('containment', () => {
  test.each<[string, string, GlobKind, boolean]>([
    ['*', 'read_*', 'name', true],
    ['read_*', 'read_file', 'name', true],
    ['read_*', 'read_f*', 'name', true],
    ['read_*', 'write_*', 'name', false],
    ['read_*', '*', 'name', false],
    ['*_file', 'read_*_file', 'name', true],
    ['a?', 'a[bc]', 'name', true],
    ['a[a-c]', 'a[b]', 'name', true],
    ['a[a-c]', 'a[b-d]', 'name', false],
    ['a[!x]', 'a[bc]', 'name', true],
    ['a[!x]', 'a[!xy]', 'name', true],
    ['a[!xy]', 'a[!x]', 'name', false],
    ['a[bc]', 'a?', 'name', false],
    ['/srv/**', '/srv/a/**', 'path', true],
    ['/srv/**', '/srv/*/x', 'path', true],
    ['/srv/*', '/srv/**', 'path', false],
    ['**/*.ts', 'src/**/a*.ts', 'path', true],
    ['*/a', '/a', 'path', false],
    ['**/a', '/a', 'path', true],
  ])('%s contains %s as %s: %s', (outer, inner, kind, expected) => {
    expect(globContains(glob(outer, kind), glob(inner, kind))).toBe(expected)
  })

  test('kinds and case are not mixed, and a foreign object contains nothing', () => {
    const any = glob('*', 'text')
    expect(globContains(any, glob('a', 'name'))).toBe(false)
    expect(globContains(any, glob('a', 'text', { ignoreCase: true }))).toBe(false)
    expect(globContains({ text: '*', kind: 'text', matches: () => true }, any)).toBe(false)
  })

  test('means that whatever the inner glob matches, the outer matches', () => {
    let contained = 0
    fc.assert(
      fc.property(
        modelTokens(['a', 'b'], 4),
        modelTokens(['a', 'b'], 4),
        fc.shuffledSubarray(['a', 'b', 'c', '.']),
        (outer, inner, filler) => {
          const inside = glob(renderSegment(inner), 'text')
          const outside = glob(renderSegment(outer), 'text')
          const example = modelExample(inner, [...filler, 'z'])
          if (!globContains(outside, inside)) return
          contained++
          expect(inside.matches(example)).toBe(true)
          expect([outside.text, inside.text, outside.matches(example)]).toEqual([outside.text, inside.text, true])
        },
      ),
      { numRuns: fuzzRuns(10_000) },
    )
    expect(contained).toBeGreaterThan(100)
  })
})
