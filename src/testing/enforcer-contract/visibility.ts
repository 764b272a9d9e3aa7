// What the gateway learns of a denial. An enforcer that calls its denials `reported` is taken at its word: a reader of its
// events concludes from their absence that nothing was tried.

import { join } from 'node:path'

import type { Feature } from '../../enforcer/feature.ts'
import { ensure, NotApplicableError, shown } from './case.ts'
import type { CaseDefinition } from './definition.ts'
import { allEvents } from './events.ts'
import type { Grants, Ground } from './ground.ts'

interface Forbidden {
  readonly script: string
  readonly args: readonly string[]
  readonly grants: Grants
}

const EVIDENCE: readonly unknown[] = ['enforced', 'observed']

const outside = (ground: Ground): string =>
  ground.file('outside', 'target', `#!${ground.fixture.sh}\necho ${ground.token}\n`, 0o777)

function told(feature: Feature, what: string, forbidden: (ground: Ground) => Forbidden): CaseDefinition {
  return {
    name: `events: ${what} is an event, where such denials are said to be reported`,
    feature,
    body: async (ground) => {
      const { script, args, grants } = forbidden(ground)
      const box = await ground.open(ground.profile(grants))
      const visibility = box.report.features[feature]?.visibility
      if (visibility !== 'reported')
        throw new NotApplicableError(`the report calls denials of ${feature} ${shown(visibility)}`)
      const ended = await ground.run(box, ground.script(script, args))
      await ground.patiently('close', box.close())
      const events = await ground.patiently('the events of a closed confinement', allEvents(box))
      const denied = events.filter((event) => event.type === 'denied' && event.feature === feature)
      ensure(denied.length > 0, `${what} was tried (${shown(ended)}), and no event tells of it: ${shown(events)}`)
      for (const event of denied) {
        if (event.type !== 'denied') continue
        ensure(event.subject !== '', `a denial has no subject: ${shown(event)}`)
        ensure(EVIDENCE.includes(event.evidence), `the evidence of a denial is ${shown(event.evidence)}`)
      }
    },
  }
}

/** The port of nobody: the attempt is what is denied, whether or not someone would answer. */
function connecting(ground: Ground, hosts: readonly string[]): Forbidden {
  const program = ground.fixture.tcp?.('127.0.0.1', 9)
  if (program === undefined) throw new NotApplicableError('the fixture names no program for tcp')
  const binaries = [ground.fixture.sh, program.file]
  return { script: '"$@"', args: [program.file, ...program.args], grants: { hosts, binaries } }
}

export const VISIBILITY: readonly CaseDefinition[] = [
  told('fs_read', 'reading a file that is not granted', (ground) => ({
    script: 'read -r line < "$1"',
    args: [outside(ground)],
    grants: {},
  })),
  told('fs_write', 'writing a file that is not granted', (ground) => ({
    script: 'echo changed > "$1"',
    args: [outside(ground)],
    grants: {},
  })),
  told('fs_execute', 'running a program that is not granted', (ground) => ({
    script: '"$1"',
    args: [outside(ground)],
    grants: {},
  })),
  told('syscalls', 'a forbidden call', (ground) => {
    const { sh, mkdir } = ground.fixture
    if (mkdir === undefined) throw new NotApplicableError('the fixture names no program that makes a directory')
    return {
      script: '"$1" "$2"',
      args: [mkdir, join(ground.folder('outside'), 'made')],
      grants: { binaries: [sh, mkdir], forbiddenSyscalls: ['mkdir', 'mkdirat'] },
    }
  }),
  told('egress', 'reaching out with nothing granted', (ground) => connecting(ground, [])),
  told('egress', 'reaching out with another host granted', (ground) => connecting(ground, ['granted.example:443'])),
]
