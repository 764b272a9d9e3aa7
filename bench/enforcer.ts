// What confinement costs: starting a program, running one, and talking to a server, beside the same thing without a box, in
// bubblewrap and in sandbox-runtime, alternated in one run. Prints medians and ratios; nothing here is a test.
//
//   npm run bench:enforcer                      all of it
//   npm run bench:enforcer -- start traffic     parts of it: start, work, traffic

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'

import { buildNative, LinuxEnforcer } from '@agentport/gateway/linux'

import { profileFor } from './enforcer/profile.ts'
import { bubblewrap, sandboxRuntime } from './enforcer/rivals.ts'
import { median, quantile } from './enforcer/statistics.ts'
import { measureTraffic } from './enforcer/traffic.ts'

const STARTS = Number(process.env['BENCH_STARTS'] ?? 100)
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 11)

const parts = process.argv.slice(2)
const wants = (part: string): boolean => parts.length === 0 || parts.includes(part)

await buildNative()
const enforcer = await LinuxEnforcer.open()
console.log(`Linux ${release()}, Node ${process.version}, uid ${process.geteuid?.()}, ${cpus().length} processors`)

if (wants('start')) await starts()
if (wants('work')) await work()
if (wants('traffic')) await measureTraffic(enforcer)
await enforcer.close()

async function starts(): Promise<void> {
  const profile = profileFor({ binaries: ['/usr/bin/true'] })
  const rival = bubblewrap()
  const other = await sandboxRuntime()
  const inside = await enforcer.open(profile)
  const ways: [string, () => Promise<void>][] = [
    ['plain spawn', () => ended(spawn('/usr/bin/true', [], { stdio: ['ignore', 'pipe', 'pipe'] }))],
    [
      'new box',
      async () => {
        const box = await enforcer.open(profile)
        const { exited } = await box.spawn({ file: '/usr/bin/true', args: [] })
        await exited
        // The end of the box is not waited for by whoever wants the result; it is awaited outside of the clock.
        closing.push(box.close())
      },
    ],
    [
      'warm box',
      async () => {
        const box = await enforcer.open(profile)
        const { exited } = await box.spawn({ file: '/usr/bin/true', args: [] })
        await exited
        closing.push(box.close())
      },
    ],
    [
      'open box, next command',
      async () => {
        const { exited } = await inside.spawn({ file: '/usr/bin/true', args: [] })
        await exited
      },
    ],
  ]
  const closing: Promise<void>[] = []
  if (rival !== undefined) ways.push(['bubblewrap', () => ended(rival('/usr/bin/true'))])
  if (other !== undefined) ways.push(['sandbox-runtime', () => ended(other('/usr/bin/true'))])
  const times = new Map<string, number[]>(ways.map(([name]) => [name, []]))
  for (let round = -5; round < STARTS; round++) {
    for (const [name, way] of ways) {
      // Slow ones are measured less often.
      if (name === 'sandbox-runtime' && round >= 20) continue
      if (name === 'warm box') await enforcer.prewarm(profile, 1)
      const start = performance.now()
      await way()
      const took = performance.now() - start
      await Promise.all(closing.splice(0))
      if (round >= 0) times.get(name)?.push(took)
    }
  }
  await inside.close()
  const plain = median(times.get('plain spawn') ?? [])
  console.log(`\nstart of true(1), until its end; ${STARTS} starts each, alternated`)
  for (const [name, all] of times) {
    const p50 = median(all)
    const ratio = (p50 / plain).toFixed(2)
    console.log(`  ${name.padEnd(24)} p50 ${ms(p50)}  p95 ${ms(quantile(all, 0.95))}  ×${ratio} of plain`)
  }
  const bwrap = times.get('bubblewrap')
  if (bwrap !== undefined && bwrap.length > 0) {
    const ratio = median(times.get('new box') ?? []) / median(bwrap)
    console.log(`  a new box costs ×${ratio.toFixed(2)} of bubblewrap`)
  }
}

interface Work {
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
  readonly cwd?: string
}

async function work(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'agentport-bench-'))
  try {
    const works = prepareWork(directory)
    const box = await enforcer.open(
      profileFor({
        binaries: works.map(({ file }) => file),
        read: [`${directory}/**`, '/usr/**'],
        write: [`${directory}/out/**`],
        execute: ['/usr/**'],
        rights: ['executable_memory'],
      }),
    )
    console.log(`\nwork inside an open box, ratio to the same outside; medians of ${ROUNDS} alternated runs`)
    for (const { name, file, args, cwd } of works) {
      const outside: number[] = []
      const inside: number[] = []
      for (let round = -1; round < ROUNDS; round++) {
        const at = performance.now()
        await ended(spawn(file, args, { cwd: cwd ?? directory, stdio: ['ignore', 'ignore', 'ignore'], env: ENV }))
        const between = performance.now()
        const command = await box.spawn({ file, args, cwd: cwd ?? directory })
        void drain(command.stdout)
        void drain(command.stderr)
        const status = await command.exited
        const end = performance.now()
        if (status.code !== 0) throw new Error(`${name} ended inside with ${JSON.stringify(status)}`)
        if (round < 0) continue
        outside.push(between - at)
        inside.push(end - between)
      }
      const [a, b] = [median(outside), median(inside)]
      console.log(`  ${name.padEnd(24)} outside ${ms(a)}  inside ${ms(b)}  ×${(b / a).toFixed(3)}`)
    }
    await box.close()
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 20 })
  }
}

const ENV = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp' }

function prepareWork(directory: string): readonly Work[] {
  mkdirSync(join(directory, 'out'))
  const tree = join(directory, 'tree')
  mkdirSync(tree)
  for (let folder = 0; folder < 100; folder++) {
    mkdirSync(join(tree, `d${folder}`))
    for (let file = 0; file < 100; file++)
      writeFileSync(join(tree, `d${folder}`, `f${file}.txt`), `${folder} ${file}\n`)
  }
  const git = (...args: string[]): unknown => execFileSync('git', ['-C', tree, ...args], { stdio: 'ignore' })
  git('init', '-q')
  git('config', 'gc.auto', '0')
  git('add', '.')
  git('-c', 'user.name=bench', '-c', 'user.email=bench@example.com', 'commit', '-qm', 'tree')
  writeFileSync(join(directory, 'a.c'), '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
  writeFileSync(
    join(directory, 'stat.js'),
    `const fs = require('node:fs'); for (let i = 0; i < 100000; i++) fs.statSync(${JSON.stringify(tree)})\n`,
  )
  const works: Work[] = [
    { name: 'find, 10,000 files', file: '/usr/bin/find', args: [tree, '-type', 'f', '-newer', '/dev/null'] },
    { name: 'git status', file: '/usr/bin/git', args: ['--no-optional-locks', '-C', tree, 'status', '--porcelain'] },
    { name: 'gcc', file: '/usr/bin/gcc', args: ['-o', join(directory, 'out', 'a'), join(directory, 'a.c')] },
    { name: 'node, 100,000 stats', file: process.execPath, args: [join(directory, 'stat.js')] },
    { name: 'python start', file: '/usr/bin/python3', args: ['-c', 'import json, re'] },
  ]
  return works.filter(({ file, name }) => {
    if (existsSync(file)) return true
    console.log(`  ${name} left out: there is no ${file}`)
    return false
  })
}

async function drain(stream: ReadableStream<Uint8Array>): Promise<void> {
  for await (const _ of stream);
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve())
  })
}

function ms(value: number): string {
  return `${value.toFixed(2).padStart(7)} ms`
}
