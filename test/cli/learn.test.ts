// `agentport learn` as an operator meets it: a real command, the manifest it gets, the notes, the exit code.

import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'

import { UsageError } from '../../src/cli/command.ts'
import { learn } from '../../src/cli/learn.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'
import { buildObserver } from '../linux/observe/support/observer-binary.ts'

const built = buildObserver()
afterAll(() => built?.remove())

let directory: string
beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'agentport-learn-')))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

async function run(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const output = { out: (text: string) => out.push(text), err: (text: string) => err.push(text), color: false }
  const code = await learn.run(['--observer', built?.path ?? '', ...args], output)
  return { code, out: out.join('\n'), err: err.join('\n') }
}

describe.skipIf(built === undefined)('learn', () => {
  test('a manifest on standard output that loads and names what the command used', async () => {
    writeFileSync(join(directory, 'in'), 'text')
    const script = `read x <${directory}/in; echo 1 >${directory}/out`
    const { code, out, err } = await run('--skill', 'demo', '--var', `WORK=${directory}`, '--', 'sh', '-c', script)
    expect(code).toBe(0)
    expect(out).toMatch(/^# What 1 observed run needed/)
    const validator = new ManifestValidator({ variables: { WORK: directory } })
    const manifest = validator.load({ file: 'manifest.yaml', text: out })
    expect(manifest.skill).toBe('demo')
    expect(manifest.allowedBinaries).toContain(realpathSync('/bin/sh'))
    expect(manifest.readablePaths.map(({ text }) => text)).toEqual([`${directory}/in`])
    expect(manifest.writablePaths.map(({ text }) => text)).toEqual([`${directory}/out`])
    expect(out).toContain('${WORK}/in')
    expect(err).toMatch(/^info: environment variables cannot be observed/m)
    // The C library comes with the programs, and is not asked for.
    expect(manifest.allowedLibraries).toEqual([])
  })

  test('several runs, into a file, added to an existing manifest', async () => {
    const before = join(directory, 'manifest.yaml')
    const after = join(directory, 'new.yaml')
    const count = join(directory, 'count')
    writeFileSync(before, `skill: demo\nversion: "1"\nreadable_paths: [/srv/**]\n`)
    const script = `echo x >>${count}; : >${directory}/run-$(wc -l <${count})`
    const args = ['--existing', before, '--runs', '2', '--root', directory, '--siblings', '3', '-o', after]
    const { code, out, err } = await run(...args, '--', '/bin/sh', '-c', script)
    expect([code, out]).toEqual([0, ''])
    expect(err).toContain(`written to ${after}`)
    const manifest = new ManifestValidator().load({ file: after, text: readFileSync(after, 'utf8') })
    expect(manifest.version).toBe('1')
    const own = manifest.readablePaths.map(({ text }) => text).filter((text) => !/^\/(?:etc|usr)\//.test(text))
    expect(own).toEqual(['/srv/**', count])
    expect(manifest.writablePaths.map(({ text }) => text)).toEqual([`${directory}/**`])
  })

  test('JSON, a denial, and a command that fails', async () => {
    writeFileSync(join(directory, 'in'), 'text')
    const options = ['--skill', 'demo', '--json', '--deny', `${directory}/**`, '--root', directory]
    const { code, out } = await run(...options, '--', '/bin/sh', '-c', `read x <${directory}/in; exit 3`)
    expect(code).toBe(1)
    const result = JSON.parse(out) as { ok: boolean; manifest: Record<string, unknown>; notes: unknown; runs: unknown }
    expect(result.ok).toBe(true)
    expect(JSON.stringify(result.manifest)).not.toContain(directory)
    expect(result.runs).toEqual([{ code: 3, complete: true, lost: 0, blind: [] }])
    expect(result.notes).toContainEqual({
      severity: 'refused',
      text: `the denial ${directory}/** covers what was used: ${directory}/in`,
    })
  })

  test.each([
    [['--skill', 'demo', 'true']],
    [['--skill', 'demo', '--']],
    [['--', 'true']],
    [['--skill', 'demo', '--runs', '0', '--', 'true']],
    [['--skill', 'demo', '--root', '/nonexistent', '--', 'true']],
    [['--skill', 'demo', '--deny', '/a/', '--', 'true']],
    [['--skill', 'demo', '--deny', 'http://0177.0.0.1', '--', 'true']],
    [['--skill', 'demo', '--', 'no-such-program-anywhere']],
    [['--skill', 'demo', '-o', '/etc/passwd', '--', 'true']],
    [['--skill', 'demo', '--unknown', '--', 'true']],
  ])('%j is not understood, and nothing is run', async (args) => {
    const marker = join(directory, 'ran')
    const command = args.at(-1) === 'true' ? [...args.slice(0, -1), 'touch', marker] : args
    await expect(run(...command)).rejects.toThrow(UsageError)
    expect(existsSync(marker)).toBe(false)
  })

  test('what follows -- belongs to the command', async () => {
    const { code, out } = await run('--skill', 'demo', '--json', '--', 'sh', '-c', 'exit 0', '--json', '--skill', '-o')
    expect([code, JSON.parse(out)]).toEqual([0, expect.objectContaining({ ok: true })])
  })

  test('a run that was not seen whole is refused, and can be allowed', async () => {
    const blind = ['--', 'unshare', '-Ur', 'true']
    const control = await run('--skill', 'demo', '--', 'true')
    expect(control.code).toBe(0)
    const refused = await run('--skill', 'demo', ...blind)
    expect([refused.code, refused.out]).toEqual([1, ''])
    expect(refused.err).toContain('not observed completely (other_root)')
    const allowed = await run('--skill', 'demo', '--allow-loss', ...blind)
    expect(allowed.out).toContain('skill: demo')
  })
})
