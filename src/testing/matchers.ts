// Matchers for `expect.extend`: what a policy decides, asked as a test would say it. They know no test framework; vitest and
// jest call them alike. An answer that is about the question and not about the policy passes in neither sense: it throws, so
// that a slip in a request is not taken for a denial, and `.not` is no way around it.

import { DENIALS, type DenialCode } from '../core/denial.ts'
import { describeError, printable } from '../core/text.ts'
import type { PolicyRequest } from '../policy/request.ts'
import {
  describeReasons,
  describeVerdict,
  isUnjudged,
  type TestedEngine,
  type TestVerdict,
} from '../policy/test-run.ts'

/** What test frameworks expect of a matcher. */
export interface MatcherResult {
  readonly pass: boolean
  readonly message: () => string
  readonly actual?: unknown
  readonly expected?: unknown
}

/** For the declaration of the framework: `interface Matchers<T> extends PolicyMatchers {}`. */
export interface PolicyMatchers<R = void> {
  /** The engine allows the request; with `ruleId`, that rule is among those that do. */
  toAllow(request: PolicyRequest, ruleId?: string): R
  /** The engine denies the request; with `code`, for that reason. */
  toDeny(request: PolicyRequest, code?: DenialCode): R
  /** The engine asks for an approval; with `ruleId`, because of that rule. */
  toEscalate(request: PolicyRequest, ruleId?: string): R
}

/**
 * For `expect.extend(policyMatchers)`; what is expected is a `PolicyEngine`, or anything with its `evaluate`.
 *
 * Each throws, whether negated or not, when the engine does, or answers `request_invalid`, `role_unknown` or
 * `internal_error` and `toDeny` was not given that very code; and a TypeError when it is not given an engine and a request.
 */
export const policyMatchers: {
  readonly toAllow: (engine: unknown, request: PolicyRequest, ruleId?: string) => MatcherResult
  readonly toDeny: (engine: unknown, request: PolicyRequest, code?: DenialCode) => MatcherResult
  readonly toEscalate: (engine: unknown, request: PolicyRequest, ruleId?: string) => MatcherResult
} = Object.freeze({
  toAllow: (engine, request, ruleId) => decided(engine, request, 'allow', ruleId),
  toEscalate: (engine, request, ruleId) => decided(engine, request, 'escalate', ruleId),
  toDeny: (engine, request, code) => {
    // A code that does not exist would make every negation pass.
    if (code !== undefined && !Object.hasOwn(DENIALS, code)) throw new TypeError('there is no such denial code')
    const verdict = ask(engine, request, code)
    const pass = verdict.decision === 'deny' && (code === undefined || verdict.denial?.code === code)
    return result(pass, request, describeVerdict('deny', code), verdict)
  },
})

function decided(
  engine: unknown,
  request: PolicyRequest,
  decision: 'allow' | 'escalate',
  ruleId: string | undefined,
): MatcherResult {
  const verdict = ask(engine, request)
  const pass = verdict.decision === decision && (ruleId === undefined || verdict.rules.some(({ id }) => id === ruleId))
  return result(
    pass,
    request,
    describeVerdict(decision, undefined, ruleId === undefined ? undefined : [ruleId]),
    verdict,
  )
}

/** @param expected the code that may be one of those that say nothing about the policy */
function ask(engine: unknown, request: PolicyRequest, expected?: DenialCode): TestVerdict {
  if (!isEngine(engine)) throw new TypeError('expected a policy engine: something with evaluate(request)')
  if (typeof request !== 'object' || request === null)
    throw new TypeError('a matcher is given the request to ask about')
  let verdict: TestVerdict
  try {
    verdict = engine.evaluate(request)
  } catch (error) {
    throw new Error(`the engine failed on ${describeRequest(request)}: ${describeError(error, 'it threw no error')}`)
  }
  if (isUnjudged(verdict) && verdict.denial?.code !== expected) {
    throw new Error(`the request was not judged: ${describeRequest(request)}\n${describeReasons(verdict)}`)
  }
  return verdict
}

function isEngine(value: unknown): value is TestedEngine {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'evaluate') === 'function'
}

function result(pass: boolean, request: PolicyRequest, expected: string, verdict: TestVerdict): MatcherResult {
  const actual = describeVerdict(
    verdict.decision,
    verdict.denial?.code,
    verdict.rules.map(({ id }) => id),
  )
  // Shown when it passes and was negated, or does not and was not.
  const message = (): string =>
    [
      `expected the policy ${pass ? 'not ' : ''}to ${expected} ${describeRequest(request)}`,
      `  actual: ${actual}`,
      describeReasons(verdict),
    ].join('\n')
  return { pass, message, actual, expected }
}

/** Names alone: what is in the arguments does not belong into the log of a build. */
function describeRequest({ node, tool }: PolicyRequest): string {
  return `tool ${printable(String(tool), 80)} on node ${printable(String(node), 80)}`
}
