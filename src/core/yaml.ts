// YAML 1.2, core schema, one document, no cleverness: what can make a text mean something else than it looks like
// (anchors, aliases, merges, tags, directives, a second document, keys that are not strings) is refused at its place.
// Nesting and size are bounded before the library builds anything from the text. The only file that knows `yaml`.

import { Alias, Composer, Lexer, Pair, Parser, Scalar, YAMLMap, YAMLSeq } from 'yaml'
import { type JsonValue, NUMBER_HINT, quoteKey, refuseNumber } from './json.ts'
import { LIMITS } from './limits.ts'
import { addMember } from './member.ts'
import { FlawList, type Place, type Reading, StopReading } from './places.ts'
import { formatPointer } from './pointer.ts'
import type { ProblemCode } from './problem.ts'
import { printable } from './text.ts'
import { isWellFormed } from './wellformed.ts'
import { readYamlBlock } from './yaml-block.ts'

// For yaml-format.ts, which lays out what was read here.
export {
  Lexer as LexYaml,
  Pair,
  parseDocument as parseYamlNodes,
  Scalar,
  type Tags as YamlTags,
  YAMLMap,
  YAMLSeq,
} from 'yaml'

/** Reads `text`; see {@link Reading}. The first syntax error ends it, all else is reported together. */
export function readYaml(text: string): Reading {
  return readYamlBlock(text) ?? readYamlWithLibrary(text)
}

/** {@link readYaml} without the short cut: what it must agree with. */
export function readYamlWithLibrary(text: string): Reading {
  const flaws = new FlawList()
  try {
    const root = compose(text, flaws)
    return new Walk(text, flaws).read(root)
  } catch (error) {
    if (error instanceof StopReading) return flaws.failure()
    // Whatever the library trips over was not readable YAML.
    flaws.add({ code: 'syntax_error', offset: 0, pointer: '', message: 'the text cannot be read as YAML' })
    return flaws.failure()
  }
}

/** The node tree of the one document in `text`; `undefined` when the text holds nothing but comments. */
function compose(text: string, flaws: FlawList): unknown {
  let ended = false
  const syntax = (offset: number, message: string): never => {
    // What the error handler throws, the composer catches and reports again, once for each level of nesting.
    if (ended) throw new StopReading(message)
    ended = true
    return flaws.stop({ code: 'syntax_error', offset, pointer: '', message: printable(message, 200) })
  }
  const composer = new Composer({
    prettyErrors: false,
    keepSourceTokens: false,
    // Compared pair by pair, quadratic in the size of a map; Walk finds duplicates as it builds the object.
    uniqueKeys: false,
    logLevel: 'silent',
  })
  // By itself the composer goes on after an error and keeps every one with its stack: a text of a million commas fills
  // the memory. Where this name means nothing to a later version, its errors are still found on the document below.
  const onError = (source: unknown, _code: unknown, message: string, warning?: boolean): void => {
    // Warnings are about tags and aliases only, and those are refused below.
    if (warning !== true) syntax(offsetOf(source), message)
  }
  Reflect.set(composer, 'onError', onError)
  let contents: unknown
  let documents = 0
  for (const token of tokens(text, flaws)) {
    if (token.type === 'directive') {
      flaws.stop({
        code: 'unsupported_syntax',
        offset: token.offset,
        pointer: '',
        message: 'directives (%YAML, %TAG) are not allowed',
      })
    }
    if (token.type === 'error') syntax(token.offset, token.message)
    if (token.type === 'document' && ++documents > 1) {
      flaws.stop({
        code: 'unsupported_syntax',
        offset: token.offset,
        pointer: '',
        message: 'a second document begins here; one file is one document',
      })
    }
    for (const document of composer.next(token)) contents = checked(document, syntax)
  }
  for (const document of composer.end()) contents = checked(document, syntax)
  return contents
}

interface ComposedDocument {
  readonly contents: unknown
  readonly errors: readonly { readonly pos: readonly [number, number]; readonly message: string }[]
}

function checked(document: ComposedDocument, syntax: (offset: number, message: string) => never): unknown {
  const [error] = document.errors
  if (error !== undefined) syntax(error.pos[0], error.message)
  return document.contents
}

/** The library gives a place as an offset, a range, or a token. */
function offsetOf(source: unknown): number {
  if (typeof source === 'number') return source
  if (Array.isArray(source)) return typeof source[0] === 'number' ? source[0] : 0
  const offset = typeof source === 'object' && source !== null ? Reflect.get(source, 'offset') : 0
  return typeof offset === 'number' ? offset : 0
}

type Token = ReturnType<Parser['parse']> extends Generator<infer T> ? T : never

/** The concrete syntax tree, refused while it grows too deep or too large: the composer is recursive and hungry. */
function* tokens(text: string, flaws: FlawList): Generator<Token> {
  const parser = new Parser()
  let lexemes = 0
  for (const lexeme of new Lexer().lex(text)) {
    // The library puts a quoted string together letter by letter.
    if (lexeme.length > LIMITS.yamlString) {
      const message = `a string or comment longer than ${LIMITS.yamlString} characters`
      flaws.stop({ code: 'too_large', offset: parser.offset, pointer: '', message })
    }
    yield* parser.next(lexeme)
    // One entry a collection, besides document and scalar. What is slightly too deep is found, with its place, by Walk.
    if (parser.stack.length > LIMITS.depth + 8) {
      const message = `nested deeper than ${LIMITS.depth} levels`
      flaws.stop({ code: 'too_deep', offset: parser.offset, pointer: '', message })
    }
    if (++lexemes > LIMITS.yamlTokens) {
      const message = `more than ${LIMITS.yamlTokens} words and marks; JSON has no such limit`
      flaws.stop({ code: 'too_large', offset: parser.offset, pointer: '', message })
    }
  }
  yield* parser.end()
}

interface AnyNode {
  readonly range?: readonly [number, number, number] | null | undefined
  readonly anchor?: string | undefined
  readonly tag?: string | undefined
}

/** From nodes to plain values, with their places. Recursion is bounded by LIMITS.depth. */
class Walk {
  readonly #text: string
  readonly #flaws: FlawList
  readonly #path: (string | number)[] = []
  #values = 0
  #place: Place = 0

  constructor(text: string, flaws: FlawList) {
    this.#text = text
    this.#flaws = flaws
  }

  read(root: unknown): Reading {
    const value = this.#node(root, 0, 0)
    return this.#flaws.reading(value, this.#place)
  }

  #node(node: unknown, depth: number, fallback: number): JsonValue {
    const properties = node as AnyNode
    const start = properties?.range?.[0] ?? fallback
    if (++this.#values > LIMITS.documentValues) {
      this.#stop('too_large', start, depth, `more than ${LIMITS.documentValues} values`)
    }
    this.#place = start
    if (node === null || node === undefined) return null
    if (node instanceof Alias) {
      this.#flaw('unsupported_syntax', start, depth, 'aliases (*name) are not allowed', 'write the value out')
      return null
    }
    if (properties.anchor !== undefined) {
      this.#flaw('unsupported_syntax', start, depth, 'anchors (&name) are not allowed', 'write the value out')
    }
    if (properties.tag !== undefined) {
      this.#flaw(
        'unsupported_syntax',
        start,
        depth,
        'tags (!name) are not allowed',
        'quote the value to make it a string',
      )
    }
    if (node instanceof Scalar) return this.#scalar(node, start, depth)
    if (depth >= LIMITS.depth) this.#stop('too_deep', start, depth, `nested deeper than ${LIMITS.depth} levels`)
    if (node instanceof YAMLMap) return this.#map(node, start, depth)
    if (node instanceof YAMLSeq) return this.#sequence(node, start, depth)
    return this.#stop('syntax_error', start, depth, 'this is not a map, a list or a scalar')
  }

  #scalar(node: Scalar, start: number, depth: number): JsonValue {
    const { value } = node
    this.#closed(node, start, depth)
    switch (typeof value) {
      case 'string':
        if (!isWellFormed(value)) {
          this.#flaw('syntax_error', start, depth, 'half of a surrogate pair stands alone; it has no UTF-8 form')
        }
        return value
      case 'number':
        this.#number(value, node.source ?? '', start, depth)
        return value
      case 'boolean':
        return value
      default:
        if (value !== null && node.tag === undefined)
          this.#flaw('unsupported_syntax', start, depth, 'this value has no counterpart in JSON')
        return null
    }
  }

  /** The library takes an escaped quote at the end of the text for the closing one. */
  #closed(node: Scalar, start: number, depth: number): void {
    const quote = node.type === 'QUOTE_DOUBLE' ? '\\' : node.type === 'QUOTE_SINGLE' ? "'" : undefined
    if (quote === undefined) return
    let at = (node.range?.[1] ?? 0) - 2
    while (at > start && this.#text[at] === quote) at--
    const escapes = (node.range?.[1] ?? 0) - 2 - at
    if (escapes % 2 === 1) this.#stop('syntax_error', start, depth, 'this string has no closing quote')
  }

  #number(value: number, source: string, start: number, depth: number): void {
    const refusal = refuseNumber(value, /^(?:[-+]?[0-9]+|0[ox].*)$/.test(source))
    if (refusal !== undefined) this.#flaw('invalid_value', start, depth, refusal, NUMBER_HINT)
    else if (/^[-+]?0[0-9]/.test(source)) {
      // 0644 is 644 in YAML 1.2 and 420 in YAML 1.1; JSON and TOML refuse it as well.
      this.#flaw(
        'invalid_value',
        start,
        depth,
        'a number must not begin with a zero',
        'quote it, or write octal as 0o…',
      )
    }
  }

  #sequence(node: YAMLSeq, start: number, depth: number): JsonValue {
    const array: JsonValue[] = []
    const items: Place[] = []
    for (const item of node.items) {
      this.#path[depth] = array.length
      array.push(this.#node(item, depth + 1, start))
      items.push(this.#place)
    }
    this.#place = { start, items }
    return array
  }

  #map(node: YAMLMap, start: number, depth: number): JsonValue {
    const object: Record<string, JsonValue> = {}
    const place = { start, names: [] as string[], keys: [] as number[], values: [] as Place[] }
    for (const pair of node.items) {
      if (!(pair instanceof Pair)) return this.#stop('syntax_error', start, depth, 'this is not a map')
      const keyAt = (pair.key as AnyNode | null)?.range?.[0] ?? start
      const key = this.#key(pair.key, keyAt, depth)
      this.#path[depth] = key ?? ''
      const keep = key !== undefined && this.#acceptKey(key, object, keyAt, depth + 1)
      const value = this.#node(pair.value, depth + 1, keyAt)
      if (!keep) continue
      addMember(object, key, value)
      place.names.push(key)
      place.keys.push(keyAt)
      place.values.push(this.#place)
    }
    this.#place = place
    return object
  }

  #key(node: unknown, start: number, depth: number): string | undefined {
    const properties = node as AnyNode | null
    if (node instanceof Alias || properties?.anchor !== undefined || properties?.tag !== undefined) {
      this.#flaw('unsupported_syntax', start, depth, 'aliases, anchors and tags are not allowed on keys')
      return undefined
    }
    if (node instanceof Scalar && typeof node.value === 'string') {
      this.#closed(node, start, depth)
      if (isWellFormed(node.value)) return node.value
      this.#flaw('syntax_error', start, depth, 'half of a surrogate pair stands alone; it has no UTF-8 form')
      return undefined
    }
    // `1:` and `true:` are no strings in YAML and nothing else in JSON; two readers would disagree on the key.
    this.#flaw('unsupported_syntax', start, depth, 'this key is not a string', 'put it in quotes')
    return undefined
  }

  #acceptKey(key: string, object: object, keyAt: number, depth: number): boolean {
    if (key === '__proto__') this.#flaw('forbidden_key', keyAt, depth, `the key ${quoteKey(key)} is not allowed`)
    else if (key === '<<') {
      this.#flaw('unsupported_syntax', keyAt, depth, 'merge keys (<<) are not allowed', 'write the members out')
    } else if (Object.hasOwn(object, key)) {
      this.#flaw('duplicate_key', keyAt, depth, `the key ${quoteKey(key)} stands twice in this object`)
    } else return true
    return false
  }

  #flaw(code: ProblemCode, offset: number, depth: number, message: string, hint?: string): void {
    const pointer = formatPointer(this.#path.slice(0, depth))
    this.#flaws.add({ code, offset, pointer, message, ...(hint === undefined ? {} : { hint }) })
  }

  #stop(code: ProblemCode, offset: number, depth: number, message: string): never {
    return this.#flaws.stop({ code, offset, pointer: formatPointer(this.#path.slice(0, depth)), message })
  }
}
