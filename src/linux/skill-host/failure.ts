// How the work of a skill host ends without a result. What the skill said of it is text of the skill: shown escaped and
// short, and never taken for a reason.

import { AgentPortError, type ErrorCode } from '../../core/errors.ts'

/**
 * `start`: the host did not start. `load`: the module does not load, or has no such function. `threw`: the function threw.
 * `result`: what it returned is not plain data, or too large. `protocol`: the process sent what no skill host sends, and was
 * killed. `timeout`: it took too long, and was killed. `ended`: the process or its confinement ended first.
 */
export type SkillFailure = 'start' | 'load' | 'threw' | 'result' | 'protocol' | 'timeout' | 'ended'

const CODES: Readonly<Record<SkillFailure, ErrorCode>> = {
  start: 'ERR_SPAWN_FAILED',
  load: 'ERR_SPAWN_FAILED',
  threw: 'ERR_SPAWN_FAILED',
  result: 'ERR_VALUE_UNREADABLE',
  protocol: 'ERR_VALUE_UNREADABLE',
  timeout: 'ERR_SPAWN_FAILED',
  ended: 'ERR_SPAWN_FAILED',
}

export class SkillHostError extends AgentPortError {
  override readonly name: string = 'SkillHostError'
  readonly reason: SkillFailure

  constructor(reason: SkillFailure, message: string, options?: ErrorOptions) {
    super(CODES[reason], message, options)
    this.reason = reason
  }
}
