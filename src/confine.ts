// From a node that may call a tool to a box for what the tool starts: manifest ∩ policy, written down before it is opened.

import type { Granted } from './admission.ts'
import { deny } from './core/denial.ts'
import { DeniedError } from './core/denied-error.ts'
import type { Confinement } from './enforcer/enforcer.ts'
import type { Requirements } from './enforcer/feature.ts'
import { compileProfile } from './enforcer/profile.ts'
import { type House, record } from './house.ts'

/** The confinement, or a {@link DeniedError}, or the enforcer's own refusal. */
export async function openConfinement(
  house: House,
  run: string,
  owner: Granted,
  tool: string,
  requirements: Requirements,
): Promise<Confinement> {
  const { node, attempt, roles, skill } = owner
  const { manifest } = skill
  const subject = { node, tool, skill: skill.name }
  const binding = manifest.tools.get(tool)
  if (binding === undefined) {
    throw new DeniedError(deny('tool_undeclared', 'the manifest does not declare this tool', { subject }))
  }
  if (!owner.toolScope.includes(tool) || !binding.inScope) {
    throw new DeniedError(deny('tool_out_of_scope', 'the tool is not in the tool_scope of this node', { subject }))
  }
  const { enforcer, policy, policyInForce } = house
  const { profile } = compileProfile(manifest, policy.grantsFor({ node, roles, skill: skill.name, tool }))
  const recorded = await record(house, {
    type: 'process.confined',
    run,
    node,
    attempt,
    tool,
    skill: skill.name,
    policy: policy.digest,
    enforcement: enforcer.name,
    profile: profile.digest,
  })
  if (typeof recorded !== 'object') {
    throw new DeniedError(deny('audit_unavailable', 'the confinement could not be recorded', { subject }))
  }
  // Over with the attempt, and with the policy it was compiled from.
  const signal = AbortSignal.any([owner.signal, policyInForce.signal])
  return enforcer.open(profile, { requirements, signal })
}
