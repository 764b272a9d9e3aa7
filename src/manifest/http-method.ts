// The HTTP method a call uses for a destination, as one of its arguments says it. What the arguments do not say plainly is
// unknown, never guessed: a permit for some methods then permits nothing, and whatever forbids one applies.

import type { JsonObject } from '../core/json.ts'
import { resolvePointer } from '../core/pointer.ts'

/**
 * The method in `args` at `tokens`, in upper case; `undefined` where there is none. `trail` is the place of the
 * destination, whose elements the stars stand for.
 */
export function methodAt(
  args: JsonObject,
  tokens: readonly string[],
  trail: readonly (string | number)[],
): string | undefined {
  const text = resolvePointer(
    args,
    tokens.map((token, index) => (token === '*' ? String(trail[index]) : token)),
  )
  // ASCII letters only: other letters have upper cases that are ASCII, and would make one method out of two.
  return typeof text === 'string' && /^[A-Za-z]{1,20}$/.test(text) ? text.toUpperCase() : undefined
}
