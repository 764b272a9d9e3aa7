// What a skill host needs of its box before it can run anything of the skill: the program that runs modules, its own file,
// and the module's directory, all of it for reading. Decides what is added to a profile, and that nothing else is.

import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { AgentPortError } from '../../core/errors.ts'
import { parsePath } from '../../core/path.ts'
import { pathPatternsMayMeet } from '../../core/path-overlap.ts'
import { type PathPattern, parsePathPattern } from '../../core/path-pattern.ts'
import { compileProfile, type GrantRule, type Profile } from '../../enforcer/profile.ts'
import { EnforcementUnavailableError, type FeatureShortfall } from '../../enforcer/report.ts'
import { SkillHostError } from './failure.ts'

export interface SkillHostFiles {
  /** Directory of the skill. */
  readonly directory: string
  /** Absolute path of Node; absent means the one that runs this. */
  readonly node?: string
  /** Absolute path of the program that runs in the box; absent means the one of this package. */
  readonly program?: string
}

/** In the words of a manifest: an operator who grants these in a policy needs no widening. */
export interface SkillHostNeeds {
  readonly allowedBinaries: readonly string[]
  readonly readablePaths: readonly string[]
}

/** What the box must hold for the host itself. Everything in it is read-only and no secret. */
export function skillHostNeeds(files: SkillHostFiles): SkillHostNeeds {
  const { directory, node, program } = hostFiles(files)
  return Object.freeze({
    allowedBinaries: Object.freeze([node]),
    readablePaths: Object.freeze([`${directory}/**`, program]),
  })
}

/** The files by their real names: a grant of a link says nothing of where it leads. */
export function hostFiles(files: SkillHostFiles): Required<SkillHostFiles> {
  return {
    directory: realPath(files.directory, 'the skill directory'),
    node: realPath(files.node ?? process.execPath, 'the node program'),
    program: realPath(files.program ?? builtProgram(), 'the program of the skill host'),
  }
}

function realPath(path: string, what: string): string {
  const parsed = typeof path === 'string' ? parsePath(path) : undefined
  if (parsed === undefined || !parsed.ok || parsed.path !== path)
    throw new TypeError(`${what} is no plain absolute path`)
  try {
    return realpathSync(path)
  } catch (error) {
    throw new SkillHostError('start', `${what} does not exist`, { cause: error })
  }
}

const PROGRAM = join('linux', 'skill-host', 'child.mjs')

/** Upwards from this file, which a bundler puts somewhere else in the same tree. */
function builtProgram(): string {
  for (let directory = dirname(fileURLToPath(import.meta.url)); ; directory = dirname(directory)) {
    for (const path of [join(directory, PROGRAM), join(directory, 'dist', PROGRAM)]) if (existsSync(path)) return path
    if (directory === dirname(directory))
      throw new SkillHostError('start', 'the program of the skill host is not built')
  }
}

const RULE = 'skill host'

/**
 * `profile` and what the host needs besides. A forbid of the profile beats the host's need, and a profile that lets the skill
 * write its own code or the host's is refused: the next run would load what this one wrote.
 *
 * @throws EnforcementUnavailableError saying what stands against it
 */
export function hostProfile(profile: Profile, files: Required<SkillHostFiles>): Profile {
  const binaries = [literal(files.node, '')]
  const reads = [literal(files.directory, '/**'), literal(files.program, '')]
  const missing: FeatureShortfall[] = []
  for (const { value, rule } of profile.write) {
    const met = [...reads, ...binaries].find((pattern) => pathPatternsMayMeet(pattern, value))
    if (met === undefined) continue
    const fix = 'keep what a skill may write apart from what it is made of'
    missing.push({ feature: 'fs_write', status: 'absent', reason: `${rule} lets the skill write ${met.text}`, fix })
  }
  const values = <T>(entries: readonly { readonly value: T }[]): readonly T[] => entries.map(({ value }) => value)
  const { profile: widened, excess } = compileProfile(
    {
      readablePaths: [...values(profile.read), ...reads],
      writablePaths: values(profile.write),
      executablePaths: values(profile.execute),
      allowedBinaries: [...values(profile.binaries), files.node],
      allowedLibraries: values(profile.libraries),
      allowedHosts: values(profile.egress),
      allowedEnv: values(profile.env),
      processRights: values(profile.rights),
      forbiddenSyscalls: [],
      executionMode: profile.executionMode,
      limits: profile.limits,
    },
    {
      permits: [...permitsOf(profile), { rule: RULE, reads, binaries }],
      forbids: forbidsOf(profile),
      forbiddenSyscalls: profile.forbiddenSyscalls,
    },
  )
  for (const { kind, text, rule } of excess) {
    const feature = kind === 'read' ? 'fs_read' : 'fs_execute'
    missing.push({ feature, status: 'absent', reason: `${text} is forbidden by ${rule ?? 'the profile'}` })
  }
  if (missing.length > 0)
    throw new EnforcementUnavailableError('linux', missing, 'a skill host cannot run in this profile')
  return widened
}

/** Each entry of the profile as the rule that it comes from, so that compiling it again keeps each and its rule. */
function permitsOf(profile: Profile): readonly GrantRule[] {
  return [
    ...profile.read.map(({ value, rule }) => ({ rule, reads: [value] })),
    ...profile.write.map(({ value, rule }) => ({ rule, writes: [value] })),
    ...profile.execute.map(({ value, rule }) => ({ rule, executes: [value] })),
    ...profile.binaries.map(({ value, rule }) => ({ rule, binaries: [literal(value, '')] })),
    ...profile.libraries.map(({ value, rule }) => ({ rule, libraries: [value] })),
    ...profile.egress.map(({ value, rule }) => ({ rule, hosts: [value] })),
    ...profile.env.map(({ value, rule }) => ({ rule, env: [value] })),
    ...profile.rights.map(({ value, rule }) => ({ rule, rights: [value] })),
  ]
}

function forbidsOf({ denied }: Profile): readonly GrantRule[] {
  return [
    ...denied.read.map(({ value, rule }) => ({ rule, reads: [value] })),
    ...denied.write.map(({ value, rule }) => ({ rule, writes: [value] })),
    ...denied.execute.map(({ value, rule }) => ({ rule, executes: [value] })),
    ...denied.egress.map(({ value, rule }) => ({ rule, hosts: [value] })),
  ]
}

// A name with a `*` in it would be a pattern, and grant what nobody meant.
function literal(path: string, rest: '' | '/**'): PathPattern {
  const parsed = parsePathPattern(`${path}${rest}`)
  const plain = rest === '' ? parsed : parsePathPattern(path)
  if (parsed.ok && plain.ok && plain.pattern.segments.every(({ kind }) => kind === 'literal')) return parsed.pattern
  throw new AgentPortError(
    'ERR_CONFIG_INVALID',
    'the path of a skill host has a character that means something in a pattern',
  )
}

export interface RuntimeOptions {
  /** Whether the box lets memory become code; without it there is no compiler. */
  readonly executableMemory: boolean
  readonly memoryBytes?: number
}

const MIB = 1024 * 1024

/** How Node is started. The kernel holds the module; these take from it what it has no use for, and what would not work. */
export function nodeFlags({ executableMemory, memoryBytes }: RuntimeOptions): readonly string[] {
  return [
    // Without a compiler V8 makes no code at run time; with one, at least none from text of the module.
    ...(executableMemory ? [] : ['--jitless', '--no-expose-wasm']),
    '--disallow-code-generation-from-strings',
    // Native code would be refused by the box; refused here it is an error that says so.
    '--no-addons',
    '--no-global-search-paths',
    '--no-warnings',
    // Threads count among the processes of the box.
    '--v8-pool-size=1',
    // Three quarters, because the heap is not all of a process: an end by the heap's own limit leaves a word, one by the
    // kernel's none.
    ...(memoryBytes === undefined
      ? []
      : [`--max-old-space-size=${Math.max(16, Math.floor((memoryBytes / MIB) * 0.75))}`]),
  ]
}
