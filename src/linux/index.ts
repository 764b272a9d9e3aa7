export type { LinuxConfinement } from './confinement.ts'
export {
  type ConfinementFacts,
  compareFingerprints,
  type Fingerprint,
  type FingerprintComparison,
  type FingerprintContext,
  fingerprintConfinement,
  fingerprintDigest,
  fingerprintObservation,
} from './fingerprint.ts'
export { type Proposal, proposeManifest } from './learn/propose.ts'
export { LinuxEnforcer, type LinuxEnforcerOptions, type OpenLinuxOptions } from './linux-enforcer.ts'
export { type BuiltProgram, buildNative } from './native.ts'
export type { Observation } from './observe/observation.ts'
export { type ObserveOptions, observe, type RunningObservation } from './observe/observer.ts'
export { ProfileUnrepresentableError } from './plan.ts'
export type { HostProbe, Trial } from './probe.ts'
