// Where the values of a document stand in its text. A tree of offsets with the shape of the value: cheap to build while
// reading (no pointer is spelled out for a value nobody asks about) and cheap to walk when a problem is reported.

import type { JsonValue } from './json.ts'
import { LIMITS } from './limits.ts'
import type { ProblemCode } from './problem.ts'

/** Offset of a scalar, or of a container with the places of its members. */
export type Place = number | ArrayPlace | ObjectPlace

export interface ArrayPlace {
  readonly start: number
  readonly items: Place[]
}

export interface ObjectPlace {
  readonly start: number
  /** Members in the order of the text; the three lists run in step. */
  readonly names: string[]
  readonly keys: number[]
  readonly values: Place[]
  /** Made on the first look-up in a wide object, so that locating all of n members is not n² work. */
  index?: Map<string, number>
}

/** From this many members on, an object is looked up through a map. */
const WIDE = 32

/** Offset of the member that `tokens` lead to, or of its nearest ancestor that exists. */
export function findOffset(root: Place, tokens: readonly string[], on: 'key' | 'value'): number {
  let place = root
  let key: number | undefined
  for (const token of tokens) {
    if (typeof place === 'number') break
    let next: Place | undefined
    if ('items' in place) {
      next = /^(?:0|[1-9][0-9]{0,9})$/.test(token) ? place.items[Number(token)] : undefined
      if (next === undefined) break
      key = undefined
    } else {
      const at = memberIndex(place, token)
      next = place.values[at]
      if (next === undefined) break
      key = place.keys[at]
    }
    place = next
  }
  if (on === 'key' && key !== undefined) return key
  return typeof place === 'number' ? place : place.start
}

function memberIndex(place: ObjectPlace, name: string): number {
  if (place.names.length < WIDE) return place.names.indexOf(name)
  place.index ??= new Map(place.names.map((member, at) => [member, at]))
  return place.index.get(name) ?? -1
}

/** Something wrong with a text, before it is known which file it is in. */
export interface Flaw {
  readonly code: ProblemCode
  readonly offset: number
  readonly pointer: string
  /** One line; text of the document in it is already escaped. */
  readonly message: string
  readonly hint?: string
}

/** What a reader of one format hands back. `total` counts all flaws, also those beyond LIMITS.problems. */
export type Reading =
  | { readonly ok: true; readonly value: JsonValue; readonly root: Place }
  | { readonly ok: false; readonly flaws: readonly Flaw[]; readonly total: number }

/** Ends a reading at once; thrown and caught inside one reader. */
export class StopReading extends Error {}

/** Collects flaws up to LIMITS.problems and counts the rest, so that a hostile text cannot fill the memory with them. */
export class FlawList {
  readonly #flaws: Flaw[] = []
  #total = 0

  get total(): number {
    return this.#total
  }

  add(flaw: Flaw): void {
    this.#total++
    if (this.#flaws.length < LIMITS.problems) this.#flaws.push(flaw)
  }

  /** Adds the flaw after which nothing more can be read. */
  stop(flaw: Flaw): never {
    this.add(flaw)
    throw new StopReading(flaw.message)
  }

  /** The reading that these flaws make of `value`. */
  reading(value: JsonValue, root: Place): Reading {
    return this.#total === 0 ? { ok: true, value, root } : this.failure()
  }

  failure(): Reading {
    return { ok: false, flaws: this.#flaws, total: this.#total }
  }
}
