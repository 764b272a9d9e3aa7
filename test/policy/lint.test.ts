// Every lint of a policy speaks where it should and is silent where it should not, and the page lists them all.

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { documentFromValue, parseDocument, type SourceDocument } from '../../src/core/document.ts'
import {
  lintPolicy,
  POLICY_LINTS,
  type PolicyFinding,
  type PolicyLint,
  type PolicyLintOptions,
} from '../../src/policy/lint.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function documentOf(value: unknown): SourceDocument {
  const parsed = documentFromValue(value, 'policy.json')
  if (!parsed.ok) throw new Error('not plain data')
  return parsed.document
}

/** A permit about which there is nothing to say. */
const QUIET = {
  id: 'read',
  effect: 'permit',
  roles: ['reader'],
  tools: ['get'],
  hosts: ['shop.example.com'],
  paths: { read: ['/srv/shop/**'], write: ['/srv/out/**'] },
  binaries: ['/usr/bin/jq'],
  env: ['LANG'],
  limits: { wall_ms: 1000, memory_mb: 64 },
}
const LIMIT = { id: 'calls', roles: ['*'], tools: ['*'], kind: 'rate', max: 10, per: '1m', by: ['node'] }
const policy = (rules: readonly object[], rest: object = {}): object => ({
  version: 1,
  roles: { reader: { nodes: ['read_*'] } },
  rules,
  limits: [LIMIT],
  ...rest,
})
const lint = (value: object, options?: PolicyLintOptions): readonly PolicyFinding[] =>
  lintPolicy(documentOf(value), options)
const permit = (change: object): object =>
  policy([Object.fromEntries(Object.entries({ ...QUIET, ...change }).filter(([, value]) => value !== undefined))])

const APPROVAL = { id: 'ask', effect: 'require_approval', roles: ['reader'], tools: ['pay'] }

const LOUD: readonly (readonly [PolicyLint, string, object, PolicyLintOptions?])[] = [
  ['any_host', '/rules/0/hosts/0', permit({ hosts: ['*'] })],
  ['any_host', '/egress/0/hosts/0', policy([QUIET], { egress: [{ id: 'out', roles: ['*'], hosts: ['*'] }] })],
  ['wide_host', '/rules/0/hosts/0', permit({ hosts: ['**.herokuapp.com'] })],
  ['private_host', '/rules/0/hosts/0', permit({ hosts: ['192.168.0.0/16'] })],
  ['metadata_host', '/rules/0/hosts/0', permit({ hosts: ['169.254.169.254'] })],
  ['cleartext_host', '/rules/0/hosts/0', permit({ hosts: ['ws://shop.example.com'] })],
  ['any_port', '/rules/0/hosts/0', permit({ hosts: ['shop.example.com:*'] })],
  ['whole_file_system', '/rules/0/paths/read/0', permit({ paths: { read: ['/**'] } })],
  ['home_directory', '/rules/0/paths/write/0', permit({ paths: { write: ['/home/ana/**'] } })],
  ['credential_path', '/rules/0/paths/read/0', permit({ paths: { read: ['/**/.ssh/**'] } })],
  ['system_path', '/rules/0/paths/read/0', permit({ paths: { read: ['/etc/**'] } })],
  ['writable_system_path', '/rules/0/paths/write/0', permit({ paths: { write: ['/usr/local/share/x'] } })],
  ['any_program', '/rules/0/paths/execute/0', permit({ paths: { execute: ['/usr/bin/*'] } })],
  ['any_program', '/rules/0/binaries/0', permit({ binaries: ['/usr/bin/**'] })],
  ['interpreter', '/rules/0/binaries/0', permit({ binaries: ['/bin/sh'] })],
  ['interpreter', '/rules/0/binaries/0', permit({ binaries: ['/usr/bin/python*'] })],
  ['interpreter', '/rules/0/binaries/0', permit({ binaries: ['/bin/sh'], args: {} })],
  [
    'privilege_program',
    '/rules/0/binaries/0',
    permit({ binaries: ['/usr/bin/nsenter'], args: { '/x': { equals: 1 } } }),
  ],
  ['code_env', '/rules/0/env/0', permit({ env: ['PYTHONPATH'] })],
  ['secret_env', '/rules/0/env/0', permit({ env: ['API_KEY'] })],
  ['process_right', '/rules/0/process_rights/0', permit({ process_rights: ['udp'] })],
  ['anyone_anything', '/rules/0/tools', permit({ roles: ['*'], tools: ['*'] })],
  ['anyone_anything', '/rules/0/tools', permit({ roles: undefined, nodes: ['*'], tools: ['get', '*'] })],
  ['any_tool', '/rules/0/tools', permit({ tools: ['*'] })],
  ['any_node', '/rules/0/roles', permit({ roles: ['*'] })],
  ['any_node', '/rules/0/nodes', permit({ roles: undefined, nodes: ['*'] })],
  ['any_node', '/roles/reader/nodes', policy([QUIET], { roles: { reader: { nodes: ['*'] } } })],
  [
    'write_and_execute',
    '/rules/0/paths/write/0',
    permit({ paths: { write: ['/srv/out/**'], execute: ['/srv/out/bin/x'] } }),
  ],
  ['write_and_execute', '/rules/0/paths/write/0', permit({ paths: { write: ['/opt/x/jq'] }, binaries: ['/opt/x/jq'] })],
  ['unconditional_unsafe', '/rules/0/tools/0', permit({}), { unsafeTools: ['get'] }],
  ['unconditional_unsafe', '/rules/0/tools/0', permit({ tools: ['g*'] }), { unsafeTools: ['other', 'get'] }],
  ['approval_without_approvers', '/rules/0/effect', policy([APPROVAL])],
  ['approval_without_approvers', '/rules/0/approval', policy([{ ...APPROVAL, approval: { quorum: 2 } }])],
  ['call_limits_missing', '/rules/0/hosts', policy([QUIET], { limits: [] })],
  ['process_limits_missing', '/rules/0/binaries', permit({ limits: { wall_ms: 5 } })],
]

const SILENT: readonly (readonly [string, object, PolicyLintOptions?])[] = [
  ['a narrow permit', permit({})],
  ['no rules', policy([])],
  [
    'a forbid of everything',
    policy([
      {
        id: 'no',
        effect: 'forbid',
        roles: ['*'],
        tools: ['*'],
        hosts: ['*'],
        paths: { read: ['/**'] },
        binaries: ['/**'],
        env: ['PATH'],
      },
    ]),
  ],
  [
    'an interpreter whose arguments are conditioned',
    permit({ binaries: ['/bin/sh'], args: { '/script': { one_of: ['daily'] } } }),
  ],
  ['a permit for every node, narrowed', permit({ roles: ['*'], args: { '/x': { equals: 1 } } })],
  ['a permit for every node with certain labels', permit({ roles: ['*'], labels: { team: ['shop'] } })],
  [
    'every tool of every node for processes alone',
    policy([{ id: 'libraries', effect: 'permit', roles: ['reader'], tools: ['*'], libraries: ['/opt/x/lib/**'] }]),
  ],
  ['a role and any node', permit({ nodes: ['*'] })],
  ['an unsafe tool, narrowed', permit({ args: { '/n': { max: 5 } } }), { unsafeTools: ['get'] }],
  ['an unsafe tool that no permit names', permit({}), { unsafeTools: ['pay'] }],
  ['an approval with approvers', policy([{ ...APPROVAL, approval: { approvers: ['ana'] } }])],
  ['no network, no limits', policy([{ id: 'a', effect: 'permit', roles: ['reader'], tools: ['get'] }], { limits: [] })],
  ['a ceiling', policy([QUIET], { egress: [{ id: 'out', roles: ['*'], hosts: ['**.example.com'] }] })],
]

describe('lintPolicy', () => {
  test.each(LOUD.map(([rule, pointer, value, options]) => ({ rule, pointer, value, options })))(
    '$rule at $pointer',
    ({ rule, pointer, value, options }) => {
      const findings = lint(value, options)
      expect(findings.map((finding) => [finding.rule, finding.pointer])).toEqual([[rule, pointer]])
      expect(findings[0]).toMatchObject({ severity: POLICY_LINTS[rule].severity, file: 'policy.json' })
    },
  )

  test('every lint is tried', () => {
    expect([...new Set(LOUD.map(([rule]) => rule))].sort()).toEqual(Object.keys(POLICY_LINTS).sort())
  })

  test.each(SILENT.map(([name, value, options]) => ({ name, value, options })))(
    'silent: $name',
    ({ value, options }) => {
      expect(lint(value, options)).toEqual([])
    },
  )

  test('places are those of the text', () => {
    const text =
      'version: 1\nrules:\n  - id: a\n    effect: permit\n    nodes: [a]\n    tools: [b]\n    hosts:\n      - "*"\nlimits: [{}]\n'
    const parsed = parseDocument({ file: 'policy.yaml', text })
    if (!parsed.ok) throw new Error('it does not parse')
    expect(lintPolicy(parsed.document)).toMatchObject([{ rule: 'any_host', line: 8, column: 9, file: 'policy.yaml' }])
  })

  test('a pattern with a variable is passed over, and so is what does not load', () => {
    expect(
      lint(permit({ paths: { read: ['${workspace}/**'] }, hosts: ['${host}', 7, 'a..b'], tools: 'x', roles: {} })),
    ).toEqual([])
  })

  test('whatever the document is, there is an answer', () => {
    const keys = fc.constantFrom(
      'rules',
      'effect',
      'roles',
      'nodes',
      'tools',
      'hosts',
      'paths',
      'read',
      'write',
      'execute',
      'binaries',
      'env',
      'args',
      'limits',
      'approval',
      'egress',
      'libraries',
    )
    const json = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom('*', '/**', 'permit', 'require_approval', '**', '[', 7, null),
        fc.string(),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(keys, tie('value'), { maxKeys: 6, noNullPrototype: true }),
      ),
    }))
    fc.assert(
      fc.property(fc.oneof(json.value, fc.record({ rules: fc.array(json.value) })), (value) => {
        for (const finding of lintPolicy(documentOf(value), { unsafeTools: ['x'] }))
          expect(Object.keys(POLICY_LINTS)).toContain(finding.rule)
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  test('docs/import.md lists every id with its severity and meaning', () => {
    const page = readFileSync(new URL('../../docs/import.md', import.meta.url), 'utf8')
    for (const [rule, { severity, meaning }] of Object.entries(POLICY_LINTS)) {
      expect(page, rule).toMatch(
        new RegExp(
          `^\\| \`${rule}\` \\| ${severity} \\| [a-z, ]*policy[a-z, ]* \\| ${meaning.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')} \\|$`,
          'm',
        ),
      )
    }
  })
})
