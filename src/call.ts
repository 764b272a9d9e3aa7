// One tool call as the executor sees it.

import type { ApprovalQuestion, ApprovalState } from './approval/question.ts'
import { commitArguments } from './audit/commit.ts'
import type { AuditEvent } from './audit/event.ts'
import { canonicalJson } from './core/canonical.ts'
import type { Denial } from './core/denial.ts'
import type { JsonObject } from './core/json.ts'
import { copyPlain } from './core/plain.ts'
import { describeError } from './core/text.ts'
import type { Settlement, Verdict } from './core/verdict.ts'
import type { CompiledObligations } from './obligation/compile.ts'
import type { PinnedAddress } from './obligation/pin.ts'

export interface CallRequest {
  readonly tool: string
  readonly args?: unknown
  /** Regions the data of this call come from, besides those of the run. */
  readonly dataRegions?: readonly string[]
}

interface CallBase {
  readonly verdict: Verdict
  /** The tool that runs: another than was asked for where the policy narrowed it. */
  readonly tool: string
}

export interface SettleOptions {
  /** Obligations of `call.confirmations` that the executor has met. */
  readonly confirmed?: readonly string[]
}

/** Dispatch with `tool` and `args` of this object, never with your own: they are the ones that were judged. */
export interface AllowedCall extends CallBase {
  readonly decision: 'allow'
  readonly args: JsonObject
  /** Aborted when the run halts or closes. */
  readonly signal: AbortSignal
  /** What the executor has to do and to confirm in {@link settle}: `pin_addresses`, `confirm:<action>`. */
  readonly confirmations: readonly string[]
  /** Nobody is waited for. */
  readonly approval?: undefined
  /** For `pin_addresses`, where the gateway has a resolver: dial these and no others. */
  readonly addresses: readonly PinnedAddress[] | undefined
  /**
   * Hands the result back, and gives the one to hand on: what is redacted or cut is so in `value`. A late, second or expired
   * result, and one whose obligations were not confirmed, is dropped, recorded, and must not be used.
   */
  settle<T>(value: T, options?: SettleOptions): Promise<Settlement<T>>
  /** Records that the dispatch threw. */
  fail(error: unknown): Promise<void>
}

/** A call that waits for people. It runs after they agreed, and only as what they saw. */
export interface PendingApproval {
  /** What is asked; frozen. Show it by `renderApproval`. */
  readonly question: ApprovalQuestion
  /** Resolves with how the question stands once it is no longer pending. Rejects when `signal` or the node ends first. */
  answered(signal?: AbortSignal): Promise<Exclude<ApprovalState, 'pending'> | 'forgotten'>
  /** Waits for the answer, then asks for the same call again: the answer to that. Rejects as {@link answered} does. */
  resume(signal?: AbortSignal): Promise<Call>
}

export interface RefusedCall extends CallBase {
  readonly decision: 'deny' | 'escalate'
  readonly denial: Denial
  /** Of an `escalate`: the question, when it could be asked. */
  readonly approval?: PendingApproval
}

export type Call = AllowedCall | RefusedCall

type Outcome = Pick<Extract<AuditEvent, { type: 'call.outcome' }>, 'outcome' | 'result' | 'detail'>

/** What an allowed call is made of. */
export interface AllowedParts {
  readonly verdict: Verdict
  readonly args: JsonObject
  readonly signal: AbortSignal
  readonly obliged: CompiledObligations
  readonly addresses: readonly PinnedAddress[] | undefined
  /** Records an outcome once, or says why the result must be dropped; `unmet` drops it in any case. */
  accept(outcome: Outcome, unmet?: Denial): Promise<Denial | undefined>
}

export function allowedCall({ verdict, args, signal, obliged, addresses, accept }: AllowedParts): AllowedCall {
  return Object.freeze({
    decision: 'allow' as const,
    verdict,
    tool: verdict.tool,
    args,
    signal,
    confirmations: obliged.confirmations,
    addresses,
    settle: async <T>(value: T, options: SettleOptions = {}): Promise<Settlement<T>> => {
      const result = obliged.onResult(value)
      const unmet = obliged.unmet(confirmedIn(options)) ?? (result.ok ? undefined : result.denial)
      if (!result.ok || unmet !== undefined) {
        const denial = await accept({ outcome: 'denied' }, unmet)
        // Refused for what was not met, or for something that came first.
        return { accepted: false, denial: denial ?? (unmet as Denial) }
      }
      const denial = await accept({ outcome: 'succeeded', ...commitResult(result.value) })
      return denial === undefined ? { accepted: true, value: result.value as T } : { accepted: false, denial }
    },
    fail: async (error: unknown): Promise<void> => {
      // What may not stand in a result may not stand in the log because the tool threw it.
      const detail = obliged.onResult(describeError(error, TOOL_FAILED))
      await accept({
        outcome: 'failed',
        detail: detail.ok && typeof detail.value === 'string' ? detail.value : TOOL_FAILED,
      })
    },
  })
}

const TOOL_FAILED = 'the tool failed'

/** Read once; what is no list of texts confirms nothing. */
function confirmedIn(options: SettleOptions): readonly string[] {
  const copied = copyPlain(options?.confirmed ?? [])
  if (!copied.ok || !Array.isArray(copied.value)) return []
  return (copied.value as readonly unknown[]).filter((name): name is string => typeof name === 'string')
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
