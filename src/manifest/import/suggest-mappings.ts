// Which arguments of a tool look as if they named a resource, by format, name and description. A guess for a person to
// read and never a mapping: what is not mapped is refused by the destination guard as soon as it looks like a
// destination, while a wrong `kind: text` would switch that guard off.

import type { JsonObject, JsonValue } from '../../core/json.ts'
import { followReference } from '../../core/json-schema/schema-check.ts'
import { reach } from '../../core/json-schema/schema-reach.ts'
import { LIMITS } from '../../core/limits.ts'
import { formatPointer } from '../../core/pointer.ts'
import type { PathAccess, ResourceKind } from '../../core/resource.ts'
import { hasUnprintable } from '../../core/text.ts'
import { isList, isObject, member } from './imported.ts'

export interface MappingSuggestion {
  /** JSON Pointer into the arguments. */
  readonly from: string
  readonly kind: ResourceKind
  readonly access?: PathAccess
  readonly optional?: true
}

/** A suggestion, what speaks for it, and where in the schema the argument is. */
export interface LikelyResource {
  readonly suggestion: MappingSuggestion
  readonly because: string
  readonly at: readonly (string | number)[]
}

/** Schemas looked at; a schema can branch without end where it is not yet known to be bounded. */
const MOST_SCHEMAS = 2_000
const DEEPEST = 12

const FORMATS: ReadonlyMap<string, ResourceKind> = new Map([
  ['uri', 'url'],
  ['uri-reference', 'url'],
  ['url', 'url'],
  ['hostname', 'host'],
  ['ipv4', 'host'],
  ['ipv6', 'host'],
])

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '))
const NAMES: readonly (readonly [ResourceKind, ReadonlySet<string>])[] = [
  ['url', words('url urls uri uris href link links endpoint webhook callback origin')],
  ['path', words('path paths file files filename filenames filepath dir directory folder cwd workdir')],
  ['host', words('host hosts hostname hostnames domain domains ip server')],
  ['binary', words('command commands cmd program binary executable interpreter shell script')],
  ['text', words('content contents body text message query prompt question comment note code sql html markdown')],
]
const ENV = /^env(?:ironment)?_?(?:vars?|variables?|names?)$/
/** What follows such a word is about the thing and does not name it: file_id, url_count. */
const ABOUT = words('id ids type types kind format size count mode status label title length encoding order sort')
const WRITES = words('output out dest destination target save write export')

const DESCRIPTIONS: readonly (readonly [ResourceKind, RegExp])[] = [
  ['url', /\b(?:https?:\/\/|urls?\b)/i],
  ['path', /\b(?:file|absolute|relative|directory|folder|local) paths?\b|\bpaths? (?:to|of)\b/i],
  ['host', /\bhost ?names?\b|\bip address(?:es)?\b/i],
]

/** The arguments that `schema` leaves open to any text and that look like a resource. At most LIMITS.resources. */
export function likelyResources(schema: JsonObject): readonly LikelyResource[] {
  const finder = new Finder(schema)
  finder.visit(schema, [], [], '')
  return finder.found
}

class Finder {
  readonly found: LikelyResource[] = []
  readonly #root: JsonObject
  readonly #seen = new Set<string>()
  #visited = 0

  constructor(root: JsonObject) {
    this.#root = root
  }

  visit(
    schema: JsonValue | undefined,
    tokens: readonly string[],
    at: readonly (string | number)[],
    name: string,
  ): void {
    if (!isObject(schema) || ++this.#visited > MOST_SCHEMAS || at.length > 4 * DEEPEST) return
    if (tokens.length > DEEPEST || this.found.length >= LIMITS.resources) return
    const reference = member(schema, '$ref')
    if (typeof reference === 'string') this.visit(followReference(this.#root, reference), tokens, [...at, '$ref'], name)
    this.#leaf(schema, tokens, at, name)
    const properties = member(schema, 'properties')
    if (isObject(properties)) {
      for (const [key, entry] of Object.entries(properties)) {
        // `*` would be every element, and a name nobody can see is none to suggest.
        if (key === '*' || key === '' || hasUnprintable(key)) continue
        this.visit(entry, [...tokens, key], [...at, 'properties', key], key)
      }
    }
    const items = member(schema, 'items')
    if (tokens.length > 0 && isObject(items)) this.visit(items, [...tokens, '*'], [...at, 'items'], name)
    for (const keyword of ['allOf', 'anyOf', 'oneOf']) {
      const branches = member(schema, keyword)
      if (!isList(branches)) continue
      for (const [index, branch] of branches.entries()) this.visit(branch, tokens, [...at, keyword, index], name)
    }
  }

  #leaf(schema: JsonObject, tokens: readonly string[], at: readonly (string | number)[], name: string): void {
    if (name === '' || !isFreeText(schema)) return
    const from = formatPointer(tokens)
    const likely = kindOf(schema, name)
    if (likely === undefined || this.#seen.has(from) || from.length > LIMITS.patternLength) return
    const { possible, required } = reach(this.#root, tokens, 'any')
    if (!possible) return
    this.#seen.add(from)
    const access = likely.kind === 'path' ? { access: accessOf(name) } : {}
    const suggestion = { from, kind: likely.kind, ...access, ...(required ? {} : { optional: true as const }) }
    this.found.push({ suggestion, because: likely.because, at })
  }
}

/** Text of the caller's choice: what is one of a list names nothing that the author did not name. */
function isFreeText(schema: JsonObject): boolean {
  if (Object.hasOwn(schema, 'enum') || Object.hasOwn(schema, 'const')) return false
  const type = member(schema, 'type')
  return type === 'string' || (isList(type) && type.includes('string'))
}

function kindOf(
  schema: JsonObject,
  name: string,
): { readonly kind: ResourceKind; readonly because: string } | undefined {
  const format = member(schema, 'format')
  const byFormat = typeof format === 'string' ? FORMATS.get(format) : undefined
  if (byFormat !== undefined) return { kind: byFormat, because: 'its format' }
  const parts = wordsOf(name)
  if (ENV.test(parts.join('_'))) return { kind: 'env', because: 'its name' }
  if (!ABOUT.has(parts.at(-1) ?? '')) {
    const byName = NAMES.find(([, names]) => parts.some((part) => names.has(part)))?.[0]
    if (byName !== undefined) return { kind: byName, because: 'its name' }
  }
  const description = member(schema, 'description')
  const text = typeof description === 'string' ? description.slice(0, LIMITS.patternLength) : ''
  const byText = DESCRIPTIONS.find(([, pattern]) => pattern.test(text))?.[0]
  return byText === undefined ? undefined : { kind: byText, because: 'its description' }
}

function accessOf(name: string): PathAccess {
  return wordsOf(name).some((word) => WRITES.has(word)) ? 'write' : 'read'
}

/** `saveTo`, `save_to` and `save-to` alike; `url2` is `url`. */
function wordsOf(name: string): readonly string[] {
  return name
    .slice(0, LIMITS.nameLength)
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .map((word) => word.replace(/[0-9]+$/, ''))
    .filter((word) => word !== '')
}
