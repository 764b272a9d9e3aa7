// `agentport run` as a user meets it: a process of its own, its exit code, its signals, its terminal.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { eventually, ownDirectory, removeDirectories } from './support/linux-box.ts'
import { type Bundle, bundle } from './support/linux-bundle.ts'
import { processesWith } from './support/linux-host.ts'
import { type Running, start } from './support/linux-program.ts'
import { programSuite } from './support/programs.ts'
import { kernelSuite } from './support/suite.ts'

const MANIFEST = [
  'skill: shell',
  'allowed_binaries: [/bin/sh, /usr/bin/cat, /usr/bin/env, /usr/bin/head, /usr/bin/pwd, /usr/bin/sleep, /usr/bin/true]',
  'allowed_env: [GIVEN]',
  'readable_paths: ["${WORK}/**"]',
  'writable_paths: ["${WORK}/**"]',
  '',
].join('\n')

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

let cli: Bundle
let work: string
let manifest: string

removeDirectories()
beforeAll(async () => {
  ;[cli, work] = await Promise.all([bundle('src/cli/bin.ts'), ownDirectory()])
  manifest = join(work, 'manifest.yaml')
  writeFileSync(manifest, MANIFEST)
}, 60_000)
afterAll(() => cli?.remove())

const words = (args: readonly string[]): readonly string[] => {
  const cut = args.indexOf('--')
  const options = ['--manifest', manifest, '--var', `WORK=${work}`, ...args.slice(0, cut)]
  return [cli.path, 'run', ...options, ...args.slice(cut)]
}

function begin(...args: readonly string[]): Running {
  return start(process.execPath, words(args), { cwd: work })
}

async function finish(running: Running): Promise<Ended> {
  running.child.stdin?.end()
  const { code, signal } = await running.ended
  return { code, signal, stdout: running.stdout(), stderr: running.stderr() }
}

function run(...args: readonly string[]): Promise<Ended> {
  return finish(begin(...args))
}

await kernelSuite('the exit code of agentport run', () => {
  test.each([
    ['0', 'true', 0],
    ['its own', 'exit 7', 7],
    ['255', 'exit 255', 255],
  ])('is %s', async (_title, script, code) => {
    expect(await run('--', 'sh', '-c', script)).toEqual({ code, signal: null, stdout: '', stderr: '' })
  })

  test.each([125, 126, 127])('%i of the program itself is told apart by a line', async (code) => {
    const ended = await run('--', 'sh', '-c', `exit ${code}`)
    expect(ended).toMatchObject({ code, signal: null })
    expect(ended.stderr).toBe(`agentport run: the program itself ended with ${code}\n`)
  })

  test.each([
    ['no command', ['--'], 125, 'write the command after --'],
    ['an option that is none', ['--none', '--', 'true'], 125, '--none'],
    ['a feature that is none', ['--prefer', 'all', '--', 'true'], 125, '--prefer takes one of'],
    ['a directory that is not there', ['--cwd', '/none', '--', 'true'], 126, 'directory: ENOENT'],
    ['a program that cannot be run', ['--', '/tmp'], 126, 'EACCES'],
    ['a program that is nowhere', ['--', 'no-such-program'], 127, 'no-such-program'],
    ['a program that is not listed', ['--', '/usr/bin/id'], 127, 'ENOENT'],
    ['an argument with a NUL', ['--', '/none/./x'], 127, 'ENOENT'],
  ])('for %s is one of its own', async (_title, args, code, message) => {
    const ended = await run(...args)
    expect(ended).toMatchObject({ code, signal: null, stdout: '' })
    expect(ended.stderr).toMatch(/^agentport run: not started: /)
    expect(ended.stderr).toContain(message)
  })

  test.each([
    ['no manifest', [], '--manifest is needed'],
    ['a manifest that is not there', ['--manifest', '/none.yaml'], '/none.yaml'],
  ])('for %s is 125', async (_title, options, message) => {
    const ended = await finish(start(process.execPath, [cli.path, 'run', ...options, '--', 'true']))
    expect(ended).toMatchObject({ code: 125, stdout: '' })
    expect(ended.stderr).toContain(message)
  })

  test('for a manifest with a mistake is 125, with its place', async () => {
    const wrong = join(work, 'wrong.yaml')
    writeFileSync(wrong, 'skill: wrong\nallowed_binary: [/bin/sh]\n')
    const ended = await finish(start(process.execPath, [cli.path, 'run', '--manifest', wrong, '--', 'true']))
    expect(ended).toMatchObject({ code: 125, stdout: '' })
    expect(ended.stderr).toMatch(/wrong\.yaml:2:1: .*allowed_binary/)
  })

  test('for what this host cannot enforce is 125, and nothing ran', async () => {
    const ended = await run('--flat', '--', 'sh', '-c', 'echo ran >ran')
    expect(ended).toMatchObject({ code: 125, stdout: '' })
    expect(ended.stderr).toContain('fs_read is partial')
    expect(existsSync(join(work, 'ran'))).toBe(false)
  })
})

await kernelSuite('signals and agentport run', () => {
  test.each(['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR1'] as const)(
    '%s reaches the program, which decides',
    async (name) => {
      const short = name.slice(3)
      const script = `trap 'echo got; exit 5' ${short}; echo ready; while :; do sleep 0.05; done`
      const running = begin('--', 'sh', '-c', script)
      expect(await running.line()).toBe('ready')
      running.child.kill(name)
      expect(await finish(running)).toMatchObject({ code: 5, signal: null, stdout: 'ready\ngot\n' })
    },
  )

  test.each(['SIGTERM', 'SIGKILL', 'SIGSEGV', 'SIGINT', 'SIGQUIT'] as const)(
    'a program that ends by %s ends the command so',
    async (name) => {
      const report = join(work, `${name}.json`)
      const ended = await run('--report', report, '--', 'sh', '-c', `ulimit -c 0; kill -${name.slice(3)} $$`)
      expect(ended).toMatchObject({ code: null, signal: name })
      expect(JSON.parse(readFileSync(report, 'utf8'))).toMatchObject({ outcome: 'signalled', signal: name })
    },
  )

  test('the command is killed: the program does not survive', async () => {
    const mark = `marker-${process.pid}-run`
    const running = begin('--', 'sh', '-c', "trap '' TERM HUP; echo ready; while :; do sleep 1; done", mark)
    await running.line()
    expect(processesWith(mark).length).toBeGreaterThan(0)
    running.child.kill('SIGKILL')
    await running.ended
    await eventually('the program gone', () => processesWith(mark).length === 0)
  })

  test('what the program left in the background ends with it', async () => {
    const mark = `marker-${process.pid}-left`
    const script = `sh -c "trap '' HUP TERM; while :; do sleep 1; done" ${mark} >/dev/null 2>&1 & exit 3`
    expect(await run('--', 'sh', '-c', script)).toMatchObject({ code: 3 })
    expect(processesWith(mark)).toEqual([])
  })
})

await kernelSuite('what passes through agentport run', () => {
  test('input and output, while it runs', async () => {
    const running = begin('--', 'sh', '-c', 'while read -r line; do echo "got $line"; echo "err $line" >&2; done')
    for (const word of ['one', 'two']) {
      running.child.stdin?.write(`${word}\n`)
      expect(await running.line()).toBe(`got ${word}`)
    }
    const ended = await finish(running)
    expect(ended).toMatchObject({ code: 0, stderr: 'err one\nerr two\n' })
  })

  test('a lot of output to a reader that ends early', async () => {
    const shell = `"$0" "$@" | head -c 100000 | wc -c`
    const { code, stdout } = await finish(
      start('/bin/sh', ['-c', shell, process.execPath, ...words(['--', 'cat', '/dev/zero'])], { cwd: work }),
    )
    expect({ code, stdout: stdout.trim() }).toEqual({ code: 0, stdout: '100000' })
  })

  test.each([
    ['output', 'head -c 3000000 /dev/zero', '', undefined],
    ['errors', 'head -c 3000000 /dev/zero >&2', '2>&1 >/dev/null', undefined],
    // Something is said before the program is there, on the descriptor that both have.
    ['errors after words of our own', 'head -c 3000000 /dev/zero >&2', '2>&1 >/dev/null', '--policy'],
  ])('%s to a reader in no hurry, whole', async (_title, script, redirect, option) => {
    const policy = join(work, 'less.yaml')
    const granted = 'binaries: [/bin/sh, /usr/bin/head]'
    writeFileSync(policy, `version: 1\nrules:\n  - { id: a, effect: permit, tools: [run], nodes: [run], ${granted} }\n`)
    const options = option === undefined ? [] : [option, policy]
    const shell = `{ "$0" "$@"; echo "ended $?" >&3; } ${redirect} | { sleep 1; wc -c; }`
    const command = words([...options, '--', 'sh', '-c', script])
    const { stdout } = await finish(
      start('/bin/sh', ['-c', `exec 3>&1; ${shell}`, process.execPath, ...command], { cwd: work }),
    )
    const [ended, length] = stdout.trim().split('\n')
    expect(ended).toBe('ended 0')
    expect(Number(length)).toBeGreaterThanOrEqual(3_000_000)
  })

  test('arguments as they are, dashes and all', async () => {
    const args = ['--', '--report', '', '*', 'a b']
    const { stdout } = await run('--', 'sh', '-c', 'for a; do echo "<$a>"; done', 'sh', ...args)
    expect(stdout).toBe(args.map((text) => `<${text}>\n`).join(''))
  })

  test('the variables that are allowed, and no other', async () => {
    const environment = { ...process.env, GIVEN: 'given', KERNEL_CANARY: 'canary' }
    const running = start(process.execPath, words(['--', 'env']), { cwd: work, env: environment })
    const { stdout } = await finish(running)
    expect(stdout).toContain('GIVEN=given\n')
    expect(stdout).not.toContain('canary')
  })

  test('the directory it is started in, if that is granted', async () => {
    expect((await run('--', 'pwd')).stdout).toBe(`${work}\n`)
    const elsewhere = start(process.execPath, words(['--', 'pwd']), { cwd: '/' })
    expect((await finish(elsewhere)).stdout).not.toBe('/\n')
    expect((await run('--cwd', '/tmp', '--', 'pwd')).stdout).toBe('/tmp\n')
  })
})

await kernelSuite('what agentport run writes down', () => {
  test('--report: how it ended, and what held it', async () => {
    const report = join(work, 'report.json')
    await run('--report', report, '--', 'sh', '-c', 'exit 7')
    const written = JSON.parse(readFileSync(report, 'utf8'))
    expect(written).toMatchObject({ outcome: 'exited', code: 7, denied: [], report: { confined: true } })
    expect(written.report.features.fs_read).toMatchObject({ status: 'enforced' })
  })

  test('--report: that it was not started, which no exit code can say for certain', async () => {
    const report = join(work, 'not-started.json')
    await run('--report', report, '--', '/usr/bin/id')
    expect(JSON.parse(readFileSync(report, 'utf8'))).toMatchObject({
      outcome: 'not_started',
      error: { code: 'ERR_SPAWN_FAILED' },
    })
  })

  test('--events: what happened, a line each, after what was there', async () => {
    const events = join(work, 'events')
    writeFileSync(events, '{"before":true}\n')
    await run('--events', events, '--', 'sh', '-c', 'exit 7')
    const lines = readFileSync(events, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toEqual([
      { before: true },
      expect.objectContaining({ type: 'started', seq: 1 }),
      expect.objectContaining({ type: 'exited', seq: 2, code: 7 }),
    ])
  })
})

await programSuite('denials and agentport run', ['/usr/bin/perl'], () => {
  let perl: string
  const attempt = ['/usr/bin/perl', '-e', 'socket(S, 2, 1, 0) ? exit(1) : exit(3) for 1..3']
  beforeAll(() => {
    perl = join(work, 'perl.yaml')
    writeFileSync(perl, 'skill: perl\nallowed_binaries: [/usr/bin/perl]\n')
  })

  test('are told once each at the end, and not at all when they are not wanted', async () => {
    const told = await finish(start(process.execPath, [cli.path, 'run', '--manifest', perl, '--', ...attempt]))
    expect(told.code).toBe(3)
    expect(told.stderr).toMatch(/^agentport run: denied egress: .*socket/m)
    const quiet = await finish(
      start(process.execPath, [cli.path, 'run', '--quiet', '--manifest', perl, '--', ...attempt]),
    )
    expect(quiet).toMatchObject({ code: 3, stderr: '' })
  })
})

await kernelSuite('a policy for agentport run', () => {
  test('takes away what it does not grant, and says so', async () => {
    const policy = join(work, 'policy.yaml')
    writeFileSync(
      policy,
      'version: 1\nrules:\n  - { id: shell, effect: permit, tools: [run], nodes: [run], binaries: [/bin/sh] }\n',
    )
    const ended = await run('--policy', policy, '--', 'sh', '-c', 'cat /dev/null')
    expect(ended.code).toBe(127)
    expect(ended.stderr).toContain('agentport run: binary /usr/bin/cat is not granted')
    expect(ended.stderr).toContain(`agentport run: write ${work}/** is not granted`)
    expect((await run('--', 'sh', '-c', 'cat /dev/null')).code).toBe(0)
  })
})

await programSuite('agentport run on a terminal', ['/usr/bin/script'], () => {
  const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
  /** script(1) gives its command a terminal of its own, and its code. */
  function onTerminal(...args: readonly string[]): Running {
    // `exec`: a shell in between would be interrupted as well, and end with its own 130.
    const command = `exec ${[process.execPath, ...words(args)].map(quoted).join(' ')}`
    return start('/usr/bin/script', ['-qec', command, '/dev/null'], { cwd: work })
  }

  test('the program has it', async () => {
    const running = onTerminal('--', 'sh', '-c', 'test -t 0 && test -t 1 && test -t 2 && echo terminal; exit 4')
    const { code, stdout } = await finish(running)
    expect({ code, stdout: stdout.trim() }).toEqual({ code: 4, stdout: 'terminal' })
  })

  test('reads from it', async () => {
    const running = onTerminal('--', 'sh', '-c', 'echo ready; read line; echo "got $line"')
    expect((await running.line()).trim()).toBe('ready')
    running.child.stdin?.write('words\n')
    await eventually('an answer', () => running.stdout().includes('got words'))
    expect((await finish(running)).code).toBe(0)
  })

  test('Ctrl-C ends the program, and the command reports it', async () => {
    const report = join(work, 'interrupted.json')
    const running = onTerminal('--report', report, '--', 'sh', '-c', 'echo ready; sleep 60')
    expect((await running.line()).trim()).toBe('ready')
    running.child.stdin?.write('\u0003')
    const { code } = await finish(running)
    expect(code).toBe(130)
    expect(JSON.parse(readFileSync(report, 'utf8'))).toMatchObject({ outcome: 'signalled', signal: 'SIGINT' })
  })

  test('Ctrl-C to a program that minds it: once, and the command waits for it', async () => {
    const script =
      "trap 'n=$((n+1))' INT; echo ready; i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done; exit $((40+n))"
    const running = onTerminal('--', 'sh', '-c', script)
    expect((await running.line()).trim()).toBe('ready')
    running.child.stdin?.write('\u0003')
    const { code } = await finish(running)
    expect(code).toBe(41)
  })
})
