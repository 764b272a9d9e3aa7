import { createContext, runInContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalJson } from '../../src/core/canonical.ts'
import { type JsonValue, parseJson } from '../../src/core/json.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { copyPlain, copyWithin } from '../../src/core/plain.ts'
import { fuzzRuns } from '../support/fuzz.ts'

function copied(value: unknown): JsonValue {
  const copy = copyPlain(value)
  if (!copy.ok) throw new Error(`${copy.pointer}: ${copy.detail}`)
  return copy.value
}

function expectDeepFrozen(value: JsonValue): void {
  if (value === null || typeof value !== 'object') return
  expect(Object.isFrozen(value)).toBe(true)
  for (const member of Object.values(value)) expectDeepFrozen(member)
}

const withGetter = (get: () => unknown): object => Object.defineProperty({}, 'path', { enumerable: true, get })

describe('the attacks', () => {
  test('a value that changes between check and use', () => {
    let reads = 0
    const shifty = withGetter(() => (reads++ === 0 ? '/srv/public/a' : '/etc/shadow')) as { path: string }
    // Control: check first, use afterwards.
    const allowed = shifty.path.startsWith('/srv/public/')
    expect([allowed, shifty.path]).toEqual([true, '/etc/shadow'])
    reads = 0
    expect(copyPlain(shifty)).toEqual({
      ok: false,
      code: 'arguments_unreadable',
      pointer: '/path',
      detail: 'a property with a getter or setter',
    })
    expect(reads).toBe(0)
  })

  test('a change of the original after the copy', () => {
    const original = { path: '/srv/a', list: [{ n: 1 }] }
    const copy = copied(original)
    original.path = '/etc/shadow'
    original.list[0] = { n: 2 }
    original.list.push({ n: 3 })
    expect(copy).toEqual({ path: '/srv/a', list: [{ n: 1 }] })
    expect(() => Object.assign(copy as object, { path: 'x' })).toThrow(TypeError)
    expectDeepFrozen(copy)
  })

  test('toJSON is not asked', () => {
    const lying = { path: '/srv/a', toJSON: () => ({ path: '/etc/shadow' }) }
    // Control: JSON.stringify asks it.
    expect(JSON.stringify(lying)).toBe('{"path":"/etc/shadow"}')
    expect(copyPlain(lying)).toMatchObject({ ok: false, pointer: '/toJSON' })
    expect(copied({ toJSON: 'text' })).toEqual({ toJSON: 'text' })
  })

  test('prototype pollution and hidden classes of objects', () => {
    expect(copyPlain(JSON.parse('{"a":{"__proto__":{"admin":true}}}'))).toMatchObject({
      ok: false,
      pointer: '/a/__proto__',
    })
    expect(copyPlain(Object.create({ path: '/inherited' }))).toMatchObject({ ok: false })
    const copy = copied({ constructor: 1, toString: 2, hasOwnProperty: 3, valueOf: null }) as Record<string, JsonValue>
    expect(Object.keys(copy)).toEqual(['constructor', 'toString', 'hasOwnProperty', 'valueOf'])
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype)
  })

  test('a setter on Object.prototype does not swallow a member', () => {
    Object.defineProperty(Object.prototype, 'swallowed', { configurable: true, set: () => undefined })
    try {
      const source = JSON.parse('{"swallowed":1}') as object
      expect(Object.keys(copied(source) as object)).toEqual(['swallowed'])
    } finally {
      Reflect.deleteProperty(Object.prototype, 'swallowed')
    }
  })

  test('a Proxy yields a consistent copy or a refusal', () => {
    let reads = 0
    const shifty = new Proxy(
      { path: '/srv/a' },
      {
        getOwnPropertyDescriptor: () => ({
          value: reads++ === 0 ? '/srv/a' : '/etc/shadow',
          enumerable: true,
          configurable: true,
          writable: true,
        }),
        get: () => '/etc/shadow',
      },
    )
    expect(copied(shifty)).toEqual({ path: '/srv/a' })
    expect(reads).toBe(1)
    const throwing = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('mine')
        },
      },
    )
    expect(copyPlain({ a: throwing })).toMatchObject({
      ok: false,
      code: 'arguments_unreadable',
      pointer: '/a',
      detail: 'reading the value threw an error',
    })
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    expect(copyPlain([1, proxy])).toMatchObject({ ok: false, pointer: '/1' })
    const endless: object = new Proxy(
      {},
      {
        ownKeys: () => ['a', 'b'],
        getOwnPropertyDescriptor: () => ({ value: endless, enumerable: true, configurable: true }),
      },
    )
    expect(copyPlain(endless)).toMatchObject({ ok: false })
    const multiplying = (): object =>
      new Proxy(
        {},
        {
          ownKeys: () => ['a', 'b', 'c'],
          getOwnPropertyDescriptor: () => ({ value: multiplying(), enumerable: true, configurable: true }),
        },
      )
    expect(copyPlain(multiplying())).toMatchObject({ ok: false, code: 'arguments_too_large' })
  })

  test('an array Proxy cannot pretend a length', () => {
    const array = new Proxy([1, 2, 3], { get: (target, key) => (key === 'length' ? 1 : Reflect.get(target, key)) })
    expect(copied(array)).toEqual([1, 2, 3])
  })

  test('a trap that copies something else in between', () => {
    const outer = new Proxy(
      { a: 1 },
      {
        getOwnPropertyDescriptor: (target, key) => {
          copyPlain({ z: [() => 1] })
          return Reflect.getOwnPropertyDescriptor(target, key)
        },
      },
    )
    expect(copied({ x: outer, y: [2] })).toEqual({ x: { a: 1 }, y: [2] })
  })
})

class Custom {
  readonly path = '/srv/a'
}

describe('what is not plain data', () => {
  const cyclic: Record<string, unknown> = { list: [] }
  ;(cyclic['list'] as unknown[]).push({ back: cyclic })
  const holed = [1, 2, 3]
  delete holed[1]
  const realm = runInContext('({ object: { a: 1 }, array: [1] })', createContext()) as { object: object; array: object }

  test.each<[string, unknown, string, RegExp]>([
    ['undefined', undefined, '', /type undefined/],
    ['an undefined member', { a: { b: undefined } }, '/a/b', /type undefined/],
    ['a function', { f: () => 1 }, '/f', /type function/],
    ['a class', [Custom], '/0', /type function/],
    ['a symbol', [Symbol('s')], '/0', /type symbol/],
    ['a symbol key', { [Symbol('s')]: 1 }, '', /key is a symbol/],
    ['a bigint', { n: 1n }, '/n', /type bigint/],
    ['NaN', [0, Number.NaN], '/1', /not finite/],
    ['an integer that was rounded', { id: Number('12345678901234567890') }, '/id', /beyond/],
    ['2^53', [-(2 ** 53)], '/0', /beyond/],
    ['infinity', { n: -Infinity }, '/n', /not finite/],
    ['a class instance', { x: new Custom() }, '/x', /not plain/],
    ['a date', { at: new Date(0) }, '/at', /not plain/],
    ['a map', new Map([['a', 1]]), '', /not plain/],
    ['a regular expression', [/x/], '/0', /not plain/],
    ['a boxed string', [Object('x')], '/0', /not plain/],
    ['bytes', { b: Uint8Array.of(1) }, '/b', /not plain/],
    ['an error', new Error('x'), '', /not plain/],
    ['a promise', { p: Promise.resolve() }, '/p', /not plain/],
    ['an array subclass', new (class extends Array {})(), '', /not plain/],
    ['an object of another realm', realm.object, '', /another realm/],
    ['an array of another realm', realm.array, '', /another realm/],
    ['a cycle', cyclic, '/list/0/back', /contains itself/],
    ['a hole', { a: holed }, '/a', /holes/],
    ['a huge sparse array', [new Array(2 ** 32 - 1)], '/0', /values/],
    ['an array with a name', [Object.assign([1], { extra: 1 })], '/0', /other properties/],
    ['an array with a symbol', [Object.assign([1], { [Symbol.iterator]: 1 })], '/0', /other properties/],
    ['an array with a getter', Object.defineProperty([1], 0, { get: () => 1, enumerable: true }), '/0', /getter/],
    ['a hidden property', Object.defineProperty({}, 'h', { value: 1, enumerable: false }), '/h', /hidden/],
    ['a setter', Object.defineProperty({}, 's', { set: () => undefined, enumerable: true }), '/s', /setter/],
    ['a lone surrogate', ['\ud800'], '/0', /surrogate/],
    ['a lone surrogate in a key', { x: { 'a\udfff': 1 } }, '/x', /surrogate/],
    ['under a key that cannot be shown', { x: { '\u001b[2J': [() => 1] } }, '/x', /function/],
    ['under a key too long to be shown', { x: { ['k'.repeat(129)]: { y: undefined } } }, '/x', /undefined/],
    ['__proto__', JSON.parse('{"__proto__":1}'), '/__proto__', /__proto__/],
  ])('%s', (_, value, pointer, detail) => {
    const copy = copyPlain(value)
    expect(copy).toMatchObject({ ok: false, pointer })
    expect(copy.ok ? '' : copy.detail).toMatch(detail)
  })
})

describe('limits', () => {
  const nest = (levels: number): unknown => {
    let value: unknown = 1
    for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { k: value }
    return value
  }

  test.each<[string, () => unknown, boolean]>([
    ['depth, allowed', () => nest(LIMITS.depth), true],
    ['depth, one more', () => nest(LIMITS.depth + 1), false],
    ['depth, 100,000', () => nest(100_000), false],
    ['values, allowed', () => new Array(LIMITS.argumentValues - 1).fill(0), true],
    ['values, one more', () => new Array(LIMITS.argumentValues).fill(0), false],
    [
      'values of an object',
      () => Object.fromEntries(Array.from({ length: LIMITS.argumentValues }, (_, index) => [index, 0])),
      false,
    ],
    [
      'values that multiply by sharing',
      () => {
        let v: unknown = [1, 2]
        for (let i = 0; i < 40; i++) v = [v, v]
        return v
      },
      false,
    ],
    ['text, allowed', () => 'x'.repeat(LIMITS.argumentLength), true],
    ['text, one more', () => ['x'.repeat(LIMITS.argumentLength), 'x'], false],
    ['text of keys', () => ({ ['k'.repeat(LIMITS.argumentLength)]: 'x' }), false],
  ])('%s', (_, make, ok) => {
    const start = performance.now()
    const copy = copyPlain(make())
    expect(performance.now() - start).toBeLessThan(2_000)
    expect(copy).toMatchObject(ok ? { ok: true } : { ok: false, code: 'arguments_too_large' })
  })

  test('length counts the text of strings and keys', () => {
    expect(copyPlain({ ab: ['cde', 1, null], f: { g: '😀' } })).toMatchObject({ ok: true, length: 2 + 3 + 1 + 1 + 2 })
  })

  test('other bounds', () => {
    expect(copyWithin([1, 2], 3, 0).ok).toBe(true)
    expect(copyWithin([1, 2], 2, 0).ok).toBe(false)
    expect(copyWithin('ab', 1, 1).ok).toBe(false)
  })

  test('a caller without stack left gets a refusal', () => {
    const probe = (): boolean => {
      try {
        return probe()
      } catch {
        return copyPlain({ a: [1, { b: 2 }] }).ok
      }
    }
    expect(() => probe()).not.toThrow()
  })
})

describe('properties', () => {
  test('JSON comes out equal, ordinary and frozen', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8, stringUnit: 'grapheme' }), (value) => {
        const text = JSON.stringify(value)
        fc.pre(!text.includes('"__proto__":') && !/\d{16}/.test(text))
        const copy = copied(value)
        expect(copy).toStrictEqual(JSON.parse(text))
        expectDeepFrozen(copy)
      }),
      { numRuns: fuzzRuns(500) },
    )
  })

  test('-0 becomes 0, a null prototype an ordinary one', () => {
    expect(Object.is(copied(-0), 0)).toBe(true)
    expect(Object.getPrototypeOf(copied(Object.create(null)))).toBe(Object.prototype)
  })

  test('control: a number that JSON.parse has rounded is written as if it were exact', () => {
    expect(JSON.stringify(JSON.parse('{"id":12345678901234567890}'))).toBe('{"id":12345678901234567000}')
    expect(copied([2 ** 53 - 1, 1e21, 1.5e300, -2.5])).toEqual([2 ** 53 - 1, 1e21, 1.5e300, -2.5])
  })

  test('anything: a copy or a refusal, and a copy is JSON', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withSparseArray: true,
      withTypedArray: true,
      withUnicodeString: true,
    })
    fc.assert(
      fc.property(anything, (value) => {
        const copy = copyPlain(value)
        if (copy.ok) expect(parseJson(canonicalJson(copy.value))).toStrictEqual(copy.value)
        else expect(copy.detail).toMatch(/^[ -~±]+$/)
      }),
      { numRuns: fuzzRuns(1_000) },
    )
  })
})
