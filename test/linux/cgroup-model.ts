// A kernel with control groups, as far as making, filling and removing groups goes: the files a new directory has, who
// may hand controllers down, what can be removed. For layouts that the machine of the tests does not have.

import type { CgroupHost } from '../../src/linux/cgroup/host.ts'

interface Group {
  readonly version: 1 | 2
  readonly files: Map<string, string>
  readonly members: Set<number>
}

export interface Layout {
  readonly mountinfo: string
  readonly cgroup: string
  /** Mount points of v2 and its controllers. */
  readonly v2?: { readonly mount: string; readonly controllers: readonly string[] }
  /** Mount points of v1 by controller. */
  readonly v1?: Readonly<Record<string, string>>
  /** Directories that are there, parents first. */
  readonly groups?: readonly string[]
  /** Directories that hand all their controllers down. */
  readonly handed?: readonly string[]
  /** Directories with processes in them. */
  readonly occupied?: Readonly<Record<string, readonly number[]>>
  /** Whether v2 has cgroup.kill. */
  readonly kill?: boolean
  /** Paths that may not be written. */
  readonly forbidden?: (path: string) => boolean
  readonly swap?: boolean
  readonly memsw?: boolean
}

export class ModelHost implements CgroupHost {
  readonly groups = new Map<string, Group>()
  /** Start times of running processes. */
  readonly running = new Map<number, string>()
  readonly killed: number[] = []
  /** Groups that refuse this many removals, as one with a process nobody has waited for does. */
  readonly unreaped = new Map<string, number>()
  /** Processes that a signal does not end. */
  readonly stuck = new Set<number>()
  pid = 77
  start = '500'
  namespace = 4026531836n
  #random = 0
  readonly #layout: Layout
  #ready = false

  constructor(layout: Layout) {
    this.#layout = layout
    this.running.set(this.pid, this.start)
    if (layout.v2 !== undefined) this.#make(layout.v2.mount, 2, layout.v2.controllers)
    for (const mount of Object.values(layout.v1 ?? {})) this.#make(mount, 1, [])
    for (const path of layout.groups ?? []) this.mkdir(path)
    for (const path of layout.handed ?? [])
      for (const controller of layout.v2?.controllers ?? [])
        this.write(`${path}/cgroup.subtree_control`, `+${controller}`)
    for (const [path, pids] of Object.entries(layout.occupied ?? {})) for (const pid of pids) this.join(path, pid)
    this.#ready = true
  }

  join(path: string, pid: number): void {
    this.#group(path).members.add(pid)
    this.running.set(pid, this.running.get(pid) ?? '9')
  }

  /** The directories below any `agentport`. */
  ours(): readonly string[] {
    return [...this.groups.keys()].filter((path) => path.includes('/agentport/'))
  }

  file(path: string): string | undefined {
    const at = path.lastIndexOf('/')
    return this.groups.get(path.slice(0, at))?.files.get(path.slice(at + 1))
  }

  read(path: string): string {
    if (path === '/proc/self/mountinfo') return this.#layout.mountinfo
    if (path === '/proc/self/cgroup') return this.#layout.cgroup
    if (path === '/proc/swaps')
      return `Filename Type Size Used Priority\n${this.#layout.swap === true ? '/dev/vdb partition 1 0 -2\n' : ''}`
    const stat = /^\/proc\/(self|\d+)\/stat$/.exec(path)
    if (stat !== null) {
      const pid = stat[1] === 'self' ? this.pid : Number(stat[1])
      const start = this.running.get(pid)
      if (start === undefined) throw errno('ENOENT')
      return `${pid} (a ) b) S ${'0 '.repeat(18)}${start} 0 0`
    }
    const at = path.lastIndexOf('/')
    const group = this.#group(path.slice(0, at))
    const name = path.slice(at + 1)
    if (name === 'cgroup.procs') return [...group.members].map((pid) => `${pid}\n`).join('')
    if (name === 'cgroup.events' && group.version === 2)
      return `populated ${group.members.size > 0 ? 1 : 0}\nfrozen 0\n`
    const content = group.files.get(name)
    if (content === undefined) throw errno('ENOENT')
    return content
  }

  write(path: string, text: string): void {
    if (this.#ready && this.#layout.forbidden?.(path) === true) throw errno('EACCES')
    const at = path.lastIndexOf('/')
    const directory = path.slice(0, at)
    const group = this.#group(directory)
    const name = path.slice(at + 1)
    const old = group.files.get(name)
    if (old === undefined) throw errno('ENOENT')
    if (name === 'cgroup.kill') for (const pid of [...group.members]) this.signal(pid)
    if (name !== 'cgroup.subtree_control') {
      group.files.set(name, text)
      return
    }
    const controller = text.slice(1)
    if (!(group.files.get('cgroup.controllers') ?? '').split(' ').includes(controller)) throw errno('ENOENT')
    if (group.members.size > 0 && directory !== this.#layout.v2?.mount) throw errno('EBUSY')
    group.files.set(name, add(old, controller))
    for (const [other, child] of this.groups) {
      if (other.slice(0, other.lastIndexOf('/')) !== directory) continue
      this.#control(child.files, add(child.files.get('cgroup.controllers') ?? '', controller))
    }
  }

  mkdir(path: string): void {
    if (this.#ready && this.#layout.forbidden?.(path) === true) throw errno('EACCES')
    if (this.groups.has(path)) throw errno('EEXIST')
    const parent = this.#group(path.slice(0, path.lastIndexOf('/')))
    const handed = (parent.files.get('cgroup.subtree_control') ?? '').split(' ').filter(Boolean)
    this.#make(path, parent.version, handed)
  }

  rmdir(path: string): void {
    const group = this.#group(path)
    const unreaped = this.unreaped.get(path) ?? 0
    this.unreaped.set(path, unreaped - 1)
    if (unreaped > 0 || group.members.size > 0) throw errno('EBUSY')
    if ([...this.groups.keys()].some((other) => other.startsWith(`${path}/`))) throw errno('EBUSY')
    this.groups.delete(path)
  }

  directories(path: string): readonly string[] {
    this.#group(path)
    return [...this.groups.keys()]
      .filter((other) => other.slice(0, other.lastIndexOf('/')) === path)
      .map((other) => other.slice(path.length + 1))
  }

  inode(path: string): bigint {
    if (path === '/proc/self/ns/pid') return this.namespace
    return BigInt([...this.groups.keys()].indexOf(path) + 1000)
  }

  signal(pid: number, signal: 0 | 'SIGKILL' = 'SIGKILL'): boolean {
    if (pid <= 0) throw new Error(`kill(${pid})`)
    if (!this.running.has(pid)) return false
    if (signal === 0) return true
    this.killed.push(pid)
    if (this.stuck.has(pid)) return true
    this.running.delete(pid)
    for (const group of this.groups.values()) group.members.delete(pid)
    return true
  }

  random(): string {
    return (++this.#random).toString(16).padStart(8, '0')
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, Math.min(ms, 2)))
  }

  #make(path: string, version: 1 | 2, controllers: readonly string[]): void {
    const files = new Map<string, string>()
    if (version === 2) {
      files.set('cgroup.subtree_control', '').set('cgroup.freeze', '0')
      if (this.#layout.kill !== false) files.set('cgroup.kill', '')
      this.#control(files, controllers.join(' '))
    } else {
      const mine = Object.entries(this.#layout.v1 ?? {}).filter(([, mount]) => `${path}/`.startsWith(`${mount}/`))
      for (const [controller] of mine) {
        if (controller === 'pids') files.set('pids.max', 'max')
        if (controller === 'memory') {
          files.set('memory.limit_in_bytes', '-1')
          if (this.#layout.memsw !== false) files.set('memory.memsw.limit_in_bytes', '-1')
        }
      }
    }
    this.groups.set(path, { version, files, members: new Set() })
  }

  #control(files: Map<string, string>, controllers: string): void {
    files.set('cgroup.controllers', controllers)
    if (controllers.includes('pids')) files.set('pids.max', 'max')
    if (!controllers.includes('memory')) return
    files.set('memory.max', 'max')
    if (this.#layout.memsw !== false) files.set('memory.swap.max', 'max')
  }

  #group(path: string): Group {
    const group = this.groups.get(path)
    if (group === undefined) throw errno('ENOENT')
    return group
  }
}

function add(list: string, word: string): string {
  return [...new Set([...list.split(' ').filter(Boolean), word])].join(' ')
}

function errno(code: string): Error {
  return Object.assign(new Error(code), { code })
}
