// The one error by which a store of limits says that it cannot tell. Who catches it denies the call.

import { AgentPortError } from '../core/errors.ts'

/** Code `ERR_LIMIT_UNAVAILABLE`: nothing may be concluded about the limit, least of all that there is room. */
export function limitUnavailable(message: string, options?: ErrorOptions): AgentPortError {
  return new AgentPortError('ERR_LIMIT_UNAVAILABLE', message, options)
}
