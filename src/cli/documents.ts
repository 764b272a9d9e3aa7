// Which document is which: by file name where that says it, else by the keys it has.

import { readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'

import { parseDocument, type SourceText } from '../core/document.ts'
import { readSource } from '../node/source.ts'
import { UsageError } from './command.ts'
import { isTestFile } from './test-files.ts'

export type DocumentKind = 'policy' | 'manifest' | 'graph' | 'trust'

export interface FoundDocument {
  readonly kind: DocumentKind
  readonly source: SourceText
}

const NAMES: readonly (readonly [RegExp, DocumentKind])[] = [
  [/^(?:.+\.)?policy\.(?:ya?ml|json|toml)$/, 'policy'],
  [/^(?:.+\.)?manifest\.(?:ya?ml|json|toml)$|^claw\.toml$/, 'manifest'],
  [/^(?:.+\.)?graph\.(?:ya?ml|json|toml)$/, 'graph'],
  [/^(?:.+\.)?trust\.(?:ya?ml|json|toml)$/, 'trust'],
]

/** The documents at `paths`: files as they are, directories searched for files whose names say what they are. */
export function findDocuments(paths: readonly string[]): readonly FoundDocument[] {
  const found: FoundDocument[] = []
  for (const path of paths) {
    const status = statSync(path, { throwIfNoEntry: false })
    if (status === undefined) throw new UsageError(`there is no ${path}`)
    if (status.isDirectory()) found.push(...search(path))
    else {
      const source = readSource(path)
      const document = classify(source)
      // A file of tests grants nothing; it comes along where the shell names every file of a directory.
      if (document.kind !== 'manifest' || !isTestFile(source)) found.push(document)
    }
  }
  return found
}

function search(directory: string): FoundDocument[] {
  const found: FoundDocument[] = []
  for (const entry of readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name === 'node_modules' || entry.name.startsWith('.git')) continue
    const path = join(directory, entry.name)
    if (entry.isDirectory()) found.push(...search(path))
    else if (entry.isFile()) {
      const kind = kindByName(entry.name)
      if (kind !== undefined) found.push({ kind, source: readSource(path) })
    }
  }
  return found
}

function kindByName(name: string): DocumentKind | undefined {
  return NAMES.find(([pattern]) => pattern.test(name))?.[1]
}

function classify(source: SourceText): FoundDocument {
  const byName = kindByName(basename(source.file))
  if (byName !== undefined) return { kind: byName, source }
  const parsed = parseDocument(source)
  const value = parsed.ok ? parsed.document.value : undefined
  const has = (key: string): boolean => typeof value === 'object' && value !== null && Object.hasOwn(value, key)
  if (has('rules')) return { kind: 'policy', source }
  if (has('nodes')) return { kind: 'graph', source }
  if (has('publishers') || has('pinned')) return { kind: 'trust', source }
  return { kind: 'manifest', source }
}

/** The name a manifest goes by when its own text gives it none. */
export function skillNameFor(source: SourceText, otherwise: string): { skill?: string } {
  const parsed = parseDocument(source)
  const value = parsed.ok ? parsed.document.value : undefined
  const named = typeof value === 'object' && value !== null && Object.hasOwn(value, 'skill')
  return named ? {} : { skill: otherwise }
}
