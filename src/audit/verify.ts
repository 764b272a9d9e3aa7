// Checks a log against itself and, when one is given, against a head that was kept elsewhere. It trusts only that head:
// a chain shows that records were not changed one by one; who can write the file can write a whole new chain, or leave
// off the end, and no log can show that by itself. The result says which of the two was checked.

import { type AuditHead, hashRecord, isHead } from './chain.ts'
import { AUDIT_EVENTS } from './event.ts'
import { type AuditFault, FaultList } from './fault.ts'
import { type AuditRecord, readRecord } from './record.ts'
import { SeqSet } from './seq-set.ts'
import { SequenceCheck } from './sequence.ts'

/** Something a reader should know that is not a fault. */
export interface AuditNotice {
  readonly line: number
  readonly seq: number
  /** `clock_backwards`: the time is before that of the record before. `unknown_type`: a type of a later version. */
  readonly kind: 'clock_backwards' | 'unknown_type'
}

export interface AuditVerification {
  /** No fault was found. Read `tail` as well. */
  readonly ok: boolean
  /** Lines that are records. */
  readonly records: number
  /** The last record in its place: what to keep elsewhere for the next verification. */
  readonly head: AuditHead
  /**
   * What is known about the end. `verified`: it is the expected head. `closed`: the last record is `log.closed`, which
   * whoever can rewrite the file can write too. `unverified`: records after the last one may be missing, and the last
   * one may be altered, without a trace.
   */
  readonly tail: 'verified' | 'closed' | 'unverified'
  /** By line: at most LIMITS.problems of the chain, and as many unpaired ones. */
  readonly faults: readonly AuditFault[]
  /** Faults beyond those listed. */
  readonly omitted: number
  /** `seq` of allowed calls of which nothing more was recorded: still running, or cut off by a crash. The first 1000. */
  readonly open: readonly number[]
  readonly openCount: number
  /** The first 100. */
  readonly notices: readonly AuditNotice[]
}

export interface AuditVerifyOptions {
  /** The last head that was kept outside of the log. The log may have grown since, not shrunk or changed. */
  readonly expectHead?: AuditHead
  /** Called with each record that could be read, in the order of the lines, whether or not it is in its place. */
  readonly onRecord?: (record: AuditRecord, line: number) => void
}

const OPEN_LISTED = 1000
const NOTICES = 100

/**
 * Checks a whole log: its text, or its lines without newlines. Never throws for what stands in them.
 *
 * @throws TypeError when `expectHead` is not a head.
 */
export function verifyAuditLog(
  log: string | Iterable<string | Uint8Array>,
  options: AuditVerifyOptions = {},
): AuditVerification {
  const verifier = new AuditVerifier(options)
  if (typeof log !== 'string') {
    for (const line of log) verifier.push(line)
    return verifier.end()
  }
  let from = 0
  for (let to = log.indexOf('\n'); to >= 0; to = log.indexOf('\n', from)) {
    verifier.push(log.slice(from, to))
    from = to + 1
  }
  if (from < log.length) verifier.tear()
  return verifier.end()
}

/** {@link verifyAuditLog} for lines that come one by one. */
export class AuditVerifier {
  readonly #expectHead: AuditHead | undefined
  readonly #onRecord: AuditVerifyOptions['onRecord']
  readonly #faults = new FaultList()
  /** Apart, so that many of these cannot crowd a fault of the chain out of the list. */
  readonly #unpaired = new FaultList()
  readonly #sequence: SequenceCheck
  readonly #allowed = new SeqSet()
  readonly #answered = new SeqSet()
  readonly #settled = new SeqSet()
  readonly #notices: AuditNotice[] = []
  #line = 0
  #records = 0
  #time = ''
  #lastType = ''
  /** What a malformed line said, until it is known whether it is the last. */
  #malformed: AuditFault | undefined
  #headSeen: 'no' | 'other' | 'yes'
  #headHash = ''

  constructor(options: AuditVerifyOptions = {}) {
    const { expectHead } = options
    if (expectHead !== undefined && !isHead(expectHead)) throw new TypeError('expectHead must be { seq, hash }')
    this.#expectHead = expectHead
    this.#onRecord = options.onRecord
    this.#sequence = new SequenceCheck(this.#faults)
    this.#headSeen = expectHead?.seq === -1 ? 'yes' : 'no'
  }

  /** Takes the next line, without its newline. */
  push(line: string | Uint8Array): void {
    this.#line++
    this.#lastType = ''
    if (this.#malformed !== undefined) this.#faults.add(this.#malformed)
    this.#malformed = undefined
    const read = readRecord(line)
    if (!read.ok) {
      this.#malformed = { line: this.#line, kind: 'malformed', detail: read.detail }
      this.#sequence.unreadable()
      return
    }
    const hash = hashRecord(line)
    this.#records++
    this.#sequence.push({ line: this.#line, seq: read.record.seq, prev: read.record.prev, hash })
    this.#lastType = read.record.type
    this.#compareHead(read.record.seq, hash)
    this.#pair(read.record)
    this.#note(read.record)
    this.#onRecord?.(read.record, this.#line)
  }

  /** The log ends in a line without newline: whatever stands in it, its writer did not finish it. */
  tear(): void {
    this.push('')
    this.#malformed = { line: this.#line, kind: 'torn', detail: 'the last line has no newline' }
  }

  end(): AuditVerification {
    if (this.#malformed !== undefined) this.#faults.add({ ...this.#malformed, kind: 'torn' })
    this.#sequence.end()
    const head = this.#sequence.head
    this.#judgeHead(head)
    const { open, openCount } = this.#open()
    return {
      ok: this.#faults.empty && this.#unpaired.empty,
      records: this.#records,
      head,
      tail: this.#tail(head),
      faults: [...this.#faults.sorted(), ...this.#unpaired.sorted()].sort((a, b) => a.line - b.line),
      omitted: this.#faults.omitted + this.#unpaired.omitted,
      open,
      openCount,
      notices: this.#notices,
    }
  }

  #compareHead(seq: number, hash: string): void {
    if (seq !== this.#expectHead?.seq || this.#headSeen === 'yes') return
    this.#headSeen = hash === this.#expectHead.hash ? 'yes' : 'other'
    this.#headHash = hash
  }

  #judgeHead(head: AuditHead): void {
    const expected = this.#expectHead
    if (expected === undefined || this.#headSeen === 'yes') return
    if (this.#headSeen === 'other') {
      const detail = `record ${expected.seq} has hash ${this.#headHash}, the expected head ${expected.hash}: it, or all before it, was rewritten`
      this.#faults.add({ line: Math.min(expected.seq + 1, this.#line), seq: expected.seq, kind: 'altered', detail })
      return
    }
    const detail = `the log ends with record ${head.seq}, the expected head is record ${expected.seq}`
    this.#faults.add({ line: this.#line + 1, seq: expected.seq, kind: 'truncated', detail })
  }

  #tail(head: AuditHead): AuditVerification['tail'] {
    const expected = this.#expectHead
    if (expected?.seq === head.seq && expected.hash === head.hash && this.#malformed === undefined) return 'verified'
    return this.#lastType === 'log.closed' ? 'closed' : 'unverified'
  }

  #pair({ seq, type, value }: AuditRecord): void {
    if (type === 'call.allowed') this.#allowed.add(seq)
    if (type !== 'call.outcome' && type !== 'call.dropped') return
    const intent = value['intent']
    const known = Number.isSafeInteger(intent) && this.#allowed.has(intent as number) && (intent as number) < seq
    const fresh = known && (type !== 'call.outcome' || this.#answered.add(intent as number))
    if (known) this.#settled.add(intent as number)
    // In a log that is damaged already the call may be among the damage.
    if (fresh || !this.#faults.empty || !this.#sequence.clean) return
    const detail = known ? `call ${intent} already has an outcome` : 'no earlier record allowed this call'
    this.#unpaired.add({ line: this.#line, seq, kind: 'unpaired', detail })
  }

  #open(): { readonly open: readonly number[]; readonly openCount: number } {
    const open: number[] = []
    let openCount = 0
    for (const seq of this.#allowed) {
      if (this.#settled.has(seq)) continue
      openCount++
      if (open.length < OPEN_LISTED) open.push(seq)
    }
    return { open, openCount }
  }

  #note({ seq, ts, type }: AuditRecord): void {
    // Both are RFC 3339 UTC of one length, which sorts as text.
    if (ts < this.#time) this.#notice(seq, 'clock_backwards')
    this.#time = ts
    if (!Object.hasOwn(AUDIT_EVENTS, type)) this.#notice(seq, 'unknown_type')
  }

  #notice(seq: number, kind: AuditNotice['kind']): void {
    if (this.#notices.length < NOTICES) this.#notices.push({ line: this.#line, seq, kind })
  }
}
