// Shapes of the three formats of this room, and the only file of it that knows zod. What is signed and what grants trust
// is strict: a field this version does not know could be the one that restricts.

import { z } from 'zod'

import { LIMITS } from '../core/limits.ts'
import { formatPointer } from '../core/pointer.ts'
import { isName } from '../core/text.ts'
import { MANIFEST_FILES } from './bundle.ts'
import { INSTANT_PATTERN } from './instant.ts'

const name = z
  .string()
  .min(1)
  .max(LIMITS.nameLength)
  .refine(isName, 'a name is ASCII letters and digits, inside also _ . : -')
const version = z
  .string()
  .min(1)
  .max(LIMITS.nameLength)
  .regex(/^[0-9A-Za-z][0-9A-Za-z.+_-]*$/, 'a version is ASCII letters and digits, after the first also . + _ -')
const instant = z.string().regex(INSTANT_PATTERN, 'a moment is UTC like 2027-01-31T00:00:00Z')
const sequence = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const hex256 = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 digest is 64 lower-case hex digits')
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'a digest is sha256: and 64 lower-case hex digits')
const key = z.string().min(1).max(128)

// DSSE tells consumers to ignore what they do not know here, and nothing here is signed: so this object is not strict.
const envelope = z
  .object({
    payloadType: z.string().max(256),
    payload: z.string(),
    signatures: z
      .array(z.object({ keyid: z.string().max(256).optional(), sig: z.string().max(1024) }))
      .min(1)
      .max(LIMITS.signatures),
  })
  .describe('DSSE envelope of a skill release. The payload is an in-toto Statement v1.')

const file = z.strictObject({
  path: z.string().min(1).max(LIMITS.pathLength).describe('Relative, with / between segments.'),
  mode: z.enum(['100644', '100755']),
  size: z.number().int().min(0).max(LIMITS.skillBytes),
  sha256: hex256,
})

const statement = z
  .strictObject({
    _type: z.literal('https://in-toto.io/Statement/v1'),
    subject: z
      .array(
        z.strictObject({
          name: z
            .string()
            .max(3 * LIMITS.nameLength + 2)
            .describe('<publisher>/<skill>@<version>'),
          digest: z.strictObject({
            gitTree: hex256.describe('Id of the git tree of the files, in a SHA-256 repository.'),
          }),
        }),
      )
      .length(1),
    predicateType: z.literal('https://agentport.dev/skill-release/v1'),
    predicate: z.strictObject({
      skill: name,
      version,
      publisher: name,
      manifest: z.strictObject({ path: z.enum(MANIFEST_FILES), sha256: hex256 }),
      files: z.array(file).min(1).max(LIMITS.skillFiles).describe('Every file but the attestation itself.'),
      sequence: sequence.describe('Rises with every release of the skill. A lower one than was seen is refused.'),
      not_before: instant,
      expires: instant.optional(),
    }),
  })
  .describe('What a publisher signs about one release of a skill.')

const publisher = z
  .strictObject({
    name,
    keys: z.array(key).min(1).max(LIMITS.signatures).describe('Ed25519 public keys: base64 of 32 bytes.'),
    threshold: z
      .number()
      .int()
      .min(1)
      .max(LIMITS.signatures)
      .optional()
      .describe('How many of the keys must sign. 1 when absent.'),
    skills: z
      .array(z.string().min(1).max(LIMITS.patternLength))
      .max(10_000)
      .optional()
      .describe('Names or name globs of skills this publisher may release. None when absent.'),
    min_sequence: z.record(name, sequence).optional().describe('By skill, the oldest release that is still taken.'),
    expires: instant.optional().describe('When the trust in this publisher ends.'),
  })
  .describe('Whose signatures count, and for which skills.')

const trust = z
  .strictObject({
    version: z.literal(1),
    publishers: z.array(publisher).max(10_000).optional(),
    pinned: z
      .array(z.strictObject({ skill: name, digest }))
      .max(100_000)
      .optional()
      .describe('Exact bytes the operator vouches for without a signature.'),
    revoked: z
      .strictObject({
        keys: z.array(key).max(100_000).optional().describe('Public keys that count for nothing any more.'),
        digests: z.array(digest).max(100_000).optional().describe('Skill digests that never run, whoever signed them.'),
      })
      .optional(),
  })
  .describe('Who may vouch for skills. Nothing is trusted that does not stand here.')

export type RawStatement = z.infer<typeof statement>
export type RawPublisher = z.infer<typeof publisher>
export type RawTrust = z.infer<typeof trust>

/** zod's verdict on the value of an envelope text. */
export function checkEnvelopeShape(value: unknown): ReturnType<typeof envelope.safeParse> {
  return envelope.safeParse(value)
}

/** zod's verdict on the value of a signed payload. */
export function checkStatementShape(value: unknown): ReturnType<typeof statement.safeParse> {
  return statement.safeParse(value)
}

/** zod's verdict on the value of a trust document. */
export function checkTrustShape(value: unknown): ReturnType<typeof trust.safeParse> {
  return trust.safeParse(value)
}

/** The schema of a trust document, for hints about unknown keys. */
export const trustShape: unknown = trust

/** Place and reason of the first of zod's issues, on one line. */
export function describeIssue(issues: readonly { path: readonly PropertyKey[]; message: string }[]): string {
  const [first] = issues
  if (first === undefined) return 'it does not have the expected shape'
  return `at ${formatPointer(first.path.map(String)) || 'the top'}: ${first.message}`
}

/** The published JSON Schema (draft 2020-12) of a trust document. */
export function trustJsonSchema(): Record<string, unknown> {
  return publish(trust, 'trust', 'AgentPort trust document')
}

/** The published JSON Schema of the statement inside an attestation. */
export function statementJsonSchema(): Record<string, unknown> {
  return publish(statement, 'skill-release', 'AgentPort skill release statement')
}

/** The published JSON Schema of `skill.attestation.json`. */
export function envelopeJsonSchema(): Record<string, unknown> {
  return publish(envelope, 'attestation', 'AgentPort skill attestation envelope')
}

function publish(schema: z.ZodType, id: string, title: string): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input' }) as Record<string, unknown>
  return { $schema, $id: `https://agentport.dev/schemas/${id}.schema.json`, title, ...rest }
}
