// A program of this repository in a process of its own: what it prints, how it ends, and everything it has started.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'

import { childrenOf } from './linux-host.ts'

export interface Running {
  readonly child: ChildProcess
  /** What was printed so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  /** The next whole line of standard output. */
  line(): Promise<string>
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

export function start(file: string, args: readonly string[], options: SpawnOptions = {}): Running {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
  let stdout = ''
  let stderr = ''
  let read = 0
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  // Whoever waits for it gets the error; it is no fault of the test that it does not.
  ended.catch(() => undefined)
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    line: async () => {
      for (;;) {
        const end = stdout.indexOf('\n', read)
        if (end !== -1) {
          const line = stdout.slice(read, end)
          read = end + 1
          return line
        }
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`ended without a line: ${stderr}`)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },
  }
}

/** Every process below `pid`, as the host counts them. */
export function descendantsOf(pid: number): readonly number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)])
}
