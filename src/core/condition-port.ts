// The port to another policy engine that a rule asks by `ask: { engine, query }`. The rule says which engine and what; who is
// asked, and what about, is said here. An answer is one bit: nothing else an engine says is trusted with a decision.

import type { JsonObject, JsonValue } from './json.ts'
import { describeResource, type Resource } from './resource.ts'

/** What a rule asks. */
export interface ConditionQuestion {
  /** Name of the engine, as rules write it. */
  readonly engine: string
  /** What the engine is asked for; only the engine knows what it means. */
  readonly query: string
}

/** Who answers. Called once for each question of a call, several at the same time. */
export interface ConditionPort {
  /** The engine name that rules use. */
  readonly name: string
  /**
   * Whether the condition holds for `input`, which is frozen. Throws or rejects when it cannot say; so does everything that
   * is not exactly `true` or `false`. An answer after `signal` was aborted is not heard.
   */
  ask(query: string, input: JsonObject, signal: AbortSignal): Promise<boolean> | boolean
}

/** The name under which the answer to a question goes to the policy. The name of an engine has no space in it. */
export function conditionKey(question: ConditionQuestion): string {
  return `${question.engine} ${question.query}`
}

/** A call, as other engines are told of it. What is absent here is absent there. */
export interface ConditionSubject {
  readonly node: string
  readonly roles?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  readonly skill?: string
  readonly tool: string
  readonly args: JsonObject
  readonly resources: readonly Resource[]
  readonly facts?: JsonObject
  readonly principal?: string
  readonly run?: string
  /** Milliseconds since the Unix epoch. */
  readonly now?: number
}

/**
 * The input of every question about one call: the members of {@link ConditionSubject}, with each resource as its canonical
 * parts (`kind`, `host`, `scheme`, `port`, `path`, `access`, `name`, `from`) and as one `text`, {@link describeResource}.
 */
export function conditionInput(subject: ConditionSubject): JsonObject {
  const { node, roles, labels, skill, tool, args, resources, facts, principal, run, now } = subject
  const input: Record<string, JsonValue | undefined> = {
    node,
    roles,
    labels,
    skill,
    tool,
    args,
    resources: resources.map(resourceInput),
    facts,
    principal,
    run,
    now,
  }
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined)) as JsonObject
}

// A host goes as its text alone: the numbers beside it are ours, and another engine would read the two apart.
function resourceInput(resource: Resource): JsonObject {
  const text = describeResource(resource)
  if (resource.kind !== 'network') return { ...resource, text }
  const { host, ...rest } = resource
  return { ...rest, host: host.text, text }
}
