// The tree of a box: what is mounted where, so that whatever the profile does not grant is not there at all. Every bind
// stands at its own real path, so no mount is ever reached through a link that could be changed under it.

import { pathPatternsMayMeet } from '../core/path-overlap.ts'
import type { PathPattern } from '../core/path-pattern.ts'
import type { Profile } from '../enforcer/profile.ts'
import type { MountItem } from './box.ts'
import type { Machine } from './elf.ts'
import {
  type Grants,
  type HiddenPath,
  isWithin,
  parentOf,
  patternShape,
  resolveGrants,
  treePattern,
  type UnrepresentablePart,
} from './grants.ts'
import { type HostFiles, type PathLink, resolvePath } from './host-files.ts'
import { SYSTEM_FILES, type SystemFile, syntheticFiles, TLS_FILES } from './system-files.ts'

export interface MountPlanOptions {
  readonly machine: Machine
  /** Ids that processes of the box have. */
  readonly uid: number
  readonly gid: number
  readonly hostname: string
  /** Bound of every file system in memory that can be written. */
  readonly tmpBytes: number
  /** Paths that never show in a box: file systems of the kernel, files of the gateway. */
  readonly hidden?: readonly HiddenPath[]
}

export interface MountPlan {
  readonly mounts: readonly MountItem[]
  readonly grants: Grants
  /** Real paths of the system files that were added. */
  readonly system: readonly string[]
  readonly unrepresentable: readonly UnrepresentablePart[]
  readonly notes: readonly string[]
}

/** Turns a profile into a mount tree. What cannot be turned is listed, and a plan with such a list is not to be used. */
export function planMounts(profile: Profile, files: HostFiles, options: MountPlanOptions): MountPlan {
  return new MountPlanner(profile, files, options).plan()
}

type Access = 'read' | 'write' | 'execute'
type Bind = Extract<MountItem, { type: 'bind' }>
type Targeted = Exclude<MountItem, { type: 'dev' | 'proc' }>

/** Something that is taken out of what the grants give. */
interface Hole {
  readonly kind: Access
  readonly pattern: PathPattern
  readonly text: string
  readonly rule: string
}

class MountPlanner {
  readonly #profile: Profile
  readonly #files: HostFiles
  readonly #options: MountPlanOptions
  readonly #grants: Grants
  /** By target. */
  readonly #items = new Map<string, Targeted>()
  readonly #holes = new Map<string, Hole['kind']>()
  readonly #system: string[] = []
  readonly #links: PathLink[] = []
  readonly #unrepresentable: UnrepresentablePart[]
  readonly #notes: string[]

  constructor(profile: Profile, files: HostFiles, options: MountPlanOptions) {
    this.#profile = profile
    this.#files = files
    this.#options = options
    this.#grants = resolveGrants(profile, files, options)
    this.#unrepresentable = [...this.#grants.unrepresentable]
    this.#notes = [...this.#grants.notes]
  }

  plan(): MountPlan {
    this.#bindGrants()
    this.#bindSystem()
    this.#dropImplied()
    if (!this.#items.has('/tmp')) this.#scratch('/tmp', 0o1777)
    else this.#notes.push("/tmp is the host's own, because the profile grants it")
    this.#coverHoles()
    this.#pinParents()
    this.#addSmall()
    const sorted = [...this.#items].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item)
    return {
      mounts: [{ type: 'dev' }, { type: 'proc' }, ...sorted],
      grants: this.#grants,
      system: this.#system,
      unrepresentable: this.#unrepresentable,
      notes: this.#notes,
    }
  }

  #bindGrants(): void {
    for (const { kind, shape, real, text, rule } of this.#grants.grants) {
      if (shape === 'directory') continue
      const access = kind === 'binary' || kind === 'library' ? 'execute' : kind
      if (access === 'write' && this.#profile.executionMode === 'ephemeral') {
        this.#bindEphemeral(real, shape, text, rule)
      } else this.#bind(real, access, shape === 'tree')
    }
    for (const { real } of this.#grants.closure.files) this.#bind(real, 'execute', false)
  }

  // Nothing written may outlive the box, so the tree of the host cannot be the one that is written.
  #bindEphemeral(real: string, shape: string, text: string, rule: string): void {
    const others = this.#grants.grants.filter(
      (grant) => grant.kind !== 'write' && (isWithin(grant.real, real) || isWithin(real, grant.real)),
    )
    if (shape === 'tree' && others.length === 0) {
      this.#scratch(real, 0o777)
      this.#notes.push(`${text} is empty and in memory: the profile is ephemeral`)
      return
    }
    this.#refuse({
      kind: 'write',
      text,
      rule,
      reason: 'an ephemeral box has only empty directories to write to, and this one has files of the host',
      fix: 'write to another directory than is read from, or make the execution mode shared',
    })
  }

  #scratch(target: string, mode: number): void {
    this.#items.set(target, { type: 'tmpfs', target, bytes: this.#options.tmpBytes, mode, readonly: false })
  }

  #bind(path: string, access: Access, recursive: boolean): void {
    const known = this.#items.get(path)
    // Reading comes with both others; that they do not meet has been checked.
    const before = known?.type === 'bind' ? known.access : undefined
    const both = access === 'read' && before !== undefined ? before : access
    this.#items.set(path, { type: 'bind', source: path, target: path, access: both, recursive })
  }

  #bindSystem(): void {
    const tables = this.#profile.egress.length === 0 ? [SYSTEM_FILES] : [SYSTEM_FILES, TLS_FILES]
    for (const entry of tables.flat()) this.#addSystem(entry)
  }

  #addSystem({ path }: SystemFile): void {
    const resolved = resolvePath(this.#files, path)
    if (resolved === undefined) return
    const { real, stat, links } = resolved
    // Only what root keeps for everybody to read; anything else is not the file the table means.
    const usual = stat.uid === 0 && (stat.mode & 0o022) === 0 && (stat.mode & 0o004) !== 0
    if (!usual || (stat.type !== 'file' && stat.type !== 'directory')) return
    const pattern = treePattern(real)
    const hidden = (this.#options.hidden ?? []).some((entry) => isWithin(real, entry.path))
    if (hidden || this.#profile.denied.read.some(({ value }) => pathPatternsMayMeet(value, pattern))) {
      this.#notes.push(`${path} is left out of the box: it is forbidden`)
      return
    }
    this.#bind(real, 'read', stat.type === 'directory')
    this.#system.push(real)
    this.#links.push(...links)
  }

  /** Binds that show nothing a bind around them does not show already. */
  #dropImplied(): void {
    for (const [target, item] of this.#items) {
      const around = this.#treeAround(target)
      if (item.type !== 'bind' || around === undefined) continue
      if (item.access === around.access || item.access === 'read') this.#items.delete(target)
    }
  }

  /** The innermost bind of a tree that `path` lies below. */
  #treeAround(path: string): Bind | undefined {
    for (let at = path; at !== '/'; ) {
      at = parentOf(at)
      const item = this.#items.get(at)
      if (item?.type === 'bind') return item.recursive ? item : undefined
      if (item?.type === 'tmpfs') return undefined
    }
    return undefined
  }

  #coverHoles(): void {
    const { denied } = this.#profile
    const holes = (['read', 'write', 'execute'] as const).flatMap((kind) =>
      denied[kind].map(({ value, rule }): Hole => ({ kind, pattern: value, text: value.text, rule })),
    )
    const hidden = (this.#options.hidden ?? []).map(
      ({ path, reason }): Hole => ({ kind: 'read', pattern: treePattern(path), text: path, rule: reason }),
    )
    for (const hole of [...hidden, ...holes]) this.#coverHole(hole)
  }

  #coverHole(hole: Hole): void {
    const shape = patternShape(hole.pattern)
    if (shape.kind === 'names' || shape.kind === 'other') {
      const met = this.#relevantTrees(hole.kind).find((item) =>
        pathPatternsMayMeet(hole.pattern, treePattern(item.target)),
      )
      if (met !== undefined) {
        this.#refuseHole(hole, `a mount cannot cover a pattern inside ${met.target}`, 'forbid a directory with /**')
      }
      return
    }
    const resolved = resolvePath(this.#files, shape.path)
    if (resolved === undefined) {
      this.#coverAbsent(hole, shape.path)
      return
    }
    const { real, stat, links } = resolved
    if (links.some((link) => this.#isWritable(link.path))) {
      this.#refuseHole(hole, 'it is reached through a link that the box could replace', `forbid ${real}`)
      return
    }
    // A tree that lies in the hole was found by another name; taking it away is not what its rule says, nor is leaving it.
    const inside = this.#grantInside(hole, real)
    if (inside !== undefined) {
      this.#refuseHole(hole, `it would take away ${inside}`, `take ${inside} out of the profile`)
      return
    }
    if (!this.#isRelevant(hole.kind, real)) return
    if (shape.kind === 'exact' && stat.type === 'directory') {
      this.#refuseHole(hole, 'a directory cannot be covered without what is in it', `write it as ${shape.path}/**`)
      return
    }
    if (this.#items.get(this.#mountAround(real))?.type === 'tmpfs' && stat.type !== 'directory') {
      this.#refuseHole(hole, 'there is no file to cover in an ephemeral directory', 'forbid the directory it is in')
      return
    }
    this.#cover(hole.kind, real, stat.type === 'directory')
  }

  #cover(kind: Access, real: string, directory: boolean): void {
    // Under a hole that hides there is nothing left to take.
    for (const [target, other] of this.#holes) if (other === 'read' && isWithin(real, target)) return
    this.#holes.set(real, kind)
    // In a directory of memory a bind would bring in what the host has there.
    const empty = this.#items.get(this.#mountAround(real))?.type === 'tmpfs'
    if (kind !== 'read' && !empty) {
      this.#items.set(real, { type: 'bind', source: real, target: real, access: 'read', recursive: directory })
    } else if (directory) {
      this.#items.set(real, { type: 'tmpfs', target: real, bytes: 4096, mode: 0, readonly: true })
    } else this.#items.set(real, { type: 'mask', target: real })
  }

  // What does not exist cannot be covered, and where the box may create it, it would exist at once.
  #coverAbsent(hole: Hole, path: string): void {
    let existing = path
    while (resolvePath(this.#files, existing) === undefined && existing !== '/') existing = parentOf(existing)
    const base = resolvePath(this.#files, existing)?.real ?? '/'
    const place =
      path === existing ? base : `${base === '/' ? '' : base}${path.slice(existing === '/' ? 0 : existing.length)}`
    if (this.#isWritable(place)) {
      this.#refuseHole(
        hole,
        'it does not exist where the box may create it',
        'create it first, so that it can be covered',
      )
    } else if (this.#isRelevant(hole.kind, place)) {
      this.#notes.push(`${hole.text} does not exist: if the host creates it while the box runs, the box sees it`)
    }
  }

  #relevantTrees(kind: Access): readonly Targeted[] {
    return [...this.#items.values()].filter((item) => this.#takesFrom(kind, item))
  }

  #takesFrom(kind: Access, item: Targeted): boolean {
    if (item.type === 'tmpfs') return item.target !== '/tmp' && !item.readonly && kind !== 'execute'
    return item.type === 'bind' && item.recursive && (kind === 'read' || item.access === kind)
  }

  /** Whether the innermost mount around `real` gives what a hole of this kind takes. */
  #isRelevant(kind: Access, real: string): boolean {
    const item = this.#items.get(this.#mountAround(real))
    return item !== undefined && this.#takesFrom(kind, item)
  }

  /** Whether the box could create `path` on the host, or where it might take it for the host's. */
  #isWritable(path: string): boolean {
    const item = this.#items.get(this.#mountAround(path))
    if (item?.type === 'bind') return item.access === 'write'
    return item?.type === 'tmpfs' && !item.readonly && item.target !== '/tmp'
  }

  /** Target of the innermost mount that `path` lies below; the root when there is none. */
  #mountAround(path: string): string {
    let at = path
    do at = parentOf(at)
    while (at !== '/' && !this.#items.has(at))
    return at
  }

  #grantInside(hole: Hole, real: string): string | undefined {
    const grant = this.#grants.grants.find(
      ({ kind, real: path }) =>
        isWithin(path, real) &&
        (hole.kind === 'read' ||
          kind === hole.kind ||
          (hole.kind === 'execute' && (kind === 'binary' || kind === 'library'))),
    )
    if (grant !== undefined) return grant.text
    if (hole.kind === 'write') return undefined
    return this.#grants.closure.files.find((file) => isWithin(file.real, real))?.path
  }

  /**
   * A mount moves with its directory when a parent is renamed, and what is created under the old name is covered by nothing
   * (rename the parent, edit, rename back). A mount point cannot be renamed: each parent becomes one.
   */
  #pinParents(): void {
    for (const target of [...this.#items.keys()]) {
      const parents: string[] = []
      for (let at = parentOf(target); at !== '/'; at = parentOf(at)) {
        const item = this.#items.get(at)
        if (item === undefined) {
          parents.push(at)
          continue
        }
        if (item.type === 'bind' && item.access === 'write') {
          for (const parent of parents) this.#bind(parent, 'write', true)
        }
        break
      }
    }
  }

  #addSmall(): void {
    for (const link of [...this.#grants.links, ...this.#links]) this.#link(link)
    for (const { shape, real } of this.#grants.grants) {
      if (shape === 'directory' && this.#isFree(real)) this.#items.set(real, { type: 'directory', target: real })
    }
    const { uid, gid, hostname } = this.#options
    const names = this.#profile.egress.length > 0
    for (const [target, content] of syntheticFiles({ uid, gid, hostname, names })) {
      if (this.#isFree(target)) this.#items.set(target, { type: 'file', target, content })
      else this.#notes.push(`${target} is the host's own, because the profile grants it`)
    }
  }

  #link({ path, to }: PathLink): void {
    if (!this.#isFree(path)) return
    // A link whose text steps back out of a directory needs that directory; the box may not have it.
    const plain = !/[^./][^/]*\/\.\.(?:\/|$)/.test(to)
    const direct = plain ? to : resolvePath(this.#files, path)?.real
    if (direct !== undefined) this.#items.set(path, { type: 'symlink', target: path, to: direct })
  }

  /** Whether `path` is in the root of the box itself, or in its scratch space, and not taken. */
  #isFree(path: string): boolean {
    if (this.#items.has(path)) return false
    for (let at = path; at !== '/'; ) {
      at = parentOf(at)
      const item = this.#items.get(at)
      if (item?.type === 'bind' || item?.type === 'symlink') return false
      if (item?.type === 'tmpfs') return !item.readonly
    }
    // Something below it makes it a directory.
    for (const target of this.#items.keys()) if (isWithin(target, path)) return false
    return true
  }

  #refuseHole({ kind, text, rule }: Hole, reason: string, fix: string): void {
    this.#refuse({ kind, text: `forbid ${text}`, rule, reason, fix })
  }

  #refuse(part: UnrepresentablePart): void {
    this.#unrepresentable.push(part)
  }
}
