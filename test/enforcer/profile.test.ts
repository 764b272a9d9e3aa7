import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { pathPatternsMayMeet } from '../../src/core/path-overlap.ts'
import { pathMatches } from '../../src/core/path-pattern.ts'
import {
  compileProfile,
  type GrantRule,
  type Profile,
  type ProfileGrant,
  type ProfileNeed,
} from '../../src/enforcer/profile.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { hosts, NOTHING, paths } from './helpers.ts'

function compile(
  need: Partial<ProfileNeed>,
  permits: Partial<GrantRule>[],
  forbids: Partial<GrantRule>[] = [],
  more: Partial<ProfileGrant> = {},
) {
  const named = (rules: Partial<GrantRule>[], word: string): GrantRule[] =>
    rules.map((rule, index) => ({ rule: `${word}${index}`, ...rule }))
  return compileProfile(
    { ...NOTHING, ...need },
    { permits: named(permits, 'permit'), forbids: named(forbids, 'forbid'), ...more },
  )
}

/** `text < rule` of every entry, by section; empty sections left out. */
function shown(profile: Profile): Record<string, string[]> {
  const sections = {
    read: profile.read,
    write: profile.write,
    execute: profile.execute,
    binaries: profile.binaries,
    libraries: profile.libraries,
    rights: profile.rights,
    egress: profile.egress,
    env: profile.env,
    'no read': profile.denied.read,
    'no write': profile.denied.write,
    'no execute': profile.denied.execute,
    'no egress': profile.denied.egress,
  }
  return Object.fromEntries(
    Object.entries(sections)
      .filter(([, entries]) => entries.length > 0)
      .map(([name, entries]) => [
        name,
        entries.map(({ value, rule }) => `${typeof value === 'string' ? value : value.text} < ${rule}`),
      ]),
  )
}

describe('manifest ∩ policy', () => {
  test('a network that two permits grant half and half is granted, under both their names', () => {
    const halves = [{ hosts: hosts('10.0.0.0/9') }, { hosts: hosts('10.128.0.0/9') }]
    const need = { allowedHosts: hosts('10.0.0.0/8') }
    const { profile, excess } = compile(need, halves)
    expect(shown(profile)).toEqual({ egress: ['10.0.0.0/8 < permit0, permit1'] })
    expect(excess).toEqual([])
    expect(compile(need, halves.slice(1)).profile.egress).toEqual([])
  })

  test('an egress ceiling keeps what it does not contain out, whatever the permits say', () => {
    const need = { allowedHosts: hosts('api.example.com', 'evil.example.net') }
    const permits = [{ hosts: hosts('*') }]
    expect(compile(need, permits).profile.egress).toHaveLength(2)
    const bound = compile(need, permits, [], { egressCeiling: hosts('**.example.com') })
    expect(shown(bound.profile)).toEqual({ egress: ['api.example.com < permit0'] })
    expect(bound.excess).toEqual([{ kind: 'host', text: 'evil.example.net', reason: 'not_granted' }])
    expect(compile(need, permits, [], { egressCeiling: [] }).profile.egress).toEqual([])
  })

  test.each<
    [string, Partial<ProfileNeed>, Partial<GrantRule>[], Partial<GrantRule>[], Record<string, string[]>, string[]]
  >([
    [
      'nothing asked, everything granted: nothing',
      {},
      [{ reads: paths('/**'), hosts: hosts('**.example.com'), env: ['HOME'] }],
      [],
      {},
      [],
    ],
    [
      'everything asked, nothing granted: nothing',
      {
        readablePaths: paths('/**'),
        allowedHosts: hosts('api.example.com'),
        allowedBinaries: ['/bin/sh'],
        allowedEnv: ['HOME'],
      },
      [],
      [],
      {},
      [
        'read /** not_granted',
        'binary /bin/sh not_granted',
        'host api.example.com not_granted',
        'env HOME not_granted',
      ],
    ],
    [
      'a wide grant does not widen a narrow wish',
      { readablePaths: paths('/srv/a/in.csv') },
      [{ reads: paths('/srv/**') }],
      [],
      { read: ['/srv/a/in.csv < permit0'] },
      [],
    ],
    [
      'a narrow grant does not let a wide wish through, not even in part',
      { readablePaths: paths('/srv/**') },
      [{ reads: paths('/srv/a/**') }],
      [],
      {},
      ['read /srv/** not_granted'],
    ],
    [
      'a grant to read is none to write',
      { writablePaths: paths('/srv/a') },
      [{ reads: paths('/srv/**') }],
      [],
      {},
      ['write /srv/a not_granted'],
    ],
    [
      'a grant to write is none to read',
      { readablePaths: paths('/srv/a') },
      [{ writes: paths('/srv/**') }],
      [],
      {},
      ['read /srv/a not_granted'],
    ],
    [
      'the first rule that contains it is named',
      { allowedBinaries: ['/usr/bin/python3'] },
      [{ binaries: paths('/bin/*') }, { binaries: paths('/usr/bin/*') }, { binaries: paths('/**') }],
      [],
      { binaries: ['/usr/bin/python3 < permit1'] },
      [],
    ],
    [
      'hosts by pattern',
      { allowedHosts: hosts('api.example.com', '**.example.com', 'evil.org') },
      [{ hosts: hosts('**.example.com') }],
      [],
      { egress: ['api.example.com < permit0', '**.example.com < permit0'] },
      ['host evil.org not_granted'],
    ],
    [
      'an environment variable by its exact name',
      { allowedEnv: ['TOKEN'] },
      [{ env: ['token', 'TOKEN2'] }],
      [],
      {},
      ['env TOKEN not_granted'],
    ],
    [
      'libraries and trees to execute',
      { allowedLibraries: paths('/usr/lib/libc.so.6', '/usr/lib/**'), executablePaths: paths('/opt/tool/**') },
      [{ libraries: paths('/usr/lib/*'), executes: paths('/opt/**') }],
      [],
      { execute: ['/opt/tool/** < permit0'], libraries: ['/usr/lib/libc.so.6 < permit0'] },
      ['library /usr/lib/** not_granted'],
    ],
    [
      'rights one by one',
      { processRights: ['listen', 'executable_memory', 'udp'] },
      [{ rights: ['listen', 'unix_sockets'] }, { rights: ['udp'] }],
      [{ rights: ['udp'] }],
      { rights: ['listen < permit0'] },
      ['right executable_memory not_granted', 'right udp forbidden'],
    ],
    [
      'what is asked twice is there once',
      { readablePaths: paths('/a', '/a') },
      [{ reads: paths('/a') }],
      [],
      { read: ['/a < permit0'] },
      [],
    ],
  ])('%s', (_name, need, permits, forbids, profile, excess) => {
    const compiled = compile(need, permits, forbids)
    expect(shown(compiled.profile)).toEqual(profile)
    expect(compiled.excess.map(({ kind, text, reason }) => `${kind} ${text} ${reason}`)).toEqual(excess)
  })

  test('a forbid beats every permit', () => {
    const compiled = compile(
      {
        readablePaths: paths('/srv/secret/key'),
        allowedBinaries: ['/bin/sh'],
        allowedEnv: ['KEY'],
        allowedHosts: hosts('a.example.com'),
      },
      [{ reads: paths('/**'), binaries: paths('/**'), env: ['KEY'], hosts: hosts('**.example.com') }],
      [
        { reads: paths('/srv/secret/**'), binaries: paths('/bin/*') },
        { env: ['KEY'], hosts: hosts('**.example.com') },
      ],
    )
    expect(compiled.excess).toEqual([
      { kind: 'read', text: '/srv/secret/key', reason: 'forbidden', rule: 'forbid0' },
      { kind: 'binary', text: '/bin/sh', reason: 'forbidden', rule: 'forbid0' },
      { kind: 'host', text: 'a.example.com', reason: 'forbidden', rule: 'forbid1' },
      { kind: 'env', text: 'KEY', reason: 'forbidden', rule: 'forbid1' },
    ])
    expect(shown(compiled.profile)).toEqual({})
  })

  test('a program in a tree where nothing may be run is not run by its own name either', () => {
    const { excess } = compile(
      { allowedBinaries: ['/opt/x/run'] },
      [{ binaries: paths('/**') }],
      [{ executes: paths('/opt/**') }],
    )
    expect(excess).toEqual([{ kind: 'binary', text: '/opt/x/run', reason: 'forbidden', rule: 'forbid0' }])
  })

  test('a forbid inside of a grant is a hole in the profile, with its rule', () => {
    const compiled = compile(
      {
        readablePaths: paths('/srv/**'),
        writablePaths: paths('/tmp/out/**'),
        executablePaths: paths('/opt/**'),
        allowedHosts: hosts('**.example.com'),
      },
      [{ reads: paths('/**'), writes: paths('/**'), executes: paths('/**'), hosts: hosts('**.example.com') }],
      [
        {
          reads: paths('/srv/secret/**', '/home/**'),
          writes: paths('/var/**'),
          binaries: paths('/opt/x'),
          hosts: hosts('bad.example.com'),
        },
      ],
    )
    expect(compiled.excess).toEqual([])
    expect(shown(compiled.profile)).toEqual({
      read: ['/srv/** < permit0'],
      write: ['/tmp/out/** < permit0'],
      execute: ['/opt/** < permit0'],
      egress: ['**.example.com < permit0'],
      // What meets no grant as written may still be another name of something that does.
      'no read': ['/srv/secret/** < forbid0', '/home/** < forbid0'],
      'no write': ['/var/** < forbid0'],
      'no execute': ['/opt/x < forbid0'],
      'no egress': ['bad.example.com < forbid0'],
    })
  })

  test.each<[string, Partial<GrantRule>]>([
    ['a library', { libraries: paths('/usr/lib/evil/**') }],
    ['a program', { binaries: paths('/usr/lib/evil/**') }],
    ['a tree to execute', { executes: paths('/usr/lib/evil/**') }],
  ])('code forbidden as %s is a hole wherever code is granted, also where only programs are', (_name, forbid) => {
    const all = [{ binaries: paths('/**'), libraries: paths('/**'), executes: paths('/**') }]
    for (const need of [
      { allowedLibraries: paths('/usr/lib/**') },
      { executablePaths: paths('/usr/**') },
      // Not in the list, but what python3 needs to start comes with it.
      { allowedBinaries: ['/usr/bin/python3'] },
    ]) {
      const compiled = compile(need, all, [forbid])
      expect(compiled.excess).toEqual([])
      expect(shown(compiled.profile)['no execute']).toEqual(['/usr/lib/evil/** < forbid0'])
    }
    const { profile, excess } = compile(
      {
        allowedLibraries: paths('/usr/lib/evil/*.so'),
        executablePaths: paths('/usr/lib/evil/bin/**'),
        allowedBinaries: ['/usr/lib/evil/x'],
      },
      all,
      [forbid],
    )
    expect(excess.map(({ reason }) => reason)).toEqual(['forbidden', 'forbidden', 'forbidden'])
    expect(shown(profile)).toEqual({})
  })

  test('control: permits alone would let the process read what the policy forbids', () => {
    const compiled = compile(
      { readablePaths: paths('/srv/**') },
      [{ reads: paths('/srv/**') }],
      [{ reads: paths('/srv/secret/**') }],
    )
    const naive = compiled.profile.read.some(({ value }) => pathMatches(value, '/srv/secret/key'))
    const hole = compiled.profile.denied.read.some(({ value }) => pathMatches(value, '/srv/secret/key'))
    expect([naive, hole]).toEqual([true, true])
  })

  test('system calls forbidden by either side stay forbidden; ephemeral by either side is ephemeral', () => {
    const { profile } = compile({ forbiddenSyscalls: ['execveat', 'ptrace'] }, [], [], {
      forbiddenSyscalls: [{ value: 'ptrace', rule: 'floor' }],
      executionMode: 'ephemeral',
    })
    expect(profile.forbiddenSyscalls).toEqual([
      { value: 'ptrace', rule: 'floor' },
      { value: 'execveat', rule: 'manifest' },
    ])
    expect(profile.executionMode).toBe('ephemeral')
    expect(compile({ executionMode: 'ephemeral' }, [], [], { executionMode: 'shared' }).profile.executionMode).toBe(
      'ephemeral',
    )
  })

  test('the lower limit holds', () => {
    const { profile } = compile({ limits: { wallMs: 10, memoryBytes: 100 } }, [], [], {
      limits: { wallMs: 5, processes: 3 },
    })
    expect(profile.limits).toEqual({ wallMs: 5, memoryBytes: 100, processes: 3 })
    for (const wallMs of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '5' as unknown as number]) {
      expect(() => compile({ limits: { wallMs } }, [])).toThrow(TypeError)
    }
  })

  test('the digest is of the content, whatever order and rules it came from', () => {
    const one = compile({ readablePaths: paths('/a', '/b') }, [{ reads: paths('/**') }]).profile
    const other = compile({ readablePaths: paths('/b', '/a') }, [
      { reads: paths('/a') },
      { reads: paths('/b') },
    ]).profile
    const hole = compile(
      { readablePaths: paths('/a', '/b') },
      [{ reads: paths('/**') }],
      [{ reads: paths('/a') }],
    ).profile
    expect(other.digest).toBe(one.digest)
    expect(hole.digest).not.toBe(one.digest)
    const digests = [
      one,
      hole,
      compile({ processRights: ['udp'] }, [{ rights: ['udp'] }]).profile,
      compile({ processRights: ['listen'] }, [{ rights: ['listen'] }]).profile,
      compile({ allowedLibraries: paths('/a') }, [{ libraries: paths('/a') }]).profile,
      compile({ executablePaths: paths('/a') }, [{ executes: paths('/a') }]).profile,
      compile({ limits: { processes: 1 } }, []).profile,
      compile({}, []).profile,
    ].map(({ digest }) => digest)
    expect(new Set(digests).size).toBe(digests.length)
    expect(one.digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  })
})

describe('properties', () => {
  const segment = fc.constantFrom('a', 'b', 'a*', '*', '**')
  const pattern = fc
    .array(segment, { minLength: 1, maxLength: 4 })
    .map((parts) => `/${parts.filter((part, index) => part !== '**' || parts[index - 1] !== '**').join('/')}`)
  const path = fc.array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 4 }).map((parts) => `/${parts.join('/')}`)

  test('what the profile opens was asked for, is granted, and is either not forbidden or in a hole', () => {
    fc.assert(
      fc.property(
        fc.array(pattern, { maxLength: 3 }),
        fc.array(pattern, { maxLength: 3 }),
        fc.array(pattern, { maxLength: 2 }),
        path,
        (asked, granted, forbidden, at) => {
          const any = (texts: readonly string[]): boolean => paths(...texts).some((one) => pathMatches(one, at))
          const { profile } = compile(
            { readablePaths: paths(...asked) },
            [{ reads: paths(...granted) }],
            [{ reads: paths(...forbidden) }],
          )
          const open = profile.read.some(({ value }) => pathMatches(value, at))
          const hole = profile.denied.read.some(({ value }) => pathMatches(value, at))
          if (open && !hole) expect([any(asked), any(granted), any(forbidden)]).toEqual([true, true, false])
        },
      ),
      { numRuns: fuzzRuns(500) },
    )
  })

  test('two patterns that share a path may meet', () => {
    fc.assert(
      fc.property(pattern, pattern, path, (one, other, at) => {
        const [a, b] = paths(one, other)
        if (a === undefined || b === undefined) return
        if (pathMatches(a, at) && pathMatches(b, at)) expect(pathPatternsMayMeet(a, b)).toBe(true)
      }),
      { numRuns: fuzzRuns(1_000) },
    )
  })

  test.each([
    ['/a', '/b', false],
    ['/a/**', '/b/**', false],
    ['/a/x', '/a', false],
    ['/a/*.txt', '/a/x.csv', false],
    ['/a/*.txt', '/a/x.txt', true],
    ['/a/**', '/a', true],
    ['/', '/', true],
    ['/', '/a', false],
    ['/**/cache', '/usr/bin/tool', false],
    ['/**/cache', '/usr/**/tool', false],
    ['/**/cache', '/usr/**', true],
    ['/a/**/b', '/a/b', true],
    ['/x', '/**/y/x', false],
    ['/**/y', '/x/**', true],
  ])('%s and %s: %s', (one, other, expected) => {
    const [a, b] = paths(one, other)
    if (a === undefined || b === undefined) throw new Error('no pattern')
    expect([pathPatternsMayMeet(a, b), pathPatternsMayMeet(b, a)]).toEqual([expected, expected])
  })
})
