// The enforcer one has without giving one. It starts nothing, ever: code that forgot the enforcer gets a refusal that says
// what is missing, and never a process that nobody confines.

import type { Capabilities, Capability, Confinement, Enforcer, OpenConfinementOptions } from './enforcer.ts'
import { FEATURES, type Feature, requiredFeatures } from './feature.ts'
import type { Profile } from './profile.ts'
import { EnforcementUnavailableError } from './report.ts'

const REASON = 'no enforcer was given'
const FIX = 'pass an enforcer for this operating system'

export const refusingEnforcer: Enforcer = Object.freeze({
  name: 'refusing',

  probe(): Promise<Capabilities> {
    const missing: Capability = Object.freeze({ support: 'unsupported', mechanism: '', reason: REASON, fix: FIX })
    const features = Object.fromEntries(FEATURES.map((feature) => [feature, missing])) as Record<Feature, Capability>
    return Promise.resolve(Object.freeze({ enforcer: 'refusing', features: Object.freeze(features) }))
  },

  open(_profile: Profile, options: OpenConfinementOptions = {}): Promise<Confinement> {
    // Also when everything is merely preferred: there is nothing here that could start a process.
    const missing = requiredFeatures(options.requirements).map(
      (feature) => ({ feature, status: 'absent', reason: REASON, fix: FIX }) as const,
    )
    return Promise.reject(
      new EnforcementUnavailableError('refusing', missing, `${REASON}, so nothing is started; ${FIX}`),
    )
  },
})
