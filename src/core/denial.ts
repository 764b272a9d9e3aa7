// Why a request was not allowed. The set of codes is closed: executors branch on them, docs/denials.md explains each,
// and a test fails when the two differ.

import { printable } from './text.ts'

/** What an executor may do about a denial. It retries only by this word. */
export type Recoverable = 'never' | 'narrower' | 'after_approval' | 'after_wait'

/** Which check said no. */
export type DenialLayer =
  | 'halt'
  | 'ticket'
  | 'attestation'
  | 'manifest'
  | 'arguments'
  | 'policy'
  | 'limit'
  | 'approval'
  | 'obligation'
  | 'audit'
  | 'enforcer'
  | 'gateway'

interface DenialKind {
  readonly layer: DenialLayer
  readonly recoverable: Recoverable
  /** Said to the model: no policy internals, no text from the request. */
  readonly model: string
}

/** Every denial code: which check it comes from, whether trying again can help, and what the model is told. */
export const DENIALS = {
  run_halted: {
    layer: 'halt',
    recoverable: 'never',
    model: 'This run has been stopped. No further tool calls are possible.',
  },
  run_closed: { layer: 'halt', recoverable: 'never', model: 'This run has ended. No further tool calls are possible.' },
  node_unknown: {
    layer: 'ticket',
    recoverable: 'never',
    model: 'This step is not part of the plan that was approved.',
  },
  node_not_ready: {
    layer: 'ticket',
    recoverable: 'never',
    model: 'This step may not start: a step it depends on has not succeeded.',
  },
  ticket_missing: {
    layer: 'ticket',
    recoverable: 'never',
    model: 'This tool can only be used from within an admitted step.',
  },
  ticket_expired: { layer: 'ticket', recoverable: 'never', model: 'The time given to this step is over.' },
  ticket_revoked: { layer: 'ticket', recoverable: 'never', model: 'The permission to run this step was withdrawn.' },
  verdict_expired: { layer: 'ticket', recoverable: 'never', model: 'The result came too late and was discarded.' },
  verdict_settled: {
    layer: 'ticket',
    recoverable: 'never',
    model: 'A result for this call was already recorded; this one was discarded.',
  },
  attestation_missing: {
    layer: 'attestation',
    recoverable: 'never',
    model: 'The skill behind this tool is not verified.',
  },
  attestation_invalid: {
    layer: 'attestation',
    recoverable: 'never',
    model: 'The skill behind this tool failed verification.',
  },
  attestation_untrusted: {
    layer: 'attestation',
    recoverable: 'never',
    model: 'The skill behind this tool comes from an unknown publisher.',
  },
  attestation_expired: {
    layer: 'attestation',
    recoverable: 'never',
    model: 'The verification of the skill behind this tool has expired.',
  },
  attestation_mismatch: {
    layer: 'attestation',
    recoverable: 'never',
    model: 'The skill behind this tool was changed after it was verified.',
  },
  skill_quarantined: {
    layer: 'attestation',
    recoverable: 'never',
    model: 'The skill behind this tool has been withdrawn.',
  },
  skill_unknown: { layer: 'manifest', recoverable: 'never', model: 'The skill for this step is not installed.' },
  manifest_invalid: {
    layer: 'manifest',
    recoverable: 'never',
    model: 'The skill for this step has an unusable manifest.',
  },
  manifest_excess: {
    layer: 'manifest',
    recoverable: 'never',
    model: 'The skill for this step asks for more than is granted here.',
  },
  tool_undeclared: {
    layer: 'manifest',
    recoverable: 'narrower',
    model: 'This tool does not exist here. Use one of the tools you were given.',
  },
  tool_out_of_scope: {
    layer: 'manifest',
    recoverable: 'narrower',
    model: 'This tool is not available in this step. Use one of the tools you were given.',
  },
  resource_undeclared: {
    layer: 'manifest',
    recoverable: 'narrower',
    model: 'This tool may not touch that destination, file or program. Use one it was made for.',
  },
  arguments_unreadable: {
    layer: 'arguments',
    recoverable: 'narrower',
    model: 'The arguments are not plain data. Send plain JSON values.',
  },
  arguments_too_large: {
    layer: 'arguments',
    recoverable: 'narrower',
    model: 'The arguments are too large. Send less.',
  },
  arguments_invalid: {
    layer: 'arguments',
    recoverable: 'narrower',
    model: "The arguments do not fit this tool's input schema.",
  },
  resource_invalid: {
    layer: 'arguments',
    recoverable: 'narrower',
    model: 'A URL, host or path in the arguments is ambiguous. Write it in plain, absolute form.',
  },
  command_unresolved: {
    layer: 'arguments',
    recoverable: 'narrower',
    model: 'It cannot be told what this command would run. Write plain commands with literal arguments.',
  },
  resource_unmapped: {
    layer: 'arguments',
    recoverable: 'narrower',
    model: 'An argument holds a URL or path where this tool does not expect one.',
  },
  no_matching_permit: {
    layer: 'policy',
    recoverable: 'narrower',
    model: 'This is not permitted here. Do not repeat the same call.',
  },
  forbidden: { layer: 'policy', recoverable: 'never', model: 'This is forbidden here.' },
  policy_error: {
    layer: 'policy',
    recoverable: 'narrower',
    model: 'A rule could not be evaluated for this call, so it is not permitted.',
  },
  condition_unavailable: {
    layer: 'policy',
    recoverable: 'after_wait',
    model: 'A condition on this call could not be checked, so it is not permitted.',
  },
  egress_not_granted: {
    layer: 'policy',
    recoverable: 'narrower',
    model: 'This step may not reach that destination. Use one it was made for.',
  },
  scope_not_held: {
    layer: 'policy',
    recoverable: 'narrower',
    model: 'This needs an access scope that was not given here.',
  },
  role_unknown: { layer: 'policy', recoverable: 'never', model: 'This step has a role that is not defined.' },
  denial_repeated: {
    layer: 'halt',
    recoverable: 'never',
    model: 'The same refused call was repeated. This step has been stopped.',
  },
  approval_required: {
    layer: 'approval',
    recoverable: 'after_approval',
    model: 'This needs the approval of a person before it can run.',
  },
  approval_refused: {
    layer: 'approval',
    recoverable: 'narrower',
    model: 'A person refused this. Do not repeat the same call.',
  },
  approval_expired: {
    layer: 'approval',
    recoverable: 'after_approval',
    model: 'The approval for this has expired. It needs a new one before it can run.',
  },
  approval_invalid: {
    layer: 'approval',
    recoverable: 'after_approval',
    model: 'The approval does not belong to this call, or was used already.',
  },
  rate_limited: {
    layer: 'limit',
    recoverable: 'after_wait',
    model: 'This was done too often in a short time.',
  },
  concurrency_limited: {
    layer: 'limit',
    recoverable: 'after_wait',
    model: 'Too many of these are running at the same time.',
  },
  budget_exhausted: {
    layer: 'limit',
    recoverable: 'narrower',
    model: 'What may be spent on this is used up, or does not suffice for this call.',
  },
  limit_unavailable: {
    layer: 'limit',
    recoverable: 'after_wait',
    model: 'It cannot be told how often this was done, so it is not permitted.',
  },
  obligation_unmet: {
    layer: 'obligation',
    recoverable: 'narrower',
    model: 'A condition on this call was not met, so its result was discarded.',
  },
  audit_unavailable: {
    layer: 'audit',
    recoverable: 'never',
    model: 'The action could not be recorded, so it is not permitted.',
  },
  enforcement_unavailable: {
    layer: 'enforcer',
    recoverable: 'never',
    model: 'This program cannot be run safely on this machine.',
  },
  privilege_escalation: {
    layer: 'enforcer',
    recoverable: 'never',
    model: 'A program of this step reached for rights that it was not given. This step has been stopped.',
  },
  deadline_exceeded: {
    layer: 'gateway',
    recoverable: 'after_wait',
    model: 'The permission check took too long, so the call is not permitted. It may be tried again.',
  },
  request_invalid: { layer: 'gateway', recoverable: 'narrower', model: 'The request is malformed.' },
  internal_error: {
    layer: 'gateway',
    recoverable: 'never',
    model: 'The permission check failed, so the call is not permitted.',
  },
} as const satisfies Record<string, DenialKind>

export type DenialCode = keyof typeof DENIALS

/** A policy rule as a reader finds it again. */
export interface RuleRef {
  readonly id: string
  readonly effect: 'permit' | 'forbid' | 'require_approval' | 'limit' | 'oblige'
  readonly file: string
  readonly line: number
  readonly column: number
  /** The author's own words, from the rule's `reason`. */
  readonly reason?: string
}

/** What the denial is about. All of it is canonical or a validated name. */
export interface DenialSubject {
  readonly node?: string
  readonly skill?: string
  readonly tool?: string
  /** JSON Pointer into the arguments. */
  readonly argument?: string
  /** {@link describeResource} of the resource that was refused. */
  readonly resource?: string
}

export interface Denial {
  readonly code: DenialCode
  readonly layer: DenialLayer
  readonly recoverable: Recoverable
  /** One line for the operator, escaped and at most 500 characters. */
  readonly detail: string
  readonly subject: DenialSubject
  /** The rules that decided; empty when no rule was involved. */
  readonly rules: readonly RuleRef[]
  /** The smallest statement that would have allowed it, in the words of the file it belongs in. For operators only. */
  readonly missing?: string
  /** `false` means that the tool certainly did not start. */
  readonly dispatched: boolean
  /** Of an `after_wait`: milliseconds after which the same request may be allowed, where that is known. */
  readonly retryAfterMs?: number
}

export interface DenialOptions {
  readonly subject?: DenialSubject
  readonly rules?: readonly RuleRef[]
  readonly missing?: string
  readonly dispatched?: boolean
  readonly retryAfterMs?: number
}

/** Makes a denial; layer and recoverability follow from the code. */
export function deny(code: DenialCode, detail: string, options: DenialOptions = {}): Denial {
  const { layer, recoverable } = DENIALS[code]
  const { subject = {}, rules = [], missing, dispatched = false, retryAfterMs } = options
  const line = printable(detail)
  // Two literals, because spreading an absent member in costs more than all the rest of a refusal.
  const denial =
    missing === undefined
      ? { code, layer, recoverable, detail: line, subject, rules, dispatched }
      : { code, layer, recoverable, detail: line, subject, rules, missing, dispatched }
  return retryAfterMs === undefined ? denial : { ...denial, retryAfterMs }
}

/** The same denial, with more said about what it is about. */
export function withSubject(denial: Denial, subject: DenialSubject): Denial {
  return { ...denial, subject: { ...denial.subject, ...subject } }
}

/** The same denial as one that nobody it is shown to can change: an observer must not turn a `never` into a maybe. */
export function sealDenial(denial: Denial): Denial {
  return Object.freeze({
    ...denial,
    subject: Object.freeze({ ...denial.subject }),
    rules: Object.freeze([...denial.rules]),
  })
}

/** Whether `value` is what {@link deny} makes, and not merely something that looks like it. */
export function isDenial(value: unknown): value is Denial {
  if (typeof value !== 'object' || value === null) return false
  const { code, detail } = value as Partial<Denial>
  return typeof code === 'string' && Object.hasOwn(DENIALS, code) && typeof detail === 'string'
}
