// From a tool call of a skill host to the gateway's own way of a call. The skill host has no other way out, so this is where
// every one of its wishes is judged; nothing here decides anything itself.

import type { Denial } from '../../core/denial.ts'
import { DeniedError, denialOf } from '../../core/denied-error.ts'
import { AgentPortError } from '../../core/errors.ts'
import type { JsonObject, JsonValue } from '../../core/json.ts'
import { renderForModel } from '../../core/render.ts'
import type { ToolRefusal } from './messages.ts'

/** Runs one tool call. What it throws crosses to the skill as a code and a fixed sentence, never as its own text. */
export type ToolCalls = (tool: string, args: JsonValue, signal: AbortSignal) => Promise<unknown>

/** What {@link gatewayCalls} needs of a `NodeAdmission`. */
export interface CallAuthority {
  authorize(request: { readonly tool: string; readonly args: unknown }): Promise<JudgedCall>
}

export type JudgedCall =
  | {
      readonly decision: 'allow'
      readonly tool: string
      readonly args: JsonObject
      readonly signal: AbortSignal
      settle(
        value: unknown,
      ): Promise<
        { readonly accepted: true; readonly value: unknown } | { readonly accepted: false; readonly denial: Denial }
      >
      fail(error: unknown): Promise<void>
    }
  | { readonly decision: 'deny' | 'escalate'; readonly denial: Denial }

/** Runs the tool, with the arguments that were judged. `signal` is aborted when the node, its run or the skill is over. */
export type Dispatch = (tool: string, args: JsonObject, signal: AbortSignal) => Promise<unknown>

/** Tool calls of a skill as calls of its node: authorize → dispatch → settle, each judged and recorded like any other. */
export function gatewayCalls(node: CallAuthority, dispatch: Dispatch): ToolCalls {
  return async (tool, args, signal) => {
    const call = await node.authorize({ tool, args })
    if (call.decision !== 'allow') throw new DeniedError(call.denial)
    const either = AbortSignal.any([call.signal, signal])
    let result: unknown
    try {
      // Between the answer and this line the run may have halted: the result would be dropped, so the tool does not run.
      either.throwIfAborted()
      result = await dispatch(call.tool, call.args, either)
    } catch (error) {
      await call.fail(error)
      throw error
    }
    const settled = await call.settle(result)
    if (!settled.accepted) throw new DeniedError(settled.denial)
    return settled.value
  }
}

/** For a host that was given no tools: absent means none. */
export const noCalls: ToolCalls = () =>
  Promise.reject(new AgentPortError('ERR_STATE_INVALID', 'this skill host was given no tool calls'))

/** What the module may know of it. An error of the tool itself may carry anything of the host, so none of it crosses. */
export function refusalOf(error: unknown): ToolRefusal {
  const denial = denialOf(error)
  if (denial === undefined) return TOOL_REFUSALS.tool_failed
  return Object.freeze({ code: denial.code, message: renderForModel(denial), recoverable: denial.recoverable })
}

export const TOOL_REFUSALS = {
  tool_failed: refusal('tool_failed', 'The tool failed.', 'after_wait'),
  tool_timeout: refusal('tool_timeout', 'The tool took too long.', 'after_wait'),
  result_too_large: refusal('result_too_large', 'The result of the tool is not plain data or too large.', 'narrower'),
} as const

function refusal(code: string, message: string, recoverable: ToolRefusal['recoverable']): ToolRefusal {
  return Object.freeze({ code, message, recoverable })
}
