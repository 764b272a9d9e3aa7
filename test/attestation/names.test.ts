import { describe, expect, test } from 'vitest'

import { nameFault, nameFaults } from '../../src/attestation/names.ts'
import { LIMITS } from '../../src/core/limits.ts'

describe('names a file may have', () => {
  test.each([
    'index.js',
    '.env',
    '.gitignore',
    '.github/workflows/ci.yml',
    'node_modules/.bin/x',
    'a b.txt',
    'Ünïcödé/文件.md',
    'con-sole.js',
    'auxiliary.js',
    'com.js',
    'com10.js',
    'nullable',
    '...x',
    '-rf',
    '$(id)',
    "it's",
    'x.git',
    'constructor',
    '__proto__',
    'a'.repeat(255),
    Array.from({ length: 64 }, () => 'd').join('/'),
  ])('%j', (path) => {
    expect(nameFault(path)).toBeUndefined()
    expect(nameFaults([path])).toEqual([])
  })
})

describe('names that are refused', () => {
  test.each([
    ['empty', ''],
    ['absolute', '/etc/passwd'],
    ['empty segment', 'a//b'],
    ['directory', 'a/'],
    ['dot', './a'],
    ['dot alone', '.'],
    ['dot dot', '../a'],
    ['dot dot inside', 'a/../b'],
    ['backslash', 'a\\..\\b'],
    ['drive', 'C:/x'],
    ['stream', 'a.txt:hidden'],
    ['less than', 'a<b'],
    ['quote', 'a"b'],
    ['pipe', 'a|b'],
    ['question mark', 'a?b'],
    ['star', 'a*b'],
    ['NUL', 'a\0b'],
    ['line end', 'a\nb'],
    ['escape', 'a\u001b[2Jb'],
    ['DEL', 'a\u007fb'],
    ['C1 control', 'a\u0085b'],
    ['bidi override', 'a\u202egpj.js'],
    ['zero width joiner', '.g\u200dit'],
    ['byte order mark', '\ufeffa'],
    ['line separator', 'a\u2028b'],
    ['lone surrogate', 'a\ud800b'],
    ['trailing dot', 'a.'],
    ['trailing dot in a directory', 'a./b'],
    ['trailing space', 'a '],
    ['git directory', '.git/config'],
    ['git directory, other case', '.GIT/config'],
    ['git directory, short name', 'GIT~1/config'],
    ['git directory below', 'sub/.git/hooks/x'],
    ['device', 'CON'],
    ['device with extension', 'aux.js'],
    ['device with space', 'nul .txt'],
    ['device with two extensions', 'lib/com1.tar.gz'],
    ['device with superscript', 'LPT²'],
    ['console input', 'conin$'],
    ['not NFC', 'e\u0301.js'],
    ['not NFC: Kelvin', '\u212a.js'],
    ['segment over 255 bytes', 'ä'.repeat(128)],
    ['path over the limit', `${'a'.repeat(200)}/`.repeat(21).slice(0, LIMITS.pathLength + 1)],
    ['too deep', Array.from({ length: 65 }, () => 'd').join('/')],
  ])('%s', (_name, path) => {
    expect(nameFault(path)).toBeTypeOf('string')
    expect(nameFaults(['ok.js', path])).toMatchObject([{ path }])
  })
})

describe('names that are one somewhere', () => {
  test.each([
    ['case', ['README', 'readme']],
    ['case of a directory', ['Lib/a.js', 'lib/b.js']],
    ['case deep down', ['a/B/c/x', 'a/b/c/y']],
    ['sharp s', ['straße', 'STRASSE']],
    ['long s', ['ſ', 's']],
    ['capital sharp s', ['ẞ', 'ß']],
    ['dotted and ligature', ['ﬁ', 'fi']],
    ['final sigma', ['ς', 'σ']],
    ['accented case', ['É', 'é']],
    ['twice', ['a', 'a']],
    ['file and directory', ['a', 'a/b']],
    ['directory and file', ['a/b', 'a']],
    ['file and directory in another case', ['A', 'a/b']],
  ])('%s', (_name, paths) => {
    expect(nameFaults(paths)).toHaveLength(1)
    expect(nameFaults([...paths].reverse())).toHaveLength(1)
  })

  test('same names in different directories are two', () => {
    expect(nameFaults(['a/x', 'b/x', 'a/y', 'X', 'ab/x'])).toEqual([])
  })

  test('names of object members are ordinary names', () => {
    expect(nameFaults(['constructor', '__proto__/toString', 'toString', 'hasOwnProperty/x'])).toEqual([])
  })

  test('positive control: a file system that folds case would hold one of the two', () => {
    const disk = new Map<string, string>()
    for (const [path, content] of [
      ['Index.js', 'signed'],
      ['index.js', 'other'],
    ] as const)
      disk.set(path.toLowerCase(), content)
    expect(disk.size).toBe(1)
  })
})

test('a long list of faults stops at the limit, in time', () => {
  const paths = Array.from({ length: 10_000 }, () => `${'a/'.repeat(60)}x`)
  const started = performance.now()
  expect(nameFaults(paths)).toHaveLength(LIMITS.problems)
  expect(nameFaults(Array.from({ length: 10_000 }, (_, index) => `${'a/'.repeat(60)}${index}`))).toEqual([])
  expect(performance.now() - started).toBeLessThan(20_000)
})
