// A question as it comes in, and its canonical reading. Trusts none of it: an engine that is used without the facade gets
// hand-made requests, and a path or host that is spelled in another way than the patterns would slip past a forbid.

import type { ConditionQuestion } from '../core/condition-port.ts'
import { type HostName, parseHost } from '../core/host.ts'
import type { JsonObject } from '../core/json.ts'
import { LIMITS } from '../core/limits.ts'
import { parsePath } from '../core/path.ts'
import { canonicalResource, isCanonicalResource, type NetworkResource, type Resource } from '../core/resource.ts'
import { isEnvName, isHttpMethod, isName, isScopeToken } from '../core/text.ts'
import { defaultPort } from '../core/url.ts'

/**
 * One question. Arguments, facts, labels and answers are plain data that does not change while the call is judged, as the
 * gateway's own frozen copies are. Resources must be canonical; one that is not is refused, never mended. What a rule
 * asks about and the request leaves out cannot be told: a permit then does not hold, anything else denies.
 */
export interface PolicyRequest {
  /** Name of the graph node that asks. */
  readonly node: string
  /** Roles the graph asserts for the node; each must be defined with `asserted: true`. */
  readonly roles?: readonly string[]
  /** All labels of the node: one that is not among them is known to be absent. */
  readonly labels?: Readonly<Record<string, string>>
  /** Left out, a permit for certain skills does not apply and a forbid for certain skills does. */
  readonly skill?: string
  readonly tool: string
  readonly args: JsonObject
  readonly resources: readonly Resource[]
  /** Names of all nodes before this one in the graph, at any distance. */
  readonly upstream?: readonly string[]
  /** Names of all nodes behind it. */
  readonly downstream?: readonly string[]
  /** What is known about run and node, for `facts` conditions. */
  readonly facts?: JsonObject
  /** Names of the regions the data of this call come from. */
  readonly dataRegions?: readonly string[]
  /** Milliseconds since the Unix epoch. */
  readonly now?: number
  readonly run?: string
  readonly principal?: string
  /** What condition ports said, by {@link conditionKey}. */
  readonly answers?: Readonly<Record<string, boolean>>
}

/** A request whose every field was read once and is what its type says. */
export interface Question {
  readonly node: string
  /** Asserted ones. */
  readonly roles: readonly string[]
  readonly labels: Readonly<Record<string, string>> | undefined
  readonly skill: string | undefined
  readonly tool: string
  readonly args: JsonObject
  readonly resources: readonly Resource[]
  readonly upstream: readonly string[] | undefined
  readonly downstream: readonly string[] | undefined
  readonly facts: JsonObject | undefined
  readonly dataRegions: readonly string[] | undefined
  readonly now: number | undefined
  readonly run: string | undefined
  readonly principal: string | undefined
  readonly answers: Readonly<Record<string, boolean>> | undefined
  /** Takes what a condition port was not asked yet, by its key; `undefined` when nobody wants to know. */
  readonly unanswered: Map<string, ConditionQuestion> | undefined
}

const NONE: readonly never[] = Object.freeze([])
const LONGEST_TEXT = LIMITS.patternLength
/** What a Date can hold (ECMA-262 §21.4.1.1). */
const MAX_TIME = 8.64e15

/** The request as a question, or what is wrong with it. A getter that throws does so here. */
export function readRequest(request: PolicyRequest, unanswered?: Map<string, ConditionQuestion>): Question | string {
  const { node, roles, skill, tool, args, resources, labels, upstream, downstream, facts, dataRegions, now } = request
  const { run, principal, answers } = request
  if (!isName(node)) return 'node is not a name'
  if (!isName(tool)) return 'tool is not a name'
  if (skill !== undefined && !isName(skill)) return 'skill is not a name'
  if (!isObject(args)) return 'args is not an object'
  const ownRoles = roles === undefined ? NONE : readList(roles, LIMITS.resources, readText)
  if (ownRoles === undefined) return 'roles is not a list of texts'
  const ownResources = readList(resources, LIMITS.resources, readResource)
  if (ownResources === undefined) return 'resources is not a list of canonical resources'
  const before = readOptionalList(upstream, NAMES)
  const behind = readOptionalList(downstream, NAMES)
  const regions = readOptionalList(dataRegions, TEXTS)
  if (before === null || behind === null || regions === null)
    return 'upstream, downstream and dataRegions are lists of texts'
  if (labels !== undefined && !isTexts(labels)) return 'labels is not an object of texts'
  if (facts !== undefined && !isObject(facts)) return 'facts is not an object'
  if (answers !== undefined && !isObject(answers)) return 'answers is not an object'
  if (now !== undefined && !(typeof now === 'number' && Math.abs(now) <= MAX_TIME))
    return 'now is not a number of milliseconds'
  if (run !== undefined && !isName(run)) return 'run is not a name'
  if (principal !== undefined && (typeof principal !== 'string' || principal.length > LONGEST_TEXT))
    return 'principal is not a short text'
  return {
    node,
    roles: ownRoles,
    labels,
    skill,
    tool,
    args,
    resources: ownResources,
    upstream: before,
    downstream: behind,
    facts,
    dataRegions: regions,
    now,
    run,
    principal,
    answers,
    unanswered,
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTexts(value: unknown): boolean {
  return isObject(value) && Object.values(value).every((text) => typeof text === 'string')
}

/** Goes by index: an array can bring an iterator that leaves out what a forbid is about. */
function readList<T>(
  list: readonly unknown[],
  most: number,
  read: (item: unknown) => T | undefined,
): readonly T[] | undefined {
  if (!Array.isArray(list)) return undefined
  const { length } = list
  if (!(length <= most)) return undefined
  const own: T[] = []
  for (let index = 0; index < length; index++) {
    const item = read(list[index])
    if (item === undefined) return undefined
    own.push(item)
  }
  return own
}

interface ListOf {
  readonly read: (item: unknown) => string | undefined
  readonly before: WeakSet<readonly string[]>
}

// The nodes around a node can be ten thousand and are the same for all its calls. A frozen list of texts that was read once
// says the same for ever.
const TEXTS: ListOf = { read: readText, before: new WeakSet() }
/** What is no name is matched by no pattern, not even by `*`: a forbid after such a node would not see it. */
const NAMES: ListOf = { read: (item) => (isName(item) ? item : undefined), before: new WeakSet() }

/** `null` when it is no list of them. */
function readOptionalList(list: readonly string[] | undefined, of: ListOf): readonly string[] | undefined | null {
  if (list === undefined || of.before.has(list)) return list
  const own = readList(list, LIMITS.graphNodes, of.read)
  if (own === undefined) return null
  if (Object.isFrozen(list)) of.before.add(list)
  return own
}

function readText(text: unknown): string | undefined {
  return typeof text === 'string' ? text : undefined
}

/** The resource, or a copy in which every part was checked; `undefined` when it is not canonical. */
function readResource(resource: unknown): Resource | undefined {
  if (typeof resource !== 'object' || resource === null) return undefined
  if (isCanonicalResource(resource)) return resource
  const { kind, from } = resource as Partial<Resource>
  if (typeof from !== 'string') return undefined
  switch (kind) {
    case 'network':
      return readNetwork(resource as { [K in keyof NetworkResource]?: unknown }, from)
    case 'path': {
      const { path, access } = resource as { path?: unknown; access?: unknown }
      if (!isCanonicalPath(path) || (access !== 'read' && access !== 'write')) return undefined
      return canonicalResource({ kind, path, access, from })
    }
    case 'binary': {
      const { path } = resource as { path?: unknown }
      return isCanonicalPath(path) ? canonicalResource({ kind, path, from }) : undefined
    }
    case 'env':
    case 'scope': {
      const { name } = resource as { name?: unknown }
      if (typeof name !== 'string' || !(kind === 'env' ? isEnvName(name) : isScopeToken(name))) return undefined
      return canonicalResource({ kind, name, from })
    }
    default:
      return undefined
  }
}

function readNetwork(resource: { [K in keyof NetworkResource]?: unknown }, from: string): Resource | undefined {
  const { host: given, scheme, port, method } = resource
  const host = readHost(given)
  if (host === undefined) return undefined
  if (scheme !== undefined && (typeof scheme !== 'string' || defaultPort(scheme) === undefined)) return undefined
  if (port !== undefined && !isPort(port)) return undefined
  if (method !== undefined && (typeof method !== 'string' || !isHttpMethod(method))) return undefined
  return canonicalResource({
    kind: 'network',
    host,
    ...(scheme === undefined ? {} : { scheme }),
    ...(port === undefined ? {} : { port }),
    ...(method === undefined ? {} : { method }),
    from,
  })
}

function isPort(port: unknown): port is number {
  return typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535
}

/** The host its text says. Numbers that came beside the text are not looked at: they could say another. */
function readHost(given: unknown): HostName | undefined {
  if (typeof given !== 'object' || given === null) return undefined
  const { text } = given as { text?: unknown }
  if (typeof text !== 'string') return undefined
  const parsed = parseHost(text)
  return parsed.ok && parsed.port === undefined && parsed.host.text === text ? parsed.host : undefined
}

function isCanonicalPath(path: unknown): path is string {
  if (typeof path !== 'string') return false
  const parsed = parsePath(path)
  return parsed.ok && parsed.path === path
}
