// What an attack is let loose on: a directory tree with what was granted and what was not, and a process outside that owns
// secrets and listens. One for every attempt, so that what one attempt did is not taken for the work of another.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, lstat, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { type Arsenal, corpusDirectory, place, placeCode } from './attack-arsenal.ts'

/** Where the outsider keeps what it has. */
export interface Outsider {
  readonly pid: number
  /** Of sixteen bytes of its memory, as a decimal number. */
  readonly address: string
  readonly descriptor: number
  readonly segment: number
  readonly queue: number
  readonly semaphore: number
  readonly terminal: string
  readonly ports: Readonly<Record<string, number>>
}

export type Phase = 'control' | 'confined'

export class AttackHost {
  readonly phase: Phase
  readonly root: string
  /** Granted for writing. */
  readonly work: string
  /** Granted for reading. */
  readonly input: string
  /** Not granted. */
  readonly secret: string
  readonly gateway: string
  /** The listed program: all attacks in one. */
  readonly listed: string
  /** A program in a directory where the box may write, listed by some profiles. */
  readonly tool: string
  /** Where a program with a setuid bit can be put. */
  readonly setuid: string
  /** Unlisted code in a readable place. */
  readonly payload: string
  readonly dynamicPayload: string
  readonly library: string
  readonly code: string
  /** Unlisted code in a place that was not granted. */
  readonly hidden: string
  /** What the payload leaves behind. */
  readonly mark: string
  /** What only this attempt can have sent or read. */
  readonly token: string
  /** Name of the outsider's objects in name spaces that the whole machine shares. */
  readonly name: string
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #watched: string[]
  #outsider: Outsider | undefined
  #before: ReadonlyMap<string, string> = new Map()
  #proxy: Server | undefined

  private constructor(root: string, arsenal: Arsenal, phase: Phase) {
    this.phase = phase
    this.root = root
    this.work = join(root, 'work')
    this.input = join(root, 'input')
    this.secret = join(root, 'secret')
    this.gateway = join(root, 'gateway')
    this.listed = join(root, 'bin', 'attacks')
    this.hidden = join(root, 'bin', 'payload')
    this.tool = join(root, 'work', 'tools', 'tool')
    this.setuid = join(root, 'bin', 'setuid')
    this.payload = join(root, 'input', 'payload')
    this.dynamicPayload = join(root, 'input', 'payload-dynamic')
    this.library = join(root, 'input', 'evil.so')
    this.code = join(root, 'input', 'code')
    this.mark = join(root, 'work', 'ran')
    this.token = `t${randomBytes(9).toString('hex')}`
    this.name = `attack-${randomBytes(6).toString('hex')}`
    this.#watched = [`/tmp/${this.name}`, `/dev/shm/${this.name}`]
    this.#child = spawn(arsenal.outsider, [this.secret, this.work, this.name, this.token], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { AGENTPORT_TOKEN: this.token },
    })
    this.#child.on('error', () => undefined)
    this.#lines = lines(this.#child)
  }

  static async open(arsenal: Arsenal, phase: Phase): Promise<AttackHost> {
    const root = await corpusDirectory()
    await chmod(root, 0o755)
    for (const directory of ['work/tools', 'work/repo/.git/hooks', 'input/private', 'secret/empty', 'bin', 'gateway']) {
      await mkdir(join(root, directory), { recursive: true })
    }
    // The outsider opens the secret, whose content it gets afterwards: its own token.
    await writeFile(join(root, 'secret', 'secret.txt'), '')
    const host = new AttackHost(root, arsenal, phase)
    await Promise.all([
      writeFile(join(root, 'secret', 'secret.txt'), `secret ${host.token}\n`),
      writeFile(join(root, 'input', 'data.txt'), `data ${host.token}\n`),
      writeFile(join(root, 'input', 'private', 'key'), `key ${host.token}\n`),
      writeFile(join(root, 'work', 'note.txt'), 'note\n'),
      writeFile(join(root, 'work', 'repo', '.git', 'config'), '[core]\n'),
      writeFile(join(root, 'work', 'repo', '.git', 'hooks', 'sample'), '#!/bin/sh\n'),
      writeFile(join(root, 'gateway', 'policy.yaml'), 'rules: []\n'),
      writeFile(join(root, 'gateway', 'token'), `token ${host.token}\n`),
      writeFile(join(root, 'gateway', 'audit.jsonl'), '{}\n'),
      writeFile(join(root, 'work', 'gconv-modules'), 'module EVIL// INTERNAL EVIL 1\nmodule INTERNAL EVIL// EVIL 1\n'),
      symlink(join(root, 'secret', 'secret.txt'), join(root, 'work', 'linked')),
      symlink(join(root, 'secret'), join(root, 'work', 'linked-directory')),
      placeCode(host.code),
      place(arsenal.attacks, host.listed),
      place(arsenal.attacks, host.tool),
      place(arsenal.payload, host.payload),
      place(arsenal.payload, host.hidden),
      place(arsenal.dynamicPayload, host.dynamicPayload),
      place(arsenal.library, host.library),
      place(arsenal.library, join(root, 'work', 'EVIL.so')),
    ])
    host.#outsider = JSON.parse(await host.#line()) as Outsider
    return host
  }

  get outsider(): Outsider {
    if (this.#outsider === undefined) throw new Error('the outsider did not start')
    return this.#outsider
  }

  port(channel: string): string {
    const port = this.outsider.ports[channel]
    return port === undefined || port === 0 ? '1' : String(port)
  }

  /** Paths that are granted and must stay as they are all the same. */
  watch(...paths: readonly string[]): void {
    this.#watched.push(...paths)
  }

  /** To be called when everything is arranged. */
  async begin(): Promise<void> {
    this.#before = await this.#snapshot()
  }

  /** What is different outside of the granted directory since {@link begin}. */
  async changes(): Promise<readonly string[]> {
    const after = await this.#snapshot()
    const differing = [...new Set([...this.#before.keys(), ...after.keys()])]
    return differing.filter((path) => this.#before.get(path) !== after.get(path))
  }

  marked(): boolean {
    return existsSync(this.mark)
  }

  /** What has reached the outsider, a line each: channel and message. */
  async received(): Promise<readonly string[]> {
    // Whatever was sent and not yet read is read first: the outsider polls its sockets before its input.
    await new Promise((resolve) => setTimeout(resolve, 20))
    this.#child.stdin?.write('\n')
    const all: string[] = []
    for (let line = await this.#line(); line !== '.'; line = await this.#line()) all.push(line)
    return all
  }

  async heard(): Promise<boolean> {
    return (await this.received()).some((line) => line.includes(this.token) && !line.startsWith('memory '))
  }

  /** A proxy that leads anywhere: what an attack on the box's own proxy is compared with. */
  async openProxy(): Promise<number> {
    const server = createServer((client) => {
      client.on('error', () => client.destroy())
      client.once('data', (first) => forward(client, first))
    })
    this.#proxy = server
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return address.port
  }

  async close(): Promise<void> {
    this.#proxy?.close()
    const ended = new Promise<void>((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) resolve()
      else this.#child.once('close', () => resolve())
    })
    this.#child.stdin?.end()
    // An attack may have stopped it.
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), 2000)
    await ended
    clearTimeout(patience)
    for (const shared of this.#watched.slice(0, 2)) await rm(shared, { force: true })
    // What a control left running may still be writing.
    await rm(this.root, { recursive: true, force: true, maxRetries: 20, retryDelay: 25 })
    // What a control wrote where everybody may.
    for (const left of [`/tmp/${this.name}-x`, `/tmp/${this.name}-x.so`, `/dev/shm/${this.name}-x`]) {
      await rm(left, { force: true })
    }
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error('the outsider is gone')
    return value
  }

  async #snapshot(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>()
    for (const start of [this.input, this.secret, this.gateway, dirname(this.listed), ...this.#watched]) {
      await describe(start, found)
    }
    return found
  }
}

/** The change time stands for everything there is to change: content, mode, owner, attributes, links. */
async function describe(path: string, found: Map<string, string>): Promise<void> {
  const stat = await lstat(path, { bigint: true }).catch(() => undefined)
  if (stat === undefined) return
  const content = stat.isFile() && stat.size < 4096n ? await readFile(path, 'utf8').catch(() => '') : ''
  found.set(path, `${stat.ino} ${stat.mode} ${stat.uid} ${stat.size} ${stat.ctimeNs} ${content}`)
  if (stat.isDirectory()) for (const name of await readdir(path)) await describe(join(path, name), found)
}

async function* lines(child: ChildProcess): AsyncGenerator<string, void, undefined> {
  let text = ''
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk)
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
      yield text.slice(0, end)
      text = text.slice(end + 1)
    }
  }
}

function forward(client: Socket, first: Buffer): void {
  const connect = (host: string, port: number, then: (upstream: Socket) => void): void => {
    const upstream = createConnection({ host, port }, () => then(upstream))
    upstream.on('error', () => client.destroy())
    client.on('close', () => upstream.destroy())
  }
  const join = (upstream: Socket): void => {
    client.pipe(upstream)
    upstream.pipe(client)
  }
  if (first[0] === 5) {
    client.write(Buffer.from([5, 0]))
    client.once('data', (asked) => {
      const named = asked[3] === 3
      const end = named ? 5 + (asked[4] ?? 0) : 8
      const host = named ? asked.subarray(5, end).toString() : [...asked.subarray(4, 8)].join('.')
      connect(host, asked.readUInt16BE(end), (upstream) => {
        client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]))
        join(upstream)
      })
    })
    return
  }
  const [, method, host = '', port = ''] = /^(\S+) (?:http:\/\/)?([^:/ ]+):(\d+)/.exec(first.toString('latin1')) ?? []
  connect(host, Number(port), (upstream) => {
    if (method === 'CONNECT') client.write('HTTP/1.1 200 OK\r\n\r\n')
    else upstream.write(first)
    join(upstream)
  })
}

/** The first block device of this machine, as /proc/partitions names it. */
export function firstDisk(): { readonly major: string; readonly minor: string; readonly path: string } {
  const text = existsSync('/proc/partitions') ? readFileSync('/proc/partitions', 'utf8') : ''
  const [, major = '0', minor = '0', name = 'none'] = /^\s*(\d+)\s+(\d+)\s+\d+\s+(\S+)$/m.exec(text) ?? []
  return { major, minor, path: `/dev/${name}` }
}

/** Where control groups of version 2 are, if anywhere. */
export function cgroupMount(): string {
  const text = existsSync('/proc/self/mountinfo') ? readFileSync('/proc/self/mountinfo', 'utf8') : ''
  const line = text.split('\n').find((one) => one.includes(' - cgroup2 '))
  return line?.split(' ')[4] ?? '/none'
}
