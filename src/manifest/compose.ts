// A skill made of other skills asks for what they ask for together. Says of every wish which part has it, so that whoever
// reviews the whole can ask the author of the part. Trusts manifests alone; grants nothing, as no manifest does.

import { formatPointer } from '../core/pointer.ts'
import type { Problem } from '../core/problem.ts'
import { isName } from '../core/text.ts'
import { moreCareful } from './careful.ts'
import type { Manifest, ToolBinding } from './manifest.ts'
import { LIST_KEYS, type ListKey, listsOf, manifestFromDraft } from './rewrite.ts'

/** Where a part says something. */
export interface Origin {
  readonly skill: string
  readonly file: string
  /** RFC 6901 pointer into the document of the part. */
  readonly pointer: string
  readonly line: number
  readonly column: number
}

export interface ComposeOptions {
  /** Name of the composed skill. */
  readonly skill: string
}

export type Composition =
  | {
      readonly ok: true
      readonly manifest: Manifest
      /** By pointer into the composed manifest, `/tools/0` and `/allowed_hosts/1`: the parts that ask for it. */
      readonly provenance: ReadonlyMap<string, readonly Origin[]>
      readonly warnings: readonly Problem[]
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/**
 * The manifest that asks for everything the parts ask for. Lists are joined. What protects is kept where it can be:
 * `ephemeral` and `on_failure: halt` when one part says so, a limit when all do (the highest), a forbidden system call when
 * all forbid it. Two parts with a tool of the same name are a problem, and so is whatever a manifest may not say: one part
 * that writes what another runs.
 *
 * @throws TypeError without parts, or for a name that is none.
 */
export function composeManifests(parts: readonly Manifest[], { skill }: ComposeOptions): Composition {
  if (parts.length === 0) throw new TypeError('a composed skill has at least one part')
  if (!isName(skill)) throw new TypeError('the composed skill needs a name')
  const clashes = clashingTools(parts)
  if (clashes.length > 0) return { ok: false, problems: clashes }

  const provenance = new Map<string, Origin[]>()
  const lists = Object.fromEntries(LIST_KEYS.map((key) => [key, joined(parts, key, provenance)])) as Record<
    ListKey,
    readonly string[]
  >
  const tools: ToolBinding[] = []
  for (const part of parts) {
    ;[...part.tools.values()].forEach((tool, index) => {
      provenance.set(formatPointer(['tools', tools.length]), [originIn(part, formatPointer(['tools', index]))])
      tools.push(tool)
    })
  }
  const name = `composed(${parts.map((part) => part.skill).join(', ')})`
  const validation = manifestFromDraft(
    {
      skill,
      tools,
      lists,
      executionMode: parts.some((part) => part.executionMode === 'ephemeral') ? 'ephemeral' : 'shared',
      limits: highestLimits(parts),
      onFailure: parts.map((part) => part.onFailure).reduce(moreCareful),
    },
    name,
  )
  if (!validation.ok) return validation
  return { ok: true, manifest: validation.manifest, provenance, warnings: validation.warnings }
}

/** The entries of one list of all parts, each once. */
function joined(parts: readonly Manifest[], key: ListKey, provenance: Map<string, Origin[]>): readonly string[] {
  const found = new Map<string, Origin[]>()
  for (const part of parts) {
    listsOf(part)[key].forEach((text, index) => {
      const origins = found.get(text) ?? []
      origins.push(originIn(part, formatPointer([key, index])))
      found.set(text, origins)
    })
  }
  // A system call that one part does not give up is one that the whole may need.
  const entries = [...found].filter(
    ([text]) => key !== 'forbidden_syscalls' || parts.every((part) => part.forbiddenSyscalls.includes(text)),
  )
  entries.forEach(([, origins], index) => {
    provenance.set(formatPointer([key, index]), origins)
  })
  return entries.map(([text]) => text)
}

function originIn(part: Manifest, pointer: string): Origin {
  const { line, column } = part.locate(pointer)
  return { skill: part.skill, file: part.file, pointer, line, column }
}

/** Of each kind the highest, where every part has one. */
function highestLimits(parts: readonly Manifest[]): Manifest['limits'] {
  const highest = (key: keyof Manifest['limits']): object => {
    const values = parts.map(({ limits }) => limits[key])
    return values.includes(undefined) ? {} : { [key]: Math.max(...values.map((value) => value ?? 0)) }
  }
  return { ...highest('wallMs'), ...highest('memoryBytes'), ...highest('processes') }
}

// Whose code would answer a call is not for a merge to decide, even where both say the same of the tool.
function clashingTools(parts: readonly Manifest[]): readonly Problem[] {
  const owners = new Map<string, Manifest>()
  const problems: Problem[] = []
  for (const part of parts) {
    ;[...part.tools.keys()].forEach((tool, index) => {
      const owner = owners.get(tool)
      if (owner === undefined) {
        owners.set(tool, part)
        return
      }
      const { pointer, ...place } = originIn(part, formatPointer(['tools', index, 'name']))
      problems.push({
        code: 'duplicate_name',
        severity: 'error',
        message: `tool "${tool}" is declared by skill "${owner.skill}" and by skill "${part.skill}"`,
        hint: 'rename one of the two',
        file: place.file,
        line: place.line,
        column: place.column,
        pointer,
      })
    })
  }
  return problems
}
