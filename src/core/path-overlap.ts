// Whether two path patterns can have a path in common. Errs towards yes: a hole too many is a refusal, a hole too few is
// a file that was forbidden and can be read.

import type { PathPattern, PathSegment } from './path-pattern.ts'

/** Linear: what stands before the first and behind the last `**` is compared, what is between two of them is not. */
export function pathPatternsMayMeet(a: PathPattern, b: PathPattern): boolean {
  return endsMayMeet(a.segments, b.segments, 1) && endsMayMeet(a.segments, b.segments, -1)
}

/** Compares segment by segment, from the front or from the end, up to the first `**` of either. */
function endsMayMeet(a: readonly PathSegment[], b: readonly PathSegment[], step: 1 | -1): boolean {
  for (let count = 0; ; count++) {
    const one = a[step === 1 ? count : a.length - 1 - count]
    const other = b[step === 1 ? count : b.length - 1 - count]
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
