// The shape of a graph, and the only file of this room that knows zod. Every object is strict: a misspelt `critical` would
// otherwise be a node whose denial stops nothing. Decides only shape; what the names refer to is decided in graph.ts.

import { z } from 'zod'

import { LIMITS } from '../core/limits.ts'

/** What a node's failure does to the rest, see docs/halt.md. */
export const ON_FAILURE = ['halt', 'skip_downstream', 'continue'] as const
/** Whether the node shares a confinement with others or gets one of its own. */
export const EXECUTION_MODES = ['shared', 'ephemeral'] as const

/** Attempts one node may have; more than a few is a loop, not a retry. */
const MAX_ATTEMPTS = 10
const MAX_LIFETIME_MS = 3_600_000
const DEFAULT_LIFETIME_MS = 300_000

const name = z.string().min(1).max(LIMITS.nameLength)
const names = z.array(name)

const fields = {
  skill: name.describe('The skill that does the work.'),
  after: names.optional().describe('Nodes that must have succeeded before this one may start.'),
  role: name.optional().describe('The role of this node, when it has one.'),
  roles: names.optional().describe('The roles of this node, when it has several.'),
  critical: z.boolean().optional().describe('true: anything but success of this node halts the run.'),
  attempts: z
    .number()
    .int()
    .min(1)
    .max(MAX_ATTEMPTS)
    .optional()
    .describe('How often the node may be started. A denial is never retried. Default 1.'),
  labels: z
    .record(name, z.string().max(LIMITS.messageLength))
    .optional()
    .describe('What the node is, for records and for policies that speak of labels.'),
}
const toolScope = names.optional().describe('Tools this node may call. Absent means none.')
const onFailure = z
  .enum(ON_FAILURE)
  .optional()
  .describe(
    'halt stops the run; skip_downstream (default) skips all that depends on the node; continue goes on without it.',
  )
const executionMode = z
  .enum(EXECUTION_MODES)
  .optional()
  .describe('ephemeral: every process of the node gets a confinement of its own. Default shared.')
const lifetime = z
  .number()
  .int()
  .min(1)
  .max(MAX_LIFETIME_MS)
  .optional()
  .describe('Milliseconds one admission stays valid. Default 300000.')

const version = z.literal(1).optional()
const fileGraph = z
  .strictObject({
    version,
    nodes: z.record(
      name,
      z.strictObject({
        ...fields,
        tool_scope: toolScope,
        on_failure: onFailure,
        execution_mode: executionMode,
        lifetime_ms: lifetime,
      }),
    ),
  })
  .describe('What runs after what, and what a failure does to the rest.')
const codeGraph = z.strictObject({
  version,
  nodes: z.record(name, z.strictObject({ ...fields, toolScope, onFailure, executionMode, lifetimeMs: lifetime })),
})

export type OnFailure = (typeof ON_FAILURE)[number]
export type ExecutionMode = (typeof EXECUTION_MODES)[number]

/** How the keys are spelt: snake_case in files, camelCase in code. */
export type KeyStyle = 'file' | 'code'

/** One node of the right shape, whichever way its keys were spelt. */
export interface RawNode {
  readonly skill: string
  readonly after: readonly string[]
  readonly role: string | undefined
  readonly roles: readonly string[] | undefined
  readonly toolScope: readonly string[]
  readonly onFailure: OnFailure | undefined
  readonly critical: boolean
  readonly executionMode: ExecutionMode
  readonly attempts: number
  readonly lifetimeMs: number
  readonly labels: Readonly<Record<string, string>>
}

export type GraphShape =
  | { readonly ok: true; readonly nodes: ReadonlyMap<string, RawNode> }
  | { readonly ok: false; readonly issues: readonly z.core.$ZodIssue[]; readonly schema: unknown }

/** Checks the shape of a parsed graph and fills in the defaults. */
export function checkGraphShape(value: unknown, style: KeyStyle): GraphShape {
  if (style === 'file') {
    const shape = fileGraph.safeParse(value)
    if (!shape.success) return { ok: false, issues: shape.error.issues, schema: fileGraph }
    return named(shape.data.nodes, (node) => ({
      ...common(node),
      toolScope: node.tool_scope ?? [],
      onFailure: node.on_failure,
      executionMode: node.execution_mode ?? 'shared',
      lifetimeMs: node.lifetime_ms ?? DEFAULT_LIFETIME_MS,
    }))
  }
  const shape = codeGraph.safeParse(value)
  if (!shape.success) return { ok: false, issues: shape.error.issues, schema: codeGraph }
  return named(shape.data.nodes, (node) => ({
    ...common(node),
    toolScope: node.toolScope ?? [],
    onFailure: node.onFailure,
    executionMode: node.executionMode ?? 'shared',
    lifetimeMs: node.lifetimeMs ?? DEFAULT_LIFETIME_MS,
  }))
}

type CommonFields = Pick<RawNode, 'skill' | 'after' | 'role' | 'roles' | 'critical' | 'attempts' | 'labels'>

function common(
  node: { readonly [K in keyof CommonFields]?: CommonFields[K] | undefined } & { skill: string },
): CommonFields {
  return {
    skill: node.skill,
    after: node.after ?? [],
    role: node.role,
    roles: node.roles,
    critical: node.critical ?? false,
    attempts: node.attempts ?? 1,
    labels: node.labels ?? {},
  }
}

function named<T>(nodes: Readonly<Record<string, T>>, read: (node: T) => RawNode): GraphShape {
  return { ok: true, nodes: new Map(Object.entries(nodes).map(([nodeName, node]) => [nodeName, read(node)])) }
}

/** The published JSON Schema (draft 2020-12) of a graph file. */
export function graphJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(fileGraph) as Record<string, unknown>
  return {
    $schema,
    $id: 'https://agentport.dev/schemas/graph.schema.json',
    title: 'AgentPort graph',
    ...schema,
  }
}
