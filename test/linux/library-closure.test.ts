import { execFileSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { nodeHostFiles } from '../../src/linux/host-files.ts'
import { libraryClosure } from '../../src/linux/library-closure.ts'
import { DEBIAN, elf, host, LD, libraryCache, type Node } from './host.ts'

const GNU = '/usr/lib/x86_64-linux-gnu'
const reals = (table: Readonly<Record<string, Node>>, programs: readonly string[], libraries: readonly string[] = []) =>
  libraryClosure(host({ ...DEBIAN, ...table }), programs, { machine: 'x64', libraries })

describe('what a program is loaded with', () => {
  test('interpreter and libraries, by the links that lead to them', () => {
    const { files, missing } = reals({}, ['/usr/bin/tool'])
    expect(missing).toEqual([])
    expect(files.map(({ path, real, role }) => [path, real, role])).toEqual([
      [LD, `${GNU}/ld-linux-x86-64.so.2`, 'interpreter'],
      ['/lib/x86_64-linux-gnu/liba.so.1', `${GNU}/liba.so.1.2`, 'library'],
      ['/lib/x86_64-linux-gnu/libc.so.6', `${GNU}/libc.so.6`, 'library'],
    ])
    expect(files[1]?.links.map(({ path, to }) => `${path} -> ${to}`)).toEqual([
      '/lib -> usr/lib',
      `${GNU}/liba.so.1 -> liba.so.1.2`,
    ])
    expect(files.map(({ why }) => why)).toEqual([
      'interpreter of /usr/bin/tool',
      'needed by /usr/bin/tool',
      'needed by /usr/bin/tool',
    ])
  })

  test.each([
    ['RUNPATH with $ORIGIN', { runpath: '$ORIGIN/lib' }, '/opt/x/lib/libq.so'],
    ['RUNPATH with ${ORIGIN}', { runpath: '/none:${ORIGIN}/lib' }, '/opt/x/lib/libq.so'],
    ['RPATH', { rpath: '/opt/x/lib' }, '/opt/x/lib/libq.so'],
    ['RUNPATH before RPATH', { rpath: '/opt/y', runpath: '/opt/x/lib' }, '/opt/x/lib/libq.so'],
    ['the cache before the usual directories', {}, '/opt/y/libq.so'],
    ['neither with NODEFLIB', { flags1: 0x800n }, undefined],
    ['a relative RUNPATH is none', { runpath: 'lib', flags1: 0x800n }, undefined],
  ])('%s', (_, parts, expected) => {
    const { files, missing } = reals(
      {
        '/etc/ld.so.cache': { content: libraryCache([{ name: 'libq.so', path: '/opt/y/libq.so' }]) },
        '/opt/x/prog': elf({ interpreter: LD, needed: ['libq.so'], ...parts }),
        '/opt/x/lib/libq.so': elf(),
        '/opt/y/libq.so': elf(),
        '/usr/lib/libq.so': elf(),
      },
      ['/opt/x/prog'],
    )
    expect(files.find(({ role }) => role === 'library')?.real).toBe(expected)
    expect(missing.length).toBe(expected === undefined ? 1 : 0)
  })

  test('RPATH is inherited by what is loaded, RUNPATH is not', () => {
    const table = (parts: object) => ({
      '/opt/x/prog': elf({ interpreter: LD, needed: ['libq.so'], ...parts }),
      '/opt/x/libq.so': elf({ needed: ['libr.so'] }),
      '/opt/x/libr.so': elf(),
    })
    expect(reals(table({ rpath: '/opt/x' }), ['/opt/x/prog']).missing).toEqual([])
    expect(reals(table({ runpath: '/opt/x' }), ['/opt/x/prog']).missing).toEqual([
      expect.objectContaining({ name: 'libr.so', neededBy: '/opt/x/libq.so' }),
    ])
  })

  test('RPATH of a program that has RUNPATH too is not inherited', () => {
    const { missing } = reals(
      {
        '/opt/x/prog': elf({ interpreter: LD, needed: ['libq.so'], rpath: '/opt/x', runpath: '/opt/y' }),
        '/opt/y/libq.so': elf({ needed: ['libr.so'] }),
        '/opt/x/libr.so': elf(),
      },
      ['/opt/x/prog'],
    )
    expect(missing.map(({ name }) => name)).toEqual(['libr.so'])
  })

  test('a library for another machine is passed over', () => {
    const { files } = reals(
      {
        '/opt/x/prog': elf({ interpreter: LD, needed: ['libq.so'], runpath: '/opt/x' }),
        '/opt/x/libq.so': elf({ machine: 183 }),
        '/usr/lib/libq.so': elf(),
      },
      ['/opt/x/prog'],
    )
    expect(files.find(({ role }) => role === 'library')?.real).toBe('/usr/lib/libq.so')
  })

  test('a listed library satisfies a need by its name, and has needs of its own', () => {
    const table = {
      '/opt/x/prog': elf({ interpreter: LD, needed: ['libq.so'] }),
      '/opt/z/libq.so': elf({ needed: ['liba.so.1'] }),
    }
    expect(reals(table, ['/opt/x/prog']).missing.map(({ name }) => name)).toEqual(['libq.so'])
    const { files, missing } = reals(table, ['/opt/x/prog'], ['/opt/z/libq.so'])
    expect(missing).toEqual([])
    expect(files.map(({ real }) => real)).toContain(`${GNU}/liba.so.1.2`)
  })

  test('musl has directories of its own', () => {
    const { files } = reals(
      {
        '/lib/ld-musl-x86_64.so.1': elf(),
        '/usr/lib/ld-musl-x86_64.so.1': elf(),
        '/opt/x/prog': elf({ interpreter: '/usr/lib/ld-musl-x86_64.so.1', needed: ['libq.so'] }),
        '/etc/ld-musl-x86_64.path': '/opt/m\n/usr/lib\n',
        '/opt/m/libq.so': elf(),
        '/usr/lib/libq.so': elf(),
      },
      ['/opt/x/prog'],
    )
    expect(files.map(({ real }) => real)).toEqual(['/usr/lib/ld-musl-x86_64.so.1', '/opt/m/libq.so'])
  })

  test('circles and missing interpreters end', () => {
    const { files, missing } = reals(
      {
        '/opt/x/prog': elf({ interpreter: '/lib64/none.so', needed: ['libp.so'], runpath: '/opt/x' }),
        '/opt/x/libp.so': elf({ needed: ['libq.so'], runpath: '/opt/x' }),
        '/opt/x/libq.so': elf({ needed: ['libp.so'], runpath: '/opt/x' }),
      },
      ['/opt/x/prog', '/opt/none'],
    )
    expect(files.map(({ real }) => real)).toEqual(['/opt/x/libp.so', '/opt/x/libq.so'])
    expect(missing.map(({ name }) => name)).toEqual(['/lib64/none.so'])
  })
})

const onGlibc =
  process.platform === 'linux' && existsSync('/etc/ld.so.cache') && ['x64', 'arm64'].includes(process.arch)
// biome-ignore lint/suspicious/noConsole: a test that does not run must not be silent about it
if (!onGlibc) console.warn('not run: the loader of this host is not the one of glibc')

describe.skipIf(!onGlibc)('the loader of this host', () => {
  const programs = ['/bin/ls', '/usr/bin/git', '/usr/bin/gcc', '/usr/bin/perl', process.execPath].filter((path) =>
    existsSync(path),
  )

  test.each(programs)('agrees about %s', (program) => {
    const machine = process.arch === 'arm64' ? 'arm64' : 'x64'
    const { files, missing } = libraryClosure(nodeHostFiles, [program], { machine })
    // ld.so(8): with this variable the interpreter prints what it would load and runs nothing.
    const output = execFileSync(program, [], { env: { LD_TRACE_LOADED_OBJECTS: '1' }, encoding: 'utf8' })
    const loaded = [...output.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, path]) => realpathSync(path ?? ''))
    const found = files.filter(({ why }) => !why.startsWith('opened later')).map(({ real }) => real)
    expect(missing).toEqual([])
    expect([...new Set(found)].sort()).toEqual([...new Set(loaded)].sort())
    for (const { path, real, links } of files) {
      expect(realpathSync(path)).toBe(real)
      for (const link of links) expect(nodeHostFiles.lstat(link.path)?.type).toBe('symlink')
    }
  })
})
