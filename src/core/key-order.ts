// In which order the keys of a document are written: that of the published JSON Schema. Says nothing about which keys there
// may be, and where the schema leaves keys free it leaves their order free.

type Schema = Readonly<Record<string, unknown>>

/** Alternatives of one place that are looked at; schemas may refer to themselves and unions multiply. */
const MOST_ALTERNATIVES = 64

/** The order at one place of a document. */
export class KeyOrder {
  readonly #root: Schema
  readonly #schemas: readonly Schema[]
  #keys: readonly string[] | undefined
  /** Of the keys the schema lists; all others share one, so that what a document holds cannot fill this. */
  readonly #members = new Map<string, KeyOrder>()
  #others: KeyOrder | undefined
  #item: KeyOrder | undefined

  private constructor(root: Schema, schemas: readonly Schema[]) {
    this.#root = root
    this.#schemas = schemas
  }

  /** By a JSON Schema: its `properties`, also behind `items`, `additionalProperties`, unions and local `$ref`s. */
  static of(schema: Schema): KeyOrder {
    return new KeyOrder(schema, expand(schema, [schema]))
  }

  /** `keys` in the order they are written: first those the schema knows, as it lists them, then the others as they are. */
  sort(keys: readonly string[]): readonly string[] {
    if (this.#known().length === 0) return keys
    const present = new Set(keys)
    const known = new Set(this.#known().filter((key) => present.has(key)))
    return [...known, ...keys.filter((key) => !known.has(key))]
  }

  /** The order inside the member `key`. */
  member(key: string): KeyOrder {
    if (!this.#known().includes(key)) {
      this.#others ??= this.#inner((schema) => schema['additionalProperties'])
      return this.#others
    }
    let member = this.#members.get(key)
    if (member === undefined) {
      member = this.#inner((schema) => {
        const properties = objectOf(schema['properties'])
        const own = properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : undefined
        return own ?? schema['additionalProperties']
      })
      this.#members.set(key, member)
    }
    return member
  }

  /** The order inside the items of a list. */
  item(): KeyOrder {
    this.#item ??= this.#inner((schema) => schema['items'])
    return this.#item
  }

  #known(): readonly string[] {
    this.#keys ??= [...new Set(this.#schemas.flatMap((schema) => Object.keys(objectOf(schema['properties']) ?? {})))]
    return this.#keys
  }

  #inner(pick: (schema: Schema) => unknown): KeyOrder {
    const picked = this.#schemas.map((schema) => objectOf(pick(schema))).filter((schema) => schema !== undefined)
    return new KeyOrder(this.#root, expand(this.#root, picked))
  }
}

/** The schemas themselves and what they are unions of or refer to. */
function expand(root: Schema, schemas: readonly Schema[]): readonly Schema[] {
  const all: Schema[] = []
  const queue = [...schemas]
  while (queue.length > 0 && all.length < MOST_ALTERNATIVES) {
    const schema = queue.shift()
    if (schema === undefined || all.includes(schema)) continue
    all.push(schema)
    for (const word of ['anyOf', 'oneOf', 'allOf']) {
      const list: unknown = schema[word]
      if (Array.isArray(list)) queue.push(...list.map(objectOf).filter((one) => one !== undefined))
    }
    const name = /^#\/(?:\$defs|definitions)\/([^/~%]+)$/.exec(String(schema['$ref'] ?? ''))?.[1]
    const definitions = objectOf(root['$defs']) ?? objectOf(root['definitions'])
    const target = name !== undefined && definitions !== undefined ? objectOf(definitions[name]) : undefined
    if (target !== undefined) queue.push(target)
  }
  return all
}

function objectOf(value: unknown): Schema | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Schema) : undefined
}
