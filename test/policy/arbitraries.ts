// Random policies over a small world: every key of the language, each rare enough that rules still apply.

import fc from 'fast-check'

import { PROCESS_RIGHTS } from '../../src/core/process-right.ts'
import type {
  RawCondition,
  RawEgress,
  RawLimit,
  RawObligation,
  RawPolicy,
  RawResidency,
  RawRule,
} from '../../src/policy/schema.ts'
import {
  ASKS,
  ENV,
  FACTS,
  HOSTS,
  LABEL_GLOBS,
  METHODS,
  NODE_GLOBS,
  PATH_PATTERNS,
  POINTERS,
  PORTS,
  REGIONS,
  ROLES,
  SCALARS,
  SCHEMES,
  SCOPES,
  SKILL_GLOBS,
  TEXT_GLOBS,
  TOOL_GLOBS,
  WINDOWS,
} from './world.ts'

const some = <T>(values: readonly T[], max = 2): fc.Arbitrary<T[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: max })
/** Absent once in `freq` times. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>, freq = 3): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq })

/** There once in `times` times. */
const seldom = <T>(arbitrary: fc.Arbitrary<T>, times: number): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: times - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })

/** The members of `record` that are there. Absent keys, not undefined ones: a policy is JSON. */
function present<T extends object>(record: T): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T
}

const hostPattern = fc
  .tuple(fc.constantFrom(...SCHEMES), fc.constantFrom(...HOSTS), fc.constantFrom(...PORTS))
  .map(([scheme, host, port]) => {
    const isIpv6 = host.includes(':')
    return `${scheme}${isIpv6 && port !== '' ? `[${host}]` : host}${port}`
  })

const SCHEMAS = [
  { type: 'string', maxLength: 3 },
  { type: 'integer', minimum: 7 },
  { type: ['number', 'null'] },
  { type: 'array', items: { type: 'string' }, maxItems: 2 },
  { type: 'object' },
  { type: 'object', maxProperties: 0 },
  { type: 'object', required: ['er'], properties: { er: { type: ['number', 'string'], minimum: 0, maxLength: 3 } } },
  { type: 'object', properties: { x: { type: 'array', items: { type: 'integer' }, maxItems: 2 } } },
  {
    type: 'object',
    required: ['er'],
    properties: { er: { type: 'number', minimum: 0 } },
    additionalProperties: false,
  },
]

const condition: fc.Arbitrary<RawCondition> = fc
  .oneof(
    fc.record({ equals: fc.constantFrom(...SCALARS) }),
    fc.record({ one_of: fc.uniqueArray(fc.constantFrom(...SCALARS), { minLength: 1, maxLength: 3 }) }),
    fc.record({ min: fc.constantFrom(-1.5, 0, 7) }),
    fc.record({ max: fc.constantFrom(0, 7, 100) }),
    fc.record({ min: fc.constantFrom(0, 7), max: fc.constantFrom(7, 100) }),
    fc.record({ min_length: fc.constantFrom(0, 1, 3), max_length: fc.constantFrom(3, 4) }),
    fc.record({ glob: fc.constantFrom(...TEXT_GLOBS), ignore_case: maybe(fc.boolean()) }),
    fc.record({ one_of: fc.constant(['GET', 'POST']), max_length: fc.constant(3) }),
    fc.record({ pattern: fc.constantFrom('GET|POST', '[a-z.]*', 'ab?\\.c', '.*') }),
    fc.record({ contains: fc.constantFrom(...SCALARS) }),
    fc.record({ every: fc.constantFrom({ max_length: 3 }, { one_of: ['GET', 7] }, { glob: '*' }, { min: 0, max: 9 }) }),
    fc.record({ some: fc.constantFrom({ equals: 'GET' }, { min: 5 }, { pattern: '[a-z]+' }, { max_length: 0 }) }),
    fc.record({ schema: fc.constantFrom(...SCHEMAS) }),
  )
  .chain((tests) =>
    fc.boolean().map((optional) => present({ ...tests, optional: optional ? true : undefined }) as RawCondition),
  )

const conditions = (pointers: readonly string[]): fc.Arbitrary<Record<string, RawCondition>> =>
  fc.dictionary(fc.constantFrom(...pointers), condition, { minKeys: 1, maxKeys: 2 })

const labels = fc
  .record({ team: maybe(some(LABEL_GLOBS['team'] ?? [])), tier: maybe(some(LABEL_GLOBS['tier'] ?? [])) })
  .map(present)
  .filter((wanted) => Object.keys(wanted).length > 0) as fc.Arbitrary<Record<string, string[]>>

const residency: fc.Arbitrary<RawResidency> = fc
  .record({ source: maybe(some(REGIONS), 2), destination: maybe(some(REGIONS), 2), outside: maybe(some(REGIONS), 2) })
  .map(present)
  .filter((wanted) => Object.keys(wanted).length > 0)

/** Whom, what and when a statement is about. */
type About = Omit<RawRule, 'id' | 'effect' | 'limits'>

/** Keys that narrow a statement and list nothing, and how seldom each is there. */
const NARROWING = {
  labels: { of: labels, times: 10 },
  after: { of: some(NODE_GLOBS), times: 10 },
  before: { of: some(NODE_GLOBS), times: 10 },
  skills: { of: some(SKILL_GLOBS), times: 5 },
  methods: { of: some(METHODS, 3), times: 3 },
  residency: { of: residency, times: 3 },
  args: { of: conditions(POINTERS), times: 3 },
  facts: { of: conditions(FACTS), times: 8 },
  during: { of: fc.constantFrom(...WINDOWS), times: 8 },
  ask: { of: fc.constantFrom(...ASKS), times: 7 },
} satisfies { readonly [K in keyof About]?: { readonly of: fc.Arbitrary<About[K]>; readonly times: number } }

const narrowing = fc
  .record(
    Object.fromEntries(Object.entries(NARROWING).map(([key, { of, times }]) => [key, seldom<unknown>(of, times)])),
  )
  .map((keys) => present(keys) as Partial<About>)

const about: fc.Arbitrary<About> = fc
  .record({
    who: fc.constantFrom('roles', 'nodes', 'both', 'everyone', 'everyone', 'everyone and nodes', 'many'),
    /** A rule that is only about processes has none of the lists that calls touch, which is rare by chance. */
    lists: fc.constantFrom('any', 'any', 'any', 'any', 'hosts', 'hosts', 'none', 'of processes'),
    roleNames: some(ROLES, 3),
    nodeGlobs: some(NODE_GLOBS),
    tools: fc.oneof(
      { weight: 5, arbitrary: some(TOOL_GLOBS, 2) },
      { weight: 1, arbitrary: some(TOOL_GLOBS, TOOL_GLOBS.length) },
    ),
    narrowed: narrowing,
    hosts: maybe(fc.uniqueArray(hostPattern, { minLength: 1, maxLength: 3 })),
    read: seldom(some(PATH_PATTERNS), 2),
    write: seldom(some(PATH_PATTERNS), 3),
    binaries: seldom(some(PATH_PATTERNS), 3),
    env: seldom(some(ENV), 3),
    oauth_scopes: seldom(some(SCOPES), 4),
    execute: maybe(some(PATH_PATTERNS), 2),
  })
  .map(({ who, lists, roleNames, nodeGlobs, narrowed, tools, execute, read, write, ...listed }) => {
    const roles = {
      roles: roleNames,
      nodes: undefined,
      both: roleNames,
      everyone: ['*'],
      'everyone and nodes': ['*', ...roleNames],
      many: ROLES,
    }[who]
    const nodes = who === 'nodes' || who === 'both' || who === 'everyone and nodes' ? nodeGlobs : undefined
    const accesses = present({
      ...(lists === 'any' ? { read, write } : {}),
      ...(lists === 'none' || lists === 'hosts' ? {} : { execute }),
    })
    const paths = Object.keys(accesses).length === 0 ? undefined : accesses
    const ofCalls = lists === 'any' ? listed : lists === 'hosts' ? { hosts: listed.hosts } : {}
    return ofHosts(present({ tools, ...narrowed, ...ofCalls, roles, nodes, paths }) as About)
  })

/** Methods and the regions of destinations narrow hosts, and are errors without any. */
function ofHosts<T extends Pick<About, 'hosts' | 'methods' | 'residency'>>(statement: T): T {
  if (statement.hosts !== undefined) return statement
  const { methods: _1, residency, ...rest } = statement
  return (residency?.source === undefined ? rest : { ...rest, residency: { source: residency.source } }) as T
}

const rule = (id: string, effects: readonly RawRule['effect'][]): fc.Arbitrary<RawRule> =>
  fc
    .record({
      effect: fc.constantFrom(...effects),
      about,
      libraries: seldom(some(PATH_PATTERNS), 3),
      process_rights: seldom(some(PROCESS_RIGHTS), 3),
      restraint: seldom(
        fc.record(
          {
            limits: fc.constantFrom({ processes: 4 }, { wall_ms: 1000, memory_mb: 64 }),
            forbidden_syscalls: fc.constantFrom<string[]>(['ptrace'], ['bpf', 'ptrace']),
            execution_mode: fc.constant('ephemeral' as const),
          },
          { requiredKeys: [] },
        ),
        2,
      ),
      approval: maybe(
        fc.constantFrom<NonNullable<RawRule['approval']>>(
          { approvers: ['ana', 'bo'], quorum: 2, expires: '30s' },
          { quorum: 3 },
          { expires: '2h' },
        ),
        2,
      ),
    })
    .map(({ effect, about, restraint, approval, libraries, process_rights }) => {
      // A rule about a call as such would be one about processes with them.
      const isBare = isEmpty(about)
      const ofProcesses = isBare ? {} : { libraries, process_rights }
      const narrowed = effect === 'permit' ? restraint : effect === 'require_approval' ? { approval } : {}
      return present({ id, effect, ...about, ...ofProcesses, ...narrowed }) as RawRule
    })

function isEmpty({ hosts, paths, binaries, env, oauth_scopes }: About): boolean {
  return [hosts, paths, binaries, env, oauth_scopes].every((list) => list === undefined)
}

/** Whom and what of a limit or an obligation; about calls as such more often than a rule is. */
const constraintAbout = fc
  .record({ about, extent: fc.constantFrom('as a rule', 'of the call', 'of the call', 'of many') })
  .map(({ about, extent }) => {
    const { paths, ...rest } = about
    const { execute: _1, ...accesses } = paths ?? {}
    const withoutProcesses = Object.keys(accesses).length === 0 ? rest : { ...rest, paths: accesses }
    if (extent === 'as a rule') return withoutProcesses
    const { hosts: _2, binaries: _3, env: _4, oauth_scopes: _5, ...bare } = rest
    return ofHosts(extent === 'of many' ? { ...bare, tools: ['*'], roles: ['*'], nodes: ['*'] } : bare)
  })

const limit = (id: string): fc.Arbitrary<RawLimit> =>
  fc
    .record({
      about: constraintAbout,
      counts: fc.oneof(
        fc.record({
          kind: fc.constant('rate' as const),
          per: fc.constantFrom('500ms', '1m'),
          burst: maybe(fc.constantFrom(2, 9.5), 2),
        }),
        fc.record({ kind: fc.constant('window' as const), per: fc.constantFrom('30s', '1d') }),
        fc.record({ kind: fc.constant('concurrency' as const) }),
        fc.record({ kind: fc.constant('budget' as const), per: seldom(fc.constant('2h'), 2) }),
      ),
      max: fc.constantFrom(1, 3, 100),
      by: fc.oneof(
        fc.constant<RawLimit['by']>(['all']),
        some(['run', 'node', 'skill', 'tool', 'principal', 'destination'] as const, 3),
      ),
      amount: seldom(fc.constantFrom('/bytes', '/list/1', '/deep/er'), 3),
    })
    .map(({ about, counts, max, by, amount }) => {
      const amounts = counts.kind === 'concurrency' ? {} : { amount }
      return present({ id, ...about, ...present(counts), max, by, ...amounts }) as RawLimit
    })

const obligation = (id: string): fc.Arbitrary<RawObligation> =>
  fc
    .record({
      about: constraintAbout,
      what: fc.constantFrom<Partial<RawObligation>>(
        { redact: { on: ['result'], secrets: true } },
        { cap: { on: ['arguments', 'result'], max_bytes: 100 } },
        { pin_addresses: true },
        { rewrite: { tool: 'http_get' } },
        { confirm: 'scrubbed' },
      ),
    })
    .map(({ about, what }) => present({ id, ...about, ...what }) as RawObligation)

const egress = (id: string): fc.Arbitrary<RawEgress> =>
  fc
    .record({
      who: fc.constantFrom<Partial<RawEgress>>(
        { roles: ['*'] },
        { roles: ['reader', 'writer'] },
        { nodes: ['*'] },
        { nodes: ['fetch*', 'plan'] },
        { roles: ['*', 'guest'], nodes: ['[fp]*'] },
      ),
      hosts: fc.uniqueArray(fc.oneof(hostPattern, fc.constantFrom('*:*', '0.0.0.0/0:*')), {
        minLength: 1,
        maxLength: 4,
      }),
      methods: seldom(some(METHODS, 3), 3),
    })
    .map(({ who, hosts, methods }) => present({ id, ...who, hosts, methods }) as RawEgress)

const roleDefinition = fc
  .record({ nodes: maybe(some(NODE_GLOBS)), labels: seldom(labels, 12), asserted: fc.boolean() })
  .map(({ nodes, labels, asserted }) =>
    nodes === undefined && labels === undefined
      ? { asserted: true }
      : present({ nodes, labels, asserted: asserted ? true : undefined }),
  )

/** Wide enough that most destinations are in some region. */
const region = fc
  .tuple(
    fc.constantFrom('*', '**.example.com', '0.0.0.0/0', '10.0.0.0/8', '2000::/3'),
    fc.uniqueArray(fc.constantFrom(...HOSTS), { minLength: 1, maxLength: 5 }),
  )
  .map(([wide, hosts]): RegionDefinition => ({ hosts: [...new Set([wide, ...hosts])] }))

type RoleDefinition = NonNullable<RawPolicy['roles']>[string]
type RegionDefinition = NonNullable<RawPolicy['regions']>[string]

/** What a policy set is made of: statements in any order, names, and over how many documents all of it is spread. */
export interface PolicyDraft {
  readonly rules: readonly RawRule[]
  readonly limits: readonly RawLimit[]
  readonly obligations: readonly RawObligation[]
  readonly egress: readonly RawEgress[]
  readonly roles: Readonly<Record<string, RoleDefinition>>
  readonly regions: Readonly<Record<string, RegionDefinition>>
  readonly files: number
}

export const EFFECTS = ['permit', 'permit', 'permit', 'forbid', 'require_approval'] as const

const several = <T>(max: number, min: number, make: (index: number) => fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc
    .integer({ min, max })
    .chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => make(index))) as fc.Arbitrary<T[]>)

export function policyDraft(effects: readonly RawRule['effect'][] = EFFECTS, maxRules = 14): fc.Arbitrary<PolicyDraft> {
  return fc.record({
    rules: several(maxRules, 1, (index) => rule(`r${index}`, effects)),
    limits: several(3, 0, (index) => limit(`l${index}`)),
    obligations: several(2, 0, (index) => obligation(`o${index}`)),
    egress: fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: several(3, 1, (index) => egress(`e${index}`)) },
    ),
    roles: named(ROLES, roleDefinition),
    regions: named(REGIONS, region),
    files: fc.integer({ min: 1, max: 3 }),
  })
}

function named<T>(names: readonly string[], one: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> {
  return fc.record(Object.fromEntries(names.map((name) => [name, one]))) as fc.Arbitrary<Record<string, T>>
}

/** Statements of their own, e.g. to add to a draft. */
export function extraRule(effects: readonly RawRule['effect'][]): fc.Arbitrary<RawRule> {
  return rule('extra', effects)
}

export const extraLimit: fc.Arbitrary<RawLimit> = limit('extra')
export const extraObligation: fc.Arbitrary<RawObligation> = obligation('extra')
export const extraEgress: fc.Arbitrary<RawEgress> = egress('extra')

/** One key by which a statement can be narrowed, and what it says. */
export const extraSelector: fc.Arbitrary<Partial<RawRule>> = fc.oneof(
  ...Object.entries(NARROWING).map(([key, { of }]) => (of as fc.Arbitrary<unknown>).map((value) => ({ [key]: value }))),
)

/** The documents of a draft; names stand in the first, statements go round. */
export function documentsOf(draft: PolicyDraft): RawPolicy[] {
  const { files } = draft
  return Array.from({ length: files }, (_, file) => {
    const share = <T>(list: readonly T[]): T[] => list.filter((_one, index) => index % files === file)
    const egress = share(draft.egress)
    return {
      version: 1,
      ...(file === 0 ? { roles: draft.roles, regions: draft.regions } : {}),
      rules: share(draft.rules),
      limits: share(draft.limits),
      obligations: share(draft.obligations),
      ...(egress.length === 0 ? {} : { egress }),
    }
  })
}
