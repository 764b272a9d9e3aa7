// The control groups of one box: a directory in every hierarchy that is needed, the limits written to it, and the end of
// whatever is in it. cgroup v2 carries the programs and the kill; limits are wherever their controller is. Everything is
// made inside the group this process is in, so that what the operator set there holds for the box too.

import type { BoxSetup } from '../box.ts'
import { type Hierarchies, parseHierarchies } from './hierarchies.ts'
import { type CgroupHost, errnoOf, kernelHost } from './host.ts'
import { isOrphan, newName, PARENT } from './owner.ts'

/** Absent means no limit of this kind. */
export interface CgroupLimits {
  /** Processes and threads alive at the same time, all that joins counted. */
  readonly processes?: number
  readonly memoryBytes?: number
}

/** What became of a limit that was asked for. `by`: the file that holds it. */
export type LimitState =
  | { readonly state: 'enforced'; readonly by: string }
  | { readonly state: 'partial'; readonly by: string; readonly reason: string }
  | { readonly state: 'absent'; readonly reason: string }

export type OpenedCgroups =
  | { readonly ok: true; readonly cgroups: Cgroups }
  | { readonly ok: false; readonly reason: string }

type Controller = 'pids' | 'memory'

const KILL_MS = 5_000
const REMOVE_MS = 2_000

/**
 * Makes the directories. Not `ok` when there is no place to make even one; a limit that cannot be had is said in
 * {@link Cgroups.limits}. Throws `TypeError` for a limit that is not a positive whole number.
 */
export function openCgroups(limits: CgroupLimits = {}, host: CgroupHost = kernelHost): OpenedCgroups {
  for (const limit of [limits.processes, limits.memoryBytes]) {
    if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0))
      throw new TypeError('a limit must be a positive whole number')
  }
  const wanted: Controller[] = []
  if (limits.processes !== undefined) wanted.push('pids')
  if (limits.memoryBytes !== undefined) wanted.push('memory')

  const made: string[] = []
  try {
    const hierarchies = readHierarchies(host)
    const name = newName(host)
    const reasons: string[] = []
    const unified = makeUnified(
      host,
      hierarchies,
      name,
      wanted.filter((controller) => !hierarchies.v1.has(controller)),
    )
    if ('reason' in unified) reasons.push(unified.reason)
    else made.push(unified.path)

    // Without v2 the members are known by v1, and `pids` is the cheapest of it.
    const controllers: readonly Controller[] =
      'reason' in unified && !wanted.includes('pids') ? [...wanted, 'pids'] : wanted
    const v1 = new Map<Controller, string>()
    for (const controller of controllers) {
      const hierarchy = hierarchies.v1.get(controller)
      if (hierarchy === undefined) continue
      try {
        const path = `${makeParent(host, hierarchy.own)}/${name}`
        // Two controllers of one hierarchy share the directory.
        if (!made.includes(path)) {
          host.mkdir(path)
          made.push(path)
        }
        v1.set(controller, path)
      } catch (error) {
        reasons.push(`${hierarchy.own}: ${errnoOf(error)}`)
      }
    }
    if (made.length === 0) return { ok: false, reason: reasons.join('; ') }
    const v2 = 'reason' in unified ? undefined : unified
    const place = (controller: Controller): Place | undefined => {
      const old = v1.get(controller)
      if (old !== undefined) return { version: 1, path: old }
      return v2?.controllers.includes(controller) === true ? { version: 2, path: v2.path } : undefined
    }
    const states: { processes?: LimitState; memoryBytes?: LimitState } = {}
    const absent = (controller: Controller): LimitState => ({
      state: 'absent',
      reason: [`no ${controller} controller`, ...reasons].join('; '),
    })
    const pids = place('pids')
    const memory = place('memory')
    if (limits.processes !== undefined)
      states.processes = pids === undefined ? absent('pids') : limited(host, `${pids.path}/pids.max`, limits.processes)
    if (limits.memoryBytes !== undefined)
      states.memoryBytes = memory === undefined ? absent('memory') : limitMemory(host, memory, limits.memoryBytes)
    return { ok: true, cgroups: new Cgroups(host, v2, [...new Set(v1.values())], Object.freeze(states)) }
  } catch (error) {
    for (const path of made) removeQuietly(host, path)
    return { ok: false, reason: errnoOf(error) }
  }
}

/**
 * Removes the empty directories of owners that are gone; those of a crash, which go on denying until then. Gives
 * their number. Directories with a process in them stay, and so does everything that is not surely ours.
 */
export function sweepCgroups(host: CgroupHost = kernelHost): number {
  let removed = 0
  for (const place of placesOf(host)) {
    for (const name of directoriesOf(host, `${place}/${PARENT}`)) {
      const path = `${place}/${PARENT}/${name}`
      // A process may join between the look and the removal; then the kernel answers EBUSY.
      if (isOrphan(host, name) && !hasProcesses(host, path) && removeQuietly(host, path)) removed++
    }
  }
  return removed
}

/** Groups of the host that any of our directories may be in; none where there are no control groups. */
function placesOf(host: CgroupHost): ReadonlySet<string> {
  try {
    const { v1, v2 } = readHierarchies(host)
    const unified = v2 === undefined ? [] : upwards(v2.own, v2.mount)
    return new Set([...[...v1.values()].map(({ own }) => own), ...unified])
  } catch {
    return new Set()
  }
}

interface Unified {
  readonly path: string
  readonly controllers: readonly string[]
  /** The group of this process, when the box is not inside it. */
  readonly leaves?: string
}

interface Place {
  readonly version: 1 | 2
  readonly path: string
}

export class Cgroups {
  readonly #host: CgroupHost
  /** For {@link BoxSetup.cgroups}. */
  readonly paths: BoxSetup['cgroups']
  /** What bpf_get_current_cgroup_id answers for a member; `undefined` without v2. */
  readonly id: bigint | undefined
  /** One state for each limit that was asked for. */
  readonly limits: Readonly<{ processes?: LimitState; memoryBytes?: LimitState }>
  /**
   * Directory of this process's own group when the box could get its limits only beside it, in a group further up: what
   * the operator set on that directory does not hold for the box.
   */
  readonly leaves: string | undefined

  constructor(host: CgroupHost, v2: Unified | undefined, v1: readonly string[], limits: Cgroups['limits']) {
    this.#host = host
    this.paths = Object.freeze(v2 === undefined ? { v1: Object.freeze(v1) } : { v2: v2.path, v1: Object.freeze(v1) })
    this.id = v2 === undefined ? undefined : host.inode(v2.path)
    this.limits = limits
    this.leaves = v2?.leaves
  }

  /** Whether any process is in it. What cannot be read is. */
  populated(): boolean {
    return this.#all().some((path) => hasProcesses(this.#host, path))
  }

  /** SIGKILL to every member. `true` when none is left; `false` when one still is after `timeoutMs`. */
  async kill(timeoutMs = KILL_MS): Promise<boolean> {
    const atOnce = this.#killAtOnce()
    if (!atOnce) this.#stopForks()
    const end = performance.now() + timeoutMs
    for (let pause = 1; this.populated(); pause = Math.min(pause * 2, 50)) {
      if (performance.now() > end) return false
      if (!atOnce) this.#killEach()
      await this.#host.wait(pause)
    }
    return true
  }

  /** Removes the directories, and with them the programs. `false` when one is still there, with a process in it. */
  async remove(timeoutMs = REMOVE_MS): Promise<boolean> {
    const end = performance.now() + timeoutMs
    let left = this.#all()
    for (let pause = 1; ; pause = Math.min(pause * 2, 100)) {
      // A member that has ended holds the directory until its parent has waited for it.
      left = left.filter((path) => !removeQuietly(this.#host, path))
      if (left.length === 0) return true
      if (performance.now() > end) return false
      await this.#host.wait(pause)
    }
  }

  #all(): readonly string[] {
    return this.paths.v2 === undefined ? this.paths.v1 : [this.paths.v2, ...this.paths.v1]
  }

  /** cgroup.kill (Linux 5.14) takes forks that are under way too. */
  #killAtOnce(): boolean {
    if (this.paths.v2 === undefined) return false
    try {
      this.#host.write(`${this.paths.v2}/cgroup.kill`, '1')
      return true
    } catch {
      return false
    }
  }

  /** A loop over pids is a race that a forking process wins, unless it cannot fork or does not run. */
  #stopForks(): void {
    for (const path of this.#all()) {
      writeQuietly(this.#host, `${path}/pids.max`, '0')
      writeQuietly(this.#host, `${path}/cgroup.freeze`, '1')
    }
  }

  #killEach(): void {
    const seen = new Set(this.#all().flatMap((path) => membersOf(this.#host, path)))
    for (const pid of seen) {
      // 0 stands for a process of another pid namespace, and kill(0) for our own process group.
      if (pid > 1 && pid !== process.pid) this.#host.signal(pid, 'SIGKILL')
    }
  }
}

function readHierarchies(host: CgroupHost): Hierarchies {
  return parseHierarchies(host.read('/proc/self/mountinfo'), host.read('/proc/self/cgroup'))
}

/**
 * The v2 directory: inside our own group where that gives every controller in `needed`. A group with processes in it
 * cannot hand controllers down (cgroups(7), «no internal processes»); then in the nearest group above that can, and if
 * none can, inside our own all the same, without.
 */
function makeUnified(
  host: CgroupHost,
  { v2 }: Hierarchies,
  name: string,
  needed: readonly Controller[],
): Unified | { readonly reason: string } {
  if (v2 === undefined) return { reason: 'no cgroup v2 file system with the own group in it' }
  if (needed.length > 0) {
    for (const place of upwards(v2.own, v2.mount)) {
      const made = tryUnified(host, place, name, needed)
      if ('reason' in made) continue
      if (needed.every((controller) => made.controllers.includes(controller)))
        return place === v2.own ? made : { ...made, leaves: v2.own }
      // The directory around it stays: another process may be about to make one of its own in it.
      removeQuietly(host, made.path)
    }
  }
  return tryUnified(host, v2.own, name, needed)
}

function tryUnified(
  host: CgroupHost,
  place: string,
  name: string,
  needed: readonly Controller[],
): Unified | { readonly reason: string } {
  try {
    const parent = makeParent(host, place)
    for (const directory of [place, parent]) handDown(host, directory, needed)
    const path = `${parent}/${name}`
    host.mkdir(path)
    const controllers = words(host.read(`${path}/cgroup.controllers`))
    return { path, controllers }
  } catch (error) {
    return { reason: `${place}: ${errnoOf(error)}` }
  }
}

function handDown(host: CgroupHost, directory: string, needed: readonly Controller[]): void {
  const file = `${directory}/cgroup.subtree_control`
  const missing = needed.filter((controller) => !words(host.read(file)).includes(controller))
  // One by one: a write that names one controller too many does nothing.
  for (const controller of missing) writeQuietly(host, file, `+${controller}`)
}

function makeParent(host: CgroupHost, place: string): string {
  const parent = `${place}/${PARENT}`
  try {
    host.mkdir(parent)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
  }
  return parent
}

/** `place` and the directories above it, up to `top`. */
function upwards(place: string, top: string): readonly string[] {
  const above = [place]
  for (let at = place; at !== top && at.startsWith(top); ) {
    at = at.slice(0, at.lastIndexOf('/'))
    above.push(at)
  }
  return above
}

const MEMORY = Object.freeze({
  1: { memory: 'memory.limit_in_bytes', swap: 'memory.memsw.limit_in_bytes' },
  2: { memory: 'memory.max', swap: 'memory.swap.max' },
})

/** Memory, and no swap besides: v1 limits the sum of both, v2 each. */
function limitMemory(host: CgroupHost, place: Place, limit: number): LimitState {
  const files = MEMORY[place.version]
  const state = limited(host, `${place.path}/${files.memory}`, limit)
  if (state.state !== 'enforced') return state
  const swap = limited(host, `${place.path}/${files.swap}`, place.version === 1 ? limit : 0)
  if (swap.state === 'enforced' || !hasSwap(host)) return state
  return { state: 'partial', by: state.by, reason: 'swap is not limited' }
}

function limited(host: CgroupHost, file: string, limit: number): LimitState {
  try {
    host.write(file, String(limit))
    return { state: 'enforced', by: file }
  } catch (error) {
    return { state: 'absent', reason: `${file}: ${errnoOf(error)}` }
  }
}

/** /proc/swaps is a heading and a line for each area. Swap that is turned on later is the operator's doing. */
function hasSwap(host: CgroupHost): boolean {
  try {
    return host.read('/proc/swaps').trim().split('\n').length > 1
  } catch {
    return true
  }
}

/** A directory that is gone has none; one that cannot be read has some. */
function hasProcesses(host: CgroupHost, path: string): boolean {
  try {
    return host.read(`${path}/cgroup.procs`).trim() !== '' || isPopulated(host, path)
  } catch (error) {
    return !GONE.includes(errnoOf(error))
  }
}

/** v2 counts the directories below too. v1 has no such file. */
function isPopulated(host: CgroupHost, path: string): boolean {
  try {
    return /^populated 1$/m.test(host.read(`${path}/cgroup.events`))
  } catch (error) {
    return !GONE.includes(errnoOf(error))
  }
}

const GONE: readonly string[] = Object.freeze(['ENOENT', 'ENODEV'])

function membersOf(host: CgroupHost, path: string): readonly number[] {
  try {
    return words(host.read(`${path}/cgroup.procs`)).map(Number)
  } catch {
    return []
  }
}

function directoriesOf(host: CgroupHost, path: string): readonly string[] {
  try {
    return host.directories(path)
  } catch {
    return []
  }
}

/** Whether the directory is not there any more. */
function removeQuietly(host: CgroupHost, path: string): boolean {
  try {
    host.rmdir(path)
    return true
  } catch (error) {
    return errnoOf(error) === 'ENOENT'
  }
}

function writeQuietly(host: CgroupHost, file: string, text: string): void {
  try {
    host.write(file, text)
  } catch {
    // What was written is looked at where it matters: in the controllers of the new directory, or by who is left.
  }
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}
