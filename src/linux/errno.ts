// Numbers of errno(3) as the launcher reports them, in the words of people who fix things.

import { constants } from 'node:os'

const NAMES: ReadonlyMap<number, string> = new Map(
  // EAGAIN and EWOULDBLOCK are one number; the first name wins.
  Object.entries(constants.errno)
    .reverse()
    .map(([name, number]) => [number, name] as const),
)

/** Such as `EPERM`; a number nobody knows is given as it is. */
export function errnoName(number: number): string {
  return NAMES.get(number) ?? `errno ${number}`
}
