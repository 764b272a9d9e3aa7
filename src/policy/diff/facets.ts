// What of a request can be otherwise, and the values it is tried with: the constants of the statements that matter, and what
// is just beside them. A facet is a list of changes to a request, each of one thing.

import { conditionKey } from '../../core/condition-port.ts'
import type { JsonObject, JsonValue } from '../../core/json.ts'
import { readNamedResource } from '../../core/named-resource.ts'
import { parsePointer } from '../../core/pointer.ts'
import { describeResource, type Resource } from '../../core/resource.ts'
import { isName } from '../../core/text.ts'
import type { PolicyRequest } from '../request.ts'
import type { RawPolicy } from '../schema.ts'
import { hostSamples } from './host-samples.ts'
import { momentSamples } from './moment-samples.ts'
import { commonPath, commonText, distinct, globSamples, pathSamples } from './samples.ts'
import type { RawStatement } from './statements.ts'
import { valueSamples } from './value-samples.ts'

export type Change = (request: PolicyRequest) => PolicyRequest

export interface Facet {
  readonly name: string
  readonly changes: readonly Change[]
}

/** Definitions of both sets. */
export interface Names {
  readonly roles: readonly NonNullable<RawPolicy['roles']>[]
  readonly regions: readonly NonNullable<RawPolicy['regions']>[]
  /** Roles whose definitions differ. */
  readonly changedRoles: Iterable<string>
}

/** The request that nothing has been said of yet. */
export const NEUTRAL: PolicyRequest = {
  node: 'node',
  roles: [],
  labels: {},
  skill: 'skill',
  tool: 'tool',
  args: {},
  resources: [],
  upstream: [],
  downstream: [],
  facts: {},
  dataRegions: [],
  now: Date.UTC(2027, 0, 13, 12),
  run: 'run',
  principal: 'principal',
}

/** The first statements are the ones in question: their values are tried first where there are too many. */
const MOST = 700

export function facetsOf(statements: readonly RawStatement[], names: Names): readonly Facet[] {
  const facets: Facet[] = [
    { name: 'who', changes: whoChanges(statements, names) },
    { name: 'tool', changes: nameChanges(statements, 'tools', (tool) => ({ tool })) },
    {
      name: 'skill',
      changes: [...nameChanges(statements, 'skills', (skill) => ({ skill })), without('skill')],
    },
    { name: 'resource', changes: resourceChanges(statements, names) },
    { name: 'method', changes: methodChanges(statements) },
    ...labelFacets(statements, names),
    { name: 'upstream', changes: aroundChanges(statements, 'after', 'upstream') },
    { name: 'downstream', changes: aroundChanges(statements, 'before', 'downstream') },
    ...memberFacets(statements, 'args'),
    ...memberFacets(statements, 'facts'),
    { name: 'data regions', changes: sourceChanges(statements, names) },
    { name: 'now', changes: nowChanges(statements) },
    ...answerFacets(statements),
    { name: 'run', changes: [without('run')] },
    { name: 'principal', changes: [without('principal')] },
  ]
  return facets
    .filter(({ changes }) => changes.length > 0)
    .map(({ name, changes }) => ({ name, changes: changes.slice(0, MOST) }))
}

function without(key: keyof PolicyRequest): Change {
  return ({ [key]: _, ...rest }) => rest as unknown as PolicyRequest
}

function whoChanges(statements: readonly RawStatement[], { roles, changedRoles }: Names): readonly Change[] {
  interface Who {
    readonly node?: string
    readonly role?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  const found = new Map<string, Who>()
  const add = (who: Who): void => {
    if (found.size < MOST) found.set(JSON.stringify(who), who)
  }
  const ofRole = (name: string): readonly Who[] =>
    roles.flatMap((defined) => {
      const role = Object.hasOwn(defined, name) ? defined[name] : undefined
      if (role === undefined) return []
      return [
        ...(role.asserted === true ? [{ role: name }] : []),
        ...(role.nodes ?? []).flatMap((glob) => nameSamples(glob).map((node) => ({ node }))),
        ...(role.labels === undefined ? [] : [{ labels: firstLabels(role.labels) }]),
      ]
    })
  for (const { roles: named, nodes } of statements) {
    const byRole = (named ?? []).flatMap((name) => (name === '*' ? [{}] : ofRole(name)))
    const byNode = (nodes ?? []).flatMap((glob) => nameSamples(glob))
    for (const node of byNode) add({ node })
    for (const who of byRole) {
      add(who)
      for (const node of byNode) add({ ...who, node })
    }
  }
  for (const name of changedRoles) for (const who of [...ofRole(name), { role: name }]) add(who)
  const globs = distinct(
    statements.flatMap(({ nodes, roles: named }) => [
      ...(nodes ?? []),
      ...(named ?? []).flatMap((name) => roles.flatMap((defined) => defined[name]?.nodes ?? [])),
    ]),
  )
  for (const node of commonNames(globs)) {
    add({ node })
    for (const { role } of [...found.values()]) if (role !== undefined) add({ role, node })
  }
  add({})
  return [...found.values()].flatMap(({ node, role, labels }): readonly Change[] => {
    const place: Change = (request) => ({
      ...request,
      node: node ?? NEUTRAL.node,
      roles: role === undefined ? [] : [role],
      ...(labels === undefined ? {} : { labels: { ...request.labels, ...labels } }),
    })
    // Beside the roles there are already: two statements may each want one.
    const join: Change = (request) => ({
      ...request,
      ...(node === undefined ? {} : { node }),
      roles: distinct([...(request.roles ?? []), ...(role === undefined ? [] : [role])]),
      ...(labels === undefined ? {} : { labels: { ...request.labels, ...labels } }),
    })
    return [place, join]
  })
}

function firstLabels(labels: Readonly<Record<string, readonly string[]>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(labels).map(([key, [glob = '*']]) => [
      key,
      globSamples(glob, 'text').find((text) => text !== '') ?? 'x',
    ]),
  )
}

/** A glob can be filled in ways that no name is. */
function nameSamples(glob: string): readonly string[] {
  return globSamples(glob, 'name').filter(isName)
}

/** Names that two different globs have in common. */
function commonNames(globs: readonly string[]): readonly string[] {
  const wild = globs.filter((glob) => /[*?[]/.test(glob)).slice(0, 12)
  return distinct(
    wild.flatMap((one) =>
      globs.slice(0, 24).flatMap((other) => (one === other ? [] : (commonText(one, other, 'name') ?? []))),
    ),
  ).filter(isName)
}

function nameChanges(
  statements: readonly RawStatement[],
  key: 'tools' | 'skills',
  make: (name: string) => Partial<PolicyRequest>,
): readonly Change[] {
  const globs = distinct(statements.flatMap((raw) => raw[key] ?? []))
  if (globs.length === 0) return []
  const names = [...globs.flatMap((glob) => nameSamples(glob)), ...commonNames(globs), 'stranger']
  return distinct(names.filter((name) => name !== '')).map((name) => (request) => ({ ...request, ...make(name) }))
}

function resourceChanges(statements: readonly RawStatement[], { regions }: Names): readonly Change[] {
  const found = new Map<string, Resource>()
  const add = (resource: Resource): void => {
    found.set(describeResource(resource), resource)
  }
  const addNamed = (kind: 'path' | 'binary' | 'env' | 'scope', text: string, access?: 'read' | 'write'): void => {
    const read = readNamedResource(kind, text, access === undefined ? {} : { access })
    if (read.ok) add(read.resource)
  }
  const regionHosts = regions.flatMap((defined) => Object.values(defined).flatMap(({ hosts }) => hosts))
  const usesRegions = statements.some(({ residency }) => residency !== undefined)
  const hosts = distinct([...statements.flatMap((raw) => raw.hosts ?? []), ...(usesRegions ? regionHosts : [])])
  const byHost = hosts.map((host) => hostSamples(host))
  // The first of each before the second of any: what is cut off is the least telling.
  for (let index = 0; byHost.some((samples) => index < samples.length); index++) {
    for (const samples of byHost) {
      const sample = samples[index]
      if (sample !== undefined && found.size < MOST) add(sample)
    }
  }
  const lists = [
    ['read', statements.flatMap(({ paths }) => paths?.read ?? [])],
    ['write', statements.flatMap(({ paths }) => paths?.write ?? [])],
    ['binary', statements.flatMap(({ binaries }) => binaries ?? [])],
  ] as const
  for (const [what, patterns] of lists) {
    const own = distinct(patterns)
    for (const path of pathsAround(own)) {
      if (what === 'binary') addNamed('binary', path)
      else addNamed('path', path, what)
    }
  }
  for (const name of distinct(statements.flatMap(({ env }) => env ?? []))) addNamed('env', name)
  for (const name of distinct(statements.flatMap((raw) => raw.oauth_scopes ?? []))) addNamed('scope', name)
  if (statements.some(({ env }) => env !== undefined)) addNamed('env', 'STRANGER')
  if (statements.some((raw) => raw.oauth_scopes !== undefined)) addNamed('scope', 'stranger')
  const none: Change = (request) => ({ ...request, resources: [] })
  return [
    ...[...found.values()].map(
      (resource): Change =>
        (request) =>
          withResource(request, resource),
    ),
    none,
  ]
}

/** The method stays: it is a facet of its own. */
function withResource(request: PolicyRequest, resource: Resource): PolicyRequest {
  const [before] = request.resources
  const method = before?.kind === 'network' ? before.method : undefined
  if (resource.kind !== 'network' || method === undefined) return { ...request, resources: [resource] }
  return { ...request, resources: [{ ...resource, method }] }
}

function pathsAround(patterns: readonly string[]): readonly string[] {
  const found = patterns.flatMap((pattern) => pathSamples(pattern))
  const around = found
    .slice(0, 64)
    .flatMap((path) => [
      path === '/' ? '/x' : `${path}/zz`,
      path === '/' ? '/' : `${path}z`,
      path.slice(0, path.lastIndexOf('/')) || '/',
    ])
  const wild = patterns.slice(0, 24)
  const met = wild.flatMap((one) => wild.flatMap((other) => (one < other ? (commonPath(one, other) ?? []) : [])))
  return distinct([...met, ...found, ...around])
}

function methodChanges(statements: readonly RawStatement[]): readonly Change[] {
  const named = distinct(statements.flatMap(({ methods }) => methods ?? []))
  if (named.length === 0) return []
  const known = [...named, 'TRACE'].map(
    (method): Change =>
      (request) => ({
        ...request,
        resources: request.resources.map((one) => (one.kind === 'network' ? { ...one, method } : one)),
      }),
  )
  const unknown: Change = (request) => ({
    ...request,
    resources: request.resources.map((one) => {
      if (one.kind !== 'network') return one
      const { method: _, ...rest } = one
      return rest
    }),
  })
  return [...known, unknown]
}

function labelFacets(statements: readonly RawStatement[], { roles }: Names): readonly Facet[] {
  const wanted = new Map<string, Set<string>>()
  const definitions = roles.flatMap((defined) => Object.values(defined).map(({ labels }) => labels ?? {}))
  for (const labels of [...statements.map((raw) => raw.labels ?? {}), ...definitions]) {
    for (const [key, globs] of Object.entries(labels)) {
      const texts = wanted.get(key) ?? new Set()
      for (const glob of globs) for (const text of globSamples(glob, 'text')) texts.add(text)
      wanted.set(key, texts)
    }
  }
  const facets = [...wanted].map(([key, texts]): Facet => {
    const absent: Change = (request) => {
      const { [key]: _, ...labels } = request.labels ?? {}
      return { ...request, labels }
    }
    const values = [...texts, 'zz'].map(
      (text): Change =>
        (request) => ({ ...request, labels: { ...request.labels, [key]: text } }),
    )
    return { name: `label ${key}`, changes: [...values, absent] }
  })
  if (facets.length === 0) return []
  // All labels of a statement at once: with one of two it is as far from applying as with none.
  const whole = statements.flatMap(({ labels }) => (labels === undefined ? [] : [firstLabels(labels)]))
  const changes = whole.map(
    (own): Change =>
      (request) => ({ ...request, labels: { ...request.labels, ...own } }),
  )
  return [{ name: 'labels', changes: [...changes, without('labels')] }, ...facets]
}

function aroundChanges(
  statements: readonly RawStatement[],
  key: 'after' | 'before',
  field: 'upstream' | 'downstream',
): readonly Change[] {
  const globs = distinct(statements.flatMap((raw) => raw[key] ?? []))
  if (globs.length === 0) return []
  const samples = distinct([...globs.flatMap((glob) => nameSamples(glob)), ...commonNames(globs)])
  const known = [...samples.map((name) => [name]), [], samples.slice(0, 8)]
  return [
    ...known.map(
      (list): Change =>
        (request) => ({ ...request, [field]: list }),
    ),
    without(field),
  ]
}

function memberFacets(statements: readonly RawStatement[], field: 'args' | 'facts'): readonly Facet[] {
  const values = new Map<string, Set<JsonValue>>()
  const texts = new Map<string, string[]>()
  for (const raw of statements) {
    for (const [pointer, condition] of Object.entries(raw[field] ?? {})) {
      const own = values.get(pointer) ?? new Set()
      for (const value of valueSamples(condition)) own.add(value)
      values.set(pointer, own)
      if (condition.glob !== undefined) texts.set(pointer, [...(texts.get(pointer) ?? []), condition.glob])
    }
    if (field === 'args' && raw.amount !== undefined) {
      const own = values.get(raw.amount) ?? new Set()
      for (const amount of [2.5, 0, 1, -1, 'zz']) own.add(amount)
      values.set(raw.amount, own)
    }
  }
  for (const [pointer, globs] of texts) {
    const list = globs.slice(0, 12)
    for (const one of list) {
      for (const other of list) {
        const text = one < other ? commonText(one, other, 'text') : undefined
        if (text !== undefined) values.get(pointer)?.add(text)
      }
    }
  }
  const facets = [...values].map(([pointer, own]): Facet => {
    const tokens = parsePointer(pointer) ?? []
    const set = (value: JsonValue | undefined): Change => {
      return (request) => ({ ...request, [field]: withValue(request[field] ?? {}, tokens, value) as JsonObject })
    }
    return { name: `${field} ${pointer}`, changes: [...[...own].map((value) => set(value)), set(undefined)] }
  })
  return facets.length === 0 || field === 'args' ? facets : [...facets, { name: 'facts', changes: [without('facts')] }]
}

/** A copy with the value at the pointer, made where there is none; `undefined` takes it away. */
function withValue(
  root: JsonValue | undefined,
  tokens: readonly string[],
  value: JsonValue | undefined,
): JsonValue | undefined {
  const [token, ...rest] = tokens
  if (token === undefined) return value
  const base = typeof root === 'object' && root !== null ? root : {}
  const entries = Object.entries(base).filter(([key]) => key !== token)
  const inner = withValue((base as JsonObject)[token], rest, value)
  if (inner !== undefined && !(value === undefined && rest.length > 0 && isEmpty(inner))) entries.push([token, inner])
  return Object.fromEntries(entries)
}

function isEmpty(value: JsonValue): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

function sourceChanges(statements: readonly RawStatement[], { regions }: Names): readonly Change[] {
  const listed = distinct(statements.flatMap(({ residency }) => residency?.source ?? []))
  if (listed.length === 0) return []
  const known = distinct([...listed, ...regions.flatMap((defined) => Object.keys(defined))])
  const lists = [...known.map((name) => [name]), listed, [], ['stranger'], ...known.map((name) => [name, 'stranger'])]
  return [
    ...lists.map(
      (list): Change =>
        (request) => ({ ...request, dataRegions: list }),
    ),
    without('dataRegions'),
  ]
}

function nowChanges(statements: readonly RawStatement[]): readonly Change[] {
  const windows = statements.flatMap(({ during }) => (during === undefined ? [] : [during]))
  if (windows.length === 0) return []
  const moments = distinct(windows.flatMap((during) => momentSamples(during)))
  return [
    ...moments.map(
      (now): Change =>
        (request) => ({ ...request, now }),
    ),
    without('now'),
  ]
}

function answerFacets(statements: readonly RawStatement[]): readonly Facet[] {
  const keys = distinct(statements.flatMap(({ ask }) => (ask === undefined ? [] : [conditionKey(ask)])))
  return keys.map((key) => ({
    name: `answer ${key}`,
    changes: [
      ...[true, false].map(
        (answer): Change =>
          (request) => ({ ...request, answers: { ...request.answers, [key]: answer } }),
      ),
      (request) => {
        const { [key]: _, ...answers } = request.answers ?? {}
        return { ...request, answers }
      },
    ],
  }))
}
