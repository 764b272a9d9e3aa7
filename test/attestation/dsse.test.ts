import { createPublicKey, verify } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { PAYLOAD_TYPE, preAuthEncoding, readEnvelope, signers, writeEnvelope } from '../../src/attestation/dsse.ts'
import { portableEd25519 } from '../../src/core/crypto.ts'
import { signWithSeed } from '../../src/core/ed25519.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { ACME, ACME_SECOND, envelopeOf, OTHER } from './fixtures.ts'

const utf8 = new TextEncoder()
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const PAYLOAD = utf8.encode('{"any":"bytes"}')

describe('pre-authentication encoding', () => {
  test('the example of the specification', () => {
    const encoded = preAuthEncoding('http://example.com/HelloWorld', utf8.encode('hello world'))
    expect(text(encoded)).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world')
    const key = createPublicKey({
      format: 'jwk',
      key: {
        kty: 'EC',
        crv: 'P-256',
        x: 'Z805D3eqNZywjCI19lInBJOp7YMrCrzAH3CVTAOQ0jg',
        y: 'DHgr1U4mkSWkT0Qzr_FDLOlOErynOqZ6yAzqEmCN33Q',
      },
    })
    const signature = Buffer.from(
      'A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==',
      'base64',
    )
    expect(verify('sha256', encoded, { key, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true)
  })

  test('lengths are bytes', () => {
    expect(text(preAuthEncoding('é', utf8.encode('ü')))).toBe('DSSEv1 2 é 2 ü')
  })

  test('type and payload cannot run into each other', () => {
    const first = preAuthEncoding('a', utf8.encode('b 1 c'))
    const second = preAuthEncoding('a 5 b', utf8.encode('c'))
    expect(first).not.toEqual(second)
    // Positive control: without lengths the two are one message.
    expect(`DSSEv1 a ${'b c'}`).toBe(`DSSEv1 ${'a b'} c`)
  })
})

describe('reading', () => {
  const good = (): { payloadType: string; payload: string; signatures: { keyid?: string; sig: string }[] } =>
    JSON.parse(writeEnvelope(envelopeOf(PAYLOAD)))

  test('what was written is read', () => {
    const envelope = envelopeOf(PAYLOAD, [ACME, ACME_SECOND])
    expect(readEnvelope(writeEnvelope(envelope))).toEqual({ ok: true, envelope })
  })

  test('an absent keyid is an empty one; unknown fields outside the signature are ignored', () => {
    const value = good()
    delete value.signatures[0]?.keyid
    const read = readEnvelope(
      JSON.stringify({ ...value, note: 'x', signatures: value.signatures.map((one) => ({ ...one, cert: 'y' })) }),
    )
    expect(read).toMatchObject({ ok: true, envelope: { signatures: [{ keyId: '' }] } })
  })

  const bad: [string, () => string][] = [
    ['no text', () => ''],
    ['not JSON', () => 'signature: yes'],
    ['null', () => 'null'],
    ['an array', () => `[${JSON.stringify(good())}]`],
    ['no signatures', () => JSON.stringify({ ...good(), signatures: [] })],
    ['no payload', () => JSON.stringify({ payloadType: PAYLOAD_TYPE, signatures: good().signatures })],
    [
      'more signatures than are counted',
      () => JSON.stringify({ ...good(), signatures: Array(LIMITS.signatures + 1).fill(good().signatures[0]) }),
    ],
    ['another payload type', () => JSON.stringify({ ...good(), payloadType: 'application/json' })],
    ['the type in another case', () => JSON.stringify({ ...good(), payloadType: 'application/vnd.in-toto+JSON' })],
    ['a payload that is no text', () => JSON.stringify({ ...good(), payload: [1, 2] })],
    ['junk in the payload', () => JSON.stringify({ ...good(), payload: `${good().payload}!!` })],
    ['a line end in the payload', () => JSON.stringify({ ...good(), payload: `${good().payload}\n` })],
    ['url-safe base64', () => JSON.stringify({ ...good(), payload: '__-_' })],
    ['unpadded base64', () => JSON.stringify({ ...good(), payload: 'YQ' })],
    ['leftover bits', () => JSON.stringify({ ...good(), payload: 'YR==' })],
    ['junk in a signature', () => JSON.stringify({ ...good(), signatures: [{ sig: ' AAAA' }] })],
    ['a duplicate key', () => JSON.stringify(good()).replace('{', '{"payload":"YQ==",')],
    ['a duplicate key written with an escape', () => JSON.stringify(good()).replace('{', '{"p\\u0061yload":"YQ==",')],
    ['__proto__', () => JSON.stringify(good()).replace('{', '{"__proto__":{"payload":"YQ=="},')],
    ['a byte order mark', () => `\ufeff${JSON.stringify(good())}`],
    ['a second value', () => `${JSON.stringify(good())}{}`],
    ['deep nesting', () => JSON.stringify(good()).replace('{', `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)},`)],
    ['10 MB of payload', () => JSON.stringify({ ...good(), payload: 'A'.repeat(10 * 1024 * 1024) })],
    ['10 MB of brackets', () => '['.repeat(10 * 1024 * 1024)],
    ['10 MB of nothing', () => ' '.repeat(10 * 1024 * 1024)],
  ]
  test.each(bad)('%s is refused, quickly', (_name, make) => {
    const value = make()
    const started = performance.now()
    const read = readEnvelope(value)
    expect(read.ok).toBe(false)
    expect(performance.now() - started).toBeLessThan(5000)
    if (!read.ok) expect(read.reason.length).toBeLessThan(400)
  })

  test('positive control: JSON.parse takes the last of two payloads, another parser the first', () => {
    const value = JSON.stringify(good()).replace('{', '{"payload":"YQ==",')
    expect(JSON.parse(value).payload).toBe(good().payload)
    expect(/"payload":"([^"]*)"/.exec(value)?.[1]).toBe('YQ==')
  })
})

describe('who signed', () => {
  const keys = (...list: (typeof ACME)[]): Map<string, Uint8Array> => new Map(list.map((key) => [key.id, key.bytes]))

  test.each([
    ['one', [ACME], [ACME, OTHER], [ACME.id]],
    ['two', [ACME, ACME_SECOND], [ACME, ACME_SECOND], [ACME.id, ACME_SECOND.id]],
    ['one key twice counts once', [ACME, ACME, ACME], [ACME, ACME_SECOND], [ACME.id]],
    ['a stranger', [OTHER], [ACME], []],
    ['nobody known', [ACME], [], []],
  ])('%s', (_name, signing, known, expected) => {
    for (const provider of [undefined, portableEd25519]) {
      expect([...signers(envelopeOf(PAYLOAD, signing), keys(...known), provider)].sort()).toEqual([...expected].sort())
    }
  })

  test('the same key under two keyids counts once', () => {
    const envelope = envelopeOf(PAYLOAD, [ACME, ACME])
    const renamed = {
      ...envelope,
      signatures: envelope.signatures.map((one, index) => ({ ...one, keyId: `k${index}` })),
    }
    expect([...signers(renamed, keys(ACME, ACME_SECOND))]).toEqual([ACME.id])
    // Positive control: counting signatures, or keyids, would find two.
    expect(new Set(renamed.signatures.map((one) => one.keyId)).size).toBe(2)
  })

  test('a keyid that points at the wrong key neither counts nor hides the right one', () => {
    const envelope = envelopeOf(PAYLOAD, [ACME])
    const lying = { ...envelope, signatures: envelope.signatures.map((one) => ({ ...one, keyId: OTHER.id })) }
    expect([...signers(lying, keys(ACME, OTHER))]).toEqual([ACME.id])
    expect([...signers(lying, keys(OTHER))]).toEqual([])
  })

  test('a signature over another payload type, or over the bare payload, does not count', () => {
    expect(signers(envelopeOf(PAYLOAD, [ACME], 'application/json'), keys(ACME)).size).toBe(0)
    const bare = { payload: PAYLOAD, signatures: [{ keyId: ACME.id, signature: signWithSeed(ACME.seed, PAYLOAD) }] }
    expect(signers(bare, keys(ACME)).size).toBe(0)
  })

  test('one byte of the payload', () => {
    const envelope = envelopeOf(PAYLOAD)
    const changed = envelope.payload.slice()
    changed[3] = (changed[3] as number) ^ 1
    expect(signers({ ...envelope, payload: changed }, keys(ACME)).size).toBe(0)
  })

  test('signatures of odd length do not throw', () => {
    const signatures = [0, 1, 63, 65, 1000].map((length) => ({ keyId: ACME.id, signature: new Uint8Array(length) }))
    expect(signers({ payload: PAYLOAD, signatures }, keys(ACME)).size).toBe(0)
  })
})
