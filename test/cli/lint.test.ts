// `agentport lint`: what it prints, and the exit code CI branches on.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { UsageError } from '../../src/cli/command.ts'
import { lint } from '../../src/cli/lint.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agentport-lint-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

async function run(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const code = await lint.run(args, { out: (text) => out.push(text), err: (text) => err.push(text), color: false })
  return { code, out: out.join('\n'), err: err.join('\n').replaceAll(directory, '.') }
}

function file(name: string, text: string): string {
  const path = join(directory, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

const QUIET = 'skill: x\nfile_access: none\nbinary_access: none\n'
const WARNED = `${QUIET}allowed_hosts: ["*"]\n`
const INFORMED = 'skill: x\nfile_access: none\n'

describe('lint', () => {
  test('a finding with place, id and mend', async () => {
    file('a/manifest.yaml', WARNED)
    file('policy.yaml', 'version: 1\nrules: []\n')
    expect(await run(directory)).toEqual({
      code: 1,
      out: '✗ 2 documents: 1 warning, 0 info',
      err: './a/manifest.yaml:4:17: warning any_host: this is the whole internet\n  fix: name the hosts that are needed',
    })
  })

  test.each([
    [WARNED, [], 1],
    [WARNED, ['--fail-on', 'info'], 1],
    [WARNED, ['--fail-on', 'never'], 0],
    [INFORMED, [], 0],
    [INFORMED, ['--fail-on', 'info'], 1],
    [INFORMED, ['--fail-on', 'warning'], 0],
    [QUIET, ['--fail-on', 'info'], 0],
  ])('exit code: %j %j', async (text, options, code) => {
    expect((await run(file('manifest.yaml', text), ...options)).code).toBe(code)
  })

  test('tools that a manifest beside the policy leaves unsafe', async () => {
    const permit = '{ id: a, effect: permit, nodes: [n], tools: [pay, look] }'
    file('policy.yaml', `version: 1\nrules:\n  - ${permit}\n`)
    expect((await run(directory)).code).toBe(0)
    file('manifest.yaml', `${QUIET}tools: [{ name: pay }, { name: look, effect: pure }]\n`)
    const { code, err } = await run(directory)
    expect(code).toBe(1)
    expect(err).toMatch(/policy\.yaml:3:\d+: warning unconditional_unsafe: "pay"/)
    expect(err).not.toContain('unconditional_unsafe: "look"')
  })

  test('as JSON', async () => {
    const { code, out } = await run(file('manifest.yaml', WARNED), '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      documents: [{ kind: 'manifest' }],
      findings: [{ rule: 'any_host', severity: 'warning', line: 4, pointer: '/allowed_hosts/0' }],
      problems: [],
    })
  })

  test('a document that cannot be read is not well', async () => {
    const { code, err } = await run(file('manifest.yaml', 'skill: x\nskill: y\n'), '--fail-on', 'never')
    expect(code).toBe(1)
    expect(err).toContain('./manifest.yaml:2:1: error duplicate_key')
  })

  test.each([[[]], [['nowhere']], [['--fail-on', 'error', '.']], [['--nothing']]])(
    '%j is not understood',
    async (args) => {
      await expect(run(...args)).rejects.toThrow(UsageError)
    },
  )

  test('a file of policy tests is no manifest, and a policy is one whatever its name', async () => {
    const policy = file('policy.yaml', 'version: 1\nrules: []\n')
    const tests = file('policy.test.yaml', 'policies: [policy.yaml]\ntests: []\n')
    expect(await run(policy, tests)).toEqual({ code: 0, out: '✓ 1 document: 0 warnings, 0 info', err: '' })
    await expect(run(tests)).rejects.toThrow(UsageError)
    const wide = 'version: 1\nrules: [{ id: a, effect: permit, nodes: ["*"], tools: ["*"] }]\n'
    expect((await run(file('wide.policy.test.yaml', wide))).code).toBe(1)
  })

  test('nothing to lint', async () => {
    file('graph.yaml', 'nodes: {}\n')
    await expect(run(directory)).rejects.toThrow('no policy and no manifest')
  })
})
