// Sets of policy files under change. Where the order of things matters, a hook in the file system puts the change exactly
// there; where it does not, a writer runs beside the reader.

import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import type { SourceText } from '../../src/core/document.ts'
import { AgentPortError } from '../../src/core/errors.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { fuzzRuns } from '../support/fuzz.ts'

// What another process does between two steps of the reader: run right after a file of this name was opened.
const races = vi.hoisted(() => ({ afterOpen: undefined as ((path: string) => void) | undefined, watches: true }))

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>()
  return {
    ...real,
    open: async (...args: Parameters<typeof real.open>) => {
      const handle = await real.open(...args)
      races.afterOpen?.(String(args[0]))
      return handle
    },
  }
})

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>()
  return {
    ...real,
    watch: (...args: unknown[]) => {
      if (!races.watches) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
      return (real.watch as unknown as (...rest: unknown[]) => unknown)(...args)
    },
  }
})

const { readPolicyFiles } = await import('../../src/node/policy-file-set.ts')
const { watchPolicyFiles } = await import('../../src/node/policy-files.ts')
type Watcher = ReturnType<typeof watchPolicyFiles>
type Options = Parameters<typeof watchPolicyFiles>[0]

let home: string
const watchers: Watcher[] = []

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'agentport-policies-'))
})
afterEach(async () => {
  races.afterOpen = undefined
  races.watches = true
  for (const watcher of watchers.splice(0)) await watcher.close()
  rmSync(home, { recursive: true, force: true })
})

/** What an editor or a deployment does, at once: write beside, rename over. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.tmp`, text)
  renameSync(`${file}.tmp`, file)
}

function textsOf(sources: readonly SourceText[]): Readonly<Record<string, string>> {
  return Object.fromEntries(sources.map(({ file, text }) => [basename(file), text]))
}

interface Watched {
  readonly watcher: Watcher
  readonly sets: Readonly<Record<string, string>>[]
  readonly problems: Error[]
}

const QUIET_MS = 10

/** Watches `home`, with a load that takes everything but a text with `bad` in it. No poll comes in between. */
function watchHome(options: Partial<Options> = {}): Watched {
  const sets: Readonly<Record<string, string>>[] = []
  const problems: Error[] = []
  const watcher = watchPolicyFiles({
    paths: [home],
    debounceMs: QUIET_MS,
    pollMs: 3_600_000,
    load: async (sources) => {
      if (sources.some(({ text }) => text.includes('bad'))) throw new AgentPortError('ERR_POLICY_INVALID', 'bad policy')
      sets.push(textsOf(sources))
    },
    onProblem: (error) => problems.push(error),
    ...options,
  })
  watchers.push(watcher)
  return { watcher, sets, problems }
}

async function until(condition: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(condition()).toBe(true), { timeout: 30_000, interval: 5 })
}

describe('a set', () => {
  test('is every policy file of a directory, and nothing else in it', async () => {
    const policies = ['a.yaml', 'b.yml', 'c.json', 'd.toml', 'E.YAML']
    for (const name of policies) writeFileSync(join(home, name), name)
    const others = [
      '.hidden.yaml',
      '.#a.yaml',
      '#a.yaml#',
      'a.yaml~',
      'a.yaml.bak',
      'a.yaml.tmp',
      '.a.yaml.swp',
      '4913',
      'a.policy.test.yaml',
      'a.policy.test.json',
      'README.md',
    ]
    for (const name of others) writeFileSync(join(home, name), 'not a policy')
    mkdirSync(join(home, 'sub'))
    writeFileSync(join(home, 'sub', 'f.yaml'), 'not a policy')
    const { sources, digest } = await readPolicyFiles({ paths: [home], debounceMs: 1 })
    expect(sources.map(({ file }) => basename(file))).toEqual([...policies].sort())
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  test('is of files and directories, each file once, in an order that is always the same', async () => {
    const file = join(home, 'a.yaml')
    writeFileSync(file, 'a')
    mkdirSync(join(home, 'more'))
    writeFileSync(join(home, 'more', 'b.yaml'), 'b')
    const one = await readPolicyFiles({ paths: [file, join(home, 'more')], debounceMs: 1 })
    const two = await readPolicyFiles({ paths: [`${home}/more/`, home, `${home}/./a.yaml`], debounceMs: 1 })
    expect(one.sources).toEqual([
      { file, text: 'a' },
      { file: join(home, 'more', 'b.yaml'), text: 'b' },
    ])
    expect(two).toEqual(one)
  })

  test('has a digest that tells names from contents', async () => {
    const digests = new Set<string>()
    for (const [name, text] of [
      ['a.yaml', 'bc'],
      ['ab.yaml', 'c'],
      ['a.yaml', 'b'],
      ['a.yaml', 'bc '],
    ] as const) {
      const directory = mkdtempSync(join(home, 'set-'))
      writeFileSync(join(directory, name), text)
      digests.add((await readPolicyFiles({ paths: [join(directory, name)], debounceMs: 1 })).digest)
    }
    expect(digests.size).toBe(4)
  })

  const broken: readonly (readonly [string, (file: string) => void, string])[] = [
    ['nothing there', (file) => rmSync(file), 'ENOENT'],
    ['an empty file', (file) => truncateSync(file), 'it is empty'],
    ['a file of white space', (file) => writeFileSync(file, '\n \n'), 'it is empty'],
    ['bytes that are no text', (file) => writeFileSync(file, Buffer.from([0x61, 0xff])), 'not valid'],
    [
      'a file that is too large',
      (file) => {
        writeFileSync(file, 'x')
        truncateSync(file, LIMITS.documentLength + 1)
      },
      'larger than',
    ],
    [
      'a directory of that name',
      (file) => {
        rmSync(file)
        mkdirSync(file)
      },
      'no policy file',
    ],
    [
      'a link that leads nowhere',
      (file) => {
        rmSync(file)
        symlinkSync('nowhere', file)
      },
      'ENOENT',
    ],
    [
      'a link to itself',
      (file) => {
        rmSync(file)
        symlinkSync(file, file)
      },
      'ELOOP',
    ],
    [
      'a fifo, which a reader would wait for',
      (file) => {
        rmSync(file)
        execFileSync('mkfifo', [file])
      },
      'not a regular file',
    ],
  ]

  test.each(broken)('is none with %s', async (_, breakIt, why) => {
    const file = join(home, 'a.yaml')
    writeFileSync(file, 'a')
    expect((await readPolicyFiles({ paths: [file], debounceMs: 1 })).sources).toHaveLength(1)
    breakIt(file)
    const refused = expect.objectContaining({ code: 'ERR_CONFIG_INVALID', message: expect.stringContaining(why) })
    await expect(readPolicyFiles({ paths: [file], debounceMs: 1 })).rejects.toThrow(refused)
  })

  test.skipIf(process.getuid?.() === 0)('is none with a file that may not be read', async () => {
    writeFileSync(join(home, 'a.yaml'), 'a')
    writeFileSync(join(home, 'b.yaml'), 'b')
    chmodSync(join(home, 'b.yaml'), 0)
    await expect(readPolicyFiles({ paths: [home], debounceMs: 1 })).rejects.toThrow(/EACCES/)
  })

  test('is none of an empty directory, and shows no escape of a name', async () => {
    const odd = join(home, 'a\u001b[2J')
    mkdirSync(odd)
    await expect(readPolicyFiles({ paths: [odd], debounceMs: 1 })).rejects.toThrow(/no policy file in .*\\u\{1b\}\[2J$/)
  })

  test.each<[string, unknown]>([
    ['no paths', {}],
    ['an empty list', { paths: [] }],
    ['an empty path', { paths: [''] }],
    ['a path that is no text', { paths: [7] }],
    ['no time', { paths: ['/x'], debounceMs: 0 }],
    ['a time no timer knows', { paths: ['/x'], debounceMs: 2 ** 31 }],
  ])('%s is a misuse', async (_, options) => {
    await expect(readPolicyFiles(options as never)).rejects.toThrow(TypeError)
    const load = { load: () => undefined, onProblem: () => undefined }
    expect(() => watchPolicyFiles({ ...(options as Options), ...load })).toThrow(TypeError)
  })
})

describe('a set is of one moment', () => {
  beforeEach(() => {
    writeFileSync(join(home, 'a.yaml'), 'a1')
    writeFileSync(join(home, 'b.yaml'), 'b1')
  })

  /** Does `change` once, when `a.yaml` was opened for the n-th time. */
  function whenReading(n: number, change: () => void): void {
    let opened = 0
    races.afterOpen = (path) => {
      if (basename(path) === 'a.yaml' && ++opened === n) change()
    }
  }

  const changes: readonly (readonly [string, () => void, Readonly<Record<string, string>>])[] = [
    [
      'both files renamed over',
      () => {
        replace(join(home, 'a.yaml'), 'a2')
        replace(join(home, 'b.yaml'), 'b2')
      },
      { 'a.yaml': 'a2', 'b.yaml': 'b2' },
    ],
    [
      'both files written in place, with the same size',
      () => {
        writeFileSync(join(home, 'a.yaml'), 'a2')
        writeFileSync(join(home, 'b.yaml'), 'b2')
      },
      { 'a.yaml': 'a2', 'b.yaml': 'b2' },
    ],
    [
      'a file that comes',
      () => writeFileSync(join(home, 'c.yaml'), 'c'),
      { 'a.yaml': 'a1', 'b.yaml': 'b1', 'c.yaml': 'c' },
    ],
    ['a file that goes', () => unlinkSync(join(home, 'b.yaml')), { 'a.yaml': 'a1' }],
    [
      'one that is renamed',
      () => renameSync(join(home, 'a.yaml'), join(home, 'z.yaml')),
      { 'b.yaml': 'b1', 'z.yaml': 'a1' },
    ],
    ['a file that grows', () => appendFileSync(join(home, 'a.yaml'), 'more'), { 'a.yaml': 'a1more', 'b.yaml': 'b1' }],
  ]

  test.each(changes.flatMap((row) => [1, 2].map((n) => [row[0], n, row[1], row[2]] as const)))(
    '%s, during look %i',
    async (_, n, change, expected) => {
      whenReading(n, change)
      const { sources } = await readPolicyFiles({ paths: [home], debounceMs: QUIET_MS })
      expect(textsOf(sources)).toEqual(expected)
    },
  )

  test('control: one look without checking would have been of two', () => {
    const first = readFileSync(join(home, 'a.yaml'), 'utf8')
    changes[0]?.[1]()
    expect([first, readFileSync(join(home, 'b.yaml'), 'utf8')]).toEqual(['a1', 'b2'])
  })

  test('a directory that is swapped there and back while it is read', async () => {
    for (const generation of [1, 2]) {
      mkdirSync(join(home, `g${generation}`))
      for (const name of ['a', 'b']) writeFileSync(join(home, `g${generation}`, `${name}.yaml`), `${name}${generation}`)
    }
    const link = join(home, 'current')
    symlinkSync('g1', link)
    const swap = (to: string): void => {
      symlinkSync(to, `${link}.new`)
      renameSync(`${link}.new`, link)
    }
    let opened = 0
    races.afterOpen = (path) => {
      opened++
      // a of one, b of the other, in every look of the first few.
      if (opened <= 6) swap(basename(path) === 'a.yaml' ? 'g2' : 'g1')
    }
    const { sources } = await readPolicyFiles({ paths: [link], debounceMs: QUIET_MS })
    expect(textsOf(sources)).toEqual({ 'a.yaml': 'a1', 'b.yaml': 'b1' })
    expect(opened).toBeGreaterThan(6)
  })

  test('a file whose writer takes his time, without a pause as long as ours', async () => {
    const file = join(home, 'a.yaml')
    const parts = ['rules:\n', '- permit\n', '- forbid\n']
    writeFileSync(file, parts[0] ?? '')
    let written = 1
    races.afterOpen = (path) => {
      if (path === file && written < parts.length) appendFileSync(file, parts[written++] ?? '')
    }
    const { sources } = await readPolicyFiles({ paths: [home], debounceMs: QUIET_MS })
    expect(textsOf(sources)['a.yaml']).toBe(parts.join(''))
  })

  test('files that never hold still are refused, and not read forever', async () => {
    let turn = 0
    races.afterOpen = () => writeFileSync(join(home, 'a.yaml'), `turn ${turn++}`)
    await expect(readPolicyFiles({ paths: [home], debounceMs: 1 })).rejects.toThrow(/not the same for 1 ms/)
  })
})

describe('a watcher', () => {
  beforeEach(() => {
    writeFileSync(join(home, 'a.yaml'), 'a1')
    writeFileSync(join(home, 'b.yaml'), 'b1')
  })

  test('loads what is there, then every change, and nothing twice', async () => {
    const { watcher, sets, problems } = watchHome()
    await until(() => sets.length === 1)
    replace(join(home, 'a.yaml'), 'a2')
    await until(() => sets.length === 2)
    writeFileSync(join(home, 'c.yaml'), 'c1')
    await until(() => sets.length === 3)
    unlinkSync(join(home, 'b.yaml'))
    await until(() => sets.length === 4)
    expect(await watcher.reload()).toMatchObject({ outcome: 'unchanged' })
    replace(join(home, 'a.yaml'), 'a2')
    expect(await watcher.reload()).toMatchObject({ outcome: 'unchanged' })
    expect(sets).toEqual([
      { 'a.yaml': 'a1', 'b.yaml': 'b1' },
      { 'a.yaml': 'a2', 'b.yaml': 'b1' },
      { 'a.yaml': 'a2', 'b.yaml': 'b1', 'c.yaml': 'c1' },
      { 'a.yaml': 'a2', 'c.yaml': 'c1' },
    ])
    expect(problems).toEqual([])
  })

  test('goes on from a set that was read before it, and sees what changed in between', async () => {
    const { digest: current } = await readPolicyFiles({ paths: [home], debounceMs: 1 })
    const same = watchHome({ current })
    expect(await same.watcher.reload()).toEqual({ outcome: 'unchanged', digest: current })
    expect(same.sets).toEqual([])
    await same.watcher.close()
    replace(join(home, 'a.yaml'), 'a2')
    const changed = watchHome({ current })
    await changed.watcher.reload()
    expect(changed.sets).toEqual([{ 'a.yaml': 'a2', 'b.yaml': 'b1' }])
  })

  test('many changes at once are one set', async () => {
    const { watcher, sets } = watchHome({ debounceMs: 60 })
    await until(() => sets.length === 1)
    for (let round = 0; round < 20; round++) {
      for (const name of ['a', 'b', 'c', 'd']) replace(join(home, `${name}.yaml`), `${name}-${round}`)
    }
    await until(() => sets.length > 1)
    await watcher.reload()
    expect(sets.slice(1)).toEqual([{ 'a.yaml': 'a-19', 'b.yaml': 'b-19', 'c.yaml': 'c-19', 'd.yaml': 'd-19' }])
  })

  const spoils: readonly (readonly [string, () => void])[] = [
    ['does not load', () => replace(join(home, 'a.yaml'), 'bad')],
    ['is half written', () => truncateSync(join(home, 'a.yaml'))],
    ['cannot be read', () => writeFileSync(join(home, 'a.yaml'), Buffer.from([0xc3]))],
    [
      'is empty: the last file is deleted',
      () => {
        unlinkSync(join(home, 'a.yaml'))
        unlinkSync(join(home, 'b.yaml'))
      },
    ],
    ['is gone with its directory', () => rmSync(home, { recursive: true })],
    ['holds a link that leads nowhere', () => symlinkSync('nowhere', join(home, 'c.yaml'))],
  ]

  test.each(spoils)(
    'keeps the set in force when the next %s, says so each time, and takes the mended one',
    async (_, spoil) => {
      const { watcher, sets, problems } = watchHome()
      await until(() => sets.length === 1)
      await watcher.reload()
      spoil()
      await until(() => problems.length > 0)
      for (let round = 0; round < 2; round++) {
        const told = problems.length
        const result = await watcher.reload()
        expect(result.outcome).toBe('refused')
        expect(problems.length).toBeGreaterThan(told)
        expect(problems.at(-1)).toBe(result.outcome === 'refused' ? result.error : undefined)
      }
      expect(sets).toHaveLength(1)

      rmSync(home, { recursive: true, force: true })
      mkdirSync(home)
      writeFileSync(join(home, 'a.yaml'), 'a3')
      expect((await watcher.reload()).outcome).not.toBe('refused')
      expect(sets.at(-1)).toEqual({ 'a.yaml': 'a3' })
      const told = problems.length
      replace(join(home, 'a.yaml'), 'a4')
      await until(() => sets.length === 3)
      expect(problems.length).toBe(told)
    },
  )

  test('a set that is put back as it was in force is nothing new', async () => {
    const { watcher, sets, problems } = watchHome()
    await until(() => sets.length === 1)
    replace(join(home, 'a.yaml'), 'bad')
    await until(() => problems.length > 0)
    replace(join(home, 'a.yaml'), 'a1')
    expect((await watcher.reload()).outcome).toBe('unchanged')
    expect(sets).toHaveLength(1)
  })

  test('tries again by itself what did not load', async () => {
    let ready = false
    const { sets, problems } = watchHome({
      pollMs: 20,
      load: async (sources) => {
        if (!ready) throw new Error('not ready')
        sets.push(textsOf(sources))
      },
    })
    await until(() => problems.length >= 2)
    ready = true
    await until(() => sets.length === 1)
  })

  test('loads one set after the other, and the newest last', async () => {
    let loading = 0
    let most = 0
    const loaded: string[] = []
    const { watcher } = watchHome({
      debounceMs: 1,
      load: async (sources) => {
        most = Math.max(most, ++loading)
        await new Promise((resolve) => setTimeout(resolve, 15))
        loaded.push(textsOf(sources)['a.yaml'] ?? '')
        loading--
      },
    })
    const results: Promise<unknown>[] = []
    for (let round = 0; round < 10; round++) {
      replace(join(home, 'a.yaml'), `round ${round}`)
      results.push(watcher.reload())
      await new Promise((resolve) => setTimeout(resolve, 7))
    }
    await Promise.all(results)
    expect(most).toBe(1)
    expect(loaded.at(-1)).toBe('round 9')
    expect(new Set(loaded).size).toBe(loaded.length)
  })

  test('reload sees what was written before it was called, also while an older look is running', async () => {
    for (let round = 0; round < 10; round++) {
      const { watcher, sets } = watchHome({ debounceMs: 1 })
      void watcher.reload()
      replace(join(home, 'a.yaml'), `now ${round}`)
      await watcher.reload()
      expect(sets.at(-1)?.['a.yaml']).toBe(`now ${round}`)
      await watcher.close()
    }
  })

  test('close waits for a load that runs, and none runs after it', async () => {
    let begun = 0
    let ended = 0
    let release: (() => void) | undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const { watcher, problems } = watchHome({
      load: async () => {
        begun++
        await held
        ended++
      },
    })
    await until(() => begun === 1)
    const waiting = watcher.reload().catch((error: unknown) => error)
    let isClosed = false
    const closing = watcher.close().then(() => {
      isClosed = true
    })
    replace(join(home, 'a.yaml'), 'a2')
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(isClosed).toBe(false)
    release?.()
    await closing
    expect([begun, ended]).toEqual([1, 1])
    expect(await waiting).toMatchObject({ code: 'ERR_STATE_INVALID' })
    await expect(watcher.reload()).rejects.toThrow(expect.objectContaining({ code: 'ERR_STATE_INVALID' }))
    replace(join(home, 'a.yaml'), 'a3')
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(begun).toBe(1)
    expect(problems).toEqual([])
    await watcher.close()
  })

  test('close at any moment leaves nothing behind', async () => {
    for (let round = 0; round < 20; round++) {
      let closed = false
      const { watcher } = watchHome({
        debounceMs: 1,
        load: async () => {
          expect(closed).toBe(false)
          await new Promise((resolve) => setTimeout(resolve, 1))
          expect(closed).toBe(false)
        },
        onProblem: (error) => expect.unreachable(error.message),
      })
      replace(join(home, 'a.yaml'), `round ${round}`)
      await new Promise((resolve) => setTimeout(resolve, round / 2))
      await watcher.close()
      closed = true
    }
  })

  test('an observer that throws changes nothing', async () => {
    const { watcher, sets } = watchHome({
      onLoaded: () => {
        throw new Error('observer')
      },
      onProblem: () => {
        throw new Error('observer')
      },
    })
    expect((await watcher.reload()).outcome).not.toBe('refused')
    expect(sets).toHaveLength(1)
    replace(join(home, 'a.yaml'), 'bad')
    expect((await watcher.reload()).outcome).toBe('refused')
    replace(join(home, 'a.yaml'), 'a2')
    expect((await watcher.reload()).outcome).not.toBe('refused')
    expect(sets.map((set) => set['a.yaml'])).toEqual(['a1', 'a2'])
  })

  test('a load that throws no error is refused all the same', async () => {
    const { watcher, problems } = watchHome({ load: () => Promise.reject('no') })
    await watcher.reload()
    expect(problems[0]).toMatchObject({ code: 'ERR_POLICY_INVALID' })
  })
})

describe('a change is noticed', () => {
  test('where the system reports none: by looking', async () => {
    races.watches = false
    writeFileSync(join(home, 'a.yaml'), 'a1')
    const { sets, problems } = watchHome({ pollMs: 20 })
    await until(() => sets.length === 1)
    replace(join(home, 'a.yaml'), 'a2')
    await until(() => sets.length === 2)
    expect(problems).toEqual([])
  })

  const layouts: readonly (readonly [string, () => string, (generation: number) => void])[] = [
    [
      'in a file that is given by name',
      () => join(home, 'a.yaml'),
      (generation) => replace(join(home, 'a.yaml'), `g${generation}`),
    ],
    [
      'in a file that is written in place',
      () => join(home, 'a.yaml'),
      (generation) => writeFileSync(join(home, 'a.yaml'), `g${generation}`),
    ],
    [
      'behind a link that is swapped',
      () => join(home, 'current'),
      (generation) => {
        mkdirSync(join(home, `release-${generation}`))
        writeFileSync(join(home, `release-${generation}`, 'a.yaml'), `g${generation}`)
        symlinkSync(`release-${generation}`, join(home, 'current.new'))
        renameSync(join(home, 'current.new'), join(home, 'current'))
      },
    ],
    [
      'in a directory behind a link',
      () => {
        mkdirSync(join(home, 'real'), { recursive: true })
        symlinkSync('real', join(home, 'current'))
        return join(home, 'current')
      },
      (generation) => {
        mkdirSync(join(home, 'real'), { recursive: true })
        replace(join(home, 'real', 'a.yaml'), `g${generation}`)
      },
    ],
    [
      'in what a link among the files leads to',
      () => {
        mkdirSync(join(home, 'links'))
        symlinkSync('../real/a.yaml', join(home, 'links', 'a.yaml'))
        return join(home, 'links')
      },
      (generation) => {
        mkdirSync(join(home, 'real'), { recursive: true })
        replace(join(home, 'real', 'a.yaml'), `g${generation}`)
      },
    ],
    [
      'in a mounted ConfigMap',
      () => {
        mkdirSync(join(home, 'mount'), { recursive: true })
        symlinkSync('..data/a.yaml', join(home, 'mount', 'a.yaml'))
        return join(home, 'mount')
      },
      (generation) => swapConfigMap(join(home, 'mount'), generation, { 'a.yaml': `g${generation}` }),
    ],
    [
      'in a directory that is moved away and made anew',
      () => join(home, 'policies'),
      (generation) => {
        mkdirSync(join(home, 'next'))
        writeFileSync(join(home, 'next', 'a.yaml'), `g${generation}`)
        if (generation > 1) renameSync(join(home, 'policies'), join(home, `old-${generation}`))
        renameSync(join(home, 'next'), join(home, 'policies'))
      },
    ],
  ]

  test.each(layouts)('%s', async (_, prepare, write) => {
    const path = prepare()
    write(1)
    const { watcher, sets } = watchHome({ paths: [path] })
    await until(() => sets.length === 1)
    for (const generation of [2, 3, 4]) {
      // The look that the last change led to may still be running.
      await watcher.reload()
      write(generation)
      await until(() => sets.at(-1)?.['a.yaml'] === `g${generation}`)
    }
    expect(sets.map((set) => set['a.yaml'])).toEqual(['g1', 'g2', 'g3', 'g4'])
  })
})

/** What the kubelet does (AtomicWriter): a new directory, and `..data` renamed over. */
function swapConfigMap(mount: string, generation: number, files: Readonly<Record<string, string>>): void {
  mkdirSync(mount, { recursive: true })
  const directory = join(mount, `..${generation}`)
  mkdirSync(directory)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  symlinkSync(`..${generation}`, join(mount, '..data_tmp'))
  renameSync(join(mount, '..data_tmp'), join(mount, '..data'))
  for (const name of readdirSync(mount)) {
    if (/^\.\.[0-9]+$/.test(name) && name !== `..${generation}`) rmSync(join(mount, name), { recursive: true })
  }
}

describe('two files that belong together', () => {
  // The generation stands in both; a set that mixes two was never meant by anybody.
  const filesOf = (generation: number): Readonly<Record<string, string>> => ({
    'allow.yaml': `generation ${generation}`,
    'forbid.yaml': `generation ${generation}`,
  })

  test.each<[string, string, (root: string, generation: number) => void]>([
    [
      'swapped as a directory',
      'current',
      (root, generation) => {
        const directory = join(root, `g${generation}`)
        mkdirSync(directory)
        for (const [name, text] of Object.entries(filesOf(generation))) writeFileSync(join(directory, name), text)
        symlinkSync(`g${generation}`, join(root, 'current.new'))
        renameSync(join(root, 'current.new'), join(root, 'current'))
        // At once, so that inode numbers are used again.
        rmSync(join(root, `g${generation - 1}`), { recursive: true, force: true })
      },
    ],
    [
      'swapped as a ConfigMap',
      'mount',
      (root, generation) => swapConfigMap(join(root, 'mount'), generation, filesOf(generation)),
    ],
  ])('%s, are never of two generations', async (_, path, write) => {
    mkdirSync(join(home, 'mount'))
    for (const name of Object.keys(filesOf(0))) symlinkSync(`..data/${name}`, join(home, 'mount', name))
    let generation = 1
    write(home, generation)
    const { watcher, sets, problems } = watchHome({ paths: [join(home, path)], debounceMs: 1 })

    const rounds = fuzzRuns(150)
    let torn = 0
    for (let round = 0; round < rounds; round++) {
      // Swaps fall between any two steps of the reader, as its turns come; sometimes it gets the time to agree with itself.
      const burst = 1 + (round % 4)
      for (let swap = 0; swap < burst; swap++) {
        const first = readFileSync(join(home, path, 'allow.yaml'), 'utf8')
        write(home, ++generation)
        if (readFileSync(join(home, path, 'forbid.yaml'), 'utf8') !== first) torn++
        await new Promise((resolve) => setImmediate(resolve))
      }
      await new Promise((resolve) => setTimeout(resolve, (round * 7) % 23))
    }
    await watcher.reload()

    // Control: a reader that takes one file after the other got two generations.
    expect(torn).toBeGreaterThan(0)
    for (const set of sets) {
      expect(Object.keys(set).sort()).toEqual(['allow.yaml', 'forbid.yaml'])
      expect(set['allow.yaml']).toBe(set['forbid.yaml'])
      expect(set['allow.yaml']).toMatch(/^generation [0-9]+$/)
    }
    expect(sets.length).toBeGreaterThan(3)
    expect(sets.at(-1)).toEqual(filesOf(generation))
    // Never older than the one before.
    const order = sets.map((set) => Number(set['allow.yaml']?.split(' ')[1]))
    expect(order).toEqual([...order].sort((a, b) => a - b))
    expect(problems).toEqual([])
  })
})
