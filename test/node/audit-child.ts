// Processes of their own for the tests of the audit file: what two writers, a kill or a resource limit do cannot be
// shown inside one process. The sources are bundled once, because Node 20 does not run TypeScript.

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const PROGRAM = `
import { openAuditFile } from './src/node/audit-file.ts'
import { AuditLog } from './src/audit/log.ts'
const [, , mode, path, durability] = process.argv
const say = (text) => process.stdout.write(text + '\\n')
try {
  const sink = await openAuditFile(path, { durability })
  const log = AuditLog.open({ sink })
  await log.flush()
  say('held')
  if (mode === 'hold') process.stdin.resume()
  if (mode === 'fill') {
    for (;;) {
      const receipt = await log.append({ type: 'run.halted', run: 'r', reason: 'x'.repeat(900) })
      say('acknowledged ' + receipt.seq)
    }
  }
} catch (error) {
  say('error ' + error.code + ' ' + (error.cause?.cause?.code ?? error.cause?.code ?? ''))
  process.exit(3)
}
`

/** Bundles the program into `directory` and returns its path. */
export function buildChild(directory: string): string {
  const outfile = join(directory, 'child.mjs')
  buildSync({
    stdin: { contents: PROGRAM, resolveDir: fileURLToPath(new URL('../../', import.meta.url)), loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    // tweetnacl asks for require() in its own way.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    outfile,
    logLevel: 'error',
  })
  return outfile
}

export interface Child {
  readonly process: ChildProcess
  readonly lines: string[]
  /** Resolves when a line that starts with `text` was printed, or the process has ended. */
  said(text: string): Promise<void>
  readonly ended: Promise<void>
}

/** Runs the program: `hold` opens and waits, `fill` appends until it fails, `open` opens and ends without closing. */
export function startChild(
  command: string,
  args: readonly string[],
  options: { readonly uid?: number; readonly gid?: number } = {},
): Child {
  const child = spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const check of waiting) check()
  }
  let rest = ''
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop() ?? ''
    lines.push(...parts)
    wake()
  })
  let over = false
  const ended = new Promise<void>((resolve) => {
    child.on('close', () => {
      over = true
      wake()
      resolve()
    })
  })
  return {
    process: child,
    lines,
    ended,
    said: (text) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!over && !lines.some((line) => line.startsWith(text))) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
  }
}
