// ./testing: what users and we ourselves test with. Nothing here belongs in production.

export { type ManualClock, manualClock } from './manual-clock.ts'
export { unsafeNullEnforcer } from './null-enforcer.ts'
