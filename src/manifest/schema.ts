// The shape of a tool binding manifest, and the only file of this room that knows zod. Every object is strict: a misspelt
// `readable_path` that was silently dropped would leave a skill with other rights than its author wrote down.

import { z } from 'zod'

import { LIMITS } from '../core/limits.ts'
import { MOST } from '../core/process-limits.ts'
import { PROCESS_RIGHTS } from '../core/process-right.ts'
import { PATH_ACCESSES } from '../core/resource.ts'
import type { ShapeIssue } from '../core/shape.ts'
import { COMMAND_BOUNDS } from './command/bounds.ts'

// Lengths and patterns of names and patterns are given to editors only (meta): section.ts and its callers check them with
// the parser that will be used, whose message says more, and one mistake should be one problem.
function text(maxLength: number, pattern?: string): z.ZodString {
  return z.string().meta({ minLength: 1, maxLength, ...(pattern === undefined ? {} : { pattern }) })
}

const name = text(LIMITS.nameLength, '^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9_])?$')
const pattern = text(LIMITS.patternLength)
const absolutePath = text(LIMITS.pathLength, '^/')
const description = z.string().max(8192)

const from = text(LIMITS.patternLength, '^/')
  .describe('JSON Pointer into the arguments. `*` stands for every element of an array.')
  .meta({ examples: ['/url', '/files/*/path'] })
const optional = z
  .literal(true)
  .optional()
  .describe('The argument may be absent or null; the call then names nothing here.')

const sent = {
  method: text(20, '^[A-Z]{1,20}$').optional().describe('HTTP method the tool always uses, upper case.'),
  method_from: text(LIMITS.patternLength, '^/')
    .optional()
    .describe('JSON Pointer to the text argument that says the HTTP method. `*` is the same element as in `from`.'),
}

const mapping = z
  .discriminatedUnion('kind', [
    z.strictObject({
      from,
      kind: z.literal('path'),
      access: z.enum(PATH_ACCESSES).describe('What the tool does with the file. Write does not imply read.'),
      base: absolutePath.optional().describe('Absolute directory that relative values are resolved against.'),
      optional,
    }),
    z.strictObject({ from, kind: z.literal('url'), ...sent, optional }),
    z.strictObject({ from, kind: z.literal('host'), ...sent, optional }),
    z.strictObject({ from, kind: z.literal('binary'), optional }),
    z.strictObject({ from, kind: z.literal('env'), optional }),
    z.strictObject({
      from,
      kind: z.literal('command').describe('A shell command, or a list of arguments that is run without a shell.'),
      search: z
        .array(absolutePath)
        .min(1)
        .max(COMMAND_BOUNDS.search)
        .optional()
        .describe(
          'Absolute directories that stand for PATH: a bare name is that program in each. Absent: only paths name programs.',
        ),
      base: absolutePath
        .optional()
        .describe('Absolute directory that the command is started in, for relative programs and redirections.'),
      optional,
    }),
    z.strictObject({ from, kind: z.literal('text'), optional }),
  ])
  .describe('Says that an argument names a resource, so that a policy can speak of hosts, paths and programs.')

const tool = z
  .strictObject({
    name: name.describe('Unique in the manifest.'),
    description: description.optional(),
    input_schema: z
      .record(z.string(), z.unknown())
      .optional()
      .describe(
        'JSON Schema (draft 2020-12, or draft-07 by $schema) of the arguments. Absent: the tool takes no arguments.',
      ),
    resources: z
      .array(mapping)
      .max(LIMITS.resources)
      .optional()
      .describe('Which arguments name hosts, files, programs or variables.'),
    oauth_scopes: z
      .array(pattern)
      .max(LIMITS.resources)
      .optional()
      .describe('OAuth scopes the tool makes use of, exact. Each has to be granted, and held by the run.'),
    effect: z
      .enum(['pure', 'idempotent', 'keyed', 'unsafe'])
      .optional()
      .describe('What a repeated call does. Absent: unsafe, so it is never repeated by itself.'),
  })
  .describe('A tool this skill offers.')

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
  .describe('Bounds on what is started for one call. An absent one is no bound of that kind.')

const document = z
  .strictObject({
    skill: name
      .optional()
      .describe('Name of the skill. May be left out where the loader knows it, and must then agree.'),
    version: z
      .string()
      .min(1)
      .max(LIMITS.nameLength)
      .optional()
      .describe('Version of the skill, as its publisher counts.'),
    publisher: z
      .string()
      .min(1)
      .max(LIMITS.nameLength)
      .optional()
      .describe('Who publishes it. A claim: who vouches for it is attested.'),
    description: description.optional().describe('What the skill does, for people.'),
    tools: z.array(tool).max(LIMITS.manifestTools).optional().describe('Absent: the skill offers no tool.'),
    allowed_hosts: z
      .array(pattern)
      .optional()
      .describe(
        'Host patterns: [scheme://]host[:port], where host is a name, *.name, **.name, *, an address or a CIDR.',
      ),
    file_access: z
      .enum(['none', 'read_only', 'read_write'])
      .optional()
      .describe('Cross-check of the path lists. It grants nothing by itself.'),
    readable_paths: z.array(pattern).optional().describe('Absolute path patterns that may be read.'),
    writable_paths: z
      .array(pattern)
      .optional()
      .describe('Absolute path patterns that may be written. Does not imply reading.'),
    binary_access: z
      .enum(['none', 'listed'])
      .optional()
      .describe('Cross-check of allowed_binaries and executable_paths. It grants nothing by itself.'),
    allowed_binaries: z.array(absolutePath).optional().describe('Absolute paths of programs the skill may start.'),
    executable_paths: z
      .array(pattern)
      .optional()
      .describe('Absolute path patterns: any file there may be run. None of it may be writable.'),
    allowed_libraries: z
      .array(pattern)
      .optional()
      .describe('Absolute path patterns of libraries the skill may load. None of it may be writable.'),
    allowed_env: z
      .array(z.string().min(1).max(LIMITS.nameLength))
      .optional()
      .describe('Environment variables the skill may see.'),
    process_rights: z
      .array(z.enum(PROCESS_RIGHTS))
      .optional()
      .describe(
        'What else a process may do: executable_memory (JIT compilers such as node and java), listen, udp, unix_sockets.',
      ),
    forbidden_syscalls: z
      .array(z.string().min(1).max(LIMITS.nameLength))
      .optional()
      .describe('System calls the skill gives up, on top of what the enforcer removes.'),
    execution_mode: z
      .enum(['shared', 'ephemeral'])
      .optional()
      .describe('ephemeral: every call gets a fresh confinement that is destroyed after it. Absent: shared.'),
    limits: limits.optional(),
    tool_scope: z
      .array(pattern)
      .optional()
      .describe('Tool names or name globs that can be called at all. Absent: every declared tool.'),
    on_failure: z
      .enum(['halt', 'skip_downstream', 'continue'])
      .optional()
      .describe('What a failure of this skill does to the run, unless the graph says otherwise.'),
  })
  .describe(
    "What a skill says it needs. An absent section means none; the operator's policy can only narrow it further.",
  )
  .meta({
    examples: [
      { skill: 'web_search', allowed_hosts: ['api.duckduckgo.com'], file_access: 'none', binary_access: 'none' },
      {
        skill: 'price_fetcher',
        tools: [
          {
            name: 'fetch_price',
            input_schema: { type: 'object', properties: { url: { type: 'string' } }, required: ['url'] },
            resources: [{ from: '/url', kind: 'url' }],
            effect: 'pure',
          },
        ],
        allowed_hosts: ['prices.example.com'],
      },
    ],
  })

/** What is wrong with the shape of a parsed manifest; empty when nothing is. */
export function manifestShapeIssues(value: unknown): readonly ShapeIssue[] {
  const result = document.safeParse(value)
  return result.success ? [] : result.error.issues
}

/** For shapeProblems, which answers unknown keys with the known ones. */
export const manifestShape: unknown = document

/** The published JSON Schema (draft 2020-12) of a tool binding manifest. */
export function manifestJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(document, { target: 'draft-2020-12' }) as Record<string, unknown>
  return {
    $schema,
    $id: 'https://agentport.dev/schemas/manifest.schema.json',
    title: 'AgentPort tool binding manifest',
    ...schema,
  }
}
