// The one error by which a store of limits says that it cannot tell. Who catches it denies the call.

import { AgentPortError, type ErrorCode } from '../core/errors.ts'

const CODE: string = 'ERR_LIMIT_UNAVAILABLE'

/** Code `ERR_LIMIT_UNAVAILABLE`: nothing may be concluded about the limit, least of all that there is room. */
export function limitUnavailable(message: string, options?: ErrorOptions): AgentPortError {
  return new AgentPortError(CODE as ErrorCode, message, options)
}
