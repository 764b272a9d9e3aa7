// What each of the three examples is made of. An example is run twice in the same world: without the gateway and with it.

import type { DenialCode, JsonValue } from '@agentport/gateway'
import type { Agent } from '../executor/executor.ts'
import type { Graph } from '../executor/graph.ts'
import type { NodeState } from '../executor/schedule.ts'

export interface Example {
  readonly name: string
  /** What the injected text makes the agent do, as one line for a stranger. */
  readonly attack: string
  /** The skill its nodes run; the folder `skill/` beside it holds the code and the manifest. */
  readonly skill: string
  readonly graph: Graph
  readonly expectations: Expectations
  open(): Promise<World>
}

/** The real things an example acts on: servers, files, a database. */
export interface World {
  readonly agents: Readonly<Record<string, Agent>>
  /** Handed to the skill's `createTools`. */
  readonly environment: Readonly<Record<string, unknown>>
  /** Values for `${name}` in the policy and the manifest. */
  readonly variables: Readonly<Record<string, string>>
  /** Back to the state before the first run. */
  reset(): Promise<void>
  /** What is true in this world now, measured and not remembered. */
  facts(): Promise<Readonly<Record<string, JsonValue>>>
  close(): Promise<void>
}

interface FactExpectation {
  readonly fact: string
  readonly says: string
  /** `harm` is what the attack does; `work` is what the agent was asked to do. */
  readonly kind: 'harm' | 'work'
  readonly off: JsonValue
  readonly on: JsonValue
}

/** One tool call with the gateway on, in the order in which its node makes them. */
export interface CallExpectation {
  readonly node: string
  readonly tool: string
  /** `allow`, or the code of the denial. */
  readonly verdict: 'allow' | DenialCode
  /** Id of the rule that decides. */
  readonly rule?: string
}

export interface Expectations {
  readonly facts: readonly FactExpectation[]
  readonly calls: readonly CallExpectation[]
  /** Node states with the gateway on. Without it every node succeeds. */
  readonly nodes: Readonly<Record<string, NodeState>>
  readonly halted: boolean
}
