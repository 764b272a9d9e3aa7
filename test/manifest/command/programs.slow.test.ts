// The tables of options against the programs themselves: random arguments that are let through do not make the real tar,
// find, sort, git, split, env, nice or timeout start a program that was not named.

import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'

import { readArgumentVector } from '../../../src/manifest/command/read-command.ts'
import { fuzzRuns } from '../../support/fuzz.ts'
import { realProgram, StubShell } from './stub-shell.ts'

const shell = new StubShell(['evil', 'sh', 'ssh', 'rsh'], ['git', 'env', 'nice', 'timeout', 'nohup'])
afterAll(() => shell.close())

const BEFORE = 'git init -q; echo good > a; echo evil > b; git add a b; git config alias.al "!evil"'
const evil = `run ${shell.bin}/evil`

// biome-ignore format: one program a line.
const PIECES: Readonly<Record<string, readonly string[]>> = {
  tar: ['c', 'x', '-c', '-x', '-f', 'cf', 'xf', '-cf', 'a.tar', 'a', 'b', 'evil', '--', '-I', 'I', 'cIf', '-cIf', '-Ievil', '--use-compress-program', '--use=evil', '--to-command', '--to-c=evil', '--checkpoint', '--checkpoint=1', '--checkpoint-action', '--checkpoint-action=exec=evil', '--checkpoint-a', 'exec=evil', '--rsh-command=evil', '--rsh', '-F', '-Fevil', '-M', '-L1', '--info-script=evil', '--file', '--file=a.tar', '-T', 'h:a.tar', '-o', '-C', '.', '-v', '--exclude', '--force-local'],
  find: ['.', 'a', '-name', '-exec', '-execdir', '-ok', '-okdir', '-exe', 'evil', '{}', ';', '+', '-o', '-a', '!', '(', ')', '-print', '--', '-type', 'f', '-H', '-D', 'exec', '-prune', '-newer', '-printf', '%p'],
  sort: ['a', 'b', '-S', '1b', '--compress-program', '--compress-program=evil', '--comp=evil', '--c', 'evil', '--', '-o', '-k', '1', '-T', '.', '-m', '-u', '--batch-size=2', '--parallel=1'],
  split: ['a', 'b', '--filter', '--filter=evil', '--fi', 'evil', '--', '-l', '1', '-n', '2', '-', '-a', '--additional-suffix'],
  git: ['-c', 'alias.status=!evil', 'alias.x=!evil', 'x', 'al', 'status', 'diff', 'log', 'grep', 'good', 'evil', 'a', 'b', '-O', '-Oevil', '--open-files-in-pager=evil', '--open', '-p', '-P', '--no-pager', '--ext-diff', '--textconv', '--', '-C', '.', '--exec-path=.', '--config-env=core.pager=PATH', 'tag', '-s', '-a', '-m', '-u', 'add', '-i', 'reset', 'branch', '--edit-description', 'rev-parse', '--git-dir=.', 'config', 'help', '--help', '--paginate', 'show', 'bisect', 'run', 'submodule', 'foreach'],
  env: ['evil', '-i', '-S', '-Sevil', 'A=1', '--', '-u', 'A', '-', 'nice', 'timeout', '1', 'env', '--split-string=evil', '-C', '.', 'nohup'],
  nice: ['evil', '-n', '1', '-5', '--', '--adjustment=1', 'env', 'A=1', 'nice', '-n1', 'timeout'],
  timeout: ['evil', '5', '-k', '1', '-s', 'TERM', '--', '-s9', '--kill-after=1', '--foreground', '-v', 'env', '1s', 'KILL', 'nice', '-n'],
}

test.each(Object.entries(PIECES))(
  '%s',
  (name, pieces) => {
    const path = realProgram(name)
    if (path === undefined) return
    const options = { search: [shell.bin], base: shell.work }
    let accepted = 0
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 6 }), (args) => {
        const reading = readArgumentVector([path, ...args], options)
        if (!reading.ok) return
        accepted++
        const named = reading.resources.map((resource) => `run ${'path' in resource ? resource.path : ''}`)
        const { ran } = shell.exec(path, args, name === 'git' ? BEFORE : 'echo good > a; echo evil > b')
        if (ran.length > 0) expect(named, JSON.stringify(ran)).toContain(evil)
        expect(ran.filter(([program]) => program !== `${shell.bin}/evil`)).toEqual([])
      }),
      { numRuns: fuzzRuns(120) },
    )
    expect(accepted).toBeGreaterThan(0)
  },
  120_000,
)
