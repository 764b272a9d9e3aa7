// Random policies over a small world, and random requests made from the rules themselves, so that most of them fall just
// inside or just outside a rule.

import fc from 'fast-check'

import { parseHost } from '../../src/core/host.ts'
import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import { PROCESS_RIGHTS } from '../../src/core/process-right.ts'
import type { Resource } from '../../src/core/resource.ts'
import type { RawCondition, RawPolicy, RawRule } from '../../src/policy/schema.ts'
import type { ReferenceRequest } from './reference.ts'

const NODES = ['fetch', 'fetch_b', 'plan', 'send.mail', 'x']
const NODE_GLOBS = [...NODES, 'fetch*', '*', 's?nd.*', '[fp]*', '*_b']
const TOOLS = ['http_get', 'http_post', 'fs.read', 'fs.write', 'git']
const TOOL_GLOBS = [...TOOLS, 'http_*', '*', 'fs.*', '*t', 'fs.????', '[!g]*']
const SKILLS = ['web', 'web-2', 'files']
const SKILL_GLOBS = [...SKILLS, 'web*', '*']
/** Role names; what each definition says is drawn with the policy. */
const ROLES = ['reader', 'writer', 'admin', 'guest']

const HOSTS = [
  'example.com',
  'api.example.com',
  'a.api.example.com',
  '*.example.com',
  '**.example.com',
  '*.api.example.com',
  '*',
  'localhost',
  '**.localhost.test',
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.3',
  '127.0.0.0/8',
  '127.0.0.1',
  '0.0.0.0/0',
  '169.254.169.254',
  '2001:db8::/32',
  '2001:db8::1',
  '64:ff9b::/96',
  '2002::/16',
  '::/0',
  '::1',
  '2000::/3',
]
const PORTS = ['', '', '', ':443', ':8080', ':*']
const SCHEMES = ['', '', '', 'https://', 'http://', 'wss://']
const NAMES = [
  'example.com',
  'api.example.com',
  'a.api.example.com',
  'a.b.api.example.com',
  'evil.test',
  'notexample.com',
  'localhost',
  'x.localhost',
  'example.com.evil.test',
  'com',
]
const ADDRESSES = [
  '10.0.0.1',
  '10.1.2.3',
  '10.1.255.255',
  '11.0.0.0',
  '127.0.0.1',
  '127.255.0.1',
  '0.0.0.0',
  '169.254.169.254',
  '::1',
  '::',
  '2001:db8::1',
  '2001:db9::',
  '64:ff9b::a01:203',
  '64:ff9b::7f00:1',
  '2002:a01:203::',
  '2002:7f00:1::5',
  '::ffff:10.1.2.3',
]

const PATH_PATTERNS = [
  '/',
  '/**',
  '/srv',
  '/srv/**',
  '/srv/p',
  '/srv/p/**',
  '/srv/*',
  '/srv/*/log',
  '/srv/**/log',
  '/srv/p/*.txt',
  '/**/secret',
  '/**/secret/**',
  '/srv/p/**/a/**/b',
  '/srv/?/log',
  '/srv/[pq]/**',
  '/etc/**',
  '/srv/p/.env',
]
const PATHS = [
  '/',
  '/srv',
  '/srv/p',
  '/srv/q',
  '/srv/p/log',
  '/srv/p/q/log',
  '/srv/p/x.txt',
  '/srv/p/.env',
  '/srv/p/secret',
  '/secret',
  '/srv/secret/deep/er',
  '/srv/p/a/b',
  '/srv/p/1/a/2/3/b',
  '/srv/p/a/a/b/b',
  '/etc/passwd',
  '/srvp',
  '/srv/pq',
]
const ENV = ['LANG', 'HOME', 'AWS_SECRET_ACCESS_KEY']
const POINTERS = ['/method', '/bytes', '/to', '/deep/er', '/list/1', '/a~1b', '/flag']
const SCALARS = ['GET', 'POST', 'get', '', 'ab.c', 7, 0, -1.5, 100, true, false, null] as const
const TEXT_GLOBS = ['G*', '*', '?ET', 'p?st', '*.c', 'a*c', '[ab]*']

const some = <T>(values: readonly T[], max = 2): fc.Arbitrary<T[]> =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: max })
/** Absent once in `freq` times; 1 is never there. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>, freq = 3): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq })

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
  )
  .chain((tests) =>
    fc.boolean().map((optional) => present({ ...tests, optional: optional ? true : undefined }) as RawCondition),
  )

const rule = (id: string, effects: readonly RawRule['effect'][]): fc.Arbitrary<RawRule> =>
  fc
    .record({
      id: fc.constant(id),
      effect: fc.constantFrom(...effects),
      who: fc.constantFrom('roles', 'nodes', 'both', 'everyone', 'everyone and nodes', 'many'),
      /** A rule that is only about processes has none of the lists that calls touch, which is rare by chance. */
      lists: fc.constantFrom('any', 'any', 'any', 'any', 'any', 'none', 'of processes'),
      roleNames: some(ROLES, 3),
      nodeGlobs: some(NODE_GLOBS),
      tools: fc.oneof(
        { weight: 5, arbitrary: some(TOOL_GLOBS, 2) },
        { weight: 1, arbitrary: some(TOOL_GLOBS, TOOL_GLOBS.length) },
      ),
      skills: maybe(some(SKILL_GLOBS), 2),
      hosts: maybe(fc.uniqueArray(hostPattern, { minLength: 1, maxLength: 3 })),
      read: maybe(some(PATH_PATTERNS), 2),
      write: maybe(some(PATH_PATTERNS), 2),
      binaries: maybe(some(PATH_PATTERNS), 2),
      env: maybe(some(ENV), 2),
      execute: maybe(some(PATH_PATTERNS), 2),
      libraries: maybe(some(PATH_PATTERNS), 2),
      process_rights: maybe(some(PROCESS_RIGHTS), 2),
      restraint: maybe(
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
      args: maybe(fc.dictionary(fc.constantFrom(...POINTERS), condition, { minKeys: 1, maxKeys: 2 }), 2),
    })
    .map(({ who, lists, roleNames, nodeGlobs, restraint, hosts, read, write, binaries, env, ...more }) => {
      const { execute, libraries, process_rights, ...rest } = more
      const ofCalls = lists === 'any' ? { hosts, binaries, env } : {}
      const ofProcesses = lists === 'none' ? {} : { libraries, process_rights }
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
        ...(lists === 'none' ? {} : { execute }),
      })
      const paths = Object.keys(accesses).length === 0 ? undefined : accesses
      const narrowed = rest.effect === 'permit' ? restraint : {}
      return present({ ...rest, ...ofCalls, ...ofProcesses, ...narrowed, roles, nodes, paths }) as RawRule
    })

const roleDefinition = fc
  .record({ nodes: maybe(some(NODE_GLOBS)), asserted: fc.boolean() })
  .map(({ nodes, asserted }) =>
    nodes === undefined ? { asserted: true } : present({ nodes, asserted: asserted ? true : undefined }),
  )

/** What a policy set is made of: rules in any order, roles, and which of `files` documents each belongs to. */
export interface PolicyDraft {
  readonly rules: readonly RawRule[]
  readonly roles: Readonly<Record<string, RoleDefinition>>
  readonly files: number
}

type RoleDefinition = NonNullable<RawPolicy['roles']>[string]

export const EFFECTS = ['permit', 'permit', 'permit', 'forbid', 'require_approval'] as const

export function policyDraft(effects: readonly RawRule['effect'][] = EFFECTS, maxRules = 14): fc.Arbitrary<PolicyDraft> {
  return fc.record({
    rules: fc
      .integer({ min: 1, max: maxRules })
      .chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => rule(`r${index}`, effects)))),
    roles: fc.record(
      Object.fromEntries(ROLES.map((role) => [role, roleDefinition])) as Record<string, typeof roleDefinition>,
    ),
    files: fc.integer({ min: 1, max: 3 }),
  }) as fc.Arbitrary<PolicyDraft>
}

/** A rule of its own, e.g. to add to a draft. */
export function extraRule(effects: readonly RawRule['effect'][]): fc.Arbitrary<RawRule> {
  return rule('extra', effects)
}

/** The documents of a draft; roles stand in the first, rules go round. */
export function documentsOf(draft: PolicyDraft): RawPolicy[] {
  return Array.from({ length: draft.files }, (_, file) => ({
    version: 1,
    ...(file === 0 ? { roles: draft.roles } : {}),
    rules: draft.rules.filter((_rule, index) => index % draft.files === file),
  }))
}

/** Random choices from one seed: much cheaper than an arbitrary per request, and as reproducible. */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(values: readonly T[]): T {
    if (values.length === 0) throw new RangeError('nothing to pick from')
    return values[Math.floor(this.next() * values.length)] as T
  }

  /** mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A request that a random rule of the draft may well match, with resources of a second one now and then. */
export function nearRequest(draft: PolicyDraft, dice: Dice): ReferenceRequest {
  const rule = dice.pick(draft.rules)
  const resources = resourcesNear(rule, dice)
  if (dice.chance(0.25)) resources.push(...resourcesNear(dice.pick(draft.rules), dice))
  const asserted = Object.keys(draft.roles).filter((role) => draft.roles[role]?.asserted === true)
  const roles: string[] = []
  const wanted = (rule.roles ?? []).filter((role) => asserted.includes(role))
  if (wanted.length > 0 && dice.chance(0.8)) roles.push(dice.pick(wanted))
  if (asserted.length > 0 && dice.chance(0.15)) roles.push(dice.pick(asserted))
  if (dice.chance(0.02)) roles.push(dice.pick([...ROLES, 'nobody', 'constructor', '*']))
  const roleNodes = (rule.roles ?? []).flatMap((role) => draft.roles[role]?.nodes ?? [])
  const nodeGlob = rule.nodes ?? (roleNodes.length > 0 ? roleNodes : ['*'])
  const skill =
    rule.skills !== undefined && dice.chance(0.8) ? instance(dice.pick(rule.skills), SKILLS, dice) : dice.pick(SKILLS)
  return {
    node: dice.chance(0.9) ? instance(dice.pick(nodeGlob), NODES, dice) : dice.pick(NODES),
    tool: dice.chance(0.93) ? instance(dice.pick(rule.tools), TOOLS, dice) : dice.pick([...TOOLS, 'toString', 'other']),
    args: argsNear(rule, dice),
    resources,
    ...(roles.length === 0 && dice.chance(0.5) ? {} : { roles }),
    ...(dice.chance(0.1) ? {} : { skill }),
  }
}

/** A known name that the glob may have been written for, or the glob with its wildcards filled in. */
function instance(glob: string, known: readonly string[], dice: Dice): string {
  if (!/[*?[]/.test(glob)) return glob
  const filled = glob
    .replaceAll(/\[!?([^\]])[^\]]*\]/g, '$1')
    .replaceAll('*', dice.pick(['', 'a', 'ab']))
    .replaceAll('?', 'e')
  return filled !== '' && /^[a-z]/.test(filled) && /[a-z0-9_]$/.test(filled) && dice.chance(0.4)
    ? filled
    : dice.pick(known)
}

function resourcesNear(rule: RawRule, dice: Dice): Resource[] {
  const resources: Resource[] = []
  const from = '/r'
  const hosts = rule.hosts ?? (dice.chance(0.05) ? HOSTS : [])
  if (hosts.length > 0 && dice.chance(0.8)) resources.push(networkNear(dice.pick(hosts), dice))
  const reads = rule.paths?.read ?? []
  if (reads.length > 0 && dice.chance(0.8))
    resources.push({
      kind: 'path',
      path: pathNear(dice.pick(reads), dice),
      access: dice.chance(0.9) ? 'read' : 'write',
      from,
    })
  const writes = rule.paths?.write ?? []
  if (writes.length > 0 && dice.chance(0.8))
    resources.push({
      kind: 'path',
      path: pathNear(dice.pick(writes), dice),
      access: dice.chance(0.9) ? 'write' : 'read',
      from,
    })
  const binaries = rule.binaries ?? []
  if (binaries.length > 0 && dice.chance(0.8))
    resources.push({ kind: 'binary', path: pathNear(dice.pick(binaries), dice), from })
  if ((rule.env !== undefined && dice.chance(0.8)) || dice.chance(0.03))
    resources.push({ kind: 'env', name: dice.pick(rule.env ?? ENV), from })
  return resources
}

function networkNear(pattern: string, dice: Dice): Resource {
  const [, scheme = '', bracketed, plain = '', port = ''] =
    /^(?:([a-z]+):\/\/)?(?:\[([^\]]+)\]|([^:]+|[0-9a-f:/]+:[0-9a-f:/]*))(?::(\d+|\*))?$/.exec(pattern) ?? []
  const written = bracketed ?? plain
  const isAddress = /^[0-9.]+(?:\/|$)|:/.test(written)
  const text = dice.chance(0.15)
    ? dice.pick([...NAMES, ...ADDRESSES])
    : isAddress
      ? dice.chance(0.4)
        ? written.replace(/\/.*/, '')
        : dice.pick(ADDRESSES)
      : written === '*'
        ? dice.pick([...NAMES, ...ADDRESSES])
        : written.startsWith('*')
          ? `${dice.pick(['a', 'a.b', 'api'])}.${written.replace(/^\*+\./, '')}`
          : written
  const parsed = parseHost(text)
  if (!parsed.ok) throw new Error(`the generator made a bad host: ${text}`)
  const actualScheme = scheme !== '' && dice.chance(0.85) ? scheme : dice.pick(['', '', 'https', 'http', 'ws', 'wss'])
  const actualPort =
    /^\d/.test(port) && dice.chance(0.85) ? Number(port) : dice.pick([undefined, undefined, 80, 443, 8080])
  return {
    kind: 'network',
    host: parsed.host,
    ...(actualScheme === '' ? {} : { scheme: actualScheme }),
    ...(actualPort === undefined ? {} : { port: actualPort }),
    from: '/url',
  }
}

function pathNear(pattern: string, dice: Dice): string {
  if (dice.chance(0.3)) return dice.pick(PATHS)
  const filled = pattern
    .split('/')
    .flatMap((segment) => (segment === '**' ? dice.pick([[], ['a'], ['a', 'b'], ['secret']]) : [segment]))
    .map((segment) =>
      segment
        .replaceAll('*', dice.pick(['x', 'log']))
        .replaceAll('?', 'p')
        .replaceAll(/\[(.).*\]/g, '$1'),
    )
    .join('/')
  return filled === '' ? '/' : filled
}

function argsNear(rule: RawRule, dice: Dice): JsonObject {
  const args: Record<string, JsonValue> = {
    list: ['GET', dice.pick(SCALARS)],
    deep: { er: dice.pick(SCALARS) },
    method: 'GET',
    bytes: 7,
    to: 'ab.c',
    'a/b': 'x',
    flag: true,
  }
  for (const pointer of POINTERS) {
    const condition = rule.args?.[pointer]
    const value =
      condition !== undefined && dice.chance(0.8)
        ? valueFor(condition, dice)
        : dice.pick<JsonValue>([...SCALARS, [], ['GET'], {}])
    if (condition === undefined && dice.chance(0.6)) continue
    const absent = dice.chance(0.12)
    if (pointer === '/deep/er') args['deep'] = absent ? dice.pick<JsonValue>([{}, 'text', null]) : { er: value }
    else if (pointer === '/list/1') args['list'] = absent ? dice.pick<JsonValue>([['one'], 'ab', {}]) : ['one', value]
    else if (absent) delete args[pointer.slice(1).replace('~1', '/')]
    else args[pointer.slice(1).replace('~1', '/')] = value
  }
  return args
}

function valueFor(condition: RawCondition, dice: Dice): JsonValue {
  if (condition.equals !== undefined) return condition.equals
  if (condition.one_of !== undefined) return dice.pick(condition.one_of)
  if (condition.min !== undefined) return condition.min + dice.pick([0, 0.5, 1])
  if (condition.max !== undefined) return condition.max - dice.pick([0, 1])
  if (condition.glob !== undefined) return dice.pick(['GET', 'get', 'post', 'ab.c'])
  return dice.pick<JsonValue>(['abc', 'abcd', ['a', 'b', 'c']])
}
