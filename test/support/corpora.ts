// Public test data that lies beside the checkout, when it does. A user's clone has none of it and needs none.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Absolute path of one corpus folder, or `undefined` with a loud line when it is not there. */
export function corpus(name: string): string | undefined {
  const path = fileURLToPath(new URL(`../../../shared/corpora/${name}`, import.meta.url))
  if (existsSync(path)) return path
  console.warn(`SKIPPED: corpus "${name}" is not beside this checkout; its suite does not run here`)
  if (process.env['CI'] === 'true') throw new Error(`CI must have corpus "${name}"`)
  return undefined
}
