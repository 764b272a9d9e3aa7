// An attack is one command tried twice: outside, where it must succeed or it proves nothing, and inside a confinement that
// does not grant it, where it must have no effect that the host can see.

import type { Command } from '../../enforcer/command.ts'
import type { Confinement } from '../../enforcer/enforcer.ts'
import { ensure, NotApplicableError, shown } from './case.ts'
import type { Ended, Ground } from './ground.ts'

export interface Attack {
  /** Puts the host back to where the attack starts; before each of the two tries. */
  readonly prepare?: () => void
  readonly command: Command
  /** Whether it worked, judged from the host. `undefined`: the program was not even started. */
  readonly succeeded: (ended: Ended | undefined) => boolean | Promise<boolean>
  readonly what: string
}

export async function attackOutside(ground: Ground, attack: Attack): Promise<void> {
  attack.prepare?.()
  const ended = await ground.control(attack.command)
  if (!(await attack.succeeded(ended)))
    throw new NotApplicableError(`${attack.what} fails on this host without any confinement: ${shown(ended)}`)
}

export async function attackInside(ground: Ground, box: Confinement, attack: Attack): Promise<void> {
  await ground.mustWork(box)
  attack.prepare?.()
  const ended = await ground.run(box, attack.command).catch((error: unknown) => {
    // To refuse the program is a way to resist; to fail in any other way is not.
    if ((error as { readonly code?: unknown }).code === 'ERR_SPAWN_FAILED') return undefined
    throw error
  })
  ensure(!(await attack.succeeded(ended)), `${attack.what} succeeds inside the confinement: ${shown(ended)}`)
}

export async function resists(ground: Ground, box: Confinement, attack: Attack): Promise<void> {
  await attackOutside(ground, attack)
  await attackInside(ground, box, attack)
}
