// Profiles without a manifest and a policy around them: a benchmark grants itself what it asks for, in the words of a
// manifest.

import { compileProfile, ManifestValidator, type Profile } from '@agentport/gateway'

export interface Wanted {
  readonly binaries: readonly string[]
  readonly read?: readonly string[]
  readonly write?: readonly string[]
  readonly execute?: readonly string[]
  readonly hosts?: readonly string[]
  readonly rights?: readonly string[]
}

export function profileFor(wanted: Wanted): Profile {
  const manifest = new ManifestValidator().load({
    file: 'manifest.json',
    text: JSON.stringify({
      skill: 'bench',
      allowed_binaries: wanted.binaries,
      readable_paths: wanted.read ?? [],
      writable_paths: wanted.write ?? [],
      executable_paths: wanted.execute ?? [],
      allowed_hosts: wanted.hosts ?? [],
      process_rights: wanted.rights ?? [],
    }),
  })
  const rule = {
    rule: 'bench',
    reads: manifest.readablePaths,
    writes: manifest.writablePaths,
    executes: manifest.executablePaths,
    libraries: manifest.allowedLibraries,
    hosts: manifest.allowedHosts,
    env: manifest.allowedEnv,
    rights: manifest.processRights,
    binaries: manifest.allowedBinaries.map((text) => ({
      text,
      segments: text
        .slice(1)
        .split('/')
        .map((part) => ({ kind: 'literal', text: part }) as const),
    })),
  }
  return compileProfile(manifest, { permits: [rule], forbids: [] }).profile
}
