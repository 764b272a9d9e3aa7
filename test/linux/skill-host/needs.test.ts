import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'

import { compileProfile, type GrantRule, type Profile, type ProfileNeed } from '../../../src/enforcer/profile.ts'
import { EnforcementUnavailableError } from '../../../src/enforcer/report.ts'
import { hostFiles, hostProfile, nodeFlags, skillHostNeeds } from '../../../src/linux/skill-host/needs.ts'
import { hosts, NOTHING, paths } from '../../enforcer/helpers.ts'

const FILES = { directory: '/srv/skills/prices', node: '/usr/bin/node', program: '/opt/agentport/child.mjs' }

function profile(need: Partial<ProfileNeed>, forbid: Partial<GrantRule> = {}): Profile {
  const all = paths('/**')
  return compileProfile(
    { ...NOTHING, ...need },
    {
      permits: [
        {
          rule: 'permit',
          reads: all,
          writes: all,
          executes: all,
          binaries: all,
          libraries: all,
          hosts: hosts('api.example.com'),
          env: ['TZ'],
          rights: ['udp'],
        },
      ],
      forbids: [{ rule: 'forbid', ...forbid }],
      forbiddenSyscalls: [{ value: 'ptrace', rule: 'policy' }],
    },
  ).profile
}

const texts = (entries: readonly { readonly value: { readonly text: string } }[]): readonly string[] =>
  entries.map(({ value }) => value.text)

describe('hostProfile', () => {
  test('adds reading the skill and the program, and Node; and nothing else', () => {
    const base = profile(
      {
        readablePaths: paths('/srv/data/**'),
        writablePaths: paths('/srv/out/**'),
        executablePaths: paths('/srv/tools/**'),
        allowedBinaries: ['/usr/bin/git'],
        allowedLibraries: paths('/usr/lib/libz.so.1'),
        allowedHosts: hosts('api.example.com'),
        allowedEnv: ['TZ'],
        processRights: ['udp'],
        forbiddenSyscalls: ['mount'],
        limits: { wallMs: 5000, memoryBytes: 2 ** 28, processes: 30 },
      },
      { reads: paths('/srv/data/private/**'), hosts: hosts('admin.example.com'), executes: paths('/srv/tools/old/**') },
    )
    const { digest, read, binaries, ...rest } = hostProfile(base, FILES)
    const { digest: before, read: reads, binaries: programs, ...others } = base
    expect(rest).toEqual(others)
    expect(read.slice(0, reads.length)).toEqual(reads)
    expect(texts(read.slice(reads.length))).toEqual(['/srv/skills/prices/**', '/opt/agentport/child.mjs'])
    expect(binaries).toEqual([...programs, { value: '/usr/bin/node', rule: 'skill host' }])
    expect(digest).not.toBe(before)
    expect(hostProfile(base, FILES).digest).toBe(digest)
  })

  test('a profile that holds it already stays as it is', () => {
    const base = profile({
      readablePaths: paths('/srv/skills/prices/**', '/opt/agentport/child.mjs'),
      allowedBinaries: ['/usr/bin/node'],
    })
    expect(hostProfile(base, FILES)).toEqual(base)
  })

  test.each<readonly [string, Partial<ProfileNeed>, Partial<GrantRule>]>([
    ['reading the skill', { readablePaths: paths('/srv/**') }, { reads: paths('/srv/skills/**') }],
    ['running Node', { allowedBinaries: ['/usr/bin/git'] }, { binaries: paths('/usr/bin/n*') }],
    ['code in that directory', { allowedBinaries: ['/usr/bin/git'] }, { executes: paths('/usr/bin/node') }],
  ])('a forbid of %s beats what the host needs', (_, need, forbid) => {
    expect(() => hostProfile(profile(need, forbid), FILES)).toThrow(EnforcementUnavailableError)
  })

  test.each(['/srv/**', '/srv/skills/prices/**', '/srv/skills/prices/cache/**', '/opt/agentport/**', '/usr/bin/node'])(
    'a skill that may write %s is refused',
    (path) => {
      const base = profile({ writablePaths: paths(path) })
      expect(() => hostProfile(base, FILES)).toThrow(EnforcementUnavailableError)
    },
  )

  test.each(['/srv/sk*lls', '/srv/{a,b}', '/srv/**'])('a path that is a pattern is refused: %s', (directory) => {
    expect(() => hostProfile(profile({}), { ...FILES, directory })).toThrow(/pattern/)
  })
})

describe('skillHostNeeds', () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'needs-')))
  mkdirSync(join(root, 'real'))
  symlinkSync(join(root, 'real'), join(root, 'link'))
  writeFileSync(join(root, 'child.mjs'), '')
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  test('says in words of a manifest what the host needs, by real names', () => {
    expect(skillHostNeeds({ directory: join(root, 'link'), program: join(root, 'child.mjs') })).toEqual({
      allowedBinaries: [realpathSync(process.execPath)],
      readablePaths: [`${root}/real/**`, `${root}/child.mjs`],
    })
  })

  test.each(['relative', '/a/../b', '/a//b', '/a/', ''])(
    'a directory that is no plain path is misuse: %s',
    (directory) => {
      expect(() => hostFiles({ directory, program: join(root, 'child.mjs') })).toThrow(TypeError)
    },
  )

  test('one that is not there is not', () => {
    expect(() => hostFiles({ directory: join(root, 'absent') })).toThrow(expect.objectContaining({ reason: 'start' }))
  })
})

test('the flags follow from what the box holds', () => {
  expect(nodeFlags({ executableMemory: false })).toContain('--jitless')
  expect(nodeFlags({ executableMemory: true })).not.toContain('--jitless')
  for (const executableMemory of [true, false]) {
    expect(nodeFlags({ executableMemory })).toEqual(
      expect.arrayContaining(['--disallow-code-generation-from-strings', '--no-addons']),
    )
  }
  expect(nodeFlags({ executableMemory: true, memoryBytes: 2 ** 28 })).toContain('--max-old-space-size=192')
  expect(nodeFlags({ executableMemory: true, memoryBytes: 1 })).toContain('--max-old-space-size=16')
})
