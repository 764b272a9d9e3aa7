// JSON Pointer (RFC 6901): how a place inside a value is named in problems, denials and manifests.

import type { JsonValue } from './json.ts'

/** The tokens of a pointer, unescaped; `[]` for the whole value; `undefined` when `text` is not a pointer. */
export function parsePointer(text: string): readonly string[] | undefined {
  if (text === '') return []
  // RFC 6901 §3: a `~` that begins neither `~0` nor `~1` is an error, not a literal.
  if (text[0] !== '/' || /~(?![01])/.test(text)) return undefined
  return text.slice(1).split('/').map(unescapeToken)
}

// §4: `~1` first, so that `~01` becomes `~1` and not `/`.
function unescapeToken(token: string): string {
  return token.includes('~') ? token.replaceAll('~1', '/').replaceAll('~0', '~') : token
}

/** The pointer that {@link parsePointer} takes apart into `tokens`. */
export function formatPointer(tokens: readonly (string | number)[]): string {
  let text = ''
  for (const token of tokens) text += `/${String(token).replaceAll('~', '~0').replaceAll('/', '~1')}`
  return text
}

const ARRAY_INDEX = /^(?:0|[1-9][0-9]{0,9})$/

/**
 * What `tokens` lead to, or `undefined` when there is nothing. Own properties only: `/constructor` leads nowhere.
 * The `-` of RFC 6901 (the element after the last) leads nowhere either.
 */
export function resolvePointer(value: JsonValue, tokens: readonly string[]): JsonValue | undefined {
  let current: JsonValue | undefined = value
  for (const token of tokens) {
    if (current === null || typeof current !== 'object') return undefined
    if (Array.isArray(current)) current = ARRAY_INDEX.test(token) ? ownMember(current, token) : undefined
    else current = ownMember(current, token)
  }
  return current
}

function ownMember(container: object, name: string): JsonValue | undefined {
  return Object.hasOwn(container, name) ? (container as Readonly<Record<string, JsonValue>>)[name] : undefined
}
