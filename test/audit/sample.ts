// Logs to try things on.

import type { AuditEvent } from '../../src/audit/event.ts'
import { AuditLog } from '../../src/audit/log.ts'
import { type MemorySink, memorySink } from '../../src/audit/sink.ts'
import type { Clock } from '../../src/core/clock.ts'

/** A clock that moves one millisecond each time it is read. */
export function tickingClock(start: number = Date.UTC(2026, 0, 2, 3, 4, 5, 6)): Clock {
  let now = start
  return { now: () => now++, monotonic: () => now }
}

const DIGEST = `sha256:${'5a'.repeat(32)}`

/** An allowed call as the gateway writes it. */
export function allowed(tool = 'web_search'): Extract<AuditEvent, { type: 'call.allowed' }> {
  return {
    type: 'call.allowed',
    run: 'run-1',
    node: 'fetch_prices',
    attempt: 1,
    policy: DIGEST,
    skill: 'web_search',
    digest: DIGEST,
    mode: 'strict',
    enforcement: 'none',
    token: 'token-1',
    tool,
    args: { salt: '0123456789abcdef'.repeat(2), digest: '7f'.repeat(32), bytes: 34 },
    resources: ['network https://api.duckduckgo.com:443'],
    rules: ['allow_search (permit) policy.yaml:12:5'],
    latencyUs: 41.2,
  }
}

export function outcome(intent: number): AuditEvent {
  return { type: 'call.outcome', run: 'run-1', node: 'fetch_prices', attempt: 1, intent, outcome: 'succeeded' }
}

/** A log of `count` records, allowed calls and their outcomes in turn; never closed. */
export function sampleSink(count = 30, options: { readonly start?: number } = {}): MemorySink {
  const sink = memorySink()
  const log = AuditLog.open({ sink, clock: tickingClock(options.start) })
  for (let seq = 1; seq < count; seq++) {
    const receipt = log.append(seq % 2 === 1 ? allowed(`tool_${seq}`) : outcome(seq - 1))
    if (receipt instanceof Promise) throw new Error('a memory sink is synchronous')
  }
  return sink
}
