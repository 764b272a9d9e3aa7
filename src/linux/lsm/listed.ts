// The files of one box that its plan makes executable, one by one, for the list of the security module programs. What the
// mounts already say is said again, so that neither lock alone is the only one.

import type { BoxSetup } from '../box.ts'
import type { LibraryClosure } from '../library-closure.ts'
import type { ListedFile } from './files.ts'

export type Listing =
  | { readonly ok: true; readonly files: readonly ListedFile[] }
  | { readonly ok: false; readonly reason: string }

/** LANDLOCK_ACCESS_FS_EXECUTE */
const LANDLOCK_EXECUTE = 1n

/** Not `ok` for a box whose executable files cannot be counted: one without its own mounts, one with a tree of them. */
export function listedFiles(setup: BoxSetup, closure: LibraryClosure): Listing {
  if (setup.kind !== 'namespaces') return { ok: false, reason: 'without namespaces there is no list of single files' }
  const roles = new Map(closure.files.map(({ real, role }) => [real, role]))
  const rules =
    setup.landlock === undefined ? undefined : new Map(setup.landlock.paths.map((rule) => [rule.path, rule]))
  const files: ListedFile[] = []
  for (const item of setup.mounts) {
    if (item.type !== 'bind' || item.access !== 'execute') continue
    if (item.recursive) return { ok: false, reason: `${item.source} is a tree of executable files` }
    // The interpreter is opened by the kernel and then mapped; started by itself it would load any file.
    const loaded = roles.has(item.source)
    const started =
      !loaded && (rules === undefined || ((rules.get(item.target)?.access ?? 0n) & LANDLOCK_EXECUTE) !== 0n)
    files.push({ path: item.source, execute: started, map: true })
  }
  return { ok: true, files }
}
