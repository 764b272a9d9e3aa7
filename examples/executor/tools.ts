// Between an agent and the tools: the one place where a tool is run, and so the one place where the gateway is asked.

import { type Denial, DeniedError, type JsonObject, type NodeAdmission } from '@agentport/gateway'
import type { Timeline } from './timeline.ts'

/** The code of a tool, as a skill brings it. */
export type Tool = (args: JsonObject, context: { readonly signal: AbortSignal }) => unknown

export type ToolResult =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'denied'; readonly denial: Denial }
  | { readonly kind: 'error'; readonly message: string }

/** What an agent holds. A refusal it can react to comes back as a value; one that ended its node is thrown. */
export interface Tools {
  call(tool: string, args: JsonObject): Promise<ToolResult>
}

type Toolbox = Readonly<Record<string, Tool>>

/** With a gateway: a verdict before, the outcome after, and only `call.args` ever reaches the tool. */
export function gatedTools(admission: NodeAdmission, toolbox: Toolbox, timeline: Timeline): Tools {
  return {
    async call(tool, args) {
      const call = await admission.authorize({ tool, args })
      const event = { type: 'call', node: admission.node, tool, args, verdict: call.verdict } as const
      if (call.decision !== 'allow') {
        timeline.record({ ...event, outcome: 'refused' })
        if (call.denial.recoverable === 'never') throw new DeniedError(call.denial)
        return { kind: 'denied', denial: call.denial }
      }
      let value: unknown
      try {
        value = await dispatch(toolbox, call.tool, call.args, call.signal)
      } catch (error) {
        await call.fail(error)
        timeline.record({ ...event, outcome: 'failed' })
        return { kind: 'error', message: messageOf(error) }
      }
      const settled = await call.settle(value)
      timeline.record({ ...event, outcome: settled.accepted ? 'returned' : 'dropped' })
      if (!settled.accepted) throw new DeniedError(settled.denial)
      return { kind: 'value', value: settled.value }
    },
  }
}

/** Without a gateway: whatever the agent asks for is done. */
export function openTools(node: string, toolbox: Toolbox, signal: AbortSignal, timeline: Timeline): Tools {
  return {
    async call(tool, args) {
      try {
        const value = await dispatch(toolbox, tool, args, signal)
        timeline.record({ type: 'call', node, tool, args, outcome: 'returned' })
        return { kind: 'value', value }
      } catch (error) {
        timeline.record({ type: 'call', node, tool, args, outcome: 'failed' })
        return { kind: 'error', message: messageOf(error) }
      }
    },
  }
}

async function dispatch(toolbox: Toolbox, name: string, args: JsonObject, signal: AbortSignal): Promise<unknown> {
  const tool = Object.hasOwn(toolbox, name) ? toolbox[name] : undefined
  if (tool === undefined) throw new Error(`there is no tool ${name}`)
  return tool(args, { signal })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
