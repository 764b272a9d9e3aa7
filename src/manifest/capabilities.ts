// What a manifest asks for, as plain data with the place of each wish, so that a policy can be asked before any node runs
// whether it grants all of it. A skill that asks for more than anybody grants is a finding of the load, not of the call.

import type { HostPattern } from '../core/host-pattern.ts'
import type { JsonObject } from '../core/json.ts'
import type { PathPattern } from '../core/path-pattern.ts'
import { formatPointer } from '../core/pointer.ts'
import type { ProcessRight } from '../core/process-right.ts'
import type { Manifest } from './manifest.ts'

/** One wish and its RFC 6901 pointer in the manifest. */
export interface Capability<T> {
  readonly value: T
  readonly pointer: string
}

export interface Capabilities {
  readonly skill: string
  readonly tools: readonly Capability<string>[]
  readonly hosts: readonly Capability<HostPattern>[]
  readonly reads: readonly Capability<PathPattern>[]
  readonly writes: readonly Capability<PathPattern>[]
  readonly binaries: readonly Capability<string>[]
  readonly env: readonly Capability<string>[]
  readonly executes: readonly Capability<PathPattern>[]
  readonly libraries: readonly Capability<PathPattern>[]
  readonly rights: readonly Capability<ProcessRight>[]
  /** OAuth scopes. */
  readonly scopes: readonly Capability<string>[]
}

/** A tool of a manifest as policies are typed against it. */
export interface ManifestTool {
  readonly name: string
  readonly skill: string
  readonly inputSchema?: JsonObject
}

export function toolsOfManifest({ skill, tools }: Manifest): readonly ManifestTool[] {
  return [...tools.values()].map(({ name, inputSchema }) =>
    inputSchema === undefined ? { name, skill } : { name, skill, inputSchema },
  )
}

export function capabilitiesOf(manifest: Manifest): Capabilities {
  // Every list of a manifest has the order of its document, and a document with one bad entry makes no manifest, so the
  // index is the place.
  const listed = <T>(section: string, values: readonly T[]): readonly Capability<T>[] =>
    values.map((value, index) => ({ value, pointer: formatPointer([section, index]) }))
  return {
    skill: manifest.skill,
    // A tool out of the manifest's own scope is not asked for.
    tools: listed('tools', [...manifest.tools.values()]).flatMap(({ value, pointer }) =>
      value.inScope ? [{ value: value.name, pointer: `${pointer}/name` }] : [],
    ),
    scopes: listed('tools', [...manifest.tools.values()]).flatMap(({ value, pointer }) =>
      value.inScope
        ? value.oauthScopes.map((scope, index) => ({ value: scope, pointer: `${pointer}/oauth_scopes/${index}` }))
        : [],
    ),
    hosts: listed('allowed_hosts', manifest.allowedHosts),
    reads: listed('readable_paths', manifest.readablePaths),
    writes: listed('writable_paths', manifest.writablePaths),
    binaries: listed('allowed_binaries', manifest.allowedBinaries),
    env: listed('allowed_env', manifest.allowedEnv),
    executes: listed('executable_paths', manifest.executablePaths),
    libraries: listed('allowed_libraries', manifest.allowedLibraries),
    rights: listed('process_rights', manifest.processRights),
  }
}
