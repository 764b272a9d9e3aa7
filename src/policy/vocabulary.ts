// What the documents of one set share while they are compiled: names that refer across documents, and everything that many
// rules write alike, compiled and kept once.

import type { SourceDocument } from '../core/document.ts'
import { type ParsedGlob, parseGlob } from '../core/glob.ts'
import type { HostPattern } from '../core/host-pattern.ts'
import { parsePointer } from '../core/pointer.ts'
import { type CompiledCondition, compileCondition } from './condition.ts'
import { conditionGuard, type Guard } from './guard.ts'
import { Regions } from './regions.ts'
import type { Role } from './roles.ts'
import type { RawCondition } from './schema.ts'
import { ValueTests } from './value-test.ts'

/** A role and where it is defined, for problems that are found after it was read. */
export interface DefinedRole extends Role {
  readonly document: SourceDocument
}

export class SetVocabulary {
  readonly roles: Map<string, DefinedRole> = new Map()
  readonly usedRoles: Set<string> = new Set()
  /** Statement id → `file:line`. */
  readonly ids: Map<string, string> = new Map()
  readonly regionHosts: Map<string, readonly HostPattern[]> = new Map()
  /** Names of condition ports; `undefined`: not known, every name is taken. */
  readonly engines: ReadonlySet<string> | undefined
  // Thousands of rules name the same few tools, roles and arguments. Each is compiled and kept once: that is most of the
  // memory of a large set, and most of what a decision has to fetch into the cache.
  readonly #globs = new Map<string, ParsedGlob>()
  readonly #textGlobs = new Map<string, ParsedGlob>()
  readonly #texts = new Map<string, string>()
  readonly #pointers = new Map<string, readonly string[] | undefined>()
  readonly #conditions = new Map<string, CompiledCondition>()
  readonly #guards = new Map<string, Guard>()
  readonly #tests = new ValueTests()
  #regions: Regions | undefined

  constructor(engines: ReadonlySet<string> | undefined) {
    this.engines = engines
  }

  /** All regions of the set; asked for only after every document has been read for them. */
  get regions(): Regions {
    this.#regions ??= new Regions(this.regionHosts)
    return this.#regions
  }

  glob(text: string): ParsedGlob {
    return remembered(this.#globs, text, () => parseGlob(text, 'name'))
  }

  textGlob(text: string): ParsedGlob {
    return remembered(this.#textGlobs, text, () => parseGlob(text, 'text'))
  }

  text(text: string): string {
    return remembered(this.#texts, text, () => text)
  }

  condition(pointer: string, raw: RawCondition): CompiledCondition {
    return remembered(this.#conditions, `${pointer} ${JSON.stringify(raw)}`, () =>
      compileCondition(this.text(pointer), this.tokens(pointer), raw, this.#tests),
    )
  }

  /** The guard of a condition that {@link condition} gave. */
  guard(about: 'args' | 'facts', compiled: Extract<CompiledCondition, { ok: true }>): Guard {
    return remembered(this.#guards, `${about} ${compiled.condition.text}`, () =>
      conditionGuard(about, compiled.condition),
    )
  }

  /** The tokens of a JSON Pointer, `undefined` when it is none. */
  tokens(pointer: string): readonly string[] | undefined {
    return remembered(this.#pointers, pointer, () => parsePointer(pointer))
  }
}

function remembered<K, V>(known: Map<K, V>, key: K, make: () => V): V {
  const before = known.get(key)
  if (before !== undefined || known.has(key)) return before as V
  const made = make()
  known.set(key, made)
  return made
}
