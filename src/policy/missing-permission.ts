// The smallest statements that grant what a denied call lacked, ready to be taken over. The resources are the model's choice,
// and an operator may take the lines as they stand: every pattern matches that one thing and nothing else.

import { formatHost } from '../core/host.ts'
import { hostCovers, parseHostPattern } from '../core/host-pattern.ts'
import { LIMITS } from '../core/limits.ts'
import { parsePathPattern, pathMatches } from '../core/path-pattern.ts'
import { describeResource, type NetworkResource, type Resource } from '../core/resource.ts'
import { defaultPort } from '../core/url.ts'
import type { Question } from './request.ts'
import type { RawEgress, RawRule } from './schema.ts'

export interface MissingPermission {
  /** Permits to add under `rules`. */
  readonly rules: readonly RawRule[]
  /** Entries to add under `egress`. */
  readonly egress: readonly RawEgress[]
  /** Resources that no statement could grant, e.g. an address with a second reading. */
  readonly ungrantable: readonly string[]
}

export interface Lacking {
  /** Resources no permit covers; `[]` is the call as such. */
  readonly rules?: readonly Resource[]
  /** Destinations no egress entry of the node lists. */
  readonly egress?: readonly Resource[]
}

/** `taken` are the ids of the set. */
export function missingPermission(question: Question, lacking: Lacking, taken: ReadonlySet<string>): MissingPermission {
  const ids = new Set(taken)
  const ungrantable: string[] = []
  const { node, tool, skill } = question
  const groups = (resources: readonly Resource[]): ReadonlyMap<string | undefined, readonly Resource[]> => {
    // What has a method goes into a statement of its own: `methods` is about all hosts beside it.
    const byMethod = new Map<string | undefined, Resource[]>()
    for (const resource of resources) {
      const method = resource.kind === 'network' ? resource.method : undefined
      if (!isGrantable(resource)) ungrantable.push(describeResource(resource))
      else byMethod.set(method, [...(byMethod.get(method) ?? []), resource])
    }
    return byMethod
  }
  const permit = (resources: readonly Resource[], method: string | undefined): RawRule => ({
    id: freeId(`permit-${node}-${tool}`, ids),
    effect: 'permit',
    nodes: [node],
    ...(skill === undefined ? {} : { skills: [skill] }),
    tools: [tool],
    ...listsFor(resources),
    ...(method === undefined ? {} : { methods: [method] }),
  })
  const rules =
    lacking.rules === undefined
      ? []
      : lacking.rules.length === 0
        ? [permit([], undefined)]
        : [...groups(lacking.rules)].map(([method, resources]) => permit(resources, method))
  const egress = [...groups(lacking.egress ?? [])].map(
    ([method, resources]): RawEgress => ({
      id: freeId(`reach-${node}`, ids),
      nodes: [node],
      hosts: distinct(resources.flatMap((one) => (one.kind === 'network' ? [hostText(one)] : []))),
      ...(method === undefined ? {} : { methods: [method] }),
    }),
  )
  return { rules, egress, ungrantable }
}

/** The statements as YAML, to be taken over into a policy document. */
export function permissionYaml({ rules, egress }: MissingPermission): string {
  const section = (key: string, items: readonly object[]): readonly string[] =>
    items.length === 0 ? [] : [`${key}:`, ...items.flatMap(itemLines)]
  return [...section('rules', rules), ...section('egress', egress)].join('\n')
}

function itemLines(item: object): readonly string[] {
  return Object.entries(item).map(([key, value], index) => `  ${index === 0 ? '-' : ' '} ${key}: ${flow(value)}`)
}

/** Every text is quoted: unquoted, a node called `no` or `1` would be something else. */
function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([key, member]) => `${key}: ${flow(member)}`)
    return `{ ${members.join(', ')} }`
  }
  // Names of the model's choosing must not turn a terminal or a line around.
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function freeId(wanted: string, ids: Set<string>): string {
  const base = wanted.slice(0, LIMITS.nameLength - 8).replace(/[^A-Za-z0-9]+$/, '')
  let id = base
  for (let number = 2; ids.has(id); number++) id = `${base}-${number}`
  ids.add(id)
  return id
}

function listsFor(resources: readonly Resource[]): Partial<RawRule> {
  const hosts: string[] = []
  const read: string[] = []
  const write: string[] = []
  const binaries: string[] = []
  const env: string[] = []
  const scopes: string[] = []
  for (const resource of resources) {
    switch (resource.kind) {
      case 'network':
        hosts.push(hostText(resource))
        break
      case 'path':
        ;(resource.access === 'read' ? read : write).push(pathText(resource.path))
        break
      case 'binary':
        binaries.push(pathText(resource.path))
        break
      case 'env':
        env.push(resource.name)
        break
      case 'scope':
        scopes.push(resource.name)
    }
  }
  const list = (key: string, texts: readonly string[]): object => (texts.length === 0 ? {} : { [key]: distinct(texts) })
  const paths = { ...list('read', read), ...list('write', write) }
  return {
    ...list('hosts', hosts),
    ...(Object.keys(paths).length === 0 ? {} : { paths }),
    ...list('binaries', binaries),
    ...list('env', env),
    ...list('oauth_scopes', scopes),
  }
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)]
}

function hostText({ host, scheme, port }: NetworkResource): string {
  const isImplied =
    port === undefined || (scheme === undefined ? port === 80 || port === 443 : port === defaultPort(scheme))
  return `${scheme === undefined ? '' : `${scheme}://`}${formatHost(host)}${isImplied ? '' : `:${port}`}`
}

/** A file named `**` must not become a grant of everything. */
function pathText(path: string): string {
  return path.replaceAll(/[^\p{L}\p{N}/._~ -]/gu, '\\$&')
}

function isGrantable(resource: Resource): boolean {
  if (resource.kind === 'network') {
    const parsed = parseHostPattern(hostText(resource))
    return parsed.ok && hostCovers(parsed.pattern, resource)
  }
  if (resource.kind !== 'path' && resource.kind !== 'binary') return true
  const parsed = parsePathPattern(pathText(resource.path))
  return parsed.ok && pathMatches(parsed.pattern, resource.path)
}
