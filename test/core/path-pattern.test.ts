import fc from 'fast-check'
import micromatch from 'micromatch'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../src/core/limits.ts'
import { parsePath } from '../../src/core/path.ts'
import { type PathPattern, parsePathPattern, pathMatches, pathPatternContains } from '../../src/core/path-pattern.ts'
import { hostileText } from '../support/core-text.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import {
  type ModelSegment,
  modelExample,
  modelMatchesPath,
  modelSegments,
  renderSegment,
} from '../support/glob-model.ts'

const pattern = (text: string): PathPattern => {
  const parsed = parsePathPattern(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.pattern
}

describe('reading', () => {
  test('segments', () => {
    expect(pattern('/srv/\\*/**/a*').segments).toEqual([
      { kind: 'literal', text: 'srv' },
      { kind: 'literal', text: '*' },
      { kind: 'rest' },
      { kind: 'glob', glob: expect.objectContaining({ text: 'a*', kind: 'path' }) },
    ])
    expect(pattern('/').segments).toEqual([])
  })

  test.each([
    ['', 'empty pattern'],
    ['srv/a', 'a relative pattern'],
    ['~/a', 'a relative pattern'],
    ['**', 'a relative pattern'],
    [`/${'a'.repeat(LIMITS.patternLength)}`, 'a pattern that is too long'],
    ['/srv/', 'a trailing slash'],
    ['//', 'a trailing slash'],
    ['//srv', 'a doubled slash'],
    ['/srv//a', 'a doubled slash'],
    ['/srv/../a', 'a . or .. segment'],
    ['/srv/./a', 'a . or .. segment'],
    ['/srv/\\.\\./a', 'a . or .. segment'],
    ['/srv/a**', 'more than one * in a row: ** stands alone in a path segment, and nowhere else'],
    ['/srv/**/**', '** twice in a row'],
    ['/srv/\\\\', 'a backslash'],
    ['/srv\\a', 'a backslash before a letter, a digit or a slash'],
    ['/srv\\/a', 'a backslash at the end'],
    ['/srv/{a,b}', 'a brace: write two patterns, or \\{ for the character'],
    ['/srv/!a', 'a leading !, which negates elsewhere: write \\! for the character'],
    ['/srv/[a/b]', 'a [ without its ]: write \\[ for the character'],
    ['/srv/cafe\u0301', 'text that is not in unicode nfc'],
    ['/srv/a\n', 'a control or format character'],
    ['/srv/%2e%2e/a', 'a percent escape that hides path syntax'],
    ['/srv/\u2025/a', 'unicode characters that stand for path syntax'],
  ])('refused: %j', (text, reason) => {
    expect(parsePathPattern(text)).toMatchObject({ ok: false, reason })
  })
})

describe('covers', () => {
  test.each([
    ['/', '/', true],
    ['/', '/a', false],
    ['/**', '/', true],
    ['/**', '/a/b', true],
    ['/*', '/', false],
    ['/*', '/a', true],
    ['/*', '/a/b', false],
    ['/srv/p', '/srv/p', true],
    ['/srv/p', '/srv/p/a', false],
    ['/srv/p', '/srv/pevil', false],
    ['/srv/p/**', '/srv/p', true],
    ['/srv/p/**', '/srv/p/.env', true],
    ['/srv/p/**', '/srv/p/a/b/c', true],
    ['/srv/p/**', '/srv/pevil/a', false],
    ['/srv/p/**', '/srv', false],
    ['/srv/p/**', '/SRV/p/a', false],
    ['/srv/**/x', '/srv/x', true],
    ['/srv/**/x', '/srv/a/b/x', true],
    ['/srv/**/x', '/srv/a/x/b', false],
    ['/srv/*/x', '/srv/a/x', true],
    ['/srv/*/x', '/srv/x', false],
    ['/srv/a*/**', '/srv/ab', true],
    ['/srv/a*/**', '/srv', false],
    ['/**/.git/**', '/a/b/.git/config', true],
    ['/**/.git/**', '/a/b/.github', false],
    ['/**/*.pem', '/a/.pem', true],
    ['/**/a/**/b/**', '/x/a/y/b', true],
    ['/**/a/**/b/**', '/x/b/y/a', false],
    ['/srv/a b', '/srv/a b', true],
  ])('%s on %s: %s', (text, path, expected) => {
    expect(parsePath(path)).toEqual({ ok: true, path })
    expect(pathMatches(pattern(text), path)).toBe(expected)
  })

  test('attack: spellings that a glob library misses never get as far as a match', () => {
    for (const spelling of ['/home//a/x', '/home/./a/x', '/home/a/../a/x', '/home/a/x\n']) {
      expect(micromatch.isMatch(spelling, '/home/a/**', { dot: true })).toBe(false)
      const parsed = parsePath(spelling)
      if (parsed.ok) expect(pathMatches(pattern('/home/a/**'), parsed.path)).toBe(true)
    }
    expect(parsePath('/home//a/x').ok && parsePath('/home/./a/x').ok).toBe(true)
    expect(parsePath('/home/a/../a/x').ok || parsePath('/home/a/x\n').ok).toBe(false)
  })

  test('attack: a .. that a prefix check or OPA and Cedar globs let through covers nothing', () => {
    const attack = '/srv/p/../../etc/passwd'
    expect(attack.startsWith('/srv/p/')).toBe(true)
    expect(parsePath(attack).ok).toBe(false)
  })
})

describe('contains', () => {
  test.each([
    ['/srv/**', '/srv/a/**', true],
    ['/srv/**', '/srv/a', true],
    ['/srv/**', '/srv', true],
    ['/srv/**', '/srv/*/x', true],
    ['/srv/**', '/srv/**/x', true],
    ['/srv/**', '/**', false],
    ['/srv/**', '/srvx', false],
    ['/**', '/', true],
    ['/**', '/**/a/**', true],
    ['/srv/*', '/srv/a', true],
    ['/srv/*', '/srv/a*', true],
    ['/srv/*', '/srv', false],
    ['/srv/*', '/srv/**', false],
    ['/srv/a*', '/srv/*', false],
    ['/srv/a*', '/srv/a?b', true],
    ['/srv/a', '/srv/a', true],
    ['/srv/a', '/srv/[a]', false],
    ['/srv/**/x', '/srv/a/x', true],
    ['/srv/**/x', '/srv/**/a/x', true],
    ['/srv/**/x', '/srv/**/x', true],
    ['/srv/**/x', '/srv/**', false],
    ['/', '/', true],
    ['/', '/a', false],
  ])('%s contains %s: %s', (outer, inner, expected) => {
    expect(pathPatternContains(pattern(outer), pattern(inner))).toBe(expected)
  })
})

describe('properties', () => {
  const segments = modelSegments(['a', 'b', '.'], 4)
  const write = (model: readonly ModelSegment[]): string => `/${model.map(renderSegment).join('/')}`
  const part = fc.constantFrom('a', 'b', 'ab', 'ba', '.a', 'a.b', 'abc', 'bb')

  test('covers what the definition covers', () => {
    let covered = 0
    fc.assert(
      fc.property(segments, fc.array(part, { maxLength: 6 }), (model, parts) => {
        const expected = modelMatchesPath(model, parts)
        if (expected) covered++
        expect(pathMatches(pattern(write(model)), `/${parts.join('/')}`)).toBe(expected)
      }),
      { numRuns: fuzzRuns(8_000) },
    )
    expect(covered).toBeGreaterThan(fuzzRuns(8_000) / 20)
  })

  test('containment means that whatever the inner pattern covers, the outer covers', () => {
    let contained = 0
    const filler = fc.array(fc.constantFrom('a', 'b', 'ab', 'z'), { minLength: 2, maxLength: 4 })
    // The outer pattern is often made from the inner one, or containment would be rare.
    const loosened = segments.chain((inner) =>
      fc.tuple(
        fc.constant(inner),
        fc.array(fc.nat(5), { minLength: inner.length, maxLength: inner.length }).map((dice) =>
          inner.flatMap((segment, index): ModelSegment[] => {
            if (dice[index] === 0) return ['rest']
            if (dice[index] === 1) return segment === 'rest' ? [segment] : [[{ kind: 'star' }]]
            if (dice[index] === 2) return ['rest', ...(segment === 'rest' ? [] : [segment])]
            return [segment]
          }),
        ),
      ),
    )
    const pairs = fc.oneof(loosened, fc.tuple(segments, segments))
    fc.assert(
      fc.property(pairs, filler, ([inner, looser], fill) => {
        const outer = looser.filter((segment, index) => segment !== 'rest' || looser[index - 1] !== 'rest')
        const inside = pattern(write(inner))
        const outside = pattern(write(outer))
        expect(pathPatternContains(inside, inside)).toBe(true)
        if (!pathPatternContains(outside, inside)) return
        const parts = inner.flatMap((segment, index) =>
          segment === 'rest' ? fill.slice(index % 3) : [modelExample(segment, fill)],
        )
        const path = `/${parts.join('/')}`
        if (!parsePath(path).ok || !pathMatches(inside, path)) return
        contained++
        expect([outside.text, inside.text, path, pathMatches(outside, path)]).toEqual([
          outside.text,
          inside.text,
          path,
          true,
        ])
      }),
      { numRuns: fuzzRuns(8_000) },
    )
    expect(contained).toBeGreaterThan(fuzzRuns(8_000) / 8)
  })

  test('where containment says no there is a path that only the inner pattern covers', () => {
    const texts = ['a', 'b', '*', 'a*', '?', '**']
    const sequences = [[], ...texts.map((one) => [one])]
      .flatMap((before) => [before, ...texts.map((one) => [...before, one])])
      .flatMap((before) => [before, ...texts.map((one) => [...before, one])])
      .filter((parts) => parts.every((part, index) => part !== '**' || parts[index - 1] !== '**'))
    const patterns = [...new Set(sequences.map((parts) => `/${parts.join('/')}`))].map(pattern)
    const names = ['a', 'b', 'ab', 'cc']
    const level = (paths: readonly string[]) => paths.flatMap((path) => names.map((name) => `${path}/${name}`))
    const [one, two, three, four] = [
      level(['']),
      level(level([''])),
      level(level(level(['']))),
      level(level(level(level([''])))),
    ]
    const paths = ['/', ...one, ...two, ...three, ...four]
    const covered = new Map(patterns.map((each) => [each, paths.map((path) => pathMatches(each, path))]))
    // Not found to be inside, though it is: `/*/**` is at least one segment, and so is `/**/*`. Only where the outer pattern
    // has a wildcard segment beside a ** and one of the two has a ** before its end.
    const isExcused = (outer: string, inner: string): boolean =>
      /\*\*/.test(outer) &&
      /[?*]/.test(outer.replaceAll('**', '')) &&
      [outer, inner].some((text) => text.slice(0, -2).includes('**'))
    let excused = 0
    const wrong: string[] = []
    for (const inner of patterns) {
      const inside = covered.get(inner) ?? []
      for (const outer of patterns) {
        const outside = covered.get(outer) ?? []
        const hole = inside.some((isInside, index) => isInside && outside[index] !== true)
        const isInside = pathPatternContains(outer, inner)
        if (isInside !== hole) continue
        // Both at once would be a grant that reaches further than its text.
        if (isInside || !isExcused(outer.text, inner.text)) wrong.push(`${outer.text} on ${inner.text}`)
        else excused++
      }
    }
    expect(wrong).toEqual([])
    expect(excused).toBeLessThan(patterns.length ** 2 / 50)
  })

  test('no text makes the parser throw; a pattern of literals covers its own path', () => {
    const text = fc.oneof(
      hostileText,
      hostileText.map((tail) => `/${tail}`),
      fc.array(hostileText, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`),
    )
    fc.assert(
      fc.property(text, hostileText, (source, path) => {
        const parsed = parsePathPattern(source)
        if (!parsed.ok) {
          expect(parsed.reason).toMatch(/^[ -~]+$/)
          return
        }
        expect(parsePathPattern(parsed.pattern.text)).toMatchObject({ ok: true })
        expect(typeof pathMatches(parsed.pattern, path)).toBe('boolean')
        const literals = parsed.pattern.segments.map((segment) =>
          segment.kind === 'literal' ? segment.text : undefined,
        )
        if (literals.every((literal) => literal !== undefined)) {
          const own = `/${literals.join('/')}`
          expect(parsePath(own)).toEqual({ ok: true, path: own })
          expect(pathMatches(parsed.pattern, own)).toBe(true)
        }
      }),
      { numRuns: fuzzRuns(20_000) },
    )
  })

  test('hostile patterns on the longest path are answered', () => {
    const path = `${'/a'.repeat(2_000)}/c`
    for (const text of [
      `${'/**/a'.repeat(31)}/b`,
      `/**${'/a'.repeat(400)}/b/**`,
      `${'/**/*a*'.repeat(10)}/b`,
      `/**${'/*'.repeat(31)}/b`,
    ]) {
      for (let round = 0; round < 20; round++) expect(pathMatches(pattern(text), path)).toBe(false)
    }
  })
})
