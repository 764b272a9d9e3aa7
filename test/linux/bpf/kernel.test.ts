// The programs in a real kernel: loaded by native/bpf.c, put to real attempts on loopback. Each attempt that must fail
// is also made by the same command in the same group without programs, where it gets through.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { parseCidr } from '../../../src/core/ip.ts'
import type { BpfObject } from '../../../src/linux/box.ts'
import { Assembler } from '../../../src/linux/bpf/assembler.ts'
import { DENIALS_MAP, type EgressOptions, egressBpf, readDenials } from '../../../src/linux/bpf/egress-programs.ts'
import { readSyscalls, SYSCALLS_MAP, syscallHistogram } from '../../../src/linux/bpf/syscall-histogram.ts'
import { encodeBpf } from '../../../src/linux/bpf/wire.ts'
import { type Cgroups, openCgroups } from '../../../src/linux/cgroup/cgroups.ts'
import { buildDriver, type Driver, renamed, skipLoudly } from './support.ts'

const CLOSED: EgressOptions = { bind: false, unixSockets: false }
const PREFIX = `t${process.pid}`

function grant(text: string, port: number | 'any', protocol: 'tcp' | 'udp' = 'tcp') {
  const parsed = parseCidr(text)
  if (!parsed.ok) throw new Error(parsed.reason)
  return { cidr: parsed.cidr, port, protocol }
}

async function withGroup(use: (directory: string, cgroups: Cgroups) => Promise<void> | void): Promise<void> {
  const opened = openCgroups()
  if (!opened.ok) throw new Error(opened.reason)
  const { cgroups } = opened
  try {
    await use(cgroups.paths.v2 ?? '', cgroups)
  } finally {
    await cgroups.kill()
    expect(await cgroups.remove()).toBe(true)
  }
}

describe.skipIf(skipLoudly('cgroup BPF in a real kernel'))('in a real kernel', () => {
  let driver: Driver
  let directory: string
  const servers: Server[] = []
  let open = 0
  let closed = 0
  let path = ''
  let ipv6 = true

  async function listen(where: { host?: string; port?: number; path?: string }): Promise<number> {
    const server = createServer((socket) => socket.destroy())
    server.listen(where)
    await once(server, 'listening')
    servers.push(server)
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  beforeAll(async () => {
    driver = buildDriver()
    directory = mkdtempSync(join(tmpdir(), 'agentport-bpf-'))
    open = await listen({ host: '127.0.0.1', port: 0 })
    closed = await listen({ host: '127.0.0.1', port: 0 })
    for (const port of [open, closed]) {
      ipv6 &&= await listen({ host: '::1', port }).then(
        () => true,
        () => false,
      )
    }
    // biome-ignore lint/suspicious/noConsole: a protection that was not tested must not look tested
    if (!ipv6) console.warn('SKIPPED: egress over IPv6 in a real kernel: ::1 is not there')
    path = join(directory, 'socket')
    await listen({ path })
  })

  afterAll(() => {
    for (const server of servers) server.close()
    rmSync(directory, { recursive: true, force: true })
    driver.dispose()
  })

  /** Answers to the probes, and what the driver wrote to descriptor 2. */
  async function probe(record: string, group: string, probes: readonly string[]) {
    const child = spawn(driver.path, ['run', record, group, driver.path, 'probe'])
    child.stdin.end(`${probes.join('\n')}\n`)
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    const [code] = await once(child, 'close')
    expect([code, err.replaceAll(/^(map|lost) .*\n/gm, '')]).toEqual([0, ''])
    const answers = out.trimEnd().split('\n')
    return { answers: Object.fromEntries(probes.map((text, index) => [text, answers[index]])), err }
  }

  /** The kernel lets go of them a little after the last holder did. */
  async function expectNoPrograms(): Promise<void> {
    for (let tries = 0; tries < 100 && driver.programs(PREFIX).length > 0; tries++) await sleep(20)
    expect(driver.programs(PREFIX)).toEqual([])
  }

  function mapBytes(err: string, name: string): Uint8Array {
    return Buffer.from(new RegExp(`^map ${name} ([0-9a-f]+)$`, 'm').exec(err)?.[1] ?? '', 'hex')
  }

  test('granted destinations are reached, and nothing else is', async () => {
    const reachable = (text: string): boolean => ipv6 || !text.includes('::')
    const granted = [
      `tcp 127.0.0.1 ${open}`,
      `tcp ::ffff:127.0.0.1 ${open}`,
      `tcp ::1 ${open}`,
      `mptcp 127.0.0.1 ${open}`,
      `unspec 127.0.0.1 ${open}`,
      `udp 127.0.0.1 ${open}`,
      `udp-mmsg ::1 ${open}`,
    ].filter(reachable)
    const denied = [
      `tcp 127.0.0.1 ${closed}`,
      `tcp ::ffff:127.0.0.1 ${closed}`,
      `tcp ::1 ${closed}`,
      `tcp 0.0.0.0 ${open}`,
      `tcp :: ${open}`,
      `mptcp 127.0.0.1 ${closed}`,
      `fastopen 127.0.0.1 ${closed}`,
      `unspec 127.0.0.1 ${closed}`,
      `udp 127.0.0.1 ${closed}`,
      `udp ::1 ${closed}`,
      `udp-connect 127.0.0.1 ${closed}`,
      `udp-mmsg 127.0.0.1 ${closed}`,
      `udp-unspec 127.0.0.1 ${closed}`,
      `udplite 127.0.0.1 ${open}`,
      'raw 127.0.0.1 1',
      'bind 127.0.0.1 0',
      'bind ::1 0',
      `unix-stream ${path} 0`,
    ].filter(reachable)
    const grants = (['tcp', 'udp'] as const).flatMap((protocol) => [
      grant('127.0.0.0/8', open, protocol),
      grant('::1', open, protocol),
    ])
    const object = egressBpf(grants, CLOSED)
    await withGroup(async (group) => {
      const control = await probe('-', group, [...granted, ...denied])
      // A kernel may have no MPTCP, UDP-Lite or Fast Open of its own; what fails without us shows nothing.
      const works = (text: string): boolean => ['ok', 'EINPROGRESS'].includes(control.answers[text] ?? '')
      expect(denied.filter((text) => !works(text) && !/^(mptcp|udplite|fastopen)/.test(text))).toEqual([])
      expect(granted.filter((text) => !works(text) && !text.startsWith('mptcp'))).toEqual([])

      const { answers, err } = await probe(driver.record(object), group, [...granted, ...denied])
      expect(granted.filter(works).map((text) => `${text}: ${answers[text]}`)).toEqual(
        granted.filter(works).map((text) => `${text}: ok`),
      )
      expect(denied.filter(works).map((text) => `${text}: ${answers[text]}`)).toEqual(
        denied.filter(works).map((text) => `${text}: EPERM`),
      )
      const counts = readDenials(mapBytes(err, DENIALS_MAP))
      expect(counts).toMatchObject({ bind4: 1n, bind6: ipv6 ? 1n : 0n, unix_connect: 1n })
      const total = Object.values(counts ?? {}).reduce((sum, count) => sum + count, 0n)
      expect(total).toBeGreaterThanOrEqual(BigInt(denied.filter(works).length))
    })
  })

  test('bind and unix sockets are open when they are granted', async () => {
    const probes = ['bind 127.0.0.1 0', `unix-stream ${path} 0`]
    await withGroup(async (group) => {
      const record = driver.record(egressBpf([], { bind: true, unixSockets: true }))
      expect(Object.values((await probe(record, group, probes)).answers)).toEqual(['ok', 'ok'])
    })
  })

  test('datagrams to unix sockets', async () => {
    // A stream socket takes none, which only those who may ask are told.
    const text = `unix-dgram ${path} 0`
    await withGroup(async (group) => {
      expect((await probe('-', group, [text])).answers[text]).toBe('EPROTOTYPE')
      const { answers, err } = await probe(driver.record(egressBpf([], CLOSED)), group, [text])
      expect(answers[text]).toBe('EPERM')
      expect(readDenials(mapBytes(err, DENIALS_MAP))).toMatchObject({ unix_send: 1n })
    })
  })

  test('a box whose loader was killed stays closed, and is gone with its directory', async () => {
    const object = renamed(egressBpf([grant('127.0.0.1', open)], CLOSED), PREFIX)
    await withGroup(async (group) => {
      // Questions over descriptor 3: Node closes 0 when the loader ends.
      const command = ['/bin/sh', '-c', 'exec "$0" probe <&3', driver.path]
      const loader = spawn(driver.path, ['run', driver.record(object), group, ...command], {
        stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
      })
      const [, output, , questions] = loader.stdio
      if (output === null || !(questions instanceof Writable)) throw new Error('no pipes')
      const answers = createInterface({ input: output })[Symbol.asyncIterator]()
      const ask = async (text: string) => {
        questions.write(`${text}\n`)
        return (await answers.next()).value
      }
      expect(await ask(`tcp 127.0.0.1 ${open}`)).toBe('ok')
      expect(driver.programs(PREFIX)).toHaveLength(9)

      loader.kill('SIGKILL')
      await exited(loader)
      expect(await ask(`tcp 127.0.0.1 ${closed}`)).toBe('EPERM')
      expect(await ask(`udp 127.0.0.1 ${closed}`)).toBe('EPERM')
      expect(await ask(`tcp 127.0.0.1 ${open}`)).toBe('ok')
      questions.end()
    })
    await expectNoPrograms()
  })

  test('programs add up: those that come later open nothing', async () => {
    const text = `tcp 127.0.0.1 ${open}`
    const wide = driver.record(egressBpf([grant('127.0.0.1', open)], CLOSED))
    await withGroup(async (group) => {
      expect((await probe(wide, group, [text])).answers[text]).toBe('ok')
      expect((await probe(driver.record(egressBpf([], CLOSED)), group, [text])).answers[text]).toBe('EPERM')
      expect((await probe(wide, group, [text])).answers[text]).toBe('EPERM')
    })
  })

  test('system calls of the group are counted, those of others are not', async () => {
    const UMASK = 95
    const noise = spawn(process.execPath, ['-e', 'for (;;) process.umask(0o22)'], { stdio: 'ignore' })
    try {
      await withGroup(async (group, cgroups) => {
        const object = renamed(syscallHistogram(cgroups.id ?? 0n), PREFIX)
        const script = 'for (let i = 0; i < 1000; i++) process.umask(0o22)'
        const { status, stderr } = spawnSync(
          driver.path,
          ['run', driver.record(object), group, process.execPath, '-e', script],
          { encoding: 'utf8' },
        )
        expect(status).toBe(0)
        const lost = BigInt(/^lost (\d+)$/m.exec(stderr)?.[1] ?? '-1')
        const counts = new Map(readSyscalls(mapBytes(stderr, SYSCALLS_MAP), lost)?.counts)
        expect(lost).toBeGreaterThanOrEqual(0n)
        expect(Number(counts.get(UMASK) ?? 0n) + Number(lost)).toBeGreaterThanOrEqual(1000)
        expect(Number(counts.get(UMASK))).toBeLessThan(1100)
        // execve, which the first program of the group did before it was anything else
        expect(counts.get(59)).toBe(1n)
      })
      // A tracepoint has no directory to stay on: it ended with its loader.
      await expectNoPrograms()
    } finally {
      noise.kill('SIGKILL')
    }
  })

  describe('a record that is wrong', () => {
    const load = (bytes: Uint8Array, group: string) => {
      const { status, stderr } = spawnSync(driver.path, ['run', driver.file(bytes), group, '/bin/true'], {
        encoding: 'utf8',
      })
      return { status, stderr }
    }
    const plain = (asm: Assembler): BpfObject => ({
      maps: [],
      programs: [
        {
          name: `${PREFIX}_x`,
          type: 18,
          expectedAttachType: 10,
          attachBtfId: 0,
          ...asm.assemble(),
          attach: { to: 'cgroup' },
        },
      ],
    })

    test('cut short anywhere, or longer, loads nothing', async () => {
      await withGroup((group) => {
        const whole = encodeBpf(renamed(egressBpf([grant('127.0.0.1', open)], CLOSED), PREFIX))
        expect(load(whole, group).status).toBe(0)
        const lengths = Array.from({ length: 40 }, (_, index) => Math.floor((index * whole.length) / 40))
        for (const length of [0, 1, 2, 3, whole.length - 1, ...lengths])
          expect(load(whole.subarray(0, length), group)).toMatchObject({ status: 125, stderr: /^record .*errno 74$/m })
        expect(load(Uint8Array.of(...whole, 0), group).status).toBe(125)
        expect(load(Uint8Array.of(2, ...whole.subarray(1)), group).stderr).toMatch(/^record/)
        // Only the whole one was ever attached.
        expect(driver.programs(PREFIX)).toHaveLength(9)
      })
    })

    test('any byte of it: the loader refuses or the kernel does, and neither crashes', async () => {
      await withGroup((group) => {
        const whole = encodeBpf(renamed(egressBpf([grant('127.0.0.1', open)], CLOSED), PREFIX))
        for (let at = 0; at < 160; at += 2) {
          const bytes = whole.slice()
          bytes[at] = (bytes[at] ?? 0) ^ 0xff
          expect([0, 125]).toContain(load(bytes, group).status)
        }
      })
    })

    test('the verifier is heard', async () => {
      await withGroup((group) => {
        const { status, stderr } = load(encodeBpf(plain(new Assembler().exit())), group)
        expect(status).toBe(125)
        expect(stderr).toMatch(/^program t\d+_x: errno 13$/m)
        expect(stderr).toContain('R0 !read_ok')
      })
    })

    test('a relocation into another instruction is none', async () => {
      await withGroup((group) => {
        const object = egressBpf([], CLOSED)
        const [program] = object.programs
        if (program === undefined) throw new Error('no program')
        for (const instruction of [0, program.instructions.length / 8, 0xffff_ffff]) {
          const bytes = encodeBpf({ ...object, programs: [{ ...program, relocations: [{ instruction, map: 0 }] }] })
          expect(load(bytes, group).stderr).toMatch(/^record ap_socket: errno 74$/m)
        }
      })
    })

    test('a directory of cgroup v1 takes no program', () => {
      const old = '/sys/fs/cgroup/pids'
      if (!existsSync(`${old}/cgroup.procs`)) return
      const record = encodeBpf(plain(new Assembler().mov('r0', 0).exit()))
      expect(load(record, old).stderr).toMatch(/^attach .*errno 9$/m)
    })
  })
})

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
