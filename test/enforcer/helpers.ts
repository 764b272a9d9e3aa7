import { type HostPattern, parseHostPattern } from '../../src/core/host-pattern.ts'
import { type PathPattern, parsePathPattern } from '../../src/core/path-pattern.ts'
import { FEATURES, type Requirements } from '../../src/enforcer/feature.ts'
import { compileProfile, type Profile, type ProfileNeed } from '../../src/enforcer/profile.ts'

export function paths(...texts: readonly string[]): PathPattern[] {
  return texts.map((text) => {
    const parsed = parsePathPattern(text)
    if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
    return parsed.pattern
  })
}

export function hosts(...texts: readonly string[]): HostPattern[] {
  return texts.map((text) => {
    const parsed = parseHostPattern(text)
    if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
    return parsed.pattern
  })
}

export const NOTHING: ProfileNeed = {
  readablePaths: [],
  writablePaths: [],
  allowedBinaries: [],
  allowedLibraries: [],
  allowedHosts: [],
  allowedEnv: [],
  forbiddenSyscalls: [],
  executionMode: 'shared',
}

export const EMPTY: Profile = compileProfile(NOTHING, { permits: [], forbids: [] }).profile

export const ALL_PREFERRED: Requirements = Object.fromEntries(FEATURES.map((feature) => [feature, 'preferred']))
