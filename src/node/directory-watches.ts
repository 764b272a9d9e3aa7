// Notifications for a set of directories that changes. Whatever goes wrong here costs time and nothing else: the system may
// lose events or have no more watches to give, so nobody relies on being told.

import { type FSWatcher, watch } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

export interface WatchKeys {
  readonly keys: readonly string[]
  readonly added: boolean
}

export class DirectoryWatches {
  readonly #onChange: () => void
  readonly #watches = new Map<string, FSWatcher>()
  #closed = false

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  /**
   * Watches every directory in `directories`, and each of `entries` under its name in the directory it stands in. Returns the
   * keys of these watches, and whether one of them is new.
   */
  async add(entries: Iterable<string>, directories: Iterable<string>): Promise<WatchKeys> {
    /** By directory: the names in it that matter, or all of them. */
    const wanted = new Map<string, Set<string> | undefined>()
    // A path can be swapped itself; what else happens beside it is nobody's business.
    for (const path of entries) {
      const names = wanted.get(dirname(path)) ?? new Set()
      wanted.set(dirname(path), names.add(basename(path)))
    }
    for (const path of directories) wanted.set(path, undefined)
    const keys: string[] = []
    let added = false
    for (const [directory, names] of wanted) {
      const stats = await stat(directory).catch(() => undefined)
      if (this.#closed || stats?.isDirectory() !== true) continue
      // A directory that took the place of another is another.
      const key = JSON.stringify([stats.dev, stats.ino, directory, names === undefined ? [] : [...names].sort()])
      keys.push(key)
      if (this.#watches.has(key)) continue
      added = true
      this.#add(key, directory, names)
    }
    return { keys, added }
  }

  /** Gives up all watches but these. */
  keepOnly(keys: Iterable<string>): void {
    const kept = new Set(keys)
    for (const [key, watcher] of this.#watches) {
      if (kept.has(key)) continue
      watcher.close()
      this.#watches.delete(key)
    }
  }

  close(): void {
    this.#closed = true
    for (const watcher of this.#watches.values()) watcher.close()
    this.#watches.clear()
  }

  #add(key: string, directory: string, names: ReadonlySet<string> | undefined): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, changed) => {
        if (names === undefined || changed === null || names.has(changed)) this.#onChange()
      })
      watcher.on('error', () => {
        watcher.close()
        this.#watches.delete(key)
      })
      this.#watches.set(key, watcher)
    } catch {
      // No more watches to be had (ENOSPC, EMFILE), or none on this file system.
    }
  }
}
