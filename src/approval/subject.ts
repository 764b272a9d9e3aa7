// What an approval is for: one call of one node of one run, and nothing like it. The digest is what is shown, answered
// and redeemed; any difference in what would run, for whom or under which policy is another digest.

import { canonicalJson } from '../core/canonical.ts'
import { sha256Hex } from '../core/crypto.ts'
import type { RuleRef } from '../core/denial.ts'
import type { JsonValue } from '../core/json.ts'
import { LIMITS } from '../core/limits.ts'
import { copyPlain, type PlainCopy } from '../core/plain.ts'

export interface ApprovalSubject {
  readonly run: string
  readonly node: string
  readonly attempt: number
  /** On whose behalf the run acts. */
  readonly principal: string
  readonly skill: string
  readonly skillDigest: string
  readonly tool: string
  /** The arguments that were judged. Absent and `null` are two different calls. */
  readonly args?: JsonValue
  /** What the call touches, each as describeResource says it. */
  readonly resources: readonly string[]
  readonly policyDigest: string
  /** The rules that ask. */
  readonly rules: readonly RuleRef[]
}

/** First line of what is hashed. Another purpose or version has another one, so that no two share a digest. */
const DOMAIN = 'agentport approval v1\n'

/**
 * `sha256:` and the SHA-256, in hex, of the line `agentport approval v1`, a line feed, and the canonical JSON (RFC 8785)
 * of `{ args, node, policy_digest, principal, run, skill_digest, tool }`; `args` is left out when there are none.
 *
 * What is only shown (resources, reasons, rules, the attempt) is no part of it: rewording a rule asks nobody twice, and
 * the policy digest stands for what the rules mean.
 *
 * @throws AgentPortError `ERR_VALUE_UNREADABLE` for arguments without canonical JSON.
 */
export function approvalDigest(
  subject: Pick<ApprovalSubject, 'run' | 'node' | 'principal' | 'skillDigest' | 'tool' | 'args' | 'policyDigest'>,
): string {
  const { run, node, principal, skillDigest, tool, args, policyDigest } = subject
  const bound = { run, node, principal, skill_digest: skillDigest, tool, policy_digest: policyDigest }
  return `sha256:${sha256Hex(DOMAIN + canonicalJson(args === undefined ? bound : { ...bound, args }))}`
}

export type SubjectCopy =
  | { readonly ok: true; readonly subject: ApprovalSubject /** UTF-16 code units of text. */; readonly length: number }
  | Extract<PlainCopy, { ok: false }>

const NAMES = ['run', 'node', 'principal', 'skill', 'skillDigest', 'tool', 'policyDigest'] as const

/**
 * A deep frozen copy, so that what is asked, shown and redeemed cannot be changed in between. Not `ok` when the arguments
 * are not plain data.
 *
 * @throws TypeError for a subject the gateway would never make.
 */
export function copySubject(subject: ApprovalSubject): SubjectCopy {
  if (typeof subject !== 'object' || subject === null) throw new TypeError('a question needs a subject')
  const { run, node, attempt, principal, skill, skillDigest, tool, args, resources, policyDigest, rules } = subject
  const names = { run, node, principal, skill, skillDigest, tool, policyDigest }
  for (const name of NAMES) {
    if (typeof names[name] !== 'string' || names[name] === '') throw new TypeError(`a subject needs its ${name}`)
  }
  if (!Number.isSafeInteger(attempt) || attempt < 1) throw new TypeError('a subject needs its attempt, from 1')
  if (!Array.isArray(resources) || resources.length > LIMITS.resources) {
    throw new TypeError(`a subject has at most ${LIMITS.resources} resources`)
  }
  if (!resources.every((resource) => typeof resource === 'string'))
    throw new TypeError('a resource is described by text')
  if (!Array.isArray(rules)) throw new TypeError('a subject has a list of rules')
  const shown = {
    resources: Object.freeze([...(resources as readonly string[])]),
    rules: Object.freeze((rules as readonly RuleRef[]).map((rule) => Object.freeze({ ...rule }))),
  }
  const length = [...Object.values(names), ...shown.resources].reduce((sum, text) => sum + text.length, 0)
  if (args === undefined) return { ok: true, subject: Object.freeze({ ...names, attempt, ...shown }), length }
  const copied = copyPlain(args)
  if (!copied.ok) return copied
  const copy = Object.freeze({ ...names, attempt, args: copied.value, ...shown })
  return { ok: true, subject: copy, length: length + copied.length }
}
