import { createHash } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import type { SkillBundle, SkillFile } from '../../src/attestation/bundle.ts'
import { writeEnvelope } from '../../src/attestation/dsse.ts'
import { writeStatement } from '../../src/attestation/statement.ts'
import { skillDigest } from '../../src/attestation/tree.ts'
import type { Trust } from '../../src/attestation/trust.ts'
import { AttestationVerifier } from '../../src/attestation/verifier.ts'
import { decodeBase64, encodeBase64 } from '../../src/core/base64.ts'
import { portableEd25519 } from '../../src/core/crypto.ts'
import { LIMITS } from '../../src/core/limits.ts'
import {
  ACME,
  ACME_SECOND,
  attest,
  attestValue,
  bundleOf,
  detail,
  envelopeOf,
  file,
  MANIFEST,
  mustTrust,
  NOW,
  OTHER,
  outcome,
  releaseOf,
  skillFiles,
  TestClock,
  type TestKey,
  trustOf,
  verifierOf,
} from './fixtures.ts'

const DAY = 86_400_000

function signed(changes: Parameters<typeof attest>[1] = {}, keys?: readonly TestKey[]): SkillBundle {
  return bundleOf(skillFiles(), attest(skillFiles(), changes, keys))
}

describe('a signed skill', () => {
  test('is attested', () => {
    const verified = verifierOf().verify(signed({ expires: NOW + DAY }))
    expect(verified).toEqual({
      ok: true,
      attestation: {
        skill: 'web_search',
        version: '1.2.0',
        publisher: 'acme',
        method: 'signature',
        digest: skillDigest(skillFiles()),
        keyIds: [ACME.id],
        sequence: 3,
        verifiedAt: NOW,
        expiresAt: NOW + DAY,
      },
    })
    expect(verified.ok && Object.isFrozen(verified.attestation)).toBe(true)
  })

  test('by either provider, again and again', () => {
    const verifier = new AttestationVerifier({ trust: trustOf(), clock: new TestClock(), ed25519: portableEd25519 })
    for (let round = 0; round < 3; round++) expect(outcome(verifier.verify(signed()))).toBe('ok')
  })

  test('whatever the order of its files', () => {
    const bundle = signed()
    expect(outcome(verifierOf().verify({ ...bundle, files: [...bundle.files].reverse() }))).toBe('ok')
  })

  test.each(['manifest.yaml', 'manifest.yml', 'claw.toml'])('with its manifest in %s', (path) => {
    const text = path.endsWith('toml') ? 'skill = "web_search"\n' : 'skill: web_search\n'
    const files = [file(path, text), file('index.js', '1')]
    const listed = releaseOf(files).files.find((one) => one.path === path)
    const envelope = attest(files, { manifest: { path, sha256: listed?.sha256 ?? '' } })
    expect(outcome(verifierOf().verify(bundleOf(files, envelope)))).toBe('ok')
  })

  test('with a manifest that says the same version and publisher', () => {
    const files = [
      file('manifest.json', '{"skill":"web_search","version":"1.2.0","publisher":"acme"}'),
      file('index.js', '1'),
    ]
    expect(outcome(verifierOf().verify(bundleOf(files, attest(files))))).toBe('ok')
  })

  test('expires with the release or the trust, whichever is first', () => {
    const expires = new Date(NOW + 2 * DAY).toISOString()
    const verified = verifierOf({ publisher: { expires } }).verify(signed({ expires: NOW + 3 * DAY }))
    expect(verified.ok && verified.attestation.expiresAt).toBe(NOW + 2 * DAY)
  })
})

describe('changed after signing', () => {
  const edits: [string, (files: SkillFile[]) => SkillFile[], string][] = [
    [
      'a byte',
      (files) =>
        files.map((one) => (one.path === 'index.js' ? file(one.path, 'export const search = () => "fOund"\n') : one)),
      'changed: index.js',
    ],
    [
      'a name',
      (files) => files.map((one) => (one.path === 'index.js' ? { ...one, path: 'main.js' } : one)),
      'missing: index.js; extra: main.js',
    ],
    ['the execute bit taken', (files) => files.map((one) => ({ ...one, executable: false })), 'changed: bin/run.sh'],
    [
      'the execute bit given',
      (files) => files.map((one) => (one.path === 'index.js' ? { ...one, executable: true } : one)),
      'changed: index.js',
    ],
    ['a dotfile added', (files) => [...files, file('.npmrc', 'registry=…')], 'extra: .npmrc'],
    [
      'a module added',
      (files) => [...files, file('node_modules/left-pad/index.js', 'x')],
      'extra: node_modules/left-pad/index.js',
    ],
    ['an empty file added', (files) => [...files, file('x', '')], 'extra: x'],
    ['a file removed', (files) => files.filter((one) => one.path !== 'lib/parse.js'), 'missing: lib/parse.js'],
    [
      'a line end converted',
      (files) =>
        files.map((one) => (one.path === 'index.js' ? file(one.path, 'export const search = () => "found"\r\n') : one)),
      'changed: index.js',
    ],
    [
      'a byte order mark',
      (files) =>
        files.map((one) =>
          one.path === 'index.js' ? file(one.path, Uint8Array.of(0xef, 0xbb, 0xbf, ...one.bytes)) : one,
        ),
      'changed: index.js',
    ],
    [
      'only the manifest',
      (files) =>
        files.map((one) => (one.path === 'manifest.json' ? file(one.path, MANIFEST.replace('api.', '**.')) : one)),
      'changed: manifest.json',
    ],
  ]
  test.each(edits)('%s', (_name, edit, expected) => {
    const verified = verifierOf().verify(bundleOf(edit(skillFiles()), attest(skillFiles())))
    expect(outcome(verified)).toBe('attestation_mismatch')
    expect(detail(verified)).toContain(expected)
  })

  test('every kind of difference is named at once, with what is too much counted', () => {
    const files = [
      file('manifest.json', MANIFEST),
      file('index.js', 'evil'),
      ...Array.from({ length: 9 }, (_, index) => file(`extra/${index}.js`, 'x')),
    ]
    const verified = verifierOf().verify(bundleOf(files, attest(skillFiles())))
    expect(detail(verified)).toBe(
      'files differ from the signed list: changed: index.js; missing: lib/parse.js, bin/run.sh; extra: extra/0.js, extra/1.js, extra/2.js and 6 more',
    )
  })

  test('two files exchange contents', () => {
    const files = skillFiles()
    const [first, second] = [files[1] as SkillFile, files[2] as SkillFile]
    const swapped = [
      files[0] as SkillFile,
      { ...first, bytes: second.bytes },
      { ...second, bytes: first.bytes },
      files[3] as SkillFile,
    ]
    expect(outcome(verifierOf().verify(bundleOf(swapped, attest(files))))).toBe('attestation_mismatch')
    // Positive control: a root digest over the contents alone, as one deployed format has it, is the same for both.
    const root = (list: SkillFile[]): string => {
      const hash = createHash('sha256')
      for (const digest of list.map((one) => createHash('sha256').update(one.bytes).digest('hex')).sort())
        hash.update(digest)
      return hash.digest('hex')
    }
    expect(root(swapped)).toBe(root(files))
  })

  test('a list that is right beside a tree digest that is not, and the reverse', () => {
    expect(outcome(verifierOf().verify(signed({ gitTree: 'a'.repeat(64) })))).toBe('attestation_mismatch')
    const others = [...skillFiles().slice(0, 3), file('bin/run.sh', 'evil', true)]
    expect(outcome(verifierOf().verify(signed({ files: releaseOf(others).files })))).toBe('attestation_mismatch')
  })
})

describe('the signature', () => {
  const payload = writeStatement(releaseOf(skillFiles()))
  const envelope = (): { payloadType: string; payload: string; signatures: { keyid: string; sig: string }[] } =>
    JSON.parse(attest(skillFiles()))

  const forgeries: [string, () => string | undefined, string][] = [
    ['none', () => undefined, 'attestation_missing'],
    ['empty text', () => '', 'attestation_invalid'],
    ['of another publisher', () => attest(skillFiles(), {}, [OTHER]), 'attestation_invalid'],
    [
      'of another publisher in its own name',
      () => attest(skillFiles(), { publisher: 'other' }, [OTHER]),
      'attestation_untrusted',
    ],
    [
      'of a stranger in its own name',
      () => attest(skillFiles(), { publisher: 'mallory' }, [ACME_SECOND]),
      'attestation_untrusted',
    ],
    [
      'in the name of an object member',
      () => attest(skillFiles(), { publisher: 'constructor' }, [ACME]),
      'attestation_untrusted',
    ],
    [
      'with the payload type changed',
      () => JSON.stringify({ ...envelope(), payloadType: 'application/json' }),
      'attestation_invalid',
    ],
    [
      'made for another payload type',
      () => writeEnvelope(envelopeOf(payload, [ACME], 'text/plain')),
      'attestation_invalid',
    ],
    [
      'over a payload written anew',
      () =>
        JSON.stringify({
          ...envelope(),
          payload: encodeBase64(
            new TextEncoder().encode(JSON.stringify(JSON.parse(new TextDecoder().decode(payload)), undefined, 1)),
          ),
        }),
      'attestation_invalid',
    ],
    [
      'over a payload with one more space',
      () => JSON.stringify({ ...envelope(), payload: encodeBase64(Uint8Array.of(...payload, 0x20)) }),
      'attestation_invalid',
    ],
    [
      'with a duplicate key in the envelope',
      () => JSON.stringify(envelope()).replace('{', '{"payload":"e30=",'),
      'attestation_invalid',
    ],
    [
      'with __proto__ in the envelope',
      () => JSON.stringify(envelope()).replace('{', '{"__proto__":{},'),
      'attestation_invalid',
    ],
    [
      'in base64 with junk',
      () => JSON.stringify({ ...envelope(), payload: `!${envelope().payload}` }),
      'attestation_invalid',
    ],
    [
      'in an envelope of 10 MB',
      () => JSON.stringify({ ...envelope(), pad: 'x'.repeat(10 * 1024 * 1024) }),
      'attestation_invalid',
    ],
    ['cut short', () => attest(skillFiles()).slice(0, -40), 'attestation_invalid'],
    [
      'over a statement with a duplicate key',
      () => attestValue(new TextDecoder().decode(payload).replace('"sequence":3', '"sequence":3,"sequence":9')),
      'attestation_invalid',
    ],
    [
      'over a statement of another type',
      () => attestValue({ _type: 'https://in-toto.io/Statement/v1', subject: [], predicateType: 'x', predicate: {} }),
      'attestation_invalid',
    ],
    [
      'all zero',
      () => JSON.stringify({ ...envelope(), signatures: [{ keyid: ACME.id, sig: encodeBase64(new Uint8Array(64)) }] }),
      'attestation_invalid',
    ],
    [
      'of 63 bytes',
      () => JSON.stringify({ ...envelope(), signatures: [{ keyid: ACME.id, sig: encodeBase64(new Uint8Array(63)) }] }),
      'attestation_invalid',
    ],
  ]
  test.each(forgeries)('%s', (_name, make, code) => {
    expect(outcome(verifierOf().verify(bundleOf(skillFiles(), make())))).toBe(code)
  })

  test('malleated (S + L) is no second signature', () => {
    const L = 2n ** 252n + 27742317777372353535851937790883648493n
    const value = envelope()
    const bytes = decodeBase64(value.signatures[0]?.sig ?? '') ?? new Uint8Array()
    let s = bytes.slice(32).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n) + L
    for (let index = 32; index < 64; index++, s >>= 8n) bytes[index] = Number(s & 0xffn)
    const text = JSON.stringify({ ...value, signatures: [{ keyid: ACME.id, sig: encodeBase64(bytes) }] })
    const verifier = new AttestationVerifier({ trust: trustOf(), clock: new TestClock(), ed25519: portableEd25519 })
    expect(outcome(verifier.verify(bundleOf(skillFiles(), text)))).toBe('attestation_invalid')
  })

  test('positive control: a verifier that believes a key named by the envelope believes anybody', () => {
    const own = attest(skillFiles(), {}, [OTHER])
    const named = JSON.parse(own).signatures[0].keyid
    expect(named).toBe(OTHER.id)
    expect(outcome(verifierOf().verify(bundleOf(skillFiles(), own)))).toBe('attestation_invalid')
  })
})

describe('threshold', () => {
  const two = { publisher: { keys: [ACME.text, ACME_SECOND.text], threshold: 2 } }
  test.each([
    ['both keys', [ACME, ACME_SECOND], 'ok'],
    ['both, in the other order', [ACME_SECOND, ACME], 'ok'],
    ['both and a stranger', [OTHER, ACME, ACME_SECOND], 'ok'],
    ['one key', [ACME], 'attestation_invalid'],
    ['one key twice', [ACME, ACME], 'attestation_invalid'],
    ['one key and a stranger', [ACME, OTHER], 'attestation_invalid'],
  ] as const)('%s of two', (_name, keys, expected) => {
    expect(outcome(verifierOf(two).verify(signed({}, keys)))).toBe(expected)
  })

  test('the denial says how many are missing', () => {
    expect(detail(verifierOf(two).verify(signed()))).toBe('1 of 2 required keys of acme signed')
  })
})

describe('the statement must be of this skill, now', () => {
  test.each([
    ['another skill of the same publisher', { skill: 'calendar' }, {}, 'attestation_mismatch'],
    [
      'a skill the publisher is not trusted for',
      {},
      { publisher: { skills: ['calendar', 'web_*x'] } },
      'attestation_untrusted',
    ],
    ['a publisher without skills', {}, { publisher: { skills: [] } }, 'attestation_untrusted'],
    ['expired', { expires: NOW - 1000 }, {}, 'attestation_expired'],
    ['expired this very moment', { expires: NOW }, {}, 'attestation_expired'],
    ['not valid yet', { notBefore: NOW + 1000 }, {}, 'attestation_invalid'],
    ['trust that ended', {}, { publisher: { expires: '2026-03-01T12:00:00Z' } }, 'attestation_expired'],
    ['below min_sequence', {}, { publisher: { min_sequence: { web_search: 4 } } }, 'attestation_expired'],
    ['a revoked key', {}, { top: { revoked: { keys: [ACME.text] } } }, 'attestation_untrusted'],
    ['a revoked digest', {}, { top: { revoked: { digests: [skillDigest(skillFiles())] } } }, 'skill_quarantined'],
  ] as const)('%s', (_name, release, trust, code) => {
    expect(outcome(verifierOf(trust).verify(signed(release)))).toBe(code)
  })

  test('positive controls: the same, just inside', () => {
    expect(outcome(verifierOf().verify(signed({ expires: NOW + 1, notBefore: NOW })))).toBe('ok')
    expect(outcome(verifierOf({ publisher: { min_sequence: { web_search: 3, calendar: 9 } } }).verify(signed()))).toBe(
      'ok',
    )
    expect(outcome(verifierOf({ publisher: { skills: ['web_*'] } }).verify(signed()))).toBe('ok')
    expect(outcome(verifierOf({ top: { revoked: { keys: [OTHER.text] } } }).verify(signed()))).toBe('ok')
  })

  test('a revoked key does not spoil a threshold that others reach', () => {
    const changes = { publisher: { keys: [ACME.text, ACME_SECOND.text] }, top: { revoked: { keys: [ACME.text] } } }
    expect(outcome(verifierOf(changes).verify(signed({}, [ACME, ACME_SECOND])))).toBe('ok')
    expect(detail(verifierOf(changes).verify(signed({}, [ACME])))).toContain('not counting 1 revoked')
  })

  test.each([
    ['another version', '{"skill":"web_search","version":"1.3.0"}'],
    ['a version that is no text', '{"skill":"web_search","version":1.2}'],
    ['another publisher', '{"skill":"web_search","publisher":"other"}'],
  ])('a manifest that says %s', (_name, manifest) => {
    const files = [file('manifest.json', manifest), file('index.js', '1')]
    expect(outcome(verifierOf().verify(bundleOf(files, attest(files))))).toBe('attestation_mismatch')
  })

  test('the clock is read once', () => {
    let reads = 0
    const clock = { now: () => NOW + 2 * DAY * reads++, monotonic: () => 0 }
    expect(outcome(verifierOf({}, clock).verify(signed({ expires: NOW + DAY })))).toBe('ok')
    expect(reads).toBe(1)
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, undefined as unknown as number])(
    'a clock that answers %s vouches for nothing',
    (now) => {
      const clock = { now: () => now, monotonic: () => 0 }
      expect(verifierOf({}, clock).verify(signed({ expires: NOW + DAY })).ok).toBe(false)
    },
  )

  test('a clock that throws is a denial', () => {
    const clock = {
      now: (): number => {
        throw new Error('no time')
      },
      monotonic: () => 0,
    }
    expect(outcome(verifierOf({}, clock).verify(signed()))).toBe('internal_error')
  })
})

describe('rollback', () => {
  const next = [...skillFiles(), file('fix.js', 'fixed')]
  const newer = (): SkillBundle => bundleOf(next, attest(next, { sequence: 4, version: '1.2.1' }))

  test('an older release, signed as well as ever, is refused once a newer was seen', () => {
    const verifier = verifierOf()
    expect(outcome(verifier.verify(signed()))).toBe('ok')
    expect(outcome(verifier.verify(newer()))).toBe('ok')
    const back = verifier.verify(signed())
    expect(outcome(back)).toBe('attestation_expired')
    expect(detail(back)).toBe('sequence 3 is older than 4, which was verified before')
    // Positive control: a verifier without the memory takes it.
    expect(outcome(verifierOf().verify(signed()))).toBe('ok')
  })

  test('one sequence for two contents is refused', () => {
    const verifier = verifierOf()
    expect(outcome(verifier.verify(signed()))).toBe('ok')
    expect(outcome(verifier.verify(bundleOf(next, attest(next))))).toBe('attestation_invalid')
    expect(outcome(verifier.verify(signed()))).toBe('ok')
  })

  test('what was refused is not remembered', () => {
    const verifier = verifierOf()
    expect(outcome(verifier.verify(bundleOf(next, attest(next, { sequence: 99, expires: NOW - 1 }))))).toBe(
      'attestation_expired',
    )
    expect(outcome(verifier.verify(bundleOf(next, attest(next, { sequence: 99 }, [OTHER]))))).toBe(
      'attestation_invalid',
    )
    expect(outcome(verifier.verify(signed()))).toBe('ok')
  })

  test('the memory outlives a change of trust', () => {
    const verifier = verifierOf()
    verifier.verify(newer())
    verifier.replaceTrust(trustOf())
    expect(outcome(verifier.verify(signed()))).toBe('attestation_expired')
  })
})

describe('pinned digests', () => {
  const digest = skillDigest(skillFiles())
  const pinned = (entries: object[], more: object = {}): AttestationVerifier =>
    new AttestationVerifier({ trust: mustTrust({ version: 1, pinned: entries, ...more }), clock: new TestClock() })

  test('exactly these bytes need no signature', () => {
    const verified = pinned([{ skill: 'web_search', digest }]).verify(bundleOf(skillFiles()))
    expect(verified).toEqual({
      ok: true,
      attestation: { skill: 'web_search', method: 'pinned_digest', digest, keyIds: [], verifiedAt: NOW },
    })
  })

  test('an attestation beside them neither helps nor hurts', () => {
    for (const text of [attest(skillFiles(), {}, [OTHER]), 'junk']) {
      expect(outcome(pinned([{ skill: 'web_search', digest }]).verify(bundleOf(skillFiles(), text)))).toBe('ok')
    }
  })

  test.each([
    ['other bytes', [{ skill: 'web_search', digest: `sha256:${'0'.repeat(64)}` }], {}, 'attestation_mismatch'],
    ['pinned for another skill', [{ skill: 'calendar', digest }], {}, 'attestation_missing'],
    ['pinned and revoked', [{ skill: 'web_search', digest }], { revoked: { digests: [digest] } }, 'skill_quarantined'],
  ])('%s', (_name, entries, more, code) => {
    expect(outcome(pinned(entries, more).verify(bundleOf(skillFiles())))).toBe(code)
  })
})

describe('trust', () => {
  test('of nobody verifies nothing', () => {
    const verifier = new AttestationVerifier({ trust: mustTrust({ version: 1 }), clock: new TestClock() })
    expect(outcome(verifier.verify(signed()))).toBe('attestation_untrusted')
    expect(outcome(verifier.verify(bundleOf(skillFiles())))).toBe('attestation_missing')
  })

  test.each([
    ['none', undefined],
    ['null', null],
    ['an empty object', {}],
    ['a raw document', { version: 1, publishers: [] }],
    ['a load result', { ok: true }],
  ])('%s is misuse', (_name, trust) => {
    expect(() => new AttestationVerifier({ trust: trust as unknown as Trust })).toThrow(TypeError)
    expect(() => verifierOf().replaceTrust(trust as unknown as Trust)).toThrow(TypeError)
  })
})

describe('the bundle', () => {
  const bundles: [string, () => SkillBundle][] = [
    ['under another name', () => ({ ...signed(), name: 'calendar' })],
    ['under no name', () => ({ ...signed(), name: '' })],
    ['without files', () => ({ ...signed(), files: [] })],
    ['with files that are no list', () => ({ ...signed(), files: { length: 1 } as unknown as SkillFile[] })],
    [
      'with a file without bytes',
      () => ({ ...signed(), files: [{ path: 'manifest.json', executable: false } as SkillFile] }),
    ],
    [
      'with bytes that are text',
      () => ({
        ...signed(),
        files: [...skillFiles(), { path: 'x', executable: false, bytes: 'x' as unknown as Uint8Array }],
      }),
    ],
    [
      'with a mode that is no boolean',
      () => ({
        ...signed(),
        files: [...skillFiles(), { path: 'x', executable: 1 as unknown as boolean, bytes: new Uint8Array() }],
      }),
    ],
    ['with a file twice', () => ({ ...signed(), files: [...skillFiles(), ...skillFiles()] })],
    ['with a path that leaves it', () => ({ ...signed(), files: [...skillFiles(), file('../x', '')] })],
    ['with names that collide', () => ({ ...signed(), files: [...skillFiles(), file('INDEX.js', '')] })],
    [
      'with the attestation among its files',
      () => ({ ...signed(), files: [...skillFiles(), file('skill.attestation.json', 'x')] }),
    ],
    [
      'with a name that becomes the attestation',
      () => ({ ...signed(), files: [...skillFiles(), file('Skill.Attestation.JSON', 'x')] }),
    ],
    [
      'with a manifest text that is not the file',
      () => ({ ...signed(), manifest: { file: 'manifest.json', text: `${MANIFEST} ` } }),
    ],
    [
      'with two manifests',
      () => ({ ...signed(), files: [...skillFiles(), file('claw.toml', 'skill = "web_search"')] }),
    ],
    [
      'with a second manifest in another case',
      () => ({ ...signed(), files: [...skillFiles(), file('Claw.toml', 'skill = "web_search"')] }),
    ],
    [
      'with its manifest in another case',
      () => ({ ...signed(), files: [file('Manifest.json', MANIFEST), ...skillFiles().slice(1)] }),
    ],
    ['with no manifest', () => ({ ...signed(), files: skillFiles().slice(1) })],
    [
      'with a manifest that is not UTF-8',
      () =>
        bundleOf(
          [file('manifest.json', Uint8Array.of(0x22, 0xff, 0x22)), ...skillFiles().slice(1)],
          attest(skillFiles()),
        ),
    ],
    [
      'with a manifest that does not parse',
      () => bundleOf([file('manifest.json', '{'), ...skillFiles().slice(1)], attest(skillFiles())),
    ],
    [
      'with a manifest of no skill',
      () => bundleOf([file('manifest.json', '{}'), ...skillFiles().slice(1)], attest(skillFiles())),
    ],
    [
      'with a manifest of __proto__',
      () =>
        bundleOf(
          [file('manifest.json', '{"__proto__":{"skill":"web_search"}}'), ...skillFiles().slice(1)],
          attest(skillFiles()),
        ),
    ],
    [
      'with a manifest that is a list',
      () => bundleOf([file('manifest.json', '["web_search"]'), ...skillFiles().slice(1)], attest(skillFiles())),
    ],
    [
      'with too many files',
      () => ({
        ...signed(),
        files: [...skillFiles(), ...Array.from({ length: LIMITS.skillFiles }, (_, index) => file(`f${index}`, ''))],
      }),
    ],
    [
      'with too many bytes',
      () => ({ ...signed(), files: [...skillFiles(), file('big', new Uint8Array(LIMITS.skillBytes))] }),
    ],
  ]
  test.each(bundles)('%s is refused', (_name, make) => {
    expect(outcome(verifierOf().verify(make()))).toBe('attestation_invalid')
  })

  test.each([undefined, null, 'x', 7])('%s is misuse', (bundle) => {
    expect(() => verifierOf().verify(bundle as unknown as SkillBundle)).toThrow(TypeError)
  })

  test('getters that throw are a denial', () => {
    const bundle = { ...signed() }
    Object.defineProperty(bundle, 'files', {
      get() {
        throw new Error('trap')
      },
    })
    expect(outcome(verifierOf().verify(bundle))).toBe('internal_error')
  })

  test('a getter cannot show one file to the hash and another to the list', () => {
    const clean = skillFiles()
    let reads = 0
    const twoFaced = {
      path: 'index.js',
      executable: false,
      get bytes() {
        reads += 1
        return reads === 1 ? new TextEncoder().encode('evil') : (clean[1]?.bytes as Uint8Array)
      },
    }
    const files = clean.map((one) => (one.path === 'index.js' ? twoFaced : one))
    expect(outcome(verifierOf().verify({ ...signed(), files }))).toBe('attestation_mismatch')
    expect(reads).toBe(1)
  })

  test('what a skill says about itself cannot break the line of a denial', () => {
    const files = [...skillFiles(), file('a\nfake: ok\u202e.js', 'x')]
    expect(detail(verifierOf().verify(bundleOf(files, attest(skillFiles()))))).not.toMatch(/[\n\u202e]/)
  })
})
