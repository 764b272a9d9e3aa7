import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'

import { envelopeJsonSchema, statementJsonSchema, trustJsonSchema } from '../../src/attestation/schema.ts'
import { writeStatement } from '../../src/attestation/statement.ts'
import { loadTrust, trustFromValue } from '../../src/attestation/trust.ts'
import { encodeBase64 } from '../../src/core/base64.ts'
import { ACME, ACME_SECOND, attest, OTHER, releaseOf, skillFiles } from './fixtures.ts'

const DIGEST = `sha256:${'ab'.repeat(32)}`
const SMALL_ORDER = encodeBase64(Uint8Array.of(1, ...new Array(31).fill(0)))

const FULL = `version: 1
publishers:
  - name: acme
    keys:
      - ${ACME.text}
      - ${ACME_SECOND.text}
    threshold: 2
    skills: [web_search, 'acme_*']
    min_sequence: { web_search: 4 }
    expires: 2027-01-31T00:00:00Z
pinned:
  - { skill: calendar, digest: '${DIGEST}' }
revoked:
  keys: [${OTHER.text}]
  digests: ['${DIGEST}']
`

describe('a trust document', () => {
  test('in YAML', () => {
    const loaded = loadTrust({ file: 'trust.yaml', text: FULL })
    expect(loaded).toMatchObject({ ok: true, warnings: [] })
    if (!loaded.ok) return
    const { trust } = loaded
    const acme = trust.publishers.get('acme')
    expect([...(acme?.keys.keys() ?? [])]).toEqual([ACME.id, ACME_SECOND.id])
    expect(acme?.threshold).toBe(2)
    expect(acme?.minSequence).toEqual(new Map([['web_search', 4]]))
    expect(acme?.expires).toBe(Date.UTC(2027, 0, 31))
    expect(
      ['web_search', 'acme_x', 'calendar', 'xacme_'].map((name) => acme?.skills.some((glob) => glob.matches(name))),
    ).toEqual([true, true, false, false])
    expect(trust.pinned.get('calendar')).toEqual(new Set([DIGEST]))
    expect(trust.revokedKeys).toEqual(new Set([OTHER.id]))
    expect(trust.revokedDigests).toEqual(new Set([DIGEST]))
    expect(trust.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  test('in JSON, and as a value', () => {
    const value = { version: 1, publishers: [{ name: 'acme', keys: [ACME.text], skills: ['*'] }] }
    expect(loadTrust({ file: 'trust.json', text: JSON.stringify(value) }).ok).toBe(true)
    expect(trustFromValue(value)).toMatchObject({ ok: true, trust: { file: 'trust' } })
  })

  test.each([{ version: 1 }, { version: 1, publishers: [], pinned: [], revoked: {} }])('%j trusts nobody', (value) => {
    expect(trustFromValue(value)).toMatchObject({ ok: true, trust: { publishers: new Map(), pinned: new Map() } })
  })

  test('a publisher without skills is a warning: it may release none', () => {
    const loaded = trustFromValue({ version: 1, publishers: [{ name: 'acme', keys: [ACME.text] }] })
    expect(loaded).toMatchObject({ ok: true, warnings: [{ severity: 'warning', code: 'unused_definition' }] })
  })

  test('one skill can have several pins', () => {
    const other = `sha256:${'cd'.repeat(32)}`
    const loaded = trustFromValue({
      version: 1,
      pinned: [
        { skill: 'a', digest: DIGEST },
        { skill: 'a', digest: other },
      ],
    })
    expect(loaded).toMatchObject({ ok: true, trust: { pinned: new Map([['a', new Set([DIGEST, other])]]) } })
  })

  test('a revoked key may be one that could not be trusted', () => {
    expect(trustFromValue({ version: 1, revoked: { keys: [SMALL_ORDER] } }).ok).toBe(true)
  })

  test('names of object members are names like others', () => {
    const loaded = trustFromValue({
      version: 1,
      publishers: [
        { name: 'constructor', keys: [ACME.text], skills: ['toString'], min_sequence: { valueOf: 1, constructor: 2 } },
      ],
    })
    expect(loaded.ok && loaded.trust.publishers.get('constructor')?.minSequence.get('constructor')).toBe(2)
    expect(loaded.ok && loaded.trust.publishers.get('toString')).toBeUndefined()
  })
})

describe('refused at load, with the place', () => {
  const replaced = (from: string, to: string): string => FULL.replace(from, to)
  test.each([
    ['a small-order key', replaced(ACME_SECOND.text, SMALL_ORDER), 'invalid_value', '/publishers/0/keys/1', 6],
    ['a short key', replaced(ACME_SECOND.text, 'AAAA'), 'invalid_value', '/publishers/0/keys/1', 6],
    ['a key that is no base64', replaced(ACME_SECOND.text, 'not_base64!'), 'invalid_value', '/publishers/0/keys/1', 6],
    ['a key twice', replaced(ACME_SECOND.text, ACME.text), 'duplicate_name', '/publishers/0/keys/1', 6],
    [
      'a threshold out of reach',
      replaced('threshold: 2', 'threshold: 3'),
      'contradiction',
      '/publishers/0/threshold',
      7,
    ],
    ['a threshold of none', replaced('threshold: 2', 'threshold: 0'), undefined, '/publishers/0/threshold', 7],
    [
      'a moment that does not exist',
      replaced('2027-01-31T', '2027-02-31T'),
      'invalid_value',
      '/publishers/0/expires',
      10,
    ],
    ['a moment with an offset', replaced('00:00:00Z', '00:00:00+02:00'), undefined, '/publishers/0/expires', 10],
    ['a broken glob', replaced("'acme_*'", "'acme_[*'"), 'invalid_pattern', '/publishers/0/skills/1', 8],
    ['a misspelt key', replaced('threshold: 2', 'treshold: 2'), 'unknown_key', undefined, 7],
    ['no version', replaced('version: 1\n', ''), undefined, undefined, 1],
    ['another version', replaced('version: 1', 'version: 2'), undefined, '/version', 1],
    ['a digest without its algorithm', replaced(`digest: 'sha256:`, `digest: '`), undefined, '/pinned/0/digest', 12],
    [
      'a digest in upper case',
      replaced(DIGEST, DIGEST.toUpperCase().replace('SHA', 'sha')),
      undefined,
      '/pinned/0/digest',
      12,
    ],
    [
      'a revoked key of 31 bytes',
      replaced(OTHER.text, encodeBase64(new Uint8Array(31))),
      'invalid_value',
      '/revoked/keys/0',
      14,
    ],
    ['a sequence that is text', replaced('web_search: 4', "web_search: '4'"), undefined, undefined, 9],
    ['__proto__', `${FULL}__proto__: {}\n`, undefined, undefined, 16],
    ['a duplicate key', `${FULL}version: 1\n`, 'duplicate_key', undefined, 16],
  ] as const)('%s', (_name, text, code, pointer, line) => {
    const loaded = loadTrust({ file: 'trust.yaml', text })
    expect(loaded.ok).toBe(false)
    if (loaded.ok) return
    const problem = loaded.problems.find((one) => one.severity === 'error')
    expect(problem).toMatchObject({
      file: 'trust.yaml',
      line,
      ...(code === undefined ? {} : { code }),
      ...(pointer === undefined ? {} : { pointer }),
    })
  })

  test('one key under two publishers: either could speak for the other', () => {
    const loaded = trustFromValue({
      version: 1,
      publishers: [
        { name: 'acme', keys: [ACME.text], skills: ['a'] },
        { name: 'other', keys: [ACME.text], skills: ['b'] },
      ],
    })
    expect(loaded).toMatchObject({ ok: false, problems: [{ code: 'duplicate_name', pointer: '/publishers/1/keys/0' }] })
  })

  test('one publisher twice', () => {
    const publisher = { name: 'acme', keys: [ACME.text], skills: ['a'] }
    expect(trustFromValue({ version: 1, publishers: [publisher, { ...publisher, keys: [OTHER.text] }] })).toMatchObject(
      {
        ok: false,
        problems: [{ code: 'duplicate_name', pointer: '/publishers/1/name' }],
      },
    )
  })

  test('all problems at once', () => {
    const loaded = trustFromValue({
      version: 1,
      publishers: [
        { name: 'acme', keys: [SMALL_ORDER, 'x'], threshold: 5, skills: ['['], expires: '2027-02-31T00:00:00Z' },
      ],
    })
    expect(!loaded.ok && loaded.problems.filter((one) => one.severity === 'error').length).toBe(5)
  })

  test.each([
    ['undefined', () => undefined],
    ['null', () => null],
    ['text', () => 'version: 1'],
    ['an array', () => []],
    ['a number', () => 7],
    ['a Map', () => new Map()],
    [
      'a getter that throws',
      () => ({
        version: 1,
        get publishers() {
          throw new Error('trap')
        },
      }),
    ],
  ])('%s as a value', (_name, make) => {
    expect(trustFromValue(make()).ok).toBe(false)
  })
})

describe('published schemas', () => {
  const ajv = new Ajv2020({ strict: false })
  test('the trust schema takes a full document and refuses a misspelt key', () => {
    const check = ajv.compile(trustJsonSchema())
    const document = {
      version: 1,
      publishers: [{ name: 'acme', keys: [ACME.text], skills: ['*'], min_sequence: { a: 1 } }],
      pinned: [{ skill: 'x', digest: DIGEST }],
      revoked: { keys: [], digests: [DIGEST] },
    }
    expect(check(document)).toBe(true)
    expect(check({ ...document, publisher: [] })).toBe(false)
    expect(check({ ...document, pinned: [{ skill: 'x', digest: 'md5:00' }] })).toBe(false)
  })

  test('the statement and envelope schemas take what is written', () => {
    const statement = JSON.parse(new TextDecoder().decode(writeStatement(releaseOf(skillFiles()))))
    expect(ajv.compile(statementJsonSchema())(statement)).toBe(true)
    expect(ajv.compile(envelopeJsonSchema())(JSON.parse(attest(skillFiles())))).toBe(true)
  })
})
