// What one observed run of a command tried. An observation is evidence and nothing more: the program knew its own memory
// better than the observer, results of calls are not in it, and calls that were not selected leave no trace.

import type { ProcessRight } from '../../core/process-right.ts'

/** `missing`: looked for and not there. `stat`: asked about, not opened. */
export type FileOperation = 'read' | 'list' | 'write' | 'create' | 'delete' | 'stat' | 'missing'

/**
 * Why the observation cannot be whole. `foreign_architecture`: calls of another instruction set. `io_uring`: calls made by
 * way of a ring. `unreadable_argument`: a path or address that could not be read. `socket_type`: TCP and UDP could not be
 * told apart. `other_root`: the root directory was changed, and paths may mean other files. `stream`: the record broke off.
 */
export type BlindSpot =
  | 'foreign_architecture'
  | 'io_uring'
  | 'other_root'
  | 'socket_type'
  | 'stream'
  | 'unreadable_argument'

/** `path` has no symbolic link that the call would have followed; `named` are the names with one that led to it. */
export interface ObservedPath {
  readonly path: string
  readonly named: readonly string[]
  readonly count: number
}

export interface ObservedProgram extends ObservedPath {
  /** 64 hex digits, of the file as it was after the run; absent when it was gone or too large. */
  readonly sha256?: string
}

export interface ObservedFile extends ObservedPath {
  readonly operation: FileOperation
}

export interface ObservedEgress {
  /** Canonical. */
  readonly address: string
  /** The name that a name server gave this address for, when its answer was seen. */
  readonly host?: string
  readonly port: number
  readonly protocol: 'tcp' | 'udp' | 'other'
  /** False for a UDP socket that was given this peer and seen sending nothing, as resolvers do to compare routes. */
  readonly sent: boolean
  readonly count: number
}

export interface ObservedListener {
  readonly address: string
  readonly port: number
  readonly protocol: 'tcp' | 'udp' | 'other'
  readonly count: number
}

export interface ObservedUnixSocket {
  /** Empty for an abstract socket. */
  readonly path: string
  readonly use: 'connect' | 'bind'
  readonly count: number
}

export interface Counted {
  readonly name: string
  readonly count: number
}

export interface Observation {
  readonly arch: string
  readonly kernelRelease: string
  /** Only some system calls are observed: all of them would take tracing. */
  readonly syscalls: 'selected'
  readonly calls: readonly Counted[]
  /** Those of `calls` that no confinement allows. */
  readonly refused: readonly Counted[]
  readonly programs: readonly ObservedProgram[]
  /** Files that were mapped as code. */
  readonly libraries: readonly ObservedPath[]
  readonly files: readonly ObservedFile[]
  readonly egress: readonly ObservedEgress[]
  readonly listeners: readonly ObservedListener[]
  readonly unixSockets: readonly ObservedUnixSocket[]
  readonly rights: readonly ProcessRight[]
  readonly blind: readonly BlindSpot[]
  /** Paths that no manifest can name: not UTF-8, with a control character, and the like. Some of them, made visible. */
  readonly unrepresentable: { readonly count: number; readonly examples: readonly string[] }
  /** Records that were dropped. */
  readonly lost: number
  /** Nothing was lost and nothing was out of sight. */
  readonly complete: boolean
  /** Whether processes outlived the command and were ended. */
  readonly leftBehind: boolean
  readonly exit: { readonly code?: number; readonly signal?: string }
}
