// What a skill's process does, as one canonical value that can be pinned and compared: sorted, counted sets, and the facts
// that make two of them comparable. Pure; it believes the observation it is given, and says when that was not a whole one.

import { canonicalJson } from '../core/canonical.ts'
import { sha256Hex } from '../core/crypto.ts'
import type { JsonValue } from '../core/json.ts'
import type { EnforcerEvent } from '../enforcer/enforcer.ts'
import type { FileOperation, Observation } from './observe/observation.ts'

export interface FingerprintSyscall {
  readonly name: string
  readonly arch: string
  readonly count: number
}

export interface FingerprintProgram {
  readonly path: string
  /** 64 hex digits; empty when the file could not be read. */
  readonly sha256: string
  readonly count: number
}

export interface FingerprintFile {
  readonly operation: FileOperation
  /** The path, its begin replaced by `$name` when a variable stands for it. */
  readonly path: string
  readonly count: number
}

export interface FingerprintEgress {
  /** A name, or an address when no name was seen. */
  readonly host: string
  readonly port: number
  readonly protocol: string
  readonly count: number
}

export interface FingerprintDenial {
  readonly feature: string
  readonly subject: string
  readonly count: number
}

export interface Fingerprint {
  readonly version: 1
  readonly source: 'observation' | 'confinement'
  /** Digest of the skill's content. Another content is another skill: see {@link compareFingerprints}. */
  readonly contentHash: string
  readonly kernelRelease: string
  readonly enforcerVersion: string
  /** `selected`: some calls, when they were made. `all`: a histogram of every call. `none`: not counted. */
  readonly syscallCoverage: 'selected' | 'all' | 'none'
  readonly syscalls: readonly FingerprintSyscall[]
  readonly programs: readonly FingerprintProgram[]
  readonly files: readonly FingerprintFile[]
  readonly egress: readonly FingerprintEgress[]
  readonly denied: readonly FingerprintDenial[]
  readonly lost: number
  /** Whether the run counts: nothing was lost or out of sight. */
  readonly complete: boolean
}

/** `$name` for everything below `path`. `whole`: all of it is one class, `$name/**`, because its names mean nothing. */
export interface FingerprintVariable {
  readonly name: string
  readonly path: string
  readonly whole?: boolean
}

export interface FingerprintContext {
  readonly contentHash: string
  readonly enforcerVersion: string
  /** Paths are generalised by these and by nothing else: a guessed pattern would hide what it covers. */
  readonly variables?: readonly FingerprintVariable[]
}

/** What is known of a confinement from the outside. */
export interface ConfinementFacts {
  readonly kernelRelease: string
  readonly arch: string
  readonly events: readonly EnforcerEvent[]
  /** SHA-256 of programs by path, of the time they were put into the box. */
  readonly programHashes?: ReadonlyMap<string, string>
  /** Connections the proxy let through, one entry for each. */
  readonly egress?: readonly { readonly host: string; readonly port: number; readonly protocol: string }[]
  /** Absent when calls are not counted on this host. */
  readonly syscalls?: readonly { readonly name: string; readonly count: number }[]
}

/** Throws `TypeError` for a variable that is no name, or no absolute path without a slash at its end. */
export function fingerprintObservation(observation: Observation, context: FingerprintContext): Fingerprint {
  const generalise = generaliser(context.variables ?? [])
  return build({
    source: 'observation',
    contentHash: context.contentHash,
    kernelRelease: observation.kernelRelease,
    enforcerVersion: context.enforcerVersion,
    syscallCoverage: observation.syscalls,
    syscalls: observation.calls.map((call) => ({ ...call, arch: observation.arch })),
    programs: observation.programs.map(({ path, sha256 = '', count }) => ({ path: generalise(path), sha256, count })),
    files: observation.files.map(({ operation, path, count }) => ({ operation, path: generalise(path), count })),
    egress: observation.egress
      .filter(({ sent }) => sent)
      .map(({ host, address, port, protocol, count }) => ({ host: host ?? address, port, protocol, count })),
    denied: [],
    lost: observation.lost,
    complete: observation.complete,
  })
}

/** Throws as {@link fingerprintObservation} does. */
export function fingerprintConfinement(facts: ConfinementFacts, context: FingerprintContext): Fingerprint {
  const generalise = generaliser(context.variables ?? [])
  const { events, programHashes, egress = [], syscalls } = facts
  const started = events.flatMap((event) => (event.type === 'started' ? [event.file] : []))
  const lost = events.reduce((sum, event) => (event.type === 'lost' ? sum + event.count : sum), 0)
  // A gap in the numbers is a loss that nobody owned up to.
  const gaps = events.reduce(
    (sum, event, index) => sum + Math.max(0, event.seq - ((events[index - 1]?.seq ?? 0) + 1)),
    0,
  )
  return build({
    source: 'confinement',
    contentHash: context.contentHash,
    kernelRelease: facts.kernelRelease,
    enforcerVersion: context.enforcerVersion,
    syscallCoverage: syscalls === undefined ? 'none' : 'all',
    syscalls: (syscalls ?? []).filter(({ count }) => count > 0).map((call) => ({ ...call, arch: facts.arch })),
    programs: started.map((path) => ({ path: generalise(path), sha256: programHashes?.get(path) ?? '', count: 1 })),
    files: [],
    egress: egress.map((connection) => ({ ...connection, count: 1 })),
    denied: events.flatMap((event) =>
      event.type === 'denied' ? [{ feature: event.feature, subject: generalise(event.subject), count: 1 }] : [],
    ),
    lost: lost + gaps,
    complete: lost + gaps === 0,
  })
}

/** `sha256:` and hex over the canonical JSON of all of it, counts included. */
export function fingerprintDigest(fingerprint: Fingerprint): string {
  return `sha256:${sha256Hex(canonicalJson(fingerprint as unknown as JsonValue))}`
}

export interface FingerprintEntry {
  readonly kind: 'syscall' | 'program' | 'file' | 'egress' | 'denied'
  /** The entry in words, counts left out. */
  readonly text: string
}

/**
 * `content_changed`: the skill is another one, and its probation begins anew. `not_comparable`: made by another enforcer or
 * on another architecture, or calls were not counted in the same way. `program_changed`: another file under the old path.
 * `incomplete`: events were lost, so that nothing follows from what is not there.
 */
export interface FingerprintViolation {
  readonly code:
    | 'content_changed'
    | 'denied'
    | 'incomplete'
    | 'new_egress'
    | 'new_file'
    | 'new_program'
    | 'new_syscall'
    | 'not_comparable'
    | 'program_changed'
  readonly text: string
}

export interface FingerprintComparison {
  /** Both runs count. When false, an empty list of violations means nothing. */
  readonly complete: boolean
  readonly added: readonly FingerprintEntry[]
  readonly removed: readonly FingerprintEntry[]
  readonly violations: readonly FingerprintViolation[]
}

const NEW: Readonly<Record<FingerprintEntry['kind'], FingerprintViolation['code']>> = {
  syscall: 'new_syscall',
  program: 'new_program',
  file: 'new_file',
  egress: 'new_egress',
  denied: 'denied',
}

/**
 * What `run` did that is not in `base`. Sets are compared, not counts. What is new is a violation; what is missing is not,
 * since a run need not do everything. Denials of the run are violations also when the base has them.
 */
export function compareFingerprints(base: Fingerprint, run: Fingerprint): FingerprintComparison {
  const before = entries(base)
  const after = entries(run)
  const added = [...after].filter(([text]) => !before.has(text))
  const removed = [...before].filter(([text]) => !after.has(text))
  const violations: FingerprintViolation[] = []
  for (const [name, fingerprint] of [['base', base] as const, ['run', run] as const]) {
    if (!counts(fingerprint)) violations.push({ code: 'incomplete', text: `events of the ${name} were lost` })
  }
  if (base.contentHash !== run.contentHash) violations.push({ code: 'content_changed', text: run.contentHash })
  for (const key of ['source', 'enforcerVersion', 'syscallCoverage'] as const) {
    if (base[key] !== run[key])
      violations.push({ code: 'not_comparable', text: `${key}: ${base[key]} and ${run[key]}` })
  }
  const known = new Set(base.programs.map(({ path }) => path))
  for (const [text, kind] of added) {
    const changed = kind === 'program' && run.programs.some((one) => programText(one) === text && known.has(one.path))
    if (kind !== 'denied') violations.push({ code: changed ? 'program_changed' : NEW[kind], text })
  }
  for (const denial of run.denied) violations.push({ code: 'denied', text: denialText(denial) })
  return Object.freeze({
    complete: counts(base) && counts(run),
    added: Object.freeze(added.map(([text, kind]) => ({ kind, text }))),
    removed: Object.freeze(removed.map(([text, kind]) => ({ kind, text }))),
    violations: Object.freeze(violations),
  })
}

// Both are asked: a value that was read back from a file may claim to be complete in spite of its losses.
function counts({ complete, lost }: Fingerprint): boolean {
  return complete && lost === 0
}

function entries(fingerprint: Fingerprint): ReadonlyMap<string, FingerprintEntry['kind']> {
  const found = new Map<string, FingerprintEntry['kind']>()
  for (const one of fingerprint.syscalls) found.set(`${one.name} (${one.arch})`, 'syscall')
  for (const one of fingerprint.programs) found.set(programText(one), 'program')
  for (const one of fingerprint.files) found.set(`${one.operation} ${one.path}`, 'file')
  for (const one of fingerprint.egress) found.set(`${one.protocol} ${one.host} port ${one.port}`, 'egress')
  for (const one of fingerprint.denied) found.set(denialText(one), 'denied')
  return found
}

function programText({ path, sha256 }: FingerprintProgram): string {
  return `run ${path} sha256:${sha256}`
}

function denialText({ feature, subject }: FingerprintDenial): string {
  return `denied ${feature} ${subject}`
}

function build(parts: Omit<Fingerprint, 'version'>): Fingerprint {
  return Object.freeze({
    version: 1,
    ...parts,
    syscalls: merged(parts.syscalls),
    programs: merged(parts.programs),
    files: merged(parts.files),
    egress: merged(parts.egress),
    denied: merged(parts.denied),
  })
}

/** Equal entries added up, in an order that does not depend on when they happened. */
function merged<T extends { readonly count: number }>(items: readonly T[]): readonly T[] {
  const found = new Map<string, T>()
  for (const item of items) {
    const key = canonicalJson({ ...item, count: 0 } as unknown as JsonValue)
    const before = found.get(key)
    found.set(key, Object.freeze({ ...item, count: item.count + (before?.count ?? 0) }))
  }
  return Object.freeze([...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item))
}

function generaliser(variables: readonly FingerprintVariable[]): (path: string) => string {
  for (const { name, path } of variables) {
    if (!/^[a-z][a-z0-9_]*$/.test(name)) throw new TypeError('a variable is named by small letters, digits and _')
    if (!path.startsWith('/') || path.endsWith('/')) throw new TypeError('a variable stands for an absolute directory')
  }
  // The longest first: $work inside $home is $work.
  const ordered = [...variables].sort((a, b) => b.path.length - a.path.length || (a.name < b.name ? -1 : 1))
  return (path) => {
    for (const variable of ordered) {
      if (path !== variable.path && !path.startsWith(`${variable.path}/`)) continue
      return variable.whole === true ? `$${variable.name}/**` : `$${variable.name}${path.slice(variable.path.length)}`
    }
    // A real path that begins like a variable would be taken for one.
    return path.startsWith('$') ? `\\${path}` : path
  }
}
