// The gateway's end of a skill host, against a process that a test plays: what it may be sent is anything at all.

import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

import { AgentPortError } from '../../../src/core/errors.ts'
import type { JsonObject } from '../../../src/core/json.ts'
import type { Command } from '../../../src/enforcer/command.ts'
import type { ConfinedProcess, Confinement, ExitStatus, KillReport } from '../../../src/enforcer/enforcer.ts'
import { encodeFrame, FrameDecoder } from '../../../src/linux/skill-host/frames.ts'
import { SkillHost, type SkillHostOptions } from '../../../src/linux/skill-host/skill-host.ts'
import { reportOf } from '../../agentport/fixture.ts'

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'played-')))
const program = join(directory, 'child.mjs')
writeFileSync(program, '')
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** A box whose one process is played by the test. */
class PlayedBox implements Confinement {
  readonly report = reportOf()
  readonly events: Confinement['events'] = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }),
  }
  readonly commands: Command[] = []
  /** What the gateway sent. */
  readonly received: JsonObject[] = []
  readonly reads: boolean
  kills = 0
  closes = 0
  #out: ReadableStreamDefaultController<Uint8Array> | undefined
  #err: ReadableStreamDefaultController<Uint8Array> | undefined
  #exit: (status: ExitStatus) => void = () => undefined

  constructor(options: { readonly reads?: boolean } = {}) {
    this.reads = options.reads ?? true
  }

  async spawn(command: Command): Promise<ConfinedProcess> {
    this.commands.push(command)
    const decoder = new FrameDecoder()
    const exited = new Promise<ExitStatus>((resolve) => {
      this.#exit = resolve
    })
    return {
      pid: 2,
      stdin: new WritableStream<Uint8Array>({
        write: (chunk) => {
          this.received.push(...decoder.push(chunk))
          return this.reads ? undefined : new Promise(() => undefined)
        },
      }),
      stdout: new ReadableStream({
        start: (controller) => {
          this.#out = controller
        },
      }),
      stderr: new ReadableStream({
        start: (controller) => {
          this.#err = controller
        },
      }),
      exited,
    }
  }

  send(...messages: readonly object[]): void {
    for (const message of messages) this.bytes(encodeFrame(message))
  }

  bytes(bytes: Uint8Array): void {
    if (this.kills === 0) this.#out?.enqueue(bytes)
  }

  async kill(): Promise<KillReport> {
    this.kills += 1
    if (this.kills === 1) {
      this.#out?.close()
      this.#err?.close()
      this.#exit({ signal: 'SIGKILL' })
    }
    return { enforcement: 'kernel', outcome: 'clean', mechanism: 'played', unreaped: [] }
  }

  async close(): Promise<void> {
    this.closes += 1
    await this.kill()
  }
}

async function open(
  box: PlayedBox,
  options: Partial<SkillHostOptions> = {},
  first: readonly object[] = [{ type: 'ready' }],
): Promise<SkillHost> {
  const opening = SkillHost.open({
    confinement: box,
    directory,
    program,
    entry: 'main.mjs',
    executionMode: 'shared',
    ...options,
  } as SkillHostOptions)
  setTimeout(() => box.send(...first), 5)
  return opening
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10))

describe('starting', () => {
  test('Node with its flags, the program, and the module; nothing else', async () => {
    const box = new PlayedBox()
    const host = await open(box, { memoryBytes: 2 ** 28 })
    const [command] = box.commands
    expect(command?.file).toBe(realpathSync(process.execPath))
    expect(command?.args.slice(-2)).toEqual([program, `${directory}/main.mjs`])
    expect(command?.args.slice(0, -2).every((flag) => flag.startsWith('--'))).toBe(true)
    expect(command?.args).toContain('--jitless')
    expect(command).not.toHaveProperty('env')
    await host.close()
    expect(box.closes).toBeGreaterThan(0)
  })

  test.each<readonly [string, readonly object[]]>([
    ['nothing', []],
    ['a log line', [{ type: 'log', stream: 'log', text: 'x' }]],
    ['a result', [{ type: 'done', id: 1, value: null }]],
    ['a call', [{ type: 'call', id: 1, tool: 'x', args: {} }]],
    ['no message', [{}]],
  ])('a process that begins with %s is ended', async (_, first) => {
    const box = new PlayedBox()
    await expect(open(box, { startTimeoutMs: 200 }, first)).rejects.toMatchObject({ reason: 'start' })
    expect(box.kills).toBeGreaterThan(0)
    expect(box.closes).toBeGreaterThan(0)
  })

  test.each(['../other.mjs', '/etc/passwd', 'a/../b.mjs', 'a//b.mjs', './main.mjs', '', 'a\0b'])(
    'an entry that is no plain path in the directory is misuse: %j',
    async (entry) => {
      const box = new PlayedBox()
      await expect(open(box, { entry })).rejects.toThrow(TypeError)
      expect(box.commands).toEqual([])
      expect(box.closes).toBe(1)
    },
  )

  test('variables that would undo the flags are refused, and so is a run that is over', async () => {
    await expect(open(new PlayedBox(), { env: { NODE_OPTIONS: '--expose-gc' } })).rejects.toMatchObject({
      code: 'ERR_COMMAND_INVALID',
    })
    await expect(open(new PlayedBox(), { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_HALTED' })
  })
})

describe('running', () => {
  test.each(['', 'a b', '__proto__.x', 'x'.repeat(129), 1 as never])(
    'a name that is no export is misuse: %j',
    async (name) => {
      const host = await open(new PlayedBox())
      await expect(host.run(name)).rejects.toThrow(TypeError)
      await host.close()
    },
  )

  test('an input that is no plain data does not leave', async () => {
    const box = new PlayedBox()
    const host = await open(box)
    await expect(host.run('work', { at: new Date() })).rejects.toMatchObject({ code: 'ERR_VALUE_UNREADABLE' })
    expect(host.usable).toBe(true)
    expect(box.received).toEqual([])
    await host.close()
  })

  test('answers that nobody reads are not kept beyond the bound', async () => {
    const box = new PlayedBox({ reads: false })
    let calls = 0
    const host = await open(box, { call: async () => (calls += 1) })
    const running = expect(host.run('work')).rejects.toMatchObject({ reason: 'protocol' })
    for (let id = 1; id <= 40; id++) {
      box.send({ type: 'call', id, tool: 'x', args: {} })
      await turn()
    }
    await running
    expect(calls).toBe(16)
  })

  test('a call after the result is a breach, and an answer for it is never sent', async () => {
    const box = new PlayedBox()
    const host = await open(box, { call: async () => turn() })
    const running = host.run('work')
    await turn()
    box.send({ type: 'call', id: 1, tool: 'x', args: {} }, { type: 'done', id: 1, value: 5 })
    expect(await running).toBe(5)
    await turn()
    await turn()
    expect(box.received.map(({ type }) => type)).toEqual(['run'])
    box.send({ type: 'call', id: 2, tool: 'x', args: {} })
    await host.over
    await expect(host.run('work')).rejects.toMatchObject({ reason: 'protocol' })
  })

  test('frames behind a breach are not read', async () => {
    const asked: string[] = []
    const box = new PlayedBox()
    const host = await open(box, { call: async (tool) => asked.push(tool) })
    const running = expect(host.run('work')).rejects.toMatchObject({ reason: 'protocol' })
    await turn()
    box.bytes(
      Buffer.concat(
        [{ type: 'nonsense' }, { type: 'call', id: 1, tool: 'x', args: {} }].map((one) => encodeFrame(one)),
      ),
    )
    await running
    expect(asked).toEqual([])
  })

  test('a listener that throws changes nothing', async () => {
    const box = new PlayedBox()
    const host = await open(box, {
      onLog: () => {
        throw new Error('mine')
      },
    })
    const running = host.run('work')
    await turn()
    box.send({ type: 'log', stream: 'log', text: 'x' }, { type: 'done', id: 1, value: 1 })
    expect(await running).toBe(1)
    await host.close()
  })

  test('whatever the process sends, the caller gets a value or a coded error', async () => {
    const id = fc.integer({ min: 0, max: 3 })
    const sent = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .oneof(
          fc.record({ type: fc.constant('call'), id, tool: fc.constantFrom('x', '..'), args: fc.jsonValue() }),
          fc.record({ type: fc.constant('log'), stream: fc.constantFrom('log', 'stdin'), text: fc.string() }),
          fc.record({ type: fc.constant('done'), id, value: fc.jsonValue() }),
          fc.record({ type: fc.constant('failed'), id, at: fc.constantFrom('run', 'x'), message: fc.string() }),
          fc.record({ type: fc.constantFrom('ready', 'run', 'answer') }),
        )
        .map((message) => {
          const body = Buffer.from(JSON.stringify(message))
          const head = Buffer.alloc(4)
          head.writeUInt32LE(body.length)
          return Buffer.concat([head, body])
        }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { maxLength: 8 }), async (parts) => {
        const box = new PlayedBox()
        const host = await open(box, { call: async (tool) => tool })
        const running = host.run('work').then(
          () => undefined,
          (error: unknown) => error,
        )
        for (const part of parts) {
          box.bytes(part)
          await Promise.resolve()
        }
        await new Promise((resolve) => setTimeout(resolve, 1))
        await box.kill()
        const error = await running
        if (error !== undefined) expect(error).toBeInstanceOf(AgentPortError)
        await host.close()
      }),
      { numRuns: 150 },
    )
  })
})
