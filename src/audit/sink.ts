// Where lines go. A sink takes whole lines in order and says when it has them; it decides nothing. The log trusts it to
// keep what it took: what it loses or alters later is found by verification, not prevented here.

import type { AuditHead } from './chain.ts'

/** Something a sink found when it was opened and that the log must record before anything else. */
export interface AuditRecovery {
  /** `torn_tail`: a half-written last line was moved to `file`. `stale_lock`: the writer before never let go. */
  readonly reason: 'torn_tail' | 'stale_lock'
  readonly file?: string
  /** Byte at which the torn line began in the log. */
  readonly offset?: number
  readonly length?: number
  readonly sha256?: string
  readonly pid?: number
  readonly detail?: string
}

/**
 * A place for records. After anything thrown or rejected the log never calls `append` again.
 */
export interface AuditSink {
  /**
   * Takes one line, without newline. Returns nothing when it has it (whatever "has" means for this sink), or a promise
   * of that. May be called again before the promise settles; the lines belong in the order of the calls.
   */
  append(line: string): void | Promise<void>
  /** Last record already in it; absent when empty. */
  readonly resume?: AuditHead
  readonly recovered?: readonly AuditRecovery[]
  /** Resolves when all that was taken so far is as safe as this sink can make it. */
  flush?(): Promise<void>
  close?(): Promise<void>
}

export interface MemorySink extends AuditSink {
  readonly lines: readonly string[]
}

/** Keeps lines in memory. Grows without bound; for tests and short runs. */
export function memorySink(): MemorySink {
  const lines: string[] = []
  return {
    lines,
    append: (line) => {
      lines.push(line)
    },
  }
}
