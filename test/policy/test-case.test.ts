// Tests of a policy as its author writes them: every key is known, a slip is an error at its place, and no test passes that
// did not ask what it says.

import { describe, expect, test } from 'vitest'

import { documentFromValue, parseDocument, type SourceDocument } from '../../src/core/document.ts'
import { resourceOf } from '../../src/core/named-resource.ts'
import { formatProblems } from '../../src/core/problem.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import { type PolicyTest, readPolicyTestFile, readPolicyTests } from '../../src/policy/test-case.ts'
import { runPolicyTest, type TestedEngine, type TestVerdict } from '../../src/policy/test-run.ts'

function document(text: string): SourceDocument {
  const parsed = parseDocument({ file: 'shop.policy.test.yaml', text })
  if (!parsed.ok) throw new Error(formatProblems(parsed.problems))
  return parsed.document
}

function testsOf(text: string): readonly PolicyTest[] {
  const read = readPolicyTests(document(text))
  if (!read.ok) throw new Error(formatProblems(read.problems))
  return read.tests
}

function problemsOf(
  text: string,
  read: typeof readPolicyTests | typeof readPolicyTestFile = readPolicyTests,
): readonly string[] {
  // Each with the line and the word it points at.
  const found = read(document(text))
  if (found.ok) return []
  return found.problems.map(({ line, column, code }) => {
    const rest = text.split('\n')[line - 1]?.slice(column - 1) ?? ''
    return `${line} ${/^(?:"[^"]*"|[^\s,:{}[\]]+|.)/.exec(rest)?.[0]} ${code}`
  })
}

describe('reading', () => {
  test('everything a request can have', () => {
    const [one] = testsOf(
      `tests:
  - name: all of it
    request:
      node: fetch
      roles: [clerk]
      labels: { team: payments }
      skill: web
      tool: http_get
      args: { method: GET, n: [1, { a: null }] }
      resources:
        - { url: "https://Example.com/a", method: GET }
        - { host: "example.com:8443", method: POST }
        - { host: 192.0.2.7 }
        - { path: /srv/b, access: read }
        - { path: /srv/out, access: write }
        - { binary: /usr/bin/git }
        - { env: HOME }
        - { scope: mail.read }
      upstream: [plan]
      downstream: [publish]
      facts: { risk: 3 }
      data_regions: [eu]
      now: 2026-01-05T09:00:00+01:00
      run: run-1
      principal: ana@example.com
      answers: { "opa data.ok": true }
    expect: { decision: deny, code: forbidden, rules: [never] }
`,
    )
    expect(one).toEqual({
      name: 'all of it',
      place: { file: 'shop.policy.test.yaml', line: 2, column: 5 },
      request: {
        node: 'fetch',
        roles: ['clerk'],
        labels: { team: 'payments' },
        skill: 'web',
        tool: 'http_get',
        args: { method: 'GET', n: [1, { a: null }] },
        resources: [
          resourceOf('url', 'https://example.com/a', { method: 'GET' }),
          resourceOf('host', 'example.com:8443', { method: 'POST' }),
          resourceOf('host', '192.0.2.7'),
          resourceOf('path', '/srv/b'),
          resourceOf('path', '/srv/out', { access: 'write' }),
          resourceOf('binary', '/usr/bin/git'),
          resourceOf('env', 'HOME'),
          resourceOf('scope', 'mail.read'),
        ],
        upstream: ['plan'],
        downstream: ['publish'],
        facts: { risk: 3 },
        dataRegions: ['eu'],
        now: Date.UTC(2026, 0, 5, 8),
        run: 'run-1',
        principal: 'ana@example.com',
        answers: { 'opa data.ok': true },
      },
      expect: { decision: 'deny', code: 'forbidden', rules: ['never'] },
    })
  })

  test('what is left out is left out', () => {
    const [one] = testsOf('tests: [{ name: a, request: { node: n, tool: t, now: 5 }, expect: escalate }]')
    expect(one?.request).toEqual({ node: 'n', tool: 't', args: {}, resources: [], now: 5 })
    expect(one?.expect).toEqual({ decision: 'escalate' })
  })

  test('no tests', () => {
    expect(testsOf('version: 1\nrules: []')).toEqual([])
    expect(testsOf('tests: []')).toEqual([])
  })

  test('a document given as a value', () => {
    const parsed = documentFromValue(
      { tests: [{ name: 'a', request: { node: 'n', tool: 't' }, expect: 'deny' }] },
      'in code',
    )
    expect(parsed.ok && readPolicyTests(parsed.document)).toMatchObject({ ok: true, tests: [{ name: 'a' }] })
  })

  const base = '{ node: n, tool: t'
  test.each<[string, string, readonly string[]]>([
    ['not a list', 'tests: {}', ['1 { wrong_type']],
    ['not an object', 'tests: [a]', ['1 a wrong_type']],
    ['nothing in it', 'tests: [{}]', ['1 { missing_key', '1 { missing_key', '1 { missing_key']],
    ['no name', `tests: [{ name: "", request: ${base} }, expect: deny }]`, ['1 "" invalid_value']],
    ['an unknown key', `tests: [{ name: a, reqest: 1, request: ${base} }, expect: deny }]`, ['1 reqest unknown_key']],
    [
      'expect misspelt',
      `tests: [{ name: a, request: ${base} }, expekt: deny }]`,
      ['1 { missing_key', '1 expekt unknown_key'],
    ],
    [
      'the same name twice',
      `tests:\n  - { name: a, request: ${base} }, expect: deny }\n  - { name: a, request: ${base} }, expect: deny }`,
      ['3 a duplicate_name'],
    ],
    ['an unknown decision', `tests: [{ name: a, request: ${base} }, expect: denied }]`, ['1 denied invalid_value']],
    ['no decision', `tests: [{ name: a, request: ${base} }, expect: { code: forbidden } }]`, ['1 { missing_key']],
    [
      'an unknown code',
      `tests: [{ name: a, request: ${base} }, expect: { decision: deny, code: forbiden } }]`,
      ['1 forbiden invalid_value'],
    ],
    [
      'a code of an allow',
      `tests: [{ name: a, request: ${base} }, expect: { decision: allow, code: forbidden } }]`,
      ['1 code contradiction'],
    ],
    [
      'rules that are no list',
      `tests: [{ name: a, request: ${base} }, expect: { decision: allow, rules: a } }]`,
      ['1 a wrong_type'],
    ],
    ['no node and no tool', 'tests: [{ name: a, request: {}, expect: deny }]', ['1 { missing_key', '1 { missing_key']],
    [
      'no name of a node',
      'tests: [{ name: a, request: { node: "a b", tool: t }, expect: deny }]',
      ['1 "a b" invalid_value'],
    ],
    [
      'the key of code, not of files',
      `tests: [{ name: a, request: ${base}, dataRegions: [eu] }, expect: deny }]`,
      ['1 dataRegions unknown_key'],
    ],
    ['args that are no object', `tests: [{ name: a, request: ${base}, args: [] }, expect: deny }]`, ['1 [ wrong_type']],
    [
      'a label that is no text',
      `tests: [{ name: a, request: ${base}, labels: { a: 1 } }, expect: deny }]`,
      ['1 1 wrong_type'],
    ],
    [
      'an answer that is no yes or no',
      `tests: [{ name: a, request: ${base}, answers: { a: "true" } }, expect: deny }]`,
      ['1 "true" wrong_type'],
    ],
    [
      'a moment without offset',
      `tests: [{ name: a, request: ${base}, now: 2026-01-05T09:00:00 }, expect: deny }]`,
      ['1 2026-01-05T09 invalid_value'],
    ],
    [
      'resources that are no list',
      `tests: [{ name: a, request: ${base}, resources: {} }, expect: deny }]`,
      ['1 { wrong_type'],
    ],
    [
      'a resource of no kind',
      `tests: [{ name: a, request: ${base}, resources: [{}] }, expect: deny }]`,
      ['1 { missing_key'],
    ],
    [
      'a resource of two kinds',
      `tests: [{ name: a, request: ${base}, resources: [{ env: A, host: a.test }] }, expect: deny }]`,
      ['1 { missing_key'],
    ],
    [
      'a path without access',
      `tests: [{ name: a, request: ${base}, resources: [{ path: /a }] }, expect: deny }]`,
      ['1 { missing_key'],
    ],
    [
      'an unknown access',
      `tests: [{ name: a, request: ${base}, resources: [{ path: /a, access: execute }] }, expect: deny }]`,
      ['1 execute invalid_value'],
    ],
    [
      'a method of a path',
      `tests: [{ name: a, request: ${base}, resources: [{ path: /a, access: read, method: GET }] }, expect: deny }]`,
      ['1 method contradiction'],
    ],
    [
      'a method in lower case',
      `tests: [{ name: a, request: ${base}, resources: [{ host: a.test, method: get }] }, expect: deny }]`,
      ['1 get invalid_value'],
    ],
    [
      'an ambiguous address',
      `tests: [{ name: a, request: ${base}, resources: [{ host: "0177.0.0.1" }] }, expect: deny }]`,
      ['1 "0177.0.0.1" invalid_value'],
    ],
    [
      'a path that climbs',
      `tests: [{ name: a, request: ${base}, resources: [{ path: /a/../b, access: read }] }, expect: deny }]`,
      ['1 /a/../b invalid_value'],
    ],
    [
      'a variable with a dash',
      `tests: [{ name: a, request: ${base}, resources: [{ env: a-b }] }, expect: deny }]`,
      ['1 a-b invalid_value'],
    ],
    [
      'an unknown key of a resource',
      `tests: [{ name: a, request: ${base}, resources: [{ url: "https://a.test", methd: GET }] }, expect: deny }]`,
      ['1 methd unknown_key'],
    ],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected)
  })

  test('more problems than anyone reads are counted', () => {
    const read = readPolicyTests(document(`tests: [${'{},'.repeat(5000)} {}]`))
    expect(read.ok || read.problems.length).toBe(100)
    expect(read.ok || read.problems.at(-1)?.message).toMatch(/and \d+ more problems/)
  })

  test.each<[string, string, readonly string[]]>([
    ['all there', 'policies: [a.yaml]\nvariables: { w: /srv }\ntests: []', []],
    ['no policies', 'tests: []', ['1 tests missing_key']],
    ['an empty list', 'policies: []\ntests: []', ['1 [ invalid_value']],
    ['no tests', 'policies: [a.yaml]', ['1 policies missing_key']],
    ['an unknown key', 'policies: [a.yaml]\npolicy: b.yaml\ntests: []', ['2 policy unknown_key']],
    ['a variable that is no text', 'policies: [a.yaml]\nvariables: { w: 1 }\ntests: []', ['2 1 wrong_type']],
    ['a list', '[]', ['1 [ wrong_type']],
  ])('the head of a file: %s', (_, text, expected) => {
    expect(problemsOf(text, readPolicyTestFile)).toEqual(expected)
  })
})

const POLICY = `version: 1
roles:
  reader: { nodes: [fetch] }
  clerk: { asserted: true }
rules:
  - { id: read, effect: permit, roles: [reader], tools: [http_get], hosts: [example.com, internal.example.com] }
  - { id: never, effect: forbid, roles: ["*"], tools: ["*"], hosts: [internal.example.com], reason: not ours }
  - { id: pay, effect: require_approval, roles: [clerk], tools: [pay] }
`

describe('running', () => {
  const engine = PolicyEngine.from({ file: 'policy.yaml', text: POLICY })
  const run = (request: string, expected: string) => {
    const [one] = testsOf(`tests: [{ name: a, request: ${request}, expect: ${expected} }]`)
    if (one === undefined) throw new Error('no test')
    return runPolicyTest(engine, one)
  }
  const READ = '{ node: fetch, tool: http_get, resources: [{ url: "https://example.com/" }] }'
  const NEVER = '{ node: fetch, tool: http_get, resources: [{ url: "https://internal.example.com/" }] }'
  const PAY = '{ node: till, roles: [clerk], tool: pay }'

  test.each([
    [READ, 'allow'],
    [READ, '{ decision: allow, rules: [read] }'],
    [NEVER, 'deny'],
    [NEVER, '{ decision: deny, code: forbidden, rules: [never] }'],
    [PAY, 'escalate'],
    [PAY, '{ decision: escalate, code: approval_required, rules: [pay] }'],
    ['{ node: other, tool: http_get }', '{ decision: deny, code: no_matching_permit, rules: [] }'],
    ['{ node: till, roles: [clrek], tool: pay }', '{ decision: deny, code: role_unknown }'],
  ])('%s: %s', (request, expected) => {
    const result = run(request, expected)
    expect(result).toMatchObject({ passed: true, message: '' })
    expect(result.verdict).toBeDefined()
  })

  test.each([
    [READ, 'deny', 'expected deny, and it is allow\nallow by rule read'],
    [READ, '{ decision: allow, rules: [] }', 'expected no rule\nallow by rule read'],
    [READ, '{ decision: allow, rules: [read, other] }', 'expected rules other, read'],
    [NEVER, 'allow', 'expected allow, and it is deny\nforbidden: '],
    [NEVER, '{ decision: deny, code: no_matching_permit }', 'expected the code no_matching_permit'],
    [PAY, 'deny', 'expected deny, and it is escalate\napproval_required: '],
    ['{ node: till, roles: [clrek], tool: pay }', 'deny', 'the request was not judged'],
  ])('%s: not %s', (request, expected, message) => {
    const result = run(request, expected)
    expect(result.passed).toBe(false)
    expect(result.message).toContain(message)
  })

  test('expected and actual, and what the operator needs to see', () => {
    const { expected, actual, message } = run(NEVER, '{ decision: allow, rules: [read] }')
    expect(expected).toBe('allow [read]')
    expect(actual).toBe('deny forbidden [never]')
    expect(message).toContain('rule: never (forbid) policy.yaml:7:5 — not ours')
  })

  const fixed = (verdict: TestVerdict): TestedEngine => ({ evaluate: () => verdict })
  const [deny] = testsOf('tests: [{ name: a, request: { node: n, tool: t }, expect: deny }]')

  test.each(['request_invalid', 'internal_error'] as const)('%s is no denial by the policy', (code) => {
    if (deny === undefined) throw new Error('no test')
    const denial = engine.evaluate({ node: 'a b', tool: 't', args: {}, resources: [] })
    if (denial.decision !== 'deny') throw new Error('allowed')
    const verdict = { decision: 'deny', rules: [], denial: { ...denial.denial, code } } as const
    expect(runPolicyTest(fixed(verdict), deny).passed).toBe(false)
    const named = { ...deny, expect: { decision: 'deny', code } } as const
    expect(runPolicyTest(fixed(verdict), named).passed).toBe(true)
  })

  test('an engine that throws has failed', () => {
    if (deny === undefined) throw new Error('no test')
    const thrower: TestedEngine = {
      evaluate: () => {
        throw new Error('\u001b[31mboom')
      },
    }
    const result = runPolicyTest(thrower, deny)
    expect(result).toMatchObject({ passed: false, actual: 'no verdict' })
    expect(result.message).toBe('the engine failed: Error: \\u{1b}[31mboom')
    expect(result.verdict).toBeUndefined()
  })
})
