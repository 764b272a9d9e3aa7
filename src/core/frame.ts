// The lines around a place in a text, with a caret, ready for a terminal. The text may come from an attacker: what could
// move the cursor, change colours or reorder letters is shown as an escape, and a long line is cut around the place.

import type { LineTable } from './lines.ts'
import type { Position } from './problem.ts'
import { printable } from './text.ts'

const CONTEXT_LINES = 2
const WIDTH = 120
const TAB = '  '

/** Up to two lines before `position`, its own line, and a caret line. No line is longer than 120 columns. */
export function codeFrame(text: string, lines: LineTable, position: Position): string {
  const first = Math.max(1, position.line - CONTEXT_LINES)
  const gutter = String(position.line).length
  const width = WIDTH - gutter - 3
  const rows: string[] = []
  for (let line = first; line <= position.line; line++) {
    const { start, end } = lines.bounds(line)
    const caret = line === position.line ? Math.min(position.offset, end) : start
    const shown = showLine(text, start, end, caret, width)
    rows.push(`${String(line).padStart(gutter)} | ${shown.text}`.trimEnd())
    if (line === position.line) rows.push(`${' '.repeat(gutter)} | ${' '.repeat(shown.caret)}^`)
  }
  return rows.join('\n')
}

/** The part of a line around `caret` that fits into `width` columns, and the column of the caret in it. */
function showLine(
  text: string,
  start: number,
  end: number,
  caret: number,
  width: number,
): { readonly text: string; readonly caret: number } {
  const budget = width - 3
  const before: string[] = []
  let used = 0
  let from = caret
  // Two thirds before the caret at most, so that there is always something to see after it.
  while (from > start) {
    const at = isPair(text, from - 2, start) ? from - 2 : from - 1
    const cell = showCharacter(text.slice(at, from))
    if (used + cell.length > (budget * 2) / 3) break
    before.push(cell)
    used += cell.length
    from = at
  }
  const head = (from > start ? '…' : '') + before.reverse().join('')
  let tail = ''
  let to = caret
  while (to < end) {
    const next = isPair(text, to, start) ? to + 2 : to + 1
    const cell = showCharacter(text.slice(to, next))
    if (used + cell.length > budget) break
    tail += cell
    used += cell.length
    to = next
  }
  return { text: head + tail + (to < end ? '…' : ''), caret: head.length }
}

function showCharacter(character: string): string {
  return character === '\t' ? TAB : printable(character)
}

function isPair(text: string, at: number, start: number): boolean {
  if (at < start) return false
  const high = text.charCodeAt(at)
  const low = text.charCodeAt(at + 1)
  return high >= 0xd800 && high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff
}
