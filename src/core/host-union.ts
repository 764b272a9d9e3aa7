// Whether several host patterns together cover one. Exact for blocks of addresses, where two halves are the whole; names,
// ports and schemes need one pattern that covers them alone, since no two of ours add up to a third.

import { type HostPattern, hostPatternContains } from './host-pattern.ts'
import { type Cidr, cidrContains, cidrCoversIpv6, cidrHasIpv4, cidrHasIpv6 } from './ip.ts'

/** Whether every destination `inner` covers is covered by one of `outers`. May say no where the answer is yes. */
export function hostPatternsContain(outers: readonly HostPattern[], inner: HostPattern): boolean {
  if (outers.some((outer) => hostPatternContains(outer, inner))) return true
  const { cidr } = inner
  if (cidr === undefined) return false
  // A block counts when nothing but its addresses keeps it from covering the whole.
  const blocks = outers.flatMap((outer) =>
    outer.cidr !== undefined && hostPatternContains({ ...outer, cidr }, inner) ? [outer.cidr] : [],
  )
  return cidrsContain(blocks, cidr)
}

/** Whether every address the block `inner` covers is covered by one of `outers`. Exact, as cidrCovers decides. */
export function cidrsContain(outers: readonly Cidr[], inner: Cidr): boolean {
  return partContained(outers, inner, inner)
}

/**
 * Halves the block until each part lies in one of `outers`. Takes at most two steps for every bit of every outer block:
 * where none of them is left, there is a hole.
 */
function partContained(outers: readonly Cidr[], part: Cidr, inner: Cidr): boolean {
  const holdsLoopback = part.groups !== undefined && cidrHasIpv6(part, LOOPBACK)
  // What embeds IPv4 addresses in a way that `inner` does not speak of is no part of what it covers. ::1 lies among such
  // addresses and is none.
  if (!cidrContains(inner, part) && !(holdsLoopback && part.prefix < 128)) return true
  if (outers.some((outer) => cidrContains(outer, part))) return true
  if (part.prefix === (part.family === 4 ? 32 : 128)) return false
  // A block that holds the part and does not cover it covers nothing there but ::1.
  const within = outers.filter(
    (outer) => (outer.prefix > part.prefix && holds(part, outer)) || (holdsLoopback && cidrCoversIpv6(outer, LOOPBACK)),
  )
  if (within.length === 0) return false
  return halves(part).every((half) => partContained(within, half, inner))
}

const LOOPBACK: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 1]

function holds(block: Cidr, { value4, groups }: Cidr): boolean {
  if (value4 !== undefined) return cidrHasIpv4(block, value4)
  return groups !== undefined && cidrHasIpv6(block, groups)
}

function halves({ family, prefix, value4 = 0, groups = [] }: Cidr): readonly [Cidr, Cidr] {
  if (family === 4) {
    const upper = (value4 | (1 << (31 - prefix))) >>> 0
    return [
      { family, prefix: prefix + 1, value4 },
      { family, prefix: prefix + 1, value4: upper },
    ]
  }
  const upper = [...groups]
  upper[prefix >> 4] = (upper[prefix >> 4] ?? 0) | (1 << (15 - (prefix & 15)))
  return [
    { family, prefix: prefix + 1, groups },
    { family, prefix: prefix + 1, groups: upper },
  ]
}
