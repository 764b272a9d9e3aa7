import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { documentFromValue, parseDocument, type SourceDocument, withValue } from '../../src/core/document.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { formatProblems, type Problem } from '../../src/core/problem.ts'
import { isWellFormed } from '../../src/core/wellformed.ts'
import { hostileText } from '../support/core-text.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function document(file: string, text: string): SourceDocument {
  const parsed = parseDocument({ file, text })
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return parsed.document
}

function problems(file: string, text: string): readonly Problem[] {
  const parsed = parseDocument({ file, text })
  return parsed.ok ? [] : parsed.problems
}

describe('format', () => {
  test.each([
    ['policy.json', '{"a":1}', 'json'],
    ['/etc/agentport/policy.yaml', 'a: 1', 'yaml'],
    ['POLICY.YML', 'a: 1', 'yaml'],
    ['claw.toml', 'a = 1', 'toml'],
    ['a.json.yaml', 'a: 1', 'yaml'],
  ])('%s', (file, text, format) => {
    const read = document(file, text)
    expect([read.format, read.value, read.file, read.text]).toEqual([format, { a: 1 }, file, text])
  })

  test.each(['policy', 'policy.txt', 'json', '.constructor', 'a.__proto__', 'policy.json '])(
    '%s is not known',
    (file) => {
      expect(problems(file, '{}')).toMatchObject([{ code: 'invalid_value', line: 1, column: 1, file }])
    },
  )

  test('a given format wins over the extension', () => {
    const parsed = parseDocument({ file: 'stdin', text: 'a: 1', format: 'yaml' })
    expect(parsed.ok && parsed.document.value).toEqual({ a: 1 })
  })

  test('caller misuse is a TypeError', () => {
    expect(() => parseDocument({ file: 'a.json', text: 1 as unknown as string })).toThrow(TypeError)
    expect(() => parseDocument({ file: 'a.json', text: '', format: 'constructor' as unknown as 'json' })).toThrow(
      TypeError,
    )
  })
})

describe('places', () => {
  const text = '{\n  "rules": [\n    { "id": "one", "host": "*.com" }\n  ],\r\n  "a/b~c": { "": 1 }\n}\n'
  const read = document('policy.json', text)

  test.each([
    ['', 'value', '1:1'],
    ['/rules', 'key', '2:3'],
    ['/rules', 'value', '2:12'],
    ['/rules/0', 'value', '3:5'],
    ['/rules/0', 'key', '3:5'],
    ['/rules/0/host', 'key', '3:20'],
    ['/rules/0/host', 'value', '3:28'],
    ['/a~1b~0c/', 'value', '5:18'],
    ['/rules/0/absent', 'value', '3:5'],
    ['/rules/0/host/deeper', 'value', '3:28'],
    ['/rules/1', 'value', '2:12'],
    ['/rules/-', 'value', '2:12'],
    ['/rules/00', 'value', '2:12'],
    ['/constructor/prototype', 'value', '1:1'],
    ['not a pointer', 'value', '1:1'],
  ] as const)('%j on its %s is at %s', (pointer, on, expected) => {
    const { line, column, offset } = read.locate(pointer, on)
    expect(`${line}:${column}`).toBe(expected)
    const lines = text.split(/\r?\n/)
    expect(text.slice(offset).startsWith((lines[line - 1] ?? '').slice(column - 1))).toBe(true)
  })

  test('every member of a wide object is found, and fast', () => {
    const names = Array.from({ length: 20_000 }, (_, index) => `skill_${index}`)
    const wide = document('a.json', `{\n${names.map((name) => `"${name}": {}`).join(',\n')}\n}`)
    const start = performance.now()
    names.forEach((name, index) => {
      expect(wide.locate(`/${name}`).line).toBe(index + 2)
    })
    expect(performance.now() - start).toBeLessThan(5_000)
  })
})

describe('problems', () => {
  test('carry place, hint and code frame', () => {
    const read = document(
      'policy.yaml',
      'version: 1\nrules:\n  - id: one\n\thosts'.replace('\n\thosts', '\n    hosts: ["*.com"]\n'),
    )
    const problem = read.problem('invalid_pattern', '/rules/0/hosts/0', 'a suffix of one label', {
      hint: 'name the domain',
    })
    expect(formatProblems([problem])).toBe(
      [
        'policy.yaml:4:13: error invalid_pattern: a suffix of one label',
        '2 | rules:',
        '3 |   - id: one',
        '4 |     hosts: ["*.com"]',
        '  |             ^',
        '  fix: name the domain',
      ].join('\n'),
    )
    expect(read.problem('unused_definition', '/rules', 'm', { severity: 'warning', on: 'key' })).toMatchObject({
      severity: 'warning',
      line: 2,
      column: 1,
    })
  })

  test('tabs, long lines and surrogate pairs do not move the caret away', () => {
    const text = `{\t"é😀":\t"${'😀'.repeat(300)}", "bad": 1e999, "tail": "${'y'.repeat(300)}"}`
    const [problem] = problems('a.json', text)
    const [line, caret] = (problem?.frame ?? '').split('\n')
    const column = caret?.indexOf('^') ?? 0
    expect(line?.slice(column)).toMatch(/^1e999, "tail"/)
    expect(line).toMatch(/^1 \| ….*…$/)
    expect(line?.length).toBeLessThanOrEqual(120)
    expect(isWellFormed(line ?? '\ud800')).toBe(true)
    const short = problems('a.json', '\t\t{"a": 1e999}')[0]?.frame?.split('\n')
    expect(short).toEqual(['1 |     {"a": 1e999}', '  |           ^'])
  })

  test('a hostile text cannot write to the terminal that shows it', () => {
    const sequence = '\u001b]0;owned\u0007\u001b[2J'
    const [problem] = problems('a.json', `{"x": "${sequence}", "\u202e": 1}`)
    // Control: the plain text of the line would.
    expect(`{"x": "${sequence}"`).toContain('\u001b')
    expect(formatProblems(problem === undefined ? [] : [problem])).toContain('\\u{1b}]0;owned\\u{7}')
    fc.assert(
      fc.property(hostileText, hostileText, fc.constantFrom('json', 'yaml', 'toml'), (one, two, format) => {
        for (const found of problems(`a.${format}`, `${one}\n{"a": "${two}"`)) {
          expect(formatProblems([found])).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/)
          for (const row of (found.frame ?? '').split('\n')) expect(row.length).toBeLessThanOrEqual(120)
        }
      }),
      { numRuns: fuzzRuns(500) },
    )
  })

  test('come in the order of the text, and no more than the limit', () => {
    const text = `{${Array.from({ length: 500 }, () => '"k": 1e999').join(',\n')}}`
    const found = problems('a.json', text)
    expect(found).toHaveLength(LIMITS.problems)
    expect(found.at(-1)?.message).toMatch(/\(and 899 more problems\)$/)
    const lines = found.map(({ line }) => line)
    expect(lines).toEqual([...lines].sort((a, b) => a - b))
  })
})

describe('texts unfit for any reader', () => {
  test.each(['json', 'yaml', 'toml'])('%s', (format) => {
    const file = `a.${format}`
    for (const bad of ['\0', '\u001b', '\u007f', '\u0085', '\u2028', '\u202e', '\u2066', '\ufeff', '\ud800']) {
      expect(problems(file, `# ${bad}`)).toMatchObject([{ code: 'syntax_error', line: 1, column: 3 }])
    }
    expect(problems(file, '\ufeff{}')).toMatchObject([{ code: 'syntax_error', line: 1, column: 1 }])
    expect(problems(file, ' '.repeat(LIMITS.documentLength + 1))).toMatchObject([{ code: 'too_large' }])
  })

  test('ordinary text of all scripts is fit', () => {
    expect(document('a.json', '{"reason":"für 日本 العربية नमस्ते 👩‍👩‍👧 — ok"}').value).toBeTypeOf('object')
  })
})

describe('documentFromValue', () => {
  test('copies, freezes and places everything at the start of its name', () => {
    const given = { rules: [{ id: 'one' }] }
    const parsed = documentFromValue(given, '(inline policy)')
    if (!parsed.ok) throw new Error()
    given.rules[0] = { id: 'changed later' }
    expect(parsed.document.value).toEqual({ rules: [{ id: 'one' }] })
    expect(Object.isFrozen((parsed.document.value as { rules: unknown }).rules)).toBe(true)
    expect(parsed.document.locate('/rules/0/id')).toEqual({ line: 1, column: 1, offset: 0 })
    const problem = parsed.document.problem('wrong_type', '/rules/0/id', 'm')
    expect(problem).toMatchObject({ file: '(inline policy)', line: 1, column: 1, pointer: '/rules/0/id' })
    expect(problem.frame).toBeUndefined()
    expect(parsed.document.text).toBe('{"rules":[{"id":"one"}]}')
  })

  test('refuses what is not plain data, at its pointer', () => {
    const cyclic: Record<string, unknown> = {}
    cyclic['self'] = cyclic
    for (const [value, pointer] of [
      [{ a: [() => 1] }, '/a/0'],
      [cyclic, '/self'],
      [undefined, ''],
      [{ a: new Date() }, '/a'],
    ] as const) {
      const parsed = documentFromValue(value, 'inline')
      expect(parsed.ok ? undefined : parsed.problems).toMatchObject([{ code: 'wrong_type', pointer, file: 'inline' }])
    }
  })

  test('is bounded as a document, not as the arguments of a call', () => {
    const rules = Array.from({ length: LIMITS.argumentValues }, (_, index) => ({ id: index }))
    expect(documentFromValue(rules, 'inline').ok).toBe(true)
    let deep: unknown = 1
    for (let level = 0; level <= LIMITS.depth; level++) deep = [deep]
    const parsed = documentFromValue(deep, 'inline')
    expect(parsed.ok ? undefined : parsed.problems[0]?.code).toBe('too_large')
  })
})

test('withValue keeps the places and takes only our documents', () => {
  const read = document('a.json', '{\n"a": 1}')
  const other = withValue(read, { a: 2 })
  expect([other.value, other.text, other.locate('/a').line]).toEqual([{ a: 2 }, read.text, 2])
  expect(() => withValue({ ...read }, 1)).toThrow(TypeError)
})

test('any text in any format: a document or problems, never an exception', () => {
  fc.assert(
    fc.property(hostileText, fc.constantFrom('json', 'yaml', 'toml'), (text, format) => {
      const parsed = parseDocument({ file: `a.${format}`, text })
      if (parsed.ok) return
      for (const problem of parsed.problems) {
        expect(problem.line).toBeGreaterThan(0)
        expect(problem.column).toBeGreaterThan(0)
        expect(problem.frame === undefined).toBe(text === '')
      }
    }),
    { numRuns: fuzzRuns(1_000) },
  )
})
