// Text from outside as an approver may be shown it: everything that could hide, reorder, push away or imitate other text
// becomes a visible escape, and no two texts are shown alike. Trusts nothing in the text.

import { sha256Hex } from '../core/crypto.ts'

/**
 * What does not show as itself. Beyond controls, format characters, separators and surrogates (Trojan Source,
 * CVE-2021-42574): characters that are blank (fillers, variation selectors, the empty braille cell), spaces other than
 * the ASCII one, what has no assigned glyph, and marks piled on one letter until they cover its neighbours.
 */
const HIDING = /[\p{C}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Z}|\p{M}{3,}|\\|"| {2,}/gu

/** `text` in double quotes; `\` begins an escape and nothing else, so that none can be imitated. */
export function quoted(text: string): string {
  return `"${text.replace(HIDING, escapeOf)}"`
}

function escapeOf(found: string): string {
  // A run of spaces pushes what follows out of sight; said as a number it takes no room.
  if (found.startsWith(' ')) return `\\{space x${found.length}}`
  if (found === '\\' || found === '"') return `\\${found}`
  return Array.from(found, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`).join('')
}

/** Characters shown of one text: so many of its beginning and of its end. */
const HEAD = 140
const TAIL = 60

/**
 * {@link quoted}, cut in the middle when it is long, with the length of the whole and its hash behind it. Both ends are
 * shown, because padding is put where the cut is expected.
 */
export function shortQuoted(text: string): string {
  // Before anything else: escaping megabytes for the sake of two hundred characters.
  const whole = text.length > LONGEST_ESCAPED ? undefined : quoted(text)
  if (whole !== undefined && whole.length <= HEAD + TAIL) return whole + remark(text)
  const escaped = whole?.slice(1, -1)
  const head = cutStart(escaped ?? quoted(text.slice(0, HEAD)).slice(1, -1), HEAD)
  const tail = cutEnd(escaped ?? quoted(text.slice(-TAIL)).slice(1, -1), TAIL)
  const said = `${text.length} characters, sha256 ${sha256Hex(text).slice(0, 16)}`
  return `"${head}" [CUT: ${said}] "${tail}"${remark(text)}`
}

const LONGEST_ESCAPED = 20_000

// Not through an escape or a surrogate pair: half of one would read as something else.
function cutStart(escaped: string, length: number): string {
  const pieces = escaped.match(PIECE) ?? []
  let text = ''
  for (const piece of pieces) {
    if (text.length + piece.length > length) break
    text += piece
  }
  return text
}

function cutEnd(escaped: string, length: number): string {
  const pieces = escaped.match(PIECE) ?? []
  let text = ''
  for (let index = pieces.length - 1; index >= 0; index--) {
    const piece = pieces[index] ?? ''
    if (text.length + piece.length > length) break
    text = piece + text
  }
  return text
}

const PIECE = /\\u?\{[^}]*\}|\\.|[^\\]/gsu

const PLAIN = /^[\t\n\r -~]*$/

/** A letter of another script can look exactly like one of ours (U+0430 and `a`), and no escape would help its readers. */
function remark(text: string): string {
  return PLAIN.test(text) ? '' : ' [not only ASCII]'
}

const PLAIN_NAME = /^[A-Za-z0-9/](?:[A-Za-z0-9_.:@/~+-]*[A-Za-z0-9_/])?$/

/** A name as it is when it is plain, else {@link shortQuoted}. */
export function shownName(text: string): string {
  return text.length <= HEAD && PLAIN_NAME.test(text) ? text : shortQuoted(text)
}

/** Columns of a terminal that `text` takes at most: what is not ASCII may be two wide. */
function columns(character: string): number {
  return character > '~' ? 2 : 1
}

/** `text` in pieces of at most `width` columns, so that no terminal breaks it where its author wanted. */
export function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  let used = 0
  for (const character of text) {
    const wide = columns(character)
    if (used + wide > width) {
      lines.push(line)
      line = ''
      used = 0
    }
    line += character
    used += wide
  }
  return [...lines, line]
}
