// What happened, in order: the executor's own record of a run, for people. The proof is the gateway's audit log.

import type { JsonObject, Verdict } from '@agentport/gateway'
import type { NodeState } from './schedule.ts'

export type TimelineEvent =
  | { readonly type: 'node_started'; readonly node: string; readonly attempt: number }
  | { readonly type: 'node_finished'; readonly node: string; readonly state: NodeState; readonly detail?: string }
  | {
      readonly type: 'call'
      readonly node: string
      readonly tool: string
      readonly args: JsonObject
      /** Absent when no gateway was asked. */
      readonly verdict?: Verdict
      readonly outcome: 'returned' | 'failed' | 'refused' | 'dropped'
    }
  | { readonly type: 'run_halted'; readonly node: string }

export interface Timeline {
  readonly events: readonly (TimelineEvent & { /** Milliseconds since the run began. */ readonly at: number })[]
  record(event: TimelineEvent): void
}

export function openTimeline(): Timeline {
  const began = performance.now()
  const events: (TimelineEvent & { readonly at: number })[] = []
  return { events, record: (event) => void events.push({ ...event, at: performance.now() - began }) }
}
