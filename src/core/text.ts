// Text from outside on its way to a terminal, a log line or a model.

import { LIMITS } from './limits.ts'

// Cc controls, Cf format characters (bidi overrides, zero width), line and paragraph separators, lone surrogates:
// each can hide, reorder or split what a reader sees (log injection, Trojan Source, CVE-2021-42574).
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** Whether `text` has a character that can hide or reorder what a reader sees. */
export function hasUnprintable(text: string): boolean {
  UNPRINTABLE.lastIndex = 0
  return UNPRINTABLE.test(text)
}

const PLAIN_ASCII = /^[ -~]*$/

/** `text` as one visible line: dangerous characters become `\u{…}`, and what is over `limit` is cut with its length. */
export function printable(text: string, limit: number = LIMITS.messageLength): string {
  if (text.length <= limit && PLAIN_ASCII.test(text)) return text
  const head = text.length > limit ? text.slice(0, limit) : text
  const escaped = head.replace(UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
  if (text.length <= limit && escaped.length <= limit) return escaped
  return `${escaped.slice(0, limit - 24)}… (${text.length} characters)`
}

/** What went wrong, in one visible line; for anything that was thrown, whatever it is and whatever its getters do. */
export function describeError(error: unknown, otherwise: string): string {
  try {
    if (!(error instanceof Error)) return otherwise
    const { name, message } = error
    if (typeof message !== 'string') return otherwise
    return printable(typeof name === 'string' ? `${name}: ${message}` : message)
  } catch {
    return otherwise
  }
}

const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9_])?$/

/**
 * Whether `text` can name a tool, node, skill, role, rule or run: ASCII letters and digits, inside also `_ . : -`.
 * Unicode is left out on purpose: look-alikes would make two names one to a reader and two to a policy.
 */
export function isName(text: unknown): text is string {
  return typeof text === 'string' && text.length <= LIMITS.nameLength && NAME.test(text)
}

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Whether `text` can name an environment variable, as POSIX.1 §8.1 has them, both cases. */
export function isEnvName(text: string): boolean {
  return text.length <= LIMITS.nameLength && ENV_NAME.test(text)
}

/** Whether `text` is one scope-token of RFC 6749 §3.3, at most a pattern long. */
export function isScopeToken(text: string): boolean {
  return text.length <= LIMITS.patternLength && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(text)
}

/** Whether `text` is an HTTP method as policies write it: upper case letters (RFC 9110 §9.1 knows no others). */
export function isHttpMethod(text: string): boolean {
  return /^[A-Z]{1,20}$/.test(text)
}
