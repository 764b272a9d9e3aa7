// Bad policies: each mistake is an error at its place, none is ignored, and all are reported at once.

import { describe, expect, test } from 'vitest'

import type { SourceText } from '../../src/core/document.ts'
import { DocumentError, formatProblems, type Problem } from '../../src/core/problem.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import type { PolicySource } from '../../src/policy/load.ts'

function problemsOf(
  sources: PolicySource | readonly PolicySource[],
  variables: Readonly<Record<string, string>> = {},
): readonly Problem[] {
  const loaded = PolicyEngine.load(sources, { variables })
  return loaded.ok ? [] : loaded.problems
}

const brief = ({ code, line, column }: Problem): string => `${code} ${line}:${column}`

const yaml = (text: string, file = 'policy.yaml'): SourceText => ({ file, text })

/** Three lines that are right; what follows begins on line 4. */
const HEAD = 'version: 1\nroles:\n  reader: { asserted: true }\n'
/** A document whose line 5 is one rule in flow style; its members begin at column 7. */
const flow = (members: string): string => `${HEAD}rules:\n  - { ${members} }`
/** A right rule on lines 5 to 8, and one more member of it on line 9 and on. */
const block = (member: string): string =>
  `${HEAD}rules:\n  - id: r\n    effect: permit\n    roles: [reader]\n    tools: [t]\n    ${member}\n`
const arg = (condition: string): string => block(`args:\n      /n: ${condition}`)

const TABLE: readonly (readonly [mistake: string, text: string, ...expected: string[]])[] = [
  // The document
  ['nothing at all', '', 'wrong_type 1:1'],
  ['a list', '- a', 'wrong_type 1:1'],
  ['no rules', HEAD, 'missing_key 1:1'],
  ['rules without a value', `${HEAD}rules:`, 'wrong_type 4:7'],
  ['no version', 'rules: []', 'missing_key 1:1'],
  ['a version from the future', 'version: 2\nrules: []', 'invalid_value 1:10'],
  ['a version as text', 'version: "1"\nrules: []', 'invalid_value 1:10'],
  ['a misspelt section', `${HEAD}rulez: []\nrules: []`, 'unknown_key 4:1'],
  ['a default effect, which does not exist', `${HEAD}default: allow\nrules: []`, 'unknown_key 4:1'],
  // YAML
  ['a key twice', block('tools: [u]'), 'duplicate_key 9:5'],
  ['an anchor', flow('id: &a r, effect: permit, roles: [reader], tools: [t]'), 'unsupported_syntax 5:14'],
  ['an alias', flow('id: r, effect: permit, roles: [reader], tools: [*t]'), 'unsupported_syntax 5:55'],
  ['a merge key', flow('<<: { effect: permit }, id: r, roles: [reader], tools: [t]'), 'unsupported_syntax 5:7'],
  ['a tag', block('reason: !!js/function "x"'), 'unsupported_syntax 9:27'],
  ['a second document', `${HEAD}rules: []\n---\nversion: 1\nrules: []`, 'unsupported_syntax 5:1'],
  ['a tab', `${HEAD}rules:\n\t- id: r`, 'syntax_error 5:1'],
  ['a list that does not end', `${HEAD}rules: [`, 'syntax_error 4:9'],
  ['a byte order mark', `\ufeff${HEAD}rules: []`, 'syntax_error 1:1'],
  ['a mark that reorders the line', block('reason: "a\u202eb"'), 'syntax_error 9:15'],
  ['an octal number', arg('{ max: 017 }'), 'invalid_value 10:18'],
  ['a key that only looks absent', flow('id: r, effect: permit, roles: [reader], tools: '), 'wrong_type 5:55'],
  ['an argument called __proto__', block('args:\n      __proto__: { equals: 1 }'), 'forbidden_key 10:7'],
  // Roles
  ['a role nobody can have', 'version: 1\nroles:\n  ghost: {}\nrules: []', 'missing_key 3:10'],
  [
    'a role that is not asserted and has no nodes',
    'version: 1\nroles:\n  ghost: { asserted: false }\nrules: []',
    'missing_key 3:10',
  ],
  ['a role of no nodes', 'version: 1\nroles:\n  a: { nodes: [] }\nrules: []', 'invalid_value 3:15'],
  ['a role with a space', 'version: 1\nroles:\n  "my role": { asserted: true }\nrules: []', 'invalid_value 3:3'],
  ['a role called *', 'version: 1\nroles:\n  "*": { asserted: true }\nrules: []', 'invalid_value 3:3'],
  ['a misspelt key of a role', 'version: 1\nroles:\n  a: { node: [x] }\nrules: []', 'unknown_key 3:8'],
  ['a path glob for nodes', 'version: 1\nroles:\n  a: { nodes: ["x/**"] }\nrules: []', 'invalid_pattern 3:16'],
  // Who and what
  ['no id', flow('effect: permit, roles: [reader], tools: [t]'), 'missing_key 5:5'],
  ['an id with a space', flow('id: "r 1", effect: permit, roles: [reader], tools: [t]'), 'invalid_value 5:11'],
  ['an id that is a number', flow('id: 7, effect: permit, roles: [reader], tools: [t]'), 'wrong_type 5:11'],
  ['the id __proto__', flow('id: __proto__, effect: permit, roles: [reader], tools: [t]'), 'invalid_value 5:11'],
  ['no effect', flow('id: r, roles: [reader], tools: [t]'), 'missing_key 5:5'],
  ['a misspelt effect', flow('id: r, effect: forbdi, roles: [reader], tools: [t]'), 'invalid_value 5:22'],
  ['an effect in capitals', flow('id: r, effect: Permit, roles: [reader], tools: [t]'), 'invalid_value 5:22'],
  ['the effect of another language', flow('id: r, effect: allow, roles: [reader], tools: [t]'), 'invalid_value 5:22'],
  ['nobody it is about', flow('id: r, effect: permit, tools: [t]'), 'missing_key 5:5'],
  ['no tools', flow('id: r, effect: permit, roles: [reader]'), 'missing_key 5:5'],
  ['empty tools', flow('id: r, effect: permit, roles: [reader], tools: []'), 'invalid_value 5:54'],
  ['tools as text', flow('id: r, effect: permit, roles: [reader], tools: t'), 'wrong_type 5:54'],
  ['a tool that is empty', flow('id: r, effect: permit, roles: [reader], tools: [""]'), 'invalid_value 5:55'],
  ['a misspelt key of a rule', block('tolls: [x]'), 'unknown_key 9:5'],
  ['a priority', block('priority: 1'), 'unknown_key 9:5'],
  ['an unknown role', flow('id: r, effect: permit, roles: [reader, raeder], tools: [t]'), 'unknown_reference 5:46'],
  ['a role in capitals', flow('id: r, effect: permit, roles: [Reader], tools: [t]'), 'unknown_reference 5:38'],
  ['a glob of roles', flow('id: r, effect: permit, roles: ["read*"], tools: [t]'), 'unknown_reference 5:38'],
  ['the role constructor', flow('id: r, effect: permit, roles: [constructor], tools: [t]'), 'unknown_reference 5:38'],
  ['a negated tool', flow('id: r, effect: permit, roles: [reader], tools: ["!rm"]'), 'invalid_pattern 5:55'],
  ['an open class', flow('id: r, effect: permit, roles: [reader], tools: [ok, "a[bc"]'), 'invalid_pattern 5:59'],
  [
    'a command line for a tool',
    flow('id: r, effect: permit, roles: [reader], tools: ["rm -rf"]'),
    'invalid_pattern 5:55',
  ],
  ['braces', flow('id: r, effect: permit, nodes: ["a{b,c}"], tools: [t]'), 'invalid_pattern 5:38'],
  ['** for skills', block('skills: ["**"]'), 'invalid_pattern 9:14'],
  ['no skills', block('skills: []'), 'invalid_value 9:13'],
  ['a reason that is a number', block('reason: 5'), 'wrong_type 9:13'],
  // Hosts
  ['a whole top-level domain', block('hosts: ["*.com"]'), 'invalid_pattern 9:13'],
  ['a star inside a label', block('hosts: ["*example.com"]'), 'invalid_pattern 9:13'],
  ['a star in the middle', block('hosts: [ok.test, "a.*.test"]'), 'invalid_pattern 9:22'],
  ['user information', block('hosts: ["https://u@a.test"]'), 'invalid_pattern 9:13'],
  ['a path behind a host', block('hosts: ["a.test/path"]'), 'invalid_pattern 9:13'],
  ['an octal address', block('hosts: ["0177.0.0.1"]'), 'invalid_pattern 9:13'],
  ['host bits in a block', block('hosts: ["10.0.0.1/8"]'), 'invalid_pattern 9:13'],
  ['a prefix too long', block('hosts: ["10.0.0.0/33"]'), 'invalid_pattern 9:13'],
  ['a port too high', block('hosts: ["a.test:99999"]'), 'invalid_pattern 9:13'],
  ['a scheme that is not for the web', block('hosts: ["ftp://a.test"]'), 'invalid_pattern 9:13'],
  ['a zone id', block('hosts: ["[fe80::1%eth0]"]'), 'invalid_pattern 9:13'],
  ['an empty host', block('hosts: [""]'), 'invalid_value 9:13'],
  ['a host as text', block('hosts: a.test'), 'wrong_type 9:12'],
  ['a host longer than any', block(`hosts: ["${'a'.repeat(1100)}"]`), 'invalid_value 9:13'],
  // Paths, programs, environment
  ['a relative path', block('paths: { read: ["srv/**"] }'), 'invalid_pattern 9:21'],
  ['a home directory', block('paths: { read: ["~/x"] }'), 'invalid_pattern 9:21'],
  ['a climbing path', block('paths: { read: ["/srv/../etc"] }'), 'invalid_pattern 9:21'],
  ['a trailing slash', block('paths: { write: ["/srv/"] }'), 'invalid_pattern 9:22'],
  ['a doubled slash', block('paths: { read: ["/srv//x"] }'), 'invalid_pattern 9:21'],
  ['** beside text', block('paths: { write: ["/srv/a**"] }'), 'invalid_pattern 9:22'],
  ['a percent escape', block('paths: { read: ["/srv/%2e%2e"] }'), 'invalid_pattern 9:21'],
  ['an access that does not exist', block('paths: { delete: ["/srv"] }'), 'unknown_key 9:14'],
  ['trees to execute that are relative', block('paths: { execute: ["srv/**"] }'), 'invalid_pattern 9:24'],
  ['a relative library', block('libraries: [libc.so.6]'), 'invalid_pattern 9:17'],
  // Processes
  ['a right of another name', block('process_rights: [listen, network]'), 'invalid_value 9:30'],
  ['no rights', block('process_rights: []'), 'invalid_value 9:21'],
  ['a limit of nothing', block('limits: { processes: 0 }'), 'invalid_value 9:26'],
  ['a limit in parts', block('limits: { memory_mb: 1.5 }'), 'wrong_type 9:26'],
  ['a limit as text', block('limits: { wall_ms: "5" }'), 'wrong_type 9:24'],
  ['a limit no timer can keep', block('limits: { wall_ms: 2147483648 }'), 'invalid_value 9:24'],
  ['a limit of another name', block('limits: { cpu: 1 }'), 'unknown_key 9:15'],
  ['a call of the kernel in capitals', block('forbidden_syscalls: [SYS_ptrace]'), 'invalid_pattern 9:26'],
  ['a mode that would widen', block('execution_mode: shared'), 'invalid_value 9:21'],
  [
    'a forbid that is narrowed',
    flow('id: r, effect: forbid, roles: [reader], tools: [t], limits: { processes: 1 }, forbidden_syscalls: [ptrace]'),
    'contradiction 5:59',
    'contradiction 5:85',
  ],
  [
    'an approval that is narrowed',
    flow('id: r, effect: require_approval, roles: [reader], tools: [t], execution_mode: ephemeral'),
    'contradiction 5:69',
  ],
  ['paths without access', block('paths: ["/srv"]'), 'wrong_type 9:12'],
  ['paths of nothing', block('paths: {}'), 'missing_key 9:12'],
  ['an unknown variable', block(['paths: { read: ["$', '{workspace}/**"] }'].join('')), 'unknown_reference 9:21'],
  ['a program without its directory', block('binaries: [git]'), 'invalid_pattern 9:16'],
  ['an assignment', block('env: ["A=B"]'), 'invalid_value 9:11'],
  ['a glob of variables', block('env: ["AWS_*"]'), 'invalid_value 9:11'],
  // Conditions
  ['a name for a pointer', block('args:\n      method: { equals: GET }'), 'invalid_value 10:7'],
  ['all arguments at once', block('args:\n      "": { equals: GET }'), 'invalid_value 10:7'],
  ['a broken pointer', block('args:\n      /a~2: { equals: GET }'), 'invalid_value 10:7'],
  ['a list of arguments', block('args: [/n]'), 'wrong_type 9:11'],
  ['a value instead of a condition', arg('GET'), 'wrong_type 10:11'],
  ['an empty condition', arg('{}'), 'missing_key 10:11'],
  ['optional alone', arg('{ optional: true }'), 'missing_key 10:11'],
  ['an unknown test', arg('{ regex: "^a" }'), 'unknown_key 10:13'],
  ['a negation', arg('{ not_equals: GET }'), 'unknown_key 10:13'],
  ['a bound as text', arg('{ min: "5" }'), 'wrong_type 10:18'],
  ['an infinite bound', arg('{ min: .inf }'), 'invalid_value 10:18'],
  ['a length below zero', arg('{ min_length: -1 }'), 'invalid_value 10:25'],
  ['half a character', arg('{ max_length: 1.5 }'), 'wrong_type 10:25'],
  ['a list to be equal to', arg('{ equals: [1] }'), 'wrong_type 10:21'],
  ['one of nothing', arg('{ one_of: [] }'), 'invalid_value 10:21'],
  ['min above max', arg('{ min: 5, max: 4 }'), 'contradiction 10:18'],
  ['min_length above max_length', arg('{ min_length: 5, max_length: 4 }'), 'contradiction 10:25'],
  ['a value outside its own list', arg('{ equals: GET, one_of: [POST] }'), 'contradiction 10:11'],
  ['a value outside its own bounds', arg('{ equals: 5, max: 4 }'), 'contradiction 10:11'],
  ['a value its own glob refuses', arg('{ one_of: [a, b], glob: "c*" }'), 'contradiction 10:11'],
  ['a number that is a text', arg('{ min: 1, glob: "*" }'), 'contradiction 10:11'],
  ['ignore_case without glob', arg('{ equals: x, ignore_case: true }'), 'contradiction 10:37'],
  ['a bad glob', arg('{ glob: "a**" }'), 'invalid_pattern 10:19'],
  ['an empty glob', arg('{ glob: "" }'), 'invalid_value 10:19'],
]

describe('a bad policy', () => {
  test.each(TABLE)('%s', (_mistake, text, ...expected) => {
    expect(problemsOf(yaml(text)).map(brief)).toEqual(expected)
  })

  test('is an error in JSON too, at its place there', () => {
    const text =
      '{\n  "version": 1,\n  "rules": [\n    { "id": "r", "effect": "permti", "nodes": ["n"], "tools": ["t"] }\n  ]\n}'
    expect(problemsOf({ file: 'policy.json', text }).map(brief)).toEqual(['invalid_value 4:28'])
  })

  test('is an error as a value too, named after the value', () => {
    const [problem] = problemsOf({ name: 'inline', value: { version: 1, rules: [{ id: 'r' }] } })
    expect(problem).toMatchObject({ file: 'inline', line: 1, column: 1 })
  })

  test('reports all that is wrong, file by file and from top to bottom', () => {
    const first = yaml(
      flow('id: r, effect: permit, roles: [nobody], tools: ["!x"], hosts: ["*.com", ok.test, "a b"], env: [A-B]'),
      'a.yaml',
    )
    const second = yaml(
      'version: 1\nroles:\n  reader: { asserted: true }\n  ghost: {}\nrules:\n  - { id: r, effect: forbid, tools: [t] }',
      'b.yaml',
    )
    const third = yaml('version: 3', 'c.yaml')
    expect(problemsOf([first, second, third]).map((problem) => `${problem.file} ${brief(problem)}`)).toEqual([
      'a.yaml unknown_reference 5:38',
      'a.yaml invalid_pattern 5:55',
      'a.yaml invalid_pattern 5:70',
      'a.yaml invalid_pattern 5:88',
      'a.yaml invalid_value 5:102',
      'b.yaml duplicate_name 3:3',
      'b.yaml missing_key 4:10',
      'b.yaml missing_key 6:5',
      'b.yaml duplicate_name 6:11',
      'c.yaml missing_key 1:1',
      'c.yaml invalid_value 1:10',
    ])
  })

  test('says where the other definition is, shows the line and gives the mend', () => {
    const text = formatProblems(problemsOf([yaml(block(''), 'a.yaml'), yaml(block(''), 'b.yaml')]))
    expect(text).toContain('b.yaml:5:9: error duplicate_name: id "r" is also defined at a.yaml:5')
    expect(text).toContain('role "reader" is also defined in a.yaml')
    const misspelt = formatProblems(problemsOf(yaml(flow('id: r, effect: forbdi, roles: [reader], tools: [t]'))))
    expect(misspelt).toContain('fix: did you mean "forbid"?')
    expect(misspelt).toContain('effect: forbdi')
  })

  test('compiles to nothing: from() throws ERR_POLICY_INVALID with the problems', () => {
    const bad = [yaml(block('')), yaml('version: 1', 'b.yaml')]
    expect(() => PolicyEngine.from(bad)).toThrow(DocumentError)
    try {
      PolicyEngine.from(bad)
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_POLICY_INVALID', problems: problemsOf(bad) })
    }
  })

  test('no document is a misuse, not an empty policy', () => {
    expect(() => PolicyEngine.load([])).toThrow(TypeError)
  })
})

describe('a policy that loads', () => {
  test('has a role no rule uses as a warning', () => {
    const engine = PolicyEngine.from(yaml(`${HEAD}rules: []`))
    expect(engine.warnings.map(brief)).toEqual(['unused_definition 3:3'])
    expect(engine.warnings[0]).toMatchObject({ severity: 'warning', pointer: '/roles/reader' })
  })

  test('takes its words literally where YAML 1.1 would not', () => {
    const engine = PolicyEngine.from(yaml(flow('id: no, effect: permit, nodes: [on], tools: [yes]')))
    const verdict = engine.evaluate({ node: 'on', tool: 'yes', args: {}, resources: [] })
    expect(verdict).toMatchObject({ decision: 'allow', rules: [{ id: 'no', file: 'policy.yaml', line: 5, column: 5 }] })
  })

  test('fills in variables', () => {
    const source = yaml(block(['paths: { read: ["$', '{workspace}/**"] }'].join('')))
    const engine = PolicyEngine.from(source, { variables: { workspace: '/home/a' } })
    const ask = (path: string): string =>
      engine.evaluate({
        node: 'n',
        roles: ['reader'],
        tool: 't',
        args: {},
        resources: [{ kind: 'path', path, access: 'read', from: '/p' }],
      }).decision
    expect([ask('/home/a/x'), ask('/home/b/x')]).toEqual(['allow', 'deny'])
  })

  test('has a digest of what it says and of nothing else', () => {
    const digest = (...texts: string[]): string =>
      PolicyEngine.from(texts.map((text, index) => yaml(text, `${index}.yaml`))).digest
    const one = digest(block(''))
    expect(one).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(digest(`# a comment\n${block('')}`)).toBe(one)
    expect(digest(`name: other\n${block('')}`)).toBe(one)
    expect(
      digest(
        HEAD.concat('rules: []'),
        'version: 1\nrules:\n  - { tools: [t], roles: [reader], id: r, effect: permit }',
      ),
    ).toBe(one)
    expect(digest(block('reason: because'))).not.toBe(one)
    expect(digest(block('').replace('permit', 'forbid'))).not.toBe(one)
    expect(digest(block('').replace('asserted: true', 'asserted: true, nodes: [n]'))).not.toBe(one)
  })
})
