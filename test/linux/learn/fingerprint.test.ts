// Fingerprints: the same behaviour is the same value, other behaviour shows, and a run with losses never counts.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { EnforcerEvent } from '../../../src/enforcer/enforcer.ts'
import {
  compareFingerprints,
  type Fingerprint,
  type FingerprintContext,
  fingerprintConfinement,
  fingerprintDigest,
  fingerprintObservation,
} from '../../../src/linux/fingerprint.ts'
import type { Observation } from '../../../src/linux/observe/observation.ts'
import { file, files, observation, peer } from './support/runs.ts'

const CONTEXT: FingerprintContext = {
  contentHash: 'sha256:1',
  enforcerVersion: '1.0.0',
  variables: [
    { name: 'home', path: '/home/u' },
    { name: 'work', path: '/home/u/work' },
    { name: 'tmp', path: '/tmp', whole: true },
  ],
}
const of = (parts: Partial<Observation>, context: FingerprintContext = CONTEXT): Fingerprint =>
  fingerprintObservation(observation(parts), context)

const RUN: Partial<Observation> = {
  calls: [{ name: 'openat', count: 4 }],
  programs: [{ path: '/usr/bin/python3.11', named: ['/usr/bin/python3'], sha256: 'aa', count: 1 }],
  files: [
    file('read', '/home/u/work/in'),
    file('create', '/tmp/x1'),
    file('read', '/home/u/.rc'),
    file('read', '/home/u2/a'),
  ],
  egress: [peer('192.0.2.1', 443, { host: 'api.example' }), peer('192.0.2.9', 443, { protocol: 'udp', sent: false })],
}

describe('a fingerprint', () => {
  test('of an observation', () => {
    expect(of(RUN)).toEqual({
      version: 1,
      source: 'observation',
      contentHash: 'sha256:1',
      kernelRelease: '6.1.0',
      enforcerVersion: '1.0.0',
      syscallCoverage: 'selected',
      syscalls: [{ name: 'openat', arch: 'x86_64', count: 4 }],
      programs: [{ path: '/usr/bin/python3.11', sha256: 'aa', count: 1 }],
      files: [
        { operation: 'create', path: '$tmp/**', count: 1 },
        { operation: 'read', path: '$home/.rc', count: 1 },
        { operation: 'read', path: '$work/in', count: 1 },
        { operation: 'read', path: '/home/u2/a', count: 1 },
      ],
      egress: [{ host: 'api.example', port: 443, protocol: 'tcp', count: 1 }],
      denied: [],
      lost: 0,
      complete: true,
    })
  })

  test('paths are generalised by variables only, and what comes together is added up', () => {
    const { files: found } = of({ files: files('read', '/tmp/a', '/tmp/b', '/srv/1', '/srv/2', '/srv/3') })
    expect(found).toEqual([
      { operation: 'read', path: '$tmp/**', count: 2 },
      { operation: 'read', path: '/srv/1', count: 1 },
      { operation: 'read', path: '/srv/2', count: 1 },
      { operation: 'read', path: '/srv/3', count: 1 },
    ])
  })

  test('does not depend on order', () => {
    const digest = fingerprintDigest(of(RUN))
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...(RUN.files ?? [])], { minLength: 4 }),
        fc.shuffledSubarray([...(CONTEXT.variables ?? [])], { minLength: 3 }),
        (shuffled, variables) => {
          expect(fingerprintDigest(of({ ...RUN, files: shuffled }, { ...CONTEXT, variables }))).toBe(digest)
        },
      ),
    )
  })

  test.each<[string, Partial<Observation>, Partial<FingerprintContext>]>([
    ['another file', { files: files('read', '/srv/x') }, {}],
    ['a count', { calls: [{ name: 'openat', count: 5 }] }, {}],
    ['a hash', { programs: [{ path: '/usr/bin/python3.11', named: [], sha256: 'ab', count: 1 }] }, {}],
    ['the kernel', { kernelRelease: '6.2.0' }, {}],
    ['the content', {}, { contentHash: 'sha256:2' }],
    ['the enforcer', {}, { enforcerVersion: '2' }],
    ['a loss', { lost: 1, complete: false }, {}],
  ])('%s is in the digest', (_name, parts, context) => {
    expect(fingerprintDigest(of({ ...RUN, ...parts }, { ...CONTEXT, ...context }))).not.toBe(fingerprintDigest(of(RUN)))
  })

  test.each([
    { name: 'Work', path: '/w' },
    { name: 'w', path: 'w' },
    { name: 'w', path: '/w/' },
    { name: 'w', path: '/' },
  ])('the variable %j is misuse', (variable) => {
    expect(() => of(RUN, { ...CONTEXT, variables: [variable] })).toThrow(TypeError)
  })
})

describe('of a confinement', () => {
  const event = (seq: number, fact: object): EnforcerEvent => ({ seq, at: 0, ...fact }) as EnforcerEvent
  const facts = { kernelRelease: '6.1.0', arch: 'x86_64' }

  test('started programs, denials, egress and a histogram', () => {
    const fingerprint = fingerprintConfinement(
      {
        ...facts,
        events: [
          event(1, { type: 'started', pid: 2, file: '/usr/bin/sh' }),
          event(2, { type: 'denied', feature: 'fs_read', subject: '/home/u/work/x', evidence: 'enforced' }),
          event(3, { type: 'denied', feature: 'fs_read', subject: '/home/u/work/x', evidence: 'enforced' }),
          event(4, { type: 'exited', pid: 2, code: 0 }),
        ],
        programHashes: new Map([['/usr/bin/sh', 'aa']]),
        egress: [{ host: 'api.example', port: 443, protocol: 'tcp' }],
        syscalls: [
          { name: 'read', count: 9 },
          { name: 'ptrace', count: 0 },
        ],
      },
      CONTEXT,
    )
    expect(fingerprint).toMatchObject({
      source: 'confinement',
      syscallCoverage: 'all',
      syscalls: [{ name: 'read', arch: 'x86_64', count: 9 }],
      programs: [{ path: '/usr/bin/sh', sha256: 'aa', count: 1 }],
      denied: [{ feature: 'fs_read', subject: '$work/x', count: 2 }],
      egress: [{ host: 'api.example', port: 443, protocol: 'tcp', count: 1 }],
      complete: true,
    })
  })

  test.each([
    ['lost events', [event(1, { type: 'lost', count: 3 })], 3],
    ['a gap', [event(1, { type: 'started', pid: 2, file: '/a' }), event(4, { type: 'exited', pid: 2 })], 2],
    ['a missing begin', [event(2, { type: 'exited', pid: 2 })], 1],
  ])('%s: the run does not count', (_name, events, lost) => {
    expect(fingerprintConfinement({ ...facts, events }, CONTEXT)).toMatchObject({ lost, complete: false })
  })
})

describe('a comparison', () => {
  const base = of(RUN)

  test('of equals has nothing, also when counts differ', () => {
    const run = of({ ...RUN, calls: [{ name: 'openat', count: 400 }] })
    expect(compareFingerprints(base, run)).toEqual({ complete: true, added: [], removed: [], violations: [] })
  })

  test.each<[string, Partial<Observation>, string, string]>([
    [
      'new_syscall',
      {
        calls: [
          { name: 'openat', count: 4 },
          { name: 'ptrace', count: 1 },
        ],
      },
      'new_syscall',
      'ptrace (x86_64)',
    ],
    [
      'new_program',
      { programs: [...(RUN.programs ?? []), { path: '/usr/bin/curl', named: [], sha256: 'cc', count: 1 }] },
      'new_program',
      'run /usr/bin/curl sha256:cc',
    ],
    [
      'program_changed',
      { programs: [{ path: '/usr/bin/python3.11', named: [], sha256: 'bb', count: 1 }] },
      'program_changed',
      'run /usr/bin/python3.11 sha256:bb',
    ],
    ['new_file', { files: [...(RUN.files ?? []), file('read', '/etc/shadow')] }, 'new_file', 'read /etc/shadow'],
    [
      'another use of a known file',
      { files: [...(RUN.files ?? []), file('write', '/home/u/work/in')] },
      'new_file',
      'write $work/in',
    ],
    [
      'new_egress',
      { egress: [...(RUN.egress ?? []), peer('192.0.2.1', 8443, { host: 'api.example' })] },
      'new_egress',
      'tcp api.example port 8443',
    ],
  ])('%s', (_name, parts, code, text) => {
    const comparison = compareFingerprints(base, of({ ...RUN, ...parts }))
    expect(comparison.complete).toBe(true)
    expect(comparison.violations).toEqual([{ code, text }])
    expect(comparison.added.map((one) => one.text)).toEqual([text])
  })

  test('what a run did not do is no violation', () => {
    const comparison = compareFingerprints(base, of({ ...RUN, files: [], egress: [] }))
    expect(comparison.violations).toEqual([])
    expect(comparison.removed.map(({ kind }) => kind)).toEqual(['file', 'file', 'file', 'file', 'egress'])
  })

  test('a loss on either side: not complete, and a violation', () => {
    const lossy = of({ ...RUN, lost: 1, complete: false })
    for (const [a, b] of [
      [base, lossy],
      [lossy, base],
    ] as const) {
      expect(compareFingerprints(a, b)).toMatchObject({ complete: false, violations: [{ code: 'incomplete' }] })
    }
    // A stored value that contradicts itself is not believed.
    expect(compareFingerprints({ ...base, lost: 1 }, base).complete).toBe(false)
  })

  test('another content, enforcer or way of counting', () => {
    const code = (run: Fingerprint): unknown => compareFingerprints(base, run).violations.map((one) => one.code)
    expect(code(of(RUN, { ...CONTEXT, contentHash: 'sha256:2' }))).toEqual(['content_changed'])
    expect(code(of(RUN, { ...CONTEXT, enforcerVersion: '2' }))).toEqual(['not_comparable'])
    expect(code({ ...base, syscallCoverage: 'all' })).toEqual(['not_comparable'])
  })

  test('denials are violations also when they are not new', () => {
    const denied = [{ feature: 'egress', subject: 'evil.example', count: 1 }]
    const comparison = compareFingerprints({ ...base, denied }, { ...base, denied })
    expect(comparison.added).toEqual([])
    expect(comparison.violations).toEqual([{ code: 'denied', text: 'denied egress evil.example' }])
  })

  test('adding behaviour never takes a violation away', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.constantFrom('/a', '/b', '/c', '/d')),
        fc.constantFrom('/a', '/e'),
        (paths, more) => {
          const few = compareFingerprints(base, of({ ...RUN, files: files('read', ...paths) }))
          const many = compareFingerprints(base, of({ ...RUN, files: files('read', ...new Set([...paths, more])) }))
          for (const violation of few.violations) expect(many.violations).toContainEqual(violation)
        },
      ),
    )
  })
})
