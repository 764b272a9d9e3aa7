// Boxes from a manifest as people write it, granted as it is, and what comes out of them. Knows nothing of the test runner, so
// that it works in a process of its own too.

import { parsePathPattern } from '../../../src/core/path-pattern.ts'
import type { Command } from '../../../src/enforcer/command.ts'
import type { ConfinedProcess, Confinement, ExitStatus } from '../../../src/enforcer/enforcer.ts'
import { compileProfile, type Profile } from '../../../src/enforcer/profile.ts'
import { LinuxEnforcer } from '../../../src/linux/linux-enforcer.ts'
import type { Manifest } from '../../../src/manifest/manifest.ts'
import { ManifestValidator } from '../../../src/manifest/validator.ts'

export interface Outcome extends ExitStatus {
  readonly stdout: string
  readonly stderr: string
}

let shared: Promise<LinuxEnforcer> | undefined

/** One for a test file: what the host can do is found out once. */
export function linuxEnforcer(): Promise<LinuxEnforcer> {
  shared ??= LinuxEnforcer.open()
  return shared
}

/** Manifest text to the profile of somebody who grants all of it. */
export function profileOf(text: string, variables: Readonly<Record<string, string>> = {}): Profile {
  return grantAll(new ManifestValidator({ variables }).load({ file: 'manifest.yaml', text }))
}

export function grantAll(manifest: Manifest): Profile {
  const { profile, excess } = compileProfile(manifest, {
    permits: [
      {
        rule: 'test',
        reads: manifest.readablePaths,
        writes: manifest.writablePaths,
        executes: manifest.executablePaths,
        binaries: manifest.allowedBinaries.map((path) => {
          const parsed = parsePathPattern(path)
          if (!parsed.ok) throw new Error(`${path}: ${parsed.reason}`)
          return parsed.pattern
        }),
        libraries: manifest.allowedLibraries,
        hosts: manifest.allowedHosts,
        env: manifest.allowedEnv,
        rights: manifest.processRights,
      },
    ],
    forbids: [],
  })
  if (excess.length > 0) throw new Error(`not granted: ${excess.map(({ text }) => text).join(', ')}`)
  return profile
}

export async function runIn(box: Confinement, file: string, ...args: readonly string[]): Promise<Outcome> {
  return outcomeOf(await box.spawn({ file, args }))
}

export async function runCommand(box: Confinement, command: Command): Promise<Outcome> {
  return outcomeOf(await box.spawn(command))
}

export async function outcomeOf(child: ConfinedProcess): Promise<Outcome> {
  const [stdout, stderr, status] = await Promise.all([textOf(child.stdout), textOf(child.stderr), child.exited])
  return { ...status, stdout, stderr }
}

export async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return (await bytesOf(stream)).toString('utf8')
}

export async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const reader = stream.getReader()
  const parts: Uint8Array[] = []
  for (let part = await reader.read(); !part.done; part = await reader.read()) parts.push(part.value)
  return Buffer.concat(parts)
}
