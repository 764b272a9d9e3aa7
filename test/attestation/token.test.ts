import { describe, expect, test } from 'vitest'

import { type AttestationToken, TokenStore, type TokenUse } from '../../src/attestation/token.ts'
import type { Attestation, AttestationVerifier } from '../../src/attestation/verifier.ts'
import { DEFAULT_TOKEN_TTL_MS, MAX_TOKEN_TTL_MS } from '../../src/attestation/verifier.ts'
import { attest, bundleOf, NOW, skillFiles, TestClock, trustOf, verifierOf } from './fixtures.ts'

const BINDING = { run: 'run-1', node: 'fetch', attempt: 1 }

function verified(
  verifier: AttestationVerifier,
  files = skillFiles(),
  changes: Parameters<typeof attest>[1] = {},
): Attestation {
  const result = verifier.verify(bundleOf(files, attest(files, changes)))
  if (!result.ok) throw new Error(result.denial.detail)
  return result.attestation
}

function issued(
  verifier: AttestationVerifier,
  attestation: Attestation,
  binding = BINDING,
  ttl?: number,
): AttestationToken {
  const result = verifier.issue(attestation, binding, ttl)
  if (!result.ok) throw new Error(result.denial.detail)
  return result.token
}

function setUp(): {
  clock: TestClock
  verifier: AttestationVerifier
  attestation: Attestation
  token: AttestationToken
  use: TokenUse
} {
  const clock = new TestClock()
  const verifier = verifierOf({}, clock)
  const attestation = verified(verifier)
  return {
    clock,
    verifier,
    attestation,
    token: issued(verifier, attestation),
    use: { ...BINDING, digest: attestation.digest },
  }
}

test('a token holds for what it was issued for', () => {
  const { verifier, token, use } = setUp()
  expect(verifier.check(token, use)).toBeUndefined()
  expect(verifier.check(token, { ...use })).toBeUndefined()
  expect(token.id).toMatch(/^[0-9a-f]{32}$/)
  expect(Object.isFrozen(token)).toBe(true)
})

describe('and for nothing else', () => {
  test.each([
    ['another run', { run: 'run-2' }, 'run'],
    ['another node', { node: 'send' }, 'node'],
    ['another attempt', { attempt: 2 }, 'attempt'],
    ['other bytes', { digest: `sha256:${'0'.repeat(64)}` }, 'digest'],
  ])('%s', (_name, change, part) => {
    const { verifier, token, use } = setUp()
    expect(verifier.check(token, { ...use, ...change })).toMatchObject({
      code: 'attestation_mismatch',
      detail: `the attestation token was issued for another ${part}`,
      subject: { node: 'fetch', skill: 'web_search' },
    })
  })
})

describe('forgery', () => {
  test.each([
    ['a copy with the same id', (token: AttestationToken) => ({ ...token })],
    ['a frozen copy', (token: AttestationToken) => Object.freeze({ ...token })],
    ['a structured clone', (token: AttestationToken) => structuredClone(token)],
    ['an object that inherits from it', (token: AttestationToken) => Object.create(token)],
    ['a proxy of it', (token: AttestationToken) => new Proxy(token, {})],
    ['its JSON', (token: AttestationToken) => JSON.parse(JSON.stringify(token))],
    ['its id', (token: AttestationToken) => token.id],
    ['null', () => null],
    ['a number', () => 1],
    ['an empty object', () => ({})],
  ])('%s', (_name, forge) => {
    const { verifier, token, use } = setUp()
    expect(verifier.check(forge(token) as AttestationToken, use)).toMatchObject({ code: 'attestation_invalid' })
    expect(verifier.check(token, use)).toBeUndefined()
  })

  test('none at all', () => {
    const { verifier, use } = setUp()
    expect(verifier.check(undefined, use)).toMatchObject({ code: 'attestation_missing' })
  })

  test('positive control: a table keyed by id takes the copy', () => {
    const { token } = setUp()
    const naive = new Map([[token.id, 'valid']])
    expect(naive.get({ ...token }.id)).toBe('valid')
  })

  test('a token of another verifier', () => {
    const { use, token } = setUp()
    expect(setUp().verifier.check(token, use)).toMatchObject({ code: 'attestation_invalid' })
  })
})

describe('attestations', () => {
  test.each([
    ['made up', (attestation: Attestation) => ({ ...attestation })],
    ['of nothing', () => ({}) as Attestation],
    ['undefined', () => undefined as unknown as Attestation],
  ])('%s: no token', (_name, forge) => {
    const { verifier, attestation } = setUp()
    expect(verifier.issue(forge(attestation), BINDING)).toMatchObject({
      ok: false,
      denial: { code: 'attestation_invalid' },
    })
  })

  test('of another verifier: no token', () => {
    const { attestation } = setUp()
    expect(setUp().verifier.issue(attestation, BINDING)).toMatchObject({
      ok: false,
      denial: { code: 'attestation_invalid' },
    })
  })

  test.each([
    ['no run', { ...BINDING, run: '' }, 1000],
    ['odd node', { ...BINDING, node: 'a b' }, 1000],
    ['attempt 0', { ...BINDING, attempt: 0 }, 1000],
    ['attempt NaN', { ...BINDING, attempt: Number.NaN }, 1000],
    ['no lifetime', BINDING, 0],
    ['negative lifetime', BINDING, -1],
    ['lifetime NaN', BINDING, Number.NaN],
  ])('%s is misuse', (_name, binding, ttl) => {
    const { verifier, attestation } = setUp()
    expect(() => verifier.issue(attestation, binding, ttl)).toThrow(TypeError)
  })
})

describe('lifetime', () => {
  test.each([
    ['default', undefined, DEFAULT_TOKEN_TTL_MS],
    ['asked for', 1500, 1500],
    ['at most an hour', 24 * 3_600_000, MAX_TOKEN_TTL_MS],
    ['not for ever', Number.POSITIVE_INFINITY, MAX_TOKEN_TTL_MS],
  ])('%s', (_name, ttl, expected) => {
    const { clock, verifier, attestation, use } = setUp()
    const token = issued(verifier, attestation, BINDING, ttl)
    clock.advance(expected - 1)
    expect(verifier.check(token, use)).toBeUndefined()
    clock.advance(1)
    expect(verifier.check(token, use)).toMatchObject({ code: 'attestation_expired' })
    clock.mono -= expected
    expect(verifier.check(token, use)).toMatchObject({ code: 'attestation_expired' })
  })

  test('stepping the wall clock back extends nothing', () => {
    const { clock, verifier, token, use } = setUp()
    clock.mono += DEFAULT_TOKEN_TTL_MS
    clock.wall -= 365 * 86_400_000
    expect(verifier.check(token, use)).toMatchObject({ code: 'attestation_expired' })
  })

  test('a token never outlives its attestation', () => {
    const clock = new TestClock()
    const verifier = verifierOf({}, clock)
    const attestation = verified(verifier, skillFiles(), { expires: NOW + 10_000 })
    const token = issued(verifier, attestation)
    clock.advance(10_000)
    expect(verifier.check(token, { ...BINDING, digest: attestation.digest })).toMatchObject({
      code: 'attestation_expired',
    })
    expect(verifier.issue(attestation, BINDING)).toMatchObject({ ok: false, denial: { code: 'attestation_expired' } })
  })

  test('a clock that throws ends tokens, and issues none against an end', () => {
    const clock = new TestClock()
    const verifier = verifierOf({}, clock)
    const attestation = verified(verifier, skillFiles(), { expires: NOW + 10_000 })
    const token = issued(verifier, attestation)
    clock.now = clock.monotonic = () => {
      throw new Error('no time')
    }
    expect(verifier.check(token, { ...BINDING, digest: attestation.digest })).toMatchObject({ code: 'internal_error' })
    expect(verifier.issue(attestation, BINDING)).toMatchObject({ ok: false, denial: { code: 'attestation_expired' } })
  })

  test('a clock that answers NaN ends tokens', () => {
    const { clock, verifier, token, use } = setUp()
    clock.mono = Number.NaN
    expect(verifier.check(token, use)).toMatchObject({ code: 'attestation_expired' })
  })
})

describe('withdrawing', () => {
  test('a run, or one node of it', () => {
    const { verifier, attestation, token, use } = setUp()
    const second = issued(verifier, attestation, { ...BINDING, node: 'send' })
    const elsewhere = issued(verifier, attestation, { ...BINDING, run: 'run-2' })
    verifier.revoke('run-1', 'fetch')
    expect(verifier.check(token, use)).toMatchObject({
      code: 'attestation_expired',
      detail: 'the attestation token was revoked',
    })
    expect(verifier.check(second, { ...use, node: 'send' })).toBeUndefined()
    verifier.revoke('run-1')
    expect(verifier.check(second, { ...use, node: 'send' })).toMatchObject({ code: 'attestation_expired' })
    expect(verifier.check(elsewhere, { ...use, run: 'run-2' })).toBeUndefined()
    verifier.revoke('run-9')
    verifier.revoke('constructor', '__proto__')
  })

  test.each([
    ['by name', () => 'web_search'],
    ['by digest', (attestation: Attestation) => attestation.digest],
  ])('quarantine %s ends every token at once, and for good', (_name, target) => {
    const { clock, verifier, attestation, token, use } = setUp()
    const other = issued(verifier, attestation, { ...BINDING, run: 'run-2' })
    verifier.quarantine(target(attestation), 'exfiltrates')
    expect(verifier.check(token, use)).toMatchObject({ code: 'skill_quarantined' })
    expect(verifier.check(other, { ...use, run: 'run-2' })).toMatchObject({ code: 'skill_quarantined' })
    expect(verifier.issue(attestation, BINDING)).toMatchObject({ ok: false, denial: { code: 'skill_quarantined' } })
    expect(verifier.verify(bundleOf(skillFiles(), attest(skillFiles())))).toMatchObject({
      ok: false,
      denial: { code: 'skill_quarantined', detail: 'quarantined: exfiltrates' },
    })
    clock.advance(3_600_000)
    verifier.replaceTrust(trustOf())
    expect(verifier.verify(bundleOf(skillFiles(), attest(skillFiles())))).toMatchObject({ ok: false })
  })

  test('quarantine of another skill touches nothing', () => {
    const { verifier, token, use } = setUp()
    verifier.quarantine('calendar', 'x')
    verifier.quarantine('constructor', 'x')
    expect(verifier.check(token, use)).toBeUndefined()
    expect(verifier.check(token, use)).toBeUndefined()
  })

  test.each(['', 'a b', 'sha256:xyz…', '../x'])('quarantine of %j is misuse', (target) => {
    expect(() => setUp().verifier.quarantine(target, 'x')).toThrow(TypeError)
  })

  test('a new trust ends tokens and attestations', () => {
    const { verifier, attestation, token, use } = setUp()
    verifier.replaceTrust(trustOf())
    expect(verifier.check(token, use)).toMatchObject({ code: 'attestation_expired' })
    expect(verifier.issue(attestation, BINDING)).toMatchObject({ ok: false, denial: { code: 'attestation_invalid' } })
    expect(issued(verifier, verified(verifier))).toBeDefined()
  })
})

describe('the store is bounded', () => {
  const use = (index: number): TokenUse => ({
    run: `run-${index % 7}`,
    node: 'n',
    attempt: 1 + index,
    digest: 'sha256:x',
  })

  test('full of live tokens it refuses; when one ends it takes one', () => {
    const clock = new TestClock()
    const store = new TokenStore(clock, 100)
    const tokens = Array.from({ length: 100 }, (_, index) => store.issue('s', use(index), 1000 + index))
    expect(tokens.every((one) => one.ok)).toBe(true)
    expect(store.issue('s', use(100), 1000)).toMatchObject({ ok: false, denial: { code: 'internal_error' } })
    store.revoke('run-3')
    expect(store.issue('s', use(100), 5000).ok).toBe(true)
    expect(store.size).toBeLessThan(100)
  })

  test('expired tokens make room, oldest first or not', () => {
    const clock = new TestClock()
    const store = new TokenStore(clock, 100)
    for (let index = 0; index < 100; index++) store.issue('s', use(index), 1000 * (index % 2 === 0 ? 10 : 1))
    clock.mono += 1000
    for (let index = 0; index < 50; index++) expect(store.issue('s', use(index), 100_000).ok).toBe(true)
    expect(store.issue('s', use(0), 1000).ok).toBe(false)
    expect(store.size).toBe(100)
    clock.mono += 9000
    expect(store.issue('s', use(0), 1000).ok).toBe(true)
  })

  test('dropped tokens are buried as new ones come', () => {
    const clock = new TestClock()
    const store = new TokenStore(clock)
    for (let index = 0; index < 10_000; index++) {
      store.issue('s', use(index), 10)
      clock.mono += 1
    }
    expect(store.size).toBeLessThan(20)
  })

  test('100,000 live tokens: a check stays cheap, so does a quarantine', () => {
    const store = new TokenStore(new TestClock())
    let token: AttestationToken | undefined
    for (let index = 0; index < 100_000; index++) {
      const result = store.issue('s', use(index), 1000)
      if (index === 50_000 && result.ok) token = result.token
    }
    const started = performance.now()
    for (let index = 0; index < 10_000; index++) {
      store.quarantine(`other-${index % 10}`, 'x')
      if (store.check(token, use(50_000)) !== undefined) throw new Error('the token should hold')
    }
    expect(performance.now() - started).toBeLessThan(5000)
  })
})
