// The house as DESIGN draws it: who may import whom, read from the imports themselves.

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

import { withoutRequiredCrypto } from '../tsup.config.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const src = join(root, 'src')

interface Import {
  readonly from: string
  readonly specifier: string
  /** Path under src, for imports of our own files. */
  readonly target: string | undefined
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'))

const imports: readonly Import[] = files.flatMap((file) =>
  ts.preProcessFile(readFileSync(join(src, file), 'utf8'), true, true).importedFiles.map(({ fileName }) => ({
    from: file,
    specifier: fileName,
    target: fileName.startsWith('.')
      ? relative(src, resolve(src, file, '..', fileName)).replaceAll('\\', '/')
      : undefined,
  })),
)

/** First folder under src; '' for the files at its root. */
function room(file: string): string {
  return file.includes('/') ? (file.split('/')[0] ?? '') : ''
}

const PURE = ['manifest', 'policy', 'attestation', 'halt', 'audit', 'enforcer', 'limit', 'approval', 'obligation']
const WITH_NODE = ['node', 'testing', 'cli', 'linux', 'integrations', 'sidecar']

/** The one file of each third-party package. zod has one per room. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  '@noble/hashes': ['core/crypto.ts'],
  ajv: ['core/json-schema/input-schema.ts'],
  'ajv-formats': ['core/json-schema/input-schema.ts'],
  eventemitter3: ['core/notifications.ts'],
  'ipaddr.js': ['core/ip.ts'],
  re2js: ['core/linear-regexp.ts'],
  'toml-eslint-parser': ['core/toml.ts'],
  tweetnacl: ['core/crypto.ts'],
  unbash: ['manifest/command/shell-syntax.ts'],
  yaml: ['core/yaml.ts'],
  zod: ['attestation/schema.ts', 'halt/schema.ts', 'manifest/schema.ts', 'policy/schema.ts'],
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
}

describe('the rooms', () => {
  test('the list of files is the real one', () => {
    expect(files.length).toBeGreaterThan(60)
    expect(imports.filter(({ target }) => target !== undefined && !files.includes(target))).toEqual([])
  })

  test('every room is one the design names', () => {
    expect([...new Set(files.map(room))].filter((name) => !['', 'core', ...PURE, ...WITH_NODE].includes(name))).toEqual(
      [],
    )
  })

  test('core imports no other room', () => {
    expect(
      crossing(
        (file) => room(file) === 'core',
        () => false,
      ),
    ).toEqual([])
  })

  test.each(PURE)('%s imports core only', (name) => {
    expect(
      crossing(
        (file) => room(file) === name,
        (target) => room(target) === 'core',
      ),
    ).toEqual([])
  })

  test('the facade alone joins the rooms; index.ts only re-exports', () => {
    const facade = [
      'admission.ts',
      'allow.ts',
      'approval-record.ts',
      'attempt.ts',
      'agentport.ts',
      'call.ts',
      'call-record.ts',
      'confine.ts',
      'house.ts',
      'judge.ts',
      'refuse.ts',
      'run.ts',
      'skills.ts',
      'terms.ts',
      'watch.ts',
    ]
    expect(files.filter((file) => room(file) === '').sort()).toEqual([...facade, 'index.ts'].sort())
    const inner = (file: string) => ['core', ...PURE].includes(room(file))
    expect(imports.filter(({ from, target }) => inner(from) && target !== undefined && room(target) === '')).toEqual([])
    const index = ts.createSourceFile('index.ts', readFileSync(join(src, 'index.ts'), 'utf8'), ts.ScriptTarget.ES2022)
    expect(index.statements.filter((statement) => !ts.isExportDeclaration(statement))).toEqual([])
  })

  test('nothing pure imports a room that knows Node', () => {
    const pure = (file: string) => !WITH_NODE.includes(room(file))
    expect(imports.filter(({ from, target }) => pure(from) && target !== undefined && !pure(target))).toEqual([])
  })

  test('node: is imported only where it may be', () => {
    expect(
      imports.filter(({ from, specifier }) => specifier.startsWith('node:') && !WITH_NODE.includes(room(from))),
    ).toEqual([])
  })

  test('each third-party package is imported by exactly the file that knows it', () => {
    const found = new Map<string, Set<string>>()
    for (const { from, specifier, target } of imports) {
      if (target !== undefined || specifier.startsWith('node:')) continue
      const name = packageOf(specifier)
      found.set(name, (found.get(name) ?? new Set()).add(from))
    }
    const actual = Object.fromEntries(
      [...found].map(([name, from]) => [name, [...from].sort()] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
    )
    expect(actual).toEqual(PACKAGES)
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    // tweetnacl is bundled into the package and so is no dependency of it.
    expect([...Object.keys(dependencies), 'tweetnacl'].sort()).toEqual(Object.keys(PACKAGES).sort())
  })

  test('no default exports, no enums, no barrels', () => {
    for (const file of files) {
      const text = readFileSync(join(src, file), 'utf8')
      expect(text, file).not.toMatch(/^export default/m)
      expect(text, file).not.toMatch(/^export (const )?enum /m)
      if (file.endsWith('/index.ts')) expect(['node/index.ts', 'testing/index.ts', 'linux/index.ts']).toContain(file)
    }
  })

  function crossing(from: (file: string) => boolean, allowed: (target: string) => boolean): readonly Import[] {
    return imports.filter(
      (one) =>
        from(one.from) && one.target !== undefined && room(one.target) !== room(one.from) && !allowed(one.target),
    )
  }
})

describe('the bundle', () => {
  // As tsup builds it: dependencies stay imports, tweetnacl is inside.
  const dist = async (entry: string): Promise<string> => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>
    }
    const result = await build({
      entryPoints: [join(src, entry)],
      bundle: true,
      platform: 'node',
      format: 'esm',
      write: false,
      external: Object.keys(dependencies),
      plugins: [withoutRequiredCrypto],
    })
    return result.outputFiles[0]?.text ?? ''
  }
  const bundle = async (entry: string): Promise<string> => {
    const stdin = { contents: await dist(entry), resolveDir: root, loader: 'js' as const }
    const result = await build({
      stdin,
      bundle: true,
      platform: 'neutral',
      mainFields: ['module', 'main'],
      format: 'esm',
      write: false,
      logLevel: 'silent',
    })
    return result.outputFiles[0]?.text ?? ''
  }

  test('the root entry bundles for any platform and imports nothing of Node', async () => {
    const text = await bundle('index.ts')
    expect(text.length).toBeGreaterThan(10_000)
    expect(text).not.toMatch(/from\s*["'](?:node:|crypto)|import\(["']node:/)
  })

  test('control: the Node part does not', async () => {
    await expect(bundle('node/index.ts')).rejects.toThrow(/node:/)
  })
})
