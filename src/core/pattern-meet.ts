// What two patterns have in common, as patterns. The answer never covers more than either; where the common part has no
// pattern of ours it covers less, down to nothing.

import { globContains } from './glob.ts'
import { type HostPattern, hostPatternContains, parseHostPattern } from './host-pattern.ts'
import { type PathPattern, type PathSegment, parsePathPattern, pathPatternContains } from './path-pattern.ts'
import { defaultPort } from './url.ts'

const SCHEMES = ['http', 'https', 'ws', 'wss'] as const

/** Patterns that cover destinations both cover. Several, where a port without a scheme is the usual one of some schemes. */
export function hostPatternsMeet(a: HostPattern, b: HostPattern): readonly HostPattern[] {
  if (hostPatternContains(a, b)) return [b]
  if (hostPatternContains(b, a)) return [a]
  if (a.scheme !== undefined && b.scheme !== undefined && a.scheme !== b.scheme) return []
  const narrow = hostPatternContains(everyPort(a), everyPort(b)) ? b : a
  const wide = narrow === b ? a : b
  if (!hostPatternContains(everyPort(wide), everyPort(narrow))) return []
  const scheme = a.scheme ?? b.scheme
  const written = (under: string | undefined, port: HostPattern['port']): readonly HostPattern[] => {
    const suffix = port === 'default' ? '' : port === 'any' ? ':*' : `:${port}`
    const host = hostText(narrow)
    const bracketed = suffix !== '' && host.includes(':') ? `[${host}]` : host
    const parsed = parseHostPattern(`${under === undefined ? '' : `${under}://`}${bracketed}${suffix}`)
    return parsed.ok ? [parsed.pattern] : []
  }
  if (a.port === b.port) return written(scheme, a.port)
  if (a.port === 'any') return written(scheme, b.port)
  if (b.port === 'any') return written(scheme, a.port)
  const port = a.port === 'default' ? b.port : b.port === 'default' ? a.port : undefined
  if (port === undefined) return []
  const under = scheme === undefined ? SCHEMES : [scheme]
  return under.filter((one) => defaultPort(one) === port).flatMap((one) => written(one, port))
}

/** The same hosts on every port, by every scheme. */
function everyPort({ scheme: _, ...pattern }: HostPattern): HostPattern {
  return { ...pattern, port: 'any' }
}

/** The host of a pattern as it is written without scheme, port and brackets. */
function hostText({ text, scheme, port }: HostPattern): string {
  const bare = scheme === undefined ? text : text.slice(scheme.length + 3)
  if (port === 'default') return bare
  const host = bare.slice(0, bare.lastIndexOf(':'))
  return host.startsWith('[') ? host.slice(1, -1) : host
}

/** A pattern that covers paths both cover, or `undefined`. The greatest where no `**` stands before the end of either. */
export function pathPatternsMeet(a: PathPattern, b: PathPattern): PathPattern | undefined {
  if (pathPatternContains(a, b)) return b
  if (pathPatternContains(b, a)) return a
  const parts: string[] = []
  for (let index = 0; ; index++) {
    const [one, other] = [a.segments[index], b.segments[index]]
    // The rest of one covers whatever the other says from here on.
    if (one?.kind === 'rest' && index === a.segments.length - 1)
      return readParts([...parts, ...partsOf(b).slice(index)])
    if (other?.kind === 'rest' && index === b.segments.length - 1) {
      return readParts([...parts, ...partsOf(a).slice(index)])
    }
    if (one === undefined || other === undefined) return one === other ? readParts(parts) : undefined
    const narrower = narrowerSegment(one, other)
    if (narrower === undefined) return undefined
    parts.push(partsOf(narrower === one ? a : b)[index] ?? '')
  }
}

function narrowerSegment(a: PathSegment, b: PathSegment): PathSegment | undefined {
  if (a.kind === 'rest' || b.kind === 'rest') return undefined
  if (a.kind === 'literal') return (b.kind === 'literal' ? a.text === b.text : b.glob.matches(a.text)) ? a : undefined
  if (b.kind === 'literal') return a.glob.matches(b.text) ? b : undefined
  return globContains(a.glob, b.glob) ? b : globContains(b.glob, a.glob) ? a : undefined
}

/** The text of each segment: a slash cannot be escaped. */
function partsOf({ text, segments }: PathPattern): readonly string[] {
  return segments.length === 0 ? [] : text.slice(1).split('/')
}

function readParts(parts: readonly string[]): PathPattern | undefined {
  const parsed = parsePathPattern(`/${parts.join('/')}`)
  return parsed.ok ? parsed.pattern : undefined
}
