// The command as an operator meets it: what it prints, where, and the exit code CI branches on.

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { run } from '../../src/cli/main.ts'
import { AgentPort } from '../../src/index.ts'
import { openAuditFile, readSkillDirectory } from '../../src/node/index.ts'
import { GRAPH, MANIFEST, POLICY } from '../agentport/fixture.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agentport-cli-'))
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
  const code = await run(args, { out: (text) => out.push(text), err: (text) => err.push(text), color: false })
  return { code, out: out.join('\n'), err: err.join('\n').replaceAll(directory, '.') }
}

const GRAPH_FILE = `nodes:
  fetch: { skill: web, tool_scope: [http_get] }
  publish: { skill: web, after: [fetch], tool_scope: [ping] }
`

describe('check', () => {
  test('documents that hold together', async () => {
    file('policy.yaml', POLICY)
    file('web/manifest.yaml', MANIFEST)
    file('graph.yaml', GRAPH_FILE)
    expect(await agentport('check', directory)).toEqual({
      code: 0,
      out: '✓ 1 graph, 1 policy, 1 manifest: 0 errors, 0 warnings',
      err: '',
    })
  })

  test('rules are held against the tools of the manifests', async () => {
    const misspelt = POLICY.replace('tools: [ping]', 'tools: [http_get]\n    args: { /methud: { equals: GET } }')
    const forbid = '  - { id: never, effect: forbid, roles: ["*"], tools: [pingg] }\n'
    file('policy.yaml', `${misspelt}${forbid}`)
    // Alone it holds together: nobody has said which tools there are.
    expect((await agentport('check', directory)).code).toBe(0)
    file('web/manifest.yaml', MANIFEST)
    const { code, err } = await agentport('check', directory)
    expect(code).toBe(1)
    expect(err).toMatch(/error unknown_reference: tool "http_get" has no such argument/)
    expect(err).toMatch(/fix: did you mean \/method\?/)
    expect(err).toMatch(/error unknown_reference: no tool has this name/)
    expect(err).toMatch(/fix: did you mean ping\?/)
  })

  test('a file of tests beside the policies is no document', async () => {
    const paths = [file('policy.yaml', POLICY), file('policy.test.yaml', 'policies: [policy.yaml]\ntests: []\n')]
    expect((await agentport('check', ...paths)).out).toBe('✓ 1 policy: 0 errors, 0 warnings')
  })

  test('every problem of every document at once, each with place, frame and fix', async () => {
    file('policy.yaml', POLICY.replace('effect: forbid', 'effect: forbidd').replace('tools: [ping]', 'tool: [ping]'))
    file('web/manifest.yaml', MANIFEST.replace('api.example.com', 'http://0177.0.0.1'))
    const { code, err } = await agentport('check', directory)
    expect(code).toBe(1)
    expect(err).toMatch(/^\.\/policy\.yaml:10:13: error invalid_value: /m)
    expect(err).toMatch(/^\.\/policy\.yaml:28:5: error unknown_key: /m)
    expect(err).toMatch(/^\.\/web\/manifest\.yaml:20:\d+: error invalid_pattern: /m)
    expect(err).toContain('^')
  })

  test('a manifest that asks for more than is granted', async () => {
    file('policy.yaml', POLICY)
    file('web/manifest.yaml', MANIFEST.replace('/srv/data/**', '/srv/**'))
    const { code, err } = await agentport('check', directory)
    expect(code).toBe(1)
    expect(err).toContain(
      './web/manifest.yaml:21:18: error not_granted: no policy permits skill "web" this read: /srv/**',
    )
  })

  test('a graph that names a tool its skill has not', async () => {
    file('policy.yaml', POLICY)
    file('web/manifest.yaml', MANIFEST)
    file('graph.yaml', GRAPH_FILE.replace('[ping]', '[pong]'))
    const { code, err } = await agentport('check', directory)
    expect(code).toBe(1)
    expect(err).toContain('./graph.yaml:3:')
    expect(err).toContain('its tools: http_get, read_file, ping')
  })

  test('--json is for programs', async () => {
    file('policy.yaml', 'version: 2\nrules: []\n')
    const { code, out } = await agentport('check', directory, '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      documents: [{ kind: 'policy' }],
      problems: [{ code: 'invalid_value', line: 1 }],
    })
  })

  test('--strict makes warnings count', async () => {
    const path = file('policy.yaml', `${POLICY}roles:\n  idle: { asserted: true }\n`)
    expect((await agentport('check', path)).code).toBe(0)
    expect((await agentport('check', path, '--strict')).code).toBe(1)
  })

  test('variables are given on the command line', async () => {
    const path = file('policy.yaml', POLICY.replace('/srv/data/**', '${data}/**'))
    expect((await agentport('check', path)).code).toBe(1)
    expect((await agentport('check', path, '--var', 'data=/srv/data')).code).toBe(0)
  })

  test.each([
    [[], 2],
    [['nowhere'], 2],
    [['--wrong'], 2],
    [['.', '--var', 'x'], 2],
  ] as const)('%j cannot be carried out', async (args, code) => {
    expect((await agentport('check', ...args)).code).toBe(code)
  })

  test('a hostile document cannot write to the terminal', async () => {
    const path = file('policy.yaml', 'version: 1\nrules: []\n"\\e[2J\u202e": 1\n')
    const { err } = await agentport('check', path)
    expect(err).not.toMatch(/[\u001b\u202e]/)
  })
})

describe('keygen, sign, digest', () => {
  test('a key, a signature, a gateway that takes the skill', async () => {
    const key = join(directory, 'acme.key')
    const skill = dirname(file('web/manifest.yaml', `version: 1.0.0\n${MANIFEST}`))
    const { out: publicKey, code } = await agentport('keygen', key)
    expect(code).toBe(0)
    expect(statSync(key).mode & 0o777).toBe(0o600)
    expect(publicKey).toMatch(/^[A-Za-z0-9+/]{43}=$/)
    expect(readFileSync(key, 'utf8')).not.toContain(publicKey)
    const signed = await agentport('sign', skill, '--key', key, '--publisher', 'acme', '--sequence', '1')
    expect(signed).toMatchObject({ code: 0, err: '' })
    expect(signed.out).toMatch(/^✓ acme\/web@1\.0\.0 sha256:[0-9a-f]{64}/)
    const port = await AgentPort.open({
      policy: { file: 'policy.yaml', text: POLICY },
      skills: [readSkillDirectory(skill)],
      trust: { version: 1, publishers: [{ name: 'acme', keys: [publicKey], skills: ['web'] }] },
      audit: await openAuditFile(join(directory, 'audit.jsonl')),
      env: {},
    })
    expect(port.skills).toMatchObject([{ admitted: true, attestation: { method: 'signature', publisher: 'acme' } }])
    const { out: digest } = await agentport('digest', skill)
    expect(signed.out).toContain(digest)
    await port.close()
  })

  test('a key file is never overwritten, and not used when others can read it', async () => {
    const key = join(directory, 'acme.key')
    await agentport('keygen', key)
    expect((await agentport('keygen', key)).code).toBe(2)
    chmodSync(key, 0o644)
    const skill = dirname(file('web/manifest.yaml', MANIFEST))
    const { code, err } = await agentport(
      'sign',
      skill,
      '--key',
      key,
      '--publisher',
      'acme',
      '--sequence',
      '1',
      '--version',
      '1',
    )
    expect(code).toBe(2)
    expect(err).toContain('ERR_KEY_INVALID')
  })
})

describe('audit verify', () => {
  async function writeLog(): Promise<{ path: string; head: string }> {
    const path = join(directory, 'audit.jsonl')
    const skill = dirname(file('web/manifest.yaml', MANIFEST))
    const { out } = await agentport('digest', skill)
    const port = await AgentPort.open({
      policy: { file: 'policy.yaml', text: POLICY },
      skills: [readSkillDirectory(skill)],
      trust: { version: 1, pinned: [{ skill: 'web', digest: out }] },
      audit: await openAuditFile(path),
      env: {},
    })
    const opened = await port.openRun({ graph: GRAPH, principal: 'tester' })
    const node = await opened.admit('fetch')
    for (let count = 0; count < 5; count++) await node.authorize({ tool: 'ping' })
    const { seq, hash } = await port.close()
    return { path, head: `${seq}:${hash}` }
  }

  test('a good log, and one with a line taken out', async () => {
    const { path, head } = await writeLog()
    expect(await agentport('audit', 'verify', path, '--head', head)).toMatchObject({ code: 0, err: '' })
    const lines = readFileSync(path, 'utf8').split('\n')
    lines.splice(6, 1)
    writeFileSync(path, lines.join('\n'))
    const { code, err } = await agentport('audit', 'verify', path)
    expect(code).toBe(1)
    expect(err).toContain('./audit.jsonl:7: dropped')
  })

  test('a log cut at its end needs the head to be found out', async () => {
    const { path, head } = await writeLog()
    const lines = readFileSync(path, 'utf8').split('\n')
    writeFileSync(path, `${lines.slice(0, -3).join('\n')}\n`)
    const without = await agentport('audit', 'verify', path)
    expect(without.code).toBe(0)
    expect(without.out).toContain('unverified')
    expect((await agentport('audit', 'verify', path, '--head', head)).code).toBe(1)
  })

  test.each([
    ['audit'],
    ['audit', 'verify'],
    ['audit', 'verify', 'nowhere'],
    ['audit', 'verify', 'x', '--head', 'y'],
    ['audit', 'delete', 'x'],
  ])('%s %s %s cannot be carried out', async (...args) => {
    expect((await agentport(...args.filter((arg) => arg !== undefined))).code).toBe(2)
  })
})

describe('the command itself', () => {
  test('help, version, and what does not exist', async () => {
    expect(await agentport()).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Usage: agentport') })
    for (const help of ['--help', '-h', 'help']) expect(await agentport(help)).toMatchObject({ code: 0, err: '' })
    expect((await agentport('--help')).out).toMatch(/init .*\n.*import [^]*check .*\n.*lint [^]*audit /)
    expect((await agentport('--version')).out).toMatch(/^\d+\.\d+\.\d+$/)
    expect(await agentport('destroy')).toMatchObject({ code: 2, err: expect.stringContaining('check, lint') })
    expect(await agentport('help', 'destroy')).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringContaining('destroy'),
    })
    for (const command of ['check', 'audit', 'keygen', 'sign', 'digest'])
      expect((await agentport(command, '--help')).out).toMatch(new RegExp(`^Usage: agentport ${command}`))
  })
})
