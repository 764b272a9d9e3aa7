// Which files hold tests of policies: by name, or by the list of policies they begin with.

import { readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'

import { parseDocument, type SourceText } from '../core/document.ts'
import { readSource } from '../node/source.ts'

const NAME = /^(?:.+\.)?policy\.test\.(?:ya?ml|json|toml)$/

/** Whether a document is a test file rather than a policy: named so, or with a list of `policies`. */
export function isTestFile(source: SourceText): boolean {
  if (NAME.test(basename(source.file))) return true
  if (!/\.(?:ya?ml|json|toml)$/i.test(source.file)) return false
  const parsed = parseDocument(source)
  const value = parsed.ok ? parsed.document.value : undefined
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'policies')
}

/** The test files at `path`: itself, or those in a directory that are named so. */
export function findTestFiles(path: string): readonly SourceText[] {
  if (!statSync(path).isDirectory()) {
    const source = readSource(path)
    return isTestFile(source) ? [source] : []
  }
  const found: SourceText[] = []
  for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name === 'node_modules' || entry.name.startsWith('.git')) continue
    const inner = join(path, entry.name)
    if (entry.isDirectory()) found.push(...findTestFiles(inner))
    else if (entry.isFile() && NAME.test(entry.name)) found.push(readSource(inner))
  }
  return found
}
