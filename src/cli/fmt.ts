// `agentport fmt`: one layout for every policy, manifest, graph and trust document.

import { readFileSync } from 'node:fs'

import { trustJsonSchema } from '../attestation/schema.ts'
import { parseDocument, type SourceText } from '../core/document.ts'
import { formatDocument } from '../core/format.ts'
import { formatProblems } from '../core/problem.ts'
import { printable } from '../core/text.ts'
import { graphJsonSchema } from '../halt/schema.ts'
import { manifestJsonSchema } from '../manifest/schema.ts'
import { policyJsonSchema } from '../policy/schema.ts'
import { POLICY_TEST_FILE_KEYS, POLICY_TEST_KEYS } from '../policy/test-case.ts'
import { type Command, type Output, readOptions, UsageError } from './command.ts'
import { type DocumentKind, findDocuments } from './documents.ts'
import { findTestFiles, isTestFile } from './test-files.ts'
import { replaceFile } from './write-file.ts'

const HELP = `Usage: agentport fmt <path>… [--check]
       agentport fmt --stdin [<name>]

Lays out policies, tests, manifests, graphs and trust documents: keys in the order of the published schema, two spaces,
quotes only where they are needed. Comments stay, and so does the order of lists. A file whose meaning would not be exactly
the same afterwards is left as it is. A directory is searched as agentport check does it. TOML is not formatted.

  --check   write nothing; name the files that are laid out otherwise
  --stdin   read one document from standard input and print it; <name> says what it would be called

Exit codes: 0 done, or nothing to do; 1 with --check some files would change, or a document is not well-formed; 2 a file
could not be read, written or laid out.`

type Schema = Readonly<Record<string, unknown>>

const SCHEMAS: Readonly<Record<DocumentKind | 'test', () => Schema>> = {
  policy: withTestKeys,
  manifest: manifestJsonSchema,
  graph: graphJsonSchema,
  trust: trustJsonSchema,
  test: () => POLICY_TEST_FILE_KEYS,
}

/** Its schema leaves the shape of tests to those who run them. */
function withTestKeys(): Schema {
  const schema = policyJsonSchema()
  return { ...schema, properties: { ...(schema['properties'] as Schema), tests: { items: POLICY_TEST_KEYS } } }
}

/** @param readInput the text of standard input */
export function fmtCommand(readInput: () => string): Command {
  return {
    name: 'fmt',
    summary: 'lay out policies, manifests, graphs and trust documents in one way',
    help: HELP,
    run: async (args, output) => {
      const { values, positionals } = readOptions(args, { check: { type: 'boolean' }, stdin: { type: 'boolean' } })
      const check = values['check'] === true
      if (values['stdin'] === true) {
        if (positionals.length > 1) throw new UsageError('--stdin takes one name')
        return formatInput({ file: positionals[0] ?? 'stdin.yaml', text: readInput() }, check, output)
      }
      if (positionals.length === 0) throw new UsageError('name the files or directories to format')
      return formatFiles(positionals, check, output)
    },
  }
}

export const fmt: Command = fmtCommand(() => readFileSync(0, 'utf8'))

interface Target {
  readonly kind: DocumentKind | 'test'
  readonly source: SourceText
}

function formatFiles(paths: readonly string[], check: boolean, output: Output): number {
  const targets = paths.flatMap(targetsAt)
  if (targets.length === 0) throw new UsageError(`nothing in ${paths.join(', ')} is named like a document`)
  const counts = { changed: 0, unchanged: 0, refused: 0 }
  let code = 0
  for (const { kind, source } of targets) {
    const { file, text } = source
    const result = layOut(kind, source)
    if (!result.ok) {
      output.err(result.message)
      counts.refused++
      code = Math.max(code, result.code)
    } else if (result.text === text) counts.unchanged++
    else {
      counts.changed++
      output.out(`${check ? 'would change' : 'changed'} ${file}`)
      if (check) code = Math.max(code, 1)
      else replaceFile(file, result.text)
    }
  }
  const { changed, unchanged, refused } = counts
  output.out(
    `${code === 0 ? '✓' : '✗'} ${changed} ${check ? 'would change' : 'changed'}, ${unchanged} unchanged, ${refused} refused`,
  )
  return code
}

function formatInput(source: SourceText, check: boolean, output: Output): number {
  const kind = isTestFile(source) ? 'test' : kindOf(source)
  const result = layOut(kind, source)
  if (!result.ok) {
    output.err(result.message)
    return result.code
  }
  if (check) {
    if (result.text === source.text) return 0
    output.err(`would change ${printable(source.file)}`)
    return 1
  }
  // The line break at the end is the one that every output gets.
  output.out(result.text.replace(/\n$/, ''))
  return 0
}

/** By its keys: what comes from standard input need not have a name that says it. */
function kindOf(source: SourceText): DocumentKind {
  const parsed = parseDocument(source)
  const value = parsed.ok ? parsed.document.value : undefined
  const has = (key: string): boolean => typeof value === 'object' && value !== null && Object.hasOwn(value, key)
  if (has('rules')) return 'policy'
  if (has('nodes')) return 'graph'
  return has('publishers') || has('pinned') ? 'trust' : 'manifest'
}

/** Of a directory all documents but those in TOML, of which none could be formatted. */
function targetsAt(path: string): readonly Target[] {
  const found = findDocuments([path])
  const tests = findTestFiles(path)
  const files = new Set(tests.map(({ file }) => file))
  const documents = found.filter(({ source }) => !files.has(source.file))
  const isFile = found.length === 1 && found[0]?.source.file === path
  return [
    ...documents.filter(({ source }) => isFile || !source.file.endsWith('.toml')),
    ...tests.map((source) => ({ kind: 'test' as const, source })),
  ]
}

type LaidOut =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly code: number; readonly message: string }

/** A file that another command writes, as this one would leave it; as it is where that cannot be. */
export function laidOut(kind: DocumentKind, source: SourceText): string {
  const result = layOut(kind, source)
  return result.ok ? result.text : source.text
}

function layOut(kind: Target['kind'], source: SourceText): LaidOut {
  const parsed = parseDocument(source)
  if (!parsed.ok) return { ok: false, code: 1, message: formatProblems(parsed.problems) }
  const formatted = formatDocument(parsed.document, SCHEMAS[kind]())
  return formatted.ok ? formatted : { ok: false, code: 2, message: `${source.file}: ${formatted.reason}` }
}
