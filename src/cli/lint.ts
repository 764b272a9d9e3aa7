// `agentport lint`: what manifests and policies that load may still say by mistake.

import { parseDocument } from '../core/document.ts'
import type { JsonValue } from '../core/json.ts'
import { itemsOf, type LintFinding, memberOf } from '../core/lint.ts'
import { formatProblems, type Problem } from '../core/problem.ts'
import { printable } from '../core/text.ts'
import { lintManifest } from '../manifest/lint.ts'
import { lintPolicy } from '../policy/lint.ts'
import { type Command, type Output, readOptions, UsageError } from './command.ts'
import { findDocuments } from './documents.ts'

const HELP = `Usage: agentport lint <path>… [options]

Says what manifests and policies grant more widely than most authors mean, and what a reviewer would miss. Whether they load is
for agentport check. A directory is searched as check does. Every finding has an id; docs/import.md lists them.

  --fail-on level    warning (default), info, or never: which findings make the exit code 1
  --json             one JSON object: { ok, documents, findings, problems }

Exit codes: 0 no such findings, 1 findings or unreadable documents, 2 nothing to lint.`

const LEVELS = ['warning', 'info', 'never'] as const

export const lint: Command = {
  name: 'lint',
  summary: 'find what manifests and policies grant more widely than they should',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, { 'fail-on': { type: 'string' }, json: { type: 'boolean' } })
    if (positionals.length === 0) throw new UsageError('name the files or directories to lint')
    const given = values['fail-on'] ?? 'warning'
    const level = LEVELS.find((known) => known === given)
    if (level === undefined) throw new UsageError(`--fail-on is one of ${LEVELS.join(', ')}`)
    const linted = lintPaths(positionals)
    const counts = (finding: LintFinding): boolean =>
      level === 'info' || (level === 'warning' && finding.severity === 'warning')
    const ok = linted.problems.length === 0 && !linted.findings.some(counts)
    if (values['json'] === true) output.out(JSON.stringify({ ok, ...linted }, undefined, 2))
    else report(linted, ok, output)
    return ok ? 0 : 1
  },
}

interface Linted {
  readonly documents: readonly { readonly kind: 'manifest' | 'policy'; readonly file: string }[]
  readonly findings: readonly LintFinding[]
  /** Documents that cannot be read. */
  readonly problems: readonly Problem[]
}

function lintPaths(paths: readonly string[]): Linted {
  const found = findDocuments(paths).flatMap(({ kind, source }) =>
    kind === 'policy' || kind === 'manifest' ? [{ kind, source, parsed: parseDocument(source) }] : [],
  )
  if (found.length === 0) throw new UsageError(`there is no policy and no manifest in ${paths.join(', ')}`)
  const unsafeTools = found.flatMap(({ kind, parsed }) =>
    kind === 'manifest' && parsed.ok ? toolsUnsafeToRepeat(parsed.document.value) : [],
  )
  const findings: LintFinding[] = []
  const problems: Problem[] = []
  for (const { kind, parsed } of found) {
    if (!parsed.ok) problems.push(...parsed.problems)
    else if (kind === 'manifest') findings.push(...lintManifest(parsed.document))
    else findings.push(...lintPolicy(parsed.document, { unsafeTools }))
  }
  return { documents: found.map(({ kind, source }) => ({ kind, file: source.file })), findings, problems }
}

/** An effect that is not stated is unsafe. */
function toolsUnsafeToRepeat(manifest: JsonValue): readonly string[] {
  return itemsOf(memberOf(manifest, 'tools')).flatMap((tool) => {
    const name = memberOf(tool, 'name')
    return typeof name === 'string' && (memberOf(tool, 'effect') ?? 'unsafe') === 'unsafe' ? [name] : []
  })
}

function report({ documents, findings, problems }: Linted, ok: boolean, output: Output): void {
  if (problems.length > 0) output.err(`${formatProblems(problems)}\n`)
  for (const { file, line, column, severity, rule, message, hint } of findings) {
    output.err(`${printable(file)}:${line}:${column}: ${severity} ${rule}: ${message}\n  fix: ${hint}`)
  }
  const warnings = findings.filter(({ severity }) => severity === 'warning').length
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`
  output.out(
    `${ok ? '✓' : '✗'} ${count(documents.length, 'document')}: ${count(warnings, 'warning')}, ${findings.length - warnings} info`,
  )
}
