// Where the paths of a manifest really lie on this machine: a link in front of a pattern makes it mean another tree. Says
// what stands on the disk at this moment and no more: whoever may write a directory on the way can put a link there
// afterwards, and what lies below a wildcard is not looked at. The enforcer is the wall; this finds what was set up wrong.

import { readlinkSync } from 'node:fs'

import { literalPathPattern } from '../core/path-literal.ts'
import { type PathPattern, parsePathPattern } from '../core/path-pattern.ts'
import type { Capabilities, Capability } from '../manifest/capabilities.ts'

export type RealPathKind = 'read' | 'write' | 'binary' | 'execute' | 'library'

/** One path or path pattern of a manifest, and its place there. */
export interface NamedPath {
  readonly kind: RealPathKind
  /** RFC 6901 pointer in the manifest. */
  readonly pointer: string
  /** As the manifest writes it. */
  readonly text: string
}

export interface RealPaths {
  /** What the manifest asks for with every path where it really lies; for PolicyEngine.excess. */
  readonly capabilities: Capabilities
  /** What lies elsewhere than it says. `real` is a path pattern. */
  readonly moved: readonly (NamedPath & { readonly real: string })[]
  /** What does not exist, judged where it would be made. `path` is the first that is missing, links followed. */
  readonly missing: readonly (NamedPath & { readonly path: string })[]
  /** What could not be followed to its end. It stays as it is written. */
  readonly unresolved: readonly (NamedPath & { readonly reason: string })[]
}

export interface RealPathOptions {
  /**
   * The target of the link at an absolute path, `undefined` where there is something else. Throws what readlink throws.
   * Default: the file system of this machine.
   */
  readonly readLink?: (path: string) => string | undefined
}

/** MAXSYMLINKS of Linux (path_resolution(7)). */
const MOST_LINKS = 40

type Followed =
  | { readonly ok: true; readonly real: string; readonly missing?: string }
  | { readonly ok: false; readonly reason: string }

/** Follows every path of a manifest up to its first wildcard. Never throws on what it finds. */
export function realPaths(asked: Capabilities, options: RealPathOptions = {}): RealPaths {
  const { readLink = readLinkHere } = options
  const moved: (NamedPath & { readonly real: string })[] = []
  const missing: (NamedPath & { readonly path: string })[] = []
  const unresolved: (NamedPath & { readonly reason: string })[] = []

  const place = (named: NamedPath, pattern: PathPattern): PathPattern => {
    const { prefix, rest } = splitAtWildcard(pattern)
    const followed = follow(prefix, readLink)
    if (!followed.ok) {
      unresolved.push({ ...named, reason: followed.reason })
      return pattern
    }
    if (followed.missing !== undefined) missing.push({ ...named, path: followed.missing })
    if (followed.real === prefix) return pattern
    const parsed = parsePathPattern(join(literalPathPattern(followed.real), rest))
    if (!parsed.ok) {
      unresolved.push({ ...named, reason: `it leads to a path with ${parsed.reason}` })
      return pattern
    }
    moved.push({ ...named, real: parsed.pattern.text })
    return parsed.pattern
  }
  const placeAll = (kind: RealPathKind, list: readonly Capability<PathPattern>[]): readonly Capability<PathPattern>[] =>
    list.map(({ value, pointer }) => ({ value: place({ kind, pointer, text: value.text }, value), pointer }))
  const binaries = asked.binaries.map(({ value, pointer }) => {
    const named = { kind: 'binary', pointer, text: value } as const
    const parsed = parsePathPattern(literalPathPattern(value))
    if (!parsed.ok) {
      unresolved.push({ ...named, reason: parsed.reason })
      return { value, pointer }
    }
    return { value: splitAtWildcard(place(named, parsed.pattern)).prefix, pointer }
  })
  const capabilities: Capabilities = {
    ...asked,
    reads: placeAll('read', asked.reads),
    writes: placeAll('write', asked.writes),
    binaries,
    executes: placeAll('execute', asked.executes),
    libraries: placeAll('library', asked.libraries),
  }
  return { capabilities, moved, missing, unresolved }
}

/** The path before the first wildcard, and the text of the pattern from there on. */
function splitAtWildcard({ text, segments }: PathPattern): { readonly prefix: string; readonly rest: string } {
  const names: string[] = []
  for (const segment of segments) {
    if (segment.kind !== 'literal') break
    names.push(segment.text)
  }
  // A pattern has one part of its text for each segment: a slash cannot be escaped.
  const rest = text.slice(1).split('/').slice(names.length).join('/')
  return { prefix: `/${names.join('/')}`, rest: segments.length === 0 ? '' : rest }
}

/** Component by component, since realpath(3) says nothing about a link to what is not there yet and could be made. */
function follow(path: string, readLink: (path: string) => string | undefined): Followed {
  const ahead = componentsOf(path).reverse()
  let real = '/'
  let links = 0
  let missing: string | undefined
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (name === '..') {
      // What is missing may become a link: only the kernel will know its parent.
      if (missing !== undefined) return { ok: false, reason: 'it leads through .. of what does not exist' }
      real = real.slice(0, real.lastIndexOf('/')) || '/'
      continue
    }
    const next = join(real, name)
    const target = missing === undefined ? read(next, readLink) : NOT_A_LINK
    if (target.kind === 'failed') return { ok: false, reason: target.reason }
    if (target.kind === 'link') {
      if (++links > MOST_LINKS) return { ok: false, reason: `it leads through more than ${MOST_LINKS} links` }
      if (target.to.startsWith('/')) real = '/'
      ahead.push(...componentsOf(target.to).reverse())
      continue
    }
    if (target.kind === 'missing') missing = next
    real = next
  }
  return missing === undefined ? { ok: true, real } : { ok: true, real, missing }
}

type Target =
  | { readonly kind: 'link'; readonly to: string }
  | { readonly kind: 'missing' | 'other' }
  | { readonly kind: 'failed'; readonly reason: string }

const NOT_A_LINK: Target = { kind: 'other' }

function read(path: string, readLink: (path: string) => string | undefined): Target {
  try {
    const to = readLink(path)
    return to === undefined ? NOT_A_LINK : { kind: 'link', to }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException | undefined)?.code
    if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'missing' }
    return { kind: 'failed', reason: `it cannot be followed (${code ?? 'no error code'})` }
  }
}

function readLinkHere(path: string): string | undefined {
  try {
    // A name that is not UTF-8 must not become another name.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readlinkSync(path, 'buffer'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return undefined
    throw error
  }
}

function componentsOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}

function join(directory: string, rest: string): string {
  if (rest === '') return directory
  return directory === '/' ? `/${rest}` : `${directory}/${rest}`
}
