// The public surface. Reads as a table of contents; nothing is defined here.

// The gateway
export { NodeAdmission } from './admission.ts'
export {
  AgentPort,
  type AgentPortOptions,
  type Approvals,
  type GuardedTool,
  type RunOptions,
  type ToolContext,
} from './agentport.ts'
// Approval: who may say yes
export { ApprovalDesk, type ApprovalDeskOptions } from './approval/desk.ts'
export { type ApprovalCallback, type ApprovalPort, type CallbackAnswer, callbackApprovals } from './approval/port.ts'
export type {
  AnswerRejection,
  AnswerResult,
  Approval,
  ApprovalAnswer,
  ApprovalChange,
  ApprovalQuestion,
  ApprovalState,
  Asked,
  Redeemed,
  RevokeFilter,
} from './approval/question.ts'
export { renderApproval } from './approval/render.ts'
export { type ApprovalSubject, approvalDigest } from './approval/subject.ts'
export type { NodeEnd } from './attempt.ts'
// Attestation: who vouches for the code
export type { SkillBundle, SkillFile } from './attestation/bundle.ts'
export type { AttestationToken, IssuedToken, TokenBinding, TokenUse } from './attestation/token.ts'
export { type LoadedTrust, loadTrust, type Trust, trustFromValue } from './attestation/trust.ts'
export {
  type Attestation,
  AttestationVerifier,
  type AttestationVerifierOptions,
  type Verified,
} from './attestation/verifier.ts'
// Audit: what happened, provably
export type { AuditHead } from './audit/chain.ts'
export { type Commitment, commitArguments, commitmentMatches } from './audit/commit.ts'
export { AUDIT_EVENTS, type AuditEvent, type AuditEventType, denialFields } from './audit/event.ts'
export type { AuditFault } from './audit/fault.ts'
export { AUDIT_FIELDS } from './audit/field.ts'
export { AuditLog, type AuditLogOptions, type AuditReceipt, type KeepSalt } from './audit/log.ts'
export { type AuditSink, type MemorySink, memorySink } from './audit/sink.ts'
export { type AuditVerification, AuditVerifier, verifyAuditLog } from './audit/verify.ts'
export type { AllowedCall, Call, CallRequest, PendingApproval, RefusedCall, SettleOptions } from './call.ts'
// Core: words used everywhere
export type { ApprovalDemand } from './core/approval.ts'
export { type AskOptions, askConditions } from './core/ask-conditions.ts'
export type { Charge, LimitKind, LimitStore, Reservation } from './core/charge.ts'
export { type Clock, systemClock } from './core/clock.ts'
export {
  type ConditionPort,
  type ConditionQuestion,
  type ConditionSubject,
  conditionInput,
  conditionKey,
} from './core/condition-port.ts'
export type { Config, Mode } from './core/config.ts'
export {
  DENIALS,
  type Denial,
  type DenialCode,
  type DenialLayer,
  type DenialSubject,
  type Recoverable,
  type RuleRef,
} from './core/denial.ts'
export { DeniedError } from './core/denied-error.ts'
export type { SourceText } from './core/document.ts'
export { AgentPortError, ERROR_CODES, type ErrorCode } from './core/errors.ts'
export type { JsonObject, JsonValue } from './core/json.ts'
export type { LintFinding } from './core/lint.ts'
export { type NamedResourceKind, type NamedResourceOptions, resourceOf } from './core/named-resource.ts'
export type { Obligation, ObligedSide } from './core/obligation.ts'
export { DocumentError, formatProblems, PROBLEM_CODES, type Problem, type ProblemCode } from './core/problem.ts'
export { renderForAudit, renderForModel, renderForOperator } from './core/render.ts'
export { describeResource, type Resource, type ResourceKind } from './core/resource.ts'
export type { Decision, Settlement, Verdict } from './core/verdict.ts'
// Enforcer: the port to the kernel
export { type Command, checkCommand } from './enforcer/command.ts'
export type {
  Capabilities as EnforcerCapabilities,
  ConfinedProcess,
  Confinement,
  Enforcer,
  EnforcerEvent,
  EnforcerFact,
  ExitStatus,
  KillReport,
} from './enforcer/enforcer.ts'
export { EventQueue } from './enforcer/event-queue.ts'
export { FEATURES, type Feature, type Requirement, type Requirements } from './enforcer/feature.ts'
export { compileProfile, type Profile } from './enforcer/profile.ts'
export { refusingEnforcer } from './enforcer/refusing.ts'
export { assertRequirements, type EnforcementReport } from './enforcer/report.ts'
// Halt: how a stop travels
export { type HaltCause, HaltError, type HaltRequest } from './halt/cause.ts'
export type { HaltChange } from './halt/changes.ts'
export { type Graph, type GraphNode, loadGraph, type ParsedGraph, parseGraph } from './halt/graph.ts'
export { HaltPropagator } from './halt/propagator.ts'
export type { HaltReport, NodeSummary, RunSummary } from './halt/report.ts'
export type { Admission, HaltScope, Settled } from './halt/scope.ts'
export type { MissingInput, NodeOutcome, NodeState } from './halt/state.ts'
export type { AgentPortEvents, SkillStatus } from './house.ts'
// Limits: who counts
export { MemoryLimitStore, type MemoryLimitStoreOptions } from './limit/memory-store.ts'
// Manifest: what a skill says it needs
export { type BoundCall, bindCall } from './manifest/bind.ts'
export { type Capabilities, capabilitiesOf } from './manifest/capabilities.ts'
export {
  type CommandOptions,
  type CommandReading,
  readArgumentVector,
  readCommand,
} from './manifest/command/read-command.ts'
export { type Composition, composeManifests, type Origin } from './manifest/compose.ts'
export type { Imported, ImportTodo } from './manifest/import/imported.ts'
export { importMcpTools } from './manifest/import/mcp-tools.ts'
export { importOpenClawPlugin } from './manifest/import/openclaw-plugin.ts'
export { importSkillMarkdown } from './manifest/import/skill-markdown.ts'
export { lintManifest, MANIFEST_LINTS } from './manifest/lint.ts'
export type { Manifest, ToolBinding } from './manifest/manifest.ts'
export { intersectManifests, type Narrowing, type NarrowingExcess, narrowManifest } from './manifest/narrow.ts'
export { ManifestValidator } from './manifest/validator.ts'
// Obligation: what must be done for an allow to hold
export { type CompiledObligations, compileObligations } from './obligation/compile.ts'
export { type AddressResolver, type PinnedAddress, pinAddresses } from './obligation/pin.ts'
export { PolicyComparison, type PolicyDiff, type PolicyDifference, type Replay } from './policy/diff/diff.ts'
// Policy: what the operator grants
export {
  PolicyEngine,
  type PolicyEngineOptions,
  type PolicyRequest,
  type PolicyVerdict,
  type ToolShape,
} from './policy/engine.ts'
export type { EgressStanding, Explanation, StatementStanding } from './policy/explanation.ts'
export type { Excess } from './policy/fit.ts'
export { describeNearGrant, type NearGrant } from './policy/fit-nearest.ts'
export { lintPolicy, POLICY_LINTS } from './policy/lint.ts'
export type { PolicySource } from './policy/load.ts'
export { type MissingPermission, permissionYaml } from './policy/missing-permission.ts'
export { type PolicyTest, readPolicyTests } from './policy/test-case.ts'
export { type PolicyTestResult, runPolicyTest } from './policy/test-run.ts'
export { Run } from './run.ts'
