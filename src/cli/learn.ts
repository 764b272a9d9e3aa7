// `agentport learn`: runs a command without confining it, watches what it asks of the kernel, and writes the manifest it
// would have needed. The command runs with all the rights of whoever starts it: this is for code one would run anyway.

import { accessSync, constants, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, isAbsolute, join, resolve } from 'node:path'

import { parseDocument, type SourceText } from '../core/document.ts'
import { type HostPattern, parseHostPattern } from '../core/host-pattern.ts'
import { type PathPattern, parsePathPattern } from '../core/path-pattern.ts'
import { formatProblems } from '../core/problem.ts'
import { isEnvName } from '../core/text.ts'
import { nodeHostFiles } from '../linux/host-files.ts'
import type { DeniedPatterns } from '../linux/learn/draft.ts'
import { proposeManifest } from '../linux/learn/propose.ts'
import { libraryClosure } from '../linux/library-closure.ts'
import { nativeFile } from '../linux/native.ts'
import type { Observation } from '../linux/observe/observation.ts'
import { observe } from '../linux/observe/observer.ts'
import { ManifestValidator } from '../manifest/validator.ts'
import { readSource } from '../node/source.ts'
import { type Command, type Output, readOptions, readPairs, UsageError } from './command.ts'

const HELP = `Usage: agentport learn [options] -- <command> [argument…]

Runs the command WITHOUT confining it, observes what it opens, runs and connects to, and writes a manifest that asks for that.
A proposal grants nothing: read it, and the notes, before a policy does.

  --skill name        the skill of the manifest; not needed when --existing names it
  --existing file     a manifest to add to; what it has stays, and what it denies stays denied
  --runs n            run the command n times and take everything that any run needed (default: 1)
  --root directory    in it, a directory with many used files is proposed whole; repeatable
  --var name=dir      the same, and the manifest names the directory by \${name}; repeatable
  --siblings n        how many files are many (default: 5)
  --deny pattern      a path (/…) or host pattern that is never proposed; repeatable
  --allow-loss        propose although not everything was seen
  --observer file     the observer's binary (default: the one agentport build makes)
  -o, --out file      write the manifest there, never over a file; else it goes to standard output
  --json              one JSON object on standard output: { ok, manifest, notes, runs }

Without --out the command's own standard output goes to standard error.

Exit codes: 0 proposed and every run ended with 0, 1 a run failed or nothing can be proposed, 2 could not observe.`

const OPTIONS = {
  skill: { type: 'string' },
  existing: { type: 'string' },
  runs: { type: 'string' },
  root: { type: 'string', multiple: true },
  var: { type: 'string', multiple: true },
  siblings: { type: 'string' },
  deny: { type: 'string', multiple: true },
  'allow-loss': { type: 'boolean' },
  observer: { type: 'string' },
  out: { type: 'string', short: 'o' },
  json: { type: 'boolean' },
} as const

export const learn: Command = {
  name: 'learn',
  summary: 'watch a command, unconfined, and propose the manifest it needs',
  help: HELP,
  run: async (args, output) => {
    const cut = args.indexOf('--')
    if (cut === -1) throw new UsageError('write -- before the command')
    const { values, positionals } = readOptions(args.slice(0, cut), OPTIONS)
    const [name, ...rest] = args.slice(cut + 1)
    if (name === undefined || positionals.length > 0) throw new UsageError('write the command after --')
    const variables = readPairs(values['var'], 'var')
    const existing = typeof values['existing'] === 'string' ? readSource(values['existing']) : undefined
    const skill = skillOf(values['skill'], existing)
    // All of it before the command runs: what it does cannot be taken back.
    const denied = deniedPatterns((values['deny'] ?? []) as readonly string[])
    const siblings = wholeNumber(values['siblings'], 'siblings')
    const roots = ((values['root'] ?? []) as readonly string[]).map((root) => resolve(root))
    for (const root of [...roots, ...Object.values(variables)]) directoryAt(root)
    const out = values['out']
    if (typeof out === 'string' && statSync(out, { throwIfNoEntry: false }) !== undefined)
      throw new UsageError(`${out} exists already`)

    const observations: Observation[] = []
    const observer = typeof values['observer'] === 'string' ? resolve(values['observer']) : nativeFile('observer').path
    const command = { file: findProgram(name), args: rest, env: environment(), cwd: process.cwd() }
    const times = wholeNumber(values['runs'], 'runs') ?? 1
    for (let count = 0; count < times; count++) {
      const running = observe(command, {
        observer,
        stdin: 'inherit',
        stdout: typeof out === 'string' && values['json'] !== true ? 'inherit' : 2,
      })
      observations.push(await withSignals(running.forward, running.done))
    }

    const closure = broughtLibraries(observations)
    const proposal = proposeManifest(observations, {
      skill,
      denied,
      roots,
      variables,
      ...(existing === undefined ? {} : { existing }),
      ...(siblings === undefined ? {} : { siblings }),
      ...(closure === undefined ? {} : { closure }),
      allowLoss: values['allow-loss'] === true,
    })
    const problems = proposal.ok ? problemsOf(proposal.yaml, variables) : ''
    const ok = proposal.ok && problems === ''
    if (values['json'] === true) {
      const runs = observations.map(({ exit, complete, lost, blind }) => ({ ...exit, complete, lost, blind }))
      const manifest = proposal.ok ? { manifest: proposal.manifest } : {}
      output.out(JSON.stringify({ ok, ...manifest, notes: proposal.notes, runs }, undefined, 2))
    } else for (const { severity, text } of proposal.notes) output.err(`${severity}: ${text}`)
    if (problems !== '') output.err(`the proposal does not hold together with the existing manifest:\n${problems}`)
    if (proposal.ok && ok) deliver(proposal.yaml, observations, out, values['json'] === true, output)
    return ok && observations.every(({ exit }) => exit.code === 0) ? 0 : 1
  },
}

function deliver(yaml: string, runs: readonly Observation[], out: unknown, json: boolean, output: Output): void {
  const head =
    `# What ${runs.length} observed ${runs.length === 1 ? 'run' : 'runs'} needed, as agentport learn saw it.` +
    ' Read it before anyone grants it.\n'
  if (typeof out === 'string') {
    writeFileSync(out, head + yaml, { flag: 'wx', mode: 0o644 })
    if (!json) output.err(`written to ${out}`)
  } else if (!json) output.out((head + yaml).trimEnd())
}

function skillOf(given: unknown, existing: SourceText | undefined): string {
  if (typeof given === 'string') return given
  const parsed = existing === undefined ? undefined : parseDocument(existing)
  const value = parsed?.ok === true ? parsed.document.value : undefined
  const named = typeof value === 'object' && value !== null && 'skill' in value ? value['skill'] : undefined
  if (typeof named !== 'string') throw new UsageError('--skill is needed')
  return named
}

function wholeNumber(value: unknown, option: string): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || !/^[1-9][0-9]{0,3}$/.test(value))
    throw new UsageError(`--${option} is a whole number`)
  return Number(value)
}

function directoryAt(path: string): void {
  if (!isAbsolute(path) || statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new UsageError(`${path} is not the absolute path of a directory`)
}

function deniedPatterns(texts: readonly string[]): DeniedPatterns {
  const paths: PathPattern[] = []
  const hosts: HostPattern[] = []
  for (const text of texts) {
    const path = text.startsWith('/') ? parsePathPattern(text) : undefined
    const host = path === undefined ? parseHostPattern(text) : undefined
    if (path?.ok === true) paths.push(path.pattern)
    else if (host?.ok === true) hosts.push(host.pattern)
    else
      throw new UsageError(
        `--deny ${text}: ${path?.ok === false ? path.reason : host?.ok === false ? host.reason : ''}`,
      )
  }
  return { reads: paths, writes: paths, executes: paths, hosts }
}

/** As a shell finds it: by PATH, unless it is a path itself. */
function findProgram(name: string): string {
  const candidates = name.includes('/')
    ? [resolve(name)]
    : (process.env['PATH'] ?? '')
        .split(delimiter)
        .filter(isAbsolute)
        .map((directory) => join(directory, name))
  for (const path of candidates) {
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return path
    } catch {
      // Not this one; when it is none of them, that is what is told.
    }
  }
  throw new UsageError(`there is no program ${name}`)
}

/** Ours, but for names that are none, such as the functions some shells export. */
function environment(): Record<string, string> {
  const home = { HOME: homedir() }
  const own = Object.entries(process.env).filter(([name, value]) => isEnvName(name) && value !== undefined)
  return { ...home, ...(Object.fromEntries(own) as Record<string, string>) }
}

/** What the terminal sends reaches the command by itself; what is sent to us alone is passed on. */
async function withSignals<T>(forward: (signal: NodeJS.Signals) => void, done: Promise<T>): Promise<T> {
  const passed = (['SIGTERM', 'SIGHUP'] as const).map((name) => [name, () => forward(name)] as const)
  const waited = (['SIGINT', 'SIGQUIT'] as const).map((name) => [name, () => undefined] as const)
  for (const [name, handler] of [...passed, ...waited]) process.on(name, handler)
  try {
    return await done
  } finally {
    for (const [name, handler] of [...passed, ...waited]) process.off(name, handler)
  }
}

/** What a box maps for the programs and their libraries without being told. */
function broughtLibraries(runs: readonly Observation[]): ReadonlySet<string> | undefined {
  if (process.arch !== 'x64' && process.arch !== 'arm64') return undefined
  const machine = process.arch
  const names = (list: Iterable<{ readonly path: string; readonly real: string }>): readonly string[] =>
    [...list].flatMap(({ path, real }) => [path, real])
  try {
    const programs = [...new Set(runs.flatMap((run) => run.programs.map(({ path }) => path)))]
    const linked = new Set(names(libraryClosure(nodeHostFiles, programs, { machine }).files))
    const opened = runs.flatMap((run) => run.libraries.map(({ path }) => path)).filter((path) => !linked.has(path))
    const libraries = [...new Set(opened)].filter((path) => !programs.includes(path))
    return new Set([...linked, ...names(libraryClosure(nodeHostFiles, programs, { machine, libraries }).files)])
  } catch {
    // A program that cannot be read any more. The list of libraries is then longer than it had to be, and a note says so.
    return undefined
  }
}

/** What a validator has against the proposal; nothing, unless the existing manifest was bad already. */
function problemsOf(yaml: string, variables: Readonly<Record<string, string>>): string {
  const validation = new ManifestValidator({ variables }).validate({ file: 'proposal.yaml', text: yaml })
  return validation.ok ? '' : formatProblems(validation.problems)
}
