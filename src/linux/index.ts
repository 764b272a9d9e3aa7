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
export { type SkillFailure, SkillHostError } from './skill-host/failure.ts'
export type { ToolRefusal } from './skill-host/messages.ts'
export { type SkillHostFiles, type SkillHostNeeds, skillHostNeeds } from './skill-host/needs.ts'
export { SkillHostPool, type SkillHostPoolOptions } from './skill-host/pool.ts'
export {
  SkillHost,
  type SkillHostOptions,
  type SkillHostOwner,
  type SkillLog,
  type SkillRunOptions,
} from './skill-host/skill-host.ts'
export {
  type CallAuthority,
  type Dispatch,
  gatewayCalls,
  type JudgedCall,
  type ToolCalls,
} from './skill-host/tool-calls.ts'
