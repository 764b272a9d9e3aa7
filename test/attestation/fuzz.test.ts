// Whatever is made of an attestation, the answer is a verdict; and it is yes only for what the publisher signed.

import fc from 'fast-check'
import { expect, test } from 'vitest'

import { readEnvelope } from '../../src/attestation/dsse.ts'
import { loadTrust, trustFromValue } from '../../src/attestation/trust.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { attest, attestValue, bundleOf, file, outcome, releaseOf, skillFiles, verifierOf } from './fixtures.ts'

const HONEST = attest(skillFiles())
const read = readEnvelope(HONEST)
const PAYLOAD = read.ok ? read.envelope.payload : new Uint8Array()

test('any text is judged', () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.json({ maxDepth: 3 }))
  fc.assert(
    fc.property(text, (attestation) => {
      expect(outcome(verifierOf().verify(bundleOf(skillFiles(), attestation)))).toBe('attestation_invalid')
    }),
    { numRuns: fuzzRuns(200) },
  )
})

test('an honest attestation with a few characters changed is honest only if the signed bytes are', () => {
  const change = fc.record({ at: fc.nat(HONEST.length - 1), cut: fc.nat(3), put: fc.string({ maxLength: 3 }) })
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      let text = HONEST
      for (const { at, cut, put } of changes) text = text.slice(0, at) + put + text.slice(at + cut)
      const verified = verifierOf().verify(bundleOf(skillFiles(), text))
      if (!verified.ok) return
      const again = readEnvelope(text)
      expect(again.ok && again.envelope.payload).toEqual(PAYLOAD)
    }),
    { numRuns: fuzzRuns(200) },
  )
})

test('any value, even if the publisher signs it, is judged; only a true statement passes', () => {
  const honest = JSON.parse(new TextDecoder().decode(PAYLOAD))
  const paths = [
    ['_type'],
    ['subject'],
    ['subject', 0],
    ['subject', 0, 'name'],
    ['subject', 0, 'digest'],
    ['subject', 0, 'digest', 'gitTree'],
    ['predicateType'],
    ['predicate'],
    ['predicate', 'skill'],
    ['predicate', 'version'],
    ['predicate', 'publisher'],
    ['predicate', 'manifest'],
    ['predicate', 'manifest', 'path'],
    ['predicate', 'manifest', 'sha256'],
    ['predicate', 'files'],
    ['predicate', 'files', 1],
    ['predicate', 'files', 1, 'path'],
    ['predicate', 'files', 1, 'mode'],
    ['predicate', 'files', 1, 'size'],
    ['predicate', 'files', 1, 'sha256'],
    ['predicate', 'sequence'],
    ['predicate', 'not_before'],
    ['predicate', 'expires'],
    ['predicate', 'more'],
  ]
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.jsonValue({ maxDepth: 3 }), (path, replacement) => {
      const statement = structuredClone(honest)
      let target = statement
      for (const step of path.slice(0, -1)) target = target[step]
      target[path.at(-1) as string] = replacement
      const verified = verifierOf().verify(bundleOf(skillFiles(), attestValue(statement)))
      // The sequence alone may be any that the publisher says.
      if (verified.ok) expect(path.at(-1)).toBe('sequence')
      else expect(verified.denial.layer).toBe('attestation')
    }),
    { numRuns: fuzzRuns(200) },
  )
})

test('any files under an honest attestation: yes only for the signed ones', () => {
  const name = fc.constantFrom(
    'manifest.json',
    'index.js',
    'lib/parse.js',
    'bin/run.sh',
    '.env',
    'a',
    'a/b',
    'INDEX.js',
    '../x',
    'con',
    '__proto__',
    '',
  )
  const content = fc.constantFrom(...skillFiles().map((one) => one.bytes), new Uint8Array())
  const one = fc.record({ path: name, bytes: content, executable: fc.boolean() })
  fc.assert(
    fc.property(fc.array(one, { maxLength: 6 }), fc.subarray(skillFiles()), (more, kept) => {
      const files = [...kept, ...more]
      const verified = verifierOf().verify(bundleOf(files, HONEST))
      const list = (all: typeof files): unknown => [...releaseOf(all).files].sort((a, b) => (a.path < b.path ? -1 : 1))
      if (verified.ok) expect(list(files)).toEqual(list(skillFiles()))
      else expect(verified.denial.layer).toBe('attestation')
    }),
    { numRuns: fuzzRuns(200) },
  )
})

test('any trust document is loaded or refused', () => {
  fc.assert(
    fc.property(
      fc.anything({ maxDepth: 3, withBigInt: true, withMap: true, withTypedArray: true, withNullPrototype: true }),
      fc.string(),
      (value, text) => {
        expect(trustFromValue(value)).toHaveProperty('ok')
        expect(trustFromValue({ version: 1, publishers: value })).toHaveProperty('ok')
        expect(loadTrust({ file: 'trust.yaml', text })).toHaveProperty('ok')
        expect(loadTrust({ file: 'trust.json', text })).toHaveProperty('ok')
      },
    ),
    { numRuns: fuzzRuns(150) },
  )
})

test('any manifest text is judged', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.json()),
      fc.constantFrom('manifest.json', 'manifest.yaml', 'claw.toml'),
      (text, path) => {
        const files = [file(path, text), file('index.js', '1')]
        expect(verifierOf().verify(bundleOf(files, HONEST)).ok).toBe(false)
      },
    ),
    { numRuns: fuzzRuns(100) },
  )
})
