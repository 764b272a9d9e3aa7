// One tool call as the executor sees it.

import { commitArguments } from './audit/commit.ts'
import type { AuditEvent } from './audit/event.ts'
import { canonicalJson } from './core/canonical.ts'
import type { Denial } from './core/denial.ts'
import type { JsonObject } from './core/json.ts'
import { copyPlain } from './core/plain.ts'
import { describeError } from './core/text.ts'
import type { Settlement, Verdict } from './core/verdict.ts'

export interface CallRequest {
  readonly tool: string
  readonly args?: unknown
}

interface CallBase {
  readonly verdict: Verdict
  readonly tool: string
}

/** Dispatch with `args` of this object, never with your own: they are the ones that were judged. */
export interface AllowedCall extends CallBase {
  readonly decision: 'allow'
  readonly args: JsonObject
  /** Aborted when the run halts or closes. */
  readonly signal: AbortSignal
  /** Hands the result back. A late, second or expired result is dropped, recorded, and must not be used. */
  settle<T>(value: T): Promise<Settlement<T>>
  /** Records that the dispatch threw. */
  fail(error: unknown): Promise<void>
}

export interface RefusedCall extends CallBase {
  readonly decision: 'deny' | 'escalate'
  readonly denial: Denial
}

export type Call = AllowedCall | RefusedCall

type Outcome = Pick<Extract<AuditEvent, { type: 'call.outcome' }>, 'outcome' | 'result' | 'detail'>

/** The allowed call. `accept` records an outcome once, or says why the result must be dropped. */
export function allowedCall(
  verdict: Verdict,
  args: JsonObject,
  signal: AbortSignal,
  accept: (outcome: Outcome) => Promise<Denial | undefined>,
): AllowedCall {
  return Object.freeze({
    decision: 'allow' as const,
    verdict,
    tool: verdict.tool,
    args,
    signal,
    settle: async <T>(value: T): Promise<Settlement<T>> => {
      const denial = await accept({ outcome: 'succeeded', ...commitResult(value) })
      return denial === undefined ? { accepted: true, value } : { accepted: false, denial }
    },
    fail: async (error: unknown): Promise<void> => {
      await accept({ outcome: 'failed', detail: describeError(error, 'the tool failed') })
    },
  })
}

/** Commits to a result when it is plain data; a result that is not is recorded as such and handed on untouched. */
function commitResult(value: unknown): Pick<Outcome, 'result' | 'detail'> {
  if (value === undefined) return {}
  const copied = copyPlain(value)
  if (copied.ok) return { result: commitArguments(canonicalJson(copied.value)) }
  return {
    detail:
      copied.code === 'arguments_too_large' ? 'the result is too large to commit to' : 'the result is not plain data',
  }
}
