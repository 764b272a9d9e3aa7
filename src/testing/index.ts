// ./testing: what users and we ourselves test with. Nothing here belongs in production.

export { type ContractCase, ContractViolationError, NotApplicableError } from './enforcer-contract/case.ts'
export { type ContractSubject, enforcerContract } from './enforcer-contract/contract.ts'
export { type ContractFixture, type ContractProgram, contractFixture } from './enforcer-contract/fixture.ts'
export {
  type ContractMatrix,
  type ContractOutcome,
  type ContractResult,
  renderMatrix,
  runEnforcerContract,
} from './enforcer-contract/matrix.ts'
export {
  type LimitCaseDefinition,
  type LimitStoreFixture,
  type LimitStoreSubject,
  limitStoreContract,
} from './limit-store-contract.ts'
export { type ManualClock, manualClock } from './manual-clock.ts'
export { type MatcherResult, type PolicyMatchers, policyMatchers } from './matchers.ts'
export { unsafeNullEnforcer } from './null-enforcer.ts'
