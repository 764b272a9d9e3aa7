// Whether two path patterns can have a path in common. Errs towards yes: a hole too many is a refusal, a hole too few is
// a file that was forbidden and can be read.

import type { PathPattern, PathSegment } from '../core/path-pattern.ts'

export function pathPatternsMayMeet(a: PathPattern, b: PathPattern): boolean {
  for (let depth = 0; ; depth++) {
    const one = a.segments[depth]
    const other = b.segments[depth]
    // What follows a `**` could be compared from the end; it is simpler and still safe to stop here.
    if (one?.kind === 'rest' || other?.kind === 'rest') return true
    if (one === undefined || other === undefined) return one === other
    if (segmentsDiffer(one, other)) return false
  }
}

function segmentsDiffer(a: PathSegment, b: PathSegment): boolean {
  if (a.kind === 'literal' && b.kind === 'literal') return a.text !== b.text
  if (a.kind === 'literal' && b.kind === 'glob') return !b.glob.matches(a.text)
  if (a.kind === 'glob' && b.kind === 'literal') return !a.glob.matches(b.text)
  return false
}
