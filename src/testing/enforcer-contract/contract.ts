// The contract of the enforcer port, as cases that any test runner can run. Whoever writes an enforcer runs them; what
// the gateway relies on is here, and nothing that only one operating system could keep.

import type { Capabilities, Enforcer } from '../../enforcer/enforcer.ts'
import type { Feature } from '../../enforcer/feature.ts'
import { ANSWERS } from './answers.ts'
import { type ContractCase, ContractViolationError, NotApplicableError, shown, within } from './case.ts'
import { COPIES } from './copies.ts'
import type { CaseDefinition } from './definition.ts'
import { EGRESS } from './egress.ts'
import { EPHEMERAL } from './ephemeral.ts'
import { EVENTS } from './events.ts'
import { FILES } from './files.ts'
import { type ContractFixture, contractFixture } from './fixture.ts'
import { Ground } from './ground.ts'
import { HOLES } from './holes.ts'
import { LIFETIME } from './lifetime.ts'
import { LIMITS } from './limits.ts'
import { PRIVILEGE } from './privilege.ts'
import { SPAWNING } from './spawning.ts'
import { VISIBILITY } from './visibility.ts'

/** The enforcer to be tried, and what to try it with. */
export interface ContractSubject {
  /** Called once for all cases, when the first of them runs. */
  open(): Enforcer | Promise<Enforcer>
  /** What differs from {@link contractFixture}. */
  readonly fixture?: Partial<ContractFixture>
}

const DEFINITIONS: readonly CaseDefinition[] = [
  ...ANSWERS,
  ...SPAWNING,
  ...EVENTS,
  ...LIFETIME,
  ...FILES,
  ...HOLES,
  ...COPIES,
  ...EGRESS,
  ...PRIVILEGE,
  ...LIMITS,
  ...EPHEMERAL,
  ...VISIBILITY,
]

/**
 * The cases, in the order in which they are best read; each stands alone and cleans up after itself. A case about a
 * feature is applicable where the probe calls that feature supported, and then holds the enforcer to it.
 */
export function enforcerContract(subject: ContractSubject): readonly ContractCase[] {
  const fixture = contractFixture(subject.fixture)
  const enforcer = once(async () => await subject.open())
  // Asked once: a case that probes for itself is another matter.
  const capabilities = once(async () => await (await enforcer()).probe())
  return Object.freeze(
    DEFINITIONS.map(
      (definition): ContractCase =>
        Object.freeze({
          name: definition.name,
          ...(definition.feature === undefined ? {} : { feature: definition.feature }),
          run: async (notApplicable?: (reason: string) => void): Promise<void> => {
            try {
              await runCase(definition, fixture, enforcer, capabilities)
            } catch (error) {
              if (!(error instanceof NotApplicableError) || notApplicable === undefined) throw error
              notApplicable(error.message)
            }
          },
        }),
    ),
  )
}

async function runCase(
  { feature, body }: CaseDefinition,
  fixture: ContractFixture,
  enforcer: () => Promise<Enforcer>,
  capabilities: () => Promise<Capabilities>,
): Promise<void> {
  const opened = await within(fixture.patienceMs, 'the enforcer', enforcer())
  if (feature !== undefined) await mustBeClaimed(feature, fixture, capabilities)
  const ground = new Ground(opened, capabilities, fixture, feature)
  try {
    await body(ground)
  } finally {
    await ground.clean()
  }
}

async function mustBeClaimed(
  feature: Feature,
  { patienceMs }: ContractFixture,
  capabilities: () => Promise<Capabilities>,
): Promise<void> {
  let answer: Capabilities
  try {
    answer = await within(patienceMs, 'probe', capabilities())
  } catch (error) {
    if (error instanceof ContractViolationError) throw error
    throw new ContractViolationError(`probe rejected: ${shown(error)}`, { cause: error })
  }
  const { support, reason = 'no reason given' } = answer.features[feature] ?? { support: 'not mentioned' }
  if (support === 'unsupported' || support === 'inconclusive')
    throw new NotApplicableError(`the probe calls ${feature} ${support}: ${reason}`)
  // A word of its own claims nothing and is no excuse either; the cases about the probe say what is wrong with it.
  if (support !== 'supported') throw new ContractViolationError(`the probe says of ${feature}: ${shown(support)}`)
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}
