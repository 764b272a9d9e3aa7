// Boxes for tests of the kernel, opened with every feature required, and closed after the test whatever it did.

import { realpathSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach } from 'vitest'

import type { Confinement, EnforcerEvent } from '../../../src/enforcer/enforcer.ts'
import type { Profile } from '../../../src/enforcer/profile.ts'
import type { LinuxConfinement } from '../../../src/linux/confinement.ts'
import type { OpenLinuxOptions } from '../../../src/linux/linux-enforcer.ts'
import { linuxEnforcer } from './linux-supervised.ts'

const opened: Confinement[] = []

/** A box that is closed after the test. */
export async function openBox(profile: Profile, options: OpenLinuxOptions = {}): Promise<LinuxConfinement> {
  const enforcer = await linuxEnforcer()
  const box = await enforcer.open(profile, options)
  opened.push(box)
  return box
}

/** To be called once at the top of a test file. */
export function closeBoxes(): void {
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((box) => box.close()))
  })
}

/** Reads the events of `box` from now on; they are complete when it is closed. */
export function collectEvents(box: Confinement): { readonly events: EnforcerEvent[]; readonly done: Promise<void> } {
  const events: EnforcerEvent[] = []
  const done = (async () => {
    for await (const event of box.events) events.push(event)
  })()
  return { events, done }
}

const directories: string[] = []

/** A directory of this user's own, gone after the tests of the file. */
export async function ownDirectory(): Promise<string> {
  const directory = realpathSync(await mkdtemp(join(tmpdir(), 'kernel-')))
  directories.push(directory)
  return directory
}

/** To be called once at the top of a test file that makes directories. */
export function removeDirectories(): void {
  afterAll(async () => {
    await Promise.all(directories.splice(0).map((directory) => rm(directory, { recursive: true, force: true })))
  })
}

/** Until `condition` gives something; a test that waits for ever says nothing. */
export async function eventually<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  milliseconds = 10_000,
): Promise<T> {
  const end = performance.now() + milliseconds
  for (;;) {
    const found = await condition()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end) throw new Error(`after ${milliseconds} ms: not ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
