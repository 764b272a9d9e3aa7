// What a manifest that loads may still say by mistake: more than its tools need, or less than a reviewer must know.
// Reads the document and not the compiled manifest, so that every finding has its line; decides nothing.

import {
  BREADTH_LINTS,
  type BreadthLint,
  envBreadth,
  hostBreadth,
  pathBreadth,
  programBreadth,
  rightBreadth,
} from '../core/breadth.ts'
import type { SourceDocument } from '../core/document.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { InputSchemaCompiler } from '../core/json-schema/input-schema.ts'
import { LIMITS } from '../core/limits.ts'
import {
  isJsonObject,
  itemsOf,
  type LintFinding,
  LintLog,
  type LintRemark,
  type LintRule,
  memberOf,
  textsOf,
} from '../core/lint.ts'
import { hasUnprintable, printable } from '../core/text.ts'
import { likelyResources } from './import/suggest-mappings.ts'

/** Every id {@link lintManifest} can report. `docs/import.md` lists the same set. */
export const MANIFEST_LINTS = {
  ...BREADTH_LINTS,
  file_access_missing: {
    severity: 'info',
    meaning: 'No file_access, the one word that the path lists are checked against.',
  },
  binary_access_missing: {
    severity: 'info',
    meaning: 'No binary_access, the one word that the program lists are checked against.',
  },
  limits_missing: {
    severity: 'info',
    meaning: 'Programs, and no wall_ms or memory_mb that ends one which does not end.',
  },
  effect_missing: { severity: 'info', meaning: 'A tool without effect counts as unsafe and is never repeated.' },
  schema_missing: { severity: 'info', meaning: 'A tool without input_schema takes no arguments.' },
  open_schema: { severity: 'warning', meaning: 'An object in an input schema that takes properties nobody declared.' },
  unmapped_resource: { severity: 'warning', meaning: 'An argument that looks like a resource, without a mapping.' },
  unguarded_resource: { severity: 'warning', meaning: 'kind: text on an argument that looks like a resource.' },
  hidden_characters: {
    severity: 'warning',
    meaning: 'A description with characters that nobody sees and a model reads.',
  },
} as const satisfies Readonly<Record<string, LintRule>>

export type ManifestLint = keyof typeof MANIFEST_LINTS
export type ManifestFinding = LintFinding<ManifestLint>

/** Objects looked at in one input schema. */
const MOST_OBJECTS = 1_000

/** What is to be said of a manifest. It may be one that does not load: what cannot be read is passed over. */
export function lintManifest(document: SourceDocument): readonly ManifestFinding[] {
  const log = new LintLog<ManifestLint>(document, MANIFEST_LINTS)
  const root = document.value
  if (!isJsonObject(root)) return []
  for (const { text, index } of textsOf(memberOf(root, 'allowed_hosts'))) {
    for (const remark of hostBreadth(text)) log.remark(remark, ['allowed_hosts', index])
  }
  const lists: readonly (readonly [string, (text: string) => LintRemark<BreadthLint> | undefined])[] = [
    ['readable_paths', (text) => pathBreadth(text, 'read')],
    ['writable_paths', (text) => pathBreadth(text, 'write')],
    ['executable_paths', (text) => pathBreadth(text, 'execute')],
    ['allowed_env', envBreadth],
    ['process_rights', rightBreadth],
  ]
  for (const [key, judge] of lists) {
    for (const { text, index } of textsOf(memberOf(root, key))) log.remark(judge(text), [key, index])
  }
  lintPrograms(log, root)
  lintStatements(log, root)
  const schemas = { compiler: new InputSchemaCompiler(), left: LIMITS.manifestSchemaValues as number }
  for (const [index, tool] of itemsOf(memberOf(root, 'tools')).slice(0, LIMITS.manifestTools).entries()) {
    if (isJsonObject(tool)) lintTool(log, tool, ['tools', index], schemas)
  }
  lintText(log, memberOf(root, 'description'), ['description'])
  return log.ordered()
}

type Log = LintLog<ManifestLint>
type Place = readonly (string | number)[]

/** Compiling takes time for each value; a manifest may have so many. */
interface SchemaBudget {
  readonly compiler: InputSchemaCompiler
  left: number
}

function lintPrograms(log: Log, root: JsonObject): void {
  const bounded = itemsOf(memberOf(root, 'tools')).every((tool) => argumentsAreBounded(memberOf(tool, 'input_schema')))
  for (const { text, index } of textsOf(memberOf(root, 'allowed_binaries'))) {
    const remark = programBreadth(text)
    // A shell whose every argument is one of a list runs what the author wrote, and nothing else.
    if (remark?.rule === 'interpreter' && bounded && itemsOf(memberOf(root, 'tools')).length > 0) continue
    log.remark(remark, ['allowed_binaries', index])
  }
}

function lintStatements(log: Log, root: JsonObject): void {
  if (!Object.hasOwn(root, 'file_access')) {
    log.add(
      'file_access_missing',
      [],
      'nothing says in one word whether files are touched',
      'add file_access: none, read_only or read_write',
    )
  }
  if (!Object.hasOwn(root, 'binary_access')) {
    log.add(
      'binary_access_missing',
      [],
      'nothing says in one word whether programs are started',
      'add binary_access: none or listed',
    )
  }
  const starts = ['allowed_binaries', 'executable_paths'].find((key) => itemsOf(memberOf(root, key)).length > 0)
  const limits = memberOf(root, 'limits')
  if (
    starts !== undefined &&
    (memberOf(limits, 'wall_ms') === undefined || memberOf(limits, 'memory_mb') === undefined)
  ) {
    log.add(
      'limits_missing',
      [starts],
      'what is started may run and grow without end',
      'add limits: { wall_ms: …, memory_mb: … }',
      'key',
    )
  }
}

function lintTool(log: Log, tool: JsonObject, at: Place, schemas: SchemaBudget): void {
  const name = `tool "${printable(String(memberOf(tool, 'name')), 80)}"`
  if (!Object.hasOwn(tool, 'effect')) {
    log.add(
      'effect_missing',
      at,
      `${name} does not say what a repeated call does`,
      'add effect: pure, idempotent, keyed or unsafe',
    )
  }
  lintText(log, memberOf(tool, 'description'), [...at, 'description'])
  const schema = memberOf(tool, 'input_schema')
  if (!isJsonObject(schema)) {
    if (!Object.hasOwn(tool, 'input_schema')) {
      log.add('schema_missing', at, `${name} takes no arguments`, 'add input_schema, or leave it so if it takes none')
    }
    return
  }
  openObjects(log, schema, [...at, 'input_schema'])
  const mapped = new Map<string, string>()
  for (const mapping of itemsOf(memberOf(tool, 'resources'))) {
    const from = memberOf(mapping, 'from')
    if (typeof from === 'string') mapped.set(from, String(memberOf(mapping, 'kind')))
  }
  // What cannot be compiled cannot be followed either, and what is over the bound does not load; the validator says why.
  if (schemas.left <= 0) return
  const compiled = schemas.compiler.compile(schema)
  schemas.left -= compiled.cost
  if (!compiled.ok) return
  for (const { suggestion, because, at: below } of likelyResources(schema)) {
    const { from, kind } = suggestion
    if (kind === 'text') continue
    const place = [...at, 'input_schema', ...below]
    const mapping = `{ from: ${JSON.stringify(from)}, kind: ${kind}${kind === 'path' ? `, access: ${suggestion.access ?? 'read'}` : ''} }`
    const given = mapped.get(from) ?? coveringText(mapped, from)
    if (given === undefined) {
      log.add(
        'unmapped_resource',
        place,
        `${printable(from, 80)} of ${name} looks like a ${kind} by ${because}`,
        `resources: [${mapping}], or kind: text if it is only text`,
      )
    } else if (given === 'text') {
      log.add(
        'unguarded_resource',
        place,
        `${printable(from, 80)} of ${name} looks like a ${kind} by ${because}, and is mapped as text`,
        `${mapping}, if it names one`,
      )
    }
  }
}

/** `kind: text` covers everything below its pointer. */
function coveringText(mapped: ReadonlyMap<string, string>, from: string): string | undefined {
  for (let end = from.lastIndexOf('/'); end > 0; end = from.lastIndexOf('/', end - 1)) {
    if (mapped.get(from.slice(0, end)) === 'text') return 'text'
  }
  return undefined
}

function lintText(log: Log, value: JsonValue | undefined, at: Place): void {
  if (typeof value !== 'string' || !hasUnprintable(value.replace(/[\n\r\t]/g, ''))) return
  log.add('hidden_characters', at, 'this text has characters that are not shown', 'write it without them')
}

function openObjects(log: Log, root: JsonObject, at: Place): void {
  let left = MOST_OBJECTS
  const visit = (schema: JsonValue | undefined, place: Place): void => {
    if (!isJsonObject(schema) || --left < 0) return
    const takesObjects = memberOf(schema, 'type') === 'object' || Object.hasOwn(schema, 'properties')
    if (takesObjects && !isClosed(schema)) {
      log.add('open_schema', place, 'arguments that nobody declared are taken here', 'add additionalProperties: false')
    }
    const properties = memberOf(schema, 'properties')
    if (isJsonObject(properties)) {
      for (const [key, entry] of Object.entries(properties)) visit(entry, [...place, 'properties', key])
    }
    visit(memberOf(schema, 'items'), [...place, 'items'])
    const definitions = memberOf(schema, '$defs')
    if (isJsonObject(definitions)) {
      for (const [key, entry] of Object.entries(definitions)) visit(entry, [...place, '$defs', key])
    }
  }
  visit(root, at)
}

function isClosed(schema: JsonObject): boolean {
  if (memberOf(schema, 'unevaluatedProperties') === false || memberOf(schema, 'maxProperties') === 0) return true
  const rest = memberOf(schema, 'additionalProperties')
  // A schema for the rest is a statement about it; true is none.
  return rest === false || (isJsonObject(rest) && Object.keys(rest).length > 0)
}

/** Whether every text argument is one of those the author listed, and no other can be sent. */
function argumentsAreBounded(schema: JsonValue | undefined): boolean {
  if (schema === undefined) return true
  if (!isJsonObject(schema)) return false
  if (Object.hasOwn(schema, 'enum') || Object.hasOwn(schema, 'const')) return true
  switch (memberOf(schema, 'type')) {
    case 'object': {
      const properties = memberOf(schema, 'properties')
      const entries = isJsonObject(properties) ? Object.values(properties) : []
      return memberOf(schema, 'additionalProperties') === false && entries.every(argumentsAreBounded)
    }
    case 'array':
      return argumentsAreBounded(memberOf(schema, 'items') ?? null)
    case 'integer':
    case 'number':
    case 'boolean':
    case 'null':
      return true
    default:
      return false
  }
}
