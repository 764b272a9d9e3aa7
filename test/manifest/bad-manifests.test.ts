// Every way a manifest can be wrong, each with the code and the place it is reported at.

import { describe, expect, test } from 'vitest'

import type { ProblemCode } from '../../src/core/problem.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'

/** Stands in a text right before the place where the problem must be reported. */
const MARK = '▶'

interface Bad {
  readonly code: ProblemCode
  readonly text: string
  readonly message?: RegExp
}

function placed(text: string): { readonly text: string; readonly line: number; readonly column: number } {
  const before = text.slice(0, text.indexOf(MARK)).split('\n')
  return { text: text.replace(MARK, ''), line: before.length, column: (before.at(-1) ?? '').length + 1 }
}

/** One tool with the given lines below it. */
const tool = (...lines: string[]): string =>
  ['skill: s', 'tools:', '  - name: t', ...lines.map((line) => `    ${line}`), ''].join('\n')
/** One tool whose `arg` schema is `schema`. */
const arg = (schema: string): string => tool('input_schema:', '  type: object', '  properties:', `    arg: ${schema}`)
/** One tool with a schema of its own. */
const schema = (...lines: string[]): string => tool('input_schema:', ...lines.map((line) => `  ${line}`))
const OBJECT =
  'input_schema: { type: object, properties: { url: { type: string }, n: { type: integer }, list: { type: array, items: { type: string } } }, required: [url, n, list], additionalProperties: false }'
const mapped = (...mappings: string[]): string => tool(OBJECT, 'resources:', ...mappings.map((line) => `  - ${line}`))

const SHAPE: Readonly<Record<string, Bad>> = {
  'not an object': { code: 'wrong_type', text: '▶[1]' },
  'no skill anywhere': { code: 'missing_key', text: '▶version: "1"\n' },
  'a skill that is not a name': { code: 'invalid_value', text: 'skill: ▶web search\n' },
  'an empty skill': { code: 'invalid_value', text: 'skill: ▶""\n' },
  'a skill with a look-alike letter': { code: 'invalid_value', text: 'skill: ▶раypal\n' },
  'a skill that is a number': { code: 'wrong_type', text: 'skill: ▶7\n' },
  'an unknown key': {
    code: 'unknown_key',
    text: 'skill: s\n▶allowed_host: [a.example.com]\n',
    message: /allowed_host/,
  },
  camelCase: { code: 'unknown_key', text: 'skill: s\n▶allowedHosts: []\n' },
  'a duplicate key': { code: 'duplicate_key', text: 'skill: s\nallowed_env: [A]\n▶allowed_env: [B]\n' },
  __proto__: { code: 'forbidden_key', text: 'skill: s\n▶__proto__: { file_access: read_write }\n' },
  'an alias': { code: 'unsupported_syntax', text: 'skill: s\nallowed_env: &a ▶[A]\n' },
  'text for a list': { code: 'wrong_type', text: 'skill: s\nallowed_hosts: ▶api.example.com\n' },
  'a number in a list of hosts': { code: 'wrong_type', text: 'skill: s\nallowed_hosts: [a.example.com, ▶7]\n' },
  'nothing after a key': { code: 'wrong_type', text: 'skill: s\nallowed_hosts:▶\n' },
  'file_access of another word': { code: 'invalid_value', text: 'skill: s\nfile_access: ▶all\n' },
  'binary_access of another word': { code: 'invalid_value', text: 'skill: s\nbinary_access: ▶any\n' },
  'execution_mode of another word': { code: 'invalid_value', text: 'skill: s\nexecution_mode: ▶isolated\n' },
  'on_failure of another word': { code: 'invalid_value', text: 'skill: s\non_failure: ▶ignore\n' },
  'a tool without a name': { code: 'missing_key', text: 'skill: s\ntools:\n  - ▶effect: pure\n' },
  'a tool that is text': { code: 'wrong_type', text: 'skill: s\ntools:\n  - ▶search\n' },
  'a misspelt key of a tool': {
    code: 'unknown_key',
    text: tool('▶inputSchema: { type: object }'),
    message: /inputSchema/,
  },
  'a right of another word': {
    code: 'invalid_value',
    text: 'skill: s\nprocess_rights: [listen, ▶unix_socket]\n',
    message: /executable_memory/,
  },
  'rights as one word': { code: 'wrong_type', text: 'skill: s\nprocess_rights: ▶listen\n' },
  'a limit of another name': { code: 'unknown_key', text: 'skill: s\nlimits: { ▶wallMs: 5 }\n', message: /wallMs/ },
  'a limit of nothing': { code: 'invalid_value', text: 'skill: s\nlimits: { processes: ▶0 }\n' },
  'a limit in parts': { code: 'wrong_type', text: 'skill: s\nlimits: { memory_mb: ▶0.5 }\n' },
  'a limit no timer can keep': { code: 'invalid_value', text: 'skill: s\nlimits: { wall_ms: ▶2147483648 }\n' },
  'scopes as one text': { code: 'wrong_type', text: tool('oauth_scopes: ▶mail.read') },
  'a scope that is a number': { code: 'wrong_type', text: tool('oauth_scopes: [mail.read, ▶7]') },
  'scopes of the manifest': { code: 'unknown_key', text: 'skill: s\n▶oauth_scopes: [mail.read]\n' },
  'two scopes in one': { code: 'invalid_pattern', text: tool('oauth_scopes: [▶"mail.read mail.send"]') },
  'an empty scope': { code: 'invalid_pattern', text: tool('oauth_scopes: [▶""]') },
  'a scope with a quotation mark': { code: 'invalid_pattern', text: tool(`oauth_scopes: [▶'a"b']`) },
  'an effect of another word': { code: 'invalid_value', text: tool('effect: ▶safe') },
  'optional: false': { code: 'invalid_value', text: mapped('{ from: /url, kind: url, optional: ▶false }') },
}

const MEANING: Readonly<Record<string, Bad>> = {
  'a tool name with a space': { code: 'invalid_value', text: 'skill: s\ntools:\n  - name: ▶fetch page\n' },
  'two tools of one name': {
    code: 'duplicate_name',
    text: 'skill: s\ntools:\n  - name: a\n  - name: b\n  - name: ▶a\n',
  },
  'a wildcard over a top-level domain': { code: 'invalid_pattern', text: 'skill: s\nallowed_hosts: [▶"*.com"]\n' },
  'a wildcard inside a label': { code: 'invalid_pattern', text: 'skill: s\nallowed_hosts:\n  - ▶"*example.com"\n' },
  'a URL for a host': { code: 'invalid_pattern', text: 'skill: s\nallowed_hosts: [▶"https://example.com/x"]\n' },
  'an octal address': { code: 'invalid_pattern', text: 'skill: s\nallowed_hosts: [▶0177.0.0.1]\n' },
  'host bits in a network': { code: 'invalid_pattern', text: 'skill: s\nallowed_hosts: [▶10.0.0.1/8]\n' },
  'an empty host': { code: 'invalid_pattern', text: 'skill: s\nallowed_hosts: [▶""]\n' },
  'a relative path': { code: 'invalid_pattern', text: 'skill: s\nreadable_paths: [▶srv/data]\n' },
  'a path that climbs': { code: 'invalid_pattern', text: 'skill: s\nwritable_paths: [▶/srv/../etc]\n' },
  'a home path': { code: 'invalid_pattern', text: 'skill: s\nreadable_paths: [▶~/data]\n' },
  'braces in a path pattern': { code: 'invalid_pattern', text: 'skill: s\nreadable_paths: [▶"/srv/{a,b}"]\n' },
  'a program by its bare name': { code: 'invalid_pattern', text: 'skill: s\nallowed_binaries: [/bin/sh, ▶python3]\n' },
  'a program with a wildcard': { code: 'invalid_pattern', text: 'skill: s\nallowed_binaries: [▶/usr/bin/*]\n' },
  'a relative library': { code: 'invalid_pattern', text: 'skill: s\nallowed_libraries: [▶libc.so.6]\n' },
  'a variable with =': { code: 'invalid_pattern', text: 'skill: s\nallowed_env: [HOME, ▶"A=b"]\n' },
  'a system call in capitals': { code: 'invalid_pattern', text: 'skill: s\nforbidden_syscalls: [▶SYS_execve]\n' },
  'a scope with a path glob': { code: 'invalid_pattern', text: 'skill: s\ntool_scope: [▶"pg_**"]\n' },
  'file_access none with readable paths': {
    code: 'contradiction',
    text: 'skill: s\nfile_access: none\n▶readable_paths: [/srv/a]\n',
  },
  'file_access none with writable paths': {
    code: 'contradiction',
    text: 'skill: s\n▶writable_paths: [/srv/a]\nfile_access: none\n',
  },
  'file_access read_only with writable paths': {
    code: 'contradiction',
    text: 'skill: s\nfile_access: read_only\nreadable_paths: [/srv/a]\n▶writable_paths: [/srv/a]\n',
  },
  'binary_access none with programs': {
    code: 'contradiction',
    text: 'skill: s\nbinary_access: none\n▶allowed_binaries: [/bin/sh]\n',
  },
  'binary_access none with trees of programs': {
    code: 'contradiction',
    text: 'skill: s\nbinary_access: none\n▶executable_paths: [/opt/**]\n',
  },
  'a relative tree of programs': { code: 'invalid_pattern', text: 'skill: s\nexecutable_paths: [▶opt/**]\n' },
  'a tree that is written and run': {
    code: 'contradiction',
    text: 'skill: s\nwritable_paths: [/srv/w/**]\nexecutable_paths: [/opt/**, ▶/srv/**]\n',
    message: /writable_paths\[0\]/,
  },
  'a library that is written and loaded': {
    code: 'contradiction',
    text: 'skill: s\nwritable_paths: [/tmp/**]\nallowed_libraries: [▶"/**/*.so"]\n',
  },
  'a program that is written and run': {
    code: 'contradiction',
    text: 'skill: s\nwritable_paths: [/tmp/**]\nallowed_binaries: [/bin/sh, ▶/tmp/x]\n',
  },
  'a variable nobody gave': { code: 'unknown_reference', text: `skill: s\nreadable_paths: [▶"\${DATA}/x"]\n` },
}

const MAPPINGS: Readonly<Record<string, Bad>> = {
  'a kind of another word': { code: 'invalid_value', text: mapped('{ from: /url, kind: ▶uri }') },
  'no kind': { code: 'missing_key', text: mapped('▶{ from: /url }') },
  'no from': { code: 'missing_key', text: mapped('▶{ kind: url }') },
  'a path without access': { code: 'missing_key', text: mapped('▶{ from: /url, kind: path }'), message: /access/ },
  'access on a URL': { code: 'unknown_key', text: mapped('{ from: /url, kind: url, ▶access: read }') },
  'a base on a URL': { code: 'unknown_key', text: mapped('{ from: /url, kind: url, ▶base: /srv }') },
  'a method on a path': {
    code: 'unknown_key',
    text: mapped('{ from: /url, kind: path, access: read, ▶method: GET }'),
  },
  'a method on a command': { code: 'unknown_key', text: mapped('{ from: /url, kind: command, ▶method_from: /url }') },
  'a method in small letters': { code: 'invalid_value', text: mapped('{ from: /url, kind: url, method: ▶get }') },
  'two methods in one': { code: 'invalid_value', text: mapped('{ from: /url, kind: url, method: ▶"GET|POST" }') },
  'a list of methods': { code: 'wrong_type', text: mapped('{ from: /url, kind: url, method: ▶[GET] }') },
  'a method stated and read': {
    code: 'contradiction',
    text: mapped('{ from: /url, kind: url, method: GET, method_from: ▶/url }'),
  },
  'a method from no pointer': { code: 'invalid_value', text: mapped('{ from: /url, kind: host, method_from: ▶url }') },
  'a method from the arguments as a whole': {
    code: 'invalid_value',
    text: mapped('{ from: /url, kind: url, method_from: ▶"" }'),
  },
  'a method from an argument that cannot be': {
    code: 'unknown_reference',
    text: mapped('{ from: /url, kind: url, method_from: ▶/verb }'),
  },
  'a method from a number': { code: 'contradiction', text: mapped('{ from: /url, kind: url, method_from: ▶/n }') },
  'a method from a list': { code: 'contradiction', text: mapped('{ from: /url, kind: url, method_from: ▶/list }') },
  'a method from any element': {
    code: 'invalid_value',
    text: mapped('{ from: /url, kind: url, method_from: ▶"/list/*" }'),
  },
  'a method of another tool key': { code: 'unknown_key', text: tool('▶method: GET') },
  'the method of a free text': { code: 'unknown_key', text: mapped('{ from: /url, kind: text, ▶method: GET }') },
  'a relative base': { code: 'invalid_pattern', text: mapped('{ from: /url, kind: path, access: read, base: ▶work }') },
  'no pointer': { code: 'invalid_value', text: mapped('{ from: ▶url, kind: url }') },
  'a bad escape in a pointer': { code: 'invalid_value', text: mapped('{ from: ▶/a~2, kind: url }') },
  'text for everything': { code: 'invalid_value', text: mapped('{ from: ▶"", kind: text }') },
  'a star over the arguments': { code: 'invalid_value', text: mapped('{ from: ▶/*, kind: text }') },
  'an argument that cannot be': { code: 'unknown_reference', text: mapped('{ from: ▶/link, kind: url }') },
  'a member of a text': { code: 'unknown_reference', text: mapped('{ from: ▶/url/host, kind: host }') },
  'elements of a text': { code: 'unknown_reference', text: mapped('{ from: ▶/url/*, kind: url }') },
  'a number as a URL': { code: 'contradiction', text: mapped('{ from: ▶/n, kind: url }') },
  'a list as a URL': { code: 'contradiction', text: mapped('{ from: ▶/list, kind: url }') },
  'an argument of a tool that takes none': {
    code: 'unknown_reference',
    text: tool('resources: [{ from: ▶/url, kind: url }]'),
  },
  'the same mapping twice': {
    code: 'duplicate_name',
    text: mapped('{ from: /url, kind: url }', '{ from: ▶/url, kind: url, optional: true }'),
  },
  'two kinds for one argument': {
    code: 'contradiction',
    text: mapped('{ from: /url, kind: url }', '{ from: ▶/url, kind: host }'),
  },
  'two bases for one path': {
    code: 'contradiction',
    text: mapped(
      '{ from: /url, kind: path, access: read, base: /a }',
      '{ from: ▶/url, kind: path, access: write, base: /b }',
    ),
  },
  'one element and every element': {
    code: 'contradiction',
    text: mapped('{ from: "/list/*", kind: url }', '{ from: ▶/list/0, kind: text }'),
  },
  'text over a resource': {
    code: 'contradiction',
    text: mapped('{ from: "/list/*", kind: url }', '{ from: ▶/list, kind: text }'),
  },
}

const SCHEMAS: Readonly<Record<string, Bad>> = {
  'not an object': { code: 'wrong_type', text: tool('input_schema: ▶true') },
  'no type at the root': { code: 'invalid_schema', text: tool('input_schema: ▶{ properties: {} }') },
  'another type at the root': { code: 'invalid_schema', text: tool('input_schema: { type: ▶array }') },
  'a choice of types at the root': { code: 'invalid_schema', text: tool('input_schema: { type: ▶[object, "null"] }') },
  'an unknown dialect': {
    code: 'invalid_schema',
    text: schema('$schema: ▶http://json-schema.org/draft-04/schema#', 'type: object'),
  },
  'a misspelt keyword': { code: 'invalid_schema', text: arg('{ type: string, ▶maxlength: 3 }') },
  nullable: { code: 'invalid_schema', text: arg('{ type: string, ▶nullable: true }') },
  $id: { code: 'invalid_schema', text: schema('type: object', '▶$id: https://example.com/x') },
  $anchor: { code: 'invalid_schema', text: schema('type: object', '▶$anchor: x') },
  $dynamicRef: { code: 'invalid_schema', text: arg('{ ▶$dynamicRef: "#x" }') },
  $recursiveRef: { code: 'invalid_schema', text: arg('{ ▶$recursiveRef: "#" }') },
  '$async, which would make every answer truthy': {
    code: 'invalid_schema',
    text: schema('type: object', '▶$async: true'),
  },
  'a remote reference': { code: 'invalid_schema', text: arg('{ $ref: ▶"https://example.com/s.json" }') },
  'a reference to the root': { code: 'invalid_schema', text: arg('{ $ref: ▶"#" }') },
  'a reference into properties': { code: 'invalid_schema', text: arg('{ $ref: ▶"#/properties/arg" }') },
  'a reference to nothing': { code: 'invalid_schema', text: arg('{ $ref: ▶"#/$defs/x" }') },
  'a reference to an inherited property': {
    code: 'invalid_schema',
    text: schema('type: object', '$defs: {}', 'properties: { arg: { $ref: ▶"#/$defs/toString" } }'),
  },
  'a definition that contains itself': {
    code: 'invalid_schema',
    text: schema('type: object', '$defs:', '  a: { type: array, items: { $ref: ▶"#/$defs/a" } }'),
    message: /itself/,
  },
  'definitions that contain each other': {
    code: 'invalid_schema',
    text: schema('type: object', '$defs:', '  a: { $ref: ▶"#/$defs/b" }', '  b: { not: { $ref: "#/$defs/a" } }'),
    message: /itself/,
  },
  'nested definitions': { code: 'invalid_schema', text: arg('{ $defs: ▶{ a: true } }') },
  'a pattern that is none': { code: 'invalid_schema', text: arg('{ type: string, pattern: ▶"(" }') },
  'a pattern that looks ahead': { code: 'invalid_schema', text: arg('{ type: string, pattern: ▶"^(?!x)" }') },
  'a pattern that refers back': { code: 'invalid_schema', text: arg("{ type: string, pattern: ▶'(a)\\1' }") },
  'a pattern that repeats too much': {
    code: 'invalid_schema',
    text: arg('{ type: string, pattern: ▶"(a{900}){900}" }'),
  },
  'a bad pattern as a key': {
    code: 'invalid_schema',
    text: schema('type: object', 'patternProperties: { ▶"(": { type: string } }'),
  },
  'a format nobody checks': { code: 'invalid_schema', text: arg('{ type: string, format: ▶phone }') },
  'a format named like a prototype property': {
    code: 'invalid_schema',
    text: arg('{ type: string, format: ▶toString }'),
  },
  'a type of another word': { code: 'invalid_schema', text: arg('{ type: ▶text }') },
  'a negative length': { code: 'invalid_schema', text: arg('{ type: string, maxLength: ▶-1 }') },
  'a length that is text': { code: 'invalid_schema', text: arg('{ type: string, maxLength: ▶"3" }') },
  'an empty enum': { code: 'invalid_schema', text: arg('{ enum: ▶[] }') },
  'required that is not a list': { code: 'invalid_schema', text: schema('type: object', 'required: ▶true') },
  'required with a name twice': { code: 'invalid_schema', text: schema('type: object', 'required: ▶[a, a]') },
  'properties that are a list': { code: 'invalid_schema', text: schema('type: object', 'properties: ▶[]') },
  'a subschema that is text': { code: 'invalid_schema', text: schema('type: object', 'properties: { a: ▶string }') },
  'a list of items in draft 2020-12': {
    code: 'invalid_schema',
    text: arg('{ type: array, items: ▶[{ type: string }] }'),
  },
  'prefixItems in draft-07': {
    code: 'invalid_schema',
    text: schema(
      '$schema: http://json-schema.org/draft-07/schema#',
      'type: object',
      'properties: { a: { type: array, ▶prefixItems: [true] } }',
    ),
  },
  'a keyword without its type (strict mode)': { code: 'invalid_schema', text: arg('▶{ minLength: 3 }') },
  'if without then and else (strict mode)': {
    code: 'invalid_schema',
    text: schema('▶type: object', 'if: { required: [a] }'),
  },
}

const validator = new ManifestValidator()

describe.each([
  ['shape', SHAPE],
  ['meaning', MEANING],
  ['mappings', MAPPINGS],
  ['input schemas', SCHEMAS],
])('%s', (_name, cases) => {
  test.each(Object.entries(cases))('%s', (_title, { code, text, message }) => {
    const { text: bad, line, column } = placed(text)
    const result = validator.validate({ file: 'manifest.yaml', text: bad })
    const found = result.ok ? [] : result.problems.filter(({ severity }) => severity === 'error')
    expect(found.map((problem) => [problem.code, problem.line, problem.column])).toEqual([[code, line, column]])
    expect(found[0]?.file).toBe('manifest.yaml')
    expect(found[0]?.frame).toContain('^')
    if (message !== undefined) expect(`${found[0]?.message} ${found[0]?.frame}`).toMatch(message)
  })
})

test('there are enough of them', () => {
  const total = [SHAPE, MEANING, MAPPINGS, SCHEMAS].reduce((sum, cases) => sum + Object.keys(cases).length, 0)
  expect(total).toBeGreaterThan(100)
})
