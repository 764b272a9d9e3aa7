// `agentport fmt` on real files: what it writes, what it leaves alone, and the exit code.

import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { fmtCommand } from '../../src/cli/fmt.ts'
import { run } from '../../src/cli/main.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agentport-fmt-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

function file(name: string, text: string): string {
  const path = join(directory, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

async function agentport(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const code = await run(['fmt', ...args], {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    color: false,
  })
  const plain = (lines: readonly string[]): string => lines.join('\n').replaceAll(directory, '.')
  return { code, out: plain(out), err: plain(err) }
}

const UGLY = `rules:
    - effect: permit   # why
      id: "read"
      tools: [ 'http_get' ]
      nodes: [fetch]
      hosts: [example.com]
version: 1
`
const NEAT = `version: 1
rules:
  - id: read
    effect: permit # why
    nodes: [fetch]
    tools: [http_get]
    hosts: [example.com]
`

test('a file is laid out once, keeps its mode, and nothing else is left in the directory', async () => {
  const path = file('policy.yaml', UGLY)
  chmodSync(path, 0o640)
  const before = PolicyEngine.from({ file: path, text: UGLY }).digest
  expect(await agentport(path)).toEqual({
    code: 0,
    out: 'changed ./policy.yaml\n✓ 1 changed, 0 unchanged, 0 refused',
    err: '',
  })
  expect(readFileSync(path, 'utf8')).toBe(NEAT)
  expect(PolicyEngine.from({ file: path, text: NEAT }).digest).toBe(before)
  expect(statSync(path).mode & 0o7777).toBe(0o640)
  expect(readdirSync(directory)).toEqual(['policy.yaml'])
  const { mtimeMs, ino } = statSync(path)
  expect(await agentport(path)).toMatchObject({ code: 0, out: '✓ 0 changed, 1 unchanged, 0 refused' })
  expect(statSync(path)).toMatchObject({ mtimeMs, ino })
})

test('--check writes nothing and names what would change', async () => {
  const ugly = file('a.policy.yaml', UGLY)
  file('b.policy.yaml', NEAT)
  expect(await agentport(directory, '--check')).toEqual({
    code: 1,
    out: 'would change ./a.policy.yaml\n✗ 1 would change, 1 unchanged, 0 refused',
    err: '',
  })
  expect(readFileSync(ugly, 'utf8')).toBe(UGLY)
  writeFileSync(ugly, NEAT)
  expect(await agentport(directory, '--check')).toMatchObject({ code: 0 })
})

test('a link stays a link', async () => {
  const path = file('real/policy.yaml', UGLY)
  const link = join(directory, 'policy.yaml')
  symlinkSync(path, link)
  expect((await agentport(link)).code).toBe(0)
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
  expect(readFileSync(path, 'utf8')).toBe(NEAT)
})

test('every kind of document by its own schema, in a directory all but TOML', async () => {
  const manifest = file('web/manifest.yaml', 'allowed_hosts: [b.test, a.test]\nskill: web\n')
  const graph = file('graph.yaml', 'nodes:\n  b: { tool_scope: [t], skill: web }\n  a: { skill: web }\n')
  const json = file('x.policy.json', '{"rules":[],"version":1}')
  const tests = file(
    'x.policy.test.yaml',
    'tests:\n- expect: deny\n  request: {tool: t, node: n}\n  name: a\npolicies: [x.policy.json]\n',
  )
  const trust = file('trust.yaml', 'publishers: []\nversion: 1\n')
  const toml = file('claw.toml', 'skill = "x"\n')
  expect(await agentport(directory)).toMatchObject({ code: 0, err: '' })
  expect(readFileSync(manifest, 'utf8')).toBe('skill: web\nallowed_hosts: [b.test, a.test]\n')
  expect(readFileSync(graph, 'utf8')).toBe('nodes:\n  b: { skill: web, tool_scope: [t] }\n  a: { skill: web }\n')
  expect(readFileSync(json, 'utf8')).toBe('{\n  "version": 1,\n  "rules": []\n}\n')
  expect(readFileSync(tests, 'utf8')).toBe(
    'policies: [x.policy.json]\ntests:\n  - name: a\n    request: { node: n, tool: t }\n    expect: deny\n',
  )
  expect(readFileSync(trust, 'utf8')).toBe('version: 1\npublishers: []\n')
  expect(readFileSync(toml, 'utf8')).toBe('skill = "x"\n')
})

test('tests inside of a policy too', async () => {
  const path = file(
    'policy.yaml',
    'version: 1\nrules: []\ntests:\n  - expect: deny\n    request: { tool: t, resources: [{ access: read, path: /a }], node: n }\n    name: a\n',
  )
  await agentport(path)
  expect(readFileSync(path, 'utf8')).toBe(
    'version: 1\nrules: []\ntests:\n  - name: a\n    request: { node: n, tool: t, resources: [{ path: /a, access: read }] }\n    expect: deny\n',
  )
})

test('TOML by name is refused', async () => {
  const path = file('claw.toml', 'skill = "x"\n')
  expect(await agentport(path)).toEqual({
    code: 2,
    out: '✗ 0 changed, 0 unchanged, 1 refused',
    err: './claw.toml: TOML is left as it is; formatting knows YAML and JSON',
  })
})

test('what is not well-formed is shown and left alone, and the others are done', async () => {
  const bad = file('a.policy.yaml', 'version: 1\nversion: 1\n')
  const good = file('b.policy.yaml', UGLY)
  const { code, err } = await agentport(directory)
  expect(code).toBe(1)
  expect(err).toMatch(/^\.\/a\.policy\.yaml:2:1: error duplicate_key: /)
  expect(readFileSync(bad, 'utf8')).toBe('version: 1\nversion: 1\n')
  expect(readFileSync(good, 'utf8')).toBe(NEAT)
})

test.each([
  [[], 'name the files or directories to format'],
  [['/nowhere/at/all'], 'there is no /nowhere/at/all'],
  [['--stdin', 'a', 'b'], '--stdin takes one name'],
  [['--nothing'], "Unknown option '--nothing'"],
])('usage: %j', async (args, message) => {
  const { code, err } = await agentport(...args)
  expect(code).toBe(2)
  expect(err).toContain(message)
})

test('an empty directory', async () => {
  expect(await agentport(directory)).toMatchObject({ code: 2 })
})

async function formatInput(
  text: string,
  ...args: readonly string[]
): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const output = { out: (line: string) => out.push(line), err: (line: string) => err.push(line), color: false }
  const code = await fmtCommand(() => text).run(['--stdin', ...args], output)
  return { code, out: out.map((line) => `${line}\n`).join(''), err: err.join('\n') }
}

test('--stdin', async () => {
  expect(await formatInput(UGLY)).toEqual({ code: 0, out: NEAT, err: '' })
  expect(await formatInput('{"rules":[],"version":1}', 'x.json')).toMatchObject({
    out: '{\n  "version": 1,\n  "rules": []\n}\n',
  })
  expect(await formatInput('tests: []\npolicies: [a]\n')).toMatchObject({ out: 'policies: [a]\ntests: []\n' })
  expect(await formatInput(UGLY, '--check')).toEqual({ code: 1, out: '', err: 'would change stdin.yaml' })
  expect(await formatInput(NEAT, '--check')).toEqual({ code: 0, out: '', err: '' })
  expect(await formatInput('a: [')).toMatchObject({ code: 1, out: '' })
  expect(await formatInput('a = 1', 'x.toml')).toMatchObject({ code: 2, out: '' })
  expect(await formatInput('a: 1', 'x.txt')).toMatchObject({ code: 1, out: '' })
})
