// Whether one call is inside what the skill's manifest says: the tool is declared, the arguments fit its schema, and every
// resource they name is listed. Hands on the arguments in canonical form and the resources for the policy to judge.
// Everything about the manifest was prepared at load; here only the arguments are new, and they are not trusted.

import { type Denial, type DenialSubject, deny } from '../core/denial.ts'
import { formatHost } from '../core/host.ts'
import { type HostPattern, hostCovers } from '../core/host-pattern.ts'
import type { JsonObject } from '../core/json.ts'
import type { ArgumentCheck } from '../core/json-schema/input-schema.ts'
import { type PathPattern, pathMatches } from '../core/path-pattern.ts'
import { copyPlain } from '../core/plain.ts'
import { describeResource, type NetworkResource, type Resource } from '../core/resource.ts'
import { isName, printable } from '../core/text.ts'
import { defaultPort } from '../core/url.ts'
import type { Manifest } from './manifest.ts'
import { extractResources, type ResourceMap } from './resources.ts'

export type BoundCall =
  | {
      readonly ok: true
      /** Deep frozen; mapped values are canonical. Run the tool with these. */
      readonly args: JsonObject
      readonly resources: readonly Resource[]
    }
  | { readonly ok: false; readonly denial: Denial }

/** What the load prepared for the calls of one tool. */
export interface PreparedTool {
  readonly inScope: boolean
  readonly check: ArgumentCheck
  readonly map: ResourceMap
  /** What every call of the tool uses. */
  readonly scopes: readonly Resource[]
}

interface Prepared {
  readonly skill: string
  readonly tools: ReadonlyMap<string, PreparedTool>
  readonly limits: ResourceLimits
}

// Beside the manifest and not in it: what decides cannot be reached, replaced or built by a holder of the manifest.
const preparedManifests = new WeakMap<Manifest, Prepared>()

/** Called once, by the validator that made `manifest`. */
export function prepareManifest(manifest: Manifest, tools: ReadonlyMap<string, PreparedTool>): void {
  preparedManifests.set(manifest, { skill: manifest.skill, tools, limits: new ResourceLimits(manifest) })
}

/**
 * Judges one call. Reads `args` once, into a frozen copy; what the caller does to them afterwards changes nothing. Never
 * throws on arguments or tool names.
 *
 * @throws TypeError when `manifest` was not made by a ManifestValidator.
 */
export function bindCall(manifest: Manifest, tool: string, args: unknown): BoundCall {
  return bind(manifest, tool, args, copyPlain)
}

/** {@link bindCall} for arguments that are the deep frozen copy of copyPlain already. Not for anybody else's objects. */
export function bindCopied(manifest: Manifest, tool: string, args: JsonObject): BoundCall {
  return bind(manifest, tool, args, (value) => ({ ok: true, value: value as JsonObject, length: 0 }))
}

function bind(manifest: Manifest, tool: string, args: unknown, copy: typeof copyPlain): BoundCall {
  const prepared = preparedManifests.get(manifest)
  if (prepared === undefined) throw new TypeError('bindCall takes a manifest made by ManifestValidator')
  try {
    return judge(prepared, tool, args, copy)
  } catch (cause) {
    // The stack of a caller that had none left, or a defect of ours: either way nothing was established.
    const detail = `the manifest check failed (${cause instanceof Error ? cause.constructor.name : typeof cause})`
    return refuse(deny('internal_error', detail, { subject: { skill: prepared.skill } }))
  }
}

function judge(prepared: Prepared, tool: string, given: unknown, copy: typeof copyPlain): BoundCall {
  const { skill } = prepared
  const bound = prepared.tools.get(tool)
  if (bound === undefined) return refuse(undeclared(skill, tool))
  const subject: DenialSubject = { skill, tool }
  if (!bound.inScope) return refuse(deny('tool_out_of_scope', "not in the manifest's tool_scope", { subject }))

  const copied = copy(given)
  if (!copied.ok) {
    const about = { subject: { ...subject, argument: printable(copied.pointer) } }
    return refuse(deny(copied.code, copied.detail, about))
  }
  const args = copied.value
  if (!isObject(args)) return refuse(deny('arguments_invalid', 'the arguments are not an object', { subject }))

  const mismatch = bound.check(args)
  if (mismatch !== undefined) {
    const about = { subject: { ...subject, argument: printable(mismatch.pointer) } }
    if (mismatch.kind === 'too_much_work') {
      return refuse(deny('arguments_too_large', 'checking the patterns of the input schema would take too long', about))
    }
    const missing = mismatch.missing === undefined ? '' : `: ${JSON.stringify(mismatch.missing)} is absent`
    return refuse(deny('arguments_invalid', `input schema: ${mismatch.keyword}${missing}`, about))
  }

  const extraction = extractResources(bound.map, args)
  if (!extraction.ok) {
    const { code, pointer, reason, missing } = extraction.fault
    const about = { subject: { ...subject, argument: printable(pointer) } }
    return refuse(deny(code, reason, missing === undefined ? about : { ...about, missing: printable(missing) }))
  }
  for (const resource of extraction.resources) {
    if (prepared.limits.cover(resource)) continue
    const about = { ...subject, argument: resource.from, resource: describeResource(resource) }
    return refuse(
      deny('resource_undeclared', `not listed in the manifest: ${describeResource(resource)}`, {
        subject: about,
        missing: printable(missingEntry(resource)),
      }),
    )
  }
  const { args: canonical, resources } = extraction
  const { scopes } = bound
  return {
    ok: true,
    args: canonical,
    resources: scopes.length === 0 ? resources : Object.freeze([...resources, ...scopes]),
  }
}

function refuse(denial: Denial): BoundCall {
  return { ok: false, denial }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function undeclared(skill: string, tool: unknown): Denial {
  if (!isName(tool)) return deny('tool_undeclared', 'not the name of a tool', { subject: { skill } })
  const missing = `tools: [{ name: ${JSON.stringify(tool)} }]`
  return deny('tool_undeclared', 'the manifest declares no such tool', { subject: { skill, tool }, missing })
}

/** The lists of one manifest, ready to be asked. */
class ResourceLimits {
  readonly #exactHosts = new Map<string, HostPattern[]>()
  readonly #otherHosts: readonly HostPattern[]
  readonly #reads: readonly PathPattern[]
  readonly #writes: readonly PathPattern[]
  readonly #binaries: ReadonlySet<string>
  readonly #env: ReadonlySet<string>

  constructor(manifest: Manifest) {
    this.#otherHosts = manifest.allowedHosts.filter((pattern) => pattern.kind !== 'exact' || pattern.name === undefined)
    for (const pattern of manifest.allowedHosts) {
      if (pattern.kind !== 'exact' || pattern.name === undefined) continue
      const same = this.#exactHosts.get(pattern.name)
      if (same === undefined) this.#exactHosts.set(pattern.name, [pattern])
      else same.push(pattern)
    }
    this.#reads = [...manifest.readablePaths]
    this.#writes = [...manifest.writablePaths]
    this.#binaries = new Set(manifest.allowedBinaries)
    this.#env = new Set(manifest.allowedEnv)
  }

  cover(resource: Resource): boolean {
    switch (resource.kind) {
      case 'network':
        return this.#coversHost(resource)
      case 'path': {
        const patterns = resource.access === 'write' ? this.#writes : this.#reads
        return patterns.some((pattern) => pathMatches(pattern, resource.path))
      }
      case 'binary':
        return this.#binaries.has(resource.path)
      case 'env':
        return this.#env.has(resource.name)
      case 'scope':
        // No argument names one: the tool's own list does, and is added behind this check.
        return false
    }
  }

  #coversHost(network: NetworkResource): boolean {
    if (network.host.kind === 'name') {
      const exact = this.#exactHosts.get(network.host.text)
      if (exact !== undefined) for (const pattern of exact) if (hostCovers(pattern, network)) return true
    }
    for (const pattern of this.#otherHosts) if (hostCovers(pattern, network)) return true
    return false
  }
}

/** The smallest line of a manifest that would list `resource`. */
function missingEntry(resource: Resource): string {
  switch (resource.kind) {
    case 'network': {
      const { scheme, port } = resource
      const usual =
        port === undefined || (scheme === undefined ? port === 80 || port === 443 : port === defaultPort(scheme))
      return `allowed_hosts: [${JSON.stringify(`${formatHost(resource.host)}${usual ? '' : `:${port}`}`)}]`
    }
    case 'path':
      return `${resource.access === 'write' ? 'writable_paths' : 'readable_paths'}: [${JSON.stringify(asPattern(resource.path))}]`
    case 'binary':
      return `allowed_binaries: [${JSON.stringify(resource.path)}]`
    case 'env':
      return `allowed_env: [${JSON.stringify(resource.name)}]`
    case 'scope':
      return `oauth_scopes: [${JSON.stringify(resource.name)}]`
  }
}

/** The pattern that matches `path` and nothing else: what a glob reads as syntax gets a backslash. */
function asPattern(path: string): string {
  return path.replace(/[!"()*+?@[\\\]{|}]/g, '\\$&')
}
