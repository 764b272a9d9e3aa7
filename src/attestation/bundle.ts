// A skill as bytes in memory: what is hashed is what is run. Fixes which file is the manifest and which the attestation,
// so that no two readers of one directory can disagree about it.

import { parseDocument, type SourceText } from '../core/document.ts'
import type { JsonObject } from '../core/json.ts'
import type { Problem } from '../core/problem.ts'
import { isName } from '../core/text.ts'

/** The attestation of a skill, at its root: the one file its digest does not cover. */
export const ENVELOPE_FILE = 'skill.attestation.json'

/** Names a manifest can have. Exactly one of them stands at the root of a skill. */
export const MANIFEST_FILES = ['manifest.json', 'manifest.yaml', 'manifest.yml', 'claw.toml'] as const

export interface SkillFile {
  /** Relative, `/` between segments, see `nameFault`. */
  readonly path: string
  /** The owner's execute bit. */
  readonly executable: boolean
  readonly bytes: Uint8Array
}

export interface SkillBundle {
  /** The name the skill goes by; must be the one its manifest says. */
  readonly name: string
  /** Every file but {@link ENVELOPE_FILE}. */
  readonly files: readonly SkillFile[]
  /** The manifest, decoded from the bytes in `files`. */
  readonly manifest: SourceText
  /** Text of {@link ENVELOPE_FILE}, when there is one. */
  readonly attestation?: string
  /** Where it was read from, for people. */
  readonly directory?: string
}

export type FoundManifest =
  | { readonly ok: true; readonly path: string }
  | { readonly ok: false; readonly reason: string }

/** The one manifest among the files of a skill. Two would let the gateway judge one and the skill read the other. */
export function findManifest(paths: Iterable<string>): FoundManifest {
  const found: string[] = []
  // In any case: where case does not count, `Claw.toml` is what a reader of `claw.toml` gets.
  for (const path of paths) if (isManifestName(path.toLowerCase())) found.push(path)
  const [path] = found
  if (path === undefined) return { ok: false, reason: `has none of ${MANIFEST_FILES.join(', ')} at its root` }
  if (found.length > 1) return { ok: false, reason: `has more than one manifest: ${found.join(', ')}` }
  if (!isManifestName(path)) {
    return { ok: false, reason: `has its manifest in ${path}, which is not spelt in lower case` }
  }
  return { ok: true, path }
}

function isManifestName(path: string): boolean {
  return (MANIFEST_FILES as readonly string[]).includes(path)
}

/** Text exactly as the bytes spell it: no replacement characters, a byte order mark kept for the parser to refuse. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** What a manifest says the skill is. `version` and `publisher` are whatever stands there; only names were checked. */
export interface SkillIdentity {
  readonly skill: string
  readonly version?: unknown
  readonly publisher?: unknown
}

export type ReadIdentity =
  | { readonly ok: true; readonly identity: SkillIdentity }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** Reads only who the skill says it is; that the manifest holds together is for the manifest room to say. */
export function readIdentity(manifest: SourceText): ReadIdentity {
  const parsed = parseDocument(manifest)
  if (!parsed.ok) return parsed
  const { document } = parsed
  const { value } = document
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return { ok: false, problems: [document.problem('wrong_type', '', 'a manifest is an object')] }
  }
  const members = value as JsonObject
  const skill = Object.hasOwn(members, 'skill') ? members['skill'] : undefined
  if (skill === undefined) {
    return {
      ok: false,
      problems: [document.problem('missing_key', '', 'the manifest does not say which skill it is for: `skill`')],
    }
  }
  if (!isName(skill)) {
    return {
      ok: false,
      problems: [
        document.problem('invalid_value', '/skill', 'a skill name is ASCII letters and digits, inside also _ . : -'),
      ],
    }
  }
  return {
    ok: true,
    identity: {
      skill,
      ...(Object.hasOwn(members, 'version') ? { version: members['version'] } : {}),
      ...(Object.hasOwn(members, 'publisher') ? { publisher: members['publisher'] } : {}),
    },
  }
}
