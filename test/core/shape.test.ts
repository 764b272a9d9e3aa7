import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { z as mini } from 'zod/mini'
import { documentFromValue, parseDocument } from '../../src/core/document.ts'
import { LIMITS } from '../../src/core/limits.ts'
import type { Problem } from '../../src/core/problem.ts'
import { type ShapeIssue, shapeProblems } from '../../src/core/shape.ts'

const host = z.union([
  z.string('expected a host pattern'),
  z.strictObject({ name: z.string(), port: z.int().min(1).max(65_535) }),
])
const rule = z.strictObject({
  id: z.string().max(8, 'an id has at most 8 characters'),
  effect: z.enum(['permit', 'forbid', 'require_approval']),
  hosts: z.array(host, 'expected a list of host patterns').optional(),
  limits: z.record(z.string().regex(/^[a-z]+$/, 'expected a name in lower case'), z.number()).optional(),
  when: z
    .string()
    .superRefine((text, context) => {
      if (text === 'never') {
        context.addIssue({
          code: 'custom',
          message: 'can never hold',
          params: { code: 'contradiction', hint: 'remove the rule', on: 'key' },
        })
      }
    })
    .optional(),
})
const policy = z.strictObject({
  version: z.literal(1),
  rules: z.array(rule),
  allowed_hosts: z.array(z.string()).optional(),
})

function problems(text: string, schema: z.ZodType = policy, file = 'policy.yaml'): Problem[] {
  const parsed = parseDocument({ file, text })
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  const shape = schema.safeParse(parsed.document.value)
  return shape.success ? [] : shapeProblems(parsed.document, shape.error.issues, schema)
}

const brief = (found: readonly Problem[]): string[] =>
  found.map(
    ({ line, column, code, pointer, message, hint }) =>
      `${line}:${column} ${code} ${pointer}: ${message}${hint === undefined ? '' : ` [${hint}]`}`,
  )

const base = 'version: 1\nrules:\n  - id: one\n    effect: permit\n'

test.each([
  ['nothing wrong', base, []],
  [
    'unknown key with a close one',
    `${base}allowed_host: []\n`,
    ['5:1 unknown_key /allowed_host: unknown key "allowed_host" [did you mean "allowed_hosts"?]'],
  ],
  [
    'unknown key in another case',
    `${base}allowedHosts: []\n`,
    ['5:1 unknown_key /allowedHosts: unknown key "allowedHosts" [did you mean "allowed_hosts"?]'],
  ],
  [
    'unknown key with none close',
    `${base}zzz: 1\n`,
    ['5:1 unknown_key /zzz: unknown key "zzz" [known keys version, rules, allowed_hosts]'],
  ],
  [
    'a key that is there already is not meant again',
    `${base}    efect: x\n`,
    ['5:5 unknown_key /rules/0/efect: unknown key "efect" [known keys id, effect, hosts, limits, when]'],
  ],
  [
    'several unknown keys, each at its place',
    `${base}    host: []\n    wen: x\n`,
    [
      '5:5 unknown_key /rules/0/host: unknown key "host" [did you mean "hosts"?]',
      '6:5 unknown_key /rules/0/wen: unknown key "wen" [did you mean "when"?]',
    ],
  ],
  [
    'missing key at its parent',
    'version: 1\nrules:\n  - effect: permit\n',
    ['3:5 missing_key /rules/0: the key "id" is missing [add "id": expected string, received undefined]'],
  ],
  [
    'missing enum',
    'version: 1\nrules:\n  - id: one\n',
    ['3:5 missing_key /rules/0: the key "effect" is missing [add "effect": one of permit, forbid, require_approval]'],
  ],
  ['missing at the root', 'rules: []\n', ['1:1 missing_key : the key "version" is missing [add "version": one of 1]']],
  [
    "wrong type, in the author's words",
    `${base}    hosts: a.example\n`,
    ['5:12 wrong_type /rules/0/hosts: expected a list of host patterns'],
  ],
  [
    "wrong type, in zod's words",
    `${base}allowed_hosts: [1]\n`,
    ['5:17 wrong_type /allowed_hosts/0: expected string, received number'],
  ],
  [
    'nothing written',
    'version: 1\nrules:\n',
    ['2:7 wrong_type /rules: expected array, received null [nothing is written after the key]'],
  ],
  [
    'misspelt value',
    base.replace('permit', 'permitt'),
    [
      '4:13 invalid_value /rules/0/effect: expected one of "permit"|"forbid"|"require_approval" [did you mean "permit"?]',
    ],
  ],
  [
    'other value',
    base.replace('permit', 'allow'),
    ['4:13 invalid_value /rules/0/effect: expected one of "permit"|"forbid"|"require_approval"'],
  ],
  [
    'too long',
    base.replace('one', 'one_is_not_enough'),
    ['3:9 invalid_value /rules/0/id: an id has at most 8 characters'],
  ],
  [
    'key of a record',
    `${base}    limits: {UPPER: 1}\n`,
    ['5:14 invalid_value /rules/0/limits/UPPER: expected a name in lower case'],
  ],
  [
    'custom issue with code, hint and place',
    `${base}    when: never\n`,
    ['5:5 contradiction /rules/0/when: can never hold [remove the rule]'],
  ],
  ['not a map at all', '- 1\n', ['1:1 wrong_type : expected object, received array']],
])('%s', (_, text, expected) => {
  expect(brief(problems(text))).toEqual(expected)
})

describe('unions', () => {
  test.each([
    [
      'of the type of no branch',
      `${base}    hosts: [1]\n`,
      ['5:13 wrong_type /rules/0/hosts/0: expected string or object'],
    ],
    [
      'an object is judged by the object branch',
      `${base}    hosts: [{name: a.example, port: 0, prot: 1}]\n`,
      [
        '5:37 invalid_value /rules/0/hosts/0/port: expected number to be >=1',
        '5:40 unknown_key /rules/0/hosts/0/prot: unknown key "prot" [known keys name, port]',
      ],
    ],
    [
      'a missing member of a branch',
      `${base}    hosts: [{name: a.example}]\n`,
      [
        '5:13 missing_key /rules/0/hosts/0: the key "port" is missing [add "port": expected number, received undefined]',
      ],
    ],
  ])('%s', (_, text, expected) => {
    expect(brief(problems(text))).toEqual(expected)
  })

  const tagged = z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('url'), from: z.string() }),
    z.strictObject({ kind: z.literal('path'), from: z.string(), access: z.enum(['read', 'write']) }),
  ])
  test.each([
    [
      'unknown discriminator',
      '{"kind":"pth","from":"/a"}',
      ["1:9 invalid_value /kind: expected 'url' | 'path' [did you mean \"path\"?]"],
    ],
    [
      'missing discriminator',
      '{"from":"/a"}',
      ['1:1 missing_key : the key "kind" is missing [add "kind": one of url, path]'],
    ],
    [
      'fault in the branch that is named',
      '{"kind":"path","from":"/a"}',
      ['1:1 missing_key : the key "access" is missing [add "access": one of read, write]'],
    ],
    [
      'wrong type of discriminator',
      '{"kind":7}',
      ["1:9 invalid_value /kind: expected 'url' | 'path' [one of url, path]"],
    ],
  ])('discriminated: %s', (_, text, expected) => {
    expect(brief(problems(text, tagged, 'a.json'))).toEqual(expected)
  })

  test('without a discriminator the branch with the right constant is taken', () => {
    const schema = z.union([
      z.strictObject({ kind: z.literal('a'), x: z.number() }),
      z.strictObject({ kind: z.literal('b'), y: z.number(), z: z.number() }),
    ])
    expect(brief(problems('{"kind":"b"}', schema, 'a.json'))).toEqual([
      '1:1 missing_key : the key "y" is missing [add "y": expected number, received undefined]',
      '1:1 missing_key : the key "z" is missing [add "z": expected number, received undefined]',
    ])
  })

  test('of constants', () => {
    const schema = z.strictObject({ access: z.union([z.literal('none'), z.literal('read'), z.array(z.string())]) })
    expect(brief(problems('{"access":"raed"}', schema, 'a.json'))).toEqual([
      '1:11 invalid_value /access: expected array or one of none, read [did you mean "read"?]',
    ])
  })
})

describe('the keys a schema knows', () => {
  type Node = { next?: Node | undefined; list: string[] }
  const node: z.ZodType<Node> = z.lazy(() => z.strictObject({ next: node.optional(), list: z.array(z.string()) }))

  test.each<[string, z.ZodType, string, string]>([
    ['recursive', node, '{"list":[],"next":{"list":[],"next":{"lst":1,"list":[]}}}', 'known keys next, list'],
    [
      'optional, default, readonly, nullable',
      z.strictObject({ a: z.strictObject({ word: z.number().optional() }).readonly().nullable().default(null) }),
      '{"a":{"wrod":1}}',
      'did you mean "word"?',
    ],
    [
      'record and tuple',
      z.record(z.string(), z.tuple([z.strictObject({ word: z.number().optional() })])),
      '{"k":[{"wrod":1}]}',
      'did you mean "word"?',
    ],
    ['pipe', z.strictObject({ word: z.number().optional() }).transform(String), '{"wrod":1}', 'did you mean "word"?'],
    [
      'mini',
      mini.strictObject({ word: mini.optional(mini.number()) }) as unknown as z.ZodType,
      '{"wrod":1}',
      'did you mean "word"?',
    ],
  ])('%s', (_, schema, text, hint) => {
    const found = problems(text, schema, 'a.json')
    expect(found.find(({ code }) => code === 'unknown_key')?.hint).toBe(hint)
  })

  test('without a schema there is no hint', () => {
    const parsed = documentFromValue({ wrod: 1 }, 'inline')
    const issues: ShapeIssue[] = [{ code: 'unrecognized_keys', path: [], keys: ['wrod'], message: '' }]
    if (!parsed.ok) throw new Error()
    for (const schema of [
      undefined,
      null,
      1,
      {},
      { _zod: {} },
      { _zod: { def: null } },
      { _zod: { def: { type: 'object' } } },
    ]) {
      expect(shapeProblems(parsed.document, issues, schema)[0]?.hint).toBeUndefined()
    }
  })
})

describe('hostile documents', () => {
  test('a million unknown keys are counted, not stored', () => {
    const text = `{${Array.from({ length: 200_000 }, (_, index) => `"k${index}":0`).join(',')}}`
    const start = performance.now()
    const found = problems(text, policy, 'a.json')
    expect(performance.now() - start).toBeLessThan(8_000)
    expect(found).toHaveLength(LIMITS.problems)
    expect(found.at(-1)?.message).toMatch(/and 199902 more problems/)
  })

  test('keys are shown escaped, and names of Object.prototype are ordinary unknown keys', () => {
    const found = problems('{"\\u001b[2J":1,"constructor":1,"toString":2,"version":1,"rules":[]}', policy, 'a.json')
    expect(found.map(({ code, message }) => [code, message])).toEqual([
      ['unknown_key', 'unknown key "\\u{1b}[2J"'],
      ['unknown_key', 'unknown key "constructor"'],
      ['unknown_key', 'unknown key "toString"'],
    ])
  })

  test('a long key is cut', () => {
    const [problem] = problems(`{"${'x'.repeat(100_000)}":1,"version":1,"rules":[]}`, policy, 'a.json')
    expect(problem?.message.length).toBeLessThan(200)
  })
})
