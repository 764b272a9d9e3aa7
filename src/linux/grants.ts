// What the patterns of a profile mean on this host's disk: for every grant the file or tree it names, or why it names none
// that can be given. Trusts no symbolic link that someone other than root could have made, and no file to have one name.

import type { Glob } from '../core/glob.ts'
import { type PathPattern, pathMatches, pathPatternContains } from '../core/path-pattern.ts'
import type { Profile, ProfileEntry } from '../enforcer/profile.ts'
import { type Machine, readProgram } from './elf.ts'
import { type FileStat, type HostFiles, type PathLink, type ResolvedPath, resolvePath } from './host-files.ts'
import { type LibraryClosure, libraryClosure } from './library-closure.ts'

/** A part of the profile that no box on this host can hold. */
export interface UnrepresentablePart {
  readonly kind: 'read' | 'write' | 'execute' | 'binary' | 'library' | 'egress' | 'syscall' | 'limit'
  /** As the profile has it. */
  readonly text: string
  readonly rule: string
  readonly reason: string
  readonly fix: string
}

export type GrantKind = 'read' | 'write' | 'execute' | 'binary' | 'library'

/** One grant, found on disk. */
export interface Grant {
  readonly kind: GrantKind
  /** `directory` is the node alone, with nothing in it. */
  readonly shape: 'tree' | 'file' | 'directory'
  /** Without a symbolic link in it. */
  readonly real: string
  readonly stat: FileStat
  readonly text: string
  readonly rule: string
}

/** A path that nothing may be given of, whatever the profile says. */
export interface HiddenPath {
  readonly path: string
  readonly reason: string
}

export interface GrantOptions {
  readonly machine: Machine
  /** The id that processes of the box have. */
  readonly uid: number
  readonly hidden?: readonly HiddenPath[]
}

export interface Grants {
  readonly grants: readonly Grant[]
  /** Links that were followed, to be made again so that both names work. */
  readonly links: readonly PathLink[]
  readonly closure: LibraryClosure
  readonly unrepresentable: readonly UnrepresentablePart[]
  readonly notes: readonly string[]
}

/** What a pattern looks like to something that only knows paths. */
export type PatternShape =
  | { readonly kind: 'exact'; readonly path: string }
  /** The path and everything below it. */
  | { readonly kind: 'tree'; readonly path: string }
  /** Files of one directory. */
  | { readonly kind: 'names'; readonly directory: string; readonly glob: Glob }
  | { readonly kind: 'other'; readonly prefix: string }

export function patternShape({ segments }: PathPattern): PatternShape {
  const wild = segments.findIndex((segment) => segment.kind !== 'literal')
  const literal = (wild === -1 ? segments : segments.slice(0, wild)).map((segment) =>
    segment.kind === 'literal' ? segment.text : '',
  )
  const path = `/${literal.join('/')}`
  if (wild === -1) return { kind: 'exact', path }
  const first = segments[wild]
  if (wild !== segments.length - 1) return { kind: 'other', prefix: path }
  return first?.kind === 'glob' ? { kind: 'names', directory: path, glob: first.glob } : { kind: 'tree', path }
}

/** The pattern of a real path and all below it; unlike a parsed one it may have any character in its names. */
export function treePattern(path: string): PathPattern {
  const names = path.split('/').filter((segment) => segment !== '')
  return {
    text: path === '/' ? '/**' : `${path}/**`,
    segments: [...names.map((text) => ({ kind: 'literal', text }) as const), { kind: 'rest' }],
  }
}

/** Whether `path` is `tree` or lies in it. */
export function isWithin(path: string, tree: string): boolean {
  return tree === '/' || path === tree || path.startsWith(`${tree}/`)
}

/** File systems of the kernel: what is read and written there is no file, and a bind would show the host's. */
export const KERNEL_TREES: readonly HiddenPath[] = Object.freeze(
  ['/proc', '/sys', '/dev'].map((path) => ({ path, reason: `${path} of the host never enters a box` })),
)

// The merged-usr layout: links of the distribution itself, which every path to a program or library leads through.
const MERGED_USR: ReadonlySet<string> = new Set(['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'])

/** Names that one glob of `libraries` may stand for. */
const MAX_NAMES = 256
/** Directory entries that are looked at in all granted trees of code, for what their files need. */
const MAX_SCANNED = 8192

/** Finds every grant of the profile on disk. */
export function resolveGrants(profile: Profile, files: HostFiles, options: GrantOptions): Grants {
  const resolver = new GrantResolver(profile, files, options)
  return resolver.resolve()
}

interface Asked {
  readonly kind: GrantKind
  readonly text: string
  readonly rule: string
}

class GrantResolver {
  readonly #profile: Profile
  readonly #files: HostFiles
  readonly #options: GrantOptions
  readonly #hidden: readonly HiddenPath[]
  readonly #grants: Grant[] = []
  readonly #links = new Map<string, PathLink>()
  readonly #unrepresentable: UnrepresentablePart[] = []
  readonly #notes: string[] = []
  #scanned = 0

  constructor(profile: Profile, files: HostFiles, options: GrantOptions) {
    this.#profile = profile
    this.#files = files
    this.#options = options
    this.#hidden = [...KERNEL_TREES, ...(options.hidden ?? [])]
  }

  resolve(): Grants {
    const { read, write, execute, binaries, libraries } = this.#profile
    for (const entry of read) this.#addPattern('read', entry)
    for (const entry of write) this.#addPattern('write', entry)
    for (const entry of execute) this.#addPattern('execute', entry)
    for (const { value, rule } of binaries) this.#addPath({ kind: 'binary', text: value, rule }, value, false)
    for (const entry of libraries) this.#addPattern('library', entry)
    this.#checkScripts()
    const closure = this.#closure()
    this.#checkWritableCode(closure)
    return {
      grants: this.#grants,
      links: [...this.#links.values()],
      closure,
      unrepresentable: this.#unrepresentable,
      notes: this.#notes,
    }
  }

  #addPattern(kind: GrantKind, { value, rule }: ProfileEntry<PathPattern>): void {
    const asked: Asked = { kind, text: value.text, rule }
    const shape = patternShape(value)
    if (shape.kind === 'exact' || shape.kind === 'tree') {
      this.#addPath(asked, shape.path, shape.kind === 'tree')
    } else if (shape.kind === 'names' && kind === 'library') {
      this.#addNames(asked, shape.directory, shape.glob)
    } else {
      const tree = `${shape.kind === 'names' ? shape.directory : shape.prefix}/**`
      const fix = tree === '//**' ? 'list the files' : `write it as ${tree} or list the files`
      this.#refuse(asked, 'a mount is a whole directory or one file, never the files of a pattern', fix)
    }
  }

  // Read-only and resolved once: a file that appears later is not part of the box, which is the safe way to be wrong.
  #addNames(asked: Asked, directory: string, glob: Glob): void {
    const resolved = resolvePath(this.#files, directory)
    const names = (resolved === undefined ? undefined : this.#files.readdir(resolved.real)) ?? []
    const matching = names.filter(({ name }) => glob.matches(name))
    if (matching.length > MAX_NAMES) {
      this.#refuse(asked, `it stands for ${matching.length} files, and ${MAX_NAMES} is the most`, 'name them narrower')
      return
    }
    const paths = matching.map(({ name }) => `${directory === '/' ? '' : directory}/${name}`)
    const found = paths.filter((path) => resolvePath(this.#files, path)?.stat.type === 'file')
    if (found.length === 0) this.#refuse(asked, 'no file matches it', 'install the library or take it out')
    for (const path of found) this.#addPath(asked, path, false)
  }

  #addPath(asked: Asked, path: string, tree: boolean): void {
    if (path === '/') {
      // The root directory is in every box.
      if (asked.kind === 'read' && !tree) return
      this.#refuse(asked, 'the whole file system', 'name the directories that are needed')
      return
    }
    if (this.#refuseHidden(asked, path)) return
    const resolved = resolvePath(this.#files, path)
    if (resolved === undefined) {
      const fix = asked.kind === 'write' ? 'create it first' : 'create or install it, or take it out'
      this.#refuse(asked, 'it does not exist', fix)
      return
    }
    if (this.#refuseHidden(asked, resolved.real) || this.#refuseLinks(asked, resolved, tree)) return
    const shape = this.#shapeOf(asked, resolved, tree)
    if (shape === undefined) return
    if (this.#refuseForbidden(asked, path, resolved.real, shape === 'tree')) return
    if (asked.kind === 'binary' && !this.#isProgram(asked, resolved)) return
    for (const link of resolved.links) this.#links.set(link.path, link)
    const { real, stat } = resolved
    this.#grants.push({ kind: asked.kind, shape, real, stat, text: asked.text, rule: asked.rule })
  }

  #refuseHidden(asked: Asked, path: string): boolean {
    const hidden = this.#hidden.find((entry) => isWithin(path, entry.path))
    if (hidden === undefined) return false
    this.#refuse(asked, hidden.reason, 'take it out')
    return true
  }

  /**
   * The rule that granted a link said nothing of where it leads, and whoever can replace the link says where that is. Code
   * is allowed root's own links (`python3` leads to `python3.11`); data only those of the system's layout.
   */
  #refuseLinks(asked: Asked, { real, links, stat }: ResolvedPath, tree: boolean): boolean {
    const data = asked.kind === 'read' || asked.kind === 'write'
    if (links.every((link) => (!data || MERGED_USR.has(link.path)) && this.#onlyRootMakes(link))) return false
    if (this.#coversReal(asked.kind, real, tree && stat.type === 'directory')) return false
    this.#refuse(asked, `it leads through a symbolic link to ${real}`, `grant ${real}${tree ? '/**' : ''} as well`)
    return true
  }

  #onlyRootMakes(link: PathLink): boolean {
    if (link.stat.uid !== 0) return false
    for (let at = parentOf(link.path); ; at = parentOf(at)) {
      const stat = this.#files.lstat(at)
      if (stat?.uid !== 0 || (stat.mode & 0o022) !== 0) return false
      if (at === '/') return true
    }
  }

  #coversReal(kind: GrantKind, real: string, tree: boolean): boolean {
    if (kind === 'binary') {
      return (
        this.#profile.binaries.some(({ value }) => value === real) ||
        this.#profile.execute.some(({ value }) => pathMatches(value, real))
      )
    }
    const list = kind === 'library' ? [...this.#profile.libraries, ...this.#profile.execute] : this.#profile[kind]
    return list.some(({ value }) => (tree ? pathPatternContains(value, treePattern(real)) : pathMatches(value, real)))
  }

  #shapeOf(asked: Asked, { stat }: ResolvedPath, tree: boolean): Grant['shape'] | undefined {
    if (stat.type === 'file') return 'file'
    if (stat.type !== 'directory') {
      this.#refuse(asked, `it is a ${stat.type.replace('_', ' ')}`, 'grant files and directories only')
      return undefined
    }
    if (asked.kind === 'binary') {
      this.#refuse(asked, 'it is a directory', `write it as an executable path ${asked.text}/**`)
      return undefined
    }
    if (tree) return 'tree'
    if (asked.kind !== 'read') {
      this.#refuse(asked, 'it is a directory, and the pattern covers nothing in it', `write it as ${asked.text}/**`)
      return undefined
    }
    this.#notes.push(`${asked.text} is a directory and appears empty: ${asked.text}/** would show what is in it`)
    return 'directory'
  }

  // By the real name too: a forbid of /usr/bin/python3.11 is one of /usr/bin/python3 where that leads there.
  #refuseForbidden(asked: Asked, path: string, real: string, tree: boolean): boolean {
    const { denied } = this.#profile
    const holes = asked.kind === 'read' || asked.kind === 'write' ? denied[asked.kind] : denied.execute
    const forbid = holes.find(({ value }) =>
      tree ? pathPatternContains(value, treePattern(real)) : pathMatches(value, real) || pathMatches(value, path),
    )
    if (forbid === undefined) return false
    this.#refuse(asked, `${real} is forbidden by ${forbid.rule}`, 'take it out of the profile, or the forbid out')
    return true
  }

  #isProgram(asked: Asked, { real, stat }: ResolvedPath): boolean {
    if ((stat.mode & 0o111) === 0) {
      this.#refuse(asked, 'it is not executable', `chmod +x ${real}`)
      return false
    }
    const parsed = this.#files.read(real, readProgram)
    if (parsed === undefined) this.#refuse(asked, 'it cannot be read', 'make it readable')
    else if (parsed.kind === 'other') this.#refuse(asked, 'neither an ELF program nor a #! script', 'take it out')
    else if (parsed.kind === 'unsupported') this.#refuse(asked, parsed.reason, 'install it for this machine')
    else if (parsed.kind === 'elf' && parsed.machine !== this.#options.machine) {
      this.#refuse(asked, 'a program for another machine', 'install it for this machine')
    } else return true
    return false
  }

  // The kernel runs the interpreter of a script by its own path and asks the same questions of it as of any program.
  #checkScripts(): void {
    const runnable = (real: string): boolean =>
      this.#grants.some(
        (grant) =>
          (grant.kind === 'binary' && grant.real === real) || (grant.kind === 'execute' && isWithin(real, grant.real)),
      )
    for (const grant of this.#grants) {
      if (grant.kind !== 'binary') continue
      const parsed = this.#files.read(grant.real, readProgram)
      if (parsed?.kind !== 'script') continue
      const resolved = resolvePath(this.#files, parsed.interpreter)
      if (resolved === undefined) {
        this.#refuse(grant, `its interpreter ${parsed.interpreter} does not exist`, 'install the interpreter')
      } else if (!runnable(resolved.real)) {
        this.#refuse(grant, `its interpreter ${parsed.interpreter} is not granted`, `list ${parsed.interpreter} too`)
      } else {
        for (const link of resolved.links) this.#links.set(link.path, link)
      }
    }
  }

  #closure(): LibraryClosure {
    const programs: string[] = []
    const libraries: string[] = []
    for (const { kind, shape, real } of this.#grants) {
      if (kind === 'read' || kind === 'write') continue
      const into = kind === 'library' ? libraries : programs
      if (shape === 'file') into.push(real)
      else for (const path of this.#scan(real, kind === 'library')) into.push(path)
    }
    if (this.#scanned >= MAX_SCANNED) {
      this.#notes.push(`only the first ${MAX_SCANNED} files of the executable trees were searched for what they need`)
    }
    const closure = libraryClosure(this.#files, programs, { machine: this.#options.machine, libraries })
    const files = closure.files.filter((file) => {
      const asked: Asked = { kind: 'library', text: file.path, rule: file.why }
      return !this.#refuseHidden(asked, file.real) && !this.#refuseForbidden(asked, file.path, file.real, false)
    })
    for (const file of files) for (const link of file.links) this.#links.set(link.path, link)
    for (const { name, neededBy } of closure.missing) this.#notes.push(`${neededBy} needs ${name}, which is not found`)
    return { files, missing: closure.missing }
  }

  /** Programs (or libraries) in a tree. Links are not followed: what they lead to is in the tree or not granted. */
  #scan(root: string, libraries: boolean): readonly string[] {
    const found: string[] = []
    const pending = [root]
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      for (const { name, type } of this.#files.readdir(directory) ?? []) {
        if (this.#scanned++ >= MAX_SCANNED) return found
        const path = `${directory}/${name}`
        if (type === 'directory') pending.push(path)
        else if (type === 'file' && this.#isCode(path, libraries)) found.push(path)
      }
    }
    return found
  }

  #isCode(path: string, libraries: boolean): boolean {
    return libraries ? /\.so(?:\.[0-9]+)*$/.test(path) : ((this.#files.lstat(path)?.mode ?? 0) & 0o111) !== 0
  }

  // W^X. A file that is run must not be one that can be written, by this name or another.
  #checkWritableCode(closure: LibraryClosure): void {
    const writable = this.#grants.filter(({ kind }) => kind === 'write')
    if (writable.length === 0) return
    for (const grant of this.#grants) {
      if (grant.kind === 'read' || grant.kind === 'write') continue
      const clash = writable.find(({ real, shape }) =>
        grant.shape === 'tree'
          ? isWithin(real, grant.real) || isWithin(grant.real, real)
          : shape !== 'tree' && real === grant.real,
      )
      if (clash !== undefined) {
        this.#refuse(grant, `${clash.text} makes it writable`, 'keep what is run apart from what is written')
      } else if (grant.shape === 'file') this.#checkNames(grant, grant.real, grant.stat, writable)
    }
    for (const file of closure.files) {
      const stat = this.#files.lstat(file.real)
      const asked: Asked = { kind: 'library', text: file.path, rule: file.why }
      if (writable.some(({ real, shape }) => shape !== 'tree' && real === file.real)) {
        this.#refuse(asked, 'it is granted for writing', 'keep what is run apart from what is written')
      } else if (stat !== undefined) this.#checkNames(asked, file.real, stat, writable)
    }
  }

  // The mount over one name does not protect a second name of the same file.
  #checkNames(asked: Asked, real: string, stat: FileStat, writable: readonly Grant[]): void {
    if (stat.links < 2) return
    const inside = writable.some((grant) => isWithin(real, grant.real))
    const reachable = writable.some((grant) => grant.stat.dev === stat.dev) && this.#mayWrite(stat)
    if (!(inside || (reachable && !this.#allNamesNear(real, stat)))) return
    this.#refuse(asked, `${real} has a second name that may be writable`, `replace ${real} by a copy of itself`)
  }

  #mayWrite({ uid, mode }: FileStat): boolean {
    // An owner can give the right back to itself.
    return uid === this.#options.uid || (mode & 0o022) !== 0
  }

  #allNamesNear(real: string, { links, dev, ino }: FileStat): boolean {
    const directory = parentOf(real)
    const names = (this.#files.readdir(directory) ?? []).filter(({ name }) => {
      const stat = this.#files.lstat(`${directory === '/' ? '' : directory}/${name}`)
      return stat?.dev === dev && stat.ino === ino
    })
    return names.length === links
  }

  #refuse({ kind, text, rule }: Asked, reason: string, fix: string): void {
    this.#unrepresentable.push({ kind, text, rule, reason, fix })
  }
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}
