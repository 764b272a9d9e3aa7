// A request that shows a difference, made small: whatever can be left out is, and what is left is written as policy tests
// write it.

import { formatHost } from '../../core/host.ts'
import type { JsonValue } from '../../core/json.ts'
import type { NetworkResource, Resource } from '../../core/resource.ts'
import { defaultPort } from '../../core/url.ts'
import type { PolicyRequest } from '../request.ts'

/** A request with the keys of a policy test. */
export type RequestText = Readonly<Record<string, JsonValue>>

const OPTIONAL = [
  'roles',
  'labels',
  'skill',
  'upstream',
  'downstream',
  'facts',
  'dataRegions',
  'now',
  'run',
  'principal',
  'answers',
] as const satisfies readonly (keyof PolicyRequest)[]
const MEMBERS = ['args', 'labels', 'facts', 'answers'] as const

/** The request without all that can be left out one by one while it still `shows` what it does. */
export function smallest(request: PolicyRequest, shows: (request: PolicyRequest) => boolean): PolicyRequest {
  let small = request
  for (let before: PolicyRequest | undefined; before !== small; ) {
    before = small
    for (const smaller of smallerThan(small)) {
      // Each was made of what stood before; one that was taken changes what the next are made of.
      const tried = smaller(small)
      if (tried !== undefined && shows(tried)) small = tried
    }
  }
  return small
}

type Smaller = (request: PolicyRequest) => PolicyRequest | undefined

function smallerThan(request: PolicyRequest): readonly Smaller[] {
  const steps: Smaller[] = []
  for (const key of OPTIONAL) {
    if (request[key] === undefined) continue
    steps.push(({ [key]: _, ...rest }) => rest as PolicyRequest)
  }
  if (request.resources.length > 0) steps.push((from) => ({ ...from, resources: [] }))
  if (request.resources.some((one) => one.kind === 'network' && one.method !== undefined)) {
    steps.push((from) => ({
      ...from,
      resources: from.resources.map((one) => {
        if (one.kind !== 'network') return one
        const { method: _, ...rest } = one
        return rest
      }),
    }))
  }
  for (const key of MEMBERS) {
    for (const name of Object.keys(request[key] ?? {})) {
      steps.push((from) => {
        const members = from[key]
        if (members === undefined || !Object.hasOwn(members, name)) return undefined
        const { [name]: _, ...rest } = members
        return { ...from, [key]: rest }
      })
    }
  }
  for (const key of ['roles', 'upstream', 'downstream', 'dataRegions'] as const) {
    for (const name of request[key] ?? []) {
      steps.push((from) => {
        const list = from[key]
        return list?.includes(name) === true ? { ...from, [key]: list.filter((one) => one !== name) } : undefined
      })
    }
  }
  return steps
}

/** The request as the `request` of a policy test. */
export function writeRequest(request: PolicyRequest): RequestText {
  const { node, tool, args, resources, dataRegions, now, ...rest } = request
  const written: Record<string, JsonValue> = { node, tool }
  for (const key of ['roles', 'labels', 'skill'] as const) if (rest[key] !== undefined) written[key] = rest[key]
  if (Object.keys(args).length > 0) written['args'] = args
  if (resources.length > 0) written['resources'] = resources.map(writeResource)
  for (const key of ['upstream', 'downstream', 'facts'] as const) if (rest[key] !== undefined) written[key] = rest[key]
  if (dataRegions !== undefined) written['data_regions'] = dataRegions
  if (now !== undefined) written['now'] = new Date(now).toISOString()
  for (const key of ['run', 'principal', 'answers'] as const) if (rest[key] !== undefined) written[key] = rest[key]
  return written
}

function writeResource(resource: Resource): JsonValue {
  switch (resource.kind) {
    case 'network':
      return writeNetwork(resource)
    case 'path':
      return { path: resource.path, access: resource.access }
    case 'binary':
      return { binary: resource.path }
    case 'env':
      return { env: resource.name }
    case 'scope':
      return { scope: resource.name }
  }
}

function writeNetwork({ host, scheme, port, method }: NetworkResource): JsonValue {
  const sent = method === undefined ? {} : { method }
  const name = formatHost(host)
  if (scheme === undefined) return { host: port === undefined ? host.text : `${name}:${port}`, ...sent }
  const at = port === undefined || port === defaultPort(scheme) ? '' : `:${port}`
  return { url: `${scheme}://${name}${at}/`, ...sent }
}
