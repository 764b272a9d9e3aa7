// The thrown form of a denial, for those who call a guarded tool as a plain function.

import type { Denial } from './denial.ts'
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
