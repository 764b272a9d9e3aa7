// Takes out of a value what an obligation names: whole places, matches of patterns, secrets by their form. Several
// obligations are joined into one redactor, whose outcome does not depend on their order. Keys are texts too: a secret in
// one takes its member with it.

import type { JsonObject, JsonValue } from '../core/json.ts'
import { LIMITS } from '../core/limits.ts'
import type { LinearRegExp } from '../core/linear-regexp.ts'
import { addMember } from '../core/member.ts'
import { looksGenerated, secretName } from './secret-names.ts'
import { secretSpans } from './secret-scan.ts'
import { cutSpans, matchSpans, mergeSpans, REDACTED, spansBeyondMarkers } from './spans.ts'

/** What is taken out of one side of a call. */
export interface Redaction {
  /** Tokens of JSON Pointers; `*` is every element and every member. */
  readonly fields: readonly (readonly string[])[]
  readonly patterns: readonly LinearRegExp[]
  readonly secrets: boolean
}

/** Thrown inside {@link redact} alone: the patterns and the texts are too much together. */
export class TooMuchWork extends Error {}

/**
 * `value` with {@link REDACTED} in the place of all that `redaction` names; the same object where there is nothing of it.
 * Doing it twice changes nothing more.
 *
 * @throws TooMuchWork when the sizes of the patterns times the lengths of the texts are over LIMITS.patternSteps.
 */
export function redact(value: JsonValue, redaction: Redaction): JsonValue {
  if (redaction.fields.some((field) => field.length === 0)) return REDACTED
  return new Redactor(redaction).value(value, pathTree(redaction.fields))
}

/** Pointers that begin alike, as one tree. */
interface PathNode {
  readonly next: Map<string, PathNode>
  ends: boolean
}

function pathTree(fields: Redaction['fields']): readonly PathNode[] {
  if (fields.length === 0) return []
  const root: PathNode = { next: new Map(), ends: false }
  for (const field of fields) {
    let node = root
    for (const token of field) {
      let next = node.next.get(token)
      if (next === undefined) {
        next = { next: new Map(), ends: false }
        node.next.set(token, next)
      }
      node = next
    }
    node.ends = true
  }
  return [root]
}

function step(nodes: readonly PathNode[], token: string): readonly PathNode[] {
  if (nodes.length === 0) return nodes
  return nodes.flatMap(({ next }) => {
    const named = next.get(token)
    const any = token === '*' ? undefined : next.get('*')
    return named === undefined ? (any === undefined ? [] : [any]) : any === undefined ? [named] : [named, any]
  })
}

/** A text whose matches give new matches, again and again, is taken out whole. */
const ROUNDS = 8
/** Nothing shorter is taken for a secret. */
const SHORTEST_SECRET = 8
/** A key that is a marker already; the number tells it from others in the same object. */
const MARKER_KEY = /^\[redacted(?: [1-9][0-9]{0,4})?\]$/

class Redactor {
  readonly #patterns: readonly LinearRegExp[]
  readonly #secrets: boolean
  #steps = 0

  constructor({ patterns, secrets }: Redaction) {
    this.#patterns = patterns
    this.#secrets = secrets
  }

  value(value: JsonValue, nodes: readonly PathNode[]): JsonValue {
    if (typeof value === 'string') return this.#text(value)
    if (typeof value !== 'object' || value === null) return value
    return Array.isArray(value)
      ? this.#array(value as readonly JsonValue[], nodes)
      : this.#object(value as JsonObject, nodes)
  }

  #array(items: readonly JsonValue[], nodes: readonly PathNode[]): JsonValue {
    let copy: JsonValue[] | undefined
    for (let index = 0; index < items.length; index++) {
      const item = items[index] as JsonValue
      const below = step(nodes, `${index}`)
      const kept = below.some(({ ends }) => ends) ? REDACTED : this.value(item, below)
      if (kept !== item && copy === undefined) copy = items.slice(0, index)
      copy?.push(kept)
    }
    return copy === undefined ? items : Object.freeze(copy)
  }

  #object(object: JsonObject, nodes: readonly PathNode[]): JsonValue {
    const names = Object.keys(object)
    const unfit = new Set(names.filter((name) => !MARKER_KEY.test(name) && this.#text(name) !== name))
    const copy: Record<string, JsonValue> = {}
    let changed = unfit.size > 0
    let number = 1
    for (const name of names) {
      if (unfit.has(name)) {
        let marker = markerKey(number++)
        // A member that stays may be called like a marker: it must not be overwritten.
        while (Object.hasOwn(object, marker) && !unfit.has(marker)) marker = markerKey(number++)
        addMember(copy, marker, REDACTED)
        continue
      }
      const member = object[name] as JsonValue
      const below = step(nodes, name)
      const gone = below.some(({ ends }) => ends) || (this.#secrets && isNamedSecret(name, member))
      const kept = gone ? REDACTED : this.value(member, below)
      if (kept !== member) changed = true
      addMember(copy, name, kept)
    }
    return changed ? Object.freeze(copy) : object
  }

  #text(text: string): string {
    let current = text
    for (let round = 0; round < ROUNDS; round++) {
      const spans = spansBeyondMarkers(current, this.#spans(current))
      if (spans.length === 0) return current
      current = cutSpans(current, spans)
    }
    return REDACTED
  }

  #spans(text: string): ReturnType<typeof mergeSpans> {
    const spans = this.#patterns.flatMap((pattern) => {
      this.#steps += pattern.size * (text.length + 1)
      if (this.#steps > LIMITS.patternSteps) throw new TooMuchWork()
      return matchSpans(pattern, text)
    })
    if (this.#secrets && text.length >= SHORTEST_SECRET) spans.push(...secretSpans(text))
    return spans.length === 0 ? spans : mergeSpans(spans)
  }
}

function markerKey(number: number): string {
  return number === 1 ? REDACTED : `${REDACTED.slice(0, -1)} ${number}]`
}

/** `{ "password": "…" }`. A number can be a password as well; true, false and null say nothing. */
function isNamedSecret(name: string, value: JsonValue): boolean {
  if (typeof value !== 'string' && typeof value !== 'number') return false
  const kind = secretName(name)
  if (kind === undefined || value === '') return false
  return kind === 'password' || (typeof value === 'string' && looksGenerated(value))
}
