// The tools of a manifest: their names, their input schemas, and which of their arguments name resources. A mapping that
// the schema makes impossible, or that contradicts another, would leave an argument unjudged, so it refuses the manifest.

import type { JsonObject } from '../core/json.ts'
import { type InputSchemaCompiler, noArguments } from '../core/json-schema/input-schema.ts'
import { reach } from '../core/json-schema/schema-reach.ts'
import { LIMITS } from '../core/limits.ts'
import { parsePath } from '../core/path.ts'
import { canonicalResource, PATH_ACCESSES, RESOURCE_KINDS } from '../core/resource.ts'
import { hasUnprintable, isName, isScopeToken } from '../core/text.ts'
import type { PreparedTool } from './bind.ts'
import type { ResourceMapping, ToolBinding, ToolEffect } from './manifest.ts'
import { mappingConflict } from './mapping-conflict.ts'
import { readMethod } from './method-keys.ts'
import { compileResourceMap, mappingTokens } from './resources.ts'
import type { Reading, Section } from './section.ts'

export interface Tools {
  readonly tools: ReadonlyMap<string, ToolBinding>
  readonly prepared: ReadonlyMap<string, PreparedTool>
}

interface Compiled {
  readonly check: PreparedTool['check']
  /** What mappings are held against; `undefined` when the schema cannot be followed. */
  readonly schema: JsonObject | undefined
}

/** The arguments of a tool without a schema, as a schema. */
const NO_ARGUMENTS: JsonObject = { type: 'object', additionalProperties: false }

export function readTools(root: Section, inScope: (name: string) => boolean, schemas: InputSchemaCompiler): Tools {
  const tools = new Map<string, ToolBinding>()
  const prepared = new Map<string, PreparedTool>()
  let budget: number = LIMITS.manifestSchemaValues
  for (const section of root.sections('tools').slice(0, LIMITS.manifestTools)) {
    const name = readName(section, tools)
    const compiled = compileSchema(section, schemas, budget)
    budget -= compiled.cost
    const resources = readMappings(section, compiled.schema)
    if (name === undefined) continue
    const inputSchema = section.object('input_schema')
    const scopes = section.readAll('oauth_scopes', readScope)
    const scoped = inScope(name)
    tools.set(
      name,
      Object.freeze({
        name,
        ...section.texts('description'),
        // The shape allows no other words.
        effect: (section.text('effect') ?? 'unsafe') as ToolEffect,
        ...(inputSchema === undefined ? {} : { inputSchema }),
        resources: Object.freeze(resources),
        oauthScopes: Object.freeze(scopes),
        inScope: scoped,
      }),
    )
    prepared.set(name, {
      inScope: scoped,
      check: compiled.check,
      map: compileResourceMap(resources),
      scopes: scopes.map((scope) => canonicalResource({ kind: 'scope', name: scope, from: '' })),
    })
  }
  return { tools, prepared }
}

function readScope(text: string): Reading<string> {
  return isScopeToken(text) ? { ok: true, pattern: text } : { ok: false, reason: 'not a scope of RFC 6749' }
}

function readName(section: Section, earlier: ReadonlyMap<string, unknown>): string | undefined {
  const name = section.text('name')
  if (name === undefined) return undefined
  if (!isName(name)) {
    section.report('invalid_value', ['name'], 'not a name', {
      hint: 'a name is ASCII letters and digits, and inside also _ . : -',
    })
    return undefined
  }
  if (earlier.has(name)) {
    section.report('duplicate_name', ['name'], `tool "${name}" is declared twice`, { hint: 'remove one, or rename it' })
  }
  return name
}

function compileSchema(
  section: Section,
  schemas: InputSchemaCompiler,
  budget: number,
): Compiled & { readonly cost: number } {
  const schema = section.object('input_schema')
  if (schema === undefined) {
    const broken = section.has('input_schema')
    return { check: noArguments, schema: broken ? undefined : NO_ARGUMENTS, cost: 0 }
  }
  const compiled = budget > 0 ? schemas.compile(schema) : undefined
  if (compiled === undefined || (compiled.ok && compiled.cost > budget)) {
    section.report(
      'invalid_schema',
      ['input_schema'],
      `the schemas of this manifest have more than ${LIMITS.manifestSchemaValues} values together`,
    )
    return { check: noArguments, schema: undefined, cost: budget }
  }
  if (compiled.ok) return { check: compiled.check, schema, cost: compiled.cost }
  for (const { at, message, hint, on } of compiled.faults) {
    section.report('invalid_schema', ['input_schema', ...at], message, {
      ...(hint === undefined ? {} : { hint }),
      ...(on === undefined ? {} : { on }),
    })
  }
  return { check: noArguments, schema: compiled.followable ? schema : undefined, cost: compiled.cost }
}

function readMappings(section: Section, schema: JsonObject | undefined): readonly ResourceMapping[] {
  const found: { readonly mapping: ResourceMapping; readonly tokens: readonly string[] }[] = []
  for (const entry of section.sections('resources').slice(0, LIMITS.resources)) {
    const read = readMapping(entry, schema)
    if (read === undefined) continue
    const conflict = found.map((before) => mappingConflict(before, read)).find((one) => one !== undefined)
    if (conflict !== undefined) {
      entry.report(conflict.code, ['from'], conflict.message, { hint: conflict.hint })
      continue
    }
    found.push(read)
    if (schema !== undefined) checkReach(entry, read.mapping, read.tokens, schema)
  }
  return found.map(({ mapping }) => mapping)
}

function readMapping(
  entry: Section,
  schema: JsonObject | undefined,
): { readonly mapping: ResourceMapping; readonly tokens: readonly string[] } | undefined {
  const from = entry.text('from')
  const kind = RESOURCE_KINDS.find((known) => known === entry.text('kind'))
  const access = PATH_ACCESSES.find((known) => known === entry.text('access'))
  const base = readBase(entry)
  const search = Object.freeze([...new Set(entry.readAll('search', readDirectory))])
  if (from === undefined) return undefined
  const tokens = hasUnprintable(from) ? 'a control or format character' : mappingTokens(from)
  if (typeof tokens === 'string') {
    entry.report('invalid_value', ['from'], tokens, {
      hint: 'write /url, or /files/*/path for every element of a list',
    })
    return undefined
  }
  if (kind === undefined || (kind === 'path' && access === undefined)) return undefined
  const mapping = {
    from,
    kind,
    ...(kind === 'path' && access !== undefined ? { access } : {}),
    ...((kind === 'path' || kind === 'command') && base !== undefined ? { base } : {}),
    ...(kind === 'command' && search.length > 0 ? { search } : {}),
    ...(kind === 'url' || kind === 'host' ? readMethod(entry, tokens, schema) : {}),
    optional: entry.get('optional') === true,
  }
  return { mapping: Object.freeze(mapping), tokens }
}

function readBase(entry: Section): string | undefined {
  const base = entry.text('base')
  if (base === undefined) return undefined
  const parsed = parsePath(base)
  if (parsed.ok) return parsed.path
  entry.report('invalid_pattern', ['base'], parsed.reason, { hint: 'write an absolute directory: /srv/work' })
  return undefined
}

function readDirectory(text: string): Reading<string> {
  const parsed = parsePath(text)
  return parsed.ok
    ? { ok: true, pattern: parsed.path }
    : { ok: false, reason: parsed.reason, hint: 'write an absolute directory: /usr/bin' }
}

const TEXT_ONLY: readonly string[] = ['string']
const TEXT_OR_LIST: readonly string[] = ['string', 'array']

function checkReach(entry: Section, mapping: ResourceMapping, tokens: readonly string[], schema: JsonObject): void {
  const leaf = mapping.kind === 'text' ? 'any' : mapping.kind === 'command' ? TEXT_OR_LIST : TEXT_ONLY
  const { possible, required } = reach(schema, tokens, leaf)
  if (!possible) {
    const exists = leaf !== 'any' && reach(schema, tokens, 'any').possible
    if (exists) {
      const hint = 'map the text itself; for a list of texts end the pointer with /*'
      entry.report('contradiction', ['from'], 'the input schema never allows text at this place', { hint })
    } else {
      const hint =
        schema === NO_ARGUMENTS
          ? 'without input_schema the tool takes no arguments: add one'
          : 'name an argument of input_schema'
      entry.report('unknown_reference', ['from'], 'the input schema leaves no such argument', { hint })
    }
    return
  }
  // What a tool does when its URL is left out is its own affair, and no policy hears of it. The author should have meant it.
  if (!required && !mapping.optional && mapping.kind !== 'text') {
    entry.report(
      'contradiction',
      ['from'],
      'the input schema lets this argument be absent, and then the call names nothing here',
      {
        hint: 'make it required in input_schema, or say optional: true',
        severity: 'warning',
      },
    )
  }
}
