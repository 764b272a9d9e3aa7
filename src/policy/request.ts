// A question as it comes in, and its canonical reading. Trusts none of it: an engine that is used without the facade gets
// hand-made requests, and a path or host that is spelled in another way than the patterns would slip past a forbid.

import { type HostName, parseHost } from '../core/host.ts'
import type { JsonObject } from '../core/json.ts'
import { LIMITS } from '../core/limits.ts'
import { parsePath } from '../core/path.ts'
import type { Resource } from '../core/resource.ts'
import { isEnvName, isName } from '../core/text.ts'
import { defaultPort } from '../core/url.ts'

/**
 * One question. Arguments are plain data that does not change while the call is judged, as the gateway's own frozen copy
 * is. Resources must be canonical; one that is not is refused, never mended.
 */
export interface PolicyRequest {
  /** Name of the graph node that asks. */
  readonly node: string
  /** Roles the graph asserts for the node; each must be defined with `asserted: true`. */
  readonly roles?: readonly string[]
  /** Left out, a permit for certain skills does not apply and a forbid for certain skills does. */
  readonly skill?: string
  readonly tool: string
  readonly args: JsonObject
  readonly resources: readonly Resource[]
}

/** A request whose every field was read once and is what its type says. */
export interface Question {
  readonly node: string
  readonly roles: readonly string[]
  readonly skill: string | undefined
  readonly tool: string
  readonly args: JsonObject
  readonly resources: readonly Resource[]
}

const NO_ROLES: readonly string[] = []

/** The request as a question, or what is wrong with it. A getter that throws does so here. */
export function readRequest(request: PolicyRequest): Question | string {
  const { node, roles, skill, tool, args, resources } = request
  if (!isName(node)) return 'node is not a name'
  if (!isName(tool)) return 'tool is not a name'
  if (skill !== undefined && !isName(skill)) return 'skill is not a name'
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return 'args is not an object'
  const ownRoles = roles === undefined ? NO_ROLES : readList(roles, readText)
  if (ownRoles === undefined) return 'roles is not a list of texts'
  const ownResources = readList(resources, readResource)
  if (ownResources === undefined) return 'resources is not a list of canonical resources'
  return { node, roles: ownRoles, skill, tool, args, resources: ownResources }
}

/** Goes by index: an array can bring an iterator that leaves out what a forbid is about. */
function readList<T>(list: readonly unknown[], read: (item: unknown) => T | undefined): readonly T[] | undefined {
  if (!Array.isArray(list)) return undefined
  const { length } = list
  if (!(length <= LIMITS.resources)) return undefined
  const own: T[] = []
  for (let index = 0; index < length; index++) {
    const item = read(list[index])
    if (item === undefined) return undefined
    own.push(item)
  }
  return own
}

function readText(text: unknown): string | undefined {
  return typeof text === 'string' ? text : undefined
}

/** A copy of the resource in which every part was checked, or `undefined` when it is not canonical. */
function readResource(resource: unknown): Resource | undefined {
  if (typeof resource !== 'object' || resource === null) return undefined
  const { kind, from } = resource as Partial<Resource>
  if (typeof from !== 'string') return undefined
  switch (kind) {
    case 'network':
      return readNetwork(resource as { host?: unknown; scheme?: unknown; port?: unknown }, from)
    case 'path': {
      const { path, access } = resource as { path?: unknown; access?: unknown }
      if (!isCanonicalPath(path) || (access !== 'read' && access !== 'write')) return undefined
      return { kind, path, access, from }
    }
    case 'binary': {
      const { path } = resource as { path?: unknown }
      return isCanonicalPath(path) ? { kind, path, from } : undefined
    }
    case 'env': {
      const { name } = resource as { name?: unknown }
      return typeof name === 'string' && isEnvName(name) ? { kind, name, from } : undefined
    }
    default:
      return undefined
  }
}

function readNetwork(
  resource: { host?: unknown; scheme?: unknown; port?: unknown },
  from: string,
): Resource | undefined {
  const { host: given, scheme, port } = resource
  const host = readHost(given)
  if (host === undefined) return undefined
  if (scheme !== undefined && (typeof scheme !== 'string' || defaultPort(scheme) === undefined)) return undefined
  if (port === undefined)
    return scheme === undefined ? { kind: 'network', host, from } : { kind: 'network', host, scheme, from }
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) return undefined
  return scheme === undefined ? { kind: 'network', host, port, from } : { kind: 'network', host, scheme, port, from }
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
