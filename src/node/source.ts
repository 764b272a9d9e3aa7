// A document on disk → its text and its name, ready to be parsed. The file's own name is what errors will point at.

import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'

import type { SourceText } from '../core/document.ts'
import { AgentPortError } from '../core/errors.ts'
import { LIMITS } from '../core/limits.ts'
import { printable } from '../core/text.ts'

/**
 * Reads a policy, manifest, trust or graph document.
 *
 * @throws AgentPortError ERR_CONFIG_INVALID when it is not a readable regular file, not UTF-8, or over 16 MiB.
 */
export function readSource(path: string): SourceText {
  try {
    // Opened without blocking: a fifo planted at the path must not hang the start of the gateway.
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const status = fstatSync(descriptor)
      if (!status.isFile()) throw new TypeError('it is not a regular file')
      if (status.size > LIMITS.documentLength) throw new TypeError(`it is larger than ${LIMITS.documentLength} bytes`)
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(descriptor))
      return { file: path, text }
    } finally {
      closeSync(descriptor)
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unknown error'
    throw new AgentPortError('ERR_CONFIG_INVALID', `cannot read ${printable(path)}: ${printable(why)}`, { cause })
  }
}
