// The front matter of a SKILL.md (AgentSkills, with OpenClaw's `metadata.openclaw`) → a manifest. `requires` there says
// what must be present for the skill to be offered; it is no permission, and only variables can be taken from it: a
// program has no path, and there are no words for hosts and files at all.

import { mustNotBeSet } from '../../core/breadth.ts'
import type { SourceText } from '../../core/document.ts'
import type { JsonObject, JsonValue } from '../../core/json.ts'
import { readJson } from '../../core/json.ts'
import type { Problem } from '../../core/problem.ts'
import { isEnvName, isName, printable } from '../../core/text.ts'
import { readFrontMatter } from './front-matter.ts'
import { type Imported, ImportNotes, isList, isObject, member, type Place } from './imported.ts'
import { listOf } from './tool-list.ts'

export interface SkillImportOptions {
  /** The name of the skill, instead of the one the source has. */
  readonly skill?: string
}

/** Where OpenClaw looks in `metadata`; the second is its earlier name. */
const METADATA_KEYS = ['openclaw', 'clawdbot'] as const

/**
 * Imports a SKILL.md. The text below the front matter is for the model and is not read.
 *
 * @throws TypeError when `source` is not a {@link SourceText}, or `options.skill` is not a name.
 */
export function importSkillMarkdown(source: SourceText, options: SkillImportOptions = {}): Imported {
  if (options.skill !== undefined && !isName(options.skill)) throw new TypeError('options.skill is not a name')
  const { parsed, marked } = readFrontMatter(source)
  if (!parsed.ok) return { ok: false, problems: parsed.problems.map(withHint) }
  const { document } = parsed
  const notes = new ImportNotes(document)
  if (marked) notes.warn('syntax_error', [], 'the file begins with a byte order mark', { hint: 'save it without one' })
  const root = document.value
  if (!isObject(root)) {
    notes.refuse('wrong_type', [], 'the front matter is not a list of keys', { hint: 'write name: and description:' })
    return notes.finish({})
  }
  const skill = readSkillName(notes, member(root, 'name'), ['name'], options.skill)
  const description = notes.description(member(root, 'description'), ['description'])
  const metadata = readMetadata(notes, root)
  const version =
    notes.label('version', member(root, 'version'), ['version']) ??
    notes.label('version', member(metadata?.all, 'version'), ['metadata', 'version'])
  const env = metadata === undefined ? [] : readRequirements(notes, metadata.openclaw, metadata.at)
  tellWhatIsMissing(notes, root)
  return notes.finish({
    skill,
    ...(version === undefined ? {} : { version }),
    ...(description === undefined ? {} : { description }),
    file_access: 'none',
    binary_access: 'none',
    ...(env.length === 0 ? {} : { allowed_env: env }),
  })
}

/** Readers that try again line by line take what YAML does not: `description: Use when: …`. */
function withHint(problem: Problem): Problem {
  if (problem.code !== 'syntax_error' || problem.hint !== undefined) return problem
  return {
    ...problem,
    hint: 'put a text that has ": " or " #" in it into double quotes, and indent JSON below its key',
  }
}

/** The name of the skill; `''` when there is none, and the source is refused. */
export function readSkillName(
  notes: ImportNotes,
  written: JsonValue | undefined,
  at: Place,
  given: string | undefined,
): string {
  if (given !== undefined) return given
  const hint = 'a name is ASCII letters and digits, and inside also _ . : -; or give another one'
  if (written === undefined) notes.refuse('missing_key', [], `the key "${at.at(-1) ?? ''}" is missing`, { hint })
  else if (!isName(written)) notes.refuse('invalid_value', at, 'not a name that a skill can have', { hint })
  else return written
  return ''
}

interface Metadata {
  readonly all: JsonObject
  readonly openclaw: JsonValue | undefined
  readonly at: Place
}

function readMetadata(notes: ImportNotes, root: JsonObject): Metadata | undefined {
  const written = member(root, 'metadata')
  if (written === undefined || written === null) return undefined
  const all = typeof written === 'string' ? parsedText(notes, written) : written
  if (all === undefined) return undefined
  if (!isObject(all)) {
    notes.warn('wrong_type', ['metadata'], 'metadata that is not an object is left out')
    return undefined
  }
  const [key, ...others] = METADATA_KEYS.filter((one) => Object.hasOwn(all, one))
  for (const other of others) {
    notes.warn('contradiction', ['metadata', other], `left out: metadata.${key ?? ''} says it too`, { on: 'key' })
  }
  if (key === undefined) tellStrangers(notes, all)
  // Inside a text there are no places of its own.
  const inside = typeof written === 'string' ? [] : key === undefined ? [] : [key]
  return { all, openclaw: key === undefined ? undefined : member(all, key), at: ['metadata', ...inside] }
}

/** Forks keep the same block under their own name; what it says is not taken from there, but not lost in silence. */
function tellStrangers(notes: ImportNotes, metadata: JsonObject): void {
  for (const [key, block] of Object.entries(metadata)) {
    if (member(block, 'requires') === undefined) continue
    notes.warn('unknown_key', ['metadata', key], 'requires is read in metadata.openclaw alone', { on: 'key' })
  }
}

/** JSON written as one YAML text, as older skills do. */
function parsedText(notes: ImportNotes, text: string): JsonValue | undefined {
  const reading = readJson(text, false)
  if (reading.ok) return reading.value
  const reason = reading.flaws[0]?.message ?? 'refused'
  notes.warn('syntax_error', ['metadata'], `metadata is a text that is not JSON, and left out: ${reason}`, {
    hint: 'write it as YAML, without quotes around the whole',
  })
  return undefined
}

/** The variables that the skill says it needs; todos for all else. */
function readRequirements(notes: ImportNotes, openclaw: JsonValue | undefined, at: Place): readonly string[] {
  const requires = member(openclaw, 'requires')
  const below = (key: string): Place => (at.length > 1 ? [...at, 'requires', key] : at)
  for (const [key, word] of [
    ['bins', 'all of them'],
    ['anyBins', 'one of them'],
  ] as const) {
    for (const [index, name] of textsOf(notes, member(requires, key), below(key)).entries()) {
      const why = `the source needs it (${word}) and names no path; which file a name leads to depends on PATH`
      const what = `write the absolute path of ${printable(name, 80)}, and binary_access: listed`
      notes.todo(['allowed_binaries'], what, why, { at: [...below(key), index] })
    }
  }
  const env = new Set<string>()
  const primary = member(openclaw, 'primaryEnv')
  const primaryAt = at.length > 1 ? [...at, 'primaryEnv'] : at
  const stated: (readonly [string, Place])[] = textsOf(notes, member(requires, 'env'), below('env')).map(
    (name, index) => [name, [...below('env'), index]],
  )
  if (typeof primary === 'string') stated.push([primary, primaryAt])
  for (const [name, place] of stated) takeVariable(notes, env, name, place)
  if (listOf(member(openclaw, 'install')).length > 0) {
    const why = 'installing happens before the gateway and outside of it'
    notes.todo([], 'install what the skill needs by hand, and pin it', why, {
      at: at.length > 1 ? [...at, 'install'] : at,
    })
  }
  return [...env]
}

/** A variable that is stated as needed is asked for. What steers a loader or an interpreter is left to the author. */
export function takeVariable(notes: ImportNotes, env: Set<string>, name: string, at: Place): void {
  if (env.has(name)) return
  if (!isEnvName(name)) {
    notes.warn('invalid_value', at, `left out: "${printable(name, 80)}" is not the name of an environment variable`)
  } else if (mustNotBeSet(name)) {
    const why = 'whoever sets it decides what code the programs run'
    notes.todo(['allowed_env'], `leave ${name} out, unless it must be`, why, { at, suggestion: name })
  } else env.add(name)
}

function tellWhatIsMissing(notes: ImportNotes, root: JsonObject): void {
  const tool = member(root, 'command-tool')
  const named = typeof tool === 'string' ? `, among them ${printable(tool, 80)}` : ''
  notes.todo(
    ['tools'],
    `declare the tools of the skill${named}`,
    'a SKILL.md tells the model what to do, not what is called',
    {
      at: typeof tool === 'string' ? ['command-tool'] : [],
    },
  )
  if (Object.hasOwn(root, 'allowed-tools')) {
    const why = 'allowed-tools names tools of the host; which of them this skill may call is for the policy to say'
    notes.todo(['tool_scope'], 'read allowed-tools, and permit what it needs in the policy', why, {
      at: ['allowed-tools'],
    })
  }
  notes.todo(
    ['allowed_hosts'],
    'list the hosts and files the skill needs',
    'SKILL.md has no words for them; until then it reaches nothing',
    { at: [] },
  )
}

function textsOf(notes: ImportNotes, value: JsonValue | undefined, at: Place): readonly string[] {
  if (value === undefined || value === null) return []
  const list = typeof value === 'string' ? [value] : value
  if (isList(list) && list.every((entry) => typeof entry === 'string')) return list as readonly string[]
  notes.warn('wrong_type', at, 'left out: not a list of texts')
  return []
}
