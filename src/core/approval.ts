// What a policy wants before a call may run that a person has to agree to.

/** One demand of one rule. A call is approved when every demand on it is met. */
export interface ApprovalDemand {
  /** Id of the rule. */
  readonly rule: string
  /** Names of those who may answer, compared whole; empty: anybody whom the answering port has identified. */
  readonly approvers: readonly string[]
  /** How many different approvers have to agree, at least 1. One refusal is enough to refuse. */
  readonly quorum: number
  /** Milliseconds from asking until an answer counts no more. */
  readonly expiresMs: number
  /** The author's own words. */
  readonly reason?: string
}

/** Used where a rule does not say. */
export const APPROVAL_DEFAULTS: { readonly quorum: 1; readonly expiresMs: 600_000 } = {
  quorum: 1,
  expiresMs: 600_000,
}
