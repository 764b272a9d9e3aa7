// What a confinement leaves behind: nothing, to the next one and to the host. And what it sees of others at the same time.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Profile } from '../../enforcer/profile.ts'
import { ensure, NotApplicableError, shown } from './case.ts'
import type { CaseDefinition } from './definition.ts'
import type { Ended, Ground } from './ground.ts'

type ExecutionMode = Profile['executionMode']

const BOXES = 10

const LEAVE = 'for place in "$@"; do echo "$NAME" > "$place/$NAME"; done 2>/dev/null; exit 0'
const LOOK =
  'for place in "$@"; do for found in "$place"/$NAME*; do [ -e "$found" ] && echo "$found"; done; done; exit 0'

/** Scratch places of this host in which the case itself could leave a file: the control of the cases below. */
async function places(ground: Ground): Promise<readonly string[]> {
  const found = ground.fixture.scratch.filter((place) => existsSync(place))
  await ground.control(ground.script(LEAVE, found, { env: { NAME: ground.token } }))
  const usable = found.filter((place) => existsSync(join(place, ground.token)))
  for (const place of usable) ground.remove(join(place, ground.token))
  if (usable.length === 0) throw new NotApplicableError('nothing can be left in any scratch place of this host')
  // Should a confinement leave something after all, it must not stay.
  ground.later(() => {
    for (const place of usable) {
      ground.remove(join(place, ground.token))
      for (let index = 0; index < BOXES; index++) ground.remove(join(place, `${ground.token}-${index}`))
    }
  })
  return usable
}

/** One command in a confinement of its own: an ephemeral profile promises no second one. */
async function alone(ground: Ground, mode: ExecutionMode, script: string, args: readonly string[]): Promise<Ended> {
  const profile = ground.profile({ env: ['NAME'], ephemeral: mode === 'ephemeral' })
  const box = await ground.open(profile)
  const ended = await ground.run(box, ground.script(script, args, { env: { NAME: ground.token } }))
  await ground.patiently('close', box.close())
  ensure(ended.status.code === 0, `a granted shell does not run: ${shown(ended)}`)
  return ended
}

function leavesNothing(mode: ExecutionMode): CaseDefinition {
  return {
    name: `ephemeral: what was left in a scratch place, the next and the host do not see (${mode})`,
    feature: 'ephemeral',
    body: async (ground) => {
      const scratch = await places(ground)
      await alone(ground, mode, LEAVE, scratch)
      const left = scratch.filter((place) => existsSync(join(place, ground.token)))
      ensure(left.length === 0, `the host sees what was left in ${shown(left)}`)
      const { stdout } = await alone(ground, mode, LOOK, scratch)
      ensure(stdout === '', `the next confinement sees ${shown(stdout)}`)
    },
  }
}

export const EPHEMERAL: readonly CaseDefinition[] = [
  leavesNothing('shared'),
  leavesNothing('ephemeral'),
  {
    name: `ephemeral: ${BOXES} at the same time do not see each other's files`,
    feature: 'ephemeral',
    body: async (ground) => {
      const scratch = await places(ground)
      const profile = ground.profile({ env: ['NAME'] })
      const boxes = await Promise.all(Array.from({ length: BOXES }, () => ground.open(profile)))
      const name = (index: number): string => `${ground.token}-${index}`
      const each = (script: string, names: (index: number) => string): Promise<readonly Ended[]> =>
        Promise.all(
          boxes.map((box, index) => ground.run(box, ground.script(script, scratch, { env: { NAME: names(index) } }))),
        )
      await each(LEAVE, name)
      for (const [index, { stdout }] of (await each(LOOK, () => ground.token)).entries()) {
        const others = stdout.split('\n').filter((path) => path !== '' && !path.endsWith(`/${name(index)}`))
        ensure(others.length === 0, `confinement ${index} sees the files of others: ${shown(others)}`)
      }
    },
  },
]
