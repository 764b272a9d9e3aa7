// Every code block of README and docs is real: TypeScript is type-checked and run, documents load, commands exist. The
// TypeScript blocks of one page are one program, run in a directory that holds the page's `file=` blocks.

import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import ts from 'typescript'
import { beforeAll, describe, expect, test } from 'vitest'

import { loadTrust } from '../src/attestation/trust.ts'
import { run as runCli } from '../src/cli/main.ts'
import { parseDocument, type SourceText } from '../src/core/document.ts'
import { formatProblems } from '../src/core/problem.ts'
import { loadGraph } from '../src/halt/graph.ts'
import { ManifestValidator } from '../src/manifest/validator.ts'
import { PolicyEngine } from '../src/policy/engine.ts'

const root: string = fileURLToPath(new URL('..', import.meta.url))
const workshop = join(root, '.build', 'docs')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
  'scripts' | 'dependencies' | 'devDependencies',
  Record<string, string>
>
const libraries = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)]
const execute = promisify(execFile)

interface Block {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly words: readonly string[]
  readonly text: string
}

function blocksOf(page: string): readonly Block[] {
  const lines = readFileSync(join(root, page), 'utf8').split('\n')
  const blocks: Block[] = []
  for (let index = 0; index < lines.length; index++) {
    const fence = /^```(.*)$/.exec(lines[index] ?? '')
    if (fence === null) continue
    const [language = '', ...words] = (fence[1] ?? '').trim().split(/\s+/)
    const start = index + 1
    for (index++; index < lines.length && lines[index] !== '```'; ) index++
    blocks.push({ page, line: start, language, words, text: `${lines.slice(start, index).join('\n')}\n` })
  }
  return blocks
}

const pages = [
  'README.md',
  'SECURITY.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]
const blocks = pages.flatMap(blocksOf)
const titled = (block: Block): string | undefined => block.words.find((word) => word.startsWith('file='))?.slice(5)

const variables = { workspace: '/srv/workspace' }
const LOADERS: Readonly<
  Record<string, (source: SourceText) => { readonly ok: boolean; readonly problems?: readonly never[] } | object>
> = {
  policy: (source) => PolicyEngine.load(source, { variables }),
  manifest: (source) =>
    new ManifestValidator({ variables }).validate(source, hasSkill(source) ? {} : { skill: 'example' }),
  graph: (source) => loadGraph(source),
  trust: (source) => loadTrust(source),
}

function hasSkill(source: SourceText): boolean {
  const parsed = parseDocument(source)
  return (
    parsed.ok &&
    typeof parsed.document.value === 'object' &&
    parsed.document.value !== null &&
    'skill' in parsed.document.value
  )
}

test('there are blocks of each kind', () => {
  for (const language of ['ts', 'yaml', 'json', 'sh'])
    expect(blocks.filter((block) => block.language === language).length, language).toBeGreaterThan(0)
})

test('every block says what it is', () => {
  const known = ['ts', 'yaml', 'json', 'toml', 'sh', 'text']
  expect(
    blocks
      .filter((block) => !known.includes(block.language))
      .map((block) => `${block.page}:${block.line} ${block.language}`),
  ).toEqual([])
})

describe('documents load', () => {
  const documents = blocks.filter((block) => ['yaml', 'json', 'toml'].includes(block.language))
  test.each(documents.map((block) => [`${block.page}:${block.line}`, block] as const))('%s', (place, block) => {
    const kind = block.words[0] ?? ''
    const source = {
      file: titled(block) ?? `${place}.${block.language}`,
      text: block.text,
      format: block.language as 'yaml',
    }
    if (kind === 'record') {
      for (const line of block.text.trim().split('\n')) JSON.parse(line)
      return
    }
    const loader = LOADERS[kind]
    if (loader === undefined)
      throw new Error(
        `a ${block.language} block says after its language which kind of document it is: ${Object.keys(LOADERS).join(', ')} or record`,
      )
    const loaded = loader(source) as { ok: boolean; problems?: Parameters<typeof formatProblems>[0] }
    expect(loaded.ok, loaded.ok ? '' : formatProblems(loaded.problems ?? [])).toBe(true)
  })
})

describe('commands exist', () => {
  const { scripts } = manifest
  const lines = blocks
    .filter((block) => block.language === 'sh')
    .flatMap((block) =>
      block.text
        .split('\n')
        .map((line) =>
          line
            .replace(/^\$ /, '')
            .replace(/\s+#.*$/, '')
            .trim(),
        )
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => [`${block.page}: ${line}`, line] as const),
    )
  test.each(lines)('%s', async (_, line) => {
    for (const [, script = ''] of line.matchAll(/npm run ([a-z:]+)/g)) expect(scripts[script], script).toBeDefined()
    for (const [, command = ''] of line.matchAll(/agentport ([a-z]+)/g)) {
      const said: string[] = []
      expect(
        await runCli(['help', command], {
          out: (text) => said.push(text),
          err: (text) => said.push(text),
          color: false,
        }),
      ).toBe(0)
      expect(said.join('\n')).toMatch(new RegExp(`^Usage: agentport ${command}`))
    }
  })
})

describe('TypeScript compiles and runs', () => {
  const programs = pages.filter((page) => blocks.some((block) => block.page === page && block.language === 'ts'))
  const sourceOf = (page: string): string => join(workshop, page.replace(/\W/g, '_'), 'page.ts')

  beforeAll(() => {
    rmSync(workshop, { recursive: true, force: true })
    for (const page of programs) {
      const directory = dirname(sourceOf(page))
      mkdirSync(directory, { recursive: true })
      writeFileSync(
        sourceOf(page),
        blocks
          .filter((block) => block.page === page && block.language === 'ts')
          .map((block) => block.text)
          .join('\n'),
      )
      for (const block of blocks.filter((one) => one.page === page)) {
        const name = titled(block)
        if (name === undefined) continue
        mkdirSync(dirname(join(directory, name)), { recursive: true })
        writeFileSync(join(directory, name), block.text)
      }
    }
  })

  test('the compiler has nothing to say', () => {
    const { config } = ts.readConfigFile(join(root, 'tsconfig.test.json'), (path) => readFileSync(path, 'utf8')) as {
      config: unknown
    }
    const { options } = ts.parseJsonConfigFileContent(
      { ...(config as object), include: [], files: programs.map(sourceOf) },
      ts.sys,
      root,
    )
    // A page shows values without using each of them.
    const program = ts.createProgram(programs.map(sourceOf), {
      ...options,
      noUnusedLocals: false,
      noUnusedParameters: false,
      noEmit: true,
    })
    const diagnostics = ts
      .getPreEmitDiagnostics(program)
      .filter(({ file }) => file?.fileName.includes('.build/docs') === true)
    expect(
      ts.formatDiagnostics(diagnostics, {
        getCanonicalFileName: (name) => name,
        getCurrentDirectory: () => root,
        getNewLine: () => '\n',
      }),
    ).toBe('')
  }, 120_000)

  test.each(programs)(
    '%s runs',
    async (page) => {
      const entry = sourceOf(page)
      const outfile = join(dirname(entry), 'page.mjs')
      await build({
        entryPoints: [entry],
        outfile,
        bundle: true,
        platform: 'node',
        format: 'esm',
        packages: 'bundle',
        conditions: ['@agentport/source'],
        external: libraries,
        logLevel: 'silent',
      })
      const { stderr } = await execute(process.execPath, [outfile], {
        cwd: dirname(entry),
        timeout: 30_000,
        env: { ...process.env, NODE_NO_WARNINGS: '1' },
      })
      expect(stderr).toBe('')
    },
    60_000,
  )
})
