// A document in its one canonical layout, or a reason why it stays as it is. The value, the comments and with them every
// digest are the same before and after; what cannot be shown to be the same is not handed out.

import { canonicalJson } from './canonical.ts'
import { parseDocument, type SourceDocument } from './document.ts'
import type { JsonObject, JsonValue } from './json.ts'
import { KeyOrder } from './key-order.ts'
import { addMember } from './member.ts'
import { formatYaml, yamlComments } from './yaml-format.ts'

export type Formatted = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reason: string }

/** Layouts until nothing changes any more. A comment that moves can take a blank line with it, so one is not always enough. */
const MOST_PASSES = 4

/** @param schema the published JSON Schema of the document; its keys are written in the order they have there. */
export function formatDocument(document: SourceDocument, schema?: Readonly<Record<string, unknown>>): Formatted {
  const order = schema === undefined ? undefined : KeyOrder.of(schema)
  try {
    switch (document.format) {
      case 'json':
        return checked(document, formatJson(sorted(document.value, order)))
      case 'yaml':
        return formatUntilStable(document, order)
      case 'toml':
        return { ok: false, reason: 'TOML is left as it is; formatting knows YAML and JSON' }
    }
  } catch {
    // The library refuses what it cannot write, in words of its own.
    return { ok: false, reason: 'this text cannot be laid out' }
  }
}

function formatUntilStable(document: SourceDocument, order: KeyOrder | undefined): Formatted {
  // Nothing but comments, perhaps: the library would write out the null it stands for.
  if (document.value === null) return { ok: true, text: document.text }
  const comments = yamlComments(document.text).join('\n')
  let text = document.text
  for (let pass = 0; pass < MOST_PASSES; pass++) {
    const next = escaped(formatYaml(text, order))
    if (next === text) return checked(document, text)
    if (yamlComments(next).join('\n') !== comments) {
      return { ok: false, reason: 'a comment stands where no layout keeps it; put it on a line of its own' }
    }
    text = next
  }
  return { ok: false, reason: 'no layout of this text is stable' }
}

function checked(document: SourceDocument, text: string): Formatted {
  const { file, format } = document
  const parsed = parseDocument({ file, text, format })
  const same = parsed.ok && canonicalJson(parsed.document.value) === canonicalJson(document.value)
  return same ? { ok: true, text } : { ok: false, reason: 'its layout would mean something else' }
}

function formatJson(value: JsonValue): string {
  return escaped(`${JSON.stringify(value, undefined, 2)}\n`)
}

// What the reader of documents refuses outside of an escape. Neither writer escapes it, and it can only come from one.
const DECEPTIVE = /[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g

function escaped(text: string): string {
  return text.replace(DECEPTIVE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function sorted(value: JsonValue, order: KeyOrder | undefined): JsonValue {
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) {
    const inner = order?.item()
    return (value as readonly JsonValue[]).map((item) => sorted(item, inner))
  }
  const object = value as JsonObject
  const keys = Object.keys(object)
  const copy: Record<string, JsonValue> = {}
  for (const key of order?.sort(keys) ?? keys) addMember(copy, key, sorted(object[key] ?? null, order?.member(key)))
  return copy
}
