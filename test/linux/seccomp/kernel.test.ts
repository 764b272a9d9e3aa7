// The programs in the kernel this runs on. Every refusal is shown to be ours: without the program the same call ends
// otherwise. Arguments are such that nothing happens where a call goes through.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { SeccompNeeds } from '../../../src/linux/seccomp/floor.ts'
import { compileSeccomp } from '../../../src/linux/seccomp/seccomp.ts'
import { type Arch, syscallTable } from '../../../src/linux/seccomp/syscalls.ts'
import { STRICTEST } from './needs.ts'
import { RET_ALLOW, RET_ERRNO, run } from './simulator.ts'

const missing = whatIsMissing()
if (missing !== undefined) {
  // biome-ignore lint/suspicious/noConsole: a suite that does not run must not look like one that passed
  console.warn(`seccomp programs were NOT tried in a kernel: ${missing}`)
}

function whatIsMissing(): string | undefined {
  if (process.platform !== 'linux') return `${process.platform} is not Linux`
  if (process.arch !== 'x64' && process.arch !== 'arm64') return `there is no table for ${process.arch}`
  // A container's own filter answers first, and then no refusal can be shown to be ours.
  if (/^Seccomp:\s*2/m.test(readFileSync('/proc/self/status', 'utf8'))) return 'this process has a filter already'
  return spawnSync('cc', ['--version']).status === 0 ? undefined : 'there is no C compiler'
}

const arch: Arch = process.arch === 'arm64' ? 'arm64' : 'x64'
const { auditArch, numbers } = syscallTable(arch)
const ONES = 0xffff_ffff_ffff_ffffn
const SIGSYS = 'signal 31'

function nr(name: string): number {
  const number = numbers.get(name)
  if (number === undefined) throw new Error(name)
  return number
}

/** Number and arguments; missing arguments are zero. */
type Call = readonly (number | bigint)[]

describe.skipIf(missing !== undefined)('in this kernel', () => {
  let directory = ''
  let probe = ''

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'agentport-seccomp-'))
    probe = join(directory, 'probe')
    const source = fileURLToPath(new URL('probe.c', import.meta.url))
    const { status, stderr } = spawnSync('cc', ['-O1', '-o', probe, source], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  })

  afterAll(() => {
    rmSync(directory, { recursive: true, force: true })
  })

  function file(program: Uint8Array): string {
    const path = join(directory, `program-${Math.random().toString(36).slice(2)}`)
    writeFileSync(path, program)
    return path
  }

  function box(needs: Partial<SeccompNeeds> = {}): string {
    return file(compileSeccomp({ ...STRICTEST, arch, ...needs }).box)
  }

  function probed(args: readonly string[], calls: readonly Call[] = []): readonly string[] {
    const input = calls.map((call) => `${call.map(String).join(' ')}\n`).join('')
    const { status, stdout, stderr } = spawnSync(probe, args, { input, encoding: 'utf8', timeout: 50_000 })
    if (status !== 0) throw new Error(`the probe ended with ${status}: ${stderr}`)
    return stdout.trimEnd().split('\n')
  }

  test('every refused number fails as the simulator says', () => {
    const program = compileSeccomp({ ...STRICTEST, arch }).box
    const refused: Call[] = []
    const expected: string[] = []
    for (let number = 0; number <= 600; number++) {
      const answer = run(program, { nr: number, arch: auditArch, args: Array<bigint>(6).fill(ONES) })
      if (answer === RET_ALLOW) continue
      refused.push([number, ...Array<bigint>(6).fill(ONES)])
      expected.push(`${number} errno ${answer - RET_ERRNO}`)
    }
    expect(refused.length).toBeGreaterThan(200)
    const answers = probed(['calls', file(program)], refused)
    expect(answers.map((answer, index) => `${refused[index]?.[0]} ${answer}`)).toEqual(expected)
  })

  const HIGH = 0x1_0000_0000n
  const ATTACKS: readonly (readonly [name: string, call: Call, without: string, within: string])[] = [
    ['ptrace', [nr('ptrace'), 1, 0x7fff_ffff], 'errno 3', 'errno 1'],
    ['process_vm_readv', [nr('process_vm_readv'), 0x7fff_ffff, 0, 0, 0, 0, 1], 'errno 22', 'errno 1'],
    ['kcmp', [nr('kcmp'), 0x7fff_ffff, 0x7fff_ffff], 'errno 3', 'errno 1'],
    ['memfd_create', [nr('memfd_create'), ONES], 'errno 14', 'errno 1'],
    ['execveat', [nr('execveat'), ONES, ONES], 'errno 14', 'errno 1'],
    ['unshare of a namespace', [nr('unshare'), 0x1000_0001], 'errno 22', 'errno 1'],
    ['clone of a namespace', [nr('clone'), 0x1001_0000], 'errno 22', 'errno 1'],
    ['TIOCSTI', [nr('ioctl'), 0, 0x5412], 'errno 25', 'errno 1'],
    ['TIOCSTI with an upper half', [nr('ioctl'), 0, 0x5412n | HIGH], 'errno 25', 'errno 1'],
    ['TIOCLINUX with an upper half', [nr('ioctl'), 0, 0x541cn | HIGH], 'errno 25', 'errno 1'],
    ['TCP', [nr('socket'), 2, 1, 0], 'ok', 'errno 97'],
    ['TCP with upper halves', [nr('socket'), 2n | HIGH, 1n | HIGH, 6n | HIGH], 'ok', 'errno 97'],
    ['netlink', [nr('socket'), 16, 3, 0], 'ok', 'errno 97'],
    ['a local socket', [nr('socket'), 1, 1, 0], 'ok', 'errno 97'],
    ['a pair of another family', [nr('socketpair'), 2, 1, 0], 'errno 14', 'errno 97'],
    ['writable code', [nr('mmap'), 0, 4096, 7, 0x22, ONES, 0], 'ok', 'errno 1'],
    ['anonymous code', [nr('mmap'), 0, 4096, 5, 0x22, ONES, 0], 'ok', 'errno 1'],
    ['code by mprotect', [nr('mprotect'), 0, 4096, 5], 'errno 12', 'errno 1'],
    ['code in a segment', [nr('shmat'), ONES, 0, 0x8000], 'errno 22', 'errno 1'],
    ['another personality', [nr('personality'), 0x4_0000], 'ok', 'errno 1'],
    ['limits of another', [nr('prlimit64'), 0x7fff_ffff, 7], 'errno 3', 'errno 1'],
    ['fast open', [nr('sendto'), ONES, 0, 0, 0x2000_0000], 'errno 9', 'errno 1'],
    ['listen', [nr('listen'), ONES, 1], 'errno 9', 'errno 1'],
    ['a listener of seccomp', [nr('seccomp'), 1, 8, ONES], 'errno 14', 'errno 1'],
    ['clone3', [nr('clone3'), 0, 0], 'errno 22', 'errno 38'],
    ['a file that runs as its owner', [nr('fchmod'), ONES, 0o4755], 'errno 9', 'errno 1'],
    ['a file that runs as its owner, by name', [nr('fchmodat'), 0, ONES, 0o104755n | HIGH], 'errno 14', 'errno 1'],
    ['a file made to run as its owner', [nr('mknodat'), 0, ONES, 0o104755], 'errno 14', 'errno 1'],
  ]

  test.each(ATTACKS)('%s', (_, call, without, within) => {
    expect(probed(['calls', '-'], [call])).toEqual([without])
    expect(probed(['calls', box()], [call])).toEqual([within])
  })

  test('the same calls are told to a listener, which answers EPERM', () => {
    const silent = ['netlink', 'a local socket', 'clone3']
    const answers = probed(
      ['listen', box({ notify: true })],
      ATTACKS.map(([, call]) => call),
    )
    expect(answers).toEqual(
      ATTACKS.map(([name, [number], , within]) => (silent.includes(name) ? within : `told ${number} errno 1`)),
    )
  })

  test('with nobody listening a call that would be told fails with ENOSYS', () => {
    expect(probed(['calls', box({ notify: true })], [[nr('ptrace'), 1, 0x7fff_ffff]])).toEqual(['errno 38'])
  })

  test('x32 numbers and negative ones are death', () => {
    const calls = [[0x4000_0000 + 39], [0x4000_0000], [BigInt.asUintN(64, -2n)]]
    expect(probed(['calls', '-'], calls)).toEqual(['errno 38', 'errno 38', 'errno 38'])
    expect(probed(['calls', box()], calls)).toEqual([SIGSYS, SIGSYS, SIGSYS])
  })

  test.skipIf(arch !== 'x64')('the 32-bit entry is death', () => {
    const call = [999_999, 20]
    const [without] = probed(['calls', '-'], [call])
    // A kernel built or started without it kills by itself: then there is nothing to show.
    expect(['ok', 'signal 11', 'signal 4']).toContain(without)
    if (without === 'ok') expect(probed(['calls', box()], [call])).toEqual([SIGSYS])
  })

  test('rights are what they say', () => {
    const calls = [
      [nr('socket'), 2, 1, 0],
      [nr('socket'), 2, 2, 0],
      [nr('socket'), 1, 1, 0],
      [nr('mmap'), 0, 4096, 7, 0x22, ONES, 0],
      [nr('listen'), ONES, 1],
    ]
    const ask = (needs: Partial<SeccompNeeds>): readonly string[] => probed(['calls', box(needs)], calls)
    expect(ask({})).toEqual(['errno 97', 'errno 97', 'errno 97', 'errno 1', 'errno 1'])
    expect(ask({ inet: true })).toEqual(['ok', 'errno 97', 'errno 97', 'errno 1', 'errno 1'])
    expect(ask({ udp: true })).toEqual(['errno 97', 'ok', 'errno 97', 'errno 1', 'errno 1'])
    expect(ask({ unixSockets: true })).toEqual(['errno 97', 'errno 97', 'ok', 'errno 1', 'errno 1'])
    expect(ask({ executableMemory: true })).toEqual(['errno 97', 'errno 97', 'errno 97', 'ok', 'errno 1'])
    expect(ask({ listen: true })).toEqual(['errno 97', 'errno 97', 'errno 97', 'errno 1', 'errno 9'])
  })

  test('a newer filter can only refuse more, unless it has a listener, which it cannot have', () => {
    expect(probed(['stack', box()])).toEqual([
      'second listener while the first is open: errno 16',
      'without a listener: errno 38',
      // The attack: once our listener is gone, another one performs the calls that ours would have refused.
      'second listener after the first: ok',
      'answered CONTINUE by the second: ok',
      'ERRNO under a newer ALLOW: errno 1',
      'ERRNO under a newer TRACE: errno 1',
      'ERRNO under a newer listener: errno 1',
      'USER_NOTIF under a newer one without a listener: errno 38',
      'box: plain filter: ok',
      'box: listener: errno 1',
      'box: listener with garbage: errno 1',
      'box: filter by prctl: ok',
    ])
  })

  describe('files left behind that run as their owner', () => {
    /** Modes of what was left, by way to leave it. */
    function left(mode: string, program: string): ReadonlyMap<string, string> {
      const answers = probed(['leave', program, mode, mkdtempSync(join(directory, 'left-'))])
      return new Map(answers.map((answer) => answer.split(': ') as [string, string]))
    }
    // What older kernels and some file systems have not got.
    const MAY_LACK: Readonly<Record<string, string>> = { fchmodat2: 'errno 38', O_TMPFILE: 'errno 95' }

    test.each(['4755', '2755', '6755'])('%s', (mode) => {
      const own = left(mode, '-')
      const root = left(mode, box({ rootOutside: true }))
      const ordinary = left(mode, box())
      expect(own.size).toBe(arch === 'x64' ? 13 : 9)
      expect([root.size, ordinary.size]).toEqual([own.size, own.size])
      for (const [way, control] of own) {
        if (way === 'mkdirat' || way === 'opening') {
          // Nothing to refuse: the kernel does not take the bits from these.
          const harmless = way === 'mkdirat' ? '755' : '600'
          expect([way, control, root.get(way), ordinary.get(way)]).toEqual([way, harmless, harmless, harmless])
          continue
        }
        if (control !== MAY_LACK[way]) expect([way, control]).toEqual([way, mode])
        expect([way, root.get(way)]).toEqual([way, way === 'openat2' ? 'errno 38' : 'errno 1'])
        const answer = way === 'openat2' ? 'errno 38' : mode === '2755' ? control : 'errno 1'
        expect([way, ordinary.get(way)]).toEqual([way, answer])
      }
    })

    test('others are as they were', () => {
      const own = left('1754', '-')
      for (const rootOutside of [false, true]) {
        const within = new Map(left('1754', box({ rootOutside })))
        expect(within.get('openat2')).toBe('errno 38')
        within.set('openat2', own.get('openat2') ?? '')
        expect(within).toEqual(own)
      }
    })
  })

  test('a forbidden call that the first process needs is refused to commands', () => {
    const needs = { ...STRICTEST, arch, forbiddenSyscalls: ['getcwd'] }
    const programs = compileSeccomp(needs)
    if (programs.command === undefined) throw new Error('no program for commands')
    const call = [nr('getcwd'), ONES, 4096]
    const within = file(programs.box)
    expect(probed(['exec', within, probe, 'calls', '-'], [call])).toEqual(['errno 14'])
    expect(probed(['exec', within, probe, 'calls', file(programs.command)], [call])).toEqual(['errno 1'])
  })

  describe('honest programs', () => {
    function output(program: string, ...command: readonly string[]): string {
      const { status, signal, stdout } = spawnSync(probe, ['exec', program, ...command], { encoding: 'utf8' })
      return `${status ?? signal}: ${stdout.trim()}`
    }

    test('a shell with pipes and children', () => {
      const script =
        'printf "b\\na\\n" | sort | tr a-z A-Z; (exit 3); echo $?; (sleep 0.01) & wait; ls / >/dev/null && echo done'
      expect(output(box(), 'sh', '-c', script)).toBe('0: A\nB\n3\ndone')
    })

    test('a shell that makes and copies files as root', () => {
      const script = (): string => `set -e
        cd ${mkdtempSync(join(directory, 'honest-'))}
        mkdir -p -m 750 a/b; echo text >a/b/c; chmod 755 a/b/c; cp -p a/b/c d; mv d e; : >>e; mkfifo f; cp -R a g
        chmod u+s g/b/c 2>/dev/null || echo refused
        stat -c %a e g/b/c`
      expect(output('-', 'sh', '-c', script())).toBe('0: 755\n4755')
      expect(output(box({ rootOutside: true }), 'sh', '-c', script())).toBe('0: refused\n755\n755')
    })

    test('Node with a worker and a child, when it may make code', () => {
      const script = `
        const { Worker } = require('node:worker_threads')
        new Worker('process.exit(5)', { eval: true }).on('exit', (code) => {
          console.log(code, require('node:child_process').execFileSync('echo', ['child']).toString().trim())
        })`
      expect(output(box({ executableMemory: true }), process.execPath, '-e', script)).toBe('0: 5 child')
    })

    test('Node without a compiler, when it may not', () => {
      const script = 'console.log(require("node:fs").readdirSync("/").length > 0)'
      expect(output(box(), process.execPath, '--jitless', '-e', script)).toBe('0: true')
      // The control: the compiler does not get its memory.
      expect(output(box(), process.execPath, '-e', script)).not.toContain('true')
    })
  })
})
