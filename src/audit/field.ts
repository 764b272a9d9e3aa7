// The fields a record can have after its envelope, in the order in which they stand in the line. The encoder, the
// TypeScript types of events and a test against docs/audit-format.md read this one table.

import type { AuditHead } from './chain.ts'
import type { Commitment } from './commit.ts'

/** How a field is written: see the encoder in record.ts. */
export type AuditFieldKind = 'text' | 'texts' | 'count' | 'duration' | 'flag' | 'head' | 'commitment'

export interface AuditField {
  /** The key in the line. */
  readonly key: string
  readonly kind: AuditFieldKind
  /** The only values a `text` field may have, when they are fixed. */
  readonly words?: readonly string[]
  readonly meaning: string
}

/** Every field of a record after its envelope (`v seq prev ts type`). A record has its fields in this order. */
export const AUDIT_FIELDS = {
  run: { key: 'run', kind: 'text', meaning: 'Id of the run.' },
  node: { key: 'node', kind: 'text', meaning: 'Name of the node in the graph.' },
  attempt: { key: 'attempt', kind: 'count', meaning: 'Which try of the node, from 1.' },
  origin: {
    key: 'origin',
    kind: 'text',
    meaning: 'Name of the log, chosen by the operator, the same for its whole life.',
  },
  format: { key: 'format', kind: 'count', meaning: 'Version of this format.' },
  resumedFrom: { key: 'resumed_from', kind: 'head', meaning: '`{seq, hash}` of the record before this session.' },
  reason: { key: 'reason', kind: 'text', meaning: 'Why, in the words of whoever caused it.' },
  file: {
    key: 'file',
    kind: 'text',
    meaning: 'Name, beside the log, of the file that keeps the bytes taken out of it.',
  },
  offset: { key: 'offset', kind: 'count', meaning: 'Where in the log those bytes began.' },
  length: { key: 'length', kind: 'count', meaning: 'How many bytes.' },
  sha256: { key: 'sha256', kind: 'text', meaning: 'Their SHA-256, hex.' },
  pid: { key: 'pid', kind: 'count', meaning: 'Process id: of a confined process, or in the lock that was taken over.' },
  policy: { key: 'policy', kind: 'text', meaning: 'Digest of the policy set that decided.' },
  files: { key: 'files', kind: 'texts', meaning: 'Files of the policy set.' },
  candidate: { key: 'candidate', kind: 'text', meaning: 'Digest of a candidate policy set that was only observed.' },
  skill: { key: 'skill', kind: 'text', meaning: 'Name of the skill.' },
  version: { key: 'version', kind: 'text', meaning: 'Version the skill states.' },
  digest: { key: 'digest', kind: 'text', meaning: "Digest of the skill's files." },
  manifest: { key: 'manifest', kind: 'text', meaning: "Digest of the skill's tool binding manifest." },
  method: { key: 'method', kind: 'text', meaning: 'How the skill was vouched for: `signature` or `pinned_digest`.' },
  publisher: { key: 'publisher', kind: 'text', meaning: 'Who vouched for it.' },
  graph: { key: 'graph', kind: 'text', meaning: 'Digest of the graph.' },
  principal: { key: 'principal', kind: 'text', meaning: 'On whose behalf the run acts.' },
  mode: {
    key: 'mode',
    kind: 'text',
    words: ['strict', 'observe', 'shadow'],
    meaning: '`strict`, `observe` or `shadow`.',
  },
  enforcement: {
    key: 'enforcement',
    kind: 'text',
    meaning: 'The enforcer in use; `none` or its test double are named as such.',
  },
  call: { key: 'call', kind: 'text', meaning: 'Id of the verdict.' },
  profile: { key: 'profile', kind: 'text', meaning: 'Digest of the confinement profile.' },
  confinement: {
    key: 'confinement',
    kind: 'count',
    meaning: '`seq` of the `process.confined` record of the confinement this happened in.',
  },
  unenforced: { key: 'unenforced', kind: 'texts', meaning: 'Features that are not fully enforced, and why.' },
  program: { key: 'program', kind: 'text', meaning: 'Path of the program that was started.' },
  exitCode: { key: 'exit_code', kind: 'count', meaning: 'Exit code of a process that ended by itself.' },
  signal: { key: 'signal', kind: 'text', meaning: 'Signal that ended a process.' },
  feature: { key: 'feature', kind: 'text', meaning: 'Which feature of the confinement said no.' },
  subject: { key: 'subject', kind: 'text', meaning: 'What was denied: a path, a destination, a system call.' },
  evidence: {
    key: 'evidence',
    kind: 'text',
    words: ['enforced', 'observed'],
    meaning: '`enforced`: it was blocked. `observed`: it was seen from outside, by who blocks nothing.',
  },
  processes: { key: 'processes', kind: 'count', meaning: 'How many programs were started.' },
  denials: { key: 'denials', kind: 'count', meaning: 'How many denials there were.' },
  denied: {
    key: 'denied',
    kind: 'texts',
    meaning:
      'The denials, counted: `n feature evidence subject`; without subject, those not told apart. Adds up to `denials`.',
  },
  lost: { key: 'lost', kind: 'count', meaning: 'How many events of the enforcer nobody saw.' },
  killed: {
    key: 'killed',
    kind: 'text',
    words: ['clean', 'unproven', 'unreaped'],
    meaning: 'Whether all processes are gone: `clean` if shown, `unproven` if not, `unreaped` if some are not.',
  },
  token: { key: 'token', kind: 'text', meaning: 'Id of the attestation token.' },
  intent: { key: 'intent', kind: 'count', meaning: '`seq` of the `call.allowed` record this one answers.' },
  tool: { key: 'tool', kind: 'text', meaning: 'Name of the tool.' },
  args: { key: 'args', kind: 'commitment', meaning: 'Commitment to the arguments: `{salt?, digest, bytes}`.' },
  argsError: {
    key: 'args_error',
    kind: 'text',
    meaning: 'Why there is no commitment: the arguments could not be read.',
  },
  resources: { key: 'resources', kind: 'texts', meaning: 'What the call touches, one line each.' },
  argument: { key: 'argument', kind: 'text', meaning: 'JSON Pointer to the argument that was refused.' },
  resource: { key: 'resource', kind: 'text', meaning: 'The resource that was refused.' },
  decision: {
    key: 'decision',
    kind: 'text',
    words: ['allow', 'deny', 'escalate'],
    meaning: '`allow`, `deny` or `escalate`; follows from the type.',
  },
  code: { key: 'code', kind: 'text', meaning: 'Denial code, or the error code of a failure.' },
  layer: { key: 'layer', kind: 'text', meaning: 'Which check said no.' },
  recoverable: {
    key: 'recoverable',
    kind: 'text',
    words: ['never', 'narrower', 'after_approval', 'after_wait'],
    meaning: 'Whether trying again can help: `never`, `narrower`, `after_approval` or `after_wait`.',
  },
  rules: { key: 'rules', kind: 'texts', meaning: 'The rules that decided: id, effect, file, line, column.' },
  detail: { key: 'detail', kind: 'text', meaning: 'One line for the operator.' },
  dispatched: { key: 'dispatched', kind: 'flag', meaning: '`false`: the tool certainly did not start.' },
  obligations: { key: 'obligations', kind: 'texts', meaning: 'What must be done for the allow to hold.' },
  limits: { key: 'limits', kind: 'texts', meaning: 'What the call took: `amount limit`.' },
  approval: { key: 'approval', kind: 'text', meaning: 'Id of the approval asked for or used.' },
  approver: { key: 'approver', kind: 'text', meaning: 'Who answered, as the answering port identified them.' },
  answer: { key: 'answer', kind: 'text', words: ['approve', 'refuse'], meaning: '`approve` or `refuse`.' },
  candidateDecision: {
    key: 'candidate_decision',
    kind: 'text',
    words: ['allow', 'deny', 'escalate'],
    meaning: 'What the candidate policy would have decided: `allow`, `deny` or `escalate`.',
  },
  candidateCode: { key: 'candidate_code', kind: 'text', meaning: 'The denial code it would have given.' },
  outcome: {
    key: 'outcome',
    kind: 'text',
    words: ['succeeded', 'denied', 'failed', 'errored', 'cancelled'],
    meaning: '`succeeded`, `denied`, `failed`, `errored` or `cancelled`.',
  },
  result: { key: 'result', kind: 'commitment', meaning: 'Commitment to the result: `{salt?, digest, bytes}`.' },
  disposition: {
    key: 'disposition',
    kind: 'text',
    words: ['none', 'retry', 'halt', 'skip_downstream', 'continue'],
    meaning: 'What the failure does to the run: `none`, `retry`, `halt`, `skip_downstream` or `continue`.',
  },
  skipped: { key: 'skipped', kind: 'texts', meaning: 'Nodes that will not run because of it.' },
  cause: { key: 'cause', kind: 'text', meaning: 'The node because of which this one does not run.' },
  state: {
    key: 'state',
    kind: 'text',
    words: ['succeeded', 'degraded', 'halted', 'cancelled', 'errored'],
    meaning: 'How the run ended: `succeeded`, `degraded`, `halted`, `cancelled` or `errored`.',
  },
  latencyUs: { key: 'latency_us', kind: 'duration', meaning: 'How long it took, microseconds.' },
  auditGap: { key: 'audit_gap', kind: 'flag', meaning: '`true`: records before this one could not be written.' },
  traceId: { key: 'trace_id', kind: 'text', meaning: 'OpenTelemetry trace.' },
  spanId: { key: 'span_id', kind: 'text', meaning: 'OpenTelemetry span.' },
} as const

export type AuditFieldName = keyof typeof AUDIT_FIELDS

interface KindValues {
  text: string
  texts: readonly string[]
  count: number
  duration: number
  flag: boolean
  head: AuditHead
  commitment: Commitment
}

type FieldValue<F> = F extends { readonly words: readonly (infer Word)[] }
  ? Word
  : F extends { readonly kind: infer Kind extends AuditFieldKind }
    ? KindValues[Kind]
    : never

/** The TypeScript type of each field. */
export type AuditFields = { readonly [Name in AuditFieldName]: FieldValue<(typeof AUDIT_FIELDS)[Name]> }
