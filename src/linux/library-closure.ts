// Every file the dynamic loader opens for a list of programs: interpreters and libraries, found as ld.so(8) finds them. What
// is missing here fails late and far away, as "failed to map segment". Trusts no file: a program may name anything.

import { type ElfFile, type Machine, type ProgramFile, readProgram } from './elf.ts'
import {
  type ByteSource,
  type HostFiles,
  type PathLink,
  pureReader,
  type ResolvedPath,
  resolvePath,
} from './host-files.ts'

export interface LibraryClosure {
  readonly files: readonly ClosureFile[]
  readonly missing: readonly MissingLibrary[]
}

export interface ClosureFile {
  /** As the loader opens it; may lead through `links`. */
  readonly path: string
  readonly real: string
  readonly links: readonly PathLink[]
  /** Only an interpreter is run; a library is mapped. */
  readonly role: 'interpreter' | 'library'
  /** E.g. `needed by /usr/bin/git`. */
  readonly why: string
}

export interface MissingLibrary {
  readonly name: string
  /** The file that needs it. */
  readonly neededBy: string
  readonly reason: string
}

export interface ClosureOptions {
  readonly machine: Machine
  /** Libraries that are there anyway: they satisfy a need by their file name, and have needs of their own. */
  readonly libraries?: readonly string[]
}

const MULTIARCH: Readonly<Record<Machine, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }
const PLATFORM: Readonly<Record<Machine, string>> = { x64: 'x86_64', arm64: 'aarch64' }

// What glibc opens by name while it runs (nsswitch.conf(5), pthread_cancel(3)); absent ones are not missed.
const OPENED_LATER: Readonly<Record<string, readonly string[]>> = {
  'libc.so.6': ['libnss_files.so.2', 'libnss_dns.so.2', 'libgcc_s.so.1'],
}

// A program that needs more than this is not a program anyone wrote.
const MAX_OBJECTS = 4096

/** The files that `programs` (and `options.libraries`) are loaded with, themselves not included. */
export function libraryClosure(files: HostFiles, programs: readonly string[], options: ClosureOptions): LibraryClosure {
  const search = new LibrarySearch(files, options)
  for (const path of programs) search.addProgram(path)
  for (const path of options.libraries ?? []) search.addLibrary(path)
  return search.result()
}

/** One loaded file, and the file that made the loader load it: DT_RPATH is inherited along that chain. */
interface LoadedObject {
  readonly path: string
  readonly real: string
  readonly elf: ElfFile
  readonly loader: LoadedObject | undefined
}

class LibrarySearch {
  readonly #files: HostFiles
  readonly #machine: Machine
  readonly #cache: ReadonlyMap<string, readonly string[]>
  readonly #given: ReadonlyMap<string, string>
  readonly #resolved = new Map<string, ResolvedPath | undefined>()
  readonly #parsed = new Map<string, ProgramFile>()
  readonly #found = new Map<string, ClosureFile>()
  readonly #missing = new Map<string, MissingLibrary>()

  constructor(files: HostFiles, { machine, libraries = [] }: ClosureOptions) {
    this.#files = files
    this.#machine = machine
    this.#cache = readCache(files, machine)
    this.#given = new Map(libraries.map((path) => [path.slice(path.lastIndexOf('/') + 1), path]))
  }

  addProgram(path: string): void {
    const real = this.#resolve(path)?.real
    const elf = real === undefined ? undefined : this.#parse(real)
    if (real === undefined || elf?.kind !== 'elf') return
    const names = new Map<string, string>()
    let directories: readonly string[] | undefined
    if (elf.interpreter !== undefined) {
      const found = this.#add(elf.interpreter, 'interpreter', `interpreter of ${path}`)
      if (found === undefined) this.#miss(elf.interpreter, path, 'the interpreter does not exist')
      else names.set(baseName(elf.interpreter), found.real)
      directories = muslDirectories(this.#files, elf.interpreter)
    }
    // The kernel gives the loader the path without links as the origin of the program (proc(5), exe).
    this.#load({ path: real, real, elf, loader: undefined }, names, directories)
  }

  addLibrary(path: string): void {
    const real = this.#resolve(path)?.real
    const elf = real === undefined ? undefined : this.#parse(real)
    if (real !== undefined && elf?.kind === 'elf') {
      this.#load({ path, real, elf, loader: undefined }, new Map([[baseName(path), real]]), undefined)
    }
  }

  result(): LibraryClosure {
    return { files: [...this.#found.values()], missing: [...this.#missing.values()] }
  }

  // Breadth first, as ld.so does it: a name that has been loaded once satisfies every later need of it.
  #load(root: LoadedObject, names: Map<string, string>, musl: readonly string[] | undefined): void {
    const queue: LoadedObject[] = [root]
    const loaded = new Set<string>([root.real])
    for (let object = queue.shift(); object !== undefined; object = queue.shift()) {
      const later = object.elf.soname === undefined ? [] : (OPENED_LATER[object.elf.soname] ?? [])
      for (const name of [...object.elf.needed, ...later]) {
        if (names.has(name)) continue
        const optional = !object.elf.needed.includes(name)
        const found = this.#find(name, object, musl, optional)
        if (found === undefined) {
          if (!optional) this.#miss(name, object.path, 'no directory that the loader searches has it for this machine')
          continue
        }
        names.set(name, found.real)
        if (found.elf.soname !== undefined) names.set(found.elf.soname, found.real)
        if (loaded.has(found.real)) continue
        if (loaded.size === MAX_OBJECTS) return
        loaded.add(found.real)
        queue.push(found)
      }
    }
  }

  #find(
    name: string,
    object: LoadedObject,
    musl: readonly string[] | undefined,
    optional: boolean,
  ): LoadedObject | undefined {
    const why = optional ? `opened later by ${object.path}` : `needed by ${object.path}`
    // Every variant in the cache: which one is taken depends on the processor (glibc-hwcaps).
    const cached = this.#cache.get(name) ?? []
    let first: LoadedObject | undefined
    for (const path of this.#candidates(name, object, musl)) {
      if (first !== undefined && !cached.includes(path)) break
      const elf = this.#elfAt(path)
      const real = elf && this.#resolve(path)?.real
      if (elf === undefined || real === undefined || real === first?.real) continue
      if (this.#add(path, 'library', why) === undefined) continue
      first ??= { path, real, elf, loader: object }
      if (!cached.includes(path)) break
    }
    return first
  }

  *#candidates(name: string, object: LoadedObject, musl: readonly string[] | undefined): Generator<string> {
    if (name.includes('/')) {
      if (name.startsWith('/')) yield name
      return
    }
    const { elf } = object
    if (elf.runpath === undefined) {
      for (let at: LoadedObject | undefined = object; at !== undefined; at = at.loader) {
        if (at.elf.runpath === undefined) yield* this.#inRunPath(at.elf.rpath ?? [], at, name)
      }
    }
    yield* this.#inRunPath(elf.runpath ?? [], object, name)
    if (musl !== undefined) {
      for (const directory of musl) yield `${directory}/${name}`
    } else if (!elf.noDefaultDirectories) {
      yield* this.#cache.get(name) ?? []
      for (const directory of defaultDirectories(this.#machine)) yield `${directory}/${name}`
    }
    const given = this.#given.get(name)
    if (given !== undefined) yield given
  }

  *#inRunPath(entries: readonly string[], object: LoadedObject, name: string): Generator<string> {
    const origin = object.path.slice(0, Math.max(1, object.path.lastIndexOf('/')))
    for (const entry of entries) {
      for (const lib of [`lib/${MULTIARCH[this.#machine]}`, 'lib64', 'lib']) {
        const directory = entry
          .replace(/\$(?:ORIGIN|\{ORIGIN\})/g, () => origin)
          .replace(/\$(?:LIB|\{LIB\})/g, () => lib)
          .replace(/\$(?:PLATFORM|\{PLATFORM\})/g, () => PLATFORM[this.#machine])
        // A relative entry means the working directory of whoever starts the program: anything, and so nothing.
        if (directory.startsWith('/')) yield `${directory}/${name}`
        if (!/\$(?:LIB|\{LIB\})/.test(entry)) break
      }
    }
  }

  #elfAt(path: string): ElfFile | undefined {
    const resolved = this.#resolve(path)
    if (resolved?.stat.type !== 'file') return undefined
    const parsed = this.#parse(resolved.real)
    return parsed.kind === 'elf' && parsed.machine === this.#machine ? parsed : undefined
  }

  // The same few directories are asked for the same few names by every program.
  #resolve(path: string): ResolvedPath | undefined {
    if (!this.#resolved.has(path)) this.#resolved.set(path, resolvePath(this.#files, path))
    return this.#resolved.get(path)
  }

  #parse(real: string): ProgramFile {
    const known = this.#parsed.get(real)
    if (known !== undefined) return known
    const parsed = this.#files.read(real, readProgram) ?? { kind: 'other' }
    this.#parsed.set(real, parsed)
    return parsed
  }

  #add(path: string, role: ClosureFile['role'], why: string): ClosureFile | undefined {
    const known = this.#found.get(path)
    if (known !== undefined && (known.role === role || role === 'library')) return known
    const resolved = this.#resolve(path)
    if (resolved?.stat.type !== 'file') return undefined
    const file = { path, real: resolved.real, links: resolved.links, role, why }
    this.#found.set(path, file)
    return file
  }

  #miss(name: string, neededBy: string, reason: string): void {
    this.#missing.set(`${name}\0${neededBy}`, { name, neededBy, reason })
  }
}

function defaultDirectories(machine: Machine): readonly string[] {
  const multiarch = MULTIARCH[machine]
  return [`/lib/${multiarch}`, `/usr/lib/${multiarch}`, '/lib64', '/usr/lib64', '/lib', '/usr/lib']
}

// musl has no cache and its own list of directories (its dynlink.c: /etc/ld-musl-ARCH.path, separated by colons or newlines).
function muslDirectories(files: HostFiles, interpreter: string): readonly string[] | undefined {
  const name = /\/ld-musl-([a-z0-9_]+)\.so\.1$/.exec(interpreter)
  if (name === null) return undefined
  const text = files.read(`/etc/ld-musl-${name[1]}.path`, (source) =>
    new TextDecoder().decode(source.read(0, Math.min(source.size, 65536))),
  )
  const listed = text?.split(/[:\n]/).filter((directory) => directory.startsWith('/'))
  return listed ?? ['/lib', '/usr/local/lib', '/usr/lib']
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

export interface CachedLibrary {
  readonly name: string
  readonly path: string
}

const CACHE_BYTES = 16 * 1024 * 1024

function readCache(files: HostFiles, machine: Machine): ReadonlyMap<string, readonly string[]> {
  return files.read('/etc/ld.so.cache', CACHE_READERS[machine]) ?? new Map()
}

const CACHE_READERS: Readonly<Record<Machine, (source: ByteSource) => ReadonlyMap<string, readonly string[]>>> = {
  x64: pureReader((source) => librariesByName(source, 'x64')),
  arm64: pureReader((source) => librariesByName(source, 'arm64')),
}

function librariesByName(source: ByteSource, machine: Machine): ReadonlyMap<string, readonly string[]> {
  const paths = new Map<string, string[]>()
  for (const { name, path } of parseLibraryCache(source.read(0, Math.min(source.size, CACHE_BYTES)), machine)) {
    const known = paths.get(name)
    if (known === undefined) paths.set(name, [path])
    else if (!known.includes(path)) known.push(path)
  }
  return paths
}

// struct cache_file_new and file_entry_new of glibc's dl-cache.h: the magic and version in 20 bytes, the number of entries
// and the length of the strings, 48 bytes in all; entries of 24 bytes: flags, name, path, two unused, hwcap.
const CACHE_MAGIC = 'glibc-ld.so.cache1.1'
const OLD_MAGIC = 'ld.so-1.7.0'
const CACHE_HEADER = 48
const CACHE_ENTRY = 24
// FLAG_ELF_LIBC6 with FLAG_X8664_LIB64 or FLAG_AARCH64_LIB64.
const CACHE_FLAGS: Readonly<Record<Machine, number>> = { x64: 0x0303, arm64: 0x0a03 }

/** Entries of /etc/ld.so.cache for `machine`, in the order of the file; none of a file that is anything else. Never throws. */
export function parseLibraryCache(bytes: Uint8Array, machine: Machine): readonly CachedLibrary[] {
  const start = cacheStart(bytes)
  if (start === undefined || start + CACHE_HEADER > bytes.length) return []
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, bytes.length - start)
  const count = view.getUint32(20, true)
  // Big-endian files say 3 here; 0 is a file of before the flag.
  const order = view.getUint8(28) & 3
  if ((order !== 0 && order !== 2) || count > (view.byteLength - CACHE_HEADER) / CACHE_ENTRY) return []
  const text = (offset: number): string | undefined => textAt(bytes.subarray(start), offset)
  const found: CachedLibrary[] = []
  for (let index = 0; index < count; index++) {
    const at = CACHE_HEADER + index * CACHE_ENTRY
    if ((view.getInt32(at, true) & 0xffff) !== CACHE_FLAGS[machine]) continue
    const name = text(view.getUint32(at + 4, true))
    const path = text(view.getUint32(at + 8, true))
    if (name !== undefined && name !== '' && path?.startsWith('/') === true) found.push({ name, path })
  }
  return found
}

// The new format may stand behind the old one, aligned to eight bytes.
function cacheStart(bytes: Uint8Array): number | undefined {
  if (hasText(bytes, 0, CACHE_MAGIC)) return 0
  if (!hasText(bytes, 0, OLD_MAGIC) || bytes.length < 16) return undefined
  const count = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(12, true)
  const start = Math.ceil((16 + count * 12) / 8) * 8
  return hasText(bytes, start, CACHE_MAGIC) ? start : undefined
}

function hasText(bytes: Uint8Array, at: number, text: string): boolean {
  if (at + text.length > bytes.length) return false
  for (let index = 0; index < text.length; index++) {
    if (bytes[at + index] !== text.charCodeAt(index)) return false
  }
  return true
}

function textAt(bytes: Uint8Array, offset: number): string | undefined {
  const end = bytes.indexOf(0, offset)
  if (offset >= bytes.length || end === -1 || end - offset > 4096) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(offset, end))
  } catch {
    return undefined
  }
}
