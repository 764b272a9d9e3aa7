// Which texts are taken for secrets, and which are not.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { JsonValue } from '../../src/core/json.ts'
import { redact } from '../../src/obligation/redact.ts'
import { SECRET_FORMS } from '../../src/obligation/secret-forms.ts'
import { looksGenerated, secretName } from '../../src/obligation/secret-names.ts'
import { secretSpans } from '../../src/obligation/secret-scan.ts'
import { mergeSpans, REDACTED } from '../../src/obligation/spans.ts'
import { corpus } from '../support/corpora.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { ALL_TOKENS, filler, IN_CONTEXT, INNOCENT, PRIVATE_KEYS, TOKENS } from './synthetic.ts'

const clean = (value: JsonValue): JsonValue => redact(value, { fields: [], patterns: [], secrets: true })

test('every form has an example, and every example a form', () => {
  expect(Object.keys(TOKENS).sort()).toEqual(SECRET_FORMS.map(({ id }) => id).sort())
})

test('every form is in the table of docs/obligations.md', () => {
  const page = readFileSync(new URL('../../docs/obligations.md', import.meta.url), 'utf8')
  const rows = page.split('\n').filter((line) => line.startsWith('| '))
  const said = rows.join('\n').toLowerCase()
  const unsaid = SECRET_FORMS.filter(
    ({ id, hints }) =>
      !hints.some((hint) => rows.some((row) => row.includes(`\`${hint}`))) && !said.includes(id.split('-')[0] ?? id),
  )
  expect(unsaid.map(({ id }) => id)).toEqual([])
})

describe.each(SECRET_FORMS.map(({ id, hints }) => [id, hints] as const))('%s', (id, hints) => {
  const tokens = TOKENS[id] ?? []

  test.each([
    ['alone', '', ''],
    ['in a sentence', 'the key (', ') is mine.'],
    ['in quotes', '{"k":"', '"}'],
    ['on a line of its own', 'a\n', '\r\nb'],
    ['in a path', 'https://example.com/', '/x'],
    ['behind an equals sign', 'x=', '&y=1'],
    ['beside other scripts', 'ключ', '鍵'],
  ])('%s', (_, before, behind) => {
    for (const token of tokens) {
      const left = clean(`${before}${token}${behind}`) as string
      expect(left).toContain(REDACTED)
      expect(left).not.toContain(token.slice(-12))
    }
  })

  test('its first text alone is no secret, nor is it with a few characters', () => {
    for (const hint of hints) {
      for (const text of [hint, `${hint}a1`, `${hint}...`, `see ${hint}, or not`]) expect(clean(text)).toBe(text)
    }
  })
})

test.each(PRIVATE_KEYS.map((key) => [key.split('\n', 1)[0] ?? '', key]))('%s', (_, key) => {
  expect(clean(key)).toBe(REDACTED)
  expect(clean(`a\n${key}\nb`)).toBe(`a\n${REDACTED}\nb`)
  // Cut off before its end.
  expect(clean(key.slice(0, 60))).toBe(REDACTED)
  expect(clean(`${key}\nand\n${key}`)).toBe(`${REDACTED}\nand\n${REDACTED}`)
})

test('a PuTTY key', () => {
  const head = 'PuTTY-User-Key-File-3: ssh-rsa\nComment: mine\nPrivate-'
  expect(clean(`${head}Lines: 2\n${filler(64)}\n${filler(64)}\nPrivate-MAC: 00`)).toBe(
    `${head.slice(0, -'Private-'.length)}${REDACTED}Private-MAC: 00`,
  )
})

test.each(IN_CONTEXT)('%s', (text, secret) => {
  const left = clean(text) as string
  expect(left).not.toContain(secret)
  expect(left.replaceAll(REDACTED, '').length).toBeLessThanOrEqual(text.length - secret.length)
})

test('what is around a secret stays', () => {
  expect(clean('postgres://admin:hunter2@db/x')).toBe(`postgres://admin:${REDACTED}@db/x`)
  expect(clean('{"password": "hunter2", "user": "bob"}')).toBe(`{"password": "${REDACTED}", "user": "bob"}`)
  expect(clean('a=1&access_token=abcdef&b=2')).toBe(`a=1&access_token=${REDACTED}&b=2`)
})

test.each(INNOCENT)('no secret: %s', (text) => {
  expect(clean(text)).toBe(text)
})

describe('members by name', () => {
  test.each<[JsonValue, JsonValue]>([
    [{ password: 'x' }, { password: REDACTED }],
    [{ 'X-Api-Key': 'abc' }, { 'X-Api-Key': REDACTED }],
    [{ db: { DB_PASSWORD: 1234 } }, { db: { DB_PASSWORD: REDACTED } }],
    [[{ clientSecret: 'a b c' }], [{ clientSecret: REDACTED }]],
    [{ token: 'a1b2c3d4e5f6a7b8' }, { token: REDACTED }],
    [{ Authorization: 'whatever' }, { Authorization: REDACTED }],
  ])('%j', (value, expected) => expect(clean(value)).toEqual(expected))

  test.each<[JsonValue]>([
    [{ has_password: true }],
    [{ password: null }],
    [{ password: '' }],
    [{ token: 'word' }],
    [{ next_page_token: 'a1b2c3d4e5f6a7b8' }],
    [{ total_tokens: 12 }],
    [{ secrets: ['a'] }],
    [{ author: 'bob' }],
    [{ '/etc/passwd': 'root:x:0:0' }],
  ])('%j stays', (value) => expect(clean(value)).toBe(value))

  test('names', () => {
    expect(secretName('aws.secretAccessKey')).toBe('password')
    expect(secretName('refresh-token')).toBe('password')
    expect(secretName('csrf_token')).toBeUndefined()
    expect(secretName(`${'x'.repeat(100_000)}_password`)).toBe('password')
    expect(looksGenerated('0123456789abcdef')).toBe(true)
    expect(looksGenerated('a sentence with 12 words in it')).toBe(false)
  })
})

describe('what is not seen, and said so', () => {
  const token = ALL_TOKENS.find((text) => text.startsWith('ghp')) ?? ''

  test.each<[string, string]>([
    ['other case', token.toUpperCase()],
    ['full-width letters', token.replace('gh', 'ｇｈ')],
    ['a zero-width space in the prefix', `g\u200b${token.slice(1)}`],
    ['a zero-width space in the middle', `${token.slice(0, 20)}\u200b${token.slice(20)}`],
    ['backwards', [...token].reverse().join('')],
    ['base64', btoa(token)],
    ['percent-encoded', [...token].map((unit) => `%${unit.charCodeAt(0).toString(16)}`).join('')],
  ])('%s', (_, text) => expect(clean(text)).toBe(text))

  test('split over two texts', () => {
    const halves = [token.slice(0, 20), token.slice(20)]
    expect(clean(halves)).toBe(halves)
  })

  test('a stranger character in it leaves what is behind it', () => {
    const text = `${token}\u200b${filler(4)}`
    expect(clean(text)).toBe(`${REDACTED}\u200b${filler(4)}`)
  })
})

test('a secret is found wherever it stands in a text, a key or a list', () => {
  const around = fc.string({ unit: 'grapheme', maxLength: 30 })
  fc.assert(
    fc.property(fc.constantFrom(...ALL_TOKENS, ...PRIVATE_KEYS), around, around, (secret, before, behind) => {
      // A word character before a short hint makes it part of a word; that is tested above.
      const text = `${before} ${secret} ${behind}`
      const value = clean({ [text]: 1, a: [text, { b: text }] })
      expect(JSON.stringify(value)).not.toContain(JSON.stringify(secret.slice(-16)).slice(1, -1))
      expect(clean(value)).toEqual(value)
    }),
    { numRuns: fuzzRuns(300) },
  )
})

test('it never throws, and spans lie inside the text', () => {
  const pieces = fc.constantFrom(
    ...['eyJ', '.', 'sk-', 'SG.', ':AA', '0123456789', 'Q~', '=', ':', '"', "'", '\\', ' ', '\n', 'password', 'token'],
    ...[
      '://',
      '@',
      'Bearer ',
      '-----BEGIN ',
      'PRIVATE KEY',
      '-----',
      '-----END ',
      'Private-Lines:',
      'aB3',
      '💥',
      'AKIA',
    ],
    ...['authorization', 'PuTTY-User-Key-File-', '[redacted]', 'A1b2C3d4E5f6G7h8I9j0'],
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      const text = parts.join('')
      for (const { start, end } of secretSpans(text)) {
        expect(start).toBeGreaterThanOrEqual(0)
        expect(end).toBeGreaterThan(start)
        expect(end).toBeLessThanOrEqual(text.length)
      }
      const once = clean({ t: text, [text]: text })
      expect(clean(once)).toEqual(once)
    }),
    { numRuns: fuzzRuns(500) },
  )
})

describe('a text made to be slow', () => {
  const LENGTH = 1 << 18
  // Nothing is timed: following every hint to the end of its run would take hours for each of these.
  test.each([
    ...SECRET_FORMS.flatMap(({ hints }) => hints),
    'token=',
    'token="',
    'token:',
    'password:',
    'authorization:',
    '://a:b',
    '://',
    'a@',
    '-----BEGIN ',
    '-----BEGIN PRIVATE KEY',
    'bearer ',
    '0',
    '=',
    '"=',
    ' ',
    'Private-Lines:',
  ])('%s again and again', (piece) => {
    const text = piece.repeat(Math.floor(LENGTH / piece.length))
    const spans = mergeSpans(secretSpans(text))
    expect(spans.every(({ end }) => end <= text.length)).toBe(true)
  })
})

test('public texts: nothing in them is a secret', () => {
  const folder = corpus('agent')
  if (folder === undefined) return
  const texts: string[] = []
  const collect = (value: JsonValue): void => {
    if (typeof value === 'string') texts.push(value)
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect)
  }
  for (const line of readFileSync(join(folder, 'agentdojo-ground-truth.jsonl'), 'utf8').split('\n')) {
    if (line !== '') collect(JSON.parse(line) as JsonValue)
  }
  collect(JSON.parse(readFileSync(join(folder, 'toolemu-toolkits.json'), 'utf8')) as JsonValue)
  const found = texts.filter((text) => clean(text) !== text)
  expect({ texts: texts.length, found }).toEqual({ texts: 7356, found: [] })
})
