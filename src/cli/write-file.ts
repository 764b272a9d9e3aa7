// A file is replaced whole or not at all.

import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'

/** Replaces the contents of an existing file; its mode stays. Through a link the file behind it is replaced. */
export function replaceFile(path: string, text: string): void {
  const target = realpathSync(path)
  const mode = statSync(target).mode & 0o7777
  const temporary = `${target}.${randomBytes(8).toString('hex')}.tmp`
  try {
    const descriptor = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(descriptor, text)
      fchmodSync(descriptor, mode)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, target)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
