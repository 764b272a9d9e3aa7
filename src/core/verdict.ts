// The answer to one request, as plain data.

import type { Charge } from './charge.ts'
import type { Denial, RuleRef } from './denial.ts'
import type { JsonObject } from './json.ts'
import type { Obligation } from './obligation.ts'
import type { Resource } from './resource.ts'

export type Decision = 'allow' | 'deny' | 'escalate'

export interface Verdict {
  /** Unique in the run; the audit records of the call carry it. */
  readonly id: string
  readonly decision: Decision
  readonly run: string
  readonly node: string
  readonly attempt: number
  readonly tool: string
  /** The frozen canonical arguments that were judged. Absent when they could not be read. */
  readonly args?: JsonObject
  readonly resources: readonly Resource[]
  readonly rules: readonly RuleRef[]
  readonly denial?: Denial
  /** What has to be done for the allow to hold; the gateway does redactions and caps itself. */
  readonly obligations?: readonly Obligation[]
  /** What the call took from limits. */
  readonly charges?: readonly Charge[]
  /** Id of the question that was asked for it, or of the approval that was used. */
  readonly approval?: string
  readonly policyDigest: string
  readonly skillDigest?: string
  /** Time the decision took, audit record included. */
  readonly latencyMicros: number
  /** Monotonic milliseconds after which a result is no longer accepted. */
  readonly expiresAt: number
}

/** What became of a result that was handed back. */
export type Settlement<T> =
  | { readonly accepted: true; readonly value: T }
  | { readonly accepted: false; readonly denial: Denial }
