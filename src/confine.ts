// From a node that may call a tool to a box for what the tool starts: manifest ∩ policy, written down before it is opened,
// and handed out only when the report says that it is what was asked for.

import type { Granted } from './attempt.ts'
import { type Denial, deny } from './core/denial.ts'
import { DeniedError } from './core/denied-error.ts'
import { printable } from './core/text.ts'
import type { Requirements } from './enforcer/feature.ts'
import { compileProfile } from './enforcer/profile.ts'
import { assertRequirements, type EnforcementReport, findShortfalls } from './enforcer/report.ts'
import { type House, record } from './house.ts'
import { WatchedConfinement } from './watch.ts'

/** Who a confinement is opened for. */
export interface ConfinementOwner {
  readonly run: string
  readonly granted: Granted
  /** Ends the attempt for what happened in the confinement. */
  end(denial: Denial): void
  /** The run is not over before the confinement is. */
  hold(closed: Promise<void>): void
}

/** The confinement, or a {@link DeniedError}, or the enforcer's own refusal. */
export async function openConfinement(
  house: House,
  owner: ConfinementOwner,
  tool: string,
  requirements: Requirements,
): Promise<WatchedConfinement> {
  const { node, attempt, roles, labels, skill, toolScope, upstream, downstream, signal: attemptSignal } = owner.granted
  const { manifest } = skill
  const subject = { node, tool, skill: skill.name }
  const binding = manifest.tools.get(tool)
  if (binding === undefined) {
    throw new DeniedError(deny('tool_undeclared', 'the manifest does not declare this tool', { subject }))
  }
  if (!toolScope.includes(tool) || !binding.inScope) {
    throw new DeniedError(deny('tool_out_of_scope', 'the tool is not in the tool_scope of this node', { subject }))
  }
  const { enforcer, policy, policyInForce } = house
  const grants = policy.grantsFor({ node, roles, labels, upstream, downstream, skill: skill.name, tool })
  const { profile } = compileProfile(manifest, grants)
  const about = { run: owner.run, node, attempt, tool, skill: skill.name }
  const intent = await record(house, {
    type: 'process.confined',
    ...about,
    policy: policy.digest,
    enforcement: enforcer.name,
    profile: profile.digest,
  })
  if (typeof intent !== 'object' || house.auditGap) {
    throw new DeniedError(deny('audit_unavailable', 'the confinement could not be recorded', { subject }))
  }
  // Over with the attempt, and with the policy it was compiled from.
  const signal = AbortSignal.any([attemptSignal, policyInForce.signal])
  const opened = await enforcer.open(profile, { requirements, signal })
  const fields = { ...about, enforcement: enforcementOf(opened.report, enforcer.name), confinement: intent.seq }
  const confinement = new WatchedConfinement(opened, { house, about: fields, signal, end: (why) => owner.end(why) })
  owner.hold(confinement.closed)
  try {
    const recorded = await record(house, {
      type: 'process.opened',
      ...fields,
      profile: profile.digest,
      unenforced: shortfalls(opened.report),
    })
    if (typeof recorded !== 'object') {
      throw new DeniedError(deny('audit_unavailable', 'the confinement could not be recorded', { subject }))
    }
    assertRequirements(opened.report, requirements)
    return confinement
  } catch (error) {
    await confinement.close().catch(() => undefined)
    throw error
  }
}

/** A double that confines nothing must be known as one in every record of what it ran. */
function enforcementOf(report: EnforcementReport | undefined, enforcer: string): string {
  return report?.enforcement === 'kernel' ? enforcer : 'none'
}

function shortfalls(report: EnforcementReport): readonly string[] {
  return findShortfalls(report).map(
    ({ feature, status, reason }) => `${feature} ${status}${reason === undefined ? '' : `: ${printable(reason)}`}`,
  )
}
