// What looks like a destination to the guard, and what does not.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { looksLikeDestination } from '../../src/manifest/destination-guard.ts'
import { fuzzRuns } from '../support/fuzz.ts'

describe('URLs', () => {
  test.each([
    'https://evil.example/x',
    'HTTP://evil.example',
    'http:/evil.example',
    'http:evil.example',
    'http: x@evil.example',
    'http:\\\\evil.example',
    'ht\ttp://evil.example',
    'http:\n//evil.example',
    '\u0000 https://evil.example',
    '\u00a0\ufeffhttps://evil.example',
    'ws://x',
    'ftp://x',
    'gopher://x',
    'chrome-extension://x',
    'git+ssh://x',
    'my_app://x',
    'file:/etc/passwd',
    'file:etc/passwd',
    'file:///etc/passwd',
    'data:text/html,x',
    'data: ,x',
    'javascript:alert(1)',
    'javascript: alert(1)',
    'java\nscript:alert(1)',
    'blob:https://x',
    'view-source:http://x',
    'https://evil.example/ with words behind it',
  ])('%j', (text) => {
    expect(looksLikeDestination(text)).toBe('url')
  })

  test('platform parsers agree that these are URLs', () => {
    for (const text of [
      'http:/evil.example',
      'http:evil.example',
      'http: x@evil.example',
      'http:\\\\evil.example',
      'ht\ttp://evil.example',
      '\u0000 https://evil.example',
    ]) {
      expect(new URL(text).hostname).toBe('evil.example')
    }
  })
})

describe('paths', () => {
  test.each([
    '/etc/passwd',
    '/',
    '//evil.example/x',
    '  /etc/passwd',
    '~',
    '~/x',
    '~root/x',
    '..',
    '../x',
    '..\\x',
    './../x',
    'a/../../etc/passwd',
    'a b\n/../../etc/passwd',
    'a\\..\\b',
    'a/..',
    'C:\\Windows',
    'c:/Windows',
    '\\\\server\\share',
  ])('%j', (text) => {
    expect(looksLikeDestination(text)).toBe('path')
  })
})

describe('neither', () => {
  test.each([
    '',
    ' ',
    'hello world',
    'Note: read this',
    'time 12:30',
    'localhost:8080',
    'evil.example',
    'user@example.com',
    'a/b/c',
    './a',
    'and/or',
    'wait...',
    'wait.. what',
    '1..10',
    'a..b',
    '...',
    '.../x',
    'see https://example.com',
    'http: the protocol',
    'file: a report',
    '~30 minutes',
    '~30',
    '\\section{x}',
    '\\d+',
    '-1',
    '#tag',
    '{"a":1}',
    'a:b',
    `${'x'.repeat(100)}://y`,
  ])('%j', (text) => {
    expect(looksLikeDestination(text)).toBeUndefined()
  })
})

test('whatever the platform takes for a URL with a host is seen', () => {
  const piece = fc.constantFrom(
    'http',
    'https',
    'HTTPS',
    'ws',
    ':',
    '/',
    '\\',
    '\t',
    '\n',
    ' ',
    'a.example',
    '@',
    '#',
    '?',
    '..',
    'ftp',
    'x',
  )
  let seen = 0
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 7 }).map((pieces) => pieces.join('')),
      (text) => {
        let host = ''
        try {
          host = new URL(text).host
        } catch {
          return
        }
        if (host === '') return
        seen++
        expect(looksLikeDestination(text)).toBeDefined()
      },
    ),
    { numRuns: fuzzRuns(20_000) },
  )
  expect(seen).toBeGreaterThan(50)
})

test('linear: a long text costs no more than its length', () => {
  for (const seed of ['a', '.', '..', '../', ' ', '~', '\t', 'a\t']) {
    const text = seed.repeat(1_000_000 / seed.length)
    const start = performance.now()
    looksLikeDestination(`x${text}`)
    looksLikeDestination(text)
    expect(performance.now() - start).toBeLessThan(1000)
  }
})
