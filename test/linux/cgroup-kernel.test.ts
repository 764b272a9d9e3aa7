// Control groups on this machine's kernel, as root: limits that hold, kills that leave nothing, directories that go.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'

import { type CgroupLimits, type Cgroups, openCgroups, sweepCgroups } from '../../src/linux/cgroup/cgroups.ts'
import { type CgroupHost, kernelHost } from '../../src/linux/cgroup/host.ts'
import { skipLoudly } from './bpf/support.ts'

const JOIN = 'for directory in $GROUPS_TO_JOIN; do echo $$ > "$directory/cgroup.procs" || exit 99; done; '

/** A shell that joins and then runs the script. */
function inside(cgroups: Cgroups, script: string): ChildProcess {
  const paths = [cgroups.paths.v2 ?? '', ...cgroups.paths.v1]
  const env = { PATH: process.env['PATH'] ?? '', GROUPS_TO_JOIN: paths.join(' ') }
  return spawn('/bin/sh', ['-c', JOIN + script], { env, stdio: ['ignore', 'pipe', 'ignore'] })
}

async function withGroups(
  limits: CgroupLimits,
  use: (cgroups: Cgroups) => Promise<void>,
  host: CgroupHost = kernelHost,
): Promise<void> {
  const opened = openCgroups(limits, host)
  if (!opened.ok) throw new Error(opened.reason)
  try {
    await use(opened.cgroups)
  } finally {
    await opened.cgroups.kill()
    expect(await opened.cgroups.remove()).toBe(true)
  }
}

async function output(child: ChildProcess): Promise<string> {
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  await once(child, 'close')
  return text
}

const LIMITS: CgroupLimits = { processes: 12, memoryBytes: 64 << 20 }

describe.skipIf(skipLoudly('control groups in a real kernel'))('in a real kernel', () => {
  test('the directories are there, and the id is the inode', async () => {
    let paths: readonly string[] = []
    await withGroups(LIMITS, async (cgroups) => {
      paths = [cgroups.paths.v2 ?? '', ...cgroups.paths.v1]
      expect(paths.filter((path) => !existsSync(`${path}/cgroup.procs`))).toEqual([])
      expect(cgroups.id).toBe(statSync(cgroups.paths.v2 ?? '', { bigint: true }).ino)
      expect([cgroups.limits.processes?.state, cgroups.limits.memoryBytes?.state]).toEqual(['enforced', 'enforced'])
      expect(cgroups.populated()).toBe(false)
    })
    expect(paths.filter((path) => existsSync(path))).toEqual([])
  })

  test('processes', async () => {
    const script = 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 5 & done; echo all'
    await withGroups({}, async (cgroups) => {
      const child = inside(cgroups, script)
      child.stdout?.once('data', () => void cgroups.kill())
      expect(await output(child)).toBe('all\n')
    })
    await withGroups(LIMITS, async (cgroups) => {
      const child = inside(cgroups, script)
      const said = output(child)
      await once(child, 'exit')
      await cgroups.kill()
      expect(await said).toBe('')
    })
  })

  test('memory', async () => {
    const script = `exec "${process.execPath}" -e 'const b = Buffer.alloc(200 << 20, 1); console.log(b.length)'`
    await withGroups({}, async (cgroups) => {
      expect(await output(inside(cgroups, script))).toBe(`${200 << 20}\n`)
    })
    await withGroups({ memoryBytes: 100 << 20 }, async (cgroups) => {
      const child = inside(cgroups, script)
      expect(await output(child)).toBe('')
      expect(child.signalCode).toBe('SIGKILL')
    })
  })

  const withoutKill: CgroupHost = {
    ...kernelHost,
    write: (path, text) => {
      if (path.endsWith('/cgroup.kill')) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
      kernelHost.write(path, text)
    },
  }

  test.each([
    ['cgroup.kill', kernelHost],
    ['one by one', withoutKill],
  ] as const)('%s leaves nothing of what forks, daemons too', async (_, host) => {
    await withGroups(
      { processes: 200 },
      async (cgroups) => {
        const fork = 'while :; do (sleep 0.01; :) & done'
        const child = inside(cgroups, `setsid sh -c 'sleep 100 & sleep 100' & ${fork} & ${fork} & wait`)
        child.stdout?.resume()
        const procs = `${cgroups.paths.v2}/cgroup.procs`
        for (let tries = 0; tries < 200 && readFileSync(procs, 'utf8').split('\n').length < 20; tries++) await sleep(10)
        expect(readFileSync(procs, 'utf8').split('\n').length).toBeGreaterThan(10)
        expect(cgroups.populated()).toBe(true)
        expect(await cgroups.remove(5)).toBe(false)
        expect(await cgroups.kill()).toBe(true)
        expect(readFileSync(procs, 'utf8')).toBe('')
        expect(cgroups.populated()).toBe(false)
      },
      host,
    )
  })

  test('a leftover of a process that is gone is swept, one of a process that runs is not', async () => {
    await withGroups({}, async (cgroups) => {
      const parent = dirname(cgroups.paths.v2 ?? '')
      const [, own = ''] = /-([0-9]+)-[0-9a-f]{8}$/.exec(cgroups.paths.v2 ?? '') ?? []
      const { pid } = spawnSync('/bin/true')
      const gone = `${parent}/agentport-${pid}-1-${own}-0000abcd`
      const elsewhere = `${parent}/agentport-${pid}-1-1-0000abcd`
      mkdirSync(gone)
      mkdirSync(elsewhere)
      try {
        expect(sweepCgroups()).toBeGreaterThanOrEqual(1)
        expect([gone, elsewhere, cgroups.paths.v2 ?? ''].map((path) => existsSync(path))).toEqual([false, true, true])
      } finally {
        rmdirSync(elsewhere)
      }
    })
  })
})
