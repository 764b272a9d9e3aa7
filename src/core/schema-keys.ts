// Which keys a zod schema knows at a place of the value. Reads the definitions zod 4 keeps on every schema
// (`schema._zod.def`) without importing the package; what it does not recognise has no keys. Only used for hints.

/** Visits of one look-up: schemas may refer to themselves and unions multiply. */
const VISITS = 2_000

interface Definition {
  readonly type?: unknown
  readonly shape?: Readonly<Record<string, unknown>>
  readonly catchall?: unknown
  readonly element?: unknown
  readonly items?: readonly unknown[]
  readonly rest?: unknown
  readonly valueType?: unknown
  readonly options?: readonly unknown[]
  readonly left?: unknown
  readonly right?: unknown
  readonly innerType?: unknown
  readonly in?: unknown
  readonly getter?: () => unknown
}

/** Keys of the objects that `schema` allows at `path`; empty when it allows none or is no schema. */
export function knownKeys(schema: unknown, path: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>()
  const queue: { readonly schema: unknown; readonly at: number }[] = [{ schema, at: 0 }]
  for (let visits = 0; visits < VISITS; visits++) {
    const next = queue.pop()
    if (next === undefined) break
    const definition = definitionOf(next.schema)
    if (definition === undefined) continue
    const { at } = next
    const key = path[at]
    const push = (inner: unknown, step: number): unknown =>
      inner !== undefined && queue.push({ schema: inner, at: at + step })
    for (const same of [definition.innerType, definition.in, definition.left, definition.right]) push(same, 0)
    for (const option of definition.options ?? []) push(option, 0)
    if (definition.type === 'lazy') push(definition.getter?.(), 0)
    if (definition.type === 'object' && key === undefined) {
      for (const name of Object.keys(definition.shape ?? {})) found.add(name)
    }
    if (key === undefined) continue
    const shape = definition.shape ?? {}
    push(Object.hasOwn(shape, key) ? shape[key] : definition.catchall, 1)
    push(definition.type === 'tuple' ? (definition.items?.[Number(key)] ?? definition.rest) : definition.element, 1)
    push(definition.valueType, 1)
  }
  return found
}

function definitionOf(schema: unknown): Definition | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined
  const internals = (schema as { readonly _zod?: { readonly def?: unknown } })._zod
  const definition = internals?.def
  return typeof definition === 'object' && definition !== null ? definition : undefined
}
