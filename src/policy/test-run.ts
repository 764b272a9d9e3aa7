// Asks an engine the question of a test and compares. Judges nothing itself, and takes no denial for an answer that says only
// that the question was wrong.

import type { Denial, DenialCode } from '../core/denial.ts'
import { renderForOperator } from '../core/render.ts'
import { describeError } from '../core/text.ts'
import type { PolicyRequest } from './request.ts'
import type { PolicyTest } from './test-case.ts'

/** As much of a verdict as is compared. */
export interface TestVerdict {
  readonly decision: 'allow' | 'deny' | 'escalate'
  readonly rules: readonly { readonly id: string }[]
  readonly denial?: Denial
  readonly charges?: readonly { readonly limit: string }[]
  readonly obligations?: readonly { readonly id: string }[]
}

export interface TestedEngine {
  evaluate(request: PolicyRequest): TestVerdict
}

export interface PolicyTestResult {
  readonly passed: boolean
  readonly expected: string
  readonly actual: string
  /** `''` when it passed, else lines for the operator. */
  readonly message: string
  /** Absent when the engine threw. */
  readonly verdict?: TestVerdict
}

/**
 * Codes that say nothing about the policy: the question was wrong, or the engine is. A test has to expect them by name, or
 * a slip in its request would pass for a denial.
 */
const UNJUDGED: readonly DenialCode[] = ['request_invalid', 'role_unknown', 'internal_error']

/** Whether a verdict says that the request was never judged by the rules. */
export function isUnjudged(verdict: TestVerdict): boolean {
  return verdict.denial !== undefined && UNJUDGED.includes(verdict.denial.code)
}

/** Asks `engine` and compares. Never throws: an engine that does so has failed the test. */
export function runPolicyTest(engine: TestedEngine, test: PolicyTest): PolicyTestResult {
  const { decision, code, rules } = test.expect
  const expected = describeVerdict(decision, code, rules)
  let verdict: TestVerdict
  try {
    verdict = engine.evaluate(test.request)
  } catch (error) {
    const message = `the engine failed: ${describeError(error, 'it threw no error')}`
    return { passed: false, expected, actual: 'no verdict', message }
  }
  const ids = verdict.rules.map(({ id }) => id)
  const actual = describeVerdict(verdict.decision, verdict.denial?.code, ids)
  const faults = [
    verdict.decision === decision ? undefined : `expected ${decision}, and it is ${verdict.decision}`,
    code === undefined || verdict.denial?.code === code ? undefined : `expected the code ${code}`,
    code === undefined && isUnjudged(verdict)
      ? 'the request was not judged; expect its code by name if that is meant'
      : undefined,
    rules === undefined || sameIds(rules, ids) ? undefined : `expected ${listIds(rules)}`,
  ].filter((fault) => fault !== undefined)
  if (faults.length === 0) return { passed: true, expected, actual, message: '', verdict }
  return { passed: false, expected, actual, message: [...faults, describeReasons(verdict)].join('\n'), verdict }
}

/** What is behind a verdict, for the operator: the rendering of its denial, or the rules that allow. */
export function describeReasons(verdict: TestVerdict): string {
  if (verdict.denial !== undefined) return renderForOperator(verdict.denial)
  return `${verdict.decision} by ${listIds(verdict.rules.map(({ id }) => id))}`
}

/** `deny forbidden [never-the-admin-pages]`, as tests print what they expect and what they got. */
export function describeVerdict(decision: string, code?: string, rules?: readonly string[]): string {
  return [decision, code, rules === undefined ? undefined : `[${[...rules].sort().join(', ')}]`]
    .filter((part) => part !== undefined)
    .join(' ')
}

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  const own = new Set(a)
  const other = new Set(b)
  return own.size === other.size && [...own].every((id) => other.has(id))
}

function listIds(ids: readonly string[]): string {
  return ids.length === 0 ? 'no rule' : `${ids.length === 1 ? 'rule' : 'rules'} ${[...ids].sort().join(', ')}`
}
