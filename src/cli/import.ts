// `agentport import`: a SKILL.md, an openclaw.plugin.json or a list of MCP tools → a manifest, and what it still lacks.

import { basename } from 'node:path'

import { parseDocument, type SourceText } from '../core/document.ts'
import { formatProblems } from '../core/problem.ts'
import { isName, printable } from '../core/text.ts'
import { yamlText } from '../linux/learn/yaml-text.ts'
import type { Imported, ImportTodo } from '../manifest/import/imported.ts'
import { importMcpTools, isToolList } from '../manifest/import/mcp-tools.ts'
import { importOpenClawPlugin } from '../manifest/import/openclaw-plugin.ts'
import { importSkillMarkdown } from '../manifest/import/skill-markdown.ts'
import { readSource } from '../node/source.ts'
import { type Command, type Output, readOptions, UsageError } from './command.ts'
import { laidOut } from './fmt.ts'

const HELP = `Usage: agentport import <file> [options]

Prints the manifest that a SKILL.md, an openclaw.plugin.json or the result of an MCP tools/list stands for, and what an author
still has to declare. It asks for what the file states and for nothing else; a policy then grants it or not.

  --format name      skill, plugin or mcp (default: by name and content)
  --skill name       the name of the skill; needed for mcp
  --json             one JSON object: { ok, manifest, todo, warnings } or { ok, problems }

Exit codes: 0 imported, 1 the file cannot be imported, 2 could not run.`

const FORMATS = ['skill', 'plugin', 'mcp'] as const
type Format = (typeof FORMATS)[number]

// The word import cannot name it.
export const importer: Command = {
  name: 'import',
  summary: 'turn a SKILL.md, an openclaw.plugin.json or a list of MCP tools into a manifest',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, {
      format: { type: 'string' },
      skill: { type: 'string' },
      json: { type: 'boolean' },
    })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new UsageError('name one file to import')
    const format = readFormat(values['format'])
    const skill = readSkill(values['skill'])
    const imported = importSource(readSource(file), format, skill)
    if (values['json'] === true) output.out(JSON.stringify(imported, undefined, 2))
    else if (imported.ok) {
      output.out(laidOut('manifest', { file: 'manifest.yaml', text: yamlText(imported.manifest) }).trimEnd())
      reportNotes(imported, output)
    } else output.err(formatProblems(imported.problems))
    return imported.ok ? 0 : 1
  },
}

export function readSkill(value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (!isName(value)) throw new UsageError('--skill is a name: ASCII letters and digits, and inside also _ . : -')
  return value
}

function readFormat(value: unknown): Format | undefined {
  const format = FORMATS.find((known) => known === value)
  if (value !== undefined && format === undefined) throw new UsageError(`--format is one of ${FORMATS.join(', ')}`)
  return format
}

/**
 * Imports `source` by the importer of `format`, or of what it looks like. `skill` goes before the name in the source,
 * `otherwise` is for a source that has none.
 */
export function importSource(
  source: SourceText,
  format: Format | undefined,
  skill: string | undefined,
  otherwise?: string,
): Imported {
  const detected = format ?? formatByName(source) ?? formatByContent(source)
  if (typeof detected === 'object') return detected
  const options = skill === undefined ? {} : { skill }
  switch (detected) {
    case 'skill':
      return importSkillMarkdown(source, options)
    case 'plugin':
      return importOpenClawPlugin(source, options)
    case 'mcp': {
      const name = skill ?? otherwise
      if (name === undefined) throw new UsageError('--skill is needed: a list of MCP tools has no name')
      return importMcpTools(source, { skill: name })
    }
  }
}

function formatByName({ file }: SourceText): Format | undefined {
  if (/\.md$/i.test(file)) return 'skill'
  return basename(file) === 'openclaw.plugin.json' ? 'plugin' : undefined
}

function formatByContent(source: SourceText): Format | Imported {
  const parsed = parseDocument({ ...source, format: 'json' })
  if (!parsed.ok) return parsed
  const { value } = parsed.document
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (isObject && Object.hasOwn(value, 'configSchema')) return 'plugin'
  if (isToolList(value)) return 'mcp'
  throw new UsageError(`${printable(source.file)} is none of the known files; say --format ${FORMATS.join('|')}`)
}

/** What is still to be done, and what was left out, on standard error. */
export function reportNotes(imported: Imported & { readonly ok: true }, output: Output): void {
  if (imported.warnings.length > 0) output.err(`${formatProblems(imported.warnings)}\n`)
  for (const todo of imported.todo) {
    output.err(`${printable(todo.file)}:${todo.line}:${todo.column}: todo ${describeTodo(todo)}\n  why: ${todo.why}`)
  }
}

/** One line: where in the manifest, what, and the value that may be right. */
export function describeTodo({ pointer, what, suggestion }: ImportTodo): string {
  const may = suggestion === undefined ? '' : `; perhaps ${printable(JSON.stringify(suggestion))}`
  return `${pointer === '' ? '(the skill)' : printable(pointer)}: ${what}${may}`
}
