// `agentport import`: the manifest on standard output, everything else beside it, and which file is which.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { UsageError } from '../../src/cli/command.ts'
import { fmtCommand } from '../../src/cli/fmt.ts'
import { importer } from '../../src/cli/import.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agentport-import-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

async function run(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const code = await importer.run(args, { out: (text) => out.push(text), err: (text) => err.push(text), color: false })
  return { code, out: out.join('\n'), err: err.join('\n').replaceAll(directory, '.') }
}

function file(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

const SKILL =
  '---\nname: notes\ndescription: Finds notes\nmetadata: {"openclaw":{"requires":{"bins":["rg"],"env":["NOTES","A B"]}}}\n---\n'
const PLUGIN = '{"id":"ledger","configSchema":{},"contracts":{"tools":["add"]}}'
const TOOLS = '{"tools":[{"name":"ping","inputSchema":{"type":"object"}}]}'

describe('import', () => {
  test('a manifest that loads, and what is left to do with places', async () => {
    const { code, out, err } = await run(file('SKILL.md', SKILL))
    expect(code).toBe(0)
    const manifest = new ManifestValidator().load({ file: 'manifest.yaml', text: out })
    expect([manifest.skill, manifest.allowedEnv]).toEqual(['notes', ['NOTES']])
    // As fmt lays it out: what is redirected into a file passes fmt --check.
    const nowhere = { out: () => undefined, err: () => undefined, color: false }
    expect(await fmtCommand(() => `${out}\n`).run(['--stdin', '--check'], nowhere)).toBe(0)
    expect(err).toMatch(/^\.\/SKILL\.md:4:\d+: warning invalid_value: left out: "A B"/m)
    expect(err).toMatch(/^\.\/SKILL\.md:4:\d+: todo \/allowed_binaries: write the absolute path of rg.*\n {2}why: /m)
  })

  test.each([
    ['by name', 'SKILL.md', SKILL, [], 'notes'],
    ['by name', 'openclaw.plugin.json', PLUGIN, [], 'ledger'],
    ['by content', 'plugin.json', PLUGIN, [], 'ledger'],
    ['by content', 'tools.json', TOOLS, ['--skill', 'pinger'], 'pinger'],
    ['by option', 'front', SKILL, ['--format', 'skill'], 'notes'],
    ['by option', 'manifest', PLUGIN, ['--format', 'plugin'], 'ledger'],
    ['by option', 'list', TOOLS, ['--format', 'mcp', '--skill', 'pinger'], 'pinger'],
  ])('%s: %s', async (_, name, text, options, skill) => {
    const { code, out } = await run(file(name, text), ...options, '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      manifest: { skill },
      todo: expect.any(Array),
      warnings: expect.any(Array),
    })
  })

  test('a file that is refused', async () => {
    const { code, out, err } = await run(file('SKILL.md', 'no front matter'))
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(/^\.\/SKILL\.md:1:1: error syntax_error: /)
    expect((await run(file('x.json', '{'))).code).toBe(1)
    const json = await run(file('SKILL.md', ''), '--json')
    expect([json.code, JSON.parse(json.out)]).toMatchObject([1, { ok: false, problems: [{ line: 1 }] }])
  })

  test('what the source says cannot write to the terminal', async () => {
    const tools = [
      { name: '\u001b[2J' },
      {
        name: 'ok',
        description: '\u001b]0;x\u0007',
        inputSchema: {
          type: 'object',
          properties: {
            'url\u001b[31m': { type: 'string', format: 'uri' },
            path: { type: 'string', description: '\u001b[2J' },
          },
        },
      },
    ]
    const { out, err } = await run(file('tools.json', JSON.stringify({ tools })), '--skill', 'x')
    expect(out + err).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
  })

  test.each([[[]], [['a', 'b']], [['--format', 'toml', 'x']], [['--skill', 'a b', 'x']], [['--nothing']]])(
    '%j is not understood',
    async (args) => {
      await expect(run(...args)).rejects.toThrow(UsageError)
    },
  )

  test('a list of tools needs a name, and other JSON a format', async () => {
    await expect(run(file('tools.json', TOOLS))).rejects.toThrow('--skill is needed')
    await expect(run(file('other.json', '{"a":1}'))).rejects.toThrow('say --format')
  })
})
