// `agentport init` as an author meets it: what it writes loads, grants what the source states, and replaces nothing.

import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { check } from '../../src/cli/check.ts'
import { UsageError } from '../../src/cli/command.ts'
import { fmt } from '../../src/cli/fmt.ts'
import { init } from '../../src/cli/init.ts'
import { lint } from '../../src/cli/lint.ts'
import { test as policyTests } from '../../src/cli/test.ts'
import { capabilitiesOf } from '../../src/manifest/capabilities.ts'
import type { Manifest } from '../../src/manifest/manifest.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agentport-init-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function run(command: { run: typeof init.run }, ...args: readonly string[]): Promise<Ran> {
  const out: string[] = []
  const err: string[] = []
  const code = await command.run(args, { out: (text) => out.push(text), err: (text) => err.push(text), color: false })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

function file(name: string, text: string): string {
  const path = join(directory, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, text)
  return path
}

const SERVER = JSON.stringify({
  id: 'ledger',
  version: '1.0.0',
  contracts: { tools: ['add', 'list'] },
  mcpServers: {
    books: { url: 'https://books.example.com/mcp', env: { LEDGER_REGION: 'x' } },
    own: { command: '/opt/ledger/server' },
  },
})

function loadBoth(at: string): { readonly manifest: Manifest; readonly engine: PolicyEngine } {
  const text = (name: string): string => readFileSync(join(at, name), 'utf8')
  return {
    manifest: new ManifestValidator().load({ file: 'manifest.yaml', text: text('manifest.yaml') }),
    engine: PolicyEngine.from({ file: 'policy.yaml', text: text('policy.yaml') }),
  }
}

describe('init', () => {
  test('without a source both files grant nothing, and check and lint have nothing to say', async () => {
    const target = join(directory, 'my_skill')
    expect(await run(init, target)).toEqual({
      code: 0,
      out: `✓ ${target}/manifest.yaml\n✓ ${target}/policy.yaml`,
      err: '',
    })
    expect(readdirSync(target).sort()).toEqual(['manifest.yaml', 'policy.yaml'])
    const { manifest, engine } = loadBoth(target)
    expect([manifest.skill, manifest.tools.size, engine.ruleCount]).toEqual(['my_skill', 0, 0])
    expect((await run(check, target)).code).toBe(0)
    expect((await run(lint, target)).code).toBe(0)
    // It teaches by comments, and they are no less true than the rest.
    const lesson = readFileSync(join(target, 'manifest.yaml'), 'utf8').split('# tools:')[1] ?? ''
    expect(lesson).toContain('resources:')
  })

  test('the examples in the comments load', async () => {
    await run(init, directory, '--skill', 'x')
    const uncommented = (name: string, from: string): string =>
      readFileSync(join(directory, name), 'utf8')
        .split('\n')
        .slice(
          readFileSync(join(directory, name), 'utf8')
            .split('\n')
            .findIndex((line) => line.startsWith(from)),
        )
        .flatMap((line) => (/^# {0,9}(?:[a-z_]+:|-| )/.test(line) ? [line.replace(/^# ?/, '')] : []))
        .join('\n')
    const keys = uncommented('manifest.yaml', '# tools:').replace(/^What the mapped.*$/m, '')
    expect(new ManifestValidator().validate({ file: 'm.yaml', text: `skill: x\n${keys}` })).toMatchObject({
      ok: true,
      warnings: [],
    })
    const rules = uncommented('policy.yaml', '#   - id:')
    expect(PolicyEngine.load({ file: 'p.yaml', text: `version: 1\nrules:\n${rules}` }).ok).toBe(true)
  })

  test('from a plugin: the policy permits exactly the manifest, to one role', async () => {
    const from = file('openclaw.plugin.json', SERVER)
    const { code, out, err } = await run(init, join(directory, 'out'), '--from', from)
    expect(code).toBe(0)
    expect(out).toContain('things still to declare')
    expect(err).toMatch(/openclaw\.plugin\.json:1:\d+: todo \/tools\/0\/input_schema: /)
    const { manifest, engine } = loadBoth(join(directory, 'out'))
    expect(manifest.allowedHosts.map(({ text }) => text)).toEqual(['https://books.example.com'])
    expect(engine.excess(capabilitiesOf(manifest))).toEqual([])
    expect((await run(check, join(directory, 'out'))).code).toBe(0)
    const ask = (node: string, tool: string, skill: string): string =>
      engine.evaluate({ node, skill, tool, args: {}, resources: [] }).decision
    expect(ask('ledger', 'add', 'ledger')).toBe('allow')
    expect([ask('other', 'add', 'ledger'), ask('ledger', 'drop', 'ledger'), ask('ledger', 'add', 'other')]).toEqual([
      'deny',
      'deny',
      'deny',
    ])
  })

  test('from a SKILL.md, and from a list of MCP tools, which is named by the directory', async () => {
    const skill = file('a/SKILL.md', '---\nname: notes\ndescription: Finds notes.\n---\n')
    expect((await run(init, join(directory, 'a'), '--from', skill)).code).toBe(0)
    expect(loadBoth(join(directory, 'a')).manifest.description).toBe('Finds notes.')
    const tools = file(
      'tools.json',
      '{"tools":[{"name":"ping","inputSchema":{"type":"object","additionalProperties":false}}]}',
    )
    expect((await run(init, join(directory, 'pinger'), '--from', tools)).code).toBe(0)
    expect([...loadBoth(join(directory, 'pinger')).manifest.tools.keys()]).toEqual(['ping'])
    const plugin = file('plugin.json', '{"id":"ledger","configSchema":{}}')
    expect((await run(init, join(directory, 'c'), '--from', plugin)).code).toBe(0)
    expect(loadBoth(join(directory, 'c')).manifest.skill).toBe('ledger')
    expect((await run(init, join(directory, 'b'), '--from', tools, '--skill', 'named')).code).toBe(0)
    expect(loadBoth(join(directory, 'b')).manifest.skill).toBe('named')
  })

  test('what it writes is laid out as fmt does it, and its own tests pass', async () => {
    const sources: readonly (readonly string[])[] = [
      [],
      ['--from', file('openclaw.plugin.json', SERVER)],
      ['--from', file('SKILL.md', '---\nname: notes\ndescription: Finds notes.\n---\n')],
      ['--from', file('tools.json', '{"tools":[{"name":"ping","inputSchema":{"type":"object"}},{"name":"pong"}]}')],
      ['--skill', 'other', '--from', file('more.json', '{"tools":[{"name":"ping"}]}')],
    ]
    for (const [index, source] of sources.entries()) {
      const target = join(directory, `out${index}`)
      expect((await run(init, target, ...source)).code, source.join(' ')).toBe(0)
      expect(await run(fmt, '--check', target)).toMatchObject({
        code: 0,
        out: '✓ 0 would change, 2 unchanged, 0 refused',
      })
      expect(await run(policyTests, target, '--min-coverage', '100')).toMatchObject({ code: 0, err: '' })
    }
  })

  test('what a source says cannot end a comment or a text', async () => {
    const name = '"}]}\nallowed_hosts: ["*"]\n#'
    const tools = [
      { name },
      {
        name: 'ok',
        description: `${name}\u2028- x`,
        inputSchema: { type: 'object', properties: { [`url\n${name}`]: { type: 'string', format: 'uri' } } },
      },
    ]
    const from = file('tools.json', JSON.stringify({ tools }).replaceAll('\u2028', '\\u2028'))
    expect((await run(init, join(directory, 'x'), '--from', from)).code).toBe(0)
    const { manifest } = loadBoth(join(directory, 'x'))
    expect([manifest.allowedHosts, [...manifest.tools.keys()]]).toEqual([[], ['ok']])
  })

  test('what exists is not replaced, not even a link that leads nowhere', async () => {
    for (const name of ['manifest.yaml', 'policy.yaml']) {
      rmSync(join(directory, 'manifest.yaml'), { force: true })
      file(name, 'mine')
      await expect(run(init, directory, '--skill', 'x')).rejects.toThrow(UsageError)
      expect(readFileSync(join(directory, name), 'utf8')).toBe('mine')
    }
    const other = join(directory, 'other')
    mkdirSync(other)
    symlinkSync(join(directory, 'nowhere'), join(other, 'policy.yaml'))
    await expect(run(init, other, '--skill', 'x')).rejects.toThrow('exist already')
    expect([existsSync(join(directory, 'nowhere')), readdirSync(other)]).toEqual([false, ['policy.yaml']])
  })

  test('--force replaces the file, and not what a link leads to', async () => {
    const victim = file('victim', 'precious')
    symlinkSync(victim, join(directory, 'manifest.yaml'))
    expect((await run(init, directory, '--skill', 'x', '--force')).code).toBe(0)
    expect(readFileSync(victim, 'utf8')).toBe('precious')
    expect(lstatSync(join(directory, 'manifest.yaml')).isSymbolicLink()).toBe(false)
    expect(readdirSync(directory).sort()).toEqual(['manifest.yaml', 'policy.yaml', 'victim'])
  })

  test('nothing is left behind where one of the two cannot be written', async () => {
    mkdirSync(join(directory, 'policy.yaml'))
    await expect(run(init, directory, '--skill', 'x', '--force')).rejects.toThrow('is a directory')
    expect(readdirSync(directory)).toEqual(['policy.yaml'])
  })

  test('a source that is refused: its problems, and no files', async () => {
    const from = file('SKILL.md', '---\nname: my notes\n---\n')
    const { code, err } = await run(init, join(directory, 'out'), '--from', from)
    expect([code, existsSync(join(directory, 'out'))]).toEqual([1, false])
    expect(err).toMatch(/SKILL\.md:2:7: error invalid_value: /)
    const json = await run(init, join(directory, 'out'), '--from', from, '--json')
    expect([json.code, JSON.parse(json.out)]).toMatchObject([1, { ok: false, problems: [{ line: 2 }] }])
  })

  test('as JSON', async () => {
    const { code, out } = await run(
      init,
      join(directory, 'out'),
      '--from',
      file('openclaw.plugin.json', SERVER),
      '--json',
    )
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      skill: 'ledger',
      files: [join(directory, 'out', 'manifest.yaml'), join(directory, 'out', 'policy.yaml')],
      warnings: [],
      todo: expect.arrayContaining([expect.objectContaining({ pointer: '/tools/0/input_schema' })]),
    })
  })

  test.each([
    [['a', 'b']],
    [['--unknown']],
    [['--skill', 'not a name']],
    [['--from', '/nonexistent/tools.json', '--skill', 'x']],
  ])('%j is not understood', async (args) => {
    await expect(run(init, ...args)).rejects.toThrow()
  })

  test('a directory whose name is no name needs --skill', async () => {
    await expect(run(init, join(directory, 'my skill'))).rejects.toThrow('--skill is needed')
    expect((await run(init, join(directory, 'my skill'), '--skill', 'my_skill')).code).toBe(0)
  })
})
