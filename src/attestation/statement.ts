// What a publisher signs: an in-toto Statement v1 about one release of one skill. Written and read here, so that the two
// cannot drift. Reading decides whether the bytes say one thing and agree with themselves, not whether it is true.

import { canonicalJson } from '../core/canonical.ts'
import { AgentPortError } from '../core/errors.ts'
import { type JsonValue, parseJson } from '../core/json.ts'
import type { ListedFile } from './file-list.ts'
import { formatInstant, parseInstant } from './instant.ts'
import { checkStatementShape, describeIssue, type RawStatement } from './schema.ts'

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
const PREDICATE_TYPE = 'https://agentport.dev/skill-release/v1'

export interface SkillRelease {
  readonly skill: string
  readonly version: string
  readonly publisher: string
  readonly manifest: { readonly path: string; readonly sha256: string }
  readonly files: readonly ListedFile[]
  /** Id of the git tree of the files: 64 hex digits. */
  readonly gitTree: string
  readonly sequence: number
  /** Milliseconds since the Unix epoch. */
  readonly notBefore: number
  readonly expires?: number
}

export type ReadStatement =
  | { readonly ok: true; readonly release: SkillRelease }
  | { readonly ok: false; readonly reason: string }

/** The bytes to sign. Canonical JSON, so that signing one release twice gives one payload. */
export function writeStatement(release: SkillRelease): Uint8Array {
  const statement: RawStatement = {
    _type: STATEMENT_TYPE,
    subject: [{ name: subjectName(release), digest: { gitTree: release.gitTree } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      skill: release.skill,
      version: release.version,
      publisher: release.publisher,
      manifest: {
        path: release.manifest.path as RawStatement['predicate']['manifest']['path'],
        sha256: release.manifest.sha256,
      },
      files: release.files.map(({ path, mode, size, sha256 }) => ({ path, mode, size, sha256 })),
      sequence: release.sequence,
      not_before: formatInstant(release.notBefore),
      ...(release.expires === undefined ? {} : { expires: formatInstant(release.expires) }),
    },
  }
  return new TextEncoder().encode(canonicalJson(statement as unknown as JsonValue))
}

/** Reads signed bytes with the strict JSON parser. Everything the statement says twice must agree. */
export function readStatement(payload: Uint8Array): ReadStatement {
  let value: JsonValue
  try {
    value = parseJson(payload)
  } catch (error) {
    return refuse(error instanceof AgentPortError ? error.message : 'it is not JSON')
  }
  const shape = checkStatementShape(value)
  if (!shape.success) return refuse(describeIssue(shape.error.issues))
  const { subject, predicate } = shape.data
  const { not_before, expires, ...rest } = predicate
  const notBefore = parseInstant(not_before)
  const end = expires === undefined ? undefined : parseInstant(expires)
  if (notBefore === undefined) return refuse('not_before is not a moment that exists')
  if (expires !== undefined && end === undefined) return refuse('expires is not a moment that exists')
  const [first] = subject
  if (first === undefined || first.name !== subjectName(predicate)) {
    return refuse('its subject is not the release it describes')
  }
  // Two entries for one path would let one reader check the first and another the last.
  if (new Set(predicate.files.map((file) => file.path)).size !== predicate.files.length) {
    return refuse('it lists a file twice')
  }
  const manifest = predicate.files.find((file) => file.path === predicate.manifest.path)
  if (manifest?.sha256 !== predicate.manifest.sha256) {
    return refuse('its manifest digest is not that of the listed file')
  }
  return {
    ok: true,
    release: { ...rest, gitTree: first.digest.gitTree, notBefore, ...(end === undefined ? {} : { expires: end }) },
  }
}

/** `<publisher>/<skill>@<version>`. Neither `/` nor `@` can stand in a name or version, so it reads one way. */
function subjectName(release: {
  readonly publisher: string
  readonly skill: string
  readonly version: string
}): string {
  return `${release.publisher}/${release.skill}@${release.version}`
}

function refuse(reason: string): ReadStatement {
  return { ok: false, reason }
}
