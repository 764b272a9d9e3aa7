// A skill on its way from a folder to running code: copied, signed, read back as bytes, and run from exactly these bytes.

import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SkillBundle } from '@agentport/gateway'
import { generateKeyPair, readSkillDirectory, signSkill } from '@agentport/gateway/node'
import type { Tool } from '../executor/tools.ts'

export interface InstalledSkill {
  readonly bundle: SkillBundle
  /** A trust document with the one key that signed the skill, made for this run. */
  readonly trust: object
}

const PUBLISHER = 'agentport-examples'

/** Signs a copy of the skill in `directory`, as its publisher would have done before shipping it. */
export async function installSkill(directory: string): Promise<InstalledSkill> {
  const copy = await mkdtemp(join(tmpdir(), 'agentport-skill-'))
  try {
    await cp(directory, copy, { recursive: true })
    const { seed, publicKey } = generateKeyPair()
    const { skill } = signSkill(copy, { seed, publisher: PUBLISHER, sequence: 1 })
    const trust = { version: 1, publishers: [{ name: PUBLISHER, keys: [publicKey], skills: [skill] }] }
    return { bundle: readSkillDirectory(copy), trust }
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

/** Loads `tools.mjs` from the bytes of the bundle: a file swapped on disk after the check would not be what runs. */
export async function loadTools(
  bundle: SkillBundle,
  environment: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<string, Tool>>> {
  const code = bundle.files.find((file) => file.path === 'tools.mjs')
  if (code === undefined) throw new Error(`skill ${bundle.name} has no tools.mjs`)
  const url = `data:text/javascript;base64,${Buffer.from(code.bytes).toString('base64')}`
  const module = (await import(/* @vite-ignore */ url)) as {
    createTools(environment: Readonly<Record<string, unknown>>): Readonly<Record<string, Tool>>
  }
  return module.createTools(environment)
}
