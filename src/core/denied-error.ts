// The thrown form of a denial, for those who call a guarded tool as a plain function.

import { type Denial, isDenial } from './denial.ts'
import { AgentPortError } from './errors.ts'
import { renderForModel } from './render.ts'

/** `message` is safe to show to a model; `denial` has the rest. */
export class DeniedError extends AgentPortError {
  override readonly name: string = 'DeniedError'
  readonly denial: Denial

  constructor(denial: Denial) {
    super('ERR_DENIED', renderForModel(denial))
    this.denial = denial
  }
}

/** The denial that `cause` is or carries, for whatever was thrown. */
export function denialOf(cause: unknown): Denial | undefined {
  try {
    if (cause instanceof DeniedError) return cause.denial
    return isDenial(cause) ? cause : undefined
  } catch {
    // A proxy that throws on every look is no denial; what was thrown is a failure all the same.
    return undefined
  }
}
