// Many files → few patterns. Decides where a whole directory may stand for the files that were seen in it: in directories
// the operator declared, and in the installed libraries of a program that ran. Everywhere else every file is named.

/** Installations that are the same on every machine of a distribution, and hold no data of anybody. */
const LIBRARY_ROOTS: readonly RegExp[] = [
  /^\/usr\/(?:local\/)?lib\/python3(?:\.\d+)?(?=\/)/,
  /^\/usr\/(?:local\/)?lib\/node_modules(?=\/)/,
  /^\/usr\/share\/(?:perl|perl5|nodejs|zoneinfo|locale|ca-certificates)(?=\/)/,
  /^\/usr\/(?:local\/)?lib\/[a-z0-9_]+-linux-gnu\/(?:perl|perl-base|perl5|gconv)(?=\/)/,
  /^\/usr\/lib\/locale(?=\/)/,
  /^\/etc\/ssl\/certs(?=\/)/,
]

/** Directories of libraries that belong to the programs that ran: `P/lib/python3.11` for a `P/bin/python3`. */
export function libraryRoots(paths: Iterable<string>, programs: Iterable<string>): readonly string[] {
  const prefixes = new Set<string>()
  for (const program of programs) {
    const prefix = /^(.+)\/bin\/python[0-9.]*$/.exec(program)?.[1]
    if (prefix !== undefined) prefixes.add(prefix)
  }
  const found = new Set<string>()
  for (const path of paths) {
    for (const pattern of LIBRARY_ROOTS) {
      const root = pattern.exec(path)?.[0]
      if (root !== undefined) found.add(root)
    }
    const own = /^(.+)\/lib\/python3\.\d+(?=\/)/.exec(path)
    if (own?.[1] !== undefined && prefixes.has(own[1])) found.add(own[0])
  }
  return [...found].sort()
}

export interface TreeOptions {
  /** Directories in which a directory with many seen files is taken whole. */
  readonly roots: readonly string[]
  /** Directories that are taken whole as soon as many files below them were seen. */
  readonly libraries: readonly string[]
  /** How many is many. */
  readonly siblings: number
  /** Whether a directory may be taken whole at all. */
  allows(directory: string): boolean
}

export interface Generalised {
  readonly trees: readonly string[]
  readonly files: readonly string[]
}

/** Every path is in one of the trees or among the files; both are sorted. */
export function generalisePaths(paths: Iterable<string>, options: TreeOptions): Generalised {
  const all = [...new Set(paths)].sort()
  const children = new Map<string, number>()
  for (const path of all) {
    const directory = path.slice(0, Math.max(path.lastIndexOf('/'), 1))
    children.set(directory, (children.get(directory) ?? 0) + 1)
  }
  const candidates = [...children]
    .filter(
      ([directory, count]) => count >= options.siblings && options.roots.some((root) => isWithin(directory, root)),
    )
    .map(([directory]) => directory)
  for (const library of options.libraries) {
    if (all.filter((path) => isWithin(path, library)).length >= options.siblings) candidates.push(library)
  }
  const trees: string[] = []
  for (const directory of candidates.sort((a, b) => a.length - b.length || (a < b ? -1 : 1))) {
    if (trees.some((tree) => isWithin(directory, tree)) || !options.allows(directory)) continue
    trees.push(directory)
  }
  return { trees: trees.sort(), files: all.filter((path) => !trees.some((tree) => isWithin(path, tree))) }
}

/** Whether `path` is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)
}
