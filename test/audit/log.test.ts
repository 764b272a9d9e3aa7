import { describe, expect, test } from 'vitest'
import { type AuditHead, EMPTY_HEAD, GENESIS, hashRecord } from '../../src/audit/chain.ts'
import { commitArguments } from '../../src/audit/commit.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { AuditLog, type AuditReceipt } from '../../src/audit/log.ts'
import { type AuditSink, memorySink } from '../../src/audit/sink.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { AgentPortError } from '../../src/core/errors.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { allowed, outcome, tickingClock } from './sample.ts'

const clock = tickingClock()

function open(sink: AuditSink, more: object = {}): AuditLog {
  return AuditLog.open({ sink, clock, ...more })
}

/** A sink that answers when the test says so. */
function heldSink(): AuditSink & { lines: string[]; answer: (index: number, error?: Error) => void } {
  const lines: string[] = []
  const answers: { resolve: () => void; reject: (error: Error) => void }[] = []
  return {
    lines,
    append: (line) =>
      new Promise<void>((resolve, reject) => {
        lines.push(line)
        answers.push({ resolve, reject })
      }),
    answer: (index, error) => {
      const answer = answers[index]
      if (error === undefined) answer?.resolve()
      else answer?.reject(error)
    },
  }
}

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action()
  } catch (error) {
    if (error instanceof AgentPortError) return error.code
    throw error
  }
  return 'none'
}

describe('a session', () => {
  test('opens, appends and closes in one chain', async () => {
    const sink = memorySink()
    const log = open(sink, { origin: 'example.com/agents/7' })
    const receipt = log.append(allowed()) as AuditReceipt
    expect(receipt).toEqual({ seq: 1, hash: hashRecord(sink.lines[1] ?? '') })
    expect(log.head()).toEqual(receipt)
    const head = await log.close()
    expect(head.seq).toBe(2)
    expect(JSON.parse(sink.lines[0] ?? '')).toMatchObject({
      seq: 0,
      prev: GENESIS,
      type: 'log.opened',
      origin: 'example.com/agents/7',
      format: 1,
    })
    expect(JSON.parse(sink.lines[2] ?? '')).toMatchObject({ seq: 2, prev: receipt.hash, type: 'log.closed' })
    expect(verifyAuditLog(sink.lines, { expectHead: head })).toMatchObject({ ok: true, tail: 'verified' })
  })

  test('resumes where the sink stands, and records first what the sink recovered', () => {
    const first = memorySink()
    const { seq, hash } = open(first).append(allowed()) as AuditReceipt
    const second = memorySink()
    const resume: AuditHead = { seq, hash }
    open({
      ...second,
      resume,
      recovered: [{ reason: 'torn_tail', file: 'a.torn-1', offset: 9, length: 3, sha256: GENESIS }],
    })
    expect(second.lines.map((line) => JSON.parse(line))).toMatchObject([
      { seq: 2, prev: hash, type: 'log.recovered', reason: 'torn_tail', file: 'a.torn-1', offset: 9, length: 3 },
      { seq: 3, type: 'log.opened', resumed_from: { seq, hash } },
    ])
    expect(verifyAuditLog([...first.lines, ...second.lines]).ok).toBe(true)
  })

  test('closing twice is closing once', async () => {
    const sink = memorySink()
    const log = open(sink)
    expect(await log.close()).toEqual(await log.close())
    expect(sink.lines.length).toBe(2)
  })

  test('after close nothing is appended', async () => {
    const sink = memorySink()
    const log = open(sink)
    const closing = log.close()
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
    await closing
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(sink.lines.length).toBe(2)
  })

  test.each([[{}], [{ append: 1 }], [null]])('a sink %j is misuse', (sink) => {
    expect(() => open(sink as unknown as AuditSink)).toThrow(TypeError)
  })

  test.each([[{ seq: 1 }], [{ seq: -1, hash: 'ab'.repeat(32) }], [{ seq: 0.5, hash: GENESIS }]])(
    'resume %j is misuse',
    (resume) => {
      expect(() => open({ ...memorySink(), resume: resume as AuditHead })).toThrow(TypeError)
    },
  )

  test('only the log itself speaks about the log', async () => {
    const log = open(memorySink())
    for (const type of ['log.opened', 'log.closed', 'log.recovered']) {
      const event = { type, origin: 'x', format: 1, reason: 'x' }
      expect(await codeOf(() => log.append(event as unknown as AuditEvent))).toBe('ERR_AUDIT_UNAVAILABLE')
    }
    expect(await codeOf(() => log.append({ type: 'log.closed' } as unknown as AuditEvent))).toBe(
      'ERR_AUDIT_UNAVAILABLE',
    )
  })

  test('a record that cannot be encoded takes no place and stops nothing', async () => {
    const sink = memorySink()
    const log = open(sink)
    expect(await codeOf(() => log.append({ ...allowed(), tool: 7 } as unknown as AuditEvent))).toBe(
      'ERR_AUDIT_UNAVAILABLE',
    )
    expect(await codeOf(() => log.append(null as unknown as AuditEvent))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect((log.append(allowed()) as AuditReceipt).seq).toBe(1)
    expect(log.failure).toBeUndefined()
  })

  test('a clock that fails takes no place either', async () => {
    const times = [1, Number.NaN, 2]
    const sink = memorySink()
    const log = AuditLog.open({ sink, clock: { now: () => times.shift() ?? 3, monotonic: () => 0 } })
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect((log.append(allowed()) as AuditReceipt).seq).toBe(1)
  })
})

describe('an asynchronous sink', () => {
  test('gets the lines in the order of the calls, at once; receipts come in that order whatever order it answers in', async () => {
    const sink = heldSink()
    const log = open(sink)
    const settled: number[] = []
    const receipts = [allowed(), outcome(1), allowed()].map(async (event) => {
      const receipt = await log.append(event)
      settled.push(receipt.seq)
      return receipt
    })
    expect(sink.lines.length).toBe(4)
    expect(log.head()).toEqual(EMPTY_HEAD)
    for (const index of [3, 2, 0]) sink.answer(index)
    await new Promise((resolve) => setTimeout(resolve))
    expect(settled).toEqual([])
    expect(log.head().seq).toBe(0)
    sink.answer(1)
    await Promise.all(receipts)
    expect(settled).toEqual([1, 2, 3])
    expect(log.head().seq).toBe(3)
    expect(verifyAuditLog(sink.lines, { expectHead: log.head() })).toMatchObject({ ok: true, tail: 'verified' })
  })

  test('one that is sometimes synchronous keeps its order too', async () => {
    const held = heldSink()
    let asynchronous = true
    const log = open({ append: (line) => (asynchronous ? held.append(line) : void held.lines.push(line)) })
    asynchronous = false
    const receipt = log.append(allowed())
    expect(receipt).toBeInstanceOf(Promise)
    held.answer(0)
    expect((await receipt).seq).toBe(1)
    expect(log.append(allowed())).not.toBeInstanceOf(Promise)
  })

  test('one that hangs holds its receipts back, and what would pile up is refused, not dropped', async () => {
    const sink = heldSink()
    const log = open(sink)
    const big: AuditEvent = { ...allowed(), rules: Array.from({ length: 100 }, () => 'r'.repeat(600)) }
    let taken = 0
    const code = await codeOf(() => {
      for (;;) {
        void log.append(big)
        taken++
      }
    })
    expect(code).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(taken).toBeLessThan(LIMITS.auditPendingLength / 50_000)
    expect(sink.lines.length).toBe(taken + 1)
    // It answers after all: nothing was lost, and the log goes on.
    for (let index = 0; index <= taken; index++) sink.answer(index)
    expect((await log.flush()).seq).toBe(taken)
    void log.append(allowed())
    expect(verifyAuditLog(sink.lines).ok).toBe(true)
  })

  test('flush and close wait for it', async () => {
    const sink = heldSink()
    const log = open(sink)
    let flushed = false
    const flushing = log.flush().then((head) => {
      flushed = true
      return head
    })
    await new Promise((resolve) => setTimeout(resolve))
    expect(flushed).toBe(false)
    sink.answer(0)
    expect((await flushing).seq).toBe(0)
  })
})

describe('a sink that fails', () => {
  const boom = new Error('disk on fire')

  test('by throwing: latched, and the sink is never asked again', async () => {
    let calls = 0
    const log = open({
      append: () => {
        if (++calls > 1) throw boom
      },
    })
    expect(() => log.append(allowed())).toThrow(expect.objectContaining({ code: 'ERR_AUDIT_UNAVAILABLE', cause: boom }))
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(await codeOf(() => log.flush())).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(await codeOf(() => log.close())).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(calls).toBe(2)
    expect(log.failure?.cause).toBe(boom)
  })

  test('at once: the log does not open', () => {
    const failing: AuditSink = {
      append: () => {
        throw boom
      },
    }
    expect(() => open(failing)).toThrow(expect.objectContaining({ code: 'ERR_AUDIT_UNAVAILABLE' }))
  })

  test('by rejecting: that receipt and all later ones reject, and the head stays before it', async () => {
    const sink = heldSink()
    const log = open(sink)
    sink.answer(0)
    const receipts = [1, 2, 3].map(() => codeOf(() => log.append(allowed())))
    sink.answer(1)
    sink.answer(3)
    sink.answer(2, boom)
    expect(await Promise.all(receipts)).toEqual(['none', 'ERR_AUDIT_UNAVAILABLE', 'ERR_AUDIT_UNAVAILABLE'])
    expect(log.head().seq).toBe(1)
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(sink.lines.length).toBe(4)
  })

  test('by rejecting what nobody waits for: the next append says so, and the process lives', async () => {
    const log = open({ append: () => Promise.reject(boom) })
    void log.append(allowed())
    await new Promise((resolve) => setTimeout(resolve))
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
  })

  test('later: a promise that was kept does not excuse the next', async () => {
    let healthy = true
    const log = open({ append: () => (healthy ? Promise.resolve() : Promise.reject(boom)) })
    await log.append(allowed())
    healthy = false
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
    healthy = true
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
  })

  test.each(['flush', 'close'] as const)('in %s', async (step) => {
    let closed = 0
    const sink = memorySink()
    const log = open({
      append: (line) => sink.append(line),
      close: async () => {
        closed++
      },
      [step]: () => {
        closed++
        throw boom
      },
    })
    expect(await codeOf(() => log.close())).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(closed).toBe(step === 'flush' ? 2 : 1)
    expect(log.failure?.cause).toBe(boom)
  })

  test('with a thenable that throws', async () => {
    const thenable = Object.defineProperty({}, 'then', {
      get: () => {
        throw boom
      },
    })
    let answer: unknown
    const log = open({ append: () => answer as undefined })
    answer = thenable
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(log.failure?.cause).toBe(boom)
  })

  test('control: a logger that swallows the error leaves a hole and goes on', () => {
    const lines: string[] = []
    let calls = 0
    const naive = (line: string): void => {
      try {
        if (++calls === 2) throw boom
        lines.push(line)
      } catch {}
    }
    for (const line of ['a', 'b', 'c']) naive(line)
    expect(lines).toEqual(['a', 'c'])
  })
})

describe('reentrancy', () => {
  test('a sink that appends to its own log is refused and the chain stays whole', async () => {
    const lines: string[] = []
    let log: AuditLog | undefined
    const codes: string[] = []
    const sink: AuditSink = {
      append: (line) => {
        for (const call of [() => log?.append(allowed('inner')), () => log?.close()]) {
          void codeOf(call).then((code) => codes.push(code))
        }
        lines.push(line)
      },
    }
    log = open(sink)
    void log.append(allowed())
    void log.append(allowed())
    await new Promise((resolve) => setTimeout(resolve))
    expect(codes.filter((code) => code === 'ERR_STATE_INVALID').length).toBe(4)
    expect(lines.length).toBe(3)
    expect(verifyAuditLog(lines).ok).toBe(true)
  })

  test('a getter and a clock that append come first; the chain stays whole', () => {
    const sink = memorySink()
    let depth = 0
    const log: AuditLog = AuditLog.open({
      sink,
      clock: {
        now: () => {
          if (depth === 1) {
            depth = 2
            void log.append(allowed('from_clock'))
          }
          return 5
        },
        monotonic: () => 0,
      },
    })
    const event = Object.defineProperty(allowed(), 'tool', {
      enumerable: true,
      get: () => {
        if (depth === 0) {
          depth = 1
          void log.append(allowed('from_getter'))
        }
        return 'outer'
      },
    })
    void log.append(event)
    expect(sink.lines.map((line) => JSON.parse(line).tool)).toEqual([undefined, 'from_clock', 'from_getter', 'outer'])
    expect(verifyAuditLog(sink.lines).ok).toBe(true)
  })

  test('a clock that closes the log: the record is refused, log.closed is the last and stands once', async () => {
    const sink = memorySink()
    let closing: Promise<AuditHead> | undefined
    let armed = false
    const log: AuditLog = AuditLog.open({
      sink,
      clock: {
        now: () => {
          if (armed) closing = log.close()
          return 5
        },
        monotonic: () => 0,
      },
    })
    armed = true
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
    await closing
    expect(sink.lines.map((line) => JSON.parse(line).type)).toEqual(['log.opened', 'log.closed'])
  })
})

describe('salts kept apart', () => {
  test('are handed out before the line, with its seq, and do not stand in it', () => {
    const sink = memorySink()
    const kept: unknown[] = []
    const log = open(sink, { keepSalt: (...salt: unknown[]) => kept.push([...salt, sink.lines.length]) })
    const args = commitArguments('{}')
    const result = commitArguments('1')
    void log.append({ ...allowed(), args })
    void log.append({ ...(outcome(1) as Extract<AuditEvent, { type: 'call.outcome' }>), result })
    expect(kept).toEqual([
      [1, 'args', args.salt, 1],
      [2, 'result', result.salt, 2],
    ])
    expect(sink.lines.join('\n')).not.toContain(args.salt)
    expect(JSON.parse(sink.lines[1] ?? '').args).toEqual({ digest: args.digest, bytes: 2 })
  })

  test('one that cannot be kept refuses its record; the log goes on', async () => {
    const sink = memorySink()
    let broken = true
    const keepSalt = (): void => {
      if (broken) throw new Error('vault closed')
    }
    const log = open(sink, { keepSalt })
    expect(await codeOf(() => log.append(allowed()))).toBe('ERR_AUDIT_UNAVAILABLE')
    broken = false
    expect((log.append(allowed()) as AuditReceipt).seq).toBe(1)
    expect(verifyAuditLog(sink.lines).ok).toBe(true)
  })
})
