// The signed list of files beside the tree digest: the digest says that something differs, the list says what.

import { sha256Hex } from '../core/crypto.ts'
import type { SkillFile } from './bundle.ts'
import { type FileMode, fileMode } from './tree.ts'

export interface ListedFile {
  readonly path: string
  readonly mode: FileMode
  /** Bytes. */
  readonly size: number
  /** Lower-case hex. */
  readonly sha256: string
}

/** How files on disk differ from a signed list. All empty: they are the same. */
export interface FileDifferences {
  /** Listed, and other bytes or another execute bit. */
  readonly changed: readonly string[]
  readonly missing: readonly string[]
  /** There, and not listed: `require('./x')` would load it all the same. */
  readonly extra: readonly string[]
}

/** What a publisher lists, in the order of `files`. */
export function listFiles(files: readonly SkillFile[]): readonly ListedFile[] {
  return files.map((file) => ({
    path: file.path,
    mode: fileMode(file),
    size: file.bytes.length,
    sha256: sha256Hex(file.bytes),
  }))
}

export function compareFiles(listed: readonly ListedFile[], actual: readonly ListedFile[]): FileDifferences {
  const expected = new Map(listed.map((file) => [file.path, file]))
  const changed: string[] = []
  const extra: string[] = []
  for (const file of actual) {
    const match = expected.get(file.path)
    if (match === undefined) extra.push(file.path)
    else if (match.sha256 !== file.sha256 || match.size !== file.size || match.mode !== file.mode)
      changed.push(file.path)
    expected.delete(file.path)
  }
  return { changed, missing: [...expected.keys()], extra }
}

const NAMED = 3

/** One line such as `changed: a.js; extra: .env, b.js and 4 more`; `undefined` when nothing differs. */
export function describeDifferences(differences: FileDifferences): string | undefined {
  const parts: string[] = []
  for (const kind of ['changed', 'missing', 'extra'] as const) {
    const paths = differences[kind]
    if (paths.length === 0) continue
    const rest = paths.length > NAMED ? ` and ${paths.length - NAMED} more` : ''
    parts.push(`${kind}: ${paths.slice(0, NAMED).map(shorten).join(', ')}${rest}`)
  }
  return parts.length === 0 ? undefined : parts.join('; ')
}

// A denial holds 500 characters: long names must not push the next kind out of it.
function shorten(path: string): string {
  return path.length <= 48 ? path : `…${path.slice(-47)}`
}
