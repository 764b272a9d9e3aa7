// The trust document: whose signatures count, for which skills, which exact bytes are pinned, and what is revoked. The
// operator writes it; everything here is told at load, with file and line. What it does not name is not trusted.

import { decodeBase64 } from '../core/base64.ts'
import { canonicalJson } from '../core/canonical.ts'
import { sha256Hex } from '../core/crypto.ts'
import {
  documentFromValue,
  type ParsedDocument,
  parseDocument,
  type SourceDocument,
  type SourceText,
} from '../core/document.ts'
import { importPublicKey, keyId, PUBLIC_KEY_BYTES } from '../core/ed25519.ts'
import { AgentPortError } from '../core/errors.ts'
import { type Glob, parseGlob } from '../core/glob.ts'
import type { Problem } from '../core/problem.ts'
import { shapeProblems } from '../core/shape.ts'
import { parseInstant } from './instant.ts'
import { checkTrustShape, type RawPublisher, type RawTrust, trustShape } from './schema.ts'

export interface TrustedPublisher {
  readonly name: string
  /** Public keys by `keyId`. */
  readonly keys: ReadonlyMap<string, Uint8Array>
  /** How many different keys must have signed. */
  readonly threshold: number
  readonly skills: readonly Glob[]
  /** By skill, the lowest sequence still taken. */
  readonly minSequence: ReadonlyMap<string, number>
  /** Milliseconds since the Unix epoch. */
  readonly expires?: number
}

export interface Trust {
  readonly file: string
  /** `sha256:` of the canonical JSON of the document, for records of what was trusted when. */
  readonly digest: string
  readonly publishers: ReadonlyMap<string, TrustedPublisher>
  /** By skill, the pinned digests. */
  readonly pinned: ReadonlyMap<string, ReadonlySet<string>>
  readonly revokedKeys: ReadonlySet<string>
  readonly revokedDigests: ReadonlySet<string>
}

export type LoadedTrust =
  | { readonly ok: true; readonly trust: Trust; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Reads a trust document (YAML, JSON or TOML). All problems at once; never throws on bad text. */
export function loadTrust(source: SourceText): LoadedTrust {
  return fromParsed(parseDocument(source))
}

/** {@link loadTrust} for a value given in code, with the keys of the file format. */
export function trustFromValue(value: unknown, name = 'trust'): LoadedTrust {
  return fromParsed(documentFromValue(value, name))
}

function fromParsed(parsed: ParsedDocument): LoadedTrust {
  if (!parsed.ok) return { ok: false, problems: parsed.problems }
  const { document } = parsed
  const shape = checkTrustShape(document.value)
  if (!shape.success) return { ok: false, problems: shapeProblems(document, shape.error.issues, trustShape) }
  const problems: Problem[] = []
  const trust = build(document, shape.data, problems)
  if (problems.some((problem) => problem.severity === 'error')) return { ok: false, problems }
  return { ok: true, trust, warnings: problems }
}

function build(document: SourceDocument, raw: RawTrust, problems: Problem[]): Trust {
  const revokedKeys = new Set<string>()
  for (const [index, text] of (raw.revoked?.keys ?? []).entries()) {
    // Not importPublicKey: a key that may not be trusted can still be named here.
    const bytes = decodeBase64(text)
    if (bytes?.length === PUBLIC_KEY_BYTES) revokedKeys.add(keyId(bytes))
    else
      problems.push(
        document.problem(
          'invalid_value',
          `/revoked/keys/${index}`,
          `a public key is the base64 of ${PUBLIC_KEY_BYTES} bytes`,
        ),
      )
  }
  const publishers = new Map<string, TrustedPublisher>()
  const owners = new Map<string, string>()
  for (const [index, entry] of (raw.publishers ?? []).entries()) {
    const at = `/publishers/${index}`
    if (publishers.has(entry.name)) {
      problems.push(document.problem('duplicate_name', `${at}/name`, `publisher ${entry.name} is defined twice`))
      continue
    }
    publishers.set(entry.name, buildPublisher(document, entry, at, owners, problems))
  }
  const pinned = new Map<string, Set<string>>()
  for (const { skill, digest } of raw.pinned ?? []) {
    const digests = pinned.get(skill)
    if (digests === undefined) pinned.set(skill, new Set([digest]))
    else digests.add(digest)
  }
  return Object.freeze({
    file: document.file,
    digest: `sha256:${sha256Hex(canonicalJson(document.value))}`,
    publishers,
    pinned,
    revokedKeys,
    revokedDigests: new Set(raw.revoked?.digests),
  })
}

function buildPublisher(
  document: SourceDocument,
  raw: RawPublisher,
  at: string,
  owners: Map<string, string>,
  problems: Problem[],
): TrustedPublisher {
  const keys = new Map<string, Uint8Array>()
  for (const [index, text] of raw.keys.entries()) {
    const pointer = `${at}/keys/${index}`
    const key = readKey(text)
    if (typeof key === 'string') {
      problems.push(document.problem('invalid_value', pointer, key))
      continue
    }
    const id = keyId(key)
    const owner = owners.get(id)
    // One key twice would make one signer reach a threshold of two; one key for two publishers would let either speak
    // for the other.
    if (owner !== undefined) {
      problems.push(document.problem('duplicate_name', pointer, `the key already stands under publisher ${owner}`))
    }
    owners.set(id, raw.name)
    keys.set(id, key)
  }
  const threshold = raw.threshold ?? 1
  if (threshold > raw.keys.length) {
    problems.push(
      document.problem(
        'contradiction',
        `${at}/threshold`,
        `${threshold} signatures are required of ${raw.keys.length} keys`,
      ),
    )
  }
  const skills: Glob[] = []
  for (const [index, text] of (raw.skills ?? []).entries()) {
    const parsed = parseGlob(text, 'name')
    if (parsed.ok) skills.push(parsed.glob)
    else problems.push(document.problem('invalid_pattern', `${at}/skills/${index}`, parsed.reason))
  }
  if ((raw.skills ?? []).length === 0) {
    problems.push(
      document.problem('unused_definition', `${at}/name`, `publisher ${raw.name} may release no skill`, {
        severity: 'warning',
        hint: 'skills: [name or glob, …]',
      }),
    )
  }
  const expires = raw.expires === undefined ? undefined : parseInstant(raw.expires)
  if (raw.expires !== undefined && expires === undefined) {
    problems.push(document.problem('invalid_value', `${at}/expires`, 'this moment does not exist'))
  }
  return {
    name: raw.name,
    keys,
    threshold,
    skills,
    minSequence: new Map(Object.entries(raw.min_sequence ?? {})),
    ...(expires === undefined ? {} : { expires }),
  }
}

function readKey(text: string): Uint8Array | string {
  try {
    return importPublicKey(text)
  } catch (error) {
    if (error instanceof AgentPortError) return error.message
    throw error
  }
}
