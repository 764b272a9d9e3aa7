import { createHash, createPublicKey, verify as nodeVerify } from 'node:crypto'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { type Ed25519Provider, portableEd25519, runtimeEd25519 } from '../../src/core/crypto.ts'
import {
  defaultEd25519,
  importPublicKey,
  keyId,
  publicKeyOfSeed,
  signWithSeed,
  verifyStrict,
} from '../../src/core/ed25519.ts'
import { AgentPortError } from '../../src/core/errors.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))
const utf8 = new TextEncoder()
const runtime = runtimeEd25519 as Ed25519Provider
const providers: [string, Ed25519Provider][] = [
  ['runtime', runtime],
  ['portable', portableEd25519],
]

const L = 2n ** 252n + 27742317777372353535851937790883648493n
const P = 2n ** 255n - 19n

function fromLE(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
}

function toLE(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn))
}

function concat(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

test('the runtime provider exists here and is the default', () => {
  expect(runtimeEd25519).toBeDefined()
  expect(defaultEd25519).toBe(runtimeEd25519)
})

describe('known answers', () => {
  // RFC 8032 §7.1 TEST 1, 2, 3 and SHA(abc); RFC 8037 §A.4.
  const vectors = [
    {
      name: 'TEST 1',
      seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      key: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      message: hex(''),
      signature:
        'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    },
    {
      name: 'TEST 2',
      seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      key: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      message: hex('72'),
      signature:
        '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    },
    {
      name: 'TEST 3',
      seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      key: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      message: hex('af82'),
      signature:
        '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    },
    {
      name: 'TEST SHA(abc)',
      seed: '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
      key: 'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
      message: new Uint8Array(createHash('sha512').update('abc').digest()),
      signature:
        'dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704',
    },
  ]

  describe.each(providers)('%s provider', (_name, provider) => {
    test.each(vectors)('$name', ({ seed, key, message, signature }) => {
      expect(publicKeyOfSeed(hex(seed), provider)).toEqual(hex(key))
      expect(signWithSeed(hex(seed), message, provider)).toEqual(hex(signature))
      expect(verifyStrict(hex(key), message, hex(signature), provider)).toBe(true)
    })

    test('RFC 8037 A.4: the JWS signing input', () => {
      const seed = new Uint8Array(Buffer.from('nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A', 'base64url'))
      const key = new Uint8Array(Buffer.from('11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', 'base64url'))
      const payload = Buffer.from('Example of Ed25519 signing').toString('base64url')
      const input = utf8.encode(`${Buffer.from('{"alg":"EdDSA"}').toString('base64url')}.${payload}`)
      const signature = new Uint8Array(
        Buffer.from(
          'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg',
          'base64url',
        ),
      )
      expect(signWithSeed(seed, input, provider)).toEqual(signature)
      expect(verifyStrict(key, input, signature, provider)).toBe(true)
    })
  })

  test('a key id is the SHA-256 of the 32 bytes', () => {
    const key = hex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a')
    expect(keyId(key)).toBe(createHash('sha256').update(key).digest('hex'))
  })
})

// y coordinates of small order: 0, 1, two of order 8, -1; each with both signs of x.
const LOW = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].flatMap((text) => {
  const plain = hex(text)
  const negative = hex(text)
  negative[31] = (negative[31] as number) | 0x80
  return [plain, negative]
})
// y in [p, 2^255): the same points written a second way.
const NON_CANONICAL = Array.from({ length: 19 }, (_, index) => toLE(P + BigInt(index)))
const ONE = LOW[2] as Uint8Array
const ZERO = new Uint8Array(32)

interface Case {
  readonly name: string
  readonly key: Uint8Array
  readonly message: Uint8Array
  readonly signature: Uint8Array
}

function edgeCases(): Case[] {
  const seed = hex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb')
  const key = publicKeyOfSeed(seed)
  const message = utf8.encode('edge')
  const good = signWithSeed(seed, message)
  const R = good.slice(0, 32)
  const s = fromLE(good.slice(32))
  const cases: Case[] = []
  const add = (name: string, signature: Uint8Array, used: Uint8Array = key): void => {
    cases.push({ name, key: used, message, signature })
  }
  for (const factor of [1n, 2n, 4n, 8n]) add(`S + ${factor}L`, concat(R, toLE(s + factor * L)))
  add('S = L', concat(R, toLE(L)))
  add('S = L with R = 1', concat(ONE, toLE(L)))
  add('S = L + 1', concat(R, toLE(L + 1n)))
  add('S = 2^256 - 1', concat(R, new Uint8Array(32).fill(0xff)))
  for (const [index, low] of LOW.entries()) {
    add(`small-order A ${index}, universal forgery`, concat(ONE, ZERO), low)
    add(`small-order A ${index}, honest signature`, good, low)
    add(`small-order R ${index}`, concat(low, good.slice(32)))
    add(`small-order A and R ${index}`, concat(low, ZERO), low)
  }
  for (const [index, encoded] of NON_CANONICAL.entries()) {
    add(`non-canonical A ${index}`, concat(ONE, ZERO), encoded)
    add(`non-canonical R ${index}`, concat(encoded, good.slice(32)))
  }
  for (const length of [0, 1, 31, 32, 63, 65, 128])
    add(`signature of ${length} bytes`, concat(good, good).slice(0, length))
  for (const length of [0, 1, 31, 33, 64]) add(`key of ${length} bytes`, good, concat(key, key).slice(0, length))
  add('all zero', new Uint8Array(64))
  add('all zero with zero key', new Uint8Array(64), ZERO)
  add('key off the curve', good, hex(`02${'00'.repeat(31)}`))
  add(
    'negated key',
    good,
    Uint8Array.from(key, (byte, index) => (index === 31 ? byte ^ 0x80 : byte)),
  )
  return cases
}

describe('edge cases', () => {
  test.each(edgeCases())('$name: refused with either provider', ({ key, message, signature }) => {
    for (const [, provider] of providers) expect(verifyStrict(key, message, signature, provider)).toBe(false)
  })

  test('one flipped bit anywhere is refused, by both alike', () => {
    const seed = hex('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7')
    const key = publicKeyOfSeed(seed)
    const message = utf8.encode('flip one bit')
    const signature = signWithSeed(seed, message)
    const flip = (bytes: Uint8Array, bit: number): Uint8Array =>
      Uint8Array.from(bytes, (byte, index) => (index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
    for (let bit = 0; bit < 512; bit++) expect(verifyStrict(key, message, flip(signature, bit), runtime)).toBe(false)
    for (let bit = 0; bit < 256; bit++) expect(verifyStrict(flip(key, bit), message, signature, runtime)).toBe(false)
    for (let bit = 0; bit < message.length * 8; bit++)
      expect(verifyStrict(key, flip(message, bit), signature, runtime)).toBe(false)
    for (let bit = 0; bit < 512; bit += 37) {
      expect(verifyStrict(key, message, flip(signature, bit), portableEd25519)).toBe(false)
    }
  })

  test('both providers agree on random and half-random input', () => {
    const low = fc.constantFrom(...LOW, ...NON_CANONICAL)
    const any = fc.uint8Array({ minLength: 32, maxLength: 32 })
    const point = fc.oneof(low, any)
    const scalar = fc.oneof(any, fc.constant(ZERO), fc.constant(toLE(L)), fc.constant(toLE(L - 1n)))
    fc.assert(
      fc.property(
        fc.record({
          seed: any,
          message: fc.uint8Array({ maxLength: 40 }),
          r: point,
          s: scalar,
          a: point,
          mix: fc.nat(7),
        }),
        (given) => {
          const key = given.mix & 1 ? publicKeyOfSeed(given.seed) : given.a
          const good = signWithSeed(given.seed, given.message)
          const signature = concat(
            given.mix & 2 ? good.slice(0, 32) : given.r,
            given.mix & 4 ? good.slice(32) : given.s,
          )
          const [first, second] = providers.map(([, provider]) => verifyStrict(key, given.message, signature, provider))
          expect(first).toBe(second)
          expect(first).toBe(given.mix === 7)
        },
      ),
      { numRuns: fuzzRuns(60) },
    )
  })

  test('nothing makes it throw', () => {
    const key = publicKeyOfSeed(new Uint8Array(32).fill(7))
    const message = utf8.encode('x')
    const hostile = new Proxy(new Uint8Array(64), {
      get() {
        throw new Error('trap')
      },
    })
    const throwing: Ed25519Provider = {
      name: 'throwing',
      verify() {
        throw new Error('no')
      },
      sign: portableEd25519.sign,
      publicKey: portableEd25519.publicKey,
    }
    const signature = signWithSeed(new Uint8Array(32).fill(7), message)
    for (const odd of [undefined, null, 'x', {}, [], 7, hostile, new Uint16Array(32)] as unknown as Uint8Array[]) {
      expect(verifyStrict(odd, message, signature)).toBe(false)
      expect(verifyStrict(key, message, odd)).toBe(false)
      if (!(odd instanceof Uint8Array)) expect(verifyStrict(key, odd, signature)).toBe(false)
    }
    expect(verifyStrict(key, message, signature, throwing)).toBe(false)
    expect(verifyStrict(key, message, signature)).toBe(true)
  })

  test('only true counts as yes from a provider', () => {
    const key = publicKeyOfSeed(new Uint8Array(32).fill(7))
    const message = utf8.encode('x')
    const signature = signWithSeed(new Uint8Array(32).fill(7), message)
    const promising = { ...portableEd25519, verify: () => Promise.resolve(false) as unknown as boolean }
    expect(verifyStrict(key, message, signature, promising)).toBe(false)
  })
})

describe('positive controls: what the bare providers let through', () => {
  test('one signature fits every message under a small-order key', () => {
    const forgery = concat(ONE, ZERO)
    for (const text of ['pay 1', 'pay 1000000', '']) {
      const message = utf8.encode(text)
      expect(portableEd25519.verify(ONE, message, forgery)).toBe(true)
      // Node from 24 on refuses; 20 and 22 accept. This is the difference the pre-check takes away.
      if (Number(process.versions.node.split('.')[0]) < 24) expect(runtime.verify(ONE, message, forgery)).toBe(true)
      expect(verifyStrict(ONE, message, forgery)).toBe(false)
    }
  })

  test('tweetnacl takes S + L: a second signature for a signed message', () => {
    const seed = new Uint8Array(32).fill(9)
    const key = publicKeyOfSeed(seed)
    const message = utf8.encode('malleable')
    const good = signWithSeed(seed, message)
    const other = concat(good.slice(0, 32), toLE(fromLE(good.slice(32)) + L))
    expect(portableEd25519.verify(key, message, other)).toBe(true)
    expect(verifyStrict(key, message, other, portableEd25519)).toBe(false)
  })

  test('node verifies with any key type it is handed', () => {
    // A key of another algorithm arrives as SPKI; ours rebuilds the SPKI around 32 raw bytes and cannot.
    const spki = hex(`302a300506032b6570032100 ${'02'.padEnd(64, '0')}`)
    const offCurve = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
    expect(nodeVerify(null, Buffer.from('x'), offCurve, Buffer.alloc(64))).toBe(false)
    expect(() => importPublicKey(spki)).toThrow('44 bytes')
  })
})

describe('importing public keys', () => {
  const good = publicKeyOfSeed(new Uint8Array(32).fill(3))

  test('32 bytes or their base64', () => {
    expect(importPublicKey(good)).toEqual(good)
    expect(importPublicKey(Buffer.from(good).toString('base64'))).toEqual(good)
  })

  test('the copy is not the caller’s array', () => {
    const given = new Uint8Array(good)
    const imported = importPublicKey(given)
    given.fill(0)
    expect(imported).toEqual(good)
  })

  const refused: [string, string | Uint8Array][] = [
    ...LOW.map((key, index): [string, Uint8Array] => [`small order ${index}`, key]),
    ...NON_CANONICAL.map((key, index): [string, Uint8Array] => [`not canonical ${index}`, key]),
    ['off the curve', hex(`02${'00'.repeat(31)}`)],
    ['empty', new Uint8Array()],
    ['31 bytes', good.slice(1)],
    ['33 bytes', concat(good, ZERO).slice(0, 33)],
    ['64-byte secret', concat(new Uint8Array(32).fill(3), good)],
    ['base64 of 31 bytes', Buffer.from(good.slice(1)).toString('base64')],
    ['url-safe base64', Buffer.from(good).toString('base64url')],
    ['base64 with a line end', `${Buffer.from(good).toString('base64')}\n`],
    ['hex', Buffer.from(good).toString('hex')],
    ['PEM', '-----BEGIN PUBLIC KEY-----'],
    ['nothing', undefined as unknown as string],
  ]
  test.each(refused)('%s is refused', (_name, key) => {
    let thrown: unknown
    try {
      importPublicKey(key)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(AgentPortError)
    expect((thrown as AgentPortError).code).toBe('ERR_KEY_INVALID')
  })

  test('the curve test agrees with the arithmetic of tweetnacl', () => {
    // tweetnacl decompresses A before anything else, and computes R' = S·B - h·A; with an off-curve A it always fails.
    // A valid signature exists for every real key; so every real key must import.
    for (let index = 0; index < 16; index++) {
      const key = publicKeyOfSeed(new Uint8Array(32).fill(index))
      expect(importPublicKey(key)).toEqual(key)
    }
    // About half of all encodings are no points.
    let off = 0
    for (let y = 2n; y < 66n; y++) {
      try {
        importPublicKey(toLE(y))
      } catch {
        off += 1
      }
    }
    expect(off).toBeGreaterThan(16)
    expect(off).toBeLessThan(48)
  })
})

describe('seeds', () => {
  test.each([0, 31, 33, 64])('a private key of %i bytes is refused', (length) => {
    expect(() => signWithSeed(new Uint8Array(length), utf8.encode('x'))).toThrow(AgentPortError)
    expect(() => publicKeyOfSeed(new Uint8Array(length))).toThrow(AgentPortError)
  })

  test('positive control: a 64-byte secret with a foreign public half gives one R with two S', async () => {
    const nacl = (await import('tweetnacl')).default
    const mine = nacl.sign.keyPair.fromSeed(new Uint8Array(32).fill(1))
    const other = nacl.sign.keyPair.fromSeed(new Uint8Array(32).fill(2))
    const message = utf8.encode('oracle')
    const honest = nacl.sign.detached(message, mine.secretKey)
    const mixed = nacl.sign.detached(message, concat(mine.secretKey.slice(0, 32), other.publicKey))
    expect(mixed.slice(0, 32)).toEqual(honest.slice(0, 32))
    expect(mixed.slice(32)).not.toEqual(honest.slice(32))
    expect(() => signWithSeed(concat(mine.secretKey.slice(0, 32), other.publicKey), message)).toThrow(AgentPortError)
  })

  test('both providers sign alike', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ maxLength: 200 }),
        (seed, message) => {
          const signature = signWithSeed(seed, message, runtime)
          expect(signWithSeed(seed, message, portableEd25519)).toEqual(signature)
          expect(verifyStrict(publicKeyOfSeed(seed), message, signature)).toBe(true)
        },
      ),
      { numRuns: fuzzRuns(15) },
    )
  })
})
