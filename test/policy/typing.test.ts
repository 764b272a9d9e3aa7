// Statements held against the tools they speak of: an argument that no such tool has, or has with another type, and a tool
// that does not exist, would be a statement that never applies and looks as if it did. Each is told at its place.

import { describe, expect, test } from 'vitest'

import type { JsonObject } from '../../src/core/json.ts'
import type { Problem } from '../../src/core/problem.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import type { ToolShape } from '../../src/policy/typing.ts'

const TREE: JsonObject = {
  type: 'object',
  properties: { root: { $ref: '#/$defs/node' } },
  additionalProperties: false,
  $defs: {
    node: {
      type: 'object',
      properties: { name: { type: 'string' }, child: { $ref: '#/$defs/leaf' } },
      additionalProperties: false,
    },
    leaf: { type: 'object', properties: { name: { type: 'string' } }, additionalProperties: false },
  },
}

const TOOLS: readonly ToolShape[] = [
  {
    name: 'http_get',
    skill: 'web',
    inputSchema: {
      type: 'object',
      properties: {
        url: { type: 'string' },
        method: { type: 'string', enum: ['GET', 'HEAD'] },
        timeout: { type: 'integer' },
        headers: { type: 'object', additionalProperties: { type: 'string' } },
        tags: { type: 'array', items: { type: 'string' } },
        options: {
          type: 'object',
          properties: { depth: { type: 'number' }, follow: { type: 'boolean' } },
          additionalProperties: false,
        },
      },
      required: ['url'],
      additionalProperties: false,
    },
  },
  {
    name: 'pay',
    skill: 'bank',
    inputSchema: {
      type: 'object',
      properties: {
        amount: { type: 'number' },
        to: { anyOf: [{ type: 'string' }, { type: 'object', properties: { iban: { type: 'string' } } }] },
        note: { type: ['string', 'null'] },
      },
      additionalProperties: false,
    },
  },
  { name: 'tree', skill: 'files', inputSchema: TREE },
  { name: 'open', skill: 'files', inputSchema: { type: 'object' } },
  { name: 'now', skill: 'clock' },
  { name: 'ping' },
]

const WHO = 'roles: ["*"]'

/** The problems and warnings of one statement, which begins on line 4 and column 5, as `severity code line:column`. */
function typed(section: 'rules' | 'limits' | 'obligations', members: string, options = {}): readonly string[] {
  return found(section, members, options).map(
    ({ severity, code, line, column }) => `${severity} ${code} ${line}:${column}`,
  )
}

function found(section: 'rules' | 'limits' | 'obligations', members: string, options = {}): readonly Problem[] {
  const rules = section === 'rules' ? '' : 'rules: []\n'
  const text = `version: 1\n${rules === '' ? '# rules\n' : rules}${section}:\n  - { id: r, ${WHO}, ${members} }\n`
  const loaded = PolicyEngine.load({ file: 'policy.yaml', text }, { tools: TOOLS, ...options })
  return loaded.ok ? loaded.engine.warnings : loaded.problems
}

const permit = (rest: string): readonly string[] => typed('rules', `effect: permit, ${rest}`)
const forbid = (rest: string): readonly string[] => typed('rules', `effect: forbid, ${rest}`)

describe('a tool', () => {
  const UNKNOWN = /^error unknown_reference 4:\d+$/

  test.each([
    ['a forbid', 'rules', 'effect: forbid, tools: [htp_get]'],
    ['an approval', 'rules', 'effect: require_approval, tools: [htp_get]'],
    ['a limit', 'limits', 'tools: [htp_get], kind: budget, max: 1, by: [all]'],
    ['an obligation', 'obligations', 'tools: [htp_get], pin_addresses: true'],
  ] as const)('that does not exist is an error of %s that names it', (_what, section, members) => {
    const problems = found(section, members)
    expect(typed(section, members)).toEqual([expect.stringMatching(UNKNOWN)])
    expect(problems[0]?.hint).toBe('did you mean http_get?')
    expect(problems[0]?.pointer).toBe(`/${section}/0/tools/0`)
  })

  test('is only warned of where that can do no harm, or where the list of tools is not complete', () => {
    expect(permit('tools: [htp_get]')).toEqual([expect.stringMatching(/^warning unknown_reference 4:/)])
    expect(permit('tools: ["ftp_*"]')).toEqual([expect.stringMatching(/^warning unknown_reference 4:/)])
    expect(forbid('tools: ["ftp_*"]')).toEqual([expect.stringMatching(/^warning unknown_reference 4:/)])
    expect(typed('rules', 'effect: forbid, tools: [htp_get]', { unknownTools: 'warning' })).toEqual([
      expect.stringMatching(/^warning unknown_reference 4:/),
    ])
  })

  test('is told by its own place in the list', () => {
    const [problem] = found('rules', 'effect: forbid, tools: [http_get, pay, htpp]')
    expect(problem?.pointer).toBe('/rules/0/tools/2')
  })

  test('is compared whole and with case', () => {
    expect(forbid('tools: [HTTP_GET]')).toHaveLength(1)
    expect(forbid('tools: [http]')).toHaveLength(1)
    expect(forbid('tools: [http_get]')).toEqual([])
    expect(forbid('tools: ["*"]')).toEqual([])
  })

  test('of another skill is not the one that is meant', () => {
    expect(forbid('tools: [pay], skills: [bank]')).toEqual([])
    expect(forbid('tools: [pay], skills: ["b*"]')).toEqual([])
    expect(forbid('tools: [pay], skills: [web]')).toEqual([expect.stringMatching(UNKNOWN)])
    // Whose skill is not known may be anybody's.
    expect(forbid('tools: [ping], skills: [web]')).toEqual([])
  })

  test('is not looked for without a list of tools', () => {
    expect(
      typed('rules', 'effect: forbid, tools: [htp_get], args: { /nothing: { equals: 1 } }', { tools: undefined }),
    ).toEqual([])
  })
})

describe('an argument', () => {
  test.each<[string, string]>([
    ['a text', 'tools: [http_get], args: { /url: { glob: "*" } }'],
    ['one of its values', 'tools: [http_get], args: { /method: { one_of: [GET, POST] } }'],
    ['a whole number', 'tools: [http_get], args: { /timeout: { max: 5 } }'],
    ['a nested one', 'tools: [http_get], args: { /options/depth: { max: 5 } }'],
    ['a member nobody listed, of a type', 'tools: [http_get], args: { /headers/x-test: { glob: "*" } }'],
    ['a list', 'tools: [http_get], args: { /tags: { contains: x } }'],
    ['an item of a list', 'tools: [http_get], args: { /tags/0: { min_length: 1 } }'],
    ['one branch of anyOf', 'tools: [pay], args: { /to: { glob: "*" } }'],
    ['below the other branch', 'tools: [pay], args: { /to/iban: { glob: "DE*" } }'],
    ['one of several types', 'tools: [pay], args: { /note: { equals: null } }'],
    ['by reference', 'tools: [tree], args: { /root/name: { glob: "*" } }'],
    ['by reference, deep', 'tools: [tree], args: { /root/child/name: { glob: "*" } }'],
    ['anything, of an open schema', 'tools: [open], args: { /what/ever: { min: 1 } }'],
    ['length of a text or list', 'tools: [http_get], args: { /url: { max_length: 5 }, /tags: { max_length: 5 } }'],
    ['every item', 'tools: [http_get], args: { /tags: { every: { max_length: 5 } } }'],
    ['of some of the tools of a pattern', 'tools: ["*"], args: { /amount: { max: 5 } }'],
  ])('that is there may be asked for: %s', (_what, members) => {
    expect(forbid(members)).toEqual([])
    expect(permit(members)).toEqual([])
  })

  test.each<[string, string, string, string, string | undefined]>([
    [
      'misspelt',
      'tools: [http_get], args: { /metod: { equals: GET } }',
      'unknown_reference',
      '/rules/0/args/~1metod',
      'did you mean /method?',
    ],
    [
      'misspelt below',
      'tools: [http_get], args: { /options/dept: { max: 5 } }',
      'unknown_reference',
      '/rules/0/args/~1options~1dept',
      undefined,
    ],
    [
      'below a text',
      'tools: [http_get], args: { /url/host: { equals: x } }',
      'unknown_reference',
      '/rules/0/args/~1url~1host',
      undefined,
    ],
    [
      'below a list, by name',
      'tools: [http_get], args: { /tags/first: { equals: x } }',
      'unknown_reference',
      '/rules/0/args/~1tags~1first',
      undefined,
    ],
    [
      'of a tool without any',
      'tools: [now], args: { /zone: { equals: x } }',
      'unknown_reference',
      '/rules/0/args/~1zone',
      'the input schema names no arguments',
    ],
    [
      'by reference, misspelt',
      'tools: [tree], args: { /root/child/nam: { equals: x } }',
      'unknown_reference',
      '/rules/0/args/~1root~1child~1nam',
      undefined,
    ],
    [
      'of no tool of a pattern',
      'tools: ["*_get"], args: { /amount: { max: 5 } }',
      'unknown_reference',
      '/rules/0/args/~1amount',
      undefined,
    ],
    [
      'of one named tool and not of the other',
      'tools: [http_get, pay], args: { /url: { glob: "*" } }',
      'unknown_reference',
      '/rules/0/args/~1url',
      undefined,
    ],
    [
      'a number that is a text',
      'tools: [http_get], args: { /url: { max: 5 } }',
      'contradiction',
      '/rules/0/args/~1url',
      undefined,
    ],
    [
      'a text that is a number',
      'tools: [http_get], args: { /timeout: { glob: "*" } }',
      'contradiction',
      '/rules/0/args/~1timeout',
      undefined,
    ],
    [
      'a text that is a list',
      'tools: [http_get], args: { /tags: { equals: x } }',
      'contradiction',
      '/rules/0/args/~1tags',
      undefined,
    ],
    [
      'a list that is a text',
      'tools: [http_get], args: { /url: { contains: x } }',
      'contradiction',
      '/rules/0/args/~1url',
      undefined,
    ],
    [
      'a type of no branch',
      'tools: [pay], args: { /to: { min: 1 } }',
      'contradiction',
      '/rules/0/args/~1to',
      undefined,
    ],
    [
      'a type of none of several',
      'tools: [pay], args: { /note: { equals: true } }',
      'contradiction',
      '/rules/0/args/~1note',
      undefined,
    ],
    [
      'a pattern for a flag',
      'tools: [http_get], args: { /options/follow: { pattern: "t.*" } }',
      'contradiction',
      '/rules/0/args/~1options~1follow',
      undefined,
    ],
    [
      'an object that is a text',
      'tools: [http_get], args: { /url: { schema: { type: object } } }',
      'contradiction',
      '/rules/0/args/~1url',
      undefined,
    ],
  ])('that is not there, or not so, is an error: %s', (_what, members, code, pointer, hint) => {
    for (const effect of ['permit', 'forbid', 'require_approval']) {
      const problems = found('rules', `effect: ${effect}, ${members}`)
      expect(problems).toHaveLength(1)
      expect(problems[0]).toMatchObject({ severity: 'error', code, pointer, line: 4, file: 'policy.yaml' })
      if (hint !== undefined) expect(problems[0]?.hint).toBe(hint)
    }
  })

  test('is checked in limits and obligations as in rules', () => {
    const typo = 'tools: [pay], args: { /amuont: { min: 5 } }'
    expect(typed('limits', `${typo}, kind: budget, max: 1, by: [all]`)).toEqual([
      expect.stringMatching(/^error unknown_reference/),
    ])
    expect(typed('obligations', `${typo}, confirm: seen`)).toEqual([expect.stringMatching(/^error unknown_reference/)])
    expect(found('obligations', `${typo}, confirm: seen`)[0]?.pointer).toBe('/obligations/0/args/~1amuont')
  })

  test('of facts is nobody’s schema', () => {
    expect(forbid('tools: [pay], facts: { /amuont: { min: 5 } }')).toEqual([])
  })
})

describe('the amount of a limit', () => {
  const budget = (tools: string, amount: string): readonly Problem[] =>
    found('limits', `tools: [${tools}], kind: budget, max: 100, by: [all], amount: ${amount}`)

  test('is a number the tools have', () => {
    expect(budget('pay', '/amount')).toEqual([])
    expect(budget('http_get', '/timeout')).toEqual([])
    expect(budget('"*"', '/amount')).toEqual([])
  })

  test.each([
    ['pay', '/amuont', 'unknown_reference', 'did you mean /amount?'],
    ['pay', '/note', 'contradiction', undefined],
    ['http_get', '/amount', 'unknown_reference', undefined],
    ['"http_*"', '/amount', 'unknown_reference', undefined],
    ['now', '/amount', 'unknown_reference', 'the input schema names no arguments'],
  ])('of %s is not %s', (tools, amount, code, hint) => {
    const problems = budget(tools, amount)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatchObject({ severity: 'error', code, pointer: '/limits/0/amount', line: 4 })
    if (hint !== undefined) expect(problems[0]?.hint).toBe(hint)
  })
})

test('everything that is wrong is told at once, and nothing of it is loaded', () => {
  const problems = found(
    'rules',
    'effect: forbid, tools: [htp_get, pay], args: { /amuont: { min: 5 }, /note: { max: 3 } }',
  )
  expect(problems.map(({ code }) => code).sort()).toEqual(['contradiction', 'unknown_reference', 'unknown_reference'])
})

test('a tool whose schema cannot be followed is a misuse: it would type nothing', () => {
  const tools = [{ name: 'x', inputSchema: { type: 'object', properties: { a: { $ref: '#/$defs/none' } } } }]
  expect(() => found('rules', 'effect: forbid, tools: [x]', { tools })).toThrow(TypeError)
})
