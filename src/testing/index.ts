// ./testing: what users and we ourselves test with. Nothing here belongs in production.

export { unsafeNullEnforcer } from './null-enforcer.ts'
export { manualClock, type ManualClock } from './manual-clock.ts'
