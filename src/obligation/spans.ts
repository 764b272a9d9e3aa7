// Which stretches of a text have to go. All matches of all patterns are found in one and the same text and joined before
// anything is cut: replacing one pattern after the other would depend on their order, and would leave the rest of a
// secret standing wherever two matches overlap.

import type { LinearRegExp } from '../core/linear-regexp.ts'

/** What stands where something was taken out. It has no border: two of them in a text never overlap. */
export const REDACTED = '[redacted]'

/** UTF-16 code units `start` to `end`, `end` excluded. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** Sorted, empty ones left out, those that overlap or touch joined. */
export function mergeSpans(spans: readonly Span[]): readonly Span[] {
  const merged: { start: number; end: number }[] = []
  for (const { start, end } of spans.filter((span) => span.end > span.start).sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1)
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end)
    else merged.push({ start, end })
  }
  return merged
}

/**
 * `spans` (as {@link mergeSpans} gives them) beside the markers that stand in `text`: what lies in markers alone is left
 * as it is, so that `[a-z]+` does not eat the word it has put there; what reaches beyond one takes it in whole.
 */
export function spansBeyondMarkers(text: string, spans: readonly Span[]): readonly Span[] {
  if (spans.length === 0 || !text.includes(REDACTED)) return spans
  const marks = mergeSpans(markers(text))
  let next = 0
  const grown = spans.flatMap(({ start, end }) => {
    while ((marks[next]?.end ?? Number.POSITIVE_INFINITY) <= start) next++
    let [from, to, last] = [start, end, next]
    for (let mark = marks[last]; mark !== undefined && mark.start < end; mark = marks[++last]) {
      if (mark.start <= start && end <= mark.end) return []
      from = Math.min(from, mark.start)
      to = Math.max(to, mark.end)
    }
    return [{ start: from, end: to }]
  })
  return mergeSpans(grown)
}

function markers(text: string): readonly Span[] {
  const found: Span[] = []
  for (let at = text.indexOf(REDACTED); at !== -1; at = text.indexOf(REDACTED, at + REDACTED.length)) {
    found.push({ start: at, end: at + REDACTED.length })
  }
  return found
}

/** `text` with a marker in the place of each span. */
export function cutSpans(text: string, spans: readonly Span[]): string {
  let kept = ''
  let at = 0
  for (const { start, end } of spans) {
    kept += text.slice(at, start) + REDACTED
    at = end
  }
  return kept + text.slice(at)
}

/**
 * Stretches that hold every match of `regexp`, and as a rule nothing else. The expression tells what stands between its
 * matches and not where: each piece is laid as far left and as far right as it fits, and only what both agree on is kept.
 */
export function matchSpans(regexp: LinearRegExp, text: string): readonly Span[] {
  if (!regexp.test(text)) return []
  const mark = absentCharacter(text)
  if (mark === undefined) return [{ start: 0, end: text.length }]
  const pieces = regexp.replaceAll(text, mark).split(mark)
  const last = pieces.length - 1
  const leftmost: number[] = [0]
  for (let index = 1, at = pieces[0]?.length ?? 0; index < last; index++) {
    const piece = pieces[index] as string
    at = find(text, piece, at, 1)
    leftmost.push(at)
    at += piece.length
  }
  leftmost.push(text.length - (pieces[last]?.length ?? 0))
  const spans: Span[] = []
  let to = text.length
  // The place of the piece to the right of `index`, as far right as it fits.
  let right = text.length
  for (let index = last; index >= 0; index--) {
    const piece = pieces[index] as string
    right = index === 0 ? 0 : index === last ? right - piece.length : find(text, piece, right, -1)
    const end = (leftmost[index] as number) + piece.length
    if (right >= end) continue
    spans.push({ start: end, end: to })
    to = right
  }
  spans.push({ start: 0, end: to })
  return mergeSpans(spans)
}

const PRIVATE_USE = 0xe000
const PRIVATE_USE_SIZE = 6_400

/** A character that `text` does not have; `undefined` for a text that has all those of the private use area. */
function absentCharacter(text: string): string | undefined {
  const usual = String.fromCharCode(PRIVATE_USE)
  if (!text.includes(usual)) return usual
  const used = new Uint8Array(PRIVATE_USE_SIZE)
  for (let index = 0; index < text.length; index++) {
    const offset = text.charCodeAt(index) - PRIVATE_USE
    if (offset >= 0 && offset < PRIVATE_USE_SIZE) used[offset] = 1
  }
  const free = used.indexOf(0)
  return free === -1 ? undefined : String.fromCharCode(PRIVATE_USE + free)
}

/** Below this the engine's own search, which multiplies the two lengths, is quicker. */
const SHORT = 16

/**
 * Where `piece` stands in `text`: the first place from `at` on (`step` 1), or the last that ends at `at` or before
 * (`step` -1). Knuth, Morris and Pratt (SIAM J. Comput. 6(2), 1977): time in proportion to the distance and the piece.
 *
 * @throws TypeError when it is not there, which would be a fault of the expression's.
 */
function find(text: string, piece: string, at: number, step: 1 | -1): number {
  const size = piece.length
  if (size <= SHORT) {
    const found = step === 1 ? text.indexOf(piece, at) : at < size ? -1 : text.lastIndexOf(piece, at - size)
    if (found === -1) throw new TypeError('an expression that keeps what is not in the text')
    return found
  }
  const wanted = (index: number): number => piece.charCodeAt(step === 1 ? index : size - 1 - index)
  const back = new Int32Array(size)
  for (let index = 1, length = 0; index < size; index++) {
    while (length > 0 && wanted(index) !== wanted(length)) length = back[length - 1] as number
    if (wanted(index) === wanted(length)) length++
    back[index] = length
  }
  let length = 0
  for (let index = step === 1 ? at : at - 1; index >= 0 && index < text.length; index += step) {
    const code = text.charCodeAt(index)
    while (length > 0 && code !== wanted(length)) length = back[length - 1] as number
    if (code === wanted(length)) length++
    if (length === size) return step === 1 ? index - size + 1 : index
  }
  throw new TypeError('an expression that keeps what is not in the text')
}
