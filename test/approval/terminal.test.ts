// The terminal, first as streams that only claim to be one, then a real one that script(1) opens.

import { execFileSync, spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { terminalApprovals } from '../../src/node/terminal-approvals.ts'
import { bench, demand, questionOf, subject, turns } from './support.ts'

class FakeInput extends EventEmitter {
  isTTY = true
  reading = false

  resume(): void {
    this.reading = true
  }

  pause(): void {
    this.reading = false
  }

  /** As a person would, once the prompt is there. */
  async type(...chunks: readonly (string | Uint8Array)[]): Promise<void> {
    for (const chunk of chunks) {
      this.emit('data', chunk)
      await turns()
    }
  }

  get attached(): number {
    return this.eventNames().reduce((sum, name) => sum + this.listenerCount(name), 0)
  }
}

function terminal(over: { readonly confirm?: () => string } = {}) {
  const input = new FakeInput()
  const shown: string[] = []
  const output = { isTTY: true, columns: 100, write: (text: string) => shown.push(text) }
  const ask = terminalApprovals({ approver: 'alice', input, output, ...over })
  return { input, output, shown, ask, ...bench({ ask }) }
}

const one = [demand()]

/** What has to be typed for a question. */
const digits = ({ digest }: { readonly digest: string }): string => digest.slice(7, 13)

describe('what is typed', () => {
  const cases: readonly (readonly [string, (digits: string) => readonly (string | Uint8Array)[], string])[] = [
    ['control: the digits', (code) => [`${code}\n`], 'approved'],
    ['the digits in pieces', (code) => [code.slice(0, 3), `${code.slice(3)}\n`], 'approved'],
    ['the digits as bytes, with a carriage return', (code) => [new TextEncoder().encode(`${code}\r`)], 'approved'],
    ['the digits after something else', (code) => ['y\n', `  ${code} \n`], 'approved'],
    ['no', () => ['no\n'], 'refused'],
    ['NO, because', () => ['NO wrong account\n'], 'refused'],
    ['only enter', () => ['\n', '\r\n', '\n'], 'pending'],
    ['y', () => ['y\n'], 'pending'],
    ['yes', () => ['yes\n'], 'pending'],
    ['approve', () => ['approve\n'], 'pending'],
    ['digits without enter', (code) => [code], 'pending'],
    ['five digits', (code) => [`${code.slice(0, 5)}\n`], 'pending'],
    ['seven digits', (code) => [`${code}0\n`], 'pending'],
    ['other digits', (code) => [`${code.startsWith('0') ? '1' : '0'}${code.slice(1)}\n`], 'pending'],
    ['the digits behind another line that was typed ahead', (code) => [`y\n${code}\n`], 'pending'],
    ['the digits at the end of a very long line', (code) => ['x'.repeat(5_000), `${code}\n`], 'pending'],
    ['notes', () => ['note\n', 'nope\n'], 'pending'],
  ]
  test.each(cases)('%s', async (_, typed, state) => {
    const { desk, input } = terminal()
    const question = questionOf(desk.ask(subject(), one))
    await turns()
    await input.type(...typed(digits(question)))
    expect(desk.state(question.id)).toBe(state)
    expect(input.reading).toBe(state === 'pending')
    if (state !== 'pending') expect(input.attached).toBe(0)
  })

  test('the reason of a refusal is kept, and what cannot be shown in it is not', async () => {
    const { desk, input, changes } = terminal()
    desk.ask(subject(), one)
    await turns()
    await input.type('no  wrong\u001b[2J account\n')
    expect(changes.at(-1)).toMatchObject({ decision: 'refuse', approver: 'alice', reason: 'wrong\\u{1b}[2J account' })
  })

  test('another word can be asked for, but none that is typed by habit', async () => {
    const { desk, input } = terminal({ confirm: () => 'release-it' })
    const { id } = questionOf(desk.ask(subject(), one))
    await turns()
    await input.type('release-it\n')
    expect(desk.state(id)).toBe('approved')
    for (const word of ['', 'y', 'yes', 'no', 'two words', 'no-']) {
      const habit = terminal({ confirm: () => word })
      const asked = questionOf(habit.desk.ask(subject(), one))
      await turns()
      await habit.input.type(`${word}\n`)
      expect(habit.desk.state(asked.id), word).toBe('pending')
    }
  })
})

describe('the screen', () => {
  test('shows the card before anything can be typed', async () => {
    const { desk, shown } = terminal()
    const question = questionOf(desk.ask(subject(), one))
    await turns()
    expect(shown.join('')).toContain('| /to  "bob@example.com"')
    expect(shown.at(-1)).toBe(`Type ${digits(question)} to approve, no to refuse: `)
  })

  test('has one question at a time; what was typed for one is nothing to the next', async () => {
    const { desk, input, shown } = terminal()
    const [first, second] = ['run-1', 'run-2'].map((run) => questionOf(desk.ask(subject({ run }), one)))
    if (first === undefined || second === undefined) throw new Error('unreachable')
    await turns()
    expect(shown.join('')).not.toContain('run-2')
    await input.type(`${digits(first)}\n${digits(second)}\n`)
    expect([desk.state(first.id), desk.state(second.id)]).toEqual(['approved', 'pending'])
    expect(shown.join('')).toContain('run-2')
    await input.type(`${digits(second)}\n`)
    expect(desk.state(second.id)).toBe('approved')
  })

  test('lets go of a question that is closed elsewhere, and shows none that is closed already', async () => {
    const { desk, input, shown } = terminal()
    for (const run of ['run-1', 'run-2', 'run-3']) desk.ask(subject({ run }), one)
    await turns()
    desk.revoke({ run: 'run-2' }, 'halted')
    desk.revoke({ run: 'run-1' }, 'halted')
    await turns()
    const text = shown.join('')
    expect(text).toContain('This question is closed.')
    expect(text).not.toContain('run-2')
    expect(text).toContain('run-3')
    expect(input.reading).toBe(true)
    desk.revoke({}, 'over')
    await turns()
    expect([input.reading, input.attached]).toEqual([false, 0])
  })

  test.each(['end', 'close', 'error'])('%s of the input answers nothing', async (event) => {
    const { desk, input } = terminal()
    const { id } = questionOf(desk.ask(subject(), one))
    await turns()
    input.emit(event, new Error('gone'))
    await turns()
    expect(desk.state(id)).toBe('pending')
    expect(input.attached).toBe(0)
  })
})

describe('no terminal', () => {
  test('no port: a pipe with the answer in it approves nothing', () => {
    const tty = { isTTY: true, write: () => true }
    for (const input of [
      Object.assign(new FakeInput(), { isTTY: false }),
      Object.assign(new FakeInput(), { isTTY: undefined }),
    ]) {
      expect(() => terminalApprovals({ approver: 'alice', input, output: tty } as never)).toThrow(
        expect.objectContaining({ code: 'ERR_CONFIG_INVALID' }),
      )
    }
    const blind = { approver: 'alice', input: new FakeInput(), output: { write: () => true } }
    expect(() => terminalApprovals(blind)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG_INVALID' }))
    expect(() => terminalApprovals({ approver: '', input: new FakeInput(), output: tty })).toThrow(TypeError)
  })

  test('one that goes away later leaves the question open, and says why', async () => {
    const { desk, input, changes } = terminal()
    input.isTTY = false
    const question = questionOf(desk.ask(subject(), one))
    await turns()
    await input.type(`${digits(question)}\n`)
    expect(desk.state(question.id)).toBe('pending')
    expect(changes.at(-1)).toMatchObject({ type: 'port_failed', port: 'terminal' })
  })
})

const script = hasScript()

function hasScript(): boolean {
  try {
    return execFileSync('script', ['--version'], { encoding: 'utf8' }).includes('util-linux')
  } catch {
    return false
  }
}

describe.skipIf(!script)('a real terminal, by script(1) of util-linux', { timeout: 60_000 }, () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const directory = mkdtempSync(join(tmpdir(), 'agentport-terminal-'))
  const program = join(directory, 'ask.mjs')

  beforeAll(async () => {
    const contents = `
      import { ApprovalDesk } from './src/approval/desk.ts'
      import { systemClock } from './src/core/clock.ts'
      import { terminalApprovals } from './src/node/terminal-approvals.ts'
      import { demand, subject } from './test/approval/support.ts'
      const desk = new ApprovalDesk({ clock: systemClock, ask: terminalApprovals({ approver: 'alice' }) })
      const expiresMs = Number(process.argv[2])
      const asked = desk.ask(subject({ args: { to: 'eve\\u001b[2K\\rbob', amount: 1 } }), [demand({ expiresMs })])
      console.log('STATE ' + await desk.settled(asked.question.id))
    `
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: root, loader: 'ts' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      write: false,
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire('/')" },
      logLevel: 'silent',
    })
    writeFileSync(program, outputFiles[0]?.text ?? '')
  })

  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  /** Types what `reply` gives once the prompt has been read; resolves with all that was on the screen. */
  function session(
    reply: (digits: string) => string,
    expiresMs = 60_000,
    redirect = '',
  ): Promise<{ screen: string; code: number | null }> {
    // `exec`: otherwise the shell between stays, and ends itself by the signal that was meant for the program.
    const command = `exec '${process.execPath}' '${program}' ${expiresMs} ${redirect}`
    const child = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
    let screen = ''
    let replied = false
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      screen += text
      const prompt = /Type ([0-9a-f]{6}) to approve, no to refuse: /.exec(screen)
      if (prompt === null || replied) return
      replied = true
      child.stdin.write(reply(prompt[1] ?? ''))
    })
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => {
        child.stdin.destroy()
        resolve({ screen, code })
      })
    })
  }

  test('the digits approve, and the program ends', async () => {
    const { screen, code } = await session((digits) => `${digits}\r`)
    expect(screen).toContain('STATE approved')
    expect(screen).toContain('"eve\\u{1b}[2K\\u{d}bob"')
    expect(code).toBe(0)
  })

  test('no refuses', async () => {
    expect((await session(() => 'no thanks\r')).screen).toContain('STATE refused')
  })

  test('y and enter approve nothing; the question expires and the terminal is let go', async () => {
    const { screen, code } = await session(() => 'y\r\r\r', 1_500)
    expect(screen).toContain('This question is closed.')
    expect(screen).toContain('STATE expired')
    expect(code).toBe(0)
  })

  test('Ctrl-C ends the program, not the question in its favour', async () => {
    const { screen, code } = await session(() => '\u0003')
    expect(screen).not.toContain('STATE')
    expect(code).toBe(130)
  })

  test('end of input answers nothing', async () => {
    const { screen } = await session(() => '\u0004', 1_500)
    expect(screen).toContain('No answer.')
    expect(screen).toContain('STATE expired')
  })

  test('a file in place of the keyboard is refused', async () => {
    const { screen, code } = await session(() => '', 1_500, '</dev/null')
    expect(screen).toContain('ERR_CONFIG_INVALID')
    expect(screen).not.toContain('STATE')
    expect(code).toBe(1)
  })
})
