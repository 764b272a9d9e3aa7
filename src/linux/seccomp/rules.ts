// The language in which a filter is said before it is compiled: an answer for every system call number, some of them
// depending on arguments. Only the low 32 bits of an argument can be asked for. All arguments that a rule looks at are
// `int`s to the kernel, which drops the upper half: a comparison of 64 bits would let `TIOCSTI | 1 << 32` through.

export type Answer =
  | { readonly kind: 'allow' }
  /** The call is not made and fails with this errno. */
  | { readonly kind: 'errno'; readonly errno: number }
  /** The call is not made; the listener is told and answers EPERM. Without a listener it fails with ENOSYS. */
  | { readonly kind: 'notify' }
  /** The whole process dies of SIGSYS. */
  | { readonly kind: 'kill' }

/** Holds when the low word of the argument, after the mask, is one of the values. */
export interface ArgumentTest {
  readonly argument: 0 | 1 | 2 | 3 | 4 | 5
  readonly mask: number
  readonly anyOf: readonly number[]
}

export interface RuleCase {
  /** All of them. */
  readonly when: readonly ArgumentTest[]
  readonly answer: Answer
}

/** The answer of the first case that holds, else `otherwise`. */
export interface CheckedRule {
  readonly kind: 'checked'
  readonly cases: readonly RuleCase[]
  readonly otherwise: Answer
}

export type Rule = Answer | CheckedRule

export interface RuleSet {
  /** AUDIT_ARCH_* of the only architecture that may make calls at all. */
  readonly auditArch: number
  readonly rules: ReadonlyMap<number, Rule>
  /** For numbers without a rule. */
  readonly otherwise: Answer
}

export const ALLOW: Answer = Object.freeze({ kind: 'allow' })
export const NOTIFY: Answer = Object.freeze({ kind: 'notify' })
export const KILL: Answer = Object.freeze({ kind: 'kill' })

export function fail(errno: number): Answer {
  return Object.freeze({ kind: 'errno', errno })
}

/** The whole low word is one of these. */
export function argumentIs(argument: ArgumentTest['argument'], ...anyOf: readonly number[]): ArgumentTest {
  return Object.freeze({ argument, mask: 0xffff_ffff, anyOf: Object.freeze([...anyOf]) })
}

/** The masked low word is one of these. */
export function maskedIs(argument: ArgumentTest['argument'], mask: number, ...anyOf: readonly number[]): ArgumentTest {
  return Object.freeze({ argument, mask: mask >>> 0, anyOf: Object.freeze([...anyOf]) })
}

export function checked(otherwise: Answer, ...cases: readonly RuleCase[]): CheckedRule {
  return Object.freeze({ kind: 'checked', cases: Object.freeze([...cases]), otherwise })
}

/** What the rule says of a call with these arguments; a compiled program says the same. */
export function answerTo(rule: Rule, args: readonly bigint[]): Answer {
  if (rule.kind !== 'checked') return rule
  const holds = ({ argument, mask, anyOf }: ArgumentTest): boolean =>
    anyOf.some((value) => BigInt(value >>> 0) === ((args[argument] ?? 0n) & BigInt(mask)))
  return rule.cases.find(({ when }) => when.every(holds))?.answer ?? rule.otherwise
}

export function whenAll(answer: Answer, ...when: readonly ArgumentTest[]): RuleCase {
  return Object.freeze({ when: Object.freeze([...when]), answer })
}
