// Obligations of one verdict: what happens to arguments and results, what has to be confirmed, and what is refused.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { canonicalJson } from '../../src/core/canonical.ts'
import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import type { Obligation, ObligedSide } from '../../src/core/obligation.ts'
import { compileObligations } from '../../src/obligation/compile.ts'
import { REDACTED as R } from '../../src/obligation/spans.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { ALL_TOKENS, filler } from './synthetic.ts'

const BOTH: readonly ObligedSide[] = ['arguments', 'result']

const redactAll = (parts: object): Obligation => ({
  kind: 'redact',
  id: 'r',
  on: BOTH,
  fields: [],
  patterns: [],
  secrets: false,
  ...parts,
})
const cap = (parts: object): Obligation => ({ kind: 'cap', id: 'c', on: BOTH, ...parts })
const pin: Obligation = { kind: 'pin_addresses', id: 'p' }
const confirm = (action: string): Obligation => ({ kind: 'confirm', id: 'f', action })
const rewrite = (tool: string): Obligation => ({ kind: 'rewrite', id: 'w', tool })

describe('redaction of both sides', () => {
  const obligations = compileObligations([redactAll({ fields: ['/key'], secrets: true })])

  test('arguments', () => {
    expect(obligations.onArguments({ key: 1, q: 'x' })).toEqual({ ok: true, args: { key: R, q: 'x' }, changed: true })
    expect(obligations.onArguments({ q: 'x' })).toEqual({ ok: true, args: { q: 'x' }, changed: false })
  })

  test('result', () => {
    expect(obligations.onResult({ key: [1], log: 'password=hunter2' })).toEqual({
      ok: true,
      value: { key: R, log: `password=${R}` },
      changed: true,
    })
    expect(obligations.onResult('fine')).toEqual({ ok: true, value: 'fine', changed: false })
    expect(obligations.onResult(null)).toEqual({ ok: true, value: null, changed: false })
  })

  test('what comes out is frozen, what went in is not', () => {
    const args = { key: 1, deep: { list: [1] } }
    const done = obligations.onArguments(args)
    expect(done.ok && Object.isFrozen(done.args) && Object.isFrozen(done.args['deep'])).toBe(true)
    expect(Object.isFrozen(args) || Object.isFrozen(args.deep)).toBe(false)
    expect(args).toEqual({ key: 1, deep: { list: [1] } })
  })

  test('only the side that is named', () => {
    const results = compileObligations([redactAll({ on: ['result'], fields: ['/key'] })])
    expect(results.onArguments({ key: 1 })).toEqual({ ok: true, args: { key: 1 }, changed: false })
    expect(results.onResult({ key: 1 })).toEqual({ ok: true, value: { key: R }, changed: true })
    const args = compileObligations([redactAll({ on: ['arguments'], fields: ['/key'] })])
    expect(args.onArguments({ key: 1 })).toEqual({ ok: true, args: { key: R }, changed: true })
    expect(args.onResult({ key: 1 })).toEqual({ ok: true, value: { key: 1 }, changed: false })
  })
})

describe('a result that is not plain data', () => {
  class Secret {
    readonly key = 'hunter2'
  }
  const strange: readonly (readonly [string, () => unknown])[] = [
    ['a function', () => () => 1],
    ['an instance', () => new Secret()],
    ['a Map', () => new Map([['key', 1]])],
    ['bytes', () => new Uint8Array(8)],
    ['a promise', () => Promise.resolve(1)],
    ['a BigInt', () => 1n],
    ['undefined inside', () => ({ a: undefined })],
    [
      'a getter',
      () => ({
        get key() {
          return 1
        },
      }),
    ],
    [
      'a proxy that throws',
      () =>
        new Proxy(
          {},
          {
            ownKeys: () => {
              throw new Error('no')
            },
          },
        ),
    ],
    [
      'a revoked proxy',
      () => {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        return proxy
      },
    ],
    ['a lone surrogate', () => 'a\ud800'],
    ['too long', () => 'x'.repeat(5 * 1024 * 1024)],
    ['too deep', () => Array.from({ length: 80 }).reduce((inner: unknown) => [inner], 1)],
    ['too many', () => Array.from({ length: 30_000 }, () => 0)],
    [
      'itself',
      () => {
        const a: unknown[] = []
        a.push(a)
        return a
      },
    ],
  ]

  test.each(strange)('%s: nothing of it is handed on', (_, make) => {
    for (const obligation of [redactAll({ secrets: true }), cap({ maxBytes: 1e9 })]) {
      const done = compileObligations([obligation]).onResult(make())
      expect(done).toMatchObject({ ok: false, denial: { code: 'obligation_unmet', dispatched: true } })
      expect(JSON.stringify(done)).not.toContain('hunter2')
    }
  })

  test.each(strange)('%s: without an obligation on results it is not looked at', (_, make) => {
    const value = make()
    for (const list of [[], [pin], [redactAll({ on: ['arguments'], fields: ['/a'] })]]) {
      const done = compileObligations(list).onResult(value)
      expect([done.ok, done.ok && done.changed]).toEqual([true, false])
      expect(done.ok && Object.is(done.value, value)).toBe(true)
    }
  })

  test('attack: an object that shows the check another text than the executor', () => {
    let asked = 0
    const twoFaced = new Proxy(
      { text: '' },
      { get: (_, name) => (name === 'text' && asked++ > 0 ? 'password=hunter2' : 'harmless') },
    )
    // Control: looked at and then handed on, it has what the look did not find.
    expect([twoFaced.text, twoFaced.text]).toEqual(['harmless', 'password=hunter2'])
    asked = 0
    const done = compileObligations([redactAll({ secrets: true })]).onResult(twoFaced)
    expect(done).toEqual({ ok: true, value: { text: '' }, changed: false })
    expect(done.ok && done.value).not.toBe(twoFaced)
  })

  test('nothing at all is handed on as nothing', () => {
    expect(compileObligations([redactAll({ secrets: true })]).onResult(undefined)).toEqual({
      ok: true,
      value: undefined,
      changed: false,
    })
  })
})

describe('caps', () => {
  test.each<[parts: object, value: JsonValue, expected: JsonValue]>([
    [{ maxText: 20 }, 'x'.repeat(20), 'x'.repeat(20)],
    [{ maxText: 20 }, 'x'.repeat(21), `${'x'.repeat(5)}…[cut: 16 more]`],
    [{ maxText: 20 }, 'x'.repeat(1000), `${'x'.repeat(3)}…[cut: 997 more]`],
    [{ maxText: 5 }, 'abcdefgh', 'abcde'],
    [{ maxText: 0 }, 'abc', ''],
    [{ maxText: 3 }, 'a💥💥', 'a💥'],
    [{ maxText: 2 }, 'a💥💥', 'a'],
    [{ maxText: 18 }, `xx${'💥'.repeat(20)}`, 'xx…[cut: 40 more]'],
    [{ maxItems: 3 }, [1, 2, 3], [1, 2, 3]],
    [{ maxItems: 3 }, [1, 2, 3, 4, 5], [1, 2, '…[cut: 3 more]']],
    [{ maxItems: 1 }, [1, 2], ['…[cut: 2 more]']],
    [{ maxItems: 0 }, [1, 2], []],
    [{ maxItems: 2, maxText: 4 }, { a: [['abcdef'], 1, 2] }, { a: [['abcd'], '…[cu'] }],
    [{ maxItems: 1 }, { a: 1, b: 2, c: [] }, { a: 1, b: 2, c: [] }],
  ])('%j: %j', (parts, value, expected) => {
    const done = compileObligations([cap(parts)]).onResult(value)
    expect(done).toEqual({ ok: true, value: expected, changed: canonicalJson(expected) !== canonicalJson(value) })
  })

  test.each<[parts: object, args: JsonObject, argument: string | undefined]>([
    [{ maxText: 3 }, { a: 'abcd' }, '/a'],
    [{ maxText: 3 }, { a: [{ b: '' }, { b: 'abcd' }] }, '/a/1/b'],
    [{ maxItems: 1 }, { a: [1, 2] }, '/a'],
    [{ maxBytes: 9 }, { a: 'ä!' }, undefined],
  ])('arguments are never cut: %j %j', (parts, args, argument) => {
    const done = compileObligations([cap(parts)]).onArguments(args)
    expect(done).toMatchObject({ ok: false, denial: { code: 'obligation_unmet', dispatched: false } })
    expect(done.ok ? {} : done.denial.subject).toEqual(argument === undefined ? {} : { argument })
    expect(JSON.stringify(done)).not.toContain('abcd')
  })

  test.each<[JsonValue]>([['ä'], ['€💥'], [{ b: 'é', a: [1, '"\n'] }], [''], [[]], ['\u2028\u0000']])(
    'bytes are those of the canonical JSON: %j',
    (value) => {
      const bytes = new TextEncoder().encode(canonicalJson(value)).length
      expect(compileObligations([cap({ maxBytes: bytes })]).onResult(value)).toMatchObject({ ok: true })
      expect(compileObligations([cap({ maxBytes: bytes - 1 })]).onResult(value)).toMatchObject({ ok: false })
    },
  )

  test('bytes are counted after cutting', () => {
    expect(compileObligations([cap({ maxBytes: 30, maxText: 20 })]).onResult('x'.repeat(99))).toMatchObject({
      ok: true,
    })
  })

  test('attack: a text cut before it is searched lets half of a secret by', () => {
    const token = ALL_TOKENS.find((one) => one.startsWith('ghp')) ?? ''
    const text = `${'x '.repeat(10)}${token}`
    const maxText = text.length - 4
    const capped = compileObligations([cap({ maxText })])
    const searched = compileObligations([redactAll({ secrets: true })])
    // Control: cut first, then searched.
    const cut = capped.onResult(text)
    expect(JSON.stringify(cut.ok && searched.onResult(cut.value))).toContain(token.slice(0, 12))
    const both = compileObligations([cap({ maxText }), redactAll({ secrets: true })]).onResult(text)
    expect(both).toEqual({ ok: true, value: `${'x '.repeat(10)}${R}`, changed: true })
  })

  test('what comes out is within the bounds, and cutting it again changes nothing', () => {
    const bounds = fc.record({ maxText: fc.integer({ min: 0, max: 30 }), maxItems: fc.integer({ min: 0, max: 4 }) })
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), bounds, (value, { maxText, maxItems }) => {
        const obligations = compileObligations([cap({ maxText, maxItems })])
        const done = obligations.onResult(value)
        if (!done.ok) return
        const check = (one: unknown): void => {
          if (typeof one === 'string')
            expect([one.length <= maxText, /[\ud800-\udbff]$/.test(one)]).toEqual([true, false])
          if (Array.isArray(one)) expect(one.length).toBeLessThanOrEqual(maxItems)
          if (typeof one === 'object' && one !== null) Object.values(one).forEach(check)
        }
        check(done.value)
        expect(obligations.onResult(done.value)).toEqual({ ok: true, value: done.value, changed: false })
      }),
      { numRuns: fuzzRuns(200) },
    )
  })
})

describe('confirmations', () => {
  const list = [confirm('notify'), pin, confirm('encrypt'), pin, confirm('notify')]

  test('names, sorted, each once', () => {
    expect(compileObligations(list).confirmations).toEqual(['confirm:encrypt', 'confirm:notify', 'pin_addresses'])
    expect(compileObligations([redactAll({ secrets: true })]).confirmations).toEqual([])
  })

  test.each<[confirmed: unknown, missing: string | undefined]>([
    [['confirm:encrypt', 'confirm:notify', 'pin_addresses'], undefined],
    [['pin_addresses', 'else', 'confirm:notify', 'confirm:encrypt'], undefined],
    [['confirm:notify', 'pin_addresses'], 'confirm:encrypt'],
    [[], 'confirm:encrypt, confirm:notify, pin_addresses'],
    [['encrypt', 'notify', 'CONFIRM:ENCRYPT', 'pin_addresses '], 'confirm:encrypt, confirm:notify, pin_addresses'],
    [undefined, 'confirm:encrypt, confirm:notify, pin_addresses'],
    ['confirm:encrypt confirm:notify pin_addresses', 'confirm:encrypt, confirm:notify, pin_addresses'],
    [new Set(['pin_addresses']), 'confirm:encrypt, confirm:notify, pin_addresses'],
  ])('%j', (confirmed, missing) => {
    const denial = compileObligations(list).unmet(confirmed as readonly string[])
    if (missing === undefined) expect(denial).toBeUndefined()
    else
      expect(denial).toMatchObject({ code: 'obligation_unmet', dispatched: true, detail: `not confirmed: ${missing}` })
  })

  test('a list that cannot be read confirms nothing', () => {
    const { proxy, revoke } = Proxy.revocable<string[]>([], {})
    revoke()
    expect(compileObligations(list).unmet(proxy)).toMatchObject({ code: 'obligation_unmet' })
    const throwing = Object.assign([...compileObligations(list).confirmations], {
      [Symbol.iterator]: () => {
        throw new Error('no')
      },
    })
    expect(compileObligations(list).unmet(throwing)).toMatchObject({ code: 'obligation_unmet' })
  })

  test('nothing to confirm', () => {
    expect(compileObligations([]).unmet([])).toBeUndefined()
    expect(compileObligations([]).unmet(undefined as unknown as [])).toBeUndefined()
  })
})

describe('rewriting', () => {
  test('one target', () => {
    expect(compileObligations([rewrite('safe_get'), rewrite('safe_get')])).toMatchObject({
      rewriteTo: 'safe_get',
      conflict: undefined,
    })
    expect(compileObligations([]).rewriteTo).toBeUndefined()
  })

  test('two are ambiguous: no call can be run as both', () => {
    const obligations = compileObligations([rewrite('b'), rewrite('a')])
    expect(obligations.rewriteTo).toBeUndefined()
    expect(obligations.conflict).toMatchObject({ code: 'obligation_unmet', dispatched: false })
    expect(obligations.onArguments({})).toEqual({ ok: false, denial: obligations.conflict })
    expect(compileObligations([rewrite('a'), rewrite('b')]).conflict).toEqual(obligations.conflict)
  })
})

test.each<[string, unknown]>([
  ['kind', { kind: 'other', id: 'x' }],
  ['nothing to redact', redactAll({})],
  ['side', redactAll({ on: [], secrets: true })],
  ['side', redactAll({ on: ['reslut'], secrets: true })],
  ['pointer', redactAll({ fields: ['a'] })],
  ['pointer', redactAll({ fields: ['/~2'] })],
  ['pattern', redactAll({ patterns: ['('] })],
  ['pattern', redactAll({ patterns: ['(a)\\1'] })],
  ['the arguments as a whole', redactAll({ fields: [''] })],
  ['no bound', cap({})],
  ['bound', cap({ maxText: -1 })],
  ['bound', cap({ maxText: 1.5 })],
  ['bound', cap({ maxText: '9' })],
  ['bound', cap({ maxItems: Number.NaN })],
  ['side', cap({ on: ['both'], maxText: 1 })],
  ['tool', rewrite('no such/tool')],
  ['action', confirm('a b')],
])('what loading refuses is a TypeError: %s', (_, obligation) => {
  expect(() => compileObligations([obligation as Obligation])).toThrow(TypeError)
})

test('the result as a whole can be redacted', () => {
  expect(compileObligations([redactAll({ on: ['result'], fields: [''] })]).onResult({ a: 1 })).toEqual({
    ok: true,
    value: R,
    changed: true,
  })
})

test('a list is compiled once', () => {
  const list = [redactAll({ secrets: true })]
  expect(compileObligations(list)).toBe(compileObligations(list))
  expect(compileObligations([...list])).not.toBe(compileObligations(list))
})

test('too much to search is refused', () => {
  const done = compileObligations([redactAll({ patterns: ['(?:a|b){1,400}z'] })]).onResult(filler(200_000))
  expect(done).toMatchObject({
    ok: false,
    denial: { code: 'obligation_unmet', detail: 'the result: searching it takes too much work' },
  })
})

test('the order of obligations makes no difference', () => {
  const pool: readonly Obligation[] = [
    redactAll({ secrets: true }),
    redactAll({ fields: ['/a/*'], on: ['result'] }),
    redactAll({ patterns: ['[a-z]+-[0-9]+'] }),
    redactAll({ patterns: ['[0-9]+@[a-z.]+', '\\bfoo'] }),
    redactAll({ patterns: ['red'], fields: ['/b'] }),
    cap({ maxText: 40 }),
    cap({ maxText: 25, maxItems: 3 }),
    cap({ maxItems: 2, on: ['result'] }),
    cap({ maxBytes: 120 }),
    pin,
    confirm('log'),
    rewrite('one'),
    rewrite('two'),
  ]
  const text = fc
    .array(fc.constantFrom('ab-12@x.y', 'foo', 'foofoo', ' ', 'red', R, ALL_TOKENS[4] ?? '', 'password=hunter2'), {
      maxLength: 5,
    })
    .map((parts) => parts.join(''))
  const value = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'foo'), fc.oneof(text, fc.array(text, { maxLength: 5 })), {
    maxKeys: 4,
    noNullPrototype: true,
  })
  fc.assert(
    fc.property(fc.shuffledSubarray([...pool]), value, (list, json) => {
      const [one, other] = [compileObligations(list), compileObligations([...list].reverse())]
      expect(other.onArguments(json)).toEqual(one.onArguments(json))
      expect(other.onResult(json)).toEqual(one.onResult(json))
      expect([other.confirmations, other.rewriteTo, other.conflict]).toEqual([
        one.confirmations,
        one.rewriteTo,
        one.conflict,
      ])
    }),
    { numRuns: fuzzRuns(200) },
  )
})

test('anything at all is answered', () => {
  const list = [
    redactAll({ secrets: true, patterns: ['[a-z]{3}'], fields: ['/*/a'] }),
    cap({ maxText: 10, maxBytes: 200 }),
  ]
  const obligations = compileObligations(list)
  fc.assert(
    fc.property(
      fc.anything({ withBigInt: true, withDate: true, withMap: true, withSparseArray: true, withTypedArray: true }),
      (value) => {
        expect(typeof obligations.onResult(value).ok).toBe('boolean')
        expect(typeof obligations.onArguments(value as JsonObject).ok).toBe('boolean')
        expect(obligations.unmet(value as readonly string[])).toBeUndefined()
      },
    ),
    { numRuns: fuzzRuns(300) },
  )
})
