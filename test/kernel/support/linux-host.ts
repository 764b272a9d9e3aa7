// What the host shows of its processes and of this one: nothing of a box may be left there when it has ended.

import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** Processes of the host whose command line has `marker` in it; zombies have none. */
export function processesWith(marker: string): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return []
    return readOr(`/proc/${name}/cmdline`).includes(marker) ? [Number(name)] : []
  })
}

/** Children of this process, living or waiting to be collected. */
export function childrenOf(pid: number): readonly number[] {
  return tasksOf(pid).flatMap((task) =>
    readOr(`/proc/${pid}/task/${task}/children`)
      .split(' ')
      .filter((text) => text !== '')
      .map(Number),
  )
}

export interface Footprint {
  readonly descriptors: number
  readonly mounts: readonly string[]
  readonly children: readonly number[]
  /** Of the temporary directory, which should be this process's own. */
  readonly directories: readonly string[]
  /** The control group of this process, and those that its boxes have. */
  readonly groups: readonly string[]
}

/** Everything of this process and the host that a box may use and has to give back. */
export function footprint(): Footprint {
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    mounts: mountTargets(),
    children: childrenOf(process.pid),
    directories: readdirSync(tmpdir()),
    groups: [readOr('/proc/self/cgroup'), ...groupsOf(process.pid)],
  }
}

/** Control groups that were made for boxes of `pid`; the name of each begins so. */
export function groupsOf(pid: number): readonly string[] {
  const prefix = `agentport-${pid}-`
  const below = (directory: string, depth: number): readonly string[] =>
    directoriesIn(directory).flatMap((name) => {
      const path = `${directory}/${name}`
      return name.startsWith(prefix) ? [path] : depth === 0 ? [] : below(path, depth - 1)
    })
  return below('/sys/fs/cgroup', 8)
}

function directoriesIn(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  } catch {
    return []
  }
}

export function mountTargets(): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .sort()
}

/** Empty when it is gone. */
function tasksOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
