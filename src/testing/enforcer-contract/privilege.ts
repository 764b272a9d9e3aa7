// Privileges and system calls: what /proc says of a confined program on Linux, and a forbidden call that fails.

import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { resists } from './attack.ts'
import { ensure, NotApplicableError, shown } from './case.ts'
import type { CaseDefinition } from './definition.ts'

const STATUS = 'while read -r line; do echo "$line"; done < /proc/self/status'

export const PRIVILEGE: readonly CaseDefinition[] = [
  {
    name: 'privilege: a program has no capability and can gain none',
    feature: 'privilege',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      await ground.mustWork(box)
      const { stdout } = await ground.run(box, ground.script(STATUS))
      const status = new Map(stdout.split('\n').map((line) => line.split(/:\s*/, 2) as [string, string]))
      if (!status.has('CapEff')) throw new NotApplicableError('/proc/self/status does not tell inside')
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
        ensure(/^0*$/.test(status.get(set) ?? ''), `${set} is ${shown(status.get(set))}`)
      ensure(status.get('NoNewPrivs') === '1', `NoNewPrivs is ${shown(status.get('NoNewPrivs'))}`)
    },
  },
  {
    name: 'syscalls: a forbidden call fails, and only where it is forbidden',
    feature: 'syscalls',
    body: async (ground) => {
      const { sh, mkdir } = ground.fixture
      if (mkdir === undefined) throw new NotApplicableError('the fixture names no program that makes a directory')
      const tree = `${ground.folder('writable')}/**`
      const made = join(ground.folder('writable'), 'made')
      const grants = { read: [tree], write: [tree], binaries: [sh, mkdir] }
      const attack = {
        what: 'making a directory, where mkdir and mkdirat are forbidden,',
        prepare: () => ground.remove(made),
        command: { file: mkdir, args: [made] },
        succeeded: () => existsSync(made),
      }
      const box = await ground.open(ground.profile({ ...grants, forbiddenSyscalls: ['mkdir', 'mkdirat'] }))
      await resists(ground, box, attack)
      const allowed = await ground.open(ground.profile(grants))
      const ended = await ground.run(allowed, attack.command)
      ensure(existsSync(made), `nothing is forbidden, and no directory can be made: ${shown(ended)}`)
    },
  },
]
