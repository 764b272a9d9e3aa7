// The shape of a policy document, and the only file of this room that knows zod. Every object is strict: a misspelt key
// in a rule that was meant to forbid would otherwise be a rule that forbids nothing.

import { z } from 'zod'

import { LIMITS } from '../core/limits.ts'
import { MOST } from '../core/process-limits.ts'
import { PROCESS_RIGHTS } from '../core/process-right.ts'

const selector = z.string().min(1).max(LIMITS.patternLength)
const selectors = z.array(selector).min(1)
const name = z.string().min(1).max(LIMITS.nameLength)
const names = z.array(name).min(1)
const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])
const count = z.number().int().min(0)
const duration = z.string().min(2).max(16).describe('A number and ms, s, m, h or d, e.g. 30s.')
const reason = z.string().max(LIMITS.messageLength).optional().describe('Why it exists. Shown to operators.')
const id = name.describe('Unique in the policy set; named in verdicts and logs.')

const tests = {
  equals: scalar.optional().describe('The value is exactly this.'),
  one_of: z.array(scalar).min(1).optional().describe('The value is one of these.'),
  min: z.number().optional().describe('The value is a number and not below this.'),
  max: z.number().optional().describe('The value is a number and not above this.'),
  min_length: count.optional().describe('The value is text or a list and at least this long.'),
  max_length: count.optional().describe('The value is text or a list and at most this long.'),
  glob: selector.optional().describe('The value is text and matches this glob.'),
  ignore_case: z.boolean().optional().describe('Compare `glob` without regard to case.'),
  pattern: selector
    .optional()
    .describe(
      'The value is text and all of it matches this regular expression (ECMA-262 with the u flag, linear time).',
    ),
  contains: scalar.optional().describe('The value is a list and this is one of its items.'),
  schema: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('The value is valid by this JSON Schema, which has to say its `type`.'),
}

/** What `every` and `some` say of one item. One level deep: a list of lists is for `schema`. */
const itemCondition = z.strictObject(tests).describe('A condition on one item of a list. All keys given must hold.')

const condition = z
  .strictObject({
    ...tests,
    every: itemCondition.optional().describe('The value is a list, and this holds for every item.'),
    some: itemCondition.optional().describe('The value is a list, and this holds for some item.'),
    optional: z
      .boolean()
      .optional()
      .describe('An absent value makes the condition false. Without it an absent value makes a forbid deny.'),
  })
  .describe('A condition on one value. All keys given must hold.')

const conditions = z.record(z.string(), condition)

const processLimits = z
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

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

const during = z
  .strictObject({
    days: z.array(z.enum(DAYS)).min(1).optional().describe('Days of the week. Absent: every day.'),
    from: z.string().optional().describe('Time of day, HH:MM, included.'),
    to: z.string().optional().describe('Time of day, HH:MM, excluded. Before `from`: the window runs over midnight.'),
    zone: z.string().optional().describe('IANA time zone, e.g. Europe/Berlin. Default UTC.'),
    not_before: z.string().optional().describe('Instant, RFC 3339 with offset, included.'),
    not_after: z.string().optional().describe('Instant, RFC 3339 with offset, excluded.'),
  })
  .describe('When it applies. All keys given must hold.')

const residency = z
  .strictObject({
    source: names.optional().describe('Regions the data of the call come from.'),
    destination: names.optional().describe('Regions the destination has to be in one of.'),
    outside: names.optional().describe('Regions the destination has to be in none of.'),
  })
  .describe('Where data come from and go to, in regions defined under `regions`.')

const ask = z
  .strictObject({
    engine: name.describe('Name of a condition port given to the gateway.'),
    query: selector.describe('What it is asked, in its own words.'),
  })
  .describe('Asks a policy engine the operator has already. No answer in time: cannot be told.')

const labels = z.record(name, selectors).describe('Labels of the node: each has to match one of its globs.')

/** Whom, what and when a statement is about. */
const about = {
  roles: selectors.optional().describe('Roles of the node. "*" is every node.'),
  nodes: selectors.optional().describe('Names or name globs of nodes.'),
  labels: labels.optional(),
  after: selectors.optional().describe('Names or name globs: one such node is upstream of this one, at any distance.'),
  before: selectors.optional().describe('Names or name globs: one such node is downstream, at any distance.'),
  skills: selectors.optional().describe('Only calls of these skills.'),
  tools: selectors.describe('Names or name globs of tools. "*" is every tool.'),
  hosts: selectors
    .optional()
    .describe('Host patterns: [scheme://]host[:port], where host is a name, *.name, **.name, * or a CIDR.'),
  methods: z
    .array(z.string().regex(/^[A-Z]{1,20}$/))
    .min(1)
    .optional()
    .describe('HTTP methods, upper case, of what is sent to `hosts`.'),
  residency: residency.optional(),
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
  oauth_scopes: selectors.optional().describe('OAuth scopes the tool uses, exact.'),
  args: conditions.optional().describe('Conditions by JSON Pointer into the arguments.'),
  facts: conditions.optional().describe('Conditions by JSON Pointer into the facts about run and node.'),
  during: during.optional(),
  ask: ask.optional(),
}

const rule = z
  .strictObject({
    id,
    effect: z.enum(['permit', 'forbid', 'require_approval']),
    ...about,
    libraries: selectors
      .optional()
      .describe('Absolute path patterns of libraries that a process may load. Says nothing about calls.'),
    process_rights: z
      .array(z.enum(PROCESS_RIGHTS))
      .min(1)
      .optional()
      .describe('What else a process may do. Says nothing about calls.'),
    approval: z
      .strictObject({
        approvers: names.optional().describe('Who may answer. Absent: anybody the answering port has identified.'),
        quorum: z.int().min(1).max(100).optional().describe('How many different approvers have to agree. Default 1.'),
        expires: duration.optional().describe('How long an answer can be given and used. Default 10m.'),
      })
      .optional()
      .describe('Of a require_approval: who has to agree.'),
    limits: processLimits.optional(),
    forbidden_syscalls: selectors
      .optional()
      .describe('Of a permit: system calls that are taken from what is started under it.'),
    execution_mode: z
      .literal('ephemeral')
      .optional()
      .describe('Of a permit: nothing that is written survives the confinement of what is started under it.'),
    reason,
  })
  .describe('One statement. Order never matters: forbid beats require_approval beats permit.')

/** What a limit can count by. `all` alone is one counter for everybody. */
export const COUNTED_BY = ['run', 'node', 'skill', 'tool', 'principal', 'destination', 'all'] as const

const limit = z
  .strictObject({
    id,
    ...about,
    kind: z.enum(['rate', 'window', 'concurrency', 'budget']),
    max: z.number().positive().describe('What may be taken: calls, or units of `amount`.'),
    per: duration.optional(),
    burst: z.number().positive().optional().describe('Of a rate: what may be taken at once. Default `max`.'),
    by: z.array(z.enum(COUNTED_BY)).min(1).describe('What has a counter of its own. "all": one counter for everybody.'),
    amount: z
      .string()
      .min(1)
      .max(LIMITS.patternLength)
      .optional()
      .describe('JSON Pointer to the number in the arguments that is taken. Absent: 1 a call.'),
    reason,
  })
  .describe('How much of what it is about may happen. Applies to a call as a forbid does.')

const side = z.enum(['arguments', 'result'])
const sides = z.array(side).min(1).max(2)

const obligation = z
  .strictObject({
    id,
    ...about,
    redact: z
      .strictObject({
        on: sides,
        fields: selectors.optional().describe('JSON Pointers; the token `*` is every item or member.'),
        patterns: selectors.optional().describe('Regular expressions whose every match is replaced.'),
        secrets: z.literal(true).optional().describe('Tokens and keys recognised by their form.'),
      })
      .optional(),
    cap: z
      .strictObject({
        on: sides,
        max_bytes: z.int().min(1).optional(),
        max_text: z.int().min(1).optional(),
        max_items: z.int().min(1).optional(),
      })
      .optional(),
    pin_addresses: z.literal(true).optional().describe('Only addresses resolved and judged before are dialled.'),
    rewrite: z.strictObject({ tool: name.describe('The narrower tool that runs instead.') }).optional(),
    confirm: name.optional().describe('An action that the executor confirms by this name.'),
    reason,
  })
  .describe('What has to be done for an allow to hold. Applies to a call as a forbid does.')

const egress = z
  .strictObject({
    id,
    roles: about.roles,
    nodes: about.nodes,
    hosts: selectors,
    methods: about.methods,
    reason,
  })
  .describe('What these nodes may reach at most. Grants nothing; with one such entry in a set, what none lists is out.')

const role = z
  .strictObject({
    nodes: selectors.optional().describe('Names or name globs of the nodes that have this role.'),
    labels: labels.optional(),
    asserted: z.boolean().optional().describe('The graph may give this role to a node.'),
  })
  .describe('Who has a role. A role nobody can have is an error.')

const region = z.strictObject({ hosts: selectors.describe('Host patterns without scheme and port.') })

const instanceTest = z
  .record(z.string(), z.unknown())
  .describe('A request and the verdict it must get; run by `agentport test`.')

/** The shape of a document; also where a misspelt key finds the one that was meant. */
export const policyShape = z
  .strictObject({
    version: z.literal(1),
    name: name.optional(),
    description: z.string().max(LIMITS.messageLength).optional(),
    roles: z.record(z.string(), role).optional(),
    regions: z.record(z.string(), region).optional(),
    egress: z.array(egress).min(1).optional(),
    rules: z.array(rule),
    limits: z.array(limit).optional(),
    obligations: z.array(obligation).optional(),
    tests: z.array(instanceTest).optional(),
  })
  .describe('What the operator grants. Nothing is allowed that no rule permits.')

export type RawCondition = z.infer<typeof condition>
export type RawItemCondition = z.infer<typeof itemCondition>
export type RawDuring = z.infer<typeof during>
export type RawResidency = z.infer<typeof residency>
export type RawAsk = z.infer<typeof ask>
export type RawRule = z.infer<typeof rule>
export type RawLimit = z.infer<typeof limit>
export type RawObligation = z.infer<typeof obligation>
export type RawEgress = z.infer<typeof egress>
export type RawRole = z.infer<typeof role>
export type RawPolicy = z.infer<typeof policyShape>
/** The part that rules, limits and obligations have in common. */
export type RawAbout = Pick<RawRule, Exclude<keyof typeof about, 'tools'>> & { tools: string[] }

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
