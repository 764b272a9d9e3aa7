// What one confinement really has, and the check that this is what was asked for. An enforcer is code from elsewhere: a
// feature its report leaves out, or describes in a word of its own, counts as absent.

import { AgentPortError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { type Feature, type Requirements, requiredFeatures } from './feature.ts'

export type EnforcementStatus = 'enforced' | 'partial' | 'absent'

/**
 * What the gateway learns of a denial by this feature. `reported`: each one, with its subject. `counted`: that there were
 * some. `silent`: nothing, so that an empty event stream proves nothing.
 */
export type Visibility = 'reported' | 'counted' | 'silent'

export interface FeatureReport {
  readonly status: EnforcementStatus
  /** What enforces it, e.g. `landlock abi 4`; empty when nothing does. */
  readonly mechanism: string
  readonly visibility: Visibility
  /** Why it is not `enforced`. */
  readonly reason?: string
  /** What would make it so. */
  readonly fix?: string
}

/** The confinement as it is, not as it was asked for. */
export interface EnforcementReport {
  /** Name of the enforcer. */
  readonly enforcer: string
  /** `none` marks a double that confines nothing; every record made under it must repeat the word. */
  readonly enforcement: 'kernel' | 'none'
  /** Whether processes started in it are confined at all. */
  readonly confined: boolean
  readonly features: Readonly<Record<Feature, FeatureReport>>
}

/** A required feature that a host or a confinement does not have. */
export interface FeatureShortfall {
  readonly feature: Feature
  readonly status: 'partial' | 'absent'
  readonly reason?: string
  readonly fix?: string
}

/** Nothing was started, because a required feature cannot be had. */
export class EnforcementUnavailableError extends AgentPortError {
  override readonly name: string = 'EnforcementUnavailableError'
  readonly missing: readonly FeatureShortfall[]

  constructor(enforcer: string, missing: readonly FeatureShortfall[], summary?: string) {
    super('ERR_ENFORCEMENT_UNAVAILABLE', explain(enforcer, missing, summary))
    this.missing = Object.freeze(missing.map((shortfall) => Object.freeze({ ...shortfall })))
  }
}

/** The required features that `report` does not show as enforced. */
export function findShortfalls(
  report: EnforcementReport,
  requirements: Requirements = {},
): readonly FeatureShortfall[] {
  const features: object = report.features ?? {}
  return requiredFeatures(requirements).flatMap((feature): readonly FeatureShortfall[] => {
    const found = Object.hasOwn(features, feature) ? (features as EnforcementReport['features'])[feature] : undefined
    if (typeof found !== 'object' || found === null)
      return [{ feature, status: 'absent', reason: 'the enforcer does not report it' }]
    // A report that contradicts itself is not evidence for anything.
    if (report.confined !== true || report.enforcement !== 'kernel') {
      return [{ feature, status: 'absent', reason: found.reason ?? 'nothing is confined', ...fixOf(found) }]
    }
    if (found.status === 'enforced') return []
    const status = found.status === 'partial' ? 'partial' : 'absent'
    return [{ feature, status, ...(found.reason === undefined ? {} : { reason: found.reason }), ...fixOf(found) }]
  })
}

/** Throws {@link EnforcementUnavailableError} unless every required feature is enforced. Partial is not enforced. */
export function assertRequirements(report: EnforcementReport, requirements: Requirements = {}): void {
  const missing = findShortfalls(report, requirements)
  if (missing.length > 0) throw new EnforcementUnavailableError(report.enforcer, missing)
}

function fixOf({ fix }: FeatureReport): { readonly fix?: string } {
  return fix === undefined ? {} : { fix }
}

function explain(enforcer: string, missing: readonly FeatureShortfall[], summary: string | undefined): string {
  const lines = missing.map(({ feature, status, reason, fix }) => {
    const why = reason === undefined ? '' : `: ${printable(reason)}`
    return `  ${feature} is ${status}${why}${fix === undefined ? '' : `; fix: ${printable(fix)}`}`
  })
  return [`${printable(enforcer)}: ${summary ?? 'required features cannot be enforced'}`, ...lines].join('\n')
}
