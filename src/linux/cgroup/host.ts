// What control groups are worked with: files of /proc and of the cgroup file systems, signals, time. A port, so that every
// layout of hierarchies can be tested on a machine that has one; `kernelHost` is the real one.

import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeSync,
} from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** All methods but `signal` throw errors with a `code` of errno. */
export interface CgroupHost {
  read(path: string): string
  /** Never makes a file: one that is not there is a controller that is not there. */
  write(path: string, text: string): void
  mkdir(path: string): void
  /** Removes a directory that has no processes and no directories in it. */
  rmdir(path: string): void
  /** Names of the directories in a directory. */
  directories(path: string): readonly string[]
  inode(path: string): bigint
  /** Whether there is such a process; 0 only asks. */
  signal(pid: number, signal: 0 | 'SIGKILL'): boolean
  /** Eight hexadecimal digits. */
  random(): string
  wait(ms: number): Promise<void>
}

export const kernelHost: CgroupHost = Object.freeze({
  read: (path) => readFileSync(path, 'latin1'),
  write: (path, text) => {
    const fd = openSync(path, constants.O_WRONLY)
    try {
      // One write: a control file takes each write as a whole command.
      writeSync(fd, text)
    } finally {
      closeSync(fd)
    }
  },
  mkdir: (path) => mkdirSync(path, 0o755),
  rmdir: (path) => rmdirSync(path),
  directories: (path) =>
    readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name),
  inode: (path) => statSync(path, { bigint: true }).ino,
  signal: (pid, signal) => {
    try {
      process.kill(pid, signal)
      return true
    } catch (error) {
      return errnoOf(error) !== 'ESRCH'
    }
  },
  random: () => randomBytes(4).toString('hex'),
  wait: (ms) => setTimeout(ms),
} satisfies CgroupHost)

/** `ENOENT` and its like; what has no such name is `EIO`, which nothing treats as harmless. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EIO'
}
