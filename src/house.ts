// What the parts of the facade share: the opened rooms, and how a record is written that nothing depends on.

import type { ApprovalDesk } from './approval/desk.ts'
import type { Attestation, AttestationVerifier } from './attestation/verifier.ts'
import type { AuditEvent } from './audit/event.ts'
import type { AuditLog, AuditReceipt } from './audit/log.ts'
import type { LimitStore } from './core/charge.ts'
import type { Clock } from './core/clock.ts'
import type { ConditionPort } from './core/condition-port.ts'
import type { Config } from './core/config.ts'
import { Deadline, LATE } from './core/deadline.ts'
import type { Denial } from './core/denial.ts'
import type { Notifications } from './core/notifications.ts'
import type { Problem } from './core/problem.ts'
import type { TicketOffice } from './core/ticket.ts'
import type { Verdict } from './core/verdict.ts'
import type { Enforcer } from './enforcer/enforcer.ts'
import type { HaltReport } from './halt/report.ts'
import type { Manifest } from './manifest/manifest.ts'
import type { AddressResolver } from './obligation/pin.ts'
import type { PolicyEngine } from './policy/engine.ts'

/** How a skill stands with this gateway. */
export type SkillStatus =
  | { readonly name: string; readonly admitted: true; readonly attestation: Attestation; readonly manifest: Manifest }
  | { readonly name: string; readonly admitted: false; readonly denial: Denial; readonly problems: readonly Problem[] }

export interface AgentPortEvents extends Record<string, unknown> {
  verdict: Verdict
  halt: HaltReport
}

/** What every part of the facade works with. */
export interface House {
  readonly config: Config
  readonly clock: Clock
  readonly audit: AuditLog
  readonly verifier: AttestationVerifier
  readonly tickets: TicketOffice
  readonly enforcer: Enforcer
  readonly skills: Map<string, SkillStatus>
  readonly notifications: Notifications<AgentPortEvents>
  policy: PolicyEngine
  /** Aborted when the policy is replaced: what was confined under the old one must not go on under it. */
  policyInForce: AbortController
  /** A record was lost. Nothing is allowed any more: a log with a hole proves nothing. */
  auditGap: boolean
  candidate: PolicyEngine | undefined
  /** Who counts. */
  readonly limits: LimitStore
  /** Who asks people. */
  readonly approvals: ApprovalDesk
  /** Other engines that rules may ask, by name. */
  readonly conditions: ReadonlyMap<string, ConditionPort>
  /** Resolves the names of calls that have to be pinned; without one the executor pins by itself. */
  readonly resolver: AddressResolver | undefined
}

export type AdmittedSkill = Extract<SkillStatus, { admitted: true }>

/** How long a result or a halt waits for its record. A sink that hangs must not hang the executor. */
export const RECORD_TIMEOUT_MS = 5000

/** Writes a record, or says why it is not in the log: it failed, or took too long. */
export async function record(
  house: House,
  event: AuditEvent,
  timeoutMs: number = RECORD_TIMEOUT_MS,
): Promise<AuditReceipt | 'failed' | 'late'> {
  try {
    const receipt = house.audit.append(event)
    if (!(receipt instanceof Promise)) return receipt
    const written = await new Deadline(house.clock, timeoutMs).race(receipt)
    return written === LATE ? 'late' : written
  } catch {
    house.auditGap = true
    return 'failed'
  }
}

/** `{ [key]: value }`, or nothing when there is no value: an option that was not given is not passed on. */
export function given<Key extends string, Value>(key: Key, value: Value | undefined): { readonly [K in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [K in Key]: Value })
}
