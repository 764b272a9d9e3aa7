// A policy's own tests: a request and the verdict it must get, as they stand in a policy or in a file beside it. Every key
// is known or an error: a misspelt `expect` would otherwise be a test that passes for ever.

import { DENIALS, type DenialCode } from '../core/denial.ts'
import { orderProblems, type SourceDocument } from '../core/document.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { LIMITS } from '../core/limits.ts'
import { readNamedResource } from '../core/named-resource.ts'
import { closestName } from '../core/nearest.ts'
import { formatPointer } from '../core/pointer.ts'
import type { Problem, ProblemCode } from '../core/problem.ts'
import { PATH_ACCESSES, type PathAccess, type Resource } from '../core/resource.ts'
import { isHttpMethod, isName, printable } from '../core/text.ts'
import type { PolicyRequest } from './request.ts'
import { parseMoment } from './time-window.ts'

const DECISIONS = ['allow', 'deny', 'escalate'] as const

export interface ExpectedVerdict {
  readonly decision: (typeof DECISIONS)[number]
  readonly code?: DenialCode
  /** Ids of exactly the rules the verdict names, in any order. */
  readonly rules?: readonly string[]
}

export interface PolicyTest {
  readonly name: string
  readonly request: PolicyRequest
  readonly expect: ExpectedVerdict
  /** Where it is written. */
  readonly place: { readonly file: string; readonly line: number; readonly column: number }
}

export type PolicyTests =
  | { readonly ok: true; readonly tests: readonly PolicyTest[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** A `*.policy.test.yaml` file: which policies, relative to it, its tests are about. */
export interface PolicyTestFile {
  readonly policies: readonly string[]
  readonly variables: Readonly<Record<string, string>>
}

/** The `tests` of a policy document or test file whose variables have been filled in; none when there is no such key. */
export function readPolicyTests(document: SourceDocument): PolicyTests {
  const reader = new TestReader(document)
  const tests = reader.tests()
  return reader.total > 0 ? { ok: false, problems: reader.problems() } : { ok: true, tests }
}

/** The head of a test file: everything but its tests. Its `variables` are to be filled in before the tests are read. */
export function readPolicyTestFile(
  document: SourceDocument,
):
  | { readonly ok: true; readonly file: PolicyTestFile }
  | { readonly ok: false; readonly problems: readonly Problem[] } {
  const reader = new TestReader(document)
  const file = reader.file()
  return reader.total > 0 ? { ok: false, problems: reader.problems() } : { ok: true, file }
}

type Pointer = readonly (string | number)[]

const FILE_KEYS = ['policies', 'variables', 'tests']
const TEST_KEYS = ['name', 'request', 'expect']
const EXPECT_KEYS = ['decision', 'code', 'rules']
const REQUEST_KEYS = [
  'node',
  'roles',
  'labels',
  'skill',
  'tool',
  'args',
  'resources',
  'upstream',
  'downstream',
  'facts',
  'data_regions',
  'now',
  'run',
  'principal',
  'answers',
]
/** What names a resource, and the keys that may stand beside it. */
const RESOURCE_KEYS = {
  url: ['method'],
  host: ['method'],
  path: ['access'],
  binary: [],
  env: [],
  scope: [],
} as const satisfies Record<string, readonly string[]>
type ResourceKey = keyof typeof RESOURCE_KEYS
const RESOURCES = { items: inOrder([...Object.keys(RESOURCE_KEYS), 'method', 'access']) }

/** As much of a JSON Schema as says in which order the keys of a test are written. */
export const POLICY_TEST_KEYS: { readonly properties: Readonly<Record<string, unknown>> } = {
  properties: {
    name: {},
    request: { properties: Object.fromEntries(REQUEST_KEYS.map((key) => [key, key === 'resources' ? RESOURCES : {}])) },
    expect: inOrder(EXPECT_KEYS),
  },
}
/** The same of a test file. */
export const POLICY_TEST_FILE_KEYS: { readonly properties: Readonly<Record<string, unknown>> } = {
  properties: { policies: {}, variables: {}, tests: { items: POLICY_TEST_KEYS } },
}

/** Reads values that may be anything; what comes out beside problems is not to be used. */
class TestReader {
  total = 0
  readonly #problems: Problem[] = []
  readonly #document: SourceDocument

  constructor(document: SourceDocument) {
    this.#document = document
  }

  problems(): readonly Problem[] {
    return orderProblems(this.#problems, this.total)
  }

  file(): PolicyTestFile {
    const raw = this.#object([], this.#document.value, 'a test file', FILE_KEYS, ['policies', 'tests'])
    const policies = this.#texts(['policies'], raw['policies']) ?? []
    if (raw['policies'] !== undefined && policies.length === 0) {
      this.#report('invalid_value', ['policies'], 'no policy is listed')
    }
    const variables: Record<string, string> = Object.create(null) as Record<string, string>
    for (const [name, value] of Object.entries(this.#entries(['variables'], raw['variables']))) {
      if (typeof value === 'string') variables[name] = value
      else this.#report('wrong_type', ['variables', name], 'the value of a variable is a text')
    }
    return { policies, variables }
  }

  tests(): readonly PolicyTest[] {
    const { value } = this.#document
    const list = isObject(value) ? value['tests'] : undefined
    if (list === undefined) return []
    if (!Array.isArray(list)) {
      this.#report('wrong_type', ['tests'], 'tests is a list')
      return []
    }
    const names = new Map<string, number>()
    return (list as readonly JsonValue[]).map((raw, index) => {
      const test = this.#test(['tests', index], raw)
      const earlier = names.get(test.name)
      if (earlier !== undefined) {
        const { line } = this.#document.locate(formatPointer(['tests', earlier]))
        this.#report('duplicate_name', ['tests', index, 'name'], `the test on line ${line} has the same name`)
      } else if (test.name !== '') names.set(test.name, index)
      return test
    })
  }

  #test(at: Pointer, value: JsonValue): PolicyTest {
    const raw = this.#object(at, value, 'a test', TEST_KEYS, TEST_KEYS)
    const name = this.#text([...at, 'name'], raw['name']) ?? ''
    if (raw['name'] === '') this.#report('invalid_value', [...at, 'name'], 'a test has a name')
    const { line, column } = this.#document.locate(formatPointer(at))
    return {
      name: printable(name),
      request: this.#request([...at, 'request'], raw['request']),
      expect: this.#expect([...at, 'expect'], raw['expect']),
      place: { file: this.#document.file, line, column },
    }
  }

  #expect(at: Pointer, value: JsonValue | undefined): ExpectedVerdict {
    const fallback = { decision: 'deny' } as const
    if (value === undefined) return fallback
    if (typeof value === 'string') return { decision: this.#oneOf(at, value, DECISIONS) ?? 'deny' }
    const raw = this.#object(at, value, 'expect', EXPECT_KEYS, ['decision'])
    if (raw['decision'] === undefined) return fallback
    const decision = this.#oneOf([...at, 'decision'], raw['decision'], DECISIONS) ?? 'deny'
    const codes = Object.keys(DENIALS) as DenialCode[]
    const code = raw['code'] === undefined ? undefined : this.#oneOf([...at, 'code'], raw['code'], codes)
    if (code !== undefined && decision === 'allow') {
      this.#report('contradiction', [...at, 'code'], 'an allow has no denial code', { on: 'key' })
    }
    const rules = this.#texts([...at, 'rules'], raw['rules'])
    return { decision, ...(code === undefined ? {} : { code }), ...(rules === undefined ? {} : { rules }) }
  }

  #request(at: Pointer, value: JsonValue | undefined): PolicyRequest {
    const raw = value === undefined ? {} : this.#object(at, value, 'request', REQUEST_KEYS, ['node', 'tool'])
    const key = (name: string): Pointer => [...at, name]
    const roles = this.#texts(key('roles'), raw['roles'])
    const labels = this.#map(key('labels'), raw['labels'], 'string')
    const skill = this.#name(key('skill'), raw['skill'])
    const upstream = this.#texts(key('upstream'), raw['upstream'])
    const downstream = this.#texts(key('downstream'), raw['downstream'])
    const dataRegions = this.#texts(key('data_regions'), raw['data_regions'])
    const now = this.#moment(key('now'), raw['now'])
    const run = this.#name(key('run'), raw['run'])
    const principal = this.#text(key('principal'), raw['principal'])
    const answers = this.#map(key('answers'), raw['answers'], 'boolean')
    return {
      node: this.#name(key('node'), raw['node']) ?? '',
      tool: this.#name(key('tool'), raw['tool']) ?? '',
      args: this.#entries(key('args'), raw['args']),
      resources: this.#resources(key('resources'), raw['resources']),
      ...(roles === undefined ? {} : { roles }),
      ...(labels === undefined ? {} : { labels }),
      ...(skill === undefined ? {} : { skill }),
      ...(upstream === undefined ? {} : { upstream }),
      ...(downstream === undefined ? {} : { downstream }),
      ...(raw['facts'] === undefined ? {} : { facts: this.#entries(key('facts'), raw['facts']) }),
      ...(dataRegions === undefined ? {} : { dataRegions }),
      ...(now === undefined ? {} : { now }),
      ...(run === undefined ? {} : { run }),
      ...(principal === undefined ? {} : { principal }),
      ...(answers === undefined ? {} : { answers }),
    }
  }

  #resources(at: Pointer, value: JsonValue | undefined): readonly Resource[] {
    if (value === undefined) return []
    if (!Array.isArray(value)) {
      this.#report('wrong_type', at, 'resources is a list')
      return []
    }
    return (value as readonly JsonValue[]).flatMap((raw, index) => this.#resource([...at, index], raw) ?? [])
  }

  #resource(at: Pointer, value: JsonValue): Resource | undefined {
    const kinds = Object.keys(RESOURCE_KEYS) as ResourceKey[]
    const all = [...kinds, 'method', 'access']
    const raw = this.#object(at, value, 'a resource', all, [])
    const [kind, ...more] = kinds.filter((name) => Object.hasOwn(raw, name))
    if (kind === undefined || more.length > 0) {
      if (isObject(value)) this.#report('missing_key', at, `a resource has exactly one of ${kinds.join(', ')}`)
      return undefined
    }
    for (const name of ['method', 'access']) {
      if (raw[name] === undefined || (RESOURCE_KEYS[kind] as readonly string[]).includes(name)) continue
      this.#report('contradiction', [...at, name], `${name} says nothing about a resource of kind ${kind}`, {
        on: 'key',
      })
    }
    const text = this.#text([...at, kind], raw[kind])
    const method = this.#text([...at, 'method'], raw['method'])
    if (method !== undefined && !isHttpMethod(method)) {
      this.#report('invalid_value', [...at, 'method'], 'not an HTTP method in upper case')
      return undefined
    }
    const access = kind === 'path' ? this.#access(at, raw['access']) : undefined
    if (text === undefined) return undefined
    const options = { ...(method === undefined ? {} : { method }), ...(access === undefined ? {} : { access }) }
    const read = readNamedResource(kind, text, options)
    if (read.ok) return read.resource
    this.#report('invalid_value', [...at, kind], `not a ${kind}: ${read.reason}`)
    return undefined
  }

  #access(at: Pointer, value: JsonValue | undefined): PathAccess | undefined {
    if (value !== undefined) return this.#oneOf([...at, 'access'], value, PATH_ACCESSES)
    this.#report('missing_key', at, 'the key "access" is missing', {
      hint: `add "access": ${PATH_ACCESSES.join(' or ')}`,
    })
    return undefined
  }

  #moment(at: Pointer, value: JsonValue | undefined): number | undefined {
    if (value === undefined || typeof value === 'number') return value
    const time = typeof value === 'string' ? parseMoment(value) : undefined
    if (time === undefined) {
      const hint = '2027-01-31T08:00:00+01:00, or milliseconds since the Unix epoch'
      this.#report('invalid_value', at, 'not a moment as RFC 3339 writes it', { hint })
    }
    return time
  }

  #oneOf<T extends string>(at: Pointer, value: JsonValue, known: readonly T[]): T | undefined {
    const found = known.find((one) => one === value)
    if (found !== undefined) return found
    const close = typeof value === 'string' ? closestName(value, known) : undefined
    const hint =
      close === undefined
        ? `one of ${known.slice(0, 8).join(', ')}${known.length > 8 ? ', …' : ''}`
        : `did you mean "${close}"?`
    this.#report('invalid_value', at, 'not one of the values that are known here', { hint })
    return undefined
  }

  #name(at: Pointer, value: JsonValue | undefined): string | undefined {
    const text = this.#text(at, value)
    if (text !== undefined && !isName(text))
      this.#report('invalid_value', at, 'not a name: ASCII letters and digits, inside also _ . : -')
    return text
  }

  #text(at: Pointer, value: JsonValue | undefined): string | undefined {
    if (value === undefined || typeof value === 'string') return value
    this.#report('wrong_type', at, 'expected a text')
    return undefined
  }

  #texts(at: Pointer, value: JsonValue | undefined): readonly string[] | undefined {
    if (value === undefined) return undefined
    if (!Array.isArray(value)) {
      this.#report('wrong_type', at, 'expected a list of texts')
      return undefined
    }
    return (value as readonly JsonValue[]).flatMap((item, index) => this.#text([...at, index], item) ?? [])
  }

  #map<T extends 'string' | 'boolean'>(
    at: Pointer,
    value: JsonValue | undefined,
    type: T,
  ): Readonly<Record<string, T extends 'string' ? string : boolean>> | undefined {
    if (value === undefined) return undefined
    const entries = this.#entries(at, value)
    for (const [name, member] of Object.entries(entries)) {
      if (typeof member !== type)
        this.#report('wrong_type', [...at, name], `expected ${type === 'string' ? 'a text' : 'true or false'}`)
    }
    return entries as Readonly<Record<string, T extends 'string' ? string : boolean>>
  }

  /** An object whose keys are free; empty when there is none. */
  #entries(at: Pointer, value: JsonValue | undefined): JsonObject {
    if (value === undefined) return {}
    if (isObject(value)) return value
    this.#report('wrong_type', at, 'expected an object')
    return {}
  }

  /** An object with these keys and no others. */
  #object(
    at: Pointer,
    value: JsonValue,
    what: string,
    known: readonly string[],
    required: readonly string[],
  ): JsonObject {
    if (!isObject(value)) {
      this.#report('wrong_type', at, `${what} is an object`)
      return {}
    }
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue
      const close = closestName(
        key,
        known.filter((name) => !Object.hasOwn(value, name)),
      )
      const hint = close === undefined ? `known keys ${known.join(', ')}` : `did you mean "${close}"?`
      this.#report('unknown_key', [...at, key], `unknown key "${printable(key, 80)}"`, { on: 'key', hint })
    }
    for (const key of required) {
      if (!Object.hasOwn(value, key)) this.#report('missing_key', at, `the key "${key}" is missing`)
    }
    return value
  }

  #report(
    code: ProblemCode,
    at: Pointer,
    message: string,
    options: { hint?: string; on?: 'key' | 'value' } = {},
  ): void {
    this.total++
    if (this.#problems.length >= LIMITS.problems) return
    this.#problems.push(this.#document.problem(code, formatPointer(at), message, options))
  }
}

function inOrder(keys: readonly string[]): { readonly properties: Readonly<Record<string, unknown>> } {
  return { properties: Object.fromEntries(keys.map((key) => [key, {}])) }
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
