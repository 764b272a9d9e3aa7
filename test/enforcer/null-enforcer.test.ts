import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'

import type { Confinement, EnforcerEvent } from '../../src/enforcer/enforcer.ts'
import { FEATURES } from '../../src/enforcer/feature.ts'
import { assertRequirements } from '../../src/enforcer/report.ts'
import { unsafeNullEnforcer } from '../../src/testing/null-enforcer.ts'
import { ALL_PREFERRED, EMPTY } from './helpers.ts'

const NODE = process.execPath
const open: Confinement[] = []

async function confinement(signal?: AbortSignal): Promise<Confinement> {
  const one = await unsafeNullEnforcer.open(EMPTY, {
    requirements: ALL_PREFERRED,
    ...(signal === undefined ? {} : { signal }),
  })
  open.push(one)
  return one
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream).text()
}

describe('unsafeNullEnforcer', () => {
  test.each([
    ['by default', {}],
    ['with nine of ten preferred', { requirements: { ...ALL_PREFERRED, limits: 'required' } }],
    [
      'with nothing said about one',
      { requirements: Object.fromEntries(FEATURES.slice(1).map((feature) => [feature, 'preferred'])) },
    ],
  ] as const)('it refuses %s', async (_name, options) => {
    await expect(unsafeNullEnforcer.open(EMPTY, options)).rejects.toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
  })

  test('everything it says is that nothing is enforced', async () => {
    const { report } = await confinement()
    expect(report).toMatchObject({ enforcer: 'unsafe_null', enforcement: 'none', confined: false })
    for (const feature of FEATURES)
      expect(report.features[feature]).toMatchObject({ status: 'absent', visibility: 'silent' })
    expect(() => assertRequirements(report, { ...ALL_PREFERRED, egress: 'required' })).toThrow('egress is absent')
    const capabilities = await unsafeNullEnforcer.probe()
    for (const feature of FEATURES) expect(capabilities.features[feature].support).toBe('unsupported')
  })

  test('it runs a program, with the arguments and environment given and no others', async () => {
    process.env['AGENTPORT_TEST_SECRET'] = 'inherited'
    const box = await confinement()
    const script =
      'process.stdout.write(JSON.stringify([process.argv.slice(1), Object.keys(process.env)])); process.stderr.write("err"); process.exit(3)'
    const child = await box.spawn({ file: NODE, args: ['-e', script, '$(id)', '; id'], env: { A: '1' } })
    expect(await Promise.all([text(child.stdout), text(child.stderr), child.exited])).toEqual([
      JSON.stringify([['$(id)', '; id'], ['A']]),
      'err',
      { code: 3 },
    ])
    delete process.env['AGENTPORT_TEST_SECRET']
  })

  test.each<[string, 'pipe' | Uint8Array | undefined, string]>([
    ['bytes', new TextEncoder().encode('hello'), 'hello'],
    ['nothing', undefined, ''],
    ['a pipe', 'pipe', 'piped'],
  ])('stdin: %s', async (_name, stdin, expected) => {
    const box = await confinement()
    const child = await box.spawn({ file: '/bin/cat', args: [], ...(stdin === undefined ? {} : { stdin }) })
    expect(child.stdin === undefined).toBe(stdin !== 'pipe')
    if (child.stdin !== undefined) {
      const writer = child.stdin.getWriter()
      await writer.write(new TextEncoder().encode('piped'))
      await writer.close()
    }
    expect(await text(child.stdout)).toBe(expected)
  })

  test('a program that does not read its input is no error of ours', async () => {
    const box = await confinement()
    const child = await box.spawn({ file: '/bin/true', args: [], stdin: new Uint8Array(4 * 1024 * 1024) })
    expect(await child.exited).toEqual({ code: 0 })
  })

  test.each([
    ['a program that is not there', { file: '/nowhere/at/all', args: [] }, 'ERR_SPAWN_FAILED'],
    ['a directory', { file: '/', args: [] }, 'ERR_SPAWN_FAILED'],
    ['a cwd that is not there', { file: '/bin/true', args: [], cwd: '/nowhere/at/all' }, 'ERR_SPAWN_FAILED'],
    [
      'an argument longer than the system takes',
      { file: '/bin/true', args: ['x'.repeat(1024 * 1024)] },
      'ERR_SPAWN_FAILED',
    ],
    ['a name looked up in PATH', { file: 'true', args: [] }, 'ERR_COMMAND_INVALID'],
  ])('%s', async (_name, command, code) => {
    const box = await confinement()
    await expect(box.spawn(command)).rejects.toMatchObject({ code })
  })

  test('a kill ends what runs, in its whole process group, and claims no more than it knows', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'agentport-'))
    const mark = join(folder, 'mark')
    const box = await confinement()
    // The shell's child would write the mark after a second.
    const child = await box.spawn({
      file: '/bin/sh',
      args: ['-c', `(sleep 1; echo alive > ${mark}) & echo ready; wait`],
      env: { PATH: '/usr/bin:/bin' },
    })
    const reader = child.stdout.getReader()
    await reader.read()
    expect(await box.kill()).toEqual({
      enforcement: 'none',
      outcome: 'unproven',
      mechanism: 'SIGKILL to the process group',
      unreaped: [],
    })
    expect(await child.exited).toEqual({ signal: 'SIGKILL' })
    await expect(box.spawn({ file: '/bin/true', args: [] })).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    expect(existsSync(mark)).toBe(false)
    rmSync(folder, { recursive: true })
  })

  test('an aborted signal kills', async () => {
    const controller = new AbortController()
    const box = await confinement(controller.signal)
    const child = await box.spawn({ file: '/bin/sleep', args: ['60'] })
    controller.abort()
    expect(await child.exited).toEqual({ signal: 'SIGKILL' })
    await expect(confinement(controller.signal)).rejects.toMatchObject({ code: 'ERR_HALTED' })
  })

  test('events tell what ran; close ends them and may be called twice', async () => {
    const box = await confinement()
    const child = await box.spawn({ file: '/bin/true', args: [] })
    await child.exited
    await box.close()
    await box.close()
    const events: EnforcerEvent[] = []
    for await (const event of box.events) events.push(event)
    expect(events).toMatchObject([
      { type: 'started', pid: child.pid, file: '/bin/true', seq: 1 },
      { type: 'exited', pid: child.pid, code: 0, seq: 2 },
    ])
  })
})
