import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { AgentPortError } from '../../src/core/errors.ts'
import { LIMITS } from '../../src/core/limits.ts'

// What another process does to the directory between two looks at it: run right before the named call.
const races = vi.hoisted(() => ({ before: new Map<string, (path: string) => void>(), withoutProc: false }))

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>()
  const racing =
    (name: 'openSync' | 'readSync' | 'lstatSync' | 'opendirSync') =>
    (...args: unknown[]) => {
      races.before.get(name)?.(String(args[0]))
      return (real[name] as (...rest: unknown[]) => unknown)(...args)
    }
  return {
    ...real,
    existsSync: (path: string) => !(races.withoutProc && path.startsWith('/proc/')) && real.existsSync(path),
    openSync: racing('openSync'),
    readSync: racing('readSync'),
    lstatSync: racing('lstatSync'),
    opendirSync: racing('opendirSync'),
  }
})

// Bounds small enough to run into in a test; each has the same effect at any size.
vi.mock('../../src/core/limits.ts', async (original) => {
  const { LIMITS } = await original<typeof import('../../src/core/limits.ts')>()
  return { LIMITS: { ...LIMITS, skillFiles: 100, skillBytes: 1 << 20, envelopeLength: 1 << 16 } }
})

const { readSkillDirectory } = await import('../../src/node/skill-directory.ts')

let home: string
let skill: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'agentport-skill-'))
  skill = join(home, 'web_search')
  put('manifest.json', '{"skill":"web_search"}')
  put('index.js', 'export const x = 1\n')
  put('lib/deep/util.js', '// util\n')
  put('bin/run.sh', '#!/bin/sh\n', 0o755)
  put('.env', 'A=1')
  put('node_modules/dep/index.js', '')
  writeFileSync(join(home, 'secret'), 'outside')
})

afterEach(() => {
  races.before.clear()
  races.withoutProc = false
  rmSync(home, { recursive: true, force: true })
})

function put(path: string, content: string | Uint8Array, mode = 0o644): void {
  const full = join(skill, path)
  mkdirSync(dirname(full), { recursive: true })
  writeFileSync(full, content)
  chmodSync(full, mode)
}

function refusal(action: () => unknown = () => readSkillDirectory(skill)): string {
  try {
    action()
  } catch (error) {
    expect(error).toBeInstanceOf(AgentPortError)
    expect((error as AgentPortError).code).toBe('ERR_SKILL_UNREADABLE')
    return (error as AgentPortError).message.replace(`${skill}/`, '').replace(skill, '<skill>')
  }
  return 'read'
}

describe('a skill directory', () => {
  test('is read whole: dotfiles, modules, modes', () => {
    put('skill.attestation.json', '{"x":1}')
    const bundle = readSkillDirectory(skill)
    expect(bundle.name).toBe('web_search')
    expect(bundle.directory).toBe(skill)
    expect(bundle.attestation).toBe('{"x":1}')
    expect(bundle.manifest).toEqual({ file: `${skill}/manifest.json`, text: '{"skill":"web_search"}' })
    expect(bundle.files.map((file) => [file.path, file.executable, Buffer.from(file.bytes).toString()])).toEqual([
      ['.env', false, 'A=1'],
      ['bin/run.sh', true, '#!/bin/sh\n'],
      ['index.js', false, 'export const x = 1\n'],
      ['lib/deep/util.js', false, '// util\n'],
      ['manifest.json', false, '{"skill":"web_search"}'],
      ['node_modules/dep/index.js', false, ''],
    ])
  })

  test('without attestation has none', () => {
    expect(readSkillDirectory(skill).attestation).toBeUndefined()
  })

  test('an attestation below the root is a file like others', () => {
    put('lib/skill.attestation.json', 'x')
    const bundle = readSkillDirectory(skill)
    expect(bundle.attestation).toBeUndefined()
    expect(bundle.files.map((file) => file.path)).toContain('lib/skill.attestation.json')
  })

  test('can be expected under a name; verification compares it', () => {
    expect(readSkillDirectory(skill, { name: 'other' }).name).toBe('other')
  })

  test('may itself be reached through a link', () => {
    symlinkSync(skill, join(home, 'current'))
    expect(readSkillDirectory(join(home, 'current')).files).toHaveLength(6)
    expect(readSkillDirectory(`${skill}/`).manifest.file).toBe(`${skill}/manifest.json`)
  })

  test('the bytes are those that were read, whatever happens on disk', () => {
    const bundle = readSkillDirectory(skill)
    put('index.js', 'evil')
    expect(Buffer.from(bundle.files.find((file) => file.path === 'index.js')?.bytes ?? []).toString()).toBe(
      'export const x = 1\n',
    )
  })

  test('only the owner’s execute bit counts', () => {
    put('index.js', 'x', 0o611)
    put('bin/run.sh', 'x', 0o744)
    const modes = new Map(readSkillDirectory(skill).files.map((file) => [file.path, file.executable]))
    expect([modes.get('index.js'), modes.get('bin/run.sh')]).toEqual([false, true])
  })

  test.each([
    ['manifest.yaml', 'skill: web_search\n'],
    ['manifest.yml', 'skill: web_search\n'],
    ['claw.toml', 'skill = "web_search"\n'],
  ])('has its manifest in %s', (name, text) => {
    rmSync(join(skill, 'manifest.json'))
    put(name, text)
    expect(readSkillDirectory(skill)).toMatchObject({ name: 'web_search', manifest: { text } })
  })
})

describe('what is refused', () => {
  const attacks: [string, () => void, string][] = [
    ['a link to a file outside', () => symlinkSync('../secret', join(skill, 'x')), 'x: it is a symbolic link'],
    ['a link to a file inside', () => symlinkSync('index.js', join(skill, 'x')), 'x: it is a symbolic link'],
    ['a link to a directory', () => symlinkSync('/etc', join(skill, 'x')), 'x: it is a symbolic link'],
    ['a dangling link', () => symlinkSync('nowhere', join(skill, 'lib/x')), 'lib/x: it is a symbolic link'],
    ['a link to itself', () => symlinkSync('x', join(skill, 'x')), 'x: it is a symbolic link'],
    [
      'a linked attestation',
      () => symlinkSync('../secret', join(skill, 'skill.attestation.json')),
      'skill.attestation.json: it is a symbolic link',
    ],
    ['a hard link to outside', () => linkSync(join(home, 'secret'), join(skill, 'x')), 'x: it has a hard link'],
    ['a hard link inside', () => linkSync(join(skill, 'index.js'), join(skill, 'lib/x')), 'it has a hard link'],
    ['a FIFO', () => execFileSync('mkfifo', [join(skill, 'x')]), 'x: it is a FIFO'],
    ['an empty directory', () => mkdirSync(join(skill, 'empty')), 'empty: the directory is empty'],
    [
      'an empty directory deep down',
      () => mkdirSync(join(skill, 'lib/deep/empty')),
      'lib/deep/empty: the directory is empty',
    ],
    [
      'a set-user-id bit',
      () => chmodSync(join(skill, 'bin/run.sh'), 0o4755),
      'bin/run.sh: it has a set-user-id or set-group-id bit',
    ],
    ['a name with a line end', () => put('a\nb', ''), 'a\\u{a}b: the name has a control or invisible character'],
    ['a name with an escape', () => put('a\u001b[2J', ''), 'the name has a control or invisible character'],
    ['a backslash', () => put('a\\b', ''), 'the name has one of'],
    ['a device name', () => put('lib/AUX.js', ''), 'lib/AUX.js: the name is a device on Windows'],
    ['a repository', () => put('.git/config', ''), '.git: it is repository data'],
    ['names that differ in case', () => put('INDEX.js', ''), 'the name differs from another only in case'],
    [
      'a name that folds to the attestation',
      () => put('Skill.Attestation.json', ''),
      'the name differs from another only in case',
    ],
    ['a decomposed name', () => put('e\u0301', ''), 'the name is not in Unicode normalisation form C'],
    [
      'two manifests',
      () => put('claw.toml', 'skill = "web_search"'),
      '<skill>: it has more than one manifest: claw.toml, manifest.json',
    ],
    ['no manifest', () => rmSync(join(skill, 'manifest.json')), '<skill>: it has none of manifest.json'],
    [
      'a manifest that is not UTF-8',
      () => put('manifest.json', Uint8Array.of(0x22, 0xff, 0x22)),
      'manifest.json: it is not UTF-8',
    ],
    [
      'an attestation that is not UTF-8',
      () => put('skill.attestation.json', Uint8Array.of(0xff)),
      'skill.attestation.json: it is not UTF-8',
    ],
    [
      'an endless attestation',
      () => put('skill.attestation.json', 'x'.repeat(LIMITS.envelopeLength + 1)),
      'skill.attestation.json: it is larger than',
    ],
    [
      'a file over the limit',
      () => put('big', new Uint8Array(LIMITS.skillBytes + 1)),
      'big: with it the skill is larger than',
    ],
    [
      'two files over the limit',
      () => {
        for (const name of ['big', 'bigger']) put(name, new Uint8Array(LIMITS.skillBytes / 2))
      },
      'with it the skill is larger than',
    ],
    ['directories without end', () => mkdirSync(join(skill, 'd/'.repeat(70)), { recursive: true }), 'lies deeper than'],
  ]
  test.skipIf(process.platform === 'win32').each(attacks)('%s', (_name, attack, expected) => {
    attack()
    expect(refusal()).toContain(expected)
  })

  test('a name that is not UTF-8', () => {
    const name = Buffer.concat([Buffer.from(`${skill}/`), Buffer.from([0xff]), Buffer.from('.js')])
    writeFileSync(name, 'evil')
    put('\ufffd.js', 'benign')
    // Positive control: as strings both names are the same, and the benign file is read twice.
    const names = readdirSync(skill).filter((one) => one === '\ufffd.js')
    expect(names).toHaveLength(2)
    expect(names.map((one) => readFileSync(join(skill, one), 'utf8'))).toEqual(['benign', 'benign'])
    expect(refusal()).toBe('<skill>: a name in it is not UTF-8')
  })

  test('a socket', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(skill, 's'), resolve))
    expect(refusal()).toBe('s: it is a socket')
    await new Promise((resolve) => server.close(resolve))
  })

  test('too many files', () => {
    mkdirSync(join(skill, 'many'))
    for (let index = 0; index <= LIMITS.skillFiles + 1; index++) writeFileSync(join(skill, 'many', String(index)), '')
    expect(refusal()).toBe(`many: it has more than ${LIMITS.skillFiles} files`)
  })

  test('an unreadable file', () => {
    chmodSync(join(skill, 'index.js'), 0)
    // Root reads everything.
    if (process.getuid?.() !== 0) expect(refusal()).toBe('index.js: EACCES')
  })

  test.each([
    ['a directory that is not there', () => readSkillDirectory(join(home, 'nowhere')), 'ENOENT'],
    ['a file', () => readSkillDirectory(join(home, 'secret')), 'it is a link or was replaced (ENOTDIR)'],
    [
      'an empty directory',
      () => {
        mkdirSync(join(home, 'empty'))
        readSkillDirectory(join(home, 'empty'))
      },
      'the directory is empty',
    ],
  ])('%s', (_name, read, expected) => {
    expect(refusal(read)).toContain(expected)
  })

  test('no path is misuse', () => {
    expect(() => readSkillDirectory('')).toThrow(TypeError)
    expect(() => readSkillDirectory(undefined as unknown as string)).toThrow(TypeError)
  })

  test.each([
    ['does not parse', '{'],
    ['says no skill', '{}'],
    ['says an odd skill', '{"skill":"a/b"}'],
    ['says __proto__', '{"__proto__":{"skill":"x"}}'],
  ])('a manifest that %s is told with its place', (_name, text) => {
    put('manifest.json', text)
    expect(() => readSkillDirectory(skill)).toThrow(
      expect.objectContaining({
        code: 'ERR_MANIFEST_INVALID',
        problems: [expect.objectContaining({ file: `${skill}/manifest.json`, line: 1 })],
      }),
    )
  })
})

describe.skipIf(process.platform !== 'linux')('a directory that does not hold still', () => {
  /** Runs `change` once, right before `call` on a path that ends in `name`. */
  function race(call: string, name: string, change: () => void): void {
    races.before.set(call, (path) => {
      if (!path.endsWith(name)) return
      races.before.delete(call)
      change()
    })
  }

  test('positive control: look first, open later, and the secret is read', () => {
    expect(lstatSync(join(skill, 'index.js')).isFile()).toBe(true)
    rmSync(join(skill, 'index.js'))
    symlinkSync('../secret', join(skill, 'index.js'))
    expect(readFileSync(join(skill, 'index.js'), 'utf8')).toBe('outside')
  })

  test('a file becomes a link after it was looked at', () => {
    race('openSync', '/index.js', () => {
      rmSync(join(skill, 'index.js'))
      symlinkSync('../secret', join(skill, 'index.js'))
    })
    expect(refusal()).toBe('index.js: it is a link or was replaced (ELOOP)')
  })

  test('a file becomes a FIFO after it was looked at: refused, and nothing hangs', () => {
    race('openSync', '/index.js', () => {
      rmSync(join(skill, 'index.js'))
      execFileSync('mkfifo', [join(skill, 'index.js')])
    })
    expect(refusal()).toBe('index.js: it is a FIFO')
  })

  test('a directory becomes a link after it was looked at', () => {
    mkdirSync(join(home, 'outside'))
    writeFileSync(join(home, 'outside/util.js'), 'outside')
    race('openSync', '/lib', () => {
      renameSync(join(skill, 'lib'), join(home, 'gone'))
      symlinkSync('../outside', join(skill, 'lib'))
    })
    expect(refusal()).toBe('lib: it is a link or was replaced (ENOTDIR)')
  })

  test('a directory becomes a link after it was opened: what was opened is read', () => {
    mkdirSync(join(home, 'outside/deep'), { recursive: true })
    writeFileSync(join(home, 'outside/deep/util.js'), 'outside')
    const listing: string[] = []
    races.before.set('opendirSync', (path) => {
      listing.push(path)
      if (!existsIn(path, 'deep')) return
      races.before.delete('opendirSync')
      renameSync(join(skill, 'lib'), join(home, 'gone'))
      symlinkSync('../outside', join(skill, 'lib'))
    })
    const files = new Map(
      readSkillDirectory(skill).files.map((file) => [file.path, Buffer.from(file.bytes).toString()]),
    )
    expect(readFileSync(join(skill, 'lib/deep/util.js'), 'utf8')).toBe('outside')
    expect(files.get('lib/deep/util.js')).toBe('// util\n')
  })

  test('a file grows, shrinks or is rewritten while it is read', () => {
    const path = join(skill, 'index.js')
    const stamp = new Date(0)
    utimesSync(path, stamp, stamp)
    const changes = [
      () => writeFileSync(path, 'export const x = 2\n', { flag: 'a' }),
      () => truncateSync(path, 3),
      // Same length, and the old times put back: the change time still tells.
      () => {
        writeFileSync(path, 'export const x = 2\n')
        utimesSync(path, stamp, stamp)
      },
      () => chmodSync(path, 0o755),
      () => linkSync(path, join(home, 'second-name')),
    ]
    for (const change of changes) {
      put('index.js', 'export const x = 1\n')
      utimesSync(path, stamp, stamp)
      let reads = 0
      // The second regular file read is index.js or another; the change touches index.js only, so wait for its turn.
      races.before.set('openSync', (opened) => {
        if (!opened.endsWith('/index.js') || opened.includes('node_modules')) return
        if (!existsIn(dirname(opened), 'manifest.json')) return
        races.before.delete('openSync')
        races.before.set('readSync', () => {
          if (reads++ === 0) change()
        })
      })
      expect(refusal()).toBe('index.js: it changed while it was read')
      races.before.clear()
      rmSync(join(home, 'second-name'), { force: true })
    }
  })
})

// What other systems than Linux do: paths instead of descriptors.
describe.skipIf(process.platform === 'win32')('without a name for an open directory', () => {
  beforeEach(() => {
    races.withoutProc = true
  })

  test('the same files are read', () => {
    const files = readSkillDirectory(skill).files
    races.withoutProc = false
    expect(files).toEqual(readSkillDirectory(skill).files)
  })

  test('links are refused all the same', () => {
    symlinkSync('../secret', join(skill, 'lib/x'))
    expect(refusal()).toBe('lib/x: it is a symbolic link')
  })

  test('a directory that was replaced while it was read is noticed', () => {
    mkdirSync(join(home, 'outside/deep'), { recursive: true })
    writeFileSync(join(home, 'outside/deep/util.js'), 'outside')
    races.before.set('opendirSync', (path) => {
      if (!path.endsWith('/lib')) return
      races.before.delete('opendirSync')
      renameSync(join(skill, 'lib'), join(home, 'gone'))
      renameSync(join(home, 'outside'), join(skill, 'lib'))
    })
    expect(refusal()).toBe('lib: it was replaced while it was read')
  })
})

function existsIn(directory: string, name: string): boolean {
  return readdirSync(directory).includes(name)
}
