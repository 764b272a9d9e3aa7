// The shape of a policy document, and the only file of this room that knows zod. Every object is strict: a misspelt key
// in a rule that was meant to forbid would otherwise be a rule that forbids nothing.

import { z } from 'zod'

import { LIMITS } from '../core/limits.ts'
import { MOST } from '../core/process-limits.ts'
import { PROCESS_RIGHTS } from '../core/process-right.ts'

const selector = z.string().min(1).max(LIMITS.patternLength)
const selectors = z.array(selector).min(1)
const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])
const count = z.number().int().min(0)

const condition = z
  .strictObject({
    equals: scalar.optional().describe('The argument is exactly this value.'),
    one_of: z.array(scalar).min(1).optional().describe('The argument is one of these values.'),
    min: z.number().optional().describe('The argument is a number and not below this.'),
    max: z.number().optional().describe('The argument is a number and not above this.'),
    min_length: count.optional().describe('The argument is text or a list and at least this long.'),
    max_length: count.optional().describe('The argument is text or a list and at most this long.'),
    glob: z
      .string()
      .min(1)
      .max(LIMITS.patternLength)
      .optional()
      .describe('The argument is text and matches this glob.'),
    ignore_case: z.boolean().optional().describe('Compare `glob` without regard to case.'),
    optional: z
      .boolean()
      .optional()
      .describe('An absent argument makes the condition false. Without it an absent argument makes a forbid deny.'),
  })
  .describe('A condition on one argument. All keys given must hold.')

const limits = z
  .strictObject({
    wall_ms: z.int().min(1).max(MOST.wall_ms).optional().describe('Milliseconds from start to kill.'),
    memory_mb: z
      .int()
      .min(1)
      .max(MOST.memory_mb)
      .optional()
      .describe('Memory of all processes, in units of 2^20 bytes.'),
    processes: z.int().min(1).max(MOST.processes).optional().describe('Processes and threads alive at the same time.'),
  })
  .describe('Of a permit: bounds on what is started under it. Of several the lowest holds.')

const rule = z
  .strictObject({
    id: z.string().min(1).max(LIMITS.nameLength).describe('Unique in the policy set; named in verdicts and logs.'),
    effect: z.enum(['permit', 'forbid', 'require_approval']),
    roles: selectors.optional().describe('Roles of the node. "*" is every node.'),
    nodes: selectors.optional().describe('Names or name globs of nodes.'),
    skills: selectors.optional().describe('Only calls of these skills.'),
    tools: selectors.describe('Names or name globs of tools. "*" is every tool.'),
    hosts: selectors
      .optional()
      .describe('Host patterns: [scheme://]host[:port], where host is a name, *.name, **.name, * or a CIDR.'),
    paths: z
      .strictObject({
        read: selectors.optional(),
        write: selectors.optional(),
        execute: selectors.optional().describe('Trees in which a process may run any file. Says nothing about calls.'),
      })
      .optional()
      .describe('Absolute path patterns by access. None implies another.'),
    binaries: selectors.optional().describe('Absolute path patterns of programs.'),
    env: selectors.optional().describe('Names of environment variables.'),
    libraries: selectors
      .optional()
      .describe('Absolute path patterns of libraries that a process may load. Says nothing about calls.'),
    process_rights: z
      .array(z.enum(PROCESS_RIGHTS))
      .min(1)
      .optional()
      .describe('What else a process may do. Says nothing about calls.'),
    limits: limits.optional(),
    forbidden_syscalls: selectors
      .optional()
      .describe('Of a permit: system calls that are taken from what is started under it.'),
    execution_mode: z
      .literal('ephemeral')
      .optional()
      .describe('Of a permit: nothing that is written survives the confinement of what is started under it.'),
    args: z.record(z.string(), condition).optional().describe('Conditions by JSON Pointer into the arguments.'),
    reason: z.string().max(LIMITS.messageLength).optional().describe('Why the rule exists. Shown to operators.'),
  })
  .describe('One statement. Order never matters: forbid beats require_approval beats permit.')

const role = z
  .strictObject({
    nodes: selectors.optional().describe('Names or name globs of the nodes that have this role.'),
    asserted: z.boolean().optional().describe('The graph may give this role to a node.'),
  })
  .describe('Who has a role. A role nobody can have is an error.')

/** The shape of a document; also where a misspelt key finds the one that was meant. */
export const policyShape = z
  .strictObject({
    version: z.literal(1),
    name: z.string().min(1).max(LIMITS.nameLength).optional(),
    description: z.string().max(LIMITS.messageLength).optional(),
    roles: z.record(z.string(), role).optional(),
    rules: z.array(rule),
  })
  .describe('What the operator grants. Nothing is allowed that no rule permits.')

export type RawCondition = z.infer<typeof condition>
export type RawRule = z.infer<typeof rule>
export type RawPolicy = z.infer<typeof policyShape>

/** zod's verdict on a parsed document. */
export function checkPolicyShape(value: unknown): ReturnType<typeof policyShape.safeParse> {
  return policyShape.safeParse(value)
}

/** The published JSON Schema (draft 2020-12) of a policy document. */
export function policyJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(policyShape) as Record<string, unknown>
  return {
    $schema,
    $id: 'https://agentport.dev/schemas/policy.schema.json',
    title: 'AgentPort policy document',
    ...schema,
  }
}
