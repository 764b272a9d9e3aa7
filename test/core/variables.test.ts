// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to variables are what is tested

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseDocument, type SourceDocument } from '../../src/core/document.ts'
import type { JsonValue } from '../../src/core/json.ts'
import { LIMITS } from '../../src/core/limits.ts'
import type { Problem } from '../../src/core/problem.ts'
import { substituteVariables } from '../../src/core/variables.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function document(value: JsonValue): SourceDocument {
  const parsed = parseDocument({ file: 'a.json', text: JSON.stringify(value, undefined, 1) })
  if (!parsed.ok) throw new Error()
  return parsed.document
}

function filled(value: JsonValue, variables: Record<string, string>): JsonValue {
  const result = substituteVariables(document(value), variables)
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.document.value
}

function problems(value: JsonValue, variables: Record<string, string>): readonly Problem[] {
  const result = substituteVariables(document(value), variables)
  return result.ok ? [] : result.problems
}

const variables = { home: '/srv/app', HOST_1: 'api.example.com', empty: '', dollar: 'a$b' }

test.each([
  ['${home}', '/srv/app'],
  ['${home}/out/**', '/srv/app/out/**'],
  ['https://${HOST_1}:443${home}', 'https://api.example.com:443/srv/app'],
  ['[${empty}]', '[]'],
  ['$${home}', '${home}'],
  ['$$${home}', '$${home}'],
  ['${dollar}{home}', 'a$b{home}'],
  ['${empty}${home}', '/srv/app'],
  ['a$b $1 $ {home} $', 'a$b $1 $ {home} $'],
  ['}${home}}', '}/srv/app}'],
])('%j becomes %j', (text, expected) => {
  expect(filled({ a: [text] }, variables)).toEqual({ a: [expected] })
})

test('the text that one value ends with cannot begin a reference with what follows', () => {
  expect(filled('${d}{home}', { d: '$', home: 'never' })).toBe('${home}')
})

test('only strings, never keys', () => {
  const value = { '${home}': 1, b: true, c: null, d: [2, { e: '${home}' }] }
  expect(filled(value, variables)).toEqual({ ...value, d: [2, { e: '/srv/app' }] })
})

test('a document without references is the same document', () => {
  const read = document({ a: ['x', '$', '{}'] })
  const result = substituteVariables(read, variables)
  expect(result.ok && result.document).toBe(read)
})

test('an escaped reference is still a reference', () => {
  const parsed = parseDocument({ file: 'a.json', text: '["\\u0024{home}"]' })
  const result = parsed.ok ? substituteVariables(parsed.document, variables) : parsed
  expect(result.ok && result.document.value).toEqual(['/srv/app'])
})

test('places stay those of the text', () => {
  const read = document({ a: 1, b: { c: '${home}' } })
  const result = substituteVariables(read, variables)
  expect(result.ok && result.document.locate('/b/c')).toEqual(read.locate('/b/c'))
  expect(result.ok && result.document.text).toBe(read.text)
})

describe('problems', () => {
  test('an unknown variable, with the known ones', () => {
    expect(problems({ a: ['x', '${hone}'] }, variables)).toMatchObject([
      {
        code: 'unknown_reference',
        pointer: '/a/1',
        line: 4,
        message: 'no variable is named hone',
        hint: 'variables given: HOST_1, dollar, empty, home',
      },
    ])
    expect(problems('${x}', {})).toMatchObject([{ hint: 'no variables are given' }])
  })

  test.each(['constructor', '__proto__', 'toString'])('%s is not a variable', (name) => {
    expect(problems(`\${${name}}`, variables)).toMatchObject([{ code: 'unknown_reference' }])
  })

  test.each(['${', '${home', '${}', '${ home }', '${a-b}', '${1a}', '${${home}}', '${ho\u200bme}', '${home:-x}'])(
    '%j is malformed',
    (text) => {
      expect(problems({ a: text }, variables)).toMatchObject([{ code: 'invalid_value', pointer: '/a' }])
    },
  )

  test.each([
    '*',
    'a*',
    '?',
    '[a]',
    ']',
    '{a,b}',
    '}',
    '!x',
    'a\\b',
    '${home}',
    'a\nb',
    'a\u0000',
    '\u202e',
    '\ud800',
    '\u200b',
  ])('the value %j is refused', (value) => {
    const found = problems({ a: '/srv/${v}/x' }, { v: value })
    expect(found).toMatchObject([{ code: 'invalid_value', pointer: '/a' }])
    expect(found[0]?.message).not.toContain(value.length > 1 ? value : '\u0000\u0000')
  })

  test('control: plain replacement makes a value a pattern', () => {
    expect('/srv/${v}'.replaceAll('${v}', '**')).toBe('/srv/**')
    expect(problems('/srv/${v}', { v: '**' })).toHaveLength(1)
  })

  test('a bad value that nothing uses does no harm', () => {
    expect(filled('x', { v: '**' })).toBe('x')
  })

  test('all at once, at most the limit', () => {
    expect(problems(['${a}', '${b}', '${'], {})).toHaveLength(3)
    expect(
      problems(
        Array.from({ length: 500 }, () => '${a}'),
        {},
      ),
    ).toHaveLength(LIMITS.problems)
  })

  test('a text that grows beyond the limit is refused', () => {
    const value = 'x'.repeat(1024 * 1024)
    expect(problems('${v}'.repeat(100), { v: value })).toMatchObject([{ code: 'too_large' }])
  })

  test('a value that is not a string is caller misuse', () => {
    expect(() => substituteVariables(document('x'), { v: 1 as unknown as string })).toThrow(TypeError)
  })
})

test('any text: filled or refused, and nothing is expanded twice', () => {
  const pieces = fc.constantFrom('$', '{', '}', '${', '$${', 'home', '${home}', 'x', '\\')
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const text = parts.join('')
      const result = substituteVariables(document([text]), { home: '/h' })
      // An independent reading: one left-to-right pass.
      const expected = text.replace(/\$\$\{|\$\{home\}|\$\{/g, (found) =>
        found === '$${' ? '${' : found === '${' ? '\0' : '/h',
      )
      if (expected.includes('\0')) expect(result.ok).toBe(false)
      else expect(result.ok && result.document.value).toEqual([expected])
    }),
    { numRuns: fuzzRuns(1_000) },
  )
})
