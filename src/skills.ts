// A skill on its way in: attested, well-formed, inside what the policy grants. The first of these it is not rejects it.

import type { SkillBundle } from './attestation/bundle.ts'
import type { AttestationVerifier } from './attestation/verifier.ts'
import { commitArguments } from './audit/commit.ts'
import { type AuditEvent, denialFields } from './audit/event.ts'
import { canonicalJson } from './core/canonical.ts'
import { type Denial, deny, sealDenial, withSubject } from './core/denial.ts'
import type { JsonObject } from './core/json.ts'
import { copyPlain } from './core/plain.ts'
import { formatProblems, type Problem } from './core/problem.ts'
import { renderForOperator } from './core/render.ts'
import { printable } from './core/text.ts'
import { given, type SkillStatus } from './house.ts'
import { bindCopied } from './manifest/bind.ts'
import { capabilitiesOf, toolsOfManifest } from './manifest/capabilities.ts'
import type { Manifest } from './manifest/manifest.ts'
import type { ManifestValidator } from './manifest/validator.ts'
import type { PolicyEngine, ToolShape } from './policy/engine.ts'
import { describeNearGrant } from './policy/fit-nearest.ts'

/** A skill that is attested and well-formed, or why not. Whether the policy grants what it asks for is {@link fitSkill}'s. */
export function validateSkill(
  bundle: SkillBundle,
  verifier: AttestationVerifier,
  validator: ManifestValidator,
): SkillStatus {
  // Read once: a bundle that answers otherwise the second time would be hashed as one thing and loaded as another.
  const { name, files, manifest, attestation, directory } = bundle
  const { file, text, format } = manifest
  const snapshot: SkillBundle = {
    name,
    files: files.map(({ path, executable, bytes }) => ({ path, executable, bytes: bytes.slice() })),
    manifest: { file, text, ...given('format', format) },
    ...given('attestation', attestation),
    ...given('directory', directory),
  }
  const verified = verifier.verify(snapshot)
  if (!verified.ok) return rejectedSkill(name, verified.denial)
  const validated = validator.validate(snapshot.manifest, { skill: name })
  if (!validated.ok)
    return rejectedSkill(name, deny('manifest_invalid', summarise(validated.problems)), validated.problems)
  return Object.freeze({ name, admitted: true, attestation: verified.attestation, manifest: validated.manifest })
}

/** The same skill, rejected when it asks for more than the policy grants. */
export function fitSkill(skill: SkillStatus, policy: PolicyEngine): SkillStatus {
  const excess = skill.admitted ? excessDenial(policy, skill.manifest) : undefined
  return excess === undefined ? skill : rejectedSkill(skill.name, excess)
}

/** The tools of all admitted skills: what policies are typed against. */
export function toolsOf(skills: Iterable<SkillStatus>): readonly ToolShape[] {
  return [...skills].flatMap((skill) => (skill.admitted ? toolsOfManifest(skill.manifest) : []))
}

/** The standing of a skill that may not be used, and why. */
export function rejectedSkill(name: string, denial: Denial, problems: readonly Problem[] = []): SkillStatus {
  return Object.freeze({ name, admitted: false, denial: sealDenial(withSubject(denial, { skill: name })), problems })
}

/** The first error on one line, and how many there are; all of them stand in {@link SkillStatus}. */
function summarise(problems: readonly Problem[]): string {
  const errors = problems.filter((problem) => problem.severity === 'error')
  const [first] = errors
  if (first === undefined) return 'the manifest does not hold together'
  const more = errors.length === 1 ? '' : ` (and ${errors.length - 1} more)`
  return `${first.file}:${first.line}:${first.column}: ${first.message}${more}`
}

export function describeRejection(skill: SkillStatus): string {
  if (skill.admitted) return skill.name
  return skill.problems.length > 0 ? formatProblems(skill.problems) : renderForOperator(skill.denial)
}

/**
 * Runs each step of judging once, so that the first real call does not pay for the compilation of the code and fall to
 * the deadline. What it answers is thrown away.
 */
export function warmUp(policy: PolicyEngine, skills: Iterable<SkillStatus>): void {
  for (const skill of skills) {
    if (!skill.admitted) continue
    for (const tool of skill.manifest.tools.keys()) {
      const copied = copyPlain({ warm: 'up', url: 'https://localhost/', path: '/tmp' })
      const args = copied.ok ? (copied.value as JsonObject) : {}
      bindCopied(skill.manifest, tool, args)
      policy.evaluate({ node: 'warm-up', skill: skill.name, tool, args, resources: [] })
      commitArguments(canonicalJson(args))
    }
  }
}

export function excessDenial(policy: PolicyEngine, manifest: Manifest): Denial | undefined {
  const excess = policy.excess(capabilitiesOf(manifest))
  if (excess.length === 0) return undefined
  const list = excess.map(({ kind, text, pointer, nearest: [nearest] }) => {
    const { line, column } = manifest.locate(pointer)
    const near = nearest === undefined ? '' : `; ${describeNearGrant(nearest)}`
    return `${kind} ${text} (${manifest.file}:${line}:${column}${near})`
  })
  const detail = `skill "${manifest.skill}" asks for what no policy grants: ${list.join(', ')}`
  return deny('manifest_excess', detail, { ...given('missing', excess[0]?.missing) })
}

export function skillRecord(skill: SkillStatus): AuditEvent {
  if (!skill.admitted) return { type: 'skill.rejected', skill: printable(skill.name), ...denialFields(skill.denial) }
  const { attestation, manifest } = skill
  return {
    type: 'skill.admitted',
    skill: skill.name,
    digest: attestation.digest,
    method: attestation.method,
    manifest: manifest.digest,
    ...given('version', attestation.version),
    ...given('publisher', attestation.publisher),
  }
}
