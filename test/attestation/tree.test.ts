import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { SkillFile } from '../../src/attestation/bundle.ts'
import { nameFaults } from '../../src/attestation/names.ts'
import { gitTree, skillDigest } from '../../src/attestation/tree.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { file, skillFiles } from './fixtures.ts'

const sha1 = (data: Uint8Array): Uint8Array => new Uint8Array(createHash('sha1').update(data).digest())

describe('known object ids', () => {
  test('the empty tree', () => {
    expect(gitTree([], sha1)).toBe('4b825dc642cb6eb9a060e54bf8d69288fbee4904')
    expect(gitTree([])).toBe('6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321')
  })

  test('one empty file: the tree around the well-known empty blob', () => {
    const blob = Buffer.from('e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', 'hex')
    const body = Buffer.concat([Buffer.from('100644 a\0'), blob])
    const expected = createHash('sha1').update(`tree ${body.length}\0`).update(body).digest('hex')
    expect(gitTree([file('a', '')], sha1)).toBe(expected)
  })
})

describe('what the digest sees', () => {
  const original = skillDigest(skillFiles())
  const edits: [string, (files: SkillFile[]) => SkillFile[]][] = [
    ['a byte', (files) => files.map((one) => (one.path === 'index.js' ? file(one.path, 'evil') : one))],
    ['a name', (files) => files.map((one) => (one.path === 'index.js' ? { ...one, path: 'main.js' } : one))],
    [
      'two names exchanged',
      ([a, b, ...rest]) => [
        { ...(a as SkillFile), path: (b as SkillFile).path },
        { ...(b as SkillFile), path: (a as SkillFile).path },
        ...rest,
      ],
    ],
    ['the execute bit', (files) => files.map((one) => ({ ...one, executable: false }))],
    ['one file more', (files) => [...files, file('.env', 'x')]],
    ['one file less', (files) => files.slice(1)],
    ['another directory', (files) => files.map((one) => ({ ...one, path: one.path.replace('lib/', 'src/') }))],
    [
      'a line end',
      (files) =>
        files.map((one) => (one.path === 'index.js' ? file(one.path, 'export const search = () => "found"\r\n') : one)),
    ],
  ]
  test.each(edits)('%s', (_name, edit) => {
    expect(skillDigest(edit(skillFiles()))).not.toBe(original)
  })

  test('not the order of the list', () => {
    expect(skillDigest(skillFiles().reverse())).toBe(original)
    expect(original).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  test('positive control: a digest over joined lines has two readings, this has one', () => {
    // As skill registries do it: `path:sha` lines. A line end in a name makes two files out of one.
    const joined = (files: SkillFile[]): string =>
      files.map((one) => `${one.path}:${createHash('sha256').update(one.bytes).digest('hex')}`).join('\n')
    const two = [file('a', 'A'), file('b', 'B')]
    const one = [file(joined(two).slice(0, -65), 'B')]
    expect(joined(one)).toBe(joined(two))
    expect(gitTree(one)).not.toBe(gitTree(two))
    expect(nameFaults(one.map(({ path }) => path))).toHaveLength(1)
  })
})

describe('misuse is not hashed', () => {
  test.each([
    ['one path twice', ['a', 'a']],
    ['file and directory', ['a', 'a/b']],
    ['file and directory apart in byte order', ['a', 'a.b', 'a/c']],
    ['endless depth', ['x/'.repeat(5000)]],
  ])('%s', (_name, paths) => {
    expect(() => gitTree(paths.map((path) => file(path, '')))).toThrow(TypeError)
  })
})

// Git is the oracle: whatever it says is right.
const version = spawnSync('git', ['--version'], { encoding: 'utf8' })
const hasGit = version.status === 0
// biome-ignore lint/suspicious/noConsole: a suite that does not run says so
if (!hasGit) console.warn('SKIPPED: git is not installed; the tree digest is not compared with it here')

/** Asks git in a repository of its own, with a fresh index and work tree for each question. */
class Git {
  readonly #home = mkdtempSync(join(tmpdir(), 'agentport-tree-'))
  #asked = 0

  constructor(format: 'sha1' | 'sha256') {
    this.#run('init', '-q', '--bare', `--object-format=${format}`, this.#home)
  }

  treeOf(files: readonly SkillFile[]): string {
    this.#asked += 1
    const work = join(this.#home, `work-${this.#asked}`)
    for (const one of files) {
      const path = join(work, one.path)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, one.bytes)
      chmodSync(path, one.executable ? 0o755 : 0o644)
    }
    const config = [
      '-c',
      'core.autocrlf=false',
      '-c',
      'core.fileMode=true',
      '-c',
      'core.bare=false',
      '-c',
      'core.precomposeUnicode=false',
    ]
    const place = [`--git-dir=${this.#home}`, `--work-tree=${work}`]
    this.#run(...config, ...place, 'add', '--force', '--all')
    return this.#run(...config, ...place, 'write-tree')
  }

  close(): void {
    rmSync(this.#home, { recursive: true, force: true })
  }

  #run(...args: string[]): string {
    const env = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.#home,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_INDEX_FILE: join(this.#home, `index-${this.#asked}`),
    }
    const cwd = join(this.#home, this.#asked === 0 ? '.' : `work-${this.#asked}`)
    return execFileSync('git', args, { cwd, env, encoding: 'utf8', stdio: 'pipe' }).trim()
  }
}

describe.skipIf(!hasGit)('agrees with git write-tree', () => {
  const tricky = [
    file('a', '1'),
    file('a.b', '2'),
    file('a-b', '3'),
    file('ab/c', '4'),
    file('a0', '5'),
    file('lib/a/x', '6', true),
    file('lib/a.js', '7'),
    file('lib/a-', '8'),
    file('lib.js', '9'),
    file('lib-/x', '10'),
    file('.env', '11'),
    file('node_modules/x/index.js', '12'),
    // UTF-16 order puts the emoji first, byte order last.
    file('\u{1f600}.md', '13'),
    file('\uffee.md', '14'),
    file('\uff5e/x', '15'),
    file('crlf.txt', 'a\r\nb\r\n'),
    file('binary', Uint8Array.of(0, 255, 10, 13, 0)),
    file('empty', ''),
  ]

  test.each(['sha256', 'sha1'] as const)('on names that sort oddly, %s', (format) => {
    expect(nameFaults(tricky.map((one) => one.path))).toEqual([])
    const git = new Git(format)
    expect(gitTree(tricky, ...(format === 'sha1' ? [sha1] : []))).toBe(git.treeOf(tricky))
    git.close()
  })

  test('on random trees', () => {
    const segment = fc.constantFrom('a', 'b', 'a.b', 'a-', 'a0', 'A_', 'x y', 'é', '\u{1f600}', '\uff5e', '.x', 'lib')
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
    const one = fc.record({ path, executable: fc.boolean(), bytes: fc.uint8Array({ maxLength: 30 }) })
    const tree = fc.array(one, { minLength: 1, maxLength: 25 }).map((files) => {
      const kept: SkillFile[] = []
      for (const next of files) {
        if (nameFaults([...kept, next].map((other) => other.path)).length === 0) kept.push(next)
      }
      return kept
    })
    const git = new Git('sha256')
    fc.assert(
      fc.property(tree, (files) => {
        expect(gitTree(files)).toBe(git.treeOf(files))
      }),
      { numRuns: fuzzRuns(10) },
    )
    git.close()
  })
})
