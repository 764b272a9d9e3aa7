// Compiles the JSON Schemas of tool inputs and of policy conditions, and the only file that knows ajv and ajv-formats. Schemas come from
// publishers and arguments from a model: neither may make the other slow, pass by an inherited property, or be changed
// (no coercion, no defaults, no removal). Regular expressions run on RE2, uniqueItems on canonical JSON: both linear.

import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { fullFormats } from 'ajv-formats/dist/formats.js'

import { canonicalJson } from '../canonical.ts'
import { sha256Hex } from '../crypto.ts'
import type { JsonObject, JsonValue } from '../json.ts'
import { LIMITS } from '../limits.ts'
import { compileRegExp, type LinearRegExp } from '../linear-regexp.ts'
import { parsePointer } from '../pointer.ts'
import { checkSchema, type SchemaFault, type SchemaSubject, type SchemaVocabulary } from './schema-check.ts'
import type { Dialect } from './schema-keywords.ts'

/** Why arguments do not fit: the place and the keyword, never a value. */
export interface ArgumentFault {
  readonly kind: 'mismatch' | 'too_much_work'
  /** RFC 6901 pointer into the arguments. */
  readonly pointer: string
  readonly keyword: string
  /** For `required`: the missing property, in the schema's own words. */
  readonly missing?: string
}

/** Throws only what is a defect of ours; callers turn that into a denial. */
export type ArgumentCheck = (args: JsonObject) => ArgumentFault | undefined

export type CompiledSchema =
  | { readonly ok: true; readonly check: ArgumentCheck; readonly cost: number }
  | { readonly ok: false; readonly faults: readonly SchemaFault[]; readonly followable: boolean; readonly cost: number }

/**
 * The formats that are checked. Left out of ajv-formats on purpose: `url` (its expression takes quadratic time), `regex`
 * (it would compile what a model wrote), and `byte`, which there accepts a text of which one line is base64.
 */
export const INPUT_FORMATS: readonly string[] = [
  'date',
  'date-time',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'iso-date-time',
  'iso-time',
  'json-pointer',
  'json-pointer-uri-fragment',
  'relative-json-pointer',
  'time',
  'uri',
  'uri-reference',
  'uri-template',
  'uuid',
  'byte',
  'double',
  'float',
  'int32',
  'int64',
  'password',
]

const FORMATS: NonNullable<Options['formats']> = Object.fromEntries(
  INPUT_FORMATS.map((name) => {
    if (name === 'byte') return [name, /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/]
    return [name, (fullFormats as NonNullable<Options['formats']>)[name] ?? true]
  }),
)

class TooMuchWork extends Error {}

/** What checking one call has taken so far. One for each compiler; checks are synchronous and do not nest. */
interface Meter {
  steps: number
  unique: Map<readonly JsonValue[], boolean>
}

/** Compiles schemas and keeps the results of the last `capacity` different ones. */
export class InputSchemaCompiler {
  readonly #subject: SchemaSubject
  readonly #capacity: number
  readonly #cache = new Map<string, CompiledSchema>()

  constructor(capacity = 256, subject: SchemaSubject = 'arguments') {
    this.#subject = subject
    this.#capacity = capacity
  }

  compile(schema: JsonObject): CompiledSchema {
    const key = sha256Hex(canonicalJson(schema))
    const before = this.#cache.get(key)
    if (before !== undefined) return before
    const compiled = compileSchema(schema, this.#subject)
    if (this.#cache.size >= this.#capacity) {
      for (const oldest of this.#cache.keys()) {
        this.#cache.delete(oldest)
        break
      }
    }
    this.#cache.set(key, compiled)
    return compiled
  }
}

/** The check of a tool that declares no schema: it takes no arguments. */
export function noArguments(args: JsonObject): ArgumentFault | undefined {
  return Object.keys(args).length === 0 ? undefined : { kind: 'mismatch', pointer: '', keyword: 'additionalProperties' }
}

function compileSchema(schema: JsonObject, subject: SchemaSubject): CompiledSchema {
  const patterns = new Map<string, LinearRegExp>()
  const { dialect, faults, cost, followable } = checkSchema(schema, vocabulary(patterns), subject)
  if (faults.length > 0) return { ok: false, faults, followable, cost }
  const strict: SchemaFault[] = []
  const meter: Meter = { steps: 0, unique: new Map() }
  try {
    const { $schema: _dialect, ...body } = schema
    const validate = newAjv(dialect, patterns, meter, (message) => strict.push(ajvFault(message))).compile(body)
    if (strict.length > 0) return { ok: false, faults: strict, followable, cost }
    const check = argumentCheck(validate, meter)
    // The engine reads generated code when it first runs; what it cannot read is a problem of the load, not of a call.
    check({})
    return { ok: true, check, cost }
  } catch (cause) {
    return {
      ok: false,
      faults: [...strict, ajvFault(cause instanceof Error ? cause.message : 'unknown')],
      followable,
      cost,
    }
  }
}

function argumentCheck(validate: ValidateFunction, meter: Meter): ArgumentCheck {
  return (args) => {
    meter.steps = 0
    try {
      // `true` and nothing else: an asynchronous validator answers with a promise, which is truthy.
      if (validate(args) === true) return undefined
    } catch (cause) {
      if (cause instanceof TooMuchWork) return { kind: 'too_much_work', pointer: '', keyword: 'pattern' }
      throw cause
    } finally {
      if (meter.unique.size > 0) meter.unique.clear()
    }
    return argumentFault(validate.errors?.at(-1))
  }
}

function argumentFault(error: ErrorObject | undefined): ArgumentFault {
  const missing: unknown = error?.params['missingProperty']
  return {
    kind: 'mismatch',
    pointer: error?.instancePath ?? '',
    keyword: error?.keyword ?? 'unknown',
    ...(error?.keyword === 'required' && typeof missing === 'string' ? { missing } : {}),
  }
}

function newAjv(
  dialect: Dialect,
  patterns: Map<string, LinearRegExp>,
  meter: Meter,
  warn: (message: string) => void,
): Ajv | Ajv2020 {
  const options: Options = {
    // Every warning of strict mode is collected and refuses the schema; `true` would stop at the first.
    strict: 'log',
    allowUnionTypes: true,
    // `required` beside `properties` of a parent is the usual way to say "one of these".
    strictRequired: false,
    // An inherited `toString` is not an argument (required: ['toString'] holds for {} without this).
    ownProperties: true,
    allErrors: false,
    coerceTypes: false,
    useDefaults: false,
    removeAdditional: false,
    $data: false,
    // checkSchema has judged the schema's own shape, with a place for each fault.
    meta: false,
    validateSchema: false,
    addUsedSchema: false,
    inlineRefs: true,
    messages: false,
    validateFormats: true,
    formats: FORMATS,
    code: { regExp: linearRegExp(patterns, meter), optimize: false },
    logger: { log: warn, warn, error: warn },
  }
  const ajv = dialect === '2020-12' ? new Ajv2020(options) : new Ajv(options)
  for (const keyword of ['uniqueItems', 'enum', 'const']) ajv.removeKeyword(keyword)
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    errors: false,
    compile: (wanted: boolean) => (items: readonly JsonValue[]) => !wanted || allDifferent(items, meter),
  })
  ajv.addKeyword({ keyword: 'enum', schemaType: 'array', errors: false, compile: oneOf })
  ajv.addKeyword({ keyword: 'const', errors: false, compile: (constant: JsonValue) => oneOf([constant]) })
  return ajv
}

// The compiler's own comparison asks a value for its `constructor`, `valueOf` and `toString`, which arguments can bring
// along: equal values then differ, or the call throws.
function oneOf(constants: readonly JsonValue[]): (value: JsonValue) => boolean {
  const scalars = new Set<JsonValue>(constants.filter((constant) => typeof constant !== 'object' || constant === null))
  const others = constants.filter((constant) => typeof constant === 'object' && constant !== null)
  return (value) => scalars.has(value) || others.some((constant) => sameJson(constant, value))
}

/** Takes no longer than `constant` is large, however large `value` is. */
function sameJson(constant: JsonValue, value: JsonValue): boolean {
  if (constant === null || value === null || typeof constant !== 'object' || typeof value !== 'object') {
    return constant === value
  }
  if (Array.isArray(constant) !== Array.isArray(value)) return false
  const keys = Object.keys(constant)
  if (keys.length !== Object.keys(value).length) return false
  const known = constant as JsonObject
  const other = value as JsonObject
  return keys.every((key) => Object.hasOwn(other, key) && sameJson(known[key] as JsonValue, other[key] as JsonValue))
}

// ajv compares every pair (1.4 s for 8,000 objects). Equal values, and only those, have equal canonical JSON. The answer
// is kept for the length of one check, because a schema can ask about one array many times.
function allDifferent(items: readonly JsonValue[], meter: Meter): boolean {
  const before = meter.unique.get(items)
  if (before !== undefined) return before
  const seen = new Set<string>()
  for (const item of items) seen.add(canonicalJson(item))
  const different = seen.size === items.length
  meter.unique.set(items, different)
  return different
}

type RegExpEngine = NonNullable<NonNullable<Options['code']>['regExp']>

function linearRegExp(patterns: Map<string, LinearRegExp>, meter: Meter): RegExpEngine {
  const engine = (pattern: string): ReturnType<RegExpEngine> => {
    const compiled = patterns.get(pattern)
    if (compiled === undefined) throw new TypeError('a pattern that was not checked')
    const { size } = compiled
    return {
      test: (text: string): boolean => {
        // Linear is not cheap when both program and text are large; the product is what a publisher and a model can buy.
        meter.steps += size * (text.length + 1)
        if (meter.steps > LIMITS.patternSteps) throw new TooMuchWork()
        return compiled.test(text)
      },
      exec: (): never => {
        throw new TypeError('patterns are only tested')
      },
      // ajv shares expressions by this text: without it every pattern of a schema would be the first one.
      toString: () => pattern,
    } as unknown as ReturnType<RegExpEngine>
  }
  engine.code = 'linearRegExp'
  return engine
}

function vocabulary(patterns: Map<string, LinearRegExp>): SchemaVocabulary {
  return {
    hasFormat: (name) => INPUT_FORMATS.includes(name),
    pattern: (pattern) => {
      const compiled = compileRegExp(pattern)
      if (!compiled.ok) return compiled
      patterns.set(pattern, compiled.regexp)
      return { ok: true, size: compiled.regexp.size }
    },
  }
}

// ajv names the place at the end of its message: … at "#/properties/a~1b" (strictTypes).
function ajvFault(message: string): SchemaFault {
  const named = /at "[^"#]*#([^"]*)"/.exec(message)?.[1]
  let at: readonly string[] = []
  try {
    at = parsePointer(decodeURIComponent(named ?? '')) ?? []
  } catch {
    // A place that cannot be read back: the fault is reported at the schema.
  }
  const short = message.replace(/ at "[^"]*"/, '')
  return { at, message: `the schema cannot be compiled: ${short}` }
}
