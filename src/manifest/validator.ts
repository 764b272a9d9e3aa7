// Text → manifest. Decides whether a tool binding manifest holds together, and says everything that is wrong with it at
// once, each with its place. The shape (zod) and the meaning are checked side by side on the same document: a wrong type in
// one section does not hide a bad host pattern in the next. Trusts nothing in the document.

import { canonicalJson } from '../core/canonical.ts'
import { sha256Hex } from '../core/crypto.ts'
import {
  documentFromValue,
  type ParsedDocument,
  parseDocument,
  type SourceDocument,
  type SourceText,
} from '../core/document.ts'
import { type Glob, parseGlob } from '../core/glob.ts'
import { type HostPattern, parseHostPattern } from '../core/host-pattern.ts'
import { InputSchemaCompiler } from '../core/json-schema/input-schema.ts'
import { parsePath } from '../core/path.ts'
import { parsePathPattern } from '../core/path-pattern.ts'
import { DocumentError, type Problem } from '../core/problem.ts'
import { type RawProcessLimits, readProcessLimits } from '../core/process-limits.ts'
import type { ProcessRight } from '../core/process-right.ts'
import { shapeProblems } from '../core/shape.ts'
import { isSyscallName, SYSCALL_NAME_HINT } from '../core/syscall-name.ts'
import { isEnvName, isName } from '../core/text.ts'
import { substituteVariables } from '../core/variables.ts'
import { prepareManifest } from './bind.ts'
import type { ExecutionMode, Manifest, OnFailure } from './manifest.ts'
import { manifestShape, manifestShapeIssues } from './schema.ts'
import { type Placed, ProblemLog, type Reading, Section } from './section.ts'
import { readTools } from './tools.ts'
import { checkWriteOrExecute } from './write-or-execute.ts'

/** A manifest: its text with the file it came from, or a plain object with the same snake_case keys. */
export type ManifestSource = SourceText | { readonly name: string; readonly value: unknown }

export interface ManifestValidatorOptions {
  /** What `${name}` in a string of the manifest stands for. */
  readonly variables?: Readonly<Record<string, string>>
}

export interface ValidateOptions {
  /** The name the skill is known by. Required where the document has no `skill`; must equal it where it has one. */
  readonly skill?: string
}

export type ManifestValidation =
  | { readonly ok: true; readonly manifest: Manifest; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Reads manifests. Keeps compiled input schemas, so that the same schema in many manifests is compiled once. */
export class ManifestValidator {
  readonly #variables: Readonly<Record<string, string>>
  readonly #schemas = new InputSchemaCompiler()

  constructor(options: ManifestValidatorOptions = {}) {
    this.#variables = options.variables ?? {}
  }

  /**
   * Reads one manifest; a bad one comes back as problems. Never throws on what the document says.
   *
   * @throws TypeError when `source` is neither a {@link SourceText} nor `{ name, value }`.
   */
  validate(source: ManifestSource, options: ValidateOptions = {}): ManifestValidation {
    const parsed = this.#parse(source)
    if (!parsed.ok) return parsed
    return readManifest(parsed.document, options.skill, this.#schemas)
  }

  /**
   * {@link validate} for those who cannot go on without a manifest.
   *
   * @throws DocumentError ERR_MANIFEST_INVALID with all problems.
   */
  load(source: ManifestSource, options: ValidateOptions = {}): Manifest {
    const validation = this.validate(source, options)
    if (!validation.ok) throw new DocumentError('ERR_MANIFEST_INVALID', validation.problems)
    return validation.manifest
  }

  #parse(source: ManifestSource): ParsedDocument {
    if (typeof source !== 'object' || source === null)
      throw new TypeError('a manifest source is { file, text } or { name, value }')
    let parsed: ParsedDocument
    if ('value' in source) {
      const { name, value } = source
      if (typeof name !== 'string') throw new TypeError('a manifest given as a value needs a name')
      parsed = documentFromValue(value, name)
    } else {
      parsed = parseDocument(source)
    }
    return parsed.ok ? substituteVariables(parsed.document, this.#variables) : parsed
  }
}

function readManifest(
  document: SourceDocument,
  given: string | undefined,
  schemas: InputSchemaCompiler,
): ManifestValidation {
  const log = new ProblemLog(document, shapeProblems(document, manifestShapeIssues(document.value), manifestShape))
  const root = new Section(log, [], document.value)
  const skill = readSkill(root, given)
  const scope = root.readAll('tool_scope', readNameGlob)
  const inScope = root.has('tool_scope') ? (name: string) => scope.some((glob) => glob.matches(name)) : () => true
  const { tools, prepared } = readTools(root, inScope, schemas)
  const placed = {
    writable_paths: root.readPlaced('writable_paths', parsePathPattern),
    executable_paths: root.readPlaced('executable_paths', parsePathPattern),
    allowed_libraries: root.readPlaced('allowed_libraries', parsePathPattern),
    allowed_binaries: root.readPlaced('allowed_binaries', readBinary),
  }
  const lists = {
    allowedHosts: Object.freeze(root.readAll<HostPattern>('allowed_hosts', parseHostPattern)),
    readablePaths: Object.freeze(root.readAll('readable_paths', parsePathPattern)),
    writablePaths: valuesOf(placed.writable_paths),
    allowedBinaries: valuesOf(placed.allowed_binaries),
    executablePaths: valuesOf(placed.executable_paths),
    allowedLibraries: valuesOf(placed.allowed_libraries),
    allowedEnv: Object.freeze(root.readAll('allowed_env', readEnvName)),
    forbiddenSyscalls: Object.freeze(root.readAll('forbidden_syscalls', readSyscallName)),
  }
  checkAccess(root)
  checkWriteOrExecute(root, placed)

  if (skill === undefined || log.refused) return { ok: false, problems: log.ordered() }
  const onFailure = root.text('on_failure')
  const manifest: Manifest = Object.freeze({
    skill,
    ...root.texts('version', 'publisher', 'description'),
    tools,
    ...lists,
    // The shape allows nothing else in these.
    processRights: Object.freeze([...((root.get('process_rights') ?? []) as readonly ProcessRight[])]),
    limits: readProcessLimits((root.object('limits') ?? {}) as RawProcessLimits),
    executionMode: (root.text('execution_mode') ?? 'shared') as ExecutionMode,
    ...(onFailure === undefined ? {} : { onFailure: onFailure as OnFailure }),
    ...(root.has('tool_scope') ? { toolScope: Object.freeze(scope.map((glob) => glob.text)) } : {}),
    digest: `sha256:${sha256Hex(canonicalJson(document.value))}`,
    file: document.file,
    locate: (pointer: string) => document.locate(pointer),
  })
  prepareManifest(manifest, prepared)
  return { ok: true, manifest, warnings: log.ordered() }
}

function readSkill(root: Section, given: string | undefined): string | undefined {
  const written = root.text('skill')
  if (written !== undefined && !isName(written)) {
    root.report('invalid_value', ['skill'], 'not a name', {
      hint: 'a name is ASCII letters and digits, and inside also _ . : -',
    })
  }
  if (given !== undefined && !isName(given)) {
    root.report('invalid_value', [], 'the name this skill is known by is not a name', { hint: 'rename its directory' })
    return undefined
  }
  if (written !== undefined && given !== undefined && written !== given) {
    // A manifest that calls itself something else would be judged by the rules for one skill and run as another.
    root.report('contradiction', ['skill'], 'not the name this skill is known by', { hint: `write skill: ${given}` })
  }
  if (written === undefined && given === undefined && root.isObject && !root.has('skill')) {
    root.report('missing_key', [], 'the manifest does not say which skill it is for', { hint: 'add skill: name' })
  }
  return written ?? given
}

function readNameGlob(text: string): Reading<Glob> {
  const parsed = parseGlob(text, 'name')
  return parsed.ok ? { ok: true, pattern: parsed.glob } : parsed
}

function valuesOf<T>(placed: readonly Placed<T>[]): readonly T[] {
  return Object.freeze(placed.map(({ value }) => value))
}

function readBinary(text: string): Reading<string> {
  const parsed = parsePath(text)
  if (!parsed.ok) return { ...parsed, hint: 'write the absolute path of one program' }
  // A pattern in this list would read as a grant and match nothing.
  if (/[*?[\]{}]/.test(text))
    return { ok: false, reason: 'a wildcard in the path of a program', hint: 'list each program' }
  return { ok: true, pattern: parsed.path }
}

function readEnvName(text: string): Reading<string> {
  return isEnvName(text)
    ? { ok: true, pattern: text }
    : { ok: false, reason: 'not the name of an environment variable' }
}

function readSyscallName(text: string): Reading<string> {
  if (isSyscallName(text)) return { ok: true, pattern: text }
  return { ok: false, reason: 'not the name of a system call', hint: SYSCALL_NAME_HINT }
}

// file_access and binary_access say in one word what the lists say in full. Where the two differ, one of them is a mistake
// that nobody should have to find out by reading the lists.
function checkAccess(root: Section): void {
  const files = root.text('file_access')
  if (files === 'none') root.contradicts(['readable_paths', 'writable_paths'], 'file_access is none')
  if (files === 'read_only') root.contradicts(['writable_paths'], 'file_access is read_only')
  if (root.text('binary_access') === 'none')
    root.contradicts(['allowed_binaries', 'executable_paths'], 'binary_access is none')
}
