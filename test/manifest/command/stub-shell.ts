// Real shells whose PATH holds nothing but stubs. A stub writes its name and arguments to a log and does nothing else, so
// the log says what the shell really ran, and with which words.

import { spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The whole record is one write, so that the stubs of a pipeline do not mix. */
const STUB = `#!/bin/sh
printf '%s\\0' "$#" "$0" "$@" >> "$STUB_LOG"
`

export interface ShellRun {
  /** Name of the stub as the shell found it, then its arguments, in the order of the log. */
  readonly ran: readonly (readonly string[])[]
  /** Names of the files that are in the working directory afterwards. */
  readonly files: readonly string[]
  readonly stderr: string
}

export class StubShell {
  readonly #root = mkdtempSync(join(tmpdir(), 'agentport-command-'))
  readonly bin: string = join(this.#root, 'bin')
  readonly work: string = join(this.#root, 'work')

  /** `real`: programs that are not stubs but the ones of this machine. What it does not have is left out. */
  constructor(stubs: readonly string[], real: readonly string[] = []) {
    mkdirSync(this.bin)
    for (const name of stubs) {
      writeFileSync(join(this.bin, name), STUB)
      chmodSync(join(this.bin, name), 0o755)
    }
    for (const name of real) {
      const path = realProgram(name)
      if (path !== undefined) symlinkSync(path, join(this.bin, name))
    }
  }

  /** `before` is a text for bash that prepares the working directory. */
  run(shell: 'bash' | 'sh', text: string, before?: string): ShellRun {
    const options = shell === 'bash' ? ['--norc', '--noprofile', '-c', text] : ['-c', text]
    return this.exec(realProgram(shell) ?? shell, options, before)
  }

  exec(program: string, args: readonly string[], before?: string): ShellRun {
    const log = join(this.#root, 'log')
    rmSync(this.work, { recursive: true, force: true })
    mkdirSync(this.work)
    writeFileSync(log, '')
    const env = { PATH: this.bin, STUB_LOG: log, LC_ALL: 'C.UTF-8', HOME: this.#root }
    if (before !== undefined) spawnSync('/bin/bash', ['-c', before], { cwd: this.work, env })
    const { stderr } = spawnSync(program, [...args], {
      cwd: this.work,
      env,
      input: '',
      encoding: 'utf8',
      timeout: 10_000,
    })
    return { ran: records(readFileSync(log, 'utf8')), files: readdirSync(this.work), stderr: stderr ?? '' }
  }

  close(): void {
    rmSync(this.#root, { recursive: true, force: true })
  }
}

export function realProgram(name: string): string | undefined {
  for (const directory of ['/usr/bin', '/bin']) {
    try {
      const path = join(directory, name)
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here.
    }
  }
  return undefined
}

function records(log: string): readonly (readonly string[])[] {
  const fields = log.split('\0')
  const found: (readonly string[])[] = []
  for (let at = 0; at < fields.length - 1; ) {
    const count = Number(fields[at])
    found.push(fields.slice(at + 1, at + count + 2))
    at += count + 2
  }
  return found
}
