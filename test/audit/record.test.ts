import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GENESIS } from '../../src/audit/chain.ts'
import { commitArguments, commitmentMatches, utf8Length } from '../../src/audit/commit.ts'
import { AUDIT_EVENTS, type AuditEventKind, type AuditEventType, denialFields } from '../../src/audit/event.ts'
import { AUDIT_FIELDS, type AuditField, type AuditFieldName } from '../../src/audit/field.ts'
import { encodeBody, encodeLine, readRecord, Timestamps } from '../../src/audit/record.ts'
import { sha256Hex } from '../../src/core/crypto.ts'
import { deny } from '../../src/core/denial.ts'
import { AgentPortError } from '../../src/core/errors.ts'
import { parseJson } from '../../src/core/json.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { allowed } from './sample.ts'

const TIME = '2026-01-02T03:04:05.006Z'
const TYPES = Object.keys(AUDIT_EVENTS) as AuditEventType[]

function lineOf(event: object, keepSaltsApart = false): string {
  return encodeLine(Number.MAX_SAFE_INTEGER, 'f'.repeat(64), TIME, encodeBody(event, keepSaltsApart).text)
}

function parsedLine(event: object): Record<string, unknown> {
  return parseJson(lineOf(event)) as Record<string, unknown>
}

/** An event of the type with every field it may have; texts come from `text`, lists are `length` long. */
function fullEvent(type: AuditEventType, text: string, length = 1): Record<string, unknown> {
  const { needs, may }: AuditEventKind = AUDIT_EVENTS[type]
  const event: Record<string, unknown> = { type }
  for (const name of [...may, ...needs]) event[name] = sampleValue(AUDIT_FIELDS[name], text, length)
  return event
}

function sampleValue({ kind, words }: AuditField, text: string, length: number): unknown {
  switch (kind) {
    case 'text':
      return words?.[0] ?? text
    case 'texts':
      return Array.from({ length }, () => text)
    case 'count':
    case 'duration':
      return Number.MAX_SAFE_INTEGER
    case 'flag':
      return false
    case 'head':
      return { seq: Number.MAX_SAFE_INTEGER, hash: GENESIS }
    case 'commitment':
      return { salt: 'a'.repeat(32), digest: GENESIS, bytes: Number.MAX_SAFE_INTEGER }
  }
}

function refusal(event: object): AgentPortError {
  try {
    encodeBody(event, false)
  } catch (error) {
    if (error instanceof AgentPortError) return error
    throw error
  }
  throw new Error('was encoded')
}

describe('a line', () => {
  test('has its fields in the order of the table, whatever the order in the event', () => {
    const event = allowed()
    const expected = [
      ...['v', 'seq', 'prev', 'ts', 'type', 'run', 'node', 'attempt', 'policy', 'skill', 'digest', 'mode'],
      ...['enforcement', 'token', 'tool', 'args', 'resources', 'decision', 'rules', 'latency_us'],
    ]
    expect(Object.keys(parsedLine(event))).toEqual(expected)
    const turned = Object.fromEntries(Object.entries(event).reverse())
    expect(lineOf(turned)).toBe(lineOf(event))
  })

  test.each(TYPES)('%s takes all its fields and reads back', (type) => {
    const line = lineOf(fullEvent(type, 'plain'))
    const read = readRecord(line)
    if (!read.ok) throw new Error(read.detail)
    const { needs, may }: AuditEventKind = AUDIT_EVENTS[type]
    const keys = (Object.keys(AUDIT_FIELDS) as AuditFieldName[])
      .filter((name) => [...needs, ...may].includes(name) || (name === 'decision' && type in DECISIONS))
      .map((name) => AUDIT_FIELDS[name].key)
    expect(Object.keys(read.record.value)).toEqual(['v', 'seq', 'prev', 'ts', 'type', ...keys])
    expect(read.record.value['decision']).toBe(DECISIONS[type])
  })

  const DECISIONS: Readonly<Record<string, string>> = {
    'call.allowed': 'allow',
    'call.denied': 'deny',
    'call.escalated': 'escalate',
  }

  test('the log writes its own decision: an event cannot contradict its type', () => {
    expect(refusal({ ...allowed(), decision: 'deny' }).message).toContain('"decision" is not a field')
  })

  test('the fields of a denial fit into the records of denials', () => {
    const denial = deny('resource_undeclared', 'evil.example is not declared', {
      subject: { node: 'n', tool: 't', argument: '/url', resource: 'network https://evil.example' },
      rules: [{ id: 'r1', effect: 'forbid', file: 'p.yaml', line: 3, column: 5 }],
    })
    const value = parsedLine({ type: 'call.denied', run: 'r', node: 'n', tool: 't', ...denialFields(denial) })
    expect(value).toMatchObject({
      decision: 'deny',
      code: 'resource_undeclared',
      layer: 'manifest',
      recoverable: 'narrower',
      argument: '/url',
      resource: 'network https://evil.example',
      rules: ['r1 (forbid) p.yaml:3:5'],
      dispatched: false,
    })
  })
})

describe('hostile text', () => {
  // Everything a terminal, a pager or a line reader acts upon instead of showing.
  const ACTIVE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
  const RTL = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u

  test.each([
    ['newline', 'a\n{"v":1,"seq":0}'],
    ['carriage return', 'a\rINFO all is well'],
    ['ANSI escape', '\u001b[2J\u001b[1;31mowned'],
    ['8-bit CSI', '\u009b31m'],
    ['DEL', 'a\u007f'],
    ['NUL', 'a\u0000b'],
    ['line separator', 'a\u2028b\u2029c'],
    ['next line', 'a\u0085b'],
    ['right-to-left override', 'user\u202egnp.exe'],
    ['isolates', '\u2066a\u2069'],
    ['zero width', 'ad\u200bmin\ufeff'],
    ['tag characters', 'a\u{e0041}\u{e007f}'],
    ['right-to-left letters', 'שלום'],
    ['quote and backslash', '","decision":"allow\\'],
  ])('%s stays on its line, in its order, and is still the same text', (_name, text) => {
    const line = lineOf({ ...allowed(), tool: text, resources: [text, text] })
    expect(line).not.toMatch(ACTIVE)
    expect(line).not.toMatch(RTL)
    expect(parseJson(line)).toMatchObject({ tool: text, resources: [text, text], decision: 'allow' })
  })

  test('control: JSON.stringify lets most of them through', () => {
    for (const text of ['\u009b31m', '\u007f', '\u202e', '\u2028', '\u{e0041}'])
      expect(JSON.stringify(text)).toMatch(ACTIVE)
  })

  test('any text at all gives one printable line that reads back as that text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const line = lineOf({ type: 'run.halted', run: text, reason: text })
        expect(line).not.toMatch(ACTIVE)
        expect(parseJson(line)).toMatchObject({ run: text, reason: text })
      }),
      { numRuns: fuzzRuns(200) },
    )
  })

  test('a lone surrogate, which no UTF-8 can carry, becomes a replacement character', () => {
    expect(parsedLine({ type: 'run.halted', run: 'a\ud800b', reason: '\udc00' })).toMatchObject({
      run: 'a\ufffdb',
      reason: '\ufffd',
    })
  })

  test('ordinary text of other scripts is left readable', () => {
    expect(lineOf({ ...allowed(), tool: '価格を取得 ñ €' })).toContain('価格を取得 ñ €')
  })
})

describe('long values', () => {
  test('nothing inside the limits of a call is cut', () => {
    const path = `write /${'p'.repeat(LIMITS.pathLength - 1)}`
    const value = parsedLine({ ...allowed(), resources: [path, 'x'.repeat(LIMITS.urlLength)] })
    expect(value['resources']).toEqual([path, 'x'.repeat(LIMITS.urlLength)])
    expect(value['cut']).toBeUndefined()
    const many = Array.from({ length: LIMITS.resources }, (_, index) => `read /srv/${index}`)
    expect(parsedLine({ ...allowed(), resources: many })['resources']).toEqual(many)
  })

  test('a cut value says how much is missing, and the record says which values are cut', () => {
    const value = parsedLine({ ...allowed(), resources: ['x'.repeat(10_000)], rules: Array(3000).fill('r') })
    expect(value['resources']).toEqual([`${'x'.repeat(8192)}…(+1808)`])
    const rules = value['rules'] as string[]
    expect(rules.length).toBe(2049)
    expect(rules.at(-1)).toBe('…(+952)')
    expect(value['cut']).toEqual(['resources', 'rules'])
  })

  test('a text that only looks cut is not named as cut', () => {
    expect(parsedLine({ ...allowed(), tool: 'x…(+5)' })['cut']).toBeUndefined()
  })

  test('a cut never leaves half a character', () => {
    const value = parsedLine({ ...allowed(), tool: `${'x'.repeat(8191)}😀` })
    expect(value['tool']).toBe(`${'x'.repeat(8191)}…(+2)`)
  })

  test.each(TYPES)('%s stays under the limit with every field as long and as costly as can be', (type) => {
    for (const text of ['\u0000', '\u202e', '"', '€', '😀', 'x', '\u{e0041}', 'ש']) {
      const line = lineOf(fullEvent(type, text.repeat(10_000), 3000))
      expect(utf8Length(line)).toBeLessThanOrEqual(LIMITS.auditRecordBytes)
      expect(readRecord(line).ok).toBe(true)
    }
  })

  test('the counted length is the length in UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(utf8Length(text)).toBe(new TextEncoder().encode(text).length)
      }),
      { numRuns: fuzzRuns(300) },
    )
    expect(utf8Length('\ud800')).toBe(3)
    expect(utf8Length('\ud800x\udc00')).toBe(7)
  })
})

describe('what is not an event', () => {
  const good = allowed()
  const { tool: _tool, ...withoutTool } = good
  test.each<[string, object]>([
    ['no type', {}],
    ['unknown type', { ...good, type: 'call.dreamt' }],
    ['type from the prototype of an object', { ...good, type: 'constructor' }],
    ['inherited type', Object.create(good)],
    ['missing field', withoutTool],
    ['missing field given as undefined', { ...good, tool: undefined }],
    ['unknown field', { ...good, toool: 'x' }],
    ['field of another type of record', { ...good, origin: 'x' }],
    ['envelope field', { ...good, seq: 7 }],
    ['number for text', { ...good, tool: 7 }],
    ['word outside the list', { ...good, mode: 'lenient' }],
    ['text for list', { ...good, resources: 'x' }],
    ['list with a hole', { ...good, resources: new Array(2) }],
    ['fraction', { ...good, attempt: 1.5 }],
    ['negative', { ...good, attempt: -1 }],
    ['NaN duration', { ...good, latencyUs: Number.NaN }],
    ['bigint', { ...good, attempt: 1n }],
    ['commitment without digest', { ...good, args: { salt: 'a'.repeat(32), bytes: 1 } }],
    ['commitment with a foreign salt', { ...good, args: { ...good.args, salt: '"}' } }],
    ['null', { ...good, args: null }],
  ])('%s is refused', (_name, event) => {
    expect(refusal(event).code).toBe('ERR_AUDIT_UNAVAILABLE')
  })

  test('what a getter or proxy throws is the cause of a coded error', () => {
    const thrown = new RangeError('no')
    const trap = Object.defineProperty({ ...good }, 'tool', {
      enumerable: true,
      get: () => {
        throw thrown
      },
    })
    expect(refusal(trap)).toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE', cause: thrown })
    const { proxy, revoke } = Proxy.revocable({ ...good }, {})
    revoke()
    expect(refusal(proxy).code).toBe('ERR_AUDIT_UNAVAILABLE')
  })

  test('a polluted prototype adds nothing to any record', () => {
    const clean = lineOf(good)
    Object.defineProperty(Object.prototype, 'approval', { value: 'chief', configurable: true, writable: true })
    try {
      expect(({} as { approval?: string }).approval).toBe('chief')
      expect(lineOf(good)).toBe(clean)
    } finally {
      Reflect.deleteProperty(Object.prototype, 'approval')
    }
  })

  test('a refusal names the field and never repeats a hostile name raw', () => {
    expect(refusal({ ...good, 'x\u001b[2J': 1 }).message).not.toContain('\u001b')
  })
})

describe('time', () => {
  test('is RFC 3339 UTC with milliseconds', () => {
    const timestamps = new Timestamps()
    for (const time of [
      0,
      1,
      999,
      1000,
      Date.UTC(2024, 1, 29, 23, 59, 59, 999),
      253_402_300_799_999,
      5,
      1_700_000_000_123.9,
    ]) {
      expect(timestamps.format(time)).toBe(new Date(Math.floor(time)).toISOString())
    }
  })

  test.each([Number.NaN, -1, 253_402_300_800_000, Number.POSITIVE_INFINITY])('%s is refused', (time) => {
    expect(() => new Timestamps().format(time)).toThrow(AgentPortError)
  })
})

describe('commitments', () => {
  test('can be checked with the salt, and are different each time', () => {
    const text = '{"confirm":true,"who":"é"}'
    const one = commitArguments(text)
    const two = commitArguments(text)
    expect(one.digest).not.toBe(two.digest)
    expect(one.bytes).toBe(27)
    expect(one.digest).toBe(sha256Hex(one.salt + text))
    expect(commitmentMatches(one, text)).toBe(true)
    expect(commitmentMatches(one, '{"confirm":false}')).toBe(false)
    expect(commitmentMatches({ ...one, salt: two.salt }, text)).toBe(false)
  })

  test('a low-entropy value cannot be found without the salt; control: an unsalted digest can', () => {
    const guesses = ['{"confirm":true}', '{"confirm":false}']
    const secret = '{"confirm":true}'
    const { digest } = commitArguments(secret)
    expect(guesses.find((guess) => sha256Hex(guess) === sha256Hex(secret))).toBe(secret)
    expect(guesses.find((guess) => sha256Hex(guess) === digest)).toBeUndefined()
  })

  test('salts kept apart do not stand in the line', () => {
    const args = commitArguments('{}')
    const event = { ...allowed(), args }
    expect(lineOf(event)).toContain(args.salt)
    expect(lineOf(event, true)).not.toContain(args.salt)
    expect(encodeBody(event, true).salts).toEqual([{ field: 'args', salt: args.salt }])
    // Cutting tries more than once; the salt is handed out once.
    expect(encodeBody({ ...event, rules: Array(300).fill('€'.repeat(500)) }, true).salts.length).toBe(1)
  })
})
