// Which of two statements asks for more care. What is not said is the least.

import type { OnFailure, ToolEffect } from './manifest.ts'

const FAILURES: readonly OnFailure[] = ['continue', 'skip_downstream', 'halt']
const EFFECTS: readonly ToolEffect[] = ['pure', 'idempotent', 'keyed', 'unsafe']

/** A higher number is more care. */
export function careOf(failure: OnFailure | undefined): number {
  return failure === undefined ? 0 : FAILURES.indexOf(failure)
}

export function moreCareful(a: OnFailure | undefined, b: OnFailure | undefined): OnFailure | undefined {
  return careOf(a) < careOf(b) ? b : a
}

/** The effect of which fewer calls are repeated. */
export function moreCarefulEffect(a: ToolEffect, b: ToolEffect): ToolEffect {
  return EFFECTS.indexOf(a) > EFFECTS.indexOf(b) ? a : b
}
