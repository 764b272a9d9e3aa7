// What can be written into an audit log: the closed set of record types, each with its fields. One table decides it, and
// the TypeScript types, the encoder and a test against docs/audit-format.md all read it. Trusts the caller to tell the
// truth; nothing here looks at a value.

import type { Denial } from '../core/denial.ts'
import { formatRule } from '../core/render.ts'
import type { AuditFieldName, AuditFields } from './field.ts'

export interface AuditEventKind {
  readonly meaning: string
  /** Written by the log from the type, so that the two cannot contradict each other. */
  readonly decision?: 'allow' | 'deny' | 'escalate'
  readonly needs: readonly AuditFieldName[]
  readonly may: readonly AuditFieldName[]
}

/** A call that was refused says the same of itself whether or not a person could still allow it. */
const REFUSED_CALL = [
  'call',
  'attempt',
  'policy',
  'candidate',
  'skill',
  'digest',
  'manifest',
  'principal',
  'mode',
  'enforcement',
  'token',
  'args',
  'argsError',
  'resources',
  'argument',
  'resource',
  'layer',
  'recoverable',
  'rules',
  'detail',
  'dispatched',
  'approval',
  'candidateDecision',
  'candidateCode',
  'latencyUs',
  'traceId',
  'spanId',
] as const satisfies readonly AuditFieldName[]

/** What every record about an open confinement has. */
const IN_CONFINEMENT = [
  'run',
  'node',
  'attempt',
  'tool',
  'enforcement',
  'confinement',
] as const satisfies readonly AuditFieldName[]

/** Every record type: what it says, the fields it must have, the fields it may have. */
export const AUDIT_EVENTS = {
  'log.opened': { meaning: 'A writer began a session on this log.', needs: ['origin', 'format'], may: ['resumedFrom'] },
  'log.recovered': {
    meaning: 'The writer before did not end cleanly; this is what was found and set aside.',
    needs: ['reason'],
    may: ['file', 'offset', 'length', 'sha256', 'pid', 'detail'],
  },
  'log.closed': {
    meaning: 'The writer ended its session. The next record, if any, is a later session.',
    needs: [],
    may: [],
  },
  'policy.loaded': {
    meaning: 'A policy set took effect.',
    needs: ['policy', 'files'],
    may: ['mode', 'candidate', 'detail'],
  },
  'skill.admitted': {
    meaning: 'A skill was verified and may be used.',
    needs: ['skill', 'digest', 'method'],
    may: ['version', 'manifest', 'publisher', 'token', 'latencyUs'],
  },
  'skill.rejected': {
    meaning: 'A skill was refused and cannot be used.',
    needs: ['skill', 'code'],
    may: [
      'version',
      'digest',
      'manifest',
      'method',
      'publisher',
      'layer',
      'recoverable',
      'rules',
      'detail',
      'dispatched',
      'argument',
      'resource',
      'latencyUs',
    ],
  },
  'skill.quarantined': {
    meaning: 'A skill that had been admitted was withdrawn.',
    needs: ['skill', 'reason'],
    may: ['digest', 'publisher', 'run', 'node', 'detail'],
  },
  'run.opened': {
    meaning: 'A run began.',
    needs: ['run', 'graph', 'principal', 'mode', 'enforcement'],
    may: ['policy', 'candidate', 'detail', 'traceId', 'spanId'],
  },
  'node.admitted': {
    meaning: 'A node got its ticket.',
    needs: ['run', 'node', 'attempt'],
    may: [
      'policy',
      'skill',
      'version',
      'digest',
      'manifest',
      'method',
      'publisher',
      'mode',
      'enforcement',
      'token',
      'latencyUs',
      'traceId',
      'spanId',
    ],
  },
  'node.denied': {
    meaning: 'A node did not get a ticket.',
    needs: ['run', 'node', 'code'],
    may: [
      'attempt',
      'policy',
      'skill',
      'digest',
      'manifest',
      'mode',
      'enforcement',
      'token',
      'argument',
      'resource',
      'layer',
      'recoverable',
      'rules',
      'detail',
      'dispatched',
      'disposition',
      'skipped',
      'latencyUs',
      'traceId',
      'spanId',
    ],
  },
  'node.completed': {
    meaning: 'A node succeeded.',
    needs: ['run', 'node', 'attempt'],
    may: ['result', 'detail', 'latencyUs', 'traceId', 'spanId'],
  },
  'node.failed': {
    meaning: 'A node ended without success.',
    needs: ['run', 'node', 'attempt'],
    may: ['reason', 'code', 'detail', 'outcome', 'disposition', 'skipped', 'latencyUs', 'traceId', 'spanId'],
  },
  'node.skipped': {
    meaning: 'A node will not run.',
    needs: ['run', 'node'],
    may: ['reason', 'code', 'cause', 'detail'],
  },
  'call.allowed': {
    meaning: 'The intent of a tool call, written before it is dispatched.',
    decision: 'allow',
    needs: ['run', 'node', 'attempt', 'tool', 'args', 'policy'],
    may: [
      'call',
      'candidate',
      'skill',
      'digest',
      'manifest',
      'principal',
      'mode',
      'enforcement',
      'token',
      'resources',
      'rules',
      'detail',
      'obligations',
      'limits',
      'approval',
      'candidateDecision',
      'candidateCode',
      'latencyUs',
      'traceId',
      'spanId',
    ],
  },
  'call.denied': {
    meaning: 'A tool call was refused.',
    decision: 'deny',
    needs: ['run', 'node', 'tool', 'code'],
    may: REFUSED_CALL,
  },
  'call.escalated': {
    meaning: 'A tool call waits for the approval of a person.',
    decision: 'escalate',
    needs: ['run', 'node', 'tool', 'code'],
    may: REFUSED_CALL,
  },
  'call.outcome': {
    meaning: 'What came of an allowed call.',
    needs: ['run', 'node', 'attempt', 'intent', 'outcome'],
    may: ['call', 'tool', 'code', 'detail', 'result', 'latencyUs', 'traceId', 'spanId'],
  },
  'call.dropped': {
    meaning: 'A result that came too late or twice, and was not handed on.',
    needs: ['run', 'node', 'intent', 'code'],
    may: [
      'call',
      'attempt',
      'tool',
      'layer',
      'recoverable',
      'rules',
      'detail',
      'dispatched',
      'outcome',
      'result',
      'argument',
      'resource',
      'latencyUs',
      'traceId',
      'spanId',
    ],
  },
  'process.confined': {
    meaning: 'The intent to start processes in a confinement, written before it is opened.',
    needs: ['run', 'node', 'attempt', 'tool', 'enforcement', 'profile'],
    may: ['skill', 'policy', 'detail'],
  },
  'process.opened': {
    meaning: 'A confinement was opened; this is what does not hold in it.',
    needs: [...IN_CONFINEMENT, 'profile', 'unenforced'],
    may: ['skill', 'detail'],
  },
  'process.started': {
    meaning: 'A program was started in a confinement.',
    needs: [...IN_CONFINEMENT, 'pid', 'program'],
    may: ['skill', 'detail'],
  },
  'process.exited': {
    meaning: 'A process of a confinement ended.',
    needs: [...IN_CONFINEMENT, 'pid'],
    may: ['skill', 'exitCode', 'signal', 'detail'],
  },
  'process.denied': {
    meaning: 'A process was denied something, for the first time in this confinement.',
    needs: [...IN_CONFINEMENT, 'feature', 'subject', 'evidence'],
    may: ['skill', 'pid', 'rules', 'code', 'detail'],
  },
  'process.ended': {
    meaning: 'A confinement was closed; this is what happened in it, counted.',
    needs: [...IN_CONFINEMENT, 'processes', 'denials', 'denied', 'lost', 'killed'],
    may: ['skill', 'detail'],
  },
  'approval.asked': {
    meaning: 'People were asked whether a call may run.',
    needs: ['run', 'node', 'attempt', 'tool', 'approval'],
    may: ['skill', 'principal', 'rules', 'detail'],
  },
  'approval.answered': {
    meaning: 'Somebody answered, and the answer counts.',
    needs: ['run', 'node', 'attempt', 'tool', 'approval', 'approver', 'answer'],
    may: ['skill', 'principal', 'reason', 'detail'],
  },
  'approval.rejected': {
    meaning: 'Somebody answered, and the answer does not count.',
    needs: ['run', 'node', 'attempt', 'tool', 'approval', 'reason'],
    may: ['skill', 'principal', 'approver', 'detail'],
  },
  'approval.ended': {
    meaning: 'The question is closed: used, withdrawn, or out of time.',
    needs: ['run', 'node', 'attempt', 'tool', 'approval', 'reason'],
    may: ['skill', 'principal', 'approver', 'detail'],
  },
  'run.halted': {
    meaning: 'A run was stopped.',
    needs: ['run', 'reason'],
    may: ['node', 'attempt', 'code', 'detail', 'skipped', 'latencyUs', 'auditGap', 'traceId', 'spanId'],
  },
  'run.closed': {
    meaning: 'A run ended.',
    needs: ['run', 'state'],
    may: ['reason', 'code', 'detail', 'skipped', 'latencyUs', 'auditGap', 'traceId', 'spanId'],
  },
} as const

export type AuditEventType = keyof typeof AUDIT_EVENTS

type Flat<T> = { readonly [Key in keyof T]: T[Key] }

/** One event of the given type: its type, the fields it needs, the fields it may have. */
export type AuditEventOf<Type extends AuditEventType> = Flat<
  { readonly type: Type } & Pick<AuditFields, (typeof AUDIT_EVENTS)[Type]['needs'][number]> &
    Partial<Pick<AuditFields, (typeof AUDIT_EVENTS)[Type]['may'][number]>>
>

/** The types a log writes about itself. */
export type LogEventType = 'log.opened' | 'log.recovered' | 'log.closed'

/** What only the log itself writes. */
export type LogEvent = { [Type in LogEventType]: AuditEventOf<Type> }[LogEventType]

/** What can be appended to a log. */
export type AuditEvent = { [Type in AppendableType]: AuditEventOf<Type> }[AppendableType]

type AppendableType = Exclude<AuditEventType, LogEventType>

/** The fields by which a denial stands in a record. Where it happened (`node`, `skill`, `tool`) is the event's own. */
export type DenialFields = Pick<AuditFields, 'code' | 'layer' | 'recoverable' | 'detail' | 'rules' | 'dispatched'> &
  Partial<Pick<AuditFields, 'argument' | 'resource'>>

/** `{ type: 'call.denied', run, node, tool, ...denialFields(denial) }`. */
export function denialFields(denial: Denial): DenialFields {
  const { argument, resource } = denial.subject
  return {
    code: denial.code,
    layer: denial.layer,
    recoverable: denial.recoverable,
    detail: denial.detail,
    rules: denial.rules.map(formatRule),
    dispatched: denial.dispatched,
    ...(argument === undefined ? {} : { argument }),
    ...(resource === undefined ? {} : { resource }),
  }
}
