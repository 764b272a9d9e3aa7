// Observations made by hand: only what a test is about is said.

import type { Observation, ObservedFile } from '../../../../src/linux/observe/observation.ts'

export function observation(parts: Partial<Observation> = {}): Observation {
  return {
    arch: 'x86_64',
    kernelRelease: '6.1.0',
    syscalls: 'selected',
    calls: [],
    refused: [],
    programs: [],
    libraries: [],
    files: [],
    egress: [],
    listeners: [],
    unixSockets: [],
    rights: [],
    blind: [],
    unrepresentable: { count: 0, examples: [] },
    lost: 0,
    complete: true,
    leftBehind: false,
    exit: { code: 0 },
    ...parts,
  }
}

export function file(operation: ObservedFile['operation'], path: string, ...named: readonly string[]): ObservedFile {
  return { operation, path, named, count: 1 }
}

export function files(operation: ObservedFile['operation'], ...paths: readonly string[]): readonly ObservedFile[] {
  return paths.map((path) => file(operation, path))
}

export function peer(
  address: string,
  port: number,
  options: { readonly host?: string; readonly protocol?: 'tcp' | 'udp' | 'other'; readonly sent?: boolean } = {},
): Observation['egress'][number] {
  const { host, protocol = 'tcp', sent = true } = options
  return { address, ...(host === undefined ? {} : { host }), port, protocol, sent, count: 1 }
}
