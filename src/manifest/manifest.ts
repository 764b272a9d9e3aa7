// A tool binding manifest that holds together: what one skill says it needs. Made only by ManifestValidator; everything in
// it is canonical, and an absent section has become an empty list.

import type { HostPattern } from '../core/host-pattern.ts'
import type { JsonObject } from '../core/json.ts'
import type { PathPattern } from '../core/path-pattern.ts'
import type { Position } from '../core/problem.ts'
import type { ProcessLimits } from '../core/process-limits.ts'
import type { ProcessRight } from '../core/process-right.ts'
import type { PathAccess, ResourceKind } from '../core/resource.ts'

/** What a repeated call of a tool does. `keyed`: repeating is safe with the same idempotency key. */
export type ToolEffect = 'pure' | 'idempotent' | 'keyed' | 'unsafe'

export type ExecutionMode = 'shared' | 'ephemeral'
export type OnFailure = 'halt' | 'skip_downstream' | 'continue'

/** One argument of a tool that names a resource. */
export interface ResourceMapping {
  /** JSON Pointer into the arguments; the token `*` is every element of an array. */
  readonly from: string
  readonly kind: ResourceKind
  /** Of a path. */
  readonly access?: PathAccess
  /** Of a path or command: canonical absolute directory that relative values are resolved against. */
  readonly base?: string
  /** Of a command: canonical absolute directories that stand for PATH. Absent: programs are named by their paths. */
  readonly search?: readonly string[]
  /** Of a url or host: the HTTP method that is always used. */
  readonly method?: string
  /** Of a url or host: JSON Pointer to the text argument that says the HTTP method; a `*` is the same element as in `from`. */
  readonly methodFrom?: string
  /** The argument may be absent or null. */
  readonly optional: boolean
}

export interface ToolBinding {
  readonly name: string
  readonly description?: string
  /** `unsafe` unless the manifest says better. */
  readonly effect: ToolEffect
  /** Absent: the tool takes no arguments. */
  readonly inputSchema?: JsonObject
  readonly resources: readonly ResourceMapping[]
  /** OAuth scopes it makes use of, whatever the arguments are. */
  readonly oauthScopes: readonly string[]
  /** The manifest's own tool_scope admits it. A tool out of scope is declared but never called. */
  readonly inScope: boolean
}

export interface Manifest {
  readonly skill: string
  readonly version?: string
  readonly publisher?: string
  readonly description?: string
  readonly tools: ReadonlyMap<string, ToolBinding>
  readonly allowedHosts: readonly HostPattern[]
  readonly readablePaths: readonly PathPattern[]
  readonly writablePaths: readonly PathPattern[]
  /** Canonical absolute paths. */
  readonly allowedBinaries: readonly string[]
  readonly executablePaths: readonly PathPattern[]
  readonly allowedLibraries: readonly PathPattern[]
  readonly allowedEnv: readonly string[]
  readonly processRights: readonly ProcessRight[]
  readonly forbiddenSyscalls: readonly string[]
  readonly executionMode: ExecutionMode
  readonly limits: ProcessLimits
  /** Names and name globs; absent is every declared tool. */
  readonly toolScope?: readonly string[]
  readonly onFailure?: OnFailure
  /** `sha256:` and 64 hex digits over the canonical JSON of the document, variables filled in. */
  readonly digest: string
  readonly file: string
  /** Where in the file a pointer into the document stands. */
  locate(pointer: string): Position
}
