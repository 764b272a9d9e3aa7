// Egress on the host's own network, held by control group programs: for addresses that were granted as such, which a proxy
// could only carry. Names still go through the proxy, which is then one more granted address.

import type { Cidr } from '../core/ip.ts'
import { parseCidr } from '../core/ip.ts'
import { defaultPort } from '../core/url.ts'
import type { Profile } from '../enforcer/profile.ts'
import { EnforcementUnavailableError } from '../enforcer/report.ts'
import type { BpfObject } from './box.ts'
import { egressBpf } from './bpf/egress-programs.ts'
import type { DirectGrant } from './bpf/egress-trie.ts'

/** Whether `profile` grants any address as such. */
export function grantsAddresses(profile: Profile): boolean {
  return profile.egress.some(({ value }) => value.kind === 'cidr')
}

/**
 * Programs for the addresses of `profile` and, on loopback, the port of the proxy. Rejects a hole in the egress with
 * ERR_ENFORCEMENT_UNAVAILABLE: a trie of grants has none.
 */
export function directEgress(profile: Profile, proxyPort: number | undefined): BpfObject {
  const hole = profile.denied.egress.find(({ value }) => value.kind === 'cidr' || value.kind === 'any')
  if (hole !== undefined) {
    throw new EnforcementUnavailableError('linux', [
      {
        feature: 'egress',
        status: 'absent',
        reason: `host ${hole.value.text} (${hole.rule}) is forbidden inside what is granted, which direct egress cannot express`,
        fix: 'grant the addresses without the hole, or open the enforcer with egress: proxy',
      },
    ])
  }
  const udp = profile.rights.some(({ value }) => value === 'udp')
  const grants: DirectGrant[] = []
  for (const { value } of profile.egress) {
    if (value.kind !== 'cidr' || value.cidr === undefined) continue
    for (const port of portsOf(value.port, value.scheme)) {
      grants.push({ cidr: value.cidr, port, protocol: 'tcp' })
      if (udp && value.scheme === undefined) grants.push({ cidr: value.cidr, port, protocol: 'udp' })
    }
  }
  if (proxyPort !== undefined) grants.push({ cidr: LOOPBACK, port: proxyPort, protocol: 'tcp' })
  return egressBpf(grants, {
    bind: profile.rights.some(({ value }) => value === 'listen'),
    unixSockets: profile.rights.some(({ value }) => value === 'unix_sockets'),
  })
}

const LOOPBACK: Cidr = loopback()

function loopback(): Cidr {
  const parsed = parseCidr('127.0.0.1')
  if (!parsed.ok) throw new TypeError('127.0.0.1 is an address')
  return parsed.cidr
}

function portsOf(port: 'default' | 'any' | number, scheme: string | undefined): readonly (number | 'any')[] {
  if (port !== 'default') return [port]
  const implied = scheme === undefined ? undefined : defaultPort(scheme)
  return implied === undefined ? [80, 443] : [implied]
}
