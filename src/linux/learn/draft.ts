// The manifest while it is being proposed: what each observed thing becomes, and why some become nothing. Never crosses a
// denial, and never lets anything be written that may be run.

import type { SourceText } from '../../core/document.ts'
import type { HostPattern } from '../../core/host-pattern.ts'
import type { JsonObject, JsonValue } from '../../core/json.ts'
import { pathPatternsMayMeet } from '../../core/path-overlap.ts'
import { type PathPattern, parsePathPattern, pathMatches } from '../../core/path-pattern.ts'
import type { ProcessRight } from '../../core/process-right.ts'
import type { Observation, ObservedFile, ObservedPath } from '../observe/observation.ts'
import { SYSTEM_FILES, TLS_FILES } from '../system-files.ts'
import { DAEMONS, INTERPRETER, OF_THE_BOX } from './familiar.ts'
import { proposeHosts } from './hosts.ts'
import type { Notes } from './notes.ts'
import { isHome, isSecretPath } from './sensitive.ts'
import { generalisePaths, isWithin, libraryRoots } from './trees.ts'

export interface Existing {
  /** As it is written, with its references to variables. */
  readonly written: JsonObject
  /** With the variables filled in. */
  readonly resolved: JsonObject
}

/** What may never be proposed, as a policy forbids it. */
export interface DeniedPatterns {
  readonly reads?: readonly PathPattern[]
  readonly writes?: readonly PathPattern[]
  /** Programs and libraries too. */
  readonly executes?: readonly PathPattern[]
  readonly hosts?: readonly HostPattern[]
}

export interface ProposeOptions {
  readonly skill: string
  /** The manifest to add to. */
  readonly existing?: SourceText
  readonly denied?: DeniedPatterns
  /** Absolute directories; in them a directory with many files is proposed as a tree. */
  readonly roots?: readonly string[]
  /** Absolute directories that the manifest is to name by `${name}`; they are roots too. */
  readonly variables?: Readonly<Record<string, string>>
  /** How many files of a directory make it a tree; 5 unless told. */
  readonly siblings?: number
  /** Propose in spite of incomplete observations. */
  readonly allowLoss?: boolean
  /** Files that a box brings along with the programs: the loader and the libraries they are linked with. */
  readonly closure?: ReadonlySet<string>
}

export const LIST_KEYS: readonly ListKey[] = [
  'allowed_binaries',
  'allowed_libraries',
  'readable_paths',
  'writable_paths',
  'allowed_hosts',
  'process_rights',
]

type ListKey =
  | 'allowed_binaries'
  | 'allowed_libraries'
  | 'readable_paths'
  | 'writable_paths'
  | 'allowed_hosts'
  | 'process_rights'

export class Draft {
  readonly #existing: Existing
  readonly #runs: readonly Observation[]
  readonly #options: ProposeOptions
  readonly #notes: Notes
  readonly #added = new Map<ListKey, Set<string>>()
  /** Every path that the runs wrote, made or removed, by all its names. What changes cannot be code. */
  readonly #changed = new Set<string>()
  readonly #writable: readonly PathPattern[]
  /** Everything secret that a run as much as asked about: no tree may hold it. */
  readonly #secrets: readonly string[]
  readonly #programs = new Set<string>()
  readonly #mapped = new Set<string>()
  #known: { readonly roots: readonly string[]; readonly libraries: readonly string[] } | undefined

  constructor(existing: Existing, runs: readonly Observation[], options: ProposeOptions, notes: Notes) {
    this.#existing = existing
    this.#runs = runs
    this.#options = options
    this.#notes = notes
    for (const { files, programs, libraries } of runs) {
      for (const program of programs) for (const name of namesOf(program)) this.#programs.add(name)
      for (const library of libraries) for (const name of namesOf(library)) this.#mapped.add(name)
      for (const file of files) if (isChange(file)) for (const name of namesOf(file)) this.#changed.add(name)
    }
    this.#writable = this.#patterns('writable_paths')
    this.#secrets = runs.flatMap(({ files }) => files.flatMap(namesOf)).filter(isSecretPath)
  }

  addPrograms(): void {
    const closed = this.#existing.resolved['binary_access'] === 'none'
    const before = new Set(texts(this.#existing.resolved, 'allowed_binaries'))
    const denied = this.#options.denied?.executes ?? []
    for (const program of this.#runs.flatMap(({ programs }) => programs)) {
      const names = namesOf(program)
      const refused = closed
        ? 'binary_access is none in the existing manifest; programs were run'
        : names.some(isSecretPath)
          ? SECRET
          : names.some((name) => denied.some((pattern) => pathMatches(pattern, name)))
            ? 'a denial covers what was run'
            : // A program that a run can write is any program.
              names.some((name) => this.#isWritten(name))
              ? CODE_IS_WRITTEN
              : undefined
      for (const path of names) {
        if (before.has(path)) continue
        if (refused !== undefined) this.#notes.add('refused', refused, path)
        else if (/[*?[\]{}]/.test(path)) this.#notes.add('refused', 'allowed_binaries cannot name these programs', path)
        else {
          this.#add('allowed_binaries', this.#byVariable(path))
          if (INTERPRETER.test(path))
            this.#notes.add('warning', 'interpreters do whatever their input says, within the other lists', path)
        }
      }
    }
  }

  addLibraries(): void {
    const { closure } = this.#options
    const wanted = this.#runs
      .flatMap(({ libraries }) => libraries)
      .filter(({ path, named }) => closure === undefined || ![path, ...named].some((name) => closure.has(name)))
      // Its own file is mapped as code when a program is started through its loader.
      .filter(({ path }) => !this.#programs.has(path))
      .filter((library) => {
        const written = namesOf(library).some((name) => this.#isWritten(name))
        if (written) this.#notes.add('refused', CODE_IS_WRITTEN, library.path)
        return !written
      })
    const denied = this.#options.denied?.executes ?? []
    this.#addPaths('allowed_libraries', wanted, denied)
    if (closure === undefined && wanted.length > 0) {
      this.#notes.add(
        'info',
        'allowed_libraries also lists what the programs are linked with, which a box brings by itself',
      )
    }
  }

  addFiles(): void {
    const access = this.#existing.resolved['file_access']
    const { closure, denied = {} } = this.#options
    const reads: ObservedFile[] = []
    const writes: ObservedFile[] = []
    let missing = 0
    for (const file of this.#runs.flatMap(({ files }) => files)) {
      const { operation, path } = file
      if (operation === 'missing') missing++
      if (operation === 'stat' || operation === 'missing') {
        if (isSecretPath(path)) this.#notes.add('warning', 'secrets were looked for', path)
        continue
      }
      const names = namesOf(file)
      if (!names.some((name) => this.#isOutside(name)) || (!isChange(file) && this.#isSystemFile(names))) continue
      if (isChange(file)) {
        // What a run installs or compiles for itself among the libraries is not for a manifest to keep.
        if (this.#isInstalled(path)) this.#notes.add('refused', 'installed libraries were written to', path)
        else writes.push(file)
      } else if (operation === 'list' && !this.#isRooted(path)) {
        this.#notes.add('info', 'directories were listed; add them if the skill needs that', path)
      } else if (
        !names.some((name) => this.#programs.has(name) || this.#mapped.has(name) || closure?.has(name) === true)
      )
        reads.push(file)
    }
    if (missing > 0) this.#notes.add('info', `${missing} paths were looked for that do not exist; none is proposed`)
    if (access === 'none') {
      for (const { path } of [...reads, ...writes])
        this.#notes.add('refused', 'file_access is none in the existing manifest; files were used', path)
      return
    }
    this.#addPaths('readable_paths', reads, denied.reads ?? [])
    if (access === 'read_only') {
      for (const { path } of writes)
        this.#notes.add('refused', 'file_access is read_only in the existing manifest; files were written', path)
      return
    }
    const code = this.#code()
    const kept = writes.filter((file) => {
      const runs = namesOf(file).some((name) => code.some((pattern) => pathMatches(pattern, name)))
      if (runs) this.#notes.add('refused', CODE_IS_WRITTEN, file.path)
      return !runs
    })
    this.#addPaths('writable_paths', kept, [...(denied.writes ?? []), ...code])
    for (const { operation, path } of kept) {
      if (operation !== 'create' || this.#added.get('writable_paths')?.has(this.#byVariable(asPattern(path))) !== true)
        continue
      this.#notes.add('warning', 'made anew by name; a box can only make files in a directory that is writable', path)
    }
  }

  addEgress(): void {
    const before = texts(this.#existing.resolved, 'allowed_hosts')
    for (const text of proposeHosts(this.#runs, before, this.#options.denied?.hosts ?? [], this.#notes)) {
      this.#add('allowed_hosts', text)
    }
  }

  addRights(): void {
    const before = new Set(texts(this.#existing.resolved, 'process_rights'))
    for (const run of this.#runs) {
      const sockets = run.unixSockets.filter(({ path }) => !DAEMONS.test(path))
      for (const { path } of sockets) {
        this.#notes.add(
          'warning',
          'sockets of other processes were used; a box only has those in its own trees',
          path === '' ? '(abstract)' : path,
        )
      }
      for (const right of run.rights) {
        if (right === 'unix_sockets' && sockets.length === 0 && run.unixSockets.length > 0) continue
        if (!before.has(right)) this.#add('process_rights', right)
        if (right === 'executable_memory') {
          this.#notes.add('warning', RIGHT_NOTES[right])
        }
      }
    }
  }

  manifest(): JsonObject {
    const manifest: Record<string, JsonValue> = { ...this.#existing.written }
    for (const key of LIST_KEYS) {
      const added = this.#added.get(key)
      if (added === undefined || added.size === 0) continue
      const before = manifest[key]
      const kept: readonly JsonValue[] = Array.isArray(before) ? before : []
      manifest[key] = [...kept, ...[...added].filter((text) => !kept.includes(text)).sort()]
    }
    return manifest
  }

  #add(key: ListKey, text: string): void {
    const list = this.#added.get(key)
    if (list === undefined) this.#added.set(key, new Set([text]))
    else list.add(text)
  }

  #addPaths(
    key: 'allowed_libraries' | 'readable_paths' | 'writable_paths',
    files: readonly ObservedPath[],
    denied: readonly PathPattern[],
  ): void {
    const { roots, libraries } = this.#roots()
    const before = this.#patterns(key)
    const wanted: string[] = []
    for (const file of files) {
      // One file by several names: what is denied under one of them is denied under all.
      const names = namesOf(file)
      const denial = denied.find((pattern) => names.some((name) => pathMatches(pattern, name)))
      if (names.some(isSecretPath)) {
        for (const name of names) this.#notes.add('refused', SECRET, name)
      } else if (denial !== undefined) {
        for (const name of names) this.#notes.add('refused', `the denial ${denial.text} covers what was used`, name)
      } else {
        wanted.push(...names.filter((name) => this.#isOutside(name) && !before.some((one) => pathMatches(one, name))))
      }
    }
    const found = generalisePaths(wanted, {
      roots,
      libraries: key === 'writable_paths' ? [] : libraries,
      siblings: this.#options.siblings ?? 5,
      allows: (directory) => {
        const tree = parsePathPattern(`${asPattern(directory)}/**`)
        if (!tree.ok) return false
        if (isHome(directory) || isSecretPath(directory) || this.#secrets.some((path) => isWithin(path, directory))) {
          this.#notes.add(
            'info',
            'not taken whole, for the secrets that are in it or are kept in such a place',
            directory,
          )
          return false
        }
        if (key === 'allowed_libraries') {
          if ([...this.#changed].some((path) => isWithin(path, directory) && !this.#isInstalled(path))) return false
          if (this.#writable.some((pattern) => pathPatternsMayMeet(pattern, tree.pattern))) return false
        }
        return !denied.some((pattern) => pathPatternsMayMeet(pattern, tree.pattern))
      },
    })
    for (const tree of found.trees) {
      this.#add(key, `${this.#byVariable(asPattern(tree))}/**`)
      this.#notes.add('info', `taken whole for ${key}, with what was not seen in them`, tree)
    }
    for (const path of found.files) this.#add(key, this.#byVariable(asPattern(path)))
  }

  #patterns(
    key: 'allowed_libraries' | 'executable_paths' | 'readable_paths' | 'writable_paths',
  ): readonly PathPattern[] {
    return patternsOf(texts(this.#existing.resolved, key))
  }

  /** Everything the manifest lets run, so far. */
  #code(): readonly PathPattern[] {
    const { variables = {} } = this.#options
    // What was added names directories by variables, whose values stand for themselves in a pattern.
    const added = (key: ListKey): readonly string[] =>
      [...(this.#added.get(key) ?? [])].map((text) =>
        text.replace(/^\$\{([^}]*)\}/, (whole, name: string) => asPattern(variables[name] ?? whole)),
      )
    const programs = [
      ...texts(this.#existing.resolved, 'allowed_binaries').map(asPattern),
      ...added('allowed_binaries'),
    ]
    return [
      ...this.#patterns('executable_paths'),
      ...this.#patterns('allowed_libraries'),
      ...patternsOf([...programs, ...added('allowed_libraries')]),
    ]
  }

  /** Whether a run changed the file, or the manifest lets it be changed. */
  #isWritten(path: string): boolean {
    return (this.#changed.has(path) && !this.#isInstalled(path)) || this.#writable.some((one) => pathMatches(one, path))
  }

  /** In the libraries of an installation, and in no directory that was declared. */
  #isInstalled(path: string): boolean {
    const { roots, libraries } = this.#roots()
    return libraries.some((root) => isWithin(path, root)) && !roots.some((root) => isWithin(path, root))
  }

  #roots(): { readonly roots: readonly string[]; readonly libraries: readonly string[] } {
    if (this.#known === undefined) {
      const { roots = [], variables = {} } = this.#options
      const paths = this.#runs.flatMap(({ files, libraries }) => [...files, ...libraries].map(({ path }) => path))
      this.#known = { roots: [...roots, ...Object.values(variables)], libraries: libraryRoots(paths, this.#programs) }
    }
    return this.#known
  }

  #isRooted(path: string): boolean {
    const { roots, libraries } = this.#roots()
    return [...roots, ...libraries].some((root) => isWithin(path, root))
  }

  /** Not something that every box has or makes for itself. A root that was declared is meant, wherever it lies. */
  #isOutside(path: string): boolean {
    const { roots = [], variables = {} } = this.#options
    if ([...roots, ...Object.values(variables)].some((root) => isWithin(path, root))) return true
    if (!OF_THE_BOX.test(path)) return true
    if (isWithin(path, '/tmp') && path !== '/tmp' && !this.#changed.has(path)) {
      this.#notes.add('warning', 'files of /tmp were used; the /tmp of a box is its own and starts empty', path)
    }
    return isSecretPath(path)
  }

  /** Whether a box brings the file from the host by itself, under one of its names. */
  #isSystemFile(names: readonly string[]): boolean {
    const connects = this.#runs.some(({ egress }) => egress.some(({ protocol, sent }) => sent && protocol === 'tcp'))
    const files = connects ? [...SYSTEM_FILES, ...TLS_FILES] : SYSTEM_FILES
    return names.some((name) => files.some(({ path }) => isWithin(name, path)))
  }

  /** `path` with the longest declared directory it begins with written as the variable. */
  #byVariable(path: string): string {
    let best: readonly [string, string] | undefined
    for (const [name, directory] of Object.entries(this.#options.variables ?? {})) {
      const prefix = asPattern(directory)
      if (isWithin(path, prefix) && (best === undefined || prefix.length > best[1].length)) best = [name, prefix]
    }
    return best === undefined ? path : `\${${best[0]}}${path.slice(best[1].length)}`
  }
}

const SECRET = 'looks like a secret and is never proposed'
const CODE_IS_WRITTEN = 'what is run or loaded cannot be writable too'

const RIGHT_NOTES: Readonly<Record<Extract<ProcessRight, 'executable_memory'>, string>> = {
  executable_memory:
    'executable_memory lets a process run code that no list of files holds; interpreters with a compiler need it',
}

function namesOf({ path, named }: ObservedPath): readonly string[] {
  return [path, ...named]
}

function isChange({ operation }: ObservedFile): boolean {
  return operation === 'write' || operation === 'create' || operation === 'delete'
}

function patternsOf(patterns: readonly string[]): readonly PathPattern[] {
  return patterns.flatMap((text) => {
    const parsed = parsePathPattern(text)
    return parsed.ok ? [parsed.pattern] : []
  })
}

/** The pattern that matches `path` and nothing else. */
function asPattern(path: string): string {
  return path.replace(/[!"()*+?@[\\\]{|}]/g, '\\$&')
}

export function texts(document: JsonObject, key: string): readonly string[] {
  const value = document[key]
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
}
