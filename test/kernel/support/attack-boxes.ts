// Boxes for the corpus, made by the bundled enforcer: what an attack is granted becomes a profile.

import type { EnforcerEvent } from '../../../src/enforcer/enforcer.ts'
import { FEATURES, type Requirements } from '../../../src/enforcer/feature.ts'
import { compileProfile, type GrantRule, type Profile } from '../../../src/enforcer/profile.ts'
import { LinuxEnforcer } from '../../../src/linux/linux-enforcer.ts'
import { hosts, NOTHING, paths } from '../../enforcer/helpers.ts'
import type { AttackGrants } from '../attacks/attack.ts'
import type { AttackHost } from './attack-host.ts'
import type { AttackResult, ConfinedRunner } from './attack-runner.ts'

/**
 * Nobody can hold every limit (the number of processes of uid 0, without control groups), and a corpus that is not run
 * shows nothing: what is missing shows as an attack that succeeds.
 */
const REQUIREMENTS: Requirements = Object.fromEntries(FEATURES.map((feature) => [feature, 'preferred']))

export function profileFor(host: AttackHost, grants: AttackGrants): Profile {
  const binaries = [host.listed, ...(grants.binaries ?? [])]
  if (grants.tool === true) binaries.push(host.tool)
  if (grants.setuid === true) binaries.push(host.setuid)
  const reads = paths(`${host.input}/**`, `${host.work}/**`)
  const writes = paths(`${host.work}/**`)
  const reached = hosts(...(grants.hosts ?? []))
  return compileProfile(
    {
      ...NOTHING,
      readablePaths: reads,
      writablePaths: writes,
      allowedBinaries: binaries,
      allowedHosts: reached,
      ...(grants.limits === undefined ? {} : { limits: grants.limits }),
    },
    {
      permits: [{ rule: 'granted', reads, writes, binaries: paths(...binaries), hosts: reached }],
      forbids: forbids(host, grants),
    },
  ).profile
}

function forbids(host: AttackHost, { holes, absentHole }: AttackGrants): readonly GrantRule[] {
  const rules: GrantRule[] = []
  if (holes === true) {
    rules.push({ rule: 'holes', reads: paths(`${host.input}/private/**`), writes: paths(`${host.work}/repo/.git/**`) })
  }
  if (absentHole === true) rules.push({ rule: 'absent', writes: paths(`${host.work}/.npmrc`) })
  return rules
}

/** A box for each attack. `AGENTPORT_ATTACKS_KIND=flat` does without namespaces where they could be had. */
export async function enforcedRunner(): Promise<ConfinedRunner> {
  const flat = process.env['AGENTPORT_ATTACKS_KIND'] === 'flat'
  const enforcer = await LinuxEnforcer.open(flat ? { kind: 'flat' } : {})
  return {
    flat,
    async open(host, grants) {
      const confinement = await enforcer.open(profileFor(host, grants), { requirements: REQUIREMENTS })
      const events: EnforcerEvent[] = []
      const reading = (async () => {
        for await (const event of confinement.events) events.push(event)
      })()
      return {
        report: confinement.report,
        async run(file, args, env): Promise<AttackResult> {
          const child = await confinement.spawn({ file, args, ...(env === undefined ? {} : { env }) })
          const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), child.exited])
          return { ...status, stdout, stderr }
        },
        async close() {
          await confinement.close()
          await reading
          return events
        },
      }
    },
  }
}

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  const reader = stream.getReader()
  let all = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    all += decoder.decode(part.value, { stream: true })
  }
  return all
}
