// Tool input schemas: linear whatever the publisher and the model write, deaf to prototypes, and never changing a value.

import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { JsonObject, JsonValue } from '../../../src/core/json.ts'
import { type ArgumentFault, INPUT_FORMATS, InputSchemaCompiler } from '../../../src/core/json-schema/input-schema.ts'
import { LIMITS } from '../../../src/core/limits.ts'
import { fuzzRuns } from '../../support/fuzz.ts'

const compiler = new InputSchemaCompiler()

function check(schema: JsonObject, args: JsonObject): ArgumentFault | undefined {
  const compiled = compiler.compile(schema)
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  return compiled.check(args)
}

function faults(schema: JsonObject): readonly string[] {
  const compiled = compiler.compile(schema)
  return compiled.ok ? [] : compiled.faults.map(({ at, message }) => `/${at.join('/')}: ${message}`)
}

const object = (properties: Record<string, JsonValue>, more: Record<string, JsonValue> = {}): JsonObject => ({
  type: 'object',
  properties,
  ...more,
})

/** The fastest of three runs: what else the machine does can only add. */
function fastest(run: () => unknown): number {
  return Math.min(milliseconds(run), milliseconds(run), milliseconds(run))
}

function quick(run: () => unknown): boolean {
  return milliseconds(run) < 250 || fastest(run) < 250
}

function milliseconds(run: () => unknown): number {
  const start = performance.now()
  run()
  return performance.now() - start
}

describe('patterns', () => {
  test('^(a+)+$ is linear; control: with the RegExp of the platform each two letters more take four times as long', () => {
    const evil = object({ a: { type: 'string', pattern: '^(a+)+$' } })
    const plain = new Ajv2020().compile(evil)
    const slow = (letters: number): number => fastest(() => plain({ a: `${'a'.repeat(letters)}!` }))
    slow(16)
    expect(slow(23) / slow(19)).toBeGreaterThan(4)
    expect(milliseconds(() => check(evil, { a: `${'a'.repeat(200_000)}!` }))).toBeLessThan(1000)
    expect(check(evil, { a: `${'a'.repeat(200_000)}!` })).toMatchObject({ pointer: '/a', keyword: 'pattern' })
    expect(check(evil, { a: 'aaa' })).toBeUndefined()
  })

  test('each pattern of a schema is its own (the compiler shares them by their text)', () => {
    const schema = object({ a: { type: 'string', pattern: '^a$' }, b: { type: 'string', pattern: '^b$' } })
    expect(check(schema, { a: 'a', b: 'b' })).toBeUndefined()
    expect(check(schema, { a: 'a', b: 'a' })).toMatchObject({ pointer: '/b' })
  })

  test('patterns over property names are linear too', () => {
    const schema: JsonObject = {
      type: 'object',
      patternProperties: { '^(x+)+$': { type: 'integer' } },
      additionalProperties: false,
    }
    expect(check(schema, { xxx: 1 })).toBeUndefined()
    expect(milliseconds(() => check(schema, { [`${'x'.repeat(100_000)}!`]: 1 }))).toBeLessThan(1000)
    expect(check(schema, { [`${'x'.repeat(40)}!`]: 1 })).toMatchObject({ keyword: 'additionalProperties' })
  })

  test('a large program times a large text is refused before it runs', () => {
    const schema = object({
      a: { type: 'array', items: { type: 'string', pattern: '(?:[a-m]|[b-z])*a[a-z]{800}\\bq' } },
    })
    const args = { a: Array.from({ length: 40 }, () => 'ab'.repeat(50_000)) }
    let fault: ArgumentFault | undefined
    const took = milliseconds(() => {
      fault = check(schema, args)
    })
    expect(fault).toMatchObject({ kind: 'too_much_work' })
    expect(took).toBeLessThan(5000)
    expect(check(schema, { a: [] })).toBeUndefined()
  })
})

describe('uniqueItems', () => {
  const schema = object({ list: { type: 'array', uniqueItems: true } })

  test('8,000 objects take no time; control: the compiler as it comes compares every pair', () => {
    const list = (length: number): JsonObject => ({
      list: Array.from({ length }, (_, index) => ({ id: index, name: 'n' })),
    })
    expect(milliseconds(() => check(schema, list(8000)))).toBeLessThan(2000)
    const plain = new Ajv2020().compile(schema)
    plain(list(100))
    const short = fastest(() => plain(list(300)))
    const long = fastest(() => plain(list(1800)))
    expect(long / short).toBeGreaterThan(12)
  })

  test.each<[string, JsonValue[], boolean]>([
    ['no items', [], true],
    ['the same text', ['a', 'a'], false],
    [
      'the order of keys',
      [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ],
      false,
    ],
    ['1 and "1"', [1, '1'], true],
    ['1 and true', [1, true], true],
    ['null and "null"', [null, 'null'], true],
    ['[] and {}', [[], {}], true],
    ['1 and 1.0', [1, 1.0], false],
    [
      'nested',
      [
        [1, [2]],
        [1, [2]],
      ],
      false,
    ],
  ])('%s', (_title, list, unique) => {
    expect(check(schema, { list }) === undefined).toBe(unique)
    expect(new Ajv2020().compile(schema)({ list })).toBe(unique)
  })

  test('uniqueItems: false asks for nothing', () => {
    expect(check(object({ list: { type: 'array', uniqueItems: false } }), { list: [1, 1] })).toBeUndefined()
  })

  test('asked a hundred times about one array, it is answered once', () => {
    const many = object({ list: { type: 'array', allOf: Array.from({ length: 100 }, () => ({ uniqueItems: true })) } })
    const list = Array.from({ length: 5000 }, (_, index) => ({ index }))
    check(many, { list: [] })
    expect(milliseconds(() => check(many, { list }))).toBeLessThan(2000)
  })
})

describe('prototypes', () => {
  test.each(['toString', 'constructor', 'hasOwnProperty', 'valueOf'])('required: [%s] is not met by {}', (name) => {
    const schema: JsonObject = { type: 'object', required: [name] }
    expect(check(schema, {})).toMatchObject({ keyword: 'required', missing: name })
    expect(check(schema, { [name]: 1 })).toBeUndefined()
    // Control: without ownProperties an inherited method counts.
    expect(new Ajv2020().compile(schema)({})).toBe(true)
  })

  test('a property that is inherited is not validated as if it were given', () => {
    const schema = object({ role: { const: 'admin' } }, { required: ['role'] })
    const args = Object.create({ role: 'admin' }) as JsonObject
    expect(check(schema, args)).toMatchObject({ keyword: 'required' })
    expect(new Ajv2020().compile(schema)(args)).toBe(true)
  })

  test('properties named like those of a prototype', () => {
    const schema = object(
      { constructor: { type: 'string' }, toString: { type: 'string' } },
      { additionalProperties: false },
    )
    expect(check(schema, {})).toBeUndefined()
    expect(check(schema, JSON.parse('{"constructor":1}') as JsonObject)).toMatchObject({ pointer: '/constructor' })
    expect(check(schema, JSON.parse('{"__proto__":1}') as JsonObject)).toMatchObject({
      keyword: 'additionalProperties',
    })
  })
})

describe('constants', () => {
  test.each<[string, JsonObject, JsonObject, boolean]>([
    ['an object, in another order', { const: { a: 1, b: [2] } }, { arg: { b: [2], a: 1 } }, true],
    ['an object with one key more', { const: { a: 1 } }, { arg: { a: 1, b: 2 } }, false],
    ['an array is no object', { const: [] }, { arg: {} }, false],
    ['1 is not "1"', { enum: [1, [1]] }, { arg: '1' }, false],
    ['a member named constructor', { const: { constructor: { a: 1 } } }, { arg: { constructor: { a: 1 } } }, true],
    ['a member named valueOf', { const: { a: 1 } }, { arg: { valueOf: 'x' } }, false],
  ])('%s', (_title, arg, args, fits) => {
    expect(check(object({ arg }), args) === undefined).toBe(fits)
  })

  test('control: the plain compiler calls what the argument brought along', () => {
    const plain = new Ajv2020().compile(object({ arg: { const: {} } }))
    expect(() => plain({ arg: { valueOf: 'x' } })).toThrow(TypeError)
  })
})

describe('references', () => {
  const chain = (length: number, uses: number): JsonObject => {
    const $defs: Record<string, JsonValue> = { d0: { type: 'string' } }
    for (let index = 1; index < length; index++) {
      const $ref = `#/$defs/d${index - 1}`
      $defs[`d${index}`] = object(Object.fromEntries(Array.from({ length: uses }, (_, use) => [`p${use}`, { $ref }])))
    }
    return { ...object({ arg: { $ref: `#/$defs/d${length - 1}` } }), $defs }
  }

  test('are followed', () => {
    expect(check(chain(3, 2), { arg: { p0: { p1: 'x' } } })).toBeUndefined()
    expect(check(chain(3, 2), { arg: { p0: { p1: 1 } } })).toMatchObject({ pointer: '/arg/p0/p1', keyword: 'type' })
    const definitions = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      ...object({ a: { $ref: '#/definitions/x.y-z' } }),
      definitions: { 'x.y-z': { type: 'null' } },
    }
    expect(check(definitions, { a: 1 })).toMatchObject({ keyword: 'type' })
  })

  test('that multiply are refused without being followed', () => {
    const took = milliseconds(() =>
      expect(faults(chain(30, 3))).toEqual([expect.stringMatching(/more than 10000 values/)]),
    )
    expect(took).toBeLessThan(2000)
    expect(faults(chain(9, 3))).toEqual([expect.stringMatching(/more than 10000 values/)])
    expect(faults(chain(40, 1))).toEqual([expect.stringMatching(/too deep/)])
  })

  test('that lead back are refused; control: the compiler takes them', () => {
    const tree: JsonObject = {
      ...object({ root: { $ref: '#/$defs/node' } }),
      $defs: { node: object({ children: { type: 'array', items: { $ref: '#/$defs/node' } } }) },
    }
    expect(faults(tree)).toEqual([expect.stringMatching(/itself/)])
    expect(new Ajv2020().compile(tree)({ root: { children: [{}] } })).toBe(true)
  })
})

describe('bounds', () => {
  test('too many properties side by side', () => {
    const wide = (count: number): JsonObject =>
      object(Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, { type: 'string' }])))
    expect(faults(wide(LIMITS.schemaWidth + 1))[0]).toMatch(/more than 400 subschemas/)
    expect(check(wide(LIMITS.schemaWidth - 1), { p0: 1 })).toMatchObject({ pointer: '/p0' })
  })

  test('many constants are not many subschemas', () => {
    const codes = Array.from({ length: 3000 }, (_, index) => `c${index}`)
    expect(check(object({ a: { enum: codes } }), { a: 'c2999' })).toBeUndefined()
    expect(check(object({ a: { enum: codes } }), { a: 'c3000' })).toMatchObject({ keyword: 'enum' })
  })

  test('patterns count by their size, and a bomb is refused before it is compiled', () => {
    const large = Array.from({ length: 200 }, () => ({ type: 'string', pattern: 'a{999}a{900}' }))
    expect(faults(object({ a: { anyOf: large } }))).toEqual([expect.stringMatching(/more than 10000 values/)])
    const bomb = object({ a: { type: 'string', pattern: `(?:${'a'.repeat(1000)}){1000}` } })
    let message: readonly string[] = []
    expect(
      milliseconds(() => {
        message = faults(bomb)
      }),
    ).toBeLessThan(200)
    expect(message).toEqual([expect.stringMatching(/repeats too much/)])
  })

  test('too many values', () => {
    const values = Array.from({ length: 300 }, () => ({ enum: Array.from({ length: 40 }, (_, index) => `v${index}`) }))
    expect(faults(object({ a: { anyOf: values } }))).toEqual([expect.stringMatching(/more than 10000 values/)])
  })
})

describe('dialects', () => {
  const DRAFT_07 = 'http://json-schema.org/draft-07/schema#'

  test('each reads its own keywords', () => {
    const tuple2020 = object({ a: { type: 'array', prefixItems: [{ type: 'string' }], items: false, minItems: 1 } })
    expect(check(tuple2020, { a: ['x', 1] })).toMatchObject({ pointer: '/a' })
    const tuple07 = {
      $schema: DRAFT_07,
      ...object({ a: { type: 'array', items: [{ type: 'string' }], additionalItems: false, minItems: 1 } }),
    }
    expect(check(tuple07, { a: ['x', 1] })).toMatchObject({ pointer: '/a' })
    expect(check(tuple07, { a: ['x'] })).toBeUndefined()
    const dependent = object({ a: true, b: true }, { dependentRequired: { a: ['b'] } })
    expect(check(dependent, { a: 1 })).toMatchObject({ keyword: 'dependentRequired' })
    const dependencies = { $schema: DRAFT_07, ...object({ a: true, b: true }, { dependencies: { a: ['b'] } }) }
    expect(check(dependencies, { a: 1 })).toMatchObject({ keyword: 'dependencies' })
    const closed = object({ a: true }, { allOf: [{ properties: { b: true } }], unevaluatedProperties: false })
    expect(check(closed, { a: 1, b: 1 })).toBeUndefined()
    expect(check(closed, { c: 1 })).toMatchObject({ keyword: 'unevaluatedProperties' })
  })
})

describe('values are never changed', () => {
  test('no coercion, no defaults, no removal', () => {
    const schema = object({ n: { type: 'integer' }, d: { type: 'string', default: 'x' } })
    expect(check(schema, { n: '1' })).toMatchObject({ pointer: '/n', keyword: 'type' })
    const args = Object.freeze({ extra: 1 })
    expect(check(schema, args)).toBeUndefined()
    expect(args).toEqual({ extra: 1 })
  })

  test('a fault has place and keyword and no value', () => {
    const secret = 'sk-do-not-log'
    const schema = object({
      token: { enum: ['a', 'b'] },
      deep: object({ list: { type: 'array', items: { type: 'number' } } }),
    })
    expect(check(schema, { token: secret })).toEqual({ kind: 'mismatch', pointer: '/token', keyword: 'enum' })
    expect(check(schema, { deep: { list: [1, secret] } })).toEqual({
      kind: 'mismatch',
      pointer: '/deep/list/1',
      keyword: 'type',
    })
    const either = object({ a: { anyOf: [{ type: 'number' }, { type: 'null' }] } })
    expect(check(either, { a: secret })).toEqual({ kind: 'mismatch', pointer: '/a', keyword: 'anyOf' })
  })
})

describe('formats', () => {
  test.each([
    ['date', '2025-02-29', '2024-02-29'],
    ['date-time', '2025-01-01', '2025-01-01T00:00:00Z'],
    ['email', 'a@b', 'a@b.example'],
    ['hostname', '-a', 'a.example'],
    ['ipv4', '1.2.3', '1.2.3.4'],
    ['ipv6', '::g', '::1'],
    ['uri', 'x', 'https://a.example/'],
    ['uuid', '1', '123e4567-e89b-12d3-a456-426614174000'],
    ['byte', 'not base64!\nAAAA', 'AAAA'],
    ['json-pointer', 'a', '/a'],
    ['duration', '1D', 'P1D'],
  ])('%s', (format, bad, good) => {
    const schema = object({ a: { type: 'string', format } })
    expect(check(schema, { a: good })).toBeUndefined()
    expect(check(schema, { a: bad })).toMatchObject({ keyword: 'format' })
  })

  test('byte: the package takes a text of which one line fits', () => {
    expect((fullFormats.byte as (text: string) => boolean)('not base64!\nAAAA')).toBe(true)
  })

  const SEEDS = [
    'a',
    '1',
    '-',
    '.',
    ':',
    '/',
    '%',
    'a-',
    'a.',
    'a@',
    '1:',
    '%41',
    '//',
    '~0',
    '{a',
    '{a}',
    'http://a:',
    'http://a@',
    'P1',
    'P1Y',
    '0',
    '::',
    '2025-01-01T',
    't',
    'é',
  ]

  test.each(INPUT_FORMATS)('%s takes linear time on every repeated text', (format) => {
    const schema = object({ a: { type: 'string', format } })
    check(schema, { a: '' })
    for (const seed of SEEDS) {
      for (const tail of ['', '!', '\n']) {
        const text = seed.repeat(20_000 / seed.length) + tail
        expect([seed, quick(() => check(schema, { a: text }))]).toEqual([seed, true])
      }
    }
  })

  test('control: the format that was left out is quadratic', () => {
    const url = fullFormats.url as RegExp
    const time = (length: number): number => fastest(() => url.test(`http://${':'.repeat(length)}`))
    time(100)
    expect(time(8000) / time(1000)).toBeGreaterThan(16)
  })
})

test('the same schema is compiled once, whatever the order of its keys, and old ones are forgotten', () => {
  const small = new InputSchemaCompiler(2)
  const first = small.compile({ type: 'object', properties: { a: { type: 'string', maxLength: 1 } } })
  expect(small.compile({ properties: { a: { maxLength: 1, type: 'string' } }, type: 'object' })).toBe(first)
  small.compile({ type: 'object', title: '1' })
  small.compile({ type: 'object', title: '2' })
  expect(small.compile({ type: 'object', properties: { a: { type: 'string', maxLength: 1 } } })).not.toBe(first)
})

// Random schemas out of the supported keywords: compiled by us and by the compiler as it comes, both say the same.
test('agrees with the plain compiler on random schemas and arguments', () => {
  const scalar = fc.oneof(
    fc.integer({ min: -2, max: 2 }),
    fc.constantFrom('', 'a', 'ab', 'b'),
    fc.boolean(),
    fc.constant(null),
  )
  const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      scalar,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'toString'), tie('value'), { maxKeys: 3, noNullPrototype: true }),
    ),
  }))
  const { schema } = fc.letrec<{ schema: JsonValue }>((tie) => ({
    schema: fc.oneof(
      { maxDepth: 3 },
      fc.boolean(),
      fc.record({ type: fc.constantFrom('string', 'integer', 'null', 'boolean') }),
      fc.record({ type: fc.constant('string'), pattern: fc.constantFrom('^a', 'b$', '^$') }),
      fc.record({ enum: fc.array(value, { minLength: 1, maxLength: 3 }) }),
      fc.record({ const: value }),
      fc.record({ type: fc.constant('integer'), minimum: fc.integer({ min: -1, max: 1 }) }),
      fc.record({ type: fc.constant('array'), items: tie('schema'), uniqueItems: fc.boolean() }),
      fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
      fc.record({ not: tie('schema') }),
      fc.record({
        type: fc.constant('object'),
        properties: fc.dictionary(fc.constantFrom('a', 'b', 'toString'), tie('schema'), {
          maxKeys: 2,
          noNullPrototype: true,
        }),
        required: fc.uniqueArray(fc.constantFrom('a', 'b', 'toString'), { maxLength: 2 }),
        additionalProperties: tie('schema'),
      }),
    ),
  }))
  let judged = 0
  fc.assert(
    fc.property(schema, fc.array(value, { maxLength: 4 }), (inner, values) => {
      const root = object({ arg: inner as JsonValue })
      const compiled = compiler.compile(root)
      if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
      const plain = new Ajv({ strict: false, ownProperties: true, validateSchema: false }).compile(root)
      for (const arg of values) {
        judged++
        let wanted: boolean
        try {
          wanted = plain({ arg })
        } catch {
          // The comparison of the plain compiler calls a `toString` that the argument brought along.
          continue
        }
        expect(compiled.check({ arg }) === undefined).toBe(wanted)
      }
    }),
    { numRuns: fuzzRuns(150) },
  )
  expect(judged).toBeGreaterThan(100)
})
