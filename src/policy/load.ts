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
import { type DefinedRole, DocumentCompiler, SetVocabulary } from './compile.ts'
import type { Role } from './roles.ts'
import type { Rule } from './rule.ts'
import { checkPolicyShape, policyShape, type RawPolicy } from './schema.ts'

/** A policy document: its text with the file it came from, or a plain object with the same snake_case keys. */
export type PolicySource = SourceText | { readonly name: string; readonly value: unknown }

/** A policy set that holds together. */
export interface PolicySet {
  readonly rules: readonly Rule[]
  readonly roles: ReadonlyMap<string, Role>
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

export function loadPolicySet(
  sources: readonly PolicySource[],
  variables: Readonly<Record<string, string>>,
): PolicyLoad {
  const results = sources.map((source) => loadDocument(source, variables))
  const loaded = results.flatMap((result) => (result.ok ? [result.loaded] : []))
  const vocabulary = new SetVocabulary()
  const compilers = loaded.map(({ document, policy }) => new DocumentCompiler(document, policy, vocabulary))
  for (const compiler of compilers) compiler.collectRoles()
  const rules = compilers.flatMap((compiler) => compiler.compileRules())
  const problems = [
    ...results.flatMap((result) => (result.ok ? [] : result.problems)),
    ...compilers.flatMap((compiler) => compiler.problems),
  ]
  if (problems.length > 0) return { ok: false, problems: inFileOrder(problems, sources) }
  const roles = [...vocabulary.roles.values()]
  const set: PolicySet = {
    rules,
    // Without their documents: a set lives as long as the gateway and must not keep every source text alive.
    roles: new Map(roles.map(({ name, asserted, nodes }) => [name, { name, asserted, nodes }])),
    files: loaded.map(({ document }) => document.file),
    digest: digestOf(loaded),
  }
  // Only now: in a set with errors a role may be unused because the rule that uses it could not be read.
  const unused = roles.filter(({ name }) => !vocabulary.usedRoles.has(name))
  return { ok: true, set, warnings: unused.map(unusedRole) }
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

/**
 * Covers every rule and role and nothing else: the same statements in another order, or spread over other files, decide
 * the same and have the same digest. Names and descriptions of documents decide nothing.
 */
function digestOf(loaded: readonly Loaded[]): string {
  const statements: string[] = []
  for (const { document } of loaded) {
    const { rules, roles } = document.value as { readonly rules: readonly JsonValue[]; readonly roles?: JsonObject }
    for (const rule of rules) statements.push(canonicalJson({ rule }))
    for (const [name, role] of Object.entries(roles ?? {})) statements.push(canonicalJson({ name, role }))
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
