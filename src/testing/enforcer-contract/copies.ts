// The profile that was judged is the profile that holds: an enforcer reads it once and keeps what it read. Whoever holds
// the object afterwards, or made one that answers differently the second time, changes nothing.

import type { PathPattern } from '../../core/path-pattern.ts'
import type { Profile, ProfileEntry } from '../../enforcer/profile.ts'
import { type Attack, attackInside, attackOutside } from './attack.ts'
import type { CaseDefinition } from './definition.ts'
import type { Ground } from './ground.ts'

function readingOutside(ground: Ground): Attack {
  const secret = ground.file('outside', 'secret', `${ground.token}\n`)
  return {
    what: 'reading what the profile did not grant when it was given',
    command: ground.script('read -r line < "$1"; echo "$line"', [secret]),
    succeeded: (ended) => ended?.stdout.includes(ground.token) ?? false,
  }
}

interface TwoProfiles {
  readonly narrow: Profile
  readonly wide: readonly ProfileEntry<PathPattern>[]
}

function twoProfiles(ground: Ground): TwoProfiles {
  const readable = `${ground.folder('readable')}/**`
  const narrow = ground.profile({ read: [readable] })
  const wide = ground.profile({ read: [readable, `${ground.folder('outside')}/**`] }).read
  return { narrow, wide }
}

export const COPIES: readonly CaseDefinition[] = [
  {
    name: 'fs_read: a profile that is changed after the call grants nothing new',
    feature: 'fs_read',
    body: async (ground) => {
      const attack = readingOutside(ground)
      const { narrow, wide } = twoProfiles(ground)
      const profile = { ...narrow, read: [...narrow.read] }
      const opening = ground.open(profile)
      profile.read.push(...wide)
      const box = await opening
      profile.read = [...wide]
      await attackOutside(ground, attack)
      await attackInside(ground, box, attack)
    },
  },
  {
    name: 'fs_read: a profile that answers differently the second time grants nothing new',
    feature: 'fs_read',
    body: async (ground) => {
      const attack = readingOutside(ground)
      const { narrow, wide } = twoProfiles(ground)
      let asked = 0
      const profile = {
        ...narrow,
        get read(): Profile['read'] {
          asked += 1
          return asked === 1 ? narrow.read : wide
        },
      }
      const box = await ground.open(profile)
      await attackOutside(ground, attack)
      await attackInside(ground, box, attack)
    },
  },
]
