// The result of an MCP `tools/list` → a manifest. The server is untrusted: names and schemas are taken over because they
// only bound what can be called; its annotations and descriptions decide nothing.

import { documentFromValue, type ParsedDocument, parseDocument, type SourceText } from '../../core/document.ts'
import type { JsonValue } from '../../core/json.ts'
import { isName } from '../../core/text.ts'
import { type Imported, ImportNotes, isList, member, type Place } from './imported.ts'
import { ToolList } from './tool-list.ts'

export interface McpToolsOptions {
  /** The name of the skill; a list of tools has none. */
  readonly skill: string
}

/** A text of JSON, or what it stands for. */
export type McpToolsSource = SourceText | { readonly name: string; readonly value: unknown }

/**
 * Imports a list of MCP tools (modelcontextprotocol.io, 2025-06-18, "Tools"): `{ tools }`, the whole JSON-RPC response
 * `{ result: { tools } }`, or the list alone.
 *
 * @throws TypeError when `options.skill` is not a name, or `source` is of neither form.
 */
export function importMcpTools(source: McpToolsSource, options: McpToolsOptions): Imported {
  if (!isName(options.skill)) throw new TypeError('options.skill is not a name')
  const parsed = parse(source)
  if (!parsed.ok) return parsed
  const { document } = parsed
  const notes = new ImportNotes(document)
  const found = findTools(document.value)
  if (found === undefined) {
    notes.refuse('wrong_type', [], 'not a list of tools', { hint: 'give the result of tools/list: { "tools": [ … ] }' })
    return notes.finish({})
  }
  const list = new ToolList(notes)
  list.addAll(found.tools, found.at)
  const cursor = member(found.result, 'nextCursor')
  if (cursor !== undefined && cursor !== null) {
    notes.warn('invalid_value', [...found.at.slice(0, -1), 'nextCursor'], 'the list goes on: this is its first page', {
      hint: 'ask the server for the other pages, and join their tools',
    })
  }
  notes.todo(
    ['allowed_hosts'],
    'list the hosts, files and programs the tools need',
    'MCP has no words for them; until then the tools reach nothing',
    { at: found.at },
  )
  return notes.finish({ skill: options.skill, tools: list.tools, file_access: 'none', binary_access: 'none' })
}

function parse(source: McpToolsSource): ParsedDocument {
  if (typeof source !== 'object' || source === null)
    throw new TypeError('a list of tools is given as { file, text } or { name, value }')
  if (!('value' in source)) return parseDocument({ ...source, format: 'json' })
  if (typeof source.name !== 'string') throw new TypeError('a list of tools given as a value needs a name')
  return documentFromValue(source.value, source.name)
}

/** Whether a value looks like what {@link importMcpTools} reads. */
export function isToolList(value: JsonValue): boolean {
  return findTools(value) !== undefined
}

function findTools(
  value: JsonValue,
): { readonly tools: readonly JsonValue[]; readonly at: Place; readonly result: JsonValue } | undefined {
  if (isList(value)) return { tools: value, at: [], result: null }
  const tools = member(value, 'tools')
  if (isList(tools)) return { tools, at: ['tools'], result: value }
  const result = member(value, 'result')
  const inner = member(result, 'tools')
  return result !== undefined && isList(inner) ? { tools: inner, at: ['result', 'tools'], result } : undefined
}
