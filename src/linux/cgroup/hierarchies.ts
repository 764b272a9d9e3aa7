// Which control group file systems this process can reach and where in them it is: cgroup v2, the v1 hierarchies, or both
// at once. Read from /proc/self/mountinfo and /proc/self/cgroup, which only the kernel writes; a mount that does not
// show the process's own group, or that is read-only, is not there.

/** One hierarchy, mounted so that the process sees its own group in it. */
export interface Hierarchy {
  readonly mount: string
  /** Directory of the group that this process is a member of; inside `mount` or the same. */
  readonly own: string
}

export interface Hierarchies {
  readonly v2?: Hierarchy
  /** By controller: `pids`, `memory`, … Several may share one. */
  readonly v1: ReadonlyMap<string, Hierarchy>
}

interface Mount {
  readonly root: string
  readonly point: string
  readonly type: string
  readonly options: readonly string[]
}

interface Membership {
  /** Empty for v2. */
  readonly controllers: readonly string[]
  readonly path: string
}

export function parseHierarchies(mountinfo: string, cgroup: string): Hierarchies {
  const mounts = mountinfo
    .split('\n')
    .map(parseMount)
    .filter((mount) => mount !== undefined)
  const v1 = new Map<string, Hierarchy>()
  let v2: Hierarchy | undefined
  for (const { controllers, path } of cgroup
    .split('\n')
    .map(parseMembership)
    .filter((entry) => entry !== undefined)) {
    const fits = (mount: Mount): boolean =>
      controllers.length === 0
        ? mount.type === 'cgroup2'
        : mount.type === 'cgroup' && controllers.every((controller) => mount.options.includes(controller))
    const found = mounts
      .filter(fits)
      .map((mount) => located(mount, path))
      .find((hierarchy) => hierarchy !== undefined)
    if (found === undefined) continue
    if (controllers.length === 0) v2 ??= found
    else for (const controller of controllers) if (!v1.has(controller)) v1.set(controller, found)
  }
  return v2 === undefined ? { v1 } : { v2, v1 }
}

/** proc_pid_mountinfo(5): id parent major:minor root point options [optional…] - type source options */
function parseMount(line: string): Mount | undefined {
  const [before, after] = halves(line, ' - ')
  const [, , , root, point, options] = before.split(' ')
  const [type, , superOptions] = after.split(' ')
  if (root === undefined || point === undefined || options === undefined) return undefined
  if (type === undefined || superOptions === undefined) return undefined
  const all = [...options.split(','), ...superOptions.split(',')]
  if (all.includes('ro')) return undefined
  return { root: unescaped(root), point: unescaped(point), type, options: superOptions.split(',') }
}

/** cgroups(7): id:controllers:path. A path may hold colons. */
function parseMembership(line: string): Membership | undefined {
  const [, rest] = halves(line, ':')
  const [controllers, path] = halves(rest, ':')
  if (!path.startsWith('/') || path.endsWith(' (deleted)')) return undefined
  return { controllers: controllers.split(',').filter((name) => name !== ''), path }
}

/** The group inside the mount. `/..` at the front: it is outside this cgroup namespace (cgroup_namespaces(7)). */
function located({ root, point }: Mount, path: string): Hierarchy | undefined {
  if (`${path}/`.startsWith('/../') || `${root}/`.startsWith('/../')) return undefined
  const base = root === '/' ? '' : root
  if (path !== base && !path.startsWith(`${base}/`)) return undefined
  const below = path.slice(base.length)
  return Object.freeze({
    mount: point,
    own: below === '/' || below === '' ? point : `${point === '/' ? '' : point}${below}`,
  })
}

function halves(text: string, separator: string): readonly [string, string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)]
}

/** Space, tab, newline and backslash are three octal digits there. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}
