// File paths in one canonical form: absolute, POSIX, no dots, no doubled slashes. Decides what path a text names without
// looking at the disk, so it refuses whatever only the disk could answer. Trusts no encoding and no normalisation.

import { LIMITS } from './limits.ts'
import { decodePercent } from './percent.ts'
import { hasUnprintable } from './text.ts'

export interface PathOptions {
  /** Canonical absolute path that a relative one starts from. Without it relative paths are refused. */
  readonly base?: string
}

export type ParsedPath = { readonly ok: true; readonly path: string } | { readonly ok: false; readonly reason: string }

const refused = (reason: string): ParsedPath => ({ ok: false, reason })

/**
 * Reads a path. `//` and `.` segments and a trailing slash are dropped; the root is `/`.
 *
 * `..` is refused, never resolved: when `a` is a symbolic link, `a/../b` is not `b`, and only the kernel knows. Resolving
 * it here would judge one file and open another.
 *
 * @throws TypeError when `base` is not a canonical absolute path
 */
export function parsePath(text: string, options: PathOptions = {}): ParsedPath {
  if (isCanonical(text)) return { ok: true, path: text }
  const fault = pathTextFault(text)
  if (fault !== undefined) return refused(fault)
  if (text.startsWith('/')) return collapse(text)
  if (options.base === undefined) return refused('a relative path')
  const base = parsePath(options.base)
  if (!base.ok || base.path !== options.base) throw new TypeError('base is not a canonical absolute path')
  return collapse(`${base.path}/${text}`)
}

// One pass over the common case: printable ASCII without escapes, already canonical.
function isCanonical(text: string): boolean {
  const length = text.length
  if (length > LIMITS.pathLength || text.charCodeAt(0) !== 0x2f) return false
  if (length === 1) return true
  let previous = 0x2f
  for (let index = 1; index < length; index++) {
    const code = text.charCodeAt(index)
    if (code < 0x20 || code > 0x7e || code === 0x5c || code === 0x25) return false
    if (previous === 0x2f && (code === 0x2f || (code === 0x2e && isDotSegment(text, index)))) return false
    previous = code
  }
  return previous !== 0x2f
}

function isDotSegment(text: string, start: number): boolean {
  const end = text.charCodeAt(start + 1) === 0x2e ? start + 2 : start + 1
  return end === text.length || text.charCodeAt(end) === 0x2f
}

function collapse(text: string): ParsedPath {
  const segments = text.split('/').filter((segment) => segment !== '' && segment !== '.')
  const path = `/${segments.join('/')}`
  return path.length > LIMITS.pathLength ? refused('a path that is too long') : { ok: true, path }
}

/** Why `text` cannot be part of a path that has one meaning, or `undefined`. Says nothing about being absolute. */
export function pathTextFault(text: string): string | undefined {
  if (text === '') return 'empty path'
  if (text.length > LIMITS.pathLength) return 'a path that is too long'
  const ascii = /^[ -~]*$/.test(text)
  if (!ascii && hasUnprintable(text)) return 'a control or format character'
  if (text.includes('\\')) return 'a backslash'
  if (text.startsWith('~')) return 'a leading ~, which only a shell can resolve'
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return 'a scheme or drive prefix'
  if (hasDotDot(text)) return 'a .. segment'
  if (text.includes('%') && hidesSyntax(text)) return 'a percent escape that hides path syntax'
  return ascii ? undefined : unicodeFault(text)
}

function hasDotDot(text: string): boolean {
  return text.includes('..') && text.split('/').includes('..')
}

// Files are opened by their raw name, yet a tool that takes file: URLs or decodes once too often would find a path here.
function hidesSyntax(text: string): boolean {
  const decoded = decodePercent(text)
  return decoded === undefined || syntaxCount(decoded) !== syntaxCount(text)
}

// How many dots, separators and controls a text shows. Decoding can only add to it.
function syntaxCount(text: string): number {
  let count = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 0x2e || code === 0x2f || code === 0x5c || code < 0x20 || code === 0x7f) count++
  }
  return count
}

// HFS+ and APFS compare names normalised, Linux does not: one NFC spelling keeps one file to one name. Compatibility forms
// (U+2025 for "..", U+FF0F for "/") are harmless to the kernel, and a traversal to any tool that applies NFKC first.
function unicodeFault(text: string): string | undefined {
  if (text.normalize('NFC') !== text) return 'text that is not in unicode nfc'
  const folded = text.normalize('NFKC')
  const slashes = (path: string): number => path.split(/[/\\]/).length
  return slashes(folded) !== slashes(text) || hasDotDot(folded)
    ? 'unicode characters that stand for path syntax'
    : undefined
}
