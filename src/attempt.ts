// One attempt of a node, as those see it who answer its calls: what it was granted, whether it may still act, and how it
// ends. Plain data and two questions back; the attempt itself is NodeAdmission.

import type { NodeAdmission } from './admission.ts'
import type { AttestationToken } from './attestation/token.ts'
import type { Call, CallRequest } from './call.ts'
import { type Denial, type DenialSubject, deny } from './core/denial.ts'
import type { JsonObject } from './core/json.ts'
import type { Ticket } from './core/ticket.ts'
import type { MissingInput, NodeOutcome } from './halt/state.ts'
import type { AdmittedSkill, House } from './house.ts'

/** How a node ended. */
export interface NodeEnd {
  /** `false`: the node had already ended, or its run was halted; whatever it produced must be discarded. */
  readonly accepted: boolean
  readonly disposition: 'none' | 'retry' | 'halt' | 'skip_downstream' | 'continue'
  /** Nodes that will not start because of it. */
  readonly skipped: readonly string[]
  readonly halted: boolean
}

/** What an admission needs of its run. */
export interface RunOfNode {
  readonly id: string
  readonly principal: string
  nextCallId(): string
  /** A name for what a call holds of limits, like no other anywhere. */
  leaseOf(call: string): string
  /** Why the run takes no calls any more, if so. */
  ended(subject: DenialSubject): Denial | undefined
  /** Turns the third same refusal into the end of the node. */
  countRefusal(denial: Denial, args: JsonObject | undefined): Denial
  /** Ends the attempt and records what follows from it. */
  settle(admission: NodeAdmission, outcome: NodeOutcome, note: { code?: string; detail?: string }): Promise<NodeEnd>
  /** The run is not over before this is. It never rejects. */
  hold(closed: Promise<void>): void
}

interface AttemptBase {
  readonly node: string
  readonly attempt: number
  readonly signal: AbortSignal
}

export interface Granted extends AttemptBase {
  readonly missing: readonly MissingInput[]
  readonly skill: AdmittedSkill
  readonly ticket: Ticket
  readonly token: AttestationToken
  readonly toolScope: readonly string[]
  readonly roles: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Names of the nodes around this one, at any distance. */
  readonly upstream: readonly string[]
  readonly downstream: readonly string[]
  readonly facts: JsonObject
  readonly scopes: ReadonlySet<string>
  readonly dataRegions: readonly string[] | undefined
}

export interface Refused extends AttemptBase {
  readonly denial: Denial
}

/** What answering a call needs of the attempt it is of. */
export interface Attempt {
  readonly house: House
  readonly run: RunOfNode
  readonly base: Granted | Refused
  /** Why the attempt may not act any more, if so. */
  standing(subject: DenialSubject): Denial | undefined
  /** Ends the attempt; a second end changes nothing. */
  finish(outcome: NodeOutcome, note: { code?: string; detail?: string }): Promise<NodeEnd>
  /** The whole way of a call, from the start. */
  authorize(request: CallRequest): Promise<Call>
}

export function notAdmitted({ denial }: Refused, subject: DenialSubject): Denial {
  return deny('ticket_missing', `the node was not admitted: ${denial.code}: ${denial.detail}`, { subject })
}
