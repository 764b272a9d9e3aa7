import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type HostFiles, nodeHostFiles, rememberFiles, resolvePath } from '../../src/linux/host-files.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { DEBIAN, host } from './host.ts'

// biome-ignore lint/suspicious/noConsole: a test that does not run must not be silent about it
if (process.platform === 'win32') console.warn('not run: this system has no POSIX files')

describe.skipIf(process.platform === 'win32')('files of this host', () => {
  let directory = ''

  beforeAll(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'agentport-files-')))
    mkdirSync(join(directory, 'a/b'), { recursive: true })
    writeFileSync(join(directory, 'a/b/file'), 'content')
    symlinkSync('b/../b/./file', join(directory, 'a/link'))
    symlinkSync(join(directory, 'a'), join(directory, 'absolute'))
    symlinkSync('a/b/', join(directory, 'c'))
    symlinkSync('circle', join(directory, 'circle'))
    symlinkSync('nowhere', join(directory, 'dangling'))
    execFileSync('mkfifo', [join(directory, 'fifo')])
  })

  afterAll(() => {
    rmSync(directory, { recursive: true, force: true })
  })

  test('resolvePath agrees with realpath(3)', () => {
    const segment = fc.constantFrom('a', 'b', 'file', 'link', 'absolute', 'c', 'circle', 'dangling', 'fifo', 'none')
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 4 }), (segments) => {
        const path = [directory, ...segments].join('/')
        let expected: string | undefined
        try {
          expected = realpathSync.native(path)
        } catch {
          expected = undefined
        }
        expect(resolvePath(nodeHostFiles, path)?.real).toBe(expected)
      }),
      { numRuns: fuzzRuns(500) },
    )
  })

  test('links are told in the order they are followed', () => {
    const found = resolvePath(nodeHostFiles, `${directory}/absolute/link`)
    expect(found?.links.map(({ path, to }) => [path.slice(directory.length), to])).toEqual([
      ['/absolute', `${directory}/a`],
      ['/a/link', 'b/../b/./file'],
    ])
    expect(found?.stat).toMatchObject({ type: 'file', links: 1 })
  })

  test('pieces of a regular file, and nothing of anything else', () => {
    const file = `${directory}/a/b/file`
    const read = (path: string): string | undefined =>
      nodeHostFiles.read(path, (source) => new TextDecoder().decode(source.read(3, 100)))
    expect(read(file)).toBe('tent')
    expect(nodeHostFiles.read(file, (source) => source.read(100, 10).length)).toBe(0)
    // Each of these would follow, hang or throw.
    for (const name of ['a/link', 'fifo', 'a', 'none', 'circle']) expect(read(`${directory}/${name}`)).toBeUndefined()
    expect(nodeHostFiles.lstat(`${directory}/fifo`)?.type).toBe('fifo')
    expect(nodeHostFiles.readdir(`${directory}/a`)).toEqual([
      { name: 'b', type: 'directory' },
      { name: 'link', type: 'symlink' },
    ])
    expect(nodeHostFiles.readdir(file)).toBeUndefined()
  })
})

test('remembered files do not change during a plan', () => {
  let asked = 0
  let real = host(DEBIAN)
  const changing: HostFiles = {
    lstat: (path) => {
      asked++
      return real.lstat(path)
    },
    readlink: (path) => real.readlink(path),
    readdir: (path) => real.readdir(path),
    read: (path, use) => real.read(path, use),
  }
  const files = rememberFiles(changing)
  const before = resolvePath(files, '/bin/sh')?.real
  expect(before).toBe('/usr/bin/dash')
  const once = asked
  real = host({ '/bin': { link: '/evil' }, '/evil/sh': 'x' })
  expect(resolvePath(files, '/bin/sh')?.real).toBe(before)
  expect(asked).toBe(once)
})
