// How a box begins, lives and ends: that its end is the end of everything in it, whoever dies first, that nothing of it stays
// behind, and that what goes in and comes out is exact.

import { randomBytes } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { ConfinedProcess } from '../../src/enforcer/enforcer.ts'
import { closeBoxes, collectEvents, eventually, openBox, ownDirectory, removeDirectories } from './support/linux-box.ts'
import { type Bundle, bundle } from './support/linux-bundle.ts'
import { childrenOf, type Footprint, groupsOf, processesWith } from './support/linux-host.ts'
import { descendantsOf, start } from './support/linux-program.ts'
import { bytesOf, linuxEnforcer, profileOf, runCommand, runIn, textOf } from './support/linux-supervised.ts'
import { kernelSuite } from './support/suite.ts'

const SHELL = [
  'skill: lifecycle',
  'allowed_binaries: [/bin/sh, /usr/bin/cat, /usr/bin/env, /usr/bin/head, /usr/bin/ls, /usr/bin/printf, /usr/bin/setsid,',
  '  /usr/bin/sleep, /usr/bin/true, /usr/bin/tr, /usr/bin/wc, /usr/bin/readlink]',
  '',
].join('\n')
const PROFILE = profileOf(SHELL)
/** Ends by SIGKILL alone. */
const STUBBORN = "trap '' TERM HUP INT QUIT; while :; do /usr/bin/sleep 1; done"

function marker(): string {
  return `marker-${randomBytes(9).toString('hex')}`
}

async function gone(mark: string): Promise<void> {
  await eventually('every process gone', () => processesWith(mark).length === 0)
}

closeBoxes()
removeDirectories()

await kernelSuite('a box and those who hold it', () => {
  let supervisor: Bundle
  let temporary: string
  beforeAll(async () => {
    supervisor = await bundle('test/kernel/support/linux-supervisor.ts')
    temporary = await ownDirectory()
  }, 60_000)
  afterAll(() => supervisor?.remove())

  function supervise(...args: readonly string[]) {
    return start(process.execPath, [supervisor.path, ...args], { env: { ...process.env, TMPDIR: temporary } })
  }

  test('the supervisor is killed: nothing of the box survives', async () => {
    const mark = marker()
    const { child, line, ended } = supervise('hold', mark)
    try {
      await line()
      await eventually('two processes in the box', () => processesWith(mark).length >= 3)
      const all = descendantsOf(child.pid as number)
      expect(all.length).toBeGreaterThanOrEqual(4)
      child.kill('SIGKILL')
      await ended
      await gone(mark)
      await eventually('the launcher gone', () => all.every((pid) => !isAlive(pid)))
      // Control groups are directories that only a process can take away: the next one that opens a box does.
      const next = supervise('row', '1')
      await next.line()
      await next.ended
      expect(groupsOf(child.pid as number)).toEqual([])
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('a thousand boxes one after the other leave nothing', async () => {
    const { child, line, ended } = supervise('row', '1000')
    try {
      const { before, after } = JSON.parse(await line()) as { before: Footprint; after: Footprint }
      expect(after).toEqual(before)
      expect(await ended).toEqual({ code: 0, signal: null })
    } finally {
      child.kill('SIGKILL')
    }
  }, 300_000)

  test('two hundred boxes at once', async () => {
    const { child, line, ended, stderr } = supervise('crowd', '200')
    try {
      const { before, after, ...rest } = JSON.parse(await line()) as { before: Footprint; after: Footprint }
      expect(rest).toEqual({ succeeded: 200, clean: 200 })
      expect({ ...after, descriptors: 0 }).toEqual({ ...before, descriptors: 0 })
      expect(after.descriptors).toBeLessThan(before.descriptors + 10)
      expect(await ended, stderr()).toEqual({ code: 0, signal: null })
    } finally {
      child.kill('SIGKILL')
    }
  }, 120_000)
})

await kernelSuite('the end of a box', () => {
  test.each([
    ['that ignores signals', STUBBORN],
    ['that is stopped', 'kill -STOP $$'],
    ['whose daemon left its session', `(/usr/bin/setsid /bin/sh -c "${STUBBORN}" $0 </dev/null >/dev/null 2>&1 &)`],
    ['whose orphans left twice', `(( /usr/bin/setsid /bin/sh -c "(${STUBBORN}) & ${STUBBORN}" $0 & ) & ); ${STUBBORN}`],
  ])('takes a program %s', async (_title, script) => {
    const mark = marker()
    const box = await openBox(PROFILE)
    await box.spawn({ file: '/bin/sh', args: ['-c', script, mark] })
    await eventually('it running', () => processesWith(mark).length > 0)
    expect(await box.kill()).toEqual({
      enforcement: 'kernel',
      outcome: 'clean',
      mechanism: 'process namespace',
      unreaped: [],
    })
    // Not eventually: the report is the proof.
    expect(processesWith(mark)).toEqual([])
  })

  test('the launcher is killed: its box goes, and everybody is told', async () => {
    const mark = marker()
    const box = await openBox(PROFILE)
    const { events, done } = collectEvents(box)
    const child = await box.spawn({ file: '/bin/sh', args: ['-c', STUBBORN, mark] })
    await eventually('it running', () => processesWith(mark).length > 0)
    process.kill(await launcherOf(mark), 'SIGKILL')
    expect(await child.exited).toEqual({ signal: 'SIGKILL' })
    await gone(mark)
    await expect(box.spawn({ file: '/usr/bin/true', args: [] })).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    // Nobody waited for the box, so nobody can say.
    expect(await box.kill()).toMatchObject({ outcome: 'unproven' })
    await box.close()
    await done
    expect(events.map(({ type }) => type)).toEqual(['started', 'exited'])
  })

  test('the first process of the box is killed: so is the box', async () => {
    const mark = marker()
    const box = await openBox(PROFILE)
    const child = await box.spawn({ file: '/bin/sh', args: ['-c', STUBBORN, mark] })
    await eventually('it running', () => processesWith(mark).length > 0)
    const first = childrenOf(await launcherOf(mark))[0] as number
    process.kill(first, 'SIGKILL')
    expect(await child.exited).toEqual({ signal: 'SIGKILL' })
    await gone(mark)
    await expect(box.spawn({ file: '/usr/bin/true', args: [] })).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    expect(await box.kill()).toMatchObject({ outcome: 'clean' })
  })

  test('killed while commands are starting: each has an end', async () => {
    const mark = marker()
    for (let round = 0; round < 10; round++) {
      const box = await openBox(PROFILE)
      const starting = Array.from({ length: 8 }, () => box.spawn({ file: '/bin/sh', args: ['-c', STUBBORN, mark] }))
      const settled = Promise.allSettled(starting)
      if (round > 0) await new Promise((resolve) => setTimeout(resolve, round))
      const report = await box.kill()
      expect(report.outcome).toBe('clean')
      for (const one of await settled) {
        if (one.status === 'fulfilled') expect(await one.value.exited).toEqual({ signal: 'SIGKILL' })
        else expect(one.reason).toMatchObject({ code: 'ERR_STATE_INVALID' })
      }
      expect(processesWith(mark)).toEqual([])
    }
  })

  test('killed and closed as often as one likes', async () => {
    const box = await openBox(PROFILE)
    const child = await box.spawn({ file: '/bin/sh', args: ['-c', STUBBORN] })
    const [one, other] = await Promise.all([box.kill(), box.kill(), box.close(), box.close()])
    expect(one).toBe(other)
    await box.close()
    expect(await child.exited).toEqual({ signal: 'SIGKILL' })
    expect(await box.kill()).toBe(one)
    for (const attempt of [box.spawn({ file: '/usr/bin/true', args: [] }), box.spawn({ file: '/none', args: [] })]) {
      await expect(attempt).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    }
  })

  test('an aborted signal ends it, and keeps one from being made', async () => {
    const halt = new AbortController()
    const mark = marker()
    const box = await openBox(PROFILE, { signal: halt.signal })
    const child = await box.spawn({ file: '/bin/sh', args: ['-c', STUBBORN, mark] })
    halt.abort()
    expect(await child.exited).toEqual({ signal: 'SIGKILL' })
    expect(await box.kill()).toMatchObject({ outcome: 'clean' })
    expect(processesWith(mark)).toEqual([])
    const enforcer = await linuxEnforcer()
    await expect(enforcer.open(PROFILE, { signal: halt.signal })).rejects.toMatchObject({ code: 'ERR_HALTED' })
  })

  test('aborted while the box is made: nothing is started in it', async () => {
    const enforcer = await linuxEnforcer()
    for (let round = 0; round < 10; round++) {
      const halt = new AbortController()
      const opening = enforcer.open(PROFILE, { signal: halt.signal })
      setTimeout(() => halt.abort(), round)
      const box = await opening.catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'ERR_HALTED' })
      })
      if (box === undefined || box === null) continue
      await eventually('aborted', () => halt.signal.aborted)
      await expect(box.spawn({ file: '/usr/bin/true', args: [] })).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
      await box.close()
    }
  })

  test('the wall limit ends all of it', async () => {
    const mark = marker()
    const box = await openBox(profileOf(`${SHELL}limits: { wall_ms: 700 }\n`))
    const { events, done } = collectEvents(box)
    const began = performance.now()
    const child = await box.spawn({ file: '/bin/sh', args: ['-c', STUBBORN, mark] })
    expect(await child.exited).toEqual({ signal: 'SIGKILL' })
    expect(performance.now() - began).toBeGreaterThan(500)
    expect(performance.now() - began).toBeLessThan(10_000)
    await gone(mark)
    await box.close()
    await done
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'denied', feature: 'limits', subject: 'wall time', evidence: 'enforced' }),
    )
  })

  test('a quick program is not touched by the wall limit', async () => {
    const box = await openBox(profileOf(`${SHELL}limits: { wall_ms: 60000 }\n`))
    expect(await runIn(box, '/usr/bin/true')).toMatchObject({ code: 0 })
  })
})

await kernelSuite('what a box keeps to itself', () => {
  test('an ephemeral box runs one command', async () => {
    const box = await openBox(profileOf(`${SHELL}execution_mode: ephemeral\n`))
    expect(await runIn(box, '/bin/sh', '-c', 'echo x >/tmp/x; cat /tmp/x')).toMatchObject({ code: 0, stdout: 'x\n' })
    await expect(box.spawn({ file: '/usr/bin/true', args: [] })).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
  })

  test('a shared box keeps its /tmp, and no other box sees it', async () => {
    const [one, other] = await Promise.all([openBox(PROFILE), openBox(PROFILE)])
    expect(await runIn(one, '/bin/sh', '-c', 'echo kept >/tmp/file')).toMatchObject({ code: 0 })
    expect(await runIn(one, '/usr/bin/cat', '/tmp/file')).toMatchObject({ code: 0, stdout: 'kept\n' })
    expect(await runIn(other, '/usr/bin/ls', '-A', '/tmp')).toMatchObject({ code: 0, stdout: '' })
  })

  test('the environment is what the command says and nothing of ours', async () => {
    const canary = randomBytes(9).toString('hex')
    process.env['KERNEL_CANARY'] = canary
    try {
      const box = await openBox(profileOf(`${SHELL}allowed_env: [GIVEN]\n`))
      const { stdout } = await runCommand(box, { file: '/usr/bin/env', args: [], env: { GIVEN: 'a b\n=c' } })
      expect(stdout).not.toContain(canary)
      expect(stdout).toContain('GIVEN=a b\n=c\n')
      const first = await runIn(box, '/bin/sh', '-c', 'cat /proc/1/environ; cat /proc/*/environ')
      expect(first.stdout).not.toContain(canary)
      await expect(box.spawn({ file: '/usr/bin/env', args: [], env: { KERNEL_CANARY: canary } })).rejects.toMatchObject(
        { code: 'ERR_COMMAND_INVALID' },
      )
    } finally {
      delete process.env['KERNEL_CANARY']
    }
  })

  test('no descriptor but the three', async () => {
    const box = await openBox(PROFILE)
    // ls has one more, for the directory it lists.
    const { stdout } = await runIn(box, '/usr/bin/ls', '/proc/self/fd')
    expect(stdout.trim().split('\n')).toEqual(['0', '1', '2', '3'])
    const held = await runIn(box, '/bin/sh', '-c', 'for fd in /proc/$$/fd/*; do readlink $fd; done')
    expect(held.stdout).toMatch(/^\/dev\/null\nsocket:\[\d+\]\nsocket:\[\d+\]\n/)
  })

  test('a descriptor that is open without close-on-exec is not handed on', async () => {
    const directory = await ownDirectory()
    // The shell leaves 9 open in the supervisor, and so in everything that it starts.
    const program = await bundle('test/kernel/support/linux-descriptors.ts')
    try {
      const script = `exec 9>${directory}/leaked; exec "$0" "$1"`
      const { line, ended, stderr } = start('/bin/sh', ['-c', script, process.execPath, program.path])
      const { outside, inside } = JSON.parse(await line()) as { outside: string[]; inside: string[] }
      expect(outside).toContain(`${directory}/leaked`)
      expect(inside.length).toBeGreaterThan(2)
      expect(inside.filter((target) => target.includes('leaked'))).toEqual([])
      expect(await ended, stderr()).toEqual({ code: 0, signal: null })
    } finally {
      await program.remove()
    }
  })

  test('nobody in it sees the processes outside', async () => {
    const box = await openBox(PROFILE)
    const { stdout } = await runIn(box, '/bin/sh', '-c', 'cd /proc; echo [0-9]*')
    // The first process and the shell.
    expect(stdout.trim().split(' ')[0]).toBe('1')
    expect(stdout.trim().split(' ').length).toBeLessThanOrEqual(3)
    expect(readlinkSync('/proc/self/ns/pid')).not.toBe(
      (await runIn(box, '/usr/bin/readlink', '/proc/self/ns/pid')).stdout.trim(),
    )
  })
})

await kernelSuite('input and output', () => {
  test('bytes of standard input arrive as they are, and then their end', async () => {
    const box = await openBox(PROFILE)
    const stdin = randomBytes(300_000)
    const child = await box.spawn({ file: '/usr/bin/cat', args: [], stdin })
    expect(Buffer.compare(await bytesOf(child.stdout), stdin)).toBe(0)
    expect(await child.exited).toEqual({ code: 0 })
  })

  test('no standard input is an empty one', async () => {
    const box = await openBox(PROFILE)
    expect(await runIn(box, '/usr/bin/wc', '-c')).toMatchObject({ code: 0, stdout: '0\n' })
  })

  test('a pipe is written and read while the program runs', async () => {
    const box = await openBox(PROFILE)
    const script = 'while read line; do echo "got $line"; done'
    const child = await box.spawn({ file: '/bin/sh', args: ['-c', script], stdin: 'pipe' })
    const writer = (child.stdin as WritableStream<Uint8Array>).getWriter()
    const reader = child.stdout.getReader()
    for (const word of ['one', 'two']) {
      await writer.write(Buffer.from(`${word}\n`))
      expect(Buffer.from((await reader.read()).value as Uint8Array).toString()).toBe(`got ${word}\n`)
    }
    await writer.close()
    expect((await reader.read()).done).toBe(true)
    expect(await child.exited).toEqual({ code: 0 })
  })

  test('a program that does not read its input ends all the same', async () => {
    const box = await openBox(PROFILE)
    const child = await box.spawn({ file: '/usr/bin/true', args: [], stdin: randomBytes(1_000_000) })
    expect(await child.exited).toEqual({ code: 0 })
  })

  test('ten megabytes, to a reader in no hurry', async () => {
    const box = await openBox(PROFILE)
    const child = await box.spawn({ file: '/usr/bin/head', args: ['-c', '10000000', '/dev/zero'] })
    let done = false
    void child.exited.then(() => {
      done = true
    })
    // Nobody reads: the program has to wait, and may not fill our memory instead.
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(done).toBe(false)
    const reader = child.stdout.getReader()
    let length = 0
    let parts = 0
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      length += part.value.length
      if (++parts % 40 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(length).toBe(10_000_000)
    expect(await child.exited).toEqual({ code: 0 })
  })

  test('a reader that goes away ends a program that writes for ever', async () => {
    const box = await openBox(PROFILE)
    const child = await box.spawn({ file: '/usr/bin/cat', args: ['/dev/zero'] })
    await child.stdout.cancel()
    expect(await child.exited).toEqual({ signal: 'SIGPIPE' })
  })

  test('output that nobody had read yet is there after the end', async () => {
    const box = await openBox(PROFILE)
    const child = await box.spawn({ file: '/usr/bin/printf', args: ['last words'] })
    await child.exited
    await box.kill()
    expect(await textOf(child.stdout)).toBe('last words')
  })

  test('arguments arrive byte for byte', async () => {
    const box = await openBox(PROFILE)
    const args = [
      '',
      ' ',
      '-n',
      '--',
      '*',
      '$HOME',
      '`id`',
      "'",
      '"',
      '\\',
      'a\nb',
      '\t',
      '\u{1f980}',
      'ü',
      '\u0001',
      '%s',
    ]
    const { stdout } = await runCommand(box, { file: '/usr/bin/printf', args: ['%s\\0', ...args] })
    expect(stdout.split('\0').slice(0, -1)).toEqual(args)
    const long = 'x'.repeat(100_000)
    expect((await runIn(box, '/usr/bin/printf', '%s', long)).stdout).toBe(long)
  })

  test('sixty commands at once in one box', async () => {
    const box = await openBox(PROFILE)
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, index) => runIn(box, '/usr/bin/printf', '%s', String(index))),
    )
    expect(outcomes.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 60 }, (_, index) => String(index)))
  })

  test.each([
    ['a code', 'exit 7', { code: 7 }],
    ['a signal of its own', 'kill -SEGV $$', { signal: 'SIGSEGV' }],
    ['the code of what it ran', '/usr/bin/ls /none 2>/dev/null', { code: 2 }],
  ])('it ends with %s', async (_title, script, status) => {
    const box = await openBox(PROFILE)
    expect(await runIn(box, '/bin/sh', '-c', script)).toMatchObject(status)
  })

  test.each([
    ['that is not there', '/usr/bin/none', 'ENOENT'],
    ['that is not listed', '/usr/bin/id', 'ENOENT'],
    ['that is a directory', '/tmp', 'EACCES'],
  ])('a program %s is refused by name of the step', async (_title, file, errno) => {
    const box = await openBox(PROFILE)
    const refusal = (await box.spawn({ file, args: [] }).catch((error: unknown) => error)) as Error
    expect(refusal).toMatchObject({ code: 'ERR_SPAWN_FAILED' })
    expect(refusal.message).toContain('exec')
    expect(refusal.message).toContain(errno)
    expect(await runIn(box, '/usr/bin/true')).toMatchObject({ code: 0 })
  })

  test('a directory that is not there is refused by name of the step', async () => {
    const box = await openBox(PROFILE)
    const attempt: Promise<ConfinedProcess> = box.spawn({ file: '/usr/bin/true', args: [], cwd: '/none' })
    await expect(attempt).rejects.toMatchObject({
      code: 'ERR_SPAWN_FAILED',
      message: expect.stringContaining('directory'),
    })
  })
})

await kernelSuite('limits of a box', () => {
  test('memory of a process', async () => {
    const box = await openBox(profileOf(`${SHELL}limits: { memory_mb: 64 }\n`), {
      requirements: { limits: 'preferred' },
    })
    // The shell keeps the text in its memory.
    const script = 'x=$(head -c 100000000 /dev/zero | /usr/bin/cat | tr "\\0" a)'
    const outcome = await runIn(box, '/bin/sh', '-c', script)
    // How a shell ends that gets no more memory is its own affair.
    expect(outcome.code).not.toBe(0)
    expect(await runIn(box, '/bin/sh', '-c', 'x=$(head -c 1000000 /dev/zero | tr "\\0" a)')).toMatchObject({ code: 0 })
  })

  test('processes', async () => {
    const profile = profileOf(`${SHELL}limits: { processes: 12 }\n`)
    const box = await openBox(profile, { requirements: { limits: 'preferred' } })
    const script = 'i=0; while [ $i -lt 40 ]; do /usr/bin/sleep 5 & i=$((i+1)); done; echo all'
    const outcome = await runIn(box, '/bin/sh', '-c', `${script} 2>&1`)
    // The report may say that it does not hold it, as for root without a control group; it may not say so and be wrong.
    if (box.report.features.limits.status === 'enforced') expect(outcome.stdout).not.toContain('all')
    else expect(box.report.features.limits.reason).toMatch(/processes/)
    await box.kill()
  })
})

describe('helpers of these tests', () => {
  test('a living process is seen', () => {
    expect(isAlive(process.pid)).toBe(true)
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The launcher of the box in which `mark` runs: the child of this process that has it below itself. */
async function launcherOf(mark: string): Promise<number> {
  return eventually('a launcher', () =>
    childrenOf(process.pid).find((pid) => descendantsOf(pid).some((below) => processesWith(mark).includes(below))),
  )
}
