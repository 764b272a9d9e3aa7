// A list of tools as MCP servers and plugins write it → the tools of a manifest. A tool keeps its name; its schema only
// when the validator can hold a call against it. A tool without a schema takes no arguments, so leaving one out narrows.

import type { JsonObject, JsonValue } from '../../core/json.ts'
import { InputSchemaCompiler } from '../../core/json-schema/input-schema.ts'
import { LIMITS } from '../../core/limits.ts'
import { isName, printable } from '../../core/text.ts'
import { type ImportNotes, isList, isObject, member, type Place } from './imported.ts'
import { likelyResources } from './suggest-mappings.ts'

/** The key under which a source keeps a tool's schema. */
const SCHEMA_KEYS = ['inputSchema', 'input_schema', 'parameters', 'schema'] as const
/** Faults of one schema that are told one by one. */
const FAULTS_TOLD = 3

const NAME_HINT = 'a name is ASCII letters and digits, and inside also _ . : -'

export class ToolList {
  readonly tools: JsonObject[] = []
  readonly #notes: ImportNotes
  readonly #names = new Set<string>()
  readonly #schemas = new InputSchemaCompiler()
  #budget: number = LIMITS.manifestSchemaValues

  constructor(notes: ImportNotes) {
    this.#notes = notes
  }

  /** Takes all entries: names, or objects with a name. */
  addAll(entries: readonly JsonValue[], at: Place): void {
    if (entries.length > LIMITS.manifestTools) {
      this.#notes.refuse('too_large', at, `more than ${LIMITS.manifestTools} tools`, { hint: 'split them over skills' })
      return
    }
    for (const [index, entry] of entries.entries()) this.#add(entry, [...at, index])
  }

  #add(entry: JsonValue, at: Place): void {
    const named = isObject(entry) ? member(entry, 'name') : entry
    const nameAt = isObject(entry) ? [...at, 'name'] : at
    if (typeof named !== 'string') {
      this.#notes.refuse(isObject(entry) ? 'missing_key' : 'wrong_type', at, 'a tool without a name')
      return
    }
    if (!isName(named)) {
      // Renaming it here would bind a tool that the host does not have.
      this.#notes.warn('invalid_value', nameAt, `the tool "${printable(named, 80)}" is left out: not a name`, {
        hint: NAME_HINT,
      })
      return
    }
    if (this.#names.has(named)) {
      // Which of the two a host dispatches to, nobody can tell: one may stand there to shadow the other.
      this.#notes.refuse('duplicate_name', nameAt, `tool "${named}" stands twice`)
      return
    }
    this.#names.add(named)
    const place: Place = ['tools', this.tools.length]
    const description =
      this.#notes.description(member(entry, 'description'), [...at, 'description']) ??
      this.#notes.description(member(entry, 'title'), [...at, 'title'])
    const schema = isObject(entry) ? this.#schema(named, entry, at, place) : this.#noSchema(named, at, place)
    this.tools.push({
      name: named,
      ...(description === undefined ? {} : { description }),
      ...(schema === undefined ? {} : { input_schema: schema }),
    })
    if (isObject(entry)) this.#hints(named, member(entry, 'annotations'), [...at, 'annotations'], place)
  }

  #noSchema(name: string, at: Place, place: Place): undefined {
    this.#notes.todo(
      [...place, 'input_schema'],
      `write the input_schema of tool "${name}"`,
      'the source has none, and a tool without one takes no arguments',
      { at },
    )
    return undefined
  }

  #schema(name: string, entry: JsonObject, at: Place, place: Place): JsonObject | undefined {
    const key = SCHEMA_KEYS.find((one) => Object.hasOwn(entry, one))
    const schema = key === undefined ? undefined : member(entry, key)
    if (key === undefined || schema === undefined) return this.#noSchema(name, at, place)
    const schemaAt = [...at, key]
    const compiled = isObject(schema) && this.#budget > 0 ? this.#schemas.compile(schema) : undefined
    if (isObject(schema) && compiled?.ok === true && compiled.cost <= this.#budget) {
      this.#budget -= compiled.cost
      this.#suggest(name, schema, schemaAt, place)
      return schema
    }
    const faults = compiled?.ok === false ? compiled.faults : []
    const reason = !isObject(schema)
      ? 'it is not an object'
      : faults.length > 0
        ? (faults[0]?.message ?? '')
        : `the schemas together have more than ${LIMITS.manifestSchemaValues} values`
    // What was looked at is paid for, so that a list of bad schemas does not take longer than one of good ones.
    this.#budget -= compiled?.cost ?? 0
    for (const { at: below, message, hint, on } of faults.slice(0, FAULTS_TOLD)) {
      this.#notes.warn('invalid_schema', [...schemaAt, ...below], message, {
        ...(hint === undefined ? {} : { hint }),
        ...(on === undefined ? {} : { on }),
      })
    }
    this.#notes.todo(
      [...place, 'input_schema'],
      `write the input_schema of tool "${name}": until then it takes no arguments`,
      `that of the source cannot be held against a call: ${reason}`,
      { at: schemaAt },
    )
    return undefined
  }

  #suggest(name: string, schema: JsonObject, at: Place, place: Place): void {
    for (const { suggestion, because, at: below } of likelyResources(schema)) {
      const { from, kind } = suggestion
      const what =
        kind === 'binary'
          ? `say what ${from} of tool "${name}" is: kind: binary for the path of a program; a command line is bounded by no mapping`
          : kind === 'text'
            ? `map ${from} of tool "${name}" as kind: text, if it is text that names nothing`
            : `map ${from} of tool "${name}" as kind: ${kind}, and list what it may name`
      this.#notes.todo([...place, 'resources'], what, `it looks like one by ${because}; the tool itself must tell`, {
        at: [...at, ...below],
        suggestion: { ...suggestion },
      })
    }
  }

  /**
   * MCP, "Tool": annotations come from the server and are hints; clients must treat them as untrusted unless the server
   * is. A server that lies about readOnlyHint would be retried, or spared an approval, on its own word.
   */
  #hints(name: string, annotations: JsonValue | undefined, at: Place, place: Place): void {
    const says = (key: string): boolean => member(annotations, key) === true
    const why = 'the source only hints at it, and whoever wrote the hint also wrote the tool'
    const effect = says('readOnlyHint') ? 'pure' : says('idempotentHint') ? 'idempotent' : undefined
    if (effect !== undefined) {
      const what = `decide the effect of tool "${name}"; it counts as unsafe until then`
      this.#notes.todo([...place, 'effect'], what, why, { at, suggestion: effect })
    }
    if (says('destructiveHint')) {
      const what = `consider require_approval for tool "${name}" in the policy`
      this.#notes.todo(place, what, 'the source says that it destroys', { at })
    }
    if (says('openWorldHint')) {
      const what = `list in allowed_hosts where tool "${name}" goes`
      this.#notes.todo(['allowed_hosts'], what, 'the source says that it reaches outside, and not where', { at })
    }
  }
}

/** Entries of the kind the source promises, or nothing. */
export function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return isList(value) ? value : []
}
