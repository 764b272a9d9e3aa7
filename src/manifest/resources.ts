// From the arguments of one call to what they touch. Every text in the arguments is visited once and is either mapped
// (read by the one parser of its kind, written back in canonical form, so that what was judged is what runs) or looked at
// by the guard. Trusts the mappings of the manifest; trusts nothing in the arguments but that they are plain data.

import type { JsonObject, JsonValue } from '../core/json.ts'
import { LIMITS } from '../core/limits.ts'
import { readNamedResource } from '../core/named-resource.ts'
import { formatPointer, parsePointer } from '../core/pointer.ts'
import type { PathAccess, Resource, ResourceKind } from '../core/resource.ts'
import { type CommandReading, readArgumentVector, readCommand } from './command/read-command.ts'
import { looksLikeDestination } from './destination-guard.ts'
import { methodAt } from './http-method.ts'
import type { ResourceMapping } from './manifest.ts'

/** Why no resources could be read from the arguments. */
export interface ExtractionFault {
  readonly code: 'resource_invalid' | 'resource_unmapped' | 'command_unresolved' | 'arguments_too_large'
  /** RFC 6901 pointer into the arguments. Its tokens can be the model's words. */
  readonly pointer: string
  /** One line; quotes nothing of the arguments. */
  readonly reason: string
  /** For `resource_unmapped`: the mapping that is missing. */
  readonly missing?: string
}

export type Extraction =
  | { readonly ok: true; readonly args: JsonObject; readonly resources: readonly Resource[] }
  | { readonly ok: false; readonly fault: ExtractionFault }

/** The mappings of one tool as a tree over the arguments. */
export interface ResourceMap {
  readonly members: ReadonlyMap<string, ResourceMap> | undefined
  readonly elements: ResourceMap | undefined
  readonly mappings: readonly CompiledMapping[]
  /** `kind: text` stands here: this value and all below it are declared to name nothing. */
  readonly text: boolean
  /** A mapping here or below names a resource, so a value of another type than it expects is refused. */
  readonly demands: boolean
  /** All of those are optional, so null may stand here. */
  readonly nullable: boolean
}

interface CompiledMapping {
  readonly kind: ResourceKind
  readonly access: PathAccess
  readonly base: { readonly base: string } | undefined
  /** Of a command. */
  readonly search: readonly string[]
  /** Of a url or host. */
  readonly method: string | undefined
  /** The tokens of the pointer to the method. */
  readonly methodFrom: readonly string[] | undefined
  /** The pointer, where it is the same for every call. */
  readonly from: string | undefined
}

/** The tokens of a mapping's pointer, or why it cannot be one. */
export function mappingTokens(from: string): readonly string[] | string {
  if (from.length > LIMITS.patternLength) return `a pointer of more than ${LIMITS.patternLength} characters`
  const tokens = parsePointer(from)
  if (tokens === undefined) return 'not a JSON Pointer'
  if (tokens.length === 0) return 'the arguments as a whole are not one resource'
  if (tokens[0] === '*') return 'the arguments are an object, and * stands for the elements of an array'
  if (tokens.length > LIMITS.depth) return `a pointer of more than ${LIMITS.depth} tokens`
  return tokens
}

interface MutableMap {
  members: Map<string, MutableMap> | undefined
  elements: MutableMap | undefined
  mappings: CompiledMapping[]
  text: boolean
  demands: boolean
  nullable: boolean
}

function emptyMap(): MutableMap {
  return { members: undefined, elements: undefined, mappings: [], text: false, demands: false, nullable: true }
}

/** The tree of mappings that were checked to be pointers and not to contradict each other. */
export function compileResourceMap(resources: readonly ResourceMapping[]): ResourceMap {
  const root = emptyMap()
  for (const mapping of resources) {
    const tokens = mappingTokens(mapping.from)
    if (typeof tokens === 'string') throw new TypeError(tokens)
    let place = root
    for (const token of tokens) {
      place = step(place, token)
      if (mapping.kind === 'text') continue
      place.demands = true
      if (!mapping.optional) place.nullable = false
    }
    if (mapping.kind === 'text') place.text = true
    else place.mappings.push(compileMapping(mapping, tokens))
  }
  return root
}

function step(place: MutableMap, token: string): MutableMap {
  if (token === '*') {
    place.elements ??= emptyMap()
    return place.elements
  }
  place.members ??= new Map()
  let next = place.members.get(token)
  if (next === undefined) {
    next = emptyMap()
    place.members.set(token, next)
  }
  return next
}

function compileMapping(mapping: ResourceMapping, tokens: readonly string[]): CompiledMapping {
  return {
    kind: mapping.kind,
    access: mapping.access ?? 'read',
    base: mapping.base === undefined ? undefined : { base: mapping.base },
    search: mapping.search ?? [],
    method: mapping.method,
    methodFrom: mapping.methodFrom === undefined ? undefined : parsePointer(mapping.methodFrom),
    from: tokens.includes('*') ? undefined : mapping.from,
  }
}

/** Reads `args` by `map`. `args` is deep frozen plain data; what comes back is too, and shares what did not change. */
export function extractResources(map: ResourceMap, args: JsonObject): Extraction {
  const walk = new Walk(args)
  const canonical = walk.object(args, map)
  if (walk.fault !== undefined) return { ok: false, fault: walk.fault }
  return { ok: true, args: canonical, resources: Object.freeze(walk.resources) }
}

class Walk {
  readonly resources: Resource[] = []
  fault: ExtractionFault | undefined
  readonly #args: JsonObject
  readonly #trail: (string | number)[] = []

  constructor(args: JsonObject) {
    this.#args = args
  }

  /** `map` is what the mappings say about this object; `undefined` is nothing. */
  object(value: JsonObject, map: ResourceMap | undefined): JsonObject {
    let copy: Record<string, JsonValue> | undefined
    const members = map?.members
    for (const key of Object.keys(value)) {
      const member = members?.get(key)
      this.#trail.push(key)
      // A tool can take a destination as the name of a property, where no mapping reaches.
      if (member === undefined) this.#guard(key)
      const before = value[key] as JsonValue
      const after = this.#value(before, member)
      this.#trail.pop()
      if (this.fault !== undefined) return value
      if (after !== before) {
        copy ??= { ...value }
        copy[key] = after
      }
    }
    return copy === undefined ? value : Object.freeze(copy)
  }

  #array(value: readonly JsonValue[], map: ResourceMap | undefined): readonly JsonValue[] {
    let copy: JsonValue[] | undefined
    for (let index = 0; index < value.length; index++) {
      this.#trail.push(index)
      const before = value[index] as JsonValue
      const after = this.#value(before, map?.members?.get(String(index)) ?? map?.elements)
      this.#trail.pop()
      if (this.fault !== undefined) return value
      if (after !== before) {
        copy ??= [...value]
        copy[index] = after
      }
    }
    return copy === undefined ? value : Object.freeze(copy)
  }

  #value(value: JsonValue, map: ResourceMap | undefined): JsonValue {
    if (map === undefined) return this.#unmapped(value)
    if (map.text) return value
    if (typeof value === 'string') return this.#text(value, map)
    if (value === null)
      return map.nullable ? value : this.#mismatch(value, map, 'null, and the mapping is not optional')
    if (Array.isArray(value)) {
      if (map.elements !== undefined || map.members !== undefined) return this.#array(value, map)
      const [command] = map.mappings
      if (command?.kind === 'command') return this.#vector(value, command)
      return this.#mismatch(value, map, 'a list where a mapping expects text')
    }
    if (typeof value === 'object') {
      if (map.members !== undefined) return this.object(value as JsonObject, map)
      return this.#mismatch(value, map, 'an object where a mapping expects text or a list')
    }
    return this.#mismatch(value, map, `a ${typeof value} where a mapping expects something else`)
  }

  #unmapped(value: JsonValue): JsonValue {
    if (typeof value === 'string') this.#guard(value)
    else if (Array.isArray(value)) return this.#array(value, undefined)
    else if (typeof value === 'object' && value !== null) return this.object(value as JsonObject, undefined)
    return value
  }

  // A value of another type than a resource mapping expects is refused, not skipped: a tool that also takes
  // {"0": "etc/x"} for a list would be given a path that nobody judged.
  #mismatch(value: JsonValue, map: ResourceMap, reason: string): JsonValue {
    return map.demands ? this.#refuse(value, reason) : this.#unmapped(value)
  }

  #text(value: string, map: ResourceMap): JsonValue {
    if (map.mappings.length === 0) return this.#mismatch(value, map, 'text where a mapping expects a list or an object')
    let canonical = value
    for (const mapping of map.mappings) {
      canonical = this.#read(value, mapping)
      if (this.fault !== undefined) return value
    }
    return canonical
  }

  #read(value: string, mapping: CompiledMapping): string {
    const { kind } = mapping
    if (kind === 'text') return value
    const from = this.#from(mapping)
    if (kind === 'command') {
      this.#addAll(readCommand(value, { search: mapping.search, from, ...mapping.base }))
      return value
    }
    const method = this.#method(mapping)
    const named = readNamedResource(kind, value, {
      access: mapping.access,
      from,
      ...mapping.base,
      ...(method === undefined ? {} : { method }),
    })
    if (!named.ok) return this.#refuse(value, named.reason)
    this.#add(named.resource)
    return named.text
  }

  // The tool runs the list itself, without a shell, so every element is one argument whatever is in it.
  #vector(value: readonly JsonValue[], mapping: CompiledMapping): readonly JsonValue[] {
    const words = value.filter((element) => typeof element === 'string')
    if (words.length < value.length) return this.#refuse(value, 'a list of arguments that are not all text')
    const { search, base } = mapping
    this.#addAll(readArgumentVector(words, { search, from: this.#from(mapping), ...base }))
    return value
  }

  #from(mapping: CompiledMapping): string {
    return mapping.from ?? formatPointer(this.#trail)
  }

  #method({ method, methodFrom }: CompiledMapping): string | undefined {
    return methodFrom === undefined ? method : methodAt(this.#args, methodFrom, this.#trail)
  }

  #addAll(reading: CommandReading): void {
    if (!reading.ok) this.#fail('command_unresolved', reading.reason)
    else for (const resource of reading.resources) this.#add(resource)
  }

  #add(resource: Resource): void {
    if (this.resources.length < LIMITS.resources) this.resources.push(resource)
    else this.#fail('arguments_too_large', `more than ${LIMITS.resources} resources in one call`)
  }

  #guard(text: string): void {
    const looks = looksLikeDestination(text)
    if (looks === undefined) return
    const place = formatPointer(this.#trail.map((token) => (typeof token === 'number' ? '*' : token)))
    const kind = looks === 'url' ? 'kind: url' : 'kind: path, access: read'
    this.#fail('resource_unmapped', `${looks === 'url' ? 'a URL' : 'a path'} where the manifest maps none`, {
      missing: `resources: [{ from: ${JSON.stringify(place)}, ${kind} }], or kind: text if it is only text`,
    })
  }

  #refuse<T extends JsonValue>(value: T, reason: string): T {
    this.#fail('resource_invalid', reason)
    return value
  }

  #fail(code: ExtractionFault['code'], reason: string, extra: { readonly missing?: string } = {}): void {
    this.fault ??= { code, pointer: formatPointer(this.#trail), reason, ...extra }
  }
}
