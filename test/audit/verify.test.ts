import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AuditHead, GENESIS, hashRecord } from '../../src/audit/chain.ts'
import { AuditLog } from '../../src/audit/log.ts'
import { memorySink } from '../../src/audit/sink.ts'
import { type AuditVerification, AuditVerifier, verifyAuditLog } from '../../src/audit/verify.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { allowed, outcome, sampleSink, tickingClock } from './sample.ts'

const LINES = sampleSink(30).lines
const OTHER = sampleSink(30, { start: Date.UTC(2027, 0, 1) }).lines
const HEAD = headOf(LINES)

function headOf(lines: readonly string[]): AuditHead {
  const last = lines.at(-1)
  return last === undefined ? { seq: -1, hash: GENESIS } : { seq: lines.length - 1, hash: hashRecord(last) }
}

function lineAt(lines: readonly string[], index: number): string {
  const line = lines[index]
  if (line === undefined) throw new Error(`no line ${index}`)
  return line
}

/** `lines` with a new chain over them: what somebody who can write the file can always do. */
function rechain(lines: readonly string[]): string[] {
  let prev = GENESIS
  return lines.map((line, seq) => {
    const again = JSON.stringify({ ...JSON.parse(line), seq, prev })
    prev = hashRecord(again)
    return again
  })
}

function replaced(lines: readonly string[], index: number, line: string): string[] {
  return spliced(lines, index, 1, line)
}

function spliced(lines: readonly string[], index: number, remove: number, ...added: readonly string[]): string[] {
  return [...lines.slice(0, index), ...added, ...lines.slice(index + remove)]
}

function kinds(verification: AuditVerification): string[] {
  return verification.faults.map(({ line, seq, kind }) => `${line}:${seq ?? ''}:${kind}`)
}

/** What a log without a chain can check: that each line is JSON. */
function naiveVerify(lines: readonly string[]): boolean {
  return lines.every((line) => {
    try {
      JSON.parse(line)
      return true
    } catch {
      return false
    }
  })
}

interface Edit {
  readonly name: string
  readonly lines: readonly string[]
  /** The first index that differs. */
  readonly first: number
}

const at = fc.nat({ max: LINES.length - 1 })

function forged(seq: number, prev: string): string {
  return JSON.stringify({ ...JSON.parse(lineAt(LINES, 1)), seq, prev, tool: 'transfer_money' })
}

const edits: fc.Arbitrary<Edit> = fc.oneof(
  fc
    .record({ index: at, position: fc.nat(), byte: fc.integer({ min: 1, max: 255 }) })
    .map(({ index, position, byte }) => {
      const bytes = new TextEncoder().encode(lineAt(LINES, index))
      const where = position % bytes.length
      bytes[where] = (bytes[where] ?? 0) ^ byte
      const text = Buffer.from(bytes).toString('latin1')
      return { name: 'flip', lines: [...LINES.slice(0, index), text, ...LINES.slice(index + 1)], first: index }
    }),
  at.map((index) => ({ name: 'delete', lines: spliced(LINES, index, 1), first: index })),
  fc.tuple(at, fc.nat({ max: LINES.length })).map(([index, to]) => ({
    name: 'duplicate',
    lines: spliced(LINES, to, 0, lineAt(LINES, index)),
    first: Math.min(to, LINES.length - 1),
  })),
  fc
    .tuple(at, at)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => ({
      name: 'swap',
      lines: replaced(replaced(LINES, a, lineAt(LINES, b)), b, lineAt(LINES, a)),
      first: Math.min(a, b),
    })),
  fc
    .tuple(at, at)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => ({
      name: 'move',
      lines: spliced(spliced(LINES, a, 1), b, 0, lineAt(LINES, a)),
      first: Math.min(a, b),
    })),
  fc.nat({ max: LINES.length - 2 }).map((index) => ({
    name: 'insert forged, rightly chained to the record before',
    lines: spliced(LINES, index + 1, 0, forged(index + 1, hashRecord(lineAt(LINES, index)))),
    first: index + 1,
  })),
  at
    .filter((index) => index > 0)
    .map((index) => ({
      name: 'change one record, keeping its place and prev',
      lines: replaced(LINES, index, forged(index, JSON.parse(lineAt(LINES, index)).prev)),
      first: index,
    })),
  fc.tuple(at, at).map(([index, other]) => ({
    name: 'take a record of another log',
    lines: replaced(LINES, index, lineAt(OTHER, other)),
    first: index,
  })),
)

describe('an untouched log', () => {
  test('verifies, as text and as lines, and says that its end is not', () => {
    for (const log of [LINES, `${LINES.join('\n')}\n`, LINES.map((line) => new TextEncoder().encode(line))]) {
      const result = verifyAuditLog(log)
      expect(result).toMatchObject({ ok: true, records: 30, head: HEAD, tail: 'unverified', faults: [], notices: [] })
    }
  })

  test('with the expected head its end is verified too; an earlier head is enough for what it covers', () => {
    expect(verifyAuditLog(LINES, { expectHead: HEAD })).toMatchObject({ ok: true, tail: 'verified' })
    const earlier = headOf(LINES.slice(0, 20))
    expect(verifyAuditLog(LINES, { expectHead: earlier })).toMatchObject({ ok: true, tail: 'unverified' })
    const empty = { seq: -1, hash: GENESIS }
    expect(verifyAuditLog([], { expectHead: empty })).toMatchObject({ ok: true, tail: 'verified', records: 0 })
  })

  test('a closed log says so', async () => {
    const sink = memorySink()
    const log = AuditLog.open({ sink, clock: tickingClock() })
    await log.append(allowed())
    const head = await log.close()
    expect(verifyAuditLog(sink.lines)).toMatchObject({ ok: true, tail: 'closed', head })
  })

  test('the hash of a record is the RFC 6962 leaf hash of its line', () => {
    expect(hashRecord('')).toBe('6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d')
    expect(hashRecord('L123456')).toBe('395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56')
    const text = 'é\u2028😀'
    expect(hashRecord(new TextEncoder().encode(text))).toBe(hashRecord(text))
  })
})

describe('single edits', () => {
  test('every one is found when the head is known', () => {
    fc.assert(
      fc.property(edits, ({ lines }) => {
        if (lines.join('\n') === LINES.join('\n')) return
        const result = verifyAuditLog(lines, { expectHead: HEAD })
        expect(result.ok).toBe(false)
        expect(result.faults.length).toBeGreaterThan(0)
      }),
      { numRuns: fuzzRuns(800) },
    )
  })

  test('without a head every one that touches a record before the last is found', () => {
    fc.assert(
      fc.property(edits, ({ lines, first }) => {
        if (lines.join('\n') === LINES.join('\n') || first >= LINES.length - 1) return
        expect(verifyAuditLog(lines).ok).toBe(false)
      }),
      { numRuns: fuzzRuns(800) },
    )
  })

  test('each is called by its name, wherever it was made', () => {
    const names: Readonly<Record<string, readonly string[]>> = {
      delete: ['dropped'],
      duplicate: ['inserted'],
      swap: ['reordered'],
      move: ['reordered'],
      'insert forged, rightly chained to the record before': ['inserted'],
      'change one record, keeping its place and prev': ['altered'],
    }
    fc.assert(
      fc.property(edits, ({ name, lines, first }) => {
        const expected = names[name]
        if (expected === undefined || lines.join('\n') === LINES.join('\n') || first >= LINES.length - 1) return
        expect([...new Set(verifyAuditLog(lines).faults.map(({ kind }) => kind))]).toEqual(expected)
      }),
      { numRuns: fuzzRuns(800) },
    )
  })

  test('control: a log without a chain accepts all of them but broken JSON', () => {
    const names = new Map<string, boolean>()
    for (const { name, lines } of fc.sample(edits, { numRuns: 600, seed: 7 })) {
      names.set(name, names.get(name) === true || naiveVerify(lines))
    }
    expect([...names.values()].every((fooled) => fooled)).toBe(true)
    expect(names.size).toBe(8)
  })

  test('two edits at once are found as well', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...LINES.keys()], { minLength: 1 }), (order) => {
        const lines = order.map((index) => lineAt(LINES, index))
        if (lines.length === LINES.length && order.every((value, index) => value === index)) return
        const result = verifyAuditLog(lines, { expectHead: HEAD })
        expect(result.ok).toBe(false)
      }),
      { numRuns: fuzzRuns(300) },
    )
  })
})

describe('naming what was done', () => {
  const original = (index: number): string => lineAt(LINES, index)
  test.each<[string, readonly string[], string[]]>([
    ['content changed', replaced(LINES, 9, original(9).replace('tool_9', 'tool_X')), ['10:9:altered']],
    [
      'prev changed',
      replaced(
        LINES,
        9,
        original(9)
          .replace(/"prev":"./, '"prev":"g')
          .replace('"g', '"0'),
      ),
      ['10:9:altered'],
    ],
    ['seq raised', replaced(LINES, 9, original(9).replace('"seq":9,', '"seq":19,')), ['10:9:altered']],
    ['seq lowered', replaced(LINES, 9, original(9).replace('"seq":9,', '"seq":3,')), ['10:9:altered']],
    ['JSON broken', replaced(LINES, 9, original(9).replace('{', '[')), ['10::malformed']],
    ['key repeated', replaced(LINES, 9, original(9).replace('{', '{"v":1,')), ['10::malformed']],
    ['first removed', spliced(LINES, 0, 1), ['1:0:dropped']],
    ['one removed', spliced(LINES, 9, 1), ['10:9:dropped']],
    ['five removed', spliced(LINES, 9, 5), ['10:9:dropped']],
    ['last but one removed', spliced(LINES, 28, 1), ['29:28:dropped']],
    ['next to each other swapped', replaced(replaced(LINES, 9, original(10)), 10, original(9)), ['10:10:reordered']],
    ['the last two swapped', replaced(replaced(LINES, 28, original(29)), 29, original(28)), ['29:29:reordered']],
    [
      'far apart swapped',
      replaced(replaced(LINES, 9, original(20)), 20, original(9)),
      ['10:20:reordered', '21:9:reordered'],
    ],
    ['moved down', spliced(spliced(LINES, 9, 1), 20, 0, original(9)), ['21:9:reordered']],
    ['moved up', spliced(spliced(LINES, 20, 1), 9, 0, original(20)), ['10:20:reordered']],
    ['copied after itself', spliced(LINES, 10, 0, original(9)), ['11:9:inserted']],
    ['copied further down', spliced(LINES, 20, 0, original(9)), ['21:9:inserted']],
    ['copied further up', spliced(LINES, 9, 0, original(20)), ['10:20:inserted']],
    ['copied to the end', [...LINES, original(9)], ['31:9:inserted']],
    ['forged in between', spliced(LINES, 9, 0, forged(9, hashRecord(original(8)))), ['10:9:inserted']],
    ['forged from elsewhere', spliced(LINES, 9, 0, forged(4711, 'ab'.repeat(32))), ['10:4711:inserted']],
    ['empty line', spliced(LINES, 9, 0, ''), ['10::malformed']],
    ['record replaced by two lines of noise', spliced(LINES, 9, 1, 'x', 'y'), ['10::malformed', '11::malformed']],
    ['half of the last line', replaced(LINES, 29, original(29).slice(0, 100)), ['30::torn']],
  ])('%s', (_name, lines, expected) => {
    const result = verifyAuditLog(lines)
    expect(kinds(result)).toEqual(expected)
    expect(result.ok).toBe(false)
  })

  test('a text without a final newline is torn, even when the last line is a whole record', () => {
    const result = verifyAuditLog(LINES.join('\n'))
    expect(kinds(result)).toEqual(['30::torn'])
    expect(result.head).toEqual(headOf(LINES.slice(0, 29)))
  })

  test('a log shuffled or reversed as a whole is reported with a bounded list', () => {
    const long = sampleSink(1000).lines
    const result = verifyAuditLog([...long].reverse())
    expect(result.ok).toBe(false)
    expect(result.faults.length).toBe(LIMITS.problems)
    expect(result.omitted).toBeGreaterThan(0)
  })
})

describe('what a chain alone cannot show', () => {
  test('truncation: only with the expected head', () => {
    for (const kept of [0, 1, 15, 29]) {
      const cut = LINES.slice(0, kept)
      expect(verifyAuditLog(cut)).toMatchObject({ ok: true, tail: 'unverified' })
      const result = verifyAuditLog(cut, { expectHead: HEAD })
      expect(kinds(result)).toEqual([`${kept + 1}:29:truncated`])
    }
  })

  test('an altered last record: only with the expected head', () => {
    const lines = replaced(LINES, 29, lineAt(LINES, 29).replace('tool_29', 'tool_XX'))
    expect(verifyAuditLog(lines).ok).toBe(true)
    expect(kinds(verifyAuditLog(lines, { expectHead: HEAD }))).toEqual(['30:29:altered'])
  })

  test('a new chain over everything: only with the expected head', () => {
    fc.assert(
      fc.property(edits, ({ name, lines }) => {
        if (name === 'flip') return
        const recomputed = rechain(lines)
        // One more record at the end is no edit: every log grows that way.
        if (recomputed.join('\n').startsWith(LINES.join('\n'))) return
        const chain = verifyAuditLog(recomputed).faults.filter(({ kind }) => kind !== 'unpaired')
        expect(chain).toEqual([])
        expect(verifyAuditLog(recomputed, { expectHead: HEAD }).ok).toBe(false)
      }),
      { numRuns: fuzzRuns(100) },
    )
  })

  test('another log in its place: only with the expected head', () => {
    expect(verifyAuditLog(OTHER)).toMatchObject({ ok: true })
    expect(verifyAuditLog(OTHER, { expectHead: HEAD }).faults.map(({ kind }) => kind)).toEqual(['altered'])
  })
})

describe('calls and their outcomes', () => {
  function logOf(write: (log: AuditLog) => void): readonly string[] {
    const sink = memorySink()
    write(AuditLog.open({ sink, clock: tickingClock() }))
    return sink.lines
  }

  test('an allowed call without an outcome is open, not a fault', () => {
    const lines = logOf((log) => {
      for (const event of [allowed(), allowed(), outcome(1), allowed()]) void log.append(event)
    })
    expect(verifyAuditLog(lines)).toMatchObject({ ok: true, open: [2, 4], openCount: 2 })
  })

  test.each<[string, (log: AuditLog) => void, boolean]>([
    ['an outcome for nothing', (log) => void log.append(outcome(7)), false],
    ['an outcome for itself', (log) => void log.append(outcome(1)), false],
    ['an outcome for log.opened', (log) => void log.append(outcome(0)), false],
    ['two outcomes', (log) => [allowed(), outcome(1), outcome(1)].forEach((event) => void log.append(event)), false],
    [
      'an outcome and a dropped late one',
      (log) => {
        void log.append(allowed())
        void log.append(outcome(1))
        void log.append({ type: 'call.dropped', run: 'run-1', node: 'n', intent: 1, code: 'verdict_settled' })
      },
      true,
    ],
  ])('%s', (_name, write, ok) => {
    const result = verifyAuditLog(logOf(write))
    expect(result.ok).toBe(ok)
    expect(result.faults.every(({ kind }) => kind === 'unpaired')).toBe(true)
  })
})

test('many unpaired records do not hide a break of the chain', () => {
  const sink = memorySink()
  const log = AuditLog.open({ sink, clock: tickingClock() })
  for (let i = 0; i < 300; i++) void log.append(outcome(4711))
  const good = verifyAuditLog(sink.lines)
  expect([good.faults.length, good.omitted]).toEqual([LIMITS.problems, 200])
  const { faults } = verifyAuditLog(spliced(sink.lines, 250, 1))
  expect(faults.filter(({ kind }) => kind !== 'unpaired')).toMatchObject([{ line: 251, kind: 'dropped' }])
})

test('a clock that runs backwards and a type of a later version are notices, not faults', () => {
  const sink = memorySink()
  const times = [2000, 1000, 3000]
  const log = AuditLog.open({ sink, clock: { now: () => times.shift() ?? 4000, monotonic: () => 0 } })
  void log.append(allowed())
  const later = JSON.stringify({
    ...JSON.parse(lineAt(sink.lines, 1)),
    type: 'call.dreamt',
    seq: 2,
    prev: hashRecord(lineAt(sink.lines, 1)),
  })
  const result = verifyAuditLog([...sink.lines, later])
  expect(result.ok).toBe(true)
  expect(result.notices).toEqual([
    { line: 2, seq: 1, kind: 'clock_backwards' },
    { line: 3, seq: 2, kind: 'unknown_type' },
  ])
})

describe('hostile input', () => {
  test('noise never throws and never verifies', () => {
    const noise = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.json(),
      fc.constantFrom(...LINES),
      fc.constantFrom('{"v":1}', '{"__proto__":1}', 'null', '[]', '{"v":1,"seq":1e400}', '[['.repeat(4000)),
    )
    fc.assert(
      fc.property(fc.array(noise, { minLength: 1, maxLength: 12 }), (lines) => {
        const result = verifyAuditLog(lines)
        expect(result.ok && lines.some((line, index) => line !== LINES[index])).toBe(false)
        expect(() => verifyAuditLog(lines.join('\n'), { expectHead: HEAD })).not.toThrow()
      }),
      { numRuns: fuzzRuns(120) },
    )
  })

  test('bytes that are not UTF-8 never throw', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 5 }), (lines) => {
        expect(verifyAuditLog(lines).ok).toBe(false)
      }),
      { numRuns: fuzzRuns(200) },
    )
  })

  test.each([
    ['seq beyond 2^53', (line: string) => line.replace(/"seq":\d+/, '"seq":9007199254740993')],
    ['negative seq', (line: string) => line.replace(/"seq":\d+/, '"seq":-1')],
    ['seq as text', (line: string) => line.replace(/"seq":(\d+)/, '"seq":"$1"')],
    ['v of another version', (line: string) => line.replace('"v":1', '"v":2')],
    ['prev in capitals', (line: string) => line.replace(/"prev":"\w+"/, (prev) => prev.toUpperCase())],
    ['ts in local time', (line: string) => line.replace(/Z"/, '+01:00"')],
    ['over the size limit', (line: string) => line.replace('}', `,"x":"${'y'.repeat(LIMITS.auditRecordBytes)}"}`)],
    ['seq 0 with a record before it', (line: string) => line.replace(/"seq":\d+/, '"seq":0')],
  ])('%s is malformed', (_name, spoil) => {
    const result = verifyAuditLog(replaced(LINES, 9, spoil(lineAt(LINES, 9))))
    expect(kinds(result)).toContain('10::malformed')
  })

  test('records with far-apart seqs cost no more than their number', () => {
    const lines = Array.from({ length: 500 }, (_, index) => forged(2 ** 40 + index * 1_000_003, 'ab'.repeat(32)))
    expect(verifyAuditLog(lines).ok).toBe(false)
  })

  test('an unusable expected head is misuse', () => {
    for (const head of [{ seq: 1.5, hash: GENESIS }, { seq: 0, hash: 'x' }, { seq: -1, hash: 'ab'.repeat(32) }, null]) {
      expect(() => new AuditVerifier({ expectHead: head as AuditHead })).toThrow(TypeError)
    }
  })
})
