// A small graph executor: bounded parallel branches, retries, skipping, halting. Everything about the gateway is in the
// lines marked "hook"; without a port they do nothing and every tool call simply runs.

import { type AgentPort, DeniedError, type NodeAdmission, type NodeEnd } from '@agentport/gateway'
import type { Graph, GraphNode } from './graph.ts'
import { type NodeState, Schedule } from './schedule.ts'
import { openTimeline, type Timeline } from './timeline.ts'
import { gatedTools, openTools, type Tool, type Tools } from './tools.ts'

export interface NodeContext {
  readonly node: string
  readonly attempt: number
  /** Outputs of the upstream nodes that succeeded, by node name. */
  readonly inputs: ReadonlyMap<string, unknown>
  readonly tools: Tools
  readonly signal: AbortSignal
}

/** Given to a node to end by itself once its signal aborts. */
const GRACE_MS = 100

/** The code of a node. What it returns is the node's output; what it throws fails the attempt. */
export type Agent = (context: NodeContext) => Promise<unknown>

export interface RunOptions {
  readonly graph: Graph
  /** One for each node, by node name. */
  readonly agents: Readonly<Record<string, Agent>>
  readonly tools: Readonly<Record<string, Tool>>
  readonly principal: string
  /** Absent: nothing is checked. */
  readonly port?: AgentPort | undefined
  /** Nodes that run at the same time. Default 4. */
  readonly concurrency?: number
}

export interface RunReport {
  readonly halted: boolean
  readonly nodes: ReadonlyMap<string, NodeState>
  readonly outputs: ReadonlyMap<string, unknown>
  readonly timeline: Timeline['events']
}

export async function runGraph(options: RunOptions): Promise<RunReport> {
  const { graph, port } = options
  const schedule = new Schedule(graph)
  const timeline = openTimeline()
  const outputs = new Map<string, unknown>()
  const running = new Map<string, Promise<void>>()
  const stop = new AbortController()
  const run = await port?.openRun({ graph, principal: options.principal }) // hook: before the graph
  run?.signal.addEventListener('abort', () => stop.abort(run.signal.reason), { once: true })

  async function runNode(name: string, spec: GraphNode): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const admission = await run?.admit(name) // hook: before a node
      if (admission?.denial) return lose(name, 'denied', spec.onFailure, admission.denial.code)
      timeline.record({ type: 'node_started', node: name, attempt })
      try {
        const output = await untilAborted(attemptNode(name, attempt, admission), admission?.signal ?? stop.signal)
        const end = await admission?.complete(output) // hook: after a node
        if (end?.accepted === false) return finish(name, 'cancelled', 'its result came too late')
        outputs.set(name, output)
        return finish(name, 'succeeded')
      } catch (error) {
        const denial = error instanceof DeniedError ? error.denial : undefined
        const cancelled = stop.signal.aborted && (denial === undefined || denial.code === 'run_halted')
        const end = await admission?.fail(error) // hook: after a node
        if (cancelled) return finish(name, 'cancelled')
        const next = end?.disposition ?? (attempt < (spec.attempts ?? 1) ? 'retry' : spec.onFailure)
        if (next !== 'retry') return lose(name, denial ? 'denied' : 'failed', next, denial?.code ?? String(error))
      }
    }
  }

  async function attemptNode(name: string, attempt: number, admission: NodeAdmission | undefined): Promise<unknown> {
    const signal = admission?.signal ?? stop.signal
    const tools = admission
      ? gatedTools(admission, options.tools, timeline)
      : openTools(name, options.tools, signal, timeline)
    const agent = options.agents[name]
    if (agent === undefined) throw new Error(`no agent for node ${name}`)
    const upstream = graph.nodes[name]?.after ?? []
    const inputs = new Map([...outputs].filter(([from]) => upstream.includes(from)))
    return agent({ node: name, attempt, inputs, tools, signal })
  }

  function finish(name: string, state: NodeState, detail?: string): void {
    schedule.set(name, state)
    timeline.record({ type: 'node_finished', node: name, state, ...(detail === undefined ? {} : { detail }) })
  }

  /** A node ended without success: what is left of the graph goes on without it, in part, or not at all. */
  function lose(name: string, state: NodeState, next: NodeEnd['disposition'] = 'skip_downstream', detail = ''): void {
    finish(name, state, detail)
    if (next === 'halt') timeline.record({ type: 'run_halted', node: name })
    if (next === 'halt') stop.abort(new Error(`node ${name} failed`))
    if (next === 'continue') schedule.tolerate(name)
    else skip(next === 'halt' ? undefined : name)
  }

  function skip(failed?: string): void {
    for (const node of schedule.skip(failed)) timeline.record({ type: 'node_finished', node, state: 'skipped' })
  }

  try {
    for (;;) {
      for (const name of stop.signal.aborted ? [] : schedule.ready()) {
        const spec = graph.nodes[name]
        if (spec === undefined || running.size >= (options.concurrency ?? 4)) break
        schedule.set(name, 'running')
        running.set(
          name,
          runNode(name, spec).finally(() => running.delete(name)),
        )
      }
      if (running.size === 0) break
      await Promise.race(running.values())
    }
    skip()
  } finally {
    await run?.close() // hook: after the graph
  }
  return { halted: stop.signal.aborted, nodes: schedule.states, outputs, timeline: timeline.events }
}

/** `work`, or a rejection soon after `signal` aborts: a node that ignores its signal does not keep the run alive. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => setTimeout(() => reject(signal.reason), GRACE_MS)
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}
