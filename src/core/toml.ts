// TOML 1.0, for manifests written as claw.toml. Its dates and times are refused: they have no counterpart in JSON, so
// no two readers of the value would agree on them. Nesting and lengths are bounded by a scan of our own before the
// library sees the text. The only file that knows `toml-eslint-parser`.

import { ParseError, parseTOML } from 'toml-eslint-parser'
import { type JsonValue, NUMBER_HINT, quoteKey, refuseNumber } from './json.ts'
import { LIMITS } from './limits.ts'
import { addMember } from './member.ts'
import { type ArrayPlace, FlawList, type ObjectPlace, type Place, type Reading, StopReading } from './places.ts'
import { formatPointer } from './pointer.ts'
import type { ProblemCode } from './problem.ts'
import { scanToml } from './toml-scan.ts'

type Program = ReturnType<typeof parseTOML>
type TopLevel = Program['body'][0]
type Statement = TopLevel['body'][number]
type KeyValue = Extract<Statement, { type: 'TOMLKeyValue' }>
type Table = Extract<Statement, { type: 'TOMLTable' }>
type KeyNode = KeyValue['key']
type Content = KeyValue['value']

/** Reads `text`; see {@link Reading}. The first syntax error ends it, all else is reported together. */
export function readToml(text: string): Reading {
  const flaws = new FlawList()
  try {
    scanToml(text, flaws)
    return new Builder(flaws).read(parseTOML(text, { tomlVersion: '1.0' }))
  } catch (error) {
    if (error instanceof StopReading) return flaws.failure()
    const known = error instanceof ParseError
    const duplicate = known && error.message === DUPLICATE
    flaws.add({
      code: duplicate ? 'duplicate_key' : 'syntax_error',
      offset: known ? error.index : 0,
      pointer: '',
      message: duplicate
        ? 'this key or table is defined twice'
        : known
          ? `TOML: ${error.message}`
          : 'the text cannot be read as TOML',
    })
    return flaws.failure()
  }
}

const DUPLICATE = 'Defining a key multiple times is invalid'

/** A table being filled: its value and its place, which grow together. */
interface OpenTable {
  readonly kind: 'table'
  readonly value: Record<string, JsonValue>
  readonly place: ObjectPlace
  readonly members: Map<string, Member>
}

interface OpenArray {
  readonly kind: 'array'
  readonly value: JsonValue[]
  readonly place: ArrayPlace
  readonly tables: OpenTable[]
}

/** What a later header or dotted key may still add to; a closed member is final. */
type Member = OpenTable | OpenArray | 'closed'

/** From syntax tree to plain values, with their places. */
class Builder {
  readonly #flaws: FlawList
  #values = 0
  #path: (string | number)[] = []

  constructor(flaws: FlawList) {
    this.#flaws = flaws
  }

  read(program: Program): Reading {
    const root = newTable(0)
    for (const statement of program.body[0].body) {
      this.#path = []
      if (statement.type === 'TOMLKeyValue') this.#keyValue(statement, root)
      else this.#table(statement, root)
    }
    return this.#flaws.reading(root.value, root.place)
  }

  #table(node: Table, root: OpenTable): void {
    const keys = node.key.keys
    const last = keys.length - 1
    const parent = this.#descend(root, node.key, last)
    const name = keys[last]
    if (parent === undefined || name === undefined) return
    const table = this.#openHeader(parent, keyName(name), name.range[0], node.kind === 'array')
    if (table === undefined) return
    const path = this.#path
    for (const statement of node.body) {
      this.#path = [...path]
      this.#keyValue(statement, table)
    }
  }

  #openHeader(parent: OpenTable, name: string, offset: number, isArray: boolean): OpenTable | undefined {
    const member = parent.members.get(name)
    if (!isArray) {
      this.#path.push(name)
      if (member === undefined) return this.#addTable(parent, name, offset)
      // The library has refused a table that is defined twice; this one was only implied by a longer header.
      return member !== 'closed' && member.kind === 'table' ? member : this.#twice(name, offset)
    }
    this.#path.push(name)
    const array = member ?? this.#addArray(parent, name, offset)
    if (array === undefined || array === 'closed' || array.kind !== 'array') return this.#twice(name, offset)
    this.#path.push(array.tables.length)
    this.#depth(offset)
    this.#count(offset)
    const table = newTable(offset)
    array.tables.push(table)
    array.value.push(table.value)
    array.place.items.push(table.place)
    return table
  }

  #keyValue(node: KeyValue, table: OpenTable): void {
    const last = node.key.keys.length - 1
    const parent = this.#descend(table, node.key, last)
    const key = node.key.keys[last]
    if (parent === undefined || key === undefined) return
    const name = keyName(key)
    const offset = key.range[0]
    this.#path.push(name)
    if (parent.members.has(name)) {
      this.#twice(name, offset)
      return
    }
    const [value, place] = this.#content(node.value)
    this.#add(parent, name, offset, 'closed', value, place)
  }

  /** The table that the first `count` keys lead to from `table`, made where it does not exist. */
  #descend(table: OpenTable, key: KeyNode, count: number): OpenTable | undefined {
    let current = table
    for (const node of key.keys.slice(0, count)) {
      const name = keyName(node)
      const offset = node.range[0]
      this.#path.push(name)
      const member = current.members.get(name)
      let next: OpenTable | undefined
      if (member === undefined) next = this.#addTable(current, name, offset)
      else if (member === 'closed') return this.#twice(name, offset)
      else if (member.kind === 'table') next = member
      else {
        this.#path.push(member.tables.length - 1)
        next = member.tables.at(-1)
      }
      if (next === undefined) return undefined
      current = next
    }
    return current
  }

  #content(node: Content): [JsonValue, Place] {
    const offset = node.range[0]
    this.#count(offset)
    switch (node.type) {
      case 'TOMLArray':
        return this.#array(node.elements, offset)
      case 'TOMLInlineTable': {
        this.#depth(offset)
        const table = newTable(offset)
        const path = this.#path
        for (const statement of node.body) {
          this.#path = [...path]
          this.#keyValue(statement, table)
        }
        this.#path = path
        return [table.value, table.place]
      }
      case 'TOMLValue':
        return [this.#scalar(node), offset]
    }
  }

  #array(elements: readonly Content[], offset: number): [JsonValue, Place] {
    this.#depth(offset)
    const value: JsonValue[] = []
    const items: Place[] = []
    for (const element of elements) {
      this.#path.push(value.length)
      const [item, place] = this.#content(element)
      this.#path.pop()
      value.push(item)
      items.push(place)
    }
    return [value, { start: offset, items }]
  }

  #scalar(node: Extract<Content, { type: 'TOMLValue' }>): JsonValue {
    const offset = node.range[0]
    switch (node.kind) {
      case 'string':
      case 'boolean':
        return node.value
      case 'integer':
      case 'float': {
        const refusal = refuseNumber(node.value, node.kind === 'integer')
        if (refusal !== undefined) this.#flaw('invalid_value', offset, refusal, NUMBER_HINT)
        return node.value
      }
      default:
        this.#flaw('unsupported_syntax', offset, 'dates and times have no counterpart in JSON', 'put it in quotes')
        return null
    }
  }

  #addTable(parent: OpenTable, name: string, offset: number): OpenTable | undefined {
    this.#depth(offset)
    this.#count(offset)
    const table = newTable(offset)
    return this.#add(parent, name, offset, table, table.value, table.place) ? table : undefined
  }

  #addArray(parent: OpenTable, name: string, offset: number): OpenArray | undefined {
    this.#depth(offset)
    this.#count(offset)
    const array: OpenArray = { kind: 'array', value: [], place: { start: offset, items: [] }, tables: [] }
    return this.#add(parent, name, offset, array, array.value, array.place) ? array : undefined
  }

  #add(parent: OpenTable, name: string, offset: number, member: Member, value: JsonValue, place: Place): boolean {
    if (name === '__proto__') {
      this.#flaw('forbidden_key', offset, `the key ${quoteKey(name)} is not allowed`)
      return false
    }
    parent.members.set(name, member)
    addMember(parent.value, name, value)
    parent.place.names.push(name)
    parent.place.keys.push(offset)
    parent.place.values.push(place)
    return true
  }

  #twice(name: string, offset: number): undefined {
    this.#flaw('duplicate_key', offset, `the key ${quoteKey(name)} is defined twice`)
    return undefined
  }

  /** Before a container is entered whose key or index is the last of the path. */
  #depth(offset: number): void {
    if (this.#path.length < LIMITS.depth) return
    this.#stop('too_deep', offset, `nested deeper than ${LIMITS.depth} levels`)
  }

  #count(offset: number): void {
    if (++this.#values > LIMITS.documentValues) {
      this.#stop('too_large', offset, `more than ${LIMITS.documentValues} values`)
    }
  }

  #flaw(code: ProblemCode, offset: number, message: string, hint?: string): void {
    const pointer = formatPointer(this.#path)
    this.#flaws.add({ code, offset, pointer, message, ...(hint === undefined ? {} : { hint }) })
  }

  #stop(code: ProblemCode, offset: number, message: string): never {
    return this.#flaws.stop({ code, offset, pointer: formatPointer(this.#path), message })
  }
}

function newTable(start: number): OpenTable {
  return { kind: 'table', value: {}, place: { start, names: [], keys: [], values: [] }, members: new Map() }
}

function keyName(node: KeyNode['keys'][number]): string {
  return node.type === 'TOMLBare' ? node.name : node.value
}
