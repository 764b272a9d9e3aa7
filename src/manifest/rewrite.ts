// A manifest back to a document, so that one made of others goes through the same door as one that was written: whatever
// a written manifest is refused for, a made one is refused for too, and nothing is prepared for calls in any other way.

import type { JsonObject, JsonValue } from '../core/json.ts'
import { addMember } from '../core/member.ts'
import type { ProcessLimits } from '../core/process-limits.ts'
import type { Manifest, ResourceMapping, ToolBinding } from './manifest.ts'
import { type ManifestValidation, ManifestValidator } from './validator.ts'

/** A manifest as it is written, in the snake_case of files. Absent lists are left out. */
export interface ManifestDraft {
  readonly skill: string
  readonly version?: string
  readonly publisher?: string
  readonly description?: string
  readonly tools: readonly ToolBinding[]
  readonly lists: Readonly<Record<ListKey, readonly string[]>>
  readonly executionMode: Manifest['executionMode']
  readonly limits: ProcessLimits
  readonly onFailure: Manifest['onFailure']
}

/** The lists of a manifest whose entries are texts, by their keys in a file. */
export const LIST_KEYS = [
  'allowed_hosts',
  'readable_paths',
  'writable_paths',
  'allowed_binaries',
  'executable_paths',
  'allowed_libraries',
  'allowed_env',
  'process_rights',
  'forbidden_syscalls',
] as const
export type ListKey = (typeof LIST_KEYS)[number]

/** The texts of every list, in the order of the document. */
export function listsOf(manifest: Manifest): Readonly<Record<ListKey, readonly string[]>> {
  const texts = (patterns: readonly { readonly text: string }[]): readonly string[] => patterns.map(({ text }) => text)
  return {
    allowed_hosts: texts(manifest.allowedHosts),
    readable_paths: texts(manifest.readablePaths),
    writable_paths: texts(manifest.writablePaths),
    allowed_binaries: manifest.allowedBinaries,
    executable_paths: texts(manifest.executablePaths),
    allowed_libraries: texts(manifest.allowedLibraries),
    allowed_env: manifest.allowedEnv,
    process_rights: manifest.processRights,
    forbidden_syscalls: manifest.forbiddenSyscalls,
  }
}

/** The manifest that a draft stands for. `name` is what its problems call its file. */
export function manifestFromDraft(draft: ManifestDraft, name: string): ManifestValidation {
  return new ManifestValidator().validate({ name, value: documentOf(draft) }, { skill: draft.skill })
}

function documentOf({ skill, tools, lists, executionMode, limits, onFailure, ...said }: ManifestDraft): JsonObject {
  const { version, publisher, description } = said
  const scoped = tools.filter(({ inScope }) => inScope)
  const document = {
    skill,
    ...given('version', version),
    ...given('publisher', publisher),
    ...given('description', description),
    ...(tools.length === 0 ? {} : { tools: tools.map(toolOf) }),
    ...(scoped.length === tools.length ? {} : { tool_scope: scoped.map((tool) => tool.name) }),
    ...Object.fromEntries(LIST_KEYS.flatMap((key) => (lists[key].length === 0 ? [] : [[key, [...lists[key]]]]))),
    ...(executionMode === 'ephemeral' ? { execution_mode: executionMode } : {}),
    ...(Object.keys(limits).length === 0 ? {} : { limits: limitsOf(limits) }),
    ...given('on_failure', onFailure),
  }
  return withoutReferences(document) as JsonObject
}

/** One tool in the words of a file; of two tools with the same text the calls are read in the same way. */
export function toolOf({ name, description, effect, inputSchema, resources, oauthScopes }: ToolBinding): JsonObject {
  return {
    name,
    ...given('description', description),
    effect,
    ...given('input_schema', inputSchema),
    ...(resources.length === 0 ? {} : { resources: resources.map(mappingOf) }),
    ...(oauthScopes.length === 0 ? {} : { oauth_scopes: [...oauthScopes] }),
  }
}

function mappingOf({ from, kind, access, base, search, method, methodFrom, optional }: ResourceMapping): JsonObject {
  return {
    from,
    kind,
    ...given('access', access),
    ...given('base', base),
    ...given('search', search),
    ...given('method', method),
    ...given('method_from', methodFrom),
    ...(optional ? { optional } : {}),
  }
}

function limitsOf({ wallMs, memoryBytes, processes }: ProcessLimits): JsonObject {
  return {
    ...given('wall_ms', wallMs),
    // Manifests count in units of 2^20 bytes, so this is whole.
    ...given('memory_mb', memoryBytes === undefined ? undefined : memoryBytes / (1024 * 1024)),
    ...given('processes', processes),
  }
}

function given<K extends string>(key: K, value: JsonValue | undefined): JsonObject {
  return value === undefined ? {} : { [key]: value }
}

// The variables of the parts are filled in already: what looks like a reference now is text.
function withoutReferences(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.replaceAll('${', () => '$${')
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map(withoutReferences)
  const copy: Record<string, JsonValue> = {}
  for (const [key, member] of Object.entries(value)) addMember(copy, key, withoutReferences(member))
  return copy
}
