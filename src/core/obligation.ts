// What must be done for an allow to hold. The policy says it; the gateway does what it can do itself, and the executor has to
// confirm the rest. One that is not done turns the outcome into a denial.

/** Which side of a call. */
export type ObligedSide = 'arguments' | 'result'

interface Obliged {
  /** Id of the statement in the policy. */
  readonly id: string
}

export interface RedactObligation extends Obliged {
  readonly kind: 'redact'
  readonly on: readonly ObligedSide[]
  /** JSON Pointers; the token `*` is every element of an array and every member of an object. */
  readonly fields: readonly string[]
  /** Regular expressions, ECMA-262 with the u flag, checked at load. Every match in every text is replaced. */
  readonly patterns: readonly string[]
  /** Tokens, keys and passwords that are recognised by their form. */
  readonly secrets: boolean
}

export interface CapObligation extends Obliged {
  readonly kind: 'cap'
  readonly on: readonly ObligedSide[]
  /** Bytes of the canonical JSON, in UTF-8. Over it the side is refused, not cut. */
  readonly maxBytes?: number
  /** UTF-16 code units of every text. A result's longer text is cut; an argument's is refused. */
  readonly maxText?: number
  /** Items of every list. A result's longer list is cut; an argument's is refused. */
  readonly maxItems?: number
}

/** The executor dials only addresses that were resolved and judged before. */
export interface PinObligation extends Obliged {
  readonly kind: 'pin_addresses'
}

/** The call runs as another tool, with the same arguments, and is judged as that. */
export interface RewriteObligation extends Obliged {
  readonly kind: 'rewrite'
  readonly tool: string
}

/** Something only the executor can do, by a name that both sides know. */
export interface ConfirmObligation extends Obliged {
  readonly kind: 'confirm'
  readonly action: string
}

export type Obligation = RedactObligation | CapObligation | PinObligation | RewriteObligation | ConfirmObligation
