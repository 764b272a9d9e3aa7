// Patterns for canonical absolute paths, as policies and manifests write them. Decides which files a line of a policy
// means. Trusts its input to come from parsePath: whatever that refuses never reaches a match.

import { type Glob, globContains, parseGlob, sequenceContains } from './glob.ts'
import { LIMITS } from './limits.ts'
import { pathTextFault } from './path.ts'

/** `rest` is `**`: any number of segments, none too. */
export type PathSegment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'glob'; readonly glob: Glob }
  | { readonly kind: 'rest' }

/** `/srv/p/**` covers `/srv/p` and everything below it; no segments at all is the root directory alone. */
export interface PathPattern {
  readonly text: string
  readonly segments: readonly PathSegment[]
}

export type ParsedPathPattern =
  | { readonly ok: true; readonly pattern: PathPattern }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

const REST: PathSegment = { kind: 'rest' }

/** Reads an absolute pattern, segment by segment as {@link parseGlob} reads a `path`. Never throws. */
export function parsePathPattern(text: string): ParsedPathPattern {
  if (text === '') return { ok: false, reason: 'empty pattern' }
  if (text.length > LIMITS.patternLength) return { ok: false, reason: 'a pattern that is too long' }
  if (!text.startsWith('/')) return { ok: false, reason: 'a relative pattern', hint: 'start it with /' }
  if (text === '/') return { ok: true, pattern: { text, segments: [] } }
  if (text.endsWith('/')) {
    return {
      ok: false,
      reason: 'a trailing slash',
      hint: 'write the directory without it, or with ** for all below it',
    }
  }
  const segments: PathSegment[] = []
  for (const part of text.slice(1).split('/')) {
    if (part === '') return { ok: false, reason: 'a doubled slash' }
    const segment = parseSegment(part)
    if (typeof segment === 'string') return { ok: false, reason: segment }
    if (segment.kind === 'rest' && segments.at(-1)?.kind === 'rest') {
      return { ok: false, reason: '** twice in a row', hint: 'write it once' }
    }
    segments.push(segment)
  }
  return { ok: true, pattern: { text, segments } }
}

// Most segments: no wildcard, no dot in front, nothing any reader treats specially.
const PLAIN = /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/

function parseSegment(part: string): PathSegment | string {
  if (part === '**') return REST
  if (PLAIN.test(part)) return { kind: 'literal', text: part }
  const parsed = parseGlob(part, 'path')
  if (!parsed.ok) return parsed.reason
  const { glob } = parsed
  if (glob.literal === undefined) return { kind: 'glob', glob }
  // A literal no canonical path can hold would be a rule that silently never applies.
  const fault = pathTextFault(`/${glob.literal}`)
  return fault ?? { kind: 'literal', text: glob.literal }
}

/**
 * Whether the pattern covers a canonical absolute path. Only the last `**` is ever retried, so the time is at most the
 * length of the path × the length of the pattern.
 */
export function pathMatches(pattern: PathPattern, path: string): boolean {
  const { segments } = pattern
  let index = 0
  // Where the current segment of the path starts; behind the end when there is none left, as in the root.
  let start = path.length === 1 ? 2 : 1
  let rest = -1
  let retry = 0
  while (start <= path.length) {
    const segment = segments[index]
    if (segment?.kind === 'rest') {
      rest = index++
      retry = start
      if (index === segments.length) return true
      continue
    }
    const slash = path.indexOf('/', start)
    const end = slash === -1 ? path.length : slash
    if (segment !== undefined && segmentMatches(segment, path, start, end)) {
      index++
      start = end + 1
    } else if (rest === -1) {
      return false
    } else {
      const next = path.indexOf('/', retry)
      retry = next === -1 ? path.length + 1 : next + 1
      start = retry
      index = rest + 1
    }
  }
  return segments.length === index || (segments.length === index + 1 && segments[index]?.kind === 'rest')
}

const isRest = (segment: PathSegment): boolean => segment.kind === 'rest'

function segmentMatches(segment: PathSegment, path: string, start: number, end: number): boolean {
  if (segment.kind === 'glob') return segment.glob.matches(path.slice(start, end))
  return segment.kind === 'literal' && end - start === segment.text.length && path.startsWith(segment.text, start)
}

/** Whether every path that `inner` covers is covered by `outer`. May say no where the answer is yes, never the reverse. */
export function pathPatternContains(outer: PathPattern, inner: PathPattern): boolean {
  return sequenceContains(outer.segments, inner.segments, isRest, segmentContains)
}

function segmentContains(outer: PathSegment, inner: PathSegment): boolean {
  if (outer.kind === 'literal') return inner.kind === 'literal' && inner.text === outer.text
  if (outer.kind === 'rest' || inner.kind === 'rest') return false
  return inner.kind === 'literal' ? outer.glob.matches(inner.text) : globContains(outer.glob, inner.glob)
}
