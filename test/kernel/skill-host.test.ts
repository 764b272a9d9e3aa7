// A module of a skill in its host: what it may do works, what it may not fails, and the same module outside shows that it
// would have worked. The box holds the module; nothing here rests on what the module or the program beside it does.

import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deny } from '../../src/core/denial.ts'
import { DeniedError } from '../../src/core/denied-error.ts'
import type { JsonValue } from '../../src/core/json.ts'
import type { Requirements } from '../../src/enforcer/feature.ts'
import type { Profile } from '../../src/enforcer/profile.ts'
import { SkillHostPool } from '../../src/linux/skill-host/pool.ts'
import { SkillHost, type SkillHostOwner, type SkillLog } from '../../src/linux/skill-host/skill-host.ts'
import { gatewayCalls, type ToolCalls } from '../../src/linux/skill-host/tool-calls.ts'
import { bundleOf, openPort, recordTypes } from '../agentport/fixture.ts'
import { type BuiltChild, buildChild } from '../linux/skill-host/build-child.ts'
import { ownDirectory, removeDirectories } from './support/linux-box.ts'
import { footprint, processesWith } from './support/linux-host.ts'
import { linuxEnforcer, profileOf } from './support/linux-supervised.ts'
import { kernelSuite, say } from './support/suite.ts'

const run = promisify(execFile)

const MODULE = `
import { execFileSync } from 'node:child_process'
import dgram from 'node:dgram'
import fs from 'node:fs'
import net from 'node:net'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'

globalThis.seen ??= 0

export const add = ({ a, b }) => a + b
export const count = () => ++globalThis.seen
export const echo = (input) => input
export const nothing = () => undefined
export const notPlain = () => new Map()
export const huge = () => 'x'.repeat(5_000_000)
export const throws = () => { throw new TypeError('no \\u001b[31m such thing') }
export const later = async () => { setTimeout(() => { throw new Error('later') }, 1); await new Promise(() => {}) }
export const exit = () => process.exit(7)
export const loop = () => { for (;;); }
export const sleep = () => new Promise(() => setInterval(() => {}, 1000))
export const environment = () => Object.keys(process.env).sort()
export const flags = () => ({ wasm: typeof WebAssembly, argv: process.execArgv })
export const gobble = () => { const all = []; for (;;) all.push(new Array(100_000).fill(Math.random())) }

export async function ask({ tool, args, times = 1 }, { tools }) {
  const answers = []
  for (let index = 0; index < times; index++) answers.push(await tools.call(tool, args))
  return answers
}
export async function askMany({ times }, { tools }) {
  const results = await Promise.allSettled(Array.from({ length: times }, (_, index) => tools.call('echo', { index })))
  return results.map(({ value, reason }) => value ?? reason.code)
}
export async function refusedCall({ tool, args = {} }, { tools }) {
  try { return { value: await tools.call(tool, args) } }
  catch ({ name, code = 'none', message, recoverable = 'none' }) { return { name, code, message, recoverable } }
}
export async function unreadableCall(_, { tools }) {
  return tools.call('echo', { at: new Date() }).catch(({ code }) => code)
}
export function talk(_, { log }) {
  console.log('to stdout'); console.error('to stderr'); process.stdout.write('raw\\n'); log('to log')
  for (let index = 0; index < 2000; index++) log('line ' + index + '\\ud800'.repeat(3000))
  return 'said'
}
export async function cancelled(_, { signal, tools }) {
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
  await tools.call('too_late', {}).catch(() => {})
}

// What the host must not let it do. Each tells what it got.
export const read = ({ path }) => fs.readFileSync(path, 'utf8')
export const write = ({ path }) => { fs.writeFileSync(path, 'was here'); return fs.readFileSync(path, 'utf8') }
export const spawn = ({ file }) => execFileSync(file, ['-c', 'echo spawned'], { encoding: 'utf8' })
export const connect = ({ port }) => new Promise((resolve, reject) => {
  const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve('connected') })
  socket.on('error', reject)
})
export const unixSocket = ({ path }) => new Promise((resolve, reject) => {
  const socket = net.connect(path, () => { socket.destroy(); resolve('connected') })
  socket.on('error', reject)
})
export const datagram = ({ port }) => new Promise((resolve, reject) => {
  const socket = dgram.createSocket('udp4')
  socket.on('error', reject)
  socket.send('x', port, '127.0.0.1', (error) => { socket.close(); error ? reject(error) : resolve('sent') })
})
export const kill = ({ pid }) => { process.kill(pid, 0); return 'reached' }
export const addon = ({ path }) => { process.dlopen({ exports: {} }, path); return 'loaded' }
export const requireAddon = ({ path }) => { createRequire(import.meta.url)(path); return 'loaded' }
export const secret = ({ name }) => { if (process.env[name] === undefined) throw new Error('unset'); return process.env[name] }
export const evaluate = () => eval('40 + 2')
export const construct = () => new Function('return 42')()
export const wasm = () => new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])) instanceof WebAssembly.Module
export const workerWithCompiler = () => new Promise((resolve, reject) => {
  const code = 'require("node:worker_threads").parentPort.postMessage(typeof WebAssembly + eval("1"))'
  const worker = new Worker(code, { eval: true, execArgv: [] })
  worker.on('message', (text) => text === 'object1' ? resolve(text) : reject(new Error(text)))
  worker.on('error', reject)
  worker.on('exit', () => reject(new Error('exit')))
})
export const ownNode = ({ code }) => execFileSync(process.execPath, ['--jitless', '--no-expose-wasm', '-e', code], { encoding: 'utf8' })

// Frames of its own making.
const frame = (text, length = Buffer.byteLength(text)) => {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(length)
  return Buffer.concat([head, Buffer.from(text)])
}
const put = (bytes) => { for (let at = 0; at < bytes.length; ) at += fs.writeSync(1, bytes, at) }
export async function forge({ text, length }) { put(frame(text, length)); await new Promise(() => setInterval(() => {}, 1000)) }
export async function forgeMany({ text, times }) {
  const one = frame(text)
  for (let index = 0; index < times; index++) put(one)
  await new Promise(() => setInterval(() => {}, 1000))
}
export async function forgeCalls({ times }) {
  for (let id = 1; id <= times; id++) put(frame(JSON.stringify({ type: 'call', id, tool: 'slow', args: {} })))
  await new Promise(() => setInterval(() => {}, 1000))
}
export async function forgeBytes({ size }) { put(Buffer.alloc(size, 120)); await new Promise(() => setInterval(() => {}, 1000)) }
export async function noise() { const part = Buffer.alloc(65536, 120); for (;;) { fs.writeSync(2, part); await null } }
export async function halfAndExit() { put(frame('{}', 10)); process.exit(0) }
`

const NOTHING = 'skill: example\n'

const tools: ToolCalls = async (tool, args) => {
  switch (tool) {
    case 'echo':
      return args
    case 'slow':
      return new Promise(() => undefined)
    case 'broken':
      throw new Error('the password of the database is 1234')
    case 'strange':
      return new Map()
    default:
      throw new DeniedError(
        deny('tool_undeclared', 'the manifest does not declare this tool', { subject: { node: 'n' } }),
      )
  }
}

await kernelSuite('skill host', () => {
  let child: BuiltChild
  let skill: string
  const hosts: SkillHost[] = []

  removeDirectories()

  beforeAll(async () => {
    child = await buildChild()
    skill = await ownDirectory()
    writeFileSync(join(skill, 'main.mjs'), MODULE)
    writeFileSync(join(skill, 'broken.mjs'), 'export const broken = (\n')
    mkdirSync(join(skill, 'lib'))
    writeFileSync(join(skill, 'lib', 'helper.mjs'), 'export const help = () => import.meta.url.slice(-14)\n')
    writeFileSync(join(skill, 'nested.mjs'), "export { help } from './lib/helper.mjs'\n")
  })

  afterAll(async () => {
    await Promise.all(hosts.map((host) => host.close()))
    child?.remove()
  })

  interface Options extends SkillHostOwner {
    readonly manifest?: string
    readonly profile?: Profile
    readonly entry?: string
    readonly callTimeoutMs?: number
    readonly requirements?: Requirements
  }

  async function open({
    manifest = NOTHING,
    profile = profileOf(manifest),
    entry = 'main.mjs',
    ...rest
  }: Options = {}) {
    const enforcer = await linuxEnforcer()
    const host = await SkillHost.open({
      enforcer,
      profile,
      directory: skill,
      entry,
      program: child.program,
      call: tools,
      ...rest,
    })
    hosts.push(host)
    return host
  }

  /** The same function of the same module, without a box. */
  async function outside(name: string, input: JsonValue, env: NodeJS.ProcessEnv = process.env): Promise<string> {
    const code = `import(${JSON.stringify(pathToFileURL(join(skill, 'main.mjs')).href)})
      .then((module) => module[${JSON.stringify(name)}](${JSON.stringify(input)}))
      .then((value) => { process.stdout.write(JSON.stringify(value)); process.exit(0) }, (error) => { process.stderr.write(String(error)); process.exit(1) })`
    const { stdout } = await run(process.execPath, ['-e', code], { env, timeout: 20_000 })
    return stdout
  }

  test('a function computes with plain data, as often as a shared host is asked', async () => {
    const host = await open()
    expect(await host.run('add', { a: 1, b: 2 })).toBe(3)
    expect(await host.run('nothing')).toBe(null)
    expect(await host.run('count')).toBe(1)
    expect(await host.run('count')).toBe(2)
    const value = { deep: [{ list: ['ä', '\u{1f600}', -1.5, true, null] }] }
    expect(await host.run('echo', value)).toEqual(value)
    expect(await host.run('flags')).toMatchObject({ wasm: 'undefined' })
    expect(host.report.features.fs_read.status).toBe('enforced')
    await host.close()
    expect(host.usable).toBe(false)
    await expect(host.run('add', { a: 1, b: 2 })).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
  })

  test('a module imports its own files', async () => {
    expect(await (await open({ entry: 'nested.mjs' })).run('help')).toBe('lib/helper.mjs')
  })

  test('an ephemeral host runs one function and ends', async () => {
    const host = await open({ manifest: `${NOTHING}execution_mode: ephemeral\n` })
    expect(await host.run('count')).toBe(1)
    expect(host.usable).toBe(false)
    await expect(host.run('count')).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    await host.over
  })

  test('one function at a time', async () => {
    const host = await open()
    const first = host.run('sleep')
    await expect(host.run('count')).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    const ended = expect(first).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    await host.close()
    await ended
  })

  test('tool calls go out and come back', async () => {
    const host = await open()
    expect(await host.run('ask', { tool: 'echo', args: { q: 1 } })).toEqual([{ q: 1 }])
    expect(await host.run('askMany', { times: 50 })).toEqual(Array.from({ length: 50 }, (_, index) => ({ index })))
    expect(await host.run('unreadableCall')).toBe('arguments_unreadable')
    const from = performance.now()
    await host.run('ask', { tool: 'echo', args: {}, times: 500 })
    say(`a tool call of a skill host takes ${((performance.now() - from) / 500).toFixed(2)} ms`)
  })

  test('a refusal crosses as a code and a sentence, and nothing of the host with it', async () => {
    const host = await open({ callTimeoutMs: 200 })
    expect(await host.run('refusedCall', { tool: 'nope' })).toMatchObject({
      name: 'ToolCallError',
      code: 'tool_undeclared',
      recoverable: 'narrower',
    })
    const broken = await host.run('refusedCall', { tool: 'broken' })
    expect(broken).toMatchObject({ code: 'tool_failed' })
    expect(JSON.stringify(broken)).not.toContain('1234')
    expect(await host.run('refusedCall', { tool: 'slow' })).toMatchObject({ code: 'tool_timeout' })
    expect(await host.run('refusedCall', { tool: 'strange' })).toMatchObject({ code: 'result_too_large' })
    expect(await host.run('refusedCall', { tool: 'no name' })).toMatchObject({ name: 'TypeError' })
    expect(await host.run('count')).toBe(1)
  })

  test('a host that was given no tools has none', async () => {
    const enforcer = await linuxEnforcer()
    const host = await SkillHost.open({
      enforcer,
      profile: profileOf(NOTHING),
      directory: skill,
      entry: 'main.mjs',
      program: child.program,
    })
    hosts.push(host)
    expect(await host.run('refusedCall', { tool: 'echo' })).toMatchObject({ code: 'tool_failed' })
  })

  test.each([
    ['throws', 'threw', 'ERR_SPAWN_FAILED'],
    ['later', 'threw', 'ERR_SPAWN_FAILED'],
    ['missing', 'load', 'ERR_SPAWN_FAILED'],
    ['toString', 'load', 'ERR_SPAWN_FAILED'],
    ['notPlain', 'result', 'ERR_VALUE_UNREADABLE'],
    ['huge', 'result', 'ERR_VALUE_UNREADABLE'],
  ])('%s fails as %s and the host goes on', async (name, reason, code) => {
    const host = await open()
    const error = await host.run(name).catch((thrown: unknown) => thrown as Error)
    expect(error).toMatchObject({ name: 'SkillHostError', reason, code })
    expect((error as Error).message).not.toContain('\u001b')
    expect(await host.run('add', { a: 1, b: 1 })).toBe(2)
  })

  test('a module that does not parse fails to load, and one that is not there', async () => {
    await expect((await open({ entry: 'broken.mjs' })).run('broken')).rejects.toMatchObject({ reason: 'load' })
    await expect((await open({ entry: 'absent.mjs' })).run('any')).rejects.toMatchObject({ reason: 'load' })
  })

  test('what it prints is a log line and never a frame', async () => {
    const lines: SkillLog[] = []
    const host = await open({ onLog: (line) => lines.push(line) })
    expect(await host.run('talk')).toBe('said')
    expect(lines.slice(0, 4)).toEqual([
      { stream: 'stdout', text: 'to stdout\n' },
      { stream: 'stderr', text: 'to stderr\n' },
      { stream: 'stdout', text: 'raw\n' },
      { stream: 'log', text: 'to log' },
    ])
    expect(lines).toHaveLength(1000)
    expect(lines.at(-1)?.text).toBe('what follows is not logged')
  })

  test.each([
    ['exit', 'ended', {}],
    ['loop', 'timeout', { timeoutMs: 300 }],
    ['sleep', 'timeout', { timeoutMs: 300 }],
  ])('%s is the end of the host', async (name, reason, options) => {
    const host = await open()
    await expect(host.run(name, null, options)).rejects.toMatchObject({ name: 'SkillHostError', reason })
    await host.over
    await expect(host.run('add', { a: 1, b: 2 })).rejects.toMatchObject({ reason })
  })

  test('the limits of the profile hold it', async () => {
    const wall = await open({ manifest: `${NOTHING}limits: { wall_ms: 1500 }\n` })
    await expect(wall.run('loop')).rejects.toMatchObject({ reason: 'ended' })
    const heap = await open({
      manifest: `${NOTHING}limits: { memory_mb: 96 }\n`,
      // Only root can hold the memory of all processes together; that of one is what is tried here.
      requirements: { limits: 'preferred' },
    })
    await expect(heap.run('gobble')).rejects.toMatchObject({ reason: 'ended' })
    const few = await open({
      manifest: `${NOTHING}limits: { processes: 16 }\n`,
      requirements: { limits: 'preferred' },
    })
    expect(await few.run('add', { a: 1, b: 2 })).toBe(3)
  })

  test('a signal ends it: the caller at once, the module a moment later, its tools with it', async () => {
    const calls: string[] = []
    const call: ToolCalls = async (tool) => calls.push(tool)
    for (const which of ['owner', 'run'] as const) {
      const controller = new AbortController()
      const host = await open({ call, ...(which === 'owner' ? { signal: controller.signal } : {}) })
      const running = host.run('cancelled', null, which === 'run' ? { signal: controller.signal } : {})
      const ended = expect(running).rejects.toMatchObject({ code: 'ERR_HALTED' })
      await new Promise((resolve) => setTimeout(resolve, 300))
      controller.abort()
      await ended
      await host.close()
    }
    expect(calls).toEqual([])
    await expect(open({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_HALTED' })
  })

  test('a tool that works for a module that has ended is told', async () => {
    const host = await open({
      call: (_tool, _args, signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true })),
    })
    await expect(host.run('ask', { tool: 'wait' }, { timeoutMs: 500 })).rejects.toMatchObject({ reason: 'timeout' })
  })

  test('what the box does not hold a module cannot do, and would outside', async () => {
    const elsewhere = await ownDirectory()
    const secret = join(elsewhere, 'secret')
    writeFileSync(secret, 'a secret')
    // One that the skill brings along, where the box can read it.
    const addon = join(skill, 'addon.node')
    writeFileSync(
      join(elsewhere, 'addon.c'),
      'void *napi_register_module_v1(void *env, void *it) { return (void)env, it; }',
    )
    await run('cc', ['-shared', '-fPIC', '-o', addon, join(elsewhere, 'addon.c')])
    const load = `process.dlopen({ exports: {} }, ${JSON.stringify(addon)}); console.log('loaded')`
    const server = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const socketPath = join(elsewhere, 'socket')
    const unix = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => unix.listen(socketPath, resolve))
    const env = { ...process.env, AGENTPORT_SECRET: 'a secret' }
    process.env['AGENTPORT_SECRET'] = 'a secret'
    const attacks: readonly (readonly [string, JsonValue])[] = [
      ['read', { path: secret }],
      ['read', { path: `/proc/${process.pid}/environ` }],
      ['write', { path: join(elsewhere, 'written') }],
      ['write', { path: join(skill, 'written.mjs') }],
      ['spawn', { file: '/bin/sh' }],
      ['connect', { port }],
      ['unixSocket', { path: socketPath }],
      ['datagram', { port }],
      ['kill', { pid: process.pid }],
      ['secret', { name: 'AGENTPORT_SECRET' }],
      ['addon', { path: addon }],
      ['requireAddon', { path: addon }],
      // Without the flags of the host: what holds is the box.
      ['ownNode', { code: load }],
      ['ownNode', { code: `console.log(require('node:fs').readFileSync(${JSON.stringify(secret)}, 'utf8'))` }],
      ['evaluate', {}],
      ['construct', {}],
      ['wasm', {}],
      ['workerWithCompiler', {}],
    ]
    try {
      const host = await open()
      for (const [name, input] of attacks) {
        expect(await outside(name, input, env), `${name} outside`).not.toBe('')
        const inside = await host.run(name, input).then(
          (value) => ({ value }),
          (error: unknown) => error,
        )
        expect(inside, `${name} ${JSON.stringify(input)}`).toMatchObject({ name: 'SkillHostError', reason: 'threw' })
      }
      expect(await host.run('ownNode', { code: 'console.log(6 * 7)' })).toBe('42\n')
      expect(await host.run('environment')).not.toContain('AGENTPORT_SECRET')
    } finally {
      delete process.env['AGENTPORT_SECRET']
      server.close()
      unix.close()
    }
  }, 120_000)

  const done = (id: number): string => JSON.stringify({ type: 'done', id, value: 'forged' })
  test.each<readonly [string, string, JsonValue]>([
    ['no JSON', 'forge', { text: '{not json' }],
    ['no object', 'forge', { text: '[1]' }],
    ['duplicate keys', 'forge', { text: '{"type":"done","type":"log","id":1,"value":1}' }],
    ['a type that is none', 'forge', { text: '{"type":"open_door"}' }],
    ['a member too many', 'forge', { text: '{"type":"done","id":1,"value":1,"more":1}' }],
    ['deep nesting', 'forge', { text: `{"type":"done","id":1,"value":${'['.repeat(100)}${']'.repeat(100)}}` }],
    ['another result', 'forge', { text: done(7) }],
    ['a call out of order', 'forge', { text: '{"type":"call","id":9,"tool":"echo","args":{}}' }],
    ['a call of no tool', 'forge', { text: '{"type":"call","id":1,"tool":"../x","args":{}}' }],
    ['another beginning', 'forge', { text: '{"type":"ready"}' }],
    ['a giant frame', 'forge', { text: '{}', length: 0x7fff_ffff }],
    ['an empty frame', 'forge', { text: '', length: 0 }],
    ['bytes', 'forgeBytes', { size: 5_000_000 }],
    ['too many calls at once', 'forgeCalls', { times: 17 }],
    ['a flood of lines', 'forgeMany', { text: '{"type":"log","stream":"log","text":"x"}', times: 1001 }],
    ['half a frame', 'halfAndExit', {}],
    ['noise on standard error', 'noise', {}],
  ])('%s ends the host', async (_, name, input) => {
    const host = await open()
    await expect(host.run(name, input)).rejects.toMatchObject({
      name: 'SkillHostError',
      reason: 'protocol',
      code: 'ERR_VALUE_UNREADABLE',
    })
    expect(host.usable).toBe(false)
  })

  test('a forged result is the result, and a forged call is a call like any other', async () => {
    const host = await open()
    expect(await host.run('forge', { text: done(1) })).toBe('forged')
    const asked: JsonValue[] = []
    const other = await open({ call: async (tool, args) => asked.push([tool, args]) })
    const forged = other.run(
      'forge',
      { text: '{"type":"call","id":1,"tool":"pay","args":{"sum":1}}' },
      { timeoutMs: 500 },
    )
    await expect(forged).rejects.toMatchObject({ reason: 'timeout' })
    expect(asked).toEqual([['pay', { sum: 1 }]])
  })

  test('with the right to make code there is a compiler, and still none for text', async () => {
    const host = await open({ manifest: `${NOTHING}process_rights: [executable_memory]\n` })
    expect(await host.run('flags')).toMatchObject({ wasm: 'object', argv: expect.not.arrayContaining(['--jitless']) })
    await expect(host.run('evaluate')).rejects.toMatchObject({ reason: 'threw' })
    // The control: without the right, and without the flag that does without it, there is no process.
    const without = await open()
    const code = "require('node:child_process').execFileSync(process.execPath, ['-e', '1'])"
    await expect(without.run('ownNode', { code })).rejects.toMatchObject({ reason: 'threw' })
    expect(await host.run('ownNode', { code: `${code}; console.log('ran')` })).toBe('ran\n')
  })

  test('in a gateway: confined by its node, every call judged and recorded, and over with the run', async () => {
    const reads = JSON.stringify([`${skill}/**`, child.program])
    const manifest = `skill: web
tools:
  - { name: module, input_schema: { type: object } }
  - { name: ping, input_schema: { type: object, additionalProperties: false } }
  - name: http_get
    input_schema: { type: object, properties: { url: { type: string } }, additionalProperties: false }
    resources: [{ from: /url, kind: url }]
allowed_hosts: [api.example.com]
allowed_binaries: [${process.execPath}]
readable_paths: ${reads}
`
    const policy = `version: 1
name: test
rules:
  - id: run-module
    effect: permit
    nodes: ["*"]
    tools: [module]
    binaries: [${process.execPath}]
    paths: { read: ${reads} }
  - { id: calls, effect: permit, nodes: ["*"], tools: [ping, http_get], hosts: [api.example.com] }
`
    const { port, audit } = await openPort({
      skills: [bundleOf(manifest)],
      policy: { file: 'policy.yaml', text: policy },
      enforcer: await linuxEnforcer(),
      // A loaded machine must not make this test about time.
      timeoutMs: 100,
    })
    const toolScope = ['module', 'ping', 'http_get']
    const agents = await port.openRun({ graph: { nodes: { fetch: { skill: 'web', toolScope } } }, principal: 'tester' })
    const node = await agents.admit('fetch')
    const host = await SkillHost.open({
      confinement: await node.confine('module'),
      directory: skill,
      entry: 'main.mjs',
      program: child.program,
      executionMode: 'shared',
      signal: node.signal,
      call: gatewayCalls(node, async (tool, args) => ({ tool, args })),
    })
    hosts.push(host)
    expect(await host.run('ask', { tool: 'ping', args: {} })).toEqual([{ tool: 'ping', args: {} }])
    const url = 'https://elsewhere.example.com/?k=secret'
    expect(await host.run('refusedCall', { tool: 'http_get', args: { url } })).toMatchObject({
      code: 'resource_undeclared',
      recoverable: 'narrower',
    })
    expect(recordTypes(audit)).toContain('process.confined')
    expect(recordTypes(audit).filter((type) => type.startsWith('call.'))).toEqual([
      'call.allowed',
      'call.outcome',
      'call.denied',
    ])
    const running = expect(host.run('sleep')).rejects.toMatchObject({ code: 'ERR_HALTED' })
    await agents.halt({ reason: 'stop' })
    await running
    await agents.close()
    await port.close()
  })

  test('a given box belongs to the host', async () => {
    const enforcer = await linuxEnforcer()
    const box = await enforcer.open(profileOf(`${NOTHING}allowed_binaries: [/bin/true]\n`))
    const files = { directory: skill, entry: 'main.mjs', program: child.program }
    await expect(SkillHost.open({ confinement: box, ...files })).rejects.toMatchObject({ code: 'ERR_SPAWN_FAILED' })
    await expect(box.spawn({ file: '/bin/true', args: [] })).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    const needed = profileOf(
      `${NOTHING}allowed_binaries: [${process.execPath}]\nreadable_paths: ["${skill}/**", "${child.program}"]\n`,
    )
    const host = await SkillHost.open({ confinement: await enforcer.open(needed), ...files, executionMode: 'shared' })
    hosts.push(host)
    expect(await host.run('add', { a: 20, b: 22 })).toBe(42)
  })

  test('every host of a pool is fresh, and none is left when it is closed', async () => {
    const enforcer = await linuxEnforcer()
    await Promise.all(hosts.splice(0).map((host) => host.close()))
    expect(processesWith(child.program)).toEqual([])
    const before = footprint()
    const pool = await SkillHostPool.open({
      enforcer,
      profile: profileOf(NOTHING),
      directory: skill,
      entry: 'main.mjs',
      program: child.program,
      size: 2,
    })
    const times: number[] = []
    for (let index = 0; index < 100; index++) {
      const from = performance.now()
      const host = await pool.take({ call: tools })
      expect(await host.run('count')).toBe(1)
      times.push(performance.now() - from)
      await host.close()
    }
    await pool.close()
    expect(pool.ready).toBe(0)
    await expect(pool.take({})).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    const after = footprint()
    expect(after.children).toEqual(before.children)
    expect(after.mounts).toEqual(before.mounts)
    expect(after.directories).toEqual(before.directories)
    expect(after.descriptors).toBeLessThanOrEqual(before.descriptors + 4)
    expect(processesWith(child.program)).toEqual([])
    times.sort((a, b) => a - b)
    say(`from a pool to a result: median ${times[50]?.toFixed(0)} ms, slowest ${times[99]?.toFixed(0)} ms`)
  }, 180_000)

  test('a waiting host is replaced when it ends or has waited too long; its owner has the whole wall time', async () => {
    const enforcer = await linuxEnforcer()
    const pool = await SkillHostPool.open({
      enforcer,
      profile: profileOf(`${NOTHING}limits: { wall_ms: 600 }\n`),
      directory: skill,
      entry: 'main.mjs',
      program: child.program,
      size: 1,
      idleMs: 1500,
    })
    await new Promise((resolve) => setTimeout(resolve, 900))
    const host = await pool.take({})
    expect(await host.run('count')).toBe(1)
    await expect(host.run('loop')).rejects.toMatchObject({ reason: 'timeout' })
    await host.close()
    await new Promise((resolve) => setTimeout(resolve, 2500))
    const other = await pool.take({})
    expect(await other.run('count')).toBe(1)
    await other.close()
    await pool.close()
    expect(processesWith(child.program)).toEqual([])
  })
})
