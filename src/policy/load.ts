// Documents → rules. All problems of all documents are reported at once, each at its file, line and column; a set with one
// error compiles to nothing.

import { canonicalJson } from '../core/canonical.ts'
import { sha256Hex } from '../core/crypto.ts'
import {
  documentFromValue,
  orderProblems,
  parseDocument,
  type SourceDocument,
  type SourceText,
} from '../core/document.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { formatPointer } from '../core/pointer.ts'
import type { Problem } from '../core/problem.ts'
import { shapeProblems } from '../core/shape.ts'
import { substituteVariables } from '../core/variables.ts'
import { DocumentCompiler } from './compile.ts'
import type { EgressTable } from './egress.ts'
import type { Role } from './roles.ts'
import type { Rule } from './rule.ts'
import { checkPolicyShape, policyShape, type RawPolicy } from './schema.ts'
import { checkTyping, type ToolShape, type UnknownTools } from './typing.ts'
import { type DefinedRole, SetVocabulary } from './vocabulary.ts'

/** A policy document: its text with the file it came from, or a plain object with the same snake_case keys. */
export type PolicySource = SourceText | { readonly name: string; readonly value: unknown }

/** A policy set that holds together. */
export interface PolicySet {
  /** permit, forbid and require_approval. */
  readonly rules: readonly Rule[]
  /** Limits and obligations. */
  readonly constraints: readonly Rule[]
  readonly egress: readonly EgressTable[]
  readonly roles: ReadonlyMap<string, Role>
  /** Roles that labels can give. */
  readonly labelRoles: readonly Role[]
  readonly files: readonly string[]
  /** `sha256:` and hex; the same documents in another order give the same digest. */
  readonly digest: string
}

export type PolicyLoad =
  | { readonly ok: true; readonly set: PolicySet; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

interface Loaded {
  readonly document: SourceDocument
  readonly policy: RawPolicy
}

export interface LoadOptions {
  readonly variables: Readonly<Record<string, string>>
  /** Tools that rules are typed against. */
  readonly tools: readonly ToolShape[] | undefined
  readonly unknownTools: UnknownTools
  /** Names of condition ports. */
  readonly engines: ReadonlySet<string> | undefined
}

export function loadPolicySet(sources: readonly PolicySource[], options: LoadOptions): PolicyLoad {
  const { variables, tools, engines, unknownTools } = options
  const results = sources.map((source) => loadDocument(source, variables))
  const loaded = results.flatMap((result) => (result.ok ? [result.loaded] : []))
  const vocabulary = new SetVocabulary(engines)
  const compilers = loaded.map(({ document, policy }) => new DocumentCompiler(document, policy, vocabulary))
  for (const compiler of compilers) compiler.collectNames()
  const statements = compilers.map((compiler) => compiler.compileStatements())
  const egress = compilers.flatMap((compiler) => compiler.compileEgress())
  const typing =
    tools === undefined
      ? []
      : loaded.flatMap(({ document, policy }, index) =>
          checkTyping(document, policy, statements[index] ?? [], tools, unknownTools),
        )
  const problems = [
    ...results.flatMap((result) => (result.ok ? [] : result.problems)),
    ...compilers.flatMap((compiler) => compiler.problems),
    ...typing.filter(({ severity }) => severity === 'error'),
  ]
  if (problems.length > 0) return { ok: false, problems: inFileOrder(problems, sources) }
  const roles = [...vocabulary.roles.values()].map(
    ({ name, asserted, nodes, labels }): Role => ({ name, asserted, nodes, labels }),
  )
  const all = statements.flat()
  const set: PolicySet = {
    rules: all.filter(({ effect }) => effect !== 'limit' && effect !== 'oblige'),
    constraints: all.filter(({ effect }) => effect === 'limit' || effect === 'oblige'),
    egress,
    roles: new Map(roles.map((role) => [role.name, role])),
    labelRoles: roles.filter(({ labels }) => labels !== undefined),
    files: loaded.map(({ document }) => document.file),
    digest: digestOf(loaded),
  }
  // Only now: in a set with errors a role may be unused because the rule that uses it could not be read.
  const unused = [...vocabulary.roles.values()].filter(({ name }) => !vocabulary.usedRoles.has(name))
  const warnings = [...unused.map(unusedRole), ...typing]
  return { ok: true, set, warnings: inFileOrder(warnings, sources) }
}

function unusedRole({ name, document }: DefinedRole): Problem {
  const options = { on: 'key', severity: 'warning' } as const
  return document.problem('unused_definition', formatPointer(['roles', name]), `no rule uses role "${name}"`, options)
}

/** Problems of one file after the other, each from top to bottom: they were found by kind. */
function inFileOrder(problems: readonly Problem[], sources: readonly PolicySource[]): readonly Problem[] {
  const files = new Set(sources.map((source) => ('text' in source ? source.file : source.name)))
  return [...files].flatMap((file) => orderProblems(problems.filter((problem) => problem.file === file)))
}

interface DocumentValue {
  readonly rules: readonly JsonValue[]
  readonly roles?: JsonObject
  readonly regions?: JsonObject
  readonly egress?: readonly JsonValue[]
  readonly limits?: readonly JsonValue[]
  readonly obligations?: readonly JsonValue[]
}

/**
 * Covers every statement, role and region and nothing else: the same statements in another order, or spread over other files, decide
 * the same and have the same digest. Names, descriptions and tests of documents decide
 * nothing.
 */
function digestOf(loaded: readonly Loaded[]): string {
  const statements: string[] = []
  for (const { document } of loaded) {
    const { rules, roles, regions, egress, limits, obligations } = document.value as unknown as DocumentValue
    for (const rule of rules) statements.push(canonicalJson({ rule }))
    for (const limit of limits ?? []) statements.push(canonicalJson({ limit }))
    for (const obligation of obligations ?? []) statements.push(canonicalJson({ obligation }))
    for (const table of egress ?? []) statements.push(canonicalJson({ egress: table }))
    for (const [name, role] of Object.entries(roles ?? {})) statements.push(canonicalJson({ name, role }))
    for (const [name, region] of Object.entries(regions ?? {})) statements.push(canonicalJson({ name, region }))
  }
  // Canonical JSON has no raw line break, so joined statements cannot run into each other.
  return `sha256:${sha256Hex(statements.sort().join('\n'))}`
}

type DocumentLoad =
  | { readonly ok: true; readonly loaded: Loaded }
  | { readonly ok: false; readonly problems: readonly Problem[] }

function loadDocument(source: PolicySource, variables: Readonly<Record<string, string>>): DocumentLoad {
  const parsed = 'text' in source ? parseDocument(source) : documentFromValue(source.value, source.name)
  if (!parsed.ok) return parsed
  const substituted = substituteVariables(parsed.document, variables)
  if (!substituted.ok) return substituted
  const { document } = substituted
  const shape = checkPolicyShape(document.value)
  if (!shape.success) return { ok: false, problems: shapeProblems(document, shape.error.issues, policyShape) }
  return { ok: true, loaded: { document, policy: shape.data } }
}
