// Random requests made from the statements of a random policy, so that most of them fall just inside or just outside of one.

import { parseHost } from '../../src/core/host.ts'
import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import type { Resource } from '../../src/core/resource.ts'
import type { RawCondition, RawDuring, RawRule } from '../../src/policy/schema.ts'
import type { PolicyDraft } from './arbitraries.ts'
import type { ReferenceRequest } from './reference.ts'
import {
  ADDRESSES,
  ASKS,
  ENV,
  FACTS,
  HOSTS,
  LABELS,
  METHODS,
  NAMES,
  NODES,
  PATHS,
  POINTERS,
  ROLES,
  SCALARS,
  SCOPES,
  SKILLS,
  TOOLS,
} from './world.ts'

type About = Omit<RawRule, 'effect' | 'limits'>

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

/** A request that a random statement of the draft may well match, with resources of a second one now and then. */
export function nearRequest(draft: PolicyDraft, dice: Dice): ReferenceRequest {
  const statements: readonly About[] = [...draft.limits, ...draft.obligations]
  const about = statements.length > 0 && dice.chance(0.2) ? dice.pick(statements) : dice.pick<About>(draft.rules)
  const resources = resourcesNear(about, dice)
  if (dice.chance(0.25)) resources.push(...resourcesNear(dice.pick(draft.rules), dice))
  const asserted = Object.keys(draft.roles).filter((role) => draft.roles[role]?.asserted === true)
  const roles: string[] = []
  const wanted = (about.roles ?? []).filter((role) => asserted.includes(role))
  if (wanted.length > 0 && dice.chance(0.8)) roles.push(dice.pick(wanted))
  if (asserted.length > 0 && dice.chance(0.15)) roles.push(dice.pick(asserted))
  if (dice.chance(0.02)) roles.push(dice.pick([...ROLES, 'nobody', 'constructor', '*']))
  const roleNodes = (about.roles ?? []).flatMap((role) => draft.roles[role]?.nodes ?? [])
  const nodeGlob = about.nodes ?? (roleNodes.length > 0 ? roleNodes : ['*'])
  const skill =
    about.skills !== undefined && dice.chance(0.8) ? instance(dice.pick(about.skills), SKILLS, dice) : dice.pick(SKILLS)
  // Where a role is given by labels, a request without any says nothing else.
  const byLabels = Object.values(draft.roles).some(({ labels }) => labels !== undefined)
  const told = <T>(probability: number, key: string, value: T): Readonly<Record<string, T>> =>
    dice.chance(probability) ? { [key]: value } : {}
  return {
    node: dice.chance(0.9) ? instance(dice.pick(nodeGlob), NODES, dice) : dice.pick(NODES),
    tool: dice.chance(0.93)
      ? instance(dice.pick(about.tools), TOOLS, dice)
      : dice.pick([...TOOLS, 'toString', 'other']),
    args: valuesNear(about.args, POINTERS, USUAL_ARGS, dice),
    resources,
    ...(roles.length === 0 && dice.chance(0.5) ? {} : { roles }),
    ...told(0.93, 'skill', skill),
    ...told(byLabels ? 0.99 : 0.93, 'labels', labelsNear(draft, about, dice)),
    ...told(0.95, 'upstream', namesNear(about.after, dice)),
    ...told(0.95, 'downstream', namesNear(about.before, dice)),
    ...told(0.95, 'facts', valuesNear(about.facts, FACTS, USUAL_FACTS, dice)),
    ...told(0.93, 'dataRegions', regionsNear(about.residency?.source, dice)),
    ...told(0.95, 'now', momentNear(about.during, dice)),
    ...told(0.95, 'run', dice.pick(['run-1', 'run-2'])),
    ...told(0.95, 'principal', dice.pick(['ana', 'bo', '__proto__'])),
    ...told(0.95, 'answers', answers(dice)),
  }
}

function labelsNear(draft: PolicyDraft, about: About, dice: Dice): Record<string, string> {
  const ofRoles = (about.roles ?? []).map((role) => draft.roles[role]?.labels ?? {})
  const wanted = about.labels ?? (ofRoles.length > 0 ? dice.pick(ofRoles) : {})
  const labels: Record<string, string> = {}
  for (const [key, known] of Object.entries(LABELS)) {
    const globs = wanted[key] ?? []
    if (globs.length > 0 && dice.chance(0.9)) labels[key] = instance(dice.pick(globs), known, dice)
    else if (dice.chance(0.6)) labels[key] = dice.pick(known)
  }
  return labels
}

function namesNear(globs: readonly string[] | undefined, dice: Dice): string[] {
  const names = dice.chance(0.4) ? [dice.pick(NODES)] : []
  if (globs !== undefined && dice.chance(0.8)) names.push(instance(dice.pick(globs), NODES, dice))
  return names
}

function regionsNear(wanted: readonly string[] | undefined, dice: Dice): string[] {
  if (wanted === undefined) return dice.pick([[], ['eu'], ['us'], ['eu', 'lan'], ['unheard-of']])
  const regions = dice.chance(0.85) ? [dice.pick(wanted)] : []
  if (dice.chance(0.15)) regions.push(dice.pick(['eu', 'us', 'lan', 'unheard-of']))
  return regions
}

const HOUR = 3_600_000
/** Monday to Sunday, a change to and one from summer time, and the edges of the windows of the policies. */
const MOMENTS = [
  '2026-03-02T07:00:00Z',
  '2026-03-04T17:00:00Z',
  '2026-03-06T22:00:00Z',
  '2026-03-07T05:59:59.999Z',
  '2026-03-08T06:00:00Z',
  '2026-03-28T23:30:00Z',
  '2026-03-29T00:00:00Z',
  '2026-03-29T01:00:00Z',
  '2026-07-06T06:00:00Z',
  '2026-10-25T01:00:00Z',
  '2026-10-26T03:00:00Z',
].map((text) => Date.parse(text))

function momentNear(during: RawDuring | undefined, dice: Dice): number {
  const moment = dice.pick(MOMENTS) + dice.pick([0, 0, -1, 1, 60_000, HOUR, -HOUR])
  const { not_before, not_after } = during ?? {}
  if (not_before !== undefined && dice.chance(0.5)) return Date.parse(not_before) + dice.pick([0, -1, HOUR])
  if (not_after !== undefined && dice.chance(0.5)) return Date.parse(not_after) + dice.pick([0, -1, HOUR])
  return moment
}

function answers(dice: Dice): Record<string, boolean> {
  const said: Record<string, boolean> = {}
  for (const { engine, query } of ASKS) {
    if (dice.chance(0.85)) said[`${engine} ${query}`] = dice.chance(0.75)
    // What is only like a truth is none.
    else if (dice.chance(0.2)) said[`${engine} ${query}`] = dice.pick<unknown>([1, 'true', {}, null]) as boolean
  }
  return said
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

function resourcesNear(rule: About, dice: Dice): Resource[] {
  const resources: Resource[] = []
  const from = '/r'
  const hosts = rule.hosts ?? (dice.chance(0.05) ? HOSTS : [])
  if (hosts.length > 0 && dice.chance(0.8)) resources.push(networkNear(dice.pick(hosts), rule.methods, dice))
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
  if ((rule.oauth_scopes !== undefined && dice.chance(0.8)) || dice.chance(0.02))
    resources.push({ kind: 'scope', name: dice.pick(rule.oauth_scopes ?? SCOPES), from: '' })
  return resources
}

function networkNear(pattern: string, methods: readonly string[] | undefined, dice: Dice): Resource {
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
    ...(dice.chance(0.12)
      ? {}
      : { method: methods !== undefined && dice.chance(0.7) ? dice.pick(methods) : dice.pick(METHODS) }),
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

const USUAL_ARGS: JsonObject = {
  list: ['GET', 7],
  deep: { er: 'GET' },
  method: 'GET',
  bytes: 7,
  to: 'ab.c',
  'a/b': 'x',
  flag: true,
}
const USUAL_FACTS: JsonObject = { age: 7, owner: { team: 'GET' }, tags: ['GET', 'POST'], trusted: true }

/** The usual values, and where there are conditions values that may well meet them, or none. */
function valuesNear(
  conditions: Readonly<Record<string, RawCondition>> | undefined,
  pointers: readonly string[],
  usual: JsonObject,
  dice: Dice,
): JsonObject {
  const values: Record<string, JsonValue> = { ...usual }
  for (const pointer of pointers) {
    const condition = conditions?.[pointer]
    const value =
      condition !== undefined && dice.chance(0.8)
        ? valueFor(condition, dice)
        : dice.pick<JsonValue>([
            ...SCALARS,
            -3,
            12.5,
            [],
            ['GET'],
            ['GET', 7, 'a'],
            {},
            { er: 3 },
            { er: 1, x: [1, 2, 3] },
          ])
    if (condition === undefined && dice.chance(0.6)) continue
    const absent = dice.chance(0.12)
    const [outer = '', inner] = pointer.slice(1).split('/')
    const key = outer.replace('~1', '/')
    if (inner === '1') values[key] = absent ? dice.pick<JsonValue>([['one'], 'ab', {}]) : ['one', value]
    else if (inner !== undefined) values[key] = absent ? dice.pick<JsonValue>([{}, 'text', null]) : { [inner]: value }
    else if (absent) delete values[key]
    else values[key] = value
  }
  return values
}

function valueFor(condition: RawCondition, dice: Dice): JsonValue {
  const { equals, one_of, min, max, glob, pattern, contains, every, some, schema } = condition
  if (equals !== undefined) return equals
  if (one_of !== undefined) return dice.pick(one_of)
  if (min !== undefined) return min + dice.pick([0, 0.5, 1])
  if (max !== undefined) return max - dice.pick([0, 1])
  if (glob !== undefined || pattern !== undefined) return dice.pick(['GET', 'get', 'post', 'ab.c', 'GET\n'])
  if (contains !== undefined) return dice.pick<JsonValue>([[contains], [contains, 'x'], [[contains]], []])
  if (every !== undefined || some !== undefined) {
    return dice.pick<JsonValue>([['GET', 7], ['GET', 'a'], [7, 8], [''], [], ['GET', null]])
  }
  if (schema !== undefined) {
    return dice.pick<JsonValue>([
      'GET',
      null,
      [],
      {},
      { er: 3 },
      { er: -1 },
      { er: 'long' },
      { x: [1, 2] },
      { x: [0.5] },
    ])
  }
  return dice.pick<JsonValue>(['abc', 'abcd', ['a', 'b', 'c']])
}
