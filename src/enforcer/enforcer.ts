// The port between the gateway and whatever confines a process. The gateway trusts an enforcer to say truthfully what it
// enforces; it does not trust it to have been asked for the right thing, so the report is checked before a process runs.

import type { Command } from './command.ts'
import type { Feature, Requirements } from './feature.ts'
import type { Profile } from './profile.ts'
import type { EnforcementReport } from './report.ts'

/** One feature on this host, found out by trying it and not by reading a version number. */
export interface Capability {
  readonly support: 'supported' | 'unsupported' | 'inconclusive'
  /** What would enforce it; empty when nothing would. */
  readonly mechanism: string
  /** Why it is not plainly supported. */
  readonly reason?: string
  /** What the operator can do about it. */
  readonly fix?: string
}

export interface Capabilities {
  readonly enforcer: string
  readonly features: Readonly<Record<Feature, Capability>>
}

export interface OpenConfinementOptions {
  /** Absent means that every feature is required. */
  readonly requirements?: Requirements
  /** Aborting it kills the confinement. */
  readonly signal?: AbortSignal
}

export interface Enforcer {
  readonly name: string
  /** What this host can enforce. Never rejects for a feature that is missing: that is an answer. */
  probe(): Promise<Capabilities>
  /**
   * Makes a confinement of its own for `profile`. Rejects with ERR_ENFORCEMENT_UNAVAILABLE, having started nothing, when a
   * required feature cannot be enforced or the profile cannot be represented.
   */
  open(profile: Profile, options?: OpenConfinementOptions): Promise<Confinement>
}

/** One live box. */
export interface Confinement {
  readonly report: EnforcementReport
  /** One consumer. Ends when the confinement is closed. Bounded: what did not fit is an event of its own. */
  readonly events: AsyncIterable<EnforcerEvent>
  /**
   * Rejects with ERR_COMMAND_INVALID, ERR_SPAWN_FAILED, or ERR_STATE_INVALID after a kill or close. A confinement whose
   * profile is ephemeral may refuse a second command in the same way.
   */
  spawn(command: Command): Promise<ConfinedProcess>
  /** Ends every process in the confinement, and all later ones before they start. Never rejects. */
  kill(): Promise<KillReport>
  /** Kills what is left and gives up everything the confinement holds. Idempotent. */
  close(): Promise<void>
}

export interface ConfinedProcess {
  readonly pid: number
  /** Present when the command said `stdin: 'pipe'`. */
  readonly stdin?: WritableStream<Uint8Array>
  readonly stdout: ReadableStream<Uint8Array>
  readonly stderr: ReadableStream<Uint8Array>
  /** Never rejects. */
  readonly exited: Promise<ExitStatus>
}

/** `code` for a process that ended by itself, `signal` for one that was ended. */
export interface ExitStatus {
  readonly code?: number
  readonly signal?: string
}

/**
 * `clean`: shown that nothing is left. `unproven`: everything known was ended, but a descendant may have got away.
 * `unreaped`: these processes did not end.
 */
export interface KillReport {
  readonly enforcement: EnforcementReport['enforcement']
  readonly outcome: 'clean' | 'unproven' | 'unreaped'
  readonly mechanism: string
  /** Process ids. */
  readonly unreaped: readonly number[]
}

/** What happened inside a confinement. `seq` counts from 1 without gaps; `at` is wall clock, milliseconds since the epoch. */
export type EnforcerEvent = { readonly seq: number; readonly at: number } & EnforcerFact

export type EnforcerFact =
  | { readonly type: 'started'; readonly pid: number; readonly file: string }
  | ({ readonly type: 'exited'; readonly pid: number } & ExitStatus)
  /** `observed`: seen from outside, which never claims to have blocked anything. */
  | {
      readonly type: 'denied'
      readonly feature: Feature
      readonly subject: string
      readonly evidence: 'enforced' | 'observed'
      readonly rule?: string
      readonly pid?: number
    }
  /** So many denials of one kind, known only as a number when the confinement had ended. */
  | { readonly type: 'counted'; readonly feature: Feature; readonly subject: string; readonly count: number }
  /** So many events did not fit before this one. */
  | { readonly type: 'lost'; readonly count: number }
