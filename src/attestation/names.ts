// Which names a file of a skill may have. A name is refused, never mended: two file systems (or two libraries) that mend
// it differently would run different files under one signature. Decides on names alone and touches no disk.

import { LIMITS } from '../core/limits.ts'
import { hasUnprintable } from '../core/text.ts'

/** Why a skill with this file is refused. `path` is as it was given. */
export interface NameFault {
  readonly path: string
  readonly reason: string
}

// Windows opens these as devices whatever the extension and case: `aux.js` is the serial port.
const DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)/i
// `\` and `:` split paths or name streams on Windows; the rest cannot be written there at all.
const RESERVED = /[\\:<>"|?*]/
// `git~1` is the short name NTFS gives `.git` (CVE-2019-1352).
const GIT = /^(?:\.git|git~[0-9])$/i

const SEGMENT_BYTES = 255
const utf8 = new TextEncoder()

/** Why `path` (relative, `/` between segments) cannot name a file of a skill; `undefined` when it can. */
export function nameFault(path: string): string | undefined {
  if (path.length > LIMITS.pathLength || utf8.encode(path).length > LIMITS.pathLength) {
    return `the path is longer than ${LIMITS.pathLength} bytes`
  }
  // Also lone surrogates, which every encoder would silently turn into the same U+FFFD.
  if (hasUnprintable(path)) return 'the name has a control or invisible character'
  if (path.normalize('NFC') !== path) return 'the name is not in Unicode normalisation form C'
  const segments = path.split('/')
  if (segments.length > LIMITS.depth) return `the file lies deeper than ${LIMITS.depth} directories`
  for (const segment of segments) {
    const fault = segmentFault(segment)
    if (fault !== undefined) return fault
  }
  return undefined
}

function segmentFault(segment: string): string | undefined {
  if (segment === '') return 'the path is absolute, empty, or has an empty segment'
  if (segment === '.' || segment === '..') return 'the path has a . or .. segment'
  if (GIT.test(segment)) return 'it is repository data: sign an export of the skill, not its checkout'
  if (RESERVED.test(segment)) return 'the name has one of \\ : < > " | ? *'
  if (segment.endsWith('.') || segment.endsWith(' ')) return 'the name ends in a dot or a space'
  if (DEVICE.test(segment)) return 'the name is a device on Windows'
  if (utf8.encode(segment).length > SEGMENT_BYTES) return `the name is longer than ${SEGMENT_BYTES} bytes`
  return undefined
}

interface Seen {
  readonly name: string
  /** Absent for a file. */
  readonly below?: Map<string, Seen>
}

/**
 * All that is wrong with a list of paths: each name for itself, and names that are one on some file system (equal after
 * case folding and normalisation, or a file and a directory). At most {@link LIMITS.problems} faults.
 */
export function nameFaults(paths: Iterable<string>): readonly NameFault[] {
  const faults: NameFault[] = []
  const root = new Map<string, Seen>()
  for (const path of paths) {
    const reason = nameFault(path) ?? collision(root, path)
    if (reason !== undefined) faults.push({ path, reason })
    if (faults.length >= LIMITS.problems) break
  }
  return faults
}

// A tree of folded names rather than a set of folded paths: `A/x` and `a/y` collide in a directory neither path names.
function collision(root: Map<string, Seen>, path: string): string | undefined {
  const segments = path.split('/')
  let directory = root
  for (const [index, name] of segments.entries()) {
    const isFile = index === segments.length - 1
    const folded = fold(name)
    const seen = directory.get(folded)
    if (seen === undefined) {
      const below = new Map<string, Seen>()
      directory.set(folded, isFile ? { name } : { name, below })
      directory = below
      continue
    }
    if (seen.name !== name) return 'the name differs from another only in case or spelling'
    if (isFile || seen.below === undefined) {
      return isFile && seen.below === undefined ? 'the name stands twice' : 'a file and a directory have the same name'
    }
    directory = seen.below
  }
  return undefined
}

// Full case folding by way of lower and upper case, so that ß and ẞ are SS, the Kelvin sign k and long s s, as some file
// systems see them; where they differ, two names count as one.
function fold(name: string): string {
  return name.normalize('NFC').toLowerCase().toUpperCase().toLowerCase().normalize('NFC')
}
