import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../src/core/limits.ts'
import { parsePath } from '../../src/core/path.ts'
import { hasUnprintable } from '../../src/core/text.ts'
import { hostileText } from '../support/core-text.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const read = (text: string, base?: string): string => {
  const parsed = parsePath(text, base === undefined ? {} : { base })
  return parsed.ok ? parsed.path : parsed.reason
}

describe('what a path means', () => {
  test.each([
    ['/', '/'],
    ['//', '/'],
    ['/.', '/'],
    ['/a', '/a'],
    ['/a/', '/a'],
    ['//a///b//', '/a/b'],
    ['/./a/./b/.', '/a/b'],
    ['/a/.env', '/a/.env'],
    ['/a/..b/c..d/...', '/a/..b/c..d/...'],
    ['/a b/c', '/a b/c'],
    ['/a:b/c', '/a:b/c'],
    ['/a/~b', '/a/~b'],
    ['/100%/a%20b/%zz', '/100%/a%20b/%zz'],
    ['/a/100%25.txt', '/a/100%25.txt'],
    ['/caf\u00e9/%C3%89', '/caf\u00e9/%C3%89'],
    ['/日本/😀', '/日本/😀'],
  ])('%s is %s', (text, path) => {
    expect(read(text)).toBe(path)
    expect(read(path)).toBe(path)
  })

  test.each([
    ['a', '/srv', '/srv/a'],
    ['./a/', '/srv/p', '/srv/p/a'],
    ['.', '/srv', '/srv'],
    ['a', '/', '/a'],
    ['.env', '/srv', '/srv/.env'],
    ['/etc/x', '/srv', '/etc/x'],
    ['./note:1', '/srv', '/srv/note:1'],
  ])('%s from %s is %s', (text, base, path) => {
    expect(read(text, base)).toBe(path)
  })

  test.each(['', 'srv', '/srv/', '/srv/..', '//srv', '/srv/./a'])('base %j is a mistake of the caller', (base) => {
    expect(() => parsePath('a', { base })).toThrow(TypeError)
  })
})

describe('attack: a path that becomes another path', () => {
  // Second column: where lexical normalisation, the usual defence, ends up.
  test.each([
    ['/srv/p/../../etc/passwd', '/etc/passwd', 'a .. segment'],
    ['/srv/p/link/../x', '/srv/p/x', 'a .. segment'],
    ['/..', '/', 'a .. segment'],
    ['/srv/p/..', '/srv', 'a .. segment'],
    ['/srv/%2e%2e/etc', '/srv/%2e%2e/etc', 'a percent escape that hides path syntax'],
    ['/srv/.%2E/etc', '/srv/.%2E/etc', 'a percent escape that hides path syntax'],
    ['/srv/..%2fetc', '/srv/..%2fetc', 'a percent escape that hides path syntax'],
    ['/srv/a%5Cb', '/srv/a%5Cb', 'a percent escape that hides path syntax'],
    ['/srv/a%00.png', '/srv/a%00.png', 'a percent escape that hides path syntax'],
    ['/srv/%252e%252e/etc', '/srv/%252e%252e/etc', 'a percent escape that hides path syntax'],
    ['/srv/%25252525252e', '/srv/%25252525252e', 'a percent escape that hides path syntax'],
    ['/srv/%%32%65', '/srv/%%32%65', 'a percent escape that hides path syntax'],
    ['/srv/%c0%ae%c0%ae/etc', '/srv/%c0%ae%c0%ae/etc', 'a percent escape that hides path syntax'],
    ['/srv/%u002e', '/srv/%u002e', 'a percent escape that hides path syntax'],
    ['/srv\\..\\etc', '/srv\\..\\etc', 'a backslash'],
    ['/srv/\0.txt', '/srv/\0.txt', 'a control or format character'],
    ['/srv/a\n', '/srv/a\n', 'a control or format character'],
    ['/srv/a\u202etxt.exe', '/srv/a\u202etxt.exe', 'a control or format character'],
    ['/srv/\ud800', '/srv/\ud800', 'a control or format character'],
    ['/srv/\u2025/etc', '/srv/\u2025/etc', 'unicode characters that stand for path syntax'],
    ['/srv/\uff0e\uff0e/etc', '/srv/\uff0e\uff0e/etc', 'unicode characters that stand for path syntax'],
    ['/srv/a\uff0fb', '/srv/a\uff0fb', 'unicode characters that stand for path syntax'],
    ['/srv/a\uff3cb', '/srv/a\uff3cb', 'unicode characters that stand for path syntax'],
    ['/srv/cafe\u0301', '/srv/cafe\u0301', 'text that is not in unicode nfc'],
    ['~/x', '~/x', 'a leading ~, which only a shell can resolve'],
    ['~root/x', '~root/x', 'a leading ~, which only a shell can resolve'],
    ['file:///etc/passwd', 'file:/etc/passwd', 'a scheme or drive prefix'],
    ['FILE:/etc/passwd', 'FILE:/etc/passwd', 'a scheme or drive prefix'],
    ['C:/Windows', 'C:/Windows', 'a scheme or drive prefix'],
    ['a/b', 'a/b', 'a relative path'],
    ['', '.', 'empty path'],
  ])('%j', (text, normalised, reason) => {
    expect(posix.normalize(text)).toBe(normalised)
    expect(read(text)).toBe(reason)
    if (reason !== 'a relative path') expect(read(text, '/srv')).toBe(reason)
  })

  test('one decoder is enough to turn the escapes into the real thing', () => {
    expect(fileURLToPath('file:///srv/%2e%2e/etc')).toBe('/etc')
    expect(posix.normalize(decodeURIComponent('/srv/..%2fetc'))).toBe('/etc')
    expect('/srv/\u2025/etc'.normalize('NFKC')).toBe('/srv/../etc')
  })
})

describe('length', () => {
  test('is that of PATH_MAX, before and after joining', () => {
    const longest = `/${'a'.repeat(LIMITS.pathLength - 1)}`
    expect(read(longest)).toBe(longest)
    expect(read(`${longest}a`)).toBe('a path that is too long')
    expect(read(`${longest}/`)).toBe('a path that is too long')
    expect(read('a'.repeat(LIMITS.pathLength), '/srv')).toBe('a path that is too long')
    expect(read('/a'.repeat(1_000_000))).toBe('a path that is too long')
  })
})

describe('properties', () => {
  const near = fc
    .array(fc.constantFrom('/', '/', 'a', 'b', '.', '..', '%', '~', '-', ':', ' ', 'ü', '%2', '5'), { maxLength: 10 })
    .map((parts) => `/${parts.join('')}`)

  test('the fast way for canonical paths gives what the long way gives', () => {
    let canonical = 0
    fc.assert(
      fc.property(near, (text) => {
        const fast = parsePath(text)
        // A leading /. takes the long way and means nothing.
        expect(parsePath(`/.${text}`)).toEqual(fast)
        if (fast.ok && fast.path === text) canonical++
      }),
      { numRuns: fuzzRuns(10_000) },
    )
    expect(canonical).toBeGreaterThan(100)
  })

  test('no text makes it throw; what is accepted is canonical, printable, NFC, and what node:path makes of it', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          near,
          hostileText,
          hostileText.map((text) => `/${text}`),
        ),
        fc.boolean(),
        (text, relative) => {
          const parsed = relative ? parsePath(text, { base: '/srv' }) : parsePath(text)
          if (!parsed.ok) {
            expect(parsed.reason).toMatch(/^[ -~]+$/)
            return
          }
          const { path } = parsed
          expect(parsePath(path)).toEqual(parsed)
          expect(path).toBe(path.normalize('NFC'))
          expect(hasUnprintable(path)).toBe(false)
          expect(path).toBe(posix.resolve('/srv', text))
        },
      ),
      { numRuns: fuzzRuns(20_000) },
    )
  })
})
