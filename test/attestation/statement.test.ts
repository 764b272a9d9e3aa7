import { describe, expect, test } from 'vitest'

import { formatInstant, parseInstant } from '../../src/attestation/instant.ts'
import { readStatement, writeStatement } from '../../src/attestation/statement.ts'
import { NOW, releaseOf, skillFiles } from './fixtures.ts'

const utf8 = new TextEncoder()
const release = releaseOf(skillFiles(), { expires: NOW + 86_400_000 })
const payload = writeStatement(release)

// biome-ignore lint/suspicious/noExplicitAny: the tests below break it in every place
const value = (): any => JSON.parse(new TextDecoder().decode(payload))

test('what is written is read, and writing is repeatable', () => {
  expect(readStatement(payload)).toEqual({ ok: true, release })
  expect(writeStatement(releaseOf(skillFiles(), { expires: NOW + 86_400_000 }))).toEqual(payload)
})

test('the statement is in-toto v1', () => {
  expect(value()).toMatchObject({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'acme/web_search@1.2.0', digest: { gitTree: release.gitTree } }],
    predicateType: 'https://agentport.dev/skill-release/v1',
    predicate: { sequence: 3, not_before: '2026-02-28T12:00:00Z', expires: '2026-03-02T12:00:00Z' },
  })
})

describe('refused', () => {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const edits: [string, (statement: any) => void][] = [
    [
      'another statement type',
      (statement) => {
        statement._type = 'https://in-toto.io/Statement/v0.1'
      },
    ],
    [
      'another predicate type',
      (statement) => {
        statement.predicateType = 'https://slsa.dev/provenance/v1'
      },
    ],
    [
      'no subject',
      (statement) => {
        statement.subject = []
      },
    ],
    ['two subjects', (statement) => statement.subject.push(statement.subject[0])],
    [
      'a subject of another name',
      (statement) => {
        statement.subject[0].name = 'acme/calendar@1.2.0'
      },
    ],
    [
      'a subject of another version',
      (statement) => {
        statement.subject[0].name = 'acme/web_search@1.2.1'
      },
    ],
    [
      'a subject without digest',
      (statement) => {
        statement.subject[0].digest = {}
      },
    ],
    [
      'a SHA-1 digest',
      (statement) => {
        statement.subject[0].digest = { gitTree: 'a'.repeat(40) }
      },
    ],
    [
      'a digest in upper case',
      (statement) => {
        statement.subject[0].digest.gitTree = 'A'.repeat(64)
      },
    ],
    [
      'a weaker digest beside it',
      (statement) => {
        statement.subject[0].digest.sha1 = 'a'.repeat(40)
      },
    ],
    [
      'an unknown field',
      (statement) => {
        statement.predicate.only_on = 'tuesdays'
      },
    ],
    [
      'an unknown field at the top',
      (statement) => {
        statement.extra = 1
      },
    ],
    [
      'no files',
      (statement) => {
        statement.predicate.files = []
      },
    ],
    [
      'a file twice',
      (statement) => statement.predicate.files.push({ ...statement.predicate.files[1], sha256: 'b'.repeat(64) }),
    ],
    [
      'another mode',
      (statement) => {
        statement.predicate.files[0].mode = '120000'
      },
    ],
    [
      'a fractional size',
      (statement) => {
        statement.predicate.files[0].size = 1.5
      },
    ],
    [
      'a negative size',
      (statement) => {
        statement.predicate.files[0].size = -1
      },
    ],
    ['no sequence', (statement) => delete statement.predicate.sequence],
    [
      'a sequence as text',
      (statement) => {
        statement.predicate.sequence = '9'
      },
    ],
    [
      'a negative sequence',
      (statement) => {
        statement.predicate.sequence = -1
      },
    ],
    [
      'a fractional sequence',
      (statement) => {
        statement.predicate.sequence = 3.5
      },
    ],
    ['no not_before', (statement) => delete statement.predicate.not_before],
    [
      'not_before with an offset',
      (statement) => {
        statement.predicate.not_before = '2026-02-28T12:00:00+01:00'
      },
    ],
    [
      'a day that does not exist',
      (statement) => {
        statement.predicate.expires = '2027-02-30T00:00:00Z'
      },
    ],
    [
      'expires null',
      (statement) => {
        statement.predicate.expires = null
      },
    ],
    [
      'a manifest that is not listed',
      (statement) => {
        statement.predicate.manifest.path = 'claw.toml'
      },
    ],
    [
      'a manifest digest that is not the listed one',
      (statement) => {
        statement.predicate.manifest.sha256 = 'c'.repeat(64)
      },
    ],
    [
      'a manifest below the root',
      (statement) => {
        statement.predicate.manifest.path = 'lib/manifest.json'
      },
    ],
    [
      'a skill with a slash',
      (statement) => {
        statement.predicate.skill = 'a/b'
        statement.subject[0].name = 'acme/a/b@1.2.0'
      },
    ],
    [
      'a version with an at sign',
      (statement) => {
        statement.predicate.version = '1@2'
        statement.subject[0].name = 'acme/web_search@1@2'
      },
    ],
    [
      'an empty publisher',
      (statement) => {
        statement.predicate.publisher = ''
      },
    ],
  ]
  test.each(edits)('%s', (_name, edit) => {
    const statement = value()
    edit(statement)
    expect(readStatement(utf8.encode(JSON.stringify(statement)))).toMatchObject({ ok: false })
  })

  test.each([
    ['no bytes', new Uint8Array()],
    ['not UTF-8', Uint8Array.of(0x22, 0xff, 0x22)],
    ['a byte order mark', utf8.encode(`\ufeff${JSON.stringify(value())}`)],
    ['a duplicate key', utf8.encode(JSON.stringify(value()).replace('"sequence":3', '"sequence":3,"sequence":9'))],
    ['__proto__', utf8.encode(JSON.stringify(value()).replace('{', '{"__proto__":{},'))],
    [
      'a number that does not survive',
      utf8.encode(JSON.stringify(value()).replace('"sequence":3', '"sequence":9007199254740993')),
    ],
    ['1e999', utf8.encode(JSON.stringify(value()).replace('"sequence":3', '"sequence":1e999'))],
    ['an array', utf8.encode('[]')],
  ])('%s', (_name, bytes) => {
    expect(readStatement(bytes)).toMatchObject({ ok: false })
  })
})

describe('moments', () => {
  test.each([
    ['2027-01-31T00:00:00Z', Date.UTC(2027, 0, 31)],
    ['2028-02-29T23:59:59.125Z', Date.UTC(2028, 1, 29, 23, 59, 59, 125)],
    ['1970-01-01T00:00:00Z', 0],
  ])('%s', (text, time) => {
    expect(parseInstant(text)).toBe(time)
    expect(formatInstant(time)).toBe(text)
  })

  test.each([
    '2027-02-29T00:00:00Z',
    '2027-13-01T00:00:00Z',
    '2027-01-01T24:00:00Z',
    '2027-01-01T23:59:60Z',
    '2027-01-01T00:00:00',
    '2027-01-01T00:00:00z',
    '2027-01-01 00:00:00Z',
    '2027-01-01T00:00Z',
    '2027-01-01T00:00:00.1Z',
    '2027-01-01T00:00:00+00:00',
    '2027-01-01',
    '+02027-01-01T00:00:00Z',
    '1798761600',
    ' 2027-01-01T00:00:00Z',
    '2027-01-01T00:00:00Z\n',
    '',
  ])('%j is none', (text) => {
    expect(parseInstant(text)).toBeUndefined()
  })
})
