// Peers of the observed runs → host patterns. A peer is proposed by the name a program took its address for, never when a
// denial touches the name or the address, and never when the address hands out credentials.

import { formatHost, parseHost } from '../../core/host.ts'
import { type HostPattern, hostCovers, hostTouches, parseHostPattern } from '../../core/host-pattern.ts'
import type { Observation, ObservedEgress } from '../observe/observation.ts'
import type { Notes } from './notes.ts'
import { isMetadataAddress } from './sensitive.ts'

/** Patterns that are not covered by `existing`; sorted. */
export function proposeHosts(
  runs: readonly Observation[],
  existing: readonly string[],
  denied: readonly HostPattern[],
  notes: Notes,
): readonly string[] {
  const found = new Set<string>()
  const listeners = runs.flatMap((run) => run.listeners)
  const before = existing.flatMap((text) => {
    const parsed = parseHostPattern(text)
    return parsed.ok ? [parsed.pattern] : []
  })
  for (const peer of runs.flatMap((run) => run.egress)) {
    const { address, host, port, protocol, sent } = peer
    const text = describePeer(peer)
    if (!sent || port === 0) continue
    const loopback = /^127\.|^::1$|^0\.0\.0\.0$|^::$/.test(address)
    if (loopback && listeners.some((listener) => listener.port === port && listener.protocol === protocol)) continue
    if (isMetadataAddress(address) || (host !== undefined && isMetadataAddress(host))) {
      notes.add('refused', 'addresses that hand out credentials are never proposed', text)
      continue
    }
    if (port === 53) {
      notes.add('info', 'name servers were asked; a box answers names itself', text)
      continue
    }
    if (protocol === 'udp') {
      notes.add('refused', 'UDP does not leave a box; it was sent to', text)
      continue
    }
    const parsed = parseHost(host ?? address)
    const wanted = parsed.ok ? { host: parsed.host, port } : undefined
    const pattern = wanted === undefined ? undefined : hostText(formatHost(wanted.host), port)
    if (wanted === undefined || pattern === undefined || !parseHostPattern(pattern).ok) {
      notes.add('refused', 'hosts that no manifest can name', text)
      continue
    }
    if (before.some((one) => hostCovers(one, wanted))) continue
    // By address too: a forbid of an address block means it whatever name was used.
    const byAddress = parseHost(address)
    const readings = byAddress.ok ? [wanted, { host: byAddress.host, port }] : [wanted]
    const denial = denied.find((one) => readings.some((reading) => hostTouches(one, reading)))
    if (denial !== undefined) {
      notes.add('refused', `the denial ${denial.text} touches what was reached`, text)
      continue
    }
    // Without a port the pattern means both usual ones: with a denial of the other one, it has to name its own.
    const other = { ...wanted, port: port === 80 ? 443 : 80 }
    const crosses = denied.some((one) => hostTouches(one, other))
    found.add(crosses ? `${formatHost(wanted.host)}:${port}` : pattern)
    if (loopback) notes.add('warning', 'services of this machine were used; the loopback of a box is its own', text)
    else if (host === undefined) {
      notes.add('warning', 'addresses whose name was not seen: write the name if there is one', text)
    }
  }
  return [...found].sort()
}

/** A port that a name implies is left out, as policies write it. */
function hostText(host: string, port: number): string {
  return port === 80 || port === 443 ? host : `${host}:${port}`
}

function describePeer({ address, host, port, protocol }: ObservedEgress): string {
  return `${protocol} ${host === undefined ? address : `${host} (${address})`} port ${port}`
}
