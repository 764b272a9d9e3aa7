// What an enforcer says about itself: its probe, the report of a confinement, and what it answers to requirements it
// cannot meet. All else in the gateway rests on these words being true.

import type { Capabilities } from '../../enforcer/enforcer.ts'
import { FEATURES, type Feature, type Requirements } from '../../enforcer/feature.ts'
import { type EnforcementReport, findShortfalls } from '../../enforcer/report.ts'
import { ContractViolationError, ensure, NotApplicableError, rejectsWith, shown } from './case.ts'
import type { CaseDefinition } from './definition.ts'
import { ALL_PREFERRED, type Ground } from './ground.ts'

const SUPPORT: readonly unknown[] = ['supported', 'unsupported', 'inconclusive']
const STATUS: readonly unknown[] = ['enforced', 'partial', 'absent']
const VISIBILITY: readonly unknown[] = ['reported', 'counted', 'silent']
const UNAVAILABLE = 'ERR_ENFORCEMENT_UNAVAILABLE'

async function probe(ground: Ground): Promise<Capabilities> {
  try {
    return await ground.patiently('probe', ground.enforcer.probe())
  } catch (error) {
    if (error instanceof ContractViolationError) throw error
    throw new ContractViolationError(`probe rejected: ${shown(error)}; a feature that is missing is an answer`)
  }
}

/** Features by what `capabilities` says of them. */
function having(capabilities: Capabilities, ...support: readonly string[]): readonly Feature[] {
  return FEATURES.filter((feature) => support.includes(capabilities.features[feature]?.support))
}

async function report(ground: Ground): Promise<EnforcementReport> {
  return (await ground.open(ground.profile())).report
}

/** One feature that the enforcer does not have; the case proves nothing on a host that has all of them. */
async function unsupported(ground: Ground): Promise<readonly Feature[]> {
  const found = having(await ground.capabilities(), 'unsupported')
  if (found.length === 0) throw new NotApplicableError('the probe calls no feature unsupported')
  return found
}

async function refuses(ground: Ground, feature: Feature, requirements: Requirements): Promise<void> {
  const word = Object.hasOwn(requirements, feature) ? shown(requirements[feature]) : 'not mentioned'
  const what = `open with ${feature} ${word}`
  const error = await rejectsWith(UNAVAILABLE, what, ground.tryOpen(ground.profile(), { requirements }))
  ensure(error.message.includes(feature), `${what}: the refusal does not name ${feature}: ${shown(error.message)}`)
}

const isText = (value: unknown): boolean => typeof value === 'string' && value.trim() !== ''

export const ANSWERS: readonly CaseDefinition[] = [
  {
    name: 'probe: answers for every feature in the words of the port',
    body: async (ground) => {
      const { enforcer, features } = await probe(ground)
      ensure(enforcer === ground.enforcer.name, `probe calls the enforcer ${shown(enforcer)}`)
      for (const feature of FEATURES) {
        const found = features[feature]
        ensure(typeof found === 'object' && found !== null, `probe says nothing about ${feature}`)
        ensure(SUPPORT.includes(found.support), `probe says of ${feature}: ${shown(found.support)}`)
        ensure(typeof found.mechanism === 'string', `probe names no mechanism for ${feature}, not even an empty one`)
        ensure(
          found.support !== 'supported' || isText(found.mechanism),
          `${feature} is supported by a mechanism without a name`,
        )
      }
    },
  },
  {
    name: 'probe: what is not supported has a reason and a fix',
    body: async (ground) => {
      const { features } = await probe(ground)
      for (const feature of FEATURES) {
        const found = features[feature]
        if (found?.support === 'supported') continue
        ensure(isText(found?.reason), `probe gives no reason for ${feature}`)
        ensure(isText(found?.fix), `probe gives no fix for ${feature}`)
      }
    },
  },
  {
    name: 'probe: asked twice, the same answer',
    body: async (ground) => {
      const [one, other] = [await probe(ground), await probe(ground)]
      for (const feature of FEATURES) {
        const [before, after] = [one.features[feature]?.support, other.features[feature]?.support]
        ensure(before === after, `${feature} was ${shown(before)} and is ${shown(after)} a moment later`)
      }
    },
  },
  {
    name: 'report: says that the kernel confines',
    body: async (ground) => {
      const { enforcer, enforcement, confined } = await report(ground)
      ensure(enforcer === ground.enforcer.name, `the report calls the enforcer ${shown(enforcer)}`)
      ensure(enforcement === 'kernel', `enforcement is ${shown(enforcement)}`)
      ensure(confined === true, `confined is ${shown(confined)}`)
    },
  },
  {
    name: 'report: tells of every feature in the words of the port',
    body: async (ground) => {
      const { features } = await report(ground)
      for (const feature of FEATURES) {
        const found = features[feature]
        ensure(typeof found === 'object' && found !== null, `the report says nothing about ${feature}`)
        ensure(STATUS.includes(found.status), `the report says of ${feature}: ${shown(found.status)}`)
        ensure(VISIBILITY.includes(found.visibility), `denials of ${feature} are ${shown(found.visibility)}`)
        ensure(
          typeof found.mechanism === 'string',
          `the report names no mechanism for ${feature}, not even an empty one`,
        )
        ensure(
          found.status !== 'enforced' || isText(found.mechanism),
          `${feature} is enforced by a mechanism without a name`,
        )
      }
    },
  },
  {
    name: 'report: what is not enforced has a reason and a fix',
    body: async (ground) => {
      const { features } = await report(ground)
      for (const feature of FEATURES) {
        const found = features[feature]
        if (found?.status === 'enforced') continue
        ensure(isText(found?.reason), `the report gives no reason for ${feature}`)
        ensure(isText(found?.fix), `the report gives no fix for ${feature}`)
      }
    },
  },
  {
    name: 'report: enforces nothing that the probe calls unsupported',
    body: async (ground) => {
      const capabilities = await ground.capabilities()
      const { features } = await report(ground)
      for (const feature of having(capabilities, 'unsupported')) {
        ensure(
          features[feature]?.status !== 'enforced',
          `${feature} is unsupported by the probe and enforced by the report`,
        )
      }
    },
  },
  {
    name: 'requirements: all that is supported can be required at once, and is enforced',
    body: async (ground) => {
      const supported = having(await ground.capabilities(), 'supported')
      if (supported.length === 0) throw new NotApplicableError('the probe calls no feature supported')
      const required = Object.fromEntries(supported.map((feature) => [feature, 'required'] as const))
      const requirements = { ...ALL_PREFERRED, ...required }
      const box = await ground.open(ground.profile(), { requirements })
      const missing = findShortfalls(box.report, requirements)
      ensure(missing.length === 0, `opened without what was required: ${shown(missing)}`)
      await ground.mustWork(box)
    },
  },
  {
    name: 'requirements: a required feature that is unsupported is refused',
    body: async (ground) => {
      for (const feature of await unsupported(ground))
        await refuses(ground, feature, { ...ALL_PREFERRED, [feature]: 'required' })
    },
  },
  {
    name: 'requirements: a feature that is not mentioned is required',
    body: async (ground) => {
      for (const feature of await unsupported(ground)) {
        const { [feature]: _, ...others } = ALL_PREFERRED
        await refuses(ground, feature, others)
        await refuses(ground, feature, {})
      }
    },
  },
  {
    name: 'requirements: a word of its own counts as required',
    body: async (ground) => {
      const [feature] = await unsupported(ground)
      if (feature === undefined) return
      for (const word of ['optional', 'Preferred', '', true, null])
        await refuses(ground, feature, { ...ALL_PREFERRED, [feature]: word } as Requirements)
    },
  },
  {
    name: 'requirements: a preferred feature that is unsupported is reported as partial or absent',
    body: async (ground) => {
      const missing = await unsupported(ground)
      const { features } = await report(ground)
      for (const feature of missing) {
        const status = features[feature]?.status
        ensure(
          status === 'partial' || status === 'absent',
          `${feature} is unsupported and reported as ${shown(status)}`,
        )
      }
    },
  },
]
