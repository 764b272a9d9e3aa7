// The digest of a skill: the object id git gives its tree in a SHA-256 repository (`gitTree` of in-toto). It covers the
// name, the bytes and the execute bit of every file, and `git write-tree` computes the same value independently.
// Trusts that the names passed `nameFaults`; throws TypeError on what would have no single meaning.

import { sha256, toHex } from '../core/crypto.ts'
import { LIMITS } from '../core/limits.ts'
import type { SkillFile } from './bundle.ts'

export type FileMode = '100644' | '100755'

/** One-shot hash. SHA-256 unless a test compares with a SHA-1 repository. */
export type TreeHash = (data: Uint8Array) => Uint8Array

interface Entry {
  readonly segments: readonly string[]
  readonly key: Uint8Array
  readonly mode: FileMode
  readonly hash: Uint8Array
}

const utf8 = new TextEncoder()

/** The git file mode: of all permission bits only the owner's execute bit is part of a skill. */
export function fileMode(file: Pick<SkillFile, 'executable'>): FileMode {
  return file.executable ? '100755' : '100644'
}

/** `sha256:` and the git tree id of the files, the form in which a skill digest is written everywhere. */
export function skillDigest(files: readonly SkillFile[]): string {
  return `sha256:${gitTree(files)}`
}

/** The id of the git tree that holds exactly `files`, as lower-case hex. */
export function gitTree(files: readonly SkillFile[], hash: TreeHash = sha256): string {
  const entries = files.map((file): Entry => {
    const segments = file.path.split('/')
    if (segments.length > LIMITS.depth) throw new TypeError('a file path is too deep')
    return { segments, key: utf8.encode(file.path), mode: fileMode(file), hash: object('blob', [file.bytes], hash) }
  })
  // Whole paths in byte order give each directory as one run, and inside it git's own order: a directory counts as
  // `name/`, and bytes of UTF-8 rather than UTF-16 units or a locale decide.
  entries.sort((a, b) => compareBytes(a.key, b.key))
  return toHex(tree(entries, 0, entries.length, 0, hash))
}

// Recursion is as deep as a path has segments, which LIMITS.depth bounds.
function tree(entries: readonly Entry[], from: number, to: number, depth: number, hash: TreeHash): Uint8Array {
  const body: Uint8Array[] = []
  const names = new Set<string>()
  let index = from
  while (index < to) {
    const entry = entries[index] as Entry
    const name = entry.segments[depth] as string
    if (names.has(name)) throw new TypeError('two files, or a file and a directory, have one path')
    names.add(name)
    if (entry.segments.length === depth + 1) {
      body.push(utf8.encode(`${entry.mode} ${name}\0`), entry.hash)
      index += 1
      continue
    }
    let end = index + 1
    while (end < to && isBelow(entries[end] as Entry, name, depth)) end += 1
    body.push(utf8.encode(`40000 ${name}\0`), tree(entries, index, end, depth + 1, hash))
    index = end
  }
  return object('tree', body, hash)
}

function isBelow(entry: Entry, name: string, depth: number): boolean {
  return entry.segments.length > depth + 1 && entry.segments[depth] === name
}

// `type SP length NUL body`: the length in front makes the framing unambiguous.
function object(type: 'blob' | 'tree', parts: readonly Uint8Array[], hash: TreeHash): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const header = utf8.encode(`${type} ${length}\0`)
  const data = new Uint8Array(header.length + length)
  data.set(header)
  let at = header.length
  for (const part of parts) {
    data.set(part, at)
    at += part.length
  }
  return hash(data)
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length)
  for (let index = 0; index < shorter; index++) {
    const difference = (a[index] as number) - (b[index] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
