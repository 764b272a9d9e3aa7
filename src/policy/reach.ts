// What a statement says of each network destination besides its hosts: the method that is sent there, and the part of the
// world it is in. A permit needs to know; anything else applies in doubt.

import { hostReadings } from '../core/host.ts'
import type { NetworkResource } from '../core/resource.ts'
import type { Regions } from './regions.ts'

export interface Reach {
  readonly methods: ReadonlySet<string> | undefined
  /** The destination is in one of these. */
  readonly inside: ReadonlySet<string> | undefined
  /** The destination is in a known region and in none of these. */
  readonly outside: ReadonlySet<string> | undefined
  readonly regions: Regions
}

/** Whether a permit reaches the destination: everything is known, and all of it fits. */
export function reachCovers(reach: Reach, { method, host }: NetworkResource): boolean {
  if (reach.methods !== undefined && (method === undefined || !reach.methods.has(method))) return false
  const { inside, outside } = reach
  if (inside === undefined && outside === undefined) return true
  const regions = reach.regions.of(host)
  if (inside !== undefined && !meets(regions, inside)) return false
  return outside === undefined || (regions.size > 0 && !meets(regions, outside))
}

/** Whether anything but a permit applies to the destination: nothing known speaks against it. */
export function reachTouches(reach: Reach, { method, host }: NetworkResource): boolean {
  if (reach.methods !== undefined && method !== undefined && !reach.methods.has(method)) return false
  const { inside, outside } = reach
  if (inside === undefined && outside === undefined) return true
  return hostReadings(host).some((reading) => {
    const regions = reach.regions.of(reading)
    if (inside !== undefined && regions.size > 0 && !meets(regions, inside)) return false
    return outside === undefined || !meets(regions, outside)
  })
}

function meets(found: ReadonlySet<string>, wanted: ReadonlySet<string>): boolean {
  for (const name of found) if (wanted.has(name)) return true
  return false
}
